/* sql.c - SQLite with our manners: waits without limit where it would say "busy", keeps prepared statements, names errors. */
#include "sql.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void sx_store_log(sx_database *database, sx_log_level level, const char *format, ...)
{
    if (!database->options.log)
        return;
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    database->options.log(level, message, database->options.log_user);
}

sx_log_callback sx_store_log_of(const sx_database *database, void **user)
{
    *user = database->options.log_user;
    return database->options.log;
}

/* ---- Errors ---- */

static sx_status status_of(int code, int reason, const char **hint)
{
    bool no_room = reason == ENOSPC || reason == EDQUOT || reason == EFBIG;
    *hint = NULL;
    switch (code & 0xff) {
    case SQLITE_FULL: *hint = "make room on the device; nothing that was committed is lost"; return SX_E_FULL;
    case SQLITE_IOERR:
        if (no_room || code == SQLITE_IOERR_SHMSIZE) {
            *hint = "make room on the device; nothing that was committed is lost";
            return SX_E_FULL;
        }
        return code == SQLITE_IOERR_NOMEM ? SX_E_NOMEM : SX_E_IO;
    case SQLITE_READONLY:
    case SQLITE_PERM: *hint = "a database needs a folder this user may write to, also for searching"; return SX_E_READ_ONLY;
    case SQLITE_CANTOPEN:
        if (no_room)
            return SX_E_FULL;
        if (reason == ENOENT)
            return SX_E_NOT_FOUND;
        if (reason == EACCES || reason == EROFS || reason == EPERM) {
            *hint = "a database needs a folder this user may write to, also for searching";
            return SX_E_READ_ONLY;
        }
        return SX_E_IO;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: *hint = "restore a backup; `sqlite3 FILE .recover` may save parts"; return SX_E_FORMAT;
    case SQLITE_NOMEM: return SX_E_NOMEM;
    case SQLITE_TOOBIG: return SX_E_LIMIT;
    case SQLITE_CONSTRAINT: return SX_E_INVALID;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return SX_E_BUSY;
    default: return SX_E_INTERNAL;
    }
}

/* The errno behind an I/O error. SQLite keeps it in different places, depending on which file failed when. */
static int reason_of(sqlite3 *sqlite, int code)
{
    int primary = code & 0xff;
    if (!sqlite || (primary != SQLITE_IOERR && primary != SQLITE_CANTOPEN))
        return 0;
    int reason = sqlite3_system_errno(sqlite);
    if (!reason)
        (void)sqlite3_file_control(sqlite, "main", SQLITE_FCNTL_LAST_ERRNO, &reason);
    sqlite3_file *log = NULL;
    if (!reason && sqlite3_file_control(sqlite, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) == SQLITE_OK && log && log->pMethods)
        (void)log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &reason);
    return reason;
}

sx_status sx_sqlite_fail(sqlite3 *sqlite, const char *path, int code, const char *what, sx_error *error)
{
    int reason = reason_of(sqlite, code);
    const char *hint;
    sx_status status = status_of(code, reason, &hint);
    const char *text =
        sqlite && (sqlite3_extended_errcode(sqlite) & 0xff) == (code & 0xff) ? sqlite3_errmsg(sqlite) : sqlite3_errstr(code);
    if (reason)
        sx_fail(error, status, "%s: %s: %s: %s", path, what, text, strerror(reason));
    else
        sx_fail(error, status, "%s: %s: %s", path, what, text);
    if (hint)
        sx_hint(error, "%s", hint);
    return status;
}

sx_status sx_sql_fail(sx_database *database, int code, const char *what, sx_error *error)
{
    return sx_sqlite_fail(database->sqlite, database->path, code, what, error);
}

/* ---- Statements ---- */

/* Busy in any form: another process's lock, recovery or a checkpoint; SQLITE_PROTOCOL is what many failed tries at the log's
 * shared memory end in, after seconds each, so it is believed at last. */
static bool is_busy(int code, unsigned attempt)
{
    int primary = code & 0xff;
    return primary == SQLITE_BUSY || (primary == SQLITE_PROTOCOL && attempt < 30);
}

sx_status sx_sql_step(sx_database *database, sqlite3_stmt *statement, bool *row, sx_error *error)
{
    /* Begun, it has its snapshot; to begin it again would give rows twice. */
    bool begun = sqlite3_stmt_busy(statement) != 0;
    *row = false;
    for (unsigned attempt = 0;; attempt++) {
        int code = sqlite3_step(statement);
        if (code == SQLITE_ROW) {
            *row = true;
            return SX_OK;
        }
        if (code == SQLITE_DONE) {
            sqlite3_reset(statement);
            return SX_OK;
        }
        if (begun || !is_busy(code, attempt)) {
            sx_status status = sx_sql_fail(database, code, "the database cannot do it", error);
            sqlite3_reset(statement);
            return status;
        }
        sqlite3_reset(statement);
        sx_back_off(attempt);
    }
}

sx_status sx_sql_start_once(sx_database *database, const char *text, sqlite3_stmt **statement, sx_error *error)
{
    *statement = NULL;
    for (unsigned attempt = 0;; attempt++) {
        int code = sqlite3_prepare_v2(database->sqlite, text, -1, statement, NULL);
        if (code == SQLITE_OK)
            return SX_OK;
        if (!is_busy(code, attempt))
            return sx_sql_fail(database, code, "a statement cannot be prepared", error);
        sx_back_off(attempt);
    }
}

sx_status sx_sql_run(sx_database *database, const char *text, sx_error *error)
{
    sx_status status = SX_OK;
    while (!status && *text) {
        sqlite3_stmt *statement = NULL;
        const char *rest = text;
        int code = sqlite3_prepare_v2(database->sqlite, text, -1, &statement, &rest);
        for (unsigned attempt = 0; is_busy(code, attempt); attempt++) {
            sx_back_off(attempt);
            code = sqlite3_prepare_v2(database->sqlite, text, -1, &statement, &rest);
        }
        if (code != SQLITE_OK)
            return sx_sql_fail(database, code, "a statement cannot be prepared", error);
        bool row = statement != NULL;
        while (row && !status)
            status = sx_sql_step(database, statement, &row, error);
        sqlite3_finalize(statement);
        text = rest;
    }
    return status;
}

static sx_status find_statement(sx_database *database, const char *text, sqlite3_stmt **statement, sx_error *error)
{
    for (size_t i = 0; i < database->statement_count; i++)
        if (database->statements[i].text == text) {
            *statement = database->statements[i].statement;
            sqlite3_reset(*statement);
            sqlite3_clear_bindings(*statement);
            return SX_OK;
        }
    if (!sx_reserve((void **)&database->statements, &database->statement_capacity, database->statement_count + 1,
                    sizeof *database->statements))
        return sx_fail_nomem(error, sizeof *database->statements);
    sx_status status = sx_sql_start_once(database, text, statement, error);
    if (!status)
        database->statements[database->statement_count++] = (sx_statement){text, *statement};
    return status;
}

static int bind_next(sqlite3_stmt *statement, int position, char type, va_list *arguments)
{
    switch (type) {
    case 'i': return sqlite3_bind_int64(statement, position, va_arg(*arguments, int64_t));
    case 'd': return sqlite3_bind_double(statement, position, va_arg(*arguments, double));
    case 't': return sqlite3_bind_text(statement, position, va_arg(*arguments, const char *), -1, SQLITE_STATIC);
    case 'h':
        return sqlite3_bind_blob(statement, position, va_arg(*arguments, const sx_sha256 *)->bytes, SX_SHA256_BYTES,
                                 SQLITE_STATIC);
    case 'k': {
        int64_t key = va_arg(*arguments, int64_t);
        return key ? sqlite3_bind_int64(statement, position, key) : sqlite3_bind_null(statement, position);
    }
    case 'b': {
        const void *data = va_arg(*arguments, const void *);
        return sqlite3_bind_blob64(statement, position, data ? data : "", va_arg(*arguments, size_t), SQLITE_STATIC);
    }
    case 'x': {
        sx_text text = va_arg(*arguments, sx_text);
        return sqlite3_bind_text64(statement, position, text.data ? text.data : "", text.length, SQLITE_STATIC, SQLITE_UTF8);
    }
    default: return SQLITE_MISUSE;
    }
}

static sx_status start(sx_database *database, const char *text, sqlite3_stmt **statement, sx_error *error, const char *types,
                       va_list *arguments)
{
    sx_status status = find_statement(database, text, statement, error);
    for (int i = 0; !status && types[i]; i++) {
        int code = bind_next(*statement, i + 1, types[i], arguments);
        if (code != SQLITE_OK)
            status = sx_sql_fail(database, code, "a value cannot be bound", error);
    }
    return status;
}

sx_status sx_sql_start(sx_database *database, const char *text, sqlite3_stmt **statement, sx_error *error, const char *types, ...)
{
    va_list arguments;
    va_start(arguments, types);
    sx_status status = start(database, text, statement, error, types, &arguments);
    va_end(arguments);
    return status;
}

sx_status sx_sql_do(sx_database *database, const char *text, sx_error *error, const char *types, ...)
{
    sqlite3_stmt *statement;
    va_list arguments;
    va_start(arguments, types);
    sx_status status = start(database, text, &statement, error, types, &arguments);
    va_end(arguments);
    bool row = true;
    while (!status && row)
        status = sx_sql_step(database, statement, &row, error);
    return status;
}

sx_status sx_sql_number(sx_database *database, const char *text, int64_t otherwise, int64_t *number, sx_error *error,
                        const char *types, ...)
{
    sqlite3_stmt *statement;
    va_list arguments;
    va_start(arguments, types);
    sx_status status = start(database, text, &statement, error, types, &arguments);
    va_end(arguments);
    bool row = false;
    *number = otherwise;
    if (!status)
        status = sx_sql_step(database, statement, &row, error);
    if (row) {
        *number = sqlite3_column_int64(statement, 0);
        sqlite3_reset(statement);
    }
    return status;
}

char *sx_sql_text(sqlite3_stmt *statement, int column, bool *failed)
{
    if (sqlite3_column_type(statement, column) == SQLITE_NULL)
        return NULL;
    const void *text = sqlite3_column_text(statement, column);
    char *copy = text ? sx_strndup(text, (size_t)sqlite3_column_bytes(statement, column)) : NULL;
    if (!copy)
        *failed = true;
    return copy;
}

void sx_sql_hash(sqlite3_stmt *statement, int column, sx_sha256 *hash)
{
    memset(hash, 0, sizeof *hash);
    const void *blob = sqlite3_column_blob(statement, column);
    if (blob && sqlite3_column_bytes(statement, column) == SX_SHA256_BYTES)
        memcpy(hash->bytes, blob, SX_SHA256_BYTES);
}

/* ---- Transactions ---- */

sx_status sx_store_begin(sx_database *database, sx_error *error)
{
    if (database->writing)
        return sx_fail(error, SX_E_INTERNAL, "%s: a transaction inside a transaction", database->path);
    if (getpid() != database->process)
        return sx_fail(error, SX_E_INVALID, "%s: opened by process %ld and used by %ld; open it anew after fork", database->path,
                       (long)database->process, (long)getpid());
    sx_status status = sx_sql_do(database, "BEGIN IMMEDIATE", error, "");
    database->writing = status == SX_OK;
    return status;
}

void sx_store_rollback(sx_database *database)
{
    if (!database->writing)
        return;
    database->writing = false;
    /* After some errors (disk full) SQLite has rolled back already. */
    if (!sqlite3_get_autocommit(database->sqlite))
        (void)sx_sql_do(database, "ROLLBACK", NULL, "");
}

sx_status sx_store_commit(sx_database *database, sx_error *error)
{
    if (!database->writing)
        return sx_fail(error, SX_E_INTERNAL, "%s: a commit without a transaction", database->path);
    if (sqlite3_get_autocommit(database->sqlite)) {
        database->writing = false;
        return sx_fail(error, SX_E_IO, "%s: the transaction was rolled back by an earlier error", database->path);
    }
    sx_status status = sx_store_write_notes(database, error);
    if (!status)
        status = sx_sql_do(database, "COMMIT", error, "");
    if (status) {
        sx_store_rollback(database);
        return status;
    }
    database->writing = false;
    sx_store_forget_notes(database);
    return SX_OK;
}

sx_status sx_scope_enter(sx_database *database, sx_scope *scope, sx_error *error)
{
    scope->outer = !database->writing;
    return scope->outer ? sx_store_begin(database, error) : sx_sql_do(database, "SAVEPOINT scope", error, "");
}

sx_status sx_scope_leave(sx_database *database, const sx_scope *scope, sx_status status, sx_error *error)
{
    if (scope->outer) {
        if (!status)
            return sx_store_commit(database, error);
        sx_store_rollback(database);
        return status;
    }
    if (!status)
        return sx_sql_do(database, "RELEASE scope", error, "");
    if (!sqlite3_get_autocommit(database->sqlite))
        (void)sx_sql_run(database, "ROLLBACK TO scope; RELEASE scope", NULL);
    return status;
}

sx_status sx_snapshot_begin(sx_database *database, sx_error *error)
{
    return database->writing ? SX_OK : sx_sql_do(database, "BEGIN", error, "");
}

void sx_snapshot_end(sx_database *database)
{
    if (!database->writing && !sqlite3_get_autocommit(database->sqlite))
        (void)sx_sql_do(database, "COMMIT", NULL, "");
}

sx_status sx_snapshot_version_read(sx_database *database, sx_snapshot_version *version, sx_error *error)
{
    version->own = sqlite3_total_changes(database->sqlite);
    return sx_sql_number(database, "PRAGMA data_version", 0, &version->others, error, "");
}

bool sx_snapshot_version_same(sx_snapshot_version a, sx_snapshot_version b)
{
    return a.others == b.others && a.own == b.own;
}
