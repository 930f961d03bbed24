/* pipeline_shared.c - the pipeline's dealings with a shared cache (cache/shared_cache.h): never a reason for a call to fail.
 *
 * A vector from there is checked as one from the provider is, and claimed before it is stored, as one that is embedded: where
 * another process of this machine is at work on the text, it is awaited as usual.
 */
#include "pipeline_internal.h"

#include "../base/error.h"

#include <stdlib.h>
#include <string.h>

enum { SHARED_BLOCK = 512 };

typedef struct shared_call {
    sx_sha256 *hashes;
    sx_shared_row *rows;
    sx_vector_row *stored;
    float *vectors;
    size_t *list; /* items whose vectors were found and are good, in the order of `vectors` */
    size_t count;
} shared_call;

static void clear(shared_call *found)
{
    free(found->hashes);
    free(found->rows);
    free(found->stored);
    free(found->vectors);
    free(found->list);
    *found = (shared_call){0};
}

static bool reserve(shared_call *found, size_t count, size_t dimensions)
{
    found->hashes = sx_calloc(count, sizeof *found->hashes);
    found->rows = sx_calloc(count, sizeof *found->rows);
    found->stored = sx_calloc(count, sizeof *found->stored);
    found->vectors = sx_calloc(count, dimensions * sizeof *found->vectors);
    found->list = sx_calloc(count, sizeof *found->list);
    return found->hashes && found->rows && found->stored && found->vectors && found->list;
}

/* Moves what is at `from` to `to`. */
static void keep(shared_call *found, size_t dimensions, size_t to, size_t from, size_t item)
{
    found->hashes[to] = found->hashes[from];
    found->rows[to] = found->rows[from];
    memmove(found->vectors + to * dimensions, found->vectors + from * dimensions, dimensions * sizeof *found->vectors);
    found->list[to] = item;
}

static void ask(pipeline_call *call, shared_call *found, unsigned leg, const size_t *list, size_t count)
{
    const sx_pipeline *pipeline = call->pipeline;
    const sx_provider_info *info = &pipeline->options.provider->info;
    const sx_shared_counts *shared = sx_shared_cache_count(pipeline->options.shared);
    uint64_t unreachable = shared->unreachable;
    for (size_t i = 0; i < count; i++)
        found->hashes[i] = call->items[list[i]].hash;
    sx_shared_cache_get(pipeline->options.shared, &pipeline->recipes[leg], found->hashes, count, (uint32_t)info->dimensions,
                        found->rows, found->vectors);
    call->pipeline->counts.use.shared_unreachable += shared->unreachable - unreachable;
    found->count = 0;
    for (size_t i = 0; i < count; i++) {
        sx_receipt receipt = {.tokens = found->rows[i].tokens};
        char message[128];
        if (found->rows[i].found &&
            !sx_pipeline_fault_of(info, &receipt, found->vectors + i * info->dimensions, message, sizeof message))
            keep(found, info->dimensions, found->count++, i, list[i]);
    }
}

static sx_status store(pipeline_call *call, shared_call *found, unsigned leg, sx_error *error)
{
    const sx_pipeline_options *options = &call->pipeline->options;
    size_t dimensions = options->provider->info.dimensions, mine = 0;
    sx_status status = sx_pipeline_claim(call, found->list, found->count, error);
    for (size_t i = 0; !status && i < found->count; i++)
        if (call->states[found->list[i]] == ITEM_CLAIMED)
            keep(found, dimensions, mine++, i, found->list[i]);
    for (size_t i = 0; i < mine; i++)
        found->stored[i] = (sx_vector_row){.tokens = found->rows[i].tokens, .dropped_tokens = found->rows[i].dropped_tokens};
    int64_t recipe = sx_pipeline_recipe_of(call->pipeline, leg);
    if (!status && mine && options->database)
        status = sx_store_put(options->database, recipe, found->hashes, mine, found->vectors, found->stored, NULL, error);
    if (!status && mine && options->database && recipe != options->recipe)
        status = sx_store_release(options->database, options->recipe, found->hashes, mine, error);
    for (size_t i = 0; !status && i < mine; i++)
        sx_pipeline_take_row(call, found->list[i], &found->stored[i], found->vectors + i * dimensions);
    return status;
}

static sx_status take_of_leg(pipeline_call *call, unsigned leg, const size_t *list, size_t count, sx_error *error)
{
    const sx_pipeline_options *options = &call->pipeline->options;
    size_t most = count < SHARED_BLOCK ? count : SHARED_BLOCK;
    shared_call found = {0};
    sx_status status = SX_OK;
    if (!reserve(&found, most, options->provider->info.dimensions))
        status = sx_fail_nomem(error, most * options->provider->info.dimensions * sizeof(float));
    for (size_t start = 0; !status && start < count && !(call->stop && *call->stop); start += most) {
        ask(call, &found, leg, list + start, count - start < most ? count - start : most);
        if (found.count)
            status = store(call, &found, leg, error);
    }
    clear(&found);
    return status;
}

sx_status sx_pipeline_take_shared(pipeline_call *call, const size_t *list, size_t count, sx_error *error)
{
    const sx_pipeline *pipeline = call->pipeline;
    if (!pipeline->options.shared || !count)
        return SX_OK;
    sx_status status = take_of_leg(call, 0, list, count, error);
    if (status || !pipeline->options.provider->leg_count)
        return status;
    size_t left = 0, *missing = sx_calloc(count, sizeof *missing);
    if (!missing)
        return sx_fail_nomem(error, count * sizeof *missing);
    for (size_t i = 0; i < count; i++)
        if (call->states[list[i]] == ITEM_NEW)
            missing[left++] = list[i];
    if (left)
        status = take_of_leg(call, 1, missing, left, error);
    free(missing);
    return status;
}

void sx_pipeline_share(pipeline_call *call, const size_t *list, size_t count, unsigned leg, const float *vectors)
{
    const sx_pipeline *pipeline = call->pipeline;
    size_t dimensions = pipeline->options.provider->info.dimensions;
    if (!pipeline->options.shared || !count)
        return;
    sx_sha256 *hashes = sx_calloc(count, sizeof *hashes);
    sx_shared_row *rows = sx_calloc(count, sizeof *rows);
    for (size_t i = 0; hashes && rows && i < count; i++) {
        const sx_pipeline_item *item = &call->items[list[i]];
        hashes[i] = item->hash;
        rows[i] = (sx_shared_row){.tokens = item->receipt.tokens, .dropped_tokens = item->receipt.dropped_tokens};
    }
    if (hashes && rows)
        sx_shared_cache_put(pipeline->options.shared, &pipeline->recipes[leg], hashes, count, (uint32_t)dimensions, rows, vectors);
    free(hashes);
    free(rows);
}
