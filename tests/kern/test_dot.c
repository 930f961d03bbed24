/* test_dot.c - dot products of queries with rows of floats, halves and codes, of every instruction set, against double arithmetic
 * and, for codes, against exact integers.
 *
 * kernel_test.h says how.
 */
#include "kern/dot.h"
#include "kernel_test.h"

enum { MOST_QUERIES = 19 }; /* beyond the groups that kernels take together */

static const uint64_t dot_levels[] = {SX_CPU_C, SX_CPU_AVX2, SX_CPU_AVX512, SX_CPU_AVX512 | SX_CPU_AVX512_VNNI,
                                      SX_CPU_NEON};

static void for_each_dot_level(void (*test)(const sx_dot_kernels *))
{
    for (size_t i = 0; i < sizeof dot_levels / sizeof *dot_levels; i++) {
        const sx_dot_kernels *kernels = sx_dot_kernels_for(dot_levels[i]);
        if (!(kernels->cpu & dot_levels[i])) {
            print_message("not on this machine: instruction set %#llx\n", (unsigned long long)dot_levels[i]);
            continue;
        }
        random_state = 1;
        test(kernels);
    }
}

/* ---- Floats and halves ---- */

/* Exact: bits of a half as its definition has them. */
static double double_of_half(uint16_t bits)
{
    int exponent = bits >> 10 & 31;
    double fraction = bits & 0x3ff;
    double x = exponent ? ldexp(1024.0 + fraction, exponent - 25) : ldexp(fraction, -24);
    return bits & 0x8000 ? -x : x;
}

static uint16_t random_half(void)
{
    uint16_t bits = (uint16_t)random_bits();
    return (bits & 0x7c00) == 0x7c00 ? bits & 0x83ff : bits; /* finite */
}

static void check_floats(const sx_dot_kernels *kernels, size_t width, bool half)
{
    size_t stride = width + random_below(9), rows = random_below(12), queries = 1 + random_below(MOST_QUERIES);
    size_t query_stride = width + random_below(5), out_stride = rows + random_below(3);
    size_t values = rows ? (rows - 1) * stride + width : 0;
    guarded query = guarded_open((queries - 1) * query_stride + width), out = guarded_open((queries - 1) * out_stride + rows);
    guarded data = guarded_open(half ? (values + 1) / 2 : values);
    uint16_t *halves = (uint16_t *)(void *)data.data + values % 2; /* ends where the page does */
    fill(&query, RANDOM);
    fill(&data, (enum filling)(width % FILLINGS));
    for (size_t i = 0; half && i < values; i++)
        halves[i] = random_half();
    sx_dot_job job = {.queries = query.data, .query_count = queries, .query_stride = query_stride,
                      .rows = half ? (void *)halves : data.data, .count = rows, .stride = stride, .dimensions = width,
                      .out = out.data, .out_stride = out_stride};
    for (size_t i = 0; i < out.count; i++)
        out.data[i] = 12345.0f;
    (half ? kernels->f16 : kernels->f32)(&job);
    for (size_t q = 0; q < queries; q++)
        for (size_t i = 0; i < rows; i++) {
            double sum = 0.0, total = 0.0;
            for (size_t j = 0; j < width; j++) {
                double x = half ? double_of_half(halves[i * stride + j]) : data.data[i * stride + j];
                double term = query.data[q * query_stride + j] * x;
                sum += term;
                total += fabs(term);
            }
            float alone;
            sx_dot_job one = job;
            one.queries += q * query_stride;
            one.query_count = one.count = 1;
            one.rows = half ? (void *)(halves + i * stride) : data.data + i * stride;
            one.out = &alone;
            (half ? kernels->f16 : kernels->f32)(&one);
            assert_memory_equal(&alone, &out.data[q * out_stride + i], sizeof alone);
            if (!(fabs(sum - alone) <= chain_bound(width, total)))
                fail_msg("%s: dot of %zu: %.9g expected, %.9g found", kernels->name, width, sum, (double)alone);
        }
    for (size_t q = 0; q + 1 < queries; q++)
        for (size_t i = rows; i < out_stride; i++)
            assert_true(out.data[q * out_stride + i] == 12345.0f);
    guarded_close(&query);
    guarded_close(&data);
    guarded_close(&out);
}

static void check_all_floats(const sx_dot_kernels *kernels)
{
    static const size_t more[] = {256, 384, 513, 768, 1024, 4096};
    for (int half = 0; half < 2; half++) {
        for (size_t width = 0; width <= 200; width++)
            for (int round = 0; round < 3; round++)
                check_floats(kernels, width, half);
        for (size_t i = 0; i < sizeof more / sizeof *more; i++)
            check_floats(kernels, more[i], half);
    }
}

static void test_floats(void **state)
{
    for_each_dot_level(check_all_floats);
}

/* ---- Codes ---- */

enum query_kind { USUAL, EQUAL_LARGEST, EQUAL_SMALLEST, ONE_SPIKE, NOTHING, SUBNORMAL, QUERY_KINDS };

static void fill_query(float *query, size_t width, enum query_kind kind)
{
    for (size_t k = 0; k < width; k++)
        query[k] = kind == EQUAL_LARGEST    ? FLT_MAX
                   : kind == EQUAL_SMALLEST ? -1.0f
                   : kind == NOTHING        ? 0.0f
                   : kind == SUBNORMAL      ? ldexpf(random_float(), -140)
                                            : random_float();
    if (kind == ONE_SPIKE && width)
        query[random_below(width)] = 1e9f;
}

static void check_codes(const sx_dot_kernels *kernels, size_t width, enum query_kind kind)
{
    size_t stride = width + random_below(70), rows = random_below(12), queries = 1 + random_below(MOST_QUERIES);
    size_t query_size = sx_code_query_size(width), out_stride = rows + random_below(3);
    size_t bytes = rows ? (rows - 1) * stride + width : 0;
    guarded query = guarded_open(width), made = guarded_open(queries * query_size / 2), data = guarded_open((bytes + 3) / 4);
    guarded out = guarded_open((queries - 1) * out_stride + rows);
    uint8_t *codes = (uint8_t *)data.data + (4 - bytes % 4) % 4;
    int16_t *numbers = (int16_t *)(void *)made.data;
    unsigned extreme = random_below(4);
    for (size_t i = 0; i < bytes; i++)
        codes[i] = extreme == 0 ? 0 : extreme == 1 ? 255 : (uint8_t)random_bits();
    for (size_t q = 0; q < queries; q++) {
        int16_t *one = numbers + q * query_size;
        fill_query(query.data, width, kind);
        double scale = sx_code_query_make(query.data, width, one);
        for (size_t k = 0; k < width; k++) /* each within half a step, if only just */
            assert_true(fabs(query.data[k] - one[k] * scale) <= 0.5000001 * scale);
        const int8_t *digits = (const int8_t *)(one + query_size / 2);
        for (size_t k = 0; k < query_size / 2; k++) {
            assert_int_equal(one[k], 256 * digits[k] + digits[query_size / 2 + k]);
            assert_true(k < width || one[k] == 0);
        }
    }
    int32_t *sums = (int32_t *)(void *)out.data;
    kernels->codes(&(sx_code_job){.queries = numbers, .query_count = queries, .rows = codes, .count = rows, .stride = stride,
                                  .dimensions = width, .out = sums, .out_stride = out_stride});
    for (size_t q = 0; q < queries; q++)
        for (size_t i = 0; i < rows; i++) {
            int64_t sum = 0;
            for (size_t k = 0; k < width; k++)
                sum += (int64_t)numbers[q * query_size + k] * (codes[i * stride + k] - 128);
            assert_true(sum >= INT32_MIN && sum <= INT32_MAX); /* what sx_code_query_make promises */
            assert_int_equal(sums[q * out_stride + i], sum);
        }
    guarded_close(&query);
    guarded_close(&made);
    guarded_close(&data);
    guarded_close(&out);
}

static void check_all_codes(const sx_dot_kernels *kernels)
{
    static const size_t more[] = {256, 384, 513, 768, 1024, 4096, 65536};
    for (size_t width = 0; width <= 200; width++)
        for (int kind = 0; kind < QUERY_KINDS; kind++)
            check_codes(kernels, width, (enum query_kind)kind);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        for (int kind = 0; kind < QUERY_KINDS; kind++)
            check_codes(kernels, more[i], (enum query_kind)kind);
}

static void test_codes(void **state)
{
    for_each_dot_level(check_all_codes);
}

/* ---- Bytes ---- */

enum { MOST_BYTE_ROWS = 13 };

static void check_bytes(const sx_dot_kernels *kernels, size_t width)
{
    size_t padded = sx_code_dimensions(width), count = random_below(MOST_BYTE_ROWS);
    guarded query = guarded_open(padded / 4), out = guarded_open(count), rows[MOST_BYTE_ROWS];
    const uint8_t *places[MOST_BYTE_ROWS];
    int8_t *numbers = (int8_t *)query.data;
    unsigned extreme = random_below(4);
    for (size_t k = 0; k < padded; k++)
        numbers[k] = (int8_t)(k >= width ? 0 : extreme == 0 ? 127 : extreme == 1 ? -127 : (int)random_below(255) - 127);
    for (size_t i = 0; i < count; i++) {
        rows[i] = guarded_open(padded / 4);
        uint8_t *codes = (uint8_t *)rows[i].data;
        unsigned kind = random_below(4);
        for (size_t k = 0; k < padded; k++)
            codes[k] = (uint8_t)(kind == 0 ? 1 : kind == 1 ? 255 : 1 + random_below(255));
        places[i] = codes;
    }
    int32_t *sums = (int32_t *)(void *)out.data;
    kernels->bytes(&(sx_byte_job){.query = numbers, .rows = places, .count = count, .dimensions = width, .out = sums});
    for (size_t i = 0; i < count; i++) {
        int64_t sum = 0;
        for (size_t k = 0; k < width; k++)
            sum += numbers[k] * (places[i][k] - 128);
        assert_int_equal(sums[i], sum);
        guarded_close(&rows[i]);
    }
    guarded_close(&query);
    guarded_close(&out);
}

static void check_all_bytes(const sx_dot_kernels *kernels)
{
    static const size_t more[] = {256, 384, 513, 768, 1024, 4096, 65536};
    for (size_t width = 1; width <= 200; width++)
        for (int round = 0; round < 5; round++)
            check_bytes(kernels, width);
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        for (int round = 0; round < 10; round++)
            check_bytes(kernels, more[i]);
}

static void test_bytes(void **state)
{
    for_each_dot_level(check_all_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
