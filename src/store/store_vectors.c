/* store_vectors.c - recipes, and vectors by content: looking up, claiming, storing. */
#include "../base/error.h"
#include "../base/memory.h"
#include "collections.h"
#include "packed_vectors.h"
#include "sql.h"
#include "vectors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Beyond this many noted uses the oldest knowledge is not worth its memory. */
enum { MOST_NOTES = 1 << 20 };

/* ---- Recipes ---- */

sx_status sx_store_recipe(sx_database *database, sx_recipe_row *row, sx_error *error)
{
    static const char find[] = "SELECT id FROM recipe WHERE hash = ?";
    if (!database || !row || !row->json || !row->space_json || !row->model || !row->dimensions)
        return sx_fail(error, SX_E_INVALID, "sx_store_recipe: an argument is missing");
    if (row->dimensions > SX_SEGMENT_DIMENSIONS)
        return sx_fail(error, SX_E_LIMIT, "%s: %u dimensions, more than %d", row->model, row->dimensions, SX_SEGMENT_DIMENSIONS);
    row->id = 0;
    sx_status status = sx_sql_number(database, find, 0, &row->id, error, "h", &row->hash);
    if (status || row->id)
        return status;
    sx_scope scope;
    if ((status = sx_scope_enter(database, &scope, error)))
        return status;
    status =
        sx_sql_do(database,
                  "INSERT INTO recipe(hash, space, dimensions, model, json, space_json) VALUES (?, ?, ?, ?, ?, ?)"
                  " ON CONFLICT DO NOTHING",
                  error, "hhittt", &row->hash, &row->space, (int64_t)row->dimensions, row->model, row->json, row->space_json);
    if (!status)
        status = sx_sql_number(database, find, 0, &row->id, error, "h", &row->hash);
    return sx_scope_leave(database, &scope, status, error);
}

sx_status sx_store_dimensions(sx_database *database, int64_t recipe, size_t *dimensions, sx_error *error)
{
    int64_t number;
    sx_status status = sx_sql_number(database, "SELECT dimensions FROM recipe WHERE id = ?", 0, &number, error, "i", recipe);
    if (!status && (number <= 0 || number > SX_SEGMENT_DIMENSIONS))
        status = sx_fail(error, SX_E_NOT_FOUND, "%s: there is no recipe %lld", database->path, (long long)recipe);
    *dimensions = (size_t)number;
    return status;
}

sx_status sx_store_read_vector(sx_database *database, sqlite3_stmt *statement, int column, int64_t id, size_t dimensions,
                               float *vector, sx_error *error)
{
    const void *data = sqlite3_column_blob(statement, column);
    size_t bytes = (size_t)sqlite3_column_bytes(statement, column);
    int64_t packing = sqlite3_column_int64(statement, column + 1);
    if (packing)
        return sx_store_unpack_vector(database, packing, data, bytes, dimensions, vector, error);
    if (!data || bytes != dimensions * sizeof(float))
        return sx_fail(error, SX_E_FORMAT, "%s: vector %lld has %zu bytes, expected %zu", database->path, (long long)id, bytes,
                       dimensions * sizeof(float));
    memcpy(vector, data, bytes);
    return SX_OK;
}

/* ---- Looking up ---- */

static void note_use(sx_database *database, int64_t vector)
{
    /* No memory for a note: the vector may leave the cache sooner than it should, and that is all. */
    if (database->used_count < MOST_NOTES &&
        sx_reserve((void **)&database->used, &database->used_capacity, database->used_count + 1, sizeof *database->used))
        database->used[database->used_count++] = vector;
}

void sx_store_forget_notes(sx_database *database)
{
    database->used_count = 0;
    database->hits = database->misses = database->shared_hits = 0;
}

sx_status sx_store_write_notes(sx_database *database, sx_error *error)
{
    static const char add[] = "UPDATE counter SET value = value + ? WHERE name = ?";
    sx_status status = SX_OK;
    if (database->hits)
        status = sx_sql_do(database, add, error, "it", (int64_t)database->hits, "hits");
    if (!status && database->misses)
        status = sx_sql_do(database, add, error, "it", (int64_t)database->misses, "misses");
    /* A counter that databases made before shared caches lack. */
    if (!status && database->shared_hits)
        status = sx_sql_do(database,
                           "INSERT INTO counter(name, value) VALUES ('shared_hits', ?)"
                           " ON CONFLICT(name) DO UPDATE SET value = value + excluded.value",
                           error, "i", (int64_t)database->shared_hits);
    if (status || !database->used_count)
        return status;
    int64_t use;
    status = sx_sql_number(database, "SELECT value FROM counter WHERE name = 'use'", 0, &use, error, "");
    for (size_t i = 0; i < database->used_count && !status; i++)
        status = sx_sql_do(database, "UPDATE spare SET used = ? WHERE vector = ?", error, "ii", use + 1 + (int64_t)i,
                           database->used[i]);
    if (!status)
        status = sx_sql_do(database, add, error, "it", (int64_t)database->used_count + 1, "use");
    return status;
}

void sx_store_count(sx_database *database, uint64_t hits, uint64_t misses)
{
    if (!database)
        return;
    database->hits += hits;
    database->misses += misses;
}

void sx_store_count_shared(sx_database *database, uint64_t hits)
{
    if (database)
        database->shared_hits += hits;
}

/* What was packed for one collection is an answer to that one alone. */
#define USABLE                                                                                                                   \
    " FROM vector WHERE recipe = ?1 AND hash = ?2"                                                                               \
    " AND (packing IS NULL OR packing IN (SELECT id FROM packing WHERE collection = ?3))"

static sx_status lookup_one(sx_database *database, int64_t recipe, const sx_sha256 *hash, size_t dimensions, sx_vector_row *row,
                            float *vector, sx_error *error)
{
    sqlite3_stmt *statement;
    bool found;
    *row = (sx_vector_row){0};
    sx_status status = sx_sql_start(database,
                                    vector ? "SELECT id, tokens, dropped, data, packing" USABLE
                                           : "SELECT id, tokens, dropped" USABLE,
                                    &statement, error, "ihi", recipe, hash, database->packed_owner);
    if (!status)
        status = sx_sql_step(database, statement, &found, error);
    if (status || !found)
        return status;
    row->id = sqlite3_column_int64(statement, 0);
    row->tokens = (uint32_t)sqlite3_column_int64(statement, 1);
    row->dropped_tokens = (uint32_t)sqlite3_column_int64(statement, 2);
    if (vector)
        status = sx_store_read_vector(database, statement, 3, row->id, dimensions, vector, error);
    sqlite3_reset(statement);
    if (!status)
        note_use(database, row->id);
    return status;
}

void sx_store_own_packed(sx_database *database, int64_t collection)
{
    if (database)
        database->packed_owner = collection;
}

void sx_store_stand_in(sx_database *database, int64_t recipe, int64_t other)
{
    if (!database)
        return;
    database->stood_in_for = recipe;
    database->stand_in = recipe == other ? 0 : other;
}

/* The recipe that stands in for this one; 0: none. */
static int64_t stand_in_of(const sx_database *database, int64_t recipe)
{
    return database->stand_in && database->stood_in_for == recipe ? database->stand_in : 0;
}

sx_status sx_store_lookup(sx_database *database, int64_t recipe, const sx_sha256 *hashes, size_t count, sx_vector_row *rows,
                          float *vectors, sx_error *error)
{
    if (!database || (count && (!hashes || !rows)))
        return sx_fail(error, SX_E_INVALID, "sx_store_lookup: an argument is NULL");
    size_t dimensions;
    sx_status status = sx_snapshot_begin(database, error);
    if (status)
        return status;
    status = sx_store_dimensions(database, recipe, &dimensions, error);
    for (size_t i = 0; i < count && !status; i++) {
        float *vector = vectors ? vectors + i * dimensions : NULL;
        int64_t other = stand_in_of(database, recipe);
        status = lookup_one(database, recipe, &hashes[i], dimensions, &rows[i], vector, error);
        if (!status && !rows[i].id && other)
            status = lookup_one(database, other, &hashes[i], dimensions, &rows[i], vector, error);
    }
    sx_snapshot_end(database);
    return status;
}

/* ---- Claims ---- */

static sx_status is_stored(sx_database *database, int64_t recipe, const sx_sha256 *hash, bool *stored, sx_error *error)
{
    int64_t id;
    sx_status status =
        sx_sql_number(database, "SELECT id" USABLE, 0, &id, error, "ihi", recipe, hash, database->packed_owner);
    if (!status && !id && stand_in_of(database, recipe))
        status = sx_sql_number(database, "SELECT id" USABLE, 0, &id, error, "ihi", stand_in_of(database, recipe), hash,
                               database->packed_owner);
    *stored = id != 0;
    return status;
}

static sx_status claim_one(sx_database *database, int64_t recipe, const sx_sha256 *hash, sx_claim *claim, sx_error *error)
{
    bool stored;
    int64_t owner;
    *claim = SX_CLAIM_STORED;
    sx_status status = is_stored(database, recipe, hash, &stored, error);
    if (status || stored)
        return status;
    *claim = SX_CLAIM_OTHER;
    status =
        sx_sql_number(database, "SELECT owner FROM claim WHERE recipe = ? AND hash = ?", 0, &owner, error, "ih", recipe, hash);
    if (status || owner == database->locks.worker || (owner && sx_locks_held_elsewhere(&database->locks, owner)))
        return status;
    *claim = SX_CLAIM_MINE;
    return sx_sql_do(database, "INSERT OR REPLACE INTO claim(recipe, hash, owner) VALUES (?, ?, ?)", error, "ihi", recipe, hash,
                     database->locks.worker);
}

sx_status sx_store_claim(sx_database *database, int64_t recipe, const sx_sha256 *hashes, size_t count, sx_claim *claims,
                         sx_error *error)
{
    if (!database || (count && (!hashes || !claims)))
        return sx_fail(error, SX_E_INVALID, "sx_store_claim: an argument is NULL");
    /* When all is stored no lock is needed to know it. */
    bool stored = true;
    sx_status status = sx_snapshot_begin(database, error);
    for (size_t i = 0; i < count && stored && !status; i++)
        status = is_stored(database, recipe, &hashes[i], &stored, error);
    sx_snapshot_end(database);
    if (status)
        return status;
    if (stored) {
        for (size_t i = 0; i < count; i++)
            claims[i] = SX_CLAIM_STORED;
        return SX_OK;
    }
    sx_scope scope;
    if ((status = sx_scope_enter(database, &scope, error)))
        return status;
    for (size_t i = 0; i < count && !status; i++)
        status = claim_one(database, recipe, &hashes[i], &claims[i], error);
    return sx_scope_leave(database, &scope, status, error);
}

static sx_status end_claim(sx_database *database, int64_t recipe, const sx_sha256 *hash, sx_error *error)
{
    return sx_sql_do(database, "DELETE FROM claim WHERE recipe = ? AND hash = ? AND owner = ?", error, "ihi", recipe, hash,
                     database->locks.worker);
}

sx_status sx_store_release(sx_database *database, int64_t recipe, const sx_sha256 *hashes, size_t count, sx_error *error)
{
    if (!database || (count && !hashes))
        return sx_fail(error, SX_E_INVALID, "sx_store_release: an argument is NULL");
    if (!count)
        return SX_OK;
    sx_scope scope;
    sx_status status = sx_scope_enter(database, &scope, error);
    if (status)
        return status;
    for (size_t i = 0; i < count && !status; i++)
        status = end_claim(database, recipe, &hashes[i], error);
    return sx_scope_leave(database, &scope, status, error);
}

sx_status sx_store_drop_dead_claims(sx_database *database, sx_error *error)
{
    int64_t owner = 0;
    for (;;) {
        sx_status status = sx_sql_number(database, "SELECT owner FROM claim WHERE owner > ? ORDER BY owner LIMIT 1", 0, &owner,
                                         error, "i", owner);
        if (status || !owner)
            return status;
        if (owner == database->locks.worker || sx_locks_held_elsewhere(&database->locks, owner))
            continue;
        sx_scope scope;
        if ((status = sx_scope_enter(database, &scope, error)))
            return status;
        status = sx_sql_do(database, "DELETE FROM claim WHERE owner = ?", error, "i", owner);
        if ((status = sx_scope_leave(database, &scope, status, error)))
            return status;
    }
}

/* ---- Storing ---- */

static sx_status check_finite(const float *vectors, size_t count, size_t dimensions, sx_error *error)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < dimensions; j++)
            if (!isfinite(vectors[i * dimensions + j]))
                return sx_fail(error, SX_E_INVALID, "vector %zu: component %zu is %f; only finite vectors are stored", i, j,
                               (double)vectors[i * dimensions + j]);
    return SX_OK;
}

sx_status sx_store_put_one(sx_database *database, int64_t recipe, const sx_sha256 *hash, const float *vector, size_t dimensions,
                           sx_vector_row receipt, bool computed, int64_t *id, bool *added, sx_error *error)
{
    sx_status status =
        sx_sql_number(database, "SELECT id FROM vector WHERE recipe = ? AND hash = ?", 0, id, error, "ih", recipe, hash);
    *added = !status && *id == 0;
    if (status)
        return status;
    if (!*added) { /* where only a packed form was left the floats are back */
        status = sx_sql_do(database, "UPDATE vector SET data = ?, packing = NULL WHERE id = ? AND packing IS NOT NULL", error, "bi",
                           (const void *)vector, dimensions * sizeof(float), *id);
        return status || !computed
                   ? status
                   : sx_sql_do(database, "UPDATE vector SET computed = computed + 1 WHERE id = ?", error, "i", *id);
    }
    status = sx_sql_do(database, "INSERT INTO vector(recipe, hash, tokens, dropped, computed, data) VALUES (?, ?, ?, ?, ?, ?)",
                       error, "ihiiib", recipe, hash, (int64_t)receipt.tokens, (int64_t)receipt.dropped_tokens, (int64_t)computed,
                       (const void *)vector, dimensions * sizeof(float));
    *id = sqlite3_last_insert_rowid(database->sqlite);
    return status;
}

sx_status sx_store_put(sx_database *database, int64_t recipe, const sx_sha256 *hashes, size_t count, const float *vectors,
                       const sx_vector_row *receipts, int64_t *ids, sx_error *error)
{
    if (!database || (count && (!hashes || !vectors)))
        return sx_fail(error, SX_E_INVALID, "sx_store_put: an argument is NULL");
    if (!count)
        return SX_OK;
    size_t dimensions;
    sx_status status = sx_store_dimensions(database, recipe, &dimensions, error);
    if (!status)
        status = check_finite(vectors, count, dimensions, error);
    if (status)
        return status;
    sx_scope scope;
    if ((status = sx_scope_enter(database, &scope, error)))
        return status;
    status = sx_sql_do(database, "UPDATE counter SET value = value + 1 WHERE name = 'use'", error, "");
    for (size_t i = 0; i < count && !status; i++) {
        int64_t id;
        bool added;
        status = sx_store_put_one(database, recipe, &hashes[i], vectors + i * dimensions, dimensions,
                                  receipts ? receipts[i] : (sx_vector_row){0}, true, &id, &added, error);
        if (!status)
            status = end_claim(database, recipe, &hashes[i], error);
        if (ids)
            ids[i] = id;
    }
    return sx_scope_leave(database, &scope, status, error);
}
