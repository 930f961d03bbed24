/* search_by_vector.h - hits for a vector that is there already, and for passages that are known. */
#ifndef SX_INDEX_SEARCH_BY_VECTOR_H
#define SX_INDEX_SEARCH_BY_VECTOR_H

#include "../store/store.h"

/* As sx_search in the mode "semantic", but for the passages in `skip`. Re-ranking needs a query's words, and is refused. */
sx_status sx_search_by_vector(sx_database *database, const sx_collection_row *collection, const sx_search_options *options,
                              const float *vector, const int64_t *skip, size_t skip_count, sx_hits **out, sx_error *error);
/* Each passage as a hit without scores; their texts move into the hits. */
sx_status sx_search_hits_of_chunks(sx_database *database, const sx_collection_row *collection, sx_chunk_row *chunks, size_t count,
                                   sx_hits **out, sx_error *error);

#endif
