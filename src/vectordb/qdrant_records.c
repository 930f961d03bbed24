/* qdrant_records.c - points of a collection of Qdrant: written, removed, found, listed.
 *
 * What a point holds is said in qdrant.c. Everything is sent with wait=true and in requests that stay below the server's limit;
 * what comes back is read page by page.
 */
#include "qdrant_internal.h"

#include "../base/error.h"
#include "../base/json_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_BATCH = 256,
    BYTES_OF_BATCH = 16 << 20, /* the server's own limit is 32 MB unless it is set otherwise */
    BYTES_OF_PAGE = 8 << 20,
    RECORDS_OF_PAGE = 1000,
    BYTES_OF_NUMBER = 20
};

/* ---- Writing ---- */

static bool write_scalar(void *user, const sx_rest_scalar *scalar)
{
    sx_buffer *body = user;
    if (scalar->key.length >= 8 && memcmp(scalar->key.data, "sextant_", 8) == 0)
        return true;
    sx_buffer_append_byte(body, ',');
    sx_json_write_string(body, scalar->key.data, scalar->key.length);
    sx_buffer_append_byte(body, ':');
    return sx_rest_write_scalar(body, scalar);
}

static sx_status write_point(sx_qdrant *q, const sx_vector_record *record, sx_error *error)
{
    sx_buffer *body = &q->rest.body;
    char uuid[SX_REST_UUID_SIZE];
    sx_status status = sx_rest_uuid(record->id, uuid, error);
    if (status)
        return status;
    sx_buffer_printf(body, "{\"id\":\"%s\",\"vector\":", uuid);
    if (q->vector) {
        sx_buffer_append_byte(body, '{');
        sx_rest_write_key(body, q->vector);
    }
    sx_json_write_floats(body, record->vector, q->space.dimensions);
    sx_buffer_append_string(body, q->vector ? "},\"payload\":{" : ",\"payload\":{");
    sx_rest_write_member(body, SX_PROPERTY_ID, record->id);
    sx_rest_write_key(body, SX_PROPERTY_TEXT);
    sx_json_write_string(body, record->text.data ? record->text.data : "", record->text.length);
    sx_rest_write_key(body, SX_PROPERTY_VECTOR);
    sx_json_write_base64(body, record->vector, q->space.dimensions * sizeof *record->vector);
    if (record->document)
        sx_rest_write_member(body, SX_PROPERTY_DOCUMENT, record->document);
    if (record->metadata)
        sx_rest_write_member(body, SX_PROPERTY_METADATA, record->metadata);
    bool written = sx_rest_scalars(record->metadata, write_scalar, body);
    return sx_buffer_append_string(body, "}}") && written ? SX_OK : sx_fail_nomem(error, body->length);
}

static sx_status send_records(void *user, const sx_vector_record *records, size_t count, sx_error *error)
{
    sx_qdrant *q = user;
    sx_buffer *body = &q->rest.body;
    sx_qdrant_begin(q, q->server_name, "/points?wait=true");
    sx_buffer_append_string(body, "{\"points\":[");
    for (size_t i = 0; i < count; i++) {
        if (i)
            sx_buffer_append_byte(body, ',');
        sx_status status = write_point(q, &records[i], error);
        if (status)
            return status;
    }
    sx_buffer_append_string(body, "]}");
    sx_status status = sx_qdrant_call(q, "PUT", "upsert into", error);
    return status ? status : sx_qdrant_expect_done(q, error);
}

sx_status sx_qdrant_upsert(sx_vector_store *store, const char *collection, const sx_vector_record *records, size_t count,
                           sx_error *error)
{
    sx_qdrant *q = (sx_qdrant *)store;
    sx_status status = sx_qdrant_find(q, collection, error);
    if (!status && q->vectors > 1)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: collection %s has %zu vectors a point and can only be read", store->name,
                       collection, q->vectors);
    if (!status)
        status = sx_rest_check_records(store->name, records, count, q->space.dimensions, error);
    if (status)
        return status;
    size_t most = q->rest.batch ? q->rest.batch : DEFAULT_BATCH;
    return sx_rest_send_batches(records, count, q->space.dimensions, most, BYTES_OF_BATCH, send_records, q, error);
}

static sx_status write_uuids(sx_qdrant *q, const char *key, const char *const *ids, size_t count, sx_error *error)
{
    sx_status status = SX_OK;
    sx_buffer_printf(&q->rest.body, "{\"%s\":[", key);
    for (size_t i = 0; !status && i < count; i++) {
        char uuid[SX_REST_UUID_SIZE];
        status = sx_rest_uuid(ids[i], uuid, error);
        sx_buffer_printf(&q->rest.body, "%s\"%s\"", i ? "," : "", uuid);
    }
    sx_buffer_append_byte(&q->rest.body, ']');
    return status;
}

/* The server does not say how many it removed, so those that are there are asked for first. */
static sx_status remove_some(void *user, const char *const *ids, size_t count, uint64_t *removed, sx_error *error)
{
    sx_qdrant *q = user;
    sx_json result;
    uint64_t present = 0;
    sx_qdrant_begin(q, q->server_name, "/points");
    sx_status status = write_uuids(q, "ids", ids, count, error);
    sx_buffer_append_string(&q->rest.body, ",\"with_payload\":false,\"with_vector\":false}");
    if (!status)
        status = sx_qdrant_call(q, "POST", "look for records in", error);
    if (!status)
        status = sx_rest_result(&q->rest, "result", &result, error);
    if (status)
        return status;
    for (sx_json_array(&result); sx_json_element(&result); present++)
        sx_json_skip(&result);
    if (result.problem || present > count)
        return sx_rest_odd_answer(&q->rest, error, "has no list of at most %zu points", count);
    if (!present)
        return SX_OK;
    sx_qdrant_begin(q, q->server_name, "/points/delete?wait=true");
    status = write_uuids(q, "points", ids, count, error);
    sx_buffer_append_byte(&q->rest.body, '}');
    if (!status)
        status = sx_qdrant_call(q, "POST", "remove from", error);
    if (!status)
        status = sx_qdrant_expect_done(q, error);
    if (!status)
        *removed += present;
    return status;
}

sx_status sx_qdrant_remove(sx_vector_store *store, const char *collection, const char *const *ids, size_t count,
                           uint64_t *removed, sx_error *error)
{
    sx_qdrant *q = (sx_qdrant *)store;
    if (removed)
        *removed = 0;
    sx_status status = sx_qdrant_find(q, collection, error);
    return status ? status : sx_rest_remove_batches(ids, count, RECORDS_OF_PAGE, remove_some, q, removed, error);
}

/* ---- Reading ---- */

/* A key as a path of the payload: quoted unless it is plain, since dots and brackets lead inside. */
static sx_status write_path(sx_qdrant *q, sx_text key, sx_error *error)
{
    sx_buffer path = {0};
    char plain[256];
    bool is_plain = key.length && key.length < sizeof plain;
    if (is_plain) {
        snprintf(plain, sizeof plain, "%.*s", (int)key.length, key.data);
        is_plain = sx_rest_is_word(plain, 1, sizeof plain, "_-");
    }
    if (!is_plain && (memchr(key.data, '"', key.length) || !key.length))
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: Qdrant has no filter by a key like \"%.*s\"", q->base.name, (int)key.length,
                       key.data);
    sx_buffer_append_string(&path, is_plain ? "" : "\"");
    sx_buffer_append(&path, key.data, key.length);
    bool written = sx_buffer_append_string(&path, is_plain ? "" : "\"") &&
                   sx_json_write_string(&q->rest.body, path.data, path.length);
    sx_buffer_clear(&path);
    return written ? SX_OK : sx_fail_nomem(error, key.length);
}

static sx_status write_filter(sx_qdrant *q, const sx_vector_filter *filters, size_t count, sx_error *error)
{
    sx_buffer *body = &q->rest.body;
    if (!count)
        return SX_OK;
    sx_buffer_append_string(body, ",\"filter\":{\"must\":[");
    for (size_t i = 0; i < count; i++) {
        sx_rest_scalar scalar;
        sx_status status = sx_rest_filter_scalar(&filters[i], &scalar, error);
        sx_buffer_append_string(body, i ? ",{\"key\":" : "{\"key\":");
        if (!status)
            status = write_path(q, scalar.key, error);
        if (status)
            return status;
        bool number = scalar.type == SX_JSON_NUMBER; /* "match" takes no fractions, and 1 there is not 1.0 */
        sx_buffer_append_string(body, number ? ",\"range\":{\"gte\":" : ",\"match\":{\"value\":");
        sx_rest_write_scalar(body, &scalar);
        if (number) {
            sx_buffer_append_string(body, ",\"lte\":");
            sx_rest_write_scalar(body, &scalar);
        }
        sx_buffer_append_string(body, "}}");
    }
    sx_buffer_append_string(body, "]}");
    return SX_OK;
}

static void read_vector(sx_qdrant *q, sx_json *json, sx_rest_page *page, sx_rest_row *row)
{
    sx_json value;
    if (q->vector ? sx_rest_find(json, q->vector, &value) : sx_json_peek(json) == SX_JSON_ARRAY) {
        value = q->vector ? value : *json;
        if (!sx_rest_read_vector(&value, page, q->space.dimensions, &row->vector))
            *json = value; /* with what is wrong there */
    }
    if (!json->problem)
        sx_json_skip(json);
}

static void read_id(sx_json *json, sx_rest_page *page, char **id)
{
    sx_text raw;
    if (sx_json_peek(json) == SX_JSON_STRING)
        sx_rest_read_string(json, page, id, NULL);
    else if (sx_json_raw(json, &raw))
        *id = sx_arena_strndup(&page->arena, raw.data, raw.length);
}

/* One point: {"id","score","payload","vector"}. */
static void read_point(sx_qdrant *q, sx_json *json, sx_rest_page *page)
{
    sx_rest_row *row = sx_rest_page_add(page);
    sx_buffer buffer = {0};
    sx_text key;
    char *point = NULL;
    if (!row) {
        sx_json_reject(json, "no memory for it");
        return;
    }
    sx_json_object(json);
    while (sx_json_member(json, &buffer, &key))
        if (sx_text_is(key, "id"))
            read_id(json, page, &point);
        else if (sx_text_is(key, "score"))
            row->has_score = sx_json_number(json, &row->score);
        else if (sx_text_is(key, "payload") && sx_json_peek(json) == SX_JSON_OBJECT)
            sx_rest_read_properties(json, page, row);
        else if (sx_text_is(key, "vector") && sx_json_peek(json) != SX_JSON_NULL)
            read_vector(q, json, page, row);
        else
            sx_json_skip(json);
    sx_buffer_clear(&buffer);
    if (!row->id)
        row->id = point; /* a point of others */
}

static sx_status read_points(sx_qdrant *q, const sx_json *points, bool scored, sx_rest_page *page, sx_error *error)
{
    sx_json json = *points;
    sx_json_array(&json);
    while (sx_json_element(&json))
        read_point(q, &json, page);
    if (json.problem)
        return sx_rest_bad_answer(&q->rest, &json, error);
    for (size_t i = 0; i < page->count; i++) {
        const sx_rest_row *row = &page->rows[i];
        if (!row->id || (scored && !row->has_score))
            return sx_rest_odd_answer(&q->rest, error, "has a point without its %s", row->id ? "score" : "id");
    }
    return SX_OK;
}

sx_status sx_qdrant_query(sx_vector_store *store, const char *collection, const float *vector, uint32_t most,
                          const double *threshold, const sx_vector_filter *filters, size_t filter_count, sx_vector_hit **hits,
                          size_t *count, sx_error *error)
{
    sx_qdrant *q = (sx_qdrant *)store;
    sx_rest_page page = {0};
    sx_buffer *body = &q->rest.body;
    sx_json result, points;
    *hits = NULL;
    *count = 0;
    sx_status status = sx_qdrant_find(q, collection, error);
    if (!status)
        status = sx_rest_check_vector(store->name, vector, q->space.dimensions, error);
    if (status || !most)
        return status;
    bool euclid = strcmp(q->space.similarity, "l2") == 0;
    uint32_t ef = q->space.ef_search ? q->space.ef_search : SX_DEFAULT_EF_SEARCH;
    sx_qdrant_begin(q, q->server_name, "/points/query");
    sx_buffer_append_string(body, "{\"query\":{\"nearest\":");
    sx_json_write_floats(body, vector, q->space.dimensions);
    sx_buffer_append_byte(body, '}');
    if (q->vector)
        sx_rest_write_member(body, "using", q->vector);
    status = write_filter(q, filters, filter_count, error);
    sx_buffer_printf(body, ",\"params\":{\"hnsw_ef\":%u},\"limit\":%u,\"with_vector\":false,\"with_payload\":true",
                     ef > most ? ef : most, most);
    if (threshold) {
        sx_buffer_append_string(body, ",\"score_threshold\":");
        sx_json_write_double(body, euclid ? -*threshold : *threshold);
    }
    sx_buffer_append_byte(body, '}');
    if (!status)
        status = sx_qdrant_call(q, "POST", "query", error);
    if (!status)
        status = sx_rest_result(&q->rest, "result", &result, error);
    if (!status && !sx_rest_find(&result, "points", &points))
        status = sx_rest_odd_answer(&q->rest, error, "has no \"points\"");
    if (!status)
        status = read_points(q, &points, true, &page, error);
    if (!status && page.count > most)
        status = sx_rest_odd_answer(&q->rest, error, "has %zu points where %u were asked for", page.count, most);
    for (size_t i = 0; i < page.count && euclid; i++)
        page.rows[i].score = 0 - page.rows[i].score;
    if (!status)
        status = sx_rest_make_hits(&page, threshold, most, hits, count, error);
    sx_rest_page_clear(&page);
    return status;
}

/* offset: JSON, "" for the start; replaced by that of the next page, "" after the last. */
static sx_status scan_page(sx_qdrant *q, uint32_t most, sx_buffer *offset, sx_vector_visit visit, void *user, sx_error *error)
{
    sx_rest_page page = {0};
    sx_json result, points, next;
    sx_text raw;
    sx_qdrant_begin(q, q->server_name, "/points/scroll");
    sx_buffer_printf(&q->rest.body, "{\"limit\":%u,\"with_payload\":true,\"with_vector\":true", most);
    if (offset->length)
        sx_buffer_printf(&q->rest.body, ",\"offset\":%s", offset->data);
    sx_buffer_append_byte(&q->rest.body, '}');
    sx_status status = sx_qdrant_call(q, "POST", "read", error);
    if (!status)
        status = sx_rest_result(&q->rest, "result", &result, error);
    if (!status && !sx_rest_find(&result, "points", &points))
        status = sx_rest_odd_answer(&q->rest, error, "has no \"points\"");
    if (!status)
        status = read_points(q, &points, false, &page, error);
    for (size_t i = 0; !status && i < page.count; i++) {
        sx_rest_row *row = &page.rows[i];
        if (row->packed.data)
            status = sx_rest_unpack(&q->rest, &page, row, q->space.dimensions, error);
        else if (!row->vector)
            status = sx_rest_odd_answer(&q->rest, error, "has a point %s without its vector", row->id);
    }
    sx_buffer_reset(offset);
    if (!status && sx_rest_find(&result, "next_page_offset", &next) && sx_json_raw(&next, &raw) &&
        !sx_buffer_append(offset, raw.data, raw.length))
        status = sx_fail_nomem(error, raw.length);
    if (!status && offset->length && !page.count)
        status = sx_rest_odd_answer(&q->rest, error, "is an empty page that is not the last");
    if (!status)
        status = sx_rest_visit_page(&page, visit, user, error);
    sx_rest_page_clear(&page);
    return status;
}

sx_status sx_qdrant_scan(sx_vector_store *store, const char *collection, sx_vector_visit visit, void *user, sx_error *error)
{
    sx_qdrant *q = (sx_qdrant *)store;
    sx_buffer offset = {.maximum = 4096};
    sx_status status = sx_qdrant_find(q, collection, error);
    if (status)
        return status;
    uint32_t most = BYTES_OF_PAGE / (BYTES_OF_NUMBER * q->space.dimensions);
    most = most < 1 ? 1 : most > RECORDS_OF_PAGE ? RECORDS_OF_PAGE : most;
    do
        status = scan_page(q, most, &offset, visit, user, error);
    while (!status && offset.length);
    sx_buffer_clear(&offset);
    return status;
}
