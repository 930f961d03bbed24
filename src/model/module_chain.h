/* module_chain.h - the modules behind the pooling (Dense, LayerNorm, Normalize), in the order modules.json gives them. */
#ifndef SX_MODEL_MODULE_CHAIN_H
#define SX_MODEL_MODULE_CHAIN_H

#include "dense.h"

#include "../base/buffer.h"

typedef enum sx_module_kind { SX_MODULE_DENSE, SX_MODULE_LAYER_NORM, SX_MODULE_NORMALIZE } sx_module_kind;

/* A module as the folder names it. */
typedef struct sx_module_entry {
    sx_module_kind kind;
    const char *path;      /* its folder */
} sx_module_entry;

typedef struct sx_module {
    sx_module_kind kind;
    sx_dense dense;
    float *weight, *bias;  /* of a LayerNorm */
    char *file;            /* of the weights, NULL: none */
} sx_module;

/* Zero-initialise. */
typedef struct sx_module_chain {
    const sx_kernels *kernels;
    sx_module *modules;
    size_t count;
    size_t inputs, outputs, widest;
    uint64_t parameters;
    uint64_t bytes;        /* of the weight files */
} sx_module_chain;

/* inputs: the width of what comes in. Errors name the module's file and the widths that disagree. */
sx_status sx_module_chain_open(const sx_module_entry *entries, size_t count, size_t inputs, const sx_kernels *kernels,
                               sx_module_chain *chain, sx_error *error);
void sx_module_chain_clear(sx_module_chain *chain);

/* Runs the vector in buffers[0] through all modules; both buffers hold `widest` floats. Returns the one with the result. */
float *sx_module_chain_run(const sx_module_chain *chain, float *const buffers[2]);
/* "dense(tanh),normalize", for the recipe. */
void sx_module_chain_describe(const sx_module_chain *chain, sx_buffer *buffer);

#endif
