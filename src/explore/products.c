/* products.c - all pairs by matrix products: a block of columns is packed once for a block of rows, so that the processor
 * multiplies rather than waits for memory. Work is shared by blocks of rows; which thread takes which does not matter to any
 * result. */
#include "products.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../kern/kernels.h"
#include "../vec/hnsw.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_ROWS = 512, BLOCK_COLUMNS = 256, GRAPH_EF = 64, GRAPH_BATCH = 512 };

typedef struct product_run {
    const sx_products *job;
    const sx_kernels *kernels;
    float *scratch; /* for each thread: packed columns, a tile */
    size_t panel_floats, each;
    size_t blocks;
    atomic_size_t next;
    atomic_bool failed;
} product_run;

static void pack_columns(const product_run *run, size_t first, size_t count, float *panels)
{
    size_t width = run->job->width, panel = run->kernels->panel_width;
    for (size_t i = 0; i < count; i += panel) {
        size_t some = count - i < panel ? count - i : panel;
        run->kernels->pack(run->job->rows + (first + i) * width, width, some, width, 1, panels + i * width);
    }
}

static bool do_block(const product_run *run, size_t block, float *scratch)
{
    const sx_products *job = run->job;
    float *tile = scratch + run->panel_floats;
    size_t first = block * BLOCK_ROWS;
    size_t rows = job->count - first < BLOCK_ROWS ? job->count - first : BLOCK_ROWS;
    for (size_t column = job->upper ? first : 0; column < job->count; column += BLOCK_COLUMNS) {
        size_t columns = job->count - column < BLOCK_COLUMNS ? job->count - column : BLOCK_COLUMNS;
        pack_columns(run, column, columns, scratch);
        run->kernels->gemm(&(sx_gemm){.a = job->rows + first * job->width,
                                      .a_stride = job->width,
                                      .rows = rows,
                                      .columns = columns,
                                      .depth = job->width,
                                      .panels = scratch,
                                      .format = SX_PANEL_F32,
                                      .out = tile,
                                      .out_stride = BLOCK_COLUMNS});
        if (!job->visit(job->user, first, rows, column, columns, tile, BLOCK_COLUMNS))
            return false;
        if (job->stop && *job->stop)
            return true;
    }
    return true;
}

static void work(void *user, unsigned worker)
{
    product_run *run = user;
    const sx_products *job = run->job;
    size_t block;
    while (!run->failed && !(job->stop && *job->stop) && (block = atomic_fetch_add(&run->next, 1)) < run->blocks) {
        if (!do_block(run, block, run->scratch + worker * run->each))
            run->failed = true;
        if (!worker && job->reporter && job->phase) {
            size_t done = atomic_load(&run->next);
            done = done * BLOCK_ROWS < job->count ? done * BLOCK_ROWS : job->count;
            sx_reporter_at(job->reporter, job->phase, "vectors", done, job->count);
        }
    }
}

sx_status sx_products_run(const sx_products *job, sx_error *error)
{
    product_run run = {.job = job, .kernels = sx_kernels_for(0), .blocks = (job->count + BLOCK_ROWS - 1) / BLOCK_ROWS};
    unsigned threads = sx_thread_pool_size(job->pool);
    run.panel_floats = sx_panel_columns(run.kernels, BLOCK_COLUMNS) * job->width;
    run.each = (run.panel_floats + (size_t)BLOCK_ROWS * BLOCK_COLUMNS + 15) / 16 * 16;
    run.scratch = sx_aligned_calloc(64, threads * run.each, sizeof(float));
    if (!run.scratch)
        return sx_fail_nomem(error, threads * run.each * sizeof(float));
    sx_thread_pool_offer(job->pool, work, &run);
    free(run.scratch);
    if (job->stop && *job->stop)
        return sx_fail(error, SX_E_STOPPED, "interrupted; nothing was changed");
    return run.failed ? sx_fail_nomem(error, 0) : SX_OK;
}

/* ---- Neighbours ---- */

typedef struct neighbour_run {
    const float *rows;
    size_t count, width, k;
    uint32_t *ids;
    float *scores;
    /* by a graph */
    sx_hnsw *graph;
    const volatile int *stop;
    sx_reporter *reporter;
    atomic_size_t next;
    atomic_int failed;
    sx_error *errors; /* for each thread */
} neighbour_run;

/* Keeps the list sorted; rows come in ascending order, so that of equal scores the lower row stays in front. */
static void offer(float *scores, uint32_t *ids, size_t k, float score, uint32_t id)
{
    size_t place = k;
    if (!(score > scores[k - 1]))
        return;
    while (place && score > scores[place - 1])
        place--;
    memmove(scores + place + 1, scores + place, (k - 1 - place) * sizeof *scores);
    memmove(ids + place + 1, ids + place, (k - 1 - place) * sizeof *ids);
    scores[place] = score;
    ids[place] = id;
}

static bool keep_best(void *user, size_t first_row, size_t rows, size_t first_column, size_t columns, const float *scores,
                      size_t stride)
{
    neighbour_run *run = user;
    for (size_t i = 0; i < rows; i++) {
        size_t row = first_row + i;
        float *best = run->scores + row * run->k;
        uint32_t *ids = run->ids + row * run->k;
        for (size_t j = 0; j < columns; j++)
            if (scores[i * stride + j] > best[run->k - 1] && first_column + j != row)
                offer(best, ids, run->k, scores[i * stride + j], (uint32_t)(first_column + j));
    }
    return true;
}

/* A graph may find fewer than k: then the rows that follow are taken with what they score, so that no list has holes. */
static void fill_up(const neighbour_run *run, size_t row, size_t have)
{
    uint32_t *ids = run->ids + row * run->k;
    float *scores = run->scores + row * run->k;
    for (size_t other = row; have < run->k;) {
        other = (other + 1) % run->count;
        bool known = other == row;
        for (size_t i = 0; i < have && !known; i++)
            known = ids[i] == other;
        if (known)
            continue;
        float sum = 0;
        for (size_t d = 0; d < run->width; d++)
            sum += run->rows[row * run->width + d] * run->rows[other * run->width + d];
        ids[have] = (uint32_t)other;
        scores[have++] = sum;
    }
}

static void search_graph(void *user, unsigned worker)
{
    neighbour_run *run = user;
    sx_hnsw_searcher *searcher = NULL;
    size_t first, ef = run->k + 1 > GRAPH_EF ? run->k + 1 : GRAPH_EF;
    sx_status status = sx_hnsw_searcher_open(run->graph, &searcher, &run->errors[worker]);
    while (!status && !run->failed && !(run->stop && *run->stop) &&
           (first = atomic_fetch_add(&run->next, GRAPH_BATCH)) < run->count) {
        size_t end = run->count - first < GRAPH_BATCH ? run->count : first + GRAPH_BATCH;
        for (size_t row = first; row < end && !status; row++) {
            const sx_ranked *found;
            size_t count = 0, have = 0;
            status = sx_hnsw_search(searcher, run->rows + row * run->width, ef, &found, &count, &run->errors[worker]);
            for (size_t i = 0; !status && i < count && have < run->k; i++) {
                if (found[i].id == (int64_t)row)
                    continue;
                run->ids[row * run->k + have] = (uint32_t)found[i].id;
                run->scores[row * run->k + have++] = found[i].score;
            }
            if (!status)
                fill_up(run, row, have);
        }
        if (!worker)
            sx_reporter_at(run->reporter, "finding neighbours", "vectors", end, run->count);
    }
    if (status)
        run->failed = (int)status;
    sx_hnsw_searcher_close(searcher);
}

static sx_status build_graph(neighbour_run *run, sx_thread_pool *pool, sx_error *error)
{
    sx_hnsw_rows rows = {.kind = SX_HNSW_F32,
                         .dimensions = (uint32_t)run->width,
                         .rows = run->rows,
                         .row_bytes = run->width * sizeof(float),
                         .block_shift = 32};
    uint32_t *places = sx_calloc(run->count, sizeof *places);
    if (!places)
        return sx_fail_nomem(error, run->count * sizeof *places);
    sx_status status = sx_hnsw_create(NULL, &rows, run->count, sx_dot_kernels_for(0), &run->graph, error);
    for (size_t i = 0; i < run->count; i++)
        places[i] = (uint32_t)i;
    for (size_t done = 0; done < run->count && !status;) {
        /* Small first steps: a batch sees only what was there before it. */
        size_t step = done < GRAPH_BATCH ? done + 1 : GRAPH_BATCH * 8;
        step = step < run->count - done ? step : run->count - done;
        status = sx_hnsw_insert(run->graph, places + done, step, pool, error);
        done += step;
        sx_reporter_at(run->reporter, "linking", "vectors", done, run->count);
        if (!status && run->stop && *run->stop)
            status = sx_fail(error, SX_E_STOPPED, "interrupted; nothing was changed");
    }
    free(places);
    return status;
}

static sx_status by_graph(neighbour_run *run, sx_thread_pool *pool, sx_error *error)
{
    unsigned threads = sx_thread_pool_size(pool);
    run->errors = sx_calloc(threads, sizeof *run->errors);
    sx_status status = run->errors ? build_graph(run, pool, error) : sx_fail_nomem(error, threads * sizeof *run->errors);
    if (!status)
        sx_thread_pool_offer(pool, search_graph, run);
    if (!status && run->failed) {
        status = (sx_status)run->failed;
        for (unsigned i = 0; i < threads; i++)
            if (run->errors[i].code == status)
                sx_fail(error, status, "%s", run->errors[i].message);
    }
    if (!status && run->stop && *run->stop)
        status = sx_fail(error, SX_E_STOPPED, "interrupted; nothing was changed");
    free(run->errors);
    sx_hnsw_close(run->graph);
    return status;
}

sx_status sx_neighbours(const float *rows, size_t count, size_t width, size_t k, sx_thread_pool *pool, const volatile int *stop,
                        sx_reporter *reporter, uint32_t *ids, float *scores, sx_error *error)
{
    neighbour_run run = {
        .rows = rows, .count = count, .width = width, .k = k, .ids = ids, .scores = scores, .stop = stop, .reporter = reporter};
    if (!k)
        return SX_OK;
    if (count > SX_NEIGHBOURS_EXACT)
        return by_graph(&run, pool, error);
    for (size_t i = 0; i < count * k; i++) {
        ids[i] = 0;
        scores[i] = -2; /* below every cosine */
    }
    return sx_products_run(&(sx_products){.rows = rows,
                                          .count = count,
                                          .width = width,
                                          .pool = pool,
                                          .visit = keep_best,
                                          .user = &run,
                                          .stop = stop,
                                          .reporter = reporter,
                                          .phase = "finding neighbours"},
                           error);
}
