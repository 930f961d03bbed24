/* topk.h - the k best of many scored ids: a bounded heap with the worst kept on top. */
#ifndef SX_VEC_TOPK_H
#define SX_VEC_TOPK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sx_ranked {
    int64_t id;
    float score;
} sx_ranked;

/* A higher score is better; equal scores rank by id, so the result does not depend on the order of the offers. */
static inline bool sx_ranks_before(sx_ranked a, sx_ranked b)
{
    return a.score > b.score || (a.score == b.score && a.id < b.id);
}

typedef struct sx_topk {
    sx_ranked *items; /* a heap until sorted */
    size_t count, capacity;
} sx_topk;

/* False on no memory. capacity 0 keeps nothing. */
bool sx_topk_open(sx_topk *topk, size_t capacity);
void sx_topk_close(sx_topk *topk);
/* Forgets everything offered. */
void sx_topk_reset(sx_topk *topk);
/* NaN ranks nowhere and is ignored. */
void sx_topk_offer(sx_topk *topk, int64_t id, float score);
/* Best first; no offers after it but for a reset. */
void sx_topk_sort(sx_topk *topk);

/* Whether an offer of this score can change anything: the scan's cheap first test. */
static inline bool sx_topk_wants(const sx_topk *topk, float score)
{
    return topk->count < topk->capacity || (topk->capacity && score >= topk->items[0].score);
}

#endif
