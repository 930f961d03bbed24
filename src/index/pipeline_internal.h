/* pipeline_internal.h - what the pipeline's files share: one call's state. */
#ifndef SX_INDEX_PIPELINE_INTERNAL_H
#define SX_INDEX_PIPELINE_INTERNAL_H

#include "pipeline.h"

#include "../base/memory.h"

struct sx_pipeline {
    sx_pipeline_options options; /* defaults filled in */
    sx_clock clock;
    sx_pipeline_counts counts;
    sx_spender spender;
    sx_sha256 recipes[SX_LEGS];  /* for the shared cache; the second of a router only */
    uint64_t random;
    sx_arena messages;           /* of the last call's receipts */
};

/* Where an item is. */
typedef enum item_state {
    ITEM_NEW,      /* nobody has it */
    ITEM_CLAIMED,  /* ours, in a job */
    ITEM_ELSEWHERE,/* another process embeds it */
    ITEM_COPY,     /* equals an earlier item */
    ITEM_DONE      /* has its receipt */
} item_state;

/* A batch and what it needs to be sent again. */
typedef struct pipeline_job {
    struct pipeline_job *next;
    sx_batch batch;
    size_t *items;      /* batch.count indexes into the call's items */
    unsigned attempts;  /* submissions of this very batch */
    int64_t not_before;
    uint64_t tokens;    /* of the batch, as counted or guessed here */
} pipeline_job;

typedef struct pipeline_call {
    sx_pipeline *pipeline;
    sx_pipeline_item *items;
    size_t count;
    unsigned char *states;  /* item_state */
    unsigned char *sent;    /* times each item was submitted, at most 255 */
    size_t *first;          /* of a copy: the item it equals */
    size_t *queue;          /* items that are NEW, in order */
    size_t queue_head, queue_end;
    size_t *elsewhere;
    size_t elsewhere_count;
    int64_t look_at, claim_at; /* when to ask again for what is elsewhere */
    pipeline_job *delayed;  /* to be submitted, in order of not_before where that matters */
    unsigned in_flight;
    bool draining;          /* nothing new is begun */
    const volatile int *stop;
} pipeline_call;

/* pipeline_items.c */

uint32_t sx_pipeline_tokens_of(const pipeline_call *call, size_t item);
/* The row of the recipe that a leg's vectors are stored under. */
int64_t sx_pipeline_recipe_of(const sx_pipeline *pipeline, unsigned leg);
/* The item failed; the message is copied. */
void sx_pipeline_fail_item(pipeline_call *call, size_t item, sx_status status, const char *message);
/* The item's vector was found: it is DONE. */
void sx_pipeline_take_row(pipeline_call *call, size_t item, const sx_vector_row *row, const float *vector);
/* NULL when the vector is good, else what is wrong with it, perhaps in the buffer. */
const char *sx_pipeline_fault_of(const sx_provider_info *info, const sx_receipt *receipt, const float *vector, char *message,
                                 size_t size);

/* pipeline_cache.c: the database's side. All do nothing, or say "not there", without a database. */

/* Looks up the `count` items of a list; those stored become DONE. */
sx_status sx_pipeline_take_stored(pipeline_call *call, const size_t *list, size_t count, sx_error *error);
/* Claims the items of a list. Ours become CLAIMED, others' ELSEWHERE, stored ones are taken. */
sx_status sx_pipeline_claim(pipeline_call *call, const size_t *list, size_t count, sx_error *error);
/* Asks again for what is elsewhere, when it is time; what is ours now goes to the queue. */
sx_status sx_pipeline_poll_elsewhere(pipeline_call *call, sx_error *error);
/* Stores the vectors of the job's first `count` items, made by a leg, and what was spent; they are not claimed any more. */
sx_status sx_pipeline_put(pipeline_call *call, const size_t *list, size_t count, unsigned leg, const float *vectors,
                          sx_error *error);
/* Gives up the claims of a list. */
sx_status sx_pipeline_release(pipeline_call *call, const size_t *list, size_t count, sx_error *error);

/* pipeline_shared.c: the shared cache's side. Both do nothing without one. */

/* Asks for the `count` items of a list, which are NEW; what is found is stored and DONE, or ELSEWHERE. */
sx_status sx_pipeline_take_shared(pipeline_call *call, const size_t *list, size_t count, sx_error *error);
/* Puts vectors there that are stored already. */
void sx_pipeline_share(pipeline_call *call, const size_t *list, size_t count, unsigned leg, const float *vectors);

/* pipeline_look_up.c */

/* Hashes all items, marks copies, takes what is stored or shared and queues the rest. */
sx_status sx_pipeline_look_up(pipeline_call *call, sx_error *error);

#endif
