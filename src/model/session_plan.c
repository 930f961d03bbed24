/* session_plan.c - sorting texts by length, grouping them, choosing how threads work.
 *
 * With many texts each thread takes whole groups and never waits for another: longest texts first and small groups last, so
 * that all end at nearly the same time (Graham's longest-processing-time rule). With few texts that would leave threads idle;
 * then all share each step of one pass. The rule: share when the busiest thread would have more than SHARE_PERCENT of the
 * mean.
 *
 * Threads that share each step wait for one another at every step, so one that another program keeps from its core stops them
 * all for a time slice, which is longer than a query takes. When that happened the caller makes the next passes alone, twice as
 * many each time it happens again, if alone is in fact quicker; and it is tried again thereafter.
 */
#include "session_plan.h"

#include "../base/error.h"

#include <stdlib.h>
#include <string.h>

enum {
    LEAST_GROUP = 64,     /* tokens below which a group's weights cost more to read than to use */
    SHARE_PERCENT = 115,  /* what barriers and narrower products cost, roughly */
    MOST_PATIENCE = 64    /* passes */
};

sx_status sx_plan_open(size_t window, size_t longest, size_t group_tokens, unsigned threads, size_t hidden_size, sx_plan *plan,
                       sx_error *error)
{
    memset(plan, 0, sizeof *plan);
    plan->window = window;
    plan->longest = longest;
    plan->group_tokens = group_tokens;
    plan->threads = threads;
    plan->hidden_size = hidden_size;
    plan->sequences = sx_calloc(window, sizeof *plan->sequences);
    plan->order = sx_calloc(window, sizeof *plan->order);
    plan->groups = sx_calloc(window, sizeof *plan->groups);
    plan->buckets = sx_calloc(longest + 2, sizeof *plan->buckets);
    plan->loads = sx_calloc(threads, sizeof *plan->loads);
    if (plan->sequences && plan->order && plan->groups && plan->buckets && plan->loads)
        return SX_OK;
    sx_plan_close(plan);
    return sx_fail_nomem(error, window * sizeof *plan->sequences);
}

void sx_plan_close(sx_plan *plan)
{
    free(plan->sequences);
    free(plan->order);
    free(plan->groups);
    free(plan->buckets);
    free(plan->loads);
    memset(plan, 0, sizeof *plan);
}

/* Counting sort by length, longest first, stable. */
static void sort_texts(sx_plan *plan, const uint32_t *lengths, const uint32_t *const *ids, size_t count)
{
    size_t *buckets = plan->buckets, total = 0;
    memset(buckets, 0, (plan->longest + 2) * sizeof *buckets);
    for (size_t i = 0; i < count; i++)
        buckets[lengths[i]]++;
    for (size_t length = plan->longest; length >= 1; length--) {
        size_t here = buckets[length];
        buckets[length] = total;
        total += here;
    }
    for (size_t i = 0; i < count; i++) {
        if (!lengths[i])
            continue;
        size_t place = buckets[lengths[i]]++;
        plan->order[place] = i;
        plan->sequences[place] = (sx_sequence){.ids = ids[i], .length = lengths[i], .second = lengths[i]};
    }
    plan->sequence_count = total;
}

/* A token's share of the linear layers counts as 1; attention adds length / (6 hidden) to it. */
static uint64_t work_of(const sx_plan *plan, uint32_t length)
{
    return length + (uint64_t)length * length / (6 * plan->hidden_size);
}

/* Groups of up to `most` tokens, smaller toward the end when several threads take them; every text fits one. */
static void make_groups(sx_plan *plan, size_t most, bool shrink)
{
    uint64_t left = 0;
    for (size_t i = 0; i < plan->sequence_count; i++)
        left += plan->sequences[i].length;
    plan->group_count = 0;
    for (size_t i = 0; i < plan->sequence_count;) {
        sx_group *group = &plan->groups[plan->group_count++];
        uint64_t target = shrink ? left / (2 * plan->threads) : most;
        uint32_t row = 0;
        target = target < LEAST_GROUP ? LEAST_GROUP : target;
        target = target > most ? most : target;
        *group = (sx_group){.first = i};
        do {
            sx_sequence *sequence = &plan->sequences[i++];
            sequence->row = row;
            row += sequence->length;
            group->count++;
            group->work += work_of(plan, sequence->length);
        } while (i < plan->sequence_count && row + plan->sequences[i].length <= target);
        left -= row;
    }
}

/* Work of the busiest thread when each takes the next group as soon as it is free. */
static uint64_t busiest(const sx_plan *plan)
{
    uint64_t most = 0;
    memset(plan->loads, 0, plan->threads * sizeof *plan->loads);
    for (size_t g = 0; g < plan->group_count; g++) {
        unsigned least = 0;
        for (unsigned t = 1; t < plan->threads; t++)
            if (plan->loads[t] < plan->loads[least])
                least = t;
        plan->loads[least] += plan->groups[g].work;
        if (plan->loads[least] > most)
            most = plan->loads[least];
    }
    return most;
}

void sx_plan_make(sx_plan *plan, const uint32_t *lengths, const uint32_t *const *ids, size_t count)
{
    uint64_t total = 0;
    sort_texts(plan, lengths, ids, count);
    make_groups(plan, plan->group_tokens, plan->threads > 1);
    for (size_t g = 0; g < plan->group_count; g++)
        total += plan->groups[g].work;
    plan->shared = plan->threads > 1 && busiest(plan) * plan->threads * 100 > total * SHARE_PERCENT;
    if (plan->shared)
        make_groups(plan, plan->group_tokens, false);
}

bool sx_plan_alone(const sx_plan *plan)
{
    return plan->alone_left > 0;
}

void sx_plan_learn(sx_plan *plan, int64_t nanoseconds, bool stalled)
{
    uint64_t work = 0;
    for (size_t g = 0; g < plan->group_count; g++)
        work += plan->groups[g].work;
    double cost = (double)nanoseconds / (double)(work ? work : 1);
    if (plan->alone_left) {
        plan->alone_left--;
        if (cost > plan->stalled_cost) /* even with the wait others were a help */
            plan->alone_left = plan->patience = 0;
    } else if (stalled) {
        plan->patience = !plan->patience                      ? 2
                         : plan->patience > MOST_PATIENCE / 4 ? MOST_PATIENCE
                                                              : 4 * plan->patience;
        plan->alone_left = plan->patience;
        plan->stalled_cost = cost;
    } else {
        plan->patience /= 2;
    }
}
