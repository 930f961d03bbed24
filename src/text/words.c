/* words.c - splits a text into the words of the keyword index.
 *
 * A run of letters, digits and underscores is an identifier. It is cut where small letters meet capitals, where the last of
 * several capitals begins a word (HTTPServer), at digits and at underscores; the parts are visited, with English endings cut off,
 * and the whole when there is more than one. Scripts that put no space between words give every character and every two
 * neighbours instead. Case and width are folded and accents dropped by Unicode's compatibility decomposition (UAX 15), so that
 * a ligature of a PDF is two letters again. ASCII, which is most of all text, takes a shorter way through the same steps.
 */
#include "words.h"

#include "../base/code_point.h"
#include "unicode.h"

#include <string.h>
#include <utf8proc.h>

enum { MOST_PARTS = 32, MOST_FOLDED = 18, NO_SIGN = 0 };

typedef enum letter_class { LETTER_NONE, LETTER_LOWER, LETTER_UPPER, LETTER_DIGIT, LETTER_UNDERSCORE, LETTER_IDEOGRAPH } letter_class;

/* A part of the identifier in hand: a range of its folded text. */
typedef struct word_part {
    size_t start, end;
} word_part;

typedef struct splitter {
    sx_word_visit visit;
    void *user;
    bool going;
    /* the identifier in hand */
    char folded[SX_WORD_BYTES * 4];
    size_t length;
    word_part parts[MOST_PARTS];
    size_t part_count;
    letter_class last;
    size_t capitals; /* capitals in a row at the end of the part in hand */
    size_t capital;  /* where the last of them begins */
    /* what came before it */
    char previous[SX_WORD_BYTES];
    size_t previous_length;
    bool joined; /* one sign stands between the previous identifier and this one */
    char ideograph[MOST_FOLDED * 4]; /* the character before, in scripts without spaces */
    size_t ideograph_length;
} splitter;

static void give(splitter *split, const char *word, size_t length, sx_word_kind kind)
{
    if (length > SX_WORD_BYTES)
        length = SX_WORD_BYTES;
    if (split->going && length)
        split->going = split->visit(word, length, kind, split->user);
}

/* ---- Classes of characters ---- */

/* Scripts written without spaces between words: Thai to Myanmar, Khmer, kana, Chinese characters, Hangul (whose words carry
 * their particles with them). */
static bool is_ideograph(uint32_t code)
{
    return (code >= 0x0e01 && code <= 0x0eff) || (code >= 0x1000 && code <= 0x109f) || (code >= 0x1780 && code <= 0x17ff) ||
           (code >= 0x3005 && code <= 0x3007) || (code >= 0x3041 && code <= 0x312f) || (code >= 0x31f0 && code <= 0x31ff) ||
           (code >= 0x3400 && code <= 0x4dbf) || (code >= 0x4e00 && code <= 0x9fff) || (code >= 0xac00 && code <= 0xd7a3) ||
           (code >= 0xf900 && code <= 0xfaff) || (code >= 0xff66 && code <= 0xff9f) || (code >= 0x20000 && code <= 0x323af);
}

static letter_class class_of(uint32_t code)
{
    if (code < 0x80) {
        if (code >= 'a' && code <= 'z')
            return LETTER_LOWER;
        if (code >= 'A' && code <= 'Z')
            return LETTER_UPPER;
        if (code >= '0' && code <= '9')
            return LETTER_DIGIT;
        return code == '_' ? LETTER_UNDERSCORE : LETTER_NONE;
    }
    unsigned classes = sx_unicode_classes(code);
    if (!(classes & (SX_CLASS_LETTER | SX_CLASS_MARK | SX_CLASS_NUMBER)))
        return LETTER_NONE;
    if (is_ideograph(code))
        return LETTER_IDEOGRAPH;
    if (classes & (SX_CLASS_UPPER | SX_CLASS_TITLE))
        return LETTER_UPPER;
    return classes & SX_CLASS_NUMBER ? LETTER_DIGIT : LETTER_LOWER;
}

/* Writes the character without case, width and accents; returns the bytes, 0 when nothing is left of it. */
static size_t fold(uint32_t code, char to[MOST_FOLDED * 4])
{
    utf8proc_int32_t folded[MOST_FOLDED];
    int boundary = 0;
    size_t length = 0;
    utf8proc_option_t options = UTF8PROC_CASEFOLD | UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE;
    if (code >= 0xac00 && code <= 0xd7a3) /* Hangul syllables stay whole */
        return sx_utf8_encode(code, to);
    utf8proc_ssize_t count = utf8proc_decompose_char((utf8proc_int32_t)code, folded, MOST_FOLDED, options, &boundary);
    if (count < 1 || count > MOST_FOLDED)
        return sx_utf8_encode(code, to);
    for (utf8proc_ssize_t i = 0; i < count; i++) {
        bool accent = folded[i] >= 0x300 && folded[i] <= 0x36f;
        bool sign = folded[i] < 0x80 && class_of((uint32_t)folded[i]) == LETTER_NONE; /* 1/4, (a) */
        if (!accent && !sign)
            length += sx_utf8_encode((uint32_t)folded[i], to + length);
    }
    return length;
}

/* ---- Identifiers ---- */

static void end_part(splitter *split, size_t at)
{
    size_t start = split->part_count ? split->parts[split->part_count - 1].end : 0;
    while (start < at && split->folded[start] == '_')
        start++;
    if (start < at && split->part_count < MOST_PARTS)
        split->parts[split->part_count++] = (word_part){start, at};
    split->capitals = 0;
}

/* Whether the part that ends at the last letter must end before this one. */
static void cut_before(splitter *split, letter_class class, uint32_t code, bool ends_after)
{
    letter_class last = split->last;
    if (last == LETTER_NONE || last == LETTER_UNDERSCORE || class == last)
        return;
    if (last == LETTER_UPPER && class == LETTER_LOWER) {
        /* "HTTPServer" is cut before the S; "GPUs" is one word. */
        if (split->capitals > 1 && !(code == 's' && ends_after))
            end_part(split, split->capital);
        return;
    }
    end_part(split, split->length);
}

static void add_letter(splitter *split, uint32_t code, letter_class class, bool ends_after)
{
    char bytes[MOST_FOLDED * 4];
    size_t count = 1;
    cut_before(split, class, code, ends_after);
    if (code < 0x80)
        bytes[0] = (char)(class == LETTER_UPPER ? code + ('a' - 'A') : code);
    else
        count = fold(code, bytes);
    if (split->length + count > sizeof split->folded)
        return;
    if (class == LETTER_UPPER) {
        split->capitals = split->last == LETTER_UPPER ? split->capitals + 1 : 1;
        split->capital = split->length;
    }
    memcpy(split->folded + split->length, bytes, count);
    split->length += count;
    split->last = class;
}

static void end_identifier(splitter *split)
{
    if (split->last == LETTER_NONE)
        return;
    size_t end = split->length, start = 0;
    while (end > 0 && split->folded[end - 1] == '_')
        end--;
    while (start < end && split->folded[start] == '_')
        start++;
    end_part(split, end);
    for (size_t i = 0; i < split->part_count; i++) {
        char word[SX_WORD_BYTES + 8];
        size_t length = split->parts[i].end - split->parts[i].start;
        while (length && split->folded[split->parts[i].start + length - 1] == '_')
            length--;
        length = length > SX_WORD_BYTES ? SX_WORD_BYTES : length;
        memcpy(word, split->folded + split->parts[i].start, length);
        give(split, word, sx_word_stem(word, length), SX_WORD_PLAIN);
    }
    size_t whole = end - start;
    if (split->part_count > 1)
        give(split, split->folded + start, whole, SX_WORD_WHOLE);
    if (split->joined && split->previous_length && whole) {
        char pair[2 * SX_WORD_BYTES + 1];
        size_t right = whole > SX_WORD_BYTES ? SX_WORD_BYTES : whole;
        memcpy(pair, split->previous, split->previous_length);
        pair[split->previous_length] = '.';
        memcpy(pair + split->previous_length + 1, split->folded + start, right);
        give(split, pair, split->previous_length + 1 + right, SX_WORD_PAIR);
    }
    split->previous_length = whole > SX_WORD_BYTES ? SX_WORD_BYTES : whole;
    memcpy(split->previous, split->folded + start, split->previous_length);
    split->length = split->part_count = split->capitals = 0;
    split->last = LETTER_NONE;
    split->joined = false;
}

/* Bytes of the sign that joins identifiers at text[0], or 0. */
static size_t sign_length(const char *text, size_t length)
{
    if (length >= 2 && ((text[0] == ':' && text[1] == ':') || (text[0] == '-' && text[1] == '>')))
        return 2;
    return text[0] == '.' || text[0] == '-' || text[0] == '/' || text[0] == '\\' ? 1 : 0;
}

static bool letter_at(const char *text, size_t length)
{
    if (!length)
        return false;
    letter_class class = class_of(sx_utf8_decode(text, length).code);
    return class != LETTER_NONE && class != LETTER_IDEOGRAPH;
}

/* ---- Scripts without spaces ---- */

static void add_ideograph(splitter *split, uint32_t code)
{
    char bytes[MOST_FOLDED * 4], pair[MOST_FOLDED * 8];
    size_t length = fold(code, bytes);
    if (!length)
        return;
    /* A vowel sign or tone mark belongs to the character before it. */
    give(split, bytes, length, SX_WORD_PLAIN);
    if (split->ideograph_length) {
        memcpy(pair, split->ideograph, split->ideograph_length);
        memcpy(pair + split->ideograph_length, bytes, length);
        give(split, pair, split->ideograph_length + length, SX_WORD_PLAIN);
    }
    memcpy(split->ideograph, bytes, length);
    split->ideograph_length = length;
}

bool sx_words_split(const char *text, size_t length, sx_word_visit visit, void *user)
{
    splitter split = {.visit = visit, .user = user, .going = true};
    for (size_t at = 0; at < length && split.going;) {
        unsigned char byte = (unsigned char)text[at];
        sx_code_point point = byte < 0x80 ? (sx_code_point){byte, 1, true} : sx_utf8_decode(text + at, length - at);
        letter_class class = class_of(point.code);
        at += point.length;
        if (class != LETTER_IDEOGRAPH)
            split.ideograph_length = 0;
        if (class == LETTER_NONE) {
            bool after_letter = split.last != LETTER_NONE;
            end_identifier(&split);
            size_t sign = after_letter ? sign_length(text + at - point.length, length - at + point.length) : 0;
            split.joined = sign && letter_at(text + at - point.length + sign, length - at + point.length - sign);
            if (split.joined)
                at += sign - point.length;
        } else if (class == LETTER_IDEOGRAPH) {
            end_identifier(&split);
            split.joined = false;
            add_ideograph(&split, point.code);
        } else {
            add_letter(&split, point.code, class, !letter_at(text + at, length - at));
        }
    }
    end_identifier(&split);
    return split.going;
}
