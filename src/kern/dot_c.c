/* dot_c.c - dot products in plain C, the tables of all sets, and how a query is put into 16 bits. */
#include "dot_internal.h"
#include "half.h"

#include <math.h>
#include <string.h>

enum { CHAINS = 8 }; /* so that a sum is not bound by the latency of one addition */

static float sum_of(const float *sum)
{
    float total = 0.0f;
    for (size_t c = 0; c < CHAINS; c++)
        total += sum[c];
    return total;
}

static float dot_f32(const float *query, const float *row, size_t dimensions)
{
    float sum[CHAINS] = {0};
    size_t j = 0;
    for (; j + CHAINS <= dimensions; j += CHAINS)
        for (size_t c = 0; c < CHAINS; c++)
            sum[c] += query[j + c] * row[j + c];
    for (size_t c = 0; j < dimensions; j++, c++)
        sum[c] += query[j] * row[j];
    return sum_of(sum);
}

void sx_dot_f32_c(const sx_dot_job *job)
{
    for (size_t i = 0; i < job->count; i++)
        for (size_t q = 0; q < job->query_count; q++)
            job->out[q * job->out_stride + i] =
                dot_f32(job->queries + q * job->query_stride, (const float *)job->rows + i * job->stride, job->dimensions);
}

static float dot_f16(const float *query, const unsigned char *row, size_t dimensions)
{
    float sum[CHAINS] = {0};
    for (size_t j = 0; j < dimensions; j++)
        sum[j % CHAINS] += query[j] * float_of_half(row[2 * j] | (uint32_t)row[2 * j + 1] << 8);
    return sum_of(sum);
}

void sx_dot_f16_c(const sx_dot_job *job)
{
    for (size_t i = 0; i < job->count; i++)
        for (size_t q = 0; q < job->query_count; q++)
            job->out[q * job->out_stride + i] = dot_f16(
                job->queries + q * job->query_stride, (const unsigned char *)job->rows + 2 * i * job->stride, job->dimensions);
}

void sx_dot_codes_c(const sx_code_job *job)
{
    size_t query_size = sx_code_query_size(job->dimensions);
    for (size_t i = 0; i < job->count; i++)
        for (size_t q = 0; q < job->query_count; q++) {
            const int16_t *query = job->queries + q * query_size;
            const uint8_t *row = job->rows + i * job->stride;
            uint32_t sum = 0;
            for (size_t k = 0; k < job->dimensions; k++)
                sum += (uint32_t)(query[k] * (row[k] - SX_CODE_ZERO));
            job->out[q * job->out_stride + i] = (int32_t)sum;
        }
}

void sx_dot_bytes_c(const sx_byte_job *job)
{
    for (size_t i = 0; i < job->count; i++) {
        int32_t sum = 0;
        for (size_t k = 0; k < job->dimensions; k++)
            sum += job->query[k] * (job->rows[i][k] - SX_CODE_ZERO);
        job->out[i] = sum;
    }
}

static const sx_dot_kernels table_c = {"c", SX_CPU_C, sx_dot_f32_c, sx_dot_f16_c, sx_dot_codes_c, sx_dot_bytes_c};

#if defined(__x86_64__)
static const sx_dot_kernels table_avx2 = {"avx2", SX_CPU_AVX2, sx_dot_f32_avx2, sx_dot_f16_avx2, sx_dot_codes_avx2,
                                          sx_dot_bytes_avx2};
static const sx_dot_kernels table_avx512 = {"avx512", SX_CPU_AVX512, sx_dot_f32_avx512, sx_dot_f16_avx512,
                                            sx_dot_codes_avx512, sx_dot_bytes_avx2};
static const sx_dot_kernels table_avx512vnni = {"avx512-vnni", SX_CPU_AVX512_VNNI, sx_dot_f32_avx512, sx_dot_f16_avx512,
                                                sx_dot_codes_avx512vnni, sx_dot_bytes_avx512vnni};
#elif defined(__aarch64__)
static const sx_dot_kernels table_neon = {"neon", SX_CPU_NEON, sx_dot_f32_neon, sx_dot_f16_neon, sx_dot_codes_neon,
                                          sx_dot_bytes_neon};
#endif

const sx_dot_kernels *sx_dot_kernels_for(uint64_t cpu_mask)
{
    uint64_t usable = sx_cpu_detect();
    if (cpu_mask)
        usable &= cpu_mask;
#if defined(__x86_64__)
    if (usable & SX_CPU_AVX512_VNNI)
        return &table_avx512vnni;
    if (usable & SX_CPU_AVX512)
        return &table_avx512;
    if (usable & SX_CPU_AVX2)
        return &table_avx2;
#elif defined(__aarch64__)
    if (usable & SX_CPU_NEON)
        return &table_neon;
#endif
    return &table_c;
}

double sx_code_query_make(const float *query, size_t dimensions, int16_t *made)
{
    /* The high digit must not exceed 127, and 128 times the sum of all absolute values must stay below 2^31. */
    const double most = 32512.0, most_sum = 16770000.0;
    size_t padded = sx_code_dimensions(dimensions);
    int8_t *high = (int8_t *)(made + padded), *low = high + padded;
    double largest = 0.0, sum = 0.0;
    for (size_t k = 0; k < dimensions; k++) {
        largest = fmax(largest, fabs((double)query[k]));
        sum += fabs((double)query[k]);
    }
    memset(made, 0, sx_code_query_size(dimensions) * sizeof *made);
    if (largest == 0.0)
        return 0.0;
    /* Rounding adds at most a half to each component. */
    double scale = fmax(largest / most, sum / (most_sum - 0.5 * (double)dimensions));
    for (size_t k = 0; k < dimensions; k++) {
        made[k] = (int16_t)lrint(query[k] / scale);
        high[k] = (int8_t)((made[k] + 128) >> 8);
        low[k] = (int8_t)(made[k] - 256 * high[k]);
    }
    return scale;
}
