/* alert.c - when a month has cost more than was set: a warning, and once a month a POST to an address of the user's.
 *
 * The body is a JSON object whose "text" most chat programs' webhooks show as it is. It names neither files nor keys. An address
 * that does not answer costs a warning and some seconds, once a month.
 */
#include "spend.h"

#include "../net/http_pool.h"
#include "../store/sql.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t patience_ns = 10000000000;

static char *make_body(const char *month, double usd, double threshold, const sx_ledger_job *job)
{
    char text[256];
    snprintf(text, sizeof text, "Sextant: embedding has cost $%.2f in %s, above the alert of $%.2f", usd, month, threshold);
    json_t *body = json_pack("{s:s, s:s, s:s, s:f, s:f, s:s, s:s, s:s}", "event", "cost_alert", "text", text, "month", month,
                             "spent_usd", usd, "alert_usd", threshold, "verb", job->verb, "collection", job->collection, "model",
                             job->model);
    char *dumped = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    return dumped;
}

/* problem stays "" when the address took it. */
static void post(const char *url, const char *body, char *problem, size_t size)
{
    static const char *const headers[] = {"Content-Type: application/json"};
    sx_http_pool *pool = NULL;
    sx_http_exchange exchange = {.method = "POST",
                                 .url = url,
                                 .headers = headers,
                                 .header_count = 1,
                                 .body = body,
                                 .body_length = strlen(body),
                                 .timeout_ns = patience_ns,
                                 .limit = 65536};
    sx_http_exchange *done = NULL;
    sx_error error = {0};
    problem[0] = '\0';
    sx_status status = sx_http_pool_open("sextant", 1, &pool, &error);
    if (!status)
        status = sx_http_pool_start(pool, &exchange, &error);
    if (!status)
        status = sx_http_pool_wait(pool, patience_ns + patience_ns / 2, &done, &error);
    if (status)
        snprintf(problem, size, "%.200s", error.message);
    else if (!done)
        snprintf(problem, size, "no answer");
    else if (exchange.status)
        snprintf(problem, size, "%.200s", exchange.problem[0] ? exchange.problem : sx_status_name(exchange.status));
    else if (exchange.code < 200 || exchange.code > 299)
        snprintf(problem, size, "HTTP %ld", exchange.code);
    sx_http_pool_close(pool);
    sx_buffer_clear(&exchange.reply);
}

void sx_spend_alert(sx_database *database, const sx_clock *clock, double threshold, const char *url, const sx_ledger_job *job,
                    bool *warned)
{
    int64_t wall_ns = clock->wall_ns(clock->user);
    double usd = 0;
    bool first = false;
    char month[16], problem[256];
    if (sx_ledger_month_usd(database, wall_ns, &usd, NULL) || usd <= threshold)
        return;
    sx_ledger_month(wall_ns, month);
    if (!*warned)
        sx_store_log(database, SX_LOG_WARNING, "embedding has cost $%.2f in %s, above the alert of $%.2f", usd, month, threshold);
    *warned = true;
    if (!url || !*url || sx_ledger_alert(database, wall_ns, threshold, &first, NULL) || !first)
        return;
    char *body = make_body(month, usd, threshold, job);
    if (body)
        post(url, body, problem, sizeof problem);
    else
        snprintf(problem, sizeof problem, "no memory");
    free(body);
    /* The address itself may hold a key, as chat programs' do. */
    if (problem[0])
        sx_store_log(database, SX_LOG_WARNING, "the cost alert's address did not take it: %s", problem);
}
