/* ranking.c - Spearman's rank correlation, and the measures of retrieval as trec_eval and BEIR define them: nDCG with
 * linear gains (Järvelin and Kekäläinen 2002), recall, reciprocal rank. */
#include "ranking.h"

#include "memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct ranked {
    double value;
    size_t index;
} ranked;

static int by_value(const void *a, const void *b)
{
    const ranked *first = a, *second = b;
    return (first->value > second->value) - (first->value < second->value);
}

/* Ranks from 0; equal values share their mean. */
static bool rank(const double *values, size_t count, double *ranks)
{
    ranked *order = sx_calloc(count, sizeof *order);
    if (!order)
        return false;
    for (size_t i = 0; i < count; i++)
        order[i] = (ranked){values[i], i};
    qsort(order, count, sizeof *order, by_value);
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && order[end].value == order[i].value; end++)
            ;
        for (size_t j = i; j < end; j++)
            ranks[order[j].index] = (double)(i + end - 1) / 2;
    }
    free(order);
    return true;
}

static double pearson(const double *a, const double *b, size_t count)
{
    double mean_a = 0, mean_b = 0, covariance = 0, variance_a = 0, variance_b = 0;
    for (size_t i = 0; i < count; i++) {
        mean_a += a[i];
        mean_b += b[i];
    }
    mean_a /= (double)count;
    mean_b /= (double)count;
    for (size_t i = 0; i < count; i++) {
        covariance += (a[i] - mean_a) * (b[i] - mean_b);
        variance_a += (a[i] - mean_a) * (a[i] - mean_a);
        variance_b += (b[i] - mean_b) * (b[i] - mean_b);
    }
    return variance_a > 0 && variance_b > 0 ? covariance / sqrt(variance_a * variance_b) : NAN;
}

double sx_ranking_spearman(const double *a, const double *b, size_t count, bool *ok)
{
    double *ranks = NULL, result = NAN;
    *ok = true;
    if (count < 2)
        return NAN;
    ranks = sx_calloc(count, 2 * sizeof *ranks);
    *ok = ranks && rank(a, count, ranks) && rank(b, count, ranks + count);
    if (*ok)
        result = pearson(ranks, ranks + count, count);
    free(ranks);
    return result;
}

sx_ranking_scores sx_ranking_judge(const double *grades, size_t count, const double *relevant, size_t relevant_count)
{
    sx_ranking_scores scores = {0};
    double gain = 0, best = 0;
    size_t wanted = 0, found10 = 0, found100 = 0;
    for (size_t i = 0; i < relevant_count; i++) {
        wanted += relevant[i] > 0;
        if (i < 10)
            best += relevant[i] / log2((double)i + 2);
    }
    for (size_t i = 0; i < count && i < 100; i++) {
        if (!(grades[i] > 0))
            continue;
        found100++;
        if (i < 10) {
            gain += grades[i] / log2((double)i + 2);
            found10++;
            if (scores.mrr10 == 0)
                scores.mrr10 = 1 / ((double)i + 1);
        }
        if (i < 1)
            scores.hit1 = 1;
        if (i < 3)
            scores.hit3 = 1;
    }
    if (wanted) {
        scores.ndcg10 = gain / best;
        scores.recall10 = (double)found10 / (double)wanted;
        scores.recall100 = (double)found100 / (double)wanted;
    }
    return scores;
}

/* Whether `a` comes before `b`. */
static bool is_before(const float *scores, uint32_t a, uint32_t b)
{
    return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
}

/* A heap with the worst at its top. */
static void sink(const float *scores, uint32_t *heap, size_t size, size_t at)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= size)
            return;
        if (child + 1 < size && is_before(scores, heap[child], heap[child + 1]))
            child++;
        if (!is_before(scores, heap[at], heap[child]))
            return;
        uint32_t held = heap[at];
        heap[at] = heap[child];
        heap[child] = held;
        at = child;
    }
}

size_t sx_ranking_best(const float *scores, size_t n, size_t count, uint32_t *order)
{
    size_t size = 0;
    for (size_t i = 0; i < n && size < count; i++)
        order[size++] = (uint32_t)i;
    for (size_t i = size / 2; i-- > 0;)
        sink(scores, order, size, i);
    for (size_t i = size; i < n && size; i++)
        if (is_before(scores, (uint32_t)i, order[0])) {
            order[0] = (uint32_t)i;
            sink(scores, order, size, 0);
        }
    for (size_t left = size; left > 1; left--) {
        uint32_t worst = order[0];
        order[0] = order[left - 1];
        order[left - 1] = worst;
        sink(scores, order, left - 1, 0);
    }
    return size;
}

double sx_ranking_cosine(const float *a, const float *b, size_t dimensions)
{
    double product = 0, length_a = 0, length_b = 0;
    for (size_t i = 0; i < dimensions; i++) {
        product += (double)a[i] * (double)b[i];
        length_a += (double)a[i] * (double)a[i];
        length_b += (double)b[i] * (double)b[i];
    }
    return length_a > 0 && length_b > 0 ? product / sqrt(length_a * length_b) : 0;
}
