/* store_support.h - what the tests of the database share: a folder of their own, recipes, vectors, documents. */
#ifndef STORE_SUPPORT_H
#define STORE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "store/sql.h"
#include "store/store.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))

static char test_folder[64];

static UNUSED char *in_folder(const char *name)
{
    return sx_path_join(test_folder, name);
}

static void remove_folder(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        char *below = sx_path_join(path, entry->d_name);
        struct stat status;
        if (lstat(below, &status) == 0 && S_ISDIR(status.st_mode))
            remove_folder(below);
        else
            unlink(below);
        free(below);
    }
    if (folder)
        closedir(folder);
    rmdir(path);
}

static UNUSED int make_test_folder(void **state)
{
    (void)state;
    snprintf(test_folder, sizeof test_folder, "/tmp/sextant-store-XXXXXX");
    return mkdtemp(test_folder) ? 0 : -1;
}

static UNUSED int remove_test_folder(void **state)
{
    (void)state;
    remove_folder(test_folder);
    return 0;
}

static UNUSED void check_status(sx_status status, const sx_error *error, int line)
{
    if (status)
        fail_msg("line %d: %s: %s", line, sx_status_name(status), error->message);
}
#define OK(call) check_status((call), &error, __LINE__)

static UNUSED sx_database *open_named(const char *name)
{
    sx_error error = {0};
    sx_database *database;
    char *path = in_folder(name);
    OK(sx_database_open(path, NULL, &database, &error));
    free(path);
    return database;
}

static UNUSED uint64_t random_seed = 88172645463325252u;
static UNUSED uint64_t next_random(void)
{
    random_seed ^= random_seed << 13;
    random_seed ^= random_seed >> 7;
    return random_seed ^= random_seed << 17;
}
static UNUSED double next_unit(void)
{
    return (double)(next_random() >> 11) / 9007199254740992.0;
}

static UNUSED void random_vector(float *vector, size_t dimensions)
{
    double sum = 0;
    for (size_t i = 0; i < dimensions; i++) {
        vector[i] = (float)(next_unit() - 0.5);
        sum += (double)vector[i] * vector[i];
    }
    for (size_t i = 0; i < dimensions; i++)
        vector[i] = (float)(vector[i] / sqrt(sum));
}

/* A recipe whose hash is what it says. */
static UNUSED int64_t make_recipe(sx_database *database, const char *name, uint32_t dimensions, bool normalized)
{
    sx_error error = {0};
    char json[200], space[200];
    snprintf(json, sizeof json, "{\"recipe\":\"%s\"}", name);
    snprintf(space, sizeof space, "{\"model\":\"%s\",\"normalized\":%s,\"similarity\":\"cosine\"}", name,
             normalized ? "true" : "false");
    sx_recipe_row row = {.json = json, .space_json = space, .model = name, .dimensions = dimensions};
    sx_sha256_of(json, strlen(json), &row.hash);
    sx_sha256_of(space, strlen(space), &row.space);
    OK(sx_store_recipe(database, &row, &error));
    assert_true(row.id > 0);
    return row.id;
}

static UNUSED sx_sha256 hash_of_number(uint64_t number)
{
    sx_sha256 hash;
    sx_sha256_of(&number, sizeof number, &hash);
    return hash;
}

static UNUSED int64_t put_vector(sx_database *database, int64_t recipe, uint64_t number, const float *vector)
{
    sx_error error = {0};
    sx_sha256 hash = hash_of_number(number);
    int64_t id;
    OK(sx_store_put(database, recipe, &hash, 1, vector, &(sx_vector_row){.tokens = 7}, &id, &error));
    return id;
}

static UNUSED int64_t scalar(sx_database *database, const char *sql)
{
    sqlite3_stmt *statement;
    int64_t value = -1;
    assert_int_equal(sqlite3_prepare_v2(database->sqlite, sql, -1, &statement, NULL), SQLITE_OK);
    if (sqlite3_step(statement) == SQLITE_ROW)
        value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

/* The sums kept by triggers are what counting gives, references hold, SQLite finds nothing wrong. */
static UNUSED void check_whole(sx_database *database)
{
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_prepare_v2(database->sqlite, "PRAGMA integrity_check", -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(statement, 0), "ok");
    sqlite3_finalize(statement);
    assert_int_equal(sqlite3_prepare_v2(database->sqlite, "PRAGMA foreign_key_check", -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_DONE);
    sqlite3_finalize(statement);
    assert_int_equal(scalar(database, "SELECT count(*) FROM vector v WHERE (EXISTS (SELECT 1 FROM chunk WHERE vector = v.id))"
                                      " = (EXISTS (SELECT 1 FROM spare WHERE vector = v.id))"),
                     0);
    assert_int_equal(scalar(database, "SELECT value FROM counter WHERE name = 'spare_bytes'"),
                     scalar(database, "SELECT coalesce(sum(bytes), 0) FROM spare"));
    assert_int_equal(scalar(database, "SELECT value FROM counter WHERE name = 'spare_entries'"),
                     scalar(database, "SELECT count(*) FROM spare"));
    assert_int_equal(
        scalar(database,
               "SELECT count(*) FROM document d WHERE chunk_count <> (SELECT count(*) FROM chunk WHERE document = d.id)"),
        0);
    assert_int_equal(
        scalar(database, "SELECT count(*) FROM chunk c JOIN document d ON d.id = c.document WHERE c.collection <> d.collection"),
        0);
}

/* A document of `count` chunks with the given vectors (0: failed). */
static UNUSED sx_status commit_document(sx_database *database, int64_t collection, const char *root, const char *path,
                                        const char *metadata, const int64_t *vectors, size_t count, int64_t *id, sx_error *error)
{
    sx_chunk_row *chunks = calloc(count + 1, sizeof *chunks);
    char(*texts)[64] = calloc(count + 1, sizeof *texts);
    for (size_t i = 0; i < count; i++) {
        int length = snprintf(texts[i], sizeof texts[i], "%s chunk %zu", path, i);
        chunks[i] = (sx_chunk_row){.vector = vectors[i],
                                   .index = (uint32_t)i,
                                   .start = 10 * i,
                                   .end = 10 * i + 9,
                                   .start_line = 1,
                                   .end_line = 2,
                                   .tokens = 7,
                                   .headings = (char *)"[\"One\",\"Two\"]",
                                   .header = (char *)"One > Two",
                                   .text = texts[i],
                                   .text_length = (size_t)length,
                                   .reason = vectors[i] ? NULL : (char *)"it would not embed"};
        chunks[i].hash = hash_of_number((uint64_t)vectors[i]);
    }
    sx_document_row row = {.root = (char *)root,
                           .path = (char *)path,
                           .metadata = (char *)metadata,
                           .media_type = (char *)"text/plain",
                           .title = (char *)"A title"};
    sx_status status = sx_store_document_commit(database, collection, &row, chunks, count, error);
    if (id)
        *id = row.id;
    free(chunks);
    free(texts);
    return status;
}

static UNUSED sx_collection_row open_collection(sx_database *database, const char *name, int64_t recipe)
{
    sx_error error = {0};
    sx_collection_row row;
    OK(sx_store_collection_open(database, name, recipe, "{}", &row, &error));
    return row;
}

#endif
