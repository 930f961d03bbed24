/* tokenizer_encode.c - one text through the pipeline.
 *
 * The text is never copied: ASCII runs straight from the bytes through a table into the word being collected, everything else
 * through the normaliser character by character. Only tokens that are looked for in normalised text make a copy of it. */
#include "tokenizer_internal.h"

#include "../base/error.h"
#include "../base/options.h"
#include "../text/unicode.h"
#include "../text/utf8.h"

#include <stdlib.h>

typedef struct encoder {
    const sx_tokenizer *tokenizer;
    sx_encoding *encoding;
    size_t total;     /* tokens of the text so far */
    size_t limit;     /* of these are kept */
    size_t base;      /* special tokens before them */
    bool no_memory;
    sx_word word;
} encoder;

static bool grow_encoding(sx_encoding *encoding)
{
    size_t capacity = encoding->capacity ? encoding->capacity * 2 : 64;
    uint32_t **arrays[] = {&encoding->ids, &encoding->starts, &encoding->ends};
    for (int i = 0; i < 3; i++) {
        uint32_t *grown = sx_realloc_array(*arrays[i], capacity, sizeof **arrays[i]);
        if (!grown)
            return false;
        *arrays[i] = grown;
    }
    encoding->capacity = capacity;
    return true;
}

static bool append(sx_encoding *encoding, uint32_t id, uint32_t start, uint32_t end)
{
    if (encoding->count == encoding->capacity && !grow_encoding(encoding))
        return false;
    encoding->ids[encoding->count] = id;
    encoding->starts[encoding->count] = start;
    encoding->ends[encoding->count] = end;
    encoding->count++;
    return true;
}

static void put_piece(void *user, uint32_t id, uint32_t start, uint32_t end)
{
    encoder *e = user;
    if (e->total++ < e->limit && !e->no_memory)
        e->no_memory = !append(e->encoding, id, start, end);
}

static void take_back(void *user, size_t pieces)
{
    encoder *e = user;
    e->total -= pieces;
    if (!e->no_memory)
        e->encoding->count = e->base + (e->total < e->limit ? e->total : e->limit);
}

static void end_word(encoder *e)
{
    if (e->word.characters == 0)
        return;
    sx_wordpiece_split(&e->tokenizer->wordpiece, &e->tokenizer->vocabulary, &e->word, put_piece, take_back, e);
    sx_word_reset(&e->word);
}

/* BertPreTokenizer: words end at white space, and punctuation is a word of its own. */
static void put_character(void *user, uint32_t code, uint32_t start, uint32_t end)
{
    encoder *e = user;
    if (sx_unicode_is_space(code)) {
        end_word(e);
    } else if (sx_unicode_is_punctuation(code)) {
        end_word(e);
        sx_word_add(&e->word, code, start, end);
        end_word(e);
    } else {
        sx_word_add(&e->word, code, start, end);
    }
}

static size_t normalize_run(const sx_tokenizer *tokenizer, const char *text, size_t at, size_t end,
                            sx_character_sink *sink, void *user, bool *memory)
{
    switch (tokenizer->normalizer_type) {
    case SX_NORMALIZER_BERT:
        return sx_bert_normalize_run(&tokenizer->bert_normalizer, text, at, end, sink, user, memory);
    case SX_NORMALIZER_NONE:
        break;
    }
    while (at < end && (unsigned char)text[at] >= 0x80) {
        sx_code_point point = sx_utf8_decode(text + at, end - at);
        sink(user, point.code, (uint32_t)at, (uint32_t)(at + point.length));
        at += point.length;
    }
    return at;
}

/* Word characters from `at` on, at most up to `end`; returns where they stop. */
static size_t add_ascii_word(encoder *e, const char *text, size_t at, size_t end)
{
    const unsigned char *kinds = e->tokenizer->ascii_kind, *codes = e->tokenizer->ascii_code;
    sx_word *word = &e->word;
    if (word->characters == 0)
        word->start = (uint32_t)at;
    if (word->plain && word->start + word->length == at && word->characters < word->limit) {
        size_t room = word->room - word->length, left = word->limit - word->characters;
        size_t most = room < left ? room : left, stop = end - at < most ? end : at + most, from = at;
        char *to = word->bytes + word->length;
        uint64_t hash = word->hash;
        for (; at < stop; at++) {
            unsigned char byte = (unsigned char)text[at];
            if (byte >= 0x80 || kinds[byte] != SX_ASCII_WORD)
                break;
            *to++ = (char)codes[byte];
            hash = sx_hash_byte(hash, codes[byte]);
        }
        word->hash = hash;
        word->length += at - from;
        word->characters += at - from;
        word->end = (uint32_t)at;
    }
    for (; at < end; at++) {
        unsigned char byte = (unsigned char)text[at];
        if (byte >= 0x80 || kinds[byte] != SX_ASCII_WORD)
            break;
        sx_word_add(word, codes[byte], (uint32_t)at, (uint32_t)at + 1);
    }
    return at;
}

static void encode_plain(encoder *e, const char *text, size_t at, size_t end)
{
    const sx_tokenizer *tokenizer = e->tokenizer;
    bool memory = true;
    while (at < end && !e->no_memory) {
        unsigned char byte = (unsigned char)text[at];
        if (byte >= 0x80) {
            at = normalize_run(tokenizer, text, at, end, put_character, e, &memory);
            continue;
        }
        switch ((sx_ascii_kind)tokenizer->ascii_kind[byte]) {
        case SX_ASCII_WORD:
            at = add_ascii_word(e, text, at, end);
            continue;
        case SX_ASCII_SPACE:
            end_word(e);
            break;
        case SX_ASCII_PUNCTUATION:
            end_word(e);
            sx_word_add(&e->word, tokenizer->ascii_code[byte], (uint32_t)at, (uint32_t)at + 1);
            end_word(e);
            break;
        case SX_ASCII_REMOVED:
            break;
        }
        at++;
    }
    end_word(e);
    if (!memory || e->word.no_memory)
        e->no_memory = true;
}

static void collect_normalized(void *user, uint32_t code, uint32_t start, uint32_t end)
{
    sx_normalized_text *normalized = user;
    void *bytes = normalized->bytes, *starts = normalized->starts, *ends = normalized->ends;
    size_t need = normalized->length + 4;
    bool room = !normalized->no_memory && sx_reserve(&bytes, &normalized->capacity, need, 1);
    normalized->bytes = bytes;
    room = room && sx_reserve(&starts, &normalized->starts_capacity, need, sizeof *normalized->starts);
    normalized->starts = starts;
    room = room && sx_reserve(&ends, &normalized->ends_capacity, need, sizeof *normalized->ends);
    normalized->ends = ends;
    if (!room) {
        normalized->no_memory = true;
        return;
    }
    unsigned count = sx_utf8_encode(code, normalized->bytes + normalized->length);
    for (unsigned i = 0; i < count; i++, normalized->length++) {
        normalized->starts[normalized->length] = start;
        normalized->ends[normalized->length] = end;
    }
}

void sx_tokenizer_normalize(const sx_tokenizer *tokenizer, const char *text, size_t from, size_t to,
                            sx_normalized_text *normalized)
{
    bool memory = true;
    normalized->length = 0;
    for (size_t at = from; at < to && !normalized->no_memory;) {
        unsigned char byte = (unsigned char)text[at];
        if (byte >= 0x80) {
            at = normalize_run(tokenizer, text, at, to, collect_normalized, normalized, &memory);
            continue;
        }
        if (tokenizer->ascii_kind[byte] != SX_ASCII_REMOVED)
            collect_normalized(normalized, tokenizer->ascii_code[byte], (uint32_t)at, (uint32_t)at + 1);
        at++;
    }
    if (!memory)
        normalized->no_memory = true;
}

void sx_normalized_text_clear(sx_normalized_text *normalized)
{
    free(normalized->bytes);
    free(normalized->starts);
    free(normalized->ends);
    *normalized = (sx_normalized_text){0};
}

/* Characters of the normalised text between two tokens. */
static void encode_normalized_part(encoder *e, const sx_normalized_text *normalized, size_t from, size_t to)
{
    for (size_t at = from; at < to && !e->no_memory;) {
        sx_code_point point = sx_utf8_decode(normalized->bytes + at, to - at);
        put_character(e, point.code, normalized->starts[at], normalized->ends[at + point.length - 1]);
        at += point.length;
    }
    end_word(e);
    e->no_memory |= e->word.no_memory;
}

/* Text without tokens as written: look for tokens in its normalised form, where there are such tokens. */
static void encode_part(encoder *e, const char *text, size_t from, size_t to)
{
    const sx_token_matcher *matcher = &e->tokenizer->normalized;
    if (matcher->count == 0) {
        encode_plain(e, text, from, to);
        return;
    }
    sx_normalized_text normalized = {0};
    sx_tokenizer_normalize(e->tokenizer, text, from, to, &normalized);
    sx_token_search search = {0};
    size_t plain, start, end;
    const sx_added_token *token;
    while (!normalized.no_memory && !e->no_memory &&
           (token = sx_token_matcher_next(matcher, normalized.bytes, normalized.length, &search, &plain, &start, &end))) {
        if (plain < start)
            encode_normalized_part(e, &normalized, plain, start);
        put_piece(e, token->id, normalized.starts[start], normalized.ends[end - 1]);
    }
    e->no_memory |= normalized.no_memory;
    if (!e->no_memory)
        encode_normalized_part(e, &normalized, search.plain, normalized.length);
    sx_normalized_text_clear(&normalized);
}

static void encode_text(encoder *e, sx_text text)
{
    sx_token_search search = {0};
    size_t plain, start, end;
    const sx_added_token *token;
    while (!e->no_memory && (token = sx_token_matcher_next(&e->tokenizer->written, text.data, text.length, &search, &plain,
                                                           &start, &end))) {
        if (plain < start)
            encode_part(e, text.data, plain, start);
        put_piece(e, token->id, (uint32_t)start, (uint32_t)end);
    }
    if (search.plain < text.length)
        encode_part(e, text.data, search.plain, text.length);
}

sx_status sx_tokenizer_encode(const sx_tokenizer *tokenizer, sx_text text, const sx_encode_options *options,
                              sx_encoding *encoding, sx_error *error)
{
    sx_encode_options set;
    if (!tokenizer || !encoding || (!text.data && text.length))
        return sx_fail(error, SX_E_INVALID, "encode: %s is NULL", !tokenizer ? "tokenizer" : !encoding ? "encoding" : "text");
    sx_status status = sx_options_read(options, &set, sizeof set, "encode options", error);
    if (status)
        return status;
    if (text.length >= UINT32_MAX)
        return sx_fail(error, SX_E_LIMIT, "encode: a text of %zu bytes; at most %u can be encoded at once", text.length,
                       UINT32_MAX - 1);
    size_t before = set.no_special ? 0 : tokenizer->before_count, after = set.no_special ? 0 : tokenizer->after_count;
    if (set.max_length && set.max_length < before + after)
        return sx_fail(error, SX_E_INVALID, "encode: max_length %u leaves no room for %zu special tokens", set.max_length,
                       before + after);

    encoding->count = encoding->dropped = 0;
    encoder e = {.tokenizer = tokenizer, .encoding = encoding, .base = before};
    e.limit = set.max_length ? set.max_length - before - after : SIZE_MAX;
    sx_word_begin(&e.word, tokenizer->wordpiece.longest_word);
    for (size_t i = 0; i < before && !e.no_memory; i++)
        e.no_memory = !append(encoding, tokenizer->before[i], 0, 0);
    encode_text(&e, text);
    for (size_t i = 0; i < after && !e.no_memory; i++)
        e.no_memory = !append(encoding, tokenizer->after[i], 0, 0);
    sx_word_end(&e.word);
    encoding->dropped = e.total > e.limit ? e.total - e.limit : 0;
    if (e.no_memory) {
        encoding->count = encoding->dropped = 0;
        return sx_fail(error, SX_E_NOMEM, "encode: no memory for the tokens of a text of %zu bytes", text.length);
    }
    return SX_OK;
}

void sx_encoding_clear(sx_encoding *encoding)
{
    if (!encoding)
        return;
    free(encoding->ids);
    free(encoding->starts);
    free(encoding->ends);
    *encoding = (sx_encoding){0};
}
