/* hnsw_links.c - which neighbours a node keeps: a candidate that is nearer to one already chosen than to the node is left out, so
 * that links go in different directions (algorithm 4 of the paper).
 *
 * Copies of a node are as near to everything as the node is: they would keep out all others, and be kept out themselves. So they
 * are no neighbours; equal rows form a ring on the lowest level, each with the next one first in its list. Who comes to one comes
 * to all, and a text that stands in a thousand files is neither lost nor an island. */
#include "hnsw_internal.h"

#include "../base/error.h"

#include <string.h>

enum { TOGETHER = 4 };

static float bias_of(const sx_hnsw_rows *rows, uint32_t place)
{
    return rows->biases ? rows->biases[place] : 0.0f;
}

bool sx_hnsw_same_rows(const sx_hnsw_rows *rows, uint32_t a, uint32_t b)
{
    return memcmp(sx_hnsw_row(rows, a), sx_hnsw_row(rows, b), sx_hnsw_compared_bytes(rows)) == 0 &&
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

size_t sx_hnsw_choose(sx_hnsw_searcher *searcher, uint32_t place, size_t kept, size_t width, uint32_t *chosen, uint32_t *copy)
{
    const sx_hnsw_rows *rows = &searcher->graph->rows;
    const void *addresses[2 * SX_HNSW_MOST_LINKS];
    uint32_t places[2 * SX_HNSW_MOST_LINKS];
    size_t count = kept;
    float bias = bias_of(rows, place);
    for (size_t i = 0; i < kept; i++) {
        addresses[i] = sx_hnsw_row(rows, chosen[i]);
        places[i] = chosen[i];
    }
    for (size_t i = 0; i < searcher->count && count < width; i++) {
        sx_hnsw_candidate candidate = searcher->list[i];
        if (candidate.place == place)
            continue;
        if (sx_hnsw_same_rows(rows, place, candidate.place)) {
            if (!copy)
                continue;
            *copy = candidate.place;
            return kept;
        }
        sx_hnsw_query_of_row(searcher, candidate.place);
        float score = candidate.score + bias_of(rows, candidate.place) - bias;
        if (kept_out(searcher, addresses, places, count, score))
            continue;
        addresses[count] = sx_hnsw_row(rows, candidate.place);
        places[count] = candidate.place;
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

/* Scores the batch against the row, best first into the list. */
static void rank(sx_hnsw_searcher *searcher, uint32_t place, size_t count)
{
    sx_hnsw_query_of_row(searcher, place);
    sx_hnsw_score(searcher, count);
    sx_hnsw_take_in(searcher, count);
}

sx_status sx_hnsw_mend(sx_hnsw_searcher *searcher, uint32_t place, uint32_t level, const uint32_t *more, size_t more_count,
                       sx_error *error)
{
    const sx_hnsw *graph = searcher->graph;
    uint32_t *list = sx_hnsw_list(graph, place, level);
    size_t width = sx_hnsw_width(graph, level), length = sx_hnsw_list_length(list, width), count = 0;
    size_t ring = sx_hnsw_is_copy(list[0]);
    sx_status status = begin(searcher, place, length + more_count, error);
    if (status)
        return status;
    for (size_t i = ring; i < length; i++)
        put(searcher, list[i], &count);
    for (size_t i = 0; i < more_count; i++)
        put(searcher, more[i], &count);
    if (count <= width - ring) {
        memcpy(list + ring, searcher->batch, count * sizeof *list);
        return SX_OK;
    }
    rank(searcher, place, count);
    sx_hnsw_finish_list(list, ring + sx_hnsw_choose(searcher, place, 0, width - ring, list + ring, NULL), width);
    return SX_OK;
}

void sx_hnsw_join_ring(const sx_hnsw *graph, uint32_t place, uint32_t copy)
{
    uint32_t *list = sx_hnsw_list(graph, place, 0), *theirs = sx_hnsw_list(graph, copy, 0);
    size_t length = sx_hnsw_list_length(theirs, graph->width), ring = sx_hnsw_is_copy(theirs[0]);
    list[0] = ring ? theirs[0] : copy | SX_HNSW_COPY;
    size_t taken = length - ring < graph->width - 1 ? length - ring : graph->width - 1;
    memcpy(list + 1, theirs + ring, taken * sizeof *list); /* what is near to the one is near to the other */
    sx_hnsw_finish_list(list, 1 + taken, graph->width);
    if (!ring) {
        memmove(theirs + 1, theirs, taken * sizeof *theirs);
        sx_hnsw_finish_list(theirs, 1 + taken, graph->width);
    }
    theirs[0] = place | SX_HNSW_COPY;
}

static uint32_t now_at(const sx_hnsw_origin *origin, uint32_t place)
{
    return origin->map ? origin->map[place] : origin->graph->removed[place] ? SX_HNSW_NOWHERE : place;
}

/* The next of the ring that stays, as it is called now; SX_HNSW_NOWHERE when there is none but `origin_place`. */
static uint32_t next_copy(const sx_hnsw_origin *origin, uint32_t origin_place)
{
    uint32_t at = origin_place, here;
    for (size_t steps = 0; steps < origin->graph->places; steps++) { /* a file's ring may be none */
        uint32_t next = sx_hnsw_list(origin->graph, at, 0)[0];
        if (!sx_hnsw_is_copy(next) || (at = sx_hnsw_neighbour(next)) == origin_place)
            break;
        if ((here = now_at(origin, at)) != SX_HNSW_NOWHERE)
            return here;
    }
    return SX_HNSW_NOWHERE;
}

/* Candidates in place of a neighbour that is gone: its own neighbours, and a copy of it. */
static void put_neighbours_of(sx_hnsw_searcher *searcher, const sx_hnsw_origin *origin, uint32_t origin_place, uint32_t level,
                              size_t *count)
{
    const uint32_t *theirs = sx_hnsw_list(origin->graph, origin_place, level);
    size_t length = sx_hnsw_list_length(theirs, sx_hnsw_width(origin->graph, level)), ring = sx_hnsw_is_copy(theirs[0]);
    uint32_t neighbour = ring ? next_copy(origin, origin_place) : SX_HNSW_NOWHERE;
    if (neighbour != SX_HNSW_NOWHERE)
        put(searcher, neighbour, count);
    for (size_t i = ring; i < length; i++)
        if ((neighbour = now_at(origin, theirs[i])) != SX_HNSW_NOWHERE)
            put(searcher, neighbour, count);
}

sx_status sx_hnsw_renew(sx_hnsw_searcher *searcher, uint32_t place, uint32_t level, const sx_hnsw_origin *origin,
                        uint32_t origin_place, sx_error *error)
{
    const sx_hnsw *graph = searcher->graph;
    uint32_t *list = sx_hnsw_list(graph, place, level);
    uint32_t old[2 * SX_HNSW_MOST_LINKS];
    size_t width = sx_hnsw_width(graph, level), ring = 0, kept = 0, count = 0;
    memcpy(old, sx_hnsw_list(origin->graph, origin_place, level), width * sizeof *old);
    size_t length = sx_hnsw_list_length(old, width), first = sx_hnsw_is_copy(old[0]);
    sx_status status = begin(searcher, place, (length + 1) * width, error);
    if (status)
        return status;
    uint32_t copy = first ? next_copy(origin, origin_place) : SX_HNSW_NOWHERE;
    if (copy != SX_HNSW_NOWHERE)
        list[ring++] = copy | SX_HNSW_COPY;
    /* Those that stay are kept all: choosing among them again would thin the graph out. */
    for (size_t i = first; i < length; i++) {
        uint32_t neighbour = now_at(origin, old[i]);
        if (neighbour == SX_HNSW_NOWHERE)
            continue;
        list[ring + kept++] = neighbour;
        searcher->stamps[neighbour] = searcher->stamp;
    }
    for (size_t i = first; i < length; i++)
        if (now_at(origin, old[i]) == SX_HNSW_NOWHERE)
            put_neighbours_of(searcher, origin, old[i], level, &count);
    rank(searcher, place, count);
    /* As many as differ in direction, not as many as went: else each round of removing and inserting leaves a node with less. */
    kept = sx_hnsw_choose(searcher, place, kept, width - ring, list + ring, NULL);
    sx_hnsw_finish_list(list, ring + kept, width);
    return SX_OK;
}
