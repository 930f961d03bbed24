/* pooling.h - from a text's token states to its vector. */
#ifndef SX_MODEL_POOLING_H
#define SX_MODEL_POOLING_H

#include "../kern/kernels.h"

#include <stdbool.h>

/* Bits, in the order in which sentence-transformers puts several beside each other. */
enum {
    SX_POOLING_CLS = 1,
    SX_POOLING_MAX = 2,
    SX_POOLING_MEAN = 4,
    SX_POOLING_MEAN_SQRT_LEN = 8,
    SX_POOLING_WEIGHTED_MEAN = 16,
    SX_POOLING_LAST_TOKEN = 32,
    SX_POOLING_KINDS = 6
};

/* "mean" -> SX_POOLING_MEAN; 0 for a name that is none. */
unsigned sx_pooling_of_name(const char *name);
/* Name of kind 0 .. SX_POOLING_KINDS - 1 (the bit 1 << kind). */
const char *sx_pooling_name(unsigned kind);
unsigned sx_pooling_count(unsigned poolings);

/* Pools rows [skip, rows) of states (rows x width, at stride floats); cls takes row 0 whatever skip is, and weights of the
 * weighted mean count from row 0. skip < rows. out: width floats for each bit set. */
void sx_pool(const sx_kernels *kernels, unsigned poolings, const float *states, size_t stride, size_t rows, size_t skip,
             size_t width, float *out);
/* Divides by the Euclidean length, or by 1e-12 when that is longer. */
void sx_normalize(float *vector, size_t width);

#endif
