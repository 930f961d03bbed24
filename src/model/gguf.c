/* gguf.c - reading a .gguf file of version 2 or 3 without trusting a byte of it.
 *
 * Format: ggml's docs/gguf.md: magic, version, number of tensors and of metadata values; the values (key, type, value); the
 * tensors (name, dimensions innermost first, type, offset); padding; data, each tensor padded to the alignment. All is
 * little-endian.
 */
#include "gguf.h"
#include "tensors_internal.h"

#include "../base/error.h"
#include "../base/little_endian.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 32, ALIGNMENT_MAX = 1 << 16, KEY_MAX = 65535, NAME_MAX_BYTES = 1024, RANK_MAX = 4 };

/* ggml_type: elements of one block and its bytes. */
static const struct type_row {
    unsigned number;
    const char *name;
    sx_dtype dtype;
    unsigned elements, bytes;
} types[] = {
    {0, "F32", SX_DTYPE_F32, 1, 4},        {1, "F16", SX_DTYPE_F16, 1, 2},        {2, "Q4_0", SX_DTYPE_Q4_0, 32, 18},
    {3, "Q4_1", SX_DTYPE_Q4_1, 32, 20},    {6, "Q5_0", SX_DTYPE_Q5_0, 32, 22},    {7, "Q5_1", SX_DTYPE_Q5_1, 32, 24},
    {8, "Q8_0", SX_DTYPE_Q8_0, 32, 34},    {9, "Q8_1", SX_DTYPE_OTHER, 32, 40},   {10, "Q2_K", SX_DTYPE_OTHER, 256, 84},
    {11, "Q3_K", SX_DTYPE_OTHER, 256, 110}, {12, "Q4_K", SX_DTYPE_Q4_K, 256, 144}, {13, "Q5_K", SX_DTYPE_Q5_K, 256, 176},
    {14, "Q6_K", SX_DTYPE_Q6_K, 256, 210}, {15, "Q8_K", SX_DTYPE_OTHER, 256, 292}, {16, "IQ2_XXS", SX_DTYPE_OTHER, 256, 66},
    {17, "IQ2_XS", SX_DTYPE_OTHER, 256, 74}, {18, "IQ3_XXS", SX_DTYPE_OTHER, 256, 98}, {19, "IQ1_S", SX_DTYPE_OTHER, 256, 50},
    {20, "IQ4_NL", SX_DTYPE_OTHER, 32, 18}, {21, "IQ3_S", SX_DTYPE_OTHER, 256, 110}, {22, "IQ2_S", SX_DTYPE_OTHER, 256, 82},
    {23, "IQ4_XS", SX_DTYPE_OTHER, 256, 136}, {24, "I8", SX_DTYPE_OTHER, 1, 1},   {25, "I16", SX_DTYPE_OTHER, 1, 2},
    {26, "I32", SX_DTYPE_OTHER, 1, 4},     {27, "I64", SX_DTYPE_I64, 1, 8},       {28, "F64", SX_DTYPE_F64, 1, 8},
    {29, "IQ1_M", SX_DTYPE_OTHER, 256, 56}, {30, "BF16", SX_DTYPE_BF16, 1, 2},    {34, "TQ1_0", SX_DTYPE_OTHER, 256, 54},
    {35, "TQ2_0", SX_DTYPE_OTHER, 256, 66}, {39, "MXFP4", SX_DTYPE_OTHER, 32, 17},
};

/* Bytes of one value of each sx_gguf_type; 0: not of fixed size. */
static const unsigned char type_bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

typedef struct reader {
    sx_tensors *tensors;
    sx_gguf *gguf;
    const unsigned char *data;
    size_t length, at;
    sx_error *error;
} reader;

static bool take(reader *r, unsigned size, uint64_t *value)
{
    if (size > r->length - r->at)
        return false;
    *value = sx_little_endian(r->data + r->at, size);
    r->at += size;
    return true;
}

static bool take_text(reader *r, sx_text *text)
{
    uint64_t length;
    if (!take(r, 8, &length) || length > r->length - r->at)
        return false;
    *text = (sx_text){(const char *)r->data + r->at, (size_t)length};
    r->at += (size_t)length;
    return true;
}

static sx_status cut_off(const reader *r, const char *what, uint64_t index, uint64_t count)
{
    return sx_fail(r->error, SX_E_FORMAT,
                   "%s: %s %" PRIu64 " of %" PRIu64 " does not end within the file's %zu bytes (truncated?)", r->gguf->path,
                   what, index, count, r->length);
}

/* Steps over one value or the elements of one array. False: beyond the end. */
static bool skip_values(reader *r, sx_gguf_type type, uint64_t count)
{
    sx_text text;
    if (type == SX_GGUF_STRING) {
        while (count > 0 && take_text(r, &text))
            count--;
        return count == 0;
    }
    if (count > (r->length - r->at) / type_bytes[type])
        return false;
    r->at += (size_t)count * type_bytes[type];
    return true;
}

static sx_status read_value(reader *r, uint64_t index, uint64_t count)
{
    sx_gguf_value value = {.count = 1};
    uint64_t type, elements = 1;
    if (!take_text(r, &value.key) || !take(r, 4, &type))
        return cut_off(r, "metadata value", index + 1, count);
    int shown = value.key.length < 100 ? (int)value.key.length : 100;
    if (value.key.length > KEY_MAX)
        return sx_fail(r->error, SX_E_FORMAT, "%s: a metadata key of %zu bytes", r->gguf->path, value.key.length);
    if (type == SX_GGUF_ARRAY) {
        value.array = true;
        if (!take(r, 4, &type) || !take(r, 8, &elements))
            return cut_off(r, "metadata value", index + 1, count);
        if (type == SX_GGUF_ARRAY)
            return sx_fail(r->error, SX_E_UNSUPPORTED, "%s: metadata %.*s is an array of arrays", r->gguf->path, shown,
                           value.key.data);
    }
    if (type > SX_GGUF_FLOAT64)
        return sx_fail(r->error, SX_E_FORMAT, "%s: metadata %.*s is of the unknown type %" PRIu64, r->gguf->path, shown,
                       value.key.data, type);
    value.type = (sx_gguf_type)type;
    value.data = r->data + r->at;
    if (!skip_values(r, value.type, elements))
        return cut_off(r, "metadata value", index + 1, count);
    value.count = (size_t)elements;
    sx_gguf *gguf = r->gguf;
    gguf->values[gguf->count++] = value;
    return SX_OK;
}

static int compare_keys(const void *a, const void *b)
{
    sx_text x = ((const sx_gguf_value *)a)->key, y = ((const sx_gguf_value *)b)->key;
    size_t common = x.length < y.length ? x.length : y.length;
    int order = common ? memcmp(x.data, y.data, common) : 0;
    return order ? order : (x.length > y.length) - (x.length < y.length);
}

static sx_status read_metadata(reader *r, uint64_t count)
{
    sx_gguf *gguf = r->gguf;
    if (count > (r->length - r->at) / 13) /* a key's length, a type and a byte are the least a value takes */
        return sx_fail(r->error, SX_E_FORMAT, "%s: %" PRIu64 " metadata values cannot lie in a file of %zu bytes", gguf->path,
                       count, r->length);
    gguf->values = sx_arena_alloc(&r->tensors->arena, (size_t)count * sizeof *gguf->values);
    if (!gguf->values)
        return sx_fail_nomem(r->error, (size_t)count * sizeof *gguf->values);
    for (uint64_t i = 0; i < count; i++) {
        sx_status status = read_value(r, i, count);
        if (status)
            return status;
    }
    if (gguf->count)
        qsort(gguf->values, gguf->count, sizeof *gguf->values, compare_keys);
    for (size_t i = 1; i < gguf->count; i++)
        if (compare_keys(&gguf->values[i - 1], &gguf->values[i]) == 0)
            return sx_fail(r->error, SX_E_FORMAT, "%s: metadata %.*s is there twice", gguf->path,
                           (int)gguf->values[i].key.length, gguf->values[i].key.data);
    return SX_OK;
}

static const struct type_row *find_type(uint64_t type)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].number == type)
            return &types[i];
    return NULL;
}

/* One tensor's description; its place in the data must be *place, which then moves behind it. */
static sx_status read_tensor(reader *r, uint64_t index, uint64_t count, size_t alignment, size_t *place)
{
    const char *path = r->gguf->path;
    sx_text name;
    uint64_t rank, type, offset, sizes[RANK_MAX] = {0};
    bool whole = take_text(r, &name) && take(r, 4, &rank);
    if (whole && (name.length > NAME_MAX_BYTES || memchr(name.data, '\0', name.length)))
        return sx_fail(r->error, SX_E_FORMAT, "%s: tensor %" PRIu64 " has a name of %zu bytes, or NUL in it", path, index + 1,
                       name.length);
    if (whole && rank > RANK_MAX)
        return sx_fail(r->error, SX_E_FORMAT, "%s: tensor %.*s has %" PRIu64 " dimensions; GGUF allows %d", path,
                       (int)name.length, name.data, rank, RANK_MAX);
    for (unsigned i = 0; whole && i < rank; i++)
        whole = take(r, 8, &sizes[i]);
    if (!whole || !take(r, 4, &type) || !take(r, 8, &offset))
        return cut_off(r, "the description of tensor", index + 1, count);
    const struct type_row *row = find_type(type);
    if (!row)
        return sx_fail(r->error, SX_E_UNSUPPORTED, "%s: tensor %.*s is of type %" PRIu64 ", which is not known", path,
                       (int)name.length, name.data, type);
    sx_tensor *tensor = sx_tensors_append(r->tensors);
    if (!tensor)
        return sx_fail_nomem(r->error, r->tensors->count * sizeof *tensor);
    tensor->name = sx_arena_strndup(&r->tensors->arena, name.data, name.length);
    if (!tensor->name)
        return sx_fail_nomem(r->error, name.length);
    tensor->dtype = row->dtype;
    tensor->dtype_name = row->name;
    tensor->rank = (unsigned)rank;
    tensor->elements = 1;
    for (unsigned i = 0; i < rank; i++) {
        tensor->shape[rank - 1 - i] = (size_t)sizes[i];
        if (!sx_multiply(tensor->elements, (size_t)sizes[i], &tensor->elements))
            return sx_fail(r->error, SX_E_FORMAT, "%s: tensor %s: the shape's product with %" PRIu64 " overflows", path,
                           tensor->name, sizes[i]);
    }
    if ((rank ? sizes[0] : 1) % row->elements)
        return sx_fail(r->error, SX_E_FORMAT,
                       "%s: tensor %s: rows of %" PRIu64 " elements are no whole blocks of %s, which have %u", path,
                       tensor->name, sizes[0], row->name, row->elements);
    size_t padded;
    if (!sx_multiply(tensor->elements / row->elements, row->bytes, &tensor->bytes) ||
        __builtin_add_overflow(tensor->bytes, alignment - 1, &padded))
        return sx_fail(r->error, SX_E_FORMAT, "%s: tensor %s: %zu elements overflow", path, tensor->name, tensor->elements);
    if (offset != *place)
        return sx_fail(r->error, SX_E_FORMAT,
                       "%s: tensor %s is said to begin at byte %" PRIu64 " of the data, but the one before ends at %zu (%s)",
                       path, tensor->name, offset, *place, offset < *place ? "overlap" : "hole");
    if (__builtin_add_overflow(*place, padded / alignment * alignment, place))
        return sx_fail(r->error, SX_E_FORMAT, "%s: tensor %s: %zu elements overflow", path, tensor->name, tensor->elements);
    return SX_OK;
}

static sx_status place_tensors(reader *r, size_t first, size_t alignment, size_t end)
{
    size_t begin = r->at, place = 0;
    if (r->at % alignment)
        begin += alignment - r->at % alignment;
    size_t data_length = begin < r->length ? r->length - begin : 0;
    for (size_t i = first; i < r->tensors->count; i++) {
        sx_tensor *tensor = &r->tensors->tensors[i];
        if (place > data_length || tensor->bytes > data_length - place)
            return sx_fail(r->error, SX_E_FORMAT,
                           "%s: tensor %s takes %zu bytes from byte %zu of the data, but the file has only %zu (truncated?)",
                           r->gguf->path, tensor->name, tensor->bytes, place, data_length);
        tensor->data = tensor->bytes ? r->data + begin + place : r->data;
        place += (tensor->bytes + alignment - 1) / alignment * alignment;
    }
    if (data_length > end)
        return sx_fail(r->error, SX_E_FORMAT, "%s: the tensors end at byte %zu of the data, but the file has %zu",
                       r->gguf->path, end, data_length);
    return SX_OK;
}

static sx_status read_alignment(const sx_gguf *gguf, size_t *alignment, sx_error *error)
{
    uint64_t value = ALIGNMENT;
    sx_status status = sx_gguf_unsigned(gguf, "general.alignment", &value, NULL, error);
    if (!status && (value == 0 || value > ALIGNMENT_MAX || value & (value - 1)))
        status = sx_fail(error, SX_E_FORMAT, "%s: general.alignment is %" PRIu64 ", no power of two up to %d", gguf->path,
                         value, ALIGNMENT_MAX);
    *alignment = (size_t)value;
    return status;
}

bool sx_is_gguf(const unsigned char *data, size_t length)
{
    return length >= 4 && memcmp(data, "GGUF", 4) == 0;
}

sx_status sx_gguf_add(sx_tensors *tensors, const unsigned char *data, size_t length, sx_error *error)
{
    reader r = {.tensors = tensors, .data = data, .length = length, .at = 4, .error = error};
    const char *path = tensors->paths[tensors->file_count - 1];
    uint64_t version, tensor_count, value_count, parts = 1;
    size_t alignment, place = 0, first = tensors->count;
    if (!take(&r, 4, &version) || !take(&r, 8, &tensor_count) || !take(&r, 8, &value_count))
        return sx_fail(error, SX_E_FORMAT, "%s: %zu bytes are less than a GGUF file's header has", path, length);
    if (version & 0xffff ? version != 2 && version != 3 : true)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: GGUF version %" PRIu64 "%s; versions 2 and 3 are read", path,
                       version & 0xffff ? version : version >> 24, version & 0xffff ? "" : " in big-endian byte order");
    r.gguf = sx_arena_alloc(&tensors->arena, sizeof *r.gguf);
    if (!r.gguf)
        return sx_fail_nomem(error, sizeof *r.gguf);
    tensors->gguf = r.gguf;
    r.gguf->path = path;
    sx_status status = read_metadata(&r, value_count);
    if (!status)
        status = read_alignment(r.gguf, &alignment, error);
    if (!status)
        status = sx_gguf_unsigned(r.gguf, "split.count", &parts, NULL, error);
    if (!status && parts > 1)
        status = sx_fail(error, SX_E_UNSUPPORTED, "%s: one of %" PRIu64 " parts; join them with llama-gguf-split --merge",
                         path, parts);
    for (uint64_t i = 0; !status && i < tensor_count; i++)
        status = read_tensor(&r, i, tensor_count, alignment, &place);
    return status ? status : place_tensors(&r, first, alignment, place);
}

const sx_gguf_value *sx_gguf_find(const sx_gguf *gguf, const char *key)
{
    const sx_gguf_value wanted = {.key = {key, strlen(key)}};
    return gguf->count ? bsearch(&wanted, gguf->values, gguf->count, sizeof wanted, compare_keys) : NULL;
}

static sx_status wrong_kind(const sx_gguf *gguf, const char *key, const char *expected, sx_error *error)
{
    return sx_fail(error, SX_E_FORMAT, "%s: metadata %s is no %s", gguf->path, key, expected);
}

/* Element i of a value that is no string, as a double. */
static double element(const sx_gguf_value *value, size_t i)
{
    const unsigned char *at = value->data + i * type_bytes[value->type];
    uint64_t bits = sx_little_endian(at, type_bytes[value->type]);
    float single;
    double wide;
    switch (value->type) {
    case SX_GGUF_INT8: return (int8_t)bits;
    case SX_GGUF_INT16: return (int16_t)bits;
    case SX_GGUF_INT32: return (int32_t)bits;
    case SX_GGUF_INT64: return (double)(int64_t)bits;
    case SX_GGUF_FLOAT32:
        memcpy(&single, at, sizeof single);
        return (double)single;
    case SX_GGUF_FLOAT64:
        memcpy(&wide, at, sizeof wide);
        return wide;
    default: return (double)bits;
    }
}

/* The value of a key when it is a single one; SX_OK with *value NULL when it is missing. */
static sx_status single(const sx_gguf *gguf, const char *key, const char *expected, const sx_gguf_value **value, bool *found,
                        sx_error *error)
{
    *value = sx_gguf_find(gguf, key);
    if (found)
        *found = *value != NULL;
    return *value && (*value)->array ? wrong_kind(gguf, key, expected, error) : SX_OK;
}

sx_status sx_gguf_unsigned(const sx_gguf *gguf, const char *key, uint64_t *value, bool *found, sx_error *error)
{
    const sx_gguf_value *here;
    sx_status status = single(gguf, key, "number", &here, found, error);
    if (status || !here)
        return status;
    if (here->type == SX_GGUF_STRING || here->type == SX_GGUF_FLOAT32 || here->type == SX_GGUF_FLOAT64 ||
        here->type == SX_GGUF_BOOL || element(here, 0) < 0)
        return wrong_kind(gguf, key, "whole number from 0 on", error);
    *value = sx_little_endian(here->data, type_bytes[here->type]);
    return SX_OK;
}

sx_status sx_gguf_number(const sx_gguf *gguf, const char *key, double *value, bool *found, sx_error *error)
{
    const sx_gguf_value *here;
    sx_status status = single(gguf, key, "number", &here, found, error);
    if (status || !here)
        return status;
    if (here->type == SX_GGUF_STRING || here->type == SX_GGUF_BOOL || !isfinite(element(here, 0)))
        return wrong_kind(gguf, key, "finite number", error);
    *value = element(here, 0);
    return SX_OK;
}

sx_status sx_gguf_boolean(const sx_gguf *gguf, const char *key, bool *value, bool *found, sx_error *error)
{
    const sx_gguf_value *here;
    sx_status status = single(gguf, key, "boolean", &here, found, error);
    if (status || !here)
        return status;
    if (here->type != SX_GGUF_BOOL)
        return wrong_kind(gguf, key, "boolean", error);
    *value = here->data[0] != 0;
    return SX_OK;
}

sx_status sx_gguf_string(const sx_gguf *gguf, const char *key, sx_text *value, bool *found, sx_error *error)
{
    const sx_gguf_value *here;
    sx_status status = single(gguf, key, "text", &here, found, error);
    if (status || !here)
        return status;
    if (here->type != SX_GGUF_STRING)
        return wrong_kind(gguf, key, "text", error);
    *value = (sx_text){(const char *)here->data + 8, (size_t)sx_little_endian(here->data, 8)};
    return SX_OK;
}

sx_status sx_gguf_strings(const sx_gguf *gguf, const char *key, sx_arena *arena, sx_text **values, size_t *count,
                          sx_error *error) {
    const sx_gguf_value *here = sx_gguf_find(gguf, key);
    if (!here)
        return SX_OK;
    if (!here->array || here->type != SX_GGUF_STRING)
        return wrong_kind(gguf, key, "list of texts", error);
    sx_text *texts = sx_arena_alloc(arena, here->count * sizeof *texts);
    if (!texts)
        return sx_fail_nomem(error, here->count * sizeof *texts);
    const unsigned char *at = here->data;
    for (size_t i = 0; i < here->count; i++) {
        texts[i] = (sx_text){(const char *)at + 8, (size_t)sx_little_endian(at, 8)};
        at += 8 + texts[i].length;
    }
    *values = texts;
    *count = here->count;
    return SX_OK;
}

sx_status sx_gguf_numbers(const sx_gguf *gguf, const char *key, sx_arena *arena, double **values, size_t *count,
                          sx_error *error) {
    const sx_gguf_value *here = sx_gguf_find(gguf, key);
    if (!here)
        return SX_OK;
    if (!here->array || here->type == SX_GGUF_STRING)
        return wrong_kind(gguf, key, "list of numbers", error);
    double *numbers = sx_arena_alloc(arena, here->count * sizeof *numbers);
    if (!numbers)
        return sx_fail_nomem(error, here->count * sizeof *numbers);
    for (size_t i = 0; i < here->count; i++)
        numbers[i] = element(here, i);
    *values = numbers;
    *count = here->count;
    return SX_OK;
}
