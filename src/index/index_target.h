/* index_target.h - from the paths a user gives to (root, path below it), the first two thirds of a document's identity. */
#ifndef SX_INDEX_INDEX_TARGET_H
#define SX_INDEX_INDEX_TARGET_H

#include "../store/store.h"

typedef struct sx_index_target {
    const char *given; /* the caller's words, for messages */
    char *absolute;    /* without symbolic links */
    char *root;        /* absolute folder: an indexed one above or at the path when there is one */
    char *below;       /* the path below root, "" for all of it */
    bool is_folder;
} sx_index_target;

typedef struct sx_index_targets {
    sx_index_target *targets;
    size_t count;
} sx_index_targets;

/* Finds the paths, which must exist, and drops those that lie in another one of them. SX_E_NOT_FOUND for a path that is
 * missing or a folder with no file in it: an unmounted disk must never look like deleted documents. Roots are not set yet.
 * database and collection (0: none) serve to count what is known there. */
sx_status sx_index_targets_find(sx_database *database, int64_t collection, const char *const *paths, size_t count,
                                sx_index_targets *targets, sx_error *error);
/* Sets root and below of each. */
sx_status sx_index_targets_root(sx_database *database, int64_t collection, sx_index_targets *targets, sx_error *error);
/* SX_E_NOT_FOUND when a folder is missing or holds no file any more: asked before anything is taken out, since the paths were
 * found hours ago, it may be. */
sx_status sx_index_target_check(const sx_index_target *target, sx_error *error);
void sx_index_targets_clear(sx_index_targets *targets);

/* An absolute path for one that need not exist: the part that exists without symbolic links, the rest without "." and "..".
 * malloc'ed. */
sx_status sx_index_absolute_path(const char *path, char **absolute, sx_error *error);
/* Whether path is `folder` or lies in it; "" holds everything, "/" every absolute path. */
bool sx_path_is_in(const char *path, const char *folder);

#endif
