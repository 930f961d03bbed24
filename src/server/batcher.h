/* batcher.h - one model's engine shared by all requests: batches form out of what waits, fair between clients.
 *
 * A request that finds the engine idle runs at once, alone, over all cores. While the engine works, others queue; the next batch
 * is made of what has queued by then, a share from each client in turn, up to a budget of tokens. Nothing waits for a timer.
 */
#ifndef SX_SERVER_BATCHER_H
#define SX_SERVER_BATCHER_H

#include "sextant.h"

#include "../base/memory.h"

#include <stdatomic.h>
#include <stdbool.h>

typedef struct sx_batcher sx_batcher;

typedef struct sx_batcher_options {
    uint32_t max_batch_tokens; /* of one pass through the engine */
    uint64_t max_queue_tokens; /* waiting; beyond it SX_E_BUSY, but one request always has room */
    unsigned threads;
} sx_batcher_options;

/* What a request wants embedded: `texts` or `tokens`, the other NULL. Everything is the caller's and stays until the call
 * returns. Afterwards receipts[i].status says what became of each; messages and outputs are in the arena. */
typedef struct sx_batch_work {
    const sx_text *texts;
    const sx_tokens *tokens;
    size_t count;
    sx_embed_options options;
    uint64_t client;          /* whose turn it is goes by this */
    const _Atomic bool *gone; /* nobody waits any more; may be NULL */
    sx_arena *arena;
    float *vectors; /* count x width; NULL: none wanted */
    size_t width;
    sx_receipt *receipts;     /* count */
    sx_text_outputs *outputs; /* count, where options ask for some; else NULL */
    int64_t queue_ns;         /* until its first text went into the engine */
    int64_t inference_ns;     /* in the engine, from the first to the last */
} sx_batch_work;

typedef struct sx_batcher_figures {
    uint64_t queued_requests, queued_texts, queued_tokens; /* now; tokens are estimated */
    uint64_t batches, texts, tokens;                       /* since the start */
    uint64_t last_batch_texts, last_batch_tokens, dropped; /* dropped: texts of clients that hung up */
} sx_batcher_figures;

/* The model must outlive it. */
sx_status sx_batcher_open(const sx_model *model, const sx_batcher_options *options, sx_batcher **out, sx_error *error);
/* Nobody may be in a call. */
void sx_batcher_close(sx_batcher *batcher);
/* Returns when all texts are done. SX_E_BUSY: too much waits already. SX_E_STOPPED: the client hung up, or the end has come. */
sx_status sx_batcher_embed(sx_batcher *batcher, sx_batch_work *work, sx_error *error);
/* Runs a function that has the session to itself for a moment, when the client's turn comes: scores of cross-encoders, tokens as
 * the model is fed them. Long work goes in slices, a call each. */
typedef sx_status sx_batcher_function(sx_session *session, void *user, sx_error *error);
sx_status sx_batcher_exclusive(sx_batcher *batcher, uint64_t client, const _Atomic bool *gone, sx_batcher_function *run,
                               void *user, sx_error *error);
/* From now on what waits and what comes ends with SX_E_STOPPED; what is in the engine is finished. */
void sx_batcher_stop(sx_batcher *batcher);
void sx_batcher_describe(sx_batcher *batcher, sx_batcher_figures *figures);

#endif
