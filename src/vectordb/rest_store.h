/* rest_store.h - what stores spoken to by HTTP and JSON share beyond requests and records: opening, closing, what is known of the
 * collection last used, making a collection that another may make in the same moment. */
#ifndef SX_VECTORDB_REST_STORE_H
#define SX_VECTORDB_REST_STORE_H

#include "rest_records.h"
#include "vector_store_internal.h"

/* The first member of a store. */
typedef struct sx_rest_store {
    sx_vector_store base;
    sx_rest rest;
    char *known;       /* the collection that the rest is of; NULL: none */
    char *server_name; /* what the server calls it */
    char *model, *space_hash;
    bool ours;             /* it was made by Sextant */
    sx_vector_space space; /* of it; model and space point at the strings above */
} sx_rest_store;

/* Allocates `size` bytes, zeroed, which begin with a sx_rest_store, and opens it. */
sx_status sx_rest_store_open(size_t size, const sx_vector_store_class *class, const sx_rest_service *service, const char *url,
                             const sx_vector_store_options *options, sx_vector_store **out, sx_error *error);
/* Releases all, the store itself too. */
void sx_rest_store_close(sx_vector_store *store);
/* Forgets the collection. */
void sx_rest_store_forget(sx_rest_store *store);
/* Takes what sx_rest_store_write_space wrote, from a description (NULL: none) that is JSON and holds it as "sextant"; any other
 * says nothing. */
void sx_rest_store_learn(sx_rest_store *store, const char *description);
/* Makes `collection`, which the server calls `name`, the one that is known; what it is stands in store->space already. */
sx_status sx_rest_store_know(sx_rest_store *store, const char *collection, const char *name, sx_error *error);
bool sx_rest_store_knows(const sx_rest_store *store, const char *collection);
/* A description of what the server itself does not keep about a collection: name, model, space, dimensions, ef_search. */
bool sx_rest_store_write_space(sx_buffer *buffer, const char *collection, const sx_vector_space *space);
/* SX_E_UNSUPPORTED for a collection that was not made here, which can only be read. */
sx_status sx_rest_store_must_be_ours(const sx_rest_store *store, sx_error *error);

/* Looks the collection up and fills what is known of it, SX_E_NOT_FOUND; makes one. */
typedef sx_status sx_rest_find_collection(sx_rest_store *store, const char *collection, sx_error *error);
typedef sx_status sx_rest_make_collection(sx_rest_store *store, const char *collection, const sx_vector_space *space,
                                          sx_error *error);
/* The `create` of a class. */
sx_status sx_rest_store_create(sx_rest_store *store, const char *collection, const sx_vector_space *space,
                               sx_rest_find_collection *find, sx_rest_make_collection *make, sx_error *error);

/* How many records of `dimensions` a page of about 8 MB holds, when a number takes `bytes_of_number`; at most `most`. */
uint32_t sx_rest_records_of_page(uint32_t dimensions, uint32_t bytes_of_number, uint32_t most);

#endif
