/* exact.h - exact search: every row is scored, the best are kept. */
#ifndef SX_VEC_EXACT_H
#define SX_VEC_EXACT_H

#include "../kern/dot.h"
#include "topk.h"

#include <stdbool.h>

/* Which ids may be found: ascending. NULL in a search means all. */
typedef struct sx_id_set {
    const int64_t *ids;
    size_t count;
} sx_id_set;

/* Offers query . row to topk for each of `count` rows, whose ids ascend. Every row gets the same bits however the calls are cut.
 */
void sx_exact_scan(const sx_dot_kernels *kernels, const float *query, size_t dimensions, const float *rows, size_t stride,
                   const int64_t *ids, size_t count, const sx_id_set *allowed, sx_topk *topk);

/* The first position in ascending ids whose id is not below `id`. */
size_t sx_exact_lower_bound(const int64_t *ids, size_t count, int64_t id);

/* Walks through the rows that are allowed, a run of neighbours at a time: zero-initialise, then next until false. */
typedef struct sx_allowed_runs {
    size_t at, length; /* the run: rows at .. at + length - 1 */
    size_t wanted;     /* of those allowed, the next to be looked for */
} sx_allowed_runs;
bool sx_allowed_runs_next(sx_allowed_runs *runs, const sx_id_set *allowed, const int64_t *ids, size_t count);

/* Scales the row to length 1 (sums in double); a row of zeros stays as it is. */
void sx_exact_normalize(float *row, size_t dimensions);

#endif
