/* provider_router.c - two providers behind one: which leg a batch goes to, the breaker of each, taking over, the gradual shift.
 *
 * A batch is passed on as it is; only the way back is looked at. RETRY counts as a failure of its leg, and the pipeline comes
 * back with the batch after its back-off, until failures in a row open the breaker: then the batch goes to the other leg at
 * once. FATAL (no key, no such model, nobody there for a long time) opens it immediately. Neither SPLIT nor a text that fails by
 * itself says anything about a leg's health, and a budget that ends or a call that is stopped is nobody's fault.
 */
#include "provider_router.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FAILURES_TO_OPEN = 3,
    LATENCIES = 512,        /* of the last batches */
    STEP_BATCHES = 5,       /* that the second leg must have answered at a step, */
    STEP_TEXTS = 100,       /* with so many texts, before the next one */
    MOST_ERRORS_PERCENT = 2
};
static const int64_t first_rest = 5000000000, longest_rest = 300000000000, slice = 2000000;
static const double slower_than_first = 2; /* the second leg's p95 may be so many times the first one's */
static const unsigned steps[] = {10, 25, 50, 90, 100};
enum { STEPS = sizeof steps / sizeof *steps };

typedef struct router_node {
    struct router_node *next;
    sx_batch *batch;
    unsigned leg;
    bool probes, tried[SX_LEGS];
    int64_t since;
} router_node;

typedef struct router_leg {
    unsigned in_flight, failures;
    bool dead;               /* opened by FATAL */
    bool probing;            /* half open: one batch finds out */
    int64_t open_until, rest;
    double latencies[LATENCIES]; /* milliseconds, a ring */
    size_t latency_count;
} router_leg;

typedef struct sx_provider_router {
    sx_provider base;
    sx_clock clock;
    router_leg legs[SX_LEGS];
    router_node *flying, *waiting, *last_waiting, *done; /* waiting: for a place in flight at its leg */
    bool schedule, cancelled;
    unsigned turn;           /* the leg that is waited for next */
    struct { uint64_t batches, texts, errors; } at_step; /* of the second leg, since the percentage changed */
} sx_provider_router;

static int64_t now_of(const sx_provider_router *router)
{
    return router->clock.monotonic_ns(router->clock.user);
}

unsigned sx_router_leg_of(const sx_provider *provider, const sx_sha256 *hash)
{
    uint64_t number;
    if (provider->leg_count < 2 || !provider->split)
        return 0;
    memcpy(&number, hash->bytes, sizeof number);
    return number % 100 < provider->split;
}

static int ascending(const void *a, const void *b)
{
    double one = *(const double *)a, other = *(const double *)b;
    return (one > other) - (one < other);
}

void sx_router_latency(const sx_provider *provider, unsigned leg, double *p50_ms, double *p95_ms)
{
    const sx_provider_router *router = (const sx_provider_router *)provider;
    double sorted[LATENCIES];
    size_t all = router->legs[leg].latency_count, count = all < LATENCIES ? all : LATENCIES;
    *p50_ms = *p95_ms = NAN;
    if (!count)
        return;
    memcpy(sorted, router->legs[leg].latencies, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, ascending);
    *p50_ms = sorted[(count - 1) / 2];
    *p95_ms = sorted[(count - 1) * 95 / 100];
}

/* ---- Health ---- */

static void set_split(sx_provider_router *router, unsigned split)
{
    router->base.split = split;
    memset(&router->at_step, 0, sizeof router->at_step);
}

static void open_breaker(sx_provider_router *router, unsigned leg, bool dead)
{
    router_leg *state = &router->legs[leg];
    state->rest = !state->rest ? first_rest : state->rest * 2 < longest_rest ? state->rest * 2 : longest_rest;
    state->open_until = now_of(router) + state->rest;
    state->dead = dead;
    state->probing = false;
    router->base.legs[leg].open = true;
    if (!router->schedule || leg == 0)
        return;
    unsigned back = 0;
    for (size_t i = 0; i < STEPS && steps[i] < router->base.split; i++)
        back = steps[i];
    set_split(router, back ? back : steps[0]);
}

/* The next step when the second leg has done well at this one. */
static void consider_step(sx_provider_router *router)
{
    double first_p50, first_p95, p50, p95;
    if (!router->schedule || router->base.legs[1].open || router->base.split >= 100 ||
        router->at_step.batches < STEP_BATCHES || router->at_step.texts < STEP_TEXTS)
        return;
    if (router->at_step.errors * 100 > router->at_step.batches * MOST_ERRORS_PERCENT)
        return;
    sx_router_latency(&router->base, 0, &first_p50, &first_p95);
    sx_router_latency(&router->base, 1, &p50, &p95);
    if (first_p95 > 0 && p95 > first_p95 * slower_than_first)
        return;
    unsigned next = 100;
    for (size_t i = STEPS; i-- > 0;)
        if (steps[i] > router->base.split)
            next = steps[i];
    set_split(router, next);
}

static void note_success(sx_provider_router *router, const router_node *node)
{
    router_leg *state = &router->legs[node->leg];
    sx_provider_leg *leg = &router->base.legs[node->leg];
    if (!leg->open || node->probes) { /* else it was in flight when the breaker opened */
        leg->open = state->dead = state->probing = false;
        state->failures = 0;
        state->rest = 0;
    }
    state->latencies[state->latency_count++ % LATENCIES] = (double)(now_of(router) - node->since) / 1e6;
    for (size_t i = 0; i < node->batch->count; i++)
        leg->texts += node->batch->receipts[i].status == SX_OK;
    leg->taken_over += node->batch->leg != node->leg;
    if (node->leg == 1) {
        router->at_step.batches++;
        router->at_step.texts += node->batch->count;
        consider_step(router);
    }
}

static void note_failure(sx_provider_router *router, const router_node *node, bool fatal)
{
    router_leg *state = &router->legs[node->leg];
    router->base.legs[node->leg].errors++;
    if (node->leg == 1) {
        router->at_step.errors++;
        router->at_step.batches++;
    }
    if (router->base.legs[node->leg].open && !node->probes)
        return; /* it was in flight when the breaker opened */
    if (fatal || node->probes || ++state->failures >= FAILURES_TO_OPEN)
        open_breaker(router, node->leg, fatal);
}

/* Whether the leg may be given a batch now. */
static bool is_usable(const sx_provider_router *router, unsigned leg)
{
    const router_leg *state = &router->legs[leg];
    return !router->base.legs[leg].open || (now_of(router) >= state->open_until && !state->probing);
}

/* ---- Batches ---- */

static void push(router_node **list, router_node *node)
{
    node->next = *list;
    *list = node;
}

static void push_waiting(sx_provider_router *router, router_node *node)
{
    node->next = NULL;
    if (router->waiting)
        router->last_waiting->next = node;
    else
        router->waiting = node;
    router->last_waiting = node;
}

static void finish(sx_provider_router *router, router_node *node, sx_status status, int failure, int64_t retry_after_ns,
                   const char *message)
{
    node->batch->outcome = (sx_batch_outcome){.status = status, .failure = failure, .retry_after_ns = retry_after_ns};
    snprintf(node->batch->outcome.message, sizeof node->batch->outcome.message, "%.*s",
             (int)sizeof node->batch->outcome.message - 1, message);
    push(&router->done, node);
}

/* Gives a batch to its leg, the other one, or nobody while both rest. */
static void place(sx_provider_router *router, router_node *node)
{
    unsigned leg = node->batch->leg;
    if (!is_usable(router, leg) || node->tried[leg])
        leg = !leg;
    if (!is_usable(router, leg) || node->tried[leg]) {
        int64_t now = now_of(router), first = router->legs[0].open_until, second = router->legs[1].open_until;
        int64_t until = first < second ? first : second;
        finish(router, node, SX_E_PROVIDER, SX_BATCH_RETRY, until > now ? until - now : 0, "both sources fail at the moment");
        return;
    }
    node->leg = leg;
    node->probes = router->base.legs[leg].open;
    router->legs[leg].probing |= node->probes;
    push_waiting(router, node);
}

static void send_waiting(sx_provider_router *router)
{
    router_node *kept = router->waiting;
    router->waiting = router->last_waiting = NULL;
    for (router_node *node = kept, *next; node; node = next) {
        next = node->next;
        router_leg *state = &router->legs[node->leg];
        sx_provider *provider = router->base.legs[node->leg].provider;
        sx_error problem;
        if (router->base.legs[node->leg].open && !node->probes) { /* it failed since: perhaps the other one */
            place(router, node);
            continue;
        }
        if (state->in_flight >= provider->info.max_in_flight) {
            push_waiting(router, node);
            continue;
        }
        node->since = now_of(router);
        sx_status status = provider->class->submit(provider, node->batch, &problem);
        if (status) {
            state->probing &= !node->probes;
            finish(router, node, status, SX_BATCH_FATAL, 0, problem.message);
            continue;
        }
        state->in_flight++;
        push(&router->flying, node);
    }
}

static sx_status router_submit(sx_provider *provider, sx_batch *batch, sx_error *error)
{
    sx_provider_router *router = (sx_provider_router *)provider;
    unsigned in_flight = 0;
    for (const router_node *node = router->flying; node; node = node->next)
        in_flight++;
    for (const router_node *node = router->waiting; node; node = node->next)
        in_flight++;
    for (const router_node *node = router->done; node; node = node->next)
        in_flight++;
    if (in_flight >= provider->info.max_in_flight)
        return sx_fail(error, SX_E_BUSY, "router: %u batches are in flight already", in_flight);
    router_node *node = sx_calloc(1, sizeof *node);
    if (!node)
        return sx_fail_nomem(error, sizeof *node);
    node->batch = batch;
    router->cancelled = false;
    place(router, node);
    send_waiting(router);
    return SX_OK;
}

/* What a leg's answer means: the node is done, or goes to the other leg. */
static void take(sx_provider_router *router, router_node *node)
{
    const sx_batch_outcome *outcome = &node->batch->outcome;
    router_leg *state = &router->legs[node->leg];
    unsigned other = !node->leg;
    bool spent = outcome->status == SX_E_STOPPED || (outcome->status == SX_E_LIMIT && outcome->failure == SX_BATCH_FATAL);
    router->base.legs[node->leg].batches++;
    if (outcome->status == SX_OK) {
        note_success(router, node);
    } else if (spent || outcome->failure == SX_BATCH_SPLIT) {
        if (node->probes && !spent) /* it reads and answers */
            router->base.legs[node->leg].open = state->dead = false;
        state->probing &= !node->probes;
    } else {
        bool fatal = outcome->failure == SX_BATCH_FATAL;
        note_failure(router, node, fatal);
        node->tried[node->leg] = router->base.legs[node->leg].open;
        if (node->tried[node->leg] && !node->tried[other] && is_usable(router, other) && !router->cancelled) {
            node->probes = false;
            place(router, node);
            return;
        }
        /* The other one may be back before long: then there is something to wait for. */
        if (fatal && router->base.legs[other].open && !router->legs[other].dead) {
            int64_t left = router->legs[other].open_until - now_of(router);
            node->batch->outcome.failure = SX_BATCH_RETRY;
            node->batch->outcome.retry_after_ns = left > 0 ? left : 0;
        }
    }
    push(&router->done, node);
}

static void update(sx_provider_router *router)
{
    sx_provider *base = &router->base;
    base->usage = (sx_provider_usage){0};
    base->info.max_texts = UINT32_MAX;
    for (unsigned i = 0; i < SX_LEGS; i++) {
        const sx_provider *leg = base->legs[i].provider;
        base->usage.requests += leg->usage.requests;
        base->usage.tokens += leg->usage.tokens;
        base->usage.usd += leg->usage.usd;
        if (leg->info.max_texts < base->info.max_texts)
            base->info.max_texts = leg->info.max_texts;
    }
}

/* The legs are asked in turn. While only one has something in flight it may take the whole time. */
static sx_status ask_legs(sx_provider_router *router, int64_t timeout_ns, sx_error *error)
{
    bool both = router->legs[0].in_flight && router->legs[1].in_flight;
    for (unsigned i = 0; i < SX_LEGS; i++) {
        unsigned leg = (router->turn + i) % SX_LEGS;
        sx_provider *provider = router->base.legs[leg].provider;
        sx_batch *finished = NULL;
        if (!router->legs[leg].in_flight)
            continue;
        int64_t span = both ? (i == 0 ? 0 : timeout_ns < slice ? timeout_ns : slice) : timeout_ns;
        sx_status status = provider->class->wait(provider, span, &finished, error);
        if (status)
            return status;
        if (!finished)
            continue;
        router->legs[leg].in_flight--;
        router_node **at = &router->flying;
        while (*at && (*at)->batch != finished)
            at = &(*at)->next;
        router_node *node = *at;
        if (!node)
            return sx_fail(error, SX_E_INTERNAL, "router: %s gave back a batch that it was not given", provider->info.name);
        *at = node->next;
        take(router, node);
        break;
    }
    router->turn = (router->turn + 1) % SX_LEGS;
    return SX_OK;
}

static sx_status router_wait(sx_provider *provider, int64_t timeout_ns, sx_batch **finished, sx_error *error)
{
    sx_provider_router *router = (sx_provider_router *)provider;
    int64_t until = now_of(router) + (timeout_ns > 0 ? timeout_ns : 0);
    *finished = NULL;
    for (;;) {
        send_waiting(router);
        router_node *node = router->done;
        if (node) {
            router->done = node->next;
            node->batch->leg = node->leg;
            *finished = node->batch;
            free(node);
            update(router);
            return SX_OK;
        }
        int64_t left = until - now_of(router);
        if (!router->flying)
            return SX_OK;
        sx_status status = ask_legs(router, left > 0 ? left : 0, error);
        update(router);
        if (status || (left <= 0 && !router->done))
            return status;
    }
}

static void router_cancel(sx_provider *provider)
{
    sx_provider_router *router = (sx_provider_router *)provider;
    router->cancelled = true;
    for (router_node *node; (node = router->waiting);) {
        router->waiting = node->next;
        router->legs[node->leg].probing &= !node->probes;
        finish(router, node, SX_E_STOPPED, SX_BATCH_FATAL, 0, "stopped");
    }
    for (unsigned i = 0; i < SX_LEGS; i++)
        provider->legs[i].provider->class->cancel(provider->legs[i].provider);
}

static void free_nodes(router_node *list)
{
    for (router_node *node = list, *next; node; node = next) {
        next = node->next;
        free(node);
    }
}

static void router_close(sx_provider *provider)
{
    sx_provider_router *router = (sx_provider_router *)provider;
    for (unsigned i = 0; i < SX_LEGS; i++)
        sx_provider_close(provider->legs[i].provider);
    free_nodes(router->waiting);
    free_nodes(router->flying);
    free_nodes(router->done);
    free(router);
}

static const sx_provider_class router_class = {"router", router_submit, router_wait, router_cancel, router_close};

static uint32_t lesser(uint32_t a, uint32_t b) /* 0: no limit */
{
    return !a || (b && b < a) ? b : a;
}

sx_status sx_router_make(sx_provider *first, sx_provider *second, const sx_router_options *options, const sx_clock *clock,
                         sx_provider **out, sx_error *error)
{
    sx_provider_router *router = NULL;
    const sx_provider_info *a = &first->info, *b = &second->info;
    sx_status status = SX_OK;
    *out = NULL;
    if (options->split > 100)
        status = sx_fail(error, SX_E_INVALID, "router: %u percent of the texts", options->split);
    else if (a->dimensions != b->dimensions)
        status = sx_fail(error, SX_E_MISMATCH, "%s gives %u dimensions, %s %u: they cannot stand in for each other",
                         options->models[0], a->dimensions, options->models[1], b->dimensions);
    else if (!(router = sx_calloc(1, sizeof *router)))
        status = sx_fail_nomem(error, sizeof *router);
    if (status) {
        sx_provider_close(first);
        sx_provider_close(second);
        return status;
    }
    router->base = (sx_provider){
        .class = &router_class,
        .info = *a,
        .model = first->model,
        .counter = first->counter,
        .legs = {{.provider = first, .model = options->models[0]}, {.provider = second, .model = options->models[1]}},
        .leg_count = SX_LEGS,
        .split = options->split,
    };
    sx_provider_info *info = &router->base.info;
    info->max_length = lesser(a->max_length, b->max_length);
    info->max_tokens = lesser(a->max_tokens, b->max_tokens);
    info->max_in_flight = a->max_in_flight + b->max_in_flight;
    info->attempts = a->attempts > b->attempts ? a->attempts : b->attempts;
    info->zero_for_nothing = a->zero_for_nothing && b->zero_for_nothing;
    info->remote = a->remote || b->remote;
    /* The dearer one, so that a budget holds whoever does the work; unpriced when one is. */
    info->usd_per_million = a->usd_per_million < 0 || b->usd_per_million < 0 ? -1 : fmax(a->usd_per_million, b->usd_per_million);
    if (router->base.counter.limit)
        router->base.counter.limit = lesser(router->base.counter.limit, info->max_length);
    router->clock = clock ? *clock : sx_system_clock;
    router->schedule = options->schedule;
    update(router);
    *out = &router->base;
    return SX_OK;
}
