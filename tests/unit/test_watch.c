/* test_watch.c - bursts on a clock of our own; real changes told by the kernel; what happens where it cannot tell; runs over what
 * changed. */
#include "index_fixture.h"

#include "base/clock.h"
#include "index/watch.h"

static void test_bursts_end_after_quiet_or_when_too_long(void **state)
{
    (void)state;
    sx_burst burst = {0};
    assert_int_equal(sx_burst_left(&burst, 10, 100, 5), -1);
    sx_burst_note(&burst, 0);
    assert_int_equal(sx_burst_left(&burst, 10, 100, 0), 10);
    sx_burst_note(&burst, 8);
    assert_int_equal(sx_burst_left(&burst, 10, 100, 10), 8);
    assert_int_equal(sx_burst_left(&burst, 10, 100, 18), 0);
    for (int64_t now = 8; now <= 95; now += 5)
        sx_burst_note(&burst, now);
    assert_int_equal(sx_burst_left(&burst, 10, 100, 96), 4); /* 100 after the first, although it goes on */
    assert_int_equal(sx_burst_left(&burst, 10, 100, 100), 0);
}

static sx_watch *open_watch(const char *path, sx_watch_options options)
{
    sx_error error;
    sx_watch *watch;
    options.size = sizeof options;
    options.paths = &path;
    options.path_count = 1;
    options.settle_ms = 20;
    options.most_ms = 500;
    options.poll_ms = 30;
    assert_ok(sx_watch_open(&options, &watch, &error));
    return watch;
}

static sx_watch_news next(sx_watch *watch)
{
    sx_error error;
    sx_watch_news news;
    assert_ok(sx_watch_next(watch, NULL, &news, &error));
    return news;
}

static bool tells(const sx_watch_news *news, const char *folder, const char *name)
{
    bool found = false;
    char *path = join(folder, name);
    for (size_t i = 0; i < news->count; i++)
        found = found || !strcmp(news->paths[i], path);
    free(path);
    return found || news->everything;
}

static void move(const char *folder, const char *from, const char *to)
{
    char *a = join(folder, from), *b = join(folder, to);
    assert_int_equal(rename(a, b), 0);
    free(a);
    free(b);
}

static void test_changes_are_told(void **state)
{
    index_fixture *f = *state;
    sx_watch *watch = open_watch(f->docs, (sx_watch_options){0});
    write_file(f->docs, "file0.md", "other");
    write_file(f->docs, "new.md", "new");
    sx_watch_news news = next(watch);
    assert_true(!news.everything && tells(&news, f->docs, "file0.md") && tells(&news, f->docs, "new.md"));
    write_file(f->docs, ".file1.md.swp", "as editors save");
    move(f->docs, ".file1.md.swp", "file1.md");
    news = next(watch);
    assert_true(tells(&news, f->docs, "file1.md"));
    write_file(f->docs, "a/b/c.md", "in new folders");
    news = next(watch);
    assert_true(tells(&news, f->docs, "a"));
    write_file(f->docs, "a/b/d.md", "which are watched");
    news = next(watch);
    assert_true(tells(&news, f->docs, "a/b/d.md"));
    move(f->docs, "a", "z");
    news = next(watch);
    assert_true(tells(&news, f->docs, "a") && tells(&news, f->docs, "z"));
    write_file(f->docs, "z/b/e.md", "also under the new name");
    news = next(watch);
    assert_true(tells(&news, f->docs, "z/b/e.md"));
    sx_watch_close(watch);
}

static void test_stop(void **state)
{
    index_fixture *f = *state;
    volatile int stop = 1;
    sx_error error;
    sx_watch_news news;
    sx_watch *watch = open_watch(f->docs, (sx_watch_options){0});
    assert_int_equal(sx_watch_next(watch, &stop, &news, &error), SX_E_STOPPED);
    sx_watch_close(watch);
}

static void test_too_many_folders_are_polled(void **state)
{
    index_fixture *f = *state;
    sx_watch *watch = open_watch(f->docs, (sx_watch_options){.most_folders = 1});
    sx_watch_news news = next(watch);
    assert_true(news.everything);
    assert_non_null(strstr(news.reason, "looking every 0.03 s instead"));
    news = next(watch);
    assert_true(news.everything);
    sx_watch_close(watch);
    watch = open_watch(f->docs, (sx_watch_options){.always_poll = 1});
    assert_true(next(watch).everything);
    sx_watch_close(watch);
}

/* More changes at once than the kernel keeps: everything is looked at, and folders that were made meanwhile are watched. */
static void test_an_overflow_is_a_rescan(void **state)
{
    index_fixture *f = *state;
    unsigned long most = 0;
    FILE *limit = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    assert_non_null(limit);
    assert_int_equal(fscanf(limit, "%lu", &most), 1);
    fclose(limit);
    sx_watch *watch = open_watch(f->docs, (sx_watch_options){0});
    for (unsigned long i = 0; i <= most / 4 + 1; i++) { /* each rename is two events */
        move(f->docs, "file0.md", "other.md");
        move(f->docs, "other.md", "file0.md");
    }
    write_file(f->docs, "unseen/a.md", "its folder was made when nothing was kept");
    sx_watch_news news = next(watch);
    assert_true(news.everything);
    assert_string_equal(news.reason, "more changed at once than the system keeps");
    write_file(f->docs, "unseen/b.md", "watched all the same");
    news = next(watch);
    assert_true(!news.everything && tells(&news, f->docs, "unseen/b.md"));
    sx_watch_close(watch);
}

static void test_a_path_that_goes_and_comes_back(void **state)
{
    index_fixture *f = *state;
    sx_watch *watch = open_watch(f->docs, (sx_watch_options){0});
    move(f->folder, "docs", "away");
    sx_watch_news news = next(watch);
    assert_true(news.everything);
    assert_string_equal(news.reason, "a path is gone");
    move(f->folder, "away", "docs");
    news = next(watch);
    assert_true(news.everything);
    write_file(f->docs, "again.md", "watched again");
    news = next(watch);
    assert_true(tells(&news, f->docs, "again.md"));
    sx_watch_close(watch);
}

static void test_runs_over_what_changed(void **state)
{
    index_fixture *f = *state;
    sx_index_report *report = index_with(f, f->docs, (sx_index_options){0});
    assert_int_equal(report->documents.added, 10);
    sx_index_report_free(report);
    write_file(f->docs, "file0.md", "changed and named");
    write_file(f->docs, "file1.md", "changed and not named");
    write_file(f->docs, "sub/more/x.md", "new");
    char *gone = join(f->docs, "file2.md"), *changed = join(f->docs, "file0.md"), *folder = join(f->docs, "sub/more");
    unlink(gone);
    const char *names[] = {changed, gone, folder, "/nowhere/else"};
    report = index_with(f, f->docs, (sx_index_options){.changed = names, .changed_count = 4});
    assert_int_equal(report->documents.changed, 1);
    assert_int_equal(report->documents.added, 1);
    assert_int_equal(report->documents.removed, 1);
    assert_int_equal(report->documents.unchanged, 0);
    sx_index_report_free(report);
    char *rules = join(f->docs, "sub/.gitignore"); /* stands for its folder */
    write_file(f->docs, "sub/.gitignore", "file5.md\n");
    const char *ignore[] = {rules};
    report = index_with(f, f->docs, (sx_index_options){.changed = ignore, .changed_count = 1});
    assert_int_equal(report->documents.removed, 1);
    assert_int_equal(report->documents.unchanged, 5);
    sx_index_report_free(report);
    report = index_with(f, f->docs, (sx_index_options){.changed = names, .changed_count = 0}); /* nothing is asked for */
    assert_int_equal(report->documents.total, 0);
    sx_index_report_free(report);
    report = index_with(f, f->docs, (sx_index_options){0});
    assert_int_equal(report->documents.changed, 1);
    sx_index_report_free(report);
    free(gone);
    free(changed);
    free(folder);
    free(rules);
}

static void test_similar_and_passages(void **state)
{
    index_fixture *f = *state;
    sx_error error;
    sx_hits *hits;
    sx_index_report_free(index_with(f, f->docs, (sx_index_options){0}));
    char *path = join(f->docs, "file3.md");
    sx_place place = {.size = sizeof place, .path = path, .line = 3};
    sx_search_options options = {.size = sizeof options, .count = 50, .keep_duplicates = 1};
    assert_ok(sx_similar(f->database, &place, &options, &hits, &error));
    assert_true(hits->count > 10);
    for (size_t i = 0; i < hits->count; i++)
        assert_false(!strcmp(hits->hits[i].document, "file3.md") && hits->hits[i].start_line <= 3 && hits->hits[i].end_line >= 3);
    sx_hits_free(hits);
    place.line = 0;
    assert_ok(sx_similar(f->database, &place, &options, &hits, &error));
    for (size_t i = 0; i < hits->count; i++)
        assert_string_not_equal(hits->hits[i].document, "file3.md");
    sx_hits_free(hits);
    place.line = 1000;
    assert_int_equal(sx_similar(f->database, &place, &options, &hits, &error), SX_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "line 1000"));
    place = (sx_place){.size = sizeof place, .root = f->docs, .document = "file3.md", .index = 0};
    assert_ok(sx_passages(f->database, NULL, &place, 0, 100, &hits, &error));
    assert_true(hits->count > 1 && hits->hits[0].index == 0 && hits->hits[1].index == 1);
    sx_hits_free(hits);
    place.index = 77;
    assert_int_equal(sx_passages(f->database, NULL, &place, 0, 0, &hits, &error), SX_E_NOT_FOUND);
    place.document = "../t.db";
    assert_int_equal(sx_passages(f->database, NULL, &place, 0, 0, &hits, &error), SX_E_NOT_FOUND);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bursts_end_after_quiet_or_when_too_long),
        cmocka_unit_test_setup_teardown(test_changes_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many_folders_are_polled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_overflow_is_a_rescan, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_path_that_goes_and_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_runs_over_what_changed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_similar_and_passages, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
