/* vector_store_internal.h - the classes of stores there are, and what they share. */
#ifndef SX_VECTORDB_VECTOR_STORE_INTERNAL_H
#define SX_VECTORDB_VECTOR_STORE_INTERNAL_H

#include "vector_store.h"

#include <stddef.h>

extern const sx_vector_store_class sx_vector_pgvector;
extern const sx_vector_store_class sx_vector_chroma;
extern const sx_vector_store_class sx_vector_qdrant;
extern const sx_vector_store_class sx_vector_weaviate;
extern const sx_vector_store_class sx_vector_milvus;
extern const sx_vector_store_class sx_vector_pinecone;

/* Of HNSW, where nothing is said. */
enum { SX_DEFAULT_M = 16, SX_DEFAULT_EF_CONSTRUCTION = 128, SX_DEFAULT_EF_SEARCH = 96 };

/* A URL of a class's own kind, without user, password, query and fragment, malloc'ed: what messages call the server. */
sx_status sx_vector_url_shown(const char *url, char **shown, sx_error *error);
/* Only NULL takes its default. */
const char *sx_vector_similarity(const sx_vector_space *space);

#endif
