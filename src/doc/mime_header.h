/* mime_header.h - header fields of messages and their parts: finding them, and the words in them. Internal to src/doc. */
#ifndef SX_DOC_MIME_HEADER_H
#define SX_DOC_MIME_HEADER_H

#include "../base/buffer.h"
#include "sextant.h"

#include <stdbool.h>

/* Where the header that begins at text ends; *body is where what follows it begins. A line that is no field ends it too, so that a
 * missing blank line loses nothing. */
size_t sx_mime_head(const char *text, size_t length, size_t *body);
/* The first field of that name: its value as it stands, folds included. */
bool sx_mime_field(sx_text head, const char *name, sx_text *value);

/* A value as UTF-8 words: folds as spaces, encoded words (RFC 2047) decoded, bytes of other encodings converted. */
void sx_mime_words(sx_text value, sx_buffer *words);
/* What stands before the parameters, in lower case and without comments: "text/plain". Cut to fit. */
void sx_mime_token(sx_text value, char *token, size_t capacity);
/* The parameter of that name (RFC 2045; split and encoded ones, RFC 2231) as UTF-8, appended. False when there is none. */
bool sx_mime_parameter(sx_text value, const char *name, sx_buffer *words);

#endif
