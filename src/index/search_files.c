/* search_files.c - sx_search_files: the nearest elements of files of vectors, read once from end to end.
 *
 * Only the k best so far are held, so the memory does not grow with the file, and nothing is parsed that was not read yet. */
#include "import_files.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../base/options.h"
#include "../base/ranking.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_COUNT = 5, MOST_COUNT = 100000 };

typedef struct file_search {
    sx_search_options options;
    const float *query;
    sx_hit *hits; /* best first */
    size_t count;
} file_search;

static void clear_hit(sx_hit *hit)
{
    free(hit->root);
    free(hit->document);
    free(hit->metadata);
    free(hit->text);
    *hit = (sx_hit){0};
}

static const char *text_or(const sx_buffer *buffer, const char *otherwise)
{
    return buffer->length ? buffer->data : otherwise;
}

static sx_status keep(file_search *search, const char *path, const sx_embedding_item *item, double score, sx_error *error)
{
    char number[32];
    snprintf(number, sizeof number, "#%llu", (unsigned long long)item->number);
    size_t at = search->count;
    while (at && search->hits[at - 1].score < score)
        at--;
    if (at == search->options.count)
        return SX_OK;
    sx_hit hit = {
        .score = score,
        .similarity = score,
        .root = sx_strdup(path),
        .document = sx_strdup(text_or(&item->document, text_or(&item->id, number))),
        .index = (uint32_t)item->index,
        .start = item->start,
        .end = item->end ? item->end : item->content.length,
        .start_line = (uint32_t)item->start_line,
        .end_line = (uint32_t)item->end_line,
        .metadata = sx_strdup(text_or(&item->metadata, "{}")),
        .text = sx_strndup(text_or(&item->content, ""), item->content.length),
        .text_length = item->content.length,
    };
    if (!hit.root || !hit.document || !hit.metadata || !hit.text) {
        clear_hit(&hit);
        return sx_fail_nomem(error, item->content.length + item->metadata.length);
    }
    if (search->count == search->options.count)
        clear_hit(&search->hits[--search->count]);
    memmove(search->hits + at + 1, search->hits + at, (search->count - at) * sizeof *search->hits);
    search->hits[at] = hit;
    search->count++;
    return SX_OK;
}

static sx_status search_file(file_search *search, const char *path, uint32_t dimensions, sx_error *error)
{
    sx_embedding_file *file;
    sx_embedding_item item = {0};
    bool more = true;
    sx_status status = sx_embedding_file_open(path, &file, error);
    if (!status && sx_embedding_file_head(file)->kind == SX_EMBEDDINGS_EXPORT)
        status = sx_fail(error, SX_E_UNSUPPORTED, "%s: a collection's own export is searched after `collections import`", path);
    while (!status && !(status = sx_embedding_file_next(file, &item, &more, error)) && more) {
        if (item.vector.length != dimensions) {
            status = sx_fail(error, SX_E_MISMATCH, "%s: vectors of %zu numbers, but the query's has %u", path, item.vector.length,
                             dimensions);
            break;
        }
        double score = sx_ranking_cosine(search->query, item.vector.data, dimensions);
        if (!search->options.has_threshold || score >= search->options.threshold)
            status = keep(search, path, &item, score, error);
    }
    sx_embedding_item_clear(&item);
    sx_embedding_file_close(file);
    return status;
}

static sx_status search_all(file_search *search, const char *const *paths, size_t path_count, sx_embedder *embedder,
                            sx_text query,
                            sx_hits *hits, sx_error *error)
{
    uint32_t dimensions = embedder->info.dimensions, checked = 0;
    double least = 1;
    sx_receipt receipt = {0};
    float *vector = sx_calloc(dimensions, sizeof *vector);
    search->query = vector;
    search->hits = sx_calloc(search->options.count + 1, sizeof *search->hits);
    hits->collection = sx_strdup(paths[0]);
    sx_status status = vector && search->hits && hits->collection ? SX_OK : sx_fail_nomem(error, dimensions * sizeof *vector);
    for (size_t i = 0; !status && i < path_count; i++)
        status = sx_check_vectors(paths[i], embedder, &checked, &least, error);
    if (!status)
        status = sx_embedder_embed(embedder, &query, 1, vector, &receipt, NULL, error);
    if (!status && receipt.status)
        status = sx_fail(error, receipt.status, "query: %s", receipt.message ? receipt.message : "no vector could be made");
    for (size_t i = 0; !status && i < path_count; i++)
        status = search_file(search, paths[i], dimensions, error);
    for (size_t i = 0; i < search->count; i++)
        search->hits[i].rank = (uint32_t)i + 1;
    hits->hits = search->hits;
    hits->count = search->count;
    free(vector);
    return status;
}

sx_status sx_search_files(const char *const *paths, size_t path_count, sx_embedder *embedder, sx_text query,
                          const sx_search_options *options, sx_hits **out, sx_error *error)
{
    if (out)
        *out = NULL;
    if (!paths || !path_count || !embedder || !out || !query.data || !query.length)
        return sx_fail(error, SX_E_INVALID, "sx_search_files: paths, embedder, query or out is NULL or empty");
    for (size_t i = 0; i < path_count; i++)
        if (!paths[i])
            return sx_fail(error, SX_E_INVALID, "sx_search_files: path %zu is NULL", i);
    file_search search = {0};
    int64_t began = embedder->clock.monotonic_ns(embedder->clock.user);
    sx_status status = sx_options_read(options, &search.options, sizeof search.options, "sx_search_options", error);
    if (!status && search.options.count > MOST_COUNT)
        status = sx_fail(error, SX_E_INVALID, "sx_search_options: count is %u, at most %d", search.options.count, MOST_COUNT);
    if (!status && search.options.filter_count)
        status = sx_fail(error, SX_E_UNSUPPORTED, "files of vectors are searched without filters; import them to filter");
    if (status)
        return status;
    if (!search.options.count)
        search.options.count = DEFAULT_COUNT;
    sx_hits *hits = sx_calloc(1, sizeof *hits);
    if (!hits)
        return sx_fail_nomem(error, sizeof *hits);
    hits->mode = "semantic";
    hits->type = "general";
    hits->rerank = "none";
    status = search_all(&search, paths, path_count, embedder, query, hits, error);
    hits->milliseconds = (double)(embedder->clock.monotonic_ns(embedder->clock.user) - began) / 1e6;
    if (status)
        sx_hits_free(hits);
    else
        *out = hits;
    return status;
}
