/* routes_service.c - routes for those who run the server: liveness, readiness, metrics. */
#include "server_internal.h"

#include "../base/json_writer.h"

#include <stdio.h>
#include <string.h>

/* Alive: this thread answers. Its words are those that clients of the seeds' services look at. */
static void health(sx_server *server, sx_request *request, sx_response *response)
{
    sx_served_model_listing listing;
    sx_served_models_describe(server->models, 0, &listing);
    sx_buffer_append_string(&response->body, "{\"status\":\"healthy\",\"model\":");
    sx_json_write_string(&response->body, listing.name, strlen(listing.name));
    sx_buffer_printf(&response->body, ",\"device\":\"cpu\",\"version\":\"%s\"}", sx_version());
}

/* Ready: new requests are welcome. */
static void ready(sx_server *server, sx_request *request, sx_response *response)
{
    if (atomic_load(&server->stopping)) {
        response->status = 503;
        sx_buffer_append_string(&response->body, "{\"status\":\"stopping\"}");
    } else {
        sx_buffer_append_string(&response->body, "{\"status\":\"ready\"}");
    }
}

static void ping(sx_server *server, sx_request *request, sx_response *response)
{
    response->content_type = "text/plain; charset=utf-8";
    sx_buffer_append_string(&response->body, "pong");
}

static void metrics(sx_server *server, sx_request *request, sx_response *response)
{
    sx_http_figures figures;
    sx_http_server_describe(server->http, &figures);
    response->content_type = "text/plain; version=0.0.4; charset=utf-8";
    sx_metrics_write(server->metrics, server->models, &figures, sx_access_log_dropped(server->log), &response->body);
}

const sx_route sx_routes_service[] = {
    {"GET", "/health", SX_FORM_TEI, SX_ROUTE_PUBLIC | SX_ROUTE_QUICK, health},
    {"GET", "/ready", SX_FORM_TEI, SX_ROUTE_PUBLIC | SX_ROUTE_QUICK, ready},
    {"GET", "/ping", SX_FORM_TEI, SX_ROUTE_PUBLIC | SX_ROUTE_QUICK, ping},
    {"GET", "/metrics", SX_FORM_TEI, 0, metrics},
    {NULL, NULL, SX_FORM_TEI, 0, NULL},
};
