/* shared_cache_internal.h - what a kind of server has to offer, the parts of a URL, and the form of a value. */
#ifndef SX_CACHE_SHARED_CACHE_INTERNAL_H
#define SX_CACHE_SHARED_CACHE_INTERNAL_H

#include "shared_cache.h"

/* ---- shared_cache_url.c ---- */

typedef struct sx_shared_url {
    char *text;                          /* as given */
    char *shown;                         /* without user, password and query */
    char *host, *user, *password;        /* Redis only; user and password may be NULL */
    uint16_t port;
    uint32_t database;
    bool is_redis;
} sx_shared_url;
sx_status sx_shared_url_read(const char *text, sx_shared_url *url, sx_error *error);
void sx_shared_url_clear(sx_shared_url *url);
/* Replaces every occurrence of a secret (may be NULL or empty) in a message by "***". */
void sx_shared_mask(char *message, const char *secret);

/* ---- shared_cache_value.c ---- */

/* "SxV1", then as little-endian: u32 dimensions, u32 tokens, u32 dropped tokens, a float32 each, XXH64 of the key and of all
 * before. */
size_t sx_shared_value_size(uint32_t dimensions);
void sx_shared_value_write(const sx_sha256 *recipe, const sx_sha256 *hash, uint32_t dimensions, const sx_shared_row *row,
                           const float *vector, unsigned char *value);
/* False when it is no value for this key with these dimensions. */
bool sx_shared_value_read(const sx_sha256 *recipe, const sx_sha256 *hash, uint32_t dimensions, const unsigned char *value,
                          size_t length, sx_shared_row *row, float *vector);

/* ---- A kind of server ---- */

typedef enum sx_shared_presence { SX_SHARED_ABSENT, SX_SHARED_PRESENT, SX_SHARED_ODD } sx_shared_presence;

/* One block of keys. Values are of one size and lie one after the other. */
typedef struct sx_shared_block {
    const sx_sha256 *recipe, *hashes;
    size_t count, value_size;
    unsigned char *values;
    unsigned char *presence;   /* get: sx_shared_presence; ODD: there, but of another size or kind */
    const sx_shared_row *rows; /* put: their tokens */
    uint64_t ttl_s;            /* put */
} sx_shared_block;

typedef struct sx_shared_backend sx_shared_backend;

/* Deadlines are of sx_system_clock's monotonic time, since they bound waiting for real sockets. SX_E_BUSY when one has passed.
 * After any failure but SX_E_FULL of put (the server answers, but takes no values) the connection is of no use any more. */
typedef struct sx_shared_class {
    sx_status (*open)(const sx_shared_url *url, sx_shared_backend **out, sx_error *error);
    sx_status (*connect)(sx_shared_backend *backend, int64_t deadline, sx_error *error);
    sx_status (*get)(sx_shared_backend *backend, const sx_shared_block *block, int64_t deadline, sx_error *error);
    sx_status (*put)(sx_shared_backend *backend, const sx_shared_block *block, int64_t deadline, sx_error *error);
    sx_status (*statistics)(sx_shared_backend *backend, sx_shared_statistics *out, int64_t deadline, sx_error *error);
    void (*disconnect)(sx_shared_backend *backend);
    void (*close)(sx_shared_backend *backend);
} sx_shared_class;

extern const sx_shared_class sx_shared_redis, sx_shared_postgres;

/* Waits until the socket is ready for `events` (poll's); SX_E_BUSY when the deadline passes first. */
sx_status sx_shared_wait(int descriptor, short events, int64_t deadline, sx_error *error);

#endif
