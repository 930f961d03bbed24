/* search.c - sx_search: the query's vector, the nearest chunks, and what a reader wants to see of each. */
#include "embedder.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../base/options.h"
#include "../store/shadows.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_COUNT = 5, MOST_COUNT = 1000000, MOST_TRIES = 5 };

static void clear_hit(sx_hit *hit)
{
    free(hit->root);
    free(hit->document);
    for (uint32_t i = 0; i < hit->heading_count; i++)
        free(hit->headings[i]);
    free(hit->headings);
    free(hit->metadata);
    free(hit->text);
    *hit = (sx_hit){0};
}

static void clear_hits(sx_hits *hits)
{
    for (size_t i = 0; i < hits->count; i++)
        clear_hit(&hits->hits[i]);
    free(hits->hits);
    hits->hits = NULL;
    hits->count = 0;
}

void sx_hits_free(sx_hits *hits)
{
    if (!hits)
        return;
    clear_hits(hits);
    free(hits->collection);
    free(hits);
}

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

static sx_status take_headings(const char *text, sx_hit *hit, sx_error *error)
{
    json_t *headings = text ? json_loads(text, 0, NULL) : NULL;
    size_t count = json_array_size(headings);
    sx_status status = SX_OK;
    hit->headings = sx_calloc(count, sizeof *hit->headings);
    if (!hit->headings)
        status = sx_fail_nomem(error, count * sizeof *hit->headings);
    for (size_t i = 0; !status && i < count; i++) {
        const char *heading = json_string_value(json_array_get(headings, i));
        hit->headings[i] = sx_strdup(heading ? heading : "");
        if (!hit->headings[i])
            status = sx_fail_nomem(error, 64);
        else
            hit->heading_count++;
    }
    json_decref(headings);
    return status;
}

/* The rows' strings move into the hit. */
static sx_status fill_hit(sx_database *database, const sx_candidate *candidate, uint32_t rank, sx_hit *hit, sx_error *error)
{
    sx_chunk_row chunk = {0};
    sx_document_row document = {0};
    sx_status status = sx_store_chunk(database, candidate->chunk, &chunk, &document, error);
    if (!status)
        status = take_headings(chunk.headings, hit, error);
    if (!status) {
        hit->rank = rank;
        hit->score = hit->similarity = candidate->similarity;
        hit->index = chunk.index;
        hit->start = chunk.start;
        hit->end = chunk.end;
        hit->start_line = chunk.start_line;
        hit->end_line = chunk.end_line;
        hit->root = document.root;
        hit->document = document.path;
        hit->metadata = document.metadata ? document.metadata : sx_strdup("{}");
        hit->text = chunk.text;
        hit->text_length = chunk.text_length;
        document.root = document.path = document.metadata = chunk.text = NULL;
        if (!hit->metadata)
            status = sx_fail_nomem(error, 3);
    }
    sx_chunk_row_clear(&chunk);
    sx_document_row_clear(&document);
    return status;
}

/* SX_E_NOT_FOUND when a chunk went away meanwhile. */
static sx_status fill_hits(sx_database *database, const sx_candidate *candidates, size_t count, sx_hits *hits, sx_error *error)
{
    hits->hits = sx_calloc(count, sizeof *hits->hits);
    if (!hits->hits)
        return sx_fail_nomem(error, count * sizeof *hits->hits);
    for (size_t i = 0; i < count; i++) {
        hits->count = i + 1;
        sx_status status = fill_hit(database, &candidates[i], (uint32_t)i + 1, &hits->hits[i], error);
        if (status)
            return status;
    }
    return SX_OK;
}

static sx_status look(sx_database *database, const sx_collection_row *collection, const sx_search_options *options,
                      const float *vector, sx_hits *hits, sx_error *error)
{
    size_t found = 0;
    sx_candidate *candidates = sx_calloc(options->count, sizeof *candidates);
    if (!candidates)
        return sx_fail_nomem(error, options->count * sizeof *candidates);
    sx_status status;
    unsigned tries = 0;
    do { /* an indexer may replace a document between the two steps: then both are done again */
        clear_hits(hits);
        status = sx_store_nearest(database, collection, vector, options->count, options->filters, options->filter_count,
                                  candidates, &found, error);
        while (!status && options->has_threshold && found && candidates[found - 1].similarity < options->threshold)
            found--;
        if (!status)
            status = fill_hits(database, candidates, found, hits, error);
    } while (status == SX_E_NOT_FOUND && ++tries < MOST_TRIES);
    free(candidates);
    return status;
}

static sx_status check_space(const sx_collection_row *collection, const sx_embedder *embedder, sx_error *error)
{
    if (!strcmp(collection->space_hash, embedder->space_hex))
        return SX_OK;
    sx_fail(error, SX_E_MISMATCH, "collection %s: made with model %s (space %.12s), the query's is %s (space %.12s)",
            collection->name, collection->model, collection->space_hash, embedder->model, embedder->space_hex);
    sx_hint(error, "search with the collection's model: -m %s", collection->model);
    return SX_E_MISMATCH;
}

/* Looks again when the collection went away meanwhile while another took its name, as the old side of a migration does: what was
 * found in it may not be all. */
static sx_status look_until_whole(sx_database *database, sx_collection_row *collection, const sx_embedder *embedder,
                                  const sx_search_options *options, const float *vector, sx_hits *hits, sx_error *error)
{
    bool whole = false;
    sx_status status = SX_OK;
    for (unsigned tries = 0; !status && !whole && tries < MOST_TRIES; tries++) {
        if (tries) {
            sx_collection_row_clear(collection);
            status = sx_store_collection_find(database, options->collection ? options->collection : "default", collection, error);
            if (!status)
                status = check_space(collection, embedder, error);
        }
        if (!status)
            status = look(database, collection, options, vector, hits, error);
        sx_status asked = status && status != SX_E_NOT_FOUND ? status : sx_store_is_whole(database, collection->id, &whole, error);
        status = status == SX_E_NOT_FOUND && !asked && !whole ? SX_OK : asked ? asked : status;
    }
    return status;
}

sx_status sx_search(sx_database *database, sx_embedder *embedder, sx_text query, const sx_search_options *options,
                    sx_hits **out, sx_error *error)
{
    if (out)
        *out = NULL;
    if (!database || !embedder || !out || (!query.data && query.length))
        return sx_fail(error, SX_E_INVALID, "sx_search: database, embedder, query or out is NULL");
    int64_t began = embedder->clock.monotonic_ns(embedder->clock.user);
    sx_search_options known;
    sx_collection_row collection = {0};
    float *vector = NULL;
    sx_hits *hits = NULL;
    sx_status status = sx_options_read(options, &known, sizeof known, "sx_search_options", error);
    if (!status && known.filter_count && !known.filters)
        status = sx_fail(error, SX_E_INVALID, "sx_search_options: filters is NULL with count %zu", known.filter_count);
    if (!status && known.count > MOST_COUNT)
        status = sx_fail(error, SX_E_INVALID, "sx_search_options: count is %u, more than %d", known.count, MOST_COUNT);
    if (status)
        return status;
    if (!known.count)
        known.count = DEFAULT_COUNT;
    status = sx_store_collection_find(database, known.collection ? known.collection : "default", &collection, error);
    if (!status)
        status = check_space(&collection, embedder, error);
    if (status)
        goto out;
    hits = sx_calloc(1, sizeof *hits);
    vector = sx_calloc(embedder->info.dimensions, sizeof *vector);
    if (!hits || !vector) {
        status = sx_fail_nomem(error, embedder->info.dimensions * sizeof *vector);
        goto out;
    }
    hits->mode = "semantic";
    hits->type = "general";
    hits->rerank = "none";
    hits->collection = sx_strdup(collection.name);
    status = hits->collection ? embed_query(database, collection.name, embedder, query, vector, error)
                              : sx_fail_nomem(error, 64);
    if (!status)
        status = look_until_whole(database, &collection, embedder, &known, vector, hits, error);
    if (!status)
        hits->milliseconds = (double)(embedder->clock.monotonic_ns(embedder->clock.user) - began) / 1e6;
out:
    sx_collection_row_clear(&collection);
    free(vector);
    if (status)
        sx_hits_free(hits);
    else
        *out = hits;
    return status;
}
