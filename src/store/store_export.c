/* store_export.c - a collection as JSON lines, as one JSON document, or as a folder with a NumPy array.
 *
 * All are written from one snapshot, ordered by root, path and number of the chunk, so equal collections give equal bytes. */
#include "arrow_file.h"
#include "../base/error.h"
#include "../base/file.h"
#include "../base/json_writer.h"
#include "../base/memory.h"
#include "collections.h"
#include "file_output.h"
#include "npy_file.h"
#include "packed_vectors.h"
#include "sql.h"
#include "vectors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct export_job {
    sx_database *database;
    sx_collection_row collection;
    sqlite3_stmt *chunks; /* see below */
    float *vector;
    uint64_t count;    /* chunks written */
    uint64_t left_out; /* chunks without a vector, where the format has no place for them */
    sx_output *output;
    sx_arrow_file arrow;
    sx_dropped_row dropped;
} export_job;

enum chunk_column {
    ROOT,
    PATH,
    NUMBER,
    START,
    END,
    START_LINE,
    END_LINE,
    TOKENS,
    HEADINGS,
    SYMBOLS,
    HEADER,
    TEXT,
    HASH,
    REASON,
    METADATA,
    TITLE,
    MEDIA_TYPE,
    VECTOR,
    DROPPED,
    DATA /* and its packing */
};
static const char chunk_query[] =
    "SELECT d.root, d.path, c.number, c.start, c.end, c.start_line, c.end_line, c.tokens,"
    " CASE WHEN json_valid(c.headings) THEN json(c.headings) ELSE '[]' END, s.symbols, c.header, c.text, c.hash, c.reason,"
    " coalesce(json(d.metadata), '{}'), d.title, d.media_type, v.id, v.dropped, v.data, v.packing"
    " FROM document d CROSS JOIN chunk c ON c.document = d.id LEFT JOIN vector v ON v.id = c.vector"
    " LEFT JOIN chunk_symbols s ON s.chunk = c.id"
    " WHERE d.collection = ? ORDER BY d.root, d.path, c.number";

static void put_key(sx_buffer *buffer, const char *key)
{
    if (buffer->length && buffer->data[buffer->length - 1] != '{')
        sx_buffer_append_byte(buffer, ',');
    sx_buffer_printf(buffer, "\"%s\":", key);
}

static void put_text(sx_buffer *buffer, const char *key, const char *text, size_t length)
{
    put_key(buffer, key);
    sx_json_write_string(buffer, text, length);
}

static void put_column(sx_buffer *buffer, const char *key, sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    put_text(buffer, key, text, (size_t)sqlite3_column_bytes(statement, column));
}

/* JSON as it is in the column. */
static void put_json(sx_buffer *buffer, const char *key, sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    put_key(buffer, key);
    sx_buffer_append(buffer, text ? text : "null", text ? (size_t)sqlite3_column_bytes(statement, column) : 4);
}

static void put_integer(sx_buffer *buffer, const char *key, int64_t value)
{
    put_key(buffer, key);
    sx_json_write_integer(buffer, value);
}

static bool has_vector(sqlite3_stmt *statement)
{
    return sqlite3_column_type(statement, VECTOR) != SQLITE_NULL;
}

static sx_status load_vector(export_job *job, sx_error *error)
{
    return sx_store_read_vector(job->database, job->chunks, DATA, sqlite3_column_int64(job->chunks, VECTOR),
                                job->collection.dimensions, job->vector, error);
}

/* ---- JSON lines ---- */

enum { RECIPE_JSON, SPACE_JSON };

/* The row of the collection's recipe; the caller resets the statement. */
static sx_status find_recipe(export_job *job, sqlite3_stmt **statement, sx_error *error)
{
    bool found = false;
    sx_status status = sx_sql_start(job->database, "SELECT json, space_json FROM recipe WHERE id = ?", statement, error, "i",
                                    job->collection.recipe);
    if (!status)
        status = sx_sql_step(job->database, *statement, &found, error);
    if (!status && !found)
        status = sx_fail(error, SX_E_FORMAT, "%s: recipe %lld is missing", job->database->path,
                         (long long)job->collection.recipe);
    return status;
}

/* With what the vectors may be compared: what an import needs to make them searchable. */
static sx_status put_space(export_job *job, sx_buffer *buffer, sx_error *error)
{
    sqlite3_stmt *statement;
    if (job->dropped.method[0]) { /* not what the model gives: whoever takes it in compares it as a stranger's */
        put_text(buffer, "packed", job->dropped.method, strlen(job->dropped.method));
        return SX_OK;
    }
    sx_status status = find_recipe(job, &statement, error);
    if (status)
        return status;
    put_text(buffer, "space", job->collection.space_hash, strlen(job->collection.space_hash));
    put_column(buffer, "space_json", statement, SPACE_JSON);
    put_text(buffer, "recipe", job->collection.recipe_hash, strlen(job->collection.recipe_hash));
    sqlite3_reset(statement);
    return SX_OK;
}

/* What an import needs besides the chunks stands in the first line. */
static sx_status put_collection(export_job *job, sx_error *error)
{
    sx_buffer *buffer = &job->output->buffer;
    sqlite3_stmt *statement;
    sx_status status = find_recipe(job, &statement, error);
    if (status)
        return status;
    put_key(buffer, "collection");
    sx_buffer_append_byte(buffer, '{');
    put_text(buffer, "model", job->collection.model, strlen(job->collection.model));
    put_integer(buffer, "dimensions", job->collection.dimensions);
    put_column(buffer, "recipe_json", statement, RECIPE_JSON);
    put_column(buffer, "space_json", statement, SPACE_JSON);
    put_text(buffer, "settings", job->collection.settings, strlen(job->collection.settings));
    if (job->dropped.method[0])
        put_text(buffer, "packed", job->dropped.method, strlen(job->dropped.method));
    sx_buffer_append_byte(buffer, '}');
    sqlite3_reset(statement);
    return SX_OK;
}

static sx_status write_line(export_job *job, sx_error *error)
{
    sqlite3_stmt *row = job->chunks;
    sx_buffer *buffer = &job->output->buffer;
    sx_sha256 hash;
    char hex[SX_SHA256_HEX];
    sx_status status = SX_OK;
    sx_sql_hash(row, HASH, &hash);
    sx_sha256_hex(&hash, hex);
    sx_buffer_append_byte(buffer, '{');
    put_column(buffer, "document", row, PATH);
    put_integer(buffer, "index", sqlite3_column_int64(row, NUMBER));
    put_integer(buffer, "start", sqlite3_column_int64(row, START));
    put_integer(buffer, "end", sqlite3_column_int64(row, END));
    put_json(buffer, "headings", row, HEADINGS);
    put_json(buffer, "metadata", row, METADATA);
    put_column(buffer, "text", row, TEXT);
    put_key(buffer, "embedding");
    if (has_vector(row)) {
        if ((status = load_vector(job, error)))
            return status;
        sx_json_write_floats(buffer, job->vector, job->collection.dimensions);
    } else {
        sx_buffer_append_string(buffer, "null");
    }
    put_column(buffer, "root", row, ROOT);
    put_integer(buffer, "start_line", sqlite3_column_int64(row, START_LINE));
    put_integer(buffer, "end_line", sqlite3_column_int64(row, END_LINE));
    put_integer(buffer, "tokens", sqlite3_column_int64(row, TOKENS));
    if (sqlite3_column_int64(row, DROPPED))
        put_integer(buffer, "dropped_tokens", sqlite3_column_int64(row, DROPPED));
    if (sqlite3_column_type(row, SYMBOLS) != SQLITE_NULL)
        put_json(buffer, "symbols", row, SYMBOLS);
    put_column(buffer, "header", row, HEADER);
    put_column(buffer, "title", row, TITLE);
    put_column(buffer, "media_type", row, MEDIA_TYPE);
    if (sqlite3_column_type(row, REASON) != SQLITE_NULL)
        put_column(buffer, "reason", row, REASON);
    put_text(buffer, "hash", hex, strlen(hex));
    put_text(buffer, "recipe", job->collection.recipe_hash, strlen(job->collection.recipe_hash));
    if (job->count == 0)
        status = put_collection(job, error);
    sx_buffer_append_string(buffer, "}\n");
    job->count++;
    return status;
}

/* ---- One JSON document ---- */

static void put_identity(sx_buffer *buffer, sqlite3_stmt *row)
{
    sx_buffer id = {0};
    sx_buffer_append(&id, sqlite3_column_text(row, PATH), (size_t)sqlite3_column_bytes(row, PATH));
    sx_buffer_printf(&id, "#%lld", (long long)sqlite3_column_int64(row, NUMBER));
    put_text(buffer, "id", id.data ? id.data : "", id.length);
    if (id.failed)
        buffer->failed = true;
    sx_buffer_clear(&id);
}

/* The document's metadata and, in its name space `chunk`, the place of the chunk. */
static void put_metadata(sx_buffer *buffer, sqlite3_stmt *row)
{
    put_json(buffer, "metadata", row, METADATA);
    if (buffer->failed || buffer->data[buffer->length - 1] != '}')
        return;
    buffer->length--;
    put_key(buffer, "chunk");
    sx_buffer_append_byte(buffer, '{');
    put_column(buffer, "document", row, PATH);
    put_column(buffer, "root", row, ROOT);
    put_integer(buffer, "index", sqlite3_column_int64(row, NUMBER));
    put_integer(buffer, "start", sqlite3_column_int64(row, START));
    put_integer(buffer, "end", sqlite3_column_int64(row, END));
    put_integer(buffer, "start_line", sqlite3_column_int64(row, START_LINE));
    put_integer(buffer, "end_line", sqlite3_column_int64(row, END_LINE));
    put_json(buffer, "headings", row, HEADINGS);
    if (sqlite3_column_type(row, SYMBOLS) != SQLITE_NULL)
        put_json(buffer, "symbols", row, SYMBOLS);
    sx_buffer_append_string(buffer, "}}");
}

/* with_vector: else it stands in a file beside. */
static sx_status write_member(export_job *job, bool with_vector, sx_error *error)
{
    sqlite3_stmt *row = job->chunks;
    sx_buffer *buffer = &job->output->buffer;
    if (!has_vector(row)) {
        job->left_out++;
        return SX_OK;
    }
    sx_status status = with_vector ? load_vector(job, error) : SX_OK;
    if (status)
        return status;
    sx_buffer_append_string(buffer, job->count++ ? ",\n{" : "\n{");
    put_identity(buffer, row);
    put_column(buffer, "content", row, TEXT);
    if (with_vector) {
        put_key(buffer, "embedding");
        sx_json_write_floats(buffer, job->vector, job->collection.dimensions);
    }
    put_metadata(buffer, row);
    sx_buffer_append_byte(buffer, '}');
    return SX_OK;
}

static sx_status write_element(export_job *job, sx_error *error)
{
    return write_member(job, true, error);
}

/* ---- NumPy ---- */

static sx_status write_side_element(export_job *job, sx_error *error)
{
    return write_member(job, false, error);
}

static sx_status write_row(export_job *job, sx_error *error)
{
    if (!has_vector(job->chunks))
        return SX_OK;
    sx_status status = load_vector(job, error);
    job->count++;
    sx_buffer_append(&job->output->buffer, job->vector, job->collection.dimensions * sizeof(float));
    return status;
}

/* ---- Arrow ---- */

static const sx_arrow_field arrow_fields[] = {
    {"id", SX_ARROW_TEXT},           {"document", SX_ARROW_TEXT}, {"root", SX_ARROW_TEXT},
    {"index", SX_ARROW_INTEGER},     {"start", SX_ARROW_INTEGER}, {"end", SX_ARROW_INTEGER},
    {"start_line", SX_ARROW_INTEGER}, {"end_line", SX_ARROW_INTEGER}, {"headings", SX_ARROW_TEXT},
    {"metadata", SX_ARROW_TEXT},     {"text", SX_ARROW_TEXT},     {"vector", SX_ARROW_VECTOR},
};

static void arrow_column(sx_arrow_file *file, sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    sx_arrow_text(file, text, (size_t)sqlite3_column_bytes(row, column));
}

static sx_status write_arrow_row(export_job *job, sx_error *error)
{
    static const int columns[] = {NUMBER, START, END, START_LINE, END_LINE};
    sqlite3_stmt *row = job->chunks;
    char number[32];
    sx_buffer id = {0};
    if (!has_vector(row)) {
        job->left_out++;
        return SX_OK;
    }
    sx_status status = load_vector(job, error);
    if (status)
        return status;
    snprintf(number, sizeof number, "#%lld", (long long)sqlite3_column_int64(row, NUMBER));
    sx_buffer_append(&id, sqlite3_column_text(row, PATH), (size_t)sqlite3_column_bytes(row, PATH));
    if (!sx_buffer_append_string(&id, number)) {
        sx_buffer_clear(&id);
        return sx_fail_nomem(error, 1);
    }
    sx_arrow_text(&job->arrow, id.data, id.length);
    sx_buffer_clear(&id);
    arrow_column(&job->arrow, row, PATH);
    arrow_column(&job->arrow, row, ROOT);
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        sx_arrow_integer(&job->arrow, sqlite3_column_int64(row, columns[i]));
    arrow_column(&job->arrow, row, HEADINGS);
    arrow_column(&job->arrow, row, METADATA);
    arrow_column(&job->arrow, row, TEXT);
    sx_arrow_vector(&job->arrow, job->vector);
    job->count++;
    return sx_arrow_flow(&job->arrow, error);
}

/* ---- Walking ---- */

typedef sx_status (*chunk_writer)(export_job *job, sx_error *error);

static sx_status walk(export_job *job, sx_output *output, chunk_writer write, sx_error *error)
{
    bool row = true;
    job->output = output;
    job->count = job->left_out = 0;
    sx_status status = sx_sql_start(job->database, chunk_query, &job->chunks, error, "i", job->collection.id);
    while (!status && !(status = sx_sql_step(job->database, job->chunks, &row, error)) && row) {
        status = write(job, error);
        if (!status)
            status = sx_output_flow(output, error);
    }
    if (job->chunks)
        sqlite3_reset(job->chunks);
    return status;
}

static sx_status export_jsonl(export_job *job, const char *target, sx_error *error)
{
    sx_output output;
    sx_status status = sx_output_open(&output, target, error);
    if (!status)
        status = walk(job, &output, write_line, error);
    if (!status)
        status = sx_output_finish(&output, error);
    sx_output_close(&output);
    return status;
}

static sx_status export_json(export_job *job, const char *target, sx_error *error)
{
    sx_output output;
    sx_status status = sx_output_open(&output, target, error);
    if (!status) {
        sx_buffer_append_byte(&output.buffer, '{');
        put_text(&output.buffer, "version", "1.0", 3);
        put_text(&output.buffer, "model", job->collection.model, strlen(job->collection.model));
        put_integer(&output.buffer, "dimensions", job->collection.dimensions);
        status = put_space(job, &output.buffer, error);
        put_key(&output.buffer, "embeddings");
        sx_buffer_append_byte(&output.buffer, '[');
        if (!status)
            status = walk(job, &output, write_element, error);
        sx_buffer_append_string(&output.buffer, "\n]}\n");
    }
    if (!status)
        status = sx_output_finish(&output, error);
    sx_output_close(&output);
    return status;
}

static sx_status export_arrow(export_job *job, const char *target, sx_error *error)
{
    sx_output output;
    sx_buffer note = {0};
    sx_status status = sx_output_open(&output, target, error);
    if (!status) {
        sx_buffer_append_byte(&note, '{');
        put_text(&note, "model", job->collection.model, strlen(job->collection.model));
        put_integer(&note, "dimensions", job->collection.dimensions);
        status = put_space(job, &note, error);
        if (!status && !sx_buffer_append_byte(&note, '}'))
            status = sx_fail_nomem(error, note.length);
    }
    if (!status)
        status = sx_arrow_begin(&job->arrow, &output.buffer, arrow_fields, sizeof arrow_fields / sizeof *arrow_fields,
                                job->collection.dimensions, "sextant", note.data, error);
    if (!status)
        status = walk(job, &output, write_arrow_row, error);
    if (!status)
        status = sx_arrow_end(&job->arrow, error);
    if (!status)
        status = sx_output_finish(&output, error);
    sx_arrow_clear(&job->arrow);
    sx_buffer_clear(&note);
    sx_output_close(&output);
    return status;
}

static sx_status write_in(export_job *job, const char *folder, const char *name, chunk_writer write, uint64_t rows,
                          sx_error *error)
{
    sx_output output = {.descriptor = -1};
    char *path = sx_path_join(folder, name);
    sx_status status = path ? sx_output_open(&output, path, error) : sx_fail_nomem(error, strlen(folder) + 32);
    free(path);
    if (status)
        return status;
    if (write == write_row) {
        char header[SX_NPY_HEADER];
        sx_npy_make_header(header, rows, job->collection.dimensions);
        sx_buffer_append(&output.buffer, header, sizeof header);
        status = walk(job, &output, write, error);
    } else if (write) {
        sx_buffer_append_byte(&output.buffer, '[');
        status = walk(job, &output, write, error);
        sx_buffer_append_string(&output.buffer, "\n]\n");
    } else {
        sx_buffer_append_byte(&output.buffer, '{');
        put_text(&output.buffer, "model", job->collection.model, strlen(job->collection.model));
        put_integer(&output.buffer, "dimensions", job->collection.dimensions);
        put_integer(&output.buffer, "count", (int64_t)rows);
        status = put_space(job, &output.buffer, error);
        sx_buffer_append_string(&output.buffer, "}\n");
    }
    if (!status)
        status = sx_output_finish(&output, error);
    sx_output_close(&output);
    return status;
}

/* The folder appears with all three files or not at all. */
static sx_status export_npy(export_job *job, const char *target, sx_error *error)
{
    static const char *const names[] = {"embeddings.npy", "metadata.json", "model_info.json"};
    if (strcmp(target, "-") == 0)
        return sx_fail(error, SX_E_INVALID, "npy is a folder of three files and cannot go to standard output");
    struct stat there;
    if (lstat(target, &there) == 0)
        return sx_fail(error, SX_E_EXISTS, "%s: is there already", target);
    char *folder = NULL;
    if (asprintf(&folder, "%s.tmp-%ld", target, (long)getpid()) < 0)
        return sx_fail_nomem(error, strlen(target) + 32);
    sx_status status = mkdir(folder, 0755) == 0 ? SX_OK : sx_fail_errno(error, errno, "%s: the folder cannot be made", folder);
    if (status)
        goto out;
    status = write_in(job, folder, names[1], write_side_element, 0, error);
    uint64_t rows = job->count, left_out = job->left_out;
    if (!status)
        status = write_in(job, folder, names[0], write_row, rows, error);
    if (!status)
        status = write_in(job, folder, names[2], NULL, rows, error);
    job->left_out = left_out;
    if (!status && renameat2(AT_FDCWD, folder, AT_FDCWD, target, RENAME_NOREPLACE) != 0 &&
        ((errno != EINVAL && errno != ENOSYS) || rename(folder, target) != 0))
        status = sx_fail_errno(error, errno, "%s: cannot be put in place", target);
    if (status) {
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            char *path = sx_path_join(folder, names[i]);
            if (path)
                (void)unlink(path);
            free(path);
        }
        (void)rmdir(folder);
    }
out:
    free(folder);
    return status;
}

sx_status sx_collection_export(sx_database *database, const char *name, const char *format, const char *target, sx_error *error)
{
    if (!database || !name || !format || !target || !*target)
        return sx_fail(error, SX_E_INVALID, "sx_collection_export: an argument is NULL");
    sx_status (*write)(export_job *, const char *, sx_error *) = strcmp(format, "jsonl") == 0  ? export_jsonl
                                                                 : strcmp(format, "json") == 0 ? export_json
                                                                 : strcmp(format, "npy") == 0  ? export_npy
                                                                 : strcmp(format, "arrow") == 0 ? export_arrow
                                                                                               : NULL;
    if (!write)
        return sx_fail(error, SX_E_INVALID, "export format \"%s\": there are jsonl, json, npy and arrow", format);
    export_job job = {.database = database};
    sx_status status = sx_snapshot_begin(database, error);
    if (!status)
        status = sx_store_collection_find(database, name, &job.collection, error);
    if (!status && !(job.vector = sx_calloc(job.collection.dimensions, sizeof(float))))
        status = sx_fail_nomem(error, job.collection.dimensions * sizeof(float));
    if (!status)
        status = sx_store_dropped(database, job.collection.id, &job.dropped, error);
    if (!status)
        status = sx_store_say_dropped(database, &job.collection, "the export", error);
    if (!status)
        status = write(&job, target, error);
    sx_snapshot_end(database);
    if (!status && job.left_out)
        sx_store_log(database, SX_LOG_WARNING, "%s: %llu chunks have no vector and are not in the export", name,
                     (unsigned long long)job.left_out);
    free(job.vector);
    sx_collection_row_clear(&job.collection);
    return status;
}
