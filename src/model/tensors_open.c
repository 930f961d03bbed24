/* tensors_open.c - opening weights by a path, which may be an index of several files, or from memory. */
#include "tensors_internal.h"

#include "../base/error.h"

#include <string.h>

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* All files have been added, or one has failed. */
static sx_status finish(sx_tensors *tensors, sx_status status, sx_tensors **out, sx_error *error)
{
    if (!status)
        status = sx_tensors_sort(tensors, error);
    if (status)
        sx_tensors_close(tensors);
    else
        *out = tensors;
    return status;
}

sx_status sx_tensors_open(const char *path, sx_tensors **out, sx_error *error)
{
    *out = NULL;
    sx_tensors *tensors = sx_calloc(1, sizeof *tensors);
    if (!tensors)
        return sx_fail_nomem(error, sizeof *tensors);
    bool index = ends_with(path, ".index.json");
    sx_status status = index ? sx_tensor_index_add(tensors, path, error) : sx_tensors_add_file(tensors, path, error);
    return finish(tensors, status, out, error);
}

typedef sx_status add_function(sx_tensors *tensors, const unsigned char *data, size_t length, sx_error *error);

static sx_status parse(const void *data, size_t length, const char *name, add_function *add, sx_tensors **out, sx_error *error)
{
    *out = NULL;
    sx_tensors *tensors = sx_calloc(1, sizeof *tensors);
    if (!tensors)
        return sx_fail_nomem(error, sizeof *tensors);
    sx_status status = sx_tensors_add_path(tensors, name, error);
    if (!status)
        status = add(tensors, data, length, error);
    return finish(tensors, status, out, error);
}

static sx_status add_safetensors(sx_tensors *tensors, const unsigned char *data, size_t length, sx_error *error)
{
    tensors->bytes += length;
    return sx_safetensors_add(tensors, data, length, error);
}

sx_status sx_safetensors_parse(const void *data, size_t length, const char *name, sx_tensors **out, sx_error *error)
{
    return parse(data, length, name, add_safetensors, out, error);
}

sx_status sx_tensors_parse(const void *data, size_t length, const char *name, sx_tensors **out, sx_error *error)
{
    return parse(data, length, name, sx_tensors_add_content, out, error);
}
