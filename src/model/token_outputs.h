/* token_outputs.h - what bge-m3 gives of each token beside the text's vector (Chen et al. 2024, "M3-Embedding"): a lexical
 * weight, and a vector for late interaction. */
#ifndef SX_MODEL_TOKEN_OUTPUTS_H
#define SX_MODEL_TOKEN_OUTPUTS_H

#include "dense.h"

#include "../tok/tokenizer.h"

enum { SX_TOKEN_OUTPUT_EXCLUDED = 4 };

/* Zero-initialise. */
typedef struct sx_token_outputs {
    sx_dense sparse, multi;      /* outputs 0: the folder has none */
    char *sparse_file, *multi_file;
    uint32_t excluded[SX_TOKEN_OUTPUT_EXCLUDED]; /* ids without a lexical weight: cls, eos, pad, unknown */
    size_t excluded_count;
    uint64_t parameters, bytes;
} sx_token_outputs;

/* sparse_linear and colbert_linear (.safetensors or .pt) of a folder; none there is no error. */
sx_status sx_token_outputs_open(const char *folder, size_t width, const sx_kernels *kernels, sx_token_outputs *outputs,
                                sx_error *error);
/* Looks the excluded tokens up, once the tokenizer is there. */
sx_status sx_token_outputs_exclude(const char *folder, const sx_tokenizer *tokenizer, sx_token_outputs *outputs, sx_error *error);
void sx_token_outputs_clear(sx_token_outputs *outputs);

/* The lexical weights of a text's `rows` tokens: for each id its largest weight above 0, ascending by id, into ids and weights
 * (rows of each). Returns how many. */
size_t sx_token_outputs_sparse(const sx_token_outputs *outputs, const sx_kernels *kernels, const float *states, size_t stride,
                               size_t rows, const uint32_t *tokens, uint32_t *ids, float *weights);
/* Vectors of length 1 for all tokens but the first: (rows - 1) x multi.outputs floats. */
void sx_token_outputs_multi(const sx_token_outputs *outputs, const sx_kernels *kernels, const float *states, size_t stride,
                            size_t rows, float *vectors);

#endif
