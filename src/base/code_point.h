/* code_point.h - one code point to and from UTF-8 (Unicode 15, tables 3-6 and 3-7). */
#ifndef SX_BASE_CODE_POINT_H
#define SX_BASE_CODE_POINT_H

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

#endif
