/* store_shadows.c - hidden companions of collections (shadows.h): making, swapping, dropping, and reading what one side has
 * for the other. */
#include "shadows.h"

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/memory.h"
#include "collections.h"
#include "sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE = 64 };

bool sx_store_is_hidden(const char *name)
{
    return name && name[0] == '\001';
}

static void name_of(int64_t collection, sx_shadow_kind kind, char name[NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "\001%s %lld", kind == SX_SHADOW_NEW ? "new" : "old", (long long)collection);
}

sx_status sx_store_shadow_find(sx_database *database, int64_t collection, sx_shadow_kind kind, sx_collection_row *row,
                               sx_error *error)
{
    char name[NAME_SIZE];
    name_of(collection, kind, name);
    return sx_store_load_collection(database, name, row, error);
}

sx_status sx_store_shadow_make(sx_database *database, int64_t collection, int64_t recipe, sx_collection_row *row, sx_error *error)
{
    char name[NAME_SIZE];
    name_of(collection, SX_SHADOW_NEW, name);
    *row = (sx_collection_row){0};
    sx_scope scope;
    sx_status status = sx_scope_enter(database, &scope, error);
    if (status)
        return status;
    status = sx_sql_do(database,
                       "INSERT INTO collection(name, recipe, settings) SELECT ?, ?, settings FROM collection"
                       " WHERE id = ? AND name IS NOT NULL ON CONFLICT DO NOTHING",
                       error, "tii", name, recipe, collection);
    if (!status)
        status = sx_store_load_collection(database, name, row, error);
    if (!status && !row->id)
        status = sx_fail(error, SX_E_NOT_FOUND, "%s: the collection has been deleted meanwhile", database->path);
    status = sx_scope_leave(database, &scope, status, error);
    if (status)
        sx_collection_row_clear(row);
    return status;
}

static sx_status rename_to(sx_database *database, int64_t collection, const char *name, sx_error *error)
{
    return sx_sql_do(database, "UPDATE collection SET name = ? WHERE id = ?", error, "ti", name, collection);
}

sx_status sx_store_shadow_swap(sx_database *database, int64_t collection, sx_shadow_kind kind, sx_error *error)
{
    char hidden[NAME_SIZE], other[NAME_SIZE], *name = NULL;
    sqlite3_stmt *statement;
    bool row = false, failed = false;
    int64_t shadow = 0;
    name_of(collection, kind, hidden);
    sx_scope scope;
    sx_status status = sx_scope_enter(database, &scope, error);
    if (status)
        return status;
    status = sx_sql_number(database, "SELECT id FROM collection WHERE name = ?", 0, &shadow, error, "t", hidden);
    /* Its name of this moment: it may have been renamed since it was looked for. */
    if (!status)
        status = sx_sql_start(database, "SELECT name FROM collection WHERE id = ? AND name IS NOT NULL", &statement, error, "i",
                              collection);
    if (!status)
        status = sx_sql_step(database, statement, &row, error);
    if (row) {
        name = sx_sql_text(statement, 0, &failed);
        sqlite3_reset(statement);
    }
    if (!status && failed)
        status = sx_fail_nomem(error, 64);
    if (!status && (!shadow || !name || sx_store_is_hidden(name)))
        status = sx_fail(error, SX_E_NOT_FOUND, "%s: the collection or its other side has been deleted meanwhile",
            database->path);
    name_of(shadow, kind == SX_SHADOW_NEW ? SX_SHADOW_OLD : SX_SHADOW_NEW, other);
    if (!status)
        status = rename_to(database, collection, other, error);
    if (!status)
        status = rename_to(database, shadow, name, error);
    if (!status && kind == SX_SHADOW_NEW)
        status = sx_sql_do(database,
            "UPDATE collection SET settings = (SELECT settings FROM collection WHERE id = ?) WHERE id = ?",
                           error, "ii", collection, shadow);
    free(name);
    return sx_scope_leave(database, &scope, status, error);
}

sx_status sx_store_shadow_drop(sx_database *database, int64_t shadow, sx_error *error)
{
    sx_status status = sx_store_make_nameless(database, shadow, error);
    if (!status)
        status = sx_store_finish_deletions(database, error);
    if (!status)
        status = sx_store_sweep_files(database, error);
    if (!status)
        (void)sx_sql_run(database, "PRAGMA incremental_vacuum(16384)", NULL);
    sx_store_lease_release(database, shadow);
    return status;
}

sx_status sx_store_is_whole(sx_database *database, int64_t collection, bool *whole, sx_error *error)
{
    int64_t there;
    sx_status status =
        sx_sql_number(database, "SELECT 1 FROM collection WHERE id = ? AND name IS NOT NULL", 0, &there, error, "i", collection);
    *whole = there != 0;
    return status;
}

/* ---- Documents and chunks ---- */

static void add_part(sx_buffer *buffer, const void *data, size_t length)
{
    /* With its length, so that no two lists of parts read the same. */
    sx_buffer_printf(buffer, "%zu:", length);
    sx_buffer_append(buffer, data ? data : "", length);
}

static void add_text(sx_buffer *buffer, const char *text)
{
    add_part(buffer, text, text ? strlen(text) : 0);
}

sx_status sx_store_document_print(sx_database *database, const sx_document_row *row, sx_sha256 *print, sx_error *error)
{
    sx_buffer all = {0};
    sqlite3_stmt *statement;
    bool more = true;
    sx_buffer_printf(&all, "companion 1 %d %llu ", (int)row->state, (unsigned long long)row->file.size);
    add_part(&all, row->content.bytes, sizeof row->content.bytes);
    add_part(&all, row->settings.bytes, sizeof row->settings.bytes);
    add_text(&all, row->reason);
    add_text(&all, row->media_type);
    add_text(&all, row->title);
    add_text(&all, row->metadata);
    sx_status status = sx_sql_start(database,
        "SELECT number, start, end, hash, headings FROM chunk WHERE document = ? ORDER BY number",
                                    &statement, error, "i", row->id);
    while (!status && !(status = sx_sql_step(database, statement, &more, error)) && more) {
        sx_buffer_printf(&all, "%lld %lld %lld ", (long long)sqlite3_column_int64(statement, 0),
                         (long long)sqlite3_column_int64(statement, 1), (long long)sqlite3_column_int64(statement, 2));
        for (int i = 3; i < 5; i++) {
            const void *data = sqlite3_column_blob(statement, i);
            add_part(&all, data, (size_t)sqlite3_column_bytes(statement, i));
        }
    }
    if (!status && all.failed)
        status = sx_fail_nomem(error, all.length);
    if (!status)
        sx_sha256_of(all.data, all.length, print);
    sx_buffer_clear(&all);
    return status;
}

void sx_store_chunks_free(sx_chunk_row *chunks, size_t count)
{
    for (size_t i = 0; chunks && i < count; i++)
        sx_chunk_row_clear(&chunks[i]);
    free(chunks);
}

sx_status sx_store_document_chunks(sx_database *database, int64_t document, sx_chunk_row **chunks, size_t *count, sx_error *error)
{
    sqlite3_stmt *statement;
    size_t capacity = 0;
    bool row = true, failed = false;
    *chunks = NULL;
    *count = 0;
    sx_status status = sx_sql_start(database,
                                    "SELECT number, start, end, start_line, end_line, tokens, hash, headings, header, text,"
                                    " vector, id, symbols"
                                    " FROM chunk LEFT JOIN chunk_symbols ON chunk = id WHERE document = ? ORDER BY number",
                                    &statement, error, "i", document);
    while (!status && !(status = sx_sql_step(database, statement, &row, error)) && row) {
        if (!sx_reserve((void **)chunks, &capacity, *count + 1, sizeof **chunks)) {
            failed = true;
            break;
        }
        sx_chunk_row *chunk = &(*chunks)[(*count)++];
        *chunk = (sx_chunk_row){
            .id = sqlite3_column_int64(statement, 11),
            .document = document,
            .vector = sqlite3_column_int64(statement, 10),
            .index = (uint32_t)sqlite3_column_int64(statement, 0),
            .start = (uint64_t)sqlite3_column_int64(statement, 1),
            .end = (uint64_t)sqlite3_column_int64(statement, 2),
            .start_line = (uint32_t)sqlite3_column_int64(statement, 3),
            .end_line = (uint32_t)sqlite3_column_int64(statement, 4),
            .tokens = (uint32_t)sqlite3_column_int64(statement, 5),
            .headings = sx_sql_text(statement, 7, &failed),
            .header = sx_sql_text(statement, 8, &failed),
            .symbols = sx_sql_text(statement, 12, &failed),
            .text = sx_sql_text(statement, 9, &failed),
            .text_length = (size_t)sqlite3_column_bytes(statement, 9),
        };
        sx_sql_hash(statement, 6, &chunk->hash);
        if (failed)
            break;
    }
    if (failed) {
        sqlite3_reset(statement);
        status = sx_fail_nomem(error, 256);
    }
    if (status) {
        sx_store_chunks_free(*chunks, *count);
        *chunks = NULL;
        *count = 0;
    }
    return status;
}

sx_status sx_store_sample(sx_database *database, int64_t collection, size_t most, int64_t **ids, size_t *count, sx_error *error)
{
    int64_t total;
    sqlite3_stmt *statement;
    bool row = true;
    *count = 0;
    *ids = sx_calloc(most, sizeof **ids);
    if (!*ids)
        return sx_fail_nomem(error, most * sizeof **ids);
    sx_status status = sx_sql_number(database, "SELECT count(*) FROM chunk WHERE collection = ? AND vector IS NOT NULL", 0,
        &total,
                                     error, "i", collection);
    if (!status)
        status = sx_sql_start(database, "SELECT id FROM chunk WHERE collection = ? AND vector IS NOT NULL ORDER BY id",
            &statement,
                              error, "i", collection);
    size_t wanted = total < (int64_t)most ? (size_t)total : most;
    for (int64_t at = 0; !status && !(status = sx_sql_step(database, statement, &row, error)) && row; at++)
        if (*count < wanted && at == (int64_t)((double)*count * (double)total / (double)wanted))
            (*ids)[(*count)++] = sqlite3_column_int64(statement, 0);
    return status;
}

sx_status sx_collection_sample(sx_database *database, const char *name, size_t most, sx_text **texts, size_t *count,
    sx_error *error)
{
    if (!database || !name || !texts || !count || most > SIZE_MAX / 64)
        return sx_fail(error, SX_E_INVALID, "sx_collection_sample: an argument is NULL, or the number too large");
    sx_collection_row row = {0};
    int64_t *ids = NULL;
    size_t wanted = 0, bytes = 0;
    sx_buffer all = {0};
    *texts = NULL;
    *count = 0;
    sx_status status = sx_store_collection_find(database, name, &row, error);
    if (!status)
        status = sx_store_sample(database, row.id, most, &ids, &wanted, error);
    size_t *lengths = status ? NULL : sx_calloc(wanted, sizeof *lengths);
    if (!status && !lengths)
        status = sx_fail_nomem(error, wanted * sizeof *lengths);
    for (size_t i = 0; !status && i < wanted; i++) {
        sx_chunk_row chunk = {0};
        status = sx_store_chunk(database, ids[i], &chunk, NULL, error);
        if (status == SX_E_NOT_FOUND) {
            status = SX_OK; /* an indexer has replaced it meanwhile */
        } else if (!status) {
            sx_buffer_append(&all, chunk.text, chunk.text_length);
            sx_buffer_append_byte(&all, '\0');
            lengths[(*count)++] = chunk.text_length;
        }
        sx_chunk_row_clear(&chunk);
    }
    if (!status && (all.failed || !(*texts = malloc(*count * sizeof **texts + all.length + 1))))
        status = sx_fail_nomem(error, all.length);
    if (!status) {
        char *text = (char *)(*texts + *count);
        if (all.length)
            memcpy(text, all.data, all.length);
        for (size_t i = 0; i < *count; i++) {
            (*texts)[i] = (sx_text){text + bytes, lengths[i]};
            bytes += lengths[i] + 1;
        }
    }
    sx_buffer_clear(&all);
    free(lengths);
    free(ids);
    sx_collection_row_clear(&row);
    return status;
}
