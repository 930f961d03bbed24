/* test_tokenizer.c - ids and offsets against what Hugging Face tokenizers gave, both file forms, damaged files, any bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/json_reader.h"
#include "sextant.h"
#include "tok/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MINILM SX_FIXTURES "/minilm/tokenizer.json"
#define FAMILIES SX_FIXTURES "/families/"

enum { MOST_TEXTS = 600, MOST_IDS = 4096 };

typedef struct texts {
    char *ids[MOST_TEXTS];
    sx_text texts[MOST_TEXTS];
    size_t count;
} texts;

static char *copy(sx_text text)
{
    char *data = malloc(text.length + 1);
    memcpy(data, text.data, text.length);
    data[text.length] = '\0';
    return data;
}

static char *read_fixture(const char *path, size_t *length)
{
    char *data;
    sx_error error = {0};
    if (sx_file_read(path, (size_t)64 << 20, &data, length, NULL, &error))
        fail_msg("%s", error.message);
    return data;
}

static void read_texts(texts *all)
{
    size_t length;
    char *data = read_fixture(SX_FIXTURES "/texts.jsonl", &length), *at = data, *end = data + length;
    sx_buffer buffer = {0};
    all->count = 0;
    while (at < end) {
        char *line_end = memchr(at, '\n', (size_t)(end - at));
        if (!line_end)
            line_end = end;
        sx_json json;
        sx_text key, value;
        sx_json_begin(&json, at, (size_t)(line_end - at), "texts.jsonl");
        assert_true(all->count < MOST_TEXTS);
        sx_json_object(&json);
        while (sx_json_member(&json, NULL, &key)) {
            if (sx_text_is(key, "id") && sx_json_string(&json, &buffer, &value))
                all->ids[all->count] = copy(value);
            else if (sx_text_is(key, "text") && sx_json_string(&json, &buffer, &value))
                all->texts[all->count] = (sx_text){copy(value), value.length};
            else
                sx_json_skip(&json);
        }
        assert_true(sx_json_end(&json));
        all->count++;
        at = line_end + 1;
    }
    assert_int_equal(all->count, 503);
    sx_buffer_clear(&buffer);
    free(data);
}

static void free_texts(texts *all)
{
    for (size_t i = 0; i < all->count; i++) {
        free(all->ids[i]);
        free((char *)(uintptr_t)all->texts[i].data);
    }
}

static const sx_text *text_of(const texts *all, sx_text id)
{
    for (size_t i = 0; i < all->count; i++)
        if (sx_text_is(id, all->ids[i]))
            return &all->texts[i];
    fail_msg("no text %.*s", (int)id.length, id.data);
    return NULL;
}

static sx_tokenizer *open_tokenizer(const char *path)
{
    sx_tokenizer *tokenizer;
    sx_error error = {0};
    if (sx_tokenizer_open(path, &tokenizer, &error))
        fail_msg("%s", error.message);
    return tokenizer;
}

static void encode(const sx_tokenizer *tokenizer, sx_text text, int no_special, uint32_t max_length, sx_encoding *encoding)
{
    sx_encode_options options = {.size = sizeof options, .no_special = no_special, .max_length = max_length};
    sx_error error = {0};
    if (sx_tokenizer_encode(tokenizer, text, &options, encoding, &error))
        fail_msg("%s", error.message);
}

/* A list of numbers; -1 for null. */
static long read_ids(sx_json *json, uint32_t *ids)
{
    long count = 0;
    if (sx_json_null(json))
        return -1;
    sx_json_array(json);
    while (sx_json_element(json)) {
        uint64_t id;
        sx_json_unsigned(json, &id);
        assert_true(count < MOST_IDS);
        ids[count++] = (uint32_t)id;
    }
    return count;
}

static void check_ids(const char *what, sx_text id, const sx_encoding *encoding, const uint32_t *ids, long count)
{
    if (count < 0)
        return;
    for (long i = 0; i < count && i < (long)encoding->count; i++)
        if (ids[i] != encoding->ids[i])
            fail_msg("%s of %.*s: token %ld is %u, not %u", what, (int)id.length, id.data, i, encoding->ids[i], ids[i]);
    if ((long)encoding->count != count)
        fail_msg("%s of %.*s: %zu tokens, not %ld", what, (int)id.length, id.data, encoding->count, count);
}

static void test_minilm_ids_and_offsets(void **state)
{
    static uint32_t numbers[MOST_IDS];
    texts all;
    read_texts(&all);
    sx_tokenizer *tokenizer = open_tokenizer(MINILM);
    assert_int_equal(sx_tokenizer_vocabulary_size(tokenizer), 30522);
    size_t length, checked = 0, offsets = 0;
    char *data = read_fixture(SX_FIXTURES "/minilm/tokens.jsonl", &length);
    sx_encoding encoding = {0}, whole = {0};
    for (char *at = data, *next; at < data + length; at = next + 1, checked++) {
        next = memchr(at, '\n', (size_t)(data + length - at));
        next = next ? next : data + length;
        sx_json json;
        sx_text key, id = {"?", 1};
        const sx_text *text = NULL;
        sx_json_begin(&json, at, (size_t)(next - at), "tokens.jsonl");
        sx_json_object(&json);
        while (sx_json_member(&json, NULL, &key)) {
            bool plain = sx_text_is(key, "ids_plain");
            uint32_t most = sx_text_is(key, "ids_256") ? 256 : sx_text_is(key, "ids_128") ? 128 : 0;
            if (sx_text_is(key, "id")) {
                sx_json_string(&json, NULL, &id);
                text = text_of(&all, id);
                encode(tokenizer, *text, 0, 0, &whole);
                assert_int_equal(whole.dropped, 0);
            } else if (sx_text_is(key, "byte")) {
                sx_json_array(&json);
                for (size_t i = 0; sx_json_element(&json); i++, offsets++) {
                    uint32_t pair[2];
                    assert_int_equal(read_ids(&json, pair), 2);
                    if (i < whole.count && (whole.starts[i] != pair[0] || whole.ends[i] != pair[1]))
                        fail_msg("%.*s: token %zu is at [%u, %u), not [%u, %u)", (int)id.length, id.data, i, whole.starts[i],
                                 whole.ends[i], pair[0], pair[1]);
                }
            } else if (plain || most || sx_text_is(key, "ids")) {
                long count = read_ids(&json, numbers);
                encode(tokenizer, *text, plain, most, &encoding);
                check_ids(copy(key), id, &encoding, numbers, count);
                if (most) {
                    assert_int_equal(encoding.dropped, whole.count > most ? whole.count - most : 0);
                    assert_int_equal(count < 0, whole.count <= most);
                }
            } else {
                sx_json_skip(&json);
            }
        }
        if (!sx_json_end(&json))
            fail_msg("line %zu: %s", checked + 1, json.problem);
    }
    assert_int_equal(checked, 503);
    assert_true(offsets > 5000);
    sx_encoding_clear(&encoding);
    sx_encoding_clear(&whole);
    sx_tokenizer_close(tokenizer);
    free_texts(&all);
    free(data);
}

/* texts[i] of a family's expected.json: ids_raw are of the text as it is, ids of the stripped one (the same when alone). */
static void check_family(const char *family, const texts *all)
{
    static uint32_t raw[MOST_IDS], ids[MOST_IDS];
    char path[512];
    size_t length, checked = 0;
    snprintf(path, sizeof path, FAMILIES "%s/expected.json", family);
    char *data = read_fixture(path, &length);
    snprintf(path, sizeof path, FAMILIES "%s", family);
    sx_tokenizer *tokenizer = open_tokenizer(path);
    sx_encoding encoding = {0};
    sx_buffer buffer = {0};
    uint64_t most = 0;
    sx_json json;
    sx_text key, id;
    sx_json_begin(&json, data, length, "expected.json");
    sx_json_object(&json);
    while (sx_json_member(&json, &buffer, &key)) {
        if (sx_text_is(key, "max_seq_length")) {
            sx_json_unsigned(&json, &most);
            continue;
        }
        if (!sx_text_is(key, "texts")) {
            sx_json_skip(&json);
            continue;
        }
        sx_json_array(&json);
        while (sx_json_element(&json)) {
            long raw_count = -1, count = -1;
            sx_json_object(&json);
            while (sx_json_member(&json, &buffer, &key)) {
                if (sx_text_is(key, "id"))
                    sx_json_string(&json, NULL, &id);
                else if (sx_text_is(key, "ids"))
                    count = read_ids(&json, ids);
                else if (sx_text_is(key, "ids_raw"))
                    raw_count = read_ids(&json, raw);
                else
                    sx_json_skip(&json);
            }
            encode(tokenizer, *text_of(all, id), 0, (uint32_t)most, &encoding);
            check_ids(family, id, &encoding, raw_count < 0 ? ids : raw, raw_count < 0 ? count : raw_count);
            checked++;
        }
    }
    if (!sx_json_end(&json))
        fail_msg("%s: %s", family, json.problem);
    assert_true(most > 0);
    assert_int_equal(checked, 60);
    sx_buffer_clear(&buffer);
    sx_encoding_clear(&encoding);
    sx_tokenizer_close(tokenizer);
    free(data);
}

static void test_families(void **state)
{
    texts all;
    read_texts(&all);
    const char *const families[] = {"bert", "bert-cased", "bert-concat-pooling", "bert-prompt-excluded"};
    for (size_t i = 0; i < 4; i++)
        check_family(families[i], &all);
    free_texts(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_minilm_ids_and_offsets),
        cmocka_unit_test(test_families),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
