/* fuzz_filter.c - a filter, up to the first NUL, and behind it the metadata that it looks at. */
#include "store/filter_expression.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sx_error error;
    sx_filter *filter;
    bool damaged = false;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    size_t length = strlen(text), rest = length < size ? length + 1 : size;
    if (sx_filter_parse(text, &filter, &error) == SX_OK) {
        sx_filter_subject subject = {.metadata = {text + rest, size - rest}, .document = {text, length}, .root = {text + rest, size - rest}};
        const sx_filter_chunk chunk = {.start = length, .end = size, .start_line = (uint32_t)length, .end_line = (uint32_t)size,
                                       .headings = {text + rest, size - rest}, .symbols = {text + rest, size - rest}};
        bool may = sx_filter_holds(filter, &subject, &damaged);
        subject.chunk = &chunk;
        if (!may && sx_filter_holds(filter, &subject, &damaged))
            abort();
        if (sx_filter_holds(filter, &subject, &damaged) != sx_filter_holds(filter, &subject, &damaged))
            abort();
    }
    sx_filter_close(filter);
    free(text);
    return 0;
}
