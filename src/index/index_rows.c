/* index_rows.c - the rows of an SQL query over somebody's SQLite file, each a document.
 *
 * The file is opened for reading only and without its trust: no extensions, no functions called from its schema, and a query that reads,
 * nothing else. It is not the user's database but it may be a stranger's. */
#include "index_records.h"

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/memory.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct index_rows {
    sqlite3 *sqlite;
    sqlite3_stmt *query;
    int text_column, id_column; /* -1: there is none */
    const volatile int *stop;
    size_t row;
};

enum { STEPS_BETWEEN_LOOKS = 100000, LONGEST_VALUE = 1 << 30 };

static int is_stopped(void *user)
{
    const index_rows *rows = user;
    return rows->stop && *rows->stop;
}

static sx_status fail(const index_rows *rows, sx_error *error)
{
    int code = sqlite3_errcode(rows->sqlite) & 0xff;
    if (code == SQLITE_INTERRUPT)
        return sx_index_stop_status(error);
    return sx_fail(error, code == SQLITE_NOMEM ? SX_E_NOMEM : SX_E_FORMAT, "%s", sqlite3_errmsg(rows->sqlite));
}

static int column_named(sqlite3_stmt *query, const char *name)
{
    for (int i = 0; i < sqlite3_column_count(query); i++)
        if (!sqlite3_stricmp(sqlite3_column_name(query, i), name))
            return i;
    return -1;
}

static sx_status prepare(index_rows *rows, const index_job *job, sx_error *error)
{
    const char *query = job->options.query, *rest = "";
    const char *text_column = job->options.text_column ? job->options.text_column : "text";
    if (sqlite3_prepare_v2(rows->sqlite, query, -1, &rows->query, &rest))
        return fail(rows, error);
    if (!rows->query || rest[strspn(rest, " \t\r\n;")])
        return sx_fail(error, SX_E_INVALID, "the query is not one statement");
    if (!sqlite3_stmt_readonly(rows->query) || !sqlite3_column_count(rows->query))
        return sx_fail(error, SX_E_INVALID, "the query does not only read");
    rows->text_column = column_named(rows->query, text_column);
    rows->id_column = column_named(rows->query, job->options.id_column ? job->options.id_column : "id");
    if (rows->text_column >= 0)
        return SX_OK;
    sx_fail(error, SX_E_FORMAT, "the query's result has no column '%s'", text_column);
    sx_hint(error, "--text-column names the column that holds the texts; SELECT body AS text names one so");
    return SX_E_FORMAT;
}

sx_status sx_index_rows_open(const index_job *job, const char *path, index_rows **out, sx_error *error)
{
    *out = NULL;
    index_rows *rows = sx_calloc(1, sizeof *rows);
    if (!rows)
        return sx_fail_nomem(error, sizeof *rows);
    rows->stop = job->options.stop;
    sx_status status = SX_OK;
    if (sqlite3_open_v2(path, &rows->sqlite, SQLITE_OPEN_READONLY, NULL)) {
        status = rows->sqlite ? fail(rows, error) : sx_fail_nomem(error, 1 << 16);
    } else {
        sqlite3_db_config(rows->sqlite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(rows->sqlite, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        sqlite3_limit(rows->sqlite, SQLITE_LIMIT_ATTACHED, 0);
        sqlite3_limit(rows->sqlite, SQLITE_LIMIT_LENGTH, LONGEST_VALUE);
        sqlite3_busy_timeout(rows->sqlite, 5000);
        sqlite3_progress_handler(rows->sqlite, STEPS_BETWEEN_LOOKS, is_stopped, rows);
        status = prepare(rows, job, error);
    }
    if (status)
        sx_index_rows_close(rows);
    else
        *out = rows;
    return status;
}

void sx_index_rows_close(index_rows *rows)
{
    if (!rows)
        return;
    sqlite3_finalize(rows->query);
    sqlite3_close(rows->sqlite);
    free(rows);
}

bool sx_index_rows_unsettled(const char *path)
{
    char *log = NULL;
    struct stat status;
    bool unsettled = asprintf(&log, "%s-wal", path) >= 0 && !stat(log, &status) && status.st_size > 0;
    free(log);
    return unsettled;
}

/* NULL for what has no place in metadata (NULL, BLOB) or no memory. */
static json_t *value_of(sqlite3_stmt *query, int column)
{
    switch (sqlite3_column_type(query, column)) {
    case SQLITE_INTEGER: return json_integer(sqlite3_column_int64(query, column));
    case SQLITE_FLOAT: return json_real(sqlite3_column_double(query, column));
    case SQLITE_TEXT:
        return json_stringn((const char *)sqlite3_column_text(query, column), (size_t)sqlite3_column_bytes(query, column));
    default: return NULL;
    }
}

sx_status sx_index_rows_next(index_rows *rows, index_record *record, bool *more, sx_error *error)
{
    int code = sqlite3_step(rows->query);
    *more = code == SQLITE_ROW;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return fail(rows, error);
    if (!*more)
        return SX_OK;
    rows->row++;
    int type = sqlite3_column_type(rows->query, rows->text_column);
    if (type == SQLITE_BLOB || type == SQLITE_NULL) {
        if (asprintf(&record->problem, "row %zu: the text is %s", rows->row, type == SQLITE_NULL ? "NULL" : "a BLOB") < 0)
            return sx_fail_nomem(error, 64);
        return SX_OK;
    }
    const char *text = (const char *)sqlite3_column_text(rows->query, rows->text_column);
    record->length = (size_t)sqlite3_column_bytes(rows->query, rows->text_column);
    record->text = text ? sx_strndup(text, record->length) : NULL;
    const char *id = rows->id_column < 0 ? NULL : (const char *)sqlite3_column_text(rows->query, rows->id_column);
    if (id && *id)
        record->id = sx_strdup(id);
    else if (asprintf(&record->id, "%zu", rows->row) < 0)
        record->id = NULL;
    record->metadata = json_object();
    for (int i = 0; record->metadata && i < sqlite3_column_count(rows->query); i++) {
        json_t *value = i == rows->text_column ? NULL : value_of(rows->query, i);
        if (value)
            json_object_set_new(record->metadata, sqlite3_column_name(rows->query, i), value);
    }
    return record->text && record->id && record->metadata ? SX_OK : sx_fail_nomem(error, record->length);
}
