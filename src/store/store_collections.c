/* store_collections.c - collections: finding, making, naming, deleting, the lease of their jobs, and what there is of them. */
#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"
#include "collections.h"
#include "packed_vectors.h"
#include "segments.h"
#include "shadows.h"
#include "store_keyword.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Chunks deleted in one transaction. */
enum { DELETE_BATCH = 2000 };

/* Has a name, and is no hidden companion of another (shadows.h). */
#define IS_SHOWN "(name IS NOT NULL AND substr(name, 1, 1) <> char(1))"

void sx_collection_row_clear(sx_collection_row *row)
{
    if (!row)
        return;
    free(row->name);
    free(row->model);
    free(row->recipe_hash);
    free(row->space_hash);
    free(row->settings);
    *row = (sx_collection_row){0};
}

static char *hex_of(sqlite3_stmt *statement, int column, bool *failed)
{
    sx_sha256 hash;
    char hex[SX_SHA256_HEX];
    sx_sql_hash(statement, column, &hash);
    sx_sha256_hex(&hash, hex);
    char *copy = sx_strdup(hex);
    if (!copy)
        *failed = true;
    return copy;
}

sx_status sx_store_load_collection(sx_database *database, const char *name, sx_collection_row *row, sx_error *error)
{
    sqlite3_stmt *statement;
    bool found;
    *row = (sx_collection_row){0};
    sx_status status = sx_sql_start(database,
                                    "SELECT c.id, c.recipe, c.name, c.settings, r.model, r.hash, r.space, r.dimensions"
                                    " FROM collection c JOIN recipe r ON r.id = c.recipe WHERE c.name = ?",
                                    &statement, error, "t", name);
    if (!status)
        status = sx_sql_step(database, statement, &found, error);
    if (status || !found)
        return status;
    bool failed = false;
    row->id = sqlite3_column_int64(statement, 0);
    row->recipe = sqlite3_column_int64(statement, 1);
    row->name = sx_sql_text(statement, 2, &failed);
    row->settings = sx_sql_text(statement, 3, &failed);
    row->model = sx_sql_text(statement, 4, &failed);
    row->recipe_hash = hex_of(statement, 5, &failed);
    row->space_hash = hex_of(statement, 6, &failed);
    row->dimensions = (uint32_t)sqlite3_column_int64(statement, 7);
    sqlite3_reset(statement);
    if (!failed)
        return SX_OK;
    sx_collection_row_clear(row);
    return sx_fail_nomem(error, 64);
}

sx_status sx_store_no_collection(sx_database *database, const char *name, sx_error *error)
{
    char names[400] = "";
    size_t used = 0;
    int64_t count = 0;
    sqlite3_stmt *statement;
    bool row = true;
    sx_status status =
        sx_sql_start(database, "SELECT name FROM collection WHERE " IS_SHOWN " ORDER BY name", &statement, NULL, "");
    while (!status && row && !(status = sx_sql_step(database, statement, &row, NULL)) && row) {
        const char *found = (const char *)sqlite3_column_text(statement, 0);
        int wrote = snprintf(names + used, sizeof names - used, "%s%s", count++ ? ", " : "", found ? found : "?");
        if (wrote < 0 || (size_t)wrote >= sizeof names - used - 8) {
            snprintf(names + used, sizeof names - used, ", ...");
            sqlite3_reset(statement);
            break;
        }
        used += (size_t)wrote;
    }
    status = sx_fail(error, SX_E_NOT_FOUND, "%s: there is no collection named %s", database->path, name);
    if (count)
        sx_hint(error, "there is: %s", names);
    else
        sx_hint(error, "there is no collection yet; `index` makes one");
    return status;
}

sx_status sx_store_collection_find(sx_database *database, const char *name, sx_collection_row *row, sx_error *error)
{
    if (!database || !name || !row)
        return sx_fail(error, SX_E_INVALID, "sx_store_collection_find: an argument is NULL");
    *row = (sx_collection_row){0};
    if (sx_store_is_hidden(name))
        return sx_store_no_collection(database, name + 1, error);
    sx_status status = sx_store_load_collection(database, name, row, error);
    return status || row->id ? status : sx_store_no_collection(database, name, error);
}

static sx_status check_name(const char *name, sx_error *error)
{
    if (!name || !*name)
        return sx_fail(error, SX_E_INVALID, "a collection's name is empty");
    if (strlen(name) > 200)
        return sx_fail(error, SX_E_LIMIT, "a collection's name has %zu bytes; the limit is 200", strlen(name));
    /* A line break in a name would forge a line of every list. */
    for (const unsigned char *at = (const unsigned char *)name; *at; at++)
        if (*at < 0x20 || *at == 0x7f)
            return sx_fail(error, SX_E_INVALID, "a collection's name has a control character (0x%02x) at byte %zu", *at,
                           (size_t)(at - (const unsigned char *)name));
    return SX_OK;
}

sx_status sx_store_collection_open(sx_database *database, const char *name, int64_t recipe, const char *settings,
                                   sx_collection_row *row, sx_error *error)
{
    if (!database || !row)
        return sx_fail(error, SX_E_INVALID, "sx_store_collection_open: an argument is NULL");
    sx_status status = check_name(name, error);
    if (!status)
        status = sx_store_load_collection(database, name, row, error);
    if (status || row->id)
        return status;
    sx_scope scope;
    if ((status = sx_scope_enter(database, &scope, error)))
        return status;
    status = sx_sql_do(database, "INSERT INTO collection(name, recipe, settings) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", error,
                       "tit", name, recipe, settings ? settings : "{}");
    if (!status)
        status = sx_store_load_collection(database, name, row, error);
    status = sx_scope_leave(database, &scope, status, error);
    if (status)
        sx_collection_row_clear(row);
    return status;
}

sx_status sx_store_collection_settings(sx_database *database, int64_t collection, const char *settings, sx_error *error)
{
    if (!database || !settings)
        return sx_fail(error, SX_E_INVALID, "sx_store_collection_settings: an argument is NULL");
    sx_scope scope;
    sx_status status = sx_scope_enter(database, &scope, error);
    if (status)
        return status;
    status = sx_sql_do(database, "UPDATE collection SET settings = ? WHERE id = ?", error, "ti", settings, collection);
    return sx_scope_leave(database, &scope, status, error);
}

sx_status sx_collection_rename(sx_database *database, const char *name, const char *new_name, sx_error *error)
{
    if (!database || !name)
        return sx_fail(error, SX_E_INVALID, "sx_collection_rename: an argument is NULL");
    sx_status status = check_name(new_name, error);
    if (status)
        return status;
    sx_scope scope;
    if ((status = sx_scope_enter(database, &scope, error)))
        return status;
    static const char find[] = "SELECT id FROM collection WHERE name = ? AND " IS_SHOWN;
    int64_t id, other;
    status = sx_sql_number(database, find, 0, &id, error, "t", name);
    if (!status && !id)
        status = sx_store_no_collection(database, name, error);
    if (!status)
        status = sx_sql_number(database, find, 0, &other, error, "t", new_name);
    if (!status && other && other != id)
        status = sx_fail(error, SX_E_EXISTS, "%s: there is a collection named %s already", database->path, new_name);
    if (!status)
        status = sx_sql_do(database, "UPDATE collection SET name = ? WHERE id = ?", error, "ti", new_name, id);
    return sx_scope_leave(database, &scope, status, error);
}

/* ---- Leases ---- */

static size_t lease_index(const sx_database *database, int64_t collection)
{
    size_t i = 0;
    while (i < database->lease_count && database->leases[i] != collection)
        i++;
    return i;
}

/* *got false, with wait false, when another handle has it. */
static sx_status take_lease(sx_database *database, int64_t collection, bool wait, const volatile int *stop, bool *got,
                            sx_error *error)
{
    *got = true;
    if (!sx_reserve((void **)&database->leases, &database->lease_capacity, database->lease_count + 1, sizeof *database->leases))
        return sx_fail_nomem(error, sizeof *database->leases);
    int64_t byte = SX_LOCK_FIRST_LEASE + collection;
    sx_status status = wait ? sx_locks_wait(&database->locks, byte, SX_LOCK_EXCLUSIVE, stop, error)
                            : sx_locks_try(&database->locks, byte, SX_LOCK_EXCLUSIVE, got, error);
    if (status || !*got)
        return status;
    /* Eviction takes moments; a job waits for it. */
    status = sx_locks_wait(&database->locks, SX_LOCK_EVICTION, SX_LOCK_SHARED, stop, error);
    if (status)
        sx_locks_drop(&database->locks, byte);
    else
        sx_store_own_packed(database, database->leases[database->lease_count++] = collection);
    return status;
}

sx_status sx_store_lease(sx_database *database, int64_t collection, bool wait, const volatile int *stop, sx_error *error)
{
    if (!database || collection <= 0 || collection >= SX_LOCK_FIRST_LEASE)
        return sx_fail(error, SX_E_INVALID, "sx_store_lease: no such collection: %lld", (long long)collection);
    if (lease_index(database, collection) < database->lease_count)
        return sx_fail(error, SX_E_BUSY, "%s: this handle runs a job on the collection already", database->path);
    bool got;
    sx_status status = take_lease(database, collection, wait, stop, &got, error);
    if (status)
        return status;
    if (!got) {
        status = sx_fail(error, SX_E_BUSY, "%s: another process is working on this collection", database->path);
        sx_hint(error, "wait for it to end");
        return status;
    }
    /* Whoever had the lease before may have deleted the collection, or put another in its place. */
    int64_t there, shown = 0;
    status =
        sx_sql_number(database, "SELECT 1 FROM collection WHERE id = ? AND name IS NOT NULL", 0, &there, error, "i", collection);
    if (!status && !there)
        status = sx_fail(error, SX_E_NOT_FOUND, "%s: the collection has been deleted meanwhile", database->path);
    if (!status)
        status = sx_sql_number(database, "SELECT 1 FROM collection WHERE id = ? AND " IS_SHOWN, 0, &shown, error, "i", collection);
    if (!status && !shown) {
        status = sx_fail(error, SX_E_MISMATCH, "%s: the collection has been moved to another model meanwhile", database->path);
        sx_hint(error, "run it again: it then uses the new one");
    }
    if (status)
        sx_store_lease_release(database, collection);
    return status;
}

sx_status sx_store_hold(sx_database *database, int64_t collection, sx_error *error)
{
    bool got;
    return take_lease(database, collection, true, NULL, &got, error);
}

void sx_store_lease_release(sx_database *database, int64_t collection)
{
    if (!database)
        return;
    size_t index = lease_index(database, collection);
    if (index == database->lease_count)
        return;
    database->leases[index] = database->leases[--database->lease_count];
    sx_store_own_packed(database, database->lease_count ? database->leases[database->lease_count - 1] : 0);
    sx_locks_drop(&database->locks, SX_LOCK_FIRST_LEASE + collection);
    if (!database->lease_count)
        sx_locks_drop(&database->locks, SX_LOCK_EVICTION);
}

/* ---- Deleting ---- */

void sx_store_unlink_segment(sx_database *database, const char *file)
{
    char *path = sx_path_join(database->folder, file), *graph = sx_segments_graph_path(database, file);
    if (path)
        (void)unlink(path);
    if (graph)
        (void)unlink(graph);
    free(path);
    free(graph);
}

/* Documents of a nameless collection, some chunks at a time. */
static sx_status delete_batch(sx_database *database, int64_t collection, bool *more, sx_error *error)
{
    sx_scope scope;
    sx_status status = sx_scope_enter(database, &scope, error);
    if (status)
        return status;
    int64_t chunks = 0;
    *more = true;
    while (!status && *more && chunks < DELETE_BATCH) {
        int64_t document;
        status =
            sx_sql_number(database, "SELECT id FROM document WHERE collection = ? LIMIT 1", 0, &document, error, "i", collection);
        if (status || !document) {
            *more = false;
            break;
        }
        status = sx_sql_do(database, "DELETE FROM chunk WHERE id IN (SELECT id FROM chunk WHERE document = ? LIMIT ?)", error,
                           "ii", document, (int64_t)DELETE_BATCH);
        int64_t gone = status ? 0 : sqlite3_changes(database->sqlite);
        chunks += gone + 1;
        if (!status && gone < DELETE_BATCH)
            status = sx_sql_do(database, "DELETE FROM document WHERE id = ?", error, "i", document);
    }
    return sx_scope_leave(database, &scope, status, error);
}

static sx_status delete_nameless(sx_database *database, int64_t collection, sx_error *error)
{
    sx_status status;
    bool more = true;
    do /* before the chunks, which would have to be taken out one by one */
        status = sx_keyword_forget(database, collection, &more, error);
    while (!status && more);
    more = true;
    while (!status && more)
        status = delete_batch(database, collection, &more, error);
    if (!status)
        status = sx_store_forget_packed(database, collection, error);
    if (status)
        return status;
    sx_scope scope;
    if ((status = sx_scope_enter(database, &scope, error)))
        return status;
    status = sx_sql_do(database, "DELETE FROM collection WHERE id = ?", error, "i", collection);
    return sx_scope_leave(database, &scope, status, error);
}

sx_status sx_store_finish_deletions(sx_database *database, sx_error *error)
{
    int64_t collection = 0;
    for (;;) {
        bool free_to_go = true;
        sx_status status = sx_sql_number(database, "SELECT id FROM collection WHERE name IS NULL AND id > ? ORDER BY id LIMIT 1",
                                         0, &collection, error, "i", collection);
        if (status || !collection)
            return status;
        /* Held by another: it is being deleted, or imported and not named yet. */
        bool mine = lease_index(database, collection) < database->lease_count;
        if (!mine)
            status = take_lease(database, collection, false, NULL, &free_to_go, error);
        if (!status && free_to_go)
            status = delete_nameless(database, collection, error);
        if (!mine && free_to_go)
            sx_store_lease_release(database, collection);
        if (status)
            return status;
    }
}

sx_status sx_store_shadow_lease(sx_database *database, int64_t shadow, sx_error *error)
{
    bool got;
    if (lease_index(database, shadow) < database->lease_count)
        return sx_fail(error, SX_E_BUSY, "%s: this handle runs a job on the collection already", database->path);
    sx_status status = take_lease(database, shadow, false, NULL, &got, error);
    if (!status && !got)
        status = sx_fail(error, SX_E_BUSY, "%s: another process is working on this collection", database->path);
    return status;
}

sx_status sx_store_make_nameless(sx_database *database, int64_t collection, sx_error *error)
{
#define COMPANIONS " IN (SELECT id FROM collection WHERE name IN (char(1) || 'new ' || ?1, char(1) || 'old ' || ?1))"
    sx_scope scope;
    sx_status status = sx_scope_enter(database, &scope, error);
    if (status)
        return status;
    status = sx_sql_do(database, "DELETE FROM segment WHERE collection = ?1 OR collection" COMPANIONS, error, "i", collection);
    if (!status)
        status = sx_sql_do(database, "UPDATE collection SET name = NULL WHERE id = ?1 OR id" COMPANIONS, error, "i", collection);
    return sx_scope_leave(database, &scope, status, error);
}

sx_status sx_collection_delete(sx_database *database, const char *name, sx_error *error)
{
    sx_collection_row row;
    sx_status status = sx_store_collection_find(database, name, &row, error);
    if (status)
        return status;
    bool had_lease = lease_index(database, row.id) < database->lease_count;
    if (!had_lease && (status = sx_store_lease(database, row.id, false, NULL, error)))
        goto out;
    /* The collection goes in one step, by losing its name; its rows follow in short transactions, which whoever comes next
     * finishes should this process die. */
    status = sx_store_make_nameless(database, row.id, error);
    if (!status)
        status = sx_store_finish_deletions(database, error);
    if (!status)
        status = sx_store_sweep_files(database, error);
    if (!status)
        (void)sx_sql_run(database, "PRAGMA incremental_vacuum(16384)", NULL);
    if (!had_lease || !status)
        sx_store_lease_release(database, row.id);
out:
    sx_collection_row_clear(&row);
    return status;
}

/* ---- What there is ---- */

void sx_database_status_free(sx_database_status *status)
{
    if (!status)
        return;
    for (size_t i = 0; i < status->collection_count; i++) {
        sx_collection_info *info = &status->collections[i];
        free(info->name);
        free(info->model);
        free(info->space);
        free(info->recipe);
        free(info->moving_to);
        free(info->kept_model);
        free(info->dropped_to);
    }
    free(status->collections);
    free(status);
}

static sx_status describe_collections(sx_database *database, bool counted, sx_database_status *out, sx_error *error)
{
    /* documents counts what is or will be searchable: skipped files are remembered, but are none. */
#define MODEL_OF_COMPANION(kind)                                                                                                 \
    "(SELECT r.model FROM collection s JOIN recipe r ON r.id = s.recipe WHERE s.name = char(1) || '" kind " ' || c.id)"
#define IS_NO_COMPANION "c.name IS NOT NULL AND substr(c.name, 1, 1) <> char(1)"
#define DROPPED_TO "(SELECT method FROM packing WHERE collection = c.id ORDER BY id DESC LIMIT 1)"
    static const char names[] = "SELECT c.name, r.model, r.space, r.hash, r.dimensions, 0, 0, 0, 0, 0, 0,"
                                MODEL_OF_COMPANION("new") "," MODEL_OF_COMPANION("old") ", 0," DROPPED_TO ", 0, 0"
                                " FROM collection c JOIN recipe r ON r.id = c.recipe WHERE " IS_NO_COMPANION " ORDER BY c.name";
    static const char counts[] =
        "SELECT c.name, r.model, r.space, r.hash, r.dimensions, d.documents, d.chunks, d.pending, d.failed, d.bytes, v.vectors,"
        MODEL_OF_COMPANION("new") "," MODEL_OF_COMPANION("old") ", (SELECT count(*) FROM document m JOIN collection s"
        "  ON s.id = m.collection WHERE s.name = char(1) || 'new ' || c.id AND m.state <> 3),"
        DROPPED_TO ", p.dropped, p.saved FROM collection c JOIN recipe r ON r.id = c.recipe"
        " LEFT JOIN (SELECT collection, sum(state <> 3) AS documents, sum(chunk_count) AS chunks, sum(state = 0) AS pending,"
        "  sum(state = 2) AS failed, sum(text_bytes) AS bytes FROM document GROUP BY collection) d ON d.collection = c.id"
        " LEFT JOIN (SELECT collection, count(*) AS vectors FROM (SELECT DISTINCT vector, collection FROM chunk"
        "  WHERE vector IS NOT NULL) GROUP BY collection) v ON v.collection = c.id"
        " LEFT JOIN (SELECT p.collection, count(*) AS dropped, sum(4 * p.dimensions - p.row_bytes) AS saved"
        "  FROM packing p JOIN vector w ON w.packing = p.id WHERE EXISTS (SELECT 1 FROM chunk k WHERE k.vector = w.id"
        "  AND k.collection = p.collection) GROUP BY p.collection) p ON p.collection = c.id"
        " WHERE " IS_NO_COMPANION " ORDER BY c.name";
    sqlite3_stmt *statement;
    size_t capacity = 0;
    bool row = true;
    sx_status status = sx_sql_start(database, counted ? counts : names, &statement, error, "");
    while (!status && !(status = sx_sql_step(database, statement, &row, error)) && row) {
        if (!sx_reserve((void **)&out->collections, &capacity, out->collection_count + 1, sizeof *out->collections)) {
            status = sx_fail_nomem(error, sizeof *out->collections);
            break;
        }
        bool failed = false;
        sx_collection_info *info = &out->collections[out->collection_count++];
        *info = (sx_collection_info){
            .name = sx_sql_text(statement, 0, &failed),
            .model = sx_sql_text(statement, 1, &failed),
            .space = hex_of(statement, 2, &failed),
            .recipe = hex_of(statement, 3, &failed),
            .dimensions = (uint32_t)sqlite3_column_int64(statement, 4),
            .documents = (uint64_t)sqlite3_column_int64(statement, 5),
            .chunks = (uint64_t)sqlite3_column_int64(statement, 6),
            .pending = (uint64_t)sqlite3_column_int64(statement, 7),
            .failed = (uint64_t)sqlite3_column_int64(statement, 8),
            .vectors = (uint64_t)sqlite3_column_int64(statement, 10),
            .moving_to = sx_sql_text(statement, 11, &failed),
            .kept_model = sx_sql_text(statement, 12, &failed),
            .moved = (uint64_t)sqlite3_column_int64(statement, 13),
            .dropped_to = sx_sql_text(statement, 14, &failed),
            .dropped = (uint64_t)sqlite3_column_int64(statement, 15),
        };
        if (info->moved > info->documents)
            info->moved = info->documents;
        info->bytes = (uint64_t)sqlite3_column_int64(statement, 9) + info->vectors * info->dimensions * sizeof(float) -
                      (uint64_t)sqlite3_column_int64(statement, 16);
        if (failed)
            status = sx_fail_nomem(error, 64);
    }
    if (status && statement)
        sqlite3_reset(statement);
    return status;
}

static sx_status describe_cache(sx_database *database, sx_cache_info *cache, sx_error *error)
{
    sqlite3_stmt *statement;
    bool row = false;
    sx_status status = sx_sql_start(
        database,
        "SELECT (SELECT value FROM counter WHERE name = 'spare_entries'), (SELECT value FROM counter WHERE name = 'spare_bytes'),"
        " (SELECT value FROM counter WHERE name = 'hits'), (SELECT value FROM counter WHERE name = 'misses'),"
        " (SELECT sum(n) FROM (SELECT count(*) AS n FROM vector GROUP BY recipe)),"
        " (SELECT sum(n * 4 * dimensions) FROM (SELECT recipe, count(*) AS n FROM vector GROUP BY recipe) v"
        "  JOIN recipe ON recipe.id = v.recipe) - coalesce((SELECT sum(n * (4 * dimensions - row_bytes)) FROM"
        "  (SELECT packing, count(*) AS n FROM vector WHERE packing IS NOT NULL GROUP BY packing) v"
        "  JOIN packing ON packing.id = v.packing), 0),"
        " (SELECT value FROM counter WHERE name = 'shared_hits')",
        &statement, error, "");
    if (!status)
        status = sx_sql_step(database, statement, &row, error);
    if (!row)
        return status;
    cache->entries = (uint64_t)sqlite3_column_int64(statement, 0);
    cache->bytes = (uint64_t)sqlite3_column_int64(statement, 1);
    /* What this handle has noted but not written counts too. */
    cache->hits = (uint64_t)sqlite3_column_int64(statement, 2) + database->hits;
    cache->misses = (uint64_t)sqlite3_column_int64(statement, 3) + database->misses;
    cache->referenced_entries = (uint64_t)sqlite3_column_int64(statement, 4) - cache->entries;
    cache->referenced_bytes = (uint64_t)sqlite3_column_int64(statement, 5) - cache->bytes;
    cache->shared_hits = (uint64_t)sqlite3_column_int64(statement, 6) + database->shared_hits;
    sqlite3_reset(statement);
    cache->limit = database->options.cache_limit;
    uint64_t found = cache->hits + cache->shared_hits;
    cache->hit_rate = found + cache->misses ? (double)found / (double)(found + cache->misses) : 0;
    return SX_OK;
}

static sx_status describe(sx_database *database, bool counted, const char *function, sx_database_status **out, sx_error *error)
{
    if (!out)
        return sx_fail(error, SX_E_INVALID, "%s: out is NULL", function);
    *out = NULL;
    if (!database)
        return sx_fail(error, SX_E_INVALID, "%s: the database is NULL", function);
    sx_database_status *made = sx_calloc(1, sizeof *made);
    if (!made)
        return sx_fail_nomem(error, sizeof *made);
    sx_status status = sx_snapshot_begin(database, error);
    if (!status)
        status = describe_collections(database, counted, made, error);
    if (!status && counted)
        status = describe_cache(database, &made->cache, error);
    sx_snapshot_end(database);
    if (status)
        sx_database_status_free(made);
    else
        *out = made;
    return status;
}

sx_status sx_database_describe(sx_database *database, sx_database_status **out, sx_error *error)
{
    return describe(database, true, "sx_database_describe", out, error);
}

sx_status sx_database_list(sx_database *database, sx_database_status **out, sx_error *error)
{
    return describe(database, false, "sx_database_list", out, error);
}
