/* int8_neon_i8mm.c - 8-bit kernels for 64-bit ARM with FEAT_I8MM: usdot adds four products of an unsigned and a signed byte to each
 * lane. */
#include "int8_neon.h"

enum { GROUP = 4, LOWEST = 0 };
typedef uint8_t quantised;
typedef int8_t weight;

VECTOR_INLINE vi vi_dot(vi sum, vi a, vi w)
{
    return vusdotq_s32(sum, vreinterpretq_u8_s32(a), vreinterpretq_s8_s32(w));
}

VECTOR_INLINE void put_quantised(quantised *to, vi q)
{
    put_bytes(to, cut(q, LOWEST));
}

#include "int8_simd.h"

const sx_int8_kernels sx_int8_kernels_neon_i8mm = INT8_TABLE("neon-i8mm", SX_CPU_NEON_I8MM);
