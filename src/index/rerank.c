/* rerank.c - the re-rankers.
 *
 * lexical   0.7 x similarity + 0.3 x the share of the query's words that stand in the passage.
 * mmr       maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998), lambda 0.7, on the stored vectors: next comes what is
 *           relevant and unlike what stands already.
 * model     a cross-encoder's score of (query, passage).
 *
 * A passage is read as it was embedded: its heading, then its text. */
#include "rerank.h"

#include "../base/buffer.h"
#include "../base/code_point.h"
#include "../base/error.h"
#include "../base/memory.h"
#include "../base/ranking.h"
#include "../text/lower.h"
#include "../text/unicode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double similarity_weight = 0.7, overlap_weight = 0.3, mmr_lambda = 0.7;
static const char *const names[] = {"none", "lexical", "mmr", "model"};

sx_status sx_rerank_find(const char *name, const sx_session *cross_encoder, sx_rerank_kind *kind, sx_error *error)
{
    *kind = cross_encoder ? SX_RERANK_MODEL : SX_RERANK_NONE;
    if (!name)
        return SX_OK;
    size_t i = 0;
    while (i < sizeof names / sizeof *names && strcmp(name, names[i]) != 0)
        i++;
    if (i == sizeof names / sizeof *names)
        return sx_fail(error, SX_E_INVALID, "rerank: \"%s\" is none of none, lexical, mmr, model", name);
    if (i == SX_RERANK_MODEL && !cross_encoder)
        return sx_fail(error, SX_E_INVALID, "rerank: \"model\" needs a cross_encoder");
    *kind = (sx_rerank_kind)i;
    return SX_OK;
}

const char *sx_rerank_name(sx_rerank_kind kind)
{
    return names[kind];
}

/* ---- Order ---- */

typedef struct ranked {
    double score;
    size_t before;
} ranked;

static int compare_ranked(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return (x->before > y->before) - (x->before < y->before);
}

/* order[i].before is the number of the passage that comes to place i. */
static sx_status put_in_order(const ranked *order, sx_passage *passages, size_t count, sx_error *error)
{
    sx_passage *sorted = sx_calloc(count, sizeof *sorted);
    if (!sorted)
        return sx_fail_nomem(error, count * sizeof *sorted);
    for (size_t i = 0; i < count; i++)
        sorted[i] = passages[order[i].before];
    memcpy(passages, sorted, count * sizeof *sorted);
    free(sorted);
    return SX_OK;
}

/* What a passage was embedded as, into the buffer. */
static bool embedded_text(const sx_chunk_row *chunk, sx_buffer *buffer)
{
    sx_buffer_reset(buffer);
    bool fits = sx_buffer_append(buffer, "", 0);
    if (chunk->header && *chunk->header)
        fits = fits && sx_buffer_append_string(buffer, chunk->header) && sx_buffer_append_byte(buffer, '\n');
    return fits && sx_buffer_append(buffer, chunk->text ? chunk->text : "", chunk->text_length);
}

/* ---- Words ---- */

/* Words of a text in lower case: runs of letters, marks, digits and underscores. */
typedef struct word_list {
    sx_buffer lower;
    sx_text *words;
    size_t count, capacity;
} word_list;

static bool next_word(const sx_buffer *text, size_t *at, sx_text *word)
{
    bool inside = false;
    size_t from = 0;
    while (*at < text->length) {
        sx_code_point point = sx_utf8_decode(text->data + *at, text->length - *at);
        bool is_word = point.valid && sx_unicode_is_word(point.code);
        if (inside && !is_word)
            break;
        if (is_word && !inside) {
            inside = true;
            from = *at;
        }
        *at += point.length;
    }
    *word = (sx_text){inside ? text->data + from : NULL, inside ? *at - from : 0};
    return inside;
}

static int compare_words(const void *a, const void *b)
{
    const sx_text *x = a, *y = b;
    int order = memcmp(x->data, y->data, x->length < y->length ? x->length : y->length);
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

static void word_list_clear(word_list *list)
{
    sx_buffer_clear(&list->lower);
    free(list->words);
}

/* Each word once, sorted. */
static sx_status read_words(sx_text text, word_list *list, sx_error *error)
{
    sx_text word;
    size_t at = 0, kept = 0;
    if (!sx_text_lower(text.data ? text.data : "", text.length, &list->lower))
        return sx_fail_nomem(error, text.length);
    while (next_word(&list->lower, &at, &word)) {
        if (!sx_reserve((void **)&list->words, &list->capacity, list->count + 1, sizeof word))
            return sx_fail_nomem(error, (list->count + 1) * sizeof word);
        list->words[list->count++] = word;
    }
    if (list->count)
        qsort(list->words, list->count, sizeof word, compare_words);
    for (size_t i = 0; i < list->count; i++)
        if (!i || compare_words(&list->words[i], &list->words[kept - 1]) != 0)
            list->words[kept++] = list->words[i];
    list->count = kept;
    return SX_OK;
}

/* The share of the query's words that the text has. */
static sx_status overlap_with(const word_list *query, const sx_buffer *text, sx_buffer *lower, unsigned char *met, double *overlap,
                              sx_error *error)
{
    sx_text word;
    size_t at = 0, common = 0;
    *overlap = 0;
    if (!query->count)
        return SX_OK;
    memset(met, 0, query->count);
    sx_buffer_reset(lower);
    if (!sx_text_lower(text->data, text->length, lower))
        return sx_fail_nomem(error, text->length);
    while (common < query->count && next_word(lower, &at, &word)) {
        const sx_text *found = bsearch(&word, query->words, query->count, sizeof word, compare_words);
        if (found && !met[found - query->words]) {
            met[found - query->words] = 1;
            common++;
        }
    }
    *overlap = (double)common / (double)query->count;
    return SX_OK;
}

static sx_status score_words(const sx_rerank_context *context, const sx_passage *passages, size_t count, ranked *order,
                             sx_error *error)
{
    word_list query = {0};
    sx_buffer text = {0}, lower = {0};
    sx_status status = read_words(context->query, &query, error);
    unsigned char *met = status ? NULL : sx_calloc(query.count, 1);
    if (!status && !met)
        status = sx_fail_nomem(error, query.count);
    for (size_t i = 0; !status && i < count; i++) {
        double overlap, similarity = (double)passages[i].candidate.similarity;
        if (!embedded_text(&passages[i].chunk, &text))
            status = sx_fail_nomem(error, passages[i].chunk.text_length);
        else
            status = overlap_with(&query, &text, &lower, met, &overlap, error);
        if (!status)
            order[i] = (ranked){similarity_weight * (isnan(similarity) ? 0 : similarity) + overlap_weight * overlap, i};
    }
    sx_buffer_clear(&text);
    sx_buffer_clear(&lower);
    free(met);
    word_list_clear(&query);
    return status;
}

/* ---- Maximal marginal relevance ---- */

static sx_status read_vectors(const sx_rerank_context *context, const sx_passage *passages, size_t count, float **vectors,
                              sx_error *error)
{
    size_t dimensions = context->collection->dimensions, size;
    sx_sha256 *hashes = sx_calloc(count, sizeof *hashes);
    sx_vector_row *rows = sx_calloc(count, sizeof *rows);
    *vectors = sx_multiply(count, dimensions, &size) ? sx_calloc(size, sizeof **vectors) : NULL;
    sx_status status = hashes && rows && *vectors ? SX_OK : sx_fail_nomem(error, count * dimensions * sizeof **vectors);
    for (size_t i = 0; !status && i < count; i++)
        hashes[i] = passages[i].chunk.hash;
    sx_store_own_packed(context->database, context->collection->id);
    if (!status)
        status = sx_store_lookup(context->database, context->collection->recipe, hashes, count, rows, *vectors, error);
    sx_store_own_packed(context->database, 0);
    free(hashes);
    free(rows);
    return status;
}

/* Similarities are comparable with those among the passages; other scores are first brought between 0, for the worst of these
 * passages, and 1, for the best. */
static double relevance_of(const sx_rerank_context *context, const sx_passage *passages, size_t count, size_t i)
{
    double score = passages[i].candidate.score, best = passages[0].candidate.score, worst = passages[count - 1].candidate.score;
    return context->by_similarity ? score : best > worst ? (score - worst) / (best - worst) : 1;
}

/* A passage without a vector (it failed, and was found by its words) is like no other. */
static sx_status order_by_margin(const sx_rerank_context *context, const sx_passage *passages, size_t count, ranked *order,
                                 sx_error *error)
{
    size_t dimensions = context->collection->dimensions;
    float *vectors = NULL;
    double *nearest = sx_calloc(count, sizeof *nearest);
    unsigned char *taken = sx_calloc(count, 1);
    sx_status status = nearest && taken ? read_vectors(context, passages, count, &vectors, error)
                                        : sx_fail_nomem(error, count * sizeof *nearest);
    for (size_t place = 0; !status && place < count; place++) {
        size_t chosen = SIZE_MAX;
        double most = 0;
        for (size_t i = 0; i < count; i++) {
            if (taken[i])
                continue;
            double margin = mmr_lambda * relevance_of(context, passages, count, i) - (1 - mmr_lambda) * nearest[i];
            if (chosen == SIZE_MAX || margin > most) {
                chosen = i;
                most = margin;
            }
        }
        taken[chosen] = 1;
        order[place] = (ranked){most, chosen};
        for (size_t i = 0; i < count; i++) {
            if (taken[i])
                continue;
            double cosine = sx_ranking_cosine(vectors + i * dimensions, vectors + chosen * dimensions, dimensions);
            if (!place || cosine > nearest[i])
                nearest[i] = cosine;
        }
    }
    free(vectors);
    free(nearest);
    free(taken);
    return status;
}

/* ---- Cross-encoder ---- */

/* Ordered by the logit, which tells apart what a sigmoid rounds to 1. */
static sx_status score_by_model(const sx_rerank_context *context, const sx_passage *passages, size_t count, ranked *order,
                                float *scores, sx_error *error)
{
    sx_session *session = context->cross_encoder;
    const sx_model_info *model = sx_model_describe(sx_session_model(session));
    if (!(model->outputs & SX_OUTPUT_SCORES))
        return sx_fail(error, SX_E_UNSUPPORTED, "rerank: the model gives no scores of pairs, it is no cross-encoder");
    if (model->labels != 1)
        return sx_fail(error, SX_E_UNSUPPORTED, "rerank: the cross-encoder gives %u labels; ranking needs one", model->labels);
    sx_arena arena = {0};
    sx_buffer buffer = {0};
    sx_text *texts = sx_calloc(count, sizeof *texts);
    float *logits = sx_calloc(count, sizeof *logits);
    sx_status status = texts && logits ? SX_OK : sx_fail_nomem(error, count * sizeof *texts);
    for (size_t i = 0; !status && i < count; i++) {
        const char *copy = embedded_text(&passages[i].chunk, &buffer) ? sx_arena_strndup(&arena, buffer.data, buffer.length) : NULL;
        texts[i] = (sx_text){copy, buffer.length};
        if (!copy)
            status = sx_fail_nomem(error, passages[i].chunk.text_length);
    }
    if (!status)
        status = sx_session_score(session, context->query, texts, count, NULL, logits, scores, NULL, error);
    for (size_t i = 0; !status && i < count; i++)
        order[i] = (ranked){(double)logits[i], i};
    sx_buffer_clear(&buffer);
    sx_arena_clear(&arena);
    free(texts);
    free(logits);
    return status;
}

sx_status sx_rerank(const sx_rerank_context *context, sx_rerank_kind kind, sx_passage *passages, size_t count, sx_error *error)
{
    if (kind == SX_RERANK_NONE || !count)
        return SX_OK;
    ranked *order = sx_calloc(count, sizeof *order);
    float *scores = kind == SX_RERANK_MODEL ? sx_calloc(count, sizeof *scores) : NULL;
    sx_status status = order && (scores || kind != SX_RERANK_MODEL) ? SX_OK : sx_fail_nomem(error, count * sizeof *order);
    if (!status && kind == SX_RERANK_MMR)
        status = order_by_margin(context, passages, count, order, error);
    else if (!status && kind == SX_RERANK_MODEL)
        status = score_by_model(context, passages, count, order, scores, error);
    else if (!status)
        status = score_words(context, passages, count, order, error);
    for (size_t i = 0; !status && i < count; i++)
        passages[order[i].before].score = scores ? (double)scores[order[i].before] : order[i].score;
    if (!status && kind != SX_RERANK_MMR)
        qsort(order, count, sizeof *order, compare_ranked);
    if (!status)
        status = put_in_order(order, passages, count, error);
    free(order);
    free(scores);
    return status;
}
