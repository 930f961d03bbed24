/* test_remote_counter.c - how tokens of models that run elsewhere are counted: by a tokenizer that was named, by OpenAI's ranks, by
 * an estimate that never lets a text pass the model's limit, by bytes; and chunks cut by each.
 */
#include "index_support.h"
#include "needs.h"

#include "provider/remote_counter.h"
#include "provider/token_estimate.h"

#include "base/buffer.h"
#include "base/file.h"

#include <jansson.h>

static const char *const samples[] = {
    "", " ", "x", "Hello, world!", "don't stop 3.14159 2024-01-01 -- (a + b) * c == 42;", "\xc3\xbc" "ber die Gr\xc3\xb6\xc3\x9f" "e",
    "\xd0\xbf\xd0\xbe\xd1\x80\xd1\x82 \xd0\xb3\xd0\xbe\xd1\x80\xd0\xbe\xd0\xb4",
    "\xe6\xb8\xaf\xe5\x8f\xa3\xe5\x9c\xa8", "\xf0\x9f\x9a\xa2\xf0\x9f\x8c\x8a tide",
    "pneumonoultramicroscopicsilicovolcanoconiosis", "\xff\xfe\x80 broken \xe6\xb8", "a\tb\nc\r\nd",
};
enum { SAMPLES = sizeof samples / sizeof *samples };

static void estimates_hold_together(void **state)
{
    (void)state;
    uint32_t starts[256];
    for (size_t i = 0; i < SAMPLES; i++) {
        size_t length = strlen(samples[i]), count = sx_estimate_tokens(samples[i], length, starts, 256);
        assert_true(count <= length);
        assert_int_equal(sx_estimate_tokens(samples[i], length, NULL, 0), count);
        for (size_t j = 0; j < count; j++) {
            assert_true(starts[j] < length && (!j || starts[j] >= starts[j - 1]));
            assert_true(j == 0 || starts[j] == starts[j - 1] || ((unsigned char)samples[i][starts[j]] & 0xc0) != 0x80);
        }
    }
    assert_int_equal(sx_estimate_tokens("Hello, world!", 13, starts, 2), 4); /* never writes more than there is room for */
    assert_int_equal(sx_estimate_tokens("international 12345", 19, NULL, 0), 3 + 3);
}

static sx_status open_counter(const char *models_folder, const char *service, const char *model, const char *tokenizer, uint32_t limit,
                              sx_token_counter *counter, const char **name, sx_error *error)
{
    sx_places places = {.size = sizeof places, .models_folder = models_folder};
    sx_remote_counting asked = {.places = &places, .service = service, .model = model, .tokenizer = tokenizer, .prompt = "query: ", .limit = limit};
    return sx_remote_counter_open(&asked, counter, name, error);
}

static size_t count_whole(const sx_token_counter *counter, const char *text)
{
    size_t length = strlen(text);
    return counter->count_embedded ? counter->count_embedded(counter->user, text, length)
                                   : counter->count(counter->user, text, length, NULL, 0) + counter->special + counter->prompt;
}

static void who_counts(void **state)
{
    (void)state;
    sx_error error;
    sx_token_counter counter;
    const char *name;
    assert_ok(open_counter("/nonexistent", "cohere", "some", NULL, 0, &counter, &name, &error));
    assert_string_equal(name, "bytes");
    assert_int_equal(count_whole(&counter, "four"), 4 + 7 + 2);
    sx_remote_counter_close(&counter);
    assert_ok(open_counter("/nonexistent", "cohere", "some", NULL, 512, &counter, &name, &error));
    assert_string_equal(name, "estimate");
    assert_int_equal(counter.limit, 512);
    assert_false(sx_remote_counter_is_exact(&counter));
    assert_int_equal(count_whole(&counter, "four words of text"), 4 + 7 + 2);
    char long_text[520];
    memset(long_text, 'a', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    assert_int_equal(count_whole(&counter, long_text), 519 + 7 + 2); /* it could be too long, so it is */
    long_text[512 - 7 - 2] = '\0';
    assert_true(count_whole(&counter, long_text) < 200); /* it cannot */
    sx_remote_counter_close(&counter);
}

static void a_named_tokenizer_counts(void **state)
{
    (void)state;
    sx_error error;
    sx_token_counter counter;
    const char *name;
    sx_tokenizer *tokenizer;
    sx_encoding encoding = {0};
    assert_ok(open_counter(NULL, "openai", "text-embedding-3-small", SX_FIXTURES "/families/bert", 0, &counter, &name, &error));
    assert_string_equal(name, SX_FIXTURES "/families/bert");
    assert_true(sx_remote_counter_is_exact(&counter));
    assert_int_equal(counter.special, 2);
    assert_int_equal(counter.limit, 96); /* what that model takes, as nothing else is known */
    assert_ok(sx_tokenizer_open(SX_FIXTURES "/families/bert", &tokenizer, &error));
    for (size_t i = 0; i < SAMPLES; i++) {
        assert_ok(sx_tokenizer_encode(tokenizer, (sx_text){samples[i], strlen(samples[i])}, NULL, &encoding, &error));
        assert_int_equal(count_whole(&counter, samples[i]), encoding.count + counter.prompt);
    }
    sx_encoding_clear(&encoding);
    sx_tokenizer_close(tokenizer);
    sx_remote_counter_close(&counter);
    assert_ok(open_counter(NULL, "tei", "", SX_FIXTURES "/minilm/tokenizer.json", 100, &counter, &name, &error));
    assert_int_equal(counter.limit, 100);
    assert_int_equal(count_whole(&counter, "hello world"), 4 + counter.prompt);
    sx_remote_counter_close(&counter);
    static const struct { const char *tokenizer, *says, *hints; sx_status status; } wrong[] = {
        {"no-such-model", "no-such-model", "sextant models list", SX_E_NOT_FOUND},
        {"cl100k_base", "cl100k_base", "install-openai-ranks", SX_E_NOT_FOUND},
        {"../x y", "../x y", "", SX_E_NOT_FOUND},
        {SX_FIXTURES "/texts.jsonl", "texts.jsonl", "", SX_E_FORMAT},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        error.hint[0] = '\0';
        assert_int_equal(open_counter("/nonexistent", "tei", "", wrong[i].tokenizer, 0, &counter, &name, &error), wrong[i].status);
        assert_non_null(strstr(error.message, wrong[i].says));
        assert_non_null(strstr(error.hint, wrong[i].hints));
    }
}

static void ranks_count_for_openai(void **state)
{
    (void)state;
    sx_error error;
    sx_token_counter counter;
    const char *name;
    char folder[4096];
    assert_true(snprintf(folder, sizeof folder, "%s/..", getenv("SX_TEST_OPENAI_RANKS")) < (int)sizeof folder);
    assert_ok(open_counter(folder, "openai", "text-embedding-3-small", NULL, 8192, &counter, &name, &error));
    assert_string_equal(name, "cl100k_base");
    assert_int_equal(counter.special, 0);
    sx_remote_counter_close(&counter);
    assert_ok(open_counter(folder, "mistral", "mistral-embed", "o200k_base", 8192, &counter, &name, &error));
    assert_string_equal(name, "o200k_base");
    assert_true(sx_remote_counter_is_exact(&counter));
    sx_remote_counter_close(&counter);
}

static char *english_fixtures(size_t *length)
{
    sx_buffer text = {0};
    FILE *file = fopen(SX_FIXTURES "/texts.jsonl", "r");
    char line[65536];
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        json_t *json = json_loads(line, 0, NULL);
        const char *kind = json_string_value(json_object_get(json, "kind"));
        if (kind && strcmp(kind, "english") == 0)
            sx_buffer_printf(&text, "%s\n", json_string_value(json_object_get(json, "text")));
        json_decref(json);
    }
    fclose(file);
    *length = text.length;
    return text.data;
}

/* Prose and program text: the estimate against two real tokenizers. */
static void estimates_are_near(void **state)
{
    (void)state;
    static const char *const files[] = {NULL, "/code/stack.py", "/code/stack.c", "/code/Stack.java"};
    sx_error error;
    sx_tokenizer *tokenizers[2];
    sx_encoding encoding = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s/cl100k_base.tiktoken", getenv("SX_TEST_OPENAI_RANKS"));
    assert_ok(sx_tokenizer_open(SX_FIXTURES "/minilm/tokenizer.json", &tokenizers[0], &error));
    assert_ok(sx_tokenizer_open(path, &tokenizers[1], &error));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *text = NULL;
        size_t length;
        if (files[i]) {
            snprintf(path, sizeof path, "%s%s", SX_FIXTURES, files[i]);
            assert_ok(sx_file_read(path, 1 << 20, &text, &length, NULL, &error));
        } else {
            text = english_fixtures(&length);
        }
        double estimate = (double)sx_estimate_tokens(text, length, NULL, 0);
        for (size_t j = 0; j < 2; j++) {
            assert_ok(sx_tokenizer_encode(tokenizers[j], (sx_text){text, length}, NULL, &encoding, &error));
            if (!(estimate > 0.8 * (double)encoding.count && estimate < 1.35 * (double)encoding.count))
                fail_msg("%s: %.0f tokens estimated, %zu by tokenizer %zu", files[i] ? files[i] : "English", estimate, encoding.count, j);
        }
        free(text);
    }
    sx_encoding_clear(&encoding);
    for (size_t i = 0; i < 2; i++)
        sx_tokenizer_close(tokenizers[i]);
}

/* Chunks of any text keep both bounds: their size by the estimate, the model's limit by bytes. */
static void chunks_keep_the_limit(void **state)
{
    (void)state;
    sx_error error;
    uint64_t random = 11;
    static const uint32_t limits[] = {24, 64, 200, 8192};
    for (unsigned round = 0; round < 200; round++) {
        sx_token_counter counter;
        const char *name;
        sx_buffer text = {0};
        sx_document document = {0};
        sx_chunk_list chunks = {0};
        sx_chunk_plan plan;
        sx_chunk_options options = {.size = sizeof options, .strategy = "tokens", .chunk_size = 16 + round % 100, .unit = "tokens"};
        uint32_t limit = limits[round % 4];
        for (unsigned i = 0; i < 120; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            sx_buffer_printf(&text, "%s%s", samples[(random >> 33) % (SAMPLES - 2)], (random >> 60) & 1 ? " " : "\n");
        }
        assert_ok(open_counter(NULL, "cohere", "", NULL, limit, &counter, &name, &error));
        if (options.chunk_size > limit)
            options.chunk_size = limit;
        document.text = text.data;
        document.length = text.length;
        document.media_type = "text/plain";
        assert_ok(sx_chunk_plan_make(&options, document.media_type, &counter, &plan, &error));
        assert_ok(sx_chunk_document(&document, &plan, &counter, &chunks, &error));
        assert_true(chunks.count > 0);
        for (size_t i = 0; i < chunks.count; i++) {
            const sx_chunk *chunk = &chunks.chunks[i];
            size_t bytes = (size_t)(chunk->end - chunk->start);
            assert_true(bytes + counter.prompt + counter.special <= limit || bytes <= 4);
            assert_true(chunk->tokens <= options.chunk_size || bytes <= 4);
        }
        sx_chunk_list_clear(&chunks);
        sx_buffer_clear(&text);
        sx_remote_counter_close(&counter);
    }
}

int main(void)
{
    if (lacks("SX_TEST_OPENAI_RANKS", "scripts/install-openai-ranks"))
        return SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(estimates_hold_together), cmocka_unit_test(who_counts),         cmocka_unit_test(a_named_tokenizer_counts),
        cmocka_unit_test(ranks_count_for_openai),  cmocka_unit_test(estimates_are_near), cmocka_unit_test(chunks_keep_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
