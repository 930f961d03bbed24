/* shared_cache.h - vectors that many machines share: a Redis or PostgreSQL server behind the embedded cache.
 *
 * A vector's key is (recipe, SHA-256 of the text), as in the database, so only vectors made in exactly the same way are shared.
 * The cache saves work and nothing else: no trouble with it is ever an error of a run. A server that is down, slow, full or
 * refuses the password is said once through the log and left alone for a while; a value that is damaged, of another size or kind
 * counts as absent and is overwritten. Waiting is bounded: 2 s for a connection, 5 s for a command, and after a failure
 * the server is left alone for at least ten times as long as it kept us waiting.
 *
 * One thread at a time. Messages name the server without user and password.
 */
#ifndef SX_CACHE_SHARED_CACHE_H
#define SX_CACHE_SHARED_CACHE_H

#include "sextant.h"
#include "../base/clock.h"
#include "../base/hash.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct sx_shared_cache sx_shared_cache;

typedef struct sx_shared_options {
    const char *url;          /* redis://[[user]:password@]host[:port][/db] or postgresql://... */
    uint64_t ttl_s;           /* how long a value is kept after it was put; 0: 30 days */
    const sx_clock *clock;    /* for the time a server is left alone; NULL: the machine's */
    sx_log_callback log;      /* what is said once; may be NULL */
    void *log_user;
    int64_t connect_ns, command_ns; /* 0: 2 s and 5 s */
} sx_shared_options;

typedef struct sx_shared_row {
    bool found;
    uint32_t tokens, dropped_tokens;
} sx_shared_row;

/* Of this handle. asked = hits + misses + unreachable. */
typedef struct sx_shared_counts {
    uint64_t asked, hits, misses, unreachable;
    uint64_t damaged;         /* of the misses: something was there, but no value of ours */
    uint64_t stored, unstored;
    uint64_t failures;        /* connections or commands that failed */
} sx_shared_counts;

/* Of the server. */
typedef struct sx_shared_statistics {
    uint64_t entries;         /* vectors; for Redis the keys of its database number, whoever's they are */
    uint64_t bytes;           /* memory or disk they take */
} sx_shared_statistics;

/* Checks the URL and connects to nothing yet. SX_E_INVALID, SX_E_UNSUPPORTED (rediss). */
sx_status sx_shared_cache_open(const sx_shared_options *options, sx_shared_cache **out, sx_error *error);
void sx_shared_cache_close(sx_shared_cache *cache);
/* rows[i] and vectors[i * dimensions ...] for hashes[i]; rows not found are left alone but for `found`. */
void sx_shared_cache_get(sx_shared_cache *cache, const sx_sha256 *recipe, const sx_sha256 *hashes, size_t count,
                         uint32_t dimensions, sx_shared_row *rows, float *vectors);
/* The hashes of a call differ. */
void sx_shared_cache_put(sx_shared_cache *cache, const sx_sha256 *recipe, const sx_sha256 *hashes, size_t count,
                         uint32_t dimensions, const sx_shared_row *rows, const float *vectors);
/* Asks the server, also while it is left alone. */
sx_status sx_shared_cache_statistics(sx_shared_cache *cache, sx_shared_statistics *out, sx_error *error);
const sx_shared_counts *sx_shared_cache_count(const sx_shared_cache *cache);
/* "redis://host:6379/0": for messages. */
const char *sx_shared_cache_name(const sx_shared_cache *cache);

#endif
