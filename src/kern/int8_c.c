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

const sx_int8_kernels sx_int8_kernels_c = {
    .name = "c", .cpu = SX_CPU_C, .panel_width = WIDTH, .tile_rows = TILE_ROWS, .group = 1, .activation_bytes = 1,
    .weight_bytes = 1, .quantize = quantize, .pack = pack, .gemm = gemm,
};
