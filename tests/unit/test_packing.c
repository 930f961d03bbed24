/* test_packing.c - principal components against a known decomposition; packed rows: their scores, and that the best are among
 * them. */
#include "vec/packing.h"
#include "vec/exact.h"
#include "vec/packed_file.h"
#include "vec/pca.h"
#include "vec/topk.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static uint64_t seed = 11;
static double uniform(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(seed >> 11) / 9007199254740992.0 - 0.5;
}

static double normal(void)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += uniform();
    return sum;
}

/* A = V' diag V for what is found, V orthonormal, values descending: for sizes and for matrices with equal and with zero
 * values. */
static void test_eigen(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 3, 17, 64};
    for (size_t s = 0; s < 5; s++)
        for (int kind = 0; kind < 4; kind++) {
            size_t n = sizes[s];
            double *a = calloc(n * n, sizeof *a), *copy = calloc(n * n, sizeof *a), *v = calloc(n * n, sizeof *a);
            double *values = calloc(n, sizeof *values);
            for (size_t i = 0; i < n; i++)
                for (size_t j = 0; j <= i; j++)
                    a[i * n + j] = a[j * n + i] = kind == 0   ? normal()
                                                  : kind == 1 ? (i == j)
                                                  : kind == 2 ? 1.0 /* rank 1 */
                                                              : (i == j ? (double)(i % 3) : 0);
            memcpy(copy, a, n * n * sizeof *a);
            assert_int_equal(sx_symmetric_eigen(a, n, values, v, NULL), SX_OK);
            for (size_t i = 0; i < n; i++) {
                assert_true(i == 0 || values[i] <= values[i - 1]);
                for (size_t j = 0; j < n; j++) {
                    double product = 0, image = 0;
                    for (size_t k = 0; k < n; k++) {
                        product += v[i * n + k] * v[j * n + k];
                        image += copy[j * n + k] * v[i * n + k];
                    }
                    assert_true(fabs(product - (i == j)) < 1e-10);
                    assert_true(fabs(image - values[i] * v[i * n + j]) < 1e-9 * (double)n);
                }
            }
            free(a);
            free(copy);
            free(v);
            free(values);
        }
}

enum { ROWS = 4000, DIMENSIONS = 100, QUERIES = 50, K = 10 };

/* Clouds around a common direction, with variances that fall off, as model vectors have. */
static float *make_rows(void)
{
    static double centres[40][DIMENSIONS];
    float *rows = malloc(sizeof(float) * ROWS * DIMENSIONS);
    for (int c = 0; c < 40; c++)
        for (int i = 0; i < DIMENSIONS; i++)
            centres[c][i] = (i % 7 == 0) + normal() / (1 + i * 0.05);
    for (int r = 0; r < ROWS; r++) {
        for (int i = 0; i < DIMENSIONS; i++)
            rows[r * DIMENSIONS + i] = (float)(centres[r % 40][i] + 0.7 * normal() / (1 + i * 0.05));
        sx_exact_normalize(rows + r * DIMENSIONS, DIMENSIONS);
    }
    return rows;
}

static double recall(const char *name, const float *rows, size_t candidates, double *error)
{
    sx_packing packing;
    assert_int_equal(sx_packing_parse(name, DIMENSIONS, &packing, NULL), SX_OK);
    assert_int_equal(sx_packing_fit(&packing, rows, ROWS, NULL), SX_OK);
    char back[32];
    sx_packing_name(&packing, back);
    assert_string_equal(back, name);
    size_t bytes = sx_packing_row_bytes(&packing), found = 0;
    unsigned char *packed = malloc(ROWS * bytes);
    float scratch[DIMENSIONS], scores[SX_PACKED_BLOCK];
    for (size_t r = 0; r < ROWS; r++)
        sx_packing_row(&packing, rows + r * DIMENSIONS, scratch, packed + r * bytes);
    sx_topk exact, near;
    assert_true(sx_topk_open(&exact, K) && sx_topk_open(&near, candidates));
    *error = 0;
    for (size_t q = 0; q < QUERIES; q++) {
        const float *query = rows + q * 37 * DIMENSIONS;
        sx_packed_query made;
        assert_int_equal(sx_packed_query_open(&made, &packing, sx_dot_kernels_for(0), query, NULL), SX_OK);
        sx_topk_reset(&exact);
        sx_topk_reset(&near);
        for (size_t first = 0; first < ROWS; first += SX_PACKED_BLOCK) {
            size_t count = ROWS - first < SX_PACKED_BLOCK ? ROWS - first : SX_PACKED_BLOCK;
            sx_packed_scores(&made, packed + first * bytes, count, scores);
            for (size_t r = 0; r < count; r++) {
                double product = 0;
                for (size_t i = 0; i < DIMENSIONS; i++)
                    product += (double)query[i] * (double)rows[(first + r) * DIMENSIONS + i];
                sx_topk_offer(&exact, (int64_t)(first + r), (float)product);
                sx_topk_offer(&near, (int64_t)(first + r), scores[r]);
                *error = fmax(*error, fabs(product - (double)scores[r]));
            }
        }
        for (size_t i = 0; i < exact.count; i++)
            for (size_t j = 0; j < near.count; j++)
                found += exact.items[i].id == near.items[j].id;
        sx_packed_query_close(&made);
    }
    sx_topk_close(&exact);
    sx_topk_close(&near);
    free(packed);
    sx_packing_clear(&packing);
    return (double)found / (QUERIES * K);
}

static void test_packings(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t bytes, candidates;
        double least, error; /* recall among the candidates; largest difference of a score */
    } cases[] = {
        {"f16", 200, K, 0.99, 1e-3},
        {"int8", 132, K, 0.97, 2e-2},
        {"binary", 16, 10 * K, 0.9, 2},
        {"pca:50", 100, 4 * K, 0.97, 0.3},
        {"pca:99", 198, K, 0.98, 0.05},
        {"dims:50", 100, 8 * K, 0.9, 0.5},
    };
    float *rows = make_rows();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sx_packing packing;
        double error, share = recall(cases[i].name, rows, cases[i].candidates, &error);
        print_message("%-8s recall %.4f, largest error %.4f\n", cases[i].name, share, error);
        assert_true(share >= cases[i].least);
        assert_true(error <= cases[i].error);
        assert_int_equal(sx_packing_parse(cases[i].name, DIMENSIONS, &packing, NULL), SX_OK);
        assert_int_equal(sx_packing_row_bytes(&packing), cases[i].bytes);
    }
    free(rows);
}

/* An unpacked row is near the row, and packs to the same: what is left of dropped floats does not wear off. */
static void test_rows_unpacked(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double least; /* mean cosine */
        bool same;    /* to the bit; the halves of others may differ in the last one */
    } kinds[] = {{"f16", 0.99999, true}, {"int8", 0.9999, true}, {"pca:60", 0.97, false}, {"dims:60", 0.8, false},
                 {"binary", 0.8, true}};
    float *rows = make_rows();
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
        sx_packing packing;
        assert_int_equal(sx_packing_parse(kinds[kind].name, DIMENSIONS, &packing, NULL), SX_OK);
        assert_int_equal(sx_packing_fit(&packing, rows, ROWS, NULL), SX_OK);
        size_t bytes = sx_packing_row_bytes(&packing);
        unsigned char *packed = calloc(2, bytes);
        double sum = 0;
        for (size_t r = 0; r < 200; r++) {
            const float *row = rows + r * 7 * DIMENSIONS;
            float scratch[DIMENSIONS], back[DIMENSIONS], again[DIMENSIONS];
            double dot = 0, square = 0;
            sx_packing_row(&packing, row, scratch, packed);
            sx_packing_unpack(&packing, packed, back);
            for (size_t i = 0; i < DIMENSIONS; i++) {
                dot += (double)row[i] * (double)back[i];
                square += (double)back[i] * (double)back[i];
            }
            sum += dot / sqrt(square);
            sx_packing_row(&packing, back, scratch, packed + bytes);
            sx_packing_unpack(&packing, packed + bytes, again);
            for (size_t i = 0; i < DIMENSIONS; i++)
                assert_true(fabsf(again[i] - back[i]) < 0.002f);
            assert_true(!kinds[kind].same || memcmp(packed, packed + bytes, bytes) == 0);
        }
        if (sum / 200 < kinds[kind].least)
            fail_msg("%s: mean cosine %.5f", kinds[kind].name, sum / 200);
        free(packed);
        sx_packing_clear(&packing);
    }
    free(rows);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "f32", "pca", "pca:", "pca:0", "pca:100", "pca:101", "dims:x", "dims:-1", "int8 ",
        "pca:1x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        sx_packing packing;
        sx_error error = {0};
        assert_int_equal(sx_packing_parse(wrong[i], 100, &packing, &error), SX_E_INVALID);
        assert_non_null(strstr(error.message, wrong[i]));
    }
}

/* Halves of numbers around every power of two read back as the nearest half. */
static void test_halves(void **state)
{
    (void)state;
    sx_packing packing;
    float row[2], scratch[2], score;
    uint16_t packed[2];
    assert_int_equal(sx_packing_parse("f16", 2, &packing, NULL), SX_OK);
    for (int exponent = -30; exponent <= 15; exponent++)
        for (int i = 0; i < 40; i++) {
            row[0] = (float)ldexp(1 + (uniform() + 0.5) * 0.999, exponent);
            row[1] = -row[0];
            sx_packing_row(&packing, row, scratch, packed);
            sx_packed_query query;
            float one[2] = {1, 0};
            assert_int_equal(sx_packed_query_open(&query, &packing, sx_dot_kernels_for(SX_CPU_C), one, NULL), SX_OK);
            sx_packed_scores(&query, packed, 1, &score);
            sx_packed_query_close(&query);
            double unit = ldexp(1, (exponent < -14 ? -14 : exponent) - 10);
            assert_true(fabs((double)score - (double)row[0]) <= unit / 2);
            assert_int_equal(packed[1], packed[0] | 0x8000);
        }
}

/* A file gives the scores that were packed, to those allowed, and no changed or missing byte goes unnoticed. */
static void test_file(void **state)
{
    (void)state;
    enum { COUNT = 700 };
    static const char *const names[] = {"f16", "int8", "binary", "pca:20", "dims:20"};
    char path[] = "/tmp/sx-packed-XXXXXX";
    int64_t wanted[] = {5, 14, 1400, 2100};
    float *rows = make_rows();
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    close(descriptor);
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        sx_packing packing;
        sx_packed_writer *writer;
        sx_packed_file *file;
        sx_packed_query query;
        sx_topk topk;
        uint64_t identity, bytes;
        assert_int_equal(sx_packing_parse(names[n], DIMENSIONS, &packing, NULL), SX_OK);
        assert_int_equal(sx_packing_fit(&packing, rows, ROWS, NULL), SX_OK);
        assert_int_equal(sx_packed_create(path, 9, &packing, &writer, NULL), SX_OK);
        for (int64_t r = 0; r < COUNT; r++)
            assert_int_equal(sx_packed_add(writer, 3 * r, rows + r * DIMENSIONS, NULL), SX_OK);
        assert_int_equal(sx_packed_add(writer, 7, rows, NULL), SX_E_INTERNAL);
        assert_int_equal(sx_packed_finish(writer, &identity, &bytes, NULL), SX_OK);
        sx_packed_writer_close(writer);
        assert_int_equal(sx_packed_open(path, identity + 1, &file, NULL), SX_E_FORMAT);
        assert_int_equal(sx_packed_open(path, identity, &file, NULL), SX_OK);
        assert_int_equal(sx_packed_rows(file), COUNT);
        assert_int_equal(sx_packed_collection(file), 9);
        assert_int_equal(sx_packed_query_open(&query, sx_packed_packing(file), sx_dot_kernels_for(0), rows + 466 * DIMENSIONS,
                                              NULL),
                         SX_OK);
        assert_true(sx_topk_open(&topk, 5));
        assert_int_equal(sx_packed_scan(file, &query, NULL, &topk, NULL), SX_OK);
        sx_topk_sort(&topk);
        if (packing.width == DIMENSIONS) /* of parts of vectors another may have the largest product */
            assert_int_equal(topk.items[0].id, 3 * 466);
        sx_topk_reset(&topk);
        assert_int_equal(sx_packed_scan(file, &query, &(sx_id_set){wanted, 4}, &topk, NULL), SX_OK);
        assert_int_equal(topk.count, 0); /* 5, 14 and 1400 are no ids; 2100 lies behind the last */
        wanted[1] = 15;
        assert_int_equal(sx_packed_scan(file, &query, &(sx_id_set){wanted, 4}, &topk, NULL), SX_OK);
        assert_int_equal(topk.count, 1);
        assert_int_equal(topk.items[0].id, 15);
        wanted[1] = 14;
        sx_topk_close(&topk);
        sx_packed_query_close(&query);
        sx_packed_close(file);
        sx_packing_clear(&packing);
        FILE *stream = fopen(path, "r+b");
        assert_non_null(stream);
        for (uint64_t at = 0; at < bytes; at += 1 + at / 40) {
            fseek(stream, (long)at, SEEK_SET);
            int byte = fgetc(stream);
            fseek(stream, (long)at, SEEK_SET);
            fputc(byte ^ 4, stream);
            fflush(stream);
            sx_status status = sx_packed_open(path, identity, &file, NULL);
            if (!status) /* only where nothing lies: between the parts */
                assert_true(byte == 0);
            sx_packed_close(file);
            fseek(stream, (long)at, SEEK_SET);
            fputc(byte, stream);
            fflush(stream);
        }
        fclose(stream);
        for (uint64_t length = 0; length < bytes; length += 1 + length / 3) {
            assert_int_equal(truncate(path, (off_t)(bytes - 1 - length)), 0);
            assert_int_not_equal(sx_packed_open(path, identity, &file, NULL), SX_OK);
        }
    }
    unlink(path);
    free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eigen),
        cmocka_unit_test(test_packings),
        cmocka_unit_test(test_rows_unpacked),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_halves),
        cmocka_unit_test(test_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
