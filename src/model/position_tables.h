/* position_tables.h - what depends on positions alone and is computed once for a model. */
#ifndef SX_MODEL_POSITION_TABLES_H
#define SX_MODEL_POSITION_TABLES_H

#include "tensors.h"

/* Cosines and sines of positions 0 .. count - 1, rows of head_size / 2. scale: what the frequencies are divided by. */
void sx_rotation_fill(float theta, float scale, size_t head_size, size_t count, float *cosines, float *sines);

/* The bucket of a distance key - query among `buckets` bidirectional ones (Raffel et al. 2019): half of them for each
 * direction, of these half for exact distances and half growing logarithmically up to `farthest`. */
uint32_t sx_relative_bucket(int64_t distance, uint32_t buckets, uint32_t farthest);
/* For each head a row of 2 * longest - 1 floats for distances -(longest - 1) .. longest - 1, from a table buckets x heads. */
void sx_relative_fill(const float *table, uint32_t buckets, uint32_t farthest, size_t heads, size_t longest, float *rows);

#endif
