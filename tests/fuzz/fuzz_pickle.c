/* fuzz_pickle.c - any bytes as a PyTorch checkpoint, zip or stream: refused or read, never a crash; what is read can be read to
 * its end. */
#include "model/tensors.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const sx_kernels *kernels;
    sx_tensors *file;
    sx_error error;
    if (!kernels)
        kernels = sx_kernels_for(SX_CPU_C);
    if (sx_tensors_parse(data, size, "fuzz", &file, &error))
        return 0;
    for (size_t i = 0; i < file->count; i++) {
        const sx_tensor *tensor = &file->tensors[i];
        float value;
        if (sx_tensors_find(file, tensor->name) != tensor || tensor->elements > size)
            abort();
        for (size_t j = 0; tensor->dtype != SX_DTYPE_OTHER && j < tensor->elements; j++)
            sx_tensor_read(tensor, kernels, j, 1, &value);
    }
    sx_tensors_close(file);
    return 0;
}
