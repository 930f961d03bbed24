/* gather.h - the vectors of whole collections in memory, and where they come from. */
#ifndef SX_EXPLORE_GATHER_H
#define SX_EXPLORE_GATHER_H

#include "sextant.h"

#include "../base/thread_pool.h"

typedef struct sx_gather_request {
    const char *const *collections; /* of one space */
    size_t collection_count;
    const char *const *filters;
    size_t filter_count;
    size_t most; /* more vectors than this: so many, spread evenly; 0: all */
    const volatile int *stop;
    const char *verb; /* for messages */
} sx_gather_request;

/* Zero-initialise. */
typedef struct sx_gathered {
    size_t count, total; /* taken; there are */
    uint32_t dimensions;
    float *rows; /* count x dimensions, of length 1 (or 0) */
    int64_t *chunks, *documents;
    size_t capacity, chunk_capacity, document_capacity;
} sx_gathered;

/* The caller has begun a snapshot. SX_E_MISMATCH: the collections are of several spaces; SX_E_LIMIT: the vectors do not fit into
 * half of the memory that the process may use. */
sx_status sx_gather(sx_database *database, const sx_gather_request *request, sx_gathered *out, sx_error *error);
void sx_gathered_clear(sx_gathered *gathered);

enum { SX_EXCERPT_BYTES = 320 };
/* What stands there, its text no longer than `bytes` (SIZE_MAX: all). */
sx_status sx_excerpt_read(sx_database *database, int64_t chunk, size_t bytes, sx_excerpt *out, sx_error *error);
void sx_excerpt_clear(sx_excerpt *excerpt);

/* How far a step is; `at` is called by the thread that called the library. */
typedef struct sx_reporter {
    sx_progress_callback callback;
    void *user;
    int64_t began_ns, shown_ns;
} sx_reporter;
sx_reporter sx_reporter_begin(sx_progress_callback callback, void *user);
void sx_reporter_at(sx_reporter *reporter, const char *phase, const char *unit, uint64_t done, uint64_t total);

#endif
