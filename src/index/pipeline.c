/* pipeline.c - one call of the pipeline: packing batches, keeping several in flight, retrying, halving, checking.
 *
 * The back-off is exponential with full jitter: the n-th delay is uniform between 0 and first * 2^(n-1), at most the longest, and
 * never below what the provider asks for; so many clients that failed together do not come back together.
 */
#include "pipeline_internal.h"

#include "../base/error.h"
#include "../provider/provider_router.h"
#include "../text/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEFAULT_ATTEMPTS = 6 };
static const int64_t default_first_delay = 500000000, default_longest_delay = 60000000000;
static const int64_t longest_wait = 25000000; /* so that stop is seen and others' texts are looked for */

static int64_t now_of(const pipeline_call *call)
{
    return call->pipeline->clock.monotonic_ns(call->pipeline->clock.user);
}

static bool is_stopped(const pipeline_call *call)
{
    return call->stop && *call->stop;
}

static unsigned leg_of(const pipeline_call *call, size_t item)
{
    return sx_router_leg_of(call->pipeline->options.provider, &call->items[item].hash);
}

static void advanced(const pipeline_call *call)
{
    const sx_pipeline_options *options = &call->pipeline->options;
    if (options->advanced)
        options->advanced(&call->pipeline->counts, options->user);
}

/* ---- Jobs ---- */

static void free_job(pipeline_job *job)
{
    if (!job)
        return;
    free((void *)job->batch.texts);
    free(job->batch.vectors);
    free(job->batch.receipts);
    free(job->items);
    free(job);
}

static pipeline_job *make_job(const pipeline_call *call, const size_t *list, size_t count, sx_error *error)
{
    size_t dimensions = call->pipeline->options.provider->info.dimensions;
    pipeline_job *job = sx_calloc(1, sizeof *job);
    size_t floats;
    if (job && sx_multiply(count, dimensions, &floats)) {
        sx_text *texts = sx_calloc(count, sizeof *texts);
        job->batch = (sx_batch){.texts = texts, .count = count, .user = job};
        job->batch.vectors = sx_calloc(floats, sizeof *job->batch.vectors);
        job->batch.receipts = sx_calloc(count, sizeof *job->batch.receipts);
        job->items = sx_calloc(count, sizeof *job->items);
        if (texts && job->batch.vectors && job->batch.receipts && job->items) {
            for (size_t i = 0; i < count; i++) {
                texts[i] = call->items[list[i]].text;
                job->items[i] = list[i];
                job->tokens += sx_pipeline_tokens_of(call, list[i]);
            }
            return job;
        }
    }
    free_job(job);
    sx_fail_nomem(error, count * dimensions * sizeof(float));
    return NULL;
}

/* The last of them may be due before others: order is by due time, equal times first come first. */
static void delay_job(pipeline_call *call, pipeline_job *job)
{
    pipeline_job **place = &call->delayed;
    while (*place && (*place)->not_before <= job->not_before)
        place = &(*place)->next;
    job->next = *place;
    *place = job;
}

/* The budget has no room for what would be next. What is in flight may turn out cheaper than it was counted; with nothing in
 * flight that is the end. */
static void meet_budget(pipeline_call *call)
{
    if (!call->in_flight)
        call->pipeline->counts.out_of_budget = true;
}

/* Takes texts off the queue until a batch is full by count or tokens, claiming them on the way. *out NULL: nothing to do now. */
static sx_status form_job(pipeline_call *call, pipeline_job **out, sx_error *error)
{
    const sx_provider_info *info = &call->pipeline->options.provider->info;
    size_t left = call->queue_end - call->queue_head;
    uint64_t room = sx_spender_room(&call->pipeline->spender);
    size_t most = left < info->max_texts ? left : info->max_texts;
    size_t count = 0;
    uint64_t tokens = 0;
    unsigned leg = 0;
    bool full = false;
    sx_status status = SX_OK;
    *out = NULL;
    if (!most)
        return SX_OK;
    size_t *list = sx_calloc(most * 2, sizeof *list);
    if (!list)
        return sx_fail_nomem(error, most * 2 * sizeof *list);
    size_t *unclaimed = list + most;
    while (!status && !full && count < most && call->queue_head < call->queue_end) {
        size_t end = count, unclaimed_count = 0;
        while (end < most && call->queue_head < call->queue_end) {
            size_t item = call->queue[call->queue_head];
            uint32_t cost = sx_pipeline_tokens_of(call, item);
            if (!end)
                leg = leg_of(call, item);
            full = (end > 0 && leg_of(call, item) != leg) || (end > 0 && tokens + cost > info->max_tokens) || tokens + cost > room;
            if (full && !end && tokens + cost > room)
                meet_budget(call);
            if (full)
                break;
            tokens += cost;
            list[end++] = item;
            call->queue_head++;
            if (call->states[item] == ITEM_NEW)
                unclaimed[unclaimed_count++] = item;
        }
        if (unclaimed_count)
            status = sx_pipeline_claim(call, unclaimed, unclaimed_count, error);
        size_t kept = count;
        for (size_t i = count; i < end; i++) {
            if (call->states[list[i]] == ITEM_CLAIMED)
                list[kept++] = list[i];
            else
                tokens -= sx_pipeline_tokens_of(call, list[i]);
        }
        count = kept;
    }
    if (!status && count) {
        *out = make_job(call, list, count, error);
        if (!*out)
            status = SX_E_NOMEM;
    }
    free(list);
    return status;
}

static sx_status next_job(pipeline_call *call, pipeline_job **out, sx_error *error)
{
    pipeline_job *job = call->delayed;
    if (job && job->not_before <= now_of(call)) {
        if (job->tokens > sx_spender_room(&call->pipeline->spender)) {
            meet_budget(call);
            return SX_OK;
        }
        call->delayed = job->next;
        job->next = NULL;
        *out = job;
        return SX_OK;
    }
    return form_job(call, out, error);
}

static sx_status submit_job(pipeline_call *call, pipeline_job *job, sx_error *error)
{
    sx_pipeline *pipeline = call->pipeline;
    size_t floats = job->batch.count * pipeline->options.provider->info.dimensions;
    for (size_t i = 0; i < floats; i++) /* a row the provider forgets is not taken for a vector */
        job->batch.vectors[i] = NAN;
    memset(job->batch.receipts, 0, job->batch.count * sizeof *job->batch.receipts);
    job->batch.leg = leg_of(call, job->items[0]);
    job->attempts++;
    sx_status status = pipeline->options.provider->class->submit(pipeline->options.provider, &job->batch, error);
    if (status) {
        free_job(job);
        return status;
    }
    for (size_t i = 0; i < job->batch.count; i++)
        if (call->sent[job->items[i]] < UINT8_MAX)
            call->sent[job->items[i]]++;
    pipeline->counts.batches++;
    pipeline->spender.tokens_in_flight += job->tokens;
    call->in_flight++;
    return SX_OK;
}

/* ---- What comes back ---- */

static sx_status fail_job(pipeline_call *call, pipeline_job *job, const char *message, sx_error *error)
{
    for (size_t i = 0; i < job->batch.count; i++) {
        call->items[job->items[i]].receipt.retries = call->sent[job->items[i]] - 1;
        sx_pipeline_fail_item(call, job->items[i], job->batch.outcome.status, message);
    }
    return sx_pipeline_release(call, job->items, job->batch.count, error);
}

/* Good vectors are moved to the front of the batch and stored, the other texts have failed. */
static sx_status take_job(pipeline_call *call, pipeline_job *job, sx_error *error)
{
    sx_pipeline *pipeline = call->pipeline;
    const sx_provider_info *info = &pipeline->options.provider->info;
    size_t good = 0, bad = 0, dimensions = info->dimensions;
    sx_status status = SX_OK;
    size_t *lists = sx_calloc(job->batch.count * 2, sizeof *lists);
    if (!lists)
        return sx_fail_nomem(error, job->batch.count * 2 * sizeof *lists);
    size_t *bad_list = lists + job->batch.count;
    for (size_t i = 0; i < job->batch.count; i++) {
        size_t item = job->items[i];
        float *vector = job->batch.vectors + i * dimensions;
        char buffer[128];
        const sx_receipt *receipt = &job->batch.receipts[i];
        const char *message = receipt->message ? receipt->message : "the provider refused this text";
        sx_status fault = receipt->status;
        if (!fault && (message = sx_pipeline_fault_of(info, receipt, vector, buffer, sizeof buffer)))
            fault = SX_E_PROVIDER;
        call->items[item].receipt = *receipt;
        call->items[item].receipt.retries = call->sent[item] - 1;
        call->items[item].receipt.truncated = receipt->dropped_tokens > 0;
        call->items[item].receipt.message = NULL;
        if (fault) {
            sx_pipeline_fail_item(call, item, fault, message);
            bad_list[bad++] = item;
            continue;
        }
        memmove(job->batch.vectors + good * dimensions, vector, dimensions * sizeof *vector);
        lists[good++] = item;
    }
    status = sx_pipeline_put(call, lists, good, job->batch.leg, job->batch.vectors, error);
    if (!status)
        sx_pipeline_share(call, lists, good, job->batch.leg, job->batch.vectors);
    for (size_t i = 0; !status && i < good; i++) {
        sx_pipeline_item *item = &call->items[lists[i]];
        if (item->vector)
            memcpy(item->vector, job->batch.vectors + i * dimensions, dimensions * sizeof *item->vector);
        call->states[lists[i]] = ITEM_DONE;
        pipeline->counts.texts++;
        pipeline->counts.embedded++;
        pipeline->counts.tokens += item->receipt.tokens;
    }
    if (!status)
        status = sx_pipeline_release(call, bad_list, bad, error);
    free(lists);
    return status;
}

static uint64_t next_random(uint64_t *state) /* xorshift64* */
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1du;
}

static int64_t back_off(sx_pipeline *pipeline, unsigned attempts, int64_t asked)
{
    int64_t bound = pipeline->options.first_delay_ns;
    for (unsigned i = 1; i < attempts && bound < pipeline->options.longest_delay_ns; i++)
        bound *= 2;
    if (bound > pipeline->options.longest_delay_ns)
        bound = pipeline->options.longest_delay_ns;
    int64_t delay = (int64_t)(next_random(&pipeline->random) % ((uint64_t)bound + 1));
    return delay > asked ? delay : asked;
}

static sx_status retry_job(pipeline_call *call, pipeline_job **job, sx_error *error)
{
    sx_pipeline *pipeline = call->pipeline;
    if ((*job)->attempts >= pipeline->options.attempts) {
        char message[384];
        snprintf(message, sizeof message, "given up after %u attempts: %s", (*job)->attempts, (*job)->batch.outcome.message);
        return fail_job(call, *job, message, error);
    }
    int64_t delay = back_off(pipeline, (*job)->attempts, (*job)->batch.outcome.retry_after_ns);
    pipeline->counts.waited_ns += (uint64_t)delay;
    (*job)->not_before = now_of(call) + delay;
    delay_job(call, *job);
    *job = NULL;
    return SX_OK;
}

static sx_status split_job(pipeline_call *call, pipeline_job *job, sx_error *error)
{
    if (job->batch.count == 1)
        return fail_job(call, job, job->batch.outcome.message, error);
    size_t half = (job->batch.count + 1) / 2;
    pipeline_job *first = make_job(call, job->items, half, error);
    pipeline_job *second = first ? make_job(call, job->items + half, job->batch.count - half, error) : NULL;
    if (!second) {
        free_job(first);
        return SX_E_NOMEM;
    }
    first->not_before = second->not_before = now_of(call);
    delay_job(call, first);
    delay_job(call, second);
    return SX_OK;
}

static sx_status fail_call(const pipeline_call *call, const sx_batch_outcome *outcome, sx_error *error)
{
    const sx_provider_info *info = &call->pipeline->options.provider->info;
    const char *message = outcome->message[0] ? outcome->message : "failed for good";
    if (info->remote) /* a service's messages name it */
        sx_fail(error, outcome->status, "%s", message);
    else
        sx_fail(error, outcome->status, "%s provider: %s", info->name, message);
    if (outcome->hint[0])
        sx_hint(error, "%s", outcome->hint);
    return outcome->status;
}

static sx_status finish_job(pipeline_call *call, pipeline_job *job, sx_error *error)
{
    const sx_batch_outcome *outcome = &job->batch.outcome;
    bool refused = outcome->status != SX_OK;
    sx_status status = SX_OK;
    call->in_flight--;
    call->pipeline->spender.tokens_in_flight -= job->tokens;
    if (outcome->status == SX_OK) {
        call->pipeline->spender.tokens_counted += job->tokens;
        status = take_job(call, job, error);
    } else if (call->draining) {
        status = SX_OK; /* its texts stay claimed, and are given up with the rest at the end */
    } else if (outcome->failure == SX_BATCH_RETRY) {
        status = retry_job(call, &job, error);
    } else if (outcome->failure == SX_BATCH_SPLIT) {
        status = split_job(call, job, error);
    } else if (outcome->status == SX_E_LIMIT && call->pipeline->options.spend.budget_usd > 0) {
        call->pipeline->counts.out_of_budget = true; /* the provider has seen it first */
    } else {
        status = fail_call(call, outcome, error);
    }
    if (!status && refused) /* a reply that was refused may have been paid for */
        status = sx_spender_flush(&call->pipeline->spender, false, error);
    free_job(job);
    advanced(call);
    return status;
}

/* ---- The call ---- */

/* Waits for a batch, a delayed job's time, or the next look at what is elsewhere. */
static sx_status wait_for_something(pipeline_call *call, sx_error *error)
{
    const sx_pipeline *pipeline = call->pipeline;
    sx_provider *provider = pipeline->options.provider;
    int64_t now = now_of(call), timeout = longest_wait;
    if (call->delayed && !call->draining && call->delayed->not_before - now < timeout)
        timeout = call->delayed->not_before - now;
    if (call->elsewhere_count && !call->draining && call->look_at - now < timeout)
        timeout = call->look_at - now;
    if (timeout < 0)
        timeout = 0;
    if (!call->in_flight) {
        pipeline->clock.sleep_ns(timeout, pipeline->clock.user);
        return SX_OK;
    }
    sx_batch *finished;
    sx_status status = provider->class->wait(provider, timeout, &finished, error);
    if (!status && finished)
        status = finish_job(call, finished->user, error);
    return status;
}

static sx_status run_call(pipeline_call *call, sx_error *error)
{
    sx_pipeline *pipeline = call->pipeline;
    unsigned most = pipeline->options.provider->info.max_in_flight;
    sx_status status = sx_pipeline_look_up(call, error);
    advanced(call);
    while (!status) {
        if (is_stopped(call))
            return sx_fail(error, SX_E_STOPPED, "embedding was stopped");
        pipeline_job *job = NULL;
        while (!status && call->in_flight < most && !pipeline->counts.out_of_budget) {
            status = next_job(call, &job, error);
            if (status || !job)
                break;
            status = submit_job(call, job, error);
        }
        if (!status && pipeline->counts.out_of_budget && !call->in_flight)
            return sx_spender_fail(&pipeline->spender, error);
        if (status || (!call->in_flight && !call->delayed && !call->elsewhere_count && call->queue_head == call->queue_end))
            break;
        status = wait_for_something(call, error);
        if (!status)
            status = sx_pipeline_poll_elsewhere(call, error);
    }
    return status;
}

/* Ends what is in flight, keeping what came out well, and gives up what is still claimed. */
static void abandon(pipeline_call *call)
{
    sx_provider *provider = call->pipeline->options.provider;
    call->draining = true;
    if (call->in_flight)
        provider->class->cancel(provider);
    while (call->in_flight) {
        unsigned before = call->in_flight;
        /* A provider that cannot even say what became of its batches keeps their memory: it may still write there. */
        if (wait_for_something(call, NULL) && call->in_flight == before)
            break;
    }
    for (pipeline_job *job = call->delayed, *next; job; job = next) {
        next = job->next;
        free_job(job);
    }
    size_t claimed = 0; /* the queue is not needed any more: it becomes the list */
    for (size_t i = 0; i < call->count; i++)
        if (call->states[i] == ITEM_CLAIMED)
            call->queue[claimed++] = i;
    sx_pipeline_release(call, call->queue, claimed, NULL);
}

/* Copies get the vector and receipt of what they equal; rows without a vector are all NaN. */
static void settle(pipeline_call *call, sx_status status)
{
    const sx_pipeline_options *options = &call->pipeline->options;
    size_t dimensions = options->provider->info.dimensions;
    for (size_t i = 0; i < call->count; i++) {
        sx_pipeline_item *item = &call->items[i];
        if (call->states[i] == ITEM_COPY && call->states[call->first[i]] == ITEM_DONE) {
            const sx_pipeline_item *first = &call->items[call->first[i]];
            item->receipt = first->receipt;
            if (!item->receipt.status && options->database)
                item->receipt.cached = 1;
            if (!item->receipt.status && item->vector && first->vector)
                memcpy(item->vector, first->vector, dimensions * sizeof *item->vector);
            call->pipeline->counts.texts++;
            call->pipeline->counts.cached += !item->receipt.status;
            call->pipeline->spender.cached += !item->receipt.status;
            call->pipeline->counts.failed += item->receipt.status != SX_OK;
        } else if (call->states[i] != ITEM_DONE) {
            item->receipt = (sx_receipt){.status = status ? status : SX_E_INTERNAL, .message = "not reached"};
        }
        size_t source = call->states[i] == ITEM_COPY ? call->first[i] : i;
        item->reached = call->states[source] == ITEM_DONE;
        item->receipt.empty = sx_text_is_blank(item->text.data ? item->text.data : "", item->text.length);
        for (size_t j = 0; item->receipt.status && item->vector && j < dimensions; j++)
            item->vector[j] = NAN;
    }
}

/* What the sources noticed is told once. */
static void tell_doubts(const sx_pipeline_options *options)
{
    void *user = NULL;
    sx_log_callback log = options->database ? sx_store_log_of(options->database, &user) : NULL;
    for (unsigned i = 0; log && i < (options->provider->leg_count ? options->provider->leg_count : 1); i++) {
        sx_provider *source = options->provider->leg_count ? options->provider->legs[i].provider : options->provider;
        if (source->doubt[0])
            log(SX_LOG_WARNING, source->doubt, user);
        source->doubt[0] = '\0';
    }
}

sx_status sx_pipeline_run(sx_pipeline *pipeline, sx_pipeline_item *items, size_t count, const volatile int *stop,
                          sx_error *error)
{
    if (!count)
        return SX_OK;
    pipeline_call call = {.pipeline = pipeline, .items = items, .count = count, .stop = stop};
    pipeline->counts.out_of_budget = false;
    sx_arena_clear(&pipeline->messages);
    call.states = sx_calloc(count, sizeof *call.states);
    call.sent = sx_calloc(count, sizeof *call.sent);
    call.first = sx_calloc(count, sizeof *call.first);
    call.queue = sx_calloc(count, 2 * sizeof *call.queue); /* a text can come back to it once, from elsewhere */
    call.elsewhere = sx_calloc(count, sizeof *call.elsewhere);
    sx_status status = SX_OK;
    for (size_t i = 0; i < count; i++) {
        items[i].receipt = (sx_receipt){.status = SX_E_NOMEM};
        items[i].reached = false;
    }
    if (!call.states || !call.sent || !call.first || !call.queue || !call.elsewhere) {
        status = sx_fail_nomem(error, count * 4 * sizeof *call.queue);
        goto out;
    }
    for (size_t i = 0; i < count; i++)
        items[i].receipt.status = SX_OK;
    status = run_call(&call, error);
    abandon(&call);
    settle(&call, status);
    tell_doubts(&pipeline->options);
out:
    free(call.states);
    free(call.sent);
    free(call.first);
    free(call.queue);
    free(call.elsewhere);
    return status;
}

sx_status sx_pipeline_open(const sx_pipeline_options *options, sx_pipeline **out, sx_error *error)
{
    *out = NULL;
    sx_pipeline *pipeline = sx_calloc(1, sizeof *pipeline);
    if (!pipeline)
        return sx_fail_nomem(error, sizeof *pipeline);
    pipeline->options = *options;
    pipeline->clock = options->clock ? *options->clock : sx_system_clock;
    if (!pipeline->options.attempts)
        pipeline->options.attempts = options->provider->info.attempts;
    if (!pipeline->options.attempts)
        pipeline->options.attempts = DEFAULT_ATTEMPTS;
    if (!pipeline->options.first_delay_ns)
        pipeline->options.first_delay_ns = default_first_delay;
    if (!pipeline->options.longest_delay_ns)
        pipeline->options.longest_delay_ns = default_longest_delay;
    pipeline->random = options->seed;
    if (!pipeline->random)
        pipeline->random = (uint64_t)pipeline->clock.wall_ns(pipeline->clock.user) ^ ((uint64_t)getpid() << 40);
    pipeline->random |= 1;
    for (unsigned i = 0; i < SX_LEGS; i++) {
        const sx_provider *source = options->provider->leg_count ? options->provider->legs[i].provider : options->provider;
        sx_sha256_of(source->info.recipe_json, strlen(source->info.recipe_json), &pipeline->recipes[i]);
    }
    sx_spender_open(&pipeline->spender, options->provider, options->database, &pipeline->clock, &options->spend);
    *out = pipeline;
    return SX_OK;
}

void sx_pipeline_close(sx_pipeline *pipeline)
{
    if (!pipeline)
        return;
    (void)sx_spender_flush(&pipeline->spender, true, NULL); /* what found no batch to go with: found texts, refused requests */
    sx_arena_clear(&pipeline->messages);
    free(pipeline);
}

void sx_pipeline_name(sx_pipeline *pipeline, const char *verb, const char *collection, bool allow_secrets)
{
    sx_spender_name(&pipeline->spender, verb, collection);
    pipeline->options.allow_secrets |= allow_secrets;
}

const sx_pipeline_counts *sx_pipeline_count(const sx_pipeline *pipeline)
{
    return &pipeline->counts;
}

void sx_pipeline_ledger(sx_pipeline *pipeline, sx_database *database)
{
    pipeline->spender.database = database;
}
