/* batcher.c - continuous batching without a thread of its own.
 *
 * The thread of a request that finds the engine free takes the lead: it makes batches and runs them until its own texts are
 * done, then hands the lead to one that still waits. So a lone request is not passed from thread to thread at all. A batch takes
 * from each client in turn (round robin, a quantum of tokens each: Shreedhar and Varghese, "Efficient fair queueing using
 * deficit round robin", 1995, with a share of at least one text instead of a deficit). Half of a batch is first open to small
 * requests: a query does not wait until each of many large requests had its turn. Only texts with the same options go into one
 * batch. How many tokens a text has is estimated from its bytes by what texts before it had; the engine bounds it by itself.
 */
#include "batcher.h"

#include "../base/clock.h"
#include "../base/error.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    SMALL_TOKENS = 256, /* what a request needs at most to come before the turns: some queries, a paragraph */
    TURN_TOKENS = 1024, /* of a client's turn, at least one text: large enough that a usual request is done in one */
    MAX_BATCH_TEXTS = 4096
};

typedef struct waiting waiting;
struct waiting {
    waiting *next;       /* of all that wait, in the order of their turns */
    sx_batch_work *work; /* NULL: exclusive */
    sx_batcher_function *run;
    void *user;
    sx_error *error;
    uint64_t client;
    const _Atomic bool *gone;
    pthread_cond_t wake;
    size_t taken, finished; /* texts */
    uint64_t tokens_left;   /* estimate of those not taken */
    int64_t began_ns, first_ns;
    bool done;
    sx_status status;
};

/* Texts [first, first + count) of a work. */
typedef struct batch_part {
    waiting *from;
    size_t first, count;
} batch_part;

struct sx_batcher {
    const sx_model *model;
    sx_session *session;
    sx_batcher_options options;
    uint32_t longest; /* tokens a text can have at most */
    pthread_mutex_t lock;
    waiting *first; /* whose turn is next */
    bool led, stopped;
    double tokens_per_byte; /* as seen lately */
    sx_batcher_figures figures;
    /* of the batch in the making or running; the leader's */
    batch_part *parts;
    size_t part_count, part_capacity;
    sx_text *texts;
    sx_tokens *tokens;
    sx_receipt *receipts;
    float *vectors;
    size_t text_count, text_capacity, token_capacity, receipt_capacity, vector_capacity;
    uint64_t batch_tokens, batch_bytes;
};

static int64_t now_ns(void)
{
    return sx_system_clock.monotonic_ns(sx_system_clock.user);
}

sx_status sx_batcher_open(const sx_model *model, const sx_batcher_options *options, sx_batcher **out, sx_error *error)
{
    sx_batcher *batcher = *out = sx_calloc(1, sizeof *batcher);
    if (!batcher)
        return sx_fail_nomem(error, sizeof *batcher);
    sx_session_options session = {.size = sizeof session, .threads = options->threads};
    pthread_mutex_init(&batcher->lock, NULL);
    batcher->model = model;
    batcher->options = *options;
    batcher->longest = sx_model_describe(model)->max_length;
    batcher->tokens_per_byte = 0.25;
    sx_status status = sx_session_open(model, &session, &batcher->session, error);
    if (status) {
        sx_batcher_close(batcher);
        *out = NULL;
    }
    return status;
}

void sx_batcher_close(sx_batcher *batcher)
{
    if (!batcher)
        return;
    sx_session_close(batcher->session);
    pthread_mutex_destroy(&batcher->lock);
    free(batcher->parts);
    free(batcher->texts);
    free(batcher->tokens);
    free(batcher->receipts);
    free(batcher->vectors);
    free(batcher);
}

/* ---- The queue; all with the lock held ---- */

static uint64_t estimate(const sx_batcher *batcher, const sx_batch_work *work, size_t index)
{
    uint64_t tokens =
        work->tokens ? work->tokens[index].count : (uint64_t)((double)work->texts[index].length * batcher->tokens_per_byte) + 2;
    return batcher->longest && tokens > batcher->longest ? batcher->longest : tokens;
}

/* Behind those of its own client; and a client that was not waiting goes behind all others. */
static void enqueue(sx_batcher *batcher, waiting *entry)
{
    waiting **at = &batcher->first;
    while (*at)
        at = &(*at)->next;
    entry->next = NULL;
    *at = entry;
    batcher->figures.queued_requests++;
    if (entry->work)
        batcher->figures.queued_texts += entry->work->count;
    batcher->figures.queued_tokens += entry->tokens_left;
}

static void leave_queue(sx_batcher *batcher, waiting *entry)
{
    for (waiting **at = &batcher->first; *at; at = &(*at)->next)
        if (*at == entry) {
            *at = entry->next;
            break;
        }
    entry->next = NULL;
    batcher->figures.queued_requests--;
    if (entry->work)
        batcher->figures.queued_texts -= entry->work->count - entry->taken;
    batcher->figures.queued_tokens -= entry->tokens_left;
    entry->tokens_left = 0;
}

static void finish(waiting *entry, sx_status status)
{
    entry->done = true;
    if (status && !entry->status)
        entry->status = status;
    pthread_cond_signal(&entry->wake);
}

/* Ends what nobody waits for, as far as nothing of it is in the engine. */
static void drop_gone(sx_batcher *batcher)
{
    for (waiting *at = batcher->first, *next; at; at = next) {
        next = at->next;
        if (!batcher->stopped && !(at->gone && atomic_load(at->gone)))
            continue;
        if (at->work)
            batcher->figures.dropped += at->work->count - at->taken;
        leave_queue(batcher, at);
        sx_fail(at->error, SX_E_STOPPED, batcher->stopped ? "the server is ending" : "the client hung up");
        finish(at, SX_E_STOPPED);
    }
}

static bool same_options(const sx_embed_options *a, const sx_embed_options *b)
{
    return a->strict == b->strict && a->outputs == b->outputs && a->dimensions == b->dimensions && a->normalize == b->normalize &&
           (a->prompt == b->prompt || (a->prompt && b->prompt && strcmp(a->prompt, b->prompt) == 0));
}

static bool goes_with(const waiting *first, const waiting *other)
{
    return other->work && !first->work->tokens == !other->work->tokens &&
           same_options(&first->work->options, &other->work->options);
}

/* A turn of one entry, in a batch of up to `most` tokens. Returns false when there is no memory for it. */
static bool take_turn(sx_batcher *batcher, waiting *entry, uint64_t most)
{
    sx_batch_work *work = entry->work;
    uint64_t tokens = 0;
    size_t count = 0;
    while (entry->taken + count < work->count && batcher->text_count + count < MAX_BATCH_TEXTS) {
        uint64_t more = estimate(batcher, work, entry->taken + count);
        bool fits = batcher->batch_tokens + tokens + more <= most;
        if (count ? tokens + more > TURN_TOKENS || !fits : batcher->text_count && !fits)
            break;
        tokens += more;
        count++;
    }
    if (!count)
        return true;
    batch_part *last = NULL;
    for (size_t i = 0; i < batcher->part_count && !last; i++)
        if (batcher->parts[i].from == entry)
            last = &batcher->parts[i];
    if (!last) {
        if (!sx_reserve((void **)&batcher->parts, &batcher->part_capacity, batcher->part_count + 1, sizeof *batcher->parts))
            return false;
        last = &batcher->parts[batcher->part_count++];
        *last = (batch_part){.from = entry, .first = entry->taken};
        if (!entry->first_ns)
            entry->first_ns = now_ns();
    }
    last->count += count;
    entry->taken += count;
    entry->tokens_left -= tokens < entry->tokens_left ? tokens : entry->tokens_left;
    batcher->figures.queued_tokens -= tokens < batcher->figures.queued_tokens ? tokens : batcher->figures.queued_tokens;
    batcher->figures.queued_texts -= count;
    batcher->batch_tokens += tokens;
    batcher->text_count += count;
    return true;
}

/* Whether a client before this entry in the queue is the same: it has had its turn this round. */
static bool client_came_before(const sx_batcher *batcher, const waiting *entry)
{
    for (const waiting *at = batcher->first; at != entry; at = at->next)
        if (at->client == entry->client && at->work && at->taken < at->work->count)
            return true;
    return false;
}

/* A round over the queue: turns for those that go with its first entry, or for the small ones among them. False: nothing was
 * taken. */
static bool take_round(sx_batcher *batcher, const waiting *lead, uint64_t most, bool small)
{
    size_t before = batcher->text_count;
    for (waiting *at = batcher->first; at && batcher->batch_tokens < most; at = at->next) {
        if (!goes_with(lead, at) || client_came_before(batcher, at) || (small && at->tokens_left > SMALL_TOKENS))
            continue;
        if (!take_turn(batcher, at, most))
            return false;
    }
    return batcher->text_count > before;
}

/* Until the budget is full or nothing is left that goes with the first entry of the queue. */
static void make_batch(sx_batcher *batcher)
{
    const waiting *lead = batcher->first;
    uint64_t most = batcher->options.max_batch_tokens;
    batcher->part_count = batcher->text_count = 0;
    batcher->batch_tokens = batcher->batch_bytes = 0;
    if (!take_turn(batcher, batcher->first, most / 2)) /* or small ones that keep coming could keep it out */
        return;
    take_round(batcher, lead, most, true);
    while (take_round(batcher, lead, most, false))
        continue;
}

/* Who was in this batch goes to the end, so that the next one begins with others. Entries taken whole leave the queue. */
static void turn_queue(sx_batcher *batcher)
{
    for (size_t i = 0; i < batcher->part_count; i++) {
        waiting *entry = batcher->parts[i].from;
        uint64_t left = entry->tokens_left;
        leave_queue(batcher, entry);
        if (entry->taken == entry->work->count)
            continue;
        entry->tokens_left = left;
        enqueue(batcher, entry);
        batcher->figures.queued_texts -= entry->taken;
    }
}

/* ---- Running; without the lock ---- */

static sx_status reserve_batch(sx_batcher *batcher, size_t width, sx_error *error)
{
    size_t count = batcher->text_count, floats;
    bool good = sx_multiply(count, width, &floats) &&
                sx_reserve((void **)&batcher->texts, &batcher->text_capacity, count, sizeof *batcher->texts) &&
                sx_reserve((void **)&batcher->tokens, &batcher->token_capacity, count, sizeof *batcher->tokens) &&
                sx_reserve((void **)&batcher->receipts, &batcher->receipt_capacity, count, sizeof *batcher->receipts) &&
                sx_reserve((void **)&batcher->vectors, &batcher->vector_capacity, floats, sizeof *batcher->vectors);
    return good ? SX_OK : sx_fail_nomem(error, count * width * sizeof(float));
}

/* What belongs to the session is copied: the next call overwrites it. */
static sx_status keep_text(const sx_batch_work *work, size_t index, const sx_text_outputs *outputs, size_t multi, sx_error *error)
{
    sx_receipt *receipt = &work->receipts[index];
    if (receipt->message && !(receipt->message = sx_arena_strndup(work->arena, receipt->message, strlen(receipt->message))))
        receipt->message = "no memory for the message";
    if (!work->outputs)
        return SX_OK;
    sx_text_outputs *to = &work->outputs[index];
    *to = (sx_text_outputs){0};
    if (!outputs)
        return SX_OK;
    size_t floats = outputs->vector_count * multi;
    uint32_t *ids = sx_arena_alloc(work->arena, (outputs->weight_count + 1) * sizeof *ids);
    float *weights = sx_arena_alloc(work->arena, (outputs->weight_count + 1) * sizeof *weights);
    float *vectors = sx_arena_alloc(work->arena, (floats + 1) * sizeof *vectors);
    if (!ids || !weights || !vectors)
        return sx_fail_nomem(error, floats * sizeof *vectors);
    if (outputs->weight_count) {
        memcpy(ids, outputs->ids, outputs->weight_count * sizeof *ids);
        memcpy(weights, outputs->weights, outputs->weight_count * sizeof *weights);
    }
    if (floats)
        memcpy(vectors, outputs->vectors, floats * sizeof *vectors);
    *to = (sx_text_outputs){ids, weights, outputs->weight_count, vectors, outputs->vector_count};
    return SX_OK;
}

static sx_status embed_parts(sx_batcher *batcher, const batch_part *parts, size_t part_count, sx_error *error)
{
    const sx_batch_work *lead = parts[0].from->work;
    size_t width = lead->vectors ? lead->width : 0, count = 0, done = 0;
    for (size_t i = 0; i < part_count; i++)
        for (size_t j = 0; j < parts[i].count; j++, count++) {
            if (lead->tokens)
                batcher->tokens[count] = parts[i].from->work->tokens[parts[i].first + j];
            else
                batcher->texts[count] = parts[i].from->work->texts[parts[i].first + j];
        }
    float *vectors = width ? batcher->vectors : NULL;
    sx_embed_options options = lead->options;
    options.size = sizeof options;
    sx_status status =
        lead->tokens
            ? sx_session_embed_tokens(batcher->session, batcher->tokens, count, &options, vectors, batcher->receipts, error)
            : sx_session_embed(batcher->session, batcher->texts, count, &options, vectors, batcher->receipts, error);
    size_t output_count = 0, multi = sx_model_describe(batcher->model)->multi_dimensions;
    const sx_text_outputs *outputs = status ? NULL : sx_session_outputs(batcher->session, &output_count);
    for (size_t i = 0; i < part_count && !status; i++) {
        const sx_batch_work *work = parts[i].from->work;
        for (size_t j = 0; j < parts[i].count && !status; j++, done++) {
            size_t index = parts[i].first + j;
            work->receipts[index] = batcher->receipts[done];
            if (width)
                memcpy(work->vectors + index * width, batcher->vectors + done * width, width * sizeof *work->vectors);
            status = keep_text(work, index, outputs ? &outputs[done] : NULL, multi, error);
            batcher->batch_bytes += work->texts && !work->receipts[index].dropped_tokens ? work->texts[index].length : 0;
        }
    }
    return status;
}

/* A call that fails as a whole is repeated part by part, so that only those fail that must. */
static void run_batch(sx_batcher *batcher)
{
    const sx_batch_work *lead = batcher->parts[0].from->work;
    sx_error error = {0};
    sx_status status = reserve_batch(batcher, lead->vectors ? lead->width : 0, &error);
    if (!status)
        status = embed_parts(batcher, batcher->parts, batcher->part_count, &error);
    if (!status)
        return;
    for (size_t i = 0; i < batcher->part_count; i++) {
        waiting *from = batcher->parts[i].from;
        sx_error own = error;
        if (batcher->part_count > 1)
            status = embed_parts(batcher, &batcher->parts[i], 1, &own);
        if (status && !from->status) {
            from->status = status;
            if (from->error)
                *from->error = own;
        }
    }
}

/* ---- Leading ---- */

/* With the lock held again. */
static void deliver(sx_batcher *batcher)
{
    uint64_t tokens = 0;
    int64_t now = now_ns();
    for (size_t i = 0; i < batcher->part_count; i++) {
        batch_part *part = &batcher->parts[i];
        waiting *entry = part->from;
        for (size_t j = 0; j < part->count && !entry->status; j++)
            tokens += entry->work->receipts[part->first + j].tokens;
        entry->finished += part->count;
        if (entry->status && entry->taken < entry->work->count) {
            leave_queue(batcher, entry);
            entry->finished = entry->work->count;
        }
        if (entry->finished < entry->work->count)
            continue;
        entry->work->queue_ns = entry->first_ns - entry->began_ns;
        entry->work->inference_ns = now - entry->first_ns;
        finish(entry, SX_OK);
    }
    batcher->figures.batches++;
    batcher->figures.texts += batcher->text_count;
    batcher->figures.tokens += tokens;
    batcher->figures.last_batch_texts = batcher->text_count;
    batcher->figures.last_batch_tokens = tokens;
    if (batcher->batch_bytes > 256) {
        double seen = (double)tokens / (double)batcher->batch_bytes;
        batcher->tokens_per_byte += 0.1 * ((seen > 1 ? 1 : seen) - batcher->tokens_per_byte);
    }
}

/* One step of the leader: an exclusive function or a batch. */
static void lead_step(sx_batcher *batcher)
{
    waiting *first = batcher->first;
    if (first->work) {
        make_batch(batcher);
        turn_queue(batcher);
        pthread_mutex_unlock(&batcher->lock);
        if (batcher->part_count)
            run_batch(batcher);
        pthread_mutex_lock(&batcher->lock);
        if (batcher->part_count) {
            deliver(batcher);
        } else { /* no memory even for the list of parts */
            leave_queue(batcher, first);
            finish(first, sx_fail(first->error, SX_E_NOMEM, "no memory for a batch"));
        }
        return;
    }
    leave_queue(batcher, first);
    pthread_mutex_unlock(&batcher->lock);
    sx_status status = first->run(batcher->session, first->user, first->error);
    pthread_mutex_lock(&batcher->lock);
    finish(first, status);
}

static sx_status wait_turn(sx_batcher *batcher, waiting *entry)
{
    enqueue(batcher, entry);
    while (!entry->done && batcher->led)
        pthread_cond_wait(&entry->wake, &batcher->lock);
    if (!entry->done) {
        batcher->led = true;
        while (!entry->done) {
            drop_gone(batcher);
            if (!entry->done)
                lead_step(batcher);
        }
        batcher->led = false;
        if (batcher->first)
            pthread_cond_signal(&batcher->first->wake);
    }
    return entry->status;
}

static sx_status submit(sx_batcher *batcher, waiting *entry, sx_error *error)
{
    sx_status status = SX_OK;
    pthread_cond_init(&entry->wake, NULL);
    entry->began_ns = now_ns();
    entry->error = error;
    pthread_mutex_lock(&batcher->lock);
    for (size_t i = 0; entry->work && i < entry->work->count; i++)
        entry->tokens_left += estimate(batcher, entry->work, i);
    uint64_t queued = batcher->figures.queued_tokens;
    if (batcher->stopped)
        status = sx_fail(error, SX_E_STOPPED, "the server is ending");
    else if (queued && queued + entry->tokens_left > batcher->options.max_queue_tokens)
        status = sx_fail(error, SX_E_BUSY, "%llu tokens wait already, and at most %llu may", (unsigned long long)queued,
                         (unsigned long long)batcher->options.max_queue_tokens);
    else
        status = wait_turn(batcher, entry);
    pthread_mutex_unlock(&batcher->lock);
    pthread_cond_destroy(&entry->wake);
    return status;
}

sx_status sx_batcher_embed(sx_batcher *batcher, sx_batch_work *work, sx_error *error)
{
    waiting entry = {.work = work, .client = work->client, .gone = work->gone};
    return work->count ? submit(batcher, &entry, error) : SX_OK;
}

sx_status sx_batcher_exclusive(sx_batcher *batcher, uint64_t client, const _Atomic bool *gone, sx_batcher_function *run,
                               void *user, sx_error *error)
{
    waiting entry = {.run = run, .user = user, .client = client, .gone = gone};
    return submit(batcher, &entry, error);
}

void sx_batcher_stop(sx_batcher *batcher)
{
    pthread_mutex_lock(&batcher->lock);
    batcher->stopped = true; /* whoever leads, or is about to, ends those that wait */
    pthread_mutex_unlock(&batcher->lock);
}

void sx_batcher_describe(sx_batcher *batcher, sx_batcher_figures *figures)
{
    pthread_mutex_lock(&batcher->lock);
    *figures = batcher->figures;
    pthread_mutex_unlock(&batcher->lock);
}
