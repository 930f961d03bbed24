/* dot_neon.c - dot products with 64-bit ARM's Advanced SIMD (NEON).
 *
 * Codes are widened to 16 bits and multiplied with the query's by SMLAL into sums of 32.
 * Source of the instructions' meaning: Arm Architecture Reference Manual for A-profile (DDI 0487), chapter C7.
 */
#include "dot_internal.h"

#include <arm_neon.h>
#include <string.h>

enum { WIDTH = 4, CODES = 16 };
typedef float32x4_t vf;
typedef int32x4_t vi;
typedef struct code_part {
    int16x8_t low, high; /* 8 codes each */
} code_part;

#define VECTOR_INLINE static inline __attribute__((always_inline))

VECTOR_INLINE vf v_zero(void)
{
    return vdupq_n_f32(0.0f);
}

VECTOR_INLINE vf v_load(const float *p)
{
    return vld1q_f32(p);
}

VECTOR_INLINE vf v_load_tail(const float *p, size_t count)
{
    float rest[WIDTH] = {0};
    memcpy(rest, p, count * sizeof *p);
    return v_load(rest);
}

VECTOR_INLINE vf v_half(const unsigned char *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
}

VECTOR_INLINE vf v_half_tail(const unsigned char *p, size_t count)
{
    unsigned char rest[2 * WIDTH] = {0};
    memcpy(rest, p, 2 * count);
    return v_half(rest);
}

VECTOR_INLINE vf v_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}

VECTOR_INLINE vf v_add(vf a, vf b)
{
    return vaddq_f32(a, b);
}

VECTOR_INLINE float v_sum(vf x)
{
    float32x2_t half = vadd_f32(vget_low_f32(x), vget_high_f32(x));
    return vget_lane_f32(vpadd_f32(half, half), 0);
}

VECTOR_INLINE vi code_zero(void)
{
    return vdupq_n_s32(0);
}

VECTOR_INLINE code_part code_load(const uint8_t *p)
{
    uint8x16_t codes = vld1q_u8(p);
    return (code_part){vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(codes))),
                       vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(codes)))};
}

VECTOR_INLINE code_part code_load_tail(const uint8_t *p, size_t count)
{
    uint8_t rest[CODES] = {0};
    memcpy(rest, p, count);
    return code_load(rest);
}

VECTOR_INLINE void code_step(vi sum[2], const code_part *codes, const int16_t *query, size_t padded, size_t k)
{
    (void)padded;
    int16x8_t low = vld1q_s16(query + k), high = vld1q_s16(query + k + 8);
    sum[0] = vmlal_s16(sum[0], vget_low_s16(codes->low), vget_low_s16(low));
    sum[1] = vmlal_s16(sum[1], vget_low_s16(codes->high), vget_low_s16(high));
    sum[0] = vmlal_high_s16(sum[0], codes->low, low);
    sum[1] = vmlal_high_s16(sum[1], codes->high, high);
}

VECTOR_INLINE uint32_t code_sum(const vi sum[2])
{
    return (uint32_t)vaddvq_s32(vaddq_s32(sum[0], sum[1]));
}

#include "dot_codes.h"
#include "dot_floats.h"

void sx_dot_f32_neon(const sx_dot_job *job)
{
    dot_all(job, false);
}

void sx_dot_f16_neon(const sx_dot_job *job)
{
    dot_all(job, true);
}

void sx_dot_codes_neon(const sx_code_job *job)
{
    code_all(job);
}

void sx_dot_bytes_neon(const sx_byte_job *job)
{
    const uint8x16_t zero_code = vdupq_n_u8(SX_CODE_ZERO);
    size_t padded = sx_code_dimensions(job->dimensions);
    for (size_t i = 0; i < job->count; i++) {
        int32x4_t sum = vdupq_n_s32(0);
        for (size_t k = 0; k < padded; k += CODES) {
            int8x16_t query = vld1q_s8(job->query + k);
            int8x16_t row = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(job->rows[i] + k), zero_code));
            int16x8_t pairs = vmull_s8(vget_low_s8(query), vget_low_s8(row)); /* two products of at most 127 x 128 fit */
            sum = vpadalq_s16(sum, vmlal_high_s8(pairs, query, row));
        }
        job->out[i] = vaddvq_s32(sum);
    }
}
