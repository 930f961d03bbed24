/* milvus_records.c - entities of a collection of Milvus: written, removed, found, listed.
 *
 * What an entity holds is said in milvus.c. A query gives at most so many entities and in no promised order, so a list is read by
 * prefixes of the primary key, which is a UUID: where a prefix has as many as were asked for, its 16 longer ones are read
 * instead.
 */
#include "milvus_internal.h"

#include "../base/error.h"
#include "../base/json_writer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    DEFAULT_BATCH = 256,
    BYTES_OF_BATCH = 16 << 20, /* the server's own limit is 64 MB */
    RECORDS_OF_PAGE = 1000,
    BYTES_OF_NUMBER = 14,
    MOST_HITS = 16384, /* that the server gives for one request */
    LONGEST_PREFIX = 8 /* hexadecimal digits before the UUID's first dash */
};

/* ---- Writing ---- */

static sx_status check_lengths(const sx_rest_store *milvus, const sx_vector_record *records, size_t count, sx_error *error)
{
    for (size_t i = 0; i < count; i++) {
        const sx_vector_record *record = &records[i];
        const struct {
            const char *what;
            size_t length;
        } parts[] = {
            {"id", strlen(record->id)},
            {"text", record->text.length},
            {"document", record->document ? strlen(record->document) : 0},
            {"metadata", record->metadata ? strlen(record->metadata) : 0},
        };
        for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
            if (parts[p].length > SX_MILVUS_LONGEST_TEXT)
                return sx_fail(error, SX_E_LIMIT, "%s: record %.200s: its %s has %zu bytes; Milvus takes %d", milvus->base.name,
                               record->id, parts[p].what, parts[p].length, SX_MILVUS_LONGEST_TEXT);
    }
    return SX_OK;
}

static sx_status write_entity(sx_rest_store *milvus, const sx_vector_record *record, sx_error *error)
{
    sx_buffer *body = &milvus->rest.body;
    char uuid[SX_REST_UUID_SIZE];
    sx_status status = sx_rest_uuid(record->id, uuid, error);
    if (status)
        return status;
    sx_buffer_printf(body, "{\"" SX_MILVUS_PRIMARY "\":\"%s\",\"" SX_MILVUS_VECTOR "\":", uuid);
    sx_json_write_floats(body, record->vector, milvus->space.dimensions);
    sx_rest_write_member(body, SX_PROPERTY_ID, record->id);
    sx_rest_write_key(body, SX_PROPERTY_TEXT);
    sx_json_write_string(body, record->text.data ? record->text.data : "", record->text.length);
    sx_rest_write_member(body, SX_PROPERTY_DOCUMENT, record->document ? record->document : "");
    sx_rest_write_member(body, SX_PROPERTY_METADATA, record->metadata ? record->metadata : "");
    sx_rest_write_key(body, SX_PROPERTY_FILTERS);
    bool written = sx_rest_write_tokens(body, record, true);
    return sx_buffer_append_byte(body, '}') && written ? SX_OK : sx_fail_nomem(error, body->length);
}

static sx_status send_records(void *user, const sx_vector_record *records, size_t count, sx_error *error)
{
    sx_rest_store *milvus = user;
    sx_json data;
    uint64_t taken = 0;
    sx_milvus_begin(milvus, "entities/upsert", milvus->server_name);
    sx_rest_write_key(&milvus->rest.body, "data");
    sx_buffer_append_byte(&milvus->rest.body, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            sx_buffer_append_byte(&milvus->rest.body, ',');
        sx_status status = write_entity(milvus, &records[i], error);
        if (status)
            return status;
    }
    sx_buffer_append_byte(&milvus->rest.body, ']');
    sx_status status = sx_milvus_call(milvus, "upsert into", &data, error);
    if (!status && (!sx_rest_find_count(&data, "upsertCount", &taken) || taken != count))
        status = sx_rest_odd_answer(&milvus->rest, error, "counts %llu records of %zu", (unsigned long long)taken, count);
    return status;
}

sx_status sx_milvus_upsert(sx_vector_store *store, const char *collection, const sx_vector_record *records, size_t count,
                           sx_error *error)
{
    sx_rest_store *milvus = (sx_rest_store *)store;
    sx_status status = sx_milvus_find(milvus, collection, error);
    if (!status)
        status = sx_rest_check_records(store->name, records, count, milvus->space.dimensions, error);
    if (!status)
        status = check_lengths(milvus, records, count, error);
    if (status)
        return status;
    size_t most = milvus->rest.batch ? milvus->rest.batch : DEFAULT_BATCH;
    return sx_rest_send_batches(records, count, milvus->space.dimensions, most, BYTES_OF_BATCH, send_records, milvus, error);
}

/* The server does not say how many it removed, so those that are there are counted first. */
static sx_status remove_some(void *user, const char *const *ids, size_t count, uint64_t *removed, sx_error *error)
{
    sx_rest_store *milvus = user;
    sx_buffer filter = {0};
    sx_json data;
    uint64_t present = 0;
    sx_status status = SX_OK;
    sx_buffer_append_string(&filter, SX_MILVUS_PRIMARY " in [");
    for (size_t i = 0; !status && i < count; i++) {
        char uuid[SX_REST_UUID_SIZE];
        status = sx_rest_uuid(ids[i], uuid, error);
        sx_buffer_printf(&filter, "%s\"%s\"", i ? "," : "", uuid);
    }
    if (!sx_buffer_append_byte(&filter, ']') && !status)
        status = sx_fail_nomem(error, filter.length);
    if (!status)
        status = sx_milvus_count(milvus, filter.data, &present, error);
    if (!status && present) {
        sx_milvus_begin(milvus, "entities/delete", milvus->server_name);
        sx_rest_write_member(&milvus->rest.body, "filter", filter.data);
        status = sx_milvus_call(milvus, "remove from", &data, error);
    }
    sx_buffer_clear(&filter);
    if (!status)
        *removed += present;
    return status;
}

sx_status sx_milvus_remove(sx_vector_store *store, const char *collection, const char *const *ids, size_t count,
                           uint64_t *removed, sx_error *error)
{
    sx_rest_store *milvus = (sx_rest_store *)store;
    if (removed)
        *removed = 0;
    sx_status status = sx_milvus_find(milvus, collection, error);
    return status ? status : sx_rest_remove_batches(ids, count, RECORDS_OF_PAGE, remove_some, milvus, removed, error);
}

/* ---- Reading ---- */

static const char properties[] =
    "\"" SX_PROPERTY_ID "\",\"" SX_PROPERTY_TEXT "\",\"" SX_PROPERTY_DOCUMENT "\",\"" SX_PROPERTY_METADATA "\"";

static sx_status read_row(sx_rest_store *milvus, sx_json *json, bool scored, sx_rest_page *page, sx_error *error)
{
    sx_rest_row *row = sx_rest_page_add(page);
    sx_json value;
    if (!row)
        return sx_fail_nomem(error, sizeof *row);
    if (scored)
        row->has_score = sx_rest_find(json, "distance", &value) && sx_json_number(&value, &row->score);
    else if (sx_rest_find(json, SX_MILVUS_VECTOR, &value) &&
             !sx_rest_read_vector(&value, page, milvus->space.dimensions, &row->vector))
        return sx_rest_bad_answer(&milvus->rest, &value, error);
    sx_rest_read_properties(json, page, row);
    if (json->problem)
        return sx_rest_bad_answer(&milvus->rest, json, error);
    if (!row->id || (scored ? !row->has_score : !row->vector))
        return sx_rest_odd_answer(&milvus->rest, error, "has an entity without its %s",
                                  !row->id ? SX_PROPERTY_ID
                                  : scored ? "distance"
                                           : "vector");
    row->document = row->document && *row->document ? row->document : NULL;
    row->metadata = row->metadata && *row->metadata ? row->metadata : NULL;
    if (strcmp(milvus->space.similarity, "l2") == 0) /* else higher is nearer there too */
        row->score = -sqrt(row->score > 0 ? row->score : 0);
    return SX_OK;
}

static sx_status read_rows(sx_rest_store *milvus, sx_json *data, bool scored, uint32_t most, sx_rest_page *page, sx_error *error)
{
    sx_status status = SX_OK;
    if (sx_json_peek(data) != SX_JSON_ARRAY)
        return sx_rest_odd_answer(&milvus->rest, error, "is no list of entities");
    for (sx_json_array(data); !status && sx_json_element(data);)
        status = read_row(milvus, data, scored, page, error);
    if (!status && page->count > most)
        status = sx_rest_odd_answer(&milvus->rest, error, "has %zu entities where %u were asked for", page->count, most);
    return status;
}

static sx_status write_filter(sx_rest_store *milvus, const sx_vector_filter *filters, size_t count, sx_error *error)
{
    sx_buffer token = {0}, expression = {0};
    sx_status status = SX_OK;
    for (size_t i = 0; !status && i < count; i++) {
        status = sx_rest_filter_token(&filters[i], true, &token, error);
        if (!status &&
            !sx_buffer_printf(&expression, "%sarray_contains(" SX_PROPERTY_FILTERS ", \"%s\")", i ? " and " : "", token.data))
            status = sx_fail_nomem(error, expression.length);
    }
    if (!status && count)
        sx_rest_write_member(&milvus->rest.body, "filter", expression.data);
    sx_buffer_clear(&token);
    sx_buffer_clear(&expression);
    return status;
}

sx_status sx_milvus_query(sx_vector_store *store, const char *collection, const float *vector, uint32_t most,
                          const double *threshold, const sx_vector_filter *filters, size_t filter_count, sx_vector_hit **hits,
                          size_t *count, sx_error *error)
{
    sx_rest_store *milvus = (sx_rest_store *)store;
    sx_buffer *body = &milvus->rest.body;
    sx_rest_page page = {0};
    sx_json data;
    *hits = NULL;
    *count = 0;
    sx_status status = sx_milvus_find(milvus, collection, error);
    if (!status)
        status = sx_rest_check_vector(store->name, vector, milvus->space.dimensions, error);
    if (status || !most)
        return status;
    uint32_t limit = most < MOST_HITS ? most : MOST_HITS, ef = milvus->space.ef_search;
    ef = ef ? ef : SX_DEFAULT_EF_SEARCH;
    sx_milvus_begin(milvus, "entities/search", milvus->server_name);
    sx_buffer_append_string(body, ",\"annsField\":\"" SX_MILVUS_VECTOR "\",\"data\":[");
    sx_json_write_floats(body, vector, milvus->space.dimensions);
    sx_buffer_printf(body,
                     "],\"limit\":%u,\"outputFields\":[%s],\"searchParams\":{\"params\":{\"ef\":%u}},"
                     "\"consistencyLevel\":\"Strong\"",
                     limit, properties, ef > limit ? ef : limit);
    status = write_filter(milvus, filters, filter_count, error);
    if (!status)
        status = sx_milvus_call(milvus, "query", &data, error);
    if (!status)
        status = read_rows(milvus, &data, true, limit, &page, error);
    if (!status)
        status = sx_rest_make_hits(&page, threshold, most, hits, count, error);
    sx_rest_page_clear(&page);
    return status;
}

static sx_status scan_prefix(sx_rest_store *milvus, char prefix[LONGEST_PREFIX + 1], size_t length, size_t from, uint32_t most,
                             sx_vector_visit visit, void *user, sx_error *error)
{
    static const char digits[] = "0123456789abcdef";
    sx_rest_page page = {0};
    sx_json data;
    sx_status status = SX_OK;
    bool whole = false;
    if (length >= from) { /* shorter prefixes hold too many: that much is known */
        sx_milvus_begin(milvus, "entities/query", milvus->server_name);
        sx_buffer_printf(&milvus->rest.body,
                         ",\"filter\":\"" SX_MILVUS_PRIMARY
                         " like \\\"%.*s%%\\\"\",\"limit\":%u,\"outputFields\":[%s,\"" SX_MILVUS_VECTOR
                         "\"],\"consistencyLevel\":\"Strong\"",
                         (int)length, prefix, most, properties);
        status = sx_milvus_call(milvus, "read", &data, error);
        if (!status)
            status = read_rows(milvus, &data, false, most, &page, error);
        whole = !status && page.count < most;
        if (!status && !whole && length == LONGEST_PREFIX)
            status = sx_rest_odd_answer(&milvus->rest, error, "has %zu entities whose ids all begin with %.*s", page.count,
                                        (int)length, prefix);
    }
    if (whole)
        status = sx_rest_visit_page(&page, visit, user, error);
    sx_rest_page_clear(&page);
    for (size_t i = 0; !status && !whole && digits[i]; i++) {
        prefix[length] = digits[i];
        status = scan_prefix(milvus, prefix, length + 1, from, most, visit, user, error);
    }
    return status;
}

sx_status sx_milvus_scan(sx_vector_store *store, const char *collection, sx_vector_visit visit, void *user, sx_error *error)
{
    sx_rest_store *milvus = (sx_rest_store *)store;
    char prefix[LONGEST_PREFIX + 1] = "";
    uint64_t count = 0;
    size_t from = 0;
    sx_rest_store_forget(milvus);
    sx_status status = sx_milvus_find(milvus, collection, error);
    if (!status)
        status = sx_milvus_count(milvus, NULL, &count, error);
    if (status || !count)
        return status;
    uint32_t most = sx_rest_records_of_page(milvus->space.dimensions, BYTES_OF_NUMBER, RECORDS_OF_PAGE);
    for (uint64_t left = count; left >= most && from < LONGEST_PREFIX; left /= 16)
        from++;
    return scan_prefix(milvus, prefix, 0, from, most, visit, user, error);
}
