/* test_int8_vectors.c - models in 8-bit integers: how near their vectors are to those of float, and that a text has the same bits
 * in any company, order, number of threads and level of the 8-bit kernels. SX_TEST_MODEL names the folder of all-MiniLM-L6-v2.
 */
#include "golden_models.h"

enum { FEW = 60 };

static void test_fidelity(void **state)
{
    corpus c = read_corpus();
    const char *folder = model_folder("SX_TEST_MODEL");
    sx_model *exact = open_model(folder, NULL, NULL, 0), *fast = open_model(folder, "int8", NULL, 0);
    float *expected = embed_texts(exact, 2, c.texts, c.count, c.count), *found = embed_texts(fast, 2, c.texts, c.count, c.count);
    likeness l = compare_vectors(expected, found, c.count, sx_model_describe(exact)->dimensions);
    print_message("cosine to float: mean %.5f, least %.5f\n", l.mean, l.least);
    assert_true(l.mean >= 0.998);
    assert_true(l.least >= 0.994);
    assert_string_equal(sx_model_describe(fast)->precision, "int8/2");
    free(expected);
    free(found);
    sx_model_close(exact);
    sx_model_close(fast);
    corpus_free(&c);
}

/* The space is that of float, the recipe another. */
static void test_recipe(void **state)
{
    const char *folder = model_folder("SX_TEST_MODEL");
    sx_model *exact = open_model(folder, "f32", NULL, 0), *fast = open_model(folder, "int8", NULL, 0);
    char *space[2], *recipe[2];
    assert_int_equal(sx_recipe_describe(exact, NULL, &space[0], &recipe[0], NULL), SX_OK);
    assert_int_equal(sx_recipe_describe(fast, NULL, &space[1], &recipe[1], NULL), SX_OK);
    assert_string_equal(space[0], space[1]);
    assert_non_null(strstr(recipe[0], "\"precision\":\"f32\""));
    assert_non_null(strstr(recipe[1], "\"precision\":\"int8/2\""));
    for (int i = 0; i < 2; i++) {
        free(space[i]);
        free(recipe[i]);
    }
    sx_model_close(exact);
    sx_model_close(fast);
}

/* Every eighth text, so that all kinds and lengths are among them. */
static sx_text *choose_texts(const corpus *c)
{
    sx_text *texts = calloc(FEW, sizeof *texts);
    assert_non_null(texts);
    for (size_t i = 0; i < FEW; i++)
        texts[i] = c->texts[i * 8 % c->count];
    return texts;
}

static void check_same_bits(const char *folder, const char *precision, const sx_text *texts, uint64_t cpu_mask)
{
    sx_model *model = open_model(folder, precision, NULL, cpu_mask);
    size_t width = sx_model_describe(model)->dimensions;
    float *alone = embed_texts(model, 1, texts, FEW, 1);
    for (unsigned threads = 1; threads <= 3; threads++) {
        static const size_t groups[] = {1, 7, FEW};
        for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
            float *together = embed_texts(model, threads, texts, FEW, groups[g]);
            if (memcmp(alone, together, FEW * width * sizeof *alone) != 0)
                fail_msg("%s: %zu texts in a call, %u threads: other bits", folder, groups[g], threads);
            free(together);
        }
    }
    sx_text shuffled[FEW];
    for (size_t i = 0; i < FEW; i++)
        shuffled[i] = texts[i * 37 % FEW];
    float *other = embed_texts(model, 2, shuffled, FEW, FEW);
    for (size_t i = 0; i < FEW; i++)
        assert_memory_equal(other + i * width, alone + i * 37 % FEW * width, width * sizeof *other);
    free(other);
    free(alone);
    sx_model_close(model);
}

static void test_same_bits(void **state)
{
    corpus c = read_corpus();
    sx_text *texts = choose_texts(&c);
    check_same_bits(model_folder("SX_TEST_MODEL"), "int8", texts, 0);
    free(texts);
    corpus_free(&c);
}

/* Sums of bytes are exact: with the same float kernels, all levels of the 8-bit ones give the same bits. */
static void test_levels(void **state)
{
    static const struct {
        uint64_t floats, bytes[3];
        size_t texts;
    } cases[] = {
        {SX_CPU_AVX512, {SX_CPU_AVX512, SX_CPU_AVX512 | SX_CPU_AVX_VNNI, SX_CPU_AVX512 | SX_CPU_AVX512_VNNI}, FEW},
        {SX_CPU_AVX2, {SX_CPU_AVX2, SX_CPU_AVX2 | SX_CPU_AVX_VNNI, SX_CPU_AVX2 | SX_CPU_AVX512_VNNI}, FEW},
        {SX_CPU_C, {SX_CPU_C, SX_CPU_AVX_VNNI, SX_CPU_AVX512_VNNI}, 4},
    };
    corpus c = read_corpus();
    sx_text *texts = choose_texts(&c);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float *first = NULL;
        size_t bytes = 0;
        for (size_t l = 0; l < 3 && sx_cpu_detect() & cases[i].floats; l++) {
            sx_model *model = open_model(model_folder("SX_TEST_MODEL"), "int8", NULL, cases[i].bytes[l]);
            float *found = embed_texts(model, 2, texts, cases[i].texts, cases[i].texts);
            bytes = cases[i].texts * sx_model_describe(model)->dimensions * sizeof *found;
            if (first && memcmp(first, found, bytes) != 0)
                fail_msg("float kernels %#llx: 8-bit kernels %s give other bits", (unsigned long long)cases[i].floats,
                         sx_model_describe(model)->kernels);
            print_message("float %#llx: 8-bit %s\n", (unsigned long long)cases[i].floats, sx_model_describe(model)->kernels);
            sx_model_close(model);
            if (first)
                free(found);
            else
                first = found;
        }
        free(first);
    }
    free(texts);
    corpus_free(&c);
}

/* Tiny models with random weights, which have no outliers and little depth: near, in every family. */
static void test_families(void **state)
{
    static const char *const folders[] = {
        "albert",     "bert",          "bert-cased", "bert-concat-pooling", "bert-prompt-excluded", "bge-m3",
        "distilbert", "distilroberta", "electra",    "embeddinggemma",      "modernbert",           "mpnet",
        "qwen3",      "roberta",       "sentence-t5", "xlm-roberta",
    };
    corpus c = read_corpus();
    sx_text *texts = choose_texts(&c);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char folder[PATH_BYTES];
        snprintf(folder, sizeof folder, "%s/families/%s", SX_FIXTURES, folders[i]);
        sx_model *exact = open_model(folder, NULL, NULL, 0), *fast = open_model(folder, "int8", NULL, 0);
        float *expected = embed_texts(exact, 2, texts, FEW, FEW), *found = embed_texts(fast, 2, texts, FEW, FEW);
        likeness l = compare_vectors(expected, found, FEW, sx_model_describe(exact)->dimensions);
        if (!(l.mean >= 0.9995 && l.least >= 0.998))
            fail_msg("%s: mean %.5f, least %.5f", folders[i], l.mean, l.least);
        free(expected);
        free(found);
        sx_model_close(exact);
        sx_model_close(fast);
        check_same_bits(folder, "int8", texts, 0);
    }
    free(texts);
    corpus_free(&c);
}

static void test_refused(void **state)
{
    sx_model_options options = {.size = sizeof options, .precision = "int8"};
    sx_model *model;
    sx_error error = {0};
    assert_int_equal(sx_model_open(SX_FIXTURES "/families/static-model2vec", &options, &model, &error), SX_E_UNSUPPORTED);
    assert_null(model);
    assert_non_null(strstr(error.message, "precision int8"));
    options.precision = "int4";
    assert_int_equal(sx_model_open(SX_FIXTURES "/families/bert", &options, &model, &error), SX_E_INVALID);
    assert_non_null(strstr(error.message, "int4"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fidelity), cmocka_unit_test(test_recipe),   cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_levels),   cmocka_unit_test(test_families), cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
