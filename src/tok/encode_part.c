/* encode_part.c - the general way through the pipeline: a part of a text is copied with the origin of every byte, and normaliser,
 * pre-tokenizer and model work on the copy.
 *
 * A part is what lies between tokens found in the text as written. Its memory stays with the sx_encoding, so that encoding one
 * text after another allocates nothing. */
#include "tokenizer_internal.h"

#include "../text/unicode.h"
#include "../text/utf8.h"

#include <stdlib.h>
#include <string.h>

sx_encode_scratch *sx_encoding_scratch(sx_encoding *encoding)
{
    if (!encoding->scratch)
        encoding->scratch = sx_calloc(1, sizeof(sx_encode_scratch));
    return encoding->scratch;
}

void sx_encode_scratch_free(void *memory)
{
    sx_encode_scratch *scratch = memory;
    if (!scratch)
        return;
    sx_working_text_clear(&scratch->text);
    sx_working_text_clear(&scratch->spare);
    sx_working_text_clear(&scratch->part);
    sx_bpe_memory_close(scratch->bpe);
    sx_unigram_memory_close(scratch->unigram);
    sx_word_memory_clear(&scratch->words);
    free(scratch);
}

/* The memory of the tokenizer's model. A model remembers its own words only. */
static bool open_memory(const sx_tokenizer *tokenizer, sx_encode_scratch *scratch)
{
    if (tokenizer->bpe && (!scratch->bpe || scratch->bpe_serial != tokenizer->serial)) {
        sx_bpe_memory_close(scratch->bpe);
        scratch->bpe = sx_bpe_memory_open();
        scratch->bpe_serial = tokenizer->serial;
        return scratch->bpe != NULL;
    }
    if (tokenizer->unigram && !scratch->unigram) {
        scratch->unigram = sx_unigram_memory_open();
        return scratch->unigram != NULL;
    }
    return true;
}

/* Invalid UTF-8 becomes U+FFFD, one for each maximal subpart. */
static void put_invalid(sx_working_text *to, const char *text, size_t from, size_t end)
{
    while (from < end) {
        sx_code_point point = sx_utf8_decode(text + from, end - from);
        sx_working_text_put_code(to, point.code, (uint32_t)from, (uint32_t)(from + point.length));
        from += point.length;
    }
}

bool sx_normalize_part(const sx_tokenizer *tokenizer, const char *text, size_t from, size_t to, sx_working_text *normalized,
                       sx_working_text *spare)
{
    sx_working_text_reset(normalized);
    sx_working_text_reset(spare);
    if (sx_utf8_valid(text + from, to - from, NULL))
        sx_working_text_put_original(normalized, text, from, to);
    else
        put_invalid(normalized, text, from, to);
    if (tokenizer->normalizer.count && !normalized->no_memory)
        sx_normalizer_run(&tokenizer->normalizer, normalized, spare);
    return !normalized->no_memory && !spare->no_memory;
}

/* Offsets inside a character become the whole character's: a byte of it stands for it. */
static void widen(const sx_encoder *e, uint32_t *start, uint32_t *end)
{
    const char *text = e->text.data;
    while (*start > 0 && ((unsigned char)text[*start] & 0xc0) == 0x80)
        --*start;
    while (*end < e->text.length && ((unsigned char)text[*end] & 0xc0) == 0x80)
        ++*end;
}

/* In a vocabulary spelt in byte characters U+0120 stands for a space, and no other white space is in it. */
static bool is_trimmed(uint32_t code, bool bytes)
{
    return bytes ? code == ' ' : code == 0x120 || sx_unicode_is_space(code);
}

void sx_trim_offsets(sx_encoder *e, sx_text token, bool bytes, size_t index)
{
    size_t leading = 0, trailing = 0, at = 0;
    while (at < token.length) {
        sx_code_point point = sx_utf8_decode(token.data + at, token.length - at);
        if (!is_trimmed(point.code, bytes))
            break;
        leading++;
        at += point.length;
    }
    for (at = token.length; at > 0; trailing++) {
        size_t before = sx_utf8_floor(token.data, token.length, at - 1);
        if (!is_trimmed(sx_utf8_decode(token.data + before, token.length - before).code, bytes))
            break;
        at = before;
    }
    if (!leading && !trailing)
        return;
    const char *text = e->text.data;
    uint32_t *start = &e->encoding->starts[index], *end = &e->encoding->ends[index];
    for (unsigned i = 0; i < e->tokenizer->post.trims; i++) {
        bool added = e->tokenizer->post.trim_prefix[i] && leading == 1 && (index == e->base || *start == 0);
        for (size_t j = 0; j < leading && !added && *start < *end; j++)
            *start += sx_utf8_decode(text + *start, *end - *start).length;
        for (size_t j = 0; j < trailing && *end > *start; j++) {
            uint32_t before = (uint32_t)sx_utf8_floor(text, e->text.length, *end - 1);
            *end = before > *start ? before : *start;
        }
    }
}

/* A token of the piece that the model has: its bytes of the piece. */
static void put_token(void *user, uint32_t id, uint32_t start, uint32_t end)
{
    sx_encoder *e = user;
    if (e->total >= e->limit) {
        e->total++;
        return;
    }
    const sx_working_text *working = e->working;
    size_t first = e->piece_begin + start, last = e->piece_begin + (end > start ? end - 1 : start);
    uint32_t from = working->starts[first], to = working->ends[last];
    if (e->valid)
        widen(e, &from, &to);
    sx_encoder_put(e, id, from, to);
    if (!e->tokenizer->post.trims || e->no_memory)
        return;
    bool bytes = e->tokenizer->pre_tokenizer.byte_level;
    sx_text token = bytes ? (sx_text){working->bytes + first, end - start}
                          : sx_vocabulary_piece_text(&e->tokenizer->vocabulary, id);
    sx_trim_offsets(e, token, bytes, e->encoding->count - 1);
}

/* WordPiece gives the original's bytes itself. */
static void put_word_token(void *user, uint32_t id, uint32_t start, uint32_t end)
{
    sx_encoder_put(user, id, start, end);
}

static void split_word(sx_encoder *e, sx_piece piece)
{
    const sx_working_text *working = e->working;
    for (size_t at = piece.begin; at < piece.end;) {
        sx_code_point point = sx_utf8_decode(working->bytes + at, piece.end - at);
        uint32_t start = working->starts[at], end = working->ends[at + point.length - 1];
        if (e->valid)
            widen(e, &start, &end);
        sx_word_add(&e->word, point.code, start, end);
        at += point.length;
    }
    sx_wordpiece_split(&e->tokenizer->wordpiece, &e->tokenizer->vocabulary, &e->word, put_word_token, sx_encoder_take_back, e);
    e->no_memory |= e->word.no_memory;
    sx_word_reset(&e->word);
}

static void split_piece(sx_encoder *e, const sx_encode_scratch *scratch, sx_piece piece)
{
    const sx_tokenizer *tokenizer = e->tokenizer;
    const char *bytes = e->working->bytes + piece.begin;
    size_t length = piece.end - piece.begin;
    uint32_t id;
    e->piece_begin = piece.begin;
    switch (tokenizer->model_type) {
    case SX_TOKEN_MODEL_WORDPIECE:
        split_word(e, piece);
        break;
    case SX_TOKEN_MODEL_WORDLEVEL:
        if (!sx_vocabulary_find(&tokenizer->vocabulary, (sx_text){bytes, length}, &id))
            id = tokenizer->wordpiece.unknown_id;
        put_token(e, id, 0, (uint32_t)length);
        break;
    case SX_TOKEN_MODEL_BPE:
        e->no_memory |= !sx_bpe_split(tokenizer->bpe, scratch->bpe, bytes, length, put_token, e);
        break;
    case SX_TOKEN_MODEL_UNIGRAM:
        e->no_memory |= !sx_unigram_split(tokenizer->unigram, scratch->unigram, bytes, length, put_token, e);
        break;
    }
}

/* Normalised text without tokens in it: pieces, and these through the model. */
static void encode_normalized(sx_encoder *e, sx_encode_scratch *scratch, sx_working_text *working)
{
    if (working->length == 0)
        return;
    working->piece_count = 0;
    if (e->tokenizer->pre_tokenizer.count)
        sx_pre_tokenizer_run(&e->tokenizer->pre_tokenizer, working->starts[0] == 0, working, &scratch->spare);
    else
        sx_working_text_put_piece(working, 0, working->length);
    e->no_memory |= working->no_memory || scratch->spare.no_memory;
    e->working = working;
    for (size_t i = 0; i < working->piece_count && !e->no_memory; i++)
        split_piece(e, scratch, working->pieces[i]);
}

sx_encode_scratch *sx_encode_open_scratch(sx_encoder *e)
{
    sx_encode_scratch *scratch = sx_encoding_scratch(e->encoding);
    if (scratch && open_memory(e->tokenizer, scratch))
        return scratch;
    e->no_memory = true;
    return NULL;
}

void sx_encode_part(sx_encoder *e, size_t from, size_t to)
{
    const sx_token_matcher *matcher = &e->tokenizer->normalized;
    sx_encode_scratch *scratch = sx_encode_open_scratch(e);
    if (!scratch ||
        !sx_normalize_part(e->tokenizer, e->text.data, from, to, &scratch->text, &scratch->spare)) {
        e->no_memory = true;
        return;
    }
    e->valid = sx_utf8_valid(e->text.data + from, to - from, NULL);
    sx_token_search search = {0};
    size_t plain, start, end;
    const sx_added_token *token;
    while (!e->no_memory && (token = sx_token_matcher_next(matcher, scratch->text.bytes, scratch->text.length, &search, &plain,
                                                           &start, &end))) {
        if (plain < start) {
            sx_working_text_reset(&scratch->part);
            sx_working_text_put_part(&scratch->part, &scratch->text, plain, start);
            encode_normalized(e, scratch, &scratch->part);
        }
        size_t count = e->encoding->count;
        sx_encoder_put(e, token->id, scratch->text.starts[start], scratch->text.ends[end - 1]);
        if (e->tokenizer->post.trims && e->encoding->count > count)
            sx_trim_offsets(e, (sx_text){scratch->text.bytes + start, end - start}, false, count);
    }
    if (search.plain == 0) {
        encode_normalized(e, scratch, &scratch->text);
    } else if (search.plain < scratch->text.length) {
        sx_working_text_reset(&scratch->part);
        sx_working_text_put_part(&scratch->part, &scratch->text, search.plain, scratch->text.length);
        encode_normalized(e, scratch, &scratch->part);
    }
}
