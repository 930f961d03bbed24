/* packed.c - compressed collections.
 *
 * The file is written under a name of its own, flushed, and only then named in the table. Killed before, it is an orphan that
 * the next packing clears away. The vectors themselves stay in their table: the best by packed scores get their exact scores
 * from there, and taking the compression back needs nothing but a row deleted. */
#include "packed.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"
#include "packed_vectors.h"
#include "vectors.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REPACK_ROWS = 4096, REPACK_PART = 16 };

typedef struct packed_entry {
    char method[32];
    char *file;
    uint64_t identity, rows, bytes;
    int64_t last_chunk;
} packed_entry;

/* file NULL: there is none. */
static sx_status read_entry(sx_database *database, int64_t collection, packed_entry *entry, sx_error *error)
{
    sqlite3_stmt *statement;
    bool found = false, failed = false;
    *entry = (packed_entry){0};
    sx_status status = sx_sql_start(database,
                                    "SELECT method, file, identity, rows, bytes, last_chunk FROM packed WHERE collection = ?",
                                    &statement, error, "i", collection);
    if (!status)
        status = sx_sql_step(database, statement, &found, error);
    if (status || !found)
        return status;
    const char *method = (const char *)sqlite3_column_text(statement, 0);
    snprintf(entry->method, sizeof entry->method, "%s", method ? method : "");
    entry->file = sx_sql_text(statement, 1, &failed);
    entry->identity = (uint64_t)sqlite3_column_int64(statement, 2);
    entry->rows = (uint64_t)sqlite3_column_int64(statement, 3);
    entry->bytes = (uint64_t)sqlite3_column_int64(statement, 4);
    entry->last_chunk = sqlite3_column_int64(statement, 5);
    sqlite3_reset(statement);
    return entry->file ? SX_OK : sx_fail_nomem(error, 256);
}

sx_status sx_store_packed(sx_database *database, int64_t collection, sx_packed_row *row, sx_error *error)
{
    packed_entry entry;
    *row = (sx_packed_row){0};
    sx_status status = read_entry(database, collection, &entry, error);
    if (!status && entry.file) {
        row->there = 1;
        memcpy(row->method, entry.method, sizeof row->method);
        row->rows = entry.rows;
        row->bytes = entry.bytes;
    }
    free(entry.file);
    return status;
}

void sx_store_packed_unmap(sx_database *database)
{
    sx_packed_close(database->packed);
    database->packed = NULL;
}

/* ---- Packing ---- */

typedef struct pack_job {
    sx_packed_writer *writer;
    uint64_t rows;
    int64_t last;
} pack_job;

static sx_status pack_row(int64_t chunk, const float *vector, void *user, sx_error *error)
{
    pack_job *job = user;
    job->rows++;
    job->last = chunk;
    return sx_packed_add(job->writer, chunk, vector, error);
}

/* Files of the collection that the table does not name. */
static void clear_away(sx_database *database, int64_t collection, const char *kept)
{
    char prefix[64];
    snprintf(prefix, sizeof prefix, "packed-%lld-", (long long)collection);
    DIR *folder = opendir(database->folder);
    const struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0 || (kept && strcmp(entry->d_name, kept) == 0))
            continue;
        char *path = sx_path_join(database->folder, entry->d_name);
        if (path)
            (void)unlink(path);
        free(path);
    }
    if (folder)
        closedir(folder);
}

static sx_status name_file(sx_database *database, int64_t collection, const char *method, const char *file, uint64_t identity,
                           uint64_t bytes, const pack_job *job, sx_error *error)
{
    return sx_sql_do(database,
                     "INSERT OR REPLACE INTO packed(collection, method, file, identity, rows, bytes, last_chunk)"
                     " SELECT id, ?, ?, ?, ?, ?, ? FROM collection WHERE id = ?",
                     error, "ttiiiii", method, file, (int64_t)identity, (int64_t)job->rows, (int64_t)bytes, job->last,
                         collection);
}

sx_status sx_store_pack(sx_database *database, const sx_collection_row *collection, const sx_packing *packing, sx_error *error)
{
    char name[96], method[32];
    pack_job job = {0};
    uint64_t identity = 0, bytes = 0;
    sx_measure measure;
    sx_scope scope;
    snprintf(name, sizeof name, "packed-%lld-%llx-%u.sxp", (long long)collection->id, (long long)database->locks.worker,
             database->file_sequence++);
    sx_packing_name(packing, method);
    sx_status status = sx_make_folders(database->folder, error);
    char *path = status ? NULL : sx_path_join(database->folder, name);
    if (!status && !path)
        status = sx_fail_nomem(error, strlen(database->folder));
    if (!status)
        status = sx_packed_create(path, collection->id, packing, &job.writer, error);
    if (!status)
        status = sx_snapshot_begin(database, error);
    if (!status) {
        status = sx_segments_measure(database, collection->recipe, &measure, error);
        if (!status)
            status = sx_segments_from_rows(database, collection->id, collection->dimensions, measure, INT64_MIN, INT64_MAX,
                                           pack_row,
                                           &job, error);
        sx_snapshot_end(database);
    }
    if (!status && !job.rows)
        status = sx_fail(error, SX_E_INVALID, "collection %s: holds no vector to compress", collection->name);
    if (!status)
        status = sx_packed_finish(job.writer, &identity, &bytes, error);
    bool written = !status;
    if (!status && !(status = sx_scope_enter(database, &scope, error))) {
        status = name_file(database, collection->id, method, name, identity, bytes, &job, error);
        status = sx_scope_leave(database, &scope, status, error);
    }
    sx_packed_writer_close(job.writer);
    if (!status) {
        sx_store_packed_unmap(database);
        clear_away(database, collection->id, name);
    } else if (written) {
        (void)unlink(path);
    }
    free(path);
    return status;
}

sx_status sx_store_unpack(sx_database *database, int64_t collection, bool *was, sx_error *error)
{
    sx_packed_row row;
    sx_scope scope;
    sx_dropped_row dropped;
    sx_status status = sx_store_packed(database, collection, &row, error);
    *was = !status && row.there;
    if (!status)
        status = sx_store_dropped(database, collection, &dropped, error);
    if (!status && dropped.method[0]) {
        status = sx_fail(error, SX_E_UNSUPPORTED, "the 32-bit vectors were dropped (%s): there is nothing to go back to",
                         dropped.method);
        sx_hint(error, "delete the collection and index the documents again to have them");
    }
    if (status || !row.there)
        return status;
    if ((status = sx_scope_enter(database, &scope, error)))
        return status;
    status = sx_sql_do(database, "DELETE FROM packed WHERE collection = ?", error, "i", collection);
    if ((status = sx_scope_leave(database, &scope, status, error)))
        return status;
    sx_store_packed_unmap(database);
    clear_away(database, collection, NULL);
    return SX_OK;
}

/* The mapping of the entry's file, kept by the handle. */
static sx_status map_file(sx_database *database, const sx_collection_row *collection, const packed_entry *entry, sx_error *error)
{
    if (database->packed && sx_packed_identity(database->packed) == entry->identity)
        return SX_OK;
    sx_store_packed_unmap(database);
    if (strchr(entry->file, '/'))
        return sx_fail(error, SX_E_FORMAT, "%s: packed vectors are named %s, outside their folder", database->path, entry->file);
    char *path = sx_path_join(database->folder, entry->file);
    if (!path)
        return sx_fail_nomem(error, strlen(entry->file));
    sx_status status = sx_packed_open(path, entry->identity, &database->packed, error);
    if (!status && (sx_packed_collection(database->packed) != collection->id ||
                    sx_packed_packing(database->packed)->dimensions != collection->dimensions)) {
        status = sx_fail(error, SX_E_FORMAT, "%s: vectors of %u dimensions of collection %lld, not of %u of %lld", path,
                         sx_packed_packing(database->packed)->dimensions, (long long)sx_packed_collection(database->packed),
                         collection->dimensions, (long long)collection->id);
        sx_store_packed_unmap(database);
    }
    free(path);
    return status;
}

sx_status sx_store_packing_of(sx_database *database, const sx_collection_row *collection, const sx_packing **packing,
                              uint64_t *since, sx_error *error)
{
    packed_entry entry;
    int64_t newer = 0;
    *packing = NULL;
    sx_status status = read_entry(database, collection->id, &entry, error);
    if (!status && entry.file)
        status = map_file(database, collection, &entry, error);
    if (status && entry.file)
        sx_hint(error, "sextant compress -c %s --to %s makes it anew", collection->name, entry.method);
    if (!status && entry.file)
        status = sx_sql_number(database, "SELECT count(*) FROM chunk WHERE collection = ? AND vector IS NOT NULL AND id > ?", 0,
                               &newer, error, "ii", collection->id, entry.last_chunk);
    if (!status && entry.file)
        *packing = sx_packed_packing(database->packed);
    *since = (uint64_t)newer;
    free(entry.file);
    return status;
}

/* Packs all anew; the packing's arrays may be those of the file in place. Where floats were dropped, those of new chunks follow,
 * unless another job may be about to use them: then the next time. */
static sx_status pack_again(sx_database *database, const sx_collection_row *collection, const sx_packing *packing, bool dropped,
                            sx_error *error)
{
    sx_drop_counts counts;
    sx_error reason = {0};
    uint64_t since;
    sx_packing copy = *packing;
    sx_status status = sx_store_pack(database, collection, &copy, error);
    if (!status && dropped)
        status = sx_store_packing_of(database, collection, &packing, &since, error);
    if (status || !dropped)
        return status;
    status = sx_store_drop_floats(database, collection, packing, NULL, &counts, &reason);
    if (status == SX_E_BUSY)
        return SX_OK;
    if (status && error)
        *error = reason;
    return status;
}

/* The collection may have a name no more, or another; what it was packed with says the method. */
sx_status sx_store_repack(sx_database *database, int64_t collection, sx_error *error)
{
    packed_entry entry;
    int64_t since = 0, recipe = 0, dimensions = 0, id = 0;
    sx_error reason = {0};
    const sx_packing *dropped = NULL;
    sx_status status = read_entry(database, collection, &entry, error);
    if (status || !entry.file)
        return status;
    status = sx_sql_number(database, "SELECT count(*) FROM chunk WHERE collection = ? AND vector IS NOT NULL AND id > ?", 0,
                           &since, error, "ii", collection, entry.last_chunk);
    bool due = since >= REPACK_ROWS && (uint64_t)since >= entry.rows / REPACK_PART;
    if (!status)
        status = sx_store_dropped_packing(database, collection, &id, &dropped, error);
    if (!status && (due || dropped))
        status = sx_sql_number(database, "SELECT recipe FROM collection WHERE id = ?", 0, &recipe, error, "i", collection);
    if (!status && (due || dropped))
        status = sx_sql_number(database, "SELECT dimensions FROM recipe WHERE id = ?", 0, &dimensions, error, "i", recipe);
    sx_collection_row row = {.id = collection, .recipe = recipe, .dimensions = (uint32_t)dimensions, .name = entry.file};
    bool lost = !status && (due || dropped) && map_file(database, &row, &entry, &reason) != SX_OK;
    if (lost)
        sx_store_log(database, SX_LOG_WARNING, "%s; %s", reason.message,
                     dropped ? "it is being made anew" : "`sextant compress` makes it anew");
    if (!status && lost && dropped)
        status = pack_again(database, &row, dropped, true, error);
    else if (!status && due && !lost)
        status = pack_again(database, &row, sx_packed_packing(database->packed), dropped != NULL, error);
    free(entry.file);
    return status;
}

/* ---- Searching ---- */

static int by_id(const void *a, const void *b)
{
    int64_t first = ((const sx_ranked *)a)->id, second = ((const sx_ranked *)b)->id;
    return (first > second) - (first < second);
}

/* Exact scores of the candidates, from their rows; those that are gone are left out. */
static sx_status score_again(sx_database *database, const sx_collection_row *collection, sx_measure measure,
                             const sx_exact_query *query, sx_topk *candidates, sx_topk *topk, sx_error *error)
{
    sx_status status = SX_OK;
    float *vector = sx_calloc(collection->dimensions, sizeof *vector);
    if (!vector)
        return sx_fail_nomem(error, collection->dimensions * sizeof *vector);
    if (candidates->count) /* in the order they lie in */
        qsort(candidates->items, candidates->count, sizeof *candidates->items, by_id);
    for (size_t i = 0; i < candidates->count && !status; i++) {
        sqlite3_stmt *statement;
        bool found = false;
        int64_t id = candidates->items[i].id;
        status = sx_sql_start(database,

                              "SELECT v.id, v.data, v.packing FROM chunk c JOIN vector v ON v.id = c.vector"
                              " WHERE c.id = ? AND c.collection = ?",
                              &statement, error, "ii", id, collection->id);
        if (!status)
            status = sx_sql_step(database, statement, &found, error);
        if (status || !found)
            continue;
        status = sx_store_read_vector(database, statement, 1, sqlite3_column_int64(statement, 0), collection->dimensions, vector,
                                      error);
        sqlite3_reset(statement);
        if (status)
            break;
        if (measure == SX_MEASURE_COSINE)
            sx_exact_normalize(vector, collection->dimensions);
        sx_exact_scan(query->kernels, query->floats, collection->dimensions, vector, collection->dimensions, &id, 1, NULL, topk);
    }
    free(vector);
    return status;
}

sx_status sx_store_packed_scan(sx_database *database, const sx_collection_row *collection, sx_measure measure,
                               const sx_exact_query *query, const sx_id_set *allowed, sx_topk *topk, int64_t *next, bool *there,
                               sx_error *error)
{
    packed_entry entry;
    sx_error reason = {0};
    sx_topk candidates = {0};
    sx_packed_query packed = {0};
    *there = false;
    sx_status status = read_entry(database, collection->id, &entry, error);
    if (status || !entry.file)
        return status;
    if (map_file(database, collection, &entry, &reason)) {
        sx_store_log(database, SX_LOG_WARNING, "%s; `sextant compress` makes it anew", reason.message);
        goto out;
    }
    const sx_packing *packing = sx_packed_packing(database->packed);
    size_t rows = sx_packed_rows(database->packed), wanted = sx_packing_candidates(packing->kind, topk->capacity);
    status = sx_packed_query_open(&packed, packing, query->kernels, query->floats, error);
    for (bool enough = false; !status && !enough; wanted *= 4) { /* once, unless most candidates are gone */
        wanted = wanted < rows ? wanted : rows;
        sx_topk_close(&candidates);
        sx_topk_reset(topk);
        if (!sx_topk_open(&candidates, wanted))
            status = sx_fail_nomem(error, wanted * sizeof(sx_ranked));
        if (!status)
            status = sx_packed_scan(database->packed, &packed, allowed, &candidates, error);
        if (!status)
            status = score_again(database, collection, measure, query, &candidates, topk, error);
        enough = topk->count == topk->capacity || candidates.count < wanted || wanted == rows;
    }
    *there = !status;
    *next = entry.last_chunk + 1;
out:
    sx_packed_query_close(&packed);
    sx_topk_close(&candidates);
    free(entry.file);
    return status;
}
