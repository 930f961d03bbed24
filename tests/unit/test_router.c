/* test_router.c - a model with a fallback: who embeds a text, the breaker, the gradual shift, proofs, and what is kept of all
 * this. Time is a fake clock's. */
#include "index_support.h"

#include "provider/provider_router.h"
#include "store/store.h"

#include <math.h>

enum { MOST = 2000, DIMENSIONS = 8 };

typedef struct test_bench {
    fake_clock clock;
    char *folder, *path;
    sx_database *database;
    sx_embedder *embedder;
    char words[MOST][40];
    sx_text texts[MOST];
    sx_receipt receipts[MOST];
    float vectors[MOST * DIMENSIONS];
} test_bench;

static test_bench *make_bench(void)
{
    sx_error error;
    test_bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    bench->folder = make_folder();
    bench->path = join(bench->folder, "t.db");
    assert_ok(sx_database_open(bench->path, NULL, &bench->database, &error));
    for (size_t i = 0; i < MOST; i++) {
        snprintf(bench->words[i], sizeof *bench->words, "text number %zu", i);
        bench->texts[i] = (sx_text){bench->words[i], strlen(bench->words[i])};
    }
    return bench;
}

static sx_status open_pair(test_bench *bench, const char *model, const char *fallback, unsigned split, int schedule,
                           sx_database *cache, sx_error *error)
{
    sx_clock injected = clock_of(&bench->clock);
    sx_embedder_options options = {.size = sizeof options, .model = model, .fallback = fallback, .cache = cache, .split = split,
                                   .split_schedule = schedule};
    sx_embedder_close(bench->embedder);
    bench->embedder = NULL;
    return sx_embedder_open_clocked(&options, &injected, &bench->embedder, error);
}

static void free_bench(test_bench *bench)
{
    sx_embedder_close(bench->embedder);
    sx_database_close(bench->database);
    free(bench->path);
    remove_folder(bench->folder);
    free(bench);
}

static void embed(test_bench *bench, size_t from, size_t count)
{
    sx_error error;
    assert_ok(sx_embedder_embed(bench->embedder, bench->texts + from, count, bench->vectors, bench->receipts, NULL, &error));
    for (size_t i = 0; i < count; i++) {
        double square = 0;
        for (int j = 0; j < DIMENSIONS; j++)
            square += (double)bench->vectors[i * DIMENSIONS + j] * bench->vectors[i * DIMENSIONS + j];
        assert_int_equal(bench->receipts[i].status, SX_OK);
        assert_true(fabs(square - 1) < 1e-5);
    }
}

static void legs_of(test_bench *bench, sx_embedder_leg legs[2])
{
    sx_error error;
    size_t count;
    assert_ok(sx_embedder_legs(bench->embedder, legs, 2, &count, &error));
    assert_int_equal(count, 2);
}

static const sx_fake_counts *fake_of(const test_bench *bench, unsigned leg)
{
    return sx_provider_fake_counts(bench->embedder->provider->legs[leg].provider);
}

static void takes_over_and_gives_back(void **state)
{
    (void)state;
    sx_error error;
    sx_embedder_leg legs[2];
    test_bench *bench = make_bench();
    assert_ok(open_pair(bench, "fake:a?retry=3&retry_count=4&in_flight=1", "fake:a?max_texts=16", 0, 0, NULL, &error));
    embed(bench, 0, 16);
    legs_of(bench, legs);
    assert_int_equal(legs[0].batches, 1);
    assert_int_equal(legs[1].batches, 0); /* a fallback that is not needed does nothing */

    embed(bench, 16, 16 * 4); /* batches 3, 4, 5 fail, and the breaker opens */
    legs_of(bench, legs);
    assert_true(legs[0].open);
    assert_int_equal(legs[0].errors, 3);
    assert_true(legs[1].taken_over >= 1);
    assert_int_equal(legs[0].spent.texts + legs[1].spent.texts, 16 * 5); /* none twice */
    uint64_t asked = fake_of(bench, 0)->batches;
    embed(bench, 200, 16 * 4);
    assert_int_equal(fake_of(bench, 0)->batches, asked); /* left alone */

    bench->clock.now += 6000000000; /* half open: batch 6 fails, too, and the text goes to the other leg at once */
    embed(bench, 300, 16);
    legs_of(bench, legs);
    assert_true(legs[0].open);
    assert_int_equal(fake_of(bench, 0)->batches, asked + 1);
    bench->clock.now += 6000000000; /* the second rest is twice as long */
    embed(bench, 400, 16);
    assert_int_equal(fake_of(bench, 0)->batches, asked + 1);
    bench->clock.now += 5000000000;
    embed(bench, 500, 32);
    legs_of(bench, legs);
    assert_false(legs[0].open);
    assert_true(fake_of(bench, 0)->batches > asked + 1);
    free_bench(bench);
}

static void a_wrong_key_goes_over_at_once(void **state)
{
    (void)state;
    sx_error error;
    sx_embedder_leg legs[2];
    test_bench *bench = make_bench();
    assert_ok(open_pair(bench, "fake:a?fatal=1", "fake:a", 0, 0, NULL, &error));
    embed(bench, 0, 100);
    legs_of(bench, legs);
    assert_true(legs[0].open);
    assert_int_equal(legs[0].errors, 1);
    assert_true(legs[0].spent.texts <= 16); /* what was in flight already */
    assert_int_equal(legs[0].spent.texts + legs[1].spent.texts, 100);

    assert_ok(open_pair(bench, "fake:a?fatal=1&in_flight=1", "fake:a?fatal=1&in_flight=1", 0, 0, NULL, &error));
    assert_int_equal(sx_embedder_embed(bench->embedder, bench->texts, 1, bench->vectors, bench->receipts, NULL, &error),
                     SX_E_PROVIDER);
    /* A bad text is nobody's ill health. */
    assert_ok(open_pair(bench, "fake:a?poison=number", "fake:a", 0, 0, NULL, &error));
    assert_ok(sx_embedder_embed(bench->embedder, bench->texts, 20, bench->vectors, bench->receipts, NULL, &error));
    legs_of(bench, legs);
    assert_int_equal(legs[0].errors + legs[1].batches, 0);
    assert_int_equal(bench->receipts[3].status, SX_E_PROVIDER);
    free_bench(bench);
}

static void both_fail_and_come_back(void **state)
{
    (void)state;
    sx_error error;
    test_bench *bench = make_bench();
    assert_ok(open_pair(bench, "fake:a?retry=1&retry_count=4", "fake:a?retry=1&retry_count=4", 0, 0, NULL, &error));
    embed(bench, 0, 64); /* waits for the breakers, loses nothing */
    assert_true(bench->clock.now >= 5000000000);
    assert_int_equal(fake_of(bench, 0)->texts + fake_of(bench, 1)->texts, 64);
    free_bench(bench);
}

static void splits_by_hash(void **state)
{
    (void)state;
    sx_error error;
    sx_embedder_leg legs[2];
    test_bench *bench = make_bench();
    uint64_t before = 0;
    bool second[MOST] = {false};
    for (unsigned split = 0; split <= 100; split += 25) {
        assert_ok(open_pair(bench, "fake:a", "fake:a?price=2000000", split, 0, NULL, &error));
        embed(bench, 0, MOST);
        legs_of(bench, legs);
        assert_int_equal(legs[1].spent.texts + legs[0].spent.texts, MOST);
        assert_true(fabs((double)legs[1].spent.texts - MOST * split / 100.0) < MOST * 0.04);
        assert_true(legs[1].spent.texts >= before);
        before = legs[1].spent.texts;
        assert_int_equal(legs[0].taken_over + legs[1].taken_over, 0);
        assert_true(fake_of(bench, 1)->batches <= before / 16 + 1); /* full batches, although neighbours differ */
        assert_true(fabs(legs[1].spent.usd - (double)legs[1].spent.tokens * 2 / 1e6) < 1e-12);
        assert_true(legs[0].spent.usd == 0);
        for (size_t i = 0; i < MOST; i++) {
            sx_sha256 hash;
            sx_sha256_of(bench->words[i], strlen(bench->words[i]), &hash);
            bool now = sx_router_leg_of(bench->embedder->provider, &hash);
            assert_true(now || !second[i]); /* who has gone over stays */
            second[i] = now;
        }
    }
    free_bench(bench);
}

static void shifts_step_by_step(void **state)
{
    (void)state;
    sx_error error;
    sx_embedder_leg legs[2];
    test_bench *bench = make_bench();
    assert_ok(open_pair(bench, "fake:a?slow_ms=10", "fake:a?slow_ms=10", 0, 1, bench->database, &error));
    legs_of(bench, legs);
    assert_int_equal(legs[1].split, 10);
    unsigned last = 10;
    for (size_t i = 0; i < MOST / 100; i++) {
        embed(bench, i * 100, 100);
        legs_of(bench, legs);
        assert_true(legs[1].split >= last && (legs[1].split == 10 || legs[1].split == 25 || legs[1].split == 50 ||
                                              legs[1].split == 90 || legs[1].split == 100));
        last = legs[1].split;
    }
    assert_true(last == 100);
    /* Kept for the next run; a leg that fails goes a step back. */
    assert_ok(open_pair(bench, "fake:a", "fake:a?retry=1&retry_count=3", 0, 1, bench->database, &error));
    legs_of(bench, legs);
    assert_int_equal(legs[1].split, 100);
    for (size_t i = 0; i < MOST; i++)
        bench->words[i][0] = 'T';
    embed(bench, 0, 64);
    legs_of(bench, legs);
    assert_int_equal(legs[1].split, 90);
    /* A second leg that is slow stays where it is. */
    assert_ok(open_pair(bench, "fake:a?slow_ms=10&site=x", "fake:a?slow_ms=50&site=x", 0, 1, bench->database, &error));
    for (size_t i = 0; i < MOST / 100; i++)
        embed(bench, i * 100, 100);
    legs_of(bench, legs);
    assert_int_equal(legs[1].split, 10);
    free_bench(bench);
}

static sx_status index_tree(test_bench *bench, sx_index_report **report, int force, sx_error *error)
{
    char *docs = join(bench->folder, "docs");
    const char *paths[] = {docs};
    sx_index_options options = {.size = sizeof options, .paths = paths, .path_count = 1, .force = force};
    sx_status status = sx_index(bench->database, bench->embedder, &options, report, error);
    free(docs);
    return status;
}

static void proofs_join_spaces(void **state)
{
    (void)state;
    sx_error error;
    sx_embedder_leg legs[2];
    sx_index_report *report;
    sx_space_proof proof, *list;
    size_t count;
    uint64_t chunks;
    test_bench *bench = make_bench();
    for (int i = 0; i < 40; i++) {
        char name[32], text[64];
        snprintf(name, sizeof name, "docs/f%02d.txt", i);
        snprintf(text, sizeof text, "document number %d", i);
        write_file(bench->folder, name, text);
    }
    assert_int_equal(open_pair(bench, "fake:a?site=x", "fake:a?site=y", 0, 0, bench->database, &error), SX_E_MISMATCH);
    assert_non_null(strstr(error.hint, "spaces prove"));
    assert_int_equal(open_pair(bench, "fake:a?site=x", "fake:a?dimensions=4", 0, 0, bench->database, &error), SX_E_MISMATCH);

    sx_embedder *x = open_embedder("fake:a?site=x", NULL, &bench->clock);
    sx_embedder *y = open_embedder("fake:a?site=y", NULL, &bench->clock);
    sx_embedder *b = open_embedder("fake:b", NULL, &bench->clock);
    assert_int_equal(sx_space_prove(bench->database, x, b, &proof, &error), SX_E_MISMATCH);
    assert_true(proof.least_cosine < 0.9);
    assert_int_equal(sx_space_prove(bench->database, x, x, &proof, &error), SX_E_EXISTS);
    assert_ok(sx_space_list(bench->database, &list, &count, &error));
    assert_int_equal(count, 0);
    assert_ok(sx_space_prove(bench->database, x, y, &proof, &error));
    assert_true(proof.least_cosine > 0.999999 && proof.largest_difference < 1e-6 && proof.probes >= 20);
    assert_ok(sx_space_list(bench->database, &list, &count, &error));
    assert_int_equal(count, 1);
    assert_string_equal(list[0].models[1], "fake:a?site=y");
    assert_string_equal(list[0].recipes[0], sx_embedder_describe(x)->recipe);
    sx_space_list_free(list, count);

    /* The fallback fills part of the collection, under its own recipe; a second run finds all. */
    assert_ok(open_pair(bench, "fake:a?site=x", "fake:a?site=y", 50, 0, bench->database, &error));
    assert_ok(index_tree(bench, &report, 0, &error));
    assert_int_equal(report->chunks.embedded, 40);
    assert_int_equal(report->documents.failed, 0);
    sx_index_report_free(report);
    legs_of(bench, legs);
    uint64_t others = legs[1].spent.texts;
    assert_true(others > 8 && others < 32);
    assert_ok(index_tree(bench, &report, 1, &error));
    assert_int_equal(report->chunks.cached, 40);
    sx_index_report_free(report);

    /* A query by either, and by nobody else. */
    sx_hits *hits;
    for (int i = 0; i < 40; i++) {
        char query[64];
        snprintf(query, sizeof query, "document number %d", i);
        assert_ok(sx_search(bench->database, i % 2 ? x : y, (sx_text){query, strlen(query)}, NULL, &hits, &error));
        assert_true(hits->count && fabs(hits->hits[0].similarity - 1) < 1e-5);
        sx_hits_free(hits);
    }
    assert_int_equal(sx_search(bench->database, b, (sx_text){"x", 1}, NULL, &hits, &error), SX_E_MISMATCH);

    /* The ledger has both by name. */
    sx_cost_report *cost;
    sx_cost_options by = {.size = sizeof by, .by = "model"};
    uint64_t texts[2] = {0};
    assert_ok(sx_database_cost(bench->database, &by, &cost, &error));
    for (size_t i = 0; i < cost->count; i++)
        for (int side = 0; side < 2; side++)
            if (!strcmp(cost->rows[i].key, side ? "fake:a?site=y" : "fake:a?site=x"))
                texts[side] += cost->rows[i].spend.texts;
    sx_cost_report_free(cost);
    assert_int_equal(texts[1], others);
    assert_int_equal(texts[0], 40 - others);

    /* Forgotten: the pair is refused, and the model alone makes anew what was not its own. */
    assert_ok(sx_space_forget(bench->database, "fake:a?site=y", "fake:a?site=x", &chunks, &error));
    assert_int_equal(chunks, others);
    assert_int_equal(sx_space_forget(bench->database, "fake:a?site=y", "fake:a?site=x", &chunks, &error), SX_E_NOT_FOUND);
    assert_int_equal(sx_search(bench->database, y, (sx_text){"x", 1}, NULL, &hits, &error), SX_E_MISMATCH);
    assert_int_equal(open_pair(bench, "fake:a?site=x", "fake:a?site=y", 0, 0, bench->database, &error), SX_E_MISMATCH);
    assert_ok(open_pair(bench, "fake:a?site=x", NULL, 0, 0, bench->database, &error));
    assert_ok(index_tree(bench, &report, 1, &error));
    assert_int_equal(report->chunks.embedded, others);
    sx_index_report_free(report);
    sx_embedder_close(x);
    sx_embedder_close(y);
    sx_embedder_close(b);
    free_bench(bench);
}

/* Half to each of two models, of which the second costs three times as much. budget_usd 0: none. */
static void open_priced(test_bench *bench, double budget_usd)
{
    sx_error error;
    sx_clock injected = clock_of(&bench->clock);
    sx_embedder_options options = {.size = sizeof options, .model = "fake:a?price=1000000", .fallback = "fake:a?price=3000000",
                                   .split = 50, .cache = bench->database};
    if (budget_usd > 0)
        options.remote = (sx_remote_options){.size = sizeof options.remote, .budget_usd = budget_usd};
    assert_ok(sx_embedder_open_clocked(&options, &injected, &bench->embedder, &error));
}

static void a_budget_holds_for_both(void **state)
{
    (void)state;
    sx_error error;
    test_bench *bench = make_bench();
    open_priced(bench, 0.002);
    assert_int_equal(sx_embedder_embed(bench->embedder, bench->texts, MOST, bench->vectors, bench->receipts, NULL, &error),
                     SX_E_LIMIT);
    sx_spend spent;
    assert_ok(sx_embedder_spent(bench->embedder, &spent, &error));
    assert_true(spent.usd > 0.0015 && spent.usd <= 0.002);
    free_bench(bench);
}

static void an_estimate_has_the_price_of_each(void **state)
{
    (void)state;
    sx_error error;
    test_bench *bench = make_bench();
    sx_spend estimate = {0}, spent;
    open_priced(bench, 0);
    assert_ok(sx_embedder_estimate(bench->embedder, bench->texts, MOST, &estimate, &error));
    assert_ok(sx_embedder_embed(bench->embedder, bench->texts, MOST, bench->vectors, bench->receipts, NULL, &error));
    assert_ok(sx_embedder_spent(bench->embedder, &spent, &error));
    assert_int_equal(estimate.tokens, spent.tokens);
    assert_true(fabs(estimate.usd - spent.usd) < 1e-9);
    free_bench(bench);
}

static void refuses_nonsense(void **state)
{
    (void)state;
    sx_error error;
    test_bench *bench = make_bench();
    assert_int_equal(open_pair(bench, "fake:a", NULL, 10, 0, NULL, &error), SX_E_INVALID);
    assert_int_equal(open_pair(bench, "fake:a", "fake:a", 101, 0, NULL, &error), SX_E_INVALID);
    assert_int_equal(open_pair(bench, "fake:a", "fake:b", 0, 0, NULL, &error), SX_E_MISMATCH);
    assert_int_equal(open_pair(bench, "fake:a", "fake:", 0, 0, NULL, &error), SX_E_INVALID);
    size_t count = 7;
    assert_ok(open_pair(bench, "fake:a", NULL, 0, 0, NULL, &error));
    assert_ok(sx_embedder_legs(bench->embedder, NULL, 0, &count, &error));
    assert_int_equal(count, 0);
    assert_int_equal(sx_embedder_legs(NULL, NULL, 0, &count, &error), SX_E_INVALID);
    assert_int_equal(sx_space_prove(NULL, NULL, NULL, NULL, &error), SX_E_INVALID);
    free_bench(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_over_and_gives_back),
        cmocka_unit_test(a_wrong_key_goes_over_at_once),
        cmocka_unit_test(both_fail_and_come_back),
        cmocka_unit_test(splits_by_hash),
        cmocka_unit_test(shifts_step_by_step),
        cmocka_unit_test(proofs_join_spaces),
        cmocka_unit_test(a_budget_holds_for_both),
        cmocka_unit_test(an_estimate_has_the_price_of_each),
        cmocka_unit_test(refuses_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
