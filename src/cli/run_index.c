/* run_index.c - `sextant index` and `sextant remove`. */
#include "batch.h"
#include "git.h"
#include "index_run.h"
#include "legs.h"
#include "model_choice.h"
#include "money.h"

#include "../base/error.h"

#include <stdlib.h>
#include <string.h>

void sx_cli_read_chunk_options(const sx_cli *cli, sx_chunk_options *options)
{
    static const char *const names[] = {"chunk", "chunk-size", "overlap", "unit", "no-header", "header"};
    *options = (sx_chunk_options){0};
    bool any = false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        any = any || sx_cli_text(cli, names[i]);
    if (!any)
        return; /* size 0: the collection's own, or the defaults */
    options->size = sizeof *options;
    options->strategy = sx_cli_text(cli, "chunk");
    options->chunk_size = (uint32_t)sx_cli_count(cli, "chunk-size");
    options->unit = sx_cli_text(cli, "unit");
    options->no_header = sx_cli_flag(cli, "no-header");
    options->header = sx_cli_text(cli, "header");
    if (sx_cli_text(cli, "overlap")) {
        uint64_t overlap = sx_cli_count(cli, "overlap");
        options->overlap = overlap ? (int32_t)overlap : -1;
    }
}

/* --since: only what git says has changed below the paths. */
static sx_status choose_changed(sx_cli *cli, sx_index_options *options, sx_git_changes *changes, sx_error *error)
{
    const char *revision = sx_cli_text(cli, "since");
    sx_status status = SX_OK;
    if (!revision)
        return SX_OK;
    for (size_t i = 0; !status && i < options->path_count; i++)
        status = sx_git_changes_since(options->paths[i], revision, changes, error);
    options->changed = changes->paths ? (const char *const *)changes->paths : options->paths; /* any address: there are none */
    options->changed_count = changes->count;
    return status;
}

int sx_cli_index(sx_cli *cli)
{
    sx_error error = {0};
    sx_database *database = NULL;
    sx_embedder *embedder = NULL;
    sx_index_report *report = NULL;
    const sx_cli_value *include = sx_cli_get(cli, "include"), *exclude = sx_cli_get(cli, "exclude");
    const sx_cli_value *metadata = sx_cli_get(cli, "metadata");
    for (size_t i = 0; i < metadata->all_count; i++)
        if (metadata->all[i][0] == '=' || !strchr(metadata->all[i], '='))
            return sx_cli_usage(cli, NULL, "--metadata: '%s' is not KEY=VALUE", metadata->all[i]);
    if (sx_cli_flag(cli, "watch") && (sx_cli_flag(cli, "dry-run") || sx_cli_flag(cli, "batch-api") || sx_cli_text(cli, "since")))
        return sx_cli_usage(cli, NULL, "--watch goes with none of --dry-run, --batch-api and --since");
    if (sx_cli_text(cli, "sql") && sx_cli_text(cli, "input-format"))
        return sx_cli_usage(cli, NULL, "--sql and --input-format exclude each other");
    int wrong = sx_cli_batch_check(cli);
    if (wrong)
        return wrong;
    sx_index_options options = {
        .size = sizeof options,
        .collection = sx_cli_text(cli, "collection"),
        .paths = cli->arguments,
        .path_count = cli->argument_count,
        .include = include->all,
        .include_count = include->all_count,
        .exclude = exclude->all,
        .exclude_count = exclude->all_count,
        .metadata = metadata->all,
        .metadata_count = metadata->all_count,
        .grammars = cli->grammars_path,
        .dry_run = sx_cli_flag(cli, "dry-run"),
        .force = sx_cli_flag(cli, "force"),
        .retry_failed = sx_cli_flag(cli, "retry-failed"),
        .allow_secrets = sx_cli_flag(cli, "allow-secrets"),
        .no_wait = sx_cli_flag(cli, "no-wait"),
        .max_memory = sx_cli_count(cli, "max-memory"),
        .max_file_size = sx_cli_count(cli, "max-file-size"),
        .progress = cli->progress ? sx_cli_report_progress : NULL,
        .progress_user = cli,
        .stop = sx_cli_stop_flag(),
        .batch_api = sx_cli_flag(cli, "batch-api"),
        .record_format = sx_cli_text(cli, "input-format"),
        .text_column = sx_cli_text(cli, "text-column"),
        .id_column = sx_cli_text(cli, "id-column"),
        .query = sx_cli_text(cli, "sql"),
    };
    sx_git_changes changes = {0};
    char *excludes_file = sx_git_excludes_file(cli->arguments[0]);
    options.excludes_file = excludes_file;
    sx_cli_read_chunk_options(cli, &options.chunk);
    sx_status status = choose_changed(cli, &options, &changes, &error);
    if (!status)
        status = sx_cli_open_database(cli, cli->db_path, true, &database, &error);
    if (!status)
        status = sx_cli_open_collection_embedder(cli, database, "document", &embedder, &error);
    if (!status && options.batch_api)
        status = sx_cli_batch_index(cli, database, embedder, &options, &error);
    bool watches = !status && sx_cli_flag(cli, "watch");
    int code = watches ? sx_cli_index_watch(cli, database, embedder, &options) : SX_EXIT_DONE;
    if (!status && !watches)
        status = sx_index(database, embedder, &options, &report, &error);
    sx_cli_end_progress(cli);
    if (status) {
        if (status == SX_E_STOPPED && !error.hint[0])
            sx_hint(&error, "everything done so far is kept; the same command goes on from there");
        if (report && cli->verbose && !cli->json)
            sx_cli_print_index(cli, report, options.dry_run);
        if (status == SX_E_LIMIT && report) {
            sx_cli_name_failed(cli, report);
            sx_cli_hint_at_secrets(cli, report);
        }
        code = sx_cli_limit_code(cli, status, sx_cli_fail(cli, &error));
        if (code == SX_EXIT_LIMIT && cli->json && report)
            sx_cli_print_index_json(cli, embedder, report);
    } else if (!watches) {
        sx_cli_name_failed(cli, report);
        sx_cli_hint_at_secrets(cli, report);
        sx_cli_note_legs(cli, embedder);
        code = cli->json ? sx_cli_print_index_json(cli, embedder, report) : SX_EXIT_DONE;
        if (!cli->json)
            sx_cli_print_index(cli, report, options.dry_run);
        if (!code && (report->documents.failed || report->chunks.failed || report->failed_count))
            code = SX_EXIT_ITEMS_FAILED;
    }
    sx_index_report_free(report);
    sx_git_changes_clear(&changes);
    free(excludes_file);
    sx_embedder_close(embedder);
    sx_database_close(database);
    return code;
}

int sx_cli_remove(sx_cli *cli)
{
    sx_error error = {0};
    sx_database *database = NULL;
    uint64_t removed = 0;
    sx_status status = sx_cli_open_database(cli, cli->db_path, false, &database, &error);
    if (!status)
        status = sx_remove(database, sx_cli_text(cli, "collection"), cli->arguments, cli->argument_count, &removed, &error);
    sx_database_close(database);
    if (status)
        return sx_cli_fail(cli, &error);
    if (cli->json) {
        sx_buffer json = {0};
        sx_buffer_append_byte(&json, '{');
        sx_cli_member_text(&json, "collection", sx_cli_text(cli, "collection"));
        sx_cli_member_integer(&json, "removed", removed);
        sx_buffer_append_byte(&json, '}');
        return sx_cli_print_json(cli, &json);
    }
    if (!cli->quiet)
        sx_cli_say("%llu documents taken out of %s\n", (unsigned long long)removed, sx_cli_text(cli, "collection"));
    return SX_EXIT_DONE;
}
