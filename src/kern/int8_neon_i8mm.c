/* int8_neon_i8mm.c - 8-bit kernels for 64-bit ARM with matrix products of bytes (FEAT_I8MM): usmmla multiplies two rows of eight
 * activations with two columns of eight weights, twice what a dot product does. Tiles of 8 rows x 8 columns in 16 registers of
 * 2 x 2 sums.
 */
#include "int8_neon.h"
#include "kernels_internal.h"

enum { GROUP = 8, LOWEST = 0, COLUMN_PAIRS = LANES };
typedef uint8_t quantised;
typedef int8_t weight;

VECTOR_INLINE void put_weights(weight *to, vi q)
{
    put_bytes(to, q);
}

VECTOR_INLINE void put_quantised(quantised *to, vi q)
{
    put_bytes(to, cut(q, LOWEST));
}

/* Where rows are odd, the last stands for a second one that is not stored. */
#define OWN_TILE
VECTOR_INLINE void multiply_tile(size_t rows, const unsigned char *a, size_t a_stride, size_t groups, const weight *panel,
                                 int32_t *out)
{
    vi sum[TILE_ROWS / 2][COLUMN_PAIRS];
    UNROLL
    for (size_t i = 0; i < rows; i += 2) {
        UNROLL
        for (size_t j = 0; j < COLUMN_PAIRS; j++)
            sum[i / 2][j] = vi_zero();
    }
    for (size_t k = 0; k < groups; k++) {
        int8x16_t columns[COLUMN_PAIRS];
        UNROLL
        for (size_t j = 0; j < COLUMN_PAIRS; j++)
            columns[j] = vld1q_s8(panel + 2 * GROUP * j);
        panel += 2 * GROUP * COLUMN_PAIRS;
        UNROLL
        for (size_t i = 0; i < rows; i += 2) {
            const unsigned char *upper = a + i * a_stride + k * GROUP, *lower = i + 1 < rows ? upper + a_stride : upper;
            uint8x16_t both = vcombine_u8(vld1_u8(upper), vld1_u8(lower));
            UNROLL
            for (size_t j = 0; j < COLUMN_PAIRS; j++)
                sum[i / 2][j] = vusmmlaq_s32(sum[i / 2][j], both, columns[j]);
        }
    }
    UNROLL
    for (size_t i = 0; i < rows; i++) {
        UNROLL
        for (size_t j = 0; j < COLUMN_PAIRS; j++)
            vst1_s32(out + i * 2 * LANES + 2 * j,
                     i % 2 ? vget_high_s32(sum[i / 2][j]) : vget_low_s32(sum[i / 2][j]));
    }
}

#include "int8_simd.h"

const sx_int8_kernels sx_int8_kernels_neon_i8mm = INT8_TABLE("neon-i8mm", SX_CPU_NEON_I8MM);
