/* shared_cache_postgres.c - PostgreSQL as a shared cache: one table, one statement for a block.
 *
 * Keys and values travel as binary bytea arrays (the format of array_recv: dimensions, flags, element type, then each element
 * with its length), so a block is one round trip. Rows are put in the order of their keys: two machines that put the same rows
 * cannot lock each other out. Expired rows are absent at once, and taken out a thousand at a time, when a connection is made.
 */
#include "shared_cache_internal.h"

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/memory.h"

#include <endian.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OID_BYTEA = 17, OID_INT4 = 23, OID_INT8 = 20, OID_BYTEA_ARRAY = 1001, OID_INT4_ARRAY = 1007 };

static const char create_text[] =
    "CREATE TABLE IF NOT EXISTS sextant_vectors (recipe bytea NOT NULL, hash bytea NOT NULL, vector bytea NOT NULL,"
    " tokens integer NOT NULL, expires timestamptz NOT NULL, PRIMARY KEY (recipe, hash))";
static const char create_index_text[] = "CREATE INDEX IF NOT EXISTS sextant_vectors_expires ON sextant_vectors (expires)";
static const char sweep_text[] =
    "DELETE FROM sextant_vectors WHERE ctid IN"
    " (SELECT ctid FROM sextant_vectors WHERE expires <= now() LIMIT 1000 FOR UPDATE SKIP LOCKED)";
/* A value of another size stays where it is. */
static const char get_text[] = "SELECT hash, CASE WHEN octet_length(vector) = $3 THEN vector END FROM sextant_vectors"
                               " WHERE recipe = $1 AND hash = ANY($2) AND expires > now()";
static const char put_text[] =
    "INSERT INTO sextant_vectors (recipe, hash, vector, tokens, expires)"
    " SELECT $1, h, v, t, now() + $5 * interval '1 second' FROM unnest($2, $3, $4) AS u(h, v, t) ORDER BY h"
    " ON CONFLICT (recipe, hash) DO UPDATE SET vector = excluded.vector, tokens = excluded.tokens, expires = excluded.expires";
static const char statistics_text[] = "SELECT count(*), pg_total_relation_size('sextant_vectors') FROM sextant_vectors"
                                      " WHERE expires > now()";

struct sx_shared_backend {
    const sx_shared_url *url;
    PGconn *connection;
};

static sx_status postgres_open(const sx_shared_url *url, sx_shared_backend **out, sx_error *error)
{
    *out = sx_calloc(1, sizeof **out);
    if (!*out)
        return sx_fail_nomem(error, sizeof **out);
    (*out)->url = url;
    return SX_OK;
}

static void postgres_disconnect(sx_shared_backend *backend)
{
    if (backend->connection)
        PQfinish(backend->connection);
    backend->connection = NULL;
}

static void postgres_close(sx_shared_backend *backend)
{
    postgres_disconnect(backend);
    free(backend);
}

/* The first line that says something, without user and password. */
static sx_status fail_connection(const sx_shared_backend *backend, sx_status code, const char *text, sx_error *error)
{
    char message[300];
    snprintf(message, sizeof message, "%s", text && *text ? text : "the connection is lost");
    message[strcspn(message, "\n")] = '\0';
    sx_shared_mask(message, PQpass(backend->connection));
    char quoted[128];
    const char *user = PQuser(backend->connection);
    if (user && snprintf(quoted, sizeof quoted, "\"%s\"", user) < (int)sizeof quoted)
        sx_shared_mask(message, quoted);
    return sx_fail(error, code, "%s", message);
}

/* ---- Statements, with a deadline ---- */

/* Sends what is queued and waits for one result. The caller clears it. */
static sx_status await_result(sx_shared_backend *backend, int64_t deadline, PGresult **out, sx_error *error)
{
    PGconn *connection = backend->connection;
    *out = NULL;
    for (;;) {
        int unsent = PQflush(connection);
        if (unsent < 0)
            return fail_connection(backend, SX_E_NETWORK, PQerrorMessage(connection), error);
        if (!unsent && !PQisBusy(connection))
            break;
        sx_status status = sx_shared_wait(PQsocket(connection), (short)(POLLIN | (unsent ? POLLOUT : 0)), deadline, error);
        if (status)
            return status;
        if (!PQconsumeInput(connection))
            return fail_connection(backend, SX_E_NETWORK, PQerrorMessage(connection), error);
    }
    *out = PQgetResult(connection);
    return SX_OK;
}

/* Class 53: insufficient resources; 25006: a read-only server; 42501: no right to write. */
static sx_status status_of(const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    bool refused = state && (strncmp(state, "53", 2) == 0 || strcmp(state, "25006") == 0 || strcmp(state, "42501") == 0);
    return refused ? SX_E_FULL : SX_E_PROVIDER;
}

/* Waits for the statement under way to end. *kept gets its result when it is not NULL. */
static sx_status finish(sx_shared_backend *backend, int sent, int64_t deadline, PGresult **kept, sx_error *error)
{
    PGresult *result;
    sx_status status = SX_OK;
    if (!sent)
        return fail_connection(backend, SX_E_NETWORK, PQerrorMessage(backend->connection), error);
    for (;;) {
        sx_status waited = await_result(backend, deadline, &result, error);
        if (waited) {
            status = waited;
            break;
        }
        if (!result)
            break;
        ExecStatusType type = PQresultStatus(result);
        if (type != PGRES_COMMAND_OK && type != PGRES_TUPLES_OK && !status) {
            const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
            status = fail_connection(backend, status_of(result), message ? message : PQresultErrorMessage(result), error);
        }
        if (kept && !*kept && type == PGRES_TUPLES_OK)
            *kept = result;
        else
            PQclear(result);
    }
    if (status && kept) {
        PQclear(*kept);
        *kept = NULL;
    }
    return status;
}

static sx_status run_text(sx_shared_backend *backend, const char *text, int64_t deadline, sx_error *error)
{
    return finish(backend, PQsendQuery(backend->connection, text), deadline, NULL, error);
}

static sx_status prepare(sx_shared_backend *backend, int64_t deadline, sx_error *error)
{
    static const Oid get_types[] = {OID_BYTEA, OID_BYTEA_ARRAY, OID_INT4};
    static const Oid put_types[] = {OID_BYTEA, OID_BYTEA_ARRAY, OID_BYTEA_ARRAY, OID_INT4_ARRAY, OID_INT8};
    PGconn *connection = backend->connection;
    sx_status status = finish(backend, PQsendPrepare(connection, "sextant_get", get_text, 3, get_types), deadline, NULL, error);
    if (!status)
        status = finish(backend, PQsendPrepare(connection, "sextant_put", put_text, 5, put_types), deadline, NULL, error);
    return status;
}

/* ---- The connection ---- */

static sx_status await_connection(sx_shared_backend *backend, int64_t deadline, sx_error *error)
{
    PGconn *connection = backend->connection;
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    sx_status status = SX_OK;
    if (PQstatus(connection) == CONNECTION_BAD)
        return fail_connection(backend, SX_E_NETWORK, PQerrorMessage(connection), error);
    while (!status && state != PGRES_POLLING_OK) {
        if (sx_shared_wait(PQsocket(connection), state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline, NULL))
            return sx_fail(error, SX_E_BUSY, "cannot connect in time");
        state = PQconnectPoll(connection);
        if (state == PGRES_POLLING_FAILED)
            status = fail_connection(backend, SX_E_NETWORK, PQerrorMessage(connection), error);
    }
    return status;
}

static sx_status postgres_connect(sx_shared_backend *backend, int64_t deadline, sx_error *error)
{
    const char *const names[] = {"dbname", "fallback_application_name", NULL};
    const char *const values[] = {backend->url->text, "sextant", NULL};
    postgres_disconnect(backend);
    backend->connection = PQconnectStartParams(names, values, 1);
    if (!backend->connection)
        return sx_fail_nomem(error, sizeof(void *));
    sx_status status = await_connection(backend, deadline, error);
    if (!status && PQsetnonblocking(backend->connection, 1))
        status = fail_connection(backend, SX_E_NETWORK, PQerrorMessage(backend->connection), error);
    /* The server must not go on for ever with what nobody waits for any more. */
    if (!status)
        status = run_text(backend, "SET statement_timeout = 5000; SET client_min_messages = error", deadline, error);
    if (!status && prepare(backend, deadline, NULL)) {
        if (PQstatus(backend->connection) != CONNECTION_OK)
            return fail_connection(backend, SX_E_NETWORK, PQerrorMessage(backend->connection), error);
        /* The table is missing, most likely. Another machine may be making it too: what counts is whether it is there then. */
        sx_error making = {0};
        if (run_text(backend, create_text, deadline, &making) == SX_OK)
            (void)run_text(backend, create_index_text, deadline, NULL);
        status = run_text(backend, "DEALLOCATE ALL", deadline, error);
        if (!status)
            status = prepare(backend, deadline, error);
        if (status && making.message[0])
            return sx_fail(error, status, "cannot make the table: %s", making.message);
    }
    if (!status)
        (void)run_text(backend, sweep_text, deadline, NULL); /* who may not delete may still read */
    return status;
}

/* ---- Values ---- */

static void append_u32(sx_buffer *buffer, uint32_t number)
{
    number = htobe32(number);
    sx_buffer_append(buffer, &number, sizeof number);
}

static void begin_array(sx_buffer *buffer, uint32_t type, size_t count)
{
    append_u32(buffer, 1); /* one dimension */
    append_u32(buffer, 0); /* no NULLs */
    append_u32(buffer, type);
    append_u32(buffer, (uint32_t)count);
    append_u32(buffer, 1); /* the first index */
}

static void append_hashes(sx_buffer *buffer, const sx_shared_block *block)
{
    begin_array(buffer, OID_BYTEA, block->count);
    for (size_t i = 0; i < block->count; i++) {
        append_u32(buffer, SX_SHA256_BYTES);
        sx_buffer_append(buffer, block->hashes[i].bytes, SX_SHA256_BYTES);
    }
}

static void take_row(const sx_shared_block *block, const PGresult *result, int row)
{
    if (PQgetlength(result, row, 0) != SX_SHA256_BYTES)
        return;
    for (size_t i = 0; i < block->count; i++) {
        if (memcmp(block->hashes[i].bytes, PQgetvalue(result, row, 0), SX_SHA256_BYTES) != 0)
            continue;
        if (!PQgetisnull(result, row, 1) && (size_t)PQgetlength(result, row, 1) == block->value_size) {
            memcpy(block->values + i * block->value_size, PQgetvalue(result, row, 1), block->value_size);
            block->presence[i] = SX_SHARED_PRESENT;
        } else {
            block->presence[i] = SX_SHARED_ODD;
        }
    }
}

static sx_status postgres_get(sx_shared_backend *backend, const sx_shared_block *block, int64_t deadline, sx_error *error)
{
    sx_buffer hashes = {0};
    uint32_t size = htobe32((uint32_t)block->value_size);
    PGresult *result = NULL;
    append_hashes(&hashes, block);
    sx_status status = hashes.failed ? sx_fail_nomem(error, hashes.length) : SX_OK;
    if (!status) {
        const char *values[] = {(const char *)block->recipe->bytes, hashes.data, (const char *)&size};
        const int lengths[] = {SX_SHA256_BYTES, (int)hashes.length, sizeof size}, formats[] = {1, 1, 1};
        int sent = PQsendQueryPrepared(backend->connection, "sextant_get", 3, values, lengths, formats, 1);
        status = finish(backend, sent, deadline, &result, error);
    }
    for (int row = 0; !status && row < PQntuples(result); row++)
        take_row(block, result, row);
    PQclear(result);
    sx_buffer_clear(&hashes);
    return status;
}

static sx_status postgres_put(sx_shared_backend *backend, const sx_shared_block *block, int64_t deadline, sx_error *error)
{
    sx_buffer hashes = {0}, vectors = {0}, tokens = {0};
    uint64_t ttl = htobe64(block->ttl_s);
    append_hashes(&hashes, block);
    begin_array(&vectors, OID_BYTEA, block->count);
    begin_array(&tokens, OID_INT4, block->count);
    for (size_t i = 0; i < block->count; i++) {
        append_u32(&vectors, (uint32_t)block->value_size);
        sx_buffer_append(&vectors, block->values + i * block->value_size, block->value_size);
        append_u32(&tokens, sizeof(uint32_t));
        append_u32(&tokens, block->rows[i].tokens > INT32_MAX ? INT32_MAX : block->rows[i].tokens);
    }
    sx_status status = hashes.failed || vectors.failed || tokens.failed ? sx_fail_nomem(error, vectors.length) : SX_OK;
    if (!status) {
        const char *values[] = {(const char *)block->recipe->bytes, hashes.data, vectors.data, tokens.data, (const char *)&ttl};
        const int lengths[] = {SX_SHA256_BYTES, (int)hashes.length, (int)vectors.length, (int)tokens.length, sizeof ttl};
        const int formats[] = {1, 1, 1, 1, 1};
        int sent = PQsendQueryPrepared(backend->connection, "sextant_put", 5, values, lengths, formats, 1);
        status = finish(backend, sent, deadline, NULL, error);
    }
    sx_buffer_clear(&hashes);
    sx_buffer_clear(&vectors);
    sx_buffer_clear(&tokens);
    return status;
}

static sx_status postgres_statistics(sx_shared_backend *backend, sx_shared_statistics *out, int64_t deadline, sx_error *error)
{
    PGresult *result = NULL;
    sx_status status = finish(backend, PQsendQuery(backend->connection, statistics_text), deadline, &result, error);
    if (!status && PQntuples(result) == 1) {
        out->entries = strtoull(PQgetvalue(result, 0, 0), NULL, 10);
        out->bytes = strtoull(PQgetvalue(result, 0, 1), NULL, 10);
    }
    PQclear(result);
    return status;
}

const sx_shared_class sx_shared_postgres = {
    .open = postgres_open,
    .connect = postgres_connect,
    .get = postgres_get,
    .put = postgres_put,
    .statistics = postgres_statistics,
    .disconnect = postgres_disconnect,
    .close = postgres_close,
};
