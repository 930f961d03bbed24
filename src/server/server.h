/* server.h - `sextant serve` as one call: what it needs to know, and a run until a signal ends it. */
#ifndef SX_SERVER_SERVER_H
#define SX_SERVER_SERVER_H

#include "http_server.h"
#include "index_jobs.h"
#include "served_models.h"

typedef enum sx_token_ids { SX_TOKEN_IDS_REFUSE, SX_TOKEN_IDS_MODEL, SX_TOKEN_IDS_CL100K } sx_token_ids;

typedef struct sx_server_options {
    sx_http_options http;
    sx_served_models_options models;
    const char *database;             /* of the collections; made when first written to; NULL: none */
    const sx_index_source *sources;   /* what jobs may index */
    size_t source_count;
    const char *key_file;             /* NULL: no keys are asked for */
    bool allow_unauthenticated;       /* beyond the loopback, without keys */
    const char *const *allow_origins; /* of browsers' pages (CORS); "*": all */
    size_t allow_origin_count;
    sx_token_ids token_ids;                   /* what ids as input of /v1/embeddings are */
    const char *cl100k_path;                  /* file of ranks, for SX_TOKEN_IDS_CL100K */
    bool auto_truncate;                       /* where a request does not say */
    uint64_t max_body;                        /* bytes of one request */
    size_t max_inputs;                        /* texts of one request */
    int access_log;                           /* descriptor to write JSON lines to, or -1 */
    void (*ready)(void *user, unsigned port); /* listening, the first model loaded */
    sx_log_callback log;
    void *user; /* of ready and log */
} sx_server_options;

/* Serves until SIGTERM or SIGINT. Blocks these and SIGHUP in the calling thread. SX_E_STOPPED: ended, but not all requests were
 * finished in the grace. Writes READY=1 and STOPPING=1 to $NOTIFY_SOCKET's address when notify_socket is not NULL. */
sx_status sx_server_run(const sx_server_options *options, const char *notify_socket, sx_error *error);

#endif
