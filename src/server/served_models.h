/* served_models.h - the models a server offers: by name, loaded when first asked for, unloaded when idle, within a ceiling. */
#ifndef SX_SERVER_SERVED_MODELS_H
#define SX_SERVER_SERVED_MODELS_H

#include "batcher.h"

typedef struct sx_served_models sx_served_models;

typedef struct sx_served_models_options {
    const char *const *references; /* as for -m, or NAME=REFERENCE; the first is the default */
    size_t count;
    sx_embedder_options embedder; /* what all are opened with: places, precision, storage, pooling, cache, remote ... */
    sx_batcher_options batcher;
    double idle_seconds; /* unloaded after so long without a request; 0: never */
    uint64_t max_memory; /* of all loaded weights; 0: no ceiling */
    bool any_name;       /* an unknown name means the default model */
    const char *cache;   /* the database where vectors of remote models are kept, so that none is paid for twice; NULL: none */
    sx_log_callback log;
    void *log_user;
} sx_served_models_options;

/* A model in use. What it points to stays until it is released. */
typedef struct sx_served_model {
    const char *name;                /* as it is listed; lives as long as the server */
    size_t index;                    /* its number, for metrics */
    const char *reference;           /* what it is opened by */
    const sx_model *model;           /* NULL: remote */
    const sx_model_info *info;       /* NULL: remote */
    const sx_tokenizer *tokenizer;   /* NULL: remote */
    sx_batcher *batcher;             /* NULL: remote */
    unsigned outputs;                /* SX_OUTPUT_* */
    uint32_t dimensions, max_length; /* remote, not known before the first reply: 0 */
    const char *sha256;              /* of the weights, or "" */
} sx_served_model;

/* What is known of a model without loading it. */
typedef struct sx_served_model_listing {
    const char *name;
    bool loaded, known; /* known: the rest was seen, now or when it was loaded */
    unsigned outputs;
    uint32_t dimensions, max_length;
    uint64_t bytes; /* of the weights, while loaded */
    char family[32], precision[32], kind[32];
    uint64_t parameters;
    int64_t loaded_unix_s; /* when it was last loaded, 0: never */
    uint64_t loads;
} sx_served_model_listing;

/* Resolves all references (SX_E_NOT_FOUND) and loads the first model. */
sx_status sx_served_models_open(const sx_served_models_options *options, sx_served_models **out, sx_error *error);
/* Nothing may be in use. */
void sx_served_models_close(sx_served_models *models);

/* The model of a name (reference, folder's or file's name, any name of a known model, "NAME:latest"; without regard to case);
 * name.length 0: the first that gives `outputs` (SX_OUTPUT_DENSE, SX_OUTPUT_SCORES). Loads it when it is not. SX_E_NOT_FOUND: no
 * such name. SX_E_UNSUPPORTED: it gives no such output. SX_E_LIMIT: the memory ceiling leaves no room. SX_E_BUSY: another request
 * has been loading it for long. Any thread. */
sx_status sx_served_models_acquire(sx_served_models *models, sx_text name, unsigned outputs, sx_served_model **out,
                                   sx_error *error);
/* Whether a model answers to this name. */
bool sx_served_models_has(sx_served_models *models, sx_text name);
/* What the model that answers to this name is listed as, or NULL. */
const char *sx_served_models_name(sx_served_models *models, sx_text name);
void sx_served_models_release(sx_served_models *models, sx_served_model *model);

/* Embeds with a remote model; role as in sx_embedder_options. */
sx_status sx_served_models_embed_remote(sx_served_models *models, sx_served_model *model, const char *role, const sx_text *texts,
                                        size_t count, float **vectors, sx_receipt *receipts, sx_arena *arena, sx_error *error);

size_t sx_served_models_count(const sx_served_models *models);
void sx_served_models_describe(sx_served_models *models, size_t index, sx_served_model_listing *listing);
/* Figures of the batcher of a loaded model; false when it is not loaded. */
bool sx_served_models_batcher(sx_served_models *models, size_t index, sx_batcher_figures *figures);
/* What remote models have cost since the start, and their use of the cache. */
void sx_served_models_spent(sx_served_models *models, size_t index, sx_spend *spent);
/* Unloads what has been idle for long. Called now and then. */
void sx_served_models_sweep(sx_served_models *models);
void sx_served_models_stop(sx_served_models *models);

#endif
