/* ignore.h - the rules of one folder's ignore files (gitignore(5)). Internal to src/doc. */
#ifndef SX_DOC_IGNORE_H
#define SX_DOC_IGNORE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct sx_ignore_rule {
    const char *pattern; /* into text, not terminated */
    size_t length;
    bool negated, folders_only, anchored; /* anchored: matched against the path from this folder on, else against the name */
} sx_ignore_rule;

/* The rules of a folder, in ascending order of precedence. Zero-initialise. */
typedef struct sx_ignore_rules {
    sx_ignore_rule *rules;
    size_t count, capacity;
    char **texts; /* the files' contents, owned */
    size_t text_count, text_capacity;
} sx_ignore_rules;

typedef enum sx_ignore_verdict { SX_IGNORE_NO_RULE, SX_IGNORE_LEFT_OUT, SX_IGNORE_KEPT } sx_ignore_verdict;

/* Adds the rules of a file's contents (copied). False on no memory. */
bool sx_ignore_add(sx_ignore_rules *rules, const char *text, size_t length);
/* What the last matching rule says of `path`, which is relative to the rules' folder. */
sx_ignore_verdict sx_ignore_check(const sx_ignore_rules *rules, const char *path, bool is_folder);
/* The same; *rule is which one, when there is one. */
sx_ignore_verdict sx_ignore_check_rule(const sx_ignore_rules *rules, const char *path, bool is_folder, size_t *rule);
void sx_ignore_clear(sx_ignore_rules *rules);

#endif
