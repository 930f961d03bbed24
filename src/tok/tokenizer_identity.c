/* tokenizer_identity.c - a canonical description of what a tokenizer does, hashed.
 *
 * One line a fact, numbers in decimal, texts with their length before them, so that no two tokenizers describe themselves
 * alike. Whatever does not change ids or offsets (file form, order of members, truncation, padding) is left out. */
#include "tiktoken.h"
#include "tokenizer_internal.h"

#include "../base/buffer.h"

#include <stdlib.h>

/* Not sx_buffer_printf: with 30,000 pieces that would be most of the time. */
static void put_number(sx_buffer *buffer, size_t number)
{
    char digits[24];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    sx_buffer_append(buffer, digits + at, sizeof digits - at);
}

static void put_text(sx_buffer *buffer, const char *name, sx_text text)
{
    sx_buffer_append_string(buffer, name);
    sx_buffer_append_byte(buffer, ' ');
    put_number(buffer, text.length);
    sx_buffer_append_byte(buffer, ':');
    if (text.length)
        sx_buffer_append(buffer, text.data, text.length);
    sx_buffer_append_byte(buffer, '\n');
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t first = (*(const sx_added_token *const *)a)->id, second = (*(const sx_added_token *const *)b)->id;
    return first < second ? -1 : first > second;
}

static bool put_added(sx_buffer *buffer, const sx_tokenizer *tokenizer)
{
    const sx_added_token **tokens = sx_calloc(tokenizer->added_count, sizeof *tokens);
    if (!tokens)
        return false;
    for (size_t i = 0; i < tokenizer->added_count; i++)
        tokens[i] = &tokenizer->added[i];
    qsort(tokens, tokenizer->added_count, sizeof *tokens, compare_ids);
    for (size_t i = 0; i < tokenizer->added_count; i++) {
        sx_buffer_printf(buffer, "added %u special %d single_word %d lstrip %d rstrip %d normalized %d", tokens[i]->id,
                         tokens[i]->special, tokens[i]->single_word, tokens[i]->lstrip, tokens[i]->rstrip,
                         tokens[i]->normalized);
        put_text(buffer, "", tokens[i]->content);
    }
    free(tokens);
    return true;
}

static void put_template(sx_buffer *buffer, const char *name, const sx_post_template *template)
{
    sx_buffer_append_string(buffer, name);
    for (size_t i = 0; i < template->count; i++)
        sx_buffer_printf(buffer, " %d/%u/%u", template->items[i].kind, template->items[i].id, template->items[i].type);
    sx_buffer_append_byte(buffer, '\n');
}

static void put_model(sx_buffer *buffer, const sx_tokenizer *tokenizer)
{
    switch (tokenizer->model_type) {
    case SX_TOKEN_MODEL_WORDPIECE:
        sx_buffer_printf(buffer, "model wordpiece longest_word %u\n", tokenizer->wordpiece.longest_word);
        put_text(buffer, "unknown", tokenizer->wordpiece.unknown);
        put_text(buffer, "prefix", tokenizer->wordpiece.prefix);
        break;
    case SX_TOKEN_MODEL_WORDLEVEL:
        sx_buffer_append_string(buffer, "model wordlevel\n");
        put_text(buffer, "unknown", tokenizer->wordpiece.unknown);
        break;
    case SX_TOKEN_MODEL_BPE:
        if (tokenizer->openai)
            sx_buffer_printf(buffer, "split %s\n", tokenizer->openai->name);
        sx_bpe_describe(tokenizer->bpe, buffer);
        break;
    case SX_TOKEN_MODEL_UNIGRAM:
        sx_unigram_describe(tokenizer->unigram, buffer);
        break;
    }
}

/* Trimmed offsets are in it, since chunks are made of them; templates for pairs too, since cross-encoders are. */
sx_status sx_tokenizer_identity(const sx_tokenizer *tokenizer, sx_sha256 *hash)
{
    sx_buffer buffer = {0};
    sx_buffer_append_string(&buffer, "tokenizer 2\n");
    sx_normalizer_describe(&tokenizer->normalizer, &buffer);
    sx_pre_tokenizer_describe(&tokenizer->pre_tokenizer, &buffer);
    put_model(&buffer, tokenizer);
    put_template(&buffer, "single", &tokenizer->post.single);
    put_template(&buffer, "pair", &tokenizer->post.pair);
    for (unsigned i = 0; i < tokenizer->post.trims; i++)
        sx_buffer_printf(&buffer, "trim prefix %d\n", tokenizer->post.trim_prefix[i]);
    bool memory = put_added(&buffer, tokenizer);
    for (uint32_t id = 0; id < tokenizer->vocabulary.count; id++) {
        sx_text piece = sx_vocabulary_piece_text(&tokenizer->vocabulary, id);
        uint32_t found;
        if (piece.data && sx_vocabulary_find(&tokenizer->vocabulary, piece, &found) && found == id) {
            put_number(&buffer, id);
            put_text(&buffer, "", piece);
        }
    }
    if (memory && !buffer.failed)
        sx_sha256_of(buffer.data, buffer.length, hash);
    sx_status status = memory && !buffer.failed ? SX_OK : SX_E_NOMEM;
    sx_buffer_clear(&buffer);
    return status;
}
