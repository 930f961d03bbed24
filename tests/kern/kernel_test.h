/* kernel_test.h - what the tests of the kernels share: random numbers, guarded memory, the sets this machine has, exact values.
 *
 * As dav1d's checkasm does: random and pathological inputs, all small sizes, buffers that end at a page nobody may touch, and
 * error bounds from the analysis of the sums instead of a tolerance that happens to pass.
 */
#ifndef SX_TESTS_KERN_KERNEL_TEST_H
#define SX_TESTS_KERN_KERNEL_TEST_H

#include "kern/kernels.h"
#include "sextant.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- Random numbers and guarded memory ---- */

static uint64_t random_state;

static inline uint32_t random_bits(void)
{
    random_state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    uint64_t x = random_state;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)(x >> 32);
}

static inline size_t random_below(size_t limit)
{
    return random_bits() % limit;
}

static inline float random_float(void)
{
    return (float)(int32_t)random_bits() * 0x1p-31f;
}

/* Floats that end where the next page may not be touched; those before are filled with a canary. */
typedef struct guarded {
    float *data;
    size_t count;
    unsigned char *map;
    size_t map_bytes;
    size_t lead; /* bytes before data */
} guarded;

static inline guarded guarded_open(size_t count)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = (count * sizeof(float) + page - 1) / page * page + page;
    guarded g = {.count = count, .map_bytes = bytes + page};
    g.map = mmap(NULL, g.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g.map != MAP_FAILED);
    assert_int_equal(mprotect(g.map + bytes, page, PROT_NONE), 0);
    g.lead = bytes - count * sizeof(float);
    g.data = (float *)(void *)(g.map + g.lead);
    memset(g.map, 0xa5, g.lead);
    return g;
}

static inline void guarded_close(guarded *g)
{
    for (size_t i = 0; i < g->lead; i++)
        assert_int_equal(g->map[i], 0xa5);
    munmap(g->map, g->map_bytes);
}

enum filling { RANDOM, TINY, LARGE, ZEROS, MIXED, FILLINGS };

static inline void fill(guarded *g, enum filling filling)
{
    for (size_t i = 0; i < g->count; i++) {
        float x = random_float();
        switch (filling) {
        case TINY:
            x *= 1e-38f; /* mostly subnormal */
            break;
        case LARGE:
            x *= 1e15f;
            break;
        case ZEROS:
            x = i % 2 ? 0.0f : -0.0f;
            break;
        case MIXED:
            x = ldexpf(x, (int)random_below(40) - 20);
            break;
        default:
            break;
        }
        g->data[i] = x;
    }
}

static const uint64_t levels[] = {SX_CPU_C, SX_CPU_AVX2, SX_CPU_AVX512, SX_CPU_NEON};

/* Runs a test for every set this machine has; says which it has not. */
static inline void for_each_level(void (*test)(const sx_kernels *))
{
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        const sx_kernels *kernels = sx_kernels_for(levels[i]);
        if (kernels->cpu != levels[i]) {
            print_message("not on this machine: instruction set %#llx\n", (unsigned long long)levels[i]);
            continue;
        }
        random_state = 1;
        test(kernels);
    }
}

static inline void check_error(const sx_kernels *kernels, const char *what, size_t at, double expected, double found,
                               double bound)
{
    if (!(fabs(expected - found) <= bound))
        fail_msg("%s: %s at %zu: %.9g expected, %.9g found, bound %.3g", kernels->name, what, at, expected, found, bound);
}

/* Deepest error of a chain of depth fused or separate operations on terms whose absolute sum is `total`. */
static inline double chain_bound(size_t depth, double total)
{
    return ((double)depth + 2.0) * 1.2e-7 * total + ((double)depth + 1.0) * 0x1p-149;
}

/* ---- Exact values ---- */

static inline double exact_activation(sx_activation activation, double x)
{
    if (isinf(x) && x < 0)
        return activation == SX_ACTIVATION_NONE ? x : activation == SX_ACTIVATION_TANH ? -1.0 : 0.0;
    switch (activation) {
    case SX_ACTIVATION_GELU:
        return 0.5 * x * erfc(-x * M_SQRT1_2);
    case SX_ACTIVATION_GELU_TANH:
        return x / (1.0 + exp(-2.0 * sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x)));
    case SX_ACTIVATION_RELU:
        return fmax(x, 0.0);
    case SX_ACTIVATION_SILU:
        return x / (1.0 + exp(-x));
    case SX_ACTIVATION_TANH:
        return tanh(x);
    case SX_ACTIVATION_SIGMOID:
        return 1.0 / (1.0 + exp(-x));
    case SX_ACTIVATION_NONE:
        break;
    }
    return x;
}

#endif
