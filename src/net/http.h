/* http.h - HTTP requests through libcurl, one at a time per client, with connections kept open between them.
 *
 * TLS is verified, proxies are taken from where libcurl looks for them, redirects are followed within http and https only. A
 * bearer token is sent to the host it was given for and to no other, whatever redirects say.
 */
#ifndef SX_NET_HTTP_H
#define SX_NET_HTTP_H

#include "../base/buffer.h"
#include "sextant.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct sx_http_client sx_http_client; /* for one thread */

struct sx_http_response;

typedef struct sx_http_request {
    const char *method;          /* "GET", "HEAD" */
    const char *url;
    const char *bearer_token;    /* NULL: none */
    uint64_t range_from;         /* asks for the bytes from here on; 0: all */
    const char *if_range;        /* with range_from: the entity tag it is valid for, NULL: none */
    bool follow;                 /* redirects to other hosts; those within the host are always followed */
    /* Takes the body of a 2xx reply as it comes; anything but SX_OK ends the transfer with that status. NULL: into response->body. */
    sx_status (*sink)(void *user, const void *data, size_t length, sx_error *error);
    /* Called once before the first byte of a 2xx body: the response so far, headers complete. May be NULL. */
    sx_status (*begin)(void *user, const struct sx_http_response *response, sx_error *error);
    void *user;
    const volatile int *stop;    /* non-zero ends the transfer with SX_E_STOPPED; NULL: never */
} sx_http_request;

/* Header values are those of the last reply of a chain of redirects, except the linked ones, which the hub gives in the first. */
typedef struct sx_http_response {
    long status;                 /* 0: no reply came */
    uint64_t content_length;     /* UINT64_MAX: not said */
    uint64_t range_begin;        /* of Content-Range, UINT64_MAX: none */
    uint64_t range_total;        /* of Content-Range, UINT64_MAX: none */
    uint64_t linked_size;        /* X-Linked-Size, UINT64_MAX: none */
    char etag[160];              /* ETag without quotes and weakness mark; "" */
    char linked_etag[160];       /* X-Linked-Etag likewise */
    char commit[160];            /* X-Repo-Commit */
    char error_code[64];         /* X-Error-Code */
    char location[2048];         /* of a redirect that was not followed */
    int64_t retry_after_s;       /* Retry-After in seconds from now, -1: none */
    bool accepts_ranges;
    sx_buffer body;              /* of a reply that had no sink, and of every error reply (its first 64 KiB) */
} sx_http_response;

/* user_agent is sent with each request; limit: most bytes of a body without sink. */
sx_status sx_http_client_open(const char *user_agent, size_t limit, sx_http_client **out, sx_error *error);
void sx_http_client_close(sx_http_client *client);

/* SX_OK when a complete reply came, whatever its status code. SX_E_NETWORK: no connection, cut off, timed out (nothing for 30 s).
 * response must be zeroed before its first use and cleared by the caller; it is reset here. */
sx_status sx_http_perform(sx_http_client *client, const sx_http_request *request, sx_http_response *response,
                          sx_error *error);
void sx_http_response_clear(sx_http_response *response);

#endif
