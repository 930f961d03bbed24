/* test_gguf.c - a model converted to GGUF says the same as its folder: architecture, weights, tokens; and its metadata is read as
 * written. */
#include "base/json_reader.h"
#include "model/gguf.h"
#include "model/gguf_model.h"
#include "model/pooling.h"
#include "tok/gguf_tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

static sx_tensors *open_file(const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", SX_FIXTURES, name);
    sx_tensors *tensors;
    sx_error error = {0};
    if (sx_tensors_open(path, &tensors, &error))
        fail_msg("%s", error.message);
    return tensors;
}

static const struct {
    const char *file, *folder;
    unsigned pooling;
} models[] = {
    {"gguf/bert-f32.gguf", "families/bert", SX_POOLING_MEAN},
    {"gguf/qwen3-bf16.gguf", "families/qwen3", SX_POOLING_LAST_TOKEN},
    {"gguf/qwen3-q8_0.gguf", "families/qwen3", SX_POOLING_LAST_TOKEN},
    {"gguf/xlm-roberta-q8_0.gguf", "families/xlm-roberta", SX_POOLING_MEAN},
};
enum { MODELS = sizeof models / sizeof *models };

static void test_architecture(void **state)
{
    for (int i = 0; i < MODELS; i++) {
        char path[4096];
        sx_arena arena = {0};
        sx_architecture wanted;
        sx_model_folder folder = {0};
        sx_error error = {0};
        sx_tensors *file = open_file(models[i].file);
        snprintf(path, sizeof path, "%s/%s", SX_FIXTURES, models[i].folder);
        assert_int_equal(sx_architecture_read(path, &arena, &wanted, &error), SX_OK);
        if (sx_model_folder_of_gguf(file, &folder, &error))
            fail_msg("%s", error.message);
        sx_architecture *a = &folder.architecture;
        uint32_t lost = wanted.first_position; /* RoBERTa's rows of padding */
        assert_int_equal(a->layers, wanted.layers);
        assert_int_equal(a->hidden_size, wanted.hidden_size);
        assert_int_equal(a->intermediate_size, wanted.intermediate_size);
        assert_int_equal(a->vocabulary_size, wanted.vocabulary_size);
        assert_int_equal(a->embedding_size, wanted.embedding_size);
        assert_int_equal(a->heads, wanted.heads);
        assert_int_equal(a->key_heads, wanted.key_heads);
        assert_int_equal(a->head_size, wanted.head_size);
        assert_int_equal(a->positions, wanted.positions ? wanted.positions - lost : 0);
        assert_int_equal(a->first_position, 0);
        assert_int_equal(a->token_types, wanted.token_types);
        assert_int_equal(a->longest, wanted.longest);
        assert_true(a->rope_theta == wanted.rope_theta);
        assert_true(a->rope_scale == wanted.rope_scale);
        assert_int_equal(a->causal, wanted.causal);
        assert_true(a->attention_scale == wanted.attention_scale);
        assert_int_equal(a->head_norms, wanted.head_norms);
        assert_int_equal(a->placement, wanted.placement);
        assert_int_equal(a->rms, wanted.rms);
        assert_true(a->norm_epsilon == wanted.norm_epsilon);
        assert_int_equal(a->embedding_norm, wanted.embedding_norm);
        assert_int_equal(a->final_norm, wanted.final_norm);
        assert_int_equal(a->first_attention_norm, wanted.first_attention_norm);
        assert_true(a->embedding_scale == wanted.embedding_scale);
        assert_true(a->norm_weight_offset == wanted.norm_weight_offset);
        assert_int_equal(a->activation, wanted.activation);
        assert_int_equal(a->gated, wanted.gated);
        assert_int_equal(a->mixed_bias, wanted.mixed_bias);
        assert_int_equal(a->output_bias, wanted.output_bias);
        assert_int_equal(a->feed_forward_bias, wanted.feed_forward_bias);
        assert_int_equal(a->norm_bias, wanted.norm_bias);
        assert_int_equal(folder.poolings, models[i].pooling);
        assert_int_equal(folder.module_count, 1);
        assert_int_equal(folder.modules[0].kind, SX_MODULE_NORMALIZE);
        sx_model_folder_clear(&folder);
        sx_arena_clear(&arena);
        sx_tensors_close(file);
    }
}

/* Every text of texts.jsonl has the tokens that the model's own tokenizer.json gives it. */
static void test_tokens(void **state)
{
    for (int i = 0; i < MODELS; i++) {
        char path[4096];
        sx_error error = {0};
        sx_tensors *file = open_file(models[i].file);
        sx_tokenizer *tokenizer, *wanted;
        snprintf(path, sizeof path, "%s/%s", SX_FIXTURES, models[i].folder);
        if (sx_gguf_tokenizer_open(file, &tokenizer, &error) || sx_tokenizer_open(path, &wanted, &error))
            fail_msg("%s", error.message);
        sx_encoding a = {0}, b = {0};
        FILE *texts = fopen(SX_FIXTURES "/texts.jsonl", "r");
        assert_non_null(texts);
        char *line = NULL;
        size_t room = 0, different = 0, count = 0;
        ssize_t length;
        while ((length = getline(&line, &room, texts)) > 0) {
            json_t *root = json_loadb(line, (size_t)length, JSON_ALLOW_NUL, NULL);
            json_t *text = json_object_get(root, "text");
            assert_non_null(text);
            sx_text t = {json_string_value(text), json_string_length(text)};
            assert_int_equal(sx_tokenizer_encode(tokenizer, t, NULL, &a, &error), SX_OK);
            assert_int_equal(sx_tokenizer_encode(wanted, t, NULL, &b, &error), SX_OK);
            bool same = a.count == b.count && memcmp(a.ids, b.ids, a.count * sizeof *a.ids) == 0;
            if (!same && !different)
                print_message("%s: %s: %zu tokens for %zu\n", models[i].file, json_string_value(json_object_get(root, "id")),
                              a.count, b.count);
            different += !same;
            count++;
            json_decref(root);
        }
        free(line);
        fclose(texts);
        assert_true(count > 400);
        if (different)
            fail_msg("%s: %zu of %zu texts have other tokens", models[i].file, different, count);
        sx_encoding_clear(&a);
        sx_encoding_clear(&b);
        sx_tokenizer_close(tokenizer);
        sx_tokenizer_close(wanted);
        sx_tensors_close(file);
    }
}

/* The model in one file gives the vectors of the model in a folder, both normalised. */
static void test_vectors(void **state)
{
    enum { TEXTS = 4, WIDEST = 1024 };
    const sx_text texts[TEXTS] = {{"a", 1}, {"The quick brown fox jumps over the lazy dog.", 44},
                                  {"Gr\xc3\xbc\xc3\x9f" "e, 42!", 12}, {"one two three four five six seven", 33}};
    for (int i = 0; i < MODELS; i++) {
        char path[4096];
        float vectors[2][TEXTS * WIDEST];
        size_t width = 0;
        for (int side = 0; side < 2; side++) {
            sx_model *model;
            sx_session *session;
            sx_error error = {0};
            const sx_embed_options options = {.size = sizeof options, .prompt = ""};
            snprintf(path, sizeof path, "%s/%s", SX_FIXTURES, side ? models[i].file : models[i].folder);
            if (sx_model_open(path, NULL, &model, &error) || sx_session_open(model, NULL, &session, &error))
                fail_msg("%s", error.message);
            width = sx_model_describe(model)->dimensions;
            assert_true(width <= WIDEST);
            if (sx_session_embed(session, texts, TEXTS, &options, vectors[side], NULL, &error))
                fail_msg("%s", error.message);
            sx_session_close(session);
            sx_model_close(model);
        }
        bool exact = !strstr(models[i].file, "q8_0");
        for (size_t t = 0; t < TEXTS; t++) {
            double cosine = 0, first = 0, second = 0;
            for (size_t c = t * width; c < (t + 1) * width; c++) {
                cosine += (double)vectors[0][c] * (double)vectors[1][c];
                first += (double)vectors[0][c] * (double)vectors[0][c];
                second += (double)vectors[1][c] * (double)vectors[1][c];
                if (exact)
                    assert_true(fabsf(vectors[0][c] - vectors[1][c]) <= 1e-5f);
            }
            if (cosine < 0.999 * sqrt(first * second) || fabs(second - 1) > 1e-4)
                fail_msg("%s: text %zu: cosine %g", models[i].file, t, cosine);
        }
    }
}

static void test_metadata(void **state)
{
    sx_tensors *file = open_file("weight-files/types.gguf");
    const sx_gguf *gguf = file->gguf;
    static const struct {
        const char *key;
        double value;
    } numbers[] = {{"x.u8", 200}, {"x.i8", -5}, {"x.u16", 60000}, {"x.i16", -300}, {"x.u32", 4e9}, {"x.i32", -70000},
                   {"x.u64", 1099511627776.0}, {"x.i64", -1099511627776.0}, {"x.f32", 0.5}, {"x.f64", 0.1}};
    sx_error error;
    bool found = false, yes = false;
    uint64_t whole = 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        double value = 0;
        assert_int_equal(sx_gguf_number(gguf, numbers[i].key, &value, &found, &error), SX_OK);
        assert_true(found && value == numbers[i].value);
        bool unsigned_whole = value >= 0 && floor(value) == value && numbers[i].key[2] == 'u';
        assert_int_equal(sx_gguf_unsigned(gguf, numbers[i].key, &whole, &found, &error), unsigned_whole ? SX_OK : SX_E_FORMAT);
        if (unsigned_whole)
            assert_true((double)whole == value);
        else
            assert_non_null(strstr(error.message, numbers[i].key));
    }
    sx_text text, *texts = NULL;
    double *list = NULL;
    size_t count = 0;
    sx_arena arena = {0};
    assert_int_equal(sx_gguf_boolean(gguf, "x.yes", &yes, &found, &error), SX_OK);
    assert_true(yes);
    assert_int_equal(sx_gguf_string(gguf, "x.text", &text, &found, &error), SX_OK);
    assert_true(sx_text_is(text, "gr\xc3\xbc\xc3\x9f"));
    assert_int_equal(sx_gguf_strings(gguf, "x.texts", &arena, &texts, &count, &error), SX_OK);
    assert_int_equal(count, 3);
    assert_true(sx_text_is(texts[0], "a") && sx_text_is(texts[1], "") && sx_text_is(texts[2], "\xe2\x96\x81word"));
    assert_int_equal(sx_gguf_numbers(gguf, "x.numbers", &arena, &list, &count, &error), SX_OK);
    assert_int_equal(count, 2);
    assert_true(list[0] == 1.5 && list[1] == -2.5);
    assert_int_equal(sx_gguf_numbers(gguf, "x.integers", &arena, &list, &count, &error), SX_OK);
    assert_true(count == 3 && list[1] == -2.0);
    assert_int_equal(sx_gguf_string(gguf, "x.texts", &text, &found, &error), SX_E_FORMAT);
    assert_int_equal(sx_gguf_number(gguf, "x.text", list, &found, &error), SX_E_FORMAT);
    assert_int_equal(sx_gguf_strings(gguf, "x.numbers", &arena, &texts, &count, &error), SX_E_FORMAT);
    assert_int_equal(sx_gguf_unsigned(gguf, "x.none", &whole, &found, &error), SX_OK);
    assert_false(found);
    sx_arena_clear(&arena);
    sx_tensors_close(file);
}

static void test_tokenizer_refusals(void **state)
{
    const sx_text tokens[] = {{"<unk>", 5}, {"a", 1}};
    const sx_gguf_vocabulary usual = {.path = "x.gguf", .model = {"gpt2", 4}, .pre = {"gpt-2", 5}, .tokens = tokens, .count = 2,
                                      .bos = -1, .eos = -1, .unknown = 0, .separator = -1, .padding = -1, .cls = -1, .mask = -1,
                                      .add_bos = -1, .add_eos = -1, .add_separator = -1, .add_space_prefix = -1};
    sx_tokenizer *tokenizer;
    sx_error error = {0};
    sx_gguf_vocabulary v = usual;
    v.pre = (sx_text){"cuts-like-nobody", 16};
    assert_int_equal(sx_tokenizer_of_gguf(&v, &tokenizer, &error), SX_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "cuts-like-nobody"));
    v = usual;
    v.model = (sx_text){"rwkv", 4};
    assert_int_equal(sx_tokenizer_of_gguf(&v, &tokenizer, &error), SX_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "rwkv"));
    v = usual;
    v.eos = 2;
    assert_int_equal(sx_tokenizer_of_gguf(&v, &tokenizer, &error), SX_E_FORMAT);
    assert_non_null(strstr(error.message, "eos_token_id is 2"));
    v = usual;
    v.model = (sx_text){"t5", 2};
    assert_int_equal(sx_tokenizer_of_gguf(&v, &tokenizer, &error), SX_E_FORMAT);
    assert_non_null(strstr(error.message, "scores"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_architecture), cmocka_unit_test(test_tokens), cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_metadata),     cmocka_unit_test(test_tokenizer_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
