/* dot_avx512.c - dot products with AVX-512 (F, BW, DQ, VL).
 *
 * Codes are widened to 16 bits and multiplied with the query's by VPMADDWD; where the processor has VNNI, dot_avx512vnni.c does
 * it on the bytes. Source of the instructions' meaning: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2.
 */
#include "dot_internal.h"

#include <immintrin.h>

enum { WIDTH = 16, CODES = 64 };
typedef __m512 vf;
typedef __m512i vi;
typedef struct code_part {
    __m512i low, high; /* 32 codes each */
} code_part;

#define VECTOR_INLINE static inline __attribute__((always_inline))

VECTOR_INLINE vf v_zero(void)
{
    return _mm512_setzero_ps();
}

VECTOR_INLINE vf v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

VECTOR_INLINE vf v_load_tail(const float *p, size_t count)
{
    return _mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), p);
}

VECTOR_INLINE vf v_half(const unsigned char *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

VECTOR_INLINE vf v_half_tail(const unsigned char *p, size_t count)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16((__mmask16)((1u << count) - 1), p));
}

VECTOR_INLINE vf v_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}

VECTOR_INLINE vf v_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}

VECTOR_INLINE float v_sum(vf x)
{
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    quarter = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_add_ss(quarter, _mm_shuffle_ps(quarter, quarter, 1)));
}

VECTOR_INLINE vi code_zero(void)
{
    return _mm512_setzero_si512();
}

VECTOR_INLINE code_part code_load(const uint8_t *p)
{
    return (code_part){_mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)p)),
                       _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(p + 32)))};
}

VECTOR_INLINE code_part code_load_tail(const uint8_t *p, size_t count)
{
    __m512i all = _mm512_maskz_loadu_epi8(((uint64_t)1 << count) - 1, p);
    return (code_part){_mm512_cvtepu8_epi16(_mm512_castsi512_si256(all)),
                       _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(all, 1))};
}

VECTOR_INLINE void code_step(vi sum[2], const code_part *codes, const int16_t *query, size_t padded, size_t k)
{
    (void)padded;
    sum[0] = _mm512_add_epi32(sum[0], _mm512_madd_epi16(codes->low, _mm512_loadu_si512(query + k)));
    sum[1] = _mm512_add_epi32(sum[1], _mm512_madd_epi16(codes->high, _mm512_loadu_si512(query + k + 32)));
}

/* Modulo 2^32, as the sums are meant; the compiler's own reduction ends in signed additions, which may not overflow. */
VECTOR_INLINE uint32_t sum_lanes(__m512i x)
{
    __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
    return (uint32_t)_mm_cvtsi128_si32(sum);
}

VECTOR_INLINE uint32_t code_sum(const vi sum[2])
{
    return sum_lanes(_mm512_add_epi32(sum[0], sum[1]));
}

#include "dot_codes.h"
#include "dot_floats.h"

void sx_dot_f32_avx512(const sx_dot_job *job)
{
    dot_all(job, false);
}

void sx_dot_f16_avx512(const sx_dot_job *job)
{
    dot_all(job, true);
}

void sx_dot_codes_avx512(const sx_code_job *job)
{
    code_all(job);
}
