/* test_store_vectors.c - opening databases, vectors by content, claims, the cache. */
#include "store_support.h"

#include "store/schema.h"

#include <fcntl.h>
#include <signal.h>

static sx_status open_status(const char *path, int must_exist, sx_error *error)
{
    sx_database *database;
    sx_database_options options = {.size = sizeof options, .must_exist = must_exist};
    sx_status status = sx_database_open(path, &options, &database, error);
    if (status)
        assert_null(database);
    sx_database_close(database);
    return status;
}

static void test_open_creates_and_refuses(void **state)
{
    sx_error error = {0};
    char *path = in_folder("a/b/new.db"), *text = in_folder("text.txt"), *foreign = in_folder("foreign.db");
    assert_int_equal(open_status(path, 1, &error), SX_E_NOT_FOUND);
    OK(open_status(path, 0, &error));
    OK(open_status(path, 1, &error));
    OK(sx_file_write_atomic(text, "hello, this is a text", 21, &error));
    assert_int_equal(open_status(text, 0, &error), SX_E_FORMAT);
    assert_non_null(strstr(error.message, text));
    assert_true(error.hint[0]);
    char *content;
    size_t length;
    OK(sx_file_read(text, 1000, &content, &length, NULL, &error));
    assert_string_equal(content, "hello, this is a text");
    free(content);
    sqlite3 *other;
    assert_int_equal(sqlite3_open(foreign, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "CREATE TABLE t(x)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    assert_int_equal(open_status(foreign, 0, &error), SX_E_FORMAT);
    assert_non_null(strstr(error.message, "another program"));
    char *locks = in_folder("foreign.db-locks");
    assert_false(sx_file_exists(locks));
    assert_int_equal(open_status(test_folder, 0, &error), SX_E_FORMAT);
    assert_int_equal(open_status("", 0, &error), SX_E_INVALID);
    assert_int_equal(sx_database_open(NULL, NULL, &(sx_database *){NULL}, &error), SX_E_INVALID);
    struct {
        sx_database_options options;
        int more;
    } longer = {.options = {.size = sizeof longer}, .more = 1};
    sx_database *database;
    assert_int_equal(sx_database_open(path, &longer.options, &database, &error), SX_E_INVALID);
    free(path);
    free(text);
    free(foreign);
    free(locks);
}

static void test_damaged_file_is_named(void **state)
{
    sx_error error = {0};
    char *path = in_folder("damaged.db");
    sx_database *database = open_named("damaged.db");
    int64_t recipe = make_recipe(database, "r", 8, true);
    for (int i = 0; i < 500; i++)
        put_vector(database, recipe, (uint64_t)i, (float[8]){1});
    sx_database_close(database);
    int descriptor = open(path, O_RDWR);
    char rubbish[4096];
    memset(rubbish, 0x5a, sizeof rubbish);
    for (off_t page = 1; page < 12; page++)
        assert_int_equal(pwrite(descriptor, rubbish, sizeof rubbish, page * 4096), sizeof rubbish);
    close(descriptor);
    sx_status status = sx_database_open(path, NULL, &database, &error);
    if (!status) {
        sx_recipe_row row = {.json = "x", .space_json = "{}", .model = "m", .dimensions = 8};
        status = sx_store_recipe(database, &row, &error);
        sx_database_close(database);
    }
    assert_int_equal(status, SX_E_FORMAT);
    assert_non_null(strstr(error.message, path));
    assert_true(error.hint[0]);
    free(path);
}

static void test_newer_is_refused_older_is_migrated(void **state)
{
    sx_error error = {0};
    char *path = in_folder("version.db"), *copy = in_folder("version.db-version-1");
    sx_database *database = open_named("version.db");
    static const sx_migration steps[] = {{2, "CREATE TABLE extra2(x); INSERT INTO extra2 VALUES (5)"},
                                         {1, "ALTER TABLE recipe ADD COLUMN note TEXT"}};
    make_recipe(database, "kept", 8, true);
    OK(sx_schema_migrate(database, 1, 3, steps, 2, &error));
    assert_int_equal(scalar(database, "SELECT count(*) FROM recipe WHERE note IS NULL"), 1);
    assert_int_equal(scalar(database, "SELECT x FROM extra2"), 5);
    assert_int_equal(scalar(database, "PRAGMA user_version"), 3);
    /* A step that fails leaves everything as it was. */
    static const sx_migration broken[] = {{3, "CREATE TABLE extra3(x); INSERT INTO nowhere VALUES (1)"}};
    assert_true(sx_schema_migrate(database, 3, 4, broken, 1, &error) != SX_OK);
    assert_int_equal(scalar(database, "PRAGMA user_version"), 3);
    assert_int_equal(scalar(database, "SELECT count(*) FROM sqlite_master WHERE name = 'extra3'"), 0);
    assert_int_equal(sx_schema_migrate(database, 3, 9, steps, 2, &error), SX_E_MISMATCH);
    OK(sx_sql_run(database, "PRAGMA user_version = 99", &error));
    sx_database_close(database);
    assert_int_equal(open_status(path, 0, &error), SX_E_MISMATCH);
    assert_non_null(strstr(error.message, "version 99 is newer"));
    OK(open_status(copy, 1, &error));
    free(path);
    free(copy);
}

static void test_put_lookup(void **state)
{
    sx_error error = {0};
    sx_database *database = open_named("vectors.db");
    int64_t recipe = make_recipe(database, "a", 5, true), other = make_recipe(database, "b", 5, true);
    assert_int_equal(make_recipe(database, "a", 5, true), recipe);
    sx_sha256 hashes[3] = {hash_of_number(1), hash_of_number(2), hash_of_number(3)};
    float vectors[10] = {1, 2, 3, 4, 5, -1, 0.5f, 1e-30f, 3e38f, -0.0f}, back[15];
    int64_t ids[2];
    OK(sx_store_put(database, recipe, hashes, 2, vectors, (sx_vector_row[]){{.tokens = 3}, {.tokens = 9, .dropped_tokens = 4}},
                    ids, &error));
    sx_vector_row rows[3];
    memset(back, 0x7f, sizeof back);
    OK(sx_store_lookup(database, recipe, hashes, 3, rows, back, &error));
    assert_memory_equal(back, vectors, sizeof vectors);
    assert_int_equal(rows[0].id, ids[0]);
    assert_int_equal(rows[1].id, ids[1]);
    assert_int_equal(rows[1].tokens, 9);
    assert_int_equal(rows[1].dropped_tokens, 4);
    assert_int_equal(rows[2].id, 0);
    unsigned char untouched[20];
    memset(untouched, 0x7f, sizeof untouched);
    assert_memory_equal(back + 10, untouched, sizeof untouched);
    OK(sx_store_lookup(database, other, hashes, 3, rows, NULL, &error));
    assert_int_equal(rows[0].id + rows[1].id + rows[2].id, 0);
    /* Stored again: the first stays, and it shows. */
    int64_t again[2];
    OK(sx_store_put(database, recipe, hashes, 1, vectors + 5, NULL, again, &error));
    assert_int_equal(again[0], ids[0]);
    OK(sx_store_lookup(database, recipe, hashes, 1, rows, back, &error));
    assert_memory_equal(back, vectors, 20);
    assert_int_equal(scalar(database, "SELECT max(computed) FROM vector"), 2);
    assert_int_equal(sx_store_put(database, recipe, hashes, 1, (float[]){1, 2, NAN, 4, 5}, NULL, NULL, &error), SX_E_INVALID);
    assert_int_equal(sx_store_put(database, recipe + 77, hashes, 1, vectors, NULL, NULL, &error), SX_E_NOT_FOUND);
    check_whole(database);
    sx_database_close(database);
}

static void test_transactions_nest_by_savepoints(void **state)
{
    sx_error error = {0};
    sx_database *database = open_named("nest.db");
    int64_t recipe = make_recipe(database, "a", 2, true);
    OK(sx_store_begin(database, &error));
    assert_int_equal(sx_store_begin(database, &error), SX_E_INTERNAL);
    put_vector(database, recipe, 1, (float[]){1, 0});
    sx_sha256 hash = hash_of_number(2);
    assert_int_equal(sx_store_put(database, recipe, &hash, 1, (float[]){NAN, 0}, NULL, NULL, &error), SX_E_INVALID);
    OK(sx_store_commit(database, &error));
    assert_int_equal(scalar(database, "SELECT count(*) FROM vector"), 1);
    OK(sx_store_begin(database, &error));
    put_vector(database, recipe, 3, (float[]){1, 0});
    sx_store_rollback(database);
    sx_store_rollback(database);
    assert_int_equal(scalar(database, "SELECT count(*) FROM vector"), 1);
    assert_int_equal(sx_store_commit(database, &error), SX_E_INTERNAL);
    sx_database_close(database);
}

static void test_claims(void **state)
{
    sx_error error = {0};
    sx_database *first = open_named("claims.db"), *second = open_named("claims.db");
    int64_t recipe = make_recipe(first, "a", 2, true);
    sx_sha256 hashes[4] = {hash_of_number(1), hash_of_number(2), hash_of_number(1), hash_of_number(4)};
    sx_claim claims[4];
    put_vector(first, recipe, 4, (float[]){0, 1});
    OK(sx_store_claim(first, recipe, hashes, 4, claims, &error));
    assert_int_equal(claims[0], SX_CLAIM_MINE);
    assert_int_equal(claims[1], SX_CLAIM_MINE);
    assert_int_equal(claims[2], SX_CLAIM_OTHER);
    assert_int_equal(claims[3], SX_CLAIM_STORED);
    OK(sx_store_claim(second, recipe, hashes, 2, claims, &error));
    assert_int_equal(claims[0], SX_CLAIM_OTHER);
    OK(sx_store_put(first, recipe, hashes, 1, (float[]){1, 0}, NULL, NULL, &error));
    OK(sx_store_release(first, recipe, hashes + 1, 1, &error));
    OK(sx_store_claim(second, recipe, hashes, 2, claims, &error));
    assert_int_equal(claims[0], SX_CLAIM_STORED);
    assert_int_equal(claims[1], SX_CLAIM_MINE);
    /* Only the owner's release counts. */
    OK(sx_store_release(first, recipe, hashes + 1, 1, &error));
    OK(sx_store_claim(first, recipe, hashes + 1, 1, claims, &error));
    assert_int_equal(claims[0], SX_CLAIM_OTHER);
    sx_database_close(second);
    OK(sx_store_claim(first, recipe, hashes + 1, 1, claims, &error));
    assert_int_equal(claims[0], SX_CLAIM_MINE);
    sx_database_close(first);
    first = open_named("claims.db");
    assert_int_equal(scalar(first, "SELECT count(*) FROM claim"), 0);
    sx_database_close(first);
}

static void test_claims_of_the_dead_are_taken_over(void **state)
{
    sx_error error = {0};
    sx_database *database = open_named("dead.db");
    int64_t recipe = make_recipe(database, "a", 2, true);
    sx_sha256 hash = hash_of_number(1);
    sx_claim claim;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    sx_database_close(database);
    pid_t child = fork();
    if (child == 0) {
        sx_database *own = open_named("dead.db");
        sx_store_claim(own, recipe, &hash, 1, &claim, NULL);
        (void)!write(ready[1], claim == SX_CLAIM_MINE ? "y" : "n", 1);
        for (;;)
            pause();
    }
    database = open_named("dead.db");
    char said;
    assert_int_equal(read(ready[0], &said, 1), 1);
    assert_int_equal(said, 'y');
    OK(sx_store_claim(database, recipe, &hash, 1, &claim, &error));
    assert_int_equal(claim, SX_CLAIM_OTHER);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    OK(sx_store_claim(database, recipe, &hash, 1, &claim, &error));
    assert_int_equal(claim, SX_CLAIM_MINE);
    close(ready[0]);
    close(ready[1]);
    sx_database_close(database);
}

static void test_cache_forgets_the_least_recently_used(void **state)
{
    sx_error error = {0};
    char *path = in_folder("cache.db");
    sx_database *database;
    sx_database_options options = {.size = sizeof options, .cache_limit = 10 * 8};
    OK(sx_database_open(path, &options, &database, &error));
    int64_t recipe = make_recipe(database, "a", 2, true), used = 0;
    for (uint64_t i = 0; i < 30; i++) {
        int64_t id = put_vector(database, recipe, i, (float[]){(float)i, 1});
        if (i == 3)
            used = id;
    }
    sx_collection_row collection = open_collection(database, "c", recipe);
    int64_t document;
    OK(commit_document(database, collection.id, "/r", "d", NULL, &used, 1, &document, &error));
    sx_sha256 hashes[2] = {hash_of_number(5), hash_of_number(0)};
    sx_vector_row rows[2];
    OK(sx_store_lookup(database, recipe, hashes, 2, rows, NULL, &error));
    OK(sx_store_trim_cache(database, &error));
    check_whole(database);
    assert_int_equal(scalar(database, "SELECT count(*) FROM spare"), 10);
    OK(sx_store_lookup(database, recipe, hashes, 2, rows, NULL, &error));
    assert_true(rows[0].id && rows[1].id);
    sx_database_status *status;
    OK(sx_database_describe(database, &status, &error));
    assert_int_equal(status->cache.entries, 10);
    assert_int_equal(status->cache.bytes, 80);
    assert_int_equal(status->cache.limit, 80);
    assert_int_equal(status->cache.referenced_entries, 1);
    assert_int_equal(status->cache.referenced_bytes, 8);
    sx_database_status_free(status);
    uint64_t removed;
    OK(sx_cache_prune(database, 0, &removed, &error));
    assert_int_equal(removed, 10);
    assert_int_equal(scalar(database, "SELECT count(*) FROM vector"), 1);
    OK(sx_store_document_remove(database, document, &error));
    assert_int_equal(scalar(database, "SELECT count(*) FROM spare"), 1);
    check_whole(database);
    sx_collection_row_clear(&collection);
    sx_database_close(database);
    free(path);
}

static void test_recent_use_saves_a_vector(void **state)
{
    sx_error error = {0};
    sx_database *database = open_named("lru.db");
    int64_t recipe = make_recipe(database, "a", 2, true);
    for (uint64_t i = 0; i < 20; i++)
        put_vector(database, recipe, i, (float[]){(float)i, 1});
    sx_sha256 hashes[3] = {hash_of_number(0), hash_of_number(7), hash_of_number(19)};
    sx_vector_row rows[3];
    OK(sx_store_lookup(database, recipe, hashes, 2, rows, NULL, &error));
    sx_store_count(database, 3, 1);
    sx_database_close(database); /* writes what was noted */
    database = open_named("lru.db");
    uint64_t removed;
    OK(sx_cache_prune(database, 3 * 8, &removed, &error));
    assert_int_equal(removed, 17);
    OK(sx_store_lookup(database, recipe, hashes, 3, rows, NULL, &error));
    assert_true(rows[0].id && rows[1].id && rows[2].id);
    sx_database_status *status;
    OK(sx_database_describe(database, &status, &error));
    assert_int_equal(status->cache.hits, 3);
    assert_int_equal(status->cache.misses, 1);
    assert_true(fabs(status->cache.hit_rate - 0.75) < 1e-9);
    sx_database_status_free(status);
    sx_database_close(database);
}

static void test_a_running_job_keeps_the_cache(void **state)
{
    sx_error error = {0};
    sx_database *job = open_named("job.db"), *other = open_named("job.db");
    int64_t recipe = make_recipe(job, "a", 2, true);
    sx_collection_row collection = open_collection(job, "c", recipe);
    put_vector(job, recipe, 1, (float[]){0, 1});
    OK(sx_store_lease(job, collection.id, true, NULL, &error));
    uint64_t removed = 9;
    assert_int_equal(sx_cache_prune(other, 0, &removed, &error), SX_E_BUSY);
    assert_int_equal(removed, 0);
    assert_int_equal(scalar(job, "SELECT count(*) FROM vector"), 1);
    sx_store_lease_release(job, collection.id);
    OK(sx_cache_prune(other, 0, &removed, &error));
    assert_int_equal(removed, 1);
    sx_collection_row_clear(&collection);
    sx_database_close(job);
    sx_database_close(other);
}

static void test_cache_moves_by_file(void **state)
{
    sx_error error = {0};
    char *file = in_folder("cache.jsonl"), *again = in_folder("again.jsonl");
    sx_database *from = open_named("from.db"), *to = open_named("to.db");
    int64_t recipe = make_recipe(from, "moved \"model\"", 19, true);
    float vector[19], back[19];
    for (uint64_t i = 0; i < 600; i++) {
        random_vector(vector, 19);
        put_vector(from, recipe, i, vector);
    }
    uint64_t count;
    OK(sx_cache_export(from, file, &count, &error));
    assert_int_equal(count, 600);
    OK(sx_cache_import(to, file, &count, &error));
    assert_int_equal(count, 600);
    OK(sx_cache_import(to, file, &count, &error));
    assert_int_equal(count, 0);
    OK(sx_cache_export(to, again, &count, &error));
    char *first, *second;
    size_t length, length2;
    OK(sx_file_read(file, 1 << 24, &first, &length, NULL, &error));
    OK(sx_file_read(again, 1 << 24, &second, &length2, NULL, &error));
    assert_int_equal(length, length2);
    assert_memory_equal(first, second, length);
    sx_vector_row row;
    sx_sha256 hash = hash_of_number(599);
    OK(sx_store_lookup(to, make_recipe(to, "moved \"model\"", 19, true), &hash, 1, &row, back, &error));
    assert_memory_equal(back, vector, sizeof vector);
    assert_int_equal(row.tokens, 7);
    /* Damage is named by line; what stood before it is kept in whole batches. */
    static const char *const bad[] = {"{\"recipe\":1}\n", "nonsense\n", "{}\n", "{\"recipe\":\"zz\"}\n", "{\"vector\":[1,2,\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        OK(sx_file_write_atomic(again, bad[i], strlen(bad[i]), &error));
        assert_int_equal(sx_cache_import(to, again, &count, &error), SX_E_FORMAT);
        assert_non_null(strstr(error.message, "line 1"));
    }
    free(first);
    free(second);
    free(file);
    free(again);
    check_whole(to);
    sx_database_close(from);
    sx_database_close(to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_creates_and_refuses),
        cmocka_unit_test(test_damaged_file_is_named),
        cmocka_unit_test(test_newer_is_refused_older_is_migrated),
        cmocka_unit_test(test_put_lookup),
        cmocka_unit_test(test_transactions_nest_by_savepoints),
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_claims_of_the_dead_are_taken_over),
        cmocka_unit_test(test_cache_forgets_the_least_recently_used),
        cmocka_unit_test(test_recent_use_saves_a_vector),
        cmocka_unit_test(test_a_running_job_keeps_the_cache),
        cmocka_unit_test(test_cache_moves_by_file),
    };
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
