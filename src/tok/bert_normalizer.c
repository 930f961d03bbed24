/* bert_normalizer.c - the four steps of BertNormalizer (Devlin et al. 2018; tokenizers' normalizers/bert.rs) in one pass.
 *
 * The steps look at one character at a time but for canonical ordering inside NFD, which only matters where a combining
 * character outlives accent stripping (a spacing mark with a combining class); only those stretches are gathered and sorted.
 * The original's bytes of each character follow tokenizers' alignment rules: the k-th character of the reordered text that
 * begins a decomposition takes the place of the k-th character before it, the rest of a decomposition joins its beginning. */
#include "bert_normalizer.h"

#include "../base/memory.h"
#include "../text/unicode.h"
#include "../text/utf8.h"

#include <stdlib.h>

enum { CLASSES = 256 };

/* A character that survived cleaning, and where it was. */
typedef struct source_character {
    uint32_t code, start, end;
} source_character;

/* A member of a decomposition. */
typedef struct decomposed {
    uint32_t code;
    uint8_t combining_class;
    bool first; /* of its decomposition */
} decomposed;

typedef struct normalizer_run {
    const sx_bert_normalizer *normalizer;
    const char *text;
    size_t end;
    sx_character_sink *sink;
    void *user;
} normalizer_run;

int sx_bert_normalize_ascii(const sx_bert_normalizer *normalizer, unsigned char byte)
{
    if (normalizer->clean_text) {
        if (byte == '\t' || byte == '\n' || byte == '\r')
            return ' ';
        if (byte < 0x20 || byte == 0x7f)
            return -1;
    }
    if (normalizer->lowercase && byte >= 'A' && byte <= 'Z')
        return byte + ('a' - 'A');
    return byte;
}

/* Cleans one code point; false when it is removed. */
static bool clean(const sx_bert_normalizer *normalizer, uint32_t *code)
{
    if (!normalizer->clean_text)
        return true;
    if (*code == '\t' || *code == '\n' || *code == '\r') {
        *code = ' ';
        return true;
    }
    if (*code == 0 || *code == SX_REPLACEMENT || sx_unicode_is_other(*code))
        return false;
    if (sx_unicode_is_space(*code))
        *code = ' ';
    return true;
}

static void put(const normalizer_run *run, uint32_t code, uint32_t start, uint32_t end)
{
    if (!run->normalizer->lowercase) {
        run->sink(run->user, code, start, end);
        return;
    }
    uint32_t lower[2];
    unsigned count = sx_unicode_lower(code, lower);
    for (unsigned i = 0; i < count; i++)
        run->sink(run->user, lower[i], start, end);
}

/* The next character from *at on that stays; *at moves behind it. False at the end and at an ASCII character that stays. */
static bool next_character(const normalizer_run *run, size_t *at, size_t end, source_character *character)
{
    while (*at < end) {
        unsigned char byte = (unsigned char)run->text[*at];
        if (byte < 0x80) {
            if (sx_bert_normalize_ascii(run->normalizer, byte) >= 0)
                return false;
            ++*at;
            continue;
        }
        sx_code_point point = sx_utf8_decode(run->text + *at, end - *at);
        *character = (source_character){point.code, (uint32_t)*at, (uint32_t)(*at + point.length)};
        *at += point.length;
        if (clean(run->normalizer, &character->code))
            return true;
    }
    return false;
}

/* Puts the non-starters of text[from, to) that are no accents in canonical order (Unicode 15, D108; a stable counting sort).
 * Starters in it, the beginning of the first character, were put already. */
static bool put_reordered(const normalizer_run *run, size_t from, size_t to)
{
    source_character *sources = NULL;
    decomposed *members = NULL, *sorted = NULL;
    size_t source_count = 0, source_capacity = 0, count = 0, capacity = 0, places[CLASSES + 1] = {0};
    bool done = false;
    source_character character;
    for (size_t at = from; next_character(run, &at, to, &character);) {
        void *grown = sources;
        bool room = sx_reserve(&grown, &source_capacity, source_count + 1, sizeof *sources);
        sources = grown;
        grown = members;
        room = room && sx_reserve(&grown, &capacity, count + SX_MOST_DECOMPOSED, sizeof *members);
        members = grown;
        if (!room)
            goto out;
        sources[source_count++] = character;
        uint32_t codes[SX_MOST_DECOMPOSED];
        unsigned length = sx_unicode_decompose(character.code, codes);
        for (unsigned i = 0; i < length; i++) {
            members[count] = (decomposed){codes[i], (uint8_t)sx_unicode_combining_class(codes[i]), i == 0};
            places[members[count++].combining_class + 1]++;
        }
    }
    sorted = sx_calloc(count, sizeof *sorted);
    if (!sorted)
        goto out;
    for (size_t i = 1; i < CLASSES; i++)
        places[i] += places[i - 1];
    for (size_t i = 0; i < count; i++)
        sorted[places[members[i].combining_class]++] = members[i];
    size_t source = 0;
    for (size_t i = 0; i < count; i++) {
        source += sorted[i].first;
        if (sorted[i].combining_class && !sx_unicode_is_nonspacing_mark(sorted[i].code)) {
            const source_character *place = &sources[source ? source - 1 : 0];
            put(run, sorted[i].code, place->start, place->end);
        }
    }
    done = true;

out:
    free(sources);
    free(members);
    free(sorted);
    return done;
}

/* Chinese characters get a space on either side, which belongs to the same bytes. None of them decomposes into more than one
 * character or into a non-starter. */
static void put_chinese(const normalizer_run *run, source_character character)
{
    uint32_t codes[SX_MOST_DECOMPOSED] = {character.code};
    if (run->normalizer->strip_accents)
        sx_unicode_decompose(character.code, codes);
    run->sink(run->user, ' ', character.start, character.end);
    put(run, codes[0], character.start, character.end);
    run->sink(run->user, ' ', character.start, character.end);
}

size_t sx_bert_normalize_run(const sx_bert_normalizer *normalizer, const char *text, size_t at, size_t end,
                             sx_character_sink *sink, void *user, bool *memory)
{
    normalizer_run run = {normalizer, text, end, sink, user};
    source_character character;
    size_t pending = at; /* where the non-starters since the last starter began */
    bool has_pending = false, must_sort = false;
    while (next_character(&run, &at, end, &character)) {
        bool chinese = normalizer->chinese && sx_unicode_is_chinese(character.code);
        if (!normalizer->strip_accents) {
            if (chinese)
                put_chinese(&run, character);
            else
                put(&run, character.code, character.start, character.end);
            continue;
        }
        uint32_t codes[SX_MOST_DECOMPOSED];
        unsigned length = sx_unicode_decompose(character.code, codes);
        for (unsigned i = 0; i < length; i++) {
            bool starter = sx_unicode_combining_class(codes[i]) == 0, accent = sx_unicode_is_nonspacing_mark(codes[i]);
            if (starter) {
                if (must_sort && !put_reordered(&run, pending, character.start))
                    *memory = false;
                has_pending = must_sort = false;
                if (chinese)
                    put_chinese(&run, character);
                else if (!accent)
                    put(&run, codes[i], character.start, character.end);
            } else {
                if (!has_pending)
                    pending = character.start;
                has_pending = true;
                must_sort |= !accent;
            }
        }
    }
    if (must_sort && !put_reordered(&run, pending, at))
        *memory = false;
    return at;
}
