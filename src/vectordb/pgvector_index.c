/* pgvector_index.c - building indexes after a load, when it is several times faster than row by row.
 *
 * HNSW needs its graph in maintenance_work_mem to build fast, so that is raised for the build to what the rows need, within a
 * bound. Where the parallel workers' shared memory is too small (containers have 64 MB of it) the index is built by one process.
 * IVFFlat's lists are made from the rows that are there, so they are made anew when four times as many have come.
 */
#include "pgvector_internal.h"

#include "../base/error.h"
#include "../base/hash.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_BUILD_MB = 64, MOST_BUILD_MB = 1024, ROWS_PER_LIST = 1000, MOST_LISTS = 32768 };

/* Names of the indexes come from the table's, in a form that always fits. */
static void append_name(sx_buffer *text, const char *relation, const char *kind)
{
    sx_sha256 hash;
    char hex[SX_SHA256_HEX];
    sx_sha256_of(relation, strlen(relation), &hash);
    sx_sha256_hex(&hash, hex);
    sx_buffer_printf(text, "sextant_%s_%.24s", kind, hex);
}

/* As pgvector's manual advises: a thousand rows a list, from a million rows on the square root. */
static uint32_t lists_for(uint64_t rows)
{
    double lists = rows > 1000000 ? sqrt((double)rows) : (double)rows / ROWS_PER_LIST;
    return lists < 1 ? 1 : lists > MOST_LISTS ? MOST_LISTS : (uint32_t)lists;
}

static void append_vector_index(sx_buffer *text, const sx_pg_collection *known, uint64_t rows)
{
    bool half = sx_pg_is_half(known), narrower = sx_pg_index_is_narrower(known);
    const char *type = half || narrower ? "halfvec" : "vector";
    const char *kind = strcmp(known->similarity, "dot") == 0 ? "ip" : strcmp(known->similarity, "l2") == 0 ? "l2" : "cosine";
    sx_buffer_append_string(text, "CREATE INDEX IF NOT EXISTS ");
    append_name(text, known->relation, "vector");
    sx_buffer_printf(text, " ON %s USING %s (", known->relation, known->index);
    if (narrower)
        sx_buffer_printf(text, "(vector::halfvec(%u))", known->dimensions);
    else
        sx_buffer_append_string(text, "vector");
    sx_buffer_printf(text, " %s_%s_ops) WITH (", type, kind);
    if (strcmp(known->index, "hnsw") == 0)
        sx_buffer_printf(text, "m = %u, ef_construction = %u)", known->m, known->ef_construction);
    else
        sx_buffer_printf(text, "lists = %u)", known->lists ? known->lists : lists_for(rows));
}

static sx_status count_rows(sx_pg *pg, uint64_t *rows, sx_error *error)
{
    sx_buffer text = {0};
    PGresult *result;
    sx_buffer_printf(&text, "SELECT count(*) FROM %s", pg->known.relation);
    sx_status status = text.failed ? sx_fail_nomem(error, text.length) : sx_pg_query(pg, text.data, NULL, 0, &result, error);
    if (!status) {
        *rows = (uint64_t)sx_pg_integer(result, 0, 0);
        PQclear(result);
    }
    sx_buffer_clear(&text);
    return status;
}

/* A floor under what the graph takes: the vector and its neighbours on the levels it stands on. */
static uint64_t build_megabytes(const sx_pg_collection *known, uint64_t rows)
{
    uint64_t row =
        known->dimensions * (uint64_t)(sx_pg_is_half(known) || sx_pg_index_is_narrower(known) ? 2 : 4) + known->m * 40 + 200;
    uint64_t megabytes = rows > UINT64_MAX / row ? MOST_BUILD_MB : rows * row / 1000000 + 1;
    return megabytes < LEAST_BUILD_MB ? LEAST_BUILD_MB : megabytes > MOST_BUILD_MB ? MOST_BUILD_MB : megabytes;
}

static sx_status build(sx_pg *pg, uint64_t rows, bool alone, sx_error *error)
{
    const sx_pg_collection *known = &pg->known;
    bool indexed = strcmp(known->index, "none") != 0 && known->dimensions <= SX_PG_INDEXED_HALF_DIMENSIONS && rows;
    bool renew = strcmp(known->index, "ivfflat") == 0 && !known->lists && known->built_rows && rows / 4 > known->built_rows;
    sx_buffer text = {0};
    sx_buffer_append_string(&text, "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended(");
    char *literal = PQescapeLiteral(pg->connection, known->relation, strlen(known->relation));
    sx_buffer_append_string(&text, literal ? literal : "''");
    sx_buffer_printf(
        &text,
        ", 0)); SET LOCAL statement_timeout = 0; SELECT set_config('maintenance_work_mem', greatest(%" PRIu64
        ", (SELECT setting::bigint / 1024 FROM pg_settings WHERE name = 'maintenance_work_mem'))::text || 'MB', true); ",
        build_megabytes(known, rows));
    if (alone)
        sx_buffer_append_string(&text, "SET LOCAL max_parallel_maintenance_workers = 0; ");
    if (renew) {
        sx_buffer_append_string(&text, "DROP INDEX IF EXISTS ");
        append_name(&text, known->relation, "vector");
        sx_buffer_append_string(&text, "; ");
    }
    if (indexed) {
        append_vector_index(&text, known, rows);
        sx_buffer_append_string(&text, "; ");
    }
    /* Hash and GIN have no limit on the length of a path; a B-tree has. */
    sx_buffer_append_string(&text, "CREATE INDEX IF NOT EXISTS ");
    append_name(&text, known->relation, "document");
    sx_buffer_printf(&text, " ON %s USING hash (document); CREATE INDEX IF NOT EXISTS ", known->relation);
    append_name(&text, known->relation, "metadata");
    sx_buffer_printf(&text, " ON %s USING gin ((metadata - 'sextant') jsonb_path_ops); ANALYZE %s; ", known->relation,
                     known->relation);
    if (indexed && (renew || !known->built_rows))
        sx_buffer_printf(&text, "UPDATE sextant_registry SET built_rows = %" PRIu64 " WHERE relation = %s; ", rows,
                         literal ? literal : "''");
    sx_buffer_append_string(&text, "COMMIT");
    sx_status status = text.failed || !literal ? sx_fail_nomem(error, text.length) : sx_pg_run(pg, text.data, error);
    PQfreemem(literal);
    sx_buffer_clear(&text);
    return status;
}

static sx_status finish_work(sx_pg *pg, void *user, sx_error *error)
{
    const char *collection = user;
    sx_error first = {0};
    uint64_t rows = 0;
    sx_pg_forget(pg);
    sx_status status = sx_pg_find(pg, collection, error);
    if (!status)
        status = count_rows(pg, &rows, error);
    if (status)
        return status;
    if (strcmp(pg->known.index, "none") != 0 && pg->known.dimensions > SX_PG_INDEXED_HALF_DIMENSIONS)
        sx_pg_log(pg, SX_LOG_WARNING,
                  "%s: %s has %u dimensions and pgvector indexes at most %d: every search reads all its vectors", pg->store.name,
                  collection, pg->known.dimensions, SX_PG_INDEXED_HALF_DIMENSIONS);
    pg->deadline = INT64_MAX; /* building takes as long as it takes; a dead server is noticed by keep-alives */
    status = build(pg, rows, false, &first);
    if (status && strstr(first.message, "shared memory")) {
        sx_pg_rollback(pg);
        pg->deadline = INT64_MAX;
        status = build(pg, rows, true, &first);
    }
    pg->deadline = 0;
    if (status)
        sx_fail(error, status, "%s", first.message);
    sx_pg_forget(pg);
    return status;
}

sx_status sx_pg_finish(sx_vector_store *store, const char *collection, sx_error *error)
{
    return sx_pg_do((sx_pg *)store, "finish", collection, finish_work, (void *)(uintptr_t)collection, error);
}
