/* rest_records.h - records on their way to and from a vector database: checks, batches, the scalars of metadata, filters, pages
 * of an answer, hits.
 *
 * Databases hold flat properties, and each refuses other keys and values. So the metadata of a record are kept twice: whole, as
 * the JSON they are, in the property "sextant_metadata", from which they are read back; and their top-level strings, numbers and
 * booleans beside it as properties that filters of the server can use. The document is the property "sextant_document".
 */
#ifndef SX_VECTORDB_REST_RECORDS_H
#define SX_VECTORDB_REST_RECORDS_H

#include "rest.h"

#include "../base/memory.h"

#define SX_PROPERTY_ID "sextant_id"
#define SX_PROPERTY_TEXT "sextant_text"
#define SX_PROPERTY_DOCUMENT "sextant_document"
#define SX_PROPERTY_METADATA "sextant_metadata"
#define SX_PROPERTY_FILTERS "sextant_filters" /* tokens, where properties have one type for all records */
#define SX_PROPERTY_VECTOR "sextant_vector" /* base64 of little-endian floats, where the server does not keep a vector's bits */

/* ---- Records that are sent ---- */

bool sx_rest_is_utf8(const char *text);
/* Ids are UTF-8 and not empty, numbers are finite, metadata are a JSON object. shown: the server, for the message. */
sx_status sx_rest_check_records(const char *shown, const sx_vector_record *records, size_t count, uint32_t dimensions,
                                sx_error *error);
/* A query, which has as many numbers as the collection says. */
sx_status sx_rest_check_vector(const char *shown, const float *vector, uint32_t dimensions, sx_error *error);

/* Sends some records in one request. SX_E_LIMIT: they are too many for it. */
typedef sx_status (*sx_rest_send)(void *user, const sx_vector_record *records, size_t count, sx_error *error);
/* Cuts records into batches of at most `most` and about `bytes` bytes, in which no id comes twice, and sends them in order; those
 * that are too large for the server are halved. */
sx_status sx_rest_send_batches(const sx_vector_record *records, size_t count, uint32_t dimensions, size_t most, size_t bytes,
                               sx_rest_send send, void *user, sx_error *error);

/* Removes those of these ids that are there, in one request, and adds to *removed how many they were. */
typedef sx_status (*sx_rest_remove)(void *user, const char *const *ids, size_t count, uint64_t *removed, sx_error *error);
/* Removes ids `most` at a time; *removed (may be NULL) is how many were there, also when a later request fails. */
sx_status sx_rest_remove_batches(const char *const *ids, size_t count, size_t most, sx_rest_remove remove, void *user,
                                 uint64_t *removed, sx_error *error);

/* A top-level scalar of metadata, or the value of a filter. */
typedef struct sx_rest_scalar {
    sx_text key;
    sx_json_type type;     /* SX_JSON_STRING, _NUMBER, _BOOLEAN */
    sx_text text;          /* of a string, decoded */
    double number;
    bool truth;
} sx_rest_scalar;
typedef bool (*sx_rest_take_scalar)(void *user, const sx_rest_scalar *scalar);
/* Hands each top-level scalar of checked metadata to take (until it says false: no memory). */
bool sx_rest_scalars(const char *metadata, sx_rest_take_scalar take, void *user);
/* The value of a filter; its key is SX_PROPERTY_DOCUMENT for "document". SX_E_INVALID for a number that is none. */
sx_status sx_rest_filter_scalar(const sx_vector_filter *filter, sx_rest_scalar *scalar, sx_error *error);
/* As JSON. A number without fraction is written without one. */
bool sx_rest_write_scalar(sx_buffer *buffer, const sx_rest_scalar *scalar);
/* A member, with a comma before it unless the buffer ends in an opening bracket. value NULL: the text is left out as null. */
bool sx_rest_write_key(sx_buffer *buffer, const char *key);
bool sx_rest_write_member(sx_buffer *buffer, const char *key, const char *value);
/* The property SX_PROPERTY_FILTERS: a list of tokens (rest_scalars.c), one for each scalar and one for the document. hashed:
 * all are hashes, for servers whose filters are expressions in which not every string can be written. */
bool sx_rest_write_tokens(sx_buffer *body, const sx_vector_record *record, bool hashed);
/* The token that a record must have to pass the filter; replaces what is in the buffer. */
sx_status sx_rest_filter_token(const sx_vector_filter *filter, bool hashed, sx_buffer *token, sx_error *error);

/* ---- Records that come ---- */

/* One record of an answer; what was not there is NULL or zero. In the page's arena. */
typedef struct sx_rest_row {
    char *id, *document, *metadata;
    sx_text text;
    float *vector;
    sx_text packed;        /* the property SX_PROPERTY_VECTOR */
    double score;
    bool has_text, has_score;
} sx_rest_row;
typedef struct sx_rest_page {
    sx_rest_row *rows;
    size_t count, capacity;
    sx_arena arena;
} sx_rest_page;

void sx_rest_page_clear(sx_rest_page *page);
/* A zeroed row at the end, or NULL. */
sx_rest_row *sx_rest_page_add(sx_rest_page *page);
/* The next value, a string, copied into the arena. false: the reader has failed. */
bool sx_rest_read_string(sx_json *json, sx_rest_page *page, char **text, size_t *length);
/* The next value, an array of exactly `dimensions` finite numbers. */
bool sx_rest_read_vector(sx_json *json, sx_rest_page *page, uint32_t dimensions, float **vector);
/* The next value, an object of properties, of which those of ours are taken into the row. One that holds nothing of ours but
 * others' properties was not written here: all of it is then the metadata. */
bool sx_rest_read_properties(sx_json *json, sx_rest_page *page, sx_rest_row *row);

/* Makes the vector of a row from its packed one. */
sx_status sx_rest_unpack(sx_rest *rest, sx_rest_page *page, sx_rest_row *row, uint32_t dimensions, sx_error *error);

/* Hits from a page, in its order, of at least the threshold (NULL: none), at most `most`. */
sx_status sx_rest_make_hits(const sx_rest_page *page, const double *threshold, uint32_t most, sx_vector_hit **hits, size_t *count,
                            sx_error *error);
/* Hands each row to visit. */
sx_status sx_rest_visit_page(const sx_rest_page *page, sx_vector_visit visit, void *user, sx_error *error);

/* ---- Collections ---- */

/* What the server calls a collection: its name where that is `plain` for this kind of server and does not begin with `prefix`,
 * else prefix and 32 hexadecimal digits of the name's SHA-256. Two names are never the same there. Names are up to
 * SX_REST_LONGEST_NAME bytes of UTF-8. */
enum { SX_REST_LONGEST_NAME = 1024, SX_REST_NAME_SIZE = 1100 };
sx_status sx_rest_server_name(const char *shown, const char *collection, bool (*plain)(const char *name), const char *prefix,
                              char name[SX_REST_NAME_SIZE], sx_error *error);
/* Whether a text has `least` to `most` bytes, each an ASCII letter, digit or in `others`. */
bool sx_rest_is_word(const char *text, size_t least, size_t most, const char *others);
/* UUID version 5 (RFC 9562, SHA-1) of "sextant:" and the id in the namespace of URLs: for servers whose ids are UUIDs. */
enum { SX_REST_UUID_SIZE = 37 };
sx_status sx_rest_uuid(const char *id, char uuid[SX_REST_UUID_SIZE], sx_error *error);
/* A collection that is to be made: dimensions, a known similarity and element, and the one index the server has, or none said. */
sx_status sx_rest_check_space(const char *shown, const char *collection, const sx_vector_space *space, const char *index,
                              sx_error *error);
/* Compares a collection that is there with what is wanted: SX_E_MISMATCH naming what differs. Zero and NULL differ from nothing.
 */
sx_status sx_rest_compare_spaces(const char *shown, const char *collection, const sx_vector_space *there,
                                 const sx_vector_space *wanted, sx_error *error);

#endif
