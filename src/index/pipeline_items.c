/* pipeline_items.c - the single texts of a call: what they cost, what became of them, and whether a vector is one. */
#include "pipeline_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double norm_tolerance = 1e-3;

/* With a budget a guess would not do: then it is counted once, and kept. */
uint32_t sx_pipeline_tokens_of(const pipeline_call *call, size_t item)
{
    const sx_pipeline *pipeline = call->pipeline;
    bool exact = pipeline->options.spend.budget_usd > 0 && pipeline->options.provider->info.usd_per_million > 0;
    uint32_t tokens = sx_provider_tokens_of(pipeline->options.provider, call->items[item].text, call->items[item].tokens, exact);
    if (exact)
        call->items[item].tokens = tokens;
    return tokens;
}

int64_t sx_pipeline_recipe_of(const sx_pipeline *pipeline, unsigned leg)
{
    return leg && pipeline->options.second_recipe ? pipeline->options.second_recipe : pipeline->options.recipe;
}

void sx_pipeline_fail_item(pipeline_call *call, size_t item, sx_status status, const char *message)
{
    sx_receipt *receipt = &call->items[item].receipt;
    receipt->status = status;
    receipt->message = sx_arena_strndup(&call->pipeline->messages, message, strlen(message));
    if (!receipt->message)
        receipt->message = "no memory for the reason";
    call->states[item] = ITEM_DONE;
    call->pipeline->counts.texts++;
    call->pipeline->counts.failed++;
}

void sx_pipeline_take_row(pipeline_call *call, size_t index, const sx_vector_row *row, const float *vector)
{
    sx_pipeline_item *item = &call->items[index];
    sx_pipeline *pipeline = call->pipeline;
    item->receipt.tokens = row->tokens;
    item->receipt.dropped_tokens = row->dropped_tokens;
    item->receipt.truncated = row->dropped_tokens > 0;
    item->receipt.cached = 1;
    if (pipeline->options.strict && row->dropped_tokens > 0) {
        sx_pipeline_fail_item(call, index, SX_E_LIMIT, "text is longer than the model takes, and strict was asked for");
        return;
    }
    if (item->vector)
        memcpy(item->vector, vector, pipeline->options.provider->info.dimensions * sizeof *vector);
    call->states[index] = ITEM_DONE;
    pipeline->counts.texts++;
    pipeline->counts.cached++;
    pipeline->spender.cached++;
}

const char *sx_pipeline_fault_of(const sx_provider_info *info, const sx_receipt *receipt, const float *vector, char *message,
                                 size_t size)
{
    double square = 0;
    for (size_t i = 0; i < info->dimensions; i++) {
        if (!isfinite(vector[i])) {
            snprintf(message, size, "the provider's vector is missing or not finite (dimension %zu)", i);
            return message;
        }
        square += (double)vector[i] * vector[i];
    }
    if (square == 0 && info->zero_for_nothing && receipt->tokens == 0)
        return NULL;
    if (square == 0)
        return "the provider's vector is all zero";
    if (info->normalized && fabs(sqrt(square) - 1) > norm_tolerance) {
        snprintf(message, size, "the provider's vector has length %.6f, not 1", sqrt(square));
        return message;
    }
    return NULL;
}
