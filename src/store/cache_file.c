/* cache_file.c - all stored vectors as JSON lines, and back: work done on one machine serves on another.
 *
 * The recipes come first, one a line: {"recipe","model","dimensions","json","space_json"}; then the vectors:
 * {"recipe","hash","tokens","dropped_tokens","vector"}. What collections refer to is written too: elsewhere it is cache. */
#include "../base/error.h"
#include "../base/json_writer.h"
#include "../base/memory.h"
#include "file_output.h"
#include "store_json.h"
#include "vectors.h"

#include <stdlib.h>
#include <string.h>

/* Vectors taken in one transaction. */
enum { IMPORT_BATCH = 256 };

/* ---- Export ---- */

static void put_hash(sx_buffer *buffer, const char *before, sqlite3_stmt *statement, int column)
{
    sx_sha256 hash;
    char hex[SX_SHA256_HEX];
    sx_sql_hash(statement, column, &hash);
    sx_sha256_hex(&hash, hex);
    sx_buffer_printf(buffer, "%s\"%s\"", before, hex);
}

static void put_text(sx_buffer *buffer, const char *before, sqlite3_stmt *statement, int column)
{
    sx_buffer_append_string(buffer, before);
    sx_json_write_string(buffer, (const char *)sqlite3_column_text(statement, column),
                         (size_t)sqlite3_column_bytes(statement, column));
}

static sx_status write_recipes(sx_database *database, sx_output *output, sx_error *error)
{
    sqlite3_stmt *statement;
    bool row = true;
    sx_buffer *buffer = &output->buffer;
    sx_status status = sx_sql_start(database, "SELECT hash, model, dimensions, json, space_json FROM recipe ORDER BY hash",
                                    &statement, error, "");
    while (!status && !(status = sx_sql_step(database, statement, &row, error)) && row) {
        put_hash(buffer, "{\"recipe\":", statement, 0);
        put_text(buffer, ",\"model\":", statement, 1);
        sx_buffer_printf(buffer, ",\"dimensions\":%lld", (long long)sqlite3_column_int64(statement, 2));
        put_text(buffer, ",\"json\":", statement, 3);
        put_text(buffer, ",\"space_json\":", statement, 4);
        sx_buffer_append_string(buffer, "}\n");
    }
    return status;
}

static sx_status write_vectors(sx_database *database, sx_output *output, uint64_t *count, sx_error *error)
{
    sqlite3_stmt *statement;
    bool row = true;
    float *vector = NULL;
    size_t capacity = 0;
    sx_buffer *buffer = &output->buffer;
    sx_status status = sx_sql_start(database,
                                    "SELECT r.hash, v.hash, v.tokens, v.dropped, v.id, r.dimensions, v.data, v.packing FROM recipe r"
                                    " CROSS JOIN vector v ON v.recipe = r.id WHERE v.packing IS NULL ORDER BY r.hash, v.hash",
                                    &statement, error, "");
    if (status)
        return status;
    while (!(status = sx_sql_step(database, statement, &row, error)) && row) {
        size_t dimensions = (size_t)sqlite3_column_int64(statement, 5);
        if (!sx_reserve((void **)&vector, &capacity, dimensions, sizeof *vector))
            status = sx_fail_nomem(error, dimensions * sizeof *vector);
        else
            status = sx_store_read_vector(database, statement, 6, sqlite3_column_int64(statement, 4), dimensions, vector, error);
        if (status)
            break;
        put_hash(buffer, "{\"recipe\":", statement, 0);
        put_hash(buffer, ",\"hash\":", statement, 1);
        sx_buffer_printf(buffer,
                         ",\"tokens\":%lld,\"dropped_tokens\":%lld,\"vector\":", (long long)sqlite3_column_int64(statement, 2),
                         (long long)sqlite3_column_int64(statement, 3));
        sx_json_write_floats(buffer, vector, dimensions);
        sx_buffer_append_string(buffer, "}\n");
        (*count)++;
        if ((status = sx_output_flow(output, error)))
            break;
    }
    sqlite3_reset(statement);
    free(vector);
    return status;
}

sx_status sx_cache_export(sx_database *database, const char *target, uint64_t *count, sx_error *error)
{
    if (!database || !target || !*target)
        return sx_fail(error, SX_E_INVALID, "sx_cache_export: an argument is NULL");
    uint64_t written = 0;
    sx_output output;
    sx_status status = sx_output_open(&output, target, error);
    if (status)
        return status;
    status = sx_snapshot_begin(database, error);
    if (!status)
        status = write_recipes(database, &output, error);
    if (!status)
        status = write_vectors(database, &output, &written, error);
    sx_snapshot_end(database);
    if (!status)
        status = sx_output_finish(&output, error);
    sx_output_close(&output);
    if (count)
        *count = status ? 0 : written;
    return status;
}

/* ---- Import ---- */

typedef struct known_recipe {
    sx_sha256 hash;
    int64_t id;
    size_t dimensions;
} known_recipe;

typedef struct cache_line {
    sx_sha256 recipe, hash;
    bool has_recipe, has_hash, has_vector;
    uint64_t dimensions, tokens, dropped;
    char *model, *json, *space_json;
} cache_line;

typedef struct cache_import {
    sx_database *database;
    sx_lines lines;
    sx_buffer key, value;
    sx_json_vector vector;
    known_recipe *recipes;
    size_t recipe_count, recipe_capacity;
    sx_scope scope;
    size_t in_batch; /* 0: no transaction is open */
    uint64_t taken, taken_in_batch;
} cache_import;

static void read_text(cache_import *job, sx_json *json, char **out)
{
    sx_text text;
    if (!sx_json_string(json, &job->value, &text))
        return;
    free(*out);
    *out = sx_strndup(text.data, text.length);
    if (!*out || strlen(*out) != text.length)
        sx_json_reject(json, *out ? "a NUL byte in a text" : "memory could not be had");
}

static sx_status parse(cache_import *job, sx_text text, cache_line *line, sx_error *error)
{
    sx_json json;
    sx_text key;
    sx_json_begin(&json, text.data, text.length, job->lines.path);
    sx_json_object(&json);
    while (sx_json_member(&json, &job->key, &key)) {
        if (sx_text_is(key, "recipe"))
            line->has_recipe = sx_json_read_hash(&json, &job->value, &line->recipe);
        else if (sx_text_is(key, "hash"))
            line->has_hash = sx_json_read_hash(&json, &job->value, &line->hash);
        else if (sx_text_is(key, "vector"))
            line->has_vector = sx_json_read_vector(&json, &job->vector);
        else if (sx_text_is(key, "dimensions"))
            sx_json_unsigned(&json, &line->dimensions);
        else if (sx_text_is(key, "tokens"))
            sx_json_unsigned(&json, &line->tokens);
        else if (sx_text_is(key, "dropped_tokens"))
            sx_json_unsigned(&json, &line->dropped);
        else if (sx_text_is(key, "model"))
            read_text(job, &json, &line->model);
        else if (sx_text_is(key, "json"))
            read_text(job, &json, &line->json);
        else if (sx_text_is(key, "space_json"))
            read_text(job, &json, &line->space_json);
        else
            sx_json_skip(&json);
    }
    sx_json_end(&json);
    if (json.problem)
        return sx_fail(error, SX_E_FORMAT, "%s: line %llu, byte %zu: %s", job->lines.path, (unsigned long long)job->lines.number,
                       json.problem_position, json.problem);
    return SX_OK;
}

static sx_status fail_line(const cache_import *job, sx_status code, sx_error *error, const char *problem)
{
    return sx_fail(error, code, "%s: line %llu: %s", job->lines.path, (unsigned long long)job->lines.number, problem);
}

static const known_recipe *find_recipe(const cache_import *job, const sx_sha256 *hash)
{
    for (size_t i = job->recipe_count; i-- > 0;)
        if (memcmp(&job->recipes[i].hash, hash, sizeof *hash) == 0)
            return &job->recipes[i];
    return NULL;
}

static sx_status take_recipe(cache_import *job, const cache_line *line, sx_error *error)
{
    if (!line->model || !line->space_json || !line->dimensions || line->dimensions > SX_SEGMENT_DIMENSIONS)
        return fail_line(job, SX_E_FORMAT, error, "a recipe needs model, dimensions, json and space_json");
    sx_recipe_row row = {
        .json = line->json, .space_json = line->space_json, .model = line->model, .dimensions = (uint32_t)line->dimensions};
    sx_sha256_of(line->json, strlen(line->json), &row.hash);
    sx_sha256_of(line->space_json, strlen(line->space_json), &row.space);
    if (memcmp(&row.hash, &line->recipe, sizeof row.hash) != 0)
        return fail_line(job, SX_E_MISMATCH, error, "\"recipe\" is not the SHA-256 of \"json\"");
    size_t dimensions;
    sx_status status = sx_store_recipe(job->database, &row, error);
    if (!status)
        status = sx_store_dimensions(job->database, row.id, &dimensions, error);
    if (status)
        return status;
    if (dimensions != line->dimensions)
        return fail_line(job, SX_E_MISMATCH, error, "the recipe is stored with another number of dimensions");
    if (!sx_reserve((void **)&job->recipes, &job->recipe_capacity, job->recipe_count + 1, sizeof *job->recipes))
        return sx_fail_nomem(error, sizeof *job->recipes);
    job->recipes[job->recipe_count++] = (known_recipe){row.hash, row.id, dimensions};
    return SX_OK;
}

static sx_status end_batch(cache_import *job, sx_status status, sx_error *error)
{
    if (!job->in_batch)
        return status;
    job->in_batch = 0;
    status = sx_scope_leave(job->database, &job->scope, status, error);
    if (!status)
        job->taken += job->taken_in_batch;
    job->taken_in_batch = 0;
    return status;
}

static sx_status take_vector(cache_import *job, const cache_line *line, sx_error *error)
{
    const known_recipe *recipe = line->has_recipe ? find_recipe(job, &line->recipe) : NULL;
    if (!recipe || !line->has_hash || !line->has_vector)
        return fail_line(job, SX_E_FORMAT, error, "a vector needs hash, vector and a recipe given before");
    if (job->vector.length != recipe->dimensions)
        return sx_fail(error, SX_E_FORMAT, "%s: line %llu: the vector has %zu numbers, its recipe %zu", job->lines.path,
                       (unsigned long long)job->lines.number, job->vector.length, recipe->dimensions);
    if (line->tokens > UINT32_MAX || line->dropped > UINT32_MAX)
        return fail_line(job, SX_E_FORMAT, error, "a number of tokens is too large");
    sx_status status = job->in_batch ? SX_OK : sx_scope_enter(job->database, &job->scope, error);
    if (status)
        return status;
    job->in_batch++;
    int64_t id;
    bool added;
    status = sx_store_put_one(job->database, recipe->id, &line->hash, job->vector.data, recipe->dimensions,
                              (sx_vector_row){.tokens = (uint32_t)line->tokens, .dropped_tokens = (uint32_t)line->dropped}, false,
                              &id, &added, error);
    job->taken_in_batch += !status && added;
    return job->in_batch >= IMPORT_BATCH ? end_batch(job, status, error) : status;
}

sx_status sx_cache_import(sx_database *database, const char *source, uint64_t *count, sx_error *error)
{
    if (!database || !source || !*source)
        return sx_fail(error, SX_E_INVALID, "sx_cache_import: an argument is NULL");
    cache_import job = {.database = database};
    sx_status status = sx_lines_open(&job.lines, source, error);
    while (!status) {
        cache_line line = {0};
        sx_text text;
        if ((status = sx_lines_next(&job.lines, &text, error)) || !text.data)
            break;
        if (!(status = parse(&job, text, &line, error)))
            status = line.json ? take_recipe(&job, &line, error) : take_vector(&job, &line, error);
        free(line.model);
        free(line.json);
        free(line.space_json);
    }
    status = end_batch(&job, status, error);
    if (!status && !database->writing)
        status = sx_store_trim_cache(database, error);
    if (count)
        *count = job.taken;
    sx_lines_close(&job.lines);
    sx_buffer_clear(&job.key);
    sx_buffer_clear(&job.value);
    free(job.vector.data);
    free(job.recipes);
    return status;
}
