/* needs.h - what a test needs from outside the repository: named by an environment variable that scripts/run-tests sets. */
#ifndef SX_TESTS_NEEDS_H
#define SX_TESTS_NEEDS_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { SKIPPED = 77 }; /* the exit status that meson counts as skipped */

/* Whether the variable is missing; says so, and what sets it. The caller then ends with SKIPPED: nothing is skipped in silence. */
static inline bool lacks(const char *variable, const char *remedy)
{
    const char *value = getenv(variable);
    if (value && *value)
        return false;
    fprintf(stderr, "skipped: %s is not set (%s)\n", variable, remedy);
    return true;
}

#endif
