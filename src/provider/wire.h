/* wire.h - the wire forms of remote embedding services: what a request looks like, what a reply means.
 *
 * A form is pure: it builds strings and reads strings; http_pool.h moves them, provider_remote.c joins the two. So every form is
 * tested against recorded exchanges without a socket.
 */
#ifndef SX_PROVIDER_WIRE_H
#define SX_PROVIDER_WIRE_H

#include "provider.h"

#include "../base/buffer.h"

typedef struct sx_wire_form sx_wire_form;

/* Which service, from a model reference and settings. Strings are malloc'ed, the target's. Zero-initialise. */
typedef struct sx_wire_target {
    const sx_wire_form *form;
    char *service;             /* "openai", "tei": part of the space */
    char *model;               /* name the service knows; "" when it has only one */
    char *base_url;            /* without a slash at the end */
    char *api_key;             /* NULL: none. Never part of a message. */
    char *api_version;         /* Azure's; NULL otherwise */
    uint32_t dimensions;       /* asked for; 0: the model's own */
    bool no_dimensions;        /* the server refused the field: left out from now on, and the vector is cut and normalised here */
    bool is_default_host;      /* the vendor's own address, so its limits and prices hold */
} sx_wire_target;

/* One HTTP request to be sent. Headers are "Name: value" lines; those with secrets are marked by being in `secret_header`. */
typedef struct sx_wire_request {
    const char *method;        /* "POST" */
    sx_buffer url, body;
    sx_buffer header;          /* one more header line without a secret, "" for none */
    sx_buffer secret_header;   /* "Authorization: Bearer ...", never logged; "" for none */
} sx_wire_request;

/* What a service takes at once; 0: no limit known. Overridden by a file (prices_and_limits.h). */
typedef struct sx_wire_limits {
    uint32_t max_texts, max_tokens_of_request, max_tokens_of_text;
    uint32_t requests_per_minute, tokens_per_minute;
} sx_wire_limits;

typedef enum sx_wire_verdict {
    SX_WIRE_OK,
    SX_WIRE_RETRY,             /* 408, 409, 425, 429, 5xx, a reply that is damaged or fails a check */
    SX_WIRE_SPLIT,             /* 400, 413, 422: a text in it is bad, or there is too much */
    SX_WIRE_FATAL,             /* 401, 402, 403, 404 and what no repetition mends */
    SX_WIRE_WITHOUT_DIMENSIONS /* the field `dimensions` was refused: send again without it */
} sx_wire_verdict;

typedef struct sx_wire_reply {
    sx_wire_verdict verdict;
    char message[256];         /* one line for people: what the service said, keys removed */
    char hint[160];            /* what to do; "" for nothing */
    uint64_t tokens;           /* the service's own count for the request; 0: not said */
    uint32_t dimensions;       /* of the vectors */
} sx_wire_reply;

struct sx_wire_form {
    const char *name;          /* "openai", "azure", "cohere", "voyage", "jina", "gemini", "mistral", "ollama", "tei", "remote" */
    bool normalized;           /* the service promises length 1 (checked) */
    /* Builds the request for some texts; role as in sx_embedder_options ("query", "document", "none"). */
    sx_status (*build)(const sx_wire_target *target, const char *role, const sx_text *texts, size_t count,
                       sx_wire_request *request, sx_error *error);
    /* Reads a 2xx reply: count vectors of *dimensions floats each into vectors (count x room floats; rows `room` apart), in the
     * order of the texts whatever the order in the reply. dimensions known (not 0): others are a fault. A reply with a
     * missing, doubled or superfluous index, another count, a number that is none or not finite, or a vector of zeros is SX_WIRE_RETRY. */
    void (*read)(const sx_wire_target *target, const char *body, size_t length, size_t count, uint32_t dimensions, float *vectors,
                 size_t room, sx_wire_reply *reply);
    /* What a reply other than 2xx means. */
    void (*refuse)(const sx_wire_target *target, long status, const char *body, size_t length, sx_wire_reply *reply);
    /* NULL, or how the model's dimension is asked for at open (Ollama, TEI /info, remote /health); else one probe text is sent. */
    sx_status (*build_info)(const sx_wire_target *target, sx_wire_request *request, sx_error *error);
    void (*read_info)(sx_wire_target *target, const char *body, size_t length, sx_wire_limits *limits, uint32_t *dimensions);
};

/* reference: "openai:NAME", "azure:DEPLOYMENT", "cohere:NAME" ..., "openai@URL#NAME", "tei@URL", "remote@URL", "ollama:NAME". Texts of
 * errors never hold a key. */
sx_status sx_wire_target_open(const char *reference, const sx_remote_options *options, sx_wire_target *target, sx_error *error);
void sx_wire_target_close(sx_wire_target *target);
/* Whether a model reference names a remote service. */
bool sx_wire_is_remote(const char *reference);
void sx_wire_request_clear(sx_wire_request *request);

/* Limits and dimension of a known model of the vendor's own address; false when it is not in the table. */
bool sx_wire_known_limits(const sx_wire_target *target, sx_wire_limits *limits, uint32_t *dimensions);
/* US dollars for a million tokens; negative: unpriced (an unknown model is never free of charge by assumption). Local services
 * (ollama, tei, remote) cost 0. */
double sx_wire_price(const sx_wire_target *target);

#endif
