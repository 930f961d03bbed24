/* int8_neon.h - the operations on 128-bit registers that the levels of 64-bit ARM share. Source of the instructions' meaning: Arm
 * Architecture Reference Manual for A-profile (DDI 0487), chapter C7. */
#ifndef SX_KERN_INT8_NEON_H
#define SX_KERN_INT8_NEON_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

enum { LANES = 4, TILE_ROWS = 8 }; /* with more rows compilers run out of registers */
typedef int32x4_t vi;
typedef float32x4_t vf;

#define FOR_EACH_TILE(M) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8)
#define VECTOR_INLINE static inline __attribute__((always_inline))

VECTOR_INLINE vi vi_zero(void)
{
    return vdupq_n_s32(0);
}

/* As bytes: weights need no alignment. */
VECTOR_INLINE vi vi_load(const void *p)
{
    return vreinterpretq_s32_u8(vld1q_u8(p));
}

VECTOR_INLINE void vi_store(int32_t *p, vi x)
{
    vst1q_s32(p, x);
}

VECTOR_INLINE vi vi_broadcast(const unsigned char *p)
{
    int32_t four;
    __builtin_memcpy(&four, p, sizeof four);
    return vdupq_n_s32(four);
}

VECTOR_INLINE vi vi_set(int32_t x)
{
    return vdupq_n_s32(x);
}

VECTOR_INLINE vi vi_add(vi a, vi b)
{
    return vaddq_s32(a, b);
}

VECTOR_INLINE vi vi_sub(vi a, vi b)
{
    return vsubq_s32(a, b);
}

VECTOR_INLINE vi vi_mul(vi a, vi b)
{
    return vmulq_s32(a, b);
}

VECTOR_INLINE vf vi_to_float(vi x)
{
    return vcvtq_f32_s32(x);
}

VECTOR_INLINE vi vf_to_int(vf x)
{
    return vcvtnq_s32_f32(x);
}

VECTOR_INLINE vf vf_load(const float *p)
{
    return vld1q_f32(p);
}

/* There are no masked loads: pairs and single lanes. */
VECTOR_INLINE vf vf_load_tail(const float *p, size_t count)
{
    vf x = vdupq_n_f32(0.0f);
    if (count & 2)
        x = vcombine_f32(vld1_f32(p), vget_high_f32(x));
    if (count == 3)
        x = vld1q_lane_f32(p + 2, x, 2);
    else if (count == 1)
        x = vld1q_lane_f32(p, x, 0);
    return x;
}

VECTOR_INLINE void vf_store(float *p, vf x)
{
    vst1q_f32(p, x);
}

VECTOR_INLINE void vf_store_tail(float *p, size_t count, vf x)
{
    if (count & 2)
        vst1_f32(p, vget_low_f32(x));
    if (count == 3)
        vst1q_lane_f32(p + 2, x, 2);
    else if (count == 1)
        vst1q_lane_f32(p, x, 0);
}

VECTOR_INLINE vf vf_set(float x)
{
    return vdupq_n_f32(x);
}

VECTOR_INLINE vf vf_mul(vf a, vf b)
{
    return vmulq_f32(a, b);
}

VECTOR_INLINE vf vf_add(vf a, vf b)
{
    return vaddq_f32(a, b);
}

VECTOR_INLINE vf vf_min(vf a, vf b)
{
    return vbslq_f32(vcltq_f32(a, b), a, b);
}

VECTOR_INLINE vf vf_max(vf a, vf b)
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}

VECTOR_INLINE float vf_smallest(vf x)
{
    return vminvq_f32(x);
}

VECTOR_INLINE float vf_largest(vf x)
{
    return vmaxvq_f32(x);
}

VECTOR_INLINE float vf_sum(vf x)
{
    return vaddvq_f32(x);
}

/* Four integers cut to least .. least + 255. */
VECTOR_INLINE vi cut(vi q, int32_t least)
{
    return vminq_s32(vmaxq_s32(q, vdupq_n_s32(least)), vdupq_n_s32(least + 255));
}

/* The lowest bytes of four integers. */
VECTOR_INLINE void put_bytes(void *to, vi q)
{
    int16x4_t words = vmovn_s32(q);
    uint32_t four = vget_lane_u32(vreinterpret_u32_s8(vmovn_s16(vcombine_s16(words, words))), 0);
    __builtin_memcpy(to, &four, sizeof four);
}

#endif
