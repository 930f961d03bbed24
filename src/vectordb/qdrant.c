/* qdrant.c - Qdrant (REST) as a store of vectors: qdrant://HOST[:PORT].
 *
 * A collection made here has one named vector, which bears the model's name ("vector" without one); a collection of others may
 * have one vector with or without a name, and COLLECTION/VECTOR names one of several, for reading. A point's id is the UUID of
 * our id (sx_rest_uuid), which stands in the payload with text, document and metadata. All is written with wait=true, so what is
 * acknowledged is searchable. Qdrant makes the vectors of a cosine collection length 1; so the bits of a vector stand in the
 * payload too. Paths and fields are those of the official Python client 1.20.0; metadata of a collection came with 1.16, and
 * where a server has none the collection says only its model.
 */
#include "qdrant_internal.h"

#include "../base/error.h"
#include "../base/json_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const sx_rest_service service = {"qdrant", 6333, 6333, "api-key: ", NULL};
static const char name_prefix[] = "sextant-", nameless[] = "vector";

static void forget(sx_qdrant *q)
{
    char **strings[] = {&q->known, &q->server_name, &q->vector, &q->model, &q->space_hash};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        free(*strings[i]);
        *strings[i] = NULL;
    }
    q->space = (sx_vector_space){0};
}

static void qdrant_close(sx_vector_store *store)
{
    sx_qdrant *q = (sx_qdrant *)store;
    forget(q);
    sx_rest_close(&q->rest);
    free(q->base.name);
    free(q);
}

static sx_status qdrant_open(const char *url, const sx_vector_store_options *options, sx_vector_store **out, sx_error *error)
{
    *out = NULL;
    sx_qdrant *q = sx_calloc(1, sizeof *q);
    if (!q)
        return sx_fail_nomem(error, sizeof *q);
    q->base.class = &sx_vector_qdrant;
    sx_status status = sx_rest_open(&q->rest, &service, url, options, error);
    if (!status && !(q->base.name = sx_strdup(q->rest.shown)))
        status = sx_fail_nomem(error, strlen(url));
    if (status)
        qdrant_close(&q->base);
    else
        *out = &q->base;
    return status;
}

/* ---- Collections ---- */

static bool is_plain_name(const char *name)
{
    return sx_rest_is_word(name, 1, 200, "._-") && name[0] != '.' && strcmp(name, "aliases") != 0; /* a path of its own */
}

/* COLLECTION or COLLECTION/VECTOR, as the server takes it; *vector points into `collection`, or is NULL. */
static sx_status split_name(sx_qdrant *q, const char *collection, char name[SX_REST_NAME_SIZE], const char **vector,
                            sx_error *error)
{
    const char *slash = collection ? strchr(collection, '/') : NULL;
    *vector = NULL;
    if (slash && (size_t)(slash - collection) <= SX_REST_LONGEST_NAME && slash[1]) {
        char before[SX_REST_NAME_SIZE];
        snprintf(before, sizeof before, "%.*s", (int)(slash - collection), collection);
        if (is_plain_name(before)) {
            *vector = slash + 1;
            snprintf(name, SX_REST_NAME_SIZE, "%s", before);
            return SX_OK;
        }
    }
    return sx_rest_server_name(q->base.name, collection, is_plain_name, name_prefix, name, error);
}

/* Begins /collections/NAME and what stands behind it. */
void sx_qdrant_begin(sx_qdrant *q, const char *name, const char *rest)
{
    sx_rest_begin(&q->rest, q->rest.url_path[0] ? "/" : "");
    sx_buffer_append_string(&q->rest.path, q->rest.url_path);
    sx_buffer_append_string(&q->rest.path, "/collections/");
    sx_rest_add_segment(&q->rest, name);
    sx_buffer_append_string(&q->rest.path, rest);
}

static const char *similarity_of(const char *distance)
{
    static const char *const names[][2] = {{"Cosine", "cosine"}, {"Dot", "dot"}, {"Euclid", "l2"}};
    for (size_t i = 0; distance && i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i][0], distance) == 0)
            return names[i][1];
    return NULL;
}

static sx_status learn_vector(sx_qdrant *q, const sx_json *vector, const char *collection, sx_error *error)
{
    uint64_t size = 0;
    char *distance = sx_rest_find_string(vector, "distance"), *datatype = sx_rest_find_string(vector, "datatype");
    bool sized = sx_rest_find_count(vector, "size", &size) && size && size <= UINT32_MAX;
    q->space.dimensions = (uint32_t)size;
    q->space.similarity = similarity_of(distance);
    q->space.element = datatype && strcmp(datatype, "float16") == 0 ? "f16" : "f32";
    sx_status status = SX_OK;
    if (!sized)
        status = sx_rest_odd_answer(&q->rest, error, "has no size of the vectors");
    else if (!q->space.similarity)
        status = sx_fail(error, SX_E_UNSUPPORTED, "%s: collection %s compares by %s; Cosine, Dot and Euclid are known here",
                         q->base.name, collection, distance ? distance : "nothing");
    free(distance);
    free(datatype);
    return status;
}

/* vectors: {"size":...} without a name, or an object of named ones, of which `wanted` or the only one is taken. */
static sx_status choose_vector(sx_qdrant *q, const sx_json *vectors, const char *collection, const char *wanted, sx_error *error)
{
    sx_json json = *vectors, chosen = *vectors, size;
    sx_buffer buffer = {0};
    sx_text name;
    sx_status status = SX_OK;
    bool found = false;
    q->vectors = 0;
    if (sx_rest_find(vectors, "size", &size) && sx_json_peek(&size) == SX_JSON_NUMBER) {
        q->vectors = 1;
        if (!wanted)
            return learn_vector(q, vectors, collection, error);
        return sx_fail(error, SX_E_NOT_FOUND, "%s: collection %s has one vector, which has no name", q->base.name, collection);
    }
    sx_json_object(&json);
    while (sx_json_member(&json, &buffer, &name)) {
        if (wanted ? sx_text_is(name, wanted) : !q->vectors) {
            free(q->vector);
            q->vector = sx_strndup(name.data, name.length);
            chosen = json;
            found = true;
        }
        q->vectors++;
        sx_json_skip(&json);
    }
    sx_buffer_clear(&buffer);
    if (json.problem)
        return sx_rest_bad_answer(&q->rest, &json, error);
    if (!found || (!wanted && q->vectors > 1)) {
        status = sx_fail(error, SX_E_NOT_FOUND, "%s: collection %s has %zu named vectors, %s", q->base.name, collection,
                         q->vectors, wanted ? "and none of that name" : "and none is chosen");
        sx_hint(error, "COLLECTION/VECTOR names one of them");
        return status;
    }
    return q->vector ? learn_vector(q, &chosen, collection, error) : sx_fail_nomem(error, 1);
}

static uint32_t setting(const sx_json *object, const char *key)
{
    uint64_t value = 0;
    return sx_rest_find_count(object, key, &value) && value <= UINT32_MAX ? (uint32_t)value : 0;
}

static sx_status learn(sx_qdrant *q, const char *collection, const char *wanted, sx_error *error)
{
    sx_json result, config, parameters, vectors, hnsw, metadata;
    sx_status status = sx_rest_result(&q->rest, "result", &result, error);
    if (status)
        return status;
    if (!sx_rest_find(&result, "config", &config) || !sx_rest_find(&config, "params", &parameters) ||
        !sx_rest_find(&parameters, "vectors", &vectors))
        return sx_rest_odd_answer(&q->rest, error, "has no \"config.params.vectors\"");
    status = choose_vector(q, &vectors, collection, wanted, error);
    if (status)
        return status;
    q->space.index = "hnsw";
    if (sx_rest_find(&config, "hnsw_config", &hnsw)) {
        q->space.m = setting(&hnsw, "m");
        q->space.ef_construction = setting(&hnsw, "ef_construct");
    }
    if (sx_rest_find(&config, "metadata", &metadata)) {
        q->model = sx_rest_find_string(&metadata, "sextant_model");
        q->space_hash = sx_rest_find_string(&metadata, "sextant_space");
        q->space.ef_search = setting(&metadata, "sextant_ef_search");
    } else if (q->vector && strcmp(q->vector, nameless) != 0) {
        q->model = sx_strdup(q->vector);
    }
    q->space.model = q->model;
    q->space.space = q->space_hash;
    return SX_OK;
}

sx_status sx_qdrant_find(sx_qdrant *q, const char *collection, sx_error *error)
{
    char name[SX_REST_NAME_SIZE];
    const char *vector;
    if (collection && q->known && strcmp(q->known, collection) == 0)
        return SX_OK;
    forget(q);
    sx_status status = split_name(q, collection, name, &vector, error);
    if (status)
        return status;
    sx_qdrant_begin(q, name, "");
    status = sx_rest_call(&q->rest, "GET", "look up", collection, error);
    if (!status)
        status = learn(q, collection, vector, error);
    if (!status) {
        q->known = sx_strdup(collection);
        q->server_name = sx_strdup(name);
        status = q->known && q->server_name ? SX_OK : sx_fail_nomem(error, strlen(collection));
    }
    if (status)
        forget(q);
    return status;
}

/* A call on the known collection; one that is gone is forgotten. */
sx_status sx_qdrant_call(sx_qdrant *q, const char *method, const char *what, sx_error *error)
{
    sx_status status = sx_rest_call(&q->rest, method, what, q->known, error);
    if (status == SX_E_NOT_FOUND)
        forget(q);
    return status;
}

/* The answer to something that changes: {"result":true} or {"result":{"status":"completed"}}. */
sx_status sx_qdrant_expect_done(sx_qdrant *q, sx_error *error)
{
    sx_json result;
    bool done = false;
    sx_status status = sx_rest_result(&q->rest, "result", &result, error);
    if (status)
        return status;
    if (sx_json_peek(&result) == SX_JSON_BOOLEAN) {
        sx_json_boolean(&result, &done);
        return done ? SX_OK : sx_rest_odd_answer(&q->rest, error, "says that it was not done");
    }
    char *said = sx_rest_find_string(&result, "status");
    done = said && strcmp(said, "completed") == 0;
    status = done ? SX_OK : sx_rest_odd_answer(&q->rest, error, "has the status %s, not completed", said ? said : "(none)");
    free(said);
    return status;
}

static sx_status make(sx_qdrant *q, const char *collection, const char *name, const char *vector, const sx_vector_space *space,
                      sx_error *error)
{
    sx_buffer *body = &q->rest.body;
    const char *similarity = sx_vector_similarity(space);
    const char *distance = strcmp(similarity, "dot") == 0 ? "Dot" : strcmp(similarity, "l2") == 0 ? "Euclid" : "Cosine";
    sx_qdrant_begin(q, name, "");
    sx_buffer_append_string(body, "{\"vectors\":{");
    sx_rest_write_key(body, vector ? vector : space->model && *space->model ? space->model : nameless);
    sx_buffer_printf(body, "{\"size\":%u,\"distance\":\"%s\"%s}},\"hnsw_config\":{\"m\":%u,\"ef_construct\":%u},\"metadata\":{",
                     space->dimensions, distance,
                     space->element && strcmp(space->element, "f16") == 0 ? ",\"datatype\":\"float16\"" : "",
                     space->m ? space->m : SX_DEFAULT_M,
                     space->ef_construction ? space->ef_construction : SX_DEFAULT_EF_CONSTRUCTION);
    sx_rest_write_member(body, "sextant_name", collection);
    if (space->model)
        sx_rest_write_member(body, "sextant_model", space->model);
    if (space->space)
        sx_rest_write_member(body, "sextant_space", space->space);
    sx_buffer_printf(body, ",\"sextant_ef_search\":%u}}", space->ef_search ? space->ef_search : SX_DEFAULT_EF_SEARCH);
    sx_status status = sx_rest_call(&q->rest, "PUT", "create", collection, error);
    if (!status)
        status = sx_qdrant_expect_done(q, error);
    if (status)
        return status;
    sx_qdrant_begin(q, name, "/index?wait=true"); /* filters by document are what updating and removing documents use */
    sx_buffer_append_string(body, "{\"field_name\":\"" SX_PROPERTY_DOCUMENT "\",\"field_schema\":\"keyword\"}");
    status = sx_rest_call(&q->rest, "PUT", "create index of", collection, error);
    return status ? status : sx_qdrant_expect_done(q, error);
}

static sx_status qdrant_create(sx_vector_store *store, const char *collection, const sx_vector_space *space, sx_error *error)
{
    sx_qdrant *q = (sx_qdrant *)store;
    char name[SX_REST_NAME_SIZE];
    const char *vector;
    sx_error first = {0};
    sx_status status = sx_rest_check_space(store->name, collection, space, "hnsw", error);
    if (!status)
        status = split_name(q, collection, name, &vector, error);
    if (status)
        return status;
    forget(q);
    status = sx_qdrant_find(q, collection, &first);
    if (status == SX_E_NOT_FOUND && q->rest.exchange.code == 404) {
        status = make(q, collection, name, vector, space, &first);
        sx_error second = {0};
        if (!status || sx_qdrant_find(q, collection, &second)) /* else another made it in this moment, or an answer was lost */
            goto out;
        status = SX_OK;
    }
    if (!status)
        return sx_rest_compare_spaces(store->name, collection, &q->space, space, error);
out:
    if (status && error)
        *error = first;
    return status;
}

static sx_status qdrant_describe(sx_vector_store *store, const char *collection, sx_vector_space *space, uint64_t *count,
                                 sx_error *error)
{
    sx_qdrant *q = (sx_qdrant *)store;
    sx_json result;
    uint64_t records = 0;
    forget(q);
    sx_status status = sx_qdrant_find(q, collection, error);
    if (!status && count) {
        sx_qdrant_begin(q, q->server_name, "/points/count");
        sx_buffer_append_string(&q->rest.body, "{\"exact\":true}");
        status = sx_qdrant_call(q, "POST", "count", error);
        if (!status)
            status = sx_rest_result(&q->rest, "result", &result, error);
        if (!status && !sx_rest_find_count(&result, "count", &records))
            status = sx_rest_odd_answer(&q->rest, error, "has no \"count\"");
    }
    if (status)
        return status;
    *space = q->space;
    if (count)
        *count = records;
    return SX_OK;
}

static sx_status qdrant_drop(sx_vector_store *store, const char *collection, sx_error *error)
{
    sx_qdrant *q = (sx_qdrant *)store;
    char name[SX_REST_NAME_SIZE];
    const char *vector;
    forget(q);
    sx_status status = split_name(q, collection, name, &vector, error);
    if (!status && vector)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: one vector of a collection is not dropped: %s", store->name, collection);
    if (status)
        return status;
    sx_qdrant_begin(q, name, "");
    return sx_rest_drop(&q->rest, collection, error);
}

/* Both actions are one change on the server: who asks by the alias sees the old collection or the new one. */
static sx_status qdrant_alias(sx_vector_store *store, const char *alias, const char *collection, sx_error *error)
{
    sx_qdrant *q = (sx_qdrant *)store;
    sx_buffer *body = &q->rest.body;
    sx_status status = sx_qdrant_find(q, collection, error);
    if (status)
        return status;
    if (!alias || !is_plain_name(alias))
        return sx_fail(error, SX_E_INVALID, "%s: an alias is made of letters, digits, and . _ - : %s", store->name,
                       alias ? alias : "");
    sx_qdrant_begin(q, "aliases", "?wait=true");
    sx_buffer_append_string(body, "{\"actions\":[{\"delete_alias\":{");
    sx_rest_write_member(body, "alias_name", alias);
    sx_buffer_append_string(body, "}},{\"create_alias\":{");
    sx_rest_write_member(body, "collection_name", q->server_name);
    sx_rest_write_member(body, "alias_name", alias);
    sx_buffer_append_string(body, "}}]}");
    status = sx_qdrant_call(q, "POST", "point an alias at", error);
    return status ? status : sx_qdrant_expect_done(q, error);
}

const sx_vector_store_class sx_vector_qdrant = {
    .name = "qdrant",
    .scheme = "qdrant",
    .open = qdrant_open,
    .close = qdrant_close,
    .create = qdrant_create,
    .describe = qdrant_describe,
    .upsert = sx_qdrant_upsert,
    .remove = sx_qdrant_remove,
    .drop = qdrant_drop,
    .query = sx_qdrant_query,
    .scan = sx_qdrant_scan,
    .alias = qdrant_alias,
};
