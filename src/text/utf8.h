/* utf8.h - reading and writing UTF-8; invalid input becomes U+FFFD, one for each maximal subpart (Unicode 15, section 3.9). */
#ifndef SX_TEXT_UTF8_H
#define SX_TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SX_REPLACEMENT = 0xfffd, SX_LAST_CODE_POINT = 0x10ffff };

/* One code point of a text. */
typedef struct sx_code_point {
    uint32_t code;   /* SX_REPLACEMENT when invalid */
    uint32_t length; /* bytes it takes in the text, at least 1 */
    bool valid;
} sx_code_point;

/* The code point at text[0]; length is at least 1. */
sx_code_point sx_utf8_decode(const char *text, size_t length);
/* Writes 1-4 bytes and returns how many. A surrogate or a number beyond U+10FFFF is written as U+FFFD. */
unsigned sx_utf8_encode(uint32_t code, char to[4]);
/* Whether the whole text is well-formed; *position (may be NULL) is where the first fault is. */
bool sx_utf8_valid(const char *text, size_t length, size_t *position);
/* Code points, each invalid maximal subpart counted as one. */
size_t sx_utf8_count(const char *text, size_t length);
/* Byte offset of the code point with that number (0 is the first); length when there are not so many. */
size_t sx_utf8_offset(const char *text, size_t length, size_t number);
/* Bytes of `text` before `position` moved down to the start of the code point that contains it. */
size_t sx_utf8_floor(const char *text, size_t length, size_t position);

/* Python's str.strip(): the part of the text between white space (sx_unicode_is_python_space) at both ends. */
void sx_text_strip(const char *text, size_t length, size_t *start, size_t *end);
/* Nothing but such white space, or empty. */
bool sx_text_is_blank(const char *text, size_t length);

#endif
