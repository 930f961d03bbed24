/* subspace.h - the few directions in which rows have most of their length: quick where a whole decomposition (vec/pca.h) is not.
 */
#ifndef SX_EXPLORE_SUBSPACE_H
#define SX_EXPLORE_SUBSPACE_H

#include "sextant.h"

/* basis: width x dimensions, orthonormal directions, the strongest first; mean not NULL: of rows without it, and it is set. At
 * most SX_SUBSPACE_SAMPLE rows, spread evenly, are looked at. Where the rows have fewer directions than width, the rest is
 * orthonormal all the same. width <= dimensions, and the same input gives the same bits. */
enum { SX_SUBSPACE_SAMPLE = 4096 };
sx_status sx_subspace_fit(const float *rows, size_t count, size_t dimensions, size_t width, float *mean, float *basis,
                          sx_error *error);

#endif
