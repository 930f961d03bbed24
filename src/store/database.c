/* database.c - opening, creating and closing a database.
 *
 * A file that is not ours is never touched: the first bytes are looked at before SQLite is, and then the application id. Creation
 * and migration happen under a lock, so that many processes may open a database at once that is not there yet. */
#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"
#include "../base/options.h"
#include "backup.h"
#include "packed.h"
#include "packed_vectors.h"
#include "schema.h"
#include "segments.h"
#include "store_filters.h"
#include "store_keyword.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEADER_BYTES = 100, APPLICATION_ID_AT = 68 }; /* SQLite's file header (sqlite.org/fileformat2.html) */

/* The path with links resolved, so that all processes agree on the names beside it, whether or not the file is there. */
static sx_status absolute_path(const char *path, bool must_exist, char **out, sx_error *error)
{
    *out = realpath(path, NULL);
    if (*out)
        return SX_OK;
    if (errno != ENOENT || must_exist) {
        sx_status status = sx_fail_errno(error, errno, "%s: the database cannot be opened", path);
        if (status == SX_E_NOT_FOUND)
            sx_hint(error, "it is made by the first `index`; check the path");
        return status;
    }
    const char *name = sx_path_name(path);
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return sx_fail(error, SX_E_INVALID, "%s: a database needs a file name", path);
    char *folder = name == path ? sx_strdup(".") : sx_strndup(path, (size_t)(name - path));
    if (!folder)
        return sx_fail_nomem(error, strlen(path));
    sx_status status = sx_make_folders(folder, error);
    char *resolved = status ? NULL : realpath(folder, NULL);
    if (!status && !resolved)
        status = sx_fail_errno(error, errno, "%s: the folder of the database cannot be found", folder);
    if (!status && !(*out = sx_path_join(resolved, name)))
        status = sx_fail_nomem(error, strlen(path));
    free(resolved);
    free(folder);
    return status;
}

/* Refuses what is surely no database of ours by its first bytes. *doubtful: SQLite, but of whom only SQLite can say. */
static sx_status look_at_file(const char *path, bool *doubtful, sx_error *error)
{
    *doubtful = false;
    struct stat found;
    if (stat(path, &found) != 0)
        return errno == ENOENT ? SX_OK : sx_fail_errno(error, errno, "%s: cannot be examined", path);
    if (!S_ISREG(found.st_mode))
        return sx_fail(error, SX_E_FORMAT, "%s: is %s, not a database", path,
                       S_ISDIR(found.st_mode) ? "a folder" : "no regular file");
    if (found.st_size == 0)
        return SX_OK;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) {
        sx_status status = sx_fail_errno(error, errno, "%s: the database cannot be opened", path);
        return status;
    }
    unsigned char header[HEADER_BYTES] = {0};
    ssize_t got = pread(descriptor, header, sizeof header, 0);
    close(descriptor);
    if (got < 0)
        return sx_fail_errno(error, errno, "%s: cannot be read", path);
    if (got < HEADER_BYTES || memcmp(header, "SQLite format 3", 16) != 0) {
        sx_status status = sx_fail(error, SX_E_FORMAT, "%s: is not a Sextant database", path);
        sx_hint(error, "the file was left as it is; give another path");
        return status;
    }
    const unsigned char *id = header + APPLICATION_ID_AT;
    *doubtful = ((uint32_t)id[0] << 24 | (uint32_t)id[1] << 16 | (uint32_t)id[2] << 8 | id[3]) != SX_APPLICATION_ID;
    return SX_OK;
}

static sx_status refuse_foreign(const char *path, sx_error *error)
{
    sx_status status = sx_fail(error, SX_E_FORMAT, "%s: is a SQLite database of another program", path);
    sx_hint(error, "the file was left as it is; give another path");
    return status;
}

static sx_status connect_to(const char *path, int flags, sqlite3 **sqlite, sx_error *error)
{
    int code = sqlite3_open_v2(path, sqlite, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (code == SQLITE_OK)
        return SX_OK;
    sx_status status = sx_sqlite_fail(*sqlite, path, code, "the database cannot be opened", error);
    sqlite3_close(*sqlite);
    *sqlite = NULL;
    return status;
}

/* Asks SQLite, reading only, whose database this is: its log may know more than the file's first page. */
static sx_status look_with_sqlite(const char *path, sx_error *error)
{
    sqlite3 *sqlite;
    sx_status status = connect_to(path, SQLITE_OPEN_READONLY, &sqlite, error);
    if (status)
        return status;
    sx_schema_state state;
    int version;
    sx_error problem;
    status = sx_schema_examine(sqlite, path, &state, &version, &problem);
    /* Somebody was killed in a transaction, as we may be while creating: only a writer can roll it back, so set_up looks again. */
    if (status && sqlite3_extended_errcode(sqlite) == SQLITE_READONLY_ROLLBACK)
        status = SX_OK;
    else if (status && error)
        *error = problem;
    else if (!status && state == SX_SCHEMA_FOREIGN)
        status = refuse_foreign(path, error);
    sqlite3_close(sqlite);
    return status;
}

static const char connection_settings[] = "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY;"
                                          "PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384;"
                                          "PRAGMA trusted_schema = OFF";

static sx_status migrate(sx_database *database, int version, sx_error *error)
{
    /* Others may run an older program on the old tables: they must be gone while these change. */
    bool alone;
    sx_status status = sx_locks_try(&database->locks, SX_LOCK_OPEN, SX_LOCK_EXCLUSIVE, &alone, error);
    if (status)
        return status;
    if (!alone) {
        status = sx_fail(error, SX_E_BUSY, "%s: version %d must be migrated to %d, but other processes have it open",
                         database->path, version, SX_SCHEMA_VERSION);
        sx_hint(error, "end them and try again");
        return status;
    }
    status = sx_schema_migrate(database, version, SX_SCHEMA_VERSION, sx_schema_migrations, sx_schema_migration_count, error);
    return status ? status : sx_locks_try(&database->locks, SX_LOCK_OPEN, SX_LOCK_SHARED, &alone, error);
}

static sx_status set_up(sx_database *database, sx_error *error)
{
    sx_schema_state state;
    int version;
    sx_status status = connect_to(database->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &database->sqlite, error);
    if (!status)
        status = sx_schema_examine(database->sqlite, database->path, &state, &version, error);
    if (status)
        return status;
    if (state == SX_SCHEMA_FOREIGN)
        return refuse_foreign(database->path, error);
    if (state == SX_SCHEMA_OURS && version > SX_SCHEMA_VERSION) {
        status = sx_fail(error, SX_E_MISMATCH, "%s: database version %d is newer than %d, the newest this program (%s) knows",
                         database->path, version, SX_SCHEMA_VERSION, sx_version());
        sx_hint(error, "use a newer sextant");
        return status;
    }
    /* Room freed can be given back later only when this is set before the first table is made. */
    if (state == SX_SCHEMA_EMPTY)
        status = sx_sql_run(database, "PRAGMA auto_vacuum = INCREMENTAL", error);
    if (!status)
        status = sx_sql_run(database, "PRAGMA journal_mode = WAL", error);
    if (!status)
        status = sx_sql_run(database, connection_settings, error);
    if (!status && sx_filters_register(database->sqlite) != SQLITE_OK)
        status = sx_fail_nomem(error, 64);
    if (!status && state == SX_SCHEMA_EMPTY)
        status = sx_schema_create(database, error);
    else if (!status && version < SX_SCHEMA_VERSION)
        status = migrate(database, version, error);
    return status ? status : sx_keyword_prepare(database, error);
}

sx_status sx_database_open(const char *path, const sx_database_options *options, sx_database **out, sx_error *error)
{
    if (!out)
        return sx_fail(error, SX_E_INVALID, "sx_database_open: out is NULL");
    *out = NULL;
    if (!path || !*path)
        return sx_fail(error, SX_E_INVALID, "sx_database_open: the path is empty");
    sx_database *database = sx_calloc(1, sizeof *database);
    if (!database)
        return sx_fail_nomem(error, sizeof *database);
    database->locks.descriptor = -1;
    database->process = getpid();
    sx_status status = sx_options_read(options, &database->options, sizeof database->options, "sx_database_options", error);
    if (status)
        goto out;
    if (!database->options.cache_limit)
        database->options.cache_limit = (uint64_t)1 << 30;

    bool doubtful;
    if ((status = absolute_path(path, database->options.must_exist != 0, &database->path, error)) ||
        (status = look_at_file(database->path, &doubtful, error)) ||
        (doubtful && (status = look_with_sqlite(database->path, error))))
        goto out;
    if (asprintf(&database->folder, "%s-vectors", database->path) < 0) {
        database->folder = NULL;
        status = sx_fail_nomem(error, strlen(database->path) + 16);
        goto out;
    }
    if ((status = sx_locks_open(&database->locks, database->path, error)) ||
        (status = sx_locks_wait(&database->locks, SX_LOCK_OPEN, SX_LOCK_SHARED, NULL, error)) ||
        (status = sx_locks_wait(&database->locks, SX_LOCK_SETUP, SX_LOCK_EXCLUSIVE, NULL, error)))
        goto out;
    status = set_up(database, error);
    sx_locks_drop(&database->locks, SX_LOCK_SETUP);
    if (!status)
        status = sx_locks_join(&database->locks, error);
out:
    if (status)
        sx_database_close(database);
    else
        *out = database;
    return status;
}

/* What was noted and this handle's claims; failing here (a full disk) loses statistics and nothing else. */
static void write_last_things(sx_database *database)
{
    int64_t mine = 0;
    (void)sx_sql_number(database, "SELECT 1 FROM claim WHERE owner = ? LIMIT 1", 0, &mine, NULL, "i", database->locks.worker);
    if (!mine && !database->used_count && !database->hits && !database->misses && !database->shared_hits)
        return;
    if (sx_store_begin(database, NULL))
        return;
    if (sx_sql_do(database, "DELETE FROM claim WHERE owner = ?", NULL, "i", database->locks.worker))
        sx_store_rollback(database);
    else
        (void)sx_store_commit(database, NULL);
}

void sx_database_close(sx_database *database)
{
    if (!database)
        return;
    /* In a forked child: SQLite and the locks belong to the parent; letting go of either here would take them from it. */
    if (database->process != getpid())
        return;
    if (database->sqlite) {
        sx_store_rollback(database);
        if (database->locks.worker)
            write_last_things(database);
    }
    for (size_t i = 0; i < database->mapped_count; i++)
        sx_segments_close_mapped(&database->mapped[i]);
    for (size_t i = 0; i < database->statement_count; i++)
        sqlite3_finalize(database->statements[i].statement);
    sqlite3_close(database->sqlite);
    sx_thread_pool_close(database->pool);
    sx_locks_close(&database->locks);
    free(database->mapped);
    sx_store_packed_unmap(database);
    sx_store_forget_packings(database);
    sx_filters_forget(database);
    sx_keyword_forget_view(database);
    free(database->statements);
    free(database->leases);
    free(database->used);
    free(database->folder);
    free(database->path);
    free(database);
}
