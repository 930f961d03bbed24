/* test_rest_stores.c - what all vector databases spoken to by HTTP share, and what Chroma and Qdrant make of answers that are not
 * what they should be: a server in the test's own threads, and a clock that only counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loopback.h"

#include "base/base64.h"
#include "vectordb/rest_records.h"
#include "vectordb/vector_store_internal.h"

static const char key[] = "secret-key-0123456789";

static struct {
    const char *replies[16]; /* in turn: "CODE HEADERS|BODY"; NULL after the last: 500 */
    size_t next;
    char last_path[256], last_key[128], last_body[1024];
    int64_t slept_ns;
    unsigned sleeps;
} script;

static bool answer(loopback *server, int socket, const loopback_request *request)
{
    (void)server;
    const char *reply = script.replies[script.next] ? script.replies[script.next++] : "500 |";
    const char *head = strchr(reply, ' '), *body = strchr(reply, '|');
    char headers[256];
    sscanf(request->head, "%*s %255s", script.last_path);
    snprintf(script.last_body, sizeof script.last_body, "%s", request->body);
    const char *sent = strcasestr(request->head, "x-chroma-token: ");
    snprintf(script.last_key, sizeof script.last_key, "%.*s", sent ? (int)strcspn(sent + 16, "\r\n") : 0, sent ? sent + 16 : "");
    if (atoi(reply) == 0)
        return false; /* the connection is cut */
    snprintf(headers, sizeof headers, "%.*s%s", (int)(body - head - 1), head + 1, body - head > 1 ? "\r\n" : "");
    loopback_reply(socket, atoi(reply), headers, body + 1, strlen(body + 1));
    return true;
}

static int64_t count_time(void *user)
{
    (void)user;
    return script.slept_ns;
}

static void count_sleep(int64_t duration, void *user)
{
    (void)user;
    script.slept_ns += duration;
    script.sleeps++;
}

static const sx_clock counting = {count_time, count_time, count_sleep, NULL};

static void log_line(sx_log_level level, const char *message, void *user)
{
    (void)level;
    (void)user;
    assert_null(strstr(message, key));
}

/* Plays `replies` to a fresh connection that describes a collection. */
static sx_status describe(const char *scheme, const char *const *replies, sx_vector_space *space, sx_error *error)
{
    loopback server;
    char url[128];
    const sx_vector_store_options options = {.api_key = key, .attempts = 4, .clock = &counting, .log = log_line};
    sx_vector_store *store;
    uint64_t count;
    memset(&script, 0, sizeof script);
    for (size_t i = 0; replies[i]; i++)
        script.replies[i] = replies[i];
    assert_true(loopback_start(&server, answer, NULL));
    snprintf(url, sizeof url, "%s://127.0.0.1:%u", scheme, server.port);
    assert_int_equal(sx_vector_store_open(url, &options, &store, error), SX_OK);
    sx_status status = store->class->describe(store, "docs", space, &count, error);
    if (status) {
        assert_non_null(strstr(error->message, "127.0.0.1"));
        assert_null(strstr(error->message, key));
        assert_null(strstr(error->hint, key));
    } else {
        assert_int_equal(count, 7);
        assert_int_equal(space->dimensions, 3);
    }
    sx_vector_store_close(store);
    loopback_stop(&server);
    return status;
}

#define CHROMA_DOCS                                                                                      \
    "200 |{\"id\":\"0b76a706-670c-4272-8c2b-e7ae06b1acc8\",\"name\":\"docs\",\"configuration_json\":"          \
    "{\"hnsw\":{\"space\":\"cosine\","                                                                      \
    "\"ef_construction\":100,\"ef_search\":64,\"max_neighbors\":16}},\"metadata\":null,\"dimension\":3}"
#define QDRANT_DOCS                                                                                                    \
    "200 |{\"result\":{\"config\":{\"params\":{\"vectors\":{\"size\":3,\"distance\":\"Cosine\"}},\"hnsw_config\":{\"m\":16," \
    "\"ef_construct\":100}}},\"status\":\"ok\",\"time\":0.1}"

static void test_answers(void **state)
{
    (void)state;
    static const struct {
        const char *scheme, *replies[6];
        sx_status status;
        unsigned sleeps;
        const char *says; /* in the message */
    } cases[] = {
        {"chroma", {CHROMA_DOCS, "200 |7"}, SX_OK, 0, NULL},
        {"qdrant", {QDRANT_DOCS, "200 |{\"result\":{\"count\":7}}"}, SX_OK, 0, NULL},
        /* busy, away, cut off: once more (a kept connection that was closed meanwhile libcurl itself opens again) */
        {"chroma", {"503 |x", "0 |", CHROMA_DOCS, "429 |{}", "200 |7"}, SX_OK, 2, NULL},
        {"qdrant", {"502 |<html>", QDRANT_DOCS, "500 |", "200 |{\"result\":{\"count\":7}}"}, SX_OK, 2, NULL},
        {"chroma", {"503 |a", "503 |b", "503 |c", "503 |down for secret-key-0123456789"}, SX_E_BUSY, 3,
         "HTTP 503 (4 tries): down for [key]"},
        {"chroma", {"0 |", "0 |", "0 |", "0 |"}, SX_E_NETWORK, 3, "(4 tries)"},
        /* refusals are not repeated */
        {"chroma", {"401 |{\"error\":\"AuthError\",\"message\":\"bad token secret-key-01\"}"}, SX_E_DENIED, 0, "bad token [key]"},
        {"qdrant", {"403 |forbidden"}, SX_E_DENIED, 0, "HTTP 403: forbidden"},
        {"qdrant", {"404 |{\"status\":{\"error\":\"Not found: Collection `docs` doesn't exist!\"}}"}, SX_E_NOT_FOUND, 0,
         "doesn't exist"},
        {"chroma", {"301 Location: https://elsewhere/|"}, SX_E_INVALID, 0, "HTTP 301"},
        {"chroma", {"422 |{\"error\":\"ChromaError\",\"message\":\"a\\u0000b\\nc\"}"}, SX_E_INVALID, 0, "HTTP 422"},
        /* answers that are none */
        {"chroma", {"200 |<html><title>Welcome to nginx</title>"}, SX_E_FORMAT, 0, "HTML page instead of JSON: Welcome to nginx"},
        {"qdrant", {"200 |<html>"}, SX_E_FORMAT, 0, "HTML page"},
        {"chroma", {"200 |"}, SX_E_FORMAT, 0, "no JSON: nothing"},
        {"chroma", {"200 |{\"id\":\"0b76\","}, SX_E_FORMAT, 0, "at byte"},
        {"chroma", {"200 |{\"id\":7,\"configuration_json\":{\"hnsw\":{\"space\":\"l2\"}}}"}, SX_E_FORMAT, 0,
         "no id that is a UUID"},
        {"chroma", {"200 |{\"id\":\"../../x\",\"configuration_json\":{\"hnsw\":{\"space\":\"l2\"}}}"}, SX_E_FORMAT, 0, "no id"},
        {"chroma", {"200 |{\"id\":\"0b76\",\"configuration_json\":{\"hnsw\":{\"space\":\"hamming\"}}}"}, SX_E_FORMAT, 0, "space"},
        {"chroma", {"200 |{\"id\":\"0b76\",\"dimension\":99999999999}"}, SX_E_FORMAT, 0, "too large"},
        {"chroma", {CHROMA_DOCS, "200 |-1"}, SX_E_FORMAT, 0, "count"},
        {"chroma", {CHROMA_DOCS, "200 |{\"count\":7}"}, SX_E_FORMAT, 0, "count"},
        {"qdrant", {"200 |{\"status\":\"ok\"}"}, SX_E_FORMAT, 0, "no \"result\""},
        {"qdrant", {"200 |{\"result\":{\"config\":{}}}"}, SX_E_FORMAT, 0, "config.params.vectors"},
        {"qdrant", {"200 |{\"result\":{\"config\":{\"params\":{\"vectors\":{\"size\":0,\"distance\":\"Dot\"}}}}}"}, SX_E_FORMAT,
         0, "size"},
        {"qdrant", {"200 |{\"result\":{\"config\":{\"params\":{\"vectors\":{\"size\":3,\"distance\":\"Manhattan\"}}}}}"},
         SX_E_UNSUPPORTED, 0, "Manhattan"},
        {"qdrant",
         {"200 |{\"result\":{\"config\":{\"params\":{\"vectors\":"
          "{\"a\":{\"size\":3,\"distance\":\"Dot\"},\"b\":{\"size\":3,\"distance\":\"Dot\"}}}}}}"},
         SX_E_NOT_FOUND, 0, "2 named vectors"},
        {"qdrant", {QDRANT_DOCS, "200 |{\"result\":{\"count\":-7}}"}, SX_E_FORMAT, 0, "count"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sx_vector_space space;
        sx_error error = {0};
        sx_status status = describe(cases[i].scheme, cases[i].replies, &space, &error);
        bool says = !cases[i].says || strstr(error.message, cases[i].says);
        if (status != cases[i].status || !says || script.sleeps != cases[i].sleeps)
            fail_msg("case %zu: %s, %u sleeps: %s", i, sx_status_name(status), script.sleeps, status ? error.message : "");
        assert_string_equal(script.last_key, strcmp(cases[i].scheme, "chroma") == 0 ? key : "");
    }
}

static void test_waits(void **state)
{
    (void)state;
    static const char *const asked[] = {"429 Retry-After: 20|", CHROMA_DOCS, "200 |7", NULL};
    static const char *const own[] = {"503 |", "503 |", "503 |", CHROMA_DOCS, "200 |7", NULL};
    sx_vector_space space;
    sx_error error;
    assert_int_equal(describe("chroma", asked, &space, &error), SX_OK);
    assert_true(script.slept_ns >= 20000000000 && script.slept_ns < 21000000000);
    assert_int_equal(describe("chroma", own, &space, &error), SX_OK);
    assert_true(script.slept_ns >= 875000000 && script.slept_ns <= 1750000000); /* 0.25 + 0.5 + 1 s, each from half of it */
}

static void test_urls(void **state)
{
    (void)state;
    static const struct {
        const char *url, *shown, *base;
    } cases[] = {
        {"chroma://localhost", "chroma://localhost:8000", "http://localhost:8000"},
        {"chromas://h.example/t/d/", "chromas://h.example:443/t/d", "https://h.example:443"},
        {"chroma://u:p%40ss@h:1?batch=7", "chroma://h:1", "http://h:1"},
        {"CHROMA://[::1]:9", "chroma://[::1]:9", "http://[::1]:9"},
        {"chroma://h?batch=0", NULL, NULL},
        {"chroma://h?batch=5x", NULL, NULL},
        {"chroma://h?other=5", NULL, NULL},
        {"chroma://u:p@h:99999", NULL, NULL},
        {"chroma://", NULL, NULL},
        {"qdrant://h", NULL, NULL},
        {"chromaz://h", NULL, NULL},
    };
    static const sx_rest_service service = {"chroma", 8000, 443, "x-chroma-token: ", NULL};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sx_rest rest = {0};
        sx_error error = {0};
        sx_status status = sx_rest_open(&rest, &service, cases[i].url, NULL, &error);
        assert_int_equal(status, cases[i].shown ? SX_OK : SX_E_INVALID);
        if (!status) {
            assert_string_equal(rest.shown, cases[i].shown);
            assert_string_equal(rest.base, cases[i].base);
            assert_int_equal(rest.batch, i == 2 ? 7 : 0);
        } else {
            assert_null(strstr(error.message, "u:p"));
        }
        sx_rest_close(&rest);
    }
}

static bool plain(const char *name)
{
    return sx_rest_is_word(name, 1, 8, "_");
}

static void test_names(void **state)
{
    (void)state;
    char name[SX_REST_NAME_SIZE], other[SX_REST_NAME_SIZE], uuid[SX_REST_UUID_SIZE];
    sx_error error;
    assert_int_equal(sx_rest_server_name("s", "docs_1", plain, "sx_", name, &error), SX_OK);
    assert_string_equal(name, "docs_1");
    assert_int_equal(sx_rest_server_name("s", "a b", plain, "sx_", name, &error), SX_OK);
    assert_int_equal(strlen(name), 35);
    assert_int_equal(sx_rest_server_name("s", name, plain, "sx_", other, &error), SX_OK); /* nobody can ask for a hash by name */
    assert_string_not_equal(name, other);
    assert_int_equal(sx_rest_server_name("s", "", plain, "sx_", name, &error), SX_E_INVALID);
    assert_int_equal(sx_rest_server_name("s", "a\xff", plain, "sx_", name, &error), SX_E_INVALID);
    /* Python: uuid.uuid5(uuid.NAMESPACE_URL, "sextant:" + id) */
    assert_int_equal(sx_rest_uuid("chunk 1", uuid, &error), SX_OK);
    assert_string_equal(uuid, "24c1a3fc-7293-5069-82e8-477dd9a3b69c");
    assert_int_equal(sx_rest_uuid("", uuid, &error), SX_OK);
    assert_string_equal(uuid, "0c4c52f2-53f1-53df-93b9-99ac1fb3da3b");
}

static void test_base64(void **state)
{
    (void)state;
    unsigned char bytes[6];
    assert_true(sx_base64_decode("TWFu", 4, bytes, 3) && memcmp(bytes, "Man", 3) == 0);
    assert_true(sx_base64_decode("TWE=", 4, bytes, 2) && memcmp(bytes, "Ma", 2) == 0);
    assert_true(sx_base64_decode("TWE", 3, bytes, 2) && memcmp(bytes, "Ma", 2) == 0);
    assert_true(sx_base64_decode("TQ==", 4, bytes, 1) && bytes[0] == 'M');
    assert_true(sx_base64_decode("", 0, bytes, 0));
    assert_false(sx_base64_decode("TWFu", 4, bytes, 2));
    assert_false(sx_base64_decode("TWFu", 4, bytes, 4));
    assert_false(sx_base64_decode("TW-u", 4, bytes, 3));
    assert_false(sx_base64_decode("TQ=", 3, bytes, 1));
    assert_false(sx_base64_decode("====", 4, bytes, 0));
}

/* An alias moves in one request, whose two actions are one change. */
static void test_alias(void **state)
{
    static const char found[] = "200 |{\"result\":{\"status\":\"green\",\"points_count\":7,\"config\":{\"params\":{"
                                "\"vectors\":{\"size\":3,\"distance\":\"Cosine\"}}}},\"status\":\"ok\"}";
    const sx_vector_store_options options = {.api_key = key, .attempts = 4, .clock = &counting, .log = log_line};
    loopback server;
    char url[128];
    sx_vector_store *store;
    sx_error error;
    (void)state;
    memset(&script, 0, sizeof script);
    script.replies[0] = found;
    script.replies[1] = "200 |{\"result\":true,\"status\":\"ok\"}";
    script.replies[2] = "200 |{\"result\":false,\"status\":\"ok\"}";
    assert_true(loopback_start(&server, answer, NULL));
    snprintf(url, sizeof url, "qdrant://127.0.0.1:%u", server.port);
    assert_int_equal(sx_vector_store_open(url, &options, &store, &error), SX_OK);
    assert_int_equal(store->class->alias(store, "live", "docs", &error), SX_OK);
    assert_string_equal(script.last_path, "/collections/aliases?wait=true");
    assert_string_equal(script.last_body, "{\"actions\":[{\"delete_alias\":{\"alias_name\":\"live\"}},"
                                          "{\"create_alias\":{\"collection_name\":\"docs\",\"alias_name\":\"live\"}}]}");
    assert_int_equal(store->class->alias(store, "live", "docs", &error), SX_E_FORMAT);
    assert_non_null(strstr(error.message, "not done"));
    assert_int_equal(store->class->alias(store, "a/b", "docs", &error), SX_E_INVALID);
    assert_int_equal(store->class->alias(store, NULL, "docs", &error), SX_E_INVALID);
    assert_int_equal(script.next, 3);
    sx_vector_store_close(store);
    loopback_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers), cmocka_unit_test(test_waits),  cmocka_unit_test(test_urls),
        cmocka_unit_test(test_names),   cmocka_unit_test(test_base64), cmocka_unit_test(test_alias),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
