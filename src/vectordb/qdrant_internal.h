/* qdrant_internal.h - a connection to Qdrant, shared by its collections (qdrant.c) and their points (qdrant_records.c). */
#ifndef SX_VECTORDB_QDRANT_INTERNAL_H
#define SX_VECTORDB_QDRANT_INTERNAL_H

#include "rest_records.h"
#include "vector_store_internal.h"

typedef struct sx_qdrant {
    sx_vector_store base;
    sx_rest rest;
    char *known;             /* the collection that space and vector are of; NULL: none */
    char *server_name;       /* what the server calls it */
    char *vector;            /* its vector's name; NULL: it has none */
    size_t vectors;          /* how many it has */
    char *model, *space_hash;
    sx_vector_space space;
} sx_qdrant;

/* Begins /collections/NAME and what stands behind it. */
void sx_qdrant_begin(sx_qdrant *q, const char *name, const char *rest);
/* Makes `collection` the one that is known. */
sx_status sx_qdrant_find(sx_qdrant *q, const char *collection, sx_error *error);
/* A call on the known collection; one that is gone is forgotten. */
sx_status sx_qdrant_call(sx_qdrant *q, const char *method, const char *what, sx_error *error);
/* The answer to something that changes: {"result":true} or {"result":{"status":"completed"}}. */
sx_status sx_qdrant_expect_done(sx_qdrant *q, sx_error *error);

sx_vector_upsert sx_qdrant_upsert;
sx_vector_remove sx_qdrant_remove;
sx_vector_query sx_qdrant_query;
sx_vector_scan sx_qdrant_scan;

#endif
