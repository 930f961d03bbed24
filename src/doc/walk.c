/* walk.c - the files below a folder, in a stable order, with a reason for everything left out.
 *
 * Depth first over an explicit stack of folders, each holding its sorted names. Folders are opened relative to their parent and
 * never through symbolic links; only the innermost ones keep a descriptor, others are opened again when the walk comes back
 * (and checked to be the same). Folders sort as if their name ended in '/', so that relative paths come out in bytewise order
 * over the whole tree. */
#include "walk.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"
#include "glob.h"
#include "ignore.h"
#include "ignore_above.h"
#include "left_out.h"
#include "secrets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEEPEST = 512, OPEN_FOLDERS = 32, LONGEST_IGNORE_FILE = 4 * 1024 * 1024 };
static const uint64_t default_max_file_size = (uint64_t)256 << 20;

typedef struct folder_name {
    char *name;
    bool is_folder;
} folder_name;

typedef struct folder {
    int descriptor; /* -1 while closed */
    dev_t device;
    ino_t inode;
    folder_name *names;
    size_t count, capacity, next;
    sx_arena arena;     /* the names */
    size_t path_length; /* of its relative path in walker.relative, with the '/' after it; 0 for the root */
    sx_ignore_rules rules;
    size_t own_rules; /* of those, the first that are .sextantignore's */
    bool named_only;  /* vendored: of what is below only what an include glob asks for by the folder's name is taken */
} folder;

typedef struct walker {
    const char *root;
    char *real_root;
    const sx_walk_options *options;
    sx_ignore_above above;
    uint64_t max_file_size;
    sx_walk_visit visit;
    void *user;
    folder *stack;
    size_t depth, capacity;
    char relative[PATH_MAX];
    char reason[PATH_MAX + 64];
    sx_error *error;
} walker;

static const char *const no_globs[1];
static const sx_walk_options default_options = {.include = no_globs, .exclude = no_globs};

/* ---- Decisions about one file ---- */

static bool is_explicitly_hidden(const char *pattern)
{
    return sx_path_name(pattern)[0] == '.';
}

/* Is the file chosen by the include globs? A hidden file only by a glob that itself begins with a dot. */
static bool is_included(const sx_walk_options *options, const char *relative, bool hidden)
{
    for (size_t i = 0; i < options->include_count; i++)
        if ((!hidden || is_explicitly_hidden(options->include[i])) && sx_glob_selects(options->include[i], relative))
            return true;
    return false;
}

/* Whether the glob spells out every vendored folder that the walk is in. */
static bool names_vendored(const walker *w, const char *glob)
{
    for (size_t i = 1; i < w->depth; i++) {
        size_t from = w->stack[i - 1].path_length, to = w->stack[i].path_length;
        if (w->stack[i].named_only && !sx_glob_names_folder(glob, w->relative + from, to - from - 1))
            return false;
    }
    return true;
}

/* The same for a file found by walking. brings_back: a glob asks for it although its name tells that nobody wrote it. */
static bool is_included_here(const walker *w, const char *relative, bool hidden, const char *pattern, bool *brings_back)
{
    const sx_walk_options *options = w->options;
    bool included = false;
    *brings_back = false;
    for (size_t i = 0; i < options->include_count && !*brings_back; i++) {
        const char *glob = options->include[i];
        if ((hidden && !is_explicitly_hidden(glob)) || !sx_glob_selects(glob, relative) || !names_vendored(w, glob))
            continue;
        included = true;
        *brings_back = sx_include_brings_back(glob, pattern);
    }
    return included;
}

static const char *excluding_glob(const sx_walk_options *options, const char *relative)
{
    for (size_t i = 0; i < options->exclude_count; i++)
        if (sx_glob_selects(options->exclude[i], relative))
            return options->exclude[i];
    return NULL;
}

static const char *unusual_kind(mode_t mode)
{
    if (S_ISFIFO(mode))
        return "named pipe";
    if (S_ISSOCK(mode))
        return "socket";
    if (S_ISCHR(mode))
        return "character device";
    if (S_ISBLK(mode))
        return "block device";
    return "not a regular file";
}

static void describe_limit(uint64_t bytes, char *text, size_t size)
{
    if (bytes % (1 << 20) == 0)
        snprintf(text, size, "larger than %llu MiB", (unsigned long long)(bytes >> 20));
    else if (bytes % 1024 == 0)
        snprintf(text, size, "larger than %llu KiB", (unsigned long long)(bytes >> 10));
    else
        snprintf(text, size, "larger than %llu bytes", (unsigned long long)bytes);
}

/* Where a symbolic link leads: fills *status with the target's and returns NULL when the file is to be read, else the reason.
 * The real path of the target must lie below real_root unless that is NULL. */
static const char *follow_link(walker *w, const char *path, struct stat *status, bool *failed)
{
    if (stat(path, status) != 0) {
        *failed = errno == EACCES;
        return errno == ELOOP                        ? "symbolic link loop"
               : errno == ENOENT || errno == ENOTDIR ? "dangling symbolic link"
               : errno == EACCES                     ? "permission denied"
                                                     : "symbolic link that cannot be followed";
    }
    if (S_ISDIR(status->st_mode))
        return "symbolic link to a folder";
    if (!S_ISREG(status->st_mode))
        return unusual_kind(status->st_mode);
    char *target = realpath(path, NULL);
    if (!target) {
        *failed = true;
        return "symbolic link that cannot be followed";
    }
    const char *reason = NULL, *rule = sx_secret_rule(sx_path_name(target));
    size_t length = w->real_root ? strlen(w->real_root) : 0;
    bool below = !length || !strcmp(w->real_root, "/") || (!strncmp(target, w->real_root, length) && target[length] == '/');
    if (!below) {
        snprintf(w->reason, sizeof w->reason, "symbolic link leads outside %s", w->root);
        reason = w->reason;
    } else if (rule && !w->options->allow_secrets) {
        snprintf(w->reason, sizeof w->reason, "symbolic link to a secret (%s)", rule);
        reason = w->reason;
    }
    free(target);
    return reason;
}

/* Reports a file whose lstat is *status. `path` opens it. The caller has dealt with globs and ignore rules. */
static sx_status visit_file(walker *w, const char *path, const char *relative, struct stat *status)
{
    sx_walk_entry entry = {.path = path, .relative = relative, .status = status};
    const char *rule = sx_secret_rule(sx_path_name(relative));
    if (rule && !w->options->allow_secrets) {
        snprintf(w->reason, sizeof w->reason, "secret (%s)", rule);
        entry.skip = w->reason;
    } else if (S_ISLNK(status->st_mode)) {
        struct stat target = *status;
        entry.skip = follow_link(w, path, &target, &entry.failed);
        if (!entry.skip)
            *status = target;
    } else if (!S_ISREG(status->st_mode)) {
        entry.skip = unusual_kind(status->st_mode);
    }
    if (!entry.skip && (uint64_t)status->st_size > w->max_file_size) {
        describe_limit(w->max_file_size, w->reason, sizeof w->reason);
        entry.skip = w->reason;
    }
    if (!entry.skip && faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) != 0 && (errno == EACCES || errno == EPERM)) {
        entry.skip = "permission denied";
        entry.failed = true;
    }
    return w->visit(&entry, w->user, w->error);
}

static sx_status visit_skipped(walker *w, const char *reason, bool failed, const struct stat *status)
{
    static const struct stat unknown;
    char *path = sx_path_join(w->root, w->relative);
    if (!path)
        return sx_fail_nomem(w->error, strlen(w->relative));
    sx_walk_entry entry = {
        .path = path, .relative = w->relative, .status = status ? status : &unknown, .skip = reason, .failed = failed};
    sx_status result = w->visit(&entry, w->user, w->error);
    free(path);
    return result;
}

/* ---- Folders ---- */

static int compare_names(const void *a, const void *b)
{
    const folder_name *first = a, *second = b;
    const unsigned char *x = (const unsigned char *)first->name, *y = (const unsigned char *)second->name;
    while (*x && *x == *y) {
        x++;
        y++;
    }
    int p = *x ? *x : first->is_folder ? '/' : 0, q = *y ? *y : second->is_folder ? '/' : 0;
    return p - q;
}

static bool is_folder_entry(int descriptor, const struct dirent *entry)
{
    struct stat status;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    return fstatat(descriptor, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

/* *complete is false when the folder could not be listed to its end; what was read is used. */
static sx_status read_names(walker *w, folder *f, bool *complete)
{
    int copy = fcntl(f->descriptor, F_DUPFD_CLOEXEC, 0);
    DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    if (!stream) {
        int why = errno;
        if (copy >= 0)
            close(copy);
        return sx_fail_errno(w->error, why, "%s/%s: cannot be listed", w->root, w->relative);
    }
    sx_status status = SX_OK;
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(stream);
        *complete = entry || !errno;
        if (!entry)
            break;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        size_t length = strlen(entry->d_name);
        char *name = sx_arena_strndup(&f->arena, entry->d_name, length);
        if (!name || !sx_reserve((void **)&f->names, &f->capacity, f->count + 1, sizeof *f->names)) {
            status = sx_fail_nomem(w->error, length);
            break;
        }
        f->names[f->count++] = (folder_name){name, is_folder_entry(f->descriptor, entry)};
    }
    closedir(stream);
    if (!status && f->count)
        qsort(f->names, f->count, sizeof *f->names, compare_names);
    return status;
}

/* Adds one ignore file's rules. *reason says why they could not be had; a folder without the file is the usual case. */
static sx_status read_ignore_file(walker *w, folder *f, const char *name, const char **reason)
{
    sx_status status = SX_OK;
    char *text = NULL;
    struct stat about;
    size_t used = 0;
    /* As git does, links are not followed: a strange tree could point the rules anywhere. */
    int descriptor = openat(f->descriptor, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    *reason = NULL;
    if (descriptor < 0) {
        if (errno != ENOENT && errno != ELOOP)
            *reason =
                errno == EACCES ? "permission denied: its rules are not known" : "cannot be opened: its rules are not known";
        return SX_OK;
    }
    if (fstat(descriptor, &about) != 0 || !S_ISREG(about.st_mode))
        goto out;
    if (about.st_size > LONGEST_IGNORE_FILE) {
        *reason = "larger than 4 MiB: its rules are not used";
        goto out;
    }
    text = malloc((size_t)about.st_size + 1);
    if (!text) {
        status = sx_fail_nomem(w->error, (size_t)about.st_size + 1);
        goto out;
    }
    while (used < (size_t)about.st_size) {
        ssize_t got = read(descriptor, text + used, (size_t)about.st_size - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            *reason = "cannot be read: its rules are not known";
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    if (!sx_ignore_add(&f->rules, text, used))
        status = sx_fail_nomem(w->error, used);
out:
    free(text);
    close(descriptor);
    return status;
}

static void clear_folder(folder *f)
{
    if (f->descriptor >= 0)
        close(f->descriptor);
    free(f->names);
    sx_arena_clear(&f->arena);
    sx_ignore_clear(&f->rules);
}

/* Puts an open folder on the stack. Takes over the descriptor in every case. */
static sx_status enter(walker *w, int descriptor, const struct stat *about, size_t path_length)
{
    if (!sx_reserve((void **)&w->stack, &w->capacity, w->depth + 1, sizeof *w->stack)) {
        close(descriptor);
        return sx_fail_nomem(w->error, sizeof *w->stack);
    }
    if (w->depth >= OPEN_FOLDERS && w->stack[w->depth - OPEN_FOLDERS].descriptor >= 0 && w->depth > OPEN_FOLDERS) {
        close(w->stack[w->depth - OPEN_FOLDERS].descriptor);
        w->stack[w->depth - OPEN_FOLDERS].descriptor = -1;
    }
    folder *f = &w->stack[w->depth++];
    *f = (folder){.descriptor = descriptor, .device = about->st_dev, .inode = about->st_ino, .path_length = path_length};
    bool complete = true;
    sx_status status = read_names(w, f, &complete);
    if (!status && !complete && w->depth == 1)
        status = sx_fail(w->error, SX_E_IO, "%s: cannot be listed to its end", w->root);
    else if (!status && !complete)
        status = visit_skipped(w, "folder cannot be listed to its end", true, about);
    for (size_t i = 0; i < SX_IGNORE_FILES && !status; i++) {
        const char *reason;
        f->own_rules = f->rules.count; /* the last file is our own */
        status = read_ignore_file(w, f, sx_ignore_file_names[i], &reason);
        if (!status && reason && path_length + strlen(sx_ignore_file_names[i]) < sizeof w->relative) {
            strcpy(w->relative + path_length, sx_ignore_file_names[i]);
            status = visit_skipped(w, reason, true, NULL);
            w->relative[path_length] = '\0';
        }
    }
    return status;
}

/* The folder whose descriptor was closed while the walk was deep below it. */
static bool reopen(walker *w, folder *f)
{
    struct stat about;
    if (f->descriptor >= 0)
        return true;
    char kept = w->relative[f->path_length];
    w->relative[f->path_length] = '\0';
    f->descriptor = openat(w->stack[0].descriptor, w->relative, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    w->relative[f->path_length] = kept;
    if (f->descriptor >= 0 && fstat(f->descriptor, &about) == 0 && about.st_dev == f->device && about.st_ino == f->inode)
        return true;
    if (f->descriptor >= 0)
        close(f->descriptor);
    f->descriptor = -1;
    return false;
}

/* own: a rule of .sextantignore. */
static sx_ignore_verdict check_rules(const walker *w, bool is_folder, bool *own)
{
    for (size_t i = w->depth; i-- > 0;) {
        const folder *f = &w->stack[i];
        size_t rule = 0;
        sx_ignore_verdict verdict = sx_ignore_check_rule(&f->rules, w->relative + f->path_length, is_folder, &rule);
        *own = verdict != SX_IGNORE_NO_RULE && rule >= f->own_rules;
        if (verdict != SX_IGNORE_NO_RULE)
            return verdict;
    }
    *own = false;
    return sx_ignore_above_check(&w->above, w->relative, is_folder);
}

/* ---- Only some paths ---- */

/* The first of the paths that is not before `text` of this length. */
static size_t first_from(const sx_walk_options *options, const char *text, size_t length)
{
    size_t low = 0, high = options->only_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strncmp(options->only[middle], text, length);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Whether the path is one of those asked for, lies in one of them, or, a folder, holds one. */
static bool is_asked_for(const sx_walk_options *options, const char *relative, bool is_folder)
{
    size_t length = strlen(relative);
    if (!options->only)
        return true;
    for (size_t end = 0; end <= length; end++) {
        if (end < length && relative[end] != '/' && end)
            continue;
        size_t at = first_from(options, relative, end);
        /* Others with the same beginning may stand before "a/b" but never before "a" itself. */
        if (at < options->only_count && !strncmp(options->only[at], relative, end) && !options->only[at][end])
            return true;
    }
    if (!is_folder)
        return false;
    char inside[PATH_MAX + 1];
    int size = snprintf(inside, sizeof inside, "%s/", relative);
    size_t at = size > 0 && (size_t)size < sizeof inside ? first_from(options, inside, (size_t)size) : options->only_count;
    return at < options->only_count && !strncmp(options->only[at], inside, (size_t)size);
}

/* ---- Entries ---- */

static bool is_named_by_include(const walker *w, const char *name)
{
    for (size_t i = 0; i < w->options->include_count; i++)
        if (sx_glob_names_folder(w->options->include[i], name, strlen(name)))
            return true;
    return false;
}

static sx_status visit_folder(walker *w, const struct stat *about)
{
    folder *f = &w->stack[w->depth - 1];
    size_t end = f->path_length ? f->path_length - 1 : 0;
    w->relative[end] = '\0';
    sx_status status = visit_skipped(w, NULL, false, about);
    if (f->path_length)
        w->relative[end] = '/';
    return status;
}

static sx_status walk_folder(walker *w, int parent, const char *name, size_t length)
{
    struct stat about;
    bool own, vendored = sx_is_vendored_folder(name);
    if (name[0] == '.' || !strcmp(name, "__pycache__") || !is_asked_for(w->options, w->relative, true))
        return SX_OK;
    sx_ignore_verdict verdict = check_rules(w, true, &own);
    if (verdict == SX_IGNORE_LEFT_OUT || excluding_glob(w->options, w->relative))
        return SX_OK;
    if (vendored && own && verdict == SX_IGNORE_KEPT)
        vendored = false;
    if (vendored && !is_named_by_include(w, name)) {
        snprintf(w->reason, sizeof w->reason, "vendored folder (%s)", name);
        return w->options->folders ? SX_OK : visit_skipped(w, w->reason, false, NULL);
    }
    if (w->depth > DEEPEST)
        return visit_skipped(w, "folder nested deeper than 512", false, NULL);
    if (length + 1 >= sizeof w->relative)
        return visit_skipped(w, "path too long", true, NULL);
    int descriptor = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (descriptor < 0) {
        int why = errno;
        if (why == ENOENT)
            return SX_OK; /* gone since it was listed */
        if (why == EMFILE || why == ENFILE || why == ENOMEM)
            return sx_fail_errno(w->error, why, "%s/%s: cannot be opened", w->root, w->relative);
        snprintf(w->reason, sizeof w->reason, "%s", why == EACCES ? "permission denied" : "folder cannot be opened");
        return visit_skipped(w, w->reason, true, NULL);
    }
    if (fstat(descriptor, &about) != 0) {
        close(descriptor);
        return visit_skipped(w, "folder cannot be examined", true, NULL);
    }
    for (size_t i = 0; i < w->depth; i++) {
        if (w->stack[i].device == about.st_dev && w->stack[i].inode == about.st_ino) {
            close(descriptor);
            return visit_skipped(w, "folder that contains itself", false, &about);
        }
    }
    w->relative[length] = '/';
    w->relative[length + 1] = '\0';
    sx_status status = enter(w, descriptor, &about, length + 1);
    if (!status)
        w->stack[w->depth - 1].named_only = vendored;
    return !status && w->options->folders ? visit_folder(w, &about) : status;
}

static sx_status walk_file(walker *w, int parent, const char *name)
{
    const sx_walk_options *options = w->options;
    struct stat about;
    bool own, brings_back;
    if (options->folders || !strcmp(name, ".git") || !is_asked_for(options, w->relative, false))
        return SX_OK;
    sx_ignore_verdict verdict = check_rules(w, false, &own);
    if (verdict == SX_IGNORE_LEFT_OUT || excluding_glob(options, w->relative))
        return SX_OK;
    const char *pattern, *foreign = sx_left_out_by_name(name, &pattern);
    bool hidden = name[0] == '.' && !(sx_secret_rule(name) != NULL);
    bool included = is_included_here(w, w->relative, hidden, pattern, &brings_back);
    if (options->include_count && !included && !hidden)
        return SX_OK;
    if (fstatat(parent, name, &about, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? SX_OK : visit_skipped(w, "cannot be examined", true, NULL);
    if (hidden && !included)
        return options->include_count ? SX_OK : visit_skipped(w, "hidden file", false, &about);
    if (foreign && !brings_back && !(own && verdict == SX_IGNORE_KEPT)) {
        snprintf(w->reason, sizeof w->reason, "%s (%s)", foreign, pattern);
        return visit_skipped(w, w->reason, false, &about);
    }
    char *path = sx_path_join(w->root, w->relative);
    if (!path)
        return sx_fail_nomem(w->error, strlen(w->relative));
    sx_status status =
        strlen(path) >= PATH_MAX ? visit_skipped(w, "path too long", true, &about) : visit_file(w, path, w->relative, &about);
    free(path);
    return status;
}

/* The next name of the innermost folder. */
static sx_status step(walker *w)
{
    folder *f = &w->stack[w->depth - 1];
    const folder_name *next = &f->names[f->next++];
    size_t length = strlen(next->name);
    if (length >= sizeof w->relative - f->path_length) {
        w->relative[f->path_length] = '\0';
        return visit_skipped(w, "folder holds a name whose path is too long", true, NULL);
    }
    memcpy(w->relative + f->path_length, next->name, length + 1);
    if (!reopen(w, f)) {
        f->next = f->count;
        w->relative[f->path_length - 1] = '\0';
        return visit_skipped(w, "folder changed during the walk", true, NULL);
    }
    if (next->is_folder)
        return walk_folder(w, f->descriptor, next->name, f->path_length + length);
    return walk_file(w, f->descriptor, next->name);
}

sx_status sx_walk(const char *root, const sx_walk_options *options, sx_walk_visit visit, void *user, sx_error *error)
{
    sx_status status = SX_OK;
    struct stat about;
    int descriptor = open(root, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0)
        return sx_fail_errno(error, errno, "%s: cannot be opened", root);
    walker *w = sx_calloc(1, sizeof *w);
    if (!w || fstat(descriptor, &about) != 0) {
        status = w ? sx_fail_errno(error, errno, "%s: cannot be examined", root) : sx_fail_nomem(error, sizeof *w);
        close(descriptor);
        goto out;
    }
    if (!S_ISDIR(about.st_mode)) {
        status = sx_fail(error, SX_E_INVALID, "%s: is not a folder", root);
        close(descriptor);
        goto out;
    }
    w->root = root;
    w->options = options ? options : &default_options;
    w->max_file_size = w->options->max_file_size ? w->options->max_file_size : default_max_file_size;
    w->visit = visit;
    w->user = user;
    w->error = error;
    w->real_root = realpath(root, NULL);
    if (!w->real_root) {
        status = sx_fail_errno(error, errno, "%s: its real path cannot be found", root);
        close(descriptor);
        goto out;
    }
    status = sx_ignore_above_read(w->real_root, w->options->excludes_file, &w->above, error);
    if (status) {
        close(descriptor);
        goto out;
    }
    status = enter(w, descriptor, &about, 0);
    if (!status && w->options->folders)
        status = visit_folder(w, &about);
    while (!status && w->depth) {
        folder *f = &w->stack[w->depth - 1];
        if (f->next < f->count) {
            status = step(w);
        } else {
            clear_folder(f);
            w->depth--;
        }
    }
out:
    while (w && w->depth)
        clear_folder(&w->stack[--w->depth]);
    if (w) {
        free(w->stack);
        free(w->real_root);
        sx_ignore_above_clear(&w->above);
    }
    free(w);
    return status;
}

sx_status sx_walk_file(const char *path, const char *relative, const sx_walk_options *options, sx_walk_visit visit, void *user,
                       sx_error *error)
{
    struct stat about;
    if (lstat(path, &about) != 0)
        return sx_fail_errno(error, errno, "%s: cannot be examined", path);
    walker *w = sx_calloc(1, sizeof *w);
    if (!w)
        return sx_fail_nomem(error, sizeof *w);
    w->root = path;
    w->options = options ? options : &default_options;
    w->max_file_size = w->options->max_file_size ? w->options->max_file_size : default_max_file_size;
    w->visit = visit;
    w->user = user;
    w->error = error;
    sx_walk_entry entry = {.path = path, .relative = relative, .status = &about};
    const char *glob = excluding_glob(w->options, relative);
    if (glob)
        snprintf(w->reason, sizeof w->reason, "matches --exclude %s", glob);
    else if (w->options->include_count && !is_included(w->options, relative, false))
        snprintf(w->reason, sizeof w->reason, "matches no --include");
    entry.skip = w->reason[0] ? w->reason : NULL;
    sx_status status = entry.skip ? visit(&entry, user, error) : visit_file(w, path, relative, &about);
    free(w);
    return status;
}
