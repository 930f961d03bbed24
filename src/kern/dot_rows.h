/* dot_rows.h - how the vector versions of dot.h walk over rows. Several are read side by side: the processor then has more misses
 * on the way than one stream gives it. */
#ifndef SX_KERN_DOT_ROWS_H
#define SX_KERN_DOT_ROWS_H

#include "dot_internal.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Rows for a single query; those AHEAD_BYTES further are asked for meanwhile, as the hardware stops at each page's end. */
enum { SINGLE_ROWS = 4, AHEAD_BYTES = 4096 };

static inline size_t rows_ahead(size_t row_bytes)
{
    return (AHEAD_BYTES / (row_bytes + 1) / SINGLE_ROWS + 1) * SINGLE_ROWS * row_bytes;
}

#endif
