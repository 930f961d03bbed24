/* packed_vectors.h - vectors of which the database keeps only the packed form. */
#ifndef SX_STORE_PACKED_VECTORS_H
#define SX_STORE_PACKED_VECTORS_H

#include "../vec/packing.h"
#include "sql.h"

/* Floats, about as they were, of a row that a packing of the table `packing` made. */
sx_status sx_store_unpack_vector(sx_database *database, int64_t packing, const void *data, size_t bytes, size_t dimensions,
                                 float *vector, sx_error *error);
/* Forgets the packings that the handle has read. */
void sx_store_forget_packings(sx_database *database);

/* Vectors of the collection that are packed. method "": its floats were never dropped. */
typedef struct sx_dropped_row {
    char method[32];
    uint64_t vectors;
} sx_dropped_row;
sx_status sx_store_dropped(sx_database *database, int64_t collection, sx_dropped_row *row, sx_error *error);
/* The packing that the collection's floats were dropped for last; *id 0: none. */
sx_status sx_store_dropped_packing(sx_database *database, int64_t collection, int64_t *id, const sx_packing **packing,
                                   sx_error *error);
/* Logs, when the collection's floats were dropped, that `what` works with what is left of them. */
sx_status sx_store_say_dropped(sx_database *database, const sx_collection_row *collection, const char *what, sx_error *error);

typedef struct sx_drop_counts {
    uint64_t vectors, bytes_before, bytes_after; /* those that become smaller */
    uint64_t shared;                             /* kept: other collections use them too */
} sx_drop_counts;
/* What sx_store_drop_floats would do, or has done. The collection is compressed, by `packing`. */
sx_status sx_store_count_drop(sx_database *database, const sx_collection_row *collection, const sx_packing *packing,
                              sx_drop_counts *counts, sx_error *error);
/* Puts packed rows in the place of the collection's vectors, in short transactions: killed or stopped, the next call goes on.
 * Then its segments go. The caller has the lease. */
sx_status sx_store_drop_floats(sx_database *database, const sx_collection_row *collection, const sx_packing *packing,
                               const volatile int *stop, sx_drop_counts *counts, sx_error *error);
/* Gives the room that dropping made back to the file system. */
sx_status sx_store_shrink(sx_database *database, sx_error *error);
/* Vectors of a collection that is being deleted: nobody else may use what was left of them. */
sx_status sx_store_forget_packed(sx_database *database, int64_t collection, sx_error *error);

#endif
