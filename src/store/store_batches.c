/* store_batches.c - the tables of batch jobs: see batches.h. */
#include "batches.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sx_batch_row_clear(sx_batch_row *row)
{
    char *strings[] = {row->provider, row->model,     row->url,      row->file_id, row->batch_id,
                       row->status,   row->output_id, row->error_id, row->message};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        free(strings[i]);
    *row = (sx_batch_row){0};
}

sx_status sx_store_batch_add(sx_database *database, sx_batch_row *row, const sx_sha256 *hashes, size_t count, sx_error *error)
{
    sx_scope scope;
    sx_status status = sx_scope_enter(database, &scope, error);
    if (status)
        return status;
    status = sx_sql_do(database,
                       "INSERT INTO batch(recipe, provider, model, url, file, step, asked, requests, price, created_ns)"
                       " VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?)",
                       error, "ittthiidi", row->recipe, row->provider, row->model, row->url, &row->file, (int64_t)row->step,
                       (int64_t)row->requests, row->price, row->created_ns);
    if (!status)
        row->id = sqlite3_last_insert_rowid(database->sqlite);
    for (size_t i = 0; i < count && !status; i++)
        status = sx_sql_do(database, "INSERT INTO batch_item(batch, hash, recipe, state) VALUES (?, ?, ?, 0)", error, "ihi",
                           row->id, &hashes[i], row->recipe);
    return sx_scope_leave(database, &scope, status, error);
}

sx_status sx_store_batch_save(sx_database *database, const sx_batch_row *row, sx_error *error)
{
    return sx_sql_do(database,
                     "UPDATE batch SET step = ?, asked = ?, file_id = ?, batch_id = ?, status = ?, output_id = ?, error_id = ?,"
                     " message = ?, stored = ?, failed = ?, tokens = ? WHERE id = ?",
                     error, "iittttttiiii", (int64_t)row->step, (int64_t)row->asked, row->file_id, row->batch_id, row->status,
                     row->output_id, row->error_id, row->message, (int64_t)row->stored, (int64_t)row->failed,
                     (int64_t)row->tokens, row->id);
}

sx_status sx_store_batch_next(sx_database *database, int64_t after, sx_batch_row *row, sx_error *error)
{
    sqlite3_stmt *statement;
    bool there = false, failed = false;
    sx_batch_row_clear(row);
    sx_status status = sx_sql_start(
        database,
        "SELECT b.id, b.recipe, b.created_ns, b.step, b.asked, b.file, b.provider, b.model, b.url, b.file_id, b.batch_id,"
        " b.status, b.output_id, b.error_id, b.message, b.requests, b.stored, b.failed, b.tokens, b.price, r.hash, r.space,"
        " r.dimensions FROM batch b JOIN recipe r ON r.id = b.recipe WHERE b.id > ? ORDER BY b.id LIMIT 1",
        &statement, error, "i", after);
    if (!status)
        status = sx_sql_step(database, statement, &there, error);
    if (status || !there)
        return status;
    char **strings[] = {&row->provider, &row->model,     &row->url,      &row->file_id, &row->batch_id,
                        &row->status,   &row->output_id, &row->error_id, &row->message};
    row->id = sqlite3_column_int64(statement, 0);
    row->recipe = sqlite3_column_int64(statement, 1);
    row->created_ns = sqlite3_column_int64(statement, 2);
    row->step = (sx_batch_step)sqlite3_column_int(statement, 3);
    row->asked = sqlite3_column_int(statement, 4) != 0;
    sx_sql_hash(statement, 5, &row->file);
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        *strings[i] = sx_sql_text(statement, 6 + (int)i, &failed);
    row->requests = (uint64_t)sqlite3_column_int64(statement, 15);
    row->stored = (uint64_t)sqlite3_column_int64(statement, 16);
    row->failed = (uint64_t)sqlite3_column_int64(statement, 17);
    row->tokens = (uint64_t)sqlite3_column_int64(statement, 18);
    row->price = sqlite3_column_double(statement, 19);
    sx_sql_hash(statement, 20, &row->recipe_hash);
    sx_sql_hash(statement, 21, &row->space);
    row->dimensions = (uint32_t)sqlite3_column_int64(statement, 22);
    sqlite3_reset(statement);
    if (!failed)
        return SX_OK;
    sx_batch_row_clear(row);
    return sx_fail_nomem(error, 256);
}

sx_status sx_store_batch_items(sx_database *database, int64_t batch, sx_sha256 **hashes, unsigned char **states, size_t *count,
                               sx_error *error)
{
    int64_t number = 0;
    sqlite3_stmt *statement;
    bool row = true;
    *hashes = NULL;
    *states = NULL;
    *count = 0;
    sx_status status =
        sx_sql_number(database, "SELECT count(*) FROM batch_item WHERE batch = ?", 0, &number, error, "i", batch);
    if (status)
        return status;
    *hashes = sx_calloc((size_t)number, sizeof **hashes);
    *states = sx_calloc((size_t)number, 1);
    if (!*hashes || !*states)
        status = sx_fail_nomem(error, (size_t)number * sizeof **hashes);
    if (!status)
        status = sx_sql_start(database, "SELECT hash, state FROM batch_item WHERE batch = ? ORDER BY hash LIMIT ?", &statement,
                              error, "ii", batch, number);
    while (!status && !(status = sx_sql_step(database, statement, &row, error)) && row) {
        sx_sql_hash(statement, 0, &(*hashes)[*count]);
        (*states)[(*count)++] = (unsigned char)sqlite3_column_int(statement, 1);
    }
    if (status) {
        free(*hashes);
        free(*states);
        *hashes = NULL;
        *states = NULL;
    }
    return status;
}

sx_status sx_store_batch_item(sx_database *database, int64_t batch, const sx_sha256 *hash, sx_batch_item_state state,
                              const char *reason, sx_error *error)
{
    return sx_sql_do(database, "UPDATE batch_item SET state = ?, reason = ? WHERE batch = ? AND hash = ?", error, "itih",
                     (int64_t)state, reason, batch, hash);
}

sx_status sx_store_batch_tidy(sx_database *database, int64_t batch, sx_error *error)
{
    return sx_sql_do(database, "DELETE FROM batch_item WHERE batch = ? AND state = 1", error, "i", batch);
}

sx_status sx_store_batch_of(sx_database *database, int64_t recipe, const sx_sha256 *hash, int64_t *batch,
                            sx_batch_item_state *state, char **reason, sx_error *error)
{
    sqlite3_stmt *statement;
    bool row = false, failed = false;
    *batch = 0;
    *reason = NULL;
    sx_status status = sx_sql_start(
        database, "SELECT batch, state, reason FROM batch_item WHERE hash = ? AND recipe = ? ORDER BY batch DESC LIMIT 1",
        &statement, error, "hi", hash, recipe);
    if (!status)
        status = sx_sql_step(database, statement, &row, error);
    if (status || !row)
        return status;
    *batch = sqlite3_column_int64(statement, 0);
    *state = (sx_batch_item_state)sqlite3_column_int(statement, 1);
    *reason = sx_sql_text(statement, 2, &failed);
    sqlite3_reset(statement);
    return failed ? sx_fail_nomem(error, 256) : SX_OK;
}

sx_status sx_store_batch_forget(sx_database *database, int64_t recipe, const sx_sha256 *hash, sx_error *error)
{
    return sx_sql_do(database, "DELETE FROM batch_item WHERE hash = ? AND recipe = ? AND state <> 0", error, "hi", hash, recipe);
}

char *sx_store_batch_path(const sx_database *database, const sx_sha256 *file)
{
    char hex[SX_SHA256_HEX], *path = NULL;
    sx_sha256_hex(file, hex);
    return asprintf(&path, "%s-batches/%s.jsonl", database->path, hex) < 0 ? NULL : path;
}

sx_status sx_store_batch_lock(sx_database *database, const volatile int *stop, sx_error *error)
{
    return sx_locks_wait(&database->locks, SX_LOCK_BATCHES, SX_LOCK_EXCLUSIVE, stop, error);
}

void sx_store_batch_unlock(sx_database *database)
{
    sx_locks_drop(&database->locks, SX_LOCK_BATCHES);
}
