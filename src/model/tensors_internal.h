/* tensors_internal.h - what the readers of single formats share. */
#ifndef SX_MODEL_TENSORS_INTERNAL_H
#define SX_MODEL_TENSORS_INTERNAL_H

#include "tensors.h"

/* Appends the tensors of one file, whose bytes are given and which is paths[file_count - 1]. The order does not matter;
 * sx_tensors_sort refuses what is there twice. */
sx_status sx_safetensors_add(sx_tensors *tensors, const unsigned char *data, size_t length, sx_error *error);
/* What torch.save wrote: a zip archive, or the format of PyTorch before 1.6. */
sx_status sx_torch_add(sx_tensors *tensors, const unsigned char *data, size_t length, sx_error *error);
bool sx_is_torch(const unsigned char *data, size_t length);
/* Sets tensors->gguf too, which lives in the arena. */
sx_status sx_gguf_add(sx_tensors *tensors, const unsigned char *data, size_t length, sx_error *error);
bool sx_is_gguf(const unsigned char *data, size_t length);

/* Elements of the block-quantised dtypes (quantised.c), exactly as ggml's reference gives them. */
void sx_quantised_read(sx_dtype dtype, const unsigned char *data, size_t first, size_t count, float *out);

/* Opens and adds one more file, of any format. */
sx_status sx_tensors_add_file(sx_tensors *tensors, const char *path, sx_error *error);
/* Adds the tensors of the last file of the list, whose bytes are given. */
sx_status sx_tensors_add_content(sx_tensors *tensors, const unsigned char *data, size_t length, sx_error *error);
/* Puts one more file, not mapped yet, into the list. */
sx_status sx_tensors_add_path(sx_tensors *tensors, const char *path, sx_error *error);
/* By name, once all files are there; SX_E_FORMAT: a name is there twice. */
sx_status sx_tensors_sort(sx_tensors *tensors, sx_error *error);
/* Adds the files that an index names, and compares what they hold with what it says. */
sx_status sx_tensor_index_add(sx_tensors *tensors, const char *path, sx_error *error);

/* A new zeroed tensor at the end of the list, its file set; NULL: no memory. Moves the others. */
sx_tensor *sx_tensors_append(sx_tensors *tensors);

#endif
