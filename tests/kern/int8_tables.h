/* int8_tables.h - every table of 8-bit kernels that can run here, for the tests that compare them. */
#ifndef SX_TESTS_KERN_INT8_TABLES_H
#define SX_TESTS_KERN_INT8_TABLES_H

#include "../../src/kern/int8_internal.h"

static const uint64_t sets[] = {SX_CPU_AVX2, SX_CPU_AVX_VNNI, SX_CPU_AVX512_VNNI,
                                SX_CPU_NEON, SX_CPU_NEON_DOT, SX_CPU_NEON_I8MM};
enum { SETS = sizeof sets / sizeof *sets };

#if defined(__x86_64__)
extern const sx_int8_kernels sx_int8_kernels_avxvnni_evex;
#endif

/* The tables of this machine's sets, and behind them that of AVX-VNNI in the other encoding; the reference where there is none. */
static inline const sx_int8_kernels *table(size_t set)
{
    if (set < SETS)
        return sx_int8_kernels_for(sets[set]);
#if defined(__x86_64__)
    if (sx_cpu_detect() & SX_CPU_AVX512_VNNI)
        return &sx_int8_kernels_avxvnni_evex;
#endif
    return &sx_int8_kernels_c;
}

#endif
