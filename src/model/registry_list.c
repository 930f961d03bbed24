/* registry_list.c - what models there are, and what their small files say of each; no weights are read.
 *
 * Where a folder can be read as sx_model_open would, its word counts; models of families that are not known are listed too, with
 * what config.json says in so many words. */
#include "registry.h"

#include "gguf_model.h"
#include "model_folder.h"

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"
#include "../base/options.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

static int64_t integer_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* What the small files of any folder say. */
static void read_sizes(const char *folder, sx_model_entry *entry, sx_buffer *family)
{
    json_t *config = sx_model_read_json(folder, "config.json");
    json_t *sentence = sx_model_read_json(folder, "sentence_bert_config.json");
    json_t *tokenizer = sx_model_read_json(folder, "tokenizer_config.json");
    json_t *modules = sx_model_read_json(folder, "modules.json");
    const char *type = json_string_value(json_object_get(config, "model_type"));
    sx_buffer_append_string(family, type ? type : "");
    int64_t dimensions = integer_of(config, "hidden_size"), positions = integer_of(config, "max_position_embeddings");
    int64_t longest = integer_of(sentence, "max_seq_length");
    if (longest <= 0)
        longest = integer_of(tokenizer, "model_max_length");
    if (longest <= 0 || (positions > 0 && longest > positions))
        longest = positions;
    size_t i;
    json_t *module;
    json_array_foreach(modules, i, module)
    {
        const char *kind = json_string_value(json_object_get(module, "type"));
        const char *path = json_string_value(json_object_get(module, "path"));
        const char *dot = kind ? strrchr(kind, '.') : NULL;
        if (!dot || strcmp(dot, ".Dense") != 0 || !path || strstr(path, "..") || path[0] == '/')
            continue;
        char *below = sx_path_join(folder, path);
        json_t *dense = below ? sx_model_read_json(below, "config.json") : NULL;
        if (integer_of(dense, "out_features") > 0)
            dimensions = integer_of(dense, "out_features");
        json_decref(dense);
        free(below);
    }
    entry->dimensions = dimensions > 0 && dimensions <= UINT32_MAX ? (uint32_t)dimensions : 0;
    entry->max_length = longest > 0 && longest <= UINT32_MAX ? (uint32_t)longest : 0;
    json_decref(modules);
    json_decref(tokenizer);
    json_decref(sentence);
    json_decref(config);
}

static void entry_clear(sx_model_entry *entry)
{
    free(entry->name);
    free(entry->folder);
    free(entry->source);
    free(entry->family);
    free(entry->kind);
    free(entry->sha256);
    free(entry->licence);
    *entry = (sx_model_entry){0};
}

/* ---- Weights ---- */

static uint64_t file_bytes(const char *folder, const char *file)
{
    char *path = sx_path_join(folder, file);
    struct stat status;
    uint64_t bytes = path && stat(path, &status) == 0 && S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
    free(path);
    return bytes;
}

static bool has_suffix(const char *name, const char *suffix)
{
    size_t length = strlen(name), tail = strlen(suffix);
    return length >= tail && strcmp(name + length - tail, suffix) == 0;
}

/* model-00001-of-00002.safetensors and its like, of an index in the same folder. */
static uint64_t shard_bytes(const char *folder, const char *index)
{
    const char *ending = has_suffix(index, ".safetensors.index.json") ? ".safetensors" : ".bin";
    uint64_t bytes = 0;
    DIR *directory = opendir(folder);
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        if (strstr(entry->d_name, "-of-") && has_suffix(entry->d_name, ending))
            bytes += file_bytes(folder, entry->d_name);
    if (directory)
        closedir(directory);
    return bytes;
}

static uint64_t bytes_of(const char *folder, const char *weights)
{
    return has_suffix(weights, ".index.json") ? shard_bytes(folder, weights) : file_bytes(folder, weights);
}

/* Of files that serve the same, the first that is there. */
static uint64_t first_bytes(const char *folder, const char *const *names)
{
    uint64_t bytes = 0;
    for (; *names && !bytes; names++)
        bytes = bytes_of(folder, *names);
    return bytes;
}

static const char *const weight_names[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                           "pytorch_model.bin.index.json", NULL};

/* ---- One model ---- */

static bool put_text(char **slot, const char *text)
{
    free(*slot);
    *slot = sx_strdup(text);
    return *slot != NULL;
}

static bool describe_folder(const sx_model_folder *folder, sx_model_entry *entry)
{
    static const char *const kinds[] = {"embedder", "cross-encoder", "static"};
    static const char *const heads[][3] = {{"sparse_linear.safetensors", "sparse_linear.pt", NULL},
                                           {"colbert_linear.safetensors", "colbert_linear.pt", NULL}};
    uint32_t hidden = folder->architecture.hidden_size, poolings = (uint32_t)__builtin_popcount(folder->poolings);
    bool resized = false;
    entry->bytes = bytes_of(folder->transformer, sx_path_name(folder->weights));
    for (size_t i = 0; i < folder->module_count; i++) {
        entry->bytes += first_bytes(folder->modules[i].path, weight_names);
        resized = resized || folder->modules[i].kind == SX_MODULE_DENSE;
    }
    for (size_t i = 0; i < 2; i++)
        entry->bytes += first_bytes(folder->path, heads[i]);
    entry->max_length = folder->max_length;
    if (folder->kind == SX_MODEL_CROSS_ENCODER)
        entry->dimensions = 0;
    else if (folder->kind == SX_MODEL_EMBEDDER && !resized) /* else as the last Dense says */
        entry->dimensions = hidden * poolings;
    return put_text(&entry->kind, kinds[folder->kind]) && put_text(&entry->family, folder->architecture.family);
}

/* The width of a static model's table, from the header of its weights. */
static uint32_t table_width(const char *weights)
{
    sx_tensors *tensors = NULL;
    uint32_t width = 0;
    if (sx_tensors_open(weights, &tensors, NULL) != SX_OK)
        return 0;
    const sx_tensor *table = sx_tensors_find(tensors, "embeddings");
    table = table ? table : sx_tensors_find(tensors, "embedding.weight");
    if (table && table->rank == 2 && table->shape[1] <= UINT32_MAX)
        width = (uint32_t)table->shape[1];
    sx_tensors_close(tensors);
    return width;
}

static bool describe_gguf(const char *path, sx_model_entry *entry)
{
    sx_tensors *tensors = NULL;
    sx_model_folder folder = {0};
    bool memory = true;
    if (sx_tensors_open(path, &tensors, NULL) != SX_OK || !tensors->gguf)
        goto out;
    entry->bytes = tensors->bytes;
    if (sx_model_folder_of_gguf(tensors, &folder, NULL) == SX_OK) {
        entry->max_length = folder.max_length;
        entry->dimensions = folder.architecture.hidden_size;
        memory = put_text(&entry->family, folder.architecture.family) && put_text(&entry->kind, "embedder");
    }
out:
    sx_model_folder_clear(&folder);
    sx_tensors_close(tensors);
    return memory;
}

/* Fills an entry of empty strings; bytes 0: there is no model. False: no memory. */
static bool describe_entry(sx_model_entry *entry)
{
    const char *missing;
    size_t count;
    if (!sx_model_folder_has_config(entry->folder, &missing)) {
        char *gguf = sx_model_only_gguf(entry->folder, &count);
        if (!gguf)
            return true;
        free(entry->folder);
        entry->folder = gguf;
        return describe_gguf(gguf, entry);
    }
    entry->bytes = first_bytes(entry->folder, weight_names);
    sx_buffer family = {.maximum = 4096};
    read_sizes(entry->folder, entry, &family);
    bool memory = !family.failed && put_text(&entry->family, family.data ? family.data : "");
    sx_buffer_clear(&family);
    sx_model_folder folder;
    if (memory && sx_model_folder_read(entry->folder, &folder, NULL) == SX_OK) {
        memory = describe_folder(&folder, entry);
        if (folder.kind == SX_MODEL_STATIC && !entry->dimensions)
            entry->dimensions = table_width(folder.weights);
        sx_model_folder_clear(&folder);
    }
    return memory;
}

/* Takes `folder` over. A folder without configuration or weights is no model and is left out. */
static sx_status add_entry(sx_model_list *list, size_t *capacity, const char *name, char *folder, const char *source,
                           sx_error *error)
{
    sx_model_entry entry = {.folder = folder, .family = sx_strdup(""), .kind = sx_strdup("")};
    json_t *record = sx_model_read_json(folder, SX_MODEL_RECORD);
    const char *sha256 = json_string_value(json_object_get(record, "sha256"));
    const char *licence = json_string_value(json_object_get(record, "licence"));
    const sx_known_model *known = sx_known_model_find(name);
    sx_status status = SX_OK;
    entry.licence = licence && *licence ? sx_strdup(licence) : known ? sx_strdup(known->licence) : sx_model_licence(folder);
    entry.name = sx_strdup(name);
    entry.source = sx_strdup(source);
    entry.sha256 = sx_strdup(sha256 ? sha256 : "");
    if (!entry.name || !entry.source || !entry.family || !entry.kind || !entry.sha256 || !entry.licence ||
        !describe_entry(&entry) || !sx_reserve((void **)&list->entries, capacity, list->count + 1, sizeof entry))
        status = sx_fail_nomem(error, sizeof entry);
    else if (entry.bytes)
        list->entries[list->count++] = entry;
    if (status || !entry.bytes)
        entry_clear(&entry);
    json_decref(record);
    return status;
}

/* ---- The list ---- */

static int compare_entries(const void *a, const void *b)
{
    const sx_model_entry *left = a, *right = b;
    int order = strcmp(left->source, right->source);
    return order ? -order : strcmp(left->name, right->name); /* "imported" before "hub cache" */
}

static sx_status list_imported(const char *models_folder, sx_model_list *list, size_t *capacity, sx_error *error)
{
    DIR *directory = opendir(models_folder);
    sx_status status = SX_OK;
    for (struct dirent *entry; directory && !status && (entry = readdir(directory));) {
        if (!sx_model_name_is_valid(entry->d_name))
            continue;
        char *folder = sx_path_join(models_folder, entry->d_name);
        status = folder ? add_entry(list, capacity, entry->d_name, folder, "imported", error) : sx_fail_nomem(error, 4096);
    }
    if (directory)
        closedir(directory);
    return status;
}

static sx_status list_hub(const char *hub_cache, sx_model_list *list, size_t *capacity, sx_error *error)
{
    static const char prefix[] = "models--";
    DIR *directory = opendir(hub_cache);
    sx_status status = SX_OK;
    for (struct dirent *entry; directory && !status && (entry = readdir(directory));) {
        if (strncmp(entry->d_name, prefix, sizeof prefix - 1) != 0)
            continue;
        const char *full = entry->d_name + sizeof prefix - 1, *between = strstr(full, "--");
        char *name = NULL, *repository = sx_path_join(hub_cache, entry->d_name);
        char *folder = repository ? sx_model_hub_snapshot(repository, NULL) : NULL;
        if (between && folder && asprintf(&name, "%.*s/%s", (int)(between - full), full, between + 2) < 0)
            name = NULL;
        if (name && sx_hub_name_is_valid(name))
            status = add_entry(list, capacity, name, folder, "hub cache", error);
        else
            free(folder);
        free(repository);
        free(name);
    }
    if (directory)
        closedir(directory);
    return status;
}

sx_status sx_models_list(const sx_places *places, sx_model_list **out, sx_error *error)
{
    if (!out)
        return sx_fail(error, SX_E_INVALID, "sx_models_list: out is NULL");
    *out = NULL;
    sx_places known_places;
    sx_status status = sx_options_read(places, &known_places, sizeof known_places, "sx_places", error);
    if (status)
        return status;
    sx_model_list *list = sx_calloc(1, sizeof *list);
    if (!list)
        return sx_fail_nomem(error, sizeof *list);
    size_t capacity = 0;
    if (known_places.models_folder)
        status = list_imported(known_places.models_folder, list, &capacity, error);
    if (!status && known_places.hub_cache)
        status = list_hub(known_places.hub_cache, list, &capacity, error);
    if (status) {
        sx_model_list_free(list);
        return status;
    }
    if (list->count)
        qsort(list->entries, list->count, sizeof *list->entries, compare_entries);
    *out = list;
    return SX_OK;
}

void sx_model_list_free(sx_model_list *list)
{
    if (!list)
        return;
    for (size_t i = 0; i < list->count; i++)
        entry_clear(&list->entries[i]);
    free(list->entries);
    free(list);
}
