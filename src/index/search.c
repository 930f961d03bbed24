/* search.c - sx_search: what the options mean, the query's vector, and looking again when the collection changed meanwhile. */
#include "embedder.h"
#include "page_words.h"
#include "search_by_vector.h"
#include "search_hits.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../base/options.h"
#include "../store/shadows.h"
#include "../store/spaces.h"
#include "../text/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_COUNT = 5, MOST_COUNT = 1000000, MOST_TRIES = 5, RERANKED = 100, RERANKED_BY_MODEL = 50 };

/* The query is embedded, never stored: the cache holds what is searched, not what people look for. What it costs is written down
 * where it may cost something; else a search takes no write lock. */
static sx_status embed_query(sx_database *database, const char *collection, sx_embedder *embedder, sx_text query, float *vector,
                             sx_error *error)
{
    sx_pipeline *pipeline;
    sx_status status = sx_embedder_pipeline(embedder, NULL, NULL, NULL, &pipeline, error);
    if (status)
        return status;
    const sx_provider_info *info = &embedder->provider->info;
    sx_pipeline_name(pipeline, "search", collection, false);
    if (info->remote || info->usd_per_million != 0)
        sx_pipeline_ledger(pipeline, database);
    sx_pipeline_item item = {.text = query, .vector = vector};
    status = sx_pipeline_run(pipeline, &item, 1, NULL, error);
    if (!status && item.receipt.status)
        status = sx_fail(error, item.receipt.status, "query: %s",
                         item.receipt.message ? item.receipt.message : "no vector could be made");
    else if (!status && item.receipt.empty)
        status = sx_fail(error, SX_E_INVALID, "query: nothing but white space");
    sx_pipeline_close(pipeline);
    return status;
}

static sx_status look(sx_database *database, const sx_collection_row *collection, const sx_search_plan *plan, sx_hits *hits,
                      sx_error *error)
{
    sx_status status;
    unsigned tries = 0;
    do { /* an indexer may replace a document between two steps: then all are done again */
        sx_search_window window = {0};
        sx_search_hits_clear(hits);
        status = sx_search_window_fill(database, collection, plan, &window, error);
        if (!status)
            status = sx_search_hits_fill(database, &window, plan, hits, error);
        sx_search_window_clear(&window);
    } while (status == SX_E_NOT_FOUND && ++tries < MOST_TRIES);
    return status;
}

static sx_status check_space(sx_database *database, const sx_collection_row *collection, const sx_embedder *embedder,
                             sx_error *error)
{
    sx_sha256 space;
    bool proven = false;
    if (!strcmp(collection->space_hash, embedder->space_hex))
        return SX_OK;
    sx_status status = SX_OK;
    if (!sx_sha256_from_hex(collection->space_hash, &space))
        status = sx_store_space_of(database, &embedder->recipe, &space, &proven, error);
    if (status || proven)
        return status;
    sx_fail(error, SX_E_MISMATCH, "collection %s: made with model %s (space %.12s), the query's is %s (space %.12s)",
            collection->name, collection->model, collection->space_hash, embedder->model, embedder->space_hex);
    sx_hint(error, "search with the collection's model: -m %s", collection->model);
    return SX_E_MISMATCH;
}

/* Looks again when the collection went away meanwhile while another took its name, as the old side of a migration does: what was
 * found in it may not be all. */
static sx_status look_until_whole(sx_database *database, sx_collection_row *collection, const sx_embedder *embedder,
                                  const char *name, const sx_search_plan *plan, sx_hits *hits, sx_error *error)
{
    bool whole = false;
    sx_status status = SX_OK;
    for (unsigned tries = 0; !status && !whole && tries < MOST_TRIES; tries++) {
        if (tries) {
            sx_collection_row_clear(collection);
            status = sx_store_collection_find(database, name, collection, error);
            if (!status && embedder)
                status = check_space(database, collection, embedder, error);
        }
        if (!status)
            status = look(database, collection, plan, hits, error);
        sx_status asked = status && status != SX_E_NOT_FOUND ? status : sx_store_is_whole(database, collection->id, &whole, error);
        status = status == SX_E_NOT_FOUND && !asked && !whole ? SX_OK : asked ? asked : status;
    }
    return status;
}

/* A stack trace in the query, where the type reads them. What is then looked for is what it tells, without the paths. */
static sx_status read_trace(sx_search_plan *plan, sx_error *error)
{
    if (plan->query.type->trace_weight <= 0)
        return SX_OK;
    sx_status status = sx_stack_trace_read(plan->query.text, &plan->trace, error);
    if (status || !plan->trace.frame_count)
        return status;
    plan->query.trace = &plan->trace;
    if (!sx_text_is_blank(plan->trace.told.data, plan->trace.told.length))
        plan->query.text = plan->trace.told;
    return SX_OK;
}

/* What the options mean. */
static sx_status make_plan(const sx_search_options *known, const sx_embedder *embedder, sx_text query, sx_search_plan *plan,
                           sx_error *error)
{
    *plan = (sx_search_plan){
        .query = {.text = query,
                  .threshold = known->threshold,
                  .has_threshold = known->has_threshold != 0,
                  .filters = known->filters,
                  .filter_count = known->filter_count,
                  .kinds = known->prefer,
                  .ef_search = known->ef_search,
                  .exact = known->exact != 0},
        .cross_encoder = known->cross_encoder,
        .count = known->count ? known->count : DEFAULT_COUNT,
        .fold = !known->keep_duplicates,
        .join = known->join_neighbours != 0,
    };
    if (known->filter_count && !known->filters)
        return sx_fail(error, SX_E_INVALID, "sx_search_options: filters is NULL with count %zu", known->filter_count);
    if (known->count > MOST_COUNT || known->rerank_count > MOST_COUNT)
        return sx_fail(error, SX_E_INVALID, "sx_search_options: count or rerank_count is %u, more than %d",
                       known->count > MOST_COUNT ? known->count : known->rerank_count, MOST_COUNT);
    sx_status status = sx_search_mode_find(known->mode, &plan->query.mode, error);
    if (!status)
        status = sx_query_type_find(known->type, &plan->query.type, error);
    if (!status && !known->prefer)
        plan->query.kinds = plan->query.type->kinds;
    if (!status)
        status = sx_rerank_find(known->rerank, known->cross_encoder, &plan->rerank, error);
    if (status)
        return status;
    plan->rerank_count = known->rerank_count                    ? known->rerank_count
                         : plan->rerank == SX_RERANK_MODEL ? RERANKED_BY_MODEL
                                                           : RERANKED;
    if (!known->rerank_count && plan->rerank_count < plan->count)
        plan->rerank_count = plan->count;
    if (embedder)
        return SX_OK;
    if (plan->query.mode != SX_SEARCH_KEYWORD)
        return sx_fail(error, SX_E_INVALID, "sx_search: the embedder is NULL, which only the mode \"keyword\" can do without");
    if (known->has_threshold)
        return sx_fail(error, SX_E_INVALID, "sx_search: a threshold is a similarity, and without an embedder there are none");
    return SX_OK;
}

sx_status sx_search(sx_database *database, sx_embedder *embedder, sx_text query, const sx_search_options *options,
                    sx_hits **out, sx_error *error)
{
    if (out)
        *out = NULL;
    if (!database || !out || (!query.data && query.length))
        return sx_fail(error, SX_E_INVALID, "sx_search: database, query or out is NULL");
    const sx_clock *clock = embedder ? &embedder->clock : &sx_system_clock;
    int64_t began = clock->monotonic_ns(clock->user);
    static const char *const modes[] = {[SX_SEARCH_HYBRID] = "hybrid", [SX_SEARCH_SEMANTIC] = "semantic", [SX_SEARCH_KEYWORD] = "keyword"};
    sx_search_options known;
    sx_search_plan plan;
    sx_collection_row collection = {0};
    float *vector = NULL;
    sx_hits *hits = NULL;
    sx_status status = sx_options_read(options, &known, sizeof known, "sx_search_options", error);
    if (!status)
        status = make_plan(&known, embedder, query, &plan, error);
    if (status)
        return status;
    if (sx_text_is_blank(query.data ? query.data : "", query.length))
        return sx_fail(error, SX_E_INVALID, "query: nothing but white space");
    status = read_trace(&plan, error);
    if (status)
        goto out;
    const char *name = known.collection ? known.collection : "default";
    status = sx_store_collection_find(database, name, &collection, error);
    if (!status && embedder)
        status = check_space(database, &collection, embedder, error);
    if (status)
        goto out;
    size_t dimensions = embedder ? embedder->info.dimensions : 0;
    hits = sx_calloc(1, sizeof *hits);
    vector = sx_calloc(dimensions, sizeof *vector);
    if (!hits || !vector) {
        status = sx_fail_nomem(error, dimensions * sizeof *vector);
        goto out;
    }
    hits->mode = modes[plan.query.mode];
    hits->type = plan.query.type->name;
    hits->rerank = sx_rerank_name(plan.rerank);
    hits->collection = sx_strdup(collection.name);
    if (!hits->collection)
        status = sx_fail_nomem(error, 64);
    if (!status && embedder)
        status = embed_query(database, collection.name, embedder, plan.query.text, vector, error);
    plan.query.vector = embedder ? vector : NULL;
    if (!status)
        status = look_until_whole(database, &collection, embedder, name, &plan, hits, error);
    if (!status)
        hits->milliseconds = (double)(clock->monotonic_ns(clock->user) - began) / 1e6;
out:
    sx_stack_trace_clear(&plan.trace);
    sx_collection_row_clear(&collection);
    free(vector);
    if (status)
        sx_hits_free(hits);
    else
        *out = hits;
    return status;
}

/* ---- Without a query's words ---- */

static sx_status make_hits(const sx_collection_row *collection, sx_hits **out, sx_error *error)
{
    sx_hits *hits = *out = sx_calloc(1, sizeof *hits);
    if (hits) {
        hits->mode = "semantic";
        hits->type = "general";
        hits->rerank = "none";
        hits->collection = sx_strdup(collection->name);
    }
    return hits && hits->collection ? SX_OK : sx_fail_nomem(error, sizeof *hits);
}

sx_status sx_search_by_vector(sx_database *database, const sx_collection_row *collection, const sx_search_options *options,
                              const float *vector, const int64_t *skip, size_t skip_count, sx_hits **out, sx_error *error)
{
    sx_search_options known = *options;
    sx_search_plan plan;
    int64_t began = sx_system_clock.monotonic_ns(sx_system_clock.user);
    if (known.rerank && strcmp(known.rerank, "none") != 0)
        return sx_fail(error, SX_E_INVALID, "what is similar to a passage cannot be re-ranked by a query's words");
    known.mode = "keyword"; /* which plans without an embedder; the vector comes after */
    int has_threshold = known.has_threshold;
    known.has_threshold = 0;
    sx_status status = make_plan(&known, NULL, (sx_text){"", 0}, &plan, error);
    if (!status)
        status = make_hits(collection, out, error);
    if (!status) {
        plan.query.mode = SX_SEARCH_SEMANTIC;
        plan.query.has_threshold = has_threshold != 0;
        plan.query.vector = vector;
        plan.skip = skip;
        plan.skip_count = skip_count;
        status = look(database, collection, &plan, *out, error);
        (*out)->milliseconds = (double)(sx_system_clock.monotonic_ns(sx_system_clock.user) - began) / 1e6;
    }
    if (status) {
        sx_hits_free(*out);
        *out = NULL;
    }
    return status;
}

sx_status sx_search_hits_of_chunks(sx_database *database, const sx_collection_row *collection, sx_chunk_row *chunks, size_t count,
                                   sx_hits **out, sx_error *error)
{
    sx_status status = make_hits(collection, out, error);
    if (!status && !((*out)->hits = sx_calloc(count, sizeof *(*out)->hits)))
        status = sx_fail_nomem(error, count * sizeof *(*out)->hits);
    for (size_t i = 0; !status && i < count; i++) {
        sx_hit *hit = &(*out)->hits[i];
        (*out)->count = i + 1;
        hit->rank = (uint32_t)i + 1;
        hit->score = hit->similarity = NAN;
        status = sx_search_hit_place(database, &chunks[i], hit, error);
        if (!status)
            status = sx_places_resolve(hit, error);
    }
    if (status) {
        sx_hits_free(*out);
        *out = NULL;
    }
    return status;
}
