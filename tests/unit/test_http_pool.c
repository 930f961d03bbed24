/* test_http_pool.c - many exchanges at once with a server in the same program: kept connections, limits, faults, header
 * fields. */
#include "loopback.h"

#include "base/clock.h"
#include "net/http_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

static const int64_t second = 1000000000;
static const char secret[] = "Authorization: Bearer sk-very-secret-0123456789";

/* /ok /echo /slow /hang /cut /cut-chunked /stop /move /long /fields?HEADER-LINES (with | between them) */
static bool answer(loopback *server, int socket, const loopback_request *request)
{
    const char *path = strchr(request->head, ' ') + 1;
    static char large[100000];
    (void)server;
    if (strncmp(path, "/echo ", 6) == 0) {
        loopback_reply(socket, 200, "", request->body, request->body_length);
    } else if (strncmp(path, "/slow ", 6) == 0) {
        usleep(200000);
        loopback_reply(socket, 200, "", "slow", 4);
    } else if (strncmp(path, "/hang ", 6) == 0) {
        usleep(1500000);
        return false;
    } else if (strncmp(path, "/cut ", 5) == 0) {
        loopback_write(socket, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", 44);
        return false;
    } else if (strncmp(path, "/cut-chunked ", 13) == 0) {
        loopback_write(socket, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", 56);
        return false;
    } else if (strncmp(path, "/nothing ", 9) == 0) {
        return false;
    } else if (strncmp(path, "/move ", 6) == 0) {
        loopback_reply(socket, 302, "Location: /ok\r\n", "moved", 5);
    } else if (strncmp(path, "/long ", 6) == 0) {
        loopback_reply(socket, 200, "", large, sizeof large);
    } else if (strncmp(path, "/fields?", 8) == 0) {
        char headers[512] = "";
        size_t length = 0;
        for (const char *at = path + 8; *at != ' '; at++) {
            if (*at == '|')
                length += (size_t)sprintf(headers + length, "\r\n");
            else
                headers[length++] = *at == '_' ? ' ' : *at;
        }
        strcpy(headers + length, "\r\n");
        loopback_reply(socket, 429, headers, "", 0);
    } else {
        loopback_reply(socket, 200, "", "fine", 4);
    }
    return true;
}

typedef struct test_bench {
    loopback server;
    sx_http_pool *pool;
    char url[600];
} test_bench;

static int open_bench(void **state)
{
    sx_error error;
    test_bench *bench = calloc(1, sizeof *bench);
    *state = bench;
    return !bench || !loopback_start(&bench->server, answer, bench) || sx_http_pool_open("test", 10, &bench->pool, &error);
}

static int close_bench(void **state)
{
    test_bench *bench = *state;
    sx_http_pool_close(bench->pool);
    loopback_stop(&bench->server);
    free(bench);
    return 0;
}

static sx_http_exchange exchange_for(test_bench *bench, const char *path)
{
    static const char *const headers[] = {"Content-Type: text/plain", secret};
    snprintf(bench->url, sizeof bench->url, "http://127.0.0.1:%u%s", bench->server.port, path);
    return (sx_http_exchange){.method = "POST", .url = bench->url, .headers = headers, .header_count = 2, .body = "body",
                              .body_length = 4, .timeout_ns = 5 * second, .limit = 50000};
}

static void perform(test_bench *bench, sx_http_exchange *exchange)
{
    sx_error error;
    sx_http_exchange *done;
    assert_int_equal(sx_http_pool_start(bench->pool, exchange, &error), SX_OK);
    assert_int_equal(sx_http_pool_wait(bench->pool, 10 * second, &done, &error), SX_OK);
    assert_ptr_equal(done, exchange);
    assert_null(strstr(exchange->problem, "sk-very"));
}

static void connections_are_kept(void **state)
{
    test_bench *bench = *state;
    sx_http_exchange exchange = exchange_for(bench, "/echo");
    for (int i = 0; i < 30; i++) {
        perform(bench, &exchange);
        assert_int_equal(exchange.status, SX_OK);
        assert_int_equal(exchange.code, 200);
        assert_int_equal(exchange.reply.length, 4);
        assert_memory_equal(exchange.reply.data, "body", 4);
        assert_int_equal(exchange.retry_after_ns, -1);
    }
    assert_int_equal(atomic_load(&bench->server.connections), 1);
    sx_buffer_clear(&exchange.reply);
}

/* Nobody knows whether a server that closes a kept connection instead of answering has done the work: libcurl must not ask again by
 * itself, however much of the body is gone. */
static void a_dead_connection_is_not_asked_again(void **state)
{
    test_bench *bench = *state;
    static char large[200000];
    memset(large, 'x', sizeof large);
    size_t lengths[] = {4, 1000, sizeof large};
    for (size_t i = 0; i < 3; i++) {
        sx_http_exchange exchange = exchange_for(bench, "/ok");
        perform(bench, &exchange);
        assert_int_equal(exchange.status, SX_OK);
        sx_buffer_clear(&exchange.reply);
        unsigned before = atomic_load(&bench->server.requests);
        exchange = exchange_for(bench, "/nothing");
        exchange.body = large;
        exchange.body_length = lengths[i];
        perform(bench, &exchange);
        assert_int_equal(exchange.status, SX_E_NETWORK);
        assert_false(exchange.unsent);
        assert_string_equal(exchange.problem, "the connection ended before a reply came");
        assert_int_equal(atomic_load(&bench->server.requests), before + 1);
        sx_buffer_clear(&exchange.reply);
    }
}

static void large_bodies_go_at_once(void **state)
{
    test_bench *bench = *state;
    sx_http_exchange exchange = exchange_for(bench, "/echo");
    size_t length = 3000000;
    char *body = malloc(length);
    memset(body, 'x', length);
    exchange.body = body;
    exchange.body_length = length;
    exchange.limit = length;
    int64_t before = sx_system_clock.monotonic_ns(NULL);
    perform(bench, &exchange);
    assert_int_equal(exchange.status, SX_OK);
    assert_int_equal(exchange.reply.length, length);
    assert_true(sx_system_clock.monotonic_ns(NULL) - before < second); /* no waiting for 100 Continue */
    sx_buffer_clear(&exchange.reply);
    free(body);
}

static void many_at_once(void **state)
{
    test_bench *bench = *state;
    sx_error error;
    sx_http_exchange exchanges[10], *done;
    sx_http_exchange one_more = exchange_for(bench, "/slow");
    int64_t before = sx_system_clock.monotonic_ns(NULL);
    struct timespec used_before, used_after;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used_before);
    for (int i = 0; i < 10; i++) {
        exchanges[i] = exchange_for(bench, "/slow");
        assert_int_equal(sx_http_pool_start(bench->pool, &exchanges[i], &error), SX_OK);
    }
    assert_int_equal(sx_http_pool_start(bench->pool, &one_more, &error), SX_E_BUSY);
    assert_int_equal(sx_http_pool_wait(bench->pool, 0, &done, &error), SX_OK);
    assert_null(done);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(sx_http_pool_wait(bench->pool, 10 * second, &done, &error), SX_OK);
        assert_non_null(done);
        assert_int_equal(done->status, SX_OK);
        sx_buffer_clear(&done->reply);
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used_after);
    assert_true(sx_system_clock.monotonic_ns(NULL) - before < second);
    double used = (double)(used_after.tv_sec - used_before.tv_sec) + (double)(used_after.tv_nsec - used_before.tv_nsec) / 1e9;
    assert_true(used < 0.1); /* it slept meanwhile */
    assert_int_equal(sx_http_pool_wait(bench->pool, 10 * second, &done, &error), SX_OK);
    assert_null(done); /* at once: nothing is in flight */
    assert_true(atomic_load(&bench->server.connections) <= 10);
}

static void faults_are_faults(void **state)
{
    test_bench *bench = *state;
    static const struct { const char *path; sx_status status; bool unsent; } cases[] = {
        {"/cut", SX_E_NETWORK, false}, {"/cut-chunked", SX_E_NETWORK, false}, {"/nothing", SX_E_NETWORK, false},
        {"/hang", SX_E_NETWORK, false}, {"/long", SX_E_LIMIT, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sx_http_exchange exchange = exchange_for(bench, cases[i].path);
        exchange.timeout_ns = second / 4;
        perform(bench, &exchange);
        assert_int_equal(exchange.status, cases[i].status);
        assert_int_equal(exchange.unsent, cases[i].unsent);
        assert_true(exchange.problem[0]);
        sx_buffer_clear(&exchange.reply);
    }
    sx_http_exchange exchange = exchange_for(bench, "/ok");
    perform(bench, &exchange); /* none of it stays with the pool */
    assert_int_equal(exchange.status, SX_OK);
    sx_buffer_clear(&exchange.reply);
}

static void nobody_there(void **state)
{
    test_bench *bench = *state;
    sx_http_exchange exchange = exchange_for(bench, "/ok");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int taken = socket(AF_INET, SOCK_STREAM, 0); /* bound, not listening: nobody else gets the port meanwhile */
    assert_int_equal(bind(taken, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(taken, (struct sockaddr *)&address, &length), 0);
    snprintf(bench->url, sizeof bench->url, "http://127.0.0.1:%u/", ntohs(address.sin_port));
    perform(bench, &exchange);
    assert_int_equal(exchange.status, SX_E_NETWORK);
    assert_true(exchange.unsent);
    snprintf(bench->url, sizeof bench->url, "ftp://127.0.0.1/");
    perform(bench, &exchange);
    assert_int_equal(exchange.status, SX_E_INVALID);
    close(taken);
}

static void redirects_are_not_followed(void **state)
{
    test_bench *bench = *state;
    sx_http_exchange exchange = exchange_for(bench, "/move");
    perform(bench, &exchange);
    assert_int_equal(exchange.status, SX_OK);
    assert_int_equal(exchange.code, 302);
    assert_int_equal(atomic_load(&bench->server.requests), 1);
    sx_buffer_clear(&exchange.reply);
}

static void header_fields(void **state)
{
    test_bench *bench = *state;
    char date[64], future[128];
    time_t then = time(NULL) + 100;
    struct tm parts;
    strftime(date, sizeof date, "%a,_%d_%b_%Y_%H:%M:%S_GMT", gmtime_r(&then, &parts));
    snprintf(future, sizeof future, "/fields?Retry-After:_%s", date);
    const int64_t ms = 1000000;
    const struct { const char *path; int64_t retry, tolerance, requests, tokens, reset_requests, reset_tokens; } cases[] = {
        {"/fields?Retry-After:_7", 7 * second, 0, -1, -1, -1, -1},
        {"/fields?retry-after:0.2", 200 * ms, 10, -1, -1, -1, -1},
        {"/fields?Retry-After:_3|retry-after-ms:_250", 250 * ms, 10, -1, -1, -1, -1},
        {"/fields?retry-after-ms:_250|Retry-After:_3", 250 * ms, 10, -1, -1, -1, -1},
        {"/fields?Retry-After:_Wed,_21_Oct_2015_07:28:00_GMT", 0, 0, -1, -1, -1, -1},
        {future, 100 * second, 3 * second, -1, -1, -1, -1},
        {"/fields?Retry-After:_soon", -1, 0, -1, -1, -1, -1},
        {"/fields?Retry-After:_-5", -1, 0, -1, -1, -1, -1},
        {"/fields?Retry-After:_99999999999999999999", 86400 * second, 0, -1, -1, -1, -1},
        {"/fields?x-ratelimit-remaining-requests:_59|x-ratelimit-remaining-tokens:_149984", -1, 0, 59, 149984, -1, -1},
        {"/fields?x-ratelimit-reset-requests:_1s|x-ratelimit-reset-tokens:_6m0s", -1, 0, -1, -1, second, 360 * second},
        {"/fields?X-RateLimit-Reset-Requests:_200ms|x-ratelimit-reset-tokens:_1h2m3.5s", -1, 0, -1, -1, 200 * ms,
         3723 * second + 500 * ms},
        {"/fields?x-ratelimit-reset-requests:_20us|x-ratelimit-reset-tokens:_17", -1, 0, -1, -1, 20000, 17 * second},
        {"/fields?x-ratelimit-reset-requests:_never|x-ratelimit-reset-tokens:_5q", -1, 0, -1, -1, -1, -1},
        {"/fields?x-ratelimit-remaining-requests:_-1|x-ratelimit-remaining-tokens:_many", -1, 0, -1, -1, -1, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sx_http_exchange exchange = exchange_for(bench, cases[i].path);
        perform(bench, &exchange);
        assert_int_equal(exchange.code, 429);
        if (llabs(exchange.retry_after_ns - cases[i].retry) > cases[i].tolerance)
            fail_msg("%s: %lld ns", cases[i].path, (long long)exchange.retry_after_ns);
        assert_int_equal(exchange.remaining_requests, cases[i].requests);
        assert_int_equal(exchange.remaining_tokens, cases[i].tokens);
        assert_true(llabs(exchange.reset_requests_ns - cases[i].reset_requests) <= 10);
        assert_true(llabs(exchange.reset_tokens_ns - cases[i].reset_tokens) <= 10);
    }
}

static void header_injection_is_refused(void **state)
{
    test_bench *bench = *state;
    sx_error error;
    sx_http_exchange exchange = exchange_for(bench, "/ok");
    const char *const headers[] = {"Authorization: Bearer sk-very-secret\r\nHost: elsewhere"};
    exchange.headers = headers;
    exchange.header_count = 1;
    assert_int_equal(sx_http_pool_start(bench->pool, &exchange, &error), SX_E_INVALID);
    assert_null(strstr(error.message, "sk-very"));
    assert_non_null(strstr(error.message, "Authorization"));
}

static void cancelled_ones_come_out(void **state)
{
    test_bench *bench = *state;
    sx_error error;
    sx_http_exchange exchanges[3], *done;
    for (int i = 0; i < 3; i++) {
        exchanges[i] = exchange_for(bench, "/hang");
        assert_int_equal(sx_http_pool_start(bench->pool, &exchanges[i], &error), SX_OK);
    }
    assert_int_equal(sx_http_pool_wait(bench->pool, second / 20, &done, &error), SX_OK);
    assert_null(done);
    sx_http_pool_cancel(bench->pool);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sx_http_pool_wait(bench->pool, 0, &done, &error), SX_OK);
        assert_non_null(done);
        assert_int_equal(done->status, SX_E_STOPPED);
    }
    assert_int_equal(sx_http_pool_start(bench->pool, &exchanges[0], &error), SX_OK); /* left in flight: close ends it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(connections_are_kept, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(a_dead_connection_is_not_asked_again, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(large_bodies_go_at_once, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(many_at_once, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(faults_are_faults, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(nobody_there, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(redirects_are_not_followed, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(header_fields, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(header_injection_is_refused, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(cancelled_ones_come_out, open_bench, close_bench),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
