/* test_tokenizer_families.c - every family's tokenizer gives the reference's ids, for single texts and for pairs; offsets are
 * sane; encoding allocates nothing once it has its memory. */
#include "base/buffer.h"
#include "base/file.h"
#include "tok/tokenizer.h"

#include <dirent.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS 0 /* the sanitizer has malloc to itself */
#else
#define COUNTS_ALLOCATIONS 1
#endif

static size_t allocations; /* of this one thread */

#if COUNTS_ALLOCATIONS
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);

void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    allocations++;
    return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    allocations++;
    return __libc_realloc(memory, size);
}
#endif

typedef struct texts {
    json_t *by_id;
} texts;

static json_t *read_json(const char *folder, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    json_error_t problem;
    json_t *json = json_load_file(path, JSON_ALLOW_NUL, &problem);
    if (!json)
        fail_msg("%s: %s", path, problem.text);
    return json;
}

static int load_texts(void **state)
{
    texts *all = test_calloc(1, sizeof *all);
    char *data, *line, *rest;
    size_t length;
    assert_int_equal(sx_file_read(SX_FIXTURES "/texts.jsonl", 1 << 26, &data, &length, NULL, NULL), SX_OK);
    all->by_id = json_object();
    for (line = strtok_r(data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *entry = json_loads(line, JSON_ALLOW_NUL, NULL);
        assert_non_null(entry);
        json_object_set(all->by_id, json_string_value(json_object_get(entry, "id")), json_object_get(entry, "text"));
        json_decref(entry);
    }
    free(data);
    *state = all;
    return 0;
}

static int free_texts(void **state)
{
    texts *all = *state;
    json_decref(all->by_id);
    test_free(all);
    return 0;
}

static sx_text text_of(const texts *all, const json_t *id)
{
    const json_t *text = json_object_get(all->by_id, json_string_value(id));
    assert_non_null(text);
    return (sx_text){json_string_value(text), json_string_length(text)};
}

static void check_ids(const char *family, const json_t *what, const sx_encoding *encoding, const json_t *want)
{
    size_t count = json_array_size(want);
    for (size_t i = 0; i < count && i < encoding->count; i++)
        if ((json_int_t)encoding->ids[i] != json_integer_value(json_array_get(want, i)))
            fail_msg("%s: %s: token %zu is %u, not %lld", family, json_string_value(what), i, encoding->ids[i],
                     (long long)json_integer_value(json_array_get(want, i)));
    if (encoding->count != count)
        fail_msg("%s: %s: %zu tokens, not %zu", family, json_string_value(what), encoding->count, count);
}

static bool is_boundary(sx_text text, uint32_t at)
{
    return at == text.length || ((unsigned char)text.data[at] & 0xc0) != 0x80;
}

/* Offsets lie in the text, on characters, and do not fall back. */
static void check_offsets(const char *family, const json_t *id, sx_text text, const sx_encoding *encoding)
{
    uint32_t last = 0;
    for (size_t i = 0; i < encoding->count; i++) {
        uint32_t start = encoding->starts[i], end = encoding->ends[i];
        if (start == 0 && end == 0)
            continue;
        if (start > end || end > text.length || !is_boundary(text, start) || !is_boundary(text, end) || start < last)
            fail_msg("%s: %s: token %zu has bytes %u to %u behind %u", family, json_string_value(id), i, start, end, last);
        last = start;
    }
}

static void check_pairs(const char *family, const texts *all, const sx_tokenizer *tokenizer, const json_t *expected)
{
    sx_encoding encoding = {0}, scratch = {0};
    size_t i;
    const json_t *pair;
    uint32_t most = (uint32_t)json_integer_value(json_object_get(expected, "max_length"));
    json_array_foreach(json_object_get(expected, "pairs"), i, pair) {
        sx_error error;
        size_t second;
        const json_t *types = json_object_get(pair, "type_ids"), *id = json_object_get(pair, "a");
        if (sx_tokenizer_encode_pair(tokenizer, text_of(all, id), text_of(all, json_object_get(pair, "b")), most, &encoding,
                                     &scratch, &second, &error))
            fail_msg("%s", error.message);
        check_ids(family, id, &encoding, json_object_get(pair, "ids"));
        for (size_t j = 0; j < json_array_size(types); j++)
            assert_int_equal(j >= second, json_integer_value(json_array_get(types, j)));
        assert_true(encoding.count <= most);
    }
    sx_encoding_clear(&encoding);
    sx_encoding_clear(&scratch);
}

static void check_family(const char *family, const texts *all)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s/families/%s", SX_FIXTURES, family);
    json_t *expected = read_json(folder, "expected.json");
    sx_tokenizer *tokenizer;
    sx_error error;
    if (sx_tokenizer_open(folder, &tokenizer, &error))
        fail_msg("%s", error.message);
    /* Static models are fed without special tokens. */
    sx_encode_options options = {.size = sizeof options, .no_special = strncmp(family, "static", 6) == 0};
    sx_encoding encoding = {0};
    size_t i;
    const json_t *entry;
    json_array_foreach(json_object_get(expected, "texts"), i, entry) {
        const json_t *id = json_object_get(entry, "id"), *raw = json_object_get(entry, "ids_raw");
        sx_text text = text_of(all, id);
        assert_int_equal(sx_tokenizer_encode(tokenizer, text, &options, &encoding, &error), SX_OK);
        check_ids(family, id, &encoding, raw ? raw : json_object_get(entry, "ids"));
        check_offsets(family, id, text, &encoding);
    }
    check_pairs(family, all, tokenizer, expected);
    sx_encoding_clear(&encoding);
    sx_tokenizer_close(tokenizer);
    json_decref(expected);
}

static void for_each_family(const texts *all, void (*check)(const char *, const texts *))
{
    DIR *folder = opendir(SX_FIXTURES "/families");
    struct dirent *entry;
    size_t count = 0;
    assert_non_null(folder);
    while ((entry = readdir(folder)))
        if (entry->d_name[0] != '.') {
            check(entry->d_name, all);
            count++;
        }
    closedir(folder);
    assert_true(count >= 20);
}

static void test_ids_of_every_family(void **state)
{
    for_each_family(*state, check_family);
}

/* Cut at any length, tokens are the same as without a cut, and what is left out is counted. */
static void check_cutting(const char *family, const texts *all)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s/families/%s", SX_FIXTURES, family);
    sx_tokenizer *tokenizer;
    assert_int_equal(sx_tokenizer_open(folder, &tokenizer, NULL), SX_OK);
    uint32_t special = sx_tokenizer_special_count(tokenizer), before = sx_tokenizer_special_before(tokenizer);
    sx_encoding whole = {0}, cut = {0};
    const char *key;
    json_t *value;
    size_t number = 0;
    json_object_foreach(all->by_id, key, value) {
        if (number++ % 16)
            continue;
        sx_text text = {json_string_value(value), json_string_length(value)};
        sx_encode_options options = {.size = sizeof options, .max_length = special + (uint32_t)(number % 29)};
        assert_int_equal(sx_tokenizer_encode(tokenizer, text, NULL, &whole, NULL), SX_OK);
        if (options.max_length == 0)
            continue;
        assert_int_equal(sx_tokenizer_encode(tokenizer, text, &options, &cut, NULL), SX_OK);
        assert_int_equal(cut.count + cut.dropped, whole.count);
        assert_true(cut.count <= options.max_length);
        for (size_t i = before; i + special - before < cut.count; i++)
            if (cut.ids[i] != whole.ids[i] || cut.starts[i] != whole.starts[i] || cut.ends[i] != whole.ends[i])
                fail_msg("%s: %s: token %zu differs when cut", family, key, i);
    }
    sx_encoding_clear(&whole);
    sx_encoding_clear(&cut);
    sx_tokenizer_close(tokenizer);
}

static void test_cutting(void **state)
{
    for_each_family(*state, check_cutting);
}

/* The second time, encoding finds all its memory in the sx_encoding. */
static void check_allocations(const char *family, const texts *all)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s/families/%s", SX_FIXTURES, family);
    sx_tokenizer *tokenizer;
    assert_int_equal(sx_tokenizer_open(folder, &tokenizer, NULL), SX_OK);
    sx_encoding encoding = {0};
    size_t before = 0;
    for (int round = 0; round < 3; round++) {
        const char *key;
        json_t *value;
        size_t number = 0;
        before = allocations;
        json_object_foreach(all->by_id, key, value) {
            if (number++ % 8)
                continue;
            sx_text text = {json_string_value(value), json_string_length(value)};
            assert_int_equal(sx_tokenizer_encode(tokenizer, text, NULL, &encoding, NULL), SX_OK);
        }
    }
    if (allocations != before)
        fail_msg("%s: encoding again allocated %zu times", family, allocations - before);
    sx_encoding_clear(&encoding);
    sx_tokenizer_close(tokenizer);
}

static void test_memory_stays(void **state)
{
    for_each_family(*state, check_allocations);
}

/* One encoding used with one tokenizer after another: nothing remembered of the first comes out of the second. */
static void test_encodings_go_from_tokenizer_to_tokenizer(void **state)
{
    static const char *const families[] = {"roberta", "modernbert", "qwen3", "embeddinggemma", "xlm-roberta", "bert"};
    const texts *all = *state;
    sx_encoding shared = {0};
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
            char folder[512];
            snprintf(folder, sizeof folder, "%s/families/%s", SX_FIXTURES, families[i]);
            sx_tokenizer *tokenizer;
            sx_encoding own = {0};
            assert_int_equal(sx_tokenizer_open(folder, &tokenizer, NULL), SX_OK);
            json_t *id = json_string("t000");
            sx_text text = text_of(all, id);
            json_decref(id);
            assert_int_equal(sx_tokenizer_encode(tokenizer, text, NULL, &own, NULL), SX_OK);
            assert_int_equal(sx_tokenizer_encode(tokenizer, text, NULL, &shared, NULL), SX_OK);
            assert_int_equal(own.count, shared.count);
            assert_memory_equal(own.ids, shared.ids, own.count * sizeof *own.ids);
            sx_encoding_clear(&own);
            sx_tokenizer_close(tokenizer);
        }
    sx_encoding_clear(&shared);
}

static void write_file(const char *folder, const char *name, const char *content)
{
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(content, file);
    fclose(file);
}

/* The ids of a text under a tokenizer.json with a tokenizer_config.json beside it (NULL: none). */
static void check_config(const char *tokenizer_json, const char *config, const char *text, const uint32_t *want, size_t count)
{
    char folder[] = "/tmp/sx-test-config-XXXXXX", path[600];
    sx_tokenizer *tokenizer;
    sx_encoding encoding = {0};
    sx_error error;
    assert_non_null(mkdtemp(folder));
    write_file(folder, "tokenizer.json", tokenizer_json);
    if (config)
        write_file(folder, "tokenizer_config.json", config);
    if (sx_tokenizer_open(folder, &tokenizer, &error))
        fail_msg("%s", error.message);
    assert_int_equal(sx_tokenizer_encode(tokenizer, (sx_text){text, strlen(text)}, NULL, &encoding, NULL), SX_OK);
    if (encoding.count != count || memcmp(encoding.ids, want, count * sizeof *want) != 0)
        fail_msg("%s: \"%s\": %zu tokens, the first %u", config ? config : "no configuration", text, encoding.count,
                 encoding.count ? encoding.ids[0] : 0);
    sx_encoding_clear(&encoding);
    sx_tokenizer_close(tokenizer);
    const char *const names[] = {"tokenizer.json", "tokenizer_config.json"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        remove(path);
    }
    remove(folder);
}

/* tokenizer_config.json has its way as in transformers. */
static void test_configuration_overrides(void **state)
{
#define WANT(...) (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t)
    static const char bert[] = "{\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,"
                               "\"strip_accents\":null,\"lowercase\":false},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
                               "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"?\","
                               "\"vocab\":{\"?\":0,\"A\":1,\"a\":2,\"b\":3}}}";
    check_config(bert, NULL, "A a", WANT(1, 2));
    check_config(bert, "{\"tokenizer_class\":\"BertTokenizer\",\"do_lower_case\":false}", "A a", WANT(1, 2));
    check_config(bert, "{\"tokenizer_class\":\"BertTokenizer\"}", "A a", WANT(2, 2));
    check_config(bert, "{\"tokenizer_class\":\"MPNetTokenizerFast\",\"do_lower_case\":true}", "A \xc3\xa1", WANT(2, 2));
    check_config(bert, "{\"tokenizer_class\":\"BertTokenizer\",\"strip_accents\":false}", "A \xc3\xa1", WANT(2, 0));
    check_config(bert, "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"do_lower_case\":true}", "A a", WANT(1, 2));
    check_config(bert, "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"added_tokens_decoder\":{\"4\":{\"content\":\"[M]\","
                 "\"special\":true,\"normalized\":false}},\"mask_token\":\"[M]\"}", "A[M]a", WANT(1, 4, 2));
    check_config(bert, "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"pad_token\":\"ba\"}", "A ba b", WANT(1, 4, 3));
    static const char bpe[] = "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,"
                              "\"use_regex\":true},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"\xc4\xa0\":1,\"<bos>\":2,"
                              "\"<eos>\":3},\"merges\":[]}}";
    check_config(bpe, NULL, "a a", WANT(1, 0, 1, 0));
    check_config(bpe, "{\"tokenizer_class\":\"RobertaTokenizer\"}", "a a", WANT(0, 1, 0));
    check_config(bpe, "{\"tokenizer_class\":\"RobertaTokenizer\",\"add_prefix_space\":true}", "a a", WANT(1, 0, 1, 0));
    check_config(bpe, "{\"tokenizer_class\":\"GemmaTokenizer\",\"add_eos_token\":true,\"bos_token\":\"<bos>\","
                 "\"eos_token\":\"<eos>\",\"add_prefix_space\":true}", "a", WANT(2, 1, 0, 3));
    check_config(bpe, "{\"tokenizer_class\":\"GemmaTokenizer\",\"bos_token\":\"<bos>\",\"add_prefix_space\":true}", "a",
                 WANT(2, 1, 0));
#undef WANT
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_of_every_family),
        cmocka_unit_test(test_cutting),
        cmocka_unit_test(test_configuration_overrides),
        cmocka_unit_test(test_memory_stays),
        cmocka_unit_test(test_encodings_go_from_tokenizer_to_tokenizer),
    };
    return cmocka_run_group_tests(tests, load_texts, free_texts);
}
