/* kernels_internal.h - the tables themselves, for the dispatcher; everybody else asks sx_kernels_for(). */
#ifndef SX_KERN_KERNELS_INTERNAL_H
#define SX_KERN_KERNELS_INTERNAL_H

#include "kernels.h"
#include "sextant.h"

/* Before a loop of constant count: unroll it whole, so that an array indexed by it becomes registers. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* The keys that a query sees are first_seen .. seen_end - 1. */
static inline size_t first_seen(const sx_attention *job, size_t query)
{
    return query > job->before ? query - job->before : 0;
}

static inline size_t seen_end(const sx_attention *job, size_t query)
{
    if (query >= job->keys || job->after >= job->keys - 1 - query)
        return job->keys;
    return query + job->after + 1;
}

extern const sx_kernels sx_kernels_c;
#if defined(__x86_64__)
extern const sx_kernels sx_kernels_avx2;
extern const sx_kernels sx_kernels_avx512;
#elif defined(__aarch64__)
extern const sx_kernels sx_kernels_neon;
#endif

#endif
