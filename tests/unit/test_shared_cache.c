/* test_shared_cache.c - addresses of shared caches, the form of their values, and the time a server is left alone (real servers:
 * tests/caches). */
#include "cache/shared_cache_internal.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void urls_are_read(void **state)
{
    static const struct {
        const char *text, *shown, *user, *password, *host;
        unsigned port, database;
    } cases[] = {
        {"redis://localhost", "redis://localhost:6379/0", NULL, NULL, "localhost", 6379, 0},
        {"redis://localhost/", "redis://localhost:6379/0", NULL, NULL, "localhost", 6379, 0},
        {"REDIS://h:1/15", "redis://h:1/15", NULL, NULL, "h", 1, 15},
        {"redis://:a%20b%2F%40%3a@h:65535/3", "redis://h:65535/3", NULL, "a b/@:", "h", 65535, 3},
        {"redis://me:p@ss@h", "redis://h:6379/0", "me", "p@ss", "h", 6379, 0},
        {"redis://:p:q@10.0.0.1", "redis://10.0.0.1:6379/0", NULL, "p:q", "10.0.0.1", 6379, 0},
        {"redis://:p@[::1]:7/1", "redis://[::1]:7/1", NULL, "p", "::1", 7, 1},
        {"redis://[fe80::1]", "redis://[fe80::1]:6379/0", NULL, NULL, "fe80::1", 6379, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sx_shared_url url;
        sx_error error = {0};
        if (sx_shared_url_read(cases[i].text, &url, &error))
            fail_msg("%s: %s", cases[i].text, error.message);
        assert_string_equal(url.shown, cases[i].shown);
        assert_string_equal(url.host, cases[i].host);
        assert_int_equal(url.port, cases[i].port);
        assert_int_equal(url.database, cases[i].database);
        assert_string_equal(url.user ? url.user : "-", cases[i].user ? cases[i].user : "-");
        assert_string_equal(url.password ? url.password : "-", cases[i].password ? cases[i].password : "-");
        sx_shared_url_clear(&url);
    }
}

static void postgres_urls_are_shown_without_secrets(void **state)
{
    static const char *const cases[][2] = {
        {"postgresql://u:sesame@h:5433/db?sslmode=require", "postgresql://h:5433/db"},
        {"postgres://h/db", "postgresql://h/db"},
        {"postgresql://u:a%40b@h/db", "postgresql://h/db"},
        {"postgresql:///db?password=sesame", "postgresql:///db"},
        {"postgresql://h1:1,h2:2/db", "postgresql://h1:1,h2:2/db"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sx_shared_url url;
        sx_error error = {0};
        if (sx_shared_url_read(cases[i][0], &url, &error))
            fail_msg("%s: %s", cases[i][0], error.message);
        assert_string_equal(url.shown, cases[i][1]);
        sx_shared_url_clear(&url);
    }
}

static void what_is_no_address_is_refused_without_being_quoted(void **state)
{
    static const char *const cases[] = {
        "", "sesame", "redis:/sesame", "redis://", "redis://:sesame@", "redis://:sesame@h:0", "redis://:sesame@h:65536",
        "redis://:sesame@h:x", "redis://:sesame/x@h", "redis://:sesame@h/x", "redis://:sesame@h/1/2", "redis://:ses%zzame@h",
        "redis://:ses%00ame@h", "redis://sesame@h", "redis://[sesame", "redis://[::1]x", "redis://h?sesame", "redis://sesame h",
        "postgresql://u:sesame@h:1:2:x/d?nonsense=sesame", "postgresql://h/%zzsesame", "http://sesame", "rediss://:sesame@h",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sx_shared_url url;
        sx_error error = {0};
        sx_status status = sx_shared_url_read(cases[i], &url, &error);
        if (status != (strncmp(cases[i], "rediss", 6) == 0 ? SX_E_UNSUPPORTED : SX_E_INVALID))
            fail_msg("%s: %s", cases[i], sx_status_name(status));
        assert_null(strstr(error.message, "sesame"));
        assert_null(strstr(error.hint, "sesame"));
    }
}

static void secrets_are_masked(void **state)
{
    char message[64] = "user \"ab\" with ab and a";
    sx_shared_mask(message, "ab");
    assert_string_equal(message, "user \"**\" with ** and a");
    sx_shared_mask(message, NULL);
    sx_shared_mask(message, "");
    strcpy(message, "long sesame, sesame");
    sx_shared_mask(message, "sesame");
    assert_string_equal(message, "long ***, ***");
    strcpy(message, "***");
    sx_shared_mask(message, "*"); /* ends */
    assert_string_equal(message, "***");
}

/* Every value comes back in its bits; every changed bit, every other length, key and width is noticed. */
static void values_come_back_or_count_as_damaged(void **state)
{
    enum { DIMENSIONS = 5 };
    float vector[DIMENSIONS] = {1.5f, -0.0f, 3e-42f, 1e30f, -7.25f}, back[DIMENSIONS];
    sx_sha256 recipe = {{1}}, hash = {{2}}, other = {{3}};
    sx_shared_row row = {.tokens = 70000, .dropped_tokens = 3}, read = {0};
    size_t size = sx_shared_value_size(DIMENSIONS);
    assert_int_equal(size, 16 + DIMENSIONS * 4 + 8);
    unsigned char *value = calloc(1, size + 4);
    sx_shared_value_write(&recipe, &hash, DIMENSIONS, &row, vector, value);
    assert_true(sx_shared_value_read(&recipe, &hash, DIMENSIONS, value, size, &read, back));
    assert_memory_equal(vector, back, sizeof vector);
    assert_int_equal(read.tokens, row.tokens);
    assert_int_equal(read.dropped_tokens, row.dropped_tokens);
    for (size_t bit = 0; bit < size * 8; bit++) {
        value[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_false(sx_shared_value_read(&recipe, &hash, DIMENSIONS, value, size, &read, back));
        value[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    for (size_t length = 0; length < size + 4; length++)
        assert_int_equal(sx_shared_value_read(&recipe, &hash, DIMENSIONS, value, length, &read, back), length == size);
    assert_false(sx_shared_value_read(&other, &hash, DIMENSIONS, value, size, &read, back));
    assert_false(sx_shared_value_read(&recipe, &other, DIMENSIONS, value, size, &read, back));
    assert_false(sx_shared_value_read(&hash, &recipe, DIMENSIONS, value, size, &read, back));
    assert_false(sx_shared_value_read(&recipe, &hash, DIMENSIONS - 1, value, size, &read, back));
    free(value);
}

static int64_t clock_now;
static int64_t now_of(void *user)
{
    return clock_now;
}

static int said;
static void count_log(sx_log_level level, const char *message, void *user)
{
    assert_int_equal(level, SX_LOG_WARNING);
    assert_non_null(strstr(message, "redis://127.0.0.1:1/0"));
    said++;
}

/* Nothing listens on port 1. Rests double from a second to a minute; between them nothing is tried, and it is said once. */
static void a_server_that_is_down_is_left_alone_longer_and_longer(void **state)
{
    const sx_clock clock = {now_of, now_of, NULL, NULL};
    sx_shared_options options = {.url = "redis://127.0.0.1:1", .clock = &clock, .log = count_log};
    sx_shared_cache *cache;
    sx_error error = {0};
    sx_sha256 recipe = {{1}}, hash = {{2}};
    sx_shared_row row = {.found = true};
    float vector[2] = {1, 2};
    said = 0;
    clock_now = 1;
    assert_int_equal(sx_shared_cache_open(&options, &cache, &error), SX_OK);
    const sx_shared_counts *counts = sx_shared_cache_count(cache);
    static const int64_t rests[] = {1, 2, 4, 8, 16, 32, 60, 60};
    for (size_t i = 0; i < sizeof rests / sizeof *rests; i++) {
        for (int again = 0; again < 3; again++) {
            sx_shared_cache_get(cache, &recipe, &hash, 1, 2, &row, vector);
            assert_false(row.found);
            sx_shared_cache_put(cache, &recipe, &hash, 1, 2, &row, vector);
        }
        assert_int_equal(counts->failures, i + 1);
        clock_now += rests[i] * 1000000000 - 1;
        sx_shared_cache_get(cache, &recipe, &hash, 1, 2, &row, vector);
        assert_int_equal(counts->failures, i + 1);
        clock_now += 1;
    }
    assert_int_equal(said, 1);
    assert_int_equal(counts->asked, counts->unreachable);
    assert_int_equal(counts->stored, 0);
    sx_shared_cache_close(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_read),
        cmocka_unit_test(postgres_urls_are_shown_without_secrets),
        cmocka_unit_test(what_is_no_address_is_refused_without_being_quoted),
        cmocka_unit_test(secrets_are_masked),
        cmocka_unit_test(values_come_back_or_count_as_damaged),
        cmocka_unit_test(a_server_that_is_down_is_left_alone_longer_and_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
