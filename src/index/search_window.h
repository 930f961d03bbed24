/* search_window.h - the passages that a search looks at: more candidates than hits are wanted, read, re-ranked, folded and joined, and
 * more of them when that leaves too few.
 */
#ifndef SX_INDEX_SEARCH_WINDOW_H
#define SX_INDEX_SEARCH_WINDOW_H

#include "hybrid.h"
#include "rerank.h"

/* How candidates become hits. */
typedef struct sx_search_plan {
    sx_candidate_query query;
    sx_rerank_kind rerank;
    sx_session *cross_encoder;  /* of SX_RERANK_MODEL */
    sx_stack_trace trace;       /* that query.trace points to; freed by who made the plan */
    size_t count, rerank_count;
    bool fold, join;
    const int64_t *skip;        /* chunks that are no candidates */
    size_t skip_count;
} sx_search_plan;

/* Some passages of a document that are one hit: window->order[first .. first + count), by their place in the document. */
typedef struct sx_passage_group {
    size_t first, count;
    size_t best;                /* number of the passage that the hit's rank and scores come from */
} sx_passage_group;

typedef struct sx_search_window {
    sx_search_candidate *candidates; /* as found */
    size_t found;
    bool exhausted;             /* there are no more */
    sx_passage *passages;       /* read so far, in their final order; those folded into others keep no text */
    size_t count;
    uint32_t *order;            /* numbers of the passages that stand for themselves, by document and place */
    sx_passage_group *groups;   /* best first */
    size_t group_count;
    uint32_t *slots;            /* passages by the hash of their text: number + 1, 0 free */
    size_t slot_count;
} sx_search_window;

/* Fills a window, zero-initialised, with at least plan->count groups where so many exist. SX_E_NOT_FOUND: a passage went away
 * meanwhile; clear the window and begin again. */
sx_status sx_search_window_fill(sx_database *database, const sx_collection_row *collection, const sx_search_plan *plan,
                                sx_search_window *window, sx_error *error);
void sx_search_window_clear(sx_search_window *window);

#endif
