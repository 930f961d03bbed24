/* embedder.h - the inside of sx_embedder, for the index job, for search, and for tests with a clock of their own. */
#ifndef SX_INDEX_EMBEDDER_H
#define SX_INDEX_EMBEDDER_H

#include "hash_set.h"
#include "pipeline.h"

struct sx_embedder {
    sx_provider *provider;
    sx_pipeline *pipeline;   /* with the cache of the options */
    sx_clock clock;
    int strict;
    sx_database *cache;      /* of the options */
    sx_shared_cache *shared; /* or NULL */
    int64_t cache_recipe;    /* its row there */
    sx_hash_set estimated;   /* texts that sx_embedder_estimate has counted */
    bool allow_secrets;
    double budget_usd, alert_usd;
    char *model, *alert_url;
    char *fallback;          /* or NULL */
    bool schedule;           /* how far the shift has come is kept */
    unsigned split;          /* as it was at open */
    sx_sha256 fallback_recipe;
    sx_sha256 space, recipe;
    char space_hex[SX_SHA256_HEX], recipe_hex[SX_SHA256_HEX];
    sx_embedder_info info;
    struct sx_batch_gathering *gathering; /* between sx_embedder_batch_begin and _end */
};

/* As sx_embedder_open; clock NULL: the machine's. */
sx_status sx_embedder_open_clocked(const sx_embedder_options *options, const sx_clock *clock, sx_embedder **out,
                                   sx_error *error);
/* A pipeline of this embedder's provider on a database, with the shared cache behind it unless the database is NULL; the caller
 * fills advanced and user. */
sx_status sx_embedder_pipeline(sx_embedder *embedder, sx_database *database,
                               void (*advanced)(const sx_pipeline_counts *counts, void *user), void *user,
                               sx_pipeline **out, sx_error *error);
/* The recipe's row in a database, made when it is not there. */
sx_status sx_embedder_recipe(const sx_embedder *embedder, sx_database *database, int64_t *recipe, sx_error *error);

/* What was spent since it was opened; texts and cached are those of sx_embedder_embed. */
void sx_embedder_spend(const sx_embedder *embedder, sx_spend *out);

#endif
