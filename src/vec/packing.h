/* packing.h - rows of floats in fewer bytes, and scores of a query with such rows that are near the exact ones.
 *
 * A packing is fitted once to rows of a collection and then applied to all of them and to queries. Its scores choose
 * candidates; exact scores, where the floats are kept, choose among these. docs/compression.md has the figures. */
#ifndef SX_VEC_PACKING_H
#define SX_VEC_PACKING_H

#include "../kern/dot.h"
#include "sextant.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum sx_packing_kind {
    SX_PACKING_F16,    /* halves */
    SX_PACKING_INT8,   /* codes.h: symmetric, a scale for each row */
    SX_PACKING_BINARY, /* the signs of what is left of the mean, a bit each */
    SX_PACKING_PCA,    /* the first principal components, as halves */
    SX_PACKING_DIMS    /* the first dimensions at length 1 (Matryoshka), as halves */
} sx_packing_kind;

/* Zero-initialise. */
typedef struct sx_packing {
    sx_packing_kind kind;
    uint32_t dimensions, width; /* of the rows; of what is kept of them */
    float *mean;                /* binary, pca */
    float *matrix;              /* pca: width x dimensions */
    double retained;            /* pca: share of the sample's variance in what is kept; else 1 */
} sx_packing;

/* "f16", "int8", "binary", "pca:N", "dims:N" with 1 <= N < dimensions. SX_E_INVALID says what there is. */
sx_status sx_packing_parse(const char *text, uint32_t dimensions, sx_packing *packing, sx_error *error);
/* As _parse takes it. */
void sx_packing_name(const sx_packing *packing, char name[32]);
/* Takes what it needs from sample rows (count x dimensions): the mean, the components. */
sx_status sx_packing_fit(sx_packing *packing, const float *rows, size_t count, sx_error *error);
void sx_packing_clear(sx_packing *packing);
/* Floats of the mean and of the matrix; 0: there is none. */
static inline size_t sx_packing_mean_floats(const sx_packing *packing)
{
    return packing->kind == SX_PACKING_BINARY || packing->kind == SX_PACKING_PCA ? packing->dimensions : 0;
}
static inline size_t sx_packing_matrix_floats(const sx_packing *packing)
{
    return packing->kind == SX_PACKING_PCA ? (size_t)packing->width * packing->dimensions : 0;
}
/* Bytes of a packed row. */
size_t sx_packing_row_bytes(const sx_packing *packing);
/* How many candidates its scores should give for the best k to be among them (docs/compression.md). */
size_t sx_packing_candidates(sx_packing_kind kind, size_t k);
/* Packs one row. scratch: `dimensions` floats. */
void sx_packing_row(const sx_packing *packing, const float *row, float *scratch, void *packed);
/* Floats of a packed row again, as near as it tells; of signs those of a row of length 1. */
void sx_packing_unpack(const sx_packing *packing, const void *packed, float *row);

typedef struct sx_packed_query {
    const sx_packing *packing;
    const sx_dot_kernels *kernels;
    float *floats;    /* f16, pca, dims: as the rows */
    int16_t *numbers; /* int8 */
    uint64_t *bits;   /* binary */
    double step;      /* int8: of the numbers */
    float offset;     /* pca: the product with the mean, which all rows have in common */
    int32_t *sums;    /* int8 */
} sx_packed_query;
/* The packing must outlive the query. */
sx_status sx_packed_query_open(sx_packed_query *query, const sx_packing *packing, const sx_dot_kernels *kernels,
                               const float *floats,
                               sx_error *error);
void sx_packed_query_close(sx_packed_query *query);
/* Scores of `count` packed rows, at most SX_PACKED_BLOCK. */
enum { SX_PACKED_BLOCK = 256 };
void sx_packed_scores(const sx_packed_query *query, const void *rows, size_t count, float *scores);

#endif
