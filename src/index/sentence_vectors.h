/* sentence_vectors.h - vectors of the windows of sentences that chunk strategy semantic compares. They are made as any others:
 * by the pipeline, through its caches, in the ledger, within the budget. */
#ifndef SX_INDEX_SENTENCE_VECTORS_H
#define SX_INDEX_SENTENCE_VECTORS_H

#include "index_job.h"

/* count rows of `dimensions` floats, the pipeline's, and what they took added to counts. What is held back as a secret has a
 * row of NaN; any other text that fails fails the call. *ends: the pipeline did, and with it all that uses it. */
sx_status sx_sentence_vectors(sx_pipeline *pipeline, const sx_text *texts, size_t count, float *vectors, uint32_t dimensions,
                              const volatile int *stop, sx_index_windows *counts, bool *ends, sx_error *error);

/* As sx_chunk_context.embed, of an index_job. In a dry run, and once the budget is used up, vectors are those that are stored,
 * and the others are counted as what they would cost. Ends the job's transaction. */
sx_status sx_index_sentence_vectors(void *job, const sx_text *texts, size_t count, float *vectors, sx_error *error);

#endif
