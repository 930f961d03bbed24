/* test_ledger.c - the ledger's sums, its durability, alerts, and the migration of a database of version 1. */
#include "store_support.h"

#include "store/ledger.h"
#include "store/schema.h"

static const int64_t second = 1000000000;
static const int64_t day_2026_01_31 = (int64_t)20484 * 86400; /* seconds since 1970 */

static sx_ledger_job job_of(const char *verb, const char *collection, const char *model, bool unpriced)
{
    sx_ledger_job job = {.verb = verb, .collection = collection, .provider = "fake", .model = model, .unpriced = unpriced};
    sx_sha256_of(model, strlen(model), &job.space);
    return job;
}

static void add(sx_database *database, sx_ledger_job *job, int64_t seconds, uint64_t tokens, double usd)
{
    sx_error error = {0};
    sx_spend spend = {.requests = 1, .texts = 2, .cached = 3, .tokens = tokens, .usd = usd};
    if (job->unpriced)
        spend.unpriced_tokens = tokens;
    OK(sx_ledger_add(database, job, &spend, seconds * second, &error));
}

static sx_cost_report *cost(sx_database *database, const char *by, const char *since, const char *until, const char *collection)
{
    sx_error error = {0};
    sx_cost_options options = {.size = sizeof options, .by = by, .since = since, .until = until, .collection = collection};
    sx_cost_report *report;
    OK(sx_database_cost(database, &options, &report, &error));
    return report;
}

static void expect(const sx_cost_row *row, const char *key, uint64_t jobs, uint64_t tokens, double usd)
{
    assert_string_equal(row->key, key);
    assert_int_equal(row->jobs, jobs);
    assert_int_equal(row->spend.tokens, tokens);
    assert_true(fabs(row->spend.usd - usd) < 1e-12);
}

static void test_sums(void **state)
{
    (void)state;
    sx_database *database = open_named("sums.db");
    sx_ledger_job a = job_of("index", "books", "m1", false), b = job_of("embed", "", "m1", false),
                  c = job_of("index", "notes", "unknown", true);
    add(database, &a, day_2026_01_31 + 86399, 100, 0.5);
    add(database, &a, day_2026_01_31 + 86400, 10, 0.25); /* after midnight: another day, another month */
    add(database, &a, day_2026_01_31 + 86401, 1, 0.125);
    add(database, &b, day_2026_01_31, 1000, 2);
    add(database, &c, day_2026_01_31 + 5 * 86400, 7, 0);
    sx_cost_report *report = cost(database, "day", NULL, NULL, NULL);
    assert_int_equal(report->count, 3);
    expect(&report->rows[0], "2026-01-31", 2, 1100, 2.5);
    expect(&report->rows[1], "2026-02-01", 1, 11, 0.375);
    expect(&report->rows[2], "2026-02-05", 1, 7, 0);
    assert_true(report->rows[2].unpriced && !report->rows[1].unpriced);
    assert_int_equal(report->rows[2].spend.unpriced_tokens, 7);
    assert_int_equal(report->total.tokens, 1118);
    assert_int_equal(report->total.requests, 5);
    assert_int_equal(report->total.texts, 10);
    assert_int_equal(report->total.cached, 15);
    assert_int_equal(report->total.unpriced_tokens, 7);
    assert_true(report->total.usd == 2.875);
    sx_cost_report_free(report);
    report = cost(database, NULL, NULL, NULL, NULL);
    assert_int_equal(report->count, 2);
    expect(&report->rows[0], "2026-01", 2, 1100, 2.5);
    expect(&report->rows[1], "2026-02", 2, 18, 0.375);
    assert_false(report->rows[1].unpriced); /* a part of it has a price, and the other part is named */
    assert_int_equal(report->rows[1].spend.unpriced_tokens, 7);
    sx_cost_report_free(report);
    report = cost(database, "job", NULL, NULL, NULL);
    assert_int_equal(report->count, 3);
    expect(&report->rows[0], "1", 1, 111, 0.875);
    assert_string_equal(report->rows[0].verb, "index");
    assert_string_equal(report->rows[0].collection, "books");
    assert_true(report->rows[0].began_ns == (day_2026_01_31 + 86399) * second);
    sx_cost_report_free(report);
    report = cost(database, "collection", NULL, NULL, NULL);
    assert_int_equal(report->count, 3);
    expect(&report->rows[0], "", 1, 1000, 2);
    sx_cost_report_free(report);
    report = cost(database, "model", NULL, NULL, NULL);
    assert_int_equal(report->count, 2);
    expect(&report->rows[0], "m1", 2, 1111, 2.875);
    assert_true(report->rows[1].unpriced);
    sx_cost_report_free(report);
    sx_database_close(database);
}

static void test_periods(void **state)
{
    sx_error error = {0};
    sx_database *database = open_named("periods.db");
    sx_ledger_job a = job_of("index", "books", "m1", false);
    for (int64_t day = 0; day < 800; day++) /* 2026-01-31 .. 2028-04-09, a leap day among them */
        add(database, &a, day_2026_01_31 + day * 86400, 1, 1);
    static const struct {
        const char *since, *until;
        uint64_t days;
    } cases[] = {
        {"2026-02", "2026-02", 28}, {"2028-02", "2028-02", 29},       {"2028-02-29", "2028-02-29", 1}, {"2027", "2027", 365},
        {"2027", NULL, 465},   {NULL, "2026-01-31", 1},          {NULL, "2026-01-30", 0},         {"2026-12-31", "2027-01-01", 2},
        {"2028-04-08", NULL, 2},    {"2027-12-31", "2027-12-31", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sx_cost_report *report = cost(database, "month", cases[i].since, cases[i].until, "books");
        if (report->total.tokens != cases[i].days)
            fail_msg("%s..%s: %llu days", cases[i].since, cases[i].until, (unsigned long long)report->total.tokens);
        sx_cost_report_free(report);
    }
    sx_cost_report *report = cost(database, "month", NULL, NULL, "others");
    assert_int_equal(report->count, 0);
    sx_cost_report_free(report);
    static const char *const wrong[] = {"", "yesterday", "2026-13", "2026-00", "2026-1", "2026-02-30",
                                        "2027-02-29", "2026-11-21x", "202a"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        sx_cost_options options = {.size = sizeof options, .since = wrong[i]};
        assert_int_equal(sx_database_cost(database, &options, &report, &error), SX_E_INVALID);
        assert_null(report);
    }
    sx_cost_options options = {.size = sizeof options, .by = "year"};
    assert_int_equal(sx_database_cost(database, &options, &report, &error), SX_E_INVALID);
    assert_int_equal(sx_database_cost(NULL, NULL, &report, &error), SX_E_INVALID);
    sx_database_close(database);
}

static void test_searches_of_a_day_share_a_row(void **state)
{
    sx_database *database = open_named("searches.db");
    for (int i = 0; i < 10; i++) {
        sx_ledger_job job = job_of("search", "books", "m1", false);
        add(database, &job, day_2026_01_31 + i, 1, 1);
    }
    sx_ledger_job job = job_of("search", "books", "m1", false);
    add(database, &job, day_2026_01_31 + 86400, 1, 1);
    assert_int_equal(scalar(database, "SELECT count(*) FROM ledger_job"), 2);
    assert_int_equal(scalar(database, "SELECT sum(tokens) FROM spend"), 11);
    sx_database_close(database);
}

/* What is rolled back was not spent, and the job enters itself again. */
static void test_rollback(void **state)
{
    sx_error error = {0};
    sx_database *database = open_named("rollback.db");
    sx_ledger_job job = job_of("index", "books", "m1", false);
    OK(sx_store_begin(database, &error));
    add(database, &job, day_2026_01_31, 5, 1);
    assert_true(job.id > 0);
    sx_store_rollback(database);
    job.id = 0;
    add(database, &job, day_2026_01_31, 7, 1);
    assert_int_equal(scalar(database, "SELECT sum(tokens) FROM spend"), 7);
    check_whole(database);
    sx_database_close(database);
}

static void test_alerts(void **state)
{
    sx_error error = {0};
    sx_database *database = open_named("alerts.db"), *other = open_named("alerts.db");
    sx_ledger_job job = job_of("index", "books", "m1", false);
    double usd;
    bool first;
    add(database, &job, day_2026_01_31, 5, 3);
    add(database, &job, day_2026_01_31 + 86400, 5, 4);
    add(database, &job, day_2026_01_31 - 30 * 86400, 5, 8); /* January 1st */
    OK(sx_ledger_month_usd(database, day_2026_01_31 * second, &usd, &error));
    assert_true(usd == 11);
    OK(sx_ledger_month_usd(database, (day_2026_01_31 + 86400) * second, &usd, &error));
    assert_true(usd == 4);
    OK(sx_ledger_alert(database, day_2026_01_31 * second, 10, &first, &error));
    assert_true(first);
    OK(sx_ledger_alert(other, day_2026_01_31 * second, 10, &first, &error));
    assert_false(first);
    OK(sx_ledger_alert(other, day_2026_01_31 * second, 20, &first, &error)); /* another threshold */
    assert_true(first);
    OK(sx_ledger_alert(database, (day_2026_01_31 + 86400) * second, 10, &first, &error)); /* another month */
    assert_true(first);
    char month[16];
    sx_ledger_month((day_2026_01_31 + 86399) * second, month);
    assert_string_equal(month, "2026-01");
    sx_database_close(database);
    sx_database_close(other);
}

static void run_sql_file(const char *path, const char *script)
{
    sx_error error = {0};
    sqlite3 *sqlite;
    char *text = NULL;
    size_t length;
    OK(sx_file_read(script, 1 << 20, &text, &length, NULL, &error));
    assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sqlite, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(sqlite);
    free(text);
}

/* The tables, indexes and triggers, whatever their order and layout. */
static char *schema_of(sx_database *database)
{
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(database->sqlite,
                                        "SELECT group_concat(type || ' ' || name || ' ' || coalesce(sql, ''), char(10)) FROM"
                                        " (SELECT * FROM sqlite_master ORDER BY type, name)",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    char *text = strdup((const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return text;
}

static void test_version_1_is_migrated(void **state)
{
    sx_error error = {0};
    char *path = in_folder("old.db"), *copy = in_folder("old.db-version-1");
    run_sql_file(path, SX_FIXTURES "/database/version-1.sql");
    sx_database *database = open_named("old.db"), *fresh = open_named("fresh.db");
    assert_int_equal(scalar(database, "PRAGMA user_version"), SX_SCHEMA_VERSION);
    assert_int_equal(scalar(database, "SELECT count(*) FROM chunk WHERE vector IS NOT NULL"), 2);
    assert_int_equal(scalar(database, "SELECT count(*) FROM document WHERE root = '/data/docs'"), 2);
    char *migrated = schema_of(database), *made = schema_of(fresh);
    assert_string_equal(migrated, made);
    sx_ledger_job job = job_of("index", "kept", "fake:a", false);
    add(database, &job, day_2026_01_31, 5, 3);
    check_whole(database);
    float query[8] = {1};
    sx_collection_row collection;
    sx_candidate candidates[2];
    size_t found;
    OK(sx_store_collection_find(database, "kept", &collection, &error));
    OK(sx_store_nearest(database, &collection, query, 2, NULL, 0, candidates, &found, &error));
    assert_int_equal(found, 2);
    sx_collection_row_clear(&collection);
    sx_database_close(database);
    sx_database_close(fresh);
    /* The copy is the old database, whole. */
    sqlite3 *sqlite;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open_v2(copy, &sqlite, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(sqlite, "SELECT (SELECT user_version FROM pragma_user_version),"
                                                " (SELECT count(*) FROM chunk), (SELECT count(*) FROM sqlite_master WHERE name = 'spend')",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(statement, 0), 1);
    assert_int_equal(sqlite3_column_int(statement, 1), 2);
    assert_int_equal(sqlite3_column_int(statement, 2), 0);
    sqlite3_finalize(statement);
    sqlite3_close(sqlite);
    free(migrated);
    free(made);
    free(path);
    free(copy);
}

static void test_migration_waits_for_nobody(void **state)
{
    sx_error error = {0};
    char *path = in_folder("held.db");
    run_sql_file(path, SX_FIXTURES "/database/version-1.sql");
    sx_locks locks = {.descriptor = -1};
    OK(sx_locks_open(&locks, path, &error));
    OK(sx_locks_wait(&locks, SX_LOCK_OPEN, SX_LOCK_SHARED, NULL, &error)); /* a program of the old version works on it */
    sx_database *database;
    assert_int_equal(sx_database_open(path, NULL, &database, &error), SX_E_BUSY);
    sx_locks_close(&locks);
    OK(sx_database_open(path, NULL, &database, &error));
    assert_int_equal(scalar(database, "PRAGMA user_version"), SX_SCHEMA_VERSION);
    sx_database_close(database);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_periods),
        cmocka_unit_test(test_searches_of_a_day_share_a_row),
        cmocka_unit_test(test_rollback),
        cmocka_unit_test(test_alerts),
        cmocka_unit_test(test_version_1_is_migrated),
        cmocka_unit_test(test_migration_waits_for_nobody),
    };
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
