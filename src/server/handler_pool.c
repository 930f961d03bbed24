/* handler_pool.c - a thread for each request in hand, kept for a while for the next ones.
 *
 * Handlers may wait (for the model, the database, a remote service); a thread that waits costs some kilobytes, and the code of
 * handlers stays a straight line. The last thread that became idle is woken first: its stack is warm.
 */
#include "handler_pool.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { STACK_BYTES = 1 << 20, IDLE_SECONDS = 20 };

typedef struct handler {
    struct handler *next; /* in the list of idle ones */
    pthread_cond_t wake;
    void *item; /* to be run next */
    bool idle;
    sx_handler_pool *pool;
} handler;

struct sx_handler_pool {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    handler *idle;
    unsigned threads, busy, most;
    bool closing;
    sx_handler_work *work;
    void *user;
};

static void leave_idle(sx_handler_pool *pool, handler *self)
{
    for (handler **at = &pool->idle; *at; at = &(*at)->next)
        if (*at == self) {
            *at = self->next;
            break;
        }
    self->idle = false;
}

/* With the lock held; false: time to end. */
static bool wait_for_item(sx_handler_pool *pool, handler *self)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_SECONDS;
    self->next = pool->idle;
    pool->idle = self;
    self->idle = true;
    while (self->idle && !pool->closing)
        if (pthread_cond_timedwait(&self->wake, &pool->lock, &until) == ETIMEDOUT)
            break;
    if (!self->idle)
        return true;
    leave_idle(pool, self);
    return false;
}

static void *handler_main(void *argument)
{
    handler *self = argument;
    sx_handler_pool *pool = self->pool;
    do {
        pool->work(pool->user, self->item);
        pthread_mutex_lock(&pool->lock);
        pool->busy--;
        self->item = NULL;
        bool more = wait_for_item(pool, self);
        if (!more) {
            if (--pool->threads == 0)
                pthread_cond_signal(&pool->ended);
            pthread_mutex_unlock(&pool->lock);
            break;
        }
        pthread_mutex_unlock(&pool->lock);
    } while (true);
    pthread_cond_destroy(&self->wake);
    free(self);
    return NULL;
}

sx_status sx_handler_pool_open(unsigned most, sx_handler_work *work, void *user, sx_handler_pool **out, sx_error *error)
{
    sx_handler_pool *pool = *out = sx_calloc(1, sizeof *pool);
    if (!pool)
        return sx_fail_nomem(error, sizeof *pool);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->ended, NULL);
    pool->most = most;
    pool->work = work;
    pool->user = user;
    return SX_OK;
}

static bool start_thread(sx_handler_pool *pool, void *item)
{
    handler *self = sx_calloc(1, sizeof *self);
    if (!self)
        return false;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&self->wake, &clock);
    pthread_condattr_destroy(&clock);
    self->pool = pool;
    self->item = item;
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int failed = pthread_create(&thread, &attributes, handler_main, self);
    pthread_attr_destroy(&attributes);
    if (failed) {
        pthread_cond_destroy(&self->wake);
        free(self);
        return false;
    }
    pool->threads++;
    return true;
}

bool sx_handler_pool_run(sx_handler_pool *pool, void *item)
{
    bool taken = false;
    pthread_mutex_lock(&pool->lock);
    if (pool->busy < pool->most) {
        handler *first = pool->idle;
        if (first) {
            pool->idle = first->next;
            first->item = item;
            first->idle = false;
            pthread_cond_signal(&first->wake);
            taken = true;
        } else {
            taken = start_thread(pool, item);
        }
        pool->busy += taken;
    }
    pthread_mutex_unlock(&pool->lock);
    return taken;
}

unsigned sx_handler_pool_busy(sx_handler_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    unsigned busy = pool->busy;
    pthread_mutex_unlock(&pool->lock);
    return busy;
}

void sx_handler_pool_close(sx_handler_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    for (handler *at = pool->idle; at; at = at->next)
        pthread_cond_signal(&at->wake);
    while (pool->threads)
        pthread_cond_wait(&pool->ended, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_destroy(&pool->ended);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
