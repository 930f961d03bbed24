/* peak.c - what the machine gives at most: multiply-adds between registers, and bytes read from memory.
 *
 * Independent chains hide the latency of the instruction, as many as two ports of 5 cycles can hold. Every thread measures at
 * the same time, behind a barrier, so that shared clocks and memory channels are shared here too; the best round counts, because
 * a ceiling is what the machine reaches when left alone.
 */
#include "sextant.h"

#include "../base/clock.h"
#include "../base/error.h"
#include "../base/memory.h"
#include "../base/options.h"
#include "../base/thread_pool.h"
#include "../kern/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 10000, CHAINS = 12, READ_BYTES = 64 << 20 /* for each thread: beyond its share of the caches */ };

typedef void chain_work(void);

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

__attribute__((target("avx512f,avx512vnni"))) static void dot_bytes_512(void)
{
    __m512i x = _mm512_set1_epi32(0x01010101), sum[CHAINS];
#pragma GCC unroll 12
    for (int c = 0; c < CHAINS; c++)
        sum[c] = x;
    for (int i = 0; i < ROUNDS; i++) {
#pragma GCC unroll 12
        for (int c = 0; c < CHAINS; c++) {
            sum[c] = _mm512_dpbusd_epi32(sum[c], x, x);
            __asm__ volatile("" : "+v"(sum[c]));
        }
    }
}

__attribute__((target("avx2,avxvnni"))) static void dot_bytes_256(void)
{
    __m256i x = _mm256_set1_epi32(0x01010101), sum[CHAINS];
#pragma GCC unroll 12
    for (int c = 0; c < CHAINS; c++)
        sum[c] = x;
    for (int i = 0; i < ROUNDS; i++) {
#pragma GCC unroll 12
        for (int c = 0; c < CHAINS; c++) {
            sum[c] = _mm256_dpbusd_avx_epi32(sum[c], x, x);
            __asm__ volatile("" : "+x"(sum[c]));
        }
    }
}
#elif defined(__aarch64__)
/* ARM's widest processors have four ports, and its registers are 32. */
enum { ARM_CHAINS = 2 * CHAINS };

static void multiply_add_neon(void)
{
    float32x4_t x = vdupq_n_f32(0.5f), sum[ARM_CHAINS];
#pragma GCC unroll 24
    for (int c = 0; c < ARM_CHAINS; c++)
        sum[c] = x;
    for (int i = 0; i < ROUNDS; i++) {
#pragma GCC unroll 24
        for (int c = 0; c < ARM_CHAINS; c++) {
            sum[c] = vfmaq_f32(x, sum[c], x);
            __asm__ volatile("" : "+w"(sum[c]));
        }
    }
}

/* Compilers differ in how a single function gets an extension, and whether intrinsics come along. */
#if defined(__clang__)
#define WITH_EXTENSION(NAME) __attribute__((target(NAME)))
#else
#define WITH_EXTENSION(NAME) __attribute__((target("arch=armv8.2-a+" NAME)))
#endif

WITH_EXTENSION("dotprod") static void dot_bytes_neon(void)
{
    int8x16_t x = vdupq_n_s8(1);
    int32x4_t sum[ARM_CHAINS];
#pragma GCC unroll 24
    for (int c = 0; c < ARM_CHAINS; c++)
        sum[c] = vdupq_n_s32(0);
    for (int i = 0; i < ROUNDS; i++) {
#pragma GCC unroll 24
        for (int c = 0; c < ARM_CHAINS; c++)
            __asm__ volatile("sdot %0.4s, %1.16b, %1.16b" : "+w"(sum[c]) : "w"(x));
    }
}

WITH_EXTENSION("i8mm") static void multiply_bytes_neon(void)
{
    int8x16_t x = vdupq_n_s8(1);
    int32x4_t sum[ARM_CHAINS];
#pragma GCC unroll 24
    for (int c = 0; c < ARM_CHAINS; c++)
        sum[c] = vdupq_n_s32(0);
    for (int i = 0; i < ROUNDS; i++) {
#pragma GCC unroll 24
        for (int c = 0; c < ARM_CHAINS; c++)
            __asm__ volatile("usmmla %0.4s, %1.16b, %1.16b" : "+w"(sum[c]) : "w"(x));
    }
}
#endif

/* The widest kind of chain the set has; operations of one instruction, 0 when there is none. */
static double choose_f32(uint64_t cpu, chain_work **work)
{
    *work = NULL;
#if defined(__x86_64__)
    if (cpu & SX_CPU_AVX512)
        return *work = multiply_add_512, 2.0 * 16;
    if (cpu & SX_CPU_AVX2)
        return *work = multiply_add_256, 2.0 * 8;
#elif defined(__aarch64__)
    if (cpu & SX_CPU_NEON)
        return *work = multiply_add_neon, 2.0 * 4 * ARM_CHAINS / CHAINS;
#endif
    return 0.0;
}

static double choose_int8(uint64_t cpu, chain_work **work)
{
    *work = NULL;
#if defined(__x86_64__)
    if (cpu & SX_CPU_AVX512_VNNI)
        return *work = dot_bytes_512, 2.0 * 64;
    if (cpu & SX_CPU_AVX_VNNI)
        return *work = dot_bytes_256, 2.0 * 32;
#elif defined(__aarch64__)
    if (cpu & SX_CPU_NEON_I8MM)
        return *work = multiply_bytes_neon, 2.0 * 32 * ARM_CHAINS / CHAINS;
    if (cpu & SX_CPU_NEON_DOT)
        return *work = dot_bytes_neon, 2.0 * 16 * ARM_CHAINS / CHAINS;
#endif
    return 0.0;
}

/* Four sums, so that the loads do not wait for each other; the compiler makes vectors of them. */
static uint64_t read_all(const uint64_t *data, size_t count)
{
    uint64_t a = 0, b = 0, c = 0, d = 0;
    for (size_t i = 0; i < count; i += 32)
        for (size_t j = 0; j < 32; j += 4) {
            a ^= data[i + j];
            b ^= data[i + j + 1];
            c ^= data[i + j + 2];
            d ^= data[i + j + 3];
        }
    return a ^ b ^ c ^ d;
}

typedef struct measurement {
    sx_thread_pool *pool;
    double seconds, operations; /* of one instruction */
    chain_work *work;           /* NULL: memory is read */
    uint64_t **data;            /* of each thread */
    double *best;               /* of each thread: operations or bytes a second */
} measurement;

static double now(void)
{
    return 1e-9 * (double)sx_system_clock.monotonic_ns(sx_system_clock.user);
}

static void measure_work(void *user, unsigned worker)
{
    measurement *m = user;
    if (!m->work)
        memset(m->data[worker], 1, READ_BYTES);
    sx_thread_pool_barrier(m->pool);
    double end = now() + m->seconds, start;
    m->best[worker] = 0.0;
    do {
        double amount;
        start = now();
        if (m->work) {
            m->work();
            amount = m->operations * CHAINS * ROUNDS;
        } else {
            uint64_t sum = read_all(m->data[worker], READ_BYTES / sizeof **m->data);
            __asm__ volatile("" : : "r"(sum));
            amount = READ_BYTES;
        }
        double rate = amount / (now() - start);
        m->best[worker] = rate > m->best[worker] ? rate : m->best[worker];
    } while (start < end);
}

static double measure(measurement *m)
{
    double sum = 0.0;
    sx_thread_pool_run(m->pool, measure_work, m);
    for (unsigned i = 0; i < sx_thread_pool_size(m->pool); i++)
        sum += m->best[i];
    return sum;
}

sx_status sx_measure_peak(const sx_measure_options *options, sx_machine_peak *out, sx_error *error)
{
    const double usual_seconds = 0.2;
    sx_measure_options given;
    measurement m = {0};
    if (!out)
        return sx_fail(error, SX_E_INVALID, "sx_measure_peak: out is NULL");
    *out = (sx_machine_peak){0};
    sx_status status = sx_options_read(options, &given, sizeof given, "sx_measure_options", error);
    if (status || (status = sx_thread_pool_open(given.threads, &m.pool, error)))
        return status;
    unsigned threads = sx_thread_pool_size(m.pool);
    uint64_t cpu = sx_cpu_detect() & (given.cpu_mask ? given.cpu_mask : UINT64_MAX);
    m.seconds = given.seconds > 0.0 ? given.seconds : usual_seconds;
    m.best = sx_calloc(threads, sizeof *m.best);
    m.data = sx_calloc(threads, sizeof *m.data);
    for (unsigned i = 0; m.best && m.data && i < threads; i++)
        if (!(m.data[i] = sx_aligned_calloc(64, 1, READ_BYTES)))
            status = sx_fail_nomem(error, READ_BYTES);
    if (!m.best || !m.data)
        status = sx_fail_nomem(error, threads * sizeof *m.data);
    if (status)
        goto out;
    out->threads = threads;
    if ((m.operations = choose_f32(cpu, &m.work)) > 0.0)
        out->f32_operations = measure(&m);
    if ((m.operations = choose_int8(cpu, &m.work)) > 0.0)
        out->int8_operations = measure(&m);
    m.work = NULL;
    out->read_bytes = measure(&m);
out:
    for (unsigned i = 0; m.data && i < threads; i++)
        free(m.data[i]);
    free(m.data);
    free(m.best);
    sx_thread_pool_close(m.pool);
    return status;
}
