/* eval_runs.c - figures of judged queries one by one: their mean, a file of them, and whether a difference may be chance. */
#include "eval_runs.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/json_reader.h"
#include "../base/json_writer.h"
#include "../base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TRIALS = 100000 };

bool sx_eval_next_query(const sx_eval_set *set, size_t from, size_t *to)
{
    if (from >= set->judgement_count)
        return false;
    for (*to = from + 1; *to < set->judgement_count && set->judgements[*to].query == set->judgements[from].query; ++*to)
        ;
    return true;
}

static int descending(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;
    return (first < second) - (first > second);
}

sx_ranking_scores sx_eval_judge(const sx_eval_set *set, size_t from, size_t to, const double *grades, size_t found, double *relevant)
{
    for (size_t j = from; j < to; j++)
        relevant[j - from] = set->judgements[j].grade;
    qsort(relevant, to - from, sizeof *relevant, descending);
    return sx_ranking_judge(grades, found, relevant, to - from);
}

sx_status sx_eval_run_open(const sx_eval_set *set, sx_eval_run *run, sx_error *error)
{
    size_t most = set->judgement_count;
    *run = (sx_eval_run){.queries = sx_calloc(most, sizeof *run->queries), .scores = sx_calloc(most, sizeof *run->scores)};
    if (!run->queries || !run->scores) {
        sx_eval_run_close(run);
        return sx_fail_nomem(error, most * sizeof *run->scores);
    }
    for (size_t from = 0, to; sx_eval_next_query(set, from, &to); from = to)
        run->queries[run->count++] = set->query_ids.texts[set->judgements[from].query];
    return SX_OK;
}

void sx_eval_run_close(sx_eval_run *run)
{
    free(run->queries);
    free(run->scores);
    *run = (sx_eval_run){0};
}

/* ---- Figures by name ---- */

static const struct {
    const char *name;
    size_t offset;
} figures[] = {
    {"ndcg@10", offsetof(sx_ranking_scores, ndcg10)},     {"recall@10", offsetof(sx_ranking_scores, recall10)},
    {"recall@100", offsetof(sx_ranking_scores, recall100)}, {"mrr@10", offsetof(sx_ranking_scores, mrr10)},
    {"hit@1", offsetof(sx_ranking_scores, hit1)},         {"hit@3", offsetof(sx_ranking_scores, hit3)},
};
enum { FIGURES = sizeof figures / sizeof *figures };

static double *figure(sx_ranking_scores *scores, size_t i)
{
    return (double *)(void *)((char *)scores + figures[i].offset);
}

sx_ranking_scores sx_eval_run_mean(const sx_eval_run *run)
{
    sx_ranking_scores sum = {0};
    for (size_t i = 0; i < run->count; i++)
        for (size_t f = 0; f < FIGURES; f++)
            *figure(&sum, f) += *figure(&run->scores[i], f);
    for (size_t f = 0; f < FIGURES && run->count; f++)
        *figure(&sum, f) /= (double)run->count;
    return sum;
}

sx_status sx_eval_run_write(const sx_eval_run *run, const char *path, sx_error *error)
{
    sx_buffer lines = {0};
    for (size_t i = 0; i < run->count; i++) {
        sx_buffer_append_string(&lines, "{\"query\":");
        sx_json_write_string(&lines, run->queries[i].data, run->queries[i].length);
        for (size_t f = 0; f < FIGURES; f++) {
            sx_buffer_append_string(&lines, ",");
            sx_json_write_string(&lines, figures[f].name, strlen(figures[f].name));
            sx_buffer_append_byte(&lines, ':');
            sx_json_write_double(&lines, *figure(&run->scores[i], f));
        }
        sx_buffer_append_string(&lines, "}\n");
    }
    sx_status status = lines.failed ? sx_fail_nomem(error, run->count * 128) : sx_file_write_atomic(path, lines.data, lines.length, error);
    sx_buffer_clear(&lines);
    return status;
}

/* ---- Comparing ---- */

/* nDCG@10 of one line, and the query it is of. */
static sx_status read_line(sx_text line, const char *name, sx_buffer *key, sx_buffer *query, double *ndcg, sx_error *error)
{
    sx_json json;
    sx_text member, value;
    bool has_query = false, has_figure = false;
    sx_buffer scratch = {0};
    sx_buffer_reset(query);
    sx_json_begin(&json, line.data, line.length, name);
    sx_json_object(&json);
    while (sx_json_member(&json, key, &member)) {
        if (sx_text_is(member, "query") && sx_json_string(&json, &scratch, &value)) {
            sx_buffer_append(query, value.data, value.length);
            has_query = true;
        } else if (sx_text_is(member, "ndcg@10")) {
            has_figure = sx_json_number(&json, ndcg);
        } else {
            sx_json_skip(&json);
        }
    }
    sx_json_end(&json);
    sx_buffer_clear(&scratch);
    if (json.problem)
        return sx_json_fail(&json, SX_E_FORMAT, error);
    if (!has_query || !has_figure || !(*ndcg >= 0) || *ndcg > 1)
        return sx_fail(error, SX_E_FORMAT, "%s: not a query and its ndcg@10 of 0 to 1, as --per-query writes them", name);
    return query->failed ? sx_fail_nomem(error, line.length) : SX_OK;
}

/* Differences of the queries that the file has too. */
static sx_status read_differences(const sx_eval_run *run, const char *path, double *differences, size_t *count, sx_error *error)
{
    sx_file_map map = {0};
    sx_buffer key = {0}, query = {0};
    unsigned long long number = 0;
    sx_status status = sx_file_map_open(path, &map, error);
    const char *at = (const char *)map.data, *end = at + map.length;
    while (!status && at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length = stop ? (size_t)(stop - at) : (size_t)(end - at);
        char name[512];
        double other = 0;
        snprintf(name, sizeof name, "%.400s: line %llu", path, ++number);
        status = read_line((sx_text){at, length}, name, &key, &query, &other, error);
        for (size_t i = 0; !status && i < run->count; i++)
            if (run->queries[i].length == query.length && memcmp(run->queries[i].data, query.data ? query.data : "", query.length) == 0 &&
                *count < run->count)
                differences[(*count)++] = run->scores[i].ndcg10 - other;
        at += length + 1;
    }
    sx_file_map_close(&map);
    sx_buffer_clear(&key);
    sx_buffer_clear(&query);
    if (!status && !*count)
        status = sx_fail(error, SX_E_MISMATCH, "%s: none of its queries is among the %zu of this run", path, run->count);
    return status;
}

/* splitmix64 (Steele, Lea and Flood 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

sx_status sx_eval_run_compare(const sx_eval_run *run, const char *path, sx_eval_comparison *out, sx_error *error)
{
    double *differences = sx_calloc(run->count, sizeof *differences), sum = 0;
    *out = (sx_eval_comparison){0};
    if (!differences)
        return sx_fail_nomem(error, run->count * sizeof *differences);
    sx_status status = read_differences(run, path, differences, &out->queries, error);
    for (size_t i = 0; i < out->queries; i++) {
        sum += differences[i];
        out->better += differences[i] > 0;
        out->worse += differences[i] < 0;
    }
    uint64_t state = 1, reached = 0;
    for (size_t trial = 0; !status && trial < TRIALS; trial++) {
        double chance = 0;
        uint64_t bits = 0;
        for (size_t i = 0; i < out->queries; i++, bits >>= 1) {
            if (i % 64 == 0)
                bits = next_random(&state);
            chance += bits & 1 ? differences[i] : -differences[i];
        }
        reached += fabs(chance) >= fabs(sum) - 1e-12;
    }
    if (!status) {
        out->difference = sum / (double)out->queries;
        out->p = (double)(reached + 1) / (TRIALS + 1); /* the difference itself is one of the ways */
    }
    free(differences);
    return status;
}
