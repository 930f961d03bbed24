/* int8_c.c - the reference: what every instruction set must give to the bit. */
#include "int8_internal.h"

enum { WIDTH = 16, TILE_ROWS = 4 };

static void quantize(const float *in, size_t stride, size_t rows, size_t depth, const float *factors, void *out,
                     size_t out_stride, float *scales, int32_t *zeros)
{
    for (size_t i = 0; i < rows; i++) {
        const float *row = in + i * stride;
        uint8_t *to = (uint8_t *)out + i * out_stride;
        float smallest = 0.0f, largest = 0.0f, inverse;
        for (size_t k = 0; k < depth; k++) {
            float x = factors ? row[k] * factors[k] : row[k];
            smallest = x < smallest || isnan(x) ? x : smallest;
            largest = x > largest || isnan(x) ? x : largest;
        }
        sx_int8_row_scale(smallest, largest, &inverse, &scales[i], &zeros[i]);
        for (size_t k = 0; k < depth; k++) {
            float x = factors ? row[k] * factors[k] : row[k];
            long q = isnan(scales[i]) ? 0 : lrintf(x * inverse) + zeros[i];
            to[k] = (uint8_t)(q < 0 ? 0 : q > 255 ? 255 : q);
        }
    }
}

static void pack(const float *rows, size_t stride, size_t count, size_t depth, const float *factors, void *panel, float *scales,
                 int32_t *sums)
{
    int8_t *to = panel;
    memset(to, 0, depth * WIDTH);
    for (size_t j = 0; j < WIDTH; j++) {
        const float *row = rows + j * stride;
        float inverse = 0.0f, largest = 0.0f;
        for (size_t k = 0; j < count && k < depth; k++) {
            float x = fabsf(factors ? row[k] / factors[k] : row[k]);
            largest = x > largest || isnan(x) ? x : largest;
        }
        scales[j] = sx_int8_column_scale(largest, &inverse);
        sums[j] = 0;
        for (size_t k = 0; inverse > 0.0f && k < depth; k++) {
            int q = (int)lrintf((factors ? row[k] / factors[k] : row[k]) * inverse);
            to[k * WIDTH + j] = (int8_t)q;
            sums[j] += q;
        }
    }
}

static void gemm(const sx_int8_gemm *job)
{
    for (size_t i = 0; i < job->rows; i++) {
        const uint8_t *a = (const uint8_t *)job->a + i * job->a_stride;
        for (size_t j = 0; j < job->columns; j++) {
            const int8_t *b = (const int8_t *)job->panels + j / WIDTH * WIDTH * job->depth + j % WIDTH;
            int32_t sum = 0;
            for (size_t k = 0; k < job->depth; k++)
                sum += (int32_t)a[k] * b[k * WIDTH];
            float x = (float)(sum - job->a_zeros[i] * job->b_sums[j]) * (job->a_scales[i] * job->b_scales[j]);
            if (job->bias)
                x += job->bias[j];
            job->kernels->activate(job->activation, &x, &x, 1);
            if (job->residual)
                x += job->residual[i * job->residual_stride + j];
            job->out[i * job->out_stride + j] = x;
        }
    }
}

/* The largest of |x| in a column of rows; NaN when one is not finite. */
static float largest_of(const float *x, size_t stride, size_t count)
{
    float largest = 0.0f;
    for (size_t i = 0; i < count; i++)
        largest = fabsf(x[i * stride]) > largest || !isfinite(x[i * stride]) ? fabsf(x[i * stride]) : largest;
    return isfinite(largest) ? largest : NAN;
}

/* One query's scores with all keys; keys lie in panels as pack() makes them. */
static void score_row(const sx_attention *job, size_t row, const int8_t *panels, const float *key_scales, const int32_t *key_sums,
                      uint8_t *quantised, float *scores)
{
    float scale;
    int32_t zero;
    quantize(job->q + row * job->stride, job->stride, 1, job->head_size, NULL, quantised, job->head_size, &scale, &zero);
    scale *= job->scale;
    for (size_t j = 0; j < job->keys; j++) {
        const int8_t *key = panels + j / WIDTH * WIDTH * job->head_size + j % WIDTH;
        int32_t sum = 0;
        for (size_t k = 0; k < job->head_size; k++)
            sum += (int32_t)quantised[k] * key[k * WIDTH];
        scores[j] = (float)(sum - zero * key_sums[j]) * (scale * key_scales[j]);
        if (job->relative_bias)
            scores[j] += job->relative_bias[(ptrdiff_t)j - (ptrdiff_t)row];
    }
}

static void attention(const sx_attention *job, const sx_kernels *kernels)
{
    size_t keys = job->keys, head_size = job->head_size, padded = (keys + WIDTH - 1) / WIDTH * WIDTH;
    int8_t *panels = (int8_t *)job->scratch;
    float *key_scales = job->scratch + (padded * head_size + 63) / 64 * 16, *scores = key_scales + 2 * padded;
    int32_t *key_sums = (int32_t *)(void *)(key_scales + padded);
    uint8_t *quantised = (uint8_t *)(scores + padded);
    for (size_t j = 0; j < keys; j += WIDTH)
        pack(job->k + j * job->stride, job->stride, keys - j < WIDTH ? keys - j : WIDTH, head_size, NULL, panels + j * head_size,
             key_scales + j, key_sums + j);
    for (size_t row = 0; row < job->queries; row++) {
        float largest = -SX_INT8_FAR, odd = 0.0f;
        int32_t total = 0, fine = 0;
        score_row(job, row, panels, key_scales, key_sums, quantised, scores);
        for (size_t j = 0; j < keys; j++) {
            odd += scores[j] * 0.0f;
            largest = scores[j] > largest ? scores[j] : largest;
        }
        for (size_t j = 0; j < keys; j++)
            scores[j] = isnan(odd) ? 0.0f : scores[j] - largest;
        kernels->exp(scores, scores, keys);
        for (size_t j = 0; j < keys; j++) {
            total += (int32_t)lrintf(scores[j] * 255.0f);
            fine += (int32_t)lrintf(scores[j] * SX_INT8_FINE);
        }
        bool coarse = sx_int8_is_coarse(total, fine);
        float unit = odd + 1.0f / (float)(coarse ? fine : 256 * total);
        for (size_t c = 0; c < head_size; c++) {
            float inverse, scale = sx_int8_column_scale(largest_of(job->v + c, job->stride, keys), &inverse);
            int32_t sum = 0, rest = 0;
            for (size_t j = 0; j < keys && inverse > 0.0f; j++) {
                int32_t value = (int32_t)lrintf(job->v[j * job->stride + c] * inverse), share = (int32_t)lrintf(scores[j] * 255.0f);
                int32_t beyond = (int32_t)lrintf(scores[j] * SX_INT8_FINE) - 256 * share;
                sum += share * value;
                rest += (beyond > 127 ? 127 : beyond) * value;
            }
            float x = (float)sum * 256.0f;
            job->out[row * job->out_stride + c] = (coarse ? x + (float)rest : x) * (unit * scale);
        }
    }
}

const sx_int8_kernels sx_int8_kernels_c = {
    .name = "c", .cpu = SX_CPU_C, .panel_width = WIDTH, .tile_rows = TILE_ROWS, .group = 1, .activation_bytes = 1,
    .weight_bytes = 1, .quantize = quantize, .pack = pack, .gemm = gemm,
    .attention = attention,
};
