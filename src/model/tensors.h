/* tensors.h - named tensors in mapped weight files, whatever format they are published in.
 *
 * safetensors.c, gguf.c and torch_checkpoint.c each add what one file holds; tensor_files.c chooses by content, tensor_index.c
 * joins sharded files. Data points into the maps, except for transposed views in PyTorch checkpoints, which are copied.
 */
#ifndef SX_MODEL_TENSORS_H
#define SX_MODEL_TENSORS_H

#include "../base/file.h"
#include "../base/memory.h"
#include "../kern/kernels.h"

enum { SX_TENSOR_MAX_RANK = 8 };

typedef enum sx_dtype {
    SX_DTYPE_F32,
    SX_DTYPE_F16,
    SX_DTYPE_BF16,
    SX_DTYPE_F64,
    SX_DTYPE_I64,
    SX_DTYPE_Q8_0, /* GGUF's block formats: see quantised.c */
    SX_DTYPE_Q4_0,
    SX_DTYPE_Q4_1,
    SX_DTYPE_Q5_0,
    SX_DTYPE_Q5_1,
    SX_DTYPE_Q4_K,
    SX_DTYPE_Q5_K,
    SX_DTYPE_Q6_K,
    SX_DTYPE_OTHER /* listed, but sx_tensor_read does not read it */
} sx_dtype;

typedef struct sx_tensor {
    const char *name;
    const char *dtype_name;    /* as the file spells it */
    sx_dtype dtype;
    unsigned rank;
    size_t shape[SX_TENSOR_MAX_RANK]; /* outermost first, as PyTorch prints it, also for GGUF */
    size_t elements;           /* product of the shape */
    const unsigned char *data; /* little-endian; of any alignment */
    size_t bytes;
    unsigned file;             /* index into sx_tensors.paths */
} sx_tensor;

enum { SX_TENSOR_FILES_MAX = 1024 };

/* Immutable once open. */
typedef struct sx_tensors {
    const char *path;          /* the file it was opened by, for messages */
    sx_file_map *maps;         /* file_count; a map of length 0 when parsed from memory */
    const char **paths;
    unsigned file_count;
    sx_tensor *tensors;        /* in ascending order of name */
    size_t count, capacity;
    size_t bytes;              /* of all files together */
    struct sx_gguf *gguf;      /* metadata of a .gguf file, else NULL */
    sx_arena arena;
} sx_tensors;

/* path: a .safetensors file, a .safetensors.index.json or .bin.index.json naming shards beside it, a PyTorch checkpoint
 * (.bin, .pt, .pth; nothing in it is executed) or a .gguf file. Checks everything: lengths against the file's, every range
 * against the data (no overlap, no hole, nothing beyond the end; tensors of a PyTorch checkpoint may share storage), every size
 * against shape and dtype. SX_E_FORMAT names the tensor and the two numbers. */
sx_status sx_tensors_open(const char *path, sx_tensors **out, sx_error *error);
/* One safetensors file from memory that outlives it. */
sx_status sx_safetensors_parse(const void *data, size_t length, const char *name, sx_tensors **out, sx_error *error);
/* One file of any format (no index) from memory that outlives it. */
sx_status sx_tensors_parse(const void *data, size_t length, const char *name, sx_tensors **out, sx_error *error);
void sx_tensors_close(sx_tensors *tensors);

/* NULL when there is none. */
const sx_tensor *sx_tensors_find(const sx_tensors *tensors, const char *name);
/* The file a tensor lies in, for messages. */
const char *sx_tensor_path(const sx_tensors *tensors, const sx_tensor *tensor);

/* Elements first .. first + count - 1 as floats; F64 and I64 are rounded. The caller keeps inside `elements` and the dtype
 * is not SX_DTYPE_OTHER. Quantised dtypes: any first and count. */
void sx_tensor_read(const sx_tensor *tensor, const sx_kernels *kernels, size_t first, size_t count, float *out);
/* As sx_model_info.storage says it: "f16". */
const char *sx_dtype_storage(sx_dtype dtype);

#endif
