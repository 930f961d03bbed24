/* routes_ollama.c - Ollama's /api/embed, the older /api/embeddings, /api/tags and /api/version. */
#include "embed_call.h"

#include "../base/json_writer.h"

#include <string.h>
#include <time.h>

static bool read_member(sx_embed_call *call, sx_json *json, sx_text key)
{
    if (sx_text_is(key, call->input_name))
        return sx_embed_read_inputs(call, json);
    if (sx_text_is(key, "model"))
        return sx_embed_read_string(call, json, &call->model_name);
    if (sx_text_is(key, "truncate"))
        return sx_embed_read_boolean(json, &call->truncate);
    if (sx_text_is(key, "dimensions"))
        return sx_embed_read_dimensions(call, json);
    return sx_json_skip(json);
}

static bool read_body(sx_embed_call *call)
{
    sx_json json;
    sx_text key;
    call->truncate = 1; /* this API's default */
    call->normalize = 1;
    if (!sx_embed_body_begins(call, &json))
        return false;
    while (sx_embed_body_member(call, &json, &key) && read_member(call, &json, key))
        continue;
    /* An empty list loads a model and gives no vectors: clients warm up with it. */
    if (!call->failed && !json.problem && !call->count && sx_json_end(&json)) {
        if (!sx_embed_choose_model(call, SX_OUTPUT_DENSE))
            return false;
        sx_buffer *to = &call->response->body;
        if (strcmp(call->input_name, "prompt") == 0) {
            sx_buffer_append_string(to, "{\"embedding\":[]}");
            return false;
        }
        sx_buffer_append_string(to, "{\"model\":");
        sx_json_write_string(to, call->model->name, strlen(call->model->name));
        sx_buffer_append_string(to, ",\"embeddings\":[]}");
        return false;
    }
    return sx_embed_body_ends(call, &json) && sx_embed_call_run(call);
}

static void embed(sx_server *server, sx_request *request, sx_response *response)
{
    sx_embed_call call;
    sx_embed_call_begin(&call, server, request, response, "input");
    if (read_body(&call)) {
        sx_buffer *to = &response->body;
        int64_t now = sx_system_clock.monotonic_ns(sx_system_clock.user);
        sx_buffer_append_string(to, "{\"model\":");
        sx_json_write_string(to, call.model_name.length ? call.model_name.data : call.model->name,
                             call.model_name.length ? call.model_name.length : strlen(call.model->name));
        sx_buffer_append_string(to, ",\"embeddings\":");
        sx_embed_write_rows(&call, to);
        sx_buffer_printf(to, ",\"total_duration\":%lld,\"load_duration\":%lld,\"prompt_eval_count\":%llu",
                         (long long)(now - request->began_ns), (long long)request->queue_ns,
                         (unsigned long long)sx_embed_total_tokens(&call));
        sx_buffer_append_byte(to, '}');
    }
    sx_embed_call_end(&call);
}

static void embed_prompt(sx_server *server, sx_request *request, sx_response *response)
{
    sx_embed_call call;
    sx_embed_call_begin(&call, server, request, response, "prompt");
    if (read_body(&call)) {
        sx_buffer_append_string(&response->body, "{\"embedding\":");
        sx_embed_write_row(&call, 0, &response->body);
        sx_buffer_append_byte(&response->body, '}');
    }
    sx_embed_call_end(&call);
}

static void tags(sx_server *server, sx_request *request, sx_response *response)
{
    sx_buffer *to = &response->body;
    char when[32];
    time_t seconds = (time_t)server->started_unix_s;
    struct tm parts;
    gmtime_r(&seconds, &parts);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &parts);
    sx_buffer_append_string(to, "{\"models\":[");
    for (size_t i = 0; i < sx_served_models_count(server->models); i++) {
        sx_served_model_listing listing;
        sx_served_models_describe(server->models, i, &listing);
        sx_buffer_append_string(to, i ? ",{\"name\":" : "{\"name\":");
        sx_json_write_string(to, listing.name, strlen(listing.name));
        sx_buffer_append_string(to, ",\"model\":");
        sx_json_write_string(to, listing.name, strlen(listing.name));
        sx_buffer_printf(
            to, ",\"modified_at\":\"%s\",\"size\":%llu,\"digest\":\"\",\"details\":{\"format\":\"safetensors\",\"family\":", when,
            (unsigned long long)listing.bytes);
        sx_json_write_string(to, listing.family, strlen(listing.family));
        sx_buffer_printf(to, ",\"parameter_size\":\"%.1fM\",\"quantization_level\":", (double)listing.parameters / 1e6);
        sx_json_write_string(to, listing.precision, strlen(listing.precision));
        sx_buffer_append_string(to, "}}");
    }
    sx_buffer_append_string(to, "]}");
}

static void version(sx_server *server, sx_request *request, sx_response *response)
{
    sx_buffer_printf(&response->body, "{\"version\":\"%s\"}", sx_version());
}

const sx_route sx_routes_ollama[] = {
    {"POST", "/api/embed", SX_FORM_OLLAMA, 0, embed},
    {"POST", "/api/embeddings", SX_FORM_OLLAMA, 0, embed_prompt},
    {"GET", "/api/tags", SX_FORM_OLLAMA, 0, tags},
    {"GET", "/api/version", SX_FORM_OLLAMA, SX_ROUTE_QUICK, version},
    {NULL, NULL, SX_FORM_OLLAMA, 0, NULL},
};
