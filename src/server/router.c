/* router.c - the tables of all routes, and finding the one a request means. */
#include "router.h"

#include <string.h>

static const sx_route *const tables[] = {
    sx_routes_openai, sx_routes_tei,         sx_routes_tokens, sx_routes_ollama,  sx_routes_cohere,
    sx_routes_rerank, sx_routes_collections, sx_routes_maps,   sx_routes_jobs,    sx_routes_page,   sx_routes_service,
};
enum { TABLES = sizeof tables / sizeof *tables };

const sx_route *sx_route_at(size_t index)
{
    for (size_t t = 0; t < TABLES; t++)
        for (const sx_route *route = tables[t]; route->path; route++)
            if (index-- == 0)
                return route;
    return NULL;
}

size_t sx_route_count(void)
{
    size_t count = 0;
    while (sx_route_at(count))
        count++;
    return count;
}

size_t sx_route_index(const sx_route *route)
{
    size_t index = 0;
    while (sx_route_at(index) && sx_route_at(index) != route)
        index++;
    return index;
}

static bool matches(const char *pattern, sx_text path, sx_text captured[2])
{
    size_t at = 0, found = 0;
    captured[0] = captured[1] = (sx_text){NULL, 0};
    while (*pattern) {
        if (*pattern != '{') {
            if (at == path.length || path.data[at] != *pattern)
                return false;
            at++;
            pattern++;
            continue;
        }
        const char *end = strchr(pattern, '}');
        bool rest = end[-1] == '*';
        size_t from = at;
        while (at < path.length && (rest || path.data[at] != '/'))
            at++;
        if (at == from || found == 2)
            return false;
        captured[found++] = (sx_text){path.data + from, at - from};
        pattern = end + 1;
    }
    return at == path.length;
}

static bool begins_with(sx_text path, const char *prefix)
{
    return path.length >= strlen(prefix) && memcmp(path.data, prefix, strlen(prefix)) == 0;
}

/* Of a path that no route has: what its client most likely reads. */
static sx_api_form likely_form(sx_text path)
{
    if (begins_with(path, "/v1/collections") || begins_with(path, "/v1/jobs") ||
        begins_with(path, "/v1/status"))
        return SX_FORM_SEXTANT;
    if (begins_with(path, "/v2/"))
        return SX_FORM_COHERE;
    if (begins_with(path, "/api/"))
        return SX_FORM_OLLAMA;
    return begins_with(path, "/embed") ? SX_FORM_TEI : SX_FORM_OPENAI;
}

static bool method_fits(const sx_route *route, sx_text method)
{
    return (method.length == strlen(route->method) && memcmp(method.data, route->method, method.length) == 0) ||
           (strcmp(route->method, "GET") == 0 && method.length == 4 && memcmp(method.data, "HEAD", 4) == 0);
}

int sx_route_find(sx_request *request, char allow[64])
{
    int status = 404;
    sx_text captured[2];
    allow[0] = '\0';
    request->form = likely_form(request->path);
    sx_text path = request->path;
    for (size_t t = 0; t < TABLES; t++)
        for (const sx_route *route = tables[t]; route->path; route++) {
            if (!matches(route->path, path, captured))
                continue;
            if (method_fits(route, request->method)) {
                request->route = route;
                request->form = route->form;
                memcpy(request->captured, captured, sizeof captured);
                return 0;
            }
            status = 405;
            request->form = route->form;
            size_t used = strlen(allow);
            if (used + strlen(route->method) + 3 < 64 && !strstr(allow, route->method)) {
                strcat(allow, used ? ", " : "");
                strcat(allow, route->method);
            }
        }
    return status;
}
