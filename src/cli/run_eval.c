/* run_eval.c - `sextant eval`: how well a model finds what people judged relevant, or agrees with them on how alike
 * sentences are. */
#include "eval_runs.h"
#include "money.h"

#include "../base/clock.h"
#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 100, MOST_METRICS = 6 };

typedef struct figures {
    const char *names[MOST_METRICS];
    double values[MOST_METRICS];
    size_t count;
    uint64_t queries;
    const char *unit; /* "queries", "pairs" */
} figures;

static void add(figures *out, const char *name, double value)
{
    out->names[out->count] = name;
    out->values[out->count++] = value;
}

static sx_status score_pairs(sx_cli *cli, const sx_eval_set *set, sx_embedder *embedder, figures *out, uint64_t *tokens,
                             sx_error *error)
{
    float *vectors = NULL;
    size_t width = sx_embedder_describe(embedder)->dimensions;
    bool ok = true;
    double *scores = sx_calloc(set->pair_count, sizeof *scores);
    sx_status status = scores ? SX_OK : sx_fail_nomem(error, set->pair_count * sizeof *scores);
    if (!status)
        status = sx_cli_embed_texts(cli, embedder, set->documents.texts, set->documents.count, "sentence", &vectors, tokens,
            error);
    for (size_t i = 0; !status && i < set->pair_count; i++)
        scores[i] = sx_ranking_cosine(vectors + 2 * i * width, vectors + (2 * i + 1) * width, width);
    if (!status)
        add(out, "spearman", sx_ranking_spearman(scores, set->gold, set->pair_count, &ok));
    out->queries = set->pair_count;
    out->unit = "pairs";
    free(scores);
    free(vectors);
    return !status && !ok ? sx_fail_nomem(error, set->pair_count * sizeof *scores) : status;
}

/* To length 1: the order by product is then that by cosine. Vectors that are so already stay as they are. */
static void normalize(float *row, size_t width)
{
    double sum = 0;
    for (size_t i = 0; i < width; i++)
        sum += (double)row[i] * (double)row[i];
    if (sum > 0 && fabs(sum - 1) > 1e-5)
        for (size_t i = 0; i < width; i++)
            row[i] = (float)((double)row[i] / sqrt(sum));
}

/* The judgements [from, to) are the query's; relevant: room for as many numbers. */
static sx_ranking_scores judge(const sx_eval_set *set, size_t from, size_t to, const uint32_t *order, size_t found,
    double *relevant)
{
    double grades[DEPTH] = {0};
    for (size_t i = 0; i < found; i++)
        for (size_t j = from; j < to; j++)
            if (set->judgements[j].document == (int64_t)order[i])
                grades[i] = set->judgements[j].grade;
    return sx_eval_judge(set, from, to, grades, found, relevant);
}

/* Whole texts by exact search: the model alone is judged. */
static sx_status score_model(sx_cli *cli, const sx_eval_set *set, sx_embedder *documents, sx_embedder *queries, sx_eval_run *run,
                             uint64_t *tokens, sx_error *error)
{
    size_t width = sx_embedder_describe(documents)->dimensions, n = set->documents.count, judged = 0;
    float *corpus = NULL, *query = NULL, *scores = sx_calloc(n, sizeof *scores);
    double *relevant = sx_calloc(set->judgement_count, sizeof *relevant);
    sx_text *asked = sx_calloc(set->queries.count, sizeof *asked);
    uint32_t order[DEPTH];
    sx_status status = scores && relevant && asked ? SX_OK : sx_fail_nomem(error, n * sizeof *scores);
    for (size_t from = 0, to; !status && sx_eval_next_query(set, from, &to); from = to)
        asked[judged++] = set->queries.texts[set->judgements[from].query];
    if (!status)
        status = sx_cli_embed_texts(cli, documents, set->documents.texts, n, "document", &corpus, tokens, error);
    if (!status)
        status = sx_cli_embed_texts(cli, queries, asked, judged, "query", &query, tokens, error);
    for (size_t i = 0; !status && i < n; i++)
        normalize(corpus + i * width, width);
    for (size_t at = 0, to, from = 0; !status && sx_eval_next_query(set, from, &to); at++, from = to) {
        for (size_t i = 0; i < n; i++) {
            const float *row = corpus + i * width, *mine = query + at * width;
            float product = 0;
            for (size_t j = 0; j < width; j++)
                product += row[j] * mine[j];
            scores[i] = product;
        }
        run->scores[at] = judge(set, from, to, order, sx_ranking_best(scores, n, DEPTH, order), relevant);
    }
    free(corpus);
    free(query);
    free(scores);
    free(relevant);
    free(asked);
    return status;
}

static void add_means(const sx_eval_run *run, figures *out)
{
    sx_ranking_scores mean = sx_eval_run_mean(run);
    add(out, "ndcg@10", mean.ndcg10);
    add(out, "recall@10", mean.recall10);
    add(out, "recall@100", mean.recall100);
    add(out, "mrr@10", mean.mrr10);
    add(out, "hit@1", mean.hit1);
    add(out, "hit@3", mean.hit3);
    out->queries = run->count;
    out->unit = "queries";
}

/* The last part of a path, without slashes at its end. */
static void dataset_name(const char *path, char name[256])
{
    snprintf(name, 256, "%s", path);
    for (size_t length = strlen(name); length > 1 && name[length - 1] == '/'; length--)
        name[length - 1] = '\0';
    const char *last = sx_path_name(name);
    memmove(name, last, strlen(last) + 1);
}

/* what: the model, or the collection and how it was searched. */
static int print(sx_cli *cli, const char *dataset, const char *model, const figures *result, const sx_eval_comparison *comparison,
                 uint64_t tokens, double ms)
{
    if (cli->json) {
        sx_buffer json = {0};
        sx_buffer_append_byte(&json, '{');
        sx_cli_member_text(&json, "dataset", dataset);
        sx_cli_member_text(&json, "model", model);
        sx_cli_key(&json, "metrics");
        sx_buffer_append_byte(&json, '{');
        for (size_t i = 0; i < result->count; i++)
            sx_cli_member_number(&json, result->names[i], result->values[i]);
        sx_buffer_append_byte(&json, '}');
        sx_cli_member_integer(&json, "queries", result->queries);
        sx_cli_member_integer(&json, "tokens", tokens);
        if (comparison->queries) {
            sx_cli_key(&json, "against");
            sx_buffer_append_byte(&json, '{');
            sx_cli_member_integer(&json, "queries", comparison->queries);
            sx_cli_member_integer(&json, "better", comparison->better);
            sx_cli_member_integer(&json, "worse", comparison->worse);
            sx_cli_member_number(&json, "ndcg@10", comparison->difference);
            sx_cli_member_number(&json, "p", comparison->p);
            sx_buffer_append_byte(&json, '}');
        }
        sx_cli_member_number(&json, "ms", ms);
        sx_buffer_append_byte(&json, '}');
        return sx_cli_print_json(cli, &json);
    }
    sx_cli_say("%s with %s: %llu %s, %.1f s\n", dataset, model, (unsigned long long)result->queries, result->unit, ms / 1000);
    for (size_t i = 0; i < result->count; i++)
        sx_cli_say("  %-10s  %.4f\n", result->names[i], result->values[i]);
    if (comparison->queries)
        sx_cli_say("Against the other run: nDCG@10 %+.4f on %zu queries, %zu better, %zu worse; chance gives as much in %.2f %% of cases.\n",
                   comparison->difference, comparison->queries, comparison->better, comparison->worse, 100 * comparison->p);
    return SX_EXIT_DONE;
}

/* The model alone; pairs set apart. */
static sx_status evaluate_model(sx_cli *cli, const sx_eval_set *set, sx_eval_run *run, figures *result, uint64_t *tokens,
                                sx_error *error)
{
    sx_database *database = NULL;
    sx_embedder *documents = NULL, *queries = NULL;
    sx_status status = sx_cli_open_cache(cli, &database, error);
    if (!status)
        status = sx_cli_open_model(cli, NULL, set->pair_count ? "none" : "document", 0, database, &documents, error);
    if (!status && !set->pair_count)
        status = sx_cli_open_model(cli, NULL, "query", 0, database, &queries, error);
    if (!status && set->pair_count)
        status = score_pairs(cli, set, documents, result, tokens, error);
    else if (!status)
        status = score_model(cli, set, documents, queries, run, tokens, error);
    sx_embedder_close(queries);
    sx_embedder_close(documents);
    sx_database_close(database);
    return status;
}

int sx_cli_eval(sx_cli *cli)
{
    sx_error error = {0};
    sx_eval_set set = {0};
    sx_eval_run run = {0};
    sx_eval_comparison comparison = {0};
    figures result = {0};
    const char *path = sx_cli_text(cli, "data"), *each = sx_cli_text(cli, "per-query"), *other = sx_cli_text(cli, "against");
    bool by_search = sx_cli_get(cli, "collection")->given;
    char dataset[256];
    uint64_t tokens = 0;
    int code;
    if (!path)
        return sx_cli_usage(cli, "eval --data FOLDER -m MODEL", "eval: with which data?");
    int64_t began = sx_system_clock.monotonic_ns(NULL);
    sx_status status = sx_eval_read(path, sx_cli_text(cli, "split"), by_search, &set, &error);
    if (!status && set.pair_count && (by_search || each || other))
        status = sx_fail(&error, SX_E_INVALID, "eval: %s holds pairs; -c, --per-query and --against are for queries", path);
    if (!status && !set.pair_count)
        status = sx_eval_run_open(&set, &run, &error);
    if (!status)
        status = by_search ? sx_eval_collection(cli, &set, &run, &error) : evaluate_model(cli, &set, &run, &result, &tokens, &error);
    if (!status && !set.pair_count)
        add_means(&run, &result);
    if (!status && other)
        status = sx_eval_run_compare(&run, other, &comparison, &error);
    if (!status && each)
        status = sx_eval_run_write(&run, each, &error);
    if (status) {
        code = sx_cli_limit_code(cli, status, sx_cli_fail(cli, &error));
    } else {
        dataset_name(path, dataset);
        code = print(cli, dataset, sx_cli_text(cli, by_search ? "collection" : "model"), &result, &comparison, tokens,
                     (double)(sx_system_clock.monotonic_ns(NULL) - began) / 1e6);
    }
    sx_eval_run_close(&run);
    sx_eval_clear(&set);
    return code;
}
