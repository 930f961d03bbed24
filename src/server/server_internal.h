/* server_internal.h - what all routes share. */
#ifndef SX_SERVER_SERVER_INTERNAL_H
#define SX_SERVER_SERVER_INTERNAL_H

#include "access_log.h"
#include "api_errors.h"
#include "api_keys.h"
#include "index_jobs.h"
#include "metrics.h"
#include "router.h"
#include "server.h"

struct sx_server {
    sx_server_options options;
    sx_served_models *models;
    sx_api_keys *keys; /* NULL: none are asked for */
    sx_database_pool *readers, *writers; /* readers search with one thread each; writers embed with all */
    sx_index_jobs *jobs;
    const char *default_model;
    sx_metrics *metrics;
    sx_access_log *log;
    sx_http_server *http;
    sx_tokenizer *cl100k;      /* NULL: not needed */
    const char *notify_socket; /* of the supervisor, or NULL */
    _Atomic bool stopping;
    _Atomic bool mapping; /* a map is being made (routes_maps.c) */
    int64_t started_ns; /* monotonic */
    int64_t started_unix_s;
};

/* Whether a collection made by a request may be called so. */
bool sx_is_collection_name(sx_text name);
/* As clients know the model that a collection names; of a path on this machine only its end. */
const char *sx_shown_model(const sx_server *server, const char *model);

#endif
