/* vocab_txt.c - reading vocab.txt with tokenizer_config.json beside it: what transformers' BertTokenizer makes of them.
 *
 * vocab.txt holds one piece a line, its id being the line's number from 0. The configuration may be missing or say little;
 * what it does not say is BERT's default. */
#include "tokenizer_internal.h"

#include "../base/error.h"
#include "../text/utf8.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UNKNOWN, SEPARATOR, PADDING, CLASS, MASK, ROLES };
/* In the order in which transformers gives ids to those that are not in vocab.txt. */
static const struct {
    const char *field, *name;
} roles[ROLES] = {
    {"unk_token", "[UNK]"}, {"sep_token", "[SEP]"}, {"pad_token", "[PAD]"}, {"cls_token", "[CLS]"}, {"mask_token", "[MASK]"},
};

/* Other classes that read a vocab.txt (MPNet's, say) use other special tokens or rules. */
static sx_status check_class(const json_t *config, const char *path, sx_error *error)
{
    static const char *const known[] = {"BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer", "MobileBertTokenizer"};
    const char *class = json_string_value(json_object_get(config, "tokenizer_class"));
    if (!class)
        return SX_OK;
    size_t length = strlen(class);
    if (length > 4 && strcmp(class + length - 4, "Fast") == 0)
        length -= 4;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strlen(known[i]) == length && memcmp(known[i], class, length) == 0)
            return SX_OK;
    return sx_fail(error, SX_E_UNSUPPORTED, "%s: tokenizer_class \"%s\" with a vocab.txt is not supported", path, class);
}

static sx_status read_lines(sx_tokenizer *tokenizer, const char *data, size_t length, sx_error *error)
{
    size_t fault;
    if (!sx_utf8_valid(data, length, &fault))
        return sx_fail(error, SX_E_FORMAT, "%s: byte %zu: invalid UTF-8", tokenizer->path, fault);
    uint32_t line = 0;
    for (size_t at = 0; at < length; line++) {
        size_t end = at;
        while (end < length && data[end] != '\n' && data[end] != '\r')
            end++;
        sx_text piece = {data + at, end - at};
        sx_vocabulary_result result = sx_vocabulary_add(&tokenizer->vocabulary, piece, line);
        if (result == SX_VOCABULARY_NOMEM)
            return sx_fail_nomem(error, length);
        if (result != SX_VOCABULARY_OK)
            return sx_fail(error, SX_E_FORMAT, "%s: line %u: %s: \"%.*s\"", tokenizer->path, line + 1,
                           result == SX_VOCABULARY_SAME_TEXT ? "the piece is there twice" : "too many pieces",
                           piece.length > 80 ? 80 : (int)piece.length, piece.data);
        at = end + 1;
        if (end + 1 < length && data[end] == '\r' && data[end + 1] == '\n')
            at++;
    }
    return SX_OK;
}

static bool is_added(const sx_tokenizer *tokenizer, sx_text content)
{
    uint32_t index;
    return sx_vocabulary_find(&tokenizer->added_names, content, &index);
}

/* added_tokens_decoder: {"101": {"content": "[CLS]", "special": true ...}}. */
sx_status sx_config_added_tokens(sx_tokenizer *tokenizer, json_t *config, const char *path, sx_error *error)
{
    json_t *decoder = json_object_get(config, "added_tokens_decoder");
    if (decoder && !json_is_object(decoder))
        return sx_fail(error, SX_E_FORMAT, "%s: added_tokens_decoder: expected an object", path);
    const char *key;
    json_t *value;
    json_object_foreach(decoder, key, value) {
        char *end;
        unsigned long id = key[0] >= '0' && key[0] <= '9' ? strtoul(key, &end, 10) : SX_VOCABULARY_LIMIT;
        if (id >= SX_VOCABULARY_LIMIT || *end)
            return sx_fail(error, SX_E_FORMAT, "%s: added_tokens_decoder: \"%s\" is no token id", path, key);
        sx_added_token token = {.id = (uint32_t)id};
        sx_status status = sx_tokenizer_token(value, path, "added_tokens_decoder", &token, error);
        if (!status)
            status = sx_tokenizer_add_token(tokenizer, &token, "added_tokens_decoder of tokenizer_config.json", error);
        if (status)
            return status;
    }
    return SX_OK;
}

/* Adds a special token named by a role or listed as additional; one not in vocab.txt gets the next id. */
sx_status sx_config_add_special(sx_tokenizer *tokenizer, sx_added_token *token, const char *field, sx_error *error)
{
    token->special = true;
    if (is_added(tokenizer, token->content))
        return SX_OK;
    if (!sx_vocabulary_find(&tokenizer->vocabulary, token->content, &token->id))
        token->id = tokenizer->vocabulary.count;
    return sx_tokenizer_add_token(tokenizer, token, field, error);
}

/* The value a configuration file gives a field; special_tokens_map.json is the older place. */
const json_t *sx_config_look_up(const json_t *config, const json_t *map, const char *field)
{
    const json_t *value = json_object_get(config, field);
    return value ? value : json_object_get(map, field);
}

static sx_status read_special(sx_tokenizer *tokenizer, const json_t *config, const json_t *map, const char *path,
                              sx_error *error)
{
    uint32_t class = 0, separator = 0;
    for (int role = 0; role < ROLES; role++) {
        const json_t *value = sx_config_look_up(config, map, roles[role].field);
        sx_added_token token = {.content = {roles[role].name, strlen(roles[role].name)}};
        bool required = role == UNKNOWN || role == SEPARATOR || role == CLASS;
        uint32_t id;
        if (value && !json_is_null(value)) {
            sx_status status = sx_tokenizer_token(value, path, roles[role].field, &token, error);
            if (status)
                return status;
        } else if (!required && !sx_vocabulary_find(&tokenizer->vocabulary, token.content, &id)) {
            continue;
        }
        if (required && !is_added(tokenizer, token.content) && !sx_vocabulary_find(&tokenizer->vocabulary, token.content, &id))
            return sx_fail(error, SX_E_FORMAT, "%s: %s \"%.*s\" is not in the vocabulary", tokenizer->path, roles[role].field,
                           token.content.length > 80 ? 80 : (int)token.content.length, token.content.data);
        sx_status status = sx_config_add_special(tokenizer, &token, roles[role].field, error);
        if (status)
            return status;
        const sx_added_token *added = NULL;
        for (size_t i = 0; i < tokenizer->added_count && !added; i++)
            if (tokenizer->added[i].content.length == token.content.length &&
                memcmp(tokenizer->added[i].content.data, token.content.data, token.content.length) == 0)
                added = &tokenizer->added[i];
        if (!added)
            return sx_fail(error, SX_E_INTERNAL, "%s: %s was not added", path, roles[role].field);
        if (role == UNKNOWN)
            tokenizer->wordpiece.unknown = added->content;
        if (role == CLASS)
            class = added->id;
        if (role == SEPARATOR)
            separator = added->id;
    }
    if (!sx_post_processor_set_bert(&tokenizer->post, class, separator))
        return sx_fail_nomem(error, sizeof(uint32_t));
    const json_t *more = sx_config_look_up(config, map, "additional_special_tokens");
    for (size_t i = 0; i < json_array_size(more); i++) {
        sx_added_token token = {0};
        sx_status status = sx_tokenizer_token(json_array_get(more, i), path, "additional_special_tokens", &token, error);
        if (!status)
            status = sx_config_add_special(tokenizer, &token, "additional_special_tokens", error);
        if (status)
            return status;
    }
    return SX_OK;
}

static sx_status set_pre_tokenizer(sx_tokenizer *tokenizer, sx_error *error)
{
    json_t *component = json_pack("{s:s}", "type", "BertPreTokenizer");
    if (!component)
        return sx_fail_nomem(error, sizeof component);
    sx_status status = sx_pre_tokenizer_read(component, tokenizer->path, &tokenizer->arena, &tokenizer->pre_tokenizer, error);
    json_decref(component);
    return status;
}

static sx_status read_configuration(sx_tokenizer *tokenizer, json_t *config, const json_t *map, const char *path,
                                    sx_error *error)
{
    sx_bert_normalizer bert = {.clean_text = true, .chinese = true, .lowercase = true};
    sx_status status = check_class(config, path, error);
    if (!status)
        status = sx_tokenizer_flag(config, path, "do_lower_case", &bert.lowercase, error);
    bert.strip_accents = bert.lowercase;
    if (!status)
        status = sx_tokenizer_flag(config, path, "tokenize_chinese_chars", &bert.chinese, error);
    if (!status)
        status = sx_tokenizer_flag(config, path, "strip_accents", &bert.strip_accents, error);
    if (!status)
        status = sx_tokenizer_set_bert(tokenizer, &bert, error);
    if (!status)
        status = set_pre_tokenizer(tokenizer, error);
    if (!status)
        status = sx_config_added_tokens(tokenizer, config, path, error);
    return status ? status : read_special(tokenizer, config, map, path, error);
}

sx_status sx_tokenizer_read_vocab_txt(sx_tokenizer *tokenizer, const char *data, size_t length, sx_error *error)
{
    char *config_path = NULL, *map_path = NULL, *added_path = NULL;
    json_t *config = NULL, *map = NULL, *added = NULL;
    tokenizer->model_type = SX_TOKEN_MODEL_WORDPIECE;
    tokenizer->wordpiece.prefix = (sx_text){"##", 2};
    tokenizer->wordpiece.longest_word = 100;
    sx_status status = read_lines(tokenizer, data, length, error);
    if (!status)
        status = sx_tokenizer_read_beside(tokenizer, "tokenizer_config.json", &config_path, &config, error);
    if (!status)
        status = sx_tokenizer_read_beside(tokenizer, "special_tokens_map.json", &map_path, &map, error);
    if (!status)
        status = sx_tokenizer_read_beside(tokenizer, "added_tokens.json", &added_path, &added, error);
    if (!status && json_object_size(added) && !json_object_get(config, "added_tokens_decoder"))
        status = sx_fail(error, SX_E_UNSUPPORTED, "%s: added tokens beside a vocab.txt are not supported without "
                         "added_tokens_decoder in tokenizer_config.json", added_path);
    if (!status)
        status = read_configuration(tokenizer, config, map, config_path, error);
    json_decref(config);
    json_decref(map);
    json_decref(added);
    free(config_path);
    free(map_path);
    free(added_path);
    return status;
}
