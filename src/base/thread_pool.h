/* thread_pool.h - a few threads that all run one function, and a barrier inside it.
 *
 * Made for numerical work: between runs and at barriers threads spin for some microseconds, because the next step mostly comes
 * at once, and then sleep in the kernel, because it may not. Nothing allocates after sx_thread_pool_open. Where work can do
 * with fewer threads, those that another program keeps from their core are not waited for.
 */
#ifndef SX_BASE_THREAD_POOL_H
#define SX_BASE_THREAD_POOL_H

#include "sextant.h"

#include <stdbool.h>

typedef struct sx_thread_pool sx_thread_pool;

/* `threads` counts the caller, so 1 starts none; 0: sx_core_count() (process_limits.h). Signals are blocked in the threads started. */
sx_status sx_thread_pool_open(unsigned threads, sx_thread_pool **out, sx_error *error);
void sx_thread_pool_close(sx_thread_pool *pool);
unsigned sx_thread_pool_size(const sx_thread_pool *pool);

/* Runs work(user, worker) once for each worker 0 .. size-1, worker 0 being the caller; returns when all have returned. One run
 * at a time: the caller has the pool to itself. */
typedef void sx_thread_work(void *user, unsigned worker);
void sx_thread_pool_run(sx_thread_pool *pool, sx_thread_work *work, void *user);

/* Runs work(user, 0) at once, and work(user, worker) for those other workers that come before it has returned; so work takes its
 * parts from a counter. Returns when all that came have returned. No barriers. */
void sx_thread_pool_offer(sx_thread_pool *pool, sx_thread_work *work, void *user);

/* Runs work(user, member) for members 0 .. sx_thread_pool_team_size() - 1: the caller, being 0, and the workers that come within
 * a tenth of a millisecond; `alone`: nobody else is called. */
void sx_thread_pool_run_team(sx_thread_pool *pool, bool alone, sx_thread_work *work, void *user);

/* Inside work(), and after it: how many threads the present run has; of all but an offer. */
unsigned sx_thread_pool_team_size(const sx_thread_pool *pool);
/* Whether in the last run with others one was waited for much longer than steps take: it was probably put aside by the system. */
bool sx_thread_pool_stalled(const sx_thread_pool *pool);

/* Inside work(): waits until all threads of the run have called it equally often. What was written before is seen by all
 * after. */
void sx_thread_pool_barrier(sx_thread_pool *pool);

/* The part [*begin, *end) of 0 .. total-1 that falls to `worker` of `workers`; sizes differ by at most one. */
static inline void sx_share(size_t total, unsigned worker, unsigned workers, size_t *begin, size_t *end)
{
    size_t each = total / workers, more = total % workers;
    *begin = each * worker + (worker < more ? worker : more);
    *end = *begin + each + (worker < more ? 1 : 0);
}

#endif
