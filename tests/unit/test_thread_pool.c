/* test_thread_pool.c - runs of every kind one after another, more threads than cores among them: nobody is called twice, nothing
 * is left undone, members of a team are numbered without gaps, barriers hold. And the rule that sends others home: which passes
 * the caller makes alone. */
#include "../../src/base/thread_pool.h"
#include "../../src/model/session_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROUNDS = 3000, PARTS = 40, STEPS = 12, MOST = 6 };

typedef struct pool_job {
    sx_thread_pool *pool;
    _Atomic unsigned next, done, steps, wrong;
    _Atomic unsigned ran[MOST];
} pool_job;

static void take_parts(void *user, unsigned worker)
{
    pool_job *job = user;
    atomic_fetch_add(&job->ran[worker], 1);
    while (atomic_fetch_add(&job->next, 1) < PARTS)
        atomic_fetch_add(&job->done, 1);
}

static void take_steps(void *user, unsigned worker)
{
    pool_job *job = user;
    unsigned team = sx_thread_pool_team_size(job->pool);
    atomic_fetch_add(&job->ran[worker], 1);
    for (unsigned step = 1; step <= STEPS; step++) {
        atomic_fetch_add(&job->steps, 1);
        sx_thread_pool_barrier(job->pool);
        if (atomic_load(&job->steps) != step * team)
            atomic_fetch_add(&job->wrong, 1);
        sx_thread_pool_barrier(job->pool);
    }
}

static void check_round(sx_thread_pool *pool, unsigned kind)
{
    pool_job job = {.pool = pool};
    unsigned size = sx_thread_pool_size(pool), ran = 0;
    if (kind == 0)
        sx_thread_pool_run(pool, take_steps, &job);
    else if (kind == 1)
        sx_thread_pool_offer(pool, take_parts, &job);
    else
        sx_thread_pool_run_team(pool, kind == 3, take_steps, &job);
    for (unsigned i = 0; i < MOST; i++) {
        assert_in_range(job.ran[i], 0, 1);
        ran += job.ran[i];
    }
    assert_int_equal(job.ran[0], 1);
    assert_in_range(ran, 1, size);
    assert_int_equal(job.wrong, 0);
    if (kind == 1) {
        assert_int_equal(job.done, PARTS);
        return;
    }
    assert_int_equal(ran, sx_thread_pool_team_size(pool));
    assert_int_equal(job.steps, ran * STEPS);
    for (unsigned i = 0; i < ran; i++)
        assert_int_equal(job.ran[i], 1);
    if (kind == 0)
        assert_int_equal(ran, size);
    if (kind == 3)
        assert_int_equal(ran, 1);
}

static void test_kinds_mixed(void **state)
{
    (void)state;
    sx_error error = {0};
    uint32_t seed = 20261121;
    for (unsigned threads = 1; threads <= MOST; threads++) {
        sx_thread_pool *pool;
        assert_int_equal(sx_thread_pool_open(threads, &pool, &error), SX_OK);
        for (int round = 0; round < ROUNDS / (int)threads; round++) {
            seed = seed * 1664525u + 1013904223u;
            check_round(pool, seed >> 30);
            if (seed >> 20 & 1 && (seed & 0xff00) == 0)
                usleep(300); /* long enough for the others to fall asleep */
        }
        sx_thread_pool_close(pool);
    }
}

/* Everybody but the caller takes his time. */
static void nap(void *user, unsigned worker)
{
    (void)user;
    if (worker == 0)
        return;
    usleep(20000);
}

static void test_stall_is_noticed(void **state)
{
    (void)state;
    sx_error error = {0};
    sx_thread_pool *pool;
    assert_int_equal(sx_thread_pool_open(2, &pool, &error), SX_OK);
    sx_thread_pool_run(pool, nap, NULL);
    assert_true(sx_thread_pool_stalled(pool));
    pool_job job = {.pool = pool};
    sx_thread_pool_run_team(pool, true, take_steps, &job);
    assert_int_equal(job.steps, STEPS);
    sx_thread_pool_close(pool);
}

static sx_plan one_group(sx_group *group)
{
    *group = (sx_group){.count = 1, .work = 100};
    return (sx_plan){.groups = group, .group_count = 1, .threads = 2};
}

/* Passes alone until others are called again. */
static unsigned alone_passes(sx_plan *plan, int64_t nanoseconds)
{
    unsigned count = 0;
    for (; sx_plan_alone(plan); count++)
        sx_plan_learn(plan, nanoseconds, false);
    return count;
}

static void test_rule(void **state)
{
    (void)state;
    sx_group group;
    sx_plan plan = one_group(&group);
    for (int i = 0; i < 100; i++) {
        assert_false(sx_plan_alone(&plan));
        sx_plan_learn(&plan, 1000, false);
    }
    /* A stall now and then is dearer than a pass alone, but shared passes are cheaper on average: one trial, and no more. */
    for (int i = 0; i < 20; i++) {
        sx_plan_learn(&plan, 8000, true);
        assert_int_equal(alone_passes(&plan, 3000), i == 0);
        for (int j = 0; j < 15; j++)
            sx_plan_learn(&plan, 1000, false);
    }
    /* When each pass stalls, the average passes what a pass alone costs after a few, */
    int before = 0;
    for (; !sx_plan_alone(&plan) && before < 10; before++)
        sx_plan_learn(&plan, 8000, true);
    assert_in_range(before, 2, 4);
    /* and each further stall sends others home for longer, up to a limit. */
    static const unsigned expected[] = {2, 8, 32, 64, 64};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_int_equal(alone_passes(&plan, 3000), expected[i]);
        sx_plan_learn(&plan, 8000, true);
    }
    alone_passes(&plan, 3000);
    /* Passes that go well bring the average down and make it forget. */
    for (int i = 0; i < 30; i++) {
        assert_false(sx_plan_alone(&plan));
        sx_plan_learn(&plan, 1000, false);
    }
    sx_plan_learn(&plan, 8000, true);
    assert_int_equal(alone_passes(&plan, 3000), 0);
    /* Where alone is slower even than passes that wait, others are called at once. */
    plan = one_group(&group);
    sx_plan_learn(&plan, 8000, true);
    assert_int_equal(alone_passes(&plan, 9000), 1);
    for (int i = 0; i < 20; i++) {
        sx_plan_learn(&plan, 8000, true);
        assert_int_equal(alone_passes(&plan, 9000), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds_mixed),
        cmocka_unit_test(test_stall_is_noticed),
        cmocka_unit_test(test_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
