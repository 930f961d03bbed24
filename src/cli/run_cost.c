/* run_cost.c - `sextant cost`: what embedding has cost, from the database's ledger. */
#include "money.h"

#include "../base/error.h"

#include <string.h>
#include <time.h>

static void append_spend(sx_buffer *json, const sx_spend *spend, bool unpriced)
{
    sx_cli_member_integer(json, "requests", spend->requests);
    sx_cli_member_integer(json, "texts", spend->texts);
    sx_cli_member_integer(json, "cached", spend->cached);
    sx_cli_member_integer(json, "tokens", spend->tokens);
    if (unpriced) {
        sx_cli_key(json, "usd");
        sx_buffer_append_string(json, "null");
    } else {
        sx_cli_member_number(json, "usd", spend->usd);
    }
    sx_cli_member_integer(json, "unpriced_tokens", spend->unpriced_tokens);
}

static void time_of(int64_t ns, char text[32])
{
    time_t seconds = (time_t)(ns / 1000000000);
    struct tm parts = {0};
    gmtime_r(&seconds, &parts);
    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

static bool is_all_unpriced(const sx_cost_report *report)
{
    bool all = report->count > 0;
    for (size_t i = 0; i < report->count; i++)
        all = all && report->rows[i].unpriced;
    return all;
}

static int print_json(sx_cli *cli, const char *by, const sx_cost_report *report)
{
    sx_buffer json = {0};
    sx_buffer_append_byte(&json, '{');
    sx_cli_member_text(&json, "by", by);
    sx_cli_key(&json, "rows");
    sx_buffer_append_byte(&json, '[');
    for (size_t i = 0; i < report->count; i++) {
        const sx_cost_row *row = &report->rows[i];
        sx_buffer_append_string(&json, i ? ",{" : "{");
        sx_cli_member_text(&json, by, row->key);
        if (row->verb) {
            char began[32];
            time_of(row->began_ns, began);
            sx_cli_member_text(&json, "began", began);
            sx_cli_member_text(&json, "verb", row->verb);
            sx_cli_member_text(&json, "collection", row->collection);
            sx_cli_member_text(&json, "provider", row->provider);
            sx_cli_member_text(&json, "model", row->model);
        } else {
            sx_cli_member_integer(&json, "jobs", row->jobs);
        }
        append_spend(&json, &row->spend, row->unpriced);
        sx_buffer_append_byte(&json, '}');
    }
    sx_buffer_append_byte(&json, ']');
    sx_cli_key(&json, "total");
    sx_buffer_append_byte(&json, '{');
    append_spend(&json, &report->total, is_all_unpriced(report));
    sx_buffer_append_string(&json, "}}");
    return sx_cli_print_json(cli, &json);
}

static void print_row(const char *name, int width, const sx_spend *spend, bool unpriced)
{
    char requests[32], texts[32], cached[32], tokens[32], cost[96];
    sx_cli_human_count(spend->requests, requests);
    sx_cli_human_count(spend->texts, texts);
    sx_cli_human_count(spend->cached, cached);
    sx_cli_human_count(spend->tokens, tokens);
    sx_cli_human_cost(spend, unpriced, cost);
    sx_cli_say("%-*s  %10s  %12s  %12s  %15s  %s\n", width, name, requests, texts, cached, tokens, cost);
}

/* What stands at the beginning of a line: the key, and of a job what it was. */
static void name_row(const sx_cost_row *row, char *text, size_t size)
{
    char began[32];
    if (!row->verb) {
        snprintf(text, size, "%s", *row->key ? row->key : "(none)");
        return;
    }
    time_of(row->began_ns, began);
    snprintf(text, size, "%s %.10s %s %s%s%s", row->key, began, row->verb, row->collection, *row->collection ? " " : "",
             row->model);
}

static void print_table(const char *by, const sx_cost_report *report)
{
    int width = 10;
    char name[256];
    if (!report->count) {
        sx_cli_say("Nothing was spent.\n");
        return;
    }
    for (size_t i = 0; i < report->count; i++) {
        name_row(&report->rows[i], name, sizeof name);
        if ((int)strlen(name) > width)
            width = (int)strlen(name);
    }
    width = width > 60 ? 60 : width;
    sx_cli_say("%-*s  %10s  %12s  %12s  %15s  %s\n", width, by, "requests", "texts", "cached", "tokens", "cost");
    for (size_t i = 0; i < report->count; i++) {
        name_row(&report->rows[i], name, sizeof name);
        print_row(name, width, &report->rows[i].spend, report->rows[i].unpriced);
    }
    print_row("total", width, &report->total, is_all_unpriced(report));
}

int sx_cli_cost(sx_cli *cli)
{
    sx_error error = {0};
    sx_database *database = NULL;
    sx_cost_report *report = NULL;
    const char *by = sx_cli_text(cli, "by");
    sx_cost_options options = {
        .size = sizeof options,
        .by = by,
        .since = sx_cli_text(cli, "since"),
        .until = sx_cli_text(cli, "until"),
        .collection = sx_cli_get(cli, "collection")->given ? sx_cli_text(cli, "collection") : NULL,
    };
    sx_status status = sx_cli_open_database(cli, cli->db_path, false, &database, &error);
    if (!status)
        status = sx_database_cost(database, &options, &report, &error);
    int code = SX_EXIT_DONE;
    if (status)
        code = sx_cli_fail(cli, &error);
    else if (cli->json)
        code = print_json(cli, by, report);
    else
        print_table(by, report);
    sx_cost_report_free(report);
    sx_database_close(database);
    return code;
}
