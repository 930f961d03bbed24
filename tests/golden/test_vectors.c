/* test_vectors.c - the encoder against the reference vectors, at every instruction set of this machine.
 *
 * The weights of all-MiniLM-L6-v2 are too large for the repository: SX_TEST_MODEL names its folder and SX_TEST_MODEL_FP16 the one
 * with half-precision weights; `make model` fetches both. The families' tiny models are committed.
 */
#include "model/encoder.h"
#include "model/model_folder.h"
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

static const uint64_t levels[] = {SX_CPU_C, SX_CPU_AVX2, SX_CPU_AVX512, SX_CPU_NEON};

/* ---- Fixtures ---- */

typedef struct array {
    float *data;
    size_t rows, columns;
} array;

static void fixture_path(char path[PATH_BYTES], const char *name)
{
    assert_true(snprintf(path, PATH_BYTES, "%s/%s", SX_FIXTURES, name) < PATH_BYTES);
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
    for (json_t *line; (line = json_loadf(file, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, &problem));)
        json_array_append_new(lines, line);
    if (!feof(file))
        fail_msg("%s: line %zu: %s", path, json_array_size(lines) + 1, problem.text);
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
    sx_tensors *file;
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
    if (sx_model_folder_read(folder, &bare->folder, &error) || sx_tensors_open(bare->folder.weights, &bare->file, &error) ||
        sx_thread_pool_open(threads, &bare->pool, &error) ||
        sx_weights_open(&bare->folder.architecture, bare->file, sx_kernels_for(level), NULL, SX_STORAGE_F32,
                        bare->folder.architecture.longest, bare->pool, &bare->weights, &error))
        fail_msg("%s", error.message);
    sx_encoder_init(&bare->encoder, &bare->folder.architecture, bare->weights);
    size_t longest = bare->folder.architecture.longest;
    if (sx_workspace_open(&bare->encoder, longest, longest, threads, &bare->space, &error))
        fail_msg("%s", error.message);
    bare->ids = calloc(longest, sizeof *bare->ids);
    assert_non_null(bare->ids);
}

static void bare_close(bare_encoder *bare)
{
    free(bare->ids);
    sx_workspace_close(&bare->space);
    sx_weights_close(bare->weights);
    sx_thread_pool_close(bare->pool);
    sx_tensors_close(bare->file);
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
    assert_in_range(length, 1, bare->folder.architecture.longest);
    for (size_t i = 0; i < length; i++)
        bare->ids[i] = (uint32_t)json_integer_value(json_array_get(ids, i));
    bare_run run = {bare, {.ids = bare->ids, .length = (uint32_t)length}};
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

/* ---- The public functions, from texts ---- */

typedef struct corpus {
    json_t *lines;
    sx_text *texts;
    size_t count;
} corpus;

static corpus read_texts(const char *name)
{
    corpus c = {.lines = read_jsonl(name)};
    c.count = json_array_size(c.lines);
    c.texts = calloc(c.count, sizeof *c.texts);
    assert_non_null(c.texts);
    for (size_t i = 0; i < c.count; i++) {
        const json_t *text = json_object_get(json_array_get(c.lines, i), "text");
        c.texts[i] = (sx_text){json_string_value(text), json_string_length(text)};
    }
    return c;
}

static void corpus_free(corpus *c)
{
    json_decref(c->lines);
    free(c->texts);
}

static sx_model *open_model(const char *folder, const sx_model_options *options)
{
    sx_model *model;
    sx_error error = {0};
    if (sx_model_open(folder, options, &model, &error))
        fail_msg("%s", error.message);
    return model;
}

/* vectors of all texts; the caller frees. */
static float *embed(const sx_model *model, unsigned threads, const sx_text *texts, size_t count, const char *prompt,
                    sx_receipt *receipts)
{
    sx_session_options session_options = {.size = sizeof session_options, .threads = threads};
    sx_embed_options options = {.size = sizeof options, .prompt = prompt};
    sx_session *session;
    sx_error error = {0};
    float *vectors = calloc(count * sx_model_describe(model)->dimensions, sizeof *vectors);
    assert_non_null(vectors);
    if (sx_session_open(model, &session_options, &session, &error) ||
        sx_session_embed(session, texts, count, &options, vectors, receipts, &error))
        fail_msg("%s", error.message);
    sx_session_close(session);
    return vectors;
}

static void check_minilm_texts(const char *variable, const char *expected_name, uint64_t level, unsigned threads, size_t step)
{
    if (!(sx_cpu_detect() & level))
        return;
    sx_model_options options = {.size = sizeof options, .cpu_mask = level, .max_length = 256};
    sx_model *model = open_model(model_folder(variable), &options);
    const sx_model_info *info = sx_model_describe(model);
    assert_int_equal(info->dimensions, WIDTH);
    corpus c = read_texts("texts.jsonl");
    array expected = read_npy(expected_name);
    assert_int_equal(c.count, MINILM_TEXTS);
    size_t count = (c.count + step - 1) / step;
    for (size_t i = 0; i < count; i++)
        c.texts[i] = c.texts[i * step];
    float *vectors = embed(model, threads, c.texts, count, NULL, NULL);
    for (size_t i = 0; i < count; i++) {
        if (!info->normalized) /* a plain folder: the reference vectors have length 1 */
            sx_normalize(vectors + i * WIDTH, WIDTH);
        check_close(expected_name, i * step, expected.data + i * step * WIDTH, vectors + i * WIDTH, WIDTH);
    }
    free(vectors);
    free(expected.data);
    corpus_free(&c);
    sx_model_close(model);
}

static void test_texts_fp32(void **state)
{
    check_minilm_texts("SX_TEST_MODEL", "minilm/vectors_fp32w.npy", SX_CPU_C, 2, 31);
    check_minilm_texts("SX_TEST_MODEL", "minilm/vectors_fp32w.npy", SX_CPU_AVX2, 1, 1);
    check_minilm_texts("SX_TEST_MODEL", "minilm/vectors_fp32w.npy", SX_CPU_AVX512, 2, 1);
}

static void test_texts_fp16(void **state)
{
    check_minilm_texts("SX_TEST_MODEL_FP16", "minilm/vectors_fp16w.npy", SX_CPU_C, 2, 101);
    check_minilm_texts("SX_TEST_MODEL_FP16", "minilm/vectors_fp16w.npy", SX_CPU_AVX2, 2, 1);
    check_minilm_texts("SX_TEST_MODEL_FP16", "minilm/vectors_fp16w.npy", SX_CPU_AVX512, 1, 1);
}

static void test_info(void **state)
{
    sx_model *model = open_model(model_folder("SX_TEST_MODEL"), NULL);
    const sx_model_info *info = sx_model_describe(model);
    assert_string_equal(info->family, "bert");
    assert_string_equal(info->pooling, "mean");
    assert_string_equal(info->similarity, "cosine");
    assert_string_equal(info->storage, "f32");
    assert_string_equal(info->weights_sha256, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db");
    assert_int_equal(info->max_length, 256);
    assert_int_equal(info->layers, 6);
    assert_int_equal(info->vocabulary_size, 30522);
    assert_int_equal(info->normalized, 1);
    sx_model_close(model);
}

/* ---- Families ---- */

typedef struct family_case {
    const char *folder, *expected, *pooling, *prompt; /* pooling: that one, not normalised, no default prompt */
} family_case;

static void check_family(const family_case *f, uint64_t level)
{
    char folder[PATH_BYTES], name[PATH_BYTES];
    json_error_t problem;
    sx_model_options options = {
        .size = sizeof options, .cpu_mask = level, .pooling = f->pooling, .no_normalize = f->pooling != NULL};
    snprintf(name, sizeof name, "families/%s", f->folder);
    fixture_path(folder, name);
    sx_model *model = open_model(folder, &options);
    uint32_t width = sx_model_describe(model)->dimensions;
    assert_true(snprintf(name, sizeof name, "%s/expected.json", folder) < PATH_BYTES);
    json_t *expected_json = json_load_file(name, 0, &problem);
    assert_non_null(expected_json);
    json_t *chosen = json_object_get(expected_json, "texts");
    snprintf(name, sizeof name, "families/%s/%s", f->folder, f->expected);
    array expected = read_npy(name);
    assert_int_equal(expected.columns, width);
    assert_int_equal(expected.rows, json_array_size(chosen));
    corpus c = read_texts("texts.jsonl");
    sx_text *texts = calloc(expected.rows, sizeof *texts);
    sx_receipt *receipts = calloc(expected.rows, sizeof *receipts);
    assert_non_null(texts);
    assert_non_null(receipts);
    for (size_t i = 0; i < expected.rows; i++) {
        const char *id = json_string_value(json_object_get(json_array_get(chosen, i), "id"));
        for (size_t j = 0; j < c.count; j++)
            if (strcmp(id, json_string_value(json_object_get(json_array_get(c.lines, j), "id"))) == 0)
                texts[i] = c.texts[j];
    }
    float *vectors = embed(model, 2, texts, expected.rows, f->prompt, receipts);
    for (size_t i = 0; i < expected.rows; i++) {
        assert_int_equal(receipts[i].status, SX_OK);
        if (!f->prompt)
            assert_int_equal(receipts[i].tokens, json_array_size(json_object_get(json_array_get(chosen, i), "ids")));
        check_close(name, i, expected.data + i * width, vectors + i * width, width);
    }
    free(vectors);
    free(texts);
    free(receipts);
    free(expected.data);
    corpus_free(&c);
    json_decref(expected_json);
    sx_model_close(model);
}

static void test_families(void **state)
{
    static const family_case cases[] = {
        {"bert", "expected.npy", NULL, NULL},
        {"bert", "expected_cls.npy", "cls", NULL},
        {"bert", "expected_mean.npy", "mean", NULL},
        {"bert", "expected_max.npy", "max", NULL},
        {"bert", "expected_mean_sqrt_len_tokens.npy", "mean_sqrt_len", NULL},
        {"bert", "expected_weightedmean.npy", "weightedmean", NULL},
        {"bert", "expected_lasttoken.npy", "lasttoken", NULL},
        {"bert-cased", "expected.npy", NULL, NULL},
        {"bert-cased", "expected_mean.npy", "mean", NULL},
        {"bert-concat-pooling", "expected.npy", NULL, NULL},
        {"bert-concat-pooling", "expected_mean.npy", "mean", NULL},
        {"bert-prompt-excluded", "expected.npy", NULL, NULL},
        {"bert-prompt-excluded", "expected_cls.npy", "cls", NULL},
        {"bert-prompt-excluded", "expected_prompt_query.npy", NULL, "query: "},
        {"bert-prompt-excluded", "expected_prompt_passage.npy", NULL, "passage: "},
    };
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases && sx_cpu_detect() & levels[l]; i++)
            check_family(&cases[i], levels[l]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_ids_fp32),
        cmocka_unit_test(test_ids_fp16),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_texts_fp32),
        cmocka_unit_test(test_texts_fp16),
        cmocka_unit_test(test_info),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
