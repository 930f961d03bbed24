/* store_documents.c - documents and their chunks: finding, committing, removing, and what a scan has met. */
#include "../base/error.h"
#include "../base/memory.h"
#include "sql.h"
#include "store_keyword.h"

#include <stdlib.h>
#include <string.h>

/* Documents read at a time: between pages no statement is open, so the visitor may write and no snapshot grows old. */
enum { PAGE = 200 };

#define DOCUMENT_COLUMNS                                                                                                         \
    "d.id, d.root, d.path, d.device, d.inode, d.size, d.mtime_ns, d.ctime_ns, d.scanned_ns, d.content, d.settings, d.state,"     \
    " d.reason, d.media_type, d.title, d.metadata, d.chunk_count, d.failed_chunks"
enum { DOCUMENT_COLUMN_COUNT = 18 };

void sx_document_row_clear(sx_document_row *row)
{
    if (!row)
        return;
    free(row->root);
    free(row->path);
    free(row->reason);
    free(row->media_type);
    free(row->title);
    free(row->metadata);
    *row = (sx_document_row){0};
}

void sx_chunk_row_clear(sx_chunk_row *row)
{
    if (!row)
        return;
    free(row->headings);
    free(row->symbols);
    free(row->header);
    free(row->text);
    free(row->reason);
    *row = (sx_chunk_row){0};
}

/* The columns of DOCUMENT_COLUMNS from `at` on. */
static sx_status read_document(sqlite3_stmt *statement, int at, sx_document_row *row, sx_error *error)
{
    bool failed = false;
    *row = (sx_document_row){
        .id = sqlite3_column_int64(statement, at),
        .root = sx_sql_text(statement, at + 1, &failed),
        .path = sx_sql_text(statement, at + 2, &failed),
        .file = {.device = (uint64_t)sqlite3_column_int64(statement, at + 3),
                 .inode = (uint64_t)sqlite3_column_int64(statement, at + 4),
                 .size = (uint64_t)sqlite3_column_int64(statement, at + 5),
                 .mtime_ns = sqlite3_column_int64(statement, at + 6),
                 .ctime_ns = sqlite3_column_int64(statement, at + 7),
                 .scanned_ns = sqlite3_column_int64(statement, at + 8)},
        .state = (sx_document_state)sqlite3_column_int(statement, at + 11),
        .reason = sx_sql_text(statement, at + 12, &failed),
        .media_type = sx_sql_text(statement, at + 13, &failed),
        .title = sx_sql_text(statement, at + 14, &failed),
        .metadata = sx_sql_text(statement, at + 15, &failed),
        .chunk_count = (uint64_t)sqlite3_column_int64(statement, at + 16),
        .failed_chunks = (uint64_t)sqlite3_column_int64(statement, at + 17),
    };
    sx_sql_hash(statement, at + 9, &row->content);
    sx_sql_hash(statement, at + 10, &row->settings);
    if (!failed)
        return SX_OK;
    sx_document_row_clear(row);
    return sx_fail_nomem(error, 256);
}

sx_status sx_store_document_find(sx_database *database, int64_t collection, const char *root, const char *path,
                                 sx_document_row *row, sx_error *error)
{
    if (!database || !root || !path || !row)
        return sx_fail(error, SX_E_INVALID, "sx_store_document_find: an argument is NULL");
    *row = (sx_document_row){0};
    sqlite3_stmt *statement;
    bool found;
    sx_status status =
        sx_sql_start(database, "SELECT " DOCUMENT_COLUMNS " FROM document d WHERE d.collection = ? AND d.root = ? AND d.path = ?",
                     &statement, error, "itt", collection, root, path);
    if (!status)
        status = sx_sql_step(database, statement, &found, error);
    if (status || !found)
        return status;
    status = read_document(statement, 0, row, error);
    sqlite3_reset(statement);
    return status;
}

/* ---- Writing documents ---- */

static sx_status check_row(sx_database *database, const sx_document_row *row, sx_error *error)
{
    if (!database || !row || !row->root || !row->path)
        return sx_fail(error, SX_E_INVALID, "a document needs a database, a root and a path");
    if (!row->metadata)
        return SX_OK;
    int64_t object;
    sx_status status = sx_sql_number(database, "SELECT CASE WHEN json_valid(?1) THEN json_type(?1) = 'object' ELSE 0 END", 0,
                                     &object, error, "t", row->metadata);
    if (!status && !object)
        status = sx_fail(error, SX_E_INVALID, "%s: %s: its metadata is no JSON object", database->path, row->path);
    return status;
}

/* Inserts the document, or overwrites what the row says of it. By its key, not its id: another process may have removed it. */
static sx_status write_document(sx_database *database, int64_t collection, sx_document_row *row, sx_error *error)
{
    sqlite3_stmt *statement;
    bool found = false;
    sx_status status = sx_sql_start(
        database,
        "INSERT INTO document(collection, root, path, device, inode, size, mtime_ns, ctime_ns, scanned_ns, content, settings, "
        "state,"
        " reason, media_type, title, metadata) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT(collection, root, path) DO UPDATE SET device = excluded.device, inode = excluded.inode, size = "
        "excluded.size,"
        " mtime_ns = excluded.mtime_ns, ctime_ns = excluded.ctime_ns, scanned_ns = excluded.scanned_ns, content = "
        "excluded.content,"
        " settings = excluded.settings, state = excluded.state, reason = excluded.reason, media_type = excluded.media_type,"
        " title = excluded.title, metadata = excluded.metadata RETURNING id",
        &statement, error, "ittiiiiiihhitttt", collection, row->root, row->path, (int64_t)row->file.device,
        (int64_t)row->file.inode, (int64_t)row->file.size, row->file.mtime_ns, row->file.ctime_ns, row->file.scanned_ns,
        &row->content, &row->settings, (int64_t)row->state, row->reason, row->media_type, row->title, row->metadata);
    if (!status)
        status = sx_sql_step(database, statement, &found, error);
    if (status == SX_E_INVALID)
        return sx_fail(error, SX_E_NOT_FOUND, "%s: %s: the document cannot be stored: its collection %lld is gone",
                       database->path, row->path, (long long)collection);
    if (found) {
        row->id = sqlite3_column_int64(statement, 0);
        status = sx_sql_step(database, statement, &found, error); /* to its end, so that it takes effect */
    }
    return status;
}

sx_status sx_store_document_pending(sx_database *database, int64_t collection, sx_document_row *row, sx_error *error)
{
    sx_status status = check_row(database, row, error);
    sx_scope scope;
    if (status || (status = sx_scope_enter(database, &scope, error)))
        return status;
    int64_t id;
    status = sx_sql_number(database, "SELECT id FROM document WHERE collection = ? AND root = ? AND path = ?", 0, &id, error,
                           "itt", collection, row->root, row->path);
    if (!status && id) {
        row->id = id;
        status = sx_sql_do(database, "UPDATE document SET state = ? WHERE id = ?", error, "ii", (int64_t)SX_DOCUMENT_PENDING, id);
    } else if (!status) {
        /* A content that no file has, so that whoever finds this row does not take the document for unchanged. */
        sx_sha256 content = row->content;
        memset(&row->content, 0, sizeof row->content);
        row->state = SX_DOCUMENT_PENDING;
        status = write_document(database, collection, row, error);
        row->content = content;
    }
    if (!status)
        row->state = SX_DOCUMENT_PENDING;
    return sx_scope_leave(database, &scope, status, error);
}

sx_status sx_store_document_touch(sx_database *database, const sx_document_row *row, sx_error *error)
{
    if (!database || !row || !row->id)
        return sx_fail(error, SX_E_INVALID, "sx_store_document_touch: no stored document");
    sx_scope scope;
    sx_status status = sx_scope_enter(database, &scope, error);
    if (status)
        return status;
    status =
        sx_sql_do(database,
                  "UPDATE document SET device = ?, inode = ?, size = ?, mtime_ns = ?, ctime_ns = ?, scanned_ns = ?, state = ?,"
                  " reason = ?, metadata = ? WHERE id = ?",
                  error, "iiiiiiitti", (int64_t)row->file.device, (int64_t)row->file.inode, (int64_t)row->file.size,
                  row->file.mtime_ns, row->file.ctime_ns, row->file.scanned_ns, (int64_t)row->state, row->reason, row->metadata, row->id);
    return sx_scope_leave(database, &scope, status, error);
}

/* ---- Chunks ---- */

typedef struct old_chunk {
    int64_t vector, id;
} old_chunk;

static int by_vector(const void *a, const void *b)
{
    const old_chunk *first = a, *second = b;
    if (first->vector != second->vector)
        return first->vector < second->vector ? -1 : 1;
    return first->id < second->id ? -1 : first->id > second->id;
}

/* The document's chunks that have a vector, ordered by it. */
static sx_status old_chunks(sx_database *database, int64_t document, old_chunk **chunks, size_t *count, sx_error *error)
{
    sqlite3_stmt *statement;
    size_t capacity = 0;
    bool row = true;
    *chunks = NULL;
    *count = 0;
    sx_status status = sx_sql_start(database, "SELECT id, vector FROM chunk WHERE document = ? AND vector IS NOT NULL",
                                    &statement, error, "i", document);
    while (!status && !(status = sx_sql_step(database, statement, &row, error)) && row) {
        if (!sx_reserve((void **)chunks, &capacity, *count + 1, sizeof **chunks)) {
            sqlite3_reset(statement);
            return sx_fail_nomem(error, sizeof **chunks);
        }
        (*chunks)[(*count)++] = (old_chunk){sqlite3_column_int64(statement, 1), sqlite3_column_int64(statement, 0)};
    }
    if (*count)
        qsort(*chunks, *count, sizeof **chunks, by_vector);
    return status;
}

/* An old chunk with this vector, taken out of the list by marking it; 0 when there is none. */
static int64_t take_old(old_chunk *chunks, size_t count, int64_t vector)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (chunks[middle].vector < vector)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < count && chunks[low].vector == vector; low++)
        if (chunks[low].id) {
            int64_t id = chunks[low].id;
            chunks[low].id = 0;
            return id;
        }
    return 0;
}

static sx_status check_vector(sx_database *database, int64_t collection_recipe, const sx_document_row *row,
                              const sx_chunk_row *chunk, sx_error *error)
{
    int64_t recipe;
    sx_status status = sx_sql_number(database, "SELECT recipe FROM vector WHERE id = ?", 0, &recipe, error, "i", chunk->vector);
    if (!status && !recipe)
        status = sx_fail(error, SX_E_NOT_FOUND, "%s: %s: chunk %u: its vector %lld is not stored any more", database->path,
                         row->path, chunk->index, (long long)chunk->vector);
    bool stands_in = database->stand_in == recipe && database->stood_in_for == collection_recipe;
    if (!status && recipe != collection_recipe && !stands_in)
        status = sx_fail(error, SX_E_MISMATCH, "%s: %s: chunk %u: its vector is of recipe %lld, the collection's is %lld",
                         database->path, row->path, chunk->index, (long long)recipe, (long long)collection_recipe);
    return status;
}

static sx_status write_chunk(sx_database *database, int64_t collection, int64_t document, const sx_chunk_row *chunk,
                             int64_t keep_id, sx_error *error)
{
    sx_text text = {chunk->text, chunk->text_length};
    if (keep_id)
        return sx_sql_do(database,
                         "UPDATE chunk SET number = ?, start = ?, end = ?, start_line = ?, end_line = ?, tokens = ?, hash = ?,"
                         " headings = ?, header = ?, reason = ?, text = ? WHERE id = ?",
                         error, "iiiiiihtttxi", (int64_t)chunk->index, (int64_t)chunk->start, (int64_t)chunk->end,
                         (int64_t)chunk->start_line, (int64_t)chunk->end_line, (int64_t)chunk->tokens, &chunk->hash,
                         chunk->headings, chunk->header, chunk->reason, text, keep_id);
    return sx_sql_do(
        database,
        "INSERT INTO chunk(document, collection, number, vector, start, end, start_line, end_line, tokens, hash, headings,"
        " header, reason, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        error, "iiikiiiiihtttx", document, collection, (int64_t)chunk->index, chunk->vector, (int64_t)chunk->start,
        (int64_t)chunk->end, (int64_t)chunk->start_line, (int64_t)chunk->end_line, (int64_t)chunk->tokens, &chunk->hash,
        chunk->headings, chunk->header, chunk->reason, text);
}

static sx_status write_symbols(sx_database *database, int64_t id, const sx_chunk_row *chunk, bool kept, sx_error *error)
{
    if (chunk->symbols)
        return sx_sql_do(database, "INSERT OR REPLACE INTO chunk_symbols(chunk, symbols) VALUES (?, ?)", error, "it", id,
                         chunk->symbols);
    return kept ? sx_sql_do(database, "DELETE FROM chunk_symbols WHERE chunk = ?", error, "i", id) : SX_OK;
}

/* A chunk whose vector was in the document before keeps its id, so that a small edit leaves the mapped segments alive. */
static sx_status replace_chunks(sx_database *database, int64_t collection, const sx_document_row *row, const sx_chunk_row *chunks,
                                size_t count, sx_error *error)
{
    old_chunk *old = NULL;
    size_t old_count = 0;
    int64_t recipe, *keep = sx_calloc(count, sizeof *keep);
    sx_status status = keep ? SX_OK : sx_fail_nomem(error, count * sizeof *keep);
    if (!status)
        status = sx_sql_number(database, "SELECT recipe FROM collection WHERE id = ?", 0, &recipe, error, "i", collection);
    if (!status)
        status = old_chunks(database, row->id, &old, &old_count, error);
    for (size_t i = 0; i < count && !status; i++) {
        if (chunks[i].vector) {
            status = check_vector(database, recipe, row, &chunks[i], error);
            keep[i] = take_old(old, old_count, chunks[i].vector);
        }
    }
    if (!status)
        status = sx_sql_do(database, "DELETE FROM chunk WHERE document = ? AND vector IS NULL", error, "i", row->id);
    /* Out of the way of the new numbers, which are not negative. */
    if (!status && old_count)
        status = sx_sql_do(database, "UPDATE chunk SET number = -1 - number WHERE document = ?", error, "i", row->id);
    for (size_t i = 0; i < count && !status; i++) {
        status = write_chunk(database, collection, row->id, &chunks[i], keep[i], error);
        int64_t id = keep[i] ? keep[i] : sqlite3_last_insert_rowid(database->sqlite);
        if (!status)
            status = write_symbols(database, id, &chunks[i], keep[i] != 0, error);
        if (!status)
            status = sx_keyword_add(database, collection, row, id, &chunks[i], keep[i] != 0, error);
    }
    if (status == SX_E_INVALID)
        status = sx_fail(error, SX_E_INVALID, "%s: %s: its chunks cannot be stored: two have the same number", database->path,
                         row->path);
    /* Deleted last, so that a vector which moved to a new chunk was never without one. */
    for (size_t i = 0; i < old_count && !status; i++)
        if (old[i].id)
            status = sx_sql_do(database, "DELETE FROM chunk WHERE id = ?", error, "i", old[i].id);
    if (!status)
        status = sx_keyword_settle(database, collection, error);
    free(old);
    free(keep);
    return status;
}

static sx_status write_counts(sx_database *database, const sx_document_row *row, uint64_t text_bytes, sx_error *error)
{
    return sx_sql_do(database, "UPDATE document SET chunk_count = ?, failed_chunks = ?, text_bytes = ? WHERE id = ?", error,
                     "iiii", (int64_t)row->chunk_count, (int64_t)row->failed_chunks, (int64_t)text_bytes, row->id);
}

sx_status sx_store_document_commit(sx_database *database, int64_t collection, sx_document_row *row, const sx_chunk_row *chunks,
                                   size_t count, sx_error *error)
{
    sx_status status = check_row(database, row, error);
    if (!status && count && !chunks)
        status = sx_fail(error, SX_E_INVALID, "sx_store_document_commit: chunks is NULL");
    sx_scope scope;
    if (status || (status = sx_scope_enter(database, &scope, error)))
        return status;
    /* The row is the caller's: it says what is stored only when it is. */
    sx_document_row written = *row;
    uint64_t text_bytes = 0;
    written.chunk_count = count;
    written.failed_chunks = 0;
    for (size_t i = 0; i < count; i++) {
        text_bytes += chunks[i].text_length;
        if (!chunks[i].vector && written.failed_chunks++ == 0 && !written.reason)
            written.reason = chunks[i].reason;
    }
    written.state = written.failed_chunks ? SX_DOCUMENT_FAILED : SX_DOCUMENT_DONE;
    status = write_document(database, collection, &written, error);
    if (!status)
        status = replace_chunks(database, collection, &written, chunks, count, error);
    if (!status)
        status = write_counts(database, &written, text_bytes, error);
    status = sx_scope_leave(database, &scope, status, error);
    if (!status) {
        row->id = written.id;
        row->state = written.state;
        row->chunk_count = written.chunk_count;
        row->failed_chunks = written.failed_chunks;
    }
    return status;
}

sx_status sx_store_document_note(sx_database *database, int64_t collection, sx_document_row *row, sx_error *error)
{
    sx_status status = check_row(database, row, error);
    if (!status && row->state != SX_DOCUMENT_FAILED && row->state != SX_DOCUMENT_SKIPPED)
        status = sx_fail(error, SX_E_INVALID, "sx_store_document_note: the state must be failed or skipped");
    sx_scope scope;
    if (status || (status = sx_scope_enter(database, &scope, error)))
        return status;
    status = write_document(database, collection, row, error);
    if (!status && row->state == SX_DOCUMENT_SKIPPED) {
        status = sx_sql_do(database, "DELETE FROM chunk WHERE document = ?", error, "i", row->id);
        row->chunk_count = row->failed_chunks = 0;
        if (!status)
            status = write_counts(database, row, 0, error);
    }
    return sx_scope_leave(database, &scope, status, error);
}

sx_status sx_store_document_remove(sx_database *database, int64_t document, sx_error *error)
{
    if (!database)
        return sx_fail(error, SX_E_INVALID, "sx_store_document_remove: the database is NULL");
    sx_scope scope;
    sx_status status = sx_scope_enter(database, &scope, error);
    if (status)
        return status;
    status = sx_sql_do(database, "DELETE FROM chunk WHERE document = ?", error, "i", document);
    if (!status)
        status = sx_sql_do(database, "DELETE FROM document WHERE id = ?", error, "i", document);
    return sx_scope_leave(database, &scope, status, error);
}

/* ---- Visiting ---- */

typedef struct document_page {
    sx_document_row rows[PAGE];
    size_t count;
} document_page;

/* The documents behind (root, path) in order; unmet leaves out what a scan has met. ?1 collection, ?2 root or null, ?3 below, ?4
 * below + "/", ?5 below + "0" (the byte after "/"), ?6 and ?7 the last one seen, ?8 how many. With a root only the part of the
 * index below it is read (a blob sorts after every text), so that a path costs nothing of the documents elsewhere. */
static sx_status read_page(sx_database *database, int64_t collection, const char *root, const char *below,
                           const sx_document_row *last, bool unmet, document_page *page, sx_error *error)
{
#define IS_BELOW " AND (?3 = '' OR d.path = ?3 OR (d.path > ?4 AND d.path < ?5))"
#define ANYWHERE                                                                                                                 \
    "SELECT " DOCUMENT_COLUMNS " FROM document d WHERE d.collection = ?1 AND ?2 IS NULL" IS_BELOW                                \
    " AND (d.root, d.path) > (?6, ?7)"
#define IN_ROOT                                                                                                                  \
    "SELECT " DOCUMENT_COLUMNS " FROM document d WHERE d.collection = ?1 AND d.root = ?2" IS_BELOW                               \
    " AND d.path >= max(?3, ?7) AND d.path < CASE ?3 WHEN '' THEN x'' ELSE ?5 END AND (?6 = '' OR d.path <> ?7)"
#define NOT_MET " AND d.id NOT IN (SELECT document FROM scan_met)"
#define ONE_PAGE " ORDER BY d.root, d.path LIMIT ?8"
    static const char all[] = ANYWHERE ONE_PAGE, all_not_met[] = ANYWHERE NOT_MET ONE_PAGE;
    static const char in_root[] = IN_ROOT ONE_PAGE, in_root_not_met[] = IN_ROOT NOT_MET ONE_PAGE;
    const char *query = root ? (unmet ? in_root_not_met : in_root) : (unmet ? all_not_met : all);
    size_t length = below ? strlen(below) : 0;
    while (length > 0 && below[length - 1] == '/')
        length--;
    char *exact = sx_strndup(below ? below : "", length);
    char *folder = sx_strndup(below ? below : "", length + 1), *after = sx_strndup(below ? below : "", length + 1);
    page->count = 0;
    sx_status status = SX_OK;
    sqlite3_stmt *statement = NULL;
    bool row = true;
    if (!exact || !folder || !after) {
        status = sx_fail_nomem(error, length + 2);
        goto out;
    }
    memcpy(folder + length, "/", 2);
    memcpy(after + length, "0", 2);
    status = sx_sql_start(database, query, &statement, error, "itttttti", collection, root, exact, folder, after,
                          last ? last->root : "", last ? last->path : "", (int64_t)PAGE);
    while (!status && !(status = sx_sql_step(database, statement, &row, error)) && row)
        if (!(status = read_document(statement, 0, &page->rows[page->count], error)))
            page->count++;
    if (statement)
        sqlite3_reset(statement);
out:
    free(exact);
    free(folder);
    free(after);
    return status;
#undef IS_BELOW
#undef ANYWHERE
#undef IN_ROOT
#undef NOT_MET
#undef ONE_PAGE
}

static sx_status visit_documents(sx_database *database, int64_t collection, const char *root, const char *below, bool unmet,
                                 sx_document_visit visit, void *user, sx_error *error)
{
    if (!database || !visit)
        return sx_fail(error, SX_E_INVALID, "sx_store_documents: an argument is NULL");
    document_page *page = sx_calloc(1, sizeof *page);
    if (!page)
        return sx_fail_nomem(error, sizeof *page);
    sx_document_row last = {0};
    bool more = true;
    sx_status status = SX_OK;
    while (!status && more) {
        status = read_page(database, collection, root, below, last.path ? &last : NULL, unmet, page, error);
        more = page->count == PAGE;
        for (size_t i = 0; i < page->count; i++) {
            if (!status)
                status = visit(&page->rows[i], user, error);
            sx_document_row_clear(&last);
            last = page->rows[i];
            page->rows[i] = (sx_document_row){0};
        }
    }
    sx_document_row_clear(&last);
    free(page);
    return status;
}

sx_status sx_store_documents(sx_database *database, int64_t collection, const char *root, const char *below,
                             sx_document_visit visit, void *user, sx_error *error)
{
    return visit_documents(database, collection, root, below, false, visit, user, error);
}

sx_status sx_store_scan_begin(sx_database *database, sx_error *error)
{
    if (!database)
        return sx_fail(error, SX_E_INVALID, "sx_store_scan_begin: the database is NULL");
    sx_status status = SX_OK;
    if (!database->scanning)
        status = sx_sql_run(database, "CREATE TEMP TABLE IF NOT EXISTS scan_met(document INTEGER PRIMARY KEY)", error);
    if (!status)
        database->scanning = true;
    return status ? status : sx_sql_do(database, "DELETE FROM scan_met", error, "");
}

static sx_status need_scan(const sx_database *database, sx_error *error)
{
    if (database && database->scanning)
        return SX_OK;
    return sx_fail(error, SX_E_INVALID, "no scan has begun");
}

sx_status sx_store_scan_met(sx_database *database, int64_t document, sx_error *error)
{
    sx_status status = need_scan(database, error);
    return status ? status : sx_sql_do(database, "INSERT OR IGNORE INTO scan_met(document) VALUES (?)", error, "i", document);
}

sx_status sx_store_scan_unmet(sx_database *database, int64_t collection, const char *root, const char *below,
                              sx_document_visit visit, void *user, sx_error *error)
{
    sx_status status = need_scan(database, error);
    return status ? status : visit_documents(database, collection, root, below, true, visit, user, error);
}

/* ---- One chunk ---- */

static sx_status read_chunk(sqlite3_stmt *statement, sx_chunk_row *row, sx_error *error)
{
    bool failed = false;
    int at = DOCUMENT_COLUMN_COUNT;
    *row = (sx_chunk_row){
        .id = sqlite3_column_int64(statement, at),
        .document = sqlite3_column_int64(statement, at + 1),
        .vector = sqlite3_column_int64(statement, at + 2),
        .index = (uint32_t)sqlite3_column_int64(statement, at + 3),
        .start = (uint64_t)sqlite3_column_int64(statement, at + 4),
        .end = (uint64_t)sqlite3_column_int64(statement, at + 5),
        .start_line = (uint32_t)sqlite3_column_int64(statement, at + 6),
        .end_line = (uint32_t)sqlite3_column_int64(statement, at + 7),
        .tokens = (uint32_t)sqlite3_column_int64(statement, at + 8),
        .headings = sx_sql_text(statement, at + 10, &failed),
        .header = sx_sql_text(statement, at + 11, &failed),
        .reason = sx_sql_text(statement, at + 12, &failed),
        .symbols = sx_sql_text(statement, at + 13, &failed),
        .text = sx_sql_text(statement, at + 14, &failed),
    };
    row->text_length = (size_t)sqlite3_column_bytes(statement, at + 14);
    sx_sql_hash(statement, at + 9, &row->hash);
    if (!failed)
        return SX_OK;
    sx_chunk_row_clear(row);
    return sx_fail_nomem(error, 256);
}

sx_status sx_store_chunk(sx_database *database, int64_t chunk, sx_chunk_row *row, sx_document_row *document, sx_error *error)
{
    if (!database)
        return sx_fail(error, SX_E_INVALID, "sx_store_chunk: the database is NULL");
    if (row)
        *row = (sx_chunk_row){0};
    if (document)
        *document = (sx_document_row){0};
    sqlite3_stmt *statement;
    bool found;
    sx_status status =
        sx_sql_start(database,
                     "SELECT " DOCUMENT_COLUMNS
                     ", c.id, c.document, c.vector, c.number, c.start, c.end, c.start_line, c.end_line, c.tokens, c.hash,"
                     " c.headings, c.header, c.reason, s.symbols, c.text FROM chunk c JOIN document d ON d.id = c.document"
                     " LEFT JOIN chunk_symbols s ON s.chunk = c.id"
                     " WHERE c.id = ?",
                     &statement, error, "i", chunk);
    if (!status)
        status = sx_sql_step(database, statement, &found, error);
    if (status)
        return status;
    if (!found)
        return sx_fail(error, SX_E_NOT_FOUND, "%s: chunk %lld has gone", database->path, (long long)chunk);
    if (row)
        status = read_chunk(statement, row, error);
    if (!status && document)
        status = read_document(statement, 0, document, error);
    sqlite3_reset(statement);
    if (status && row)
        sx_chunk_row_clear(row);
    return status;
}
