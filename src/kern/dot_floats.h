/* dot_floats.h - the loops over rows of floats and halves that the vector versions of dot.h share.
 *
 * The including file defines vf, WIDTH, the v_ functions, and TILE_ROWS x TILE_QUERIES, the tile for several queries. A pair of
 * row and query has two chains of multiply-adds in every tile, so the tile does not change its bits.
 */
#include "dot_rows.h"

ALWAYS_INLINE vf load_part(const unsigned char *row, size_t j, size_t part, bool half)
{
    if (half)
        return part == WIDTH ? v_half(row + 2 * j) : v_half_tail(row + 2 * j, part);
    const float *p = (const float *)(const void *)row + j;
    return part == WIDTH ? v_load(p) : v_load_tail(p, part);
}

/* row_bytes: from row to row. ahead: how far beyond a row's bytes memory is asked for. */
ALWAYS_INLINE void dot_tile(size_t rows, size_t queries, bool half, const sx_dot_job *job, const float *query,
                            const unsigned char *data, size_t row_bytes, size_t ahead, float *out)
{
    vf sum[SINGLE_ROWS][TILE_QUERIES][2];
    size_t size = half ? 2 : sizeof(float), j = 0, dimensions = job->dimensions, query_stride = job->query_stride;
    UNROLL
    for (size_t i = 0; i < rows; i++) {
        UNROLL
        for (size_t q = 0; q < queries; q++)
            sum[i][q][0] = sum[i][q][1] = v_zero();
    }
    for (; j + 2 * WIDTH <= dimensions; j += 2 * WIDTH) {
        UNROLL
        for (size_t i = 0; i < rows; i++) {
            const unsigned char *row = data + i * row_bytes;
            for (size_t line = 0; line < 2 * WIDTH * size; line += 64)
                __builtin_prefetch(row + ahead + j * size + line);
            vf first = load_part(row, j, WIDTH, half), second = load_part(row, j + WIDTH, WIDTH, half);
            UNROLL
            for (size_t q = 0; q < queries; q++) {
                sum[i][q][0] = v_fma(v_load(query + q * query_stride + j), first, sum[i][q][0]);
                sum[i][q][1] = v_fma(v_load(query + q * query_stride + j + WIDTH), second, sum[i][q][1]);
            }
        }
    }
    for (; j < dimensions; j += WIDTH) {
        size_t part = dimensions - j < WIDTH ? dimensions - j : WIDTH;
        UNROLL
        for (size_t i = 0; i < rows; i++) {
            vf first = load_part(data + i * row_bytes, j, part, half);
            UNROLL
            for (size_t q = 0; q < queries; q++) {
                const float *p = query + q * query_stride + j;
                sum[i][q][0] = v_fma(part == WIDTH ? v_load(p) : v_load_tail(p, part), first, sum[i][q][0]);
            }
        }
    }
    UNROLL
    for (size_t i = 0; i < rows; i++) {
        UNROLL
        for (size_t q = 0; q < queries; q++)
            out[q * job->out_stride + i] = v_sum(v_add(sum[i][q][0], sum[i][q][1]));
    }
}

/* All queries with the rows before the next rows, which are then in the first cache for all but the first. */
ALWAYS_INLINE void dot_all(const sx_dot_job *job, bool half)
{
    size_t row_bytes = job->stride * (half ? 2 : sizeof(float)), ahead = rows_ahead(row_bytes);
    for (size_t i = 0; i < job->count; i += SINGLE_ROWS) {
        const unsigned char *data = (const unsigned char *)job->rows + i * row_bytes;
        size_t rows = job->count - i < SINGLE_ROWS ? job->count - i : SINGLE_ROWS, q = 0;
        for (; q + TILE_QUERIES <= job->query_count; q += TILE_QUERIES) {
            const float *query = job->queries + q * job->query_stride;
            float *out = job->out + q * job->out_stride + i;
            size_t r = 0;
            for (; r + TILE_ROWS <= rows; r += TILE_ROWS)
                dot_tile(TILE_ROWS, TILE_QUERIES, half, job, query, data + r * row_bytes, row_bytes, ahead, out + r);
            for (; r < rows; r++)
                dot_tile(1, TILE_QUERIES, half, job, query, data + r * row_bytes, row_bytes, ahead, out + r);
        }
        for (; q < job->query_count; q++) {
            const float *query = job->queries + q * job->query_stride;
            float *out = job->out + q * job->out_stride + i;
            if (rows == SINGLE_ROWS)
                dot_tile(SINGLE_ROWS, 1, half, job, query, data, row_bytes, ahead, out);
            else
                for (size_t r = 0; r < rows; r++)
                    dot_tile(1, 1, half, job, query, data + r * row_bytes, row_bytes, ahead, out + r);
        }
    }
}
