/* clock.c - the machine's clocks. */
#include "clock.h"

#include <errno.h>
#include <stddef.h>
#include <time.h>

static int64_t read_clock(clockid_t which)
{
    struct timespec now;
    clock_gettime(which, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t system_monotonic(void *user)
{
    (void)user;
    return read_clock(CLOCK_MONOTONIC);
}

static int64_t system_wall(void *user)
{
    (void)user;
    return read_clock(CLOCK_REALTIME);
}

static void system_sleep(int64_t duration, void *user)
{
    (void)user;
    if (duration <= 0)
        return;
    struct timespec rest = {duration / 1000000000, duration % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &rest, &rest) == EINTR)
        ;
}

const sx_clock sx_system_clock = {system_monotonic, system_wall, system_sleep, NULL};
