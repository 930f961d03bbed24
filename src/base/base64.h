/* base64.h - reading base64 (RFC 4648, section 4); json_writer.h writes it. */
#ifndef SX_BASE_BASE64_H
#define SX_BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>

/* Decodes into exactly `bytes` bytes. Padding may be missing. False for other characters and another length. */
bool sx_base64_decode(const char *text, size_t length, void *to, size_t bytes);
/* The six bits that a character stands for; negative: it is none of the alphabet. */
int sx_base64_digit(char character);

#endif
