/* routes_page.c - the web page and the description of all routes (OpenAPI 3.1), which are parts of the program.
 *
 * The page asks for its data as any client does, so these files need no key. It may load nothing from anywhere else, and nothing
 * that is not a file of its own runs in it.
 */
#include "page_files.h"
#include "server_internal.h"

#include <string.h>

static const char content_policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static void send_file(sx_request *request, sx_response *response, sx_text name)
{
    const sx_embedded_file *file = NULL;
    for (size_t i = 0; i < sx_page_files_count && !file; i++)
        if (strlen(sx_page_files[i].name) == name.length && memcmp(sx_page_files[i].name, name.data, name.length) == 0)
            file = &sx_page_files[i];
    if (!file) {
        sx_api_fail(request, response, 404, NULL, "not_found", "the page has no such file");
        return;
    }
    sx_response_header(response, "cache-control", "no-cache");
    sx_response_header(response, "content-security-policy", "%s", content_policy);
    sx_response_header(response, "x-content-type-options", "nosniff");
    sx_response_header(response, "referrer-policy", "no-referrer");
    response->content_type = file->content_type;
    sx_buffer_append(&response->body, file->data, file->length);
}

static void page(sx_server *server, sx_request *request, sx_response *response)
{
    send_file(request, response, (sx_text){"index.html", strlen("index.html")});
}

static void part(sx_server *server, sx_request *request, sx_response *response)
{
    send_file(request, response, request->captured[0]);
}

static void describe(sx_server *server, sx_request *request, sx_response *response)
{
    send_file(request, response, (sx_text){"openapi.json", strlen("openapi.json")});
}

const sx_route sx_routes_page[] = {
    {"GET", "/", SX_FORM_SEXTANT, SX_ROUTE_PUBLIC | SX_ROUTE_QUICK, page},
    {"GET", "/page/{FILE}", SX_FORM_SEXTANT, SX_ROUTE_PUBLIC | SX_ROUTE_QUICK, part},
    {"GET", "/openapi.json", SX_FORM_SEXTANT, SX_ROUTE_PUBLIC | SX_ROUTE_QUICK, describe},
    {NULL, NULL, SX_FORM_SEXTANT, 0, NULL},
};
