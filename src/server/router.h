/* router.h - method and path to a handler. */
#ifndef SX_SERVER_ROUTER_H
#define SX_SERVER_ROUTER_H

#include "http_message.h"

typedef struct sx_server sx_server;

/* Fills the response; may wait. Runs in a thread of its own, except quick ones. */
typedef void sx_route_handler(sx_server *server, sx_request *request, sx_response *response);

enum {
    SX_ROUTE_PUBLIC = 1, /* asks for no API key */
    SX_ROUTE_QUICK = 2   /* takes microseconds and waits for nothing: runs even when all handlers are busy */
};

struct sx_route {
    const char *method; /* "GET" answers HEAD too */
    const char *path;   /* {NAME}: one segment; {NAME*}: all the rest; captured in order, at most two */
    sx_api_form form;
    unsigned flags;
    sx_route_handler *handle;
};

/* Each file of routes has a table, ended by a route whose path is NULL, and names it in router.c. */
extern const sx_route sx_routes_openai[];
extern const sx_route sx_routes_tei[];
extern const sx_route sx_routes_tokens[];
extern const sx_route sx_routes_ollama[];
extern const sx_route sx_routes_cohere[];
extern const sx_route sx_routes_rerank[];
extern const sx_route sx_routes_collections[];
extern const sx_route sx_routes_maps[];
extern const sx_route sx_routes_jobs[];
extern const sx_route sx_routes_page[];
extern const sx_route sx_routes_service[];

/* Sets request->route, form and captured. Returns 0, or 404 or 405; then form is the one of the nearest API and *allow lists the
 * methods there are. */
int sx_route_find(sx_request *request, char allow[64]);
/* All routes in turn, from 0; NULL beyond the last. *number of them, for tables by route. */
const sx_route *sx_route_at(size_t index);
size_t sx_route_count(void);
size_t sx_route_index(const sx_route *route);

#endif
