/* kernels_c.c - the reference kernels in plain C: what every other set is tested against, and what runs where there is no other.
 *
 * Written for plainness; elementary functions are the C library's. Panels are 16 columns wide so that a compiler can
 * keep a row's sums in whatever vectors it has.
 */
#include "half.h"
#include "kernels_internal.h"

#include <math.h>
#include <string.h>

enum { PANEL = 16, TILE_ROWS = 1 };

/* Either side's power is at most 1, so nothing overflows and the left tail keeps its digits. */
static float sigmoid(float x)
{
    float power = expf(-fabsf(x));
    return (x < 0.0f ? power : 1.0f) / (1.0f + power);
}

static float activate_one(sx_activation activation, float x)
{
    switch (activation) {
    case SX_ACTIVATION_GELU: /* the complement keeps the left tail accurate; -infinity has the limit 0 */
        return x == -INFINITY ? 0.0f : 0.5f * x * erfcf(-0.707106781f * x);
    case SX_ACTIVATION_GELU_TANH:
        x = x < -64.0f ? -64.0f : x;
        return x / (1.0f + expf(-1.59576912f * (x + 0.044715f * x * x * x)));
    case SX_ACTIVATION_RELU:
        return x < 0.0f ? 0.0f : x;
    case SX_ACTIVATION_SILU: /* -infinity has the limit 0 */
        return x == -INFINITY ? 0.0f : x * sigmoid(x);
    case SX_ACTIVATION_TANH:
        return tanhf(x);
    case SX_ACTIVATION_SIGMOID:
        return sigmoid(x);
    case SX_ACTIVATION_NONE:
        break;
    }
    return x;
}

static void activate(sx_activation activation, const float *x, float *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = activate_one(activation, x[i]);
}

static void exp_array(const float *x, float *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = expf(x[i]);
}

static void pack(const float *rows, size_t stride, size_t count, size_t depth, float scale, float *panel)
{
    for (size_t k = 0; k < depth; k++)
        for (size_t j = 0; j < PANEL; j++)
            panel[k * PANEL + j] = j < count ? rows[j * stride + k] * scale : 0.0f;
}

static void from_f16(const void *x, float *out, size_t count)
{
    const unsigned char *bytes = x;
    for (size_t i = 0; i < count; i++)
        out[i] = float_of_half(bytes[2 * i] | (uint32_t)bytes[2 * i + 1] << 8);
}

static void from_bf16(const void *x, float *out, size_t count)
{
    const unsigned char *bytes = x;
    for (size_t i = 0; i < count; i++)
        out[i] = float_of_bits((uint32_t)bytes[2 * i] << 16 | (uint32_t)bytes[2 * i + 1] << 24);
}

/* sum = a (depth) * panel (depth x PANEL). */
static void multiply_row(const float *a, size_t depth, const unsigned char *panel, sx_panel_format format, float sum[PANEL])
{
    float chain[PANEL] = {0}, weights[PANEL];
    size_t bytes = PANEL * sx_panel_bytes(format);
    for (size_t k = 0; k < depth; k++) {
        if (format == SX_PANEL_F16)
            from_f16(panel + k * bytes, weights, PANEL);
        else if (format == SX_PANEL_BF16)
            from_bf16(panel + k * bytes, weights, PANEL);
        else
            memcpy(weights, panel + k * bytes, sizeof weights);
        for (size_t j = 0; j < PANEL; j++)
            chain[j] += a[k] * weights[j];
    }
    memcpy(sum, chain, sizeof chain);
}

static void gemm(const sx_gemm *job)
{
    for (size_t column = 0; column < job->columns; column += PANEL) {
        size_t columns = job->columns - column < PANEL ? job->columns - column : PANEL;
        for (size_t row = 0; row < job->rows; row++) {
            float sum[PANEL];
            multiply_row(job->a + row * job->a_stride, job->depth,
                         (const unsigned char *)job->panels + column * job->depth * sx_panel_bytes(job->format), job->format, sum);
            for (size_t j = 0; j < columns; j++) {
                float x = activate_one(job->activation, job->bias ? sum[j] + job->bias[column + j] : sum[j]);
                if (job->residual)
                    x += job->residual[row * job->residual_stride + column + j];
                job->out[row * job->out_stride + column + j] = x;
            }
        }
    }
}

static void attention(const sx_attention *job)
{
    size_t head_size = job->head_size;
    float *scores = job->scratch;
    for (size_t row = 0; row < job->queries; row++) {
        const float *q = job->q + row * job->stride;
        float *out = job->out + row * job->out_stride;
        size_t first = first_seen(job, row), end = seen_end(job, row);
        float largest = -INFINITY, total = 0.0f;
        for (size_t j = first; j < end; j++) {
            const float *k = job->k + j * job->stride;
            float sum = 0.0f;
            for (size_t i = 0; i < head_size; i++)
                sum += q[i] * k[i];
            sum *= job->scale;
            if (job->relative_bias)
                sum += job->relative_bias[(ptrdiff_t)j - (ptrdiff_t)row];
            scores[j] = sum;
            largest = sum > largest ? sum : largest;
        }
        for (size_t j = first; j < end; j++) {
            scores[j] = expf(scores[j] - largest);
            total += scores[j];
        }
        memset(out, 0, head_size * sizeof *out);
        for (size_t j = first; j < end; j++)
            for (size_t i = 0; i < head_size; i++)
                out[i] += scores[j] * job->v[j * job->stride + i];
        for (size_t i = 0; i < head_size; i++)
            out[i] *= 1.0f / total;
    }
}

static void norm(const sx_norm_job *job)
{
    for (size_t i = 0; i < job->rows; i++) {
        const float *in = job->in + i * job->in_stride;
        float *out = job->out + i * job->out_stride;
        double mean = 0.0, squares = 0.0;
        if (!job->rms) {
            for (size_t j = 0; j < job->width; j++)
                mean += in[j];
            mean /= (double)job->width;
        }
        for (size_t j = 0; j < job->width; j++)
            squares += (in[j] - mean) * (in[j] - mean);
        double scale = 1.0 / sqrt(squares / (double)job->width + job->epsilon);
        for (size_t j = 0; j < job->width; j++)
            out[j] = (float)((in[j] - mean) * scale) * job->weight[j] + (job->bias ? job->bias[j] : 0.0f);
    }
}

static void rotate(float *data, size_t rows, size_t stride, size_t heads, size_t head_size, const float *cosines,
                   const float *sines)
{
    size_t half = head_size / 2;
    for (size_t i = 0; i < rows; i++) {
        const float *cosine = cosines + i * half, *sine = sines + i * half;
        for (size_t head = 0; head < heads; head++) {
            float *x = data + i * stride + head * head_size, *y = x + half;
            for (size_t j = 0; j < half; j++) {
                float turned = x[j] * cosine[j] - y[j] * sine[j];
                y[j] = y[j] * cosine[j] + x[j] * sine[j];
                x[j] = turned;
            }
        }
    }
}

static void gate_array(sx_activation activation, const float *gate, const float *up, float *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = activate_one(activation, gate[i]) * up[i];
}

static void add_scaled(const float *x, float scale, float *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] += x[i] * scale;
}

static void maximum(const float *x, float *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!isnan(out[i]) && !(x[i] <= out[i]))
            out[i] = x[i];
}

static uint32_t bits_of_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* bits / 2^shift, rounded to nearest, to even between two. */
static uint32_t shift_rounded(uint32_t bits, unsigned shift)
{
    uint32_t half = 1u << (shift - 1), rest = bits & (2 * half - 1), whole = bits >> shift;
    return whole + (rest > half || (rest == half && whole & 1));
}

/* A carry out of the fraction raises the exponent, up to infinity. */
static uint32_t half_of_float(float x)
{
    uint32_t bits = bits_of_float(x), sign = bits >> 16 & 0x8000u;
    bits &= 0x7fffffffu;
    if (bits > 0x7f800000u)
        return sign | 0x7e00u | (bits >> 13 & 0x3ff);
    if (bits >= 0x47800000u) /* 65536 */
        return sign | 0x7c00u;
    if (bits >= 0x38800000u) /* 2^-14: normal */
        return sign | shift_rounded(bits - (112u << 23), 13);
    uint32_t exponent = bits >> 23;
    if (exponent < 102) /* below 2^-25 */
        return sign;
    return sign | shift_rounded((bits & 0x7fffff) | 0x800000, 126 - exponent);
}

static uint32_t brain_of_float(float x)
{
    uint32_t bits = bits_of_float(x);
    return isnan(x) ? bits >> 16 | 0x40u : shift_rounded(bits, 16);
}

static void to_f16(const float *x, void *out, size_t count)
{
    unsigned char *bytes = out;
    for (size_t i = 0; i < count; i++) {
        uint32_t half = half_of_float(x[i]);
        bytes[2 * i] = (unsigned char)half;
        bytes[2 * i + 1] = (unsigned char)(half >> 8);
    }
}

static void to_bf16(const float *x, void *out, size_t count)
{
    unsigned char *bytes = out;
    for (size_t i = 0; i < count; i++) {
        uint32_t half = brain_of_float(x[i]);
        bytes[2 * i] = (unsigned char)half;
        bytes[2 * i + 1] = (unsigned char)(half >> 8);
    }
}

static void largest_array(const float *x, float *largest, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!isnan(largest[i]) && !(fabsf(x[i]) <= largest[i]))
            largest[i] = fabsf(x[i]);
}

const sx_kernels sx_kernels_c = {
    .name = "c",
    .cpu = SX_CPU_C,
    .panel_width = PANEL,
    .tile_rows = TILE_ROWS,
    .pack = pack,
    .gemm = gemm,
    .attention = attention,
    .norm = norm,
    .rotate = rotate,
    .gate = gate_array,
    .exp = exp_array,
    .activate = activate,
    .add_scaled = add_scaled,
    .maximum = maximum,
    .largest = largest_array,
    .from_f16 = from_f16,
    .from_bf16 = from_bf16,
    .to_f16 = to_f16,
    .to_bf16 = to_bf16,
};
