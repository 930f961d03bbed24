/* test_remote_provider.c - batches to an OpenAI-compatible server in the test program and back, on a fake clock: shares of
 * tokens, waiting as asked, fields a server refuses, sizes it refuses, budgets, cancelling.
 */
#include "index_support.h"
#include "loopback.h"
#include "needs.h"

#include <jansson.h>
#include <math.h>

enum { DIMENSIONS = 4, MOST_TEXTS = 400 }; /* texts and vectors follow from numbers up to that */
static const char key[] = "sk-very-secret-0123456789";
static const int64_t second = 1000000000;

/* What the server does, by what a test sets. */
typedef struct server_rules {
    atomic_uint refuse_first;       /* so many requests are answered with `code` */
    int code;
    const char *headers, *body;
    unsigned most_texts;            /* more: 413 */
    unsigned refuse_larger;         /* more: 400, as if a text were bad */
    bool no_dimensions;             /* the field gives 400 */
    bool cut, reversed;
    atomic_bool hang;
    unsigned slow_ms;
    unsigned tokens_of_text;
    atomic_uint texts, asked_dimensions;
} server_rules;

static double number_in(const char *text)
{
    return strtod(text + strcspn(text, "0123456789"), NULL);
}

static json_t *vector_of(const char *text)
{
    double angle = number_in(text) / 100;
    return json_pack("[f,f,f,f]", cos(angle), sin(angle), 0.0, 0.0);
}

static void reply_json(int socket, int code, const char *headers, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    loopback_reply(socket, code, headers, text, strlen(text));
    free(text);
    json_decref(json);
}

static void refuse(int socket, int code, const char *message)
{
    reply_json(socket, code, "", json_pack("{s:{s:s,s:s}}", "error", "message", message, "type", "invalid_request_error"));
}

static bool answer(loopback *server, int socket, const loopback_request *request)
{
    server_rules *rules = server->user;
    json_t *body = json_loadb(request->body, request->body_length, 0, NULL), *input = json_object_get(body, "input");
    size_t count = json_array_size(input);
    bool more = true;
    assert_non_null(strstr(request->head, key));
    if (json_object_get(body, "dimensions"))
        atomic_fetch_add(&rules->asked_dimensions, 1);
    if (atomic_load(&rules->refuse_first)) {
        atomic_fetch_sub(&rules->refuse_first, 1);
        loopback_reply(socket, rules->code, rules->headers ? rules->headers : "", rules->body ? rules->body : "",
                       rules->body ? strlen(rules->body) : 0);
    } else if (atomic_load(&rules->hang) && count > 2) {
        while (atomic_load(&rules->hang))
            usleep(10000);
        more = false;
    } else if (rules->cut && count > 2) {
        loopback_write(socket, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"data\":", 48);
        more = false;
    } else if (rules->no_dimensions && json_object_get(body, "dimensions")) {
        refuse(socket, 400, "This model does not support specifying dimensions.");
    } else if (rules->most_texts && count > rules->most_texts) {
        refuse(socket, 413, "too many");
    } else if (rules->refuse_larger && count > rules->refuse_larger) {
        refuse(socket, 400, "this will not do");
    } else {
        json_t *data = json_array();
        for (size_t i = 0; i < count; i++) {
            size_t index = rules->reversed ? count - 1 - i : i;
            json_array_append_new(data, json_pack("{s:I,s:o}", "index", (json_int_t)index, "embedding",
                                                  vector_of(json_string_value(json_array_get(input, index)))));
        }
        atomic_fetch_add(&rules->texts, (unsigned)count);
        usleep(rules->slow_ms * 1000);
        reply_json(socket, 200, "", json_pack("{s:o,s:{s:I}}", "data", data, "usage", "total_tokens",
                                              (json_int_t)(count * rules->tokens_of_text + (count > 1))));
    }
    json_decref(body);
    return more;
}

typedef struct test_bench {
    loopback server;
    server_rules rules;
    fake_clock clock;
    sx_embedder *embedder;
    sx_remote_options remote;
    uint32_t dimensions, batch_size;
    const char *model, *models_folder;
    char words[MOST_TEXTS][24];
    sx_text texts[MOST_TEXTS];
    float vectors[MOST_TEXTS * DIMENSIONS];
    sx_receipt receipts[MOST_TEXTS];
} test_bench;

static int open_bench(void **state)
{
    test_bench *bench = calloc(1, sizeof *bench);
    *state = bench;
    if (!bench || !loopback_start(&bench->server, answer, &bench->rules))
        return 1;
    bench->rules.tokens_of_text = 5;
    bench->remote = (sx_remote_options){.size = sizeof bench->remote, .api_key = key};
    for (size_t i = 0; i < MOST_TEXTS; i++) {
        snprintf(bench->words[i], sizeof *bench->words, "text %zu", i);
        bench->texts[i] = (sx_text){bench->words[i], strlen(bench->words[i])};
    }
    return 0;
}

static int close_bench(void **state)
{
    test_bench *bench = *state;
    sx_embedder_close(bench->embedder);
    loopback_stop(&bench->server);
    free(bench);
    return 0;
}

static sx_status try_open(test_bench *bench, sx_error *error)
{
    char reference[128];
    snprintf(reference, sizeof reference, "openai@http://127.0.0.1:%u/v1#%s", bench->server.port,
             bench->model ? bench->model : "some-model");
    sx_clock clock = clock_of(&bench->clock);
    sx_embedder_options options = {.size = sizeof options, .model = reference, .remote = bench->remote,
                                   .dimensions = bench->dimensions, .batch_size = bench->batch_size,
                                   .places = {.size = sizeof options.places, .models_folder = bench->models_folder}};
    return sx_embedder_open_clocked(&options, &clock, &bench->embedder, error);
}

static sx_provider *open_provider(test_bench *bench)
{
    sx_error error;
    assert_ok(try_open(bench, &error));
    return bench->embedder->provider;
}

static sx_batch batch_of(test_bench *bench, size_t first, size_t count)
{
    return (sx_batch){.texts = bench->texts + first, .count = count, .vectors = bench->vectors + first * DIMENSIONS,
                      .receipts = bench->receipts + first};
}

static sx_batch *wait_for(sx_provider *provider, int64_t timeout)
{
    sx_error error;
    sx_batch *finished;
    assert_ok(provider->class->wait(provider, timeout, &finished, &error));
    return finished;
}

static void check_row(const test_bench *bench, size_t i)
{
    double angle = (double)i / 100;
    assert_true(fabs((double)bench->vectors[i * DIMENSIONS] - cos(angle)) < 1e-6);
    assert_true(fabs((double)bench->vectors[i * DIMENSIONS + 1] - sin(angle)) < 1e-6);
}

static void embed(test_bench *bench, size_t count)
{
    sx_error error;
    assert_ok(sx_embedder_embed(bench->embedder, bench->texts, count, bench->vectors, bench->receipts, NULL, &error));
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(bench->receipts[i].status, SX_OK);
        check_row(bench, i);
    }
}

static void order_and_shares(void **state)
{
    test_bench *bench = *state;
    sx_error error;
    bench->rules.reversed = true;
    bench->texts[3] = (sx_text){" \n", 2};
    sx_provider *provider = open_provider(bench);
    sx_provider_usage before = provider->usage;
    assert_int_equal(before.requests, 1); /* the probe is counted */
    assert_int_equal(before.tokens, 11);
    assert_int_equal(provider->info.dimensions, DIMENSIONS);
    assert_true(provider->info.remote);
    assert_string_equal(provider->info.tokens_by, "bytes");
    sx_batch batch = batch_of(bench, 0, 10);
    assert_ok(provider->class->submit(provider, &batch, &error));
    assert_ptr_equal(wait_for(provider, 5 * second), &batch);
    assert_int_equal(batch.outcome.status, SX_OK);
    uint64_t sum = 0;
    for (size_t i = 0; i < 10; i++) {
        sum += bench->receipts[i].tokens;
        if (i == 3) {
            assert_int_equal(bench->receipts[i].status, SX_E_INVALID);
            assert_true(bench->receipts[i].empty);
            assert_int_equal(bench->receipts[i].tokens, 0);
            continue;
        }
        check_row(bench, i);
        assert_int_equal(bench->receipts[i].status, SX_OK);
        assert_true(bench->receipts[i].tokens == 5 || bench->receipts[i].tokens == 6);
    }
    assert_int_equal(sum, 9 * 5 + 1); /* as the service counted it */
    assert_int_equal(provider->usage.tokens, before.tokens + sum);
    assert_int_equal(provider->usage.requests, 2);
    assert_null(wait_for(provider, 5 * second)); /* at once */
}

static void waits_as_the_service_asks(void **state)
{
    test_bench *bench = *state;
    sx_error error;
    sx_provider *provider = open_provider(bench);
    bench->rules.code = 429;
    bench->rules.headers = "Retry-After: 30\r\n";
    bench->rules.body = "{\"error\":{\"message\":\"slow down\"}}";
    bench->rules.refuse_first = 1;
    sx_batch first = batch_of(bench, 0, 4), second_batch = batch_of(bench, 4, 4);
    assert_ok(provider->class->submit(provider, &first, &error));
    assert_ptr_equal(wait_for(provider, 5 * second), &first);
    assert_int_equal(first.outcome.failure, SX_BATCH_RETRY);
    assert_int_equal(first.outcome.retry_after_ns, 30 * second);
    assert_non_null(strstr(first.outcome.message, "slow down"));
    unsigned requests = atomic_load(&bench->server.requests);
    assert_ok(provider->class->submit(provider, &second_batch, &error));
    assert_null(wait_for(provider, 20 * second)); /* the others wait too */
    assert_int_equal(atomic_load(&bench->server.requests), requests);
    assert_int_equal(bench->clock.slept, 20 * second);
    assert_ptr_equal(wait_for(provider, 20 * second), &second_batch);
    assert_int_equal(second_batch.outcome.status, SX_OK);
    assert_true(bench->clock.slept >= 30 * second);
}

static void refused_dimensions_are_cut_here(void **state)
{
    test_bench *bench = *state;
    bench->rules.no_dimensions = true;
    bench->dimensions = 2;
    sx_provider *provider = open_provider(bench);
    assert_int_equal(provider->info.dimensions, 2);
    float vectors[6 * 2];
    sx_error error;
    assert_ok(sx_embedder_embed(bench->embedder, bench->texts, 6, vectors, bench->receipts, NULL, &error));
    for (size_t i = 0; i < 6; i++)
        assert_true(fabs((double)vectors[2 * i + 1] - sin((double)i / 100)) < 1e-6);
    assert_int_equal(atomic_load(&bench->rules.asked_dimensions), 1); /* asked for once, never again */
}

static void learns_how_many_texts(void **state)
{
    test_bench *bench = *state;
    bench->rules.most_texts = 10;
    sx_provider *provider = open_provider(bench);
    assert_int_equal(provider->info.max_texts, 64);
    embed(bench, MOST_TEXTS);
    assert_int_equal(provider->info.max_texts, 8);
    unsigned requests = atomic_load(&bench->server.requests);
    embed(bench, 80);
    assert_int_equal(atomic_load(&bench->server.requests) - requests, 10); /* full batches of what is taken, none refused */
    assert_int_equal(atomic_load(&bench->rules.texts), 2 + MOST_TEXTS + 80); /* no text answered twice */
}

static void learns_from_refusals_that_name_no_reason(void **state)
{
    test_bench *bench = *state;
    bench->rules.refuse_larger = 32;
    sx_provider *provider = open_provider(bench);
    embed(bench, MOST_TEXTS);
    assert_int_equal(provider->info.max_texts, 32);
}

static void one_bad_text_leaves_the_size(void **state)
{
    test_bench *bench = *state;
    sx_provider *provider = open_provider(bench);
    embed(bench, 64);
    bench->rules.refuse_first = 3;
    bench->rules.code = 400;
    bench->rules.body = "{\"error\":{\"message\":\"bad text\"}}";
    embed(bench, MOST_TEXTS);
    assert_int_equal(provider->info.max_texts, 64);
}

static void a_wrong_key_stops_at_once(void **state)
{
    test_bench *bench = *state;
    sx_error error;
    open_provider(bench);
    bench->rules.refuse_first = 1000;
    bench->rules.code = 401;
    bench->rules.body = "{\"error\":{\"message\":\"Incorrect API key provided: sk-very-secret-0123456789.\"}}";
    unsigned requests = atomic_load(&bench->server.requests);
    assert_int_equal(sx_embedder_embed(bench->embedder, bench->texts, MOST_TEXTS, bench->vectors, bench->receipts, NULL, &error),
                     SX_E_DENIED);
    assert_true(atomic_load(&bench->server.requests) - requests <= 10);
    assert_null(strstr(error.message, "sk-very"));
    assert_non_null(strstr(error.hint, "OPENAI_API_KEY"));
    sx_embedder_close(bench->embedder);
    assert_int_equal(try_open(bench, &error), SX_E_DENIED); /* the probe says it as well */
    assert_null(strstr(error.message, "sk-very"));
    assert_non_null(strstr(error.hint, "OPENAI_API_KEY"));
}

static void transient_faults_are_outlasted(void **state)
{
    test_bench *bench = *state;
    open_provider(bench);
    static const struct { int code; const char *body; } faults[] = {
        {429, "{\"error\":{\"message\":\"slow\"}}"}, {500, "<html>Internal Server Error</html>"}, {503, ""},
        {200, "{\"data\":[]}"}, {200, "{\"data\":"}, {200, "<html>login</html>"}, {200, ""},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        bench->rules.code = faults[i].code;
        bench->rules.body = faults[i].body;
        bench->rules.refuse_first = 5;
        embed(bench, 100);
    }
    assert_true(bench->clock.slept > 0);
}

static void a_cut_reply_is_repeated_and_given_up(void **state)
{
    test_bench *bench = *state;
    sx_error error;
    open_provider(bench);
    bench->rules.cut = true;
    sx_status status = sx_embedder_embed(bench->embedder, bench->texts, 10, bench->vectors, bench->receipts, NULL, &error);
    /* Attempts run out after minutes of the fake clock; the texts are named, not lost. */
    assert_int_equal(status ? status : bench->receipts[0].status, SX_E_NETWORK);
    assert_true(isnan(bench->vectors[0]));
    assert_true(bench->clock.slept > 10 * second);
}

static void limits_of_a_minute(void **state)
{
    test_bench *bench = *state;
    bench->remote.requests_per_minute = 10;
    bench->batch_size = 10;
    open_provider(bench);
    embed(bench, 300); /* 30 requests and the probe: the last one is the first of the fourth minute */
    assert_true(bench->clock.now >= 180 * second);
    assert_true(bench->clock.now <= 180 * second * 11 / 10);
}

/* The file of prices and limits with one entry, for this server's model. */
static void write_overrides(test_bench *bench, const char *model, const char *members, char path[32])
{
    char text[256];
    strcpy(path, "/tmp/sextant-prices-XXXXXX");
    int file = mkstemp(path);
    int length = snprintf(text, sizeof text, "{\"models\": {\"openai@http://127.0.0.1:%u/v1#%s\": {%s}}}", bench->server.port,
                          model, members);
    assert_int_equal(write(file, text, (size_t)length), length);
    close(file);
    bench->remote.overrides = path;
}

static void budget_is_kept(void **state)
{
    test_bench *bench = *state;
    sx_error error;
    char path[32];
    bench->remote.budget_usd = 0.5;
    bench->batch_size = 10;
    assert_int_equal(try_open(bench, &error), SX_E_INVALID); /* a price that is not known is no price of 0 */
    write_overrides(bench, "some-model", "\"price_per_million\": 1000", path);
    sx_provider *provider = open_provider(bench);
    unlink(path);
    assert_true(fabs(provider->info.usd_per_million - 1000) < 1e-9);
    /* A text costs half a cent: about 97 fit. */
    assert_int_equal(sx_embedder_embed(bench->embedder, bench->texts, MOST_TEXTS, bench->vectors, bench->receipts, NULL, &error),
                     SX_E_LIMIT);
    assert_true(provider->usage.usd <= 0.5);
    assert_true(provider->usage.usd >= 0.4);
    assert_true(fabs(provider->usage.usd - (double)provider->usage.tokens / 1000) < 1e-9);
    size_t embedded = 0;
    for (size_t i = 0; i < MOST_TEXTS; i++)
        embedded += bench->receipts[i].status == SX_OK;
    assert_int_equal(embedded + 2, atomic_load(&bench->rules.texts)); /* what was paid for is there */
}

/* Without the ranks bytes are counted, which is said, and the service decides what is too long. */
static void tokens_without_ranks(void **state)
{
    test_bench *bench = *state;
    bench->model = "text-embedding-3-small";
    bench->models_folder = "/nonexistent";
    sx_provider *provider = open_provider(bench);
    const sx_token_counter *counter = &provider->counter;
    uint32_t starts[8];
    assert_string_equal(provider->info.tokens_by, "bytes");
    assert_int_equal(counter->count(counter->user, "a\xc3\xa4\xe2\x82\xac", 6, starts, 8), 6);
    static const uint32_t expected[] = {0, 1, 1, 3, 3, 3};
    assert_memory_equal(starts, expected, sizeof expected);
}

static void tokens_with_ranks(void **state)
{
    test_bench *bench = *state;
    sx_error error;
    const char *ranks = getenv("SX_TEST_OPENAI_RANKS");
    char folder[4096], path[32];
    assert_true(snprintf(folder, sizeof folder, "%s/..", ranks) < (int)sizeof folder);
    assert_string_equal(strrchr(ranks, '/'), "/openai-ranks"); /* the name by which a models folder has them */
    bench->model = "text-embedding-3-small";
    bench->models_folder = folder;
    bench->texts[1] = (sx_text){"text 1 is longer than ten tokens, as anybody can see who counts them", 69};
    write_overrides(bench, bench->model, "\"max_tokens_of_text\": 10", path);
    sx_provider *provider = open_provider(bench);
    unlink(path);
    const sx_token_counter *counter = &provider->counter;
    assert_string_equal(provider->info.tokens_by, "cl100k_base");
    assert_int_equal(provider->info.max_length, 10);
    assert_int_equal(counter->limit, 10);
    assert_int_equal(counter->special, 0);
    assert_int_equal(counter->count(counter->user, "hello world", 11, NULL, 0), 2);
    assert_ok(sx_embedder_embed(bench->embedder, bench->texts, 3, bench->vectors, bench->receipts, NULL, &error));
    assert_int_equal(bench->receipts[0].status, SX_OK);
    assert_int_equal(bench->receipts[1].status, SX_E_LIMIT);
    assert_non_null(strstr(bench->receipts[1].message, "the model takes 10"));
    assert_int_equal(bench->receipts[2].status, SX_OK);
    check_row(bench, 2);
    assert_int_equal(atomic_load(&bench->rules.texts), 2 + 2); /* it was not even sent */
}

static void cancelled_batches_come_out(void **state)
{
    test_bench *bench = *state;
    sx_error error;
    bench->remote.requests_per_minute = 3; /* the probe and two more */
    sx_provider *provider = open_provider(bench);
    sx_batch first = batch_of(bench, 0, 4), other = batch_of(bench, 4, 4), held = batch_of(bench, 8, 4);
    bench->rules.slow_ms = 300;
    assert_ok(provider->class->submit(provider, &first, &error));
    assert_null(wait_for(provider, second / 20)); /* it is on its way */
    bench->rules.hang = true;
    assert_ok(provider->class->submit(provider, &other, &error));
    assert_ok(provider->class->submit(provider, &held, &error));
    assert_null(wait_for(provider, second / 20));
    provider->class->cancel(provider);
    assert_ptr_equal(wait_for(provider, 0), &held); /* not sent yet: at once, and for nothing */
    assert_int_equal(held.outcome.status, SX_E_STOPPED);
    assert_ptr_equal(wait_for(provider, second), &first); /* paid for: it may still come */
    assert_int_equal(first.outcome.status, SX_OK);
    check_row(bench, 3);
    int64_t before = sx_system_clock.monotonic_ns(NULL);
    sx_batch *batch = NULL;
    while (!batch && sx_system_clock.monotonic_ns(NULL) - before < 10 * second)
        batch = wait_for(provider, second / 40);
    assert_ptr_equal(batch, &other);
    assert_int_equal(other.outcome.status, SX_E_STOPPED);
    assert_true(sx_system_clock.monotonic_ns(NULL) - before < 3 * second);
    bench->rules.hang = false;
    bench->clock.now += 70 * second;
    bench->rules.slow_ms = 0;
    embed(bench, 20);
    bench->rules.slow_ms = 200;
    assert_ok(provider->class->submit(provider, &first, &error)); /* close ends what is in flight */
    assert_null(wait_for(provider, second / 50));
}

int main(void)
{
    if (lacks("SX_TEST_OPENAI_RANKS", "scripts/install-openai-ranks"))
        return SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(order_and_shares, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(waits_as_the_service_asks, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(refused_dimensions_are_cut_here, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(learns_how_many_texts, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(learns_from_refusals_that_name_no_reason, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(one_bad_text_leaves_the_size, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(a_wrong_key_stops_at_once, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(transient_faults_are_outlasted, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(a_cut_reply_is_repeated_and_given_up, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(limits_of_a_minute, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(budget_is_kept, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(tokens_without_ranks, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(tokens_with_ranks, open_bench, close_bench),
        cmocka_unit_test_setup_teardown(cancelled_batches_come_out, open_bench, close_bench),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
