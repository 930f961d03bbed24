/* weights.h - an encoder's weights, made ready for the kernels of one instruction set. */
#ifndef SX_MODEL_WEIGHTS_H
#define SX_MODEL_WEIGHTS_H

#include "architecture.h"
#include "tensors.h"

#include "../base/thread_pool.h"
#include "../kern/int8.h"

/* How matrices in floating point are held. */
typedef enum sx_storage {
    SX_STORAGE_AS_PUBLISHED,   /* halves where the file has halves, else floats: always exact */
    SX_STORAGE_F32,
    SX_STORAGE_HALF            /* halves: those of the file, and what is published otherwise rounded to IEEE ones */
} sx_storage;

/* A packed matrix with its bias: out = activation(in * panels + bias). In 8-bit integers (sx_weights.int8) the layers' matrices
 * have `quantised` instead of `panels`. */
typedef struct sx_linear {
    size_t inputs, outputs;
    float *panels;             /* NULL: no such matrix */
    sx_panel_format format;
    float *bias;               /* outputs floats, or NULL */
    float *quantised;          /* panels of int8.h */
    float *column_scales;      /* with `quantised`, for each output, padded to whole panels; behind them as many column sums */
    float *factors;            /* for each input, or NULL: see int8.h */
} sx_linear;

typedef struct sx_norm {
    float *weight;             /* NULL: no norm here */
    float *bias;               /* or NULL */
} sx_norm;

typedef struct sx_layer {
    sx_linear mixed;           /* Q, K and V beside each other */
    float *query_norm, *key_norm; /* head_size floats, or NULL */
    sx_linear attention_output;
    sx_norm attention_norm, attention_after_norm;
    sx_linear up;              /* with a gate: the gate's columns before its own */
    sx_linear down;
    sx_norm feed_forward_norm, feed_forward_after_norm;
} sx_layer;

/* Rows of cosines and sines, one for each position, head_size / 2 wide. */
typedef struct sx_rotation {
    float *cosines, *sines;    /* NULL: no rotary positions */
} sx_rotation;

/* Immutable once open; refers to the mapped file for the word embeddings. */
typedef struct sx_weights {
    const sx_kernels *kernels;
    const sx_int8_kernels *int8; /* NULL: everything in float */
    const sx_tensor *words;    /* vocabulary x embedding_size, read row by row from the map */
    float *positions;          /* what is added to a word: its position's row, the embedding of token type 0 added; or NULL */
    size_t position_stride;    /* 0: there is one row for all positions, that of token type 0 */
    float *second_type;        /* what token type 1 adds to that; NULL: the model has no type 1 */
    sx_norm embedding_norm;
    sx_linear embedding_projection; /* panels NULL: none */
    sx_layer *layers;
    size_t layer_count;        /* of different layers: fewer than the architecture's where they are tied */
    sx_norm final_norm;
    sx_rotation rotation, local_rotation; /* local: of layers with a window */
    float *relative;           /* for each head a row of 2 longest - 1 floats, distance 0 in the middle; or NULL */
    size_t longest;
    uint64_t parameters;       /* elements of the tensors used */
    sx_dtype storage;          /* of the word embeddings */
    bool rounded;              /* some matrix is held in halves that was not published in them */
    float *memory;             /* all floats above, one mapping */
    size_t memory_bytes;
} sx_weights;

/* Looks every tensor up, compares its shape with the architecture, packs the matrices on the pool's threads, then lets the
 * pages of the map go that were only needed for it. int8 NULL: all in float; else the layers' matrices are quantised. No text
 * will be longer than `longest` tokens. Errors name file, tensor and both shapes; a tensor that is missing, a bias that should
 * not be there and a weight too large for a half are errors. */
sx_status sx_weights_open(const sx_architecture *architecture, const sx_tensors *file, const sx_kernels *kernels,
                          const sx_int8_kernels *int8, sx_storage storage, size_t longest, sx_thread_pool *pool,
                          sx_weights **out, sx_error *error);
void sx_weights_close(sx_weights *weights);

#endif
