/* weaviate_records.c - objects of a class of Weaviate: written in batches, removed, found by GraphQL, listed by UUID.
 *
 * What an object holds is said in weaviate.c. A batch is answered object by object, and each answer is looked at. Lists are read
 * with a cursor over the UUIDs, so what others write meanwhile moves nothing.
 */
#include "weaviate_internal.h"

#include "../base/error.h"
#include "../base/json_writer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_BATCH = 100,
    BYTES_OF_BATCH = 16 << 20,
    RECORDS_OF_PAGE = 1000,
    BYTES_OF_NUMBER = 14,
    MOST_HITS = 10000 /* that the server gives for a query, unless it is set otherwise */
};

/* ---- Writing ---- */

static sx_status write_object(sx_weaviate *w, const sx_vector_record *record, sx_error *error)
{
    sx_buffer *body = &w->store.rest.body;
    char uuid[SX_REST_UUID_SIZE];
    sx_status status = sx_rest_uuid(record->id, uuid, error);
    if (status)
        return status;
    sx_buffer_printf(body, "{\"class\":\"%s\",\"id\":\"%s\",\"vector\":", w->store.server_name, uuid);
    sx_json_write_floats(body, record->vector, w->store.space.dimensions);
    sx_buffer_append_string(body, ",\"properties\":{");
    sx_rest_write_member(body, SX_PROPERTY_ID, record->id);
    sx_rest_write_key(body, SX_PROPERTY_TEXT);
    sx_json_write_string(body, record->text.data ? record->text.data : "", record->text.length);
    if (record->document)
        sx_rest_write_member(body, SX_PROPERTY_DOCUMENT, record->document);
    if (record->metadata)
        sx_rest_write_member(body, SX_PROPERTY_METADATA, record->metadata);
    sx_rest_write_key(body, SX_PROPERTY_FILTERS);
    bool written = sx_rest_write_tokens(body, record, false);
    return sx_buffer_append_string(body, "}}") && written ? SX_OK : sx_fail_nomem(error, body->length);
}

/* [{"id","result":{"status":"SUCCESS"}}], in the order of the request, or {"errors":{"error":[{"message"}]},"status":"FAILED"}.
 */
static sx_status check_written(sx_weaviate *w, const sx_vector_record *records, size_t count, sx_error *error)
{
    sx_rest *rest = &w->store.rest;
    sx_json json, result, problems, list;
    size_t seen = 0;
    sx_rest_read(rest, &json);
    sx_json_skip(&json);
    sx_json_end(&json);
    if (json.problem)
        return sx_rest_bad_answer(rest, &json, error);
    sx_rest_read(rest, &json);
    sx_json_array(&json);
    for (; sx_json_element(&json); seen++) {
        bool answered = sx_rest_find(&json, "result", &result);
        char *status = answered ? sx_rest_find_string(&result, "status") : NULL;
        bool done = status && strcmp(status, "SUCCESS") == 0;
        free(status);
        if (!done) {
            char *said = NULL;
            if (answered && sx_rest_find(&result, "errors", &problems) && sx_rest_find(&problems, "error", &list) &&
                sx_json_array(&list) && sx_json_element(&list))
                said = sx_rest_find_string(&list, "message");
            sx_status code = sx_rest_odd_answer(rest, error, "says that record %s was not taken: %s",
                                                seen < count ? records[seen].id : "?", said ? said : "(nothing)");
            free(said);
            return code;
        }
        sx_json_skip(&json);
    }
    return seen == count ? SX_OK : sx_rest_odd_answer(rest, error, "is about %zu records, not %zu", seen, count);
}

static sx_status send_records(void *user, const sx_vector_record *records, size_t count, sx_error *error)
{
    sx_weaviate *w = user;
    sx_buffer *body = &w->store.rest.body;
    sx_weaviate_begin(w, "batch/objects");
    sx_buffer_append_string(body, "{\"objects\":[");
    for (size_t i = 0; i < count; i++) {
        if (i)
            sx_buffer_append_byte(body, ',');
        sx_status status = write_object(w, &records[i], error);
        if (status)
            return status;
    }
    sx_buffer_append_string(body, "]}");
    sx_status status = sx_rest_call(&w->store.rest, "POST", "upsert into", w->store.known, error);
    return status ? status : check_written(w, records, count, error);
}

sx_status sx_weaviate_upsert(sx_vector_store *store, const char *collection, const sx_vector_record *records, size_t count,
                             sx_error *error)
{
    sx_weaviate *w = (sx_weaviate *)store;
    sx_rest_store_forget(&w->store); /* a batch for a class that is gone would make another one */
    sx_status status = sx_weaviate_find(w, collection, error);
    if (!status)
        status = sx_rest_store_must_be_ours(&w->store, error);
    if (!status)
        status = sx_rest_check_records(store->name, records, count, w->store.space.dimensions, error);
    if (status)
        return status;
    size_t most = w->store.rest.batch ? w->store.rest.batch : DEFAULT_BATCH;
    return sx_rest_send_batches(records, count, w->store.space.dimensions, most, BYTES_OF_BATCH, send_records, w, error);
}

/* "UUID","UUID" */
static sx_status write_uuids(sx_buffer *to, const char *const *ids, size_t count, sx_error *error)
{
    sx_status status = SX_OK;
    for (size_t i = 0; !status && i < count; i++) {
        char uuid[SX_REST_UUID_SIZE];
        status = sx_rest_uuid(ids[i], uuid, error);
        if (!status && !sx_buffer_printf(to, "%s\"%s\"", i ? "," : "", uuid))
            status = sx_fail_nomem(error, to->length);
    }
    return status;
}

/* How many were removed is counted before, since a deletion that is sent twice counts only its second time. */
static sx_status remove_some(void *user, const char *const *ids, size_t count, uint64_t *removed, sx_error *error)
{
    sx_weaviate *w = user;
    sx_rest *rest = &w->store.rest;
    sx_json found, results;
    uint64_t present = 0, failed = 0;
    sx_buffer_reset(&w->graph);
    sx_buffer_printf(&w->graph, "{Get{%s(limit:%zu,where:{path:[\"id\"],operator:ContainsAny,valueText:[", w->store.server_name,
                     count);
    sx_status status = write_uuids(&w->graph, ids, count, error);
    sx_buffer_append_string(&w->graph, "]}){_additional{id}}}}");
    if (!status)
        status = sx_weaviate_ask(w, "Get", "look for records in", &found, error);
    if (status)
        return status;
    for (sx_json_array(&found); sx_json_element(&found); present++)
        sx_json_skip(&found);
    if (!present)
        return SX_OK;
    sx_weaviate_begin(w, "batch/objects");
    sx_buffer_printf(&rest->body,
                     "{\"output\":\"minimal\",\"match\":{\"class\":\"%s\",\"where\":{\"path\":[\"id\"],"
                     "\"operator\":\"ContainsAny\",\"valueTextArray\":[",
                     w->store.server_name);
    status = write_uuids(&rest->body, ids, count, error);
    sx_buffer_append_string(&rest->body, "]}}}");
    if (!status)
        status = sx_rest_call(rest, "DELETE", "remove from", w->store.known, error);
    if (!status)
        status = sx_rest_result(rest, "results", &results, error);
    if (!status && (!sx_rest_find_count(&results, "failed", &failed) || failed))
        status = sx_rest_odd_answer(rest, error, "says that %llu records could not be removed", (unsigned long long)failed);
    if (!status)
        *removed += present;
    return status;
}

sx_status sx_weaviate_remove(sx_vector_store *store, const char *collection, const char *const *ids, size_t count,
                             uint64_t *removed, sx_error *error)
{
    sx_weaviate *w = (sx_weaviate *)store;
    if (removed)
        *removed = 0;
    sx_status status = sx_weaviate_find(w, collection, error);
    if (!status)
        status = sx_rest_store_must_be_ours(&w->store, error);
    return status ? status : sx_rest_remove_batches(ids, count, RECORDS_OF_PAGE, remove_some, w, removed, error);
}

/* ---- Reading ---- */

static sx_status write_where(sx_weaviate *w, const sx_vector_filter *filters, size_t count, sx_error *error)
{
    sx_buffer token = {0};
    sx_status status = SX_OK;
    if (!count)
        return SX_OK;
    if (!w->store.ours)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: collection %s was not made by Sextant and has nothing to filter by",
                       w->store.base.name, w->store.known);
    sx_buffer_append_string(&w->graph, ",where:{operator:And,operands:[");
    for (size_t i = 0; !status && i < count; i++) {
        status = sx_rest_filter_token(&filters[i], false, &token, error);
        if (status)
            break;
        sx_buffer_printf(&w->graph, "%s{path:[\"" SX_PROPERTY_FILTERS "\"],operator:Equal,valueText:", i ? "," : "");
        sx_json_write_string(&w->graph, token.data, token.length);
        sx_buffer_append_byte(&w->graph, '}');
    }
    sx_buffer_append_string(&w->graph, "]}");
    sx_buffer_clear(&token);
    return status;
}

static double similarity_of(const sx_weaviate *w, double distance)
{
    const char *kind = w->store.space.similarity;
    return strcmp(kind, "dot") == 0 ? 0 - distance : strcmp(kind, "l2") == 0 ? -sqrt(distance > 0 ? distance : 0) : 1 - distance;
}

/* One object of a list that GraphQL gives: properties, and {"_additional":{"id","distance"}} among them. */
static sx_status read_hit(sx_weaviate *w, sx_json *json, sx_rest_page *page, sx_error *error)
{
    sx_rest_row *row = sx_rest_page_add(page);
    sx_json additional, distance, id;
    if (!row)
        return sx_fail_nomem(error, sizeof *row);
    if (sx_rest_find(json, "_additional", &additional) && sx_rest_find(&additional, "id", &id) &&
        sx_rest_find(&additional, "distance", &distance) && sx_json_number(&distance, &row->score))
        row->has_score = sx_rest_read_string(&id, page, &row->id, NULL);
    if (!row->has_score)
        return sx_rest_odd_answer(&w->store.rest, error, "has an object without its id or distance");
    row->score = similarity_of(w, row->score);
    if (w->store.ours)
        sx_rest_read_properties(json, page, row); /* with our id */
    else
        sx_json_skip(json);
    return SX_OK;
}

static sx_status read_object(sx_weaviate *w, sx_json *json, sx_rest_page *page, sx_rest_row *row)
{
    sx_buffer buffer = {0};
    sx_text key;
    char *uuid = NULL;
    sx_json_object(json);
    while (sx_json_member(json, &buffer, &key))
        if (sx_text_is(key, "id"))
            sx_rest_read_string(json, page, &uuid, NULL);
        else if (sx_text_is(key, "vector") && sx_json_peek(json) == SX_JSON_ARRAY)
            sx_rest_read_vector(json, page, w->store.space.dimensions, &row->vector);
        else if (sx_text_is(key, "properties") && sx_json_peek(json) == SX_JSON_OBJECT)
            sx_rest_read_properties(json, page, row);
        else
            sx_json_skip(json);
    sx_buffer_clear(&buffer);
    if (!row->id)
        row->id = uuid; /* an object of others */
    return json->problem ? SX_E_FORMAT : SX_OK;
}

/* What the hits of a class of others hold: GraphQL would want the names of its properties. */
static sx_status fetch_rows(sx_weaviate *w, sx_rest_page *page, sx_error *error)
{
    sx_status status = SX_OK;
    for (size_t i = 0; !status && i < page->count; i++) {
        sx_json json;
        sx_weaviate_begin(w, "objects/");
        sx_buffer_printf(&w->store.rest.path, "%s/", w->store.server_name);
        sx_rest_add_segment(&w->store.rest, page->rows[i].id);
        status = sx_rest_call(&w->store.rest, "GET", "read from", w->store.known, error);
        if (status)
            break;
        sx_rest_read(&w->store.rest, &json);
        if (read_object(w, &json, page, &page->rows[i]))
            status = sx_rest_bad_answer(&w->store.rest, &json, error);
    }
    return status;
}

static sx_status search(sx_weaviate *w, const float *vector, uint32_t most, const sx_vector_filter *filters, size_t filter_count,
                        sx_rest_page *page, sx_error *error)
{
    sx_json found;
    sx_buffer_reset(&w->graph);
    sx_buffer_printf(&w->graph, "{Get{%s(limit:%u,nearVector:{vector:", w->store.server_name, most);
    sx_json_write_floats(&w->graph, vector, w->store.space.dimensions);
    sx_buffer_append_byte(&w->graph, '}');
    sx_status status = write_where(w, filters, filter_count, error);
    sx_buffer_append_string(&w->graph, w->store.ours ? "){" SX_PROPERTY_ID " " SX_PROPERTY_TEXT " " SX_PROPERTY_DOCUMENT
                                                       " " SX_PROPERTY_METADATA " _additional{id distance}}}}"
                                                     : "){_additional{id distance}}}}");
    if (!status)
        status = sx_weaviate_ask(w, "Get", "query", &found, error);
    if (!status)
        for (sx_json_array(&found); !status && sx_json_element(&found);)
            status = read_hit(w, &found, page, error);
    if (!status && page->count > most)
        status = sx_rest_odd_answer(&w->store.rest, error, "has %zu objects where %u were asked for", page->count, most);
    return status;
}

/* An object that is replaced in the moment between the search and the reading of what was found is missing from the answer. So a
 * short one is asked for again, with more to choose from, until it is long enough or no longer grows. */
sx_status sx_weaviate_query(sx_vector_store *store, const char *collection, const float *vector, uint32_t most,
                            const double *threshold, const sx_vector_filter *filters, size_t filter_count, sx_vector_hit **hits,
                            size_t *count, sx_error *error)
{
    sx_weaviate *w = (sx_weaviate *)store;
    sx_rest_page page = {0};
    *hits = NULL;
    *count = 0;
    sx_status status = sx_weaviate_find(w, collection, error);
    if (!status)
        status = sx_rest_check_vector(store->name, vector, w->store.space.dimensions, error);
    for (uint32_t asked = most, tries = 0; !status && most; tries++) {
        size_t before = page.count;
        sx_rest_page_clear(&page);
        status = search(w, vector, asked, filters, filter_count, &page, error);
        if (page.count >= most || (tries && page.count <= before) || asked >= MOST_HITS)
            break;
        asked += asked < 100 ? 100 : asked / 2;
        asked = asked < MOST_HITS ? asked : MOST_HITS;
    }
    if (page.count > most)
        page.count = most;
    if (!status && !w->store.ours)
        status = fetch_rows(w, &page, error);
    if (!status)
        status = sx_rest_make_hits(&page, threshold, most, hits, count, error);
    sx_rest_page_clear(&page);
    return status;
}

/* after: the UUID of the last object that was read, "" at first; "" again after the last page. */
static sx_status scan_page(sx_weaviate *w, uint32_t most, char after[SX_REST_UUID_SIZE], sx_vector_visit visit, void *user,
                           sx_error *error)
{
    sx_rest *rest = &w->store.rest;
    sx_rest_page page = {0};
    sx_json objects, id;
    sx_buffer buffer = {0};
    sx_text uuid = {0};
    sx_weaviate_begin(w, "objects?include=vector&class=");
    sx_buffer_printf(&rest->path, "%s&limit=%u&after=%s", w->store.server_name, most, after);
    sx_status status = sx_rest_call(rest, "GET", "read", w->store.known, error);
    if (!status)
        status = sx_rest_result(rest, "objects", &objects, error);
    if (status)
        return status;
    sx_json_array(&objects);
    while (!status && sx_json_element(&objects)) {
        sx_rest_row *row = sx_rest_page_add(&page);
        if (!row) {
            status = sx_fail_nomem(error, sizeof *row);
            break;
        }
        uuid.length = 0;
        if (sx_rest_find(&objects, "id", &id) && sx_json_peek(&id) == SX_JSON_STRING)
            sx_json_string(&id, &buffer, &uuid);
        if (uuid.length != SX_REST_UUID_SIZE - 1)
            status = sx_rest_odd_answer(rest, error, "has an object whose id is no UUID");
        else if (read_object(w, &objects, &page, row))
            status = sx_rest_bad_answer(rest, &objects, error);
        else if (!row->vector)
            status = sx_rest_odd_answer(rest, error, "has an object %s without its vector", row->id);
    }
    if (!status && page.count > most)
        status = sx_rest_odd_answer(rest, error, "has %zu objects where %u were asked for", page.count, most);
    after[0] = '\0';
    if (!status && page.count) {
        memcpy(after, uuid.data, uuid.length);
        after[uuid.length] = '\0';
    }
    if (!status)
        status = sx_rest_visit_page(&page, visit, user, error);
    sx_buffer_clear(&buffer);
    sx_rest_page_clear(&page);
    return status;
}

sx_status sx_weaviate_scan(sx_vector_store *store, const char *collection, sx_vector_visit visit, void *user, sx_error *error)
{
    sx_weaviate *w = (sx_weaviate *)store;
    char after[SX_REST_UUID_SIZE] = "";
    sx_rest_store_forget(&w->store);
    sx_status status = sx_weaviate_find(w, collection, error);
    if (status)
        return status;
    uint32_t most = sx_rest_records_of_page(w->store.space.dimensions, BYTES_OF_NUMBER, RECORDS_OF_PAGE);
    do
        status = scan_page(w, most, after, visit, user, error);
    while (!status && after[0]);
    return status;
}
