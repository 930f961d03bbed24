/* store_cache.c - the cache: vectors nothing refers to, least recently used out first. */
#include "../base/error.h"
#include "sql.h"

/* Vectors taken out in one transaction: others wait for it, so it is short. */
enum { EVICT_BATCH = 500 };

static sx_status counter(sx_database *database, const char *name, int64_t *value, sx_error *error)
{
    return sx_sql_number(database, "SELECT value FROM counter WHERE name = ?", 0, value, error, "t", name);
}

static sx_status evict_batch(sx_database *database, uint64_t limit, uint64_t *removed, bool *more, sx_error *error)
{
    sx_scope scope;
    sx_status status = sx_scope_enter(database, &scope, error);
    if (status)
        return status;
    uint64_t gone = 0;
    int64_t bytes;
    status = counter(database, "spare_bytes", &bytes, error);
    while (!status && bytes > 0 && (uint64_t)bytes > limit && gone < EVICT_BATCH) {
        int64_t oldest;
        status = sx_sql_number(database, "SELECT vector FROM spare ORDER BY used, vector LIMIT 1", 0, &oldest, error, "");
        if (!status && !oldest)
            break;
        if (!status)
            status = sx_sql_do(database, "DELETE FROM spare WHERE vector = ?", error, "i", oldest);
        if (!status)
            status = sx_sql_do(database, "DELETE FROM vector WHERE id = ?", error, "i", oldest);
        if (!status)
            status = counter(database, "spare_bytes", &bytes, error);
        gone++;
    }
    *more = gone == EVICT_BATCH;
    status = sx_scope_leave(database, &scope, status, error);
    if (!status)
        *removed += gone;
    return status;
}

/* Jobs look vectors up and refer to them later; while one runs nothing is taken from under it. *ran false then. */
static sx_status evict(sx_database *database, uint64_t limit, uint64_t *removed, bool *ran, sx_error *error)
{
    *removed = 0;
    *ran = true;
    int64_t bytes;
    sx_status status = SX_OK;
    /* What was looked up lately is written first: it decides who stays. */
    if (database->used_count && !database->writing && !(status = sx_store_begin(database, error)))
        status = sx_store_commit(database, error);
    if (!status)
        status = counter(database, "spare_bytes", &bytes, error);
    if (status || bytes <= 0 || (uint64_t)bytes <= limit)
        return status;
    if ((status = sx_locks_try(&database->locks, SX_LOCK_EVICTION, SX_LOCK_EXCLUSIVE, ran, error)) || !*ran)
        return status;
    bool more = true;
    while (!status && more)
        status = evict_batch(database, limit, removed, &more, error);
    bool got;
    sx_lock_mode before = database->lease_count ? SX_LOCK_SHARED : SX_LOCK_NONE;
    sx_status lowered = sx_locks_try(&database->locks, SX_LOCK_EVICTION, before, &got, error);
    return status ? status : lowered;
}

sx_status sx_store_trim_cache(sx_database *database, sx_error *error)
{
    if (!database)
        return sx_fail(error, SX_E_INVALID, "sx_store_trim_cache: the database is NULL");
    uint64_t removed;
    bool ran;
    return evict(database, database->options.cache_limit, &removed, &ran, error);
}

sx_status sx_cache_prune(sx_database *database, uint64_t bytes, uint64_t *removed, sx_error *error)
{
    if (!database)
        return sx_fail(error, SX_E_INVALID, "sx_cache_prune: the database is NULL");
    uint64_t gone;
    bool ran;
    if (removed)
        *removed = 0;
    sx_status status = evict(database, bytes, &gone, &ran, error);
    if (status)
        return status;
    if (!ran) {
        status = sx_fail(error, SX_E_BUSY, "%s: another process is indexing and may need what is in the cache", database->path);
        sx_hint(error, "try again when it is done");
        return status;
    }
    if (removed)
        *removed = gone;
    /* Room on the device comes back when pages are; a failure here leaves the pages for later use. */
    if (gone)
        (void)sx_sql_run(database, "PRAGMA incremental_vacuum(16384)", NULL);
    return SX_OK;
}
