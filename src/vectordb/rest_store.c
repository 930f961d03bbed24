/* rest_store.c - opening, closing and making collections, for all stores spoken to by HTTP and JSON. */
#include "rest_store.h"

#include "../base/error.h"

#include <stdlib.h>
#include <string.h>

enum { BYTES_OF_PAGE = 8 << 20 };

void sx_rest_store_forget(sx_rest_store *store)
{
    char **strings[] = {&store->known, &store->server_name, &store->model, &store->space_hash};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        free(*strings[i]);
        *strings[i] = NULL;
    }
    store->ours = false;
    store->space = (sx_vector_space){0};
}

void sx_rest_store_close(sx_vector_store *store)
{
    sx_rest_store *all = (sx_rest_store *)store;
    sx_rest_store_forget(all);
    sx_rest_close(&all->rest);
    free(all->base.name);
    free(all);
}

sx_status sx_rest_store_open(size_t size, const sx_vector_store_class *class, const sx_rest_service *service, const char *url,
                             const sx_vector_store_options *options, sx_vector_store **out, sx_error *error)
{
    *out = NULL;
    sx_rest_store *store = sx_calloc(1, size);
    if (!store)
        return sx_fail_nomem(error, size);
    store->base.class = class;
    sx_status status = sx_rest_open(&store->rest, service, url, options, error);
    if (!status && !(store->base.name = sx_strdup(store->rest.shown)))
        status = sx_fail_nomem(error, strlen(url));
    if (status)
        sx_rest_store_close(&store->base);
    else
        *out = &store->base;
    return status;
}

bool sx_rest_store_knows(const sx_rest_store *store, const char *collection)
{
    return collection && store->known && strcmp(store->known, collection) == 0;
}

sx_status sx_rest_store_know(sx_rest_store *store, const char *collection, const char *name, sx_error *error)
{
    free(store->known);
    free(store->server_name);
    store->known = sx_strdup(collection);
    store->server_name = sx_strdup(name);
    return store->known && store->server_name ? SX_OK : sx_fail_nomem(error, strlen(collection));
}

void sx_rest_store_learn(sx_rest_store *store, const char *description)
{
    sx_json json, ours;
    uint64_t number;
    const char *text = description ? description : "";
    sx_json_begin(&json, text, strlen(text), "description");
    sx_json_skip(&json);
    sx_json_end(&json);
    if (json.problem)
        return;
    sx_json_begin(&json, text, strlen(text), "description");
    if (!sx_rest_find(&json, "sextant", &ours) || sx_json_peek(&ours) != SX_JSON_OBJECT)
        return;
    store->ours = true;
    store->model = sx_rest_find_string(&ours, "model");
    store->space_hash = sx_rest_find_string(&ours, "space");
    store->space.model = store->model;
    store->space.space = store->space_hash;
    if (!store->space.dimensions && sx_rest_find_count(&ours, "dimensions", &number) && number <= UINT32_MAX)
        store->space.dimensions = (uint32_t)number;
    if (sx_rest_find_count(&ours, "ef_search", &number) && number <= UINT32_MAX)
        store->space.ef_search = (uint32_t)number;
}

bool sx_rest_store_write_space(sx_buffer *buffer, const char *collection, const sx_vector_space *space)
{
    sx_buffer_append_string(buffer, "{\"sextant\":{");
    sx_rest_write_member(buffer, "name", collection);
    if (space->model)
        sx_rest_write_member(buffer, "model", space->model);
    if (space->space)
        sx_rest_write_member(buffer, "space", space->space);
    return sx_buffer_printf(buffer, ",\"dimensions\":%u,\"ef_search\":%u}}", space->dimensions,
                            space->ef_search ? space->ef_search : SX_DEFAULT_EF_SEARCH);
}

sx_status sx_rest_store_must_be_ours(const sx_rest_store *store, sx_error *error)
{
    return store->ours ? SX_OK
                       : sx_fail(error, SX_E_UNSUPPORTED, "%s: collection %s was not made by Sextant and can only be read",
                                 store->base.name, store->known);
}

sx_status sx_rest_store_create(sx_rest_store *store, const char *collection, const sx_vector_space *space,
                               sx_rest_find_collection *find, sx_rest_make_collection *make, sx_error *error)
{
    sx_error made = {0}, found = {0};
    sx_status status = sx_rest_check_space(store->base.name, collection, space, "hnsw", error);
    if (!status && space->element && strcmp(space->element, "f32") != 0)
        status = sx_fail(error, SX_E_UNSUPPORTED, "%s: collection %s: elements %s; this server has f32", store->base.name,
                         collection, space->element);
    if (status)
        return status;
    sx_rest_store_forget(store);
    status = find(store, collection, error);
    if (status != SX_E_NOT_FOUND)
        return status ? status : sx_rest_compare_spaces(store->base.name, collection, &store->space, space, error);
    status = make(store, collection, space, &made);
    /* A failure may be a lost answer, or another that made it in this moment. */
    if (!find(store, collection, &found))
        return sx_rest_compare_spaces(store->base.name, collection, &store->space, space, error);
    if (!status)
        made = found;
    if (error)
        *error = made;
    return made.code;
}

uint32_t sx_rest_records_of_page(uint32_t dimensions, uint32_t bytes_of_number, uint32_t most)
{
    uint64_t records = BYTES_OF_PAGE / ((uint64_t)bytes_of_number * (dimensions ? dimensions : 1));
    return records < 1 ? 1 : records > most ? most : (uint32_t)records;
}
