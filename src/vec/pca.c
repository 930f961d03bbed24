/* pca.c - principal components by the covariance matrix and its eigenvectors.
 *
 * The symmetric matrix is brought to tridiagonal form by Householder reflections, whose product is kept, and that to diagonal
 * form by the QL method with implicit shifts (Golub and Van Loan, "Matrix Computations", 8.3). All in double and in one fixed
 * order, so that the same rows give the same bits. */
#include "pca.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_STEPS = 60 };

/* a (n x n) becomes T = H a H with the orthogonal H, which replaces a; the diagonal and what is beside it go to d and e[1..n). */
static void to_tridiagonal(double *a, size_t n, double *d, double *e, double *v, double *p)
{
    /* Reflections are gathered in the lower rows of `v`, one a row, and multiplied out at the end. */
    memset(v, 0, n * n * sizeof *v);
    for (size_t k = 0; k + 2 < n; k++) {
        double *reflection = v + k * n, norm = 0;
        for (size_t i = k + 1; i < n; i++)
            norm += a[i * n + k] * a[i * n + k];
        norm = sqrt(norm);
        double first = a[(k + 1) * n + k], alpha = first > 0 ? -norm : norm, length = 0;
        for (size_t i = k + 1; i < n; i++)
            reflection[i] = a[i * n + k];
        reflection[k + 1] -= alpha;
        for (size_t i = k + 1; i < n; i++)
            length += reflection[i] * reflection[i];
        if (!(length > 0)) { /* the column is zero already */
            memset(reflection, 0, n * sizeof *reflection);
            continue;
        }
        length = sqrt(length);
        for (size_t i = k + 1; i < n; i++)
            reflection[i] /= length;
        /* a -= 2 (u q' + q u') with q = p - (u'p) u, p = a u */
        double product = 0;
        for (size_t i = k; i < n; i++) {
            double sum = 0;
            const double *row = a + i * n;
            for (size_t j = k + 1; j < n; j++)
                sum += row[j] * reflection[j];
            p[i] = sum;
            product += sum * reflection[i];
        }
        for (size_t i = k; i < n; i++)
            p[i] -= product * reflection[i];
        for (size_t i = k; i < n; i++) {
            double *row = a + i * n, u = 2 * reflection[i], q = 2 * p[i];
            for (size_t j = k; j < n; j++)
                row[j] -= u * p[j] + q * reflection[j];
        }
    }
    for (size_t i = 0; i < n; i++) {
        d[i] = a[i * n + i];
        e[i] = i ? a[i * n + i - 1] : 0;
    }
    memset(a, 0, n * n * sizeof *a);
    for (size_t i = 0; i < n; i++)
        a[i * n + i] = 1;
    for (size_t k = n > 2 ? n - 2 : 0; k-- > 0;) {
        const double *u = v + k * n;
        memset(p, 0, n * sizeof *p); /* u' a */
        for (size_t i = k + 1; i < n; i++)
            for (size_t j = k + 1; j < n; j++)
                p[j] += u[i] * a[i * n + j];
        for (size_t i = k + 1; i < n; i++)
            for (size_t j = k + 1; j < n; j++)
                a[i * n + j] -= 2 * u[i] * p[j];
    }
}

/* QL with implicit shifts; rows of `z` are turned along, so that row i becomes the eigenvector of d[i]. */
static bool to_diagonal(double *d, double *e, size_t n, double *z)
{
    for (size_t i = 1; i < n; i++)
        e[i - 1] = e[i];
    e[n - 1] = 0;
    for (size_t l = 0; l < n; l++)
        for (unsigned step = 0;; step++) {
            size_t m = l;
            while (m + 1 < n && fabs(e[m]) > DBL_EPSILON * (fabs(d[m]) + fabs(d[m + 1])))
                m++;
            if (m == l)
                break;
            if (step == MOST_STEPS)
                return false;
            double g = (d[l + 1] - d[l]) / (2 * e[l]), r = hypot(g, 1);
            g = d[m] - d[l] + e[l] / (g + (g >= 0 ? r : -r));
            double sine = 1, cosine = 1, part = 0;
            size_t i = m;
            while (i-- > l) {
                double f = sine * e[i], b = cosine * e[i];
                r = hypot(f, g);
                e[i + 1] = r;
                if (r == 0) { /* it has fallen apart earlier than thought */
                    d[i + 1] -= part;
                    e[m] = 0;
                    break;
                }
                sine = f / r;
                cosine = g / r;
                g = d[i + 1] - part;
                r = (d[i] - g) * sine + 2 * cosine * b;
                part = sine * r;
                d[i + 1] = g + part;
                g = cosine * r - b;
                double *lower = z + i * n, *upper = lower + n;
                for (size_t k = 0; k < n; k++) {
                    double high = upper[k], low = lower[k];
                    upper[k] = sine * low + cosine * high;
                    lower[k] = cosine * low - sine * high;
                }
            }
            if (r == 0 && i + 1 > l)
                continue;
            d[l] -= part;
            e[l] = g;
            e[m] = 0;
        }
    return true;
}

sx_status sx_symmetric_eigen(double *matrix, size_t n, double *values, double *vectors, sx_error *error)
{
    double *beside = sx_calloc(n, sizeof *beside), *scratch = sx_calloc(n, sizeof *scratch);
    if (!beside || !scratch) {
        free(beside);
        free(scratch);
        return sx_fail_nomem(error, n * sizeof *beside);
    }
    sx_status status = SX_OK;
    to_tridiagonal(matrix, n, values, beside, vectors, scratch);
    /* H's columns turn with the rotations: as rows of its transpose they lie together. */
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            vectors[i * n + j] = matrix[j * n + i];
    if (n && !to_diagonal(values, beside, n, vectors))
        status = sx_fail(error, SX_E_INTERNAL, "an eigenvalue of a %zu x %zu matrix does not converge", n, n);
    for (size_t i = 0; i < n && !status; i++) { /* by value */
        size_t best = i;
        for (size_t j = i + 1; j < n; j++)
            if (values[j] > values[best])
                best = j;
        if (best == i)
            continue;
        double value = values[i];
        values[i] = values[best];
        values[best] = value;
        memcpy(scratch, vectors + i * n, n * sizeof *scratch);
        memcpy(vectors + i * n, vectors + best * n, n * sizeof *scratch);
        memcpy(vectors + best * n, scratch, n * sizeof *scratch);
    }
    free(beside);
    free(scratch);
    return status;
}

static void add_covariance(const float *rows, size_t count, size_t n, const double *mean, double *row, double *matrix)
{
    for (size_t r = 0; r < count; r++) {
        for (size_t i = 0; i < n; i++)
            row[i] = (double)rows[r * n + i] - mean[i];
        for (size_t i = 0; i < n; i++) {
            double *out = matrix + i * n, factor = row[i];
            for (size_t j = 0; j <= i; j++)
                out[j] += factor * row[j];
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++)
            matrix[j * n + i] = matrix[i * n + j] /= (double)count;
}

sx_status sx_pca_fit(const float *rows, size_t count, size_t dimensions, size_t width, float *mean, float *matrix,
                     double *retained,
                     sx_error *error)
{
    size_t square;
    if (count < 2 || !width || width > dimensions || !sx_multiply(dimensions, dimensions, &square))
        return sx_fail(error, SX_E_INVALID, "principal components: %zu of %zu dimensions from %zu vectors", width, dimensions,
                       count);
    double *covariance = sx_calloc(square, sizeof(double)), *vectors = sx_calloc(square, sizeof(double));
    double *centre = sx_calloc(dimensions, sizeof(double)), *values = sx_calloc(dimensions, sizeof(double));
    sx_status status = covariance && vectors && centre && values ? SX_OK : sx_fail_nomem(error, square * sizeof(double));
    if (status)
        goto out;
    for (size_t r = 0; r < count; r++)
        for (size_t i = 0; i < dimensions; i++)
            centre[i] += (double)rows[r * dimensions + i];
    for (size_t i = 0; i < dimensions; i++)
        mean[i] = (float)(centre[i] /= (double)count);
    add_covariance(rows, count, dimensions, centre, values, covariance);
    status = sx_symmetric_eigen(covariance, dimensions, values, vectors, error);
    if (status)
        goto out;
    double all = 0, kept = 0;
    for (size_t i = 0; i < dimensions; i++) {
        double variance = values[i] > 0 ? values[i] : 0;
        all += variance;
        kept += i < width ? variance : 0;
    }
    *retained = all > 0 ? kept / all : 1;
    for (size_t i = 0; i < width; i++) {
        /* A component may point either way; the largest part is made positive. */
        const double *component = vectors + i * dimensions;
        size_t largest = 0;
        for (size_t j = 1; j < dimensions; j++)
            if (fabs(component[j]) > fabs(component[largest]))
                largest = j;
        double sign = component[largest] < 0 ? -1 : 1;
        for (size_t j = 0; j < dimensions; j++)
            matrix[i * dimensions + j] = (float)(sign * component[j]);
    }
out:
    free(covariance);
    free(vectors);
    free(centre);
    free(values);
    return status;
}
