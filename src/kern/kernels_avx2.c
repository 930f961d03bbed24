/* kernels_avx2.c - kernels for AVX2 with FMA and F16C: 8 lanes, tiles of 6 rows x 16 columns in 12 of 16 registers.
 *
 * Source of the instructions' meaning: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2.
 */
#include "kernels_internal.h"

#include <immintrin.h>

enum { WIDTH = 8, TILE_ROWS = 6 };
typedef __m256 vf;

#define FOR_EACH_TILE(M) M(1) M(2) M(3) M(4) M(5) M(6)

#define VECTOR_INLINE static inline __attribute__((always_inline))

VECTOR_INLINE __m256i first_lanes(size_t count)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

VECTOR_INLINE vf v_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

VECTOR_INLINE void v_store(float *p, vf x)
{
    _mm256_storeu_ps(p, x);
}

VECTOR_INLINE vf v_load_tail(const float *p, size_t count)
{
    return _mm256_maskload_ps(p, first_lanes(count));
}

VECTOR_INLINE void v_store_tail(float *p, size_t count, vf x)
{
    _mm256_maskstore_ps(p, first_lanes(count), x);
}

VECTOR_INLINE vf v_set(float x)
{
    return _mm256_set1_ps(x);
}

VECTOR_INLINE vf v_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}

VECTOR_INLINE vf v_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}

VECTOR_INLINE vf v_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}

VECTOR_INLINE vf v_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}

VECTOR_INLINE vf v_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}

VECTOR_INLINE vf v_fnma(vf a, vf b, vf c)
{
    return _mm256_fnmadd_ps(a, b, c);
}

VECTOR_INLINE vf v_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}

VECTOR_INLINE vf v_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}

VECTOR_INLINE vf v_abs(vf x)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
}

VECTOR_INLINE vf v_round(vf x)
{
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

/* Two factors, because 2^n itself may be no normal float; the first product is exact. */
VECTOR_INLINE vf v_scale(vf x, vf n)
{
    __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1), bias = _mm256_set1_epi32(127);
    __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    __m256i second = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(whole, half), bias), 23);
    return _mm256_mul_ps(_mm256_mul_ps(x, _mm256_castsi256_ps(first)), _mm256_castsi256_ps(second));
}

VECTOR_INLINE vf v_keep_nan(vf a, vf b)
{
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}

VECTOR_INLINE vf v_by_sign(vf x, vf a, vf b)
{
    return _mm256_blendv_ps(b, a, x);
}

VECTOR_INLINE float v_sum(vf x)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_shuffle_ps(half, half, 1)));
}

VECTOR_INLINE float v_largest(vf x)
{
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_shuffle_ps(half, half, 1)));
}

VECTOR_INLINE void v_transpose(vf r[8])
{
    vf t[8];
    UNROLL
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    UNROLL
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
    }
    UNROLL
    for (int i = 0; i < 8; i++)
        r[i] = t[i];
}

VECTOR_INLINE vf v_half(const unsigned char *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

VECTOR_INLINE vf v_brain(const unsigned char *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}

VECTOR_INLINE void v_store_half(unsigned char *p, vf x)
{
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}

/* Adding just less than half of the last place rounds; a tie goes up where that place is odd. A NaN stays one. */
VECTOR_INLINE void v_store_brain(unsigned char *p, vf x)
{
    __m256i bits = _mm256_castps_si256(x), odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i near = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    near = _mm256_blendv_epi8(near, quiet, _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
    near = _mm256_srli_epi32(near, 16);
    _mm_storeu_si128((__m128i *)p, _mm_packus_epi32(_mm256_castsi256_si128(near), _mm256_extracti128_si256(near, 1)));
}

#include "kernels_simd.h"

const sx_kernels sx_kernels_avx2 = KERNEL_TABLE("avx2", SX_CPU_AVX2);
