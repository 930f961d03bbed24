/* test_kernels.c - every kernel of every instruction set this machine has, against double arithmetic.
 *
 * As dav1d's checkasm does: random and pathological inputs, all small sizes, buffers that end at a page nobody may touch, and
 * error bounds from the analysis of the sums instead of a tolerance that happens to pass.
 */
#include "kern/kernels.h"
#include "sextant.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- Random numbers and guarded memory ---- */

static uint64_t random_state;

static uint32_t random_bits(void)
{
    random_state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    uint64_t x = random_state;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)(x >> 32);
}

static size_t random_below(size_t limit)
{
    return random_bits() % limit;
}

static float random_float(void)
{
    return (float)(int32_t)random_bits() * 0x1p-31f;
}

/* Floats that end where the next page may not be touched; those before are filled with a canary. */
typedef struct guarded {
    float *data;
    size_t count;
    unsigned char *map;
    size_t map_bytes;
    size_t lead; /* bytes before data */
} guarded;

static guarded guarded_open(size_t count)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = (count * sizeof(float) + page - 1) / page * page + page;
    guarded g = {.count = count, .map_bytes = bytes + page};
    g.map = mmap(NULL, g.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g.map != MAP_FAILED);
    assert_int_equal(mprotect(g.map + bytes, page, PROT_NONE), 0);
    g.lead = bytes - count * sizeof(float);
    g.data = (float *)(void *)(g.map + g.lead);
    memset(g.map, 0xa5, g.lead);
    return g;
}

static void guarded_close(guarded *g)
{
    for (size_t i = 0; i < g->lead; i++)
        assert_int_equal(g->map[i], 0xa5);
    munmap(g->map, g->map_bytes);
}

enum filling { RANDOM, TINY, LARGE, ZEROS, MIXED, FILLINGS };

static void fill(guarded *g, enum filling filling)
{
    for (size_t i = 0; i < g->count; i++) {
        float x = random_float();
        switch (filling) {
        case TINY:
            x *= 1e-38f; /* mostly subnormal */
            break;
        case LARGE:
            x *= 1e15f;
            break;
        case ZEROS:
            x = i % 2 ? 0.0f : -0.0f;
            break;
        case MIXED:
            x = ldexpf(x, (int)random_below(40) - 20);
            break;
        default:
            break;
        }
        g->data[i] = x;
    }
}

static const uint64_t levels[] = {SX_CPU_C, SX_CPU_AVX2, SX_CPU_AVX512};

/* Runs a test for every set this machine has; says which it has not. */
static void for_each_level(void (*test)(const sx_kernels *))
{
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        const sx_kernels *kernels = sx_kernels_for(levels[i]);
        if (kernels->cpu != levels[i]) {
            print_message("not on this machine: instruction set %#llx\n", (unsigned long long)levels[i]);
            continue;
        }
        random_state = 1;
        test(kernels);
    }
}

static void check_error(const sx_kernels *kernels, const char *what, size_t at, double expected, double found, double bound)
{
    if (!(fabs(expected - found) <= bound))
        fail_msg("%s: %s at %zu: %.9g expected, %.9g found, bound %.3g", kernels->name, what, at, expected, found, bound);
}

/* ---- Elementary functions ---- */

static double gelu_exact(double x)
{
    return 0.5 * x * erfc(-x * M_SQRT1_2);
}

static double gelu_tanh_exact(double x)
{
    return x / (1.0 + exp(-2.0 * sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
}

/* Every 499th float of all there are, in vectors of odd size. */
static void check_all_floats(const sx_kernels *kernels, int function)
{
    enum { COUNT = 4099, STEP = 499 };
    static float x[COUNT], out[COUNT];
    uint64_t bits = 0;
    while (bits <= UINT32_MAX) {
        size_t count = 0;
        for (; count < COUNT && bits <= UINT32_MAX; count++, bits += STEP) {
            uint32_t word = (uint32_t)bits;
            memcpy(&x[count], &word, sizeof word);
        }
        if (function < 0)
            kernels->exp(x, out, count);
        else
            kernels->activate((sx_activation)function, x, out, count);
        for (size_t i = 0; i < count; i++) {
            double v = x[i], expected, bound;
            if (isnan(x[i])) {
                assert_true(isnan(out[i]));
                continue;
            }
            if (function < 0) {
                expected = exp(v);
                bound = 2.0e-7 * expected + 0x1p-149;
                if (expected > FLT_MAX) {
                    assert_true(isinf(out[i]) || out[i] > 3.4e38f);
                    continue;
                }
            } else {
                expected = isinf(x[i]) ? (v > 0 ? v : 0.0) : function == SX_ACTIVATION_GELU ? gelu_exact(v) : gelu_tanh_exact(v);
                bound = 1.5e-7 * fmin(fabs(v), 8.0) + 1.0e-7 * fabs(expected) + 0x1p-149;
                if (isinf(expected)) {
                    assert_true(isinf(out[i]) && out[i] > 0);
                    continue;
                }
            }
            if (!(fabs(expected - out[i]) <= bound))
                fail_msg("%s: function %d of %.9g: %.9g expected, %.9g found", kernels->name, function, v, expected, out[i]);
        }
    }
}

static void check_functions(const sx_kernels *kernels)
{
    check_all_floats(kernels, -1);
    check_all_floats(kernels, SX_ACTIVATION_GELU);
    check_all_floats(kernels, SX_ACTIVATION_GELU_TANH);
    for (size_t count = 0; count <= 100; count++) {
        guarded x = guarded_open(count), out = guarded_open(count);
        fill(&x, RANDOM);
        for (int activation = SX_ACTIVATION_NONE; activation <= SX_ACTIVATION_RELU; activation++) {
            kernels->activate((sx_activation)activation, x.data, out.data, count);
            for (size_t i = 0; i < count; i++) {
                double v = x.data[i];
                double expected = activation == SX_ACTIVATION_GELU        ? gelu_exact(v)
                                  : activation == SX_ACTIVATION_GELU_TANH ? gelu_tanh_exact(v)
                                  : activation == SX_ACTIVATION_RELU      ? fmax(v, 0.0)
                                                                          : v;
                check_error(kernels, "activation", i, expected, out.data[i], 2e-7 * fabs(v));
            }
        }
        kernels->exp(x.data, x.data, count); /* in place */
        guarded_close(&x);
        guarded_close(&out);
    }
}

static void test_functions(void **state)
{
    for_each_level(check_functions);
}

/* ---- Conversions ---- */

static void check_conversions(const sx_kernels *kernels)
{
    enum { ALL = 65536 };
    static unsigned char bytes[2 * ALL + 1];
    static float out[ALL];
    for (uint32_t i = 0; i < ALL; i++) { /* at an odd address */
        bytes[1 + 2 * i] = (unsigned char)i;
        bytes[2 + 2 * i] = (unsigned char)(i >> 8);
    }
    kernels->from_f16(bytes + 1, out, ALL);
    for (uint32_t i = 0; i < ALL; i++) {
        int exponent = (int)(i >> 10 & 31), fraction = (int)(i & 1023);
        double value = exponent == 31  ? (fraction ? NAN : INFINITY)
                       : exponent == 0 ? ldexp(fraction, -24)
                                       : ldexp(1024 + fraction, exponent - 25);
        value = i & 0x8000 ? -value : value;
        assert_true(isnan(value) ? isnan(out[i]) : value == out[i] && !signbit(out[i]) == !signbit(value));
    }
    kernels->from_bf16(bytes + 1, out, ALL);
    for (uint32_t i = 0; i < ALL; i++) {
        uint32_t found;
        memcpy(&found, &out[i], sizeof found);
        assert_int_equal(found, i << 16);
    }
    for (size_t count = 0; count <= 70; count++) {
        guarded halves = guarded_open((count + 1) / 2), floats = guarded_open(count);
        unsigned char *end = (unsigned char *)(halves.data + halves.count) - 2 * count;
        memset(end, 0x3c, 2 * count);
        kernels->from_f16(end, floats.data, count);
        for (size_t i = 0; i < count; i++)
            assert_true(floats.data[i] == 1.05859375f);
        kernels->from_bf16(end, floats.data, count);
        for (size_t i = 0; i < count; i++)
            assert_true(floats.data[i] == 0x1.78p-7f);
        munmap(halves.map, halves.map_bytes);
        guarded_close(&floats);
    }
}

static void test_conversions(void **state)
{
    for_each_level(check_conversions);
}

/* ---- Matrix product ---- */

typedef struct product {
    size_t rows, columns, depth, a_stride, out_stride;
    sx_activation activation;
    bool bias, residual, in_place;
    enum filling filling;
} product;

static float *pack_all(const sx_kernels *kernels, const guarded *weights, size_t columns, size_t depth, float scale,
                       guarded *panels)
{
    *panels = guarded_open(sx_panel_columns(kernels, columns) * depth);
    for (size_t j = 0; j < columns; j += kernels->panel_width)
        kernels->pack(weights->data + j * depth, depth, columns - j < kernels->panel_width ? columns - j : kernels->panel_width,
                      depth, scale, panels->data + j * depth);
    return panels->data;
}

/* Deepest error of a chain of depth fused or separate operations on terms whose absolute sum is `total`. */
static double chain_bound(size_t depth, double total)
{
    return ((double)depth + 2.0) * 1.2e-7 * total + ((double)depth + 1.0) * 0x1p-149;
}

static void check_product(const sx_kernels *kernels, const product *p)
{
    size_t rows = p->rows, columns = p->columns, depth = p->depth;
    guarded a = guarded_open(rows ? (rows - 1) * p->a_stride + depth : 0), weights = guarded_open(columns * depth), panels;
    guarded bias = guarded_open(columns), out = guarded_open(rows ? (rows - 1) * p->out_stride + columns : 0);
    guarded residual = guarded_open(out.count);
    fill(&a, p->filling);
    fill(&weights, RANDOM);
    fill(&bias, p->filling);
    fill(&residual, p->filling);
    for (size_t i = 0; i < out.count; i++)
        out.data[i] = p->in_place ? residual.data[i] : 12345.0f;
    sx_gemm job = {.a = a.data, .a_stride = p->a_stride, .rows = rows, .columns = columns, .depth = depth,
                   .panels = pack_all(kernels, &weights, columns, depth, 1.0f, &panels), .bias = p->bias ? bias.data : NULL,
                   .out = out.data, .out_stride = p->out_stride, .activation = p->activation};
    job.residual = !p->residual ? NULL : p->in_place ? out.data : residual.data;
    job.residual_stride = p->out_stride;
    kernels->gemm(&job);
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < columns; j++) {
            double sum = p->bias ? bias.data[j] : 0.0, total = fabs(sum),
                   more = p->residual ? residual.data[i * p->out_stride + j] : 0;
            for (size_t k = 0; k < depth; k++) {
                double term = (double)a.data[i * p->a_stride + k] * weights.data[j * depth + k];
                sum += term;
                total += fabs(term);
            }
            double expected = p->activation == SX_ACTIVATION_GELU        ? gelu_exact(sum)
                              : p->activation == SX_ACTIVATION_GELU_TANH ? gelu_tanh_exact(sum)
                              : p->activation == SX_ACTIVATION_RELU      ? fmax(sum, 0.0)
                                                                         : sum;
            /* no activation is steeper than 1.2 */
            double bound = 1.2 * chain_bound(depth, total) + 3e-7 * fabs(sum) + 2e-7 * (fabs(more) + fabs(expected));
            check_error(kernels, "product", i * columns + j, expected + more, out.data[i * p->out_stride + j], bound);
        }
        for (size_t j = columns; j < p->out_stride && i + 1 < rows; j++)
            assert_true(out.data[i * p->out_stride + j] == (p->in_place ? residual.data[i * p->out_stride + j] : 12345.0f));
    }
    /* the same bits for a row alone, and for columns from a panel's edge on */
    guarded alone = guarded_open(columns);
    for (size_t i = 0; i < rows && !p->in_place; i += 1 + rows / 5) {
        sx_gemm one = job;
        one.a += i * p->a_stride;
        one.rows = 1;
        one.out = alone.data;
        if (one.residual)
            one.residual += i * p->out_stride;
        kernels->gemm(&one);
        assert_memory_equal(alone.data, out.data + i * p->out_stride, columns * sizeof(float));
        if (columns > kernels->panel_width) {
            size_t skip = kernels->panel_width;
            one.panels += skip * depth;
            one.bias = one.bias ? one.bias + skip : NULL;
            one.residual = one.residual ? one.residual + skip : NULL;
            one.columns -= skip;
            memset(alone.data, 0, columns * sizeof(float));
            kernels->gemm(&one);
            assert_memory_equal(alone.data, out.data + i * p->out_stride + skip, one.columns * sizeof(float));
        }
    }
    guarded_close(&alone);
    guarded_close(&a);
    guarded_close(&weights);
    guarded_close(&panels);
    guarded_close(&bias);
    guarded_close(&out);
    guarded_close(&residual);
}

static void check_products(const sx_kernels *kernels)
{
    for (size_t size = 0; size <= 70; size++) { /* each dimension through all small sizes */
        check_product(kernels, &(product){.rows = size, .columns = 33, .depth = 17, .a_stride = 17, .out_stride = 33});
        check_product(kernels, &(product){.rows = 5, .columns = size, .depth = 16, .a_stride = 19, .out_stride = size + 3,
                                          .bias = true});
        check_product(kernels, &(product){.rows = 15, .columns = 31, .depth = size, .a_stride = size, .out_stride = 31,
                                          .residual = true});
    }
    for (int i = 0; i < 250; i++) {
        product p = {.rows = random_below(240), .columns = random_below(200), .depth = random_below(200),
                     .activation = (sx_activation)random_below(4), .bias = random_below(2), .residual = random_below(2),
                     .filling = (enum filling)random_below(FILLINGS)};
        p.in_place = p.residual && random_below(2);
        p.a_stride = p.depth + random_below(20);
        p.out_stride = p.columns + random_below(20);
        if (p.filling == LARGE)
            p.activation = SX_ACTIVATION_NONE;
        check_product(kernels, &p);
    }
}

static void test_products(void **state)
{
    for_each_level(check_products);
}

static void check_pack(const sx_kernels *kernels)
{
    for (size_t depth = 0; depth < 50; depth++) {
        for (size_t count = 1; count <= kernels->panel_width; count += 1 + random_below(4)) {
            guarded rows = guarded_open(count * depth), panel = guarded_open(kernels->panel_width * depth);
            fill(&rows, RANDOM);
            kernels->pack(rows.data, depth, count, depth, 0.3f, panel.data);
            for (size_t k = 0; k < depth; k++)
                for (size_t j = 0; j < kernels->panel_width; j++)
                    assert_true(panel.data[k * kernels->panel_width + j] == (j < count ? rows.data[j * depth + k] * 0.3f : 0.0f));
            guarded_close(&rows);
            guarded_close(&panel);
        }
    }
}

static void test_pack(void **state)
{
    for_each_level(check_pack);
}

/* ---- Attention ---- */

static void check_attention(const sx_kernels *kernels, size_t queries, size_t keys, size_t head_size, size_t stride,
                            enum filling filling)
{
    /* q, k and v interleaved as the encoder has them, the last value at the guard */
    guarded mixed = guarded_open((keys - 1) * stride + 3 * head_size), out = guarded_open(queries * head_size);
    guarded scratch = guarded_open(sx_attention_scratch(kernels, keys, head_size));
    fill(&mixed, filling);
    const float *q = mixed.data, *k = q + head_size, *v = k + head_size;
    sx_attention job = {.q = q, .k = k, .v = v, .stride = stride, .queries = queries, .keys = keys, .head_size = head_size,
                        .before = SIZE_MAX, .after = SIZE_MAX, .out = out.data, .out_stride = head_size, .scratch = scratch.data};
    double *scores = calloc(keys, sizeof *scores);
    assert_non_null(scores);
    kernels->attention(&job);
    for (size_t i = 0; i < queries; i++) {
        double largest = -INFINITY, sum = 0.0, steepest = 0.0;
        for (size_t j = 0; j < keys; j++) {
            double total = 0.0;
            scores[j] = 0.0;
            for (size_t c = 0; c < head_size; c++) {
                double term = (double)q[i * stride + c] * k[j * stride + c];
                scores[j] += term;
                total += fabs(term);
            }
            largest = fmax(largest, scores[j]);
            steepest = fmax(steepest, chain_bound(head_size, total) + 2e-7 * total);
        }
        for (size_t j = 0; j < keys; j++)
            sum += scores[j] = exp(scores[j] - largest);
        for (size_t c = 0; c < head_size; c++) {
            double expected = 0.0, total = 0.0;
            for (size_t j = 0; j < keys; j++) {
                expected += scores[j] / sum * v[j * stride + c];
                total += scores[j] / sum * fabs(v[j * stride + c]);
            }
            check_error(kernels, "attention", i, expected, out.data[i * head_size + c],
                        total * (2.1 * expm1(steepest) + 1.2e-7 * (2.0 * (double)keys + 8.0)) + 0x1p-140);
        }
    }
    /* one query alone: the same bits */
    guarded alone = guarded_open(head_size);
    sx_attention one = job;
    size_t chosen = random_below(queries);
    one.q += chosen * stride;
    one.queries = 1;
    one.out = alone.data;
    kernels->attention(&one);
    assert_memory_equal(alone.data, out.data + chosen * head_size, head_size * sizeof(float));
    free(scores);
    guarded_close(&alone);
    guarded_close(&mixed);
    guarded_close(&out);
    guarded_close(&scratch);
}

static void check_attentions(const sx_kernels *kernels)
{
    static const enum filling fillings[] = {RANDOM, TINY, ZEROS};
    for (size_t size = 1; size <= 70; size++)
        check_attention(kernels, size, size, 32, 96, RANDOM);
    for (int i = 0; i < 80; i++) {
        size_t keys = 1 + random_below(200), head_size = 1 + random_below(130);
        check_attention(kernels, 1 + random_below(keys), keys, head_size, 3 * head_size + random_below(9),
                        fillings[random_below(3)]);
    }
}

static void test_attention(void **state)
{
    for_each_level(check_attentions);
}

/* Scores far apart must not overflow, and the largest must win. */
static void check_far_scores(const sx_kernels *kernels)
{
    float data[3 * 3] = {1e4f, -1e4f, 1.0f, 1e4f, 0.0f, 2.0f, 1e4f, 3.0f, 4.0f}, out[3];
    size_t floats = sx_attention_scratch(kernels, 3, 1);
    float *scratch = calloc(floats, sizeof *scratch);
    assert_non_null(scratch);
    sx_attention job = {.q = data, .k = data + 1, .v = data + 2, .stride = 3, .queries = 3, .keys = 3, .head_size = 1,
                        .before = SIZE_MAX, .after = SIZE_MAX, .out = out, .out_stride = 1, .scratch = scratch};
    kernels->attention(&job);
    for (int i = 0; i < 3; i++)
        assert_true(out[i] == 4.0f);
    free(scratch);
}

static void test_far_scores(void **state)
{
    for_each_level(check_far_scores);
}

/* ---- Rows ---- */

static void check_rows(const sx_kernels *kernels)
{
    for (size_t width = 1; width <= 200; width++) {
        enum filling filling = (enum filling)(width % FILLINGS);
        size_t stride = width + random_below(9), rows = 1 + random_below(6);
        guarded data = guarded_open((rows - 1) * stride + width), weight = guarded_open(width), bias = guarded_open(width);
        fill(&data, filling == TINY ? RANDOM : filling);
        fill(&weight, RANDOM);
        fill(&bias, RANDOM);
        float *before = malloc(data.count * sizeof *before), *alone = malloc(width * sizeof *alone);
        assert_non_null(before);
        assert_non_null(alone);
        memcpy(before, data.data, data.count * sizeof *before);
        sx_norm_job job = {.in = data.data, .in_stride = stride, .out = data.data, .out_stride = stride, .rows = rows,
                           .width = width, .weight = weight.data, .bias = width % 2 ? bias.data : NULL, .epsilon = 1e-5f};
        kernels->norm(&job);
        for (size_t i = 0; i < rows; i++) {
            double mean = 0.0, variance = 0.0, largest = 0.0;
            for (size_t j = 0; j < width; j++) {
                mean += before[i * stride + j] / (double)width;
                largest = fmax(largest, fabs(before[i * stride + j]));
            }
            for (size_t j = 0; j < width; j++)
                variance += (before[i * stride + j] - mean) * (before[i * stride + j] - mean) / (double)width;
            double deviation = sqrt(variance + 1e-5), step = 1e-6 * (1.0 + largest / deviation);
            for (size_t j = 0; j < width; j++) {
                double scaled = (before[i * stride + j] - mean) / deviation;
                double expected = scaled * weight.data[j] + (width % 2 ? bias.data[j] : 0.0);
                check_error(kernels, "layer norm", j, expected, data.data[i * stride + j],
                            step * fabs(weight.data[j]) * (1.0 + fabs(scaled)) + 1e-6);
            }
            memcpy(alone, before + i * stride, width * sizeof *alone);
            job.in = job.out = alone;
            job.rows = 1;
            kernels->norm(&job);
            assert_memory_equal(alone, data.data + i * stride, width * sizeof *alone);
        }
        free(before);
        free(alone);
        guarded_close(&data);
        guarded_close(&weight);
        guarded_close(&bias);
    }
}

static void test_layer_norm(void **state)
{
    for_each_level(check_rows);
}

static void check_dots(const sx_kernels *kernels)
{
    for (size_t width = 0; width <= 200; width++) {
        size_t stride = width + random_below(9), rows = random_below(12);
        guarded query = guarded_open(width), data = guarded_open(rows ? (rows - 1) * stride + width : 0),
                out = guarded_open(rows);
        fill(&query, RANDOM);
        fill(&data, (enum filling)(width % FILLINGS));
        kernels->dot_rows(query.data, data.data, rows, width, stride, out.data);
        for (size_t i = 0; i < rows; i++) {
            double sum = 0.0, total = 0.0;
            for (size_t j = 0; j < width; j++) {
                double term = (double)query.data[j] * data.data[i * stride + j];
                sum += term;
                total += fabs(term);
            }
            float alone;
            kernels->dot_rows(query.data, data.data + i * stride, 1, width, stride, &alone);
            assert_memory_equal(&alone, &out.data[i], sizeof alone);
            check_error(kernels, "dot", i, sum, alone, chain_bound(width, total));
        }
        guarded_close(&query);
        guarded_close(&data);
        guarded_close(&out);
    }
}

static void test_dots(void **state)
{
    for_each_level(check_dots);
}

static void check_columns(const sx_kernels *kernels)
{
    for (size_t width = 0; width <= 100; width++) {
        guarded x = guarded_open(width), out = guarded_open(width);
        fill(&x, MIXED);
        fill(&out, MIXED);
        float before[101];
        memcpy(before, out.data, width * sizeof *before);
        kernels->add_scaled(x.data, 3.0f, out.data, width);
        for (size_t j = 0; j < width; j++)
            check_error(kernels, "add", j, before[j] + 3.0 * x.data[j], out.data[j],
                        2e-7 * (fabs(before[j]) + 3.0 * fabs(x.data[j])));
        memcpy(out.data, before, width * sizeof *before);
        if (width > 2) {
            x.data[0] = NAN;
            out.data[1] = NAN;
        }
        kernels->maximum(x.data, out.data, width);
        for (size_t j = 0; j < width; j++)
            assert_true(width > 2 && j < 2 ? isnan(out.data[j]) : out.data[j] == fmaxf(before[j], x.data[j]));
        guarded_close(&x);
        guarded_close(&out);
    }
}

static void test_columns(void **state)
{
    for_each_level(check_columns);
}

/* ---- Choosing ---- */

static void test_choice(void **state)
{
    uint64_t here = sx_cpu_detect();
    assert_true(here & SX_CPU_C);
    assert_string_equal(sx_kernels_for(SX_CPU_C)->name, "c");
    assert_ptr_equal(sx_kernels_for(0), sx_kernels_for(here));
    assert_ptr_equal(sx_kernels_for(UINT64_MAX), sx_kernels_for(here));
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        assert_int_equal(sx_kernels_for(levels[i])->cpu, here & levels[i] ? levels[i] : SX_CPU_C);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice),      cmocka_unit_test(test_functions),  cmocka_unit_test(test_conversions),
        cmocka_unit_test(test_pack),        cmocka_unit_test(test_products),   cmocka_unit_test(test_attention),
        cmocka_unit_test(test_far_scores),  cmocka_unit_test(test_layer_norm), cmocka_unit_test(test_dots),
        cmocka_unit_test(test_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
