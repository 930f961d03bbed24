/* routes_jobs.c - indexing jobs, over the folders that the server's owner has named, and what the server is doing.
 *
 * A request only ever says a source's name: no path from a request reaches the file system.
 */
#include "embed_call.h"

#include "../base/error.h"
#include "../base/json_writer.h"

#include <string.h>

static void list(sx_server *server, sx_request *request, sx_response *response)
{
    sx_index_jobs_write_all(server->jobs, &response->body);
}

static void start(sx_server *server, sx_request *request, sx_response *response)
{
    sx_embed_call call;
    sx_json json;
    sx_text key, source = {NULL, 0}, collection = {NULL, 0};
    sx_error error = {0};
    uint64_t id = 0;
    bool good = true;
    sx_embed_call_begin(&call, server, request, response, NULL);
    if (sx_embed_body_begins(&call, &json))
        while (good && sx_embed_body_member(&call, &json, &key)) {
            if (sx_text_is(key, "source"))
                good = sx_embed_read_string(&call, &json, &source);
            else if (sx_text_is(key, "collection"))
                good = sx_embed_read_string(&call, &json, &collection);
            else
                good = sx_json_reject(&json, "a job has source and collection");
        }
    if (!call.failed && sx_embed_body_closes(&call, &json)) {
        if (!collection.data)
            collection = source;
        if (!source.length) {
            sx_api_invalid(request, response, "source", "source is missing or empty");
        } else if (!sx_is_collection_name(collection)) {
            sx_api_invalid(request, response, "collection", "collection is no name of a collection");
        } else if (sx_index_jobs_start(server->jobs, source, collection, &id, &error)) {
            sx_api_fail_error(request, response, "source", &error);
        } else {
            response->status = 202;
            sx_response_header(response, "location", "/v1/jobs/%llu", (unsigned long long)id);
            sx_index_jobs_write(server->jobs, id, &response->body);
        }
    }
    sx_embed_call_end(&call);
}

/* 0: no number. */
static uint64_t path_id(const sx_request *request)
{
    uint64_t id = 0;
    sx_text text = request->captured[0];
    if (text.length > 18)
        return 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return 0;
        id = id * 10 + (uint64_t)(text.data[i] - '0');
    }
    return id;
}

static void write_job(sx_server *server, sx_request *request, sx_response *response)
{
    if (!sx_index_jobs_write(server->jobs, path_id(request), &response->body))
        sx_api_fail(request, response, 404, NULL, "not_found", "no such job");
}

static void cancel(sx_server *server, sx_request *request, sx_response *response)
{
    sx_error error = {0};
    if (sx_index_jobs_cancel(server->jobs, path_id(request), &error))
        sx_api_fail_error(request, response, NULL, &error);
    else
        write_job(server, request, response);
}

/* ---- What the server is doing ---- */

static void write_model(sx_server *server, size_t index, sx_buffer *to)
{
    sx_served_model_listing listing;
    sx_batcher_figures figures = {0};
    sx_served_models_describe(server->models, index, &listing);
    sx_served_models_batcher(server->models, index, &figures);
    sx_buffer_append_string(to, "{\"name\":");
    sx_json_write_string(to, listing.name, strlen(listing.name));
    sx_buffer_printf(to, ",\"loaded\":%s", listing.loaded ? "true" : "false");
    if (listing.known)
        sx_buffer_printf(to,
                         ",\"kind\":\"%s\",\"family\":\"%s\",\"precision\":\"%s\",\"dimensions\":%u,\"max_length\":%u,"
                         "\"parameters\":%llu,\"bytes\":%llu",
                         listing.kind, listing.family, listing.precision, listing.dimensions, listing.max_length,
                         (unsigned long long)listing.parameters, (unsigned long long)listing.bytes);
    sx_buffer_printf(to, ",\"queued\":%llu,\"batches\":%llu,\"texts\":%llu,\"tokens\":%llu}",
                     (unsigned long long)figures.queued_texts, (unsigned long long)figures.batches,
                     (unsigned long long)figures.texts, (unsigned long long)figures.tokens);
}

static void status(sx_server *server, sx_request *request, sx_response *response)
{
    sx_http_figures figures;
    sx_buffer *to = &response->body;
    sx_http_server_describe(server->http, &figures);
    double up = (double)(sx_system_clock.monotonic_ns(sx_system_clock.user) - server->started_ns) / 1e9;
    sx_buffer_printf(to, "{\"version\":\"%s\",\"uptime\":%.3f,\"connections\":%u,\"requests\":%u,\"models\":[", sx_version(), up,
                     figures.connections, figures.handlers);
    for (size_t i = 0; i < sx_served_models_count(server->models); i++) {
        if (i)
            sx_buffer_append_byte(to, ',');
        write_model(server, i, to);
    }
    sx_buffer_append_string(to, "]}");
}

const sx_route sx_routes_jobs[] = {
    {"GET", "/v1/jobs", SX_FORM_SEXTANT, 0, list},           {"POST", "/v1/jobs", SX_FORM_SEXTANT, 0, start},
    {"GET", "/v1/jobs/{ID}", SX_FORM_SEXTANT, 0, write_job}, {"DELETE", "/v1/jobs/{ID}", SX_FORM_SEXTANT, 0, cancel},
    {"GET", "/v1/status", SX_FORM_SEXTANT, 0, status},       {NULL, NULL, SX_FORM_SEXTANT, 0, NULL},
};
