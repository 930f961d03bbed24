/* int8_avx2.c - 8-bit kernels for AVX2, in 16-bit integers: vpmaddwd multiplies pairs exactly, where the instruction for bytes
 * (vpmaddubsw) would cut sums of two products to 16 bits. Half of what VNNI does in a cycle, and never wrong.
 */
#include "int8_ymm.h"

enum { GROUP = 2 };
typedef int16_t quantised;
typedef int16_t weight;

VECTOR_INLINE vi vi_dot(vi sum, vi a, vi w)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, w));
}

VECTOR_INLINE void put_quantised(quantised *to, vi q)
{
    _mm_storeu_si128((__m128i *)(void *)to, cut(q));
}

VECTOR_INLINE void put_weights(weight *to, vi q)
{
    _mm_storeu_si128((__m128i *)(void *)to, words(q));
}

#include "int8_simd.h"

const sx_int8_kernels sx_int8_kernels_avx2 = INT8_TABLE("avx2", SX_CPU_AVX2);
