/* hnsw.c - a graph in memory: made, grown and closed. */
#include "hnsw_internal.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static sx_status make_locks(sx_hnsw *graph, sx_error *error)
{
    pthread_rwlockattr_t attributes;
    int problem = pthread_rwlockattr_init(&attributes);
    if (problem)
        return sx_fail_errno(error, problem, "a lock cannot be made");
    /* Searches without a pause must not keep out those who insert. */
    (void)pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    problem = pthread_rwlock_init(&graph->access, &attributes);
    pthread_rwlockattr_destroy(&attributes);
    if (!problem && (problem = pthread_mutex_init(&graph->changing, NULL)))
        pthread_rwlock_destroy(&graph->access);
    return problem ? sx_fail_errno(error, problem, "a lock cannot be made") : SX_OK;
}

static sx_status grow(sx_hnsw *graph, size_t capacity, sx_error *error)
{
    size_t entries;
    uint32_t *lists = sx_multiply(capacity, graph->width, &entries) ? sx_aligned_calloc(64, entries, sizeof *lists) : NULL;
    uint32_t *upper_of = sx_realloc_array(graph->upper_of, capacity, sizeof *upper_of);
    graph->upper_of = upper_of ? upper_of : graph->upper_of;
    unsigned char *removed = sx_realloc_array(graph->removed, capacity, 1);
    graph->removed = removed ? removed : graph->removed;
    if (!lists || !upper_of || !removed) {
        free(lists);
        return sx_fail_nomem(error, capacity * graph->width * sizeof *lists);
    }
    if (graph->capacity)
        memcpy(lists, graph->lists, graph->capacity * graph->width * sizeof *lists);
    free(graph->lists);
    graph->lists = lists;
    memset(lists + graph->capacity * graph->width, 0xff, (capacity - graph->capacity) * graph->width * sizeof *lists);
    memset(removed + graph->capacity, 0, capacity - graph->capacity);
    for (size_t i = graph->capacity; i < capacity; i++)
        upper_of[i] = SX_HNSW_HOLE;
    graph->capacity = capacity;
    return SX_OK;
}

static sx_status check_rows(const sx_hnsw_rows *rows, size_t capacity, sx_error *error)
{
    if (rows->kind > SX_HNSW_CODES || !rows->dimensions || (rows->kind == SX_HNSW_CODES && !rows->scales))
        return sx_fail(error, SX_E_INVALID, "hnsw: rows of kind %d with %u dimensions cannot be linked", (int)rows->kind,
                       rows->dimensions);
    if (capacity > SX_HNSW_MOST_ROWS)
        return sx_fail(error, SX_E_LIMIT, "hnsw: %zu rows, at most %d can be linked", capacity, SX_HNSW_MOST_ROWS);
    return SX_OK;
}

sx_status sx_hnsw_create(const sx_hnsw_options *options, const sx_hnsw_rows *rows, size_t capacity, const sx_dot_kernels *kernels,
                         sx_hnsw **out, sx_error *error)
{
    static const sx_hnsw_options defaults;
    options = options ? options : &defaults;
    *out = NULL;
    uint32_t links = options->links ? options->links : SX_HNSW_LINKS;
    if (links < 2 || links > SX_HNSW_MOST_LINKS)
        return sx_fail(error, SX_E_INVALID, "hnsw: %u links a node, from 2 to %d can be had", links, SX_HNSW_MOST_LINKS);
    sx_status status = check_rows(rows, capacity, error);
    if (status)
        return status;
    sx_hnsw *graph = sx_calloc(1, sizeof *graph);
    if (!graph)
        return sx_fail_nomem(error, sizeof *graph);
    graph->rows = *rows;
    graph->kernels = kernels;
    graph->links = links;
    graph->width = 2 * links;
    graph->ef_construction = options->ef_construction ? options->ef_construction : SX_HNSW_EF_CONSTRUCTION;
    status = make_locks(graph, error);
    if (status) {
        free(graph);
        return status;
    }
    if ((status = grow(graph, capacity ? capacity : 1, error)))
        sx_hnsw_close(graph);
    else
        *out = graph;
    return status;
}

sx_status sx_hnsw_reserve(sx_hnsw *graph, const sx_hnsw_rows *rows, size_t capacity, sx_error *error)
{
    if (graph->sound)
        return sx_fail(error, SX_E_INVALID, "%s: a graph opened from a file cannot grow", graph->path);
    sx_status status = check_rows(rows, capacity, error);
    if (!status && (rows->kind != graph->rows.kind || rows->dimensions != graph->rows.dimensions))
        status = sx_fail(error, SX_E_INVALID, "hnsw: rows of %u dimensions in place of such of %u", rows->dimensions,
                         graph->rows.dimensions);
    if (!status && capacity > graph->capacity)
        status = grow(graph, capacity, error);
    if (!status)
        graph->rows = *rows;
    return status;
}

void sx_hnsw_close(sx_hnsw *graph)
{
    if (!graph)
        return;
    if (graph->sound) {
        sx_file_map_close(&graph->map);
    } else {
        free(graph->lists);
        free(graph->upper_of);
        free(graph->upper);
        free(graph->removed);
    }
    pthread_mutex_destroy(&graph->changing);
    pthread_rwlock_destroy(&graph->access);
    free(graph->sound);
    free(graph->path);
    free(graph);
}

void sx_hnsw_set_watch(sx_hnsw *graph, const sx_hnsw_watch *watch)
{
    graph->watch = watch ? *watch : (sx_hnsw_watch){0};
}

size_t sx_hnsw_count(const sx_hnsw *graph)
{
    return graph->count;
}

size_t sx_hnsw_places(const sx_hnsw *graph)
{
    return graph->places;
}

bool sx_hnsw_contains(const sx_hnsw *graph, uint32_t place)
{
    return place < graph->places && graph->upper_of[place] != SX_HNSW_HOLE && (!graph->removed || !graph->removed[place]);
}

size_t sx_hnsw_bytes(const sx_hnsw *graph)
{
    if (graph->sound)
        return graph->map.length;
    return graph->capacity * (graph->width * sizeof *graph->lists + sizeof *graph->upper_of + 1) +
           graph->upper_capacity * sizeof *graph->upper;
}

size_t sx_hnsw_filter_ef(size_t wanted, size_t allowed, size_t count)
{
    /* A candidate costs the graph about as much as so many rows cost a scan by two threads (bench_graph_rule; SPEED.md). */
    const double rows_of_candidate = 10.0;
    if (!allowed || allowed > count)
        return 0;
    double ef = (double)wanted * (double)count / (double)allowed;
    return ef * rows_of_candidate < (double)allowed ? (size_t)ceil(ef) : 0;
}
