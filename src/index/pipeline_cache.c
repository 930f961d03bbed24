/* pipeline_cache.c - the pipeline's dealings with the database: stored vectors, and claims. */
#include "pipeline_internal.h"

#include "../base/error.h"

#include <stdlib.h>
#include <string.h>

enum {
    LOOKUP_BLOCK = 512,        /* texts asked for at once */
    LOOK_INTERVAL_NS = 25000000,
    CLAIM_INTERVAL_NS = 250000000 /* a claim takes the write lock, a look does not */
};

static int64_t now_of(const pipeline_call *call)
{
    return call->pipeline->clock.monotonic_ns(call->pipeline->clock.user);
}

static sx_sha256 *gather_hashes(const pipeline_call *call, const size_t *list, size_t count, sx_error *error)
{
    sx_sha256 *hashes = sx_calloc(count, sizeof *hashes);
    if (!hashes) {
        sx_fail_nomem(error, count * sizeof *hashes);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        hashes[i] = call->items[list[i]].hash;
    return hashes;
}

sx_status sx_pipeline_take_stored(pipeline_call *call, const size_t *list, size_t count, sx_error *error)
{
    const sx_pipeline_options *options = &call->pipeline->options;
    size_t dimensions = options->provider->info.dimensions;
    size_t most = count < LOOKUP_BLOCK ? count : LOOKUP_BLOCK;
    bool wanted = false;
    for (size_t i = 0; i < count; i++)
        wanted |= call->items[list[i]].vector != NULL;
    if (!options->database || !count)
        return SX_OK;
    sx_sha256 *hashes = NULL;
    sx_vector_row *rows = sx_calloc(most, sizeof *rows);
    float *vectors = wanted ? sx_calloc(most, dimensions * sizeof *vectors) : NULL;
    sx_status status = rows && (vectors || !wanted) ? SX_OK : sx_fail_nomem(error, most * dimensions * sizeof *vectors);
    for (size_t start = 0; !status && start < count; start += most) {
        size_t block = count - start < most ? count - start : most;
        free(hashes);
        hashes = gather_hashes(call, list + start, block, error);
        if (!hashes) {
            status = SX_E_NOMEM;
            break;
        }
        memset(rows, 0, block * sizeof *rows);
        status = sx_store_lookup(options->database, options->recipe, hashes, block, rows, vectors, error);
        for (size_t i = 0; !status && i < block; i++)
            if (rows[i].id)
                sx_pipeline_take_row(call, list[start + i], &rows[i], vectors ? vectors + i * dimensions : NULL);
        if (call->stop && *call->stop)
            break;
    }
    free(hashes);
    free(rows);
    free(vectors);
    return status;
}

sx_status sx_pipeline_claim(pipeline_call *call, const size_t *list, size_t count, sx_error *error)
{
    const sx_pipeline_options *options = &call->pipeline->options;
    sx_status status = SX_OK;
    if (!options->database) {
        for (size_t i = 0; i < count; i++)
            call->states[list[i]] = ITEM_CLAIMED;
        return SX_OK;
    }
    size_t stored_count = 0;
    sx_sha256 *hashes = gather_hashes(call, list, count, error);
    sx_claim *claims = sx_calloc(count, sizeof *claims);
    size_t *stored = sx_calloc(count, sizeof *stored);
    if (!hashes || !claims || !stored)
        status = sx_fail_nomem(error, count * sizeof *stored);
    if (!status)
        status = sx_store_claim(options->database, options->recipe, hashes, count, claims, error);
    for (size_t i = 0; !status && i < count; i++) {
        if (claims[i] == SX_CLAIM_MINE) {
            call->states[list[i]] = ITEM_CLAIMED;
        } else if (claims[i] == SX_CLAIM_STORED) {
            stored[stored_count++] = list[i];
        } else if (call->states[list[i]] != ITEM_ELSEWHERE) {
            call->states[list[i]] = ITEM_ELSEWHERE;
            call->elsewhere[call->elsewhere_count++] = list[i];
        }
    }
    if (!status)
        status = sx_pipeline_take_stored(call, stored, stored_count, error);
    /* A vector that was stored a moment ago and is gone already (a cache pruned meanwhile) is asked for again with the rest. */
    for (size_t i = 0; !status && i < stored_count; i++) {
        if (call->states[stored[i]] == ITEM_NEW) {
            call->states[stored[i]] = ITEM_ELSEWHERE;
            call->elsewhere[call->elsewhere_count++] = stored[i];
        }
    }
    free(hashes);
    free(claims);
    free(stored);
    return status;
}

sx_status sx_pipeline_poll_elsewhere(pipeline_call *call, sx_error *error)
{
    int64_t now = now_of(call);
    if (!call->elsewhere_count || now < call->look_at)
        return SX_OK;
    sx_status status = sx_pipeline_take_stored(call, call->elsewhere, call->elsewhere_count, error);
    if (!status && now >= call->claim_at && !call->draining) {
        status = sx_pipeline_claim(call, call->elsewhere, call->elsewhere_count, error);
        call->claim_at = now + CLAIM_INTERVAL_NS;
    }
    size_t left = 0;
    for (size_t i = 0; i < call->elsewhere_count; i++) {
        size_t item = call->elsewhere[i];
        if (call->states[item] == ITEM_ELSEWHERE)
            call->elsewhere[left++] = item;
        else if (call->states[item] == ITEM_CLAIMED)
            call->queue[call->queue_end++] = item;
    }
    call->elsewhere_count = left;
    call->look_at = now + LOOK_INTERVAL_NS;
    return status;
}

sx_status sx_pipeline_put(pipeline_call *call, const size_t *list, size_t count, unsigned leg, const float *vectors,
                          sx_error *error)
{
    const sx_pipeline_options *options = &call->pipeline->options;
    int64_t recipe = sx_pipeline_recipe_of(call->pipeline, leg);
    sx_spender *spender = &call->pipeline->spender;
    sx_spend_entry entry = {0};
    if (!options->database) {
        spender->texts[leg] += count;
        return SX_OK;
    }
    if (!count)
        return sx_spender_flush(spender, false, error);
    sx_sha256 *hashes = gather_hashes(call, list, count, error);
    sx_vector_row *rows = sx_calloc(count, sizeof *rows);
    sx_status status = hashes && rows ? SX_OK : sx_fail_nomem(error, count * sizeof *rows);
    for (size_t i = 0; !status && i < count; i++) {
        rows[i].tokens = call->items[list[i]].receipt.tokens;
        rows[i].dropped_tokens = call->items[list[i]].receipt.dropped_tokens;
    }
    if (!status)
        status = sx_store_begin(options->database, error);
    if (!status) {
        spender->texts[leg] += count;
        status = sx_store_put(options->database, recipe, hashes, count, vectors, rows, NULL, error);
        if (!status && recipe != options->recipe)
            status = sx_store_release(options->database, options->recipe, hashes, count, error);
        if (!status)
            status = sx_spender_write(spender, &entry, error);
        if (!status)
            status = sx_store_commit(options->database, error);
        if (status) {
            sx_store_rollback(options->database);
            spender->texts[leg] -= count;
        }
        sx_spender_settle(spender, &entry, !status);
    }
    free(hashes);
    free(rows);
    return status;
}

sx_status sx_pipeline_release(pipeline_call *call, const size_t *list, size_t count, sx_error *error)
{
    const sx_pipeline_options *options = &call->pipeline->options;
    if (!options->database || !count)
        return SX_OK;
    sx_sha256 *hashes = gather_hashes(call, list, count, error);
    if (!hashes)
        return SX_E_NOMEM;
    sx_status status = sx_store_release(options->database, options->recipe, hashes, count, error);
    free(hashes);
    return status;
}
