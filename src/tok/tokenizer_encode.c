/* tokenizer_encode.c - one text or two through the pipeline.
 *
 * BERT's stages never copy the text: short ASCII words that are pieces are found by their bytes (word_table.h), other ASCII runs
 * straight from the bytes through a table into the word being collected, everything else through the normaliser character by
 * character. All other tokenizers go through encode_part.c. */
#include "tokenizer_internal.h"

#include "../base/error.h"
#include "../base/options.h"
#include "../text/unicode.h"
#include "../text/utf8.h"

#include <stdlib.h>
#include <string.h>

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

static inline bool append(sx_encoding *encoding, uint32_t id, uint32_t start, uint32_t end)
{
    if (encoding->count == encoding->capacity && !grow_encoding(encoding))
        return false;
    encoding->ids[encoding->count] = id;
    encoding->starts[encoding->count] = start;
    encoding->ends[encoding->count] = end;
    encoding->count++;
    return true;
}

void sx_encoder_put(sx_encoder *e, uint32_t id, uint32_t start, uint32_t end)
{
    if (e->total++ < e->limit && !e->no_memory)
        e->no_memory = !append(e->encoding, id, start, end);
}

static void put_piece(void *user, uint32_t id, uint32_t start, uint32_t end)
{
    sx_encoder_put(user, id, start, end);
}

void sx_encoder_take_back(void *user, size_t pieces)
{
    sx_encoder *e = user;
    e->total -= pieces;
    if (!e->no_memory)
        e->encoding->count = e->base + (e->total < e->limit ? e->total : e->limit);
}

static void end_word(sx_encoder *e)
{
    if (e->word.characters == 0)
        return;
    sx_wordpiece_split(&e->tokenizer->wordpiece, &e->tokenizer->vocabulary, &e->word, put_piece, sx_encoder_take_back, e);
    sx_word_reset(&e->word);
}

/* Among ASCII all that is printed and neither letter nor digit, "=" and "<" too (which some characters decompose to). */
static bool is_bert_punctuation(uint32_t code)
{
    if (code >= 0x80)
        return sx_unicode_is_punctuation(code);
    return code > ' ' && code < 0x7f && !(code >= '0' && code <= '9') && !((code | 0x20) >= 'a' && (code | 0x20) <= 'z');
}

/* BertPreTokenizer: words end at white space, and punctuation is a word of its own. */
static void put_character(void *user, uint32_t code, uint32_t start, uint32_t end)
{
    sx_encoder *e = user;
    if (sx_unicode_is_space(code)) {
        end_word(e);
    } else if (is_bert_punctuation(code)) {
        end_word(e);
        sx_word_add(&e->word, code, start, end);
        end_word(e);
    } else {
        sx_word_add(&e->word, code, start, end);
    }
}

static size_t normalize_run(const sx_tokenizer *tokenizer, const char *text, size_t at, size_t end, sx_encoder *e, bool *memory)
{
    const sx_bert_normalizer *bert = tokenizer->normalizer.only_bert;
    if (bert)
        return sx_bert_normalize_run(bert, text, at, end, put_character, e, memory);
    while (at < end && (unsigned char)text[at] >= 0x80) {
        sx_code_point point = sx_utf8_decode(text + at, end - at);
        put_character(e, point.code, (uint32_t)at, (uint32_t)(at + point.length));
        at += point.length;
    }
    return at;
}

/* Word characters from `at` on, at most up to `end`; returns where they stop. */
static size_t add_ascii_word(sx_encoder *e, const char *text, size_t at, size_t end)
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

static void put_known_word(sx_encoder *e, const sx_split_word *known, size_t at)
{
    uint32_t start = (uint32_t)at;
    for (unsigned i = 0; i < known->count; i++) {
        uint32_t end = (uint32_t)at + known->ends[i];
        sx_encoder_put(e, known->ids[i], start, end);
        start = end;
    }
}

/* A word text[at, behind) that is no piece as a whole; its pieces are remembered. */
static void split_short_word(sx_encoder *e, sx_short_word word, uint64_t hash, const char *text, size_t at, size_t behind)
{
    const sx_tokenizer *tokenizer = e->tokenizer;
    sx_encoding *encoding = e->encoding;
    size_t before = encoding->count, total = e->total;
    add_ascii_word(e, text, at, behind);
    sx_wordpiece_split_apart(&tokenizer->wordpiece, &tokenizer->vocabulary, &e->word, put_piece, sx_encoder_take_back, e);
    sx_word_reset(&e->word);
    size_t count = e->total - total;
    if (count > SX_WORD_MEMORY_PIECES || e->total > e->limit || e->no_memory)
        return;
    sx_split_word *place = NULL;
    sx_encode_scratch *scratch = sx_encoding_scratch(encoding);
    if (!scratch || !sx_word_memory_place(&scratch->words, tokenizer->serial, hash, &place)) {
        e->no_memory = true;
        return;
    }
    e->split_words = &scratch->words;
    if (!place)
        return;
    *place = (sx_split_word){.first = word.first, .last = word.last, .count = (uint8_t)count};
    for (size_t i = 0; i < count; i++) {
        place->ids[i] = encoding->ids[before + i];
        place->ends[i] = (uint8_t)(encoding->ends[before + i] - at);
    }
}

/* A word of up to twelve letters and digits, with the space behind it; returns where that ends, or `at`: it is no such word. */
static inline size_t put_short_word(sx_encoder *e, const char *text, size_t at, size_t end)
{
    const sx_tokenizer *tokenizer = e->tokenizer;
    sx_short_word word;
    uint32_t id;
    if (!sx_short_word_read(&tokenizer->words, text, at, end, &word))
        return at;
    size_t behind = at + word.length;
    unsigned char next = behind < end ? (unsigned char)text[behind] : ' ';
    /* A letter that is not ASCII goes on with the word, and so does what follows a character that is taken out. */
    if (next >= 0x80 ||
        (tokenizer->ascii_kind[next] != SX_ASCII_SPACE && tokenizer->ascii_kind[next] != SX_ASCII_PUNCTUATION))
        return at;
    uint64_t hash = sx_short_word_hash(word);
    const sx_split_word *known;
    if (sx_word_table_find(&tokenizer->words, word, hash, &id))
        sx_encoder_put(e, id, (uint32_t)at, (uint32_t)behind);
    else if (e->split_words && (known = sx_word_memory_find(e->split_words, word, hash)))
        put_known_word(e, known, at);
    else
        split_short_word(e, word, hash, text, at, behind);
    return behind + (behind < end && next == ' ');
}

/* BERT's way for text[at, end). */
static void encode_plain(sx_encoder *e, const char *text, size_t at, size_t end)
{
    const sx_tokenizer *tokenizer = e->tokenizer;
    bool memory = true;
    while (at < end && !e->no_memory) {
        unsigned char byte = (unsigned char)text[at];
        if (byte >= 0x80) {
            at = normalize_run(tokenizer, text, at, end, e, &memory);
            continue;
        }
        switch ((sx_ascii_kind)tokenizer->ascii_kind[byte]) {
        case SX_ASCII_WORD:
            if (tokenizer->words.slots && e->word.characters == 0) {
                size_t behind = put_short_word(e, text, at, end);
                if (behind > at) {
                    at = behind;
                    continue;
                }
            }
            at = add_ascii_word(e, text, at, end);
            continue;
        case SX_ASCII_SPACE:
            end_word(e);
            break;
        case SX_ASCII_PUNCTUATION:
            end_word(e);
            if (tokenizer->ascii_piece[byte] != UINT32_MAX) {
                sx_encoder_put(e, tokenizer->ascii_piece[byte], (uint32_t)at, (uint32_t)at + 1);
                break;
            }
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

static void encode_between(sx_encoder *e, size_t from, size_t to)
{
    if (e->tokenizer->direct)
        encode_plain(e, e->text.data, from, to);
    else if (e->tokenizer->openai)
        sx_encode_split(e, from, to);
    else
        sx_encode_part(e, from, to);
}

bool sx_encode_tokens(const sx_tokenizer *tokenizer, sx_text text, size_t base, size_t limit, sx_encoding *encoding)
{
    sx_encoder e; /* not the word's room, which is larger than most texts */
    memset(&e, 0, offsetof(sx_encoder, word));
    e.tokenizer = tokenizer;
    e.encoding = encoding;
    e.text = text;
    e.base = base;
    e.limit = limit;
    const sx_encode_scratch *scratch = encoding->scratch;
    if (scratch && scratch->words.serial == tokenizer->serial)
        e.split_words = &scratch->words;
    sx_token_search search = {0};
    size_t plain, start, end;
    const sx_added_token *token;
    encoding->count = 0;
    sx_word_begin(&e.word, tokenizer->wordpiece.longest_word);
    for (size_t i = 0; i < base && !e.no_memory; i++)
        e.no_memory = !append(encoding, 0, 0, 0);
    while (!e.no_memory && (token = sx_token_matcher_next(&tokenizer->written, text.data, text.length, &search, &plain, &start,
                                                          &end))) {
        if (plain < start)
            encode_between(&e, plain, start);
        size_t count = encoding->count;
        sx_encoder_put(&e, token->id, (uint32_t)start, (uint32_t)end);
        if (tokenizer->post.trims && encoding->count > count)
            sx_trim_offsets(&e, (sx_text){text.data + start, end - start}, false, count);
    }
    if (search.plain < text.length && !e.no_memory)
        encode_between(&e, search.plain, text.length);
    sx_word_end(&e.word);
    encoding->dropped = e.total > limit ? e.total - limit : 0;
    return !e.no_memory;
}

static sx_status check_text(sx_text text, sx_error *error)
{
    if (!text.data && text.length)
        return sx_fail(error, SX_E_INVALID, "encode: text is NULL");
    if (text.length >= UINT32_MAX)
        return sx_fail(error, SX_E_LIMIT, "encode: a text of %zu bytes; at most %u can be encoded at once", text.length,
                       UINT32_MAX - 1);
    return SX_OK;
}

sx_status sx_tokenizer_encode(const sx_tokenizer *tokenizer, sx_text text, const sx_encode_options *options,
                              sx_encoding *encoding, sx_error *error)
{
    sx_encode_options set;
    if (!tokenizer || !encoding)
        return sx_fail(error, SX_E_INVALID, "encode: %s is NULL", tokenizer ? "encoding" : "tokenizer");
    sx_status status = check_text(text, error);
    if (!status)
        status = sx_options_read(options, &set, sizeof set, "encode options", error);
    if (status)
        return status;
    const sx_post_processor *post = &tokenizer->post;
    size_t before = set.no_special ? 0 : post->before, after = set.no_special ? 0 : post->after;
    if (set.max_length && set.max_length < before + after)
        return sx_fail(error, SX_E_INVALID, "encode: max_length %u leaves no room for %zu special tokens", set.max_length,
                       before + after);
    bool done = sx_encode_tokens(tokenizer, text, before, set.max_length ? set.max_length - before - after : SIZE_MAX, encoding);
    for (size_t i = 0; i < before && done; i++)
        encoding->ids[i] = post->single.items[i].id;
    for (size_t i = 0; i < after && done; i++)
        done = append(encoding, post->single.items[before + 1 + i].id, 0, 0);
    if (!done) {
        encoding->count = encoding->dropped = 0;
        return sx_fail(error, SX_E_NOMEM, "encode: no memory for the tokens of a text of %zu bytes", text.length);
    }
    return SX_OK;
}

/* How many tokens of each text stay, so that both together have at most `most`: the longer one is cut first, and where both must
 * be, the second keeps the odd one - or, if the first was the longer, that one does. */
static void cut_longest(size_t *first, size_t *second, size_t most)
{
    if (*first + *second <= most)
        return;
    bool swap = *first > *second;
    size_t shorter = swap ? *second : *first, longer = shorter;
    if (shorter <= most && most - shorter > shorter)
        longer = most - shorter;
    if (shorter + longer > most) {
        shorter = most / 2;
        longer = shorter + most % 2;
    }
    *first = swap ? longer : shorter;
    *second = swap ? shorter : longer;
}

static bool append_part(sx_encoding *encoding, const sx_encoding *part, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!append(encoding, part->ids[i], part->starts[i], part->ends[i]))
            return false;
    return true;
}

sx_status sx_tokenizer_encode_pair(const sx_tokenizer *tokenizer, sx_text first, sx_text second_text, uint32_t max_length,
                                   sx_encoding *encoding, sx_encoding *scratch, size_t *second, sx_error *error)
{
    const sx_post_template *pair = &tokenizer->post.pair;
    if (pair->count == 0)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: post_processor: there is no template for two texts, or it is none that "
                       "puts one behind the other", tokenizer->path);
    sx_status status = check_text(first, error);
    if (!status)
        status = check_text(second_text, error);
    if (status)
        return status;
    size_t special = pair->count - 2;
    if (max_length && max_length < special)
        return sx_fail(error, SX_E_INVALID, "encode: max_length %u leaves no room for %zu special tokens", max_length, special);
    size_t before = 0;
    while (pair->items[before].kind == SX_POST_TOKEN)
        before++;
    bool done = sx_encode_tokens(tokenizer, first, before, SIZE_MAX, encoding) &&
                sx_encode_tokens(tokenizer, second_text, 0, SIZE_MAX, scratch);
    if (done) {
        size_t first_count = encoding->count - before, second_count = scratch->count, all = first_count + second_count;
        cut_longest(&first_count, &second_count, max_length ? max_length - special : SIZE_MAX);
        encoding->count = before + first_count;
        encoding->dropped = all - first_count - second_count;
        bool found = false;
        for (size_t i = 0; i < pair->count && done; i++) {
            sx_post_item item = pair->items[i];
            size_t begin = i < before ? i : i == before ? before : encoding->count;
            if (item.type && !found) {
                *second = begin;
                found = true;
            }
            if (i < before)
                encoding->ids[i] = item.id;
            else if (item.kind == SX_POST_TOKEN)
                done = append(encoding, item.id, 0, 0);
            else if (item.kind == SX_POST_SECOND)
                done = append_part(encoding, scratch, second_count);
        }
        if (!found)
            *second = encoding->count;
    }
    if (!done) {
        encoding->count = encoding->dropped = 0;
        return sx_fail(error, SX_E_NOMEM, "encode: no memory for the tokens of texts of %zu and %zu bytes", first.length,
                       second_text.length);
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
    sx_encode_scratch_free(encoding->scratch);
    *encoding = (sx_encoding){0};
}
