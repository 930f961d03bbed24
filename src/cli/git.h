/* git.h - what git knows of a folder: what changed since a revision, and the user's own ignore file. */
#ifndef SX_CLI_GIT_H
#define SX_CLI_GIT_H

#include "sextant.h"

#include <stddef.h>

typedef struct sx_git_changes {
    char **paths; /* absolute */
    size_t count, capacity;
} sx_git_changes;

/* Adds what differs between a revision and the files at `path`, deleted and not yet added ones included. SX_E_NOT_FOUND: no git, no
 * repository there, or no such revision. */
sx_status sx_git_changes_since(const char *path, const char *revision, sx_git_changes *changes, sx_error *error);
void sx_git_changes_clear(sx_git_changes *changes);
/* The file that core.excludesFile names, or git's default where there is one, malloc'ed; NULL: none, or `path` is in no repository. */
char *sx_git_excludes_file(const char *path);

#endif
