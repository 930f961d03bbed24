/* routes_tei.c - text-embeddings-inference's /embed and its kin, Hugging Face's POST /, and the seeds' bodies of /embed.
 *
 * Three services have a POST /embed; which one a client means shows in the member that holds its texts: `inputs` (TEI), `texts`
 * or `text` (the seeds').
 */
#include "embed_call.h"

#include "../base/json_writer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEED_CHUNK_SIZE = 1000 };

typedef enum body_kind { BODY_TEI, BODY_TEXTS, BODY_TEXT } body_kind;

typedef struct embed_body {
    body_kind kind;
    sx_text text; /* BODY_TEXT */
    uint64_t chunk_size;
    int normalize;
    sx_text direction; /* of truncation */
    bool as_object;    /* receipts were asked for: they need an object around the vectors */
} embed_body;

static bool begin_inputs(sx_embed_call *call, embed_body *body, const char *name, body_kind kind)
{
    call->input_name = name;
    body->kind = kind;
    call->request->form = kind == BODY_TEI ? SX_FORM_TEI : SX_FORM_SEED;
    return true;
}

static bool read_chunk_size(sx_json *json, embed_body *body)
{
    if (sx_json_null(json))
        return true;
    return sx_json_unsigned(json, &body->chunk_size) &&
           ((body->chunk_size && body->chunk_size <= 1 << 30) || sx_json_reject(json, "chunkSize is out of range"));
}

static bool read_member(sx_embed_call *call, sx_json *json, sx_text key, embed_body *body)
{
    int receipts = 0;
    if (sx_text_is(key, "inputs"))
        return begin_inputs(call, body, "inputs", BODY_TEI) && sx_embed_read_inputs(call, json);
    if (sx_text_is(key, "texts"))
        return begin_inputs(call, body, "texts", BODY_TEXTS) && sx_embed_read_inputs(call, json);
    if (sx_text_is(key, "text")) {
        begin_inputs(call, body, "text", BODY_TEXT);
        return sx_embed_read_string(call, json, &body->text) && body->text.data && sx_embed_add_text(call, body->text);
    }
    if (sx_text_is(key, "model"))
        return sx_embed_read_string(call, json, &call->model_name);
    if (sx_text_is(key, "truncate"))
        return sx_embed_read_boolean(json, &call->truncate);
    if (sx_text_is(key, "truncation_direction"))
        return sx_embed_read_string(call, json, &body->direction);
    if (sx_text_is(key, "normalize"))
        return sx_embed_read_boolean(json, &body->normalize);
    if (sx_text_is(key, "prompt_name"))
        return sx_embed_read_string(call, json, &call->role);
    if (sx_text_is(key, "dimensions"))
        return sx_embed_read_dimensions(call, json);
    if (sx_text_is(key, "chunkSize"))
        return read_chunk_size(json, body);
    if (sx_text_is(key, "receipts")) {
        bool good = sx_embed_read_boolean(json, &receipts);
        call->wants_receipts = body->as_object = receipts > 0;
        return good;
    }
    return sx_json_skip(json);
}

static void tei_headers(const sx_embed_call *call)
{
    const sx_request *request = call->request;
    sx_response *response = call->response;
    uint64_t characters = 0;
    for (size_t i = 0; i < call->count && !call->has_ids; i++)
        for (size_t j = 0; j < call->texts[i].length; j++)
            characters += (call->texts[i].data[j] & 0xc0) != 0x80;
    int64_t total = sx_system_clock.monotonic_ns(sx_system_clock.user) - request->began_ns;
    sx_response_header(response, "x-compute-type", "%s", call->model->model ? "cpu" : "remote");
    sx_response_header(response, "x-compute-time", "%lld", (long long)(request->inference_ns / 1000000));
    sx_response_header(response, "x-compute-characters", "%llu", (unsigned long long)characters);
    sx_response_header(response, "x-compute-tokens", "%llu", (unsigned long long)sx_embed_total_tokens(call));
    sx_response_header(response, "x-total-time", "%lld", (long long)(total / 1000000));
    sx_response_header(response, "x-tokenization-time", "%lld", (long long)(request->tokenization_ns / 1000000));
    sx_response_header(response, "x-queue-time", "%lld", (long long)(request->queue_ns / 1000000));
    sx_response_header(response, "x-inference-time", "%lld", (long long)(request->inference_ns / 1000000));
}

static bool read_body(sx_embed_call *call, embed_body *body)
{
    sx_json json;
    sx_text key;
    *body = (embed_body){.normalize = 1, .chunk_size = SEED_CHUNK_SIZE, .direction = {"", 0}};
    call->ids_are_models = true;
    if (!sx_embed_body_begins(call, &json))
        return false;
    while (sx_embed_body_member(call, &json, &key) && read_member(call, &json, key, body))
        continue;
    if (!sx_embed_body_ends(call, &json))
        return false;
    if (sx_text_is(body->direction, "Left") || sx_text_is(body->direction, "left")) {
        sx_api_invalid(call->request, call->response, "truncation_direction", "truncation from the left is not supported");
        return false;
    }
    /* TEI normalises unless told not to; the seeds' services do what the model does */
    call->normalize = body->kind != BODY_TEI ? 0 : body->normalize ? 1 : -1;
    return true;
}

/* ---- The seeds' bodies ---- */

static void write_name(const sx_embed_call *call, sx_buffer *to)
{
    sx_json_write_string(to, call->model->name, strlen(call->model->name));
}

static void write_item(const sx_embed_call *call, size_t index, sx_buffer *to)
{
    sx_text text = call->texts[index];
    sx_buffer_append_string(to, index ? ",{\"text\":" : "{\"text\":");
    sx_json_write_string(to, text.length ? text.data : "", text.length);
    sx_buffer_append_string(to, ",\"embedding\":");
    sx_embed_write_row(call, index, to);
    sx_buffer_printf(to, ",\"tokenCount\":%u}", call->receipts[index].tokens);
}

/* Cuts the text into pieces of chunkSize characters, none longer than the model takes. */
static bool cut_text(sx_embed_call *call, const embed_body *body, sx_chunks **chunks)
{
    sx_error error = {0};
    sx_text text = call->texts[0];
    sx_chunk_options options = {.size = sizeof options,
                                .strategy = "recursive",
                                .unit = "chars",
                                .chunk_size = (uint32_t)body->chunk_size,
                                .overlap = -1,
                                .no_header = 1};
    if (!sx_embed_choose_model(call, SX_OUTPUT_DENSE))
        return false;
    sx_status status = sx_chunk_text(text, "text/plain", call->model->model, NULL, &options, chunks, &error);
    sx_served_models_release(call->server->models, call->model);
    call->model = NULL;
    if (status) {
        sx_api_fail_error(call->request, call->response, "text", &error);
        return false;
    }
    call->count = 0;
    for (size_t i = 0; i < (*chunks)->count; i++) {
        const sx_chunk *chunk = &(*chunks)->chunks[i];
        if (!sx_embed_add_text(call, (sx_text){(*chunks)->text + chunk->start, (size_t)(chunk->end - chunk->start)}))
            return false;
    }
    if (call->count)
        return true;
    sx_api_invalid(call->request, call->response, "text", "text is empty");
    return false;
}

static void embed_chunks(sx_embed_call *call, const embed_body *body)
{
    sx_chunks *chunks = NULL;
    sx_buffer *to = &call->response->body;
    if (cut_text(call, body, &chunks) && sx_embed_call_run(call)) {
        sx_buffer_append_string(to, "{\"success\":true,\"chunks\":[");
        for (size_t i = 0; i < call->count; i++)
            write_item(call, i, to);
        sx_buffer_printf(to, "],\"totalChunks\":%zu", call->count);
        sx_embed_write_receipts(call, to);
        sx_buffer_append_byte(to, '}');
    }
    sx_chunks_free(chunks);
}

static void embed_texts(sx_embed_call *call)
{
    sx_buffer *to = &call->response->body;
    if (!sx_embed_call_run(call))
        return;
    sx_buffer_append_string(to, "{\"embeddings\":");
    sx_embed_write_rows(call, to);
    sx_buffer_append_string(to, ",\"model\":");
    write_name(call, to);
    sx_buffer_printf(to, ",\"dimension\":%zu", call->width);
    sx_embed_write_receipts(call, to);
    sx_buffer_append_byte(to, '}');
}

static void embed_batch(sx_server *server, sx_request *request, sx_response *response)
{
    sx_embed_call call;
    embed_body body;
    sx_buffer *to = &response->body;
    sx_embed_call_begin(&call, server, request, response, "texts");
    if (read_body(&call, &body)) {
        if (body.kind != BODY_TEXTS || call.has_ids) {
            sx_api_invalid(request, response, "texts", "texts is missing, or no list of texts");
        } else if (sx_embed_call_run(&call)) {
            sx_buffer_append_string(to, "{\"success\":true,\"embeddings\":[");
            for (size_t i = 0; i < call.count; i++)
                write_item(&call, i, to);
            sx_buffer_append_byte(to, ']');
            sx_embed_write_receipts(&call, to);
            sx_buffer_append_byte(to, '}');
        }
    }
    sx_embed_call_end(&call);
}

/* ---- TEI ---- */

static void embed(sx_server *server, sx_request *request, sx_response *response)
{
    sx_embed_call call;
    embed_body body;
    sx_embed_call_begin(&call, server, request, response, "inputs");
    if (read_body(&call, &body)) {
        if (body.kind == BODY_TEXT) {
            embed_chunks(&call, &body);
        } else if (body.kind == BODY_TEXTS) {
            embed_texts(&call);
        } else if (sx_embed_call_run(&call)) {
            tei_headers(&call);
            if (body.as_object)
                sx_buffer_append_string(&response->body, "{\"embeddings\":");
            sx_embed_write_rows(&call, &response->body);
            if (body.as_object) {
                sx_embed_write_receipts(&call, &response->body);
                sx_buffer_append_byte(&response->body, '}');
            }
        }
    }
    sx_embed_call_end(&call);
}

static void write_sparse(const sx_text_outputs *outputs, sx_buffer *to)
{
    sx_buffer_append_byte(to, '[');
    for (size_t j = 0; j < outputs->weight_count; j++) {
        sx_buffer_printf(to, "%s{\"index\":%u,\"value\":", j ? "," : "", outputs->ids[j]);
        sx_json_write_float(to, outputs->weights[j]);
        sx_buffer_append_byte(to, '}');
    }
    sx_buffer_append_byte(to, ']');
}

static void write_multi(const sx_text_outputs *outputs, size_t width, sx_buffer *to)
{
    sx_buffer_append_byte(to, '[');
    for (size_t j = 0; j < outputs->vector_count; j++) {
        if (j)
            sx_buffer_append_byte(to, ',');
        sx_json_write_floats(to, outputs->vectors + j * width, width);
    }
    sx_buffer_append_byte(to, ']');
}

/* What models like bge-m3 give beside the vector of a text. */
static void embed_outputs(sx_server *server, sx_request *request, sx_response *response, unsigned outputs)
{
    sx_embed_call call;
    embed_body body;
    sx_embed_call_begin(&call, server, request, response, "inputs");
    call.outputs = outputs;
    if (read_body(&call, &body) && sx_embed_call_run(&call)) {
        sx_buffer *to = &response->body;
        tei_headers(&call);
        sx_buffer_append_byte(to, '[');
        for (size_t i = 0; i < call.count; i++) {
            if (i)
                sx_buffer_append_byte(to, ',');
            if (outputs == SX_OUTPUT_SPARSE)
                write_sparse(&call.token_outputs[i], to);
            else
                write_multi(&call.token_outputs[i], call.model->info->multi_dimensions, to);
        }
        sx_buffer_append_byte(to, ']');
    }
    sx_embed_call_end(&call);
}

static void embed_sparse(sx_server *server, sx_request *request, sx_response *response)
{
    embed_outputs(server, request, response, SX_OUTPUT_SPARSE);
}

static void embed_all(sx_server *server, sx_request *request, sx_response *response)
{
    embed_outputs(server, request, response, SX_OUTPUT_MULTI);
}

/* {"inputs":{"source_sentence":"...","sentences":[...]}}: texts[0] is the source. */
static bool read_pair(sx_embed_call *call, sx_json *json, sx_text *source)
{
    sx_text key;
    if (!sx_json_object(json))
        return false;
    while (!call->failed && sx_json_member(json, &call->scratch, &key)) {
        if (sx_text_is(key, "source_sentence"))
            sx_embed_read_string(call, json, source);
        else if (sx_text_is(key, "sentences"))
            sx_embed_read_inputs(call, json);
        else
            sx_json_skip(json);
    }
    return !call->failed && !json->problem;
}

static void write_similarities(const sx_embed_call *call)
{
    const float *source = call->vectors + (call->count - 1) * call->width;
    sx_buffer *to = &call->response->body;
    sx_buffer_append_byte(to, '[');
    for (size_t i = 0; i + 1 < call->count; i++) {
        double dot = 0;
        for (size_t j = 0; j < call->width; j++)
            dot += (double)call->vectors[i * call->width + j] * source[j];
        if (i)
            sx_buffer_append_byte(to, ',');
        sx_json_write_float(to, (float)dot);
    }
    sx_buffer_append_byte(to, ']');
}

static void similarity(sx_server *server, sx_request *request, sx_response *response)
{
    sx_embed_call call;
    sx_json json;
    sx_text key, source = {NULL, 0};
    sx_embed_call_begin(&call, server, request, response, "sentences");
    call.normalize = 1;
    bool good = sx_embed_body_begins(&call, &json);
    while (good && sx_embed_body_member(&call, &json, &key)) {
        if (sx_text_is(key, "inputs"))
            good = read_pair(&call, &json, &source);
        else if (sx_text_is(key, "model"))
            good = sx_embed_read_string(&call, &json, &call.model_name);
        else
            good = sx_json_skip(&json); /* parameters: nothing in them changes the numbers */
    }
    good = !call.failed && sx_embed_body_ends(&call, &json);
    if (good && (!source.data || call.has_ids)) {
        sx_api_invalid(request, response, "inputs", "source_sentence is missing, or sentences are no texts");
        good = false;
    }
    if (good && sx_embed_add_text(&call, source) && sx_embed_call_run(&call)) {
        tei_headers(&call);
        write_similarities(&call);
    }
    sx_embed_call_end(&call);
}

/* Hugging Face's clients ask the root for everything; what they want shows in `inputs`. */
static bool inputs_are_pair(const sx_request *request)
{
    sx_json json;
    sx_text key;
    sx_buffer scratch = {0};
    bool pair = false;
    sx_json_begin(&json, request->body ? request->body : "", request->body_length, "the body");
    sx_json_object(&json);
    while (!pair && sx_json_member(&json, &scratch, &key)) {
        pair = sx_text_is(key, "inputs") && sx_json_peek(&json) == SX_JSON_OBJECT;
        sx_json_skip(&json);
    }
    sx_buffer_clear(&scratch);
    return pair;
}

static void root(sx_server *server, sx_request *request, sx_response *response)
{
    if (inputs_are_pair(request))
        similarity(server, request, response);
    else
        embed(server, request, response);
}

/* ---- About the server ---- */

static void info(sx_server *server, sx_request *request, sx_response *response)
{
    sx_served_model *model = NULL;
    sx_error error = {0};
    sx_buffer *to = &response->body;
    sx_text name = {"", 0};
    sx_request_parameter(request, "model", &name);
    if (sx_served_models_acquire(server->models, name, SX_OUTPUT_DENSE | SX_OUTPUT_SCORES, &model, &error)) {
        sx_api_fail_error(request, response, NULL, &error);
        return;
    }
    request->model = model->name;
    const sx_model_info *of = model->info;
    sx_buffer_append_string(to, "{\"model_id\":");
    sx_json_write_string(to, model->name, strlen(model->name));
    sx_buffer_append_string(to, ",\"model_sha\":");
    sx_json_write_string(to, model->sha256, strlen(model->sha256));
    sx_buffer_append_string(to, ",\"model_dtype\":");
    sx_json_write_string(to, of ? of->precision : "remote", strlen(of ? of->precision : "remote"));
    if (model->outputs & SX_OUTPUT_SCORES)
        sx_buffer_append_string(to,
                                ",\"model_type\":{\"reranker\":{\"id2label\":{\"0\":\"LABEL_0\"},\"label2id\":{\"LABEL_0\":0}}}");
    else
        sx_buffer_printf(to, ",\"model_type\":{\"embedding\":{\"pooling\":\"%s\"}}", of ? of->pooling : "");
    sx_buffer_printf(
        to,
        ",\"max_concurrent_requests\":%u,\"max_input_length\":%u,\"max_batch_tokens\":%u,\"max_batch_requests\":null,"
        "\"max_client_batch_size\":%zu,\"auto_truncate\":%s,\"tokenization_workers\":%u,\"dimensions\":%u,"
        "\"version\":\"%s\",\"sha\":null,\"docker_label\":null}",
        server->options.http.max_handlers, model->max_length, server->options.models.batcher.max_batch_tokens,
        server->options.max_inputs, server->options.auto_truncate ? "true" : "false", server->options.models.batcher.threads,
        model->dimensions, sx_version());
    sx_served_models_release(server->models, model);
}

const sx_route sx_routes_tei[] = {
    {"POST", "/embed", SX_FORM_TEI, 0, embed},
    {"POST", "/", SX_FORM_TEI, 0, root},
    {"POST", "/embed_all", SX_FORM_TEI, 0, embed_all},
    {"POST", "/embed_sparse", SX_FORM_TEI, 0, embed_sparse},
    {"POST", "/similarity", SX_FORM_TEI, 0, similarity},
    {"POST", "/embed/batch", SX_FORM_SEED, 0, embed_batch},
    {"GET", "/info", SX_FORM_TEI, 0, info},
    {NULL, NULL, SX_FORM_TEI, 0, NULL},
};
