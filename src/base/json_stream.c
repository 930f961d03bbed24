/* json_stream.c - a JSON document of any length, cut into values that fit in memory. */
#include "json_stream.h"

#include "error.h"

#include <string.h>

enum { PIECE = 1 << 18 };

sx_status sx_json_stream_open(sx_json_stream *stream, const char *path, sx_error *error)
{
    *stream = (sx_json_stream){0};
    return sx_source_open(path, &stream->source, error);
}

void sx_json_stream_close(sx_json_stream *stream)
{
    sx_source_close(stream->source);
    sx_buffer_clear(&stream->buffer);
    *stream = (sx_json_stream){0};
}

static sx_status fail(const sx_json_stream *stream, size_t at, sx_error *error, const char *problem)
{
    return sx_fail(error, SX_E_FORMAT, "%s: byte %llu: %s", sx_source_name(stream->source),
                   (unsigned long long)(stream->offset + at), problem);
}

/* Reads on; what was read already gives up its room. Places in the buffer move by what *moved says. */
static sx_status read_more(sx_json_stream *stream, size_t *moved, sx_error *error)
{
    sx_buffer *buffer = &stream->buffer;
    *moved = stream->start;
    if (stream->start) {
        memmove(buffer->data, buffer->data + stream->start, buffer->length - stream->start);
        buffer->length -= stream->start;
        stream->offset += stream->start;
        stream->start = 0;
    }
    char *room = sx_buffer_room(buffer, PIECE);
    if (!room)
        return sx_fail(error, SX_E_LIMIT, "%s: byte %llu: a value is longer than 1 GiB or than memory",
                       sx_source_name(stream->source), (unsigned long long)stream->offset);
    size_t got;
    sx_status status = sx_source_read(stream->source, room, PIECE, &got, error);
    buffer->length += got;
    stream->ended = !status && got == 0;
    return status;
}

/* Moves start to the first byte that is no white space. *byte -1: the document ends. */
static sx_status skip_space(sx_json_stream *stream, int *byte, sx_error *error)
{
    for (;;) {
        while (stream->start < stream->buffer.length) {
            unsigned char next = (unsigned char)stream->buffer.data[stream->start];
            if (next != ' ' && next != '\n' && next != '\r' && next != '\t') {
                *byte = next;
                return SX_OK;
            }
            stream->start++;
        }
        *byte = -1;
        if (stream->ended)
            return SX_OK;
        size_t moved;
        bool first = stream->offset == 0 && stream->buffer.length == 0;
        sx_status status = read_more(stream, &moved, error);
        while (!status && first && !stream->ended && stream->buffer.length < 3)
            status = read_more(stream, &moved, error);
        if (status)
            return status;
        if (first && stream->buffer.length >= 3 && memcmp(stream->buffer.data, "\xef\xbb\xbf", 3) == 0)
            stream->start = 3;
    }
}

sx_status sx_json_stream_more(sx_json_stream *stream, bool *more, sx_error *error)
{
    int byte;
    sx_status status = skip_space(stream, &byte, error);
    *more = !status && byte >= 0;
    return status;
}

sx_status sx_json_stream_peek(sx_json_stream *stream, sx_json_type *type, sx_error *error)
{
    int byte;
    *type = SX_JSON_BAD;
    sx_status status = skip_space(stream, &byte, error);
    if (status)
        return status;
    *type = byte == '{'                                       ? SX_JSON_OBJECT
            : byte == '['                                     ? SX_JSON_ARRAY
            : byte == '"'                                     ? SX_JSON_STRING
            : byte == 't' || byte == 'f'                      ? SX_JSON_BOOLEAN
            : byte == 'n'                                     ? SX_JSON_NULL
            : byte == '-' || (byte >= '0' && byte <= '9') ? SX_JSON_NUMBER
                                                              : SX_JSON_BAD;
    if (*type != SX_JSON_BAD)
        return SX_OK;
    return fail(stream, stream->start, error, byte < 0 ? "the text ends where a value is expected" : "a value is expected");
}

sx_status sx_json_stream_enter(sx_json_stream *stream, sx_error *error)
{
    sx_json_type type;
    sx_status status = sx_json_stream_peek(stream, &type, error);
    if (status)
        return status;
    if (type != SX_JSON_OBJECT && type != SX_JSON_ARRAY)
        return fail(stream, stream->start, error, "expected an object or an array");
    if (stream->depth == SX_JSON_STREAM_DEPTH)
        return fail(stream, stream->start, error, "nested too deep");
    stream->brackets[stream->depth++] = type == SX_JSON_OBJECT ? '}' : ']';
    stream->start++;
    stream->fresh = true;
    return SX_OK;
}

sx_status sx_json_stream_next(sx_json_stream *stream, sx_text *key, bool *more, sx_error *error)
{
    int byte;
    *more = false;
    if (!stream->depth)
        return fail(stream, stream->start, error, "not inside an object or array");
    char bracket = stream->brackets[stream->depth - 1];
    sx_status status = skip_space(stream, &byte, error);
    if (status)
        return status;
    if (byte < 0)
        return fail(stream, stream->start, error,
                    bracket == '}' ? "the text ends inside an object" : "the text ends inside an array");
    if (byte == bracket) {
        stream->start++;
        stream->depth--;
        stream->fresh = false;
        return SX_OK;
    }
    if (!stream->fresh) {
        if (byte != ',')
            return fail(stream, stream->start, error, bracket == '}' ? "expected ',' or '}'" : "expected ',' or ']'");
        stream->start++;
    }
    stream->fresh = false;
    *more = true;
    if (bracket != '}')
        return SX_OK;
    /* The key, its colon included, must be in the buffer whole. */
    uint64_t place;
    if ((status = skip_space(stream, &byte, error)))
        return status;
    if (byte != '"')
        return fail(stream, stream->start, error, "a key is expected");
    sx_text own;
    if ((status = sx_json_stream_value(stream, &own, &place, error)))
        return status;
    size_t back = stream->start - (size_t)(own.data - stream->buffer.data);
    stream->start -= back; /* so that reading on keeps the key */
    size_t at = stream->start + back;
    for (;;) {
        while (at < stream->buffer.length && strchr(" \n\r\t", stream->buffer.data[at]) && stream->buffer.data[at])
            at++;
        if (at < stream->buffer.length || stream->ended)
            break;
        size_t moved;
        if ((status = read_more(stream, &moved, error)))
            return status;
        at -= moved;
    }
    if (at == stream->buffer.length || stream->buffer.data[at] != ':')
        return fail(stream, at, error, "expected ':'");
    if (key)
        *key = (sx_text){stream->buffer.data + stream->start, own.length};
    stream->start = at + 1;
    return SX_OK;
}

/* Where a scan for a value's end is. */
typedef struct value_scan {
    char first;
    unsigned depth;
    bool quoted, escaped;
} value_scan;

/* Takes bytes until the value's end; true when it is found, then *at is behind it. */
static bool scan_value(value_scan *scan, const char *data, size_t length, size_t *at)
{
    size_t i = *at;
    bool scalar = scan->first != '{' && scan->first != '[' && scan->first != '"';
    for (; i < length; i++) {
        char byte = data[i];
        if (scan->quoted) {
            if (scan->escaped)
                scan->escaped = false;
            else if (byte == '\\')
                scan->escaped = true;
            else if (byte == '"')
                scan->quoted = false;
            if (scan->quoted || scan->depth)
                continue;
            *at = i + 1;
            return true;
        }
        if (scalar) {
            if (byte != ',' && byte != ']' && byte != '}' && byte != ' ' && byte != '\n' && byte != '\r' && byte != '\t')
                continue;
            *at = i;
            return true;
        }
        if (byte == '"') {
            scan->quoted = true;
        } else if (byte == '{' || byte == '[') {
            scan->depth++;
        } else if ((byte == '}' || byte == ']') && --scan->depth == 0) {
            *at = i + 1;
            return true;
        }
    }
    *at = i;
    return false;
}

static sx_status find_end(sx_json_stream *stream, bool keep, sx_text *value, uint64_t *place, sx_error *error)
{
    sx_json_type type;
    sx_status status = sx_json_stream_peek(stream, &type, error);
    if (status)
        return status;
    value_scan scan = {.first = stream->buffer.data[stream->start]};
    size_t at = stream->start;
    *place = stream->offset + stream->start;
    while (!scan_value(&scan, stream->buffer.data, stream->buffer.length, &at)) {
        if (stream->ended) {
            if (type != SX_JSON_OBJECT && type != SX_JSON_ARRAY && type != SX_JSON_STRING)
                break; /* a number may end with the document */
            return fail(stream, at, error, "the text ends inside a value");
        }
        if (!keep)
            stream->start = at;
        size_t moved;
        if ((status = read_more(stream, &moved, error)))
            return status;
        at -= moved;
    }
    *value = (sx_text){stream->buffer.data + stream->start, at - stream->start};
    stream->start = at;
    return SX_OK;
}

sx_status sx_json_stream_value(sx_json_stream *stream, sx_text *value, uint64_t *place, sx_error *error)
{
    return find_end(stream, true, value, place, error);
}

sx_status sx_json_stream_skip(sx_json_stream *stream, sx_error *error)
{
    sx_text value;
    uint64_t place;
    return find_end(stream, false, &value, &place, error);
}

sx_status sx_json_stream_end(sx_json_stream *stream, sx_error *error)
{
    int byte;
    sx_status status = skip_space(stream, &byte, error);
    return status || byte < 0 ? status : fail(stream, stream->start, error, "something follows the end of the document");
}
