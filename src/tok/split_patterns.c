/* split_patterns.c - scanners for the splitting patterns of GPT-2 (Radford et al. 2019) and its successors.
 *
 * All of them try the same things in the same order: a contraction ('s, 'll), a word with at most one character before it,
 * digits, other characters with at most a space before them and line ends behind, white space up to the last line end in it,
 * white space without its last character, white space. What differs is in the parameters. Where the regular expression would
 * go back, the scanner knows what it would come to; each character is looked at no more than three times. */
#include "split_patterns.h"

#include "../text/unicode.h"
#include "../text/utf8.h"

#include <stdint.h>
#include <string.h>

typedef enum contraction_kind {
    NO_CONTRACTION,
    LOWER_CASE_CONTRACTION, /* first of all, as written */
    CONTRACTION,            /* first of all, (?i: */
    CONTRACTION_SUFFIX      /* belongs to the word before it, (?i: */
} contraction_kind;

struct sx_split_pattern {
    contraction_kind contraction;
    bool space_only;        /* nothing but a space may stand before a word, and may stand before digits too */
    bool cased;             /* words: upper case, then lower case, [A]*[B]+|[A]+[B]* (o200k) */
    unsigned letters;       /* classes of words; when `cased`, of both parts together */
    unsigned symbols_not;   /* classes that never belong to other characters */
    size_t digits;          /* longest run of digits */
    bool lines;             /* line ends join the characters before them; white space is cut behind its last line end */
    bool slashes;           /* so do slashes */
    bool whole_end;         /* white space at the end of the text is one piece whatever is in it */
};

enum {
    LETTERS = SX_CLASS_LETTER,
    LETTERS_MARKS = SX_CLASS_LETTER | SX_CLASS_MARK,
    FIRST_PART = LETTERS_MARKS & ~SX_CLASS_LOWER,                     /* Lu Lt Lm Lo M */
    SECOND_PART = LETTERS_MARKS & ~(SX_CLASS_UPPER | SX_CLASS_TITLE), /* Ll Lm Lo M */
    NO_SYMBOL = SX_CLASS_LETTER | SX_CLASS_NUMBER | SX_CLASS_SPACE
};

const sx_split_pattern sx_split_gpt2 = {
    .contraction = LOWER_CASE_CONTRACTION, .space_only = true, .letters = LETTERS, .symbols_not = NO_SYMBOL, .digits = SIZE_MAX};
const sx_split_pattern sx_split_cl100k = {
    .contraction = CONTRACTION, .letters = LETTERS, .symbols_not = NO_SYMBOL, .digits = 3, .lines = true, .whole_end = true};
const sx_split_pattern sx_split_o200k = {.contraction = CONTRACTION_SUFFIX, .cased = true, .letters = LETTERS_MARKS,
                                         .symbols_not = NO_SYMBOL, .digits = 3, .lines = true, .slashes = true};

/* In Oniguruma's Ruby syntax {1,3}+ is a repeated {1,3}, not a possessive one as it is for tiktoken. */
static const sx_split_pattern cl100k_ruby = {.contraction = CONTRACTION, .letters = LETTERS, .symbols_not = NO_SYMBOL,
                                             .digits = SIZE_MAX, .lines = true, .whole_end = true};
static const sx_split_pattern llama3 = {
    .contraction = CONTRACTION, .letters = LETTERS, .symbols_not = NO_SYMBOL, .digits = 3, .lines = true};
static const sx_split_pattern qwen2 = {
    .contraction = CONTRACTION, .letters = LETTERS, .symbols_not = NO_SYMBOL, .digits = 1, .lines = true};
static const sx_split_pattern qwen3_5 = {.contraction = CONTRACTION, .letters = LETTERS_MARKS,
                                         .symbols_not = NO_SYMBOL | SX_CLASS_MARK, .digits = 1, .lines = true};
static const sx_split_pattern tekken = {.cased = true, .letters = LETTERS_MARKS, .symbols_not = NO_SYMBOL, .digits = 1,
                                        .lines = true, .slashes = true};
static const sx_split_pattern tekken_3 = {.cased = true, .letters = LETTERS_MARKS, .symbols_not = NO_SYMBOL, .digits = 3,
                                          .lines = true, .slashes = true};

#define CONTRACTIONS "'s|'t|'re|'ve|'m|'ll|'d"
#define SPACE_LINES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define BEFORE_WORD "[^\\r\\n\\p{L}\\p{N}]?"
#define FIRST "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define SECOND "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define SYMBOLS " ?[^\\s\\p{L}\\p{N}]+"

static const struct {
    const char *pattern;
    const sx_split_pattern *scanner;
} known[] = {
    {CONTRACTIONS "| ?\\p{L}+| ?\\p{N}+|" SYMBOLS "|\\s+(?!\\S)|\\s+", &sx_split_gpt2},
    {"'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+|" SYMBOLS "|\\s+(?!\\S)|\\s+", &sx_split_gpt2},
    {"'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s", &sx_split_gpt2},
    {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+|\\s++$|\\s*[\\r\\n]|"
     "\\s+(?!\\S)|\\s", &cl100k_ruby},
    {"(?i:" CONTRACTIONS ")|" BEFORE_WORD "\\p{L}+|\\p{N}{1,3}|" SYMBOLS "[\\r\\n]*|" SPACE_LINES, &llama3},
    {"'(?i:[sdmt]|ll|ve|re)|" BEFORE_WORD "\\p{L}+|\\p{N}{1,3}|" SYMBOLS "[\\r\\n]*|" SPACE_LINES, &llama3},
    {"(?i:" CONTRACTIONS ")|" BEFORE_WORD "\\p{L}+|\\p{N}|" SYMBOLS "[\\r\\n]*|" SPACE_LINES, &qwen2},
    {"(?i:" CONTRACTIONS ")|" BEFORE_WORD "[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" SPACE_LINES, &qwen3_5},
    {BEFORE_WORD FIRST "*" SECOND "+(?i:" CONTRACTIONS ")?|" BEFORE_WORD FIRST "+" SECOND "*(?i:" CONTRACTIONS ")?|"
     "\\p{N}{1,3}|" SYMBOLS "[\\r\\n/]*|" SPACE_LINES, &sx_split_o200k},
    {BEFORE_WORD FIRST "*" SECOND "+|" BEFORE_WORD FIRST "+" SECOND "*|\\p{N}|" SYMBOLS "[\\r\\n/]*|" SPACE_LINES, &tekken},
    {BEFORE_WORD FIRST "*" SECOND "+|" BEFORE_WORD FIRST "+" SECOND "*|\\p{N}{1,3}|" SYMBOLS "[\\r\\n/]*|" SPACE_LINES,
     &tekken_3},
};

const sx_split_pattern *sx_split_pattern_find(sx_text pattern)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strlen(known[i].pattern) == pattern.length && memcmp(known[i].pattern, pattern.data, pattern.length) == 0)
            return known[i].scanner;
    return NULL;
}

enum {
    O = SX_CLASS_SPACE,
    E = SX_CLASS_SPACE | SX_CLASS_NEWLINE,
    P = SX_CLASS_PUNCTUATION,
    S = SX_CLASS_SYMBOL,
    N = SX_CLASS_NUMBER,
    U = SX_CLASS_UPPER,
    L = SX_CLASS_LOWER
};

/* sx_unicode_classes of ASCII. */
static const uint16_t ascii_classes[128] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, O, E, O, O, E, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    O, P, P, P, S, P, P, P, P, P, P, S, P, P, P, P, N, N, N, N, N, N, N, N, N, N, P, P, S, S, S, P,
    P, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, P, P, P, S, P,
    S, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, P, S, P, S, 0,
};

/* Classes of the character at `at`, and where the next one begins. */
static inline unsigned classes_at(const char *text, size_t length, size_t at, size_t *next)
{
    unsigned char byte = (unsigned char)text[at];
    if (byte < 0x80) {
        *next = at + 1;
        return ascii_classes[byte];
    }
    sx_code_point point = sx_utf8_decode(text + at, length - at);
    *next = at + point.length;
    return sx_unicode_classes(point.code);
}

/* Where the characters of these classes end; no more than `most` of them. */
static inline size_t skip(const char *text, size_t length, size_t at, unsigned wanted, size_t most)
{
    const unsigned char *bytes = (const unsigned char *)text;
    while (at < length && most > 0) {
        size_t next = at + 1;
        unsigned classes = bytes[at] < 0x80 ? ascii_classes[bytes[at]] : classes_at(text, length, at, &next);
        if (!(classes & wanted))
            break;
        at = next;
        most--;
    }
    return at;
}

/* Behind a contraction that begins with the apostrophe at `at`; `at` when there is none. U+017F, the long s, is an s where case
 * does not matter, for Oniguruma as for Rust's regular expressions. */
static size_t contraction_end(const char *text, size_t length, size_t at, bool any_case)
{
    if (length - at < 2 || text[at] != '\'')
        return at;
    unsigned char fold = any_case ? 0x20 : 0;
    unsigned char first = (unsigned char)text[at + 1], second = length - at > 2 ? (unsigned char)text[at + 2] : 0;
    if (any_case && first == 0xc5 && second == 0xbf)
        return at + 3;
    first |= fold;
    if (first == 's' || first == 't' || first == 'm' || first == 'd')
        return at + 2;
    second |= fold;
    if ((second == 'e' && (first == 'r' || first == 'v')) || (second == 'l' && first == 'l'))
        return at + 3;
    return at;
}

/* What [A]*[B]+ matches from `at` on ends at *end and the answer is true; or else what [A]+ matches, if anything. */
static bool cased_end(const char *text, size_t length, size_t at, size_t *end)
{
    size_t first = at, spare = at; /* spare: behind the last character of the first part that may be in the second one too */
    for (size_t next; first < length; first = next) {
        unsigned classes = classes_at(text, length, first, &next);
        if (!(classes & FIRST_PART))
            break;
        if (classes & SECOND_PART)
            spare = next;
    }
    *end = skip(text, length, first, SECOND_PART, SIZE_MAX);
    /* The second part needs a character: the first one gives back what it can spare. */
    if (*end == first && spare > at)
        *end = spare;
    return *end > first || spare > at;
}

/* The end of a word with what stands before it; `at` when there is none. */
static size_t word_end(const sx_split_pattern *pattern, const char *text, size_t length, size_t at, unsigned classes,
                       size_t next)
{
    size_t end = at;
    bool before = pattern->space_only ? text[at] == ' ' : !(classes & (LETTERS | SX_CLASS_NUMBER | SX_CLASS_NEWLINE));
    bool within = classes & pattern->letters; /* a mark may be both */
    if (!pattern->cased) {
        if (before)
            end = skip(text, length, next, pattern->letters, SIZE_MAX);
        else if (within)
            return skip(text, length, next, pattern->letters, SIZE_MAX);
        return before && end > next ? end : within ? next : at;
    }
    if (before) {
        /* Both ways of the first alternative come before the second one; without what stands before, it matches the mark. */
        if (!cased_end(text, length, next, &end) && (within || end == next))
            end = within ? next : at;
    } else if (within) {
        cased_end(text, length, at, &end);
    }
    if (end > at && end < length && pattern->contraction == CONTRACTION_SUFFIX)
        end = contraction_end(text, length, end, true);
    return end;
}

/* The end of white space that begins at `at`. */
static size_t space_end(const sx_split_pattern *pattern, const char *text, size_t length, size_t at)
{
    size_t end = at, last = at, line = at; /* last: where the last character begins; line: behind the last line end */
    for (size_t next; end < length; end = next) {
        unsigned classes = classes_at(text, length, end, &next);
        if (!(classes & SX_CLASS_SPACE))
            break;
        last = end;
        if (classes & SX_CLASS_NEWLINE)
            line = next;
    }
    if (end == length && pattern->whole_end)
        return end;
    if (pattern->lines && line > at)
        return line;
    /* The last one is left to the word behind it. */
    return end < length && last > at ? last : end;
}

size_t sx_split_pattern_next(const sx_split_pattern *pattern, const char *text, size_t length, size_t at)
{
    size_t next, end;
    unsigned classes = classes_at(text, length, at, &next);
    if (text[at] == '\'' && (pattern->contraction == LOWER_CASE_CONTRACTION || pattern->contraction == CONTRACTION)) {
        end = contraction_end(text, length, at, pattern->contraction == CONTRACTION);
        if (end > at)
            return end;
    }
    end = word_end(pattern, text, length, at, classes, next);
    if (end > at)
        return end;
    if (classes & SX_CLASS_NUMBER)
        return skip(text, length, at, SX_CLASS_NUMBER, pattern->digits);
    if (text[at] == ' ' && next < length) {
        size_t behind;
        unsigned following = classes_at(text, length, next, &behind);
        if (pattern->space_only && (following & SX_CLASS_NUMBER))
            return skip(text, length, behind, SX_CLASS_NUMBER, pattern->digits);
        if (!(following & pattern->symbols_not)) {
            classes = following;
            next = behind;
        }
    }
    if (classes & SX_CLASS_SPACE)
        return space_end(pattern, text, length, at);
    for (end = next; end < length; end = next)
        if (classes_at(text, length, end, &next) & pattern->symbols_not)
            break;
    if (pattern->lines)
        while (end < length && (text[end] == '\n' || text[end] == '\r' || (pattern->slashes && text[end] == '/')))
            end++;
    return end;
}
