/* search_store.c - sx_search_store: the nearest records of a collection in a vector database, as hits; sx_store_describe.
 *
 * What a record says about its place in a document comes back through the line that an import would read (transfer_record.c); a
 * record of others has only its id or document. Filters are those of all searches (filter_expression.h), which no database has in
 * common; so they are tried here on the nearest records, of which more are asked for until enough pass.
 */
#include "embedder.h"
#include "search_hits.h"
#include "transfer_record.h"

#include "../base/error.h"
#include "../base/json_reader.h"
#include "../base/memory.h"
#include "../base/options.h"
#include "../store/filter_expression.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_COUNT = 5, MOST_COUNT = 10000, GROWTH = 4 };

typedef struct store_search {
    sx_search_options options;
    sx_vector_store *store;
    const char *collection;
    sx_filter **filters;
    sx_transfer_record scratch;
    sx_buffer line, key, value;
    sx_buffer headings; /* of the hit read last, as JSON */
} store_search;

/* ---- What is there ---- */

static sx_status open_place(const sx_store_place *place, const char *call, sx_vector_store **store, sx_error *error)
{
    if (!place || !place->url || !*place->url || !place->collection || !*place->collection)
        return sx_fail(error, SX_E_INVALID, "%s: url or collection of the place is NULL or empty", call);
    const sx_vector_store_options options = {.api_key = place->key};
    return sx_vector_store_open(place->url, &options, store, error);
}

void sx_store_info_free(sx_store_info *info)
{
    if (!info)
        return;
    free(info->model);
    free(info->space);
    free(info->similarity);
    free(info);
}

static bool copy_word(const char *from, char **to)
{
    *to = from ? sx_strdup(from) : NULL;
    return !from || *to;
}

sx_status sx_store_describe(const sx_store_place *place, sx_store_info **out, sx_error *error)
{
    sx_vector_store *store = NULL;
    sx_vector_space space = {0};
    if (!out)
        return sx_fail(error, SX_E_INVALID, "sx_store_describe: out is NULL");
    *out = NULL;
    sx_status status = open_place(place, "sx_store_describe", &store, error);
    sx_store_info *info = status ? NULL : sx_calloc(1, sizeof *info);
    if (!status && !info)
        status = sx_fail_nomem(error, sizeof *info);
    if (!status)
        status = store->class->describe(store, place->collection, &space, &info->records, error);
    if (!status) {
        info->dimensions = space.dimensions;
        if (!copy_word(space.model, &info->model) || !copy_word(space.space, &info->space) ||
            !copy_word(space.similarity, &info->similarity))
            status = sx_fail_nomem(error, 1);
    }
    sx_vector_store_close(store);
    if (status)
        sx_store_info_free(info);
    else
        *out = info;
    return status;
}

/* ---- Hits ---- */

static bool read_headings(store_search *search, sx_json *json, sx_hit *hit)
{
    sx_text text;
    size_t capacity = 0;
    sx_json_array(json);
    while (sx_json_element(json)) {
        if (!sx_json_string(json, &search->value, &text))
            return false;
        if (!sx_reserve((void **)&hit->headings, &capacity, hit->heading_count + 1, sizeof *hit->headings) ||
            !(hit->headings[hit->heading_count] = sx_strndup(text.length ? text.data : "", text.length)))
            return sx_json_reject(json, "no memory for it");
        hit->heading_count++;
    }
    return !json->problem;
}

static void read_place(store_search *search, sx_json *json, sx_hit *hit)
{
    sx_text key, text;
    uint64_t number;
    sx_json_object(json);
    while (sx_json_member(json, &search->key, &key)) {
        uint32_t *line = sx_text_is(key, "start_line") ? &hit->start_line
                         : sx_text_is(key, "end_line") ? &hit->end_line
                         : sx_text_is(key, "index")    ? &hit->index
                                                       : NULL;
        uint64_t *offset = sx_text_is(key, "start") ? &hit->start : sx_text_is(key, "end") ? &hit->end : NULL;
        if ((line || offset) && sx_json_peek(json) == SX_JSON_NUMBER) {
            if (sx_json_unsigned(json, &number) && offset)
                *offset = number;
            else if (line && number <= UINT32_MAX)
                *line = (uint32_t)number;
        } else if (sx_text_is(key, "headings") && sx_json_peek(json) == SX_JSON_ARRAY && !hit->headings) {
            sx_json ahead = *json;
            if (sx_json_raw(&ahead, &text))
                sx_buffer_append(&search->headings, text.data, text.length);
            read_headings(search, json, hit);
        } else if (sx_text_is(key, "symbols") && sx_json_peek(json) == SX_JSON_ARRAY && sx_json_raw(json, &text)) {
            free(hit->symbols);
            hit->symbols = sx_strndup(text.data, text.length);
        } else if (sx_text_is(key, "metadata") && sx_json_raw(json, &text)) {
            free(hit->metadata);
            hit->metadata = sx_strndup(text.data, text.length);
        } else {
            sx_json_skip(json);
        }
    }
}

/* Of a record that an export wrote: where it stands, and the user's own metadata. Of any other only what the database says. */
static sx_status make_hit(store_search *search, const sx_vector_hit *from, sx_hit *hit, sx_error *error)
{
    static const float no_vector[1];
    const sx_vector_record record = {.id = from->id,
                                     .document = from->document,
                                     .text = {from->text, from->text_length},
                                     .metadata = from->metadata,
                                     .vector = no_vector};
    sx_transfer_place place = {0};
    sx_error foreign = {0};
    sx_json json;
    sx_status status = sx_transfer_to_line(&record, 0, &search->scratch, &search->line, &place, &foreign);
    if (!status && !sx_buffer_append_string(&search->line, "}"))
        status = sx_fail_nomem(error, search->line.length);
    else if (status && status != SX_E_UNSUPPORTED && error)
        *error = foreign;
    sx_buffer_reset(&search->headings);
    *hit = (sx_hit){.score = from->similarity, .similarity = from->similarity, .text_length = from->text_length};
    if (!status) {
        sx_json_begin(&json, search->line.data, search->line.length, "record");
        read_place(search, &json, hit);
        if (json.problem)
            status = sx_json_fail(&json, SX_E_FORMAT, error);
    } else if (status == SX_E_UNSUPPORTED) {
        status = SX_OK;
        hit->metadata = from->metadata ? sx_strdup(from->metadata) : NULL;
        hit->end = from->text_length;
    }
    hit->root = sx_strdup(place.root ? place.root : search->store->name);
    hit->document = sx_strdup(from->document && *from->document ? from->document : from->id);
    if (!hit->metadata)
        hit->metadata = sx_strdup("{}");
    hit->text = sx_strndup(from->text_length ? from->text : "", from->text_length);
    if (!status && (!hit->root || !hit->document || !hit->metadata || !hit->text))
        status = sx_fail_nomem(error, from->text_length);
    sx_transfer_place_clear(&place);
    return status;
}

static bool passes(const store_search *search, const sx_hit *hit)
{
    const sx_filter_chunk chunk = {.start = hit->start,
                                   .end = hit->end,
                                   .start_line = hit->start_line,
                                   .end_line = hit->end_line,
                                   .headings = {search->headings.data, search->headings.length},
                                   .symbols = {hit->symbols, hit->symbols ? strlen(hit->symbols) : 0}};
    const sx_filter_subject subject = {.chunk = &chunk,
                                       .metadata = {hit->metadata, strlen(hit->metadata)},
                                       .document = {hit->document, strlen(hit->document)},
                                       .root = {hit->root, strlen(hit->root)}};
    bool damaged = false;
    for (size_t i = 0; i < search->options.filter_count; i++)
        if (!sx_filter_holds(search->filters[i], &subject, &damaged))
            return false;
    return true;
}

/* Asks for `asked` records and keeps those that pass, up to count. *short_: the database had fewer. */
static sx_status look(store_search *search, const float *vector, uint32_t asked, sx_hits *hits, bool *short_, sx_error *error)
{
    sx_vector_hit *found = NULL;
    size_t count = 0;
    const double *threshold = search->options.has_threshold ? &search->options.threshold : NULL;
    sx_search_hits_clear(hits);
    sx_status status =
        search->store->class->query(search->store, search->collection, vector, asked, threshold, NULL, 0, &found, &count, error);
    *short_ = count < asked;
    if (!status && !(hits->hits = sx_calloc(search->options.count, sizeof *hits->hits)))
        status = sx_fail_nomem(error, search->options.count * sizeof *hits->hits);
    for (size_t i = 0; !status && i < count && hits->count < search->options.count; i++) {
        sx_hit *hit = &hits->hits[hits->count];
        status = make_hit(search, &found[i], hit, error);
        if (!status && passes(search, hit)) {
            hit->rank = (uint32_t)++hits->count;
            hit->semantic_rank = (uint32_t)i + 1;
        } else {
            sx_search_hit_clear(hit);
        }
    }
    sx_vector_hits_free(found, count);
    return status;
}

static sx_status find_hits(store_search *search, const float *vector, sx_hits *hits, sx_error *error)
{
    uint32_t count = search->options.count, asked = search->options.filter_count ? count * GROWTH : count;
    for (;;) {
        bool is_short;
        asked = asked < MOST_COUNT ? asked : MOST_COUNT;
        sx_status status = look(search, vector, asked, hits, &is_short, error);
        if (status || hits->count == count || is_short || !search->options.filter_count)
            return status;
        if (asked == MOST_COUNT) {
            sx_fail(error, SX_E_LIMIT, "%s: %s: %zu of the nearest %d records pass the filters, of %u that are wanted",
                    search->store->name, search->collection, hits->count, MOST_COUNT, count);
            sx_hint(error, "ask for fewer, or take the collection over with `sextant collections import --from`");
            return SX_E_LIMIT;
        }
        asked *= GROWTH;
    }
}

/* ---- The query ---- */

static sx_status check_space(store_search *search, const sx_embedder *embedder, sx_error *error)
{
    sx_vector_space space = {0};
    const sx_embedder_info *own = sx_embedder_describe(embedder);
    sx_status status = search->store->class->describe(search->store, search->collection, &space, NULL, error);
    if (status)
        return status;
    if (space.dimensions && space.dimensions != own->dimensions)
        return sx_fail(error, SX_E_MISMATCH, "%s: %s has vectors of %u dimensions, but those of %s have %u", search->store->name,
                       search->collection, space.dimensions, own->model, own->dimensions);
    if (space.space && strcmp(space.space, own->space) != 0) {
        sx_fail(error, SX_E_MISMATCH, "%s: %s was made with %s; vectors of %s are not comparable with its", search->store->name,
                search->collection, space.model ? space.model : "another model", own->model);
        sx_hint(error, "leave -m out, or name that model");
        return SX_E_MISMATCH;
    }
    return SX_OK;
}

static sx_status check_options(store_search *search, const sx_search_options *options, sx_error *error)
{
    sx_status status = sx_options_read(options, &search->options, sizeof search->options, "sx_search_options", error);
    sx_search_options *read = &search->options;
    if (status)
        return status;
    if (read->mode && strcmp(read->mode, "semantic") != 0)
        return sx_fail(error, SX_E_UNSUPPORTED, "a vector database is searched by meaning (mode \"semantic\"), not %s",
                       read->mode);
    if (read->rerank && strcmp(read->rerank, "none") != 0)
        return sx_fail(error, SX_E_UNSUPPORTED, "results of a vector database are not re-ranked (%s)", read->rerank);
    if (read->prefer && *read->prefer)
        return sx_fail(error, SX_E_UNSUPPORTED, "kinds of definitions are not preferred in a vector database; a filter kind=... is possible");
    if (read->join_neighbours || read->exact)
        return sx_fail(error, SX_E_UNSUPPORTED, "in a vector database neighbours are not joined, and its own index is used");
    if (read->count > MOST_COUNT)
        return sx_fail(error, SX_E_INVALID, "sx_search_options: count is %u, at most %d", read->count, MOST_COUNT);
    read->count = read->count ? read->count : DEFAULT_COUNT;
    search->filters = sx_calloc(read->filter_count ? read->filter_count : 1, sizeof *search->filters);
    if (!search->filters)
        return sx_fail_nomem(error, read->filter_count * sizeof *search->filters);
    for (size_t i = 0; !status && i < read->filter_count; i++)
        status = sx_filter_parse(read->filters[i], &search->filters[i], error);
    for (size_t i = 0; !status && i < read->filter_count; i++)
        if (sx_filter_needs(search->filters[i]) & SX_FILTER_MODIFIED)
            status = sx_fail(error, SX_E_UNSUPPORTED, "a vector database keeps no dates of documents: %s", read->filters[i]);
    return status;
}

sx_status sx_search_store(const sx_store_place *place, sx_embedder *embedder, sx_text query, const sx_search_options *options,
                          sx_hits **out, sx_error *error)
{
    store_search search = {0};
    sx_receipt receipt = {0};
    float *vector = NULL;
    sx_hits *hits = NULL;
    if (out)
        *out = NULL;
    if (!embedder || !out || !query.data || !query.length)
        return sx_fail(error, SX_E_INVALID, "sx_search_store: embedder, query or out is NULL or empty");
    int64_t began = embedder->clock.monotonic_ns(embedder->clock.user);
    uint32_t dimensions = sx_embedder_describe(embedder)->dimensions;
    sx_status status = check_options(&search, options, error);
    if (!status)
        status = open_place(place, "sx_search_store", &search.store, error);
    if (status)
        goto out;
    search.collection = place->collection;
    status = check_space(&search, embedder, error);
    vector = sx_calloc(dimensions, sizeof *vector);
    hits = sx_calloc(1, sizeof *hits);
    if (!status && (!vector || !hits || !(hits->collection = sx_strdup(place->collection))))
        status = sx_fail_nomem(error, dimensions * sizeof *vector);
    if (status)
        goto out;
    hits->mode = "semantic";
    hits->type = "general";
    hits->rerank = "none";
    status = sx_embedder_embed(embedder, &query, 1, vector, &receipt, NULL, error);
    if (!status && receipt.status)
        status = sx_fail(error, receipt.status, "query: %s", receipt.message ? receipt.message : "no vector could be made");
    if (!status)
        status = find_hits(&search, vector, hits, error);
    hits->milliseconds = (double)(embedder->clock.monotonic_ns(embedder->clock.user) - began) / 1e6;
out:
    for (size_t i = 0; search.filters && i < search.options.filter_count; i++)
        sx_filter_close(search.filters[i]);
    free(search.filters);
    sx_transfer_record_clear(&search.scratch);
    sx_buffer_clear(&search.line);
    sx_buffer_clear(&search.headings);
    sx_buffer_clear(&search.key);
    sx_buffer_clear(&search.value);
    sx_vector_store_close(search.store);
    free(vector);
    if (status)
        sx_hits_free(hits);
    else
        *out = hits;
    return status;
}
