/* base64.c - reading base64 (RFC 4648, section 4). */
#include "base64.h"

#include <stdint.h>

int sx_base64_digit(char digit)
{
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 52;
    return digit == '+' ? 62 : digit == '/' ? 63 : -1;
}

bool sx_base64_decode(const char *text, size_t length, void *to, size_t bytes)
{
    unsigned char *out = to;
    uint32_t bits = 0;
    unsigned held = 0;
    size_t done = 0, digits = bytes / 3 * 4 + (bytes % 3 ? bytes % 3 + 1 : 0);
    if (length > digits && length - digits <= 2 && length % 4 == 0) /* padding */
        while (length > digits && text[length - 1] == '=')
            length--;
    if (length != digits)
        return false;
    for (size_t i = 0; i < length; i++) {
        int value = sx_base64_digit(text[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[done++] = (unsigned char)(bits >> held);
        }
    }
    return true;
}
