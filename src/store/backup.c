/* backup.c - consistent copies of a database while others work on it, and taking one back.
 *
 * A copy is made page by page inside one read transaction (sqlite.org/backup.html), under a temporary name, and put in place when
 * it is whole and on disk. Mapped segments are not copied: they are rebuilt from the rows. */
#include "backup.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"
#include "schema.h"
#include "sql.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static sx_status flush_file(const char *path, bool folder, sx_error *error)
{
    int descriptor = open(path, (folder ? O_RDONLY | O_DIRECTORY : O_RDONLY) | O_CLOEXEC);
    if (descriptor < 0)
        return sx_fail_errno(error, errno, "%s: cannot be opened to flush it", path);
    /* Folders cannot be flushed on every file system; files can. */
    int failed = fsync(descriptor) != 0 && !folder ? errno : 0;
    close(descriptor);
    return failed ? sx_fail_errno(error, failed, "%s: cannot be flushed to disk", path) : SX_OK;
}

static void flush_folder_of(const char *path)
{
    const char *name = sx_path_name(path);
    char *folder = name == path ? sx_strdup(".") : sx_strndup(path, (size_t)(name - path));
    if (folder)
        (void)flush_file(folder, true, NULL);
    free(folder);
}

/* Puts `from` in the place of `to`; refuses to overwrite in the same step that looks. */
static sx_status put_in_place(const char *from, const char *to, bool replace, sx_error *error)
{
    int failed = 0;
    if (replace) {
        failed = rename(from, to) != 0 ? errno : 0;
    } else if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) != 0) {
        failed = errno;
        if (failed == EINVAL || failed == ENOSYS) { /* the file system cannot; a hard link refuses as well */
            failed = link(from, to) != 0 ? errno : 0;
            if (!failed)
                (void)unlink(from);
        }
    }
    if (failed == EEXIST)
        return sx_fail(error, SX_E_EXISTS, "%s: is there already", to);
    if (failed)
        return sx_fail_errno(error, failed, "%s: cannot be put in place", to);
    flush_folder_of(to);
    return SX_OK;
}

static int run(sqlite3 *sqlite, const char *text)
{
    int code;
    unsigned attempt = 0;
    while (((code = sqlite3_exec(sqlite, text, NULL, NULL, NULL)) & 0xff) == SQLITE_BUSY)
        sx_back_off(attempt++);
    return code;
}

static int copy_pages(sqlite3 *to, sqlite3 *from)
{
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
    if (!backup)
        return sqlite3_extended_errcode(to);
    int code;
    unsigned attempt = 0;
    /* All pages in one step: one read transaction, so writers neither wait for it nor make it begin again. */
    while ((code = sqlite3_backup_step(backup, -1)) != SQLITE_DONE && ((code & 0xff) == SQLITE_BUSY || code == SQLITE_LOCKED))
        sx_back_off(attempt++);
    int finished = sqlite3_backup_finish(backup);
    return code == SQLITE_DONE ? finished : code;
}

sx_status sx_backup_copy(sqlite3 *from, const char *from_path, const char *target, bool trim, sx_error *error)
{
    char *temporary = NULL, *journal = NULL;
    sqlite3 *to = NULL;
    uint32_t random = 0;
    (void)!getrandom(&random, sizeof random, GRND_NONBLOCK);
    if (asprintf(&temporary, "%s.tmp-%ld-%x", target, (long)getpid(), random) < 0) {
        temporary = NULL;
        return sx_fail_nomem(error, strlen(target) + 32);
    }
    if (asprintf(&journal, "%s-journal", temporary) < 0) {
        free(temporary);
        return sx_fail_nomem(error, strlen(target) + 48);
    }
    sx_status status = SX_OK;
    int code = sqlite3_open_v2(temporary, &to,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (code == SQLITE_OK)
        code = run(to, "PRAGMA synchronous = FULL");
    if (code == SQLITE_OK)
        code = copy_pages(to, from);
    if (code == SQLITE_OK) /* one file, without a log beside it */
        code = run(to, "PRAGMA journal_mode = DELETE");
    if (code == SQLITE_OK && trim)
        code = run(to, "BEGIN; DELETE FROM claim; DELETE FROM segment; COMMIT");
    if (code != SQLITE_OK) {
        /* Which side failed shows in whose error it is. */
        bool target_failed = to && sqlite3_extended_errcode(to) != SQLITE_OK;
        status =
            sx_sqlite_fail(target_failed ? to : from, target_failed ? target : from_path, code, "the copy cannot be made", error);
    }
    sqlite3_close(to);
    if (!status)
        status = flush_file(temporary, false, error);
    if (!status)
        status = put_in_place(temporary, target, false, error);
    if (status) {
        (void)unlink(temporary);
        (void)unlink(journal);
    }
    free(temporary);
    free(journal);
    return status;
}

sx_status sx_database_backup(sx_database *database, const char *target, sx_error *error)
{
    if (!database || !target || !*target)
        return sx_fail(error, SX_E_INVALID, "sx_database_backup: an argument is NULL");
    if (database->writing)
        return sx_fail(error, SX_E_INVALID, "sx_database_backup: a transaction is open");
    struct stat there;
    if (lstat(target, &there) == 0)
        return sx_fail(error, SX_E_EXISTS, "%s: is there already", target);
    return sx_backup_copy(database->sqlite, database->path, target, true, error);
}

/* ---- Restore ---- */

static sx_status check_integrity(sqlite3 *sqlite, const char *path, sx_error *error)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(sqlite, "PRAGMA integrity_check(1)", -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    sx_status status = SX_OK;
    const char *text = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    if (code != SQLITE_ROW)
        status = sx_sqlite_fail(sqlite, path, code, "the backup cannot be read", error);
    else if (!text || strcmp(text, "ok") != 0)
        status = sx_fail(error, SX_E_FORMAT, "%s: the backup is damaged: %s", path, text ? text : "?");
    sqlite3_finalize(statement);
    return status;
}

static sx_status open_backup(const char *path, sqlite3 **out, sx_error *error)
{
    *out = NULL;
    char magic[16] = "";
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0)
        return sx_fail_errno(error, errno, "%s: the backup cannot be opened", path);
    ssize_t got = pread(descriptor, magic, sizeof magic, 0);
    close(descriptor);
    if (got != (ssize_t)sizeof magic || memcmp(magic, "SQLite format 3", sizeof magic) != 0)
        return sx_fail(error, SX_E_FORMAT, "%s: is not a Sextant database", path);
    int code = sqlite3_open_v2(path, out, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    sx_status status = code == SQLITE_OK ? SX_OK : sx_sqlite_fail(*out, path, code, "the backup cannot be opened", error);
    sx_schema_state state;
    int version;
    if (!status)
        status = sx_schema_examine(*out, path, &state, &version, error);
    if (!status && state != SX_SCHEMA_OURS)
        status = sx_fail(error, SX_E_FORMAT, "%s: is a SQLite database, but not Sextant's", path);
    if (!status && version > SX_SCHEMA_VERSION)
        status = sx_fail(error, SX_E_MISMATCH, "%s: database version %d is newer than %d, the newest this program knows", path,
                         version, SX_SCHEMA_VERSION);
    if (!status)
        status = check_integrity(*out, path, error);
    if (status) {
        sqlite3_close(*out);
        *out = NULL;
    }
    return status;
}

/* The old database's log is brought into its file, so that until the last step it is whole without what lies beside it. A damaged
 * one cannot be helped: replacing it is what a restore is for. */
static void settle_old(const char *path)
{
    sqlite3 *sqlite = NULL;
    if (sqlite3_open_v2(path, &sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK)
        (void)sqlite3_exec(sqlite, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
    sqlite3_close(sqlite);
}

static sx_status remove_beside(const char *path, const char *suffix, sx_error *error)
{
    char *name = NULL;
    if (asprintf(&name, "%s%s", path, suffix) < 0)
        return sx_fail_nomem(error, strlen(path) + 16);
    sx_status status = SX_OK;
    if (unlink(name) != 0 && errno != ENOENT)
        status = sx_fail_errno(error, errno, "%s: cannot be removed", name);
    free(name);
    return status;
}

/* A log of the old database must never meet the new file. */
static sx_status swap(const char *copy, const char *path, bool replace, sx_error *error)
{
    sx_status status = SX_OK;
    if (sx_file_exists(path))
        settle_old(path);
    if (!(status = remove_beside(path, "-wal", error)) && !(status = remove_beside(path, "-shm", error)) &&
        !(status = remove_beside(path, "-journal", error)))
        status = put_in_place(copy, path, replace, error);
    return status;
}

sx_status sx_database_restore(const char *backup, const char *path, int replace, sx_error *error)
{
    if (!backup || !path || !*backup || !*path)
        return sx_fail(error, SX_E_INVALID, "sx_database_restore: an argument is NULL");
    struct stat there, source;
    bool exists = lstat(path, &there) == 0;
    if (exists && !replace) {
        sx_status status = sx_fail(error, SX_E_EXISTS, "%s: is there already", path);
        sx_hint(error, "say that it may be replaced");
        return status;
    }
    if (exists && stat(path, &there) == 0 && stat(backup, &source) == 0 && there.st_dev == source.st_dev &&
        there.st_ino == source.st_ino)
        return sx_fail(error, SX_E_INVALID, "%s: the backup and the database are the same file", path);

    sqlite3 *from = NULL;
    char *copy = NULL, *real = exists ? realpath(path, NULL) : sx_strdup(path);
    sx_locks locks = {.descriptor = -1};
    bool alone = false;
    sx_status status = SX_OK;
    if (!real) {
        status = sx_fail_errno(error, exists ? errno : ENOMEM, "%s: cannot be found", path);
        goto out;
    }
    if ((status = open_backup(backup, &from, error)))
        goto out;
    if (!exists) { /* the folder must be there for the locks */
        const char *name = sx_path_name(real);
        char *folder = name == real ? sx_strdup(".") : sx_strndup(real, (size_t)(name - real));
        status = folder ? sx_make_folders(folder, error) : sx_fail_nomem(error, strlen(real));
        free(folder);
        if (status)
            goto out;
    }
    if (asprintf(&copy, "%s.restored-%ld", real, (long)getpid()) < 0) {
        copy = NULL;
        status = sx_fail_nomem(error, strlen(real) + 32);
        goto out;
    }
    (void)unlink(copy);
    if ((status = sx_locks_open(&locks, real, error)) ||
        (status = sx_locks_try(&locks, SX_LOCK_OPEN, SX_LOCK_EXCLUSIVE, &alone, error)))
        goto out;
    if (!alone) {
        status = sx_fail(error, SX_E_BUSY, "%s: other processes have it open", path);
        sx_hint(error, "end them and try again");
        goto out;
    }
    /* Both backups of this program and plain copies of a closed database are taken; neither keeps claims or segments. */
    status = sx_backup_copy(from, backup, copy, true, error);
    if (!status)
        status = swap(copy, real, replace != 0, error);
    if (status)
        (void)unlink(copy);
out:
    sqlite3_close(from);
    sx_locks_close(&locks);
    free(copy);
    free(real);
    return status;
}
