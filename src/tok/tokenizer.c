/* tokenizer.c - opening and closing a tokenizer, and asking it about ids. */
#include "tokenizer_internal.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../text/unicode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The largest tokenizer.json in use (Gemma's) has 33 MB. */
static const size_t largest_file = (size_t)256 << 20;

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* The file that `path` means, malloc'ed. */
static sx_status find_file(const char *path, char **file, sx_error *error)
{
    if (!is_folder(path)) {
        *file = sx_strdup(path);
        return *file ? SX_OK : sx_fail_nomem(error, strlen(path) + 1);
    }
    static const char *const names[] = {"tokenizer.json", "vocab.txt"};
    for (int i = 0; i < 2; i++) {
        *file = sx_path_join(path, names[i]);
        if (!*file)
            return sx_fail_nomem(error, strlen(path) + 16);
        if (sx_file_exists(*file))
            return SX_OK;
        free(*file);
        *file = NULL;
    }
    return sx_fail(error, SX_E_NOT_FOUND, "%s: neither tokenizer.json nor vocab.txt is in this folder", path);
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

sx_status sx_tokenizer_open(const char *path, sx_tokenizer **out, sx_error *error)
{
    if (out)
        *out = NULL;
    if (!path || !out)
        return sx_fail(error, SX_E_INVALID, "tokenizer open: %s is NULL", path ? "out" : "path");
    char *data = NULL;
    size_t length = 0;
    sx_tokenizer *tokenizer = sx_calloc(1, sizeof *tokenizer);
    if (!tokenizer)
        return sx_fail_nomem(error, sizeof *tokenizer);
    sx_status status = find_file(path, &tokenizer->path, error);
    if (status)
        goto out;
    status = sx_file_read(tokenizer->path, largest_file, &data, &length, NULL, error);
    if (status)
        goto out;
    status = ends_with(tokenizer->path, ".txt") ? sx_tokenizer_read_vocab_txt(tokenizer, data, length, error)
                                                : sx_tokenizer_read_json(tokenizer, data, length, error);
    if (!status)
        status = sx_tokenizer_finish(tokenizer, error);
    if (!status) {
        *out = tokenizer;
        tokenizer = NULL;
    }

out:
    free(data);
    sx_tokenizer_close(tokenizer);
    return status;
}

void sx_tokenizer_close(sx_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    sx_token_matcher_clear(&tokenizer->written);
    sx_token_matcher_clear(&tokenizer->normalized);
    sx_vocabulary_clear(&tokenizer->vocabulary);
    sx_vocabulary_clear(&tokenizer->added_names);
    sx_arena_clear(&tokenizer->arena);
    free(tokenizer->added);
    free(tokenizer->before);
    free(tokenizer->after);
    free(tokenizer->path);
    free(tokenizer);
}

sx_status sx_tokenizer_add_token(sx_tokenizer *tokenizer, const sx_added_token *token, const char *where, sx_error *error)
{
    if (token->content.length == 0)
        return sx_fail(error, SX_E_FORMAT, "%s: %s: an added token without text", tokenizer->path, where);
    if (token->id >= SX_VOCABULARY_LIMIT)
        return sx_fail(error, SX_E_FORMAT, "%s: %s: id %u is out of range (below %d)", tokenizer->path, where, token->id,
                       SX_VOCABULARY_LIMIT);
    int shown = token->content.length > 80 ? 80 : (int)token->content.length;
    sx_vocabulary_result named = sx_vocabulary_add(&tokenizer->added_names, token->content, (uint32_t)tokenizer->added_count);
    if (named == SX_VOCABULARY_NOMEM)
        return sx_fail_nomem(error, token->content.length);
    if (named != SX_VOCABULARY_OK)
        return sx_fail(error, SX_E_FORMAT, "%s: %s: \"%.*s\" is listed twice", tokenizer->path, where, shown,
                       token->content.data);
    uint32_t known;
    if (sx_vocabulary_find(&tokenizer->vocabulary, token->content, &known)) {
        if (known != token->id)
            return sx_fail(error, SX_E_FORMAT, "%s: %s: \"%.*s\" has id %u, but %u in the vocabulary", tokenizer->path, where,
                           shown, token->content.data, token->id, known);
    } else {
        sx_vocabulary_result result = sx_vocabulary_name(&tokenizer->vocabulary, token->content, token->id);
        if (result == SX_VOCABULARY_NOMEM)
            return sx_fail_nomem(error, token->content.length);
        if (result != SX_VOCABULARY_OK)
            return sx_fail(error, SX_E_FORMAT, "%s: %s: id %u of \"%.*s\" is already taken", tokenizer->path, where, token->id,
                           shown, token->content.data);
    }
    void *added = tokenizer->added;
    bool room = sx_reserve(&added, &tokenizer->added_capacity, tokenizer->added_count + 1, sizeof *tokenizer->added);
    tokenizer->added = added;
    char *content = sx_arena_strndup(&tokenizer->arena, token->content.data, token->content.length);
    if (!room || !content)
        return sx_fail_nomem(error, token->content.length);
    sx_added_token *copy = &tokenizer->added[tokenizer->added_count++];
    *copy = *token;
    copy->content.data = content;
    return SX_OK;
}

bool sx_tokenizer_add_special(sx_tokenizer *tokenizer, bool before, uint32_t id)
{
    uint32_t **list = before ? &tokenizer->before : &tokenizer->after;
    size_t *count = before ? &tokenizer->before_count : &tokenizer->after_count;
    void *grown = *list;
    bool room = sx_reserve(&grown, before ? &tokenizer->before_capacity : &tokenizer->after_capacity, *count + 1,
                           sizeof **list);
    *list = grown;
    if (room)
        (*list)[(*count)++] = id;
    return room;
}

static void fill_ascii_tables(sx_tokenizer *tokenizer)
{
    for (unsigned byte = 0; byte < 128; byte++) {
        int code = tokenizer->normalizer_type == SX_NORMALIZER_BERT
                       ? sx_bert_normalize_ascii(&tokenizer->bert_normalizer, (unsigned char)byte)
                       : (int)byte;
        tokenizer->ascii_code[byte] = (unsigned char)(code < 0 ? 0 : code);
        sx_ascii_kind kind = code < 0                                        ? SX_ASCII_REMOVED
                             : sx_unicode_is_space((uint32_t)code)           ? SX_ASCII_SPACE
                             : (code > 32 && code < 127 && !(code >= '0' && code <= '9') &&
                                !((code | 0x20) >= 'a' && (code | 0x20) <= 'z')) ? SX_ASCII_PUNCTUATION
                                                                             : SX_ASCII_WORD;
        tokenizer->ascii_kind[byte] = (unsigned char)kind;
    }
}

/* What a token is looked for as: its content, or that normalised. */
static sx_status set_pattern(sx_tokenizer *tokenizer, sx_added_token *token, sx_error *error)
{
    token->pattern = token->content;
    if (!token->normalized)
        return SX_OK;
    sx_normalized_text normalized = {0};
    sx_tokenizer_normalize(tokenizer, token->content.data, 0, token->content.length, &normalized);
    sx_status status = SX_OK;
    char *pattern = normalized.no_memory ? NULL
                                         : sx_arena_strndup(&tokenizer->arena, normalized.length ? normalized.bytes : "",
                                                            normalized.length);
    if (!pattern)
        status = sx_fail_nomem(error, token->content.length);
    else if (normalized.length == 0)
        status = sx_fail(error, SX_E_UNSUPPORTED, "%s: added token %u is looked for in normalised text, but normalising leaves "
                         "nothing of it", tokenizer->path, token->id);
    token->pattern = (sx_text){pattern, normalized.length};
    sx_normalized_text_clear(&normalized);
    return status;
}

sx_status sx_tokenizer_finish(sx_tokenizer *tokenizer, sx_error *error)
{
    sx_wordpiece *model = &tokenizer->wordpiece;
    if (tokenizer->vocabulary.entries == 0)
        return sx_fail(error, SX_E_FORMAT, "%s: the vocabulary is empty", tokenizer->path);
    if (!sx_vocabulary_find(&tokenizer->vocabulary, model->unknown, &model->unknown_id))
        return sx_fail(error, SX_E_FORMAT, "%s: the unknown token \"%.*s\" is not in the vocabulary of %u pieces",
                       tokenizer->path, model->unknown.length > 80 ? 80 : (int)model->unknown.length, model->unknown.data,
                       tokenizer->vocabulary.entries);
    model->prefix_hash = sx_hash_bytes(sx_hash_start, model->prefix.data, model->prefix.length);
    fill_ascii_tables(tokenizer);
    for (size_t i = 0; i < tokenizer->added_count; i++) {
        sx_status status = set_pattern(tokenizer, &tokenizer->added[i], error);
        if (status)
            return status;
    }
    if (!sx_token_matcher_build(&tokenizer->written, tokenizer->added, tokenizer->added_count, false) ||
        !sx_token_matcher_build(&tokenizer->normalized, tokenizer->added, tokenizer->added_count, true))
        return sx_fail_nomem(error, tokenizer->added_count * sizeof(void *));
    return SX_OK;
}

uint32_t sx_tokenizer_vocabulary_size(const sx_tokenizer *tokenizer)
{
    return tokenizer ? tokenizer->vocabulary.count : 0;
}

sx_text sx_tokenizer_piece(const sx_tokenizer *tokenizer, uint32_t id)
{
    return tokenizer ? sx_vocabulary_piece_text(&tokenizer->vocabulary, id) : (sx_text){NULL, 0};
}

uint32_t sx_tokenizer_special_before(const sx_tokenizer *tokenizer)
{
    return (uint32_t)tokenizer->before_count;
}

uint32_t sx_tokenizer_special_after(const sx_tokenizer *tokenizer)
{
    return (uint32_t)tokenizer->after_count;
}

uint32_t sx_tokenizer_special_count(const sx_tokenizer *tokenizer)
{
    return (uint32_t)(tokenizer->before_count + tokenizer->after_count);
}

bool sx_tokenizer_is_special(const sx_tokenizer *tokenizer, uint32_t id)
{
    for (size_t i = 0; i < tokenizer->added_count; i++)
        if (tokenizer->added[i].id == id)
            return tokenizer->added[i].special;
    return false;
}

bool sx_tokenizer_find(const sx_tokenizer *tokenizer, sx_text piece, uint32_t *id)
{
    uint32_t index;
    if (sx_vocabulary_find(&tokenizer->added_names, piece, &index)) {
        *id = tokenizer->added[index].id;
        return true;
    }
    return sx_vocabulary_find(&tokenizer->vocabulary, piece, id);
}

const char *sx_tokenizer_path(const sx_tokenizer *tokenizer)
{
    return tokenizer->path;
}
