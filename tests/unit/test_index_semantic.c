/* test_index_semantic.c - sx_index with chunk strategy semantic and the fake provider: what the windows of sentences cost, that
 * they are embedded once, and what becomes of documents whose windows cannot be embedded. */
#include "index_fixture.h"

#include <math.h>

enum { SENTENCES = 60, CHANGED = 30 };
static const char *const plain = "Sentence number x is here.";
#define LONG "fake:a?max_length=40&max_texts=4"

/* long/long.txt, with one sentence of choice among the others. */
static void write_long(index_fixture *fixture, const char *sentence)
{
    char text[SENTENCES * 128];
    int used = 0;
    for (int i = 0; i < SENTENCES; i++)
        used += i == CHANGED ? snprintf(text + used, 128, "%s\n", sentence)
                             : snprintf(text + used, 128, "Sentence number %d is here.\n", i);
    write_file(fixture->folder, "long/long.txt", text);
}

static sx_status try_long(index_fixture *fixture, const char *strategy, sx_index_options options, sx_index_report **report,
                          sx_error *error)
{
    char *path = join(fixture->folder, "long");
    if (strategy)
        options.chunk = (sx_chunk_options){.size = sizeof options.chunk, .strategy = strategy};
    const char *const paths[] = {path};
    options.paths = paths;
    options.path_count = 1;
    sx_status status = try_index(fixture, path, options, report, error);
    free(path);
    return status;
}

static sx_index_report *index_long(index_fixture *fixture, const char *strategy, sx_index_options options,
                                   expected_counts expected)
{
    sx_error error;
    sx_index_report *report;
    uint64_t before = counts_of(fixture->embedder)->texts;
    assert_ok(try_long(fixture, strategy, options, &report, &error));
    check_report(report, expected);
    assert_int_equal(report->windows.total, report->windows.embedded + report->windows.cached);
    if (!options.dry_run)
        assert_int_equal(counts_of(fixture->embedder)->texts - before, report->chunks.embedded + report->windows.embedded);
    return report;
}

/* All chunks as "start-end start-end ...". */
static void ranges(index_fixture *fixture, char *out, size_t capacity)
{
    sqlite3 *connection;
    sqlite3_stmt *statement;
    size_t used = 0;
    assert_int_equal(sqlite3_open(fixture->database_path, &connection), SQLITE_OK);
    static const char query[] = "SELECT start, \"end\" FROM chunk ORDER BY document, start";
    assert_int_equal(sqlite3_prepare_v2(connection, query, -1, &statement, NULL), SQLITE_OK);
    out[0] = '\0';
    while (sqlite3_step(statement) == SQLITE_ROW && used + 64 < capacity)
        used += (size_t)snprintf(out + used, capacity - used, "%lld-%lld ", (long long)sqlite3_column_int64(statement, 0),
                                 (long long)sqlite3_column_int64(statement, 1));
    sqlite3_finalize(statement);
    sqlite3_close(connection);
}

/* Neither documents nor vectors are left. */
static void forget(index_fixture *fixture)
{
    sx_error error;
    uint64_t removed;
    assert_ok(sx_collection_delete(fixture->database, "default", &error));
    assert_ok(sx_cache_prune(fixture->database, 0, &removed, &error));
    assert_int_equal(ask(fixture, "SELECT count(*) FROM vector"), 0);
}

static void test_once(void **state)
{
    index_fixture *fixture = *state;
    char first[4096], again[4096];
    use_embedder(fixture, LONG);
    write_long(fixture, plain);
    sx_index_report *report = index_long(fixture, "semantic", (sx_index_options){0}, (expected_counts){.added = 1});
    assert_in_range(report->windows.embedded, SENTENCES, SENTENCES + 10);
    assert_true(report->windows.tokens > 2 * report->tokens && report->tokens > 0);
    assert_int_equal(report->cost.texts, report->windows.embedded + report->chunks.embedded);
    sx_index_report_free(report);
    ranges(fixture, first, sizeof first);

    /* Nothing is cut while nothing changes; by force it is cut the same, from the cache. */
    sx_index_report_free(index_long(fixture, NULL, (sx_index_options){0}, (expected_counts){.unchanged = 1}));
    report = index_long(fixture, NULL, (sx_index_options){.force = 1}, (expected_counts){.changed = 1});
    assert_true(report->windows.total > 0 && report->windows.embedded == 0 && report->chunks.embedded == 0);
    sx_index_report_free(report);
    ranges(fixture, again, sizeof again);
    assert_string_equal(first, again);

    /* Batches of other sizes give the same chunks. */
    use_embedder(fixture, "fake:a?max_length=40&max_texts=64&in_flight=1");
    forget(fixture);
    report = index_long(fixture, "semantic", (sx_index_options){0}, (expected_counts){.added = 1});
    assert_true(report->windows.embedded > 0);
    sx_index_report_free(report);
    ranges(fixture, again, sizeof again);
    assert_string_equal(first, again);
}

static void test_changes(void **state)
{
    index_fixture *fixture = *state;
    char semantic[4096], others[4096];
    use_embedder(fixture, LONG);
    write_long(fixture, plain);
    sx_index_report_free(index_long(fixture, "semantic", (sx_index_options){0}, (expected_counts){.added = 1}));
    /* One sentence is in three windows of three on each side at most. */
    write_long(fixture, "A sentence of another kind is here.");
    sx_index_report *report = index_long(fixture, NULL, (sx_index_options){0}, (expected_counts){.changed = 1});
    assert_in_range(report->windows.embedded, 3, 9);
    sx_index_report_free(report);

    /* Another strategy, and back: the documents are cut anew each time, and the collection remembers. */
    ranges(fixture, semantic, sizeof semantic);
    report = index_long(fixture, "recursive", (sx_index_options){0}, (expected_counts){.changed = 1});
    assert_int_equal(report->windows.total, 0);
    sx_index_report_free(report);
    ranges(fixture, others, sizeof others);
    assert_string_not_equal(semantic, others);
    sx_index_report_free(index_long(fixture, "semantic", (sx_index_options){0}, (expected_counts){.changed = 1}));
    ranges(fixture, others, sizeof others);
    assert_string_equal(semantic, others);
}

static void test_dry_run(void **state)
{
    index_fixture *fixture = *state;
    use_embedder(fixture, "fake:a?max_length=40&price=1000000");
    write_long(fixture, plain);
    sx_index_report *report = index_long(fixture, "semantic", (sx_index_options){.dry_run = 1}, (expected_counts){.added = 1});
    sx_index_windows would = report->windows;
    assert_true(would.embedded > SENTENCES - 1 && would.cached == 0 && report->chunks.embedded > 0);
    assert_int_equal(report->cost.texts, would.embedded + report->chunks.embedded);
    assert_int_equal(report->cost.tokens, would.tokens + report->tokens);
    assert_true(fabs(report->cost.usd - (double)report->cost.tokens * 1e-6) < 1e-9);
    assert_int_equal(counts_of(fixture->embedder)->texts, 0);
    sx_index_report_free(report);
    assert_int_equal(ask(fixture, "SELECT count(*) FROM vector"), 0);
    report = index_long(fixture, "semantic", (sx_index_options){0}, (expected_counts){.added = 1});
    assert_int_equal(report->windows.embedded, would.embedded);
    assert_int_equal(report->windows.tokens, would.tokens);
    assert_int_equal(report->cost.tokens, would.tokens + report->tokens);
    sx_index_report_free(report);
    /* What is stored is used, so that the cut is what it will be. */
    report = index_long(fixture, "semantic", (sx_index_options){.dry_run = 1, .force = 1}, (expected_counts){.changed = 1});
    assert_true(report->windows.cached == report->windows.total && report->chunks.embedded == 0 && report->cost.tokens == 0);
    sx_index_report_free(report);
}

/* A document whose windows fail has failed; the next run takes it up. A provider that fails for good ends the run. */
static void test_failures(void **state)
{
    index_fixture *fixture = *state;
    sx_error error;
    sx_index_report *report;
    write_long(fixture, "This one is poisoned.");
    write_file(fixture->folder, "long/short.txt", "A short one.\n");
    use_embedder(fixture, "fake:a?max_length=40&refuse=poisoned.");
    assert_ok(try_long(fixture, "semantic", (sx_index_options){0}, &report, &error));
    check_report(report, (expected_counts){.added = 1, .failed = 1});
    assert_string_equal(report->failed[0].document, "long.txt");
    assert_int_equal(report->failed[0].chunk, -1);
    assert_non_null(strstr(report->failed[0].reason, "a window of sentences could not be embedded"));
    sx_index_report_free(report);
    use_embedder(fixture, LONG);
    report = index_long(fixture, NULL, (sx_index_options){.retry_failed = 1}, (expected_counts){.added = 1, .unchanged = 1});
    sx_index_report_free(report);

    write_long(fixture, "Another.");
    use_embedder(fixture, "fake:a?max_length=40&fatal=1");
    assert_int_equal(try_long(fixture, NULL, (sx_index_options){0}, &report, &error), SX_E_PROVIDER);
    assert_int_equal(report->documents.failed, 0);
    sx_index_report_free(report);

    volatile int stop = 1;
    use_embedder(fixture, LONG);
    assert_int_equal(try_long(fixture, NULL, (sx_index_options){.stop = &stop}, &report, &error), SX_E_STOPPED);
    sx_index_report_free(report);
    assert_int_equal(try_long(fixture, "semantic", (sx_index_options){.batch_api = 1}, &report, &error), SX_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "semantic"));
    sx_index_report_free(report);
}

/* Windows with a key in them are not sent either; the places around them are only not known. */
static void test_secrets(void **state)
{
    index_fixture *fixture = *state;
    write_long(fixture, "The key is AKIAIOSFODNN7EXAMPLA, keep it.");
    use_embedder(fixture, "fake:a?max_length=40&remote=1");
    sx_error error;
    sx_index_report *report;
    assert_ok(try_long(fixture, "semantic", (sx_index_options){0}, &report, &error));
    assert_int_equal(report->chunks.failed, 1);
    assert_non_null(strstr(report->failed[0].reason, "held back"));
    assert_in_range(report->windows.total - report->windows.embedded - report->windows.cached, 3, 9);
    assert_true(report->chunks.embedded > 5);
    sx_index_report_free(report);
}

/* Runs with little money each get there, never spend more, and end with the chunks of one run. */
static void test_budget(void **state)
{
    index_fixture *fixture = *state;
    sx_error error;
    sx_index_report *report;
    char whole[4096], parts[4096];
    write_long(fixture, plain);
    use_embedder(fixture, "fake:a?max_length=40&price=1000000");
    report = index_long(fixture, "semantic", (sx_index_options){0}, (expected_counts){.added = 1});
    double all = report->cost.usd, spent = 0;
    sx_index_report_free(report);
    ranges(fixture, whole, sizeof whole);
    forget(fixture);

    sx_status status = SX_E_LIMIT;
    int runs = 0;
    for (; status && runs < 50; runs++) {
        sx_embedder_close(fixture->embedder);
        sx_embedder_options options = {.size = sizeof options, .model = "fake:a?max_length=40&price=1000000&max_texts=2",
                                       .cache = fixture->database};
        options.remote = (sx_remote_options){.size = sizeof options.remote, .budget_usd = all / 7};
        assert_ok(sx_embedder_open(&options, &fixture->embedder, &error));
        status = try_long(fixture, "semantic", (sx_index_options){0}, &report, &error);
        assert_true(status == SX_OK || status == SX_E_LIMIT);
        assert_true(report->cost.usd <= all / 7 + 1e-12);
        if (status)
            assert_true(report->left.texts > 0 && report->left.tokens > 0 && report->documents.failed == 0);
        spent += report->cost.usd;
        sx_index_report_free(report);
    }
    assert_in_range(runs, 7, 12);
    assert_true(fabs(spent - all) < all * 1e-9);
    ranges(fixture, parts, sizeof parts);
    assert_string_equal(whole, parts);
}

/* Documents from memory go the same way. */
static void test_added(void **state)
{
    index_fixture *fixture = *state;
    sx_error error;
    sx_index_report *report;
    char text[SENTENCES * 32];
    int used = 0;
    use_embedder(fixture, LONG);
    for (int i = 0; i < SENTENCES; i++)
        used += snprintf(text + used, 32, "Sentence number %d is here.\n", i);
    const sx_new_document document = {.id = "one", .text = {text, (size_t)used}};
    const sx_add_options options = {.size = sizeof options, .chunk = {.size = sizeof options.chunk, .strategy = "semantic"}};
    assert_ok(sx_add(fixture->database, fixture->embedder, &document, 1, &options, &report, &error));
    assert_true(report->windows.embedded > SENTENCES - 1 && report->chunks.embedded > 5);
    sx_index_report_free(report);
}

static void test_looking(void **state)
{
    index_fixture *fixture = *state;
    sx_error error;
    sx_chunks *chunks;
    write_long(fixture, plain);
    char *path = join(fixture->folder, "long/long.txt");
    use_embedder(fixture, LONG);
    sx_chunk_options options = {.size = sizeof options, .strategy = "semantic"};
    assert_ok(sx_embedder_chunk_file(fixture->embedder, path, &options, &chunks, &error));
    assert_true(chunks->count > 5 && chunks->windows.total > SENTENCES - 1 && chunks->windows.tokens > 0);
    sx_chunks_free(chunks);
    assert_int_equal(sx_chunk_file(path, NULL, NULL, &options, &chunks, &error), SX_E_INVALID);
    assert_non_null(strstr(error.message, "semantic"));
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dry_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_secrets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(test_added, setup, teardown),
        cmocka_unit_test_setup_teardown(test_looking, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
