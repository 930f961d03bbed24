/* test_fake_provider.c - the fake behaves as its reference says; without that the pipeline's tests would prove nothing. */
#include "index_support.h"

#include <math.h>

static sx_provider *open_fake(const char *reference, const sx_clock *clock)
{
    sx_error error;
    sx_provider *provider;
    sx_embedder_options options = {.size = sizeof options, .model = reference};
    assert_ok(sx_provider_open(&options, clock, &provider, &error));
    return provider;
}

typedef struct sent_batch {
    sx_batch batch;
    sx_text texts[4];
    float vectors[4 * 8];
    sx_receipt receipts[4];
} sent_batch;

static void send(sx_provider *provider, sent_batch *sent, const char *const *texts, size_t count)
{
    sx_error error;
    memset(sent, 0, sizeof *sent);
    for (size_t i = 0; i < count; i++)
        sent->texts[i] = (sx_text){texts[i], strlen(texts[i])};
    sent->batch = (sx_batch){.texts = sent->texts, .count = count, .vectors = sent->vectors, .receipts = sent->receipts};
    assert_ok(provider->class->submit(provider, &sent->batch, &error));
}

static sx_batch *wait_for(sx_provider *provider, int64_t timeout)
{
    sx_error error;
    sx_batch *finished;
    assert_ok(provider->class->wait(provider, timeout, &finished, &error));
    return finished;
}

static double dot(const float *a, const float *b)
{
    double sum = 0;
    for (int i = 0; i < 8; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

static void vectors_follow_from_text(void **state)
{
    (void)state;
    sx_provider *provider = open_fake("fake:one", NULL), *other = open_fake("fake:two", NULL);
    sent_batch first, second, third;
    send(provider, &first, (const char *[]){"a b", "c", ""}, 3);
    assert_ptr_equal(wait_for(provider, 0), &first.batch);
    send(provider, &second, (const char *[]){"c", "a b"}, 2);
    assert_ptr_equal(wait_for(provider, 0), &second.batch);
    send(other, &third, (const char *[]){"a b"}, 1);
    assert_ptr_equal(wait_for(other, 0), &third.batch);
    assert_memory_equal(first.vectors, second.vectors + 8, 8 * sizeof(float));
    assert_memory_equal(first.vectors + 8, second.vectors, 8 * sizeof(float));
    assert_memory_not_equal(first.vectors, third.vectors, 8 * sizeof(float));
    assert_true(fabs(dot(first.vectors, first.vectors) - 1) < 1e-6);
    assert_int_equal(first.receipts[0].tokens, 4);
    assert_int_equal(first.receipts[2].tokens, 2);
    assert_true(first.receipts[2].empty);
    assert_string_not_equal(provider->info.space_json, other->info.space_json);
    sx_provider_close(provider);
    sx_provider_close(other);
}

static void tokens_are_words(void **state)
{
    (void)state;
    sx_provider *provider = open_fake("fake:one?max_length=5", NULL);
    const sx_token_counter *counter = &provider->counter;
    uint32_t starts[3];
    assert_int_equal(counter->special, 2);
    assert_int_equal(counter->limit, 5);
    assert_int_equal(counter->count(counter->user, " ab  c\nd ", 9, starts, 2), 3);
    assert_int_equal(starts[0], 1);
    assert_int_equal(starts[1], 5);
    sent_batch long_text;
    send(provider, &long_text, (const char *[]){"a b c d e", "a b c"}, 2);
    wait_for(provider, 0);
    assert_int_equal(long_text.receipts[0].tokens, 5);
    assert_int_equal(long_text.receipts[0].dropped_tokens, 2);
    assert_int_equal(long_text.receipts[1].dropped_tokens, 0);
    sx_provider_close(provider);
}

static void faults_come_when_asked(void **state)
{
    (void)state;
    sx_provider *provider = open_fake("fake:one?retry=2&retry_after_ms=7&fatal=3&poison=bad&nan=odd&short=5", NULL);
    sent_batch sent;
    send(provider, &sent, (const char *[]){"x", "odd"}, 2);
    assert_int_equal(wait_for(provider, 0)->outcome.status, SX_OK);
    assert_true(isnan(sent.vectors[8]) && !isnan(sent.vectors[0]));
    send(provider, &sent, (const char *[]){"x"}, 1);
    assert_int_equal(wait_for(provider, 0)->outcome.failure, SX_BATCH_RETRY);
    assert_int_equal(sent.batch.outcome.retry_after_ns, 7000000);
    send(provider, &sent, (const char *[]){"x"}, 1);
    assert_int_equal(wait_for(provider, 0)->outcome.failure, SX_BATCH_FATAL);
    assert_int_equal(sent.batch.outcome.status, SX_E_PROVIDER);
    send(provider, &sent, (const char *[]){"x", "a bad one"}, 2);
    assert_int_equal(wait_for(provider, 0)->outcome.failure, SX_BATCH_SPLIT);
    send(provider, &sent, (const char *[]){"x", "y"}, 2);
    assert_int_equal(wait_for(provider, 0)->outcome.status, SX_OK);
    assert_true(dot(sent.vectors, sent.vectors) > 0.9 && dot(sent.vectors + 8, sent.vectors + 8) == 0);
    assert_int_equal(sx_provider_fake_counts(provider)->batches, 5);
    assert_int_equal(sx_provider_fake_counts(provider)->texts, 3);
    sx_provider_close(provider);
}

static void time_and_cancelling(void **state)
{
    (void)state;
    fake_clock clock = {0};
    sx_clock injected = clock_of(&clock);
    sx_provider *provider = open_fake("fake:one?slow_ms=30&hang=2&in_flight=2", &injected);
    sent_batch first, second, third;
    send(provider, &first, (const char *[]){"x"}, 1);
    send(provider, &second, (const char *[]){"y"}, 1);
    sx_error error;
    assert_int_equal(provider->class->submit(provider, &third.batch, &error), SX_E_BUSY);
    assert_null(wait_for(provider, 20000000));
    assert_int_equal(clock.now, 20000000);
    assert_ptr_equal(wait_for(provider, 20000000), &first.batch);
    assert_int_equal(clock.now, 30000000);
    assert_null(wait_for(provider, 1000000000));
    provider->class->cancel(provider);
    assert_ptr_equal(wait_for(provider, 0), &second.batch);
    assert_int_equal(second.batch.outcome.status, SX_E_STOPPED);
    assert_null(wait_for(provider, 0));
    sx_provider_close(provider);
}

static void wrong_references_are_named(void **state)
{
    (void)state;
    const char *const wrong[] = {"fake:", "fake:A", "fake:a?colour=1", "fake:a?retry=x", "fake:a?retry", "fake:a?dimensions=0",
                                 "fake:a?max_length=2", "fake:a?in_flight=65", "fake:a?retry=99999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        sx_error error;
        sx_provider *provider;
        sx_embedder_options options = {.size = sizeof options, .model = wrong[i]};
        assert_int_equal(sx_provider_open(&options, NULL, &provider, &error), SX_E_INVALID);
        assert_null(provider);
        assert_non_null(strstr(error.message, wrong[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_follow_from_text), cmocka_unit_test(tokens_are_words),
        cmocka_unit_test(faults_come_when_asked),   cmocka_unit_test(time_and_cancelling),
        cmocka_unit_test(wrong_references_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
