/* tensors.c - the list of tensors that weight files hold, and reading elements as floats. */
#include "tensors_internal.h"

#include "../base/error.h"

#include <stdlib.h>
#include <string.h>

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const sx_tensor *)a)->name, ((const sx_tensor *)b)->name);
}

sx_status sx_tensors_add_path(sx_tensors *tensors, const char *path, sx_error *error)
{
    const char *copy = sx_arena_strndup(&tensors->arena, path, strlen(path));
    const char **paths = sx_realloc_array(tensors->paths, tensors->file_count + 1, sizeof *paths);
    if (paths)
        tensors->paths = paths;
    sx_file_map *maps = sx_realloc_array(tensors->maps, tensors->file_count + 1, sizeof *maps);
    if (maps)
        tensors->maps = maps;
    if (!copy || !paths || !maps)
        return sx_fail_nomem(error, strlen(path));
    if (!tensors->path)
        tensors->path = copy;
    memset(&maps[tensors->file_count], 0, sizeof *maps);
    paths[tensors->file_count++] = copy;
    return SX_OK;
}

sx_tensor *sx_tensors_append(sx_tensors *tensors)
{
    if (!sx_reserve((void **)&tensors->tensors, &tensors->capacity, tensors->count + 1, sizeof *tensors->tensors))
        return NULL;
    sx_tensor *tensor = &tensors->tensors[tensors->count++];
    *tensor = (sx_tensor){.file = tensors->file_count - 1};
    return tensor;
}

sx_status sx_tensors_sort(sx_tensors *tensors, sx_error *error)
{
    if (tensors->count)
        qsort(tensors->tensors, tensors->count, sizeof *tensors->tensors, compare_names);
    for (size_t i = 1; i < tensors->count; i++)
        if (strcmp(tensors->tensors[i - 1].name, tensors->tensors[i].name) == 0)
            return sx_fail(error, SX_E_FORMAT, "%s: tensor %s is there twice",
                           sx_tensor_path(tensors, &tensors->tensors[i]), tensors->tensors[i].name);
    return SX_OK;
}

void sx_tensors_close(sx_tensors *tensors)
{
    if (!tensors)
        return;
    for (unsigned i = 0; i < tensors->file_count; i++)
        sx_file_map_close(&tensors->maps[i]);
    free(tensors->maps);
    free(tensors->paths);
    free(tensors->tensors);
    sx_arena_clear(&tensors->arena);
    free(tensors);
}

const sx_tensor *sx_tensors_find(const sx_tensors *tensors, const char *name)
{
    sx_tensor wanted = {.name = name};
    if (tensors->count == 0)
        return NULL;
    return bsearch(&wanted, tensors->tensors, tensors->count, sizeof *tensors->tensors, compare_names);
}

const char *sx_tensor_path(const sx_tensors *tensors, const sx_tensor *tensor)
{
    return tensors->paths[tensor->file];
}

void sx_tensor_read(const sx_tensor *tensor, const sx_kernels *kernels, size_t first, size_t count, float *out)
{
    switch (tensor->dtype) {
    case SX_DTYPE_F32:
        memcpy(out, tensor->data + first * sizeof(float), count * sizeof(float));
        break;
    case SX_DTYPE_F16:
        kernels->from_f16(tensor->data + first * 2, out, count);
        break;
    case SX_DTYPE_BF16:
        kernels->from_bf16(tensor->data + first * 2, out, count);
        break;
    case SX_DTYPE_F64:
        for (size_t i = 0; i < count; i++) {
            double value;
            memcpy(&value, tensor->data + (first + i) * sizeof value, sizeof value);
            out[i] = (float)value;
        }
        break;
    case SX_DTYPE_I64:
        for (size_t i = 0; i < count; i++) {
            int64_t value;
            memcpy(&value, tensor->data + (first + i) * sizeof value, sizeof value);
            out[i] = (float)value;
        }
        break;
    case SX_DTYPE_Q8_0:
    case SX_DTYPE_Q4_0:
    case SX_DTYPE_Q4_1:
    case SX_DTYPE_Q5_0:
    case SX_DTYPE_Q5_1:
    case SX_DTYPE_Q4_K:
    case SX_DTYPE_Q5_K:
    case SX_DTYPE_Q6_K:
        sx_quantised_read(tensor->dtype, tensor->data, first, count, out);
        break;
    case SX_DTYPE_OTHER:
        break;
    }
}

const char *sx_dtype_storage(sx_dtype dtype)
{
    static const char *const names[] = {"f32", "f16", "bf16", "f64", "i64", "q8_0", "q4_0",
                                        "q4_1", "q5_0", "q5_1", "q4_k", "q5_k", "q6_k", "other"};
    return names[dtype];
}
