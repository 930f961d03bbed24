/* schema.h - making the tables, and taking databases of older versions forward. */
#ifndef SX_STORE_SCHEMA_H
#define SX_STORE_SCHEMA_H

#include "sql.h"

/* "SxDb": tells our files from other SQLite databases (PRAGMA application_id). */
enum { SX_APPLICATION_ID = 0x53784462, SX_SCHEMA_VERSION = 7 };

/* From `version` to version + 1: SQL, run inside the transaction of the whole migration. */
typedef struct sx_migration {
    int version;
    const char *sql;
} sx_migration;

typedef enum sx_schema_state { SX_SCHEMA_EMPTY, SX_SCHEMA_OURS, SX_SCHEMA_FOREIGN } sx_schema_state;
/* What the connection has before it. Reads only. */
sx_status sx_schema_examine(sqlite3 *sqlite, const char *path, sx_schema_state *state, int *version, sx_error *error);

/* Creates all tables at SX_SCHEMA_VERSION in an empty database. The caller keeps others out. */
sx_status sx_schema_create(sx_database *database, sx_error *error);
/* Takes the database from `version` to `target` by the steps, in one transaction, after a backup copy beside it
 * (PATH-version-N, or PATH-version-N-2 ... when that is there). */
sx_status sx_schema_migrate(sx_database *database, int version, int target, const sx_migration *steps, size_t count,
                            sx_error *error);
/* The steps of this program. */
extern const sx_migration sx_schema_migrations[];
extern const size_t sx_schema_migration_count;

#endif
