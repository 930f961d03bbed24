/* utf8.c - reading and writing UTF-8 as a whole. */
#include "utf8.h"

#include "unicode.h"

#include <string.h>

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
