/* http_message.h - a request as handlers see it, and the response they fill. */
#ifndef SX_SERVER_HTTP_MESSAGE_H
#define SX_SERVER_HTTP_MESSAGE_H

#include "http_parser.h"

#include "../base/buffer.h"
#include "../base/memory.h"

#include <stdatomic.h>

/* Whose clients a route is for: decides how errors are written (api_errors.h). */
typedef enum sx_api_form {
    SX_FORM_SEXTANT, /* {"error":{"code","message","hint"}} */
    SX_FORM_OPENAI,  /* {"error":{"message","type","param","code"}} */
    SX_FORM_TEI,     /* {"error","error_type"} */
    SX_FORM_OLLAMA,  /* {"error"} */
    SX_FORM_COHERE,  /* {"message"} */
    SX_FORM_SEED     /* {"error"} */
} sx_api_form;

typedef struct sx_route sx_route;

/* Texts live as long as the request. */
typedef struct sx_request {
    sx_text method;
    sx_text path;  /* percent-decoded */
    sx_text query; /* as sent, without '?' */
    const sx_http_header *headers;
    size_t header_count;
    char *body; /* may be changed in place; NUL-terminated; NULL when there is none */
    size_t body_length;
    uint64_t connection; /* its number, never used twice */
    char id[65];         /* x-request-id: the client's own, where it is harmless, or a new one */
    char peer[64];       /* address, or "unix" */
    sx_arena arena;      /* for whatever must live as long as the request */
    _Atomic bool gone;   /* the client has hung up: nobody waits for the answer */
    int64_t began_ns;    /* when the head was there (monotonic clock) */
    int64_t ready_ns;    /* when the body was there */

    /* set before the handler runs */
    const sx_route *route; /* NULL: none was found */
    sx_api_form form;
    sx_text captured[2];  /* what stands for {NAME} in the route's path */
    const char *key_name; /* of the API key used, or NULL */
    uint64_t body_limit;

    /* set by handlers, for the log and the metrics */
    const char *model; /* lives as long as the server */
    uint64_t inputs, tokens, truncated, cached;
    int64_t tokenization_ns, queue_ns, inference_ns;
} sx_request;

typedef struct sx_response {
    int status;               /* 0 becomes 200 */
    const char *content_type; /* a constant; NULL: application/json */
    sx_buffer body;
    sx_buffer headers; /* further "name: value\r\n" lines; see sx_response_header */
    const char *error; /* the kind of error for metrics ("overloaded"), or NULL; a constant */
    bool close;        /* the connection is not kept */
} sx_response;

/* The value of a header, by name without regard to case; {NULL, 0}: none. */
sx_text sx_request_header(const sx_request *request, const char *name);
/* Adds a header; control characters of the value are left out, so that no value can make a second header. */
void sx_response_header(sx_response *response, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* "Not Found" for 404. */
const char *sx_http_reason(int status);
/* The value of NAME in the query, percent-decoded, in the request's arena; false when it is not there or wrong. */
bool sx_request_parameter(sx_request *request, const char *name, sx_text *value);

#endif
