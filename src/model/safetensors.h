/* safetensors.h - tensors in a mapped .safetensors file (format: 8-byte header length, JSON header, data). */
#ifndef SX_MODEL_SAFETENSORS_H
#define SX_MODEL_SAFETENSORS_H

#include "../base/file.h"
#include "../base/memory.h"
#include "../kern/kernels.h"

enum { SX_TENSOR_MAX_RANK = 8 };

typedef enum sx_dtype { SX_DTYPE_F32, SX_DTYPE_F16, SX_DTYPE_BF16, SX_DTYPE_OTHER } sx_dtype;

typedef struct sx_tensor {
    const char *name;
    const char *dtype_name;    /* as the file spells it */
    sx_dtype dtype;
    unsigned rank;
    size_t shape[SX_TENSOR_MAX_RANK];
    size_t elements;           /* product of the shape */
    const unsigned char *data; /* little-endian; of any alignment */
    size_t bytes;
} sx_tensor;

/* Immutable once open. */
typedef struct sx_safetensors {
    sx_file_map map;
    const char *path;          /* for messages */
    sx_tensor *tensors;        /* in ascending order of name */
    size_t count;
    sx_arena arena;
} sx_safetensors;

/* Checks everything: the header's length against the file's, every range against the data (no overlap, no hole, nothing
 * beyond the end), every size against shape and dtype. SX_E_FORMAT names the tensor and the two numbers. Tensors of dtypes
 * other than F32, F16 and BF16 are listed as SX_DTYPE_OTHER. */
sx_status sx_safetensors_open(const char *path, sx_safetensors **out, sx_error *error);
/* The same from memory that outlives it. */
sx_status sx_safetensors_parse(const void *data, size_t length, const char *name, sx_safetensors **out, sx_error *error);
void sx_safetensors_close(sx_safetensors *file);

/* NULL when there is none. */
const sx_tensor *sx_safetensors_find(const sx_safetensors *file, const char *name);

/* Elements first .. first + count - 1 as floats. The caller keeps inside `elements` and the dtype is not SX_DTYPE_OTHER. */
void sx_tensor_read(const sx_tensor *tensor, const sx_kernels *kernels, size_t first, size_t count, float *out);
/* As sx_model_info.storage says it: "f16". */
const char *sx_dtype_storage(sx_dtype dtype);

#endif
