/* vectors.h - what the other files of this folder need of store_vectors.c. */
#ifndef SX_STORE_VECTORS_H
#define SX_STORE_VECTORS_H

#include "sql.h"

/* Dimensions of a recipe; SX_E_NOT_FOUND for one that is not there. */
sx_status sx_store_dimensions(sx_database *database, int64_t recipe, size_t *dimensions, sx_error *error);
/* Copies a vector from its column; the next one is its `packing`. SX_E_FORMAT when its size is wrong. id: for the message. */
sx_status sx_store_read_vector(sx_database *database, sqlite3_stmt *statement, int column, int64_t id, size_t dimensions,
                               float *vector, sx_error *error);
/* Stores one vector inside an open transaction; the one already there is kept. computed: it was embedded here, not imported. */
sx_status sx_store_put_one(sx_database *database, int64_t recipe, const sx_sha256 *hash, const float *vector, size_t dimensions,
                           sx_vector_row receipt, bool computed, int64_t *id, bool *added, sx_error *error);

#endif
