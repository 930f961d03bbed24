/* run_migrate.c - `sextant migrate`: a collection moved to another model, back again, or one side of it given up; and a
 * file of chunks embedded anew. */
#include "money.h"
#include "open_model.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>

static void append_comparison(sx_buffer *json, const sx_migrate_comparison *comparison)
{
    sx_cli_key(json, "comparison");
    if (!comparison->queries) {
        sx_buffer_append_string(json, "null");
        return;
    }
    sx_buffer_append_byte(json, '{');
    sx_cli_member_integer(json, "queries", comparison->queries);
    sx_cli_member_boolean(json, "sampled", comparison->sampled != 0);
    sx_cli_member_integer(json, "k", comparison->count);
    sx_cli_member_number(json, "overlap", comparison->overlap);
    sx_cli_member_number(json, "rank_correlation", comparison->rank_correlation);
    sx_buffer_append_byte(json, '}');
}

static int print_json(sx_cli *cli, const sx_migrate_report *report)
{
    sx_buffer json = {0};
    sx_buffer_append_byte(&json, '{');
    sx_cli_member_text(&json, "collection", sx_cli_text(cli, "collection"));
    sx_cli_member_text(&json, "from", report->from ? report->from : "");
    sx_cli_member_text(&json, "to", report->to ? report->to : "");
    sx_cli_member_boolean(&json, "cut_over", report->cut_over != 0);
    sx_cli_member_counts(&json, "documents", (sx_cli_count_of[]){{"total", report->documents.total},
                                                                 {"moved", report->documents.moved},
                                                                 {"unchanged", report->documents.unchanged},
                                                                 {"removed", report->documents.removed},
                                                                 {NULL}});
    sx_cli_member_counts(&json, "chunks", (sx_cli_count_of[]){{"total", report->chunks.total},
                                                              {"embedded", report->chunks.embedded},
                                                              {"cached", report->chunks.cached},
                                                              {"failed", report->chunks.failed},
                                                              {"cut", report->chunks.cut},
                                                              {"truncated", report->chunks.truncated},
                                                              {NULL}});
    sx_cli_member_integer(&json, "tokens", report->tokens);
    sx_cli_member_cost(&json, "cost_usd", &report->cost);
    sx_cli_member_number(&json, "seconds", report->seconds);
    append_comparison(&json, &report->comparison);
    sx_cli_member_problems(&json, "failed", report->failed, report->failed_count);
    sx_buffer_append_byte(&json, '}');
    return sx_cli_print_json(cli, &json);
}

static void print_report(sx_cli *cli, const sx_migrate_report *report)
{
    const sx_migrate_comparison *comparison = &report->comparison;
    if (cli->quiet)
        return;
    sx_cli_say("Documents: %llu, %llu moved in this run\n", (unsigned long long)report->documents.total,
               (unsigned long long)report->documents.moved);
    sx_cli_say("Chunks: %llu embedded, %llu from the cache, %llu failed\n", (unsigned long long)report->chunks.embedded,
               (unsigned long long)report->chunks.cached, (unsigned long long)report->chunks.failed);
    if (report->chunks.cut)
        sx_cli_say("%llu chunks were too long for %s and were cut into several\n", (unsigned long long)report->chunks.cut,
            report->to);
    if (report->chunks.truncated)
        sx_cli_say("%llu chunks were cut to fit the model\n", (unsigned long long)report->chunks.truncated);
    if (report->cost.usd > 0 || report->cost.unpriced_tokens) {
        char cost[96];
        sx_cli_human_cost(&report->cost, false, cost);
        sx_cli_say("Cost: %s\n", cost);
    }
    if (comparison->queries)
        sx_cli_say("Compared with %llu %s: overlap@%u %.3f, rank correlation %.3f\n", (unsigned long long)comparison->queries,
                   comparison->sampled ? "sampled chunks" : "queries", comparison->count, comparison->overlap,
                   comparison->rank_correlation);
    else if (report->to)
        sx_cli_say("Not compared: no sampled chunk fits both models whole (--queries FILE compares by queries)\n");
    if (report->cut_over)
        sx_cli_say("Searches now use %s. The side of %s is kept: --rollback goes back to it, --drop-old deletes it.\n",
            report->to,
                   report->from);
    else if (sx_cli_flag(cli, "prepare"))
        sx_cli_say("Searches still use %s; the same command without --prepare moves them.\n", report->from);
}

/* A budget ends a run before the new side is whole. */
static int finish(sx_cli *cli, sx_status status, sx_error *error, const sx_migrate_report *report)
{
    for (size_t i = 0; report && i < report->failed_count; i++)
        sx_cli_complain(cli, "%s: chunk %lld: %s", report->failed[i].document, (long long)report->failed[i].chunk,
                        report->failed[i].reason);
    if (!status) {
        int code = SX_EXIT_DONE;
        if (cli->json)
            code = print_json(cli, report);
        else
            print_report(cli, report);
        return !code && report->chunks.failed ? SX_EXIT_ITEMS_FAILED : code;
    }
    if (status == SX_E_LIMIT && !error->hint[0])
        sx_hint(error, "what is done is kept; the same command with another budget goes on from there");
    if (report && !cli->json && !cli->quiet && report->comparison.queries)
        print_report(cli, report);
    int code = sx_cli_limit_code(cli, status, sx_cli_fail(cli, error));
    return status == SX_E_INVALID && report && report->chunks.failed ? SX_EXIT_ITEMS_FAILED : code;
}

/* The model that the collection has now, for the user's queries. */
static sx_status open_old(sx_cli *cli, sx_database *database, sx_embedder **out, sx_error *error)
{
    sx_database_status *there = NULL;
    const char *name = sx_cli_text(cli, "collection");
    sx_status status = sx_database_list(database, &there, error);
    for (size_t i = 0; !status && i < there->collection_count; i++) {
        const sx_collection_info *info = &there->collections[i];
        if (strcmp(info->name, name) != 0)
            continue;
        status = sx_cli_open_model_as(cli, info->model, "query", info->dimensions, NULL, NULL, out, error);
        if (status && !error->hint[0])
            sx_hint(error, "without --queries the two sides are compared by sampled chunks, which needs no old model");
    }
    sx_database_status_free(there);
    return status;
}

static int move(sx_cli *cli, sx_database *database)
{
    sx_error error = {0};
    sx_embedder *embedder = NULL, *old_queries = NULL, *new_queries = NULL;
    sx_migrate_report *report = NULL;
    sx_cli_texts queries = {0};
    const char *to = sx_cli_text(cli, "to"), *file = sx_cli_text(cli, "queries");
    sx_status status = file ? sx_cli_read_texts(file, &queries, &error) : SX_OK;
    if (!status)
        status = sx_cli_open_model(cli, to, "document", 0, database, &embedder, &error);
    if (!status && file)
        status = open_old(cli, database, &old_queries, &error);
    if (!status && file)
        status = sx_cli_open_model_as(cli, to, "query", 0, NULL, NULL, &new_queries, &error); /* as search asks it */
    sx_migrate_options options = {
        .size = sizeof options,
        .collection = sx_cli_text(cli, "collection"),
        .queries = queries.texts,
        .query_count = queries.count,
        .old_queries = old_queries,
        .new_queries = new_queries,
        .samples = (uint32_t)sx_cli_count(cli, "samples"),
        .count = (uint32_t)sx_cli_count(cli, "count"),
        .least_overlap = sx_cli_get(cli, "min-overlap")->number,
        .prepare = sx_cli_flag(cli, "prepare"),
        .allow_failed = sx_cli_flag(cli, "allow-failed"),
        .allow_secrets = sx_cli_flag(cli, "allow-secrets"),
        .no_wait = sx_cli_flag(cli, "no-wait"),
        .progress = cli->progress ? sx_cli_report_progress : NULL,
        .progress_user = cli,
        .stop = sx_cli_stop_flag(),
    };
    if (!status)
        status = sx_migrate(database, embedder, &options, &report, &error);
    sx_cli_end_progress(cli);
    int code = finish(cli, status, &error, report);
    sx_migrate_report_free(report);
    sx_embedder_close(old_queries);
    sx_embedder_close(new_queries);
    sx_embedder_close(embedder);
    sx_cli_clear_texts(&queries);
    return code;
}

static int say_done(sx_cli *cli, const char *what, const char *sentence)
{
    const char *name = sx_cli_text(cli, "collection");
    if (cli->json) {
        sx_buffer json = {0};
        sx_buffer_append_byte(&json, '{');
        sx_cli_member_text(&json, "collection", name);
        sx_cli_member_boolean(&json, what, true);
        sx_buffer_append_byte(&json, '}');
        return sx_cli_print_json(cli, &json);
    }
    if (!cli->quiet)
        sx_cli_say("%s: %s\n", name, sentence);
    return SX_EXIT_DONE;
}

/* `embed --format chunks` with what was said here. */
static int embed_file(sx_cli *cli)
{
    enum { MOST = 64 };
    char *arguments[2 * MOST] = {"embed", "--format", "chunks", "--input-format", "json"}, *names[MOST];
    const char *input = sx_cli_text(cli, "input-file"), *output = sx_cli_text(cli, "output-file");
    int count = 5, name_count = 0, code;
    sx_error error = {0};
    sx_cli inner = {.width = cli->width, .json = cli->json};
    const char *fixed[] = {"--input", input, "--output", output};
    sx_status status = SX_OK;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        arguments[count++] = (char *)(uintptr_t)fixed[i];
    for (size_t i = 0; !status && i < cli->value_count && name_count < MOST && count + 2 < 2 * MOST; i++) {
        const sx_cli_value *value = &cli->values[i];
        if (!value->given || !strcmp(value->option->name, "input-file") || !strcmp(value->option->name, "output-file"))
            continue;
        const char *name = strcmp(value->option->name, "to") == 0 ? "model" : value->option->name;
        if (asprintf(&names[name_count], "--%s", name) < 0) {
            status = sx_fail_nomem(&error, 64);
            break;
        }
        arguments[count++] = names[name_count++];
        if (value->option->kind != SX_CLI_FLAG)
            arguments[count++] = (char *)(uintptr_t)value->text;
    }
    if (!status)
        status = sx_cli_parse(&inner, count, arguments, &error);
    inner.json = false; /* the result is the file */
    inner.quiet = cli->quiet;
    inner.verbose = cli->verbose;
    inner.progress = cli->progress;
    if (!status)
        status = sx_cli_settings_load(&inner.settings, sx_cli_text(cli, "env-file"), sx_cli_text(cli, "config"), &error);
    if (!status)
        status = sx_cli_complete(&inner, &error);
    if (!status)
        status = sx_cli_find_places(&inner, &error);
    code = status ? sx_cli_fail(cli, &error) : inner.verb->run(&inner);
    if (!code && cli->json)
        code = say_done(cli, "written", "");
    sx_cli_clear(&inner);
    for (int i = 0; i < name_count; i++)
        free(names[i]);
    return code;
}

int sx_cli_migrate(sx_cli *cli)
{
    static const char *const actions[] = {"to", "rollback", "drop-old", "cancel", "input-file"};
    const char *action = NULL, *input = sx_cli_text(cli, "input-file"), *output = sx_cli_text(cli, "output-file");
    sx_error error = {0};
    sx_database *database = NULL;
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        if (!sx_cli_get(cli, actions[i])->given || (i == 4 && action && !strcmp(action, "to")))
            continue;
        if (action)
            return sx_cli_usage(cli, NULL, "--%s and --%s do not go together", action, actions[i]);
        action = actions[i];
    }
    if (!input != !output)
        return sx_cli_usage(cli, NULL, "--input-file and --output-file go together");
    if (input)
        return embed_file(cli);
    if (!action)
        return sx_cli_usage(cli, "migrate -c NAME --to MODEL", "migrate: where to?");
    double least = sx_cli_get(cli, "min-overlap")->number;
    if (!(least >= 0 && least <= 1))
        return sx_cli_usage(cli, NULL, "--min-overlap: %g is not between 0 and 1", least);
    sx_status status = sx_cli_open_database(cli, cli->db_path, false, &database, &error);
    int code = SX_EXIT_DONE;
    if (!status && strcmp(action, "to") == 0) {
        code = move(cli, database);
        sx_database_close(database);
        return code;
    }
    const char *name = sx_cli_text(cli, "collection");
    if (!status && strcmp(action, "rollback") == 0)
        status = sx_migrate_rollback(database, name, &error);
    else if (!status)
        status = sx_migrate_drop(database, name, strcmp(action, "cancel") == 0, &error);
    if (status)
        code = sx_cli_fail(cli, &error);
    else if (strcmp(action, "rollback") == 0)
        code = say_done(cli, "rolled_back", "searches use the old side again; the new one is kept as an unfinished migration "
                                            "(--to goes on with it, --cancel deletes it)");
    else
        code = say_done(cli, "dropped", strcmp(action, "cancel") == 0 ? "the unfinished migration is deleted"
            : "the old side is deleted");
    sx_database_close(database);
    return code;
}
