/* kernels_simd.h - the body of every vector instruction set's kernels; included once by each kernels_<set>.c.
 *
 * The includer defines the vector type and its operations (listed below); everything here is then written once, so all sets
 * compute by the same formulas in the same order and differ only in how many lanes a vector has.
 *
 *   WIDTH, TILE_ROWS          lanes; rows of a register tile (TILE_ROWS x 2 accumulators plus 3 fit the register file)
 *   vf                        a vector of WIDTH floats
 *   v_load v_store            unaligned
 *   v_load_tail(p, n) v_store_tail(p, n, x)   the first n < WIDTH lanes; others are zero / untouched
 *   v_set v_add v_sub v_mul v_div v_abs v_round (to even), v_fma(a, b, c) = a * b + c, v_fnma(a, b, c) = c - a * b
 *   v_max(a, b) v_min(a, b)   b when either is NaN
 *   v_keep_nan(a, b)          a where a is NaN, else b
 *   v_by_sign(x, a, b)        a where x has its sign bit set, else b
 *   v_scale(x, n)             x * 2^n for whole n in -252..254, denormal results rounded once
 *   v_sum v_largest           across lanes, in a fixed order
 *   v_transpose(vf r[WIDTH])  the square in place
 *   v_half v_brain            WIDTH halves / bfloat16 at p to floats
 *   v_store_half v_store_brain(p, x)   the other way, rounded to nearest even
 *   FOR_EACH_TILE(M)          M(1) ... M(TILE_ROWS)
 *
 * Matrix product: Goto & van de Geijn, "Anatomy of high-performance matrix multiplication" (2008), without blocking over
 * depth: depth is at most a few thousand here, so a panel stays in L2 and each output is one unbroken chain of fused
 * multiply-adds. That is what makes a row's bits independent of everything around it.
 */
#include "kernels_internal.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

/* BLOCK_ROWS rows of the left matrix stay in L2 while all panels pass by. */
enum { PANEL = 2 * WIDTH, BLOCK_ROWS = 112 / TILE_ROWS * TILE_ROWS };

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* ---- Elementary functions ---- */

/* q(r) of e^r = 1 + r + r^2 q(r). */
ALWAYS_INLINE vf exp_tail(vf r)
{
    vf q = v_set(0.00138368313f);
    q = v_fma(q, r, v_set(0.00837482702f));
    q = v_fma(q, r, v_set(0.0416682264f));
    q = v_fma(q, r, v_set(0.1666642f));
    return v_fma(q, r, v_set(0.499999921f));
}

/* e^x: x = n ln2 + r, |r| <= ln2 / 2, minimax polynomial of degree 6 (relative error 2e-9 before rounding). */
ALWAYS_INLINE vf exp_vector(vf x)
{
    x = v_max(v_set(-104.0f), x);
    x = v_min(v_set(89.0f), x);
    vf n = v_round(v_mul(x, v_set(1.44269504f)));
    vf r = v_fnma(n, v_set(0.693145752f), x);
    r = v_fnma(n, v_set(1.42860677e-6f), r);
    vf p = v_fma(exp_tail(r), r, v_set(1.0f));
    p = v_fma(p, r, v_set(1.0f));
    return v_scale(p, n);
}

/* x Phi(x) = max(x, 0) - |x| Phi(-|x|), and Phi(-a) = 2^q(a) with q a polynomial of degree 10 fitted on [0, 9] to an error of
 * 1.3e-8 in Phi; beyond, q falls monotonically below -62, where the term no longer matters. No cancellation, no division. */
ALWAYS_INLINE vf gelu_vector(vf x)
{
    vf a = v_min(v_set(40.0f), v_abs(x));
    vf q = v_set(-1.0300929e-08f);
    q = v_fma(q, a, v_set(3.94760008e-07f));
    q = v_fma(q, a, v_set(-6.23085862e-06f));
    q = v_fma(q, a, v_set(5.0986222e-05f));
    q = v_fma(q, a, v_set(-0.000201247371f));
    q = v_fma(q, a, v_set(-0.000141645767f));
    q = v_fma(q, a, v_set(0.00709502166f));
    q = v_fma(q, a, v_set(-0.0525262132f));
    q = v_fma(q, a, v_set(-0.459197134f));
    q = v_fma(q, a, v_set(-1.1511066f));
    q = v_fma(q, a, v_set(-0.99999994f));
    q = v_max(v_set(-200.0f), q);
    vf n = v_round(q);
    vf f = v_sub(q, n);
    vf p = v_set(0.000153456958f);
    p = v_fma(p, f, v_set(0.00134000636f));
    p = v_fma(p, f, v_set(0.0096184904f));
    p = v_fma(p, f, v_set(0.0555032845f));
    p = v_fma(p, f, v_set(0.240226469f));
    p = v_fma(p, f, v_set(0.693147206f));
    p = v_fma(p, f, v_set(1.0f));
    return v_fnma(a, v_scale(p, n), v_max(v_set(0.0f), x));
}

/* 0.5 x (1 + tanh u) = x / (1 + e^(-2u)). Below -64 the result is 0 in any case. */
ALWAYS_INLINE vf gelu_tanh_vector(vf x)
{
    vf y = v_max(v_set(-64.0f), x);
    vf u = v_fma(v_mul(v_mul(y, y), y), v_set(0.044715f), y);
    return v_div(y, v_add(v_set(1.0f), exp_vector(v_mul(u, v_set(-1.59576912f)))));
}

/* 1 / (1 + e^-x), with e^-|x| so that nothing overflows and the left tail keeps its digits. */
ALWAYS_INLINE vf sigmoid_vector(vf x)
{
    vf power = exp_vector(v_sub(v_set(0.0f), v_abs(x)));
    return v_div(v_by_sign(x, power, v_set(1.0f)), v_add(v_set(1.0f), power));
}

/* x / (1 + e^-x) likewise; the limit keeps -infinity from meeting 0. */
ALWAYS_INLINE vf silu_vector(vf x)
{
    vf y = v_max(v_set(-128.0f), x);
    vf power = exp_vector(v_sub(v_set(0.0f), v_abs(y)));
    return v_div(v_by_sign(y, v_mul(y, power), y), v_add(v_set(1.0f), power));
}

/* tanh a = m / (m + 2) with m = e^2a - 1 = 2^n (e^r - 1) + (2^n - 1): n = 0 near zero, so that no digit is lost there. Beyond
 * a = 10 the result is 1. */
ALWAYS_INLINE vf tanh_vector(vf x)
{
    vf a = v_abs(x);
    vf y = v_min(v_set(20.0f), v_add(a, a));
    vf n = v_round(v_mul(y, v_set(1.44269504f)));
    vf r = v_fnma(n, v_set(0.693145752f), y);
    r = v_fnma(n, v_set(1.42860677e-6f), r);
    vf power = v_scale(v_set(1.0f), n);
    vf less_one = v_fma(v_mul(exp_tail(r), r), r, r);
    vf m = v_fma(power, less_one, v_sub(power, v_set(1.0f)));
    vf t = v_div(m, v_add(m, v_set(2.0f)));
    return v_by_sign(x, v_mul(t, v_set(-1.0f)), t);
}

ALWAYS_INLINE vf activate_vector(sx_activation activation, vf x)
{
    switch (activation) {
    case SX_ACTIVATION_GELU:
        return gelu_vector(x);
    case SX_ACTIVATION_GELU_TANH:
        return gelu_tanh_vector(x);
    case SX_ACTIVATION_RELU:
        return v_max(v_set(0.0f), x);
    case SX_ACTIVATION_SILU:
        return silu_vector(x);
    case SX_ACTIVATION_TANH:
        return tanh_vector(x);
    case SX_ACTIVATION_SIGMOID:
        return sigmoid_vector(x);
    case SX_ACTIVATION_NONE:
        break;
    }
    return x;
}

static void exp_array(const float *x, float *out, size_t count)
{
    size_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH)
        v_store(out + i, exp_vector(v_load(x + i)));
    if (i < count)
        v_store_tail(out + i, count - i, exp_vector(v_load_tail(x + i, count - i)));
}

ALWAYS_INLINE void activate_range(sx_activation activation, const float *x, float *out, size_t count)
{
    size_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH)
        v_store(out + i, activate_vector(activation, v_load(x + i)));
    if (i < count)
        v_store_tail(out + i, count - i, activate_vector(activation, v_load_tail(x + i, count - i)));
}

static void activate_array(sx_activation activation, const float *x, float *out, size_t count)
{
    switch (activation) {
    case SX_ACTIVATION_GELU:
        activate_range(SX_ACTIVATION_GELU, x, out, count);
        break;
    case SX_ACTIVATION_GELU_TANH:
        activate_range(SX_ACTIVATION_GELU_TANH, x, out, count);
        break;
    case SX_ACTIVATION_RELU:
        activate_range(SX_ACTIVATION_RELU, x, out, count);
        break;
    case SX_ACTIVATION_SILU:
        activate_range(SX_ACTIVATION_SILU, x, out, count);
        break;
    case SX_ACTIVATION_TANH:
        activate_range(SX_ACTIVATION_TANH, x, out, count);
        break;
    case SX_ACTIVATION_SIGMOID:
        activate_range(SX_ACTIVATION_SIGMOID, x, out, count);
        break;
    case SX_ACTIVATION_NONE:
        activate_range(SX_ACTIVATION_NONE, x, out, count);
        break;
    }
}

ALWAYS_INLINE void gate_range(sx_activation activation, const float *gate, const float *up, float *out, size_t count)
{
    size_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH)
        v_store(out + i, v_mul(activate_vector(activation, v_load(gate + i)), v_load(up + i)));
    if (i < count)
        v_store_tail(out + i, count - i,
                     v_mul(activate_vector(activation, v_load_tail(gate + i, count - i)), v_load_tail(up + i, count - i)));
}

static void gate_array(sx_activation activation, const float *gate, const float *up, float *out, size_t count)
{
    switch (activation) {
    case SX_ACTIVATION_GELU:
        gate_range(SX_ACTIVATION_GELU, gate, up, out, count);
        break;
    case SX_ACTIVATION_GELU_TANH:
        gate_range(SX_ACTIVATION_GELU_TANH, gate, up, out, count);
        break;
    case SX_ACTIVATION_RELU:
        gate_range(SX_ACTIVATION_RELU, gate, up, out, count);
        break;
    case SX_ACTIVATION_SILU:
        gate_range(SX_ACTIVATION_SILU, gate, up, out, count);
        break;
    case SX_ACTIVATION_TANH:
        gate_range(SX_ACTIVATION_TANH, gate, up, out, count);
        break;
    case SX_ACTIVATION_SIGMOID:
        gate_range(SX_ACTIVATION_SIGMOID, gate, up, out, count);
        break;
    case SX_ACTIVATION_NONE:
        gate_range(SX_ACTIVATION_NONE, gate, up, out, count);
        break;
    }
}

/* ---- Matrix product ---- */

static void pack_panel(const float *rows, size_t stride, size_t count, size_t depth, float scale, float *panel)
{
    vf factor = v_set(scale);
    for (size_t half = 0; half < 2; half++) {
        size_t first = half * WIDTH;
        size_t filled = count <= first ? 0 : count - first < WIDTH ? count - first : WIDTH;
        for (size_t k = 0; k < depth; k += WIDTH) {
            size_t part = depth - k < WIDTH ? depth - k : WIDTH;
            vf square[WIDTH];
            for (size_t j = 0; j < WIDTH; j++) {
                const float *row = rows + (first + j) * stride + k;
                if (j >= filled)
                    square[j] = v_set(0.0f);
                else
                    square[j] = v_mul(part == WIDTH ? v_load(row) : v_load_tail(row, part), factor);
            }
            v_transpose(square);
            for (size_t i = 0; i < part; i++)
                v_store(panel + (k + i) * PANEL + first, square[i]);
        }
    }
}

ALWAYS_INLINE vf load_weights(sx_panel_format format, const unsigned char *panel)
{
    if (format == SX_PANEL_F16)
        return v_half(panel);
    return format == SX_PANEL_BF16 ? v_brain(panel) : v_load((const float *)(const void *)panel);
}

/* out (rows x PANEL) = a (rows x depth) * panel (depth x PANEL): rows and format are constants where this is inlined, so that
 * all accumulators are registers. */
ALWAYS_INLINE void multiply_tile(size_t rows, sx_panel_format format, const float *a, size_t a_stride, size_t depth,
                                 const void *weights, float *out, size_t out_stride)
{
    const unsigned char *panel = weights;
    const size_t bytes = format == SX_PANEL_F32 ? sizeof(float) : 2;
    vf sum[TILE_ROWS][2];
    UNROLL
    for (size_t i = 0; i < rows; i++)
        sum[i][0] = sum[i][1] = v_set(0.0f);
    for (size_t k = 0; k < depth; k++) {
        vf left = load_weights(format, panel), right = load_weights(format, panel + WIDTH * bytes);
        panel += PANEL * bytes;
        UNROLL
        for (size_t i = 0; i < rows; i++) {
            vf x = v_set(a[i * a_stride + k]);
            sum[i][0] = v_fma(x, left, sum[i][0]);
            sum[i][1] = v_fma(x, right, sum[i][1]);
        }
    }
    UNROLL
    for (size_t i = 0; i < rows; i++) {
        v_store(out + i * out_stride, sum[i][0]);
        v_store(out + i * out_stride + WIDTH, sum[i][1]);
    }
}

typedef void multiply_function(const float *a, size_t a_stride, size_t depth, const void *panel, float *out, size_t out_stride);

#define DEFINE_TILES(N)                                                                                                \
    static void multiply_f32_##N(const float *a, size_t a_stride, size_t depth, const void *panel, float *out,         \
                                 size_t out_stride)                                                                    \
    {                                                                                                                  \
        multiply_tile(N, SX_PANEL_F32, a, a_stride, depth, panel, out, out_stride);                                    \
    }                                                                                                                  \
    static void multiply_f16_##N(const float *a, size_t a_stride, size_t depth, const void *panel, float *out,         \
                                 size_t out_stride)                                                                    \
    {                                                                                                                  \
        multiply_tile(N, SX_PANEL_F16, a, a_stride, depth, panel, out, out_stride);                                    \
    }                                                                                                                  \
    static void multiply_bf16_##N(const float *a, size_t a_stride, size_t depth, const void *panel, float *out,        \
                                  size_t out_stride)                                                                   \
    {                                                                                                                  \
        multiply_tile(N, SX_PANEL_BF16, a, a_stride, depth, panel, out, out_stride);                                   \
    }
FOR_EACH_TILE(DEFINE_TILES)
#define NAME_F32(N) multiply_f32_##N,
#define NAME_F16(N) multiply_f16_##N,
#define NAME_BF16(N) multiply_bf16_##N,
static multiply_function *const multiply[SX_PANEL_FORMATS][TILE_ROWS] = {
    {FOR_EACH_TILE(NAME_F32)}, {FOR_EACH_TILE(NAME_F16)}, {FOR_EACH_TILE(NAME_BF16)}};

/* Rows of the next tile when `rows` are left: tiles of nearly equal height, so that none is so low that its few chains wait
 * for each other. */
ALWAYS_INLINE size_t next_tile(size_t rows)
{
    size_t tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    return (rows + tiles - 1) / tiles;
}

/* Bias, activation and residual of one tile that lies in `tile`; the result goes to job->out at (row, column). */
ALWAYS_INLINE void finish_tile(const sx_gemm *job, sx_activation activation, const float *tile, size_t row, size_t rows,
                               size_t column, size_t columns)
{
    for (size_t j = 0; j < columns; j += WIDTH) {
        size_t part = columns - j < WIDTH ? columns - j : WIDTH;
        bool whole = part == WIDTH;
        vf bias = v_set(0.0f);
        if (job->bias)
            bias = whole ? v_load(job->bias + column + j) : v_load_tail(job->bias + column + j, part);
        for (size_t i = 0; i < rows; i++) {
            vf x = activate_vector(activation, v_add(v_load(tile + i * PANEL + j), bias));
            if (job->residual) {
                const float *residual = job->residual + (row + i) * job->residual_stride + column + j;
                x = v_add(x, whole ? v_load(residual) : v_load_tail(residual, part));
            }
            float *out = job->out + (row + i) * job->out_stride + column + j;
            if (whole)
                v_store(out, x);
            else
                v_store_tail(out, part, x);
        }
    }
}

ALWAYS_INLINE void multiply_all(const sx_gemm *job, sx_activation activation)
{
    _Alignas(64) float tile[TILE_ROWS * PANEL];
    multiply_function *const *tiles = multiply[job->format];
    size_t bytes = sx_panel_bytes(job->format);
    for (size_t block = 0; block < job->rows; block += BLOCK_ROWS) {
        size_t end = block + BLOCK_ROWS < job->rows ? block + BLOCK_ROWS : job->rows;
        for (size_t column = 0; column < job->columns; column += PANEL) {
            size_t columns = job->columns - column < PANEL ? job->columns - column : PANEL;
            const unsigned char *panel = (const unsigned char *)job->panels + column * job->depth * bytes;
            for (size_t row = block, rows; row < end; row += rows) {
                rows = next_tile(end - row);
                tiles[rows - 1](job->a + row * job->a_stride, job->a_stride, job->depth, panel, tile, PANEL);
                finish_tile(job, activation, tile, row, rows, column, columns);
            }
        }
    }
}

static void gemm(const sx_gemm *job)
{
    switch (job->activation) {
    case SX_ACTIVATION_GELU:
        multiply_all(job, SX_ACTIVATION_GELU);
        break;
    case SX_ACTIVATION_GELU_TANH:
        multiply_all(job, SX_ACTIVATION_GELU_TANH);
        break;
    case SX_ACTIVATION_RELU:
        multiply_all(job, SX_ACTIVATION_RELU);
        break;
    case SX_ACTIVATION_SILU:
        multiply_all(job, SX_ACTIVATION_SILU);
        break;
    case SX_ACTIVATION_TANH:
        multiply_all(job, SX_ACTIVATION_TANH);
        break;
    case SX_ACTIVATION_SIGMOID:
        multiply_all(job, SX_ACTIVATION_SIGMOID);
        break;
    case SX_ACTIVATION_NONE:
        multiply_all(job, SX_ACTIVATION_NONE);
        break;
    }
}

/* ---- Attention ---- */

/* Replaces scores first..end-1 of `count` by e^(score - largest), all others by zeros, and returns one over their sum. Lanes
 * are those of the position among all keys, so that masked keys add exact zeros only, however many there are. */
ALWAYS_INLINE float softmax_row(float *scores, size_t first, size_t end, size_t count)
{
    size_t begin = first / WIDTH * WIDTH, limit = (end + WIDTH - 1) / WIDTH * WIDTH;
    for (size_t j = 0; j < begin; j += WIDTH)
        v_store(scores + j, v_set(0.0f));
    if (begin < first)
        v_store_tail(scores + begin, first - begin, v_set(-INFINITY));
    if (end < limit)
        v_store_tail(scores + end, limit - end, v_set(-INFINITY));
    vf largest = v_set(-INFINITY);
    for (size_t j = begin; j < limit; j += WIDTH)
        largest = v_max(largest, v_load(scores + j));
    vf shift = v_set(v_largest(largest)), sum = v_set(0.0f);
    for (size_t j = begin; j < limit; j += WIDTH) {
        vf x = exp_vector(v_sub(v_load(scores + j), shift));
        v_store(scores + j, x);
        sum = v_add(sum, x);
    }
    for (size_t j = limit; j < count; j += WIDTH)
        v_store(scores + j, v_set(0.0f));
    return 1.0f / v_sum(sum);
}

static void add_array(const float *x, float *out, size_t count)
{
    size_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH)
        v_store(out + i, v_add(v_load(out + i), v_load(x + i)));
    if (i < count)
        v_store_tail(out + i, count - i, v_add(v_load_tail(out + i, count - i), v_load_tail(x + i, count - i)));
}

/* Rows of `count` values become panels of PANEL columns with the keys as depth. */
static void pack_values(const float *v, size_t stride, size_t keys, size_t head_size, float *panels)
{
    for (size_t column = 0; column < head_size; column += PANEL) {
        size_t columns = head_size - column < PANEL ? head_size - column : PANEL;
        for (size_t i = 0; i < keys; i++) {
            float *to = panels + column * keys + i * PANEL;
            for (size_t half = 0; half < PANEL; half += WIDTH) {
                size_t part = columns <= half ? 0 : columns - half;
                const float *from = v + i * stride + column + half;
                v_store(to + half, part >= WIDTH ? v_load(from) : part ? v_load_tail(from, part) : v_set(0.0f));
            }
        }
    }
}

/* Queries begin..end-1, with just the keys and values packed that one of them sees. */
static void attend_block(const sx_attention *job, size_t begin, size_t end)
{
    size_t head_size = job->head_size, first = first_seen(job, begin) / PANEL * PANEL;
    size_t held = seen_end(job, end - 1) - first, score_stride = (held + PANEL - 1) / PANEL * PANEL;
    float *key_panels = job->scratch;
    float *value_panels = key_panels + score_stride * head_size;
    float *scores = value_panels + (head_size + PANEL - 1) / PANEL * PANEL * held;
    _Alignas(64) float tile[TILE_ROWS * PANEL];
    for (size_t j = 0; j < held; j += PANEL)
        pack_panel(job->k + (first + j) * job->stride, job->stride, held - j < PANEL ? held - j : PANEL, head_size,
                   job->scale, key_panels + j * head_size);
    pack_values(job->v + first * job->stride, job->stride, held, head_size, value_panels);
    for (size_t row = begin, rows; row < end; row += rows) {
        rows = next_tile(end - row);
        size_t low = first_seen(job, row) / PANEL * PANEL - first, high = seen_end(job, row + rows - 1) - first;
        for (size_t j = low; j < high; j += PANEL)
            multiply[SX_PANEL_F32][rows - 1](job->q + row * job->stride, job->stride, head_size, key_panels + j * head_size,
                                             scores + j, score_stride);
        float factor[TILE_ROWS];
        for (size_t i = 0; i < rows; i++) {
            size_t seen = first_seen(job, row + i), unseen = seen_end(job, row + i);
            float *row_scores = scores + i * score_stride + low;
            if (job->relative_bias)
                add_array(job->relative_bias + ((ptrdiff_t)seen - (ptrdiff_t)(row + i)), row_scores + (seen - first - low),
                          unseen - seen);
            factor[i] = softmax_row(row_scores, seen - first - low, unseen - first - low, high - low);
        }
        for (size_t column = 0; column < head_size; column += PANEL) {
            size_t columns = head_size - column < PANEL ? head_size - column : PANEL;
            multiply[SX_PANEL_F32][rows - 1](scores + low, score_stride, high - low, value_panels + column * held + low * PANEL,
                                             tile, PANEL);
            for (size_t i = 0; i < rows; i++) {
                float *out = job->out + (row + i) * job->out_stride + column;
                for (size_t j = 0; j < columns; j += WIDTH) {
                    /* -0, left by underflow, becomes 0 as it would by the zero of a masked key that follows */
                    vf x = v_mul(v_add(v_load(tile + i * PANEL + j), v_set(0.0f)), v_set(factor[i]));
                    if (columns - j >= WIDTH)
                        v_store(out + j, x);
                    else
                        v_store_tail(out + j, columns - j, x);
                }
            }
        }
    }
}

/* When each query sees a small window, blocks of queries some times as long: what is packed for one stays in cache, and little is
 * packed twice. */
static void attention(const sx_attention *job)
{
    size_t rows = job->queries;
    if (job->before < job->keys && job->after < job->keys) {
        size_t window = job->before + job->after;
        rows = 4 * window > BLOCK_ROWS ? 4 * window : BLOCK_ROWS;
    }
    for (size_t begin = 0, end; begin < job->queries; begin = end) {
        end = job->queries - begin > rows ? begin + rows : job->queries;
        attend_block(job, begin, end);
    }
}

/* ---- Rows ---- */

static void layer_norm(const sx_norm_job *job)
{
    size_t width = job->width, whole = width / WIDTH * WIDTH, tail = width - whole;
    const float *weight = job->weight, *bias = job->bias;
    for (size_t i = 0; i < job->rows; i++) {
        const float *in = job->in + i * job->in_stride;
        float *out = job->out + i * job->out_stride;
        vf sum = v_set(0.0f);
        for (size_t j = 0; j < whole; j += WIDTH)
            sum = v_add(sum, v_load(in + j));
        if (tail)
            sum = v_add(sum, v_load_tail(in + whole, tail));
        float mean = v_sum(sum) / (float)width;
        vf middle = v_set(mean), squares = v_set(0.0f);
        for (size_t j = 0; j < whole; j += WIDTH) {
            vf x = v_sub(v_load(in + j), middle);
            squares = v_fma(x, x, squares);
        }
        float total = v_sum(squares);
        for (size_t j = whole; j < width; j++)
            total += (in[j] - mean) * (in[j] - mean);
        vf scale = v_set(1.0f / sqrtf(total / (float)width + job->epsilon));
        for (size_t j = 0; j < whole; j += WIDTH) {
            vf x = v_mul(v_mul(v_sub(v_load(in + j), middle), scale), v_load(weight + j));
            v_store(out + j, bias ? v_add(x, v_load(bias + j)) : x);
        }
        if (tail) {
            vf x = v_mul(v_mul(v_sub(v_load_tail(in + whole, tail), middle), scale), v_load_tail(weight + whole, tail));
            v_store_tail(out + whole, tail, bias ? v_add(x, v_load_tail(bias + whole, tail)) : x);
        }
    }
}

static void rms_norm(const sx_norm_job *job)
{
    size_t width = job->width, whole = width / WIDTH * WIDTH, tail = width - whole;
    const float *weight = job->weight, *bias = job->bias;
    for (size_t i = 0; i < job->rows; i++) {
        const float *in = job->in + i * job->in_stride;
        float *out = job->out + i * job->out_stride;
        vf squares = v_set(0.0f);
        for (size_t j = 0; j < whole; j += WIDTH)
            squares = v_fma(v_load(in + j), v_load(in + j), squares);
        if (tail)
            squares = v_fma(v_load_tail(in + whole, tail), v_load_tail(in + whole, tail), squares);
        vf scale = v_set(1.0f / sqrtf(v_sum(squares) / (float)width + job->epsilon));
        for (size_t j = 0; j < whole; j += WIDTH) {
            vf x = v_mul(v_mul(v_load(in + j), scale), v_load(weight + j));
            v_store(out + j, bias ? v_add(x, v_load(bias + j)) : x);
        }
        if (tail) {
            vf x = v_mul(v_mul(v_load_tail(in + whole, tail), scale), v_load_tail(weight + whole, tail));
            v_store_tail(out + whole, tail, bias ? v_add(x, v_load_tail(bias + whole, tail)) : x);
        }
    }
}

static void norm(const sx_norm_job *job)
{
    if (job->rms)
        rms_norm(job);
    else
        layer_norm(job);
}

static void rotate(float *data, size_t rows, size_t stride, size_t heads, size_t head_size, const float *cosines,
                   const float *sines)
{
    size_t half = head_size / 2, whole = half / WIDTH * WIDTH, tail = half - whole;
    for (size_t i = 0; i < rows; i++) {
        const float *cosine = cosines + i * half, *sine = sines + i * half;
        for (size_t head = 0; head < heads; head++) {
            float *first = data + i * stride + head * head_size, *second = first + half;
            for (size_t j = 0; j < whole; j += WIDTH) {
                vf x = v_load(first + j), y = v_load(second + j), c = v_load(cosine + j), s = v_load(sine + j);
                v_store(first + j, v_fnma(y, s, v_mul(x, c)));
                v_store(second + j, v_fma(x, s, v_mul(y, c)));
            }
            if (tail) {
                vf x = v_load_tail(first + whole, tail), y = v_load_tail(second + whole, tail);
                vf c = v_load_tail(cosine + whole, tail), s = v_load_tail(sine + whole, tail);
                v_store_tail(first + whole, tail, v_fnma(y, s, v_mul(x, c)));
                v_store_tail(second + whole, tail, v_fma(x, s, v_mul(y, c)));
            }
        }
    }
}

static void add_scaled(const float *x, float scale, float *out, size_t count)
{
    vf factor = v_set(scale);
    size_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH)
        v_store(out + i, v_fma(v_load(x + i), factor, v_load(out + i)));
    if (i < count)
        v_store_tail(out + i, count - i, v_fma(v_load_tail(x + i, count - i), factor, v_load_tail(out + i, count - i)));
}

/* v_max hands on a NaN of its second operand only; v_keep_nan keeps one that is in out already. */
ALWAYS_INLINE vf maximum_vector(vf out, vf x)
{
    return v_keep_nan(out, v_max(out, x));
}

static void maximum(const float *x, float *out, size_t count)
{
    size_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH)
        v_store(out + i, maximum_vector(v_load(out + i), v_load(x + i)));
    if (i < count)
        v_store_tail(out + i, count - i, maximum_vector(v_load_tail(out + i, count - i), v_load_tail(x + i, count - i)));
}

ALWAYS_INLINE vf largest_vector(vf largest, vf x)
{
    return v_keep_nan(largest, v_max(largest, v_abs(x)));
}

static void largest_array(const float *x, float *largest, size_t count)
{
    size_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH)
        v_store(largest + i, largest_vector(v_load(largest + i), v_load(x + i)));
    if (i < count)
        v_store_tail(largest + i, count - i, largest_vector(v_load_tail(largest + i, count - i), v_load_tail(x + i, count - i)));
}

static void from_f16(const void *x, float *out, size_t count)
{
    const unsigned char *bytes = x;
    size_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH)
        v_store(out + i, v_half(bytes + 2 * i));
    if (i < count) {
        unsigned char rest[2 * WIDTH] = {0};
        memcpy(rest, bytes + 2 * i, 2 * (count - i));
        v_store_tail(out + i, count - i, v_half(rest));
    }
}

static void from_bf16(const void *x, float *out, size_t count)
{
    const unsigned char *bytes = x;
    size_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH)
        v_store(out + i, v_brain(bytes + 2 * i));
    if (i < count) {
        unsigned char rest[2 * WIDTH] = {0};
        memcpy(rest, bytes + 2 * i, 2 * (count - i));
        v_store_tail(out + i, count - i, v_brain(rest));
    }
}

static void to_f16(const float *x, void *out, size_t count)
{
    unsigned char *bytes = out;
    size_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH)
        v_store_half(bytes + 2 * i, v_load(x + i));
    if (i < count) {
        unsigned char rest[2 * WIDTH];
        v_store_half(rest, v_load_tail(x + i, count - i));
        memcpy(bytes + 2 * i, rest, 2 * (count - i));
    }
}

static void to_bf16(const float *x, void *out, size_t count)
{
    unsigned char *bytes = out;
    size_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH)
        v_store_brain(bytes + 2 * i, v_load(x + i));
    if (i < count) {
        unsigned char rest[2 * WIDTH];
        v_store_brain(rest, v_load_tail(x + i, count - i));
        memcpy(bytes + 2 * i, rest, 2 * (count - i));
    }
}

#define KERNEL_TABLE(NAME, CPU)                                                                                        \
    {                                                                                                                  \
        .name = NAME, .cpu = CPU, .panel_width = PANEL, .tile_rows = TILE_ROWS, .pack = pack_panel, .gemm = gemm,      \
        .attention = attention, .norm = norm, .rotate = rotate, .gate = gate_array, .exp = exp_array,                  \
        .activate = activate_array, .add_scaled = add_scaled, .maximum = maximum, .largest = largest_array,            \
        .from_f16 = from_f16, .from_bf16 = from_bf16, .to_f16 = to_f16, .to_bf16 = to_bf16                             \
    }
