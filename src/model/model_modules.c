/* model_modules.c - what kind of model a folder holds, and the modules behind its pooling.
 *
 * modules.json says it for sentence-transformers' folders, under the class names of all its versions. Without that file it is a
 * cross-encoder when config.json's architectures end in ForSequenceClassification, a model2vec model when it says so, and
 * else an encoder with mean pooling, as sentence-transformers makes of it.
 */
#include "model_folder.h"

#include "config_file.h"
#include "pooling.h"

#include "../base/error.h"
#include "../base/file.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- Pooling ---- */

static sx_status add_mode(const sx_config_file *file, const char *mode, unsigned *poolings, sx_error *error)
{
    char lower[64] = "";
    for (size_t i = 0; mode[i] && i + 1 < sizeof lower; i++)
        lower[i] = (char)(mode[i] >= 'A' && mode[i] <= 'Z' ? mode[i] + ('a' - 'A') : mode[i]);
    unsigned kind = sx_pooling_of_name(strcmp(lower, "mean_sqrt_len_tokens") ? lower : "mean_sqrt_len");
    if (!kind)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: pooling_mode: \"%s\" is not supported", file->path, mode);
    *poolings |= kind;
    return SX_OK;
}

/* One name or, in newer versions, a list of names; overrides the flags of older ones. */
static sx_status read_mode(const sx_config_file *file, unsigned *poolings, sx_error *error)
{
    json_t *mode = json_object_get(file->root, "pooling_mode"), *item;
    size_t index;
    sx_status status = SX_OK;
    if (!mode || json_is_null(mode))
        return SX_OK;
    *poolings = 0;
    if (json_is_string(mode))
        return add_mode(file, json_string_value(mode), poolings, error);
    if (!json_is_array(mode))
        return sx_config_wrong_type(file, "pooling_mode", "a string or an array of strings", error);
    json_array_foreach(mode, index, item) {
        if (!json_is_string(item))
            return sx_config_wrong_type(file, "pooling_mode", "an array of strings", error);
        unsigned before = *poolings;
        if ((status = add_mode(file, json_string_value(item), poolings, error)))
            return status;
        if (*poolings < before << 1 && before) /* vectors stand beside each other in one order only */
            return sx_fail(error, SX_E_UNSUPPORTED, "%s: pooling_mode: \"%s\" behind a later or equal one is not supported",
                           file->path, json_string_value(item));
    }
    return status;
}

static sx_status read_pooling(sx_model_folder *folder, const char *path, sx_error *error)
{
    static const char *const flags[SX_POOLING_KINDS] = {
        "pooling_mode_cls_token",            "pooling_mode_max_tokens",          "pooling_mode_mean_tokens",
        "pooling_mode_mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken",
    };
    sx_config_file file;
    sx_status status = sx_config_open(path, "config.json", JSON_OBJECT, &file, error);
    if (status)
        goto out;
    if (!file.root) {
        status = sx_fail(error, SX_E_NOT_FOUND, "%s: no such file, but modules.json names it", file.path);
        goto out;
    }
    for (unsigned kind = 0; kind < SX_POOLING_KINDS; kind++) {
        bool on = kind == 2; /* sentence-transformers: mean unless said otherwise */
        if ((status = sx_config_flag(&file, flags[kind], &on, error)))
            goto out;
        folder->poolings |= on ? 1u << kind : 0;
    }
    uint32_t hidden = folder->architecture.hidden_size, width = hidden;
    if ((status = read_mode(&file, &folder->poolings, error)) ||
        (status = sx_config_size(&file, "embedding_dimension", 1, &width, error)) ||
        (status = sx_config_size(&file, "word_embedding_dimension", 1, &width, error)) ||
        (status = sx_config_flag(&file, "include_prompt", &folder->include_prompt, error)))
        goto out;
    if (!folder->poolings)
        status = sx_fail(error, SX_E_FORMAT, "%s: no pooling_mode is set", file.path);
    else if (width != hidden)
        status = sx_fail(error, SX_E_FORMAT, "%s: word_embedding_dimension is %u, but hidden_size of config.json is %u",
                         file.path, width, hidden);
out:
    sx_config_close(&file);
    return status;
}

/* ---- modules.json ---- */

/* "sentence_transformers.models.Pooling" -> "Pooling"; other packages' modules are their own code: whole name. */
static const char *module_kind(const char *type)
{
    const char *package = "sentence_transformers.";
    const char *dot = strrchr(type, '.');
    return dot && strncmp(type, package, strlen(package)) == 0 ? dot + 1 : type;
}

typedef struct module_entry {
    const char *kind, *type;
    const char *path; /* folder, in the arena */
} module_entry;

static sx_status read_module_entry(sx_model_folder *folder, const sx_config_file *file, size_t index, module_entry *entry,
                                   sx_error *error)
{
    json_t *module = json_array_get(file->root, index);
    const char *type = json_string_value(json_object_get(module, "type"));
    const char *path = json_string_value(json_object_get(module, "path"));
    if (!type || !path)
        return sx_fail(error, SX_E_FORMAT, "%s: module %zu: type or path is missing", file->path, index);
    bool here = !*path || strcmp(path, ".") == 0;
    char *joined = here ? sx_strdup(folder->path) : sx_path_join(folder->path, path);
    entry->type = type;
    entry->kind = module_kind(type);
    entry->path = joined ? sx_arena_strndup(&folder->arena, joined, strlen(joined)) : NULL;
    free(joined);
    return entry->path ? SX_OK : sx_fail_nomem(error, strlen(path));
}

static sx_status take_first(sx_model_folder *folder, const sx_config_file *file, const module_entry *entry, sx_error *error)
{
    folder->transformer = entry->path;
    if (strcmp(entry->kind, "StaticEmbedding") == 0) {
        folder->kind = SX_MODEL_STATIC;
        folder->architecture.family = "static";
        return SX_OK;
    }
    if (strcmp(entry->kind, "Transformer") == 0)
        return sx_architecture_read(folder->transformer, &folder->arena, &folder->architecture, error);
    return sx_fail(error, SX_E_UNSUPPORTED, "%s: module 0 is %s, where a Transformer or StaticEmbedding is expected", file->path,
                   entry->type);
}

static sx_status take_module(sx_model_folder *folder, const sx_config_file *file, size_t index, const module_entry *entry,
                             sx_error *error)
{
    static const struct {
        const char *name;
        sx_module_kind kind;
    } behind[] = {{"Dense", SX_MODULE_DENSE}, {"LayerNorm", SX_MODULE_LAYER_NORM}, {"Normalize", SX_MODULE_NORMALIZE}};
    bool has_vector = folder->poolings || folder->kind == SX_MODEL_STATIC;
    if (index == 0)
        return take_first(folder, file, entry, error);
    if (strcmp(entry->kind, "Pooling") == 0 && !has_vector)
        return read_pooling(folder, entry->path, error);
    if (strcmp(entry->kind, "Dropout") == 0 && has_vector) /* does nothing outside training */
        return SX_OK;
    for (size_t i = 0; i < sizeof behind / sizeof *behind && has_vector; i++) {
        if (strcmp(entry->kind, behind[i].name) == 0) {
            folder->modules[folder->module_count++] = (sx_module_entry){behind[i].kind, entry->path};
            return SX_OK;
        }
    }
    return sx_fail(error, SX_E_UNSUPPORTED, "%s: module %zu is %s, which is not supported here", file->path, index, entry->type);
}

/* ---- Folders without modules.json ---- */

static bool is_classifier(const sx_config_file *config)
{
    const char *ending = "ForSequenceClassification";
    json_t *names = json_object_get(config->root, "architectures"), *name;
    size_t index;
    json_array_foreach(names, index, name) {
        const char *text = json_string_value(name);
        size_t length = text ? strlen(text) : 0;
        if (length >= strlen(ending) && strcmp(text + length - strlen(ending), ending) == 0)
            return true;
    }
    return false;
}

static bool is_model2vec(const sx_config_file *config)
{
    const char *type = json_string_value(json_object_get(config->root, "model_type"));
    const char *first = json_string_value(json_array_get(json_object_get(config->root, "architectures"), 0));
    return (type && strcmp(type, "model2vec") == 0) || (first && strcmp(first, "StaticModel") == 0);
}

static sx_status take_plain(sx_model_folder *folder, const sx_config_file *config, sx_error *error)
{
    if (is_model2vec(config)) {
        bool normalize = false;
        folder->kind = SX_MODEL_STATIC;
        folder->model2vec = true;
        folder->architecture.family = "static";
        sx_status status = sx_config_flag(config, "normalize", &normalize, error);
        if (normalize)
            folder->modules[folder->module_count++] = (sx_module_entry){SX_MODULE_NORMALIZE, folder->path};
        return status;
    }
    if (is_classifier(config))
        folder->kind = SX_MODEL_CROSS_ENCODER;
    else
        folder->poolings = SX_POOLING_MEAN;
    return sx_architecture_read(folder->transformer, &folder->arena, &folder->architecture, error);
}

sx_status sx_model_folder_read_modules(sx_model_folder *folder, sx_error *error)
{
    sx_config_file file = {0}, config = {0};
    sx_status status = sx_config_open(folder->path, "modules.json", JSON_ARRAY, &file, error);
    if (status)
        goto out;
    size_t count = json_array_size(file.root);
    folder->modules = sx_arena_alloc(&folder->arena, (count + 1) * sizeof *folder->modules);
    if (!folder->modules) {
        status = sx_fail_nomem(error, (count + 1) * sizeof *folder->modules);
        goto out;
    }
    for (size_t i = 0; i < count && !status; i++) {
        module_entry entry = {0};
        status = read_module_entry(folder, &file, i, &entry, error);
        if (!status)
            status = take_module(folder, &file, i, &entry, error);
    }
    if (status || (file.root && (folder->poolings || folder->kind == SX_MODEL_STATIC)))
        goto out;
    if ((status = sx_config_open(folder->transformer, "config.json", JSON_OBJECT, &config, error)))
        goto out;
    if (!file.root)
        status = take_plain(folder, &config, error);
    else if (count == 1 && is_classifier(&config)) /* newer versions give cross-encoders a modules.json too */
        folder->kind = SX_MODEL_CROSS_ENCODER;
    else
        status = sx_fail(error, SX_E_UNSUPPORTED, "%s: no Pooling module", file.path);
out:
    sx_config_close(&file);
    sx_config_close(&config);
    return status;
}
