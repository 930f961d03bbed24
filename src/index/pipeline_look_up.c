/* pipeline_look_up.c - what a call begins with: equal texts, what is known already here or in a shared cache, what may not leave
 * this machine, and the queue of the rest. */
#include "pipeline_internal.h"

#include "../base/error.h"
#include "../doc/secret_patterns.h"
#include "../provider/provider_router.h"

#include <stdlib.h>
#include <string.h>

/* Marks every item that equals an earlier one. Open addressing over the hashes, which are as good as random. */
static sx_status find_copies(pipeline_call *call, sx_error *error)
{
    size_t slots = 16;
    while (slots < call->count * 2)
        slots *= 2;
    size_t *table = sx_calloc(slots, sizeof *table); /* item + 1 */
    if (!table)
        return sx_fail_nomem(error, slots * sizeof *table);
    for (size_t i = 0; i < call->count; i++) {
        size_t slot;
        memcpy(&slot, call->items[i].hash.bytes, sizeof slot);
        for (slot &= slots - 1; table[slot]; slot = (slot + 1) & (slots - 1))
            if (!memcmp(&call->items[table[slot] - 1].hash, &call->items[i].hash, sizeof(sx_sha256)))
                break;
        if (table[slot]) {
            call->states[i] = ITEM_COPY;
            call->first[i] = table[slot] - 1;
        } else {
            table[slot] = i + 1;
        }
    }
    free(table);
    return SX_OK;
}

/* What would leave this machine and must not has failed by itself; the others go on. */
static void hold_back(pipeline_call *call)
{
    const sx_pipeline_options *options = &call->pipeline->options;
    if (!options->provider->info.remote || options->allow_secrets)
        return;
    for (size_t i = 0; i < call->count; i++) {
        const sx_text *text = &call->items[i].text;
        sx_secret secret;
        char message[160];
        if (call->states[i] != ITEM_NEW || !text->length || !sx_secret_find(text->data, text->length, 0, &secret))
            continue;
        size_t line = sx_secret_line(text->data, secret.start);
        sx_secret_reason(secret.kind, line, options->provider->info.name, message, sizeof message);
        sx_pipeline_fail_item(call, i, SX_E_DENIED, message);
    }
}

/* Keeps those of the queue's first items that nobody has; returns how many. */
static size_t queue_new(pipeline_call *call, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (call->states[call->queue[i]] == ITEM_NEW)
            call->queue[kept++] = call->queue[i];
    return kept;
}

/* Puts texts of one leg together, so that batches are full: runs of the two in turn, so that both legs have work. */
static sx_status group_by_leg(pipeline_call *call, size_t count, sx_error *error)
{
    const sx_provider *provider = call->pipeline->options.provider;
    size_t run = provider->info.max_texts ? provider->info.max_texts : 1, ends[SX_LEGS] = {0}, at[SX_LEGS] = {0};
    if (!provider->leg_count || !count)
        return SX_OK;
    size_t *lists = sx_calloc(count, SX_LEGS * sizeof *lists);
    if (!lists)
        return sx_fail_nomem(error, count * SX_LEGS * sizeof *lists);
    for (size_t i = 0; i < count; i++) {
        unsigned leg = sx_router_leg_of(provider, &call->items[call->queue[i]].hash);
        lists[leg * count + ends[leg]++] = call->queue[i];
    }
    for (size_t placed = 0; placed < count;)
        for (unsigned leg = 0; leg < SX_LEGS; leg++)
            for (size_t i = 0; i < run && at[leg] < ends[leg]; i++)
                call->queue[placed++] = lists[leg * count + at[leg]++];
    free(lists);
    return SX_OK;
}

sx_status sx_pipeline_look_up(pipeline_call *call, sx_error *error)
{
    for (size_t i = 0; i < call->count; i++)
        sx_sha256_of(call->items[i].text.data, call->items[i].text.length, &call->items[i].hash);
    sx_status status = find_copies(call, error);
    if (status)
        return status;
    size_t unique = 0;
    for (size_t i = 0; i < call->count; i++)
        if (call->states[i] == ITEM_NEW)
            call->queue[unique++] = i;
    status = sx_pipeline_take_stored(call, call->queue, unique, error);
    size_t asked = queue_new(call, unique), stored = unique - asked;
    hold_back(call);
    asked = queue_new(call, asked);
    if (!status)
        status = sx_pipeline_take_shared(call, call->queue, asked, error);
    call->queue_end = queue_new(call, asked);
    if (!status)
        status = group_by_leg(call, call->queue_end, error);
    sx_cache_use *use = &call->pipeline->counts.use;
    use->hits += stored;
    use->shared_hits += asked - call->queue_end;
    use->misses += call->queue_end;
    if (!status && call->pipeline->options.database) {
        sx_store_count(call->pipeline->options.database, stored, call->queue_end);
        sx_store_count_shared(call->pipeline->options.database, asked - call->queue_end);
    }
    return status;
}
