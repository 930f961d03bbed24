/* milvus_internal.h - a connection to Milvus, shared by its collections (milvus.c) and their entities (milvus_records.c). */
#ifndef SX_VECTORDB_MILVUS_INTERNAL_H
#define SX_VECTORDB_MILVUS_INTERNAL_H

#include "rest_store.h"

#define SX_MILVUS_PRIMARY "id"
#define SX_MILVUS_VECTOR "vector"
enum { SX_MILVUS_LONGEST_TEXT = 65535 }; /* bytes of a VARCHAR */

/* Begins a request of this path under /v2/vectordb/, with a body about `name`, to which members are appended. */
void sx_milvus_begin(sx_rest_store *milvus, const char *path, const char *name);
/* Ends the body, sends it, and leaves *data at the answer's "data". */
sx_status sx_milvus_call(sx_rest_store *milvus, const char *what, sx_json *data, sx_error *error);
/* Makes `collection` the one that is known. */
sx_rest_find_collection sx_milvus_find;
/* How many entities pass the filter, which is an expression; NULL: all. */
sx_status sx_milvus_count(sx_rest_store *milvus, const char *filter, uint64_t *count, sx_error *error);

sx_vector_upsert sx_milvus_upsert;
sx_vector_remove sx_milvus_remove;
sx_vector_query sx_milvus_query;
sx_vector_scan sx_milvus_scan;

#endif
