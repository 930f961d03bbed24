/* quantised.c - elements of GGUF's block formats as floats, exactly as the reference computes them.
 *
 * Formats: ggml's quants ("block_q8_0" ... in ggml-common.h) and the gguf package's quants.py. Plain blocks have 32 elements, one
 * half-precision scale and perhaps a minimum; element i and i + 16 share a byte of nibbles. The K blocks have 256 elements in 8
 * groups of 32 (Q6_K: 16 of 16), each group with a small integer scale (and minimum) on top of the block's own.
 */
#include "tensors_internal.h"

#include "../kern/half.h"

#include <string.h>

enum { PLAIN = 32, K_BLOCK = 256 };

static float half_at(const unsigned char *bytes)
{
    return float_of_half((uint32_t)bytes[0] | (uint32_t)bytes[1] << 8);
}

/* 32 nibbles: the low ones of 16 bytes, then the high ones; bits, if any, gives each a fifth bit. */
static unsigned nibble(const unsigned char *nibbles, const unsigned char *bits, unsigned i)
{
    unsigned value = i < 16 ? nibbles[i] & 15 : nibbles[i - 16] >> 4;
    return bits ? value | (bits[i / 8] >> i % 8 & 1u) << 4 : value;
}

static void read_q8_0(const unsigned char *block, float *out)
{
    float scale = half_at(block);
    for (unsigned i = 0; i < PLAIN; i++)
        out[i] = (float)(signed char)block[2 + i] * scale;
}

static void read_q4_0(const unsigned char *block, float *out)
{
    float scale = half_at(block);
    for (unsigned i = 0; i < PLAIN; i++)
        out[i] = scale * (float)((int)nibble(block + 2, NULL, i) - 8);
}

static void read_q4_1(const unsigned char *block, float *out)
{
    float scale = half_at(block), least = half_at(block + 2);
    for (unsigned i = 0; i < PLAIN; i++)
        out[i] = scale * (float)nibble(block + 4, NULL, i) + least;
}

static void read_q5_0(const unsigned char *block, float *out)
{
    float scale = half_at(block);
    for (unsigned i = 0; i < PLAIN; i++)
        out[i] = scale * (float)((int)nibble(block + 6, block + 2, i) - 16);
}

static void read_q5_1(const unsigned char *block, float *out)
{
    float scale = half_at(block), least = half_at(block + 2);
    for (unsigned i = 0; i < PLAIN; i++)
        out[i] = scale * (float)nibble(block + 8, block + 4, i) + least;
}

/* The 6-bit scale and minimum of group 0 .. 7 out of the 12 bytes of Q4_K and Q5_K. */
static void group_scale(const unsigned char *packed, unsigned group, float *scale, float *least)
{
    if (group < 4) {
        *scale = (float)(packed[group] & 63);
        *least = (float)(packed[group + 4] & 63);
    } else {
        unsigned low = packed[group + 4];
        *scale = (float)((low & 15) | (packed[group - 4] >> 2 & 48));
        *least = (float)(low >> 4 | (packed[group] >> 2 & 48));
    }
}

/* Q4_K: d, dmin, scales, 128 bytes of nibbles; Q5_K has 32 bytes of fifth bits before these: bit g of byte i is element i of
 * group g. */
static void read_q45_k(const unsigned char *block, const unsigned char *bits, const unsigned char *nibbles, float *out)
{
    float d = half_at(block), dmin = half_at(block + 2);
    for (unsigned group = 0; group < 8; group++) {
        float scale, least;
        group_scale(block + 4, group, &scale, &least);
        scale *= d;
        least *= dmin;
        for (unsigned i = 0; i < 32; i++) {
            unsigned value = nibbles[group / 2 * 32 + i] >> group % 2 * 4 & 15;
            if (bits)
                value |= (bits[i] >> group & 1u) << 4;
            float scaled = scale * (float)value;
            out[group * 32 + i] = scaled - least;
        }
    }
}

static void read_q4_k(const unsigned char *block, float *out)
{
    read_q45_k(block, NULL, block + 16, out);
}

static void read_q5_k(const unsigned char *block, float *out)
{
    read_q45_k(block, block + 16, block + 48, out);
}

/* 128 bytes of low nibbles, 64 of two high bits, 16 signed scales, d. */
static void read_q6_k(const unsigned char *block, float *out)
{
    const unsigned char *low = block, *high = block + 128, *scales = block + 192;
    float d = half_at(block + 208);
    for (unsigned i = 0; i < K_BLOCK; i++) {
        unsigned part = i / 128, row = i / 32 % 4, column = i % 32;
        unsigned value = low[part * 64 + row % 2 * 32 + column] >> row / 2 * 4 & 15;
        value |= (high[part * 32 + column] >> row * 2 & 3u) << 4;
        float scale = d * (float)(signed char)scales[i / 16];
        out[i] = scale * (float)((int)value - 32);
    }
}

static const struct block_format {
    void (*read)(const unsigned char *block, float *out);
    size_t elements, bytes;
} formats[] = {
    [SX_DTYPE_Q8_0] = {read_q8_0, PLAIN, 34},    [SX_DTYPE_Q4_0] = {read_q4_0, PLAIN, 18},
    [SX_DTYPE_Q4_1] = {read_q4_1, PLAIN, 20},    [SX_DTYPE_Q5_0] = {read_q5_0, PLAIN, 22},
    [SX_DTYPE_Q5_1] = {read_q5_1, PLAIN, 24},    [SX_DTYPE_Q4_K] = {read_q4_k, K_BLOCK, 144},
    [SX_DTYPE_Q5_K] = {read_q5_k, K_BLOCK, 176}, [SX_DTYPE_Q6_K] = {read_q6_k, K_BLOCK, 210},
};

void sx_quantised_read(sx_dtype dtype, const unsigned char *data, size_t first, size_t count, float *out)
{
    const struct block_format *format = &formats[dtype];
    float block[K_BLOCK];
    while (count) {
        size_t skip = first % format->elements, some = format->elements - skip;
        const unsigned char *from = data + first / format->elements * format->bytes;
        if (some > count)
            some = count;
        if (some == format->elements) {
            format->read(from, out);
        } else {
            format->read(from, block);
            memcpy(out, block + skip, some * sizeof *out);
        }
        first += some;
        out += some;
        count -= some;
    }
}
