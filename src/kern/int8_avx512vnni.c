/* int8_avx512vnni.c - 8-bit kernels for AVX-512 VNNI: vpdpbusd adds four products of an unsigned and a signed byte to each of 16
 * lanes. Tiles of 14 rows x 32 columns in 28 of 32 registers. Source: Intel SDM, volume 2.
 */
#include <immintrin.h>
#include <stdint.h>

enum { LANES = 16, TILE_ROWS = 14, GROUP = 4, LOWEST = 0 };
typedef uint8_t quantised;
typedef int8_t weight;
typedef __m512i vi;
typedef __m512 vf;

#define FOR_EACH_TILE(M) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12) M(13) M(14)
#define VECTOR_INLINE static inline __attribute__((always_inline))

VECTOR_INLINE __mmask16 first_lanes(size_t count)
{
    return (__mmask16)((1u << count) - 1);
}

VECTOR_INLINE vi vi_zero(void)
{
    return _mm512_setzero_si512();
}

VECTOR_INLINE vi vi_load(const void *p)
{
    return _mm512_loadu_si512(p);
}

VECTOR_INLINE void vi_store(int32_t *p, vi x)
{
    _mm512_storeu_si512(p, x);
}

VECTOR_INLINE vi vi_broadcast(const unsigned char *p)
{
    int32_t four;
    __builtin_memcpy(&four, p, sizeof four);
    return _mm512_set1_epi32(four);
}

VECTOR_INLINE vi vi_dot(vi sum, vi a, vi w)
{
    return _mm512_dpbusd_epi32(sum, a, w);
}

VECTOR_INLINE vi vi_set(int32_t x)
{
    return _mm512_set1_epi32(x);
}

VECTOR_INLINE vi vi_add(vi a, vi b)
{
    return _mm512_add_epi32(a, b);
}

VECTOR_INLINE vi vi_sub(vi a, vi b)
{
    return _mm512_sub_epi32(a, b);
}

VECTOR_INLINE vi vi_mul(vi a, vi b)
{
    return _mm512_mullo_epi32(a, b);
}

VECTOR_INLINE vf vi_to_float(vi x)
{
    return _mm512_cvtepi32_ps(x);
}

VECTOR_INLINE vi vf_to_int(vf x)
{
    return _mm512_cvtps_epi32(x);
}

VECTOR_INLINE vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

VECTOR_INLINE vf vf_load_tail(const float *p, size_t count)
{
    return _mm512_maskz_loadu_ps(first_lanes(count), p);
}

VECTOR_INLINE void vf_store(float *p, vf x)
{
    _mm512_storeu_ps(p, x);
}

VECTOR_INLINE void vf_store_tail(float *p, size_t count, vf x)
{
    _mm512_mask_storeu_ps(p, first_lanes(count), x);
}

VECTOR_INLINE vf vf_set(float x)
{
    return _mm512_set1_ps(x);
}

VECTOR_INLINE vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}

VECTOR_INLINE vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}

VECTOR_INLINE vf vf_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}

VECTOR_INLINE vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}

VECTOR_INLINE float vf_smallest(vf x)
{
    return _mm512_reduce_min_ps(x);
}

VECTOR_INLINE float vf_largest(vf x)
{
    return _mm512_reduce_max_ps(x);
}

VECTOR_INLINE float vf_sum(vf x)
{
    return _mm512_reduce_add_ps(x);
}

VECTOR_INLINE void put_weights(weight *to, vi q)
{
    _mm_storeu_si128((__m128i *)(void *)to, _mm512_cvtepi32_epi8(q));
}

VECTOR_INLINE void put_quantised(quantised *to, vi q)
{
    __m128i bytes = _mm512_cvtusepi32_epi8(_mm512_max_epi32(q, _mm512_setzero_si512()));
    _mm_storeu_si128((__m128i *)(void *)to, bytes);
}

#include "int8_simd.h"

const sx_int8_kernels sx_int8_kernels_avx512vnni = INT8_TABLE("avx512-vnni", SX_CPU_AVX512_VNNI);
