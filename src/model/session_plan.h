/* session_plan.h - how a window of texts is cut into groups, and whether threads share groups or each other's work.
 *
 * A plan changes when things are computed, never what: any plan gives the same bits.
 */
#ifndef SX_MODEL_SESSION_PLAN_H
#define SX_MODEL_SESSION_PLAN_H

#include "encoder.h"

typedef struct sx_group {
    size_t first, count;     /* sequences */
    uint64_t work;           /* in token equivalents */
} sx_group;

/* Arrays of the size of a window; sized once. */
typedef struct sx_plan {
    sx_sequence *sequences;  /* longest first in each group; rows counted within their group */
    size_t *order;           /* sequence -> number of the text in the window */
    size_t sequence_count;
    sx_group *groups;        /* heaviest work first, roughly */
    size_t group_count;
    bool shared;             /* all threads work on each group together, instead of each on its own groups */
    /* what earlier shared passes have shown */
    unsigned alone_left;     /* passes that the caller makes alone before others are called again */
    unsigned patience;       /* how many that were the last time */
    double shared_cost;      /* nanoseconds for a unit of work, on average, waits included; 0: not known */
    double alone_cost;
    /* immutable after open */
    size_t window, longest, group_tokens;
    unsigned threads;
    size_t hidden_size;
    size_t *buckets;         /* longest + 2 */
    uint64_t *loads;         /* threads */
    sx_sequence *dealt;      /* the window's size, as the next two: what sequences and order change places with */
    size_t *dealt_order;
    unsigned *owners;        /* sequence -> thread */
} sx_plan;

sx_status sx_plan_open(size_t window, size_t longest, size_t group_tokens, unsigned threads, size_t hidden_size, sx_plan *plan,
                       sx_error *error);
void sx_plan_close(sx_plan *plan);

/* lengths[i]: tokens of text i of the window, 0 for one that is left out; ids[i] its tokens. count <= window. */
void sx_plan_make(sx_plan *plan, const uint32_t *lengths, const uint32_t *const *ids, size_t count);

/* Whether a shared pass is made by the caller alone, because others were put aside by the system lately. */
bool sx_plan_alone(const sx_plan *plan);
/* How a shared pass went: what it took, and whether threads waited for one another for long. */
void sx_plan_learn(sx_plan *plan, int64_t nanoseconds, bool stalled);

#endif
