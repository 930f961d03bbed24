/* ask_chat.c - POST /chat/completions with "stream": true, and what comes back (platform.openai.com/docs/api-reference/chat).
 *
 * The reply is a stream of events, each a JSON object whose choices[0].delta.content is the next piece, and at its end "[DONE]". Some
 * servers leave [DONE] out, which is well when the model has said that it finished, and a cut answer when not. Some do not stream
 * and send one object; some send an error object in the midst of the stream; proxies send pages. */
#include "ask_chat.h"

#include "../base/error.h"
#include "../base/json_writer.h"
#include "../net/event_stream.h"
#include "../net/http_pool.h"
#include "../provider/wire_internal.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ANSWER = 16 << 20, MOST_OBJECT = 16 << 20, MOST_REFUSAL = 256 << 10, WAITS = 2, HEADERS = 3 };
static const int64_t poll_ns = 100000000, longest_wait_ns = 20000000000;

typedef enum body_form { FORM_UNKNOWN, FORM_EVENTS, FORM_OBJECT } body_form;

typedef struct chat {
    const sx_chat_request *request;
    sx_chat_reply *reply;
    sx_event_stream stream;
    sx_buffer object;        /* a reply that is no stream */
    body_form form;
    bool done;
    sx_status status;        /* why the reading ended */
    sx_error error;
} chat;

/* ---- What comes ---- */

static sx_status take_error(chat *c, const json_t *problem, sx_error *error)
{
    const json_t *inner = json_is_object(problem) ? json_object_get(problem, "message") : problem;
    const char *said = json_string_value(inner);
    char clean[256];
    sx_wire_redact(c->request->target, said ? said : "an error without a message", clean, sizeof clean);
    return sx_fail(error, SX_E_PROVIDER, "%s: %s", c->request->target->base_url, clean);
}

static uint64_t count_of(const json_t *usage, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(usage, name));
    return value > 0 ? (uint64_t)value : 0;
}

/* One object of the stream, or the only one: then the piece is in "message". */
static sx_status take_object(chat *c, const json_t *object, sx_error *error)
{
    sx_chat_reply *reply = c->reply;
    const json_t *problem = json_object_get(object, "error"), *usage = json_object_get(object, "usage");
    const json_t *choice = json_array_get(json_object_get(object, "choices"), 0);
    if (problem && !json_is_null(problem))
        return take_error(c, problem, error);
    if (json_is_object(usage)) {
        reply->prompt_tokens = count_of(usage, "prompt_tokens");
        reply->completion_tokens = count_of(usage, "completion_tokens");
    }
    const json_t *delta = json_object_get(choice, c->form == FORM_OBJECT ? "message" : "delta");
    const json_t *content = json_object_get(delta, "content");
    const char *finish = json_string_value(json_object_get(choice, "finish_reason"));
    if (finish)
        snprintf(reply->finish, sizeof reply->finish, "%s", finish);
    size_t length = json_string_length(content);
    if (!length)
        return SX_OK;
    reply->begun = true;
    if (!sx_buffer_append(&reply->text, json_string_value(content), length))
        return sx_fail(error, SX_E_LIMIT, "%s: the answer is longer than %d bytes", c->request->target->base_url, MOST_ANSWER);
    if (c->request->piece)
        c->request->piece(json_string_value(content), length, c->request->user);
    return SX_OK;
}

static sx_status take_json(chat *c, const char *text, size_t length, sx_error *error)
{
    json_error_t problem;
    json_t *object = json_loadb(text, length, JSON_REJECT_DUPLICATES, &problem);
    sx_status status;
    if (json_is_object(object))
        status = take_object(c, object, error);
    else
        status = sx_fail(error, SX_E_FORMAT, "%s: a part of the reply is no JSON object: %s", c->request->target->base_url,
                         object ? "another value" : problem.text);
    json_decref(object);
    return status;
}

static sx_status take_event(void *user, const char *data, size_t length, sx_error *error)
{
    chat *c = user;
    if (c->done)
        return SX_OK;
    if (length == 6 && memcmp(data, "[DONE]", 6) == 0) {
        c->done = true;
        return SX_OK;
    }
    return take_json(c, data, length, error);
}

static bool take_body(void *user, const char *data, size_t length)
{
    chat *c = user;
    size_t at = 0;
    while (c->form == FORM_UNKNOWN && at < length && strchr(" \t\r\n", data[at]) && data[at])
        at++;
    if (c->form == FORM_UNKNOWN && at < length) {
        c->form = data[at] == '{' ? FORM_OBJECT : FORM_EVENTS;
        if (data[at] == '<')
            c->status = sx_fail(&c->error, SX_E_FORMAT, "%s: a page came instead of an answer: this is no chat endpoint",
                                c->request->target->base_url);
    }
    if (!c->status && c->form == FORM_EVENTS)
        c->status = sx_event_stream_feed(&c->stream, data + at, length - at, &c->error);
    else if (!c->status && c->form == FORM_OBJECT && !sx_buffer_append(&c->object, data + at, length - at))
        c->status = sx_fail(&c->error, SX_E_LIMIT, "%s: the reply is longer than %d bytes", c->request->target->base_url, MOST_OBJECT);
    return c->status == SX_OK;
}

/* ---- What is sent ---- */

static void append_message(sx_buffer *body, const char *role, const char *text)
{
    sx_buffer_printf(body, "{\"role\":\"%s\",\"content\":", role);
    sx_json_write_string(body, text, strlen(text));
    sx_buffer_append_byte(body, '}');
}

static void write_body(const sx_chat_request *request, bool with_usage, sx_buffer *body)
{
    sx_buffer_reset(body);
    sx_buffer_append_string(body, "{\"model\":");
    sx_json_write_string(body, request->target->model, strlen(request->target->model));
    sx_buffer_append_string(body, ",\"messages\":[");
    append_message(body, "system", request->instructions);
    sx_buffer_append_byte(body, ',');
    append_message(body, "user", request->prompt);
    sx_buffer_append_string(body, "],\"stream\":true");
    if (with_usage)
        sx_buffer_append_string(body, ",\"stream_options\":{\"include_usage\":true}");
    sx_buffer_append_byte(body, '}');
}

static bool is_stopped(const sx_chat_request *request)
{
    return request->stop && *request->stop;
}

/* One exchange to its end; its status is in the exchange. */
static sx_status run(chat *c, sx_http_pool *pool, sx_http_exchange *exchange, sx_error *error)
{
    sx_http_exchange *done = NULL;
    sx_status status = sx_http_pool_start(pool, exchange, error);
    c->reply->requests += !status;
    while (!status && !done) {
        status = sx_http_pool_wait(pool, poll_ns, &done, error);
        if (!status && !done && is_stopped(c->request)) {
            sx_http_pool_cancel(pool);
            return sx_fail(error, SX_E_STOPPED, "ask: interrupted");
        }
    }
    return status;
}

static sx_status wait_a_while(const sx_chat_request *request, int64_t ns, sx_error *error)
{
    for (int64_t left = ns; left > 0; left -= poll_ns) {
        if (is_stopped(request))
            return sx_fail(error, SX_E_STOPPED, "ask: interrupted");
        request->clock->sleep_ns(left < poll_ns ? left : poll_ns, request->clock->user);
    }
    return SX_OK;
}

/* A reply other than 2xx. */
static sx_status refused(const chat *c, const sx_http_exchange *exchange, sx_error *error)
{
    const sx_wire_target *target = c->request->target;
    sx_wire_reply verdict = {0};
    target->form->refuse(target, exchange->code, exchange->reply.data ? exchange->reply.data : "", exchange->reply.length, &verdict);
    char wait[64] = "";
    if (exchange->retry_after_ns > 0)
        snprintf(wait, sizeof wait, "; it asks to wait %lld s", (long long)((exchange->retry_after_ns + 999999999) / 1000000000));
    bool denied = exchange->code == 401 || exchange->code == 403;
    sx_fail(error, denied ? SX_E_DENIED : SX_E_PROVIDER, "%s: %s%s", target->base_url, verdict.message, wait);
    sx_hint(error, "%s", verdict.hint);
    return error ? error->code : denied ? SX_E_DENIED : SX_E_PROVIDER;
}

/* What a 2xx reply that ended means. */
static sx_status conclude(chat *c, const sx_http_exchange *exchange, sx_error *error)
{
    sx_chat_reply *reply = c->reply;
    const char *url = c->request->target->base_url;
    if (c->form == FORM_OBJECT && !c->status && !exchange->status) {
        c->status = take_json(c, c->object.data, c->object.length, &c->error);
        c->done = true;
    }
    if (c->status) {
        if (error)
            *error = c->error;
        return c->status;
    }
    if (exchange->status && !c->done)
        return sx_fail(error, exchange->status, "%s: the answer was cut off: %s", url, exchange->problem);
    if (!c->done && !reply->finish[0])
        return sx_fail(error, SX_E_NETWORK, "%s: %s", url,
                       reply->begun ? "the answer was cut off: the stream ended without its end mark" : "the reply holds no answer");
    if (strcmp(reply->finish, "length") == 0)
        return sx_fail(error, SX_E_LIMIT, "%s: the answer is cut: the model's limit of tokens was reached", url);
    if (strcmp(reply->finish, "content_filter") == 0)
        return sx_fail(error, SX_E_PROVIDER, "%s: the answer is cut: the service's filter ended it", url);
    return reply->begun ? SX_OK : sx_fail(error, SX_E_PROVIDER, "%s: the model gave an empty answer", url);
}

sx_status sx_chat_ask(const sx_chat_request *request, sx_chat_reply *reply, sx_error *error)
{
    const sx_wire_target *target = request->target;
    sx_buffer url = {0}, body = {0}, key = {0};
    sx_http_pool *pool = NULL;
    sx_http_exchange exchange = {.method = "POST", .timeout_ns = request->timeout_ns, .limit = MOST_REFUSAL, .sink = take_body};
    chat c = {.request = request, .reply = reply, .stream = {.take = take_event}, .object = {.maximum = MOST_OBJECT}};
    const char *headers[HEADERS] = {"Content-Type: application/json", "Accept: text/event-stream"};
    bool with_usage = true;
    c.stream.user = &c;
    reply->text.maximum = MOST_ANSWER;
    sx_buffer_printf(&url, "%s/chat/completions", target->base_url);
    if (target->api_key)
        sx_buffer_printf(&key, "Authorization: Bearer %s", target->api_key);
    headers[2] = key.data;
    exchange.headers = headers;
    exchange.header_count = target->api_key ? HEADERS : HEADERS - 1;
    exchange.url = url.data;
    exchange.ca_file = target->ca_file;
    exchange.user = &c;
    sx_status status = url.failed || key.failed ? sx_fail_nomem(error, url.length) : sx_http_pool_open("sextant", 1, &pool, error);
    for (unsigned waits = 0; !status;) {
        write_body(request, with_usage, &body);
        if (body.failed) {
            status = sx_fail_nomem(error, body.length);
            break;
        }
        exchange.body = body.data;
        exchange.body_length = body.length;
        status = run(&c, pool, &exchange, error);
        if (status || (exchange.code >= 200 && exchange.code < 300) || exchange.status)
            break;
        const char *said = exchange.reply.data ? exchange.reply.data : "";
        if ((exchange.code == 400 || exchange.code == 422) && with_usage && strstr(said, "stream_options")) {
            with_usage = false; /* a server that does not know how to count in a stream */
            continue;
        }
        bool short_wait = exchange.retry_after_ns >= 0 && exchange.retry_after_ns <= longest_wait_ns;
        if ((exchange.code != 429 && exchange.code != 503) || !short_wait || waits++ == WAITS) {
            status = refused(&c, &exchange, error);
            break;
        }
        status = wait_a_while(request, exchange.retry_after_ns, error);
    }
    if (!status && exchange.code >= 200 && exchange.code < 300)
        status = conclude(&c, &exchange, error);
    else if (!status)
        status = sx_fail(error, exchange.status, "%s: %s", target->base_url, exchange.problem);
    sx_http_pool_close(pool);
    sx_event_stream_clear(&c.stream);
    sx_buffer_clear(&c.object);
    sx_buffer_clear(&exchange.reply);
    sx_buffer_clear(&url);
    sx_buffer_clear(&body);
    sx_buffer_clear(&key);
    return status;
}
