/* session_plan.c - sorting texts by length, grouping them, choosing how threads work.
 *
 * With many texts each thread takes whole groups and never waits for another: longest texts first and small groups last, so
 * that all end at nearly the same time (Graham's longest-processing-time rule). With few texts that would leave threads idle;
 * then each thread gets one group, dealt out by the same rule text by text, where those come out even. With one text, or uneven
 * ones, all share each step of one pass.
 *
 * Threads that share each step wait for one another at every step, so one that another program keeps from its core stops them
 * all for a time slice, which is longer than a query takes. What shared passes cost on average, waits included, is therefore
 * kept beside what passes cost that the caller makes alone, and the cheaper way is taken; the other is tried again from time
 * to time, ever more rarely while it stays the dearer one.
 */
#include "session_plan.h"

#include "../base/error.h"

#include <stdlib.h>
#include <string.h>

enum {
    LEAST_GROUP = 64,     /* tokens below which a group's weights cost more to read than to use */
    LEAST_DEALT = 32,     /* the same when the choice is between a small group for each thread and barriers */
    SHARE_PERCENT = 115,  /* what barriers and narrower products cost, roughly */
    MOST_PATIENCE = 64    /* passes */
};
static const double usual_weight = 0.125, trial_weight = 0.5; /* of a pass in the averages */

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
    plan->dealt = sx_calloc(window, sizeof *plan->dealt);
    plan->dealt_order = sx_calloc(window, sizeof *plan->dealt_order);
    plan->owners = sx_calloc(window, sizeof *plan->owners);
    if (plan->sequences && plan->order && plan->groups && plan->buckets && plan->loads && plan->dealt && plan->dealt_order &&
        plan->owners)
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
    free(plan->dealt);
    free(plan->dealt_order);
    free(plan->owners);
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

static unsigned least_loaded(const sx_plan *plan)
{
    unsigned least = 0;
    for (unsigned t = 1; t < plan->threads; t++)
        if (plan->loads[t] < plan->loads[least])
            least = t;
    return least;
}

static uint64_t most_loaded(const sx_plan *plan)
{
    uint64_t most = 0;
    for (unsigned t = 0; t < plan->threads; t++)
        most = plan->loads[t] > most ? plan->loads[t] : most;
    return most;
}

static bool is_even(const sx_plan *plan, uint64_t total)
{
    return most_loaded(plan) * plan->threads * 100 <= total * SHARE_PERCENT;
}

/* What each thread has to do when each takes the next group as soon as it is free. */
static void load_groups(sx_plan *plan)
{
    memset(plan->loads, 0, plan->threads * sizeof *plan->loads);
    for (size_t g = 0; g < plan->group_count; g++)
        plan->loads[least_loaded(plan)] += plan->groups[g].work;
}

/* One group for each thread. False: they are uneven or too small, and nothing has changed; `anyway`: only when they do not fit. */
static bool deal_groups(sx_plan *plan, uint64_t total, bool anyway)
{
    size_t count = plan->sequence_count;
    if (count < plan->threads)
        return false;
    memset(plan->loads, 0, plan->threads * sizeof *plan->loads);
    for (size_t i = 0; i < count; i++) {
        plan->owners[i] = least_loaded(plan);
        plan->loads[plan->owners[i]] += work_of(plan, plan->sequences[i].length);
    }
    if (!anyway && (!is_even(plan, total) || total < (uint64_t)plan->threads * LEAST_DEALT))
        return false;
    size_t placed = 0;
    for (unsigned t = 0; t < plan->threads; t++) {
        sx_group *group = &plan->groups[t];
        uint32_t row = 0;
        *group = (sx_group){.first = placed, .work = plan->loads[t]};
        for (size_t i = 0; i < count; i++) {
            if (plan->owners[i] != t)
                continue;
            plan->dealt[placed] = plan->sequences[i];
            plan->dealt[placed].row = row;
            plan->dealt_order[placed++] = plan->order[i];
            row += plan->sequences[i].length;
            group->count++;
        }
        if (row > plan->group_tokens) /* `groups` is made anew by the caller */
            return false;
    }
    sx_sequence *sequences = plan->sequences;
    size_t *order = plan->order;
    plan->group_count = plan->threads;
    plan->sequences = plan->dealt;
    plan->order = plan->dealt_order;
    plan->dealt = sequences;
    plan->dealt_order = order;
    return true;
}

void sx_plan_make(sx_plan *plan, const uint32_t *lengths, const uint32_t *const *ids, size_t count)
{
    uint64_t total = 0;
    sort_texts(plan, lengths, ids, count);
    make_groups(plan, plan->group_tokens, plan->threads > 1);
    for (size_t g = 0; g < plan->group_count; g++)
        total += plan->groups[g].work;
    plan->shared = false;
    if (plan->threads == 1)
        return;
    load_groups(plan);
    if (is_even(plan, total))
        return;
    bool alone = plan->alone_left > 0;
    if (deal_groups(plan, total, alone)) {
        plan->alone_left -= alone; /* better than alone, and without a wait */
        return;
    }
    make_groups(plan, plan->group_tokens, false);
    plan->shared = true;
}

bool sx_plan_alone(const sx_plan *plan)
{
    return plan->alone_left > 0;
}

static void average(double *mean, double value, double weight)
{
    *mean = *mean > 0 ? *mean + weight * (value - *mean) : value;
}

void sx_plan_learn(sx_plan *plan, int64_t nanoseconds, bool stalled)
{
    uint64_t work = 0;
    for (size_t g = 0; g < plan->group_count; g++)
        work += plan->groups[g].work;
    double cost = (double)nanoseconds / (double)(work ? work : 1);
    if (plan->alone_left) {
        plan->alone_left--;
        average(&plan->alone_cost, cost, 2 * usual_weight);
        if (plan->alone_cost > plan->shared_cost) /* even with the waits others were a help */
            plan->alone_left = plan->patience = 0;
        return;
    }
    average(&plan->shared_cost, cost, plan->patience ? trial_weight : usual_weight);
    if (!stalled) {
        plan->patience /= 2;
    } else if (!(plan->alone_cost > 0)) {
        plan->alone_left = 1; /* to know what that costs */
    } else if (plan->shared_cost > plan->alone_cost) {
        plan->patience = !plan->patience                      ? 2
                         : plan->patience > MOST_PATIENCE / 4 ? MOST_PATIENCE
                                                              : 4 * plan->patience;
        plan->alone_left = plan->patience;
    }
}
