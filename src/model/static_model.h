/* static_model.h - static token-table models: a text's vector is the mean of its tokens' rows. */
#ifndef SX_MODEL_STATIC_MODEL_H
#define SX_MODEL_STATIC_MODEL_H

#include "tensors.h"

#include "../tok/tokenizer.h"

/* Refers to the open file. Zero-initialise. */
typedef struct sx_static_model {
    const sx_tensor *embeddings; /* rows x width */
    size_t rows, width;
    uint32_t *mapping;           /* token -> row; NULL: the same */
    double *weights;             /* of each token; NULL: 1 */
    size_t tokens;               /* ids below this have a row */
    uint64_t parameters;

    /* what becomes of a text */
    bool has_unknown;
    uint32_t unknown;            /* left out of the mean when has_unknown */
    uint32_t max_tokens;         /* 0: no limit */
    size_t max_characters;       /* code points; 0: no limit */
} sx_static_model;

/* Reads `embeddings` (or embedding.weight), `mapping` and `weights`. */
sx_status sx_static_model_open(const sx_tensors *file, sx_static_model *model, sx_error *error);
void sx_static_model_clear(sx_static_model *model);

/* The rules for texts. model2vec: unknown tokens are dropped, and config.json's max_length (512) limits tokens and, times the
 * median length of a token, characters. Otherwise sentence-transformers' StaticEmbedding: every token counts, and only a
 * limit in tokenizer.json itself holds. `folder` holds config.json and tokenizer.json. */
sx_status sx_static_model_rules(const char *folder, bool model2vec, const sx_tokenizer *tokenizer, sx_static_model *model,
                                sx_error *error);

/* The mean of count tokens (each below `tokens`), all zeros when there is none. sums: width doubles, row: width floats. */
void sx_static_model_mean(const sx_static_model *model, const sx_kernels *kernels, const uint32_t *ids, size_t count,
                          double *sums, float *row, float *out);

#endif
