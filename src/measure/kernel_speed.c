/* kernel_speed.c - single kernels at the shapes of a model, each called again and again on the same data.
 *
 * Data are small pseudo-random numbers, the same in every run. Weights of one matrix fit into the caches, so a product's figure
 * is what the instructions give; only the search reads more than any cache holds.
 */
#include "sextant.h"

#include "../base/clock.h"
#include "../base/error.h"
#include "../base/memory.h"
#include "../base/options.h"
#include "../base/thread_pool.h"
#include "../kern/int8.h"
#include "../model/model.h"
#include "../vec/exact.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 128, QUERY_ROWS = 16, SEARCH_ROWS = 100000, SEARCH_DIMENSIONS = 384, SEARCH_HITS = 10, MOST_ROUNDS = 4096 };

/* Which products of a layer. */
typedef enum matrix { MATRIX_MIXED, MATRIX_OUTPUT, MATRIX_UP, MATRIX_DOWN } matrix;

typedef struct shapes {
    size_t hidden, mixed, context, middle, gated_middle, heads, head_size;
} shapes;

typedef struct bench {
    const sx_kernels *kernels;
    const sx_int8_kernels *bytes;
    shapes shape;
    double seconds;
    unsigned threads;
    sx_arena arena;
    sx_kernel_speed *out;
} bench;

typedef struct call call;
struct call {
    void (*run)(const call *);
    const bench *bench;
    const void *job;
    size_t count, width;
    const float *in;
    float *out;
};

/* ---- Time ---- */

static double now(void)
{
    return 1e-9 * (double)sx_system_clock.monotonic_ns(sx_system_clock.user);
}

static int compare_times(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Rounds of at least 50 microseconds, so that the clock does not count; the median of them. */
static sx_status measure(bench *b, const call *c, sx_error *error)
{
    const double least = 50e-6;
    size_t repeat = 1, count = 0;
    double *times = sx_arena_alloc(&b->arena, MOST_ROUNDS * sizeof *times);
    if (!times)
        return sx_fail_nomem(error, MOST_ROUNDS * sizeof *times);
    c->run(c);
    for (double took = 0.0; took < least; repeat *= 2) {
        double start = now();
        for (size_t i = 0; i < repeat; i++)
            c->run(c);
        took = now() - start;
        if (took >= least)
            break;
    }
    double end = now() + b->seconds, start;
    do {
        start = now();
        for (size_t i = 0; i < repeat; i++)
            c->run(c);
        times[count++] = (now() - start) / (double)repeat;
    } while (now() < end && count < MOST_ROUNDS);
    qsort(times, count, sizeof *times, compare_times);
    b->out->seconds = times[count / 2];
    return SX_OK;
}

/* ---- Data ---- */

/* Memory for count floats, aligned to a cache line, filled with numbers of -0.5 .. 0.5. */
static float *numbers(bench *b, size_t count)
{
    uint64_t state = 88172645463325252u;
    char *memory = sx_arena_alloc(&b->arena, count * sizeof(float) + 64);
    if (!memory)
        return NULL;
    float *data = (float *)(void *)(memory + (64 - (uintptr_t)memory % 64));
    for (size_t i = 0; i < count; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        data[i] = (float)(int32_t)(uint32_t)state * 0x1p-32f;
    }
    return data;
}

static void shape_of_matrix(const shapes *s, matrix which, size_t *depth, size_t *columns)
{
    *depth = which == MATRIX_OUTPUT ? s->context : which == MATRIX_DOWN ? s->middle : s->hidden;
    *columns = which == MATRIX_MIXED ? s->mixed : which == MATRIX_UP ? s->gated_middle : s->hidden;
}

/* ---- Kernels ---- */

static void run_gemm(const call *c)
{
    c->bench->kernels->gemm(c->job);
}

static sx_status bench_gemm(bench *b, matrix which, size_t rows, sx_error *error)
{
    size_t depth, columns, width = b->kernels->panel_width;
    shape_of_matrix(&b->shape, which, &depth, &columns);
    size_t panels = (columns + width - 1) / width;
    float *weights = numbers(b, columns * depth), *packed = numbers(b, panels * width * depth);
    sx_gemm job = {.a = numbers(b, rows * depth), .a_stride = depth, .rows = rows, .columns = columns, .depth = depth,
                   .panels = packed, .bias = numbers(b, panels * width), .out = numbers(b, rows * columns),
                   .out_stride = columns, .activation = SX_ACTIVATION_NONE};
    if (!weights || !packed || !job.a || !job.bias || !job.out)
        return sx_fail_nomem(error, columns * depth * sizeof(float));
    for (size_t p = 0; p < panels; p++)
        b->kernels->pack(weights + p * width * depth, depth, columns - p * width < width ? columns - p * width : width, depth,
                         1.0f, packed + p * width * depth);
    snprintf(b->out->shape, sizeof b->out->shape, "%zu x %zu x %zu", rows, depth, columns);
    b->out->operations = 2.0 * (double)rows * (double)depth * (double)columns;
    return measure(b, &(call){.run = run_gemm, .bench = b, .job = &job}, error);
}

static void run_quantize(const call *c)
{
    const sx_int8_gemm *job = c->job;
    c->bench->bytes->quantize(c->in, job->depth, job->rows, job->depth, NULL, (void *)job->a, job->a_stride,
                              (float *)job->a_scales, (int32_t *)job->a_zeros);
}

static void run_gemm_int8(const call *c)
{
    c->bench->bytes->gemm(c->job);
}

/* Both of one matrix; `quantize` says which is measured. */
static sx_status bench_int8(bench *b, matrix which, size_t rows, bool quantize, sx_error *error)
{
    size_t depth, columns, width = b->bytes->panel_width;
    shape_of_matrix(&b->shape, which, &depth, &columns);
    size_t panels = (columns + width - 1) / width, bytes = sx_int8_panel_bytes(b->bytes, depth);
    float *in = numbers(b, rows * depth), *weights = numbers(b, columns * depth), *scales = numbers(b, panels * width);
    char *packed = (char *)numbers(b, (panels * bytes + 3) / 4);
    int32_t *sums = (int32_t *)(void *)numbers(b, panels * width);
    size_t row_bytes = sx_int8_row_bytes(b->bytes, depth);
    sx_int8_gemm job = {.a = numbers(b, rows * row_bytes / 4 + 1), .a_stride = row_bytes, .a_scales = numbers(b, rows),
                        .a_zeros = (int32_t *)(void *)numbers(b, rows), .rows = rows, .columns = columns, .depth = depth,
                        .panels = packed, .b_scales = scales, .b_sums = sums, .bias = numbers(b, panels * width),
                        .out = numbers(b, rows * columns), .out_stride = columns, .activation = SX_ACTIVATION_NONE,
                        .kernels = b->kernels};
    call c = {.run = run_quantize, .bench = b, .job = &job, .in = in};
    if (!in || !weights || !scales || !packed || !sums || !job.a || !job.a_scales || !job.a_zeros || !job.bias || !job.out)
        return sx_fail_nomem(error, columns * depth * sizeof(float));
    for (size_t p = 0; p < panels; p++)
        b->bytes->pack(weights + p * width * depth, depth, columns - p * width < width ? columns - p * width : width, depth, NULL,
                       packed + p * bytes, scales + p * width, sums + p * width);
    run_quantize(&c);
    b->out->kernels = b->bytes->name;
    if (quantize) {
        snprintf(b->out->shape, sizeof b->out->shape, "%zu x %zu", rows, depth);
        return measure(b, &c, error);
    }
    snprintf(b->out->shape, sizeof b->out->shape, "%zu x %zu x %zu", rows, depth, columns);
    b->out->operations = 2.0 * (double)rows * (double)depth * (double)columns;
    b->out->integer = 1;
    c.run = run_gemm_int8;
    return measure(b, &c, error);
}

static void run_attention(const call *c)
{
    c->bench->kernels->attention(c->job);
}

static sx_status bench_attention(bench *b, size_t length, sx_error *error)
{
    size_t size = b->shape.head_size, stride = 3 * b->shape.heads * size;
    float *mixed = numbers(b, length * stride);
    sx_attention job = {.q = mixed, .k = mixed + stride / 3, .v = mixed + 2 * (stride / 3), .stride = stride, .queries = length,
                        .keys = length, .head_size = size, .scale = 1.0f, .before = SIZE_MAX, .after = SIZE_MAX,
                        .out = numbers(b, length * size), .out_stride = size,
                        .scratch = numbers(b, sx_attention_scratch(b->kernels, length, size))};
    if (!mixed || !job.out || !job.scratch)
        return sx_fail_nomem(error, length * stride * sizeof(float));
    snprintf(b->out->shape, sizeof b->out->shape, "%zu tokens, head of %zu", length, size);
    b->out->operations = 4.0 * (double)length * (double)length * (double)size;
    return measure(b, &(call){.run = run_attention, .bench = b, .job = &job}, error);
}

static void run_norm(const call *c)
{
    c->bench->kernels->norm(c->job);
}

static sx_status bench_norm(bench *b, sx_error *error)
{
    const float usual_epsilon = 1e-12f;
    size_t width = b->shape.hidden;
    sx_norm_job job = {.in = numbers(b, ROWS * width), .in_stride = width, .out = numbers(b, ROWS * width), .out_stride = width,
                       .rows = ROWS, .width = width, .weight = numbers(b, width), .bias = numbers(b, width),
                       .epsilon = usual_epsilon};
    if (!job.in || !job.out || !job.weight || !job.bias)
        return sx_fail_nomem(error, ROWS * width * sizeof(float));
    snprintf(b->out->shape, sizeof b->out->shape, "%d x %zu", ROWS, width);
    return measure(b, &(call){.run = run_norm, .bench = b, .job = &job}, error);
}

static void run_activation(const call *c)
{
    c->bench->kernels->activate(SX_ACTIVATION_GELU, c->in, c->out, c->count);
}

static sx_status bench_gelu(bench *b, sx_error *error)
{
    size_t count = QUERY_ROWS * b->shape.middle;
    call c = {.run = run_activation, .bench = b, .count = count, .in = numbers(b, count), .out = numbers(b, count)};
    if (!c.in || !c.out)
        return sx_fail_nomem(error, count * sizeof(float));
    snprintf(b->out->shape, sizeof b->out->shape, "%d x %zu", QUERY_ROWS, b->shape.middle);
    return measure(b, &c, error);
}

/* ---- Exact search, by all threads ---- */

typedef struct search {
    const sx_dot_kernels *kernels;
    sx_thread_pool *pool;
    const float *query, *rows;
    int64_t *ids;
    sx_topk *best; /* of each thread */
} search;

static void search_work(void *user, unsigned worker)
{
    search *s = user;
    size_t begin, end;
    sx_share(SEARCH_ROWS, worker, sx_thread_pool_size(s->pool), &begin, &end);
    sx_topk_reset(&s->best[worker]);
    sx_exact_scan(s->kernels, s->query, SEARCH_DIMENSIONS, s->rows + begin * SEARCH_DIMENSIONS, SEARCH_DIMENSIONS, s->ids + begin,
                  end - begin, NULL, &s->best[worker]);
}

static void run_search(const call *c)
{
    search *s = (search *)c->job;
    sx_thread_pool_run(s->pool, search_work, s);
}

static sx_status bench_search(bench *b, sx_error *error)
{
    search s = {.kernels = sx_dot_kernels_for(b->kernels->cpu), .query = numbers(b, SEARCH_DIMENSIONS),
                .rows = numbers(b, (size_t)SEARCH_ROWS * SEARCH_DIMENSIONS),
                .ids = sx_arena_alloc(&b->arena, SEARCH_ROWS * sizeof *s.ids)};
    sx_status status = sx_thread_pool_open(b->threads, &s.pool, error);
    if (status)
        return status;
    unsigned threads = sx_thread_pool_size(s.pool);
    s.best = sx_arena_alloc(&b->arena, threads * sizeof *s.best);
    if (!s.query || !s.rows || !s.ids || !s.best)
        status = sx_fail_nomem(error, (size_t)SEARCH_ROWS * SEARCH_DIMENSIONS * sizeof(float));
    for (unsigned i = 0; i < threads && !status; i++)
        if (!sx_topk_open(&s.best[i], SEARCH_HITS))
            status = sx_fail_nomem(error, SEARCH_HITS);
    for (int64_t i = 0; i < SEARCH_ROWS && !status; i++)
        s.ids[i] = i;
    snprintf(b->out->shape, sizeof b->out->shape, "%d x %d", SEARCH_ROWS, SEARCH_DIMENSIONS);
    b->out->bytes = (double)SEARCH_ROWS * SEARCH_DIMENSIONS * sizeof(float);
    b->out->threads = threads;
    if (!status)
        status = measure(b, &(call){.run = run_search, .bench = b, .job = &s}, error);
    for (unsigned i = 0; s.best && i < threads; i++)
        sx_topk_close(&s.best[i]);
    sx_thread_pool_close(s.pool);
    return status;
}

/* ---- The list ---- */

typedef enum kernel_kind { GEMM, ATTENTION, NORM, GELU, QUANTIZE, GEMM_INT8, SEARCH } kernel_kind;
static const char *const kernel_names[] = {"gemm", "attention", "norm", "gelu", "quantize", "gemm-int8", "search"};

static const struct {
    kernel_kind kind;
    matrix which;
    size_t rows; /* or the length of a text */
} list[] = {
    {GEMM, MATRIX_MIXED, ROWS},      {GEMM, MATRIX_OUTPUT, ROWS},      {GEMM, MATRIX_UP, ROWS},
    {GEMM, MATRIX_DOWN, ROWS},       {GEMM, MATRIX_UP, QUERY_ROWS},    {GEMM, MATRIX_DOWN, QUERY_ROWS},
    {ATTENTION, 0, 16},              {ATTENTION, 0, 128},              {ATTENTION, 0, 512},
    {NORM, 0, ROWS},                 {GELU, 0, QUERY_ROWS},            {QUANTIZE, MATRIX_UP, ROWS},
    {QUANTIZE, MATRIX_DOWN, ROWS},   {GEMM_INT8, MATRIX_MIXED, ROWS},  {GEMM_INT8, MATRIX_OUTPUT, ROWS},
    {GEMM_INT8, MATRIX_UP, ROWS},    {GEMM_INT8, MATRIX_DOWN, ROWS},   {GEMM_INT8, MATRIX_UP, QUERY_ROWS},
    {GEMM_INT8, MATRIX_DOWN, QUERY_ROWS}, {SEARCH, 0, 0},
};

static shapes shapes_of(const sx_model *model)
{
    static const shapes usual = {.hidden = 384, .mixed = 1152, .context = 384, .middle = 1536, .gated_middle = 1536, .heads = 12,
                                 .head_size = 32};
    if (!model || !model->weights)
        return usual;
    const sx_architecture *a = &model->folder.architecture;
    return (shapes){.hidden = a->hidden_size, .mixed = ((size_t)a->heads + 2 * a->key_heads) * a->head_size,
                    .context = (size_t)a->heads * a->head_size, .middle = a->intermediate_size,
                    .gated_middle = (a->gated ? 2 : 1) * (size_t)a->intermediate_size, .heads = a->heads,
                    .head_size = a->head_size};
}

static sx_status run_kernel(bench *b, size_t index, sx_error *error)
{
    switch (list[index].kind) {
    case GEMM: return bench_gemm(b, list[index].which, list[index].rows, error);
    case ATTENTION: return bench_attention(b, list[index].rows, error);
    case NORM: return bench_norm(b, error);
    case GELU: return bench_gelu(b, error);
    case QUANTIZE: return bench_int8(b, list[index].which, list[index].rows, true, error);
    case GEMM_INT8: return bench_int8(b, list[index].which, list[index].rows, false, error);
    case SEARCH: return bench_search(b, error);
    }
    return SX_OK;
}

sx_status sx_measure_kernel(const sx_model *model, size_t index, const char *name, const sx_measure_options *options,
                            sx_kernel_speed *out, sx_error *error)
{
    const double usual_seconds = 0.2;
    sx_measure_options given;
    if (!out)
        return sx_fail(error, SX_E_INVALID, "sx_measure_kernel: out is NULL");
    *out = (sx_kernel_speed){0};
    sx_status status = sx_options_read(options, &given, sizeof given, "sx_measure_options", error);
    if (status)
        return status;
    if (index >= sizeof list / sizeof *list)
        return sx_fail(error, SX_E_NOT_FOUND, "kernel %zu: there are %zu", index, sizeof list / sizeof *list);
    bench b = {.kernels = sx_kernels_for(given.cpu_mask), .bytes = sx_int8_kernels_for(given.cpu_mask),
               .shape = shapes_of(model), .seconds = given.seconds > 0.0 ? given.seconds : usual_seconds,
               .threads = given.threads, .out = out};
    out->name = kernel_names[list[index].kind];
    out->kernels = b.kernels->name;
    out->threads = 1;
    if (!name || strcmp(name, out->name) == 0)
        status = run_kernel(&b, index, error);
    sx_arena_clear(&b.arena);
    return status;
}

sx_pass_operations sx_measure_operations(const sx_model *model, uint32_t tokens)
{
    sx_pass_operations sum = {0};
    if (!model || !model->weights)
        return sum;
    shapes s = shapes_of(model);
    const sx_architecture *a = &model->folder.architecture;
    double linear = (double)s.hidden * (double)s.mixed + (double)s.context * (double)s.hidden +
                    (double)s.hidden * (double)s.gated_middle + (double)s.middle * (double)s.hidden;
    for (uint32_t i = 0; i < a->layers; i++) {
        double seen = a->windowed && a->windowed[i] && 2 * a->window + 1 < tokens ? 2 * a->window + 1 : tokens;
        sum.products += 2.0 * tokens * linear;
        sum.attention += 4.0 * tokens * (a->causal ? seen / 2 : seen) * (double)s.context;
    }
    return sum;
}
