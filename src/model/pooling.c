/* pooling.c - the six poolings of sentence-transformers (sentence_transformers.models.Pooling), and unit length. */
#include "pooling.h"

#include <math.h>
#include <string.h>

static const char *const names[SX_POOLING_KINDS] = {"cls", "max", "mean", "mean_sqrt_len", "weightedmean", "lasttoken"};

unsigned sx_pooling_of_name(const char *name)
{
    for (unsigned kind = 0; kind < SX_POOLING_KINDS; kind++)
        if (strcmp(name, names[kind]) == 0)
            return 1u << kind;
    return 0;
}

const char *sx_pooling_name(unsigned kind)
{
    return names[kind];
}

unsigned sx_pooling_count(unsigned poolings)
{
    return (unsigned)__builtin_popcount(poolings);
}

static void weighted_sum(const sx_kernels *kernels, const float *states, size_t stride, size_t rows, size_t skip, size_t width,
                         bool by_position, float divisor, float *out)
{
    memset(out, 0, width * sizeof *out);
    for (size_t i = skip; i < rows; i++)
        kernels->add_scaled(states + i * stride, by_position ? (float)(i + 1) : 1.0f, out, width);
    for (size_t j = 0; j < width; j++)
        out[j] /= divisor;
}

static void pool_one(const sx_kernels *kernels, unsigned pooling, const float *states, size_t stride, size_t rows, size_t skip,
                     size_t width, float *out)
{
    size_t count = rows - skip;
    double positions = 0.5 * (double)count * (double)(skip + 1 + rows);
    switch (pooling) {
    case SX_POOLING_CLS:
        memcpy(out, states, width * sizeof *out);
        break;
    case SX_POOLING_MAX:
        memcpy(out, states + skip * stride, width * sizeof *out);
        for (size_t i = skip + 1; i < rows; i++)
            kernels->maximum(states + i * stride, out, width);
        break;
    case SX_POOLING_MEAN:
        weighted_sum(kernels, states, stride, rows, skip, width, false, (float)count, out);
        break;
    case SX_POOLING_MEAN_SQRT_LEN:
        weighted_sum(kernels, states, stride, rows, skip, width, false, sqrtf((float)count), out);
        break;
    case SX_POOLING_WEIGHTED_MEAN:
        weighted_sum(kernels, states, stride, rows, skip, width, true, (float)positions, out);
        break;
    case SX_POOLING_LAST_TOKEN:
        memcpy(out, states + (rows - 1) * stride, width * sizeof *out);
        break;
    }
}

void sx_pool(const sx_kernels *kernels, unsigned poolings, const float *states, size_t stride, size_t rows, size_t skip,
             size_t width, float *out)
{
    for (unsigned bit = 1; bit < 1u << SX_POOLING_KINDS; bit <<= 1) {
        if (!(poolings & bit))
            continue;
        pool_one(kernels, bit, states, stride, rows, skip, width, out);
        out += width;
    }
}

void sx_normalize(float *vector, size_t width)
{
    double sum = 0.0;
    for (size_t i = 0; i < width; i++)
        sum += (double)vector[i] * vector[i];
    double length = sqrt(sum);
    double factor = 1.0 / (length > 1e-12 ? length : 1e-12);
    for (size_t i = 0; i < width; i++)
        vector[i] = (float)(vector[i] * factor);
}
