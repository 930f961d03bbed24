/* test_local_provider.c - the local engine behind the provider interface: the same bits as a session, cancelling, messages. */
#include "index_support.h"

#include "provider/token_counter.h"

#include <math.h>

enum { TEXTS = 40, MOST_DIMENSIONS = 1024 };

static const char *const folder = SX_FIXTURES "/families/bert";

static sx_embedder *open_local(sx_embedder_options options)
{
    sx_error error;
    sx_embedder *embedder;
    options.size = sizeof options;
    options.model = folder;
    options.threads = 2;
    assert_ok(sx_embedder_open(&options, &embedder, &error));
    return embedder;
}

static void make_texts(sx_text *texts, char words[][64])
{
    for (int i = 0; i < TEXTS; i++) {
        snprintf(words[i], sizeof words[i], "a text %d with %s words", i, i % 2 ? "some" : "a few more");
        texts[i] = (sx_text){words[i], strlen(words[i])};
    }
    texts[3] = (sx_text){"", 0};
}

static void the_same_bits_as_a_session(void **state)
{
    (void)state;
    sx_error error;
    sx_text texts[TEXTS];
    char words[TEXTS][64];
    static float vectors[TEXTS * MOST_DIMENSIONS], wanted[TEXTS * MOST_DIMENSIONS];
    sx_receipt receipts[TEXTS];
    make_texts(texts, words);
    sx_embedder *embedder = open_local((sx_embedder_options){.batch_size = 7});
    const sx_embedder_info *info = sx_embedder_describe(embedder);
    assert_string_equal(info->provider, "local");
    assert_true(info->dimensions <= MOST_DIMENSIONS);
    assert_ok(sx_embedder_embed(embedder, texts, TEXTS, vectors, receipts, NULL, &error));
    const sx_model *model = sx_embedder_model(embedder);
    sx_session *session;
    assert_ok(sx_session_open(model, NULL, &session, &error));
    sx_embed_options options = {.size = sizeof options, .prompt = ""};
    assert_ok(sx_session_embed(session, texts, TEXTS, &options, wanted, NULL, &error));
    assert_memory_equal(vectors, wanted, sizeof(float) * TEXTS * info->dimensions);
    for (int i = 0; i < TEXTS; i++) {
        assert_int_equal(receipts[i].status, SX_OK);
        assert_true(receipts[i].tokens >= 2);
        assert_int_equal(receipts[i].empty, i == 3);
    }
    sx_session_close(session);
    sx_embedder_close(embedder);
}

static void strict_names_the_long_text(void **state)
{
    (void)state;
    sx_error error;
    sx_text texts[] = {{"short", 5}, {"this one is much longer than the limit allows it to be", 53}, {"also short", 10}};
    static float vectors[3 * MOST_DIMENSIONS];
    sx_receipt receipts[3];
    sx_embedder *embedder = open_local((sx_embedder_options){.strict = 1, .max_length = 8});
    assert_int_equal(sx_embedder_describe(embedder)->max_length, 8);
    assert_ok(sx_embedder_embed(embedder, texts, 3, vectors, receipts, NULL, &error));
    assert_int_equal(receipts[0].status, SX_OK);
    assert_int_equal(receipts[1].status, SX_E_LIMIT);
    assert_non_null(receipts[1].message);
    assert_true(strlen(receipts[1].message) > 5);
    assert_true(isnan(vectors[sx_embedder_describe(embedder)->dimensions]));
    assert_int_equal(receipts[2].status, SX_OK);
    sx_embedder_close(embedder);
}

static void stopping_and_closing_in_flight(void **state)
{
    (void)state;
    sx_error error;
    sx_text texts[TEXTS];
    char words[TEXTS][64];
    make_texts(texts, words);
    static float vectors[2][TEXTS * MOST_DIMENSIONS];
    sx_receipt receipts[2][TEXTS];
    volatile int stop = 1;
    sx_embedder *embedder = open_local((sx_embedder_options){0});
    assert_int_equal(sx_embedder_embed(embedder, texts, TEXTS, vectors[0], receipts[0], &stop, &error), SX_E_STOPPED);
    stop = 0;
    assert_ok(sx_embedder_embed(embedder, texts, TEXTS, vectors[0], receipts[0], &stop, &error));
    sx_provider *provider = embedder->provider;
    sx_batch batches[3];
    memset(receipts, 0, sizeof receipts);
    for (int i = 0; i < 3; i++) {
        batches[i] = (sx_batch){.texts = texts, .count = TEXTS, .vectors = vectors[i % 2], .receipts = receipts[i % 2]};
        assert_int_equal(provider->class->submit(provider, &batches[i], &error), i < 2 ? SX_OK : SX_E_BUSY);
    }
    provider->class->cancel(provider);
    for (int i = 0; i < 2; i++) { /* in order, each finished or stopped */
        sx_batch *finished;
        assert_ok(provider->class->wait(provider, 60000000000, &finished, &error));
        assert_ptr_equal(finished, &batches[i]);
        assert_true(finished->outcome.status == SX_OK || finished->outcome.status == SX_E_STOPPED);
    }
    sx_batch *finished;
    assert_ok(provider->class->wait(provider, 0, &finished, &error));
    assert_null(finished);
    assert_ok(provider->class->submit(provider, &batches[0], &error));
    sx_embedder_close(embedder); /* with a batch in flight */
}

static void tokens_are_the_models(void **state)
{
    (void)state;
    sx_error error;
    sx_embedder *embedder = open_local((sx_embedder_options){.prompt = "query: "});
    const sx_token_counter *counter = &embedder->provider->counter;
    const sx_tokenizer *tokenizer = sx_model_tokenizer(sx_embedder_model(embedder));
    sx_encode_options options = {.size = sizeof options, .no_special = 1};
    sx_encoding encoding = {0};
    const char *text = "Hello, unbelievable world";
    assert_ok(sx_tokenizer_encode(tokenizer, (sx_text){text, strlen(text)}, &options, &encoding, &error));
    uint32_t starts[64];
    assert_int_equal(counter->count(counter->user, text, strlen(text), starts, 64), encoding.count);
    assert_memory_equal(starts, encoding.starts, encoding.count * sizeof *starts);
    assert_int_equal(counter->count(counter->user, text, strlen(text), starts, 1), encoding.count);
    assert_int_equal(counter->special, 2);
    assert_true(counter->prompt >= 2);
    assert_int_equal(counter->limit, sx_embedder_describe(embedder)->max_length);
    sx_encoding_clear(&encoding);
    sx_embedder_close(embedder);
}

static void wrong_models_are_named(void **state)
{
    (void)state;
    sx_error error;
    sx_embedder *embedder;
    sx_embedder_options options = {.size = sizeof options, .model = SX_FIXTURES "/nothing"};
    assert_int_equal(sx_embedder_open(&options, &embedder, &error), SX_E_NOT_FOUND);
    assert_null(embedder);
    options.model = folder;
    options.role = "no such role";
    assert_int_equal(sx_embedder_open(&options, &embedder, &error), SX_E_NOT_FOUND);
    assert_null(embedder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_bits_as_a_session), cmocka_unit_test(strict_names_the_long_text),
        cmocka_unit_test(stopping_and_closing_in_flight), cmocka_unit_test(tokens_are_the_models),
        cmocka_unit_test(wrong_models_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
