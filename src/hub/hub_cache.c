/* hub_cache.c - writing into the shared cache so that every reader sees whole files and whole snapshots.
 *
 * Blobs come under another name and are renamed; links of a new snapshot are made in a folder beside the snapshots, which is then
 * renamed into place. Locks are flock(2) on the files huggingface_hub locks.
 */
#include "hub_cache.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"
#include "../base/clock.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOOK_AGAIN_MS = 50 };

bool sx_hub_path_is_safe(const char *path)
{
    if (!*path || strlen(path) > 1024)
        return false;
    for (const char *part = path;; part++) {
        size_t length = strcspn(part, "/");
        if (length == 0 || part[0] == '.') /* what begins with a dot is git's or the cache's own */
            return false;
        for (size_t i = 0; i < length; i++)
            if ((unsigned char)part[i] < 0x20 || part[i] == '\\' || part[i] == 0x7f)
                return false;
        part += length;
        if (!*part)
            return true;
    }
}

bool sx_hub_is_commit(const char *text)
{
    size_t length = strspn(text, "0123456789abcdef");
    return (length == 40 || length == 64) && !text[length];
}

/* A branch, a tag, refs/pr/1 or a commit. */
bool sx_hub_revision_is_safe(const char *revision)
{
    for (const char *c = revision; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("._-/+", *c))
            return false;
    return sx_hub_path_is_safe(revision);
}

sx_status sx_hub_repository_open(const char *cache, const char *name, sx_hub_repository *repository, sx_error *error)
{
    static const char *const below[] = {"blobs", "snapshots", "refs"};
    const char *slash = strchr(name, '/');
    *repository = (sx_hub_repository){0};
    if (asprintf(&repository->folder, "%s/models--%.*s--%s", cache, (int)(slash - name), name, slash + 1) < 0)
        repository->folder = NULL;
    if (asprintf(&repository->locks, "%s/.locks/models--%.*s--%s", cache, (int)(slash - name), name, slash + 1) < 0)
        repository->locks = NULL;
    sx_status status = repository->folder && repository->locks ? sx_make_folders(repository->locks, error) : sx_fail_nomem(error, 256);
    for (size_t i = 0; i < sizeof below / sizeof *below && !status; i++) {
        char *path = sx_path_join(repository->folder, below[i]);
        status = path ? sx_make_folders(path, error) : sx_fail_nomem(error, 256);
        free(path);
    }
    if (status)
        sx_hub_repository_close(repository);
    return status;
}

void sx_hub_repository_close(sx_hub_repository *repository)
{
    free(repository->folder);
    free(repository->locks);
    *repository = (sx_hub_repository){0};
}

char *sx_hub_blob_path(const sx_hub_repository *repository, const char *etag, const char *suffix)
{
    char *path = NULL;
    return asprintf(&path, "%s/blobs/%s%s", repository->folder, etag, suffix) < 0 ? NULL : path;
}

sx_status sx_hub_lock(const sx_hub_repository *repository, const char *etag, const volatile int *stop, int *descriptor,
                      sx_error *error)
{
    char *path = NULL;
    *descriptor = -1;
    if (asprintf(&path, "%s/%s.lock", repository->locks, etag) < 0)
        return sx_fail_nomem(error, 256);
    sx_status status = SX_OK;
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (file < 0)
        status = sx_fail_errno(error, errno, "%s: cannot be opened", path);
    while (!status && flock(file, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            status = sx_fail_errno(error, errno, "%s: cannot be locked", path);
        else if (stop && *stop)
            status = sx_fail(error, SX_E_STOPPED, "%s: stopped while another process fetches this file", path);
        else
            sx_system_clock.sleep_ns((int64_t)LOOK_AGAIN_MS * 1000000, sx_system_clock.user);
    }
    if (status && file >= 0)
        close(file);
    else if (!status)
        *descriptor = file;
    free(path);
    return status;
}

/* A link to the blob from a file `path` below a snapshot: ../../ and one more for each folder in the path. */
static char *link_target(const char *path, const char *etag)
{
    char *target = NULL;
    size_t depth = 2;
    for (const char *c = path; *c; c++)
        depth += *c == '/';
    if (asprintf(&target, "%*sblobs/%s", (int)(3 * depth), "", etag) < 0)
        return NULL;
    for (size_t i = 0; i < depth; i++)
        memcpy(target + 3 * i, "../", 3);
    return target;
}

static sx_status put_link(const char *folder, const sx_hub_link *link, sx_error *error)
{
    char *path = sx_path_join(folder, link->path), *target = link_target(link->path, link->etag), *above = NULL, *fresh = NULL;
    sx_status status = SX_OK;
    if (!path || !target) {
        status = sx_fail_nomem(error, strlen(link->path));
        goto out;
    }
    const char *slash = strrchr(path, '/');
    above = sx_strndup(path, (size_t)(slash - path));
    status = above ? sx_make_folders(above, error) : sx_fail_nomem(error, strlen(path));
    if (status || symlink(target, path) == 0)
        goto out;
    if (errno != EEXIST) {
        status = sx_fail_errno(error, errno, "%s: the link cannot be made", path);
        goto out;
    }
    /* There already: made anew beside it and renamed over it, so that a reader finds one or the other. */
    if (asprintf(&fresh, "%s.%ld", path, (long)getpid()) < 0)
        fresh = NULL;
    if (!fresh)
        status = sx_fail_nomem(error, strlen(path));
    else if ((unlink(fresh) != 0 && errno != ENOENT) || symlink(target, fresh) != 0 || rename(fresh, path) != 0)
        status = sx_fail_errno(error, errno, "%s: the link cannot be replaced", path);
out:
    free(fresh);
    free(above);
    free(target);
    free(path);
    return status;
}

static void remove_links(const char *folder, const sx_hub_link *links, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *path = sx_path_join(folder, links[i].path);
        if (path)
            unlink(path);
        for (char *slash; path && (slash = strrchr(path, '/')) && strlen(path) > strlen(folder);) {
            *slash = '\0';
            if (rmdir(path) != 0)
                break;
        }
        free(path);
    }
    rmdir(folder);
}

static sx_status write_reference(const sx_hub_repository *repository, const char *revision, const char *commit, sx_error *error)
{
    char *path = NULL;
    if (sx_hub_is_commit(revision))
        return SX_OK;
    if (asprintf(&path, "%s/refs/%s", repository->folder, revision) < 0)
        return sx_fail_nomem(error, 256);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    sx_status status = sx_make_folders(path, error);
    *slash = '/';
    if (!status)
        status = sx_file_write_atomic(path, commit, strlen(commit), error);
    free(path);
    return status;
}

sx_status sx_hub_publish(const sx_hub_repository *repository, const char *commit, const char *revision,
                         const sx_hub_link *links, size_t count, char **snapshot, sx_error *error)
{
    char *final = NULL, *fresh = NULL;
    *snapshot = NULL;
    int lock;
    sx_status status = sx_hub_lock(repository, commit, NULL, &lock, error);
    if (status)
        return status;
    if (asprintf(&final, "%s/snapshots/%s", repository->folder, commit) < 0)
        final = NULL;
    if (asprintf(&fresh, "%s/.snapshot-%s", repository->folder, commit) < 0)
        fresh = NULL;
    if (!final || !fresh) {
        status = sx_fail_nomem(error, 256);
        goto out;
    }
    struct stat found;
    bool there = stat(final, &found) == 0;
    if (!there)
        remove_links(fresh, links, count); /* of one that was killed here */
    const char *target = there ? final : fresh;
    if (!there)
        status = sx_make_folders(fresh, error);
    for (size_t i = 0; i < count && !status; i++)
        status = put_link(target, &links[i], error);
    if (!status && !there && rename(fresh, final) != 0) {
        if (errno != EEXIST && errno != ENOTEMPTY)
            status = sx_fail_errno(error, errno, "%s: the snapshot cannot be put into place", final);
        /* Another process was first: what it lacks is added. */
        for (size_t i = 0; i < count && !status; i++)
            status = put_link(final, &links[i], error);
        remove_links(fresh, links, count);
    } else if (status && !there) {
        remove_links(fresh, links, count);
    }
    if (!status)
        status = write_reference(repository, revision, commit, error);
out:
    close(lock);
    free(fresh);
    if (status)
        free(final);
    else
        *snapshot = final;
    return status;
}
