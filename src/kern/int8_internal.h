/* int8_internal.h - the 8-bit tables for the dispatcher, and how weights are quantised: once, when a model is opened, in plain C
 * that is the same for every instruction set. */
#ifndef SX_KERN_INT8_INTERNAL_H
#define SX_KERN_INT8_INTERNAL_H

#include "int8.h"
#include "sextant.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { SX_INT8_MOST_WIDTH = 32 };

/* The scale of a column whose largest absolute weight is given, and its inverse, which is what weights are multiplied by: 0 for
 * a column that is not finite, or too small to divide by. */
static inline float sx_int8_column_scale(float largest, float *inverse)
{
    *inverse = isfinite(largest) && largest > 1e-30f ? 127.0f / largest : 0.0f;
    return !isfinite(largest) ? NAN : *inverse > 0.0f ? largest / 127.0f : 0.0f;
}

/* Zero point and scales of a row whose smallest and largest entries are given (0 among them). */
static inline void sx_int8_row_scale(float smallest, float largest, float *inverse, float *scale, int32_t *zero)
{
    float range = largest - smallest;
    if (!isfinite(range)) {
        *inverse = 0.0f;
        *scale = NAN;
        *zero = 0;
    } else if (range < 1e-30f) { /* nothing but zeros, or too small to divide by */
        *inverse = 0.0f;
        *scale = 0.0f;
        *zero = 0;
    } else {
        *inverse = 255.0f / range;
        *scale = range / 255.0f;
        *zero = (int32_t)lrintf(-smallest * *inverse);
    }
}

/* Below every score of attention, and finite. */
#define SX_INT8_FAR 3e38f
/* Steps of attention's weights where 255 are too few. */
#define SX_INT8_FINE 65280.0f

/* Whether 255ths lose or gain more than a 32nd of the sum, which is `fine` in 65280ths. */
static inline bool sx_int8_is_coarse(int32_t total, int32_t fine)
{
    int64_t difference = 256 * (int64_t)total - fine;
    return 32 * (difference < 0 ? -difference : difference) > fine;
}

extern const sx_int8_kernels sx_int8_kernels_c;
#if defined(__x86_64__)
extern const sx_int8_kernels sx_int8_kernels_avx2;
extern const sx_int8_kernels sx_int8_kernels_avxvnni;
extern const sx_int8_kernels sx_int8_kernels_avx512vnni;
#elif defined(__aarch64__)
extern const sx_int8_kernels sx_int8_kernels_neon;
extern const sx_int8_kernels sx_int8_kernels_neon_dot;
extern const sx_int8_kernels sx_int8_kernels_neon_i8mm;
#endif

#endif
