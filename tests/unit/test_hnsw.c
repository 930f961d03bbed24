/* test_hnsw.c - the graph index against exact search: kinds of rows, instruction sets, filters, rows that go and come, files and
 * their damage, threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "vec/codes.h"
#include "vec/exact.h"
#include "vec/hnsw_internal.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { K = 10, QUERIES = 60, CLUSTER = 25 };

static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

static void check(sx_status status, const sx_error *error, int line)
{
    if (status)
        fail_msg("line %d: %s: %s", line, sx_status_name(status), error->message);
}
#define OK(call) check((call), &error, __LINE__)

static const sx_dot_kernels *kernels_here; /* asked for once: a virtual machine takes its time to tell what the processor knows */

/* Rows of length 1 in every form. */
typedef struct row_set {
    size_t count;
    uint32_t dimensions;
    size_t padded;
    float *floats;
    uint16_t *halves;
    uint8_t *codes;
    float *scales;
} row_set;

static float random_normal(void)
{
    float sum = 0.0f;
    for (int i = 0; i < 6; i++)
        sum += (float)(next_random() % 20001) / 10000.0f - 1.0f;
    return sum;
}

/* Of a float that a half can hold about: the nearest with ten bits, ties away from zero. */
static uint16_t half_of(float x)
{
    int exponent;
    float fraction = frexpf(fabsf(x), &exponent);
    if (exponent < -12)
        return 0;
    long bits = lroundf(fraction * 2048.0f);
    if (bits == 2048) {
        bits = 1024;
        exponent++;
    }
    return (uint16_t)((x < 0 ? 0x8000 : 0) | (exponent + 14) << 10 | (bits & 1023));
}

static void set_row(row_set *rows, size_t at)
{
    float *row = rows->floats + at * rows->dimensions;
    sx_exact_normalize(row, rows->dimensions);
    for (uint32_t k = 0; k < rows->dimensions; k++)
        rows->halves[at * rows->dimensions + k] = half_of(row[k]);
    rows->scales[at] = sx_row_encode(row, rows->dimensions, rows->padded, rows->codes + at * rows->padded).scale;
}

/* Half of them in clusters, around the row before them that is a multiple of CLUSTER. */
static row_set make_rows(size_t count, uint32_t dimensions, bool clustered)
{
    row_set rows = {.count = count, .dimensions = dimensions, .padded = sx_code_dimensions(dimensions)};
    rows.floats = calloc(count * dimensions, sizeof(float));
    rows.halves = calloc(count * dimensions, sizeof(uint16_t));
    rows.codes = calloc(count, rows.padded);
    rows.scales = calloc(count, sizeof(float));
    for (size_t i = 0; i < count; i++) {
        float *row = rows.floats + i * dimensions;
        const float *centre = rows.floats + i / CLUSTER * CLUSTER * dimensions;
        bool near = clustered && i % CLUSTER;
        for (uint32_t k = 0; k < dimensions; k++)
            row[k] = near ? centre[k] + random_normal() * 0.6f / sqrtf((float)dimensions) : random_normal();
        set_row(&rows, i);
    }
    return rows;
}

static void free_rows(row_set *rows)
{
    free(rows->floats);
    free(rows->halves);
    free(rows->codes);
    free(rows->scales);
}

static sx_hnsw_rows as_rows(const row_set *set, sx_hnsw_kind kind)
{
    sx_hnsw_rows rows = {.kind = kind, .dimensions = set->dimensions, .block_shift = 32};
    if (kind == SX_HNSW_CODES) {
        rows.rows = set->codes;
        rows.row_bytes = set->padded;
        rows.scales = set->scales;
    } else {
        rows.rows = kind == SX_HNSW_F32 ? (void *)set->floats : set->halves;
        rows.row_bytes = set->dimensions * (kind == SX_HNSW_F32 ? sizeof(float) : sizeof(uint16_t));
    }
    return rows;
}

static uint32_t *all_places(size_t count)
{
    uint32_t *places = calloc(count + 1, sizeof *places);
    for (size_t i = 0; i < count; i++)
        places[i] = (uint32_t)i;
    return places;
}

static sx_hnsw *build(const row_set *set, sx_hnsw_kind kind, const sx_dot_kernels *kernels, sx_thread_pool *pool)
{
    sx_error error = {0};
    sx_hnsw *graph;
    sx_hnsw_rows rows = as_rows(set, kind);
    uint32_t *places = all_places(set->count);
    OK(sx_hnsw_create(NULL, &rows, set->count, kernels, &graph, &error));
    OK(sx_hnsw_insert(graph, places, set->count, pool, &error));
    assert_int_equal(sx_hnsw_count(graph), set->count);
    free(places);
    return graph;
}

typedef bool row_choice(uint32_t row);

static void exact(const row_set *set, const float *query, row_choice *choice, sx_topk *topk)
{
    sx_topk_reset(topk);
    for (size_t i = 0; i < set->count; i++) {
        int64_t id = (int64_t)i;
        if (!choice || choice((uint32_t)i))
            sx_exact_scan(kernels_here, query, set->dimensions, set->floats + i * set->dimensions, set->dimensions, &id, 1,
                          NULL, topk);
    }
    sx_topk_sort(topk);
}

/* The part of the ten nearest that a search finds, rows scored again by floats. choice: which may be found. */
static double recall(sx_hnsw *graph, const row_set *set, row_choice *choice, size_t ef)
{
    sx_error error = {0};
    sx_hnsw_searcher *searcher;
    sx_topk truth, best;
    float *query = calloc(set->dimensions, sizeof *query);
    size_t hits = 0, wanted = 0;
    OK(sx_hnsw_searcher_open(graph, &searcher, &error));
    assert_true(sx_topk_open(&truth, K) && sx_topk_open(&best, K));
    for (int q = 0; q < QUERIES; q++) {
        const float *near = set->floats + next_random() % set->count * set->dimensions;
        for (uint32_t k = 0; k < set->dimensions; k++)
            query[k] = near[k] + random_normal() * 0.5f / sqrtf((float)set->dimensions);
        sx_exact_normalize(query, set->dimensions);
        exact(set, query, choice, &truth);
        const sx_ranked *found;
        size_t count;
        OK(sx_hnsw_search(searcher, query, ef, &found, &count, &error));
        assert_true(count <= ef);
        sx_topk_reset(&best);
        for (size_t i = 0; i < count; i++) {
            assert_true(found[i].id >= 0 && (size_t)found[i].id < set->count);
            assert_true(i == 0 || sx_ranks_before(found[i - 1], found[i]));
            assert_true(sx_hnsw_contains(graph, (uint32_t)found[i].id));
            if (!choice || choice((uint32_t)found[i].id))
                sx_exact_scan(kernels_here, query, set->dimensions, set->floats + (size_t)found[i].id * set->dimensions,
                              set->dimensions, &found[i].id, 1, NULL, &best);
        }
        for (size_t i = 0; i < best.count; i++)
            for (size_t j = 0; j < truth.count; j++)
                hits += best.items[i].id == truth.items[j].id;
        wanted += truth.count;
    }
    sx_topk_close(&truth);
    sx_topk_close(&best);
    sx_hnsw_searcher_close(searcher);
    free(query);
    return (double)hits / (double)wanted;
}

static void check_recall(sx_hnsw *graph, const row_set *set, row_choice *choice, size_t ef, double least, const char *what)
{
    double found = recall(graph, set, choice, ef);
    if (!(found >= least))
        fail_msg("%s: recall %.4f, at least %.4f expected", what, found, least);
}

/* ---- Kinds, instruction sets, shapes ---- */

static void test_finds_what_exact_search_finds(void **state)
{
    static const char *const names[] = {"f32", "f16", "codes"};
    random_state = 88172645463325252u + 11;
    for (int clustered = 0; clustered < 2; clustered++) {
        row_set set = make_rows(4000, 48, clustered);
        for (int kind = SX_HNSW_F32; kind <= SX_HNSW_CODES; kind++) {
            sx_hnsw *graph = build(&set, (sx_hnsw_kind)kind, kernels_here, NULL);
            check_recall(graph, &set, NULL, 96, 0.98, names[kind]);
            sx_hnsw_close(graph);
        }
        free_rows(&set);
    }
}

static uint64_t graph_sum(sx_hnsw *graph)
{
    sx_error error = {0};
    char path[] = "/tmp/sextant-graph-XXXXXX";
    int descriptor = mkstemp(path);
    char *data;
    size_t length;
    assert_true(descriptor >= 0);
    close(descriptor);
    OK(sx_hnsw_save(graph, path, NULL, 7, NULL, &error));
    OK(sx_file_read(path, SIZE_MAX, &data, &length, NULL, &error));
    uint64_t sum = XXH3_64bits(data, length);
    free(data);
    unlink(path);
    return sum;
}

static void test_instruction_sets_make_the_same_graph_of_codes(void **state)
{
    static const uint64_t levels[] = {SX_CPU_AVX2, SX_CPU_AVX512, SX_CPU_AVX512 | SX_CPU_AVX512_VNNI, SX_CPU_NEON};
    random_state = 88172645463325252u + 12;
    row_set set = make_rows(1500, 70, true);
    sx_hnsw *graph = build(&set, SX_HNSW_CODES, sx_dot_kernels_for(SX_CPU_C), NULL);
    uint64_t sum = graph_sum(graph);
    sx_hnsw_close(graph);
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        const sx_dot_kernels *kernels = sx_dot_kernels_for(levels[i]);
        if (!(kernels->cpu & levels[i])) {
            print_message("not on this machine: instruction set %#llx\n", (unsigned long long)levels[i]);
            continue;
        }
        for (int kind = SX_HNSW_F32; kind <= SX_HNSW_CODES; kind++) {
            graph = build(&set, (sx_hnsw_kind)kind, kernels, NULL);
            check_recall(graph, &set, NULL, 96, 0.98, kernels->name);
            if (kind == SX_HNSW_CODES)
                assert_true(graph_sum(graph) == sum);
            sx_hnsw_close(graph);
        }
    }
    free_rows(&set);
}

static void test_threads_make_the_same_graph(void **state)
{
    sx_error error = {0};
    random_state = 88172645463325252u + 13;
    row_set set = make_rows(2000, 40, true);
    for (int kind = SX_HNSW_F32; kind <= SX_HNSW_CODES; kind++) {
        sx_hnsw *graph = build(&set, (sx_hnsw_kind)kind, kernels_here, NULL);
        uint64_t sum = graph_sum(graph);
        sx_hnsw_close(graph);
        for (unsigned threads = 2; threads <= 5; threads += 3) {
            sx_thread_pool *pool;
            OK(sx_thread_pool_open(threads, &pool, &error));
            graph = build(&set, (sx_hnsw_kind)kind, kernels_here, pool);
            assert_true(graph_sum(graph) == sum);
            sx_hnsw_close(graph);
            sx_thread_pool_close(pool);
        }
    }
    free_rows(&set);
}

static void test_small_graphs_and_odd_widths(void **state)
{
    static const uint32_t widths[] = {1, 2, 63, 64, 65, 130};
    random_state = 88172645463325252u + 14;
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (size_t count = 1; count < 60; count += 1 + count / 3)
            for (int kind = SX_HNSW_F32; kind <= SX_HNSW_CODES; kind++) {
                row_set set = make_rows(count, widths[w], false);
                sx_hnsw *graph = build(&set, (sx_hnsw_kind)kind, kernels_here, NULL);
                if (widths[w] > 2) /* rows of one or two dimensions are mostly ties in codes */
                    check_recall(graph, &set, NULL, 96, 1.0, "small");
                sx_hnsw_close(graph);
                free_rows(&set);
            }
}

/* A text that stands in many files: its copies must neither hide the others nor one another. */
static void test_copies_are_no_island(void **state)
{
    sx_error error = {0};
    random_state = 88172645463325252u + 15;
    row_set set = make_rows(1200, 32, false);
    for (size_t i = 300; i < 900; i++) {
        memcpy(set.floats + i * set.dimensions, set.floats + 300 * set.dimensions, set.dimensions * sizeof(float));
        set_row(&set, i);
    }
    for (int kind = SX_HNSW_F32; kind <= SX_HNSW_CODES; kind++) {
        sx_hnsw *graph = build(&set, (sx_hnsw_kind)kind, kernels_here, NULL);
        sx_hnsw_searcher *searcher;
        const sx_ranked *found;
        size_t count, copies = 0;
        OK(sx_hnsw_searcher_open(graph, &searcher, &error));
        OK(sx_hnsw_search(searcher, set.floats + 300 * set.dimensions, 96, &found, &count, &error));
        for (size_t i = 0; i < count; i++)
            copies += found[i].id >= 300 && found[i].id < 900;
        assert_int_equal(copies, 96); /* any of them: they are all as near */
        size_t reached = 0;
        for (size_t i = 0; i < 300; i++) {
            OK(sx_hnsw_search(searcher, set.floats + i * set.dimensions, 96, &found, &count, &error));
            reached += count && found[0].id == (int64_t)i;
        }
        assert_true(reached >= 299);
        OK(sx_hnsw_search(searcher, set.floats + 300 * set.dimensions, 900, &found, &count, &error));
        copies = 0;
        for (size_t i = 0; i < count; i++)
            copies += found[i].id >= 300 && found[i].id < 900;
        assert_int_equal(copies, 600);
        assert_true(count >= 895);
        sx_hnsw_searcher_close(searcher);
        sx_hnsw_close(graph);
    }
    free_rows(&set);
}

/* Copies of which some go, the first of them too, and come back. */
static void test_copies_go_and_come(void **state)
{
    enum { ROWS = 900, FIRST = 200, COPIES = 300 };
    sx_error error = {0};
    random_state = 88172645463325252u + 24;
    row_set set = make_rows(ROWS, 24, false);
    uint32_t gone[COPIES];
    for (size_t i = FIRST; i < FIRST + COPIES; i++) {
        memcpy(set.floats + i * set.dimensions, set.floats + FIRST * set.dimensions, set.dimensions * sizeof(float));
        set_row(&set, i);
    }
    sx_hnsw *graph = build(&set, SX_HNSW_CODES, kernels_here, NULL);
    sx_hnsw_searcher *searcher;
    OK(sx_hnsw_searcher_open(graph, &searcher, &error));
    for (uint32_t part = 1; part <= COPIES; part += 1 + part / 2) {
        const sx_ranked *found;
        size_t count, copies;
        for (uint32_t back = 0; back < 2; back++) {
            for (uint32_t i = 0; i < part; i++)
                gone[i] = FIRST + i;
            if (back)
                OK(sx_hnsw_insert(graph, gone, part, NULL, &error));
            else
                OK(sx_hnsw_remove(graph, gone, part, &error));
            OK(sx_hnsw_repair(graph, NULL, &error));
            OK(sx_hnsw_search(searcher, set.floats + FIRST * set.dimensions, 500, &found, &count, &error));
            copies = 0;
            for (size_t i = 0; i < count; i++)
                copies += found[i].id >= FIRST && found[i].id < FIRST + COPIES;
            assert_int_equal(copies, COPIES - (back ? 0 : part));
        }
    }
    sx_hnsw_searcher_close(searcher);
    sx_hnsw_close(graph);
    free_rows(&set);
}

/* Of 100 queries, those whose nearest row is found. */
static size_t nearest_by_biases(void)
{
    sx_error error = {0};
    row_set set = make_rows(1500, 24, false);
    float *biases = calloc(set.count, sizeof *biases);
    for (size_t i = 0; i < set.count; i++) {
        float length = 0.5f + (float)(next_random() % 1000) / 1000.0f, squares = 0.0f;
        for (uint32_t k = 0; k < set.dimensions; k++) {
            float *x = &set.floats[i * set.dimensions + k];
            *x *= length;
            squares += *x * *x;
        }
        biases[i] = squares / 2;
    }
    sx_hnsw_rows rows = as_rows(&set, SX_HNSW_F32);
    rows.biases = biases;
    uint32_t *places = all_places(set.count);
    sx_hnsw *graph;
    sx_hnsw_searcher *searcher;
    size_t nearest_found = 0;
    OK(sx_hnsw_create(NULL, &rows, set.count, kernels_here, &graph, &error));
    OK(sx_hnsw_insert(graph, places, set.count, NULL, &error));
    OK(sx_hnsw_searcher_open(graph, &searcher, &error));
    for (int q = 0; q < 100; q++) {
        float query[24], least = INFINITY;
        int64_t nearest = -1;
        for (int k = 0; k < 24; k++)
            query[k] = random_normal() / 4.0f;
        for (size_t i = 0; i < set.count; i++) {
            float distance = 0.0f;
            for (int k = 0; k < 24; k++)
                distance += (query[k] - set.floats[i * 24 + (size_t)k]) * (query[k] - set.floats[i * 24 + (size_t)k]);
            nearest = distance < least ? (int64_t)i : nearest;
            least = fminf(least, distance);
        }
        const sx_ranked *found;
        size_t count;
        OK(sx_hnsw_search(searcher, query, 96, &found, &count, &error));
        nearest_found += count && found[0].id == nearest;
    }
    sx_hnsw_searcher_close(searcher);
    sx_hnsw_close(graph);
    free(places);
    free(biases);
    free_rows(&set);
    return nearest_found;
}

/* Rows without any order are the hardest: of 2,000 such queries hnswlib finds 97.9 % with the same parameters. */
static void test_distance_by_biases(void **state)
{
    size_t found = 0;
    for (uint64_t set = 0; set < 5; set++) {
        random_state = 88172645463325252u + 16 + 100 * set;
        found += nearest_by_biases();
    }
    if (found < 482)
        fail_msg("%zu of 500 found", found);
}

/* ---- Rows that go and come ---- */

static bool not_each_fifth(uint32_t row)
{
    return row % 5 != 2;
}

static void test_removed_rows_are_not_found_and_come_back(void **state)
{
    sx_error error = {0};
    random_state = 88172645463325252u + 17;
    row_set set = make_rows(4000, 48, true);
    for (int kind = SX_HNSW_F32; kind <= SX_HNSW_CODES; kind += 2) {
        sx_hnsw *graph = build(&set, (sx_hnsw_kind)kind, kernels_here, NULL);
        uint32_t *gone = calloc(set.count, sizeof *gone);
        size_t count = 0;
        double before = recall(graph, &set, NULL, 64);
        for (uint32_t i = 0; i < set.count; i++)
            if (!not_each_fifth(i))
                gone[count++] = i;
        OK(sx_hnsw_remove(graph, gone, count, &error));
        assert_int_equal(sx_hnsw_remove(graph, gone, 1, &error), SX_E_NOT_FOUND);
        assert_int_equal(sx_hnsw_count(graph), set.count - count);
        check_recall(graph, &set, not_each_fifth, 120, 0.97, "removed");
        OK(sx_hnsw_repair(graph, NULL, &error));
        check_recall(graph, &set, not_each_fifth, 96, 0.97, "repaired");
        OK(sx_hnsw_insert(graph, gone, count, NULL, &error));
        assert_int_equal(sx_hnsw_insert(graph, gone, 1, NULL, &error), SX_E_INVALID);
        check_recall(graph, &set, NULL, 64, before - 0.002, "inserted again");
        /* Without a repair in between: insert sees to it. */
        OK(sx_hnsw_remove(graph, gone, count, &error));
        OK(sx_hnsw_insert(graph, gone, count, NULL, &error));
        check_recall(graph, &set, NULL, 64, before - 0.002, "and again");
        free(gone);
        sx_hnsw_close(graph);
    }
    free_rows(&set);
}

static float product(const row_set *set, uint32_t a, uint32_t b)
{
    float sum = 0.0f;
    for (uint32_t k = 0; k < set->dimensions; k++)
        sum += set->floats[a * set->dimensions + k] * set->floats[b * set->dimensions + k];
    return sum;
}

static bool is_among(const uint32_t *list, size_t length, uint32_t place)
{
    for (size_t i = 0; i < length; i++)
        if (list[i] == place)
            return true;
    return false;
}

/* Whether a repaired list has room for a neighbour of a removed one that none of the list keeps out. */
static bool misses_one(const sx_hnsw *graph, const row_set *set, const uint32_t *old, uint32_t place, const unsigned char *gone)
{
    size_t width = graph->width;
    const uint32_t *list = sx_hnsw_list(graph, place, 0), *before = old + place * width;
    size_t length = sx_hnsw_list_length(list, width);
    for (size_t i = 0; i < width && before[i] != SX_HNSW_END && length < width; i++)
        for (size_t j = 0; gone[before[i]] && j < width; j++) {
            uint32_t candidate = old[before[i] * width + j];
            if (candidate == SX_HNSW_END)
                break;
            if (gone[candidate] || candidate == place || is_among(list, length, candidate))
                continue;
            bool out = false;
            for (size_t k = 0; k < length && !out; k++)
                out = product(set, candidate, list[k]) > product(set, candidate, place) - 1e-5f;
            if (!out)
                return true;
        }
    return false;
}

/* A list that lost neighbours takes in all that lead elsewhere, not just as many as went. */
static void test_repairing_does_not_thin_the_graph_out(void **state)
{
    sx_error error = {0};
    random_state = 88172645463325252u + 25;
    row_set set = make_rows(3000, 32, true);
    sx_hnsw *graph = build(&set, SX_HNSW_F32, kernels_here, NULL);
    size_t bytes = set.count * graph->width * sizeof(uint32_t), lists = 0, missing = 0, count = 0;
    uint32_t *old = malloc(bytes), *places = calloc(set.count, sizeof *places);
    unsigned char *gone = calloc(set.count, 1);
    memcpy(old, graph->lists, bytes);
    for (uint32_t i = 0; i < set.count; i++)
        if (!not_each_fifth(i))
            gone[places[count++] = i] = 1;
    OK(sx_hnsw_remove(graph, places, count, &error));
    OK(sx_hnsw_repair(graph, NULL, &error));
    for (uint32_t i = 0; i < set.count; i++) {
        lists += !gone[i];
        missing += !gone[i] && misses_one(graph, &set, old, i, gone);
    }
    if (missing)
        fail_msg("%zu of %zu lists have room for one that none keeps out", missing, lists);
    free(old);
    free(places);
    free(gone);
    sx_hnsw_close(graph);
    free_rows(&set);
}

static void test_everything_goes(void **state)
{
    sx_error error = {0};
    random_state = 88172645463325252u + 18;
    row_set set = make_rows(500, 16, true);
    sx_hnsw *graph = build(&set, SX_HNSW_CODES, kernels_here, NULL);
    sx_hnsw_searcher *searcher;
    const sx_ranked *found;
    size_t count;
    uint32_t *places = all_places(set.count);
    OK(sx_hnsw_searcher_open(graph, &searcher, &error));
    OK(sx_hnsw_remove(graph, places + 1, set.count - 1, &error));
    OK(sx_hnsw_repair(graph, NULL, &error));
    OK(sx_hnsw_search(searcher, set.floats, 10, &found, &count, &error));
    assert_int_equal(count, 1);
    assert_int_equal(found[0].id, 0);
    OK(sx_hnsw_remove(graph, places, 1, &error));
    OK(sx_hnsw_search(searcher, set.floats, 10, &found, &count, &error));
    assert_int_equal(count, 0);
    OK(sx_hnsw_insert(graph, places, set.count, NULL, &error));
    check_recall(graph, &set, NULL, 96, 0.99, "filled again");
    sx_hnsw_searcher_close(searcher);
    sx_hnsw_close(graph);
    free(places);
    free_rows(&set);
}

static void test_a_graph_is_carried_over(void **state)
{
    sx_error error = {0};
    random_state = 88172645463325252u + 19;
    row_set set = make_rows(3000, 40, true);
    row_set old = set;
    old.count = 2500;
    sx_hnsw *graph, *first = build(&old, SX_HNSW_CODES, kernels_here, NULL);
    /* Each fifth row goes, those behind it move up. */
    uint32_t *map = calloc(old.count, sizeof *map), *fresh = calloc(set.count, sizeof *fresh);
    row_set moved = make_rows(set.count, 40, false);
    moved.count = 0;
    size_t fresh_count = 0;
    for (uint32_t i = 0; i < set.count; i++) {
        bool stays = i >= old.count || not_each_fifth(i);
        if (i < old.count)
            map[i] = stays ? (uint32_t)moved.count : SX_HNSW_NOWHERE;
        if (!stays)
            continue;
        if (i >= old.count)
            fresh[fresh_count++] = (uint32_t)moved.count;
        memcpy(moved.floats + moved.count * 40, set.floats + (size_t)i * 40, 40 * sizeof(float));
        set_row(&moved, moved.count++);
    }
    sx_hnsw_rows rows = as_rows(&moved, SX_HNSW_CODES);
    OK(sx_hnsw_create(NULL, &rows, moved.count, kernels_here, &graph, &error));
    OK(sx_hnsw_adopt(graph, first, map, NULL, &error));
    assert_int_equal(sx_hnsw_count(graph), moved.count - fresh_count);
    OK(sx_hnsw_insert(graph, fresh, fresh_count, NULL, &error));
    check_recall(graph, &moved, NULL, 96, 0.98, "carried over");
    map[5] = 0;
    assert_int_equal(sx_hnsw_adopt(graph, first, map, NULL, &error), SX_E_INVALID);
    sx_hnsw_close(graph);
    sx_hnsw_close(first);
    free(map);
    free(fresh);
    free_rows(&moved);
    free_rows(&set);
}

/* ---- Files ---- */

static char graph_path[64];

static void test_a_file_is_the_same_graph(void **state)
{
    sx_error error = {0};
    random_state = 88172645463325252u + 20;
    row_set set = make_rows(1500, 40, true);
    for (int kind = SX_HNSW_F32; kind <= SX_HNSW_CODES; kind++) {
        sx_hnsw_rows rows = as_rows(&set, (sx_hnsw_kind)kind);
        sx_hnsw *graph = build(&set, (sx_hnsw_kind)kind, kernels_here, NULL), *mapped;
        OK(sx_hnsw_save(graph, graph_path, NULL, 99, NULL, &error));
        rows.scales = NULL; /* the file's own */
        assert_int_equal(sx_hnsw_open(graph_path, 98, &rows, set.count, kernels_here, &mapped, &error), SX_E_FORMAT);
        assert_int_equal(sx_hnsw_open(graph_path, 99, &rows, set.count - 1, kernels_here, &mapped, &error), SX_E_FORMAT);
        OK(sx_hnsw_open(graph_path, 99, &rows, set.count, kernels_here, &mapped, &error));
        assert_int_equal(sx_hnsw_count(mapped), set.count);
        sx_hnsw_searcher *one, *other;
        OK(sx_hnsw_searcher_open(graph, &one, &error));
        OK(sx_hnsw_searcher_open(mapped, &other, &error));
        for (size_t q = 0; q < 50; q++) {
            const sx_ranked *found, *again;
            size_t count, again_count;
            const float *query = set.floats + next_random() % set.count * set.dimensions;
            OK(sx_hnsw_search(one, query, 40, &found, &count, &error));
            OK(sx_hnsw_search(other, query, 40, &again, &again_count, &error));
            assert_int_equal(count, again_count);
            for (size_t i = 0; i < count; i++)
                assert_true(found[i].id == again[i].id && found[i].score == again[i].score);
        }
        uint32_t place = 3;
        assert_int_equal(sx_hnsw_insert(mapped, &place, 1, NULL, &error), SX_E_INVALID);
        assert_int_equal(sx_hnsw_remove(mapped, &place, 1, &error), SX_E_INVALID);
        sx_hnsw_searcher_close(one);
        sx_hnsw_searcher_close(other);
        sx_hnsw_close(mapped);
        sx_hnsw_close(graph);
    }
    unlink(graph_path);
    free_rows(&set);
}

/* Opens and searches all over; whether any of it noticed the damage. */
static bool damage_is_noticed(const row_set *set, uint64_t identity)
{
    sx_error error = {0};
    sx_hnsw_rows rows = as_rows(set, SX_HNSW_CODES);
    sx_hnsw *graph;
    sx_hnsw_searcher *searcher;
    const sx_ranked *found;
    size_t count;
    sx_status status = sx_hnsw_open(graph_path, identity, &rows, set->count, kernels_here, &graph, &error);
    if (status)
        return status == SX_E_FORMAT;
    OK(sx_hnsw_searcher_open(graph, &searcher, &error));
    status = sx_hnsw_search(searcher, set->floats, set->count, &found, &count, &error);
    sx_hnsw_searcher_close(searcher);
    sx_hnsw_close(graph);
    return status == SX_E_FORMAT;
}

static void test_every_damaged_byte_is_noticed(void **state)
{
    sx_error error = {0};
    random_state = 88172645463325252u + 21;
    row_set set = make_rows(120, 16, false);
    sx_hnsw *graph = build(&set, SX_HNSW_CODES, kernels_here, NULL);
    char *data;
    size_t length;
    OK(sx_hnsw_save(graph, graph_path, NULL, 99, NULL, &error));
    sx_hnsw_close(graph);
    OK(sx_file_read(graph_path, SIZE_MAX, &data, &length, NULL, &error));
    assert_false(damage_is_noticed(&set, 99));
    int descriptor = open(graph_path, O_RDWR);
    assert_true(descriptor >= 0);
    for (size_t i = 0; i < length; i++) {
        char flipped = (char)(data[i] ^ (1 << i % 8));
        assert_int_equal(pwrite(descriptor, &flipped, 1, (off_t)i), 1);
        if (!damage_is_noticed(&set, 99))
            fail_msg("byte %zu of %zu: damage not noticed", i, length);
        assert_int_equal(pwrite(descriptor, &data[i], 1, (off_t)i), 1);
    }
    for (size_t cut = 0; cut < length; cut += 1 + cut / 7) {
        assert_int_equal(ftruncate(descriptor, (off_t)cut), 0);
        assert_true(damage_is_noticed(&set, 99));
        assert_int_equal(pwrite(descriptor, data, length, 0), (ssize_t)length);
    }
    assert_false(damage_is_noticed(&set, 99));
    close(descriptor);
    unlink(graph_path);
    free(data);
    free_rows(&set);
}

/* ---- Threads ---- */

typedef struct crowd {
    sx_hnsw *graph;
    const row_set *set;
    atomic_bool ended;
    atomic_size_t searches;
} crowd;

static void *search_on(void *user)
{
    crowd *all = user;
    sx_error error = {0};
    sx_hnsw_searcher *searcher;
    const sx_ranked *found;
    size_t count;
    OK(sx_hnsw_searcher_open(all->graph, &searcher, &error));
    for (size_t i = 0; !atomic_load(&all->ended); i++) {
        OK(sx_hnsw_search(searcher, all->set->floats + i * 7 % all->set->count * all->set->dimensions, 20, &found, &count, &error));
        for (size_t j = 0; j < count; j++)
            assert_true((size_t)found[j].id < all->set->count);
        atomic_fetch_add(&all->searches, 1);
    }
    sx_hnsw_searcher_close(searcher);
    return NULL;
}

typedef struct inserter {
    sx_hnsw *graph;
    uint32_t *places;
    size_t count;
} inserter;

static void *insert_some(void *user)
{
    inserter *mine = user;
    sx_error error = {0};
    for (size_t done = 0; done < mine->count; done += 50) {
        size_t part = mine->count - done < 50 ? mine->count - done : 50;
        OK(sx_hnsw_insert(mine->graph, mine->places + done, part, NULL, &error));
        if (done % 200 == 0) {
            OK(sx_hnsw_remove(mine->graph, mine->places + done, part, &error));
            OK(sx_hnsw_insert(mine->graph, mine->places + done, part, NULL, &error));
        }
    }
    return NULL;
}

static void test_threads_search_beside_changes(void **state)
{
    sx_error error = {0};
    random_state = 88172645463325252u + 22;
    row_set set = make_rows(1000, 24, true);
    sx_hnsw_rows rows = as_rows(&set, SX_HNSW_CODES);
    uint32_t *places = all_places(set.count);
    crowd all = {.set = &set};
    inserter halves[2];
    pthread_t searching[2], inserting[2];
    OK(sx_hnsw_create(NULL, &rows, set.count, kernels_here, &all.graph, &error));
    for (size_t i = 0; i < 2; i++) {
        halves[i] = (inserter){all.graph, places + i * 500, 500};
        assert_int_equal(pthread_create(&searching[i], NULL, search_on, &all), 0);
        assert_int_equal(pthread_create(&inserting[i], NULL, insert_some, &halves[i]), 0);
    }
    for (size_t i = 0; i < 2; i++)
        pthread_join(inserting[i], NULL);
    atomic_store(&all.ended, true);
    for (size_t i = 0; i < 2; i++)
        pthread_join(searching[i], NULL);
    assert_true(atomic_load(&all.searches) > 0);
    assert_int_equal(sx_hnsw_count(all.graph), set.count);
    check_recall(all.graph, &set, NULL, 96, 0.98, "made while searched");
    sx_hnsw_close(all.graph);
    free(places);
    free_rows(&set);
}

/* ---- What is refused ---- */

static void test_wrong_use_is_refused(void **state)
{
    sx_error error = {0};
    random_state = 88172645463325252u + 23;
    row_set set = make_rows(10, 8, false);
    sx_hnsw_rows rows = as_rows(&set, SX_HNSW_CODES), bad = rows;
    sx_hnsw *graph;
    bad.scales = NULL;
    assert_int_equal(sx_hnsw_create(NULL, &bad, 10, kernels_here, &graph, &error), SX_E_INVALID);
    assert_int_equal(sx_hnsw_create(&(sx_hnsw_options){.links = 1}, &rows, 10, kernels_here, &graph, &error), SX_E_INVALID);
    assert_int_equal(sx_hnsw_create(NULL, &rows, (size_t)1 << 40, kernels_here, &graph, &error), SX_E_LIMIT);
    OK(sx_hnsw_create(NULL, &rows, 10, kernels_here, &graph, &error));
    const uint32_t twice[] = {1, 2, 1}, beyond[] = {1, 10};
    assert_int_equal(sx_hnsw_insert(graph, twice, 3, NULL, &error), SX_E_INVALID);
    assert_int_equal(sx_hnsw_insert(graph, beyond, 2, NULL, &error), SX_E_INVALID);
    assert_int_equal(sx_hnsw_count(graph), 0);
    OK(sx_hnsw_insert(graph, twice, 2, NULL, &error));
    sx_hnsw_close(graph);
    free_rows(&set);
}

int main(void)
{
    kernels_here = sx_dot_kernels_for(0);
    snprintf(graph_path, sizeof graph_path, "/tmp/sextant-graph-%ld.sxg", (long)getpid());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_what_exact_search_finds),
        cmocka_unit_test(test_instruction_sets_make_the_same_graph_of_codes),
        cmocka_unit_test(test_threads_make_the_same_graph),
        cmocka_unit_test(test_small_graphs_and_odd_widths),
        cmocka_unit_test(test_copies_are_no_island),
        cmocka_unit_test(test_copies_go_and_come),
        cmocka_unit_test(test_distance_by_biases),
        cmocka_unit_test(test_removed_rows_are_not_found_and_come_back),
        cmocka_unit_test(test_repairing_does_not_thin_the_graph_out),
        cmocka_unit_test(test_everything_goes),
        cmocka_unit_test(test_a_graph_is_carried_over),
        cmocka_unit_test(test_a_file_is_the_same_graph),
        cmocka_unit_test(test_every_damaged_byte_is_noticed),
        cmocka_unit_test(test_threads_search_beside_changes),
        cmocka_unit_test(test_wrong_use_is_refused),
    };
#ifdef __SANITIZE_THREAD__
    cmocka_set_test_filter("test_threads*"); /* the others work in one thread and would take minutes each */
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
