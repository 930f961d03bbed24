/* watch.h - what the tests of sx_watch_... need to see of it. */
#ifndef SX_INDEX_WATCH_H
#define SX_INDEX_WATCH_H

#include "sextant.h"

#include <stdbool.h>

/* A burst of changes: it ends when nothing came for a while, or when it has gone on for too long. Zero-initialise. */
typedef struct sx_burst {
    bool any;
    int64_t first_ns, last_ns;
} sx_burst;

void sx_burst_note(sx_burst *burst, int64_t now_ns);
/* Nanoseconds until it ends; 0: it has; -1: there is none. */
int64_t sx_burst_left(const sx_burst *burst, int64_t settle_ns, int64_t most_ns, int64_t now_ns);

#endif
