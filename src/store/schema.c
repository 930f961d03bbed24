/* schema.c - the tables (docs/database.md draws them) and the steps from older versions to this one. */
#include "schema.h"

#include "../base/error.h"
#include "../base/file.h"
#include "backup.h"

#include <stdio.h>
#include <stdlib.h>

/* Version 2: what was spent (store_ledger.c). One row of `spend` for a job and a day (days since 1970, UTC), added to in the
 * transaction that stores a batch's vectors. usd NULL: the model has no known price, and a sum with NULL in it stays NULL. */
#define LEDGER_TABLES                                                                                                            \
    "CREATE TABLE ledger_job(id INTEGER PRIMARY KEY AUTOINCREMENT, verb TEXT NOT NULL, collection TEXT NOT NULL,"                \
    " provider TEXT NOT NULL, model TEXT NOT NULL, space BLOB NOT NULL, began_ns INTEGER NOT NULL);"                             \
    "CREATE TABLE spend(job INTEGER NOT NULL REFERENCES ledger_job(id), day INTEGER NOT NULL, requests INTEGER NOT NULL,"        \
    " texts INTEGER NOT NULL, cached INTEGER NOT NULL, tokens INTEGER NOT NULL, usd REAL, PRIMARY KEY(job, day)) WITHOUT ROWID;" \
    "CREATE INDEX spend_day ON spend(day);"                                                                                      \
    "CREATE TABLE spend_alert(month TEXT NOT NULL, usd REAL NOT NULL, PRIMARY KEY(month, usd)) WITHOUT ROWID;"

/* Version 3: jobs at a provider's batch interface (store_batches.c). A text of a job is in it by its hash, until it is stored. */
#define BATCH_TABLES                                                                                                             \
    "CREATE TABLE batch(id INTEGER PRIMARY KEY AUTOINCREMENT, recipe INTEGER NOT NULL REFERENCES recipe(id),"                    \
    " provider TEXT NOT NULL, model TEXT NOT NULL, url TEXT NOT NULL, file BLOB NOT NULL, step INTEGER NOT NULL,"                \
    " asked INTEGER NOT NULL, file_id TEXT, batch_id TEXT, status TEXT, output_id TEXT, error_id TEXT, message TEXT,"            \
    " requests INTEGER NOT NULL, stored INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,"                          \
    " tokens INTEGER NOT NULL DEFAULT 0, price REAL NOT NULL, created_ns INTEGER NOT NULL);"                                     \
    "CREATE TABLE batch_item(batch INTEGER NOT NULL REFERENCES batch(id), hash BLOB NOT NULL, recipe INTEGER NOT NULL,"          \
    " state INTEGER NOT NULL CHECK(state BETWEEN 0 AND 2), reason TEXT, PRIMARY KEY(batch, hash)) WITHOUT ROWID;"                \
    "CREATE INDEX batch_item_hash ON batch_item(hash, recipe);"

/* Version 4: the keyword index (store_keyword.h). part 0: the chunk's words wait here; else they are in that part. A chunk that
 * goes is taken out in the same statement, by the trigger; its postings stay until its part is merged. No number in `counter`
 * for the version of the words: they are still to be made (sx_keyword_prepare). */
#define KEYWORD_TABLES                                                                                                           \
    "CREATE TABLE keyword_chunk(chunk INTEGER PRIMARY KEY, collection INTEGER NOT NULL, part INTEGER NOT NULL,"                  \
    " print INTEGER NOT NULL, length INTEGER NOT NULL, words BLOB);"                                                             \
    "CREATE INDEX keyword_waiting ON keyword_chunk(collection) WHERE part = 0;"                                                  \
    "CREATE TABLE keyword_part(id INTEGER PRIMARY KEY AUTOINCREMENT, collection INTEGER NOT NULL, count INTEGER NOT NULL,"       \
    " chunks BLOB NOT NULL, lengths BLOB NOT NULL);"                                                                             \
    "CREATE INDEX keyword_part_collection ON keyword_part(collection);"                                                          \
    "CREATE TABLE keyword_posting(part INTEGER NOT NULL, word INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY(part, word))"    \
    " WITHOUT ROWID;"                                                                                                            \
    "CREATE TABLE keyword_dead(part INTEGER NOT NULL, chunk INTEGER NOT NULL, PRIMARY KEY(part, chunk)) WITHOUT ROWID;"          \
    "CREATE TRIGGER chunk_words_gone AFTER DELETE ON chunk WHEN old.vector IS NOT NULL BEGIN"                                    \
    " INSERT OR IGNORE INTO keyword_dead(part, chunk) SELECT part, chunk FROM keyword_chunk WHERE chunk = old.id AND part > 0;"  \
    " DELETE FROM keyword_chunk WHERE chunk = old.id;"                                                                           \
    " END;"

/* Version 5: compressed collections (packed.c). Chunks above last_chunk came since. */
#define PACKED_TABLES                                                                                                            \
    "CREATE TABLE packed(collection INTEGER PRIMARY KEY, method TEXT NOT NULL, file TEXT NOT NULL, identity INTEGER NOT NULL,"   \
    " rows INTEGER NOT NULL, bytes INTEGER NOT NULL, last_chunk INTEGER NOT NULL);"                                              \
    "CREATE TRIGGER packed_gone AFTER DELETE ON collection BEGIN DELETE FROM packed WHERE collection = old.id; END;"

/* Version 6: what is defined in a chunk of code, as JSON (sx_chunk_row). In a table of its own, so that filters read it without the
 * texts, and chunks of prose have none. */
#define SYMBOL_TABLES                                                                                                            \
    "CREATE TABLE chunk_symbols(chunk INTEGER PRIMARY KEY, symbols TEXT NOT NULL);"                                              \
    "CREATE TRIGGER chunk_symbols_gone AFTER DELETE ON chunk BEGIN DELETE FROM chunk_symbols WHERE chunk = old.id; END;"

/* Version 7: vectors without their floats (packed_vectors.c). packing NULL: `data` holds floats. `data` is the mean, then the
 * components. A collection named here has dropped its floats. */
#define PACKING_TABLES                                                                                                           \
    "CREATE TABLE packing(id INTEGER PRIMARY KEY AUTOINCREMENT, collection INTEGER NOT NULL, method TEXT NOT NULL,"              \
    " dimensions INTEGER NOT NULL, row_bytes INTEGER NOT NULL, retained REAL NOT NULL, data BLOB NOT NULL);"                     \
    "CREATE INDEX packing_collection ON packing(collection);"                                                                    \
    "ALTER TABLE vector ADD COLUMN packing INTEGER REFERENCES packing(id);"                                                      \
    "CREATE INDEX vector_packing ON vector(packing) WHERE packing IS NOT NULL;"                                                  \
    "CREATE TRIGGER vector_resized AFTER UPDATE OF data ON vector WHEN length(new.data) <> length(old.data)"                     \
    " AND EXISTS (SELECT 1 FROM spare WHERE vector = new.id) BEGIN"                                                              \
    " UPDATE counter SET value = value + length(new.data) - length(old.data) WHERE name = 'spare_bytes';"                        \
    " UPDATE spare SET bytes = length(new.data) WHERE vector = new.id;"                                                          \
    " END;"

/* What is unreferenced lies in `spare`: the cache proper. Triggers keep it and its sums exact whatever is inserted or deleted,
 * so that eviction is an indexed query. `used` is a count of uses, not a time: clocks go back, this does not. */
static const char tables[] =
    "CREATE TABLE recipe(id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, space BLOB NOT NULL, dimensions INTEGER NOT NULL,"
    " model TEXT NOT NULL, json TEXT NOT NULL, space_json TEXT NOT NULL);"

    "CREATE TABLE vector(id INTEGER PRIMARY KEY AUTOINCREMENT, recipe INTEGER NOT NULL REFERENCES recipe(id),"
    " hash BLOB NOT NULL, tokens INTEGER NOT NULL, dropped INTEGER NOT NULL, computed INTEGER NOT NULL, data BLOB NOT NULL,"
    " UNIQUE(recipe, hash));"

    "CREATE TABLE spare(vector INTEGER PRIMARY KEY REFERENCES vector(id), used INTEGER NOT NULL, bytes INTEGER NOT NULL);"
    "CREATE INDEX spare_used ON spare(used, vector);"
    "CREATE TABLE counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO counter(name, value) VALUES ('use', 0), ('spare_entries', 0), ('spare_bytes', 0), ('hits', 0), ('misses', 0);"

    "CREATE TABLE claim(recipe INTEGER NOT NULL, hash BLOB NOT NULL, owner INTEGER NOT NULL, PRIMARY KEY(recipe, hash)) WITHOUT "
    "ROWID;"

    "CREATE TABLE collection(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, recipe INTEGER NOT NULL REFERENCES "
    "recipe(id),"
    " settings TEXT NOT NULL);"

    "CREATE TABLE document(id INTEGER PRIMARY KEY AUTOINCREMENT, collection INTEGER NOT NULL REFERENCES collection(id),"
    " root TEXT NOT NULL, path TEXT NOT NULL, device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL,"
    " mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, scanned_ns INTEGER NOT NULL, content BLOB NOT NULL,"
    " settings BLOB NOT NULL, state INTEGER NOT NULL CHECK(state BETWEEN 0 AND 3), reason TEXT, media_type TEXT, title TEXT,"
    " metadata TEXT, chunk_count INTEGER NOT NULL DEFAULT 0,"
    " failed_chunks INTEGER NOT NULL DEFAULT 0, text_bytes INTEGER NOT NULL DEFAULT 0, UNIQUE(collection, root, path));"

    /* `collection` repeats the document's, without a foreign key of its own; `text` comes last so that the rest is read without
     * it. Ids are never used again: mapped segments refer to them. */
    "CREATE TABLE chunk(id INTEGER PRIMARY KEY AUTOINCREMENT, document INTEGER NOT NULL REFERENCES document(id),"
    " collection INTEGER NOT NULL, number INTEGER NOT NULL, vector INTEGER REFERENCES vector(id), start INTEGER NOT NULL,"
    " end INTEGER NOT NULL, start_line INTEGER NOT NULL, end_line INTEGER NOT NULL, tokens INTEGER NOT NULL, hash BLOB NOT NULL,"
    " headings TEXT, header TEXT, reason TEXT, text TEXT NOT NULL);"
    "CREATE UNIQUE INDEX chunk_document ON chunk(document, number);"
    "CREATE INDEX chunk_vector ON chunk(vector, collection);"
    "CREATE INDEX chunk_live ON chunk(collection) WHERE vector IS NOT NULL;"

    "CREATE TABLE segment(id INTEGER PRIMARY KEY AUTOINCREMENT, collection INTEGER NOT NULL REFERENCES collection(id),"
    " file TEXT NOT NULL UNIQUE, identity INTEGER NOT NULL, rows INTEGER NOT NULL, first_chunk INTEGER NOT NULL,"
    " last_chunk INTEGER NOT NULL);"
    "CREATE INDEX segment_collection ON segment(collection, first_chunk);"

    "CREATE TRIGGER vector_new AFTER INSERT ON vector BEGIN"
    " INSERT INTO spare(vector, used, bytes) VALUES (new.id, (SELECT value FROM counter WHERE name = 'use'), length(new.data));"
    " END;"
    "CREATE TRIGGER spare_new AFTER INSERT ON spare BEGIN"
    " UPDATE counter SET value = value + 1 WHERE name = 'spare_entries';"
    " UPDATE counter SET value = value + new.bytes WHERE name = 'spare_bytes';"
    " END;"
    "CREATE TRIGGER spare_gone AFTER DELETE ON spare BEGIN"
    " UPDATE counter SET value = value - 1 WHERE name = 'spare_entries';"
    " UPDATE counter SET value = value - old.bytes WHERE name = 'spare_bytes';"
    " END;"
    "CREATE TRIGGER chunk_new AFTER INSERT ON chunk WHEN new.vector IS NOT NULL BEGIN"
    " DELETE FROM spare WHERE vector = new.vector;"
    " END;"
    "CREATE TRIGGER chunk_gone AFTER DELETE ON chunk WHEN old.vector IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM chunk WHERE vector = old.vector) BEGIN"
    " INSERT INTO spare(vector, used, bytes) SELECT id, (SELECT value FROM counter WHERE name = 'use'), length(data)"
    " FROM vector WHERE id = old.vector;"
    " END;"
    /* The vector of a chunk never changes: ids in segments stand for one vector for ever. */
    "CREATE TRIGGER chunk_fixed BEFORE UPDATE OF vector ON chunk WHEN new.vector IS NOT old.vector BEGIN"
    " SELECT RAISE(ABORT, 'the vector of a chunk cannot change');"
    " END;"
    LEDGER_TABLES BATCH_TABLES KEYWORD_TABLES PACKED_TABLES SYMBOL_TABLES PACKING_TABLES;

/* A step from a version to the next, in SQL. */
const sx_migration sx_schema_migrations[] = {{1, LEDGER_TABLES}, {2, BATCH_TABLES},  {3, KEYWORD_TABLES},
                                             {4, PACKED_TABLES}, {5, SYMBOL_TABLES}, {6, PACKING_TABLES}};
const size_t sx_schema_migration_count = sizeof sx_schema_migrations / sizeof *sx_schema_migrations;

/* Steps a statement that gives one row, waiting as long as others write. */
static int read_row(sqlite3_stmt *statement)
{
    for (unsigned attempt = 0;; attempt++) {
        int code = sqlite3_step(statement);
        if (code == SQLITE_ROW)
            return SQLITE_OK;
        int primary = code & 0xff;
        if (primary != SQLITE_BUSY && (primary != SQLITE_PROTOCOL || attempt > 30))
            return code == SQLITE_DONE ? SQLITE_ERROR : code;
        sqlite3_reset(statement);
        sx_back_off(attempt);
    }
}

sx_status sx_schema_examine(sqlite3 *sqlite, const char *path, sx_schema_state *state, int *version, sx_error *error)
{
    /* One statement, so one snapshot: between two reads another process may finish creating the database, and half of what was
     * before with half of what is after looks like nobody's. */
    static const char question[] = "SELECT a.application_id, v.user_version, (SELECT count(*) FROM sqlite_master) "
                                   "FROM pragma_application_id a, pragma_user_version v";
    sqlite3_stmt *statement = NULL;
    int code;
    for (unsigned attempt = 0;; attempt++) {
        code = sqlite3_prepare_v2(sqlite, question, -1, &statement, NULL);
        if ((code & 0xff) != SQLITE_BUSY)
            break;
        sx_back_off(attempt);
    }
    if (code == SQLITE_OK)
        code = read_row(statement);
    if (code != SQLITE_OK) {
        sqlite3_finalize(statement);
        return sx_sqlite_fail(sqlite, path, code, "the database cannot be read", error);
    }
    int64_t application = sqlite3_column_int64(statement, 0), user_version = sqlite3_column_int64(statement, 1);
    int64_t objects = sqlite3_column_int64(statement, 2);
    sqlite3_finalize(statement);
    *version = (int)user_version;
    if (application == SX_APPLICATION_ID)
        *state = SX_SCHEMA_OURS;
    else
        *state = application == 0 && user_version == 0 && objects == 0 ? SX_SCHEMA_EMPTY : SX_SCHEMA_FOREIGN;
    return SX_OK;
}

static sx_status set_version(sx_database *database, int version, sx_error *error)
{
    char text[64];
    snprintf(text, sizeof text, "PRAGMA user_version = %d", version);
    return sx_sql_run(database, text, error);
}

sx_status sx_schema_create(sx_database *database, sx_error *error)
{
    char text[64];
    snprintf(text, sizeof text, "PRAGMA application_id = %d", SX_APPLICATION_ID);
    sx_scope scope;
    sx_status status = sx_scope_enter(database, &scope, error);
    if (status)
        return status;
    status = sx_sql_run(database, tables, error);
    if (!status)
        status = sx_sql_run(database, text, error);
    if (!status)
        status = set_version(database, SX_SCHEMA_VERSION, error);
    return sx_scope_leave(database, &scope, status, error);
}

static sx_status keep_copy(sx_database *database, int version, sx_error *error)
{
    for (int number = 1;; number++) {
        char *target = NULL;
        int length = number == 1 ? asprintf(&target, "%s-version-%d", database->path, version)
                                 : asprintf(&target, "%s-version-%d-%d", database->path, version, number);
        if (length < 0)
            return sx_fail_nomem(error, 64);
        bool taken = sx_file_exists(target);
        sx_status status = taken ? SX_OK : sx_backup_copy(database->sqlite, database->path, target, false, error);
        if (!taken && !status)
            sx_store_log(database, SX_LOG_INFO, "%s: version %d is being migrated; a copy is kept as %s", database->path, version,
                         target);
        free(target);
        if (!taken)
            return status;
    }
}

sx_status sx_schema_migrate(sx_database *database, int version, int target, const sx_migration *steps, size_t count,
                            sx_error *error)
{
    sx_status status = keep_copy(database, version, error);
    if (status)
        return status;
    sx_scope scope;
    if ((status = sx_scope_enter(database, &scope, error)))
        return status;
    while (!status && version < target) {
        const char *sql = NULL;
        for (size_t i = 0; i < count; i++)
            if (steps[i].version == version)
                sql = steps[i].sql;
        if (!sql)
            status = sx_fail(error, SX_E_MISMATCH, "%s: no way from version %d to %d", database->path, version, target);
        else if (!(status = sx_sql_run(database, sql, error)))
            version++;
    }
    if (!status)
        status = set_version(database, target, error);
    return sx_scope_leave(database, &scope, status, error);
}
