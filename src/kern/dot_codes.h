/* dot_codes.h - the loops over rows of 8-bit codes that the vector versions of dot.h share.
 *
 * The including file defines vi, CODES (a step of codes), code_part, code_load and code_load_tail (of a row), code_zero,
 * code_step and code_sum. A query has `padded` numbers of 16 bits, then their digits.
 */
#include "dot_rows.h"

enum { MOST_EXCESSES = 16 };

ALWAYS_INLINE void code_row(size_t queries, const sx_code_job *job, const int16_t *query, const uint32_t *excess,
                            const uint8_t *row, int32_t *out)
{
    vi sum[TILE_QUERIES][2];
    size_t padded = sx_code_dimensions(job->dimensions);
    UNROLL
    for (size_t q = 0; q < queries; q++)
        sum[q][0] = sum[q][1] = code_zero();
    for (size_t k = 0; k < job->dimensions; k += CODES) {
        size_t part = job->dimensions - k;
        code_part codes = part >= CODES ? code_load(row + k) : code_load_tail(row + k, part);
        UNROLL
        for (size_t q = 0; q < queries; q++)
            code_step(sum[q], &codes, query + 2 * padded * q, padded, k);
    }
    UNROLL
    for (size_t q = 0; q < queries; q++)
        out[q * job->out_stride] = (int32_t)(code_sum(sum[q]) - excess[q]);
}

/* At most MOST_EXCESSES queries, whose excesses are worked out once; see dot_all. */
ALWAYS_INLINE void code_group(const sx_code_job *job)
{
    size_t query_size = sx_code_query_size(job->dimensions), steps = row_steps(job->count);
    uint32_t excess[MOST_EXCESSES];
    for (size_t q = 0; q < job->query_count; q++)
        excess[q] = sx_code_excess(job->queries + q * query_size, job->dimensions);
    for (size_t step = 0; step < steps; step++) {
        size_t i = row_of_step(step, steps);
        if (i >= job->count)
            continue;
        const uint8_t *row = job->rows + i * job->stride;
        size_t q = 0;
        for (; q + TILE_QUERIES <= job->query_count; q += TILE_QUERIES)
            code_row(TILE_QUERIES, job, job->queries + q * query_size, excess + q, row, job->out + q * job->out_stride + i);
        for (; q < job->query_count; q++)
            code_row(1, job, job->queries + q * query_size, excess + q, row, job->out + q * job->out_stride + i);
    }
}

ALWAYS_INLINE void code_all(const sx_code_job *job)
{
    for (size_t q = 0; q < job->query_count; q += MOST_EXCESSES) {
        sx_code_job group = *job;
        group.queries = job->queries + q * sx_code_query_size(job->dimensions);
        group.query_count = job->query_count - q < MOST_EXCESSES ? job->query_count - q : MOST_EXCESSES;
        group.out = job->out + q * job->out_stride;
        code_group(&group);
    }
}
