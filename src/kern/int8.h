/* int8.h - matrix products in 8-bit integers, one immutable table for each instruction set.
 *
 * Weights are quantised per output column and symmetrically (-127 .. 127), activations per row when they come, with a zero point
 * (0 .. 255), so that what GELU leaves below zero does not cost half the range. Sums are exact 32-bit integers; what is done in
 * floating point (scales, bias) is single operations in one order: all instruction sets, tiles and batches give the same bits.
 *
 * Before quantising, column k of the activations may be multiplied by factors[k] and row k of the weights divided by it: large
 * activation channels then lend some of their range to the weights (Xiao et al. 2022, "SmoothQuant").
 */
#ifndef SX_KERN_INT8_H
#define SX_KERN_INT8_H

#include "kernels.h"

/* out[i][j] = activation(sum_k a[i][k] * b[k][j] + bias[j]) + residual[i][j] on quantised a and b. out may be residual. */
typedef struct sx_int8_gemm {
    const void *a;           /* rows made by quantize(), a_stride bytes apart */
    size_t a_stride;
    const float *a_scales;   /* of each row, as quantize() gave them */
    const int32_t *a_zeros;
    size_t rows, columns, depth;
    const void *panels;      /* made by pack(), one behind the other */
    const float *b_scales;   /* of each column; padded to whole panels, as the next two */
    const int32_t *b_sums;
    const float *bias;       /* columns floats, or NULL */
    const float *residual;   /* or NULL */
    size_t residual_stride;
    float *out;
    size_t out_stride;
    sx_activation activation;
    const sx_kernels *kernels; /* for the activation */
} sx_int8_gemm;

typedef struct sx_int8_kernels {
    const char *name;        /* "c", "avx2", "avx-vnni", "avx512-vnni", "neon", "neon-dot", "neon-i8mm" */
    uint64_t cpu;
    size_t panel_width;      /* columns in a panel */
    size_t tile_rows;        /* most rows computed together */
    size_t group;            /* so many successive k lie together; depth is padded to a multiple */
    size_t activation_bytes; /* of one quantised activation */
    size_t weight_bytes;     /* of one quantised weight */

    /* rows x depth floats to quantised rows out_stride bytes apart, each with its scale and zero point: x = (q - zero) * scale.
     * factors: depth floats or NULL. A row that is not finite gets the scale NaN, so that its outputs are NaN. */
    void (*quantize)(const float *in, size_t stride, size_t rows, size_t depth, const float *factors, void *out,
                     size_t out_stride, float *scales, int32_t *zeros);
    /* rows (count x depth, row i at rows + i * stride) become columns 0 .. count-1 of one panel, divided by the factors; count <=
     * panel_width, the other columns are zeros. scales and sums: panel_width entries. */
    void (*pack)(const float *rows, size_t stride, size_t count, size_t depth, const float *factors, void *panel, float *scales,
                 int32_t *sums);
    void (*gemm)(const sx_int8_gemm *job);
    /* As sx_kernels.attention, for queries that see every key (before and after are not looked at) and at most
     * SX_INT8_MOST_KEYS of them; scratch: sx_int8_attention_scratch() floats. kernels: for exponentials. What is not finite makes
     * outputs NaN. */
    void (*attention)(const sx_attention *job, const sx_kernels *kernels);
} sx_int8_kernels;

/* Sums of so many weights of attention, and of their products with values, fit into 32 bits. */
enum { SX_INT8_MOST_KEYS = 32768 };

/* From so many keys on it is faster than in floats: packing keys and values and finding their scales costs by the row (SPEED.md). */
enum { SX_INT8_LEAST_KEYS = 160 };

/* The best table among the sets in cpu_mask (0: all) that this machine has. */
const sx_int8_kernels *sx_int8_kernels_for(uint64_t cpu_mask);

static inline size_t sx_int8_depth(const sx_int8_kernels *kernels, size_t depth)
{
    return (depth + kernels->group - 1) / kernels->group * kernels->group;
}

/* Bytes of one quantised row and of one panel. */
static inline size_t sx_int8_row_bytes(const sx_int8_kernels *kernels, size_t depth)
{
    return sx_int8_depth(kernels, depth) * kernels->activation_bytes;
}

static inline size_t sx_int8_panel_bytes(const sx_int8_kernels *kernels, size_t depth)
{
    return sx_int8_depth(kernels, depth) * kernels->panel_width * kernels->weight_bytes;
}

/* Floats of scratch for heads of head_size with at most `keys` keys; aligned to 64 bytes. */
static inline size_t sx_int8_attention_scratch(const sx_int8_kernels *kernels, size_t keys, size_t head_size)
{
    size_t width = kernels->panel_width, panels = (keys + width - 1) / width * width, rows = kernels->tile_rows;
    size_t head = (head_size + width - 1) / width * width, depth = sx_int8_depth(kernels, head_size);
    size_t bytes = panels * (depth + head) * kernels->weight_bytes + (panels + head + rows) * (sizeof(float) + sizeof(int32_t)) +
                   rows * ((depth + 2 * panels) * kernels->activation_bytes + panels * sizeof(float));
    return (bytes + 12 * 64) / sizeof(float);
}

#endif
