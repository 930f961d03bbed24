/* routes_openai.c - OpenAI's /v1/embeddings and /v1/models, Azure's path; Voyage's client sends the same body. */
#include "embed_call.h"

#include "../base/json_writer.h"

#include <string.h>

typedef struct openai_body {
    bool base64;
    sx_text format;
} openai_body;

static bool read_member(sx_embed_call *call, sx_json *json, sx_text key, openai_body *body)
{
    int receipts = 0;
    if (sx_text_is(key, "input"))
        return sx_embed_read_inputs(call, json);
    if (sx_text_is(key, "model"))
        return sx_embed_read_string(call, json, &call->model_name);
    if (sx_text_is(key, "encoding_format"))
        return sx_embed_read_string(call, json, &body->format);
    if (sx_text_is(key, "dimensions") || sx_text_is(key, "output_dimension"))
        return sx_embed_read_dimensions(call, json);
    if (sx_text_is(key, "input_type") || sx_text_is(key, "prompt_name"))
        return sx_embed_read_string(call, json, &call->role);
    if (sx_text_is(key, "truncate") || sx_text_is(key, "truncation"))
        return sx_embed_read_boolean(json, &call->truncate);
    if (sx_text_is(key, "receipts")) {
        bool good = sx_embed_read_boolean(json, &receipts);
        call->wants_receipts = receipts > 0;
        return good;
    }
    if (sx_text_is(key, "output_dtype")) {
        sx_text type = {"float", 5};
        bool good = sx_embed_read_string(call, json, &type);
        return good && (sx_text_is(type, "float") || sx_json_reject(json, "output_dtype is something else than float"));
    }
    return sx_json_skip(json);
}

static void write_embeddings(const sx_embed_call *call, bool base64)
{
    sx_buffer *to = &call->response->body;
    sx_buffer_append_string(to, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < call->count; i++) {
        sx_buffer_printf(to, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", i ? "," : "", i);
        if (base64) /* little-endian float32: the byte order of all machines this runs on */
            sx_json_write_base64(to, call->vectors + i * call->width, call->width * sizeof *call->vectors);
        else
            sx_embed_write_row(call, i, to);
        sx_buffer_append_byte(to, '}');
    }
    sx_buffer_append_string(to, "],\"model\":");
    sx_json_write_string(to, call->model->name, strlen(call->model->name));
    sx_buffer_printf(to, ",\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu}",
                     (unsigned long long)sx_embed_total_tokens(call), (unsigned long long)sx_embed_total_tokens(call));
    sx_embed_write_receipts(call, to);
    sx_buffer_append_byte(to, '}');
}

static void embeddings(sx_server *server, sx_request *request, sx_response *response)
{
    sx_embed_call call;
    sx_json json;
    sx_text key;
    openai_body body = {.format = {"float", 5}};
    sx_embed_call_begin(&call, server, request, response, "input");
    call.refuses_empty = true;
    if (sx_embed_body_begins(&call, &json))
        while (sx_embed_body_member(&call, &json, &key) && read_member(&call, &json, key, &body))
            continue;
    body.base64 = sx_text_is(body.format, "base64");
    if (request->captured[0].length) /* Azure names the model in the path */
        call.model_name = request->captured[0];
    bool good = !call.failed && sx_embed_body_ends(&call, &json);
    if (good && !body.base64 && !sx_text_is(body.format, "float"))
        sx_api_invalid(request, response, "encoding_format", "encoding_format is neither float nor base64");
    else if (good && sx_embed_call_run(&call))
        write_embeddings(&call, body.base64);
    sx_embed_call_end(&call);
}

/* ---- Models ---- */

static void write_model(sx_server *server, size_t index, sx_buffer *to)
{
    sx_served_model_listing listing;
    sx_served_models_describe(server->models, index, &listing);
    sx_buffer_append_string(to, "{\"id\":");
    sx_json_write_string(to, listing.name, strlen(listing.name));
    sx_buffer_printf(to, ",\"object\":\"model\",\"created\":%lld,\"owned_by\":\"sextant\",\"loaded\":%s",
                     (long long)server->started_unix_s, listing.loaded ? "true" : "false");
    if (listing.known)
        sx_buffer_printf(to, ",\"kind\":\"%s\",\"dimensions\":%u,\"max_input_tokens\":%u", listing.kind, listing.dimensions,
                         listing.max_length);
    sx_buffer_append_byte(to, '}');
}

static void list_models(sx_server *server, sx_request *request, sx_response *response)
{
    sx_buffer *to = &response->body;
    sx_buffer_append_string(to, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < sx_served_models_count(server->models); i++) {
        if (i)
            sx_buffer_append_byte(to, ',');
        write_model(server, i, to);
    }
    sx_buffer_append_string(to, "]}");
}

static void one_model(sx_server *server, sx_request *request, sx_response *response)
{
    sx_text wanted = request->captured[0];
    for (size_t i = 0; i < sx_served_models_count(server->models); i++) {
        sx_served_model_listing listing;
        sx_served_models_describe(server->models, i, &listing);
        if (sx_text_is(wanted, listing.name)) {
            write_model(server, i, &response->body);
            return;
        }
    }
    sx_api_fail(request, response, 404, "model", "model_not_found", "model '%.*s' is not served here",
                (int)(wanted.length < 200 ? wanted.length : 200), wanted.data);
}

const sx_route sx_routes_openai[] = {
    {"POST", "/v1/embeddings", SX_FORM_OPENAI, 0, embeddings},
    {"POST", "/embeddings", SX_FORM_OPENAI, 0, embeddings},
    {"POST", "/openai/deployments/{NAME}/embeddings", SX_FORM_OPENAI, 0, embeddings},
    {"GET", "/v1/models", SX_FORM_OPENAI, 0, list_models},
    {"GET", "/models", SX_FORM_OPENAI, 0, list_models},
    {"GET", "/v1/models/{NAME*}", SX_FORM_OPENAI, 0, one_model},
    {NULL, NULL, SX_FORM_OPENAI, 0, NULL},
};
