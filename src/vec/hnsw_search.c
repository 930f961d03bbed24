/* hnsw_search.c - the walk through the graph: a list of the best nodes met, best first, whose neighbours are looked at in turn until
 * all of the list have been (algorithm 2 of the paper; one sorted list does the work of its two heaps).
 *
 * A node's unseen neighbours are scored together. Each lies somewhere else in memory, so all are asked for before the first is
 * needed; that, and not arithmetic, is what a search spends its time on. */
#include "hnsw_internal.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../kern/half.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 64, MOST_LINES = 12 };
static const uint32_t visited = (uint32_t)1 << 31;

/* ---- What a searcher holds ---- */

sx_status sx_hnsw_searcher_open(const sx_hnsw *graph, sx_hnsw_searcher **out, sx_error *error)
{
    sx_hnsw_searcher *searcher = sx_calloc(1, sizeof *searcher);
    size_t padded = sx_code_dimensions(graph->rows.dimensions);
    *out = NULL;
    if (!searcher)
        return sx_fail_nomem(error, sizeof *searcher);
    searcher->graph = graph;
    if (graph->rows.kind == SX_HNSW_CODES)
        searcher->query.bytes = sx_aligned_calloc(LINE, padded, 1);
    else
        searcher->query.floats = sx_aligned_calloc(LINE, padded, sizeof(float));
    if (!searcher->query.bytes && !searcher->query.floats) {
        sx_hnsw_searcher_close(searcher);
        return sx_fail_nomem(error, padded * sizeof(float));
    }
    *out = searcher;
    return SX_OK;
}

void sx_hnsw_searcher_close(sx_hnsw_searcher *searcher)
{
    if (!searcher)
        return;
    free(searcher->stamps);
    free(searcher->query.floats);
    free(searcher->query.bytes);
    free(searcher->list);
    free(searcher->addresses);
    free(searcher->batch);
    free(searcher->sums);
    free(searcher->scores);
    free(searcher->found);
    free(searcher);
}

sx_status sx_hnsw_searcher_room(sx_hnsw_searcher *searcher, size_t batch, sx_error *error)
{
    if (batch <= searcher->batch_capacity)
        return SX_OK;
    void *addresses = sx_realloc_array(searcher->addresses, batch, sizeof *searcher->addresses);
    searcher->addresses = addresses ? addresses : searcher->addresses;
    void *places = sx_realloc_array(searcher->batch, batch, sizeof *searcher->batch);
    searcher->batch = places ? places : searcher->batch;
    void *sums = sx_realloc_array(searcher->sums, batch, sizeof *searcher->sums);
    searcher->sums = sums ? sums : searcher->sums;
    void *scores = sx_realloc_array(searcher->scores, batch, sizeof *searcher->scores);
    searcher->scores = scores ? scores : searcher->scores;
    if (!addresses || !places || !sums || !scores)
        return sx_fail_nomem(error, batch * sizeof *searcher->addresses);
    searcher->batch_capacity = batch;
    return SX_OK;
}

sx_status sx_hnsw_searcher_prepare(sx_hnsw_searcher *searcher, size_t ef, sx_error *error)
{
    const sx_hnsw *graph = searcher->graph;
    if (searcher->stamped < graph->capacity) {
        free(searcher->stamps);
        searcher->stamped = 0;
        searcher->stamp = 0;
        if (!(searcher->stamps = sx_calloc(graph->capacity, 1)))
            return sx_fail_nomem(error, graph->capacity);
        searcher->stamped = graph->capacity;
    }
    if (!sx_reserve((void **)&searcher->list, &searcher->capacity, ef, sizeof *searcher->list))
        return sx_fail_nomem(error, ef * sizeof *searcher->list);
    return sx_hnsw_searcher_room(searcher, graph->width, error);
}

void sx_hnsw_begin(sx_hnsw_searcher *searcher)
{
    if (++searcher->stamp == 0) {
        memset(searcher->stamps, 0, searcher->stamped);
        searcher->stamp = 1;
    }
    for (size_t i = 0; i < searcher->count; i++)
        searcher->stamps[searcher->list[i].place] = searcher->stamp;
}

/* ---- Scores ---- */

static void query_of_floats(sx_hnsw_searcher *searcher, const float *floats)
{
    uint32_t dimensions = searcher->graph->rows.dimensions;
    sx_hnsw_query *query = &searcher->query;
    if (query->floats) {
        memcpy(query->floats, floats, dimensions * sizeof *floats);
        return;
    }
    const float most = 127.0f;
    float largest = 0.0f;
    for (uint32_t k = 0; k < dimensions; k++)
        largest = fmaxf(largest, fabsf(floats[k]));
    query->scale = largest / most;
    for (uint32_t k = 0; k < dimensions; k++) {
        float x = query->scale > 0.0f ? rintf(floats[k] / query->scale) : 0.0f;
        query->bytes[k] = (int8_t)(x > most ? most : x < -most ? -most : x);
    }
}

void sx_hnsw_query_of_row(sx_hnsw_searcher *searcher, uint32_t place)
{
    const sx_hnsw_rows *rows = &searcher->graph->rows;
    sx_hnsw_query *query = &searcher->query;
    const void *row = sx_hnsw_row(rows, place);
    if (rows->kind == SX_HNSW_F32) {
        memcpy(query->floats, row, rows->dimensions * sizeof(float));
    } else if (rows->kind == SX_HNSW_F16) {
        for (uint32_t k = 0; k < rows->dimensions; k++)
            query->floats[k] = float_of_half(((const uint16_t *)row)[k]);
    } else {
        for (uint32_t k = 0; k < rows->dimensions; k++)
            query->bytes[k] = (int8_t)(((const uint8_t *)row)[k] ^ 0x80);
        query->scale = rows->scales[place];
    }
}

void sx_hnsw_score(sx_hnsw_searcher *searcher, size_t count)
{
    const sx_hnsw *graph = searcher->graph;
    const sx_hnsw_rows *rows = &graph->rows;
    if (rows->kind == SX_HNSW_CODES) {
        graph->kernels->bytes(&(sx_byte_job){.query = searcher->query.bytes, .rows = (const uint8_t *const *)searcher->addresses,
                                             .count = count, .dimensions = rows->dimensions, .out = searcher->sums});
        for (size_t i = 0; i < count; i++)
            searcher->scores[i] = (float)searcher->sums[i] * (searcher->query.scale * rows->scales[searcher->batch[i]]);
    } else {
        void (*dot)(const sx_dot_job *) = rows->kind == SX_HNSW_F32 ? graph->kernels->f32 : graph->kernels->f16;
        for (size_t i = 0; i < count; i++)
            dot(&(sx_dot_job){.queries = searcher->query.floats, .query_count = 1, .rows = searcher->addresses[i], .count = 1,
                              .dimensions = rows->dimensions, .out = &searcher->scores[i]});
    }
    if (rows->biases)
        for (size_t i = 0; i < count; i++)
            searcher->scores[i] -= rows->biases[searcher->batch[i]];
}

static void fetch(const sx_hnsw_rows *rows, const void *row, uint32_t place)
{
    size_t lines = (rows->row_bytes + LINE - 1) / LINE;
    for (size_t i = 0; i < lines && i < MOST_LINES; i++)
        __builtin_prefetch((const char *)row + i * LINE);
    if (rows->scales)
        __builtin_prefetch(rows->scales + place);
}

/* ---- The list ---- */

/* Takes in what was scored, if it is good enough; returns the place in the list of the best taken in, or `cursor`. */
static size_t take_in(sx_hnsw_searcher *searcher, size_t scored, size_t ef, size_t cursor)
{
    sx_hnsw_candidate *list = searcher->list;
    size_t count = searcher->count;
    for (size_t i = 0; i < scored; i++) {
        sx_hnsw_candidate fresh = {searcher->scores[i], searcher->batch[i]};
        if (isnan(fresh.score) || (count == ef && fresh.score < list[ef - 1].score))
            continue;
        size_t low = 0, high = count;
        while (low < high) {
            size_t middle = (low + high) / 2;
            bool before = list[middle].score > fresh.score ||
                          (list[middle].score == fresh.score && (list[middle].place & ~visited) < fresh.place);
            low = before ? middle + 1 : low;
            high = before ? high : middle;
        }
        if (low == ef)
            continue;
        count += count < ef;
        memmove(list + low + 1, list + low, (count - low - 1) * sizeof *list);
        list[low] = fresh;
        cursor = low < cursor ? low : cursor;
    }
    searcher->count = count;
    return cursor;
}

void sx_hnsw_take_in(sx_hnsw_searcher *searcher, size_t scored)
{
    (void)take_in(searcher, scored, searcher->count + scored, 0);
}

/* Puts the neighbours that were not met yet into the batch. */
static sx_status gather(sx_hnsw_searcher *searcher, const uint32_t *list, size_t width, size_t *gathered, sx_error *error)
{
    const sx_hnsw_rows *rows = &searcher->graph->rows;
    size_t count = 0;
    for (size_t i = 0; i < width && list[i] != SX_HNSW_END; i++) {
        uint32_t place = list[i];
        if (sx_hnsw_is_copy(place) || searcher->stamps[place] == searcher->stamp)
            continue;
        searcher->stamps[place] = searcher->stamp;
        if (rows->sound && !rows->sound[place >> rows->block_shift]) {
            sx_status status = rows->make_sound(rows->user, place >> rows->block_shift, error);
            if (status)
                return status;
        }
        searcher->batch[count] = place;
        searcher->addresses[count] = sx_hnsw_row(rows, place);
        fetch(rows, searcher->addresses[count], place);
        count++;
    }
    *gathered = count;
    return SX_OK;
}

static sx_status make_list_sound(const sx_hnsw *graph, uint32_t place, sx_error *error)
{
    size_t block = place / SX_HNSW_BLOCK_NODES;
    bool sound = !graph->sound || __atomic_load_n(&graph->sound[block], __ATOMIC_ACQUIRE);
    return sound ? SX_OK : sx_hnsw_check_block(graph, block, error);
}

sx_status sx_hnsw_walk(sx_hnsw_searcher *searcher, uint32_t level, size_t ef, sx_error *error)
{
    const sx_hnsw *graph = searcher->graph;
    size_t width = sx_hnsw_width(graph, level), gathered;
    for (size_t cursor = 0; cursor < searcher->count;) {
        sx_hnsw_candidate *at = &searcher->list[cursor];
        if (at->place & visited) {
            cursor++;
            continue;
        }
        uint32_t place = at->place;
        at->place |= visited;
        sx_status status = level ? SX_OK : make_list_sound(graph, place, error);
        if (!status)
            status = gather(searcher, sx_hnsw_list(graph, place, level), width, &gathered, error);
        if (status)
            return status;
        if (level == 0 && cursor + 1 < searcher->count) {
            const uint32_t *next = sx_hnsw_list(graph, at[1].place & ~visited, 0);
            __builtin_prefetch(next);
            __builtin_prefetch(next + LINE / sizeof *next);
        }
        sx_hnsw_score(searcher, gathered);
        cursor = take_in(searcher, gathered, ef, cursor);
    }
    for (size_t i = 0; i < searcher->count; i++)
        searcher->list[i].place &= ~visited;
    return SX_OK;
}

/* One row at a time, on the way down. */
static sx_status score_one(sx_hnsw_searcher *searcher, uint32_t place, sx_hnsw_candidate *out, sx_error *error)
{
    size_t gathered;
    const uint32_t list[2] = {place, SX_HNSW_END};
    sx_status status = gather(searcher, list, 2, &gathered, error);
    if (status)
        return status;
    sx_hnsw_score(searcher, gathered);
    *out = (sx_hnsw_candidate){isnan(searcher->scores[0]) ? -INFINITY : searcher->scores[0], place};
    return SX_OK;
}

sx_status sx_hnsw_descend(sx_hnsw_searcher *searcher, uint32_t level, sx_error *error)
{
    const sx_hnsw *graph = searcher->graph;
    sx_hnsw_candidate best = {0};
    searcher->count = 0;
    sx_hnsw_begin(searcher);
    sx_status status = score_one(searcher, graph->entry, &best, error);
    for (uint32_t at = graph->top; at > level && !status; at--)
        for (bool better = true; better && !status;) {
            size_t gathered;
            better = false;
            status = gather(searcher, sx_hnsw_upper_list(graph, best.place, at), graph->links, &gathered, error);
            if (status)
                break;
            sx_hnsw_score(searcher, gathered);
            for (size_t i = 0; i < gathered; i++)
                if (searcher->scores[i] > best.score) {
                    best = (sx_hnsw_candidate){searcher->scores[i], searcher->batch[i]};
                    better = true;
                }
        }
    searcher->list[0] = best;
    searcher->count = 1;
    return status;
}

/* ---- Searching ---- */

/* Rings of equal rows are not walked, since they would fill the list and leave no room for the way to others. Now the copies
 * of what was found come in, with its score. */
static sx_status add_copies(sx_hnsw_searcher *searcher, size_t ef, sx_error *error)
{
    const sx_hnsw *graph = searcher->graph;
    sx_status status = SX_OK;
    size_t added = 0;
    for (size_t i = 0; i < searcher->count && added < ef && !status; i++) {
        uint32_t at = searcher->list[i].place;
        while (added < ef && !(status = make_list_sound(graph, at, error)) && sx_hnsw_is_copy(sx_hnsw_list(graph, at, 0)[0])) {
            at = sx_hnsw_neighbour(sx_hnsw_list(graph, at, 0)[0]);
            if (searcher->stamps[at] == searcher->stamp)
                break;
            if ((status = sx_hnsw_searcher_room(searcher, ef, error)))
                break;
            searcher->stamps[at] = searcher->stamp;
            searcher->scores[added] = searcher->list[i].score;
            searcher->batch[added++] = at;
        }
    }
    if (!status)
        (void)take_in(searcher, added, ef, 0);
    return status;
}

static sx_status search(sx_hnsw_searcher *searcher, const float *query, size_t ef, sx_error *error)
{
    const sx_hnsw *graph = searcher->graph;
    searcher->count = 0;
    if (!graph->count)
        return SX_OK;
    ef = ef < graph->places ? ef : graph->places;
    sx_status status = sx_hnsw_searcher_prepare(searcher, ef, error);
    if (status)
        return status;
    query_of_floats(searcher, query);
    status = sx_hnsw_descend(searcher, 0, error);
    if (status)
        return status;
    sx_hnsw_begin(searcher);
    status = sx_hnsw_walk(searcher, 0, ef, error);
    return status ? status : add_copies(searcher, ef, error);
}

sx_status sx_hnsw_search(sx_hnsw_searcher *searcher, const float *query, size_t ef, const sx_ranked **found, size_t *count,
                         sx_error *error)
{
    sx_hnsw *graph = (sx_hnsw *)(uintptr_t)searcher->graph; /* for its lock */
    *found = searcher->found;
    *count = 0;
    if (!ef)
        return SX_OK;
    if (!graph->sound)
        pthread_rwlock_rdlock(&graph->access);
    sx_status status = search(searcher, query, ef, error);
    if (!status && !sx_reserve((void **)&searcher->found, &searcher->found_capacity, searcher->count, sizeof *searcher->found))
        status = sx_fail_nomem(error, searcher->count * sizeof *searcher->found);
    for (size_t i = 0; i < searcher->count && !status; i++) {
        uint32_t place = searcher->list[i].place;
        if (!graph->removed || !graph->removed[place])
            searcher->found[(*count)++] = (sx_ranked){place, searcher->list[i].score};
    }
    if (!graph->sound)
        pthread_rwlock_unlock(&graph->access);
    *found = searcher->found;
    return status;
}
