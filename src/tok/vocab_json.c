/* vocab_json.c - reading vocab.json and merges.txt, as RoBERTa's first models and their descendants (codebert-base) are
 * published: what transformers' RobertaTokenizer (4.57) makes of them.
 *
 * vocab.json is {"piece": id ...}, merges.txt a line "left right" for each merge, in the order of their ranks, behind a line
 * with the file's version. Pieces are spelt in GPT-2's byte characters. What tokenizer_config.json and special_tokens_map.json
 * do not say is RoBERTa's default. */
#include "tokenizer_internal.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/json_reader.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 80 };
static const size_t largest_merges = (size_t)256 << 20;

enum { BEGIN, END, UNKNOWN, SEPARATOR, PADDING, CLASS, MASK, ROLES };
static const struct {
    const char *field, *name;
} roles[ROLES] = {
    {"bos_token", "<s>"},   {"eos_token", "</s>"}, {"unk_token", "<unk>"},   {"sep_token", "</s>"},
    {"pad_token", "<pad>"}, {"cls_token", "<s>"},  {"mask_token", "<mask>"},
};

/* The files of one folder. */
typedef struct folder_files {
    char *config_path, *map_path, *added_path, *model_path, *merges_path;
    json_t *config, *map, *added, *model;
} folder_files;

/* Other classes that read these two files (GPT-2's, Qwen's) cut text differently or add no special tokens. */
static sx_status check_class(const folder_files *files, sx_error *error)
{
    static const char *const classes[] = {"RobertaTokenizer", "RobertaTokenizerFast", "LongformerTokenizer",
                                          "LongformerTokenizerFast"};
    static const char *const models[] = {"roberta", "longformer"};
    const char *path = files->config_path, *field = "tokenizer_class";
    const char *name = json_string_value(json_object_get(files->config, field));
    if (!name) {
        path = files->model_path;
        name = json_string_value(json_object_get(files->model, field));
    }
    for (size_t i = 0; name && i < sizeof classes / sizeof *classes; i++)
        if (strcmp(classes[i], name) == 0)
            return SX_OK;
    if (!name) {
        field = "model_type";
        name = json_string_value(json_object_get(files->model, field));
        if (!name)
            return SX_OK;
        for (size_t i = 0; i < sizeof models / sizeof *models; i++)
            if (strcmp(models[i], name) == 0)
                return SX_OK;
    }
    sx_fail(error, SX_E_UNSUPPORTED, "%s: %s \"%s\" with vocab.json and merges.txt is not supported", path, field, name);
    sx_hint(error, "with a tokenizer.json in the folder it is: transformers writes one with AutoTokenizer.from_pretrained(...)"
                   ".save_pretrained(...)");
    return SX_E_UNSUPPORTED;
}

static sx_status read_pieces(sx_tokenizer *tokenizer, const char *data, size_t length, sx_error *error)
{
    sx_json json;
    sx_buffer buffer = {0};
    sx_text piece;
    uint64_t id;
    sx_status status = SX_OK;
    sx_json_begin(&json, data, length, tokenizer->path);
    sx_json_object(&json);
    while (!status && sx_json_member(&json, &buffer, &piece) && sx_json_unsigned(&json, &id)) {
        sx_vocabulary_result result =
            id < SX_VOCABULARY_LIMIT ? sx_vocabulary_add(&tokenizer->vocabulary, piece, (uint32_t)id) : SX_VOCABULARY_RANGE;
        if (result == SX_VOCABULARY_NOMEM)
            status = sx_fail_nomem(error, length);
        else if (result != SX_VOCABULARY_OK)
            status = sx_fail(error, SX_E_FORMAT, "%s: \"%.*s\": id %llu: %s", tokenizer->path,
                             piece.length > SHOWN ? SHOWN : (int)piece.length, piece.data, (unsigned long long)id,
                             result == SX_VOCABULARY_SAME_TEXT ? "the piece is there twice"
                             : result == SX_VOCABULARY_SAME_ID ? "another piece has this id"
                                                               : "the id is out of range");
    }
    if (!status && !sx_json_end(&json))
        status = sx_fail(error, SX_E_FORMAT, "%s: byte %zu: %s", tokenizer->path, json.problem_position, json.problem);
    sx_buffer_clear(&buffer);
    return status;
}

static sx_status add_line(sx_bpe *bpe, sx_text line, uint32_t number, uint32_t rank, const char *path, sx_error *error)
{
    const char *space = memchr(line.data, ' ', line.length);
    size_t left = space ? (size_t)(space - line.data) : 0, right = space ? line.length - left - 1 : 0;
    if (!left || !right || memchr(space + 1, ' ', right))
        return sx_fail(error, SX_E_FORMAT, "%s: line %u: a merge has two sides with a space between them", path, number);
    return sx_bpe_add_merge(bpe, (sx_text){line.data, left}, (sx_text){space + 1, right}, rank, path, error);
}

static sx_status read_merges(sx_tokenizer *tokenizer, const char *path, sx_error *error)
{
    static const char version[] = "#version";
    char *data = NULL;
    size_t length;
    sx_status status = sx_file_read(path, largest_merges, &data, &length, NULL, error);
    uint32_t number = 1, rank = 0;
    for (size_t at = 0; !status && at < length; number++) {
        const char *found = memchr(data + at, '\n', length - at);
        size_t end = found ? (size_t)(found - data) : length;
        sx_text line = {data + at, end - at};
        at = end + 1;
        if (line.length && line.data[line.length - 1] == '\r')
            line.length--;
        bool is_version = number == 1 && line.length >= sizeof version - 1 && memcmp(line.data, version, sizeof version - 1) == 0;
        if (!is_version && (line.length || at < length))
            status = add_line(tokenizer->bpe, line, number, rank++, path, error);
    }
    free(data);
    return status;
}

/* added_tokens.json, the older place of tokens behind the vocabulary: {"<extra>": 50265}. */
static sx_status read_added(sx_tokenizer *tokenizer, const folder_files *files, sx_error *error)
{
    const char *key;
    json_t *value;
    sx_status status = SX_OK;
    if (json_object_get(files->config, "added_tokens_decoder"))
        return SX_OK;
    json_object_foreach(files->added, key, value) {
        json_int_t id = json_is_integer(value) ? json_integer_value(value) : -1;
        if (id < 0 || id >= SX_VOCABULARY_LIMIT)
            return sx_fail(error, SX_E_FORMAT, "%s: \"%s\": no token id", files->added_path, key);
        sx_added_token token = {.content = {key, strlen(key)}, .id = (uint32_t)id, .normalized = true};
        for (int role = 0; role < ROLES; role++) {
            const json_t *named = sx_config_look_up(files->config, files->map, roles[role].field);
            const char *name = json_string_value(json_is_object(named) ? json_object_get(named, "content") : named);
            if (strcmp(name ? name : roles[role].name, key) == 0)
                token.special = true;
        }
        if (token.special)
            continue; /* comes with its role */
        status = sx_tokenizer_add_token(tokenizer, &token, files->added_path, error);
        if (status)
            return status;
    }
    return SX_OK;
}

static sx_status read_roles(sx_tokenizer *tokenizer, const folder_files *files, uint32_t ids[ROLES], const char *names[ROLES],
                            sx_error *error)
{
    for (int role = 0; role < ROLES; role++) {
        const json_t *value = sx_config_look_up(files->config, files->map, roles[role].field);
        /* The mask swallows the white space before it, unless a file describes it in full. */
        sx_added_token token = {.content = {roles[role].name, strlen(roles[role].name)}, .lstrip = role == MASK};
        sx_status status = SX_OK;
        if (json_is_object(value))
            token.lstrip = false;
        if (value && !json_is_null(value))
            status = sx_tokenizer_token(value, files->config_path, roles[role].field, &token, error);
        if (!status)
            status = sx_config_add_special(tokenizer, &token, roles[role].field, error);
        if (status)
            return status;
        if (!sx_tokenizer_find(tokenizer, token.content, &ids[role]))
            return sx_fail(error, SX_E_INTERNAL, "%s: %s was not added", tokenizer->path, roles[role].field);
        names[role] = token.content.data;
    }
    const json_t *more = sx_config_look_up(files->config, files->map, "additional_special_tokens");
    for (size_t i = 0; i < json_array_size(more); i++) {
        sx_added_token token = {0};
        sx_status status =
            sx_tokenizer_token(json_array_get(more, i), files->config_path, "additional_special_tokens", &token, error);
        if (!status)
            status = sx_config_add_special(tokenizer, &token, "additional_special_tokens", error);
        if (status)
            return status;
    }
    return SX_OK;
}

/* The post-processor is read as tokenizer.json would have it. */
static sx_status set_post_processor(sx_tokenizer *tokenizer, const folder_files *files, bool prefix_space, sx_error *error)
{
    uint32_t ids[ROLES];
    const char *names[ROLES];
    bool trim = true;
    sx_status status = sx_tokenizer_flag(files->config, files->config_path, "trim_offsets", &trim, error);
    if (!status)
        status = read_roles(tokenizer, files, ids, names, error);
    if (status)
        return status;
    json_t *component = json_pack("{s:s, s:[s,i], s:[s,i], s:b, s:b}", "type", "RobertaProcessing", "sep", names[SEPARATOR],
                                  (int)ids[SEPARATOR], "cls", names[CLASS], (int)ids[CLASS], "trim_offsets", (int)trim,
                                  "add_prefix_space", (int)prefix_space);
    if (!component)
        return sx_fail_nomem(error, sizeof(json_t));
    status = sx_post_processor_read(component, tokenizer->path, &tokenizer->vocabulary, &tokenizer->post, error);
    json_decref(component);
    return status;
}

static sx_status set_pre_tokenizer(sx_tokenizer *tokenizer, bool prefix_space, sx_error *error)
{
    json_t *component = json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", (int)prefix_space,
                                  "trim_offsets", 1, "use_regex", 1);
    if (!component)
        return sx_fail_nomem(error, sizeof(json_t));
    sx_status status = sx_pre_tokenizer_read(component, tokenizer->path, &tokenizer->arena, &tokenizer->pre_tokenizer, error);
    json_decref(component);
    return status;
}

static sx_status read_files(sx_tokenizer *tokenizer, folder_files *files, sx_error *error)
{
    sx_status status = sx_tokenizer_read_beside(tokenizer, "tokenizer_config.json", &files->config_path, &files->config, error);
    if (!status)
        status = sx_tokenizer_read_beside(tokenizer, "special_tokens_map.json", &files->map_path, &files->map, error);
    if (!status)
        status = sx_tokenizer_read_beside(tokenizer, "added_tokens.json", &files->added_path, &files->added, error);
    if (!status)
        status = sx_tokenizer_read_beside(tokenizer, "config.json", &files->model_path, &files->model, error);
    size_t folder = (size_t)(sx_path_name(tokenizer->path) - tokenizer->path);
    if (!status && asprintf(&files->merges_path, "%.*smerges.txt", (int)folder, tokenizer->path) < 0) {
        files->merges_path = NULL;
        status = sx_fail_nomem(error, folder);
    }
    return status;
}

sx_status sx_tokenizer_read_vocab_json(sx_tokenizer *tokenizer, const char *data, size_t length, sx_error *error)
{
    folder_files files = {0};
    bool prefix_space = false;
    sx_status status = read_files(tokenizer, &files, error);
    tokenizer->model_type = SX_TOKEN_MODEL_BPE;
    if (!status)
        status = check_class(&files, error);
    if (!status)
        status = read_pieces(tokenizer, data, length, error);
    if (!status)
        status = sx_tokenizer_flag(files.config, files.config_path, "add_prefix_space", &prefix_space, error);
    if (!status)
        status = set_pre_tokenizer(tokenizer, prefix_space, error);
    if (!status)
        status = sx_bpe_open(&tokenizer->vocabulary, &(sx_bpe_options){.byte_level = true}, &tokenizer->bpe, error);
    if (!status)
        status = read_merges(tokenizer, files.merges_path, error);
    if (!status)
        status = sx_bpe_finish(tokenizer->bpe, error);
    if (!status)
        status = sx_config_added_tokens(tokenizer, files.config, files.config_path, error);
    if (!status)
        status = read_added(tokenizer, &files, error);
    if (!status)
        status = set_post_processor(tokenizer, &files, prefix_space, error);
    json_decref(files.config);
    json_decref(files.map);
    json_decref(files.added);
    json_decref(files.model);
    free(files.config_path);
    free(files.map_path);
    free(files.added_path);
    free(files.model_path);
    free(files.merges_path);
    return status;
}
