/* provider_fake.c - a provider for tests: vectors that follow from a hash of the text, and faults on demand.
 *
 * Reference: fake:NAME[?KEY=VALUE[&KEY=VALUE ...]]. NAME is part of the space: two names, two spaces. Faults are no part of
 * it, so a test can repeat with the faults gone. Batches are counted from 1 as they are submitted.
 *
 *   dimensions=8 max_length=256 normalize=1   what the model is
 *   site=WORD                                 the same vectors from elsewhere: another space until somebody proves it is one
 *   max_texts=16 max_tokens=4096 in_flight=2  limits of a batch
 *   price=0 unpriced=0 remote=0               micro-dollars for a million tokens; no price known; texts leave the machine
 *   slow_ms=0                                 how long a batch takes, by the clock given at open
 *   retry=N retry_count=1 retry_after_ms=0    batches N, N+1 ... fail with RETRY, retry_count of them
 *   fatal=N                                   batch N fails for good
 *   hang=N                                    batch N never ends unless cancelled
 *   short=N                                   batch N brings vectors for its first half only
 *   poison=WORD                               SPLIT for a batch with a text that contains WORD
 *   refuse=WORD                               such a text fails by itself, with a receipt that says so
 *   nan=WORD zero=WORD long=WORD              such a text's vector is not finite, all zero, of length 2
 *
 * Tokens are words between white space, plus two special ones. Everything happens in wait, on the caller's thread.
 */
#include "provider_classes.h"

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/hash.h"
#include "../base/memory.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPECIAL_TOKENS = 2, MOST_IN_FLIGHT = 64 };

typedef struct fake_settings {
    uint64_t dimensions, max_length, normalize, max_texts, max_tokens, in_flight, slow_ms;
    uint64_t retry, retry_count, retry_after_ms, fatal, hang, short_batch, price, unpriced, remote;
    const char *poison, *refuse, *nan, *zero, *too_long, *site;
} fake_settings;

typedef struct fake_flight {
    sx_batch *batch;
    uint64_t number;
    int64_t due;
    bool cancelled;
} fake_flight;

typedef struct fake_provider {
    sx_provider base;
    sx_clock clock;
    fake_settings settings;
    char *reference;   /* a copy cut into pieces: name and settings point into it */
    const char *name;
    char *prompt, *space_json, *recipe_json;
    int strict;
    fake_flight flights[MOST_IN_FLIGHT];
    size_t flight_count;
    sx_fake_counts counts;
} fake_provider;

static bool is_space(char byte)
{
    return isspace((unsigned char)byte) != 0;
}

static size_t count_words(void *user, const char *text, size_t length, uint32_t *starts, size_t capacity)
{
    (void)user;
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        if (is_space(text[i]) || (i > 0 && !is_space(text[i - 1])))
            continue;
        if (starts && count < capacity)
            starts[count] = (uint32_t)i;
        count++;
    }
    return count;
}

/* Bytes of the first `words` words. */
static size_t length_of_words(const char *text, size_t length, size_t words)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        if (!is_space(text[i]) && (i == 0 || is_space(text[i - 1])) && count++ == words)
            return i;
    return length;
}

static bool contains(sx_text text, const char *word)
{
    return word && text.length && memmem(text.data, text.length, word, strlen(word)) != NULL;
}

static uint64_t next_random(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void make_vector(const fake_provider *fake, const char *text, size_t length, float *vector)
{
    sx_sha256 head, hash;
    size_t dimensions = fake->base.info.dimensions;
    sx_sha256_of_two(fake->name, strlen(fake->name) + 1, fake->prompt, strlen(fake->prompt) + 1, &head);
    sx_sha256_of_two(head.bytes, sizeof head.bytes, text, length, &hash);
    uint64_t state;
    memcpy(&state, hash.bytes, sizeof state);
    double square = 0;
    for (size_t i = 0; i < dimensions; i++) {
        vector[i] = (float)((double)(int64_t)next_random(&state) / 9223372036854775808.0);
        square += (double)vector[i] * vector[i];
    }
    double scale = fake->settings.normalize && square > 0 ? 1 / sqrt(square) : 1;
    for (size_t i = 0; i < dimensions; i++)
        vector[i] = (float)(vector[i] * scale);
}

static void embed_text(fake_provider *fake, sx_text text, float *vector, sx_receipt *receipt)
{
    const fake_settings *settings = &fake->settings;
    size_t dimensions = fake->base.info.dimensions;
    size_t words = count_words(NULL, text.data, text.length, NULL, 0);
    size_t room = fake->base.info.max_length - SPECIAL_TOKENS - fake->base.counter.prompt;
    size_t kept = words < room ? words : room;
    *receipt = (sx_receipt){.tokens = (uint32_t)(kept + SPECIAL_TOKENS + fake->base.counter.prompt),
                            .dropped_tokens = (uint32_t)(words - kept),
                            .truncated = words > kept,
                            .empty = words == 0};
    if (contains(text, settings->refuse) || (fake->strict && words > kept)) {
        receipt->status = contains(text, settings->refuse) ? SX_E_PROVIDER : SX_E_LIMIT;
        receipt->message = receipt->status == SX_E_LIMIT ? "text is longer than the model takes" : "refused by the provider";
        return;
    }
    make_vector(fake, text.data, length_of_words(text.data, text.length, kept), vector);
    for (size_t i = 0; i < dimensions; i++) {
        if (contains(text, settings->nan))
            vector[i] = NAN;
        if (contains(text, settings->zero))
            vector[i] = 0;
        if (contains(text, settings->too_long))
            vector[i] *= 2;
    }
    fake->counts.texts++;
    fake->counts.tokens += receipt->tokens;
    fake->base.usage.tokens += receipt->tokens;
    if (fake->base.info.usd_per_million > 0)
        fake->base.usage.usd = (double)fake->base.usage.tokens * fake->base.info.usd_per_million / 1e6;
}

static void set_failure(fake_provider *fake, sx_batch *batch, sx_status status, int failure, const char *message)
{
    batch->outcome.status = status;
    batch->outcome.failure = failure;
    snprintf(batch->outcome.message, sizeof batch->outcome.message, "%s", message);
    fake->counts.failures++;
}

static void run_batch(fake_provider *fake, const fake_flight *flight)
{
    const fake_settings *settings = &fake->settings;
    sx_batch *batch = flight->batch;
    batch->outcome = (sx_batch_outcome){.status = SX_OK};
    if (flight->cancelled) {
        set_failure(fake, batch, SX_E_STOPPED, SX_BATCH_FATAL, "cancelled");
        return;
    }
    if (flight->number == settings->fatal) {
        set_failure(fake, batch, SX_E_PROVIDER, SX_BATCH_FATAL, "401 wrong key");
        return;
    }
    if (settings->retry && flight->number >= settings->retry && flight->number < settings->retry + settings->retry_count) {
        set_failure(fake, batch, SX_E_PROVIDER, SX_BATCH_RETRY, "429 too many requests");
        batch->outcome.retry_after_ns = (int64_t)settings->retry_after_ms * 1000000;
        return;
    }
    for (size_t i = 0; i < batch->count; i++) {
        if (contains(batch->texts[i], settings->poison)) {
            set_failure(fake, batch, SX_E_PROVIDER, SX_BATCH_SPLIT, "400 bad input");
            return;
        }
    }
    size_t count = flight->number == settings->short_batch ? batch->count / 2 : batch->count;
    for (size_t i = 0; i < count; i++)
        embed_text(fake, batch->texts[i], batch->vectors + i * fake->base.info.dimensions, &batch->receipts[i]);
}

static sx_status fake_submit(sx_provider *provider, sx_batch *batch, sx_error *error)
{
    fake_provider *fake = (fake_provider *)provider;
    if (fake->flight_count >= provider->info.max_in_flight)
        return sx_fail(error, SX_E_BUSY, "fake: %zu batches are in flight already", fake->flight_count);
    uint64_t number = ++fake->counts.batches;
    provider->usage.requests++;
    int64_t due = number == fake->settings.hang
                      ? INT64_MAX
                      : fake->clock.monotonic_ns(fake->clock.user) + (int64_t)fake->settings.slow_ms * 1000000;
    fake->flights[fake->flight_count++] = (fake_flight){batch, number, due, false};
    if (batch->count > fake->counts.largest)
        fake->counts.largest = batch->count;
    if (fake->flight_count > fake->counts.most_in_flight)
        fake->counts.most_in_flight = fake->flight_count;
    return SX_OK;
}

static sx_status fake_wait(sx_provider *provider, int64_t timeout_ns, sx_batch **finished, sx_error *error)
{
    (void)error;
    fake_provider *fake = (fake_provider *)provider;
    *finished = NULL;
    if (!fake->flight_count)
        return SX_OK;
    size_t next = 0;
    for (size_t i = 1; i < fake->flight_count; i++)
        if (fake->flights[i].due < fake->flights[next].due)
            next = i;
    int64_t left = fake->flights[next].due - fake->clock.monotonic_ns(fake->clock.user);
    if (left > timeout_ns) {
        if (timeout_ns > 0)
            fake->clock.sleep_ns(timeout_ns, fake->clock.user);
        return SX_OK;
    }
    if (left > 0)
        fake->clock.sleep_ns(left, fake->clock.user);
    fake_flight flight = fake->flights[next];
    memmove(fake->flights + next, fake->flights + next + 1, (fake->flight_count - next - 1) * sizeof flight);
    fake->flight_count--;
    run_batch(fake, &flight);
    *finished = flight.batch;
    return SX_OK;
}

static void fake_cancel(sx_provider *provider)
{
    fake_provider *fake = (fake_provider *)provider;
    for (size_t i = 0; i < fake->flight_count; i++) {
        fake->flights[i].cancelled = true;
        fake->flights[i].due = 0;
    }
}

static void fake_close(sx_provider *provider)
{
    fake_provider *fake = (fake_provider *)provider;
    free(fake->reference);
    free(fake->prompt);
    free(fake->space_json);
    free(fake->recipe_json);
    free(fake);
}

static const sx_provider_class fake_class = {"fake", fake_submit, fake_wait, fake_cancel, fake_close};

const sx_fake_counts *sx_provider_fake_counts(const sx_provider *provider)
{
    return provider->class == &fake_class ? &((const fake_provider *)provider)->counts : NULL;
}

static sx_status set_one(fake_settings *settings, const char *key, const char *value, const char *reference,
                         sx_error *error)
{
    const struct {
        const char *key;
        uint64_t *number;
        const char **word;
    } known[] = {
        {"dimensions", &settings->dimensions, NULL}, {"max_length", &settings->max_length, NULL},
        {"normalize", &settings->normalize, NULL},   {"max_texts", &settings->max_texts, NULL},
        {"max_tokens", &settings->max_tokens, NULL}, {"in_flight", &settings->in_flight, NULL},
        {"slow_ms", &settings->slow_ms, NULL},       {"retry", &settings->retry, NULL},
        {"retry_count", &settings->retry_count, NULL}, {"retry_after_ms", &settings->retry_after_ms, NULL},
        {"fatal", &settings->fatal, NULL},           {"hang", &settings->hang, NULL},
        {"short", &settings->short_batch, NULL},     {"price", &settings->price, NULL},
        {"unpriced", &settings->unpriced, NULL},     {"remote", &settings->remote, NULL},
        {"poison", NULL, &settings->poison},
        {"refuse", NULL, &settings->refuse},         {"nan", NULL, &settings->nan},
        {"zero", NULL, &settings->zero},             {"long", NULL, &settings->too_long},
        {"site", NULL, &settings->site},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].key, key) != 0)
            continue;
        if (known[i].word) {
            *known[i].word = value;
            return SX_OK;
        }
        char *end;
        errno = 0;
        unsigned long long number = strtoull(value, &end, 10);
        if (!isdigit((unsigned char)value[0]) || *end || errno || number > 1000000000)
            return sx_fail(error, SX_E_INVALID, "%s: %s is '%s', not a number up to 1000000000", reference, key, value);
        *known[i].number = number;
        return SX_OK;
    }
    return sx_fail(error, SX_E_INVALID, "%s: the fake has no setting '%s'", reference, key);
}

static sx_status read_reference(fake_provider *fake, const sx_embedder_options *options, sx_error *error)
{
    fake_settings *settings = &fake->settings;
    *settings = (fake_settings){.dimensions = 8, .max_length = 256, .normalize = 1, .max_texts = 16,
                                .max_tokens = 4096, .in_flight = 2, .retry_count = 1};
    fake->reference = sx_strdup(options->model);
    if (!fake->reference)
        return sx_fail_nomem(error, strlen(options->model) + 1);
    fake->name = fake->reference + strlen("fake:");
    char *rest = strchr(fake->reference, '?');
    if (rest)
        *rest++ = '\0';
    for (char *save, *pair = rest ? strtok_r(rest, "&", &save) : NULL; pair; pair = strtok_r(NULL, "&", &save)) {
        char *equals = strchr(pair, '=');
        if (!equals || !equals[1])
            return sx_fail(error, SX_E_INVALID, "%s: '%s' is not KEY=VALUE", options->model, pair);
        *equals = '\0';
        sx_status status = set_one(settings, pair, equals + 1, options->model, error);
        if (status)
            return status;
    }
    if (!fake->name[0] || strspn(fake->name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != strlen(fake->name))
        return sx_fail(error, SX_E_INVALID, "%s: a fake's name is lower-case letters, digits, - and _", options->model);
    if (options->dimensions)
        settings->dimensions = options->dimensions;
    if (options->max_length && options->max_length < settings->max_length)
        settings->max_length = options->max_length;
    if (options->batch_size)
        settings->max_texts = options->batch_size;
    if (options->no_normalize)
        settings->normalize = 0;
    fake->base.counter = (sx_token_counter){
        .count = count_words,
        .special = SPECIAL_TOKENS,
        .limit = (uint32_t)settings->max_length,
        .prompt = (uint32_t)count_words(NULL, fake->prompt, strlen(fake->prompt), NULL, 0),
    };
    if (settings->dimensions < 1 || settings->dimensions > 65536 || settings->max_texts < 1 || settings->max_tokens < 1 ||
        settings->in_flight < 1 || settings->in_flight > MOST_IN_FLIGHT ||
        settings->max_length < (uint64_t)SPECIAL_TOKENS + 1 + fake->base.counter.prompt)
        return sx_fail(error, SX_E_INVALID, "%s: dimensions, max_length, max_texts, max_tokens or in_flight out of range",
                       options->model);
    return SX_OK;
}

static bool append_json_string(sx_buffer *json, const char *text)
{
    sx_buffer_append_byte(json, '"');
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == '"' || *text == '\\')
            sx_buffer_printf(json, "\\u%04x", (unsigned char)*text);
        else
            sx_buffer_append_byte(json, *text);
    }
    return sx_buffer_append_byte(json, '"');
}

static sx_status describe(fake_provider *fake, sx_error *error)
{
    const fake_settings *settings = &fake->settings;
    sx_buffer space = {0}, recipe = {0};
    sx_buffer_printf(&space, "{\"dimensions\":%u,\"fake\":\"%s\",\"normalized\":%s,", (unsigned)settings->dimensions,
                     fake->name, settings->normalize ? "true" : "false");
    if (settings->site)
        sx_buffer_printf(&space, "\"site\":\"%s\",", settings->site);
    sx_buffer_printf(&space, "\"similarity\":\"cosine\"}");
    sx_buffer_printf(&recipe, "{\"max_length\":%u,\"prompt\":", (unsigned)settings->max_length);
    append_json_string(&recipe, fake->prompt);
    sx_buffer_printf(&recipe, ",\"space\":%s}", space.failed ? "" : space.data);
    fake->space_json = sx_buffer_take(&space);
    fake->recipe_json = sx_buffer_take(&recipe);
    if (!fake->space_json || !fake->recipe_json)
        return sx_fail_nomem(error, 256);
    fake->base.info = (sx_provider_info){
        .name = fake_class.name,
        .space_json = fake->space_json,
        .recipe_json = fake->recipe_json,
        .prompt = fake->prompt,
        .dimensions = (uint32_t)settings->dimensions,
        .max_length = (uint32_t)settings->max_length,
        .normalized = settings->normalize != 0,
        .max_texts = (uint32_t)settings->max_texts,
        .max_tokens = (uint32_t)settings->max_tokens,
        .max_in_flight = (uint32_t)settings->in_flight,
        .remote = settings->remote != 0,
        .usd_per_million = settings->unpriced ? -1 : (double)settings->price / 1e6,
    };
    return SX_OK;
}

sx_status sx_provider_fake_open(const sx_embedder_options *options, const sx_clock *clock, sx_provider **out,
                                sx_error *error)
{
    *out = NULL;
    fake_provider *fake = sx_calloc(1, sizeof *fake);
    if (!fake)
        return sx_fail_nomem(error, sizeof *fake);
    fake->base.class = &fake_class;
    fake->clock = *clock;
    fake->strict = options->strict;
    fake->prompt = sx_strdup(options->prompt ? options->prompt : "");
    sx_status status = fake->prompt ? SX_OK : sx_fail_nomem(error, 1);
    if (!status)
        status = read_reference(fake, options, error);
    if (!status)
        status = describe(fake, error);
    if (status)
        fake_close(&fake->base);
    else
        *out = &fake->base;
    return status;
}
