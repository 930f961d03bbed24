/* store_spaces.c - proofs that two recipes give vectors of one space (spaces.h), and how far a shift between two has come. */
#include "../base/error.h"
#include "spaces.h"
#include "sql.h"

#include <stdio.h>
#include <stdlib.h>

static sx_status has_table(sx_database *database, bool *there, sx_error *error)
{
    int64_t count;
    sx_status status = sx_sql_number(database, "SELECT count(*) FROM sqlite_master WHERE name = 'same_space'", 0, &count, error, "");
    *there = !status && count > 0;
    return status;
}

sx_status sx_store_space_add(sx_database *database, const sx_space_row *row, sx_error *error)
{
    static const char table[] =
        "CREATE TABLE IF NOT EXISTS same_space(id INTEGER PRIMARY KEY AUTOINCREMENT, recipe BLOB NOT NULL, other BLOB NOT NULL,"
        " space BLOB NOT NULL, other_space BLOB NOT NULL, model TEXT NOT NULL, other_model TEXT NOT NULL,"
        " dimensions INTEGER NOT NULL, probes INTEGER NOT NULL, least_cosine REAL NOT NULL, largest_difference REAL NOT NULL,"
        " proven_ns INTEGER NOT NULL, UNIQUE(recipe, other))";
    sx_scope scope;
    sx_status status = sx_scope_enter(database, &scope, error);
    if (status)
        return status;
    status = sx_sql_run(database, table, error);
    if (!status)
        status = sx_sql_do(database, "DELETE FROM same_space WHERE (recipe = ? AND other = ?) OR (other = ? AND recipe = ?)",
                           error, "hhhh", &row->recipes[0], &row->recipes[1], &row->recipes[0], &row->recipes[1]);
    if (!status)
        status = sx_sql_do(database,
                           "INSERT INTO same_space(recipe, other, space, other_space, model, other_model, dimensions, probes,"
                           " least_cosine, largest_difference, proven_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                           error, "hhhhttiiddi", &row->recipes[0], &row->recipes[1], &row->spaces[0], &row->spaces[1],
                           row->models[0], row->models[1], (int64_t)row->dimensions, (int64_t)row->probes, row->least_cosine,
                           row->largest_difference, row->proven_ns);
    return sx_scope_leave(database, &scope, status, error);
}

sx_status sx_store_spaces(sx_database *database, sx_status (*visit)(const sx_space_row *row, void *user, sx_error *error),
                          void *user, sx_error *error)
{
    sqlite3_stmt *statement;
    bool found = true, there;
    sx_status status = has_table(database, &there, error);
    if (status || !there)
        return status;
    status = sx_sql_start(database,
                          "SELECT recipe, other, space, other_space, model, other_model, dimensions, probes, least_cosine,"
                          " largest_difference, proven_ns FROM same_space ORDER BY id",
                          &statement, error, "");
    while (!status && !(status = sx_sql_step(database, statement, &found, error)) && found) {
        bool failed = false;
        char *model = sx_sql_text(statement, 4, &failed), *other = sx_sql_text(statement, 5, &failed);
        sx_space_row row = {
            .models = {model, other},
            .dimensions = (uint32_t)sqlite3_column_int64(statement, 6),
            .probes = (uint32_t)sqlite3_column_int64(statement, 7),
            .least_cosine = sqlite3_column_double(statement, 8),
            .largest_difference = sqlite3_column_double(statement, 9),
            .proven_ns = sqlite3_column_int64(statement, 10),
        };
        for (int i = 0; i < 2; i++) {
            sx_sql_hash(statement, i, &row.recipes[i]);
            sx_sql_hash(statement, 2 + i, &row.spaces[i]);
        }
        status = failed ? sx_fail_nomem(error, 256) : visit(&row, user, error);
        free(model);
        free(other);
        if (status)
            sqlite3_reset(statement);
    }
    return status;
}

sx_status sx_store_space_proven(sx_database *database, const sx_sha256 *recipe, const sx_sha256 *other, bool *proven,
                                sx_error *error)
{
    int64_t count = 0;
    bool there;
    sx_status status = has_table(database, &there, error);
    if (!status && there)
        status = sx_sql_number(database,
                               "SELECT count(*) FROM same_space WHERE (recipe = ? AND other = ?) OR (other = ? AND recipe = ?)",
                               0, &count, error, "hhhh", recipe, other, recipe, other);
    *proven = !status && count > 0;
    return status;
}

sx_status sx_store_space_of(sx_database *database, const sx_sha256 *recipe, const sx_sha256 *space, bool *proven,
                            sx_error *error)
{
    int64_t count = 0;
    bool there;
    sx_status status = has_table(database, &there, error);
    if (!status && there)
        status = sx_sql_number(
            database,
            "SELECT count(*) FROM same_space WHERE (recipe = ? AND other_space = ?) OR (other = ? AND space = ?)", 0, &count,
            error, "hhhh", recipe, space, recipe, space);
    *proven = !status && count > 0;
    return status;
}

sx_status sx_store_space_json(sx_database *database, const sx_sha256 *recipe, char **json, sx_error *error)
{
    sqlite3_stmt *statement;
    bool found = false, failed = false;
    *json = NULL;
    sx_status status = sx_sql_start(database, "SELECT space_json FROM recipe WHERE hash = ?", &statement, error, "h", recipe);
    if (!status)
        status = sx_sql_step(database, statement, &found, error);
    if (!status && found)
        *json = sx_sql_text(statement, 0, &failed);
    if (!status && found)
        sqlite3_reset(statement);
    return failed ? sx_fail_nomem(error, 256) : status;
}

sx_status sx_store_space_forget(sx_database *database, const char *model, const char *other, uint64_t *removed, sx_error *error)
{
    int64_t count = 0;
    bool there;
    sx_status status = has_table(database, &there, error);
    sx_scope scope;
    *removed = 0;
    if (status || !there || (status = sx_scope_enter(database, &scope, error)))
        return status;
    status = sx_sql_number(
        database,
        "SELECT count(*) FROM same_space WHERE (model = ? AND other_model = ?) OR (other_model = ? AND model = ?)", 0, &count,
        error, "tttt", model, other, model, other);
    if (!status)
        status = sx_sql_do(database,
                           "DELETE FROM same_space WHERE (model = ? AND other_model = ?) OR (other_model = ? AND model = ?)",
                           error, "tttt", model, other, model, other);
    *removed = (uint64_t)count;
    return sx_scope_leave(database, &scope, status, error);
}

sx_status sx_store_space_users(sx_database *database, const char *model, const char *other, uint64_t *chunks, sx_error *error)
{
    int64_t count = 0;
    sx_status status = sx_sql_number(
        database,
        "SELECT count(*) FROM collection c JOIN recipe r ON r.id = c.recipe JOIN chunk k ON k.collection = c.id"
        " JOIN vector v ON v.id = k.vector JOIN recipe o ON o.id = v.recipe WHERE v.recipe <> c.recipe"
        " AND c.name IS NOT NULL AND ((r.model = ? AND o.model = ?) OR (o.model = ? AND r.model = ?))",
        0, &count, error, "tttt", model, other, model, other);
    *chunks = (uint64_t)count;
    return status;
}

static void name_of_split(const sx_sha256 *recipe, const sx_sha256 *other, char name[160])
{
    char hex[SX_SHA256_HEX], other_hex[SX_SHA256_HEX];
    sx_sha256_hex(recipe, hex);
    sx_sha256_hex(other, other_hex);
    snprintf(name, 160, "split %s %s", hex, other_hex);
}

sx_status sx_store_split_get(sx_database *database, const sx_sha256 *recipe, const sx_sha256 *other, int64_t *percent,
                             sx_error *error)
{
    char name[160];
    name_of_split(recipe, other, name);
    return sx_sql_number(database, "SELECT value FROM counter WHERE name = ?", -1, percent, error, "t", name);
}

sx_status sx_store_split_set(sx_database *database, const sx_sha256 *recipe, const sx_sha256 *other, int64_t percent,
                             sx_error *error)
{
    char name[160];
    sx_scope scope;
    sx_status status = sx_scope_enter(database, &scope, error);
    if (status)
        return status;
    name_of_split(recipe, other, name);
    status = sx_sql_do(database,
                       "INSERT INTO counter(name, value) VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET value = excluded.value",
                       error, "ti", name, percent);
    return sx_scope_leave(database, &scope, status, error);
}
