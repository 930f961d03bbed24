/* clock.h - time as a parameter: retries, leases and rates take a clock, so that tests need no sleeps. */
#ifndef SX_BASE_CLOCK_H
#define SX_BASE_CLOCK_H

#include <stdint.h>

typedef struct sx_clock {
    int64_t (*monotonic_ns)(void *user);        /* never goes back */
    int64_t (*wall_ns)(void *user);             /* since 1970, for what people read */
    void (*sleep_ns)(int64_t duration, void *user);
    void *user;
} sx_clock;

/* The machine's clocks. */
extern const sx_clock sx_system_clock;

#endif
