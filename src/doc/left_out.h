/* left_out.h - files of a code base that nobody wrote there: vendored, locked, minified, generated. Internal to src/doc, but for
 * sx_left_out_by_text. */
#ifndef SX_DOC_LEFT_OUT_H
#define SX_DOC_LEFT_OUT_H

#include <stdbool.h>
#include <stddef.h>

/* Whether folders of this name hold other people's code. */
bool sx_is_vendored_folder(const char *name);
/* Why a file of this name is left out ("lock file", "minified", "generated"), or NULL. *pattern: the rule, a glob on the name. */
const char *sx_left_out_by_name(const char *name, const char **pattern);
/* Whether an include glob asks for the file although `pattern` leaves it out: it is at least as special, as "*.min.js" or
 * "a.min.js" is and "*.js" is not. pattern NULL: it names the file without a wildcard. */
bool sx_include_brings_back(const char *include, const char *pattern);
/* Whether a glob has a folder of this name spelt out. */
bool sx_glob_names_folder(const char *glob, const char *name, size_t length);

/* Why a source file is left out for what is in it ("generated (...)", "minified (...)"), or NULL. Prose is never. */
const char *sx_left_out_by_text(const char *path, const char *text, size_t length);

#endif
