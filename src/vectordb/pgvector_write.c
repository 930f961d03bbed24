/* pgvector_write.c - records into a table: COPY BINARY into a temporary table, then INSERT ... ON CONFLICT, in one transaction.
 *
 * A batch is there as a whole or not at all, and putting it twice is the same as once, so a batch whose COMMIT was not answered
 * is simply put again. Rows go in the order of their ids: two writers cannot lock each other out. A row that is there already,
 * bit for bit, is left alone, so that a load taken up again does not index its rows twice. The forms of COPY BINARY and of each
 * type are those of PostgreSQL's manual (COPY, "Binary Format") and of the types' receive functions.
 */
#include "pgvector_internal.h"

#include "../base/code_point.h"
#include "../base/error.h"
#include "../base/json_reader.h"
#include "../base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_ROWS = 4096, BATCH_BYTES = 16 << 20, REMOVE_BATCH = 10000, OID_TEXT = 25, MOST_FIELD = 1 << 29 };
static const double largest_half = 65504;
static const char replacement[] = "\xef\xbf\xbd";

typedef struct upsert_job {
    const char *collection;
    const sx_vector_record *const *records; /* in the order of their ids */
    size_t count;
    sx_buffer rows, changed; /* the batch as it travels; a text that had to be changed */
    uint64_t odd;            /* records with text that PostgreSQL cannot hold */
    const char *first_odd;
} upsert_job;

/* ---- What PostgreSQL cannot hold ---- */

/* A copy without NUL bytes and broken UTF-8 in *changed, or false when the text is as it should be. */
static bool change_text(sx_text text, sx_buffer *changed)
{
    size_t good = 0;
    bool any = false;
    sx_buffer_reset(changed);
    for (size_t at = 0; at < text.length;) {
        unsigned char byte = (unsigned char)text.data[at];
        sx_code_point point = {.code = byte, .length = 1, .valid = true};
        if (byte >= 0x80)
            point = sx_utf8_decode(text.data + at, text.length - at);
        if (!byte || !point.valid) {
            sx_buffer_append(changed, text.data + good, at - good);
            sx_buffer_append(changed, replacement, 3);
            good = at + point.length;
            any = true;
        }
        at += point.length;
    }
    if (any)
        sx_buffer_append(changed, text.data + good, text.length - good);
    return any;
}

/* jsonb has no U+0000: its escapes become those of U+FFFD. */
static bool change_metadata(const char *metadata, sx_buffer *changed)
{
    bool any = false;
    sx_buffer_reset(changed);
    sx_buffer_append(changed, metadata, strlen(metadata));
    for (char *at = changed->data; at && !changed->failed && *at; at++) {
        if (*at != '\\')
            continue;
        if (strncmp(at, "\\u0000", 6) == 0) {
            memcpy(at, "\\ufffd", 6);
            any = true;
        }
        at++; /* what is escaped begins no escape */
    }
    return any;
}

static bool is_sound(const char *name)
{
    sx_buffer ignored = {0};
    bool sound = !change_text((sx_text){name, strlen(name)}, &ignored);
    sx_buffer_clear(&ignored);
    return sound;
}

static sx_status check_record(const sx_pg *pg, const sx_vector_record *record, sx_error *error)
{
    const sx_pg_collection *known = &pg->known;
    if (record->document && !is_sound(record->document))
        return sx_fail(error, SX_E_FORMAT, "record %s: its document is no UTF-8", record->id);
    if (record->text.length > MOST_FIELD || (record->metadata && strlen(record->metadata) > MOST_FIELD))
        return sx_fail(error, SX_E_LIMIT, "record %s: more than %d bytes of text", record->id, MOST_FIELD);
    for (uint32_t i = 0; i < known->dimensions; i++) {
        if (!isfinite(record->vector[i]))
            return sx_fail(error, SX_E_INVALID, "record %s: number %u of its vector is not finite", record->id, i);
        if (sx_pg_is_half(known) && fabs((double)record->vector[i]) > largest_half)
            return sx_fail(error, SX_E_LIMIT, "record %s: number %u of its vector is %g, and f16 ends at 65504", record->id, i,
                           (double)record->vector[i]);
    }
    if (record->metadata) {
        sx_json json;
        sx_json_begin(&json, record->metadata, strlen(record->metadata), "metadata");
        if (sx_json_peek(&json) != SX_JSON_OBJECT)
            return sx_fail(error, SX_E_FORMAT, "record %s: its metadata is no JSON object", record->id);
        sx_json_skip(&json);
        sx_json_end(&json);
        if (json.problem)
            return sx_fail(error, SX_E_FORMAT, "record %s: metadata: byte %zu: %s", record->id, json.problem_position,
                           json.problem);
    }
    return SX_OK;
}

/* ---- The batch ---- */

static void append_field(sx_buffer *rows, const char *data, size_t length)
{
    sx_pg_append_u32(rows, data ? (uint32_t)length : UINT32_MAX);
    if (data)
        sx_buffer_append(rows, data, length);
}

static void append_record(const sx_pg *pg, upsert_job *job, const sx_vector_record *record)
{
    sx_buffer *rows = &job->rows, *changed = &job->changed;
    uint32_t dimensions = pg->known.dimensions;
    const char *metadata = record->metadata;
    size_t metadata_length = metadata ? strlen(metadata) : 0;
    sx_pg_append_u16(rows, 7);
    append_field(rows, record->id, strlen(record->id));
    append_field(rows, record->document, record->document ? strlen(record->document) : 0);
    bool odd_text = change_text(record->text, changed);
    if (odd_text)
        append_field(rows, changed->data, changed->length);
    else
        append_field(rows, record->text.length ? record->text.data : "", record->text.length);
    bool odd_metadata = metadata && strstr(metadata, "\\u0000") && change_metadata(metadata, changed);
    if (metadata) { /* version 1, then the text */
        sx_pg_append_u32(rows, (uint32_t)metadata_length + 1);
        sx_buffer_append_byte(rows, 1);
        sx_buffer_append(rows, odd_metadata ? changed->data : metadata, metadata_length);
    } else {
        append_field(rows, NULL, 0);
    }
    sx_pg_append_u32(rows, 4 + dimensions * (uint32_t)sizeof(float));
    sx_pg_append_vector(rows, record->vector, dimensions);
    append_field(rows, odd_text ? record->text.data : NULL, record->text.length);
    append_field(rows, odd_metadata ? metadata : NULL, metadata_length);
    if (changed->failed)
        rows->failed = true;
    if ((odd_text || odd_metadata) && !job->odd++)
        job->first_odd = record->id;
}

static sx_status append_statement(const sx_pg *pg, sx_buffer *text)
{
    const char *relation = pg->known.relation;
    bool half = sx_pg_is_half(&pg->known);
    const char *send = half ? "halfvec_send" : "vector_send";
    sx_buffer_printf(text,
                     "INSERT INTO %s AS t (id, document, text, metadata, vector, text_bytes, metadata_bytes)"
                     " SELECT id, document, text, metadata, vector",
                     relation);
    if (half)
        sx_buffer_printf(text, "::halfvec(%u)", pg->known.dimensions);
    sx_buffer_printf(
        text,
        ", text_bytes, metadata_bytes FROM pg_temp.sextant_load ON CONFLICT (id) DO UPDATE SET document ="
        " excluded.document, text = excluded.text, metadata = excluded.metadata, vector = excluded.vector, text_bytes ="
        " excluded.text_bytes, metadata_bytes = excluded.metadata_bytes WHERE (t.document, t.text, t.metadata, t.text_bytes,"
        " t.metadata_bytes) IS DISTINCT FROM (excluded.document, excluded.text, excluded.metadata, excluded.text_bytes,"
        " excluded.metadata_bytes) OR %s(t.vector) <> %s(excluded.vector); COMMIT",
        send, send);
    return text->failed ? SX_E_NOMEM : SX_OK;
}

static sx_status upsert_work(sx_pg *pg, void *user, sx_error *error)
{
    static const char signature[] = "PGCOPY\n\377\r\n";
    upsert_job *job = user;
    char begin[256];
    sx_buffer text = {0};
    sx_status status = sx_pg_find(pg, job->collection, error);
    sx_buffer_reset(&job->rows);
    sx_buffer_append(&job->rows, signature, sizeof signature); /* with its NUL */
    sx_pg_append_u32(&job->rows, 0);
    sx_pg_append_u32(&job->rows, 0);
    job->odd = 0;
    for (size_t i = 0; i < job->count && !status; i++)
        if (!(status = check_record(pg, job->records[i], error)))
            append_record(pg, job, job->records[i]);
    sx_pg_append_u16(&job->rows, UINT16_MAX);
    if (!status && (job->rows.failed || append_statement(pg, &text)))
        status = sx_fail_nomem(error, job->rows.length);
    if (!status) {
        snprintf(
            begin, sizeof begin,
            "BEGIN; CREATE TEMPORARY TABLE sextant_load (id text, document text, text text, metadata jsonb, vector vector(%u),"
            " text_bytes bytea, metadata_bytes bytea) ON COMMIT DROP",
            pg->known.dimensions);
        status = sx_pg_run(pg, begin, error);
    }
    if (!status) {
        sx_error problem = {0};
        status =
            sx_pg_copy(pg, "COPY pg_temp.sextant_load FROM STDIN (FORMAT binary)", job->rows.data, job->rows.length, &problem);
        if (status && pg->copy_line && pg->copy_line <= job->count)
            sx_fail(error, status, "record %s: %s", job->records[pg->copy_line - 1]->id, problem.message);
        else if (status)
            sx_fail(error, status, "%s", problem.message);
    }
    if (!status)
        status = sx_pg_run(pg, text.data, error);
    sx_buffer_clear(&text);
    return status;
}

/* By id, and of equal ids the later one first. */
static int compare_records(const void *a, const void *b)
{
    const sx_vector_record *first = *(const sx_vector_record *const *)a, *second = *(const sx_vector_record *const *)b;
    int order = strcmp(first->id, second->id);
    return order ? order : first < second ? 1 : -1;
}

static sx_status put_batch(sx_pg *pg, upsert_job *job, const sx_vector_record **order, const sx_vector_record *records,
                           size_t count, sx_error *error)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        order[i] = &records[i];
    qsort(order, count, sizeof *order, compare_records);
    for (size_t i = 0; i < count; i++)
        if (!kept || strcmp(order[kept - 1]->id, order[i]->id) != 0)
            order[kept++] = order[i];
    job->records = order;
    job->count = kept;
    sx_status status = sx_pg_do(pg, "upsert into", job->collection, upsert_work, job, error);
    if (!status && job->odd)
        sx_pg_log(pg, SX_LOG_WARNING,
                  "%s: %s: %llu records hold NUL bytes or broken UTF-8, which PostgreSQL's text cannot (%s first): column text "
                  "has U+FFFD"
                  " there, text_bytes and metadata_bytes what it was",
                  pg->store.name, job->collection, (unsigned long long)job->odd, job->first_odd);
    return status;
}

sx_status sx_pg_upsert(sx_vector_store *store, const char *collection, const sx_vector_record *records, size_t count,
                       sx_error *error)
{
    sx_pg *pg = (sx_pg *)store;
    upsert_job job = {.collection = collection};
    sx_status status = SX_OK;
    const sx_vector_record **order = sx_calloc(count < BATCH_ROWS ? count : BATCH_ROWS, sizeof *order);
    if (!order)
        return sx_fail_nomem(error, count * sizeof *order);
    for (size_t i = 0; i < count && !status; i++) /* before anything is written */
        if (!records[i].id || !*records[i].id || !records[i].vector || !is_sound(records[i].id))
            status =
                sx_fail(error, SX_E_INVALID, "%s: upsert into %s: record %zu has no vector, or an id that is empty or no UTF-8",
                        store->name, collection, i);
    for (size_t from = 0, next; from < count && !status; from = next) {
        size_t bytes = 0;
        for (next = from; next < count && next - from < BATCH_ROWS && bytes < BATCH_BYTES; next++)
            bytes += records[next].text.length + (records[next].metadata ? strlen(records[next].metadata) : 0) + 4096;
        status = put_batch(pg, &job, order, records + from, next - from, error);
    }
    free(order);
    sx_buffer_clear(&job.rows);
    sx_buffer_clear(&job.changed);
    return status;
}

/* ---- Removing ---- */

typedef struct remove_job {
    const char *collection;
    const char *const *ids;
    size_t count;
    uint64_t removed;
} remove_job;

/* A binary text[] (array_recv): dimensions, NULLs, element type, count, first index, then each with its length. */
static void append_ids(sx_buffer *array, const char *const *ids, size_t count)
{
    sx_pg_append_u32(array, 1);
    sx_pg_append_u32(array, 0);
    sx_pg_append_u32(array, OID_TEXT);
    sx_pg_append_u32(array, (uint32_t)count);
    sx_pg_append_u32(array, 1);
    for (size_t i = 0; i < count; i++)
        append_field(array, ids[i], strlen(ids[i]));
}

static sx_status remove_work(sx_pg *pg, void *user, sx_error *error)
{
    remove_job *job = user;
    sx_buffer text = {0}, array = {0};
    PGresult *result = NULL;
    sx_status status = sx_pg_find(pg, job->collection, error);
    if (!status) {
        sx_buffer_printf(&text, "WITH gone AS (DELETE FROM %s WHERE id = ANY ($1::text[]) RETURNING 1) SELECT count(*) FROM gone",
                         pg->known.relation);
        append_ids(&array, job->ids, job->count);
        const sx_pg_value value = {.data = array.data, .length = (int)array.length, .binary = true};
        status = text.failed || array.failed || array.length > INT32_MAX ? sx_fail_nomem(error, array.length)
                                                                         : sx_pg_query(pg, text.data, &value, 1, &result, error);
    }
    if (!status)
        job->removed = (uint64_t)sx_pg_integer(result, 0, 0);
    PQclear(result);
    sx_buffer_clear(&text);
    sx_buffer_clear(&array);
    return status;
}

sx_status sx_pg_remove(sx_vector_store *store, const char *collection, const char *const *ids, size_t count, uint64_t *removed,
                       sx_error *error)
{
    uint64_t sum = 0;
    sx_status status = SX_OK;
    for (size_t i = 0; i < count; i++)
        if (!ids[i] || !is_sound(ids[i]))
            return sx_fail(error, SX_E_INVALID, "%s: remove from %s: id %zu is missing or no UTF-8", store->name, collection, i);
    for (size_t from = 0; (from < count || !from) && !status; from += REMOVE_BATCH) {
        size_t left = count - from;
        remove_job job = {.collection = collection, .ids = ids + from, .count = left < REMOVE_BATCH ? left : REMOVE_BATCH};
        status = sx_pg_do((sx_pg *)store, "remove from", collection, remove_work, &job, error);
        sum += job.removed;
    }
    if (removed)
        *removed = sum;
    return status;
}
