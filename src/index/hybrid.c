/* hybrid.c - candidates by meaning, by words, or by both.
 *
 * The best of each list are put together, and each candidate gets both scores, whichever list it came from: its true cosine,
 * and its true BM25. Each kind of score is then measured in standard deviations from the candidates' mean, and the weighted sum
 * orders them. This keeps how far apart candidates are, which ranks forget: on the sets of docs/quality.md it is better than
 * reciprocal rank fusion at every weight (as Bruch, Gai and Ingber found, "An analysis of fusion functions for hybrid
 * retrieval", 2023). Standard scores need no bounds, and models differ in the range their cosines take.
 *
 * What a stack trace leads to is put among the candidates and lifted by standard scores too, and so are preferred kinds of definitions;
 * one list alone is then scored the same way.
 */
#include "hybrid.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../store/segments.h"
#include "../store/store_filters.h"
#include "../store/store_places.h"
#include "../vec/exact.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct hybrid_candidate {
    sx_search_candidate shown;
    double words; /* BM25 */
} hybrid_candidate;

/* Whether more than the lists decides the order. */
static bool is_lifted(const sx_candidate_query *query)
{
    return query->trace || (query->kinds && *query->kinds);
}

/* Which lists are asked: by the mode. */
static bool by_meaning(const sx_candidate_query *query)
{
    return query->mode != SX_SEARCH_KEYWORD;
}

static bool by_words(const sx_candidate_query *query)
{
    return query->mode != SX_SEARCH_SEMANTIC;
}

typedef struct hybrid {
    sx_database *database;
    const sx_collection_row *collection;
    const sx_candidate_query *query;
    sx_keyword_term *terms;
    size_t term_count;
    hybrid_candidate *items; /* ascending by chunk */
    size_t count;
    sx_trace_place *places;  /* of the query's stack trace, ascending by chunk */
    size_t place_count;
    bool *has_file;          /* of each frame: the collection has its file */
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

/* The chunks that a stack trace leads to and the filters let pass. */
static sx_status find_places(hybrid *work, sx_error *error)
{
    const sx_candidate_query *query = work->query;
    int64_t *allowed = NULL;
    size_t allowed_count = 0, kept = 0;
    if (!query->trace)
        return SX_OK;
    work->has_file = sx_calloc(query->trace->frame_count, sizeof *work->has_file);
    if (!work->has_file)
        return sx_fail_nomem(error, query->trace->frame_count);
    sx_status status = sx_trace_find(work->database, work->collection->id, query->trace, &work->places, &work->place_count,
                                     work->has_file, error);
    if (!status && query->filter_count && work->place_count) {
        status = sx_filter_chunks(work->database, work->collection->id, query->filters, query->filter_count, &allowed, &allowed_count,
                                  error);
        for (size_t i = 0; i < work->place_count; i++)
            if (!status && allowed_count && bsearch(&work->places[i].chunk, allowed, allowed_count, sizeof *allowed, by_id))
                work->places[kept++] = work->places[i];
        work->place_count = kept;
        free(allowed);
    }
    return status;
}

/* Puts a chunk among the candidates, whose first `sorted` are in order, unless it is there. */
static hybrid_candidate *add_candidate(hybrid *work, size_t sorted, int64_t chunk)
{
    hybrid_candidate key = {.shown.chunk = chunk}, *same = NULL;
    if (sorted)
        same = bsearch(&key, work->items, sorted, sizeof key, by_chunk);
    if (!same) {
        same = &work->items[work->count++];
        *same = (hybrid_candidate){.shown = {.chunk = chunk, .similarity = NAN}};
    }
    return same;
}

/* The semantic list and the places first, then what the keyword list has besides; words' scores for all. */
static sx_status gather(hybrid *work, size_t depth, sx_error *error)
{
    size_t near = 0, matched = 0, first = 0;
    sx_search_candidate *nearest = sx_calloc(depth, sizeof *nearest);
    sx_keyword_match *matches = sx_calloc(depth, sizeof *matches);
    sx_status status = nearest && matches ? find_places(work, error) : sx_fail_nomem(error, depth * sizeof *nearest);
    int64_t *ids = status ? NULL : sx_calloc(depth + work->place_count, sizeof *ids);
    double *scores = status ? NULL : sx_calloc(depth + work->place_count, sizeof *scores);
    work->items = status ? NULL : sx_calloc(2 * depth + work->place_count, sizeof *work->items);
    if (!status && (!ids || !scores || !work->items))
        status = sx_fail_nomem(error, depth * sizeof *work->items);
    if (!status && by_meaning(work->query))
        status = semantic(work, depth, nearest, &near, error);
    if (status)
        goto out;
    for (size_t i = 0; i < near; i++)
        work->items[i].shown = nearest[i];
    work->count = near;
    if (near)
        qsort(work->items, near, sizeof *work->items, by_chunk);
    for (size_t i = 0; i < work->place_count; i++)
        add_candidate(work, near, work->places[i].chunk);
    first = work->count;
    if (first)
        qsort(work->items, first, sizeof *work->items, by_chunk);
    for (size_t i = 0; i < first; i++)
        ids[i] = work->items[i].shown.chunk;
    if (by_words(work->query))
        status = match_words(work, depth, matches, &matched, ids, first, scores, error);
    for (size_t i = 0; i < first && !status; i++)
        work->items[i].words = scores[i];
    for (size_t i = 0; i < matched && !status; i++) {
        hybrid_candidate *item = add_candidate(work, first, matches[i].chunk);
        item->words = matches[i].score;
        item->shown.keyword_rank = (uint32_t)i + 1;
    }
    if (!status && work->query->vector)
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
        if (!work->query->vector || (!isnan(work->items[i].shown.similarity) && passes(work->query, work->items[i].shown.similarity)))
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
    const sx_candidate_query *query = work->query;
    double meaning_weight = query->mode == SX_SEARCH_HYBRID ? query->type->semantic_weight : by_meaning(query);
    double words_weight = query->mode == SX_SEARCH_HYBRID ? query->type->keyword_weight : by_words(query);
    spread meaning = {0}, words = {0};
    if (by_meaning(query))
        meaning = spread_of(work, false);
    if (by_words(query))
        words = spread_of(work, true);
    for (size_t i = 0; i < work->count; i++) {
        hybrid_candidate *item = &work->items[i];
        item->shown.score = (by_meaning(query) ? meaning_weight * standard_score(item->shown.similarity, meaning) : 0) +
                            (by_words(query) ? words_weight * standard_score(item->words, words) : 0);
    }
}

typedef struct kind_search {
    const char *kinds;
    bool found;
} kind_search;

/* Whether a word stands in a list parted by commas. */
static bool look_for_kind(sx_text name, sx_text kind, uint32_t line, void *user)
{
    kind_search *search = user;
    (void)name;
    (void)line;
    for (const char *at = search->kinds; kind.length && *at;) {
        size_t length = strcspn(at, ",");
        search->found = search->found || (length == kind.length && memcmp(at, kind.data, length) == 0);
        at += length + (at[length] == ',');
    }
    return !search->found;
}

/* Candidates that a stack trace leads to, and definitions of the preferred kinds, are lifted by so many standard scores. */
static sx_status lift(hybrid *work, sx_error *error)
{
    const sx_candidate_query *query = work->query;
    bool prefers = query->kinds && *query->kinds;
    size_t place = 0;
    sx_status status = SX_OK;
    if (work->count)
        qsort(work->items, work->count, sizeof *work->items, by_chunk);
    for (size_t i = 0; i < work->count && !status; i++) {
        sx_search_candidate *shown = &work->items[i].shown;
        sx_trace_place found = {0};
        char *symbols = NULL;
        status = sx_store_symbols(work->database, shown->chunk, &symbols, error);
        sx_text text = {symbols, symbols ? strlen(symbols) : 0};
        while (place < work->place_count && work->places[place].chunk < shown->chunk)
            place++;
        if (place < work->place_count && work->places[place].chunk == shown->chunk)
            found = work->places[place];
        else if (query->trace && symbols)
            found = sx_trace_of_symbols(query->trace, work->has_file, text);
        kind_search kind = {.kinds = query->kinds};
        if (prefers && symbols)
            sx_symbols_each(text, look_for_kind, &kind);
        shown->score += query->type->trace_weight * found.strength + query->type->kind_weight * kind.found;
        shown->reason = found.reason;
        shown->frame = found.number;
        free(symbols);
    }
    return status;
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
    if (is_lifted(work->query))
        status = lift(work, error);
    if (status)
        return status;
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
    if (!status && is_lifted(query))
        status = both(&work, count, candidates, found, error);
    else if (!status && query->mode == SX_SEARCH_SEMANTIC)
        status = semantic(&work, count, candidates, found, error);
    else if (!status && query->mode == SX_SEARCH_KEYWORD)
        status = keyword(&work, count, candidates, found, error);
    else if (!status)
        status = both(&work, count, candidates, found, error);
    if (status)
        *found = 0;
    free(work.terms);
    free(work.items);
    free(work.places);
    free(work.has_file);
    return status;
}
