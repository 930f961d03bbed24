/* weights_fill.h - the list of what is to be read from a weight file, and doing it. */
#ifndef SX_MODEL_WEIGHTS_FILL_H
#define SX_MODEL_WEIGHTS_FILL_H

#include "weights.h"

enum { SX_FILL_SOURCES = 3 };

/* Factors need the norms, quantised panels the factors. */
typedef enum sx_fill_phase { SX_FILL_VECTORS, SX_FILL_FACTORS, SX_FILL_PANELS, SX_FILL_PHASES } sx_fill_phase;

/* One matrix or vector to be filled from one or several tensors below each other; without sources: room for what is computed
 * afterwards. */
typedef struct sx_fill_job {
    sx_fill_phase phase;
    const sx_norm *norm;       /* SX_FILL_FACTORS: what the matrix's input comes from */
    size_t first_row;          /* SX_FILL_FACTORS: the rows before it have no say */
    sx_linear *linear;         /* to be quantised; NULL: panels of floats or halves, or a vector */
    const sx_tensor *sources[SX_FILL_SOURCES];
    unsigned source_count;
    size_t columns;            /* of each source; 1 for a vector */
    sx_panel_format format;
    bool refuse_large;         /* a weight that is infinite as a half is an error */
    float offset;              /* added to all */
    float **target;            /* where the pointer goes */
    size_t place;              /* floats from the beginning of the memory */
    size_t first_unit;         /* number of its first panel (or of the whole vector) among all units */
} sx_fill_job;

typedef struct sx_fill {
    const sx_tensors *file;
    sx_weights *weights;
    sx_fill_job *jobs;         /* malloc'ed, the caller's */
    size_t job_count, job_capacity;
    size_t floats, units;
    size_t deepest;            /* most columns of a packed matrix */
    sx_fill_phase phase;
    _Atomic size_t next_unit;
    _Atomic int no_memory;
    _Atomic(const sx_fill_job *) too_large; /* holds a weight that is infinite as a half */
} sx_fill;

/* Makes one mapping for all, sets the jobs' targets, fills them on the pool's threads and lets the file's pages go. */
sx_status sx_weights_fill(sx_fill *fill, sx_thread_pool *pool, sx_error *error);

#endif
