/* dot_rows.h - how the vector versions of dot.h walk over rows: in a few streams far apart, a row of each in turn. Processors
 * fetch several streams ahead on their own: on a Zen 4 four of them reach 25 GB/s where one reaches 17 to 20, asking for the next
 * bytes by instructions gains nothing, and rows beside each other taken together are half as fast. */
#ifndef SX_KERN_DOT_ROWS_H
#define SX_KERN_DOT_ROWS_H

#include "dot_internal.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* So many queries are multiplied with a row at once. */
enum { TILE_QUERIES = 4, STREAMS = 4 };

/* Steps over `count` rows, and the row of a step, which may be `count` or more: then there is none. */
static inline size_t row_steps(size_t count)
{
    return (count + STREAMS - 1) / STREAMS * STREAMS;
}

static inline size_t row_of_step(size_t step, size_t steps)
{
    return step % STREAMS * (steps / STREAMS) + step / STREAMS;
}

#endif
