/* encoder.c - the forward pass of a transformer, of any family.
 *
 * Architecture: Vaswani et al., "Attention Is All You Need" (2017); Devlin et al., "BERT" (2018); what came later is a matter
 * of switches: norms before or around a block, gated products (Shazeer 2020), rotary positions, heads that share keys (Ainslie
 * et al. 2023), windows. Bias, activation and residual are done where the product's tile is still in cache, so a layer of BERT
 * is six steps: Q/K/V, attention, its output with residual, norm, feed-forward in blocks of rows, norm. Between steps the
 * threads that share a pass meet at a barrier.
 */
#include "encoder.h"

#include "../base/error.h"

#include <string.h>
#include <sys/mman.h>

enum {
    LINE_FLOATS = 16,      /* a cache line */
    MIDDLE_ROWS = 112,     /* rows of the wide middle of the feed-forward part that exist at once: they stay in L2 */
    QUANTISED_ROWS = 112,  /* rows quantised at once */
    ROWS_EACH = 56         /* at least so many rows for each thread make it worth to split by rows instead of columns */
};

typedef struct pass {
    const sx_encoder *encoder;
    const sx_kernels *kernels;
    const sx_sequence *sequences;
    size_t count, tokens;
    sx_workspace *space;
    sx_thread_pool *pool;
    unsigned worker, workers;
} pass;

/* An odd number of cache lines, so that the rows of a tile do not all fall into the same few cache sets. */
static size_t row_stride(size_t width)
{
    return ((width + LINE_FLOATS - 1) / LINE_FLOATS | 1) * LINE_FLOATS;
}

void sx_encoder_init(sx_encoder *encoder, const sx_architecture *architecture, const sx_weights *weights)
{
    encoder->architecture = architecture;
    encoder->weights = weights;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static float *take(float *memory, size_t *used, size_t count)
{
    float *part = memory ? memory + *used : NULL;
    *used += (count + LINE_FLOATS - 1) / LINE_FLOATS * LINE_FLOATS;
    return part;
}

/* Bytes of one quantised row: an odd number of cache lines, as row_stride. */
static size_t quantised_row(const sx_encoder *encoder)
{
    const sx_layer *layer = &encoder->weights->layers[0];
    size_t deepest = larger(larger(layer->mixed.inputs, layer->attention_output.inputs), larger(layer->up.inputs, layer->down.inputs));
    return (sx_int8_row_bytes(encoder->weights->int8, deepest) + 63) / 64 * 64 | 64;
}

/* Sets the pointers into memory and returns the floats needed; with memory NULL only the latter means something. */
static size_t lay_out(const sx_encoder *encoder, size_t tokens, size_t longest, unsigned threads, sx_workspace *space,
                      float *memory)
{
    size_t used = 0;
    size_t middle_rows = tokens < MIDDLE_ROWS ? tokens : MIDDLE_ROWS;
    const sx_architecture *a = encoder->architecture;
    const sx_layer *layer = &encoder->weights->layers[0];
    space->state_stride = row_stride(a->hidden_size);
    space->mixed_stride = row_stride(larger(layer->mixed.outputs, a->hidden_size));
    space->context_stride = row_stride(larger(larger(layer->attention_output.inputs, a->hidden_size), a->embedding_size));
    space->middle_stride = row_stride(layer->up.outputs);
    space->scratch_stride = sx_attention_scratch(encoder->weights->kernels, longest, a->head_size);
    if (encoder->weights->int8)
        space->scratch_stride = larger(space->scratch_stride, sx_int8_attention_scratch(encoder->weights->int8, longest, a->head_size));
    space->scratch_stride = (space->scratch_stride + LINE_FLOATS - 1) / LINE_FLOATS * LINE_FLOATS;
    space->states = take(memory, &used, tokens * space->state_stride);
    space->mixed = take(memory, &used, tokens * space->mixed_stride);
    space->context = take(memory, &used, tokens * space->context_stride);
    space->middle = take(memory, &used, middle_rows * space->middle_stride);
    space->scratch = take(memory, &used, threads * space->scratch_stride);
    if (encoder->weights->int8) {
        space->quantised_row = quantised_row(encoder);
        space->quantised_stride = QUANTISED_ROWS * (space->quantised_row + sizeof(float) + sizeof(int32_t));
        space->quantised = (unsigned char *)take(memory, &used, threads * space->quantised_stride / sizeof(float));
    }
    return used;
}

sx_status sx_workspace_open(const sx_encoder *encoder, size_t tokens, size_t longest, unsigned threads, sx_workspace *workspace,
                            sx_error *error)
{
    memset(workspace, 0, sizeof *workspace);
    size_t bytes = lay_out(encoder, tokens, longest, threads, workspace, NULL) * sizeof(float);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return sx_fail_nomem(error, bytes);
    madvise(memory, bytes, MADV_HUGEPAGE);
    workspace->memory = memory;
    workspace->memory_bytes = bytes;
    lay_out(encoder, tokens, longest, threads, workspace, memory);
    return SX_OK;
}

void sx_workspace_close(sx_workspace *workspace)
{
    if (workspace->memory)
        munmap(workspace->memory, workspace->memory_bytes);
    memset(workspace, 0, sizeof *workspace);
}

static void meet(const pass *p)
{
    if (p->workers > 1)
        sx_thread_pool_barrier(p->pool);
}

/* out = activation(in * linear) + residual for these rows and for the columns of panels [first, end), in 8-bit integers. Where
 * threads share rows each quantises them for itself: that is cheaper than to wait for one another. */
static void multiply_quantised(const pass *p, const sx_linear *linear, const float *in, size_t in_stride, size_t rows,
                               size_t first, size_t end, const float *residual, float *out, size_t out_stride,
                               sx_activation activation)
{
    const sx_int8_kernels *int8 = p->encoder->weights->int8;
    const sx_workspace *space = p->space;
    size_t width = int8->panel_width, column = first * width, last = end * width < linear->outputs ? end * width : linear->outputs;
    size_t padded = (linear->outputs + width - 1) / width * width;
    const int32_t *sums = (const int32_t *)(const void *)(linear->column_scales + padded);
    unsigned char *quantised = space->quantised + p->worker * space->quantised_stride;
    float *scales = (float *)(void *)(quantised + QUANTISED_ROWS * space->quantised_row);
    int32_t *zeros = (int32_t *)(void *)(scales + QUANTISED_ROWS);
    if (column >= last)
        return;
    for (size_t row = 0; row < rows; row += QUANTISED_ROWS) {
        size_t count = rows - row < QUANTISED_ROWS ? rows - row : QUANTISED_ROWS;
        int8->quantize(in + row * in_stride, in_stride, count, linear->inputs, linear->factors, quantised, space->quantised_row,
                       scales, zeros);
        sx_int8_gemm job = {.a = quantised, .a_stride = space->quantised_row, .a_scales = scales, .a_zeros = zeros,
                            .rows = count, .columns = last - column, .depth = linear->inputs,
                            .panels = (const unsigned char *)linear->quantised + first * sx_int8_panel_bytes(int8, linear->inputs),
                            .b_scales = linear->column_scales + column, .b_sums = sums + column,
                            .bias = linear->bias ? linear->bias + column : NULL,
                            .residual = residual ? residual + row * out_stride + column : NULL, .residual_stride = out_stride,
                            .out = out + row * out_stride + column, .out_stride = out_stride, .activation = activation,
                            .kernels = p->kernels};
        int8->gemm(&job);
    }
}

/* This thread's part of a product in 8-bit integers, split as multiply() splits. */
static void multiply_quantised_part(const pass *p, const sx_linear *linear, const float *in, size_t in_stride, size_t rows,
                                    const float *residual, float *out, size_t out_stride, sx_activation activation)
{
    size_t width = p->encoder->weights->int8->panel_width, panels = (linear->outputs + width - 1) / width, begin, end;
    if (p->workers > 1 && rows < (size_t)ROWS_EACH * p->workers) {
        sx_share(panels, p->worker, p->workers, &begin, &end);
        multiply_quantised(p, linear, in, in_stride, rows, begin, end, residual, out, out_stride, activation);
        return;
    }
    sx_share(rows, p->worker, p->workers, &begin, &end);
    multiply_quantised(p, linear, in + begin * in_stride, in_stride, end - begin, 0, panels,
                       residual ? residual + begin * out_stride : NULL, out + begin * out_stride, out_stride, activation);
}

/* This thread's part of out = activation(in * linear) + residual, for `rows` rows: a range of rows when there are many, else of
 * panels, so that each weight is read by one thread only. */
static void multiply(const pass *p, const sx_linear *linear, const float *in, size_t in_stride, size_t rows,
                     const float *residual, float *out, size_t out_stride, sx_activation activation)
{
    size_t width = p->kernels->panel_width, begin, end;
    if (linear->quantised) {
        multiply_quantised_part(p, linear, in, in_stride, rows, residual, out, out_stride, activation);
        return;
    }
    sx_gemm job = {.a = in, .a_stride = in_stride, .rows = rows, .columns = linear->outputs, .depth = linear->inputs,
                   .panels = linear->panels, .format = linear->format, .bias = linear->bias, .residual = residual, .residual_stride = out_stride,
                   .out = out, .out_stride = out_stride, .activation = activation};
    if (p->workers > 1 && rows >= (size_t)ROWS_EACH * p->workers) {
        sx_share(rows, p->worker, p->workers, &begin, &end);
        job.a += begin * in_stride;
        job.out += begin * out_stride;
        if (residual)
            job.residual += begin * out_stride;
        job.rows = end - begin;
    } else if (p->workers > 1) {
        sx_share((linear->outputs + width - 1) / width, p->worker, p->workers, &begin, &end);
        job.panels = (const unsigned char *)job.panels + begin * width * linear->inputs * sx_panel_bytes(job.format);
        if (linear->bias)
            job.bias += begin * width;
        job.out += begin * width;
        if (residual)
            job.residual += begin * width;
        job.columns = (end * width < linear->outputs ? end * width : linear->outputs) - begin * width;
        if (begin == end)
            job.columns = 0;
    }
    p->kernels->gemm(&job);
}

/* This thread's rows of `in`, normalised, to those of `out`. */
static void normalise(const pass *p, const sx_norm *norm, size_t width, const float *in, size_t in_stride, float *out,
                      size_t out_stride)
{
    const sx_architecture *a = p->encoder->architecture;
    size_t begin, end;
    sx_share(p->tokens, p->worker, p->workers, &begin, &end);
    sx_norm_job job = {.in = in + begin * in_stride, .in_stride = in_stride, .out = out + begin * out_stride,
                       .out_stride = out_stride, .rows = end - begin, .width = width, .weight = norm->weight,
                       .bias = norm->bias, .epsilon = a->norm_epsilon, .rms = a->rms};
    p->kernels->norm(&job);
}

/* ---- Embeddings ---- */

/* One sequence's tokens whose rows this thread has, to rows of `out`. */
static void embed_sequence(const pass *p, const sx_sequence *sequence, size_t begin, size_t end, float *out, size_t stride)
{
    const sx_weights *weights = p->encoder->weights;
    const sx_architecture *a = p->encoder->architecture;
    size_t width = a->embedding_size, position = a->first_position;
    for (size_t i = 0; i < sequence->length; i++) {
        bool padding = a->skip_padding && sequence->ids[i] == a->padding_id;
        size_t row = sequence->row + i, place = padding ? a->first_position - 1 : position++;
        if (row < begin || row >= end)
            continue;
        float *state = out + row * stride;
        sx_tensor_read(weights->words, p->kernels, sequence->ids[i] * width, width, state);
        for (size_t j = 0; a->embedding_scale != 1.0f && j < width; j++)
            state[j] *= a->embedding_scale;
        if (weights->positions)
            p->kernels->add_scaled(weights->positions + place * weights->position_stride, 1.0f, state, width);
        if (weights->second_type && sequence->second && i >= sequence->second)
            p->kernels->add_scaled(weights->second_type, 1.0f, state, width);
    }
}

static void embed(const pass *p)
{
    const sx_weights *weights = p->encoder->weights;
    const sx_architecture *a = p->encoder->architecture;
    const sx_workspace *space = p->space;
    float *out = a->embedding_projection ? space->context : space->states;
    size_t stride = a->embedding_projection ? space->context_stride : space->state_stride, begin, end;
    sx_share(p->tokens, p->worker, p->workers, &begin, &end);
    for (size_t s = 0; s < p->count; s++)
        embed_sequence(p, &p->sequences[s], begin, end, out, stride);
    if (a->embedding_norm)
        normalise(p, &weights->embedding_norm, a->embedding_size, out, stride, out, stride);
    if (!a->embedding_projection)
        return;
    meet(p);
    multiply(p, &weights->embedding_projection, out, stride, p->tokens, NULL, space->states, space->state_stride,
             SX_ACTIVATION_NONE);
}

/* ---- Attention ---- */

/* Norms of heads and rotary positions, on this thread's rows of Q and K. */
static void prepare_heads(const pass *p, const sx_layer *layer, const sx_rotation *rotation)
{
    const sx_architecture *a = p->encoder->architecture;
    size_t begin, end, stride = p->space->mixed_stride, half = a->head_size / 2;
    sx_share(p->tokens, p->worker, p->workers, &begin, &end);
    for (size_t h = 0; a->head_norms && h < (size_t)a->heads + a->key_heads; h++) {
        float *head = p->space->mixed + begin * stride + h * a->head_size;
        sx_norm_job job = {.in = head, .in_stride = stride, .out = head, .out_stride = stride, .rows = end - begin,
                           .width = a->head_size, .weight = h < a->heads ? layer->query_norm : layer->key_norm,
                           .epsilon = a->norm_epsilon, .rms = true};
        p->kernels->norm(&job);
    }
    for (size_t s = 0; rotation->cosines && s < p->count; s++) {
        size_t first = p->sequences[s].row, last = first + p->sequences[s].length;
        size_t from = larger(first, begin), to = last < end ? last : end;
        if (from >= to)
            continue;
        p->kernels->rotate(p->space->mixed + from * stride, to - from, stride, (size_t)a->heads + a->key_heads, a->head_size,
                           rotation->cosines + (from - first) * half, rotation->sines + (from - first) * half);
    }
}

/* Shared by (text, head) pairs. In 8-bit integers where every query sees every key: what a query must not see has no part in any scale
 * then. */
static void attend(const pass *p, bool windowed)
{
    const sx_architecture *a = p->encoder->architecture;
    const sx_weights *weights = p->encoder->weights;
    sx_workspace *space = p->space;
    size_t size = a->head_size, begin, end;
    size_t before = windowed ? a->window : SIZE_MAX, after = a->causal ? 0 : before;
    sx_share(p->count * a->heads, p->worker, p->workers, &begin, &end);
    for (size_t unit = begin; unit < end; unit++) {
        const sx_sequence *sequence = &p->sequences[unit / a->heads];
        size_t head = unit % a->heads, shared = head / (a->heads / a->key_heads);
        const float *mixed = space->mixed + sequence->row * space->mixed_stride;
        sx_attention job = {.q = mixed + head * size, .k = mixed + (a->heads + shared) * size,
                            .v = mixed + (a->heads + a->key_heads + shared) * size, .stride = space->mixed_stride,
                            .queries = sequence->length, .keys = sequence->length, .head_size = size,
                            .scale = a->attention_scale, .before = before, .after = after, .out = space->context + sequence->row * space->context_stride + head * size,
                            .out_stride = space->context_stride,
                            .scratch = space->scratch + p->worker * space->scratch_stride};
        if (weights->relative)
            job.relative_bias = weights->relative + head * (2 * weights->longest - 1) + weights->longest - 1;
        if (weights->int8 && !windowed && !a->causal && job.keys >= SX_INT8_LEAST_KEYS && job.keys <= SX_INT8_MOST_KEYS)
            weights->int8->attention(&job, p->kernels);
        else
            p->kernels->attention(&job);
    }
}

/* ---- Blocks ---- */

/* What a block's product takes in: the states, or their norm in `context`. */
static const float *block_input(const pass *p, const sx_norm *norm, size_t *stride)
{
    const sx_workspace *space = p->space;
    *stride = space->state_stride;
    if (p->encoder->architecture->placement == SX_NORM_AFTER || !norm->weight)
        return space->states;
    *stride = space->context_stride;
    normalise(p, norm, p->encoder->architecture->hidden_size, space->states, space->state_stride, space->context,
              space->context_stride);
    meet(p);
    return space->context;
}

/* Where a block's last product goes: with its residual to the states, or to `mixed`, where a norm comes before the residual. */
static float *block_output(const pass *p, size_t *stride, const float **residual)
{
    const sx_workspace *space = p->space;
    bool aside = p->encoder->architecture->placement == SX_NORM_AROUND;
    *stride = aside ? space->mixed_stride : space->state_stride;
    *residual = aside ? NULL : space->states;
    return aside ? space->mixed : space->states;
}

/* After a block: the norm of the states, or the norm of what the block gave and then the residual. */
static void finish_block(const pass *p, const sx_norm *norm, const sx_norm *after_norm)
{
    const sx_workspace *space = p->space;
    const sx_architecture *a = p->encoder->architecture;
    size_t hidden = a->hidden_size, begin, end;
    if (a->placement == SX_NORM_BEFORE)
        return;
    if (a->placement == SX_NORM_AFTER) {
        normalise(p, norm, hidden, space->states, space->state_stride, space->states, space->state_stride);
    } else {
        normalise(p, after_norm, hidden, space->mixed, space->mixed_stride, space->mixed, space->mixed_stride);
        sx_share(p->tokens, p->worker, p->workers, &begin, &end);
        for (size_t i = begin; i < end; i++)
            p->kernels->add_scaled(space->mixed + i * space->mixed_stride, 1.0f, space->states + i * space->state_stride, hidden);
    }
    meet(p);
}

static void attention_block(const pass *p, const sx_layer *layer, bool windowed)
{
    sx_workspace *space = p->space;
    const sx_weights *weights = p->encoder->weights;
    const sx_rotation *rotation = windowed ? &weights->local_rotation : &weights->rotation;
    size_t in_stride, out_stride;
    const float *residual, *in = block_input(p, &layer->attention_norm, &in_stride);
    multiply(p, &layer->mixed, in, in_stride, p->tokens, NULL, space->mixed, space->mixed_stride, SX_ACTIVATION_NONE);
    meet(p);
    if (rotation->cosines || layer->query_norm) {
        prepare_heads(p, layer, rotation);
        meet(p);
    }
    attend(p, windowed);
    meet(p);
    float *out = block_output(p, &out_stride, &residual);
    multiply(p, &layer->attention_output, space->context, space->context_stride, p->tokens, residual, out, out_stride,
             SX_ACTIVATION_NONE);
    meet(p);
    finish_block(p, &layer->attention_norm, &layer->attention_after_norm);
}

/* activation(gate) * up, in the gate's place, for this thread's rows. */
static void gate_rows(const pass *p, size_t rows, size_t width)
{
    size_t begin, end, stride = p->space->middle_stride;
    sx_share(rows, p->worker, p->workers, &begin, &end);
    for (size_t i = begin; i < end; i++) {
        float *row = p->space->middle + i * stride;
        p->kernels->gate(p->encoder->architecture->activation, row, row + width, row, width);
    }
    meet(p);
}

static void feed_forward_block(const pass *p, const sx_layer *layer)
{
    const sx_architecture *a = p->encoder->architecture;
    sx_workspace *space = p->space;
    size_t in_stride, out_stride;
    const float *residual, *in = block_input(p, &layer->feed_forward_norm, &in_stride);
    float *out = block_output(p, &out_stride, &residual);
    for (size_t row = 0; row < p->tokens; row += MIDDLE_ROWS) {
        size_t rows = p->tokens - row < MIDDLE_ROWS ? p->tokens - row : MIDDLE_ROWS;
        multiply(p, &layer->up, in + row * in_stride, in_stride, rows, NULL, space->middle, space->middle_stride,
                 a->gated ? SX_ACTIVATION_NONE : a->activation);
        meet(p);
        if (a->gated)
            gate_rows(p, rows, a->intermediate_size);
        multiply(p, &layer->down, space->middle, space->middle_stride, rows, residual ? residual + row * out_stride : NULL,
                 out + row * out_stride, out_stride, SX_ACTIVATION_NONE);
        meet(p);
    }
    finish_block(p, &layer->feed_forward_norm, &layer->feed_forward_after_norm);
}

void sx_encoder_run(const sx_encoder *encoder, const sx_sequence *sequences, size_t count, sx_workspace *workspace,
                    sx_thread_pool *pool, unsigned worker, unsigned workers)
{
    const sx_weights *weights = encoder->weights;
    const sx_architecture *a = encoder->architecture;
    pass p = {.encoder = encoder, .kernels = weights->kernels, .sequences = sequences, .count = count, .space = workspace,
              .pool = pool, .worker = worker, .workers = workers};
    for (size_t s = 0; s < count; s++)
        p.tokens += sequences[s].length;
    embed(&p);
    meet(&p);
    for (size_t i = 0; i < a->layers; i++) {
        /* tied layers: as many consecutive ones as there are for each */
        size_t own = a->tied_layers ? (size_t)((double)i / ((double)a->layers / a->tied_layers)) : i;
        const sx_layer *layer = &weights->layers[own];
        attention_block(&p, layer, a->windowed && a->windowed[i]);
        feed_forward_block(&p, layer);
    }
    if (!a->final_norm)
        return;
    normalise(&p, &weights->final_norm, a->hidden_size, workspace->states, workspace->state_stride, workspace->states,
              workspace->state_stride);
    meet(&p);
}
