/* dot_floats.h - the loops over rows of floats and halves that the vector versions of dot.h share.
 *
 * The including file defines vf, WIDTH and the v_ functions. A pair of row and query has two chains of multiply-adds however many
 * queries there are, so their number does not change its bits.
 */
#include "dot_rows.h"

ALWAYS_INLINE vf load_part(const unsigned char *row, size_t j, size_t part, bool half)
{
    if (half)
        return part == WIDTH ? v_half(row + 2 * j) : v_half_tail(row + 2 * j, part);
    const float *p = (const float *)(const void *)row + j;
    return part == WIDTH ? v_load(p) : v_load_tail(p, part);
}

ALWAYS_INLINE void dot_row(size_t queries, bool half, const sx_dot_job *job, const float *query, const unsigned char *row,
                           float *out)
{
    vf sum[TILE_QUERIES][2];
    size_t j = 0, dimensions = job->dimensions, query_stride = job->query_stride;
    UNROLL
    for (size_t q = 0; q < queries; q++)
        sum[q][0] = sum[q][1] = v_zero();
    for (; j + 2 * WIDTH <= dimensions; j += 2 * WIDTH) {
        vf first = load_part(row, j, WIDTH, half), second = load_part(row, j + WIDTH, WIDTH, half);
        UNROLL
        for (size_t q = 0; q < queries; q++) {
            sum[q][0] = v_fma(v_load(query + q * query_stride + j), first, sum[q][0]);
            sum[q][1] = v_fma(v_load(query + q * query_stride + j + WIDTH), second, sum[q][1]);
        }
    }
    for (; j < dimensions; j += WIDTH) {
        size_t part = dimensions - j < WIDTH ? dimensions - j : WIDTH;
        vf first = load_part(row, j, part, half);
        UNROLL
        for (size_t q = 0; q < queries; q++) {
            const float *p = query + q * query_stride + j;
            sum[q][0] = v_fma(part == WIDTH ? v_load(p) : v_load_tail(p, part), first, sum[q][0]);
        }
    }
    UNROLL
    for (size_t q = 0; q < queries; q++)
        out[q * job->out_stride] = v_sum(v_add(sum[q][0], sum[q][1]));
}

/* All queries with a row before the next row: it is then in the first cache for all but the first. */
ALWAYS_INLINE void dot_all(const sx_dot_job *job, bool half)
{
    size_t row_bytes = job->stride * (half ? 2 : sizeof(float)), steps = row_steps(job->count);
    for (size_t step = 0; step < steps; step++) {
        size_t i = row_of_step(step, steps);
        if (i >= job->count)
            continue;
        const unsigned char *row = (const unsigned char *)job->rows + i * row_bytes;
        size_t q = 0;
        for (; q + TILE_QUERIES <= job->query_count; q += TILE_QUERIES)
            dot_row(TILE_QUERIES, half, job, job->queries + q * job->query_stride, row, job->out + q * job->out_stride + i);
        for (; q < job->query_count; q++)
            dot_row(1, half, job, job->queries + q * job->query_stride, row, job->out + q * job->out_stride + i);
    }
}
