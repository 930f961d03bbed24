/* test_pipeline.c - cache, claims, batches, back-off, isolation and checks, with a fake provider on a fake clock. */
#include "index_support.h"

#include "store/store.h"

#include <math.h>

enum { MOST = 64, DIMENSIONS = 8 };

/* An embedder's provider under a pipeline of our own, with or without a database. */
typedef struct test_bench {
    fake_clock clock;
    sx_clock injected;
    sx_embedder *embedder;
    sx_pipeline *pipeline;
    char words[MOST][48];
    sx_pipeline_item items[MOST];
    float vectors[MOST * DIMENSIONS];
    size_t count;
} test_bench;

static test_bench *make_bench(const char *reference, sx_database *database, unsigned attempts, size_t count)
{
    sx_error error;
    test_bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    bench->embedder = open_embedder(reference, NULL, &bench->clock);
    bench->injected = clock_of(&bench->clock);
    sx_pipeline_options options = {.provider = bench->embedder->provider,
                                   .database = database,
                                   .clock = &bench->injected,
                                   .attempts = attempts,
                                   .seed = 42};
    if (database)
        assert_ok(sx_embedder_recipe(bench->embedder, database, &options.recipe, &error));
    assert_ok(sx_pipeline_open(&options, &bench->pipeline, &error));
    bench->count = count;
    for (size_t i = 0; i < count; i++) {
        snprintf(bench->words[i], sizeof *bench->words, "text number %zu", i);
        bench->items[i] =
            (sx_pipeline_item){.text = {bench->words[i], strlen(bench->words[i])}, .vector = bench->vectors + i * DIMENSIONS};
    }
    return bench;
}

static void set_text(test_bench *bench, size_t i, const char *text)
{
    snprintf(bench->words[i], sizeof *bench->words, "%s", text);
    bench->items[i].text.length = strlen(bench->words[i]);
}

static void free_bench(test_bench *bench)
{
    sx_pipeline_close(bench->pipeline);
    sx_embedder_close(bench->embedder);
    free(bench);
}

static void run(test_bench *bench)
{
    sx_error error;
    assert_ok(sx_pipeline_run(bench->pipeline, bench->items, bench->count, NULL, &error));
}

static bool has_vector(const test_bench *bench, size_t i)
{
    double square = 0;
    for (int j = 0; j < DIMENSIONS; j++)
        square += (double)bench->vectors[i * DIMENSIONS + j] * bench->vectors[i * DIMENSIONS + j];
    return fabs(square - 1) < 1e-5;
}

static bool is_all_nan(const test_bench *bench, size_t i)
{
    for (int j = 0; j < DIMENSIONS; j++)
        if (!isnan(bench->vectors[i * DIMENSIONS + j]))
            return false;
    return true;
}

/* All have vectors but `bad` (or SIZE_MAX), which is named and all NaN. */
static void check_all_but(const test_bench *bench, size_t bad)
{
    for (size_t i = 0; i < bench->count; i++) {
        assert_true(bench->items[i].reached);
        assert_int_equal(bench->items[i].receipt.status == SX_OK, i != bad);
        assert_true(i == bad ? is_all_nan(bench, i) : has_vector(bench, i));
        assert_int_equal(bench->items[i].receipt.message != NULL, i == bad);
    }
}

static void packs_by_count_and_tokens(void **state)
{
    (void)state;
    test_bench *bench = make_bench("fake:a?max_texts=8", NULL, 0, 20);
    run(bench);
    check_all_but(bench, SIZE_MAX);
    assert_int_equal(counts_of(bench->embedder)->batches, 3);
    assert_int_equal(counts_of(bench->embedder)->largest, 8);
    assert_int_equal(counts_of(bench->embedder)->most_in_flight, 2);
    assert_int_equal(bench->items[3].receipt.tokens, 5);
    assert_int_equal(bench->items[3].receipt.cached, 0);
    free_bench(bench);

    bench = make_bench("fake:a?max_tokens=15", NULL, 0, 10);
    for (size_t i = 0; i < bench->count; i++)
        bench->items[i].tokens = i == 4 ? 100 : 5; /* one alone is over the limit: it goes by itself */
    run(bench);
    check_all_but(bench, SIZE_MAX);
    assert_int_equal(counts_of(bench->embedder)->batches, 2 + 1 + 2);
    free_bench(bench);
}

static void retries_with_back_off(void **state)
{
    (void)state;
    test_bench *bench = make_bench("fake:a?retry=1&retry_count=4&in_flight=1", NULL, 6, 3);
    run(bench);
    check_all_but(bench, SIZE_MAX);
    assert_int_equal(counts_of(bench->embedder)->batches, 5);
    assert_int_equal(bench->items[0].receipt.retries, 4);
    /* Full jitter: each delay lies between 0 and 0.5, 1, 2, 4 s; all of them are no accident. */
    assert_true(bench->clock.now > 0 && bench->clock.now <= 7500000000);
    assert_int_equal(sx_pipeline_count(bench->pipeline)->waited_ns, bench->clock.now);
    free_bench(bench);
}

static void back_off_bounds(void **state)
{
    (void)state;
    double sum = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        fake_clock clock = {0};
        sx_clock injected = clock_of(&clock);
        sx_error error;
        sx_embedder *embedder = open_embedder("fake:a?retry=1", NULL, &clock);
        sx_pipeline *pipeline;
        sx_pipeline_options options = {.provider = embedder->provider, .clock = &injected, .seed = seed * 0x9e3779b97f4a7c15u,
                                       .first_delay_ns = 1000000000};
        assert_ok(sx_pipeline_open(&options, &pipeline, &error));
        sx_pipeline_item item = {.text = {"x", 1}};
        assert_ok(sx_pipeline_run(pipeline, &item, 1, NULL, &error));
        assert_true(clock.now >= 0 && clock.now <= 1000000000);
        sum += (double)clock.now / 1e9;
        sx_pipeline_close(pipeline);
        sx_embedder_close(embedder);
    }
    assert_true(sum / 200 > 0.4 && sum / 200 < 0.6); /* uniform, not a constant */
}

static void waits_as_long_as_asked(void **state)
{
    (void)state;
    test_bench *bench = make_bench("fake:a?retry=1&retry_after_ms=90000", NULL, 6, 3);
    run(bench);
    check_all_but(bench, SIZE_MAX);
    assert_true(bench->clock.now >= 90000000000);
    free_bench(bench);
}

static void gives_up_after_the_attempts(void **state)
{
    (void)state;
    test_bench *bench = make_bench("fake:a?retry=1&retry_count=3", NULL, 3, 4);
    run(bench);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(bench->items[i].receipt.status, SX_E_PROVIDER);
        assert_non_null(strstr(bench->items[i].receipt.message, "3 attempts: 429"));
        assert_int_equal(bench->items[i].receipt.retries, 2);
        assert_true(is_all_nan(bench, i));
    }
    run(bench);
    check_all_but(bench, SIZE_MAX);
    assert_int_equal(bench->items[0].receipt.retries, 0);
    free_bench(bench);
}

static void isolates_the_poison(void **state)
{
    (void)state;
    for (size_t bad = 0; bad < 16; bad++) {
        test_bench *bench = make_bench("fake:a?poison=poison&max_texts=16&in_flight=1", NULL, 0, 48);
        set_text(bench, 16 + bad, "poison in it");
        run(bench);
        check_all_but(bench, 16 + bad);
        assert_non_null(strstr(bench->items[16 + bad].receipt.message, "400"));
        /* 3 full batches, and two halves at each of log2(16) levels. */
        assert_int_equal(counts_of(bench->embedder)->batches, 3 + 2 * 4);
        assert_int_equal(counts_of(bench->embedder)->texts, 47); /* none of the good ones twice */
        free_bench(bench);
    }
}

static void isolates_several(void **state)
{
    (void)state;
    test_bench *bench = make_bench("fake:a?poison=poison&max_texts=16", NULL, 0, 40);
    static const size_t bad[] = {0, 1, 15, 16, 39};
    for (size_t i = 0; i < 5; i++) {
        char text[32];
        snprintf(text, sizeof text, "poison %zu", i);
        set_text(bench, bad[i], text);
    }
    run(bench);
    size_t failed = 0;
    for (size_t i = 0; i < 40; i++)
        failed += bench->items[i].receipt.status != SX_OK;
    assert_int_equal(failed, 5);
    for (size_t i = 0; i < 5; i++)
        assert_true(is_all_nan(bench, bad[i]));
    assert_int_equal(counts_of(bench->embedder)->texts, 35);
    free_bench(bench);
}

static void refuses_bad_vectors(void **state)
{
    (void)state;
    static const struct { const char *reference, *reason; } cases[] = {
        {"fake:a?nan=wrong", "not finite"}, {"fake:a?zero=wrong", "all zero"}, {"fake:a?long=wrong", "length 2.0"},
        {"fake:a?refuse=wrong", "refused"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_bench *bench = make_bench(cases[i].reference, NULL, 0, 10);
        set_text(bench, 6, "wrong");
        run(bench);
        check_all_but(bench, 6);
        assert_non_null(strstr(bench->items[6].receipt.message, cases[i].reason));
        free_bench(bench);
    }
}

static void notices_missing_vectors(void **state)
{
    (void)state;
    test_bench *bench = make_bench("fake:a?short=1&max_texts=8&in_flight=1", NULL, 0, 16);
    run(bench);
    for (size_t i = 0; i < 16; i++)
        assert_int_equal(bench->items[i].receipt.status == SX_OK, i < 4 || i >= 8);
    assert_non_null(strstr(bench->items[5].receipt.message, "missing"));
    free_bench(bench);
}

static void fatal_ends_the_call(void **state)
{
    (void)state;
    sx_error error;
    test_bench *bench = make_bench("fake:a?fatal=2&max_texts=4&in_flight=1", NULL, 0, 16);
    assert_int_equal(sx_pipeline_run(bench->pipeline, bench->items, 16, NULL, &error), SX_E_PROVIDER);
    assert_non_null(strstr(error.message, "401"));
    for (size_t i = 0; i < 16; i++) {
        assert_int_equal(bench->items[i].receipt.status, i < 4 ? SX_OK : SX_E_PROVIDER);
        assert_int_equal(bench->items[i].reached, i < 4);
        assert_true(i < 4 ? has_vector(bench, i) : is_all_nan(bench, i));
    }
    assert_int_equal(counts_of(bench->embedder)->batches, 2);
    free_bench(bench);
}

static void stops_when_asked(void **state)
{
    (void)state;
    sx_error error;
    volatile int stop = 0;
    test_bench *bench = make_bench("fake:a?hang=3&slow_ms=10&max_texts=4&in_flight=2", NULL, 0, 40);
    bench->clock.stop = &stop;
    bench->clock.stop_at = 1000000000;
    assert_int_equal(sx_pipeline_run(bench->pipeline, bench->items, 40, &stop, &error), SX_E_STOPPED);
    assert_true(bench->clock.now < 1200000000); /* heard soon, though a batch never ends */
    assert_true(has_vector(bench, 0) && is_all_nan(bench, 8) && !bench->items[8].reached);
    assert_int_equal(sx_pipeline_run(bench->pipeline, bench->items, 40, &stop, &error), SX_E_STOPPED);
    stop = 0;
    bench->clock.stop = NULL;
    run(bench); /* nothing was left with the provider */
    check_all_but(bench, SIZE_MAX);
    free_bench(bench);
}

static void equal_texts_once(void **state)
{
    (void)state;
    test_bench *bench = make_bench("fake:a", NULL, 0, 12);
    for (size_t i = 0; i < 12; i++)
        set_text(bench, i, i % 3 ? "same" : "other");
    run(bench);
    check_all_but(bench, SIZE_MAX);
    assert_int_equal(counts_of(bench->embedder)->texts, 2);
    assert_memory_equal(bench->vectors + DIMENSIONS, bench->vectors + 11 * DIMENSIONS, DIMENSIONS * sizeof(float));
    assert_int_equal(bench->items[11].receipt.cached, 0); /* there is no cache */
    free_bench(bench);
}

static void blank_texts_are_embedded(void **state)
{
    (void)state;
    test_bench *bench = make_bench("fake:a", NULL, 0, 4);
    set_text(bench, 0, "");
    set_text(bench, 1, " \t\n\xc2\xa0\xe3\x80\x80");
    set_text(bench, 2, " x ");
    bench->items[0].text.data = NULL;
    run(bench);
    check_all_but(bench, SIZE_MAX);
    assert_true(bench->items[0].receipt.empty && bench->items[1].receipt.empty);
    assert_false(bench->items[2].receipt.empty || bench->items[3].receipt.empty);
    free_bench(bench);
}

/* ---- With a database ---- */

static int open_database(void **state)
{
    *state = make_folder();
    return 0;
}

static int close_folder(void **state)
{
    remove_folder(*state);
    return 0;
}

static sx_database *database_in(const char *folder)
{
    sx_error error;
    sx_database *database;
    char *path = join(folder, "t.db");
    assert_ok(sx_database_open(path, NULL, &database, &error));
    free(path);
    return database;
}

static void nothing_is_embedded_twice(void **state)
{
    sx_database *database = database_in(*state);
    test_bench *bench = make_bench("fake:a?max_texts=8", database, 0, 30);
    set_text(bench, 29, "text number 0");
    run(bench);
    check_all_but(bench, SIZE_MAX);
    assert_int_equal(counts_of(bench->embedder)->texts, 29);
    assert_int_equal(bench->items[29].receipt.cached, 1);
    assert_int_equal(bench->items[0].receipt.cached, 0);
    float before[DIMENSIONS];
    memcpy(before, bench->vectors + 7 * DIMENSIONS, sizeof before);
    uint32_t tokens = bench->items[7].receipt.tokens;
    free_bench(bench);

    bench = make_bench("fake:a", database, 0, 40);
    run(bench);
    check_all_but(bench, SIZE_MAX);
    assert_int_equal(counts_of(bench->embedder)->texts, 11);
    assert_int_equal(bench->items[7].receipt.cached, 1);
    assert_int_equal(bench->items[7].receipt.tokens, tokens);
    assert_memory_equal(before, bench->vectors + 7 * DIMENSIONS, sizeof before);
    assert_int_equal(sx_pipeline_count(bench->pipeline)->cached, 29);
    assert_int_equal(sx_pipeline_count(bench->pipeline)->embedded, 11);
    free_bench(bench);

    bench = make_bench("fake:b", database, 0, 40); /* another recipe */
    run(bench);
    assert_int_equal(counts_of(bench->embedder)->texts, 40);
    free_bench(bench);
    sx_database_close(database);
}

static void failures_are_not_stored(void **state)
{
    sx_database *database = database_in(*state);
    test_bench *bench = make_bench("fake:a?nan=wrong&poison=poison", database, 0, 10);
    set_text(bench, 3, "wrong");
    set_text(bench, 5, "poison");
    run(bench);
    assert_true(is_all_nan(bench, 3) && is_all_nan(bench, 5));
    free_bench(bench);
    bench = make_bench("fake:a", database, 0, 10); /* the faults have gone, the claims were given back */
    set_text(bench, 3, "wrong");
    set_text(bench, 5, "poison");
    run(bench);
    check_all_but(bench, SIZE_MAX);
    assert_int_equal(counts_of(bench->embedder)->texts, 2);
    free_bench(bench);
    sx_database_close(database);
}

static void what_was_done_is_kept(void **state)
{
    sx_error error;
    sx_database *database = database_in(*state), *other = database_in(*state);
    test_bench *bench = make_bench("fake:a?fatal=3&max_texts=4&in_flight=1", database, 0, 16);
    assert_int_equal(sx_pipeline_run(bench->pipeline, bench->items, 16, NULL, &error), SX_E_PROVIDER);
    free_bench(bench);
    bench = make_bench("fake:a", other, 0, 16); /* through another handle: nothing is claimed any more */
    run(bench);
    check_all_but(bench, SIZE_MAX);
    assert_int_equal(counts_of(bench->embedder)->texts, 8);
    free_bench(bench);
    sx_database_close(database);
    sx_database_close(other);
}

/* While one handle holds claims, another embeds what is free and waits for the rest. */
static void waits_for_others(void **state)
{
    sx_error error;
    sx_database *database = database_in(*state), *other = database_in(*state);
    test_bench *bench = make_bench("fake:a?max_texts=8", database, 0, 24);
    sx_sha256 hashes[2];
    sx_claim claims[2];
    int64_t recipe;
    assert_ok(sx_embedder_recipe(bench->embedder, other, &recipe, &error));
    for (size_t i = 0; i < 2; i++)
        sx_sha256_of(bench->words[i], strlen(bench->words[i]), &hashes[i]);
    assert_ok(sx_store_claim(other, recipe, hashes, 2, claims, &error));
    assert_true(claims[0] == SX_CLAIM_MINE && claims[1] == SX_CLAIM_MINE);

    volatile int stop = 0;
    bench->clock.stop = &stop;
    bench->clock.stop_at = 2000000000;
    assert_int_equal(sx_pipeline_run(bench->pipeline, bench->items, 24, &stop, &error), SX_E_STOPPED);
    assert_int_equal(counts_of(bench->embedder)->texts, 22);
    assert_false(bench->items[0].reached);
    assert_true(has_vector(bench, 2));

    /* The other one stores the first text and gives up the second. */
    float vector[DIMENSIONS] = {0, 1};
    sx_vector_row row = {.tokens = 5};
    assert_ok(sx_store_put(other, recipe, hashes, 1, vector, &row, NULL, &error));
    assert_ok(sx_store_release(other, recipe, hashes + 1, 1, &error));
    bench->clock.stop = NULL;
    run(bench);
    check_all_but(bench, SIZE_MAX);
    assert_int_equal(counts_of(bench->embedder)->texts, 23);
    assert_memory_equal(vector, bench->vectors, sizeof vector);
    free_bench(bench);
    sx_database_close(database);
    sx_database_close(other);
}

static void strict_refuses_cached_cuts(void **state)
{
    sx_error error;
    sx_database *database = database_in(*state);
    sx_embedder_options options = {.size = sizeof options, .model = "fake:a?max_length=4", .cache = database};
    sx_embedder *lax, *strict;
    assert_ok(sx_embedder_open(&options, &lax, &error));
    options.strict = 1;
    assert_ok(sx_embedder_open(&options, &strict, &error));
    sx_text texts[] = {{"one two three four", 18}, {"one two", 7}};
    float vectors[2 * DIMENSIONS];
    sx_receipt receipts[2];
    assert_ok(sx_embedder_embed(lax, texts, 2, vectors, receipts, NULL, &error));
    assert_true(receipts[0].truncated && receipts[0].dropped_tokens == 2 && !receipts[1].truncated);
    assert_ok(sx_embedder_embed(strict, texts, 2, vectors, receipts, NULL, &error));
    assert_int_equal(receipts[0].status, SX_E_LIMIT);
    assert_true(isnan(vectors[0]));
    assert_int_equal(receipts[1].status, SX_OK);
    assert_int_equal(receipts[1].cached, 1);
    sx_embedder_close(lax);
    sx_embedder_close(strict);
    sx_database_close(database);
}

static void embedder_checks_its_arguments(void **state)
{
    (void)state;
    sx_error error;
    sx_embedder *embedder;
    sx_embedder_options options = {.size = sizeof options};
    assert_int_equal(sx_embedder_open(NULL, &embedder, &error), SX_E_INVALID);
    assert_int_equal(sx_embedder_open(&options, &embedder, &error), SX_E_INVALID);
    options.model = "fake:a";
    assert_int_equal(sx_embedder_open(&options, NULL, &error), SX_E_INVALID);
    assert_ok(sx_embedder_open(&options, &embedder, &error));
    const sx_embedder_info *info = sx_embedder_describe(embedder);
    assert_string_equal(info->model, "fake:a");
    assert_string_equal(info->provider, "fake");
    assert_int_equal(strlen(info->space), 64);
    assert_int_equal(strlen(info->recipe), 64);
    assert_int_equal(info->dimensions, DIMENSIONS);
    assert_null(sx_embedder_model(embedder));
    sx_text text = {NULL, 3};
    float vector[DIMENSIONS];
    sx_receipt receipt;
    assert_int_equal(sx_embedder_embed(embedder, &text, 1, vector, &receipt, NULL, &error), SX_E_INVALID);
    assert_int_equal(sx_embedder_embed(embedder, &text, 1, vector, NULL, NULL, &error), SX_E_INVALID);
    assert_ok(sx_embedder_embed(embedder, NULL, 0, NULL, NULL, NULL, &error));
    sx_embedder_close(embedder);
    sx_embedder_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packs_by_count_and_tokens),
        cmocka_unit_test(retries_with_back_off),
        cmocka_unit_test(back_off_bounds),
        cmocka_unit_test(waits_as_long_as_asked),
        cmocka_unit_test(gives_up_after_the_attempts),
        cmocka_unit_test(isolates_the_poison),
        cmocka_unit_test(isolates_several),
        cmocka_unit_test(refuses_bad_vectors),
        cmocka_unit_test(notices_missing_vectors),
        cmocka_unit_test(fatal_ends_the_call),
        cmocka_unit_test(stops_when_asked),
        cmocka_unit_test(equal_texts_once),
        cmocka_unit_test(blank_texts_are_embedded),
        cmocka_unit_test_setup_teardown(nothing_is_embedded_twice, open_database, close_folder),
        cmocka_unit_test_setup_teardown(failures_are_not_stored, open_database, close_folder),
        cmocka_unit_test_setup_teardown(what_was_done_is_kept, open_database, close_folder),
        cmocka_unit_test_setup_teardown(waits_for_others, open_database, close_folder),
        cmocka_unit_test_setup_teardown(strict_refuses_cached_cuts, open_database, close_folder),
        cmocka_unit_test(embedder_checks_its_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
