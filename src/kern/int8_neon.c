/* int8_neon.c - 8-bit kernels for every 64-bit ARM processor, in 16-bit integers: smlal multiplies and adds them exactly. */
#include "int8_neon.h"

enum { GROUP = 2, LOWEST = 0 };
typedef int16_t quantised;
typedef int16_t weight;

/* A lane of w holds a column's weights for two successive k. They are taken apart once for all rows of a tile: the compiler sees
 * that w is the same. */
VECTOR_INLINE vi vi_dot(vi sum, vi a, vi w)
{
    int16x8_t pairs = vreinterpretq_s16_s32(w);
    int16x4_t both = vget_low_s16(vreinterpretq_s16_s32(a));
    int16x8_t apart = vuzp1q_s16(pairs, pairs), behind = vuzp2q_s16(pairs, pairs);
    sum = vmlal_lane_s16(sum, vget_low_s16(apart), both, 0);
    return vmlal_lane_s16(sum, vget_low_s16(behind), both, 1);
}

VECTOR_INLINE void put_weights(weight *to, vi q)
{
    vst1_s16(to, vmovn_s32(q));
}

VECTOR_INLINE void put_quantised(quantised *to, vi q)
{
    vst1_s16(to, vmovn_s32(cut(q, LOWEST)));
}

#include "int8_simd.h"

const sx_int8_kernels sx_int8_kernels_neon = INT8_TABLE("neon", SX_CPU_NEON);
