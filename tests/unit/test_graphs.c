/* test_graphs.c - graphs beside segments: made by publishing, used by searches, begun anew from older ones, of no harm when they are
 * missing or damaged, when whoever makes them is stopped, and when he is killed. */
#include "store_support.h"

#include "store/segments.h"

#include <signal.h>
#include <time.h>

enum { ROWS = 21000, MORE = 21000, DIMENSIONS = 12, K = 10, QUERIES = 20, PART = 3000, KILLS = 24 };

static sx_database *database;
static sx_collection_row collection;
static uint64_t number; /* of the next vector */

static void add_document(size_t count)
{
    sx_error error = {0};
    float vector[DIMENSIONS];
    int64_t vectors[PART], id;
    char path[32];
    OK(sx_store_begin(database, &error));
    for (size_t i = 0; i < count; i++) {
        random_vector(vector, DIMENSIONS);
        vectors[i] = put_vector(database, collection.recipe, number++, vector);
    }
    snprintf(path, sizeof path, "%llu", (unsigned long long)number);
    OK(commit_document(database, collection.id, "/r", path, NULL, vectors, count, &id, &error));
    OK(sx_store_commit(database, &error));
}

static void add_rows(size_t count)
{
    sx_error error = {0};
    for (size_t done = 0; done < count; done += PART)
        add_document(PART);
    OK(sx_store_publish(database, collection.id, true, &error));
}

static void open_graphs(const char *name)
{
    sx_error error = {0};
    database = open_named(name);
    int64_t recipe = make_recipe(database, "graphs", DIMENSIONS, true);
    OK(sx_store_collection_open(database, "graphs", recipe, "{}", &collection, &error));
}

static void close_graphs(void)
{
    sx_collection_row_clear(&collection);
    sx_database_close(database);
}

static double recall(uint32_t ef)
{
    sx_error error = {0};
    size_t hits = 0;
    for (int q = 0; q < QUERIES; q++) {
        float query[DIMENSIONS];
        sx_candidate exact[K], found[K];
        size_t exact_count, found_count;
        random_vector(query, DIMENSIONS);
        OK(sx_store_nearest_by(database, &collection, query, K, NULL, 0, &(sx_nearest_options){.exact = true}, exact, &exact_count,
                               &error));
        OK(sx_store_nearest_by(database, &collection, query, K, NULL, 0, &(sx_nearest_options){.ef_search = ef}, found,
                               &found_count, &error));
        assert_int_equal(exact_count, K);
        assert_int_equal(found_count, K);
        for (size_t i = 0; i < K; i++)
            for (size_t j = 0; j < K; j++)
                hits += exact[i].chunk == found[j].chunk && exact[i].similarity == found[j].similarity;
    }
    return (double)hits / (QUERIES * K);
}

/* How many files end so; the path of one. */
static size_t files(const char *end, char *path, size_t size)
{
    size_t count = 0;
    DIR *folder = opendir(database->folder);
    struct dirent *entry;
    while (folder && (entry = readdir(folder)))
        if (strlen(entry->d_name) > strlen(end) && strcmp(entry->d_name + strlen(entry->d_name) - strlen(end), end) == 0) {
            snprintf(path, size, "%s/%s", database->folder, entry->d_name);
            count++;
        }
    if (folder)
        closedir(folder);
    return count;
}

static void test_graphs_come_and_go(void **state)
{
    sx_error error = {0};
    char path[600];
    open_graphs("graphs.db");
    add_rows(ROWS);
    assert_int_equal(files(".sxg", path, sizeof path), 1);
    assert_true(recall(0) >= 0.95);

    /* Damaged: noticed, the answer is exact, the file goes and comes back. */
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 200, SEEK_SET), 0);
    assert_true(fputc(0xa5, file) != EOF && fputc(0x5a, file) != EOF && fclose(file) == 0);
    sx_segments_unmap(database, collection.id, NULL);
    assert_true(recall(0) == 1.0);
    assert_int_equal(files(".sxg", path, sizeof path), 0);
    OK(sx_store_publish(database, collection.id, false, &error));
    assert_int_equal(files(".sxg", path, sizeof path), 1);
    assert_true(recall(0) >= 0.95);

    /* Merged: one graph again, begun from the old one; what a killed publisher left is swept. */
    snprintf(path, sizeof path, "%s/collection-1-1234-1.new", database->folder);
    file = fopen(path, "wb");
    assert_true(file && fclose(file) == 0);
    add_rows(MORE);
    assert_int_equal(files(".sxv", path, sizeof path), 1);
    assert_int_equal(files(".sxg", path, sizeof path), 1);
    assert_int_equal(files(".new", path, sizeof path), 0);
    assert_true(recall(0) >= 0.95);
    close_graphs();
}

/* ---- Stopped ---- */

typedef struct watcher {
    volatile int stop;
    size_t stop_at, calls, last, total;
} watcher;

static void note(size_t done, size_t total, void *user)
{
    watcher *seen = user;
    assert_true(done > seen->last && done <= total);
    seen->calls++;
    seen->last = done;
    seen->total = total;
    seen->stop = done >= seen->stop_at;
}

static void test_publishing_is_stopped(void **state)
{
    sx_error error = {0};
    char path[600];
    open_graphs("stopped.db");
    sx_store_graphs_from(database, 500);
    add_document(2000);
    watcher seen = {.stop_at = 700};
    sx_publish_watch watch = {&seen.stop, note, &seen};
    assert_int_equal(sx_store_publish_watched(database, collection.id, true, &watch, &error), SX_E_STOPPED);
    assert_true(seen.last >= 700 && seen.last < 2000 && seen.total == 2000);
    assert_int_equal(files(".sxv", path, sizeof path), 1);
    assert_int_equal(files(".sxg", path, sizeof path) + files(".new", path, sizeof path), 0);
    assert_true(recall(0) == 1.0); /* by a scan */
    seen = (watcher){.stop_at = SIZE_MAX};
    OK(sx_store_publish_watched(database, collection.id, false, &watch, &error));
    assert_true(seen.last == 2000 && seen.calls > 10);
    assert_int_equal(files(".sxg", path, sizeof path), 1);
    assert_true(recall(0) >= 0.95);
    close_graphs();
}

/* ---- Killed ---- */

static int64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* A child indexes, publishes and makes graphs; it says so when a round is done. */
static void work_until_killed(int done)
{
    sx_error error = {0};
    open_graphs("killed.db");
    sx_store_graphs_from(database, 300);
    for (;;) {
        add_document(PART / 10);
        OK(sx_store_publish(database, collection.id, true, &error));
        if (write(done, "", 1) != 1)
            _exit(1);
    }
}

static void test_killed_while_a_graph_is_made(void **state)
{
    sx_error error = {0};
    char path[600];
    size_t without = 0, leftovers = 0;
    for (int kill_number = 0; kill_number < KILLS; kill_number++) {
        int ends[2];
        char byte;
        assert_int_equal(pipe(ends), 0);
        number = 1000000 * (uint64_t)(kill_number + 1); /* the child's rows are others each time */
        random_seed += 1;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            close(ends[0]);
            work_until_killed(ends[1]);
        }
        close(ends[1]);
        int64_t began = nanoseconds();
        assert_int_equal(read(ends[0], &byte, 1), 1);
        int64_t round_ns = nanoseconds() - began;
        /* Anywhere within the next round. */
        int64_t delay = (int64_t)(next_unit() * (double)round_ns);
        nanosleep(&(struct timespec){delay / 1000000000, delay % 1000000000}, NULL);
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        close(ends[0]);

        open_graphs("killed.db");
        sx_store_graphs_from(database, 300);
        size_t segments = files(".sxv", path, sizeof path), graphs = files(".sxg", path, sizeof path);
        without += graphs < segments;
        leftovers += files(".new", path, sizeof path);
        assert_true(recall(PART * 2) >= 0.999); /* a list as long as the segment: what a graph does not reach is missing */
        OK(sx_store_publish(database, collection.id, true, &error));
        assert_int_equal(files(".sxg", path, sizeof path), files(".sxv", path, sizeof path));
        assert_int_equal(files(".new", path, sizeof path), 0);
        assert_true(recall(PART * 2) >= 0.999);
        assert_int_equal(scalar(database, "SELECT count(*) FROM chunk") % (PART / 10), 0); /* documents are whole */
        close_graphs();
    }
    print_message("%d kills: %zu found a graph missing, %zu half a file\n", KILLS, without, leftovers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graphs_come_and_go),
        cmocka_unit_test(test_publishing_is_stopped),
        cmocka_unit_test(test_killed_while_a_graph_is_made),
    };
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
