/* provider_remote.c - batches of texts to a remote service and back: wire forms, the HTTP pool and the rate limit joined.
 *
 * Everything happens inside submit and wait, on the owner's thread: a batch is put into the service's form when it is
 * submitted, goes out as soon as the rate limit and the budget let it, and is read when its reply is there. wait sleeps in
 * the pool or, when only the rate limit holds things up, by the clock given at open.
 *
 * Repeating and halving are the pipeline's; here is what only this side can know: what the service says of its limits, that
 * all requests fail for so long that going on is pointless, and that it takes fewer texts at once than were sent.
 */
#include "provider_remote.h"
#include "remote_counter.h"

#include "../base/error.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    BYTES_PER_VALUE = 32,       /* of a number in JSON, with generous white space */
    REPLY_MARGIN = 1 << 20,
    FAILURES_BEFORE_GIVING_UP = 5,
    REFUSALS_TO_LEARN = 3,      /* requests of a size never taken that are refused before the size is thought to be the reason */
    SPECIAL_TOKENS = 2,         /* of a text, when they are not counted */
    ENOUGH_TO_DOUBT = 500       /* tokens counted before another count means anything */
};
static const int64_t longest_retry_after = 1800000000000, longest_outage = 300000000000, longest_absence = 15000000000;
static const int64_t grace_ns = 2000000000; /* for replies that are paid for already */
static const double token_margin = 1.05; /* on what was learned about tokens of a byte, and between two counts of tokens */

/* ---- Queues ---- */

static void queue_push(sx_remote_queue *queue, sx_remote_node *node)
{
    node->next = NULL;
    if (queue->last)
        queue->last->next = node;
    else
        queue->first = node;
    queue->last = node;
}

static void queue_push_first(sx_remote_queue *queue, sx_remote_node *node)
{
    node->next = queue->first;
    queue->first = node;
    if (!queue->last)
        queue->last = node;
}

static void queue_remove(sx_remote_queue *queue, sx_remote_node *node)
{
    sx_remote_node *before = NULL;
    for (sx_remote_node *at = queue->first; at != node; at = at->next)
        before = at;
    if (before)
        before->next = node->next;
    else
        queue->first = node->next;
    if (queue->last == node)
        queue->last = before;
    node->next = NULL;
}

static unsigned queue_length(const sx_remote_queue *queue)
{
    unsigned length = 0;
    for (const sx_remote_node *node = queue->first; node; node = node->next)
        length++;
    return length;
}

static void free_node(sx_remote_node *node)
{
    sx_wire_request_clear(&node->request);
    sx_buffer_clear(&node->exchange.reply);
    sx_arena_clear(&node->arena);
    free(node);
}

/* ---- Shared with opening ---- */

void sx_remote_address(sx_provider_remote *remote, const sx_wire_request *request, const char *headers[3],
                       sx_http_exchange *exchange, size_t limit)
{
    size_t count = 0;
    if (strncasecmp(request->header.data ? request->header.data : "", "Content-Type:", 13) != 0)
        headers[count++] = "Content-Type: application/json";
    if (request->header.length)
        headers[count++] = request->header.data;
    if (request->secret_header.length)
        headers[count++] = request->secret_header.data;
    sx_buffer reply = exchange->reply;
    *exchange = (sx_http_exchange){
        .method = request->method,
        .url = request->url.data,
        .headers = headers,
        .header_count = count,
        .body = request->body.length ? request->body.data : NULL,
        .body_length = request->body.length,
        .timeout_ns = remote->timeout_ns,
        .limit = limit,
        .ca_file = remote->target.ca_file,
        .reply = reply,
    };
}

void sx_remote_refusal(const sx_provider_remote *remote, const sx_http_exchange *exchange, sx_wire_reply *reply)
{
    const sx_wire_target *target = &remote->target;
    *reply = (sx_wire_reply){.verdict = SX_WIRE_RETRY};
    if (exchange->status == SX_OK && exchange->code >= 300 && exchange->code < 400) {
        reply->verdict = SX_WIRE_FATAL;
        snprintf(reply->message, sizeof reply->message, "%s: the service answers %ld: it has moved", target->service,
                 exchange->code);
        snprintf(reply->hint, sizeof reply->hint, "give its new address; redirects are not followed, since a key goes along");
    } else if (exchange->status == SX_OK) {
        target->form->refuse(target, exchange->code, exchange->reply.data ? exchange->reply.data : "", exchange->reply.length,
                             reply);
    } else {
        snprintf(reply->message, sizeof reply->message, "%s: %s", target->service, exchange->problem);
        if (exchange->status == SX_E_LIMIT || exchange->status == SX_E_NOMEM)
            reply->verdict = SX_WIRE_SPLIT;
        else if (exchange->status == SX_E_INVALID)
            reply->verdict = SX_WIRE_FATAL;
        if (exchange->unsent)
            snprintf(reply->hint, sizeof reply->hint, "is the service running, and is its address right?");
    }
    if (reply->verdict == SX_WIRE_RETRY && exchange->retry_after_ns > longest_retry_after) {
        size_t length = strlen(reply->message);
        reply->verdict = SX_WIRE_FATAL;
        snprintf(reply->message + length, sizeof reply->message - length, " (to be tried again in %.1f hours)",
                 (double)exchange->retry_after_ns / 3.6e12);
        snprintf(reply->hint, sizeof reply->hint, "run the same again then: what is done is kept");
    }
}

void sx_remote_heed(sx_provider_remote *remote, const sx_http_exchange *exchange)
{
    if (exchange->status)
        return;
    sx_rate_limit_told(&remote->limit, exchange->remaining_requests, exchange->remaining_tokens, exchange->reset_requests_ns,
                       exchange->reset_tokens_ns);
    if ((exchange->code == 429 || exchange->code == 503) && exchange->retry_after_ns > 0 &&
        exchange->retry_after_ns <= longest_retry_after)
        sx_rate_limit_block(&remote->limit, exchange->retry_after_ns);
}

static double usd_for(const sx_provider_remote *remote, uint64_t tokens)
{
    return remote->price > 0 ? remote->price * (double)tokens / 1e6 : 0;
}

void sx_remote_charge(sx_provider_remote *remote, uint64_t tokens, uint64_t estimate)
{
    uint64_t counted = tokens ? tokens : estimate;
    remote->base.usage.tokens += counted;
    remote->base.usage.usd += usd_for(remote, counted);
}

sx_status sx_remote_status_of(long code)
{
    return code == 401 || code == 402 || code == 403 ? SX_E_DENIED : code == 404 ? SX_E_NOT_FOUND : SX_E_PROVIDER;
}

size_t sx_remote_reply_limit(size_t count, size_t dimensions)
{
    size_t values;
    return sx_multiply(count, dimensions, &values) && values < SIZE_MAX / BYTES_PER_VALUE - REPLY_MARGIN
               ? values * BYTES_PER_VALUE + REPLY_MARGIN
               : SIZE_MAX;
}

/* ---- Sending ---- */

static sx_status fail_text(sx_remote_node *node, sx_receipt *receipt, sx_status status, const char *message, sx_error *error)
{
    receipt->status = status;
    receipt->message = sx_arena_strndup(&node->arena, message, strlen(message));
    return receipt->message ? SX_OK : sx_fail_nomem(error, strlen(message));
}

/* Decides about one text of the batch: it is sent, or fails by itself because it is known to be refused. */
static sx_status prepare_text(sx_provider_remote *remote, sx_remote_node *node, size_t index, sx_error *error)
{
    sx_text text = node->batch->texts[index];
    sx_receipt *receipt = &node->batch->receipts[index];
    const sx_token_counter *counter = &remote->base.counter;
    uint32_t limit = remote->base.info.max_length;
    *receipt = (sx_receipt){0};
    const char *problem = sx_wire_text_problem(text);
    if (problem) {
        receipt->empty = 1;
        return fail_text(node, receipt, SX_E_INVALID, problem, error);
    }
    size_t prompt = strlen(remote->prompt);
    if (prompt) {
        char *joined = sx_arena_alloc(&node->arena, prompt + text.length);
        if (!joined)
            return sx_fail_nomem(error, prompt + text.length);
        memcpy(joined, remote->prompt, prompt);
        memcpy(joined + prompt, text.data, text.length);
        text = (sx_text){joined, prompt + text.length};
    }
    size_t weight = remote->exact ? counter->count(counter->user, text.data, text.length, NULL, 0) : text.length;
    if (weight == SIZE_MAX)
        return sx_fail_nomem(error, text.length);
    if (remote->exact)
        weight += counter->special;
    if (remote->exact && limit && weight > limit) {
        char message[128];
        snprintf(message, sizeof message, "the text has %zu tokens; the model takes %u", weight, limit);
        return fail_text(node, receipt, SX_E_LIMIT, message, error);
    }
    node->texts[node->count] = text;
    node->rows[node->count] = index;
    node->weights[node->count++] = weight;
    node->weight += weight;
    return SX_OK;
}

/* Tokens of a request: exact, or as many as the service ever counted for a byte, or at first one for each byte. */
static uint64_t estimate_tokens(const sx_provider_remote *remote, const sx_remote_node *node)
{
    uint64_t most = node->weight + (uint64_t)SPECIAL_TOKENS * node->count;
    if (remote->exact)
        return node->weight;
    if (remote->tokens_of_byte <= 0)
        return most;
    double learned = ceil((double)node->weight * remote->tokens_of_byte * token_margin);
    return learned < (double)most ? (uint64_t)learned : most;
}

static sx_status build_request(sx_provider_remote *remote, sx_remote_node *node, sx_error *error)
{
    const sx_wire_target *target = &remote->target;
    node->with_dimensions = target->dimensions && !target->no_dimensions;
    node->with_role = !target->no_role;
    sx_status status = target->form->build(target, remote->role, node->texts, node->count, &node->request, error);
    /* A service that cannot cut sends the model's own dimensions, whatever they are. */
    size_t dimensions = target->no_dimensions ? (size_t)1 << 14 : remote->base.info.dimensions;
    if (!status)
        sx_remote_address(remote, &node->request, node->headers, &node->exchange, sx_remote_reply_limit(node->count, dimensions));
    return status;
}

static void end_node(sx_provider_remote *remote, sx_remote_node *node, sx_status status, int failure, const char *message,
                     const char *hint)
{
    sx_batch_outcome *outcome = &node->batch->outcome;
    *outcome = (sx_batch_outcome){.status = status, .failure = failure};
    snprintf(outcome->message, sizeof outcome->message, "%s", message);
    snprintf(outcome->hint, sizeof outcome->hint, "%s", hint);
    queue_push(&remote->done, node);
}

/* Whether the budget lets this node go now; when it never will, the node is ended. */
static bool within_budget(sx_provider_remote *remote, sx_remote_node *node)
{
    const sx_provider_usage *usage = &remote->base.usage;
    char message[256];
    double spent = usage->usd + remote->lost;
    if (remote->budget <= 0 || spent + remote->reserved + node->usd <= remote->budget)
        return true;
    if (remote->flying.first)
        return false; /* what is in flight may cost less than was thought */
    snprintf(message, sizeof message,
             "%s: the budget of $%.6g would be passed: $%.6g are spent, and the next %zu texts cost about $%.6g",
             remote->target.service, remote->budget, spent, node->count, node->usd);
    queue_remove(&remote->waiting, node);
    end_node(remote, node, SX_E_LIMIT, SX_BATCH_FATAL, message, "what is done is kept; go on with a larger budget");
    return false;
}

/* Sends what may be sent now. */
static sx_status send_waiting(sx_provider_remote *remote, sx_error *error)
{
    remote->limited_ns = 0;
    for (sx_remote_node *node; (node = remote->waiting.first);) {
        node->estimate = estimate_tokens(remote, node); /* what was learned since it was submitted */
        node->usd = usd_for(remote, node->estimate);
        if (!within_budget(remote, node))
            return SX_OK;
        sx_status status = sx_rate_limit_take(&remote->limit, node->estimate, &remote->limited_ns, &node->ticket, error);
        if (status || remote->limited_ns)
            return status;
        queue_remove(&remote->waiting, node);
        sx_error problem;
        status = sx_http_pool_start(remote->pool, &node->exchange, &problem);
        if (status) {
            sx_rate_limit_answered(&remote->limit, node->ticket, 0);
            end_node(remote, node, status, SX_BATCH_FATAL, problem.message, "");
            return SX_OK;
        }
        queue_push(&remote->flying, node);
        remote->reserved += node->usd;
        remote->base.usage.requests++;
    }
    return SX_OK;
}

static sx_status remote_submit(sx_provider *provider, sx_batch *batch, sx_error *error)
{
    sx_provider_remote *remote = (sx_provider_remote *)provider;
    unsigned in_flight = queue_length(&remote->waiting) + queue_length(&remote->flying) + queue_length(&remote->done);
    if (in_flight >= provider->info.max_in_flight)
        return sx_fail(error, SX_E_BUSY, "%s: %u requests are in flight already", provider->info.name, in_flight);
    sx_remote_node *node = sx_calloc(1, sizeof *node);
    if (!node)
        return sx_fail_nomem(error, sizeof *node);
    node->batch = batch;
    node->exchange.user = node;
    node->texts = sx_arena_alloc(&node->arena, batch->count * sizeof *node->texts);
    node->rows = sx_arena_alloc(&node->arena, batch->count * sizeof *node->rows);
    node->weights = sx_arena_alloc(&node->arena, batch->count * sizeof *node->weights);
    sx_status status =
        node->texts && node->rows && node->weights ? SX_OK : sx_fail_nomem(error, batch->count * 3 * sizeof *node->texts);
    for (size_t i = 0; !status && i < batch->count; i++)
        status = prepare_text(remote, node, i, error);
    if (!status && node->count)
        status = build_request(remote, node, error);
    if (status) {
        free_node(node);
        return status;
    }
    batch->private = node;
    node->exchange.user = node;
    if (!in_flight)
        remote->ends_at = 0; /* all that was cancelled is out */
    if (node->count)
        queue_push(&remote->waiting, node);
    else
        end_node(remote, node, SX_OK, SX_BATCH_FATAL, "", "");
    send_waiting(remote, NULL); /* what goes wrong there shows in wait: the batch is the provider's now */
    return SX_OK;
}

/* ---- What comes back ---- */

/* The service counts a request, receipts are for texts: each gets its share, and the shares make up the whole. */
static void share_tokens(const sx_remote_node *node, uint64_t total)
{
    double before = 0;
    uint64_t given = 0, weight = 0;
    for (size_t i = 0; i < node->count; i++) {
        weight += node->weights[i];
        double share = node->weight ? (double)total * ((double)weight / (double)node->weight) : before;
        uint64_t until = i + 1 == node->count ? total : (uint64_t)(share + 0.5);
        uint64_t tokens = until > given ? until - given : 0;
        node->batch->receipts[node->rows[i]].tokens = tokens < UINT32_MAX ? (uint32_t)tokens : UINT32_MAX;
        given += tokens;
        before = share;
    }
}

/* Vectors came one behind the other; those behind a text that was not sent move to their rows. */
static void spread_rows(const sx_provider_remote *remote, sx_remote_node *node)
{
    size_t dimensions = remote->base.info.dimensions;
    float *vectors = node->batch->vectors;
    for (size_t i = node->count; i-- > 0;)
        if (node->rows[i] != i)
            memmove(vectors + node->rows[i] * dimensions, vectors + i * dimensions, dimensions * sizeof *vectors);
}

/* A tokenizer that counts less than the service may be the wrong one, and then chunks may be too long for the model. */
static void compare_counts(sx_provider_remote *remote, uint64_t said, uint64_t counted)
{
    if (!remote->exact || remote->doubted || !said)
        return;
    remote->said += said;
    remote->counted += counted;
    remote->doubted = remote->counted >= ENOUGH_TO_DOUBT && (double)remote->said > (double)remote->counted * token_margin;
    if (remote->doubted)
        snprintf(remote->base.doubt, sizeof remote->base.doubt,
                 "%.40s counts %llu tokens where %.60s has %llu: it counts something else, or its model has another tokenizer",
                 remote->target.service, (unsigned long long)remote->said, remote->base.info.tokens_by,
                 (unsigned long long)remote->counted);
}

static void take_vectors(sx_provider_remote *remote, sx_remote_node *node, const sx_wire_reply *reply)
{
    uint64_t counted = reply->tokens ? reply->tokens : remote->exact ? node->weight : (node->weight + 3) / 4;
    remote->answered = true;
    remote->failing_since = INT64_MIN;
    remote->failures = 0;
    if (reply->tokens && node->weight && (double)reply->tokens / (double)node->weight > remote->tokens_of_byte)
        remote->tokens_of_byte = (double)reply->tokens / (double)node->weight;
    if (node->count >= remote->largest_taken) {
        remote->largest_taken = node->count;
        remote->refused_larger = 0;
    }
    compare_counts(remote, reply->tokens, node->weight);
    spread_rows(remote, node);
    share_tokens(node, counted);
    sx_remote_charge(remote, reply->tokens, counted);
    end_node(remote, node, SX_OK, SX_BATCH_FATAL, "", "");
}

/* A refusal may be about a text or about how many there were. It is about their number when it says so (413) or keeps coming,
 * and no request of that size was ever taken. */
static void learn_size(sx_provider_remote *remote, const sx_remote_node *node)
{
    uint32_t half = (uint32_t)((node->count + 1) / 2);
    if (node->count < 2 || node->count <= remote->largest_taken)
        return;
    if (node->exchange.code != 413 && ++remote->refused_larger < REFUSALS_TO_LEARN)
        return;
    remote->refused_larger = 0;
    if (half < remote->base.info.max_texts)
        remote->base.info.max_texts = half;
}

/* Whether there is no point in going on: nothing but failures for a long time, though nobody asked for patience. */
static bool is_out(sx_provider_remote *remote, const sx_http_exchange *exchange)
{
    int64_t now = remote->clock.monotonic_ns(remote->clock.user);
    if (exchange->retry_after_ns >= 0) {
        remote->failing_since = INT64_MIN;
        return false;
    }
    if (remote->failing_since == INT64_MIN) {
        remote->failing_since = now;
        remote->failures = 0;
    }
    int64_t longest = exchange->unsent && !remote->answered ? longest_absence : longest_outage;
    return ++remote->failures >= FAILURES_BEFORE_GIVING_UP && now - remote->failing_since >= longest;
}

static void take_refusal(sx_provider_remote *remote, sx_remote_node *node, const sx_wire_reply *reply)
{
    const sx_http_exchange *exchange = &node->exchange;
    sx_status status = exchange->status ? exchange->status : sx_remote_status_of(exchange->code);
    if (reply->verdict == SX_WIRE_SPLIT) {
        learn_size(remote, node);
        end_node(remote, node, status, SX_BATCH_SPLIT, reply->message, reply->hint);
    } else if (reply->verdict == SX_WIRE_RETRY && !is_out(remote, exchange)) {
        end_node(remote, node, status, SX_BATCH_RETRY, reply->message, reply->hint);
        node->batch->outcome.retry_after_ns = exchange->retry_after_ns > 0 ? exchange->retry_after_ns : 0;
    } else {
        bool out = reply->verdict == SX_WIRE_RETRY && !reply->hint[0];
        end_node(remote, node, status, SX_BATCH_FATAL, reply->message,
                 out ? "nothing succeeds any more; what is done is kept: run it again later" : reply->hint);
    }
}

/* Sends a batch once more, without the field that was refused. */
static bool send_without_field(sx_provider_remote *remote, sx_remote_node *node, sx_wire_verdict verdict)
{
    if (verdict == SX_WIRE_WITHOUT_DIMENSIONS && node->with_dimensions)
        remote->target.no_dimensions = true;
    else if (verdict == SX_WIRE_WITHOUT_ROLE && node->with_role)
        remote->target.no_role = true;
    else
        return false;
    if (remote->ends_at) {
        end_node(remote, node, SX_E_STOPPED, SX_BATCH_FATAL, "stopped", "");
        return true;
    }
    if (build_request(remote, node, NULL))
        return false;
    node->exchange.user = node;
    queue_push_first(&remote->waiting, node);
    return true;
}

static void finish_exchange(sx_provider_remote *remote, sx_remote_node *node)
{
    const sx_wire_target *target = &remote->target;
    sx_http_exchange *exchange = &node->exchange;
    sx_wire_reply reply = {0};
    bool whole = exchange->status == SX_OK && exchange->code >= 200 && exchange->code < 300;
    queue_remove(&remote->flying, node);
    remote->reserved = remote->flying.first ? remote->reserved - node->usd : 0;
    if (exchange->status == SX_E_STOPPED) {
        remote->lost += node->usd;
        end_node(remote, node, SX_E_STOPPED, SX_BATCH_FATAL, "stopped", "");
        return;
    }
    sx_remote_heed(remote, exchange);
    if (whole)
        target->form->read(target, exchange->reply.data ? exchange->reply.data : "", exchange->reply.length, node->count,
                           remote->base.info.dimensions, node->batch->vectors, remote->base.info.dimensions, &reply);
    else
        sx_remote_refusal(remote, exchange, &reply);
    sx_rate_limit_answered(&remote->limit, node->ticket, reply.tokens ? reply.tokens : node->estimate);
    if (whole && reply.verdict == SX_WIRE_OK) {
        take_vectors(remote, node, &reply);
        return;
    }
    if (whole && reply.tokens)
        sx_remote_charge(remote, reply.tokens, 0); /* of no use, but paid for */
    else if (exchange->status && !exchange->unsent)
        remote->lost += node->usd;
    if (send_without_field(remote, node, reply.verdict))
        return;
    take_refusal(remote, node, &reply);
}

static sx_status remote_wait(sx_provider *provider, int64_t timeout_ns, sx_batch **finished, sx_error *error)
{
    sx_provider_remote *remote = (sx_provider_remote *)provider;
    int64_t left = timeout_ns > 0 ? timeout_ns : 0;
    *finished = NULL;
    sx_arena_clear(&remote->messages);
    for (bool last = false;;) {
        sx_status status = send_waiting(remote, error);
        if (status)
            return status;
        sx_remote_node *node = remote->done.first;
        if (node) {
            queue_remove(&remote->done, node);
            *finished = node->batch;
            node->batch->private = NULL;
            remote->messages = node->arena;
            node->arena = (sx_arena){0};
            free_node(node);
            return SX_OK;
        }
        if (last || (!remote->flying.first && !remote->waiting.first))
            return SX_OK;
        if (remote->ends_at && sx_system_clock.monotonic_ns(NULL) >= remote->ends_at)
            sx_http_pool_cancel(remote->pool);
        int64_t span = remote->limited_ns > 0 && remote->limited_ns < left ? remote->limited_ns : left;
        sx_http_exchange *exchange = NULL;
        if (remote->flying.first)
            status = sx_http_pool_wait(remote->pool, span, &exchange, error);
        else if (span > 0)
            remote->clock.sleep_ns(span, remote->clock.user);
        if (status)
            return status;
        if (exchange) {
            finish_exchange(remote, exchange->user);
            continue;
        }
        left -= span;
        last = left <= 0;
    }
}

/* What was not sent is dropped. What was sent will be charged, so it has a moment to come back. */
static void remote_cancel(sx_provider *provider)
{
    sx_provider_remote *remote = (sx_provider_remote *)provider;
    for (sx_remote_node *node; (node = remote->waiting.first);) {
        queue_remove(&remote->waiting, node);
        end_node(remote, node, SX_E_STOPPED, SX_BATCH_FATAL, "stopped", "");
    }
    remote->ends_at = sx_system_clock.monotonic_ns(NULL) + grace_ns;
}

static void free_queue(sx_remote_queue *queue)
{
    for (sx_remote_node *node; (node = queue->first);) {
        queue_remove(queue, node);
        free_node(node);
    }
}

static void remote_close(sx_provider *provider)
{
    sx_provider_remote *remote = (sx_provider_remote *)provider;
    sx_http_pool_close(remote->pool); /* before the exchanges it points at */
    free_queue(&remote->waiting);
    free_queue(&remote->flying);
    free_queue(&remote->done);
    sx_rate_limit_close(&remote->limit);
    sx_arena_clear(&remote->messages);
    sx_wire_target_close(&remote->target);
    sx_remote_counter_close(&remote->base.counter);
    free(remote->role);
    free(remote->prompt);
    free(remote->space_json);
    free(remote->recipe_json);
    free(remote);
}

const sx_provider_class sx_provider_remote_class = {"remote", remote_submit, remote_wait, remote_cancel, remote_close};
