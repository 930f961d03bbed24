/* registry.c - which folder a model reference means, and what models there are.
 *
 * Three places are tried: a path, the folder of imported models (<models_folder>/<name>/ with a model.json beside the files),
 * and the Hugging Face cache (models--org--name/{refs/main,snapshots/<commit>}). Nothing is opened but small JSON files.
 */
#include "registry.h"

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"
#include "../base/options.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NAME = 128, MAX_JSON = 16 * 1024 * 1024, MAX_README = 4 * 1024 * 1024, MAX_REVISION = 128 };

static bool name_is_valid(const char *name, size_t length)
{
    if (length == 0 || length > MAX_NAME || name[0] == '.' || name[0] == '-')
        return false;
    for (size_t i = 0; i < length; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("._+-", c)))
            return false;
    }
    return true;
}

bool sx_model_name_is_valid(const char *name)
{
    return name_is_valid(name, strlen(name));
}

bool sx_hub_name_is_valid(const char *name)
{
    const char *slash = strchr(name, '/');
    return slash && name_is_valid(name, (size_t)(slash - name)) && sx_model_name_is_valid(slash + 1);
}

static bool is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static bool holds(const char *folder, const char *file)
{
    char *path = sx_path_join(folder, file);
    bool there = path && sx_file_exists(path);
    free(path);
    return there;
}

bool sx_model_folder_has_config(const char *folder, const char **missing)
{
    *missing = "config.json";
    return holds(folder, "config.json") || holds(folder, "modules.json");
}

json_t *sx_model_read_json(const char *folder, const char *file)
{
    char *path = sx_path_join(folder, file), *data = NULL;
    size_t length = 0;
    json_t *value = NULL;
    if (path && sx_file_read(path, MAX_JSON, &data, &length, NULL, NULL) == SX_OK)
        value = json_loadb(data, length, JSON_REJECT_DUPLICATES, NULL);
    free(data);
    free(path);
    if (value && !json_is_object(value) && !json_is_array(value)) {
        json_decref(value);
        value = NULL;
    }
    return value;
}

char *sx_model_licence(const char *folder)
{
    char *path = sx_path_join(folder, "README.md"), *data = NULL, *licence = NULL;
    size_t length = 0;
    if (!path)
        return NULL;
    if (sx_file_read(path, MAX_README, &data, &length, NULL, NULL) == SX_OK && strncmp(data, "---\n", 4) == 0) {
        char *end = strstr(data + 4, "\n---");
        if (end)
            *end = '\0';
        char *line = end ? strstr(data, "\nlicense:") : NULL;
        if (line) {
            line += strlen("\nlicense:");
            line += strspn(line, " \"'");
            licence = sx_strndup(line, strcspn(line, " \"'\r\n"));
        }
    }
    free(data);
    free(path);
    return licence ? licence : sx_strdup("");
}

static bool record_has_alias(const char *folder, const char *name)
{
    json_t *record = sx_model_read_json(folder, SX_MODEL_RECORD);
    bool found = false;
    size_t i;
    json_t *alias;
    json_array_foreach(json_object_get(record, "aliases"), i, alias)
    {
        const char *text = json_string_value(alias);
        found = found || (text && strcmp(text, name) == 0);
    }
    json_decref(record);
    return found;
}

char *sx_model_imported_folder(const char *models_folder, const char *name)
{
    const sx_known_model *known = sx_known_model_find(name);
    const char *names[] = {name, known ? known->name : NULL, known ? known->alias : NULL};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!names[i] || !sx_model_name_is_valid(names[i]))
            continue;
        char *folder = sx_path_join(models_folder, names[i]);
        if (folder && is_folder(folder))
            return folder;
        free(folder);
    }
    DIR *directory = opendir(models_folder);
    char *found = NULL;
    for (struct dirent *entry; directory && !found && (entry = readdir(directory));) {
        if (!sx_model_name_is_valid(entry->d_name))
            continue;
        char *folder = sx_path_join(models_folder, entry->d_name);
        if (folder && record_has_alias(folder, name))
            found = folder;
        else
            free(folder);
    }
    if (directory)
        closedir(directory);
    return found;
}

/* The snapshot of a branch, tag or commit; without one of what refs/main names, or the only snapshot there is. Malloc'ed path; NULL when
 * there is none. */
static char *hub_snapshot(const char *repository, const char *wanted)
{
    char reference[MAX_REVISION + 8];
    snprintf(reference, sizeof reference, "refs/%s", wanted ? wanted : "main");
    char *refs = sx_path_join(repository, reference), *snapshots = sx_path_join(repository, "snapshots");
    char *revision = NULL, *folder = NULL;
    size_t length = 0;
    if (!refs || !snapshots)
        goto out;
    if (sx_file_read(refs, MAX_REVISION, &revision, &length, NULL, NULL) == SX_OK) {
        revision[strcspn(revision, "\r\n ")] = '\0';
    } else if (wanted) {
        revision = sx_strdup(wanted); /* a commit */
    } else {
        DIR *directory = opendir(snapshots);
        for (struct dirent *entry; directory && (entry = readdir(directory));) {
            if (!sx_model_name_is_valid(entry->d_name))
                continue;
            bool first = !revision;
            free(revision);
            revision = first ? sx_strdup(entry->d_name) : NULL;
            if (!first)
                break; /* several, and nothing says which */
        }
        if (directory)
            closedir(directory);
    }
    if (revision && sx_model_name_is_valid(revision)) {
        folder = sx_path_join(snapshots, revision);
        if (folder && !is_folder(folder)) {
            free(folder);
            folder = NULL;
        }
    }
out:
    free(revision);
    free(snapshots);
    free(refs);
    return folder;
}

static char *hub_repository(const char *hub_cache, const char *hub_name)
{
    const char *slash = strchr(hub_name, '/');
    char *path = NULL;
    if (asprintf(&path, "%s/models--%.*s--%s", hub_cache, (int)(slash - hub_name), hub_name, slash + 1) < 0)
        return NULL;
    return path;
}

static sx_status resolve_path(const char *path, char **folder, sx_error *error)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        sx_status failed = sx_fail_errno(error, errno, "model %s: the folder cannot be opened", path);
        sx_hint(error, "a model folder holds config.json, tokenizer.json and model.safetensors");
        return failed;
    }
    if (!S_ISDIR(status.st_mode)) {
        size_t length = strlen(path);
        if (length > 5 && strcmp(path + length - 5, ".gguf") == 0) {
            *folder = sx_strdup(path);
            return *folder ? SX_OK : sx_fail_nomem(error, length);
        }
        sx_status failed = sx_fail(error, SX_E_FORMAT, "model %s: is a file, not a model folder", path);
        sx_hint(error, "give the folder that holds config.json, tokenizer.json and model.safetensors");
        return failed;
    }
    const char *missing;
    if (!sx_model_folder_has_config(path, &missing)) {
        sx_status failed = sx_fail(error, SX_E_NOT_FOUND, "model %s: %s is missing in the folder", path, missing);
        sx_hint(error, "a model folder holds config.json, tokenizer.json and model.safetensors");
        return failed;
    }
    *folder = sx_strdup(path);
    return *folder ? SX_OK : sx_fail_nomem(error, strlen(path));
}

/* A folder found in one of the places must hold a model; otherwise it is said rather than passed over. */
static sx_status accept(const char *reference, char *found, char **folder, sx_error *error)
{
    const char *missing;
    if (sx_model_folder_has_config(found, &missing)) {
        *folder = found;
        return SX_OK;
    }
    sx_status failed = sx_fail(error, SX_E_NOT_FOUND, "model %s: %s: %s is missing in the folder", reference, found, missing);
    sx_hint(error, "the copy is incomplete: fetch it again, or remove the folder");
    free(found);
    return failed;
}

sx_status sx_models_resolve(const sx_places *places, const char *reference, char **folder, sx_error *error)
{
    if (!folder)
        return sx_fail(error, SX_E_INVALID, "sx_models_resolve: folder is NULL");
    *folder = NULL;
    if (!reference || !*reference)
        return sx_fail(error, SX_E_INVALID, "sx_models_resolve: the model reference is %s", reference ? "empty" : "NULL");
    sx_places known_places;
    sx_status status = sx_options_read(places, &known_places, sizeof known_places, "sx_places", error);
    if (status)
        return status;
    if (reference[0] == '.' || reference[0] == '/' || (strchr(reference, '/') && sx_file_exists(reference)))
        return resolve_path(reference, folder, error);

    sx_buffer tried = {.maximum = 4096};
    const sx_known_model *known = sx_known_model_find(reference);
    char name_alone[2 * MAX_NAME + 2];
    const char *revision = strchr(reference, '@');
    size_t name_length = revision ? (size_t)(revision - reference) : strlen(reference);
    if (revision && name_length < sizeof name_alone) {
        memcpy(name_alone, reference, name_length);
        name_alone[name_length] = '\0';
        known = sx_known_model_find(name_alone);
        revision++;
    }
    const char *hub_name = revision ? name_alone : reference;
    bool plain = !revision && sx_model_name_is_valid(reference), hub = name_length < sizeof name_alone && sx_hub_name_is_valid(hub_name);
    bool revision_is_safe = !revision || (strlen(revision) < MAX_REVISION && !strstr(revision, "..") && revision[0] != '/' && *revision);
    if ((!plain && !hub && !(known && revision)) || !revision_is_safe) {
        status = sx_fail(error, SX_E_INVALID, "model %s: neither a name, nor org/name, nor the path of a folder", reference);
        sx_hint(error, "names hold letters, digits and . _ + - ; a path begins with / or .");
        return status;
    }
    if (known_places.models_folder && !revision && (plain || known)) {
        const char *name = plain ? reference : known->name;
        char *found = sx_model_imported_folder(known_places.models_folder, name);
        if (found)
            return accept(reference, found, folder, error);
        sx_buffer_printf(&tried, "%s/%s", known_places.models_folder, name);
        if (known && strcmp(known->name, name) != 0)
            sx_buffer_printf(&tried, ", %s/%s", known_places.models_folder, known->name);
    }
    if (known_places.hub_cache && (hub || known)) {
        char *repository = hub_repository(known_places.hub_cache, hub ? hub_name : known->hub);
        char *found = repository ? hub_snapshot(repository, revision) : NULL;
        if (found) {
            free(repository);
            sx_buffer_clear(&tried);
            return accept(reference, found, folder, error);
        }
        if (repository)
            sx_buffer_printf(&tried, "%s%s", tried.length ? ", " : "", repository);
        free(repository);
    }
    status = sx_fail(error, SX_E_NOT_FOUND, "model %s: not found; tried %s", reference,
                     tried.length ? tried.data : "nothing, since no places are set");
    if (known || hub)
        sx_hint(error, "`sextant models pull %s` fetches it; `sextant models import FOLDER --name %s` takes a copy you have", reference,
                known ? known->name : sx_path_name(hub_name));
    else
        sx_hint(error, "`sextant models import FOLDER --name %s` takes a copy you have; `sextant models list` says what is there",
                reference);
    sx_buffer_clear(&tried);
    return status;
}

/* ---- The list ---- */

static int64_t integer_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

/* What the small files say; the weights are not opened. */
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
    free(entry->sha256);
    free(entry->licence);
    *entry = (sx_model_entry){0};
}

static uint64_t weights_bytes(const char *folder, const char *file)
{
    char *path = sx_path_join(folder, file);
    struct stat status;
    uint64_t bytes = path && stat(path, &status) == 0 && S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
    free(path);
    return bytes;
}

/* Takes `folder` over. A folder without configuration or weights is no model and is left out. */
static sx_status add_entry(sx_model_list *list, size_t *capacity, const char *name, char *folder, const char *source,
                           sx_error *error)
{
    const char *missing;
    json_t *record = sx_model_read_json(folder, SX_MODEL_RECORD);
    const char *weights = json_string_value(json_object_get(record, "weights"));
    const char *sha256 = json_string_value(json_object_get(record, "sha256"));
    const char *licence = json_string_value(json_object_get(record, "licence"));
    const sx_known_model *known = sx_known_model_find(name);
    uint64_t bytes = weights_bytes(folder, weights && !strchr(weights, '/') ? weights : "model.safetensors");
    sx_buffer family = {.maximum = 4096};
    sx_status status = SX_OK;
    if (!bytes || !sx_model_folder_has_config(folder, &missing)) {
        free(folder);
        goto out;
    }
    sx_model_entry entry = {.folder = folder, .bytes = bytes};
    read_sizes(folder, &entry, &family);
    entry.name = sx_strdup(name);
    entry.source = sx_strdup(source);
    entry.family = sx_buffer_take(&family);
    entry.sha256 = sx_strdup(sha256 ? sha256 : "");
    entry.licence = licence && *licence ? sx_strdup(licence) : known ? sx_strdup(known->licence) : sx_model_licence(folder);
    if (!entry.name || !entry.source || !entry.family || !entry.sha256 || !entry.licence ||
        !sx_reserve((void **)&list->entries, capacity, list->count + 1, sizeof entry)) {
        entry_clear(&entry);
        status = sx_fail_nomem(error, sizeof entry);
        goto out;
    }
    list->entries[list->count++] = entry;
out:
    sx_buffer_clear(&family);
    json_decref(record);
    return status;
}

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
        char *folder = repository ? hub_snapshot(repository, NULL) : NULL;
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
