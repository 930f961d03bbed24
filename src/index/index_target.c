/* index_target.c - from the paths a user gives to roots and paths below them. */
#include "index_target.h"

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool sx_path_is_in(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    if (!length)
        return true;
    if (!strcmp(folder, "/"))
        return path[0] == '/'; /* documents that are no files are in no folder */
    return !strncmp(path, folder, length) && (!path[length] || path[length] == '/');
}

/* Appends the components of rest to path, taking "." and ".." away. */
static char *append_lexically(const char *path, const char *rest)
{
    size_t capacity = strlen(path) + strlen(rest) + 2;
    char *joined = sx_calloc(1, capacity);
    if (!joined)
        return NULL;
    strcpy(joined, path);
    for (const char *at = rest; *at;) {
        size_t length = strcspn(at, "/");
        char *last = strrchr(joined, '/');
        if (length == 2 && !strncmp(at, "..", 2)) {
            if (last)
                *(last == joined ? last + 1 : last) = '\0';
        } else if (length && !(length == 1 && at[0] == '.')) {
            if (last && last[1])
                strcat(joined, "/");
            strncat(joined, at, length);
        }
        at += length + (at[length] == '/');
    }
    return joined;
}

sx_status sx_index_absolute_path(const char *path, char **absolute, sx_error *error)
{
    *absolute = NULL;
    if (!path[0])
        return sx_fail(error, SX_E_INVALID, "a path is empty");
    char *head = sx_strdup(path);
    if (!head)
        return sx_fail_nomem(error, strlen(path) + 1);
    /* The longest beginning that exists, then the rest as it stands. */
    size_t length = strlen(head);
    char *real = realpath(head, NULL);
    while (!real && length) {
        while (length && head[length - 1] == '/')
            length--;
        while (length && head[length - 1] != '/')
            length--;
        head[length] = '\0';
        real = realpath(length ? head : ".", NULL);
    }
    free(head);
    if (!real)
        return sx_fail_errno(error, errno, "%s", path);
    *absolute = append_lexically(real, path + length);
    free(real);
    return *absolute ? SX_OK : sx_fail_nomem(error, strlen(path));
}

/* 1: there is something that is no folder below path; 0: nothing; -1: a folder could not be read, which proves no emptiness. */
static int holds_a_file(const char *path, unsigned depth)
{
    DIR *folder = opendir(path);
    if (!folder)
        return -1;
    int found = 0;
    struct dirent *entry;
    while (found != 1 && (entry = readdir(folder))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        char *below = sx_path_join(path, entry->d_name);
        struct stat status;
        if (!below || lstat(below, &status))
            found = -1;
        else if (!S_ISDIR(status.st_mode))
            found = 1;
        else if (depth < 256) {
            int deeper = holds_a_file(below, depth + 1);
            found = deeper ? deeper : found;
        }
        free(below);
    }
    closedir(folder);
    return found;
}

static sx_status count_document(const sx_document_row *row, void *user, sx_error *error)
{
    (void)error;
    if (row->state != SX_DOCUMENT_SKIPPED)
        ++*(uint64_t *)user;
    return SX_OK;
}

/* The nearest folder at or above `absolute` that is an indexed root. */
static sx_status stop_at_first(const sx_document_row *row, void *user, sx_error *error)
{
    (void)row;
    *(bool *)user = true;
    return sx_fail(error, SX_E_EXISTS, "found");
}

static sx_status find_root(sx_database *database, int64_t collection, sx_index_target *target, sx_error *error)
{
    char *candidate = sx_strdup(target->absolute);
    if (!candidate)
        return sx_fail_nomem(error, strlen(target->absolute) + 1);
    if (!target->is_folder) /* a file's own folder comes first */
        *strrchr(candidate, '/') = '\0';
    if (!candidate[0])
        strcpy(candidate, "/");
    char *nearest = sx_strdup(candidate);
    bool found = false;
    sx_status status = nearest ? SX_OK : sx_fail_nomem(error, strlen(candidate) + 1);
    while (!status && collection && !found) {
        sx_error ignored;
        status = sx_store_documents(database, collection, candidate, "", stop_at_first, &found, &ignored);
        if (found)
            status = SX_OK;
        else if (status && error)
            *error = ignored;
        if (found || status || !strcmp(candidate, "/"))
            break;
        char *slash = strrchr(candidate, '/');
        slash[slash == candidate] = '\0';
    }
    if (!status) {
        target->root = found ? candidate : nearest;
        const char *below = target->absolute + strlen(target->root);
        target->below = sx_strdup(*below == '/' ? below + 1 : below);
        if (!target->below)
            status = sx_fail_nomem(error, strlen(below) + 1);
    }
    if (target->root != candidate)
        free(candidate);
    if (target->root != nearest)
        free(nearest);
    return status;
}

sx_status sx_index_targets_root(sx_database *database, int64_t collection, sx_index_targets *targets, sx_error *error)
{
    sx_status status = SX_OK;
    for (size_t i = 0; !status && i < targets->count; i++)
        status = find_root(database, collection, &targets->targets[i], error);
    return status;
}

static sx_status refuse_empty(sx_database *database, int64_t collection, sx_index_target *target, sx_error *error)
{
    uint64_t known = 0;
    sx_status status = find_root(database, collection, target, error);
    if (!status && collection)
        status = sx_store_documents(database, collection, target->root, target->below, count_document, &known, error);
    if (status)
        return status;
    if (!known)
        return sx_fail(error, SX_E_NOT_FOUND, "%s: is empty: there is nothing to index", target->given);
    sx_fail(error, SX_E_NOT_FOUND, "%s: is empty, %llu documents known: nothing removed", target->given,
            (unsigned long long)known);
    sx_hint(error, "is a disk not mounted? To take the documents out: sextant remove %s", target->given);
    return SX_E_NOT_FOUND;
}

/* A file keeps its own name, even when it is a symbolic link; its folder is resolved. */
static sx_status find_one(const char *path, sx_index_target *target, sx_error *error)
{
    struct stat file;
    target->given = path;
    if (!path[0])
        return sx_fail(error, SX_E_INVALID, "index: a path is empty");
    if (stat(path, &file)) {
        sx_status status = sx_fail_errno(error, errno, "%s", path);
        if (status == SX_E_NOT_FOUND)
            sx_hint(error, "nothing was removed; to take the documents of a path that is gone out: sextant remove %s", path);
        return status;
    }
    target->is_folder = S_ISDIR(file.st_mode);
    if (target->is_folder) {
        target->absolute = realpath(path, NULL);
        return target->absolute ? SX_OK : sx_fail_errno(error, errno, "%s", path);
    }
    const char *name = sx_path_name(path);
    char *folder = name == path ? sx_strdup(".") : sx_strndup(path, (size_t)(name - path));
    char *real = folder ? realpath(folder, NULL) : NULL;
    sx_status status = !folder ? sx_fail_nomem(error, strlen(path)) : !real ? sx_fail_errno(error, errno, "%s", path) : SX_OK;
    if (!status) {
        target->absolute = sx_path_join(real, name);
        if (!target->absolute)
            status = sx_fail_nomem(error, strlen(real));
    }
    free(folder);
    free(real);
    return status;
}

sx_status sx_index_target_check(const sx_index_target *target, sx_error *error)
{
    struct stat folder;
    if (!target->is_folder)
        return SX_OK;
    bool there = !stat(target->absolute, &folder);
    if (!there && errno != ENOENT && errno != ENOTDIR)
        return sx_fail_errno(error, errno, "%s", target->absolute);
    if (there && holds_a_file(target->absolute, 0) != 0)
        return SX_OK;
    sx_fail(error, SX_E_NOT_FOUND, "%s: %s while it was indexed: nothing removed", target->absolute,
            there ? "became empty" : "went away");
    sx_hint(error, "is a disk not mounted? To take the documents out: sextant remove %s", target->absolute);
    return SX_E_NOT_FOUND;
}

static void clear_target(sx_index_target *target)
{
    free(target->absolute);
    free(target->root);
    free(target->below);
    *target = (sx_index_target){0};
}

void sx_index_targets_clear(sx_index_targets *targets)
{
    for (size_t i = 0; i < targets->count; i++)
        clear_target(&targets->targets[i]);
    free(targets->targets);
    *targets = (sx_index_targets){0};
}

sx_status sx_index_targets_find(sx_database *database, int64_t collection, const char *const *paths, size_t count,
                                sx_index_targets *targets, sx_error *error)
{
    sx_status status = SX_OK;
    *targets = (sx_index_targets){sx_calloc(count, sizeof(sx_index_target)), 0};
    if (!targets->targets)
        return sx_fail_nomem(error, count * sizeof(sx_index_target));
    for (size_t i = 0; !status && i < count; i++) {
        sx_index_target found = {0};
        status = find_one(paths[i], &found, error);
        if (!status && found.is_folder && holds_a_file(found.absolute, 0) == 0)
            status = refuse_empty(database, collection, &found, error);
        bool covered = status != SX_OK;
        for (size_t j = 0; !covered && j < targets->count; j++)
            covered = sx_path_is_in(found.absolute, targets->targets[j].absolute);
        if (covered) {
            clear_target(&found);
            continue;
        }
        size_t kept = 0;
        for (size_t j = 0; j < targets->count; j++) {
            if (sx_path_is_in(targets->targets[j].absolute, found.absolute))
                clear_target(&targets->targets[j]);
            else
                targets->targets[kept++] = targets->targets[j];
        }
        targets->targets[kept] = found;
        targets->count = kept + 1;
    }
    if (status)
        sx_index_targets_clear(targets);
    return status;
}
