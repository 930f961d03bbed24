/* hnsw_internal.h - the graph in memory and the walk through it, shared by what builds, changes, keeps and searches it. */
#ifndef SX_VEC_HNSW_INTERNAL_H
#define SX_VEC_HNSW_INTERNAL_H

#include "../base/file.h"
#include "hnsw.h"

#include <pthread.h>

/* Ends a list that is not full; in upper_of: the node is on the lowest level alone, or there is none. */
#define SX_HNSW_END UINT32_MAX
#define SX_HNSW_HOLE (UINT32_MAX - 1)
/* In a list of the lowest level, first if at all: the next of the ring of equal rows. */
#define SX_HNSW_COPY ((uint32_t)1 << 31)
enum { SX_HNSW_MOST_LEVELS = 16, SX_HNSW_BLOCK_NODES = 256 };

/* The lists of a node above the lowest level: its highest level, then for each level from 1 a list of `links`. */
struct sx_hnsw {
    sx_hnsw_rows rows;
    const sx_dot_kernels *kernels;
    uint32_t links, width; /* on the upper levels, on the lowest */
    uint32_t ef_construction;
    size_t capacity, places, count; /* `places`: one more than the last in use */
    uint32_t entry, top;   /* of a graph that is not empty */
    uint32_t *lists;       /* capacity x width: the lowest level */
    uint32_t *upper_of;    /* per node: where its upper lists begin, SX_HNSW_END or SX_HNSW_HOLE */
    uint32_t *upper;
    size_t upper_used, upper_capacity;
    unsigned char *removed; /* per node: not found any more, but still linked to; NULL: none can be */
    size_t removed_count;
    sx_hnsw_watch watch;
    pthread_mutex_t changing;
    pthread_rwlock_t access; /* of lists, entry and upper lists */
    /* a graph mapped from a file: all of the above points into it */
    char *path;
    sx_file_map map;
    const uint64_t *sums;  /* of blocks of lists */
    unsigned char *sound;  /* per block of lists */
};

typedef struct sx_hnsw_candidate {
    float score;
    uint32_t place; /* the top bit: its neighbours have been looked at */
} sx_hnsw_candidate;

/* What is compared with rows. */
typedef struct sx_hnsw_query {
    float *floats;
    int8_t *bytes;
    float scale;
} sx_hnsw_query;

struct sx_hnsw_searcher {
    const sx_hnsw *graph;
    unsigned char *stamps; /* per place: met in the walk of this number */
    size_t stamped;
    unsigned char stamp;
    sx_hnsw_query query;
    sx_hnsw_candidate *list; /* the best met, best first */
    size_t count, capacity;
    size_t batch_capacity;
    const void **addresses; /* rows to score next, with their places, sums and scores */
    uint32_t *batch;
    int32_t *sums;
    float *scores;
    sx_ranked *found;
    size_t found_capacity;
};

static inline const void *sx_hnsw_row(const sx_hnsw_rows *rows, uint32_t place)
{
    uint64_t block = (uint64_t)place >> rows->block_shift;
    return (const unsigned char *)rows->rows + block * rows->block_bytes +
           (place - (block << rows->block_shift)) * rows->row_bytes;
}

static inline uint32_t *sx_hnsw_upper_list(const sx_hnsw *graph, uint32_t place, uint32_t level)
{
    return graph->upper + graph->upper_of[place] + 1 + (size_t)(level - 1) * graph->links;
}

static inline uint32_t *sx_hnsw_list(const sx_hnsw *graph, uint32_t place, uint32_t level)
{
    return level ? sx_hnsw_upper_list(graph, place, level) : graph->lists + (size_t)place * graph->width;
}

static inline uint32_t sx_hnsw_width(const sx_hnsw *graph, uint32_t level)
{
    return level ? graph->links : graph->width;
}

static inline uint32_t sx_hnsw_level_of(const sx_hnsw *graph, uint32_t place)
{
    return graph->upper_of[place] >= SX_HNSW_HOLE ? 0 : graph->upper[graph->upper_of[place]];
}

static inline bool sx_hnsw_stopped(const sx_hnsw *graph)
{
    return graph->watch.stop && *graph->watch.stop;
}

static inline bool sx_hnsw_is_copy(uint32_t entry)
{
    return entry != SX_HNSW_END && (entry & SX_HNSW_COPY);
}

static inline uint32_t sx_hnsw_neighbour(uint32_t entry)
{
    return entry & ~SX_HNSW_COPY;
}

static inline size_t sx_hnsw_list_length(const uint32_t *list, size_t width)
{
    size_t length = 0;
    while (length < width && list[length] != SX_HNSW_END)
        length++;
    return length;
}

static inline void sx_hnsw_finish_list(uint32_t *list, size_t length, size_t width)
{
    for (size_t i = length; i < width; i++)
        list[i] = SX_HNSW_END;
}

/* Of a row, what says whether it equals another. */
static inline size_t sx_hnsw_compared_bytes(const sx_hnsw_rows *rows)
{
    return rows->dimensions * (rows->kind == SX_HNSW_F32 ? sizeof(float) : rows->kind == SX_HNSW_F16 ? 2 : 1);
}

/* hnsw_search.c */
/* Room for a list of ef, and stamps for all places. */
sx_status sx_hnsw_searcher_prepare(sx_hnsw_searcher *searcher, size_t ef, sx_error *error);
/* Room for a batch of so many rows. */
sx_status sx_hnsw_searcher_room(sx_hnsw_searcher *searcher, size_t batch, sx_error *error);
/* Forgets what was met, but for what is in the list. */
void sx_hnsw_begin(sx_hnsw_searcher *searcher);
void sx_hnsw_query_of_row(sx_hnsw_searcher *searcher, uint32_t place);
/* Scores of the first `count` of searcher->batch, whose rows are at searcher->addresses, into searcher->scores. */
void sx_hnsw_score(sx_hnsw_searcher *searcher, size_t count);
/* Puts all that was scored into the list, in its order. */
void sx_hnsw_take_in(sx_hnsw_searcher *searcher, size_t scored);
/* From the entry down to just above `level`, always to the best neighbour: the best node met is then the whole list. */
sx_status sx_hnsw_descend(sx_hnsw_searcher *searcher, uint32_t level, sx_error *error);
/* From the list's nodes, the best `ef` met; sx_hnsw_begin comes before it. */
sx_status sx_hnsw_walk(sx_hnsw_searcher *searcher, uint32_t level, size_t ef, sx_error *error);

/* hnsw_links.c */
bool sx_hnsw_same_rows(const sx_hnsw_rows *rows, uint32_t a, uint32_t b);
/* Chooses among the searcher's list (all scored against the row of `place`) neighbours for it, beside the first `kept` of
 * chosen, until there are `width`. Copies of the row are passed over; with `copy`, the first of them goes there and ends the choice. */
size_t sx_hnsw_choose(sx_hnsw_searcher *searcher, uint32_t place, size_t kept, size_t width, uint32_t *chosen, uint32_t *copy);
/* A new node whose row equals that of `copy` comes next in its ring. */
void sx_hnsw_join_ring(const sx_hnsw *graph, uint32_t place, uint32_t copy);
/* The node's list becomes the best choice among what it holds and `more`. */
sx_status sx_hnsw_mend(sx_hnsw_searcher *searcher, uint32_t place, uint32_t level, const uint32_t *more, size_t more_count,
                       sx_error *error);
/* Where lists come from when nodes go: another graph whose nodes have other places in this one (or none), or this graph itself and
 * those removed from it (map NULL). */
typedef struct sx_hnsw_origin {
    const sx_hnsw *graph;
    const uint32_t *map;
} sx_hnsw_origin;
/* The list of `place` becomes that of origin_place; for those that are gone come their own neighbours. */
sx_status sx_hnsw_renew(sx_hnsw_searcher *searcher, uint32_t place, uint32_t level, const sx_hnsw_origin *origin,
                        uint32_t origin_place, sx_error *error);

/* hnsw_build.c: searches new neighbours on the lowest level for nodes that have too few. The caller has the graph to itself. */
sx_status sx_hnsw_relink(sx_hnsw *graph, const uint32_t *places, size_t count, sx_thread_pool *pool, sx_error *error);

/* hnsw_change.c: sx_hnsw_repair for who changes the graph already. */
sx_status sx_hnsw_repair_held(sx_hnsw *graph, sx_thread_pool *pool, sx_error *error);

/* hnsw_file.c: a block of lists is looked at for the first time. */
sx_status sx_hnsw_check_block(const sx_hnsw *graph, size_t block, sx_error *error);

#endif
