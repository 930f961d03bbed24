/* test_int8_attention.c - attention in 8-bit integers: exactly the reference's bits on every instruction set, near the truth, and NaN where
 * something is not finite.
 */
#include "int8_tables.h"
#include "kernel_test.h"

typedef struct attention_case {
    size_t queries, keys, head_size, padding;
    bool relative;
    enum filling filling;
} attention_case;

typedef struct attention_data {
    guarded mixed, bias;
    sx_attention job;
} attention_data;

/* q, k and v beside each other as the encoder has them, the last value at the guard. */
static void open_case(attention_data *data, const attention_case *c)
{
    size_t stride = 3 * c->head_size + c->padding, longer = c->keys > c->queries ? c->keys : c->queries;
    data->mixed = guarded_open((longer - 1) * stride + 3 * c->head_size);
    data->bias = guarded_open(c->queries + c->keys - 1);
    fill(&data->mixed, c->filling);
    fill(&data->bias, RANDOM);
    const float *q = data->mixed.data;
    data->job = (sx_attention){.q = q, .k = q + c->head_size, .v = q + 2 * c->head_size, .stride = stride, .queries = c->queries,
                               .keys = c->keys, .head_size = c->head_size, .scale = 1.0f / sqrtf((float)c->head_size),
                               .before = SIZE_MAX, .after = SIZE_MAX,
                               .relative_bias = c->relative ? data->bias.data + c->queries - 1 : NULL, .out_stride = c->head_size};
}

static void close_case(attention_data *data)
{
    guarded_close(&data->mixed);
    guarded_close(&data->bias);
}

/* One table's answer, with exponentials that are the same for all; scratch of just the size asked for, filled with NaN. */
static guarded attend_with(const sx_int8_kernels *kernels, const attention_data *data)
{
    sx_attention job = data->job;
    size_t floats = sx_int8_attention_scratch(kernels, job.keys, job.head_size);
    guarded out = guarded_open(job.queries * job.head_size);
    float *memory = aligned_alloc(64, (floats + 15) / 16 * 16 * sizeof *memory);
    assert_non_null(memory);
    memset(memory, 0xff, floats * sizeof *memory);
    job.scratch = memory;
    job.out = out.data;
    kernels->attention(&job, sx_kernels_for(SX_CPU_C));
    free(memory);
    return out;
}

static void check_case(const sx_int8_kernels *kernels, const attention_case *c)
{
    attention_data data;
    open_case(&data, c);
    guarded expected = attend_with(&sx_int8_kernels_c, &data), got = attend_with(kernels, &data);
    assert_memory_equal(expected.data, got.data, c->queries * c->head_size * sizeof(float));
    guarded_close(&got);
    data.job.queries = 1 + random_below(c->queries); /* the first alone have the bits they have among all */
    got = attend_with(kernels, &data);
    assert_memory_equal(expected.data, got.data, data.job.queries * c->head_size * sizeof(float));
    guarded_close(&got);
    guarded_close(&expected);
    close_case(&data);
}

static void test_same_bits(void **state)
{
    (void)state;
    static const enum filling fillings[] = {RANDOM, TINY, ZEROS};
    static const size_t heads[] = {1, 12, 16, 24, 31, 32, 64, 80, 128, 256};
    for (size_t s = 0; s <= SETS; s++) {
        const sx_int8_kernels *kernels = table(s);
        if (kernels == &sx_int8_kernels_c)
            continue; /* test_int8 says so */
        for (size_t size = 1; size <= 70; size++)
            check_case(kernels, &(attention_case){.queries = size, .keys = size, .head_size = 32});
        for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
            check_case(kernels, &(attention_case){.queries = 75, .keys = 75, .head_size = heads[i], .padding = i, .relative = i & 1});
        for (int i = 0; i < 100; i++) {
            size_t keys = 1 + random_below(300);
            check_case(kernels, &(attention_case){.queries = 1 + random_below(keys), .keys = keys, .head_size = 1 + random_below(100),
                                                  .padding = random_below(9), .relative = random_below(2),
                                                  .filling = fillings[random_below(3)]});
        }
    }
}

/* Against double arithmetic: keys and queries lose half a step of their range each, weights half of a 255th of the largest. */
static void test_near_the_truth(void **state)
{
    (void)state;
    enum { SIZE = 200, HEAD = 32 };
    attention_data data;
    open_case(&data, &(attention_case){.queries = SIZE, .keys = SIZE, .head_size = HEAD});
    guarded got = attend_with(sx_int8_kernels_for(0), &data);
    double scores[SIZE];
    for (size_t i = 0; i < SIZE; i++) {
        double sum = 0.0, largest = -INFINITY;
        for (size_t j = 0; j < SIZE; j++) {
            scores[j] = 0.0;
            for (size_t c = 0; c < HEAD; c++)
                scores[j] += (double)data.job.scale * data.job.q[i * data.job.stride + c] * data.job.k[j * data.job.stride + c];
            largest = fmax(largest, scores[j]);
        }
        for (size_t j = 0; j < SIZE; j++)
            sum += scores[j] = exp(scores[j] - largest);
        for (size_t c = 0; c < HEAD; c++) {
            double expected = 0.0;
            for (size_t j = 0; j < SIZE; j++)
                expected += scores[j] / sum * data.job.v[j * data.job.stride + c];
            assert_true(fabs(expected - got.data[i * HEAD + c]) < 0.01);
        }
    }
    guarded_close(&got);
    close_case(&data);
}

/* Something not finite in a query spoils that query; in a key, all; in a value, its column. */
static void test_not_finite(void **state)
{
    (void)state;
    enum { SIZE = 37, HEAD = 24 };
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t s = 0; s <= SETS + 1; s++) {
        const sx_int8_kernels *kernels = s <= SETS ? table(s) : &sx_int8_kernels_c;
        for (size_t place = 0; place < 3 * HEAD; place++) {
            attention_data data;
            open_case(&data, &(attention_case){.queries = SIZE, .keys = SIZE, .head_size = HEAD});
            data.mixed.data[5 * data.job.stride + place] = bad[place % 3];
            guarded got = attend_with(kernels, &data);
            for (size_t i = 0; i < SIZE; i++)
                for (size_t c = 0; c < HEAD; c++) {
                    bool spoiled = place < HEAD ? i == 5 : place < 2 * HEAD || c == place - 2 * HEAD;
                    assert_true(spoiled == (bool)isnan(got.data[i * HEAD + c]));
                }
            guarded_close(&got);
            close_case(&data);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_near_the_truth),
        cmocka_unit_test(test_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
