/* fuzz_embed_request.c - bodies of the routes that embed, rerank and count, read by their own handlers. No model is there, so a
 * body that is right ends in "not served here"; what is wrong must end in an error of the API's form, and nothing may crash or
 * leak. */
#include "server/embed_call.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(sx_server *server, const sx_route *route, const uint8_t *data, size_t size)
{
    sx_request request = {.method = {route->method, strlen(route->method)},
                          .path = {route->path, strlen(route->path)},
                          .query = {"", 0},
                          .route = route,
                          .form = route->form};
    sx_response response = {0};
    request.body = malloc(size + 1);
    if (!request.body)
        return;
    memcpy(request.body, data, size);
    request.body[size] = '\0';
    request.body_length = size;
    route->handle(server, &request, &response);
    if (response.body.length) {
        sx_json json;
        sx_json_begin(&json, response.body.data, response.body.length, "answer");
        sx_json_skip(&json);
        if (!sx_json_end(&json))
            abort();
    }
    free(request.body);
    sx_arena_clear(&request.arena);
    sx_buffer_clear(&response.body);
    sx_buffer_clear(&response.headers);
}

/* Looked up once: that takes far longer than a body does. Collections and jobs need a database, and are left out. */
static size_t find_routes(const sx_route **found, size_t capacity)
{
    size_t count = 0, routes = sx_route_count();
    for (size_t i = 0; i < routes && count < capacity; i++) {
        const sx_route *route = sx_route_at(i);
        if (strcmp(route->method, "POST") == 0 && route->form != SX_FORM_SEXTANT && !strchr(route->path, '{'))
            found[count++] = route;
    }
    if (!count || count == capacity)
        abort();
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sx_server server;
    static const sx_route *routes[32];
    static size_t count;
    sx_error error;
    if (!server.models) {
        static const sx_served_models_options none;
        server.options.max_inputs = 1000;
        server.options.max_body = 1 << 20;
        if (sx_served_models_open(&none, &server.models, &error))
            abort();
        count = find_routes(routes, sizeof routes / sizeof *routes);
    }
    for (size_t i = 0; i < count; i++)
        ask(&server, routes[i], data, size);
    return 0;
}
