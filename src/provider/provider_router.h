/* provider_router.h - one provider made of two sources of the same vectors: a primary with a fallback, or a split of the texts
 * between them by percentage, which may shift step by step.
 *
 * Which leg a text belongs to follows from its hash, so it stays the same from run to run, and a text that has gone over to the
 * second leg stays there as the percentage grows. Each leg stands in for the other: a breaker opens when a leg fails several
 * times in a row (or once for good), its work goes to the other one, and after a while, doubled each time, one batch tries
 * whether it is back. That the legs' vectors may be compared is for the caller to know.
 */
#ifndef SX_PROVIDER_PROVIDER_ROUTER_H
#define SX_PROVIDER_PROVIDER_ROUTER_H

#include "provider.h"

#include "../base/hash.h"

typedef struct sx_router_options {
    unsigned split;      /* percent of the texts that belong to the second leg: 0 makes it a fallback */
    bool schedule;       /* go on through 10, 25, 50, 90, 100 while the second leg does well, one back when its breaker opens */
    const char *models[SX_LEGS]; /* the caller's, which outlive the router */
} sx_router_options;

/* Takes the legs over, also on failure. SX_E_MISMATCH when their dimensions differ. clock NULL: the machine's. */
sx_status sx_router_make(sx_provider *first, sx_provider *second, const sx_router_options *options, const sx_clock *clock,
                         sx_provider **out, sx_error *error);

/* The leg of a text with this hash; 0 for a provider that is no router. */
unsigned sx_router_leg_of(const sx_provider *provider, const sx_sha256 *hash);
/* Milliseconds from handing a batch to a leg until it was back, of the last batches: median, 95th percentile; NaN: none yet. */
void sx_router_latency(const sx_provider *router, unsigned leg, double *p50_ms, double *p95_ms);

#endif
