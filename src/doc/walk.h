/* walk.h - the files below a folder, in a stable order, with a reason for everything left out. */
#ifndef SX_DOC_WALK_H
#define SX_DOC_WALK_H

#include "sextant.h"

#include <stdbool.h>
#include <sys/stat.h>

typedef struct sx_walk_options {
    const char *const *include;
    size_t include_count;
    const char *const *exclude;
    size_t exclude_count;
    bool allow_secrets;
    uint64_t max_file_size;
    const char *excludes_file; /* git's core.excludesFile, for what lies in a repository; NULL: none */
    const char *const *only;   /* paths below the root, sorted as by strcmp: only these and what is below them; NULL: everything */
    size_t only_count;
    bool folders;              /* the folders that are entered are visited (the root as ""), and no files */
} sx_walk_options;

typedef struct sx_walk_entry {
    const char *path;          /* absolute or as given, for opening */
    const char *relative;      /* below the root, with '/' */
    const struct stat *status; /* of the file (links followed) */
    const char *skip;          /* NULL: to be read; else why it is left out, for the report ("secret (.env)", "hidden file",
                                  "larger than 256 MiB", "named pipe", "symbolic link loop", "permission denied" ...) */
    bool failed;               /* skip is a failure to be reported as such (cannot be read), not a choice */
} sx_walk_entry;

/* Nonzero from the visitor ends the walk with that status. */
typedef sx_status (*sx_walk_visit)(const sx_walk_entry *entry, void *user, sx_error *error);

/* Visits every file below root (a folder), bytewise sorted by relative path over the whole tree, in bounded memory (the names of
 * the folders on the way). .gitignore (also nested, negated, anchored, **), .ignore and .sextantignore of root and below are
 * honoured; in a git repository also those above the root up to its top, .git/info/exclude and excludes_file. .git, hidden folders and
 * __pycache__ are not entered; what an ignore rule, a glob or these leave out is not reported file by file (mission D3), but folders
 * that cannot be opened and files with other reasons are. Vendored folders (node_modules, vendor, third_party ...) are reported and not
 * entered; lock files, minified and generated ones are reported. An include glob that names such a folder or file brings it back, and so
 * does a "!" rule of .sextantignore. Submodules and other repositories inside are part of the tree. Symbolic links to
 * files are followed when they stay below the root; links to folders are not followed (reported as skipped). Secrets (.env*,
 * *.pem, id_rsa, *.key, .netrc, credentials ...) are skipped unless allowed. Hidden files are skipped unless an include glob
 * that begins with a dot names them. A root that is missing or not a folder is an error. */
sx_status sx_walk(const char *root, const sx_walk_options *options, sx_walk_visit visit, void *user, sx_error *error);
/* The same decisions for one file given by name: ignore files do not apply, include/exclude and the other reasons do. */
sx_status sx_walk_file(const char *path, const char *relative, const sx_walk_options *options, sx_walk_visit visit,
                       void *user, sx_error *error);

#endif
