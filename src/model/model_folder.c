/* model_folder.c - reading a sentence-transformers folder (modules.json and the modules' configs) or a plain Hugging Face one.
 *
 * The reference is sentence-transformers 5: which files it reads, in which order of precedence, and with which defaults. What
 * would change the vectors and is not understood is refused by name, never passed over.
 */
#include "model_folder.h"

#include "family.h"
#include "pooling.h"

#include "../base/error.h"
#include "../base/file.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_MAX = 16 * 1024 * 1024, SIZE_FIELD_MAX = 1 << 24 };

/* ---- One JSON file ---- */

typedef struct config_file {
    char *path;
    json_t *root; /* NULL: the file is not there */
} config_file;

static void config_close(config_file *file)
{
    json_decref(file->root);
    free(file->path);
    file->root = NULL;
    file->path = NULL;
}

/* A missing file is no error here: root stays NULL. */
static sx_status config_open(const char *folder, const char *name, json_type type, config_file *file, sx_error *error)
{
    char *data = NULL;
    size_t length;
    json_error_t problem;
    file->root = NULL;
    file->path = sx_path_join(folder, name);
    if (!file->path)
        return sx_fail_nomem(error, strlen(folder) + strlen(name));
    if (!sx_file_exists(file->path))
        return SX_OK;
    sx_status status = sx_file_read(file->path, CONFIG_MAX, &data, &length, NULL, error);
    if (status)
        return status;
    /* as reals: transformers writes 10^30 as a whole number where it means "no limit" */
    file->root = json_loadb(data, length, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &problem);
    free(data);
    if (!file->root)
        return sx_fail(error, SX_E_FORMAT, "%s: line %d: %s", file->path, problem.line, problem.text);
    if (json_typeof(file->root) != type)
        return sx_fail(error, SX_E_FORMAT, "%s: not a JSON %s", file->path, type == JSON_ARRAY ? "array" : "object");
    return SX_OK;
}

static sx_status wrong_type(const config_file *file, const char *key, const char *expected, sx_error *error)
{
    return sx_fail(error, SX_E_FORMAT, "%s: %s: expected %s", file->path, key, expected);
}

/* Fields that are absent or null leave *value alone. */
static sx_status read_size(const config_file *file, const char *key, uint32_t least, uint32_t *value, sx_error *error)
{
    json_t *field = json_object_get(file->root, key);
    if (!field || json_is_null(field))
        return SX_OK;
    double number = json_number_value(field);
    if (!json_is_number(field) || number != floor(number))
        return wrong_type(file, key, "a whole number", error);
    if (number < least || number > SIZE_FIELD_MAX)
        return sx_fail(error, SX_E_FORMAT, "%s: %s: %.0f is not within %u .. %d", file->path, key, number, least, SIZE_FIELD_MAX);
    *value = (uint32_t)number;
    return SX_OK;
}

static sx_status read_flag(const config_file *file, const char *key, bool *value, sx_error *error)
{
    json_t *field = json_object_get(file->root, key);
    if (!field || json_is_null(field))
        return SX_OK;
    if (!json_is_boolean(field))
        return wrong_type(file, key, "true or false", error);
    *value = json_is_true(field);
    return SX_OK;
}

/* A string of the file, copied; *value is left alone when it is absent or null. */
static sx_status read_string(const config_file *file, const char *key, sx_arena *arena, const char **value, sx_error *error)
{
    json_t *field = json_object_get(file->root, key);
    if (!field || json_is_null(field))
        return SX_OK;
    if (!json_is_string(field))
        return wrong_type(file, key, "a string", error);
    char *copy = sx_arena_strndup(arena, json_string_value(field), json_string_length(field));
    if (!copy)
        return sx_fail_nomem(error, json_string_length(field));
    *value = copy;
    return SX_OK;
}

/* ---- config.json ---- */

static sx_status read_activation(const config_file *file, sx_model_folder *folder, sx_error *error)
{
    static const struct {
        const char *name;
        sx_activation activation;
    } known[] = {
        {"gelu", SX_ACTIVATION_GELU},
        {"gelu_new", SX_ACTIVATION_GELU_TANH},
        {"gelu_pytorch_tanh", SX_ACTIVATION_GELU_TANH},
        {"relu", SX_ACTIVATION_RELU},
    };
    const char *name = "gelu";
    sx_status status = read_string(file, "hidden_act", &folder->arena, &name, error);
    if (status)
        return status;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i].name) == 0) {
            folder->activation = known[i].activation;
            return SX_OK;
        }
    }
    return sx_fail(error, SX_E_UNSUPPORTED, "%s: hidden_act: \"%s\" is not supported", file->path, name);
}

static sx_status read_epsilon(const config_file *file, sx_model_folder *folder, sx_error *error)
{
    folder->layer_norm_epsilon = 1e-12f;
    json_t *field = json_object_get(file->root, "layer_norm_eps");
    if (!field || json_is_null(field))
        return SX_OK;
    if (!json_is_number(field))
        return wrong_type(file, "layer_norm_eps", "a number", error);
    double value = json_number_value(field);
    if (!(value >= 0.0 && value <= 1.0))
        return sx_fail(error, SX_E_FORMAT, "%s: layer_norm_eps: %g is not within 0 .. 1", file->path, value);
    folder->layer_norm_epsilon = (float)value;
    return SX_OK;
}

/* The fields of a BERT and the defaults transformers' BertConfig has for them. */
static sx_status read_bert(const config_file *file, sx_model_folder *folder, sx_error *error)
{
    const struct {
        const char *key;
        uint32_t *value, initial;
    } sizes[] = {
        {"num_hidden_layers", &folder->layers, 12},
        {"num_attention_heads", &folder->heads, 12},
        {"hidden_size", &folder->hidden_size, 768},
        {"intermediate_size", &folder->intermediate_size, 3072},
        {"vocab_size", &folder->vocabulary_size, 30522},
        {"max_position_embeddings", &folder->positions, 512},
        {"type_vocab_size", &folder->token_types, 2},
    };
    sx_status status = SX_OK;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && !status; i++) {
        *sizes[i].value = sizes[i].initial;
        status = read_size(file, sizes[i].key, 1, sizes[i].value, error);
    }
    if (status || (status = read_activation(file, folder, error)) || (status = read_epsilon(file, folder, error)))
        return status;
    if (folder->hidden_size % folder->heads)
        return sx_fail(error, SX_E_FORMAT, "%s: hidden_size %u is no multiple of num_attention_heads %u", file->path,
                       folder->hidden_size, folder->heads);
    const char *positions = "absolute";
    bool decoder = false;
    if ((status = read_string(file, "position_embedding_type", &folder->arena, &positions, error)) ||
        (status = read_flag(file, "is_decoder", &decoder, error)))
        return status;
    if (strcmp(positions, "absolute") != 0)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: position_embedding_type: \"%s\" is not supported", file->path, positions);
    if (decoder)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: is_decoder: decoders are not supported", file->path);
    return SX_OK;
}

static sx_status read_config(sx_model_folder *folder, sx_error *error)
{
    config_file file;
    sx_status status = config_open(folder->transformer, "config.json", JSON_OBJECT, &file, error);
    if (status)
        goto out;
    if (!file.root) {
        status = sx_fail(error, SX_E_NOT_FOUND, "%s: no such file", file.path);
        sx_hint(error, "a model folder holds config.json, model.safetensors and tokenizer.json");
        goto out;
    }
    status = read_string(&file, "model_type", &folder->arena, &folder->family, error);
    if (status)
        goto out;
    if (!folder->family)
        status = sx_fail(error, SX_E_FORMAT, "%s: model_type: missing", file.path);
    else if (!sx_family_find(folder->family))
        status = sx_fail(error, SX_E_UNSUPPORTED, "%s: model_type: \"%s\" is not supported; \"bert\" is", file.path,
                         folder->family);
    else
        status = read_bert(&file, folder, error);
out:
    config_close(&file);
    return status;
}

/* ---- Modules ---- */

static sx_status read_pooling(sx_model_folder *folder, const char *path, sx_error *error)
{
    static const char *const flags[SX_POOLING_KINDS] = {
        "pooling_mode_cls_token",            "pooling_mode_max_tokens",          "pooling_mode_mean_tokens",
        "pooling_mode_mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken",
    };
    config_file file;
    sx_status status = config_open(path, "config.json", JSON_OBJECT, &file, error);
    if (status)
        goto out;
    if (!file.root) {
        status = sx_fail(error, SX_E_NOT_FOUND, "%s: no such file, but modules.json names it", file.path);
        goto out;
    }
    for (unsigned kind = 0; kind < SX_POOLING_KINDS; kind++) {
        bool on = kind == 2; /* sentence-transformers: mean unless said otherwise */
        if ((status = read_flag(&file, flags[kind], &on, error)))
            goto out;
        folder->poolings |= on ? 1u << kind : 0;
    }
    const char *mode = NULL;
    if ((status = read_string(&file, "pooling_mode", &folder->arena, &mode, error)))
        goto out;
    if (mode) {
        folder->poolings = sx_pooling_of_name(strcmp(mode, "mean_sqrt_len_tokens") ? mode : "mean_sqrt_len");
        if (!folder->poolings) {
            status = sx_fail(error, SX_E_UNSUPPORTED, "%s: pooling_mode: \"%s\" is not supported", file.path, mode);
            goto out;
        }
    }
    uint32_t width = folder->hidden_size;
    if ((status = read_size(&file, "word_embedding_dimension", 1, &width, error)) ||
        (status = read_flag(&file, "include_prompt", &folder->include_prompt, error)))
        goto out;
    if (!folder->poolings)
        status = sx_fail(error, SX_E_FORMAT, "%s: no pooling_mode is set", file.path);
    else if (width != folder->hidden_size)
        status = sx_fail(error, SX_E_FORMAT, "%s: word_embedding_dimension is %u, but hidden_size of config.json is %u",
                         file.path, width, folder->hidden_size);
out:
    config_close(&file);
    return status;
}

/* "sentence_transformers.models.Pooling" -> "Pooling"; other packages' modules are their own code: whole name. */
static const char *module_kind(const char *type)
{
    const char *package = "sentence_transformers.";
    const char *dot = strrchr(type, '.');
    return dot && strncmp(type, package, strlen(package)) == 0 ? dot + 1 : type;
}

typedef struct module_entry {
    const char *kind, *type;
    char *path; /* folder, malloc'ed */
} module_entry;

static sx_status read_module_entry(const sx_model_folder *folder, const config_file *file, size_t index, module_entry *entry,
                                   sx_error *error)
{
    json_t *module = json_array_get(file->root, index);
    const char *type = json_string_value(json_object_get(module, "type"));
    const char *path = json_string_value(json_object_get(module, "path"));
    if (!type || !path)
        return sx_fail(error, SX_E_FORMAT, "%s: module %zu: type or path is missing", file->path, index);
    entry->type = type;
    entry->kind = module_kind(type);
    entry->path = *path ? sx_path_join(folder->path, path) : sx_strdup(folder->path);
    return entry->path ? SX_OK : sx_fail_nomem(error, strlen(path));
}

static sx_status take_module(sx_model_folder *folder, const config_file *file, size_t index, const module_entry *entry,
                             sx_error *error)
{
    bool first = index == 0;
    if (first != (strcmp(entry->kind, "Transformer") == 0))
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: module %zu is %s%s", file->path, index, entry->type,
                       first ? ", where a Transformer is expected" : ", which is not supported here");
    if (first) {
        folder->transformer = sx_arena_strndup(&folder->arena, entry->path, strlen(entry->path));
        return folder->transformer ? read_config(folder, error) : sx_fail_nomem(error, strlen(entry->path));
    }
    if (strcmp(entry->kind, "Pooling") == 0 && !folder->poolings)
        return read_pooling(folder, entry->path, error);
    if (strcmp(entry->kind, "Normalize") == 0 && folder->poolings) {
        folder->normalize = true;
        return SX_OK;
    }
    return sx_fail(error, SX_E_UNSUPPORTED, "%s: module %zu is %s, which is not supported here", file->path, index, entry->type);
}

static sx_status read_modules(sx_model_folder *folder, sx_error *error)
{
    config_file file;
    sx_status status = config_open(folder->path, "modules.json", JSON_ARRAY, &file, error);
    if (status)
        goto out;
    if (!file.root) { /* a plain Hugging Face folder: what sentence-transformers makes of it */
        folder->poolings = SX_POOLING_MEAN;
        status = read_config(folder, error);
        goto out;
    }
    for (size_t i = 0; i < json_array_size(file.root) && !status; i++) {
        module_entry entry = {0};
        status = read_module_entry(folder, &file, i, &entry, error);
        if (!status)
            status = take_module(folder, &file, i, &entry, error);
        free(entry.path);
    }
    if (!status && !folder->poolings)
        status = sx_fail(error, SX_E_UNSUPPORTED, "%s: no Pooling module", file.path);
out:
    config_close(&file);
    return status;
}

/* ---- Lengths, prompts, weights ---- */

static sx_status read_lengths(sx_model_folder *folder, sx_error *error)
{
    config_file file = {0}, tokenizer = {0};
    uint32_t length = 0;
    sx_status status = config_open(folder->transformer, "sentence_bert_config.json", JSON_OBJECT, &file, error);
    if (status)
        goto out;
    if ((status = read_size(&file, "max_seq_length", 1, &length, error)) ||
        (status = read_flag(&file, "do_lower_case", &folder->lower_case, error)))
        goto out;
    if (!length) {
        if ((status = config_open(folder->transformer, "tokenizer_config.json", JSON_OBJECT, &tokenizer, error)))
            goto out;
        double number = json_number_value(json_object_get(tokenizer.root, "model_max_length"));
        length = number >= 1.0 && number < folder->positions ? (uint32_t)number : folder->positions;
    }
    folder->max_length = length < folder->positions ? length : folder->positions;
out:
    config_close(&file);
    config_close(&tokenizer);
    return status;
}

static sx_status read_prompts(sx_model_folder *folder, sx_error *error)
{
    config_file file;
    const char *key, *chosen = NULL;
    json_t *value;
    folder->similarity = "cosine";
    folder->default_prompt = "";
    sx_status status = config_open(folder->path, "config_sentence_transformers.json", JSON_OBJECT, &file, error);
    if (status || !file.root)
        goto out;
    if ((status = read_string(&file, "similarity_fn_name", &folder->arena, &folder->similarity, error)) ||
        (status = read_string(&file, "default_prompt_name", &folder->arena, &chosen, error)))
        goto out;
    json_t *prompts = json_object_get(file.root, "prompts");
    if (prompts && !json_is_object(prompts) && !json_is_null(prompts)) {
        status = wrong_type(&file, "prompts", "an object", error);
        goto out;
    }
    folder->prompts = sx_arena_alloc(&folder->arena, (json_object_size(prompts) + 1) * sizeof *folder->prompts);
    if (!folder->prompts) {
        status = sx_fail_nomem(error, json_object_size(prompts) * sizeof *folder->prompts);
        goto out;
    }
    json_object_foreach(prompts, key, value) {
        sx_named_prompt *prompt = &folder->prompts[folder->prompt_count];
        if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value)) {
            status = sx_fail(error, SX_E_FORMAT, "%s: prompts: \"%s\": expected a string without NUL", file.path, key);
            goto out;
        }
        prompt->name = sx_arena_strndup(&folder->arena, key, strlen(key));
        prompt->text = sx_arena_strndup(&folder->arena, json_string_value(value), json_string_length(value));
        if (!prompt->name || !prompt->text) {
            status = sx_fail_nomem(error, json_string_length(value));
            goto out;
        }
        folder->prompt_count++;
        if (chosen && strcmp(chosen, prompt->name) == 0) {
            folder->default_prompt = prompt->text;
            chosen = NULL;
        }
    }
    if (chosen)
        status = sx_fail(error, SX_E_FORMAT, "%s: default_prompt_name: \"%s\" is not among the prompts", file.path, chosen);
out:
    config_close(&file);
    return status;
}

static bool has_ending(const char *name, const char *ending)
{
    size_t length = strlen(name), part = strlen(ending);
    return length > part && strcmp(name + length - part, ending) == 0;
}

static sx_status find_weights(sx_model_folder *folder, sx_error *error)
{
    sx_status status = SX_OK;
    size_t found = 0;
    char *path = sx_path_join(folder->transformer, "model.safetensors");
    if (!path)
        return sx_fail_nomem(error, strlen(folder->transformer));
    if (!sx_file_exists(path)) {
        DIR *directory = opendir(folder->transformer);
        if (!directory) {
            status = sx_fail_errno(error, errno, "%s", folder->transformer);
            goto out;
        }
        for (struct dirent *entry; (entry = readdir(directory));) {
            if (!has_ending(entry->d_name, ".safetensors"))
                continue;
            found++;
            free(path);
            path = sx_path_join(folder->transformer, entry->d_name);
            if (!path)
                break;
        }
        closedir(directory);
        if (!path)
            status = sx_fail_nomem(error, strlen(folder->transformer));
        else if (found > 1)
            status = sx_fail(
                error, SX_E_UNSUPPORTED,
                "%s: no model.safetensors, and %zu other .safetensors files (weights in several files are not supported)",
                folder->transformer, found);
        else if (found == 0)
            status = sx_fail(error, SX_E_NOT_FOUND, "%s: no model.safetensors", folder->transformer);
        if (status)
            goto out;
    }
    folder->weights = sx_arena_strndup(&folder->arena, path, strlen(path));
    if (!folder->weights)
        status = sx_fail_nomem(error, strlen(path));
out:
    free(path);
    return status;
}

static sx_status read_all(const char *path, sx_model_folder *folder, sx_error *error)
{
    struct stat status_of;
    folder->include_prompt = true;
    folder->path = folder->transformer = sx_arena_strndup(&folder->arena, path, strlen(path));
    if (!folder->path)
        return sx_fail_nomem(error, strlen(path));
    if (stat(path, &status_of) != 0)
        return sx_fail_errno(error, errno, "%s", path);
    if (!S_ISDIR(status_of.st_mode))
        return sx_fail(error, SX_E_FORMAT, "%s: not a folder", path);
    sx_status status = read_modules(folder, error);
    if (!status)
        status = read_lengths(folder, error);
    if (!status)
        status = read_prompts(folder, error);
    return status ? status : find_weights(folder, error);
}

sx_status sx_model_folder_read(const char *path, sx_model_folder *folder, sx_error *error)
{
    memset(folder, 0, sizeof *folder);
    sx_status status = read_all(path, folder, error);
    if (status)
        sx_model_folder_clear(folder);
    return status;
}

void sx_model_folder_clear(sx_model_folder *folder)
{
    sx_arena_clear(&folder->arena);
    memset(folder, 0, sizeof *folder);
}

static const char *prompt_named(const sx_model_folder *folder, const char *name)
{
    for (size_t i = 0; i < folder->prompt_count; i++)
        if (strcmp(folder->prompts[i].name, name) == 0)
            return folder->prompts[i].text;
    return NULL;
}

sx_status sx_model_folder_prompt(const sx_model_folder *folder, const char *name, const char **prompt, sx_error *error)
{
    const char *text = prompt_named(folder, name);
    *prompt = "";
    if (strcmp(name, "none") == 0) {
        text = folder->default_prompt;
    } else if (strcmp(name, "document") == 0) {
        /* the names that encode_document() of sentence-transformers goes through */
        if (!text || !*text)
            text = prompt_named(folder, "passage");
        if (!text || !*text)
            text = prompt_named(folder, "corpus");
    }
    if (!text && strcmp(name, "query") != 0 && strcmp(name, "document") != 0) {
        sx_fail(error, SX_E_NOT_FOUND, "%s: no prompt named \"%s\"", folder->path, name);
        sx_hint(error, "query, document and none always work; this folder has %zu prompts of its own", folder->prompt_count);
        return SX_E_NOT_FOUND;
    }
    if (text)
        *prompt = text;
    return SX_OK;
}
