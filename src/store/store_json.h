/* store_json.h - what the readers of exported files share: hashes and vectors in JSON. */
#ifndef SX_STORE_STORE_JSON_H
#define SX_STORE_STORE_JSON_H

#include "../base/hash.h"
#include "../base/json_reader.h"

/* A growable vector. Zero-initialise; the caller frees data. */
typedef struct sx_json_vector {
    float *data;
    size_t length, capacity;
} sx_json_vector;

/* An array of numbers that fit a float. False, and the reader has failed, for anything else. */
bool sx_json_read_vector(sx_json *json, sx_json_vector *vector);
/* A string of 64 hexadecimal digits. */
bool sx_json_read_hash(sx_json *json, sx_buffer *buffer, sx_sha256 *hash);

#endif
