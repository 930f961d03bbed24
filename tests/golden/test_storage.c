/* test_storage.c - weights held as halves: the bits of float panels where the file has halves, a named precision class where it
 * has not. The families' tiny models are written again in other types, as their publishers would have. SX_TEST_MODEL_FP16 names
 * the folder of all-MiniLM-L6-v2 in half precision, SX_TEST_MODEL that in single.
 */
#include "golden_models.h"

#include "model/tensors.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXTS = 40 };

/* ---- Models written again ---- */

static void copy_file(const char *from, const char *to)
{
    char buffer[65536];
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_true(in && out);
    for (size_t got; (got = fread(buffer, 1, sizeof buffer, in)) > 0;)
        assert_int_equal(fwrite(buffer, 1, got, out), got);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

/* A folder's files, and the folders in it. */
static void copy_folder(const char *from, const char *to)
{
    char source[PATH_BYTES], target[PATH_BYTES];
    struct stat info;
    DIR *folder = opendir(from);
    assert_non_null(folder);
    mkdir(to, 0700);
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.')
            continue;
        assert_true(snprintf(source, sizeof source, "%s/%s", from, entry->d_name) < PATH_BYTES);
        assert_true(snprintf(target, sizeof target, "%s/%s", to, entry->d_name) < PATH_BYTES);
        assert_int_equal(stat(source, &info), 0);
        if (S_ISDIR(info.st_mode))
            copy_folder(source, target);
        else
            copy_file(source, target);
    }
    closedir(folder);
}

static void remove_folder(const char *path)
{
    char command[PATH_BYTES + 16];
    snprintf(command, sizeof command, "rm -r '%s'", path);
    assert_int_equal(system(command), 0);
}

static const char *const type_names[] = {"F32", "F16", "BF16"};

/* All tensors rounded to `rounded` and written as `written`; the first weight of the tensor named `spoilt`, if any, is 1e6. */
static void write_weights(const char *from, const char *to, sx_dtype rounded, sx_dtype written, const char *spoilt)
{
    const sx_kernels *kernels = sx_kernels_for(SX_CPU_C);
    sx_tensors *file;
    sx_error error = {0};
    if (sx_tensors_open(from, &file, &error))
        fail_msg("%s", error.message);
    json_t *header = json_object();
    size_t place = 0, bytes = written == SX_DTYPE_F32 ? 4 : 2;
    for (size_t i = 0; i < file->count; i++) {
        const sx_tensor *t = &file->tensors[i];
        json_t *shape = json_array();
        for (unsigned r = 0; r < t->rank; r++)
            json_array_append_new(shape, json_integer((json_int_t)t->shape[r]));
        size_t end = place + t->elements * bytes;
        json_object_set_new(header, t->name, json_pack("{s:s,s:o,s:[I,I]}", "dtype", type_names[written], "shape", shape,
                                                       "data_offsets", (json_int_t)place, (json_int_t)end));
        place = end;
    }
    char *text = json_dumps(header, JSON_COMPACT);
    uint64_t length = strlen(text);
    FILE *out = fopen(to, "wb");
    assert_non_null(out);
    fwrite(&length, sizeof length, 1, out);
    fwrite(text, 1, length, out);
    for (size_t i = 0; i < file->count; i++) {
        const sx_tensor *t = &file->tensors[i];
        float *data = calloc(t->elements + 1, sizeof *data);
        uint16_t *halves = calloc(t->elements + 1, sizeof *halves);
        assert_true(data && halves);
        sx_tensor_read(t, kernels, 0, t->elements, data);
        if (spoilt && strcmp(t->name, spoilt) == 0)
            data[0] = 1e6f;
        if (rounded != SX_DTYPE_F32) {
            (rounded == SX_DTYPE_F16 ? kernels->to_f16 : kernels->to_bf16)(data, halves, t->elements);
            (rounded == SX_DTYPE_F16 ? kernels->from_f16 : kernels->from_bf16)(halves, data, t->elements);
        }
        assert_int_equal(fwrite(written == SX_DTYPE_F32 ? (void *)data : halves, bytes, t->elements, out), t->elements);
        free(data);
        free(halves);
    }
    assert_int_equal(fclose(out), 0);
    free(text);
    json_decref(header);
    sx_tensors_close(file);
}

/* ---- Tests ---- */

typedef struct result {
    float *vectors;
    size_t bytes;
    char precision[32];
} result;

static result run_model(const char *folder, const char *storage, uint64_t cpu_mask, const sx_text *texts)
{
    result r;
    sx_model *model = open_model(folder, NULL, storage, cpu_mask);
    r.vectors = embed_texts(model, 2, texts, TEXTS, 9);
    r.bytes = TEXTS * sx_model_describe(model)->dimensions * sizeof *r.vectors;
    snprintf(r.precision, sizeof r.precision, "%s", sx_model_describe(model)->precision);
    sx_model_close(model);
    return r;
}

/* What the file has as halves gives the bits that the same numbers give as floats, however held. */
static void check_type(const char *folder, const char *scratch, sx_dtype type, uint64_t level, const sx_text *texts)
{
    char from[PATH_BYTES], to[PATH_BYTES];
    assert_true(snprintf(from, sizeof from, "%s/model.safetensors", folder) < PATH_BYTES);
    assert_true(snprintf(to, sizeof to, "%s/model.safetensors", scratch) < PATH_BYTES);
    write_weights(from, to, type, SX_DTYPE_F32, NULL);
    result wide = run_model(scratch, NULL, level, texts);
    write_weights(from, to, type, type, NULL);
    static const char *const storages[] = {NULL, "f32", "f16"};
    for (int s = 0; s < 3; s++) {
        result half = run_model(scratch, storages[s], level, texts);
        assert_string_equal(half.precision, "f32");
        if (half.bytes != wide.bytes || memcmp(half.vectors, wide.vectors, half.bytes) != 0)
            fail_msg("%s as %s, storage %s: other bits", folder, type_names[type], storages[s] ? storages[s] : "as published");
        free(half.vectors);
    }
    free(wide.vectors);
}

static void test_published_halves(void **state)
{
    static const char *const folders[] = {"albert", "bert", "embeddinggemma", "modernbert", "qwen3", "sentence-t5", "mpnet"};
    static const uint64_t levels[] = {SX_CPU_C, SX_CPU_AVX2, SX_CPU_AVX512};
    corpus c = read_corpus();
    for (size_t f = 0; f < sizeof folders / sizeof *folders; f++) {
        char folder[PATH_BYTES], scratch[] = "/tmp/sextant-storage-XXXXXX";
        assert_non_null(mkdtemp(scratch));
        snprintf(folder, sizeof folder, "%s/families/%s", SX_FIXTURES, folders[f]);
        copy_folder(folder, scratch);
        for (size_t l = 0; l < sizeof levels / sizeof *levels; l++)
            for (int type = SX_DTYPE_F16; type <= SX_DTYPE_BF16 && sx_cpu_detect() & levels[l]; type++)
                check_type(folder, scratch, (sx_dtype)type, levels[l], c.texts);
        remove_folder(scratch);
    }
    corpus_free(&c);
}

static void test_minilm(void **state)
{
    corpus c = read_corpus();
    result wide = run_model(model_folder("SX_TEST_MODEL_FP16"), "f32", 0, c.texts);
    result half = run_model(model_folder("SX_TEST_MODEL_FP16"), "f16", 0, c.texts);
    assert_memory_equal(wide.vectors, half.vectors, wide.bytes);
    free(wide.vectors);
    free(half.vectors);
    wide = run_model(model_folder("SX_TEST_MODEL"), NULL, 0, c.texts);
    half = run_model(model_folder("SX_TEST_MODEL"), "f16", 0, c.texts);
    assert_string_equal(wide.precision, "f32");
    assert_string_equal(half.precision, "f32/f16w");
    likeness l = compare_vectors(wide.vectors, half.vectors, TEXTS, wide.bytes / sizeof(float) / TEXTS);
    assert_true(l.least > 0.99999 && l.least < 1.0);
    free(wide.vectors);
    free(half.vectors);
    corpus_free(&c);
}

/* Rounded weights: the same space, another recipe. */
static void test_recipe(void **state)
{
    static const char *const storages[] = {"f32", NULL, "f16"};
    char *space[3], *recipe[3];
    for (int i = 0; i < 3; i++) {
        sx_model *model = open_model(SX_FIXTURES "/families/bert", NULL, storages[i], 0);
        assert_int_equal(sx_recipe_describe(model, NULL, &space[i], &recipe[i], NULL), SX_OK);
        sx_model_close(model);
    }
    assert_string_equal(space[0], space[1]);
    assert_string_equal(space[0], space[2]);
    assert_string_equal(recipe[0], recipe[1]);
    assert_non_null(strstr(recipe[2], "\"precision\":\"f32/f16w\""));
    for (int i = 0; i < 3; i++) {
        free(space[i]);
        free(recipe[i]);
    }
}

static void refuse(const char *folder, const char *precision, const char *storage, sx_status expected, const char *word)
{
    sx_model_options options = {.size = sizeof options, .precision = precision, .storage = storage};
    sx_model *model;
    sx_error error = {0};
    sx_status status = sx_model_open(folder, &options, &model, &error);
    assert_null(model);
    if (status != expected || !strstr(error.message, word))
        fail_msg("expected %d and \"%s\", got %d: %s", expected, word, status, error.message);
}

static void test_refused(void **state)
{
    char to[PATH_BYTES], scratch[] = "/tmp/sextant-storage-XXXXXX";
    refuse(SX_FIXTURES "/families/bert", NULL, "f8", SX_E_INVALID, "\"f8\"");
    refuse(SX_FIXTURES "/families/bert", "int8", "f16", SX_E_INVALID, "storage: f16");
    refuse(SX_FIXTURES "/families/static-model2vec", NULL, "f16", SX_E_UNSUPPORTED, "storage f16");
    assert_non_null(mkdtemp(scratch));
    copy_folder(SX_FIXTURES "/families/bert", scratch);
    snprintf(to, sizeof to, "%s/model.safetensors", scratch);
    const char *name = "encoder.layer.1.attention.self.key.weight";
    write_weights(SX_FIXTURES "/families/bert/model.safetensors", to, SX_DTYPE_F32, SX_DTYPE_F32, name);
    refuse(scratch, NULL, "f16", SX_E_UNSUPPORTED, "self.key.weight: weight 1e+06 is too large for a half");
    sx_model_close(open_model(scratch, NULL, NULL, 0));
    remove_folder(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_halves), cmocka_unit_test(test_minilm), cmocka_unit_test(test_recipe),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
