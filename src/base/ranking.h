/* ranking.h - figures of how well one order agrees with another, or with judgements. */
#ifndef SX_BASE_RANKING_H
#define SX_BASE_RANKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Spearman's correlation: Pearson's of the ranks, equal values sharing the mean of theirs. NaN when one side is all equal
 * or there are fewer than two; *ok false when memory ran out. */
double sx_ranking_spearman(const double *a, const double *b, size_t count, bool *ok);

typedef struct sx_ranking_scores {
    double ndcg10, recall10, recall100, mrr10, hit1, hit3;
} sx_ranking_scores;
/* grades: of the first `count` results in order, 0 for what nobody judged (more than 100 are not looked at). relevant:
 * grades of all judged documents of the query, in descending order. Gains are the grades themselves, discounts log2(rank +
 * 1). */
sx_ranking_scores sx_ranking_judge(const double *grades, size_t count, const double *relevant, size_t relevant_count);

/* The `count` largest of n scores, best first, equal ones by index; order has room for count. Returns how many. */
size_t sx_ranking_best(const float *scores, size_t n, size_t count, uint32_t *order);

/* Cosine; 0 when one is all zero. Sums in double. */
double sx_ranking_cosine(const float *a, const float *b, size_t dimensions);

#endif
