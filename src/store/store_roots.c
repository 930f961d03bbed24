/* store_roots.c - the roots of a collection, one after the other. */
#include "../base/error.h"
#include "sql.h"

sx_status sx_store_next_root(sx_database *database, int64_t collection, const char *after, char **root, sx_error *error)
{
    if (!database || !root)
        return sx_fail(error, SX_E_INVALID, "sx_store_next_root: an argument is NULL");
    *root = NULL;
    sqlite3_stmt *statement;
    bool found, failed = false;
    /* One step down the index on (collection, root, path), however many documents a root has. */
    sx_status status = sx_sql_start(database, "SELECT root FROM document WHERE collection = ? AND root > ? ORDER BY root LIMIT 1",
                                    &statement, error, "it", collection, after ? after : "");
    if (!status)
        status = sx_sql_step(database, statement, &found, error);
    if (status || !found)
        return status;
    *root = sx_sql_text(statement, 0, &failed);
    sqlite3_reset(statement);
    return failed ? sx_fail_nomem(error, 256) : SX_OK;
}
