/* test_index_interrupted.c - sx_index stopped, killed, disturbed or refused on its way: nothing is lost, nothing is embedded
 * twice, and what is stored in the end is what a run that nothing disturbed makes. */
#include "index_fixture.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

typedef struct text_stopper {
    volatile int stop;
    const sx_embedder *embedder;
    uint64_t after; /* texts */
} text_stopper;

static void stop_in_the_middle(const sx_progress *progress, void *user)
{
    (void)progress;
    text_stopper *stopper = user;
    if (counts_of(stopper->embedder)->texts >= stopper->after)
        stopper->stop = 1;
}

/* The export of a run that nothing disturbed. */
static char *undisturbed(index_fixture *fixture)
{
    sx_error error;
    index_fixture other = {.folder = fixture->folder, .docs = fixture->docs, .database_path = join(fixture->folder, "other.db")};
    open_database(&other);
    other.embedder = open_embedder(quick, other.database, NULL);
    sx_index_report *report;
    assert_ok(try_index(&other, other.docs, (sx_index_options){0}, &report, &error));
    sx_index_report_free(report);
    char *text = export_of(&other);
    sx_embedder_close(other.embedder);
    sx_database_close(other.database);
    free(other.database_path);
    return text;
}

static void stopped_runs_go_on(void **state)
{
    index_fixture *fixture = *state;
    char *wanted = undisturbed(fixture);
    use_embedder(fixture, "fake:a?max_length=20&max_texts=1&in_flight=1&slow_ms=30");
    uint64_t embedded = 0;
    int stops = 0;
    for (;;) {
        sx_error error;
        sx_index_report *report;
        text_stopper stopper = {.embedder = fixture->embedder, .after = counts_of(fixture->embedder)->texts + 5};
        sx_index_options options = {.progress = stop_in_the_middle, .progress_user = &stopper, .stop = &stopper.stop};
        sx_status status = try_index(fixture, fixture->docs, options, &report, &error);
        assert_non_null(report);
        embedded += report->chunks.embedded;
        sx_index_report_free(report);
        if (!status)
            break;
        assert_int_equal(status, SX_E_STOPPED);
        assert_true(++stops < 20);
    }
    assert_true(stops >= 2);
    assert_int_equal(embedded, counts_of(fixture->embedder)->texts); /* the reports leave none out */
    char *shown = export_of(fixture);
    assert_string_equal(shown, wanted);
    assert_int_equal(ask(fixture, "SELECT count(*) FROM vector"), counts_of(fixture->embedder)->texts); /* none twice */
    check_nothing_twice(fixture);
    free(shown);
    free(wanted);
}

/* Runs sx_index in a process of its own, which writes how many texts it embedded. */
static pid_t index_in_child(const index_fixture *parent, const char *reference, int report_to)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child)
        return child;
    index_fixture own = {.docs = parent->docs, .database_path = parent->database_path};
    sx_error error;
    sx_index_report *report = NULL;
    sx_embedder_options options = {.size = sizeof options, .model = reference};
    int code = 1;
    if (!sx_database_open(own.database_path, NULL, &own.database, &error)) {
        options.cache = own.database;
        if (!sx_embedder_open(&options, &own.embedder, &error) &&
            !try_index(&own, own.docs, (sx_index_options){0}, &report, &error)) {
            uint64_t texts = counts_of(own.embedder)->texts;
            code = report_to < 0 || write(report_to, &texts, sizeof texts) == sizeof texts ? 0 : 1;
        }
    }
    if (code)
        fprintf(stderr, "child: %s\n", error.message);
    sx_index_report_free(report);
    sx_embedder_close(own.embedder);
    sx_database_close(own.database);
    _exit(code);
}

static void close_here(index_fixture *fixture)
{
    sx_embedder_close(fixture->embedder);
    sx_database_close(fixture->database);
    fixture->embedder = NULL;
    fixture->database = NULL;
}

static void killed_runs_go_on(void **state)
{
    index_fixture *fixture = *state;
    char *wanted = undisturbed(fixture);
    close_here(fixture);
    uint64_t random = 12345;
    int kills = 0;
    for (;;) {
        pid_t child = index_in_child(fixture, "fake:a?max_length=20&max_texts=1&in_flight=2&slow_ms=40", -1);
        random = random * 6364136223846793005u + 1442695040888963407u;
        struct timespec pause = {0, 10000000 + (long)((random >> 33) % 120000000)};
        nanosleep(&pause, NULL);
        kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFEXITED(status)) {
            assert_int_equal(WEXITSTATUS(status), 0);
            break;
        }
        assert_true(++kills < 200);
    }
    assert_true(kills >= 2);
    open_database(fixture);
    fixture->embedder = open_embedder(quick, fixture->database, NULL);
    index_and_check(fixture, fixture->docs, (expected_counts){.unchanged = 10});
    char *shown = export_of(fixture);
    assert_string_equal(shown, wanted);
    check_nothing_twice(fixture);
    free(shown);
    free(wanted);
}

static void two_processes_at_once(void **state)
{
    index_fixture *fixture = *state;
    char *wanted = undisturbed(fixture);
    close_here(fixture);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t children[2];
    for (int i = 0; i < 2; i++)
        children[i] = index_in_child(fixture, "fake:a?max_length=20&max_texts=2&slow_ms=5", ends[1]);
    uint64_t sum = 0;
    for (int i = 0; i < 2; i++) {
        int status;
        uint64_t texts;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        assert_int_equal(read(ends[0], &texts, sizeof texts), sizeof texts);
        sum += texts;
    }
    close(ends[0]);
    close(ends[1]);
    open_database(fixture);
    fixture->embedder = open_embedder(quick, fixture->database, NULL);
    char *shown = export_of(fixture);
    assert_string_equal(shown, wanted);
    assert_int_equal(sum, ask(fixture, "SELECT count(*) FROM vector"));
    check_nothing_twice(fixture);
    free(shown);
    free(wanted);
}

/* A path that is emptied while the job waits, walks or reads. */
typedef struct emptied {
    const char *docs, *aside, *phase;
    bool done;
} emptied;

static void empty_in_phase(const sx_progress *progress, void *user)
{
    emptied *when = user;
    if (when->done || strcmp(progress->phase, when->phase) != 0)
        return;
    when->done = true;
    assert_int_equal(rename(when->docs, when->aside), 0);
    assert_int_equal(mkdir(when->docs, 0700), 0);
}

static void paths_emptied_meanwhile_remove_nothing(void **state)
{
    index_fixture *fixture = *state;
    sx_error error;
    sx_index_report *report;
    static const char *const phases[] = {"scanning", "embedding"};
    index_and_check(fixture, fixture->docs, (expected_counts){.added = 10});
    char *aside = join(fixture->folder, "aside"), *before = export_of(fixture);
    for (size_t i = 0; i < 2; i++) {
        emptied when = {.docs = fixture->docs, .aside = aside, .phase = phases[i]};
        sx_index_options options = {.progress = empty_in_phase, .progress_user = &when, .force = 1};
        assert_int_equal(try_index(fixture, fixture->docs, options, &report, &error), SX_E_NOT_FOUND);
        assert_non_null(strstr(error.message, "nothing removed"));
        assert_int_equal(report->documents.removed, 0);
        sx_index_report_free(report);
        assert_true(when.done);
        assert_int_equal(rmdir(fixture->docs), 0);
        assert_int_equal(rename(aside, fixture->docs), 0);
        char *after = export_of(fixture);
        assert_string_equal(before, after);
        free(after);
    }
    free(before);
    free(aside);
}

/* Another job changes how the collection is cut while this one waits for it. */
typedef struct other_job {
    sx_database *database;
    int64_t collection;
    bool done;
} other_job;

static void end_other_job(const sx_progress *progress, void *user)
{
    other_job *other = user;
    sx_error error;
    if (other->done || strncmp(progress->phase, "waiting", 7) != 0)
        return;
    other->done = true;
    assert_ok(sx_store_collection_settings(other->database, other->collection,
                                           "{\"chunk\":{\"strategy\":\"tokens\",\"chunk_size\":8}}", &error));
    sx_store_lease_release(other->database, other->collection);
}

static void settings_changed_while_waiting_count(void **state)
{
    index_fixture *fixture = *state;
    sx_error error;
    sx_collection_row row = {0};
    other_job other = {0};
    index_and_check(fixture, fixture->docs, (expected_counts){.added = 10});
    assert_ok(sx_database_open(fixture->database_path, NULL, &other.database, &error));
    assert_ok(sx_store_collection_find(other.database, "default", &row, &error));
    assert_ok(sx_store_lease(other.database, row.id, false, NULL, &error));
    other.collection = row.id;
    sx_index_report *report =
        index_with(fixture, fixture->docs, (sx_index_options){.progress = end_other_job, .progress_user = &other});
    check_report(report, (expected_counts){.changed = 10}); /* cut as the collection says now */
    sx_index_report_free(report);
    index_and_check(fixture, fixture->docs, (expected_counts){.unchanged = 10});
    assert_true(other.done);
    sx_collection_row_clear(&row);
    sx_database_close(other.database);
}

static void lease_is_respected(void **state)
{
    index_fixture *fixture = *state;
    sx_error error;
    sx_index_report *report;
    index_and_check(fixture, fixture->docs, (expected_counts){.added = 10});
    sx_database *other;
    sx_collection_row row = {0};
    assert_ok(sx_database_open(fixture->database_path, NULL, &other, &error));
    assert_ok(sx_store_collection_find(other, "default", &row, &error));
    assert_ok(sx_store_lease(other, row.id, false, NULL, &error));
    assert_int_equal(try_index(fixture, fixture->docs, (sx_index_options){.no_wait = 1}, &report, &error), SX_E_BUSY);
    sx_index_report_free(report);
    const char *paths[] = {fixture->docs};
    uint64_t removed;
    assert_int_equal(sx_remove(fixture->database, NULL, paths, 1, &removed, &error), SX_E_BUSY);
    sx_store_lease_release(other, row.id);
    sx_collection_row_clear(&row);
    sx_database_close(other);
    index_and_check(fixture, fixture->docs, (expected_counts){.unchanged = 10});
}

static void a_fatal_provider_keeps_what_was_done(void **state)
{
    index_fixture *fixture = *state;
    sx_error error;
    sx_index_report *report;
    use_embedder(fixture, "fake:a?max_length=20&max_texts=4&fatal=4&in_flight=1");
    assert_int_equal(try_index(fixture, fixture->docs, (sx_index_options){0}, &report, &error), SX_E_PROVIDER);
    assert_non_null(strstr(error.message, "401"));
    assert_true(report->documents.added > 0 && report->documents.added < 10);
    assert_int_equal(report->failed_count, 0);
    sx_index_report_free(report);
    use_embedder(fixture, quick);
    report = index_with(fixture, fixture->docs, (sx_index_options){0});
    assert_int_equal(report->documents.failed, 0);
    sx_index_report_free(report);
    char *shown = export_of(fixture), *wanted = undisturbed(fixture);
    assert_string_equal(shown, wanted);
    check_nothing_twice(fixture);
    free(shown);
    free(wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(stopped_runs_go_on),
        WITH_FIXTURE(killed_runs_go_on),
        WITH_FIXTURE(two_processes_at_once),
        WITH_FIXTURE(paths_emptied_meanwhile_remove_nothing),
        WITH_FIXTURE(settings_changed_while_waiting_count),
        WITH_FIXTURE(lease_is_respected),
        WITH_FIXTURE(a_fatal_provider_keeps_what_was_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
