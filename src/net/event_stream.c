/* event_stream.c - lines, fields and events of a text/event-stream, incrementally: bytes may come in any pieces.
 *
 * The standard passes over lines with unknown fields. Here they are refused: a reply that is another thing, a page or a plain object,
 * must not look like a stream without events. */
#include "event_stream.h"

#include "../base/error.h"

#include <string.h>

enum { MOST_BYTES = 1 << 20 };

void sx_event_stream_clear(sx_event_stream *stream)
{
    sx_buffer_clear(&stream->line);
    sx_buffer_clear(&stream->data);
}

static sx_status end_event(sx_event_stream *stream, sx_error *error)
{
    sx_status status = SX_OK;
    if (stream->has_data)
        status = stream->take(stream->user, stream->data.data ? stream->data.data : "", stream->data.length, error);
    sx_buffer_reset(&stream->data);
    stream->has_data = false;
    return status;
}

static sx_status end_line(sx_event_stream *stream, sx_error *error)
{
    const char *line = stream->line.data ? stream->line.data : "";
    size_t length = stream->line.length;
    if (!length)
        return end_event(stream, error);
    const char *colon = memchr(line, ':', length);
    size_t name = colon ? (size_t)(colon - line) : length, from = colon ? name + 1 : length;
    if (from < length && line[from] == ' ')
        from++;
    sx_status status = SX_OK;
    if (name == 4 && memcmp(line, "data", 4) == 0) {
        if (stream->has_data)
            sx_buffer_append_byte(&stream->data, '\n');
        sx_buffer_append(&stream->data, line + from, length - from);
        stream->has_data = true;
        if (stream->data.failed)
            status = sx_fail(error, SX_E_LIMIT, "event stream: an event of more than %d bytes", MOST_BYTES);
    } else if (name && !(name == 5 && memcmp(line, "event", 5) == 0) && !(name == 2 && memcmp(line, "id", 2) == 0) &&
               !(name == 5 && memcmp(line, "retry", 5) == 0)) {
        status = sx_fail(error, SX_E_FORMAT, "event stream: \"%.*s\" is no line of one", (int)(length < 60 ? length : 60), line);
    }
    sx_buffer_reset(&stream->line);
    return status;
}

sx_status sx_event_stream_feed(sx_event_stream *stream, const char *bytes, size_t length, sx_error *error)
{
    stream->line.maximum = stream->data.maximum = MOST_BYTES;
    sx_status status = SX_OK;
    for (size_t at = 0; !status && at < length;) {
        if (stream->after_return && bytes[at] == '\n') {
            stream->after_return = false;
            at++;
            continue;
        }
        stream->after_return = false;
        size_t from = at;
        while (at < length && bytes[at] != '\n' && bytes[at] != '\r')
            at++;
        if (!sx_buffer_append(&stream->line, bytes + from, at - from))
            return sx_fail(error, SX_E_LIMIT, "event stream: a line of more than %d bytes", MOST_BYTES);
        if (!stream->begun && stream->line.length >= 3) {
            if (memcmp(stream->line.data, "\xef\xbb\xbf", 3) == 0) {
                memmove(stream->line.data, stream->line.data + 3, stream->line.length - 3);
                stream->line.length -= 3;
            }
            stream->begun = true;
        }
        if (at == length)
            break;
        stream->begun = true;
        stream->after_return = bytes[at++] == '\r';
        status = end_line(stream, error);
    }
    return status;
}
