/* ignore_above.c - the rules that hold for a folder from outside of it, inside a git repository.
 *
 * gitignore(5): a repository's own ignore files win over .git/info/exclude, and that over the user's core.excludesFile. A
 * repository's top is the innermost folder with a ".git" in it; that is a file in submodules and work trees. */
#include "ignore_above.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LONGEST_FILE = 4 * 1024 * 1024 };

const char *const sx_ignore_file_names[SX_IGNORE_FILES] = {".gitignore", ".ignore", ".sextantignore"};

/* The text of a small regular file, or NULL. */
static char *read_text(const char *path, size_t *length)
{
    struct stat about;
    char *text = NULL;
    sx_error ignored;
    if (lstat(path, &about) != 0 || !S_ISREG(about.st_mode) || sx_file_read(path, LONGEST_FILE, &text, length, NULL, &ignored))
        return NULL;
    return text;
}

static sx_status add_file(sx_ignore_rules *rules, const char *folder, const char *name, sx_error *error)
{
    size_t length = 0;
    char *path = sx_path_join(folder, name);
    char *text = path ? read_text(path, &length) : NULL;
    bool done = path && (!text || sx_ignore_add(rules, text, length));
    free(text);
    free(path);
    return done ? SX_OK : sx_fail_nomem(error, length);
}

static sx_ignore_level *add_level(sx_ignore_above *above, size_t offset)
{
    if (!sx_reserve((void **)&above->levels, &above->capacity, above->count + 1, sizeof *above->levels))
        return NULL;
    above->levels[above->count] = (sx_ignore_level){.offset = offset};
    return &above->levels[above->count++];
}

/* Where a repository keeps what is its own: `top`/.git, or what that file or its "commondir" names. */
static char *git_folder(const char *top)
{
    struct stat about;
    size_t length;
    char *git = sx_path_join(top, ".git");
    if (!git || stat(git, &about) != 0 || S_ISDIR(about.st_mode))
        return git;
    char *text = read_text(git, &length), *folder = NULL;
    if (text && !strncmp(text, "gitdir: ", 8)) {
        text[8 + strcspn(text + 8, "\r\n")] = '\0';
        folder = sx_path_join(top, text + 8);
    }
    free(text);
    free(git);
    char *common = folder ? sx_path_join(folder, "commondir") : NULL;
    text = common ? read_text(common, &length) : NULL;
    free(common);
    if (text) {
        text[strcspn(text, "\r\n")] = '\0';
        char *shared = sx_path_join(folder, text);
        free(folder);
        folder = shared;
    }
    free(text);
    return folder;
}

/* Cuts `path` to the innermost folder at or above it that has a ".git". */
static bool find_top(char *path)
{
    struct stat about;
    for (;;) {
        char *git = sx_path_join(path, ".git");
        bool found = git && lstat(git, &about) == 0;
        free(git);
        if (found)
            return true;
        char *slash = strrchr(path, '/');
        if (!slash || !path[1])
            return false;
        slash[slash == path] = '\0';
    }
}

static sx_status read_weakest(sx_ignore_above *above, const char *top, const char *excludes_file, sx_error *error)
{
    sx_ignore_level *level = add_level(above, 0);
    if (!level)
        return sx_fail_nomem(error, sizeof *level);
    sx_status status = excludes_file ? add_file(&level->rules, "", excludes_file, error) : SX_OK;
    char *git = git_folder(top);
    if (!status && git)
        status = add_file(&level->rules, git, "info/exclude", error);
    free(git);
    return status;
}

sx_status sx_ignore_above_read(const char *folder, const char *excludes_file, sx_ignore_above *above, sx_error *error)
{
    *above = (sx_ignore_above){0};
    char *top = sx_strdup(folder);
    if (!top)
        return sx_fail_nomem(error, strlen(folder));
    if (!find_top(top)) {
        free(top);
        return SX_OK;
    }
    const char *below = folder + strlen(top);
    below += *below == '/';
    above->inside = sx_calloc(strlen(below) + 2, 1);
    sx_status status = above->inside ? read_weakest(above, top, excludes_file, error) : sx_fail_nomem(error, strlen(below));
    if (!status && *below)
        sprintf(above->inside, "%s/", below);
    for (size_t at = 0; !status && above->inside[at]; at += strcspn(above->inside + at, "/") + 1) {
        sx_ignore_level *level = add_level(above, at);
        char *part = sx_strndup(folder, (size_t)(below - folder) + at);
        status = level && part ? SX_OK : sx_fail_nomem(error, strlen(folder));
        for (size_t i = 0; !status && i < SX_IGNORE_FILES; i++)
            status = add_file(&level->rules, part, sx_ignore_file_names[i], error);
        free(part);
    }
    free(top);
    if (status)
        sx_ignore_above_clear(above);
    return status;
}

sx_ignore_verdict sx_ignore_above_check(const sx_ignore_above *above, const char *path, bool is_folder)
{
    char whole[2 * PATH_MAX];
    if (!above->count || (size_t)snprintf(whole, sizeof whole, "%s%s", above->inside, path) >= sizeof whole)
        return SX_IGNORE_NO_RULE;
    for (size_t i = above->count; i-- > 0;) {
        sx_ignore_verdict verdict = sx_ignore_check(&above->levels[i].rules, whole + above->levels[i].offset, is_folder);
        if (verdict != SX_IGNORE_NO_RULE)
            return verdict;
    }
    return SX_IGNORE_NO_RULE;
}

void sx_ignore_above_clear(sx_ignore_above *above)
{
    for (size_t i = 0; i < above->count; i++)
        sx_ignore_clear(&above->levels[i].rules);
    free(above->levels);
    free(above->inside);
    *above = (sx_ignore_above){0};
}
