/* test_index.c - sx_index on temporary trees with the fake provider: what is embedded, what is kept, what is removed, what is
 * reported. Runs that something interrupts: test_index_interrupted.c. */
#include "index_fixture.h"

#include <fcntl.h>
#include <time.h>

static const sx_problem *find_problem(const sx_problem *problems, size_t count, const char *document)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(problems[i].document, document))
            return &problems[i];
    fail_msg("%s is not named", document);
    return NULL;
}

static void delete_file(index_fixture *fixture, const char *name)
{
    char *path = join(fixture->folder, name);
    assert_int_equal(unlink(path), 0);
    free(path);
}

static void rename_file(index_fixture *fixture, const char *from, const char *to)
{
    char *a = join(fixture->folder, from), *b = join(fixture->folder, to);
    assert_int_equal(rename(a, b), 0);
    free(a);
    free(b);
}

/* ---- What changes ---- */

static void second_run_embeds_nothing(void **state)
{
    index_fixture *fixture = *state;
    uint64_t texts = index_and_check(fixture, fixture->docs, (expected_counts){.added = 10});
    assert_true(texts >= 20);
    char *first = export_of(fixture);
    assert_int_equal(index_and_check(fixture, fixture->docs, (expected_counts){.unchanged = 10}), 0);
    /* New times, same bytes. */
    char *path = join(fixture->docs, "file3.md");
    assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[]){{1000, 0}, {1000, 0}}, 0), 0);
    free(path);
    assert_int_equal(index_and_check(fixture, fixture->docs, (expected_counts){.unchanged = 10}), 0);
    assert_int_equal(ask(fixture, "SELECT count(*) FROM document WHERE state != 1"), 0);
    char *second = export_of(fixture);
    assert_string_equal(first, second);
    free(first);
    free(second);
    check_nothing_twice(fixture);
}

/* Long after the files were written their times are proof enough: what the recorded state says is believed. */
static int64_t later(void *user)
{
    (void)user;
    return sx_system_clock.wall_ns(NULL) + 3600000000000;
}

static void unchanged_by_times_alone(void **state)
{
    index_fixture *fixture = *state;
    sx_error error;
    sx_clock clock = sx_system_clock;
    clock.wall_ns = later;
    sx_embedder_options options = {.size = sizeof options, .model = quick, .cache = fixture->database};
    sx_embedder_close(fixture->embedder);
    assert_ok(sx_embedder_open_clocked(&options, &clock, &fixture->embedder, &error));
    index_and_check(fixture, fixture->docs, (expected_counts){.added = 10});
    /* Were the files read again, this wrong content hash would be found and the documents taken for changed. */
    sqlite3 *connection;
    assert_int_equal(sqlite3_open(fixture->database_path, &connection), SQLITE_OK);
    assert_int_equal(sqlite3_exec(connection, "UPDATE document SET content = randomblob(32)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(connection);
    index_and_check(fixture, fixture->docs, (expected_counts){.unchanged = 10});
    sx_index_report *report = index_with(fixture, fixture->docs, (sx_index_options){.force = 1});
    check_report(report, (expected_counts){.changed = 10});
    assert_int_equal(report->chunks.embedded, 0);
    sx_index_report_free(report);
}

static void edit_embeds_only_what_is_new(void **state)
{
    index_fixture *fixture = *state;
    index_and_check(fixture, fixture->docs, (expected_counts){.added = 10});
    write_file(fixture->folder, "docs/file3.md",
               "# Title 3\n\nThe first paragraph of file 3 says one thing.\n\n## Part\n\nThis one is new.\n");
    assert_int_equal(index_and_check(fixture, fixture->docs, (expected_counts){.changed = 1, .unchanged = 9}), 1);
    char *shown = export_of(fixture);
    assert_non_null(strstr(shown, "This one is new"));
    assert_null(strstr(shown, "second paragraph of file 3"));
    free(shown);
}

static void rename_embeds_nothing(void **state)
{
    index_fixture *fixture = *state;
    index_and_check(fixture, fixture->docs, (expected_counts){.added = 10});
    rename_file(fixture, "docs/file3.md", "docs/sub/moved.md");
    assert_int_equal(index_and_check(fixture, fixture->docs, (expected_counts){.added = 1, .removed = 1, .unchanged = 9}), 0);
    check_nothing_twice(fixture);
}

static void deleted_files_go(void **state)
{
    index_fixture *fixture = *state;
    index_and_check(fixture, fixture->docs, (expected_counts){.added = 10});
    delete_file(fixture, "docs/file3.md");
    index_and_check(fixture, fixture->docs, (expected_counts){.removed = 1, .unchanged = 9});
    char *shown = export_of(fixture);
    assert_null(strstr(shown, "paragraph of file 3"));
    free(shown);
}

static void chunk_options_are_remembered(void **state)
{
    index_fixture *fixture = *state;
    sx_index_options options = {
        .chunk = {.size = sizeof(sx_chunk_options), .strategy = "tokens", .chunk_size = 8, .overlap = -1}};
    sx_index_report *report = index_with(fixture, fixture->docs, options);
    uint64_t chunks = report->chunks.total;
    sx_index_report_free(report);
    index_and_check(fixture, fixture->docs, (expected_counts){.unchanged = 10}); /* without options: as before */
    options.chunk.chunk_size = 16;
    report = index_with(fixture, fixture->docs, options);
    check_report(report, (expected_counts){.changed = 10});
    assert_true(report->chunks.total < chunks);
    sx_index_report_free(report);
}

/* ---- What must not be lost ---- */

static void missing_and_emptied_paths_remove_nothing(void **state)
{
    index_fixture *fixture = *state;
    sx_error error;
    sx_index_report *report;
    index_and_check(fixture, fixture->docs, (expected_counts){.added = 10});
    char *before = export_of(fixture), *aside = join(fixture->folder, "aside"), *sub = join(fixture->docs, "sub");
    char *subaside = join(fixture->folder, "subaside");
    assert_int_equal(rename(fixture->docs, aside), 0);
    assert_int_equal(try_index(fixture, fixture->docs, (sx_index_options){0}, &report, &error), SX_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "docs"));
    sx_index_report_free(report);
    assert_int_equal(mkdir(fixture->docs, 0700), 0);
    assert_int_equal(mkdir(sub, 0700), 0); /* folders alone are nothing */
    assert_int_equal(try_index(fixture, fixture->docs, (sx_index_options){0}, &report, &error), SX_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "is empty, 10 documents known: nothing removed"));
    assert_true(error.hint[0]);
    sx_index_report_free(report);
    assert_int_equal(rmdir(sub), 0);
    assert_int_equal(rmdir(fixture->docs), 0);
    assert_int_equal(rename(aside, fixture->docs), 0);
    assert_int_equal(rename(sub, subaside), 0);
    assert_int_equal(mkdir(sub, 0700), 0);
    assert_int_equal(try_index(fixture, sub, (sx_index_options){0}, &report, &error), SX_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "5 documents known"));
    sx_index_report_free(report);
    char *after = export_of(fixture);
    assert_string_equal(before, after);
    free(before);
    free(after);
    free(aside);
    free(sub);
    free(subaside);
}

static void files_and_folders_below_a_root(void **state)
{
    index_fixture *fixture = *state;
    char *file = join(fixture->docs, "file1.md"), *sub = join(fixture->docs, "sub");
    index_and_check(fixture, fixture->docs, (expected_counts){.added = 10});
    index_and_check(fixture, file, (expected_counts){.unchanged = 1});
    write_file(fixture->folder, "docs/file1.md", "Something else.\n");
    delete_file(fixture, "docs/file2.md");
    delete_file(fixture, "docs/sub/file7.md");
    index_and_check(fixture, file, (expected_counts){.changed = 1});
    index_and_check(fixture, sub, (expected_counts){.unchanged = 4, .removed = 1});
    assert_int_equal(ask(fixture, "SELECT count(DISTINCT root) FROM document"), 1);
    assert_int_equal(ask(fixture, "SELECT count(*) FROM document"), 9); /* file2 was under neither path */
    index_and_check(fixture, fixture->docs, (expected_counts){.unchanged = 8, .removed = 1});
    /* Paths that lie in one another are one. */
    const char *paths[] = {sub, fixture->docs, file};
    sx_index_report *report = index_with(fixture, NULL, (sx_index_options){.paths = paths, .path_count = 3});
    check_report(report, (expected_counts){.unchanged = 8});
    sx_index_report_free(report);
    free(file);
    free(sub);
}

static void a_list_of_files(void **state)
{
    index_fixture *fixture = *state;
    char *a = join(fixture->docs, "file1.md"), *b = join(fixture->docs, "sub/file6.md");
    const char *paths[] = {a, b};
    sx_index_report *report = index_with(fixture, NULL, (sx_index_options){.paths = paths, .path_count = 2});
    check_report(report, (expected_counts){.added = 2});
    sx_index_report_free(report);
    assert_int_equal(ask(fixture, "SELECT count(DISTINCT root) FROM document"), 2); /* each in its own folder */
    /* Then all of it: the document of the inner root is not there twice. */
    index_and_check(fixture, fixture->docs, (expected_counts){.added = 9, .removed = 1, .unchanged = 1});
    assert_int_equal(ask(fixture, "SELECT count(*) FROM document"), 10);
    assert_int_equal(ask(fixture, "SELECT count(DISTINCT root) FROM document"), 1);
    check_nothing_twice(fixture);
    free(a);
    free(b);
}

static void skipped_files_are_named(void **state)
{
    index_fixture *fixture = *state;
    index_and_check(fixture, fixture->docs, (expected_counts){.added = 10});
    write_file(fixture->folder, "docs/.env", "KEY=1\n");
    write_file(fixture->folder, "docs/picture.png", "\x89PNG\r\n");
    write_file(fixture->folder, "docs/empty.txt", "");
    write_file(fixture->folder, "docs/blank.txt", " \n \n");
    write_file(fixture->folder, "docs/large.txt", "0123456789012345678901234567890123456789012345678901234567890123456789");
    char *path = join(fixture->docs, "file4.md"); /* a document that becomes binary goes from the results */
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 64; i++)
        assert_int_equal(fwrite("\1\0\2binary\0\3\0\0\x7f\x90\0", 1, 16, file), 16);
    fclose(file);
    free(path);
    char *limited = join(fixture->docs, "large.txt");
    sx_index_report *report = index_with(fixture, limited, (sx_index_options){.max_file_size = 50});
    check_report(report, (expected_counts){.skipped = 1});
    sx_index_report_free(report);
    free(limited);
    for (int round = 0; round < 2; round++) {
        report = index_with(fixture, fixture->docs, (sx_index_options){0});
        check_report(report, (expected_counts){.added = round == 0, .unchanged = round == 0 ? 9 : 10, .skipped = 5});
        assert_non_null(strstr(find_problem(report->skipped, 5, "file4.md")->reason, "binary"));
        assert_non_null(find_problem(report->skipped, 5, ".env"));
        assert_non_null(find_problem(report->skipped, 5, "picture.png"));
        assert_non_null(find_problem(report->skipped, 5, "empty.txt"));
        assert_non_null(find_problem(report->skipped, 5, "blank.txt"));
        sx_index_report_free(report);
    }
    char *shown = export_of(fixture);
    assert_null(strstr(shown, "paragraph of file 4"));
    free(shown);
}

static void failures_are_named_and_tried_again(void **state)
{
    index_fixture *fixture = *state;
    write_file(fixture->folder, "docs/bad.md", "# Bad\n\nAll is well in the first part of this file, which has no fault.\n\n"
               "## Worse\n\nBut here stands poison, and what comes after it.\n");
    use_embedder(fixture, "fake:a?max_length=20&poison=poison&max_texts=8");
    sx_index_report *report = index_with(fixture, fixture->docs, (sx_index_options){0});
    check_report(report, (expected_counts){.added = 10, .failed = 1});
    assert_int_equal(report->chunks.failed, 1);
    assert_int_equal(report->failed_count, 1);
    assert_string_equal(report->failed[0].document, "bad.md");
    assert_int_equal(report->failed[0].chunk, 1);
    assert_non_null(strstr(report->failed[0].reason, "400"));
    sx_index_report_free(report);
    use_embedder(fixture, quick);
    report = index_with(fixture, fixture->docs, (sx_index_options){.retry_failed = 1});
    check_report(report, (expected_counts){.changed = 1, .unchanged = 10});
    assert_int_equal(report->chunks.embedded, 1);
    sx_index_report_free(report);
    index_and_check(fixture, fixture->docs, (expected_counts){.unchanged = 11});
    check_nothing_twice(fixture);
}

/* ---- Options ---- */

static void dry_run_changes_nothing(void **state)
{
    index_fixture *fixture = *state;
    sx_error error;
    sx_index_report *report = index_with(fixture, fixture->docs, (sx_index_options){.dry_run = 1});
    check_report(report, (expected_counts){.added = 10});
    assert_true(report->chunks.embedded > 0 && report->tokens > 0 && report->chunks.cached == 0);
    uint64_t chunks = report->chunks.total;
    sx_index_report_free(report);
    assert_int_equal(counts_of(fixture->embedder)->batches, 0);
    sx_collection_row row = {0};
    assert_int_equal(sx_store_collection_find(fixture->database, "default", &row, &error), SX_E_NOT_FOUND);
    index_and_check(fixture, fixture->docs, (expected_counts){.added = 10});
    char *before = export_of(fixture);
    delete_file(fixture, "docs/file0.md");
    rename_file(fixture, "docs/file1.md", "docs/other.md");
    write_file(fixture->folder, "docs/file2.md", "# New\n\nAll new.\n");
    report = index_with(fixture, fixture->docs, (sx_index_options){.dry_run = 1});
    check_report(report, (expected_counts){.added = 1, .changed = 1, .removed = 2, .unchanged = 7});
    assert_int_equal(report->chunks.embedded, 1);
    assert_true(report->chunks.cached >= 2 && report->chunks.total < chunks);
    sx_index_report_free(report);
    char *after = export_of(fixture);
    assert_string_equal(before, after);
    free(before);
    free(after);
}

static void metadata_is_merged_and_stays(void **state)
{
    index_fixture *fixture = *state;
    const char *metadata[] = {"team=red", "title=Mine"};
    sx_index_report_free(index_with(fixture, fixture->docs, (sx_index_options){.metadata = metadata, .metadata_count = 2}));
    char *shown = export_of(fixture);
    assert_non_null(strstr(shown, "red"));
    assert_non_null(strstr(shown, "text/markdown"));
    free(shown);
    write_file(fixture->folder, "docs/file2.md", "# New\n\nAll new.\n");
    index_and_check(fixture, fixture->docs, (expected_counts){.changed = 1, .unchanged = 9}); /* none named: they stay */
    assert_int_equal(ask(fixture, "SELECT count(*) FROM document WHERE json_extract(metadata, '$.team') = 'red'"), 10);
    metadata[0] = "team=blue";
    sx_index_report *report = index_with(fixture, fixture->docs, (sx_index_options){.metadata = metadata, .metadata_count = 1});
    check_report(report, (expected_counts){.changed = 10});
    assert_int_equal(report->chunks.embedded, 0);
    sx_index_report_free(report);
    assert_int_equal(ask(fixture, "SELECT count(*) FROM document WHERE json_extract(metadata, '$.team') = 'blue'"), 10);
    sx_error error;
    metadata[0] = "novalue";
    sx_index_options options = {.metadata = metadata, .metadata_count = 1};
    assert_int_equal(try_index(fixture, fixture->docs, options, &report, &error), SX_E_INVALID);
    sx_index_report_free(report);
}

static void other_models_are_refused(void **state)
{
    index_fixture *fixture = *state;
    sx_error error;
    sx_index_report *report;
    index_and_check(fixture, fixture->docs, (expected_counts){.added = 10});
    use_embedder(fixture, "fake:b");
    assert_int_equal(try_index(fixture, fixture->docs, (sx_index_options){0}, &report, &error), SX_E_MISMATCH);
    assert_non_null(strstr(error.message, "fake:a"));
    assert_non_null(strstr(error.message, "fake:b"));
    assert_non_null(strstr(error.hint, "collection"));
    sx_index_report_free(report);
}

static void too_large_for_the_memory(void **state)
{
    index_fixture *fixture = *state;
    FILE *file;
    char *path = join(fixture->docs, "large.txt");
    assert_non_null(file = fopen(path, "w"));
    for (int i = 0; i < 400000; i++)
        fprintf(file, "line %d\n", i);
    fclose(file);
    free(path);
    uint64_t limit = 1 << 20;
    char line[256];
    file = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, file)) /* what this program uses already, and 8 MiB more */
        if (!strncmp(line, "VmRSS:", 6))
            limit = (strtoull(line + 6, NULL, 10) << 10) + (8 << 20);
    fclose(file);
    sx_index_report *report = index_with(fixture, fixture->docs, (sx_index_options){.max_memory = limit});
    assert_int_equal(report->failed_count, 1);
    assert_string_equal(report->failed[0].document, "large.txt");
    assert_non_null(strstr(report->failed[0].reason, "memory limit"));
    assert_int_equal(report->documents.added, 10);
    sx_index_report_free(report);
}

typedef struct seen_progress {
    char phase[64];
    uint64_t done, total;
    int reports, phases;
    bool sane;
} seen_progress;

static void watch(const sx_progress *progress, void *user)
{
    seen_progress *seen = user;
    bool same = !strcmp(seen->phase, progress->phase);
    if (strcmp(progress->phase, "scanning") != 0)
        seen->sane &= progress->done <= progress->total;
    if (same)
        seen->sane &= progress->done >= seen->done && progress->total == seen->total;
    seen->phases += !same;
    snprintf(seen->phase, sizeof seen->phase, "%s", progress->phase);
    seen->done = progress->done;
    seen->total = progress->total;
    seen->reports++;
}

static void progress_is_truthful(void **state)
{
    index_fixture *fixture = *state;
    seen_progress seen = {.sane = true};
    sx_index_report_free(
        index_with(fixture, fixture->docs, (sx_index_options){.progress = watch, .progress_user = &seen}));
    assert_true(seen.sane);
    assert_int_equal(seen.phases, 3);
    assert_string_equal(seen.phase, "publishing");
}

/* More chunks than a window holds, and many equal ones. */
static void a_huge_document_passes_through(void **state)
{
    index_fixture *fixture = *state;
    char *path = join(fixture->docs, "huge.txt");
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 20000; i++)
        fprintf(file, "Sentence number %d stands here.\n\n", i % 15000);
    fclose(file);
    use_embedder(fixture, "fake:a?max_length=20&max_texts=256&max_tokens=100000");
    sx_index_options options = {
        .chunk = {.size = sizeof(sx_chunk_options), .strategy = "paragraphs", .chunk_size = 1, .overlap = -1}};
    sx_index_report *report = index_with(fixture, path, options);
    check_report(report, (expected_counts){.added = 1});
    assert_int_equal(report->chunks.total, 20000);
    assert_int_equal(report->chunks.embedded, 15000);
    assert_int_equal(report->chunks.cached, 5000);
    sx_index_report_free(report);
    assert_int_equal(ask(fixture, "SELECT count(*) FROM chunk WHERE vector IS NOT NULL"), 20000);
    check_nothing_twice(fixture);
    free(path);
}

static void remove_takes_documents_out(void **state)
{
    index_fixture *fixture = *state;
    sx_error error;
    uint64_t removed;
    index_and_check(fixture, fixture->docs, (expected_counts){.added = 10});
    char *sub = join(fixture->docs, "sub/"), *file = join(fixture->docs, "file1.md"), *none = join(fixture->docs, "none");
    const char *paths[] = {file, none};
    assert_int_equal(sx_remove(fixture->database, NULL, paths, 2, &removed, &error), SX_E_NOT_FOUND);
    assert_int_equal(removed, 0);
    assert_ok(sx_remove(fixture->database, NULL, paths, 1, &removed, &error));
    assert_int_equal(removed, 1);
    char *away = join(fixture->folder, "away");
    assert_int_equal(rename(fixture->docs, away), 0); /* the paths need not exist */
    paths[0] = sub;
    assert_ok(sx_remove(fixture->database, "default", paths, 1, &removed, &error));
    assert_int_equal(removed, 5);
    paths[0] = fixture->docs;
    assert_ok(sx_remove(fixture->database, "default", paths, 1, &removed, &error));
    assert_int_equal(removed, 4);
    assert_int_equal(sx_remove(fixture->database, "nowhere", paths, 1, &removed, &error), SX_E_NOT_FOUND);
    free(sub);
    free(file);
    free(none);
    free(away);
}

static void wrong_calls_are_refused(void **state)
{
    index_fixture *fixture = *state;
    sx_error error;
    sx_index_report *report;
    sx_index_options options = {.size = sizeof options};
    assert_int_equal(sx_index(NULL, fixture->embedder, &options, &report, &error), SX_E_INVALID);
    assert_int_equal(sx_index(fixture->database, fixture->embedder, NULL, &report, &error), SX_E_INVALID);
    assert_int_equal(sx_index(fixture->database, fixture->embedder, &options, NULL, &error), SX_E_INVALID);
    assert_int_equal(sx_index(fixture->database, fixture->embedder, &options, &report, &error), SX_E_INVALID); /* no paths */
    sx_index_report_free(report);
    options.chunk = (sx_chunk_options){.size = sizeof options.chunk, .strategy = "by the moon"};
    assert_int_equal(try_index(fixture, fixture->docs, options, &report, &error), SX_E_INVALID);
    sx_index_report_free(report);
    sx_index_report_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(second_run_embeds_nothing),
        WITH_FIXTURE(unchanged_by_times_alone),
        WITH_FIXTURE(edit_embeds_only_what_is_new),
        WITH_FIXTURE(rename_embeds_nothing),
        WITH_FIXTURE(deleted_files_go),
        WITH_FIXTURE(chunk_options_are_remembered),
        WITH_FIXTURE(missing_and_emptied_paths_remove_nothing),
        WITH_FIXTURE(files_and_folders_below_a_root),
        WITH_FIXTURE(a_list_of_files),
        WITH_FIXTURE(skipped_files_are_named),
        WITH_FIXTURE(failures_are_named_and_tried_again),
        WITH_FIXTURE(dry_run_changes_nothing),
        WITH_FIXTURE(metadata_is_merged_and_stays),
        WITH_FIXTURE(other_models_are_refused),
        WITH_FIXTURE(too_large_for_the_memory),
        WITH_FIXTURE(progress_is_truthful),
        WITH_FIXTURE(a_huge_document_passes_through),
        WITH_FIXTURE(remove_takes_documents_out),
        WITH_FIXTURE(wrong_calls_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
