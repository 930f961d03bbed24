/* test_store_documents.c - collections, documents and their chunks, leases, scans, backup, export and import. */
#include "store_support.h"

#include "base/buffer.h"

#include <jansson.h>

static char *read_all(const char *path, size_t *length)
{
    sx_error error = {0};
    char *data;
    OK(sx_file_read(path, (size_t)1 << 28, &data, length, NULL, &error));
    return data;
}

static void make_vectors(sx_database *database, int64_t recipe, size_t dimensions, uint64_t from, size_t count, int64_t *ids)
{
    float *vector = calloc(dimensions, sizeof *vector);
    for (size_t i = 0; i < count; i++) {
        random_vector(vector, dimensions);
        ids[i] = put_vector(database, recipe, from + i, vector);
    }
    free(vector);
}

static void test_collections(void **state)
{
    sx_error error = {0};
    sx_database *database = open_named("collections.db");
    int64_t recipe = make_recipe(database, "m", 4, true);
    sx_collection_row row, other;
    assert_int_equal(sx_store_collection_find(database, "x", &row, &error), SX_E_NOT_FOUND);
    assert_non_null(strstr(error.hint, "no collection yet"));
    row = open_collection(database, "alpha", recipe);
    assert_string_equal(row.model, "m");
    assert_string_equal(row.settings, "{}");
    assert_int_equal(row.dimensions, 4);
    assert_int_equal(strlen(row.recipe_hash), 64);
    OK(sx_store_collection_settings(database, row.id, "{\"chunk\":5}", &error));
    OK(sx_store_collection_open(database, "alpha", recipe, "{}", &other, &error));
    assert_int_equal(other.id, row.id);
    assert_string_equal(other.settings, "{\"chunk\":5}");
    sx_collection_row_clear(&other);
    sx_collection_row_clear(&row);
    other = open_collection(database, "beta", recipe);
    assert_int_equal(sx_store_collection_find(database, "x", &row, &error), SX_E_NOT_FOUND);
    assert_string_equal(error.hint, "there is: alpha, beta");
    assert_int_equal(sx_collection_rename(database, "alpha", "beta", &error), SX_E_EXISTS);
    assert_int_equal(sx_collection_rename(database, "gamma", "delta", &error), SX_E_NOT_FOUND);
    assert_int_equal(sx_collection_rename(database, "alpha", "", &error), SX_E_INVALID);
    assert_int_equal(sx_collection_rename(database, "alpha", "a\nb", &error), SX_E_INVALID);
    OK(sx_collection_rename(database, "alpha", "alpha", &error));
    OK(sx_collection_rename(database, "alpha", "gamma", &error));
    assert_int_equal(sx_store_collection_open(database, "", recipe, NULL, &row, &error), SX_E_INVALID);
    OK(sx_collection_delete(database, "gamma", &error));
    assert_int_equal(sx_collection_delete(database, "gamma", &error), SX_E_NOT_FOUND);
    sx_collection_row_clear(&other);
    sx_collection_row_clear(&row);
    check_whole(database);
    sx_database_close(database);
}

static void test_commit_replaces_and_keeps_what_is_equal(void **state)
{
    sx_error error = {0};
    sx_database *database = open_named("commit.db");
    int64_t recipe = make_recipe(database, "m", 4, true), vectors[10], document, again;
    sx_collection_row collection = open_collection(database, "c", recipe);
    make_vectors(database, recipe, 4, 0, 10, vectors);
    OK(commit_document(database, collection.id, "/root", "a.md", "{\"lang\":\"en\"}", vectors, 5, &document, &error));
    check_whole(database);
    assert_int_equal(scalar(database, "SELECT count(*) FROM spare"), 5);
    int64_t sum = scalar(database, "SELECT sum(id) FROM chunk WHERE number IN (1, 2, 3, 4)");
    /* The first goes, two equal ones stand at the end, one is new and one fails: what stays keeps its id. */
    int64_t next[7] = {vectors[1], vectors[2], vectors[3], vectors[4], vectors[6], vectors[6], 0};
    OK(commit_document(database, collection.id, "/root", "a.md", NULL, next, 7, &again, &error));
    assert_int_equal(again, document);
    check_whole(database);
    assert_int_equal(scalar(database, "SELECT sum(id) FROM chunk WHERE number IN (0, 1, 2, 3)"), sum);
    assert_int_equal(scalar(database, "SELECT count(*) FROM chunk"), 7);
    assert_int_equal(scalar(database, "SELECT min(number) FROM chunk"), 0);
    sx_document_row row;
    OK(sx_store_document_find(database, collection.id, "/root", "a.md", &row, &error));
    assert_int_equal(row.state, SX_DOCUMENT_FAILED);
    assert_string_equal(row.reason, "it would not embed");
    assert_int_equal(row.chunk_count, 7);
    assert_int_equal(row.failed_chunks, 1);
    assert_null(row.metadata);
    assert_string_equal(row.title, "A title");
    sx_document_row_clear(&row);
    sx_chunk_row chunk;
    OK(sx_store_chunk(database, scalar(database, "SELECT id FROM chunk WHERE number = 4"), &chunk, &row, &error));
    assert_string_equal(chunk.text, "a.md chunk 4");
    assert_string_equal(chunk.headings, "[\"One\",\"Two\"]");
    assert_int_equal(chunk.vector, vectors[6]);
    assert_int_equal(chunk.start, 40);
    assert_string_equal(row.path, "a.md");
    sx_chunk_row_clear(&chunk);
    sx_document_row_clear(&row);
    assert_int_equal(sx_store_chunk(database, 12345, &chunk, NULL, &error), SX_E_NOT_FOUND);
    /* What cannot be stored changes nothing. */
    int64_t missing[2] = {vectors[0], 987654};
    assert_int_equal(commit_document(database, collection.id, "/root", "a.md", NULL, missing, 2, NULL, &error), SX_E_NOT_FOUND);
    int64_t foreign = put_vector(database, make_recipe(database, "n", 4, true), 1, (float[]){1, 0, 0, 0});
    assert_int_equal(commit_document(database, collection.id, "/root", "a.md", NULL, &foreign, 1, NULL, &error), SX_E_MISMATCH);
    assert_int_equal(commit_document(database, collection.id, "/root", "b.md", "[1]", vectors, 1, NULL, &error), SX_E_INVALID);
    assert_int_equal(commit_document(database, 999, "/root", "b.md", NULL, vectors, 1, NULL, &error), SX_E_NOT_FOUND);
    assert_int_equal(scalar(database, "SELECT count(*) FROM chunk"), 7);
    assert_int_equal(scalar(database, "SELECT count(*) FROM document"), 1);
    check_whole(database);
    sx_collection_row_clear(&collection);
    sx_database_close(database);
}

static void test_text_with_any_bytes(void **state)
{
    sx_error error = {0};
    sx_database *database = open_named("bytes.db");
    int64_t recipe = make_recipe(database, "m", 4, true), vector;
    sx_collection_row collection = open_collection(database, "c", recipe);
    make_vectors(database, recipe, 4, 0, 1, &vector);
    sx_chunk_row chunk = {.vector = vector, .text = (char *)"a\0b\n\xff", .text_length = 5, .end = 5}, back;
    sx_document_row row = {.root = (char *)"/r", .path = (char *)"odd \xff name"};
    OK(sx_store_document_commit(database, collection.id, &row, &chunk, 1, &error));
    OK(sx_store_chunk(database, scalar(database, "SELECT id FROM chunk"), &back, NULL, &error));
    assert_int_equal(back.text_length, 5);
    assert_memory_equal(back.text, "a\0b\n\xff", 5);
    sx_chunk_row_clear(&back);
    sx_document_row found;
    OK(sx_store_document_find(database, collection.id, "/r", "odd \xff name", &found, &error));
    assert_int_equal(found.id, row.id);
    sx_document_row_clear(&found);
    sx_collection_row_clear(&collection);
    sx_database_close(database);
}

static void test_states_of_documents(void **state)
{
    sx_error error = {0};
    sx_database *database = open_named("states.db");
    int64_t recipe = make_recipe(database, "m", 4, true), vectors[4], document;
    sx_collection_row collection = open_collection(database, "c", recipe);
    make_vectors(database, recipe, 4, 0, 4, vectors);
    sx_document_row row = {.root = (char *)"/r", .path = (char *)"p", .content = hash_of_number(5)}, found;
    OK(sx_store_document_pending(database, collection.id, &row, &error));
    assert_true(row.id > 0);
    OK(sx_store_document_find(database, collection.id, "/r", "p", &found, &error));
    assert_int_equal(found.state, SX_DOCUMENT_PENDING);
    assert_memory_not_equal(&found.content, &row.content, sizeof row.content);
    sx_document_row_clear(&found);
    OK(commit_document(database, collection.id, "/r", "p", NULL, vectors, 4, &document, &error));
    assert_int_equal(document, row.id);
    OK(sx_store_document_pending(database, collection.id, &row, &error));
    assert_int_equal(scalar(database, "SELECT count(*) FROM chunk"), 4);
    row.file = (sx_file_state){.device = UINT64_MAX, .inode = 7, .size = 8, .mtime_ns = 9, .ctime_ns = -10, .scanned_ns = 11};
    OK(sx_store_document_touch(database, &row, &error));
    OK(sx_store_document_find(database, collection.id, "/r", "p", &found, &error));
    assert_memory_equal(&found.file, &row.file, sizeof row.file);
    assert_int_equal(found.state, SX_DOCUMENT_PENDING);
    assert_int_equal(found.chunk_count, 4);
    sx_document_row_clear(&found);
    sx_database_status *status;
    OK(sx_database_describe(database, &status, &error));
    assert_int_equal(status->collection_count, 1);
    assert_int_equal(status->collections[0].pending, 1);
    assert_int_equal(status->collections[0].vectors, 4);
    assert_int_equal(status->collections[0].chunks, 4);
    sx_database_status_free(status);
    /* Failed: the old chunks stay. Skipped: they go. */
    row.state = SX_DOCUMENT_FAILED;
    row.reason = (char *)"cannot be read";
    OK(sx_store_document_note(database, collection.id, &row, &error));
    assert_int_equal(scalar(database, "SELECT count(*) FROM chunk"), 4);
    OK(sx_database_describe(database, &status, &error));
    assert_int_equal(status->collections[0].failed, 1);
    assert_int_equal(status->collections[0].documents, 1);
    sx_database_status_free(status);
    row.state = SX_DOCUMENT_SKIPPED;
    OK(sx_store_document_note(database, collection.id, &row, &error));
    assert_int_equal(scalar(database, "SELECT count(*) FROM chunk"), 0);
    OK(sx_database_describe(database, &status, &error));
    assert_int_equal(status->collections[0].documents, 0);
    assert_int_equal(status->cache.entries, 4);
    sx_database_status_free(status);
    row.state = SX_DOCUMENT_DONE;
    assert_int_equal(sx_store_document_note(database, collection.id, &row, &error), SX_E_INVALID);
    check_whole(database);
    sx_collection_row_clear(&collection);
    sx_database_close(database);
}

typedef struct visited {
    sx_database *database;
    char seen[40000];
    size_t count;
    bool remove;
} visited;

static sx_status visit(const sx_document_row *row, void *user, sx_error *error)
{
    visited *seen = user;
    if (seen->count++ < 20)
        snprintf(seen->seen + strlen(seen->seen), 200, "%s:%s ", row->root, row->path);
    return seen->remove ? sx_store_document_remove(seen->database, row->id, error) : SX_OK;
}

/* Steps of SQLite's machine since the last call. */
static int steps_of(sx_database *database)
{
    int steps = 0;
    for (size_t i = 0; i < database->statement_count; i++)
        steps += sqlite3_stmt_status(database->statements[i].statement, SQLITE_STMTSTATUS_VM_STEP, 1);
    return steps;
}

static void test_visiting(void **state)
{
    sx_error error = {0};
    sx_database *database = open_named("visit.db");
    int64_t recipe = make_recipe(database, "m", 4, true), documents[6];
    sx_collection_row collection = open_collection(database, "c", recipe);
    static const char *const paths[] = {"b", "a/z", "a-b", "a/", "a0", "a"};
    for (size_t i = 0; i < 6; i++)
        OK(commit_document(database, collection.id, i == 0 ? "/s" : "/r", paths[i], NULL, NULL, 0, &documents[i], &error));
    visited *seen = calloc(1, sizeof *seen);
    OK(sx_store_documents(database, collection.id, NULL, "", visit, seen, &error));
    assert_string_equal(seen->seen, "/r:a /r:a-b /r:a/ /r:a/z /r:a0 /s:b ");
    *seen = (visited){0};
    OK(sx_store_documents(database, collection.id, "/r", "a", visit, seen, &error));
    assert_string_equal(seen->seen, "/r:a /r:a/z ");
    *seen = (visited){0};
    OK(sx_store_documents(database, collection.id, "/r", "a/", visit, seen, &error));
    assert_string_equal(seen->seen, "/r:a /r:a/z ");
    *seen = (visited){0};
    assert_int_equal(sx_store_scan_unmet(database, collection.id, "/r", "", visit, seen, &error), SX_E_INVALID);
    OK(sx_store_scan_begin(database, &error));
    OK(sx_store_scan_met(database, documents[5], &error));
    OK(sx_store_scan_met(database, documents[5], &error));
    OK(sx_store_scan_met(database, documents[1], &error));
    OK(sx_store_scan_unmet(database, collection.id, "/r", NULL, visit, seen, &error));
    assert_string_equal(seen->seen, "/r:a-b /r:a/ /r:a0 ");
    OK(sx_store_scan_begin(database, &error));
    *seen = (visited){0};
    OK(sx_store_scan_unmet(database, collection.id, "/s", "", visit, seen, &error));
    assert_string_equal(seen->seen, "/s:b ");
    /* Many pages, and a visitor that deletes under its own feet. */
    OK(sx_store_begin(database, &error));
    for (int i = 0; i < 1000; i++) {
        char path[32];
        snprintf(path, sizeof path, "many/%d", i);
        OK(commit_document(database, collection.id, "/r", path, NULL, NULL, 0, NULL, &error));
    }
    OK(sx_store_commit(database, &error));
    /* A path costs nothing of the documents elsewhere: an index of a list of files would be quadratic. */
    static const char *const places[][2] = {{"/r", "a"}, {"/s", ""}, {"/q", ""}, {"/t", ""}, {"/r", "zzz"}};
    (void)steps_of(database);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        *seen = (visited){0};
        OK(sx_store_documents(database, collection.id, places[i][0], places[i][1], visit, seen, &error));
        OK(sx_store_scan_unmet(database, collection.id, places[i][0], places[i][1], visit, seen, &error));
        assert_in_range(steps_of(database), 0, 600);
    }
    /* A search asks which collections there are; that too costs nothing of the documents. */
    sx_database_status *status;
    OK(sx_database_list(database, &status, &error));
    assert_in_range(steps_of(database), 1, 200);
    assert_int_equal(status->collection_count, 1);
    assert_string_equal(status->collections[0].name, "c");
    assert_string_equal(status->collections[0].model, "m");
    assert_int_equal(status->collections[0].dimensions, 4);
    sx_database_status_free(status);
    assert_int_equal(sx_database_list(NULL, &status, &error), SX_E_INVALID);
    *seen = (visited){.database = database, .remove = true};
    OK(sx_store_documents(database, collection.id, "/r", "many", visit, seen, &error));
    assert_int_equal(seen->count, 1000);
    assert_int_equal(scalar(database, "SELECT count(*) FROM document"), 6);
    free(seen);
    sx_collection_row_clear(&collection);
    sx_database_close(database);
}

static void test_lease(void **state)
{
    sx_error error = {0};
    sx_database *first = open_named("lease.db"), *second = open_named("lease.db");
    int64_t recipe = make_recipe(first, "m", 4, true);
    sx_collection_row c = open_collection(first, "c", recipe), d = open_collection(first, "d", recipe);
    OK(sx_store_lease(first, c.id, false, NULL, &error));
    assert_int_equal(sx_store_lease(first, c.id, false, NULL, &error), SX_E_BUSY);
    assert_int_equal(sx_store_lease(second, c.id, false, NULL, &error), SX_E_BUSY);
    assert_true(error.hint[0]);
    volatile int stop = 1;
    assert_int_equal(sx_store_lease(second, c.id, true, &stop, &error), SX_E_STOPPED);
    OK(sx_store_lease(second, d.id, false, NULL, &error));
    assert_int_equal(sx_collection_delete(second, "c", &error), SX_E_BUSY);
    sx_database_close(first);
    OK(sx_store_lease(second, c.id, true, NULL, &error));
    sx_store_lease_release(second, c.id);
    sx_store_lease_release(second, c.id);
    OK(sx_collection_delete(second, "c", &error));
    assert_int_equal(sx_store_lease(second, c.id, true, NULL, &error), SX_E_NOT_FOUND);
    sx_collection_row_clear(&c);
    sx_collection_row_clear(&d);
    sx_database_close(second);
}

static void test_large_deletion_is_taken_up_again(void **state)
{
    sx_error error = {0};
    sx_database *database = open_named("large.db");
    int64_t recipe = make_recipe(database, "m", 4, true), vectors[50];
    sx_collection_row c = open_collection(database, "c", recipe);
    make_vectors(database, recipe, 4, 0, 50, vectors);
    OK(sx_store_begin(database, &error));
    for (int i = 0; i < 100; i++) {
        char path[32];
        snprintf(path, sizeof path, "%d", i);
        OK(commit_document(database, c.id, "/r", path, NULL, vectors, 50, NULL, &error));
    }
    OK(sx_store_commit(database, &error));
    OK(sx_store_publish(database, c.id, true, &error));
    /* As if a process had died after taking the name. */
    assert_int_equal(sqlite3_exec(database->sqlite, "DELETE FROM segment; UPDATE collection SET name = NULL", NULL, NULL, NULL),
                     SQLITE_OK);
    sx_database_status *status;
    OK(sx_database_describe(database, &status, &error));
    assert_int_equal(status->collection_count, 0);
    sx_database_status_free(status);
    sx_collection_row d = open_collection(database, "d", recipe);
    OK(sx_store_publish(database, d.id, true, &error));
    assert_int_equal(scalar(database, "SELECT count(*) FROM chunk"), 0);
    assert_int_equal(scalar(database, "SELECT count(*) FROM collection"), 1);
    char *folder = in_folder("large.db-vectors");
    DIR *opened = opendir(folder);
    int files = 0;
    for (struct dirent *entry; (entry = readdir(opened));)
        files += entry->d_name[0] != '.';
    closedir(opened);
    assert_int_equal(files, 0);
    free(folder);
    check_whole(database);
    sx_collection_row_clear(&c);
    sx_collection_row_clear(&d);
    sx_database_close(database);
}

/* ---- Files ---- */

static sx_collection_row fill(sx_database *database, const char *name, size_t dimensions)
{
    sx_error error = {0};
    int64_t recipe = make_recipe(database, "m", (uint32_t)dimensions, true), vectors[30];
    sx_collection_row c = open_collection(database, name, recipe);
    make_vectors(database, recipe, dimensions, 0, 30, vectors);
    vectors[7] = 0;
    OK(commit_document(database, c.id, "/root \"one\"", "b/second.md", "{\"lang\":\"en\",\"tags\":[1,true,null]}", vectors, 10,
                       NULL, &error));
    OK(commit_document(database, c.id, "/root \"one\"", "a \xc3\xa9.md", NULL, vectors + 8, 12, NULL, &error));
    OK(commit_document(database, c.id, "/other", "z", "{ \"spaced\" : 1 }", vectors + 20, 10, NULL, &error));
    return c;
}

static void test_export_comes_back(void **state)
{
    sx_error error = {0};
    char *first = in_folder("first.jsonl"), *second = in_folder("second.jsonl");
    sx_database *from = open_named("export.db"), *to = open_named("import.db");
    sx_collection_row c = fill(from, "c", 33);
    OK(sx_collection_export(from, "c", "jsonl", first, &error));
    OK(sx_collection_import(to, "copy", first, &error));
    assert_int_equal(sx_collection_import(to, "copy", first, &error), SX_E_EXISTS);
    check_whole(to);
    OK(sx_collection_export(to, "copy", "jsonl", second, &error));
    size_t length, length2;
    char *a = read_all(first, &length), *b = read_all(second, &length2);
    assert_int_equal(length, length2);
    assert_memory_equal(a, b, length);
    /* Ordered, each line an object with the contract's keys. */
    char *line = a, *end;
    size_t lines = 0;
    for (; (end = strchr(line, '\n')); line = end + 1, lines++) {
        *end = '\0';
        json_t *object = json_loads(line, 0, NULL);
        assert_non_null(object);
        static const char *const keys[] = {"document", "index", "start", "end", "headings", "metadata", "text", "embedding"};
        for (size_t i = 0; i < 8; i++)
            assert_non_null(json_object_get(object, keys[i]));
        if (lines == 0)
            assert_string_equal(json_string_value(json_object_get(object, "document")), "z");
        if (json_is_array(json_object_get(object, "embedding")))
            assert_int_equal(json_array_size(json_object_get(object, "embedding")), 33);
        json_decref(object);
    }
    assert_int_equal(lines, 32);
    assert_int_equal(scalar(to, "SELECT count(*) FROM document WHERE state = 2"), 1);
    free(a);
    free(b);
    assert_int_equal(sx_collection_export(from, "none", "jsonl", first, &error), SX_E_NOT_FOUND);
    assert_int_equal(sx_collection_export(from, "c", "xml", first, &error), SX_E_INVALID);
    free(first);
    free(second);
    sx_collection_row_clear(&c);
    sx_database_close(from);
    sx_database_close(to);
}

static void test_bad_imports_leave_nothing(void **state)
{
    sx_error error = {0};
    char *good = in_folder("good.jsonl"), *bad = in_folder("bad.jsonl");
    sx_database *from = open_named("good.db"), *to = open_named("bad.db");
    sx_collection_row c = fill(from, "c", 3);
    OK(sx_collection_export(from, "c", "jsonl", good, &error));
    size_t length;
    char *data = read_all(good, &length);
    static const struct {
        const char *what, *with;
        sx_status status;
    } changes[] = {
        {"\"document\"", "\"documen\"", SX_E_FORMAT},          {"\"text\"", "\"txet\"", SX_E_FORMAT},
        {"\"collection\"", "\"kollection\"", SX_E_FORMAT},     {"\"recipe_json\":\"", "\"recipe_json\":\"x", SX_E_MISMATCH},
        {"\"index\":0", "\"index\":-1", SX_E_FORMAT},          {"\"index\":1,", "\"index\":0,", SX_E_INVALID},
        {"\"embedding\":[", "\"embedding\":[1,", SX_E_FORMAT}, {"\"embedding\":[", "\"embedding\":[1e39,", SX_E_FORMAT},
        {"\"metadata\":{", "\"metadata\":[{", SX_E_FORMAT},    {"\"start\":0", "\"start\":5000", SX_E_FORMAT},
        {"\"hash\":\"", "\"hash\":\"z", SX_E_FORMAT},          {"}\n", "\n", SX_E_FORMAT},
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        sx_buffer buffer = {0};
        const char *at = strstr(data, changes[i].what);
        assert_non_null(at);
        sx_buffer_append(&buffer, data, (size_t)(at - data));
        sx_buffer_append_string(&buffer, changes[i].with);
        sx_buffer_append_string(&buffer, at + strlen(changes[i].what));
        OK(sx_file_write_atomic(bad, buffer.data, buffer.length, &error));
        sx_status status = sx_collection_import(to, "c", bad, &error);
        if (status != changes[i].status)
            fail_msg("%s -> %s gives %s: %s", changes[i].what, changes[i].with, sx_status_name(status),
                     status ? error.message : "");
        assert_non_null(strstr(error.message, "bad."));
        sx_buffer_clear(&buffer);
        assert_int_equal(scalar(to, "SELECT count(*) FROM collection"), 0);
        assert_int_equal(scalar(to, "SELECT count(*) FROM chunk"), 0);
    }
    /* A document in two places. */
    sx_buffer twice = {0};
    sx_buffer_append(&twice, data, length);
    sx_buffer_append(&twice, data, length);
    OK(sx_file_write_atomic(bad, twice.data, twice.length, &error));
    assert_int_equal(sx_collection_import(to, "c", bad, &error), SX_E_FORMAT);
    OK(sx_file_write_atomic(bad, "\n\n", 2, &error));
    assert_int_equal(sx_collection_import(to, "c", bad, &error), SX_E_FORMAT);
    assert_int_equal(sx_collection_import(to, "c", "/nonexistent/file", &error), SX_E_NOT_FOUND);
    OK(sx_collection_import(to, "c", good, &error));
    check_whole(to);
    sx_buffer_clear(&twice);
    free(data);
    free(good);
    free(bad);
    sx_collection_row_clear(&c);
    sx_database_close(from);
    sx_database_close(to);
}

static void test_json_and_npy(void **state)
{
    sx_error error = {0};
    char *json = in_folder("out.json"), *npy = in_folder("out"), *array = in_folder("out/embeddings.npy"),
         *side = in_folder("out/metadata.json"), *info = in_folder("out/model_info.json");
    sx_database *database = open_named("formats.db");
    sx_collection_row c = fill(database, "c", 5);
    OK(sx_collection_export(database, "c", "json", json, &error));
    json_t *root = json_load_file(json, 0, NULL);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "version")), "1.0");
    assert_int_equal(json_integer_value(json_object_get(root, "dimensions")), 5);
    json_t *embeddings = json_object_get(root, "embeddings");
    assert_int_equal(json_array_size(embeddings), 31);
    json_t *element = json_array_get(embeddings, 0);
    assert_string_equal(json_string_value(json_object_get(element, "id")), "z#0");
    assert_string_equal(json_string_value(json_object_get(element, "content")), "z chunk 0");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(element, "metadata"), "spaced")), 1);
    OK(sx_collection_export(database, "c", "npy", npy, &error));
    assert_int_equal(sx_collection_export(database, "c", "npy", npy, &error), SX_E_EXISTS);
    assert_int_equal(sx_collection_export(database, "c", "npy", "-", &error), SX_E_INVALID);
    size_t length;
    char *bytes = read_all(array, &length);
    assert_int_equal(length, 128 + 31 * 5 * 4);
    assert_memory_equal(bytes, "\x93NUMPY\x01\x00", 8);
    assert_non_null(strstr(bytes + 10, "'shape': (31, 5)"));
    float first;
    memcpy(&first, bytes + 128, 4);
    assert_true(first == (float)json_number_value(json_array_get(json_object_get(element, "embedding"), 0)));
    free(bytes);
    json_decref(root);
    root = json_load_file(side, 0, NULL);
    assert_int_equal(json_array_size(root), 31);
    json_decref(root);
    root = json_load_file(info, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(root, "count")), 31);
    json_decref(root);
    free(json);
    free(npy);
    free(array);
    free(side);
    free(info);
    sx_collection_row_clear(&c);
    sx_database_close(database);
}

static void test_backup_and_restore(void **state)
{
    sx_error error = {0};
    char *path = in_folder("live.db"), *backup = in_folder("backup.db"), *fresh = in_folder("new/fresh.db");
    sx_database *database = open_named("live.db");
    sx_collection_row c = fill(database, "c", 5);
    OK(sx_store_publish(database, c.id, true, &error));
    sx_sha256 hash = hash_of_number(999);
    sx_claim claim;
    OK(sx_store_claim(database, c.recipe, &hash, 1, &claim, &error));
    OK(sx_database_backup(database, backup, &error));
    assert_int_equal(sx_database_backup(database, backup, &error), SX_E_EXISTS);
    OK(sx_collection_delete(database, "c", &error));
    assert_int_equal(sx_database_restore(backup, path, 0, &error), SX_E_EXISTS);
    assert_int_equal(sx_database_restore(backup, path, 1, &error), SX_E_BUSY);
    assert_int_equal(sx_database_restore(path, path, 1, &error), SX_E_INVALID);
    sx_database_close(database);
    OK(sx_database_restore(backup, path, 1, &error));
    database = open_named("live.db");
    assert_int_equal(scalar(database, "SELECT count(*) FROM chunk"), 32);
    assert_int_equal(scalar(database, "SELECT count(*) FROM segment"), 0);
    assert_int_equal(scalar(database, "SELECT count(*) FROM claim"), 0);
    check_whole(database);
    OK(sx_store_publish(database, c.id, true, &error));
    sx_database_close(database);
    OK(sx_database_restore(backup, fresh, 0, &error));
    sx_database *opened;
    OK(sx_database_open(fresh, NULL, &opened, &error));
    check_whole(opened);
    sx_database_close(opened);
    /* Damaged and foreign backups replace nothing. */
    size_t length;
    char *bytes = read_all(backup, &length);
    memset(bytes + 4096 * 3, 0x77, 4096 * 5);
    OK(sx_file_write_atomic(backup, bytes, length, &error));
    assert_int_equal(sx_database_restore(backup, path, 1, &error), SX_E_FORMAT);
    OK(sx_file_write_atomic(backup, bytes, length / 2, &error));
    assert_int_equal(sx_database_restore(backup, path, 1, &error), SX_E_FORMAT);
    OK(sx_file_write_atomic(backup, "text", 4, &error));
    assert_int_equal(sx_database_restore(backup, path, 1, &error), SX_E_FORMAT);
    assert_int_equal(sx_database_restore("/nonexistent", path, 1, &error), SX_E_NOT_FOUND);
    free(bytes);
    database = open_named("live.db");
    check_whole(database);
    assert_int_equal(scalar(database, "SELECT count(*) FROM chunk"), 32);
    sx_database_close(database);
    sx_collection_row_clear(&c);
    free(path);
    free(backup);
    free(fresh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_collections),
        cmocka_unit_test(test_commit_replaces_and_keeps_what_is_equal),
        cmocka_unit_test(test_text_with_any_bytes),
        cmocka_unit_test(test_states_of_documents),
        cmocka_unit_test(test_visiting),
        cmocka_unit_test(test_lease),
        cmocka_unit_test(test_large_deletion_is_taken_up_again),
        cmocka_unit_test(test_export_comes_back),
        cmocka_unit_test(test_bad_imports_leave_nothing),
        cmocka_unit_test(test_json_and_npy),
        cmocka_unit_test(test_backup_and_restore),
    };
    return cmocka_run_group_tests(tests, make_test_folder, remove_test_folder);
}
