/* http.c - the blocking HTTP client: one libcurl easy handle, its callbacks, and the headers that matter here.
 *
 * Redirects are followed by hand rather than by libcurl, since the hub says what a file is in the first reply of a chain and
 * where it lies in the next, and because the token must not travel to another host. RFC 9110 (HTTP semantics).
 */
#include "http.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
    CONNECT_TIMEOUT_S = 20,
    STALL_S = 30,             /* nothing for so long is an error */
    MOST_REDIRECTS = 10,
    ERROR_BODY = 64 * 1024,
    URL_MAX = 4096
};

struct sx_http_client {
    CURL *curl;
    char *user_agent;
    size_t limit;
    char problem[CURL_ERROR_SIZE];
};

/* One exchange, that is one reply of a chain. */
typedef struct exchange {
    const sx_http_request *request;
    sx_http_response *response;
    sx_error *error;
    sx_status status;     /* of the sink, when it refused */
    bool begun;
    bool skip_body;       /* of a redirect that will be followed */
} exchange;

sx_status sx_http_client_open(const char *user_agent, size_t limit, sx_http_client **out, sx_error *error)
{
    *out = NULL;
    sx_http_client *client = sx_calloc(1, sizeof *client);
    if (!client)
        return sx_fail_nomem(error, sizeof *client);
    client->limit = limit;
    client->user_agent = sx_strdup(user_agent);
    client->curl = curl_easy_init();
    if (!client->user_agent || !client->curl) {
        sx_http_client_close(client);
        return sx_fail(error, SX_E_NOMEM, "HTTP: libcurl could not be set up");
    }
    *out = client;
    return SX_OK;
}

void sx_http_client_close(sx_http_client *client)
{
    if (!client)
        return;
    curl_easy_cleanup(client->curl);
    free(client->user_agent);
    free(client);
}

void sx_http_response_clear(sx_http_response *response)
{
    sx_buffer_clear(&response->body);
}

static void response_reset(sx_http_response *response, size_t limit)
{
    sx_buffer body = response->body;
    sx_buffer_reset(&body);
    body.maximum = limit;
    body.failed = false;
    *response = (sx_http_response){.content_length = UINT64_MAX, .range_begin = UINT64_MAX, .range_total = UINT64_MAX,
                                   .linked_size = UINT64_MAX, .retry_after_s = -1, .body = body};
}

/* ---- Headers ---- */

static void copy_value(char *to, size_t room, const char *from, size_t length)
{
    if (length >= room)
        return; /* longer than anything that is meant: as if it were not there */
    memcpy(to, from, length);
    to[length] = '\0';
}

/* W/"abc" and "abc" -> abc */
static void copy_tag(char *to, size_t room, const char *from, size_t length)
{
    if (length > 2 && strncmp(from, "W/", 2) == 0) {
        from += 2;
        length -= 2;
    }
    if (length >= 2 && from[0] == '"' && from[length - 1] == '"') {
        from++;
        length -= 2;
    }
    copy_value(to, room, from, length);
}

static uint64_t number(const char *text, size_t length)
{
    uint64_t value = 0;
    if (length == 0)
        return UINT64_MAX;
    for (size_t i = 0; i < length; i++) {
        if (!isdigit((unsigned char)text[i]) || value > (UINT64_MAX - 9) / 10)
            return UINT64_MAX;
        value = value * 10 + (uint64_t)(text[i] - '0');
    }
    return value;
}

/* bytes 100-199/1000 */
static void read_range(sx_http_response *response, const char *text, size_t length)
{
    const char *unit = "bytes ", *dash = memchr(text, '-', length), *slash = memchr(text, '/', length);
    size_t unit_length = strlen(unit);
    if (length <= unit_length || strncasecmp(text, unit, unit_length) != 0 || !dash || !slash || dash > slash)
        return;
    response->range_begin = number(text + unit_length, (size_t)(dash - text) - unit_length);
    response->range_total = number(slash + 1, length - (size_t)(slash + 1 - text));
}

/* Seconds, or a date (RFC 9110, 10.2.3). */
static int64_t read_retry(const char *text, size_t length)
{
    char copy[64] = "";
    copy_value(copy, sizeof copy, text, length);
    uint64_t seconds = number(copy, strlen(copy));
    if (seconds < 1000000)
        return (int64_t)seconds;
    time_t date = curl_getdate(copy, NULL), now = time(NULL);
    return date == -1 ? -1 : date > now ? (int64_t)(date - now) : 0;
}

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static size_t take_header(char *line, size_t size, size_t count, void *user)
{
    exchange *e = user;
    sx_http_response *response = e->response;
    size_t length = size * count, total = length;
    while (length && (line[length - 1] == '\r' || line[length - 1] == '\n' || line[length - 1] == ' '))
        length--;
    const char *colon = memchr(line, ':', length);
    if (!colon) {
        if (length > 5 && strncasecmp(line, "HTTP/", 5) == 0) { /* a new reply: of 100-continue, of a proxy */
            response->content_length = response->range_begin = response->range_total = UINT64_MAX;
            response->etag[0] = response->location[0] = response->error_code[0] = '\0';
            response->retry_after_s = -1;
        }
        return total;
    }
    size_t name = (size_t)(colon - line);
    const char *value = colon + 1;
    while (value < line + length && (*value == ' ' || *value == '\t'))
        value++;
    size_t value_length = (size_t)(line + length - value);
    static const char *const names[] = {"etag",          "x-linked-etag", "x-repo-commit", "x-error-code",  "location",
                                        "content-length", "content-range", "x-linked-size", "accept-ranges", "retry-after"};
    size_t which = 0;
    while (which < sizeof names / sizeof *names && (strlen(names[which]) != name || strncasecmp(names[which], line, name) != 0))
        which++;
    switch (which) {
    case 0:
        copy_tag(response->etag, sizeof response->etag, value, value_length);
        break;
    case 1:
        copy_tag(response->linked_etag, sizeof response->linked_etag, value, value_length);
        break;
    case 2:
        copy_value(response->commit, sizeof response->commit, value, value_length);
        break;
    case 3:
        copy_value(response->error_code, sizeof response->error_code, value, value_length);
        break;
    case 4:
        copy_value(response->location, sizeof response->location, value, value_length);
        break;
    case 5:
        response->content_length = number(value, value_length);
        break;
    case 6:
        read_range(response, value, value_length);
        break;
    case 7:
        response->linked_size = number(value, value_length);
        break;
    case 8:
        response->accepts_ranges = value_length == 5 && strncasecmp(value, "bytes", 5) == 0;
        break;
    case 9:
        response->retry_after_s = read_retry(value, value_length);
        break;
    default:
        break;
    }
    return total;
}

/* ---- Body ---- */

static size_t take_body(char *data, size_t size, size_t count, void *user)
{
    exchange *e = user;
    size_t length = size * count;
    if (e->skip_body)
        return length;
    if (e->response->status < 200 || e->response->status >= 300) {
        size_t room = e->response->body.length < ERROR_BODY ? ERROR_BODY - e->response->body.length : 0;
        sx_buffer_append(&e->response->body, data, length < room ? length : room);
        return length;
    }
    if (!e->begun && e->request->begin) {
        e->begun = true;
        e->status = e->request->begin(e->request->user, e->response, e->error);
        if (e->status)
            return CURL_WRITEFUNC_ERROR;
    }
    if (e->request->sink)
        e->status = e->request->sink(e->request->user, data, length, e->error);
    else if (!sx_buffer_append(&e->response->body, data, length))
        e->status = sx_fail(e->error, SX_E_LIMIT, "%s: the reply is longer than %zu bytes", e->request->url,
                            e->response->body.maximum);
    return e->status ? CURL_WRITEFUNC_ERROR : length;
}

/* The status code is known once the header block ends: before the first byte of the body. */
static size_t take_body_of(char *data, size_t size, size_t count, void *user)
{
    void **both = user;
    sx_http_client *client = both[0];
    exchange *e = both[1];
    if (!e->response->status)
        curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &e->response->status);
    e->skip_body = is_redirect(e->response->status);
    return take_body(data, size, count, e);
}

static int look_whether_to_stop(void *user, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    (void)down_total;
    (void)down;
    (void)up_total;
    (void)up;
    const volatile int *stop = user;
    return stop && *stop;
}

/* ---- One exchange and the chain ---- */

static sx_status exchange_one(sx_http_client *client, const sx_http_request *request, const char *url, bool with_token,
                              sx_http_response *response, sx_error *error)
{
    CURL *curl = client->curl;
    exchange e = {.request = request, .response = response, .error = error};
    void *both[] = {client, &e};
    struct curl_slist *headers = NULL, *grown;
    char range[64], condition[256];
    sx_status status = SX_OK;
    curl_easy_reset(curl);
    client->problem[0] = '\0';
    response_reset(response, client->limit);
    if (request->range_from) {
        snprintf(range, sizeof range, "%llu-", (unsigned long long)request->range_from);
        curl_easy_setopt(curl, CURLOPT_RANGE, range);
        if (request->if_range && strlen(request->if_range) < sizeof condition - 16) {
            snprintf(condition, sizeof condition, "If-Range: \"%s\"", request->if_range);
            grown = curl_slist_append(headers, condition);
            if (!grown)
                return sx_fail_nomem(error, sizeof condition);
            headers = grown;
        }
    }
    /* Ranges count the bytes of the file, so the server must not compress it. */
    grown = curl_slist_append(headers, "Accept-Encoding: identity");
    if (!grown) {
        curl_slist_free_all(headers);
        return sx_fail_nomem(error, 64);
    }
    headers = grown;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOBODY, strcmp(request->method, "HEAD") == 0 ? 1L : 0L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, client->user_agent);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->problem);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &e);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body_of);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, (void *)both);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_whether_to_stop);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, (void *)(uintptr_t)request->stop);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, request->stop ? 0L : 1L);
    if (with_token && request->bearer_token) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, request->bearer_token);
    }
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &response->status);
    curl_slist_free_all(headers);
    if (e.status)
        return e.status;
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return sx_fail(error, SX_E_STOPPED, "%s: stopped", url);
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL)
        return sx_fail(error, SX_E_INVALID, "%s: no http or https address", url);
    if (code != CURLE_OK)
        return sx_fail(error, SX_E_NETWORK, "%s: %s", url, client->problem[0] ? client->problem : curl_easy_strerror(code));
    if (!e.begun && request->begin && response->status >= 200 && response->status < 300) /* an empty body */
        status = request->begin(request->user, response, error);
    return status;
}

/* The next address of a chain, and whether it is on the same scheme, host and port. */
static sx_status follow(const char *url, const char *location, char next[URL_MAX], bool *same, sx_error *error)
{
    CURLU *from = curl_url(), *to = curl_url();
    char *parts[6] = {0}, *whole = NULL;
    static const CURLUPart wanted[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
    bool valid = from && to && curl_url_set(from, CURLUPART_URL, url, 0) == CURLUE_OK &&
                 curl_url_set(to, CURLUPART_URL, url, 0) == CURLUE_OK &&
                 curl_url_set(to, CURLUPART_URL, location, 0) == CURLUE_OK &&
                 curl_url_get(to, CURLUPART_URL, &whole, 0) == CURLUE_OK && strlen(whole) < URL_MAX;
    *same = valid;
    for (int i = 0; i < 3 && valid; i++) {
        valid = curl_url_get(from, wanted[i], &parts[i], CURLU_DEFAULT_PORT) == CURLUE_OK &&
                curl_url_get(to, wanted[i], &parts[i + 3], CURLU_DEFAULT_PORT) == CURLUE_OK;
        *same = valid && *same && strcasecmp(parts[i], parts[i + 3]) == 0;
    }
    if (valid)
        strcpy(next, whole);
    for (int i = 0; i < 6; i++)
        curl_free(parts[i]);
    curl_free(whole);
    curl_url_cleanup(from);
    curl_url_cleanup(to);
    return valid ? SX_OK : sx_fail(error, SX_E_NETWORK, "%s: redirected to \"%s\", which is no address", url, location);
}

sx_status sx_http_perform(sx_http_client *client, const sx_http_request *request, sx_http_response *response,
                          sx_error *error)
{
    char url[URL_MAX], next[URL_MAX];
    char linked_etag[sizeof response->linked_etag] = "", commit[sizeof response->commit] = "";
    uint64_t linked_size = UINT64_MAX;
    bool with_token = true;
    if (strlen(request->url) >= URL_MAX)
        return sx_fail(error, SX_E_INVALID, "HTTP: an address of %zu bytes; at most %d are taken", strlen(request->url), URL_MAX);
    strcpy(url, request->url);
    for (int redirects = 0;; redirects++) {
        sx_status status = exchange_one(client, request, url, with_token, response, error);
        if (status)
            return status;
        if (!linked_etag[0])
            memcpy(linked_etag, response->linked_etag, sizeof linked_etag);
        if (!commit[0])
            memcpy(commit, response->commit, sizeof commit);
        if (linked_size == UINT64_MAX)
            linked_size = response->linked_size;
        bool same = true;
        if (is_redirect(response->status) && response->location[0]) {
            status = follow(url, response->location, next, &same, error);
            if (status)
                return status;
            if (same || request->follow) {
                if (redirects == MOST_REDIRECTS)
                    return sx_fail(error, SX_E_NETWORK, "%s: more than %d redirects", request->url, MOST_REDIRECTS);
                if (strncasecmp(url, "https:", 6) == 0 && strncasecmp(next, "https:", 6) != 0)
                    return sx_fail(error, SX_E_NETWORK, "%s: redirected from https to %s; refused", request->url, next);
                with_token = with_token && same;
                strcpy(url, next);
                continue;
            }
        }
        memcpy(response->linked_etag, linked_etag, sizeof linked_etag);
        memcpy(response->commit, commit, sizeof commit);
        response->linked_size = linked_size;
        return SX_OK;
    }
}
