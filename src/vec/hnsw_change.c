/* hnsw_change.c - nodes that go: marked at once, linked around later, all of them in one pass over the graph (the way of
 * FreshDiskANN, Singh et al. 2021, arXiv:2105.09613); and a graph carried over to rows of which some are gone.
 *
 * Such a pass writes a node's list only in the thread that has the node, and reads only lists of nodes that are gone, so no thread
 * waits for another and the outcome is the same for any number of them. */
#include "hnsw_internal.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { NODES_AT_ONCE = 256 };

typedef struct renewal {
    sx_hnsw *graph;
    sx_hnsw_origin origin;
    sx_hnsw_searcher **searchers;
    atomic_size_t next;
    atomic_int status;
    sx_error error;
} renewal;

static sx_status renew_node(renewal *work, sx_hnsw_searcher *searcher, uint32_t place, sx_error *error)
{
    const sx_hnsw *other = work->origin.graph;
    uint32_t here = work->origin.map ? work->origin.map[place] : other->removed[place] ? SX_HNSW_NOWHERE : place;
    sx_status status = SX_OK;
    if (here == SX_HNSW_NOWHERE || other->upper_of[place] == SX_HNSW_HOLE)
        return SX_OK;
    for (uint32_t level = 0; level <= sx_hnsw_level_of(other, place) && !status; level++)
        status = sx_hnsw_renew(searcher, here, level, &work->origin, place, error);
    return status;
}

static void renew_nodes(void *user, unsigned worker)
{
    renewal *work = user;
    sx_error error = {0};
    size_t first, places = work->origin.graph->places;
    while (atomic_load_explicit(&work->status, memory_order_relaxed) == SX_OK &&
           (first = atomic_fetch_add_explicit(&work->next, NODES_AT_ONCE, memory_order_relaxed)) < places)
        for (size_t i = first; i < first + NODES_AT_ONCE && i < places; i++) {
            sx_status status = sx_hnsw_stopped(work->graph)
                                   ? sx_fail(&error, SX_E_STOPPED, "stopped while %zu rows were linked", places)
                                   : renew_node(work, work->searchers[worker], (uint32_t)i, &error);
            int none = SX_OK;
            if (status && atomic_compare_exchange_strong(&work->status, &none, (int)status))
                work->error = error;
        }
}

/* Gives all nodes that stay their lists. */
static sx_status renew_all(sx_hnsw *graph, sx_hnsw_origin origin, sx_thread_pool *pool, sx_error *error)
{
    unsigned workers = pool ? sx_thread_pool_size(pool) : 1;
    renewal work = {.graph = graph, .origin = origin};
    sx_status status = SX_OK;
    work.searchers = sx_calloc(workers, sizeof(sx_hnsw_searcher *));
    if (!work.searchers)
        return sx_fail_nomem(error, workers * sizeof(sx_hnsw_searcher *));
    for (unsigned i = 0; i < workers && !status; i++)
        status = sx_hnsw_searcher_open(graph, &work.searchers[i], error);
    if (!status && workers > 1)
        sx_thread_pool_offer(pool, renew_nodes, &work);
    else if (!status)
        renew_nodes(&work, 0);
    if (!status && (status = (sx_status)atomic_load(&work.status)) && error)
        *error = work.error;
    for (unsigned i = 0; i < workers; i++)
        sx_hnsw_searcher_close(work.searchers[i]);
    free(work.searchers);
    return status;
}

/* The highest node is where searches begin; of several the first. */
static void find_entry(sx_hnsw *graph)
{
    bool found = false;
    for (size_t i = 0; i < graph->places; i++) {
        if (graph->upper_of[i] == SX_HNSW_HOLE)
            continue;
        uint32_t level = sx_hnsw_level_of(graph, (uint32_t)i);
        if (found && level <= graph->top)
            continue;
        found = true;
        graph->entry = (uint32_t)i;
        graph->top = level;
    }
}

/* Nodes that lost most of their neighbours look for new ones. */
static sx_status relink_lonely(sx_hnsw *graph, sx_thread_pool *pool, sx_error *error)
{
    uint32_t *lonely = NULL;
    size_t count = 0, capacity = 0, least = graph->links / 2;
    sx_status status = SX_OK;
    if (graph->count <= graph->width)
        least = graph->count - 1 < least ? graph->count - 1 : least;
    for (size_t i = 0; i < graph->places && !status; i++) {
        if (graph->upper_of[i] == SX_HNSW_HOLE ||
            sx_hnsw_list_length(sx_hnsw_list(graph, (uint32_t)i, 0), graph->width) >= least)
            continue;
        if (!sx_reserve((void **)&lonely, &capacity, count + 1, sizeof *lonely))
            status = sx_fail_nomem(error, sizeof *lonely);
        else
            lonely[count++] = (uint32_t)i;
    }
    if (!status && count)
        status = sx_hnsw_relink(graph, lonely, count, pool, error);
    free(lonely);
    return status;
}

/* ---- Removing ---- */

sx_status sx_hnsw_remove(sx_hnsw *graph, const uint32_t *places, size_t count, sx_error *error)
{
    if (graph->sound)
        return sx_fail(error, SX_E_INVALID, "%s: a graph opened from a file cannot be changed", graph->path);
    pthread_mutex_lock(&graph->changing);
    pthread_rwlock_wrlock(&graph->access);
    sx_status status = SX_OK;
    for (size_t i = 0; i < count && !status; i++) {
        if (!sx_hnsw_contains(graph, places[i])) {
            status = sx_fail(error, SX_E_NOT_FOUND, "hnsw: row %u cannot be removed: it is not in the graph", places[i]);
            break;
        }
        graph->removed[places[i]] = 1;
        graph->removed_count++;
        graph->count--;
    }
    pthread_rwlock_unlock(&graph->access);
    pthread_mutex_unlock(&graph->changing);
    return status;
}

/* The upper lists of nodes that stay, closer together; the others become holes. */
static sx_status drop_removed(sx_hnsw *graph, sx_error *error)
{
    uint32_t *upper = sx_calloc(graph->upper_used, sizeof *upper);
    size_t used = 0;
    if (!upper)
        return sx_fail_nomem(error, graph->upper_used * sizeof *upper);
    for (size_t i = 0; i < graph->places; i++) {
        if (graph->removed[i]) {
            graph->removed[i] = 0;
            graph->upper_of[i] = SX_HNSW_HOLE;
        }
        if (graph->upper_of[i] >= SX_HNSW_HOLE)
            continue;
        size_t entries = 1 + (size_t)graph->upper[graph->upper_of[i]] * graph->links;
        memcpy(upper + used, graph->upper + graph->upper_of[i], entries * sizeof *upper);
        graph->upper_of[i] = (uint32_t)used;
        used += entries;
    }
    free(graph->upper);
    graph->upper = upper;
    graph->upper_capacity = graph->upper_used ? graph->upper_used : 1;
    graph->upper_used = used;
    graph->removed_count = 0;
    while (graph->places && graph->upper_of[graph->places - 1] == SX_HNSW_HOLE)
        graph->places--;
    return SX_OK;
}

sx_status sx_hnsw_repair_held(sx_hnsw *graph, sx_thread_pool *pool, sx_error *error)
{
    if (!graph->removed_count)
        return SX_OK;
    pthread_rwlock_wrlock(&graph->access);
    sx_status status = renew_all(graph, (sx_hnsw_origin){graph, NULL}, pool, error);
    if (!status)
        status = drop_removed(graph, error);
    if (!status) {
        graph->top = 0;
        find_entry(graph);
        if (graph->count > 1)
            status = relink_lonely(graph, pool, error);
    }
    pthread_rwlock_unlock(&graph->access);
    return status;
}

sx_status sx_hnsw_repair(sx_hnsw *graph, sx_thread_pool *pool, sx_error *error)
{
    if (graph->sound)
        return SX_OK;
    pthread_mutex_lock(&graph->changing);
    sx_status status = sx_hnsw_repair_held(graph, pool, error);
    pthread_mutex_unlock(&graph->changing);
    return status;
}

/* ---- Carrying over ---- */

static sx_status check_map(const sx_hnsw *graph, const sx_hnsw *other, const uint32_t *map, sx_error *error)
{
    if (graph->sound || graph->count || graph->places || graph->links != other->links || other->removed_count)
        return sx_fail(error, SX_E_INVALID, "hnsw: only an empty graph of as many links (%u, not %u) can adopt a repaired one",
                       other->links, graph->links);
    uint64_t next = 0;
    for (size_t i = 0; i < other->places; i++) {
        if (map[i] == SX_HNSW_NOWHERE)
            continue;
        if (map[i] < next || map[i] >= graph->capacity)
            return sx_fail(error, SX_E_INVALID, "hnsw: row %zu cannot move to %u: places ascend, below %zu", i, map[i],
                           graph->capacity);
        next = (uint64_t)map[i] + 1;
    }
    return SX_OK;
}

sx_status sx_hnsw_adopt(sx_hnsw *graph, const sx_hnsw *other, const uint32_t *map, sx_thread_pool *pool, sx_error *error)
{
    sx_status status = check_map(graph, other, map, error);
    for (size_t block = 0; other->sound && block * SX_HNSW_BLOCK_NODES < other->places && !status; block++)
        status = sx_hnsw_check_block(other, block, error);
    if (!status && !sx_reserve((void **)&graph->upper, &graph->upper_capacity, other->upper_used, sizeof *graph->upper))
        status = sx_fail_nomem(error, other->upper_used * sizeof *graph->upper);
    if (status)
        return status;
    for (size_t i = 0; i < other->places; i++) {
        if (map[i] == SX_HNSW_NOWHERE || other->upper_of[i] == SX_HNSW_HOLE)
            continue;
        uint32_t level = sx_hnsw_level_of(other, (uint32_t)i);
        graph->upper_of[map[i]] = level ? (uint32_t)graph->upper_used : SX_HNSW_END;
        if (level) {
            size_t entries = 1 + (size_t)level * graph->links;
            graph->upper[graph->upper_used] = level;
            memset(graph->upper + graph->upper_used + 1, 0xff, (entries - 1) * sizeof *graph->upper);
            graph->upper_used += entries;
        }
        graph->count++;
        graph->places = (size_t)map[i] + 1;
    }
    status = renew_all(graph, (sx_hnsw_origin){other, map}, pool, error);
    if (!status && graph->count) {
        find_entry(graph);
        if (graph->count > 1)
            status = relink_lonely(graph, pool, error);
    }
    return status;
}
