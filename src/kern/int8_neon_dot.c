/* int8_neon_dot.c - 8-bit kernels for 64-bit ARM with dot products (FEAT_DotProd): sdot adds four products of signed bytes to
 * each lane. Activations lie 128 lower than elsewhere, and so do their zero points: what comes out is the same. */
#include "int8_neon.h"

enum { GROUP = 4, LOWEST = -128 };
typedef int8_t quantised;
typedef int8_t weight;

VECTOR_INLINE vi vi_dot(vi sum, vi a, vi w)
{
    return vdotq_s32(sum, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(w));
}

VECTOR_INLINE void put_weights(weight *to, vi q)
{
    put_bytes(to, q);
}

VECTOR_INLINE void put_quantised(quantised *to, vi q)
{
    put_bytes(to, cut(q, LOWEST));
}

#include "int8_simd.h"

const sx_int8_kernels sx_int8_kernels_neon_dot = INT8_TABLE("neon-dot", SX_CPU_NEON_DOT);
