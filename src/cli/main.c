/* main.c - the program: reads the command line, finds settings and places, runs the verb. */
#include "cli.h"
#include "remote_choice.h"

#include "../base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static unsigned terminal_width(int descriptor)
{
    struct winsize size;
    if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col >= 20)
        return size.ws_col;
    return 80;
}

/* Results may still lie in the buffer of standard output when the disk is full or the reader has gone. */
static int finish_output(sx_cli *cli, int code)
{
    errno = 0;
    bool failed = fflush(stdout) != 0 || ferror(stdout);
    int why = errno;
    if (!failed)
        return code;
    if (sx_cli_output_is_closed())
        return code ? code : SX_EXIT_FAILED;
    cli->json = false;
    sx_error error;
    sx_fail_errno(&error, why ? why : EIO, "standard output: cannot be written");
    return sx_cli_fail(cli, &error);
}

/* Pages are made from the tables at build time: --man PAGE, --completion SHELL. Not for people, so not in the help. */
static int print_generated(sx_cli *cli, const char *what, const char *name)
{
    bool known = strcmp(what, "--man") == 0 ? sx_cli_print_manual(name) : sx_cli_print_completion(name);
    return known ? SX_EXIT_DONE : sx_cli_usage(cli, NULL, "%s: nothing is known about '%s'", what, name);
}

static int run(sx_cli *cli, int count, char **arguments)
{
    sx_error error = {0};
    if (count == 2 && (strcmp(arguments[0], "--man") == 0 || strcmp(arguments[0], "--completion") == 0))
        return print_generated(cli, arguments[0], arguments[1]);
    if (count == 1 && (strcmp(arguments[0], "--version") == 0 || strcmp(arguments[0], "-V") == 0))
        return sx_cli_version(cli);
    sx_status status = sx_cli_parse(cli, count, arguments, &error);
    if (status == SX_E_STOPPED)
        return SX_EXIT_DONE; /* a group's help was printed */
    if (status)
        return sx_cli_fail(cli, &error);
    if (sx_cli_flag(cli, "help")) {
        if (cli->verb)
            sx_cli_print_verb_help(cli->verb);
        else
            sx_cli_print_overview();
        return SX_EXIT_DONE;
    }
    if (!cli->verb) {
        if (cli->argument_count)
            return sx_cli_usage(cli, "the verb comes before --", "no verb is given");
        sx_cli_usage(cli, "`sextant --help` lists the verbs", "no verb is given");
        return SX_EXIT_USAGE;
    }
    cli->json = sx_cli_flag(cli, "json");
    cli->quiet = sx_cli_flag(cli, "quiet");
    cli->verbose = sx_cli_flag(cli, "verbose") && !cli->quiet;
    cli->progress = isatty(STDERR_FILENO) && !cli->quiet && !sx_cli_flag(cli, "no-progress");
    const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
    cli->color = isatty(STDOUT_FILENO) && !(no_color && *no_color) && terminal && strcmp(terminal, "dumb") != 0;
    cli->width = terminal_width(isatty(STDOUT_FILENO) ? STDOUT_FILENO : STDERR_FILENO);

    status = sx_cli_settings_load(&cli->settings, sx_cli_text(cli, "env-file"), sx_cli_text(cli, "config"), &error);
    if (!status && cli->verb->uses_model)
        status = sx_cli_settings_check_endpoints(&cli->settings, &error);
    if (!status)
        status = sx_cli_complete(cli, &error);
    if (!status)
        status = sx_cli_check_shared_cache(cli, &error);
    if (!status)
        status = sx_cli_find_places(cli, &error);
    if (status)
        return sx_cli_fail(cli, &error);
    if (cli->settings.note[0])
        sx_cli_warn(cli,
                    ".env: left alone here: %s (a .env of the working directory sets only keys, model and sizes; "
                    "--env-file .env takes all of it)",
                    cli->settings.note);
    return cli->verb->run(cli);
}

int main(int count, char **arguments)
{
    sx_cli cli = {.width = 80};
    /* Known before anything can go wrong, so that also wrong usage is said in JSON. */
    for (int i = 1; i < count && strcmp(arguments[i], "--") != 0; i++)
        cli.json = cli.json || strcmp(arguments[i], "--json") == 0;
    sx_cli_install_signals();
    int code = count > 0 ? run(&cli, count - 1, arguments + 1) : SX_EXIT_USAGE;
    sx_cli_end_progress(&cli);
    code = finish_output(&cli, code);
    sx_cli_clear(&cli);
    return code;
}
