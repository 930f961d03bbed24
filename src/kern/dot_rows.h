/* dot_rows.h - how the vector versions of dot.h walk over rows: one after the other, in the order of memory, which is what
 * processors fetch fastest (several rows side by side reach half of it); the next bytes are asked for meanwhile, because the
 * hardware stops at the end of each page. */
#ifndef SX_KERN_DOT_ROWS_H
#define SX_KERN_DOT_ROWS_H

#include "dot_internal.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* So many queries are multiplied with a row at once. */
enum { TILE_QUERIES = 4, AHEAD_BYTES = 2048, CACHE_LINE = 64 };

#endif
