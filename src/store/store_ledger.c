/* store_ledger.c - the ledger: what each job has spent, day by day, and sums over it.
 *
 * Days and months are UTC's, as on providers' bills. A row's usd is NULL when the model has no known price; adding anything to
 * NULL stays NULL, so such a row never turns into money. */
#include "ledger.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../base/options.h"
#include "sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const int64_t day_ns = (int64_t)86400 * 1000000000;

static int64_t day_of(int64_t wall_ns)
{
    return wall_ns >= 0 ? wall_ns / day_ns : -((-wall_ns + day_ns - 1) / day_ns);
}

/* Days since 1970 of a date of the Gregorian calendar, continued in both directions: years begin in March, so that the leap day
 * comes last. */
static int64_t day_of_date(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

void sx_ledger_month(int64_t wall_ns, char month[16])
{
    time_t seconds = (time_t)(day_of(wall_ns) * 86400);
    struct tm parts = {0};
    gmtime_r(&seconds, &parts);
    snprintf(month, 16, "%04u-%02u", (unsigned)(parts.tm_year + 1900) % 10000, (unsigned)(parts.tm_mon + 1) % 100);
}

/* ---- Writing ---- */

static sx_status enter_job(sx_database *database, sx_ledger_job *job, int64_t wall_ns, sx_error *error)
{
    sx_status status = SX_OK;
    /* A search is no job anybody remembers; a row for each would make the ledger grow with every question. */
    if (!strcmp(job->verb, "search"))
        status = sx_sql_number(database,
                               "SELECT id FROM ledger_job WHERE verb = ? AND collection = ? AND provider = ? AND model = ?"
                               " AND space = ? AND began_ns >= ? ORDER BY id DESC LIMIT 1",
                               0, &job->id, error, "tttthi", job->verb, job->collection, job->provider, job->model, &job->space,
                               day_of(wall_ns) * day_ns);
    if (status || job->id)
        return status;
    status = sx_sql_do(database,
                       "INSERT INTO ledger_job(verb, collection, provider, model, space, began_ns) VALUES (?, ?, ?, ?, ?, ?)",
                       error, "tttthi", job->verb, job->collection, job->provider, job->model, &job->space, wall_ns);
    if (!status)
        job->id = sqlite3_last_insert_rowid(database->sqlite);
    return status;
}

sx_status sx_ledger_add(sx_database *database, sx_ledger_job *job, const sx_spend *spend, int64_t wall_ns, sx_error *error)
{
    sx_scope scope;
    int64_t before = job->id, day = day_of(wall_ns);
    sx_status status = sx_scope_enter(database, &scope, error);
    if (status)
        return status;
    if (!job->id)
        status = enter_job(database, job, wall_ns, error);
    if (!status)
        status = sx_sql_do(database,
                           "INSERT INTO spend(job, day, requests, texts, cached, tokens, usd) VALUES (?, ?, 0, 0, 0, 0, 0)"
                           " ON CONFLICT DO NOTHING",
                           error, "ii", job->id, day);
    if (!status)
        status = sx_sql_do(database,
                           "UPDATE spend SET requests = requests + ?, texts = texts + ?, cached = cached + ?,"
                           " tokens = tokens + ?, usd = CASE WHEN ? > 0 THEN NULL ELSE usd + ? END WHERE job = ? AND day = ?",
                           error, "iiiiidii", (int64_t)spend->requests, (int64_t)spend->texts, (int64_t)spend->cached,
                           (int64_t)spend->tokens, (int64_t)job->unpriced, spend->usd, job->id, day);
    status = sx_scope_leave(database, &scope, status, error);
    if (status)
        job->id = before;
    return status;
}

/* ---- Periods, alerts ---- */

/* First and last day of a period, from "2026", "2026-11" or "2026-11-21". */
static bool read_period(const char *text, int64_t *first, int64_t *last)
{
    static const unsigned char lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    size_t length = strlen(text);
    int year, month = 0, day = 0;
    if (length != 4 && length != 7 && length != 10)
        return false;
    for (size_t i = 0; i < length; i++)
        if (i == 4 || i == 7 ? text[i] != '-' : text[i] < '0' || text[i] > '9')
            return false;
    year = atoi(text);
    month = length > 4 ? atoi(text + 5) : 0;
    day = length > 7 ? atoi(text + 8) : 0;
    if ((length > 4 && (month < 1 || month > 12)) || (length > 7 && (day < 1 || day > lengths[month - 1])))
        return false;
    if (length > 7 && month == 2 && day == 29 && day_of_date(year, 2, 29) == day_of_date(year, 3, 1))
        return false;
    *first = day_of_date(year, month ? month : 1, day ? day : 1);
    if (day)
        *last = *first;
    else if (month)
        *last = (month == 12 ? day_of_date(year + 1, 1, 1) : day_of_date(year, month + 1, 1)) - 1;
    else
        *last = day_of_date(year + 1, 1, 1) - 1;
    return true;
}

sx_status sx_ledger_month_usd(sx_database *database, int64_t wall_ns, double *usd, sx_error *error)
{
    char month[16];
    int64_t first = 0, last = 0;
    sqlite3_stmt *statement;
    bool row;
    *usd = 0;
    sx_ledger_month(wall_ns, month);
    read_period(month, &first, &last);
    sx_status status = sx_sql_start(database, "SELECT total(usd) FROM spend WHERE day BETWEEN ? AND ?", &statement, error, "ii",
                                    first, last);
    if (!status)
        status = sx_sql_step(database, statement, &row, error);
    if (status || !row)
        return status;
    *usd = sqlite3_column_double(statement, 0);
    sqlite3_reset(statement);
    return SX_OK;
}

sx_status sx_ledger_alert(sx_database *database, int64_t wall_ns, double threshold, bool *first, sx_error *error)
{
    char month[16];
    *first = false;
    sx_ledger_month(wall_ns, month);
    int64_t given = 0;
    sx_status status = sx_sql_number(database, "SELECT 1 FROM spend_alert WHERE month = ? AND usd = ?", 0, &given, error, "td",
                                     month, threshold);
    if (status || given)
        return status;
    sx_scope scope;
    if ((status = sx_scope_enter(database, &scope, error)))
        return status;
    status = sx_sql_do(database, "INSERT INTO spend_alert(month, usd) VALUES (?, ?) ON CONFLICT DO NOTHING", error, "td", month,
                       threshold);
    bool mine = !status && sqlite3_changes(database->sqlite) == 1;
    status = sx_scope_leave(database, &scope, status, error);
    *first = mine && !status;
    return status;
}

/* ---- Reading ---- */

/* The key and its order for each way of summing. Text literals: kept statements go by address. */
#define SUMS                                                                                                                     \
    ", count(DISTINCT j.id), sum(s.requests), sum(s.texts), sum(s.cached), sum(s.tokens),"                                       \
    " sum(CASE WHEN s.usd IS NULL THEN s.tokens ELSE 0 END), total(s.usd), count(s.usd), min(j.verb), min(j.collection),"        \
    " min(j.provider), min(j.model), min(j.began_ns) FROM spend s JOIN ledger_job j ON j.id = s.job"                             \
    " WHERE s.day BETWEEN ? AND ? AND (? IS NULL OR j.collection = ?)"
static const struct {
    const char *by, *sql;
} sums[] = {
    {"day", "SELECT date(s.day * 86400, 'unixepoch') AS key" SUMS " GROUP BY key ORDER BY key"},
    {"month", "SELECT strftime('%Y-%m', s.day * 86400, 'unixepoch') AS key" SUMS " GROUP BY key ORDER BY key"},
    {"job", "SELECT CAST(j.id AS TEXT) AS key" SUMS " GROUP BY j.id ORDER BY j.id"},
    {"collection", "SELECT j.collection AS key" SUMS " GROUP BY key ORDER BY key"},
    {"model", "SELECT j.model AS key" SUMS " GROUP BY key ORDER BY key"},
};

static void add_row(sx_spend *total, const sx_spend *row)
{
    total->requests += row->requests;
    total->texts += row->texts;
    total->cached += row->cached;
    total->tokens += row->tokens;
    total->unpriced_tokens += row->unpriced_tokens;
    total->usd += row->usd;
}

static sx_status take_row(sqlite3_stmt *statement, bool job, sx_cost_row *row, sx_error *error)
{
    bool failed = false;
    row->key = sx_sql_text(statement, 0, &failed);
    row->jobs = (uint64_t)sqlite3_column_int64(statement, 1);
    row->spend = (sx_spend){
        .requests = (uint64_t)sqlite3_column_int64(statement, 2),
        .texts = (uint64_t)sqlite3_column_int64(statement, 3),
        .cached = (uint64_t)sqlite3_column_int64(statement, 4),
        .tokens = (uint64_t)sqlite3_column_int64(statement, 5),
        .unpriced_tokens = (uint64_t)sqlite3_column_int64(statement, 6),
        .usd = sqlite3_column_double(statement, 7),
    };
    row->unpriced = sqlite3_column_int64(statement, 8) == 0;
    if (job) {
        row->verb = sx_sql_text(statement, 9, &failed);
        row->collection = sx_sql_text(statement, 10, &failed);
        row->provider = sx_sql_text(statement, 11, &failed);
        row->model = sx_sql_text(statement, 12, &failed);
        row->began_ns = sqlite3_column_int64(statement, 13);
    }
    return failed ? sx_fail_nomem(error, 64) : SX_OK;
}

static sx_status read_rows(sx_database *database, const char *sql, bool job, const int64_t days[2], const char *collection,
                           sx_cost_report *report, sx_error *error)
{
    sqlite3_stmt *statement;
    size_t capacity = 0;
    bool row = true;
    sx_status status =
        sx_sql_start(database, sql, &statement, error, "iitt", days[0], days[1], collection, collection);
    if (status)
        return status;
    while (!(status = sx_sql_step(database, statement, &row, error)) && row) {
        if (!sx_reserve((void **)&report->rows, &capacity, report->count + 1, sizeof *report->rows)) {
            status = sx_fail_nomem(error, sizeof *report->rows);
            break;
        }
        report->rows[report->count] = (sx_cost_row){0};
        if ((status = take_row(statement, job, &report->rows[report->count++], error)))
            break;
        add_row(&report->total, &report->rows[report->count - 1].spend);
    }
    sqlite3_reset(statement);
    return status;
}

static sx_status read_day(const char *name, const char *text, bool end, int64_t *day, sx_error *error)
{
    int64_t first, last;
    if (!text)
        return SX_OK;
    if (!read_period(text, &first, &last))
        return sx_fail(error, SX_E_INVALID, "%s '%s': expected a date like 2026-11-21, a month like 2026-11 or a year", name,
                       text);
    *day = end ? last : first;
    return SX_OK;
}

sx_status sx_database_cost(sx_database *database, const sx_cost_options *options, sx_cost_report **out, sx_error *error)
{
    if (out)
        *out = NULL;
    if (!database || !out)
        return sx_fail(error, SX_E_INVALID, "sx_database_cost: database or out is NULL");
    sx_cost_options known;
    int64_t days[2] = {INT64_MIN / 2, INT64_MAX / 2};
    sx_status status = sx_options_read(options, &known, sizeof known, "sx_cost_options", error);
    if (!status)
        status = read_day("since", known.since, false, &days[0], error);
    if (!status)
        status = read_day("until", known.until, true, &days[1], error);
    if (status)
        return status;
    const char *by = known.by ? known.by : "month";
    size_t way = 0;
    while (way < sizeof sums / sizeof *sums && strcmp(sums[way].by, by) != 0)
        way++;
    if (way == sizeof sums / sizeof *sums)
        return sx_fail(error, SX_E_INVALID, "cost by '%s': there is day, month, job, collection and model", by);
    sx_cost_report *report = sx_calloc(1, sizeof *report);
    if (!report)
        return sx_fail_nomem(error, sizeof *report);
    status = read_rows(database, sums[way].sql, !strcmp(by, "job"), days, known.collection, report, error);
    if (status)
        sx_cost_report_free(report);
    else
        *out = report;
    return status;
}

void sx_cost_report_free(sx_cost_report *report)
{
    if (!report)
        return;
    for (size_t i = 0; i < report->count; i++) {
        free(report->rows[i].key);
        free(report->rows[i].verb);
        free(report->rows[i].collection);
        free(report->rows[i].provider);
        free(report->rows[i].model);
    }
    free(report->rows);
    free(report);
}
