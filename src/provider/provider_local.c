/* provider_local.c - the local engine behind the provider interface.
 *
 * One worker thread owns the session (which itself uses all its threads for each call) and takes batches from a queue in
 * order. A batch is embedded in slices of about a quarter of a second, as measured on the slices before, so that a request
 * to stop is heard between two of them whatever the model's size; slicing cannot change a vector, since the engine's
 * result for a text does not depend on what it is batched with.
 */
#include "provider_classes.h"
#include "token_counter.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../model/recipe.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MAX_TEXTS = 1024,
    TOKENS_PER_THREAD = 4096, /* what keeps one thread busy for a while */
    MAX_TOKENS = 65536,
    IN_FLIGHT = 2,            /* one being computed, one waiting: the worker never idles */
    SLICE_NS = 250000000,
    FIRST_SLICE_BYTES = 4096, /* a thread, before anything was measured */
    LEAST_SLICE_BYTES = 512
};

/* A batch in the provider's hands. */
typedef struct node {
    struct node *next;
    sx_batch *batch;
    sx_arena messages; /* of texts that failed by themselves */
    bool cancelled;    /* under lock */
} node;

typedef struct node_queue {
    node *first, *last;
} node_queue;

typedef struct local_provider {
    sx_provider base;
    /* Immutable after open. */
    sx_model *owned;  /* or NULL: the model is somebody else's */
    const sx_model *model;
    char *space_json, *recipe_json, *prompt;
    int strict;
    unsigned threads;
    pthread_t worker;
    bool worker_started, lock_made;
    /* The worker's own. */
    sx_session *session;
    double bytes_per_ns;
    /* The owner's own. */
    sx_arena messages; /* of the batch that came out of wait last */
    /* Under lock. */
    pthread_mutex_t lock;
    pthread_cond_t submitted, finished;
    node_queue waiting, done;
    node *current;
    unsigned in_flight;
    bool closing;
} local_provider;

static void queue_push(node_queue *queue, node *item)
{
    item->next = NULL;
    if (queue->last)
        queue->last->next = item;
    else
        queue->first = item;
    queue->last = item;
}

static node *queue_pop(node_queue *queue)
{
    node *item = queue->first;
    if (item) {
        queue->first = item->next;
        if (!queue->first)
            queue->last = NULL;
    }
    return item;
}

static int64_t now_ns(void)
{
    return sx_system_clock.monotonic_ns(NULL);
}

static bool is_cancelled(local_provider *local, node *item)
{
    pthread_mutex_lock(&local->lock);
    bool cancelled = item->cancelled;
    pthread_mutex_unlock(&local->lock);
    return cancelled;
}

/* The session reuses its messages with the next call: keep those of this slice. */
static bool keep_messages(node *item, sx_receipt *receipts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!receipts[i].message)
            continue;
        receipts[i].message = sx_arena_strndup(&item->messages, receipts[i].message, strlen(receipts[i].message));
        if (!receipts[i].message)
            return false;
    }
    return true;
}

/* Texts from `start` that make about one slice, and their bytes. */
static size_t slice_length(const local_provider *local, const sx_batch *batch, size_t start, size_t *bytes)
{
    double budget = local->bytes_per_ns > 0 ? local->bytes_per_ns * SLICE_NS : (double)FIRST_SLICE_BYTES * local->threads;
    if (budget < LEAST_SLICE_BYTES)
        budget = LEAST_SLICE_BYTES;
    size_t end = start;
    *bytes = 0;
    while (end < batch->count && (end == start || (double)(*bytes + batch->texts[end].length) <= budget))
        *bytes += batch->texts[end++].length + 16; /* a text costs something by itself */
    return end - start;
}

static void embed_batch(local_provider *local, node *item)
{
    sx_batch *batch = item->batch;
    sx_embed_options options = {.size = sizeof options, .prompt = local->prompt, .strict = local->strict};
    size_t dimensions = local->base.info.dimensions;
    sx_error error = {0};
    batch->outcome = (sx_batch_outcome){.status = SX_OK};
    for (size_t start = 0; start < batch->count;) {
        if (is_cancelled(local, item)) {
            batch->outcome.status = SX_E_STOPPED;
            return;
        }
        size_t bytes;
        size_t count = slice_length(local, batch, start, &bytes);
        int64_t before = now_ns();
        sx_status status = sx_session_embed(local->session, batch->texts + start, count, &options,
                                            batch->vectors + start * dimensions, batch->receipts + start, &error);
        if (!status && !keep_messages(item, batch->receipts + start, count))
            status = sx_fail_nomem(&error, 0);
        if (status) {
            batch->outcome.status = status;
            /* Too little memory for all of it may be enough for half of it. */
            batch->outcome.failure = status == SX_E_NOMEM ? SX_BATCH_SPLIT : SX_BATCH_FATAL;
            snprintf(batch->outcome.message, sizeof batch->outcome.message, "%.*s", (int)sizeof batch->outcome.message - 1,
                     error.message);
            return;
        }
        int64_t took = now_ns() - before;
        if (took > 0) {
            double rate = (double)bytes / (double)took;
            local->bytes_per_ns = local->bytes_per_ns > 0 ? (local->bytes_per_ns + rate) / 2 : rate;
        }
        start += count;
    }
}

static void *work(void *user)
{
    local_provider *local = user;
    pthread_mutex_lock(&local->lock);
    for (;;) {
        while (!local->waiting.first && !local->closing)
            pthread_cond_wait(&local->submitted, &local->lock);
        node *item = queue_pop(&local->waiting);
        if (!item)
            break;
        local->current = item;
        pthread_mutex_unlock(&local->lock);
        embed_batch(local, item);
        pthread_mutex_lock(&local->lock);
        local->current = NULL;
        queue_push(&local->done, item);
        pthread_cond_signal(&local->finished);
    }
    pthread_mutex_unlock(&local->lock);
    return NULL;
}

static sx_status local_submit(sx_provider *provider, sx_batch *batch, sx_error *error)
{
    local_provider *local = (local_provider *)provider;
    node *item = sx_calloc(1, sizeof *item);
    if (!item)
        return sx_fail_nomem(error, sizeof *item);
    item->batch = batch;
    batch->private = item;
    sx_status status = SX_OK;
    pthread_mutex_lock(&local->lock);
    if (local->in_flight >= provider->info.max_in_flight) {
        status = sx_fail(error, SX_E_BUSY, "local engine: %u batches are in flight already", local->in_flight);
    } else {
        local->in_flight++;
        queue_push(&local->waiting, item);
        pthread_cond_signal(&local->submitted);
    }
    pthread_mutex_unlock(&local->lock);
    if (status)
        free(item);
    return status;
}

static struct timespec deadline_after(int64_t duration)
{
    int64_t end = now_ns() + duration;
    return (struct timespec){end / 1000000000, end % 1000000000};
}

static sx_status local_wait(sx_provider *provider, int64_t timeout_ns, sx_batch **finished, sx_error *error)
{
    (void)error;
    local_provider *local = (local_provider *)provider;
    struct timespec deadline = deadline_after(timeout_ns);
    *finished = NULL;
    sx_arena_clear(&local->messages);
    pthread_mutex_lock(&local->lock);
    int timed_out = timeout_ns <= 0;
    while (!local->done.first && !timed_out)
        timed_out = pthread_cond_timedwait(&local->finished, &local->lock, &deadline);
    node *item = queue_pop(&local->done);
    if (item)
        local->in_flight--;
    pthread_mutex_unlock(&local->lock);
    if (item) {
        *finished = item->batch;
        provider->usage.requests++;
        for (size_t i = 0; !item->batch->outcome.status && i < item->batch->count; i++)
            provider->usage.tokens += item->batch->receipts[i].status ? 0 : item->batch->receipts[i].tokens;
        item->batch->private = NULL;
        local->messages = item->messages;
        free(item);
    }
    return SX_OK;
}

static void local_cancel(sx_provider *provider)
{
    local_provider *local = (local_provider *)provider;
    pthread_mutex_lock(&local->lock);
    if (local->current)
        local->current->cancelled = true;
    for (node *item = local->waiting.first; item; item = item->next)
        item->cancelled = true;
    pthread_mutex_unlock(&local->lock);
}

static void free_nodes(node_queue *queue)
{
    for (node *item; (item = queue_pop(queue));) {
        sx_arena_clear(&item->messages);
        free(item);
    }
}

static void local_close(sx_provider *provider)
{
    local_provider *local = (local_provider *)provider;
    if (local->worker_started) {
        local_cancel(provider);
        pthread_mutex_lock(&local->lock);
        local->closing = true;
        pthread_cond_signal(&local->submitted);
        pthread_mutex_unlock(&local->lock);
        pthread_join(local->worker, NULL);
    }
    free_nodes(&local->waiting);
    free_nodes(&local->done);
    if (local->lock_made) {
        pthread_cond_destroy(&local->submitted);
        pthread_cond_destroy(&local->finished);
        pthread_mutex_destroy(&local->lock);
    }
    sx_arena_clear(&local->messages);
    sx_model_counter_close(&local->base.counter);
    sx_session_close(local->session);
    sx_model_close(local->owned);
    free(local->space_json);
    free(local->recipe_json);
    free(local->prompt);
    free(local);
}

static const sx_provider_class local_class = {"local", local_submit, local_wait, local_cancel, local_close};

static unsigned count_cores(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
    return count > 0 ? (unsigned)count : 1;
}

static sx_status load_model(local_provider *local, const sx_embedder_options *options, sx_error *error)
{
    sx_places places = options->places;
    places.size = sizeof places;
    char *folder = NULL;
    sx_status status = sx_models_resolve(&places, options->model, &folder, error);
    if (status)
        return status;
    sx_model_options model_options = {
        .size = sizeof model_options,
        .pooling = options->pooling,
        .max_length = options->max_length,
        .dimensions = options->dimensions,
        .no_normalize = options->no_normalize,
        .cpu_mask = options->cpu_mask,
        .hash_folder = places.cache_folder,
        .precision = options->precision,
        .storage = options->storage,
    };
    status = sx_model_open(folder, &model_options, &local->owned, error);
    free(folder);
    local->model = local->owned;
    return status;
}

static sx_status open_model(local_provider *local, const sx_embedder_options *options, sx_error *error)
{
    local->model = options->opened;
    sx_status status = local->model ? SX_OK : load_model(local, options, error);
    if (status)
        return status;
    if (!(sx_model_describe(local->model)->outputs & SX_OUTPUT_DENSE)) {
        sx_fail(error, SX_E_UNSUPPORTED, "%s: the model is a cross-encoder, which scores pairs of texts and gives no vectors",
                options->model);
        sx_hint(error, "use it to rerank, and an embedder for vectors");
        return SX_E_UNSUPPORTED;
    }
    const char *prompt = options->prompt;
    if (!prompt)
        status = sx_model_prompt(local->model, options->role ? options->role : "none", &prompt, error);
    if (status)
        return status;
    local->prompt = sx_strdup(prompt ? prompt : "");
    if (!local->prompt)
        return sx_fail_nomem(error, strlen(prompt) + 1);
    status = sx_recipe_describe(local->model, local->prompt, &local->space_json, &local->recipe_json, error);
    if (status)
        return status;
    sx_session_options session_options = {.size = sizeof session_options, .threads = options->threads};
    status = sx_session_open(local->model, &session_options, &local->session, error);
    if (status)
        return status;
    return sx_model_counter_open(local->model, local->prompt, &local->base.counter, error);
}

static void describe(local_provider *local, const sx_embedder_options *options)
{
    const sx_model_info *model = sx_model_describe(local->model);
    local->strict = options->strict;
    local->threads = options->threads ? options->threads : count_cores();
    uint64_t tokens = (uint64_t)TOKENS_PER_THREAD * local->threads;
    local->base.model = local->model;
    local->base.info = (sx_provider_info){
        .name = local_class.name,
        .space_json = local->space_json,
        .recipe_json = local->recipe_json,
        .prompt = local->prompt,
        .dimensions = model->dimensions,
        .max_length = model->max_length,
        .normalized = model->normalized != 0,
        .zero_for_nothing = strcmp(model->kind, "static") == 0,
        .max_texts = options->batch_size ? options->batch_size : MAX_TEXTS,
        .max_tokens = tokens > MAX_TOKENS ? MAX_TOKENS : (uint32_t)tokens,
        .max_in_flight = IN_FLIGHT,
    };
}

static sx_status start_worker(local_provider *local, sx_error *error)
{
    pthread_condattr_t attributes;
    if (pthread_condattr_init(&attributes))
        return sx_fail_nomem(error, sizeof attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&local->lock, NULL);
    pthread_cond_init(&local->submitted, NULL);
    pthread_cond_init(&local->finished, &attributes);
    pthread_condattr_destroy(&attributes);
    local->lock_made = true;
    int problem = pthread_create(&local->worker, NULL, work, local);
    if (problem)
        return sx_fail_errno(error, problem, "local engine: a thread could not be started");
    local->worker_started = true;
    return SX_OK;
}

sx_status sx_provider_local_open(const sx_embedder_options *options, const sx_clock *clock, sx_provider **out,
                                 sx_error *error)
{
    (void)clock; /* the worker's slices are measured in real time */
    *out = NULL;
    local_provider *local = sx_calloc(1, sizeof *local);
    if (!local)
        return sx_fail_nomem(error, sizeof *local);
    local->base.class = &local_class;
    sx_status status = open_model(local, options, error);
    if (!status) {
        describe(local, options);
        status = start_worker(local, error);
    }
    if (status)
        local_close(&local->base);
    else
        *out = &local->base;
    return status;
}
