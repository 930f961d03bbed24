/* http_parser.h - HTTP/1.1 requests as bytes (RFC 9112): the head, and a body in chunks. Strict, without memory of its own. */
#ifndef SX_SERVER_HTTP_PARSER_H
#define SX_SERVER_HTTP_PARSER_H

#include "sextant.h"

#include "../base/buffer.h"

#include <stdbool.h>
#include <stdint.h>

enum { SX_HTTP_MAX_HEADERS = 100 };

typedef struct sx_http_header {
    sx_text name, value; /* the value without the white space around it */
} sx_http_header;

/* A head; all texts point into the bytes it was read from. */
typedef struct sx_http_head {
    sx_text method, target;
    sx_text path, query; /* of the target, still percent-encoded; the query without '?' */
    bool http10;
    bool keep_alive; /* what the client wishes */
    bool chunked;
    bool has_length;
    bool expects_continue;
    uint64_t length; /* of the body, with has_length */
    sx_http_header headers[SX_HTTP_MAX_HEADERS];
    size_t header_count;
} sx_http_head;

/* Where the head in data ends (one past its empty line), or 0 while it is not all there. *scanned (0 at first) remembers what
 * was looked at by earlier calls with less data. A line that ends without CR ends the head too: the parser then refuses it. */
size_t sx_http_head_end(const char *data, size_t length, size_t *scanned);

/* Reads a complete head of `length` bytes. Returns 0, or the status to answer with (400, 417, 431, 501, 505), and *problem (a
 * constant). Refused, since two readers of one request could disagree about where it ends: more than one Content-Length, one
 * beside Transfer-Encoding, any coding but chunked, white space before a colon, folded lines, control characters, bare LF. */
int sx_http_parse_head(const char *data, size_t length, sx_http_head *head, const char **problem);

/* The value of a header, by name without regard to case; {NULL, 0} when there is none. */
sx_text sx_http_header_value(const sx_http_header *headers, size_t count, const char *name);
bool sx_text_equals_fold(sx_text text, const char *lower);

/* A body in chunks. Zero-initialise. */
typedef struct sx_http_chunks {
    int state;
    uint64_t left; /* bytes of the present chunk, or its size so far */
    unsigned digits, extension;
    size_t trailer; /* bytes of trailers so far */
    unsigned line;  /* of the present trailer line */
    bool done;
    const char *problem; /* NULL while all is well */
} sx_http_chunks;

/* Takes bytes of the body; what they hold is appended to *body. Returns how many were taken: fewer than `length` when the body
 * is done or there is a problem. A chunk that would make the body longer than `most` is a problem at its size line. */
size_t sx_http_take_chunks(sx_http_chunks *chunks, const char *data, size_t length, sx_buffer *body, uint64_t most);
extern const char sx_http_too_long[]; /* the problem of a body beyond `most`, or that memory ran out for */

/* %41 to A in place; *length becomes less. False for an incomplete or wrong one, and for %00. */
bool sx_percent_decode(char *text, size_t *length);

#endif
