/* pinecone_internal.h - Pinecone's two sides: where indexes are made (pinecone.c), and an index's own host, where its records are
 * (pinecone_records.c). */
#ifndef SX_VECTORDB_PINECONE_INTERNAL_H
#define SX_VECTORDB_PINECONE_INTERNAL_H

#include "rest_store.h"

typedef struct sx_pinecone {
    sx_rest_store store;          /* its rest.base is one of the two below */
    char *control, *data;         /* data: of the known index; NULL: none */
    char last[SX_REST_UUID_SIZE]; /* the record written last, "" when none was */
    uint64_t written;             /* records sent to the known index */
} sx_pinecone;

/* Begins a request to the side where indexes are made, or to the known index. */
void sx_pinecone_begin_control(sx_pinecone *p, const char *path);
void sx_pinecone_begin(sx_pinecone *p, const char *path);
/* Makes `collection` the one that is known, and waits until its index is ready. */
sx_status sx_pinecone_find(sx_pinecone *p, const char *collection, sx_error *error);
/* A call on the known index; one that is gone is forgotten. */
sx_status sx_pinecone_call(sx_pinecone *p, const char *method, const char *what, sx_error *error);

sx_vector_upsert sx_pinecone_upsert;
sx_vector_remove sx_pinecone_remove;
sx_vector_query sx_pinecone_query;
sx_vector_scan sx_pinecone_scan;
/* Waits until what was written last can be read, and the count no longer changes. */
sx_status sx_pinecone_finish(sx_vector_store *store, const char *collection, sx_error *error);
sx_status sx_pinecone_count(sx_pinecone *p, uint64_t *count, sx_error *error);

#endif
