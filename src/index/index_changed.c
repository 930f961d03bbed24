/* index_changed.c - a run that looks only at what somebody says has changed: from sx_index_options.changed to paths below the
 * roots. */
#include "index_job.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"
#include "../doc/ignore_above.h"

#include <stdlib.h>
#include <string.h>

static bool is_ignore_file(const char *name)
{
    for (size_t i = 0; i < SX_IGNORE_FILES; i++)
        if (!strcmp(name, sx_ignore_file_names[i]))
            return true;
    return false;
}

/* As an index target is made absolute: the path keeps its own name, even when it is a symbolic link; its folder is resolved. */
static sx_status make_absolute(const char *path, char **absolute, sx_error *error)
{
    size_t length = path ? strlen(path) : 0;
    while (length > 1 && path[length - 1] == '/')
        length--;
    *absolute = NULL;
    char *copy = sx_strndup(path ? path : "", length), *folder = NULL;
    if (!copy)
        return sx_fail_nomem(error, length);
    const char *name = sx_path_name(copy);
    sx_status status;
    if (!*name || !strcmp(name, ".") || !strcmp(name, "..")) {
        status = sx_index_absolute_path(copy, absolute, error);
        free(copy);
        return status;
    }
    folder = name == copy ? sx_strdup(".") : sx_strndup(copy, (size_t)(name - copy));
    status = folder ? SX_OK : sx_fail_nomem(error, length);
    char *real = NULL;
    if (!status)
        status = sx_index_absolute_path(folder, &real, error);
    if (!status) {
        *absolute = is_ignore_file(name) ? sx_strdup(real) : sx_path_join(real, name);
        status = *absolute ? SX_OK : sx_fail_nomem(error, length);
    }
    free(real);
    free(folder);
    free(copy);
    return status;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool has(const index_only *only, const char *path, size_t length)
{
    size_t low = 0, high = only->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strncmp(only->paths[middle], path, length);
        if (!order && only->paths[middle][length])
            order = 1;
        if (!order)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* Sorted, each once, and none that lies in another. */
static void tidy(index_only *only)
{
    size_t kept = 0;
    if (only->count)
        qsort(only->paths, only->count, sizeof *only->paths, compare);
    for (size_t i = 0; i < only->count; i++) {
        char *path = only->paths[i];
        index_only before = {.paths = only->paths, .count = kept};
        bool covered = has(&before, path, strlen(path)) || (*path && has(&before, "", 0));
        for (const char *slash = path; !covered && (slash = strchr(slash, '/')); slash++)
            covered = has(&before, path, (size_t)(slash - path));
        if (covered)
            free(path);
        else
            only->paths[kept++] = path;
    }
    only->count = kept;
}

static sx_status add(index_job *job, size_t target, const char *absolute, sx_error *error)
{
    const sx_index_target *at = &job->targets.targets[target];
    index_only *only = &job->only[target];
    const char *below;
    if (sx_path_is_in(absolute, at->absolute)) {
        below = absolute + strlen(at->root);
        below += *below == '/';
    } else if (sx_path_is_in(at->absolute, absolute)) {
        below = at->below;
    } else {
        return SX_OK;
    }
    char *copy = sx_strdup(below);
    if (!copy || !sx_reserve((void **)&only->paths, &only->capacity, only->count + 1, sizeof *only->paths)) {
        free(copy);
        return sx_fail_nomem(error, strlen(below));
    }
    only->paths[only->count++] = copy;
    return SX_OK;
}

sx_status sx_index_changed_find(index_job *job, sx_error *error)
{
    sx_status status = SX_OK;
    job->only = sx_calloc(job->targets.count, sizeof *job->only);
    if (!job->only)
        return sx_fail_nomem(error, sizeof *job->only);
    for (size_t i = 0; !status && i < job->targets.count; i++)
        if (!job->options.changed) /* all of the target */
            status = add(job, i, job->targets.targets[i].absolute, error);
    for (size_t i = 0; !status && job->options.changed && i < job->options.changed_count; i++) {
        char *absolute = NULL;
        status = make_absolute(job->options.changed[i], &absolute, error);
        for (size_t j = 0; !status && j < job->targets.count; j++)
            status = add(job, j, absolute, error);
        free(absolute);
    }
    for (size_t i = 0; !status && i < job->targets.count; i++)
        tidy(&job->only[i]);
    return status;
}

void sx_index_changed_clear(index_job *job)
{
    for (size_t i = 0; job->only && i < job->targets.count; i++) {
        for (size_t j = 0; j < job->only[i].count; j++)
            free(job->only[i].paths[j]);
        free(job->only[i].paths);
    }
    free(job->only);
    job->only = NULL;
}
