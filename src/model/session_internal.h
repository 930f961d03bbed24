/* session_internal.h - what the parts of a session share: session.c (windows and calls), session_tokens.c (texts to tokens),
 * session_results.c (token states to results). */
#ifndef SX_MODEL_SESSION_INTERNAL_H
#define SX_MODEL_SESSION_INTERNAL_H

#include "model.h"
#include "session_plan.h"

#include "../base/buffer.h"

#include <stdatomic.h>

/* What one thread needs for itself. */
typedef struct session_worker {
    sx_encoding encoding, second; /* second: the other text of a pair, meanwhile */
    uint32_t *ids;          /* of the texts it tokenised in this window, end to end */
    size_t id_count, id_capacity;
    sx_buffer text, lower;  /* prompt and text; the same in lower case */
    sx_workspace space;     /* of an encoder's pass */
    float *buffers[2];      /* pooled vectors on their way through the modules; scratch of heads */
    double *sums;           /* of static models */
    sx_arena messages;
    sx_arena outputs;       /* sparse weights and token vectors of this call */
} session_worker;

/* A text of the window. */
typedef struct session_text {
    sx_receipt receipt;
    unsigned worker;        /* who tokenised it */
    size_t place;           /* in that worker's ids */
    uint32_t second;        /* tokens from it on are of type 1; 0: none */
} session_text;

struct sx_session {
    const sx_model *model;
    sx_thread_pool *pool;
    unsigned threads;
    session_worker *workers;
    session_text *texts;    /* a window's, as the two below */
    uint32_t *lengths;
    const uint32_t **ids;
    sx_plan plan;
    sx_text_outputs *outputs; /* of all texts of the call */
    size_t output_count, output_capacity;

    /* the present call */
    unsigned wanted;        /* SX_OUTPUT_* */
    const char *prompt;
    size_t prompt_length;
    sx_text query;          /* with SX_OUTPUT_SCORES */
    uint32_t skip;          /* tokens at the start that poolings leave out */
    bool strict;
    const sx_text *window;  /* one of these two, the other is NULL */
    const sx_tokens *window_tokens;
    size_t window_count;
    size_t window_first;    /* number of its first text in the call */
    float *vectors;         /* the call's rows: vectors or logits; may be NULL */
    float *scores;          /* the call's, behind the activation; may be NULL */
    size_t row_width;       /* of these */
    bool normalize;         /* vectors get length 1 at the end */
    _Atomic size_t next;    /* text or group to be taken */
};

/* Tokens of text i of the window, appended to the worker's ids, its receipt filled. */
sx_status sx_session_tokenise(sx_session *session, session_worker *worker, size_t index, sx_error *error);
/* Sets session->skip for the prompt of this call. */
sx_status sx_session_count_prompt(sx_session *session, sx_error *error);

/* Text i of the window has failed: its receipt, and NaN for its row. */
void sx_session_fail_text(sx_session *session, session_worker *worker, size_t index, sx_status status, const char *message);
/* Results of a sequence of the plan, whose states are in `space`. */
void sx_session_finish_sequence(sx_session *session, session_worker *worker, const sx_workspace *space, size_t number);
/* Result of text i by a static model, its tokens being the worker's `encoding`. */
void sx_session_finish_static(sx_session *session, session_worker *worker, size_t index);

#endif
