/* codes.c - rows as 8-bit codes, and how far a score by codes can be from the score by floats.
 *
 * Let a row be r = s c + e (codes c, rest e) and a query q = t m + f (numbers m, rest f). Then
 *
 *     q.r = s t (m.c) + s (f.c) + q.e
 *
 * where m.c is an exact integer, |f.c| <= |f| 128 sqrt(d), and |q.e| <= |q||e| (Cauchy-Schwarz). The score that is compared is
 * not q.r but the kernel's sum of floats: it differs by at most g |q||r|, where g = (d + 8) 2^-24 and a little, the bound for a
 * sum of d products in any order (Higham 2002, section 3.1), and |r| <= s 128 sqrt(d) + |e|; products that underflow lose 2^-149
 * each.
 */
#include "codes.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ZERO = 128, LARGEST = 127 };

sx_row_code sx_row_encode(const float *row, size_t dimensions, size_t padded, uint8_t *codes)
{
    const double rounding = 1.0 + 1e-6; /* of the sum below, and of making a float of it */
    float largest = 0.0f;
    double rest = 0.0;
    bool finite = true;
    memset(codes, ZERO, padded);
    for (size_t k = 0; k < dimensions; k++) {
        largest = fmaxf(largest, fabsf(row[k]));
        finite = finite && isfinite(row[k]);
    }
    if (!finite)
        return (sx_row_code){0.0f, INFINITY};
    float scale = largest / LARGEST;
    for (size_t k = 0; k < dimensions; k++) {
        double code = scale > 0.0f ? rint((double)row[k] / scale) : 0.0;
        code = code > LARGEST ? LARGEST : code < -LARGEST ? -LARGEST : code;
        double left = row[k] - scale * code;
        codes[k] = (uint8_t)(int)(code + ZERO);
        rest += left * left;
    }
    return (sx_row_code){scale, nextafterf((float)(sqrt(rest) * rounding), INFINITY)};
}

sx_status sx_exact_query_open(sx_exact_query *query, const sx_dot_kernels *kernels, const float *floats, size_t dimensions,
                              sx_error *error)
{
    const double rounding = 1.0 + 1e-9; /* of the double arithmetic here and in sx_score_ceiling */
    *query = (sx_exact_query){.kernels = kernels, .dimensions = dimensions};
    query->floats = sx_aligned_calloc(64, sx_code_dimensions(dimensions), sizeof *query->floats);
    query->numbers = sx_aligned_calloc(64, sx_code_query_size(dimensions), sizeof *query->numbers);
    if (!query->floats || !query->numbers) {
        sx_exact_query_close(query);
        return sx_fail_nomem(error, sx_code_query_size(dimensions) * sizeof *query->numbers);
    }
    memcpy(query->floats, floats, dimensions * sizeof *floats);
    query->step = sx_code_query_make(floats, dimensions, query->numbers);
    double squares = 0.0, rest = 0.0, most = ZERO * sqrt((double)dimensions);
    for (size_t k = 0; k < dimensions; k++) {
        double left = floats[k] - query->step * query->numbers[k];
        squares += (double)floats[k] * floats[k];
        rest += left * left;
    }
    double length = sqrt(squares), summing = ((double)dimensions + 8.0) * 0x1.02p-24;
    query->scale_slack = most * (sqrt(rest) + summing * length) * rounding;
    query->error_slack = length * (1.0 + summing) * rounding;
    query->least_slack = ((double)dimensions + 8.0) * 0x1p-148;
    return SX_OK;
}

void sx_exact_query_close(sx_exact_query *query)
{
    free(query->floats);
    free(query->numbers);
    *query = (sx_exact_query){0};
}
