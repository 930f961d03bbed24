/* embedding_element.h - one element of a file of vectors: its id, text, vector and metadata, as many programs name them. */
#ifndef SX_STORE_EMBEDDING_ELEMENT_H
#define SX_STORE_EMBEDDING_ELEMENT_H

#include "embedding_file.h"

/* Kept from element to element. */
typedef struct sx_embedding_scratch {
    sx_buffer key, value, rest;
} sx_embedding_scratch;
void sx_embedding_scratch_clear(sx_embedding_scratch *scratch);

/* Empties the item, keeping its memory. */
void sx_embedding_item_reset(sx_embedding_item *item);
/* Reads the element's bytes, which stand at item->place of the file. id; content, text or pageContent; embedding or vector;
 * metadata; where there is no such object the other members are the metadata. with_vector: one must be there, but where a
 * member `error` says why it is not; then the vector's length is 0. */
sx_status sx_embedding_read_element(const char *path, sx_text raw, bool with_vector, sx_embedding_scratch *scratch,
                                    sx_embedding_item *item, sx_error *error);

#endif
