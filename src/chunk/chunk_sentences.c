/* chunk_sentences.c - where sentences begin.
 *
 * After UAX #29, section 5 (sentence boundaries), read for prose: a full stop, exclamation or question mark, closing
 * quotes and brackets, white space, and then nothing in lower case. A full stop after an abbreviation, an initial or a
 * list number ends nothing; decimals and names with stops inside have no white space there. An ideographic full stop
 * ends a sentence with or without white space after it. */
#include "chunk_internal.h"

#include <string.h>
#include <utf8proc.h>

/* The longest word looked at for being an abbreviation, and most closing brackets and blanks looked through. */
enum { WORD_REACH = 16, BACK_REACH = 256 };

bool sx_is_ideographic_stop(int32_t code_point)
{
    return code_point == 0x3002 || code_point == 0xff01 || code_point == 0xff1f || code_point == 0xff61 || code_point == 0xff0e;
}

bool sx_is_closing(int32_t code_point)
{
    if (code_point == '"' || code_point == '\'')
        return true;
    utf8proc_category_t category = utf8proc_category(code_point);
    return category == UTF8PROC_CATEGORY_PE || category == UTF8PROC_CATEGORY_PF;
}

/* Marks beside . ! ? that end sentences in their scripts and have white space after them. */
static bool is_other_stop(int32_t code_point)
{
    static const int32_t stops[] = {'!', '?', 0x2026, 0x203c, 0x203d, 0x2047, 0x2048, 0x2049, 0x0589, 0x061f, 0x06d4,
                                    0x0964, 0x0965, 0x1362, 0x1367, 0x104a, 0x104b, 0x17d4, 0x17d5};
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++)
        if (stops[i] == code_point)
            return true;
    return false;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_letter(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

/* A name, number or reference follows these as a matter of course. */
static bool is_abbreviation(const char *word, size_t length, bool before_digit)
{
    static const char *const always[] = {
        "dr", "mr", "mrs", "ms", "prof", "rev", "gen", "col", "capt", "lt", "sgt", "hon", "sr", "jr", "st", "mt",
        "mme", "mlle", "vs", "cf", "approx", "resp", "incl", "excl", "ca", "bzw", "vgl", "evtl", "ggf", "sog", "dipl",
        "sra", "srta", "dra", "fig", "figs", "eq", "eqs", "al", "viz"};
    static const char *const before_numbers[] = {
        "no", "nos", "nr", "p", "pp", "s", "f", "v", "art", "sec", "ch", "chap", "vol", "tab", "abb", "bd", "kap",
        "ver", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec"};
    char lower[WORD_REACH + 1];
    for (size_t i = 0; i < length; i++)
        lower[i] = (char)(word[i] | 0x20);
    lower[length] = '\0';
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (strcmp(always[i], lower) == 0)
            return true;
    for (size_t i = 0; before_digit && i < sizeof before_numbers / sizeof *before_numbers; i++)
        if (strcmp(before_numbers[i], lower) == 0)
            return true;
    return false;
}

/* Whether the full stop at `stop` belongs to the word before it; the next word is at `next`. */
static bool stop_is_of_word(const char *text, size_t begin, size_t end, size_t stop, size_t next)
{
    size_t start = stop;
    bool inner_stop = false, letters = false, digits = false;
    while (start > begin && stop - start < WORD_REACH) {
        char byte = text[start - 1];
        if (byte == '.' && start < stop)
            inner_stop = true;
        else if (is_letter(byte))
            letters = true;
        else if (is_digit(byte))
            digits = true;
        else
            break;
        start--;
    }
    size_t length = stop - start;
    if (length == 0 || (start > begin && (unsigned char)text[start - 1] >= 0x80)) /* the end of a word in another script */
        return false;
    if (digits && !letters && !inner_stop) {
        /* "1. First": a list number where nothing but blanks stands before it on its line. */
        size_t before = start;
        while (before > begin && start - before < 16 && (text[before - 1] == ' ' || text[before - 1] == '\t'))
            before--;
        return before == begin || text[before - 1] == '\n' || text[before - 1] == '\r';
    }
    if (!letters || digits)
        return false;
    if (inner_stop) /* "e.g.", "U.S.", but not "example.com." */
        return length >= 3 && text[start + 1] == '.';
    bool capital = text[start] < 'a';
    if (length == 1 && capital) /* an initial; "I" ends sentences more often than it begins names */
        return text[start] != 'I';
    if (length == 1 && next + 1 < end && text[next + 1] == '.') /* "z. B." */
        return true;
    return length < WORD_REACH && is_abbreviation(text + start, length, is_digit(text[next]));
}

bool sx_sentence_begins(const char *text, size_t begin, size_t end, size_t offset)
{
    if (offset <= begin || offset >= end)
        return false;
    size_t low = offset - begin > BACK_REACH ? sx_code_point_start(text, begin, end, offset - BACK_REACH) : begin;
    size_t at = sx_trim_blank(text, low, offset), bytes = 0, next_bytes;
    bool blanks = at < offset;
    int32_t next = sx_code_point_at(text, end, offset, &next_bytes), before = 0;
    while (at > low) {
        before = sx_code_point_before(text, low, at, &bytes);
        if (!sx_is_closing(before))
            break;
        at -= bytes;
    }
    if (at == low)
        return false;
    if (sx_is_ideographic_stop(before)) /* closing brackets and further stops still belong to it */
        return blanks || !(sx_is_closing(next) || sx_is_ideographic_stop(next));
    if (!blanks || utf8proc_category(next) == UTF8PROC_CATEGORY_LL)
        return false;
    if (is_other_stop(before))
        return true;
    return before == '.' && !stop_is_of_word(text, low, end, at - 1, offset);
}
