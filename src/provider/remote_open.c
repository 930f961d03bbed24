/* remote_open.c - opening a remote service: its limits, its dimension, and what it understands.
 *
 * The dimension comes from the table of known models, from the service's own description, or from a probe: two short texts,
 * since a reply of two vectors of different sizes shows itself to be wrong. A probe is repeated like any request, and is
 * counted in the usage.
 */
#include "provider_classes.h"
#include "provider_remote.h"
#include "remote_counter.h"

#include "../base/error.h"
#include "../base/options.h"

#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_CONCURRENT = 10,
    MOST_CONCURRENT = 256,
    DEFAULT_TEXTS = 64,       /* where no limit is known; servers of one's own take 32 to 64 and more */
    MOST_TEXTS = 128,         /* a larger request is not cheaper, and more is lost with it */
    FEW_REQUESTS = 600,       /* a minute: then requests are what is short, and they are made as large as they may be */
    DEFAULT_TOKENS = 250000,
    ATTEMPTS = 12,            /* of a batch */
    PROBE_ATTEMPTS = 10,
    CONNECT_ATTEMPTS = 4,     /* of a probe that finds nobody */
    PROBE_TEXTS = 2,
    PROBE_DIMENSIONS = 1 << 14
};
static const double default_timeout_s = 120;
static const int64_t first_delay_ns = 250000000, longest_delay_ns = 8000000000, poll_ns = 1000000000;

static uint64_t next_random(uint64_t *state) /* xorshift64* */
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1du;
}

/* One exchange from beginning to end. Fails only when it could not even be tried. */
static sx_status ask(sx_provider_remote *remote, const sx_wire_request *request, uint64_t tokens, size_t limit,
                     sx_http_exchange *exchange, sx_error *error)
{
    const char *headers[3];
    int64_t wait = 0;
    uint64_t ticket = 0;
    sx_remote_address(remote, request, headers, exchange, limit);
    sx_status status = SX_OK;
    do {
        status = sx_rate_limit_take(&remote->limit, tokens, &wait, &ticket, error);
        if (!status && wait)
            remote->clock.sleep_ns(wait, remote->clock.user);
    } while (!status && wait);
    if (!status)
        status = sx_http_pool_start(remote->pool, exchange, error);
    if (status)
        return status;
    remote->base.usage.requests++;
    for (sx_http_exchange *done = NULL; !status && !done;)
        status = sx_http_pool_wait(remote->pool, poll_ns, &done, error);
    sx_rate_limit_answered(&remote->limit, ticket, tokens);
    if (!status)
        sx_remote_heed(remote, exchange);
    exchange->headers = NULL;
    return status;
}

/* Full jitter between repetitions, never less than the service asks for. */
static void pause_before(sx_provider_remote *remote, unsigned attempt, int64_t asked)
{
    int64_t bound = first_delay_ns;
    for (unsigned i = 1; i < attempt && bound < longest_delay_ns; i++)
        bound *= 2;
    int64_t delay = (int64_t)(next_random(&remote->random) % ((uint64_t)bound + 1));
    remote->clock.sleep_ns(delay > asked ? delay : asked, remote->clock.user);
}

static sx_status refused(const sx_http_exchange *exchange, const sx_wire_reply *reply, sx_error *error)
{
    sx_status status = exchange->status ? exchange->status : sx_remote_status_of(exchange->code);
    sx_fail(error, status, "%s", reply->message);
    if (reply->hint[0])
        sx_hint(error, "%s", reply->hint);
    return status;
}

static sx_status build_probe(sx_provider_remote *remote, size_t count, sx_wire_request *request, sx_error *error)
{
    static const sx_text texts[PROBE_TEXTS] = {{"probe", 5}, {"dimension", 9}};
    return remote->target.form->build(&remote->target, remote->role, texts, count, request, error);
}

/* Finds the dimension out by embedding. */
static sx_status probe(sx_provider_remote *remote, uint32_t *dimensions, sx_error *error)
{
    sx_wire_target *target = &remote->target;
    sx_wire_request request = {0};
    sx_http_exchange exchange = {0};
    sx_wire_reply reply = {0};
    size_t count = PROBE_TEXTS;
    uint64_t tokens = 16;
    sx_status status = SX_OK;
    float *vectors = sx_calloc(PROBE_TEXTS, PROBE_DIMENSIONS * sizeof *vectors);
    if (!vectors)
        return sx_fail_nomem(error, PROBE_TEXTS * PROBE_DIMENSIONS * sizeof *vectors);
    for (unsigned attempt = 1; !status; attempt++) {
        status = build_probe(remote, count, &request, error);
        if (!status)
            status = ask(remote, &request, tokens, sx_remote_reply_limit(count, PROBE_DIMENSIONS), &exchange, error);
        if (status)
            break;
        bool whole = exchange.status == SX_OK && exchange.code >= 200 && exchange.code < 300;
        reply = (sx_wire_reply){0};
        if (whole)
            target->form->read(target, exchange.reply.data ? exchange.reply.data : "", exchange.reply.length, count, 0, vectors,
                               PROBE_DIMENSIONS, &reply);
        else
            sx_remote_refusal(remote, &exchange, &reply);
        if (reply.tokens)
            sx_remote_charge(remote, reply.tokens, 0);
        if (whole && reply.verdict == SX_WIRE_OK) {
            *dimensions = reply.dimensions;
            remote->answered = true;
            break;
        }
        if (reply.verdict == SX_WIRE_WITHOUT_DIMENSIONS && target->dimensions && !target->no_dimensions) {
            target->no_dimensions = true;
        } else if (reply.verdict == SX_WIRE_WITHOUT_ROLE && !target->no_role) {
            target->no_role = true;
        } else if (reply.verdict == SX_WIRE_SPLIT && count > 1) {
            count = 1;
        } else if (reply.verdict == SX_WIRE_RETRY && attempt < PROBE_ATTEMPTS &&
                   (!exchange.unsent || attempt < CONNECT_ATTEMPTS)) {
            pause_before(remote, attempt, exchange.retry_after_ns);
        } else {
            status = refused(&exchange, &reply, error);
        }
    }
    sx_wire_request_clear(&request);
    sx_buffer_clear(&exchange.reply);
    free(vectors);
    return status;
}

/* Asks the service about itself where its form has such a request. A service without it is asked by a probe later; one that
 * refuses the key says so at once. */
static sx_status ask_about_itself(sx_provider_remote *remote, sx_wire_limits *limits, uint32_t *dimensions, sx_error *error)
{
    sx_wire_target *target = &remote->target;
    sx_wire_request request = {0};
    sx_http_exchange exchange = {0};
    if (!target->form->build_info || !target->form->read_info)
        return SX_OK;
    sx_status status = target->form->build_info(target, &request, error);
    if (!status)
        status = ask(remote, &request, 0, 1 << 20, &exchange, error);
    if (!status && exchange.status == SX_OK && exchange.code == 200)
        target->form->read_info(target, exchange.reply.data ? exchange.reply.data : "", exchange.reply.length, limits,
                                dimensions);
    else if (!status && exchange.status == SX_OK && (exchange.code == 401 || exchange.code == 403)) {
        sx_wire_reply reply;
        sx_remote_refusal(remote, &exchange, &reply);
        status = refused(&exchange, &reply, error);
    }
    sx_wire_request_clear(&request);
    sx_buffer_clear(&exchange.reply);
    return status;
}

/* ---- Limits and options ---- */

static uint32_t least(uint32_t a, uint32_t b) /* 0: no limit */
{
    return !a || (b && b < a) ? b : a;
}

static void set_limits(sx_provider_remote *remote, const sx_embedder_options *options, const sx_wire_limits *limits)
{
    sx_provider_info *info = &remote->base.info;
    bool few_requests = limits->requests_per_minute && limits->requests_per_minute < FEW_REQUESTS;
    uint32_t texts = limits->max_texts ? limits->max_texts : DEFAULT_TEXTS;
    if (texts > MOST_TEXTS && !few_requests)
        texts = MOST_TEXTS;
    if (options->batch_size)
        texts = least(options->batch_size, limits->max_texts);
    info->max_texts = texts;
    info->max_tokens = least(limits->max_tokens_of_request ? limits->max_tokens_of_request : DEFAULT_TOKENS,
                             limits->tokens_per_minute);
    info->max_length = least(limits->max_tokens_of_text, options->max_length);
}

/* What belongs to an engine and cannot be asked of a service is refused rather than left out. */
static sx_status check_options(const sx_embedder_options *options, const sx_remote_options *known, double price, sx_error *error)
{
    const char *what = options->pooling        ? "pooling"
                       : options->no_normalize ? "no_normalize"
                       : options->precision && strcmp(options->precision, "f32") != 0 ? "precision"
                                                                                      : NULL;
    if (what)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: %s is for local models; the service decides it", options->model, what);
    if (known->max_concurrent > MOST_CONCURRENT)
        return sx_fail(error, SX_E_INVALID, "%s: %u requests at once; at most %d are made", options->model,
                       known->max_concurrent, MOST_CONCURRENT);
    if (!(known->budget_usd >= 0) || !(known->timeout_s >= 0 && known->timeout_s < 1e6))
        return sx_fail(error, SX_E_INVALID, "%s: budget or timeout is out of range", options->model);
    if (known->budget_usd > 0 && price < 0) {
        sx_fail(error, SX_E_INVALID, "%s: a budget cannot be kept, since the model's price is not known", options->model);
        sx_hint(error, "give its price in the file of prices and limits");
        return SX_E_INVALID;
    }
    return SX_OK;
}

/* What was learned of the service before stands for its answers. */
static sx_status take_known(sx_wire_target *target, const sx_provider_known *known, uint32_t *dimensions, sx_error *error)
{
    if (!*dimensions)
        *dimensions = known->dimensions;
    if (known->model && known->model[0] && (!target->model || !target->model[0])) {
        free(target->model);
        target->model = sx_strdup(known->model);
        if (!target->model)
            return sx_fail_nomem(error, strlen(known->model));
    }
    return SX_OK;
}

static sx_status prepare(sx_provider_remote *remote, const sx_embedder_options *options, const sx_provider_known *before,
                         sx_error *error)
{
    sx_wire_target *target = &remote->target;
    sx_provider_info *info = &remote->base.info;
    sx_remote_options known = {.size = sizeof known};
    sx_wire_limits limits = {0};
    sx_wire_request request = {0};
    uint32_t dimensions = 0;
    sx_status status = SX_OK;
    if (options->remote.size)
        status = sx_options_read(&options->remote, &known, sizeof known, "sx_remote_options", error);
    remote->price = sx_wire_price(target);
    if (!status)
        status = check_options(options, &known, remote->price, error);
    if (status)
        return status;
    target->dimensions = options->dimensions;
    remote->budget = known.budget_usd;
    remote->timeout_ns = (int64_t)((known.timeout_s > 0 ? known.timeout_s : default_timeout_s) * 1e9);
    remote->role = sx_strdup(!options->prompt && options->role && options->role[0] ? options->role : "none");
    remote->prompt = sx_strdup(options->prompt ? options->prompt : "");
    if (!remote->role || !remote->prompt)
        return sx_fail_nomem(error, 64);
    status = build_probe(remote, PROBE_TEXTS, &request, error); /* a role it does not know, a key that is missing */
    sx_wire_request_clear(&request);
    if (status)
        return status;
    info->max_in_flight = known.max_concurrent ? known.max_concurrent : DEFAULT_CONCURRENT;
    status = sx_http_pool_open("sextant", info->max_in_flight, &remote->pool, error);
    if (status)
        return status;
    bool in_table = sx_wire_known_limits(target, &limits, &dimensions);
    if (known.requests_per_minute)
        limits.requests_per_minute = known.requests_per_minute;
    if (known.tokens_per_minute)
        limits.tokens_per_minute = known.tokens_per_minute;
    sx_rate_limit_open(&remote->limit, &remote->clock, limits.requests_per_minute, limits.tokens_per_minute);
    if (before)
        status = take_known(target, before, &dimensions, error);
    else if (!in_table || !dimensions)
        status = ask_about_itself(remote, &limits, &dimensions, error);
    /* Not every server knows the fields for dimensions and roles, and that is better found out with two words. */
    bool special = target->dimensions || strcmp(remote->role, "none") != 0;
    bool probed = !status && !before && (!dimensions || (special && !target->is_default_host));
    if (probed)
        status = probe(remote, &dimensions, error);
    if (!status && probed && target->dimensions && dimensions > target->dimensions)
        target->no_dimensions = true; /* the field was passed over in silence: the cut is made here */
    if (!status && dimensions < target->dimensions)
        status = sx_fail(error, SX_E_INVALID, "%s: %u dimensions were asked for; the service gives %u", options->model,
                         target->dimensions, dimensions);
    if (status)
        return status;
    if (target->dimensions)
        dimensions = target->dimensions;
    info->name = target->service;
    info->dimensions = dimensions;
    info->prompt = remote->prompt;
    info->normalized = target->form->normalized || (target->no_dimensions && target->dimensions);
    info->attempts = ATTEMPTS;
    info->remote = true;
    info->usd_per_million = remote->price;
    set_limits(remote, options, &limits);
    sx_remote_counting counting = {
        .places = options->places.size ? &options->places : NULL,
        .service = target->service,
        .model = target->model ? target->model : "",
        .tokenizer = known.tokenizer ? known.tokenizer : target->tokenizer,
        .prompt = remote->prompt,
        .limit = info->max_length,
    };
    status = sx_remote_counter_open(&counting, &remote->base.counter, &info->tokens_by, error);
    info->max_length = remote->base.counter.limit;
    remote->exact = !status && sx_remote_counter_is_exact(&remote->base.counter);
    if (!status)
        status = sx_wire_describe(target, remote->role, remote->prompt, dimensions, &remote->space_json,
                                  &remote->recipe_json, error);
    info->space_json = remote->space_json;
    info->recipe_json = remote->recipe_json;
    return status;
}

static sx_status make(sx_wire_target *target, const sx_embedder_options *options, const sx_provider_known *known,
                      const sx_clock *clock, sx_provider **out, sx_error *error)
{
    *out = NULL;
    sx_provider_remote *remote = sx_calloc(1, sizeof *remote);
    if (!remote) {
        sx_wire_target_close(target);
        return sx_fail_nomem(error, sizeof *remote);
    }
    remote->base.class = &sx_provider_remote_class;
    remote->target = *target;
    *target = (sx_wire_target){0};
    remote->clock = *clock;
    remote->failing_since = INT64_MIN;
    remote->random = (uint64_t)clock->wall_ns(clock->user) | 1;
    sx_status status = prepare(remote, options, known, error);
    if (status)
        remote->base.class->close(&remote->base);
    else
        *out = &remote->base;
    return status;
}

sx_status sx_provider_remote_make(sx_wire_target *target, const sx_embedder_options *options, const sx_clock *clock,
                                  sx_provider **out, sx_error *error)
{
    return make(target, options, NULL, clock, out, error);
}

sx_status sx_provider_remote_open(const sx_embedder_options *options, const sx_provider_known *known, const sx_clock *clock,
                                  sx_provider **out, sx_error *error)
{
    sx_wire_target target = {0};
    sx_remote_options remote = {.size = sizeof remote};
    *out = NULL;
    sx_status status = SX_OK;
    if (options->remote.size)
        status = sx_options_read(&options->remote, &remote, sizeof remote, "sx_remote_options", error);
    if (!status)
        status = sx_wire_target_open(options->model, &remote, &target, error);
    if (!status)
        return make(&target, options, known, clock, out, error);
    sx_wire_target_close(&target);
    return status;
}
