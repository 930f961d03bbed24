/* hybrid.c - candidates by meaning, by words, or by both.
 *
 * The best of each list are put together, and each candidate gets both scores, whichever list it came from: its true cosine,
 * and its true BM25. Each kind of score is then measured in standard deviations from the candidates' mean, and the weighted sum
 * orders them. This keeps how far apart candidates are, which ranks forget: on the sets of docs/quality.md it is better than
 * reciprocal rank fusion at every weight (as Bruch, Gai and Ingber found, "An analysis of fusion functions for hybrid
 * retrieval", 2023). Standard scores need no bounds, and models differ in the range their cosines take.
 */
#include "hybrid.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../store/segments.h"
#include "../vec/exact.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct hybrid_candidate {
    sx_search_candidate shown;
    double words; /* BM25 */
} hybrid_candidate;

typedef struct hybrid {
    sx_database *database;
    const sx_collection_row *collection;
    const sx_candidate_query *query;
    sx_keyword_term *terms;
    size_t term_count;
    hybrid_candidate *items; /* ascending by chunk */
    size_t count;
} hybrid;

/* ---- Cosines of single chunks ---- */

typedef struct cosine {
    const float *query;
    uint32_t dimensions;
    float similarity;
    bool found;
} cosine;

static sx_status take_cosine(int64_t chunk, const float *vector, void *user, sx_error *error)
{
    cosine *wanted = user;
    double sum = 0;
    (void)chunk;
    (void)error;
    for (uint32_t i = 0; i < wanted->dimensions; i++)
        sum += (double)wanted->query[i] * vector[i];
    wanted->similarity = (float)sum;
    wanted->found = true;
    return SX_OK;
}

/* Fills in the similarities that are missing (NaN), from the rows. Those whose chunk went meanwhile stay so. */
static sx_status add_cosines(const hybrid *work, sx_search_candidate *candidates, size_t stride, size_t count, sx_error *error)
{
    uint32_t dimensions = work->collection->dimensions;
    sx_measure measure;
    float *scaled = sx_calloc(dimensions, sizeof *scaled);
    if (!scaled)
        return sx_fail_nomem(error, dimensions * sizeof *scaled);
    memcpy(scaled, work->query->vector, dimensions * sizeof *scaled);
    sx_status status = sx_segments_measure(work->database, work->collection->recipe, &measure, error);
    if (!status && measure == SX_MEASURE_COSINE)
        sx_exact_normalize(scaled, dimensions);
    for (size_t i = 0; i < count && !status; i++) {
        sx_search_candidate *candidate = (sx_search_candidate *)((char *)candidates + i * stride);
        cosine wanted = {.query = scaled, .dimensions = dimensions};
        if (!isnan(candidate->similarity))
            continue;
        status = sx_segments_from_rows(work->database, work->collection->id, dimensions, measure, candidate->chunk,
                                       candidate->chunk, take_cosine, &wanted, error);
        if (!status && wanted.found)
            candidate->similarity = wanted.similarity;
    }
    free(scaled);
    return status;
}

static bool passes(const sx_candidate_query *query, float similarity)
{
    return !query->has_threshold || similarity >= query->threshold;
}

/* ---- One list ---- */

static sx_status semantic(const hybrid *work, size_t count, sx_search_candidate *candidates, size_t *found, sx_error *error)
{
    const sx_candidate_query *query = work->query;
    sx_candidate *nearest = sx_calloc(count, sizeof *nearest);
    if (!nearest)
        return sx_fail_nomem(error, count * sizeof *nearest);
    sx_nearest_options options = {.ef_search = query->ef_search, .exact = query->exact};
    sx_status status = sx_store_nearest_by(work->database, work->collection, query->vector, count, query->filters,
                                           query->filter_count, &options, nearest, found, error);
    if (status)
        *found = 0;
    while (*found && !passes(query, nearest[*found - 1].similarity))
        --*found;
    for (size_t i = 0; i < *found; i++)
        candidates[i] = (sx_search_candidate){.chunk = nearest[i].chunk,
                                              .score = nearest[i].similarity,
                                              .similarity = nearest[i].similarity,
                                              .semantic_rank = (uint32_t)i + 1};
    free(nearest);
    return status;
}

static sx_status match_words(const hybrid *work, size_t count, sx_keyword_match *matches, size_t *found, const int64_t *also,
                             size_t also_count, double *also_scores, sx_error *error)
{
    const sx_query_type *type = work->query->type;
    sx_keyword_query query = {.terms = work->terms,
                              .term_count = work->term_count,
                              .k1 = type->k1,
                              .b = type->b,
                              .head_weight = type->head_weight};
    return sx_store_keyword_search(work->database, work->collection->id, &query, work->query->filters, work->query->filter_count,
                                   count, matches, found, also, also_count, also_scores, error);
}

/* With a threshold matches may fall out, so more are asked for until enough stay or there are no more. */
static sx_status keyword(const hybrid *work, size_t count, sx_search_candidate *candidates, size_t *found, sx_error *error)
{
    sx_status status = SX_OK;
    sx_keyword_match *matches = NULL;
    sx_search_candidate *all = NULL;
    size_t matched = 0;
    *found = 0;
    for (size_t wanted = count;; wanted *= 2) {
        free(matches);
        free(all);
        matches = sx_calloc(wanted, sizeof *matches);
        all = sx_calloc(wanted, sizeof *all);
        status = matches && all ? match_words(work, wanted, matches, &matched, NULL, 0, NULL, error)
                                : sx_fail_nomem(error, wanted * sizeof *all);
        for (size_t i = 0; i < matched && !status; i++)
            all[i] = (sx_search_candidate){.chunk = matches[i].chunk,
                                           .score = matches[i].score,
                                           .similarity = NAN,
                                           .keyword_rank = (uint32_t)i + 1};
        if (!status && work->query->vector)
            status = add_cosines(work, all, sizeof *all, matched, error);
        *found = 0;
        for (size_t i = 0; i < matched && *found < count && !status; i++)
            if (passes(work->query, all[i].similarity))
                candidates[(*found)++] = all[i];
        if (status || *found == count || matched < wanted || wanted > SIZE_MAX / 4)
            break;
    }
    free(matches);
    free(all);
    return status;
}

/* ---- Both lists ---- */

static int by_chunk(const void *a, const void *b)
{
    const hybrid_candidate *first = a, *second = b;
    return (first->shown.chunk > second->shown.chunk) - (first->shown.chunk < second->shown.chunk);
}

static int by_score(const void *a, const void *b)
{
    const sx_search_candidate *first = a, *second = b;
    if (first->score != second->score)
        return first->score > second->score ? -1 : 1;
    return (first->chunk > second->chunk) - (first->chunk < second->chunk);
}

static int by_id(const void *a, const void *b)
{
    const int64_t *first = a, *second = b;
    return (*first > *second) - (*first < *second);
}

/* The semantic list first, then what the keyword list has besides; words' scores for both. */
static sx_status gather(hybrid *work, size_t depth, sx_error *error)
{
    size_t near = 0, matched = 0;
    sx_search_candidate *nearest = sx_calloc(depth, sizeof *nearest);
    sx_keyword_match *matches = sx_calloc(depth, sizeof *matches);
    int64_t *ids = sx_calloc(depth, sizeof *ids);
    double *scores = sx_calloc(depth, sizeof *scores);
    work->items = sx_calloc(depth, 2 * sizeof *work->items);
    sx_status status = nearest && matches && ids && scores && work->items ? SX_OK : sx_fail_nomem(error, depth * sizeof *nearest);
    if (!status)
        status = semantic(work, depth, nearest, &near, error);
    for (size_t i = 0; i < near; i++)
        ids[i] = nearest[i].chunk;
    if (near)
        qsort(ids, near, sizeof *ids, by_id);
    if (!status)
        status = match_words(work, depth, matches, &matched, ids, near, scores, error);
    if (status)
        goto out;
    for (size_t i = 0; i < near; i++)
        work->items[i].shown = nearest[i];
    work->count = near;
    if (near)
        qsort(work->items, near, sizeof *work->items, by_chunk);
    for (size_t i = 0; i < near; i++)
        work->items[i].words = scores[i];
    for (size_t i = 0; i < matched; i++) {
        hybrid_candidate key = {.shown.chunk = matches[i].chunk}, *same = NULL;
        if (near)
            same = bsearch(&key, work->items, near, sizeof key, by_chunk);
        if (!same) {
            same = &work->items[work->count++];
            *same = (hybrid_candidate){.shown = {.chunk = matches[i].chunk, .similarity = NAN}, .words = matches[i].score};
        }
        same->shown.keyword_rank = (uint32_t)i + 1;
    }
    status = add_cosines(work, &work->items->shown, sizeof *work->items, work->count, error);
out:
    free(nearest);
    free(matches);
    free(ids);
    free(scores);
    return status;
}

/* Those whose chunk went meanwhile, or whose similarity is below the threshold, are no candidates. */
static void keep_passing(hybrid *work)
{
    size_t kept = 0;
    for (size_t i = 0; i < work->count; i++)
        if (!isnan(work->items[i].shown.similarity) && passes(work->query, work->items[i].shown.similarity))
            work->items[kept++] = work->items[i];
    work->count = kept;
}

typedef struct spread {
    double mean, deviation;
} spread;

static spread spread_of(const hybrid *work, bool words)
{
    double sum = 0, squares = 0, count = (double)work->count;
    for (size_t i = 0; i < work->count; i++)
        sum += words ? work->items[i].words : work->items[i].shown.similarity;
    for (size_t i = 0; i < work->count; i++) {
        double distance = (words ? work->items[i].words : work->items[i].shown.similarity) - sum / count;
        squares += distance * distance;
    }
    return (spread){sum / count, sqrt(squares / count)};
}

/* All equal: this score says nothing. */
static double standard_score(double value, spread of)
{
    return of.deviation > 1e-9 ? (value - of.mean) / of.deviation : 0;
}

static void fuse(hybrid *work)
{
    spread meaning = spread_of(work, false), words = spread_of(work, true);
    const sx_query_type *type = work->query->type;
    for (size_t i = 0; i < work->count; i++)
        work->items[i].shown.score = type->semantic_weight * standard_score(work->items[i].shown.similarity, meaning) +
                                     type->keyword_weight * standard_score(work->items[i].words, words);
}

static sx_status both(hybrid *work, size_t count, sx_search_candidate *candidates, size_t *found, sx_error *error)
{
    size_t depth = count > work->query->type->depth ? count : work->query->type->depth;
    sx_status status = gather(work, depth, error);
    if (status)
        return status;
    keep_passing(work);
    if (!work->count)
        return SX_OK;
    fuse(work);
    sx_search_candidate *all = sx_calloc(work->count, sizeof *all);
    if (!all)
        return sx_fail_nomem(error, work->count * sizeof *all);
    for (size_t i = 0; i < work->count; i++)
        all[i] = work->items[i].shown;
    qsort(all, work->count, sizeof *all, by_score);
    *found = count < work->count ? count : work->count;
    memcpy(candidates, all, *found * sizeof *all);
    free(all);
    return SX_OK;
}

sx_status sx_search_candidates(sx_database *database, const sx_collection_row *collection, const sx_candidate_query *query,
                               size_t count, sx_search_candidate *candidates, size_t *found, sx_error *error)
{
    if (!database || !collection || !query || !query->type || !found || (count && !candidates) ||
        (query->filter_count && !query->filters) || (query->text.length && !query->text.data))
        return sx_fail(error, SX_E_INVALID, "sx_search_candidates: an argument is NULL");
    *found = 0;
    if (!query->vector && (query->mode != SX_SEARCH_KEYWORD || query->has_threshold))
        return sx_fail(error, SX_E_INVALID, "a search by %s needs the query's vector",
                       query->mode == SX_SEARCH_KEYWORD ? "similarity" : "meaning");
    if (!count)
        return SX_OK;
    hybrid work = {.database = database, .collection = collection, .query = query};
    sx_status status = SX_OK;
    if (query->mode != SX_SEARCH_SEMANTIC)
        status = sx_query_terms(query->text, query->type, &work.terms, &work.term_count, error);
    if (!status && query->mode == SX_SEARCH_SEMANTIC)
        status = semantic(&work, count, candidates, found, error);
    else if (!status && query->mode == SX_SEARCH_KEYWORD)
        status = keyword(&work, count, candidates, found, error);
    else if (!status)
        status = both(&work, count, candidates, found, error);
    if (status)
        *found = 0;
    free(work.terms);
    free(work.items);
    return status;
}
