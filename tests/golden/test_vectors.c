/* test_vectors.c - the encoder against the reference vectors, at every instruction set of this machine.
 *
 * The weights of all-MiniLM-L6-v2 are too large for the repository: SX_TEST_MODEL names its folder and SX_TEST_MODEL_FP16 the one
 * with half-precision weights; `make model` fetches both. The families' tiny models are committed.
 */
#include "model/encoder.h"
#include "model/pooling.h"

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MINILM_TEXTS = 503, WIDTH = 384, PATH_BYTES = 4096 };

static const uint64_t levels[] = {SX_CPU_C, SX_CPU_AVX2, SX_CPU_AVX512};

/* ---- Fixtures ---- */

typedef struct array {
    float *data;
    size_t rows, columns;
} array;

static void fixture_path(char path[PATH_BYTES], const char *name)
{
    snprintf(path, PATH_BYTES, "%s/%s", SX_FIXTURES, name);
}

/* Little-endian float32, C order, one or two dimensions. */
static array read_npy(const char *name)
{
    char path[PATH_BYTES], header[65536 + 1] = "";
    unsigned char start[10];
    fixture_path(path, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s: cannot be opened", path);
    assert_int_equal(fread(start, 1, 10, file), 10);
    assert_memory_equal(start, "\x93NUMPY\x01", 7);
    size_t length = start[8] | (size_t)start[9] << 8;
    assert_int_equal(fread(header, 1, length, file), length);
    assert_non_null(strstr(header, "'<f4'"));
    assert_non_null(strstr(header, "'fortran_order': False"));
    array result = {0};
    const char *shape = strstr(header, "'shape': (");
    assert_non_null(shape);
    assert_int_equal(sscanf(shape, "'shape': (%zu, %zu)", &result.rows, &result.columns), 2);
    result.data = malloc(result.rows * result.columns * sizeof(float));
    assert_non_null(result.data);
    assert_int_equal(fread(result.data, sizeof(float), result.rows * result.columns, file), result.rows * result.columns);
    fclose(file);
    return result;
}

/* Every line of a JSONL fixture. */
static json_t *read_jsonl(const char *name)
{
    char path[PATH_BYTES];
    json_error_t problem;
    fixture_path(path, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s: cannot be opened", path);
    json_t *lines = json_array();
    for (json_t *line; (line = json_loadf(file, JSON_DISABLE_EOF_CHECK, &problem));)
        json_array_append_new(lines, line);
    fclose(file);
    assert_int_not_equal(json_array_size(lines), 0);
    return lines;
}

static const char *model_folder(const char *variable)
{
    const char *folder = getenv(variable);
    if (!folder || !*folder)
        fail_msg("%s is not set: run `make model`, which fetches the weights and says what to set", variable);
    return folder;
}

static void check_close(const char *what, size_t row, const float *expected, const float *found, size_t width)
{
    double dot = 0.0, first = 0.0, second = 0.0;
    for (size_t i = 0; i < width; i++) {
        double difference = fabs((double)expected[i] - found[i]);
        if (!(difference <= 1e-5))
            fail_msg("%s: row %zu, column %zu: %.8g expected, %.8g found", what, row, i, expected[i], found[i]);
        dot += (double)expected[i] * found[i];
        first += (double)expected[i] * expected[i];
        second += (double)found[i] * found[i];
    }
    if (!(dot / sqrt(first * second) >= 0.999999))
        fail_msg("%s: row %zu: cosine %.9g", what, row, dot / sqrt(first * second));
}

/* ---- The encoder alone, from token ids ---- */

typedef struct bare_encoder {
    sx_model_folder folder;
    sx_safetensors *file;
    sx_thread_pool *pool;
    sx_weights *weights;
    sx_encoder encoder;
    sx_workspace space;
    uint32_t *ids;
} bare_encoder;

static void bare_open(bare_encoder *bare, const char *folder, uint64_t level, unsigned threads)
{
    sx_error error = {0};
    memset(bare, 0, sizeof *bare);
    if (sx_model_folder_read(folder, &bare->folder, &error) || sx_safetensors_open(bare->folder.weights, &bare->file, &error) ||
        sx_thread_pool_open(threads, &bare->pool, &error) ||
        sx_weights_open(&bare->folder, bare->file, sx_kernels_for(level), bare->pool, &bare->weights, &error))
        fail_msg("%s", error.message);
    sx_encoder_init(&bare->encoder, &bare->folder, bare->weights);
    if (sx_workspace_open(&bare->encoder, bare->folder.positions, bare->folder.positions, threads, &bare->space, &error))
        fail_msg("%s", error.message);
    bare->ids = calloc(bare->folder.positions, sizeof *bare->ids);
    assert_non_null(bare->ids);
}

static void bare_close(bare_encoder *bare)
{
    free(bare->ids);
    sx_workspace_close(&bare->space);
    sx_weights_close(bare->weights);
    sx_thread_pool_close(bare->pool);
    sx_safetensors_close(bare->file);
    sx_model_folder_clear(&bare->folder);
}

typedef struct bare_run {
    bare_encoder *bare;
    sx_sequence sequence;
} bare_run;

static void bare_work(void *user, unsigned worker)
{
    bare_run *run = user;
    sx_encoder_run(&run->bare->encoder, &run->sequence, 1, &run->bare->space, run->bare->pool, worker,
                   sx_thread_pool_size(run->bare->pool));
}

/* Runs one text, shared by all threads; its length. */
static size_t bare_encode(bare_encoder *bare, const json_t *ids)
{
    size_t length = json_array_size(ids);
    assert_in_range(length, 1, bare->folder.positions);
    for (size_t i = 0; i < length; i++)
        bare->ids[i] = (uint32_t)json_integer_value(json_array_get(ids, i));
    bare_run run = {bare, {bare->ids, (uint32_t)length, 0}};
    sx_thread_pool_run(bare->pool, bare_work, &run);
    return length;
}

static const json_t *reference_ids(const json_t *line)
{
    const json_t *cut = json_object_get(line, "ids_256");
    return json_is_array(cut) ? cut : json_object_get(line, "ids");
}

/* `step`: only every so many texts, for the slow reference kernels. */
static void check_minilm_ids(const char *variable, const char *expected_name, uint64_t level, size_t step, unsigned threads)
{
    if (!(sx_cpu_detect() & level))
        return;
    bare_encoder bare;
    float vector[WIDTH];
    bare_open(&bare, model_folder(variable), level, threads);
    array expected = read_npy(expected_name);
    json_t *lines = read_jsonl("minilm/tokens.jsonl");
    assert_int_equal(json_array_size(lines), MINILM_TEXTS);
    assert_int_equal(expected.rows, MINILM_TEXTS);
    for (size_t i = 0; i < MINILM_TEXTS; i += step) {
        size_t length = bare_encode(&bare, reference_ids(json_array_get(lines, i)));
        sx_pool(bare.weights->kernels, SX_POOLING_MEAN, bare.space.states, bare.space.state_stride, length, 0, WIDTH, vector);
        sx_normalize(vector, WIDTH);
        check_close(expected_name, i, expected.data + i * WIDTH, vector, WIDTH);
    }
    json_decref(lines);
    free(expected.data);
    bare_close(&bare);
}

static void test_ids_fp32(void **state)
{
    check_minilm_ids("SX_TEST_MODEL", "minilm/vectors_fp32w.npy", SX_CPU_C, 17, 1);
    check_minilm_ids("SX_TEST_MODEL", "minilm/vectors_fp32w.npy", SX_CPU_AVX2, 1, 2);
    check_minilm_ids("SX_TEST_MODEL", "minilm/vectors_fp32w.npy", SX_CPU_AVX512, 1, 1);
}

static void test_ids_fp16(void **state)
{
    check_minilm_ids("SX_TEST_MODEL_FP16", "minilm/vectors_fp16w.npy", SX_CPU_C, 67, 1);
    check_minilm_ids("SX_TEST_MODEL_FP16", "minilm/vectors_fp16w.npy", SX_CPU_AVX2, 5, 1);
    check_minilm_ids("SX_TEST_MODEL_FP16", "minilm/vectors_fp16w.npy", SX_CPU_AVX512, 1, 2);
}

/* Token states, not only their mean. */
static void test_states(void **state)
{
    static const size_t texts[] = {0, 2, 29};
    json_t *lines = read_jsonl("minilm/tokens.jsonl");
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
        if (!(sx_cpu_detect() & levels[l]))
            continue;
        bare_encoder bare;
        bare_open(&bare, model_folder("SX_TEST_MODEL_FP16"), levels[l], 1);
        for (size_t t = 0; t < 3; t++) {
            char name[64];
            snprintf(name, sizeof name, "minilm/hidden_t%03zu.npy", texts[t]);
            array expected = read_npy(name);
            size_t length = bare_encode(&bare, reference_ids(json_array_get(lines, texts[t])));
            assert_int_equal(length, expected.rows);
            for (size_t i = 0; i < length; i++)
                check_close(name, i, expected.data + i * WIDTH, bare.space.states + i * bare.space.state_stride, WIDTH);
            free(expected.data);
        }
        bare_close(&bare);
    }
    json_decref(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_fp32),
        cmocka_unit_test(test_ids_fp16),
        cmocka_unit_test(test_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
