/* estimate.c - what embedding would cost: the texts that are neither stored nor met before, times the price.
 *
 * Tokens are counted with the provider's own counter, whole texts with prompt and special tokens, as they are charged for. */
#include "estimate.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../provider/provider_router.h"

#include <stdlib.h>
#include <string.h>

enum { LOOKUP_BLOCK = 512 };

static bool insert(uint64_t *slots, size_t capacity, uint64_t key)
{
    size_t slot = (size_t)key & (capacity - 1);
    while (slots[slot] && slots[slot] != key)
        slot = (slot + 1) & (capacity - 1);
    bool added = !slots[slot];
    slots[slot] = key;
    return added;
}

sx_status sx_hash_set_add(sx_hash_set *set, const sx_sha256 *hash, bool *added, sx_error *error)
{
    uint64_t key;
    memcpy(&key, hash->bytes, sizeof key);
    key += key == 0;
    if (set->count * 2 >= set->capacity) {
        size_t capacity = set->capacity ? set->capacity * 2 : 1024;
        uint64_t *slots = sx_calloc(capacity, sizeof *slots);
        if (!slots)
            return sx_fail_nomem(error, capacity * sizeof *slots);
        for (size_t i = 0; i < set->capacity; i++)
            if (set->slots[i])
                insert(slots, capacity, set->slots[i]);
        free(set->slots);
        set->slots = slots;
        set->capacity = capacity;
    }
    *added = insert(set->slots, set->capacity, key);
    set->count += *added;
    return SX_OK;
}

void sx_hash_set_clear(sx_hash_set *set)
{
    free(set->slots);
    *set = (sx_hash_set){0};
}

/* Marks the texts that lie in the shared cache with a row's id; what cannot be asked is not there. */
static sx_status look_elsewhere(const sx_embedder *embedder, const sx_sha256 *hashes, sx_vector_row *rows, size_t count,
                                sx_error *error)
{
    uint32_t dimensions = embedder->provider->info.dimensions;
    const sx_sha256 *recipes[] = {&embedder->recipe, embedder->fallback ? &embedder->fallback_recipe : NULL};
    sx_sha256 asked[LOOKUP_BLOCK];
    sx_shared_row found[LOOKUP_BLOCK];
    size_t places[LOOKUP_BLOCK];
    if (!embedder->shared)
        return SX_OK;
    float *vectors = sx_calloc(count, dimensions * sizeof *vectors);
    if (!vectors)
        return sx_fail_nomem(error, count * dimensions * sizeof *vectors);
    for (size_t leg = 0; leg < SX_LEGS && recipes[leg]; leg++) {
        size_t missing = 0;
        for (size_t i = 0; i < count; i++)
            if (!rows[i].id) {
                asked[missing] = hashes[i];
                places[missing++] = i;
            }
        memset(found, 0, sizeof found);
        if (missing)
            sx_shared_cache_get(embedder->shared, recipes[leg], asked, missing, dimensions, found, vectors);
        for (size_t i = 0; i < missing; i++)
            if (found[i].found)
                rows[places[i]].id = -1;
    }
    free(vectors);
    return SX_OK;
}

static sx_status estimate_block(const sx_embedder *embedder, sx_database *database, int64_t recipe, sx_hash_set *seen,
                                const sx_text *texts, const uint32_t *tokens, size_t count, bool *known, sx_spend *sum,
                                sx_error *error)
{
    const sx_provider *provider = embedder->provider;
    sx_sha256 hashes[LOOKUP_BLOCK];
    sx_vector_row rows[LOOKUP_BLOCK];
    sx_status status = SX_OK;
    memset(rows, 0, sizeof rows);
    for (size_t i = 0; i < count; i++)
        sx_sha256_of(texts[i].data, texts[i].length, &hashes[i]);
    if (database)
        status = sx_store_lookup(database, recipe, hashes, count, rows, NULL, error);
    if (!status && database)
        status = look_elsewhere(embedder, hashes, rows, count, error);
    for (size_t i = 0; !status && i < count; i++) {
        bool is_new = !rows[i].id;
        if (is_new)
            status = sx_hash_set_add(seen, &hashes[i], &is_new, error);
        if (known)
            known[i] = !is_new;
        if (!status && is_new)
            sx_provider_estimate(provider, sx_router_leg_of(provider, &hashes[i]),
                                 sx_provider_tokens_of(provider, texts[i], tokens ? tokens[i] : 0, true), sum);
        else
            sum->cached++;
    }
    return status;
}

sx_status sx_estimate_texts(const sx_embedder *embedder, sx_database *database, int64_t recipe, sx_hash_set *seen,
                            const sx_text *texts, const uint32_t *tokens, size_t count, bool *known, sx_spend *sum,
                            sx_error *error)
{
    sx_status status = SX_OK;
    for (size_t start = 0; !status && start < count; start += LOOKUP_BLOCK) {
        size_t block = count - start < LOOKUP_BLOCK ? count - start : LOOKUP_BLOCK;
        status = estimate_block(embedder, database, recipe, seen, texts + start, tokens ? tokens + start : NULL, block,
                                known ? known + start : NULL, sum, error);
    }
    return status;
}

sx_status sx_embedder_estimate(sx_embedder *embedder, const sx_text *texts, size_t count, sx_spend *sum, sx_error *error)
{
    if (!embedder || !sum || (count && !texts))
        return sx_fail(error, SX_E_INVALID, "sx_embedder_estimate: embedder, texts or sum is NULL");
    for (size_t i = 0; i < count; i++)
        if (!texts[i].data && texts[i].length)
            return sx_fail(error, SX_E_INVALID, "sx_embedder_estimate: text %zu is NULL with length %zu", i, texts[i].length);
    return sx_estimate_texts(embedder, embedder->cache, embedder->cache_recipe, &embedder->estimated, texts, NULL,
                             count, NULL, sum, error);
}
