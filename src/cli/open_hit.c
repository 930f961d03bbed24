/* open_hit.c - --open N: the file of a hit in the user's editor, at its line.
 *
 * $VISUAL or $EDITOR is split at spaces and run without a shell. Editors say the line in different ways; the program's name tells
 * which. */
#include "print_hits.h"

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_WORDS = 32 };

/* How an editor is told the line. */
typedef enum line_form { PLUS_BEFORE, COLON_AFTER, COLON_AFTER_GOTO, LINE_OPTION } line_form;

static line_form form_of(const char *program)
{
    static const struct {
        const char *name;
        line_form form;
    } known[] = {{"code", COLON_AFTER_GOTO},   {"codium", COLON_AFTER_GOTO}, {"code-insiders", COLON_AFTER_GOTO},
                 {"cursor", COLON_AFTER_GOTO}, {"subl", COLON_AFTER},        {"hx", COLON_AFTER},
                 {"helix", COLON_AFTER},       {"zed", COLON_AFTER},         {"kate", LINE_OPTION}};
    const char *name = sx_path_name(program);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(name, known[i].name))
            return known[i].form;
    return PLUS_BEFORE; /* vi, vim, nvim, nano, emacs, emacsclient, micro, joe ... */
}

/* Of a record, the file it is in: its path goes on behind the file's. */
static char *real_file(char *path)
{
    char *real = realpath(path, NULL), *slash;
    while (!real && errno == ENOTDIR && (slash = strrchr(path, '/')) && slash != path) {
        *slash = '\0';
        real = realpath(path, NULL);
    }
    return real;
}

unsigned long sx_cli_hit_number(const sx_hit *hit, const char *key)
{
    char quoted[64];
    int length = snprintf(quoted, sizeof quoted, "\"%s\":", key); /* in a string its quotes would be escaped */
    const char *found = hit->metadata ? strstr(hit->metadata, quoted) : NULL;
    return found ? strtoul(found + length, NULL, 10) : 0;
}

unsigned long sx_cli_hit_line(const sx_hit *hit)
{
    unsigned long line = sx_cli_hit_number(hit, "source_line");
    return line ? line : hit->start_line;
}

/* The file's real path, which must lie below the root it was indexed under. */
static sx_status find_file(const sx_hit *hit, char **path, sx_error *error)
{
    char *joined = sx_path_join(hit->root, hit->document);
    size_t length = strlen(hit->root);
    *path = NULL;
    if (!joined)
        return sx_fail_nomem(error, length);
    if (hit->root[0] != '/')
        sx_fail(error, SX_E_UNSUPPORTED, "%s: is no file", hit->document);
    else if (!(*path = real_file(joined)))
        sx_fail_errno(error, errno, "%s", joined);
    else if (strcmp(hit->root, "/") != 0 && (strncmp(*path, hit->root, length) != 0 || (*path)[length] != '/'))
        sx_fail(error, SX_E_UNSUPPORTED, "%s: leads outside %s", joined, hit->root);
    else
        error->code = SX_OK;
    free(joined);
    if (error->code) {
        free(*path);
        *path = NULL;
    }
    return error->code;
}

int sx_cli_open_hit(sx_cli *cli, const sx_hits *hits, uint64_t number)
{
    sx_error error = {0};
    char *path = NULL, *words = NULL, *arguments[MOST_WORDS + 8] = {NULL};
    sx_buffer place = {0};
    size_t count = 0;
    if (number > hits->count) {
        sx_fail(&error, SX_E_NOT_FOUND, "--open %llu: there are %zu hits", (unsigned long long)number, hits->count);
        return sx_cli_fail(cli, &error);
    }
    const sx_hit *hit = &hits->hits[number - 1];
    const char *editor = getenv("VISUAL");
    editor = editor && *editor ? editor : getenv("EDITOR");
    editor = editor && *editor ? editor : "vi";
    if (find_file(hit, &path, &error))
        return sx_cli_fail(cli, &error);
    words = sx_strdup(editor);
    char *rest = NULL;
    for (char *word = words ? strtok_r(words, " ", &rest) : NULL; word && count < MOST_WORDS; word = strtok_r(NULL, " ", &rest))
        arguments[count++] = word;
    int code = SX_EXIT_FAILED;
    if (!count) {
        code = sx_cli_usage(cli, NULL, "EDITOR is empty");
        goto out;
    }
    line_form form = form_of(arguments[0]);
    static char go_to[] = "--goto", line_option[] = "--line";
    if (form == COLON_AFTER || form == COLON_AFTER_GOTO)
        sx_buffer_printf(&place, "%s:%lu", path, sx_cli_hit_line(hit));
    else
        sx_buffer_printf(&place, "%s%lu", form == PLUS_BEFORE ? "+" : "", sx_cli_hit_line(hit));
    if (place.failed)
        goto out;
    if (form == COLON_AFTER_GOTO)
        arguments[count++] = go_to;
    if (form == LINE_OPTION)
        arguments[count++] = line_option;
    arguments[count++] = place.data;
    if (form == PLUS_BEFORE || form == LINE_OPTION)
        arguments[count++] = path;
    fflush(stdout);
    execvp(arguments[0], arguments);
    sx_fail_errno(&error, errno, "%s: cannot be started", arguments[0]);
    sx_hint(&error, "EDITOR names the editor, with its options");
    code = sx_cli_fail(cli, &error);
out:
    free(words);
    free(path);
    sx_buffer_clear(&place);
    return code;
}
