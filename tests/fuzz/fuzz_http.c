/* fuzz_http.c - heads and chunked bodies of HTTP requests: no crash, the same result however the bytes are cut, texts inside the input. */
#include "server/http_parser.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(sx_text text, const char *data, size_t size)
{
    if (text.length && (text.data < data || text.data + text.length > data + size))
        abort();
}

static void try_chunks(const char *data, size_t size)
{
    sx_http_chunks whole = {0}, pieces = {0};
    sx_buffer a = {.maximum = 4096}, b = {.maximum = 4096};
    size_t used = sx_http_take_chunks(&whole, data, size, &a, 1000), at = 0;
    while (at < size && !pieces.done && !pieces.problem)
        at += sx_http_take_chunks(&pieces, data + at, 1, &b, 1000);
    if (a.length > 1000 || used != at || whole.done != pieces.done || whole.problem != pieces.problem || a.length != b.length ||
        (a.length && memcmp(a.data, b.data, a.length) != 0))
        abort();
    sx_buffer_clear(&a);
    sx_buffer_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *data = malloc(size + 1);
    if (!data)
        return 0;
    memcpy(data, bytes, size);
    size_t scanned = 0, stepwise = 0, end = sx_http_head_end(data, size, &scanned), found = 0;
    for (size_t i = 1; i <= size && !found; i++)
        found = sx_http_head_end(data, i, &stepwise);
    if (found != end)
        abort();
    if (end) {
        sx_http_head head;
        const char *problem = NULL;
        int status = sx_http_parse_head(data, end, &head, &problem);
        if (!status != !problem || (!status && (!head.method.length || !head.path.length)))
            abort();
        check_inside(head.method, data, end);
        check_inside(head.path, data, end);
        check_inside(head.query, data, end);
        for (size_t i = 0; i < head.header_count; i++) {
            check_inside(head.headers[i].name, data, end);
            check_inside(head.headers[i].value, data, end);
        }
    }
    try_chunks(data, size);
    size_t length = size;
    if (sx_percent_decode(data, &length) && length > size)
        abort();
    free(data);
    return 0;
}
