/* safetensors.c - reading the header of a .safetensors file without trusting a byte of it.
 *
 * Format: https://github.com/huggingface/safetensors ("Format"): u64 little-endian N, N bytes of JSON {name: {dtype, shape,
 * data_offsets: [begin, end)}}, then the data, which the ranges must cover without overlap and without holes.
 */
#include "tensors_internal.h"

#include "../base/error.h"
#include "../base/json_reader.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 8, HEADER_MAX = 100 * 1000 * 1000 };

/* Bits of one element; 0 ends the list. Of a dtype not listed only the range is checked. */
static const struct dtype_row {
    const char *name;
    sx_dtype dtype;
    unsigned bits;
} dtypes[] = {
    {"F32", SX_DTYPE_F32, 32},       {"F16", SX_DTYPE_F16, 16},     {"BF16", SX_DTYPE_BF16, 16},
    {"F64", SX_DTYPE_F64, 64},       {"I64", SX_DTYPE_I64, 64},     {"I32", SX_DTYPE_OTHER, 32},
    {"I16", SX_DTYPE_OTHER, 16},     {"I8", SX_DTYPE_OTHER, 8},     {"U64", SX_DTYPE_OTHER, 64},
    {"U32", SX_DTYPE_OTHER, 32},     {"U16", SX_DTYPE_OTHER, 16},   {"U8", SX_DTYPE_OTHER, 8},
    {"BOOL", SX_DTYPE_OTHER, 8},     {"C64", SX_DTYPE_OTHER, 64},   {"F8_E4M3", SX_DTYPE_OTHER, 8},
    {"F8_E5M2", SX_DTYPE_OTHER, 8},  {NULL, SX_DTYPE_OTHER, 0},
};

/* What is being read; the ends of the ranges are absolute in the data. */
typedef struct header_reader {
    sx_tensors *file;
    sx_json json;
    sx_buffer key, text;
    const char *path;      /* of this file */
    size_t first;          /* of its tensors among all */
    size_t data_length;
    const unsigned char *data;
} header_reader;

static sx_status read_shape(header_reader *reader, sx_tensor *tensor, sx_error *error)
{
    tensor->elements = 1;
    sx_json_array(&reader->json);
    while (sx_json_element(&reader->json)) {
        uint64_t size;
        if (!sx_json_unsigned(&reader->json, &size))
            break;
        if (tensor->rank == SX_TENSOR_MAX_RANK)
            return sx_fail(error, SX_E_UNSUPPORTED, "%s: tensor %s has more than %d dimensions", reader->path,
                           tensor->name, SX_TENSOR_MAX_RANK);
        if (!sx_multiply(tensor->elements, size, &tensor->elements))
            return sx_fail(error, SX_E_FORMAT, "%s: tensor %s: the shape's product with %" PRIu64 " overflows",
                           reader->path, tensor->name, size);
        tensor->shape[tensor->rank++] = size;
    }
    return SX_OK;
}

static sx_status read_tensor(header_reader *reader, sx_tensor *tensor, sx_error *error)
{
    sx_json *json = &reader->json;
    const char *path = reader->path;
    bool has_shape = false, has_offsets = false;
    uint64_t begin = 0, end = 0;
    unsigned bits = 0;
    sx_text key, value;
    sx_json_object(json);
    while (sx_json_member(json, &reader->key, &key)) {
        if (sx_text_is(key, "dtype") && !tensor->dtype_name) {
            if (!sx_json_string(json, &reader->text, &value))
                break;
            tensor->dtype_name = sx_arena_strndup(&reader->file->arena, value.data, value.length);
            if (!tensor->dtype_name)
                return sx_fail_nomem(error, value.length);
            size_t i = 0;
            while (dtypes[i].name && !sx_text_is(value, dtypes[i].name))
                i++;
            tensor->dtype = dtypes[i].dtype;
            bits = dtypes[i].bits;
        } else if (sx_text_is(key, "shape") && !has_shape) {
            has_shape = true;
            sx_status status = read_shape(reader, tensor, error);
            if (status)
                return status;
        } else if (sx_text_is(key, "data_offsets") && !has_offsets) {
            has_offsets = true;
            sx_json_array(json);
            if (sx_json_element(json) && sx_json_unsigned(json, &begin) && sx_json_element(json) &&
                sx_json_unsigned(json, &end) && sx_json_element(json))
                sx_json_reject(json, "data_offsets with more than two numbers");
        } else {
            sx_json_reject(json, "expected dtype, shape and data_offsets once each");
        }
    }
    if (json->problem)
        return sx_fail(error, SX_E_FORMAT, "%s: tensor %s: byte %zu of the header: %s", path, tensor->name,
                       json->problem_position, json->problem);
    if (!tensor->dtype_name || !has_shape || !has_offsets)
        return sx_fail(error, SX_E_FORMAT, "%s: tensor %s has no %s", path, tensor->name,
                       !tensor->dtype_name ? "dtype" : !has_shape ? "shape" : "data_offsets");
    if (begin > end)
        return sx_fail(error, SX_E_FORMAT, "%s: tensor %s begins at byte %" PRIu64 " behind its end %" PRIu64, path,
                       tensor->name, begin, end);
    if (end > reader->data_length)
        return sx_fail(error, SX_E_FORMAT,
                       "%s: tensor %s ends at byte %" PRIu64 " of the data, but the file has only %zu (truncated?)", path,
                       tensor->name, end, reader->data_length);
    tensor->data = reader->data + begin;
    tensor->bytes = end - begin;
    size_t size_in_bits;
    if (bits && (!sx_multiply(tensor->elements, bits, &size_in_bits) || size_in_bits / 8 != tensor->bytes))
        return sx_fail(error, SX_E_FORMAT, "%s: tensor %s: %zu elements of %s do not make %zu bytes", path, tensor->name,
                       tensor->elements, tensor->dtype_name, tensor->bytes);
    return SX_OK;
}

static int compare_places(const void *a, const void *b)
{
    const sx_tensor *x = a, *y = b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static sx_status check_places(const header_reader *reader, sx_error *error)
{
    sx_tensor *tensors = reader->file->tensors + reader->first;
    size_t place = 0, count = reader->file->count - reader->first;
    if (count)
        qsort(tensors, count, sizeof *tensors, compare_places);
    for (size_t i = 0; i < count; i++) {
        size_t begin = (size_t)(tensors[i].data - reader->data);
        if (begin != place)
            return sx_fail(error, SX_E_FORMAT,
                           "%s: tensor %s begins at byte %zu of the data, but the one before ends at %zu (%s)", reader->path,
                           tensors[i].name, begin, place, begin < place ? "overlap" : "hole");
        place += tensors[i].bytes;
    }
    if (place != reader->data_length)
        return sx_fail(error, SX_E_FORMAT, "%s: the tensors end at byte %zu of the data, but the file has %zu", reader->path,
                       place, reader->data_length);
    return SX_OK;
}

static sx_status read_header(header_reader *reader, sx_error *error)
{
    sx_tensors *file = reader->file;
    sx_json *json = &reader->json;
    sx_text key;
    sx_json_object(json);
    while (sx_json_member(json, &reader->key, &key)) {
        if (sx_text_is(key, "__metadata__")) {
            sx_json_skip(json);
            continue;
        }
        if (memchr(key.data, '\0', key.length)) {
            sx_json_reject(json, "a tensor's name contains NUL");
            break;
        }
        sx_tensor *tensor = sx_tensors_append(file);
        if (!tensor)
            return sx_fail_nomem(error, (file->count + 1) * sizeof *file->tensors);
        tensor->name = sx_arena_strndup(&file->arena, key.data, key.length);
        if (!tensor->name)
            return sx_fail_nomem(error, key.length);
        sx_status status = read_tensor(reader, tensor, error);
        if (status)
            return status;
    }
    sx_json_end(json);
    if (json->problem)
        return sx_json_fail(json, SX_E_FORMAT, error);
    return check_places(reader, error);
}

sx_status sx_safetensors_add(sx_tensors *tensors, const unsigned char *data, size_t length, sx_error *error)
{
    const char *name = tensors->paths[tensors->file_count - 1];
    if (length < LENGTH_BYTES)
        return sx_fail(error, SX_E_FORMAT, "%s: %zu bytes are no safetensors file: its header's length alone takes %d", name,
                       length, LENGTH_BYTES);
    uint64_t header = 0;
    for (int i = LENGTH_BYTES - 1; i >= 0; i--)
        header = header << 8 | data[i];
    if (header > length - LENGTH_BYTES)
        return sx_fail(error, SX_E_FORMAT, "%s: the header is said to have %" PRIu64 " bytes, but the file has only %zu", name,
                       header, length - LENGTH_BYTES);
    if (header > HEADER_MAX)
        return sx_fail(error, SX_E_FORMAT, "%s: a header of %" PRIu64 " bytes; at most %d are allowed", name, header, HEADER_MAX);
    header_reader reader = {.file = tensors, .path = name, .first = tensors->count};
    reader.data = data + LENGTH_BYTES + header;
    reader.data_length = length - LENGTH_BYTES - header;
    sx_json_begin(&reader.json, data + LENGTH_BYTES, header, name);
    sx_status status = read_header(&reader, error);
    sx_buffer_clear(&reader.key);
    sx_buffer_clear(&reader.text);
    return status;
}
