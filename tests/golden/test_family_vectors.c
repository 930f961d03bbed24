/* test_family_vectors.c - the whole way from text to result, for a tiny model of every family (tests/fixtures/families).
 *
 * Vectors, prompts, other poolings, sparse weights, multi-vectors and cross-encoders' logits and scores equal the reference's
 * within 1e-4 of the largest value, and within 1e-5 for float32 models of few layers.
 */
#include "sextant.h"

#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATH_BYTES = 4096, MOST_TEXTS = 600 };

typedef struct array {
    float *data;
    size_t rows, columns;
} array;

static json_t *texts; /* id -> text */

static void join(char path[PATH_BYTES], const char *folder, const char *name)
{
    assert_true(snprintf(path, PATH_BYTES, "%s/%s", folder, name) < PATH_BYTES);
}

static bool exists(const char *folder, const char *name)
{
    char path[PATH_BYTES];
    join(path, folder, name);
    return access(path, F_OK) == 0;
}

/* Little-endian float32, C order, two dimensions. */
static array read_npy(const char *folder, const char *name)
{
    char path[PATH_BYTES], header[65536 + 1] = "";
    unsigned char start[10];
    array result = {0};
    join(path, folder, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s: cannot be opened", path);
    assert_int_equal(fread(start, 1, 10, file), 10);
    size_t length = start[8] | (size_t)start[9] << 8;
    assert_int_equal(fread(header, 1, length, file), length);
    assert_non_null(strstr(header, "'<f4'"));
    const char *shape = strstr(header, "'shape': (");
    assert_non_null(shape);
    assert_int_equal(sscanf(shape, "'shape': (%zu, %zu)", &result.rows, &result.columns), 2);
    result.data = malloc(result.rows * result.columns * sizeof(float) + 1);
    assert_non_null(result.data);
    assert_int_equal(fread(result.data, sizeof(float), result.rows * result.columns, file), result.rows * result.columns);
    fclose(file);
    return result;
}

static json_t *read_json(const char *folder, const char *name)
{
    char path[PATH_BYTES];
    json_error_t problem;
    join(path, folder, name);
    json_t *root = json_load_file(path, JSON_ALLOW_NUL, &problem);
    if (!root)
        fail_msg("%s: %s", path, problem.text);
    return root;
}

static int read_texts(void **state)
{
    char path[PATH_BYTES];
    json_error_t problem;
    join(path, SX_FIXTURES, "texts.jsonl");
    FILE *file = fopen(path, "rb");
    if (!file)
        return -1;
    texts = json_object();
    for (json_t *line; (line = json_loadf(file, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, &problem)); json_decref(line))
        json_object_set(texts, json_string_value(json_object_get(line, "id")), json_object_get(line, "text"));
    fclose(file);
    return json_object_size(texts) > 500 ? 0 : -1;
}

static int drop_texts(void **state)
{
    json_decref(texts);
    return 0;
}

static sx_text text_of(const json_t *id)
{
    json_t *text = json_object_get(texts, json_string_value(id));
    assert_non_null(text);
    return (sx_text){json_string_value(text), json_string_length(text)};
}

static size_t find_texts(const json_t *expected, sx_text found[MOST_TEXTS])
{
    json_t *list = json_object_get(expected, "texts");
    size_t count = json_array_size(list);
    assert_true(count > 0 && count <= MOST_TEXTS);
    for (size_t i = 0; i < count; i++)
        found[i] = text_of(json_object_get(json_array_get(list, i), "id"));
    return count;
}

static sx_model *open_model(const char *folder, const sx_model_options *options)
{
    sx_error error = {0};
    sx_model *model;
    if (sx_model_open(folder, options, &model, &error))
        fail_msg("%s", error.message);
    return model;
}

static sx_session *open_session(const sx_model *model, unsigned threads)
{
    sx_session_options options = {.size = sizeof options, .threads = threads};
    sx_error error = {0};
    sx_session *session;
    if (sx_session_open(model, &options, &session, &error))
        fail_msg("%s", error.message);
    return session;
}

static double tolerance(const sx_model *model)
{
    const sx_model_info *info = sx_model_describe(model);
    return strcmp(info->storage, "f32") == 0 && info->layers < 4 ? 1e-5 : 1e-4;
}

static double compare(const array *expected, const float *found)
{
    double largest = 1.0, worst = 0.0;
    for (size_t i = 0; i < expected->rows * expected->columns; i++) {
        double difference = fabs((double)expected->data[i] - found[i]);
        largest = fmax(largest, fabs(expected->data[i]));
        worst = difference > worst || isnan(difference) ? difference : worst;
        if (isnan(difference))
            return INFINITY;
    }
    return worst / largest;
}

/* Embeds all texts of a folder and compares with one of its files. */
static void check_file(const char *folder, const char *name, const sx_model_options *options, const char *role)
{
    sx_text list[MOST_TEXTS];
    json_t *expected = read_json(folder, "expected.json");
    array wanted = read_npy(folder, name);
    sx_model *model = open_model(folder, options);
    size_t count = find_texts(expected, list), width = sx_model_describe(model)->dimensions;
    sx_error error = {0};
    const char *prompt;
    assert_int_equal(wanted.rows, count);
    assert_int_equal(wanted.columns, width);
    if (sx_model_prompt(model, role, &prompt, &error))
        fail_msg("%s", error.message);
    float *vectors = calloc(count * width, sizeof *vectors), *again = calloc(count * width, sizeof *again);
    sx_embed_options embed = {.size = sizeof embed, .prompt = prompt};
    for (unsigned threads = 1; threads <= 3; threads += 2) {
        sx_session *session = open_session(model, threads);
        for (size_t first = 0; first < count; first += threads == 1 ? 1 : count) {
            size_t now = threads == 1 ? 1 : count;
            float *target = (threads == 1 ? vectors : again) + first * width;
            if (sx_session_embed(session, list + first, now, &embed, target, NULL, &error))
                fail_msg("%s: %s", folder, error.message);
        }
        sx_session_close(session);
    }
    double worst = compare(&wanted, vectors);
    if (worst > tolerance(model))
        fail_msg("%s/%s: differs by %.2e, allowed are %.0e", folder, name, worst, tolerance(model));
    assert_memory_equal(vectors, again, count * width * sizeof *vectors); /* the same bits whatever the batch */
    free(vectors);
    free(again);
    free(wanted.data);
    json_decref(expected);
    sx_model_close(model);
}

/* ---- Outputs beside the vector ---- */

static void check_sparse(const sx_text_outputs *found, const json_t *expected, double allowed)
{
    json_t *weights = json_object_get(expected, "weights");
    assert_int_equal(found->weight_count, json_object_size(weights));
    for (size_t i = 0; i < found->weight_count; i++) {
        char key[16];
        snprintf(key, sizeof key, "%u", (unsigned)found->ids[i]);
        json_t *weight = json_object_get(weights, key);
        assert_non_null(weight);
        assert_true(fabs(json_number_value(weight) - found->weights[i]) <= allowed);
        assert_true(i == 0 || found->ids[i] > found->ids[i - 1]);
    }
}

static void check_token_outputs(const char *folder)
{
    sx_text list[MOST_TEXTS];
    json_t *expected = read_json(folder, "expected.json"), *sparse = read_json(folder, "expected_sparse.json");
    array multi = read_npy(folder, "expected_colbert.npy"), dense = read_npy(folder, "expected.npy");
    sx_model *model = open_model(folder, NULL);
    sx_session *session = open_session(model, 2);
    sx_error error = {0};
    size_t count = find_texts(expected, list), got, width = multi.columns;
    const sx_model_info *info = sx_model_describe(model);
    assert_int_equal(info->outputs, SX_OUTPUT_DENSE | SX_OUTPUT_SPARSE | SX_OUTPUT_MULTI);
    assert_int_equal(info->multi_dimensions, width);
    float *vectors = calloc(count * info->dimensions, sizeof *vectors);
    sx_embed_options options = {.size = sizeof options, .outputs = info->outputs};
    assert_int_equal(sx_session_embed(session, list, count, &options, vectors, NULL, &error), SX_OK);
    const sx_text_outputs *outputs = sx_session_outputs(session, &got);
    assert_int_equal(got, count);
    assert_true(compare(&dense, vectors) <= tolerance(model));
    for (size_t i = 0; i < count; i++) {
        json_t *rows = json_object_get(json_array_get(json_object_get(expected, "texts"), i), "colbert_rows");
        size_t first = (size_t)json_integer_value(json_array_get(rows, 0));
        array part = {multi.data + first * width, (size_t)json_integer_value(json_array_get(rows, 1)), width};
        assert_int_equal(outputs[i].vector_count, part.rows);
        assert_true(compare(&part, outputs[i].vectors) <= tolerance(model));
        check_sparse(&outputs[i], json_array_get(sparse, i), tolerance(model));
    }
    /* without the vector; then only the vector */
    options.outputs = SX_OUTPUT_SPARSE;
    assert_int_equal(sx_session_embed(session, list, 3, &options, NULL, NULL, &error), SX_OK);
    outputs = sx_session_outputs(session, &got);
    assert_int_equal(got, 3);
    check_sparse(&outputs[2], json_array_get(sparse, 2), tolerance(model));
    assert_int_equal(outputs[2].vector_count, 0);
    assert_int_equal(sx_session_embed(session, list, 1, NULL, vectors, NULL, &error), SX_OK);
    assert_null(sx_session_outputs(session, &got));
    assert_int_equal(got, 0);
    assert_int_equal(sx_session_score(session, list[0], list, 1, NULL, vectors, NULL, NULL, &error), SX_E_UNSUPPORTED);
    free(vectors);
    free(multi.data);
    free(dense.data);
    json_decref(expected);
    json_decref(sparse);
    sx_session_close(session);
    sx_model_close(model);
}

/* ---- Cross-encoders ---- */

static void check_pairs(const char *folder)
{
    json_t *expected = read_json(folder, "expected.json"), *pairs = json_object_get(expected, "pairs"), *pair;
    array logits = read_npy(folder, "expected_logits.npy"), scores = read_npy(folder, "expected_scores.npy");
    sx_model *model = open_model(folder, NULL);
    sx_error error = {0};
    const sx_model_info *info = sx_model_describe(model);
    size_t count = json_array_size(pairs), labels = info->labels, i;
    assert_string_equal(info->kind, "cross-encoder");
    assert_int_equal(info->outputs, SX_OUTPUT_SCORES);
    assert_int_equal(logits.rows, count);
    assert_int_equal(logits.columns, labels);
    float *raw = calloc(count * labels, sizeof *raw), *finished = calloc(count * labels, sizeof *finished);
    sx_session *session = open_session(model, 2);
    json_array_foreach(pairs, i, pair) {
        sx_receipt receipt;
        sx_text text = text_of(json_object_get(pair, "b"));
        assert_int_equal(sx_session_score(session, text_of(json_object_get(pair, "a")), &text, 1, NULL, raw + i * labels,
                                          finished + i * labels, &receipt, &error),
                         SX_OK);
        if (receipt.status)
            fail_msg("%s: %s", folder, receipt.message);
        assert_int_equal(receipt.tokens, json_array_size(json_object_get(pair, "ids")));
    }
    double worst = fmax(compare(&logits, raw), compare(&scores, finished));
    if (worst > tolerance(model))
        fail_msg("%s: differs by %.2e", folder, worst);
    /* many texts at once give the same bits, whichever of the two results is asked for */
    sx_text list[MOST_TEXTS], query = text_of(json_object_get(json_array_get(pairs, 0), "a"));
    float one, *many = calloc(count * labels, sizeof *many);
    for (i = 0; i < count; i++)
        list[i] = text_of(json_object_get(json_array_get(pairs, i), "b"));
    assert_int_equal(sx_session_score(session, query, list, count, NULL, many, NULL, NULL, &error), SX_OK);
    for (i = 0; i < count && labels == 1; i++) {
        assert_int_equal(sx_session_score(session, query, list + i, 1, NULL, NULL, &one, NULL, &error), SX_OK);
        assert_int_equal(sx_session_score(session, query, list + i, 1, NULL, &one, NULL, NULL, &error), SX_OK);
        assert_memory_equal(&one, &many[i], sizeof one);
    }
    assert_int_equal(sx_session_embed(session, list, 1, NULL, many, NULL, &error), SX_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "cross-encoder"));
    free(many);
    free(raw);
    free(finished);
    free(logits.data);
    free(scores.data);
    json_decref(expected);
    sx_session_close(session);
    sx_model_close(model);
}

/* ---- All of a folder ---- */

static void check_poolings(const char *folder)
{
    static const char *const modes[][2] = {
        {"expected_cls.npy", "cls"}, {"expected_max.npy", "max"}, {"expected_mean.npy", "mean"},
        {"expected_mean_sqrt_len_tokens.npy", "mean_sqrt_len"}, {"expected_weightedmean.npy", "weightedmean"},
        {"expected_lasttoken.npy", "lasttoken"},
    };
    if (exists(folder, "2_Dense")) /* those files are of the pooling alone */
        return;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        sx_model_options options = {.size = sizeof options, .pooling = modes[i][1], .no_normalize = 1};
        if (exists(folder, modes[i][0]))
            check_file(folder, modes[i][0], &options, "none");
    }
}

static void check_prompts(const char *folder)
{
    static const char start[] = "expected_prompt_";
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        char role[64] = "";
        if (sscanf(entry->d_name, "expected_prompt_%60[^.].npy", role) == 1 && strncmp(entry->d_name, start, strlen(start)) == 0)
            check_file(folder, entry->d_name, NULL, role);
    }
    closedir(directory);
}

static void check_family(void **state)
{
    char folder[PATH_BYTES];
    join(folder, SX_FIXTURES "/families", *state);
    if (exists(folder, "expected_logits.npy")) {
        check_pairs(folder);
        return;
    }
    if (exists(folder, "expected.npy"))
        check_file(folder, "expected.npy", NULL, "none");
    else
        check_file(folder, "expected_model2vec_max512.npy", NULL, "none");
    check_poolings(folder);
    check_prompts(folder);
    if (exists(folder, "expected_sparse.json"))
        check_token_outputs(folder);
}

/* Folders with modules.json are sentence-transformers' and count unknown tokens; the same without it is model2vec's. */
static void check_model2vec(void **state)
{
    char folder[] = "/tmp/sx-family-XXXXXX", from[PATH_BYTES], to[PATH_BYTES];
    static const char *const names[] = {"config.json", "tokenizer.json", "model.safetensors", "expected.json",
                                        "expected_model2vec_max512.npy"};
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        join(from, SX_FIXTURES "/families/static-model2vec", names[i]);
        join(to, folder, names[i]);
        assert_int_equal(symlink(from, to), 0);
    }
    check_file(folder, names[4], NULL, "none");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        join(to, folder, names[i]);
        unlink(to);
    }
    rmdir(folder);
}

int main(void)
{
    static const char *const families[] = {
        "albert", "bert", "bert-cased", "bert-concat-pooling", "bert-prompt-excluded", "bge-m3", "cross-bert",
        "cross-xlm-roberta", "distilbert", "distilroberta", "electra", "embeddinggemma", "modernbert", "mpnet", "qwen3",
        "roberta", "sentence-t5", "static-model2vec", "static-model2vec-quantised", "xlm-roberta",
    };
    enum { COUNT = sizeof families / sizeof *families };
    struct CMUnitTest tests[COUNT + 1];
    for (size_t i = 0; i < COUNT; i++)
        tests[i] = (struct CMUnitTest){.name = families[i], .test_func = check_family,
                                       .initial_state = (void *)(uintptr_t)families[i]};
    tests[COUNT] = (struct CMUnitTest){.name = "model2vec", .test_func = check_model2vec};
    return cmocka_run_group_tests(tests, read_texts, drop_texts);
}
