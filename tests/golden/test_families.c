/* test_families.c - the encoder of every family, from token ids to pooled states, against the reference's.
 *
 * Every folder with token ids and token poolings is run with every instruction set; batches of
 * several compositions and one to three threads have to give the same bits.
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

enum { PATH_BYTES = 512, MOST_TEXTS = 64 };

static const uint64_t levels[] = {SX_CPU_C, SX_CPU_AVX2, SX_CPU_AVX512, SX_CPU_NEON};

static const char *const folders[] = {
    "families/albert",
    "families/bert",
    "families/bert-cased",
    "families/bert-concat-pooling",
    "families/bert-prompt-excluded",
    "families/bge-m3",
    "families/distilbert",
    "families/distilroberta",
    "families/electra",
    "families/embeddinggemma",
    "families/modernbert",
    "families/mpnet",
    "families/qwen3",
    "families/roberta",
    "families/sentence-t5",
    "families/xlm-roberta",
    "encoder/nomic_bert",
};

static const struct {
    const char *file;
    unsigned pooling;
} poolings[] = {
    {"expected_cls.npy", SX_POOLING_CLS},
    {"expected_mean.npy", SX_POOLING_MEAN},
    {"expected_max.npy", SX_POOLING_MAX},
    {"expected_lasttoken.npy", SX_POOLING_LAST_TOKEN},
    {"expected_mean_sqrt_len_tokens.npy", SX_POOLING_MEAN_SQRT_LEN},
    {"expected_weightedmean.npy", SX_POOLING_WEIGHTED_MEAN},
};

/* ---- Reference files ---- */

static json_t *read_json(const char *folder, const char *name)
{
    char path[PATH_BYTES];
    json_error_t problem;
    snprintf(path, sizeof path, SX_FIXTURES "/%s/%s", folder, name);
    json_t *root = json_load_file(path, 0, &problem);
    if (!root)
        fail_msg("%s: %s", path, problem.text);
    return root;
}

/* A two-dimensional little-endian float32 array; NULL when there is no such file. The caller frees it. */
static float *read_npy(const char *folder, const char *name, size_t *rows, size_t *columns)
{
    char path[PATH_BYTES], header[256];
    unsigned char start[10];
    snprintf(path, sizeof path, SX_FIXTURES "/%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    assert_int_equal(fread(start, 1, sizeof start, file), sizeof start);
    size_t length = start[8] | (size_t)start[9] << 8;
    assert_true(length < sizeof header);
    assert_int_equal(fread(header, 1, length, file), length);
    header[length] = '\0';
    assert_non_null(strstr(header, "<f4"));
    assert_int_equal(sscanf(strstr(header, "'shape': ("), "'shape': (%zu, %zu)", rows, columns), 2);
    float *data = calloc(*rows * *columns, sizeof *data);
    assert_non_null(data);
    assert_int_equal(fread(data, sizeof *data, *rows * *columns, file), *rows * *columns);
    fclose(file);
    return data;
}

/* ---- A model without its tokenizer ---- */

typedef struct family_model {
    sx_architecture architecture;
    sx_arena arena;
    sx_tensors *file;
    sx_thread_pool *pool;
    sx_weights *weights;
    sx_encoder encoder;
    json_t *expected;
    uint32_t *ids[MOST_TEXTS];
    uint32_t lengths[MOST_TEXTS];
    size_t texts, tokens, longest;
} family_model;

static void open_model(family_model *model, const char *folder, uint64_t level)
{
    char path[PATH_BYTES];
    sx_error error = {0};
    memset(model, 0, sizeof *model);
    model->expected = read_json(folder, "expected.json");
    json_t *texts = json_object_get(model->expected, "texts");
    model->texts = json_array_size(texts);
    assert_in_range(model->texts, 2, MOST_TEXTS);
    for (size_t i = 0; i < model->texts; i++) {
        json_t *ids = json_object_get(json_array_get(texts, i), "ids");
        model->lengths[i] = (uint32_t)json_array_size(ids);
        model->ids[i] = calloc(model->lengths[i], sizeof **model->ids);
        assert_non_null(model->ids[i]);
        for (size_t j = 0; j < model->lengths[i]; j++)
            model->ids[i][j] = (uint32_t)json_integer_value(json_array_get(ids, j));
        model->tokens += model->lengths[i];
        if (model->lengths[i] > model->longest)
            model->longest = model->lengths[i];
    }
    snprintf(path, sizeof path, SX_FIXTURES "/%s", folder);
    sx_status status = sx_architecture_read(path, &model->arena, &model->architecture, &error);
    snprintf(path, sizeof path, SX_FIXTURES "/%s/model.safetensors", folder);
    if (status || sx_tensors_open(path, &model->file, &error) || sx_thread_pool_open(2, &model->pool, &error) ||
        sx_weights_open(&model->architecture, model->file, sx_kernels_for(level), NULL, SX_STORAGE_F32, model->longest,
                        model->pool, &model->weights, &error))
        fail_msg("%s: %s", folder, error.message);
    assert_in_range(model->longest, 1, model->architecture.longest);
    sx_encoder_init(&model->encoder, &model->architecture, model->weights);
}

static void close_model(family_model *model)
{
    sx_weights_close(model->weights);
    sx_thread_pool_close(model->pool);
    sx_tensors_close(model->file);
    sx_arena_clear(&model->arena);
    for (size_t i = 0; i < model->texts; i++)
        free(model->ids[i]);
    json_decref(model->expected);
}

typedef struct shared_run {
    const family_model *model;
    const sx_sequence *sequences;
    size_t count;
    sx_workspace *space;
    sx_thread_pool *pool;
} shared_run;

static void run_work(void *user, unsigned worker)
{
    shared_run *run = user;
    sx_encoder_run(&run->model->encoder, run->sequences, run->count, run->space, run->pool, worker,
                   sx_thread_pool_size(run->pool));
}

/* All texts in passes of `group` of them, shared by so many threads; text i's states stand from the row on where it begins
 * when all texts lie end to end. */
static float *run_model(const family_model *model, size_t group, unsigned threads)
{
    size_t hidden = model->architecture.hidden_size, row = 0;
    sx_workspace space;
    sx_error error = {0};
    sx_thread_pool *pool;
    float *states = calloc(model->tokens * hidden, sizeof *states);
    assert_non_null(states);
    if (sx_thread_pool_open(threads, &pool, &error) ||
        sx_workspace_open(&model->encoder, model->tokens, model->longest, threads, &space, &error))
        fail_msg("%s", error.message);
    for (size_t first = 0; first < model->texts; first += group) {
        sx_sequence sequences[MOST_TEXTS];
        shared_run run = {.model = model, .sequences = sequences, .space = &space, .pool = pool};
        uint32_t tokens = 0;
        for (; run.count < group && first + run.count < model->texts; run.count++) {
            size_t text = first + run.count;
            sequences[run.count] = (sx_sequence){.ids = model->ids[text], .length = model->lengths[text], .row = tokens};
            tokens += model->lengths[text];
        }
        sx_thread_pool_run(pool, run_work, &run);
        for (size_t i = 0; i < tokens; i++, row++)
            memcpy(states + row * hidden, space.states + i * space.state_stride, hidden * sizeof *states);
    }
    sx_workspace_close(&space);
    sx_thread_pool_close(pool);
    return states;
}

/* ---- Tests ---- */

static size_t check_pooling(const char *folder, const family_model *model, const float *states, size_t kind, double limit)
{
    size_t rows, columns, hidden = model->architecture.hidden_size, row = 0;
    float *expected = read_npy(folder, poolings[kind].file, &rows, &columns);
    if (!expected)
        return 0;
    assert_int_equal(rows, model->texts);
    assert_int_equal(columns, hidden);
    float *found = calloc(hidden, sizeof *found);
    assert_non_null(found);
    for (size_t i = 0; i < rows; i++) {
        sx_pool(model->weights->kernels, poolings[kind].pooling, states + row * hidden, hidden, model->lengths[i], 0, hidden,
                found);
        for (size_t j = 0; j < hidden; j++)
            if (!(fabs((double)expected[i * hidden + j] - found[j]) <= limit))
                fail_msg("%s, %s, %s: row %zu, column %zu: %.8g expected, %.8g found", folder, model->weights->kernels->name,
                         poolings[kind].file, i, j, (double)expected[i * hidden + j], (double)found[j]);
        row += model->lengths[i];
    }
    free(found);
    free(expected);
    return 1;
}

static void test_vectors(void **state)
{
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
        for (size_t f = 0; f < sizeof folders / sizeof *folders && sx_cpu_detect() & levels[l]; f++) {
            family_model model;
            size_t compared = 0;
            open_model(&model, folders[f], levels[l]);
            double limit = model.architecture.layers < 4 ? 1e-5 : 1e-4;
            float *states = run_model(&model, 3, 1);
            for (size_t kind = 0; kind < sizeof poolings / sizeof *poolings; kind++)
                compared += check_pooling(folders[f], &model, states, kind, limit);
            if (!compared)
                fail_msg("%s: nothing to compare with", folders[f]);
            free(states);
            close_model(&model);
        }
    }
}

static void test_same_bits(void **state)
{
    for (size_t f = 0; f < sizeof folders / sizeof *folders; f++) {
        family_model model;
        open_model(&model, folders[f], 0);
        float *alone = run_model(&model, 1, 1);
        size_t bytes = model.tokens * model.architecture.hidden_size * sizeof *alone;
        for (unsigned threads = 1; threads <= 3; threads++) {
            static const size_t groups[] = {1, 2, 5, MOST_TEXTS};
            for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
                float *together = run_model(&model, groups[g], threads);
                if (memcmp(alone, together, bytes) != 0)
                    fail_msg("%s: %zu texts in a pass, %u threads: other bits", folders[f], groups[g], threads);
                free(together);
            }
        }
        free(alone);
        close_model(&model);
    }
}

/* The file is refused for this architecture, and the message holds the word. */
static void refuse_weights(const family_model *model, const sx_architecture *changed, sx_status expected, const char *word)
{
    sx_weights *weights;
    sx_error error = {0};
    sx_status status = sx_weights_open(changed, model->file, sx_kernels_for(0), NULL, SX_STORAGE_F32, 8, model->pool,
                                       &weights, &error);
    assert_null(weights);
    if (status != expected || !strstr(error.message, word))
        fail_msg("expected %d and \"%s\", got %d: %s", expected, word, status, error.message);
}

/* A tensor that is missing, of another shape, or a bias where none is expected. */
static void test_refused(void **state)
{
    family_model model;
    open_model(&model, "families/bert-cased", 0);
    sx_architecture changed = model.architecture;
    changed.mixed_bias = false;
    refuse_weights(&model, &changed, SX_E_UNSUPPORTED, "bert.encoder.layer.0.attention.self.query.bias: a bias");
    changed = model.architecture;
    changed.norm_bias = false;
    refuse_weights(&model, &changed, SX_E_UNSUPPORTED, "bert.embeddings.LayerNorm.bias: a bias");
    changed = model.architecture;
    changed.intermediate_size++;
    refuse_weights(&model, &changed, SX_E_FORMAT,
                   "intermediate.dense.weight: shape [96, 36], but the configuration makes it [97, 36]");
    changed = model.architecture;
    changed.layers++;
    refuse_weights(&model, &changed, SX_E_FORMAT, "bert.encoder.layer.2.attention.self.query.weight is missing");
    close_model(&model);
    open_model(&model, "families/qwen3", 0);
    changed = model.architecture;
    changed.mixed_bias = true;
    refuse_weights(&model, &changed, SX_E_FORMAT, "layers.0.self_attn.q_proj.bias is missing");
    close_model(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
