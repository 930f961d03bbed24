/* registry.c - which folder a model reference means. What models there are: registry_list.c.
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

bool sx_model_is_gguf(const char *path)
{
    size_t length = strlen(path);
    return length > 5 && strcmp(path + length - 5, ".gguf") == 0;
}

char *sx_model_only_gguf(const char *folder, size_t *count)
{
    DIR *directory = opendir(folder);
    char *found = NULL;
    *count = 0;
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        if (entry->d_name[0] == '.' || !sx_model_is_gguf(entry->d_name))
            continue;
        free(found);
        found = ++*count == 1 ? sx_path_join(folder, entry->d_name) : NULL;
    }
    if (directory)
        closedir(directory);
    return found;
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

char *sx_model_hub_snapshot(const char *repository, const char *wanted)
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

/* A folder that was found must hold a model, or one .gguf file, which then is the model; otherwise it is said rather than passed
 * over. Takes `found` over. */
static sx_status accept(const char *reference, char *found, char **folder, sx_error *error)
{
    const char *missing;
    size_t count = 0;
    if (sx_model_folder_has_config(found, &missing)) {
        *folder = found;
        return SX_OK;
    }
    *folder = sx_model_only_gguf(found, &count);
    if (*folder) {
        free(found);
        return SX_OK;
    }
    sx_status failed = SX_E_NOT_FOUND;
    if (count > 1) {
        sx_fail(error, failed, "model %s: %s: %zu .gguf files are there", reference, found, count);
        sx_hint(error, "give the path of one of them");
    } else {
        sx_fail(error, failed, "model %s: %s: %s is missing in the folder", reference, found, missing);
        sx_hint(error, "a model folder holds config.json, tokenizer.json and model.safetensors; fetch what is missing again");
    }
    free(found);
    return failed;
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
        if (sx_model_is_gguf(path)) {
            *folder = sx_strdup(path);
            return *folder ? SX_OK : sx_fail_nomem(error, strlen(path));
        }
        sx_status failed = sx_fail(error, SX_E_FORMAT, "model %s: is a file, not a model folder", path);
        sx_hint(error, "give the folder that holds config.json, tokenizer.json and model.safetensors");
        return failed;
    }
    char *found = sx_strdup(path);
    return found ? accept(path, found, folder, error) : sx_fail_nomem(error, strlen(path));
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
        char *found = repository ? sx_model_hub_snapshot(repository, revision) : NULL;
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
