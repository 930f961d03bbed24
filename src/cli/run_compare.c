/* run_compare.c - `sextant compare`: two models side by side on the same queries: how far each tells code from concepts,
 * whether both find the same, time, tokens, cost. */
#include "money.h"
#include "open_model.h"

#include "../base/clock.h"
#include "../base/error.h"
#include "../base/memory.h"
#include "../base/ranking.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const code_queries[] = {
    "def read_lines(path): with open(path) as f: return f.read().splitlines()",
    "for (size_t i = 0; i < count; i++) total += values[i];",
    "optimizer.zero_grad(); loss.backward(); optimizer.step()",
    "SELECT name, count(*) FROM orders GROUP BY name HAVING count(*) > 10",
    "class Stack { constructor() { this.items = []; } push(item) { this.items.push(item); } }",
    "async fn fetch(url: &str) -> Result<String, Error> { client.get(url).send().await?.text().await }",
    "def binary_search(sorted_list, wanted): low, high = 0, len(sorted_list)",
    "git rebase --interactive HEAD~3",
    "import numpy as np; a = np.linalg.norm(x, axis=1)",
    "try { connection.close(); } catch (SQLException e) { logger.warn(e); }",
};
static const char *const concept_queries[] = {
    "what a neural network learns in its first layers",
    "why gradients vanish in deep networks, and what helps",
    "the difference between supervised and unsupervised learning",
    "how a database keeps two writers apart",
    "what makes a hash function good",
    "when to prefer a queue to a stack",
    "how overfitting shows, and how to prevent it",
    "the idea behind attention in language models",
    "why floating point addition is not associative",
    "what eventual consistency promises",
};
enum { BUILT_IN = sizeof code_queries / sizeof *code_queries + sizeof concept_queries / sizeof *concept_queries };

typedef struct side {
    const char *name;
    sx_embedder *queries, *documents;
    const sx_embedder_info *info;
    float *query_vectors, *text_vectors;
    double intra_code, intra_concept, cross, ms_per_text;
    uint64_t tokens;
    sx_spend spent;
} side;

typedef struct comparison {
    sx_cli *cli;
    sx_cli_texts queries, texts;
    sx_text *sampled;
    const sx_text *against; /* texts the queries are compared with; NULL: with each other */
    size_t against_count;
    const char *against_name;
    bool built_in;
    size_t count;
    side sides[2];
    double overlap, rank_correlation;
} comparison;

/* Mean cosine of the pairs (i, j) with i in [a, a_end), j in [b, b_end); each pair once, none with itself. */
static double mean_cosine(const side *one, size_t a, size_t a_end, size_t b, size_t b_end)
{
    size_t width = one->info->dimensions, pairs = 0;
    double sum = 0;
    for (size_t i = a; i < a_end; i++)
        for (size_t j = b; j < b_end; j++)
            if (j > i || a != b) {
                sum += sx_ranking_cosine(one->query_vectors + i * width, one->query_vectors + j * width, width);
                pairs++;
            }
    return pairs ? sum / (double)pairs : NAN;
}

static void add_spent(const sx_embedder *embedder, sx_spend *sum)
{
    sx_spend one = {0};
    if (!embedder || sx_embedder_spent(embedder, &one, NULL))
        return;
    sum->requests += one.requests;
    sum->tokens += one.tokens;
    sum->unpriced_tokens += one.unpriced_tokens;
    sum->usd += one.usd;
}

static sx_status measure(comparison *run, side *one, sx_database *cache, sx_error *error)
{
    sx_cli *cli = run->cli;
    size_t n = run->queries.count, half = run->built_in ? sizeof code_queries / sizeof *code_queries : n;
    /* The queries pass by the cache: they are timed. */
    sx_status status = sx_cli_open_model(cli, one->name, "query", 0, NULL, &one->queries, error);
    if (!status && run->against)
        status = sx_cli_open_model(cli, one->name, "document", 0, cache, &one->documents, error);
    if (status)
        return status;
    one->info = sx_embedder_describe(one->queries);
    if (!sx_models_is_remote(one->name)) { /* what only the first call does is not timed */
        float *first = NULL;
        status = sx_cli_embed_texts(cli, one->queries, run->queries.texts, 1, "query", &first, NULL, error);
        free(first);
    }
    int64_t began = sx_system_clock.monotonic_ns(NULL);
    if (!status)
        status = sx_cli_embed_texts(cli, one->queries, run->queries.texts, n, "query", &one->query_vectors, &one->tokens, error);
    one->ms_per_text = (double)(sx_system_clock.monotonic_ns(NULL) - began) / 1e6 / (double)n;
    if (!status && run->against)
        status = sx_cli_embed_texts(cli, one->documents, run->against, run->against_count, "text", &one->text_vectors,
            &one->tokens,
                                    error);
    if (status)
        return status;
    one->intra_code = mean_cosine(one, 0, half, 0, half);
    one->intra_concept = run->built_in ? mean_cosine(one, half, n, half, n) : NAN;
    one->cross = run->built_in ? mean_cosine(one, 0, half, half, n) : NAN;
    add_spent(one->queries, &one->spent);
    add_spent(one->documents, &one->spent);
    return SX_OK;
}

/* Both sides' similarities of a query to everything it is compared with. */
static size_t similarities(const comparison *run, const side *one, size_t query, float *out)
{
    size_t width = one->info->dimensions, count = 0, n = run->against ? run->against_count : run->queries.count;
    const float *rows = run->against ? one->text_vectors : one->query_vectors;
    for (size_t i = 0; i < n; i++)
        if (run->against || i != query)
            out[count++] = (float)sx_ranking_cosine(one->query_vectors + query * width, rows + i * width, width);
    return count;
}

static sx_status agree(comparison *run, sx_error *error)
{
    size_t n = run->against ? run->against_count : run->queries.count, correlated = 0;
    size_t k = run->count;
    float *scores = sx_calloc(n, 2 * sizeof *scores);
    double *values = sx_calloc(n, 2 * sizeof *values), overlaps = 0, correlations = 0;
    uint32_t *order = sx_calloc(k, 2 * sizeof *order);
    bool ok = scores && values && order;
    for (size_t i = 0; ok && i < run->queries.count; i++) {
        size_t count = similarities(run, &run->sides[0], i, scores), shared = 0;
        similarities(run, &run->sides[1], i, scores + n);
        size_t found = sx_ranking_best(scores, count, k, order);
        sx_ranking_best(scores + n, count, k, order + k);
        for (size_t a = 0; a < found; a++)
            for (size_t b = 0; b < found; b++)
                shared += order[a] == order[k + b];
        overlaps += found ? (double)shared / (double)found : 0;
        for (size_t j = 0; j < count; j++) {
            values[j] = (double)scores[j];
            values[n + j] = (double)scores[n + j];
        }
        double correlation = sx_ranking_spearman(values, values + n, count, &ok);
        if (ok && !isnan(correlation)) {
            correlations += correlation;
            correlated++;
        }
    }
    run->overlap = run->queries.count ? overlaps / (double)run->queries.count : 0;
    run->rank_correlation = correlated ? correlations / (double)correlated : NAN;
    free(scores);
    free(values);
    free(order);
    return ok ? SX_OK : sx_fail_nomem(error, n * 4 * sizeof *values);
}

static sx_status gather(comparison *run, sx_database *database, sx_error *error)
{
    sx_cli *cli = run->cli;
    const char *file = sx_cli_text(cli, "input"), *texts = sx_cli_text(cli, "texts");
    sx_status status = SX_OK;
    run->built_in = !file;
    if (file)
        status = sx_cli_read_texts(file, &run->queries, error);
    for (size_t i = 0; !status && !file && i < BUILT_IN; i++) {
        size_t codes = sizeof code_queries / sizeof *code_queries;
        const char *text = i < codes ? code_queries[i] : concept_queries[i - codes];
        status = sx_cli_add_text(&run->queries, text, strlen(text), error);
    }
    run->against_name = "queries";
    if (!status && texts) {
        status = sx_cli_read_texts(texts, &run->texts, error);
        run->against = run->texts.texts;
        run->against_count = run->texts.count;
        run->against_name = "texts";
    } else if (!status && sx_cli_get(cli, "collection")->given) {
        status = sx_collection_sample(database, sx_cli_text(cli, "collection"), (size_t)sx_cli_count(cli, "samples"),
            &run->sampled,
                                      &run->against_count, error);
        run->against = run->sampled;
        run->against_name = "collection";
        if (!status && !run->against_count)
            status = sx_fail(error, SX_E_INVALID, "collection %s: holds nothing to compare with", sx_cli_text(cli, "collection"));
    }
    if (!status && !run->against && run->queries.count < 2)
        status = sx_fail(error, SX_E_INVALID, "%s: one query alone cannot be compared; name texts with --texts or -c", file);
    return status;
}

static void append_side(sx_buffer *json, const comparison *run, const side *one)
{
    sx_buffer_append_byte(json, '{');
    sx_cli_member_text(json, "model", one->name);
    sx_cli_member_text(json, "space", one->info->space);
    sx_cli_member_integer(json, "dimensions", one->info->dimensions);
    sx_cli_member_integer(json, "max_length", one->info->max_length);
    sx_cli_key(json, "intra");
    sx_buffer_append_byte(json, '{');
    if (run->built_in) {
        sx_cli_member_number(json, "code", one->intra_code);
        sx_cli_member_number(json, "concept", one->intra_concept);
    } else {
        sx_cli_member_number(json, "queries", one->intra_code);
    }
    sx_buffer_append_byte(json, '}');
    if (run->built_in)
        sx_cli_member_number(json, "cross", one->cross);
    sx_cli_member_number(json, "ms_per_text", one->ms_per_text);
    sx_cli_member_integer(json, "tokens", one->tokens);
    sx_cli_member_cost(json, "cost_usd", &one->spent);
    sx_buffer_append_byte(json, '}');
}

static int print_json(const comparison *run)
{
    sx_buffer json = {0};
    sx_buffer_append_byte(&json, '{');
    sx_cli_member_integer(&json, "queries", run->queries.count);
    sx_cli_member_boolean(&json, "built_in", run->built_in);
    sx_cli_member_text(&json, "against", run->against_name);
    sx_cli_member_integer(&json, "texts", run->against ? run->against_count : run->queries.count);
    sx_cli_member_integer(&json, "k", run->count);
    sx_cli_member_number(&json, "overlap", run->overlap);
    sx_cli_member_number(&json, "rank_correlation", run->rank_correlation);
    sx_cli_key(&json, "models");
    sx_buffer_append_byte(&json, '[');
    append_side(&json, run, &run->sides[0]);
    sx_buffer_append_byte(&json, ',');
    append_side(&json, run, &run->sides[1]);
    sx_buffer_append_string(&json, "]}");
    return sx_cli_print_json(run->cli, &json);
}

static void print_numbers(const char *name, double a, double b)
{
    sx_cli_say("%-28s  %14.4f  %14.4f\n", name, a, b);
}

static int print_table(const comparison *run)
{
    const side *a = &run->sides[0], *b = &run->sides[1];
    char costs[2][96];
    sx_cli_say("A: %s\nB: %s\n\n", a->name, b->name);
    sx_cli_say("%-28s  %14s  %14s\n", "", "A", "B");
    sx_cli_say("%-28s  %14u  %14u\n", "dimensions", a->info->dimensions, b->info->dimensions);
    sx_cli_say("%-28s  %14llu  %14llu\n", "tokens", (unsigned long long)a->tokens, (unsigned long long)b->tokens);
    print_numbers("ms per query", a->ms_per_text, b->ms_per_text);
    print_numbers(run->built_in ? "similarity within code" : "similarity among queries", a->intra_code, b->intra_code);
    if (run->built_in) {
        print_numbers("similarity within concepts", a->intra_concept, b->intra_concept);
        print_numbers("similarity code to concepts", a->cross, b->cross);
    }
    if (a->spent.usd > 0 || b->spent.usd > 0 || a->spent.unpriced_tokens || b->spent.unpriced_tokens) {
        sx_cli_human_cost(&a->spent, false, costs[0]);
        sx_cli_human_cost(&b->spent, false, costs[1]);
        sx_cli_say("%-28s  %14s  %14s\n", "cost", costs[0], costs[1]);
    }
    sx_cli_say("\n%zu queries against %zu %s: overlap@%zu %.3f, rank correlation %.3f\n", run->queries.count,
               run->against ? run->against_count : run->queries.count, run->against ? "texts" : "of each other", run->count,
               run->overlap, run->rank_correlation);
    return SX_EXIT_DONE;
}

int sx_cli_compare(sx_cli *cli)
{
    sx_error error = {0};
    sx_database *database = NULL;
    comparison run = {.cli = cli, .count = (size_t)sx_cli_count(cli, "count")};
    bool collection = sx_cli_get(cli, "collection")->given && !sx_cli_text(cli, "texts");
    sx_status status = collection ? sx_cli_open_database(cli, cli->db_path, false, &database, &error)
                                  : sx_cli_open_cache(cli, &database, &error);
    if (!status)
        status = gather(&run, database, &error);
    for (size_t i = 0; !status && i < 2; i++) {
        run.sides[i].name = cli->arguments[i];
        status = measure(&run, &run.sides[i], database, &error);
    }
    if (!status)
        status = agree(&run, &error);
    int code = status ? sx_cli_limit_code(cli, status, sx_cli_fail(cli, &error)) : cli->json ? print_json(&run)
        : print_table(&run);
    for (size_t i = 0; i < 2; i++) {
        free(run.sides[i].query_vectors);
        free(run.sides[i].text_vectors);
        sx_embedder_close(run.sides[i].queries);
        sx_embedder_close(run.sides[i].documents);
    }
    sx_database_close(database);
    sx_free(run.sampled);
    sx_cli_clear_texts(&run.queries);
    sx_cli_clear_texts(&run.texts);
    return code;
}
