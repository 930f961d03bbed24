/* int8_simd.h - the body of every vector instruction set's 8-bit kernels; included once by each int8_<set>.c, which defines
 *
 *   LANES, TILE_ROWS, GROUP   32-bit lanes of a vector; rows of a register tile (2 x TILE_ROWS accumulators); k's in a lane
 *   quantised, weight         types of one activation and one weight: GROUP of either fill 32 bits
 *   LOWEST                    the least activation: 0, or -128 where the instruction wants signed ones; zero points move with it
 *   vi vf                     vectors of LANES integers, floats
 *   vi_zero vi_load(p) vi_broadcast(p)  (32 bits at p in all lanes) vi_store(p, x)
 *   vi_dot(sum, a, w)         sum + the GROUP products of each lane, exactly; or OWN_TILE and multiply_tile, for instructions that
 *                             multiply in other shapes
 *   vi_set vi_sub vi_mul vi_to_float vf_to_int (to nearest even)
 *   vf_load vf_load_tail(p, n) vf_store vf_store_tail(p, n, x) vf_set vf_mul vf_add vf_min(a, b) vf_max(a, b) (b when NaN)
 *   vf_smallest vf_largest vf_sum  across lanes
 *   put_quantised(to, q)      LANES integers, cut to LOWEST .. LOWEST + 255, to `quantised`s
 *   put_weights(to, q)        LANES integers of -127 .. 127 to `weight`s
 *   FOR_EACH_TILE(M)          M(1) ... M(TILE_ROWS)
 */
#include "int8_internal.h"
#include "kernels_internal.h"

enum { PANEL = 2 * LANES, BLOCK_ROWS = 112 / TILE_ROWS * TILE_ROWS };

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* ---- Quantising ---- */

/* Entries k .. k + LANES - 1 of a row, times their factors; zeros behind the last. */
ALWAYS_INLINE vf scaled(const float *row, const float *factors, size_t k, size_t depth)
{
    if (depth - k >= LANES) {
        vf x = vf_load(row + k);
        return factors ? vf_mul(x, vf_load(factors + k)) : x;
    }
    vf x = vf_load_tail(row + k, depth - k);
    return factors ? vf_mul(x, vf_load_tail(factors + k, depth - k)) : x;
}

/* The smallest and the largest of what is seen, 0 among them; NaN in `odd` when something is not finite. */
typedef struct range {
    vf smallest, largest, odd;
} range;

ALWAYS_INLINE range range_open(void)
{
    return (range){vf_set(0.0f), vf_set(0.0f), vf_set(0.0f)};
}

ALWAYS_INLINE void range_see(range *r, vf x)
{
    r->smallest = vf_min(x, r->smallest);
    r->largest = vf_max(x, r->largest);
    r->odd = vf_add(r->odd, vf_mul(x, vf_set(0.0f)));
}

/* The largest absolute value; NaN when one is not finite. */
ALWAYS_INLINE float range_magnitude(const range *r)
{
    float least = vf_smallest(r->smallest), most = vf_largest(r->largest);
    return (-least > most ? -least : most) + vf_sum(r->odd);
}

static void quantize(const float *in, size_t stride, size_t rows, size_t depth, const float *factors, void *out,
                     size_t out_stride, float *scales, int32_t *zeros)
{
    size_t whole = depth / LANES * LANES, rest = depth - whole, padded = (depth + GROUP - 1) / GROUP * GROUP;
    for (size_t i = 0; i < rows; i++) {
        const float *row = in + i * stride;
        quantised *to = (quantised *)((unsigned char *)out + i * out_stride);
        range seen = range_open();
        float inverse;
        for (size_t k = 0; k < depth; k += LANES)
            range_see(&seen, scaled(row, factors, k, depth));
        sx_int8_row_scale(vf_smallest(seen.smallest) + vf_sum(seen.odd), vf_largest(seen.largest), &inverse, &scales[i], &zeros[i]);
        zeros[i] += LOWEST;
        vf factor = vf_set(inverse);
        vi zero = vi_set(zeros[i]);
        if (isnan(scales[i])) {
            memset(to, 0, padded * sizeof *to);
            continue;
        }
        for (size_t k = 0; k < whole; k += LANES)
            put_quantised(to + k, vi_add(vf_to_int(vf_mul(scaled(row, factors, k, depth), factor)), zero));
        if (rest) {
            quantised last[LANES];
            put_quantised(last, vi_add(vf_to_int(vf_mul(scaled(row, factors, whole, depth), factor)), zero));
            memcpy(to + whole, last, rest * sizeof *to);
        }
        for (size_t k = depth; k < padded; k++)
            to[k] = 0; /* the weights there are zero */
    }
}

/* ---- Packing ---- */

/* Weights of a row that are quantised at once: a multiple of LANES and GROUP. */
enum { PART = 16 };

/* As scaled(), but divided. */
ALWAYS_INLINE vf unscaled(const float *row, const float *factors, size_t k, size_t depth)
{
    float part[LANES];
    if (!factors)
        return scaled(row, NULL, k, depth);
    for (size_t i = 0; i < LANES; i++)
        part[i] = k + i < depth ? row[k + i] / factors[k + i] : 0.0f;
    return vf_load(part);
}

/* One column of a panel; the sum of its weights. */
ALWAYS_INLINE int32_t pack_column(const float *row, const float *factors, size_t depth, float inverse, weight *to)
{
    int32_t lanes[LANES], total = 0;
    vi sum = vi_zero();
    for (size_t k = 0; k < depth; k += PART) {
        weight weights[PART] = {0};
        size_t left = (depth - k + GROUP - 1) / GROUP, groups = left < PART / GROUP ? left : PART / GROUP;
        for (size_t i = 0; i < PART && k + i < depth; i += LANES) {
            vi q = vf_to_int(vf_mul(unscaled(row, factors, k + i, depth), vf_set(inverse)));
            sum = vi_add(sum, q);
            put_weights(weights + i, q);
        }
        for (size_t g = 0; g < groups; g++)
            memcpy(to + (k / GROUP + g) * PANEL * GROUP, weights + g * GROUP, GROUP * sizeof *to);
    }
    vi_store(lanes, sum);
    for (size_t i = 0; i < LANES; i++)
        total += lanes[i];
    return total;
}

static void pack(const float *rows, size_t stride, size_t count, size_t depth, const float *factors, void *panel, float *scales,
                 int32_t *sums)
{
    size_t padded = (depth + GROUP - 1) / GROUP * GROUP;
    weight *to = panel;
    if (count < PANEL)
        memset(to, 0, padded * PANEL * sizeof *to);
    for (size_t j = 0; j < PANEL; j++) {
        const float *row = rows + j * stride;
        float inverse = 0.0f;
        scales[j] = 0.0f;
        sums[j] = 0;
        if (j >= count)
            continue;
        range seen = range_open();
        for (size_t k = 0; k < depth; k += LANES)
            range_see(&seen, unscaled(row, factors, k, depth));
        scales[j] = sx_int8_column_scale(range_magnitude(&seen), &inverse);
        if (inverse > 0.0f)
            sums[j] = pack_column(row, factors, depth, inverse, to + j * GROUP);
        else
            for (size_t k = 0; k < padded; k += GROUP)
                memset(to + (k * PANEL) + j * GROUP, 0, GROUP * sizeof *to);
    }
}

/* ---- Product ---- */

#ifndef OWN_TILE
ALWAYS_INLINE void multiply_tile(size_t rows, const unsigned char *a, size_t a_stride, size_t groups, const weight *panel,
                                 int32_t *out)
{
    vi sum[TILE_ROWS][2];
    UNROLL
    for (size_t i = 0; i < rows; i++)
        sum[i][0] = sum[i][1] = vi_zero();
    for (size_t k = 0; k < groups; k++) {
        vi left = vi_load(panel), right = vi_load(panel + LANES * GROUP);
        panel += PANEL * GROUP;
        UNROLL
        for (size_t i = 0; i < rows; i++) {
            vi x = vi_broadcast(a + i * a_stride + k * 4);
            sum[i][0] = vi_dot(sum[i][0], x, left);
            sum[i][1] = vi_dot(sum[i][1], x, right);
        }
    }
    UNROLL
    for (size_t i = 0; i < rows; i++) {
        vi_store(out + i * PANEL, sum[i][0]);
        vi_store(out + i * PANEL + LANES, sum[i][1]);
    }
}
#endif

typedef void multiply_function(const unsigned char *a, size_t a_stride, size_t groups, const weight *panel, int32_t *out);

#define DEFINE_TILE(N)                                                                                                 \
    static void multiply_##N(const unsigned char *a, size_t a_stride, size_t groups, const weight *panel, int32_t *out) \
    {                                                                                                                  \
        multiply_tile(N, a, a_stride, groups, panel, out);                                                             \
    }
FOR_EACH_TILE(DEFINE_TILE)
#define NAME_TILE(N) multiply_##N,
static multiply_function *const multiply[TILE_ROWS] = {FOR_EACH_TILE(NAME_TILE)};

/* Tiles of nearly equal height, so that none is so low that its few chains wait for each other. */
ALWAYS_INLINE size_t next_tile(size_t rows)
{
    size_t tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    return (rows + tiles - 1) / tiles;
}

/* From sums to floats in place of them, bias added. */
ALWAYS_INLINE void scale_tile(const sx_int8_gemm *job, const int32_t *sums, size_t row, size_t rows, size_t column, size_t columns,
                              float *tile)
{
    for (size_t j = 0; j < PANEL; j += LANES) {
        if (j >= columns)
            break;
        vf scales = vf_load(job->b_scales + column + j);
        vi column_sums = vi_load(job->b_sums + column + j);
        vf bias = vf_set(0.0f);
        if (job->bias)
            bias = columns - j < LANES ? vf_load_tail(job->bias + column + j, columns - j) : vf_load(job->bias + column + j);
        for (size_t i = 0; i < rows; i++) {
            vi sum = vi_sub(vi_load(sums + i * PANEL + j), vi_mul(vi_set(job->a_zeros[row + i]), column_sums));
            vf x = vf_mul(vi_to_float(sum), vf_mul(vf_set(job->a_scales[row + i]), scales));
            vf_store(tile + i * PANEL + j, vf_add(x, bias));
        }
    }
}

ALWAYS_INLINE void store_tile(const sx_int8_gemm *job, const float *tile, size_t row, size_t rows, size_t column, size_t columns)
{
    for (size_t i = 0; i < rows; i++) {
        float *out = job->out + (row + i) * job->out_stride + column;
        const float *residual = job->residual ? job->residual + (row + i) * job->residual_stride + column : NULL;
        for (size_t j = 0; j < columns; j += LANES) {
            size_t part = columns - j < LANES ? columns - j : LANES;
            vf x = vf_load(tile + i * PANEL + j);
            if (part == LANES) {
                vf_store(out + j, residual ? vf_add(x, vf_load(residual + j)) : x);
            } else {
                vf_store_tail(out + j, part, residual ? vf_add(x, vf_load_tail(residual + j, part)) : x);
            }
        }
    }
}

static void gemm(const sx_int8_gemm *job)
{
    _Alignas(64) int32_t sums[TILE_ROWS * PANEL];
    _Alignas(64) float tile[TILE_ROWS * PANEL];
    size_t groups = (job->depth + GROUP - 1) / GROUP;
    memset(tile, 0, sizeof tile); /* columns beyond the last go through the activation too */
    for (size_t block = 0; block < job->rows; block += BLOCK_ROWS) {
        size_t end = block + BLOCK_ROWS < job->rows ? block + BLOCK_ROWS : job->rows;
        for (size_t column = 0; column < job->columns; column += PANEL) {
            size_t columns = job->columns - column < PANEL ? job->columns - column : PANEL;
            const weight *panel = (const weight *)job->panels + column * groups * GROUP;
            for (size_t row = block, rows; row < end; row += rows) {
                rows = next_tile(end - row);
                multiply[rows - 1]((const unsigned char *)job->a + row * job->a_stride, job->a_stride, groups, panel, sums);
                scale_tile(job, sums, row, rows, column, columns, tile);
                if (job->activation != SX_ACTIVATION_NONE)
                    job->kernels->activate(job->activation, tile, tile, rows * PANEL);
                store_tile(job, tile, row, rows, column, columns);
            }
        }
    }
}

#include "int8_attention.h"

#define INT8_TABLE(NAME, CPU)                                                                                          \
    {                                                                                                                  \
        .name = NAME, .cpu = CPU, .panel_width = PANEL, .tile_rows = TILE_ROWS, .group = GROUP,                        \
        .activation_bytes = sizeof(quantised), .weight_bytes = sizeof(weight), .quantize = quantize, .pack = pack,     \
        .gemm = gemm, .attention = attention                                                                           \
    }
