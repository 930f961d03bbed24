/* encoder.c - the forward pass of a post-norm transformer encoder.
 *
 * Architecture: Vaswani et al., "Attention Is All You Need" (2017); Devlin et al., "BERT" (2018). Bias, activation and residual
 * are done where the product's tile is still in cache, so a layer is six steps: Q/K/V, attention, its output with residual,
 * norm, feed-forward in blocks of rows, norm. Between steps the threads that share a pass meet at a barrier.
 */
#include "encoder.h"

#include "../base/error.h"

#include <string.h>
#include <sys/mman.h>

enum {
    LINE_FLOATS = 16,      /* a cache line */
    MIDDLE_ROWS = 112,     /* rows of the wide middle of the feed-forward part that exist at once: they stay in L2 */
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
    encoder->weights = weights;
    encoder->hidden_size = architecture->hidden_size;
    encoder->heads = architecture->heads;
    encoder->head_size = architecture->hidden_size / architecture->heads;
    encoder->activation = architecture->activation;
    encoder->epsilon = architecture->norm_epsilon;
}

static float *take(float *memory, size_t *used, size_t count)
{
    float *part = memory ? memory + *used : NULL;
    *used += (count + LINE_FLOATS - 1) / LINE_FLOATS * LINE_FLOATS;
    return part;
}

/* Sets the pointers into memory and returns the floats needed; with memory NULL only the latter means something. */
static size_t lay_out(const sx_encoder *encoder, size_t tokens, size_t longest, unsigned threads, sx_workspace *space,
                      float *memory)
{
    size_t used = 0;
    size_t middle_rows = tokens < MIDDLE_ROWS ? tokens : MIDDLE_ROWS;
    space->state_stride = row_stride(encoder->hidden_size);
    space->mixed_stride = row_stride(3 * encoder->hidden_size);
    space->middle_stride = row_stride(encoder->weights->layers[0].up.outputs);
    space->scratch_stride = sx_attention_scratch(encoder->weights->kernels, longest, encoder->head_size);
    space->scratch_stride = (space->scratch_stride + LINE_FLOATS - 1) / LINE_FLOATS * LINE_FLOATS;
    space->states = take(memory, &used, tokens * space->state_stride);
    space->mixed = take(memory, &used, tokens * space->mixed_stride);
    space->context = take(memory, &used, tokens * space->state_stride);
    space->middle = take(memory, &used, middle_rows * space->middle_stride);
    space->scratch = take(memory, &used, threads * space->scratch_stride);
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

/* This thread's part of out = activation(in * linear) + residual, for `rows` rows: a range of rows when there are many, else of
 * panels, so that each weight is read by one thread only. */
static void multiply(const pass *p, const sx_linear *linear, const float *in, size_t in_stride, size_t rows,
                     const float *residual, float *out, size_t out_stride, sx_activation activation)
{
    size_t width = p->kernels->panel_width, begin, end;
    sx_gemm job = {.a = in, .a_stride = in_stride, .rows = rows, .columns = linear->outputs, .depth = linear->inputs,
                   .panels = linear->panels, .bias = linear->bias, .residual = residual, .residual_stride = out_stride,
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
        job.panels += begin * width * linear->inputs;
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

static void normalise(const pass *p, const sx_norm *norm)
{
    size_t begin, end, stride = p->space->state_stride;
    sx_share(p->tokens, p->worker, p->workers, &begin, &end);
    float *rows = p->space->states + begin * stride;
    sx_norm_job job = {.in = rows, .in_stride = stride, .out = rows, .out_stride = stride, .rows = end - begin,
                       .width = p->encoder->hidden_size, .weight = norm->weight, .bias = norm->bias,
                       .epsilon = p->encoder->epsilon};
    p->kernels->norm(&job);
}

static void embed(const pass *p)
{
    const sx_weights *weights = p->encoder->weights;
    size_t hidden = p->encoder->hidden_size, begin, end;
    sx_share(p->tokens, p->worker, p->workers, &begin, &end);
    for (size_t s = 0; s < p->count; s++) {
        const sx_sequence *sequence = &p->sequences[s];
        for (size_t i = 0; i < sequence->length; i++) {
            size_t row = sequence->row + i;
            if (row < begin || row >= end)
                continue;
            float *state = p->space->states + row * p->space->state_stride;
            sx_tensor_read(weights->words, p->kernels, sequence->ids[i] * hidden, hidden, state);
            p->kernels->add_scaled(weights->positions + i * hidden, 1.0f, state, hidden);
        }
    }
    normalise(p, &weights->embedding_norm);
}

/* Shared by (text, head) pairs. */
static void attend(const pass *p)
{
    const sx_encoder *encoder = p->encoder;
    sx_workspace *space = p->space;
    size_t head_size = encoder->head_size, begin, end;
    sx_share(p->count * encoder->heads, p->worker, p->workers, &begin, &end);
    for (size_t unit = begin; unit < end; unit++) {
        const sx_sequence *sequence = &p->sequences[unit / encoder->heads];
        size_t column = unit % encoder->heads * head_size;
        const float *mixed = space->mixed + sequence->row * space->mixed_stride + column;
        sx_attention job = {.q = mixed, .k = mixed + encoder->hidden_size, .v = mixed + 2 * encoder->hidden_size,
                            .stride = space->mixed_stride, .queries = sequence->length, .keys = sequence->length,
                            .head_size = head_size, .before = SIZE_MAX, .after = SIZE_MAX,
                            .out = space->context + sequence->row * space->state_stride + column, .out_stride = space->state_stride, .scratch = space->scratch + p->worker * space->scratch_stride};
        p->kernels->attention(&job);
    }
}

static void feed_forward(const pass *p, const sx_layer *layer)
{
    sx_workspace *space = p->space;
    for (size_t row = 0; row < p->tokens; row += MIDDLE_ROWS) {
        size_t rows = p->tokens - row < MIDDLE_ROWS ? p->tokens - row : MIDDLE_ROWS;
        float *states = space->states + row * space->state_stride;
        multiply(p, &layer->up, states, space->state_stride, rows, NULL, space->middle, space->middle_stride,
                 p->encoder->activation);
        meet(p);
        multiply(p, &layer->down, space->middle, space->middle_stride, rows, states, states, space->state_stride,
                 SX_ACTIVATION_NONE);
        meet(p);
    }
}

void sx_encoder_run(const sx_encoder *encoder, const sx_sequence *sequences, size_t count, sx_workspace *workspace,
                    sx_thread_pool *pool, unsigned worker, unsigned workers)
{
    const sx_weights *weights = encoder->weights;
    pass p = {.encoder = encoder, .kernels = weights->kernels, .sequences = sequences, .count = count, .space = workspace,
              .pool = pool, .worker = worker, .workers = workers};
    for (size_t s = 0; s < count; s++)
        p.tokens += sequences[s].length;
    embed(&p);
    meet(&p);
    for (size_t i = 0; i < weights->layer_count; i++) {
        const sx_layer *layer = &weights->layers[i];
        multiply(&p, &layer->attention_input, workspace->states, workspace->state_stride, p.tokens, NULL, workspace->mixed,
                 workspace->mixed_stride, SX_ACTIVATION_NONE);
        meet(&p);
        attend(&p);
        meet(&p);
        multiply(&p, &layer->attention_output, workspace->context, workspace->state_stride, p.tokens, workspace->states,
                 workspace->states, workspace->state_stride, SX_ACTIVATION_NONE);
        meet(&p);
        normalise(&p, &layer->attention_norm);
        meet(&p);
        feed_forward(&p, layer);
        normalise(&p, &layer->output_norm);
        meet(&p);
    }
}
