/* layout.h - rows of many dimensions as points on a plane. */
#ifndef SX_EXPLORE_LAYOUT_H
#define SX_EXPLORE_LAYOUT_H

#include "gather.h"

/* How many neighbours the layout wants of each row. */
enum { SX_LAYOUT_NEIGHBOURS = 15 };

/* points: count x 2. The two main components. */
sx_status sx_layout_components(const float *rows, size_t count, size_t width, float *points, sx_error *error);
/* Begins at `points` (of _components) and moves them so that neighbours (count x k, see products.h) come together. */
sx_status sx_layout_neighbours(size_t count, size_t k, const uint32_t *ids, const float *scores, float *points,
                               const volatile int *stop, sx_reporter *reporter, sx_error *error);
/* Turns the points so that they are wide rather than high, and scales them into 0 .. width x 0 .. height, the larger being 1. */
void sx_layout_fit(float *points, size_t count, float *width, float *height);
/* The share of the first `near` of each row's k neighbours that are among the `wide` nearest of its points; of at most 2000 rows.
 */
sx_status sx_layout_preserved(size_t count, size_t k, const uint32_t *ids, const float *points, size_t near, size_t wide,
                              double *share, sx_error *error);

#endif
