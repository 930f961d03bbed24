/* glob.h - matching paths against shell patterns with **, as gitignore(5) defines them. Internal to src/doc. */
#ifndef SX_DOC_GLOB_H
#define SX_DOC_GLOB_H

#include <stdbool.h>
#include <stddef.h>

/* Does the pattern match the whole path? '*', '?' and brackets never match '/'; "**" as a whole part matches any number of parts
 * (at the end: at least one). Bytes, not characters. A broken pattern (open bracket, backslash at the end) matches nothing.
 * Time is at most |pattern| * |path|^2, whatever they are. */
bool sx_glob_match(const char *pattern, size_t pattern_length, const char *path, size_t path_length);

/* --include and --exclude: a pattern without '/' matches the last part of the path, others the path from the root on. One that
 * matches a folder above the path matches too. Leading "./" and "/" and a trailing "/" of the pattern do not count. */
bool sx_glob_selects(const char *pattern, const char *relative);

#endif
