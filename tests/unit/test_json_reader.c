/* test_json_reader.c - what the strict reader takes, what it refuses, and where it says the fault is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/json_reader.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads a whole text by skipping, from memory that ends where the text ends (so that sanitizers see an overrun). */
static bool accepts(const char *text, size_t length, size_t *position)
{
    char *exact = malloc(length ? length : 1);
    memcpy(exact, text, length);
    sx_json json;
    sx_json_begin(&json, exact, length, "text");
    bool skipped = sx_json_skip(&json) && sx_json_end(&json);
    assert_int_equal(skipped, json.problem == NULL);
    if (position)
        *position = json.problem_position;
    free(exact);
    return skipped;
}

static void test_accepts(void **state)
{
    static const char *const good[] = {
        "0", "-0", "10", "-1.5e+10", "1E5", "0.0", "true", "false", "null", "\"\"", " [ ] ", "{}", "\t\r\n [1 , 2]\n",
        "{\"a\":{\"b\":[{},[],null]},\"a\":1}", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\"", "\"\x7f\"",
        "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", "\"01234567890123456789\"", "[\"\\u0000\"]", "[[[[[[[[[[]]]]]]]]]]",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!accepts(good[i], strlen(good[i]), NULL))
            fail_msg("%s is refused", good[i]);
}

static void test_refuses_at_the_right_place(void **state)
{
    static const struct {
        const char *text;
        size_t position;
    } bad[] = {
        {"", 0}, {" ", 1}, {"[1,]", 3}, {"[1 2]", 3}, {"[,1]", 1}, {"[", 1}, {"[1", 2}, {"{", 1}, {"{\"a\"}", 4},
        {"{\"a\":}", 5}, {"{\"a\":1,}", 7}, {"{a:1}", 1}, {"{'a':1}", 1}, {"01", 0}, {"-", 1}, {"+1", 0}, {".5", 0},
        {"1.", 1}, {"1e", 2}, {"1e+", 3}, {"-01", 1}, {"nul", 0}, {"tru", 0}, {"nan", 0}, {"Infinity", 0}, {"[1]x", 3},
        {"1 2", 2}, {"\"", 1}, {"\"a", 2}, {"\"\\", 1}, {"\"\\x\"", 1}, {"\"\\u12\"", 1}, {"\"\\u12g4\"", 1},
        {"\"\\ud800\"", 1}, {"\"\\udc00\"", 1}, {"\"\\ud800\\u0041\"", 1}, {"\"\\ud800\\ud800\"", 1}, {"\"a\nb\"", 2},
        {"\"01234567\x01\"", 9}, {"\"0123456789\x1f\"", 11}, {"\"\xff\"", 1}, {"\"\xc0\x80\"", 1}, {"\"\xed\xa0\x80\"", 1},
        {"\"\xf4\x90\x80\x80\"", 1}, {"\"abc\xe2\x82\"", 4}, {"\"\xf0\x9f\x98", 1}, {"\xef\xbb\xbf{}", 0}, {"[1}", 2},
        {"{\"a\":1]", 6}, {"]", 0}, {"// c\n1", 0}, {"\"\xc3", 1}, {"\"\\u", 1}, {"\"\\ud83d\\u", 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        size_t position;
        if (accepts(bad[i].text, strlen(bad[i].text), &position))
            fail_msg("%s is accepted", bad[i].text);
        if (position != bad[i].position)
            fail_msg("%s: fault at %zu, not %zu", bad[i].text, position, bad[i].position);
    }
}

static void test_depth_is_bounded(void **state)
{
    char text[2 * SX_JSON_MAX_DEPTH + 2];
    memset(text, '[', SX_JSON_MAX_DEPTH);
    memset(text + SX_JSON_MAX_DEPTH, ']', SX_JSON_MAX_DEPTH);
    assert_true(accepts(text, 2 * SX_JSON_MAX_DEPTH, NULL));
    memset(text, '[', SX_JSON_MAX_DEPTH + 1);
    memset(text + SX_JSON_MAX_DEPTH + 1, ']', SX_JSON_MAX_DEPTH + 1);
    assert_false(accepts(text, sizeof text, NULL));
    size_t many = 1000000;
    char *deep = malloc(many);
    for (size_t i = 0; i < many; i++)
        deep[i] = "{\"a\":["[i % 6];
    assert_false(accepts(deep, many, NULL));
    free(deep);
}

static void test_pulls_members_and_elements(void **state)
{
    const char *text = " {\"n\\u00e4me\": \"v\\n\", \"plain\":\"x\", \"list\":[1,-2,[3],{}], \"skip\":{\"a\":[{}]}, "
                       "\"raw\" : [ 1, {} ] , \"no\":null,\"yes\":true} ";
    sx_json json;
    sx_text key, value;
    sx_buffer keys = {0}, values = {0};
    int seen = 0;
    sx_json_begin(&json, text, strlen(text), "text");
    assert_int_equal(sx_json_peek(&json), SX_JSON_OBJECT);
    assert_true(sx_json_object(&json));
    while (sx_json_member(&json, &keys, &key)) {
        seen++;
        if (sx_text_is(key, "n\xc3\xa4me")) {
            assert_true(sx_json_string(&json, &values, &value));
            assert_true(sx_text_is(value, "v\n"));
            assert_true(sx_text_is(key, "n\xc3\xa4me"));
        } else if (sx_text_is(key, "plain")) {
            assert_true(sx_json_string(&json, NULL, &value));
            assert_true(value.data > text && value.data < text + strlen(text));
        } else if (sx_text_is(key, "list")) {
            int64_t sum = 0, number;
            sx_json_array(&json);
            for (int i = 0; sx_json_element(&json); i++) {
                if (i == 2) {
                    sx_json_array(&json);
                    assert_true(sx_json_element(&json));
                    sx_json_integer(&json, &number);
                    assert_false(sx_json_element(&json));
                } else if (i == 3) {
                    sx_json_object(&json);
                    assert_false(sx_json_member(&json, NULL, &value));
                    continue;
                } else {
                    sx_json_integer(&json, &number);
                }
                sum += number;
            }
            assert_int_equal(sum, 2);
        } else if (sx_text_is(key, "raw")) {
            assert_true(sx_json_raw(&json, &value));
            assert_true(sx_text_is(value, "[ 1, {} ]"));
        } else if (sx_text_is(key, "no")) {
            assert_true(sx_json_null(&json));
        } else if (sx_text_is(key, "yes")) {
            bool yes;
            assert_false(sx_json_null(&json));
            assert_true(sx_json_boolean(&json, &yes));
            assert_true(yes);
        } else {
            assert_true(sx_json_skip(&json));
        }
    }
    assert_true(sx_json_end(&json));
    assert_int_equal(seen, 7);
    sx_buffer_clear(&keys);
    sx_buffer_clear(&values);
}

static void test_failure_sticks_and_is_named(void **state)
{
    const char *text = "{\"a\": \"text\", \"b\": 1}";
    sx_json json;
    sx_text key;
    int64_t number;
    sx_error error = {0};
    sx_json_begin(&json, text, strlen(text), "file.json");
    sx_json_object(&json);
    assert_true(sx_json_member(&json, NULL, &key));
    assert_false(sx_json_integer(&json, &number));
    assert_false(sx_json_member(&json, NULL, &key));
    assert_false(sx_json_skip(&json));
    assert_false(sx_json_end(&json));
    assert_int_equal(sx_json_peek(&json), SX_JSON_BAD);
    assert_int_equal(sx_json_fail(&json, SX_E_FORMAT, &error), SX_E_FORMAT);
    assert_string_equal(error.message, "file.json: byte 6: expected a number");
    /* A value left unread is a fault, not a loop. */
    sx_json_begin(&json, text, strlen(text), "file.json");
    sx_json_object(&json);
    assert_true(sx_json_member(&json, NULL, &key));
    assert_false(sx_json_member(&json, NULL, &key));
    assert_non_null(json.problem);
    /* Strings with escapes need a buffer. */
    sx_json_begin(&json, "\"\\n\"", 4, "file.json");
    assert_false(sx_json_string(&json, NULL, &key));
    sx_json_begin(&json, "[1]", 3, "file.json");
    sx_json_array(&json);
    assert_false(sx_json_end(&json));
}

static void test_numbers(void **state)
{
    static const struct {
        const char *text;
        bool fits_integer;
        int64_t integer;
        double number;
    } cases[] = {
        {"0", true, 0, 0.0}, {"-0", true, 0, -0.0}, {"9223372036854775807", true, INT64_MAX, 9223372036854775807.0},
        {"-9223372036854775808", true, INT64_MIN, -9223372036854775808.0},
        {"9223372036854775808", false, 0, 9223372036854775808.0},
        {"1.5", false, 0, 1.5}, {"1e2", false, 0, 100}, {"0.1", false, 0, 0.1}, {"-2.2250738585072014e-308", false, 0, -DBL_MIN},
        {"1.7976931348623157e308", false, 0, DBL_MAX}, {"4.9e-324", false, 0, 4.9e-324}, {"1e-400", false, 0, 0},
        {"0.30000000000000004", false, 0, 0.30000000000000004},
        {"123456789012345678901234567890", false, 0, 123456789012345678901234567890.0},
        {"9007199254740993", true, 9007199254740993, 9007199254740992.0}, {"1e22", false, 0, 1e22}, {"1e23", false, 0, 1e23},
        {"0e999999999999", false, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sx_json json;
        int64_t integer;
        double number;
        sx_json_begin(&json, cases[i].text, strlen(cases[i].text), "number");
        assert_int_equal(sx_json_integer(&json, &integer), cases[i].fits_integer);
        assert_true(integer == cases[i].integer || !cases[i].fits_integer);
        sx_json_begin(&json, cases[i].text, strlen(cases[i].text), "number");
        if (!sx_json_number(&json, &number) || memcmp(&number, &cases[i].number, sizeof number) != 0)
            fail_msg("%s is read as %.17g", cases[i].text, number);
    }
    sx_json json;
    double number;
    uint64_t natural;
    sx_json_begin(&json, "1e400", 5, "number");
    assert_false(sx_json_number(&json, &number));
    sx_json_begin(&json, "18446744073709551615", 20, "number");
    assert_true(sx_json_unsigned(&json, &natural));
    assert_true(natural == UINT64_MAX);
    sx_json_begin(&json, "18446744073709551616", 20, "number");
    assert_false(sx_json_unsigned(&json, &natural));
    sx_json_begin(&json, "-1", 2, "number");
    assert_false(sx_json_unsigned(&json, &natural));
}

static void test_doubles_come_back(void **state)
{
    uint64_t random = 88172645463325252u;
    for (int i = 0; i < 100000; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        double want, got;
        char text[40];
        memcpy(&want, &random, sizeof want);
        if (!isfinite(want))
            continue;
        int length = i % 2 ? snprintf(text, sizeof text, "%.17g", want) : snprintf(text, sizeof text, "%.9g", want = (float)want);
        if (!isfinite(want))
            continue;
        sx_json json;
        sx_json_begin(&json, text, (size_t)length, "number");
        assert_true(sx_json_number(&json, &got));
        if (i % 2)
            assert_memory_equal(&want, &got, sizeof want);
        else
            assert_true((float)got == (float)want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_refuses_at_the_right_place),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_pulls_members_and_elements),
        cmocka_unit_test(test_failure_sticks_and_is_named),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_doubles_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
