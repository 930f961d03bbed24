/* dense.h - a linear layer behind the encoder: sentence-transformers' Dense modules, and what heads are made of. */
#ifndef SX_MODEL_DENSE_H
#define SX_MODEL_DENSE_H

#include "tensors.h"

#include <stdbool.h>

/* out = activation(in * weight^T + bias), the weight packed for one instruction set. Zero-initialise. */
typedef struct sx_dense {
    size_t inputs, outputs;
    sx_activation activation;
    float *panels;
    float *bias;         /* NULL: none */
    uint64_t parameters;
} sx_dense;

/* "torch.nn.modules.activation.Tanh" -> SX_ACTIVATION_TANH. False for one that is not known. */
bool sx_activation_of_torch(const char *name, sx_activation *activation);
/* "tanh", for the recipe. */
const char *sx_activation_name(sx_activation activation);

/* Takes NAME.weight (outputs x inputs) and, with_bias, NAME.bias from an open file; name "": "weight" and "bias". outputs 0:
 * whatever the file has. Errors name the file, the tensor and both shapes. */
sx_status sx_dense_load(const sx_tensors *file, const char *name, size_t inputs, size_t outputs, bool with_bias,
                        sx_activation activation, const sx_kernels *kernels, sx_dense *dense, sx_error *error);
void sx_dense_clear(sx_dense *dense);

/* rows of `inputs` floats to rows of `outputs` floats; in and out do not overlap. */
void sx_dense_apply(const sx_dense *dense, const sx_kernels *kernels, const float *in, size_t in_stride, size_t rows, float *out,
                    size_t out_stride);

/* A tensor of a given rank-1 width as floats, malloc'ed. */
sx_status sx_dense_vector(const sx_tensors *file, const char *name, size_t width, const sx_kernels *kernels, float **out,
                          sx_error *error);
/* model.safetensors or pytorch_model.bin (or an index of shards) of a folder, malloc'ed; SX_E_NOT_FOUND names the folder. */
sx_status sx_weights_file_in(const char *folder, const char *const *names, size_t count, char **path, sx_error *error);

#endif
