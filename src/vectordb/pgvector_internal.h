/* pgvector_internal.h - a connection to PostgreSQL that mends itself, and what is known of a collection there. */
#ifndef SX_VECTORDB_PGVECTOR_INTERNAL_H
#define SX_VECTORDB_PGVECTOR_INTERNAL_H

#include "../base/buffer.h"
#include "vector_store_internal.h"

#include <libpq-fe.h>

enum {
    SX_PG_MOST_DIMENSIONS = 16000,   /* of pgvector's vector and halfvec */
    SX_PG_INDEXED_DIMENSIONS = 2000, /* of its indexes on vector; twice as many on halfvec */
    SX_PG_INDEXED_HALF_DIMENSIONS = 4000
};

/* A row of the registry. Strings are malloc'ed. */
typedef struct sx_pg_collection {
    char *name, *relation; /* relation: the table, as a quoted identifier */
    char *model, *space;   /* or NULL */
    char *similarity, *element, *index;
    uint32_t dimensions, m, ef_construction, ef_search, lists;
    uint64_t built_rows; /* when its index was built; 0: it was not */
} sx_pg_collection;

typedef struct sx_pg {
    sx_vector_store store;
    char *url, *password; /* password may be NULL: the URL's, or what libpq finds */
    const sx_clock *clock;
    int64_t timeout_ns;
    uint32_t attempts;
    sx_log_callback log;
    void *log_user;
    PGconn *connection;
    int64_t deadline; /* of the statement under way */
    bool was_connected;
    bool again;             /* the failure just reported may pass */
    char state[6];          /* SQLSTATE of it, or "" */
    uint64_t copy_line;     /* the line of a COPY it is about, 0: none */
    int version;            /* of pgvector: 800 for 0.8.0; 0: the extension is not there */
    char settings[96];      /* how deep indexes are searched, as last set on this connection */
    sx_pg_collection known; /* of the collection last used; name NULL: none */
} sx_pg;

/* ---- pgvector_connection.c ---- */

typedef sx_status (*sx_pg_work)(sx_pg *pg, void *job, sx_error *error);
/* Connects when need be and does the work, again after a lost connection or a passing refusal, with back-off. It must be such
 * that it can be said twice. The error begins with the server, the call and the collection. */
sx_status sx_pg_do(sx_pg *pg, const char *call, const char *collection, sx_pg_work work, void *job, sx_error *error);

typedef struct sx_pg_value {
    const char *data; /* NULL: SQL's NULL */
    int length;       /* of a binary one */
    bool binary;
} sx_pg_value;
/* One statement; numbers of the result are binary. *result may be NULL in the call; the caller clears it. */
sx_status sx_pg_query(sx_pg *pg, const char *text, const sx_pg_value *values, size_t count, PGresult **result, sx_error *error);
/* Statements separated by semicolons, without results. */
sx_status sx_pg_run(sx_pg *pg, const char *text, sx_error *error);
/* COPY FROM STDIN of these bytes. */
sx_status sx_pg_copy(sx_pg *pg, const char *text, const char *data, size_t length, sx_error *error);
/* Ends a transaction that may be open; a failure shows at the next statement. */
void sx_pg_rollback(sx_pg *pg);
/* Looks the extension up: sets pg->version, and takes its schema into the search path. */
sx_status sx_pg_find_extension(sx_pg *pg, sx_error *error);
void sx_pg_disconnect(sx_pg *pg);
void sx_pg_log(const sx_pg *pg, sx_log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Binary results. The first are 0 and NULL for NULL and for another size. */
int64_t sx_pg_integer(const PGresult *result, int row, int column);
double sx_pg_double(const PGresult *result, int row, int column);
char *sx_pg_text(const PGresult *result, int row, int column, bool *failed);

/* Big-endian, as the wire wants them. */
void sx_pg_append_u16(sx_buffer *buffer, uint16_t number);
void sx_pg_append_u32(sx_buffer *buffer, uint32_t number);
/* pgvector's own binary form of a vector. */
void sx_pg_append_vector(sx_buffer *buffer, const float *vector, uint32_t dimensions);
/* An identifier or a literal, quoted. */
void sx_pg_append_identifier(sx_buffer *buffer, const char *name);

/* ---- pgvector_schema.c ---- */

/* Fills pg->known; SX_E_NOT_FOUND. */
sx_status sx_pg_find(sx_pg *pg, const char *collection, sx_error *error);
void sx_pg_forget(sx_pg *pg);
bool sx_pg_is_half(const sx_pg_collection *collection);
/* The index orders by halves although the column holds floats. */
bool sx_pg_index_is_narrower(const sx_pg_collection *collection);
sx_status sx_pg_create(sx_vector_store *store, const char *collection, const sx_vector_space *space, sx_error *error);
sx_status sx_pg_describe(sx_vector_store *store, const char *collection, sx_vector_space *space, uint64_t *count,
                         sx_error *error);
sx_status sx_pg_drop(sx_vector_store *store, const char *collection, sx_error *error);

/* ---- pgvector_index.c ---- */

sx_status sx_pg_finish(sx_vector_store *store, const char *collection, sx_error *error);

/* ---- pgvector_write.c ---- */

sx_vector_upsert sx_pg_upsert;
sx_vector_remove sx_pg_remove;

/* ---- pgvector_read.c ---- */

sx_vector_query sx_pg_search;
sx_vector_scan sx_pg_scan;

#endif
