/* kernels_neon.c - kernels for 64-bit ARM's Advanced SIMD (NEON): 4 lanes, tiles of 10 rows x 8 columns in 20 of 32 registers;
 * compilers load the rows' factors ahead, and with more rows would have to put sums aside.
 *
 * Every ARMv8-A processor has what is used here. Source of the instructions' meaning: Arm Architecture Reference Manual for
 * A-profile (DDI 0487), chapter C7; of the intrinsics' names: Arm Neon Intrinsics Reference (IHI 0073).
 */
#include "kernels_internal.h"

#include <arm_neon.h>

enum { WIDTH = 4, TILE_ROWS = 10 };
typedef float32x4_t vf;

#define FOR_EACH_TILE(M) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10)

#define VECTOR_INLINE static inline __attribute__((always_inline))

VECTOR_INLINE vf v_load(const float *p)
{
    return vld1q_f32(p);
}

VECTOR_INLINE void v_store(float *p, vf x)
{
    vst1q_f32(p, x);
}

/* There are no masked loads: pairs and single lanes. */
VECTOR_INLINE vf v_load_tail(const float *p, size_t count)
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

VECTOR_INLINE void v_store_tail(float *p, size_t count, vf x)
{
    if (count & 2)
        vst1_f32(p, vget_low_f32(x));
    if (count == 3)
        vst1q_lane_f32(p + 2, x, 2);
    else if (count == 1)
        vst1q_lane_f32(p, x, 0);
}

VECTOR_INLINE vf v_set(float x)
{
    return vdupq_n_f32(x);
}

VECTOR_INLINE vf v_add(vf a, vf b)
{
    return vaddq_f32(a, b);
}

VECTOR_INLINE vf v_sub(vf a, vf b)
{
    return vsubq_f32(a, b);
}

VECTOR_INLINE vf v_mul(vf a, vf b)
{
    return vmulq_f32(a, b);
}

VECTOR_INLINE vf v_div(vf a, vf b)
{
    return vdivq_f32(a, b);
}

VECTOR_INLINE vf v_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}

VECTOR_INLINE vf v_fnma(vf a, vf b, vf c)
{
    return vfmsq_f32(c, a, b);
}

/* fmax and fmin treat NaN in other ways than the other instruction sets do. */
VECTOR_INLINE vf v_max(vf a, vf b)
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}

VECTOR_INLINE vf v_min(vf a, vf b)
{
    return vbslq_f32(vcltq_f32(a, b), a, b);
}

VECTOR_INLINE vf v_abs(vf x)
{
    return vabsq_f32(x);
}

VECTOR_INLINE vf v_round(vf x)
{
    return vrndnq_f32(x);
}

/* Two factors, because 2^n itself may be no normal float; the first product is exact. */
VECTOR_INLINE vf v_scale(vf x, vf n)
{
    int32x4_t whole = vcvtnq_s32_f32(n), half = vshrq_n_s32(whole, 1), bias = vdupq_n_s32(127);
    int32x4_t first = vshlq_n_s32(vaddq_s32(half, bias), 23);
    int32x4_t second = vshlq_n_s32(vaddq_s32(vsubq_s32(whole, half), bias), 23);
    return vmulq_f32(vmulq_f32(x, vreinterpretq_f32_s32(first)), vreinterpretq_f32_s32(second));
}

VECTOR_INLINE vf v_keep_nan(vf a, vf b)
{
    return vbslq_f32(vceqq_f32(a, a), b, a);
}

VECTOR_INLINE vf v_by_sign(vf x, vf a, vf b)
{
    return vbslq_f32(vreinterpretq_u32_s32(vshrq_n_s32(vreinterpretq_s32_f32(x), 31)), a, b);
}

VECTOR_INLINE float v_sum(vf x)
{
    float32x2_t half = vadd_f32(vget_low_f32(x), vget_high_f32(x));
    return vget_lane_f32(vpadd_f32(half, half), 0);
}

VECTOR_INLINE float v_largest(vf x)
{
    return vmaxvq_f32(x);
}

VECTOR_INLINE void v_transpose(vf r[4])
{
    float32x4x2_t upper = vtrnq_f32(r[0], r[1]), lower = vtrnq_f32(r[2], r[3]);
    r[0] = vcombine_f32(vget_low_f32(upper.val[0]), vget_low_f32(lower.val[0]));
    r[1] = vcombine_f32(vget_low_f32(upper.val[1]), vget_low_f32(lower.val[1]));
    r[2] = vcombine_f32(vget_high_f32(upper.val[0]), vget_high_f32(lower.val[0]));
    r[3] = vcombine_f32(vget_high_f32(upper.val[1]), vget_high_f32(lower.val[1]));
}

VECTOR_INLINE vf v_half(const unsigned char *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
}

VECTOR_INLINE vf v_brain(const unsigned char *p)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p)), 16));
}

VECTOR_INLINE void v_store_half(unsigned char *p, vf x)
{
    vst1_u8(p, vreinterpret_u8_f16(vcvt_f16_f32(x)));
}

/* Adding just less than half of the last place rounds; a tie goes up where that place is odd. A NaN stays one. */
VECTOR_INLINE void v_store_brain(unsigned char *p, vf x)
{
    uint32x4_t bits = vreinterpretq_u32_f32(x), odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    uint32x4_t near = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
    near = vbslq_u32(vceqq_f32(x, x), near, vorrq_u32(bits, vdupq_n_u32(0x400000)));
    vst1_u8(p, vreinterpret_u8_u16(vshrn_n_u32(near, 16)));
}

#include "kernels_simd.h"

const sx_kernels sx_kernels_neon = KERNEL_TABLE("neon", SX_CPU_NEON);
