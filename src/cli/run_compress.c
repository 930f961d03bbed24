/* run_compress.c - `sextant compress`: what smaller vectors would lose, and searching by them. */
#include "eval_data.h"
#include "model_choice.h"
#include "money.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../base/ranking.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEPTH = 10 };

/* Before and after, on judged data; NaN: not measured. */
typedef struct ndcg {
    double before, after;
    uint64_t queries;
} ndcg;

static sx_status open_embedder(sx_cli *cli, sx_database *database, const char *role, sx_embedder **out, sx_error *error)
{
    return sx_cli_open_collection_embedder(cli, database, role, out, error);
}

/* ---- Judged data ---- */

static int descending(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;
    return (first < second) - (first > second);
}

/* The judgements [from, to) are the query's; best: DEPTH documents. */
static double ndcg_of(const sx_eval_set *set, size_t from, size_t to, const uint32_t *best, double *relevant)
{
    double grades[DEPTH] = {0};
    for (size_t i = 0; i < DEPTH; i++)
        for (size_t j = from; j < to; j++)
            if (best[i] != UINT32_MAX && set->judgements[j].document == (int64_t)best[i])
                grades[i] = set->judgements[j].grade;
    for (size_t j = from; j < to; j++)
        relevant[j - from] = set->judgements[j].grade;
    qsort(relevant, to - from, sizeof *relevant, descending);
    return sx_ranking_judge(grades, DEPTH, relevant, to - from).ndcg10;
}

static double mean_ndcg(const sx_eval_set *set, const uint32_t *best, double *relevant, uint64_t *queries)
{
    double sum = 0;
    *queries = 0;
    for (size_t from = 0, to; from < set->judgement_count; from = to) {
        for (to = from + 1; to < set->judgement_count && set->judgements[to].query == set->judgements[from].query; to++)
            ;
        sum += ndcg_of(set, from, to, best + (*queries)++ * DEPTH, relevant);
    }
    return *queries ? sum / (double)*queries : NAN;
}

static sx_status judge(sx_cli *cli, sx_database *database, const char *to, ndcg *out, sx_error *error)
{
    sx_eval_set set = {0};
    sx_embedder *documents = NULL, *queries = NULL;
    float *rows = NULL, *asked_rows = NULL;
    sx_text *asked = NULL;
    uint32_t *best = NULL;
    double *relevant = NULL;
    size_t judged = 0;
    sx_status status = sx_eval_read(sx_cli_text(cli, "eval"), sx_cli_text(cli, "eval-split"), false, &set, error);
    if (!status && set.pair_count)
        status = sx_fail(error, SX_E_UNSUPPORTED,
                         "%s: holds sentence pairs; a folder with corpus.jsonl, queries.jsonl and qrels is needed",
                         sx_cli_text(cli, "eval"));
    if (!status)
        status = open_embedder(cli, database, "document", &documents, error);
    if (!status)
        status = open_embedder(cli, database, "query", &queries, error);
    if (!status) {
        asked = sx_calloc(set.queries.count, sizeof *asked);
        relevant = sx_calloc(set.judgement_count, sizeof *relevant);
        best = sx_calloc(set.queries.count, DEPTH * sizeof *best);
        if (!asked || !relevant || !best)
            status = sx_fail_nomem(error, set.judgement_count * sizeof *relevant);
    }
    for (size_t i = 0; !status && i < set.judgement_count; i++)
        if (!i || set.judgements[i].query != set.judgements[i - 1].query)
            asked[judged++] = set.queries.texts[set.judgements[i].query];
    if (!status)
        status = sx_cli_embed_texts(cli, documents, set.documents.texts, set.documents.count, "document", &rows, NULL, error);
    if (!status)
        status = sx_cli_embed_texts(cli, queries, asked, judged, "query", &asked_rows, NULL, error);
    uint32_t dimensions = status ? 1 : sx_embedder_describe(documents)->dimensions;
    if (!status)
        status = sx_compress_try(NULL, rows, set.documents.count, dimensions, asked_rows, judged, DEPTH, best, error);
    if (!status)
        out->before = mean_ndcg(&set, best, relevant, &out->queries);
    if (!status)
        status = sx_compress_try(to, rows, set.documents.count, dimensions, asked_rows, judged, DEPTH, best, error);
    if (!status)
        out->after = mean_ndcg(&set, best, relevant, &out->queries);
    free(rows);
    free(asked_rows);
    free(asked);
    free(relevant);
    free(best);
    sx_embedder_close(documents);
    sx_embedder_close(queries);
    sx_eval_clear(&set);
    return status;
}

/* ---- Queries of a file ---- */

static sx_status read_queries(sx_cli *cli, sx_database *database, float **vectors, size_t *count, sx_error *error)
{
    sx_cli_texts texts = {0};
    sx_embedder *embedder = NULL;
    const char *path = sx_cli_text(cli, "queries");
    if (!path)
        return SX_OK;
    sx_status status = sx_cli_read_texts(path, &texts, error);
    if (!status)
        status = open_embedder(cli, database, "query", &embedder, error);
    if (!status)
        status = sx_cli_embed_texts(cli, embedder, texts.texts, texts.count, "query", vectors, NULL, error);
    *count = status ? 0 : texts.count;
    sx_embedder_close(embedder);
    sx_cli_clear_texts(&texts);
    return status;
}

/* ---- What it says ---- */

static int print_json(sx_cli *cli, const sx_compress_report *report, const ndcg *judged)
{
    sx_buffer json = {0};
    sx_buffer_append_byte(&json, '{');
    sx_cli_member_text(&json, "collection", sx_cli_text(cli, "collection"));
    sx_cli_member_text(&json, "to", report->method);
    if (report->before[0])
        sx_cli_member_text(&json, "before", report->before);
    sx_cli_member_integer(&json, "vectors", report->vectors);
    sx_cli_member_integer(&json, "bytes_f32", report->bytes_f32);
    sx_cli_member_integer(&json, "bytes", report->bytes);
    sx_cli_member_integer(&json, "queries", report->queries);
    sx_cli_member_integer(&json, "k", report->count);
    sx_cli_member_number(&json, "recall", report->recall);
    sx_cli_member_number(&json, "recall_alone", report->recall_alone);
    sx_cli_member_number(&json, "variance_retained", report->retained);
    if (judged->queries) {
        sx_cli_key(&json, "ndcg@10");
        sx_buffer_append_byte(&json, '{');
        sx_cli_member_number(&json, "before", judged->before);
        sx_cli_member_number(&json, "after", judged->after);
        sx_cli_member_integer(&json, "queries", judged->queries);
        sx_buffer_append_byte(&json, '}');
    }
    sx_cli_member_boolean(&json, "done", report->done != 0);
    sx_cli_member_number(&json, "seconds", report->seconds);
    sx_buffer_append_byte(&json, '}');
    return sx_cli_print_json(cli, &json);
}

static void print(const sx_compress_report *report, const ndcg *judged)
{
    char vectors[32], before[32], after[32];
    sx_cli_human_count(report->vectors, vectors);
    sx_cli_human_bytes(report->bytes_f32, before);
    sx_cli_human_bytes(report->bytes, after);
    sx_cli_say("%s: %s vectors, %s instead of %s (1/%.1f)\n", report->method, vectors, after, before,
               (double)report->bytes_f32 / (double)report->bytes);
    if (report->retained < 1)
        sx_cli_say("variance kept  %.1f %%\n", report->retained * 100);
    sx_cli_say("recall@%-6u  %.2f %% (%.2f %% without scoring the best again), %llu %s\n", report->count, report->recall * 100,
               report->recall_alone * 100, (unsigned long long)report->queries, report->queries == 1 ? "query" : "queries");
    if (judged->queries)
        sx_cli_say("nDCG@10        %.4f, was %.4f (%+.4f), %llu queries\n", judged->after, judged->before,
                   judged->after - judged->before, (unsigned long long)judged->queries);
}

static bool asks(const sx_cli *cli)
{
    return !sx_cli_flag(cli, "yes") && !cli->json && isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

static bool confirmed(const sx_cli *cli, const char *before, const char *after)
{
    char answer[16];
    fprintf(stderr, "%s %s %s? [y/N] ", before, sx_cli_text(cli, "collection"), after);
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static int undo(sx_cli *cli)
{
    sx_error error = {0};
    sx_database *database = NULL;
    sx_status status = sx_cli_open_database(cli, cli->db_path, false, &database, &error);
    if (!status)
        status = sx_compress_undo(database, sx_cli_text(cli, "collection"), &error);
    sx_database_close(database);
    if (status)
        return sx_cli_fail(cli, &error);
    if (!cli->json) {
        if (!cli->quiet)
            sx_cli_say("searched by the vectors themselves again\n");
        return SX_EXIT_DONE;
    }
    sx_buffer json = {0};
    sx_buffer_append_byte(&json, '{');
    sx_cli_member_text(&json, "undone", sx_cli_text(cli, "collection"));
    sx_buffer_append_byte(&json, '}');
    return sx_cli_print_json(cli, &json);
}

/* ---- Dropping the floats ---- */

static int print_drop_json(sx_cli *cli, const sx_compress_drop_report *report)
{
    sx_buffer json = {0};
    sx_buffer_append_byte(&json, '{');
    sx_cli_member_text(&json, "collection", sx_cli_text(cli, "collection"));
    sx_cli_member_text(&json, "kept", report->method);
    sx_cli_member_integer(&json, "vectors", report->vectors);
    sx_cli_member_integer(&json, "shared", report->shared);
    sx_cli_member_integer(&json, "bytes_before", report->bytes_before);
    sx_cli_member_integer(&json, "bytes_after", report->bytes_after);
    sx_cli_member_integer(&json, "segment_bytes", report->segment_bytes);
    if (report->queries) {
        sx_cli_member_integer(&json, "queries", report->queries);
        sx_cli_member_integer(&json, "k", report->count);
        sx_cli_member_number(&json, "recall_before", report->recall);
        sx_cli_member_number(&json, "recall_after", report->recall_alone);
    }
    sx_cli_member_boolean(&json, "done", report->done != 0);
    sx_cli_member_boolean(&json, "shrunk", report->shrunk != 0);
    sx_cli_member_number(&json, "seconds", report->seconds);
    sx_buffer_append_byte(&json, '}');
    return sx_cli_print_json(cli, &json);
}

static void print_drop(const sx_compress_drop_report *report)
{
    char vectors[32], shared[32], before[32], after[32], segments[32], all[32];
    sx_cli_human_count(report->vectors, vectors);
    sx_cli_human_count(report->shared, shared);
    sx_cli_human_bytes(report->bytes_before, before);
    sx_cli_human_bytes(report->bytes_after, after);
    sx_cli_human_bytes(report->segment_bytes, segments);
    sx_cli_human_bytes(report->bytes_before - report->bytes_after + report->segment_bytes, all);
    sx_cli_say("gained         %s: %s vectors take %s as %s instead of %s, files of %s go\n", all, vectors, after, report->method,
               before, segments);
    sx_cli_say("lost           the 32-bit vectors, for good: no --undo, no import elsewhere; exports and maps use what is left\n");
    if (report->queries)
        sx_cli_say("recall@%-6u  %.2f %%, was %.2f %%, %llu %s\n", report->count, report->recall_alone * 100, report->recall * 100,
                   (unsigned long long)report->queries, report->queries == 1 ? "query" : "queries");
    if (report->shared)
        sx_cli_say("kept whole     %s vectors that other collections use too\n", shared);
}

static void print_drop_end(const sx_compress_drop_report *report)
{
    sx_cli_say(!report->done    ? "Nothing was changed.\n"
               : report->shrunk ? "Dropped.\n"
                                : "Dropped. The database file could not be made smaller now; its room is used again.\n");
}

/* The collection, which must be there, and the queries to measure with. */
static sx_status begin(sx_cli *cli, sx_compress_options *options, sx_database **database, float **queries, sx_error *error)
{
    sx_status status = sx_cli_open_database(cli, cli->db_path, false, database, error);
    if (!status)
        status = sx_cli_require_collection(*database, options->collection, error);
    if (!status)
        status = read_queries(cli, *database, queries, &options->query_count, error);
    options->queries = *queries;
    return status;
}

/* For good, so it is asked for, or --yes said. */
static int drop_floats(sx_cli *cli)
{
    sx_error error = {0};
    sx_database *database = NULL;
    sx_compress_drop_report report = {0};
    float *queries = NULL;
    bool dry_run = sx_cli_flag(cli, "dry-run"), asked = asks(cli);
    if (!dry_run && !asked && !sx_cli_flag(cli, "yes"))
        return sx_cli_usage(cli, "--yes, or --dry-run to see what it would do", "compress: --drop-f32 cannot be taken back");
    sx_compress_options options = {
        .size = sizeof options,
        .collection = sx_cli_text(cli, "collection"),
        .samples = (uint32_t)sx_cli_count(cli, "samples"),
        .count = (uint32_t)sx_cli_count(cli, "count"),
        .dry_run = dry_run || asked,
        .stop = sx_cli_stop_flag(),
    };
    sx_status status = begin(cli, &options, &database, &queries, &error);
    if (!status)
        status = sx_compress_drop(database, &options, &report, &error);
    if (!status && !cli->json && !cli->quiet)
        print_drop(&report);
    if (!status && !dry_run && asked && confirmed(cli, "Drop the 32-bit vectors of", "for good")) {
        options.dry_run = 0;
        status = sx_compress_drop(database, &options, &report, &error);
    }
    int code = status ? sx_cli_limit_code(cli, status, sx_cli_fail(cli, &error))
               : cli->json ? print_drop_json(cli, &report)
                           : SX_EXIT_DONE;
    if (!status && !cli->json && !cli->quiet)
        print_drop_end(&report);
    sx_database_close(database);
    free(queries);
    return code;
}

int sx_cli_compress(sx_cli *cli)
{
    sx_error error = {0};
    sx_database *database = NULL;
    sx_compress_report report = {0};
    ndcg judged = {NAN, NAN, 0};
    float *queries = NULL;
    const char *to = sx_cli_text(cli, "to");
    if (sx_cli_flag(cli, "undo") && sx_cli_flag(cli, "drop-f32"))
        return sx_cli_usage(cli, NULL, "compress: --undo and --drop-f32 exclude each other");
    if (sx_cli_flag(cli, "undo"))
        return to ? sx_cli_usage(cli, NULL, "compress: --to and --undo exclude each other") : undo(cli);
    if (sx_cli_flag(cli, "drop-f32"))
        return to ? sx_cli_usage(cli, NULL, "compress: --to and --drop-f32 exclude each other: first the one, then the other")
                  : drop_floats(cli);
    if (!to)
        return sx_cli_usage(cli, "compress --to int8|binary|f16|pca:N|dims:N, --undo, or --drop-f32", "compress: to what?");
    sx_compress_options options = {
        .size = sizeof options,
        .collection = sx_cli_text(cli, "collection"),
        .to = to,
        .samples = (uint32_t)sx_cli_count(cli, "samples"),
        .count = (uint32_t)sx_cli_count(cli, "count"),
        .dry_run = sx_cli_flag(cli, "dry-run") || asks(cli),
        .stop = sx_cli_stop_flag(),
    };
    sx_status status = begin(cli, &options, &database, &queries, &error);
    /* Judged first: what it says belongs in front of the question. */
    if (!status && sx_cli_text(cli, "eval"))
        status = judge(cli, database, to, &judged, &error);
    if (!status)
        status = sx_compress(database, &options, &report, &error);
    if (!status && !cli->json && !cli->quiet)
        print(&report, &judged);
    if (!status && !sx_cli_flag(cli, "dry-run") && asks(cli) && confirmed(cli, "Search", "by these vectors")) {
        options.dry_run = 0;
        status = sx_compress(database, &options, &report, &error);
    }
    int code = status    ? sx_cli_limit_code(cli, status, sx_cli_fail(cli, &error))
               : cli->json ? print_json(cli, &report, &judged)
                           : SX_EXIT_DONE;
    if (!status && !cli->json && !cli->quiet)
        sx_cli_say(report.done ? "Searches use them now; --undo goes back.\n" : "Nothing was changed.\n");
    sx_database_close(database);
    free(queries);
    return code;
}
