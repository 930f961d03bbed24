/* pgvector.c - PostgreSQL with the extension pgvector as a vector store: opening, closing, the table of functions.
 *
 * The URL is libpq's (postgresql://USER@HOST:PORT/DATABASE?sslmode=...); the options' key is the password. Connections are made
 * when something is asked for.
 */
#include "pgvector_internal.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <stdlib.h>

enum { DEFAULT_TIMEOUT_S = 60, DEFAULT_ATTEMPTS = 8 };

static void pg_close(sx_vector_store *store)
{
    sx_pg *pg = (sx_pg *)store;
    sx_pg_disconnect(pg);
    sx_pg_forget(pg);
    free(pg->store.name);
    free(pg->url);
    free(pg->password);
    free(pg);
}

static sx_status pg_open(const char *url, const sx_vector_store_options *options, sx_vector_store **out, sx_error *error)
{
    static const sx_vector_store_options defaults = {0};
    char *problem = NULL;
    PQconninfoOption *parts = PQconninfoParse(url, &problem);
    PQfreemem(problem); /* it may quote the password */
    if (!parts) {
        sx_fail(error, SX_E_INVALID, "vector store: the postgresql URL cannot be read");
        sx_hint(error,
                "it is written postgresql://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE; other characters in a password as %%XX");
        return SX_E_INVALID;
    }
    PQconninfoFree(parts);
    options = options ? options : &defaults;
    sx_pg *pg = sx_calloc(1, sizeof *pg);
    if (!pg)
        return sx_fail_nomem(error, sizeof *pg);
    pg->store.class = &sx_vector_pgvector;
    pg->clock = options->clock ? options->clock : &sx_system_clock;
    pg->timeout_ns = (int64_t)((options->timeout_s > 0 ? options->timeout_s : DEFAULT_TIMEOUT_S) * 1e9);
    pg->attempts = options->attempts ? options->attempts : DEFAULT_ATTEMPTS;
    pg->log = options->log;
    pg->log_user = options->log_user;
    sx_status status = sx_vector_url_shown(url, &pg->store.name, error);
    pg->url = sx_strdup(url);
    if (options->api_key)
        pg->password = sx_strdup(options->api_key);
    if (!status && (!pg->url || (options->api_key && !pg->password)))
        status = sx_fail_nomem(error, sizeof *pg);
    if (status) {
        pg_close(&pg->store);
        return status;
    }
    *out = &pg->store;
    return SX_OK;
}

const sx_vector_store_class sx_vector_pgvector = {
    .name = "pgvector",
    .scheme = "postgresql",
    .open = pg_open,
    .close = pg_close,
    .create = sx_pg_create,
    .describe = sx_pg_describe,
    .upsert = sx_pg_upsert,
    .remove = sx_pg_remove,
    .drop = sx_pg_drop,
    .query = sx_pg_search,
    .scan = sx_pg_scan,
    .finish = sx_pg_finish,
};
