/* segment_scan.c - exact search in a segment: every row's codes are read, and the row itself only when they do not rule it out.
 *
 * The score of the worst among the k best so far is a threshold that only rises. A row whose ceiling (codes.h) is below it can
 * never be among the best, nor tie with them; all others get their exact score at once. Whatever order the blocks are taken in,
 * and by however many threads, the best are the same. Threads tell each other their thresholds: each has k rows to show for its
 * own.
 *
 * Checked before they are used: a block of codes when it is first scanned, a row's floats whenever they are (a hash costs about
 * as much as the score). Version 1 has no codes; its rows are compared one and all.
 */
#include "segment_internal.h"

#include "../base/error.h"
#include "../base/memory.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

/* ---- Version 1 ---- */

static sx_status scan_plain(sx_segment *segment, const sx_exact_query *query, const sx_id_set *allowed, sx_topk *topk,
                            sx_error *error)
{
    const sx_segment_header *header = &segment->header;
    for (size_t block = 0; block < segment->blocks; block++) {
        size_t first = block * SX_SEGMENT_BLOCK_ROWS, count = sx_segment_block_rows(segment, block);
        const float *rows = segment->rows + first * header->stride;
        if (!segment->checked[block]) {
            uint64_t sum = XXH3_64bits(rows, count * header->stride * sizeof(float));
            if (sum != segment->sums[block])
                return sx_segment_damaged(segment, error, "a block's checksum", sum, segment->sums[block]);
            segment->checked[block] = 1;
        }
        sx_exact_scan(query->kernels, query->floats, header->dimensions, rows, header->stride, segment->ids + first, count,
                      allowed, topk);
    }
    return SX_OK;
}

/* ---- Version 2 ---- */

typedef struct coded_scan {
    sx_segment *segment;
    const sx_exact_query *query;
    const sx_id_set *allowed;
    sx_topk *topks;           /* of each worker; the first is the caller's */
    atomic_size_t next_block;
    _Atomic float threshold;  /* the highest that a worker has told; -infinity: none yet */
    atomic_int status;        /* of the first failure */
    sx_error error;           /* written by who set the status */
} coded_scan;

typedef struct block_scan {
    coded_scan *scan;
    sx_topk *topk;
    size_t first;             /* row of the segment */
    const uint8_t *codes;     /* of the block, as the next two */
    const float *scales, *errors;
} block_scan;

static float threshold_of(const coded_scan *scan, const sx_topk *topk)
{
    float shared = atomic_load_explicit(&scan->threshold, memory_order_relaxed);
    float own = topk->count == topk->capacity ? topk->items[0].score : -INFINITY;
    return own > shared ? own : shared;
}

static void tell_threshold(coded_scan *scan, float threshold)
{
    float shared = atomic_load_explicit(&scan->threshold, memory_order_relaxed);
    while (threshold > shared && !atomic_compare_exchange_weak(&scan->threshold, &shared, threshold))
        ;
}

static void fail(coded_scan *scan, const char *what, uint64_t found, uint64_t expected)
{
    int none = SX_OK;
    if (atomic_compare_exchange_strong(&scan->status, &none, SX_E_FORMAT))
        (void)sx_segment_damaged(scan->segment, &scan->error, what, found, expected);
}

/* False when the row is damaged. */
static bool offer_exactly(const block_scan *block, size_t i)
{
    const sx_segment *segment = block->scan->segment;
    size_t place = block->first + i, stride = segment->header.stride;
    const float *row = segment->rows + place * stride;
    uint64_t sum;
    if (!sx_segment_row_sound(segment, place, &sum)) {
        fail(block->scan, "a row's checksum", sum, segment->sums[place]);
        return false;
    }
    sx_exact_scan(block->scan->query->kernels, block->scan->query->floats, segment->header.dimensions, row, stride,
                  segment->ids + place, 1, NULL, block->topk);
    return true;
}

/* Rows begin .. begin + count - 1 of the block. */
static bool scan_run(const block_scan *block, size_t begin, size_t count)
{
    int32_t sums[SX_SEGMENT_BLOCK_ROWS];
    double ceilings[SX_SEGMENT_BLOCK_ROWS];
    const sx_exact_query *query = block->scan->query;
    size_t stride = sx_segment_codes_stride(block->scan->segment->header.dimensions);
    query->kernels->codes(&(sx_code_job){.queries = query->numbers, .query_count = 1, .rows = block->codes + begin * stride,
                                         .count = count, .stride = stride, .dimensions = query->dimensions, .out = sums});
    for (size_t i = 0; i < count; i++)
        ceilings[i] = sx_score_ceiling(query, sums[i], block->scales[begin + i], block->errors[begin + i]);
    float threshold = threshold_of(block->scan, block->topk);
    for (size_t i = 0; i < count; i++) {
        if (ceilings[i] < threshold) /* not so for NaN */
            continue;
        if (!offer_exactly(block, begin + i))
            return false;
        threshold = threshold_of(block->scan, block->topk);
    }
    return true;
}

/* The runs of rows whose ids are allowed. */
static bool scan_allowed(const block_scan *block, const int64_t *ids, size_t count)
{
    for (sx_allowed_runs run = {0}; sx_allowed_runs_next(&run, block->scan->allowed, ids, count);)
        if (!scan_run(block, run.at, run.length))
            return false;
    return true;
}

static bool any_allowed(const sx_id_set *allowed, int64_t first, int64_t last)
{
    size_t at = sx_exact_lower_bound(allowed->ids, allowed->count, first);
    return at < allowed->count && allowed->ids[at] <= last;
}

static bool scan_block(coded_scan *scan, size_t number, sx_topk *topk)
{
    sx_segment *segment = scan->segment;
    size_t first = number * SX_SEGMENT_BLOCK_ROWS, count = sx_segment_block_rows(segment, number);
    uint32_t dimensions = segment->header.dimensions;
    const uint8_t *codes = segment->codes + number * sx_segment_codes_bytes(dimensions, SX_SEGMENT_BLOCK_ROWS);
    const float *scales = (const float *)(const void *)(codes + count * sx_segment_codes_stride(dimensions));
    const int64_t *ids = segment->ids + first;
    if (scan->allowed && !any_allowed(scan->allowed, ids[0], ids[count - 1]))
        return true;
    if (!segment->checked[number]) {
        uint64_t sum;
        if (!sx_segment_codes_sound(segment, number, &sum)) {
            fail(scan, "a block's checksum", sum, segment->codes_sums[number]);
            return false;
        }
        segment->checked[number] = 1;
    }
    block_scan block = {scan, topk, first, codes, scales, scales + count};
    return scan->allowed ? scan_allowed(&block, ids, count) : scan_run(&block, 0, count);
}

/* Takes blocks from the counter until there is none left or one has failed. */
static void work(void *user, unsigned worker)
{
    coded_scan *scan = user;
    sx_topk *topk = &scan->topks[worker];
    size_t block;
    while (atomic_load_explicit(&scan->status, memory_order_relaxed) == SX_OK &&
           (block = atomic_fetch_add_explicit(&scan->next_block, 1, memory_order_relaxed)) < scan->segment->blocks) {
        if (!scan_block(scan, block, topk))
            return;
        tell_threshold(scan, threshold_of(scan, topk));
    }
}

static sx_status scan_coded(sx_segment *segment, const sx_exact_query *query, const sx_id_set *allowed, sx_thread_pool *pool,
                            sx_topk *topk, sx_error *error)
{
    unsigned workers = pool ? sx_thread_pool_size(pool) : 1;
    coded_scan scan = {.segment = segment, .query = query, .allowed = allowed};
    sx_status status = SX_OK;
    atomic_init(&scan.threshold, -INFINITY);
    scan.topks = sx_calloc(workers, sizeof *scan.topks);
    if (!scan.topks)
        return sx_fail_nomem(error, workers * sizeof *scan.topks);
    scan.topks[0] = *topk;
    for (unsigned i = 1; i < workers && !status; i++)
        if (!sx_topk_open(&scan.topks[i], topk->capacity))
            status = sx_fail_nomem(error, topk->capacity * sizeof(sx_ranked));
    if (!status && workers > 1)
        sx_thread_pool_offer(pool, work, &scan);
    else if (!status)
        work(&scan, 0);
    topk->count = scan.topks[0].count;
    if (!status && (status = (sx_status)atomic_load(&scan.status)) && error)
        *error = scan.error;
    for (unsigned i = 1; i < workers; i++) {
        for (size_t j = 0; j < scan.topks[i].count; j++)
            sx_topk_offer(topk, scan.topks[i].items[j].id, scan.topks[i].items[j].score);
        sx_topk_close(&scan.topks[i]);
    }
    free(scan.topks);
    return status;
}

sx_status sx_segment_scan(sx_segment *segment, const sx_exact_query *query, const sx_id_set *allowed, sx_thread_pool *pool,
                          sx_topk *topk, sx_error *error)
{
    if (!topk->capacity)
        return SX_OK;
    return segment->codes ? scan_coded(segment, query, allowed, pool, topk, error)
                          : scan_plain(segment, query, allowed, topk, error);
}
