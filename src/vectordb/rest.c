/* rest.c - one request at a time to a vector database: address, headers, tries and waits, and what a refusal means.
 *
 * Between tries it waits as services ask for (Retry-After, RFC 9110), else from a quarter of a second doubling to 16 seconds with
 * jitter, so that eight tries outlast a restart of the server.
 */
#include "rest.h"

#include "../base/error.h"
#include "../base/json_writer.h"
#include "../base/memory.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DEFAULT_ATTEMPTS = 8, DEFAULT_TIMEOUT_S = 60, SHORTEST_PART_OF_KEY = 6, MOST_EXPLAINED = 4096, MOST_BATCH = 10000 };
static const size_t longest_answer = (size_t)1 << 30;
static const int64_t first_wait_ns = 250000000, longest_wait_ns = 16000000000, longest_asked_ns = 300000000000;

/* ---- The address ---- */

static char *take_part(CURLU *url, CURLUPart part, unsigned flags)
{
    char *text = NULL, *copy = NULL;
    if (curl_url_get(url, part, &text, flags) == CURLUE_OK)
        copy = sx_strdup(text);
    curl_free(text);
    return copy;
}

static sx_status read_settings(sx_rest *rest, const char *query, sx_error *error)
{
    char *end = NULL;
    bool numbered = query && strncmp(query, "batch=", 6) == 0 && query[6] >= '0' && query[6] <= '9';
    unsigned long batch = numbered ? strtoul(query + 6, &end, 10) : 0;
    if (query && (!batch || *end || batch > MOST_BATCH))
        return sx_fail(error, SX_E_INVALID, "%s: behind the ? of its URL stands batch=N, with N from 1 to %d", rest->shown,
                       MOST_BATCH);
    rest->batch = (uint32_t)batch;
    return SX_OK;
}

static bool is_local(const char *host)
{
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "[::1]") == 0;
}

/* The parts of the URL; a message about one that cannot be read shows nothing of it, for it may hold a password. */
static sx_status read_url(sx_rest *rest, const char *text, char **user, sx_error *error)
{
    const char *name = rest->service->name;
    CURLU *url = curl_url();
    if (!url)
        return sx_fail_nomem(error, 1);
    bool read = curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK;
    char *scheme = read ? take_part(url, CURLUPART_SCHEME, 0) : NULL, *host = read ? take_part(url, CURLUPART_HOST, 0) : NULL;
    char *port = read ? take_part(url, CURLUPART_PORT, 0) : NULL, *path = read ? take_part(url, CURLUPART_PATH, 0) : NULL;
    char *query = read ? take_part(url, CURLUPART_QUERY, 0) : NULL;
    *user = read ? take_part(url, CURLUPART_USER, CURLU_URLDECODE) : NULL;
    rest->password = read ? take_part(url, CURLUPART_PASSWORD, CURLU_URLDECODE) : NULL;
    curl_url_cleanup(url);
    size_t length = strlen(name);
    sx_status status = SX_OK;
    if (!scheme || !host || !*host || strncasecmp(scheme, name, length) != 0 ||
        (scheme[length] && strcasecmp(scheme + length, "s") != 0)) {
        status = sx_fail(error, SX_E_INVALID, "%s: the server's URL cannot be read", name);
        sx_hint(error, "it is written %s://HOST[:PORT], or %ss:// for https; other characters in a password as %%XX", name, name);
        goto out;
    }
    rest->secure = scheme[length] != '\0';
    rest->local = is_local(host);
    const char *from = path ? path + strspn(path, "/") : "";
    size_t kept = strlen(from);
    while (kept && from[kept - 1] == '/')
        kept--;
    unsigned number = port ? (unsigned)strtoul(port, NULL, 10) : rest->secure ? rest->service->secure_port : rest->service->port;
    rest->url_path = sx_strndup(from, kept);
    if (asprintf(&rest->shown, "%s%s://%s:%u%s%.*s", name, rest->secure ? "s" : "", host, number, kept ? "/" : "", (int)kept,
                 from) < 0)
        rest->shown = NULL;
    if (asprintf(&rest->base, "http%s://%s:%u", rest->secure ? "s" : "", host, number) < 0)
        rest->base = NULL;
    status = rest->url_path && rest->shown && rest->base ? read_settings(rest, query, error) : sx_fail_nomem(error, strlen(text));
out:
    free(scheme);
    free(host);
    free(port);
    free(path);
    free(query);
    return status;
}

static sx_status add_line(sx_rest *rest, const char *name, const char *value, sx_error *error)
{
    char **line = &rest->lines[rest->line_count];
    if (rest->line_count == sizeof rest->lines / sizeof *rest->lines || asprintf(line, "%s%s", name, value) < 0) {
        *line = NULL;
        return sx_fail_nomem(error, strlen(value));
    }
    rest->line_count++;
    return SX_OK;
}

/* User and password of the URL, for a proxy before the server (RFC 7617). */
static sx_status add_basic(sx_rest *rest, const char *user, sx_error *error)
{
    sx_buffer pair = {0}, coded = {0};
    sx_status status = SX_OK;
    if (!sx_buffer_printf(&pair, "%s:%s", user, rest->password ? rest->password : "") ||
        !sx_json_write_base64(&coded, pair.data, pair.length)) {
        status = sx_fail_nomem(error, 256);
    } else {
        coded.data[coded.length - 1] = '\0'; /* the quotes of JSON */
        status = add_line(rest, "Authorization: Basic ", coded.data + 1, error);
    }
    sx_buffer_clear(&pair);
    sx_buffer_clear(&coded);
    return status;
}

sx_status sx_rest_open(sx_rest *rest, const sx_rest_service *service, const char *url, const sx_vector_store_options *options,
                       sx_error *error)
{
    static const sx_vector_store_options none = {0};
    char *user = NULL;
    options = options ? options : &none;
    rest->service = service;
    rest->clock = options->clock ? *options->clock : sx_system_clock;
    rest->random = (uint64_t)rest->clock.wall_ns(rest->clock.user) | 1;
    rest->attempts = options->attempts ? options->attempts : DEFAULT_ATTEMPTS;
    rest->timeout_ns = (int64_t)((options->timeout_s > 0 ? options->timeout_s : DEFAULT_TIMEOUT_S) * 1e9);
    rest->log = options->log;
    rest->log_user = options->log_user;
    rest->exchange.limit = longest_answer;
    sx_status status = read_url(rest, url, &user, error);
    if (!status && options->api_key && *options->api_key) {
        rest->key = sx_strdup(options->api_key);
        status = rest->key ? add_line(rest, service->key_header, rest->key, error) : sx_fail_nomem(error, 1);
    }
    if (!status && user)
        status = add_basic(rest, user, error);
    if (!status)
        status = add_line(rest, "Content-Type: ", "application/json", error);
    for (const char *const *line = service->headers; !status && line && *line; line++)
        status = add_line(rest, *line, "", error);
    if (!status)
        status = sx_http_pool_open("sextant", 1, &rest->pool, error);
    free(user);
    return status;
}

void sx_rest_close(sx_rest *rest)
{
    sx_http_pool_close(rest->pool); /* before the exchange it may point at */
    for (size_t i = 0; i < rest->line_count; i++)
        free(rest->lines[i]);
    sx_buffer *buffers[] = {&rest->exchange.reply, &rest->path, &rest->body, &rest->address, &rest->label};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        sx_buffer_clear(buffers[i]);
    free(rest->shown);
    free(rest->base);
    free(rest->url_path);
    free(rest->key);
    free(rest->password);
    *rest = (sx_rest){0};
}

/* ---- Building ---- */

void sx_rest_begin(sx_rest *rest, const char *path)
{
    rest->path.failed = rest->body.failed = false;
    sx_buffer_reset(&rest->path);
    sx_buffer_reset(&rest->body);
    sx_buffer_append_string(&rest->path, path);
}

void sx_rest_add_segment(sx_rest *rest, const char *text)
{
    static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    bool only_dots = strspn(text, ".") == strlen(text); /* "." and ".." would be taken out of the path on the way */
    for (const char *at = text; *at; at++)
        if (strchr(unreserved, *at) && !only_dots)
            sx_buffer_append_byte(&rest->path, *at);
        else
            sx_buffer_printf(&rest->path, "%%%02X", (unsigned char)*at);
}

/* ---- What the server says ---- */

/* Takes the key and the password out, also where only their beginning is quoted. */
static void append_without(sx_buffer *to, const sx_rest *rest, const char *text, size_t length)
{
    const char *secrets[] = {rest->key, rest->password};
    for (size_t at = 0; at < length;) {
        size_t hidden = 0;
        for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
            size_t whole = secrets[i] ? strlen(secrets[i]) : 0, alike = 0;
            while (alike < whole && at + alike < length && text[at + alike] == secrets[i][alike])
                alike++;
            if (alike && alike >= (whole < SHORTEST_PART_OF_KEY ? whole : SHORTEST_PART_OF_KEY) && alike > hidden)
                hidden = alike;
        }
        if (hidden)
            sx_buffer_append_string(to, "[key]");
        else
            sx_buffer_append_byte(to, (unsigned char)text[at] < 0x20 || text[at] == 0x7f ? ' ' : text[at]);
        at += hidden ? hidden : 1;
    }
}

/* The text of an error body: {"error","message"} Chroma, {"status":{"error"}} Qdrant, {"error":[{"message"}]} Weaviate,
 * {"code","message"} Milvus and Pinecone, {"error":{"message"}}, {"detail"} proxies. */
static const char *find_message(const json_t *value, unsigned depth)
{
    static const char *const keys[] = {"message", "error", "status", "errors", "detail"};
    if (json_is_string(value))
        return json_string_value(value);
    if (json_is_array(value))
        return depth < 4 ? find_message(json_array_get(value, 0), depth + 1) : NULL;
    for (size_t i = 0; json_is_object(value) && depth < 4 && i < sizeof keys / sizeof *keys; i++) {
        const char *found = find_message(json_object_get(value, keys[i]), depth + 1);
        if (found && *found)
            return found;
    }
    return NULL;
}

void sx_rest_explain(const sx_rest *rest, char *to, size_t size)
{
    const sx_buffer *reply = &rest->exchange.reply;
    const char *body = reply->length ? reply->data : "", *at = body + strspn(body, " \t\r\n");
    sx_buffer line = {.maximum = 8 * MOST_EXPLAINED};
    json_t *root = *at == '<' ? NULL : json_loadb(body, reply->length, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    const char *message = root ? find_message(root, 0) : NULL;
    if (*at == '<') {
        const char *title = strcasestr(at, "<title"), *start = title ? strchr(title, '>') : NULL;
        const char *end = start ? strchr(start, '<') : NULL;
        sx_buffer_append_string(&line, "an HTML page instead of JSON");
        if (end && end - start > 1) {
            sx_buffer_append_string(&line, ": ");
            append_without(&line, rest, start + 1, (size_t)(end - start - 1));
        }
    } else {
        message = message ? message : at;
        append_without(&line, rest, message, strnlen(message, MOST_EXPLAINED));
    }
    json_decref(root);
    snprintf(to, size, "%s", line.data && !line.failed ? line.data : "");
    sx_buffer_clear(&line);
}

static sx_status status_of(long code)
{
    switch (code) {
    case 401:
    case 403: return SX_E_DENIED;
    case 404: return SX_E_NOT_FOUND;
    case 409: return SX_E_EXISTS;
    case 413: return SX_E_LIMIT;
    case 429:
    case 503: return SX_E_BUSY;
    default: return code >= 500 || code == 408 || code == 425 ? SX_E_NETWORK : SX_E_INVALID;
    }
}

static bool passes(long code)
{
    return code == 408 || code == 425 || code == 429 || code >= 500;
}

static const char *label_of(const sx_rest *rest)
{
    return rest->label.data ? rest->label.data : rest->shown;
}

static sx_status refuse(sx_rest *rest, uint32_t tries, sx_error *error)
{
    const sx_http_exchange *exchange = &rest->exchange;
    char tried[32] = "", said[512];
    if (tries > 1)
        snprintf(tried, sizeof tried, " (%u tries)", tries);
    if (exchange->status)
        return sx_fail(error, exchange->status, "%s: %s%s", label_of(rest), exchange->problem, tried);
    sx_rest_explain(rest, said, sizeof said);
    sx_status status = status_of(exchange->code);
    char code[32] = "refused";
    if (!rest->meant)
        snprintf(code, sizeof code, "HTTP %ld", exchange->code);
    sx_fail(error, status, "%s: %s%s%s%s", label_of(rest), code, tried, *said ? ": " : "", said);
    if (status == SX_E_DENIED)
        sx_hint(error, rest->key ? "the key that was given is not accepted there" : "the server wants a key, and none was given");
    else if (exchange->code >= 300 && exchange->code < 400)
        sx_hint(error, "the server sends callers elsewhere: give the URL it really has%s",
                rest->secure ? "" : ", perhaps that with https");
    return status;
}

/* ---- Tries ---- */

static int64_t wait_before(sx_rest *rest, uint32_t tries)
{
    const sx_http_exchange *exchange = &rest->exchange;
    int64_t wait = first_wait_ns;
    for (uint32_t i = 1; i < tries && wait < longest_wait_ns; i++)
        wait *= 2;
    rest->random ^= rest->random << 13; /* xorshift64 (Marsaglia 2003) */
    rest->random ^= rest->random >> 7;
    rest->random ^= rest->random << 17;
    wait = wait / 2 + (int64_t)(rest->random % (uint64_t)(wait / 2));
    int64_t asked = !exchange->status && exchange->retry_after_ns > 0 ? exchange->retry_after_ns : 0;
    if (asked > longest_asked_ns)
        asked = longest_asked_ns;
    return wait > asked ? wait : asked;
}

static sx_status perform(sx_rest *rest, const char *method, sx_error *error)
{
    sx_http_exchange *exchange = &rest->exchange, *done = NULL;
    exchange->method = method;
    exchange->url = rest->address.data;
    exchange->headers = (const char *const *)rest->lines;
    exchange->header_count = rest->line_count;
    exchange->body = rest->body.length ? rest->body.data : NULL;
    exchange->body_length = rest->body.length;
    exchange->timeout_ns = rest->timeout_ns;
    sx_status status = sx_http_pool_start(rest->pool, exchange, error);
    while (!status && !done)
        status = sx_http_pool_wait(rest->pool, rest->timeout_ns, &done, error);
    rest->meant = false;
    if (!status && !exchange->status && exchange->code == 200 && rest->service->meaning) {
        exchange->code = rest->service->meaning(&exchange->reply);
        rest->meant = exchange->code != 200;
    }
    return status;
}

sx_status sx_rest_call(sx_rest *rest, const char *method, const char *what, const char *collection, sx_error *error)
{
    const sx_http_exchange *exchange = &rest->exchange;
    rest->address.failed = rest->label.failed = false;
    sx_buffer_reset(&rest->address);
    sx_buffer_reset(&rest->label);
    sx_buffer_printf(&rest->label, "%s: %s%s%s", rest->shown, what, collection ? " " : "", collection ? collection : "");
    sx_buffer_append_string(&rest->address, rest->base);
    sx_buffer_append(&rest->address, rest->path.data, rest->path.length);
    if (rest->address.failed || rest->path.failed || rest->body.failed)
        return sx_fail_nomem(error, rest->body.length);
    for (uint32_t tries = 1;; tries++) {
        sx_status status = perform(rest, method, error);
        if (status)
            return status;
        if (!exchange->status && exchange->code >= 200 && exchange->code < 300)
            return SX_OK;
        bool again = exchange->status ? exchange->status == SX_E_NETWORK : passes(exchange->code);
        if (!again || tries >= rest->attempts)
            return refuse(rest, tries, error);
        int64_t wait = wait_before(rest, tries);
        if (rest->log) {
            sx_error problem;
            char line[1200];
            refuse(rest, 1, &problem);
            snprintf(line, sizeof line, "%s; trying again in %.1f s", problem.message, (double)wait / 1e9);
            rest->log(SX_LOG_WARNING, line, rest->log_user);
        }
        rest->clock.sleep_ns(wait, rest->clock.user);
    }
}

sx_status sx_rest_drop(sx_rest *rest, const char *collection, sx_error *error)
{
    sx_status status = sx_rest_call(rest, "GET", "look up", collection, error);
    if (status)
        return status;
    status = sx_rest_call(rest, "DELETE", "drop", collection, error);
    return status == SX_E_NOT_FOUND ? SX_OK : status;
}

/* ---- Answers ---- */

void sx_rest_read(sx_rest *rest, sx_json *json)
{
    const sx_buffer *reply = &rest->exchange.reply;
    sx_json_begin(json, reply->length ? reply->data : "", reply->length, label_of(rest));
}

sx_status sx_rest_result(sx_rest *rest, const char *key, sx_json *value, sx_error *error)
{
    sx_json all, root;
    sx_rest_read(rest, &all);
    sx_json_skip(&all);
    sx_json_end(&all);
    if (all.problem)
        return sx_rest_bad_answer(rest, &all, error);
    sx_rest_read(rest, &root);
    return sx_rest_find(&root, key, value) ? SX_OK : sx_rest_odd_answer(rest, error, "has no \"%s\"", key);
}

bool sx_rest_find(const sx_json *object, const char *key, sx_json *value)
{
    sx_json json = *object;
    sx_buffer buffer = {0};
    sx_text name;
    bool found = false;
    if (sx_json_peek(&json) != SX_JSON_OBJECT)
        return false;
    sx_json_object(&json);
    while (!found && sx_json_member(&json, &buffer, &name)) {
        found = sx_text_is(name, key) && sx_json_peek(&json) != SX_JSON_NULL;
        if (found)
            *value = json;
        else
            sx_json_skip(&json);
    }
    sx_buffer_clear(&buffer);
    return found;
}

char *sx_rest_find_string(const sx_json *object, const char *key)
{
    sx_json value;
    sx_buffer buffer = {0};
    sx_text text;
    char *copy = NULL;
    if (sx_rest_find(object, key, &value) && sx_json_peek(&value) == SX_JSON_STRING && sx_json_string(&value, &buffer, &text))
        copy = sx_strndup(text.data, text.length);
    sx_buffer_clear(&buffer);
    return copy;
}

bool sx_rest_find_count(const sx_json *object, const char *key, uint64_t *count)
{
    sx_json value;
    return sx_rest_find(object, key, &value) && sx_json_peek(&value) == SX_JSON_NUMBER && sx_json_unsigned(&value, count);
}

sx_status sx_rest_bad_answer(sx_rest *rest, const sx_json *json, sx_error *error)
{
    const sx_buffer *reply = &rest->exchange.reply;
    const char *body = reply->length ? reply->data : "", *at = body + strspn(body, " \t\r\n");
    char said[512];
    if (*at == '{' || *at == '[')
        return sx_fail(error, SX_E_FORMAT, "%s: the answer of %zu bytes, at byte %zu: %s", label_of(rest), reply->length,
                       json->problem_position, json->problem ? json->problem : "incomplete");
    sx_rest_explain(rest, said, sizeof said);
    return sx_fail(error, SX_E_FORMAT, "%s: the answer is no JSON: %s", label_of(rest), *said ? said : "nothing");
}

sx_status sx_rest_odd_answer(sx_rest *rest, sx_error *error, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return sx_fail(error, SX_E_FORMAT, "%s: the answer %s", label_of(rest), text);
}
