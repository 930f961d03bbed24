/* shared_cache_redis.c - Redis (and what speaks its protocol, RESP2) as a shared cache.
 *
 * A key is "sextant:v1:RECIPE:HASH" in hexadecimal. Values are asked for by GETRANGE, one byte beyond their size, so that a
 * value of another size is noticed without being carried; all of a block in one pipeline. hiredis makes commands and reads
 * replies; the socket is served here, since hiredis 0.14 bounds only single reads and lets a write to a dead server raise
 * SIGPIPE.
 */
#include "shared_cache_internal.h"

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/memory.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { KEY_BYTES = 2 * SX_SHA256_HEX + 16, READ_BYTES = 65536, SPARE_BYTES = 65536, BYTES_PER_REPLY = 256 };

struct sx_shared_backend {
    const sx_shared_url *url;
    redisContext *context;
    redisReplyObjectFunctions functions; /* of its reader */
    sx_buffer commands;
    size_t expected;      /* replies to the commands */
    size_t reply_bytes;   /* most bytes they may have */
};

typedef sx_status (*on_reply)(const redisReply *reply, size_t index, void *user, sx_error *error);

static sx_status redis_open(const sx_shared_url *url, sx_shared_backend **out, sx_error *error)
{
    *out = sx_calloc(1, sizeof **out);
    if (!*out)
        return sx_fail_nomem(error, sizeof **out);
    (*out)->url = url;
    return SX_OK;
}

static void redis_disconnect(sx_shared_backend *backend)
{
    if (backend->context)
        redisFree(backend->context);
    backend->context = NULL;
}

static void redis_close(sx_shared_backend *backend)
{
    redis_disconnect(backend);
    sx_buffer_clear(&backend->commands);
    free(backend);
}

/* ---- Commands and replies ---- */

static void begin_commands(sx_shared_backend *backend)
{
    sx_buffer_reset(&backend->commands);
    backend->expected = 0;
    backend->reply_bytes = SPARE_BYTES;
}

static sx_status add_command(sx_shared_backend *backend, const char **words, const size_t *lengths, int count,
                             size_t reply_bytes, sx_error *error)
{
    char *text = NULL;
    int length = redisFormatCommandArgv(&text, count, words, lengths);
    bool added = length > 0 && sx_buffer_append(&backend->commands, text, (size_t)length);
    if (length > 0)
        redisFreeCommand(text);
    backend->expected++;
    backend->reply_bytes += reply_bytes + BYTES_PER_REPLY;
    return added ? SX_OK : sx_fail_nomem(error, reply_bytes);
}

static sx_status add_words(sx_shared_backend *backend, const char *first, const char *second, const char *third, sx_error *error)
{
    const char *words[] = {first, second, third};
    return add_command(backend, words, NULL, 1 + !!second + !!third, 0, error);
}

static sx_status send_some(int descriptor, const sx_buffer *commands, size_t *sent, sx_error *error)
{
    ssize_t written = send(descriptor, commands->data + *sent, commands->length - *sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written >= 0)
        *sent += (size_t)written;
    else if (errno != EAGAIN && errno != EINTR)
        return sx_fail_errno(error, errno, "the connection is lost");
    return SX_OK;
}

static sx_status receive_some(sx_shared_backend *backend, size_t *received, sx_error *error)
{
    char bytes[READ_BYTES];
    ssize_t length = recv(backend->context->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (length == 0)
        return sx_fail(error, SX_E_IO, "the server has closed the connection");
    if (length < 0)
        return errno == EAGAIN || errno == EINTR ? SX_OK : sx_fail_errno(error, errno, "the connection is lost");
    *received += (size_t)length;
    if (*received > backend->reply_bytes)
        return sx_fail(error, SX_E_FORMAT, "the replies are longer than what was asked for");
    if (redisReaderFeed(backend->context->reader, bytes, (size_t)length) != REDIS_OK)
        return sx_fail(error, SX_E_FORMAT, "the server does not speak Redis' protocol");
    return SX_OK;
}

/* Sends all commands and hands on their replies. Both directions at once: neither side may wait for the other with full
 * buffers. */
static sx_status exchange(sx_shared_backend *backend, int64_t deadline, on_reply take, void *user, sx_error *error)
{
    size_t sent = 0, received = 0, done = 0;
    sx_status status = SX_OK;
    while (!status && done < backend->expected) {
        bool more = sent < backend->commands.length;
        status = sx_shared_wait(backend->context->fd, (short)(POLLIN | (more ? POLLOUT : 0)), deadline, error);
        if (!status && more)
            status = send_some(backend->context->fd, &backend->commands, &sent, error);
        if (!status)
            status = receive_some(backend, &received, error);
        while (!status && done < backend->expected) {
            void *reply = NULL;
            if (redisReaderGetReply(backend->context->reader, &reply) != REDIS_OK)
                status = sx_fail(error, SX_E_FORMAT, "the server does not speak Redis' protocol");
            else if (!reply)
                break;
            else
                status = take(reply, done++, user, error);
            if (reply)
                freeReplyObject(reply);
        }
    }
    return status;
}

static bool begins(const redisReply *reply, const char *word)
{
    return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, word, strlen(word)) == 0;
}

static sx_status fail_reply(const redisReply *reply, const sx_shared_url *url, sx_status code, sx_error *error)
{
    char message[200];
    snprintf(message, sizeof message, "the server says: %s",
             reply->type == REDIS_REPLY_ERROR ? reply->str : "something unexpected");
    sx_shared_mask(message, url->password);
    return sx_fail(error, code, "%s", message);
}

/* ---- The connection ---- */

#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

/* No command here is answered by an array, whose few bytes could ask for any amount of memory: the reader fails instead. */
static void *refuse_array(const redisReadTask *task, element_count count)
{
    return NULL;
}

static sx_status take_greeting(const redisReply *reply, size_t index, void *user, sx_error *error)
{
    const sx_shared_backend *backend = user;
    return reply->type == REDIS_REPLY_STATUS ? SX_OK : fail_reply(reply, backend->url, SX_E_DENIED, error);
}

static sx_status redis_connect(sx_shared_backend *backend, int64_t deadline, sx_error *error)
{
    const sx_shared_url *url = backend->url;
    char number[16];
    redis_disconnect(backend);
    backend->context = redisConnectNonBlock(url->host, url->port);
    if (!backend->context)
        return sx_fail_nomem(error, sizeof *backend->context);
    if (backend->context->err)
        return sx_fail(error, SX_E_NETWORK, "cannot connect: %s", backend->context->errstr);
    backend->functions = *backend->context->reader->fn;
    backend->functions.createArray = refuse_array;
    backend->context->reader->fn = &backend->functions;
    sx_status status = sx_shared_wait(backend->context->fd, POLLOUT, deadline, error);
    if (status)
        return sx_fail(error, status, "cannot connect in time");
    int problem = 0;
    socklen_t length = sizeof problem;
    if (getsockopt(backend->context->fd, SOL_SOCKET, SO_ERROR, &problem, &length) || problem)
        return sx_fail(error, SX_E_NETWORK, "cannot connect: %s", strerror(problem ? problem : errno));
    begin_commands(backend);
    snprintf(number, sizeof number, "%u", url->database);
    if (url->password)
        status = url->user ? add_words(backend, "AUTH", url->user, url->password, error)
                           : add_words(backend, "AUTH", url->password, NULL, error);
    if (!status && url->database)
        status = add_words(backend, "SELECT", number, NULL, error);
    if (!status)
        status = add_words(backend, "PING", NULL, NULL, error);
    if (!status)
        status = exchange(backend, deadline, take_greeting, backend, error);
    sx_buffer_clear(&backend->commands); /* it held the password */
    return status;
}

/* ---- Values ---- */

static size_t write_key(const sx_shared_block *block, size_t index, char key[KEY_BYTES])
{
    char recipe[SX_SHA256_HEX], hash[SX_SHA256_HEX];
    sx_sha256_hex(block->recipe, recipe);
    sx_sha256_hex(&block->hashes[index], hash);
    return (size_t)snprintf(key, KEY_BYTES, "sextant:v1:%s:%s", recipe, hash);
}

typedef struct block_call {
    const sx_shared_backend *backend;
    const sx_shared_block *block;
    bool refused;        /* a put ... */
    sx_error refusal;    /* ... for this reason */
} block_call;

static sx_status take_value(const redisReply *reply, size_t index, void *user, sx_error *error)
{
    const block_call *call = user;
    const sx_shared_block *block = call->block;
    if (reply->type == REDIS_REPLY_STRING && reply->len == block->value_size) {
        memcpy(block->values + index * block->value_size, reply->str, block->value_size);
        block->presence[index] = SX_SHARED_PRESENT;
    } else if ((reply->type == REDIS_REPLY_STRING && reply->len) || begins(reply, "WRONGTYPE")) {
        block->presence[index] = SX_SHARED_ODD;
    } else if (reply->type != REDIS_REPLY_STRING) {
        return fail_reply(reply, call->backend->url, SX_E_PROVIDER, error);
    }
    return SX_OK;
}

static sx_status redis_get(sx_shared_backend *backend, const sx_shared_block *block, int64_t deadline, sx_error *error)
{
    block_call call = {.backend = backend, .block = block};
    char key[KEY_BYTES], last[24];
    sx_status status = SX_OK;
    snprintf(last, sizeof last, "%zu", block->value_size); /* counted from 0: one byte more than there should be */
    begin_commands(backend);
    for (size_t i = 0; i < block->count && !status; i++) {
        const char *words[] = {"GETRANGE", key, "0", last};
        write_key(block, i, key);
        status = add_command(backend, words, NULL, 4, block->value_size + 1, error);
    }
    return status ? status : exchange(backend, deadline, take_value, &call, error);
}

static sx_status take_put(const redisReply *reply, size_t index, void *user, sx_error *error)
{
    block_call *call = user;
    if (reply->type == REDIS_REPLY_STATUS)
        return SX_OK;
    /* Full, a replica, a disk that is full, no right to write: it may still be read. */
    if (begins(reply, "OOM") || begins(reply, "READONLY") || begins(reply, "MISCONF") || begins(reply, "NOPERM") ||
        begins(reply, "NOREPLICAS")) {
        call->refused = true;
        fail_reply(reply, call->backend->url, SX_E_FULL, &call->refusal);
        return SX_OK;
    }
    return fail_reply(reply, call->backend->url, SX_E_PROVIDER, error);
}

static sx_status redis_put(sx_shared_backend *backend, const sx_shared_block *block, int64_t deadline, sx_error *error)
{
    block_call call = {.backend = backend, .block = block};
    char key[KEY_BYTES], ttl[24];
    sx_status status = SX_OK;
    snprintf(ttl, sizeof ttl, "%llu", (unsigned long long)block->ttl_s);
    begin_commands(backend);
    for (size_t i = 0; i < block->count && !status; i++) {
        const char *words[] = {"SET", key, (const char *)block->values + i * block->value_size, "EX", ttl};
        size_t lengths[] = {3, write_key(block, i, key), block->value_size, 2, strlen(ttl)};
        status = add_command(backend, words, lengths, 5, 0, error);
    }
    if (!status)
        status = exchange(backend, deadline, take_put, &call, error);
    return !status && call.refused ? sx_fail(error, SX_E_FULL, "%s", call.refusal.message) : status;
}

/* ---- Statistics ---- */

typedef struct statistics_call {
    const sx_shared_backend *backend;
    sx_shared_statistics *out;
} statistics_call;

static sx_status take_statistics(const redisReply *reply, size_t index, void *user, sx_error *error)
{
    const statistics_call *call = user;
    const char *memory;
    if (index == 0 && reply->type == REDIS_REPLY_INTEGER) {
        call->out->entries = (uint64_t)reply->integer;
    } else if (index == 1 && reply->type == REDIS_REPLY_STRING) {
        if ((memory = strstr(reply->str, "used_memory:")))
            call->out->bytes = strtoull(memory + strlen("used_memory:"), NULL, 10);
    } else {
        return fail_reply(reply, call->backend->url, SX_E_PROVIDER, error);
    }
    return SX_OK;
}

static sx_status redis_statistics(sx_shared_backend *backend, sx_shared_statistics *out, int64_t deadline, sx_error *error)
{
    statistics_call call = {backend, out};
    begin_commands(backend);
    sx_status status = add_words(backend, "DBSIZE", NULL, NULL, error);
    if (!status)
        status = add_words(backend, "INFO", "memory", NULL, error);
    return status ? status : exchange(backend, deadline, take_statistics, &call, error);
}

const sx_shared_class sx_shared_redis = {
    .open = redis_open,
    .connect = redis_connect,
    .get = redis_get,
    .put = redis_put,
    .statistics = redis_statistics,
    .disconnect = redis_disconnect,
    .close = redis_close,
};
