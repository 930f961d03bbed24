/* batch_job.h - what is asked of OpenAI's Batch API: files up and down, batches made, found, looked at, cancelled.
 *
 * Every request is repeated after a passing failure, with back-off on the clock given. Only making a batch costs money when it is
 * done twice, so that one looks for the batch before it asks again.
 */
#ifndef SX_PROVIDER_BATCH_JOB_H
#define SX_PROVIDER_BATCH_JOB_H

#include "wire.h"

#include "../net/http_pool.h"

typedef struct sx_batch_service {
    const sx_wire_target *target; /* the caller's */
    sx_clock clock;
    const volatile int *stop;     /* the caller's; may be NULL */
    sx_http_pool *pool;
    uint64_t random;
} sx_batch_service;

/* Ids are the service's; "" for what it has not said. */
typedef struct sx_batch_state {
    char id[128], input_file[128], output_file[128], error_file[128];
    char status[32];   /* validating, failed, in_progress, finalizing, completed, expired, cancelling, cancelled */
    char message[256]; /* of a batch that failed, keys removed */
    uint64_t total, completed, failed;
} sx_batch_state;

/* SX_E_UNSUPPORTED for a service without this interface. */
sx_status sx_batch_service_check(const sx_wire_target *target, sx_error *error);
/* Checks too. clock NULL: the machine's. */
sx_status sx_batch_service_open(sx_batch_service *service, const sx_wire_target *target, const sx_clock *clock,
                                const volatile int *stop, sx_error *error);
void sx_batch_service_close(sx_batch_service *service);

/* Sends a file of requests; id has room for 128 bytes. */
sx_status sx_batch_upload(sx_batch_service *service, const char *name, const char *data, size_t length, char *id,
                          sx_error *error);
/* Makes a batch of a file, marked in its metadata. asked: it may have been asked for before, and the answer lost. */
sx_status sx_batch_create(sx_batch_service *service, const char *file, const char *mark, bool asked, sx_batch_state *state,
                          sx_error *error);
/* Looks through the service's batches for the one of this file and mark. */
sx_status sx_batch_find(sx_batch_service *service, const char *file, const char *mark, bool *found, sx_batch_state *state,
                        sx_error *error);
sx_status sx_batch_get(sx_batch_service *service, const char *id, sx_batch_state *state, sx_error *error);
sx_status sx_batch_stop(sx_batch_service *service, const char *id, sx_batch_state *state, sx_error *error);
sx_status sx_batch_download(sx_batch_service *service, const char *file, sx_buffer *data, sx_error *error);

/* Whether nothing more comes of a batch with this status. */
bool sx_batch_is_over(const char *status);

#endif
