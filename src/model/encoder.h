/* encoder.h - the transformer itself: from token ids to one state for each token.
 *
 * Texts lie end to end, without padding; attention runs within each text, everything else on rows. A forward pass allocates
 * nothing. Several threads may share the work of one pass: each calls sx_encoder_run with the same arguments but its own
 * number, and gets the same bits as one thread alone, since every output is computed by one of them in an order that
 * depends on its own text only.
 */
#ifndef SX_MODEL_ENCODER_H
#define SX_MODEL_ENCODER_H

#include "weights.h"

/* One text of a group. */
typedef struct sx_sequence {
    const uint32_t *ids;   /* each below the vocabulary size */
    uint32_t length;       /* at least 1, at most the longest text the weights were opened for */
    uint32_t row;          /* of its first token among the group's states */
    uint32_t second;       /* tokens from it on are of token type 1; 0 or length: none */
} sx_sequence;

/* Scratch memory for a group of `tokens` tokens whose longest text has `longest`. */
typedef struct sx_workspace {
    float *states;         /* the result: tokens x hidden, at state_stride floats */
    size_t state_stride;
    float *mixed;          /* Q, K, V of every token; later what a block gives before its norm */
    size_t mixed_stride;
    float *context;        /* what a block takes in after its norm; what attention gives */
    size_t context_stride;
    float *middle;         /* a block of rows inside the feed-forward part; with a gate, the gate's columns first */
    size_t middle_stride;
    float *scratch;        /* of attention, one for each thread that shares a pass */
    size_t scratch_stride;
    unsigned char *quantised; /* a block of rows in 8-bit integers, with its scales and zero points, one for each thread */
    size_t quantised_stride, quantised_row; /* bytes */
    void *memory;
    size_t memory_bytes;
} sx_workspace;

/* Refers to both, which outlive it. */
typedef struct sx_encoder {
    const sx_architecture *architecture;
    const sx_weights *weights;
} sx_encoder;

void sx_encoder_init(sx_encoder *encoder, const sx_architecture *architecture, const sx_weights *weights);

sx_status sx_workspace_open(const sx_encoder *encoder, size_t tokens, size_t longest, unsigned threads,
                            sx_workspace *workspace, sx_error *error);
void sx_workspace_close(sx_workspace *workspace);

/* One pass over count sequences that fill rows 0 .. of workspace->states in order. `workers` threads share it, this one being
 * `worker`; pool is what they run in, NULL for one alone. On return this thread's part is done: let all return before use. */
void sx_encoder_run(const sx_encoder *encoder, const sx_sequence *sequences, size_t count, sx_workspace *workspace,
                    sx_thread_pool *pool, unsigned worker, unsigned workers);

#endif
