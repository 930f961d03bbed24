/* codes.h - rows of floats as 8-bit codes, with a bound on what is lost: a first look at a row reads a quarter of its bytes and
 * tells for certain when the row cannot be among the best. */
#ifndef SX_VEC_CODES_H
#define SX_VEC_CODES_H

#include "../kern/dot.h"
#include "sextant.h"

/* row[k] = scale * (code[k] - 128) + rest[k], and the length of rest is at most `error`. */
typedef struct sx_row_code {
    float scale, error;
} sx_row_code;

/* Codes of one row; those from dimensions to padded stand for 0. A row that is not finite gets the error infinity. */
sx_row_code sx_row_encode(const float *row, size_t dimensions, size_t padded, uint8_t *codes);

/* A query made ready for floats and codes. */
typedef struct sx_exact_query {
    const sx_dot_kernels *kernels;
    size_t dimensions;
    float *floats;      /* aligned for the kernels */
    int16_t *numbers;   /* see sx_code_query_make */
    double step;        /* of the numbers */
    double scale_slack; /* what a score may differ by for a row's scale of 1 */
    double error_slack; /* and for its error of 1 */
    double least_slack; /* and always */
} sx_exact_query;

/* The query must be finite. */
sx_status sx_exact_query_open(sx_exact_query *query, const sx_dot_kernels *kernels, const float *floats, size_t dimensions,
                              sx_error *error);
void sx_exact_query_close(sx_exact_query *query);

/* No kernel's f32 score of the row is above this. sum: the product of the query's numbers with its codes. NaN when nothing can be
 * said. */
static inline double sx_score_ceiling(const sx_exact_query *query, int32_t sum, float scale, float error)
{
    return (double)scale * (query->step * sum + query->scale_slack) + (double)error * query->error_slack + query->least_slack;
}

#endif
