/* classification_head.h - what makes a cross-encoder of an encoder: from a pair's token states to one logit for each label. */
#ifndef SX_MODEL_CLASSIFICATION_HEAD_H
#define SX_MODEL_CLASSIFICATION_HEAD_H

#include "dense.h"

/* Zero-initialise. */
typedef struct sx_classification_head {
    unsigned pooling;            /* SX_POOLING_CLS, _MEAN or _LAST_TOKEN */
    size_t width;                /* of a token's state */
    bool has_padding;            /* with SX_POOLING_LAST_TOKEN: the last token that is not this one */
    uint32_t padding_id;
    sx_dense hidden;             /* outputs 0: the family has none */
    float *norm_weight, *norm_bias;
    float norm_epsilon;
    sx_dense output;             /* outputs: labels */
    sx_activation activation;    /* from logits to scores */
    uint64_t parameters;
} sx_classification_head;

/* The head of a folder's weights, already open; config.json of that folder says the labels and the scores' activation. `family`
 * is its model_type. SX_E_UNSUPPORTED: this family's head is not known; SX_E_FORMAT: tensors and config disagree. */
sx_status sx_classification_head_open(const char *folder, const char *family, size_t width, const sx_tensors *file,
                                      const sx_kernels *kernels, sx_classification_head *head, sx_error *error);
void sx_classification_head_clear(sx_classification_head *head);

/* The states of `rows` tokens to logits (output.outputs floats). scratch: 2 x width floats. */
void sx_classification_head_run(const sx_classification_head *head, const sx_kernels *kernels, const float *states,
                                size_t stride, const uint32_t *ids, size_t rows, float *scratch, float *logits);
/* What CrossEncoder.predict() gives for logits. */
void sx_classification_head_scores(const sx_classification_head *head, const sx_kernels *kernels, const float *logits,
                                   size_t count, float *scores);

#endif
