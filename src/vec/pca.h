/* pca.h - principal components of rows of floats: the directions in which they differ most. */
#ifndef SX_VEC_PCA_H
#define SX_VEC_PCA_H

#include "sextant.h"

#include <stddef.h>

/* Fits on `count` rows, of which there must be more than one. mean: dimensions floats; matrix: width x dimensions, a component of
 * length 1 a row, the largest variance first. *retained: the share of the variance that lies in them. The same rows give the same
 * bits on every machine. Takes about 10 x dimensions^3 operations. */
sx_status sx_pca_fit(const float *rows, size_t count, size_t dimensions, size_t width, float *mean, float *matrix,
                     double *retained,
                     sx_error *error);

/* Eigenvalues in descending order and eigenvectors (row i of vectors for value i) of a symmetric n x n matrix, which is used up.
 * SX_E_INTERNAL when an eigenvalue does not converge. */
sx_status sx_symmetric_eigen(double *matrix, size_t n, double *values, double *vectors, sx_error *error);

#endif
