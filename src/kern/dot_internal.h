/* dot_internal.h - the functions behind the tables of dot.h, for the dispatcher. */
#ifndef SX_KERN_DOT_INTERNAL_H
#define SX_KERN_DOT_INTERNAL_H

#include "dot.h"
#include "kernels_internal.h"

enum { SX_CODE_ZERO = 128 }; /* the code that stands for 0 */

void sx_dot_f32_c(const sx_dot_job *job);
void sx_dot_f16_c(const sx_dot_job *job);
void sx_dot_codes_c(const sx_code_job *job);
void sx_dot_bytes_c(const sx_byte_job *job);
#if defined(__x86_64__)
void sx_dot_f32_avx2(const sx_dot_job *job);
void sx_dot_f16_avx2(const sx_dot_job *job);
void sx_dot_codes_avx2(const sx_code_job *job);
void sx_dot_bytes_avx2(const sx_byte_job *job);
void sx_dot_f32_avx512(const sx_dot_job *job);
void sx_dot_f16_avx512(const sx_dot_job *job);
void sx_dot_codes_avx512(const sx_code_job *job);
void sx_dot_codes_avx512vnni(const sx_code_job *job);
void sx_dot_bytes_avx512vnni(const sx_byte_job *job);
#elif defined(__aarch64__)
void sx_dot_f32_neon(const sx_dot_job *job);
void sx_dot_f16_neon(const sx_dot_job *job);
void sx_dot_codes_neon(const sx_code_job *job);
void sx_dot_bytes_neon(const sx_byte_job *job);
#endif

/* What every code of a row is too large by, times the query: taken off the sum. Sums are kept modulo 2^32, so it does not matter
 * that one on the way may not fit. */
static inline uint32_t sx_code_excess(const int16_t *query, size_t dimensions)
{
    uint32_t sum = 0;
    for (size_t k = 0; k < dimensions; k++)
        sum += (uint32_t)query[k];
    return SX_CODE_ZERO * sum;
}

#endif
