/* products.h - the products of all rows with all rows, tile by tile, and the nearest rows of each. */
#ifndef SX_EXPLORE_PRODUCTS_H
#define SX_EXPLORE_PRODUCTS_H

#include "gather.h"

/* A tile of scores: row first_row + i with row first_column + j at scores[i * stride + j]. Called by several threads; all tiles
 * of one row come from one thread, in ascending order of columns. Returning false ends everything (SX_E_NOMEM). */
typedef bool (*sx_tile_visit)(void *user, size_t first_row, size_t rows, size_t first_column, size_t columns, const float *scores,
                              size_t stride);

typedef struct sx_products {
    const float *rows; /* count x width */
    size_t count, width;
    bool upper; /* only tiles that hold a column behind a row */
    sx_thread_pool *pool;
    sx_tile_visit visit;
    void *user;
    const volatile int *stop;
    sx_reporter *reporter; /* NULL: says nothing */
    const char *phase;
} sx_products;
/* In memory of some tiles for each thread. */
sx_status sx_products_run(const sx_products *products, sx_error *error);

/* The k nearest other rows of each, best first, k below count: ids and scores are count x k. Exact up to SX_NEIGHBOURS_EXACT
 * rows; beyond by a graph (vec/hnsw.h), which finds nearly all of them. */
enum { SX_NEIGHBOURS_EXACT = 20000 };
sx_status sx_neighbours(const float *rows, size_t count, size_t width, size_t k, sx_thread_pool *pool, const volatile int *stop,
                        sx_reporter *reporter, uint32_t *ids, float *scores, sx_error *error);

#endif
