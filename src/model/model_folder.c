/* model_folder.c - reading a sentence-transformers folder (modules.json and the modules' configs) or a plain Hugging Face one.
 *
 * The reference is sentence-transformers 5: which files it reads, in which order of precedence, and with which defaults. What
 * would change the vectors and is not understood is refused by name, never passed over.
 */
#include "model_folder.h"

#include "config_file.h"
#include "pooling.h"

#include "../base/error.h"
#include "../base/file.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Modules ---- */

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
    const char *mode = NULL;
    if ((status = sx_config_string(&file, "pooling_mode", &folder->arena, &mode, error)))
        goto out;
    if (mode) {
        folder->poolings = sx_pooling_of_name(strcmp(mode, "mean_sqrt_len_tokens") ? mode : "mean_sqrt_len");
        if (!folder->poolings) {
            status = sx_fail(error, SX_E_UNSUPPORTED, "%s: pooling_mode: \"%s\" is not supported", file.path, mode);
            goto out;
        }
    }
    uint32_t width = folder->architecture.hidden_size;
    if ((status = sx_config_size(&file, "word_embedding_dimension", 1, &width, error)) ||
        (status = sx_config_flag(&file, "include_prompt", &folder->include_prompt, error)))
        goto out;
    if (!folder->poolings)
        status = sx_fail(error, SX_E_FORMAT, "%s: no pooling_mode is set", file.path);
    else if (width != folder->architecture.hidden_size)
        status = sx_fail(error, SX_E_FORMAT, "%s: word_embedding_dimension is %u, but hidden_size of config.json is %u",
                         file.path, width, folder->architecture.hidden_size);
out:
    sx_config_close(&file);
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

static sx_status read_module_entry(const sx_model_folder *folder, const sx_config_file *file, size_t index, module_entry *entry,
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

static sx_status take_module(sx_model_folder *folder, const sx_config_file *file, size_t index, const module_entry *entry,
                             sx_error *error)
{
    bool first = index == 0;
    if (first != (strcmp(entry->kind, "Transformer") == 0))
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: module %zu is %s%s", file->path, index, entry->type,
                       first ? ", where a Transformer is expected" : ", which is not supported here");
    if (first) {
        folder->transformer = sx_arena_strndup(&folder->arena, entry->path, strlen(entry->path));
        if (!folder->transformer)
            return sx_fail_nomem(error, strlen(entry->path));
        return sx_architecture_read(folder->transformer, &folder->arena, &folder->architecture, error);
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
    sx_config_file file;
    sx_status status = sx_config_open(folder->path, "modules.json", JSON_ARRAY, &file, error);
    if (status)
        goto out;
    if (!file.root) { /* a plain Hugging Face folder: what sentence-transformers makes of it */
        folder->poolings = SX_POOLING_MEAN;
        status = sx_architecture_read(folder->transformer, &folder->arena, &folder->architecture, error);
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
    sx_config_close(&file);
    return status;
}

/* ---- Lengths, prompts, weights ---- */

static sx_status read_lengths(sx_model_folder *folder, sx_error *error)
{
    sx_config_file file = {0}, tokenizer = {0};
    uint32_t length = 0, longest = folder->architecture.longest;
    sx_status status = sx_config_open(folder->transformer, "sentence_bert_config.json", JSON_OBJECT, &file, error);
    if (status)
        goto out;
    if ((status = sx_config_size(&file, "max_seq_length", 1, &length, error)) ||
        (status = sx_config_flag(&file, "do_lower_case", &folder->lower_case, error)))
        goto out;
    if (!length) {
        if ((status = sx_config_open(folder->transformer, "tokenizer_config.json", JSON_OBJECT, &tokenizer, error)))
            goto out;
        double number = json_number_value(json_object_get(tokenizer.root, "model_max_length"));
        length = number >= 1.0 && number < longest ? (uint32_t)number : longest;
    }
    folder->max_length = length < longest ? length : longest;
out:
    sx_config_close(&file);
    sx_config_close(&tokenizer);
    return status;
}

static sx_status read_prompts(sx_model_folder *folder, sx_error *error)
{
    sx_config_file file;
    const char *key, *chosen = NULL;
    json_t *value;
    folder->similarity = "cosine";
    folder->default_prompt = "";
    sx_status status = sx_config_open(folder->path, "config_sentence_transformers.json", JSON_OBJECT, &file, error);
    if (status || !file.root)
        goto out;
    if ((status = sx_config_string(&file, "similarity_fn_name", &folder->arena, &folder->similarity, error)) ||
        (status = sx_config_string(&file, "default_prompt_name", &folder->arena, &chosen, error)))
        goto out;
    json_t *prompts = json_object_get(file.root, "prompts");
    if (prompts && !json_is_object(prompts) && !json_is_null(prompts)) {
        status = sx_config_wrong_type(&file, "prompts", "an object", error);
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
    sx_config_close(&file);
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
