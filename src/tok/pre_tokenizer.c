/* pre_tokenizer.c - cutting a text into pieces, step by step, as the pre-tokenizers of the tokenizers library do.
 *
 * A step looks at each piece for itself: a regular expression does not see what lies before or behind it. Steps that only cut
 * write a new list of pieces; steps that rewrite build the whole text anew once. Every split is a stream of neighbouring parts,
 * each a match or not, from which the behaviour makes pieces. */
#include "pre_tokenizer_internal.h"

#include "../text/unicode.h"
#include "../text/utf8.h"
#include "bpe.h"

#include <stdint.h>
#include <string.h>

/* sx_working_text_put_piece without a call where there is room: most of the time goes into many short pieces. */
static inline void put_piece(sx_working_text *to, size_t begin, size_t end)
{
    if (begin < end && end <= UINT32_MAX && to->piece_count < to->piece_room && !to->no_memory)
        to->pieces[to->piece_count++] = (sx_piece){(uint32_t)begin, (uint32_t)end};
    else
        sx_working_text_put_piece(to, begin, end);
}

/* sx_utf8_decode without a call for ASCII. */
static inline sx_code_point decode(const char *bytes, size_t length)
{
    if ((unsigned char)*bytes < 0x80)
        return (sx_code_point){(unsigned char)*bytes, 1, true};
    return sx_utf8_decode(bytes, length);
}

/* From parts of one piece to pieces. `held` is a piece that may still grow. */
typedef struct splitter {
    sx_working_text *to;
    sx_split_behavior behavior;
    bool invert, previous, has_held;
    size_t held_begin, held_end;
} splitter;

static void release(splitter *s)
{
    if (s->has_held)
        put_piece(s->to, s->held_begin, s->held_end);
    s->has_held = false;
}

static void hold(splitter *s, size_t begin, size_t end)
{
    release(s);
    s->held_begin = begin;
    s->held_end = end;
    s->has_held = true;
}

/* The next part. An empty match is a part too: it parts its neighbours. */
static void put_part(splitter *s, size_t begin, size_t end, bool match)
{
    match ^= s->invert;
    switch (s->behavior) {
    case SX_SPLIT_ISOLATED:
        put_piece(s->to, begin, end);
        break;
    case SX_SPLIT_REMOVED:
        if (!match)
            put_piece(s->to, begin, end);
        break;
    case SX_SPLIT_CONTIGUOUS:
        if (s->has_held && match == s->previous)
            s->held_end = end;
        else
            hold(s, begin, end);
        break;
    case SX_SPLIT_MERGED_WITH_PREVIOUS:
        if (s->has_held && match && !s->previous)
            s->held_end = end;
        else
            hold(s, begin, end);
        break;
    case SX_SPLIT_MERGED_WITH_NEXT: /* of several matches only the last one has a next part that is none */
        if (s->has_held && !match && s->previous)
            s->held_end = end;
        else
            hold(s, begin, end);
        break;
    }
    s->previous = match;
}

/* Behind the last part of a piece. */
static void end_piece(splitter *s)
{
    release(s);
    s->previous = false;
}

static bool is_bert_punctuation(uint32_t code)
{
    if (code < 0x80)
        return code > ' ' && code < 0x7f && !(code >= '0' && code <= '9') && !((code | 0x20) >= 'a' && (code | 0x20) <= 'z');
    return sx_unicode_is_punctuation(code);
}

/* Each character of the class is a match. */
static void split_characters(splitter *s, const char *bytes, size_t begin, size_t end, bool (*is_match)(uint32_t code))
{
    size_t plain = begin;
    for (size_t at = begin; at < end;) {
        sx_code_point point = decode(bytes + at, end - at);
        if (is_match(point.code)) {
            if (plain < at)
                put_part(s, plain, at, false);
            put_part(s, at, at + point.length, true);
            plain = at + point.length;
        }
        at += point.length;
    }
    if (plain < end)
        put_part(s, plain, end, false);
}

static void split_literal(splitter *s, const char *bytes, size_t begin, size_t end, sx_text literal)
{
    size_t at = begin;
    while (at < end) {
        const char *found = literal.length == 1 ? memchr(bytes + at, literal.data[0], end - at)
                                                : memmem(bytes + at, end - at, literal.data, literal.length);
        if (!found)
            break;
        size_t match = (size_t)(found - bytes);
        if (at < match)
            put_part(s, at, match, false);
        at = match + literal.length;
        put_part(s, match, at, true);
    }
    if (at < end)
        put_part(s, at, end, false);
}

/* As the onig crate finds one match after the other: no empty match directly behind another match. */
static void split_regex(splitter *s, const char *bytes, size_t begin, size_t end, const sx_regex *regex)
{
    const char *piece = bytes + begin;
    size_t length = end - begin, from = 0, plain = 0, match, behind, last = SIZE_MAX;
    while (from <= length) {
        int found = sx_regex_next(regex, piece, length, from, &match, &behind);
        if (found < 0)
            s->to->no_memory = true;
        if (found <= 0)
            break;
        if (match == behind && behind == last) {
            from += from < length ? sx_utf8_decode(piece + from, length - from).length : 1;
            continue;
        }
        if (plain < match)
            put_part(s, begin + plain, begin + match, false);
        put_part(s, begin + match, begin + behind, true);
        from = plain = last = behind;
    }
    if (plain < length)
        put_part(s, begin + plain, end, false);
}

/* The pieces of the scanner are all matches. */
static void split_scanner(splitter *s, const char *bytes, size_t begin, size_t end, const sx_split_pattern *scanner)
{
    const char *piece = bytes + begin;
    size_t length = end - begin;
    for (size_t at = 0, next; at < length; at = next) {
        next = sx_split_pattern_next(scanner, piece, length, at);
        put_part(s, begin + at, begin + next, true);
    }
}

/* Words between white space. Beyond ASCII white space begins with one of four bytes. */
static void split_white_space(sx_working_text *to, const char *bytes, size_t begin, size_t end)
{
    size_t word = begin;
    for (size_t at = begin; at < end;) {
        unsigned char byte = (unsigned char)bytes[at];
        uint32_t length = 1;
        bool space = byte == ' ' || (byte >= '\t' && byte <= '\r');
        if (byte == 0xc2 || (byte >= 0xe1 && byte <= 0xe3)) {
            sx_code_point point = sx_utf8_decode(bytes + at, end - at);
            length = point.length;
            space = sx_unicode_is_space(point.code);
        }
        if (space) {
            put_piece(to, word, at);
            word = at + length;
        }
        at += length;
    }
    put_piece(to, word, end);
}

/* Words and runs of other characters between white space, \w+|[^\w\s]+; or, for BERT, punctuation characters each for itself. */
static void split_words(sx_working_text *to, const char *bytes, size_t begin, size_t end, bool bert)
{
    enum { SPACE, WORD, OTHER } last = SPACE, kind;
    size_t word = begin;
    for (size_t at = begin; at < end;) {
        sx_code_point point = decode(bytes + at, end - at);
        bool ascii_word = (point.code - '0' < 10) || ((point.code | 0x20) - 'a' < 26);
        if (ascii_word)
            kind = WORD;
        else if (sx_unicode_is_space(point.code))
            kind = SPACE;
        else
            kind = (bert ? is_bert_punctuation(point.code) : !sx_unicode_is_word(point.code)) ? OTHER : WORD;
        if (kind != last || (bert && kind == OTHER)) {
            if (last != SPACE)
                put_piece(to, word, at);
            word = at;
        }
        last = kind;
        at += point.length;
    }
    if (last != SPACE)
        put_piece(to, word, end);
}

/* Where the script changes a piece begins; kana count as Chinese characters. Spaces belong to the script before them, and those
 * before the first script to none (SentencePiece's trainer, as tokenizers has it). */
static void split_scripts(sx_working_text *to, const char *bytes, size_t begin, size_t end)
{
    size_t piece = end;
    unsigned last = SX_SCRIPT_ANY;
    for (size_t at = begin; at < end;) {
        sx_code_point point = decode(bytes + at, end - at);
        unsigned script = sx_unicode_script(point.code);
        if (script != SX_SCRIPT_ANY) {
            if (piece == end)
                piece = at;
            if (script != last && last != SX_SCRIPT_ANY) {
                put_piece(to, piece, at);
                piece = at;
            }
            last = script;
        }
        at += point.length;
    }
    put_piece(to, piece, end);
}

static void split_fixed_length(sx_working_text *to, const char *bytes, size_t begin, size_t end, size_t characters)
{
    while (begin < end) {
        size_t next = begin + sx_utf8_offset(bytes + begin, end - begin, characters);
        put_piece(to, begin, next);
        begin = next;
    }
}

/* The pieces of one piece. */
static void cut_piece(const sx_pre_tokenizer_step *step, splitter *s, const char *bytes, size_t begin, size_t end)
{
    switch (step->kind) {
    case SX_PRE_TOKENIZER_BERT:
    case SX_PRE_TOKENIZER_WHITESPACE:
        split_words(s->to, bytes, begin, end, step->kind == SX_PRE_TOKENIZER_BERT);
        break;
    case SX_PRE_TOKENIZER_WHITESPACE_SPLIT:
        split_white_space(s->to, bytes, begin, end);
        break;
    case SX_PRE_TOKENIZER_PUNCTUATION:
        split_characters(s, bytes, begin, end, is_bert_punctuation);
        break;
    case SX_PRE_TOKENIZER_DIGITS:
        split_characters(s, bytes, begin, end, sx_unicode_is_numeric);
        break;
    case SX_PRE_TOKENIZER_SCRIPTS:
        split_scripts(s->to, bytes, begin, end);
        break;
    case SX_PRE_TOKENIZER_FIXED_LENGTH:
        split_fixed_length(s->to, bytes, begin, end, step->characters);
        break;
    case SX_PRE_TOKENIZER_CHARACTER:
    case SX_PRE_TOKENIZER_SPLIT_LITERAL:
    case SX_PRE_TOKENIZER_METASPACE:
        split_literal(s, bytes, begin, end, step->pattern);
        break;
    case SX_PRE_TOKENIZER_SPLIT_REGEX:
        split_regex(s, bytes, begin, end, step->regex);
        break;
    case SX_PRE_TOKENIZER_SPLIT_SCANNER:
    case SX_PRE_TOKENIZER_BYTE_LEVEL:
        split_scanner(s, bytes, begin, end, step->scanner);
        break;
    }
    end_piece(s);
}

static void swap_pieces(sx_working_text *one, sx_working_text *other)
{
    sx_piece *pieces = one->pieces;
    size_t count = one->piece_count, room = one->piece_room;
    one->pieces = other->pieces;
    one->piece_count = other->piece_count;
    one->piece_room = other->piece_room;
    other->pieces = pieces;
    other->piece_count = count;
    other->piece_room = room;
}

/* New pieces for the same bytes. */
static void cut(const sx_pre_tokenizer_step *step, sx_working_text *text, sx_working_text *spare)
{
    splitter s = {.to = spare, .behavior = step->behavior, .invert = step->invert};
    spare->piece_count = 0;
    spare->no_memory = false;
    for (size_t i = 0; i < text->piece_count && !spare->no_memory; i++)
        cut_piece(step, &s, text->bytes, text->pieces[i].begin, text->pieces[i].end);
    text->no_memory |= spare->no_memory;
    swap_pieces(text, spare);
}

static void swap_texts(sx_working_text *one, sx_working_text *other)
{
    sx_working_text kept = *one;
    *one = *other;
    *other = kept;
}

/* What is put before a piece comes from where its first character comes from. */
static void put_before(sx_working_text *to, const sx_working_text *from, size_t begin, size_t end, sx_text prefix)
{
    size_t last = begin + sx_utf8_decode(from->bytes + begin, end - begin).length - 1;
    sx_working_text_put(to, prefix.data, prefix.length, from->starts[begin], from->ends[last]);
}

static bool begins_with(const sx_working_text *text, const sx_piece *piece, sx_text what)
{
    return piece->end - piece->begin >= what.length && memcmp(text->bytes + piece->begin, what.data, what.length) == 0;
}

static void prefix_spaces(sx_working_text *text, sx_working_text *spare)
{
    sx_text space = {" ", 1};
    sx_working_text_reset(spare);
    for (size_t i = 0; i < text->piece_count && !spare->no_memory; i++) {
        const sx_piece *piece = &text->pieces[i];
        size_t begin = spare->length;
        if (!begins_with(text, piece, space))
            put_before(spare, text, piece->begin, piece->end, space);
        sx_working_text_put_part(spare, text, piece->begin, piece->end);
        put_piece(spare, begin, spare->length);
    }
    swap_texts(text, spare);
}

/* Spaces become the replacement, and one is put before a piece that has none there. */
static void replace_spaces(const sx_pre_tokenizer_step *step, bool first, sx_working_text *text, sx_working_text *spare)
{
    sx_text space = {" ", 1};
    sx_working_text_reset(spare);
    for (size_t i = 0; i < text->piece_count && !spare->no_memory; i++) {
        const sx_piece *piece = &text->pieces[i];
        size_t begin = spare->length, at = piece->begin;
        bool prepend = step->prepend == SX_PREPEND_ALWAYS ||
                       (step->prepend == SX_PREPEND_FIRST && first && text->starts[at] == 0);
        if (prepend && !begins_with(text, piece, space) && !begins_with(text, piece, step->pattern))
            put_before(spare, text, at, piece->end, step->pattern);
        while (at < piece->end) {
            const char *found = memchr(text->bytes + at, ' ', piece->end - at);
            size_t next = found ? (size_t)(found - text->bytes) : piece->end;
            sx_working_text_put_part(spare, text, at, next);
            if (found)
                sx_working_text_put(spare, step->pattern.data, step->pattern.length, text->starts[next], text->ends[next]);
            at = found ? next + 1 : next;
        }
        put_piece(spare, begin, spare->length);
    }
    swap_texts(text, spare);
}

/* Bytes into GPT-2's byte characters, for the steps behind ByteLevel, which see these. */
static void spell_bytes(sx_working_text *text, sx_working_text *spare)
{
    sx_working_text_reset(spare);
    for (size_t i = 0; i < text->piece_count && !spare->no_memory; i++) {
        size_t begin = spare->length;
        for (size_t at = text->pieces[i].begin; at < text->pieces[i].end; at++)
            sx_working_text_put_code(spare, sx_byte_character((unsigned char)text->bytes[at]), text->starts[at],
                                     text->ends[at]);
        put_piece(spare, begin, spare->length);
    }
    swap_texts(text, spare);
}

/* And back. */
static void unspell_bytes(sx_working_text *text, sx_working_text *spare)
{
    sx_working_text_reset(spare);
    for (size_t i = 0; i < text->piece_count && !spare->no_memory; i++) {
        size_t begin = spare->length, end = text->pieces[i].end;
        for (size_t at = text->pieces[i].begin; at < end;) {
            sx_code_point point = decode(text->bytes + at, end - at);
            char byte = (char)sx_character_byte(point.code);
            sx_working_text_put(spare, &byte, 1, text->starts[at], text->ends[at]);
            at += point.length;
        }
        put_piece(spare, begin, spare->length);
    }
    swap_texts(text, spare);
}

void sx_pre_tokenizer_run(const sx_pre_tokenizer *pre_tokenizer, bool first, sx_working_text *text, sx_working_text *spare)
{
    bool spelt = false;
    text->piece_count = 0;
    put_piece(text, 0, text->length);
    for (size_t i = 0; i < pre_tokenizer->count && !text->no_memory; i++) {
        const sx_pre_tokenizer_step *step = &pre_tokenizer->steps[i];
        bool cuts = true;
        if (step->kind == SX_PRE_TOKENIZER_METASPACE) {
            replace_spaces(step, first, text, spare);
            cuts = step->split;
        } else if (step->kind == SX_PRE_TOKENIZER_BYTE_LEVEL) {
            if (step->add_prefix_space)
                prefix_spaces(text, spare);
            cuts = step->use_regex;
        }
        if (cuts && !text->no_memory)
            cut(step, text, spare);
        if (step->kind == SX_PRE_TOKENIZER_BYTE_LEVEL && i + 1 < pre_tokenizer->count && !text->no_memory) {
            spell_bytes(text, spare);
            spelt = true;
        }
    }
    if (spelt && !text->no_memory)
        unspell_bytes(text, spare);
}
