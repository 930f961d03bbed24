/* json_stream.h - a JSON document of any length, cut into values that fit in memory.
 *
 * The stream walks through the outer levels of a document and hands out each value inside as its bytes, which json_reader.h then
 * reads as strictly as ever. Memory is that of the longest value, at most 1 GiB. Values may also follow one another, as in JSON
 * lines. Every call returns a status; errors name the file and the byte. */
#ifndef SX_BASE_JSON_STREAM_H
#define SX_BASE_JSON_STREAM_H

#include "buffer.h"
#include "compressed.h"
#include "json_reader.h"

#include <stdbool.h>
#include <stdint.h>

enum { SX_JSON_STREAM_DEPTH = 4 };

/* Zero-initialise. */
typedef struct sx_json_stream {
    sx_source *source;
    sx_buffer buffer;
    size_t start;    /* in the buffer, of what is not read yet */
    uint64_t offset; /* in the document, of the buffer's first byte */
    bool ended;      /* of the source */
    unsigned depth;
    char brackets[SX_JSON_STREAM_DEPTH]; /* that close the levels */
    bool fresh;      /* just behind an opening bracket */
} sx_json_stream;

/* As sx_source_open; a byte-order mark is passed over. */
sx_status sx_json_stream_open(sx_json_stream *stream, const char *path, sx_error *error);
void sx_json_stream_close(sx_json_stream *stream);

/* Whether a further value follows at the outermost level (JSON lines). */
sx_status sx_json_stream_more(sx_json_stream *stream, bool *more, sx_error *error);
/* Type of the next value, without reading it. */
sx_status sx_json_stream_peek(sx_json_stream *stream, sx_json_type *type, sx_error *error);
/* Enters an object or an array, whichever it is. */
sx_status sx_json_stream_enter(sx_json_stream *stream, sx_error *error);
/* The next element of the array or, with a key, member of the object; *more false: it has ended and is left. *key is a slice of
 * the input with its quotes, valid until the next call. */
sx_status sx_json_stream_next(sx_json_stream *stream, sx_text *key, bool *more, sx_error *error);
/* A whole value and its first byte's place in the document. Its ends are found by brackets and quotes alone: it must be read with
 * json_reader.h. Valid until the next call. */
sx_status sx_json_stream_value(sx_json_stream *stream, sx_text *value, uint64_t *place, sx_error *error);
/* Passes over a value of any length in little memory. It is not checked. */
sx_status sx_json_stream_skip(sx_json_stream *stream, sx_error *error);
/* Nothing but white space follows. */
sx_status sx_json_stream_end(sx_json_stream *stream, sx_error *error);

#endif
