/* model_choice.c - which model a verb that works on a collection uses. */
#include "model_choice.h"
#include "money.h"
#include "remote_choice.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>

static const sx_collection_info *find_collection(const sx_database_status *status, const char *name)
{
    for (size_t i = 0; i < status->collection_count; i++)
        if (strcmp(status->collections[i].name, name) == 0)
            return &status->collections[i];
    return NULL;
}

sx_status sx_cli_require_collection(sx_database *database, const char *name, sx_error *error)
{
    sx_database_status *there = NULL;
    sx_status status = sx_database_list(database, &there, error);
    if (status)
        return status;
    if (!find_collection(there, name)) {
        char names[256] = "";
        for (size_t i = 0; i < there->collection_count && strlen(names) < sizeof names - 8; i++) {
            size_t used = strlen(names);
            snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", there->collections[i].name);
        }
        status = sx_fail(error, SX_E_NOT_FOUND, "collection %s: not found", name);
        if (*names)
            sx_hint(error, "there is: %s", names);
        else
            sx_hint(error, "there is none yet; `sextant index PATH` makes one");
    }
    sx_database_status_free(there);
    return status;
}

/* A collection made with --precision int8 is continued with it: when that is what makes the recipes agree. */
static void keep_precision(const sx_embedder_options *options, const char *recipe, sx_embedder **embedder)
{
    sx_embedder_options other = *options;
    sx_embedder *found = NULL;
    if (strcmp(sx_embedder_describe(*embedder)->recipe, recipe) == 0 || !sx_embedder_model(*embedder))
        return;
    other.precision = "int8";
    if (sx_embedder_open(&other, &found, NULL) == SX_OK && strcmp(sx_embedder_describe(found)->recipe, recipe) == 0) {
        sx_embedder_close(*embedder);
        *embedder = found;
    } else {
        sx_embedder_close(found);
    }
}

sx_status sx_cli_open_collection_embedder(sx_cli *cli, sx_database *database, const char *role, sx_embedder **out,
                                          sx_error *error)
{
    return sx_cli_open_embedder_of(cli, database, sx_cli_text(cli, "collection"), role, out, error);
}

sx_status sx_cli_open_embedder_of(sx_cli *cli, sx_database *database, const char *name, const char *role, sx_embedder **out,
                                  sx_error *error)
{
    *out = NULL;
    const sx_cli_value *asked = sx_cli_get(cli, "model"), *dimensions = sx_cli_get(cli, "dimensions");
    sx_database_status *there = NULL;
    char *reference = NULL;
    sx_status status = sx_database_list(database, &there, error);
    const sx_collection_info *collection = status ? NULL : find_collection(there, name);
    bool own = collection && !asked->given && collection->model && *collection->model;
    if (!status && own) {
        reference = sx_strdup(collection->model);
        if (!reference)
            status = sx_fail_nomem(error, strlen(collection->model));
        if (!status && asked->source && strcmp(asked->text, collection->model) != 0 && cli->verbose)
            sx_cli_note(cli, "%s: '%s' is left aside; collection %s was made with %s", asked->source, asked->text, name,
                        collection->model);
    } else if (!status) {
        status = sx_cli_model_reference(cli, &reference, error);
    }
    sx_embedder_options options = {
        .size = sizeof options,
        .model = reference,
        .places = cli->places,
        .role = role,
        .dimensions = own && !dimensions->given ? 0 : (uint32_t)sx_cli_count(cli, "dimensions"),
        .threads = (unsigned)sx_cli_count(cli, "threads"),
        .batch_size = (uint32_t)sx_cli_count(cli, "batch-size"),
        .cache = database,
        .shared_cache = sx_cli_text(cli, "shared-cache"),
        .shared_cache_ttl_s = sx_cli_count(cli, "shared-cache-ttl"),
        .precision = sx_cli_text(cli, "precision"),
    };
    if (!status)
        status = sx_cli_read_remote(cli, reference, &options.remote, error);
    if (!status)
        status = sx_cli_read_money(cli, &options.remote, error);
    if (!status)
        status = sx_cli_read_fallback(cli, &options, error);
    if (!status)
        status = sx_embedder_open(&options, out, error);
    /* A collection made with --dimensions is searched and continued with them. */
    if (!status && own && !options.dimensions && sx_embedder_describe(*out)->dimensions > collection->dimensions) {
        sx_embedder_close(*out);
        *out = NULL;
        options.dimensions = collection->dimensions;
        status = sx_embedder_open(&options, out, error);
    }
    if (!status && own && !options.precision && strcmp(role, "document") == 0)
        keep_precision(&options, collection->recipe, out);
    free(reference);
    sx_database_status_free(there);
    return status;
}
