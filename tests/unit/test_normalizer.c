/* test_normalizer.c - normalisers against tokenizers' results (fixtures/normalizers.jsonl), the working text, the regular
 * expressions, and what must hold for any text. */
#include "base/code_point.h"
#include "text/utf8.h"
#include "tok/normalizer.h"
#include "tok/precompiled.h"
#include "tok/regex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct chain {
    sx_arena arena;
    sx_normalizer normalizer;
    sx_working_text text, spare;
} chain;

static sx_status chain_read(chain *c, const json_t *component, sx_error *error)
{
    *c = (chain){0};
    return sx_normalizer_read(component, "test", &c->arena, &c->normalizer, error);
}

static sx_status chain_open(chain *c, const char *json, sx_error *error)
{
    json_t *component = json_loads(json, JSON_ALLOW_NUL, NULL);
    assert_non_null(component);
    sx_status status = chain_read(c, component, error);
    json_decref(component);
    return status;
}

static void chain_close(chain *c)
{
    sx_normalizer_clear(&c->normalizer);
    sx_arena_clear(&c->arena);
    sx_working_text_clear(&c->text);
    sx_working_text_clear(&c->spare);
}

static void chain_run(chain *c, const char *text, size_t length)
{
    sx_working_text_reset(&c->text);
    sx_working_text_put_original(&c->text, text, 0, length);
    sx_normalizer_run(&c->normalizer, &c->text, &c->spare);
    assert_false(c->text.no_memory);
}

/* The origins of characters, as the fixtures have them. */
static void check_origins(const chain *c, const json_t *origins, const char *name, const char *text)
{
    size_t index = 0;
    for (size_t at = 0, length; at < c->text.length; at += length) {
        length = sx_utf8_decode(c->text.bytes + at, c->text.length - at).length;
        json_int_t start = json_integer_value(json_array_get(origins, index++));
        json_int_t end = json_integer_value(json_array_get(origins, index++));
        if (c->text.starts[at] != start || c->text.ends[at + length - 1] != end)
            fail_msg("%s: '%s': character at %zu came from %u-%u, not %d-%d", name, text, at, c->text.starts[at],
                     c->text.ends[at + length - 1], (int)start, (int)end);
    }
    assert_int_equal(index, json_array_size(origins));
}

static json_t *load(const char *path)
{
    json_t *json = json_load_file(path, JSON_ALLOW_NUL, NULL);
    assert_non_null(json);
    return json;
}

static void test_reference(void **state)
{
    (void)state;
    FILE *file = fopen(SX_FIXTURES "/normalizers.jsonl", "r");
    assert_non_null(file);
    char *line = NULL;
    size_t room = 0, lines = 0, with_origins = 0;
    while (getline(&line, &room, file) > 0) {
        json_t *entry = json_loads(line, JSON_ALLOW_NUL, NULL), *family = NULL;
        assert_non_null(entry);
        const char *name = json_string_value(json_object_get(entry, "name"));
        const json_t *component = json_object_get(entry, "normalizer");
        if (!component) {
            char path[1024];
            snprintf(path, sizeof path, SX_FIXTURES "/families/%s/tokenizer.json", name);
            family = load(path);
            component = json_object_get(family, "normalizer");
        }
        chain c;
        sx_error error = {0};
        if (chain_read(&c, component, &error) != SX_OK)
            fail_msg("%s: %s", name, error.message);
        const json_t *cases = json_object_get(entry, "cases");
        assert_true(json_array_size(cases) > 20);
        for (size_t i = 0; i < json_array_size(cases); i++) {
            const json_t *one = json_array_get(cases, i), *text = json_array_get(one, 0), *result = json_array_get(one, 1);
            chain_run(&c, json_string_value(text), json_string_length(text));
            if (c.text.length != json_string_length(result) ||
                (c.text.length && memcmp(c.text.bytes, json_string_value(result), c.text.length)))
                fail_msg("%s: '%s' became '%.*s', not '%s'", name, json_string_value(text), (int)c.text.length,
                         c.text.length ? c.text.bytes : "", json_string_value(result));
            if (json_is_array(json_array_get(one, 2))) {
                check_origins(&c, json_array_get(one, 2), name, json_string_value(text));
                with_origins++;
            }
        }
        chain_close(&c);
        json_decref(entry);
        json_decref(family);
        lines++;
    }
    free(line);
    fclose(file);
    assert_true(lines >= 26);
    assert_true(with_origins > 1000);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

/* Valid UTF-8 with many marks in it. */
static size_t make_text(uint64_t *seed, char *text, size_t room)
{
    size_t length = 0, count = next_random(seed) % 60;
    for (size_t i = 0; i < count && length + 4 <= room; i++) {
        uint32_t code = (uint32_t)next_random(seed);
        switch (next_random(seed) % 5) {
        case 0:
            code = 0x20 + code % 0x5f;
            break;
        case 1:
            code = 0x300 + code % 0x70;
            break;
        case 2:
            code = 0xa0 + code % 0x700;
            break;
        case 3:
            code = 0x1100 + code % 0x100;
            break;
        default:
            code %= SX_LAST_CODE_POINT + 1;
        }
        length += sx_utf8_encode(code, text + length);
    }
    return length;
}

static void test_properties(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        bool idempotent;
    } chains[] = {
        {"{\"type\":\"NFC\"}", true}, {"{\"type\":\"NFD\"}", true}, {"{\"type\":\"NFKC\"}", true}, {"{\"type\":\"NFKD\"}", true},
        {"{\"type\":\"Lowercase\"}", true}, {"{\"type\":\"StripAccents\"}", true}, {"{\"type\":\"Strip\"}", true},
        {"{\"type\":\"Nmt\"}", true}, {"{\"type\":\"ByteLevel\"}", false},
        {"{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"[aeiou]|\\\\p{M}+\"},\"content\":\"<>\"}", true},
    };
    uint64_t seed = 11;
    char text[512], once[4096];
    for (size_t k = 0; k < sizeof chains / sizeof chains[0]; k++) {
        chain c;
        assert_int_equal(chain_open(&c, chains[k].json, NULL), SX_OK);
        for (int round = 0; round < 1000; round++) {
            size_t length = make_text(&seed, text, sizeof text);
            chain_run(&c, text, length);
            const sx_working_text *result = &c.text;
            assert_true(!result->length || sx_utf8_valid(result->bytes, result->length, NULL));
            for (size_t i = 0; i < result->length; i++) {
                assert_true(result->starts[i] <= result->ends[i] && result->ends[i] <= length);
                assert_true(i == 0 || result->starts[i - 1] <= result->starts[i]);
            }
            size_t before = result->length;
            assert_true(before <= sizeof once);
            if (!chains[k].idempotent || !before)
                continue;
            memcpy(once, result->bytes, before);
            chain_run(&c, once, before);
            assert_int_equal(c.text.length, before);
            assert_memory_equal(c.text.bytes, once, before);
        }
        chain_close(&c);
    }
}

/* Many marks in a row are sorted in reasonable time, and compositions reach over those of a lower class. */
static void test_long_marks(void **state)
{
    (void)state;
    enum { MARKS = 200000 };
    char *text = malloc(1 + 2 * MARKS);
    assert_non_null(text);
    text[0] = 'a';
    for (size_t i = 0; i < MARKS; i++)
        memcpy(text + 1 + 2 * i, i % 2 ? "\xcc\xa3" : "\xcc\x81", 2); /* U+0323 of class 220, U+0301 of class 230 */
    chain c;
    assert_int_equal(chain_open(&c, "{\"type\":\"NFC\"}", NULL), SX_OK);
    chain_run(&c, text, 1 + 2 * MARKS);
    assert_int_equal(c.text.length, 3 + 2 * (MARKS - 1)); /* U+1EA1 */
    assert_memory_equal(c.text.bytes, "\xe1\xba\xa1\xcc\xa3", 5);
    chain_close(&c);
    free(text);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        sx_status status;
        const char *names;
    } refused[] = {
        {"{\"type\":\"Unknown\"}", SX_E_UNSUPPORTED, "Unknown"},
        {"{}", SX_E_FORMAT, "type"},
        {"{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Soundex\"}]}", SX_E_UNSUPPORTED, "Soundex"},
        {"{\"type\":\"Sequence\",\"normalizers\":[3]}", SX_E_FORMAT, "member 0"},
        {"{\"type\":\"Replace\",\"pattern\":{\"Glob\":\"a\"},\"content\":\"b\"}", SX_E_UNSUPPORTED, "pattern"},
        {"{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a(\"},\"content\":\"b\"}", SX_E_FORMAT, "a("},
        {"{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"}}", SX_E_FORMAT, "content"},
        {"{\"type\":\"Prepend\"}", SX_E_FORMAT, "prepend"},
        {"{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"*\"}", SX_E_FORMAT, "base64"},
        {"{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"\"}", SX_E_FORMAT, "0 bytes"},
        {"{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"/////w==\"}", SX_E_FORMAT, "trie"},
        {"{\"type\":\"BertNormalizer\",\"lowercase\":3}", SX_E_FORMAT, "lowercase"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        chain c;
        sx_error error = {0};
        assert_int_equal(chain_open(&c, refused[i].json, &error), refused[i].status);
        assert_non_null(strstr(error.message, refused[i].names));
        chain_close(&c);
    }
}

static void test_description(void **state)
{
    (void)state;
    static const char *const different[] = {
        "{\"type\":\"BertNormalizer\"}", "{\"type\":\"BertNormalizer\",\"lowercase\":false}", "{\"type\":\"NFC\"}",
        "{\"type\":\"NFD\"}", "{\"type\":\"Strip\"}", "{\"type\":\"Strip\",\"strip_left\":false}",
        "{\"type\":\"Prepend\",\"prepend\":\"a\"}",
        "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"b\"}",
        "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a\"},\"content\":\"b\"}",
        "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"NFC\"}]}",
    };
    enum { COUNT = sizeof different / sizeof different[0] };
    sx_buffer texts[COUNT] = {{0}};
    for (size_t i = 0; i < COUNT; i++) {
        chain c;
        assert_int_equal(chain_open(&c, different[i], NULL), SX_OK);
        assert_int_equal(c.normalizer.only_bert != NULL, i < 2);
        sx_normalizer_describe(&c.normalizer, &texts[i]);
        chain_close(&c);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(texts[i].data, texts[k].data);
    }
    for (size_t i = 0; i < COUNT; i++)
        sx_buffer_clear(&texts[i]);
}

static void test_working_text(void **state)
{
    (void)state;
    sx_working_text text = {0}, other = {0};
    sx_working_text_put_original(&text, "xabc", 1, 4);
    sx_working_text_put(&text, "\xe2\x96\x81", 3, 2, 2);
    sx_working_text_put_code(&text, 0xe9, 3, 4);
    assert_int_equal(text.length, 8);
    assert_memory_equal(text.bytes, "abc\xe2\x96\x81\xc3\xa9", 8);
    assert_int_equal(text.starts[0], 1);
    assert_int_equal(text.ends[0], 2);
    assert_int_equal(text.starts[4], 2);
    assert_int_equal(text.ends[4], 2);
    sx_working_text_put_part(&other, &text, 2, 8);
    assert_int_equal(other.length, 6);
    assert_int_equal(other.starts[0], 3);
    assert_int_equal(other.ends[5], 4);
    sx_working_text_put_piece(&text, 0, 3);
    sx_working_text_put_piece(&text, 3, 3);
    sx_working_text_put_piece(&text, 3, 8);
    assert_int_equal(text.piece_count, 2);
    assert_int_equal(text.pieces[1].begin, 3);
    for (uint32_t i = 0; i < 5000; i++)
        sx_working_text_put_code(&text, 'a' + i % 26, i, i + 1);
    assert_int_equal(text.length, 5008);
    assert_int_equal(text.starts[5007], 4999);
    sx_working_text_put_original(&text, "", 0, (size_t)UINT32_MAX + 1);
    assert_true(text.no_memory);
    sx_working_text_reset(&text);
    assert_false(text.no_memory);
    assert_int_equal(text.length + text.piece_count, 0);
    sx_working_text_clear(&text);
    sx_working_text_clear(&other);
}

static sx_regex *open_regex(const char *pattern, bool literal)
{
    sx_regex *regex;
    sx_error error = {0};
    if (sx_regex_open((sx_text){pattern, strlen(pattern)}, literal, "test", &regex, &error) != SX_OK)
        fail_msg("%s", error.message);
    return regex;
}

/* First matches that tokenizers 0.23.3 (Oniguruma) gives. */
static void test_regex(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        int begin, end; /* begin -1: none */
    } cases[] = {
        {"\\d{1,3}+", "ab123456", 2, 8},     {"a{2}?b", "xab", 2, 3},          {"a{,2}b", "aaab", 1, 4},
        {"a{b", "xa{b", 1, 4},               {"\\h+", "xyz09fG", 3, 6},         {"[\\p{L}&&[^a-c]]+", "abcdef1", 3, 6},
        {"(?m:a.b)", "a\nb", 0, 3},          {"a.b", "a\nb", -1, -1},           {"^b$", "a\nb\nc", 2, 3},
        {"\\Ab", "a\nb", -1, -1},            {"c\\Z", "abc\n", 2, 3},           {"c\\z", "abc\n", -1, -1},
        {"(?<x>a)(b)\\k<x>", "aba", 0, 3},   {"(?i:'S|'T)x", "'sx", 0, 3},      {"a(?i)b|c", "aC", 0, 2},
        {"(?x) a b # c\n c", "abc", 0, 3},   {"(?<=a|bc)d", "bcd", 2, 3},       {"\\s+(?!\\S)", "a  b", 1, 2},
        {"[[:^alpha:]]", "ab1", 2, 3},       {"[]a]+", "b]a", 1, 3},            {"\\s", "\xe1\xa0\x8e ", 3, 4},
        {"[^\\S\\n]", "\n\xc2\xa0", 1, 3},   {"\\p{Han}", "a\xe3\x80\x81\xe4\xb8\xad", 4, 7},
        {"\\w+", "\xc2\xb2_!", 0, 3},        {"[\\w]+", "\xc2\xb2_!", 2, 3},    {"a**b", "aab", 0, 3},
        {"\\b\\w{2}\\b", "\xc2\xb2_ \xc2\xb2\xc2\xb2\xc2\xb2", 0, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sx_regex *regex = open_regex(cases[i].pattern, false);
        size_t begin = 0, end = 0;
        int found = sx_regex_next(regex, cases[i].text, strlen(cases[i].text), 0, &begin, &end);
        if (found != (cases[i].begin >= 0) || (found && ((int)begin != cases[i].begin || (int)end != cases[i].end)))
            fail_msg("/%s/ in '%s': %d %zu-%zu", cases[i].pattern, cases[i].text, found, begin, end);
        sx_regex_close(regex);
    }
    static const char *const refused[] = {"(", ")", "[a", "*a", "\\", "[b-a]", "(?s:.)", "\\p{Nothing}",
                                          "(?~a)", "(*FAIL)", "[a-\\d]"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        sx_regex *regex;
        sx_error error = {0};
        assert_int_not_equal(sx_regex_open((sx_text){refused[i], strlen(refused[i])}, false, "test", &regex, &error), SX_OK);
        assert_null(regex);
        assert_non_null(strstr(error.message, refused[i]));
    }
    size_t begin, end;
    sx_regex *literal = open_regex("a.", true);
    assert_int_equal(sx_regex_next(literal, "ab a. a.", 8, 0, &begin, &end), 1);
    assert_int_equal(begin, 3);
    assert_int_equal(sx_regex_next(literal, "ab a. a.", 8, end, &begin, &end), 1);
    assert_int_equal(begin, 6);
    assert_int_equal(sx_regex_next(literal, "ab a. a.", 8, end, &begin, &end), 0);
    sx_regex_close(literal);
}

/* A pattern that would backtrack for ages is given up. */
static void test_regex_limit(void **state)
{
    (void)state;
    char text[200];
    memset(text, 'a', sizeof text);
    sx_regex *regex = open_regex("(?:a|aa|a+)+b", false);
    size_t begin, end;
    text[sizeof text - 1] = 'c';
    assert_true(sx_regex_next(regex, text, sizeof text, 0, &begin, &end) <= 0);
    sx_regex_close(regex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),   cmocka_unit_test(test_properties),   cmocka_unit_test(test_long_marks),
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_description),  cmocka_unit_test(test_working_text),
        cmocka_unit_test(test_regex),       cmocka_unit_test(test_regex_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
