/* test_model_folder.c - what the files of a model folder mean, with their defaults, and which ones are refused. */
#include "model/model_folder.h"
#include "model/pooling.h"

#include "base/file.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char scratch[64];

static void put(const char *name, const char *text)
{
    sx_error error = {0};
    char *path = sx_path_join(scratch, name), *slash = strrchr(path, '/');
    assert_non_null(path);
    *slash = '\0';
    assert_int_equal(sx_make_folders(path, &error), SX_OK);
    *slash = '/';
    assert_int_equal(sx_file_write_atomic(path, text, strlen(text), &error), SX_OK);
    free(path);
}

static void drop(const char *name)
{
    char *path = sx_path_join(scratch, name);
    unlink(path);
    free(path);
}

static const char small_config[] =
    "{\"model_type\":\"bert\",\"hidden_size\":8,\"num_attention_heads\":2,\"num_hidden_layers\":1,"
    "\"intermediate_size\":16,\"vocab_size\":9,\"max_position_embeddings\":32,\"type_vocab_size\":1}";
static const char *const files[] = {"config.json", "modules.json", "model.safetensors", "other.safetensors", "third.safetensors",
                                    "sentence_bert_config.json", "sentence_roberta_config.json", "pytorch_model.bin", "model.onnx",
                                    "model.safetensors.index.json", "sparse_linear.safetensors", "config_sentence_transformers.json", "tokenizer_config.json",
                                    "1_Pooling/config.json"};

/* A plain folder: config.json and weights only. */
static int begin(void **state)
{
    strcpy(scratch, "/tmp/sx-folder-XXXXXX");
    if (!mkdtemp(scratch))
        return -1;
    put("config.json", small_config);
    put("model.safetensors", "x");
    return 0;
}

static int end(void **state)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        drop(files[i]);
    char *pooling = sx_path_join(scratch, "1_Pooling");
    rmdir(pooling);
    free(pooling);
    return rmdir(scratch);
}

static sx_model_folder read_good(void)
{
    sx_model_folder folder;
    sx_error error = {0};
    if (sx_model_folder_read(scratch, &folder, &error))
        fail_msg("%s", error.message);
    return folder;
}

/* The folder is refused with this status, and the message holds the word. */
static void refuse(sx_status expected, const char *word)
{
    sx_model_folder folder;
    sx_error error = {0};
    sx_status status = sx_model_folder_read(scratch, &folder, &error);
    if (status != expected || !strstr(error.message, word))
        fail_msg("expected %d and \"%s\", got %d: %s", expected, word, status, error.message);
    assert_null(folder.arena.block);
}

#define MODULE(TYPE, PATH) "{\"idx\":0,\"name\":\"0\",\"path\":\"" PATH "\",\"type\":\"sentence_transformers.models." TYPE "\"}"
static const char usual_modules[] =
    "[" MODULE("Transformer", "") "," MODULE("Pooling", "1_Pooling") "," MODULE("Normalize", "2") "]";

static void test_plain(void **state)
{
    sx_model_folder folder = read_good();
    assert_string_equal(folder.architecture.family, "bert");
    assert_int_equal(folder.poolings, SX_POOLING_MEAN);
    assert_int_equal(folder.kind, SX_MODEL_EMBEDDER);
    assert_int_equal(folder.module_count, 0);
    assert_true(folder.include_prompt);
    assert_int_equal(folder.max_length, 32);
    assert_int_equal(folder.architecture.hidden_size, 8);
    assert_string_equal(folder.similarity, "cosine");
    assert_string_equal(folder.default_prompt, "");
    sx_model_folder_clear(&folder);
    put("tokenizer_config.json", "{\"model_max_length\":24}");
    folder = read_good();
    assert_int_equal(folder.max_length, 24);
    sx_model_folder_clear(&folder);
    put("tokenizer_config.json", "{\"model_max_length\":1000000000000000019884624838656}");
    folder = read_good();
    assert_int_equal(folder.max_length, 32);
    sx_model_folder_clear(&folder);
}

static void test_modules(void **state)
{
    put("modules.json", usual_modules);
    put("1_Pooling/config.json",
        "{\"word_embedding_dimension\":8,\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":false,"
        "\"pooling_mode_lasttoken\":true,\"include_prompt\":false}");
    put("sentence_bert_config.json", "{\"max_seq_length\":16,\"do_lower_case\":false}");
    sx_model_folder folder = read_good();
    assert_int_equal(folder.poolings, SX_POOLING_CLS | SX_POOLING_LAST_TOKEN);
    assert_int_equal(folder.module_count, 1);
    assert_int_equal(folder.modules[0].kind, SX_MODULE_NORMALIZE);
    assert_false(folder.include_prompt);
    assert_int_equal(folder.max_length, 16);
    sx_model_folder_clear(&folder);
    put("sentence_bert_config.json", "{\"max_seq_length\":64}"); /* more than there are positions */
    put("1_Pooling/config.json", "{}");
    folder = read_good();
    assert_int_equal(folder.max_length, 32);
    assert_int_equal(folder.poolings, SX_POOLING_MEAN);
    sx_model_folder_clear(&folder);
    put("1_Pooling/config.json", "{\"pooling_mode\":\"weightedmean\"}");
    folder = read_good();
    assert_int_equal(folder.poolings, SX_POOLING_WEIGHTED_MEAN);
    sx_model_folder_clear(&folder);
}

static void test_modules_refused(void **state)
{
    put("1_Pooling/config.json", "{}");
    static const char *const others[] = {"LSTM", "CNN", "WordWeights", "WeightedLayerPooling", "Pooling", "Transformer"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char modules[512];
        snprintf(modules, sizeof modules, "[%s,%s,{\"path\":\"x\",\"type\":\"sentence_transformers.models.%s\"}]",
                 MODULE("Transformer", ""), MODULE("Pooling", "1_Pooling"), others[i]);
        put("modules.json", modules);
        refuse(SX_E_UNSUPPORTED, others[i]);
    }
    put("modules.json", "[" MODULE("Transformer", "") "," MODULE("Dense", "1_Dense") "," MODULE("Pooling", "1_Pooling") "]");
    refuse(SX_E_UNSUPPORTED, "module 1 is sentence_transformers.models.Dense");
    put("modules.json", "[" MODULE("CLIPModel", "") "]");
    refuse(SX_E_UNSUPPORTED, "CLIPModel");
    put("modules.json", "[" MODULE("Pooling", "1_Pooling") "]");
    refuse(SX_E_UNSUPPORTED, "Pooling");
    put("modules.json", "[" MODULE("Transformer", "") ",{\"path\":\"x\",\"type\":\"their.own.Pooling\"}]");
    refuse(SX_E_UNSUPPORTED, "their.own.Pooling");
    put("modules.json", "[" MODULE("Transformer", "") "]");
    refuse(SX_E_UNSUPPORTED, "no Pooling");
    put("modules.json", "[]");
    refuse(SX_E_UNSUPPORTED, "no Pooling");
    put("modules.json", "[{\"type\":7}]");
    refuse(SX_E_FORMAT, "modules.json");
    put("modules.json", "{}");
    refuse(SX_E_FORMAT, "array");
    put("modules.json", "[");
    refuse(SX_E_FORMAT, "modules.json");
    put("modules.json", usual_modules);
    put("1_Pooling/config.json", "{\"word_embedding_dimension\":9}");
    refuse(SX_E_FORMAT, "is 9, but hidden_size of config.json is 8");
    put("1_Pooling/config.json", "{\"pooling_mode_mean_tokens\":false}");
    refuse(SX_E_FORMAT, "no pooling_mode");
    put("1_Pooling/config.json", "{\"pooling_mode_mean_tokens\":1}");
    refuse(SX_E_FORMAT, "true or false");
    drop("1_Pooling/config.json");
    refuse(SX_E_NOT_FOUND, "1_Pooling");
}

/* Dense and what else stands behind the pooling, in order; the class names of newer versions; Dropout does nothing. */
static void test_chain(void **state)
{
    put("modules.json", "[" MODULE("Transformer", "") "," MODULE("Pooling", "1_Pooling") "," MODULE("Dropout", "2") ","
                        "{\"path\":\"3_Dense\",\"type\":\"sentence_transformers.base.modules.dense.Dense\"},"
                        MODULE("LayerNorm", "4") "," MODULE("Normalize", "5") "]");
    put("1_Pooling/config.json", "{\"embedding_dimension\":8,\"pooling_mode\":[\"cls\",\"mean\"]}");
    sx_model_folder folder = read_good();
    assert_int_equal(folder.poolings, SX_POOLING_CLS | SX_POOLING_MEAN);
    assert_int_equal(folder.module_count, 3);
    assert_int_equal(folder.modules[0].kind, SX_MODULE_DENSE);
    assert_string_equal(sx_path_name(folder.modules[0].path), "3_Dense");
    assert_int_equal(folder.modules[1].kind, SX_MODULE_LAYER_NORM);
    assert_int_equal(folder.modules[2].kind, SX_MODULE_NORMALIZE);
    sx_model_folder_clear(&folder);
    put("1_Pooling/config.json", "{\"pooling_mode\":[\"mean\",\"cls\"]}");
    refuse(SX_E_UNSUPPORTED, "cls");
    put("1_Pooling/config.json", "{\"pooling_mode\":[\"mean\",7]}");
    refuse(SX_E_FORMAT, "array of strings");
    put("1_Pooling/config.json", "{\"pooling_mode\":\"median\"}");
    refuse(SX_E_UNSUPPORTED, "median");
}

static void test_kinds(void **state)
{
    char config[512];
    snprintf(config, sizeof config, "{\"architectures\":[\"BertForSequenceClassification\"],%s", small_config + 1);
    put("config.json", config);
    sx_model_folder folder = read_good();
    assert_int_equal(folder.kind, SX_MODEL_CROSS_ENCODER);
    assert_int_equal(folder.poolings, 0);
    assert_int_equal(folder.max_length, 32);
    sx_model_folder_clear(&folder);
    put("modules.json", "[" MODULE("Transformer", "") "]");
    folder = read_good();
    assert_int_equal(folder.kind, SX_MODEL_CROSS_ENCODER);
    sx_model_folder_clear(&folder);
    put("modules.json", "[" MODULE("StaticEmbedding", ".") "," MODULE("Normalize", "1") "]");
    put("config.json", "{\"model_type\":\"model2vec\",\"normalize\":true}");
    folder = read_good();
    assert_int_equal(folder.kind, SX_MODEL_STATIC);
    assert_false(folder.model2vec);
    assert_int_equal(folder.module_count, 1);
    assert_int_equal(folder.max_length, 0);
    sx_model_folder_clear(&folder);
    drop("modules.json");
    folder = read_good();
    assert_int_equal(folder.kind, SX_MODEL_STATIC);
    assert_true(folder.model2vec);
    assert_int_equal(folder.module_count, 1);
    sx_model_folder_clear(&folder);
    put("config.json", "{\"architectures\":[\"StaticModel\"]}");
    folder = read_good();
    assert_true(folder.model2vec);
    assert_int_equal(folder.module_count, 0);
    sx_model_folder_clear(&folder);
}

/* The first of sentence-transformers' names that says anything. */
static void test_sentence_configs(void **state)
{
    put("sentence_bert_config.json", "{}");
    put("sentence_roberta_config.json", "{\"max_seq_length\":20,\"do_lower_case\":true}");
    sx_model_folder folder = read_good();
    assert_int_equal(folder.max_length, 20);
    assert_true(folder.lower_case);
    sx_model_folder_clear(&folder);
    put("sentence_bert_config.json", "{\"max_seq_length\":10}");
    folder = read_good();
    assert_int_equal(folder.max_length, 10);
    assert_false(folder.lower_case);
    sx_model_folder_clear(&folder);
}

static void test_config_refused(void **state)
{
    put("config.json", "{\"model_type\":\"gpt2\"}");
    refuse(SX_E_UNSUPPORTED, "gpt2");
    drop("config.json");
    refuse(SX_E_NOT_FOUND, "config.json");
}

static void test_prompts(void **state)
{
    const char *prompt;
    sx_error error = {0};
    put("config_sentence_transformers.json", "{\"prompts\":{\"query\":\"query: \",\"document\":\"\",\"passage\":\"passage: \"},"
                                             "\"default_prompt_name\":\"passage\",\"similarity_fn_name\":\"dot\"}");
    sx_model_folder folder = read_good();
    assert_string_equal(folder.similarity, "dot");
    static const char *const expected[][2] = {{"query", "query: "}, {"document", "passage: "}, {"passage", "passage: "},
                                              {"none", "passage: "}};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(sx_model_folder_prompt(&folder, expected[i][0], &prompt, &error), SX_OK);
        assert_string_equal(prompt, expected[i][1]);
    }
    assert_int_equal(sx_model_folder_prompt(&folder, "other", &prompt, &error), SX_E_NOT_FOUND);
    assert_true(strstr(error.message, "other") != NULL);
    sx_model_folder_clear(&folder);
    put("config_sentence_transformers.json", "{\"prompts\":null,\"default_prompt_name\":null}");
    folder = read_good();
    assert_int_equal(sx_model_folder_prompt(&folder, "query", &prompt, &error), SX_OK);
    assert_string_equal(prompt, "");
    assert_int_equal(sx_model_folder_prompt(&folder, "none", &prompt, &error), SX_OK);
    assert_string_equal(prompt, "");
    sx_model_folder_clear(&folder);
    put("config_sentence_transformers.json", "{\"prompts\":{\"a\":\"b\"},\"default_prompt_name\":\"c\"}");
    refuse(SX_E_FORMAT, "\"c\"");
    put("config_sentence_transformers.json", "{\"prompts\":{\"a\":1}}");
    refuse(SX_E_FORMAT, "\"a\"");
    put("config_sentence_transformers.json", "{\"prompts\":[]}");
    refuse(SX_E_FORMAT, "prompts");
}

static void test_weights(void **state)
{
    drop("model.safetensors");
    refuse(SX_E_NOT_FOUND, "model.safetensors");
    put("other.safetensors", "x");
    sx_model_folder folder = read_good();
    assert_string_equal(sx_path_name(folder.weights), "other.safetensors");
    sx_model_folder_clear(&folder);
    put("sparse_linear.safetensors", "x"); /* a head's, not the model's */
    folder = read_good();
    assert_string_equal(sx_path_name(folder.weights), "other.safetensors");
    sx_model_folder_clear(&folder);
    put("third.safetensors", "x");
    refuse(SX_E_UNSUPPORTED, "2 other");
    static const char *const names[] = {"pytorch_model.bin", "model.safetensors.index.json", "model.safetensors"};
    for (size_t i = 0; i < 3; i++) { /* each goes before those before it */
        put(names[i], "x");
        folder = read_good();
        assert_string_equal(sx_path_name(folder.weights), names[i]);
        sx_model_folder_clear(&folder);
    }
}

static void test_weights_of_others(void **state)
{
    drop("model.safetensors");
    put("model.onnx", "x");
    refuse(SX_E_UNSUPPORTED, "ONNX");
    put("pytorch_model.bin", "x");
    sx_model_folder folder = read_good();
    sx_model_folder_clear(&folder);
}

static void test_not_a_folder(void **state)
{
    sx_model_folder folder;
    sx_error error = {0};
    assert_int_equal(sx_model_folder_read("/tmp/sx-there-is-no-such-folder", &folder, &error), SX_E_NOT_FOUND);
    assert_int_equal(sx_model_folder_read(SX_FIXTURES "/texts.jsonl", &folder, &error), SX_E_FORMAT);
}

/* ---- Poolings, on numbers one can check by hand ---- */

static void test_poolings(void **state)
{
    static const float states[4][3] = {{1, -1, 9}, {3, 5, 9}, {5, 0, 9}, {0, 0, 0}};
    float out[18];
    const unsigned all = (1u << SX_POOLING_KINDS) - 1;
    assert_int_equal(sx_pooling_count(all), 6);
    sx_pool(sx_kernels_for(0), all, states[0], 3, 3, 0, 2, out);
    const float whole[12] = {1, -1, 5, 5, 3, 4 / 3.0f, 9 / sqrtf(3), 4 / sqrtf(3), 22 / 6.0f, 9 / 6.0f, 5, 0};
    for (int i = 0; i < 12; i++)
        assert_true(fabsf(out[i] - whole[i]) < 1e-6f);
    sx_pool(sx_kernels_for(0), all, states[0], 3, 3, 1, 2, out); /* without the first token */
    const float rest[12] = {1, -1, 5, 5, 4, 2.5f, 8 / sqrtf(2), 5 / sqrtf(2), 21 / 5.0f, 10 / 5.0f, 5, 0};
    for (int i = 0; i < 12; i++)
        assert_true(fabsf(out[i] - rest[i]) < 1e-6f);
    assert_int_equal(sx_pooling_of_name("median"), 0);
    for (unsigned kind = 0; kind < SX_POOLING_KINDS; kind++)
        assert_int_equal(sx_pooling_of_name(sx_pooling_name(kind)), 1u << kind);
    float vector[2] = {3, 4}, zero[2] = {0, 0};
    sx_normalize(vector, 2);
    assert_true(vector[0] == 0.6f && vector[1] == 0.8f);
    sx_normalize(zero, 2);
    assert_true(zero[0] == 0.0f && zero[1] == 0.0f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plain, begin, end),
        cmocka_unit_test_setup_teardown(test_modules, begin, end),
        cmocka_unit_test_setup_teardown(test_modules_refused, begin, end),
        cmocka_unit_test_setup_teardown(test_config_refused, begin, end),
        cmocka_unit_test_setup_teardown(test_prompts, begin, end),
        cmocka_unit_test_setup_teardown(test_weights, begin, end),
        cmocka_unit_test_setup_teardown(test_weights_of_others, begin, end),
        cmocka_unit_test_setup_teardown(test_chain, begin, end),
        cmocka_unit_test_setup_teardown(test_kinds, begin, end),
        cmocka_unit_test_setup_teardown(test_sentence_configs, begin, end),
        cmocka_unit_test(test_not_a_folder),
        cmocka_unit_test(test_poolings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
