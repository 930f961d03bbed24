/* compress.c - sx_compress: what packing a collection's vectors would lose, measured on the collection itself; then packing them.
 *
 * All rows pass by once for each step, so the memory is that of the sample and of the queries. A packing is fitted to a sample
 * spread over the collection. Then each row is scored exactly and by the packing for every query: an exact best that is among
 * the candidates is found by a search, since candidates are scored again exactly; so the recall is known without doing that. */
#include "../base/clock.h"
#include "../base/error.h"
#include "../base/memory.h"
#include "../base/options.h"
#include "../store/packed.h"
#include "../store/store.h"

#include <stdlib.h>
#include <string.h>

enum { SAMPLE_ROWS = 20000, DEFAULT_QUERIES = 200, DEFAULT_COUNT = 10, MOST_COUNT = 1000, MOST_QUERIES = 100000 };

typedef struct one_query {
    float *floats;
    sx_packed_query packed;
    sx_topk exact, alone, candidates;
} one_query;

typedef struct compress_run {
    sx_database *database;
    sx_compress_options options;
    sx_collection_row collection;
    sx_measure measure;
    sx_packing packing;
    const sx_dot_kernels *kernels;
    uint64_t rows, seen;
    float *sample; /* of rows 0, stride, 2 stride ... */
    size_t sample_count, sample_capacity;
    uint64_t stride, query_stride;
    one_query *queries;
    size_t query_count, query_capacity;
    float *scratch;
    unsigned char *row;
} compress_run;

static sx_status open_query(compress_run *run, const float *floats, sx_error *error)
{
    one_query *query = &run->queries[run->query_count];
    uint32_t dimensions = run->packing.dimensions;
    size_t k = run->options.count;
    query->floats = sx_calloc(dimensions, sizeof(float));
    run->query_count++;
    if (!query->floats)
        return sx_fail_nomem(error, dimensions * sizeof(float));
    memcpy(query->floats, floats, dimensions * sizeof(float));
    if (run->measure == SX_MEASURE_COSINE)
        sx_exact_normalize(query->floats, dimensions);
    if (!sx_topk_open(&query->exact, k) || !sx_topk_open(&query->alone, k) ||
        !sx_topk_open(&query->candidates, sx_packing_candidates(run->packing.kind, k)))
        return sx_fail_nomem(error, k * sizeof(sx_ranked));
    return SX_OK;
}

static void close_queries(compress_run *run)
{
    for (size_t i = 0; i < run->query_count; i++) {
        one_query *query = &run->queries[i];
        sx_packed_query_close(&query->packed);
        sx_topk_close(&query->exact);
        sx_topk_close(&query->alone);
        sx_topk_close(&query->candidates);
        free(query->floats);
    }
    free(run->queries);
    run->queries = NULL;
    run->query_count = 0;
}

static sx_status stopped(const compress_run *run, sx_error *error)
{
    if (!run->options.stop || !*run->options.stop)
        return SX_OK;
    return sx_fail(error, SX_E_STOPPED, "compress: interrupted; nothing was changed");
}

/* ---- The sample ---- */

static sx_status take_sample(int64_t chunk, const float *vector, void *user, sx_error *error)
{
    compress_run *run = user;
    size_t dimensions = run->packing.dimensions, floats;
    (void)chunk;
    if (run->seen % run->stride == 0) {
        if (!sx_multiply(run->sample_count + 1, dimensions, &floats) ||
            !sx_reserve((void **)&run->sample, &run->sample_capacity, floats, sizeof(float)))
            return sx_fail_nomem(error, dimensions * sizeof(float));
        memcpy(run->sample + run->sample_count++ * dimensions, vector, dimensions * sizeof(float));
    }
    if (!run->options.queries && run->seen % run->query_stride == 0 && run->query_count < run->query_capacity) {
        sx_status status = open_query(run, vector, error);
        if (status)
            return status;
    }
    run->seen++;
    return stopped(run, error);
}

static sx_status prepare_queries(compress_run *run, sx_error *error)
{
    size_t given = run->options.query_count, wanted = run->options.samples;
    run->query_capacity = given ? given : wanted;
    run->query_stride = (run->rows + wanted - 1) / wanted;
    run->stride = (run->rows + SAMPLE_ROWS - 1) / SAMPLE_ROWS;
    run->queries = sx_calloc(run->query_capacity, sizeof *run->queries);
    if (!run->queries)
        return sx_fail_nomem(error, run->query_capacity * sizeof *run->queries);
    sx_status status = SX_OK;
    for (size_t i = 0; i < given && !status; i++)
        status = open_query(run, run->options.queries + i * run->packing.dimensions, error);
    return status;
}

/* ---- Measuring ---- */

static void score_row(compress_run *run, int64_t id, const float *vector)
{
    uint32_t dimensions = run->packing.dimensions;
    sx_packing_row(&run->packing, vector, run->scratch, run->row);
    for (size_t i = 0; i < run->query_count; i++) {
        one_query *query = &run->queries[i];
        float score;
        sx_exact_scan(run->kernels, query->floats, dimensions, vector, dimensions, &id, 1, NULL, &query->exact);
        sx_packed_scores(&query->packed, run->row, 1, &score);
        sx_topk_offer(&query->alone, id, score);
        sx_topk_offer(&query->candidates, id, score);
    }
}

static sx_status visit_row(int64_t chunk, const float *vector, void *user, sx_error *error)
{
    compress_run *run = user;
    score_row(run, chunk, vector);
    return stopped(run, error);
}

static size_t shared(const sx_topk *a, const sx_topk *b)
{
    size_t count = 0;
    for (size_t i = 0; i < a->count; i++)
        for (size_t j = 0; j < b->count; j++)
            if (a->items[i].id == b->items[j].id) {
                count++;
                break;
            }
    return count;
}

static sx_status begin_measure(compress_run *run, sx_error *error)
{
    sx_status status = SX_OK;
    run->scratch = sx_calloc(run->packing.dimensions, sizeof(float));
    run->row = sx_calloc(1, sx_packing_row_bytes(&run->packing));
    if (!run->scratch || !run->row)
        return sx_fail_nomem(error, run->packing.dimensions * sizeof(float));
    for (size_t i = 0; i < run->query_count && !status; i++)
        status = sx_packed_query_open(&run->queries[i].packed, &run->packing, run->kernels, run->queries[i].floats, error);
    return status;
}

static void sum_up(const compress_run *run, sx_compress_report *report)
{
    size_t all = 0, found = 0, alone = 0;
    for (size_t i = 0; i < run->query_count; i++) {
        all += run->queries[i].exact.count;
        found += shared(&run->queries[i].exact, &run->queries[i].candidates);
        alone += shared(&run->queries[i].exact, &run->queries[i].alone);
    }
    report->recall = all ? (double)found / (double)all : 1;
    report->recall_alone = all ? (double)alone / (double)all : 1;
    report->queries = run->query_count;
    report->retained = run->packing.retained;
}

static sx_status measure(compress_run *run, sx_compress_report *report, sx_error *error)
{
    const sx_collection_row *collection = &run->collection;
    int64_t rows = 0;
    sx_status status = sx_snapshot_begin(run->database, error);
    if (status)
        return status;
    status = sx_segments_measure(run->database, collection->recipe, &run->measure, error);
    if (!status)
        status = sx_sql_number(run->database, "SELECT count(*) FROM chunk WHERE collection = ? AND vector IS NOT NULL", 0, &rows,
                               error, "i", collection->id);
    if (!status && !rows)
        status = sx_fail(error, SX_E_INVALID, "collection %s: holds no vector to compress", collection->name);
    run->rows = (uint64_t)rows;
    if (!status)
        status = prepare_queries(run, error);
    if (!status)
        status = sx_segments_from_rows(run->database, collection->id, collection->dimensions, run->measure, INT64_MIN, INT64_MAX,
                                       take_sample, run, error);
    if (!status)
        status = sx_packing_fit(&run->packing, run->sample, run->sample_count, error);
    if (!status)
        status = begin_measure(run, error);
    if (!status)
        status = sx_segments_from_rows(run->database, collection->id, collection->dimensions, run->measure, INT64_MIN, INT64_MAX,
                                       visit_row, run, error);
    sx_snapshot_end(run->database);
    if (status)
        return status;
    sum_up(run, report);
    report->vectors = run->rows;
    report->bytes_f32 = run->rows * collection->dimensions * sizeof(float);
    report->bytes = run->rows * sx_packing_row_bytes(&run->packing);
    return SX_OK;
}

static sx_status read_options(const sx_compress_options *options, compress_run *run, sx_error *error)
{
    sx_compress_options *known = &run->options;
    sx_status status = sx_options_read(options, known, sizeof *known, "sx_compress_options", error);
    if (status)
        return status;
    if (!known->to)
        return sx_fail(error, SX_E_INVALID, "sx_compress_options: `to` is NULL");
    if (known->count > MOST_COUNT || known->samples > MOST_QUERIES || known->query_count > MOST_QUERIES)
        return sx_fail(error, SX_E_INVALID, "sx_compress_options: count %u, at most %d; samples %u, queries %zu, at most %d",
                       known->count, MOST_COUNT, known->samples, known->query_count, MOST_QUERIES);
    if (known->query_count && !known->queries)
        return sx_fail(error, SX_E_INVALID, "sx_compress_options: queries is NULL with count %zu", known->query_count);
    if (!known->query_count)
        known->queries = NULL;
    known->count = known->count ? known->count : DEFAULT_COUNT;
    known->samples = known->samples ? known->samples : DEFAULT_QUERIES;
    return SX_OK;
}

sx_status sx_compress(sx_database *database, const sx_compress_options *options, sx_compress_report *report, sx_error *error)
{
    compress_run run = {.database = database, .kernels = sx_dot_kernels_for(0)};
    sx_packed_row before;
    int64_t began = sx_system_clock.monotonic_ns(NULL);
    if (!database || !options || !report)
        return sx_fail(error, SX_E_INVALID, "sx_compress: an argument is NULL");
    *report = (sx_compress_report){0};
    sx_status status = read_options(options, &run, error);
    if (!status)
        status = sx_store_collection_find(database, run.options.collection ? run.options.collection : "default", &run.collection,
                                          error);
    if (!status)
        status = sx_packing_parse(run.options.to, run.collection.dimensions, &run.packing, error);
    if (!status)
        status = sx_store_packed(database, run.collection.id, &before, error);
    if (!status)
        status = measure(&run, report, error);
    if (!status) {
        sx_packing_name(&run.packing, report->method);
        memcpy(report->before, before.method, sizeof report->before);
        report->count = run.options.count;
    }
    if (!status && !run.options.dry_run) {
        /* Nobody adds to it meanwhile, and nobody else packs it. */
        status = sx_store_lease(database, run.collection.id, true, run.options.stop, error);
        if (!status) {
            status = sx_store_pack(database, &run.collection, &run.packing, error);
            sx_store_lease_release(database, run.collection.id);
        }
        report->done = !status;
    }
    report->seconds = (double)(sx_system_clock.monotonic_ns(NULL) - began) / 1e9;
    close_queries(&run);
    sx_packing_clear(&run.packing);
    sx_collection_row_clear(&run.collection);
    free(run.sample);
    free(run.scratch);
    free(run.row);
    return status;
}

sx_status sx_compress_undo(sx_database *database, const char *collection, sx_error *error)
{
    if (!database)
        return sx_fail(error, SX_E_INVALID, "sx_compress_undo: database is NULL");
    sx_collection_row row = {0};
    bool was;
    sx_status status = sx_store_collection_find(database, collection ? collection : "default", &row, error);
    if (!status)
        status = sx_store_lease(database, row.id, true, NULL, error);
    if (!status) {
        status = sx_store_unpack(database, row.id, &was, error);
        sx_store_lease_release(database, row.id);
    }
    if (!status && !was)
        status = sx_fail(error, SX_E_NOT_FOUND, "collection %s: is not compressed", row.name);
    sx_collection_row_clear(&row);
    return status;
}

/* ---- Rows in memory ---- */

/* The candidates in the order of their exact scores. */
static sx_status give_best(const compress_run *run, one_query *query, const float *rows, uint32_t *best, sx_error *error)
{
    uint32_t dimensions = run->packing.dimensions, k = run->options.count;
    sx_topk topk;
    if (!sx_topk_open(&topk, k))
        return sx_fail_nomem(error, k * sizeof(sx_ranked));
    for (size_t i = 0; i < query->candidates.count; i++) {
        int64_t id = query->candidates.items[i].id;
        sx_exact_scan(run->kernels, query->floats, dimensions, rows + (size_t)id * dimensions, dimensions, &id, 1, NULL, &topk);
    }
    sx_topk_sort(&topk);
    for (uint32_t i = 0; i < k; i++)
        best[i] = i < topk.count ? (uint32_t)topk.items[i].id : UINT32_MAX;
    sx_topk_close(&topk);
    return SX_OK;
}

sx_status sx_compress_try(const char *to, const float *rows, size_t count, uint32_t dimensions, const float *queries,
                          size_t query_count, uint32_t k, uint32_t *best, sx_error *error)
{
    if ((count && !rows) || (query_count && (!queries || !best)) || !dimensions || !k || k > MOST_COUNT || count >= UINT32_MAX ||
        query_count > MOST_QUERIES)
        return sx_fail(error, SX_E_INVALID, "sx_compress_try: an argument is NULL or too large");
    compress_run run = {.kernels = sx_dot_kernels_for(0), .options = {.count = k}, .rows = count};
    sx_status status = sx_packing_parse(to ? to : "f16", dimensions, &run.packing, error);
    run.queries = status ? NULL : sx_calloc(query_count, sizeof *run.queries);
    if (!status && !run.queries)
        status = sx_fail_nomem(error, query_count * sizeof *run.queries);
    for (size_t i = 0; i < query_count && !status; i++)
        status = open_query(&run, queries + i * dimensions, error);
    if (!status && count)
        status = sx_packing_fit(&run.packing, rows, count < SAMPLE_ROWS ? count : SAMPLE_ROWS, error);
    if (!status && count)
        status = begin_measure(&run, error);
    for (size_t i = 0; i < count && !status; i++)
        score_row(&run, (int64_t)i, rows + i * dimensions);
    for (size_t i = 0; i < query_count && !status; i++) {
        if (!to) { /* the exact ones */
            sx_topk kept = run.queries[i].candidates;
            run.queries[i].candidates = run.queries[i].exact;
            run.queries[i].exact = kept;
        }
        status = give_best(&run, &run.queries[i], rows, best + i * k, error);
    }
    close_queries(&run);
    sx_packing_clear(&run.packing);
    free(run.scratch);
    free(run.row);
    return status;
}
