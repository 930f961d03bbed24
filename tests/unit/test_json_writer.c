/* test_json_writer.c - strings that any reader takes, floats that come back bit for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json_writer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check_string(const char *text, size_t length, const char *expected)
{
    sx_buffer buffer = {0};
    assert_true(sx_json_write_string(&buffer, text, length));
    assert_string_equal(buffer.data, expected);
    sx_buffer_clear(&buffer);
}

static void test_strings(void **state)
{
    check_string("", 0, "\"\"");
    check_string(NULL, 0, "null");
    check_string("a\"b\\c/\n\r\t\b\f", 11, "\"a\\\"b\\\\c/\\n\\r\\t\\b\\f\"");
    check_string("\0\x1f\x7f", 3, "\"\\u0000\\u001f\\u007f\"");
    check_string("\xc2\x85\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa\xc2\x86", 13, "\"\\u0085\\u2028\\u2029\xe2\x80\xaa\xc2\x86\"");
    check_string("h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", 12, "\"h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"");
    /* The examples of Unicode 15, tables 3-8 to 3-11. */
    check_string("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", 9,
                 "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                 "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\x41\"");
    check_string("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", 9, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\x41\"");
    check_string("\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    check_string("x\xe2\x82", 3, "\"x\xef\xbf\xbd\"");
}

static void check_float(float value, const char *expected)
{
    sx_buffer buffer = {0};
    assert_true(sx_json_write_float(&buffer, value));
    assert_string_equal(buffer.data, expected);
    sx_buffer_clear(&buffer);
}

static void test_floats_read_well(void **state)
{
    static const struct {
        float value;
        const char *text;
    } cases[] = {
        {0, "0.0"},           {-0.0f, "-0.0"},
        {1, "1.0"},           {-0.5f, "-0.5"},
        {0.1f, "0.1"},        {16777216, "16777216.0"},
        {1e-5f, "1e-05"},     {0.0001f, "0.0001"},
        {1.5e-7f, "1.5e-07"}, {3.4028235e38f, "3.4028235e+38"},
        {1e-45f, "1e-45"},    {123456.79f, "123456.79"},
        {NAN, "null"},        {INFINITY, "null"},
        {0.3f, "0.3"},        {33333334.0f, "33333334.0"},
        {0.0333f, "0.0333"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_float(cases[i].value, cases[i].text);
}

static uint64_t random_state = 88172645463325252u;
static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

static void check_round_trip(float value, size_t *digits)
{
    sx_buffer buffer = {0};
    assert_true(sx_json_write_float(&buffer, value));
    float direct = strtof(buffer.data, NULL), by_double = (float)strtod(buffer.data, NULL);
    if (memcmp(&direct, &value, 4) != 0 || memcmp(&by_double, &value, 4) != 0)
        fail_msg("%a is written as %s", (double)value, buffer.data);
    *digits += buffer.length;
    sx_buffer_clear(&buffer);
}

static void test_every_kind_of_float_comes_back(void **state)
{
    size_t length = 0, reference = 0;
    for (int i = 0; i < 400000; i++) {
        uint32_t bits = (uint32_t)next_random();
        float value;
        memcpy(&value, &bits, 4);
        if (isfinite(value))
            check_round_trip(value, &length);
    }
    length = 0;
    for (int i = 0; i < 200000; i++) {
        float value = (float)((double)(next_random() >> 11) / 9007199254740992.0 * 0.4 - 0.2);
        check_round_trip(value, &length);
        char text[64];
        for (int precision = 1; precision <= 9; precision++) {
            snprintf(text, sizeof text, "%.*g", precision, (double)value);
            if (strtof(text, NULL) == value)
                break;
        }
        reference += strlen(text);
    }
    /* As short as trying each precision in turn, but for exponents' spelling and a digit in a doubtful case. */
    assert_true(length <= reference + reference / 200);
}

static void test_doubles_come_back(void **state)
{
    sx_buffer buffer = {0};
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = next_random();
        double value;
        memcpy(&value, &bits, 8);
        if (!isfinite(value))
            continue;
        sx_buffer_reset(&buffer);
        assert_true(sx_json_write_double(&buffer, value));
        double back = strtod(buffer.data, NULL);
        assert_memory_equal(&back, &value, 8);
    }
    sx_buffer_reset(&buffer);
    sx_json_write_double(&buffer, 0.1);
    sx_json_write_integer(&buffer, INT64_MIN);
    sx_json_write_floats(&buffer, (float[]){1, 0.25f}, 2);
    assert_string_equal(buffer.data, "0.1-9223372036854775808[1.0,0.25]");
    sx_buffer_clear(&buffer);
}

static void test_a_full_buffer_is_told(void **state)
{
    sx_buffer buffer = {.maximum = 4};
    assert_false(sx_json_write_string(&buffer, "abcdef", 6));
    assert_true(buffer.failed);
    sx_buffer_clear(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_floats_read_well),
        cmocka_unit_test(test_every_kind_of_float_comes_back),
        cmocka_unit_test(test_doubles_come_back),
        cmocka_unit_test(test_a_full_buffer_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
