/* signals.c - SIGINT and SIGTERM: ask to stop and save; when that takes too long, or at the second signal, end.
 *
 * The database is durable per batch, so ending at any moment loses at most the batch in hand.
 */
#include "cli.h"

#include <signal.h>
#include <unistd.h>

enum { SECONDS_TO_SAVE = 5 };

/* A signal handler can only reach these. */
static volatile int stop_requested;
static volatile sig_atomic_t can_stop;
static const char *volatile temporary_files[2];

static void end_now(int signal_number)
{
    (void)signal_number;
    for (size_t i = 0; i < sizeof temporary_files / sizeof *temporary_files; i++)
        if (temporary_files[i])
            unlink(temporary_files[i]);
    _exit(SX_EXIT_INTERRUPTED);
}

static void request_stop(int signal_number)
{
    if (!can_stop || stop_requested)
        end_now(signal_number);
    stop_requested = 1;
    alarm(SECONDS_TO_SAVE);
}

void sx_cli_install_signals(void)
{
    struct sigaction action = {.sa_handler = request_stop, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = end_now;
    sigaction(SIGALRM, &action, NULL);
    /* A closed pipe shows as an error of write(2), and is then passed over quietly. */
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    /* So does a file that would grow beyond the limit of `ulimit -f`. */
    sigaction(SIGXFSZ, &action, NULL);
}

const volatile int *sx_cli_stop_flag(void)
{
    can_stop = 1;
    return &stop_requested;
}

/* Puts `path` where `old` is; there is a place for each output a verb has open. */
static void exchange(const char *old, const char *path)
{
    for (size_t i = 0; i < sizeof temporary_files / sizeof *temporary_files; i++)
        if (temporary_files[i] == old) {
            temporary_files[i] = path;
            return;
        }
}

void sx_cli_temporary_add(const char *path)
{
    exchange(NULL, path);
}

void sx_cli_temporary_drop(const char *path)
{
    exchange(path, NULL);
}
