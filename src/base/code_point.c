/* code_point.c - one code point to and from UTF-8 (Unicode 15, tables 3-6 and 3-7). */
#include "code_point.h"

sx_code_point sx_utf8_decode(const char *text, size_t length)
{
    const unsigned char *bytes = (const unsigned char *)text;
    unsigned char lead = bytes[0];
    if (lead < 0x80)
        return (sx_code_point){lead, 1, true};
    if (lead < 0xc2 || lead > 0xf4)
        return (sx_code_point){SX_REPLACEMENT, 1, false};
    /* The second byte's range says it all: overlong forms, surrogates and codes beyond U+10FFFF fail there. */
    unsigned need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    uint32_t code = lead & (0x7fu >> need);
    for (unsigned i = 1; i < need; i++) {
        if (i >= length || bytes[i] < low || bytes[i] > high)
            return (sx_code_point){SX_REPLACEMENT, i, false};
        code = code << 6 | (bytes[i] & 0x3f);
        low = 0x80;
        high = 0xbf;
    }
    return (sx_code_point){code, need, true};
}

unsigned sx_utf8_encode(uint32_t code, char to[4])
{
    if (code > SX_LAST_CODE_POINT || (code >= 0xd800 && code <= 0xdfff))
        code = SX_REPLACEMENT;
    if (code < 0x80) {
        to[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        to[0] = (char)(0xc0 | code >> 6);
        to[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        to[0] = (char)(0xe0 | code >> 12);
        to[1] = (char)(0x80 | (code >> 6 & 0x3f));
        to[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    to[0] = (char)(0xf0 | code >> 18);
    to[1] = (char)(0x80 | (code >> 12 & 0x3f));
    to[2] = (char)(0x80 | (code >> 6 & 0x3f));
    to[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}
