/* weaviate.c - Weaviate (REST and GraphQL) as a store of vectors: weaviate://HOST[:PORT].
 *
 * A collection is a class. Classes begin with a capital letter and must differ in more than case, so a name in small letters
 * stands there as Sextant_NAME, one that is a class's name as it is, and any other under its hash. What Weaviate does not keep
 * about a class (name, model, space, dimensions) is JSON in its description. An object's id is the UUID of our id
 * (sx_rest_uuid); its properties are our id, text, document and metadata, none of them indexed, and a list of tokens to filter
 * by (rest_scalars.c), since a property has one type for all objects. Vectors come back as they were sent, whatever the distance.
 *
 * A batch that names a class which is not there makes one by guessing (auto-schema), and deleting a class that is not there
 * succeeds; so classes are looked up before both. Found by trying a server of version 1.35.
 */
#include "weaviate_internal.h"

#include "../base/error.h"
#include "../base/json_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const sx_rest_service service = {"weaviate", 8080, 443, "Authorization: Bearer ", NULL};
static const char reserved[] = "Sextant";
static const char *const distances[][2] = {{"cosine", "cosine"}, {"dot", "dot"}, {"l2-squared", "l2"}};

static void weaviate_close(sx_vector_store *store)
{
    sx_buffer_clear(&((sx_weaviate *)store)->graph);
    sx_rest_store_close(store);
}

static sx_status weaviate_open(const char *url, const sx_vector_store_options *options, sx_vector_store **out, sx_error *error)
{
    return sx_rest_store_open(sizeof(sx_weaviate), &sx_vector_weaviate, &service, url, options, out, error);
}

void sx_weaviate_begin(sx_weaviate *w, const char *path)
{
    sx_rest *rest = &w->store.rest;
    sx_rest_begin(rest, rest->url_path[0] ? "/" : "");
    sx_buffer_append_string(&rest->path, rest->url_path);
    sx_buffer_append_string(&rest->path, "/v1/");
    sx_buffer_append_string(&rest->path, path);
}

/* ---- Collections ---- */

static bool is_class_name(const char *name)
{
    return sx_rest_is_word(name, 1, 200, "_") && name[0] >= 'A' && name[0] <= 'Z';
}

static bool is_small_name(const char *name)
{
    return sx_rest_is_word(name, 1, 200, "_") && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name);
}

static sx_status class_of(sx_weaviate *w, const char *collection, char name[SX_REST_NAME_SIZE], sx_error *error)
{
    sx_status status = sx_rest_server_name(w->store.base.name, collection, is_class_name, reserved, name, error);
    if (!status && is_small_name(collection))
        snprintf(name, SX_REST_NAME_SIZE, "%s_%s", reserved, collection);
    return status;
}

static uint32_t setting(const sx_json *object, const char *key)
{
    uint64_t value = 0;
    return sx_rest_find_count(object, key, &value) && value <= UINT32_MAX ? (uint32_t)value : 0;
}

/* The dimensions of a class of others are those of an object of it. */
static sx_status learn_dimensions(sx_weaviate *w, const char *name, const char *collection, sx_error *error)
{
    sx_rest *rest = &w->store.rest;
    sx_json objects, vector;
    sx_weaviate_begin(w, "objects?limit=1&include=vector&class=");
    sx_rest_add_segment(rest, name);
    sx_status status = sx_rest_call(rest, "GET", "look at", collection, error);
    if (!status)
        status = sx_rest_result(rest, "objects", &objects, error);
    if (status)
        return status;
    sx_json_array(&objects);
    if (sx_json_element(&objects) && sx_rest_find(&objects, "vector", &vector))
        for (sx_json_array(&vector); sx_json_element(&vector); w->store.space.dimensions++)
            sx_json_skip(&vector);
    return SX_OK;
}

static sx_status learn(sx_weaviate *w, const char *name, const char *collection, sx_error *error)
{
    sx_rest_store *store = &w->store;
    sx_json class, config;
    sx_status status = sx_rest_result(&store->rest, "class", &class, error);
    if (status)
        return status;
    sx_rest_read(&store->rest, &class);
    if (!sx_rest_find(&class, "vectorIndexConfig", &config) || sx_json_peek(&config) != SX_JSON_OBJECT)
        return sx_fail(error, SX_E_UNSUPPORTED,
                       "%s: collection %s has named vectors; only classes with one vector are known here", store->base.name,
                       collection);
    char *distance = sx_rest_find_string(&config, "distance");
    store->space = (sx_vector_space){.element = "f32", .index = "hnsw"};
    store->space.m = setting(&config, "maxConnections");
    store->space.ef_construction = setting(&config, "efConstruction");
    for (size_t i = 0; distance && i < sizeof distances / sizeof *distances; i++)
        if (strcmp(distances[i][0], distance) == 0)
            store->space.similarity = distances[i][1];
    if (!store->space.similarity)
        status = sx_fail(error, SX_E_UNSUPPORTED, "%s: collection %s compares by %s; cosine, dot and l2-squared are known here",
                         store->base.name, collection, distance ? distance : "nothing");
    free(distance);
    char *description = sx_rest_find_string(&class, "description");
    sx_rest_store_learn(store, description);
    free(description);
    return status || store->space.dimensions ? status : learn_dimensions(w, name, collection, error);
}

sx_status sx_weaviate_find(sx_weaviate *w, const char *collection, sx_error *error)
{
    sx_rest_store *store = &w->store;
    char name[SX_REST_NAME_SIZE];
    if (sx_rest_store_knows(store, collection))
        return SX_OK;
    sx_rest_store_forget(store);
    sx_status status = class_of(w, collection, name, error);
    if (status)
        return status;
    sx_weaviate_begin(w, "schema/");
    sx_rest_add_segment(&store->rest, name);
    status = sx_rest_call(&store->rest, "GET", "look up", collection, error);
    if (!status)
        status = learn(w, name, collection, error);
    if (!status)
        status = sx_rest_store_know(store, collection, name, error);
    if (status)
        sx_rest_store_forget(store);
    return status;
}

/* What GraphQL refused may be refused because the class is gone, of which it says so in several ways: then it is forgotten, and
 * the error is that it is not there. */
static sx_status look_again(sx_weaviate *w, sx_status status, sx_error *error)
{
    char *name = sx_strdup(w->store.known);
    sx_error gone = {0};
    sx_rest_store_forget(&w->store);
    if (name && sx_weaviate_find(w, name, &gone) == SX_E_NOT_FOUND) {
        status = SX_E_NOT_FOUND;
        if (error)
            *error = gone;
    }
    free(name);
    return status;
}

sx_status sx_weaviate_ask(sx_weaviate *w, const char *verb, const char *what, sx_json *found, sx_error *error)
{
    sx_rest_store *store = &w->store;
    sx_json data, part, problems;
    char said[512];
    sx_weaviate_begin(w, "graphql");
    sx_buffer_append_string(&store->rest.body, "{\"query\":");
    sx_json_write_string(&store->rest.body, w->graph.data, w->graph.length);
    if (w->graph.failed || !sx_buffer_append_byte(&store->rest.body, '}'))
        return sx_fail_nomem(error, w->graph.length);
    sx_status status = sx_rest_call(&store->rest, "POST", what, store->known, error);
    if (status == SX_E_INVALID) /* 422, when there is no class at all */
        return look_again(w, status, error);
    if (!status)
        status = sx_rest_result(&store->rest, "data", &data, error);
    if (!status && sx_rest_find(&data, verb, &part) && sx_rest_find(&part, store->server_name, found) &&
        sx_json_peek(found) == SX_JSON_ARRAY)
        return SX_OK;
    if (status && status != SX_E_FORMAT)
        return status;
    sx_rest_read(&store->rest, &data);
    if (!sx_rest_find(&data, "errors", &problems)) /* else 200, as to everything */
        return status ? status : sx_rest_odd_answer(&store->rest, error, "has neither a list of \"%s\" nor errors", verb);
    sx_rest_explain(&store->rest, said, sizeof said);
    status = sx_fail(error, SX_E_INVALID, "%s: %s %s: %s", store->base.name, what, store->known, said);
    return look_again(w, status, error);
}

static void write_property(sx_buffer *body, const char *name, const char *type, bool filterable)
{
    sx_buffer_printf(body,
                     "%s{\"name\":\"%s\",\"dataType\":[\"%s\"],\"indexFilterable\":%s,\"indexSearchable\":false,"
                     "\"tokenization\":\"field\"}",
                     body->data[body->length - 1] == '[' ? "" : ",", name, type, filterable ? "true" : "false");
}

static sx_status make(sx_rest_store *store, const char *collection, const sx_vector_space *space, sx_error *error)
{
    sx_weaviate *w = (sx_weaviate *)store;
    sx_buffer *body = &store->rest.body, description = {0};
    const char *similarity = sx_vector_similarity(space), *distance = "cosine";
    char name[SX_REST_NAME_SIZE];
    sx_status status = class_of(w, collection, name, error);
    if (status)
        return status;
    for (size_t i = 0; i < sizeof distances / sizeof *distances; i++)
        if (strcmp(distances[i][1], similarity) == 0)
            distance = distances[i][0];
    bool written = sx_rest_store_write_space(&description, collection, space);
    sx_weaviate_begin(w, "schema");
    sx_buffer_append_byte(body, '{');
    sx_rest_write_member(body, "class", name);
    sx_rest_write_member(body, "description", written ? description.data : NULL);
    sx_buffer_clear(&description);
    sx_buffer_printf(body,
                     ",\"vectorizer\":\"none\",\"vectorIndexType\":\"hnsw\",\"vectorIndexConfig\":{\"distance\":\"%s\","
                     "\"maxConnections\":%u,\"efConstruction\":%u,\"ef\":%u},\"properties\":[",
                     distance, space->m ? space->m : SX_DEFAULT_M,
                     space->ef_construction ? space->ef_construction : SX_DEFAULT_EF_CONSTRUCTION,
                     space->ef_search ? space->ef_search : SX_DEFAULT_EF_SEARCH);
    write_property(body, SX_PROPERTY_ID, "text", false);
    write_property(body, SX_PROPERTY_TEXT, "text", false);
    write_property(body, SX_PROPERTY_DOCUMENT, "text", false);
    write_property(body, SX_PROPERTY_METADATA, "text", false);
    write_property(body, SX_PROPERTY_FILTERS, "text[]", true);
    sx_buffer_append_string(body, "]}");
    return written ? sx_rest_call(&store->rest, "POST", "create", collection, error) : sx_fail_nomem(error, 1);
}

static sx_status find_again(sx_rest_store *store, const char *collection, sx_error *error)
{
    return sx_weaviate_find((sx_weaviate *)store, collection, error);
}

static sx_status weaviate_create(sx_vector_store *store, const char *collection, const sx_vector_space *space, sx_error *error)
{
    return sx_rest_store_create((sx_rest_store *)store, collection, space, find_again, make, error);
}

static sx_status weaviate_describe(sx_vector_store *store, const char *collection, sx_vector_space *space, uint64_t *count,
                                   sx_error *error)
{
    sx_weaviate *w = (sx_weaviate *)store;
    sx_json found, meta;
    uint64_t records = 0;
    sx_rest_store_forget(&w->store);
    sx_status status = sx_weaviate_find(w, collection, error);
    if (!status && count) {
        sx_buffer_reset(&w->graph);
        sx_buffer_printf(&w->graph, "{Aggregate{%s{meta{count}}}}", w->store.server_name);
        status = sx_weaviate_ask(w, "Aggregate", "count", &found, error);
        if (!status && (!sx_json_array(&found) || !sx_json_element(&found) || !sx_rest_find(&found, "meta", &meta) ||
                        !sx_rest_find_count(&meta, "count", &records)))
            status = sx_rest_odd_answer(&w->store.rest, error, "has no \"count\"");
    }
    if (status)
        return status;
    *space = w->store.space;
    if (count)
        *count = records;
    return SX_OK;
}

static sx_status weaviate_drop(sx_vector_store *store, const char *collection, sx_error *error)
{
    sx_weaviate *w = (sx_weaviate *)store;
    char name[SX_REST_NAME_SIZE];
    sx_rest_store_forget(&w->store);
    sx_status status = class_of(w, collection, name, error);
    if (status)
        return status;
    sx_weaviate_begin(w, "schema/");
    sx_rest_add_segment(&w->store.rest, name);
    return sx_rest_drop(&w->store.rest, collection, error);
}

const sx_vector_store_class sx_vector_weaviate = {
    .name = "weaviate",
    .scheme = "weaviate",
    .open = weaviate_open,
    .close = weaviate_close,
    .create = weaviate_create,
    .describe = weaviate_describe,
    .upsert = sx_weaviate_upsert,
    .remove = sx_weaviate_remove,
    .drop = weaviate_drop,
    .query = sx_weaviate_query,
    .scan = sx_weaviate_scan,
};
