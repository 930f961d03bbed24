/* index_jobs.h - indexing as jobs of the server: folders that its owner has named, one job at a time, with progress. */
#ifndef SX_SERVER_INDEX_JOBS_H
#define SX_SERVER_INDEX_JOBS_H

#include "database_pool.h"

#include "../base/buffer.h"

typedef struct sx_index_jobs sx_index_jobs;

/* A folder or file that may be indexed; requests only ever say its name. */
typedef struct sx_index_source {
    const char *name, *path;
} sx_index_source;

typedef struct sx_index_jobs_options {
    sx_database_pool *pool; /* of writers */
    const sx_index_source *sources;
    size_t source_count;
    const char *model; /* of collections that a job makes */
} sx_index_jobs_options;

sx_status sx_index_jobs_open(const sx_index_jobs_options *options, sx_index_jobs **out, sx_error *error);
/* Jobs stop soon; what they did is kept, and the next job on the source goes on there. Any thread, does not wait. */
void sx_index_jobs_stop(sx_index_jobs *jobs);
/* After sx_index_jobs_stop: waits for the job that runs. */
void sx_index_jobs_close(sx_index_jobs *jobs);

/* Queues a job. SX_E_NOT_FOUND: no such source. SX_E_EXISTS: the same is queued or runs already. SX_E_BUSY: too many wait. */
sx_status sx_index_jobs_start(sx_index_jobs *jobs, sx_text source, sx_text collection, uint64_t *id, sx_error *error);
/* SX_E_NOT_FOUND: no such job, or so old that it was forgotten. Stopping one that has ended does nothing. */
sx_status sx_index_jobs_cancel(sx_index_jobs *jobs, uint64_t id, sx_error *error);
/* The job as a JSON object; false when there is none. */
bool sx_index_jobs_write(sx_index_jobs *jobs, uint64_t id, sx_buffer *to);
/* {"jobs":[newest first],"sources":[...]} */
void sx_index_jobs_write_all(sx_index_jobs *jobs, sx_buffer *to);

#endif
