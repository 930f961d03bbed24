/* routes_collections.c - Sextant's own routes: collections, adding documents to them and taking them out, searching.
 *
 * What is answered with 200 is durable: a document that was added is found again after the process was killed and started anew.
 */
#include "embed_call.h"
#include "hits_json.h"

#include "../base/error.h"
#include "../base/json_writer.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_HITS = 1000, LONGEST_NAME = 255, MOST_FILTERS = 64, MOST_PROBLEMS = 100, RETRY_NS = 20000000 };
static const int64_t lease_wait_ns = 10000000000;

/* ---- Shared ---- */

/* A text as a C string in the request's arena; false and an error for one with NUL in it. */
static bool as_string(sx_embed_call *call, sx_text text, const char *name, char **out)
{
    *out = NULL;
    if (memchr(text.data, 0, text.length)) {
        sx_api_invalid(call->request, call->response, name, "%s holds a NUL", name);
        call->failed = true;
        return false;
    }
    *out = sx_arena_strndup(&call->request->arena, text.data, text.length);
    if (!*out) {
        sx_api_fail(call->request, call->response, 503, NULL, NULL, "no memory for the request");
        call->failed = true;
    }
    return *out;
}

static bool read_c_string(sx_embed_call *call, sx_json *json, const char *name, char **out)
{
    sx_text text = {NULL, 0};
    return sx_embed_read_string(call, json, &text) && (!text.data || as_string(call, text, name, out));
}

bool sx_is_collection_name(sx_text name)
{
    if (!name.length || name.length > LONGEST_NAME || name.data[0] == '.')
        return false;
    for (size_t i = 0; i < name.length; i++)
        if ((unsigned char)name.data[i] < ' ' || name.data[i] == 0x7f || name.data[i] == '/')
            return false;
    return true;
}

/* The collection that the path names. */
static bool path_name(sx_request *request, sx_response *response, char **name)
{
    sx_text text = request->captured[0];
    *name = sx_is_collection_name(text) ? sx_arena_strndup(&request->arena, text.data, text.length) : NULL;
    if (*name)
        return true;
    sx_api_fail(request, response, 404, NULL, "not_found", "no collection can have this name");
    return false;
}

static void fail_with(sx_request *request, sx_response *response, const sx_error *error)
{
    sx_api_fail_error(request, response, NULL, error);
}

/* The row of a collection in the list; NULL: SX_E_NOT_FOUND. */
static const sx_collection_info *find(const sx_database_status *there, const char *name, sx_error *error)
{
    for (size_t i = 0; there && i < there->collection_count; i++)
        if (strcmp(there->collections[i].name, name) == 0)
            return &there->collections[i];
    sx_fail(error, SX_E_NOT_FOUND, "collection %s: not found", name);
    sx_hint(error, "GET /v1/collections lists those there are; POST /v1/collections makes one");
    return NULL;
}

/* Whether what was done to a collection was done; else the client is told. */
static bool went_well(sx_request *request, sx_response *response, const char *name, sx_status status, sx_error *error)
{
    if (status == SX_E_NOT_FOUND)
        find(NULL, name, error);
    if (status)
        fail_with(request, response, error);
    return !status;
}

/* A database that is not there holds no collections. */
static sx_status lend_or_none(sx_server *server, sx_lent_database **lent, sx_error *error)
{
    sx_status status = sx_database_lend(server->readers, false, lent, error);
    return status == SX_E_NOT_FOUND ? SX_OK : status;
}

/* An embedder for a collection, which must exist. */
static sx_status open_embedder(sx_server *server, sx_request *request, sx_database_pool *pool, sx_lent_database *lent,
                               const char *name, sx_embedder **embedder, sx_error *error)
{
    sx_database_status *there = NULL;
    const sx_collection_info *info = NULL;
    *embedder = NULL;
    sx_status status = lent ? sx_database_list(lent->database, &there, error) : SX_OK;
    if (!status && !(info = find(there, name, error)))
        status = SX_E_NOT_FOUND;
    if (!status)
        status = sx_lent_embedder(pool, lent, info->model, info->dimensions, embedder, &request->model, error);
    sx_database_status_free(there);
    return status;
}

/* ---- Collections ---- */

static void member(sx_buffer *to, const char *before, const char *text)
{
    sx_buffer_append_string(to, before);
    sx_json_write_string(to, text, text ? strlen(text) : 0);
}

const char *sx_shown_model(const sx_server *server, const char *model)
{
    const char *name = sx_served_models_name(server->models, (sx_text){model, strlen(model)});
    return name ? name : model[0] == '/' ? strrchr(model, '/') + 1 : model;
}

static void write_collection(sx_server *server, const sx_collection_info *info, bool counted, sx_buffer *to)
{
    member(to, "{\"name\":", info->name);
    member(to, ",\"model\":", sx_shown_model(server, info->model));
    member(to, ",\"space\":", info->space);
    sx_buffer_printf(to, ",\"dimensions\":%u", info->dimensions);
    if (counted)
        sx_buffer_printf(to,
                         ",\"documents\":%llu,\"chunks\":%llu,\"vectors\":%llu,\"pending\":%llu,\"failed\":%llu,\"bytes\":%llu",
                         (unsigned long long)info->documents, (unsigned long long)info->chunks, (unsigned long long)info->vectors,
                         (unsigned long long)info->pending, (unsigned long long)info->failed, (unsigned long long)info->bytes);
    if (info->moving_to) {
        member(to, ",\"moving_to\":", sx_shown_model(server, info->moving_to));
        sx_buffer_printf(to, ",\"moved\":%llu", (unsigned long long)info->moved);
    }
    sx_buffer_append_byte(to, '}');
}

static void list(sx_server *server, sx_request *request, sx_response *response)
{
    sx_error error = {0};
    sx_lent_database *lent = NULL;
    sx_database_status *there = NULL;
    sx_text counts = {"", 0};
    sx_request_parameter(request, "counts", &counts);
    bool counted = !sx_text_is(counts, "false") && !sx_text_is(counts, "0");
    sx_status status = lend_or_none(server, &lent, &error);
    if (!status && lent)
        status =
            counted ? sx_database_describe(lent->database, &there, &error) : sx_database_list(lent->database, &there, &error);
    sx_database_return(server->readers, lent);
    if (status) {
        fail_with(request, response, &error);
    } else {
        sx_buffer_append_string(&response->body, "{\"collections\":[");
        for (size_t i = 0; there && i < there->collection_count; i++) {
            if (i)
                sx_buffer_append_byte(&response->body, ',');
            write_collection(server, &there->collections[i], counted, &response->body);
        }
        sx_buffer_append_string(&response->body, "]}");
    }
    sx_database_status_free(there);
}

static void show(sx_server *server, sx_request *request, sx_response *response)
{
    sx_error error = {0};
    sx_lent_database *lent = NULL;
    sx_database_status *there = NULL;
    const sx_collection_info *info = NULL;
    char *name;
    if (!path_name(request, response, &name))
        return;
    sx_status status = lend_or_none(server, &lent, &error);
    if (!status && lent)
        status = sx_database_describe(lent->database, &there, &error);
    sx_database_return(server->readers, lent);
    if (!status && !(info = find(there, name, &error)))
        status = SX_E_NOT_FOUND;
    if (status)
        fail_with(request, response, &error);
    else
        write_collection(server, info, true, &response->body);
    sx_database_status_free(there);
}

/* {"strategy","size","overlap","unit","header"} */
static bool read_chunking(sx_embed_call *call, sx_json *json, sx_chunk_options *options)
{
    sx_text key;
    sx_buffer names = {.maximum = 256};
    uint64_t size = 0;
    int64_t overlap = 0;
    int header = 1;
    char *strategy = NULL, *unit = NULL;
    bool good = sx_json_object(json);
    while (good && sx_json_member(json, &names, &key)) {
        if (sx_text_is(key, "strategy"))
            good = read_c_string(call, json, "strategy", &strategy);
        else if (sx_text_is(key, "unit"))
            good = read_c_string(call, json, "unit", &unit);
        else if (sx_text_is(key, "size"))
            good = sx_json_unsigned(json, &size) && (size <= 1 << 30 || sx_json_reject(json, "size is out of range"));
        else if (sx_text_is(key, "overlap"))
            good = sx_json_integer(json, &overlap) &&
                   ((overlap >= -1 && overlap <= 1 << 30) || sx_json_reject(json, "overlap is out of range"));
        else if (sx_text_is(key, "header"))
            good = sx_embed_read_boolean(json, &header);
        else
            good = sx_json_reject(json, "chunks have strategy, size, overlap, unit and header");
    }
    sx_buffer_clear(&names);
    *options = (sx_chunk_options){.size = sizeof *options,
                                  .strategy = strategy,
                                  .chunk_size = (uint32_t)size,
                                  .overlap = (int32_t)overlap,
                                  .unit = unit,
                                  .no_header = !header};
    return good && !json->problem && !call->failed;
}

static sx_status make(sx_server *server, sx_request *request, const char *name, const char *model, const sx_chunk_options *chunk,
                      sx_database_status **there, sx_error *error)
{
    sx_lent_database *lent = NULL;
    sx_embedder *embedder = NULL;
    sx_index_report *report = NULL;
    sx_error ignored;
    sx_status status = sx_database_lend(server->writers, true, &lent, error);
    if (!status)
        status = sx_database_list(lent->database, there, error);
    if (!status && find(*there, name, &ignored))
        status = sx_fail(error, SX_E_EXISTS, "collection %s: is there already", name);
    if (!status)
        status = sx_lent_embedder(server->writers, lent, model, 0, &embedder, &request->model, error);
    if (!status) {
        sx_add_options options = {.size = sizeof options, .collection = name, .chunk = *chunk, .no_wait = 1};
        status = sx_add(lent->database, embedder, NULL, 0, &options, &report, error);
    }
    sx_database_status_free(*there);
    *there = NULL;
    if (!status)
        status = sx_database_list(lent->database, there, error);
    sx_index_report_free(report);
    sx_database_return(server->writers, lent);
    return status;
}

static void create(sx_server *server, sx_request *request, sx_response *response)
{
    sx_embed_call call;
    sx_json json;
    sx_text key, name = {NULL, 0};
    sx_error error = {0};
    sx_database_status *there = NULL;
    sx_chunk_options chunk = {0};
    char *model = NULL;
    bool good = true;
    sx_embed_call_begin(&call, server, request, response, NULL);
    if (sx_embed_body_begins(&call, &json))
        while (good && sx_embed_body_member(&call, &json, &key)) {
            if (sx_text_is(key, "name"))
                good = sx_embed_read_string(&call, &json, &name);
            else if (sx_text_is(key, "model"))
                good = read_c_string(&call, &json, "model", &model);
            else if (sx_text_is(key, "chunks"))
                good = read_chunking(&call, &json, &chunk);
            else
                good = sx_json_reject(&json, "a collection has name, model and chunks");
        }
    if (!call.failed && sx_embed_body_closes(&call, &json)) {
        sx_text wanted = {model, model ? strlen(model) : 0};
        char *text = sx_is_collection_name(name) ? sx_arena_strndup(&request->arena, name.data, name.length) : NULL;
        if (!text)
            sx_api_invalid(request, response, "name",
                           "name is missing, or no name: 1 to %d bytes, without / and not beginning with .", LONGEST_NAME);
        else if (model && !sx_served_models_has(server->models, wanted))
            sx_api_fail(request, response, 404, "model", "not_found", "model '%.200s' is not served here", model);
        else if (make(server, request, text, model ? model : server->default_model, &chunk, &there, &error))
            fail_with(request, response, &error);
        else if (!find(there, text, &error))
            fail_with(request, response, &error); /* deleted by somebody else in between */
        else {
            response->status = 201;
            write_collection(server, find(there, text, &error), false, &response->body);
        }
    }
    sx_database_status_free(there);
    sx_embed_call_end(&call);
}

static void delete_collection(sx_server *server, sx_request *request, sx_response *response)
{
    sx_error error = {0};
    sx_lent_database *lent = NULL;
    char *name;
    if (!path_name(request, response, &name))
        return;
    sx_status status = sx_database_lend(server->writers, false, &lent, &error);
    if (!status)
        status = sx_collection_delete(lent->database, name, &error);
    sx_database_return(server->writers, lent);
    if (!went_well(request, response, name, status, &error))
        return;
    member(&response->body, "{\"deleted\":", name);
    sx_buffer_append_byte(&response->body, '}');
}

/* ---- Documents ---- */

typedef struct documents {
    sx_new_document *list;
    size_t count, capacity;
} documents;

static bool read_metadata(sx_embed_call *call, sx_json *json, char **metadata)
{
    sx_text raw;
    if (sx_json_null(json))
        return true;
    if (sx_json_peek(json) != SX_JSON_OBJECT)
        return sx_json_reject(json, "expected an object");
    return sx_json_raw(json, &raw) && as_string(call, raw, "metadata", metadata);
}

static bool read_document(sx_embed_call *call, sx_json *json, documents *to)
{
    sx_text key, text = {NULL, 0};
    sx_buffer names = {.maximum = 256};
    char *id = NULL, *media_type = NULL, *metadata = NULL;
    bool good = sx_json_object(json);
    while (good && sx_json_member(json, &names, &key)) {
        if (sx_text_is(key, "id"))
            good = read_c_string(call, json, "id", &id);
        else if (sx_text_is(key, "text"))
            good = sx_embed_read_string(call, json, &text);
        else if (sx_text_is(key, "media_type"))
            good = read_c_string(call, json, "media_type", &media_type);
        else if (sx_text_is(key, "metadata"))
            good = read_metadata(call, json, &metadata);
        else
            good = sx_json_reject(json, "a document has id, text, media_type and metadata");
    }
    sx_buffer_clear(&names);
    if (!good || json->problem || call->failed)
        return false;
    if (!id || !text.data)
        return sx_json_reject(json, "a document without id or text");
    if (!sx_reserve((void **)&to->list, &to->capacity, to->count + 1, sizeof *to->list))
        return sx_json_reject(json, "no memory for so many documents");
    to->list[to->count++] = (sx_new_document){.id = id, .text = text, .media_type = media_type, .metadata = metadata};
    return true;
}

static bool read_documents(sx_embed_call *call, sx_json *json, documents *to)
{
    size_t most = call->server->options.max_inputs;
    bool good = sx_json_array(json);
    while (good && sx_json_element(json))
        good = to->count < most ? read_document(call, json, to)
                                : sx_json_reject(json, "more documents than --max-client-batch-size");
    return good && !json->problem;
}

/* Somebody else may be indexing the collection; that is waited for, for a while. */
static bool wait_again(const sx_server *server, const sx_request *request, int64_t since_ns)
{
    int64_t now = sx_system_clock.monotonic_ns(sx_system_clock.user);
    if (now - since_ns > lease_wait_ns || atomic_load(&request->gone) || atomic_load(&server->stopping))
        return false;
    sx_system_clock.sleep_ns(RETRY_NS, sx_system_clock.user);
    return true;
}

static void add_documents(sx_server *server, sx_embed_call *call, const char *name, const documents *given)
{
    sx_error error = {0};
    sx_lent_database *lent = NULL;
    sx_embedder *embedder = NULL;
    sx_index_report *report = NULL;
    sx_request *request = call->request;
    sx_buffer *to = &call->response->body;
    sx_add_options options = {.size = sizeof options, .collection = name, .no_wait = 1};
    int64_t start = sx_system_clock.monotonic_ns(sx_system_clock.user);
    sx_status status = sx_database_lend(server->writers, false, &lent, &error);
    if (status == SX_E_NOT_FOUND)
        find(NULL, name, &error);
    if (!status)
        status = open_embedder(server, request, server->writers, lent, name, &embedder, &error);
    while (!status) {
        sx_index_report_free(report);
        status = sx_add(lent->database, embedder, given->list, given->count, &options, &report, &error);
        if (status != SX_E_BUSY || !wait_again(server, request, start))
            break;
        status = SX_OK;
    }
    sx_database_return(server->writers, lent);
    if (status) {
        fail_with(request, call->response, &error);
    } else {
        request->inputs = given->count;
        request->tokens = report->tokens;
        request->cached = report->chunks.cached;
        member(to, "{\"collection\":", name);
        sx_buffer_append_byte(to, ',');
        sx_report_write_members(to, report, MOST_PROBLEMS, "id");
        sx_buffer_append_byte(to, '}');
    }
    sx_index_report_free(report);
}

static void add(sx_server *server, sx_request *request, sx_response *response)
{
    sx_embed_call call;
    sx_json json;
    sx_text key;
    documents given = {0};
    char *name;
    bool good = true;
    if (!path_name(request, response, &name))
        return;
    sx_embed_call_begin(&call, server, request, response, NULL);
    if (sx_embed_body_begins(&call, &json))
        while (good && sx_embed_body_member(&call, &json, &key)) {
            if (sx_text_is(key, "documents"))
                good = read_documents(&call, &json, &given);
            else
                good = sx_json_reject(&json, "the body has documents");
        }
    if (!call.failed && sx_embed_body_closes(&call, &json)) {
        if (given.count)
            add_documents(server, &call, name, &given);
        else
            sx_api_invalid(request, response, "documents", "documents is missing or empty");
    }
    free(given.list);
    sx_embed_call_end(&call);
}

static void remove_documents(sx_server *server, sx_request *request, sx_response *response, const char *name,
                             const char *const *ids, size_t count)
{
    sx_error error = {0};
    sx_lent_database *lent = NULL;
    uint64_t removed = 0;
    int64_t start = sx_system_clock.monotonic_ns(sx_system_clock.user);
    sx_status status = sx_database_lend(server->writers, false, &lent, &error);
    if (!status)
        do
            status = sx_remove_added(lent->database, name, ids, count, &removed, &error);
        while (status == SX_E_BUSY && wait_again(server, request, start));
    sx_database_return(server->writers, lent);
    if (!went_well(request, response, name, status, &error))
        return;
    member(&response->body, "{\"collection\":", name);
    sx_buffer_printf(&response->body, ",\"removed\":%llu}", (unsigned long long)removed);
}

static void remove_many(sx_server *server, sx_request *request, sx_response *response)
{
    sx_embed_call call;
    sx_json json;
    sx_text key;
    const char **ids = NULL;
    size_t count = 0, capacity = 0;
    char *name;
    bool good = true;
    if (!path_name(request, response, &name))
        return;
    sx_embed_call_begin(&call, server, request, response, NULL);
    if (sx_embed_body_begins(&call, &json))
        while (good && sx_embed_body_member(&call, &json, &key)) {
            good = sx_text_is(key, "ids") ? sx_json_array(&json) : sx_json_reject(&json, "the body has ids");
            while (good && sx_json_element(&json)) {
                char *id = NULL;
                good = read_c_string(&call, &json, "ids", &id) && (id || sx_json_reject(&json, "expected a text")) &&
                       (sx_reserve((void **)&ids, &capacity, count + 1, sizeof *ids) || sx_json_reject(&json, "no memory"));
                if (good)
                    ids[count++] = id;
            }
        }
    if (!call.failed && sx_embed_body_closes(&call, &json)) {
        if (count)
            remove_documents(server, request, response, name, ids, count);
        else
            sx_api_invalid(request, response, "ids", "ids is missing or empty");
    }
    free(ids);
    sx_embed_call_end(&call);
}

static void remove_one(sx_server *server, sx_request *request, sx_response *response)
{
    char *name;
    if (!path_name(request, response, &name))
        return;
    const char *id = sx_arena_strndup(&request->arena, request->captured[1].data, request->captured[1].length);
    if (id)
        remove_documents(server, request, response, name, &id, 1);
    else
        sx_api_fail(request, response, 503, NULL, NULL, "no memory for the request");
}

/* ---- Search ---- */

typedef struct search_body {
    sx_text query;
    sx_search_options options;
    const char *filters[MOST_FILTERS];
    sx_text model_name; /* of the cross-encoder */
} search_body;

static bool read_count(sx_json *json, uint32_t *to)
{
    uint64_t count;
    if (sx_json_null(json))
        return true;
    if (!sx_json_unsigned(json, &count))
        return false;
    *to = (uint32_t)count;
    return (count && count <= MOST_HITS) || sx_json_reject(json, "expected a number from 1 to 1000");
}

static bool read_filters(sx_embed_call *call, sx_json *json, search_body *body)
{
    if (sx_json_null(json))
        return true;
    bool good = sx_json_array(json);
    body->options.filter_count = 0;
    while (good && sx_json_element(json)) {
        char *filter = NULL;
        if (body->options.filter_count == MOST_FILTERS)
            return sx_json_reject(json, "more than 64 filters");
        good = read_c_string(call, json, "filters", &filter) && (filter || sx_json_reject(json, "expected a text"));
        if (good)
            body->filters[body->options.filter_count++] = filter;
    }
    return good && !json->problem;
}

static bool read_word(sx_embed_call *call, sx_json *json, const char *name, const char **to)
{
    char *word = NULL;
    bool good = read_c_string(call, json, name, &word);
    *to = word;
    return good;
}

static bool read_search_member(sx_embed_call *call, sx_json *json, sx_text key, search_body *body)
{
    sx_search_options *options = &body->options;
    if (sx_text_is(key, "query"))
        return sx_embed_read_string(call, json, &body->query);
    if (sx_text_is(key, "count"))
        return read_count(json, &options->count);
    if (sx_text_is(key, "mode"))
        return read_word(call, json, "mode", &options->mode);
    if (sx_text_is(key, "type"))
        return read_word(call, json, "type", &options->type);
    if (sx_text_is(key, "rerank"))
        return read_word(call, json, "rerank", &options->rerank);
    if (sx_text_is(key, "rerank_model"))
        return sx_embed_read_string(call, json, &body->model_name);
    if (sx_text_is(key, "rerank_count"))
        return read_count(json, &options->rerank_count);
    if (sx_text_is(key, "filters"))
        return read_filters(call, json, body);
    if (sx_text_is(key, "prefer"))
        return read_word(call, json, "prefer", &options->prefer);
    if (sx_text_is(key, "threshold")) {
        options->has_threshold = !sx_json_null(json);
        return !options->has_threshold || sx_json_number(json, &options->threshold);
    }
    if (sx_text_is(key, "join"))
        return sx_embed_read_boolean(json, &options->join_neighbours);
    if (sx_text_is(key, "keep_duplicates"))
        return sx_embed_read_boolean(json, &options->keep_duplicates);
    if (sx_text_is(key, "exact"))
        return sx_embed_read_boolean(json, &options->exact);
    return sx_json_reject(json, "no option of a search has this name");
}

typedef struct search_run {
    sx_database *database;
    sx_embedder *embedder;
    search_body *body;
    sx_hits *hits;
} search_run;

static sx_status search_now(sx_session *cross_encoder, void *user, sx_error *error)
{
    search_run *run = user;
    run->body->options.cross_encoder = cross_encoder;
    return sx_search(run->database, run->embedder, run->body->query, &run->body->options, &run->hits, error);
}

/* The model that re-ranks reads query and passages together: its session is borrowed for as long as the search takes. */
static sx_status search_with_model(sx_server *server, sx_request *request, search_run *run, sx_error *error)
{
    sx_served_model *model = NULL;
    sx_status status = sx_served_models_acquire(server->models, run->body->model_name, SX_OUTPUT_SCORES, &model, error);
    if (!status)
        status = sx_batcher_exclusive(model->batcher, request->connection, &request->gone, search_now, run, error);
    sx_served_models_release(server->models, model);
    return status;
}

static void run_search(sx_server *server, sx_request *request, sx_response *response, const char *name, search_body *body)
{
    sx_error error = {0};
    sx_lent_database *lent = NULL;
    search_run run = {.body = body};
    sx_search_options *options = &body->options;
    options->size = sizeof *options;
    options->collection = name;
    options->filters = body->filters;
    bool by_words = options->mode && strcmp(options->mode, "keyword") == 0 && !options->has_threshold;
    sx_status status = lend_or_none(server, &lent, &error);
    if (!status && (!lent || !by_words))
        status = open_embedder(server, request, server->readers, lent, name, &run.embedder, &error);
    if (!status) {
        run.database = lent->database;
        if (options->rerank && strcmp(options->rerank, "model") == 0)
            status = search_with_model(server, request, &run, &error);
        else
            status = search_now(NULL, &run, &error);
    }
    sx_database_return(server->readers, lent);
    if (status) {
        fail_with(request, response, &error);
        return;
    }
    sx_buffer_append_byte(&response->body, '{');
    sx_hits_write_members(&response->body, body->query, run.hits);
    sx_buffer_append_byte(&response->body, '}');
    request->inputs = 1;
    sx_hits_free(run.hits);
}

static void search(sx_server *server, sx_request *request, sx_response *response)
{
    sx_embed_call call;
    sx_json json;
    sx_text key;
    search_body body = {.model_name = {"", 0}};
    char *name;
    if (!path_name(request, response, &name))
        return;
    sx_embed_call_begin(&call, server, request, response, NULL);
    if (sx_embed_body_begins(&call, &json))
        while (sx_embed_body_member(&call, &json, &key) && read_search_member(&call, &json, key, &body))
            continue;
    if (!call.failed && sx_embed_body_closes(&call, &json)) {
        if (!body.query.data || !body.query.length)
            sx_api_invalid(request, response, "query", "query is missing or empty");
        else
            run_search(server, request, response, name, &body);
    }
    sx_embed_call_end(&call);
}

const sx_route sx_routes_collections[] = {
    {"GET", "/v1/collections", SX_FORM_SEXTANT, 0, list},
    {"POST", "/v1/collections", SX_FORM_SEXTANT, 0, create},
    {"GET", "/v1/collections/{NAME}", SX_FORM_SEXTANT, 0, show},
    {"DELETE", "/v1/collections/{NAME}", SX_FORM_SEXTANT, 0, delete_collection},
    {"POST", "/v1/collections/{NAME}/documents", SX_FORM_SEXTANT, 0, add},
    {"DELETE", "/v1/collections/{NAME}/documents", SX_FORM_SEXTANT, 0, remove_many},
    {"DELETE", "/v1/collections/{NAME}/documents/{ID*}", SX_FORM_SEXTANT, 0, remove_one},
    {"POST", "/v1/collections/{NAME}/search", SX_FORM_SEXTANT, 0, search},
    {NULL, NULL, SX_FORM_SEXTANT, 0, NULL},
};
