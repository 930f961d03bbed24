/* half.h - IEEE 754 halves as floats in plain C, for the reference kernels and for single numbers in files. */
#ifndef SX_KERN_HALF_H
#define SX_KERN_HALF_H

#include <stdint.h>
#include <string.h>

static inline float float_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* binary16: 1 sign, 5 exponent, 10 fraction bits. Exact; a NaN becomes quiet. */
static inline float float_of_half(uint32_t half)
{
    uint32_t sign = (half & 0x8000u) << 16, exponent = half >> 10 & 31, fraction = half & 0x3ff;
    if (exponent == 31)
        return float_of_bits(sign | 0x7f800000u | fraction << 13 | (fraction ? 0x400000u : 0));
    if (exponent == 0) {
        float x = (float)fraction * 0x1p-24f;
        return sign ? -x : x;
    }
    return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

#endif
