/* legs.c - what a model and its fallback did, for the reports of the verbs that embed. */
#include "legs.h"
#include "money.h"

#include "../base/json_writer.h"

#include <math.h>

enum { LEGS = 2 };

static size_t legs_of(const sx_embedder *embedder, sx_embedder_leg legs[LEGS])
{
    size_t count = 0;
    return embedder && !sx_embedder_legs(embedder, legs, LEGS, &count, NULL) ? count : 0;
}

static void member_milliseconds(sx_buffer *json, const char *key, double value)
{
    if (isfinite(value)) {
        sx_cli_member_number(json, key, value);
        return;
    }
    sx_cli_key(json, key);
    sx_buffer_append_string(json, "null");
}

void sx_cli_member_legs(sx_buffer *json, const sx_embedder *embedder)
{
    sx_embedder_leg legs[LEGS];
    size_t count = legs_of(embedder, legs);
    if (!count)
        return;
    sx_cli_key(json, "legs");
    sx_buffer_append_byte(json, '[');
    for (size_t i = 0; i < count; i++) {
        const sx_embedder_leg *leg = &legs[i];
        sx_buffer_append_string(json, i ? ",{" : "{");
        sx_cli_member_text(json, "model", leg->model);
        sx_cli_member_integer(json, "percent", leg->split);
        sx_cli_member_boolean(json, "open", leg->open);
        sx_cli_member_integer(json, "batches", leg->batches);
        sx_cli_member_integer(json, "errors", leg->errors);
        sx_cli_member_integer(json, "taken_over", leg->taken_over);
        sx_cli_member_integer(json, "requests", leg->spent.requests);
        sx_cli_member_integer(json, "texts", leg->spent.texts);
        sx_cli_member_integer(json, "tokens", leg->spent.tokens);
        member_milliseconds(json, "p50_ms", leg->p50_ms);
        member_milliseconds(json, "p95_ms", leg->p95_ms);
        sx_cli_member_cost(json, "cost_usd", &leg->spent);
        sx_buffer_append_byte(json, '}');
    }
    sx_buffer_append_byte(json, ']');
}

void sx_cli_note_legs(sx_cli *cli, const sx_embedder *embedder)
{
    sx_embedder_leg legs[LEGS];
    size_t count = legs_of(embedder, legs);
    for (size_t i = 0; i < count; i++) {
        const sx_embedder_leg *leg = &legs[i];
        char texts[32], tokens[32], cost[96], times[64] = "";
        if (leg->open)
            sx_cli_warn(cli, "%s: fails; %s took over %llu batches", leg->model, legs[!i].model,
                        (unsigned long long)legs[!i].taken_over);
        sx_cli_human_count(leg->spent.texts, texts);
        sx_cli_human_count(leg->spent.tokens, tokens);
        sx_cli_human_cost(&leg->spent, false, cost);
        if (isfinite(leg->p50_ms))
            snprintf(times, sizeof times, ", p50 %.0f ms, p95 %.0f ms", leg->p50_ms, leg->p95_ms);
        if (cli->verbose)
            sx_cli_note(cli, "%s (%u %%): %s texts, %s tokens, %llu requests, %llu errors%s, %s", leg->model, leg->split, texts,
                        tokens, (unsigned long long)leg->spent.requests, (unsigned long long)leg->errors, times, cost);
    }
}
