/* test_kernel_rows.c - norms, rotary positions and gates of every instruction set, against double arithmetic.
 *
 * kernel_test.h says how.
 */
#include "kernel_test.h"

/* ---- Norms ---- */

typedef struct norm_case {
    size_t rows, width, in_stride, out_stride;
    bool rms, bias, in_place;
    enum filling filling;
    float epsilon;
} norm_case;

/* What a row of width floats may lose: the mean and the sum of squares are chains, each lane's part as long as the shortest
 * vector makes it, then some steps more. A layer norm loses what the mean takes away from the largest. */
static void check_norm_row(const sx_kernels *kernels, const norm_case *c, const float *in, const float *out,
                           const float *weight, const float *bias)
{
    double mean = 0.0, squares = 0.0, largest = 0.0, width = (double)c->width;
    for (size_t j = 0; j < c->width; j++) {
        mean += c->rms ? 0.0 : in[j] / width;
        largest = fmax(largest, fabs(in[j]));
    }
    for (size_t j = 0; j < c->width; j++)
        squares += (in[j] - mean) * (in[j] - mean);
    double deviation = sqrt(squares / width + c->epsilon), chain = 6e-8 * (width / 8.0 + 12.0);
    double shift = c->rms ? 0.0 : chain * largest / deviation; /* of the mean, in the result's units */
    for (size_t j = 0; j < c->width; j++) {
        double scaled = (in[j] - mean) / deviation, expected = scaled * weight[j] + (c->bias ? bias[j] : 0.0);
        double bound = (chain * fabs(scaled) + shift * (1.0 + fabs(scaled))) * fabs(weight[j]) + 1.2e-7 * fabs(expected) + 1e-37;
        check_error(kernels, c->rms ? "rms norm" : "layer norm", j, expected, out[j], bound);
    }
}

static void check_norm(const sx_kernels *kernels, const norm_case *c)
{
    guarded in = guarded_open((c->rows - 1) * c->in_stride + c->width), weight = guarded_open(c->width);
    guarded bias = guarded_open(c->width), out = guarded_open((c->rows - 1) * c->out_stride + c->width);
    guarded before = guarded_open(in.count), alone = guarded_open(c->width);
    fill(&in, c->filling);
    fill(&weight, RANDOM);
    fill(&bias, RANDOM);
    memcpy(before.data, in.data, in.count * sizeof(float));
    for (size_t i = 0; i < out.count; i++)
        out.data[i] = 12345.0f;
    sx_norm_job job = {.in = in.data, .in_stride = c->in_stride, .out = c->in_place ? in.data : out.data,
                       .out_stride = c->in_place ? c->in_stride : c->out_stride, .rows = c->rows, .width = c->width,
                       .weight = weight.data, .bias = c->bias ? bias.data : NULL, .epsilon = c->epsilon, .rms = c->rms};
    kernels->norm(&job);
    sx_norm_job one = job;
    for (size_t i = 0; i < c->rows; i++) {
        const float *row = job.out + i * job.out_stride;
        check_norm_row(kernels, c, before.data + i * c->in_stride, row, weight.data, bias.data);
        one.in = before.data + i * c->in_stride;
        one.out = alone.data;
        one.rows = 1;
        kernels->norm(&one);
        assert_memory_equal(alone.data, row, c->width * sizeof(float));
        for (size_t j = c->width; j < job.out_stride && i + 1 < c->rows; j++) /* between the rows nothing is written */
            assert_true(row[j] == (c->in_place ? before.data[i * c->in_stride + j] : 12345.0f));
    }
    if (!c->in_place)
        assert_memory_equal(before.data, in.data, in.count * sizeof(float));
    guarded_close(&in);
    guarded_close(&weight);
    guarded_close(&bias);
    guarded_close(&out);
    guarded_close(&before);
    guarded_close(&alone);
}

static void check_norms(const sx_kernels *kernels)
{
    static const size_t widths[] = {256, 384, 512, 640, 768, 896, 1024, 1152, 1536, 2048, 2560, 3584, 4096};
    for (size_t i = 1; i <= 200 + sizeof widths / sizeof *widths; i++) {
        size_t width = i <= 200 ? i : widths[i - 201];
        for (unsigned kind = 0; kind < 8; kind++) {
            norm_case c = {.rows = 1 + random_below(6), .width = width, .rms = kind & 1, .bias = kind & 2,
                           .in_place = kind & 4, .filling = (enum filling)random_below(FILLINGS),
                           .epsilon = random_below(2) ? 1e-5f : 1e-12f};
            c.filling = c.filling == TINY ? RANDOM : c.filling;
            c.in_stride = width + random_below(9);
            c.out_stride = width + random_below(9);
            check_norm(kernels, &c);
        }
    }
    check_norm(kernels, &(norm_case){.rows = 300, .width = 16, .in_stride = 48, .out_stride = 16, .rms = true,
                                     .epsilon = 1e-6f});
    check_norm(kernels, &(norm_case){.rows = 300, .width = 128, .in_stride = 131, .in_place = true, .rms = true,
                                     .epsilon = 1e-6f});
    /* what epsilon is for: next to nothing in a row */
    check_norm(kernels, &(norm_case){.rows = 3, .width = 64, .in_stride = 64, .out_stride = 64, .filling = TINY, .rms = true,
                                     .epsilon = 1e-6f});
}

static void test_norms(void **state)
{
    for_each_level(check_norms);
}

/* ---- Rotary positions ---- */

static void check_rotation(const sx_kernels *kernels, size_t rows, size_t heads, size_t half, size_t padding,
                           enum filling filling)
{
    size_t used = heads * 2 * half, stride = used + padding;
    guarded data = guarded_open((rows - 1) * stride + used), before = guarded_open(data.count), alone = guarded_open(used);
    guarded cosines = guarded_open(rows * half), sines = guarded_open(rows * half);
    fill(&data, filling);
    fill(&cosines, RANDOM);
    fill(&sines, RANDOM);
    memcpy(before.data, data.data, data.count * sizeof(float));
    kernels->rotate(data.data, rows, stride, heads, 2 * half, cosines.data, sines.data);
    for (size_t i = 0; i < rows; i++) {
        const float *from = before.data + i * stride, *to = data.data + i * stride;
        for (size_t j = 0; j < used; j++) {
            size_t place = j % half;
            bool second = j % (2 * half) >= half;
            double cosine = cosines.data[i * half + place], sine = sines.data[i * half + place];
            double x = from[j] * cosine, y = second ? from[j - half] * sine : -from[j + half] * sine;
            check_error(kernels, "rotation", j, x + y, to[j], 1.3e-7 * (fabs(x) + fabs(y)) + 0x1p-148);
        }
        for (size_t j = used; j < stride && i + 1 < rows; j++)
            assert_true(from[j] == to[j]);
        memcpy(alone.data, from, used * sizeof(float));
        kernels->rotate(alone.data, 1, used, heads, 2 * half, cosines.data + i * half, sines.data + i * half);
        assert_memory_equal(alone.data, to, used * sizeof(float));
    }
    guarded_close(&data);
    guarded_close(&before);
    guarded_close(&alone);
    guarded_close(&cosines);
    guarded_close(&sines);
}

static void check_rotations(const sx_kernels *kernels)
{
    for (size_t half = 1; half <= 130; half++)
        check_rotation(kernels, 1 + random_below(9), 1 + random_below(4), half, random_below(9),
                       (enum filling)random_below(FILLINGS));
    /* a quarter turn, exactly */
    float data[8] = {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f, 7.0f, 8.0f}, cosines[2] = {0.0f, 1.0f}, sines[2] = {1.0f, 0.0f};
    const float expected[8] = {-3.0f, 2.0f, 1.0f, 4.0f, -7.0f, 6.0f, 5.0f, 8.0f};
    kernels->rotate(data, 1, 8, 2, 4, cosines, sines);
    assert_memory_equal(data, expected, sizeof data);
    kernels->rotate(data, 0, 8, 2, 4, NULL, NULL);
}

static void test_rotations(void **state)
{
    for_each_level(check_rotations);
}

/* ---- Gates ---- */

/* One rounding more than the activation, which has its own test. */
static void check_gates(const sx_kernels *kernels)
{
    for (size_t count = 0; count <= 150; count++) {
        for (int activation = SX_ACTIVATION_NONE; activation <= SX_ACTIVATION_SIGMOID; activation++) {
            guarded gate = guarded_open(count), up = guarded_open(count), out = guarded_open(count);
            guarded active = guarded_open(count);
            fill(&gate, count % 2 ? MIXED : RANDOM);
            fill(&up, MIXED);
            kernels->activate((sx_activation)activation, gate.data, active.data, count);
            kernels->gate((sx_activation)activation, gate.data, up.data, out.data, count);
            for (size_t i = 0; i < count; i++)
                assert_true(out.data[i] == active.data[i] * up.data[i]);
            kernels->gate((sx_activation)activation, gate.data, up.data, gate.data, count);
            assert_memory_equal(gate.data, out.data, count * sizeof(float));
            guarded_close(&gate);
            guarded_close(&up);
            guarded_close(&out);
            guarded_close(&active);
        }
    }
}

static void test_gates(void **state)
{
    for_each_level(check_gates);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_norms),
        cmocka_unit_test(test_rotations),
        cmocka_unit_test(test_gates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
