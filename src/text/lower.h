/* lower.h - a text in lower case as Python's str.lower() gives it, which sentence-transformers calls for do_lower_case. */
#ifndef SX_TEXT_LOWER_H
#define SX_TEXT_LOWER_H

#include "../base/buffer.h"

/* Appends the text in lower case; invalid UTF-8 becomes U+FFFD. False when memory ran out. */
bool sx_text_lower(const char *text, size_t length, sx_buffer *buffer);

#endif
