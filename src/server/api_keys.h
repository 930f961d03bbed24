/* api_keys.h - who may use the server, and how much a minute. */
#ifndef SX_SERVER_API_KEYS_H
#define SX_SERVER_API_KEYS_H

#include "sextant.h"

#include "../base/clock.h"

#include <stdbool.h>

typedef struct sx_api_keys sx_api_keys;

/* What a key has left after a request; limits of 0: none. */
typedef struct sx_key_state {
    const char *name;                    /* of the key; lives as long as the keys */
    uint32_t request_limit, token_limit; /* a minute */
    uint32_t requests_left, tokens_left;
    double request_reset_s, token_reset_s; /* until all is there again */
    double retry_s;                        /* when refused: until the next one may come */
} sx_key_state;

/* Lines `NAME sha256:HEX [requests-per-minute=N] [tokens-per-minute=N]`; '#' begins a comment. Only hashes are kept and compared.
 * An empty file is an error: nobody could use the server. */
sx_status sx_api_keys_open(const char *path, const sx_clock *clock, sx_api_keys **out, sx_error *error);
void sx_api_keys_close(sx_api_keys *keys);
/* Reads the file again; on an error the old keys stay. What a key of the same name has used up stays used up. */
sx_status sx_api_keys_reload(sx_api_keys *keys, sx_error *error);

typedef enum sx_key_answer { SX_KEY_UNKNOWN, SX_KEY_GRANTED, SX_KEY_EXHAUSTED } sx_key_answer;
/* Counts one request. Comparing takes the same time for every key. Any thread. */
sx_key_answer sx_api_keys_admit(sx_api_keys *keys, sx_text presented, sx_key_state *state);
/* Counts tokens that a request of this key has used, after the fact: the next ones wait. */
void sx_api_keys_charge(sx_api_keys *keys, const char *name, uint64_t tokens);

#endif
