/* git.c - what git knows of a folder, asked from the git program.
 *
 * git runs without a shell, with an environment of our own and for at most a minute, and is kept from running what a repository's
 * own settings name: hooks, file system monitors, external diffs. Paths come NUL-separated, so that any name is possible. */
#include "git.h"

#include "../base/buffer.h"
#include "../base/clock.h"
#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_SECONDS = 60, MOST_ARGUMENTS = 24, MOST_OUTPUT = 256 * 1024 * 1024 };

extern char **environ;

/* The folder of a path that may be a file. */
static char *folder_of(const char *path)
{
    struct stat about;
    if (stat(path, &about) == 0 && S_ISDIR(about.st_mode))
        return sx_strdup(path);
    const char *name = sx_path_name(path);
    return name == path ? sx_strdup(".") : sx_strndup(path, (size_t)(name - path));
}

/* Of our environment only what git needs to find its settings. */
static void make_environment(char *variables[8])
{
    static char fixed[][32] = {"LC_ALL=C", "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "GIT_PAGER=cat"};
    static const char *const kept[] = {"PATH=", "HOME=", "XDG_CONFIG_HOME="};
    size_t count = 0;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        variables[count++] = fixed[i];
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        for (char **variable = environ; *variable; variable++)
            if (!strncmp(*variable, kept[i], strlen(kept[i]))) {
                variables[count++] = *variable;
                break;
            }
    variables[count] = NULL;
}

static sx_status collect(int from, pid_t process, sx_buffer *output, sx_error *error)
{
    const sx_clock *clock = &sx_system_clock;
    int64_t end = clock->monotonic_ns(clock->user) + (int64_t)MOST_SECONDS * 1000000000;
    sx_status status = SX_OK;
    for (;;) {
        int64_t left = (end - clock->monotonic_ns(clock->user)) / 1000000;
        struct pollfd ready = {.fd = from, .events = POLLIN};
        int told = left > 0 ? poll(&ready, 1, (int)left) : 0;
        if (told < 0 && errno == EINTR)
            continue;
        if (told <= 0) {
            status = sx_fail(error, SX_E_LIMIT, "git: no answer within %d s", MOST_SECONDS);
            break;
        }
        char *room = sx_buffer_room(output, 65536);
        ssize_t got = room ? read(from, room, 65536) : -1;
        if (!room)
            status = sx_fail(error, SX_E_LIMIT, "git: says more than %d MiB", MOST_OUTPUT >> 20);
        if (got > 0)
            output->length += (size_t)got;
        else if (!room || got == 0 || errno != EINTR)
            break;
    }
    if (status)
        kill(process, SIGKILL);
    return status;
}

/* Runs git in a folder. *code: its exit status. SX_E_NOT_FOUND when there is no git. */
static sx_status run_git(const char *folder, const char *const *words, sx_buffer *output, int *code, sx_error *error)
{
    const char *arguments[MOST_ARGUMENTS] = {
        "git", "-C", folder, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=false"};
    size_t count = 9;
    for (; *words && count + 1 < MOST_ARGUMENTS; words++)
        arguments[count++] = *words;
    char *variables[8];
    int ends[2];
    pid_t process;
    posix_spawn_file_actions_t actions;
    make_environment(variables);
    output->maximum = MOST_OUTPUT;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return sx_fail_errno(error, errno, "git: no pipe");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    int why = posix_spawnp(&process, "git", &actions, NULL, (char *const *)arguments, variables);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (why) {
        close(ends[0]);
        if (why == ENOENT)
            return sx_fail(error, SX_E_NOT_FOUND, "git: there is no such program");
        return sx_fail_errno(error, why, "git: cannot be started");
    }
    sx_status status = collect(ends[0], process, output, error);
    close(ends[0]);
    int ended = 0;
    while (waitpid(process, &ended, 0) < 0 && errno == EINTR)
        ;
    *code = WIFEXITED(ended) ? WEXITSTATUS(ended) : 255;
    sx_buffer_append_byte(output, '\0');
    return status ? status : output->failed ? sx_fail_nomem(error, output->length) : SX_OK;
}

static sx_status add_path(sx_git_changes *changes, const char *top, const char *path, sx_error *error)
{
    char *whole = sx_path_join(top, path);
    if (!whole || !sx_reserve((void **)&changes->paths, &changes->capacity, changes->count + 1, sizeof *changes->paths)) {
        free(whole);
        return sx_fail_nomem(error, strlen(path));
    }
    changes->paths[changes->count++] = whole;
    return SX_OK;
}

/* Takes the paths of NUL-separated output; status: each has a word like "M" before it. */
static sx_status add_paths(sx_git_changes *changes, const char *top, const sx_buffer *output, bool has_words, sx_error *error)
{
    sx_status status = SX_OK;
    size_t end = output->length - 1; /* without our own NUL */
    bool is_word = has_words;
    for (size_t at = 0; !status && at < end; at += strlen(output->data + at) + 1) {
        if (!is_word)
            status = add_path(changes, top, output->data + at, error);
        is_word = has_words && !is_word;
    }
    return status;
}

static sx_status ask(const char *folder, const char *const *words, sx_buffer *output, const char *refusal, sx_error *error)
{
    int code = 0;
    sx_buffer_reset(output);
    sx_status status = run_git(folder, words, output, &code, error);
    if (!status && code)
        status = sx_fail(error, SX_E_NOT_FOUND, "%s: %s (git exits with %d)", folder, refusal, code);
    return status;
}

sx_status sx_git_changes_since(const char *path, const char *revision, sx_git_changes *changes, sx_error *error)
{
    sx_buffer output = {0};
    char *folder = folder_of(path), *top = NULL, *commit = NULL;
    sx_buffer name = {0}, refusal = {0};
    sx_buffer_printf(&name, "%s^{commit}", revision);
    sx_buffer_printf(&refusal, "git knows no revision '%s' here", revision);
    sx_status status = folder && !name.failed && !refusal.failed ? SX_OK : sx_fail_nomem(error, strlen(path) + strlen(revision));
    if (!status)
        status =
            ask(folder, (const char *const[]){"rev-parse", "--show-toplevel", NULL}, &output, "is in no git repository", error);
    if (!status) {
        output.data[strcspn(output.data, "\n")] = '\0';
        top = sx_strdup(output.data);
        status = top ? ask(folder, (const char *const[]){"rev-parse", "--verify", "--quiet", "--end-of-options", name.data, NULL},
                           &output, refusal.data, error)
                     : sx_fail_nomem(error, output.length);
    }
    if (!status) {
        output.data[strcspn(output.data, "\n")] = '\0';
        commit = sx_strdup(output.data);
        status = commit ? ask(top,
                              (const char *const[]){"diff", "--name-status", "--no-renames", "--no-ext-diff", "--no-textconv",
                                                    "-z", commit, "--", NULL},
                              &output, "what changed cannot be told", error)
                        : sx_fail_nomem(error, output.length);
    }
    if (!status)
        status = add_paths(changes, top, &output, true, error);
    if (!status)
        status = ask(top, (const char *const[]){"ls-files", "--others", "--exclude-standard", "-z", NULL}, &output,
                     "what is new cannot be told", error);
    if (!status)
        status = add_paths(changes, top, &output, false, error);
    free(folder);
    free(top);
    free(commit);
    sx_buffer_clear(&name);
    sx_buffer_clear(&refusal);
    sx_buffer_clear(&output);
    return status;
}

void sx_git_changes_clear(sx_git_changes *changes)
{
    for (size_t i = 0; i < changes->count; i++)
        free(changes->paths[i]);
    free(changes->paths);
    *changes = (sx_git_changes){0};
}

static bool is_in_repository(const char *folder)
{
    char *path = realpath(folder, NULL);
    bool found = false;
    while (path && !found) {
        char *git = sx_path_join(path, ".git"), *slash = strrchr(path, '/');
        found = git && sx_file_exists(git);
        free(git);
        if (found || slash == path || !slash)
            break;
        *slash = '\0';
    }
    free(path);
    return found;
}

char *sx_git_excludes_file(const char *path)
{
    sx_buffer output = {0};
    sx_error ignored;
    int code = 1;
    char *folder = folder_of(path), *file = NULL;
    if (!folder || !is_in_repository(folder))
        goto out;
    if (!run_git(folder, (const char *const[]){"config", "--type=path", "--get", "core.excludesFile", NULL}, &output, &code,
                 &ignored) &&
        !code) {
        output.data[strcspn(output.data, "\n")] = '\0';
        file = output.data[0] ? sx_strdup(output.data) : NULL;
        goto out;
    }
    const char *settings = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (settings && *settings)
        file = sx_path_join(settings, "git/ignore");
    else if (home && *home)
        file = sx_path_join(home, ".config/git/ignore");
out:
    free(folder);
    sx_buffer_clear(&output);
    return file;
}
