/* hash_set.h - which texts were met, by their hashes. */
#ifndef SX_INDEX_HASH_SET_H
#define SX_INDEX_HASH_SET_H

#include "../base/hash.h"
#include "sextant.h"

#include <stdbool.h>

/* Texts by the first bytes of their hash, which are as good as random. Zero-initialise. */
typedef struct sx_hash_set {
    uint64_t *slots;  /* 0: free */
    size_t count, capacity;
} sx_hash_set;
/* *added false: it was in it. */
sx_status sx_hash_set_add(sx_hash_set *set, const sx_sha256 *hash, bool *added, sx_error *error);
void sx_hash_set_clear(sx_hash_set *set);

#endif
