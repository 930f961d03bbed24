/* packed_vectors.c - vectors whose floats were dropped for good: `vector.data` holds what the packing named by
 * `vector.packing` made.
 *
 * The packings are rows of the table `packing`, with their means and components, so that database and backup need no other
 * file. A collection that has one there has dropped its floats: its vectors are packed in batches, its segments go, and what
 * is indexed later follows when the packed file is made anew. Whoever reads a vector through a chunk gets floats again, about
 * as they were. A text that another collection or an embed run looks up is not found: what was rounded for one is no answer to
 * others. When they have embedded it, its floats are back (store_vectors.c). */
#include "packed_vectors.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "collections.h"
#include "segments.h"
#include "vectors.h"

#include <stdlib.h>
#include <string.h>

enum { DROP_BATCH = 1000, FORGET_BATCH = 500 };

struct sx_known_packing {
    int64_t id;
    sx_packing packing;
};

/* ---- Packings ---- */

void sx_store_forget_packings(sx_database *database)
{
    for (size_t i = 0; i < database->packing_count; i++) {
        sx_packing_clear(&database->packings[i]->packing);
        free(database->packings[i]);
    }
    free(database->packings);
    database->packings = NULL;
    database->packing_count = database->packing_capacity = 0;
}

static sx_status read_arrays(sx_packing *packing, const void *data, size_t bytes, int64_t id, sx_error *error)
{
    size_t mean = sx_packing_mean_floats(packing), matrix = sx_packing_matrix_floats(packing);
    if (bytes != (mean + matrix) * sizeof(float))
        return sx_fail(error, SX_E_FORMAT, "packing %lld has %zu bytes, expected %zu", (long long)id, bytes,
                       (mean + matrix) * sizeof(float));
    packing->mean = mean ? sx_calloc(mean, sizeof(float)) : NULL;
    packing->matrix = matrix ? sx_calloc(matrix, sizeof(float)) : NULL;
    if ((mean && !packing->mean) || (matrix && !packing->matrix))
        return sx_fail_nomem(error, bytes);
    if (mean)
        memcpy(packing->mean, data, mean * sizeof(float));
    if (matrix)
        memcpy(packing->matrix, (const float *)data + mean, matrix * sizeof(float));
    return SX_OK;
}

/* The packing stays where it is as long as the handle is open. */
static sx_status find_packing(sx_database *database, int64_t id, const sx_packing **packing, sx_error *error)
{
    sqlite3_stmt *statement;
    bool found = false;
    for (size_t i = 0; i < database->packing_count; i++)
        if (database->packings[i]->id == id) {
            *packing = &database->packings[i]->packing;
            return SX_OK;
        }
    sx_status status = sx_sql_start(database, "SELECT method, dimensions, retained, data FROM packing WHERE id = ?", &statement,
                                    error, "i", id);
    if (!status)
        status = sx_sql_step(database, statement, &found, error);
    if (!status && !found)
        status = sx_fail(error, SX_E_FORMAT, "%s: there is no packing %lld", database->path, (long long)id);
    if (status)
        return status;
    struct sx_known_packing *known = sx_calloc(1, sizeof *known);
    const char *method = (const char *)sqlite3_column_text(statement, 0);
    int64_t dimensions = sqlite3_column_int64(statement, 1);
    if (!known || !sx_reserve((void **)&database->packings, &database->packing_capacity, database->packing_count + 1,
                              sizeof(struct sx_known_packing *)))
        status = sx_fail_nomem(error, sizeof *known);
    if (!status && (dimensions < 1 || dimensions > SX_SEGMENT_DIMENSIONS))
        status = sx_fail(error, SX_E_FORMAT, "%s: packing %lld has %lld dimensions", database->path, (long long)id,
                         (long long)dimensions);
    if (!status)
        status = sx_packing_parse(method ? method : "", (uint32_t)dimensions, &known->packing, error);
    if (!status) {
        known->id = id;
        known->packing.retained = sqlite3_column_double(statement, 2);
        status = read_arrays(&known->packing, sqlite3_column_blob(statement, 3), (size_t)sqlite3_column_bytes(statement, 3), id,
                             error);
    }
    sqlite3_reset(statement);
    if (status) {
        if (known)
            sx_packing_clear(&known->packing);
        free(known);
        return status;
    }
    database->packings[database->packing_count++] = known;
    *packing = &known->packing;
    return SX_OK;
}

sx_status sx_store_unpack_vector(sx_database *database, int64_t packing, const void *data, size_t bytes, size_t dimensions,
                                 float *vector, sx_error *error)
{
    const sx_packing *how;
    sx_status status = find_packing(database, packing, &how, error);
    if (!status && how->dimensions != dimensions)
        status = sx_fail(error, SX_E_FORMAT, "%s: packing %lld is of %u dimensions, not %zu", database->path, (long long)packing,
                         how->dimensions, dimensions);
    if (!status && (!data || bytes != sx_packing_row_bytes(how)))
        status = sx_fail(error, SX_E_FORMAT, "%s: a packed vector has %zu bytes, expected %zu", database->path, bytes,
                         sx_packing_row_bytes(how));
    if (!status)
        sx_packing_unpack(how, data, vector);
    return status;
}

sx_status sx_store_dropped_packing(sx_database *database, int64_t collection, int64_t *id, const sx_packing **packing,
                                   sx_error *error)
{
    *packing = NULL;
    sx_status status = sx_sql_number(database, "SELECT id FROM packing WHERE collection = ? ORDER BY id DESC LIMIT 1", 0, id,
                                     error, "i", collection);
    return status || !*id ? status : find_packing(database, *id, packing, error);
}

sx_status sx_store_dropped(sx_database *database, int64_t collection, sx_dropped_row *row, sx_error *error)
{
    int64_t id, vectors = 0;
    const sx_packing *packing;
    *row = (sx_dropped_row){0};
    sx_status status = sx_store_dropped_packing(database, collection, &id, &packing, error);
    if (status || !id)
        return status;
    sx_packing_name(packing, row->method);
    status = sx_sql_number(database,
                           "SELECT count(*) FROM vector v JOIN packing p ON p.id = v.packing WHERE p.collection = ?"
                           " AND EXISTS (SELECT 1 FROM chunk WHERE vector = v.id AND collection = p.collection)",
                           0, &vectors, error, "i", collection);
    row->vectors = (uint64_t)vectors;
    return status;
}

sx_status sx_store_say_dropped(sx_database *database, const sx_collection_row *collection, const char *what, sx_error *error)
{
    sx_dropped_row row;
    sx_status status = sx_store_dropped(database, collection->id, &row, error);
    if (!status && row.method[0])
        sx_store_log(database, SX_LOG_WARNING, "collection %s: the 32-bit vectors were dropped; %s uses what %s keeps of them",
                     collection->name, what, row.method);
    return status;
}

/* ---- Dropping ---- */

/* Of the collection's chunks after ?2, those whose vector the packing makes smaller, each vector once. ?3: bytes of a packed row.
 * Vectors that others use too stay. */
#define SMALLER                                                                                                                  \
    " FROM chunk c JOIN vector v ON v.id = c.vector WHERE c.collection = ?1 AND c.vector IS NOT NULL AND c.id > ?2"              \
    " AND length(v.data) > ?3"
#define NOT_SHARED " AND NOT EXISTS (SELECT 1 FROM chunk o WHERE o.vector = v.id AND o.collection <> ?1)"
#define SHARED " AND EXISTS (SELECT 1 FROM chunk o WHERE o.vector = v.id AND o.collection <> ?1)"

sx_status sx_store_count_drop(sx_database *database, const sx_collection_row *collection, const sx_packing *packing,
                              sx_drop_counts *counts, sx_error *error)
{
    int64_t row_bytes = (int64_t)sx_packing_row_bytes(packing), shared = 0;
    sqlite3_stmt *statement;
    bool found = false;
    *counts = (sx_drop_counts){0};
    sx_status status = sx_snapshot_begin(database, error);
    if (status)
        return status;
    status = sx_sql_start(database,
                          "SELECT count(*), coalesce(sum(bytes), 0) FROM (SELECT DISTINCT v.id, length(v.data) AS bytes" SMALLER
                              NOT_SHARED ")",
                          &statement, error, "iii", collection->id, INT64_MIN, row_bytes);
    if (!status && !(status = sx_sql_step(database, statement, &found, error)) && found) {
        counts->vectors = (uint64_t)sqlite3_column_int64(statement, 0);
        counts->bytes_before = (uint64_t)sqlite3_column_int64(statement, 1);
        counts->bytes_after = counts->vectors * (uint64_t)row_bytes;
        sqlite3_reset(statement);
    }
    if (!status)
        status = sx_sql_number(database, "SELECT count(DISTINCT v.id)" SMALLER SHARED, 0, &shared, error, "iii", collection->id,
                               INT64_MIN, row_bytes);
    counts->shared = (uint64_t)shared;
    sx_snapshot_end(database);
    return status;
}

static bool same_packing(const sx_packing *a, const sx_packing *b)
{
    size_t mean = sx_packing_mean_floats(a), matrix = sx_packing_matrix_floats(a);
    return a->kind == b->kind && a->dimensions == b->dimensions && a->width == b->width &&
           (!mean || memcmp(a->mean, b->mean, mean * sizeof(float)) == 0) &&
           (!matrix || memcmp(a->matrix, b->matrix, matrix * sizeof(float)) == 0);
}

/* From this row on the collection's floats count as dropped. */
static sx_status enter_packing(sx_database *database, const sx_collection_row *collection, const sx_packing *packing, int64_t *id,
                               sx_error *error)
{
    const sx_packing *known;
    size_t mean = sx_packing_mean_floats(packing), matrix = sx_packing_matrix_floats(packing);
    char method[32];
    sx_status status = sx_store_dropped_packing(database, collection->id, id, &known, error);
    if (status || (*id && same_packing(known, packing)))
        return status;
    float *arrays = sx_calloc(mean + matrix + 1, sizeof *arrays);
    if (!arrays)
        return sx_fail_nomem(error, (mean + matrix) * sizeof *arrays);
    if (mean)
        memcpy(arrays, packing->mean, mean * sizeof *arrays);
    if (matrix)
        memcpy(arrays + mean, packing->matrix, matrix * sizeof *arrays);
    sx_packing_name(packing, method);
    sx_scope scope;
    if (!(status = sx_scope_enter(database, &scope, error))) {
        status = sx_sql_do(database, "INSERT INTO packing(collection, method, dimensions, row_bytes, retained, data)"
                                     " VALUES (?, ?, ?, ?, ?, ?)",
                           error, "itiidb", collection->id, method, (int64_t)packing->dimensions,
                           (int64_t)sx_packing_row_bytes(packing), packing->retained, (const void *)arrays,
                           (mean + matrix) * sizeof *arrays);
        *id = sqlite3_last_insert_rowid(database->sqlite);
        if (!status)
            status = sx_sql_do(database, "DELETE FROM segment WHERE collection = ?", error, "i", collection->id);
        status = sx_scope_leave(database, &scope, status, error);
    }
    free(arrays);
    return status;
}

typedef struct drop_job {
    sx_database *database;
    const sx_collection_row *collection;
    const sx_packing *packing;
    int64_t id; /* of the packing */
    size_t row_bytes;
    int64_t after; /* the last chunk done */
    float *vector, *scratch;
    void *row;
    sx_measure measure;
} drop_job;

static sx_status drop_one(drop_job *job, int64_t vector, sqlite3_stmt *statement, int column, sx_error *error)
{
    uint32_t dimensions = job->packing->dimensions;
    sx_status status = sx_store_read_vector(job->database, statement, column, vector, dimensions, job->vector, error);
    if (status)
        return status;
    if (job->measure == SX_MEASURE_COSINE)
        sx_exact_normalize(job->vector, dimensions);
    sx_packing_row(job->packing, job->vector, job->scratch, job->row);
    return SX_OK;
}

/* Some chunks further, in one transaction. *more false: there are none. */
static sx_status drop_batch(drop_job *job, sx_drop_counts *counts, bool *more, sx_error *error)
{
    sx_scope scope;
    sx_status status = sx_scope_enter(job->database, &scope, error);
    uint64_t done = 0, before = 0;
    *more = true;
    if (status)
        return status;
    while (!status && *more && done < DROP_BATCH) {
        sqlite3_stmt *statement;
        status = sx_sql_start(job->database,
                              "SELECT c.id, v.id, length(v.data), v.data, v.packing" SMALLER NOT_SHARED " ORDER BY c.id LIMIT 1",
                              &statement, error, "iii", job->collection->id, job->after, (int64_t)job->row_bytes);
        if (!status)
            status = sx_sql_step(job->database, statement, more, error);
        if (status || !*more)
            break;
        int64_t vector = sqlite3_column_int64(statement, 1);
        job->after = sqlite3_column_int64(statement, 0);
        before += (uint64_t)sqlite3_column_int64(statement, 2);
        status = drop_one(job, vector, statement, 3, error);
        sqlite3_reset(statement);
        if (!status)
            status = sx_sql_do(job->database, "UPDATE vector SET data = ?, packing = ? WHERE id = ?", error, "bii",
                               (const void *)job->row, job->row_bytes, job->id, vector);
        done++;
    }
    status = sx_scope_leave(job->database, &scope, status, error);
    if (!status) {
        counts->vectors += done;
        counts->bytes_before += before;
        counts->bytes_after += done * job->row_bytes;
    }
    return status;
}

sx_status sx_store_drop_floats(sx_database *database, const sx_collection_row *collection, const sx_packing *packing,
                               const volatile int *stop, sx_drop_counts *counts, sx_error *error)
{
    drop_job job = {.database = database, .collection = collection, .packing = packing, .after = INT64_MIN,
                    .row_bytes = sx_packing_row_bytes(packing)};
    bool more = true, got = false;
    sx_status status = sx_store_count_drop(database, collection, packing, counts, error);
    uint64_t wanted = counts->vectors, shared = counts->shared;
    *counts = (sx_drop_counts){.shared = shared};
    job.vector = sx_calloc(packing->dimensions, sizeof *job.vector);
    job.scratch = sx_calloc(packing->dimensions, sizeof *job.scratch);
    job.row = sx_calloc(1, job.row_bytes);
    if (!status && (!job.vector || !job.scratch || !job.row))
        status = sx_fail_nomem(error, packing->dimensions * sizeof *job.vector);
    if (!status)
        status = sx_segments_measure(database, collection->recipe, &job.measure, error);
    /* A job of another collection may have looked a vector up and not referred to it yet: it would get less than it saw. */
    if (!status)
        status = sx_locks_try(&database->locks, SX_LOCK_EVICTION, SX_LOCK_EXCLUSIVE, &got, error);
    if (!status && !got) {
        status = sx_fail(error, SX_E_BUSY, "%s: another process is indexing and may need vectors of this collection",
                         database->path);
        sx_hint(error, "try again when it is done");
    }
    if (!status)
        status = enter_packing(database, collection, packing, &job.id, error);
    while (!status && more) {
        status = drop_batch(&job, counts, &more, error);
        if (!status && more && stop && *stop)
            status = sx_fail(error, SX_E_STOPPED, "collection %s: stopped with %llu of %llu vectors dropped; the same again goes on",
                             collection->name, (unsigned long long)counts->vectors, (unsigned long long)wanted);
    }
    if (got) {
        sx_status lowered =
            sx_locks_try(&database->locks, SX_LOCK_EVICTION, database->lease_count ? SX_LOCK_SHARED : SX_LOCK_NONE, &got, error);
        status = status ? status : lowered;
    }
    sx_segments_unmap(database, collection->id, NULL);
    if (!status)
        status = sx_store_sweep_files(database, error);
    free(job.vector);
    free(job.scratch);
    free(job.row);
    return status;
}

sx_status sx_store_shrink(sx_database *database, sx_error *error)
{
    sx_status status = sx_sql_run(database, "VACUUM", error);
    return status ? status : sx_sql_run(database, "PRAGMA wal_checkpoint(TRUNCATE)", error);
}

/* ---- Forgetting ---- */

sx_status sx_store_forget_packed(sx_database *database, int64_t collection, sx_error *error)
{
#define LEFT_OVER                                                                                                                \
    " IN (SELECT v.id FROM vector v JOIN packing p ON p.id = v.packing WHERE p.collection = ?"                                   \
    " AND NOT EXISTS (SELECT 1 FROM chunk WHERE vector = v.id) ORDER BY v.id LIMIT ?)"
    for (int gone = FORGET_BATCH; gone == FORGET_BATCH;) {
        sx_scope scope;
        sx_status status = sx_scope_enter(database, &scope, error);
        if (status)
            return status;
        status = sx_sql_do(database, "DELETE FROM spare WHERE vector" LEFT_OVER, error, "ii", collection, (int64_t)FORGET_BATCH);
        if (!status)
            status = sx_sql_do(database, "DELETE FROM vector WHERE id" LEFT_OVER, error, "ii", collection, (int64_t)FORGET_BATCH);
        gone = status ? 0 : sqlite3_changes(database->sqlite);
        if (!status && gone < FORGET_BATCH)
            status = sx_sql_do(database,
                               "DELETE FROM packing WHERE collection = ? AND NOT EXISTS (SELECT 1 FROM vector v"
                               " WHERE v.packing = packing.id)",
                               error, "i", collection);
        if ((status = sx_scope_leave(database, &scope, status, error)))
            return status;
    }
    return SX_OK;
}
