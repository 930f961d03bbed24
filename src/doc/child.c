/* child.c - work on untrusted bytes in a process of its own: limits, its output through a pipe, and how it ended in words.
 *
 * Why fork, and not a program of ours that is started: the library is used by other programs, which must not need to know where a
 * helper of ours lies, and the bytes are in memory already. What makes fork dangerous in a program with threads is a lock that
 * another thread holds at that moment; the child would wait for it for ever. glibc's own fork puts malloc and stdio in order.
 * What is left (iconv's and libxml2's few short locks) is met twice: parents open converters before the fork, and a child that
 * hangs without having used the processor is started once more.
 *
 * The child first closes all files but its pipe, so no lock of the database outlives the parent through it, and dies with the
 * parent. RLIMIT_AS is counted from what the parent has mapped, which the child inherits: a parent with a model of gigabytes
 * in memory leaves no less to it. Under the sanitizers, which map terabytes, it is left out. */
#include "child.h"

#include "../base/clock.h"
#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define UNDER_SANITIZER 1
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define UNDER_SANITIZER 1
#endif
#endif
#ifndef UNDER_SANITIZER
#define UNDER_SANITIZER 0
#endif

const sx_child_limits sx_reader_limits = {
    .cpu_seconds = 30, .wall_seconds = 120, .memory = (size_t)2 << 30, .output = (size_t)1 << 29};

enum { FILES_MOST = 16, FILE_MOST = 1 << 20, CODE_NO_PROGRAM = 127 };
static const int64_t second_ns = 1000000000;

/* What one child is, from the fork to its end. */
typedef struct child {
    const char *what;
    const sx_child_limits *limits;
    sx_child_filter filter;
    rlim_t address_space;
    pid_t parent;
    /* A function ... */
    sx_child_work work;
    void *user;
    /* ... or a program. */
    const char *path;
    char *const *arguments;
    int input, complaints;
    /* In the parent. */
    pid_t pid;
    int pipe;
    bool ended, waited;
    int status;
    struct rusage usage;
} child;

/* ---- In the child: system calls only, until work begins ---- */

static void limit(int resource, rlim_t most)
{
    struct rlimit now;
    if (getrlimit(resource, &now))
        return;
    if (now.rlim_max != RLIM_INFINITY && now.rlim_max < most)
        most = now.rlim_max;
    now.rlim_cur = now.rlim_max = most;
    setrlimit(resource, &now);
}

static void close_from(unsigned first)
{
    if (!syscall(SYS_close_range, first, ~0U, 0))
        return;
    long most = sysconf(_SC_OPEN_MAX);
    for (long i = first; i < (most > 0 && most < 65536 ? most : 65536); i++)
        close((int)i);
}

static _Noreturn void run_child(const child *c, int out)
{
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGTSTP, SIGPIPE};
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGCHLD, SIGXCPU, SIGXFSZ};
    sigset_t none;
    sigemptyset(&none);
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN); /* Ctrl-C goes to the whole group; the parent decides when a reader ends */
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        signal(own[i], SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != c->parent)
        _exit(1);
    /* 0 input or nothing, 1 the pipe, 2 complaints or nothing: first out of the way of each other. */
    int null = open("/dev/null", O_RDWR);
    int files[3] = {c->path ? c->input : null, out, c->path ? c->complaints : null};
    for (int i = 0; i < 3; i++)
        files[i] = fcntl(files[i], F_DUPFD, 3);
    for (int i = 0; i < 3; i++)
        if (files[i] < 0 || dup2(files[i], i) < 0)
            _exit(1);
    close_from(3);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_CPU, c->limits->cpu_seconds);
    limit(RLIMIT_FSIZE, FILE_MOST);
    limit(RLIMIT_NOFILE, FILES_MOST);
    if (!UNDER_SANITIZER || c->path)
        limit(RLIMIT_AS, c->address_space);
    sigprocmask(SIG_SETMASK, &none, NULL);
    sx_child_filter_load(&c->filter);
    if (c->path) {
        static char *const environment[] = {"LC_ALL=C.UTF-8", NULL};
        execve(c->path, c->arguments, environment);
        _exit(CODE_NO_PROGRAM);
    }
    c->work(1, c->user);
    _exit(0);
}

/* ---- In the parent ---- */

static rlim_t mapped_bytes(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file) {
        if (fscanf(file, "%llu", &pages) != 1)
            pages = 0;
        fclose(file);
    }
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

static sx_status begin(child *c, sx_error *error)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return sx_fail_errno(error, errno, "a pipe for %s", c->what);
    sigset_t all, before;
    sigfillset(&all);
    c->parent = getpid();
    c->address_space = (c->path ? 0 : mapped_bytes()) + c->limits->memory;
    pthread_sigmask(SIG_SETMASK, &all, &before); /* no handler of the program's runs in the child */
    c->pid = fork();
    if (!c->pid)
        run_child(c, ends[1]);
    int problem = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(ends[1]);
    c->pipe = ends[0];
    if (c->pid < 0) {
        close(ends[0]);
        return sx_fail_errno(error, problem, "a process for %s", c->what);
    }
    return SX_OK;
}

/* Has it ended? Waits until then or until the deadline. */
static bool wait_until(child *c, int64_t deadline)
{
    const sx_clock *clock = &sx_system_clock;
    for (int64_t pause = 100000; !c->waited; pause = pause < 20000000 ? pause * 2 : pause) {
        pid_t got = wait4(c->pid, &c->status, WNOHANG, &c->usage);
        if (got == c->pid)
            c->ended = c->waited = true;
        else if (got < 0 && errno != EINTR)
            c->waited = true; /* the program around us ignores SIGCHLD: how the child ended is not known */
        else if (clock->monotonic_ns(clock->user) >= deadline)
            return false;
        else
            clock->sleep_ns(pause, clock->user);
    }
    return true;
}

typedef enum ending { ENDED, TOO_LONG, TOO_MUCH, NO_MEMORY } ending;

static ending take_output(child *c, int64_t deadline, sx_buffer *output)
{
    const sx_clock *clock = &sx_system_clock;
    output->maximum = c->limits->output + 65536;
    for (;;) {
        int64_t left = deadline - clock->monotonic_ns(clock->user);
        struct pollfd wanted = {c->pipe, POLLIN, 0};
        if (left <= 0)
            return TOO_LONG;
        int ready = poll(&wanted, 1, (int)(left / 1000000 + 1));
        if (ready <= 0)
            continue;
        if (output->length > c->limits->output)
            return TOO_MUCH;
        char *room = sx_buffer_room(output, 65536);
        if (!room)
            return NO_MEMORY;
        ssize_t got = read(c->pipe, room, 65536);
        if (got > 0)
            output->length += (size_t)got;
        else if (got == 0)
            return wait_until(c, deadline) ? ENDED : TOO_LONG;
        else if (errno != EINTR)
            return ENDED;
    }
}

static double cpu_used(const child *c)
{
    return (double)(c->usage.ru_utime.tv_sec + c->usage.ru_stime.tv_sec) +
           1e-6 * (double)(c->usage.ru_utime.tv_usec + c->usage.ru_stime.tv_usec);
}

/* Runs it to its end. *asleep: it took too long without computing. */
static sx_status run(child *c, sx_buffer *output, bool *asleep, sx_error *error)
{
    const sx_clock *clock = &sx_system_clock;
    *asleep = false;
    sx_status status = begin(c, error);
    if (status)
        return status;
    int64_t deadline = clock->monotonic_ns(clock->user) + (int64_t)c->limits->wall_seconds * second_ns;
    ending how = take_output(c, deadline, output);
    if (!c->waited) {
        kill(c->pid, SIGKILL);
        wait_until(c, INT64_MAX);
    }
    close(c->pipe);
    if (how == TOO_LONG) {
        *asleep = c->ended && cpu_used(c) < 0.5;
        return sx_fail(error, SX_E_LIMIT, "%s took more than %u s", c->what, c->limits->wall_seconds);
    }
    if (how == TOO_MUCH)
        return sx_fail(error, SX_E_LIMIT, "%s gave more than %zu MiB", c->what, c->limits->output >> 20);
    if (how == NO_MEMORY)
        return sx_fail_nomem(error, output->length + 65536);
    if (c->ended && WIFSIGNALED(c->status)) {
        int number = WTERMSIG(c->status);
        if (number == SIGXCPU || (number == SIGKILL && cpu_used(c) >= c->limits->cpu_seconds - 1.0))
            return sx_fail(error, SX_E_LIMIT, "%s took more than %u s of processor time", c->what, c->limits->cpu_seconds);
        return sx_fail(error, SX_E_LIMIT, "%s was ended by signal %d (%s)", c->what, number, strsignal(number));
    }
    return SX_OK;
}

sx_status sx_child_call(sx_child_work work, void *user, const char *what, const sx_child_limits *limits, sx_buffer *output,
                        sx_error *error)
{
    sx_status status;
    bool asleep = true;
    sx_child_filter filter;
    sx_child_filter_make(true, &filter);
    if (UNDER_SANITIZER)
        sx_child_filter_clear(&filter); /* their reports read /proc */
    for (unsigned attempt = 0;; attempt++) {
        child c = {.what = what, .limits = limits, .work = work, .user = user, .filter = filter};
        sx_buffer_reset(output);
        status = run(&c, output, &asleep, error);
        if (!status || !asleep || attempt)
            break;
    }
    sx_child_filter_clear(&filter);
    return status;
}

/* ---- Programs ---- */

/* The first of the usual places: the environment's PATH is the caller's and may point anywhere. */
static const char *find_program(const char *name, char path[64])
{
    static const char *const folders[] = {"/usr/bin", "/usr/local/bin", "/bin", "/opt/homebrew/bin"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, 64, "%s/%s", folders[i], name);
        if (!access(path, X_OK))
            return path;
    }
    return NULL;
}

sx_status sx_child_program(const char *const *arguments, const void *input, size_t length, const char *what,
                           const sx_child_limits *limits, sx_buffer *output, char complaints[SX_CHILD_COMPLAINTS], int *code,
                           sx_error *error)
{
    sx_status status = SX_OK;
    bool asleep;
    char path[64];
    child c = {.what = what, .limits = limits, .input = -1, .complaints = -1, .path = find_program(arguments[0], path)};
    complaints[0] = '\0';
    if (!c.path)
        return sx_fail(error, SX_E_NOT_FOUND, "there is no program %s", arguments[0]);
    c.arguments = (char *const *)arguments;
    c.input = memfd_create("input", MFD_CLOEXEC);
    c.complaints = memfd_create("complaints", MFD_CLOEXEC);
    if (c.input < 0 || c.complaints < 0) {
        status = sx_fail_errno(error, errno, "memory for %s", what);
        goto out;
    }
    status = sx_write_all(c.input, input, length, what, error);
    if (!status && lseek(c.input, 0, SEEK_SET))
        status = sx_fail_errno(error, errno, "memory for %s", what);
    if (status)
        goto out;
    sx_child_filter_make(false, &c.filter);
    status = run(&c, output, &asleep, error);
    if (status)
        goto out;
    *code = c.ended ? WEXITSTATUS(c.status) : 0;
    ssize_t got = pread(c.complaints, complaints, SX_CHILD_COMPLAINTS - 1, 0);
    complaints[got > 0 ? got : 0] = '\0';
out:
    sx_child_filter_clear(&c.filter);
    if (c.input >= 0)
        close(c.input);
    if (c.complaints >= 0)
        close(c.complaints);
    return status;
}
