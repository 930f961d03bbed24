/* embedding_file.h - files of vectors that others, or we, have written: read one element after another, in bounded memory.
 *
 * Kinds: one JSON document {version, model, dimensions, embeddings: [{id, content, embedding, metadata}]}, of which only the
 * array is needed; a JSON array of chunks {text, embedding, ...}; JSON lines of either; a folder (or the .npy file in it) with
 * embeddings.npy, metadata.json and model_info.json; Arrow's IPC files. All JSON may be compressed. */
#ifndef SX_STORE_EMBEDDING_FILE_H
#define SX_STORE_EMBEDDING_FILE_H

#include "sextant.h"
#include "store_json.h"

#include <stdbool.h>

typedef enum sx_embedding_kind {
    SX_EMBEDDINGS_DOCUMENT, /* an object that holds the array */
    SX_EMBEDDINGS_ARRAY,
    SX_EMBEDDINGS_LINES,
    SX_EMBEDDINGS_NUMPY,
    SX_EMBEDDINGS_ARROW,
    SX_EMBEDDINGS_EXPORT /* JSON lines of a collection's own export, which sx_collection_import reads */
} sx_embedding_kind;

/* What the file says of all its vectors; NULL or 0: nothing. Strings belong to the file. */
typedef struct sx_embedding_head {
    sx_embedding_kind kind;
    char *version, *model;
    char *space_json; /* of a collection's export */
    uint32_t dimensions;
    uint64_t count;   /* numpy: rows */
} sx_embedding_head;

/* One vector with what stands beside it. Zero-initialise, reuse, clear at the end. */
typedef struct sx_embedding_item {
    uint64_t number; /* of the element, from 0 */
    uint64_t place;  /* its first byte in the file: of the JSON, not compressed */
    sx_buffer id, content, metadata; /* metadata: a JSON object, "" for none */
    sx_json_vector vector;
    /* where a collection's export says it was; root.length 0 when it does not */
    sx_buffer document, root, headings, symbols;
    uint64_t index, start, end, start_line, end_line;
} sx_embedding_item;
void sx_embedding_item_clear(sx_embedding_item *item);

typedef struct sx_embedding_file sx_embedding_file;
/* Reads the head. SX_E_MISMATCH for a version that is not read here, with what to do. Files only: "-" is SX_E_INVALID. */
sx_status sx_embedding_file_open(const char *path, sx_embedding_file **out, sx_error *error);
const sx_embedding_head *sx_embedding_file_head(const sx_embedding_file *file);
/* *more false: there is none left, and the file is sound to its end. Vectors are of the head's dimensions, or else all of the
 * first's, which the head then has. */
sx_status sx_embedding_file_next(sx_embedding_file *file, sx_embedding_item *item, bool *more, sx_error *error);
void sx_embedding_file_close(sx_embedding_file *file);

#endif
