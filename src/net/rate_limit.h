/* rate_limit.h - requests and tokens per minute, with the clock as a parameter.
 *
 * No window of a minute exceeds a limit, as the service sees it: what was sent counts from the moment it was sent until a
 * minute after it must have arrived (the reply's time, or two seconds after sending). Within that, everything may go at
 * once, so a small job is not held back. What the service says about what remains, and when to come again, is obeyed too. For
 * one thread; shared by all that use one handle.
 */
#ifndef SX_NET_RATE_LIMIT_H
#define SX_NET_RATE_LIMIT_H

#include "../base/clock.h"
#include "sextant.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sx_rate_entry {
    int64_t sent_ns, leaves_ns; /* counts until leaves_ns */
    uint64_t tokens;
    bool arrived;
} sx_rate_entry;

typedef struct sx_rate_limit {
    const sx_clock *clock;
    uint64_t requests_per_minute, tokens_per_minute; /* 0: no limit */
    sx_rate_entry *entries;    /* a ring: those that count, in the order they were sent */
    size_t first, count, capacity;
    uint64_t first_number;     /* of the ring's first entry */
    uint64_t tokens;           /* of all entries */
    uint64_t unanswered_tokens, unanswered;
    int64_t blocked_until_ns;
    /* What the service said remains, until its reset; -1: nothing said. */
    int64_t told_requests, told_tokens;
    int64_t told_requests_until_ns, told_tokens_until_ns;
} sx_rate_limit;

void sx_rate_limit_open(sx_rate_limit *limit, const sx_clock *clock, uint32_t requests_per_minute, uint32_t tokens_per_minute);
void sx_rate_limit_close(sx_rate_limit *limit);
/* *wait_ns 0 and the request is counted: send it now, *ticket names it; else nothing is counted and it may be asked again
 * after so many ns. A request of more tokens than a minute allows goes alone. SX_E_NOMEM. */
sx_status sx_rate_limit_take(sx_rate_limit *limit, uint64_t tokens, int64_t *wait_ns, uint64_t *ticket, sx_error *error);
/* The reply came, or the request died; counted: tokens as the service counts them (as estimated when it does not say). */
void sx_rate_limit_answered(sx_rate_limit *limit, uint64_t ticket, uint64_t counted);
/* Retry-After: nothing is sent before. */
void sx_rate_limit_block(sx_rate_limit *limit, int64_t duration_ns);
/* x-ratelimit-remaining and -reset of a reply, -1 for what was not said. */
void sx_rate_limit_told(sx_rate_limit *limit, int64_t requests, int64_t tokens, int64_t reset_requests_ns,
                        int64_t reset_tokens_ns);

#endif
