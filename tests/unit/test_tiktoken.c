/* test_tiktoken.c - OpenAI's encodings against tiktoken's ids (the rank files are installed by scripts/install-openai-ranks; without
 * SX_TEST_OPENAI_RANKS the program says that it is skipped), damaged rank files, and vocab.json with merges.txt against the tokenizer.json of the
 * same model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/file.h"
#include "needs.h"
#include "sextant.h"
#include "tok/tokenizer_internal.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A line of a file as JSON; *line goes on to the next. NULL at the end. */
static json_t *next_line(char **line)
{
    char *end = strchr(*line, '\n');
    if (!end)
        return NULL;
    json_t *value = json_loadb(*line, (size_t)(end - *line), JSON_ALLOW_NUL, NULL);
    assert_non_null(value);
    *line = end + 1;
    return value;
}

static char *read_fixture(const char *path)
{
    char *data;
    size_t length;
    sx_error error = {0};
    if (sx_file_read(path, (size_t)64 << 20, &data, &length, NULL, &error))
        fail_msg("%s", error.message);
    return data;
}

static sx_text text_of(const json_t *line)
{
    const json_t *text = json_object_get(line, "text");
    return (sx_text){json_string_value(text), json_string_length(text)};
}

static void check_offsets(const sx_encoding *encoding, sx_text text)
{
    uint32_t end = 0;
    for (size_t i = 0; i < encoding->count; i++) {
        assert_true(encoding->starts[i] <= end && encoding->ends[i] >= end && encoding->ends[i] <= text.length);
        end = encoding->ends[i];
    }
    assert_int_equal(end, text.length);
}

static void check_encoding(const char *folder, const char *name)
{
    char path[4096];
    sx_error error = {0};
    sx_tokenizer *tokenizer;
    snprintf(path, sizeof path, "%s/%s.tiktoken", folder, name);
    if (sx_tokenizer_open(path, &tokenizer, &error))
        fail_msg("%s", error.message);
    snprintf(path, sizeof path, SX_FIXTURES "/openai/%s.jsonl", name);
    char *texts = read_fixture(SX_FIXTURES "/texts.jsonl"), *expected = read_fixture(path);
    char *text_at = texts, *expected_at = expected;
    sx_encoding encoding = {0};
    json_t *line, *answer;
    size_t count = 0;
    for (; (line = next_line(&text_at)); count++) {
        answer = next_line(&expected_at);
        assert_non_null(answer);
        const char *id = json_string_value(json_object_get(line, "id"));
        assert_string_equal(id, json_string_value(json_object_get(answer, "id")));
        sx_text text = text_of(line);
        assert_int_equal(sx_tokenizer_encode(tokenizer, text, NULL, &encoding, &error), SX_OK);
        json_t *ids = json_object_get(answer, "ids");
        bool same = encoding.count == json_array_size(ids);
        for (size_t i = 0; i < encoding.count && same; i++)
            same = encoding.ids[i] == json_integer_value(json_array_get(ids, i));
        if (!same)
            fail_msg("%s, %s: %zu ids where tiktoken has %zu, or others", name, id, encoding.count, json_array_size(ids));
        check_offsets(&encoding, text);
        json_decref(line);
        json_decref(answer);
    }
    assert_int_equal(count, 503);
    sx_encoding_clear(&encoding);
    sx_tokenizer_close(tokenizer);
    free(texts);
    free(expected);
}

static void as_tiktoken(void **state)
{
    (void)state;
    const char *folder = getenv("SX_TEST_OPENAI_RANKS");
    check_encoding(folder, "cl100k_base");
    check_encoding(folder, "o200k_base");
}

/* What tiktoken's older encodings make of a few texts, computed with its 0.14. */
static void older_encodings(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
        uint32_t count, ids[6];
    } cases[] = {
        {"r50k_base", "hello", 1, {31373}},
        {"r50k_base", "a a", 2, {64, 257}},
        {"p50k_base", "hello world", 2, {31373, 995}},
    };
    const char *folder = getenv("SX_TEST_OPENAI_RANKS");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[4096];
        sx_tokenizer *tokenizer;
        sx_encoding encoding = {0};
        sx_error error = {0};
        snprintf(path, sizeof path, "%s/%s.tiktoken", folder, cases[i].name);
        assert_int_equal(sx_tokenizer_open(path, &tokenizer, &error), SX_OK);
        assert_int_equal(sx_tokenizer_encode(tokenizer, (sx_text){cases[i].text, strlen(cases[i].text)}, NULL, &encoding, &error),
                         SX_OK);
        assert_int_equal(encoding.count, cases[i].count);
        assert_memory_equal(encoding.ids, cases[i].ids, encoding.count * sizeof(uint32_t));
        sx_encoding_clear(&encoding);
        sx_tokenizer_close(tokenizer);
    }
}

static void damaged_ranks(void **state)
{
    (void)state;
    static const struct {
        const char *path, *content, *message;
    } cases[] = {
        {"x/gpt9.tiktoken", "IQ== 0\n",
         "x/gpt9.tiktoken: a file of ranks does not say how text is cut, and no encoding of this name is known"},
        {"x/cl100k_base.tiktoken", "IQ== 0\n", "x/cl100k_base.tiktoken: 1 ranks, but cl100k_base has 100256"},
        {"x/cl100k_base.tiktoken", "IQ== 0\nI!== 1\n", "x/cl100k_base.tiktoken: line 2: the piece is not in Base64"},
        {"x/cl100k_base.tiktoken", "IQ= 0\n", "x/cl100k_base.tiktoken: line 1: the piece is not in Base64"},
        {"x/cl100k_base.tiktoken", "IR== 0\n", "x/cl100k_base.tiktoken: line 1: the piece is not in Base64"},
        {"x/cl100k_base.tiktoken", "IQ==\n", "x/cl100k_base.tiktoken: line 1: a space and a rank are missing behind the piece"},
        {"x/cl100k_base.tiktoken", " 5\n", "x/cl100k_base.tiktoken: line 1: there is no piece"},
        {"x/cl100k_base.tiktoken", "IQ== x\n", "x/cl100k_base.tiktoken: line 1: the rank is no number"},
        {"x/cl100k_base.tiktoken", "IQ== 99999999999\n", "x/cl100k_base.tiktoken: line 1: the rank is out of range"},
        {"x/cl100k_base.tiktoken", "IQ== 0 1\n", "x/cl100k_base.tiktoken: line 1: there is something behind the rank"},
        {"x/cl100k_base.tiktoken", "IQ== 0\nIQ== 1\n", "x/cl100k_base.tiktoken: line 2: the piece is there twice"},
        {"x/cl100k_base.tiktoken", "IQ== 0\nIg== 0\n", "x/cl100k_base.tiktoken: line 2: the rank is there twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sx_tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
        sx_error error = {0};
        tokenizer->path = strdup(cases[i].path);
        assert_int_not_equal(sx_tokenizer_read_tiktoken(tokenizer, cases[i].content, strlen(cases[i].content), &error), SX_OK);
        assert_string_equal(error.message, cases[i].message);
        sx_tokenizer_close(tokenizer);
    }
}

/* ---- vocab.json and merges.txt ---------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/sx-test-tiktoken-XXXXXX";

static void write_file(const char *name, const char *content)
{
    char path[256];
    sx_error error = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(sx_file_write_atomic(path, content, strlen(content), &error), SX_OK);
}

static void remove_file(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
}

/* The two files of the fixture's tokenizer.json. */
static void write_model(void)
{
    json_t *root = json_load_file(SX_FIXTURES "/families/roberta/tokenizer.json", 0, NULL), *model = json_object_get(root, "model");
    assert_non_null(model);
    char *pieces = json_dumps(json_object_get(model, "vocab"), JSON_ENSURE_ASCII);
    sx_buffer merges = {0};
    sx_buffer_append_string(&merges, "#version: 0.2\n");
    size_t i;
    json_t *merge;
    json_array_foreach(json_object_get(model, "merges"), i, merge)
    {
        if (json_is_array(merge))
            sx_buffer_printf(&merges, "%s %s\n", json_string_value(json_array_get(merge, 0)),
                             json_string_value(json_array_get(merge, 1)));
        else
            sx_buffer_printf(&merges, "%s\n", json_string_value(merge));
    }
    write_file("vocab.json", pieces);
    write_file("merges.txt", merges.data);
    sx_buffer_clear(&merges);
    free(pieces);
    json_decref(root);
}

/* The bare files give the tokenizer that the fixture's tokenizer.json is, on all texts. */
static void as_tokenizer_json(void **state)
{
    (void)state;
    sx_error error = {0};
    sx_tokenizer *expected, *tokenizer;
    write_model();
    write_file("config.json", "{\"model_type\": \"roberta\"}");
    assert_int_equal(sx_tokenizer_open(SX_FIXTURES "/families/roberta/tokenizer.json", &expected, &error), SX_OK);
    if (sx_tokenizer_open(folder, &tokenizer, &error))
        fail_msg("%s", error.message);
    sx_sha256 hashes[2];
    assert_int_equal(sx_tokenizer_identity(expected, &hashes[0]), SX_OK);
    assert_int_equal(sx_tokenizer_identity(tokenizer, &hashes[1]), SX_OK);
    assert_memory_equal(&hashes[0], &hashes[1], sizeof hashes[0]);
    char *texts = read_fixture(SX_FIXTURES "/texts.jsonl"), *at = texts;
    sx_encoding encodings[2] = {{0}, {0}};
    for (json_t *line; (line = next_line(&at)); json_decref(line)) {
        assert_int_equal(sx_tokenizer_encode(expected, text_of(line), NULL, &encodings[0], &error), SX_OK);
        assert_int_equal(sx_tokenizer_encode(tokenizer, text_of(line), NULL, &encodings[1], &error), SX_OK);
        size_t bytes = encodings[0].count * sizeof(uint32_t);
        assert_int_equal(encodings[0].count, encodings[1].count);
        assert_memory_equal(encodings[0].ids, encodings[1].ids, bytes);
        assert_memory_equal(encodings[0].starts, encodings[1].starts, bytes);
        assert_memory_equal(encodings[0].ends, encodings[1].ends, bytes);
    }
    sx_encoding_clear(&encodings[0]);
    sx_encoding_clear(&encodings[1]);
    sx_tokenizer_close(expected);
    sx_tokenizer_close(tokenizer);
    free(texts);
}

static void configured(void **state)
{
    (void)state;
    sx_error error = {0};
    sx_tokenizer *tokenizer;
    write_model();
    write_file("tokenizer_config.json", "{\"tokenizer_class\": \"RobertaTokenizer\", \"add_prefix_space\": true}");
    write_file("added_tokens.json", "{\"<extra>\": 1000}");
    assert_int_equal(sx_tokenizer_open(folder, &tokenizer, &error), SX_OK);
    uint32_t id, mask;
    assert_true(sx_tokenizer_find(tokenizer, (sx_text){"<extra>", 7}, &id));
    assert_int_equal(id, 1000);
    assert_false(sx_tokenizer_is_special(tokenizer, id));
    assert_true(sx_tokenizer_find(tokenizer, (sx_text){"<mask>", 6}, &mask));
    assert_true(sx_tokenizer_is_special(tokenizer, mask));
    sx_encoding encoding = {0};
    sx_encode_options plain = {.size = sizeof plain, .no_special = 1};
    assert_int_equal(sx_tokenizer_encode(tokenizer, (sx_text){"a <mask><extra>", 15}, &plain, &encoding, &error), SX_OK);
    assert_int_equal(encoding.ids[encoding.count - 2], mask);
    assert_int_equal(encoding.count, 3); /* the space before the mask is part of it and no token of its own */
    assert_int_equal(encoding.ids[encoding.count - 1], 1000);
    sx_encoding_clear(&encoding);
    sx_tokenizer_close(tokenizer);
    remove_file("tokenizer_config.json");
    remove_file("added_tokens.json");
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *file, *content, *message;
        sx_status status;
    } cases[] = {
        {"config.json", "{\"model_type\": \"gpt2\"}", "model_type \"gpt2\" with vocab.json and merges.txt is not supported",
         SX_E_UNSUPPORTED},
        {"tokenizer_config.json", "{\"tokenizer_class\": \"Qwen2Tokenizer\"}", "tokenizer_class \"Qwen2Tokenizer\" with",
         SX_E_UNSUPPORTED},
        {"merges.txt", "#version: 0.2\na b c\n", "merges.txt: line 2: a merge has two sides", SX_E_FORMAT},
        {"merges.txt", "#version: 0.2\na\n", "merges.txt: line 2: a merge has two sides", SX_E_FORMAT},
        {"merges.txt", "a \xe4\xb8\xad\n", "merges.txt: merge 0: the right side", SX_E_FORMAT},
        {"vocab.json", "{\"a\": 0, \"b\": 0}", "another piece has this id", SX_E_FORMAT},
        {"vocab.json", "{\"a\": 4194304}", "the id is out of range", SX_E_FORMAT},
        {"vocab.json", "{\"a\": \"b\"}", "vocab.json: byte", SX_E_FORMAT},
        {"vocab.json", "[]", "vocab.json: byte", SX_E_FORMAT},
        {"added_tokens.json", "{\"<x>\": -1}", "\"<x>\": no token id", SX_E_FORMAT},
        {"tokenizer_config.json", "{\"mask_token\": 5}", "mask_token: expected a token", SX_E_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sx_tokenizer *tokenizer;
        sx_error error = {0};
        write_model();
        remove_file("config.json");
        write_file(cases[i].file, cases[i].content);
        assert_int_equal(sx_tokenizer_open(folder, &tokenizer, &error), cases[i].status);
        if (!strstr(error.message, cases[i].message))
            fail_msg("case %zu: %s", i, error.message);
        remove_file(cases[i].file);
    }
    sx_tokenizer *tokenizer;
    sx_error error = {0};
    write_model();
    remove_file("merges.txt");
    assert_int_equal(sx_tokenizer_open(folder, &tokenizer, &error), SX_E_NOT_FOUND);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    remove_file("vocab.json");
    remove_file("config.json");
    return rmdir(folder);
}

int main(void)
{
    if (lacks("SX_TEST_OPENAI_RANKS", "scripts/install-openai-ranks"))
        return SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_tiktoken),       cmocka_unit_test(older_encodings), cmocka_unit_test(damaged_ranks),
        cmocka_unit_test(as_tokenizer_json), cmocka_unit_test(configured),      cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
