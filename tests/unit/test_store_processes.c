/* test_store_processes.c - many processes at once, sudden death, a full disk, a folder one may not write to.
 *
 * Children say on a pipe what went wrong, or what they have committed; the parent compares with what it finds. */
#include "store_support.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <time.h>

enum { DIMENSIONS = 24, TEXTS = 150, CHUNKS = 6 };

/* A child's check: prints and ends it. */
static void child_check(sx_status status, const sx_error *error, int line)
{
    if (!status)
        return;
    fprintf(stderr, "child, line %d: %s: %s\n", line, sx_status_name(status), error->message);
    _exit(1);
}
#define CHILD(call) child_check((call), &error, __LINE__)

static int wait_for(pid_t child)
{
    int result = 0;
    assert_int_equal(waitpid(child, &result, 0), child);
    return WIFEXITED(result) ? WEXITSTATUS(result) : 128 + WTERMSIG(result);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* The vector a text would be embedded as: the same in every process. */
static void embed(uint64_t text, float *vector)
{
    uint64_t kept = random_seed;
    random_seed = (text + 1) * 0x9e3779b97f4a7c15u;
    random_vector(vector, DIMENSIONS);
    random_seed = kept;
}

/* Ids of the vectors of some texts, embedding what nobody has and waiting for what others have in hand. */
static void get_vectors(sx_database *database, int64_t recipe, const uint64_t *texts, size_t count, int64_t *ids)
{
    sx_error error = {0};
    for (size_t i = 0; i < count; i++)
        ids[i] = 0;
    for (size_t left = count; left;) {
        for (size_t i = 0; i < count; i++) {
            sx_sha256 hash = hash_of_number(texts[i]);
            sx_claim claim;
            sx_vector_row row;
            float vector[DIMENSIONS], stored[DIMENSIONS];
            if (ids[i])
                continue;
            CHILD(sx_store_claim(database, recipe, &hash, 1, &claim, &error));
            embed(texts[i], vector);
            if (claim == SX_CLAIM_MINE && next_random() % 10 == 0) {
                CHILD(sx_store_release(database, recipe, &hash, 1, &error)); /* thought better of it */
            } else if (claim == SX_CLAIM_MINE) {
                CHILD(sx_store_put(database, recipe, &hash, 1, vector, &(sx_vector_row){.tokens = 3}, &ids[i], &error));
            } else if (claim == SX_CLAIM_STORED) {
                CHILD(sx_store_lookup(database, recipe, &hash, 1, &row, stored, &error));
                if (row.id && memcmp(stored, vector, sizeof vector) != 0) {
                    fprintf(stderr, "child: another vector came back\n");
                    _exit(1);
                }
                ids[i] = row.id;
            } else {
                usleep(500);
            }
            left -= ids[i] != 0;
        }
    }
}

static void commit_random(sx_database *database, int64_t collection, int64_t recipe, const char *path)
{
    sx_error error = {0};
    uint64_t texts[CHUNKS];
    int64_t ids[CHUNKS];
    for (size_t i = 0; i < CHUNKS; i++)
        texts[i] = next_random() % TEXTS;
    get_vectors(database, recipe, texts, CHUNKS, ids);
    CHILD(commit_document(database, collection, "/r", path, NULL, ids, CHUNKS, NULL, &error));
}

/* The nearest of all live chunks, the slow way. */
static void check_search(sx_database *database, const sx_collection_row *collection)
{
    sx_error error = {0};
    float query[DIMENSIONS];
    sx_candidate found[10];
    size_t count;
    random_vector(query, DIMENSIONS);
    OK(sx_store_nearest(database, collection, query, 10, NULL, 0, found, &count, &error));
    int64_t live = scalar(database, "SELECT count(*) FROM chunk WHERE vector IS NOT NULL");
    assert_int_equal(count, live < 10 ? live : 10);
    double best = -2;
    sqlite3_stmt *statement;
    assert_int_equal(
        sqlite3_prepare_v2(database->sqlite, "SELECT v.data FROM chunk c JOIN vector v ON v.id = c.vector", -1, &statement, NULL),
        SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        const float *row = sqlite3_column_blob(statement, 0);
        double dot = 0;
        for (size_t j = 0; j < DIMENSIONS; j++)
            dot += (double)row[j] * query[j];
        best = dot > best ? dot : best;
    }
    sqlite3_finalize(statement);
    if (count)
        assert_true(fabs(best - (double)found[0].similarity) < 1e-5);
}

static void test_all_create_at_once(void **state)
{
    pid_t children[8];
    int go[2];
    assert_int_equal(pipe(go), 0);
    for (int i = 0; i < 8; i++)
        if ((children[i] = fork()) == 0) {
            char byte;
            close(go[1]);
            (void)!read(go[0], &byte, 1);
            sx_error error = {0};
            sx_database *database;
            char *path = in_folder("deep/er/created.db");
            CHILD(sx_database_open(path, NULL, &database, &error));
            int64_t recipe = make_recipe(database, "m", DIMENSIONS, true);
            put_vector(database, recipe, (uint64_t)i, (float[DIMENSIONS]){1});
            sx_database_close(database);
            _exit(0);
        }
    close(go[0]);
    close(go[1]);
    for (int i = 0; i < 8; i++)
        assert_int_equal(wait_for(children[i]), 0);
    sx_database *database = open_named("deep/er/created.db");
    assert_int_equal(scalar(database, "SELECT count(*) FROM vector"), 8);
    assert_int_equal(scalar(database, "SELECT count(*) FROM recipe"), 1);
    check_whole(database);
    sx_database_close(database);
}

static void work(int number, double until)
{
    sx_error error = {0};
    sx_database *database = open_named("many.db");
    int64_t recipe = make_recipe(database, "m", DIMENSIONS, true);
    sx_collection_row collection = open_collection(database, "c", recipe);
    random_seed += (uint64_t)number * 7919;
    for (int step = 0; seconds() < until; step++) {
        char path[40];
        snprintf(path, sizeof path, "%d/%d", number, step % 17);
        commit_random(database, collection.id, recipe, path);
        float query[DIMENSIONS];
        sx_candidate found[10];
        size_t count;
        random_vector(query, DIMENSIONS);
        CHILD(sx_store_nearest(database, &collection, query, 10, NULL, 0, found, &count, &error));
        if (step % 5 == 2)
            CHILD(sx_store_publish(database, collection.id, true, &error));
        if (step % 7 == 3) {
            sx_document_row row;
            CHILD(sx_store_document_find(database, collection.id, "/r", path, &row, &error));
            CHILD(sx_store_document_remove(database, row.id, &error));
            sx_document_row_clear(&row);
        }
        if (step % 11 == 5) {
            char name[40];
            snprintf(name, sizeof name, "backup-%d-%d", number, step);
            char *backup = in_folder(name);
            CHILD(sx_database_backup(database, backup, &error));
            sx_database *copy;
            CHILD(sx_database_open(backup, NULL, &copy, &error));
            check_whole(copy);
            sx_database_close(copy);
            free(backup);
        }
        if (step % 13 == 6) { /* opening and closing among the others */
            sx_database_close(database);
            database = open_named("many.db");
        }
        if (step % 6 == 4) {
            sx_database_status *status;
            CHILD(sx_database_describe(database, &status, &error));
            sx_database_status_free(status);
        }
    }
    sx_collection_row_clear(&collection);
    sx_database_close(database);
}

static void test_many_processes(void **state)
{
    pid_t children[4];
    double until = seconds() + 4;
    for (int i = 0; i < 4; i++)
        if ((children[i] = fork()) == 0) {
            work(i, until);
            _exit(0);
        }
    for (int i = 0; i < 4; i++)
        assert_int_equal(wait_for(children[i]), 0);
    sx_database *database = open_named("many.db");
    check_whole(database);
    assert_int_equal(scalar(database, "SELECT max(computed) FROM vector"), 1);
    assert_int_equal(scalar(database, "SELECT count(*) FROM claim"), 0);
    sx_collection_row collection = open_collection(database, "c", make_recipe(database, "m", DIMENSIONS, true));
    for (int i = 0; i < 5; i++)
        check_search(database, &collection);
    sx_collection_row_clear(&collection);
    sx_database_close(database);
}

/* Commits documents and says each one's number, until killed. */
static void commit_until_killed(int out, int round)
{
    sx_error error = {0};
    sx_database *database = open_named("killed.db");
    int64_t recipe = make_recipe(database, "m", DIMENSIONS, true);
    sx_collection_row collection = open_collection(database, "c", recipe);
    random_seed += (uint64_t)round * 104729;
    CHILD(sx_store_lease(database, collection.id, false, NULL, &error)); /* what the dead held is free */
    for (int step = 0;; step++) {
        char path[40];
        int name = round * 1000 + step;
        snprintf(path, sizeof path, "%d", name);
        commit_random(database, collection.id, recipe, path);
        if (write(out, &name, sizeof name) != sizeof name)
            _exit(1);
        if (step % 3 == 1)
            CHILD(sx_store_publish(database, collection.id, true, &error));
    }
}

static void test_kill_at_any_moment(void **state)
{
    sx_error error = {0};
    int committed = 0;
    /* A busy machine commits little before it is killed: then there are more rounds. */
    for (int round = 0; round < 25 || (committed <= 20 && round < 500); round++) {
        int pipes[2], name;
        assert_int_equal(pipe(pipes), 0);
        pid_t child = fork();
        if (child == 0) {
            close(pipes[0]);
            commit_until_killed(pipes[1], round);
        }
        close(pipes[1]);
        usleep((useconds_t)(5000 + next_random() % 150000));
        kill(child, SIGKILL);
        assert_int_equal(wait_for(child), 128 + SIGKILL);
        sx_database *database = open_named("killed.db");
        check_whole(database);
        sx_collection_row collection = open_collection(database, "c", make_recipe(database, "m", DIMENSIONS, true));
        while (read(pipes[0], &name, sizeof name) == sizeof name) {
            char path[40];
            snprintf(path, sizeof path, "%d", name);
            sx_document_row row;
            OK(sx_store_document_find(database, collection.id, "/r", path, &row, &error));
            assert_int_equal(row.state, SX_DOCUMENT_DONE);
            assert_int_equal(row.chunk_count, CHUNKS);
            sx_document_row_clear(&row);
            committed++;
        }
        close(pipes[0]);
        if (scalar(database, "SELECT count(*) FROM vector"))
            assert_int_equal(scalar(database, "SELECT max(computed) FROM vector"), 1);
        check_search(database, &collection);
        sx_collection_row_clear(&collection);
        sx_database_close(database);
    }
    assert_true(committed > 20);
    /* What the killed left half done is cleared away by the next. */
    sx_database *database = open_named("killed.db");
    sx_collection_row collection = open_collection(database, "c", make_recipe(database, "m", DIMENSIONS, true));
    OK(sx_store_publish(database, collection.id, true, &error));
    DIR *folder = opendir(database->folder);
    int files = 0;
    for (struct dirent *entry; (entry = readdir(folder));)
        files += entry->d_name[0] != '.';
    closedir(folder);
    assert_int_equal(files, scalar(database, "SELECT count(*) FROM segment"));
    sx_collection_row_clear(&collection);
    sx_database_close(database);
}

/* Puts vectors until that fails; ends with the status, negated, having said how many were kept. */
static void fill_up(const char *path, int out)
{
    sx_error error = {0};
    sx_database *database;
    sx_status status = sx_database_open(path, NULL, &database, &error);
    int count = 0;
    if (!status) {
        int64_t recipe = make_recipe(database, "m", 384, true);
        float vector[384] = {1};
        for (; !status && count < 20000; count += !status) {
            sx_sha256 hash = hash_of_number((uint64_t)count);
            status = sx_store_put(database, recipe, &hash, 1, vector, NULL, NULL, &error);
        }
        sx_database_close(database);
    }
    if (!error.hint[0] || !strstr(error.message, path))
        fprintf(stderr, "child: %s (%s)\n", error.message, error.hint), status = SX_E_INTERNAL;
    (void)!write(out, &count, sizeof count);
    _exit(-status);
}

static void check_filled(const char *path, int in)
{
    sx_error error = {0};
    sx_database *database;
    int count;
    assert_int_equal(read(in, &count, sizeof count), sizeof count);
    assert_true(count > 10);
    OK(sx_database_open(path, NULL, &database, &error));
    assert_int_equal(scalar(database, "SELECT count(*) FROM vector"), count);
    check_whole(database);
    put_vector(database, make_recipe(database, "m", 384, true), 1u << 30, (float[384]){1});
    sx_database_close(database);
}

static void test_file_size_limit_is_a_full_disk(void **state)
{
    char *path = in_folder("limited.db");
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){1 << 20, 1 << 20});
        fill_up(path, pipes[1]);
    }
    assert_int_equal(wait_for(child), -SX_E_FULL);
    check_filled(path, pipes[0]);
    close(pipes[0]);
    close(pipes[1]);
    free(path);
}

static void test_full_disk(void **state)
{
    char *folder = in_folder("small"), *path = in_folder("small/full.db");
    int pipes[2];
    assert_int_equal(mkdir(folder, 0700), 0);
    if (mount("tmpfs", folder, "tmpfs", 0, "size=3m") != 0) {
        print_message("no right to mount a small file system: the full disk is only tested by a file size limit\n");
        free(folder);
        free(path);
        return;
    }
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0)
        fill_up(path, pipes[1]);
    int result = wait_for(child);
    int remounted = mount("tmpfs", folder, "tmpfs", MS_REMOUNT, "size=8m");
    if (result == -SX_E_FULL && remounted == 0)
        check_filled(path, pipes[0]);
    umount(folder);
    assert_int_equal(result, -SX_E_FULL);
    close(pipes[0]);
    close(pipes[1]);
    free(folder);
    free(path);
}

static void test_folder_without_permission(void **state)
{
    char *folder = in_folder("closed"), *path = in_folder("closed/a.db");
    sx_database_close(open_named("closed/a.db"));
    assert_int_equal(chmod(test_folder, 0755), 0);
    assert_int_equal(chmod(folder, 0555), 0);
    pid_t child = fork();
    if (child == 0) {
        sx_error error = {0};
        sx_database *database;
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(99);
        sx_status status = sx_database_open(path, NULL, &database, &error);
        _exit(error.hint[0] ? -status : 98);
    }
    int result = wait_for(child);
    chmod(folder, 0755);
    if (result == 99)
        print_message("cannot become another user here\n");
    else
        assert_int_equal(result, -SX_E_READ_ONLY);
    free(folder);
    free(path);
}

static void test_a_forked_child_cannot_harm(void **state)
{
    sx_error error = {0};
    sx_database *database = open_named("forked.db");
    int64_t recipe = make_recipe(database, "m", DIMENSIONS, true);
    sx_collection_row collection = open_collection(database, "c", recipe);
    OK(sx_store_lease(database, collection.id, false, NULL, &error));
    pid_t child = fork();
    if (child == 0) {
        sx_status status = sx_store_begin(database, &error);
        sx_database_close(database);
        _exit(-status);
    }
    assert_int_equal(wait_for(child), -SX_E_INVALID);
    sx_database *other = open_named("forked.db");
    assert_int_equal(sx_store_lease(other, collection.id, false, NULL, &error), SX_E_BUSY);
    put_vector(database, recipe, 1, (float[DIMENSIONS]){1});
    sx_collection_row_clear(&collection);
    sx_database_close(other);
    sx_database_close(database);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_create_at_once),
        cmocka_unit_test(test_many_processes),
        cmocka_unit_test(test_kill_at_any_moment),
        cmocka_unit_test(test_file_size_limit_is_a_full_disk),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_folder_without_permission),
        cmocka_unit_test(test_a_forked_child_cannot_harm),
    };
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
