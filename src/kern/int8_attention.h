/* int8_attention.h - attention in 8-bit integers, on the tiles of int8_simd.h, which includes this.
 *
 * Keys are packed as weights are, each with a scale of its own; queries are quantised as activations. A row of scores becomes
 * e^(score - largest), of which 255ths are kept: the largest weight of each row is 255, what is below 1/510 of it is nothing, and
 * what is left adds up to one again because the row is divided by the sum of what was kept. Where this rounding makes the sum wrong by
 * more than a 32nd, as when one weight is large and all others are small and alike, the row keeps a second byte: 65280ths, whose
 * rest is multiplied in a second product. Values are packed with a scale for each column. Everything but scales and exponentials is exact, and these are single operations in one order, so every instruction set gives
 * the same bits where its exponentials do.
 */

/* A rest is -128 .. 128; where it is 128 it loses one 65280th. */
enum { REST_ZERO = 128 + LOWEST };

/* Where the parts of the scratch lie. Keys count in whole panels. */
typedef struct attention_space {
    size_t keys, depth, head; /* keys, head size in whole groups, head size in whole panels */
    weight *key_panels, *value_panels;
    float *key_scales, *value_scales;
    int32_t *key_sums, *value_sums;
    quantised *queries, *shares, *rests;
    float *query_scales, *scores;
    int32_t *query_zeros;
} attention_space;

static void *take_bytes(unsigned char **memory, size_t bytes)
{
    void *part = *memory;
    *memory += (bytes + 63) / 64 * 64;
    return part;
}

static attention_space lay_out(const sx_attention *job)
{
    unsigned char *memory = (unsigned char *)job->scratch;
    attention_space s = {.keys = (job->keys + PANEL - 1) / PANEL * PANEL, .depth = (job->head_size + GROUP - 1) / GROUP * GROUP,
                         .head = (job->head_size + PANEL - 1) / PANEL * PANEL};
    s.key_panels = take_bytes(&memory, s.keys * s.depth * sizeof(weight));
    s.value_panels = take_bytes(&memory, s.keys * s.head * sizeof(weight));
    s.key_scales = take_bytes(&memory, s.keys * sizeof(float));
    s.key_sums = take_bytes(&memory, s.keys * sizeof(int32_t));
    s.value_scales = take_bytes(&memory, s.head * sizeof(float));
    s.value_sums = take_bytes(&memory, s.head * sizeof(int32_t));
    s.queries = take_bytes(&memory, TILE_ROWS * s.depth * sizeof(quantised));
    s.shares = take_bytes(&memory, TILE_ROWS * s.keys * sizeof(quantised));
    s.rests = take_bytes(&memory, TILE_ROWS * s.keys * sizeof(quantised));
    s.scores = take_bytes(&memory, TILE_ROWS * s.keys * sizeof(float));
    s.query_scales = take_bytes(&memory, TILE_ROWS * sizeof(float));
    s.query_zeros = take_bytes(&memory, TILE_ROWS * sizeof(int32_t));
    return s;
}

/* Asks for rows that are needed soon: they lie pages apart, which processors do not foresee. */
ALWAYS_INLINE void fetch_rows(const float *rows, size_t stride, size_t count, size_t width)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < width; j += 64 / sizeof(float))
            __builtin_prefetch(rows + i * stride + j);
}

/* How many of the next PANEL rows there are behind `row`. */
ALWAYS_INLINE size_t rows_ahead(size_t row, size_t rows)
{
    size_t next = row + PANEL;
    return next >= rows ? 0 : rows - next < PANEL ? rows - next : PANEL;
}

/* Values of the columns that begin here become one panel, with the keys as depth. */
static void pack_value_panel(const sx_attention *job, size_t column, const attention_space *s)
{
    weight *panel = s->value_panels + column * s->keys;
    for (size_t half = 0; half < PANEL; half += LANES) {
        size_t first = column + half, part = first >= job->head_size ? 0 : job->head_size - first;
        float inverses[LANES], *scales = s->value_scales + first, least[LANES], most[LANES], odd[LANES];
        int32_t *sums = s->value_sums + first;
        range seen = range_open();
        for (size_t i = 0; part && i < job->keys; i++)
            range_see(&seen, scaled(job->v + i * job->stride + first, NULL, 0, part));
        vf_store(least, seen.smallest);
        vf_store(most, seen.largest);
        vf_store(odd, seen.odd);
        for (size_t j = 0; j < LANES; j++)
            scales[j] = sx_int8_column_scale((-least[j] > most[j] ? -least[j] : most[j]) + odd[j], &inverses[j]);
        vf inverse = vf_load(inverses);
        vi sum = vi_zero();
        for (size_t i = 0; i < s->keys; i += GROUP) {
            weight q[GROUP][LANES];
            UNROLL
            for (size_t g = 0; g < GROUP; g++) {
                vi rounded = vi_zero();
                if (part && i + g < job->keys)
                    rounded = vf_to_int(vf_mul(scaled(job->v + (i + g) * job->stride + first, NULL, 0, part), inverse));
                sum = vi_add(sum, rounded);
                put_weights(q[g], rounded);
            }
            weight *to = panel + i * PANEL + half * GROUP;
            for (size_t j = 0; j < LANES; j++) {
                UNROLL
                for (size_t g = 0; g < GROUP; g++)
                    to[j * GROUP + g] = q[g][j];
            }
        }
        vi_store(sums, sum);
    }
}

/* Scores of a tile's rows with all keys. */
static void score_tile(const sx_attention *job, const attention_space *s, size_t row, size_t rows)
{
    _Alignas(64) int32_t sums[TILE_ROWS * PANEL];
    for (size_t column = 0; column < s->keys; column += PANEL) {
        multiply[rows - 1]((const unsigned char *)s->queries, s->depth * sizeof(quantised), s->depth / GROUP,
                           s->key_panels + column * s->depth, sums);
        for (size_t j = 0; j < PANEL; j += LANES) {
            vf scales = vf_load(s->key_scales + column + j);
            vi key_sums = vi_load(s->key_sums + column + j);
            for (size_t i = 0; i < rows; i++) {
                vi sum = vi_sub(vi_load(sums + i * PANEL + j), vi_mul(vi_set(s->query_zeros[i]), key_sums));
                vf x = vf_mul(vi_to_float(sum), vf_mul(vf_set(s->query_scales[i]), scales));
                vf_store(s->scores + i * s->keys + column + j, x);
            }
        }
    }
    for (size_t i = 0; job->relative_bias && i < rows; i++) {
        const float *bias = job->relative_bias - (ptrdiff_t)(row + i);
        float *scores = s->scores + i * s->keys;
        size_t j = 0;
        for (; j + LANES <= job->keys; j += LANES)
            vf_store(scores + j, vf_add(vf_load(scores + j), vf_load(bias + j)));
        if (j < job->keys)
            vf_store_tail(scores + j, job->keys - j,
                          vf_add(vf_load_tail(scores + j, job->keys - j), vf_load_tail(bias + j, job->keys - j)));
    }
}

/* A row of scores to 255ths of the largest weight and, when these alone would be too coarse (*coarse), 65280ths beyond them. Returns
 * one over their sum in 65280ths, NaN when a score is none. */
static float share_row(const sx_kernels *kernels, float *scores, size_t keys, size_t count, quantised *shares, quantised *rests,
                       bool *coarse)
{
    int32_t lanes[2][LANES], total = 0, fine_total = 0;
    for (size_t j = keys; j < count; j++)
        scores[j] = -SX_INT8_FAR; /* no key: e to the power of it is 0 */
    vf largest = vf_set(-SX_INT8_FAR), odd = vf_set(0.0f);
    for (size_t j = 0; j < count; j += LANES) {
        vf x = vf_load(scores + j);
        largest = vf_max(x, largest);
        odd = vf_add(odd, vf_mul(x, vf_set(0.0f)));
    }
    float spoiled = vf_sum(odd);
    *coarse = false;
    if (isnan(spoiled)) {
        memset(shares, 0, count * sizeof *shares);
        return spoiled;
    }
    vf shift = vf_set(-vf_largest(largest));
    for (size_t j = 0; j < count; j += LANES)
        vf_store(scores + j, vf_add(vf_load(scores + j), shift));
    kernels->exp(scores, scores, count);
    vi sum = vi_zero(), fine_sum = vi_zero();
    for (size_t j = 0; j < count; j += LANES) {
        vf x = vf_load(scores + j);
        vi q = vf_to_int(vf_mul(x, vf_set(255.0f)));
        sum = vi_add(sum, q);
        fine_sum = vi_add(fine_sum, vf_to_int(vf_mul(x, vf_set(SX_INT8_FINE))));
        put_quantised(shares + j, vi_add(q, vi_set(LOWEST)));
    }
    vi_store(lanes[0], sum);
    vi_store(lanes[1], fine_sum);
    for (size_t j = 0; j < LANES; j++) {
        total += lanes[0][j];
        fine_total += lanes[1][j];
    }
    *coarse = sx_int8_is_coarse(total, fine_total);
    float unit = 1.0f / (float)(*coarse ? fine_total : 256 * total);
    for (size_t j = 0; *coarse && j < count; j += LANES) {
        vf x = vf_load(scores + j);
        vi q = vf_to_int(vf_mul(x, vf_set(255.0f))), fine = vf_to_int(vf_mul(x, vf_set(SX_INT8_FINE)));
        put_quantised(rests + j, vi_add(vi_sub(fine, vi_mul(q, vi_set(256))), vi_set(REST_ZERO)));
    }
    return unit;
}

/* The products of a tile's weights with a panel of values to the output; rests NULL: no row has any. */
static void store_values(const sx_attention *job, const attention_space *s, const int32_t *sums, const int32_t *rests,
                         const bool *coarse, const float *units, size_t row, size_t rows, size_t column)
{
    for (size_t j = 0; j < PANEL && column + j < job->head_size; j += LANES) {
        size_t part = job->head_size - column - j;
        vf scales = vf_load(s->value_scales + column + j);
        vi value_sums = vi_load(s->value_sums + column + j);
        vi zeros = vi_mul(vi_set(LOWEST), value_sums), rest_zeros = vi_mul(vi_set(REST_ZERO), value_sums);
        for (size_t i = 0; i < rows; i++) {
            vf x = vf_mul(vi_to_float(vi_sub(vi_load(sums + i * PANEL + j), zeros)), vf_set(256.0f));
            if (rests && coarse[i])
                x = vf_add(x, vi_to_float(vi_sub(vi_load(rests + i * PANEL + j), rest_zeros)));
            x = vf_mul(x, vf_mul(vf_set(units[i]), scales));
            float *out = job->out + (row + i) * job->out_stride + column + j;
            if (part < LANES)
                vf_store_tail(out, part, x);
            else
                vf_store(out, x);
        }
    }
}

static void attention(const sx_attention *job, const sx_kernels *kernels)
{
    attention_space s = lay_out(job);
    _Alignas(64) int32_t sums[TILE_ROWS * PANEL], rests[TILE_ROWS * PANEL];
    fetch_rows(job->k, job->stride, job->keys < PANEL ? job->keys : PANEL, job->head_size);
    for (size_t j = 0; j < job->keys; j += PANEL) {
        fetch_rows(job->k + (j + PANEL) * job->stride, job->stride, rows_ahead(j, job->keys), job->head_size);
        fetch_rows(job->v + j * job->stride, job->stride, job->keys - j < PANEL ? job->keys - j : PANEL, job->head_size);
        pack(job->k + j * job->stride, job->stride, job->keys - j < PANEL ? job->keys - j : PANEL, job->head_size, NULL,
             s.key_panels + j * s.depth, s.key_scales + j, s.key_sums + j);
    }
    fetch_rows(job->q, job->stride, job->queries < TILE_ROWS ? job->queries : TILE_ROWS, job->head_size);
    for (size_t column = 0; column < s.head; column += PANEL)
        pack_value_panel(job, column, &s);
    for (size_t row = 0, rows; row < job->queries; row += rows) {
        float units[TILE_ROWS];
        bool coarse[TILE_ROWS], any = false;
        rows = next_tile(job->queries - row);
        quantize(job->q + row * job->stride, job->stride, rows, job->head_size, NULL, s.queries, s.depth * sizeof(quantised),
                 s.query_scales, s.query_zeros);
        size_t after = row + rows, left = job->queries - after;
        fetch_rows(job->q + after * job->stride, job->stride, left < TILE_ROWS ? left : TILE_ROWS, job->head_size);
        for (size_t i = 0; i < rows; i++)
            s.query_scales[i] *= job->scale;
        score_tile(job, &s, row, rows);
        for (size_t i = 0; i < rows; i++) {
            units[i] = share_row(kernels, s.scores + i * s.keys, job->keys, s.keys, s.shares + i * s.keys, s.rests + i * s.keys, &coarse[i]);
            any = any || coarse[i];
        }
        for (size_t column = 0; column < job->head_size; column += PANEL) {
            const weight *panel = s.value_panels + column * s.keys;
            size_t row_bytes = s.keys * sizeof(quantised), groups = s.keys / GROUP;
            multiply[rows - 1]((const unsigned char *)s.shares, row_bytes, groups, panel, sums);
            if (any)
                multiply[rows - 1]((const unsigned char *)s.rests, row_bytes, groups, panel, rests);
            store_values(job, &s, sums, any ? rests : NULL, coarse, units, row, rows, column);
        }
    }
}
