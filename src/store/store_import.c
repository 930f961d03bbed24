/* store_import.c - taking back what the JSON lines export wrote.
 *
 * The collection is made without a name, filled document by document in short transactions, and named at the end: until then
 * nobody sees it, and should this process die whoever comes next clears it away. */
#include "../base/error.h"
#include "../base/memory.h"
#include "collections.h"
#include "file_output.h"
#include "sql.h"
#include "store_json.h"
#include "vectors.h"

#include <stdlib.h>
#include <string.h>

/* One line, read. Strings are malloc'ed. */
typedef struct import_line {
    char *root, *title, *media_type, *metadata, *path, *recipe;
    sx_chunk_row chunk;
    uint32_t dropped;
    bool has_vector, has_definition, has_hash, has_text;
} import_line;

typedef struct import_job {
    sx_database *database;
    sx_lines lines;
    int64_t collection, recipe;
    size_t dimensions;
    char recipe_hash[SX_SHA256_HEX];
    sx_json_vector vector;                             /* of the line in hand */
    char *model, *recipe_json, *space_json, *settings, *packed; /* of the first line */
    uint64_t definition_dimensions;
    sx_buffer key, value;
    /* the document in hand */
    sx_document_row document;
    sx_chunk_row *chunks;
    float *vectors; /* chunk_count x dimensions */
    sx_vector_row *receipts;
    size_t chunk_count, chunk_capacity, vectors_capacity, receipts_capacity;
} import_job;

static void clear_line(import_line *line)
{
    free(line->root);
    free(line->title);
    free(line->media_type);
    free(line->metadata);
    free(line->path);
    free(line->recipe);
    sx_chunk_row_clear(&line->chunk);
    *line = (import_line){0};
}

/* ---- Reading a line ---- */

static void read_text(import_job *job, sx_json *json, char **out, size_t *length)
{
    sx_text text;
    if (sx_json_null(json) || !sx_json_string(json, &job->value, &text))
        return;
    if (!length && text.length && memchr(text.data, 0, text.length)) {
        sx_json_reject(json, "a NUL byte in a name");
        return;
    }
    free(*out); /* the last of equal keys counts */
    *out = sx_strndup(text.data, text.length);
    if (!*out)
        sx_json_reject(json, "memory could not be had");
    else if (length)
        *length = text.length;
}

static void read_raw(sx_json *json, char **out)
{
    sx_text text;
    if (!sx_json_raw(json, &text))
        return;
    free(*out);
    if (!(*out = sx_strndup(text.data, text.length)))
        sx_json_reject(json, "memory could not be had");
}

static uint64_t read_unsigned(sx_json *json, uint64_t most)
{
    uint64_t value = 0;
    if (sx_json_unsigned(json, &value) && value > most)
        sx_json_reject(json, "the number is too large");
    return value;
}

static void read_definition(import_job *job, sx_json *json)
{
    sx_text key;
    if (!sx_json_object(json))
        return;
    while (sx_json_member(json, &job->key, &key)) {
        if (sx_text_is(key, "model"))
            read_text(job, json, &job->model, NULL);
        else if (sx_text_is(key, "dimensions"))
            job->definition_dimensions = read_unsigned(json, SX_SEGMENT_DIMENSIONS);
        else if (sx_text_is(key, "recipe_json"))
            read_text(job, json, &job->recipe_json, NULL);
        else if (sx_text_is(key, "space_json"))
            read_text(job, json, &job->space_json, NULL);
        else if (sx_text_is(key, "settings"))
            read_text(job, json, &job->settings, NULL);
        else if (sx_text_is(key, "packed"))
            read_text(job, json, &job->packed, NULL);
        else
            sx_json_skip(json);
    }
}

static void read_member(import_job *job, sx_json *json, sx_text key, import_line *line)
{
    sx_chunk_row *chunk = &line->chunk;
    if (sx_text_is(key, "document"))
        read_text(job, json, &line->path, NULL);
    else if (sx_text_is(key, "root"))
        read_text(job, json, &line->root, NULL);
    else if (sx_text_is(key, "index"))
        chunk->index = (uint32_t)read_unsigned(json, UINT32_MAX);
    else if (sx_text_is(key, "start"))
        chunk->start = read_unsigned(json, INT64_MAX);
    else if (sx_text_is(key, "end"))
        chunk->end = read_unsigned(json, INT64_MAX);
    else if (sx_text_is(key, "start_line"))
        chunk->start_line = (uint32_t)read_unsigned(json, UINT32_MAX);
    else if (sx_text_is(key, "end_line"))
        chunk->end_line = (uint32_t)read_unsigned(json, UINT32_MAX);
    else if (sx_text_is(key, "tokens"))
        chunk->tokens = (uint32_t)read_unsigned(json, UINT32_MAX);
    else if (sx_text_is(key, "dropped_tokens"))
        line->dropped = (uint32_t)read_unsigned(json, UINT32_MAX);
    else if (sx_text_is(key, "headings"))
        read_raw(json, &chunk->headings);
    else if (sx_text_is(key, "symbols"))
        read_raw(json, &chunk->symbols);
    else if (sx_text_is(key, "metadata"))
        read_raw(json, &line->metadata);
    else if (sx_text_is(key, "text"))
        read_text(job, json, &chunk->text, &chunk->text_length);
    else if (sx_text_is(key, "header"))
        read_text(job, json, &chunk->header, NULL);
    else if (sx_text_is(key, "title"))
        read_text(job, json, &line->title, NULL);
    else if (sx_text_is(key, "media_type"))
        read_text(job, json, &line->media_type, NULL);
    else if (sx_text_is(key, "reason"))
        read_text(job, json, &chunk->reason, NULL);
    else if (sx_text_is(key, "recipe"))
        read_text(job, json, &line->recipe, NULL);
    else if (sx_text_is(key, "hash"))
        line->has_hash = sx_json_read_hash(json, &job->value, &chunk->hash);
    else if (sx_text_is(key, "embedding"))
        line->has_vector = !sx_json_null(json) && sx_json_read_vector(json, &job->vector);
    else if (sx_text_is(key, "collection")) {
        line->has_definition = true;
        read_definition(job, json);
    } else
        sx_json_skip(json);
}

static sx_status fail_line(const import_job *job, sx_status code, sx_error *error, const char *problem)
{
    return sx_fail(error, code, "%s: line %llu: %s", job->lines.path, (unsigned long long)job->lines.number, problem);
}

static sx_status read_line(import_job *job, sx_text text, import_line *line, sx_error *error)
{
    sx_json json;
    sx_text key;
    sx_json_begin(&json, text.data, text.length, job->lines.path);
    sx_json_object(&json);
    while (sx_json_member(&json, &job->key, &key))
        read_member(job, &json, key, line);
    sx_json_end(&json);
    if (json.problem)
        return sx_fail(error, SX_E_FORMAT, "%s: line %llu, byte %zu: %s", job->lines.path, (unsigned long long)job->lines.number,
                       json.problem_position, json.problem);
    const char *missing = !line->path                           ? "\"document\" is missing"
                          : !line->root                         ? "\"root\" is missing"
                          : !line->chunk.text                   ? "\"text\" is missing"
                          : !line->recipe                       ? "\"recipe\" is missing"
                          : !line->has_hash                     ? "\"hash\" is missing"
                          : line->chunk.start > line->chunk.end ? "\"start\" lies behind \"end\""
                                                                : NULL;
    return missing ? fail_line(job, SX_E_FORMAT, error, missing) : SX_OK;
}

/* ---- The collection ---- */

static sx_status begin_collection(import_job *job, const import_line *line, sx_error *error)
{
    if (!line->has_definition || !job->model || !job->recipe_json || !job->space_json || !job->definition_dimensions)
        return fail_line(
            job, SX_E_FORMAT, error,
            "the first line lacks \"collection\" with model, dimensions, recipe_json and space_json, as the export writes it");
    if (job->packed)
        return fail_line(job, SX_E_UNSUPPORTED, error,
                         "the vectors are what is left of dropped ones; index the documents again, or use backup and restore");
    sx_recipe_row recipe = {.json = job->recipe_json,
                            .space_json = job->space_json,
                            .model = job->model,
                            .dimensions = (uint32_t)job->definition_dimensions};
    sx_sha256_of(job->recipe_json, strlen(job->recipe_json), &recipe.hash);
    sx_sha256_of(job->space_json, strlen(job->space_json), &recipe.space);
    sx_sha256_hex(&recipe.hash, job->recipe_hash);
    if (strcmp(job->recipe_hash, line->recipe) != 0)
        return fail_line(job, SX_E_MISMATCH, error, "\"recipe\" is not the SHA-256 of recipe_json");
    job->dimensions = recipe.dimensions;
    sx_scope scope;
    sx_status status = sx_scope_enter(job->database, &scope, error);
    if (status)
        return status;
    status = sx_store_recipe(job->database, &recipe, error);
    if (!status)
        status = sx_sql_do(job->database, "INSERT INTO collection(name, recipe, settings) VALUES (NULL, ?, ?)", error, "it",
                           recipe.id, job->settings ? job->settings : "{}");
    int64_t collection = sqlite3_last_insert_rowid(job->database->sqlite);
    /* Before anyone else can see it without an owner. */
    if (!status)
        status = sx_store_hold(job->database, collection, error);
    if (!status)
        job->collection = collection;
    job->recipe = recipe.id;
    return sx_scope_leave(job->database, &scope, status, error);
}

static sx_status end_collection(import_job *job, const char *name, sx_error *error)
{
    sx_scope scope;
    sx_status status = sx_scope_enter(job->database, &scope, error);
    if (status)
        return status;
    int64_t other;
    status = sx_sql_number(job->database, "SELECT id FROM collection WHERE name = ?", 0, &other, error, "t", name);
    if (!status && other)
        status = sx_fail(error, SX_E_EXISTS, "%s: there is a collection named %s already", job->database->path, name);
    if (!status)
        status = sx_sql_do(job->database, "UPDATE collection SET name = ? WHERE id = ?", error, "ti", name, job->collection);
    return sx_scope_leave(job->database, &scope, status, error);
}

/* ---- Documents ---- */

static sx_status write_document(import_job *job, sx_error *error)
{
    sx_document_row before = {0};
    sx_scope scope;
    if (!job->document.path)
        return SX_OK;
    sx_status status = sx_scope_enter(job->database, &scope, error);
    if (status)
        return status;
    status = sx_store_document_find(job->database, job->collection, job->document.root, job->document.path, &before, error);
    if (!status && before.id)
        status = sx_fail(error, SX_E_FORMAT, "%s: before line %llu: the chunks of %s do not stand together", job->lines.path,
                         (unsigned long long)job->lines.number, job->document.path);
    for (size_t i = 0; i < job->chunk_count && !status; i++) {
        bool added;
        if (job->chunks[i].vector)
            status = sx_store_put_one(job->database, job->recipe, &job->chunks[i].hash, job->vectors + i * job->dimensions,
                                      job->dimensions, job->receipts[i], false, &job->chunks[i].vector, &added, error);
    }
    if (!status)
        status = sx_store_document_commit(job->database, job->collection, &job->document, job->chunks, job->chunk_count, error);
    sx_document_row_clear(&before);
    return sx_scope_leave(job->database, &scope, status, error);
}

static void clear_document(import_job *job)
{
    for (size_t i = 0; i < job->chunk_count; i++)
        sx_chunk_row_clear(&job->chunks[i]);
    job->chunk_count = 0;
    sx_document_row_clear(&job->document);
}

static sx_status add_chunk(import_job *job, import_line *line, sx_error *error)
{
    size_t count = job->chunk_count, floats;
    if (line->has_vector && job->vector.length != job->dimensions)
        return sx_fail(error, SX_E_FORMAT, "%s: line %llu: the embedding has %zu numbers, the collection's vectors %zu",
                       job->lines.path, (unsigned long long)job->lines.number, job->vector.length, job->dimensions);
    if (!sx_multiply(count + 1, job->dimensions, &floats) ||
        !sx_reserve((void **)&job->chunks, &job->chunk_capacity, count + 1, sizeof *job->chunks) ||
        !sx_reserve((void **)&job->receipts, &job->receipts_capacity, count + 1, sizeof *job->receipts) ||
        !sx_reserve((void **)&job->vectors, &job->vectors_capacity, floats, sizeof *job->vectors))
        return sx_fail_nomem(error, job->dimensions * sizeof(float));
    line->chunk.vector = line->has_vector; /* the id comes when it is stored */
    if (line->has_vector)
        memcpy(job->vectors + count * job->dimensions, job->vector.data, job->dimensions * sizeof(float));
    job->receipts[count] = (sx_vector_row){.tokens = line->chunk.tokens, .dropped_tokens = line->dropped};
    job->chunks[count] = line->chunk;
    job->chunk_count++;
    line->chunk = (sx_chunk_row){0};
    return SX_OK;
}

static sx_status take_line(import_job *job, import_line *line, sx_error *error)
{
    sx_status status = SX_OK;
    if (!job->collection && (status = begin_collection(job, line, error)))
        return status;
    if (strcmp(line->recipe, job->recipe_hash) != 0)
        return fail_line(job, SX_E_MISMATCH, error, "\"recipe\" differs from the first line's");
    if (!job->document.path || strcmp(job->document.path, line->path) != 0 || strcmp(job->document.root, line->root) != 0) {
        if ((status = write_document(job, error)))
            return status;
        clear_document(job);
        job->document = (sx_document_row){.root = line->root,
                                          .path = line->path,
                                          .title = line->title,
                                          .media_type = line->media_type,
                                          .metadata = line->metadata};
        line->root = line->path = line->title = line->media_type = line->metadata = NULL;
    }
    return add_chunk(job, line, error);
}

sx_status sx_collection_import(sx_database *database, const char *name, const char *source, sx_error *error)
{
    if (!database || !name || !*name || !source || !*source)
        return sx_fail(error, SX_E_INVALID, "sx_collection_import: an argument is NULL");
    if (database->writing)
        return sx_fail(error, SX_E_INVALID, "sx_collection_import: a transaction is open");
    import_job job = {.database = database};
    import_line line = {0};
    int64_t other;
    sx_status status = sx_sql_number(database, "SELECT id FROM collection WHERE name = ?", 0, &other, error, "t", name);
    if (!status && other)
        status = sx_fail(error, SX_E_EXISTS, "%s: there is a collection named %s already", database->path, name);
    if (!status)
        status = sx_lines_open(&job.lines, source, error);
    while (!status) {
        sx_text text;
        if ((status = sx_lines_next(&job.lines, &text, error)) || !text.data)
            break;
        status = read_line(&job, text, &line, error);
        if (!status)
            status = take_line(&job, &line, error);
        clear_line(&line);
    }
    if (!status && !job.collection)
        status = sx_fail(error, SX_E_FORMAT, "%s: holds no chunk", source);
    if (!status)
        status = write_document(&job, error);
    if (!status)
        status = end_collection(&job, name, error);
    if (job.collection) {
        int64_t collection = job.collection;
        sx_error ignored;
        if (status)
            (void)sx_store_finish_deletions(database, &ignored);
        else if (sx_store_publish(database, collection, false, &ignored))
            sx_store_log(database, SX_LOG_WARNING, "%s", ignored.message);
        sx_store_lease_release(database, collection);
    }
    clear_document(&job);
    clear_line(&line);
    sx_lines_close(&job.lines);
    sx_buffer_clear(&job.key);
    sx_buffer_clear(&job.value);
    free(job.vector.data);
    free(job.vectors);
    free(job.receipts);
    free(job.chunks);
    free(job.model);
    free(job.recipe_json);
    free(job.space_json);
    free(job.settings);
    free(job.packed);
    return status;
}
