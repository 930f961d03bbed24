/* hnsw.h - approximate nearest rows by a hierarchical navigable small world graph (Malkov and Yashunin 2018, arXiv:1603.09320).
 *
 * The graph holds links only; the rows lie elsewhere and a node's number is its row's place there. Scores are dot products, so
 * rows of length 1 are compared by cosine; with a bias of half its squared length for each row they are compared by Euclidean
 * distance. Higher is nearer, and ties go to the lower place.
 *
 * Insertion works in batches: all of a batch search the graph as it was before, side by side, and are then linked in an order
 * that does not depend on the threads (Manohar et al. 2024, arXiv:2305.04359). The same rows inserted by the same calls make the
 * same graph with any number of threads; with 8-bit codes, whose products are exact integers, also on every processor.
 *
 * Threads: searches go on beside one another and beside insert, remove and repair, each with a searcher of its own; who changes
 * the graph waits for others who do. reserve, save, adopt and close want the graph to themselves. A graph opened from a file is
 * read only.
 */
#ifndef SX_VEC_HNSW_H
#define SX_VEC_HNSW_H

#include "../base/thread_pool.h"
#include "../kern/dot.h"
#include "topk.h"

typedef enum sx_hnsw_kind { SX_HNSW_F32, SX_HNSW_F16, SX_HNSW_CODES } sx_hnsw_kind;

/* Row i lies at rows + (i >> block_shift) * block_bytes + (i below the block's first) * row_bytes; with block_shift 32 there is one
 * block. Codes are those of codes.h (1 .. 255), each row of sx_code_dimensions(dimensions) bytes. */
typedef struct sx_hnsw_rows {
    sx_hnsw_kind kind;
    uint32_t dimensions;
    const void *rows;
    size_t row_bytes, block_bytes;
    unsigned block_shift;
    const float *scales; /* of codes; a graph opened from a file has its own */
    const float *biases; /* NULL: none. Taken off the score */
    /* What makes sure that a row may be read, NULL: nothing. sound[i >> block_shift] 0: not yet looked at, make_sound does. */
    const unsigned char *sound;
    sx_status (*make_sound)(void *user, size_t block, sx_error *error);
    void *user;
} sx_hnsw_rows;

enum {
    SX_HNSW_LINKS = 16,
    SX_HNSW_EF_CONSTRUCTION = 128,
    SX_HNSW_EF_SEARCH = 96,
    SX_HNSW_MOST_LINKS = 128,
    SX_HNSW_MOST_ROWS = 0x7ffffff0
};

typedef struct sx_hnsw_options {
    uint32_t links;           /* of a node on the upper levels, twice as many on the lowest; 0: SX_HNSW_LINKS */
    uint32_t ef_construction; /* 0: SX_HNSW_EF_CONSTRUCTION */
} sx_hnsw_options;

typedef struct sx_hnsw sx_hnsw;

/* Who waits for insert, adopt and repair. Any part may be NULL. */
typedef struct sx_hnsw_watch {
    const volatile int *stop; /* non-zero ends them soon with SX_E_STOPPED: rows not inserted yet stay out */
    void (*progress)(size_t done, size_t total, void *user); /* rows inserted, from the thread that called */
    void *user;
} sx_hnsw_watch;

/* ---- Making and changing ---- */

/* An empty graph with room for `capacity` rows. options NULL: the defaults. */
sx_status sx_hnsw_create(const sx_hnsw_options *options, const sx_hnsw_rows *rows, size_t capacity, const sx_dot_kernels *kernels,
                         sx_hnsw **out, sx_error *error);
void sx_hnsw_close(sx_hnsw *graph);
/* From now on; watch NULL: nobody. */
void sx_hnsw_set_watch(sx_hnsw *graph, const sx_hnsw_watch *watch);
/* Room for more rows, or the same rows at another address. */
sx_status sx_hnsw_reserve(sx_hnsw *graph, const sx_hnsw_rows *rows, size_t capacity, sx_error *error);
/* The rows at these places, each new or removed before. pool NULL: the caller alone. */
sx_status sx_hnsw_insert(sx_hnsw *graph, const uint32_t *places, size_t count, sx_thread_pool *pool, sx_error *error);
/* These are not found from now on. Their rows must stay until the graph is repaired. */
sx_status sx_hnsw_remove(sx_hnsw *graph, const uint32_t *places, size_t count, sx_error *error);
/* Links the neighbours of removed nodes with one another; the places are then free to be inserted again. insert and save do it
 * when it is needed. */
sx_status sx_hnsw_repair(sx_hnsw *graph, sx_thread_pool *pool, sx_error *error);
/* Fills an empty graph with what another knows: its node i becomes the row at map[i], or goes when that is SX_HNSW_NOWHERE, and its
 * neighbours are linked with one another. Places must ascend. */
#define SX_HNSW_NOWHERE UINT32_MAX
sx_status sx_hnsw_adopt(sx_hnsw *graph, const sx_hnsw *other, const uint32_t *map, sx_thread_pool *pool, sx_error *error);

/* Nodes that can be found. */
size_t sx_hnsw_count(const sx_hnsw *graph);
/* Places up to the last in use. */
size_t sx_hnsw_places(const sx_hnsw *graph);
bool sx_hnsw_contains(const sx_hnsw *graph, uint32_t place);
/* Bytes of memory or of the mapped file. */
size_t sx_hnsw_bytes(const sx_hnsw *graph);

/* ---- Files ---- */

/* Writes `temporary` (NULL: a name of this process beside it), flushes it and renames it to path. identity: of what the rows are. */
sx_status sx_hnsw_save(sx_hnsw *graph, const char *path, const char *temporary, uint64_t identity, sx_thread_pool *pool,
                       sx_error *error);
/* Maps a file. Header, upper levels and scales are checked at once, the lists of the lowest level when a search first comes to them.
 * SX_E_FORMAT: damaged, or of other rows (identity, kind, dimensions, `count` of them) than these. */
sx_status sx_hnsw_open(const char *path, uint64_t identity, const sx_hnsw_rows *rows, size_t count, const sx_dot_kernels *kernels,
                       sx_hnsw **out, sx_error *error);

/* ---- Searching ---- */

/* What a thread needs to search: a byte for each row and room for candidates. */
typedef struct sx_hnsw_searcher sx_hnsw_searcher;
sx_status sx_hnsw_searcher_open(const sx_hnsw *graph, sx_hnsw_searcher **out, sx_error *error);
void sx_hnsw_searcher_close(sx_hnsw_searcher *searcher);

/* The nearest nodes met with a list of `ef` candidates, best first, at most `ef`: ids are places, scores those of the rows as the graph
 * compares them (by codes: of the query in 8 bits too, so that the caller scores the best again by floats). They stay until the next
 * search. SX_E_FORMAT: the file or a row is damaged. */
sx_status sx_hnsw_search(sx_hnsw_searcher *searcher, const float *query, size_t ef, const sx_ranked **found, size_t *count,
                         sx_error *error);

/* A list of candidates that holds about `wanted` of `allowed` among `count` rows, or 0 when it is quicker to score all that are allowed.
 * SPEED.md has the figures behind it. */
size_t sx_hnsw_filter_ef(size_t wanted, size_t allowed, size_t count);

#endif
