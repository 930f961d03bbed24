/* store_places.c - the paths of a collection's documents, and what its chunks define (table chunk_symbols): by these a stack trace
 * finds its code, filters ask about symbols, and hits name them. */
#include "store_places.h"
#include "sql.h"

#include "../base/error.h"
#include "../base/json_reader.h"

#include <stdlib.h>

sx_status sx_store_paths(sx_database *database, int64_t collection, sx_path_visit visit, void *user, sx_error *error)
{
    sqlite3_stmt *statement;
    bool row = true;
    sx_status status = sx_sql_start(database, "SELECT id, root, path FROM document WHERE collection = ?", &statement, error, "i",
                                    collection);
    while (!status && !(status = sx_sql_step(database, statement, &row, error)) && row) {
        const char *root = (const char *)sqlite3_column_text(statement, 1), *path = (const char *)sqlite3_column_text(statement, 2);
        if (root && path)
            visit(sqlite3_column_int64(statement, 0), root, path, user);
    }
    return status;
}

sx_status sx_store_symbols(sx_database *database, int64_t chunk, char **symbols, sx_error *error)
{
    sqlite3_stmt *statement;
    bool row = false, failed = false;
    *symbols = NULL;
    sx_status status = sx_sql_start(database, "SELECT symbols FROM chunk_symbols WHERE chunk = ?", &statement, error, "i", chunk);
    if (!status)
        status = sx_sql_step(database, statement, &row, error);
    if (status || !row)
        return status;
    *symbols = sx_sql_text(statement, 0, &failed);
    sqlite3_reset(statement);
    return failed ? sx_fail_nomem(error, 256) : SX_OK;
}

void sx_symbols_each(sx_text symbols, sx_symbol_visit visit, void *user)
{
    sx_buffer key_buffer = {0}, names = {0}, kinds = {0};
    sx_json json;
    sx_text key;
    bool more = symbols.data != NULL;
    if (more) {
        sx_json_begin(&json, symbols.data, symbols.length, "symbols");
        (void)sx_json_array(&json);
    }
    while (more && sx_json_element(&json)) {
        sx_text name = {"", 0}, kind = {"", 0};
        uint64_t line = 0;
        if (!sx_json_object(&json))
            break;
        while (sx_json_member(&json, &key_buffer, &key)) {
            if (sx_text_is(key, "name") && sx_json_peek(&json) == SX_JSON_STRING)
                (void)sx_json_string(&json, &names, &name);
            else if (sx_text_is(key, "kind") && sx_json_peek(&json) == SX_JSON_STRING)
                (void)sx_json_string(&json, &kinds, &kind);
            else if (sx_text_is(key, "line") && sx_json_peek(&json) == SX_JSON_NUMBER)
                (void)sx_json_unsigned(&json, &line);
            else
                (void)sx_json_skip(&json);
        }
        more = !json.problem && visit(name, kind, line <= UINT32_MAX ? (uint32_t)line : 0, user);
    }
    sx_buffer_clear(&key_buffer);
    sx_buffer_clear(&names);
    sx_buffer_clear(&kinds);
}
