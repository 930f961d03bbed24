/* provider_remote.h - the inside of the provider for remote services, shared by opening it and moving its batches. */
#ifndef SX_PROVIDER_PROVIDER_REMOTE_H
#define SX_PROVIDER_PROVIDER_REMOTE_H

#include "provider.h"
#include "wire.h"

#include "../base/memory.h"
#include "../net/http_pool.h"
#include "../net/rate_limit.h"

/* A batch in the provider's hands: what is sent of it, and the exchange. */
typedef struct sx_remote_node {
    struct sx_remote_node *next;
    sx_batch *batch;
    sx_wire_request request;
    sx_http_exchange exchange;
    const char *headers[3];
    sx_text *texts;          /* those that are sent, prompt included; in the arena, as are the next two */
    size_t *rows;            /* which of the batch's each is */
    uint64_t *weights;       /* tokens as counted here, or bytes */
    size_t count;
    uint64_t weight;         /* sum of weights */
    uint64_t estimate;       /* tokens */
    double usd;              /* for the estimate */
    uint64_t ticket;         /* of the rate limit */
    bool with_dimensions, with_role; /* the request has these fields */
    sx_arena arena;          /* also the messages of texts that failed by themselves */
} sx_remote_node;

typedef struct sx_remote_queue {
    sx_remote_node *first, *last;
} sx_remote_queue;

typedef struct sx_provider_remote {
    sx_provider base;
    sx_wire_target target;
    sx_clock clock;
    sx_http_pool *pool;
    sx_rate_limit limit;
    char *role, *prompt, *space_json, *recipe_json;
    uint64_t random;
    int64_t timeout_ns;
    bool exact;              /* a tokenizer counts */
    uint64_t said, counted;  /* tokens of replies that said how many, as they said and as counted here */
    bool doubted;            /* that the two differ was said */
    double price, budget;    /* US dollars for a million tokens (negative: unpriced), for all (0: none) */
    double reserved, lost;   /* US dollars: estimates of what is in flight, and of what died there and may have been charged */
    double tokens_of_byte;   /* most the service ever counted; 0: no reply yet */
    size_t largest_taken;    /* most texts in a request that was answered */
    unsigned refused_larger; /* requests with more texts that were refused since */
    int64_t failing_since;   /* the first failure since the last reply that was good; INT64_MIN: none */
    unsigned failures;
    bool answered;           /* any reply was good */
    int64_t ends_at;         /* after cancel, by the machine's clock: what is in flight then is given up; 0: not cancelled */
    sx_remote_queue waiting, flying, done;
    int64_t limited_ns;      /* until the first that waits may go; 0: it waits for others */
    sx_arena messages;       /* of the batch that came out of wait last */
} sx_provider_remote;

/* Makes the provider for a service; takes the target over, also on failure. Tests bring a form of their own this way. */
sx_status sx_provider_remote_make(sx_wire_target *target, const sx_embedder_options *options, const sx_clock *clock,
                                  sx_provider **out, sx_error *error);

extern const sx_provider_class sx_provider_remote_class;

/* ---- Between the two files ---- */

/* Points the exchange at the request; limit: most bytes of a reply. */
void sx_remote_address(sx_provider_remote *remote, const sx_wire_request *request, const char *headers[3],
                       sx_http_exchange *exchange, size_t limit);
/* What an exchange means when no vectors were read from it: a fault of the network, or a reply other than 2xx. */
void sx_remote_refusal(const sx_provider_remote *remote, const sx_http_exchange *exchange, sx_wire_reply *reply);
/* Passes on to the rate limit what the service said of it. */
void sx_remote_heed(sx_provider_remote *remote, const sx_http_exchange *exchange);
/* Adds what a request cost; tokens 0: the service did not say, so `estimate`. */
void sx_remote_charge(sx_provider_remote *remote, uint64_t tokens, uint64_t estimate);
sx_status sx_remote_status_of(long code);
size_t sx_remote_reply_limit(size_t count, size_t dimensions);

#endif
