/* dot_codes.h - the loops over rows of 8-bit codes that the vector versions of dot.h share.
 *
 * The including file defines vi, TILE_ROWS x TILE_QUERIES (the tile for several queries), CODES (a step of codes), code_part,
 * code_load and code_load_tail (of a row), code_zero, code_step and code_sum. A query has `padded` numbers of 16 bits, then their
 * digits.
 */
#include "dot_rows.h"

ALWAYS_INLINE void code_tile(size_t rows, size_t queries, const sx_code_job *job, const int16_t *query, const uint32_t *excess,
                             const uint8_t *data, size_t ahead, int32_t *out)
{
    vi sum[SINGLE_ROWS][TILE_QUERIES][2];
    size_t k = 0, padded = sx_code_dimensions(job->dimensions);
    UNROLL
    for (size_t i = 0; i < rows; i++) {
        UNROLL
        for (size_t q = 0; q < queries; q++)
            sum[i][q][0] = sum[i][q][1] = code_zero();
    }
    for (; k < job->dimensions; k += CODES) {
        size_t part = job->dimensions - k;
        UNROLL
        for (size_t i = 0; i < rows; i++) {
            const uint8_t *row = data + i * job->stride + k;
            if (CODES == 64 || k % 64 == 0)
                __builtin_prefetch(row + ahead);
            code_part codes = part >= CODES ? code_load(row) : code_load_tail(row, part);
            UNROLL
            for (size_t q = 0; q < queries; q++)
                code_step(sum[i][q], &codes, query + 2 * padded * q, padded, k);
        }
    }
    UNROLL
    for (size_t i = 0; i < rows; i++) {
        UNROLL
        for (size_t q = 0; q < queries; q++)
            out[q * job->out_stride + i] = (int32_t)(code_sum(sum[i][q]) - excess[q]);
    }
}

enum { MOST_EXCESSES = 16 };

/* Queries in groups whose excesses are worked out once; see dot_all. */
ALWAYS_INLINE void code_group(const sx_code_job *job)
{
    size_t query_size = sx_code_query_size(job->dimensions), ahead = rows_ahead(job->stride);
    uint32_t excess[MOST_EXCESSES];
    for (size_t q = 0; q < job->query_count; q++)
        excess[q] = sx_code_excess(job->queries + q * query_size, job->dimensions);
    for (size_t i = 0; i < job->count; i += SINGLE_ROWS) {
        const uint8_t *data = job->rows + i * job->stride;
        size_t rows = job->count - i < SINGLE_ROWS ? job->count - i : SINGLE_ROWS, q = 0;
        for (; q + TILE_QUERIES <= job->query_count; q += TILE_QUERIES) {
            const int16_t *query = job->queries + q * query_size;
            int32_t *out = job->out + q * job->out_stride + i;
            size_t r = 0;
            for (; r + TILE_ROWS <= rows; r += TILE_ROWS)
                code_tile(TILE_ROWS, TILE_QUERIES, job, query, excess + q, data + r * job->stride, ahead, out + r);
            for (; r < rows; r++)
                code_tile(1, TILE_QUERIES, job, query, excess + q, data + r * job->stride, ahead, out + r);
        }
        for (; q < job->query_count; q++) {
            const int16_t *query = job->queries + q * query_size;
            int32_t *out = job->out + q * job->out_stride + i;
            if (rows == SINGLE_ROWS)
                code_tile(SINGLE_ROWS, 1, job, query, excess + q, data, ahead, out);
            else
                for (size_t r = 0; r < rows; r++)
                    code_tile(1, 1, job, query, excess + q, data + r * job->stride, ahead, out + r);
        }
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
