/* thread_pool.c - threads that wait for a counter to move: first spinning, then in futex(2).
 *
 * Every wait is on a 32-bit word that only grows. A waiter that gives up spinning announces itself in `sleepers` before it
 * sleeps, and whoever moves the word looks there after; both accesses are sequentially consistent, so either the mover sees
 * the sleeper or the kernel sees the moved word (U. Drepper, "Futexes Are Tricky").
 */
#include "thread_pool.h"

#include "error.h"
#include "memory.h"
#include "process_limits.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SPINS = 4000, MAX_THREADS = 1024 };

typedef struct moving_word {
    _Alignas(64) _Atomic uint32_t value;
    _Atomic uint32_t sleepers;
} moving_word;

typedef struct worker_thread {
    sx_thread_pool *pool;
    pthread_t thread;
    unsigned index;
} worker_thread;

struct sx_thread_pool {
    moving_word run;      /* grows with each run */
    moving_word turn;     /* grows when a barrier opens */
    moving_word finished; /* workers that have ended the present run, added up over all runs */
    _Alignas(64) _Atomic uint32_t arrived; /* at the present barrier */
    /* written by the caller before `run` moves */
    sx_thread_work *work; /* NULL: end */
    void *user;
    /* immutable after open */
    unsigned size, started;
    unsigned spins;
    worker_thread *workers;
};

static void wait_while(moving_word *word, uint32_t value, unsigned spins)
{
    for (unsigned i = 0; i < spins; i++) {
        if (atomic_load_explicit(&word->value, memory_order_acquire) != value)
            return;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
    atomic_fetch_add(&word->sleepers, 1);
    while (atomic_load(&word->value) == value)
        syscall(SYS_futex, &word->value, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
    atomic_fetch_sub(&word->sleepers, 1);
}

static void move(moving_word *word)
{
    atomic_fetch_add(&word->value, 1);
    if (atomic_load(&word->sleepers))
        syscall(SYS_futex, &word->value, FUTEX_WAKE_PRIVATE, MAX_THREADS, NULL, NULL, 0);
}

static void *thread_main(void *argument)
{
    worker_thread *self = argument;
    sx_thread_pool *pool = self->pool;
    for (uint32_t seen = 0;; seen++) {
        wait_while(&pool->run, seen, pool->spins);
        if (!pool->work)
            return NULL;
        pool->work(pool->user, self->index);
        move(&pool->finished);
    }
}

sx_status sx_thread_pool_open(unsigned threads, sx_thread_pool **out, sx_error *error)
{
    *out = NULL;
    unsigned cores = sx_core_count();
    if (threads == 0)
        threads = cores < MAX_THREADS ? cores : MAX_THREADS;
    if (threads > MAX_THREADS)
        return sx_fail(error, SX_E_INVALID, "threads: %u: at most %d", threads, MAX_THREADS);
    sx_thread_pool *pool = sx_aligned_calloc(64, 1, sizeof *pool);
    if (!pool)
        return sx_fail_nomem(error, sizeof *pool);
    pool->size = threads;
    /* With more threads than cores a spinning thread keeps a working one from its core. */
    pool->spins = threads <= cores ? SPINS : 0;
    pool->workers = sx_calloc(threads, sizeof *pool->workers);
    if (!pool->workers) {
        sx_thread_pool_close(pool);
        return sx_fail_nomem(error, threads * sizeof *pool->workers);
    }
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = 0;
    for (unsigned i = 1; i < threads && !failure; i++) {
        pool->workers[i].pool = pool;
        pool->workers[i].index = i;
        failure = pthread_create(&pool->workers[i].thread, NULL, thread_main, &pool->workers[i]);
        if (!failure)
            pool->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure) {
        unsigned started = pool->started;
        sx_thread_pool_close(pool);
        return sx_fail_errno(error, failure, "thread %u of %u", started + 2, threads);
    }
    *out = pool;
    return SX_OK;
}

void sx_thread_pool_close(sx_thread_pool *pool)
{
    if (!pool)
        return;
    pool->work = NULL;
    move(&pool->run);
    for (unsigned i = 1; i <= pool->started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    free(pool->workers);
    free(pool);
}

unsigned sx_thread_pool_size(const sx_thread_pool *pool)
{
    return pool->size;
}

void sx_thread_pool_run(sx_thread_pool *pool, sx_thread_work *work, void *user)
{
    uint32_t before = atomic_load(&pool->finished.value);
    pool->work = work;
    pool->user = user;
    if (pool->size > 1)
        move(&pool->run);
    work(user, 0);
    for (uint32_t now; (now = atomic_load(&pool->finished.value)) != before + (pool->size - 1);)
        wait_while(&pool->finished, now, pool->spins);
}

void sx_thread_pool_barrier(sx_thread_pool *pool)
{
    if (pool->size == 1)
        return;
    uint32_t turn = atomic_load(&pool->turn.value);
    if (atomic_fetch_add(&pool->arrived, 1) + 1 == pool->size) {
        atomic_store(&pool->arrived, 0);
        move(&pool->turn);
    } else {
        wait_while(&pool->turn, turn, pool->spins);
    }
}
