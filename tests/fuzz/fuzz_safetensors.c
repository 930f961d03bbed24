/* fuzz_safetensors.c - any bytes as a .safetensors file: refused or read, never a crash; what is read lies inside the bytes. */
#include "model/tensors.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sx_tensors *file;
    sx_error error;
    if (sx_safetensors_parse(data, size, "fuzz", &file, &error))
        return 0;
    for (size_t i = 0; i < file->count; i++) {
        const sx_tensor *tensor = &file->tensors[i];
        if (sx_tensors_find(file, tensor->name) != tensor || tensor->data < data ||
            tensor->data + tensor->bytes > data + size)
            abort();
        float value;
        for (size_t j = 0; tensor->dtype != SX_DTYPE_OTHER && j < tensor->elements; j++)
            sx_tensor_read(tensor, sx_kernels_for(SX_CPU_C), j, 1, &value);
    }
    sx_tensors_close(file);
    return 0;
}
