/* chroma.c - Chroma (1.x, HTTP API v2) as a store of vectors: chroma://HOST[:PORT][/TENANT/DATABASE].
 *
 * A collection is found by its name and then addressed by its UUID, which is remembered until the server no longer knows it.
 * What Chroma itself does not keep (model, space, the number of dimensions before the first record) is in the collection's
 * metadata. chroma_records.c puts records in and gets them out.
 */
#include "chroma_internal.h"

#include "../base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_BATCH = 50 }; /* as the clients of Chroma that came before Sextant use */

static const sx_rest_service service = {"chroma", 8000, 443, "x-chroma-token: ", NULL};
static const char name_prefix[] = "sextant-";

static void chroma_close(sx_vector_store *store)
{
    sx_chroma *c = (sx_chroma *)store;
    sx_rest_close(&c->rest);
    sx_arena_clear(&c->strings);
    free(c->collections);
    free(c->name);
    free(c->id);
    free(c->base.name);
    free(c);
}

/* Behind the host stands nothing, a database of the default tenant, or TENANT/DATABASE. */
static sx_status find_database(sx_chroma *c, sx_error *error)
{
    const char *path = c->rest.url_path, *slash = strchr(path, '/');
    const char *database = slash ? slash + 1 : *path ? path : "default_database";
    if (slash && (slash == path || strchr(slash + 1, '/')))
        return sx_fail(error, SX_E_INVALID, "%s: behind the host stands nothing, or TENANT/DATABASE", c->base.name);
    int tenant = slash ? (int)(slash - path) : (int)strlen("default_tenant");
    if (asprintf(&c->collections, "/api/v2/tenants/%.*s/databases/%s/collections", tenant, slash ? path : "default_tenant",
                 database) < 0) {
        c->collections = NULL;
        return sx_fail_nomem(error, strlen(path));
    }
    return SX_OK;
}

static sx_status chroma_open(const char *url, const sx_vector_store_options *options, sx_vector_store **out, sx_error *error)
{
    *out = NULL;
    sx_chroma *c = sx_calloc(1, sizeof *c);
    if (!c)
        return sx_fail_nomem(error, sizeof *c);
    c->base.class = &sx_vector_chroma;
    sx_status status = sx_rest_open(&c->rest, &service, url, options, error);
    if (!status) {
        c->base.name = sx_strdup(c->rest.shown);
        status = c->base.name ? find_database(c, error) : sx_fail_nomem(error, strlen(url));
    }
    if (status)
        chroma_close(&c->base);
    else
        *out = &c->base;
    return status;
}

/* ---- Collections ---- */

static void forget(sx_chroma *c)
{
    free(c->name);
    free(c->id);
    c->name = c->id = NULL;
    sx_arena_clear(&c->strings);
    c->space = (sx_vector_space){0};
}

/* A string kept with the collection; NULL when the value is none. */
static void read_kept(sx_chroma *c, sx_json *json, const char **kept)
{
    sx_buffer buffer = {0};
    sx_text value;
    if (sx_json_peek(json) != SX_JSON_STRING) {
        sx_json_skip(json);
        return;
    }
    if (sx_json_string(json, &buffer, &value) && !(*kept = sx_arena_strndup(&c->strings, value.data, value.length)))
        sx_json_reject(json, "no memory for it");
    sx_buffer_clear(&buffer);
}

static void read_count(sx_json *json, uint32_t *count)
{
    uint64_t number = 0;
    if (sx_json_peek(json) != SX_JSON_NUMBER)
        sx_json_skip(json);
    else if (sx_json_unsigned(json, &number) && number > UINT32_MAX)
        sx_json_reject(json, "a number that is too large");
    if (number)
        *count = (uint32_t)number;
}

static void read_settings(sx_chroma *c, sx_json *json)
{
    static const struct { const char *theirs, *ours; } names[] = {{"cosine", "cosine"}, {"ip", "dot"}, {"l2", "l2"}};
    sx_buffer buffer = {0};
    sx_text key;
    const char *space = NULL;
    sx_json_object(json);
    while (sx_json_member(json, &buffer, &key))
        if (sx_text_is(key, "space"))
            read_kept(c, json, &space);
        else if (sx_text_is(key, "ef_construction"))
            read_count(json, &c->space.ef_construction);
        else if (sx_text_is(key, "ef_search") || sx_text_is(key, "search_ef"))
            read_count(json, &c->space.ef_search);
        else if (sx_text_is(key, "max_neighbors"))
            read_count(json, &c->space.m);
        else
            sx_json_skip(json);
    for (size_t i = 0; space && i < sizeof names / sizeof *names; i++)
        if (strcmp(space, names[i].theirs) == 0)
            c->space.similarity = names[i].ours;
    sx_buffer_clear(&buffer);
}

static void read_configuration(sx_chroma *c, sx_json *json)
{
    sx_buffer buffer = {0};
    sx_text key;
    sx_json_object(json);
    while (sx_json_member(json, &buffer, &key))
        if ((sx_text_is(key, "hnsw") || sx_text_is(key, "spann")) && sx_json_peek(json) == SX_JSON_OBJECT)
            read_settings(c, json);
        else
            sx_json_skip(json);
    sx_buffer_clear(&buffer);
}

static void read_metadata(sx_chroma *c, sx_json *json, uint32_t *dimensions)
{
    sx_buffer buffer = {0};
    sx_text key;
    if (sx_json_null(json))
        return;
    sx_json_object(json);
    while (sx_json_member(json, &buffer, &key))
        if (sx_text_is(key, "sextant_dimensions"))
            read_count(json, dimensions);
        else if (sx_text_is(key, "sextant_model"))
            read_kept(c, json, &c->space.model);
        else if (sx_text_is(key, "sextant_space"))
            read_kept(c, json, &c->space.space);
        else
            sx_json_skip(json);
    sx_buffer_clear(&buffer);
}

/* Takes a collection out of an answer that describes it. */
static sx_status learn(sx_chroma *c, const char *collection, sx_error *error)
{
    sx_json json;
    sx_buffer buffer = {0};
    sx_text key;
    const char *id = NULL;
    uint32_t promised = 0;
    forget(c);
    c->space.element = "f32";
    c->space.index = "hnsw";
    sx_rest_read(&c->rest, &json);
    sx_json_object(&json);
    while (sx_json_member(&json, &buffer, &key))
        if (sx_text_is(key, "id"))
            read_kept(c, &json, &id);
        else if (sx_text_is(key, "configuration_json"))
            read_configuration(c, &json);
        else if (sx_text_is(key, "metadata"))
            read_metadata(c, &json, &promised);
        else if (sx_text_is(key, "dimension"))
            read_count(&json, &c->space.dimensions);
        else
            sx_json_skip(&json);
    sx_json_end(&json);
    sx_buffer_clear(&buffer);
    if (json.problem)
        return sx_rest_bad_answer(&c->rest, &json, error);
    if (!id || strspn(id, "0123456789abcdefABCDEF-") != strlen(id))
        return sx_rest_odd_answer(&c->rest, error, "has no id that is a UUID");
    if (!c->space.similarity)
        return sx_rest_odd_answer(&c->rest, error, "does not say the collection's space: cosine, ip or l2");
    if (!c->space.dimensions) /* nothing was put in yet */
        c->space.dimensions = promised;
    c->name = sx_strdup(collection);
    c->id = sx_strdup(id);
    if (c->name && c->id)
        return SX_OK;
    forget(c);
    return sx_fail_nomem(error, strlen(collection));
}

/* Chroma's own rule; other names are there under a hash. */
static bool is_plain_name(const char *name)
{
    size_t length = strlen(name);
    return sx_rest_is_word(name, 3, 512, "._-") && !strchr("._-", name[0]) &&
           !strchr("._-", name[length - 1]) && !strstr(name, "..");
}

/* The path of the collection by its name. */
static sx_status begin_named(sx_chroma *c, const char *collection, sx_error *error)
{
    char name[SX_REST_NAME_SIZE];
    sx_status status = sx_rest_server_name(c->base.name, collection, is_plain_name, name_prefix, name, error);
    if (status)
        return status;
    sx_rest_begin(&c->rest, c->collections);
    sx_buffer_append_byte(&c->rest.path, '/');
    sx_rest_add_segment(&c->rest, name);
    return SX_OK;
}

sx_status sx_chroma_find(sx_chroma *c, const char *collection, sx_error *error)
{
    if (collection && c->name && strcmp(c->name, collection) == 0)
        return SX_OK;
    sx_status status = begin_named(c, collection, error);
    if (!status)
        status = sx_rest_call(&c->rest, "GET", "look up", collection, error);
    return status ? status : learn(c, collection, error);
}

static void begin_path(sx_chroma *c, const char *verb)
{
    sx_buffer_reset(&c->rest.path);
    sx_buffer_printf(&c->rest.path, "%s/%s/%s", c->collections, c->id, verb);
}

sx_status sx_chroma_call(sx_chroma *c, const char *method, const char *verb, const char *collection, sx_error *error)
{
    begin_path(c, verb);
    sx_status status = sx_rest_call(&c->rest, method, verb, collection, error);
    if (status != SX_E_NOT_FOUND)
        return status;
    char *name = sx_strdup(collection); /* it may be the one that is forgotten now */
    sx_buffer body = c->rest.body;
    c->rest.body = (sx_buffer){0};
    forget(c);
    status = name ? sx_chroma_find(c, name, error) : sx_fail_nomem(error, strlen(collection));
    sx_buffer_clear(&c->rest.body);
    c->rest.body = body;
    if (!status) {
        begin_path(c, verb);
        status = sx_rest_call(&c->rest, method, verb, name, error);
    }
    free(name);
    return status;
}

sx_status sx_chroma_learn_limits(sx_chroma *c, sx_error *error)
{
    sx_json json;
    sx_buffer buffer = {0};
    sx_text key;
    uint32_t most = 0;
    if (c->most)
        return SX_OK;
    sx_rest_begin(&c->rest, "/api/v2/pre-flight-checks");
    sx_status status = sx_rest_call(&c->rest, "GET", "pre-flight checks", NULL, error);
    if (status)
        return status;
    sx_rest_read(&c->rest, &json);
    sx_json_object(&json);
    while (sx_json_member(&json, &buffer, &key))
        if (sx_text_is(key, "max_batch_size"))
            read_count(&json, &most);
        else if (sx_text_is(key, "supports_base64_encoding"))
            sx_json_boolean(&json, &c->base64);
        else
            sx_json_skip(&json);
    sx_json_end(&json);
    sx_buffer_clear(&buffer);
    if (json.problem)
        return sx_rest_bad_answer(&c->rest, &json, error);
    if (!most)
        return sx_rest_odd_answer(&c->rest, error, "has no max_batch_size");
    c->most = c->rest.batch ? c->rest.batch : DEFAULT_BATCH;
    if (c->most > most)
        c->most = most;
    return SX_OK;
}

static sx_status make(sx_chroma *c, const char *collection, const sx_vector_space *space, sx_error *error)
{
    sx_buffer *body = &c->rest.body;
    const char *similarity = sx_vector_similarity(space);
    char name[SX_REST_NAME_SIZE];
    sx_status status = sx_rest_server_name(c->base.name, collection, is_plain_name, name_prefix, name, error);
    if (status)
        return status;
    sx_rest_begin(&c->rest, c->collections);
    sx_buffer_append_byte(body, '{');
    sx_rest_write_member(body, "name", name);
    sx_buffer_printf(body,
                     ",\"get_or_create\":false,\"configuration\":{\"hnsw\":{\"space\":\"%s\",\"max_neighbors\":%u,"
                     "\"ef_construction\":%u,\"ef_search\":%u}},\"metadata\":{\"sextant_dimensions\":%u",
                     strcmp(similarity, "dot") == 0 ? "ip" : similarity, space->m ? space->m : SX_DEFAULT_M,
                     space->ef_construction ? space->ef_construction : SX_DEFAULT_EF_CONSTRUCTION,
                     space->ef_search ? space->ef_search : SX_DEFAULT_EF_SEARCH, space->dimensions);
    sx_rest_write_member(body, "sextant_name", collection);
    if (space->model)
        sx_rest_write_member(body, "sextant_model", space->model);
    if (space->space)
        sx_rest_write_member(body, "sextant_space", space->space);
    sx_buffer_append_string(body, "}}");
    status = sx_rest_call(&c->rest, "POST", "create", collection, error);
    return status ? status : learn(c, collection, error);
}

static sx_status chroma_create(sx_vector_store *store, const char *collection, const sx_vector_space *space, sx_error *error)
{
    sx_chroma *c = (sx_chroma *)store;
    sx_error first = {0};
    sx_status status = sx_rest_check_space(store->name, collection, space, "hnsw", error);
    if (status)
        return status;
    forget(c);
    status = sx_chroma_find(c, collection, &first);
    if (status == SX_E_NOT_FOUND) {
        status = make(c, collection, space, error);
        if (status != SX_E_EXISTS)
            return status;
        status = sx_chroma_find(c, collection, error); /* another made it in this moment, or an answer was lost */
    } else if (status && error) {
        *error = first;
    }
    if (!status)
        status = sx_rest_compare_spaces(store->name, collection, &c->space, space, error);
    if (!status && !c->space.dimensions)
        c->space.dimensions = space->dimensions;
    return status;
}

sx_status sx_chroma_count(sx_chroma *c, const char *collection, uint64_t *count, sx_error *error)
{
    sx_json json;
    sx_buffer_reset(&c->rest.body);
    sx_status status = sx_chroma_call(c, "GET", "count", collection, error);
    if (status)
        return status;
    sx_rest_read(&c->rest, &json);
    return sx_json_unsigned(&json, count) && sx_json_end(&json) ? SX_OK : sx_rest_bad_answer(&c->rest, &json, error);
}

static sx_status chroma_describe(sx_vector_store *store, const char *collection, sx_vector_space *space, uint64_t *count,
                                 sx_error *error)
{
    sx_chroma *c = (sx_chroma *)store;
    uint64_t records = 0;
    forget(c);
    sx_status status = sx_chroma_find(c, collection, error);
    if (!status && count)
        status = sx_chroma_count(c, collection, &records, error);
    if (status)
        return status;
    *space = c->space;
    if (count)
        *count = records;
    return SX_OK;
}

static sx_status chroma_drop(sx_vector_store *store, const char *collection, sx_error *error)
{
    sx_chroma *c = (sx_chroma *)store;
    forget(c);
    sx_status status = begin_named(c, collection, error);
    return status ? status : sx_rest_drop(&c->rest, collection, error);
}

const sx_vector_store_class sx_vector_chroma = {
    .name = "chroma",
    .scheme = "chroma",
    .open = chroma_open,
    .close = chroma_close,
    .create = chroma_create,
    .describe = chroma_describe,
    .upsert = sx_chroma_upsert,
    .remove = sx_chroma_remove,
    .drop = chroma_drop,
    .query = sx_chroma_query,
    .scan = sx_chroma_scan,
};
