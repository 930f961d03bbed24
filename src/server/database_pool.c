/* database_pool.c - a stack of database handles; the one used last is lent first, since its pages and its embedder are warm. */
#include "database_pool.h"

#include "../base/clock.h"
#include "../base/error.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_EMBEDDERS = 4, WAIT_SECONDS = 10 };

typedef struct kept_embedder {
    char *model;
    uint32_t dimensions;
    sx_served_model *served; /* held while its weights are used */
    sx_embedder *embedder;
} kept_embedder;

typedef struct lent {
    sx_lent_database view;                   /* first: what callers hold is a pointer to it */
    struct lent *next;                       /* in the stack of free ones */
    kept_embedder embedders[MOST_EMBEDDERS]; /* the one used last is first */
    size_t embedder_count;
    int64_t used_ns;
} lent;

struct sx_database_pool {
    sx_database_pool_options options;
    pthread_mutex_t lock;
    pthread_cond_t returned;
    lent *free;
    unsigned count;
};

static int64_t now_ns(void)
{
    return sx_system_clock.monotonic_ns(sx_system_clock.user);
}

static void close_embedder(sx_database_pool *pool, kept_embedder *kept)
{
    sx_embedder_close(kept->embedder);
    sx_served_models_release(pool->options.models, kept->served);
    free(kept->model);
    *kept = (kept_embedder){0};
}

static void close_embedders(sx_database_pool *pool, lent *of)
{
    for (size_t i = 0; i < of->embedder_count; i++)
        close_embedder(pool, &of->embedders[i]);
    of->embedder_count = 0;
}

sx_status sx_database_pool_open(const sx_database_pool_options *options, sx_database_pool **out, sx_error *error)
{
    sx_database_pool *pool = *out = sx_calloc(1, sizeof *pool);
    if (!pool)
        return sx_fail_nomem(error, sizeof *pool);
    pthread_condattr_t clock;
    pool->options = *options;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->returned, &clock);
    pthread_condattr_destroy(&clock);
    return SX_OK;
}

static void close_lent(sx_database_pool *pool, lent *of)
{
    close_embedders(pool, of);
    sx_database_close(of->view.database);
    free(of);
}

void sx_database_pool_close(sx_database_pool *pool)
{
    if (!pool)
        return;
    while (pool->free) {
        lent *next = pool->free->next;
        close_lent(pool, pool->free);
        pool->free = next;
    }
    pthread_cond_destroy(&pool->returned);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

/* ---- Lending ---- */

/* With the lock held. */
static sx_status take(sx_database_pool *pool, lent **out, sx_error *error)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_SECONDS;
    while (!pool->free && pool->count == pool->options.most)
        if (pthread_cond_timedwait(&pool->returned, &pool->lock, &until) == ETIMEDOUT && !pool->free)
            return sx_fail(error, SX_E_BUSY, "%u requests work on the database already", pool->count);
    *out = pool->free;
    if (*out) {
        pool->free = (*out)->next;
        return SX_OK;
    }
    *out = sx_calloc(1, sizeof **out);
    if (!*out)
        return sx_fail_nomem(error, sizeof **out);
    pool->count++;
    return SX_OK;
}

sx_status sx_database_lend(sx_database_pool *pool, bool make, sx_lent_database **out, sx_error *error)
{
    lent *of = NULL;
    *out = NULL;
    if (!pool->options.path)
        return sx_fail(error, SX_E_NOT_FOUND, "this server has no database");
    pthread_mutex_lock(&pool->lock);
    sx_status status = take(pool, &of, error);
    pthread_mutex_unlock(&pool->lock);
    if (status)
        return status;
    if (!of->view.database) {
        sx_database_options options = {
            .size = sizeof options, .must_exist = !make, .log = pool->options.log, .log_user = pool->options.log_user};
        status = sx_database_open(pool->options.path, &options, &of->view.database, error);
    }
    if (status)
        sx_database_return(pool, &of->view);
    else
        *out = &of->view;
    return status;
}

void sx_database_return(sx_database_pool *pool, sx_lent_database *lent_database)
{
    lent *of = (lent *)lent_database;
    if (!of)
        return;
    of->used_ns = now_ns();
    pthread_mutex_lock(&pool->lock);
    of->next = pool->free;
    pool->free = of;
    pthread_cond_signal(&pool->returned);
    pthread_mutex_unlock(&pool->lock);
}

/* ---- Embedders ---- */

static bool is_wanted(const kept_embedder *kept, const char *model, uint32_t dimensions)
{
    return kept->dimensions == dimensions && strcmp(kept->model, model) == 0;
}

static sx_status open_embedder(sx_database_pool *pool, const char *model, uint32_t dimensions, kept_embedder *kept,
                               sx_error *error)
{
    sx_served_models *models = pool->options.models;
    sx_text name = {model, strlen(model)};
    if (!sx_served_models_has(models, name))
        name = (sx_text){"", 0};
    kept->dimensions = dimensions;
    kept->model = sx_strdup(model);
    if (!kept->model)
        return sx_fail_nomem(error, strlen(model));
    sx_status status = sx_served_models_acquire(models, name, SX_OUTPUT_DENSE, &kept->served, error);
    if (status)
        return status;
    sx_embedder_options options = pool->options.embedder;
    options.size = sizeof options;
    options.model = kept->served->reference;
    options.role = pool->options.role;
    options.threads = pool->options.threads;
    if (dimensions && dimensions != kept->served->dimensions)
        options.dimensions = dimensions; /* cut shorter when it is opened: the loaded one is not */
    else
        options.opened = kept->served->model;
    return sx_embedder_open(&options, &kept->embedder, error);
}

sx_status sx_lent_embedder(sx_database_pool *pool, sx_lent_database *lent_database, const char *model, uint32_t dimensions,
                           sx_embedder **out, const char **served, sx_error *error)
{
    lent *of = (lent *)lent_database;
    size_t at = 0;
    *out = NULL;
    while (at < of->embedder_count && !is_wanted(&of->embedders[at], model, dimensions))
        at++;
    kept_embedder found = {0};
    if (at < of->embedder_count) {
        found = of->embedders[at];
    } else {
        sx_status status = open_embedder(pool, model, dimensions, &found, error);
        if (status) {
            close_embedder(pool, &found);
            return status;
        }
        if (of->embedder_count == MOST_EMBEDDERS)
            close_embedder(pool, &of->embedders[--of->embedder_count]);
        at = of->embedder_count++;
    }
    memmove(of->embedders + 1, of->embedders, at * sizeof *of->embedders);
    of->embedders[0] = found;
    *out = found.embedder;
    if (served)
        *served = found.served->name;
    return SX_OK;
}

void sx_database_pool_sweep(sx_database_pool *pool)
{
    int64_t longest = (int64_t)(pool->options.idle_seconds * 1e9), now = now_ns();
    if (!longest)
        return;
    pthread_mutex_lock(&pool->lock);
    for (lent *at = pool->free; at; at = at->next)
        if (at->embedder_count && now - at->used_ns > longest)
            close_embedders(pool, at);
    pthread_mutex_unlock(&pool->lock);
}
