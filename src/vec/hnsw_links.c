/* hnsw_links.c - which neighbours a node keeps: a candidate that is nearer to one already chosen than to the node is left out, so
 * that links go in different directions (algorithm 4 of the paper).
 *
 * Copies of the node itself are counted apart. They are as near to everything as the node is, so they would keep out all others,
 * and a text that stands in a thousand files would be an island of its own. */
#include "hnsw_internal.h"

#include "../base/error.h"

#include <string.h>

enum { MOST_COPIES = 4, TOGETHER = 4 };

static float bias_of(const sx_hnsw_rows *rows, uint32_t place)
{
    return rows->biases ? rows->biases[place] : 0.0f;
}

static bool same_rows(const sx_hnsw_rows *rows, uint32_t a, uint32_t b)
{
    size_t bytes = rows->dimensions * (rows->kind == SX_HNSW_F32 ? sizeof(float) : rows->kind == SX_HNSW_F16 ? 2 : 1);
    return memcmp(sx_hnsw_row(rows, a), sx_hnsw_row(rows, b), bytes) == 0 &&
           (!rows->scales || rows->scales[a] == rows->scales[b]);
}

/* Whether the row in the query is nearer to one of the first `count` addresses than `score`. */
static bool kept_out(sx_hnsw_searcher *searcher, const void **addresses, uint32_t *places, size_t count, float score)
{
    const void **all_addresses = searcher->addresses;
    uint32_t *all_places = searcher->batch;
    bool out = false;
    for (size_t i = 0; i < count && !out; i += TOGETHER) {
        size_t part = count - i < TOGETHER ? count - i : TOGETHER;
        searcher->addresses = addresses + i;
        searcher->batch = places + i;
        sx_hnsw_score(searcher, part);
        for (size_t j = 0; j < part; j++)
            out = out || searcher->scores[j] > score;
    }
    searcher->addresses = all_addresses;
    searcher->batch = all_places;
    return out;
}

size_t sx_hnsw_choose(sx_hnsw_searcher *searcher, uint32_t place, size_t width, uint32_t *chosen)
{
    const sx_hnsw_rows *rows = &searcher->graph->rows;
    const void *addresses[2 * SX_HNSW_MOST_LINKS];
    uint32_t places[2 * SX_HNSW_MOST_LINKS];
    size_t count = 0, apart = 0, copies = 0;
    float bias = bias_of(rows, place);
    for (size_t i = 0; i < searcher->count && count < width; i++) {
        sx_hnsw_candidate candidate = searcher->list[i];
        if (candidate.place == place)
            continue;
        if (same_rows(rows, place, candidate.place)) {
            if (copies++ < MOST_COPIES)
                chosen[count++] = candidate.place;
            continue;
        }
        sx_hnsw_query_of_row(searcher, candidate.place);
        float score = candidate.score + bias_of(rows, candidate.place) - bias;
        if (kept_out(searcher, addresses, places, apart, score))
            continue;
        addresses[apart] = sx_hnsw_row(rows, candidate.place);
        places[apart++] = candidate.place;
        chosen[count++] = candidate.place;
    }
    return count;
}

/* Adds a neighbour to the batch once. */
static void put(sx_hnsw_searcher *searcher, uint32_t place, size_t *count)
{
    if (searcher->stamps[place] == searcher->stamp)
        return;
    searcher->stamps[place] = searcher->stamp;
    searcher->addresses[*count] = sx_hnsw_row(&searcher->graph->rows, place);
    searcher->batch[(*count)++] = place;
}

/* Room for `most` candidates of `place`, none of them met. */
static sx_status begin(sx_hnsw_searcher *searcher, uint32_t place, size_t most, sx_error *error)
{
    sx_status status = sx_hnsw_searcher_room(searcher, most, error);
    if (!status)
        status = sx_hnsw_searcher_prepare(searcher, most, error);
    if (status)
        return status;
    searcher->count = 0;
    sx_hnsw_begin(searcher);
    searcher->stamps[place] = searcher->stamp;
    return SX_OK;
}

static void choose_among(sx_hnsw_searcher *searcher, uint32_t place, size_t count, uint32_t *list, size_t width)
{
    sx_hnsw_query_of_row(searcher, place);
    sx_hnsw_score(searcher, count);
    sx_hnsw_take_in(searcher, count);
    size_t kept = sx_hnsw_choose(searcher, place, width, list);
    memset(list + kept, 0xff, (width - kept) * sizeof *list);
}

sx_status sx_hnsw_mend(sx_hnsw_searcher *searcher, uint32_t place, uint32_t level, const uint32_t *more, size_t more_count,
                       sx_error *error)
{
    const sx_hnsw *graph = searcher->graph;
    uint32_t *list = sx_hnsw_list(graph, place, level);
    size_t width = sx_hnsw_width(graph, level), length = sx_hnsw_list_length(list, width), count = 0;
    sx_status status = begin(searcher, place, length + more_count, error);
    if (status)
        return status;
    for (size_t i = 0; i < length; i++)
        put(searcher, list[i], &count);
    for (size_t i = 0; i < more_count; i++)
        put(searcher, more[i], &count);
    if (count <= width)
        memcpy(list, searcher->batch, count * sizeof *list);
    else
        choose_among(searcher, place, count, list, width);
    return SX_OK;
}

static uint32_t now_at(const sx_hnsw_origin *origin, uint32_t place)
{
    return origin->map ? origin->map[place] : origin->graph->removed[place] ? SX_HNSW_NOWHERE : place;
}

sx_status sx_hnsw_renew(sx_hnsw_searcher *searcher, uint32_t place, uint32_t level, const sx_hnsw_origin *origin,
                        uint32_t origin_place, sx_error *error)
{
    const sx_hnsw *graph = searcher->graph;
    uint32_t *list = sx_hnsw_list(graph, place, level);
    const uint32_t *old = sx_hnsw_list(origin->graph, origin_place, level);
    size_t width = sx_hnsw_width(graph, level), length = sx_hnsw_list_length(old, width), gone = 0, count = 0;
    for (size_t i = 0; i < length; i++)
        gone += now_at(origin, old[i]) == SX_HNSW_NOWHERE;
    if (!gone) {
        for (size_t i = 0; i < length; i++)
            list[i] = now_at(origin, old[i]);
        return SX_OK;
    }
    sx_status status = begin(searcher, place, length + gone * width, error);
    if (status)
        return status;
    for (size_t i = 0; i < length; i++) {
        uint32_t neighbour = now_at(origin, old[i]);
        if (neighbour != SX_HNSW_NOWHERE) {
            put(searcher, neighbour, &count);
            continue;
        }
        const uint32_t *theirs = sx_hnsw_list(origin->graph, old[i], level);
        for (size_t j = 0; j < width && theirs[j] != SX_HNSW_END; j++)
            if ((neighbour = now_at(origin, theirs[j])) != SX_HNSW_NOWHERE)
                put(searcher, neighbour, &count);
    }
    choose_among(searcher, place, count, list, width);
    return SX_OK;
}
