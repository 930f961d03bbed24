/* test_exact.c - exact search by codes gives what comparing every row gives: the same rows, the same bits, the same order,
 * however near the ties, by one thread and by several; the ceilings hold; segments of version 1 are still read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vec/segment.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t state = 88172645463325252u;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static double next_unit(void)
{
    return (double)(next_random() >> 11) / 9007199254740992.0;
}

static void check(sx_status status, const sx_error *error, int line)
{
    if (status)
        fail_msg("line %d: %s: %s", line, sx_status_name(status), error->message);
}
#define OK(call) check((call), &error, __LINE__)

static const uint64_t levels[] = {SX_CPU_C, SX_CPU_AVX2, SX_CPU_AVX512, 0};

/* ---- Rows that make it hard ---- */

enum kind { RANDOM, CLUSTERED, NEARLY_EQUAL, EQUAL, ASCENDING, SPIKES, HUGE_AND_TINY, NOT_FINITE, KINDS };

static void fill(float *rows, size_t count, size_t dimensions, enum kind kind, const float *query)
{
    float *centre = malloc(dimensions * sizeof *centre);
    for (size_t i = 0; i < count; i++) {
        float *row = rows + i * dimensions;
        for (size_t k = 0; k < dimensions; k++) {
            float noise = (float)(next_unit() - 0.5);
            if (i % 40 == 0)
                centre[k] = noise;
            switch (kind) {
            case RANDOM: row[k] = noise; break;
            case CLUSTERED: row[k] = centre[k] + 0.2f * noise; break;
            case NEARLY_EQUAL: row[k] = i ? rows[k] : noise; break;
            case EQUAL: row[k] = query[k]; break;
            case ASCENDING: row[k] = query[k] * (float)(i + 1) + 0.01f * noise; break;
            case SPIKES: row[k] = k == i % dimensions ? 100.0f : noise; break;
            case HUGE_AND_TINY: row[k] = ldexpf(noise, (int)(i % 200) - 100); break;
            default: row[k] = noise; break;
            }
        }
        if (kind == NEARLY_EQUAL && i) { /* scores apart by a few units of the last place, or not at all */
            size_t k = next_random() % dimensions;
            row[k] = nextafterf(row[k], next_random() % 2 ? 2.0f : -2.0f);
        }
        if (kind == NOT_FINITE && next_random() % 4 == 0)
            row[next_random() % dimensions] = next_random() % 3 == 0 ? NAN : next_random() % 2 ? INFINITY : -INFINITY;
    }
    free(centre);
}

static void fill_query(float *query, size_t dimensions, unsigned kind)
{
    for (size_t k = 0; k < dimensions; k++)
        query[k] = kind == 0 ? 0.0f : kind == 1 && k % 7 ? 0.0f : (float)(next_unit() - 0.5);
    if (kind == 2)
        query[next_random() % dimensions] = 1e4f;
}

/* Ids ascend with gaps. */
static int64_t id_of(size_t row)
{
    return (int64_t)row * 3 + 1;
}

static sx_segment *make_segment(const float *rows, size_t count, size_t dimensions)
{
    sx_error error = {0};
    char path[] = "/tmp/sextant-exact-XXXXXX";
    sx_segment_writer *writer;
    sx_segment *segment;
    uint64_t identity;
    int descriptor = mkstemp(path); /* for the name */
    assert_true(descriptor >= 0);
    close(descriptor);
    unlink(path);
    OK(sx_segment_create(path, 1, (uint32_t)dimensions, &writer, &error));
    for (size_t i = 0; i < count; i++)
        OK(sx_segment_add(writer, id_of(i), rows + i * dimensions, &error));
    OK(sx_segment_finish(writer, &identity, &error));
    sx_segment_writer_close(writer);
    OK(sx_segment_open(path, identity, 1, (uint32_t)dimensions, &segment, &error));
    unlink(path);
    return segment;
}

static void expect_same(sx_topk *found, sx_topk *expected)
{
    sx_topk_sort(found);
    sx_topk_sort(expected);
    assert_int_equal(found->count, expected->count);
    for (size_t i = 0; i < found->count; i++) {
        assert_int_equal(found->items[i].id, expected->items[i].id);
        assert_memory_equal(&found->items[i].score, &expected->items[i].score, sizeof(float));
    }
}

static void check_search(sx_segment *segment, const float *rows, size_t count, size_t dimensions, const float *floats,
                         sx_thread_pool *pool)
{
    sx_error error = {0};
    sx_topk found, expected;
    int64_t *ids = calloc(count, sizeof *ids), *some = calloc(count, sizeof *some);
    sx_id_set allowed = {some, 0};
    size_t most = next_random() % 3 == 0 ? count + 5 : 1 + next_random() % 30;
    for (size_t i = 0; i < count; i++) {
        ids[i] = id_of(i);
        if (next_random() % 3 == 0)
            some[allowed.count++] = ids[i] - (int64_t)(next_random() % 8 == 0); /* some that are not there */
    }
    assert_true(sx_topk_open(&found, most) && sx_topk_open(&expected, most));
    for (size_t level = 0; level < sizeof levels / sizeof *levels; level++)
        for (int filtered = 0; filtered < 2; filtered++) {
            sx_exact_query query;
            const sx_id_set *set = filtered ? &allowed : NULL;
            OK(sx_exact_query_open(&query, sx_dot_kernels_for(levels[level]), floats, dimensions, &error));
            sx_topk_reset(&found);
            sx_topk_reset(&expected);
            OK(sx_segment_scan(segment, &query, set, pool, &found, &error));
            sx_exact_scan(query.kernels, floats, dimensions, rows, dimensions, ids, count, set, &expected);
            expect_same(&found, &expected);
            sx_exact_query_close(&query);
        }
    sx_topk_close(&found);
    sx_topk_close(&expected);
    free(ids);
    free(some);
}

static void search_all(sx_thread_pool *pool, int rounds)
{
    static const size_t sizes[] = {1, 2, 255, 256, 257, 1500};
    static const size_t widths[] = {1, 3, 16, 63, 64, 65, 384};
    for (int round = 0; round < rounds; round++)
        for (int kind = 0; kind < KINDS; kind++) {
            size_t count = sizes[next_random() % 6], dimensions = widths[next_random() % 7];
            float *rows = calloc(count * dimensions, sizeof *rows), *query = calloc(dimensions, sizeof *query);
            fill_query(query, dimensions, 3);
            fill(rows, count, dimensions, (enum kind)kind, query);
            sx_segment *segment = make_segment(rows, count, dimensions);
            for (unsigned query_kind = 0; query_kind < 5; query_kind++) {
                check_search(segment, rows, count, dimensions, query, pool); /* first the query the rows were made for */
                fill_query(query, dimensions, query_kind);
            }
            sx_segment_close(segment);
            free(rows);
            free(query);
        }
}

static void test_codes_leave_nothing_out(void **unused)
{
    (void)unused;
    search_all(NULL, 12);
}

static void test_threads_find_the_same(void **unused)
{
    (void)unused;
    sx_error error = {0};
    sx_thread_pool *pool;
    OK(sx_thread_pool_open(3, &pool, &error));
    search_all(pool, 8);
    sx_thread_pool_close(pool);
}

/* ---- Ceilings ---- */

/* Never below the kernel's score, nor below the exact one; and not so high that they would rule nothing out. */
static void test_ceilings_hold(void **unused)
{
    (void)unused;
    sx_error error = {0};
    double widest = 0.0;
    for (int round = 0; round < 4000; round++) {
        size_t dimensions = 1 + next_random() % 400, padded = sx_code_dimensions(dimensions);
        float *row = calloc(dimensions, sizeof *row), *floats = calloc(dimensions, sizeof *floats), score;
        uint8_t *codes = calloc(padded, 1);
        int32_t sum;
        enum kind kind = (enum kind)(next_random() % NOT_FINITE);
        fill_query(floats, dimensions, next_random() % 4);
        fill(row, 1, dimensions, kind, floats);
        if (round % 5 == 0) /* what is lost points where the query does, as far as half a step can */
            for (size_t k = 0; k < dimensions; k++)
                row[k] = (k == 0 ? 127.0f : 0.4999f) * (floats[k] < 0.0f ? -1.0f : 1.0f) * 0.01f;
        sx_exact_query query;
        OK(sx_exact_query_open(&query, sx_dot_kernels_for(levels[round % 4]), floats, dimensions, &error));
        sx_row_code code = sx_row_encode(row, dimensions, padded, codes);
        query.kernels->codes(&(sx_code_job){.queries = query.numbers, .query_count = 1, .rows = codes, .count = 1,
                                            .stride = padded, .dimensions = dimensions, .out = &sum});
        query.kernels->f32(&(sx_dot_job){.queries = floats, .query_count = 1, .rows = row, .count = 1, .stride = dimensions,
                                         .dimensions = dimensions, .out = &score});
        double ceiling = sx_score_ceiling(&query, sum, code.scale, code.error), exact = 0.0, squares = 0.0, lengths = 0.0;
        for (size_t k = 0; k < dimensions; k++) {
            exact += (double)row[k] * floats[k];
            squares += (double)row[k] * row[k];
            lengths += (double)floats[k] * floats[k];
        }
        assert_true(ceiling >= score);
        assert_true(ceiling >= exact - 1e-12 * fabs(exact));
        if (dimensions > 100 && kind == RANDOM && round % 5)
            widest = fmax(widest, (ceiling - exact) / (sqrt(squares * lengths) + 1e-30));
        sx_exact_query_close(&query);
        free(row);
        free(floats);
        free(codes);
    }
    assert_true(widest > 0.0 && widest < 0.03);
}

/* ---- Older files ---- */

static void test_version_1_is_read(void **unused)
{
    (void)unused;
    sx_error error = {0};
    static const char *const names[] = {"one-row", "two-rows", "two-blocks"};
    for (size_t i = 0; i < 3; i++) {
        char path[1000];
        snprintf(path, sizeof path, "%s/../fuzz/corpus/segment/%s", SX_FIXTURES, names[i]);
        sx_segment *segment;
        OK(sx_segment_open_any(path, &segment, &error));
        size_t dimensions = sx_segment_dimensions(segment), rows = sx_segment_rows(segment);
        float *floats = calloc(dimensions, sizeof *floats);
        sx_exact_query query;
        sx_topk topk;
        floats[0] = 1.0f;
        OK(sx_exact_query_open(&query, sx_dot_kernels_for(0), floats, dimensions, &error));
        assert_true(sx_topk_open(&topk, rows));
        OK(sx_segment_scan(segment, &query, NULL, NULL, &topk, &error));
        assert_int_equal(topk.count, rows);
        sx_topk_close(&topk);
        sx_exact_query_close(&query);
        sx_segment_close(segment);
        free(floats);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes_leave_nothing_out),
        cmocka_unit_test(test_threads_find_the_same),
        cmocka_unit_test(test_ceilings_hold),
        cmocka_unit_test(test_version_1_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
