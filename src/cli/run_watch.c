/* run_watch.c - `sextant index --watch`: indexes, then waits for changes and indexes those, until a signal.
 *
 * Each run is an ordinary one, with the collection's lease, limited to what changed. A run that fails (a path is away for a
 * moment, a service is down) is told, and the next one looks at everything. */
#include "index_run.h"
#include "money.h"

#include "../base/error.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

typedef struct watching {
    sx_cli *cli;
    sx_database *database;
    sx_embedder *embedder;
    sx_index_options *options;
    char said[sizeof((sx_error *)0)->message]; /* the last failure, so that it is told once */
} watching;

static void add_count(char *text, size_t capacity, uint64_t count, const char *what)
{
    size_t used = strlen(text);
    if (count)
        snprintf(text + used, capacity - used, "%s%llu %s", used ? ", " : "", (unsigned long long)count, what);
}

/* "14:03:07  2 changed, 1 removed; 3 chunks embedded in 0.2 s"; nothing when nothing happened. */
static void print_run(watching *watch, const sx_index_report *report, bool first)
{
    char documents[200] = "", now[16] = "";
    time_t seconds = time(NULL);
    struct tm local;
    bool happened =
        report->documents.added + report->documents.changed + report->documents.removed + report->documents.failed > 0;
    if (!happened && !first && !watch->cli->verbose)
        return;
    if (localtime_r(&seconds, &local))
        strftime(now, sizeof now, "%H:%M:%S", &local);
    add_count(documents, sizeof documents, report->documents.added, "added");
    add_count(documents, sizeof documents, report->documents.changed, "changed");
    add_count(documents, sizeof documents, report->documents.removed, "removed");
    add_count(documents, sizeof documents, report->documents.failed, "failed");
    if (first)
        add_count(documents, sizeof documents, report->documents.unchanged, "unchanged");
    sx_cli_say("%s  %s; %llu chunks embedded in %.1f s\n", now, *documents ? documents : "nothing new",
               (unsigned long long)report->chunks.embedded, report->seconds);
    fflush(stdout);
}

static sx_status run(watching *watch, bool first, sx_error *error)
{
    sx_index_report *report = NULL;
    sx_status status = sx_index(watch->database, watch->embedder, watch->options, &report, error);
    sx_cli_end_progress(watch->cli);
    if (!status) {
        watch->said[0] = '\0';
        sx_cli_name_failed(watch->cli, report);
        if (watch->cli->json)
            sx_cli_print_index_json(watch->cli, watch->embedder, report);
        else if (!watch->cli->quiet)
            print_run(watch, report, first);
        fflush(stdout);
    }
    sx_index_report_free(report);
    return status;
}

/* Whether another try may do better: not when the call itself is wrong. */
static bool may_pass(sx_status status)
{
    return status != SX_E_STOPPED && status != SX_E_INVALID && status != SX_E_NOMEM && status != SX_E_MISMATCH &&
           status != SX_E_LIMIT && status != SX_E_UNSUPPORTED;
}

static void complain(watching *watch, const sx_error *error)
{
    if (strcmp(watch->said, error->message) == 0)
        return;
    snprintf(watch->said, sizeof watch->said, "%s", error->message);
    sx_cli_fail(watch->cli, error);
}

static sx_status follow(watching *watch, sx_watch *changes, sx_error *error)
{
    sx_watch_news news;
    bool missed = false; /* what a failed run was to do */
    sx_status status;
    while (!(status = sx_watch_next(changes, watch->options->stop, &news, error))) {
        if (news.reason && *news.reason)
            sx_cli_note(watch->cli, "%s", news.reason);
        bool everything = news.everything || missed;
        watch->options->changed = everything ? NULL : news.paths;
        watch->options->changed_count = everything ? 0 : news.count;
        watch->options->retry_failed = 0;
        watch->options->force = 0; /* that was for the first run */
        status = run(watch, false, error);
        missed = status != SX_OK;
        if (status && !may_pass(status))
            break;
        if (status)
            complain(watch, error);
    }
    return status;
}

int sx_cli_index_watch(sx_cli *cli, sx_database *database, sx_embedder *embedder, sx_index_options *options)
{
    sx_error error = {0};
    sx_watch *changes = NULL;
    watching watch = {.cli = cli, .database = database, .embedder = embedder, .options = options};
    sx_watch_options how = {
        .size = sizeof how,
        .paths = options->paths,
        .path_count = options->path_count,
        .include = options->include,
        .include_count = options->include_count,
        .exclude = options->exclude,
        .exclude_count = options->exclude_count,
        .excludes_file = options->excludes_file,
        .settle_ms = (uint32_t)sx_cli_count(cli, "settle"),
        .poll_ms = (uint32_t)sx_cli_count(cli, "poll") * 1000,
        .always_poll = sx_cli_text(cli, "poll") != NULL,
    };
    sx_status status = sx_watch_open(&how, &changes, &error); /* before the first run, so that nothing falls between */
    if (!status)
        status = run(&watch, true, &error);
    if (!status)
        sx_cli_note(cli, "watching; Ctrl-C ends it");
    if (!status)
        status = follow(&watch, changes, &error);
    sx_watch_close(changes);
    return status == SX_E_STOPPED ? SX_EXIT_DONE : sx_cli_limit_code(cli, status, sx_cli_fail(cli, &error));
}
