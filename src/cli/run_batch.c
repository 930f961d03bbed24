/* run_batch.c - `sextant batch ...`, and --batch-api of `embed` and `index`: jobs of OpenAI's Batch API. */
#include "batch.h"
#include "money.h"
#include "remote_choice.h"

#include "../base/clock.h"
#include "../base/error.h"
#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>

static const int64_t first_wait_ns = 1000000000, longest_wait_ns = 60000000000, piece_ns = 100000000;

/* ---- Waiting ---- */

/* Between two looks: longer each time, since a batch takes minutes to hours. */
static sx_status wait_a_while(int64_t *wait, const volatile int *stop, sx_error *error)
{
    for (int64_t left = *wait; left > 0 && !*stop; left -= piece_ns)
        sx_system_clock.sleep_ns(left < piece_ns ? left : piece_ns, NULL);
    *wait = *wait + *wait / 2 < longest_wait_ns ? *wait + *wait / 2 : longest_wait_ns;
    return *stop ? sx_fail(error, SX_E_STOPPED, "batch: interrupted; the jobs go on at the service") : SX_OK;
}

/* Where doing the same again helps. */
static sx_status with_hint(sx_status status, sx_error *error)
{
    bool passing = status == SX_E_NETWORK || status == SX_E_PROVIDER || status == SX_E_STOPPED || status == SX_E_BUSY ||
                   status == SX_E_IO;
    if (passing && !error->hint[0])
        sx_hint(error, "nothing is lost: the same command, or `sextant batch resume`, goes on from here");
    return status;
}

/* ---- --batch-api ---- */

int sx_cli_batch_check(sx_cli *cli)
{
    const char *verb = cli->verb->name;
    if (!sx_cli_flag(cli, "batch-api"))
        return 0;
    const char *other = sx_cli_flag(cli, "no-cache")        ? "--no-cache"
                        : sx_cli_flag(cli, "dry-run")       ? "--dry-run; it costs half of what --dry-run says without it"
                        : sx_cli_text(cli, "shared-cache")  ? "a shared cache"
                        : sx_cli_text(cli, "fallback")      ? "a fallback (--fallback)"
                        : sx_cli_text(cli, "split")         ? "--split"
                        : sx_cli_flag(cli, "split-schedule") ? "--split-schedule"
                                                             : NULL;
    return other ? sx_cli_usage(cli, NULL, "%s: --batch-api does not go with %s", verb, other) : 0;
}

int sx_cli_batch_check_input(sx_cli *cli, const sx_records_input *input)
{
    if (!sx_cli_flag(cli, "batch-api"))
        return sx_cli_flag(cli, "retry-failed") ? sx_cli_usage(cli, NULL, "embed: --retry-failed goes with --batch-api") : 0;
    if (input->path && strcmp(input->path, "-") == 0)
        return sx_cli_usage(cli, "name a file with -i", "embed: --batch-api reads its input twice, so not from standard input");
    return sx_cli_batch_check(cli);
}

/* Until all jobs of the model are at their end. */
static sx_status wait_for_jobs(sx_cli *cli, sx_embedder *embedder, bool leave, sx_error *error)
{
    const volatile int *stop = sx_cli_stop_flag();
    uint64_t open = 1, before = 0;
    sx_status status = SX_OK;
    for (int64_t wait = first_wait_ns; !status && open;) {
        status = sx_embedder_batch_advance(embedder, stop, &open, error);
        if (!status && open && leave)
            return sx_fail(error, SX_E_BUSY, "%llu batches are at the service", (unsigned long long)open);
        if (!status && open != before && open)
            sx_cli_note(cli, "%llu batches are at the service; `sextant batch list` shows them", (unsigned long long)open);
        before = open;
        if (!status && open)
            status = wait_a_while(&wait, stop, error);
    }
    return status;
}

static sx_status gather(sx_records *reader, sx_embedder *embedder, const volatile int *stop, sx_error *error)
{
    sx_status status = SX_OK;
    for (bool more = true; more && !status;) {
        sx_record item = {0};
        status = sx_records_next(reader, &item, &more, error);
        sx_text text = {item.text, item.length};
        if (!status && more && !item.status)
            status = sx_embedder_batch_add(embedder, &text, 1, error);
        if (!status && *stop)
            status = sx_fail(error, SX_E_STOPPED, "embed: interrupted");
        sx_record_clear(&item);
    }
    return status;
}

sx_status sx_cli_batch_embed(sx_cli *cli, const sx_records_input *input, sx_embedder *embedder, sx_error *error)
{
    const volatile int *stop = sx_cli_stop_flag();
    sx_records *reader = NULL;
    sx_status status = sx_records_open(input, &reader, error);
    if (!status)
        status = sx_embedder_batch_begin(embedder, sx_cli_flag(cli, "retry-failed"), stop, error);
    if (!status) {
        status = gather(reader, embedder, stop, error);
        sx_status ended = sx_embedder_batch_end(embedder, !status, status ? NULL : error);
        status = status ? status : ended;
    }
    sx_records_close(reader);
    if (!status)
        status = wait_for_jobs(cli, embedder, false, error);
    return with_hint(status, error);
}

sx_status sx_cli_batch_index(sx_cli *cli, sx_database *database, sx_embedder *embedder, const sx_index_options *options,
                             sx_error *error)
{
    sx_index_options gathering = *options;
    sx_index_report *report = NULL;
    sx_status status = sx_embedder_batch_begin(embedder, options->retry_failed, options->stop, error);
    if (!status) {
        gathering.dry_run = 1;
        status = sx_index(database, embedder, &gathering, &report, error);
        sx_status ended = sx_embedder_batch_end(embedder, !status, status ? NULL : error);
        status = status ? status : ended;
    }
    sx_index_report_free(report);
    if (!status)
        status = wait_for_jobs(cli, embedder, options->no_wait, error);
    return with_hint(status, error);
}

sx_status sx_cli_batch_mark(sx_embedder *embedder, sx_record *items, size_t count, sx_error *error)
{
    char problem[320];
    sx_status status = SX_OK;
    for (size_t i = 0; i < count && !status; i++) {
        if (items[i].status)
            continue;
        status = sx_embedder_batch_problem(embedder, (sx_text){items[i].text, items[i].length}, problem, error);
        if (status || !problem[0])
            continue;
        items[i].status = SX_E_PROVIDER;
        items[i].problem = sx_strdup(problem);
    }
    return status;
}

/* ---- batch list, status, resume, cancel ---- */

static void append_job(sx_buffer *json, const sx_batch_info *job)
{
    sx_buffer_append_byte(json, '{');
    sx_cli_member_integer(json, "id", (uint64_t)job->id);
    sx_cli_member_text(json, "model", job->model);
    sx_cli_member_text(json, "step", job->step);
    sx_cli_member_text(json, "batch", job->batch_id);
    sx_cli_member_text(json, "status", job->status);
    sx_cli_member_text(json, "message", job->message);
    sx_cli_member_integer(json, "requests", job->requests);
    sx_cli_member_integer(json, "stored", job->stored);
    sx_cli_member_integer(json, "failed", job->failed);
    sx_cli_member_integer(json, "tokens", job->tokens);
    if (job->usd < 0) {
        sx_cli_key(json, "usd");
        sx_buffer_append_string(json, "null");
    } else {
        sx_cli_member_number(json, "usd", job->usd);
    }
    sx_buffer_append_byte(json, '}');
}

static void say_job(const sx_batch_info *job)
{
    char cost[32] = "unpriced";
    if (job->usd >= 0)
        sx_cli_human_usd(job->usd, cost);
    sx_cli_say("%4lld  %-9s %-12s %llu texts, %llu stored, %llu failed, %s  %s  %s\n", (long long)job->id, job->step,
               job->status ? job->status : "-", (unsigned long long)job->requests, (unsigned long long)job->stored,
               (unsigned long long)job->failed, cost, job->model, job->batch_id ? job->batch_id : "");
    if (job->message)
        sx_cli_say("      %s\n", job->message);
}

static int print_jobs(sx_cli *cli, const sx_batch_info *list, size_t count)
{
    if (!cli->json) {
        for (size_t i = 0; i < count; i++)
            say_job(&list[i]);
        if (!count)
            sx_cli_say("no batches\n");
        return SX_EXIT_DONE;
    }
    sx_buffer json = {0};
    sx_buffer_append_string(&json, "{\"batches\": [");
    for (size_t i = 0; i < count; i++) {
        sx_buffer_append_string(&json, i ? ",\n" : "");
        append_job(&json, &list[i]);
    }
    sx_buffer_append_string(&json, "]}");
    return sx_cli_print_json(cli, &json);
}

/* The argument of a verb as a job's number; 0 when there is none, -1 when it is no number. */
static int64_t number_of(const sx_cli *cli)
{
    if (!cli->argument_count)
        return 0;
    const char *text = cli->arguments[0];
    char *end;
    long long number = strtoll(text, &end, 10);
    return *text && !*end && number > 0 ? number : -1;
}

static int wrong_number(sx_cli *cli)
{
    return sx_cli_usage(cli, "`sextant batch list` shows the numbers", "%s: '%s' is no batch's number", cli->verb->name,
                        cli->arguments[0]);
}

static sx_status open_jobs(sx_cli *cli, sx_database **database, sx_batch_info **list, size_t *count, sx_error *error)
{
    sx_status status = sx_cli_open_database(cli, sx_cli_text(cli, "db") ? cli->db_path : cli->cache_path, false, database, error);
    return status ? status : sx_batch_list(*database, number_of(cli), list, count, error);
}

int sx_cli_batch_list(sx_cli *cli)
{
    sx_database *database = NULL;
    sx_batch_info *list = NULL;
    size_t count = 0;
    sx_error error = {0};
    if (number_of(cli) < 0)
        return wrong_number(cli);
    sx_status status = open_jobs(cli, &database, &list, &count, &error);
    int code = status ? sx_cli_fail(cli, &error) : print_jobs(cli, list, count);
    sx_batch_list_free(list, count);
    sx_database_close(database);
    return code;
}

static bool is_open(const sx_batch_info *job)
{
    return strcmp(job->step, "stored") != 0 && strcmp(job->step, "dropped") != 0;
}

/* One look at each open job; those that are not at their end afterwards are counted. */
static sx_status look_at_all(sx_cli *cli, sx_database *database, sx_batch_info *list, size_t count, size_t *left, sx_error *error)
{
    sx_status status = SX_OK;
    *left = 0;
    for (size_t i = 0; i < count && !status; i++) {
        sx_remote_options options = {0};
        int open = 1;
        if (!is_open(&list[i]))
            continue;
        status = sx_cli_read_remote(cli, list[i].model, &options, error);
        if (!status)
            status = sx_batch_advance(database, list[i].id, &options, sx_cli_stop_flag(), &open, error);
        if (!status && !open)
            list[i].step = "stored";
        *left += open != 0;
    }
    return status;
}

int sx_cli_batch_resume(sx_cli *cli)
{
    sx_database *database = NULL;
    sx_batch_info *list = NULL;
    size_t count = 0, left = 1;
    sx_error error = {0};
    if (number_of(cli) < 0)
        return wrong_number(cli);
    sx_status status = open_jobs(cli, &database, &list, &count, &error);
    for (int64_t wait = first_wait_ns; !status && left;) {
        status = look_at_all(cli, database, list, count, &left, &error);
        if (!status && left)
            status = wait_a_while(&wait, sx_cli_stop_flag(), &error);
    }
    with_hint(status, &error);
    sx_batch_list_free(list, count);
    list = NULL;
    count = 0;
    if (!status)
        status = sx_batch_list(database, number_of(cli), &list, &count, &error);
    int code = status ? sx_cli_fail(cli, &error) : print_jobs(cli, list, count);
    for (size_t i = 0; i < count; i++)
        if (!code && list[i].failed)
            code = SX_EXIT_ITEMS_FAILED;
    sx_batch_list_free(list, count);
    sx_database_close(database);
    return code;
}

int sx_cli_batch_cancel(sx_cli *cli)
{
    sx_database *database = NULL;
    sx_batch_info *list = NULL;
    size_t count = 0;
    sx_error error = {0};
    sx_remote_options options = {0};
    if (number_of(cli) < 0)
        return wrong_number(cli);
    sx_status status = open_jobs(cli, &database, &list, &count, &error);
    if (!status)
        status = sx_cli_read_remote(cli, list[0].model, &options, &error);
    if (!status)
        status = sx_batch_cancel(database, list[0].id, &options, &error);
    sx_batch_list_free(list, count);
    list = NULL;
    count = 0;
    if (!status)
        status = sx_batch_list(database, number_of(cli), &list, &count, &error);
    int code = status ? sx_cli_fail(cli, &error) : print_jobs(cli, list, count);
    sx_batch_list_free(list, count);
    sx_database_close(database);
    return code;
}
