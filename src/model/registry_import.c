/* registry_import.c - taking a model folder in, and out again.
 *
 * An import copies what a model needs into a hidden folder beside the others, flushes it, compares the weights' SHA-256 of
 * source and copy, and renames: after a crash there is the old state and at most a hidden folder, which the next import clears.
 */
#include "registry.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/hash.h"
#include "../base/memory.h"
#include "../base/options.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { COPY_BLOCK = 1024 * 1024, MAX_DEPTH = 16 };

static const char import_prefix[] = ".import-", remove_prefix[] = ".remove-";

static void remove_tree_at(int parent, const char *name, int depth)
{
    struct stat status;
    if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return;
    if (!S_ISDIR(status.st_mode)) {
        unlinkat(parent, name, 0);
        return;
    }
    int fd = depth < MAX_DEPTH ? openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    if (!directory && fd >= 0)
        close(fd);
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_tree_at(dirfd(directory), entry->d_name, depth + 1);
    if (directory)
        closedir(directory);
    unlinkat(parent, name, AT_REMOVEDIR);
}

static void remove_tree(const char *path)
{
    remove_tree_at(AT_FDCWD, path, 0);
}

/* Hidden folders of processes that are gone. */
static void clear_leftovers(const char *models_folder)
{
    DIR *directory = opendir(models_folder);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        if (strncmp(entry->d_name, import_prefix, sizeof import_prefix - 1) != 0 &&
            strncmp(entry->d_name, remove_prefix, sizeof remove_prefix - 1) != 0)
            continue;
        const char *dash = strrchr(entry->d_name, '-');
        char *end;
        long process = strtol(dash + 1, &end, 10);
        if (end == dash + 1 || *end || process <= 0 || kill((pid_t)process, 0) == 0 || errno != ESRCH)
            continue;
        remove_tree_at(dirfd(directory), entry->d_name, 0);
    }
    if (directory)
        closedir(directory);
}

static bool has_suffix(const char *name, const char *suffix)
{
    size_t length = strlen(name), tail = strlen(suffix);
    return length > tail && strcasecmp(name + length - tail, suffix) == 0;
}

/* Of weights only the files that are read: the model's own or the shards of its index, modules', and bge-m3's heads. */
static bool is_needed_weight(const char *name, const char *weights_name)
{
    const char *ending = has_suffix(name, ".safetensors") ? ".safetensors.index.json" : ".bin.index.json";
    if (strncmp(name, "sparse_linear.", 14) == 0 || strncmp(name, "colbert_linear.", 15) == 0)
        return true;
    return strcmp(name, weights_name) == 0 || (has_suffix(weights_name, ending) && strstr(name, "-of-"));
}

/* Configurations, vocabularies, the licence and the weights: not the same model for other programs. */
static bool is_needed(const char *name, const char *weights_name, int depth)
{
    if (strcmp(name, SX_MODEL_RECORD) == 0)
        return false;
    if (depth && (strcmp(name, "model.safetensors") == 0 || strcmp(name, "pytorch_model.bin") == 0))
        return true;
    if (has_suffix(name, ".safetensors") || has_suffix(name, ".bin") || has_suffix(name, ".pt"))
        return is_needed_weight(name, weights_name);
    static const char *const suffixes[] = {".json", ".txt", ".model", ".md"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (has_suffix(name, suffixes[i]))
            return true;
    return strncasecmp(name, "LICENSE", 7) == 0 || strncasecmp(name, "LICENCE", 7) == 0 || strncasecmp(name, "NOTICE", 6) == 0;
}

static sx_status copy_file(const char *from, const char *to, sx_error *error)
{
    sx_status status = SX_OK;
    char *block = malloc(COPY_BLOCK);
    int source = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK), target = -1;
    if (!block) {
        status = sx_fail_nomem(error, COPY_BLOCK);
        goto out;
    }
    if (source < 0) {
        status = sx_fail_errno(error, errno, "%s: cannot be opened", from);
        goto out;
    }
    target = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (target < 0) {
        status = sx_fail_errno(error, errno, "%s: cannot be created", to);
        goto out;
    }
    for (;;) {
        ssize_t got = read(source, block, COPY_BLOCK);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            status = sx_fail_errno(error, errno, "%s: cannot be read", from);
        else if (got > 0)
            status = sx_write_all(target, block, (size_t)got, to, error);
        if (got <= 0 || status)
            break;
    }
    if (!status && fsync(target) != 0)
        status = sx_fail_errno(error, errno, "%s: cannot be flushed to disk", to);
    if (close(target) != 0 && !status)
        status = sx_fail_errno(error, errno, "%s: cannot be closed", to);
out:
    if (source >= 0)
        close(source);
    free(block);
    return status;
}

/* depth 1 inside a module's folder (1_Pooling, 2_Dense ...). */
static sx_status copy_folder(const char *from, const char *to, const char *weights_name, int depth, sx_error *error)
{
    sx_status status = sx_make_folders(to, error);
    if (status)
        return status;
    DIR *directory = opendir(from);
    if (!directory)
        return sx_fail_errno(error, errno, "%s: the folder cannot be read", from);
    for (struct dirent *entry; !status && (entry = readdir(directory));) {
        if (entry->d_name[0] == '.')
            continue;
        char *source = sx_path_join(from, entry->d_name), *target = sx_path_join(to, entry->d_name);
        struct stat found;
        if (!source || !target)
            status = sx_fail_nomem(error, 4096);
        else if (stat(source, &found) != 0)
            status = sx_fail_errno(error, errno, "%s: cannot be examined", source);
        else if (S_ISDIR(found.st_mode) && depth == 0 && isdigit((unsigned char)entry->d_name[0]))
            status = copy_folder(source, target, weights_name, 1, error);
        else if (S_ISREG(found.st_mode) && is_needed(entry->d_name, weights_name, depth))
            status = copy_file(source, target, error);
        free(source);
        free(target);
    }
    closedir(directory);
    return status;
}

static sx_status copy_gguf(const char *file, const char *to, sx_error *error)
{
    char *target = sx_path_join(to, sx_path_name(file));
    sx_status status = target ? sx_make_folders(to, error) : sx_fail_nomem(error, 4096);
    if (!status)
        status = copy_file(file, target, error);
    free(target);
    return status;
}

/* The weights' path below the model's folder: they may lie in that of its first module. */
static const char *inside(const sx_model_info *info)
{
    size_t length = strlen(info->folder);
    if (strncmp(info->weights_file, info->folder, length) != 0 || !info->weights_file[length])
        return sx_path_name(info->weights_file);
    return info->weights_file + length + strspn(info->weights_file + length, "/");
}

static sx_status write_record(const char *folder, const char *name, const char *source, const sx_model_info *info,
                              sx_error *error)
{
    const sx_known_model *known = sx_known_model_find(name);
    char *licence = known ? sx_strdup(known->licence) : sx_model_licence(folder);
    char *path = sx_path_join(folder, SX_MODEL_RECORD), *text = NULL;
    json_t *record = json_object(), *aliases = json_array();
    sx_status status = SX_OK;
    if (!licence || !path || !record || !aliases) {
        status = sx_fail_nomem(error, 4096);
        goto out;
    }
    if (known && known->alias && strcmp(known->alias, name) != 0)
        json_array_append_new(aliases, json_string(known->alias));
    if (known && strcmp(known->name, name) != 0)
        json_array_append_new(aliases, json_string(known->name));
    json_object_set_new(record, "name", json_string(name));
    json_object_set(record, "aliases", aliases);
    json_object_set_new(record, "source", json_string(source));
    json_object_set_new(record, "kind", json_string(info->kind));
    json_object_set_new(record, "family", json_string(info->family));
    json_object_set_new(record, "weights", json_string(inside(info)));
    json_object_set_new(record, "sha256", json_string(info->weights_sha256));
    json_object_set_new(record, "licence", json_string(licence));
    json_object_set_new(record, "dimensions", json_integer(info->dimensions));
    json_object_set_new(record, "max_length", json_integer(info->max_length));
    text = json_dumps(record, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    status = text ? sx_file_write_atomic(path, text, strlen(text), error) : sx_fail_nomem(error, 4096);
out:
    free(text);
    json_decref(aliases);
    json_decref(record);
    free(path);
    free(licence);
    return status;
}

static sx_status check_name(const char *function, const sx_places *places, const char *name, sx_error *error)
{
    if (!name)
        return sx_fail(error, SX_E_INVALID, "%s: the name is NULL", function);
    if (!places->models_folder)
        return sx_fail(error, SX_E_INVALID, "%s: places.models_folder is not set", function);
    if (!sx_model_name_is_valid(name)) {
        sx_status status = sx_fail(error, SX_E_INVALID, "model name '%s': not a valid name", name);
        sx_hint(error, "letters, digits and . _ + - , not beginning with a dot or a dash, at most 128");
        return status;
    }
    return SX_OK;
}

/* Compares what a caller expects, what the source holds and what arrived. */
static sx_status check_copy(const char *folder, const sx_model_info *info, sx_error *error)
{
    char *path = sx_path_join(folder, inside(info));
    if (!path)
        return sx_fail_nomem(error, 4096);
    sx_sha256 hash;
    char hex[SX_SHA256_HEX];
    sx_status status = sx_file_sha256(path, NULL, &hash, error);
    if (!status) {
        sx_sha256_hex(&hash, hex);
        if (strcmp(hex, info->weights_sha256) != 0)
            status = sx_fail(error, SX_E_IO, "%s: the copy's sha-256 is %s, the source's %s", path, hex, info->weights_sha256);
    }
    free(path);
    return status;
}

sx_status sx_models_import(const sx_places *places, const char *folder, const char *name, const char *sha256, sx_error *error)
{
    if (!folder)
        return sx_fail(error, SX_E_INVALID, "sx_models_import: folder is NULL");
    sx_places known_places;
    sx_status status = sx_options_read(places, &known_places, sizeof known_places, "sx_places", error);
    if (!status)
        status = check_name("sx_models_import", &known_places, name, error);
    sx_sha256 expected;
    if (!status && sha256 && sx_sha256_from_hex(sha256, &expected))
        status = sx_fail(error, SX_E_INVALID, "sha-256 '%s': not 64 hexadecimal digits", sha256);
    if (status)
        return status;

    char *source = NULL, *target = NULL, *temporary = NULL, *only = NULL;
    const char *missing;
    size_t count;
    sx_model *model = NULL;
    sx_model_options options = {.size = sizeof options, .hash_folder = known_places.cache_folder};
    target = sx_path_join(known_places.models_folder, name);
    if (!target || asprintf(&temporary, "%s/%s%s-%ld", known_places.models_folder, import_prefix, name, (long)getpid()) < 0) {
        temporary = NULL;
        status = sx_fail_nomem(error, 4096);
        goto out;
    }
    struct stat there;
    if (lstat(target, &there) == 0) {
        status = sx_fail(error, SX_E_EXISTS, "model %s: %s is there already", name, target);
        sx_hint(error, "`sextant models remove %s` takes it out, or give another --name", name);
        goto out;
    }
    source = realpath(folder, NULL);
    if (!source) {
        status = sx_fail_errno(error, errno, "model folder %s: cannot be opened", folder);
        goto out;
    }
    if (!sx_model_is_gguf(folder) && !sx_model_folder_has_config(folder, &missing) && (only = sx_model_only_gguf(folder, &count)))
        folder = only;
    status = sx_model_open(folder, &options, &model, error);
    if (status)
        goto out;
    const sx_model_info *info = sx_model_describe(model);
    if (sha256 && strcasecmp(sha256, info->weights_sha256) != 0) {
        status =
            sx_fail(error, SX_E_MISMATCH, "%s: sha-256 is %s, expected %s", info->weights_file, info->weights_sha256, sha256);
        sx_hint(error, "the file is damaged or another version; fetch it again");
        goto out;
    }
    status = sx_make_folders(known_places.models_folder, error);
    if (status)
        goto out;
    clear_leftovers(known_places.models_folder);
    if (sx_model_is_gguf(info->folder))
        status = copy_gguf(folder, temporary, error);
    else
        status = copy_folder(folder, temporary, sx_path_name(info->weights_file), 0, error);
    if (!status)
        status = check_copy(temporary, info, error);
    if (!status)
        status = write_record(temporary, name, source, info, error);
    if (!status && rename(temporary, target) != 0)
        status = errno == ENOTEMPTY || errno == EEXIST
                     ? sx_fail(error, SX_E_EXISTS, "model %s: %s is there already", name, target)
                     : sx_fail_errno(error, errno, "%s: cannot be put in place", target);
    if (status)
        remove_tree(temporary);
out:
    sx_model_close(model);
    free(only);
    free(source);
    free(temporary);
    free(target);
    return status;
}

sx_status sx_models_remove(const sx_places *places, const char *name, sx_error *error)
{
    sx_places known_places;
    sx_status status = sx_options_read(places, &known_places, sizeof known_places, "sx_places", error);
    if (!status && name && sx_hub_name_is_valid(name)) {
        status = sx_fail(error, SX_E_UNSUPPORTED,
                         "model %s: not an imported model, and those of the Hugging Face cache are not removed here", name);
        sx_hint(error, "the cache is shared with Python's tools: `hf cache delete`, or remove its folder %s/models--%.*s--%s",
                known_places.hub_cache ? known_places.hub_cache : "", (int)strcspn(name, "/"), name, strchr(name, '/') + 1);
    }
    if (!status)
        status = check_name("sx_models_remove", &known_places, name, error);
    if (status)
        return status;
    char *folder = sx_model_imported_folder(known_places.models_folder, name), *hidden = NULL;
    if (!folder) {
        status =
            sx_fail(error, SX_E_NOT_FOUND, "model %s: no imported model of that name in %s", name, known_places.models_folder);
        sx_hint(error, "`sextant models list` says what is there; models in the Hugging Face cache are that cache's to remove");
        return status;
    }
    /* Renamed first: a model is there or not there, never in part. */
    if (asprintf(&hidden, "%s/%s%s-%ld", known_places.models_folder, remove_prefix, sx_path_name(folder), (long)getpid()) < 0)
        hidden = NULL;
    if (!hidden)
        status = sx_fail_nomem(error, 4096);
    else if (rename(folder, hidden) != 0)
        status = sx_fail_errno(error, errno, "%s: cannot be removed", folder);
    else
        remove_tree(hidden);
    clear_leftovers(known_places.models_folder);
    free(hidden);
    free(folder);
    return status;
}
