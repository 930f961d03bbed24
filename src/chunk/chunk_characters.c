/* chunk_characters.c - the characters around a place in a text: code points, white space, grapheme clusters (UAX #29 through
 * utf8proc). Every look around is bounded, so that no input makes a step cost more than a constant. */
#include "chunk_internal.h"

#include <utf8proc.h>

/* How far back a grapheme cluster's beginning is looked for. Longer clusters are not text; they are cut between code points. */
enum { CLUSTER_REACH = 256 };

static bool is_ascii_blank(unsigned char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r') || (byte >= 0x1c && byte <= 0x1f);
}

/* The white space of Python's str.strip beyond ASCII: bidirectional types WS, B and S, and category Zs. */
static bool is_wide_blank(int32_t code_point)
{
    return code_point == 0x85 || code_point == 0xa0 || code_point == 0x1680 || (code_point >= 0x2000 && code_point <= 0x200a) ||
           code_point == 0x2028 || code_point == 0x2029 || code_point == 0x202f || code_point == 0x205f || code_point == 0x3000;
}

static bool continues(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

int32_t sx_code_point_at(const char *text, size_t end, size_t offset, size_t *bytes)
{
    unsigned char first = (unsigned char)text[offset];
    *bytes = 1;
    if (first < 0x80)
        return first;
    size_t left = end - offset;
    utf8proc_int32_t code_point;
    utf8proc_ssize_t read = utf8proc_iterate((const utf8proc_uint8_t *)text + offset, left < 4 ? (utf8proc_ssize_t)left : 4,
                                             &code_point);
    if (read <= 0)
        return 0xfffd;
    *bytes = (size_t)read;
    return code_point;
}

int32_t sx_code_point_before(const char *text, size_t begin, size_t offset, size_t *bytes)
{
    for (size_t back = 1; back <= 4 && back <= offset - begin; back++) {
        if (continues(text[offset - back]))
            continue;
        int32_t code_point = sx_code_point_at(text, offset, offset - back, bytes);
        if (*bytes == back)
            return code_point;
        break;
    }
    *bytes = 1;
    return 0xfffd;
}

size_t sx_code_point_start(const char *text, size_t begin, size_t end, size_t offset)
{
    if (offset >= end)
        return end;
    size_t start = offset;
    while (start > begin && offset - start < 3 && continues(text[start]))
        start--;
    size_t bytes;
    sx_code_point_at(text, end, start, &bytes);
    return start + bytes > offset ? start : offset;
}

size_t sx_blank_at(const char *text, size_t end, size_t offset)
{
    if (offset >= end)
        return 0;
    unsigned char byte = (unsigned char)text[offset];
    if (byte < 0x80)
        return is_ascii_blank(byte);
    if (byte != 0xc2 && byte != 0xe1 && byte != 0xe2 && byte != 0xe3)
        return 0;
    size_t bytes;
    return is_wide_blank(sx_code_point_at(text, end, offset, &bytes)) ? bytes : 0;
}

size_t sx_blank_before(const char *text, size_t begin, size_t offset)
{
    if (offset <= begin)
        return 0;
    unsigned char byte = (unsigned char)text[offset - 1];
    if (byte < 0x80)
        return is_ascii_blank(byte);
    size_t bytes;
    return is_wide_blank(sx_code_point_before(text, begin, offset, &bytes)) ? bytes : 0;
}

size_t sx_skip_blank(const char *text, size_t end, size_t offset)
{
    size_t bytes;
    while ((bytes = sx_blank_at(text, end, offset)) != 0)
        offset += bytes;
    return offset;
}

size_t sx_trim_blank(const char *text, size_t begin, size_t offset)
{
    size_t bytes;
    while ((bytes = sx_blank_before(text, begin, offset)) != 0)
        offset -= bytes;
    return offset;
}

size_t sx_grapheme_back(const char *text, size_t begin, size_t end, size_t offset)
{
    if (offset >= end)
        return end;
    offset = sx_code_point_start(text, begin, end, offset);
    if (offset <= begin)
        return begin;
    /* Between two ASCII characters only CR LF holds together. */
    unsigned char left = (unsigned char)text[offset - 1], right = (unsigned char)text[offset];
    if (left < 0x80 && right < 0x80 && !(left == '\r' && right == '\n'))
        return offset;
    /* Clusters are counted from as far back as we look; a count begun inside one is right again at its end. */
    size_t from = offset - begin > CLUSTER_REACH ? offset - CLUSTER_REACH : begin;
    from = sx_code_point_start(text, begin, end, from);
    size_t found = begin, bytes;
    utf8proc_int32_t state = 0;
    int32_t previous = sx_code_point_at(text, end, from, &bytes);
    for (size_t at = from + bytes; at <= offset && at < end; at += bytes) {
        int32_t next = sx_code_point_at(text, end, at, &bytes);
        if (utf8proc_grapheme_break_stateful(previous, next, &state))
            found = at;
        previous = next;
    }
    return found > begin ? found : offset;
}
