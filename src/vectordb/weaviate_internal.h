/* weaviate_internal.h - a connection to Weaviate, shared by its collections (weaviate.c) and their objects (weaviate_records.c).
 */
#ifndef SX_VECTORDB_WEAVIATE_INTERNAL_H
#define SX_VECTORDB_WEAVIATE_INTERNAL_H

#include "rest_store.h"

typedef struct sx_weaviate {
    sx_rest_store store;
    sx_buffer graph; /* a GraphQL query being written */
} sx_weaviate;

/* Begins a request of this path under /v1/. */
void sx_weaviate_begin(sx_weaviate *w, const char *path);
/* Makes `collection` the one that is known. */
sx_status sx_weaviate_find(sx_weaviate *w, const char *collection, sx_error *error);
/* Sends w->graph; *found stands at the list that the answer has for the known collection under `verb` ("Get", "Aggregate"). */
sx_status sx_weaviate_ask(sx_weaviate *w, const char *verb, const char *what, sx_json *found, sx_error *error);

sx_vector_upsert sx_weaviate_upsert;
sx_vector_remove sx_weaviate_remove;
sx_vector_query sx_weaviate_query;
sx_vector_scan sx_weaviate_scan;

#endif
