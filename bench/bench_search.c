/* bench_search.c - exact search beside the memory's speed.
 *
 * usage: bench_search [ROWS [DIMENSIONS [THREADS [SECONDS]]]]
 * For each kind of row (f32, f16, 8-bit codes) the kernel's time over all rows, the median of the rounds that fit into SECONDS
 * (default 1), and the bytes a second as a part of what plain reading reaches: measured in turns with it, median too. Then the
 * ten best of a segment of clustered vectors, by codes and by comparing every row, in turns; the segment is written to the
 * current folder and removed.
 */
#include "base/memory.h"
#include "base/thread_pool.h"
#include "vec/segment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 256, MOST_QUERIES = 8, MOST_ROUNDS = 1000 };

typedef enum row_kind { READING, F32, F16, CODES, KINDS } row_kind;
static const char *const kind_names[] = {"reading", "f32", "f16", "codes"};

typedef struct bench {
    const sx_dot_kernels *kernels;
    sx_thread_pool *pool;
    row_kind kind;
    size_t rows, dimensions, queries;
    unsigned char *data;
    float *query;
    int16_t *code_query;
    uint64_t sink[64];
} bench;

/* Of the clock; with one thread, of the processor: what other programs take of a busy machine then does not count. */
static double now(const bench *b)
{
    struct timespec time;
    clock_gettime(sx_thread_pool_size(b->pool) == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static size_t bytes_of_row(const bench *b, row_kind kind)
{
    return b->dimensions * (kind == CODES ? 1 : kind == F16 ? 2 : 4);
}

/* Every word once, in four streams. */
static uint64_t read_all(const uint64_t *data, size_t count)
{
    uint64_t sum[4][8] = {{0}};
    size_t part = count / 32 * 8;
    for (size_t i = 0; i < part; i += 8)
        for (size_t s = 0; s < 4; s++)
            for (size_t j = 0; j < 8; j++)
                sum[s][j] ^= data[s * part + i + j];
    uint64_t all = 0;
    for (size_t s = 0; s < 4; s++)
        for (size_t j = 0; j < 8; j++)
            all ^= sum[s][j];
    return all;
}

static void work(void *user, unsigned worker)
{
    bench *b = user;
    float out[MOST_QUERIES * BLOCK];
    size_t begin, end, row_bytes = bytes_of_row(b, b->kind);
    sx_share(b->rows, worker, sx_thread_pool_size(b->pool), &begin, &end);
    if (b->kind == READING) {
        b->sink[worker] += read_all((const uint64_t *)(const void *)(b->data + begin * row_bytes), (end - begin) * row_bytes / 8);
        return;
    }
    for (size_t i = begin; i < end; i += BLOCK) {
        size_t count = end - i < BLOCK ? end - i : BLOCK;
        const unsigned char *rows = b->data + i * row_bytes;
        sx_dot_job job = {.queries = b->query, .query_count = b->queries, .query_stride = b->dimensions, .rows = rows,
                          .count = count, .stride = b->dimensions, .dimensions = b->dimensions, .out = out, .out_stride = BLOCK};
        if (b->kind == F32)
            b->kernels->f32(&job);
        else if (b->kind == F16)
            b->kernels->f16(&job);
        else
            b->kernels->codes(&(sx_code_job){.queries = b->code_query, .query_count = b->queries, .rows = rows, .count = count,
                                             .stride = b->dimensions, .dimensions = b->dimensions, .out = (int32_t *)(void *)out,
                                             .out_stride = BLOCK});
        b->sink[worker] += (uint64_t)(out[0] > 0);
    }
}

static double run(bench *b, row_kind kind)
{
    b->kind = kind;
    double start = now(b);
    sx_thread_pool_run(b->pool, work, b);
    return now(b) - start;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void compare_with_reading(bench *b, row_kind kind, double seconds)
{
    static double plain[MOST_ROUNDS], taken[MOST_ROUNDS];
    size_t count = 0;
    double end = now(b) + seconds;
    run(b, kind);
    do {
        plain[count] = run(b, READING);
        taken[count++] = run(b, kind);
    } while (now(b) < end && count < MOST_ROUNDS);
    qsort(plain, count, sizeof *plain, compare);
    qsort(taken, count, sizeof *taken, compare);
    double reading = (double)(b->rows * bytes_of_row(b, READING)) / plain[count / 2] / 1e9;
    double speed = (double)(b->rows * bytes_of_row(b, kind)) / taken[count / 2] / 1e9;
    printf("%-6s %8zu x %-5zu %u threads %zu queries %9.3f ms %7.2f GB/s %4.0f %% of %.2f GB/s\n", kind_names[kind], b->rows,
           b->dimensions, sx_thread_pool_size(b->pool), b->queries, 1e3 * taken[count / 2], speed, 100 * speed / reading,
           reading);
}

/* ---- Whole searches ---- */

enum { CLUSTERS = 200, HITS = 10 };

static float noise(uint32_t *state)
{
    float sum = -2.0f; /* four even ones are round enough */
    for (int i = 0; i < 4; i++)
        sum += (float)((*state = *state * 1664525 + 1013904223) >> 8) * 0x1p-24f;
    return sum;
}

/* A row near the middle of its cluster, which depends on the seed alone. */
static void clustered(float *row, size_t dimensions, uint32_t seed, uint32_t *state)
{
    uint32_t centre = seed * 2654435761u + 1;
    for (size_t k = 0; k < dimensions; k++)
        row[k] = 0.8f * noise(&centre) + 0.6f * noise(state);
    sx_exact_normalize(row, dimensions);
}

static sx_status write_rows(const bench *b, const char *path, float *rows, int64_t *ids, sx_error *error)
{
    sx_segment_writer *writer;
    uint32_t state = 7;
    uint64_t identity;
    sx_status status = sx_segment_create(path, 1, (uint32_t)b->dimensions, &writer, error);
    for (size_t i = 0; i < b->rows && !status; i++) {
        ids[i] = (int64_t)i + 1;
        clustered(rows + i * b->dimensions, b->dimensions, noise(&state) > 0 ? i % CLUSTERS : i * 7 % CLUSTERS, &state);
        status = sx_segment_add(writer, ids[i], rows + i * b->dimensions, error);
    }
    if (!status)
        status = sx_segment_finish(writer, &identity, error);
    sx_segment_writer_close(writer);
    return status;
}

/* Both ways with new queries each round; they must agree. */
static sx_status compare_searches(bench *b, double seconds, sx_error *error)
{
    static const char path[] = "bench_search.sxv";
    static double coded[MOST_ROUNDS], plain[MOST_ROUNDS];
    float *rows = (float *)(void *)b->data;
    int64_t *ids = sx_calloc(b->rows, sizeof *ids);
    sx_segment *segment = NULL;
    sx_topk best[2] = {{0}, {0}};
    uint32_t state = 99;
    size_t count = 0;
    sx_status status = ids && sx_topk_open(&best[0], HITS) && sx_topk_open(&best[1], HITS) ? SX_OK : SX_E_NOMEM;
    if (!status && !(status = write_rows(b, path, rows, ids, error)))
        status = sx_segment_open_any(path, &segment, error);
    for (double end = now(b) + seconds; !status && (count < 3 || now(b) < end) && count < MOST_ROUNDS; count++) {
        sx_exact_query query;
        clustered(b->query, b->dimensions, state % CLUSTERS, &state);
        if ((status = sx_exact_query_open(&query, b->kernels, b->query, b->dimensions, error)))
            break;
        sx_topk_reset(&best[0]);
        sx_topk_reset(&best[1]);
        double start = now(b);
        status = sx_segment_scan(segment, &query, NULL, b->pool, &best[0], error);
        coded[count] = now(b) - start;
        start = now(b);
        sx_exact_scan(b->kernels, query.floats, b->dimensions, rows, b->dimensions, ids, b->rows, NULL, &best[1]);
        plain[count] = now(b) - start;
        sx_exact_query_close(&query);
        sx_topk_sort(&best[0]);
        sx_topk_sort(&best[1]);
        for (size_t i = 0; i < best[1].count; i++)
            if (best[0].items[i].id != best[1].items[i].id || best[0].items[i].score != best[1].items[i].score)
                printf("they differ at %zu\n", i);
    }
    if (!status) {
        qsort(coded, count, sizeof *coded, compare);
        qsort(plain, count, sizeof *plain, compare);
        printf("search %8zu x %-5zu by codes, %u threads %9.3f ms; every row, 1 thread %9.3f ms; %zu rounds\n", b->rows,
               b->dimensions, sx_thread_pool_size(b->pool), 1e3 * coded[count / 2], 1e3 * plain[count / 2], count);
    }
    unlink(path);
    sx_segment_close(segment);
    sx_topk_close(&best[0]);
    sx_topk_close(&best[1]);
    free(ids);
    return status;
}

int main(int argc, char **argv)
{
    bench b = {.kernels = sx_dot_kernels_for(0), .rows = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000,
               .dimensions = argc > 2 ? strtoul(argv[2], NULL, 10) : 384};
    unsigned threads = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 1;
    double seconds = argc > 4 ? strtod(argv[4], NULL) : 1;
    sx_error error;
    if (!b.rows || !b.dimensions || threads > 64 || sx_thread_pool_open(threads, &b.pool, &error)) {
        fprintf(stderr, "usage: bench_search [ROWS [DIMENSIONS [THREADS [SECONDS]]]]\n");
        return 2;
    }
    b.data = sx_aligned_calloc(4096, b.rows, b.dimensions * 4);
    b.query = sx_aligned_calloc(64, MOST_QUERIES * b.dimensions, sizeof *b.query);
    b.code_query = sx_aligned_calloc(64, MOST_QUERIES * sx_code_query_size(b.dimensions), sizeof *b.code_query);
    if (!b.data || !b.query || !b.code_query)
        return 1;
    uint32_t state = 1;
    for (size_t i = 0; i < b.rows * b.dimensions * 2; i++) /* halves of 1 to 2, which pairs of are moderate floats too */
        ((uint16_t *)(void *)b.data)[i] = (uint16_t)(0x3c00 | (state = state * 1664525 + 1013904223) >> 22);
    for (size_t i = 0; i < MOST_QUERIES * b.dimensions; i++)
        b.query[i] = (float)((state = state * 1664525 + 1013904223) >> 8) * 0x1p-24f - 0.5f;
    for (size_t q = 0; q < MOST_QUERIES; q++)
        sx_code_query_make(b.query + q * b.dimensions, b.dimensions, b.code_query + q * sx_code_query_size(b.dimensions));
    printf("kernels: %s\n", b.kernels->name);
    for (row_kind kind = F32; kind < KINDS; kind++)
        for (b.queries = 1; b.queries <= MOST_QUERIES; b.queries = b.queries == 1 ? 4 : 2 * b.queries)
            compare_with_reading(&b, kind, seconds);
    sx_status status = compare_searches(&b, seconds, &error);
    if (status)
        fprintf(stderr, "bench_search: %s\n", error.message);
    free(b.data);
    free(b.query);
    free(b.code_query);
    sx_thread_pool_close(b.pool);
    return status ? 1 : 0;
}
