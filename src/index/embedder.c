/* embedder.c - sx_embedder: a provider, its recipe, and a pipeline with the caller's cache. */
#include "embedder.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../base/options.h"
#include "../provider/provider_router.h"
#include "../store/spaces.h"
#include "leg_open.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

sx_status sx_embedder_recipe(const sx_embedder *embedder, sx_database *database, int64_t *recipe, sx_error *error)
{
    sx_recipe_row row = {
        .json = embedder->provider->info.recipe_json,
        .space_json = embedder->provider->info.space_json,
        .hash = embedder->recipe,
        .space = embedder->space,
        .model = embedder->model,
        .dimensions = embedder->provider->info.dimensions,
    };
    sx_status status = sx_store_recipe(database, &row, error);
    *recipe = row.id;
    return status;
}

/* The second leg's, made when it is not there; 0 without a fallback. */
static sx_status fallback_recipe(const sx_embedder *embedder, sx_database *database, int64_t *recipe, sx_error *error)
{
    *recipe = 0;
    if (!embedder->fallback)
        return SX_OK;
    const sx_provider_info *info = &embedder->provider->legs[1].provider->info;
    sx_recipe_row row = {
        .json = info->recipe_json,
        .space_json = info->space_json,
        .hash = embedder->fallback_recipe,
        .model = embedder->fallback,
        .dimensions = info->dimensions,
    };
    sx_sha256_of(info->space_json, strlen(info->space_json), &row.space);
    sx_status status = sx_store_recipe(database, &row, error);
    *recipe = row.id;
    return status;
}

sx_status sx_embedder_pipeline(sx_embedder *embedder, sx_database *database,
                               void (*advanced)(const sx_pipeline_counts *counts, void *user), void *user,
                               sx_pipeline **out, sx_error *error)
{
    *out = NULL;
    sx_pipeline_options options = {
        .provider = embedder->provider,
        .database = database,
        .shared = database ? embedder->shared : NULL,
        .clock = &embedder->clock,
        .strict = embedder->strict,
        .advanced = advanced,
        .user = user,
        .spend = {.model = embedder->model,
                  .space = embedder->space,
                  .budget_usd = embedder->budget_usd,
                  .alert_usd = embedder->alert_usd,
                  .alert_url = embedder->alert_url},
        .allow_secrets = embedder->allow_secrets,
    };
    if (database) {
        sx_status status = sx_embedder_recipe(embedder, database, &options.recipe, error);
        if (!status)
            status = fallback_recipe(embedder, database, &options.second_recipe, error);
        if (status)
            return status;
        if (options.second_recipe)
            sx_store_stand_in(database, options.recipe, options.second_recipe);
    }
    return sx_pipeline_open(&options, out, error);
}

static void hash_string(const char *text, sx_sha256 *hash, char *hex)
{
    sx_sha256_of(text, strlen(text), hash);
    sx_sha256_hex(hash, hex);
}

static sx_status read_money(const sx_embedder_options *known, sx_embedder *embedder, sx_error *error)
{
    sx_remote_options remote;
    if (!known->remote.size)
        return SX_OK;
    sx_status status = sx_options_read(&known->remote, &remote, sizeof remote, "sx_embedder_options.remote", error);
    if (status)
        return status;
    if (!(remote.budget_usd >= 0 && remote.budget_usd < 1e12) || !(remote.alert_usd >= 0 && remote.alert_usd < 1e12))
        return sx_fail(error, SX_E_INVALID, "sx_remote_options: a budget or alert is no amount of money");
    embedder->budget_usd = remote.budget_usd;
    embedder->alert_usd = remote.alert_usd;
    embedder->allow_secrets = remote.allow_secrets != 0;
    embedder->alert_url = remote.alert_url ? sx_strdup(remote.alert_url) : NULL;
    return embedder->alert_url || !remote.alert_url ? SX_OK : sx_fail_nomem(error, strlen(remote.alert_url));
}

/* Nothing is connected yet: a server that is down is found out, and told, when it is first asked. */
static sx_status open_shared(const sx_embedder_options *known, sx_embedder *embedder, sx_error *error)
{
    if (!known->shared_cache || !known->shared_cache[0])
        return SX_OK;
    if (!known->cache)
        return sx_fail(error, SX_E_INVALID, "sx_embedder_options: a shared cache needs a cache before it");
    if (known->shared_cache_ttl_s > INT32_MAX)
        return sx_fail(error, SX_E_INVALID, "sx_embedder_options: shared_cache_ttl_s is %llu, at most %d",
                       (unsigned long long)known->shared_cache_ttl_s, INT32_MAX);
    sx_shared_options options = {.url = known->shared_cache, .ttl_s = known->shared_cache_ttl_s, .clock = &embedder->clock};
    options.log = sx_store_log_of(known->cache, &options.log_user);
    return sx_shared_cache_open(&options, &embedder->shared, error);
}

/* Vectors of two sources come into one collection, so they must be of one space. */
static sx_status check_same_space(sx_embedder *embedder, sx_database *cache, const sx_provider *first, const sx_provider *second,
                                  sx_error *error)
{
    bool proven = strcmp(first->info.space_json, second->info.space_json) == 0;
    sx_sha256 recipe;
    sx_sha256_of(first->info.recipe_json, strlen(first->info.recipe_json), &recipe);
    sx_status status = SX_OK;
    if (!proven && cache)
        status = sx_store_space_proven(cache, &recipe, &embedder->fallback_recipe, &proven, error);
    if (status || proven)
        return status;
    sx_fail(error, SX_E_MISMATCH,
            "fallback %s: nothing proves that its vectors are of the space of %s, so both cannot go into one collection",
            embedder->fallback, embedder->model);
    if (cache)
        sx_hint(error, "prove it: sextant spaces prove %s %s; or build its own side of a collection: sextant migrate --to %s",
                embedder->model, embedder->fallback, embedder->fallback);
    else
        sx_hint(error, "proofs are kept in the database, so this needs the cache");
    return SX_E_MISMATCH;
}

/* Joins the provider with its fallback. */
static sx_status open_fallback(const sx_embedder_options *known, sx_embedder *embedder, sx_error *error)
{
    sx_embedder_options options = *known;
    sx_provider *second = NULL;
    int64_t reached = -1;
    sx_error problem = {0};
    sx_status status = SX_OK;
    if (!known->fallback || !known->fallback[0]) {
        if (known->split || known->split_schedule)
            status = sx_fail(error, SX_E_INVALID, "sx_embedder_options: a split needs a fallback");
        return status;
    }
    if (known->split > 100)
        return sx_fail(error, SX_E_INVALID, "sx_embedder_options: split is %u, at most 100 percent", known->split);
    options.model = known->fallback;
    options.opened = NULL;
    options.remote = known->fallback_remote;
    embedder->fallback = sx_strdup(known->fallback);
    status = embedder->fallback ? sx_leg_open(&options, embedder->model, &embedder->clock, &second, &problem)
                                : sx_fail_nomem(&problem, 256);
    if (status == SX_E_NETWORK || status == SX_E_PROVIDER) { /* a second source that is away is no reason to do nothing */
        void *user = NULL;
        sx_log_callback log = known->cache ? sx_store_log_of(known->cache, &user) : NULL;
        char message[1200];
        snprintf(message, sizeof message, "fallback %s: %s; going on without it", known->fallback, problem.message);
        if (log)
            log(SX_LOG_WARNING, message, user);
        free(embedder->fallback);
        embedder->fallback = NULL;
        return SX_OK;
    }
    if (status) {
        if (error)
            *error = problem;
        return status;
    }
    sx_router_options router = {.split = known->split, .schedule = known->split_schedule != 0,
                                .models = {embedder->model, embedder->fallback}};
    const char *first_json = embedder->provider->info.recipe_json;
    sx_sha256 recipe;
    sx_sha256_of(first_json, strlen(first_json), &recipe);
    sx_sha256_of(second->info.recipe_json, strlen(second->info.recipe_json), &embedder->fallback_recipe);
    status = check_same_space(embedder, known->cache, embedder->provider, second, error);
    if (!status && router.schedule && !router.split)
        router.split = 10;
    if (!status && router.schedule && known->cache)
        status = sx_store_split_get(known->cache, &recipe, &embedder->fallback_recipe, &reached, error);
    if (!status && reached >= 0 && reached <= 100 && !known->split)
        router.split = (unsigned)reached;
    embedder->schedule = router.schedule;
    embedder->split = reached >= 0 && reached == (int64_t)router.split ? router.split : UINT32_MAX;
    if (status) {
        sx_provider_close(second);
        return status;
    }
    sx_provider *first = embedder->provider;
    embedder->provider = NULL;
    return sx_router_make(first, second, &router, &embedder->clock, &embedder->provider, error);
}

/* A shift goes on in the next run where this one left it. */
static void keep_split(const sx_embedder *embedder)
{
    if (embedder->schedule && embedder->cache && embedder->provider && embedder->provider->leg_count &&
        embedder->provider->split != embedder->split)
        (void)sx_store_split_set(embedder->cache, &embedder->recipe, &embedder->fallback_recipe, embedder->provider->split, NULL);
}

/* A budget cannot be kept by guessing. */
static sx_status check_price(const sx_embedder *embedder, sx_error *error)
{
    if (embedder->budget_usd <= 0 || embedder->provider->info.usd_per_million >= 0)
        return SX_OK;
    sx_fail(error, SX_E_INVALID, "%s: its price is not known, so a budget cannot be kept", embedder->model);
    sx_hint(error, "give its price in a file of prices and limits, or leave the budget out");
    return SX_E_INVALID;
}

sx_status sx_embedder_open_clocked(const sx_embedder_options *options, const sx_clock *clock, sx_embedder **out,
                                   sx_error *error)
{
    sx_embedder_options known;
    *out = NULL;
    sx_status status = sx_options_read(options, &known, sizeof known, "sx_embedder_options", error);
    if (status)
        return status;
    if (known.places.size) {
        sx_places places;
        status = sx_options_read(&known.places, &places, sizeof places, "sx_embedder_options.places", error);
        if (status)
            return status;
    }
    if (!known.model || !known.model[0])
        return sx_fail(error, SX_E_INVALID, "sx_embedder_options: model is not set");
    sx_embedder *embedder = sx_calloc(1, sizeof *embedder);
    if (!embedder)
        return sx_fail_nomem(error, sizeof *embedder);
    embedder->clock = clock ? *clock : sx_system_clock;
    embedder->strict = known.strict;
    embedder->model = sx_strdup(known.model);
    status = embedder->model ? read_money(&known, embedder, error) : sx_fail_nomem(error, strlen(known.model) + 1);
    if (!status)
        status = sx_leg_open(&known, known.fallback, &embedder->clock, &embedder->provider, error);
    if (!status)
        status = open_fallback(&known, embedder, error);
    if (!status)
        status = check_price(embedder, error);
    if (!status)
        status = open_shared(&known, embedder, error);
    if (!status) {
        const sx_provider_info *info = &embedder->provider->info;
        hash_string(info->space_json, &embedder->space, embedder->space_hex);
        hash_string(info->recipe_json, &embedder->recipe, embedder->recipe_hex);
        embedder->info = (sx_embedder_info){
            .model = embedder->model,
            .provider = info->name,
            .space = embedder->space_hex,
            .recipe = embedder->recipe_hex,
            .recipe_json = info->recipe_json,
            .prompt = info->prompt,
            .dimensions = info->dimensions,
            .max_length = info->max_length,
        };
        embedder->cache = known.cache;
        if (known.cache)
            status = sx_embedder_recipe(embedder, known.cache, &embedder->cache_recipe, error);
        if (!status)
            status = sx_embedder_pipeline(embedder, known.cache, NULL, NULL, &embedder->pipeline, error);
    }
    if (status)
        sx_embedder_close(embedder);
    else
        *out = embedder;
    return status;
}

sx_status sx_embedder_open(const sx_embedder_options *options, sx_embedder **out, sx_error *error)
{
    if (!options || !out) {
        if (out)
            *out = NULL;
        return sx_fail(error, SX_E_INVALID, "sx_embedder_open: options or out is NULL");
    }
    return sx_embedder_open_clocked(options, NULL, out, error);
}

void sx_embedder_close(sx_embedder *embedder)
{
    if (!embedder)
        return;
    (void)sx_embedder_batch_end(embedder, 0, NULL);
    sx_pipeline_close(embedder->pipeline);
    keep_split(embedder);
    if (embedder->fallback && embedder->cache)
        sx_store_stand_in(embedder->cache, 0, 0);
    sx_shared_cache_close(embedder->shared);
    sx_provider_close(embedder->provider);
    free(embedder->model);
    free(embedder->fallback);
    free(embedder->alert_url);
    sx_hash_set_clear(&embedder->estimated);
    free(embedder);
}

const sx_embedder_info *sx_embedder_describe(const sx_embedder *embedder)
{
    return embedder ? &embedder->info : NULL;
}

const sx_model *sx_embedder_model(const sx_embedder *embedder)
{
    return embedder ? embedder->provider->model : NULL;
}

sx_status sx_embedder_embed(sx_embedder *embedder, const sx_text *texts, size_t count, float *vectors,
                            sx_receipt *receipts, const volatile int *stop, sx_error *error)
{
    if (!embedder || (count && (!texts || !vectors || !receipts)))
        return sx_fail(error, SX_E_INVALID, "sx_embedder_embed: embedder, texts, vectors or receipts is NULL");
    for (size_t i = 0; i < count; i++)
        if (!texts[i].data && texts[i].length)
            return sx_fail(error, SX_E_INVALID, "sx_embedder_embed: text %zu is NULL with length %zu", i, texts[i].length);
    if (!count)
        return SX_OK;
    size_t dimensions = embedder->info.dimensions;
    sx_pipeline_item *items = sx_calloc(count, sizeof *items);
    if (!items)
        return sx_fail_nomem(error, count * sizeof *items);
    for (size_t i = 0; i < count; i++)
        items[i] = (sx_pipeline_item){.text = texts[i], .vector = vectors + i * dimensions};
    sx_status status = sx_pipeline_run(embedder->pipeline, items, count, stop, error);
    for (size_t i = 0; i < count; i++)
        receipts[i] = items[i].receipt;
    free(items);
    return status;
}

sx_status sx_embedder_cache_use(const sx_embedder *embedder, sx_cache_use *out, sx_error *error)
{
    if (!embedder || !out)
        return sx_fail(error, SX_E_INVALID, "sx_embedder_cache_use: embedder or out is NULL");
    *out = sx_pipeline_count(embedder->pipeline)->use;
    return SX_OK;
}

sx_status sx_embedder_spent(const sx_embedder *embedder, sx_spend *out, sx_error *error)
{
    if (!embedder || !out)
        return sx_fail(error, SX_E_INVALID, "sx_embedder_spent: embedder or out is NULL");
    sx_embedder_spend(embedder, out);
    return SX_OK;
}

sx_status sx_embedder_legs(const sx_embedder *embedder, sx_embedder_leg *legs, size_t capacity, size_t *count, sx_error *error)
{
    if (!embedder || !count || (capacity && !legs))
        return sx_fail(error, SX_E_INVALID, "sx_embedder_legs: embedder, legs or count is NULL");
    const sx_provider *router = embedder->provider;
    *count = router->leg_count;
    for (unsigned i = 0; i < router->leg_count && i < capacity; i++) {
        const sx_provider_leg *leg = &router->legs[i];
        const sx_provider_usage *usage = &leg->provider->usage;
        bool unpriced = leg->provider->info.usd_per_million < 0;
        legs[i] = (sx_embedder_leg){
            .model = leg->model,
            .open = leg->open,
            .split = i ? router->split : 100 - router->split,
            .batches = leg->batches,
            .errors = leg->errors,
            .taken_over = leg->taken_over,
            .spent = {.requests = usage->requests,
                      .texts = leg->texts,
                      .tokens = usage->tokens,
                      .unpriced_tokens = unpriced ? usage->tokens : 0,
                      .usd = unpriced ? 0 : usage->usd},
        };
        sx_router_latency(router, i, &legs[i].p50_ms, &legs[i].p95_ms);
    }
    return SX_OK;
}

void sx_embedder_spend(const sx_embedder *embedder, sx_spend *out)
{
    const sx_provider_usage *usage = &embedder->provider->usage;
    const sx_pipeline_counts *counts = sx_pipeline_count(embedder->pipeline);
    *out = (sx_spend){.requests = usage->requests,
                      .texts = counts->embedded,
                      .cached = counts->cached,
                      .tokens = usage->tokens};
    sx_provider_price(embedder->provider, out);
}
