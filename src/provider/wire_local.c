/* wire_local.c - servers people run themselves: Ollama (/api/embed), text-embeddings-inference (/embed) and the plain service
 * `POST /embed {texts, batch_size}` with `GET /health`.
 *
 * Both Ollama and TEI cut a text that is too long when nothing is said; here they are asked to refuse it, so that it is named.
 */
#include "wire_internal.h"

#include "../base/memory.h"

#include <jansson.h>
#include <stdlib.h>

enum { REMOTE_BATCH = 64 };

/* Replaces the target's model when the reference named none. */
static void adopt_model(sx_wire_target *target, const char *name, const char *revision)
{
    if (target->model[0] || !name || !*name || strlen(name) > 512)
        return;
    sx_buffer text = {0};
    sx_buffer_append_string(&text, name);
    if (revision && *revision && strlen(revision) <= 128) {
        sx_buffer_append_byte(&text, '@');
        sx_buffer_append_string(&text, revision);
    }
    char *model = sx_buffer_take(&text);
    if (!model)
        return;
    free(target->model);
    target->model = model;
}

static uint32_t positive(const json_t *value)
{
    json_int_t number = json_integer_value(value);
    return number > 0 && number <= UINT32_MAX ? (uint32_t)number : 0;
}

static json_t *load(const char *body, size_t length)
{
    return json_loadb(length ? body : "", length, 0, NULL);
}

static void read_tokens(sx_wire_reading *reading)
{
    sx_wire_read_count(reading, &reading->reply->tokens);
}

/* {"embeddings":[[...]], "prompt_eval_count": tokens} */
static void read_embeddings(const sx_wire_target *target, const char *body, size_t length, size_t count, uint32_t dimensions,
                            float *vectors, size_t room, sx_wire_reply *reply)
{
    static const sx_wire_field fields[] = {
        {"embeddings", sx_wire_read_rows}, {"prompt_eval_count", read_tokens}, {"error", sx_wire_read_error}, {0}};
    sx_wire_read_reply(fields, target, body, length, count, dimensions, vectors, room, reply);
}

/* ---- Ollama ---- */

static sx_status build_ollama(const sx_wire_target *target, const char *role, const sx_text *texts, size_t count,
                              sx_wire_request *request, sx_error *error)
{
    const char *none;
    sx_status status = sx_wire_role_value(target, role, &none, error);
    if (!status)
        status = sx_wire_begin(target, texts, count, "/api/embed", request, error);
    if (status)
        return status;
    sx_buffer_append_byte(&request->body, '{');
    sx_wire_member(&request->body, "model", target->model);
    sx_wire_texts(&request->body, "input", texts, count);
    sx_buffer_append_string(&request->body, ",\"truncate\":false");
    sx_wire_dimensions(&request->body, "dimensions", target);
    sx_buffer_append_byte(&request->body, '}');
    return sx_wire_finish(request, error);
}

static sx_status build_ollama_info(const sx_wire_target *target, sx_wire_request *request, sx_error *error)
{
    sx_status status = sx_wire_begin_info(target, "POST", "/api/show", request, error);
    if (status)
        return status;
    sx_buffer_append_byte(&request->body, '{');
    sx_wire_member(&request->body, "model", target->model);
    sx_buffer_append_byte(&request->body, '}');
    return sx_wire_finish(request, error);
}

/* {"model_info":{"general.architecture":"bert","bert.context_length":512, ...}} */
static void read_ollama_info(sx_wire_target *target, const char *body, size_t length, sx_wire_limits *limits,
                             uint32_t *dimensions)
{
    (void)target;
    (void)dimensions; /* embedding_length is that of the layers, not always of the vectors */
    json_t *root = load(body, length);
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(root, "model_info"), key, value)
    {
        size_t used = strlen(key), tail = strlen(".context_length");
        if (used > tail && strcmp(key + used - tail, ".context_length") == 0 && !limits->max_tokens_of_text)
            limits->max_tokens_of_text = positive(value);
    }
    json_decref(root);
}

/* ---- text-embeddings-inference ---- */

/* Names of prompts are the model's own. A server whose model has none for the role says so, and goes without. */
sx_status sx_wire_role_tei(const sx_wire_target *target, const char *role, const char **value, sx_error *error)
{
    bool plain = sx_wire_role_is(role, "none") || sx_wire_role_is(role, "query") || sx_wire_role_is(role, "document");
    *value = target->no_role || sx_wire_role_is(role, "none") ? NULL : role;
    return target->no_role && !plain ? sx_wire_no_such_role(target, role, "query, document, none", error) : SX_OK;
}

static sx_status build_tei(const sx_wire_target *target, const char *role, const sx_text *texts, size_t count,
                           sx_wire_request *request, sx_error *error)
{
    const char *name;
    sx_status status = sx_wire_role_value(target, role, &name, error);
    if (!status)
        status = sx_wire_begin(target, texts, count, "/embed", request, error);
    if (status)
        return status;
    sx_buffer_append_byte(&request->body, '{');
    sx_wire_texts(&request->body, "inputs", texts, count);
    sx_buffer_append_string(&request->body, ",\"normalize\":true,\"truncate\":false");
    if (name)
        sx_wire_member(&request->body, "prompt_name", name);
    sx_wire_dimensions(&request->body, "dimensions", target);
    sx_buffer_append_byte(&request->body, '}');
    return sx_wire_finish(request, error);
}

static void read_rows_or_error(sx_wire_reading *reading)
{
    static const sx_wire_field fields[] = {{"error", sx_wire_read_error}, {0}};
    if (sx_json_peek(&reading->json) == SX_JSON_OBJECT)
        sx_wire_read_object(reading, fields);
    else
        sx_wire_read_rows(reading);
}

static void read_tei(const sx_wire_target *target, const char *body, size_t length, size_t count, uint32_t dimensions,
                     float *vectors, size_t room, sx_wire_reply *reply)
{
    sx_wire_read_value(read_rows_or_error, target, body, length, count, dimensions, vectors, room, reply);
}

static sx_status build_tei_info(const sx_wire_target *target, sx_wire_request *request, sx_error *error)
{
    return sx_wire_begin_info(target, "GET", "/info", request, error);
}

static void read_tei_info(sx_wire_target *target, const char *body, size_t length, sx_wire_limits *limits, uint32_t *dimensions)
{
    (void)dimensions; /* not said */
    json_t *root = load(body, length);
    adopt_model(target, json_string_value(json_object_get(root, "model_id")),
                json_string_value(json_object_get(root, "model_sha")));
    uint32_t text = positive(json_object_get(root, "max_input_length")),
             texts = positive(json_object_get(root, "max_client_batch_size"));
    uint32_t tokens = positive(json_object_get(root, "max_batch_tokens"));
    if (text)
        limits->max_tokens_of_text = text;
    if (texts)
        limits->max_texts = texts;
    if (tokens)
        limits->max_tokens_of_request = tokens;
    json_decref(root);
}

/* ---- The plain service ---- */

static sx_status build_remote(const sx_wire_target *target, const char *role, const sx_text *texts, size_t count,
                              sx_wire_request *request, sx_error *error)
{
    const char *none;
    sx_status status = sx_wire_role_value(target, role, &none, error);
    if (!status)
        status = sx_wire_begin(target, texts, count, "/embed", request, error);
    if (status)
        return status;
    sx_buffer_append_byte(&request->body, '{');
    sx_wire_texts(&request->body, "texts", texts, count);
    sx_buffer_printf(&request->body, ",\"batch_size\":%d}", REMOTE_BATCH);
    return sx_wire_finish(request, error);
}

static sx_status build_remote_info(const sx_wire_target *target, sx_wire_request *request, sx_error *error)
{
    return sx_wire_begin_info(target, "GET", "/health", request, error);
}

static void read_remote_info(sx_wire_target *target, const char *body, size_t length, sx_wire_limits *limits,
                             uint32_t *dimensions)
{
    (void)limits;
    json_t *root = load(body, length);
    adopt_model(target, json_string_value(json_object_get(root, "model")), NULL);
    uint32_t said = positive(json_object_get(root, "dimension"));
    if (said && !target->dimensions)
        *dimensions = said;
    json_decref(root);
}

const sx_wire_form sx_wire_ollama = {.name = "ollama",
                                     .build = build_ollama,
                                     .read = read_embeddings,
                                     .refuse = sx_wire_refuse,
                                     .build_info = build_ollama_info,
                                     .read_info = read_ollama_info};
const sx_wire_form sx_wire_tei = {.name = "tei",
                                  .build = build_tei,
                                  .read = read_tei,
                                  .refuse = sx_wire_refuse,
                                  .build_info = build_tei_info,
                                  .read_info = read_tei_info};
const sx_wire_form sx_wire_remote = {.name = "remote",
                                     .build = build_remote,
                                     .read = read_embeddings,
                                     .refuse = sx_wire_refuse,
                                     .build_info = build_remote_info,
                                     .read_info = read_remote_info};
