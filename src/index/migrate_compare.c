/* migrate_compare.c - how much alike the two sides of a migration answer: overlap of the first k hits, and rank
 * correlation.
 *
 * Queries are the user's, or chunks taken evenly from the collection. Those need neither the old model, which may be gone,
 * nor money: both their vectors are stored. A hit on one side counts as found on the other when it shares a part of the
 * same document, since the new side's chunks may be cut smaller. */
#include "migrate.h"

#include "../base/error.h"
#include "../base/ranking.h"
#include "../store/shadows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A hit's place. */
typedef struct place {
    char *root, *path;
    uint64_t start, end;
} place;

typedef struct place_list {
    place *places;
    size_t count;
} place_list;

/* Vectors of the same texts on both sides. */
typedef struct two_sides {
    float *old, *new;
    size_t count;
    place *places; /* of sampled chunks, else NULL */
} two_sides;

static void clear_place(place *of)
{
    free(of->root);
    free(of->path);
}

static void clear_list(place_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        clear_place(&list->places[i]);
    free(list->places);
    *list = (place_list){0};
}

static void clear_sides(two_sides *sides)
{
    for (size_t i = 0; sides->places && i < sides->count; i++)
        clear_place(&sides->places[i]);
    free(sides->places);
    free(sides->old);
    free(sides->new);
}

static bool meet(const place *a, const place *b)
{
    return a->start < b->end && b->start < a->end && !strcmp(a->path, b->path) && !strcmp(a->root, b->root);
}

static bool is_among(const place *wanted, const place_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (meet(wanted, &list->places[i]))
            return true;
    return false;
}

static sx_status place_of(sx_database *database, int64_t chunk, place *out, sx_sha256 *hash, sx_error *error)
{
    sx_chunk_row row = {0};
    sx_document_row document = {0};
    sx_status status = sx_store_chunk(database, chunk, &row, &document, error);
    if (!status) {
        *out = (place){document.root, document.path, row.start, row.end};
        document.root = document.path = NULL;
        if (hash)
            *hash = row.hash;
    }
    sx_chunk_row_clear(&row);
    sx_document_row_clear(&document);
    return status;
}

/* The first `count` hits of a side, without those that are the query itself. */
static sx_status nearest(migrate_job *job, const sx_collection_row *side, const float *query, const place *self, size_t count,
                         place_list *list, sx_error *error)
{
    size_t found = 0, wanted = self ? 2 * count + 16 : count; /* its own parts are left out */
    sx_candidate *candidates = sx_calloc(wanted, sizeof *candidates);
    list->places = sx_calloc(count, sizeof *list->places);
    sx_status status = candidates && list->places ? SX_OK : sx_fail_nomem(error, wanted * sizeof *candidates);
    if (!status)
        status = sx_store_nearest(job->database, side, query, wanted, NULL, 0, candidates, &found, error);
    for (size_t i = 0; !status && i < found && list->count < count; i++) {
        place hit;
        status = place_of(job->database, candidates[i].chunk, &hit, NULL, error);
        if (status)
            break;
        if (self && meet(self, &hit))
            clear_place(&hit);
        else
            list->places[list->count++] = hit;
    }
    free(candidates);
    return status;
}

/* Sampled chunks whose text, as a whole, has a vector on both sides. */
static sx_status sample(migrate_job *job, two_sides *sides, sx_error *error)
{
    int64_t *ids = NULL;
    size_t count = 0, old_width = job->from.dimensions, new_width = job->to.dimensions;
    sx_status status = sx_store_sample(job->database, job->from.id, job->options.samples, &ids, &count, error);
    if (!status) {
        sides->old = sx_calloc(count, old_width * sizeof(float));
        sides->new = sx_calloc(count, new_width * sizeof(float));
        sides->places = sx_calloc(count, sizeof *sides->places);
        if (!sides->old || !sides->new || !sides->places)
            status = sx_fail_nomem(error, count * old_width * sizeof(float));
    }
    for (size_t i = 0; !status && i < count; i++) {
        sx_vector_row old = {0}, new = {0};
        sx_sha256 hash;
        size_t at = sides->count;
        status = place_of(job->database, ids[i], &sides->places[at], &hash, error);
        if (status)
            break;
        sx_store_own_packed(job->database, job->from.id);
        status = sx_store_lookup(job->database, job->from.recipe, &hash, 1, &old, sides->old + at * old_width, error);
        sx_store_own_packed(job->database, 0);
        if (!status)
            status = sx_store_lookup(job->database, job->to.recipe, &hash, 1, &new, sides->new + at * new_width, error);
        if (!status && old.id && new.id)
            sides->count++;
        else
            clear_place(&sides->places[at]);
    }
    free(ids);
    return status;
}

static sx_status embed_queries(migrate_job *job, two_sides *sides, sx_error *error)
{
    const sx_migrate_options *options = &job->options;
    sx_embedder *const embedders[] = {options->old_queries, options->new_queries};
    const sx_collection_row *const rows[] = {&job->from, &job->to};
    float **const vectors[] = {&sides->old, &sides->new};
    sx_status status = SX_OK;
    sx_receipt *receipts = sx_calloc(options->query_count, sizeof *receipts);
    if (!receipts)
        return sx_fail_nomem(error, options->query_count * sizeof *receipts);
    for (size_t side = 0; !status && side < 2; side++) {
        if (strcmp(embedders[side]->space_hex, rows[side]->space_hash) != 0) {
            status = sx_fail(error, SX_E_MISMATCH, "queries: %s is not of the space of %s", embedders[side]->model,
                rows[side]->model);
            break;
        }
        *vectors[side] = sx_calloc(options->query_count, rows[side]->dimensions * sizeof(float));
        if (!*vectors[side]) {
            status = sx_fail_nomem(error, options->query_count * rows[side]->dimensions * sizeof(float));
            break;
        }
        status = sx_embedder_embed(embedders[side], options->queries, options->query_count, *vectors[side], receipts,
            options->stop,
                                   error);
        for (size_t i = 0; !status && i < options->query_count; i++)
            if (receipts[i].status)
                status = sx_fail(error, receipts[i].status, "query %zu: %s: %s", i + 1, embedders[side]->model,
                                 receipts[i].message ? receipts[i].message : "no vector could be made");
    }
    sides->count = status ? 0 : options->query_count;
    free(receipts);
    return status;
}

/* Of the query's similarities to the samples, itself left out; NaN when there is nothing to rank. */
static sx_status correlate(migrate_job *job, const two_sides *queries, const two_sides *samples, size_t query, bool sampled,
                           double *correlation, sx_error *error)
{
    size_t count = 0, old_width = job->from.dimensions, new_width = job->to.dimensions;
    double *old = sx_calloc(samples->count, 2 * sizeof *old), *new = old ? old + samples->count : NULL;
    if (!old)
        return sx_fail_nomem(error, samples->count * 2 * sizeof *old);
    for (size_t i = 0; i < samples->count; i++) {
        if (sampled && i == query)
            continue;
        old[count] = sx_ranking_cosine(queries->old + query * old_width, samples->old + i * old_width, old_width);
        new[count++] = sx_ranking_cosine(queries->new + query * new_width, samples->new + i * new_width, new_width);
    }
    bool ok;
    *correlation = sx_ranking_spearman(old, new, count, &ok);
    free(old);
    return ok ? SX_OK : sx_fail_nomem(error, count * sizeof *old);
}

sx_status sx_migrate_compare(migrate_job *job, sx_error *error)
{
    sx_migrate_comparison *out = &job->report->comparison;
    two_sides samples = {0}, asked = {0};
    const two_sides *queries = &asked;
    double overlaps = 0, correlations = 0;
    size_t overlap_count = 0, correlation_count = 0;
    out->count = job->options.count;
    out->sampled = !job->options.query_count;
    sx_status status = sample(job, &samples, error);
    if (!status && job->options.query_count)
        status = embed_queries(job, &asked, error);
    else
        queries = &samples;
    for (size_t i = 0; !status && i < queries->count; i++) {
        place_list old = {0}, new = {0};
        const place *self = out->sampled ? &samples.places[i] : NULL;
        double correlation = NAN;
        if (sx_migrate_stopped(job))
            status = sx_migrate_stop_status(error);
        if (!status)
            status = nearest(job, &job->from, queries->old + i * job->from.dimensions, self, out->count, &old, error);
        if (!status)
            status = nearest(job, &job->to, queries->new + i * job->to.dimensions, self, out->count, &new, error);
        if (!status)
            status = correlate(job, queries, &samples, i, out->sampled, &correlation, error);
        size_t shared = 0;
        for (size_t j = 0; j < old.count; j++)
            shared += is_among(&old.places[j], &new);
        if (!status && old.count) {
            overlaps += (double)shared / (double)old.count;
            overlap_count++;
        }
        if (!status && !isnan(correlation)) {
            correlations += correlation;
            correlation_count++;
        }
        clear_list(&old);
        clear_list(&new);
    }
    out->queries = overlap_count;
    out->overlap = overlap_count ? overlaps / (double)overlap_count : 0;
    out->rank_correlation = correlation_count ? correlations / (double)correlation_count : NAN;
    clear_sides(&samples);
    clear_sides(&asked);
    return status;
}
