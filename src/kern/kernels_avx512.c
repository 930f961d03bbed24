/* kernels_avx512.c - kernels for AVX-512 (F, BW, DQ, VL): 16 lanes, tiles of 14 rows x 32 columns in 28 of 32 registers.
 *
 * Source of the instructions' meaning: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2.
 */
#include "kernels_internal.h"

#include <immintrin.h>

enum { WIDTH = 16, TILE_ROWS = 14 };
typedef __m512 vf;

#define FOR_EACH_TILE(M) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12) M(13) M(14)

#define VECTOR_INLINE static inline __attribute__((always_inline))

VECTOR_INLINE __mmask16 first_lanes(size_t count)
{
    return (__mmask16)((1u << count) - 1);
}

VECTOR_INLINE vf v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

VECTOR_INLINE void v_store(float *p, vf x)
{
    _mm512_storeu_ps(p, x);
}

VECTOR_INLINE vf v_load_tail(const float *p, size_t count)
{
    return _mm512_maskz_loadu_ps(first_lanes(count), p);
}

VECTOR_INLINE void v_store_tail(float *p, size_t count, vf x)
{
    _mm512_mask_storeu_ps(p, first_lanes(count), x);
}

VECTOR_INLINE vf v_set(float x)
{
    return _mm512_set1_ps(x);
}

VECTOR_INLINE vf v_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}

VECTOR_INLINE vf v_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}

VECTOR_INLINE vf v_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}

VECTOR_INLINE vf v_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}

VECTOR_INLINE vf v_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}

VECTOR_INLINE vf v_fnma(vf a, vf b, vf c)
{
    return _mm512_fnmadd_ps(a, b, c);
}

VECTOR_INLINE vf v_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}

VECTOR_INLINE vf v_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}

VECTOR_INLINE vf v_abs(vf x)
{
    return _mm512_abs_ps(x);
}

VECTOR_INLINE vf v_round(vf x)
{
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

VECTOR_INLINE vf v_scale(vf x, vf n)
{
    return _mm512_scalef_ps(x, n);
}

VECTOR_INLINE vf v_keep_nan(vf a, vf b)
{
    return _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a);
}

VECTOR_INLINE vf v_by_sign(vf x, vf a, vf b)
{
    return _mm512_mask_mov_ps(b, _mm512_movepi32_mask(_mm512_castps_si512(x)), a);
}

VECTOR_INLINE float v_sum(vf x)
{
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    quarter = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_add_ss(quarter, _mm_shuffle_ps(quarter, quarter, 1)));
}

VECTOR_INLINE float v_largest(vf x)
{
    return _mm512_reduce_max_ps(x);
}

/* Four stages: pairs of lanes, pairs of pairs, then the 128-bit quarters. */
VECTOR_INLINE void v_transpose(vf r[16])
{
    vf t[16];
    UNROLL
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    UNROLL
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
        r[i + 4] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 12] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd);
    }
}

VECTOR_INLINE vf v_half(const unsigned char *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

VECTOR_INLINE vf v_brain(const unsigned char *p)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}

VECTOR_INLINE void v_store_half(unsigned char *p, vf x)
{
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

/* Adding just less than half of the last place rounds; a tie goes up where that place is odd. A NaN stays one. */
VECTOR_INLINE void v_store_brain(unsigned char *p, vf x)
{
    __m512i bits = _mm512_castps_si512(x), odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i near = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    near = _mm512_mask_or_epi32(near, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), bits, _mm512_set1_epi32(0x400000));
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(near, 16)));
}

#include "kernels_simd.h"

const sx_kernels sx_kernels_avx512 = KERNEL_TABLE("avx512", SX_CPU_AVX512);
