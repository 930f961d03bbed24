/* dot.h - dot products of queries with many rows: the inner loop of exact search, bound by the memory's speed.
 *
 * One immutable table for each instruction set. As with all kernels a row's result has the same bits whatever rows and queries
 * stand beside it. Products with 8-bit codes are exact integers, so all instruction sets give the same ones.
 */
#ifndef SX_KERN_DOT_H
#define SX_KERN_DOT_H

#include <stddef.h>
#include <stdint.h>

/* out[q * out_stride + i] = query q . row i. Any counts, dimensions and alignment. Strides count elements of their arrays. */
typedef struct sx_dot_job {
    const float *queries;
    size_t query_count, query_stride;
    const void *rows; /* floats, or IEEE halves */
    size_t count, stride, dimensions;
    float *out;
    size_t out_stride;
} sx_dot_job;

/* Codes are bytes that stand for code - 128; queries are made by sx_code_query_make, one behind the other.
 * out[q * out_stride + i] = sum of query[k] * (code[k] - 128), which fits. */
typedef struct sx_code_job {
    const int16_t *queries;
    size_t query_count;
    const uint8_t *rows;
    size_t count, stride, dimensions;
    int32_t *out;
    size_t out_stride;
} sx_code_job;

/* One row of bytes with some others, wherever these lie: out[i] = sum of query[k] * (rows[i][k] - 128). Queries are -127 .. 127,
 * codes 1 .. 255. All have sx_code_dimensions(dimensions) bytes; the query's are zero behind the last dimension. */
typedef struct sx_byte_job {
    const int8_t *query;
    const uint8_t *const *rows;
    size_t count, dimensions;
    int32_t *out;
} sx_byte_job;

typedef struct sx_dot_kernels {
    const char *name; /* "c", "avx2", "avx512", "avx512-vnni", "neon" */
    uint64_t cpu;     /* its SX_CPU_* bit */
    void (*f32)(const sx_dot_job *job);
    void (*f16)(const sx_dot_job *job);
    void (*codes)(const sx_code_job *job);
    void (*bytes)(const sx_byte_job *job);
} sx_dot_kernels;

/* The best table among the sets in cpu_mask (0: all) that this machine has. */
const sx_dot_kernels *sx_dot_kernels_for(uint64_t cpu_mask);

/* A query in 16 bits: dimensions rounded up to 64 of them, then their two digits to the base 256, high and low, a byte each
 * (what byte instructions multiply by). Zeros behind the last dimension. */
static inline size_t sx_code_dimensions(size_t dimensions)
{
    return (dimensions + 63) / 64 * 64;
}

/* int16_t in one query. */
static inline size_t sx_code_query_size(size_t dimensions)
{
    return 2 * sx_code_dimensions(dimensions);
}

/* query[k] is about made[k] * the scale returned; at the most exact scale that keeps every sum with codes within 32 bits. A query
 * of zeros has the scale 0. Components must be finite. */
double sx_code_query_make(const float *query, size_t dimensions, int16_t *made);

#endif
