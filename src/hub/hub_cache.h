/* hub_cache.h - the folder layout that Python's huggingface_hub keeps its files in, shared with it.
 *
 *     <cache>/models--org--name/refs/<revision>           the commit a branch or tag means, as text
 *     <cache>/models--org--name/blobs/<etag>              contents: SHA-256 of large files, git's SHA-1 of small ones
 *     <cache>/models--org--name/blobs/<etag>.incomplete   what came so far
 *     <cache>/models--org--name/snapshots/<commit>/<path> links to blobs
 *     <cache>/.locks/models--org--name/<etag>.lock        flock while a blob is fetched
 *
 * Source: "Understand caching" of the huggingface_hub documentation, and what its version 0.36 and 1.x write.
 */
#ifndef SX_HUB_HUB_CACHE_H
#define SX_HUB_HUB_CACHE_H

#include "sextant.h"

#include <stdbool.h>

/* One repository in the cache. Paths are malloc'ed. Zero-initialise. */
typedef struct sx_hub_repository {
    char *folder;  /* models--org--name */
    char *locks;   /* its folder under .locks */
} sx_hub_repository;

/* org/name must be valid (sx_hub_name_is_valid). Makes the folders. */
sx_status sx_hub_repository_open(const char *cache, const char *name, sx_hub_repository *repository, sx_error *error);
void sx_hub_repository_close(sx_hub_repository *repository);

/* Whether a path inside a repository may be written below a snapshot: relative, no "..", no empty or hidden part but known
 * ones, no backslash or control character. */
bool sx_hub_path_is_safe(const char *path);
/* 40 or 64 hexadecimal digits. */
bool sx_hub_is_commit(const char *text);
bool sx_hub_revision_is_safe(const char *revision);

/* Path of a blob, malloc'ed; NULL: no memory. etag must be of letters, digits and dashes. */
char *sx_hub_blob_path(const sx_hub_repository *repository, const char *etag, const char *suffix);
/* Waits for the lock of a blob; *descriptor is closed to let go. *stop as elsewhere. */
sx_status sx_hub_lock(const sx_hub_repository *repository, const char *etag, const volatile int *stop, int *descriptor,
                      sx_error *error);

typedef struct sx_hub_link {
    const char *path; /* in the repository */
    const char *etag;
} sx_hub_link;
/* Makes snapshots/<commit> hold these links: a new snapshot appears whole or not at all; one that is there gets what it lacks.
 * Then sets refs/<revision>. *snapshot is malloc'ed. */
sx_status sx_hub_publish(const sx_hub_repository *repository, const char *commit, const char *revision,
                         const sx_hub_link *links, size_t count, char **snapshot, sx_error *error);

#endif
