/* file.c - reading, mapping and atomically writing files; paths. */
#include "file.h"

#include "error.h"
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* O_NONBLOCK so that a named pipe without a writer is refused instead of waited for. */
static sx_status open_regular(const char *path, int *descriptor, struct stat *status, sx_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return sx_fail_errno(error, errno, "%s: cannot be opened", path);
    if (fstat(fd, status) != 0) {
        sx_status failed = sx_fail_errno(error, errno, "%s: cannot be examined", path);
        close(fd);
        return failed;
    }
    if (!S_ISREG(status->st_mode)) {
        close(fd);
        return sx_fail(error, SX_E_FORMAT, "%s: is %s, not a regular file", path,
                       S_ISDIR(status->st_mode) ? "a folder" : S_ISFIFO(status->st_mode) ? "a named pipe" : "a device or socket");
    }
    *descriptor = fd;
    return SX_OK;
}

sx_status sx_file_map_open(const char *path, sx_file_map *map, sx_error *error)
{
    *map = (sx_file_map){0};
    int fd;
    sx_status status = open_regular(path, &fd, &map->status, error);
    if (status)
        return status;
    map->length = (size_t)map->status.st_size;
    if (map->length == 0) {
        map->data = (const unsigned char *)"";
    } else {
        void *data = mmap(NULL, map->length, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            status = sx_fail_errno(error, errno, "%s: cannot be mapped (%zu bytes)", path, map->length);
            *map = (sx_file_map){0};
        } else {
            map->data = data;
        }
    }
    close(fd);
    return status;
}

void sx_file_map_close(sx_file_map *map)
{
    if (map->length)
        munmap((void *)(uintptr_t)map->data, map->length);
    *map = (sx_file_map){0};
}

sx_status sx_file_read(const char *path, size_t maximum, char **data, size_t *length, struct stat *file_status,
                       sx_error *error)
{
    *data = NULL;
    *length = 0;
    int fd;
    struct stat at_open;
    sx_status status = open_regular(path, &fd, &at_open, error);
    if (status)
        return status;
    if (file_status)
        *file_status = at_open;
    char *memory = NULL;
    size_t size = (size_t)at_open.st_size, used = 0;
    if (size > maximum) {
        status = sx_fail(error, SX_E_LIMIT, "%s: %zu bytes, more than the limit of %zu", path, size, maximum);
        goto out;
    }
    memory = malloc(size + 1);
    if (!memory) {
        status = sx_fail_nomem(error, size + 1);
        goto out;
    }
    while (used < size) {
        ssize_t got = read(fd, memory + used, size - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            status = sx_fail_errno(error, errno, "%s: cannot be read", path);
            goto out;
        }
        if (got == 0)
            break;
        used += (size_t)got;
    }
    memory[used] = '\0';
    *data = memory;
    *length = used;
    memory = NULL;
out:
    free(memory);
    close(fd);
    return status;
}

sx_status sx_write_all(int descriptor, const void *data, size_t length, const char *name, sx_error *error)
{
    const char *at = data;
    while (length) {
        ssize_t written = write(descriptor, at, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return sx_fail_errno(error, errno, "%s: cannot be written", name);
        at += written;
        length -= (size_t)written;
    }
    return SX_OK;
}

sx_status sx_write_start(int descriptor, const void *data, size_t length, const char *name, sx_error *error)
{
    if (lseek(descriptor, 0, SEEK_SET) != 0)
        return sx_fail_errno(error, errno, "%s: cannot be written", name);
    sx_status status = sx_write_all(descriptor, data, length, name, error);
    if (!status && fsync(descriptor) != 0)
        status = sx_fail_errno(error, errno, "%s: cannot be flushed to disk", name);
    return status;
}

static void sync_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? sx_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : sx_strdup(".");
    if (!folder)
        return;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        /* Some file systems refuse to sync a folder; the rename is then as durable as they make it. */
        (void)fsync(fd);
        close(fd);
    }
    free(folder);
}

sx_status sx_file_write_atomic(const char *path, const void *data, size_t length, sx_error *error)
{
    static atomic_uint sequence; /* only makes names differ */
    char *temporary = NULL;
    if (asprintf(&temporary, "%s.tmp-%ld-%u", path, (long)getpid(), atomic_fetch_add(&sequence, 1)) < 0)
        return sx_fail_nomem(error, strlen(path) + 32);
    sx_status status = SX_OK;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) {
        status = sx_fail_errno(error, errno, "%s: cannot be created", temporary);
        goto out;
    }
    status = sx_write_all(fd, data, length, temporary, error);
    if (!status && fsync(fd) != 0)
        status = sx_fail_errno(error, errno, "%s: cannot be flushed to disk", temporary);
    if (close(fd) != 0 && !status)
        status = sx_fail_errno(error, errno, "%s: cannot be closed", temporary);
    if (!status && rename(temporary, path) != 0)
        status = sx_fail_errno(error, errno, "%s: cannot be put in place", path);
    if (status)
        unlink(temporary);
    else
        sync_folder_of(path);
out:
    free(temporary);
    return status;
}

sx_status sx_make_folders(const char *path, sx_error *error)
{
    char *copy = sx_strdup(path);
    if (!copy)
        return sx_fail_nomem(error, strlen(path) + 1);
    sx_status status = SX_OK;
    for (char *at = copy + 1; *copy && !status; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char kept = *at;
        *at = '\0';
        if (mkdir(copy, 0700) != 0 && errno != EEXIST)
            status = sx_fail_errno(error, errno, "%s: folder cannot be made", copy);
        *at = kept;
        if (!kept)
            break;
    }
    struct stat made;
    if (!status && *path && (stat(path, &made) != 0 || !S_ISDIR(made.st_mode)))
        status = sx_fail(error, SX_E_IO, "%s: is not a folder", path);
    free(copy);
    return status;
}

bool sx_file_exists(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0;
}

char *sx_path_join(const char *a, const char *b)
{
    size_t length = strlen(a);
    if (!length || b[0] == '/')
        return sx_strdup(b);
    char *joined = NULL;
    if (asprintf(&joined, a[length - 1] == '/' ? "%s%s" : "%s/%s", a, b) < 0)
        return NULL;
    return joined;
}

const char *sx_path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
