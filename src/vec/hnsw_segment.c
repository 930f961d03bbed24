/* hnsw_segment.c - makes, opens and searches the graph of a segment.
 *
 * Blocks of codes are checked when the walk first comes to one, rows when they are scored, so a search trusts nothing that was not
 * looked at. */
#include "hnsw_segment.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "segment_internal.h"

#include <stdlib.h>
#include <string.h>

enum { GRAPH_ROWS = 10000, SCORED_MORE = 16 };

struct sx_segment_graph {
    sx_segment *segment;
    sx_hnsw *graph;
    sx_hnsw_searcher *searcher;
};

bool sx_segment_wants_graph(const sx_segment *segment, size_t least)
{
    return segment->codes && segment->header.rows >= (least ? least : GRAPH_ROWS) && segment->header.rows <= SX_HNSW_MOST_ROWS;
}

static sx_status make_sound(void *user, size_t block, sx_error *error)
{
    sx_segment *segment = user;
    uint64_t sum;
    if (!sx_segment_codes_sound(segment, block, &sum))
        return sx_segment_damaged(segment, error, "a block's checksum", sum, segment->codes_sums[block]);
    segment->checked[block] = 1;
    return SX_OK;
}

static sx_hnsw_rows rows_of(sx_segment *segment, const float *scales)
{
    uint32_t dimensions = segment->header.dimensions;
    return (sx_hnsw_rows){.kind = SX_HNSW_CODES, .dimensions = dimensions, .rows = segment->codes,
                          .row_bytes = sx_segment_codes_stride(dimensions), .block_shift = __builtin_ctz(SX_SEGMENT_BLOCK_ROWS),
                          .block_bytes = sx_segment_codes_bytes(dimensions, SX_SEGMENT_BLOCK_ROWS), .scales = scales,
                          .sound = segment->checked, .make_sound = make_sound, .user = segment};
}

/* ---- Making ---- */

/* The scales of all rows, side by side; their blocks are then known to be sound. */
static sx_status read_scales(sx_segment *segment, float *scales, sx_error *error)
{
    uint32_t dimensions = segment->header.dimensions;
    sx_status status = SX_OK;
    for (size_t block = 0; block < segment->blocks && !status; block++) {
        size_t count = sx_segment_block_rows(segment, block);
        const uint8_t *codes = segment->codes + block * sx_segment_codes_bytes(dimensions, SX_SEGMENT_BLOCK_ROWS);
        status = make_sound(segment, block, error);
        memcpy(scales + block * SX_SEGMENT_BLOCK_ROWS, codes + count * sx_segment_codes_stride(dimensions),
               count * sizeof *scales);
    }
    return status;
}

/* Where the old graph's rows are in this segment: both have their ids in order. */
static uint32_t *map_ids(const sx_segment *segment, const sx_segment *old)
{
    uint32_t *map = sx_calloc(old->header.rows, sizeof *map);
    for (size_t i = 0, at = 0; map && i < old->header.rows; i++) {
        while (at < segment->header.rows && segment->ids[at] < old->ids[i])
            at++;
        bool here = at < segment->header.rows && segment->ids[at] == old->ids[i];
        map[i] = here ? (uint32_t)at : SX_HNSW_NOWHERE;
    }
    return map;
}

static sx_status insert_missing(sx_segment *segment, sx_hnsw *graph, sx_thread_pool *pool, sx_error *error)
{
    uint32_t *places = sx_calloc(segment->header.rows, sizeof *places);
    size_t count = 0;
    if (!places)
        return sx_fail_nomem(error, segment->header.rows * sizeof *places);
    for (size_t i = 0; i < segment->header.rows; i++)
        if (!sx_hnsw_contains(graph, (uint32_t)i))
            places[count++] = (uint32_t)i;
    sx_status status = sx_hnsw_insert(graph, places, count, pool, error);
    free(places);
    return status;
}

sx_status sx_segment_graph_build(sx_segment *segment, const sx_segment_graph *old, const char *path, const char *temporary,
                                 const sx_hnsw_watch *watch, sx_thread_pool *pool, sx_error *error)
{
    const sx_dot_kernels *kernels = sx_dot_kernels_for(0);
    uint32_t *map = NULL;
    sx_hnsw *graph = NULL;
    sx_status status;
    float *scales = sx_calloc(segment->header.rows, sizeof *scales);
    if (!scales || (old && !(map = map_ids(segment, old->segment)))) {
        status = sx_fail_nomem(error, segment->header.rows * sizeof *scales);
        goto out;
    }
    sx_hnsw_rows rows = rows_of(segment, scales);
    status = read_scales(segment, scales, error);
    if (!status)
        status = sx_hnsw_create(NULL, &rows, segment->header.rows, kernels, &graph, error);
    if (!status)
        sx_hnsw_set_watch(graph, watch);
    if (!status && old && sx_hnsw_adopt(graph, old->graph, map, pool, NULL)) {
        /* It is damaged, say: there is another way. */
        sx_hnsw_close(graph);
        status = sx_hnsw_create(NULL, &rows, segment->header.rows, kernels, &graph, error);
        if (!status)
            sx_hnsw_set_watch(graph, watch);
    }
    if (!status)
        status = insert_missing(segment, graph, pool, error);
    if (!status)
        status = sx_hnsw_save(graph, path, temporary, segment->header.header_sum, pool, error);
out:
    sx_hnsw_close(graph);
    free(map);
    free(scales);
    return status;
}

/* ---- Searching ---- */

sx_status sx_segment_graph_open(sx_segment *segment, const char *path, sx_segment_graph **out, sx_error *error)
{
    *out = NULL;
    if (!segment->codes)
        return sx_fail(error, SX_E_NOT_FOUND, "%s: version 1 has no codes, so it has no graph", segment->path);
    sx_segment_graph *graph = sx_calloc(1, sizeof *graph);
    if (!graph)
        return sx_fail_nomem(error, sizeof *graph);
    graph->segment = segment;
    sx_hnsw_rows rows = rows_of(segment, NULL);
    sx_status status =
        sx_hnsw_open(path, segment->header.header_sum, &rows, segment->header.rows, sx_dot_kernels_for(0), &graph->graph, error);
    if (!status)
        status = sx_hnsw_searcher_open(graph->graph, &graph->searcher, error);
    if (status)
        sx_segment_graph_close(graph);
    else
        *out = graph;
    return status;
}

void sx_segment_graph_close(sx_segment_graph *graph)
{
    if (!graph)
        return;
    sx_hnsw_searcher_close(graph->searcher);
    sx_hnsw_close(graph->graph);
    free(graph);
}

static bool is_allowed(const sx_id_set *allowed, int64_t id)
{
    if (!allowed)
        return true;
    size_t at = sx_exact_lower_bound(allowed->ids, allowed->count, id);
    return at < allowed->count && allowed->ids[at] == id;
}

/* How many of the segment's rows are allowed, or a few more: some ids between its first and last are of no row. */
static size_t count_allowed(const sx_segment *segment, const sx_id_set *allowed)
{
    if (!allowed)
        return segment->header.rows;
    size_t first = sx_exact_lower_bound(allowed->ids, allowed->count, segment->ids[0]);
    size_t end = sx_exact_lower_bound(allowed->ids, allowed->count, segment->ids[segment->header.rows - 1] + 1);
    return end - first < segment->header.rows ? end - first : segment->header.rows;
}

sx_status sx_segment_graph_search(sx_segment_graph *graph, const sx_exact_query *query, size_t ef, const sx_id_set *allowed,
                                  sx_topk *topk, bool *done, sx_error *error)
{
    sx_segment *segment = graph->segment;
    size_t rows = segment->header.rows, stride = segment->header.stride, count, most = 0;
    size_t scored = topk->capacity + SCORED_MORE;
    const sx_ranked *found;
    *done = false;
    ef = sx_hnsw_filter_ef(ef > scored ? ef : scored, count_allowed(segment, allowed), rows);
    if (!ef)
        return SX_OK;
    sx_status status = sx_hnsw_search(graph->searcher, query->floats, ef, &found, &count, error);
    if (status)
        return status;
    for (size_t i = 0; i < count; i++)
        most += is_allowed(allowed, segment->ids[found[i].id]);
    if (most < topk->capacity)
        return SX_OK;
    for (size_t i = 0; i < count && scored && !status; i++) {
        size_t place = (size_t)found[i].id;
        uint64_t sum;
        if (!is_allowed(allowed, segment->ids[place]))
            continue;
        if (!sx_segment_row_sound(segment, place, &sum))
            return sx_segment_damaged(segment, error, "a row's checksum", sum, segment->sums[place]);
        sx_exact_scan(query->kernels, query->floats, segment->header.dimensions, segment->rows + place * stride, stride,
                      segment->ids + place, 1, NULL, topk);
        scored--;
    }
    *done = true;
    return status;
}
