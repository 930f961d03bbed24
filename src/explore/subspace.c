/* subspace.c - orthogonal iteration (Golub and Van Loan, "Matrix Computations", section 8.2) on a sample: some directions are
 * multiplied by the rows' covariance and made orthonormal again, until they are the strongest ones. Some more than wanted go
 * along, which makes it quick; in the end the small matrix between them is decomposed to put them into order. */
#include "subspace.h"

#include "random.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../vec/pca.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 12, MORE = 6 };

typedef struct subspace {
    size_t dimensions, width, sample;
    float *rows;            /* sample x dimensions */
    float *basis, *product; /* width x dimensions */
    double *small, *values, *vectors;
} subspace;

static float dot(const float *a, const float *b, size_t count)
{
    float sums[8] = {0}, sum = 0;
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (size_t j = 0; j < 8; j++)
            sums[j] += a[i + j] * b[i + j];
    for (; i < count; i++)
        sum += a[i] * b[i];
    for (size_t j = 0; j < 8; j++)
        sum += sums[j];
    return sum;
}

/* Modified Gram-Schmidt, twice; a direction of which nothing is left becomes an axis that is not yet there. */
static void orthonormalize(subspace *of)
{
    size_t dimensions = of->dimensions, axis = 0;
    for (size_t i = 0; i < of->width; i++) {
        float *row = of->basis + i * dimensions;
        double length = sqrt((double)dot(row, row, dimensions));
        for (size_t d = 0; d < dimensions && length > 0; d++)
            row[d] = (float)(row[d] / length);
        for (;;) {
            for (int twice = 0; twice < 2; twice++)
                for (size_t j = 0; j < i; j++) {
                    const float *other = of->basis + j * dimensions;
                    float share = dot(row, other, dimensions);
                    for (size_t d = 0; d < dimensions; d++)
                        row[d] -= share * other[d];
                }
            double rest = sqrt((double)dot(row, row, dimensions));
            if (rest > 1e-4) {
                for (size_t d = 0; d < dimensions; d++)
                    row[d] = (float)(row[d] / rest);
                break;
            }
            memset(row, 0, dimensions * sizeof *row);
            row[axis++ % dimensions] = 1;
        }
    }
}

static void multiply(subspace *of)
{
    size_t dimensions = of->dimensions;
    memset(of->product, 0, of->width * dimensions * sizeof *of->product);
    for (size_t r = 0; r < of->sample; r++) {
        const float *row = of->rows + r * dimensions;
        for (size_t i = 0; i < of->width; i++) {
            float share = dot(row, of->basis + i * dimensions, dimensions);
            float *sum = of->product + i * dimensions;
            for (size_t d = 0; d < dimensions; d++)
                sum[d] += share * row[d];
        }
    }
}

/* Turns the basis so that its directions are those of most variance, in order; `out` takes the first of them. */
static sx_status put_in_order(subspace *of, float *out, size_t wanted, sx_error *error)
{
    size_t n = of->width, dimensions = of->dimensions;
    multiply(of);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++)
            of->small[i * n + j] = of->small[j * n + i] =
                (double)dot(of->basis + i * dimensions, of->product + j * dimensions, dimensions);
    sx_status status = sx_symmetric_eigen(of->small, n, of->values, of->vectors, error);
    if (status)
        return status;
    for (size_t i = 0; i < wanted; i++) {
        float *row = out + i * dimensions;
        memset(row, 0, dimensions * sizeof *row);
        for (size_t j = 0; j < n; j++)
            for (size_t d = 0; d < dimensions; d++)
                row[d] += (float)of->vectors[i * n + j] * of->basis[j * dimensions + d];
        /* The sign is nobody's business but must not change: the largest component is positive. */
        size_t largest = 0;
        for (size_t d = 1; d < dimensions; d++)
            if (fabsf(row[d]) > fabsf(row[largest]))
                largest = d;
        bool turned = row[largest] < 0;
        for (size_t d = 0; turned && d < dimensions; d++)
            row[d] = -row[d];
    }
    return SX_OK;
}

static void take_sample(subspace *of, const float *rows, size_t count, float *mean)
{
    for (size_t i = 0; i < of->sample; i++)
        memcpy(of->rows + i * of->dimensions, rows + i * count / of->sample * of->dimensions, of->dimensions * sizeof(float));
    if (!mean)
        return;
    for (size_t d = 0; d < of->dimensions; d++) {
        double sum = 0;
        for (size_t i = 0; i < of->sample; i++)
            sum += (double)of->rows[i * of->dimensions + d];
        mean[d] = of->sample ? (float)(sum / (double)of->sample) : 0;
        for (size_t i = 0; i < of->sample; i++)
            of->rows[i * of->dimensions + d] -= mean[d];
    }
}

sx_status sx_subspace_fit(const float *rows, size_t count, size_t dimensions, size_t width, float *mean, float *basis,
                          sx_error *error)
{
    subspace of = {.dimensions = dimensions,
                   .width = width + MORE < dimensions ? width + MORE : dimensions,
                   .sample = count < SX_SUBSPACE_SAMPLE ? count : SX_SUBSPACE_SAMPLE};
    sx_random random = {1};
    sx_status status = SX_OK;
    of.rows = sx_calloc(of.sample ? of.sample : 1, dimensions * sizeof(float));
    of.basis = sx_calloc(of.width, dimensions * sizeof(float));
    of.product = sx_calloc(of.width, dimensions * sizeof(float));
    of.small = sx_calloc(of.width, of.width * sizeof(double));
    of.vectors = sx_calloc(of.width, of.width * sizeof(double));
    of.values = sx_calloc(of.width, sizeof(double));
    if (!of.rows || !of.basis || !of.product || !of.small || !of.vectors || !of.values) {
        status = sx_fail_nomem(error, of.sample * dimensions * sizeof(float));
        goto out;
    }
    take_sample(&of, rows, count, mean);
    for (size_t i = 0; i < of.width * dimensions; i++)
        of.basis[i] = (float)(sx_random_unit(&random) - 0.5);
    orthonormalize(&of);
    for (int round = 0; round < ROUNDS; round++) {
        multiply(&of);
        memcpy(of.basis, of.product, of.width * dimensions * sizeof(float));
        orthonormalize(&of);
    }
    status = put_in_order(&of, basis, width, error);
out:
    free(of.rows);
    free(of.basis);
    free(of.product);
    free(of.small);
    free(of.vectors);
    free(of.values);
    return status;
}
