/* test_attention.c - attention of every instruction set: windows, causality and relative positions, against double arithmetic.
 *
 * kernel_test.h says how. Besides the values: what is masked has no influence and is not even touched where a window makes it
 * far away, and a query's bits do not depend on how many others there are or where everything lies in memory.
 */
#include "kernel_test.h"

typedef struct attention_case {
    size_t queries, keys, head_size;
    size_t padding; /* floats between a row's v and the next row's q */
    size_t before, after;
    bool relative;
    enum filling filling;
} attention_case;

/* q, k and v beside each other as the encoder has them, the last value at the guard. */
typedef struct attention_data {
    guarded mixed, out, scratch, bias;
    sx_attention job;
} attention_data;

static void open_case(attention_data *data, const sx_kernels *kernels, const attention_case *c)
{
    size_t stride = 3 * c->head_size + c->padding, longer = c->keys > c->queries ? c->keys : c->queries;
    data->mixed = guarded_open((longer - 1) * stride + 3 * c->head_size);
    data->out = guarded_open(c->queries * c->head_size);
    data->scratch = guarded_open(sx_attention_scratch(kernels, c->keys, c->head_size));
    data->bias = guarded_open(c->queries + c->keys - 1);
    fill(&data->mixed, c->filling);
    fill(&data->bias, RANDOM);
    /* NaNs, should anything be read that was not written */
    memset(data->scratch.data, 0xff, data->scratch.count * sizeof(float));
    float *q = data->mixed.data;
    data->job = (sx_attention){.q = q, .k = q + c->head_size, .v = q + 2 * c->head_size, .stride = stride,
                               .queries = c->queries, .keys = c->keys, .head_size = c->head_size,
                               .scale = 1.0f / sqrtf((float)c->head_size), .before = c->before, .after = c->after,
                               .relative_bias = c->relative ? data->bias.data + c->queries - 1 : NULL,
                               .out = data->out.data, .out_stride = c->head_size, .scratch = data->scratch.data};
}

static void close_case(attention_data *data)
{
    guarded_close(&data->mixed);
    guarded_close(&data->out);
    guarded_close(&data->scratch);
    guarded_close(&data->bias);
}

static bool sees(const sx_attention *job, size_t query, size_t key)
{
    return key < query ? query - key <= job->before : key - query <= job->after;
}

/* One query's output against double arithmetic; scores holds a number for each key. */
static void check_query(const sx_kernels *kernels, const sx_attention *job, size_t query, double *scores)
{
    const float *q = job->q + query * job->stride;
    double largest = -INFINITY, sum = 0.0, steepest = 0.0;
    size_t seen = 0;
    for (size_t j = 0; j < job->keys; j++) {
        scores[j] = 0.0;
        if (!sees(job, query, j))
            continue;
        const float *k = job->k + j * job->stride;
        double bias = job->relative_bias ? job->relative_bias[(ptrdiff_t)j - (ptrdiff_t)query] : 0.0, total = fabs(bias);
        scores[j] = bias;
        for (size_t c = 0; c < job->head_size; c++) {
            double term = (double)job->scale * q[c] * k[c];
            scores[j] += term;
            total += fabs(term);
        }
        largest = fmax(largest, scores[j]);
        steepest = fmax(steepest, chain_bound(job->head_size + 2, total) + 2e-7 * total);
        seen++;
    }
    assert_true(seen > 0);
    for (size_t j = 0; j < job->keys; j++)
        sum += scores[j] = sees(job, query, j) ? exp(scores[j] - largest) : 0.0;
    for (size_t c = 0; c < job->head_size; c++) {
        double expected = 0.0, total = 0.0;
        for (size_t j = 0; j < job->keys; j++) {
            expected += scores[j] / sum * job->v[j * job->stride + c];
            total += scores[j] / sum * fabs(job->v[j * job->stride + c]);
        }
        check_error(kernels, "attention", query, expected, job->out[query * job->out_stride + c],
                    total * (2.1 * expm1(steepest) + 1.2e-7 * (2.0 * (double)seen + 8.0)) + 0x1p-140);
    }
}

/* The first queries alone have the same bits, though they fall into other tiles; and so at another address. */
static void check_same_bits(const sx_kernels *kernels, const attention_case *c, const attention_data *data)
{
    size_t queries = 1 + random_below(c->queries), shift = 1 + random_below(15);
    guarded moved = guarded_open(data->mixed.count + shift), out = guarded_open(queries * c->head_size);
    memcpy(moved.data, data->mixed.data, data->mixed.count * sizeof(float));
    sx_attention job = data->job;
    job.q = moved.data;
    job.k = moved.data + c->head_size;
    job.v = moved.data + 2 * c->head_size;
    job.queries = queries;
    job.out = out.data;
    kernels->attention(&job);
    assert_memory_equal(out.data, data->out.data, queries * c->head_size * sizeof(float));
    guarded_close(&moved);
    guarded_close(&out);
}

/* Keys that a query does not see may be anything finite: not one bit of its output changes. */
static void check_masked(const sx_kernels *kernels, const attention_case *c, attention_data *data)
{
    size_t chosen = random_below(c->queries);
    float *before = malloc(c->head_size * sizeof *before), *keys = data->mixed.data + c->head_size;
    assert_non_null(before);
    memcpy(before, data->out.data + chosen * c->head_size, c->head_size * sizeof *before);
    for (size_t j = 0; j < c->keys; j++)
        for (size_t i = 0; i < c->head_size && !sees(&data->job, chosen, j); i++) {
            keys[j * data->job.stride + i] = random_float() * 1e30f;
            keys[j * data->job.stride + c->head_size + i] = random_float() * 3e38f;
        }
    kernels->attention(&data->job);
    assert_memory_equal(before, data->out.data + chosen * c->head_size, c->head_size * sizeof *before);
    free(before);
}

static void check_case(const sx_kernels *kernels, const attention_case *c)
{
    attention_data data;
    open_case(&data, kernels, c);
    double *scores = calloc(c->keys, sizeof *scores);
    assert_non_null(scores);
    kernels->attention(&data.job);
    for (size_t i = 0; i < c->queries; i++)
        check_query(kernels, &data.job, i, scores);
    check_same_bits(kernels, c, &data);
    check_masked(kernels, c, &data);
    free(scores);
    close_case(&data);
}

static void check_sizes(const sx_kernels *kernels)
{
    static const size_t head_sizes[] = {1, 12, 16, 24, 32, 64, 80, 96, 128, 256};
    for (size_t size = 1; size <= 70; size++)
        check_case(kernels, &(attention_case){.queries = size, .keys = size, .head_size = 32, .before = SIZE_MAX,
                                              .after = SIZE_MAX});
    for (size_t i = 0; i < sizeof head_sizes / sizeof *head_sizes; i++) {
        attention_case c = {.queries = 75, .keys = 75, .head_size = head_sizes[i], .padding = i, .before = SIZE_MAX,
                            .after = SIZE_MAX};
        check_case(kernels, &c);
        c.after = 0;
        check_case(kernels, &c);
        c.before = c.after = 9;
        c.relative = true;
        check_case(kernels, &c);
    }
}

static void test_sizes(void **state)
{
    for_each_level(check_sizes);
}

static void check_random(const sx_kernels *kernels)
{
    static const enum filling fillings[] = {RANDOM, TINY, ZEROS};
    for (int i = 0; i < 150; i++) {
        size_t keys = 1 + random_below(i % 10 ? 200 : 600);
        attention_case c = {.queries = 1 + random_below(keys), .keys = keys, .head_size = 1 + random_below(i % 10 ? 130 : 40),
                            .padding = random_below(9), .before = SIZE_MAX, .after = SIZE_MAX, .relative = random_below(2),
                            .filling = fillings[random_below(3)]};
        if (random_below(4))
            c.before = random_below(2) ? random_below(20) : random_below(2 * keys);
        if (random_below(4))
            c.after = random_below(2) ? random_below(20) : random_below(2 * keys);
        check_case(kernels, &c);
    }
    for (size_t window = 0; window < 70; window++) { /* long texts that fall into several blocks of queries */
        attention_case c = {.queries = 300, .keys = 300, .head_size = 16, .before = window, .after = window};
        check_case(kernels, &c);
        c.after = 0;
        check_case(kernels, &c);
        c.before = 0;
        c.after = window;
        check_case(kernels, &c);
    }
    for (size_t more = 0; more < 20; more++) /* more queries than keys: those that still see one */
        check_case(kernels, &(attention_case){.queries = 50 + more, .keys = 50, .head_size = 8, .before = 20, .after = more,
                                              .relative = true});
}

static void test_random(void **state)
{
    for_each_level(check_random);
}

/* A window as wide as the text, and distances that all cost nothing, are as good as none. */
static void check_no_window(const sx_kernels *kernels)
{
    for (size_t keys = 1; keys < 400; keys += 1 + random_below(40)) {
        attention_case c = {.queries = keys, .keys = keys, .head_size = 32, .before = SIZE_MAX, .after = SIZE_MAX,
                            .relative = true};
        attention_data data;
        open_case(&data, kernels, &c);
        memset(data.bias.data, 0, data.bias.count * sizeof(float));
        sx_attention plain = data.job;
        guarded out = guarded_open(data.out.count);
        plain.out = out.data;
        plain.relative_bias = NULL;
        kernels->attention(&plain);
        size_t windows[] = {SIZE_MAX, SIZE_MAX - 1, keys, keys - 1};
        for (size_t i = 0; i < 16; i++) {
            data.job.before = windows[i / 4];
            data.job.after = windows[i % 4];
            kernels->attention(&data.job);
            assert_memory_equal(out.data, data.out.data, out.count * sizeof(float));
        }
        guarded_close(&out);
        close_case(&data);
    }
}

static void test_no_window(void **state)
{
    for_each_level(check_no_window);
}

/* A long text with a small window: keys that no query sees lie in memory that may not be touched. */
static void check_unseen(const sx_kernels *kernels)
{
    for (size_t queries = 1; queries < 2500; queries = 2 * queries + random_below(9)) {
        size_t after = random_below(70), seen = queries + after;
        attention_case c = {.queries = queries, .keys = seen, .head_size = 64, .before = 64, .after = after};
        attention_data data;
        open_case(&data, kernels, &c);
        guarded scratch = guarded_open(sx_attention_scratch(kernels, seen + 30000, c.head_size));
        data.job.keys = seen + 30000; /* more than there are */
        data.job.scratch = scratch.data;
        kernels->attention(&data.job);
        data.job.keys = seen;
        double *scores = calloc(seen, sizeof *scores);
        assert_non_null(scores);
        for (size_t i = 0; i < queries; i += 1 + queries / 40)
            check_query(kernels, &data.job, i, scores);
        free(scores);
        guarded_close(&scratch);
        close_case(&data);
    }
}

static void test_unseen(void **state)
{
    for_each_level(check_unseen);
}

/* Scores far apart must not overflow, and the largest that is seen must win. */
static void check_far_scores(const sx_kernels *kernels)
{
    float data[3 * 3] = {1e4f, -1e4f, 1.0f, 1e4f, 0.0f, 2.0f, 1e4f, 3.0f, 4.0f}, out[3];
    float bias[5] = {0.0f, -1e6f, 0.0f, -1e6f, 0.0f};
    size_t floats = sx_attention_scratch(kernels, 3, 1);
    float *scratch = calloc(floats, sizeof *scratch);
    assert_non_null(scratch);
    sx_attention job = {.q = data, .k = data + 1, .v = data + 2, .stride = 3, .queries = 3, .keys = 3, .head_size = 1,
                        .scale = 1.0f, .before = SIZE_MAX, .after = SIZE_MAX, .out = out, .out_stride = 1, .scratch = scratch};
    kernels->attention(&job);
    for (int i = 0; i < 3; i++)
        assert_true(out[i] == 4.0f);
    job.after = 0;
    kernels->attention(&job);
    assert_true(out[0] == 1.0f && out[1] == 2.0f && out[2] == 4.0f);
    job.after = SIZE_MAX;
    job.relative_bias = bias + 2; /* neighbours cost more than any score brings */
    kernels->attention(&job);
    assert_true(out[0] == 4.0f && out[1] == 2.0f && out[2] == 4.0f);
    free(scratch);
}

static void test_far_scores(void **state)
{
    for_each_level(check_far_scores);
}

/* Where sums underflow to -0, the zeros that masked keys add must not show either: query 1 with and without a key after it. */
static void check_negative_zero(const sx_kernels *kernels)
{
    float data[3 * 3] = {1.0f, -60.0f, -1e-30f, 1.0f, 0.0f, -0.0f, 1.0f, 0.0f, 1.0f}, out[3], fewer[2];
    float *scratch = calloc(sx_attention_scratch(kernels, 3, 1), sizeof *scratch);
    assert_non_null(scratch);
    sx_attention job = {.q = data, .k = data + 1, .v = data + 2, .stride = 3, .queries = 3, .keys = 3, .head_size = 1,
                        .scale = 1.0f, .before = SIZE_MAX, .after = 0, .out = out, .out_stride = 1, .scratch = scratch};
    kernels->attention(&job);
    job.queries = 2;
    job.out = fewer;
    kernels->attention(&job);
    assert_memory_equal(out, fewer, sizeof fewer);
    free(scratch);
}

static void test_negative_zero(void **state)
{
    for_each_level(check_negative_zero);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),  cmocka_unit_test(test_random),     cmocka_unit_test(test_no_window),
        cmocka_unit_test(test_unseen), cmocka_unit_test(test_far_scores), cmocka_unit_test(test_negative_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
