/* packed.h - compressed collections: a file of packed rows beside the database, which searches scan in place of the segments. */
#ifndef SX_STORE_PACKED_H
#define SX_STORE_PACKED_H

#include "../vec/packed_file.h"
#include "segments.h"

typedef struct sx_packed_row {
    int there;           /* 0: the collection is not compressed */
    char method[32];
    uint64_t rows, bytes;
} sx_packed_row;
sx_status sx_store_packed(sx_database *database, int64_t collection, sx_packed_row *row, sx_error *error);
/* Packs all vectors of the collection and makes searches use that; replaces what was there. */
sx_status sx_store_pack(sx_database *database, const sx_collection_row *collection, const sx_packing *packing, sx_error *error);
/* Searches use the vectors themselves again. *was: it was compressed. */
sx_status sx_store_unpack(sx_database *database, int64_t collection, bool *was, sx_error *error);
/* What the collection is packed with, as long as its file stays mapped; NULL: it is not. *since: chunks that came later. */
sx_status sx_store_packing_of(sx_database *database, const sx_collection_row *collection, const sx_packing **packing,
                              uint64_t *since, sx_error *error);
/* Packs anew, as before, when many chunks came since: what comes last is read from the table at each search. */
sx_status sx_store_repack(sx_database *database, int64_t collection, sx_error *error);

/* Offers to topk, with exact scores, the rows that are the best by the packing: as many as topk wants and more. *next: the
 * first chunk that the file does not speak for. topk is reset first. *there false: not compressed, or its file is lost or
 * damaged (which is logged); nothing was offered then. query: scaled as the collection's measure wants it. */
sx_status sx_store_packed_scan(sx_database *database, const sx_collection_row *collection, sx_measure measure,
                               const sx_exact_query *query, const sx_id_set *allowed, sx_topk *topk, int64_t *next, bool *there,
                               sx_error *error);
/* Unmaps the handle's file. */
void sx_store_packed_unmap(sx_database *database);

#endif
