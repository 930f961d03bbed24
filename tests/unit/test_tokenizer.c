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
                check_ids(plain ? "ids_plain" : most ? "ids under a limit" : "ids", id, &encoding, numbers, count);
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

/* texts of a family's expected.json: ids under its maximum length, ids_raw (when they differ) without; prompts go before. */
static void check_family(const char *family, const texts *all)
{
    static uint32_t raw[MOST_IDS], ids[MOST_IDS], query[MOST_IDS];
    char path[512];
    size_t length, checked = 0;
    snprintf(path, sizeof path, FAMILIES "%s/expected.json", family);
    char *data = read_fixture(path, &length);
    snprintf(path, sizeof path, FAMILIES "%s", family);
    sx_tokenizer *tokenizer = open_tokenizer(path);
    sx_encoding encoding = {0};
    sx_buffer buffer = {0}, prompted = {0};
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
            long raw_count = -1, count = -1, query_count = -1;
            sx_json_object(&json);
            while (sx_json_member(&json, &buffer, &key)) {
                if (sx_text_is(key, "id"))
                    sx_json_string(&json, NULL, &id);
                else if (sx_text_is(key, "ids"))
                    count = read_ids(&json, ids);
                else if (sx_text_is(key, "ids_raw"))
                    raw_count = read_ids(&json, raw);
                else if (sx_text_is(key, "ids_prompt_query"))
                    query_count = read_ids(&json, query);
                else
                    sx_json_skip(&json);
            }
            const sx_text *text = text_of(all, id);
            encode(tokenizer, *text, 0, (uint32_t)most, &encoding);
            check_ids(family, id, &encoding, ids, count);
            encode(tokenizer, *text, 0, 0, &encoding);
            check_ids(family, id, &encoding, raw_count < 0 ? ids : raw, raw_count < 0 ? count : raw_count);
            sx_buffer_reset(&prompted);
            sx_buffer_append_string(&prompted, "query: ");
            sx_buffer_append(&prompted, text->data, text->length);
            encode(tokenizer, (sx_text){prompted.data, prompted.length}, 0, (uint32_t)most, &encoding);
            check_ids("query", id, &encoding, query, query_count);
            checked++;
        }
    }
    if (!sx_json_end(&json))
        fail_msg("%s: %s", family, json.problem);
    assert_true(most > 0);
    assert_int_equal(checked, 60);
    sx_buffer_clear(&buffer);
    sx_buffer_clear(&prompted);
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


static void write_file(const char *path, const char *data, size_t length)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

/* A folder for one test's files; remove_folder takes away what these tests may have put there. */
static void make_folder(char *folder)
{
    strcpy(folder, "/tmp/sx-test-tokenizer-XXXXXX");
    assert_non_null(mkdtemp(folder));
}

static void remove_folder(const char *folder)
{
    static const char *const names[] = {"vocab.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
                                        "tokenizer.json"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void write_in(const char *folder, const char *name, const char *data, size_t length)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    write_file(path, data, length);
}

/* The tokenizer that tokenizer.json of `from` becomes when only its pieces, one a line, and a configuration are kept. */
static void check_vocab_txt_form(const char *from, const char *config, const char *line_end, const texts *all)
{
    char folder[64];
    make_folder(folder);
    sx_tokenizer *json = open_tokenizer(from);
    sx_buffer lines = {0};
    for (uint32_t id = 0; id < sx_tokenizer_vocabulary_size(json); id++) {
        sx_text piece = sx_tokenizer_piece(json, id);
        sx_buffer_append(&lines, piece.data, piece.length);
        sx_buffer_append_string(&lines, line_end);
    }
    write_in(folder, "vocab.txt", lines.data, lines.length);
    if (config)
        write_in(folder, "tokenizer_config.json", config, strlen(config));
    sx_tokenizer *text = open_tokenizer(folder);
    sx_encoding first = {0}, second = {0};
    for (size_t i = 0; i < all->count; i++) {
        encode(json, all->texts[i], 0, 0, &first);
        encode(text, all->texts[i], 0, 0, &second);
        assert_int_equal(first.count, second.count);
        assert_memory_equal(first.ids, second.ids, first.count * sizeof *first.ids);
        assert_memory_equal(first.starts, second.starts, first.count * sizeof *first.starts);
        assert_memory_equal(first.ends, second.ends, first.count * sizeof *first.ends);
    }
    sx_sha256 one, other;
    assert_int_equal(sx_tokenizer_identity(json, &one), SX_OK);
    assert_int_equal(sx_tokenizer_identity(text, &other), SX_OK);
    assert_memory_equal(one.bytes, other.bytes, sizeof one.bytes);
    sx_encoding_clear(&first);
    sx_encoding_clear(&second);
    sx_buffer_clear(&lines);
    sx_tokenizer_close(json);
    sx_tokenizer_close(text);
    remove_folder(folder);
}

static void test_vocab_txt_is_the_same_tokenizer(void **state)
{
    texts all;
    read_texts(&all);
    check_vocab_txt_form(MINILM, NULL, "\n", &all);
    check_vocab_txt_form(MINILM,
                         "{\"do_lower_case\": true, \"unk_token\": \"[UNK]\", \"sep_token\": {\"content\": \"[SEP]\"}, "
                         "\"strip_accents\": null, \"tokenizer_class\": \"BertTokenizerFast\"}",
                         "\r\n", &all);
    size_t length;
    char *config = read_fixture(FAMILIES "bert/tokenizer_config.json", &length);
    check_vocab_txt_form(FAMILIES "bert", config, "\n", &all);
    free(config);
    config = read_fixture(FAMILIES "bert-cased/tokenizer_config.json", &length);
    check_vocab_txt_form(FAMILIES "bert-cased", config, "\n", &all);
    free(config);
    free_texts(&all);
}

static void test_identity_tells_tokenizers_apart(void **state)
{
    sx_sha256 hashes[3];
    const char *const paths[] = {MINILM, FAMILIES "bert", FAMILIES "bert-cased"};
    for (int i = 0; i < 3; i++) {
        sx_tokenizer *tokenizer = open_tokenizer(paths[i]);
        assert_int_equal(sx_tokenizer_identity(tokenizer, &hashes[i]), SX_OK);
        for (int j = 0; j < i; j++)
            assert_memory_not_equal(hashes[i].bytes, hashes[j].bytes, sizeof hashes[i].bytes);
        sx_tokenizer_close(tokenizer);
    }
}

/* A small tokenizer.json with parts replaced. */
typedef struct parts {
    const char *added, *normalizer, *pre_tokenizer, *post_processor, *model;
} parts;

#define VOCABULARY "{\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"foo\":3,\"bar\":4,\"##bar\":5," \
                   "\"b\":6,\"##b\":7,\"-\":8,\"\xe4\xb8\xad\":9}"
#define MODEL "{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\"," \
              "\"max_input_chars_per_word\":6,\"vocab\":" VOCABULARY "}"
#define BERT "{\"type\":\"BertNormalizer\"," \
             "\"clean_text\":true,\"handle_chinese_chars\":true,\"strip_accents\":null,\"lowercase\":true}"

static sx_status open_parts(parts p, sx_tokenizer **tokenizer, sx_error *error)
{
    char folder[64];
    sx_buffer json = {0};
    make_folder(folder);
    sx_buffer_printf(&json, "{\"version\":\"1.0\",\"added_tokens\":%s,\"normalizer\":%s,\"pre_tokenizer\":%s,"
                     "\"post_processor\":%s,\"model\":%s}", p.added ? p.added : "[]", p.normalizer ? p.normalizer : BERT,
                     p.pre_tokenizer ? p.pre_tokenizer : "{\"type\":\"BertPreTokenizer\"}",
                     p.post_processor ? p.post_processor : "null", p.model ? p.model : MODEL);
    write_in(folder, "tokenizer.json", json.data, json.length);
    sx_status status = sx_tokenizer_open(folder, tokenizer, error);
    remove_folder(folder);
    sx_buffer_clear(&json);
    return status;
}

typedef struct token {
    uint32_t id, start, end;
} token;

static void check_tokens(const sx_tokenizer *tokenizer, const char *text, const token *want, size_t count)
{
    sx_encoding encoding = {0};
    encode(tokenizer, (sx_text){text, strlen(text)}, 0, 0, &encoding);
    for (size_t i = 0; i < encoding.count && i < count; i++)
        if (encoding.ids[i] != want[i].id || encoding.starts[i] != want[i].start || encoding.ends[i] != want[i].end)
            fail_msg("\"%s\": token %zu is %u at [%u, %u), not %u at [%u, %u)", text, i, encoding.ids[i], encoding.starts[i],
                     encoding.ends[i], want[i].id, want[i].start, want[i].end);
    if (encoding.count != count)
        fail_msg("\"%s\": %zu tokens, not %zu", text, encoding.count, count);
    sx_encoding_clear(&encoding);
}
#define CHECK(tokenizer, text, ...) \
    check_tokens(tokenizer, text, (const token[]){__VA_ARGS__}, sizeof((const token[]){__VA_ARGS__}) / sizeof(token))

static void test_words_and_unknowns(void **state)
{
    sx_tokenizer *tokenizer;
    sx_error error = {0};
    if (open_parts((parts){0}, &tokenizer, &error))
        fail_msg("%s", error.message);
    CHECK(tokenizer, "foobar", {3, 0, 3}, {5, 3, 6});
    CHECK(tokenizer, "Foo-BAR", {3, 0, 3}, {8, 3, 4}, {4, 4, 7});
    CHECK(tokenizer, "foox", {0, 0, 4});
    CHECK(tokenizer, "foobarb foo", {0, 0, 7}, {3, 8, 11}); /* longer than max_input_chars_per_word */
    CHECK(tokenizer, "f\xc3\xb6o b\xcc\x81x", {3, 0, 4}, {0, 5, 9});
    CHECK(tokenizer, "foo\xe4\xb8\xad\xe4\xb8\xad" "b", {3, 0, 3}, {9, 3, 6}, {9, 6, 9}, {6, 9, 10});
    CHECK(tokenizer, "b\x01\xe2\x80\x8b" "b b\xcc\x81", {6, 0, 1}, {7, 5, 6}, {6, 7, 8});
    CHECK(tokenizer, "f\xffo\xe4\xb8o", {3, 0, 6}); /* U+FFFD is cleaned away */
    sx_tokenizer_close(tokenizer);
}

/* A mark of a class above 0 that is no accent moves in canonical order, and takes the place of what it changes with. */
static void test_reordering_follows_positions(void **state)
{
    sx_tokenizer *tokenizer;
    sx_error error = {0};
    /* U+1D165 is a spacing mark of class 216, U+0301 an accent of class 230, U+1D16D a spacing mark of class 226. */
    const char *model = "{\"type\":\"WordPiece\",\"unk_token\":\"u\",\"vocab\":{\"u\":0,\"b\":1,\"##\xf0\x9d\x85\xa5\":2,"
                        "\"##\xf0\x9d\x85\xad\":3}}";
    if (open_parts((parts){.model = model}, &tokenizer, &error))
        fail_msg("%s", error.message);
    CHECK(tokenizer, "b\xf0\x9d\x85\xad\xf0\x9d\x85\xa5", {1, 0, 1}, {2, 1, 5}, {3, 5, 9});
    CHECK(tokenizer, "b\xcc\x81\xf0\x9d\x85\xa5", {1, 0, 1}, {2, 1, 3});
    CHECK(tokenizer, "b\xcc\x81\xcc\xa3\xf0\x9d\x85\xad\x01\xf0\x9d\x85\xa5", {1, 0, 1}, {2, 1, 3}, {3, 5, 9});
    sx_tokenizer_close(tokenizer);
}

static void test_added_tokens(void **state)
{
    sx_tokenizer *tokenizer;
    sx_error error = {0};
    const char *added =
        "[{\"id\":1,\"content\":\"[CLS]\",\"special\":true,\"normalized\":false},"
        "{\"id\":10,\"content\":\"<l>\",\"lstrip\":true,\"normalized\":false},"
        "{\"id\":11,\"content\":\"<r>\",\"rstrip\":true,\"normalized\":false},"
        "{\"id\":3,\"content\":\"foo\",\"single_word\":true,\"normalized\":false},"
        "{\"id\":12,\"content\":\"<l>>\",\"normalized\":false},"
        "{\"id\":14,\"content\":\"oo\",\"single_word\":true,\"normalized\":false},"
        "{\"id\":13,\"content\":\"B\xc3\xa4R b\",\"normalized\":true,\"single_word\":false}]";
    if (open_parts((parts){.added = added}, &tokenizer, &error))
        fail_msg("%s", error.message);
    assert_int_equal(sx_tokenizer_vocabulary_size(tokenizer), 15);
    assert_true(sx_text_is(sx_tokenizer_piece(tokenizer, 12), "<l>>"));
    assert_true(sx_tokenizer_is_special(tokenizer, 1) && !sx_tokenizer_is_special(tokenizer, 10));
    uint32_t id;
    assert_true(sx_tokenizer_find(tokenizer, (sx_text){"<r>", 3}, &id) && id == 11);
    assert_true(sx_tokenizer_find(tokenizer, (sx_text){"bar", 3}, &id) && id == 4);
    assert_false(sx_tokenizer_find(tokenizer, (sx_text){"baz", 3}, &id));
    CHECK(tokenizer, "[CLS]bar[cls]", {1, 0, 5}, {4, 5, 8}, {0, 8, 9}, {0, 9, 12}, {0, 12, 13});
    CHECK(tokenizer, "bar  \xe3\x80\x80<l> bar", {4, 0, 3}, {10, 3, 11}, {4, 12, 15});
    CHECK(tokenizer, "bar <r> \n bar", {4, 0, 3}, {11, 4, 10}, {4, 10, 13});
    CHECK(tokenizer, "<r>  <l>", {11, 0, 5}, {10, 5, 8});
    CHECK(tokenizer, "<l>>", {12, 0, 4});
    CHECK(tokenizer, "foo foobar -foo", {3, 0, 3}, {3, 4, 7}, {5, 7, 10}, {8, 11, 12}, {3, 12, 15});
    CHECK(tokenizer, "foo\xcc\x81 foo", {3, 0, 3}, {3, 6, 9});
    CHECK(tokenizer, "oo ooo-oo", {14, 0, 2}, {0, 3, 6}, {8, 6, 7}, {14, 7, 9});
    CHECK(tokenizer, "oo\xcc\x81", {0, 0, 2}); /* a mark is a word character */
    CHECK(tokenizer, "FOO\xcc\x81" "b foob", {3, 0, 3}, {7, 5, 6}, {3, 7, 10}, {7, 10, 11}); /* no single word: the model's */
    CHECK(tokenizer, "-BAR  B bar b-", {8, 0, 1}, {4, 1, 4}, {6, 6, 7}, {13, 8, 13}, {8, 13, 14});
    CHECK(tokenizer, "ba\xcc\x88r\x01\tb", {13, 0, 8});
    sx_tokenizer_close(tokenizer);
}

static void test_post_processors(void **state)
{
    sx_tokenizer *tokenizer;
    sx_error error = {0};
    const char *post = "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\",\"type_id\":0}},"
                       "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{\"SpecialToken\":{\"id\":\"y\",\"type_id\":0}}],"
                       "\"pair\":[],\"special_tokens\":{\"x\":{\"id\":\"x\",\"ids\":[1,3],\"tokens\":[\"[CLS]\",\"foo\"]},"
                       "\"y\":{\"id\":\"y\",\"ids\":[2],\"tokens\":[\"[SEP]\"]}}}";
    if (open_parts((parts){.post_processor = post}, &tokenizer, &error))
        fail_msg("%s", error.message);
    CHECK(tokenizer, "bar", {1, 0, 0}, {3, 0, 0}, {4, 0, 3}, {2, 0, 0});
    assert_int_equal(sx_tokenizer_special_before(tokenizer), 2);
    assert_int_equal(sx_tokenizer_special_after(tokenizer), 1);
    assert_int_equal(sx_tokenizer_special_count(tokenizer), 3);
    sx_encoding encoding = {0};
    encode(tokenizer, (sx_text){"bar bar bar", 11}, 0, 4, &encoding);
    assert_int_equal(encoding.count, 4);
    assert_int_equal(encoding.dropped, 2);
    assert_int_equal(encoding.ids[3], 2);
    encode(tokenizer, (sx_text){"bar bar bar", 11}, 0, 3, &encoding);
    assert_int_equal(encoding.count, 3);
    assert_int_equal(encoding.dropped, 3);
    encode(tokenizer, (sx_text){"bar bar bar", 11}, 1, 1, &encoding);
    assert_int_equal(encoding.count, 1);
    sx_encode_options options = {.size = sizeof options, .max_length = 2};
    assert_int_equal(sx_tokenizer_encode(tokenizer, (sx_text){"bar", 3}, &options, &encoding, &error), SX_E_INVALID);
    sx_encoding_clear(&encoding);
    sx_tokenizer_close(tokenizer);
}

static void test_damaged_files_are_named(void **state)
{
#define WITH_VOCABULARY(vocabulary) "{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"vocab\":" vocabulary "}"
    static const struct {
        parts parts;
        sx_status status;
        const char *message;
    } cases[] = {
        {{.model = "{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\"}"}, SX_E_FORMAT, "model: there is no vocabulary"},
        {{.model = WITH_VOCABULARY("{}")}, SX_E_FORMAT, "vocabulary is empty"},
        {{.model = WITH_VOCABULARY("{\"a\":0}")}, SX_E_FORMAT, "\"[UNK]\" is not in the vocabulary of 1 pieces"},
        {{.model = WITH_VOCABULARY("{\"[UNK]\":0,\"a\":0}")}, SX_E_FORMAT, "model.vocab: \"a\": id 0: another piece"},
        {{.model = WITH_VOCABULARY("{\"[UNK]\":0,\"[UNK]\":1}")}, SX_E_FORMAT, "\"[UNK]\": id 1: the piece is there twice"},
        {{.model = WITH_VOCABULARY("{\"[UNK]\":4194304}")}, SX_E_FORMAT, "id 4194304: the id is out of range"},
        {{.model = WITH_VOCABULARY("{\"[UNK]\":-1}")}, SX_E_FORMAT, "model.vocab: byte "},
        {{.model = WITH_VOCABULARY("{\"[UNK]\":\"0\"}")}, SX_E_FORMAT, "model.vocab: byte "},
        {{.model = WITH_VOCABULARY("{\"[UNK]\":99999999999999999999}")}, SX_E_FORMAT, "does not fit"},
        {{.model = WITH_VOCABULARY("[]")}, SX_E_FORMAT, "no vocabulary"},
        {{.model = "{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}"}, SX_E_FORMAT, "model.unk_token"},
        {{.model = "{\"type\":\"WordPiece\",\"max_input_chars_per_word\":\"x\"}"}, SX_E_FORMAT, "model.max_input_chars_per_word"},
        {{.model = "{\"type\":\"Sampled\",\"vocab\":{\"a\":0}}"}, SX_E_UNSUPPORTED, "model of type \"Sampled\""},
        {{.model = "{\"type\":\"BPE\",\"vocab\":{\"a\":0}}"}, SX_E_FORMAT, "no merges"},
        {{.model = "{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}"}, SX_E_FORMAT, "vocabulary is empty"},
        {{.model = "{\"type\":\"BPE\",\"dropout\":0.1,\"vocab\":{\"a\":0},\"merges\":[]}"}, SX_E_UNSUPPORTED,
         "model.dropout"},
        {{.model = "{\"vocab\":{\"a\":0,\"aa\":1},\"merges\":[\"a a a\"]}"}, SX_E_FORMAT, "model.merges: byte "},
        {{.model = "{\"vocab\":{\"a\":0,\"aa\":1},\"merges\":[[\"a\"]]}"}, SX_E_FORMAT, "model.merges: byte "},
        {{.model = "{\"vocab\":{\"a\":0,\"aa\":1},\"merges\":[\"a b\"]}"}, SX_E_FORMAT, "b"},
        {{.model = "{\"type\":\"BPE\",\"unk_token\":\"?\",\"vocab\":{\"a\":0},\"merges\":[]}"}, SX_E_FORMAT, "\"?\" is not in"},
        {{.model = "{\"type\":\"Unigram\",\"vocab\":[[\"a\",0.5]]}"}, SX_E_UNSUPPORTED, "model.unk_id"},
        {{.model = "{\"type\":\"Unigram\",\"unk_id\":1,\"vocab\":[[\"a\",0.5]]}"}, SX_E_FORMAT, "model.unk_id: 1 is no id"},
        {{.model = "{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\",0.5,1]]}"}, SX_E_FORMAT, "a piece and its score"},
        {{.model = "{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[]]}"}, SX_E_FORMAT, "a piece and its score"},
        {{.model = "{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"a\",1e999]]}"}, SX_E_FORMAT, "model.vocab: byte "},
        {{.model = "{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":{\"a\":0}}"}, SX_E_FORMAT, "no vocabulary"},
        {{.model = "{\"type\":\"WordLevel\",\"vocab\":{\"a\":0}}"}, SX_E_FORMAT, "model.unk_token"},
        {{.model = "null"}, SX_E_FORMAT, "model: byte "},
        {{.model = "7} trailing"}, SX_E_FORMAT, "model: byte "},
        {{.normalizer = "{\"type\":\"Fancy\"}"}, SX_E_UNSUPPORTED, "Fancy"},
        {{.normalizer = "{\"lowercase\":true}"}, SX_E_FORMAT, "normalizer"},
        {{.normalizer = "{\"type\":\"BertNormalizer\",\"lowercase\":1}"}, SX_E_FORMAT, "lowercase"},
        {{.pre_tokenizer = "{\"type\":\"Scissors\"}"}, SX_E_UNSUPPORTED, "Scissors"},
        {{.post_processor = "{\"type\":\"Wrap\"}"}, SX_E_UNSUPPORTED, "post_processor of type \"Wrap\""},
        {{.post_processor = "{\"type\":\"Sequence\"}"}, SX_E_FORMAT, "Sequence has no list"},
        {{.post_processor = "{\"type\":\"Sequence\",\"processors\":["
                            "{\"type\":\"BertProcessing\",\"sep\":[\"s\",2],\"cls\":[\"c\",1]},"
                            "{\"type\":\"BertProcessing\",\"sep\":[\"s\",2],\"cls\":[\"c\",1]}]}"}, SX_E_UNSUPPORTED,
         "two processors"},
        {{.post_processor = "{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",2]}"}, SX_E_FORMAT, "needs cls and sep"},
        {{.post_processor = "{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",2],\"cls\":[\"x\",99]}"}, SX_E_FORMAT, "id 99"},
        {{.post_processor = "{\"type\":\"TemplateProcessing\",\"single\":[]}"}, SX_E_FORMAT, "sequence A once"},
        {{.post_processor = "{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\"}},{\"SpecialToken\":"
                            "{\"id\":\"z\"}}],\"special_tokens\":{}}"}, SX_E_FORMAT, "no ids for \"z\""},
        {{.added = "[{\"id\":7,\"content\":\"foo\"}]"}, SX_E_FORMAT, "added_tokens[0]: \"foo\" has id 7, but 3"},
        {{.added = "[{\"id\":3,\"content\":\"new\"}]"}, SX_E_FORMAT, "id 3 of \"new\" is already taken"},
        {{.added = "[{\"id\":3}]"}, SX_E_FORMAT, "added_tokens[0]: has no content"},
        {{.added = "[{\"id\":10,\"content\":\"x\"},{\"id\":11,\"content\":\"x\"}]"}, SX_E_FORMAT,
         "added_tokens[1]: \"x\" is listed twice"},
        {{.added = "[{\"id\":10,\"content\":\"\"}]"}, SX_E_FORMAT, "without text"},
        {{.added = "[{\"id\":10,\"content\":\"\\u0301\",\"normalized\":true}]"}, SX_E_UNSUPPORTED, "leaves nothing of it"},
        {{.added = "{}"}, SX_E_FORMAT, "added_tokens: byte "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sx_tokenizer *tokenizer;
        sx_error error = {0};
        sx_status status = open_parts(cases[i].parts, &tokenizer, &error);
        assert_null(tokenizer);
        if (status != cases[i].status || !strstr(error.message, cases[i].message) || !strstr(error.message, "tokenizer.json"))
            fail_msg("case %zu: %d, \"%s\" instead of %d, \"%s\"", i, status, error.message, cases[i].status, cases[i].message);
    }
    sx_tokenizer *tokenizer;
    sx_error error = {0};
    char folder[64];
    make_folder(folder);
    assert_int_equal(sx_tokenizer_open(folder, &tokenizer, &error), SX_E_NOT_FOUND);
    assert_int_equal(sx_tokenizer_open("/nowhere/at/all", &tokenizer, &error), SX_E_NOT_FOUND);
    write_in(folder, "vocab.txt", "[UNK]\n[CLS]\n[SEP]\na\na\n", 22);
    assert_int_equal(sx_tokenizer_open(folder, &tokenizer, &error), SX_E_FORMAT);
    assert_non_null(strstr(error.message, "vocab.txt: line 5: the piece is there twice: \"a\""));
    write_in(folder, "vocab.txt", "[UNK]\n[CLS]\na\n", 14);
    assert_int_equal(sx_tokenizer_open(folder, &tokenizer, &error), SX_E_FORMAT);
    assert_non_null(strstr(error.message, "sep_token \"[SEP]\" is not in the vocabulary"));
    write_in(folder, "tokenizer_config.json", "{\"tokenizer_class\":\"MPNetTokenizer\"}", 36);
    assert_int_equal(sx_tokenizer_open(folder, &tokenizer, &error), SX_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "MPNetTokenizer"));
    write_in(folder, "vocab.txt", "a\xff\n", 3);
    assert_int_equal(sx_tokenizer_open(folder, &tokenizer, &error), SX_E_FORMAT);
    remove_folder(folder);
}

/* Every beginning of a real file is refused, and so is every file with a byte replaced, or it works. */
static void test_cut_and_changed_files(void **state)
{
    size_t length;
    char *data = read_fixture(FAMILIES "bert-concat-pooling/tokenizer.json", &length), folder[64], path[96];
    make_folder(folder);
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    sx_encoding encoding = {0};
    for (size_t i = 0; i < length; i += 37) {
        sx_tokenizer *tokenizer;
        sx_error error = {0};
        write_file(path, data, i);
        assert_int_equal(sx_tokenizer_open(path, &tokenizer, &error), SX_E_FORMAT);
        char old = data[i];
        data[i] = "\"{}[]:,0\\x"[i % 10];
        write_file(path, data, length);
        if (sx_tokenizer_open(path, &tokenizer, &error) == SX_OK)
            encode(tokenizer, (sx_text){"The quick [MASK] fox", 20}, 0, 0, &encoding);
        sx_tokenizer_close(tokenizer);
        data[i] = old;
    }
    sx_encoding_clear(&encoding);
    remove_folder(folder);
    free(data);
}

static void check_properties(const sx_tokenizer *tokenizer, sx_text text, sx_encoding *whole, sx_encoding *cut)
{
    encode(tokenizer, text, 1, 0, whole);
    assert_int_equal(whole->dropped, 0);
    for (size_t i = 0; i < whole->count; i++) {
        assert_true(whole->ids[i] < sx_tokenizer_vocabulary_size(tokenizer));
        assert_true(whole->starts[i] < whole->ends[i] && whole->ends[i] <= text.length);
        assert_true(i == 0 || (whole->starts[i] >= whole->starts[i - 1] && whole->ends[i] >= whole->ends[i - 1]));
    }
    uint32_t special = sx_tokenizer_special_count(tokenizer), before = sx_tokenizer_special_before(tokenizer);
    for (uint32_t most = special ? special : 1; most < whole->count + 4; most += most / 2 + 1) {
        encode(tokenizer, text, 0, most, cut);
        assert_true(cut->count <= most);
        assert_int_equal(cut->count + cut->dropped, whole->count + special);
        if (cut->count > special)
            assert_memory_equal(cut->ids + before, whole->ids, (cut->count - special) * sizeof *whole->ids);
        assert_true(cut->dropped == 0 || cut->count == most);
    }
}

static void test_any_bytes(void **state)
{
    static const char *const snippets[] = {"[MASK]", "[CLS]", "foo", "the", " ", "\xcc\x81", "\xf0\x9d\x85\xa5", "\xe4\xb8\xad",
                                           "\xe1\xbf\x97", "\xc4\xb0", "\x01", "\xea\xb0\x81", "unaffable", "-", "\xe2\x80\x8b"};
    const char *const paths[] = {MINILM, FAMILIES "bert-cased"};
    sx_encoding whole = {0}, cut = {0};
    uint32_t random = 1;
    for (int which = 0; which < 2; which++) {
        sx_tokenizer *tokenizer = open_tokenizer(paths[which]);
        for (int round = 0; round < 3000; round++) {
            char text[160];
            size_t length = 0;
            random = random * 1664525 + 1013904223;
            size_t most = (random >> 8) % 128;
            while (length < most) {
                random = random * 1664525 + 1013904223;
                const char *snippet = snippets[(random >> 8) % (sizeof snippets / sizeof snippets[0])];
                if (random >> 31 || round % 2) {
                    text[length++] = (char)(random >> 20);
                } else {
                    memcpy(text + length, snippet, strlen(snippet));
                    length += strlen(snippet);
                }
            }
            char *exact = malloc(length ? length : 1);
            memcpy(exact, text, length);
            check_properties(tokenizer, (sx_text){exact, length}, &whole, &cut);
            free(exact);
        }
        sx_tokenizer_close(tokenizer);
    }
    sx_encoding_clear(&whole);
    sx_encoding_clear(&cut);
}

/* One line without a space, one of marks, one of words: linear time, and memory by max_length alone. */
static void test_long_lines(void **state)
{
    size_t length = (size_t)8 << 20;
    char *text = malloc(length);
    sx_tokenizer *tokenizer = open_tokenizer(MINILM);
    static const char *const patterns[] = {"a", "\xcc\x81", "word ", "[MASK", "\xe4\xb8\xad", "\xf0\x9d\x85\xa5"};
    static const size_t tokens[] = {1, 0, (8 << 20) / 5 + 1, 0, (8 << 20) / 3, 1};
    for (size_t p = 0; p < sizeof patterns / sizeof patterns[0]; p++) {
        size_t step = strlen(patterns[p]);
        for (size_t i = 0; i < length; i++)
            text[i] = patterns[p][i % step];
        sx_encoding encoding = {0};
        encode(tokenizer, (sx_text){text, length / step * step}, 0, 128, &encoding);
        assert_true(encoding.capacity <= 256);
        if (tokens[p])
            assert_in_range(encoding.count + encoding.dropped - 2, tokens[p] - 1, tokens[p]);
        sx_encoding_clear(&encoding);
    }
    sx_tokenizer_close(tokenizer);
    free(text);
}

static void test_arguments(void **state)
{
    sx_tokenizer *tokenizer = open_tokenizer(MINILM), *none;
    sx_encoding encoding = {0};
    sx_error error = {0};
    sx_text text = {"a\0b", 3}, null_text = {NULL, 0};
    encode(tokenizer, text, 1, 0, &encoding);
    assert_int_equal(encoding.count, 1); /* NUL is cleaned away */
    assert_int_equal(encoding.ends[0], 3);
    encode(tokenizer, null_text, 0, 0, &encoding);
    assert_int_equal(encoding.count, 2);
    assert_int_equal(encoding.ids[0], 101);
    assert_int_equal(encoding.ids[1], 102);
    assert_int_equal(sx_tokenizer_encode(NULL, text, NULL, &encoding, &error), SX_E_INVALID);
    assert_int_equal(sx_tokenizer_encode(tokenizer, text, NULL, NULL, &error), SX_E_INVALID);
    assert_int_equal(sx_tokenizer_encode(tokenizer, (sx_text){NULL, 3}, NULL, &encoding, &error), SX_E_INVALID);
    assert_int_equal(sx_tokenizer_encode(tokenizer, (sx_text){"", UINT32_MAX}, NULL, &encoding, &error), SX_E_LIMIT);
    assert_int_equal(sx_tokenizer_open(NULL, &none, &error), SX_E_INVALID);
    assert_int_equal(sx_tokenizer_open(MINILM, NULL, NULL), SX_E_INVALID);
    assert_null(sx_tokenizer_piece(tokenizer, 30522).data);
    assert_true(sx_text_is(sx_tokenizer_piece(tokenizer, 2075), "##ing"));
    assert_string_equal(sx_tokenizer_path(tokenizer), MINILM);
    sx_encoding_clear(&encoding);
    sx_encoding_clear(NULL);
    sx_tokenizer_close(tokenizer);
    sx_tokenizer_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_minilm_ids_and_offsets),
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_vocab_txt_is_the_same_tokenizer),
        cmocka_unit_test(test_identity_tells_tokenizers_apart),
        cmocka_unit_test(test_words_and_unknowns),
        cmocka_unit_test(test_reordering_follows_positions),
        cmocka_unit_test(test_added_tokens),
        cmocka_unit_test(test_post_processors),
        cmocka_unit_test(test_damaged_files_are_named),
        cmocka_unit_test(test_cut_and_changed_files),
        cmocka_unit_test(test_any_bytes),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
