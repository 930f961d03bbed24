/* sql.h - the database handle inside, and SQLite with our manners: patient, statements kept, errors named. */
#ifndef SX_STORE_SQL_H
#define SX_STORE_SQL_H

#include "../base/hash.h"
#include "../base/thread_pool.h"
#include "../vec/hnsw_segment.h"
#include "../vec/segment.h"
#include "locks.h"
#include "store.h"

#include <sqlite3.h>
#include <sys/types.h>

typedef struct sx_statement {
    const char *text; /* a string literal: kept and compared by address */
    sqlite3_stmt *statement;
} sx_statement;

/* A segment this handle has mapped. */
typedef struct sx_mapped {
    int64_t id, collection;
    sx_segment *segment;
    sx_segment_graph *graph; /* NULL: none yet, or it is not used */
    bool graph_damaged;
} sx_mapped;

struct sx_database {
    /* immutable after open */
    char *path;   /* absolute, links resolved */
    char *folder; /* path-vectors */
    sx_database_options options;
    pid_t process;
    /* the connection */
    sqlite3 *sqlite;
    sx_locks locks;
    sx_statement *statements;
    size_t statement_count, statement_capacity;
    bool writing;    /* between sx_store_begin and commit or rollback */
    bool scanning;   /* the table of what a scan has met is there */
    int64_t *leases; /* collections whose job this handle has */
    size_t lease_count, lease_capacity;
    /* noted, written with the next transaction */
    int64_t *used; /* vectors looked up, oldest first */
    size_t used_count, used_capacity;
    uint64_t hits, misses, shared_hits;
    int64_t stood_in_for, stand_in; /* recipes; 0: none */
    sx_thread_pool *pool; /* shares scans; NULL until one is large enough */
    /* mapped segments */
    sx_mapped *mapped;
    size_t mapped_count, mapped_capacity;
    struct sx_known_packing **packings; /* of vectors whose floats were dropped: packed_vectors.c */
    size_t packing_count, packing_capacity;
    int64_t packed_owner; /* lookups find packed vectors of this collection; 0: of none */
    struct sx_packed_file *packed; /* of the compressed collection searched last, or NULL */
    /* what searches read that the next ones read again, while nothing is written */
    struct sx_allowed_list *allowed_lists; /* store_filters.c */
    struct sx_keyword_view *keyword_view;  /* keyword_search.c */
    size_t graph_rows;      /* segments of so many have a graph; 0: the measured number */
    unsigned file_sequence; /* numbers the files this handle writes */
};

/* Fills the error from the connection's last failure: disk full, read-only, damaged ... `what` says what was being done. */
sx_status sx_sql_fail(sx_database *database, int code, const char *what, sx_error *error);
/* The same for a connection that is not (yet) a handle's. */
sx_status sx_sqlite_fail(sqlite3 *sqlite, const char *path, int code, const char *what, sx_error *error);

/* Runs SQL text without results, waiting while the database is busy. */
sx_status sx_sql_run(sx_database *database, const char *text, sx_error *error);

/* A kept statement, bound and ready to step. `text` must be a string literal. types, one letter for an argument:
 * i int64_t; d double; t const char * (NULL: null); b const void *, size_t; x sx_text; h const sx_sha256 *; k int64_t, 0 being
 * null. */
sx_status sx_sql_start(sx_database *database, const char *text, sqlite3_stmt **statement, sx_error *error, const char *types,
                       ...);
/* As sx_sql_start for text made on the way: the caller finalises it. */
sx_status sx_sql_start_once(sx_database *database, const char *text, sqlite3_stmt **statement, sx_error *error);
/* *row false at the end, when the statement is reset. Waits while busy. */
sx_status sx_sql_step(sx_database *database, sqlite3_stmt *statement, bool *row, sx_error *error);
/* sx_sql_start and steps to the end, for statements without results. */
sx_status sx_sql_do(sx_database *database, const char *text, sx_error *error, const char *types, ...);
/* The first column of the first row as an integer, or `otherwise` when there is no row. */
sx_status sx_sql_number(sx_database *database, const char *text, int64_t otherwise, int64_t *number, sx_error *error,
                        const char *types, ...);

/* malloc'ed copy of a text column; NULL for null. *failed is set when memory runs out. */
char *sx_sql_text(sqlite3_stmt *statement, int column, bool *failed);
/* Copies a 32-byte blob; zeros for anything else. */
void sx_sql_hash(sqlite3_stmt *statement, int column, sx_sha256 *hash);

/* A transaction of one's own, or a savepoint inside the caller's: either all of a function's changes happen or none. */
typedef struct sx_scope {
    bool outer; /* the transaction is this scope's */
} sx_scope;
sx_status sx_scope_enter(sx_database *database, sx_scope *scope, sx_error *error);
/* Keeps the changes when status is SX_OK, else undoes them; returns status, or why keeping failed. */
sx_status sx_scope_leave(sx_database *database, const sx_scope *scope, sx_status status, sx_error *error);

/* A read transaction: one snapshot for several statements. Does nothing inside a write transaction. */
sx_status sx_snapshot_begin(sx_database *database, sx_error *error);
void sx_snapshot_end(sx_database *database);

/* Equal for two snapshots of this handle when nobody, of this process or another, has committed anything in between. Not to be
 * asked inside a write transaction, which may be undone. */
typedef struct sx_snapshot_version {
    int64_t others; /* changes when another connection commits */
    int own;        /* rows this connection has changed */
} sx_snapshot_version;
sx_status sx_snapshot_version_read(sx_database *database, sx_snapshot_version *version, sx_error *error);
bool sx_snapshot_version_same(sx_snapshot_version a, sx_snapshot_version b);

void sx_store_log(sx_database *database, sx_log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* store_vectors.c: writes what was noted, inside the open transaction; forgets it. */
sx_status sx_store_write_notes(sx_database *database, sx_error *error);
void sx_store_forget_notes(sx_database *database);

#endif
