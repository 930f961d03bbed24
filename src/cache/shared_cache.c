/* shared_cache.c - one shared cache: blocks of keys, bounded waiting, what is said once, counts.
 *
 * A failed connection is tried once more at once when it had worked before (servers close idle connections); after that the
 * server is left alone, at first for a second, then twice as long each time, and never for less than ten times what the failure
 * took. So a server that answers nothing costs at most a tenth of a run's time.
 */
#include "shared_cache_internal.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_KEYS = 256, MOST_BLOCK_BYTES = 8 * 1024 * 1024, DEFAULT_TTL_S = 30 * 86400, REST_FACTOR = 10 };
static const int64_t default_connect_ns = 2000000000, default_command_ns = 5000000000;
static const int64_t first_rest_ns = 1000000000, longest_rest_ns = 60000000000;

/* A time during which something is left alone. */
typedef struct rest {
    int64_t until, length;
} rest;

struct sx_shared_cache {
    sx_shared_url url;
    const sx_shared_class *class;
    sx_shared_backend *backend;
    sx_shared_options options;
    sx_clock clock;
    bool connected, said_down, said_refused;
    rest down, refused; /* the server; putting values */
    sx_shared_counts counts;
};

static int64_t real_now(void)
{
    return sx_system_clock.monotonic_ns(NULL);
}

sx_status sx_shared_wait(int descriptor, short events, int64_t deadline, sx_error *error)
{
    for (;;) {
        int64_t left = deadline - real_now();
        if (left <= 0)
            return sx_fail(error, SX_E_BUSY, "no answer in time");
        struct pollfd one = {.fd = descriptor, .events = events};
        int ready = poll(&one, 1, (int)((left + 999999) / 1000000));
        if (ready > 0)
            return SX_OK;
        if (ready < 0 && errno != EINTR)
            return sx_fail_errno(error, errno, "waiting for the server");
    }
}

sx_status sx_shared_cache_open(const sx_shared_options *options, sx_shared_cache **out, sx_error *error)
{
    *out = NULL;
    sx_shared_cache *cache = sx_calloc(1, sizeof *cache);
    if (!cache)
        return sx_fail_nomem(error, sizeof *cache);
    cache->options = *options;
    cache->options.url = NULL; /* the caller's */
    cache->clock = options->clock ? *options->clock : sx_system_clock;
    if (!cache->options.ttl_s)
        cache->options.ttl_s = DEFAULT_TTL_S;
    if (!cache->options.connect_ns)
        cache->options.connect_ns = default_connect_ns;
    if (!cache->options.command_ns)
        cache->options.command_ns = default_command_ns;
    sx_status status = sx_shared_url_read(options->url, &cache->url, error);
    if (!status) {
        cache->class = cache->url.is_redis ? &sx_shared_redis : &sx_shared_postgres;
        status = cache->class->open(&cache->url, &cache->backend, error);
    }
    if (status)
        sx_shared_cache_close(cache);
    else
        *out = cache;
    return status;
}

void sx_shared_cache_close(sx_shared_cache *cache)
{
    if (!cache)
        return;
    if (cache->backend)
        cache->class->close(cache->backend);
    sx_shared_url_clear(&cache->url);
    free(cache);
}

const sx_shared_counts *sx_shared_cache_count(const sx_shared_cache *cache)
{
    return &cache->counts;
}

const char *sx_shared_cache_name(const sx_shared_cache *cache)
{
    return cache->url.shown;
}

/* ---- Failing quietly ---- */

static void say_once(sx_shared_cache *cache, bool *said, const sx_error *problem, const char *consequence)
{
    char message[sizeof problem->message + 256];
    if (*said)
        return;
    *said = true;
    snprintf(message, sizeof message, "shared cache %.120s: %s; %s", cache->url.shown, problem->message, consequence);
    sx_make_one_line(message); /* the name may have been cut inside a character */
    if (cache->options.log)
        cache->options.log(SX_LOG_WARNING, message, cache->options.log_user);
}

static bool is_resting(const sx_shared_cache *cache, const rest *pause)
{
    return pause->until && cache->clock.monotonic_ns(cache->clock.user) < pause->until;
}

static void begin_rest(sx_shared_cache *cache, rest *pause, int64_t lost_ns)
{
    pause->length = !pause->length ? first_rest_ns : pause->length < longest_rest_ns / 2 ? pause->length * 2 : longest_rest_ns;
    int64_t length = lost_ns > pause->length / REST_FACTOR ? lost_ns * REST_FACTOR : pause->length;
    pause->until = cache->clock.monotonic_ns(cache->clock.user) + length;
}

static void disconnect(sx_shared_cache *cache)
{
    cache->class->disconnect(cache->backend);
    cache->connected = false;
}

static sx_status connect_now(sx_shared_cache *cache, sx_error *error)
{
    if (cache->connected)
        return SX_OK;
    sx_status status = cache->class->connect(cache->backend, real_now() + cache->options.connect_ns, error);
    cache->connected = !status;
    if (status)
        disconnect(cache);
    return status;
}

typedef enum action { GET, PUT } action;

/* True when the server did it. */
static bool act(sx_shared_cache *cache, action what, const sx_shared_block *block)
{
    if (is_resting(cache, &cache->down) || (what == PUT && is_resting(cache, &cache->refused)))
        return false;
    bool was_connected = cache->connected;
    int64_t began = real_now();
    sx_error problem = {0};
    for (;;) {
        sx_status status = connect_now(cache, &problem);
        int64_t deadline = real_now() + cache->options.command_ns;
        if (!status)
            status = (what == GET ? cache->class->get : cache->class->put)(cache->backend, block, deadline, &problem);
        if (!status) {
            cache->down = (rest){0};
            if (what == PUT)
                cache->refused = (rest){0};
            return true;
        }
        cache->counts.failures++;
        if (status == SX_E_FULL && what == PUT) {
            say_once(cache, &cache->said_refused, &problem, "nothing more is put there for now");
            begin_rest(cache, &cache->refused, real_now() - began);
            return false;
        }
        disconnect(cache);
        if (!was_connected || status == SX_E_BUSY)
            break;
        was_connected = false;
    }
    say_once(cache, &cache->said_down, &problem, "going on without it");
    begin_rest(cache, &cache->down, real_now() - began);
    return false;
}

/* ---- Blocks ---- */

static size_t block_size(size_t count, size_t value_size)
{
    size_t most = MOST_BLOCK_BYTES / value_size;
    most = most < 1 ? 1 : most > BLOCK_KEYS ? BLOCK_KEYS : most;
    return count < most ? count : most;
}

/* Values, and one byte each for their presence. NULL on no memory: the cache is then not asked. */
static unsigned char *make_values(size_t most, size_t value_size)
{
    return sx_calloc(most, value_size + 1);
}

static void read_block(sx_shared_cache *cache, const sx_shared_block *block, uint32_t dimensions, sx_shared_row *rows,
                       float *vectors)
{
    for (size_t i = 0; i < block->count; i++) {
        rows[i].found = block->presence[i] == SX_SHARED_PRESENT &&
                        sx_shared_value_read(block->recipe, &block->hashes[i], dimensions, block->values + i * block->value_size,
                                             block->value_size, &rows[i], vectors + i * dimensions);
        cache->counts.hits += rows[i].found;
        cache->counts.misses += !rows[i].found;
        cache->counts.damaged += !rows[i].found && block->presence[i] != SX_SHARED_ABSENT;
    }
}

void sx_shared_cache_get(sx_shared_cache *cache, const sx_sha256 *recipe, const sx_sha256 *hashes, size_t count,
                         uint32_t dimensions, sx_shared_row *rows, float *vectors)
{
    size_t value_size = sx_shared_value_size(dimensions), most = block_size(count, value_size);
    unsigned char *values = make_values(most, value_size);
    cache->counts.asked += count;
    for (size_t start = 0; start < count; start += most) {
        sx_shared_block block = {.recipe = recipe, .hashes = hashes + start, .value_size = value_size, .values = values};
        block.count = count - start < most ? count - start : most;
        for (size_t i = 0; i < block.count; i++)
            rows[start + i].found = false;
        if (values) {
            block.presence = values + most * value_size;
            memset(block.presence, SX_SHARED_ABSENT, block.count);
        }
        if (values && act(cache, GET, &block))
            read_block(cache, &block, dimensions, rows + start, vectors + start * dimensions);
        else
            cache->counts.unreachable += block.count;
    }
    free(values);
}

void sx_shared_cache_put(sx_shared_cache *cache, const sx_sha256 *recipe, const sx_sha256 *hashes, size_t count,
                         uint32_t dimensions, const sx_shared_row *rows, const float *vectors)
{
    size_t value_size = sx_shared_value_size(dimensions), most = block_size(count, value_size);
    bool resting = is_resting(cache, &cache->down) || is_resting(cache, &cache->refused);
    unsigned char *values = resting ? NULL : make_values(most, value_size);
    for (size_t start = 0; start < count; start += most) {
        sx_shared_block block = {.recipe = recipe, .hashes = hashes + start, .value_size = value_size, .values = values,
                                 .rows = rows + start, .ttl_s = cache->options.ttl_s};
        block.count = count - start < most ? count - start : most;
        for (size_t i = 0; values && i < block.count; i++)
            sx_shared_value_write(recipe, &block.hashes[i], dimensions, &block.rows[i], vectors + (start + i) * dimensions,
                                  values + i * value_size);
        if (values && act(cache, PUT, &block))
            cache->counts.stored += block.count;
        else
            cache->counts.unstored += block.count;
    }
    free(values);
}

sx_status sx_shared_cache_statistics(sx_shared_cache *cache, sx_shared_statistics *out, sx_error *error)
{
    sx_error problem = {0};
    *out = (sx_shared_statistics){0};
    sx_status status = connect_now(cache, &problem);
    if (!status) {
        status = cache->class->statistics(cache->backend, out, real_now() + cache->options.command_ns, &problem);
        if (status)
            disconnect(cache);
    }
    return status ? sx_fail(error, status, "shared cache %s: %s", cache->url.shown, problem.message) : SX_OK;
}

sx_status sx_shared_cache_describe(const char *url, char **name, uint64_t *entries, uint64_t *bytes, sx_error *error)
{
    sx_shared_cache *cache = NULL;
    sx_shared_statistics statistics = {0};
    if (!url || !name || !entries || !bytes)
        return sx_fail(error, SX_E_INVALID, "sx_shared_cache_describe: an argument is NULL");
    *name = NULL;
    sx_status status = sx_shared_cache_open(&(sx_shared_options){.url = url}, &cache, error);
    if (!status && !(*name = sx_strdup(cache->url.shown)))
        status = sx_fail_nomem(error, strlen(cache->url.shown) + 1);
    if (!status)
        status = sx_shared_cache_statistics(cache, &statistics, error);
    *entries = statistics.entries;
    *bytes = statistics.bytes;
    sx_shared_cache_close(cache);
    return status;
}
