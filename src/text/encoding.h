/* encoding.h - what encoding bytes are in, and turning them into UTF-8 with nothing lost in silence. */
#ifndef SX_TEXT_ENCODING_H
#define SX_TEXT_ENCODING_H

#include "sextant.h"

#include <stdbool.h>

enum { SX_ENCODING_NAME = 96 };

typedef struct sx_decoded {
    char *text;                      /* malloc'ed UTF-8, NUL-terminated, without a byte order mark; NULL when is_bytes */
    size_t length;                   /* of text, or of the bytes */
    bool is_bytes;                   /* the bytes are valid UTF-8 and are the text as they stand, a byte order mark included */
    char encoding[SX_ENCODING_NAME]; /* "utf-8", "utf-16le, 3 invalid sequences replaced" ... */
} sx_decoded;

/* Finds the encoding: byte order mark, UTF-8, UTF-16/32 without a mark, the declared one, else the most plausible of
 * windows-1252, windows-1251, shift-jis and gb18030. `declared` is a label the document carries ("iso-8859-1"); NULL, an
 * unknown label and one of the UTF family count as none. Bytes that are no text give SX_E_UNSUPPORTED with a short reason
 * ("binary file (NUL byte at 17)").
 * A few NUL bytes in what is otherwise clean UTF-8 are kept and counted in `encoding`. */
sx_status sx_decode(const void *data, size_t length, const char *declared, sx_decoded *decoded, sx_error *error);
void sx_decoded_clear(sx_decoded *decoded);

/* How many bytes from the beginning are valid UTF-8 (Unicode 15, table 3-7). */
size_t sx_encoding_utf8_prefix(const void *data, size_t length);

/* True when there is nothing but white space (Unicode's) and byte order marks in valid UTF-8. */
bool sx_encoding_is_blank(const char *text, size_t length);

#endif
