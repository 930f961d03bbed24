/* vector_store.h - vector databases of others (PostgreSQL with pgvector, Chroma, Qdrant, Weaviate, Milvus, Pinecone) behind one
 * small table of functions, so that collections can be written to them, read back and searched there.
 *
 * A store is named by a URL: postgresql://USER:PASSWORD@HOST/DATABASE, chroma://HOST:PORT, qdrant://HOST:PORT, weaviate://,
 * milvus://, pinecone://HOST (with https: chromas://, qdrants:// and so on). Keys come with the options, never from the
 * environment.
 * Everything that writes can be said again after a cut connection without doubling anything: records are upserted by id.
 * One thread at a time per store. Errors name the server (without user and password), the call, and what it answered.
 */
#ifndef SX_VECTORDB_VECTOR_STORE_H
#define SX_VECTORDB_VECTOR_STORE_H

#include "sextant.h"
#include "../base/clock.h"

#include <stdbool.h>

typedef struct sx_vector_store sx_vector_store;

typedef struct sx_vector_store_options {
    const char *api_key;      /* or NULL */
    double timeout_s;         /* of one request; 0: 60 */
    uint32_t attempts;        /* most tries of a request that was refused for the moment or cut off; 0: 8 */
    const sx_clock *clock;    /* NULL: the machine's */
    sx_log_callback log;
    void *log_user;
} sx_vector_store_options;

/* A collection as it is made, or as it is found. Zero and NULL mean the server's defaults, or that the server does not say. */
typedef struct sx_vector_space {
    uint32_t dimensions;
    const char *similarity;   /* "cosine", "dot", "l2"; NULL: cosine */
    const char *model;        /* what made the vectors, kept as metadata: a store holds collections of several models */
    const char *space;        /* the space's hash, likewise */
    const char *element;      /* "f32", "f16" (pgvector's halfvec); NULL: f32 */
    const char *index;        /* "hnsw", "ivfflat", "none"; NULL: hnsw */
    uint32_t m, ef_construction, ef_search; /* of HNSW; 0: 16, 128, 96 */
    uint32_t lists;           /* of IVFFlat; 0: chosen by the number of rows */
} sx_vector_space;

typedef struct sx_vector_record {
    const char *id;           /* unique in the collection; any UTF-8 */
    const char *document;     /* path; or NULL */
    sx_text text;
    const char *metadata;     /* JSON object; or NULL */
    const float *vector;
} sx_vector_record;

typedef struct sx_vector_hit {
    char *id, *document, *metadata; /* document and metadata may be NULL */
    char *text;
    size_t text_length;
    double similarity;        /* of the collection's kind; higher is nearer */
} sx_vector_hit;

/* Equality with a top-level key of the metadata, or "document". All must hold. */
typedef struct sx_vector_filter {
    const char *key, *value;
    bool is_number;           /* value is compared as a number (or true, false) */
} sx_vector_filter;

typedef sx_status (*sx_vector_visit)(const sx_vector_record *record, void *user, sx_error *error);

/* The calls that every class has, as types of functions. */

/* Any count: it is cut into the batches that the server takes. Acknowledged means durable as the server understands it. */
typedef sx_status sx_vector_upsert(sx_vector_store *store, const char *collection, const sx_vector_record *records, size_t count,
                                   sx_error *error);
/* Ids that are not there are no error; *removed may be NULL. */
typedef sx_status sx_vector_remove(sx_vector_store *store, const char *collection, const char *const *ids, size_t count,
                                   uint64_t *removed, sx_error *error);
/* At most `most` hits, nearest first, none below *threshold (NULL: no threshold). *hits is freed with sx_vector_hits_free. */
typedef sx_status sx_vector_query(sx_vector_store *store, const char *collection, const float *vector, uint32_t most,
                                  const double *threshold, const sx_vector_filter *filters, size_t filter_count,
                                  sx_vector_hit **hits, size_t *count, sx_error *error);
/* Every record once, vectors and all, in pages of a bounded size; order is the server's. */
typedef sx_status sx_vector_scan(sx_vector_store *store, const char *collection, sx_vector_visit visit, void *user,
                                 sx_error *error);

typedef struct sx_vector_store_class {
    const char *name;         /* "pgvector" */
    const char *scheme;       /* of its URLs */
    sx_status (*open)(const char *url, const sx_vector_store_options *options, sx_vector_store **out, sx_error *error);
    void (*close)(sx_vector_store *store);
    /* Makes the collection when it is not there; SX_E_MISMATCH when it is, with other dimensions or another model. */
    sx_status (*create)(sx_vector_store *store, const char *collection, const sx_vector_space *space, sx_error *error);
    /* SX_E_NOT_FOUND. *space's strings live until the next call. count: records in it; may be NULL. */
    sx_status (*describe)(sx_vector_store *store, const char *collection, sx_vector_space *space, uint64_t *count,
                          sx_error *error);
    sx_vector_upsert *upsert;
    sx_vector_remove *remove;
    /* Drops the collection and all in it; one that is not there is SX_E_NOT_FOUND. */
    sx_status (*drop)(sx_vector_store *store, const char *collection, sx_error *error);
    sx_vector_query *query;
    sx_vector_scan *scan;
    /* What was written becomes searchable by index now (builds pgvector's index after a load); may be NULL: nothing to do. */
    sx_status (*finish)(sx_vector_store *store, const char *collection, sx_error *error);
    /* Points an alias at a collection, in one step for those who ask by it; an alias that is there moves. May be NULL: the server
     * has none. */
    sx_status (*alias)(sx_vector_store *store, const char *alias, const char *collection, sx_error *error);
} sx_vector_store_class;

struct sx_vector_store {
    const sx_vector_store_class *class;
    char *name;               /* URL without user, password and key: for messages */
};

/* By the URL's scheme, from the one table in vector_store.c. SX_E_UNSUPPORTED names those there are. */
sx_status sx_vector_store_open(const char *url, const sx_vector_store_options *options, sx_vector_store **out, sx_error *error);
void sx_vector_store_close(sx_vector_store *store);
void sx_vector_hits_free(sx_vector_hit *hits, size_t count);

#endif
