/* utf8.c - reading and writing UTF-8 (Unicode 15, tables 3-6 and 3-7). */
#include "utf8.h"

#include "unicode.h"

#include <string.h>

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

/* ASCII bytes from `position` on, eight at a time. */
static size_t skip_ascii(const char *text, size_t length, size_t position)
{
    while (length - position >= 8) {
        uint64_t word;
        memcpy(&word, text + position, 8);
        if (word & 0x8080808080808080u)
            break;
        position += 8;
    }
    while (position < length && (unsigned char)text[position] < 0x80)
        position++;
    return position;
}

bool sx_utf8_valid(const char *text, size_t length, size_t *position)
{
    for (size_t at = 0; (at = skip_ascii(text, length, at)) < length;) {
        sx_code_point point = sx_utf8_decode(text + at, length - at);
        if (!point.valid) {
            if (position)
                *position = at;
            return false;
        }
        at += point.length;
    }
    return true;
}

size_t sx_utf8_count(const char *text, size_t length)
{
    size_t count = 0, at = 0;
    while (at < length) {
        size_t ascii = skip_ascii(text, length, at);
        count += ascii - at;
        at = ascii;
        while (at < length && (unsigned char)text[at] >= 0x80) {
            at += sx_utf8_decode(text + at, length - at).length;
            count++;
        }
    }
    return count;
}

size_t sx_utf8_offset(const char *text, size_t length, size_t number)
{
    size_t at = 0;
    for (; number > 0 && at < length; number--)
        at += sx_utf8_decode(text + at, length - at).length;
    return at;
}

size_t sx_utf8_floor(const char *text, size_t length, size_t position)
{
    if (position >= length)
        return length;
    size_t start = position;
    while (start > 0 && position - start < 3 && ((unsigned char)text[start] & 0xc0) == 0x80)
        start--;
    /* Among the candidates only one code point, or invalid part, covers the position: walk on to it. */
    while (start < position) {
        size_t next = start + sx_utf8_decode(text + start, length - start).length;
        if (next > position)
            return start;
        start = next;
    }
    return position;
}

void sx_text_strip(const char *text, size_t length, size_t *start, size_t *end)
{
    size_t first = 0, last = length;
    while (first < last) {
        sx_code_point point = sx_utf8_decode(text + first, last - first);
        if (!sx_unicode_is_python_space(point.code))
            break;
        first += point.length;
    }
    while (last > first) {
        size_t at = sx_utf8_floor(text, last, last - 1);
        sx_code_point point = sx_utf8_decode(text + at, last - at);
        if (at < first || at + point.length != last || !sx_unicode_is_python_space(point.code))
            break;
        last = at;
    }
    *start = first;
    *end = last;
}

bool sx_text_is_blank(const char *text, size_t length)
{
    size_t start, end;
    sx_text_strip(text, length, &start, &end);
    return start == end;
}
