/* thread_pool.c - threads that wait for a counter to move: first spinning, then in futex(2); and a gate to each run.
 *
 * Every wait is on a 32-bit word that only grows. A waiter that gives up spinning announces itself in `sleepers` before it
 * sleeps, and whoever moves the word looks there after; both accesses are sequentially consistent, so either the mover sees
 * the sleeper or the kernel sees the moved word (U. Drepper, "Futexes Are Tricky").
 *
 * The gate is one word: the run's number, how many workers have joined, and whether more may. Who joins is waited for, who comes
 * when it is shut goes back to sleep; so a thread that another program keeps from its core costs nothing.
 */
#include "thread_pool.h"

#include "clock.h"
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

enum {
    SPINS = 4000,
    MAX_THREADS = 1024,
    JOIN_NS = 100 * 1000, /* how long a team is waited for: a sleeping thread on a free core is there in half of it */
    STALL_NS = 500 * 1000 /* a longer wait than this means that somebody was put aside */
};
static const uint64_t gate_open = 1, gate_one = 2;

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
    moving_word start;    /* the number of the run whose team is complete */
    moving_word turn;     /* grows when a barrier opens */
    moving_word finished; /* workers that have ended the present run, added up over all runs */
    _Alignas(64) _Atomic uint32_t arrived; /* at the present barrier */
    _Atomic bool stalled; /* somebody was waited for too long in the present run */
    _Alignas(64) _Atomic uint64_t gate; /* run << 32 | joined << 1 | open */
    /* written by the caller before the gate opens */
    sx_thread_work *work; /* NULL: end */
    void *user;
    bool by_rank;         /* a team: its size is known when `start` says so, and its members are numbered as they came */
    unsigned team;        /* threads in the present run */
    /* immutable after open */
    unsigned size, started;
    unsigned spins;
    worker_thread *workers;
};

static int64_t now_ns(void)
{
    return sx_system_clock.monotonic_ns(sx_system_clock.user);
}

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory"); /* about as long as x86's pause; yield is a no-operation on most cores */
#endif
}

static void wait_while(moving_word *word, uint32_t value, unsigned spins)
{
    for (unsigned i = 0; i < spins; i++) {
        if (atomic_load_explicit(&word->value, memory_order_acquire) != value)
            return;
        relax();
    }
    atomic_fetch_add(&word->sleepers, 1);
    while (atomic_load(&word->value) == value)
        syscall(SYS_futex, &word->value, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
    atomic_fetch_sub(&word->sleepers, 1);
}

/* The same for a thread that has work: a long wait is remembered. */
static void wait_for_others(sx_thread_pool *pool, moving_word *word, uint32_t value)
{
    for (unsigned i = 0; i < pool->spins; i++) {
        if (atomic_load_explicit(&word->value, memory_order_acquire) != value)
            return;
        relax();
    }
    int64_t start = now_ns();
    wait_while(word, value, 0);
    if (now_ns() - start > STALL_NS)
        atomic_store_explicit(&pool->stalled, true, memory_order_relaxed);
}

static void wake(moving_word *word)
{
    if (atomic_load(&word->sleepers))
        syscall(SYS_futex, &word->value, FUTEX_WAKE_PRIVATE, MAX_THREADS, NULL, NULL, 0);
}

static void move(moving_word *word)
{
    atomic_fetch_add(&word->value, 1);
    wake(word);
}

/* Joins the run whose gate is open. *seen becomes its number, or that of the one that is shut already; 0: not joined, else the
 * place among those that joined. */
static unsigned join(sx_thread_pool *pool, uint32_t *seen)
{
    uint64_t gate = atomic_load(&pool->gate);
    do {
        if ((uint32_t)(gate >> 32) == *seen)
            return 0;
        if (!(gate & gate_open)) {
            *seen = (uint32_t)(gate >> 32);
            return 0;
        }
    } while (!atomic_compare_exchange_weak(&pool->gate, &gate, gate + gate_one));
    *seen = (uint32_t)(gate >> 32);
    return (unsigned)((uint32_t)gate / gate_one) + 1;
}

static void *thread_main(void *argument)
{
    worker_thread *self = argument;
    sx_thread_pool *pool = self->pool;
    for (uint32_t seen = 0;;) {
        wait_while(&pool->run, seen, pool->spins);
        unsigned rank = join(pool, &seen);
        if (!rank)
            continue;
        if (!pool->work)
            return NULL;
        for (uint32_t start; pool->by_rank && (start = atomic_load(&pool->start.value)) != seen;)
            wait_while(&pool->start, start, pool->spins);
        pool->work(pool->user, pool->by_rank ? rank : self->index);
        move(&pool->finished);
    }
}

static void open_gate(sx_thread_pool *pool, sx_thread_work *work, void *user, bool by_rank)
{
    pool->work = work;
    pool->user = user;
    pool->by_rank = by_rank;
    atomic_store_explicit(&pool->stalled, false, memory_order_relaxed);
    atomic_store(&pool->gate, (uint64_t)(atomic_load(&pool->run.value) + 1) << 32 | gate_open);
    move(&pool->run);
}

/* Returns how many have joined; nobody does any more. */
static unsigned shut_gate(sx_thread_pool *pool)
{
    return (unsigned)((uint32_t)atomic_fetch_and(&pool->gate, ~gate_open) / gate_one);
}

/* Until so many more workers than `before` have ended their work. */
static void wait_for_workers(sx_thread_pool *pool, uint32_t before, unsigned count)
{
    for (uint32_t now; (now = atomic_load(&pool->finished.value)) != before + count;)
        wait_for_others(pool, &pool->finished, now);
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
    open_gate(pool, NULL, NULL, false);
    for (unsigned i = 1; i <= pool->started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    free(pool->workers);
    free(pool);
}

unsigned sx_thread_pool_size(const sx_thread_pool *pool)
{
    return pool->size;
}

unsigned sx_thread_pool_team_size(const sx_thread_pool *pool)
{
    return pool->team;
}

bool sx_thread_pool_stalled(const sx_thread_pool *pool)
{
    return atomic_load_explicit(&pool->stalled, memory_order_relaxed);
}

void sx_thread_pool_run(sx_thread_pool *pool, sx_thread_work *work, void *user)
{
    uint32_t before = atomic_load(&pool->finished.value);
    pool->team = pool->size;
    if (pool->size > 1)
        open_gate(pool, work, user, false);
    work(user, 0);
    if (pool->size == 1)
        return;
    wait_for_workers(pool, before, pool->size - 1);
    shut_gate(pool);
}

void sx_thread_pool_offer(sx_thread_pool *pool, sx_thread_work *work, void *user)
{
    uint32_t before = atomic_load(&pool->finished.value);
    if (pool->size > 1)
        open_gate(pool, work, user, false);
    work(user, 0);
    if (pool->size > 1)
        wait_for_workers(pool, before, shut_gate(pool));
}

void sx_thread_pool_run_team(sx_thread_pool *pool, bool alone, sx_thread_work *work, void *user)
{
    uint32_t before = atomic_load(&pool->finished.value);
    unsigned joined = 0;
    if (pool->size > 1 && !alone) {
        int64_t start = now_ns();
        open_gate(pool, work, user, true);
        while ((uint32_t)atomic_load(&pool->gate) / gate_one < pool->size - 1 && now_ns() - start < JOIN_NS)
            relax();
        joined = shut_gate(pool);
    }
    pool->team = joined + 1;
    if (joined) {
        atomic_store(&pool->start.value, atomic_load(&pool->run.value));
        wake(&pool->start);
    }
    work(user, 0);
    if (joined)
        wait_for_workers(pool, before, joined);
}

void sx_thread_pool_barrier(sx_thread_pool *pool)
{
    if (pool->team == 1)
        return;
    uint32_t turn = atomic_load(&pool->turn.value);
    if (atomic_fetch_add(&pool->arrived, 1) + 1 == pool->team) {
        atomic_store(&pool->arrived, 0);
        move(&pool->turn);
    } else {
        wait_for_others(pool, &pool->turn, turn);
    }
}
