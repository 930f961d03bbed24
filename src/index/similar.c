/* similar.c - sx_similar and sx_passages: from a place in an indexed document to passages like it, or to the passages around it.
 *
 * The place's own vector is the query, as it is stored: nothing is embedded. Of a whole document it is the mean of its passages'.
 * What is read is what was indexed; the file itself is never opened. */
#include "index_target.h"
#include "search_by_vector.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../base/options.h"
#include "../store/shadows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PASSAGES = 1000 };

/* ---- The document ---- */

/* The document that is that file, or (absolute NULL) that hits name so, below any root. */
static sx_status find_below_roots(sx_database *database, int64_t collection, const char *absolute, const char *named,
                                  sx_document_row *row, sx_error *error)
{
    char *root = NULL, *next = NULL;
    sx_status status = SX_OK;
    while (!status && !row->id && !(status = sx_store_next_root(database, collection, root, &next, error)) && next) {
        free(root);
        root = next;
        if (absolute && !sx_path_is_in(absolute, root))
            continue;
        const char *below = absolute ? absolute + strlen(root) : named;
        status = sx_store_document_find(database, collection, root, below + (absolute && *below == '/'), row, error);
    }
    free(root);
    return status;
}

/* A file's path first; then as hits name documents, which is what coding assistants have read. */
static sx_status find_by_path(sx_database *database, int64_t collection, const char *path, sx_document_row *row, sx_error *error)
{
    char *absolute = NULL;
    sx_status status = sx_index_absolute_path(path, &absolute, error);
    if (!status)
        status = find_below_roots(database, collection, absolute, NULL, row, error);
    if (!status && !row->id && path[0] != '/')
        status = find_below_roots(database, collection, NULL, path, row, error);
    free(absolute);
    return status;
}

static sx_status find_document(sx_database *database, const sx_collection_row *collection, const sx_place *place,
                               sx_document_row *row, sx_error *error)
{
    sx_status status = place->path ? find_by_path(database, collection->id, place->path, row, error)
                                   : sx_store_document_find(database, collection->id, place->root, place->document, row, error);
    if (!status && !row->id) {
        status = sx_fail(error, SX_E_NOT_FOUND, "%s: is not in collection %s", place->path ? place->path : place->document,
                         collection->name);
        sx_hint(error, "only what is indexed can be looked for: sextant index PATH");
    }
    return status;
}

/* ---- Its passages ---- */

typedef struct passages {
    sx_chunk_row *rows; /* in their order */
    size_t count;
} passages;

static uint32_t distance(const sx_chunk_row *row, uint32_t line)
{
    return line < row->start_line ? row->start_line - line : line > row->end_line ? line - row->end_line : 0;
}

/* The passage that covers the line, the smallest of several, or the nearest one. */
static sx_status choose(const passages *of, const sx_place *place, const char *name, size_t *chosen, sx_error *error)
{
    uint32_t last = 0;
    bool found = false;
    for (size_t i = 0; i < of->count; i++) {
        const sx_chunk_row *row = &of->rows[i], *best = &of->rows[*chosen];
        last = row->end_line > last ? row->end_line : last;
        if (!row->vector || (!place->line && row->index != place->index))
            continue;
        uint32_t far = place->line ? distance(row, place->line) : 0,
                 least = found && place->line ? distance(best, place->line) : 0;
        if (!found || far < least || (far == least && row->end - row->start < best->end - best->start))
            *chosen = i;
        found = true;
    }
    if (place->line > last)
        return sx_fail(error, SX_E_NOT_FOUND, "%s: line %u: what is indexed ends at line %u", name, place->line, last);
    return found ? SX_OK : sx_fail(error, SX_E_NOT_FOUND, "%s: passage %u: is not indexed", name, place->index);
}

/* ---- Similar ones ---- */

static sx_status add_vector(sx_database *database, const sx_collection_row *collection, const sx_chunk_row *row, float *one,
                            float *sum, sx_error *error)
{
    sx_vector_row found = {0};
    sx_store_own_packed(database, collection->id);
    sx_status status = sx_store_lookup(database, collection->recipe, &row->hash, 1, &found, one, error);
    sx_store_own_packed(database, 0);
    if (!status && !found.id)
        status = sx_fail(error, SX_E_NOT_FOUND, "collection %s: the vector of passage %u has gone", collection->name, row->index);
    for (uint32_t i = 0; !status && i < collection->dimensions; i++)
        sum[i] += one[i];
    return status;
}

static void scale_to_one(float *vector, uint32_t dimensions)
{
    double square = 0;
    for (uint32_t i = 0; i < dimensions; i++)
        square += (double)vector[i] * vector[i];
    for (uint32_t i = 0; i < dimensions && square > 0; i++)
        vector[i] = (float)(vector[i] / sqrt(square));
}

/* The query's vector, and the passages that are left out of its hits: those that share text with the place. */
static sx_status make_query(sx_database *database, const sx_collection_row *collection, const passages *of, const sx_place *place,
                            const char *name, float *one, float *query, int64_t *skip, size_t *skip_count, sx_error *error)
{
    bool whole = place->path && !place->line;
    size_t chosen = 0, used = 0;
    sx_status status = whole ? SX_OK : choose(of, place, name, &chosen, error);
    for (size_t i = 0; !status && i < of->count; i++) {
        const sx_chunk_row *row = &of->rows[i], *own = &of->rows[chosen];
        if (whole || i == chosen || (row->start < own->end && own->start < row->end))
            skip[(*skip_count)++] = row->id;
        if (!row->vector || (!whole && i != chosen))
            continue;
        status = add_vector(database, collection, row, one, query, error);
        used++;
    }
    if (!status && !used)
        status = sx_fail(error, SX_E_NOT_FOUND, "%s: nothing of it is indexed", name);
    if (!status && used > 1)
        scale_to_one(query, collection->dimensions);
    return status;
}

static sx_status read_place(const sx_place *place, sx_place *known, sx_error *error)
{
    sx_status status = sx_options_read(place, known, sizeof *known, "sx_place", error);
    if (!status && !known->path && (!known->root || !known->document))
        status = sx_fail(error, SX_E_INVALID, "sx_place: neither path nor root and document are given");
    return status;
}

sx_status sx_similar(sx_database *database, const sx_place *place, const sx_search_options *options, sx_hits **out,
                     sx_error *error)
{
    if (out)
        *out = NULL;
    if (!database || !place || !out)
        return sx_fail(error, SX_E_INVALID, "sx_similar: database, place or out is NULL");
    sx_place known;
    sx_search_options how;
    sx_collection_row collection = {0};
    sx_document_row document = {0};
    passages of = {0};
    float *vectors = NULL;
    int64_t *skip = NULL;
    size_t skip_count = 0;
    sx_status status = read_place(place, &known, error);
    if (!status)
        status = sx_options_read(options, &how, sizeof how, "sx_search_options", error);
    if (!status)
        status = sx_store_collection_find(database, how.collection ? how.collection : "default", &collection, error);
    if (!status)
        status = find_document(database, &collection, &known, &document, error);
    if (!status)
        status = sx_store_document_chunks(database, document.id, &of.rows, &of.count, error);
    if (!status) {
        vectors = sx_calloc((size_t)collection.dimensions * 2, sizeof *vectors);
        skip = sx_calloc(of.count, sizeof *skip);
        status = vectors && skip ? SX_OK : sx_fail_nomem(error, collection.dimensions * sizeof *vectors);
    }
    if (!status)
        status = make_query(database, &collection, &of, &known, document.path, vectors, vectors + collection.dimensions, skip,
                            &skip_count, error);
    if (!status)
        status = sx_search_by_vector(database, &collection, &how, vectors + collection.dimensions, skip, skip_count, out, error);
    sx_store_chunks_free(of.rows, of.count);
    free(vectors);
    free(skip);
    sx_document_row_clear(&document);
    sx_collection_row_clear(&collection);
    return status;
}

/* ---- Passages of a document ---- */

sx_status sx_passages(sx_database *database, const char *collection_name, const sx_place *place, uint32_t before, uint32_t after,
                      sx_hits **out, sx_error *error)
{
    if (out)
        *out = NULL;
    if (!database || !place || !out)
        return sx_fail(error, SX_E_INVALID, "sx_passages: database, place or out is NULL");
    if (before > MOST_PASSAGES || after > MOST_PASSAGES)
        return sx_fail(error, SX_E_INVALID, "sx_passages: before %u or after %u is more than %d", before, after, MOST_PASSAGES);
    sx_place known;
    sx_collection_row collection = {0};
    sx_document_row document = {0};
    passages of = {0};
    size_t chosen = 0;
    sx_status status = read_place(place, &known, error);
    if (!status)
        status = sx_store_collection_find(database, collection_name ? collection_name : "default", &collection, error);
    if (!status)
        status = find_document(database, &collection, &known, &document, error);
    if (!status)
        status = sx_store_document_chunks(database, document.id, &of.rows, &of.count, error);
    if (!status)
        status = choose(&of, &known, document.path, &chosen, error);
    if (!status) {
        size_t first = chosen > before ? chosen - before : 0, end = of.count - chosen > after ? chosen + after + 1 : of.count;
        status = sx_search_hits_of_chunks(database, &collection, &of.rows[first], end - first, out, error);
    }
    sx_store_chunks_free(of.rows, of.count);
    sx_document_row_clear(&document);
    sx_collection_row_clear(&collection);
    return status;
}
