/* segments.c - reading the table of segments, keeping them mapped, and reading vectors from the rows where there is none. */
#include "segments.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"
#include "vectors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

void sx_segment_list_clear(sx_segment_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->rows[i].file);
    free(list->rows);
    *list = (sx_segment_list){0};
}

bool sx_segment_lists_equal(const sx_segment_list *a, const sx_segment_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (a->rows[i].id != b->rows[i].id)
            return false;
    return true;
}

sx_status sx_segments_read(sx_database *database, int64_t collection, sx_segment_list *list, sx_error *error)
{
    sqlite3_stmt *statement;
    bool row = true;
    *list = (sx_segment_list){0};
    sx_status status = sx_sql_start(database,
                                    "SELECT id, file, identity, rows, first_chunk, last_chunk FROM segment WHERE collection = ?"
                                    " ORDER BY first_chunk",
                                    &statement, error, "i", collection);
    while (!status && !(status = sx_sql_step(database, statement, &row, error)) && row) {
        bool failed = !sx_reserve((void **)&list->rows, &list->capacity, list->count + 1, sizeof *list->rows);
        char *file = failed ? NULL : sx_sql_text(statement, 1, &failed);
        if (failed || !file) {
            free(file);
            sqlite3_reset(statement);
            status = sx_fail_nomem(error, sizeof *list->rows);
            break;
        }
        list->rows[list->count++] = (sx_segment_row){
            .id = sqlite3_column_int64(statement, 0),
            .file = file,
            .identity = (uint64_t)sqlite3_column_int64(statement, 2),
            .rows = sqlite3_column_int64(statement, 3),
            .first_chunk = sqlite3_column_int64(statement, 4),
            .last_chunk = sqlite3_column_int64(statement, 5),
        };
    }
    if (status)
        sx_segment_list_clear(list);
    return status;
}

sx_status sx_segments_map(sx_database *database, int64_t collection, uint32_t dimensions, const sx_segment_row *row,
                          sx_segment **segment, sx_error *error)
{
    for (size_t i = 0; i < database->mapped_count; i++)
        if (database->mapped[i].id == row->id && sx_segment_identity(database->mapped[i].segment) == row->identity) {
            *segment = database->mapped[i].segment;
            return SX_OK;
        }
    *segment = NULL;
    if (strchr(row->file, '/'))
        return sx_fail(error, SX_E_FORMAT, "%s: a segment is named %s, outside its folder", database->path, row->file);
    if (!sx_reserve((void **)&database->mapped, &database->mapped_capacity, database->mapped_count + 1, sizeof *database->mapped))
        return sx_fail_nomem(error, sizeof *database->mapped);
    char *path = sx_path_join(database->folder, row->file);
    if (!path)
        return sx_fail_nomem(error, strlen(row->file));
    sx_status status = sx_segment_open(path, row->identity, collection, dimensions, segment, error);
    free(path);
    if (!status)
        database->mapped[database->mapped_count++] = (sx_mapped){.id = row->id, .collection = collection, .segment = *segment};
    return status;
}

void sx_segments_close_mapped(sx_mapped *mapped)
{
    sx_segment_graph_close(mapped->graph);
    sx_segment_close(mapped->segment);
}

void sx_segments_unmap(sx_database *database, int64_t collection, const sx_segment_list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < database->mapped_count; i++) {
        sx_mapped *mapped = &database->mapped[i];
        bool wanted = mapped->collection != collection;
        for (size_t j = 0; !wanted && list && j < list->count; j++)
            wanted = list->rows[j].id == mapped->id;
        if (wanted)
            database->mapped[kept++] = *mapped;
        else
            sx_segments_close_mapped(mapped);
    }
    database->mapped_count = kept;
}

sx_status sx_segments_measure(sx_database *database, int64_t recipe, sx_measure *measure, sx_error *error)
{
    sqlite3_stmt *statement;
    bool found = false;
    *measure = SX_MEASURE_COSINE;
    sx_status status = sx_sql_start(database, "SELECT space_json FROM recipe WHERE id = ?", &statement, error, "i", recipe);
    if (!status)
        status = sx_sql_step(database, statement, &found, error);
    if (status)
        return status;
    if (!found)
        return sx_fail(error, SX_E_NOT_FOUND, "%s: there is no recipe %lld", database->path, (long long)recipe);
    const char *text = (const char *)sqlite3_column_text(statement, 0);
    json_error_t problem;
    json_t *space = json_loads(text ? text : "", 0, &problem);
    sqlite3_reset(statement);
    if (!space)
        return sx_fail(error, SX_E_FORMAT, "%s: the space of recipe %lld is no JSON: %s", database->path, (long long)recipe,
                       problem.text);
    const char *similarity = json_string_value(json_object_get(space, "similarity"));
    if (!similarity)
        similarity = "cosine";
    if (strcmp(similarity, "dot") == 0 || strcmp(similarity, "dot_product") == 0)
        *measure = SX_MEASURE_DOT;
    else if (strcmp(similarity, "cosine") == 0)
        *measure = json_is_true(json_object_get(space, "normalized")) ? SX_MEASURE_DOT : SX_MEASURE_COSINE;
    else
        status = sx_fail(error, SX_E_UNSUPPORTED, "%s: similarity \"%s\" cannot be searched; cosine and dot can", database->path,
                         similarity);
    json_decref(space);
    return status;
}

sx_status sx_segments_from_rows(sx_database *database, int64_t collection, uint32_t dimensions, sx_measure measure, int64_t first,
                                int64_t last, sx_vector_visit visit, void *user, sx_error *error)
{
    if (first > last)
        return SX_OK;
    float *vector = sx_calloc(dimensions, sizeof *vector);
    if (!vector)
        return sx_fail_nomem(error, dimensions * sizeof *vector);
    sqlite3_stmt *statement;
    bool row = true;
    /* Partial index chunk_live holds the collection's ids in order. */
    sx_status status = sx_sql_start(database,
                                    "SELECT c.id, v.id, v.data, v.packing FROM chunk c JOIN vector v ON v.id = c.vector"
                                    " WHERE c.collection = ? AND c.vector IS NOT NULL AND c.id BETWEEN ? AND ? ORDER BY c.id",
                                    &statement, error, "iii", collection, first, last);
    if (status)
        goto out;
    while (!(status = sx_sql_step(database, statement, &row, error)) && row) {
        status = sx_store_read_vector(database, statement, 2, sqlite3_column_int64(statement, 1), dimensions, vector, error);
        if (!status && measure == SX_MEASURE_COSINE)
            sx_exact_normalize(vector, dimensions);
        if (!status)
            status = visit(sqlite3_column_int64(statement, 0), vector, user, error);
        if (status)
            break;
    }
    sqlite3_reset(statement);
out:
    free(vector);
    return status;
}
