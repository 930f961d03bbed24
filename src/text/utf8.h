/* utf8.h - reading and writing UTF-8; invalid input becomes U+FFFD, one for each maximal subpart (Unicode 15, section 3.9). */
#ifndef SX_TEXT_UTF8_H
#define SX_TEXT_UTF8_H

#include "../base/code_point.h"

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
