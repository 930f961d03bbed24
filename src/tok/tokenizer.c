/* tokenizer.c - opening and closing a tokenizer, and asking it about ids. */
#include "tokenizer_internal.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../text/unicode.h"

#include <stdatomic.h>
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
    static const char *const names[] = {"tokenizer.json", "vocab.txt", "vocab.json"};
    for (int i = 0; i < 3; i++) {
        *file = sx_path_join(path, names[i]);
        if (!*file)
            return sx_fail_nomem(error, strlen(path) + 16);
        if (sx_file_exists(*file))
            return SX_OK;
        free(*file);
        *file = NULL;
    }
    return sx_fail(error, SX_E_NOT_FOUND, "%s: neither tokenizer.json nor vocab.txt nor vocab.json is in this folder", path);
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* By the file's name. tokenizer_config.json counts beside a tokenizer.json only when the folder was named. */
static sx_status read_file(sx_tokenizer *tokenizer, const char *data, size_t length, bool in_folder, sx_error *error)
{
    if (ends_with(tokenizer->path, ".txt"))
        return sx_tokenizer_read_vocab_txt(tokenizer, data, length, error);
    if (ends_with(tokenizer->path, ".tiktoken"))
        return sx_tokenizer_read_tiktoken(tokenizer, data, length, error);
    if (ends_with(tokenizer->path, "vocab.json"))
        return sx_tokenizer_read_vocab_json(tokenizer, data, length, error);
    sx_tokenizer_overrides overrides = {0};
    sx_status status = in_folder ? sx_tokenizer_overrides_read(&overrides, tokenizer, error) : SX_OK;
    if (!status)
        status = sx_tokenizer_read_json(tokenizer, data, length, &overrides, error);
    sx_tokenizer_overrides_clear(&overrides);
    return status;
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
    status = read_file(tokenizer, data, length, is_folder(path), error);
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
    sx_wordpiece_clear(&tokenizer->wordpiece);
    sx_word_table_clear(&tokenizer->words);
    sx_vocabulary_clear(&tokenizer->added_names);
    sx_arena_clear(&tokenizer->arena);
    sx_normalizer_clear(&tokenizer->normalizer);
    sx_pre_tokenizer_clear(&tokenizer->pre_tokenizer);
    sx_bpe_close(tokenizer->bpe);
    sx_unigram_close(tokenizer->unigram);
    sx_post_processor_clear(&tokenizer->post);
    free(tokenizer->special_ids);
    free(tokenizer->added);
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

sx_status sx_tokenizer_set_bert(sx_tokenizer *tokenizer, const sx_bert_normalizer *bert, sx_error *error)
{
    json_t *component = json_pack("{s:s, s:b, s:b, s:b, s:b}", "type", "BertNormalizer", "clean_text", (int)bert->clean_text,
                                  "handle_chinese_chars", (int)bert->chinese, "strip_accents", (int)bert->strip_accents,
                                  "lowercase", (int)bert->lowercase);
    if (!component)
        return sx_fail_nomem(error, sizeof *bert);
    sx_normalizer_clear(&tokenizer->normalizer);
    sx_status status = sx_normalizer_read(component, tokenizer->path, &tokenizer->arena, &tokenizer->normalizer, error);
    json_decref(component);
    return status;
}

static void fill_ascii_tables(sx_tokenizer *tokenizer)
{
    for (unsigned byte = 0; byte < 128; byte++) {
        const sx_bert_normalizer *bert = tokenizer->normalizer.only_bert;
        int code = bert ? sx_bert_normalize_ascii(bert, (unsigned char)byte) : (int)byte;
        tokenizer->ascii_code[byte] = (unsigned char)(code < 0 ? 0 : code);
        sx_ascii_kind kind = code < 0                                        ? SX_ASCII_REMOVED
                             : sx_unicode_is_space((uint32_t)code)           ? SX_ASCII_SPACE
                             : (code > 32 && code < 127 && !(code >= '0' && code <= '9') &&
                                !((code | 0x20) >= 'a' && (code | 0x20) <= 'z')) ? SX_ASCII_PUNCTUATION
                                                                             : SX_ASCII_WORD;
        tokenizer->ascii_kind[byte] = (unsigned char)kind;
        sx_text alone = {(const char *)&tokenizer->ascii_code[byte], 1};
        if (kind != SX_ASCII_PUNCTUATION || !tokenizer->wordpiece.longest_word ||
            !sx_vocabulary_find(&tokenizer->vocabulary, alone, &tokenizer->ascii_piece[byte]))
            tokenizer->ascii_piece[byte] = UINT32_MAX;
    }
}

/* The table of short words takes letters and digits for words and for nothing else, as they are or in lower case. */
static bool make_word_table(sx_tokenizer *tokenizer)
{
    const sx_bert_normalizer *bert = tokenizer->normalizer.only_bert;
    if (tokenizer->wordpiece.longest_word < SX_WORD_TABLE_LONGEST)
        return true;
    return sx_word_table_make(&tokenizer->vocabulary, bert && bert->lowercase, &tokenizer->words);
}

/* What a token is looked for as: its content, or that normalised. */
static sx_status set_pattern(sx_tokenizer *tokenizer, sx_added_token *token, sx_working_text *text, sx_working_text *spare,
                             sx_error *error)
{
    token->pattern = token->content;
    if (!token->normalized || tokenizer->normalizer.count == 0)
        return SX_OK;
    bool memory = sx_normalize_part(tokenizer, token->content.data, 0, token->content.length, text, spare);
    char *pattern = memory ? sx_arena_strndup(&tokenizer->arena, text->length ? text->bytes : "", text->length) : NULL;
    if (!pattern)
        return sx_fail_nomem(error, token->content.length);
    token->pattern = (sx_text){pattern, text->length};
    if (text->length == 0)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: added token %u is looked for in normalised text, but normalising leaves "
                       "nothing of it", tokenizer->path, token->id);
    return SX_OK;
}

static sx_status set_patterns(sx_tokenizer *tokenizer, sx_error *error)
{
    sx_working_text text = {0}, spare = {0};
    sx_status status = SX_OK;
    for (size_t i = 0; i < tokenizer->added_count && !status; i++)
        status = set_pattern(tokenizer, &tokenizer->added[i], &text, &spare, error);
    sx_working_text_clear(&text);
    sx_working_text_clear(&spare);
    return status;
}

static bool mark_special(sx_tokenizer *tokenizer)
{
    tokenizer->special_ids = sx_calloc((size_t)tokenizer->vocabulary.count / 8 + 1, 1);
    for (size_t i = 0; tokenizer->special_ids && i < tokenizer->added_count; i++)
        if (tokenizer->added[i].special)
            tokenizer->special_ids[tokenizer->added[i].id / 8] |= (unsigned char)(1u << tokenizer->added[i].id % 8);
    return tokenizer->special_ids != NULL;
}

sx_status sx_tokenizer_finish(sx_tokenizer *tokenizer, sx_error *error)
{
    static atomic_uint_fast64_t serials;
    sx_wordpiece *model = &tokenizer->wordpiece;
    sx_token_model_type type = tokenizer->model_type;
    tokenizer->serial = atomic_fetch_add(&serials, 1) + 1;
    if (tokenizer->vocabulary.entries == 0)
        return sx_fail(error, SX_E_FORMAT, "%s: the vocabulary is empty", tokenizer->path);
    if ((type == SX_TOKEN_MODEL_WORDPIECE || type == SX_TOKEN_MODEL_WORDLEVEL) &&
        !sx_vocabulary_find(&tokenizer->vocabulary, model->unknown, &model->unknown_id))
        return sx_fail(error, SX_E_FORMAT, "%s: the unknown token \"%.*s\" is not in the vocabulary of %u pieces",
                       tokenizer->path, model->unknown.length > 80 ? 80 : (int)model->unknown.length, model->unknown.data,
                       tokenizer->vocabulary.entries);
    if (type == SX_TOKEN_MODEL_WORDPIECE && !sx_wordpiece_prepare(model, &tokenizer->vocabulary))
        return sx_fail_nomem(error, tokenizer->vocabulary.count);
    fill_ascii_tables(tokenizer);
    sx_status status = set_patterns(tokenizer, error);
    if (status)
        return status;
    if (!sx_token_matcher_build(&tokenizer->written, tokenizer->added, tokenizer->added_count, false) ||
        !sx_token_matcher_build(&tokenizer->normalized, tokenizer->added, tokenizer->added_count, true) ||
        !mark_special(tokenizer))
        return sx_fail_nomem(error, tokenizer->added_count * sizeof(void *));
    tokenizer->direct = type == SX_TOKEN_MODEL_WORDPIECE && tokenizer->pre_tokenizer.only_bert &&
                        tokenizer->normalized.count == 0 &&
                        (tokenizer->normalizer.count == 0 || tokenizer->normalizer.only_bert);
    return !tokenizer->direct || make_word_table(tokenizer) ? SX_OK : sx_fail_nomem(error, tokenizer->vocabulary.count);
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
    return (uint32_t)tokenizer->post.before;
}

uint32_t sx_tokenizer_special_after(const sx_tokenizer *tokenizer)
{
    return (uint32_t)tokenizer->post.after;
}

uint32_t sx_tokenizer_special_count(const sx_tokenizer *tokenizer)
{
    return (uint32_t)(tokenizer->post.before + tokenizer->post.after);
}

bool sx_tokenizer_is_special(const sx_tokenizer *tokenizer, uint32_t id)
{
    return id < tokenizer->vocabulary.count && (tokenizer->special_ids[id / 8] >> id % 8 & 1);
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
