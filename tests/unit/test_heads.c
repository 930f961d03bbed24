/* test_heads.c - what stands behind and around an encoder, on numbers one can check by hand: Dense and LayerNorm modules,
 * classification heads, token outputs, static models; and how damaged ones are refused. */
#include "base/file.h"
#include "model/classification_head.h"
#include "model/module_chain.h"
#include "model/pooling.h"
#include "model/static_model.h"
#include "model/token_outputs.h"
#include "text/lower.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { FILE_MAX = 8192, NAMES = 64 };

static char scratch[64];
static char made[NAMES][128];
static size_t made_count;

/* ---- Files ---- */

static char *place(const char *name)
{
    char *path = sx_path_join(scratch, name);
    assert_non_null(path);
    return path;
}

static void put(const char *name, const void *data, size_t length)
{
    sx_error error = {0};
    char *path = place(name), *slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(sx_make_folders(path, &error), SX_OK);
    *slash = '/';
    assert_int_equal(sx_file_write_atomic(path, data, length, &error), SX_OK);
    free(path);
    assert_true(made_count < NAMES);
    snprintf(made[made_count++], sizeof made[0], "%s", name);
}

static void put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

/* A .safetensors file being written; tensors come one after another. */
typedef struct builder {
    char header[2048];
    unsigned char data[4096];
    size_t used, length;
} builder;

static void add(builder *file, const char *name, const char *dtype, const char *shape, const void *data, size_t bytes)
{
    file->used += (size_t)snprintf(file->header + file->used, sizeof file->header - file->used,
                                   "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                                   file->used ? "," : "{", name, dtype, shape, file->length, file->length + bytes);
    memcpy(file->data + file->length, data, bytes);
    file->length += bytes;
}

static void add_floats(builder *file, const char *name, const char *shape, const float *values, size_t count)
{
    add(file, name, "F32", shape, values, count * sizeof *values);
}

static void finish(builder *file, const char *name)
{
    unsigned char all[FILE_MAX];
    size_t length = (size_t)snprintf((char *)all + 8, sizeof all - 8, "%s}", file->header);
    while (length % 8)
        all[8 + length++] = ' ';
    for (int i = 0; i < 8; i++)
        all[i] = (unsigned char)(length >> 8 * i);
    memcpy(all + 8 + length, file->data, file->length);
    put(name, all, 8 + length + file->length);
    memset(file, 0, sizeof *file);
}

static int begin(void **state)
{
    strcpy(scratch, "/tmp/sx-heads-XXXXXX");
    made_count = 0;
    return mkdtemp(scratch) ? 0 : -1;
}

static int end(void **state)
{
    for (size_t i = made_count; i-- > 0;) {
        char *path = place(made[i]), *slash = strrchr(path, '/');
        unlink(path);
        *slash = '\0';
        rmdir(path);
        free(path);
    }
    rmdir(scratch);
    return 0;
}

static void near(float found, double expected)
{
    if (!(fabs(found - expected) < 1e-5))
        fail_msg("%.7g, expected %.7g", (double)found, expected);
}

/* ---- Modules ---- */

static const float weight[6] = {1, 2, 3, -1, 0.5f, 0.25f}; /* 2 x 3 */
static const float bias[2] = {0.5f, -0.25f};

static void put_dense(const char *folder, const char *config, bool with_bias)
{
    builder file = {0};
    char name[64];
    add_floats(&file, "linear.weight", "2,3", weight, 6);
    if (with_bias)
        add_floats(&file, "linear.bias", "2", bias, 2);
    snprintf(name, sizeof name, "%s/model.safetensors", folder);
    finish(&file, name);
    snprintf(name, sizeof name, "%s/config.json", folder);
    put_text(name, config);
}

static sx_status open_chain(const sx_module_kind *kinds, size_t count, size_t inputs, sx_module_chain *chain, sx_error *error)
{
    sx_module_entry entries[4];
    char paths[4][128];
    for (size_t i = 0; i < count; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/%zu", scratch, i);
        entries[i] = (sx_module_entry){kinds[i], paths[i]};
    }
    return sx_module_chain_open(entries, count, inputs, sx_kernels_for(0), chain, error);
}

static void test_dense(void **state)
{
    static const struct {
        const char *name;
        double (*function)(double);
    } activations[] = {{"linear.Identity", NULL}, {"activation.Tanh", tanh}};
    static const sx_module_kind kinds[] = {SX_MODULE_DENSE};
    for (size_t i = 0; i < 2; i++) {
        for (int with_bias = 0; with_bias < 2; with_bias++) {
            char config[256];
            float first[3] = {0.1f, -0.2f, 0.3f}, second[3];
            float *const buffers[2] = {first, second};
            sx_module_chain chain;
            sx_error error = {0};
            snprintf(config, sizeof config, "{\"in_features\":3,\"out_features\":2,\"bias\":%s,\"activation_function\":"
                     "\"torch.nn.modules.%s\"}", with_bias ? "true" : "false", activations[i].name);
            put_dense("0", config, with_bias);
            if (open_chain(kinds, 1, 3, &chain, &error))
                fail_msg("%s", error.message);
            assert_int_equal(chain.outputs, 2);
            assert_int_equal(chain.widest, 3);
            assert_int_equal(chain.parameters, with_bias ? 8 : 6);
            const float *out = sx_module_chain_run(&chain, buffers);
            double expected[2] = {0.6 + (with_bias ? 0.5 : 0), -0.125 - (with_bias ? 0.25 : 0)};
            for (int j = 0; j < 2; j++)
                near(out[j], activations[i].function ? activations[i].function(expected[j]) : expected[j]);
            sx_module_chain_clear(&chain);
        }
    }
}

static void test_chain(void **state)
{
    static const sx_module_kind kinds[] = {SX_MODULE_DENSE, SX_MODULE_LAYER_NORM, SX_MODULE_NORMALIZE};
    static const float gain[2] = {2, 3}, shift[2] = {1, -1};
    builder file = {0};
    float first[3] = {0.1f, -0.2f, 0.3f}, second[3];
    float *const buffers[2] = {first, second};
    sx_module_chain chain;
    sx_buffer text = {0};
    sx_error error = {0};
    put_dense("0", "{\"in_features\":3,\"out_features\":2,\"bias\":false,\"activation_function\":"
                   "\"torch.nn.modules.activation.ReLU\"}", false);
    add_floats(&file, "norm.weight", "2", gain, 2);
    add_floats(&file, "norm.bias", "2", shift, 2);
    finish(&file, "1/model.safetensors");
    put_text("1/config.json", "{\"dimension\":2}");
    if (open_chain(kinds, 3, 3, &chain, &error))
        fail_msg("%s", error.message);
    const float *out = sx_module_chain_run(&chain, buffers);
    /* ReLU gives 0.6, 0; the norm +-1 (but for its epsilon), times and plus; then length 1 */
    double deviation = 0.3 / sqrt(0.09 + 1e-5), a = 2 * deviation + 1, b = -3 * deviation - 1, length = sqrt(a * a + b * b);
    near(out[0], a / length);
    near(out[1], b / length);
    sx_module_chain_describe(&chain, &text);
    assert_string_equal(text.data, "dense(relu),layernorm,normalize");
    sx_buffer_clear(&text);
    sx_module_chain_clear(&chain);
}

static void refuse_chain(sx_module_kind kind, sx_status expected, const char *word)
{
    sx_module_chain chain;
    sx_error error = {0};
    sx_status status = open_chain(&kind, 1, 3, &chain, &error);
    if (status != expected || !strstr(error.message, word))
        fail_msg("expected %d and \"%s\", got %d: %s", expected, word, status, error.message);
    assert_null(chain.modules);
}

static void test_modules_refused(void **state)
{
#define DENSE(IN, OUT, ACTIVATION, MORE) \
    "{\"in_features\":" IN ",\"out_features\":" OUT ",\"bias\":true,\"activation_function\":\"" ACTIVATION "\"" MORE "}"
#define TANH "torch.nn.modules.activation.Tanh"
    static const struct {
        const char *config;
        sx_status status;
        const char *word;
    } cases[] = {
        {DENSE("4", "2", TANH, ""), SX_E_FORMAT, "in_features is 4, but the module before gives 3"},
        {DENSE("3", "5", TANH, ""), SX_E_FORMAT, "shape [2, 3], but [5, 3] is expected"},
        {DENSE("3", "0", TANH, ""), SX_E_FORMAT, "out_features"},
        {DENSE("3", "2", "torch.nn.modules.activation.Mish", ""), SX_E_UNSUPPORTED, "Mish"},
        {DENSE("3", "2", "their.own.Tanh", ""), SX_E_UNSUPPORTED, "their.own.Tanh"},
        {DENSE("3", "2", TANH, ",\"use_residual\":true"), SX_E_UNSUPPORTED, "use_residual"},
        {DENSE("3", "2", TANH, ",\"module_input_name\":\"token_embeddings\""), SX_E_UNSUPPORTED, "token_embeddings"},
        {DENSE("3", "2", TANH, ",\"module_output_name\":\"other\""), SX_E_UNSUPPORTED, "other"},
        {"{\"in_features\":3,\"out_features\":2}", SX_E_FORMAT, "activation_function"},
        {"{\"out_features\":2}", SX_E_FORMAT, "in_features"},
        {"[]", SX_E_FORMAT, "object"},
        {DENSE("3", "2", TANH, ""), SX_E_FORMAT, "linear.bias is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_dense("0", cases[i].config, false);
        refuse_chain(SX_MODULE_DENSE, cases[i].status, cases[i].word);
        made_count = 2; /* the same two files again */
    }
    char *path = place("0/model.safetensors");
    put_text("0/model.safetensors", "not weights");
    refuse_chain(SX_MODULE_DENSE, SX_E_FORMAT, "model.safetensors");
    unlink(path);
    refuse_chain(SX_MODULE_DENSE, SX_E_NOT_FOUND, "/0: no model.safetensors");
    free(path);
    path = place("0/config.json");
    unlink(path);
    refuse_chain(SX_MODULE_DENSE, SX_E_NOT_FOUND, "config.json");
    free(path);
}

/* ---- Classification heads ---- */

static const float head_weight[4] = {0.5f, -1, 2, 0.25f}, head_bias[2] = {0.1f, -0.1f};
static const float out_weight[2] = {1, -2}, out_bias[1] = {0.5f};

static sx_status open_head(const char *family, sx_classification_head *head, sx_tensors **file, sx_error *error)
{
    char *path = place("model.safetensors");
    assert_int_equal(sx_tensors_open(path, file, error), SX_OK);
    free(path);
    return sx_classification_head_open(scratch, family, 2, *file, sx_kernels_for(0), head, error);
}

static void put_head(const char *hidden, const char *output, bool with_bias)
{
    builder file = {0};
    char name[64];
    snprintf(name, sizeof name, "%s.weight", hidden);
    add_floats(&file, name, "2,2", head_weight, 4);
    snprintf(name, sizeof name, "%s.bias", hidden);
    add_floats(&file, name, "2", head_bias, 2);
    snprintf(name, sizeof name, "%s.weight", output);
    add_floats(&file, name, "1,2", out_weight, 2);
    if (with_bias) {
        snprintf(name, sizeof name, "%s.bias", output);
        add_floats(&file, name, "1", out_bias, 1);
    }
    finish(&file, "model.safetensors");
}

static double relu(double x)
{
    return x > 0 ? x : 0;
}

static double gelu(double x)
{
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}

static void test_head_families(void **state)
{
    static const struct {
        const char *family, *hidden, *output;
        double (*function)(double);
    } families[] = {
        {"bert", "bert.pooler.dense", "classifier", tanh},
        {"bert", "pooler.dense", "classifier", tanh},
        {"albert", "albert.pooler", "classifier", tanh},
        {"roberta", "classifier.dense", "classifier.out_proj", tanh},
        {"xlm-roberta", "classifier.dense", "classifier.out_proj", tanh},
        {"camembert", "classifier.dense", "classifier.out_proj", tanh},
        {"mpnet", "classifier.dense", "classifier.out_proj", tanh},
        {"electra", "classifier.dense", "classifier.out_proj", gelu},
        {"distilbert", "pre_classifier", "classifier", relu},
    };
    static const float states[6] = {0.3f, 0.7f, 9, 9, 9, 9};
    put_text("config.json", "{\"id2label\":{\"0\":\"LABEL_0\"}}");
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        sx_classification_head head;
        sx_tensors *file;
        sx_error error = {0};
        float scratch_floats[4], logit, score;
        put_head(families[i].hidden, families[i].output, true);
        made_count = 2;
        if (open_head(families[i].family, &head, &file, &error))
            fail_msg("%s", error.message);
        sx_classification_head_run(&head, sx_kernels_for(0), states, 2, NULL, 3, scratch_floats, &logit);
        double a = families[i].function(0.15 - 0.7 + 0.1), b = families[i].function(0.6 + 0.175 - 0.1);
        near(logit, a - 2 * b + 0.5);
        sx_classification_head_scores(&head, sx_kernels_for(0), &logit, 1, &score);
        near(score, 1 / (1 + exp(-(a - 2 * b + 0.5)))); /* one label: sigmoid unless said otherwise */
        assert_int_equal(head.parameters, 9);
        sx_classification_head_clear(&head);
        sx_tensors_close(file);
    }
}

/* The last token that is not padding, as transformers takes it for causal models. */
static void test_last_token_head(void **state)
{
    static const float states[6] = {1, 1, 2, -3, 9, 9};
    static const uint32_t ids[3] = {4, 5, 7};
    for (int padded = 0; padded < 2; padded++) {
        builder file = {0};
        sx_classification_head head;
        sx_tensors *tensors;
        sx_error error = {0};
        float scratch_floats[4], logit;
        add_floats(&file, "score.weight", "1,2", out_weight, 2);
        finish(&file, "model.safetensors");
        put_text("config.json", padded ? "{\"pad_token_id\":7}" : "{}");
        if (open_head("qwen3", &head, &tensors, &error))
            fail_msg("%s", error.message);
        sx_classification_head_run(&head, sx_kernels_for(0), states, 2, ids, 3, scratch_floats, &logit);
        near(logit, padded ? 8 : -9);
        sx_classification_head_clear(&head);
        sx_tensors_close(tensors);
    }
}

static void test_head_activations(void **state)
{
    static const struct {
        const char *config, *other;
        sx_activation activation;
    } cases[] = {
        {"{}", NULL, SX_ACTIVATION_SIGMOID},
        {"{\"sentence_transformers\":{\"activation_fn\":\"torch.nn.modules.linear.Identity\"}}", NULL, SX_ACTIVATION_NONE},
        {"{\"sbert_ce_default_activation_function\":\"torch.nn.modules.linear.Identity\"}", NULL, SX_ACTIVATION_NONE},
        {"{\"sbert_ce_default_activation_function\":null}", NULL, SX_ACTIVATION_SIGMOID},
        {"{\"sentence_transformers\":{\"activation_fn\":\"their.own.thing\"}}", NULL, SX_ACTIVATION_SIGMOID},
        {"{}", "{\"activation_fn\":\"torch.nn.modules.activation.Tanh\"}", SX_ACTIVATION_TANH},
    };
    put_head("pooler.dense", "classifier", true);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sx_classification_head head;
        sx_tensors *file;
        sx_error error = {0};
        put_text("config.json", cases[i].config);
        if (cases[i].other)
            put_text("config_sentence_transformers.json", cases[i].other);
        if (open_head("bert", &head, &file, &error))
            fail_msg("%s", error.message);
        assert_int_equal(head.activation, cases[i].activation);
        sx_classification_head_clear(&head);
        sx_tensors_close(file);
    }
}

static void test_heads_refused(void **state)
{
    static const struct {
        const char *family, *hidden, *output, *config;
        bool with_bias;
        sx_status status;
        const char *word;
    } cases[] = {
        {"deberta-v2", "pooler.dense", "classifier", "{}", true, SX_E_UNSUPPORTED, "\"deberta-v2\""},
        {"bert", "other", "classifier", "{}", true, SX_E_FORMAT, "bert.pooler.dense.weight is missing"},
        {"bert", "pooler.dense", "other", "{}", true, SX_E_FORMAT, "classifier.weight is missing"},
        {"bert", "pooler.dense", "classifier", "{}", false, SX_E_FORMAT, "classifier.bias is missing"},
        {"bert", "pooler.dense", "classifier", "{\"id2label\":{\"0\":\"a\",\"1\":\"b\"}}", true, SX_E_FORMAT,
         "id2label has 2 labels, but tensor classifier.weight"},
        {"bert", "pooler.dense", "classifier", "{\"sentence_transformers\":{\"activation_fn\":\"torch.nn.Softplus\"}}", true,
         SX_E_UNSUPPORTED, "Softplus"},
        {"modernbert", "head.dense", "classifier", "{\"classifier_pooling\":\"max\"}", true, SX_E_UNSUPPORTED, "max"},
        {"modernbert", "head.dense", "classifier", "{\"classifier_activation\":\"odd\"}", true, SX_E_UNSUPPORTED, "odd"},
        {"modernbert", "head.dense", "classifier", "{}", true, SX_E_FORMAT, "head.norm.weight is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sx_classification_head head;
        sx_tensors *file;
        sx_error error = {0};
        put_head(cases[i].hidden, cases[i].output, cases[i].with_bias);
        put_text("config.json", cases[i].config);
        made_count = 2;
        sx_status status = open_head(cases[i].family, &head, &file, &error);
        if (status != cases[i].status || !strstr(error.message, cases[i].word))
            fail_msg("expected %d and \"%s\", got %d: %s", cases[i].status, cases[i].word, status, error.message);
        sx_tensors_close(file);
    }
}

/* ---- Token outputs ---- */

static void test_token_outputs(void **state)
{
    static const float one[2] = {1, -1}, zero[1] = {0.25f}, square[4] = {3, 0, 0, 4}, zeros[2] = {0};
    static const float states[12] = {9, 0, 1, 0.5f, 0, 5, 2, 0.5f, 0.5f, 0.5f, 8, 0}; /* 6 rows */
    static const uint32_t tokens[6] = {0, 7, 5, 7, 3, 2};
    builder file = {0};
    sx_token_outputs outputs;
    sx_error error = {0};
    uint32_t ids[6];
    float weights[6], vectors[10];
    assert_int_equal(sx_token_outputs_open(scratch, 2, sx_kernels_for(0), &outputs, &error), SX_OK);
    assert_int_equal(outputs.sparse.outputs + outputs.multi.outputs, 0); /* none there is no error */
    add_floats(&file, "weight", "1,2", one, 2);
    add_floats(&file, "bias", "1", zero, 1);
    finish(&file, "sparse_linear.safetensors");
    add_floats(&file, "weight", "2,2", square, 4);
    add_floats(&file, "bias", "2", zeros, 2);
    finish(&file, "colbert_linear.safetensors");
    if (sx_token_outputs_open(scratch, 2, sx_kernels_for(0), &outputs, &error))
        fail_msg("%s", error.message);
    outputs.excluded[outputs.excluded_count++] = 0;
    outputs.excluded[outputs.excluded_count++] = 2;
    size_t count = sx_token_outputs_sparse(&outputs, sx_kernels_for(0), states, 2, 6, tokens, ids, weights);
    assert_int_equal(count, 2); /* 5 is below 0; 0 and 2 are left out; 7 is there twice */
    assert_int_equal(ids[0], 3);
    near(weights[0], 0.25);
    assert_int_equal(ids[1], 7);
    near(weights[1], 1.75);
    sx_token_outputs_multi(&outputs, sx_kernels_for(0), states, 2, 6, vectors);
    near(vectors[0], 3 / sqrt(13));
    near(vectors[1], 2 / sqrt(13));
    near(vectors[2], 0);
    near(vectors[3], 1);
    sx_token_outputs_clear(&outputs);
    /* a damaged one is an error, not one that is not there */
    put_text("colbert_linear.safetensors", "");
    assert_int_equal(sx_token_outputs_open(scratch, 2, sx_kernels_for(0), &outputs, &error), SX_E_FORMAT);
    assert_non_null(strstr(error.message, "colbert_linear"));
    add_floats(&file, "weight", "2,2", square, 4);
    add_floats(&file, "bias", "2", zeros, 2);
    finish(&file, "sparse_linear.safetensors");
    assert_int_equal(sx_token_outputs_open(scratch, 2, sx_kernels_for(0), &outputs, &error), SX_E_FORMAT);
    assert_non_null(strstr(error.message, "[2, 2], but [1, 2]"));
}

/* ---- Static models ---- */

static sx_status open_static(sx_static_model *model, sx_tensors **file, sx_error *error)
{
    char *path = place("model.safetensors");
    sx_status status = sx_tensors_open(path, file, error);
    free(path);
    return status ? status : sx_static_model_open(*file, model, error);
}

static const float table[6] = {1, 2, 3, 4, -5, 6}; /* 3 x 2 */

static void mean_of(const sx_static_model *model, const uint32_t *ids, size_t count, float out[2])
{
    double sums[2];
    float row[2];
    sx_static_model_mean(model, sx_kernels_for(0), ids, count, sums, row, out);
}

static void test_static(void **state)
{
    static const int64_t mapping[4] = {2, 0, 0, 1};
    static const double weights[4] = {0.5, 2, 1, 4};
    static const signed char bytes[6] = {1, -2, 3, 4, 5, 127};
    static const uint32_t ids[3] = {0, 1, 3}, plain[3] = {0, 1, 2};
    builder file = {0};
    sx_static_model model;
    sx_tensors *tensors;
    sx_error error = {0};
    float out[2];
    add_floats(&file, "embeddings", "3,2", table, 6);
    finish(&file, "model.safetensors");
    assert_int_equal(open_static(&model, &tensors, &error), SX_OK);
    mean_of(&model, plain, 3, out);
    near(out[0], -1 / 3.0);
    near(out[1], 4);
    mean_of(&model, plain, 0, out);
    assert_true(out[0] == 0 && out[1] == 0);
    sx_static_model_clear(&model);
    sx_tensors_close(tensors);
    add_floats(&file, "embedding.weight", "3,2", table, 6);
    add(&file, "mapping", "I64", "4", mapping, sizeof mapping);
    add(&file, "weights", "F64", "4", weights, sizeof weights);
    finish(&file, "model.safetensors");
    assert_int_equal(open_static(&model, &tensors, &error), SX_OK);
    assert_int_equal(model.tokens, 4);
    mean_of(&model, ids, 3, out);
    near(out[0], (-2.5 + 2 + 12) / 3);
    near(out[1], (3 + 4 + 16) / 3.0);
    sx_static_model_clear(&model);
    sx_tensors_close(tensors);
    add(&file, "embeddings", "I8", "3,2", bytes, sizeof bytes);
    finish(&file, "model.safetensors");
    assert_int_equal(open_static(&model, &tensors, &error), SX_OK);
    mean_of(&model, plain, 3, out);
    near(out[0], 3);
    near(out[1], 43);
    sx_static_model_clear(&model);
    sx_tensors_close(tensors);
}

static void refuse_static(builder *file, sx_status expected, const char *word)
{
    sx_static_model model;
    sx_tensors *tensors = NULL;
    sx_error error = {0};
    finish(file, "model.safetensors");
    sx_status status = open_static(&model, &tensors, &error);
    if (status != expected || !strstr(error.message, word))
        fail_msg("expected %d and \"%s\", got %d: %s", expected, word, status, error.message);
    assert_null(model.mapping);
    sx_tensors_close(tensors);
}

static void test_static_refused(void **state)
{
    static const int64_t outside[3] = {0, 3, 1}, below[3] = {0, -1, 1};
    static const double weights[2] = {1, 1};
    builder file = {0};
    add_floats(&file, "other", "3,2", table, 6);
    refuse_static(&file, SX_E_FORMAT, "embeddings is missing");
    add_floats(&file, "embeddings", "6", table, 6);
    refuse_static(&file, SX_E_FORMAT, "embeddings: 1 dimensions");
    add(&file, "embeddings", "U8", "3,2", table, 6);
    refuse_static(&file, SX_E_UNSUPPORTED, "U8");
    add_floats(&file, "embeddings", "3,2", table, 6);
    add(&file, "mapping", "I64", "3", outside, sizeof outside);
    refuse_static(&file, SX_E_FORMAT, "token 1 means row 3, but embeddings has 3");
    add_floats(&file, "embeddings", "3,2", table, 6);
    add(&file, "mapping", "I64", "3", below, sizeof below);
    refuse_static(&file, SX_E_FORMAT, "token 1 means row -1");
    add_floats(&file, "embeddings", "3,2", table, 6);
    add_floats(&file, "mapping", "3", table, 3);
    refuse_static(&file, SX_E_FORMAT, "expected I64");
    add_floats(&file, "embeddings", "3,2", table, 6);
    add(&file, "weights", "F64", "2", weights, sizeof weights);
    refuse_static(&file, SX_E_FORMAT, "2 values, but there are 3 tokens");
}

/* ---- Lower case ---- */

static void test_lower(void **state)
{
    static const char *const cases[][2] = { /* by Python's str.lower() */
        {"", ""}, {"Hello WORLD 12", "hello world 12"}, {"ÄÖÜ ẞ Ǆ", "äöü ß ǆ"}, {"İstanbul I", "i̇stanbul i"},
        {"ΟΔΥΣΣΕΥΣ", "οδυσσευς"}, {"Σ", "σ"}, {"ΑΣ.", "ας."}, {"ΑΣ.Β", "ασ.β"}, {"ΑΣ Β", "ας β"}, {"1Σ", "1σ"},
        {"Α\xcc\x81Σ", "α\xcc\x81ς"}, {"ΑΣ\xc2\xad", "ας\xc2\xad"}, {"ΑΣ'Β", "ασ'β"}, {"ⒶΣ", "ⓐς"}, {"ªΣ", "ªς"},
        {"a\xff" "B", "a\xef\xbf\xbd" "b"}, {"Ⅻ Ⓩ 𐐀", "ⅻ ⓩ 𐐨"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sx_buffer out = {0};
        assert_true(sx_text_lower(cases[i][0], strlen(cases[i][0]), &out));
        assert_string_equal(out.data ? out.data : "", cases[i][1]);
        sx_buffer_clear(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_dense, begin, end),
        cmocka_unit_test_setup_teardown(test_chain, begin, end),
        cmocka_unit_test_setup_teardown(test_modules_refused, begin, end),
        cmocka_unit_test_setup_teardown(test_head_families, begin, end),
        cmocka_unit_test_setup_teardown(test_last_token_head, begin, end),
        cmocka_unit_test_setup_teardown(test_head_activations, begin, end),
        cmocka_unit_test_setup_teardown(test_heads_refused, begin, end),
        cmocka_unit_test_setup_teardown(test_token_outputs, begin, end),
        cmocka_unit_test_setup_teardown(test_static, begin, end),
        cmocka_unit_test_setup_teardown(test_static_refused, begin, end),
        cmocka_unit_test(test_lower),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
