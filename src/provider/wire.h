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

/* What a service takes at once; 0: no limit known. Overridden by a file, see docs/providers.md. */
typedef struct sx_wire_limits {
    uint32_t max_texts, max_tokens_of_request, max_tokens_of_text;
    uint32_t requests_per_minute, tokens_per_minute;
} sx_wire_limits;

/* Which service, from a model reference and settings. Strings are malloc'ed, the target's. Zero-initialise. */
typedef struct sx_wire_target {
    const sx_wire_form *form;
    char *service;             /* "openai", "tei": part of the space */
    char *model;               /* name the service knows; "" when it has only one: build_info's answer may then fill it in */
    char *base_url;            /* without a slash at the end */
    char *api_key;             /* NULL: none. Never part of a message. */
    char *api_version;         /* Azure's; NULL otherwise */
    char *ca_file;             /* as sx_remote_options has it; NULL: the system's authorities */
    uint32_t dimensions;       /* asked for; 0: the model's own */
    bool no_dimensions;        /* the server has no such field, or refused it (set by the caller at SX_WIRE_WITHOUT_DIMENSIONS): it is
                                  left out, and `read` cuts the vectors to `dimensions` and makes them length 1 */
    bool no_role;              /* the server refused the field for the role (set at SX_WIRE_WITHOUT_ROLE): left out from now on */
    bool is_default_host;      /* the vendor's own address, so its limits and prices hold */
    bool known;                /* the model is in the table or the override file */
    sx_wire_limits limits;     /* from these */
    uint32_t model_dimensions; /* what the model gives when nothing is asked; 0: not known */
    uint32_t most_dimensions;  /* that may be asked for; 0: not known */
    char *tokenizer;           /* what counts the model's tokens here, from the override file; NULL: not said */
    double price;              /* as sx_wire_price gives it */
    double output_price;       /* of a chat model's answers, from the override file; negative: unpriced */
} sx_wire_target;

/* One HTTP request to be sent. Headers are "Name: value" lines; those with secrets are marked by being in `secret_header`. */
typedef struct sx_wire_request {
    const char *method;        /* "POST" */
    sx_buffer url, body;
    sx_buffer header;          /* one more header line without a secret, "" for none */
    sx_buffer secret_header;   /* "Authorization: Bearer ...", never logged; "" for none */
} sx_wire_request;

typedef enum sx_wire_verdict {
    SX_WIRE_OK,
    SX_WIRE_RETRY,             /* 408, 409, 425, 429, 5xx, a reply that is damaged or fails a check */
    SX_WIRE_SPLIT,             /* 400, 413, 422: a text in it is bad, or there is too much */
    SX_WIRE_FATAL,             /* 401, 402, 403, 404 and what no repetition mends */
    SX_WIRE_WITHOUT_DIMENSIONS, /* the field for the dimensions was refused: set target->no_dimensions and send again */
    SX_WIRE_WITHOUT_ROLE       /* the field for the role was refused (TEI, no such prompt): set target->no_role and send again */
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
    /* Builds the request for some texts, prompt already before them; blank ones are refused (SX_E_INVALID, naming which). role
     * as in sx_embedder_options ("query", "document", "none"). */
    sx_status (*build)(const sx_wire_target *target, const char *role, const sx_text *texts, size_t count,
                       sx_wire_request *request, sx_error *error);
    /* Reads a 2xx reply: count vectors of *dimensions floats each into vectors (count x room floats; rows `room` apart), in the
     * order of the texts whatever the order in the reply. dimensions known (not 0): others are a fault. A reply with a
     * missing, doubled or superfluous index, another count, a number that is none or not finite, or a vector of zeros is
     * SX_WIRE_RETRY. */
    void (*read)(const sx_wire_target *target, const char *body, size_t length, size_t count, uint32_t dimensions, float *vectors,
                 size_t room, sx_wire_reply *reply);
    /* What a reply other than 2xx means. */
    void (*refuse)(const sx_wire_target *target, long status, const char *body, size_t length, sx_wire_reply *reply);
    /* NULL, or a request for what the service knows about its model (Ollama /api/show, TEI /info, remote /health): which it is
     * and its limits. It need not succeed. A dimension that is not known after it (0) is found with one probe text. */
    sx_status (*build_info)(const sx_wire_target *target, sx_wire_request *request, sx_error *error);
    void (*read_info)(sx_wire_target *target, const char *body, size_t length, sx_wire_limits *limits, uint32_t *dimensions);
};

/* reference: "openai:NAME", "azure:DEPLOYMENT", "cohere:NAME" ..., "openai@URL#NAME", "tei@URL", "remote@URL", "ollama:NAME".
 * Texts of errors never hold a key. */
sx_status sx_wire_target_open(const char *reference, const sx_remote_options *options, sx_wire_target *target, sx_error *error);
void sx_wire_target_close(sx_wire_target *target);
/* The space and recipe of what comes back, as in model/recipe.h; to be called when dimensions and target->model are settled, so
 * after info and probe. prompt: what is put before each text, "" for nothing. SX_E_NOT_FOUND for a role that the service has not.
 * Both strings are malloc'ed, the caller's. */
sx_status sx_wire_describe(const sx_wire_target *target, const char *role, const char *prompt, uint32_t dimensions,
                           char **space_json, char **recipe_json, sx_error *error);
/* Why a text cannot be sent to a service ("the text is empty", "... nothing but white space"), or NULL. Without its prompt. */
const char *sx_wire_text_problem(sx_text text);
/* Whether a model reference names a remote service. */
bool sx_wire_is_remote(const char *reference);
void sx_wire_request_clear(sx_wire_request *request);

/* Limits and dimension (as asked, else the model's own; 0 when the model's own is not known) of a known model of the vendor's own
 * address, and what the override file says; false when neither knows it. The limits of the service hold all the same. */
bool sx_wire_known_limits(const sx_wire_target *target, sx_wire_limits *limits, uint32_t *dimensions);
/* US dollars for a million tokens; negative: unpriced (an unknown model is never free of charge by assumption). Local services
 * (ollama, tei, remote) cost 0. */
double sx_wire_price(const sx_wire_target *target);

#endif
