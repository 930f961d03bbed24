/* bench_graph_rule.c - from how many rows on a segment's graph is quicker than its scan, and from which share of allowed rows.
 *
 * usage: bench_graph_rule VECTORS.npy QUERIES.npy THREADS ROWS...
 * For each number of rows a segment of the file's first ones and its graph are made in the current folder and removed. All queries
 * are answered in turns by scan and graph, ten best of room for 42 as a search wants them; printed: the least microseconds a query
 * of five rounds, of the processor and by the clock. With a filter: the scan of so many allowed rows, and graphs with the list that
 * finds as many candidates. VECTORS and QUERIES: float32 in C order, rows of length 1.
 */
#include "base/file.h"
#include "base/memory.h"
#include "vec/hnsw_segment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 42, ROUNDS = 5, QUERIES = 200 };

static const char segment_path[] = "bench-graph-rule.sxv", graph_path[] = "bench-graph-rule.sxg", new_path[] = "bench-graph-rule.new";

typedef struct bench {
    sx_file_map vectors_map, queries_map;
    const float *vectors, *queries;
    size_t rows, width, query_rows;
    sx_thread_pool *pool;
    sx_segment *segment;
    sx_segment_graph *graph;
    sx_topk topk;
    const sx_id_set *allowed;
    size_t ef; /* 0: scan */
    size_t declined;
} bench;

static void fail(const char *what, const sx_error *error)
{
    fprintf(stderr, "bench_graph_rule: %s: %s\n", what, error ? error->message : "failed");
    exit(1);
}

static const float *load(const char *path, sx_file_map *map, size_t *rows, size_t *width)
{
    sx_error error = {0};
    char text[256] = {0};
    if (sx_file_map_open(path, map, &error))
        fail(path, &error);
    size_t header = map->data[8] | (size_t)map->data[9] << 8;
    memcpy(text, map->data + 10, header < sizeof text - 1 ? header : sizeof text - 1);
    const char *shape = strstr(text, "'shape': (");
    if (!strstr(text, "'<f4'") || !shape || sscanf(shape, "'shape': (%zu, %zu)", rows, width) != 2 ||
        map->length < 10 + header + *rows * *width * sizeof(float))
        fail(path, NULL);
    return (const float *)(const void *)(map->data + 10 + header);
}

static double clock_of(clockid_t which)
{
    struct timespec time;
    clock_gettime(which, &time);
    return (double)time.tv_sec * 1e6 + 1e-3 * (double)time.tv_nsec;
}

static void make(bench *b, size_t rows)
{
    sx_error error = {0};
    sx_segment_writer *writer;
    uint64_t identity;
    sx_status status = sx_segment_create(segment_path, 1, (uint32_t)b->width, &writer, &error);
    for (size_t i = 0; i < rows && !status; i++)
        status = sx_segment_add(writer, (int64_t)i + 1, b->vectors + i * b->width, &error);
    if (!status)
        status = sx_segment_finish(writer, &identity, &error);
    sx_segment_writer_close(writer);
    if (!status)
        status = sx_segment_open(segment_path, identity, 1, (uint32_t)b->width, &b->segment, &error);
    if (!status)
        status = sx_segment_graph_build(b->segment, NULL, graph_path, new_path, NULL, b->pool, &error);
    if (!status)
        status = sx_segment_graph_open(b->segment, graph_path, &b->graph, &error);
    if (status)
        fail(segment_path, &error);
}

static void answer(bench *b, size_t query)
{
    sx_error error = {0};
    sx_exact_query prepared;
    sx_status status = sx_exact_query_open(&prepared, sx_dot_kernels_for(0), b->queries + query * b->width, (uint32_t)b->width, &error);
    bool done = true;
    sx_topk_reset(&b->topk);
    if (!status && b->ef)
        status = sx_segment_graph_search(b->graph, &prepared, b->ef, b->allowed, &b->topk, &done, &error);
    else if (!status)
        status = sx_segment_scan(b->segment, &prepared, b->allowed, b->pool, &b->topk, &error);
    if (status)
        fail("search", &error);
    b->declined += !done;
    sx_topk_sort(&b->topk);
    sx_exact_query_close(&prepared);
}

/* Both ways in turns. */
static void measure(bench *b, const char *what, size_t ef, const sx_id_set *allowed)
{
    double least[2][2] = {{1e18, 1e18}, {1e18, 1e18}};
    size_t queries = b->query_rows < QUERIES ? b->query_rows : QUERIES;
    for (int round = 0; round < ROUNDS; round++)
        for (int way = 0; way < 2; way++) {
            double used = clock_of(CLOCK_PROCESS_CPUTIME_ID), start = clock_of(CLOCK_MONOTONIC);
            b->ef = way ? ef : 0;
            b->allowed = way ? NULL : allowed;
            b->declined = 0;
            for (size_t i = 0; i < queries; i++)
                answer(b, i);
            start = (clock_of(CLOCK_MONOTONIC) - start) / (double)queries;
            used = (clock_of(CLOCK_PROCESS_CPUTIME_ID) - used) / (double)queries;
            least[way][0] = used < least[way][0] ? used : least[way][0];
            least[way][1] = start < least[way][1] ? start : least[way][1];
        }
    printf("%-28s scan %8.1f (%8.1f)  graph, ef %5zu %8.1f (%8.1f) us of processors (by the clock)%s\n", what, least[0][0], least[0][1],
           ef, least[1][0], least[1][1], b->declined ? ", declined" : "");
    fflush(stdout);
}

static void measure_filters(bench *b, size_t rows)
{
    static const size_t each[] = {2, 4, 6, 8, 10, 14, 20, 40, 100};
    int64_t *ids = sx_calloc(rows, sizeof *ids);
    if (!ids)
        fail("memory", NULL);
    for (size_t e = 0; e < sizeof each / sizeof *each; e++) {
        char what[64];
        sx_id_set allowed = {.ids = ids};
        for (size_t i = 0; i < rows; i += each[e])
            ids[allowed.count++] = (int64_t)i + 1;
        snprintf(what, sizeof what, "%zu rows, 1 of %zu allowed", rows, each[e]);
        measure(b, what, 96 * each[e], &allowed);
    }
    free(ids);
}

int main(int count, char **arguments)
{
    static bench b;
    sx_error error = {0};
    size_t width;
    if (count < 5)
        fail("usage: bench_graph_rule VECTORS.npy QUERIES.npy THREADS ROWS...", NULL);
    b.vectors = load(arguments[1], &b.vectors_map, &b.rows, &b.width);
    b.queries = load(arguments[2], &b.queries_map, &b.query_rows, &width);
    if (width != b.width || sx_thread_pool_open((unsigned)atoi(arguments[3]), &b.pool, &error) || !sx_topk_open(&b.topk, ROOM))
        fail("widths, threads or memory", &error);
    for (int i = 4; i < count; i++) {
        size_t rows = strtoull(arguments[i], NULL, 10);
        char what[64];
        if (!rows || rows > b.rows)
            fail(arguments[i], NULL);
        make(&b, rows);
        snprintf(what, sizeof what, "%zu rows", rows);
        measure(&b, what, 96, NULL);
        if (i + 1 == count)
            measure_filters(&b, rows);
        sx_segment_graph_close(b.graph);
        sx_segment_close(b.segment);
        unlink(segment_path);
        unlink(graph_path);
    }
    return 0;
}
