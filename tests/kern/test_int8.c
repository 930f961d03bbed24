/* test_int8.c - the 8-bit kernels of every instruction set: exactly the reference's bits, whatever the sizes, tiles and neighbours. */
#include "int8_tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static uint64_t seed = 88172645463325252u;

static float noise(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (float)((double)(int64_t)seed / 9.2e18);
}

/* Memory whose end is the end of a page, with a page behind it that must not be touched. */
typedef struct guarded {
    void *base, *data;
    size_t mapped;
} guarded;

static guarded guard(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (bytes + page - 1) / page * page;
    guarded g = {.mapped = size + page};
    g.base = mmap(NULL, g.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g.base != MAP_FAILED);
    assert_int_equal(mprotect((char *)g.base + size, page, PROT_NONE), 0);
    g.data = (char *)g.base + size - bytes;
    return g;
}

static void unguard(guarded *g)
{
    munmap(g->base, g->mapped);
}

typedef struct product {
    size_t rows, columns, depth;
    float *a, *b, *factors, *bias, *residual;
    sx_activation activation;
} product;

static float *fill(size_t count, float size)
{
    float *data = malloc((count + 1) * sizeof *data);
    assert_non_null(data);
    for (size_t i = 0; i < count; i++)
        data[i] = noise() * size;
    return data;
}

/* The whole way with one table; out: rows x columns. */
static void multiply_with(const sx_int8_kernels *kernels, const product *p, size_t first, size_t rows, float *out)
{
    size_t width = kernels->panel_width, panels = (p->columns + width - 1) / width;
    size_t row_bytes = sx_int8_row_bytes(kernels, p->depth), panel_bytes = sx_int8_panel_bytes(kernels, p->depth);
    guarded a = guard(rows * row_bytes), b = guard(panels * panel_bytes);
    float *scales = calloc(panels * width, sizeof *scales), *row_scales = calloc(rows, sizeof *row_scales);
    int32_t *sums = calloc(panels * width, sizeof *sums), *zeros = calloc(rows, sizeof *zeros);
    assert_true(scales && row_scales && sums && zeros);
    for (size_t i = 0; i < panels; i++) {
        size_t count = p->columns - i * width < width ? p->columns - i * width : width;
        kernels->pack(p->b + i * width * p->depth, p->depth, count, p->depth, p->factors, (char *)b.data + i * panel_bytes,
                      scales + i * width, sums + i * width);
    }
    kernels->quantize(p->a + first * p->depth, p->depth, rows, p->depth, p->factors, a.data, row_bytes, row_scales, zeros);
    sx_int8_gemm job = {.a = a.data, .a_stride = row_bytes, .a_scales = row_scales, .a_zeros = zeros, .rows = rows,
                        .columns = p->columns, .depth = p->depth, .panels = b.data, .b_scales = scales, .b_sums = sums,
                        .bias = p->bias, .residual = p->residual ? p->residual + first * p->columns : NULL,
                        .residual_stride = p->columns, .out = out, .out_stride = p->columns, .activation = p->activation,
                        .kernels = sx_kernels_for(SX_CPU_C)};
    kernels->gemm(&job);
    unguard(&a);
    unguard(&b);
    free(scales);
    free(row_scales);
    free(sums);
    free(zeros);
}

static void check(const sx_int8_kernels *kernels, size_t rows, size_t columns, size_t depth, int kind)
{
    product p = {.rows = rows, .columns = columns, .depth = depth};
    p.a = fill(rows * depth, 3.0f);
    p.b = fill(columns * depth, 0.2f);
    p.factors = kind & 1 ? fill(depth, 0.4f) : NULL;
    for (size_t k = 0; p.factors && k < depth; k++)
        p.factors[k] += 1.0f;
    p.bias = kind & 2 ? fill(columns, 1.0f) : NULL;
    p.residual = kind & 4 ? fill(rows * columns, 1.0f) : NULL;
    p.activation = kind & 8 ? SX_ACTIVATION_GELU : SX_ACTIVATION_NONE;
    if (rows > 2)
        for (size_t k = 0; k < depth; k++)
            p.a[2 * depth + k] = 0.0f;
    guarded expected = guard(rows * columns * sizeof(float)), got = guard(rows * columns * sizeof(float));
    multiply_with(&sx_int8_kernels_c, &p, 0, rows, expected.data);
    multiply_with(kernels, &p, 0, rows, got.data);
    assert_memory_equal(expected.data, got.data, rows * columns * sizeof(float));
    if (rows > 1) { /* a row alone gives what it gives among others */
        float *alone = calloc(columns, sizeof *alone);
        assert_non_null(alone);
        multiply_with(kernels, &p, rows - 1, 1, alone);
        assert_memory_equal(alone, (float *)got.data + (rows - 1) * columns, columns * sizeof *alone);
        free(alone);
    }
    unguard(&expected);
    unguard(&got);
    free(p.a);
    free(p.b);
    free(p.factors);
    free(p.bias);
    free(p.residual);
}

static void test_same_bits(void **state)
{
    (void)state;
    for (size_t s = 0; s <= SETS; s++) {
        const sx_int8_kernels *kernels = table(s);
        if (kernels == &sx_int8_kernels_c) {
            print_message("not on this machine: %s %#x\n", s < SETS ? "instruction set" : "AVX-VNNI's other encoding, beyond",
                          (unsigned)sets[s < SETS ? s : SETS - 1]);
            continue;
        }
        int kind = 0;
        for (size_t depth = 1; depth <= 40; depth++)
            check(kernels, 1 + depth % 17, 1 + depth * 7 % 70, depth, kind++);
        for (size_t rows = 1; rows <= 31; rows++)
            check(kernels, rows, 33, 36, kind++);
        for (size_t columns = 1; columns <= 70; columns++)
            check(kernels, 3, columns, 20, kind++);
        check(kernels, 130, 384, 384, 2);
        check(kernels, 113, 96, 1536, 14);
    }
}

/* The largest sums: all activations 255, all weights 127 or -127, deep enough that 16-bit sums would overflow at once. */
static void test_largest_sums(void **state)
{
    (void)state;
    enum { DEPTH = 4096 };
    product p = {.rows = 2, .columns = 34, .depth = DEPTH};
    p.a = fill(2 * DEPTH, 1.0f);
    p.b = fill(34 * DEPTH, 1.0f);
    for (size_t i = 0; i < 2 * DEPTH; i++)
        p.a[i] = 5.0f;
    for (size_t i = 0; i < 34 * DEPTH; i++)
        p.b[i] = i / DEPTH % 2 ? -0.5f : 0.5f;
    for (size_t s = 0; s <= SETS; s++) {
        float out[2 * 34];
        multiply_with(table(s), &p, 0, 2, out);
        for (size_t j = 0; j < 2 * 34; j++)
            assert_true(fabs((double)out[j] - (j % 34 % 2 ? -0.5 : 0.5) * 5 * DEPTH) < 0.01);
    }
    free(p.a);
    free(p.b);
}

/* Against the product in double: what quantising costs is bounded by half a step of either side. */
static void test_near_the_truth(void **state)
{
    (void)state;
    enum { ROWS = 20, COLUMNS = 48, DEPTH = 384 };
    product p = {.rows = ROWS, .columns = COLUMNS, .depth = DEPTH};
    p.a = fill(ROWS * DEPTH, 2.0f);
    p.b = fill(COLUMNS * DEPTH, 0.3f);
    float *out = calloc(ROWS * COLUMNS, sizeof *out);
    assert_non_null(out);
    multiply_with(sx_int8_kernels_for(0), &p, 0, ROWS, out);
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < COLUMNS; j++) {
            double sum = 0, bound = 0;
            for (size_t k = 0; k < DEPTH; k++) {
                double x = (double)p.a[i * DEPTH + k], w = (double)p.b[j * DEPTH + k];
                sum += x * w;
                bound += fabs(w) * 4.0 / 255 * 0.51 + (fabs(x) + 0.01) * 0.3 / 127 * 0.51;
            }
            assert_true(fabs((double)out[i * COLUMNS + j] - sum) <= bound);
        }
    free(out);
    free(p.a);
    free(p.b);
}

static void test_not_finite(void **state)
{
    (void)state;
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t s = 0; s <= SETS + 1; s++) {
        const sx_int8_kernels *kernels = s <= SETS ? table(s) : &sx_int8_kernels_c;
        for (size_t place = 0; place < 21; place++) {
            product p = {.rows = 2, .columns = 5, .depth = 21, .a = fill(42, 1.0f), .b = fill(105, 1.0f)};
            float out[10];
            p.a[place] = bad[place % 3];
            multiply_with(kernels, &p, 0, 2, out);
            for (size_t j = 0; j < 5; j++) {
                assert_true(isnan(out[j]));
                assert_true(isfinite(out[5 + j]));
            }
            free(p.a);
            free(p.b);
        }
    }
}

/* Columns of zeros, of next to nothing, of one that is not finite: what each table packs of them says the same. */
static void test_odd_columns(void **state)
{
    (void)state;
    enum { COLUMNS = 6, DEPTH = 70 };
    static const float odd[COLUMNS] = {0.0f, 1e-38f, 1e-31f, INFINITY, NAN, 1e30f};
    product p = {.rows = 1, .columns = COLUMNS, .depth = DEPTH, .a = fill(DEPTH, 1.0f), .b = fill(COLUMNS * DEPTH, 0.1f)};
    for (size_t j = 0; j < COLUMNS; j++) {
        for (size_t k = 0; j < 3 && k < DEPTH; k++)
            p.b[j * DEPTH + k] = 0.0f;
        p.b[j * DEPTH + 64 + j] = odd[j];
    }
    for (size_t s = 0; s <= SETS + 1; s++) {
        float out[COLUMNS];
        multiply_with(s <= SETS ? table(s) : &sx_int8_kernels_c, &p, 0, 1, out);
        for (size_t j = 0; j < 3; j++)
            assert_true(out[j] == 0.0f);
        assert_true(isnan(out[3]) && isnan(out[4]));
        assert_true(isfinite(out[5]) && out[5] != 0.0f);
    }
    free(p.a);
    free(p.b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_largest_sums),
        cmocka_unit_test(test_near_the_truth),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_odd_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
