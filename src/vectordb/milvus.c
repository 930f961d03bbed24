/* milvus.c - Milvus (REST v2) as a store of vectors: milvus://HOST[:PORT][/DATABASE].
 *
 * A collection made here has the primary key "id", the UUID of our id (sx_rest_uuid), the FloatVector "vector" with an HNSW
 * index, our id, text, document and metadata as VarChar, and an array of hashes to filter by (rest_scalars.c). It is made with
 * the consistency level Strong and asked with it, so that what is acknowledged is found. What Milvus does not keep about a
 * collection is JSON in its description; a server that drops descriptions forgets model and space, nothing else.
 *
 * Everything is POST, and everything is answered 200: what went wrong is a code in the answer. Written by the documentation of
 * the REST API and the sources of its handlers (milvus-io/milvus, internal/distributed/proxy/httpserver, pkg/util/merr), and
 * tested on a stand-in made by them; no real server could be had (Milvus Lite speaks gRPC only).
 */
#include "milvus_internal.h"

#include "../base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Codes of answers (merr). */
enum {
    DONE = 0,
    NOT_READY = 1,
    UNAVAILABLE = 2,
    MEMORY_LIMIT = 3,
    TOO_MANY_REQUESTS = 4,
    RATE_LIMIT = 8,
    NO_COLLECTION = 100,
    NOT_LOADED = 101,
    NOT_FULLY_LOADED = 103,
    TOO_LARGE = 1004,
    NEED_AUTHENTICATION = 1800,
    HTTP_RATE_LIMIT = 1807
};

static long meaning(const sx_buffer *reply)
{
    sx_json json, value;
    int64_t code = DONE;
    sx_json_begin(&json, reply->length ? reply->data : "", reply->length, "answer");
    if (!sx_rest_find(&json, "code", &value) || !sx_json_integer(&value, &code))
        return 200; /* whoever reads it says what is wrong */
    switch (code) {
    case DONE:
    case 200: return 200; /* the first versions of v2 */
    case NOT_READY:
    case UNAVAILABLE:
    case MEMORY_LIMIT:
    case NOT_LOADED:
    case NOT_FULLY_LOADED: return 503;
    case TOO_MANY_REQUESTS:
    case RATE_LIMIT:
    case HTTP_RATE_LIMIT: return 429;
    case NO_COLLECTION: return 404;
    case TOO_LARGE: return 413;
    case NEED_AUTHENTICATION: return 401;
    default: return 400;
    }
}

static const sx_rest_service service = {"milvus", 19530, 443, "Authorization: Bearer ", NULL, meaning};
static const char name_prefix[] = "sextant_";
static const char *const metrics[][2] = {{"COSINE", "cosine"}, {"IP", "dot"}, {"L2", "l2"}};

static sx_status milvus_open(const char *url, const sx_vector_store_options *options, sx_vector_store **out, sx_error *error)
{
    return sx_rest_store_open(sizeof(sx_rest_store), &sx_vector_milvus, &service, url, options, out, error);
}

void sx_milvus_begin(sx_rest_store *milvus, const char *path, const char *name)
{
    sx_rest *rest = &milvus->rest;
    sx_rest_begin(rest, "/v2/vectordb/");
    sx_buffer_append_string(&rest->path, path);
    sx_buffer_append_byte(&rest->body, '{');
    if (rest->url_path[0])
        sx_rest_write_member(&rest->body, "dbName", rest->url_path);
    sx_rest_write_member(&rest->body, "collectionName", name);
}

sx_status sx_milvus_call(sx_rest_store *milvus, const char *what, sx_json *data, sx_error *error)
{
    sx_buffer_append_byte(&milvus->rest.body, '}');
    sx_status status = sx_rest_call(&milvus->rest, "POST", what, milvus->known, error);
    if (status == SX_E_NOT_FOUND)
        sx_rest_store_forget(milvus);
    return status ? status : sx_rest_result(&milvus->rest, "data", data, error);
}

/* ---- Collections ---- */

static bool is_plain_name(const char *name)
{
    return sx_rest_is_word(name, 1, 255, "_") && !(name[0] >= '0' && name[0] <= '9');
}

/* "params":[{"key":"dim","value":"384"}] of a field. */
static uint32_t read_dimensions(const sx_json *field)
{
    sx_json params;
    uint32_t dimensions = 0;
    if (!sx_rest_find(field, "params", &params) || sx_json_peek(&params) != SX_JSON_ARRAY)
        return 0;
    for (sx_json_array(&params); sx_json_element(&params); sx_json_skip(&params)) {
        char *key = sx_rest_find_string(&params, "key"), *value = sx_rest_find_string(&params, "value"), *end = NULL;
        unsigned long number = key && value && strcmp(key, "dim") == 0 ? strtoul(value, &end, 10) : 0;
        if (end && !*end && number <= UINT32_MAX)
            dimensions = (uint32_t)number;
        free(key);
        free(value);
    }
    return dimensions;
}

/* Ours has the fields that are made here. */
static void learn_fields(sx_rest_store *milvus, sx_json *fields)
{
    static const char *const wanted[] = {SX_MILVUS_PRIMARY,    SX_MILVUS_VECTOR,     SX_PROPERTY_ID,     SX_PROPERTY_TEXT,
                                         SX_PROPERTY_DOCUMENT, SX_PROPERTY_METADATA, SX_PROPERTY_FILTERS};
    size_t found = 0;
    for (sx_json_array(fields); sx_json_element(fields); sx_json_skip(fields)) {
        char *name = sx_rest_find_string(fields, "name");
        for (size_t i = 0; name && i < sizeof wanted / sizeof *wanted; i++)
            found += strcmp(name, wanted[i]) == 0;
        if (name && strcmp(name, SX_MILVUS_VECTOR) == 0)
            milvus->space.dimensions = read_dimensions(fields);
        free(name);
    }
    milvus->ours = found == sizeof wanted / sizeof *wanted;
}

static sx_status learn_metric(sx_rest_store *milvus, const char *collection, sx_json *indexes, sx_error *error)
{
    char *metric = NULL;
    for (sx_json_array(indexes); sx_json_element(indexes); sx_json_skip(indexes)) {
        char *field = sx_rest_find_string(indexes, "fieldName");
        if (field && strcmp(field, SX_MILVUS_VECTOR) == 0) {
            free(metric);
            metric = sx_rest_find_string(indexes, "metricType");
        }
        free(field);
    }
    for (size_t i = 0; metric && i < sizeof metrics / sizeof *metrics; i++)
        if (strcmp(metrics[i][0], metric) == 0)
            milvus->space.similarity = metrics[i][1];
    sx_status status = SX_OK;
    if (!milvus->space.similarity)
        status = sx_fail(error, SX_E_UNSUPPORTED, "%s: collection %s compares by %s; COSINE, IP and L2 are known here",
                         milvus->base.name, collection, metric ? metric : "nothing, for it has no index");
    free(metric);
    return status;
}

static sx_status learn(sx_rest_store *milvus, const char *collection, const sx_json *data, sx_error *error)
{
    sx_json fields, indexes;
    milvus->space = (sx_vector_space){.element = "f32", .index = "hnsw"};
    if (!sx_rest_find(data, "fields", &fields) || sx_json_peek(&fields) != SX_JSON_ARRAY ||
        !sx_rest_find(data, "indexes", &indexes) || sx_json_peek(&indexes) != SX_JSON_ARRAY)
        return sx_rest_odd_answer(&milvus->rest, error, "has no lists of \"fields\" and \"indexes\"");
    learn_fields(milvus, &fields);
    if (!milvus->ours || !milvus->space.dimensions)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: collection %s was not made by Sextant and has other fields",
                       milvus->base.name, collection);
    char *description = sx_rest_find_string(data, "description");
    sx_rest_store_learn(milvus, description);
    free(description);
    return learn_metric(milvus, collection, &indexes, error);
}

sx_status sx_milvus_find(sx_rest_store *milvus, const char *collection, sx_error *error)
{
    char name[SX_REST_NAME_SIZE];
    sx_json data;
    if (sx_rest_store_knows(milvus, collection))
        return SX_OK;
    sx_rest_store_forget(milvus);
    sx_status status = sx_rest_server_name(milvus->base.name, collection, is_plain_name, name_prefix, name, error);
    if (status)
        return status;
    sx_milvus_begin(milvus, "collections/describe", name);
    sx_buffer_append_byte(&milvus->rest.body, '}');
    status = sx_rest_call(&milvus->rest, "POST", "look up", collection, error);
    if (!status)
        status = sx_rest_result(&milvus->rest, "data", &data, error);
    if (!status)
        status = learn(milvus, collection, &data, error);
    if (!status)
        status = sx_rest_store_know(milvus, collection, name, error);
    if (status)
        sx_rest_store_forget(milvus);
    return status;
}

static void write_field(sx_buffer *body, const char *name, const char *type, const char *more)
{
    sx_buffer_printf(body, "%s{\"fieldName\":\"%s\",\"dataType\":\"%s\",%s}", body->data[body->length - 1] == '[' ? "" : ",",
                     name, type, more);
}

static sx_status make(sx_rest_store *milvus, const char *collection, const sx_vector_space *space, sx_error *error)
{
    static const char *const texts[] = {SX_PROPERTY_ID, SX_PROPERTY_TEXT, SX_PROPERTY_DOCUMENT, SX_PROPERTY_METADATA};
    sx_buffer *body = &milvus->rest.body, description = {0};
    const char *similarity = sx_vector_similarity(space), *metric = "COSINE";
    char name[SX_REST_NAME_SIZE], more[128];
    sx_status status = sx_rest_server_name(milvus->base.name, collection, is_plain_name, name_prefix, name, error);
    if (status)
        return status;
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++)
        if (strcmp(metrics[i][1], similarity) == 0)
            metric = metrics[i][0];
    bool written = sx_rest_store_write_space(&description, collection, space);
    sx_milvus_begin(milvus, "collections/create", name);
    sx_rest_write_member(body, "description", written ? description.data : NULL);
    sx_buffer_clear(&description);
    sx_buffer_append_string(body, ",\"schema\":{\"autoID\":false,\"enableDynamicField\":false,\"fields\":[");
    write_field(body, SX_MILVUS_PRIMARY, "VarChar", "\"isPrimary\":true,\"elementTypeParams\":{\"max_length\":\"36\"}");
    snprintf(more, sizeof more, "\"elementTypeParams\":{\"dim\":\"%u\"}", space->dimensions);
    write_field(body, SX_MILVUS_VECTOR, "FloatVector", more);
    snprintf(more, sizeof more, "\"elementTypeParams\":{\"max_length\":\"%d\"}", SX_MILVUS_LONGEST_TEXT);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        write_field(body, texts[i], "VarChar", more);
    write_field(body, SX_PROPERTY_FILTERS, "Array",
                "\"elementDataType\":\"VarChar\",\"elementTypeParams\":{\"max_capacity\":\"4096\",\"max_length\":\"128\"}");
    sx_buffer_printf(body,
                     "]},\"indexParams\":[{\"fieldName\":\"" SX_MILVUS_VECTOR "\",\"indexName\":\"" SX_MILVUS_VECTOR
                     "\",\"metricType\":\"%s\",\"params\":{\"index_type\":\"HNSW\",\"M\":%u,\"efConstruction\":%u}}],"
                     "\"params\":{\"consistencyLevel\":\"Strong\"}}",
                     metric, space->m ? space->m : SX_DEFAULT_M,
                     space->ef_construction ? space->ef_construction : SX_DEFAULT_EF_CONSTRUCTION);
    return written ? sx_rest_call(&milvus->rest, "POST", "create", collection, error) : sx_fail_nomem(error, 1);
}

static sx_status milvus_create(sx_vector_store *store, const char *collection, const sx_vector_space *space, sx_error *error)
{
    return sx_rest_store_create((sx_rest_store *)store, collection, space, sx_milvus_find, make, error);
}

sx_status sx_milvus_count(sx_rest_store *milvus, const char *filter, uint64_t *count, sx_error *error)
{
    sx_json data;
    sx_milvus_begin(milvus, "entities/query", milvus->server_name);
    sx_rest_write_member(&milvus->rest.body, "filter", filter ? filter : "");
    sx_buffer_append_string(&milvus->rest.body, ",\"outputFields\":[\"count(*)\"],\"consistencyLevel\":\"Strong\"");
    sx_status status = sx_milvus_call(milvus, "count", &data, error);
    if (!status && (sx_json_peek(&data) != SX_JSON_ARRAY || !sx_json_array(&data) || !sx_json_element(&data) ||
                    !sx_rest_find_count(&data, "count(*)", count)))
        status = sx_rest_odd_answer(&milvus->rest, error, "has no \"count(*)\"");
    return status;
}

static sx_status milvus_describe(sx_vector_store *store, const char *collection, sx_vector_space *space, uint64_t *count,
                                 sx_error *error)
{
    sx_rest_store *milvus = (sx_rest_store *)store;
    sx_rest_store_forget(milvus);
    sx_status status = sx_milvus_find(milvus, collection, error);
    if (!status && count)
        status = sx_milvus_count(milvus, NULL, count, error);
    if (!status)
        *space = milvus->space;
    return status;
}

/* Dropping what is not there succeeds, so it is looked up first. */
static sx_status milvus_drop(sx_vector_store *store, const char *collection, sx_error *error)
{
    sx_rest_store *milvus = (sx_rest_store *)store;
    sx_json data;
    sx_rest_store_forget(milvus);
    sx_status status = sx_milvus_find(milvus, collection, error);
    if (status)
        return status;
    sx_milvus_begin(milvus, "collections/drop", milvus->server_name);
    status = sx_milvus_call(milvus, "drop", &data, error);
    sx_rest_store_forget(milvus);
    return status;
}

const sx_vector_store_class sx_vector_milvus = {
    .name = "milvus",
    .scheme = "milvus",
    .open = milvus_open,
    .close = sx_rest_store_close,
    .create = milvus_create,
    .describe = milvus_describe,
    .upsert = sx_milvus_upsert,
    .remove = sx_milvus_remove,
    .drop = milvus_drop,
    .query = sx_milvus_query,
    .scan = sx_milvus_scan,
};
