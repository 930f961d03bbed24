/* test_tensors.c - weight files of every format give the same tensors; damaged ones are refused, whatever byte is missing. */
#include "base/buffer.h"
#include "model/gguf.h"
#include "model/tensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define FILES SX_FIXTURES "/weight-files/"
/* What weight_map says of the first shard. */
#define FIRST "\"layer.0.weight\":\"model.part-1.safetensors\",\"layer.0.bias\":\"model.part-1.safetensors\""

static sx_tensors *open_file(const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s%s", FILES, name);
    sx_tensors *tensors;
    sx_error error = {0};
    if (sx_tensors_open(path, &tensors, &error))
        fail_msg("%s", error.message);
    return tensors;
}

static void check_same(const sx_tensor *a, const sx_tensor *b)
{
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(a->dtype, b->dtype);
    assert_int_equal(a->elements, b->elements);
    assert_int_equal(a->bytes, b->bytes);
    assert_memory_equal(a->data, b->data, a->bytes);
}

static void test_formats_agree(void **state)
{
    static const char *const files[] = {
        "plain.zip.bin", "plain.stream.bin", "nested.zip.bin", "nested.stream.bin", "protocol5.bin",
        "model.safetensors.index.json", "pytorch_model.bin.index.json", "types.gguf",
    };
    sx_tensors *plain = open_file("plain.safetensors");
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        sx_tensors *other = open_file(files[f]);
        bool gguf = strstr(files[f], ".gguf") != NULL;
        assert_true(gguf == (other->gguf != NULL));
        if (!gguf)
            assert_int_equal(other->count, plain->count);
        assert_int_equal(other->file_count, strstr(files[f], ".json") ? 2 : 1);
        for (size_t i = 0; i < plain->count; i++) {
            const sx_tensor *a = &plain->tensors[i], *b = sx_tensors_find(other, a->name);
            check_same(a, b);
            if (a->rank) {
                assert_int_equal(a->rank, b->rank);
                assert_memory_equal(a->shape, b->shape, a->rank * sizeof *a->shape);
            }
        }
        sx_tensors_close(other);
    }
    sx_tensors_close(plain);
}

static void test_shards_name_their_file(void **state)
{
    sx_tensors *tensors = open_file("model.safetensors.index.json");
    assert_string_equal(sx_path_name(tensors->path), "model.safetensors.index.json");
    const sx_tensor *first = sx_tensors_find(tensors, "layer.0.weight"), *second = sx_tensors_find(tensors, "scale");
    assert_string_equal(sx_path_name(sx_tensor_path(tensors, first)), "model.part-1.safetensors");
    assert_string_equal(sx_path_name(sx_tensor_path(tensors, second)), "model.part-2.safetensors");
    sx_tensors_close(tensors);
}

/* Every tensor of views.*.bin is a view of 0, 1 .. 23 as 4 x 6. */
static void test_views(void **state)
{
    static const struct {
        const char *name;
        size_t rows, columns, offset, row_step, column_step;
    } views[] = {
        {"base", 4, 6, 0, 6, 1}, {"again", 4, 6, 0, 6, 1}, {"rows", 2, 6, 6, 6, 1}, {"transposed", 6, 4, 0, 1, 6},
        {"part", 2, 3, 8, 6, 1}, {"every", 2, 2, 0, 12, 3},
    };
    for (int zip = 0; zip < 2; zip++) {
        sx_tensors *tensors = open_file(zip ? "views.zip.bin" : "views.stream.bin");
        assert_int_equal(tensors->count, sizeof views / sizeof *views);
        for (size_t v = 0; v < sizeof views / sizeof *views; v++) {
            const sx_tensor *tensor = sx_tensors_find(tensors, views[v].name);
            assert_non_null(tensor);
            assert_int_equal(tensor->rank, 2);
            assert_int_equal(tensor->shape[0], views[v].rows);
            assert_int_equal(tensor->shape[1], views[v].columns);
            float values[24];
            sx_tensor_read(tensor, sx_kernels_for(0), 0, tensor->elements, values);
            for (size_t i = 0; i < views[v].rows; i++)
                for (size_t j = 0; j < views[v].columns; j++)
                    assert_true(values[i * views[v].columns + j] ==
                                (float)(views[v].offset + i * views[v].row_step + j * views[v].column_step));
        }
        sx_tensors_close(tensors);
    }
    sx_tensors *tensors = open_file("parameter.zip.bin");
    assert_int_equal(tensors->count, 2);
    sx_tensors_close(tensors);
}

static void test_quantised_as_reference(void **state)
{
    sx_tensors *expected = open_file("quantised.safetensors"), *gguf = open_file("types.gguf");
    assert_int_equal(expected->count, 8);
    for (size_t i = 0; i < expected->count; i++) {
        const sx_tensor *wanted = &expected->tensors[i];
        char name[64];
        snprintf(name, sizeof name, "quantised.%s", wanted->name);
        const sx_tensor *tensor = sx_tensors_find(gguf, name);
        assert_non_null(tensor);
        assert_string_equal(tensor->dtype_name, wanted->name);
        assert_int_equal(tensor->elements, wanted->elements);
        float whole[512], part[512], reference[512];
        sx_tensor_read(wanted, sx_kernels_for(0), 0, wanted->elements, reference);
        sx_tensor_read(tensor, sx_kernels_for(0), 0, tensor->elements, whole);
        assert_memory_equal(whole, reference, wanted->elements * sizeof *whole);
        for (size_t first = 0; first < tensor->elements; first += 7) {
            size_t count = first % 97 < tensor->elements - first ? first % 97 : tensor->elements - first;
            sx_tensor_read(tensor, sx_kernels_for(0), first, count, part);
            if (count)
                assert_memory_equal(part, reference + first, count * sizeof *part);
        }
    }
    const sx_tensor *other = sx_tensors_find(gguf, "other");
    assert_int_equal(other->dtype, SX_DTYPE_OTHER);
    assert_string_equal(other->dtype_name, "Q2_K");
    assert_string_equal(sx_dtype_storage(SX_DTYPE_Q6_K), "q6_k");
    assert_string_equal(sx_dtype_storage(SX_DTYPE_OTHER), "other");
    sx_tensors_close(gguf);
    sx_tensors_close(expected);
}

static void test_refused(void **state)
{
    static const struct {
        const char *file;
        sx_status status;
        const char *word;
    } cases[] = {
        {"evil.zip.bin", SX_E_UNSUPPORTED, "would execute posix.system; refused"},
        {"evil.stream.bin", SX_E_UNSUPPORTED, "would execute posix.system; refused"},
        {"two.zip.bin", SX_E_UNSUPPORTED, "both model and ema"},
        {"two.stream.bin", SX_E_UNSUPPORTED, "both model and ema"},
        {"expanded.zip.bin", SX_E_UNSUPPORTED, "8 elements"},
        {"expanded.stream.bin", SX_E_UNSUPPORTED, "8 elements"},
        {"list.zip.bin", SX_E_UNSUPPORTED, "no dictionary"},
        {"list.stream.bin", SX_E_UNSUPPORTED, "no dictionary"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[4096];
        sx_tensors *tensors;
        sx_error error = {0};
        snprintf(path, sizeof path, "%s%s", FILES, cases[i].file);
        sx_status status = sx_tensors_open(path, &tensors, &error);
        assert_null(tensors);
        if (status != cases[i].status || !strstr(error.message, cases[i].word))
            fail_msg("%s: status %d: %s", cases[i].file, status, error.message);
    }
}

static const char *const all_files[] = {"plain.zip.bin", "plain.stream.bin", "protocol5.bin", "views.zip.bin", "views.stream.bin",
                                        "plain.safetensors", "types.gguf"};

/* Memory that ends exactly at the file's end, so that sanitizers see every byte too many. */
static sx_status parse_exactly(const unsigned char *data, size_t length, sx_error *error)
{
    unsigned char *exact = malloc(length ? length : 1);
    sx_tensors *tensors;
    const sx_kernels *kernels = sx_kernels_for(SX_CPU_C);
    assert_non_null(exact);
    memcpy(exact, data, length);
    sx_status status = sx_tensors_parse(exact, length, "x", &tensors, error);
    if (status)
        assert_null(tensors);
    for (size_t i = 0; !status && i < tensors->count; i++) {
        const sx_tensor *tensor = &tensors->tensors[i];
        float value;
        for (size_t e = 0; tensor->dtype != SX_DTYPE_OTHER && e < tensor->elements; e++)
            sx_tensor_read(tensor, kernels, e, 1, &value);
    }
    sx_tensors_close(tensors);
    free(exact);
    return status;
}

static void test_truncated_anywhere(void **state)
{
    for (size_t f = 0; f < sizeof all_files / sizeof *all_files; f++) {
        char path[4096];
        char *data;
        size_t length;
        snprintf(path, sizeof path, "%s%s", FILES, all_files[f]);
        assert_int_equal(sx_file_read(path, 1 << 20, &data, &length, NULL, NULL), SX_OK);
        sx_error error = {0};
        /* gguf's last padding may be missing: bytes behind the last tensor are no loss */
        size_t need = strstr(all_files[f], "gguf") ? length - 32 : length;
        for (size_t cut = 0; cut < need; cut++)
            if (parse_exactly((unsigned char *)data, cut, &error) == SX_OK)
                fail_msg("%s cut to %zu of %zu bytes is read", all_files[f], cut, length);
        if (parse_exactly((unsigned char *)data, length, &error))
            fail_msg("%s: %s", all_files[f], error.message);
        free(data);
    }
}

/* Single bytes changed: read or refused with a message that names the file, never a crash. */
static void test_damaged_anywhere(void **state)
{
    unsigned refused = 0;
    for (size_t f = 0; f < sizeof all_files / sizeof *all_files; f++) {
        char path[4096];
        char *data;
        size_t length;
        snprintf(path, sizeof path, "%s%s", FILES, all_files[f]);
        assert_int_equal(sx_file_read(path, 1 << 20, &data, &length, NULL, NULL), SX_OK);
        for (size_t i = 0; i < length; i++) {
            static const unsigned char changes[] = {0x01, 0x80};
            for (size_t c = 0; c < sizeof changes; c++) {
                sx_error error = {0};
                data[i] = (char)(data[i] ^ changes[c]);
                if (parse_exactly((unsigned char *)data, length, &error)) {
                    refused++;
                    assert_true(strncmp(error.message, "x: ", 3) == 0);
                }
                data[i] = (char)(data[i] ^ changes[c]);
            }
        }
        free(data);
    }
    assert_true(refused > 1000);
}

static void write_file(const char *folder, const char *name, const void *data, size_t length)
{
    char path[4096];
    sx_error error = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (sx_file_write_atomic(path, data, length, &error))
        fail_msg("%s", error.message);
}

static void copy_shard(const char *folder, const char *name)
{
    char path[4096], *data;
    size_t length;
    snprintf(path, sizeof path, "%s%s", FILES, name);
    assert_int_equal(sx_file_read(path, 1 << 20, &data, &length, NULL, NULL), SX_OK);
    write_file(folder, name, data, length);
    free(data);
}

static void test_index_damage(void **state)
{
    static const struct {
        const char *index;
        sx_status status;
        const char *word;
    } cases[] = {
        {"{\"weight_map\":{" FIRST "}}", SX_OK, ""},
        {"{\"metadata\":{\"total_size\":3},\"weight_map\":{" FIRST "}}", SX_OK, ""},
        {"{\"weight_map\":{" FIRST ",\"more\":\"model.part-1.safetensors\"}}", SX_E_MISMATCH, "tensor more should be in"},
        {"{\"weight_map\":{\"layer.0.weight\":\"model.part-1.safetensors\"}}", SX_E_MISMATCH, "does not name"},
        {"{\"weight_map\":{\"layer.0.weight\":\"model.part-1.safetensors\",\"layer.0.bias\":\"model.part-2.safetensors\"}}",
         SX_E_MISMATCH, "layer.0.bias should be in model.part-2.safetensors, but model.part-1.safetensors holds it"},
        {"{\"weight_map\":{" FIRST "," FIRST "}}", SX_E_FORMAT, "named twice"},
        {"{\"weight_map\":{\"a\":\"../model.part-1.safetensors\"}}", SX_E_FORMAT, "same folder"},
        {"{\"weight_map\":{\"a\":\"x/model.part-1.safetensors\"}}", SX_E_FORMAT, "same folder"},
        {"{\"weight_map\":{\"a\":\"..\"}}", SX_E_FORMAT, "same folder"},
        {"{\"weight_map\":{\"a\":\"\"}}", SX_E_FORMAT, "same folder"},
        {"{\"weight_map\":{\"a\":\"none.safetensors\"}}", SX_E_NOT_FOUND, "none.safetensors"},
        {"{\"weight_map\":{\"a\":1}}", SX_E_FORMAT, "byte"},
        {"{\"weight_map\":{}}", SX_E_FORMAT, "empty"},
        {"{}", SX_E_FORMAT, "weight_map is missing"},
        {"[]", SX_E_FORMAT, "byte 0"},
    };
    char folder[] = "/tmp/sextant-tensors-XXXXXX", path[4096];
    assert_non_null(mkdtemp(folder));
    copy_shard(folder, "model.part-1.safetensors");
    copy_shard(folder, "model.part-2.safetensors");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sx_tensors *tensors;
        sx_error error = {0};
        write_file(folder, "m.index.json", cases[i].index, strlen(cases[i].index));
        snprintf(path, sizeof path, "%s/m.index.json", folder);
        sx_status status = sx_tensors_open(path, &tensors, &error);
        if (status != cases[i].status || !strstr(error.message, cases[i].word))
            fail_msg("%s: status %d: %s", cases[i].index, status, error.message);
        sx_tensors_close(tensors);
    }
    static const char *const names[] = {"m.index.json", "model.part-1.safetensors", "model.part-2.safetensors"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats_agree),      cmocka_unit_test(test_shards_name_their_file),
        cmocka_unit_test(test_views),              cmocka_unit_test(test_quantised_as_reference),
        cmocka_unit_test(test_refused),            cmocka_unit_test(test_truncated_anywhere),
        cmocka_unit_test(test_damaged_anywhere),   cmocka_unit_test(test_index_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
