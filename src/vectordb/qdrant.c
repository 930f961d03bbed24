/* qdrant.c - Qdrant (REST) as a store of vectors: qdrant://HOST[:PORT].
 *
 * A collection made here has one named vector, which bears the model's name ("vector" without one); a collection of others may
 * have one vector with or without a name, and COLLECTION/VECTOR names one of several, for reading. A point's id is the UUID of our
 * id (sx_rest_uuid), which stands in the payload with text, document and metadata. Everything is written with wait=true, so what is
 * acknowledged is searchable. Qdrant makes the vectors of a cosine collection length 1; so the bits of a vector stand in the
 * payload too. Paths and fields are those of the official Python client 1.20.0; metadata of a collection came with 1.16, and
 * where a server has none the collection says only its model.
 */
#include "rest_records.h"
#include "vector_store_internal.h"

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
    BYTES_OF_NUMBER = 20,
    DEFAULT_M = 16,
    DEFAULT_EF_CONSTRUCTION = 128,
    DEFAULT_EF_SEARCH = 96
};

typedef struct qdrant {
    sx_vector_store base;
    sx_rest rest;
    char *known;             /* the collection that space and vector are of; NULL: none */
    char *server_name;       /* what the server calls it */
    char *vector;            /* its vector's name; NULL: it has none */
    size_t vectors;          /* how many it has */
    char *model, *space_hash;
    sx_vector_space space;
} qdrant;

static const sx_rest_service service = {"qdrant", 6333, 6333, "api-key: ", NULL};
static const char name_prefix[] = "sextant-", nameless[] = "vector";

static void forget(qdrant *q)
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
    qdrant *q = (qdrant *)store;
    forget(q);
    sx_rest_close(&q->rest);
    free(q->base.name);
    free(q);
}

static sx_status qdrant_open(const char *url, const sx_vector_store_options *options, sx_vector_store **out, sx_error *error)
{
    *out = NULL;
    qdrant *q = sx_calloc(1, sizeof *q);
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
static sx_status split_name(qdrant *q, const char *collection, char name[SX_REST_NAME_SIZE], const char **vector, sx_error *error)
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
static void begin(qdrant *q, const char *name, const char *rest)
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

static sx_status learn_vector(qdrant *q, const sx_json *vector, const char *collection, sx_error *error)
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
static sx_status choose_vector(qdrant *q, const sx_json *vectors, const char *collection, const char *wanted, sx_error *error)
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

static sx_status learn(qdrant *q, const char *collection, const char *wanted, sx_error *error)
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

static sx_status find(qdrant *q, const char *collection, sx_error *error)
{
    char name[SX_REST_NAME_SIZE];
    const char *vector;
    if (collection && q->known && strcmp(q->known, collection) == 0)
        return SX_OK;
    forget(q);
    sx_status status = split_name(q, collection, name, &vector, error);
    if (status)
        return status;
    begin(q, name, "");
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
static sx_status call(qdrant *q, const char *method, const char *what, sx_error *error)
{
    sx_status status = sx_rest_call(&q->rest, method, what, q->known, error);
    if (status == SX_E_NOT_FOUND)
        forget(q);
    return status;
}

/* The answer to something that changes: {"result":true} or {"result":{"status":"completed"}}. */
static sx_status expect_done(qdrant *q, sx_error *error)
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

static sx_status make(qdrant *q, const char *collection, const char *name, const char *vector, const sx_vector_space *space,
                      sx_error *error)
{
    sx_buffer *body = &q->rest.body;
    const char *similarity = sx_vector_similarity(space);
    const char *distance = strcmp(similarity, "dot") == 0 ? "Dot" : strcmp(similarity, "l2") == 0 ? "Euclid" : "Cosine";
    begin(q, name, "");
    sx_buffer_append_string(body, "{\"vectors\":{");
    sx_rest_write_key(body, vector ? vector : space->model && *space->model ? space->model : nameless);
    sx_buffer_printf(body, "{\"size\":%u,\"distance\":\"%s\"%s}},\"hnsw_config\":{\"m\":%u,\"ef_construct\":%u},\"metadata\":{",
                     space->dimensions, distance,
                     space->element && strcmp(space->element, "f16") == 0 ? ",\"datatype\":\"float16\"" : "",
                     space->m ? space->m : DEFAULT_M, space->ef_construction ? space->ef_construction : DEFAULT_EF_CONSTRUCTION);
    sx_rest_write_member(body, "sextant_name", collection);
    if (space->model)
        sx_rest_write_member(body, "sextant_model", space->model);
    if (space->space)
        sx_rest_write_member(body, "sextant_space", space->space);
    sx_buffer_printf(body, ",\"sextant_ef_search\":%u}}", space->ef_search ? space->ef_search : DEFAULT_EF_SEARCH);
    sx_status status = sx_rest_call(&q->rest, "PUT", "create", collection, error);
    if (!status)
        status = expect_done(q, error);
    if (status)
        return status;
    begin(q, name, "/index?wait=true"); /* filters by document are what updating and removing documents use */
    sx_buffer_append_string(body, "{\"field_name\":\"" SX_PROPERTY_DOCUMENT "\",\"field_schema\":\"keyword\"}");
    status = sx_rest_call(&q->rest, "PUT", "create index of", collection, error);
    return status ? status : expect_done(q, error);
}

static sx_status qdrant_create(sx_vector_store *store, const char *collection, const sx_vector_space *space, sx_error *error)
{
    qdrant *q = (qdrant *)store;
    char name[SX_REST_NAME_SIZE];
    const char *vector;
    sx_error first = {0};
    sx_status status = sx_rest_check_space(store->name, collection, space, "hnsw", error);
    if (!status)
        status = split_name(q, collection, name, &vector, error);
    if (status)
        return status;
    forget(q);
    status = find(q, collection, &first);
    if (status == SX_E_NOT_FOUND && q->rest.exchange.code == 404) {
        status = make(q, collection, name, vector, space, &first);
        sx_error second = {0};
        if (!status || find(q, collection, &second)) /* else another made it in this moment, or an answer was lost */
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
    qdrant *q = (qdrant *)store;
    sx_json result;
    uint64_t records = 0;
    forget(q);
    sx_status status = find(q, collection, error);
    if (!status && count) {
        begin(q, q->server_name, "/points/count");
        sx_buffer_append_string(&q->rest.body, "{\"exact\":true}");
        status = call(q, "POST", "count", error);
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
    qdrant *q = (qdrant *)store;
    char name[SX_REST_NAME_SIZE];
    const char *vector;
    sx_json result;
    bool done = false;
    forget(q);
    sx_status status = split_name(q, collection, name, &vector, error);
    if (!status && vector)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: one vector of a collection is not dropped: %s", store->name, collection);
    if (status)
        return status;
    begin(q, name, "");
    status = sx_rest_call(&q->rest, "DELETE", "drop", collection, error);
    if (!status)
        status = sx_rest_result(&q->rest, "result", &result, error);
    if (!status && sx_json_peek(&result) == SX_JSON_BOOLEAN)
        sx_json_boolean(&result, &done);
    if (!status && !done)
        status = sx_fail(error, SX_E_NOT_FOUND, "%s: there is no collection %s", store->name, collection);
    return status == SX_E_NOT_FOUND && q->rest.maybe_done ? SX_OK : status; /* an earlier try did it */
}

/* Both actions are one change on the server: who asks by the alias sees the old collection or the new one. */
static sx_status qdrant_alias(sx_vector_store *store, const char *alias, const char *collection, sx_error *error)
{
    qdrant *q = (qdrant *)store;
    sx_buffer *body = &q->rest.body;
    sx_status status = find(q, collection, error);
    if (status)
        return status;
    if (!alias || !is_plain_name(alias))
        return sx_fail(error, SX_E_INVALID, "%s: an alias is made of letters, digits, and . _ - : %s", store->name,
                       alias ? alias : "");
    begin(q, "aliases", "?wait=true");
    sx_buffer_append_string(body, "{\"actions\":[{\"delete_alias\":{");
    sx_rest_write_member(body, "alias_name", alias);
    sx_buffer_append_string(body, "}},{\"create_alias\":{");
    sx_rest_write_member(body, "collection_name", q->server_name);
    sx_rest_write_member(body, "alias_name", alias);
    sx_buffer_append_string(body, "}}]}");
    status = call(q, "POST", "point an alias at", error);
    return status ? status : expect_done(q, error);
}

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

static sx_status write_point(qdrant *q, const sx_vector_record *record, sx_error *error)
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
    qdrant *q = user;
    sx_buffer *body = &q->rest.body;
    begin(q, q->server_name, "/points?wait=true");
    sx_buffer_append_string(body, "{\"points\":[");
    for (size_t i = 0; i < count; i++) {
        if (i)
            sx_buffer_append_byte(body, ',');
        sx_status status = write_point(q, &records[i], error);
        if (status)
            return status;
    }
    sx_buffer_append_string(body, "]}");
    sx_status status = call(q, "PUT", "upsert into", error);
    return status ? status : expect_done(q, error);
}

static sx_status qdrant_upsert(sx_vector_store *store, const char *collection, const sx_vector_record *records, size_t count,
                               sx_error *error)
{
    qdrant *q = (qdrant *)store;
    sx_status status = find(q, collection, error);
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

static sx_status write_uuids(qdrant *q, const char *key, const char *const *ids, size_t count, sx_error *error)
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
static sx_status remove_some(qdrant *q, const char *const *ids, size_t count, uint64_t *removed, sx_error *error)
{
    sx_json result;
    uint64_t present = 0;
    begin(q, q->server_name, "/points");
    sx_status status = write_uuids(q, "ids", ids, count, error);
    sx_buffer_append_string(&q->rest.body, ",\"with_payload\":false,\"with_vector\":false}");
    if (!status)
        status = call(q, "POST", "look for records in", error);
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
    begin(q, q->server_name, "/points/delete?wait=true");
    status = write_uuids(q, "points", ids, count, error);
    sx_buffer_append_byte(&q->rest.body, '}');
    if (!status)
        status = call(q, "POST", "remove from", error);
    if (!status)
        status = expect_done(q, error);
    if (!status)
        *removed += present;
    return status;
}

static sx_status qdrant_remove(sx_vector_store *store, const char *collection, const char *const *ids, size_t count,
                               uint64_t *removed, sx_error *error)
{
    qdrant *q = (qdrant *)store;
    uint64_t sum = 0;
    sx_status status = find(q, collection, error);
    for (size_t at = 0; !status && at < count; at += RECORDS_OF_PAGE)
        status = remove_some(q, ids + at, count - at < RECORDS_OF_PAGE ? count - at : RECORDS_OF_PAGE, &sum, error);
    if (removed)
        *removed = sum;
    return status;
}

/* ---- Reading ---- */

/* A key as a path of the payload: quoted unless it is plain, since dots and brackets lead inside. */
static sx_status write_path(qdrant *q, sx_text key, sx_error *error)
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

static sx_status write_filter(qdrant *q, const sx_vector_filter *filters, size_t count, sx_error *error)
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

static void read_vector(qdrant *q, sx_json *json, sx_rest_page *page, sx_rest_row *row)
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
static void read_point(qdrant *q, sx_json *json, sx_rest_page *page)
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

static sx_status read_points(qdrant *q, const sx_json *points, bool scored, sx_rest_page *page, sx_error *error)
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

static sx_status qdrant_query(sx_vector_store *store, const char *collection, const float *vector, uint32_t most,
                              const double *threshold, const sx_vector_filter *filters, size_t filter_count, sx_vector_hit **hits,
                              size_t *count, sx_error *error)
{
    qdrant *q = (qdrant *)store;
    sx_rest_page page = {0};
    sx_buffer *body = &q->rest.body;
    sx_json result, points;
    *hits = NULL;
    *count = 0;
    sx_status status = find(q, collection, error);
    if (!status)
        status = sx_rest_check_vector(store->name, vector, q->space.dimensions, error);
    if (status || !most)
        return status;
    bool euclid = strcmp(q->space.similarity, "l2") == 0;
    uint32_t ef = q->space.ef_search ? q->space.ef_search : DEFAULT_EF_SEARCH;
    begin(q, q->server_name, "/points/query");
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
        status = call(q, "POST", "query", error);
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
static sx_status scan_page(qdrant *q, uint32_t most, sx_buffer *offset, sx_vector_visit visit, void *user, sx_error *error)
{
    sx_rest_page page = {0};
    sx_json result, points, next;
    sx_text raw;
    begin(q, q->server_name, "/points/scroll");
    sx_buffer_printf(&q->rest.body, "{\"limit\":%u,\"with_payload\":true,\"with_vector\":true", most);
    if (offset->length)
        sx_buffer_printf(&q->rest.body, ",\"offset\":%s", offset->data);
    sx_buffer_append_byte(&q->rest.body, '}');
    sx_status status = call(q, "POST", "read", error);
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

static sx_status qdrant_scan(sx_vector_store *store, const char *collection, sx_vector_visit visit, void *user, sx_error *error)
{
    qdrant *q = (qdrant *)store;
    sx_buffer offset = {.maximum = 4096};
    sx_status status = find(q, collection, error);
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

const sx_vector_store_class sx_vector_qdrant = {
    .name = "qdrant",
    .scheme = "qdrant",
    .open = qdrant_open,
    .close = qdrant_close,
    .create = qdrant_create,
    .describe = qdrant_describe,
    .upsert = qdrant_upsert,
    .remove = qdrant_remove,
    .drop = qdrant_drop,
    .query = qdrant_query,
    .scan = qdrant_scan,
    .alias = qdrant_alias,
};
