/* database_pool.h - handles to the database with embedders beside them, each lent to one thread at a time.
 *
 * A search neither waits for the requests that embed nor holds them up: its query has a session of its own, on the weights that
 * the server has loaded anyway.
 */
#ifndef SX_SERVER_DATABASE_POOL_H
#define SX_SERVER_DATABASE_POOL_H

#include "served_models.h"

typedef struct sx_database_pool sx_database_pool;

typedef struct sx_database_pool_options {
    const char *path; /* NULL: there is none, and lending is SX_E_NOT_FOUND */
    sx_served_models *models;
    sx_embedder_options embedder; /* what embedders are opened with; role and threads are the pool's */
    const char *role;             /* "query" or "document" */
    unsigned threads;             /* of one embedder */
    unsigned most;                /* handles */
    double idle_seconds;          /* after so long without use embedders let their models go; 0: never */
    sx_log_callback log;
    void *log_user;
} sx_database_pool_options;

typedef struct sx_lent_database {
    sx_database *database;
} sx_lent_database;

sx_status sx_database_pool_open(const sx_database_pool_options *options, sx_database_pool **out, sx_error *error);
/* Nothing may be lent. */
void sx_database_pool_close(sx_database_pool *pool);
/* Waits for a free handle for some seconds, then SX_E_BUSY. make: creates the database when there is none; else SX_E_NOT_FOUND.
 * Any thread. */
sx_status sx_database_lend(sx_database_pool *pool, bool make, sx_lent_database **out, sx_error *error);
void sx_database_return(sx_database_pool *pool, sx_lent_database *lent);
/* The embedder for a model as a collection names it, with its number of dimensions (0: the model's): one that is served here,
 * else the first model, which then is not of the collection's space. It is the pool's. *served (may be NULL): the model's name.
 */
sx_status sx_lent_embedder(sx_database_pool *pool, sx_lent_database *lent, const char *model, uint32_t dimensions,
                           sx_embedder **out, const char **served, sx_error *error);
/* Lets go what has been idle for long. Called now and then. */
void sx_database_pool_sweep(sx_database_pool *pool);

#endif
