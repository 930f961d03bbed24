/* test_text.c - UTF-8, white space, and for every code point the outcome Hugging Face tokenizers had. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/json_reader.h"
#include "text/unicode.h"
#include "text/utf8.h"
#include "tok/bert_normalizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_every_code_point_encodes_and_decodes(void **state)
{
    char bytes[4];
    for (uint32_t code = 0; code <= SX_LAST_CODE_POINT; code++) {
        if (code >= 0xd800 && code <= 0xdfff) {
            assert_int_equal(sx_utf8_encode(code, bytes), 3);
            assert_memory_equal(bytes, "\xef\xbf\xbd", 3);
            continue;
        }
        unsigned length = sx_utf8_encode(code, bytes);
        sx_code_point point = sx_utf8_decode(bytes, length);
        if (!point.valid || point.code != code || point.length != length)
            fail_msg("U+%04X does not come back", code);
        for (unsigned cut = 1; cut < length; cut++) {
            point = sx_utf8_decode(bytes, cut);
            if (point.valid || point.length != cut || point.code != SX_REPLACEMENT)
                fail_msg("U+%04X cut to %u bytes is read as U+%04X, %u bytes", code, cut, point.code, point.length);
        }
    }
}

static void test_maximal_subparts(void **state)
{
    /* Unicode 15, tables 3-8 to 3-11: the number of replacement characters. */
    static const struct {
        const char *text;
        size_t length, count;
    } cases[] = {
        {"\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", 9, 9},
        {"\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", 9, 9},
        {"\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", 9, 9},
        {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", 9, 5},
        {"\0\0", 2, 2},
        {"", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(sx_utf8_count(cases[i].text, cases[i].length), cases[i].count);
        assert_int_equal(sx_utf8_offset(cases[i].text, cases[i].length, cases[i].count), cases[i].length);
    }
    size_t position = 99;
    assert_false(sx_utf8_valid("0123456789\xc3\xa9\xed\xa0\x80", 15, &position));
    assert_int_equal(position, 12);
    assert_true(sx_utf8_valid("0123456789\xc3\xa9\0x", 14, &position));
}

static void test_floor_agrees_with_decoding(void **state)
{
    static const unsigned char alphabet[] = {'a', 0x80, 0xbf, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0xed, 0xff};
    uint32_t random = 7;
    for (int round = 0; round < 20000; round++) {
        char text[12];
        for (size_t i = 0; i < sizeof text; i++) {
            random = random * 1664525 + 1013904223;
            text[i] = (char)alphabet[(random >> 16) % sizeof alphabet];
        }
        for (size_t at = 0; at < sizeof text;) {
            size_t next = at + sx_utf8_decode(text + at, sizeof text - at).length;
            for (size_t position = at; position < next; position++)
                assert_int_equal(sx_utf8_floor(text, sizeof text, position), at);
            at = next;
        }
    }
}

static void test_strip(void **state)
{
    static const struct {
        const char *text, *stripped;
    } cases[] = {
        {"", ""},
        {"a", "a"},
        {"  \t\r\n\v\f\x1c\x1d\x1e\x1f a b \x1f", "a b"},
        {"\xc2\x85\xc2\xa0x\xe2\x80\xa8\xe3\x80\x80", "x"},
        {"\xe2\x80\x8bx\xe2\x80\x8b", "\xe2\x80\x8bx\xe2\x80\x8b"},
        {"\xef\xbb\xbfx", "\xef\xbb\xbfx"},
        {" \xe1\xa0\x8e ", "\xe1\xa0\x8e"},
        {"\xe3\x80\x80\xe1\x9a\x80", ""},
        {" \xff ", "\xff"},
        {"\xe3\x80 ", "\xe3\x80"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t start, end;
        sx_text_strip(cases[i].text, strlen(cases[i].text), &start, &end);
        assert_int_equal(end - start, strlen(cases[i].stripped));
        assert_memory_equal(cases[i].text + start, cases[i].stripped, end - start);
        assert_int_equal(sx_text_is_blank(cases[i].text, strlen(cases[i].text)), cases[i].stripped[0] == '\0');
    }
    assert_false(sx_text_is_blank("\0", 1));
    assert_true(sx_text_is_blank(NULL, 0));
}

/* The words of "a" + code point + "b" behind normaliser and pre-tokenizer, one a line. */
typedef struct words {
    char text[128];
    size_t length;
    bool open; /* a word is being written */
} words;

static void end_word(words *w)
{
    if (w->open)
        w->text[w->length++] = '\n';
    w->open = false;
}

static void put_character(void *user, uint32_t code, uint32_t start, uint32_t end)
{
    words *w = user;
    assert_true(w->length + 8 < sizeof w->text);
    assert_true(start < end);
    if (sx_unicode_is_space(code)) {
        end_word(w);
        return;
    }
    /* ASCII symbols that are no letters or digits are punctuation to BERT whatever their category. */
    bool punctuation = code < 0x80 ? code > 32 && code < 127 && !strchr("0123456789", (int)code) &&
                                         !((code | 0x20) >= 'a' && (code | 0x20) <= 'z')
                                   : sx_unicode_is_punctuation(code);
    if (punctuation)
        end_word(w);
    w->length += sx_utf8_encode(code, w->text + w->length);
    w->open = true;
    if (punctuation)
        end_word(w);
}

static void words_of(uint32_t code, words *w)
{
    static const sx_bert_normalizer normalizer = {true, true, true, true};
    char text[6] = "a";
    size_t length = 1 + sx_utf8_encode(code, text + 1);
    bool memory = true;
    text[length++] = 'b';
    w->length = 0;
    w->open = false;
    for (size_t at = 0; at < length;) {
        if ((unsigned char)text[at] >= 0x80) {
            at = sx_bert_normalize_run(&normalizer, text, at, length, put_character, w, &memory);
            continue;
        }
        int mapped = sx_bert_normalize_ascii(&normalizer, (unsigned char)text[at]);
        if (mapped >= 0)
            put_character(w, (uint32_t)mapped, (uint32_t)at, (uint32_t)at + 1);
        at++;
    }
    end_word(w);
    assert_true(memory);
}

static void expect(uint32_t code, const char *kind, const char *listed, words *want)
{
    char character[5] = {0};
    character[sx_utf8_encode(code, character)] = '\0';
    int length = strcmp(kind, "removed") == 0  ? snprintf(want->text, sizeof want->text, "ab\n")
                 : strcmp(kind, "space") == 0  ? snprintf(want->text, sizeof want->text, "a\nb\n")
                 : strcmp(kind, "split") == 0  ? snprintf(want->text, sizeof want->text, "a\n%s\nb\n", character)
                 : strcmp(kind, "kept") == 0   ? snprintf(want->text, sizeof want->text, "a%sb\n", character)
                                               : snprintf(want->text, sizeof want->text, "%s", listed);
    want->length = (size_t)length;
}

static void test_every_code_point_as_tokenizers_has_it(void **state)
{
    char *data;
    size_t length, checked = 0, wrong = 0;
    sx_error error = {0};
    if (sx_file_read(SX_FIXTURES "/minilm/codepoints.json", 1 << 24, &data, &length, NULL, &error))
        fail_msg("%s", error.message);
    sx_json json;
    sx_buffer buffer = {0};
    sx_json_begin(&json, data, length, "codepoints.json");
    sx_json_array(&json);
    while (sx_json_element(&json)) {
        uint64_t first = 0, last = 0;
        char kind[16] = "", listed[128] = "";
        sx_text text;
        sx_json_array(&json);
        if (!sx_json_element(&json) || !sx_json_unsigned(&json, &first) || !sx_json_element(&json) ||
            !sx_json_unsigned(&json, &last) || !sx_json_element(&json))
            break;
        if (sx_json_peek(&json) == SX_JSON_STRING) {
            sx_json_string(&json, &buffer, &text);
            snprintf(kind, sizeof kind, "%.*s", (int)text.length, text.data);
        } else {
            size_t used = 0;
            sx_json_array(&json);
            while (sx_json_element(&json) && sx_json_string(&json, &buffer, &text))
                used += (size_t)snprintf(listed + used, sizeof listed - used, "%.*s\n", (int)text.length, text.data);
        }
        if (sx_json_element(&json))
            break;
        for (uint32_t code = (uint32_t)first; code <= last; code++) {
            if (code >= 0xd800 && code <= 0xdfff)
                continue;
            words got, want;
            words_of(code, &got);
            expect(code, kind, listed, &want);
            checked++;
            if ((got.length != want.length || memcmp(got.text, want.text, got.length) != 0) && wrong++ < 20)
                print_error("U+%04X: %.*s instead of %.*s", code, (int)got.length, got.text, (int)want.length, want.text);
        }
    }
    if (!sx_json_end(&json))
        fail_msg("codepoints.json: byte %zu: %s", json.problem_position, json.problem);
    assert_int_equal(checked, 0x110000 - 0x800);
    assert_int_equal(wrong, 0);
    sx_buffer_clear(&buffer);
    free(data);
}

static void test_classes(void **state)
{
    uint32_t to[SX_MOST_DECOMPOSED], lower[2];
    assert_int_equal(sx_unicode_decompose(0x1e69, to), 3); /* s with dots below and above */
    assert_int_equal(to[0], 's');
    assert_int_equal(to[1], 0x323);
    assert_int_equal(to[2], 0x307);
    assert_int_equal(sx_unicode_decompose(0xac01, to), 3); /* Hangul */
    assert_int_equal(to[2], 0x11a8);
    assert_int_equal(sx_unicode_decompose(0xfb01, to), 1); /* a ligature has only a compatibility decomposition */
    assert_int_equal(sx_unicode_lower(0x130, lower), 2);
    assert_int_equal(sx_unicode_lower(0x3a3, lower), 1);
    assert_int_equal(lower[0], 0x3c3);
    assert_true(sx_unicode_is_word('_') && sx_unicode_is_word(0x301) && sx_unicode_is_word(0x200d) && sx_unicode_is_word(0x24b6));
    assert_false(sx_unicode_is_word('-') || sx_unicode_is_word(0xb2) || sx_unicode_is_word(0x110000));
    for (uint32_t code = 0; code <= SX_LAST_CODE_POINT; code++)
        assert_in_range(sx_unicode_decompose(code, to), 1, SX_MOST_DECOMPOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_point_encodes_and_decodes),
        cmocka_unit_test(test_maximal_subparts),
        cmocka_unit_test(test_floor_agrees_with_decoding),
        cmocka_unit_test(test_strip),
        cmocka_unit_test(test_every_code_point_as_tokenizers_has_it),
        cmocka_unit_test(test_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
