/* pgvector_read.c - searching and reading back.
 *
 * An index may give fewer rows than there are: a filter is applied behind it, deleted rows stand in it, and pgvector leaves
 * vectors of zeros out of a cosine index. Iterative scans (pgvector 0.8) go on until there are enough, up to a bound; whenever
 * fewer rows came than were asked for, the query is made again without the vector index, so a result is short only when there are
 * no more.
 */
#include "pgvector_internal.h"

#include "../base/error.h"
#include "../base/json_reader.h"
#include "../base/json_writer.h"
#include "../base/memory.h"

#include <endian.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    ITERATIVE_SINCE = 800,
    MOST_SEARCHED = 1000,
    HALF_OVERFETCH = 4,
    PAGE_BYTES = 16 << 20,
    FIRST_PAGE = 64,
    MOST_PAGE = 2048
};

/* ---- The query ---- */

typedef struct search_job {
    const char *collection;
    const float *vector;
    uint32_t most;
    const sx_vector_filter *filters;
    size_t filter_count;
    sx_vector_hit *hits;
    size_t count;
} search_job;

static const char *operator_of(const sx_pg_collection *known)
{
    return strcmp(known->similarity, "dot") == 0 ? "<#>" : strcmp(known->similarity, "l2") == 0 ? "<->" : "<=>";
}

/* {"key": value}, for jsonb's @>. */
static sx_status write_condition(const sx_vector_filter *filter, char **condition, sx_error *error)
{
    sx_buffer json = {0};
    sx_buffer_append_byte(&json, '{');
    sx_json_write_string(&json, filter->key, strlen(filter->key));
    sx_buffer_append_byte(&json, ':');
    if (filter->is_number) {
        sx_json value;
        sx_json_begin(&value, filter->value, strlen(filter->value), "filter");
        sx_json_type type = sx_json_peek(&value);
        sx_json_skip(&value);
        sx_json_end(&value);
        if (value.problem || (type != SX_JSON_NUMBER && type != SX_JSON_BOOLEAN)) {
            sx_buffer_clear(&json);
            return sx_fail(error, SX_E_INVALID, "filter %s: \"%s\" is neither a number nor true nor false", filter->key,
                           filter->value);
        }
        sx_buffer_append_string(&json, filter->value);
    } else {
        sx_json_write_string(&json, filter->value, strlen(filter->value));
    }
    sx_buffer_append_byte(&json, '}');
    *condition = sx_buffer_take(&json);
    return *condition ? SX_OK : sx_fail_nomem(error, strlen(filter->value));
}

static void append_where(sx_buffer *text, const search_job *job)
{
    for (size_t i = 0; i < job->filter_count; i++) {
        sx_buffer_append_string(text, i ? " AND " : " WHERE ");
        if (strcmp(job->filters[i].key, "document") == 0)
            sx_buffer_printf(text, "document = $%zu", i + 2);
        else
            sx_buffer_printf(text, "(metadata - 'sextant') @> $%zu::jsonb", i + 2);
    }
}

static void append_query(const sx_pg *pg, const search_job *job, sx_buffer *text)
{
    const sx_pg_collection *known = &pg->known;
    const char *operator= operator_of(known);
    char key[96];
    snprintf(key, sizeof key, sx_pg_is_half(known) ? "$1::vector(%u)::halfvec(%u)" : "$1::vector(%u)", known->dimensions,
             known->dimensions);
    sx_buffer_printf(
        text, "SELECT id, document, text, metadata::text, text_bytes, metadata_bytes, (vector %s %s)::float8 AS distance FROM ",
              operator, key);
    if (sx_pg_index_is_narrower(known)) { /* found by halves, ordered by what is stored */
        sx_buffer_printf(text, "(SELECT * FROM %s", known->relation);
        append_where(text, job);
        sx_buffer_printf(text, " ORDER BY vector::halfvec(%u) %s $1::vector(%u)::halfvec(%u) LIMIT %llu) AS found",
                         known->dimensions, operator, known->dimensions, known->dimensions,
                         (unsigned long long)job->most * HALF_OVERFETCH);
    } else {
        sx_buffer_append_string(text, known->relation);
        append_where(text, job);
    }
    sx_buffer_printf(text, " ORDER BY vector %s %s LIMIT %u", operator, key, job->most);
}

/* How deep the index is searched, said to the server when it changes. */
static sx_status set_depth(sx_pg *pg, uint32_t most, sx_error *error)
{
    const sx_pg_collection *known = &pg->known;
    char depth[sizeof pg->settings];
    sx_buffer text = {0};
    if (strcmp(known->index, "hnsw") == 0) {
        uint32_t searched = most > known->ef_search ? most : known->ef_search;
        snprintf(depth, sizeof depth, "hnsw.ef_search = %u", searched > MOST_SEARCHED ? MOST_SEARCHED : searched);
    } else if (strcmp(known->index, "ivfflat") == 0) {
        double lists = known->lists ? known->lists : (double)known->built_rows / 1000;
        snprintf(depth, sizeof depth, "ivfflat.probes = %u", lists < 1 ? 1 : (uint32_t)ceil(sqrt(lists)));
    } else {
        return SX_OK;
    }
    if (strcmp(depth, pg->settings) == 0)
        return SX_OK;
    sx_buffer_printf(&text, "SET %s", depth);
    if (pg->version >= ITERATIVE_SINCE && depth[0] == 'h')
        sx_buffer_append_string(&text, "; SET hnsw.iterative_scan = strict_order");
    else if (pg->version >= ITERATIVE_SINCE)
        sx_buffer_append_string(&text, "; SET ivfflat.iterative_scan = relaxed_order");
    sx_status status = text.failed ? sx_fail_nomem(error, text.length) : sx_pg_run(pg, text.data, error);
    if (!status)
        memcpy(pg->settings, depth, sizeof depth);
    sx_buffer_clear(&text);
    return status;
}

/* The exact bytes where the table keeps them beside what PostgreSQL can hold. */
static char *take_exact(const PGresult *result, int row, int column, int exact, size_t *length, bool *failed)
{
    int from = PQgetisnull(result, row, exact) ? column : exact;
    *length = (size_t)PQgetlength(result, row, from);
    return sx_pg_text(result, row, from, failed);
}

static int compare_hits(const void *a, const void *b)
{
    double first = ((const sx_vector_hit *)a)->similarity, second = ((const sx_vector_hit *)b)->similarity;
    return first > second ? -1 : first < second ? 1 : strcmp(((const sx_vector_hit *)a)->id, ((const sx_vector_hit *)b)->id);
}

static sx_status take_hits(const sx_pg *pg, search_job *job, const PGresult *result, sx_error *error)
{
    int rows = PQntuples(result);
    bool failed = false;
    size_t ignored;
    sx_vector_hits_free(job->hits, job->count);
    job->count = 0;
    job->hits = sx_calloc((size_t)rows, sizeof *job->hits);
    if (!job->hits)
        return sx_fail_nomem(error, (size_t)rows * sizeof *job->hits);
    for (int row = 0; row < rows; row++) {
        sx_vector_hit *hit = &job->hits[job->count++];
        double distance = sx_pg_double(result, row, 6);
        hit->id = sx_pg_text(result, row, 0, &failed);
        hit->document = sx_pg_text(result, row, 1, &failed);
        hit->text = take_exact(result, row, 2, 4, &hit->text_length, &failed);
        hit->metadata = take_exact(result, row, 3, 5, &ignored, &failed);
        hit->similarity = strcmp(pg->known.similarity, "cosine") == 0 ? 1 - distance : 0 - distance;
        if (isnan(hit->similarity)) /* of a vector of zeros */
            hit->similarity = 0;
        if (!hit->id || !hit->text)
            failed = true;
    }
    if (failed)
        return sx_fail_nomem(error, (size_t)rows);
    qsort(job->hits, job->count, sizeof *job->hits, compare_hits);
    return SX_OK;
}

static sx_status search_work(sx_pg *pg, void *user, sx_error *error)
{
    search_job *job = user;
    sx_buffer text = {0}, vector = {0};
    PGresult *result = NULL;
    sx_pg_value *values = sx_calloc(job->filter_count + 1, sizeof *values);
    sx_status status = values ? sx_pg_find(pg, job->collection, error) : sx_fail_nomem(error, job->filter_count);
    for (size_t i = 0; i < job->filter_count && !status; i++) {
        char *condition = NULL;
        if (strcmp(job->filters[i].key, "document") == 0)
            condition = sx_strdup(job->filters[i].value);
        else if ((status = write_condition(&job->filters[i], &condition, error)))
            break;
        values[i + 1].data = condition;
        if (!condition)
            status = sx_fail_nomem(error, strlen(job->filters[i].value));
    }
    if (!status) {
        append_query(pg, job, &text);
        sx_pg_append_vector(&vector, job->vector, pg->known.dimensions);
        values[0] = (sx_pg_value){.data = vector.data, .length = (int)vector.length, .binary = true};
        status = text.failed || vector.failed ? sx_fail_nomem(error, text.length) : set_depth(pg, job->most, error);
    }
    if (!status)
        status = sx_pg_query(pg, text.data, values, job->filter_count + 1, &result, error);
    if (!status && (uint32_t)PQntuples(result) < job->most && pg->known.built_rows) {
        PQclear(result);
        result = NULL;
        status = sx_pg_run(pg, "BEGIN; SET LOCAL enable_indexscan = off", error);
        if (!status)
            status = sx_pg_query(pg, text.data, values, job->filter_count + 1, &result, error);
        if (!status)
            status = sx_pg_run(pg, "COMMIT", error);
    }
    if (!status)
        status = take_hits(pg, job, result, error);
    PQclear(result);
    for (size_t i = 0; values && i < job->filter_count; i++)
        free((void *)(uintptr_t)values[i + 1].data);
    free(values);
    sx_buffer_clear(&text);
    sx_buffer_clear(&vector);
    return status;
}

sx_status sx_pg_search(sx_vector_store *store, const char *collection, const float *vector, uint32_t most,
                       const double *threshold, const sx_vector_filter *filters, size_t filter_count, sx_vector_hit **hits,
                       size_t *count, sx_error *error)
{
    search_job job = {.collection = collection, .vector = vector, .most = most, .filters = filters, .filter_count = filter_count};
    *hits = NULL;
    *count = 0;
    sx_status status = sx_pg_do((sx_pg *)store, "query", collection, search_work, &job, error);
    if (status) {
        sx_vector_hits_free(job.hits, job.count);
        return status;
    }
    *hits = job.hits;
    *count = job.count;
    /* Behind the cut, so that the index is asked for the nearest, and never for all that might be near enough. */
    while (threshold && *count && job.hits[*count - 1].similarity < *threshold) {
        sx_vector_hit *last = &job.hits[--*count];
        free(last->id);
        free(last->document);
        free(last->metadata);
        free(last->text);
    }
    return SX_OK;
}

/* ---- Everything, page by page ---- */

typedef struct scan_job {
    const char *collection;
    char *after; /* the last id seen; NULL: none yet */
    uint32_t rows;
    PGresult *page;
    uint32_t dimensions;
} scan_job;

static sx_status page_work(sx_pg *pg, void *user, sx_error *error)
{
    scan_job *job = user;
    sx_buffer text = {0};
    sx_status status = sx_pg_find(pg, job->collection, error);
    if (status)
        return status;
    job->dimensions = pg->known.dimensions;
    sx_buffer_append_string(&text, "SELECT id, document, text, metadata::text, text_bytes, metadata_bytes, ");
    sx_buffer_printf(&text, sx_pg_is_half(&pg->known) ? "vector::vector(%u) FROM " : "vector FROM ", job->dimensions);
    sx_buffer_printf(&text, "%s %s ORDER BY id LIMIT %u", pg->known.relation, job->after ? "WHERE id > $1" : "", job->rows);
    const sx_pg_value after = {.data = job->after};
    status = text.failed ? sx_fail_nomem(error, text.length)
                         : sx_pg_query(pg, text.data, &after, job->after ? 1 : 0, &job->page, error);
    sx_buffer_clear(&text);
    return status;
}

static bool read_vector(const PGresult *page, int row, uint32_t dimensions, float *vector)
{
    const char *data = PQgetvalue(page, row, 6);
    uint16_t count;
    if ((size_t)PQgetlength(page, row, 6) != 4 + dimensions * sizeof(float))
        return false;
    memcpy(&count, data, sizeof count);
    for (uint32_t i = 0; i < dimensions; i++) {
        uint32_t bits;
        memcpy(&bits, data + 4 + i * sizeof bits, sizeof bits);
        bits = be32toh(bits);
        memcpy(&vector[i], &bits, sizeof bits);
    }
    return be16toh(count) == dimensions;
}

static sx_status visit_row(const scan_job *job, int row, float *vector, sx_vector_visit visit, void *user, sx_error *error)
{
    const PGresult *page = job->page;
    bool failed = false;
    size_t length, ignored;
    char *id = sx_pg_text(page, row, 0, &failed), *document = sx_pg_text(page, row, 1, &failed);
    char *text = take_exact(page, row, 2, 4, &length, &failed), *metadata = take_exact(page, row, 3, 5, &ignored, &failed);
    sx_status status = SX_OK;
    if (failed || !id || !text) {
        status = sx_fail_nomem(error, length);
    } else if (!read_vector(page, row, job->dimensions, vector)) {
        status = sx_fail(error, SX_E_FORMAT, "record %s: its vector has not %u dimensions", id, job->dimensions);
    } else {
        const sx_vector_record record = {
            .id = id, .document = document, .text = {text, length}, .metadata = metadata, .vector = vector};
        status = visit(&record, user, error);
    }
    free(id);
    free(document);
    free(text);
    free(metadata);
    return status;
}

/* As many rows as a page should hold, by the size of those of the last one. */
static uint32_t next_page(const PGresult *page)
{
    size_t bytes = PQresultMemorySize(page), rows = (size_t)PQntuples(page);
    size_t each = rows ? bytes / rows + 1 : 1, fit = PAGE_BYTES / each;
    return fit < 1 ? 1 : fit > MOST_PAGE ? MOST_PAGE : (uint32_t)fit;
}

sx_status sx_pg_scan(sx_vector_store *store, const char *collection, sx_vector_visit visit, void *user, sx_error *error)
{
    scan_job job = {.collection = collection, .rows = FIRST_PAGE};
    float *vector = NULL;
    sx_status status = SX_OK;
    bool last = false;
    while (!status && !last) {
        status = sx_pg_do((sx_pg *)store, "scan", collection, page_work, &job, error);
        if (status)
            break;
        int rows = PQntuples(job.page);
        last = (uint32_t)rows < job.rows;
        if (!vector && !(vector = sx_calloc(job.dimensions, sizeof *vector)))
            status = sx_fail_nomem(error, job.dimensions * sizeof *vector);
        for (int row = 0; row < rows && !status; row++)
            status = visit_row(&job, row, vector, visit, user, error);
        if (rows && !status) {
            bool failed = false;
            free(job.after);
            job.after = sx_pg_text(job.page, rows - 1, 0, &failed);
            if (!job.after)
                status = sx_fail_nomem(error, 1);
        }
        job.rows = next_page(job.page);
        PQclear(job.page);
        job.page = NULL;
    }
    PQclear(job.page);
    free(job.after);
    free(vector);
    return status;
}
