/* event_stream.h - server-sent events, read as they come (WHATWG HTML, 9.2 "Server-sent events").
 */
#ifndef SX_NET_EVENT_STREAM_H
#define SX_NET_EVENT_STREAM_H

#include "../base/buffer.h"
#include "sextant.h"

#include <stdbool.h>

/* Takes the data of one event, NUL-terminated, without the last line end; anything but SX_OK ends the reading with it. */
typedef sx_status (*sx_event_taker)(void *user, const char *data, size_t length, sx_error *error);

/* Zero-initialise; set take and user. */
typedef struct sx_event_stream {
    sx_event_taker take;
    void *user;
    sx_buffer line, data;
    bool begun;              /* the first bytes, where a byte order mark may stand, are past */
    bool after_return;       /* a line feed that comes next belongs to the carriage return before it */
    bool has_data;
} sx_event_stream;

/* The next bytes of the stream. SX_E_LIMIT: a line or an event of more than a mebibyte; SX_E_FORMAT: a line that is none of such a
 * stream. What stands behind the last empty line is no event. */
sx_status sx_event_stream_feed(sx_event_stream *stream, const char *bytes, size_t length, sx_error *error);
void sx_event_stream_clear(sx_event_stream *stream);

#endif
