/* test_safetensors.c - what is read from a .safetensors file, and what is refused, byte by byte. */
#include "model/tensors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { FILE_MAX = 4096 };

/* Header text and `data` bytes of data (0, 1, 2 ...) as a file in memory; its length. */
static size_t build(unsigned char file[FILE_MAX], const char *header, size_t data)
{
    size_t length = strlen(header);
    assert_true(8 + length + data <= FILE_MAX);
    for (int i = 0; i < 8; i++)
        file[i] = (unsigned char)(length >> 8 * i);
    memcpy(file + 8, header, length);
    for (size_t i = 0; i < data; i++)
        file[8 + length + i] = (unsigned char)i;
    return 8 + length + data;
}

/* Parses from memory that ends exactly at the file's end, so that sanitizers see every byte too many. */
static sx_status parse(const unsigned char *file, size_t length, sx_tensors **out, sx_error *error)
{
    unsigned char *exact = malloc(length ? length : 1);
    assert_non_null(exact);
    memcpy(exact, file, length);
    sx_status status = sx_safetensors_parse(exact, length, "x.safetensors", out, error);
    if (status) {
        assert_null(*out);
        assert_true(strstr(error->message, "x.safetensors") != NULL);
    } else {
        sx_tensors_close(*out);
        *out = NULL;
    }
    free(exact);
    return status;
}

static void test_reads(void **state)
{
    unsigned char file[FILE_MAX];
    const char *header = "{\"__metadata__\":{\"format\":\"pt\"},"
                         "\"b\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[8,20]},"
                         "\"a\":{\"data_offsets\":[0,8],\"dtype\":\"F32\",\"shape\":[2]},"
                         "\"c\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[20,28]},"
                         "\"e\":{\"dtype\":\"BF16\",\"shape\":[0,7],\"data_offsets\":[28,28]}}  ";
    size_t length = build(file, header, 28);
    sx_tensors *tensors;
    sx_error error = {0};
    assert_int_equal(sx_safetensors_parse(file, length, "x", &tensors, &error), SX_OK);
    assert_int_equal(tensors->count, 4);
    const sx_tensor *a = sx_tensors_find(tensors, "a"), *b = sx_tensors_find(tensors, "b");
    const sx_tensor *c = sx_tensors_find(tensors, "c"), *e = sx_tensors_find(tensors, "e");
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    assert_non_null(e);
    assert_null(sx_tensors_find(tensors, "d"));
    assert_null(sx_tensors_find(tensors, "__metadata__"));
    assert_int_equal(a->dtype, SX_DTYPE_F32);
    assert_int_equal(a->bytes, 8);
    assert_int_equal(b->dtype, SX_DTYPE_F16);
    assert_int_equal(b->rank, 2);
    assert_int_equal(b->shape[1], 3);
    assert_int_equal(b->elements, 6);
    assert_ptr_equal(b->data, file + 8 + strlen(header) + 8);
    assert_int_equal(c->dtype, SX_DTYPE_I64);
    assert_string_equal(c->dtype_name, "I64");
    assert_int_equal(c->elements, 1);
    assert_int_equal(e->elements, 0);
    float row[3], half = 0.0f, whole;
    sx_tensor_read(c, sx_kernels_for(0), 0, 1, &whole);
    assert_true(whole == 0x1b1a191817161514p0f); /* the bytes 20 .. 27 */
    sx_tensor_read(b, sx_kernels_for(0), 3, 3, row);
    const unsigned char last[2] = {18, 19};
    sx_kernels_for(SX_CPU_C)->from_f16(last, &half, 1);
    assert_true(row[2] == half);
    sx_tensors_close(tensors);
}

static void test_empty(void **state)
{
    unsigned char file[FILE_MAX];
    sx_tensors *tensors;
    sx_error error = {0};
    size_t length = build(file, "{}", 0);
    assert_int_equal(parse(file, length, &tensors, &error), SX_OK);
    length = build(file, "{}", 1);
    assert_int_equal(parse(file, length, &tensors, &error), SX_E_FORMAT);
}

/* Every proper prefix of a good file is refused: nothing is truncated without notice. */
static void test_truncated(void **state)
{
    unsigned char file[FILE_MAX];
    sx_tensors *tensors;
    size_t length = build(file, "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]}}", 12);
    for (size_t cut = 0; cut < length; cut++) {
        sx_error error = {0};
        assert_int_equal(parse(file, cut, &tensors, &error), SX_E_FORMAT);
        if (cut + 12 >= length) { /* the header is whole: both numbers are named */
            char has[32];
            snprintf(has, sizeof has, "%zu", cut + 12 - length);
            assert_true(strstr(error.message, "12") != NULL);
            assert_true(strstr(error.message, has) != NULL);
        }
    }
    sx_error error = {0};
    assert_int_equal(parse(file, length, &tensors, &error), SX_OK);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *header;
        size_t data;
        sx_status status;
        const char *word; /* in the message */
    } cases[] = {
        {"", 0, SX_E_FORMAT, ""},
        {"[]", 0, SX_E_FORMAT, ""},
        {"{} x", 0, SX_E_FORMAT, ""},
        {"{\"a\":1}", 0, SX_E_FORMAT, ""},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, SX_E_FORMAT, "dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, SX_E_FORMAT, "shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, SX_E_FORMAT, "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, SX_E_FORMAT, ""},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 4, SX_E_FORMAT, ""},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"more\":1}}", 4, SX_E_FORMAT, ""},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,4]}}", 4, SX_E_FORMAT, ""},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, SX_E_FORMAT, "tensor a: byte"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", 4, SX_E_FORMAT, ""},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, SX_E_FORMAT, "2 elements"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, SX_E_FORMAT, "behind its end"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 3, SX_E_FORMAT, "has only 3"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 5, SX_E_FORMAT, "has 5"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, SX_E_FORMAT, "hole"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12, SX_E_FORMAT, "overlap"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, SX_E_FORMAT, ""},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,4],\"data_offsets\":[0,4]}}", 4, SX_E_FORMAT, "overflow"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387905],\"data_offsets\":[0,4]}}", 4, SX_E_FORMAT, ""},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, SX_E_UNSUPPORTED, "dimensions"},
        {"{\"a\\u0000b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, SX_E_FORMAT, "NUL"},
    };
    unsigned char file[FILE_MAX];
    sx_tensors *tensors;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        sx_error error = {0};
        size_t length = build(file, cases[i].header, cases[i].data);
        sx_status status = parse(file, length, &tensors, &error);
        if (status != cases[i].status || !strstr(error.message, cases[i].word))
            fail_msg("%s: status %d: %s", cases[i].header, status, error.message);
    }
}

static void test_header_length(void **state)
{
    unsigned char file[FILE_MAX];
    sx_tensors *tensors;
    sx_error error = {0};
    size_t length = build(file, "{}", 0);
    memset(file, 0xff, 8);
    assert_int_equal(parse(file, length, &tensors, &error), SX_E_FORMAT);
    assert_true(strstr(error.message, "18446744073709551615") != NULL);
    assert_true(strstr(error.message, "only 2") != NULL);
}

static void test_not_a_file(void **state)
{
    sx_tensors *tensors;
    sx_error error = {0};
    assert_int_equal(sx_tensors_open(SX_FIXTURES "/none.safetensors", &tensors, &error), SX_E_NOT_FOUND);
    assert_null(tensors);
    assert_int_equal(sx_tensors_open(SX_FIXTURES, &tensors, &error), SX_E_FORMAT);
    assert_null(tensors);
    assert_int_equal(sx_tensors_open(SX_FIXTURES "/families/bert/model.safetensors", &tensors, &error), SX_OK);
    assert_non_null(sx_tensors_find(tensors, "embeddings.word_embeddings.weight"));
    sx_tensors_close(tensors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads),    cmocka_unit_test(test_empty),         cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_header_length), cmocka_unit_test(test_not_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
