/* index_fixture.h - what the tests of sx_index share: a tree of ten documents, a database and the fake provider; calls that check
 * their report; what is stored afterwards. */
#ifndef SX_TESTS_INDEX_FIXTURE_H
#define SX_TESTS_INDEX_FIXTURE_H

#include "index_support.h"

#include <sqlite3.h>

typedef struct index_fixture {
    char *folder, *docs, *database_path;
    sx_database *database;
    sx_embedder *embedder;
} index_fixture;

static const char *const quick = "fake:a?max_length=20&max_texts=4";

static inline void open_database(index_fixture *fixture)
{
    sx_error error;
    assert_ok(sx_database_open(fixture->database_path, NULL, &fixture->database, &error));
}

/* Another provider for the same vectors. */
static inline void use_embedder(index_fixture *fixture, const char *reference)
{
    sx_embedder_close(fixture->embedder);
    fixture->embedder = open_embedder(reference, fixture->database, NULL);
}

static inline int setup(void **state)
{
    index_fixture *fixture = calloc(1, sizeof *fixture);
    fixture->folder = make_folder();
    fixture->docs = join(fixture->folder, "docs");
    fixture->database_path = join(fixture->folder, "t.db");
    for (int i = 0; i < 10; i++) {
        char name[64], text[512];
        snprintf(name, sizeof name, "%s/file%d.md", i < 5 ? "docs" : "docs/sub", i);
        snprintf(text, sizeof text,
                 "# Title %d\n\nThe first paragraph of file %d says one thing.\n\n## Part\n\nThe second paragraph of file %d "
                 "says another.\n\n## Common\n\nThis is the same everywhere.\n",
                 i, i, i);
        write_file(fixture->folder, name, text);
    }
    open_database(fixture);
    fixture->embedder = open_embedder(quick, fixture->database, NULL);
    *state = fixture;
    return 0;
}

static inline int teardown(void **state)
{
    index_fixture *fixture = *state;
    sx_embedder_close(fixture->embedder);
    sx_database_close(fixture->database);
    free(fixture->docs);
    free(fixture->database_path);
    remove_folder(fixture->folder);
    free(fixture);
    return 0;
}

/* ---- Calls ---- */

static inline sx_status try_index(index_fixture *fixture, const char *path, sx_index_options options, sx_index_report **report,
                           sx_error *error)
{
    options.size = sizeof options;
    if (!options.paths) {
        options.paths = &path;
        options.path_count = 1;
    }
    return sx_index(fixture->database, fixture->embedder, &options, report, error);
}

static inline sx_index_report *index_with(index_fixture *fixture, const char *path, sx_index_options options)
{
    sx_error error;
    sx_index_report *report;
    assert_ok(try_index(fixture, path, options, &report, &error));
    assert_int_equal(report->truncated, 0);
    assert_int_equal(report->chunks.total, report->chunks.embedded + report->chunks.cached + report->chunks.failed);
    return report;
}

typedef struct expected_counts {
    uint64_t added, changed, removed, unchanged, skipped, failed;
} expected_counts;

static inline void check_report(const sx_index_report *report, expected_counts expected)
{
    assert_int_equal(report->documents.added, expected.added);
    assert_int_equal(report->documents.changed, expected.changed);
    assert_int_equal(report->documents.removed, expected.removed);
    assert_int_equal(report->documents.unchanged, expected.unchanged);
    assert_int_equal(report->documents.skipped, expected.skipped);
    assert_int_equal(report->documents.failed, expected.failed);
    assert_int_equal(report->skipped_count, expected.skipped);
}

/* Indexes, compares, and says how many texts went through the provider. */
static inline uint64_t index_and_check(index_fixture *fixture, const char *path, expected_counts expected)
{
    uint64_t before = counts_of(fixture->embedder)->texts;
    sx_index_report *report = index_with(fixture, path, (sx_index_options){0});
    check_report(report, expected);
    uint64_t texts = counts_of(fixture->embedder)->texts - before;
    assert_int_equal(report->chunks.embedded, texts);
    sx_index_report_free(report);
    return texts;
}

/* The collection as its export shows it; the caller frees. */
static inline char *export_of(index_fixture *fixture)
{
    sx_error error;
    char *path = join(fixture->folder, "export.jsonl"), *text;
    size_t length;
    assert_ok(sx_collection_export(fixture->database, "default", "jsonl", path, &error));
    assert_ok(sx_file_read(path, 1 << 28, &text, &length, NULL, &error));
    unlink(path);
    free(path);
    return text;
}

static inline int64_t ask(index_fixture *fixture, const char *query)
{
    sqlite3 *connection;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open(fixture->database_path, &connection), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(connection, query, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(connection);
    return value;
}

static inline void check_nothing_twice(index_fixture *fixture)
{
    assert_int_equal(ask(fixture, "SELECT max(computed) FROM vector"), 1);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
