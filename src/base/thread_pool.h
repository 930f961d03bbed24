/* thread_pool.h - a few threads that all run one function, and a barrier inside it.
 *
 * Made for numerical work: between runs and at barriers threads spin for some microseconds, because the next step mostly comes
 * at once, and then sleep in the kernel, because it may not. Nothing allocates after sx_thread_pool_open.
 */
#ifndef SX_BASE_THREAD_POOL_H
#define SX_BASE_THREAD_POOL_H

#include "sextant.h"

typedef struct sx_thread_pool sx_thread_pool;

/* `threads` counts the caller, so 1 starts none; 0: sx_core_count() (process_limits.h). Signals are blocked in the threads started. */
sx_status sx_thread_pool_open(unsigned threads, sx_thread_pool **out, sx_error *error);
void sx_thread_pool_close(sx_thread_pool *pool);
unsigned sx_thread_pool_size(const sx_thread_pool *pool);

/* Runs work(user, worker) once for each worker 0 .. size-1, worker 0 being the caller; returns when all have returned. One run
 * at a time: the caller has the pool to itself. */
typedef void sx_thread_work(void *user, unsigned worker);
void sx_thread_pool_run(sx_thread_pool *pool, sx_thread_work *work, void *user);

/* Inside work(): waits until all workers have called it equally often. What was written before is seen by all after. */
void sx_thread_pool_barrier(sx_thread_pool *pool);

/* The part [*begin, *end) of 0 .. total-1 that falls to `worker` of `workers`; sizes differ by at most one. */
static inline void sx_share(size_t total, unsigned worker, unsigned workers, size_t *begin, size_t *end)
{
    size_t each = total / workers, more = total % workers;
    *begin = each * worker + (worker < more ? worker : more);
    *end = *begin + each + (worker < more ? 1 : 0);
}

#endif
