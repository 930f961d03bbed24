/* test_graphs.c - graphs beside segments: made by publishing, used by searches, begun anew from older ones, of no harm when they are
 * missing or damaged. */
#include "store_support.h"

#include "store/segments.h"

enum { ROWS = 21000, MORE = 21000, DIMENSIONS = 12, K = 10, QUERIES = 20, PART = 3000 };

static sx_database *database;
static sx_collection_row collection;

static void add_rows(size_t count)
{
    static uint64_t number;
    sx_error error = {0};
    float vector[DIMENSIONS];
    for (size_t done = 0; done < count; done += PART) {
        int64_t vectors[PART], id;
        char path[32];
        OK(sx_store_begin(database, &error));
        for (size_t i = 0; i < PART; i++) {
            random_vector(vector, DIMENSIONS);
            vectors[i] = put_vector(database, collection.recipe, number++, vector);
        }
        snprintf(path, sizeof path, "%llu", (unsigned long long)number);
        OK(commit_document(database, collection.id, "/r", path, NULL, vectors, PART, &id, &error));
        OK(sx_store_commit(database, &error));
    }
    OK(sx_store_publish(database, collection.id, true, &error));
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
    database = open_named("graphs.db");
    int64_t recipe = make_recipe(database, "graphs", DIMENSIONS, true);
    OK(sx_store_collection_open(database, "graphs", recipe, "{}", &collection, &error));
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
    sx_collection_row_clear(&collection);
    sx_database_close(database);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_graphs_come_and_go)};
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
