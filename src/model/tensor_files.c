/* tensor_files.c - adding a weight file of any format: its content tells which. */
#include "tensors_internal.h"

#include "../base/error.h"

sx_status sx_tensors_add_content(sx_tensors *tensors, const unsigned char *data, size_t length, sx_error *error)
{
    tensors->bytes += length;
    if (sx_is_gguf(data, length))
        return sx_gguf_add(tensors, data, length, error);
    if (sx_is_torch(data, length))
        return sx_torch_add(tensors, data, length, error);
    return sx_safetensors_add(tensors, data, length, error);
}

sx_status sx_tensors_add_file(sx_tensors *tensors, const char *path, sx_error *error)
{
    sx_status status = sx_tensors_add_path(tensors, path, error);
    if (status)
        return status;
    sx_file_map *map = &tensors->maps[tensors->file_count - 1];
    status = sx_file_map_open(path, map, error);
    return status ? status : sx_tensors_add_content(tensors, map->data, map->length, error);
}
