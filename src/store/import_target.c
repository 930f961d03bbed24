/* import_target.c - a collection being filled with vectors that were made elsewhere.
 *
 * The collection is made without a name, filled in transactions of some hundred documents, and named at the end: until then
 * nobody sees it, and should this process die whoever comes next clears it away. A vector's key is (recipe, hash of the text);
 * two elements of a foreign file may have one text and two vectors, so the hash here is of text and vector. */
#include "import_target.h"

#include "../base/error.h"
#include "../base/json_writer.h"
#include "../base/memory.h"
#include "collections.h"
#include "sql.h"
#include "vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNKS_AT_ONCE = 512 };

struct sx_import_target {
    sx_database *database;
    char *name, *source;
    int64_t collection, recipe;
    uint32_t dimensions;
    bool open; /* a transaction */
    size_t uncommitted;
    uint64_t documents, chunk_total;
    /* the document in hand */
    sx_document_row document;
    sx_chunk_row *chunks;
    float *vectors;
    size_t count, chunk_capacity, vectors_capacity;
};

static char *recipe_of(const char *model, const char *space_hex)
{
    sx_buffer json = {0};
    sx_buffer_append_string(&json, "{\"imported\":true,\"model\":");
    sx_json_write_string(&json, model, strlen(model));
    sx_buffer_printf(&json, ",\"space\":\"%s\"}", space_hex);
    return sx_buffer_take(&json);
}

static sx_status make_collection(sx_import_target *target, const char *model, const char *space_json, sx_error *error)
{
    sx_database *database = target->database;
    char hex[SX_SHA256_HEX];
    sx_recipe_row recipe = {.space_json = space_json, .model = model, .dimensions = target->dimensions};
    sx_sha256_of(space_json, strlen(space_json), &recipe.space);
    sx_sha256_hex(&recipe.space, hex);
    char *json = recipe_of(model, hex);
    if (!json)
        return sx_fail_nomem(error, strlen(model));
    sx_sha256_of(json, strlen(json), &recipe.hash);
    recipe.json = json;
    sx_scope scope;
    int64_t other;
    sx_status status = sx_scope_enter(database, &scope, error);
    if (!status) {
        status = sx_sql_number(database, "SELECT id FROM collection WHERE name = ?", 0, &other, error, "t", target->name);
        if (!status && other)
            status = sx_fail(error, SX_E_EXISTS, "%s: there is a collection named %s already", database->path, target->name);
        if (!status)
            status = sx_store_recipe(database, &recipe, error);
        if (!status)
            status = sx_sql_do(database, "INSERT INTO collection(name, recipe, settings) VALUES (NULL, ?, '{}')", error, "i",
                               recipe.id);
        int64_t collection = sqlite3_last_insert_rowid(database->sqlite);
        if (!status) /* before anyone else can see it without an owner */
            status = sx_store_hold(database, collection, error);
        if (!status)
            target->collection = collection;
        target->recipe = recipe.id;
        status = sx_scope_leave(database, &scope, status, error);
    }
    free(json);
    return status;
}

sx_status sx_import_begin(sx_database *database, const char *name, const char *model, const char *space_json, uint32_t dimensions,
                          sx_import_target **out, sx_error *error)
{
    *out = NULL;
    if (database->writing)
        return sx_fail(error, SX_E_INVALID, "import: a transaction is open");
    sx_import_target *target = sx_calloc(1, sizeof *target);
    if (!target)
        return sx_fail_nomem(error, sizeof *target);
    target->database = database;
    target->dimensions = dimensions;
    target->name = sx_strdup(name);
    sx_status status = target->name ? make_collection(target, model, space_json, error) : sx_fail_nomem(error, strlen(name));
    if (status)
        sx_import_close(target);
    else
        *out = target;
    return status;
}

static sx_status commit(sx_import_target *target, sx_error *error)
{
    if (!target->open)
        return SX_OK;
    sx_status status = sx_store_commit(target->database, error);
    if (status)
        sx_store_rollback(target->database);
    target->open = false;
    target->uncommitted = 0;
    return status;
}

static void clear_document(sx_import_target *target)
{
    for (size_t i = 0; i < target->count; i++)
        sx_chunk_row_clear(&target->chunks[i]);
    target->count = 0;
    sx_document_row_clear(&target->document);
}

static sx_status write_document(sx_import_target *target, sx_error *error)
{
    sx_database *database = target->database;
    sx_document_row before = {0};
    if (!target->document.path)
        return SX_OK;
    sx_status status = target->open ? SX_OK : sx_store_begin(database, error);
    if (status)
        return status;
    target->open = true;
    status = sx_store_document_find(database, target->collection, target->document.root, target->document.path, &before, error);
    if (!status && before.id)
        status = sx_fail(error, SX_E_FORMAT, "%s: the id or document %s is there twice", target->source, target->document.path);
    for (size_t i = 0; i < target->count && !status; i++) {
        bool added;
        status = sx_store_put_one(database, target->recipe, &target->chunks[i].hash, target->vectors + i * target->dimensions,
                                  target->dimensions, (sx_vector_row){0}, false, &target->chunks[i].vector, &added, error);
    }
    if (!status)
        status = sx_store_document_commit(database, target->collection, &target->document, target->chunks, target->count, error);
    sx_document_row_clear(&before);
    target->documents++;
    target->chunk_total += target->count;
    target->uncommitted += target->count;
    clear_document(target);
    if (!status && target->uncommitted >= CHUNKS_AT_ONCE)
        status = commit(target, error);
    return status;
}

static const char *text_of(const sx_buffer *buffer)
{
    return buffer->length ? buffer->data : "";
}

static sx_status begin_document(sx_import_target *target, const char *source, const char *root, const char *path,
                                const sx_embedding_item *item, sx_error *error)
{
    target->document = (sx_document_row){.root = sx_strdup(root),
                                         .path = sx_strdup(path),
                                         .title = sx_strdup(""),
                                         .media_type = sx_strdup("text/plain"),
                                         .metadata = sx_strdup(item->metadata.length ? item->metadata.data : "{}")};
    free(target->source);
    target->source = sx_strdup(source);
    const sx_document_row *row = &target->document;
    if (row->root && row->path && row->title && row->media_type && row->metadata && target->source)
        return SX_OK;
    sx_document_row_clear(&target->document);
    return sx_fail_nomem(error, item->metadata.length + 64);
}

static sx_status add_chunk(sx_import_target *target, const sx_embedding_item *item, bool placed, sx_error *error)
{
    size_t count = target->count, floats;
    if (!sx_multiply(count + 1, target->dimensions, &floats) ||
        !sx_reserve((void **)&target->chunks, &target->chunk_capacity, count + 1, sizeof *target->chunks) ||
        !sx_reserve((void **)&target->vectors, &target->vectors_capacity, floats, sizeof *target->vectors))
        return sx_fail_nomem(error, target->dimensions * sizeof(float));
    sx_chunk_row chunk = {
        .index = placed ? (uint32_t)item->index : (uint32_t)count,
        .start = placed ? item->start : 0,
        .end = placed ? item->end : item->content.length,
        .start_line = (uint32_t)item->start_line,
        .end_line = (uint32_t)item->end_line,
        .headings = sx_strdup(item->headings.length ? item->headings.data : "[]"),
        .symbols = item->symbols.length ? sx_strdup(item->symbols.data) : NULL,
        .header = sx_strdup(""),
        .text = sx_strndup(text_of(&item->content), item->content.length),
        .text_length = item->content.length,
    };
    if (!chunk.headings || (item->symbols.length && !chunk.symbols) || !chunk.header || !chunk.text) {
        sx_chunk_row_clear(&chunk);
        return sx_fail_nomem(error, item->content.length);
    }
    sx_sha256_of_two(chunk.text, chunk.text_length, item->vector.data, target->dimensions * sizeof(float), &chunk.hash);
    memcpy(target->vectors + count * target->dimensions, item->vector.data, target->dimensions * sizeof(float));
    target->chunks[target->count++] = chunk;
    return SX_OK;
}

sx_status sx_import_add(sx_import_target *target, const char *source, const sx_embedding_item *item, sx_error *error)
{
    char number[32];
    bool placed = item->root.length > 0 && item->document.length > 0;
    const char *root = placed ? item->root.data : source, *path = placed ? item->document.data : text_of(&item->id);
    snprintf(number, sizeof number, "#%llu", (unsigned long long)item->number);
    if (!*path)
        path = number;
    if (item->vector.length != target->dimensions)
        return sx_fail(error, SX_E_MISMATCH, "%s: element %llu: a vector of %zu numbers, but those before have %u", source,
                       (unsigned long long)item->number, item->vector.length, target->dimensions);
    if (item->index > UINT32_MAX || item->start_line > UINT32_MAX || item->end_line > UINT32_MAX || item->start > item->end ||
        item->end > INT64_MAX)
        return sx_fail(error, SX_E_FORMAT, "%s: element %llu: a chunk from byte %llu to %llu cannot be", source,
                       (unsigned long long)item->number, (unsigned long long)item->start, (unsigned long long)item->end);
    const sx_document_row *document = &target->document;
    sx_status status = SX_OK;
    if (!placed || !document->path || strcmp(document->path, path) != 0 || strcmp(document->root, root) != 0) {
        status = write_document(target, error);
        if (!status)
            status = begin_document(target, source, root, path, item, error);
    }
    return status ? status : add_chunk(target, item, placed, error);
}

sx_status sx_import_finish(sx_import_target *target, uint64_t *documents, uint64_t *chunks, sx_error *error)
{
    sx_database *database = target->database;
    sx_scope scope;
    int64_t other;
    sx_status status = write_document(target, error);
    if (!status)
        status = commit(target, error);
    if (!status)
        status = sx_scope_enter(database, &scope, error);
    if (status)
        return status;
    status = sx_sql_number(database, "SELECT id FROM collection WHERE name = ?", 0, &other, error, "t", target->name);
    if (!status && other)
        status = sx_fail(error, SX_E_EXISTS, "%s: there is a collection named %s already", database->path, target->name);
    if (!status)
        status = sx_sql_do(database, "UPDATE collection SET name = ? WHERE id = ?", error, "ti", target->name,
                           target->collection);
    if ((status = sx_scope_leave(database, &scope, status, error)))
        return status;
    *documents = target->documents;
    *chunks = target->chunk_total;
    sx_error ignored = {0};
    if (sx_store_publish(database, target->collection, false, &ignored))
        sx_store_log(database, SX_LOG_WARNING, "%s", ignored.message);
    sx_store_lease_release(database, target->collection);
    target->collection = 0;
    return SX_OK;
}

void sx_import_close(sx_import_target *target)
{
    if (!target)
        return;
    sx_error ignored;
    if (target->open)
        sx_store_rollback(target->database);
    if (target->collection) {
        (void)sx_store_finish_deletions(target->database, &ignored);
        sx_store_lease_release(target->database, target->collection);
    }
    clear_document(target);
    free(target->chunks);
    free(target->vectors);
    free(target->name);
    free(target->source);
    free(target);
}
