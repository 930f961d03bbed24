/* dot_avx2.c - dot products with AVX2, FMA and F16C.
 *
 * Codes are widened to 16 bits and multiplied with the query's by VPMADDWD: unlike VPMADDUBSW it cannot saturate. With bytes of
 * -127 .. 127 on both sides VPMADDUBSW cannot either, once the query's signs are put on the codes.
 * Source of the instructions' meaning: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2.
 */
#include "dot_internal.h"

#include <immintrin.h>
#include <string.h>

enum { WIDTH = 8, CODES = 32 };
typedef __m256 vf;
typedef __m256i vi;
typedef struct code_part {
    __m256i low, high; /* 16 codes each */
} code_part;

#define VECTOR_INLINE static inline __attribute__((always_inline))

VECTOR_INLINE vf v_zero(void)
{
    return _mm256_setzero_ps();
}

VECTOR_INLINE vf v_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

VECTOR_INLINE vf v_load_tail(const float *p, size_t count)
{
    __m256i mask = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    return _mm256_maskload_ps(p, mask);
}

VECTOR_INLINE vf v_half(const unsigned char *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

VECTOR_INLINE vf v_half_tail(const unsigned char *p, size_t count)
{
    unsigned char rest[2 * WIDTH] = {0};
    memcpy(rest, p, 2 * count);
    return v_half(rest);
}

VECTOR_INLINE vf v_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}

VECTOR_INLINE vf v_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}

VECTOR_INLINE float v_sum(vf x)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_shuffle_ps(half, half, 1)));
}

VECTOR_INLINE vi code_zero(void)
{
    return _mm256_setzero_si256();
}

VECTOR_INLINE code_part code_load(const uint8_t *p)
{
    return (code_part){_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)p)),
                       _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(p + 16)))};
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
    sum[0] = _mm256_add_epi32(sum[0], _mm256_madd_epi16(codes->low, _mm256_loadu_si256((const __m256i *)(query + k))));
    sum[1] = _mm256_add_epi32(sum[1], _mm256_madd_epi16(codes->high, _mm256_loadu_si256((const __m256i *)(query + k + 16))));
}

VECTOR_INLINE uint32_t code_sum(const vi sum[2])
{
    __m256i all = _mm256_add_epi32(sum[0], sum[1]);
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    return (uint32_t)_mm_cvtsi128_si32(_mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1)));
}

#include "dot_codes.h"
#include "dot_floats.h"

void sx_dot_f32_avx2(const sx_dot_job *job)
{
    dot_all(job, false);
}

void sx_dot_f16_avx2(const sx_dot_job *job)
{
    dot_all(job, true);
}

void sx_dot_codes_avx2(const sx_code_job *job)
{
    code_all(job);
}

void sx_dot_bytes_avx2(const sx_byte_job *job)
{
    const __m256i ones = _mm256_set1_epi16(1), zero_code = _mm256_set1_epi8((char)SX_CODE_ZERO);
    size_t padded = sx_code_dimensions(job->dimensions);
    for (size_t i = 0; i < job->count; i++) {
        __m256i sum[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
        for (size_t k = 0; k < padded; k += 2 * CODES)
            UNROLL
            for (size_t part = 0; part < 2; part++) {
                __m256i query = _mm256_loadu_si256((const __m256i *)(job->query + k + part * CODES));
                __m256i row = _mm256_loadu_si256((const __m256i *)(job->rows[i] + k + part * CODES));
                row = _mm256_sign_epi8(_mm256_xor_si256(row, zero_code), query);
                __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(query), row);
                sum[part] = _mm256_add_epi32(sum[part], _mm256_madd_epi16(pairs, ones));
            }
        job->out[i] = (int32_t)code_sum(sum);
    }
}
