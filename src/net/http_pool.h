/* http_pool.h - many HTTP requests at once over kept connections (libcurl's multi interface), for one thread.
 *
 * TLS is verified, proxies are taken from where libcurl looks for them. A reply that was cut off is SX_E_NETWORK, never a
 * short reply. A body that may have arrived is never sent a second time: that is for the caller to decide.
 */
#ifndef SX_NET_HTTP_POOL_H
#define SX_NET_HTTP_POOL_H

#include "../base/buffer.h"
#include "../base/clock.h"
#include "sextant.h"

#include <stdbool.h>

typedef struct sx_http_pool sx_http_pool;

/* One exchange. The caller owns it and keeps it and the strings until it comes out of sx_http_pool_wait. */
typedef struct sx_http_exchange {
    /* what is sent */
    const char *method, *url;
    const char *const *headers;  /* "Name: value" */
    size_t header_count;
    const char *body;            /* NULL: none */
    size_t body_length;
    int64_t timeout_ns;          /* for the whole exchange; 0: none but the stall limit, for a reply that has begun */
    size_t limit;                /* most bytes of a reply */
    const char *ca_file;         /* PEM file of the authorities that may vouch for the server; NULL: the system's */
    /* Takes the body of a 2xx reply as it comes, inside _wait; false ends the exchange with SX_E_STOPPED. NULL: into `reply`. */
    bool (*sink)(void *user, const char *data, size_t length);
    /* what came */
    sx_status status;            /* SX_OK: a complete reply of any code; SX_E_NETWORK, SX_E_STOPPED, SX_E_LIMIT */
    char problem[160];           /* of a network fault; never holds a header */
    bool unsent;                 /* of a network fault: no connection was made, so the service cannot have seen the request */
    long code;
    sx_buffer reply;
    int64_t retry_after_ns;      /* Retry-After (also fractions of seconds) or retry-after-ms; -1: not said */
    /* x-ratelimit-remaining-/reset-requests/tokens; -1: not said. Resets as durations ("6m0s", "200ms", seconds). */
    int64_t remaining_requests, remaining_tokens, reset_requests_ns, reset_tokens_ns;
    void *user;
    void *private;
} sx_http_exchange;

/* max_in_flight connections at most; HTTP/2 where the server offers it. Redirects are not followed: a service that moves says
 * so. */
sx_status sx_http_pool_open(const char *user_agent, unsigned max_in_flight, sx_http_pool **out, sx_error *error);
/* Ends what is in flight; those exchanges are not touched afterwards. */
void sx_http_pool_close(sx_http_pool *pool);
sx_status sx_http_pool_start(sx_http_pool *pool, sx_http_exchange *exchange, sx_error *error);
/* The next one that is done, NULL after timeout_ns without one. */
sx_status sx_http_pool_wait(sx_http_pool *pool, int64_t timeout_ns, sx_http_exchange **done, sx_error *error);
/* All in flight end soon with SX_E_STOPPED. */
void sx_http_pool_cancel(sx_http_pool *pool);

#endif
