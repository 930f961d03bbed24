/* test_segments.c - top-k, segment files and their damage, the nearest chunks against brute force in double precision. */
#include "store_support.h"

#include "vec/segment_format.h"

#include <fcntl.h>

/* ---- vec ---- */

static int by_rank(const void *a, const void *b)
{
    const sx_ranked *first = a, *second = b;
    return sx_ranks_before(*first, *second) ? -1 : sx_ranks_before(*second, *first);
}

static void test_topk_is_sorting_and_cutting(void **state)
{
    for (int round = 0; round < 300; round++) {
        size_t count = next_random() % 200, capacity = next_random() % 40;
        sx_ranked *all = calloc(count + 1, sizeof *all);
        sx_topk topk;
        assert_true(sx_topk_open(&topk, capacity));
        for (size_t i = 0; i < count; i++) {
            all[i] = (sx_ranked){(int64_t)(next_random() % 1000), (float)(next_random() % 7)};
            if (sx_topk_wants(&topk, all[i].score))
                sx_topk_offer(&topk, all[i].id, all[i].score);
        }
        sx_topk_offer(&topk, 5, NAN);
        qsort(all, count, sizeof *all, by_rank);
        sx_topk_sort(&topk);
        assert_int_equal(topk.count, count < capacity ? count : capacity);
        for (size_t i = 0; i < topk.count; i++)
            assert_true(topk.items[i].id == all[i].id && topk.items[i].score == all[i].score);
        sx_topk_close(&topk);
        free(all);
    }
}

static void write_segment(const char *path, size_t rows, uint32_t dimensions, float *vectors, uint64_t *identity)
{
    sx_error error = {0};
    sx_segment_writer *writer;
    unlink(path);
    OK(sx_segment_create(path, 5, dimensions, &writer, &error));
    for (size_t i = 0; i < rows; i++) {
        random_vector(vectors + i * dimensions, dimensions);
        OK(sx_segment_add(writer, (int64_t)(3 * i + 1), vectors + i * dimensions, &error));
    }
    assert_int_equal(sx_segment_add(writer, rows ? 1 : INT64_MIN, vectors, &error), rows ? SX_E_INTERNAL : SX_OK);
    if (rows)
        OK(sx_segment_finish(writer, identity, &error));
    sx_segment_writer_close(writer);
    assert_true(sx_file_exists(path) == (rows > 0));
}

static sx_status try_scan(sx_segment *segment, const float *query, size_t dimensions, const sx_id_set *allowed,
                          sx_thread_pool *pool, sx_topk *topk, sx_error *error)
{
    sx_exact_query prepared;
    check_status(sx_exact_query_open(&prepared, sx_dot_kernels_for(0), query, dimensions, error), error, __LINE__);
    sx_status status = sx_segment_scan(segment, &prepared, allowed, pool, topk, error);
    sx_exact_query_close(&prepared);
    return status;
}

static void scan(sx_segment *segment, const float *query, size_t dimensions, const sx_id_set *allowed, sx_thread_pool *pool,
                 sx_topk *topk)
{
    sx_error error = {0};
    OK(try_scan(segment, query, dimensions, allowed, pool, topk, &error));
}

static void check_scan(sx_segment *segment, size_t rows, uint32_t dimensions, const float *vectors, const sx_id_set *allowed)
{
    float *query = calloc(dimensions, sizeof *query);
    sx_topk topk;
    random_vector(query, dimensions);
    assert_true(sx_topk_open(&topk, rows + 1));
    scan(segment, query, dimensions, allowed, NULL, &topk);
    sx_topk_sort(&topk);
    assert_int_equal(topk.count, allowed ? allowed->count : rows);
    for (size_t i = 0; i < topk.count; i++) {
        size_t row = (size_t)(topk.items[i].id - 1) / 3;
        double dot = 0;
        for (uint32_t j = 0; j < dimensions; j++)
            dot += (double)query[j] * vectors[row * dimensions + j];
        assert_true(fabs(dot - topk.items[i].score) < 1e-5);
    }
    sx_topk_close(&topk);
    free(query);
}

static void test_segments_hold_what_was_written(void **state)
{
    sx_error error = {0};
    char *path = in_folder("one.sxv");
    static const size_t sizes[] = {1, 2, 255, 256, 257, 700};
    static const uint32_t dimensions[] = {1, 15, 16, 17, 384};
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < 5; j++) {
            float *vectors = calloc(sizes[i] * dimensions[j], sizeof *vectors);
            uint64_t identity;
            write_segment(path, sizes[i], dimensions[j], vectors, &identity);
            sx_segment *segment;
            OK(sx_segment_open(path, identity, 5, dimensions[j], &segment, &error));
            assert_int_equal(sx_segment_rows(segment), sizes[i]);
            check_scan(segment, sizes[i], dimensions[j], vectors, NULL);
            int64_t some[100];
            sx_id_set allowed = {some, 0};
            for (size_t row = next_random() % 3; row < sizes[i] && allowed.count < 100; row += 1 + next_random() % 4)
                some[allowed.count++] = (int64_t)(3 * row + 1);
            check_scan(segment, sizes[i], dimensions[j], vectors, &allowed);
            check_scan(segment, sizes[i], dimensions[j], vectors, &(sx_id_set){(int64_t[]){0}, 0});
            sx_segment_close(segment);
            assert_int_equal(sx_segment_open(path, identity + 1, 5, dimensions[j], &segment, &error), SX_E_FORMAT);
            assert_int_equal(sx_segment_open(path, identity, 6, dimensions[j], &segment, &error), SX_E_FORMAT);
            assert_int_equal(sx_segment_open(path, identity, 5, dimensions[j] + 1, &segment, &error), SX_E_FORMAT);
            assert_null(segment);
            free(vectors);
        }
    write_segment(path, 0, 3, (float[3]){0}, NULL); /* not finished: no file */
    assert_int_equal(sx_segment_open_any("/nonexistent.sxv", &(sx_segment *){NULL}, &error), SX_E_NOT_FOUND);
    assert_int_equal(sx_segment_create(path, 1, 0, &(sx_segment_writer *){NULL}, &error), SX_E_INVALID);
    free(path);
}

/* Every byte changed and every length cut: refused at open or at the scan, or of a row that the codes rule out; never wrong. */
static void test_any_damage_is_noticed(void **state)
{
    sx_error error = {0};
    char *path = in_folder("damage.sxv");
    enum { ROWS = 300, DIMENSIONS = 3 };
    float vectors[ROWS * DIMENSIONS], query[DIMENSIONS] = {1, 0, 0};
    uint64_t identity;
    write_segment(path, ROWS, DIMENSIONS, vectors, &identity);
    char *good, *bad;
    size_t length;
    OK(sx_file_read(path, 1 << 20, &good, &length, NULL, &error));
    bad = malloc(length);
    sx_segment_header header;
    memcpy(&header, good, sizeof header);
    sx_segment *sound;
    sx_topk best;
    size_t unseen = 0;
    assert_true(sx_topk_open(&best, 5));
    OK(sx_segment_open(path, identity, 5, DIMENSIONS, &sound, &error));
    scan(sound, query, DIMENSIONS, NULL, NULL, &best);
    sx_topk_sort(&best);
    sx_segment_close(sound);
    for (size_t i = 0; i < length; i += i < 128 || i > length - 64 ? 1 : 37) {
        memcpy(bad, good, length);
        bad[i] ^= (char)(1 << (next_random() % 8));
        int descriptor = open(path, O_WRONLY | O_TRUNC);
        assert_int_equal(write(descriptor, bad, length), length);
        close(descriptor);
        sx_segment *segment;
        sx_topk topk;
        assert_true(sx_topk_open(&topk, 5));
        sx_status status = sx_segment_open(path, identity, 5, DIMENSIONS, &segment, &error);
        if (!status)
            status = try_scan(segment, query, DIMENSIONS, NULL, NULL, &topk, &error);
        sx_topk_sort(&topk);
        if (!status && topk.count == 5 && i >= header.rows_offset && i < header.ids_offset) {
            for (size_t j = 0; j < 5; j++)
                assert_true(topk.items[j].id == best.items[j].id && topk.items[j].score == best.items[j].score);
            unseen++;
        } else if (status != SX_E_FORMAT) {
            fail_msg("byte %zu changed: %s", i, sx_status_name(status));
        }
        sx_segment_close(segment);
        sx_topk_close(&topk);
    }
    assert_true(unseen > 0 && unseen < length / 37);
    sx_topk_close(&best);
    for (size_t cut = 0; cut < length; cut += 1 + cut / 8) {
        int descriptor = open(path, O_WRONLY | O_TRUNC);
        assert_int_equal(write(descriptor, good, cut), cut);
        close(descriptor);
        sx_segment *segment;
        assert_int_equal(sx_segment_open_any(path, &segment, &error), SX_E_FORMAT);
    }
    free(good);
    free(bad);
    free(path);
}

/* ---- nearest ---- */

typedef struct search_world {
    sx_database *database;
    sx_collection_row collection;
    size_t dimensions;
    int64_t next_vector;
} search_world;

/* A document of `count` chunks with new vectors, a few of them equal to one another. */
static int64_t add_document(search_world *world, const char *root, const char *path, const char *metadata, size_t count)
{
    sx_error error = {0};
    int64_t *vectors = calloc(count, sizeof *vectors), id;
    float *vector = calloc(world->dimensions, sizeof *vector);
    OK(sx_store_begin(world->database, &error));
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || next_random() % 10)
            random_vector(vector, world->dimensions);
        if (next_random() % 3 == 0) /* not all of length 1: only the unnormalised space may care */
            for (size_t j = 0; j < world->dimensions; j++)
                vector[j] *= 0.5f;
        vectors[i] = put_vector(world->database, world->collection.recipe, (uint64_t)world->next_vector++, vector);
        if (next_random() % 40 == 0)
            vectors[i] = 0;
    }
    OK(commit_document(world->database, world->collection.id, root, path, metadata, vectors, count, &id, &error));
    OK(sx_store_commit(world->database, &error));
    free(vectors);
    free(vector);
    return id;
}

/* Compares with scores of all live rows that pass `where`, computed in double. Near ties may change places. */
static void check_nearest(search_world *world, size_t count, const char *const *filters, size_t filter_count, const char *where,
                          bool cosine)
{
    sx_error error = {0};
    float *query = calloc(world->dimensions, sizeof *query);
    sx_candidate *found = calloc(count + 1, sizeof *found);
    size_t found_count;
    random_vector(query, world->dimensions);
    OK(sx_store_nearest(world->database, &world->collection, query, count, filters, filter_count, found, &found_count, &error));

    char sql[1000];
    snprintf(sql, sizeof sql,
             "SELECT c.id, v.data FROM chunk c JOIN document d ON d.id = c.document JOIN vector v ON v.id = c.vector"
             " WHERE c.collection = %lld AND (%s)",
             (long long)world->collection.id, where ? where : "1");
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(world->database->sqlite, sql, -1, &statement, NULL), SQLITE_OK);
    sx_ranked *all = NULL;
    size_t all_count = 0, capacity = 0;
    while (sqlite3_step(statement) == SQLITE_ROW) {
        const float *row = sqlite3_column_blob(statement, 1);
        double dot = 0, norm = 0;
        for (size_t j = 0; j < world->dimensions; j++) {
            dot += (double)row[j] * query[j];
            norm += (double)row[j] * row[j];
        }
        assert_true(sx_reserve((void **)&all, &capacity, all_count + 1, sizeof *all));
        all[all_count++] = (sx_ranked){sqlite3_column_int64(statement, 0), (float)(cosine ? dot / sqrt(norm) : dot)};
    }
    sqlite3_finalize(statement);
    if (all_count)
        qsort(all, all_count, sizeof *all, by_rank);
    assert_int_equal(found_count, all_count < count ? all_count : count);
    for (size_t i = 0; i < found_count; i++) {
        assert_true(fabs((double)found[i].similarity - all[i].score) < 1e-5);
        size_t place = 0;
        while (place < all_count && all[place].id != found[i].chunk)
            place++;
        assert_true(place < all_count);
        assert_true(fabs((double)all[place].score - found[i].similarity) < 1e-5);
        for (size_t j = 0; j < i; j++)
            assert_true(found[j].chunk != found[i].chunk);
        if (i)
            assert_true(found[i - 1].similarity > found[i].similarity ||
                        (found[i - 1].similarity == found[i].similarity && found[i - 1].chunk < found[i].chunk));
    }
    free(all);
    free(query);
    free(found);
}

static void check_everything(search_world *world, bool cosine)
{
    check_nearest(world, 1, NULL, 0, NULL, cosine);
    check_nearest(world, 10, NULL, 0, NULL, cosine);
    check_nearest(world, 5000, NULL, 0, NULL, cosine);
    check_nearest(world, 10, (const char *[]){"lang=de"}, 1, "json_extract(d.metadata, '$.lang') = 'de'", cosine);
    check_nearest(world, 10, (const char *[]){"lang!=de"}, 1, "json_extract(d.metadata, '$.lang') IS NOT 'de'", cosine);
    check_nearest(world, 7, (const char *[]){"lang=en", "year=2020"}, 2,
                  "json_extract(d.metadata, '$.lang') = 'en' AND"
                  " json_extract(d.metadata, '$.year') = 2020",
                  cosine);
    check_nearest(world, 7, (const char *[]){"odd key.\"x\"=true"}, 1, "d.metadata LIKE '%odd key%'", cosine);
    check_nearest(world, 7, (const char *[]){"tags=blue"}, 1, "d.metadata LIKE '%blue%'", cosine);
    check_nearest(world, 7, (const char *[]){"document=doc3", "root=/r0"}, 2, "d.path = 'doc3' AND d.root = '/r0'", cosine);
    check_nearest(world, 7, (const char *[]){"root!=/r0"}, 1, "d.root <> '/r0'", cosine);
    check_nearest(world, 7, (const char *[]){"none=1"}, 1, "0", cosine);
}

static void grow_and_shrink(const char *name, bool normalized)
{
    sx_error error = {0};
    search_world world = {.database = open_named(name), .dimensions = 19};
    int64_t recipe = make_recipe(world.database, name, 19, normalized);
    world.collection = open_collection(world.database, "c", recipe);
    static const char *const metadata[] = {"{\"lang\":\"de\",\"year\":2020}", "{\"lang\":\"en\",\"year\":2020}",
                                           "{\"lang\":\"en\"}", NULL, "{\"odd key.\\\"x\\\"\":true,\"tags\":[\"red\",\"blue\"]}"};
    check_everything(&world, !normalized);
    int64_t documents[60];
    size_t count = 0;
    for (int step = 0; step < 14; step++) {
        for (int i = 0; i < 4; i++, count++) {
            char root[16], path[16];
            snprintf(root, sizeof root, "/r%zu", count % 3);
            snprintf(path, sizeof path, "doc%zu", count);
            documents[count] = add_document(&world, root, path, metadata[count % 5], 1 + next_random() % 60);
        }
        if (step % 3 != 1)
            OK(sx_store_publish(world.database, world.collection.id, true, &error));
        if (step > 3) {
            size_t victim = next_random() % count;
            OK(sx_store_document_remove(world.database, documents[victim], &error));
        }
        if (step == 9) /* a quarter and more is dead at once */
            for (size_t i = 0; i < count; i += 2)
                OK(sx_store_document_remove(world.database, documents[i], &error));
        check_everything(&world, !normalized);
        assert_true(scalar(world.database, "SELECT count(*) FROM segment") <= 8);
    }
    check_whole(world.database);
    assert_true(scalar(world.database, "SELECT count(*) FROM segment") > 0);
    sx_collection_row_clear(&world.collection);
    sx_database_close(world.database);
}

static void test_nearest_is_brute_force(void **state)
{
    grow_and_shrink("unit.db", true);
    grow_and_shrink("scaled.db", false);
}

static void test_dead_chunks_never_crowd_out_the_living(void **state)
{
    sx_error error = {0};
    search_world world = {.database = open_named("crowd.db"), .dimensions = 19};
    world.collection = open_collection(world.database, "c", make_recipe(world.database, "m", 19, true));
    int64_t first = add_document(&world, "/r", "a", NULL, 800);
    add_document(&world, "/r", "b", NULL, 300);
    int64_t third = add_document(&world, "/r", "c", NULL, 2000);
    OK(sx_store_publish(world.database, world.collection.id, true, &error));
    OK(sx_store_document_remove(world.database, third, &error));
    OK(sx_store_document_remove(world.database, first, &error));
    check_nearest(&world, 10, NULL, 0, NULL, false);
    check_nearest(&world, 299, NULL, 0, NULL, false);
    OK(sx_store_publish(world.database, world.collection.id, false, &error)); /* sick segments are healed unasked */
    assert_true(scalar(world.database, "SELECT sum(rows) FROM segment") <= 300);
    check_nearest(&world, 299, NULL, 0, NULL, false);
    sx_collection_row_clear(&world.collection);
    sx_database_close(world.database);
}

static void test_bad_queries(void **state)
{
    sx_error error = {0};
    search_world world = {.database = open_named("query.db"), .dimensions = 3};
    world.collection = open_collection(world.database, "c", make_recipe(world.database, "m", 3, true));
    add_document(&world, "/r", "a", NULL, 8);
    sx_candidate found[3];
    size_t count;
    assert_int_equal(sx_store_nearest(world.database, &world.collection, (float[]){1, NAN, 0}, 3, NULL, 0, found, &count, &error),
                     SX_E_INVALID);
    assert_int_equal(
        sx_store_nearest(world.database, &world.collection, (float[]){1, INFINITY, 0}, 3, NULL, 0, found, &count, &error),
        SX_E_INVALID);
    static const char *const bad[] = {"nothing", "=x", "!=x", ""};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(
            sx_store_nearest(world.database, &world.collection, (float[]){1, 0, 0}, 3, &bad[i], 1, found, &count, &error),
            SX_E_INVALID);
    OK(sx_store_nearest(world.database, &world.collection, (float[]){1, 0, 0}, 0, NULL, 0, found, &count, &error));
    assert_int_equal(count, 0);
    sx_collection_row_clear(&world.collection);
    sx_database_close(world.database);
}

static int warnings;
static void count_warnings(sx_log_level level, const char *message, void *user)
{
    (void)user;
    warnings += level == SX_LOG_WARNING && message[0];
}

static char *only_segment(search_world *world)
{
    char *path;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(world->database->sqlite, "SELECT file FROM segment", -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    path = sx_path_join(world->database->folder, (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return path;
}

static void test_damaged_segments_are_rebuilt(void **state)
{
    sx_error error = {0};
    char *path = in_folder("heal.db");
    sx_database_options options = {.size = sizeof options, .log = count_warnings};
    search_world world = {.dimensions = 19};
    OK(sx_database_open(path, &options, &world.database, &error));
    world.collection = open_collection(world.database, "c", make_recipe(world.database, "m", 19, true));
    add_document(&world, "/r", "a", NULL, 700);
    OK(sx_store_publish(world.database, world.collection.id, true, &error));
    check_nearest(&world, 10, NULL, 0, NULL, false);
    for (int kind = 0; kind < 40; kind++) {
        char *file = only_segment(&world);
        sx_database_close(world.database); /* so that it is mapped anew */
        int descriptor = open(file, O_RDWR);
        sx_segment_header header;
        assert_int_equal(pread(descriptor, &header, sizeof header, 0), sizeof header);
        off_t size = lseek(descriptor, 0, SEEK_END), tables = (off_t)header.ids_offset; /* what every search reads is behind */
        off_t at = kind < 30 ? kind * 4 : tables + (off_t)(next_random() % (uint64_t)(size - tables));
        char byte;
        if (kind == 37) {
            assert_int_equal(ftruncate(descriptor, size / 2), 0);
        } else if (kind == 38) {
            assert_int_equal(ftruncate(descriptor, 0), 0);
        } else if (kind == 39) {
            unlink(file);
        } else {
            assert_int_equal(pread(descriptor, &byte, 1, at), 1);
            byte ^= 0x40;
            assert_int_equal(pwrite(descriptor, &byte, 1, at), 1);
        }
        close(descriptor);
        OK(sx_database_open(path, &options, &world.database, &error));
        warnings = 0;
        check_nearest(&world, 10, NULL, 0, NULL, false);
        if (warnings != 1)
            fail_msg("damage %d at byte %lld: %d warnings", kind, (long long)at, warnings);
        assert_int_equal(scalar(world.database, "SELECT count(*) FROM segment"), 1);
        warnings = 0;
        check_nearest(&world, 10, NULL, 0, NULL, false);
        assert_int_equal(warnings, 0);
        char *rebuilt = only_segment(&world);
        assert_string_not_equal(file, rebuilt);
        assert_false(sx_file_exists(file));
        assert_true(sx_file_exists(rebuilt));
        free(rebuilt);
        free(file);
    }
    check_whole(world.database);
    sx_collection_row_clear(&world.collection);
    sx_database_close(world.database);
    free(path);
}

/* Another handle publishes and merges while this one holds old mappings; what the folder holds is what the table names. */
static void test_segments_change_under_readers(void **state)
{
    sx_error error = {0};
    search_world writer = {.database = open_named("two.db"), .dimensions = 19};
    writer.collection = open_collection(writer.database, "c", make_recipe(writer.database, "m", 19, true));
    search_world reader = writer;
    reader.database = open_named("two.db");
    for (int i = 0; i < 12; i++) {
        char name[16];
        snprintf(name, sizeof name, "d%d", i);
        add_document(&writer, "/r", name, NULL, 20);
        OK(sx_store_publish(writer.database, writer.collection.id, true, &error));
        check_nearest(&reader, 10, NULL, 0, NULL, false);
    }
    OK(sx_store_publish(writer.database, writer.collection.id, true, &error));
    DIR *folder = opendir(writer.database->folder);
    int files = 0;
    for (struct dirent *entry; (entry = readdir(folder));)
        files += entry->d_name[0] != '.';
    closedir(folder);
    assert_int_equal(files, scalar(writer.database, "SELECT count(*) FROM segment"));
    sx_database_close(reader.database);
    sx_collection_row_clear(&writer.collection);
    sx_database_close(writer.database);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topk_is_sorting_and_cutting),
        cmocka_unit_test(test_segments_hold_what_was_written),
        cmocka_unit_test(test_any_damage_is_noticed),
        cmocka_unit_test(test_nearest_is_brute_force),
        cmocka_unit_test(test_dead_chunks_never_crowd_out_the_living),
        cmocka_unit_test(test_bad_queries),
        cmocka_unit_test(test_damaged_segments_are_rebuilt),
        cmocka_unit_test(test_segments_change_under_readers),
    };
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
