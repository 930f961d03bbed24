/* int8_ymm.h - the 256-bit operations that AVX2 and AVX-VNNI share. */
#ifndef SX_KERN_INT8_YMM_H
#define SX_KERN_INT8_YMM_H

#include <immintrin.h>
#include <stdint.h>

enum { LANES = 8, TILE_ROWS = 6, LOWEST = 0 };
typedef __m256i vi;
typedef __m256 vf;

#define FOR_EACH_TILE(M) M(1) M(2) M(3) M(4) M(5) M(6)
#define VECTOR_INLINE static inline __attribute__((always_inline))

VECTOR_INLINE __m256i first_lanes(size_t count)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

VECTOR_INLINE vi vi_zero(void)
{
    return _mm256_setzero_si256();
}

VECTOR_INLINE vi vi_load(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

VECTOR_INLINE void vi_store(int32_t *p, vi x)
{
    _mm256_storeu_si256((__m256i *)(void *)p, x);
}

VECTOR_INLINE vi vi_broadcast(const unsigned char *p)
{
    int32_t four;
    __builtin_memcpy(&four, p, sizeof four);
    return _mm256_set1_epi32(four);
}

VECTOR_INLINE vi vi_set(int32_t x)
{
    return _mm256_set1_epi32(x);
}

VECTOR_INLINE vi vi_add(vi a, vi b)
{
    return _mm256_add_epi32(a, b);
}

VECTOR_INLINE vi vi_sub(vi a, vi b)
{
    return _mm256_sub_epi32(a, b);
}

VECTOR_INLINE vi vi_mul(vi a, vi b)
{
    return _mm256_mullo_epi32(a, b);
}

VECTOR_INLINE vf vi_to_float(vi x)
{
    return _mm256_cvtepi32_ps(x);
}

VECTOR_INLINE vi vf_to_int(vf x)
{
    return _mm256_cvtps_epi32(x);
}

VECTOR_INLINE vf vf_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

VECTOR_INLINE vf vf_load_tail(const float *p, size_t count)
{
    return _mm256_maskload_ps(p, first_lanes(count));
}

VECTOR_INLINE void vf_store(float *p, vf x)
{
    _mm256_storeu_ps(p, x);
}

VECTOR_INLINE void vf_store_tail(float *p, size_t count, vf x)
{
    _mm256_maskstore_ps(p, first_lanes(count), x);
}

VECTOR_INLINE vf vf_set(float x)
{
    return _mm256_set1_ps(x);
}

VECTOR_INLINE vf vf_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}

VECTOR_INLINE vf vf_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}

VECTOR_INLINE vf vf_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}

VECTOR_INLINE vf vf_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}

VECTOR_INLINE float vf_smallest(vf x)
{
    __m128 half = _mm_min_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_min_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_min_ss(half, _mm_shuffle_ps(half, half, 1)));
}

VECTOR_INLINE float vf_largest(vf x)
{
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_shuffle_ps(half, half, 1)));
}

VECTOR_INLINE float vf_sum(vf x)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_shuffle_ps(half, half, 1)));
}

/* Eight integers that fit as 16-bit ones. */
VECTOR_INLINE __m128i words(vi q)
{
    return _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
}

/* Eight integers cut to 0 .. 255, as 16-bit ones. */
VECTOR_INLINE __m128i cut(vi q)
{
    q = _mm256_min_epi32(_mm256_max_epi32(q, _mm256_setzero_si256()), _mm256_set1_epi32(255));
    return _mm_packus_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
}

#endif
