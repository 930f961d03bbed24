/* bench_vector_store.c - how fast vectors go into a vector database and how well they are found there.
 *
 *     bench_vector_store URL [RECORDS [DIMENSIONS [KEY]]]     100,000 of 384 unless said otherwise
 *
 * Vectors of length 1 in 1,000 clusters (as texts have them), texts of some 200 bytes, three metadata. Written in calls of 5,000,
 * then 200 queries for the 10 nearest, compared with an exact search here. The collection bench_vector_store is dropped before
 * and after.
 */
#include "../src/vectordb/vector_store.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CLUSTERS = 1000, CALL = 5000, QUERIES = 200, NEAREST = 10 };
static const char name[] = "bench_vector_store";
static uint64_t state = 88172645463325252u;

static double uniform(void)
{
    state ^= state << 13; /* xorshift64 */
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) / 9007199254740992.0;
}

static double normal(void)
{
    return sqrt(-2 * log(1 - uniform())) * cos(6.283185307179586 * uniform());
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void check(sx_status status, const sx_error *error)
{
    if (!status)
        return;
    fprintf(stderr, "%s\n", error->message);
    exit(1);
}

static void make_vector(const float *centres, size_t dimensions, float *vector)
{
    const float *centre = centres + (size_t)(uniform() * CLUSTERS) * dimensions;
    double sum = 0;
    for (size_t d = 0; d < dimensions; d++) {
        vector[d] = centre[d] + 0.7f * (float)normal();
        sum += (double)vector[d] * (double)vector[d];
    }
    for (size_t d = 0; d < dimensions; d++)
        vector[d] = (float)((double)vector[d] / sqrt(sum));
}

static void load(sx_vector_store *store, const float *vectors, size_t from, size_t count, size_t dimensions)
{
    sx_vector_record *records = calloc(count, sizeof *records);
    char(*ids)[24] = calloc(count, sizeof *ids), (*texts)[240] = calloc(count, sizeof *texts);
    char(*metadata)[96] = calloc(count, sizeof *metadata);
    sx_error error;
    for (size_t i = 0; i < count; i++) {
        size_t number = from + i;
        snprintf(ids[i], sizeof ids[i], "chunk-%zu", number);
        snprintf(texts[i], sizeof texts[i], "Chunk %zu of a measured collection. %0160zu", number, number);
        snprintf(metadata[i], sizeof metadata[i], "{\"number\":%zu,\"language\":\"%s\",\"page\":%zu}", number,
                 number % 3 ? "en" : "de", number % 40);
        sx_text text = {texts[i], strlen(texts[i])};
        records[i] = (sx_vector_record){ids[i], "folder/document.md", text, metadata[i], vectors + number * dimensions};
    }
    check(store->class->upsert(store, name, records, count, &error), &error);
    free(records);
    free(ids);
    free(texts);
    free(metadata);
}

/* The NEAREST-th largest similarity to the query. */
static float limit_of(const float *vectors, size_t count, size_t dimensions, const float *query)
{
    float best[NEAREST];
    for (int i = 0; i < NEAREST; i++)
        best[i] = -2;
    for (size_t n = 0; n < count; n++) {
        const float *vector = vectors + n * dimensions;
        float dot = 0;
        for (size_t d = 0; d < dimensions; d++)
            dot += vector[d] * query[d];
        int at = NEAREST - 1;
        if (dot <= best[at])
            continue;
        for (; at > 0 && best[at - 1] < dot; at--)
            best[at] = best[at - 1];
        best[at] = dot;
    }
    return best[NEAREST - 1];
}

static int compare(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;
    return first < second ? -1 : first > second;
}

int main(int argument_count, char **arguments)
{
    size_t count = argument_count > 2 ? strtoull(arguments[2], NULL, 10) : 100000;
    size_t dimensions = argument_count > 3 ? strtoull(arguments[3], NULL, 10) : 384;
    const sx_vector_store_options options = {.api_key = argument_count > 4 ? arguments[4] : NULL, .timeout_s = 600};
    sx_vector_store *store;
    sx_error error;
    if (argument_count < 2) {
        fprintf(stderr, "bench_vector_store URL [RECORDS [DIMENSIONS [KEY]]]\n");
        return 2;
    }
    float *centres = calloc(CLUSTERS * dimensions, sizeof *centres), *vectors = calloc(count * dimensions, sizeof *vectors);
    float *query = calloc(dimensions, sizeof *query);
    for (size_t i = 0; i < CLUSTERS * dimensions; i++)
        centres[i] = (float)normal();
    for (size_t i = 0; i < count; i++)
        make_vector(centres, dimensions, vectors + i * dimensions);
    check(sx_vector_store_open(arguments[1], &options, &store, &error), &error);
    sx_status dropped = store->class->drop(store, name, &error);
    check(dropped == SX_E_NOT_FOUND ? SX_OK : dropped, &error);
    const sx_vector_space space = {.dimensions = (uint32_t)dimensions, .model = "bench"};
    check(store->class->create(store, name, &space, &error), &error);
    double began = now();
    for (size_t from = 0; from < count; from += CALL) {
        load(store, vectors, from, count - from < CALL ? count - from : CALL, dimensions);
        fprintf(stderr, "\r%zu of %zu, %.0f s", from + CALL, count, now() - began);
    }
    double loaded = now();
    if (store->class->finish)
        check(store->class->finish(store, name, &error), &error);
    double finished = now(), times[QUERIES];
    sx_vector_space found_space;
    uint64_t there;
    check(store->class->describe(store, name, &found_space, &there, &error), &error);
    size_t found = 0;
    for (int q = 0; q < QUERIES; q++) {
        sx_vector_hit *hits;
        size_t hit_count;
        make_vector(centres, dimensions, query);
        double start = now();
        check(store->class->query(store, name, query, NEAREST, NULL, NULL, 0, &hits, &hit_count, &error), &error);
        times[q] = now() - start;
        float limit = limit_of(vectors, count, dimensions, query);
        for (size_t i = 0; i < hit_count; i++)
            found += hits[i].similarity >= (double)limit - 1e-6;
        sx_vector_hits_free(hits, hit_count);
    }
    qsort(times, QUERIES, sizeof *times, compare);
    printf("\n%s: %llu records x %zu: written in %.1f s (%.0f/s), finished in %.1f s; "
           "recall@%d %.4f, query %.1f ms (median), %.1f ms (p95)\n",
           store->name, (unsigned long long)there, dimensions, loaded - began, (double)count / (loaded - began),
           finished - loaded, NEAREST, (double)found / (QUERIES * NEAREST), times[QUERIES / 2] * 1e3,
           times[QUERIES * 95 / 100] * 1e3);
    check(store->class->drop(store, name, &error), &error);
    sx_vector_store_close(store);
    free(centres);
    free(vectors);
    free(query);
    return 0;
}
