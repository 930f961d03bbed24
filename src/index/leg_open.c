/* leg_open.c - opening one of two sources of the same vectors, also while it is away.
 *
 * What a service would say of itself when asked (dimensions, its model's name) stands in the proof that the two are of one space
 * (same_space.c): with that it is opened unasked, and only taken when its recipe then is the one that was proven.
 */
#include "leg_open.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../store/spaces.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PROOFS = 64 };

/* A side of a proof of the two models. */
typedef struct proven_side {
    sx_sha256 recipe;
    uint32_t dimensions;
} proven_side;

typedef struct proof_search {
    const char *model, *other;
    proven_side found[MOST_PROOFS]; /* roles, prompts and dimensions have proofs of their own */
    size_t count;
} proof_search;

static sx_status collect(const sx_space_row *row, void *user, sx_error *error)
{
    proof_search *search = user;
    (void)error;
    for (int i = 0; i < 2; i++)
        if (search->count < MOST_PROOFS && !strcmp(row->models[i], search->model) && !strcmp(row->models[!i], search->other))
            search->found[search->count++] = (proven_side){row->recipes[i], row->dimensions};
    return SX_OK;
}

static bool has_recipe(const sx_provider *provider, const sx_sha256 *recipe)
{
    sx_sha256 hash;
    sx_sha256_of(provider->info.recipe_json, strlen(provider->info.recipe_json), &hash);
    return memcmp(&hash, recipe, sizeof hash) == 0;
}

/* Opens by the word of one proof; *out stays NULL when what opens is not what was proven. */
static sx_status open_as_proven(const sx_embedder_options *options, const proven_side *side, const sx_clock *clock,
                                sx_provider **out, sx_error *error)
{
    char *space = NULL;
    sx_error problem;
    *out = NULL;
    sx_status status = sx_store_space_json(options->cache, &side->recipe, &space, error);
    if (status || !space)
        return status;
    json_t *json = json_loads(space, 0, NULL);
    sx_provider_known known = {.dimensions = side->dimensions, .model = json_string_value(json_object_get(json, "model"))};
    if (sx_provider_open_away(options, &known, clock, out, &problem) == SX_OK && !has_recipe(*out, &side->recipe)) {
        sx_provider_close(*out);
        *out = NULL;
    }
    json_decref(json);
    free(space);
    return SX_OK;
}

sx_status sx_leg_open(const sx_embedder_options *options, const char *other, const sx_clock *clock, sx_provider **out,
                         sx_error *error)
{
    sx_error problem = {0};
    sx_status status = sx_provider_open(options, clock, out, &problem);
    if (status && error)
        *error = problem;
    if ((status != SX_E_NETWORK && status != SX_E_PROVIDER) || !other || !other[0] || !options->cache)
        return status;
    proof_search *search = sx_calloc(1, sizeof *search);
    if (!search)
        return sx_fail_nomem(error, sizeof *search);
    search->model = options->model;
    search->other = other;
    sx_status looked = sx_store_spaces(options->cache, collect, search, error);
    for (size_t i = 0; !looked && !*out && i < search->count; i++)
        looked = open_as_proven(options, &search->found[i], clock, out, error);
    free(search);
    if (looked || !*out)
        return looked ? looked : status;
    void *user = NULL;
    char message[1200];
    sx_log_callback log = sx_store_log_of(options->cache, &user);
    snprintf(message, sizeof message, "%s: %s; taken as it was proven, and asked again later", options->model, problem.message);
    if (log)
        log(SX_LOG_WARNING, message, user);
    return SX_OK;
}
