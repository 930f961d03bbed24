/* kmeans.h - clusters of unit vectors by cosine. */
#ifndef SX_EXPLORE_KMEANS_H
#define SX_EXPLORE_KMEANS_H

#include "gather.h"

enum { SX_KMEANS_MOST = 256 };

/* Zero-initialise. */
typedef struct sx_kmeans {
    size_t count;        /* of clusters: fewer than wanted when there are not so many different rows */
    float *centers;      /* count x width, of length 1 */
    uint32_t *clusters;  /* of each row; the largest cluster is 0 */
    float *similarities; /* of each row to its center */
    uint64_t *sizes;
} sx_kmeans;

/* wanted 0: as many as tell clusters apart best. The same rows give the same clusters. */
sx_status sx_kmeans_fit(const float *rows, size_t count, size_t width, size_t wanted, sx_thread_pool *pool,
                        const volatile int *stop, sx_kmeans *out, sx_error *error);
void sx_kmeans_clear(sx_kmeans *of);

#endif
