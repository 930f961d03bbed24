/* server.c - one server: who may ask, finding the route, and the way of a request past limits, log and metrics. */
#include "server_internal.h"

#include "../base/error.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { WRITERS = 3 }; /* one of them may be a job */

/* ---- Browsers ---- */

/* "http://localhost:7460" or "localhost:7460" to "localhost". */
static sx_text host_of(sx_text origin)
{
    for (size_t i = 0; i + 2 < origin.length; i++)
        if (memcmp(origin.data + i, "://", 3) == 0) {
            origin.data += i + 3;
            origin.length -= i + 3;
            break;
        }
    size_t end = 0;
    if (origin.length && origin.data[0] == '[')
        while (end < origin.length && origin.data[end] != ']')
            end++;
    while (end < origin.length && origin.data[end] != ':' && origin.data[end] != '/')
        end++;
    return (sx_text){origin.data, end};
}

static bool is_loopback_name(sx_text host)
{
    return sx_text_equals_fold(host, "localhost") || sx_text_equals_fold(host, "[::1]") ||
           (host.length >= 4 && memcmp(host.data, "127.", 4) == 0);
}

static bool is_allowed_origin(const sx_server *server, sx_text origin)
{
    for (size_t i = 0; i < server->options.allow_origin_count; i++) {
        const char *allowed = server->options.allow_origins[i];
        if (strcmp(allowed, "*") == 0 || sx_text_equals_fold(origin, allowed))
            return true;
    }
    return false;
}

static bool same_host(sx_text origin, sx_text host)
{
    sx_text a = host_of(origin);
    size_t skip = (size_t)(a.data - origin.data);
    sx_text rest = {origin.data + skip, origin.length - skip};
    return rest.length == host.length && strncasecmp(rest.data, host.data, host.length) == 0;
}

/* A page of a stranger must not use a visitor's server: requests that change or read something are refused when they come from
 * another origin, or, on a server without keys, under a name that an attacker's DNS may have bent to this machine. */
static bool is_strange_page(const sx_server *server, const sx_request *request)
{
    sx_text origin = sx_request_header(request, "origin"), host = sx_request_header(request, "host");
    sx_text agent = sx_request_header(request, "user-agent");
    if (origin.length && is_allowed_origin(server, origin))
        return false;
    if (origin.length && !same_host(origin, host) && !(is_loopback_name(host_of(origin)) && is_loopback_name(host_of(host))))
        return true;
    bool browser = origin.length || (agent.length > 8 && memcmp(agent.data, "Mozilla/", 8) == 0);
    sx_text name = host_of(host);
    bool numeric =
        name.length && (name.data[0] == '[' || (name.data[name.length - 1] >= '0' && name.data[name.length - 1] <= '9'));
    return browser && !server->keys && !numeric && !is_loopback_name(name) && memchr(name.data, '.', name.length);
}

static void add_cors(const sx_server *server, const sx_request *request, sx_response *response)
{
    sx_text origin = sx_request_header(request, "origin");
    if (!origin.length || !is_allowed_origin(server, origin))
        return;
    sx_response_header(response, "access-control-allow-origin", "%.*s", (int)origin.length, origin.data);
    sx_response_header(response, "vary", "origin");
    sx_response_header(response, "access-control-expose-headers", "x-request-id, x-sextant-truncated, retry-after");
}

static void answer_preflight(sx_response *response)
{
    response->status = 204;
    sx_response_header(response, "access-control-allow-methods", "GET, POST, PUT, DELETE");
    sx_response_header(response, "access-control-allow-headers", "authorization, api-key, x-api-key, content-type, x-request-id");
    sx_response_header(response, "access-control-max-age", "600");
}

/* ---- Keys ---- */

static sx_text presented_key(const sx_request *request)
{
    sx_text value = sx_request_header(request, "authorization");
    if (value.length > 7 && strncasecmp(value.data, "bearer ", 7) == 0) {
        size_t at = 7;
        while (at < value.length && value.data[at] == ' ')
            at++;
        return (sx_text){value.data + at, value.length - at};
    }
    value = sx_request_header(request, "api-key");
    return value.data ? value : sx_request_header(request, "x-api-key");
}

static void rate_headers(sx_response *response, const sx_key_state *state)
{
    if (state->request_limit) {
        sx_response_header(response, "x-ratelimit-limit-requests", "%u", state->request_limit);
        sx_response_header(response, "x-ratelimit-remaining-requests", "%u", state->requests_left);
        sx_response_header(response, "x-ratelimit-reset-requests", "%.0fms", state->request_reset_s * 1000);
    }
    if (state->token_limit) {
        sx_response_header(response, "x-ratelimit-limit-tokens", "%u", state->token_limit);
        sx_response_header(response, "x-ratelimit-remaining-tokens", "%u", state->tokens_left);
        sx_response_header(response, "x-ratelimit-reset-tokens", "%.0fms", state->token_reset_s * 1000);
    }
}

static bool check_key(sx_server *server, sx_request *request, sx_response *response)
{
    sx_key_state state;
    sx_text key = presented_key(request);
    sx_key_answer answer = sx_api_keys_admit(server->keys, key, &state);
    request->key_name = state.name;
    rate_headers(response, &state);
    if (answer == SX_KEY_GRANTED)
        return true;
    if (answer == SX_KEY_EXHAUSTED) {
        sx_response_header(response, "retry-after", "%d", (int)state.retry_s + 1);
        sx_api_fail(request, response, 429, NULL, "rate_limit_exceeded",
                    "the key '%s' has used up its minute; try again in %.1f s", state.name, state.retry_s);
    } else {
        sx_response_header(response, "www-authenticate", "Bearer");
        sx_api_fail(request, response, 401, NULL, "invalid_api_key",
                    key.data ? "the API key is not known here" : "no API key: send Authorization: Bearer KEY, or api-key: KEY");
    }
    return false;
}

/* ---- The calls of the HTTP server ---- */

static bool begin_request(void *user, sx_request *request, sx_response *response)
{
    sx_server *server = user;
    char allow[64];
    request->body_limit = server->options.max_body;
    int status = sx_route_find(request, allow);
    add_cors(server, request, response);
    if (is_strange_page(server, request)) {
        sx_api_fail(request, response, 403, NULL, "origin_not_allowed",
                    "requests from this web page's origin are not allowed; --cors-allow-origin allows one");
        return false;
    }
    if (sx_text_equals_fold(request->method, "options") && sx_request_header(request, "origin").length &&
        sx_request_header(request, "access-control-request-method").length && response->headers.length) {
        answer_preflight(response);
        return false;
    }
    bool is_public = request->route && request->route->flags & SX_ROUTE_PUBLIC;
    if (server->keys && !is_public && !check_key(server, request, response))
        return false;
    if (status == 404) {
        sx_api_fail(request, response, 404, NULL, "unknown_url", "no such route: %.*s %.*s", (int)request->method.length,
                    request->method.data, (int)(request->path.length < 200 ? request->path.length : 200), request->path.data);
    } else if (status == 405) {
        sx_response_header(response, "allow", "%s", allow);
        sx_api_fail(request, response, 405, NULL, "method_not_supported", "%.*s is not answered at this path, but %s is",
                    (int)request->method.length, request->method.data, allow);
    } else if (sx_request_header(request, "content-encoding").length &&
               !sx_text_equals_fold(sx_request_header(request, "content-encoding"), "identity")) {
        status = 415;
        sx_api_fail(request, response, 415, NULL, "unsupported_encoding", "a Content-Encoding; send the body as it is");
    }
    return status == 0;
}

static bool is_quick(void *user, const sx_request *request)
{
    return request->route->flags & SX_ROUTE_QUICK;
}

static void handle(void *user, sx_request *request, sx_response *response)
{
    if (!response->body.maximum)
        response->body.maximum = (size_t)4 << 30;
    request->route->handle(user, request, response);
}

static void refuse(void *user, sx_request *request, int status, const char *problem, sx_response *response)
{
    char allow[64];
    if (!request->route) /* refused before it was looked for */
        sx_route_find(request, allow);
    if (status == 429 || status == 503)
        sx_response_header(response, "retry-after", "1");
    sx_api_fail(request, response, status, NULL, NULL, "%s", problem);
}

static int64_t duration_of(const sx_request *request)
{
    return sx_system_clock.monotonic_ns(sx_system_clock.user) - request->began_ns;
}

/* Whoever has read the answer and asks again finds the tokens spent and the request counted. */
static void settled(void *user, sx_request *request, const sx_response *response)
{
    sx_server *server = user;
    size_t model = SIZE_MAX;
    if (server->keys && request->key_name && request->tokens)
        sx_api_keys_charge(server->keys, request->key_name, request->tokens);
    for (size_t i = 0; request->model && i < sx_served_models_count(server->models) && model == SIZE_MAX; i++) {
        sx_served_model_listing listing;
        sx_served_models_describe(server->models, i, &listing);
        if (listing.name == request->model)
            model = i;
    }
    sx_metrics_count(server->metrics, request, response, model, duration_of(request));
}

static void finished(void *user, sx_request *request, const sx_response *response, uint64_t sent)
{
    sx_server *server = user;
    sx_access_log_write(server->log, request, response, sent, duration_of(request));
}

static void tick(void *user)
{
    sx_server *server = user;
    sx_served_models_sweep(server->models);
    sx_database_pool_sweep(server->readers);
    sx_database_pool_sweep(server->writers);
}

static void say(sx_server *server, sx_log_level level, const char *message)
{
    if (server->options.log)
        server->options.log(level, message, server->options.user);
}

static void hang_up(void *user)
{
    sx_server *server = user;
    sx_error error = {0};
    if (!server->keys)
        return;
    if (sx_api_keys_reload(server->keys, &error))
        say(server, SX_LOG_ERROR, error.message); /* the old keys stay */
    else
        say(server, SX_LOG_INFO, "keys read again");
}

/* One datagram to the supervisor (sd_notify(3)); a leading @ means the abstract name space. */
static void notify(const sx_server *server, const char *message)
{
    const char *path = server->notify_socket;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof address.sun_path)
        return;
    size_t length = strlen(path);
    memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (sendto(descriptor, message, strlen(message), MSG_NOSIGNAL, (struct sockaddr *)&address, size) < 0) {
        close(descriptor);
        return; /* nobody supervises; there is nobody to tell */
    }
    close(descriptor);
}

static void stopping(void *user, bool hard)
{
    sx_server *server = user;
    if (!hard) {
        atomic_store(&server->stopping, true);
        sx_index_jobs_stop(server->jobs);
        notify(server, "STOPPING=1");
        say(server, SX_LOG_INFO, "ending: what is in hand is finished");
    } else {
        sx_served_models_stop(server->models);
    }
}

/* ---- A run ---- */

static bool is_loopback_address(const char *host)
{
    struct in6_addr six;
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
           (inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six));
}

static sx_status check_exposure(const sx_server_options *options, sx_error *error)
{
    const char *host = options->http.host;
    if (!host || options->key_file || options->allow_unauthenticated || is_loopback_address(host))
        return SX_OK;
    sx_fail(error, SX_E_INVALID, "--host %s: without API keys everybody who reaches this address may use the server", host);
    sx_hint(error, "give --api-key-file, or --allow-unauthenticated when the network keeps strangers out");
    return SX_E_INVALID;
}

static void block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static sx_status open_collections(sx_server *server, sx_error *error)
{
    const sx_server_options *options = &server->options;
    sx_served_model_listing first;
    sx_served_models_describe(server->models, 0, &first);
    server->default_model = first.name;
    sx_database_pool_options pool = {.path = options->database,
                                     .models = server->models,
                                     .embedder = options->models.embedder,
                                     .role = "query",
                                     .threads = 1,
                                     .most = options->models.batcher.threads + 2,
                                     .idle_seconds = options->models.idle_seconds,
                                     .log = options->log,
                                     .log_user = options->user};
    sx_status status = sx_database_pool_open(&pool, &server->readers, error);
    pool.role = "document";
    pool.threads = options->models.batcher.threads;
    pool.most = WRITERS;
    if (!status)
        status = sx_database_pool_open(&pool, &server->writers, error);
    sx_index_jobs_options jobs = {.pool = server->writers,
                                  .sources = options->sources,
                                  .source_count = options->source_count,
                                  .model = server->default_model};
    return status ? status : sx_index_jobs_open(&jobs, &server->jobs, error);
}

static sx_status open_parts(sx_server *server, sx_error *error)
{
    const sx_server_options *options = &server->options;
    sx_status status = SX_OK;
    if (options->key_file)
        status = sx_api_keys_open(options->key_file, &sx_system_clock, &server->keys, error);
    if (!status && options->access_log >= 0)
        status = sx_access_log_open(options->access_log, &server->log, error);
    if (!status && options->token_ids == SX_TOKEN_IDS_CL100K)
        status = sx_tokenizer_open(options->cl100k_path, &server->cl100k, error);
    if (!status)
        status = sx_metrics_open(options->models.count, &server->metrics, error);
    sx_http_calls calls = {begin_request, is_quick, handle, refuse, settled, finished, tick, hang_up, stopping, server};
    if (!status) /* before the model: a port that is taken is said at once */
        status = sx_http_server_open(&options->http, &calls, &server->http, error);
    if (!status)
        status = sx_served_models_open(&options->models, &server->models, error);
    if (!status)
        status = open_collections(server, error);
    return status;
}

sx_status sx_server_run(const sx_server_options *options, const char *notify_socket, sx_error *error)
{
    sx_status status = check_exposure(options, error);
    if (status)
        return status;
    block_signals();
    sx_server server = {.options = *options,
                        .notify_socket = notify_socket,
                        .started_ns = sx_system_clock.monotonic_ns(sx_system_clock.user),
                        .started_unix_s = sx_system_clock.wall_ns(sx_system_clock.user) / 1000000000};
    status = open_parts(&server, error);
    if (!status) {
        notify(&server, "READY=1");
        if (options->ready)
            options->ready(options->user, sx_http_server_port(server.http));
        status = sx_http_server_run(server.http, error);
    }
    if (status == SX_E_STOPPED)
        return status; /* threads still use all this: the process ends now */
    sx_http_server_close(server.http);
    sx_index_jobs_close(server.jobs);
    sx_database_pool_close(server.readers);
    sx_database_pool_close(server.writers);
    sx_served_models_close(server.models);
    sx_metrics_close(server.metrics);
    sx_access_log_close(server.log);
    sx_api_keys_close(server.keys);
    sx_tokenizer_close(server.cl100k);
    return status;
}
