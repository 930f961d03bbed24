/* hnsw_build.c - inserting rows, in batches that many threads share.
 *
 * First every row of a batch looks for its neighbours in the graph as it is, and writes its own lists, which nobody can reach yet.
 * Then the links back are sorted by the node they go to, and each of these nodes takes them in at once: its list is chosen anew
 * once a batch instead of once a link, and no two threads write one list. A batch is small beside the graph, because its rows do
 * not find one another; and rows are taken in a shuffled order, because those that stand together are often alike. */
#include "hnsw_internal.h"

#include "../base/error.h"
#include "../base/memory.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A batch is at most this part of the graph, and of what is inserted unless that is little. */
enum { GRAPH_PART = 32, WHOLE_PART = 64, LEAST_BATCH = 32, TARGETS_AT_ONCE = 32, DIGIT = 11, DIGITS = 1 << DIGIT };

typedef struct link_back {
    uint32_t target, source;
} link_back;

typedef struct insertion {
    sx_hnsw *graph;
    const uint32_t *places;
    size_t count;             /* of the batch */
    sx_hnsw_searcher **searchers;
    unsigned workers;
    uint32_t level;           /* whose links back are taken in */
    link_back *links, *sorted;
    size_t *groups;           /* where those of a target begin; one more for the end */
    size_t group_count, links_capacity, sorted_capacity, groups_capacity;
    uint32_t *sources;        /* of `sorted`, alone */
    size_t sources_capacity;
    uint32_t *copies;         /* per row of the batch: a node whose row is equal, or SX_HNSW_END; NULL: no new rows */
    size_t copies_capacity;
    uint32_t *aside;          /* not NULL: where new lists of the lowest level go, since others read the old ones */
    atomic_size_t next;
    atomic_int status;
    sx_error error;           /* written by who set the status */
} insertion;

static uint64_t mix(uint64_t x) /* Steele, Lea and Flood 2014: the finaliser of SplitMix64 */
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* A node reaches level l with probability links^-l; which ones do follows from their places. */
static uint32_t level_for(const sx_hnsw *graph, uint32_t place)
{
    uint32_t level = 0;
    for (uint64_t hash = mix(place); level + 1 < SX_HNSW_MOST_LEVELS && hash % graph->links == 0; hash /= graph->links)
        level++;
    return level;
}

static void stop(insertion *work, sx_status status, const sx_error *error)
{
    int none = SX_OK;
    if (atomic_compare_exchange_strong(&work->status, &none, (int)status))
        work->error = *error;
}

/* ---- A batch's own lists ---- */

/* copy: NULL, or where a node with an equal row goes, which has the neighbours already. */
static sx_status link_level(sx_hnsw_searcher *searcher, uint32_t place, uint32_t level, uint32_t *list, uint32_t *copy,
                            sx_error *error)
{
    const sx_hnsw *graph = searcher->graph;
    size_t width = sx_hnsw_width(graph, level), ring = sx_hnsw_is_copy(list[0]);
    sx_hnsw_query_of_row(searcher, place);
    sx_hnsw_begin(searcher);
    sx_status status = sx_hnsw_walk(searcher, level, graph->ef_construction, error);
    if (!status)
        sx_hnsw_finish_list(list, ring + sx_hnsw_choose(searcher, place, 0, width - ring, list + ring, copy), width);
    return status;
}

/* aside: NULL, or where the list of the lowest level goes and no other is made. */
static sx_status link_node(sx_hnsw_searcher *searcher, uint32_t place, uint32_t *aside, uint32_t *copy, sx_error *error)
{
    const sx_hnsw *graph = searcher->graph;
    uint32_t level = aside ? 0 : sx_hnsw_level_of(graph, place), from = level < graph->top ? level : graph->top;
    sx_status status = sx_hnsw_searcher_prepare(searcher, graph->ef_construction, error);
    if (status)
        return status;
    sx_hnsw_query_of_row(searcher, place);
    status = sx_hnsw_descend(searcher, from, error);
    for (uint32_t at = from + 1; at-- > 0 && !status;)
        status = link_level(searcher, place, at, aside ? aside : sx_hnsw_list(graph, place, at), at ? NULL : copy, error);
    return status;
}

static void link_nodes(void *user, unsigned worker)
{
    insertion *work = user;
    sx_error error = {0};
    size_t at;
    while (atomic_load_explicit(&work->status, memory_order_relaxed) == SX_OK &&
           (at = atomic_fetch_add_explicit(&work->next, 1, memory_order_relaxed)) < work->count) {
        uint32_t *aside = work->aside ? work->aside + at * work->graph->width : NULL;
        uint32_t *copy = work->copies ? &work->copies[at] : NULL;
        sx_status status = sx_hnsw_stopped(work->graph)
                               ? sx_fail(&error, SX_E_STOPPED, "stopped while %zu rows were linked", work->count)
                               : link_node(work->searchers[worker], work->places[at], aside, copy, &error);
        if (status)
            stop(work, status, &error);
    }
}

/* ---- Links back ---- */

/* Stable, by target: from the lowest digit to the highest. */
static void sort_links(link_back *links, link_back *room, size_t count, uint32_t largest)
{
    for (unsigned shift = 0; shift < 32 && largest >> shift; shift += DIGIT) {
        size_t starts[DIGITS] = {0}, sum = 0;
        for (size_t i = 0; i < count; i++)
            starts[links[i].target >> shift & (DIGITS - 1)]++;
        for (size_t d = 0; d < DIGITS; d++) {
            size_t here = starts[d];
            starts[d] = sum;
            sum += here;
        }
        for (size_t i = 0; i < count; i++)
            room[starts[links[i].target >> shift & (DIGITS - 1)]++] = links[i];
        memcpy(links, room, count * sizeof *links);
    }
}

static bool is_copy(const insertion *work, size_t at)
{
    return work->copies && work->copies[at] != SX_HNSW_END;
}

/* Fills groups and sources for one level. */
static sx_status gather_links(insertion *work, sx_error *error)
{
    const sx_hnsw *graph = work->graph;
    size_t width = sx_hnsw_width(graph, work->level), count = 0;
    uint32_t largest = 0;
    work->group_count = 0;
    for (size_t i = 0; i < work->count; i++) {
        uint32_t source = work->places[i];
        if (sx_hnsw_level_of(graph, source) < work->level || (!work->level && is_copy(work, i)))
            continue;
        const uint32_t *list = sx_hnsw_list(graph, source, work->level);
        size_t first = sx_hnsw_is_copy(list[0]);
        if (!sx_reserve((void **)&work->links, &work->links_capacity, count + width, sizeof *work->links))
            return sx_fail_nomem(error, (count + width) * sizeof *work->links);
        for (size_t j = first; j < width && list[j] != SX_HNSW_END; j++) {
            work->links[count++] = (link_back){list[j], source};
            largest = list[j] > largest ? list[j] : largest;
        }
    }
    if (!sx_reserve((void **)&work->sorted, &work->sorted_capacity, count, sizeof *work->sorted) ||
        !sx_reserve((void **)&work->groups, &work->groups_capacity, count + 1, sizeof *work->groups) ||
        !sx_reserve((void **)&work->sources, &work->sources_capacity, count, sizeof *work->sources))
        return sx_fail_nomem(error, count * sizeof *work->sorted);
    sort_links(work->links, work->sorted, count, largest);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || work->links[i].target != work->links[i - 1].target)
            work->groups[work->group_count++] = i;
        work->sources[i] = work->links[i].source;
    }
    if (work->groups)
        work->groups[work->group_count] = count;
    return SX_OK;
}

static void link_back_all(void *user, unsigned worker)
{
    insertion *work = user;
    sx_error error = {0};
    size_t first;
    while (atomic_load_explicit(&work->status, memory_order_relaxed) == SX_OK &&
           (first = atomic_fetch_add_explicit(&work->next, TARGETS_AT_ONCE, memory_order_relaxed)) < work->group_count)
        for (size_t i = first; i < first + TARGETS_AT_ONCE && i < work->group_count; i++) {
            size_t begin = work->groups[i], end = work->groups[i + 1];
            sx_status status = sx_hnsw_mend(work->searchers[worker], work->links[begin].target, work->level,
                                            work->sources + begin, end - begin, &error);
            if (status)
                stop(work, status, &error);
        }
}

/* ---- Work for all threads ---- */

static sx_status share(insertion *work, sx_thread_pool *pool, sx_thread_work *function, sx_error *error)
{
    atomic_store(&work->next, 0);
    if (pool && work->workers > 1)
        sx_thread_pool_offer(pool, function, work);
    else
        function(work, 0);
    sx_status status = (sx_status)atomic_load(&work->status);
    if (status && error)
        *error = work->error;
    return status;
}

static sx_status link_back_levels(insertion *work, sx_thread_pool *pool, uint32_t highest, sx_error *error)
{
    sx_status status = SX_OK;
    for (work->level = 0; work->level <= highest && !status; work->level++) {
        status = gather_links(work, error);
        if (!status)
            status = share(work, pool, link_back_all, error);
    }
    return status;
}

/* Empty lists for nodes that have none yet. */
static sx_status prepare_nodes(sx_hnsw *graph, const uint32_t *places, size_t count, sx_error *error)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t place = places[i], level = level_for(graph, place);
        size_t entries = 1 + (size_t)level * graph->links;
        memset(graph->lists + (size_t)place * graph->width, 0xff, graph->width * sizeof *graph->lists);
        if (!level)
            continue;
        if (!sx_reserve((void **)&graph->upper, &graph->upper_capacity, graph->upper_used + entries, sizeof *graph->upper))
            return sx_fail_nomem(error, entries * sizeof *graph->upper);
        if (graph->upper_used + entries > SX_HNSW_MOST_ROWS)
            return sx_fail(error, SX_E_LIMIT, "hnsw: the upper levels are full");
        graph->upper_of[place] = (uint32_t)graph->upper_used;
        graph->upper[graph->upper_used] = level;
        memset(graph->upper + graph->upper_used + 1, 0xff, (entries - 1) * sizeof *graph->upper);
        graph->upper_used += entries;
    }
    return SX_OK;
}

/* ---- Equal rows ---- */

typedef struct hashed_row {
    uint64_t hash;
    size_t at; /* in the batch */
} hashed_row;

static int by_hash(const void *a, const void *b)
{
    const hashed_row *one = a, *other = b;
    if (one->hash != other->hash)
        return one->hash < other->hash ? -1 : 1;
    return one->at < other->at ? -1 : one->at > other->at;
}

/* Rows of a batch do not meet one another. Of those that are equal, and to none of the graph, the first stands for the others. */
static sx_status find_copies(insertion *work, sx_error *error)
{
    const sx_hnsw_rows *rows = &work->graph->rows;
    hashed_row *hashed = sx_calloc(work->count, sizeof *hashed);
    size_t count = 0;
    if (!hashed)
        return sx_fail_nomem(error, work->count * sizeof *hashed);
    for (size_t i = 0; i < work->count; i++)
        if (work->copies[i] == SX_HNSW_END)
            hashed[count++] = (hashed_row){XXH3_64bits(sx_hnsw_row(rows, work->places[i]), sx_hnsw_compared_bytes(rows)), i};
    qsort(hashed, count, sizeof *hashed, by_hash);
    for (size_t i = 1, first = 0; i < count; i++) {
        if (hashed[i].hash != hashed[first].hash)
            first = i;
        else if (sx_hnsw_same_rows(rows, work->places[hashed[first].at], work->places[hashed[i].at]))
            work->copies[hashed[i].at] = work->places[hashed[first].at];
    }
    free(hashed);
    return SX_OK;
}

static void join_rings(insertion *work)
{
    for (size_t i = 0; i < work->count; i++)
        if (is_copy(work, i))
            sx_hnsw_join_ring(work->graph, work->places[i], work->copies[i]);
}

/* ---- Batches ---- */

/* *linked: the batch's rows are nodes now, even when linking back to them has failed at some. */
static sx_status insert_batch(insertion *work, sx_thread_pool *pool, bool *linked, sx_error *error)
{
    sx_hnsw *graph = work->graph;
    bool first = graph->count == 0;
    *linked = false;
    if (!sx_reserve((void **)&work->copies, &work->copies_capacity, work->count, sizeof *work->copies))
        return sx_fail_nomem(error, work->count * sizeof *work->copies);
    sx_hnsw_finish_list(work->copies, 0, work->count);
    pthread_rwlock_wrlock(&graph->access);
    sx_status status = prepare_nodes(graph, work->places, work->count, error);
    pthread_rwlock_unlock(&graph->access);
    if (!status && !first)
        status = share(work, pool, link_nodes, error);
    if (!status)
        status = find_copies(work, error);
    if (status)
        return status;
    *linked = true;
    uint32_t last = work->places[work->count - 1], level = sx_hnsw_level_of(graph, last);
    pthread_rwlock_wrlock(&graph->access);
    if (!first)
        status = link_back_levels(work, pool, graph->top, error);
    join_rings(work);
    for (size_t i = 0; i < work->count; i++)
        graph->places = work->places[i] < graph->places ? graph->places : work->places[i] + (size_t)1;
    graph->count += work->count;
    if (first || level > graph->top) {
        graph->entry = last;
        graph->top = level;
    }
    pthread_rwlock_unlock(&graph->access);
    return status;
}

/* The rows of the next batch. One that is higher than all before is the last of its batch. */
static size_t batch_size(const sx_hnsw *graph, const uint32_t *places, size_t left, size_t all)
{
    size_t most = graph->count / GRAPH_PART, part = all / WHOLE_PART > LEAST_BATCH ? all / WHOLE_PART : LEAST_BATCH, size = 0;
    most = most < part ? most : part;
    most = most < left ? most : left;
    do {
        size++;
    } while (size < most && level_for(graph, places[size - 1]) <= graph->top);
    return size;
}

static sx_status open_work(insertion *work, sx_hnsw *graph, sx_thread_pool *pool, sx_error *error)
{
    sx_status status = SX_OK;
    *work = (insertion){.graph = graph, .workers = pool ? sx_thread_pool_size(pool) : 1};
    work->searchers = sx_calloc(work->workers, sizeof(sx_hnsw_searcher *));
    if (!work->searchers)
        return sx_fail_nomem(error, work->workers * sizeof(sx_hnsw_searcher *));
    for (unsigned i = 0; i < work->workers && !status; i++)
        status = sx_hnsw_searcher_open(graph, &work->searchers[i], error);
    return status;
}

static void close_work(insertion *work)
{
    for (unsigned i = 0; i < work->workers && work->searchers; i++)
        sx_hnsw_searcher_close(work->searchers[i]);
    free(work->searchers);
    free(work->links);
    free(work->sorted);
    free(work->groups);
    free(work->sources);
    free(work->copies);
    free(work->aside);
}

static sx_status insert_all(sx_hnsw *graph, uint32_t *places, size_t count, sx_thread_pool *pool, sx_error *error)
{
    insertion work;
    size_t done = 0;
    sx_status status = open_work(&work, graph, pool, error);
    for (size_t i = count; i > 1; i--) { /* Fisher and Yates */
        size_t other = mix(i) % i;
        uint32_t place = places[i - 1];
        places[i - 1] = places[other];
        places[other] = place;
    }
    while (done < count && !status) {
        bool linked;
        work.places = places + done;
        work.count = batch_size(graph, work.places, count - done, count);
        status = insert_batch(&work, pool, &linked, error);
        done += linked ? work.count : 0;
        if (graph->watch.progress && !status)
            graph->watch.progress(done, count, graph->watch.user);
    }
    for (size_t i = done; i < count; i++) /* what was not inserted is no node */
        graph->upper_of[places[i]] = SX_HNSW_HOLE;
    close_work(&work);
    return status;
}

sx_status sx_hnsw_relink(sx_hnsw *graph, const uint32_t *places, size_t count, sx_thread_pool *pool, sx_error *error)
{
    insertion work;
    sx_status status = open_work(&work, graph, pool, error);
    work.places = places;
    work.count = count;
    if (!status && !(work.aside = sx_calloc(count, graph->width * sizeof *work.aside)))
        status = sx_fail_nomem(error, count * graph->width * sizeof *work.aside);
    for (size_t i = 0; i < count && !status; i++) { /* rings stay */
        uint32_t first = sx_hnsw_list(graph, places[i], 0)[0];
        work.aside[i * graph->width] = sx_hnsw_is_copy(first) ? first : SX_HNSW_END;
    }
    if (!status)
        status = share(&work, pool, link_nodes, error);
    for (size_t i = 0; i < count && !status; i++)
        memcpy(sx_hnsw_list(graph, places[i], 0), work.aside + i * graph->width, graph->width * sizeof *work.aside);
    if (!status)
        status = link_back_levels(&work, pool, 0, error);
    close_work(&work);
    return status;
}

/* Marks the places as taken; none when one is taken already. */
static sx_status take_places(sx_hnsw *graph, const uint32_t *places, size_t count, sx_error *error)
{
    for (size_t i = 0; i < count; i++) {
        if (places[i] < graph->capacity && graph->upper_of[places[i]] == SX_HNSW_HOLE) {
            graph->upper_of[places[i]] = SX_HNSW_END;
            continue;
        }
        for (size_t j = 0; j < i; j++)
            graph->upper_of[places[j]] = SX_HNSW_HOLE;
        return sx_fail(error, SX_E_INVALID, "hnsw: row %u cannot be inserted: %s", places[i],
                       places[i] < graph->capacity ? "it is in the graph" : "there is no room for it");
    }
    return SX_OK;
}

sx_status sx_hnsw_insert(sx_hnsw *graph, const uint32_t *places, size_t count, sx_thread_pool *pool, sx_error *error)
{
    if (graph->sound)
        return sx_fail(error, SX_E_INVALID, "%s: a graph opened from a file cannot be changed", graph->path);
    if (!count)
        return SX_OK;
    uint32_t *shuffled = sx_calloc(count, sizeof *shuffled);
    if (!shuffled)
        return sx_fail_nomem(error, count * sizeof *shuffled);
    memcpy(shuffled, places, count * sizeof *places);
    pthread_mutex_lock(&graph->changing);
    sx_status status = SX_OK;
    bool reused = false;
    for (size_t i = 0; i < count && graph->removed_count; i++)
        reused = reused || (places[i] < graph->capacity && graph->removed[places[i]]);
    if (reused)
        status = sx_hnsw_repair_held(graph, pool, error);
    if (!status) {
        pthread_rwlock_wrlock(&graph->access);
        status = take_places(graph, places, count, error);
        pthread_rwlock_unlock(&graph->access);
    }
    if (!status)
        status = insert_all(graph, shuffled, count, pool, error);
    pthread_mutex_unlock(&graph->changing);
    free(shuffled);
    return status;
}
