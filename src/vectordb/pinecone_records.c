/* pinecone_records.c - records of an index of Pinecone: written, removed, found, listed.
 *
 * A record's id is the UUID of our id; its metadata hold our id, text, document and metadata, and the scalars of the metadata as
 * keys that filters of others can use. They may take 40 KB in all: a record that takes more is refused. Ids are listed in pages
 * and the records fetched by them, as the service has no other way to read all.
 */
#include "pinecone_internal.h"

#include "../base/error.h"
#include "../base/json_writer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_BATCH = 100,
    MOST_BATCH = 1000,
    BYTES_OF_BATCH = 1800000, /* the service takes 2 MB */
    BYTES_OF_METADATA = 40960,
    IDS_OF_PAGE = 100,
    MOST_HITS = 10000,
    FINISH_TRIES = 60
};
static const int64_t finish_wait_ns = 1000000000;

/* ---- Writing ---- */

static bool is_plain_key(sx_text key)
{
    return key.length && key.data[0] != '$' && !(key.length >= 8 && memcmp(key.data, "sextant_", 8) == 0);
}

static bool write_scalar(void *user, const sx_rest_scalar *scalar)
{
    sx_buffer *body = user;
    if (!is_plain_key(scalar->key))
        return true;
    sx_buffer_append_byte(body, ',');
    sx_json_write_string(body, scalar->key.data, scalar->key.length);
    sx_buffer_append_byte(body, ':');
    return sx_rest_write_scalar(body, scalar);
}

static bool write_metadata(sx_buffer *body, const sx_vector_record *record)
{
    sx_buffer_append_byte(body, '{');
    sx_rest_write_member(body, SX_PROPERTY_ID, record->id);
    sx_rest_write_key(body, SX_PROPERTY_TEXT);
    sx_json_write_string(body, record->text.data ? record->text.data : "", record->text.length);
    if (record->document)
        sx_rest_write_member(body, SX_PROPERTY_DOCUMENT, record->document);
    if (record->metadata)
        sx_rest_write_member(body, SX_PROPERTY_METADATA, record->metadata);
    return sx_rest_scalars(record->metadata, write_scalar, body) && sx_buffer_append_byte(body, '}');
}

static sx_status check_sizes(const sx_pinecone *p, const sx_vector_record *records, size_t count, sx_error *error)
{
    sx_buffer scratch = {0};
    sx_status status = SX_OK;
    for (size_t i = 0; !status && i < count; i++) {
        sx_buffer_reset(&scratch);
        if (!write_metadata(&scratch, &records[i]))
            status = sx_fail_nomem(error, scratch.length);
        else if (scratch.length > BYTES_OF_METADATA)
            status = sx_fail(error, SX_E_LIMIT, "%s: record %.200s: its text and metadata take %zu bytes; Pinecone takes %d",
                             p->store.base.name, records[i].id, scratch.length, BYTES_OF_METADATA);
    }
    sx_buffer_clear(&scratch);
    return status;
}

static sx_status send_records(void *user, const sx_vector_record *records, size_t count, sx_error *error)
{
    sx_pinecone *p = user;
    sx_rest *rest = &p->store.rest;
    sx_buffer *body = &rest->body;
    sx_json taken;
    uint64_t number = 0;
    char uuid[SX_REST_UUID_SIZE] = "";
    sx_status status = SX_OK;
    sx_pinecone_begin(p, "/vectors/upsert");
    sx_buffer_append_string(body, "{\"vectors\":[");
    for (size_t i = 0; !status && i < count; i++) {
        status = sx_rest_uuid(records[i].id, uuid, error);
        sx_buffer_printf(body, "%s{\"id\":\"%s\",\"values\":", i ? "," : "", uuid);
        sx_json_write_floats(body, records[i].vector, p->store.space.dimensions);
        sx_buffer_append_string(body, ",\"metadata\":");
        if (!status && !write_metadata(body, &records[i]))
            status = sx_fail_nomem(error, body->length);
        sx_buffer_append_byte(body, '}');
    }
    sx_buffer_append_string(body, "]}");
    if (!status)
        status = sx_pinecone_call(p, "POST", "upsert into", error);
    if (!status)
        status = sx_rest_result(rest, "upsertedCount", &taken, error);
    if (!status && (!sx_json_unsigned(&taken, &number) || number != count))
        status = sx_rest_odd_answer(rest, error, "counts %llu records of %zu", (unsigned long long)number, count);
    if (!status) {
        memcpy(p->last, uuid, sizeof p->last);
        p->written += count;
    }
    return status;
}

sx_status sx_pinecone_upsert(sx_vector_store *store, const char *collection, const sx_vector_record *records, size_t count,
                             sx_error *error)
{
    sx_pinecone *p = (sx_pinecone *)store;
    sx_status status = sx_pinecone_find(p, collection, error);
    if (!status)
        status = sx_rest_store_must_be_ours(&p->store, error);
    if (!status)
        status = sx_rest_check_records(store->name, records, count, p->store.space.dimensions, error);
    if (!status)
        status = check_sizes(p, records, count, error);
    if (status)
        return status;
    size_t most = p->store.rest.batch ? p->store.rest.batch : DEFAULT_BATCH;
    return sx_rest_send_batches(records, count, p->store.space.dimensions, most < MOST_BATCH ? most : MOST_BATCH, BYTES_OF_BATCH,
                                send_records, p, error);
}

/* ---- Fetching ---- */

/* {"id","values","metadata","score"}; values are [] in a match, for which they were not asked for. */
static void read_record(sx_pinecone *p, sx_json *json, bool values, sx_rest_page *page, sx_rest_row *row)
{
    sx_buffer buffer = {0};
    sx_text key;
    char *uuid = NULL;
    sx_json_object(json);
    while (sx_json_member(json, &buffer, &key))
        if (sx_text_is(key, "id"))
            sx_rest_read_string(json, page, &uuid, NULL);
        else if (sx_text_is(key, "score"))
            row->has_score = sx_json_number(json, &row->score);
        else if (values && sx_text_is(key, "values") && sx_json_peek(json) == SX_JSON_ARRAY)
            sx_rest_read_vector(json, page, p->store.space.dimensions, &row->vector);
        else if (sx_text_is(key, "metadata") && sx_json_peek(json) == SX_JSON_OBJECT)
            sx_rest_read_properties(json, page, row);
        else
            sx_json_skip(json);
    sx_buffer_clear(&buffer);
    if (!row->id)
        row->id = uuid; /* a record of others, or one whose metadata were not asked for */
}

/* Fetches records by ids of the service; those that are not there are not in the page. */
static sx_status fetch(sx_pinecone *p, char *const *ids, size_t count, sx_rest_page *page, sx_error *error)
{
    sx_rest *rest = &p->store.rest;
    sx_json vectors;
    sx_buffer buffer = {0};
    sx_text key;
    sx_pinecone_begin(p, "/vectors/fetch");
    for (size_t i = 0; i < count; i++) {
        sx_buffer_append_string(&rest->path, i ? "&ids=" : "?ids=");
        sx_rest_add_segment(rest, ids[i]);
    }
    sx_status status = sx_pinecone_call(p, "GET", "read", error);
    if (!status)
        status = sx_rest_result(rest, "vectors", &vectors, error);
    if (status)
        return status;
    sx_json_object(&vectors);
    while (sx_json_member(&vectors, &buffer, &key)) {
        sx_rest_row *row = sx_rest_page_add(page);
        if (row)
            read_record(p, &vectors, true, page, row);
        else
            sx_json_reject(&vectors, "no memory for it");
    }
    sx_buffer_clear(&buffer);
    if (vectors.problem)
        return sx_rest_bad_answer(rest, &vectors, error);
    return page->count <= count ? SX_OK : sx_rest_odd_answer(rest, error, "has %zu records of %zu", page->count, count);
}

/* The service does not say how many it removed, so those that are there are fetched first. */
static sx_status remove_some(void *user, const char *const *ids, size_t count, uint64_t *removed, sx_error *error)
{
    sx_pinecone *p = user;
    sx_buffer *body = &p->store.rest.body;
    char uuids[IDS_OF_PAGE][SX_REST_UUID_SIZE], *list[IDS_OF_PAGE];
    sx_rest_page page = {0};
    sx_status status = SX_OK;
    for (size_t i = 0; !status && i < count; i++) {
        status = sx_rest_uuid(ids[i], uuids[i], error);
        list[i] = uuids[i];
    }
    if (!status)
        status = fetch(p, list, count, &page, error);
    if (!status && page.count) {
        sx_pinecone_begin(p, "/vectors/delete");
        sx_buffer_append_string(body, "{\"ids\":[");
        for (size_t i = 0; i < count; i++)
            sx_buffer_printf(body, "%s\"%s\"", i ? "," : "", uuids[i]);
        sx_buffer_append_string(body, "]}");
        status = sx_pinecone_call(p, "POST", "remove from", error);
    }
    if (!status)
        *removed += page.count;
    sx_rest_page_clear(&page);
    return status;
}

sx_status sx_pinecone_remove(sx_vector_store *store, const char *collection, const char *const *ids, size_t count,
                             uint64_t *removed, sx_error *error)
{
    sx_pinecone *p = (sx_pinecone *)store;
    if (removed)
        *removed = 0;
    sx_status status = sx_pinecone_find(p, collection, error);
    if (!status)
        status = sx_rest_store_must_be_ours(&p->store, error);
    return status ? status : sx_rest_remove_batches(ids, count, IDS_OF_PAGE, remove_some, p, removed, error);
}

/* ---- Finding ---- */

static sx_status write_filter(sx_pinecone *p, const sx_vector_filter *filters, size_t count, sx_error *error)
{
    sx_buffer *body = &p->store.rest.body;
    if (!count)
        return SX_OK;
    sx_buffer_append_string(body, ",\"filter\":{\"$and\":[");
    for (size_t i = 0; i < count; i++) {
        sx_rest_scalar scalar;
        sx_status status = sx_rest_filter_scalar(&filters[i], &scalar, error);
        if (!status && !sx_text_is(scalar.key, SX_PROPERTY_DOCUMENT) && !is_plain_key(scalar.key))
            status = sx_fail(error, SX_E_UNSUPPORTED, "%s: Pinecone has no filter by a key like \"%s\"", p->store.base.name,
                             filters[i].key);
        if (status)
            return status;
        sx_buffer_append_string(body, i ? ",{" : "{");
        sx_json_write_string(body, scalar.key.data, scalar.key.length);
        sx_buffer_append_string(body, ":{\"$eq\":");
        sx_rest_write_scalar(body, &scalar);
        sx_buffer_append_string(body, "}}");
    }
    sx_buffer_append_string(body, "]}");
    return SX_OK;
}

/* Text and metadata of many hits, which one answer would be too small for. rows[i]: of the hit i, whose id is that of the
 * service. */
static sx_status fetch_hits(sx_pinecone *p, sx_rest_page *hits, sx_error *error)
{
    sx_status status = SX_OK;
    char **ids = sx_calloc(hits->count ? hits->count : 1, sizeof *ids);
    if (!ids)
        return sx_fail_nomem(error, hits->count * sizeof *ids);
    for (size_t i = 0; i < hits->count; i++)
        ids[i] = hits->rows[i].id;
    size_t kept = 0;
    for (size_t at = 0; !status && at < hits->count; at += IDS_OF_PAGE) {
        sx_rest_page page = {0};
        size_t count = hits->count - at < IDS_OF_PAGE ? hits->count - at : IDS_OF_PAGE;
        status = fetch(p, ids + at, count, &page, error);
        for (size_t i = at; !status && i < at + count; i++)
            for (size_t r = 0; r < page.count; r++) {
                const sx_rest_row *row = &page.rows[r];
                char uuid[SX_REST_UUID_SIZE];
                if (sx_rest_uuid(row->id, uuid, NULL) || (strcmp(uuid, ids[i]) != 0 && strcmp(row->id, ids[i]) != 0))
                    continue;
                sx_rest_row *to = &hits->rows[kept++];
                *to = (sx_rest_row){.score = hits->rows[i].score};
                to->id = sx_arena_strndup(&hits->arena, row->id, strlen(row->id));
                to->document = row->document ? sx_arena_strndup(&hits->arena, row->document, strlen(row->document)) : NULL;
                to->metadata = row->metadata ? sx_arena_strndup(&hits->arena, row->metadata, strlen(row->metadata)) : NULL;
                to->text.data = sx_arena_strndup(&hits->arena, row->text.data ? row->text.data : "", row->text.length);
                to->text.length = row->text.length;
                if (!to->id || !to->text.data || (row->document && !to->document) || (row->metadata && !to->metadata))
                    status = sx_fail_nomem(error, row->text.length);
                break;
            }
        sx_rest_page_clear(&page);
    }
    free(ids);
    hits->count = kept; /* one that was removed in this moment is no hit */
    return status;
}

sx_status sx_pinecone_query(sx_vector_store *store, const char *collection, const float *vector, uint32_t most,
                            const double *threshold, const sx_vector_filter *filters, size_t filter_count, sx_vector_hit **hits,
                            size_t *count, sx_error *error)
{
    sx_pinecone *p = (sx_pinecone *)store;
    sx_rest *rest = &p->store.rest;
    sx_rest_page page = {0};
    sx_json matches;
    *hits = NULL;
    *count = 0;
    sx_status status = sx_pinecone_find(p, collection, error);
    if (!status)
        status = sx_rest_check_vector(store->name, vector, p->store.space.dimensions, error);
    if (status || !most)
        return status;
    uint32_t limit = most < MOST_HITS ? most : MOST_HITS;
    sx_pinecone_begin(p, "/query");
    sx_buffer_append_string(&rest->body, "{\"vector\":");
    sx_json_write_floats(&rest->body, vector, p->store.space.dimensions);
    sx_buffer_printf(&rest->body, ",\"topK\":%u,\"includeValues\":false,\"includeMetadata\":%s", limit,
                     limit <= IDS_OF_PAGE ? "true" : "false");
    status = write_filter(p, filters, filter_count, error);
    sx_buffer_append_byte(&rest->body, '}');
    if (!status)
        status = sx_pinecone_call(p, "POST", "query", error);
    if (!status)
        status = sx_rest_result(rest, "matches", &matches, error);
    if (!status)
        for (sx_json_array(&matches); sx_json_element(&matches);) {
            sx_rest_row *row = sx_rest_page_add(&page);
            if (row)
                read_record(p, &matches, false, &page, row);
            else
                sx_json_reject(&matches, "no memory for it");
        }
    if (!status && matches.problem)
        status = sx_rest_bad_answer(rest, &matches, error);
    for (size_t i = 0; !status && i < page.count; i++) {
        sx_rest_row *row = &page.rows[i];
        if (!row->id || !row->has_score)
            status = sx_rest_odd_answer(rest, error, "has a match without its %s", row->id ? "score" : "id");
        if (strcmp(p->store.space.similarity, "l2") == 0) /* the square of the distance */
            row->score = -sqrt(row->score > 0 ? row->score : 0);
    }
    if (!status && page.count > limit)
        status = sx_rest_odd_answer(rest, error, "has %zu matches where %u were asked for", page.count, limit);
    if (!status && limit > IDS_OF_PAGE)
        status = fetch_hits(p, &page, error);
    if (!status)
        status = sx_rest_make_hits(&page, threshold, most, hits, count, error);
    sx_rest_page_clear(&page);
    return status;
}

/* ---- Listing ---- */

/* One page of ids: *token is that of the next page, NULL after the last. ids: malloc'ed strings. */
static sx_status list_ids(sx_pinecone *p, char **token, char *ids[IDS_OF_PAGE], size_t *count, sx_error *error)
{
    sx_rest *rest = &p->store.rest;
    sx_json vectors, root, pagination;
    *count = 0;
    sx_pinecone_begin(p, "/vectors/list");
    sx_buffer_printf(&rest->path, "?limit=%d", IDS_OF_PAGE);
    if (*token) {
        sx_buffer_append_string(&rest->path, "&paginationToken=");
        sx_rest_add_segment(rest, *token);
    }
    sx_status status = sx_pinecone_call(p, "GET", "list", error);
    if (!status)
        status = sx_rest_result(rest, "vectors", &vectors, error);
    if (status)
        return status;
    for (sx_json_array(&vectors); sx_json_element(&vectors); sx_json_skip(&vectors)) {
        char *id = *count < IDS_OF_PAGE ? sx_rest_find_string(&vectors, "id") : NULL;
        if (!id)
            return sx_rest_odd_answer(rest, error, "has more than %d ids, or one that is missing", IDS_OF_PAGE);
        ids[(*count)++] = id;
    }
    free(*token);
    *token = NULL;
    sx_rest_read(rest, &root);
    if (sx_rest_find(&root, "pagination", &pagination))
        *token = sx_rest_find_string(&pagination, "next");
    if (*token && !**token) {
        free(*token);
        *token = NULL;
    }
    return SX_OK;
}

sx_status sx_pinecone_scan(sx_vector_store *store, const char *collection, sx_vector_visit visit, void *user, sx_error *error)
{
    sx_pinecone *p = (sx_pinecone *)store;
    char *token = NULL, *ids[IDS_OF_PAGE];
    sx_status status = sx_pinecone_find(p, collection, error);
    if (status)
        return status;
    do {
        sx_rest_page page = {0};
        size_t count = 0;
        status = list_ids(p, &token, ids, &count, error);
        if (!status && count)
            status = fetch(p, ids, count, &page, error);
        for (size_t i = 0; !status && i < page.count; i++)
            if (!page.rows[i].id || !page.rows[i].vector)
                status = sx_rest_odd_answer(&p->store.rest, error, "has a record without its id or values");
        if (!status)
            status = sx_rest_visit_page(&page, visit, user, error);
        sx_rest_page_clear(&page);
        while (count)
            free(ids[--count]);
    } while (!status && token);
    free(token);
    return status;
}

/* ---- What is there ---- */

sx_status sx_pinecone_count(sx_pinecone *p, uint64_t *count, sx_error *error)
{
    sx_json value;
    sx_pinecone_begin(p, "/describe_index_stats");
    sx_buffer_append_string(&p->store.rest.body, "{}");
    sx_status status = sx_pinecone_call(p, "POST", "count", error);
    if (!status)
        status = sx_rest_result(&p->store.rest, "totalVectorCount", &value, error);
    if (!status && !sx_json_unsigned(&value, count))
        status = sx_rest_odd_answer(&p->store.rest, error, "has a \"totalVectorCount\" that is no number");
    return status;
}

sx_status sx_pinecone_finish(sx_vector_store *store, const char *collection, sx_error *error)
{
    sx_pinecone *p = (sx_pinecone *)store;
    sx_rest *rest = &p->store.rest;
    uint64_t before = UINT64_MAX, count = 0;
    sx_status status = sx_pinecone_find(p, collection, error);
    bool seen = !p->last[0], done = false;
    for (int tries = 0; !status && !done && tries < FINISH_TRIES; tries++) {
        char *last = p->last;
        sx_rest_page page = {0};
        if (tries)
            rest->clock.sleep_ns(finish_wait_ns, rest->clock.user);
        if (!seen)
            status = fetch(p, &last, 1, &page, error);
        seen |= page.count == 1;
        sx_rest_page_clear(&page);
        if (!status && seen)
            status = sx_pinecone_count(p, &count, error);
        done = seen && (count >= p->written || count == before);
        before = seen ? count : UINT64_MAX;
    }
    if (!status && !done)
        status = sx_fail(error, SX_E_BUSY, "%s: collection %s: what was written cannot be read after %d s", store->name,
                         collection, FINISH_TRIES);
    return status;
}
