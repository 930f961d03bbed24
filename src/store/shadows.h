/* shadows.h - a collection's hidden companion: the side that a migration is filling, or the one it has left behind.
 *
 * A companion is a collection like any other, with rows and segments of its own, under a name nobody can give: a control
 * character, its kind and the id of the collection it belongs to. Moving from one to the other is a change of two names in
 * one transaction: whoever searches sees one of them, complete, and each keeps its ids, so that what was is found again to
 * the bit. */
#ifndef SX_STORE_SHADOWS_H
#define SX_STORE_SHADOWS_H

#include "store.h"

typedef enum sx_shadow_kind {
    SX_SHADOW_NEW, /* being filled, or moved away from again */
    SX_SHADOW_OLD  /* kept for a roll-back */
} sx_shadow_kind;

bool sx_store_is_hidden(const char *name);
/* row->id 0: there is none. */
sx_status sx_store_shadow_find(sx_database *database, int64_t collection, sx_shadow_kind kind, sx_collection_row *row,
                               sx_error *error);
/* A new one, empty, of kind NEW, with the collection's settings. */
sx_status sx_store_shadow_make(sx_database *database, int64_t collection, int64_t recipe, sx_collection_row *row,
    sx_error *error);
/* Gives the collection's name and settings to its companion of this kind; the collection becomes its companion of the other. The
 * caller has the leases of both. */
sx_status sx_store_shadow_swap(sx_database *database, int64_t collection, sx_shadow_kind kind, sx_error *error);
/* Deletes it. The caller has its lease, which ends. */
sx_status sx_store_shadow_drop(sx_database *database, int64_t shadow, sx_error *error);
/* The right to work on a companion; SX_E_BUSY when another process has it. */
sx_status sx_store_shadow_lease(sx_database *database, int64_t shadow, sx_error *error);
/* Whether a collection's rows can still be relied on: it has a name, hidden or not. */
sx_status sx_store_is_whole(sx_database *database, int64_t collection, bool *whole, sx_error *error);

/* A hash of all of a document that its companion must have too. */
sx_status sx_store_document_print(sx_database *database, const sx_document_row *row, sx_sha256 *print, sx_error *error);
/* All chunks of a document in order; free with sx_store_chunks_free. */
sx_status sx_store_document_chunks(sx_database *database, int64_t document, sx_chunk_row **chunks, size_t *count,
    sx_error *error);
void sx_store_chunks_free(sx_chunk_row *chunks, size_t count);
/* Ids of at most `most` chunks with a vector, spread evenly over the collection. malloc'ed. */
sx_status sx_store_sample(sx_database *database, int64_t collection, size_t most, int64_t **ids, size_t *count, sx_error *error);

#endif
