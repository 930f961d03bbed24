/* dot_avx512vnni.c - dot products with 8-bit codes by AVX-512 VNNI.
 *
 * VPDPBUSD multiplies unsigned bytes (codes) with signed ones, so the query's 16 bits are taken as two digits: the sum is 256
 * times that of the high ones plus that of the low ones.
 * Source of the instructions' meaning: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2.
 */
#include "dot_internal.h"

#include <immintrin.h>

enum { CODES = 64 };
typedef __m512i vi;
typedef __m512i code_part;

#define VECTOR_INLINE static inline __attribute__((always_inline))

VECTOR_INLINE vi code_zero(void)
{
    return _mm512_setzero_si512();
}

VECTOR_INLINE code_part code_load(const uint8_t *p)
{
    return _mm512_loadu_si512(p);
}

VECTOR_INLINE code_part code_load_tail(const uint8_t *p, size_t count)
{
    return _mm512_maskz_loadu_epi8(((uint64_t)1 << count) - 1, p);
}

VECTOR_INLINE void code_step(vi sum[2], const code_part *codes, const int16_t *query, size_t padded, size_t k)
{
    const int8_t *digits = (const int8_t *)(query + padded) + k;
    sum[0] = _mm512_dpbusd_epi32(sum[0], *codes, _mm512_loadu_si512(digits));
    sum[1] = _mm512_dpbusd_epi32(sum[1], *codes, _mm512_loadu_si512(digits + padded));
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
    return sum_lanes(_mm512_add_epi32(_mm512_slli_epi32(sum[0], 8), sum[1]));
}

#include "dot_codes.h"

void sx_dot_codes_avx512vnni(const sx_code_job *job)
{
    code_all(job);
}

/* The sums of four rows' lanes. */
VECTOR_INLINE __m128i sum_four(const __m512i sum[4])
{
    __m256i half[4];
    UNROLL
    for (size_t r = 0; r < 4; r++)
        half[r] = _mm256_add_epi32(_mm512_castsi512_si256(sum[r]), _mm512_extracti64x4_epi64(sum[r], 1));
    __m256i pairs = _mm256_hadd_epi32(_mm256_hadd_epi32(half[0], half[1]), _mm256_hadd_epi32(half[2], half[3]));
    return _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
}

void sx_dot_bytes_avx512vnni(const sx_byte_job *job)
{
    const __m512i zero_codes = _mm512_set1_epi8((char)SX_CODE_ZERO);
    size_t padded = sx_code_dimensions(job->dimensions), i = 0;
    __m512i excess = _mm512_setzero_si512();
    for (size_t k = 0; k < padded; k += CODES)
        excess = _mm512_dpbusd_epi32(excess, zero_codes, _mm512_loadu_si512(job->query + k));
    const __m512i start = _mm512_sub_epi32(_mm512_setzero_si512(), excess);
    for (; i + 4 <= job->count; i += 4) {
        const uint8_t *const *rows = job->rows + i;
        __m512i sum[4] = {start, start, start, start};
        for (size_t k = 0; k < padded; k += CODES) {
            __m512i query = _mm512_loadu_si512(job->query + k);
            UNROLL
            for (size_t r = 0; r < 4; r++)
                sum[r] = _mm512_dpbusd_epi32(sum[r], _mm512_loadu_si512(rows[r] + k), query);
        }
        _mm_storeu_si128((__m128i *)(job->out + i), sum_four(sum));
    }
    for (; i < job->count; i++) {
        __m512i sum = start;
        for (size_t k = 0; k < padded; k += CODES)
            sum = _mm512_dpbusd_epi32(sum, _mm512_loadu_si512(job->rows[i] + k), _mm512_loadu_si512(job->query + k));
        job->out[i] = (int32_t)sum_lanes(sum);
    }
}
