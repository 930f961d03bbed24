/* bench_engine.c - how fast the encoder is on this machine, against the machine's measured peak.
 *
 * usage: bench_engine MODEL_FOLDER [SECONDS] [CPU_MASK]
 * Prints, for 1 and 2 threads: tokens a second for 64 texts of 128 tokens, 16 of 512 and a mix of lengths; milliseconds for
 * one query of 16 tokens; and the share of the peak of fused multiply-adds that this is. Token ids are random, so the
 * tokenizer is not in it. Every figure is the best of the rounds that fit into SECONDS (default 2).
 */
#include "model/encoder.h"
#include "model/model_folder.h"
#include "model/session_plan.h"

#include "base/clock.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TEXTS = 512, MAX_THREADS = 2, GROUP_TOKENS = 256 };

typedef struct bench {
    sx_model_folder folder;
    sx_tensors *file;
    sx_weights *weights;
    sx_encoder encoder;
    uint32_t *ids;
    double seconds;
    /* one measurement */
    sx_thread_pool *pool;
    sx_plan plan;
    sx_workspace spaces[MAX_THREADS];
    _Atomic size_t next;
    double peak;
} bench;

static double now(void)
{
    return 1e-9 * (double)sx_system_clock.monotonic_ns(sx_system_clock.user);
}

/* ---- Peak: fused multiply-adds between registers ---- */

typedef struct peak_job {
    uint64_t cpu;
    double seconds;
    double best[MAX_THREADS]; /* operations a second */
} peak_job;

/* ROUNDS of 12 independent chains, enough to hide the latency on two ports. */
enum { ROUNDS = 10000, CHAINS = 12 };

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static void multiply_add_512(void)
{
    __m512 x = _mm512_set1_ps(0.5f), sum[CHAINS];
#pragma GCC unroll 12
    for (int c = 0; c < CHAINS; c++)
        sum[c] = x;
    for (int i = 0; i < ROUNDS; i++) {
#pragma GCC unroll 12
        for (int c = 0; c < CHAINS; c++) {
            sum[c] = _mm512_fmadd_ps(sum[c], x, x);
            __asm__ volatile("" : "+v"(sum[c]));
        }
    }
}

__attribute__((target("avx2,fma"))) static void multiply_add_256(void)
{
    __m256 x = _mm256_set1_ps(0.5f), sum[CHAINS];
#pragma GCC unroll 12
    for (int c = 0; c < CHAINS; c++)
        sum[c] = x;
    for (int i = 0; i < ROUNDS; i++) {
#pragma GCC unroll 12
        for (int c = 0; c < CHAINS; c++) {
            sum[c] = _mm256_fmadd_ps(sum[c], x, x);
            __asm__ volatile("" : "+x"(sum[c]));
        }
    }
}
#endif

static void peak_work(void *user, unsigned worker)
{
    peak_job *job = user;
    double lanes = job->cpu == SX_CPU_AVX512 ? 16.0 : job->cpu == SX_CPU_AVX2 ? 8.0 : 0.0, end = now() + job->seconds, start;
    do {
        start = now();
#if defined(__x86_64__)
        if (lanes == 16.0)
            multiply_add_512();
        else if (lanes == 8.0)
            multiply_add_256();
#endif
        double rate = 2.0 * lanes * CHAINS * ROUNDS / (now() - start);
        job->best[worker] = rate > job->best[worker] ? rate : job->best[worker];
    } while (start < end);
}

/* ---- Passes ---- */

static void separate_work(void *user, unsigned worker)
{
    bench *b = user;
    for (size_t g; (g = atomic_fetch_add(&b->next, 1)) < b->plan.group_count;)
        sx_encoder_run(&b->encoder, b->plan.sequences + b->plan.groups[g].first, b->plan.groups[g].count, &b->spaces[worker],
                       NULL, 0, 1);
}

static void shared_work(void *user, unsigned worker)
{
    bench *b = user;
    for (size_t g = 0; g < b->plan.group_count; g++)
        sx_encoder_run(&b->encoder, b->plan.sequences + b->plan.groups[g].first, b->plan.groups[g].count, &b->spaces[0], b->pool,
                       worker, sx_thread_pool_size(b->pool));
}

static double operations_of(const bench *b, const uint32_t *lengths, size_t count)
{
    double hidden = (double)b->folder.architecture.hidden_size, middle = (double)b->folder.architecture.intermediate_size, total = 0.0;
    for (size_t i = 0; i < count; i++)
        total += 2.0 * lengths[i] * (4.0 * hidden * hidden + 2.0 * hidden * middle + 2.0 * hidden * lengths[i]);
    return total * (double)b->folder.architecture.layers;
}

static void measure(bench *b, const char *name, const uint32_t *lengths, size_t count)
{
    const uint32_t *ids[MAX_TEXTS];
    double best = 1e9, tokens = 0.0, end = now() + b->seconds;
    for (size_t i = 0; i < count; i++) {
        ids[i] = b->ids + i;
        tokens += lengths[i];
    }
    do {
        double start = now();
        sx_plan_make(&b->plan, lengths, ids, count);
        atomic_store(&b->next, 0);
        sx_thread_pool_run(b->pool, b->plan.shared ? shared_work : separate_work, b);
        double took = now() - start;
        best = took < best ? took : best;
    } while (now() < end);
    double rate = operations_of(b, lengths, count) / best / 1e9;
    printf("%-12s %u threads %9.2f ms %9.0f tokens/s %8.1f GFLOP/s %5.1f %% of peak%s\n", name, sx_thread_pool_size(b->pool),
           best * 1e3, tokens / best, rate, 100.0 * rate / b->peak, b->plan.shared ? " (shared)" : "");
}

static sx_status measure_all(bench *b, unsigned threads, sx_error *error)
{
    uint32_t lengths[MAX_TEXTS];
    size_t longest = b->folder.architecture.longest;
    sx_status status = sx_thread_pool_open(threads, &b->pool, error);
    if (!status)
        status = sx_plan_open(MAX_TEXTS, longest, longest > GROUP_TOKENS ? longest : GROUP_TOKENS, threads,
                              b->folder.architecture.hidden_size, &b->plan, error);
    for (unsigned i = 0; i < threads && !status; i++)
        status = sx_workspace_open(&b->encoder, longest > GROUP_TOKENS ? longest : GROUP_TOKENS, longest, threads, &b->spaces[i],
                                   error);
    if (status)
        return status;
    peak_job peak = {.cpu = b->weights->kernels->cpu, .seconds = b->seconds / 4};
    sx_thread_pool_run(b->pool, peak_work, &peak);
    b->peak = 0.0;
    for (unsigned i = 0; i < threads; i++)
        b->peak += peak.best[i] / 1e9;
    printf("%s: peak of %u threads %.1f GFLOP/s\n", b->weights->kernels->name, threads, b->peak);
    lengths[0] = 16;
    measure(b, "1 x 16", lengths, 1);
    for (size_t i = 0; i < 64; i++)
        lengths[i] = longest < 128 ? (uint32_t)longest : 128;
    measure(b, "64 x 128", lengths, 64);
    for (size_t i = 0; i < 16; i++)
        lengths[i] = longest < 512 ? (uint32_t)longest : 512;
    measure(b, "16 x 512", lengths, 16);
    for (size_t i = 0; i < 100; i++)
        lengths[i] = (uint32_t)(4 + i * i * (longest < 256 ? longest - 4 : 252) / 10000);
    measure(b, "mixed", lengths, 100);
    for (unsigned i = 0; i < threads; i++)
        sx_workspace_close(&b->spaces[i]);
    sx_plan_close(&b->plan);
    sx_thread_pool_close(b->pool);
    return SX_OK;
}

int main(int count, char **arguments)
{
    bench b = {.seconds = count > 2 ? atof(arguments[2]) : 2.0};
    sx_error error = {0};
    if (count < 2) {
        fprintf(stderr, "usage: bench_engine MODEL_FOLDER [SECONDS] [CPU_MASK]\n");
        return 2;
    }
    uint64_t mask = count > 3 ? strtoull(arguments[3], NULL, 0) : 0;
    sx_thread_pool *pool;
    double start = now();
    sx_status status = sx_thread_pool_open(0, &pool, &error);
    if (!status)
        status = sx_model_folder_read(arguments[1], &b.folder, &error);
    if (!status)
        status = sx_tensors_open(b.folder.weights, &b.file, &error);
    if (!status)
        status = sx_weights_open(&b.folder.architecture, b.file, sx_kernels_for(mask), NULL, b.folder.architecture.longest, pool,
                                 &b.weights, &error);
    if (!status) {
        printf("weights ready in %.1f ms\n", (now() - start) * 1e3);
        sx_encoder_init(&b.encoder, &b.folder.architecture, b.weights);
        b.ids = calloc(MAX_TEXTS + b.folder.architecture.longest, sizeof *b.ids);
        for (size_t i = 0; i < MAX_TEXTS + b.folder.architecture.longest; i++)
            b.ids[i] = (uint32_t)(i * 7919 % b.folder.architecture.vocabulary_size);
    }
    for (unsigned threads = 1; threads <= MAX_THREADS && !status; threads++)
        status = measure_all(&b, threads, &error);
    if (status)
        fprintf(stderr, "bench_engine: %s\n", error.message);
    free(b.ids);
    sx_thread_pool_close(pool);
    sx_weights_close(b.weights);
    sx_tensors_close(b.file);
    sx_model_folder_clear(&b.folder);
    return status ? 1 : 0;
}
