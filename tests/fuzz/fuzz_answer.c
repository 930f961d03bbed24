/* fuzz_answer.c - a chat server's bytes, in pieces whose length the first byte says, as an event stream; and the events as an answer
 * whose citations are looked for. In other pieces the events must be the same. */
#include "index/ask_citations.h"
#include "net/event_stream.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static sx_status gather(void *user, const char *data, size_t length, sx_error *error)
{
    (void)error;
    sx_buffer_append((sx_buffer *)user, data, length);
    return SX_OK;
}

static sx_status feed(const uint8_t *data, size_t size, size_t step, sx_buffer *all)
{
    sx_error error;
    sx_event_stream stream = {.take = gather, .user = all};
    sx_status status = SX_OK;
    for (size_t at = 0; at < size && !status; at += step)
        status = sx_event_stream_feed(&stream, (const char *)data + at, size - at < step ? size - at : step, &error);
    sx_event_stream_clear(&stream);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    sx_buffer one = {0}, two = {0};
    sx_citation *citations = NULL;
    size_t count;
    sx_error error;
    sx_status first = feed(data + 1, size - 1, data[0] % 16 + 1u, &one), second = feed(data + 1, size - 1, size, &two);
    if (first != second || one.length != two.length || (one.length && memcmp(one.data, two.data, one.length) != 0))
        abort();
    if (sx_ask_citations(one.data ? one.data : "", one.length, data[0], &citations, &count, &error) == SX_OK)
        for (size_t i = 0; i < count; i++)
            if (citations[i].valid != (citations[i].source >= 1 && citations[i].source <= data[0]))
                abort();
    free(citations);
    sx_buffer_clear(&one);
    sx_buffer_clear(&two);
    return 0;
}
