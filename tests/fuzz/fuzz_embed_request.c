/* fuzz_embed_request.c - bodies of the routes that embed, read by their own handlers. No model is there, so a body that is right ends in "not
 * served here"; what is wrong must end in an error of the API's form, and nothing may crash or leak. */
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sx_server server;
    static const char *const paths[] = {"/v1/embeddings", "/embed", "/", "/embed/batch", "/similarity", "/tokenize", "/decode",
                                        "/api/embed", "/api/embeddings", "/v1/embed", "/v2/embed"};
    sx_error error;
    if (!server.models) {
        static const sx_served_models_options none;
        server.options.max_inputs = 1000;
        server.options.max_body = 1 << 20;
        if (sx_served_models_open(&none, &server.models, &error))
            abort();
    }
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        for (size_t r = 0; r < sx_route_count(); r++)
            if (strcmp(sx_route_at(r)->path, paths[i]) == 0 && strcmp(sx_route_at(r)->method, "POST") == 0)
                ask(&server, sx_route_at(r), data, size);
    return 0;
}
