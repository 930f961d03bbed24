/* tokenizer_config.c - what transformers (4.57) makes of tokenizer_config.json when it loads a folder with a tokenizer.json.
 *
 * A model is trained and used with what transformers loads, which is not always what tokenizer.json alone says:
 * - The classes of the BERT family make their BertNormalizer anew from do_lower_case, strip_accents and tokenize_chinese_chars.
 * - A ByteLevel pre-tokenizer gets add_prefix_space from the configuration; RoBERTa's post-processor follows it.
 * - Llama's and Gemma's classes write their own template from add_bos_token and add_eos_token.
 * - Tokens that only the configuration has are added.
 * Fields that are not there have the class's defaults, so a folder with a configuration but without do_lower_case is
 *   lower case. */
#include "tokenizer_internal.h"

#include "../base/error.h"
#include "../base/file.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const size_t largest_configuration = (size_t)64 << 20;

/* Class names without "Tokenizer" and "TokenizerFast". MPNet's leaves Chinese characters alone. */
static const char *const bert_classes[] = {"Bert", "DistilBert", "Electra", "MobileBert", "SqueezeBert", "ConvBert", "Funnel",
                                           "LayoutLM", "LayoutLMv2", "Lxmert", "RetriBert", "Realm", "DPRQuestionEncoder",
                                           "DPRContextEncoder", "DPRReader", NULL};
static const char *const roberta_classes[] = {"Roberta", "Bart", "Longformer", "LED", "Mvp", NULL};
static const char *const gemma_classes[] = {"Llama", "Gemma", "CodeLlama", NULL};
/* What config.json's model_type means where no class is named. */
static const struct {
    const char *model, *class;
} model_classes[] = {{"bert", "Bert"},       {"distilbert", "DistilBert"}, {"electra", "Electra"}, {"mobilebert", "MobileBert"},
                     {"mpnet", "MPNet"},     {"roberta", "Roberta"},       {"bart", "Bart"},       {"longformer", "Longformer"},
                     {"convbert", "ConvBert"}, {"llama", "Llama"},         {"gemma", "Gemma"},     {"gemma2", "Gemma"},
                     {"gemma3_text", "Gemma"}, {"gemma3", "Gemma"},        {"mistral", "Llama"}};

sx_status sx_tokenizer_read_beside(const sx_tokenizer *tokenizer, const char *name, char **path, json_t **json, sx_error *error)
{
    *json = NULL;
    size_t folder = (size_t)(sx_path_name(tokenizer->path) - tokenizer->path), length = strlen(name) + 1;
    *path = malloc(folder + length);
    if (!*path)
        return sx_fail_nomem(error, folder + length);
    memcpy(*path, tokenizer->path, folder);
    memcpy(*path + folder, name, length);
    if (!sx_file_exists(*path))
        return SX_OK;
    char *data;
    size_t size;
    sx_status status = sx_file_read(*path, largest_configuration, &data, &size, NULL, error);
    if (status)
        return status;
    json_error_t problem;
    *json = json_loadb(data, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &problem);
    free(data);
    if (!*json)
        return sx_fail(error, SX_E_FORMAT, "%s: line %d: %s", *path, problem.line, problem.text);
    if (!json_is_object(*json))
        return sx_fail(error, SX_E_FORMAT, "%s: is not a JSON object", *path);
    return SX_OK;
}

sx_status sx_tokenizer_flag(const json_t *config, const char *path, const char *field, bool *flag, sx_error *error)
{
    const json_t *value = json_object_get(config, field);
    if (!value || json_is_null(value))
        return SX_OK;
    if (!json_is_boolean(value))
        return sx_fail(error, SX_E_FORMAT, "%s: %s: expected true or false", path, field);
    *flag = json_is_true(value);
    return SX_OK;
}

sx_status sx_tokenizer_token(const json_t *value, const char *path, const char *field, sx_added_token *token, sx_error *error)
{
    const json_t *content = json_is_object(value) ? json_object_get(value, "content") : value;
    if (!json_is_string(content))
        return sx_fail(error, SX_E_FORMAT, "%s: %s: expected a token", path, field);
    token->content = (sx_text){json_string_value(content), json_string_length(content)};
    if (!json_is_object(value))
        return SX_OK;
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {{"special", &token->special}, {"single_word", &token->single_word}, {"lstrip", &token->lstrip},
                 {"rstrip", &token->rstrip},   {"normalized", &token->normalized}};
    sx_status status = SX_OK;
    for (size_t i = 0; i < sizeof flags / sizeof flags[0] && !status; i++)
        status = sx_tokenizer_flag(value, path, flags[i].name, flags[i].flag, error);
    return status;
}

static bool is_among(const char *name, size_t length, const char *const *classes)
{
    for (; *classes; classes++)
        if (strlen(*classes) == length && memcmp(*classes, name, length) == 0)
            return true;
    return false;
}

static void set_class(sx_tokenizer_overrides *overrides, const char *class, size_t length)
{
    bool mpnet = length == 5 && memcmp(class, "MPNet", 5) == 0;
    overrides->chinese = is_among(class, length, bert_classes);
    overrides->bert = overrides->chinese || mpnet;
    overrides->roberta = is_among(class, length, roberta_classes);
    overrides->gemma = is_among(class, length, gemma_classes);
}

/* "BertTokenizerFast" is "Bert". */
static size_t class_length(const char *class)
{
    const char *end = strstr(class, "Tokenizer");
    return end ? (size_t)(end - class) : 0;
}

sx_status sx_tokenizer_overrides_read(sx_tokenizer_overrides *overrides, const sx_tokenizer *tokenizer, sx_error *error)
{
    char *model_path = NULL;
    json_t *model = NULL;
    sx_status status = sx_tokenizer_read_beside(tokenizer, "tokenizer_config.json", &overrides->path, &overrides->config, error);
    if (!status)
        status = sx_tokenizer_read_beside(tokenizer, "config.json", &model_path, &model, error);
    if (!status) {
        const char *class = json_string_value(json_object_get(overrides->config, "tokenizer_class"));
        if (!class)
            class = json_string_value(json_object_get(model, "tokenizer_class"));
        const char *type = json_string_value(json_object_get(model, "model_type"));
        overrides->active = overrides->config != NULL;
        if (class)
            set_class(overrides, class, class_length(class));
        for (size_t i = 0; type && !class && i < sizeof model_classes / sizeof model_classes[0]; i++)
            if (strcmp(model_classes[i].model, type) == 0) {
                set_class(overrides, model_classes[i].class, strlen(model_classes[i].class));
                overrides->active = true;
            }
    }
    json_decref(model);
    free(model_path);
    return status;
}

void sx_tokenizer_overrides_clear(sx_tokenizer_overrides *overrides)
{
    json_decref(overrides->config);
    free(overrides->path);
    *overrides = (sx_tokenizer_overrides){0};
}

static bool is_type(const json_t *tree, const char *type)
{
    const char *name = json_string_value(json_object_get(tree, "type"));
    return name && strcmp(name, type) == 0;
}

static sx_status set_flag(json_t *tree, const char *field, bool value, sx_error *error)
{
    return json_object_set_new(tree, field, json_boolean(value)) == 0 ? SX_OK : sx_fail_nomem(error, strlen(field));
}

static sx_status override_bert(const sx_tokenizer_overrides *overrides, json_t *tree, sx_error *error)
{
    bool lowercase = true, chinese = true, strip;
    sx_status status = sx_tokenizer_flag(overrides->config, overrides->path, "do_lower_case", &lowercase, error);
    strip = lowercase;
    if (!status)
        status = sx_tokenizer_flag(overrides->config, overrides->path, "strip_accents", &strip, error);
    if (!status)
        status = sx_tokenizer_flag(overrides->config, overrides->path, "tokenize_chinese_chars", &chinese, error);
    if (!status)
        status = set_flag(tree, "lowercase", lowercase, error);
    if (!status)
        status = set_flag(tree, "strip_accents", strip, error);
    if (!status && overrides->chinese)
        status = set_flag(tree, "handle_chinese_chars", chinese, error);
    return status;
}

static sx_status override_flag(const sx_tokenizer_overrides *overrides, json_t *tree, const char *field, bool value,
                               sx_error *error)
{
    const json_t *given = json_object_get(overrides->config, field);
    if (!json_object_get(tree, field) || json_is_null(given))
        return SX_OK;
    sx_status status = sx_tokenizer_flag(overrides->config, overrides->path, field, &value, error);
    return status ? status : set_flag(tree, field, value, error);
}

/* The token of a role and its id; false when the configuration names none that exists. */
static bool find_role(const sx_tokenizer_overrides *overrides, const sx_tokenizer *tokenizer, const char *role, const char *usual,
                      sx_text *content, uint32_t *id)
{
    const json_t *value = json_object_get(overrides->config, role);
    const json_t *text = json_is_object(value) ? json_object_get(value, "content") : value;
    *content = json_is_string(text) ? (sx_text){json_string_value(text), json_string_length(text)}
                                    : (sx_text){usual, strlen(usual)};
    return sx_tokenizer_find(tokenizer, *content, id);
}

static json_t *template_token(sx_text content, int type)
{
    return json_pack("{s:{s:s%, s:i}}", "SpecialToken", "id", content.data, content.length, "type_id", type);
}

/* <bos> A <eos>, and the same again for a second text with type 1, each of the two tokens where the configuration wants it. */
static sx_status override_template(const sx_tokenizer_overrides *overrides, const sx_tokenizer *tokenizer, json_t **tree,
                                   sx_error *error)
{
    static const char *const names[] = {"A", "B"};
    bool add[2] = {true, false};
    sx_text content[2];
    uint32_t ids[2] = {0};
    sx_status status = sx_tokenizer_flag(overrides->config, overrides->path, "add_bos_token", &add[0], error);
    if (!status)
        status = sx_tokenizer_flag(overrides->config, overrides->path, "add_eos_token", &add[1], error);
    if (status)
        return status;
    bool found[2] = {find_role(overrides, tokenizer, "bos_token", "<bos>", &content[0], &ids[0]),
                     find_role(overrides, tokenizer, "eos_token", "<eos>", &content[1], &ids[1])};
    if (!found[0])
        found[0] = find_role(overrides, tokenizer, "bos_token", "<s>", &content[0], &ids[0]);
    if (!found[1])
        found[1] = find_role(overrides, tokenizer, "eos_token", "</s>", &content[1], &ids[1]);
    json_t *single = json_array(), *pair = json_array(), *tokens = json_object();
    for (int i = 0; i < 2; i++) {
        if (add[i] && !found[i]) {
            status = sx_fail(error, SX_E_FORMAT, "%s: %s is set, but there is no such token", overrides->path,
                             i ? "add_eos_token" : "add_bos_token");
            goto out;
        }
        if (add[i])
            json_object_setn_new(tokens, content[i].data, content[i].length, json_pack("{s:[i]}", "ids", (int)ids[i]));
    }
    for (int type = 0; type < 2; type++) {
        if (add[0]) {
            if (type == 0)
                json_array_append_new(single, template_token(content[0], 0));
            json_array_append_new(pair, template_token(content[0], type));
        }
        if (type == 0)
            json_array_append_new(single, json_pack("{s:{s:s, s:i}}", "Sequence", "id", names[0], "type_id", 0));
        json_array_append_new(pair, json_pack("{s:{s:s, s:i}}", "Sequence", "id", names[type], "type_id", type));
        if (add[1]) {
            if (type == 0)
                json_array_append_new(single, template_token(content[1], 0));
            json_array_append_new(pair, template_token(content[1], type));
        }
    }
    json_t *template = json_pack("{s:s, s:O, s:O, s:O}", "type", "TemplateProcessing", "single", single, "pair", pair,
                                 "special_tokens", tokens);
    if (!template) {
        status = sx_fail_nomem(error, sizeof template);
        goto out;
    }
    json_decref(*tree);
    *tree = template;

out:
    json_decref(single);
    json_decref(pair);
    json_decref(tokens);
    return status;
}

sx_status sx_tokenizer_override(const sx_tokenizer_overrides *overrides, const sx_tokenizer *tokenizer, const char *component,
                                json_t **tree, sx_error *error)
{
    if (!overrides->active)
        return SX_OK;
    if (strcmp(component, "normalizer") == 0)
        return overrides->bert && is_type(*tree, "BertNormalizer") ? override_bert(overrides, *tree, error) : SX_OK;
    if (strcmp(component, "pre_tokenizer") == 0)
        return is_type(*tree, "ByteLevel") ? override_flag(overrides, *tree, "add_prefix_space", false, error) : SX_OK;
    if (overrides->roberta && *tree) {
        sx_status status = override_flag(overrides, *tree, "add_prefix_space", false, error);
        return status ? status : override_flag(overrides, *tree, "trim_offsets", true, error);
    }
    return overrides->gemma && overrides->config ? override_template(overrides, tokenizer, tree, error) : SX_OK;
}

static sx_added_token *find_added(sx_tokenizer *tokenizer, sx_text content)
{
    uint32_t index;
    return sx_vocabulary_find(&tokenizer->added_names, content, &index) ? &tokenizer->added[index] : NULL;
}

/* A token that tokenizer.json does not have among its added ones. One that is in no vocabulary gets the next id. */
static sx_status add_missing(sx_tokenizer *tokenizer, sx_added_token *token, const char *field, sx_error *error)
{
    if (token->content.length == 0)
        return SX_OK;
    if (!sx_vocabulary_find(&tokenizer->vocabulary, token->content, &token->id))
        token->id = tokenizer->vocabulary.count;
    return sx_tokenizer_add_token(tokenizer, token, field, error);
}

typedef struct decoder_entry {
    unsigned long id;
    const json_t *token;
} decoder_entry;

static int compare_entries(const void *a, const void *b)
{
    unsigned long first = ((const decoder_entry *)a)->id, second = ((const decoder_entry *)b)->id;
    return first < second ? -1 : first > second;
}

static sx_status override_token(const sx_tokenizer_overrides *overrides, sx_tokenizer *tokenizer, const json_t *value,
                                sx_error *error)
{
    sx_added_token token = {.normalized = true};
    sx_status status = sx_tokenizer_token(value, overrides->path, "added_tokens_decoder", &token, error);
    if (status)
        return status;
    sx_added_token *known = find_added(tokenizer, token.content);
    if (!known)
        return add_missing(tokenizer, &token, "added_tokens_decoder of tokenizer_config.json", error);
    known->lstrip = token.lstrip;
    known->rstrip = token.rstrip;
    known->single_word = token.single_word;
    return SX_OK;
}

/* added_tokens_decoder: {"101": {"content": "[CLS]" ...}}, taken in the order of ids. */
static sx_status override_decoder(const sx_tokenizer_overrides *overrides, sx_tokenizer *tokenizer, sx_error *error)
{
    json_t *decoder = json_object_get(overrides->config, "added_tokens_decoder"), *value;
    const char *key;
    size_t count = 0;
    sx_status status = SX_OK;
    if (decoder && !json_is_object(decoder))
        return sx_fail(error, SX_E_FORMAT, "%s: added_tokens_decoder: expected an object", overrides->path);
    decoder_entry *entries = sx_calloc(json_object_size(decoder), sizeof *entries);
    if (!entries)
        return sx_fail_nomem(error, json_object_size(decoder) * sizeof *entries);
    json_object_foreach(decoder, key, value) {
        char *end;
        unsigned long id = key[0] >= '0' && key[0] <= '9' ? strtoul(key, &end, 10) : SX_VOCABULARY_LIMIT;
        if (id >= SX_VOCABULARY_LIMIT || *end) {
            status = sx_fail(error, SX_E_FORMAT, "%s: added_tokens_decoder: \"%.40s\" is no token id", overrides->path, key);
            goto out;
        }
        entries[count++] = (decoder_entry){id, value};
    }
    qsort(entries, count, sizeof *entries, compare_entries);
    for (size_t i = 0; i < count && !status; i++)
        status = override_token(overrides, tokenizer, entries[i].token, error);

out:
    free(entries);
    return status;
}

sx_status sx_tokenizer_override_tokens(const sx_tokenizer_overrides *overrides, sx_tokenizer *tokenizer, sx_error *error)
{
    static const char *const roles[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                        "pad_token", "cls_token", "mask_token"};
    if (!overrides->config)
        return SX_OK;
    sx_status status = override_decoder(overrides, tokenizer, error);
    for (size_t i = 0; i < sizeof roles / sizeof roles[0] && !status; i++) {
        const json_t *value = json_object_get(overrides->config, roles[i]);
        sx_added_token token = {0};
        if (!json_is_string(value) && !json_is_object(value))
            continue;
        status = sx_tokenizer_token(value, overrides->path, roles[i], &token, error);
        token.special = true;
        if (!status && !find_added(tokenizer, token.content))
            status = add_missing(tokenizer, &token, roles[i], error);
    }
    const json_t *more = json_object_get(overrides->config, "additional_special_tokens");
    for (size_t i = 0; i < json_array_size(more) && !status; i++) {
        sx_added_token token = {0};
        status = sx_tokenizer_token(json_array_get(more, i), overrides->path, "additional_special_tokens", &token, error);
        token.special = true;
        if (!status && !find_added(tokenizer, token.content))
            status = add_missing(tokenizer, &token, "additional_special_tokens", error);
    }
    return status;
}
