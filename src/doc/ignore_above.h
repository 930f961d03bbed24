/* ignore_above.h - the rules that hold for a folder from outside of it, inside a git repository. Internal to src/doc. */
#ifndef SX_DOC_IGNORE_ABOVE_H
#define SX_DOC_IGNORE_ABOVE_H

#include "ignore.h"
#include "sextant.h"

typedef struct sx_ignore_level {
    sx_ignore_rules rules;
    size_t offset; /* of the paths that are matched, in the path from the repository's top */
} sx_ignore_level;

typedef struct sx_ignore_above {
    sx_ignore_level *levels; /* weakest first */
    size_t count, capacity;
    char *inside; /* the folder's path from the repository's top, with a '/' at its end; "" for the top */
} sx_ignore_above;

/* The names of ignore files in a folder, weakest first. */
enum { SX_IGNORE_FILES = 3 };
extern const char *const sx_ignore_file_names[SX_IGNORE_FILES];

/* Reads the rules for `folder`, a real path: git's user-wide file (NULL: none), .git/info/exclude, and the ignore files of the
 * folders between the repository's top and it. Nothing when it lies in no repository. What cannot be read is as if it were not
 * there. */
sx_status sx_ignore_above_read(const char *folder, const char *excludes_file, sx_ignore_above *above, sx_error *error);
/* `path` is relative to the folder. */
sx_ignore_verdict sx_ignore_above_check(const sx_ignore_above *above, const char *path, bool is_folder);
void sx_ignore_above_clear(sx_ignore_above *above);

#endif
