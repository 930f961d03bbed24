/* test_pre_tokenizer.c - the pieces Hugging Face tokenizers makes (tests/fixtures/make_pre_tokenizers.py), scanners against the
 * regular expressions they stand for, and what the reader refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/code_point.h"
#include "text/unicode.h"
#include "tok/bpe.h"
#include "tok/pre_tokenizer.h"
#include "tok/regex.h"
#include "tok/split_patterns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One line of the fixture at a time. */
typedef void line_check(const json_t *line);

static void each_line(line_check *check)
{
    FILE *file = fopen(SX_FIXTURES "/pre_tokenizers.jsonl", "r");
    char *line = NULL;
    size_t room = 0, count = 0;
    assert_non_null(file);
    while (getline(&line, &room, file) > 0) {
        json_t *parsed = json_loads(line, JSON_ALLOW_NUL, NULL);
        assert_non_null(parsed);
        check(parsed);
        json_decref(parsed);
        count++;
    }
    free(line);
    fclose(file);
    assert_in_range(count, 50, 500);
}

/* A piece as the reference spells it. */
static void spell(const sx_working_text *text, const sx_piece *piece, bool byte_level, sx_buffer *spelt)
{
    sx_buffer_reset(spelt);
    for (size_t at = piece->begin; at < piece->end; at++) {
        char bytes[4] = {text->bytes[at]};
        unsigned length = byte_level ? sx_utf8_encode(sx_byte_character((unsigned char)bytes[0]), bytes) : 1;
        assert_true(sx_buffer_append(spelt, bytes, length));
    }
}

static void check_pieces(const json_t *line)
{
    const json_t *component = json_object_get(line, "pre_tokenizer"), *texts = json_object_get(line, "texts");
    sx_arena arena = {0};
    sx_pre_tokenizer pre_tokenizer = {0};
    sx_working_text text = {0}, spare = {0};
    sx_buffer spelt = {0};
    sx_error error = {0};
    char *shown = json_dumps(component, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    if (sx_pre_tokenizer_read(component, "fixture", &arena, &pre_tokenizer, &error))
        fail_msg("%s: %s", shown, error.message);
    for (size_t i = 0; i < json_array_size(texts); i++) {
        const json_t *string = json_array_get(texts, i);
        const json_t *pieces = json_array_get(json_object_get(line, "pieces"), i);
        sx_working_text_reset(&text);
        sx_working_text_put_original(&text, json_string_value(string), 0, json_string_length(string));
        sx_pre_tokenizer_run(&pre_tokenizer, true, &text, &spare);
        assert_false(text.no_memory);
        if (text.piece_count != json_array_size(pieces))
            fail_msg("%s, text %zu: %zu pieces, not %zu", shown, i, text.piece_count, json_array_size(pieces));
        for (size_t j = 0; j < text.piece_count; j++) {
            const json_t *piece = json_array_get(pieces, j), *expected = json_array_get(piece, 0);
            spell(&text, &text.pieces[j], pre_tokenizer.byte_level, &spelt);
            if (spelt.length != json_string_length(expected) || memcmp(spelt.data, json_string_value(expected), spelt.length))
                fail_msg("%s, text %zu, piece %zu: '%s', not '%s'", shown, i, j, spelt.data, json_string_value(expected));
            uint32_t start = text.starts[text.pieces[j].begin], end = text.ends[text.pieces[j].end - 1];
            /* Within a character the reference knows no places. */
            if (!pre_tokenizer.byte_level && (start != (uint32_t)json_integer_value(json_array_get(piece, 1)) ||
                                              end != (uint32_t)json_integer_value(json_array_get(piece, 2))))
                fail_msg("%s, text %zu, piece %zu: from [%u, %u)", shown, i, j, start, end);
        }
    }
    free(shown);
    sx_buffer_clear(&spelt);
    sx_working_text_clear(&text);
    sx_working_text_clear(&spare);
    sx_pre_tokenizer_clear(&pre_tokenizer);
    sx_arena_clear(&arena);
}

static void test_pieces_are_the_reference(void **state)
{
    each_line(check_pieces);
}

static uint32_t next_random(uint32_t *random)
{
    *random = *random * 1664525 + 1013904223;
    return *random >> 8;
}

/* Characters on which the patterns differ; all older than Unicode 14, which some PCRE2s have. */
static size_t random_text(uint32_t *random, char *text)
{
    static const char often[] = "  ''\n\r\taAbBsStTdDmMlLvVrReE012/.,-_";
    static const uint32_t seldom[] = {
        0x0,    0x7f,   0x85,   0xa0,   0xad,   0xb2,   0xb7,   0xbd,   0xc9,    0xe9,    0x130,   0x17f,   0x1c5,    0x2b0,
        0x300,  0x301,  0x378,  0x5d0,  0x661,  0x903,  0x967,  0x1680, 0x2003,  0x200b,  0x200d,  0x2014,  0x2028,   0x20ac,
        0x20dd, 0x2160, 0x2460, 0x24b6, 0x2581, 0x3000, 0x3042, 0x30fc, 0x4e2d,  0xac00,  0xe000,  0xfb05,  0xfe0f,   0xfeff,
        0xfffd, 0x10400, 0x1d7ce, 0x1f1e6, 0x1f600, 0x20000, 0x10ffff};
    size_t length = 0, characters = next_random(random) % 24;
    for (size_t i = 0; i < characters; i++)
        if (next_random(random) % 3)
            text[length++] = often[next_random(random) % (sizeof often - 1)];
        else
            length += sx_utf8_encode(seldom[next_random(random) % (sizeof seldom / sizeof seldom[0])], text + length);
    return length;
}

static void compare_scanner(const sx_split_pattern *scanner, const char *pattern)
{
    sx_regex *regex;
    sx_error error = {0};
    char text[128];
    uint32_t random = 11;
    if (sx_regex_open((sx_text){pattern, strlen(pattern)}, false, "test", &regex, &error))
        fail_msg("%s", error.message);
    for (int round = 0; round < 5000; round++) {
        size_t length = random_text(&random, text), begin, end;
        for (size_t at = 0; at < length; at = end) {
            size_t next = sx_split_pattern_next(scanner, text, length, at);
            assert_int_equal(sx_regex_next(regex, text, length, at, &begin, &end), 1);
            if (begin != at || end != next)
                fail_msg("%s: round %d, piece at %zu ends at %zu, not [%zu, %zu)", pattern, round, at, next, begin, end);
        }
    }
    sx_regex_close(regex);
}

static size_t compared;

static void check_scanner(const json_t *line)
{
    const json_t *pattern = json_object_get(json_object_get(line, "pre_tokenizer"), "pattern");
    const json_t *regex = json_object_get(pattern, "Regex");
    if (!regex)
        return;
    const sx_split_pattern *scanner = sx_split_pattern_find((sx_text){json_string_value(regex), json_string_length(regex)});
    if (scanner) {
        compare_scanner(scanner, json_string_value(regex));
        compared++;
    }
}

static void test_scanners_are_their_patterns(void **state)
{
    compared = 0;
    each_line(check_scanner);
    assert_in_range(compared, 11, 50);
    /* As tiktoken understands {1,3}+. */
    compare_scanner(&sx_split_cl100k, "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
                                      " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s+\\z|\\s*[\\r\\n]|\\s+(?!\\S)|\\s");
    assert_null(sx_split_pattern_find((sx_text){"\\p{L}+", 6}));
}

static void test_classes_of_code_points(void **state)
{
    /* How many code points tokenizers 0.22.2 and 0.23.3 find in each class, surrogates left out. */
    static const struct {
        unsigned classes;
        size_t count;
    } expected[] = {
        {SX_CLASS_UPPER, 1858},  {SX_CLASS_LOWER, 2258}, {SX_CLASS_TITLE, 31},    {SX_CLASS_MODIFIER, 404},
        {SX_CLASS_OTHER, 136477}, {SX_CLASS_MARK, 2501}, {SX_CLASS_NUMBER, 1911}, {SX_CLASS_PUNCTUATION, 855},
        {SX_CLASS_SYMBOL, 8514}, {SX_CLASS_SPACE, 25},   {SX_CLASS_NEWLINE, 2},
    };
    size_t numeric = 0, words = 0;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        size_t count = 0;
        for (uint32_t code = 0; code <= SX_LAST_CODE_POINT; code++)
            count += (sx_unicode_classes(code) & expected[i].classes) != 0;
        assert_int_equal(count, expected[i].count);
    }
    for (uint32_t code = 0; code <= SX_LAST_CODE_POINT; code++) {
        numeric += sx_unicode_is_numeric(code);
        words += sx_unicode_is_word(code);
    }
    assert_int_equal(numeric, 1924);
    assert_int_equal(words, 144667);
}

static sx_status read(const char *text, sx_pre_tokenizer *pre_tokenizer, sx_error *error)
{
    sx_arena arena = {0};
    json_t *component = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(component);
    sx_status status = sx_pre_tokenizer_read(component, "file.json", &arena, pre_tokenizer, error);
    json_decref(component);
    sx_pre_tokenizer_clear(pre_tokenizer);
    sx_arena_clear(&arena);
    return status;
}

static void test_what_is_refused(void **state)
{
    static const struct {
        const char *component, *names;
        sx_status status;
    } cases[] = {
        {"{}", "type", SX_E_FORMAT},
        {"[]", "type", SX_E_FORMAT},
        {"{\"type\":\"Jieba\"}", "Jieba", SX_E_UNSUPPORTED},
        {"{\"type\":\"Sequence\"}", "pretokenizers", SX_E_FORMAT},
        {"{\"type\":\"Sequence\",\"pretokenizers\":[7]}", "type", SX_E_FORMAT},
        {"{\"type\":\"Digits\"}", "individual_digits", SX_E_FORMAT},
        {"{\"type\":\"Punctuation\",\"behavior\":\"Odd\"}", "Odd", SX_E_UNSUPPORTED},
        {"{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"ab\"}", "delimiter", SX_E_FORMAT},
        {"{\"type\":\"FixedLength\",\"length\":0}", "length", SX_E_FORMAT},
        {"{\"type\":\"Metaspace\"}", "replacement", SX_E_FORMAT},
        {"{\"type\":\"Metaspace\",\"replacement\":\"\"}", "replacement", SX_E_FORMAT},
        {"{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"odd\"}", "odd", SX_E_UNSUPPORTED},
        {"{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"first\",\"add_prefix_space\":false}", "first",
         SX_E_FORMAT},
        {"{\"type\":\"Split\",\"pattern\":\"a\",\"behavior\":\"Removed\",\"invert\":false}", "pattern", SX_E_FORMAT},
        {"{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"Removed\"}", "invert", SX_E_FORMAT},
        {"{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"},\"behavior\":\"Removed\",\"invert\":false}", "file.json",
         SX_E_FORMAT},
        {"{\"type\":\"ByteLevel\",\"trim_offsets\":true}", "add_prefix_space", SX_E_FORMAT},
        {"{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true},"
         "{\"type\":\"Metaspace\",\"replacement\":\"_\"}]}", "behind ByteLevel", SX_E_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sx_pre_tokenizer pre_tokenizer = {0};
        sx_error error = {0};
        sx_status status = read(cases[i].component, &pre_tokenizer, &error);
        if (status == SX_OK || !strstr(error.message, cases[i].names) || !strstr(error.message, "file.json"))
            fail_msg("%s: status %d, '%s'", cases[i].component, (int)status, error.message);
        if (status != cases[i].status)
            fail_msg("%s: status %d, not %d", cases[i].component, (int)status, (int)cases[i].status);
    }
}

static void describe(const char *text, sx_buffer *description)
{
    sx_arena arena = {0};
    sx_pre_tokenizer pre_tokenizer = {0};
    json_t *component = json_loads(text, 0, NULL);
    assert_int_equal(sx_pre_tokenizer_read(component, "file.json", &arena, &pre_tokenizer, NULL), SX_OK);
    sx_buffer_reset(description);
    sx_pre_tokenizer_describe(&pre_tokenizer, description);
    json_decref(component);
    sx_pre_tokenizer_clear(&pre_tokenizer);
    sx_arena_clear(&arena);
}

static void test_descriptions_tell_apart_what_differs(void **state)
{
    static const char *const components[] = {
        "{\"type\":\"Metaspace\",\"replacement\":\"_\"}",
        "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"first\"}",
        "{\"type\":\"Metaspace\",\"replacement\":\"-\"}",
        "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"split\":false}",
        "{\"type\":\"Split\",\"pattern\":{\"String\":\"a+\"},\"behavior\":\"Removed\",\"invert\":false}",
        "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a+\"},\"behavior\":\"Removed\",\"invert\":false}",
        "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a+\"},\"behavior\":\"Isolated\",\"invert\":false}",
        "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a+\"},\"behavior\":\"Isolated\",\"invert\":true}",
        "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true}",
        "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true}",
        "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":false}",
        "{\"type\":\"Digits\",\"individual_digits\":true}",
        "{\"type\":\"Digits\",\"individual_digits\":false}",
        "{\"type\":\"FixedLength\"}",
        "{\"type\":\"FixedLength\",\"length\":4}",
    };
    enum { COUNT = sizeof components / sizeof components[0] };
    sx_buffer descriptions[COUNT] = {{0}}, same = {0};
    for (size_t i = 0; i < COUNT; i++) {
        describe(components[i], &descriptions[i]);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(descriptions[i].data, descriptions[j].data);
    }
    /* Old and new words for the same thing. */
    describe("{\"type\":\"Metaspace\",\"replacement\":\"_\",\"str_rep\":\"_\",\"add_prefix_space\":true}", &same);
    assert_string_equal(same.data, descriptions[0].data);
    for (size_t i = 0; i < COUNT; i++)
        sx_buffer_clear(&descriptions[i]);
    sx_buffer_clear(&same);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_the_reference),
        cmocka_unit_test(test_scanners_are_their_patterns),
        cmocka_unit_test(test_classes_of_code_points),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_descriptions_tell_apart_what_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
