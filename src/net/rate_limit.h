/* rate_limit.h - token buckets for requests and tokens per minute, with the clock as a parameter.
 *
 * No window of any minute exceeds the limit: a bucket holds a small burst and refills evenly, and what the service says about what
 * remains lowers it. Shared by all that use one handle; for one thread.
 */
#ifndef SX_NET_RATE_LIMIT_H
#define SX_NET_RATE_LIMIT_H

#include "../base/clock.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct sx_rate_limit {
    const sx_clock *clock;
    double requests_per_minute, tokens_per_minute; /* 0: no limit */
    double requests, tokens;                       /* in the buckets; may be negative after a large request */
    int64_t filled_ns, blocked_until_ns;
} sx_rate_limit;

void sx_rate_limit_open(sx_rate_limit *limit, const sx_clock *clock, uint32_t requests_per_minute, uint32_t tokens_per_minute);
/* 0 and the request is counted: send it now; else nothing is counted and it may be asked again after so many ns. */
int64_t sx_rate_limit_take(sx_rate_limit *limit, uint64_t tokens);
/* The service counted otherwise than was estimated. */
void sx_rate_limit_correct(sx_rate_limit *limit, uint64_t estimated, uint64_t counted);
/* Retry-After or a remaining-0 with its reset: nothing is sent before. */
void sx_rate_limit_block(sx_rate_limit *limit, int64_t duration_ns);

#endif
