/* model.h - the inside of an open model, for the session and the recipe. */
#ifndef SX_MODEL_MODEL_H
#define SX_MODEL_MODEL_H

#include "classification_head.h"
#include "encoder.h"
#include "model_folder.h"
#include "static_model.h"
#include "token_outputs.h"

#include "../base/hash.h"

#include <pthread.h>

struct sx_model {
    /* immutable after open */
    sx_model_folder folder;
    const sx_kernels *kernels;
    const sx_int8_kernels *int8; /* NULL: everything in float */
    sx_storage storage;
    sx_tensors *file;
    sx_weights *weights;       /* NULL: a static model */
    sx_encoder encoder;
    sx_static_model table;     /* of a static model */
    sx_classification_head head; /* of a cross-encoder */
    bool second_type;          /* the second text of a pair is of token type 1 */
    sx_token_outputs tokens;   /* bge-m3's further outputs */
    sx_module_chain chain;     /* behind the pooling, but for a Normalize at the end */
    sx_tokenizer *tokenizer;
    unsigned poolings;
    unsigned outputs;          /* SX_OUTPUT_* */
    uint32_t max_length;       /* 0: no limit */
    uint32_t pooled_width;     /* of all poolings together, or of a static model's rows */
    uint32_t dimensions;       /* of a vector: at most what the chain gives */
    bool normalize;            /* at the end, after truncation */
    char pooling_name[64];
    char *hash_folder;
    sx_model_info info;

    /* Hashes are computed by a thread from open on; whoever needs them first waits for it, under the lock. */
    pthread_mutex_t lock;
    pthread_t hasher;
    bool hashing;              /* the thread is to be joined */
    sx_status hash_status;
    sx_error hash_error;
    char weights_hex[SX_SHA256_HEX];  /* of folder.weights */
    char identity_hex[SX_SHA256_HEX]; /* of everything that makes a vector; the same for a single file */
};

/* SHA-256 of all files of weights that make a vector, in hexadecimal, as long as the model lives: that of the file where there
 * is one, else of the files' sums one after another (shards in the index's order, then modules). */
sx_status sx_model_weights_hash(const sx_model *model, const char **hex, sx_error *error);

#endif
