/* kernels.h - the numerical kernels, one immutable table of function pointers for each instruction set.
 *
 * Every kernel gives the same bits for the same row whatever other rows stand beside it, in which tile it falls and how the
 * work is cut: each output is one chain of operations in one order that depends on the sizes alone. Between instruction sets
 * results differ by rounding only. No kernel allocates, fails, reads or writes outside the ranges given. Strides and sizes
 * count floats unless said otherwise; pointers need no more alignment than their type.
 */
#ifndef SX_KERN_KERNELS_H
#define SX_KERN_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum sx_activation {
    SX_ACTIVATION_NONE,
    SX_ACTIVATION_GELU,      /* x * Phi(x), the erf form */
    SX_ACTIVATION_GELU_TANH, /* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
    SX_ACTIVATION_RELU,
    SX_ACTIVATION_SILU,      /* x / (1 + e^-x) */
    SX_ACTIVATION_TANH,
    SX_ACTIVATION_SIGMOID
} sx_activation;

/* How packed weights are held: as floats, or as IEEE halves or bfloat16, which become floats, exactly, as they are loaded. So all
 * three give the same bits for weights that a half can hold. */
typedef enum sx_panel_format { SX_PANEL_F32, SX_PANEL_F16, SX_PANEL_BF16, SX_PANEL_FORMATS } sx_panel_format;

/* out[i][j] = activation(sum_k a[i][k] * b[k][j] + bias[j]) + residual[i][j] for i < rows, j < columns, summed over k upwards
 * in one chain. b lies in panels of panel_width columns made by pack(): panel p is depth x panel_width weights, columns
 * beyond the last are zeros. out may be residual (same stride), never a. */
typedef struct sx_gemm {
    const float *a;
    size_t a_stride;
    size_t rows, columns, depth;
    const void *panels;
    sx_panel_format format;
    const float *bias;       /* columns floats, or NULL */
    const float *residual;   /* or NULL */
    size_t residual_stride;
    float *out;
    size_t out_stride;
    sx_activation activation;
} sx_gemm;

/* One head of one text: out[i] = sum_j softmax_j(scale q[i] . k[j] + relative_bias[j - i]) v[j] over the keys j that query i sees:
 * i - before <= j <= i + after. Every query sees at least one key. What other keys hold does
 * not matter as long as it is finite; where a window is small, most of them are never read. */
typedef struct sx_attention {
    const float *q, *k, *v;  /* queries x head_size, keys x head_size, keys x head_size */
    size_t stride;           /* of the rows of q, k and v */
    size_t queries, keys, head_size;
    float scale;
    size_t before, after;    /* SIZE_MAX: all; causal: SIZE_MAX, 0 */
    const float *relative_bias; /* points at the entry of distance 0; -(queries - 1) .. keys - 1 exist; NULL: none */
    float *out;              /* queries x head_size */
    size_t out_stride;
    float *scratch;          /* sx_attention_scratch() floats, aligned to 64 bytes */
} sx_attention;

/* Layer norm: (x - mean) / sqrt(variance + epsilon) * weight + bias; root mean square norm (Zhang & Sennrich 2019):
 * x / sqrt(mean of x^2 + epsilon) * weight + bias. */
typedef struct sx_norm_job {
    const float *in;
    size_t in_stride;
    float *out;
    size_t out_stride;
    size_t rows, width;
    const float *weight;
    const float *bias;       /* or NULL */
    float epsilon;
    bool rms;
} sx_norm_job;

typedef struct sx_kernels {
    const char *name;        /* "c", "avx2", "avx512" */
    uint64_t cpu;            /* its SX_CPU_* bit */
    size_t panel_width;      /* columns in a panel of packed weights */
    size_t tile_rows;        /* most rows computed together */

    /* rows (count x depth, row i at rows + i * stride) become columns 0..count-1 of one panel, times scale; count <=
     * panel_width, the other columns are zeros. */
    void (*pack)(const float *rows, size_t stride, size_t count, size_t depth, float scale, float *panel);
    void (*gemm)(const sx_gemm *job);
    void (*attention)(const sx_attention *job);
    /* Rows of `in` to rows of `out`, which may be the same: see sx_norm_job. */
    void (*norm)(const sx_norm_job *job);
    /* Rotary positions (Su et al. 2021, the halves rotated against each other): row i of `heads` heads beside each other at
     * data + i * stride is at position i; x[j], x[j + half] = x[j] cos - x[j + half] sin, x[j + half] cos + x[j] sin with
     * half = head_size / 2 and the tables' row i (half floats each). */
    void (*rotate)(float *data, size_t rows, size_t stride, size_t heads, size_t head_size, const float *cosines,
                   const float *sines);
    /* out[i] = activation(gate[i]) * up[i]; out may be gate. */
    void (*gate)(sx_activation activation, const float *gate, const float *up, float *out, size_t count);
    void (*exp)(const float *x, float *out, size_t count);
    void (*activate)(sx_activation activation, const float *x, float *out, size_t count);
    /* out[j] += x[j] * scale, one multiply-add each. */
    void (*add_scaled)(const float *x, float scale, float *out, size_t count);
    /* out[j] = max(out[j], x[j]); NaN wins. */
    void (*maximum)(const float *x, float *out, size_t count);
    /* largest[j] = max(largest[j], |x[j]|); NaN wins. */
    void (*largest)(const float *x, float *largest, size_t count);
    /* Little-endian IEEE half and bfloat16, unaligned, to float: exact. */
    void (*from_f16)(const void *x, float *out, size_t count);
    void (*from_bf16)(const void *x, float *out, size_t count);
    /* The other way, rounded to the nearest, to even between two; what is too large becomes infinite. out may be x. */
    void (*to_f16)(const float *x, void *out, size_t count);
    void (*to_bf16)(const float *x, void *out, size_t count);
} sx_kernels;

/* SX_CPU_* bits of this processor and operating system (SX_CPU_C always). */
uint64_t sx_cpu_detect(void);
/* The best table among the sets in cpu_mask (0: all) that this machine has; the C reference when there is no other. */
const sx_kernels *sx_kernels_for(uint64_t cpu_mask);

/* Floats in `columns` rounded up to whole panels. */
static inline size_t sx_panel_columns(const sx_kernels *kernels, size_t columns)
{
    return (columns + kernels->panel_width - 1) / kernels->panel_width * kernels->panel_width;
}

/* Bytes of one packed weight. */
static inline size_t sx_panel_bytes(sx_panel_format format)
{
    return format == SX_PANEL_F32 ? sizeof(float) : 2;
}

/* Floats of scratch for heads of head_size with at most `keys` keys: packed keys, packed values, one tile of scores and its
 * sums. */
static inline size_t sx_attention_scratch(const sx_kernels *kernels, size_t keys, size_t head_size)
{
    return sx_panel_columns(kernels, keys) * (head_size + kernels->tile_rows) +
           sx_panel_columns(kernels, head_size) * keys + 64;
}

#endif
