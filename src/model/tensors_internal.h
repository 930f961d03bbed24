/* tensors_internal.h - what the readers of single formats share with tensors.c. */
#ifndef SX_MODEL_TENSORS_INTERNAL_H
#define SX_MODEL_TENSORS_INTERNAL_H

#include "tensors.h"

/* Appends the tensors of one file, whose bytes are given and which is paths[file_count - 1]. The order does not matter;
 * tensors.c sorts by name and refuses what is there twice. */
sx_status sx_safetensors_add(sx_tensors *tensors, const unsigned char *data, size_t length, sx_error *error);

/* A new zeroed tensor at the end of the list, its file set; NULL: no memory. Moves the others. */
sx_tensor *sx_tensors_append(sx_tensors *tensors);

#endif
