/* api_keys.c - keys from a file of hashes, compared in constant time, with a bucket of requests and one of tokens each.
 *
 * A bucket fills evenly over a minute (token bucket). Tokens are known only when a request is done: a bucket may go below
 * nothing, and the key waits until it is above again.
 */
#include "api_keys.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/hash.h"
#include "../base/memory.h"

#include <math.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE = 1 << 20, MAX_NAME = 64 };

typedef struct bucket {
    uint32_t limit; /* a minute; 0: none */
    double level;
} bucket;

typedef struct api_key {
    struct api_key *next;
    char name[MAX_NAME];
    sx_sha256 hash;
    bool valid; /* in the file as it is now; others are kept for the names that requests hold */
    bucket requests, tokens;
    int64_t filled_ns;
} api_key;

struct sx_api_keys {
    char *path;
    const sx_clock *clock;
    pthread_mutex_t lock;
    api_key *first;
};

static bool read_limit(const char *word, const char *prefix, uint32_t *value)
{
    size_t length = strlen(prefix);
    char *end;
    if (strncmp(word, prefix, length) != 0 || word[length] < '1' || word[length] > '9')
        return false;
    unsigned long parsed = strtoul(word + length, &end, 10);
    *value = (uint32_t)parsed;
    return !*end && parsed <= 1000000000;
}

static sx_status read_line(const char *path, unsigned number, char *line, api_key *key, sx_error *error)
{
    char *rest = NULL, *word = strtok_r(line, " \t\r", &rest);
    if (strlen(word) >= MAX_NAME)
        return sx_fail(error, SX_E_FORMAT, "%s: line %u: a name of %zu bytes, at most %d", path, number, strlen(word),
                       MAX_NAME - 1);
    strcpy(key->name, word);
    word = strtok_r(NULL, " \t\r", &rest);
    if (!word || strncmp(word, "sha256:", 7) != 0 || sx_sha256_from_hex(word + 7, &key->hash)) {
        sx_fail(error, SX_E_FORMAT, "%s: line %u: no sha256:HEX of 64 digits behind the name", path, number);
        sx_hint(error, "printf %%s \"$KEY\" | sha256sum makes it; the key itself does not belong into the file");
        return SX_E_FORMAT;
    }
    while ((word = strtok_r(NULL, " \t\r", &rest)))
        if (!read_limit(word, "requests-per-minute=", &key->requests.limit) &&
            !read_limit(word, "tokens-per-minute=", &key->tokens.limit))
            return sx_fail(error, SX_E_FORMAT, "%s: line %u: '%.60s' is neither requests-per-minute=N nor tokens-per-minute=N",
                           path, number, word);
    key->requests.level = key->requests.limit;
    key->tokens.level = key->tokens.limit;
    key->valid = true;
    return SX_OK;
}

static void free_list(api_key *first)
{
    for (api_key *at = first, *next; at; at = next) {
        next = at->next;
        free(at);
    }
}

static sx_status read_file(const char *path, api_key **out, sx_error *error)
{
    char *data = NULL, *rest = NULL;
    size_t length = 0;
    unsigned number = 0;
    api_key *first = NULL, **last = &first;
    sx_status status = sx_file_read(path, MAX_FILE, &data, &length, NULL, error);
    for (char *line = data; !status && line && *line; line = rest) {
        char *end = strchr(line, '\n');
        rest = end ? end + 1 : line + strlen(line);
        if (end)
            *end = '\0';
        number++;
        line += strspn(line, " \t\r");
        if (!*line || *line == '#')
            continue;
        api_key *key = sx_calloc(1, sizeof *key);
        if (!key) {
            status = sx_fail_nomem(error, sizeof *key);
            break;
        }
        *last = key;
        last = &key->next;
        status = read_line(path, number, line, key, error);
        for (const api_key *other = first; other != key && !status; other = other->next)
            if (strcmp(other->name, key->name) == 0)
                status = sx_fail(error, SX_E_FORMAT, "%s: line %u: the name '%s' is given twice", path, number, key->name);
    }
    if (!status && !first)
        status = sx_fail(error, SX_E_FORMAT, "%s: no key in it", path);
    free(data);
    if (status)
        free_list(first);
    else
        *out = first;
    return status;
}

sx_status sx_api_keys_open(const char *path, const sx_clock *clock, sx_api_keys **out, sx_error *error)
{
    *out = NULL;
    sx_api_keys *keys = sx_calloc(1, sizeof *keys);
    if (!keys || !(keys->path = sx_strdup(path))) {
        free(keys);
        return sx_fail_nomem(error, sizeof *keys);
    }
    keys->clock = clock;
    pthread_mutex_init(&keys->lock, NULL);
    sx_status status = read_file(path, &keys->first, error);
    for (api_key *at = keys->first; at; at = at->next)
        at->filled_ns = clock->monotonic_ns(clock->user);
    if (status)
        sx_api_keys_close(keys);
    else
        *out = keys;
    return status;
}

void sx_api_keys_close(sx_api_keys *keys)
{
    if (!keys)
        return;
    free_list(keys->first);
    pthread_mutex_destroy(&keys->lock);
    free(keys->path);
    free(keys);
}

sx_status sx_api_keys_reload(sx_api_keys *keys, sx_error *error)
{
    api_key *fresh = NULL, *next;
    sx_status status = read_file(keys->path, &fresh, error);
    if (status)
        return status;
    pthread_mutex_lock(&keys->lock);
    for (api_key *at = keys->first; at; at = at->next)
        at->valid = false;
    for (api_key *key = fresh; key; key = next) {
        next = key->next;
        api_key *old = keys->first;
        while (old && strcmp(old->name, key->name) != 0)
            old = old->next;
        if (!old) {
            key->filled_ns = keys->clock->monotonic_ns(keys->clock->user);
            key->next = keys->first;
            keys->first = key;
            continue;
        }
        old->hash = key->hash;
        old->valid = true;
        if (old->requests.limit != key->requests.limit)
            old->requests = key->requests;
        if (old->tokens.limit != key->tokens.limit)
            old->tokens = key->tokens;
        free(key);
    }
    pthread_mutex_unlock(&keys->lock);
    return SX_OK;
}

static void fill(bucket *of, double minutes)
{
    of->level += of->limit * minutes;
    if (of->level > of->limit)
        of->level = of->limit;
}

static double seconds_to(const bucket *of, double level)
{
    return of->limit && of->level < level ? (level - of->level) * 60 / of->limit : 0;
}

static void fill_state(const api_key *key, sx_key_state *state)
{
    const bucket *requests = &key->requests, *tokens = &key->tokens;
    state->name = key->name;
    state->request_limit = requests->limit;
    state->token_limit = tokens->limit;
    state->requests_left = requests->level > 0 ? (uint32_t)requests->level : 0;
    state->tokens_left = tokens->level > 0 ? (uint32_t)tokens->level : 0;
    state->request_reset_s = seconds_to(requests, requests->limit);
    state->token_reset_s = seconds_to(tokens, tokens->limit);
    state->retry_s = fmax(seconds_to(requests, 1), seconds_to(tokens, 1));
}

sx_key_answer sx_api_keys_admit(sx_api_keys *keys, sx_text presented, sx_key_state *state)
{
    sx_sha256 hash;
    api_key *found = NULL;
    sx_key_answer answer = SX_KEY_UNKNOWN;
    memset(state, 0, sizeof *state);
    sx_sha256_of(presented.data ? presented.data : "", presented.length, &hash);
    pthread_mutex_lock(&keys->lock);
    for (api_key *at = keys->first; at; at = at->next)
        if (CRYPTO_memcmp(hash.bytes, at->hash.bytes, sizeof hash.bytes) == 0 && at->valid)
            found = at;
    if (found && presented.length) {
        int64_t now = keys->clock->monotonic_ns(keys->clock->user);
        double minutes = (double)(now - found->filled_ns) / 60e9;
        fill(&found->requests, minutes);
        fill(&found->tokens, minutes);
        found->filled_ns = now;
        bool enough =
            (!found->requests.limit || found->requests.level >= 1) && (!found->tokens.limit || found->tokens.level >= 1);
        if (enough && found->requests.limit)
            found->requests.level -= 1;
        fill_state(found, state);
        answer = enough ? SX_KEY_GRANTED : SX_KEY_EXHAUSTED;
    }
    pthread_mutex_unlock(&keys->lock);
    return answer;
}

void sx_api_keys_charge(sx_api_keys *keys, const char *name, uint64_t tokens)
{
    pthread_mutex_lock(&keys->lock);
    for (api_key *at = keys->first; at; at = at->next)
        if (strcmp(at->name, name) == 0 && at->tokens.limit)
            at->tokens.level -= (double)tokens;
    pthread_mutex_unlock(&keys->lock);
}
