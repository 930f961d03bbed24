/* test_kernels.c - elementary functions, conversions, products and sums of every instruction set, against double arithmetic.
 *
 * kernel_test.h says how; attention and what works on rows have files of their own.
 */
#include "kernel_test.h"

/* ---- Elementary functions ---- */

/* Relative errors, but for what the GELUs lose in their left tail; what falls below the normal floats is lost in e^x already, and
 * SiLU multiplies that by x. */
static double activation_bound(sx_activation activation, double x, double expected)
{
    switch (activation) {
    case SX_ACTIVATION_GELU:
    case SX_ACTIVATION_GELU_TANH:
        return 1.5e-7 * fmin(fabs(x), 8.0) + 1.0e-7 * fabs(expected) + 0x1p-149;
    case SX_ACTIVATION_SILU:
        return 3.0e-7 * fabs(expected) + 0x1p-149 * fmin(fabs(x) + 1.0, 128.0);
    case SX_ACTIVATION_TANH:
    case SX_ACTIVATION_SIGMOID:
        return 3.0e-7 * fabs(expected) + 0x1p-149;
    case SX_ACTIVATION_NONE:
    case SX_ACTIVATION_RELU:
        break;
    }
    return 0.0;
}

enum { EXP = -1 }; /* beside the activations */

static void check_values(const sx_kernels *kernels, int function, const uint32_t *words, size_t count)
{
    enum { MOST = 4099 };
    static float x[MOST], out[MOST];
    assert_true(count <= MOST);
    memcpy(x, words, count * sizeof *x);
    if (function == EXP)
        kernels->exp(x, out, count);
    else
        kernels->activate((sx_activation)function, x, out, count);
    for (size_t i = 0; i < count; i++) {
        double v = x[i], expected, bound;
        if (isnan(x[i])) {
            assert_true(isnan(out[i]));
            continue;
        }
        if (function == EXP) {
            expected = exp(v);
            bound = 2.0e-7 * expected + 0x1p-149;
        } else {
            expected = exact_activation((sx_activation)function, v);
            bound = activation_bound((sx_activation)function, v, expected);
        }
        bool right = fabs(expected) > FLT_MAX ? fabsf(out[i]) > 3.4e38f && !signbit(out[i]) == !signbit(expected)
                                              : fabs(expected - out[i]) <= bound;
        if (!right)
            fail_msg("%s: function %d of %.9g: %.9g expected, %.9g found", kernels->name, function, v, expected, out[i]);
    }
}

/* Every 499th float of all there are, in vectors of odd size; zeros, infinities and what is next to each power of two. */
static void check_all_floats(const sx_kernels *kernels, int function)
{
    enum { COUNT = 4099, STEP = 499 };
    static uint32_t words[COUNT];
    size_t count = 0;
    for (uint32_t sign_and_exponent = 0; sign_and_exponent < 512; sign_and_exponent++) {
        words[count++] = sign_and_exponent << 23;
        words[count++] = sign_and_exponent << 23 | 1;
        words[count++] = sign_and_exponent << 23 | 0x7fffff;
    }
    check_values(kernels, function, words, count);
    for (uint64_t bits = 0; bits <= UINT32_MAX;) {
        for (count = 0; count < COUNT && bits <= UINT32_MAX; bits += STEP)
            words[count++] = (uint32_t)bits;
        check_values(kernels, function, words, count);
    }
}

static void check_functions(const sx_kernels *kernels)
{
    for (int function = EXP; function <= SX_ACTIVATION_SIGMOID; function++)
        check_all_floats(kernels, function);
    for (size_t count = 0; count <= 100; count++) {
        guarded x = guarded_open(count), out = guarded_open(count);
        fill(&x, RANDOM);
        for (int activation = SX_ACTIVATION_NONE; activation <= SX_ACTIVATION_SIGMOID; activation++) {
            kernels->activate((sx_activation)activation, x.data, out.data, count);
            for (size_t i = 0; i < count; i++) {
                double v = x.data[i], expected = exact_activation((sx_activation)activation, v);
                check_error(kernels, "activation", i, expected, out.data[i],
                            activation_bound((sx_activation)activation, v, expected));
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

typedef void to_half_function(const float *x, void *out, size_t count);

/* Between each two neighbours: what is nearer, to even in the middle. infinite: the half that is infinity. */
static void check_rounding(to_half_function *to_half, void (*from_half)(const void *x, float *out, size_t count), uint32_t infinite)
{
    for (uint32_t low = 0; low < infinite; low++) {
        uint16_t pair[2] = {(uint16_t)low, (uint16_t)(low + 1)}, found[10];
        float ends[2];
        from_half(pair, ends, 2);
        if (low + 1 == infinite) /* where the next would lie */
            ends[1] = infinite == 0x7c00 ? 65536.0f : INFINITY;
        float middle = (float)(((double)ends[0] + (isinf(ends[1]) ? 0x1p128 : (double)ends[1])) / 2);
        float x[10] = {ends[0], ends[1], middle, nextafterf(middle, 0.0f), nextafterf(middle, INFINITY)};
        uint16_t even = (uint16_t)(low + (low & 1));
        uint16_t expected[5] = {pair[0], pair[1], even, pair[0], pair[1]};
        for (int i = 0; i < 5; i++)
            x[5 + i] = -x[i];
        to_half(x, found, 10);
        for (int i = 0; i < 5; i++) {
            assert_int_equal(found[i], expected[i]);
            assert_int_equal(found[5 + i], expected[i] | 0x8000);
        }
    }
    float odd[4] = {NAN, -NAN, INFINITY, -INFINITY}, back[4];
    uint16_t held[4];
    to_half(odd, held, 4);
    from_half(held, back, 4);
    assert_true(isnan(back[0]) && isnan(back[1]) && back[2] == INFINITY && back[3] == -INFINITY);
}

static void check_halves_made(const sx_kernels *kernels)
{
    check_rounding(kernels->to_f16, kernels->from_f16, 0x7c00);
    check_rounding(kernels->to_bf16, kernels->from_bf16, 0x7f80);
    for (size_t count = 0; count <= 70; count++) {
        guarded halves = guarded_open((count + 1) / 2), floats = guarded_open(count);
        unsigned char *end = (unsigned char *)(halves.data + halves.count) - 2 * count;
        for (size_t i = 0; i < count; i++)
            floats.data[i] = 1.0f;
        kernels->to_f16(floats.data, end, count);
        for (size_t i = 0; i < count; i++)
            assert_true(end[2 * i] == 0 && end[2 * i + 1] == 0x3c);
        kernels->to_bf16(floats.data, end, count);
        for (size_t i = 0; i < count; i++)
            assert_true(end[2 * i] == 0x80 && end[2 * i + 1] == 0x3f);
        munmap(halves.map, halves.map_bytes);
        guarded_close(&floats);
    }
}

static void test_conversions(void **state)
{
    for_each_level(check_conversions);
    for_each_level(check_halves_made);
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
            double expected = exact_activation(p->activation, sum);
            /* no activation is steeper than 1.2 */
            double bound = 1.2 * chain_bound(depth, total) + 3e-7 * (fabs(sum) + fabs(expected)) + 2e-7 * fabs(more);
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
            one.panels = (const float *)one.panels + skip * depth;
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

/* Panels of halves: the bits of float panels that hold the same, rounded, weights. */
static void check_half_panels(const sx_kernels *kernels, sx_panel_format format, size_t rows, size_t columns, size_t depth)
{
    size_t stride = depth + 3, held = sx_panel_columns(kernels, columns) * depth;
    guarded a = guarded_open(rows * stride), weights = guarded_open(columns * depth), bias = guarded_open(columns), panels;
    guarded expected = guarded_open(rows * columns), out = guarded_open(rows * columns), halves = guarded_open(held / 2);
    fill(&a, RANDOM);
    fill(&weights, depth % 3 ? RANDOM : MIXED);
    fill(&bias, RANDOM);
    pack_all(kernels, &weights, columns, depth, 1.0f, &panels);
    unsigned char *packed = (unsigned char *)halves.data; /* panels are of even width, so this ends at the guard */
    (format == SX_PANEL_F16 ? kernels->to_f16 : kernels->to_bf16)(panels.data, packed, held);
    (format == SX_PANEL_F16 ? kernels->from_f16 : kernels->from_bf16)(packed, panels.data, held);
    sx_gemm job = {.a = a.data, .a_stride = stride, .rows = rows, .columns = columns, .depth = depth, .panels = panels.data,
                   .bias = bias.data, .out = expected.data, .out_stride = columns, .activation = SX_ACTIVATION_GELU};
    kernels->gemm(&job);
    job.panels = packed;
    job.format = format;
    job.out = out.data;
    kernels->gemm(&job);
    assert_memory_equal(expected.data, out.data, rows * columns * sizeof(float));
    guarded *const all[] = {&a, &weights, &bias, &panels, &expected, &out};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        guarded_close(all[i]);
    guarded_close(&halves);
}

static void check_halves(const sx_kernels *kernels)
{
    for (int format = SX_PANEL_F16; format < SX_PANEL_FORMATS; format++) {
        for (size_t size = 1; size <= 70; size++) {
            check_half_panels(kernels, (sx_panel_format)format, size, 33, 17);
            check_half_panels(kernels, (sx_panel_format)format, 5, size, 16);
            check_half_panels(kernels, (sx_panel_format)format, 15, 31, size);
        }
        check_half_panels(kernels, (sx_panel_format)format, 120, 96, 300);
    }
}

static void test_halves(void **state)
{
    for_each_level(check_halves);
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
                     .activation = (sx_activation)random_below(SX_ACTIVATION_SIGMOID + 1), .bias = random_below(2),
                     .residual = random_below(2), .filling = (enum filling)random_below(FILLINGS)};
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

/* ---- Sums ---- */

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
        memcpy(out.data, before, width * sizeof *before);
        for (size_t j = 0; j < width; j++)
            out.data[j] = fabsf(out.data[j]);
        if (width > 2)
            out.data[1] = NAN;
        kernels->largest(x.data, out.data, width);
        for (size_t j = 0; j < width; j++)
            assert_true(width > 2 && j < 2 ? isnan(out.data[j]) : out.data[j] == fmaxf(fabsf(before[j]), fabsf(x.data[j])));
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
        cmocka_unit_test(test_choice), cmocka_unit_test(test_functions), cmocka_unit_test(test_conversions),
        cmocka_unit_test(test_pack),   cmocka_unit_test(test_products),  cmocka_unit_test(test_halves), cmocka_unit_test(test_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
