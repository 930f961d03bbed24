/* int8_avxvnni.c - 8-bit kernels for AVX-VNNI: vpdpbusd in 256-bit registers, for processors without AVX-512. */
#include "int8_ymm.h"

enum { GROUP = 4 };
typedef uint8_t quantised;
typedef int8_t weight;

VECTOR_INLINE vi vi_dot(vi sum, vi a, vi w)
{
    return _mm256_dpbusd_avx_epi32(sum, a, w);
}

VECTOR_INLINE void put_quantised(quantised *to, vi q)
{
    __m128i eight = cut(q);
    _mm_storel_epi64((__m128i *)(void *)to, _mm_packus_epi16(eight, eight));
}

VECTOR_INLINE void put_weights(weight *to, vi q)
{
    __m128i eight = words(q);
    _mm_storel_epi64((__m128i *)(void *)to, _mm_packs_epi16(eight, eight));
}

#include "int8_simd.h"

const sx_int8_kernels sx_int8_kernels_avxvnni = INT8_TABLE("avx-vnni", SX_CPU_AVX_VNNI);
