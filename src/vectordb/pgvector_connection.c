/* pgvector_connection.c - statements over libpq without blocking, with deadlines; reconnecting with back-off.
 *
 * Whether a failure may pass is told by its SQLSTATE (PostgreSQL's manual, appendix A): a server that starts, stops or crashes
 * (57P0x), has no connection left (53300), lost a deadlock (40P01) or a connection that is gone. The work is then done again from
 * its start.
 */
#include "pgvector_internal.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t first_pause_ns = 100000000, longest_pause_ns = 5000000000;
enum { COPY_PIECE = 1 << 18 };

void sx_pg_log(const sx_pg *pg, sx_log_level level, const char *format, ...)
{
    char message[512];
    va_list arguments;
    if (!pg->log)
        return;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    pg->log(level, message, pg->log_user);
}

static void mask(char *message, const char *secret)
{
    size_t length = secret ? strlen(secret) : 0;
    for (char *at = message; length && (at = strstr(at, secret));) {
        size_t kept = length < 3 ? length : 3;
        memset(at, '*', kept);
        memmove(at + kept, at + length, strlen(at + length) + 1);
        at += kept;
    }
}

/* ---- Errors ---- */

static bool may_pass(const char *state)
{
    static const char *const passing[] = {"40001", "40P01", "55P03", "57P01", "57P02", "57P03", "57P05", "53300"};
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
        if (strcmp(state, passing[i]) == 0)
            return true;
    return strncmp(state, "08", 2) == 0;
}

static sx_status status_of(const char *state)
{
    static const struct {
        const char *begins;
        sx_status status;
    } table[] = {
        {"28", SX_E_DENIED},       {"42501", SX_E_DENIED},   {"25006", SX_E_READ_ONLY}, {"3D000", SX_E_NOT_FOUND},
        {"42P01", SX_E_NOT_FOUND}, {"53", SX_E_FULL},        {"54", SX_E_LIMIT},        {"57014", SX_E_BUSY},
        {"22", SX_E_FORMAT},       {"0A", SX_E_UNSUPPORTED}, {"57", SX_E_NETWORK},      {"08", SX_E_NETWORK},
        {"40", SX_E_BUSY},         {"55", SX_E_BUSY},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strncmp(state, table[i].begins, strlen(table[i].begins)) == 0)
            return table[i].status;
    return SX_E_PROVIDER;
}

/* The first line of a message that says something, without user and password. */
static sx_status fail_with(sx_pg *pg, sx_status status, const char *text, sx_error *error)
{
    char message[400], quoted[128];
    const char *user = PQuser(pg->connection);
    snprintf(message, sizeof message, "%s", text && *text ? text : "the connection is lost");
    message[strcspn(message, "\n")] = '\0';
    mask(message, PQpass(pg->connection));
    if (user && snprintf(quoted, sizeof quoted, "\"%s\"", user) < (int)sizeof quoted)
        mask(message, quoted);
    return sx_fail(error, status, "%s", message);
}

static sx_status fail_connection(sx_pg *pg, sx_error *error)
{
    pg->again = true;
    return fail_with(pg, SX_E_NETWORK, PQerrorMessage(pg->connection), error);
}

/* What the server answered. libpq makes such a result too when the connection goes, without a SQLSTATE. */
static sx_status fail_result(sx_pg *pg, const PGresult *result, sx_error *error)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE),
               *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT), *line = context ? strstr(context, ", line ") : NULL;
    if (!state)
        return fail_connection(pg, error);
    snprintf(pg->state, sizeof pg->state, "%s", state);
    pg->again = may_pass(state);
    pg->copy_line = line && strncmp(context, "COPY ", 5) == 0 ? strtoull(line + 7, NULL, 10) : 0;
    return fail_with(pg, status_of(state), message, error);
}

static sx_status fail_late(sx_pg *pg, sx_error *error)
{
    sx_pg_disconnect(pg); /* its answer would be taken for that of the next statement */
    return sx_fail(error, SX_E_BUSY, "no answer within %.0f s", (double)pg->timeout_ns / 1e9);
}

/* ---- Waiting ---- */

static sx_status wait_for(sx_pg *pg, short events, sx_error *error)
{
    for (;;) {
        int64_t left = pg->deadline == INT64_MAX ? INT64_MAX : pg->deadline - sx_system_clock.monotonic_ns(sx_system_clock.user);
        struct pollfd descriptor = {.fd = PQsocket(pg->connection), .events = events};
        if (left <= 0)
            return fail_late(pg, error);
        int ready = poll(&descriptor, 1, left > 1000000000 ? 1000 : (int)(left / 1000000 + 1));
        if (ready > 0)
            return SX_OK;
        if (ready < 0 && errno != EINTR)
            return sx_fail_errno(error, errno, "the connection cannot be waited for");
    }
}

static void start_deadline(sx_pg *pg)
{
    if (pg->deadline != INT64_MAX)
        pg->deadline = sx_system_clock.monotonic_ns(sx_system_clock.user) + pg->timeout_ns;
}

static sx_status await_result(sx_pg *pg, PGresult **out, sx_error *error)
{
    *out = NULL;
    for (;;) {
        int unsent = PQflush(pg->connection);
        if (unsent < 0)
            return fail_connection(pg, error);
        if (!unsent && !PQisBusy(pg->connection))
            break;
        sx_status status = wait_for(pg, (short)(POLLIN | (unsent ? POLLOUT : 0)), error);
        if (status)
            return status;
        if (!PQconsumeInput(pg->connection))
            return fail_connection(pg, error);
    }
    *out = PQgetResult(pg->connection);
    return SX_OK;
}

/* Takes all results of what was sent; the first with rows goes to *kept, the first failure counts. */
static sx_status await_end(sx_pg *pg, PGresult **kept, sx_error *error)
{
    sx_status status = SX_OK, waited;
    PGresult *result;
    while (!(waited = await_result(pg, &result, error)) && result) {
        ExecStatusType type = PQresultStatus(result);
        if (type == PGRES_COPY_IN) { /* the caller has rows to send */
            PQclear(result);
            return status;
        }
        if (type != PGRES_COMMAND_OK && type != PGRES_TUPLES_OK && !status)
            status = fail_result(pg, result, error);
        if (kept && !*kept && type == PGRES_TUPLES_OK)
            *kept = result;
        else
            PQclear(result);
        if (PQstatus(pg->connection) != CONNECTION_OK)
            break;
    }
    if (!status)
        status = waited;
    if (!status && PQstatus(pg->connection) != CONNECTION_OK)
        status = fail_connection(pg, error);
    if (status && kept) {
        PQclear(*kept);
        *kept = NULL;
    }
    return status;
}

sx_status sx_pg_query(sx_pg *pg, const char *text, const sx_pg_value *values, size_t count, PGresult **result, sx_error *error)
{
    const char **data = sx_calloc(count + 1, sizeof *data);
    int *lengths = sx_calloc(count + 1, sizeof *lengths), *formats = sx_calloc(count + 1, sizeof *formats);
    sx_status status = SX_OK;
    if (result)
        *result = NULL;
    if (!data || !lengths || !formats || count > UINT16_MAX) {
        status =
            count > UINT16_MAX ? sx_fail(error, SX_E_LIMIT, "%zu values in one statement", count) : sx_fail_nomem(error, count);
        goto out;
    }
    for (size_t i = 0; i < count; i++) {
        data[i] = values[i].data;
        lengths[i] = values[i].length;
        formats[i] = values[i].binary;
    }
    start_deadline(pg);
    if (!PQsendQueryParams(pg->connection, text, (int)count, NULL, data, lengths, formats, 1))
        status = fail_connection(pg, error);
    else
        status = await_end(pg, result, error);
out:
    free(data);
    free(lengths);
    free(formats);
    return status;
}

sx_status sx_pg_run(sx_pg *pg, const char *text, sx_error *error)
{
    start_deadline(pg);
    return PQsendQuery(pg->connection, text) ? await_end(pg, NULL, error) : fail_connection(pg, error);
}

sx_status sx_pg_copy(sx_pg *pg, const char *text, const char *data, size_t length, sx_error *error)
{
    sx_status status = sx_pg_run(pg, text, error);
    while (!status && length) {
        int piece = length < COPY_PIECE ? (int)length : COPY_PIECE;
        int put = PQputCopyData(pg->connection, data, piece);
        int unsent = put < 0 ? -1 : PQflush(pg->connection);
        if (put < 0 || unsent < 0)
            return fail_connection(pg, error);
        if (put) {
            data += piece;
            length -= (size_t)piece;
        }
        start_deadline(pg);
        /* What the server sends meanwhile (a refusal, say) is taken in, or both sides would wait. */
        if ((!put || unsent) && !(status = wait_for(pg, POLLIN | POLLOUT, error)) && !PQconsumeInput(pg->connection))
            return fail_connection(pg, error);
    }
    while (!status) {
        int ended = PQputCopyEnd(pg->connection, NULL);
        if (ended < 0)
            return fail_connection(pg, error);
        if (ended)
            return await_end(pg, NULL, error);
        status = wait_for(pg, POLLOUT, error);
        if (!status && PQflush(pg->connection) < 0)
            return fail_connection(pg, error);
    }
    return status;
}

void sx_pg_rollback(sx_pg *pg)
{
    char state[sizeof pg->state];
    bool again = pg->again;
    if (!pg->connection || PQtransactionStatus(pg->connection) == PQTRANS_IDLE)
        return;
    /* What failed is what counts, and not how it was cleared away. */
    memcpy(state, pg->state, sizeof state);
    if (PQstatus(pg->connection) != CONNECTION_OK || sx_pg_run(pg, "ROLLBACK", NULL))
        sx_pg_disconnect(pg);
    memcpy(pg->state, state, sizeof state);
    pg->again = again;
}

/* ---- The connection ---- */

void sx_pg_disconnect(sx_pg *pg)
{
    if (pg->connection)
        PQfinish(pg->connection);
    pg->connection = NULL;
    pg->settings[0] = '\0';
}

static void take_notice(void *user, const char *message)
{
    const sx_pg *pg = user;
    sx_pg_log(pg, SX_LOG_DEBUG, "%s: %.*s", pg->store.name, (int)strcspn(message, "\n"), message);
}

/* "connection to server ... failed: FATAL:  28P01: password authentication failed": verbose messages tell the SQLSTATE. */
static sx_status fail_connecting(sx_pg *pg, sx_error *error)
{
    const char *text = PQerrorMessage(pg->connection), *fatal = strstr(text, "FATAL:  ");
    if (fatal && strspn(fatal + 8, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && fatal[13] == ':') {
        snprintf(pg->state, sizeof pg->state, "%.5s", fatal + 8);
        pg->again = may_pass(pg->state);
        return fail_with(pg, status_of(pg->state), fatal + 15, error);
    }
    /* A server that never answered is more likely a wrong address than one that is being restarted. */
    fail_connection(pg, error);
    pg->again = pg->was_connected;
    return SX_E_NETWORK;
}

static sx_status await_connection(sx_pg *pg, sx_error *error)
{
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    if (PQstatus(pg->connection) == CONNECTION_BAD)
        return fail_connecting(pg, error);
    while (state != PGRES_POLLING_OK) {
        sx_status status = wait_for(pg, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, error);
        if (status)
            return status;
        state = PQconnectPoll(pg->connection);
        if (state == PGRES_POLLING_FAILED)
            return fail_connecting(pg, error);
    }
    return SX_OK;
}

/* "0.8.5" is 805. */
static int version_of(const char *text)
{
    unsigned major = 0, minor = 0, patch = 0;
    sscanf(text, "%u.%u.%u", &major, &minor, &patch);
    return (int)(major * 10000 + (minor > 99 ? 99 : minor) * 100 + (patch > 99 ? 99 : patch));
}

sx_status sx_pg_find_extension(sx_pg *pg, sx_error *error)
{
    PGresult *result;
    sx_buffer text = {0};
    sx_status status =
        sx_pg_query(pg,
                    "SELECT e.extversion, n.nspname::text, n.nspname = ANY (current_schemas(true)) FROM pg_extension e"
                    " JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'",
                    NULL, 0, &result, error);
    if (status)
        return status;
    pg->version = PQntuples(result) ? version_of(PQgetvalue(result, 0, 0)) : 0;
    if (pg->version && !PQgetvalue(result, 0, 2)[0]) {
        sx_buffer_append_string(&text, "SELECT set_config('search_path', current_setting('search_path') || ', ' || ");
        char *literal = PQescapeLiteral(pg->connection, PQgetvalue(result, 0, 1), strlen(PQgetvalue(result, 0, 1)));
        sx_buffer_printf(&text, "quote_ident(%s), false)", literal ? literal : "''");
        PQfreemem(literal);
        status = text.failed ? sx_fail_nomem(error, text.length) : sx_pg_run(pg, text.data, error);
    }
    sx_buffer_clear(&text);
    PQclear(result);
    return status;
}

static sx_status connect_now(sx_pg *pg, sx_error *error)
{
    /* Later values win over the URL's, earlier ones do not. A dead peer is noticed by keep-alives also while an index is built.
     */
    const char *const names[] = {"keepalives_idle",
                                 "keepalives_interval",
                                 "keepalives_count",
                                 "fallback_application_name",
                                 "dbname",
                                 "client_encoding",
                                 pg->password ? "password" : NULL,
                                 NULL};
    const char *const values[] = {"30", "10", "3", "sextant", pg->url, "UTF8", pg->password, NULL};
    char text[160];
    sx_pg_disconnect(pg);
    start_deadline(pg);
    pg->connection = PQconnectStartParams(names, values, 1);
    if (!pg->connection)
        return sx_fail_nomem(error, sizeof(void *));
    PQsetErrorVerbosity(pg->connection, PQERRORS_VERBOSE);
    PQsetNoticeProcessor(pg->connection, take_notice, pg);
    sx_status status = await_connection(pg, error);
    if (status)
        return status;
    pg->was_connected = true;
    if (PQsetnonblocking(pg->connection, 1))
        return fail_connection(pg, error);
    /* The server must not go on for ever with what nobody waits for any more. */
    snprintf(text, sizeof text, "SET statement_timeout = %lld; SET client_min_messages = warning",
             (long long)(pg->timeout_ns / 1000000 + 1));
    status = sx_pg_run(pg, text, error);
    return status ? status : sx_pg_find_extension(pg, error);
}

static sx_status attempt(sx_pg *pg, sx_pg_work work, void *job, sx_error *error)
{
    sx_status status = SX_OK;
    pg->again = false;
    pg->state[0] = '\0';
    pg->copy_line = 0;
    pg->deadline = 0;
    if (!pg->connection || PQstatus(pg->connection) != CONNECTION_OK)
        status = connect_now(pg, error);
    if (!status)
        status = work(pg, job, error);
    if (status) {
        if (pg->connection && PQstatus(pg->connection) == CONNECTION_OK)
            sx_pg_rollback(pg);
        else
            sx_pg_disconnect(pg);
        sx_pg_forget(pg);
    }
    return status;
}

sx_status sx_pg_do(sx_pg *pg, const char *call, const char *collection, sx_pg_work work, void *job, sx_error *error)
{
    sx_error problem = {0};
    int64_t pause = first_pause_ns;
    sx_status status;
    for (uint32_t tries = 1;; tries++) {
        status = attempt(pg, work, job, &problem);
        if (!status || !pg->again || tries >= pg->attempts)
            break;
        sx_pg_log(pg, SX_LOG_INFO, "%s: %s; trying again in %.1f s", pg->store.name, problem.message, (double)pause / 1e9);
        pg->clock->sleep_ns(pause, pg->clock->user);
        pause = pause * 2 > longest_pause_ns ? longest_pause_ns : pause * 2;
    }
    if (status) {
        sx_fail(error, status, "%s: %s %s: %s", pg->store.name, call, collection, problem.message);
        if (problem.hint[0])
            sx_hint(error, "%s", problem.hint);
    }
    return status;
}

/* ---- Numbers and names on the wire ---- */

int64_t sx_pg_integer(const PGresult *result, int row, int column)
{
    const char *data = PQgetvalue(result, row, column);
    uint64_t wide;
    uint32_t narrow;
    switch (PQgetisnull(result, row, column) ? 0 : PQgetlength(result, row, column)) {
    case 8: memcpy(&wide, data, 8); return (int64_t)be64toh(wide);
    case 4: memcpy(&narrow, data, 4); return (int32_t)be32toh(narrow);
    default: return 0;
    }
}

double sx_pg_double(const PGresult *result, int row, int column)
{
    int64_t bits = sx_pg_integer(result, row, column);
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

char *sx_pg_text(const PGresult *result, int row, int column, bool *failed)
{
    if (PQgetisnull(result, row, column))
        return NULL;
    char *text = sx_strndup(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
    if (!text)
        *failed = true;
    return text;
}

void sx_pg_append_u16(sx_buffer *buffer, uint16_t number)
{
    number = htobe16(number);
    sx_buffer_append(buffer, &number, sizeof number);
}

void sx_pg_append_u32(sx_buffer *buffer, uint32_t number)
{
    number = htobe32(number);
    sx_buffer_append(buffer, &number, sizeof number);
}

/* int16 dimensions, int16 unused, a big-endian float each (pgvector's vector_recv). */
void sx_pg_append_vector(sx_buffer *buffer, const float *vector, uint32_t dimensions)
{
    sx_pg_append_u16(buffer, (uint16_t)dimensions);
    sx_pg_append_u16(buffer, 0);
    char *to = sx_buffer_room(buffer, dimensions * sizeof(float));
    for (uint32_t i = 0; to && i < dimensions; i++) {
        uint32_t bits;
        memcpy(&bits, &vector[i], sizeof bits);
        bits = htobe32(bits);
        memcpy(to + i * sizeof bits, &bits, sizeof bits);
    }
    if (to)
        buffer->length += dimensions * sizeof(float);
}

void sx_pg_append_identifier(sx_buffer *buffer, const char *name)
{
    sx_buffer_append_byte(buffer, '"');
    for (; *name; name++) {
        if (*name == '"')
            sx_buffer_append_byte(buffer, '"');
        sx_buffer_append_byte(buffer, *name);
    }
    sx_buffer_append_byte(buffer, '"');
}
