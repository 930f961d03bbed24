/* chunk_boundaries.c - how good a cut a place in a text would be: where paragraphs, items, lines, sentences and words begin. Every
 * look around is bounded, so that no input makes a cut cost more than a constant. */
#include "chunk_internal.h"

#include <string.h>

/* How far back of a place blanks are looked through for line ends. */
enum { BLANK_REACH = 256 };

/* Line ends among the blanks before offset: 0, 1 or 2 for more. */
static unsigned line_ends_before(const char *text, size_t begin, size_t offset)
{
    size_t reach = offset - begin > BLANK_REACH ? offset - BLANK_REACH : begin;
    unsigned ends = 0;
    size_t bytes;
    while (ends < 2 && (bytes = sx_blank_before(text, reach, offset)) != 0) {
        offset -= bytes;
        bool carriage_return = text[offset] == '\r';
        bool of_pair = text[offset] == '\n' && offset > reach && text[offset - 1] == '\r';
        if (text[offset] == '\n' || carriage_return)
            ends++;
        if (of_pair)
            offset--;
    }
    return ends;
}

/* Ideographic commas and their like: a phrase ends, where other scripts would have put a space. */
static bool is_ideographic_comma(int32_t code_point)
{
    return code_point == 0x3001 || code_point == 0xff0c || code_point == 0xff1a || code_point == 0xff1b || code_point == 0xff64;
}

/* "- item", "* item", "12. item", "12) item" */
static bool item_begins(const char *text, size_t end, size_t offset)
{
    static const char bullet[] = "\xe2\x80\xa2";
    size_t at = offset;
    while (at < end && at - offset < 3 && text[at] >= '0' && text[at] <= '9')
        at++;
    if (at > offset)
        at = at < end && (text[at] == '.' || text[at] == ')') ? at + 1 : end;
    else if (text[at] == '-' || text[at] == '*' || text[at] == '+')
        at++;
    else if (end - at > 3 && memcmp(text + at, bullet, 3) == 0)
        at += 3;
    else
        return false;
    return at < end && (text[at] == ' ' || text[at] == '\t');
}

sx_cut sx_cut_at(const char *text, size_t begin, size_t end, size_t offset)
{
    if (offset <= begin || offset >= end)
        return SX_CUT_NONE;
    if (sx_blank_before(text, begin, offset)) {
        unsigned ends = line_ends_before(text, begin, offset);
        if (ends > 1)
            return SX_CUT_PARAGRAPH;
        if (ends)
            return item_begins(text, end, offset) ? SX_CUT_ITEM : SX_CUT_LINE;
        return sx_sentence_begins(text, begin, end, offset) ? SX_CUT_SENTENCE : SX_CUT_WORD;
    }
    if ((unsigned char)text[offset - 1] < 0x80)
        return SX_CUT_NONE;
    size_t bytes;
    int32_t before = sx_code_point_before(text, begin, offset, &bytes);
    if (is_ideographic_comma(before))
        return SX_CUT_WORD;
    if ((sx_is_ideographic_stop(before) || sx_is_closing(before)) && sx_sentence_begins(text, begin, end, offset))
        return SX_CUT_SENTENCE;
    return SX_CUT_NONE;
}
