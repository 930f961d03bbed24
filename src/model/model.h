/* model.h - the inside of an open model, for the session and the recipe. */
#ifndef SX_MODEL_MODEL_H
#define SX_MODEL_MODEL_H

#include "encoder.h"
#include "model_folder.h"

#include "../base/hash.h"

#include <pthread.h>

struct sx_model {
    /* immutable after open */
    sx_model_folder folder;
    sx_tensors *file;
    sx_weights *weights;
    sx_encoder encoder;
    sx_tokenizer *tokenizer;
    unsigned poolings;
    uint32_t max_length;
    uint32_t pooled_width;     /* of all poolings together */
    uint32_t dimensions;       /* of a vector: at most pooled_width */
    bool normalize;
    char pooling_name[64];
    char *hash_folder;
    sx_model_info info;

    /* The weights' hash is computed by a thread from open on; whoever needs it first waits for it, under the lock. */
    pthread_mutex_t lock;
    pthread_t hasher;
    bool hashing;              /* the thread is to be joined */
    sx_status hash_status;
    sx_error hash_error;
    char weights_hex[SX_SHA256_HEX];
};

/* SHA-256 of the weights file, in hexadecimal, as long as the model lives. */
sx_status sx_model_weights_hash(const sx_model *model, const char **hex, sx_error *error);

#endif
