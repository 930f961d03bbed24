/* contract.h - what the cases of the stores' contract (store_contract.c) share. A failure prints "FAILED CASE: why" and ends the
 * program. */
#ifndef SX_TESTS_CONTRACT_H
#define SX_TESTS_CONTRACT_H

#include "../../src/vectordb/vector_store.h"

#include <stdbool.h>
#include <stddef.h>

enum { DIMENSIONS = 24, ID_SIZE = 64 };

extern struct contract_settings {
    const char *url, *key, *restart, *only;
    size_t longest_text; /* 0: no limit */
    bool rounds, verbose;
} contract_settings;
extern const char *contract_current; /* the case that runs */

void contract_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void contract_expect(sx_status got, sx_status wanted, const sx_error *error, const char *what);
sx_vector_store *contract_connect(void);

/* ---- Records made from a number ---- */

uint64_t contract_mix(uint64_t x);
/* Of length 1, all different. */
void contract_make_vector(uint64_t seed, uint32_t dimensions, float *vector);
typedef struct contract_made {
    char id[ID_SIZE], document[64], text[160], metadata[256];
    float vector[DIMENSIONS];
} contract_made;
/* Record `number` in its version `version`: what differs between versions is text, metadata and vector. */
void contract_make(uint64_t number, uint64_t version, contract_made *to);
sx_vector_record contract_record(const contract_made *from);

extern const sx_vector_space contract_plain;
/* Anew, whatever an earlier run left. */
void contract_make_collection(sx_vector_store *store, const char *name, const sx_vector_space *space);
void contract_finish(sx_vector_store *store, const char *name);
void contract_put(sx_vector_store *store, const char *name, uint64_t first, uint64_t count, uint64_t version);
uint64_t contract_count(sx_vector_store *store, const char *name);

/* ---- Reading all back ---- */

typedef struct contract_expectation {
    uint64_t first, count;
    const unsigned char *versions; /* of each record; 0: it must not be there */
    unsigned char any_below;       /* not 0: versions 1..any_below are all right, as long as text, metadata and vector agree */
    unsigned char *seen;
} contract_expectation;
bool contract_same_json(const char *a, const char *b);
bool contract_same_vector(const float *a, const float *b, uint32_t dimensions);
/* A sx_vector_visit; user: an expectation. */
sx_status contract_check_record(const sx_vector_record *record, void *user, sx_error *error);
/* All of them, once each, and as many as the server counts. */
void contract_check_all(sx_vector_store *store, const char *name, uint64_t first, uint64_t count, const unsigned char *versions,
                        unsigned char any_below);

/* ---- Cases in files of their own ---- */

void contract_query(sx_vector_store *store);
void contract_odd(sx_vector_store *store);
void contract_nul_bytes(sx_vector_store *store);
void contract_mistakes(sx_vector_store *store);
void contract_wrong_address(sx_vector_store *store);
void contract_concurrent(sx_vector_store *store);
void contract_restart(sx_vector_store *store);

#endif
