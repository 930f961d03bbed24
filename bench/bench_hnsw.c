/* bench_hnsw.c - the graph index under commands, so that a script can measure it in turns with other libraries
 * (beside_vector_search.py).
 *
 * usage: bench_hnsw VECTORS.npy QUERIES.npy THREADS KIND [LINKS [EF_CONSTRUCTION]]     KIND: f32 or codes
 * Both files: float32 in C order, rows of length 1. Reads commands from standard input, a line each, and answers with a line:
 *   build              seconds, bytes of graph and codes
 *   search EF OUT      seconds by the clock, of the processor; the ten best ids of each query go to OUT as int32
 *   filter SHARE EF OUT the same among the rows whose shuffled number is below SHARE of them; EF 0: the rule's choice
 *   churn SHARE        removes so many rows, repairs, and inserts them again: seconds of each
 *   save PATH          seconds
 *   open PATH          seconds; the graph is then the file's
 */
#include "base/file.h"
#include "base/memory.h"
#include "vec/codes.h"
#include "vec/exact.h"
#include "vec/hnsw.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { K = 10, RESCORED = 24, AT_ONCE = 8 };

typedef struct matrix {
    sx_file_map map;
    const float *data;
    size_t rows, width;
} matrix;

typedef struct bench {
    matrix vectors, queries;
    const sx_dot_kernels *kernels;
    sx_thread_pool *pool;
    unsigned threads;
    sx_hnsw_options options;
    bool coded;
    size_t padded;
    uint8_t *codes;
    float *scales;
    sx_hnsw_rows rows;
    sx_hnsw *graph;
    sx_hnsw_searcher *searchers[64];
    unsigned char *allowed; /* per row, while a filter is measured */
    int64_t *allowed_ids;
    size_t allowed_count;
    size_t ef;
    int32_t *found; /* queries x K */
    atomic_size_t next;
} bench;

static void fail(const char *what, const sx_error *error)
{
    fprintf(stderr, "bench_hnsw: %s: %s\n", what, error ? error->message : "failed");
    exit(1);
}

static void load(const char *path, matrix *out)
{
    sx_error error = {0};
    if (sx_file_map_open(path, &out->map, &error))
        fail(path, &error);
    const unsigned char *data = out->map.data;
    size_t header = data[8] | (size_t)data[9] << 8;
    char text[256] = {0};
    memcpy(text, data + 10, header < sizeof text - 1 ? header : sizeof text - 1);
    const char *shape = strstr(text, "'shape': (");
    if (!strstr(text, "'<f4'") || !shape || sscanf(shape, "'shape': (%zu, %zu)", &out->rows, &out->width) != 2 ||
        out->map.length < 10 + header + out->rows * out->width * sizeof(float))
        fail(path, NULL);
    out->data = (const float *)(const void *)(data + 10 + header);
}

static double clock_of(clockid_t which)
{
    struct timespec time;
    clock_gettime(which, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static double now(void)
{
    return clock_of(CLOCK_MONOTONIC);
}

/* ---- Building ---- */

static void encode(void *user, unsigned worker)
{
    bench *b = user;
    size_t first, width = b->vectors.width;
    (void)worker;
    while ((first = atomic_fetch_add(&b->next, 1024)) < b->vectors.rows)
        for (size_t i = first; i < first + 1024 && i < b->vectors.rows; i++)
            b->scales[i] = sx_row_encode(b->vectors.data + i * width, width, b->padded, b->codes + i * b->padded).scale;
}

static void open_searchers(bench *b)
{
    sx_error error = {0};
    for (unsigned i = 0; i < b->threads; i++) {
        sx_hnsw_searcher_close(b->searchers[i]);
        if (sx_hnsw_searcher_open(b->graph, &b->searchers[i], &error))
            fail("searcher", &error);
    }
}

static void build(bench *b)
{
    sx_error error = {0};
    size_t count = b->vectors.rows, width = b->vectors.width;
    uint32_t *places = sx_calloc(count, sizeof *places);
    double start = now();
    if (b->coded) {
        free(b->codes);
        free(b->scales);
        b->codes = sx_aligned_calloc(64, count, b->padded);
        b->scales = sx_calloc(count, sizeof *b->scales);
        atomic_store(&b->next, 0);
        sx_thread_pool_offer(b->pool, encode, b);
        b->rows = (sx_hnsw_rows){.kind = SX_HNSW_CODES, .dimensions = (uint32_t)width, .rows = b->codes, .row_bytes = b->padded,
                                 .block_shift = 32, .scales = b->scales};
    } else {
        b->rows = (sx_hnsw_rows){.kind = SX_HNSW_F32, .dimensions = (uint32_t)width, .rows = b->vectors.data,
                                 .row_bytes = width * sizeof(float), .block_shift = 32};
    }
    for (size_t i = 0; i < count; i++)
        places[i] = (uint32_t)i;
    sx_hnsw_close(b->graph);
    if (sx_hnsw_create(&b->options, &b->rows, count, b->kernels, &b->graph, &error) ||
        sx_hnsw_insert(b->graph, places, count, b->pool, &error))
        fail("build", &error);
    double took = now() - start;
    free(places);
    open_searchers(b);
    printf("%.3f %zu\n", took, sx_hnsw_bytes(b->graph) + (b->coded ? count * (b->padded + sizeof(float)) : 0));
}

/* ---- Searching ---- */

static void answer(bench *b, unsigned worker, size_t query)
{
    const float *floats = b->queries.data + query * b->queries.width;
    const sx_ranked *found;
    size_t count, scored = 0, width = b->vectors.width;
    sx_topk topk;
    sx_error error = {0};
    if (!sx_topk_open(&topk, K))
        fail("topk", NULL);
    if (b->ef) {
        if (sx_hnsw_search(b->searchers[worker], floats, b->ef, &found, &count, &error))
            fail("search", &error);
        for (size_t i = 0; i < count && (!b->coded || scored < RESCORED); i++) {
            int64_t id = found[i].id;
            if (b->allowed && !b->allowed[id])
                continue;
            scored++;
            if (b->coded)
                sx_exact_scan(b->kernels, floats, width, b->vectors.data + (size_t)id * width, width, &id, 1, NULL, &topk);
            else
                sx_topk_offer(&topk, id, found[i].score);
        }
    } else {
        for (size_t i = 0; i < b->allowed_count; i++)
            sx_exact_scan(b->kernels, floats, width, b->vectors.data + (size_t)b->allowed_ids[i] * width, width,
                          &b->allowed_ids[i], 1, NULL, &topk);
    }
    sx_topk_sort(&topk);
    for (size_t i = 0; i < K; i++)
        b->found[query * K + i] = i < topk.count ? (int32_t)topk.items[i].id : -1;
    sx_topk_close(&topk);
}

static void answer_some(void *user, unsigned worker)
{
    bench *b = user;
    size_t first;
    while ((first = atomic_fetch_add(&b->next, AT_ONCE)) < b->queries.rows)
        for (size_t i = first; i < first + AT_ONCE && i < b->queries.rows; i++)
            answer(b, worker, i);
}

static void search(bench *b, size_t ef, const char *path)
{
    double start = now(), used = clock_of(CLOCK_PROCESS_CPUTIME_ID);
    b->ef = ef;
    atomic_store(&b->next, 0);
    sx_thread_pool_run(b->pool, answer_some, b);
    double took = now() - start;
    used = clock_of(CLOCK_PROCESS_CPUTIME_ID) - used;
    FILE *out = fopen(path, "wb");
    if (!out || fwrite(b->found, sizeof *b->found, b->queries.rows * K, out) != b->queries.rows * K || fclose(out) != 0)
        fail(path, NULL);
    printf("%.6f %.6f %zu\n", took, used, ef);
}

/* A random order of the rows, always the same. */
static uint64_t shuffled(size_t row)
{
    uint64_t x = (row + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9u;
    return (x ^ x >> 32) >> 11;
}

static void filter(bench *b, double share, size_t ef, const char *path)
{
    b->allowed = sx_calloc(b->vectors.rows, 1);
    b->allowed_ids = sx_calloc(b->vectors.rows, sizeof *b->allowed_ids);
    b->allowed_count = 0;
    for (size_t i = 0; i < b->vectors.rows; i++)
        if ((double)shuffled(i) * 0x1p-53 < share) {
            b->allowed[i] = 1;
            b->allowed_ids[b->allowed_count++] = (int64_t)i;
        }
    if (!ef)
        ef = sx_hnsw_filter_ef(SX_HNSW_EF_SEARCH, b->allowed_count, b->vectors.rows);
    search(b, ef, path);
    free(b->allowed);
    free(b->allowed_ids);
    b->allowed = NULL;
}

static void churn(bench *b, double share)
{
    sx_error error = {0};
    uint32_t *places = sx_calloc(b->vectors.rows, sizeof *places);
    size_t count = 0;
    for (size_t i = 0; i < b->vectors.rows; i++)
        if ((double)shuffled(i) * 0x1p-53 < share)
            places[count++] = (uint32_t)i;
    double start = now();
    if (sx_hnsw_remove(b->graph, places, count, &error) || sx_hnsw_repair(b->graph, b->pool, &error))
        fail("remove", &error);
    double middle = now();
    if (sx_hnsw_insert(b->graph, places, count, b->pool, &error))
        fail("insert", &error);
    printf("%.3f %.3f\n", middle - start, now() - middle);
    free(places);
}

static void open_again(bench *b, const char *path)
{
    sx_error error = {0};
    sx_hnsw *graph;
    double start = now();
    if (sx_hnsw_open(path, 1, &b->rows, b->vectors.rows, b->kernels, &graph, &error))
        fail(path, &error);
    printf("%.6f\n", now() - start);
    sx_hnsw_close(b->graph);
    b->graph = graph;
    open_searchers(b);
}

int main(int count, char **arguments)
{
    static bench b;
    char line[512], path[256];
    sx_error error = {0};
    size_t ef;
    double share;
    if (count < 5)
        fail("usage: bench_hnsw VECTORS.npy QUERIES.npy THREADS KIND [LINKS [EF_CONSTRUCTION]]", NULL);
    load(arguments[1], &b.vectors);
    load(arguments[2], &b.queries);
    b.threads = (unsigned)atoi(arguments[3]);
    b.coded = strcmp(arguments[4], "codes") == 0;
    b.options = (sx_hnsw_options){count > 5 ? (uint32_t)atoi(arguments[5]) : 0, count > 6 ? (uint32_t)atoi(arguments[6]) : 0};
    b.kernels = sx_dot_kernels_for(0);
    b.padded = sx_code_dimensions(b.vectors.width);
    b.found = sx_calloc(b.queries.rows * K, sizeof *b.found);
    if (b.threads < 1 || b.threads > sizeof b.searchers / sizeof *b.searchers || b.vectors.width != b.queries.width)
        fail("threads or widths", NULL);
    if (sx_thread_pool_open(b.threads, &b.pool, &error))
        fail("threads", &error);
    while (fgets(line, sizeof line, stdin)) {
        if (strncmp(line, "build", 5) == 0)
            build(&b);
        else if (!b.graph && strncmp(line, "open", 4) != 0)
            fail("no graph yet", NULL);
        else if (sscanf(line, "search %zu %255s", &ef, path) == 2)
            search(&b, ef, path);
        else if (sscanf(line, "filter %lf %zu %255s", &share, &ef, path) == 3)
            filter(&b, share, ef, path);
        else if (sscanf(line, "churn %lf", &share) == 1)
            churn(&b, share);
        else if (sscanf(line, "save %255s", path) == 1) {
            double start = now();
            if (sx_hnsw_save(b.graph, path, NULL, 1, b.pool, &error))
                fail(path, &error);
            printf("%.6f\n", now() - start);
        } else if (sscanf(line, "open %255s", path) == 1)
            open_again(&b, path);
        else
            fail(line, NULL);
        fflush(stdout);
    }
    return 0;
}
