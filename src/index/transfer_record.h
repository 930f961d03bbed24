/* transfer_record.h - one chunk of a collection as a record of a vector store, and back. */
#ifndef SX_INDEX_TRANSFER_RECORD_H
#define SX_INDEX_TRANSFER_RECORD_H

#include "../base/buffer.h"
#include "../store/store_json.h"
#include "../vectordb/vector_store.h"

/* Zero-initialise; used again and again. */
typedef struct sx_transfer_record {
    char id[37];
    sx_buffer document, text, metadata; /* NUL-terminated */
    sx_json_vector vector;
    bool has_vector;
    sx_buffer key, value, rest; /* scratch */
} sx_transfer_record;
void sx_transfer_record_clear(sx_transfer_record *record);

/* From a line of the JSON lines export. The id is a UUID made of root, path, number and hash: the same chunk always has the same
 * one. The user's metadata stay keys of the record's; what else an import needs is in the object "sextant" beside them. */
sx_status sx_transfer_from_line(sx_transfer_record *record, sx_text line, sx_error *error);
sx_vector_record sx_transfer_view(const sx_transfer_record *record);

/* What a record says about its place, to put lines in order. Strings are malloc'ed. */
typedef struct sx_transfer_place {
    char *root, *path, *definition; /* definition: of the collection, where the record has it */
    uint32_t index;
} sx_transfer_place;
void sx_transfer_place_clear(sx_transfer_place *place);

/* To a line of the JSON lines export, without its end ("}\n"), in *line; scratch: any record. SX_E_UNSUPPORTED for a record that
 * no export wrote. */
sx_status sx_transfer_to_line(const sx_vector_record *from, uint32_t dimensions, sx_transfer_record *scratch, sx_buffer *line,
                              sx_transfer_place *place, sx_error *error);

#endif
