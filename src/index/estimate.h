/* estimate.h - what embedding would cost, without embedding: a set of texts seen, and prices times tokens. */
#ifndef SX_INDEX_ESTIMATE_H
#define SX_INDEX_ESTIMATE_H

#include "embedder.h"

/* Adds what embedding the texts would cost to the sum: nothing for those stored (recipe's row in the database; NULL: none), in the
 * embedder's shared cache or in the set, which gets the others. tokens[i] of each with all that belongs to it, or 0: then it is counted; tokens NULL: all are.
 * known[i] (may be NULL) says whether the text costs nothing. */
sx_status sx_estimate_texts(const sx_embedder *embedder, sx_database *database, int64_t recipe, sx_hash_set *seen,
                            const sx_text *texts, const uint32_t *tokens, size_t count, bool *known, sx_spend *sum,
                            sx_error *error);

#endif
