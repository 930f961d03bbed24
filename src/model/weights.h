/* weights.h - an encoder's weights, made ready for the kernels of one instruction set. */
#ifndef SX_MODEL_WEIGHTS_H
#define SX_MODEL_WEIGHTS_H

#include "architecture.h"
#include "tensors.h"

#include "../base/thread_pool.h"

/* A packed matrix with its bias: out = activation(in * panels + bias). */
typedef struct sx_linear {
    size_t inputs, outputs;
    float *panels;
    float *bias;    /* outputs floats */
} sx_linear;

typedef struct sx_norm {
    float *weight, *bias;
} sx_norm;

typedef struct sx_layer {
    sx_linear attention_input; /* Q, K and V beside each other; Q times 1 / sqrt(head size) */
    sx_linear attention_output;
    sx_norm attention_norm;
    sx_linear up, down;
    sx_norm output_norm;
} sx_layer;

/* Immutable once open; refers to the mapped file for the word embeddings. */
typedef struct sx_weights {
    const sx_kernels *kernels;
    const sx_tensor *words;    /* vocabulary x hidden, read row by row from the map */
    float *positions;          /* positions x hidden, the embedding of token type 0 added */
    sx_norm embedding_norm;
    sx_layer *layers;
    size_t layer_count;
    uint64_t parameters;       /* elements of the tensors used */
    sx_dtype storage;          /* of the word embeddings */
    float *memory;             /* all floats above, one mapping */
    size_t memory_bytes;
} sx_weights;

/* Looks every tensor up, compares its shape with the config, packs the matrices on the pool's threads, then lets the pages of
 * the map go that were only needed for it. No text will be longer than `longest` tokens. Errors name file, tensor and both
 * shapes. */
sx_status sx_weights_open(const sx_architecture *architecture, const sx_tensors *file, const sx_kernels *kernels,
                          size_t longest, sx_thread_pool *pool, sx_weights **out, sx_error *error);
void sx_weights_close(sx_weights *weights);

#endif
