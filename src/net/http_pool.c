/* http_pool.c - the multi interface of libcurl driven by its owner: start some exchanges, wait for the next that is done.
 *
 * Nothing runs but inside start and wait, and waiting sleeps in poll(), so there is no thread and no busy loop. Handles are
 * kept and used again; connections live in the multi handle. Header fields: RFC 9110 (Retry-After) and what OpenAI's, Azure's
 * and other services document for x-ratelimit-*. A service may think for long before the first byte, so the stall limit
 * begins with the reply.
 */
#include "http_pool.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <ctype.h>
#include <curl/curl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { CONNECT_TIMEOUT_S = 20, LONGEST_POLL_MS = 1000 };
static const int64_t stall_ns = 30000000000, longest_delay_ns = 86400000000000;

typedef struct pool_slot {
    struct pool_slot *next;
    CURL *curl;
    sx_http_pool *pool;
    sx_http_exchange *exchange; /* NULL: idle */
    struct curl_slist *headers;
    char problem[CURL_ERROR_SIZE];
    int64_t last_byte_ns;       /* 0: none yet */
    curl_off_t received;
    size_t sent;                /* of the body */
    bool stalled, too_long, no_memory, refused;
} pool_slot;

struct sx_http_pool {
    CURLM *multi;
    char *user_agent;
    unsigned max_in_flight, in_flight;
    pool_slot *slots;            /* all of them */
    sx_http_exchange **done;     /* a ring of max_in_flight */
    unsigned done_first, done_count;
};

static int64_t now_ns(void)
{
    return sx_system_clock.monotonic_ns(NULL);
}

sx_status sx_http_pool_open(const char *user_agent, unsigned max_in_flight, sx_http_pool **out, sx_error *error)
{
    *out = NULL;
    sx_http_pool *pool = sx_calloc(1, sizeof *pool);
    if (!pool)
        return sx_fail_nomem(error, sizeof *pool);
    pool->max_in_flight = max_in_flight ? max_in_flight : 1;
    pool->user_agent = sx_strdup(user_agent);
    pool->done = sx_calloc(pool->max_in_flight, sizeof(sx_http_exchange *));
    pool->multi = curl_multi_init();
    if (!pool->user_agent || !pool->done || !pool->multi) {
        sx_http_pool_close(pool);
        return sx_fail(error, SX_E_NOMEM, "HTTP: libcurl could not be set up");
    }
    curl_multi_setopt(pool->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
    curl_multi_setopt(pool->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)pool->max_in_flight);
    curl_multi_setopt(pool->multi, CURLMOPT_MAXCONNECTS, (long)pool->max_in_flight);
    *out = pool;
    return SX_OK;
}

void sx_http_pool_close(sx_http_pool *pool)
{
    if (!pool)
        return;
    for (pool_slot *slot = pool->slots, *next; slot; slot = next) {
        next = slot->next;
        if (slot->exchange)
            curl_multi_remove_handle(pool->multi, slot->curl);
        curl_easy_cleanup(slot->curl);
        curl_slist_free_all(slot->headers);
        free(slot);
    }
    if (pool->multi)
        curl_multi_cleanup(pool->multi);
    free(pool->done);
    free(pool->user_agent);
    free(pool);
}

/* ---- Header fields ---- */

static int64_t bounded_delay(double seconds)
{
    double ns = ceil(seconds * 1e9);
    return !(ns > 0) ? 0 : ns > (double)longest_delay_ns ? longest_delay_ns : (int64_t)ns;
}

/* A plain decimal number in seconds; false for anything else, also for a number with something behind it. */
static bool read_decimal(const char *text, double *value)
{
    size_t digits = strspn(text, "0123456789"), point = text[digits] == '.';
    size_t fraction = point ? strspn(text + digits + 1, "0123456789") : 0;
    if ((!digits && !fraction) || text[digits + point + fraction])
        return false;
    double sum = 0, place = 1;
    for (size_t i = 0; i < digits; i++)
        sum = sum * 10 + (text[i] - '0');
    for (size_t i = 0; i < fraction; i++)
        sum += (text[digits + 1 + i] - '0') * (place /= 10);
    *value = sum;
    return true;
}

/* A number of seconds, with or without a fraction, or a date. */
static int64_t read_retry_after(const char *text)
{
    double seconds;
    if (read_decimal(text, &seconds))
        return bounded_delay(seconds);
    time_t date = curl_getdate(text, NULL);
    return date == -1 ? -1 : bounded_delay(difftime(date, time(NULL)));
}

/* "6m0s", "1h2m3.5s", "200ms", "20us", or bare seconds; a number as large as a date is one. */
static int64_t read_reset(const char *text)
{
    static const struct { const char *name; double seconds; } units[] = {
        {"ms", 1e-3}, {"us", 1e-6}, {"\xc2\xb5s", 1e-6}, {"ns", 1e-9}, {"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1},
    };
    double total = 0, seconds;
    if (read_decimal(text, &seconds))
        return bounded_delay(seconds < 1e9 ? seconds : seconds - (double)time(NULL));
    if (!*text)
        return -1;
    while (*text) {
        char number[32];
        size_t length = strspn(text, "0123456789."), unit = 0;
        if (!length || length >= sizeof number)
            return -1;
        memcpy(number, text, length);
        number[length] = '\0';
        text += length;
        while (unit < sizeof units / sizeof *units && strncmp(text, units[unit].name, strlen(units[unit].name)) != 0)
            unit++;
        if (unit == sizeof units / sizeof *units || !read_decimal(number, &seconds))
            return -1;
        total += seconds * units[unit].seconds;
        text += strlen(units[unit].name);
    }
    return bounded_delay(total);
}

static int64_t read_count(const char *text)
{
    double value;
    return read_decimal(text, &value) && value < 9e15 ? (int64_t)value : -1;
}

static void forget_fields(sx_http_exchange *exchange)
{
    exchange->retry_after_ns = -1;
    exchange->remaining_requests = exchange->remaining_tokens = -1;
    exchange->reset_requests_ns = exchange->reset_tokens_ns = -1;
}

static void read_field(sx_http_exchange *exchange, const char *name, const char *value)
{
    double milliseconds;
    if (strcasecmp(name, "retry-after-ms") == 0 && read_decimal(value, &milliseconds))
        exchange->retry_after_ns = bounded_delay(milliseconds / 1000);
    else if (strcasecmp(name, "retry-after") == 0 && exchange->retry_after_ns < 0)
        exchange->retry_after_ns = read_retry_after(value);
    else if (strcasecmp(name, "x-ratelimit-remaining-requests") == 0)
        exchange->remaining_requests = read_count(value);
    else if (strcasecmp(name, "x-ratelimit-remaining-tokens") == 0)
        exchange->remaining_tokens = read_count(value);
    else if (strcasecmp(name, "x-ratelimit-reset-requests") == 0)
        exchange->reset_requests_ns = read_reset(value);
    else if (strcasecmp(name, "x-ratelimit-reset-tokens") == 0)
        exchange->reset_tokens_ns = read_reset(value);
}

static size_t take_header(char *line, size_t size, size_t count, void *user)
{
    pool_slot *slot = user;
    size_t length = size * count, total = length;
    char copy[256];
    if (length >= 5 && strncasecmp(line, "HTTP/", 5) == 0) { /* the reply proper comes behind that of a proxy or 100 Continue */
        forget_fields(slot->exchange);
        return total;
    }
    while (length && isspace((unsigned char)line[length - 1]))
        length--;
    if (length >= sizeof copy)
        return total; /* none of those looked for */
    memcpy(copy, line, length);
    copy[length] = '\0';
    char *colon = strchr(copy, ':');
    if (!colon)
        return total;
    *colon++ = '\0';
    read_field(slot->exchange, copy, colon + strspn(colon, " \t"));
    return total;
}

static size_t take_body(char *data, size_t size, size_t count, void *user)
{
    pool_slot *slot = user;
    sx_http_exchange *exchange = slot->exchange;
    sx_buffer *reply = &exchange->reply;
    if (exchange->sink && !exchange->code)
        curl_easy_getinfo(slot->curl, CURLINFO_RESPONSE_CODE, &exchange->code);
    if (exchange->sink && exchange->code >= 200 && exchange->code < 300) {
        slot->refused = !exchange->sink(exchange->user, data, size * count);
        return slot->refused ? CURL_WRITEFUNC_ERROR : size * count;
    }
    slot->too_long = exchange->limit && size * count > exchange->limit - reply->length;
    slot->no_memory = !slot->too_long && !sx_buffer_append(reply, data, size * count);
    return slot->too_long || slot->no_memory ? CURL_WRITEFUNC_ERROR : size * count;
}

/* The body comes from a function that cannot go back to its beginning: otherwise libcurl sends a request again by itself when a
 * kept connection ends before the first byte of a reply, and one that was paid for would be paid for twice, unseen. */
static size_t give_body(char *room, size_t size, size_t count, void *user)
{
    pool_slot *slot = user;
    size_t left = slot->exchange->body_length - slot->sent, length = size * count < left ? size * count : left;
    if (length)
        memcpy(room, slot->exchange->body + slot->sent, length);
    slot->sent += length;
    return length;
}

static int watch_for_stall(void *user, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    (void)down_total;
    (void)up_total;
    (void)up;
    pool_slot *slot = user;
    if (down != slot->received) {
        slot->received = down;
        slot->last_byte_ns = now_ns();
    } else if (slot->last_byte_ns && now_ns() - slot->last_byte_ns > stall_ns) {
        slot->stalled = true;
    }
    return slot->stalled;
}

/* ---- Exchanges ---- */

static pool_slot *idle_slot(sx_http_pool *pool)
{
    for (pool_slot *slot = pool->slots; slot; slot = slot->next)
        if (!slot->exchange)
            return slot;
    pool_slot *slot = sx_calloc(1, sizeof *slot);
    if (!slot)
        return NULL;
    slot->pool = pool;
    slot->curl = curl_easy_init();
    if (!slot->curl) {
        free(slot);
        return NULL;
    }
    slot->next = pool->slots;
    pool->slots = slot;
    return slot;
}

static bool add_header(pool_slot *slot, const char *line)
{
    struct curl_slist *grown = curl_slist_append(slot->headers, line);
    if (grown)
        slot->headers = grown;
    return grown != NULL;
}

static sx_status set_headers(pool_slot *slot, const sx_http_exchange *exchange, sx_error *error)
{
    slot->headers = NULL;
    bool fits = add_header(slot, "Expect:"); /* a large body goes at once, not after a second of asking */
    for (size_t i = 0; fits && i < exchange->header_count; i++) {
        const char *line = exchange->headers[i];
        for (const char *at = line; *at; at++)
            if ((unsigned char)*at < 0x20 || *at == 0x7f)
                return sx_fail(error, SX_E_INVALID, "HTTP: header %.*s holds a control character", (int)strcspn(line, ":"), line);
        fits = add_header(slot, line);
    }
    return fits ? SX_OK : sx_fail_nomem(error, 256);
}

static void set_request(pool_slot *slot, const sx_http_exchange *exchange)
{
    CURL *curl = slot->curl;
    slot->sent = 0;
    bool post = strcmp(exchange->method, "POST") == 0;
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, exchange->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    if (exchange->body || post) {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)exchange->body_length);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_body);
        curl_easy_setopt(curl, CURLOPT_READDATA, slot);
    }
    if (!post && strcmp(exchange->method, "GET") != 0)
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, exchange->method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, slot->headers);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, slot->pool->user_agent);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, slot->problem);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
    if (exchange->ca_file) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, exchange->ca_file);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    }
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
    if (exchange->timeout_ns > 0)
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)((exchange->timeout_ns + 999999) / 1000000));
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, slot);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, slot);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, watch_for_stall);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, slot);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, slot);
}

static void release_slot(sx_http_pool *pool, pool_slot *slot)
{
    slot->exchange->private = NULL;
    slot->exchange = NULL;
    curl_slist_free_all(slot->headers);
    slot->headers = NULL;
    curl_easy_reset(slot->curl); /* forgets the pointers to the caller's strings */
    pool->in_flight--;
}

sx_status sx_http_pool_start(sx_http_pool *pool, sx_http_exchange *exchange, sx_error *error)
{
    if (pool->in_flight + pool->done_count >= pool->max_in_flight)
        return sx_fail(error, SX_E_BUSY, "HTTP: %u exchanges are in flight already", pool->in_flight + pool->done_count);
    pool_slot *slot = idle_slot(pool);
    if (!slot)
        return sx_fail_nomem(error, sizeof *slot);
    sx_status status = set_headers(slot, exchange, error);
    if (!status) {
        slot->problem[0] = '\0';
        slot->last_byte_ns = 0;
        slot->received = 0;
        slot->stalled = slot->too_long = slot->no_memory = slot->refused = false;
        exchange->status = SX_OK;
        exchange->problem[0] = '\0';
        exchange->unsent = false;
        exchange->code = 0;
        sx_buffer_reset(&exchange->reply);
        exchange->reply.failed = false;
        exchange->reply.maximum = exchange->limit;
        forget_fields(exchange);
        set_request(slot, exchange);
        if (curl_multi_add_handle(pool->multi, slot->curl) != CURLM_OK)
            status = sx_fail(error, SX_E_NOMEM, "HTTP: libcurl took no further request");
    }
    if (status) {
        curl_slist_free_all(slot->headers);
        slot->headers = NULL;
        return status;
    }
    slot->exchange = exchange;
    exchange->private = slot;
    pool->in_flight++;
    return SX_OK;
}

static void push_done(sx_http_pool *pool, sx_http_exchange *exchange)
{
    pool->done[(pool->done_first + pool->done_count++) % pool->max_in_flight] = exchange;
}

static void finish(sx_http_pool *pool, pool_slot *slot, CURLcode code)
{
    sx_http_exchange *exchange = slot->exchange;
    curl_easy_getinfo(slot->curl, CURLINFO_RESPONSE_CODE, &exchange->code);
    if (code == CURLE_OK) {
        exchange->status = SX_OK;
    } else if (slot->refused) {
        exchange->status = SX_E_STOPPED;
        snprintf(exchange->problem, sizeof exchange->problem, "ended by the one who reads it");
    } else if (slot->too_long) {
        exchange->status = SX_E_LIMIT;
        snprintf(exchange->problem, sizeof exchange->problem, "the reply is longer than %zu bytes", exchange->limit);
    } else if (slot->no_memory) {
        exchange->status = SX_E_NOMEM;
        snprintf(exchange->problem, sizeof exchange->problem, "no memory for the reply");
    } else {
        const char *reason = slot->stalled                    ? "the reply stopped in the middle"
                             : code == CURLE_SEND_FAIL_REWIND ? "the connection ended before a reply came"
                             : slot->problem[0]               ? slot->problem
                                                              : curl_easy_strerror(code);
        bool no_address = code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL;
        exchange->status = no_address ? SX_E_INVALID : SX_E_NETWORK;
        exchange->unsent = no_address || code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
                           code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_SSL_CONNECT_ERROR ||
                           code == CURLE_PEER_FAILED_VERIFICATION;
        snprintf(exchange->problem, sizeof exchange->problem, "%.*s", (int)sizeof exchange->problem - 1, reason);
    }
    curl_multi_remove_handle(pool->multi, slot->curl);
    release_slot(pool, slot);
    push_done(pool, exchange);
}

static sx_status collect(sx_http_pool *pool, sx_error *error)
{
    int running, left;
    if (curl_multi_perform(pool->multi, &running) != CURLM_OK)
        return sx_fail(error, SX_E_NETWORK, "HTTP: libcurl cannot go on with its transfers");
    for (CURLMsg *message; (message = curl_multi_info_read(pool->multi, &left));) {
        CURLcode code = message->data.result; /* gone once the handle is removed */
        char *slot = NULL;
        if (message->msg == CURLMSG_DONE && curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &slot) == CURLE_OK)
            finish(pool, (pool_slot *)(void *)slot, code);
    }
    return SX_OK;
}

sx_status sx_http_pool_wait(sx_http_pool *pool, int64_t timeout_ns, sx_http_exchange **done, sx_error *error)
{
    *done = NULL;
    int64_t end = now_ns() + (timeout_ns > 0 ? timeout_ns : 0);
    for (;;) {
        sx_status status = collect(pool, error);
        if (status)
            return status;
        if (pool->done_count) {
            *done = pool->done[pool->done_first];
            pool->done_first = (pool->done_first + 1) % pool->max_in_flight;
            pool->done_count--;
            return SX_OK;
        }
        int64_t left = end - now_ns();
        if (left <= 0 || !pool->in_flight)
            return SX_OK;
        int64_t milliseconds = (left + 999999) / 1000000;
        if (curl_multi_poll(pool->multi, NULL, 0, milliseconds < LONGEST_POLL_MS ? (int)milliseconds : LONGEST_POLL_MS, NULL) !=
            CURLM_OK)
            return sx_fail(error, SX_E_NETWORK, "HTTP: libcurl cannot wait for its transfers");
    }
}

void sx_http_pool_cancel(sx_http_pool *pool)
{
    for (pool_slot *slot = pool->slots; slot; slot = slot->next) {
        sx_http_exchange *exchange = slot->exchange;
        if (!exchange)
            continue;
        curl_multi_remove_handle(pool->multi, slot->curl);
        exchange->status = SX_E_STOPPED;
        snprintf(exchange->problem, sizeof exchange->problem, "stopped");
        release_slot(pool, slot);
        push_done(pool, exchange);
    }
}
