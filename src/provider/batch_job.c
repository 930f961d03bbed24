/* batch_job.c - requests to OpenAI's Batch API (platform.openai.com/docs/api-reference/batch and /files). */
#include "batch_job.h"
#include "wire_internal.h"

#include "../base/error.h"
#include "../base/json_writer.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ATTEMPTS = 8, LIST_PAGE = 100, LIST_PAGES = 100 };
static const int64_t first_delay_ns = 500000000, longest_delay_ns = 30000000000, timeout_ns = 600000000000, poll_ns = 100000000;
static const int64_t longest_retry_after_ns = 600000000000;
/* A batch whose reply was lost may be made a moment after it was asked for. */
static const int64_t settle_ns = 2000000000;
static const size_t largest_download = (size_t)1 << 30, largest_reply = (size_t)16 << 20;

sx_status sx_batch_service_check(const sx_wire_target *target, sx_error *error)
{
    if (target->form == &sx_wire_openai || target->form == &sx_wire_compatible)
        return SX_OK;
    return sx_fail(error, SX_E_UNSUPPORTED, "%s: the Batch API is there for openai: and openai@URL only", target->service);
}

sx_status sx_batch_service_open(sx_batch_service *service, const sx_wire_target *target, const sx_clock *clock,
                                const volatile int *stop, sx_error *error)
{
    *service = (sx_batch_service){.target = target, .clock = clock ? *clock : sx_system_clock, .stop = stop};
    sx_status status = sx_batch_service_check(target, error);
    if (status)
        return status;
    service->random = (uint64_t)service->clock.wall_ns(service->clock.user) | 1;
    return sx_http_pool_open("sextant", 1, &service->pool, error);
}

void sx_batch_service_close(sx_batch_service *service)
{
    sx_http_pool_close(service->pool);
    service->pool = NULL;
}

/* ---- Exchanges ---- */

static bool stopped(const sx_batch_service *service)
{
    return service->stop && *service->stop;
}

/* Sleeps in pieces, so that a wish to stop is seen. */
static sx_status pause_for(sx_batch_service *service, int64_t duration, sx_error *error)
{
    while (duration > 0 && !stopped(service)) {
        int64_t piece = duration < poll_ns ? duration : poll_ns;
        service->clock.sleep_ns(piece, service->clock.user);
        duration -= piece;
    }
    return stopped(service) ? sx_fail(error, SX_E_STOPPED, "%s: interrupted", service->target->service) : SX_OK;
}

/* Full jitter, never less than the service asks for. */
static sx_status pause_before(sx_batch_service *service, unsigned attempt, int64_t asked, sx_error *error)
{
    int64_t bound = first_delay_ns;
    for (unsigned i = 1; i < attempt && bound < longest_delay_ns; i++)
        bound *= 2;
    service->random ^= service->random << 13;
    service->random ^= service->random >> 7;
    service->random ^= service->random << 17;
    int64_t delay = (int64_t)(service->random % (uint64_t)bound);
    return pause_for(service, delay > asked ? delay : asked, error);
}

/* One exchange. *again: it failed in passing, or its reply was lost; the error is set then too. */
static sx_status exchange_once(sx_batch_service *service, const sx_wire_request *request, size_t limit,
                               sx_http_exchange *exchange, bool *again, sx_error *error)
{
    const char *headers[2];
    size_t count = 0;
    sx_buffer room = exchange->reply;
    if (request->header.length)
        headers[count++] = request->header.data;
    if (request->secret_header.length)
        headers[count++] = request->secret_header.data;
    *exchange = (sx_http_exchange){.method = request->method,
                                   .url = request->url.data,
                                   .headers = headers,
                                   .header_count = count,
                                   .body = request->body.length ? request->body.data : NULL,
                                   .body_length = request->body.length,
                                   .timeout_ns = timeout_ns,
                                   .limit = limit,
                                   .ca_file = service->target->ca_file,
                                   .reply = room};
    *again = false;
    sx_status status = sx_http_pool_start(service->pool, exchange, error);
    bool cancelled = false;
    for (sx_http_exchange *done = NULL; !status && !done;) {
        status = sx_http_pool_wait(service->pool, poll_ns, &done, error);
        if (!status && !done && stopped(service) && !cancelled) {
            sx_http_pool_cancel(service->pool);
            cancelled = true;
        }
    }
    exchange->headers = NULL;
    if (status)
        return status;
    if (exchange->status == SX_E_STOPPED)
        return sx_fail(error, SX_E_STOPPED, "%s: interrupted", service->target->service);
    if (exchange->status) {
        *again = exchange->status == SX_E_NETWORK;
        return sx_fail(error, exchange->status, "%s: %s", service->target->service, exchange->problem);
    }
    if (exchange->code >= 200 && exchange->code < 300)
        return SX_OK;
    sx_wire_reply reply = {0};
    if (exchange->code >= 300 && exchange->code < 400)
        return sx_fail(error, SX_E_PROVIDER, "%s: the service answers %ld: it has moved", service->target->service,
                       exchange->code);
    service->target->form->refuse(service->target, exchange->code, exchange->reply.data ? exchange->reply.data : "",
                                  exchange->reply.length, &reply);
    *again = reply.verdict == SX_WIRE_RETRY && exchange->retry_after_ns <= longest_retry_after_ns;
    long code = exchange->code;
    status = code == 401 || code == 402 || code == 403 ? SX_E_DENIED : code == 404 ? SX_E_NOT_FOUND : SX_E_PROVIDER;
    sx_fail(error, status, "%s", reply.message);
    if (reply.hint[0])
        sx_hint(error, "%s", reply.hint);
    return status;
}

static sx_status exchange_patiently(sx_batch_service *service, const sx_wire_request *request, size_t limit,
                                    sx_http_exchange *exchange, sx_error *error)
{
    sx_status status = SX_OK;
    bool again = true;
    for (unsigned attempt = 1; again; attempt++) {
        status = exchange_once(service, request, limit, exchange, &again, error);
        if (!status || attempt >= ATTEMPTS)
            break;
        if (again) {
            sx_status paused = pause_before(service, attempt, exchange->retry_after_ns, error);
            if (paused)
                return paused;
        }
    }
    return status;
}

/* ---- Replies ---- */

static void copy_string(const json_t *object, const char *key, char *to, size_t size)
{
    const char *text = json_string_value(json_object_get(object, key));
    snprintf(to, size, "%s", text && strlen(text) < size ? text : "");
}

static uint64_t read_count(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));
    return value > 0 ? (uint64_t)value : 0;
}

static void read_state(const sx_batch_service *service, const json_t *object, sx_batch_state *state)
{
    *state = (sx_batch_state){0};
    copy_string(object, "id", state->id, sizeof state->id);
    copy_string(object, "input_file_id", state->input_file, sizeof state->input_file);
    copy_string(object, "output_file_id", state->output_file, sizeof state->output_file);
    copy_string(object, "error_file_id", state->error_file, sizeof state->error_file);
    copy_string(object, "status", state->status, sizeof state->status);
    const json_t *counts = json_object_get(object, "request_counts");
    state->total = read_count(counts, "total");
    state->completed = read_count(counts, "completed");
    state->failed = read_count(counts, "failed");
    const json_t *first = json_array_get(json_object_get(json_object_get(object, "errors"), "data"), 0);
    const char *message = json_string_value(json_object_get(first, "message"));
    if (message)
        sx_wire_redact(service->target, message, state->message, sizeof state->message);
}

static sx_status parse(const sx_batch_service *service, const sx_http_exchange *exchange, json_t **out, sx_error *error)
{
    *out = json_loadb(exchange->reply.data ? exchange->reply.data : "", exchange->reply.length, 0, NULL);
    if (json_is_object(*out))
        return SX_OK;
    json_decref(*out);
    *out = NULL;
    return sx_fail(error, SX_E_PROVIDER, "%s: the reply is no JSON object", service->target->service);
}

/* A reply that describes one batch. */
static sx_status take_state(const sx_batch_service *service, const sx_http_exchange *exchange, sx_batch_state *state,
                            sx_error *error)
{
    json_t *root;
    sx_status status = parse(service, exchange, &root, error);
    if (status)
        return status;
    read_state(service, root, state);
    json_decref(root);
    if (!state->id[0] || !state->status[0])
        return sx_fail(error, SX_E_PROVIDER, "%s: the reply describes no batch", service->target->service);
    return SX_OK;
}

/* A request on a path below the base address: `id` and `tail` may be "". */
static sx_status begin(const sx_batch_service *service, const char *method, const char *path, const char *id, const char *tail,
                       sx_wire_request *request, sx_error *error)
{
    sx_status status = sx_wire_begin_info(service->target, method, path, request, error);
    if (status)
        return status;
    sx_wire_escape(&request->url, id);
    sx_buffer_append_string(&request->url, tail);
    return sx_wire_finish(request, error);
}

/* ---- What is asked ---- */

sx_status sx_batch_upload(sx_batch_service *service, const char *name, const char *data, size_t length, char *id, sx_error *error)
{
    static const char dashes[] = "--", boundary[] = "sextant-7d1f0c2b9a5e4836";
    sx_wire_request request = {0};
    sx_http_exchange exchange = {0};
    json_t *root = NULL;
    sx_status status = begin(service, "POST", "/files", "", "", &request, error);
    sx_buffer_reset(&request.header);
    sx_buffer_printf(&request.header, "Content-Type: multipart/form-data; boundary=%s", boundary);
    sx_buffer *body = &request.body;
    sx_buffer_printf(body, "%s%s\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n", dashes, boundary);
    sx_buffer_printf(body,
                     "%s%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%s\"\r\n"
                     "Content-Type: application/octet-stream\r\n\r\n",
                     dashes, boundary, name);
    sx_buffer_append(body, data, length);
    sx_buffer_printf(body, "\r\n%s%s--\r\n", dashes, boundary);
    if (!status)
        status = sx_wire_finish(&request, error);
    if (!status)
        status = exchange_patiently(service, &request, largest_reply, &exchange, error);
    if (!status)
        status = parse(service, &exchange, &root, error);
    if (!status) {
        copy_string(root, "id", id, 128);
        if (!id[0])
            status = sx_fail(error, SX_E_PROVIDER, "%s: the reply to an upload has no id", service->target->service);
    }
    json_decref(root);
    sx_wire_request_clear(&request);
    sx_buffer_clear(&exchange.reply);
    return status;
}

/* Reads one page of the list; *last: id to go on behind, "" at the end. */
static void search_page(const sx_batch_service *service, const json_t *root, const char *file, const char *mark, bool *found,
                        sx_batch_state *state, char last[128])
{
    size_t i;
    json_t *entry;
    last[0] = '\0';
    json_array_foreach(json_object_get(root, "data"), i, entry)
    {
        const char *its_mark = json_string_value(json_object_get(json_object_get(entry, "metadata"), "sextant"));
        copy_string(entry, "id", last, 128);
        read_state(service, entry, state);
        *found = its_mark && strcmp(its_mark, mark) == 0 && strcmp(state->input_file, file) == 0 && state->id[0];
        if (*found)
            return;
    }
    if (!json_is_true(json_object_get(root, "has_more")))
        last[0] = '\0';
}

sx_status sx_batch_find(sx_batch_service *service, const char *file, const char *mark, bool *found, sx_batch_state *state,
                        sx_error *error)
{
    sx_wire_request request = {0};
    sx_http_exchange exchange = {0};
    sx_status status = SX_OK;
    char last[128] = "";
    *found = false;
    for (unsigned page = 0; !status && !*found && page < LIST_PAGES && (!page || last[0]); page++) {
        json_t *root = NULL;
        char query[32];
        snprintf(query, sizeof query, "/batches?limit=%d%s", LIST_PAGE, page ? "&after=" : "");
        status = begin(service, "GET", query, last, "", &request, error);
        if (!status)
            status = exchange_patiently(service, &request, largest_reply, &exchange, error);
        if (!status)
            status = parse(service, &exchange, &root, error);
        if (!status)
            search_page(service, root, file, mark, found, state, last);
        json_decref(root);
    }
    sx_wire_request_clear(&request);
    sx_buffer_clear(&exchange.reply);
    return status;
}

static sx_status build_create(sx_batch_service *service, const char *file, const char *mark, sx_wire_request *request,
                              sx_error *error)
{
    sx_status status = begin(service, "POST", "/batches", "", "", request, error);
    sx_buffer *body = &request->body;
    sx_buffer_append_byte(body, '{');
    sx_wire_member(body, "completion_window", "24h");
    sx_wire_member(body, "endpoint", "/v1/embeddings");
    sx_wire_member(body, "input_file_id", file);
    sx_wire_key(body, "metadata");
    sx_buffer_append_byte(body, '{');
    sx_wire_member(body, "sextant", mark);
    sx_buffer_append_string(body, "}}");
    return status ? status : sx_wire_finish(request, error);
}

/* libcurl sends a request again by itself when a kept connection dies under it before a byte came back. What
 * costs money goes over a connection of its own, where it does not. */
static sx_status fresh_pool(sx_batch_service *service, sx_error *error)
{
    sx_http_pool_close(service->pool);
    service->pool = NULL;
    return sx_http_pool_open("sextant", 1, &service->pool, error);
}

sx_status sx_batch_create(sx_batch_service *service, const char *file, const char *mark, bool asked, sx_batch_state *state,
                          sx_error *error)
{
    sx_wire_request request = {0};
    sx_http_exchange exchange = {0};
    bool found = false, again = true;
    sx_error problem = {0};
    sx_status status = build_create(service, file, mark, &request, error), failure = SX_OK;
    for (unsigned attempt = 1; !status; attempt++) {
        if (asked) {
            status = sx_batch_find(service, file, mark, &found, state, error);
            if (!status && !found)
                status = pause_for(service, settle_ns, error);
            if (!status && !found)
                status = sx_batch_find(service, file, mark, &found, state, error);
        }
        if (status || found)
            break;
        if (failure && (!again || attempt > ATTEMPTS)) {
            status = failure;
            if (error)
                *error = problem;
            break;
        }
        asked = true;
        status = fresh_pool(service, error);
        if (status)
            break;
        failure = exchange_once(service, &request, largest_reply, &exchange, &again, &problem);
        if (!failure) {
            failure = take_state(service, &exchange, state, &problem); /* damaged: the batch may be there all the same */
            again = true;
        }
        if (!failure)
            break;
        if (failure == SX_E_STOPPED || again)
            status = pause_before(service, attempt, exchange.retry_after_ns, error);
    }
    sx_wire_request_clear(&request);
    sx_buffer_clear(&exchange.reply);
    return status;
}

static sx_status ask_state(sx_batch_service *service, const char *method, const char *id, const char *tail, sx_batch_state *state,
                           sx_error *error)
{
    sx_wire_request request = {0};
    sx_http_exchange exchange = {0};
    sx_status status = begin(service, method, "/batches/", id, tail, &request, error);
    if (!status)
        status = exchange_patiently(service, &request, largest_reply, &exchange, error);
    if (!status)
        status = take_state(service, &exchange, state, error);
    sx_wire_request_clear(&request);
    sx_buffer_clear(&exchange.reply);
    return status;
}

sx_status sx_batch_get(sx_batch_service *service, const char *id, sx_batch_state *state, sx_error *error)
{
    return ask_state(service, "GET", id, "", state, error);
}

sx_status sx_batch_stop(sx_batch_service *service, const char *id, sx_batch_state *state, sx_error *error)
{
    return ask_state(service, "POST", id, "/cancel", state, error);
}

sx_status sx_batch_download(sx_batch_service *service, const char *file, sx_buffer *data, sx_error *error)
{
    sx_wire_request request = {0};
    sx_http_exchange exchange = {0};
    sx_status status = begin(service, "GET", "/files/", file, "/content", &request, error);
    if (!status)
        status = exchange_patiently(service, &request, largest_download, &exchange, error);
    sx_wire_request_clear(&request);
    if (status)
        sx_buffer_clear(&exchange.reply);
    *data = exchange.reply;
    return status;
}

bool sx_batch_is_over(const char *status)
{
    static const char *const ends[] = {"completed", "failed", "expired", "cancelled"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (strcmp(status, ends[i]) == 0)
            return true;
    return false;
}
