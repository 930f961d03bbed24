/* chroma_internal.h - a connection to Chroma, shared by its collections (chroma.c) and their records (chroma_records.c). */
#ifndef SX_VECTORDB_CHROMA_INTERNAL_H
#define SX_VECTORDB_CHROMA_INTERNAL_H

#include "rest_records.h"
#include "vector_store_internal.h"

typedef struct sx_chroma {
    sx_vector_store base;
    sx_rest rest;
    char *collections;       /* path of the database's collections */
    char *name, *id;         /* of the collection that is known; NULL: none */
    sx_arena strings;        /* of space */
    sx_vector_space space;   /* of it */
    size_t most;             /* records in a request as the server says; 0: not asked yet */
    bool base64;             /* it takes vectors so */
} sx_chroma;

/* Makes `collection` the one that is known. */
sx_status sx_chroma_find(sx_chroma *c, const char *collection, sx_error *error);
/* Sends the body that was built to the known collection, whose name `collection` is. One that was dropped and made again by
 * others has another UUID, which is then looked up. */
sx_status sx_chroma_call(sx_chroma *c, const char *method, const char *verb, const char *collection, sx_error *error);
/* Asks once what the server takes. */
sx_status sx_chroma_learn_limits(sx_chroma *c, sx_error *error);
sx_status sx_chroma_count(sx_chroma *c, const char *collection, uint64_t *count, sx_error *error);

sx_vector_upsert sx_chroma_upsert;
sx_vector_remove sx_chroma_remove;
sx_vector_query sx_chroma_query;
sx_vector_scan sx_chroma_scan;

#endif
