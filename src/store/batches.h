/* batches.h - jobs at a provider's batch interface: how far each is, and which texts are in it. */
#ifndef SX_STORE_BATCHES_H
#define SX_STORE_BATCHES_H

#include "store.h"

/* How far a job is. Each step is written before the next begins. */
typedef enum sx_batch_step {
    SX_BATCH_PREPARED, /* the file of requests lies beside the database */
    SX_BATCH_UPLOADED, /* the service has it: file_id */
    SX_BATCH_CREATED,  /* the service works on it: batch_id */
    SX_BATCH_FINISHED, /* the service is done: output_id, error_id */
    SX_BATCH_STORED,   /* each text has its vector or the reason why not */
    SX_BATCH_DROPPED   /* cancelled before it was made: nothing was paid */
} sx_batch_step;

typedef struct sx_batch_row {
    int64_t id, recipe, created_ns;
    sx_batch_step step;
    bool asked;                /* UPLOADED: the service may have been asked to make the batch, the answer lost */
    sx_sha256 file;            /* of the file's bytes */
    char *provider, *model, *url; /* model: the reference as the user gave it; url: where it was sent */
    char *file_id, *batch_id, *status, *output_id, *error_id, *message; /* NULL until known */
    uint64_t requests, stored, failed, tokens; /* tokens: as the service counts them */
    double price;              /* US dollars for a million tokens in a batch; negative: not known */
    /* of the recipe */
    sx_sha256 recipe_hash, space;
    uint32_t dimensions;
} sx_batch_row;
void sx_batch_row_clear(sx_batch_row *row);

typedef enum sx_batch_item_state { SX_BATCH_ITEM_PENDING, SX_BATCH_ITEM_STORED, SX_BATCH_ITEM_FAILED } sx_batch_item_state;

/* Enters a prepared job with its texts; sets row->id. */
sx_status sx_store_batch_add(sx_database *database, sx_batch_row *row, const sx_sha256 *hashes, size_t count, sx_error *error);
/* Writes step, ids, status, message and counts. In the caller's transaction or one of its own. */
sx_status sx_store_batch_save(sx_database *database, const sx_batch_row *row, sx_error *error);
/* The first job with an id above `after`; row->id 0: there is none. Clears the row first. */
sx_status sx_store_batch_next(sx_database *database, int64_t after, sx_batch_row *row, sx_error *error);
/* All its texts in ascending order of hash, with their states; both malloc'ed. */
sx_status sx_store_batch_items(sx_database *database, int64_t batch, sx_sha256 **hashes, unsigned char **states, size_t *count,
                               sx_error *error);
sx_status sx_store_batch_item(sx_database *database, int64_t batch, const sx_sha256 *hash, sx_batch_item_state state,
                              const char *reason, sx_error *error);
/* Forgets the texts that have their vectors: the vectors say it. */
sx_status sx_store_batch_tidy(sx_database *database, int64_t batch, sx_error *error);
/* The newest job that has this text, 0 for none; reason malloc'ed or NULL. */
sx_status sx_store_batch_of(sx_database *database, int64_t recipe, const sx_sha256 *hash, int64_t *batch,
                            sx_batch_item_state *state, char **reason, sx_error *error);
/* The text may be sent again: no job has it any more. */
sx_status sx_store_batch_forget(sx_database *database, int64_t recipe, const sx_sha256 *hash, sx_error *error);

/* PATH-batches/HASH.jsonl, malloc'ed; NULL on no memory. */
char *sx_store_batch_path(const sx_database *database, const sx_sha256 *file);
/* The right to move jobs on; waits until it is free, or *stop. */
sx_status sx_store_batch_lock(sx_database *database, const volatile int *stop, sx_error *error);
void sx_store_batch_unlock(sx_database *database);

#endif
