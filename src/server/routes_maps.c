/* routes_maps.c - a collection as points on a plane, for the page that shows it and for other programs.
 *
 * A map holds the vectors of its points in memory and keeps a core busy for seconds, so one is made at a time, with few points.
 */
#include "server_internal.h"

#include "../base/clock.h"
#include "../base/error.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_POINTS = 4000, MOST_POINTS = 20000, MOST_CLUSTERS = 100, WAIT_NS = 50000000 };

typedef struct map_stop {
    const sx_server *server;
    const sx_request *request;
    volatile int stop;
} map_stop;

static bool nobody_waits(const map_stop *state)
{
    return atomic_load(&state->request->gone) || atomic_load(&state->server->stopping);
}

static void look_around(const sx_progress *progress, void *user)
{
    map_stop *state = user;
    if (nobody_waits(state))
        state->stop = 1;
}

/* A number from 1 to `most`, or what stands there already when the query has none. */
static bool read_number(sx_request *request, sx_response *response, const char *name, uint32_t most, uint32_t *to)
{
    sx_text text;
    if (!sx_request_parameter(request, name, &text))
        return true;
    uint32_t number = 0;
    size_t at = 0;
    for (; at < text.length && text.data[at] >= '0' && text.data[at] <= '9' && number <= most; at++)
        number = number * 10 + (uint32_t)(text.data[at] - '0');
    if (text.length && at == text.length && number && number <= most) {
        *to = number;
        return true;
    }
    sx_api_invalid(request, response, name, "%s is no number from 1 to %u", name, most);
    return false;
}

/* NULL when the query has none. */
static const char *word(sx_request *request, const char *name)
{
    sx_text text;
    return sx_request_parameter(request, name, &text) ? sx_arena_strndup(&request->arena, text.data, text.length) : NULL;
}

static sx_status make(sx_server *server, sx_request *request, const sx_map_options *given, char **json, size_t *length,
                      sx_error *error)
{
    sx_map *map = NULL;
    sx_lent_database *lent = NULL;
    map_stop state = {.server = server, .request = request};
    sx_map_options options = *given;
    options.stop = &state.stop;
    options.progress = look_around;
    options.progress_user = &state;
    sx_status status = sx_database_lend(server->readers, false, &lent, error);
    if (!status)
        status = sx_map_make(lent->database, &options, &map, error);
    sx_database_return(server->readers, lent);
    if (!status) {
        char *shown = sx_strdup(sx_shown_model(server, map->model));
        free(map->model);
        map->model = shown; /* NULL: the map says nothing of it */
    }
    if (!status)
        status = sx_map_draw(map, "json", NULL, json, length, error);
    sx_map_free(map);
    return status;
}

static void show(sx_server *server, sx_request *request, sx_response *response)
{
    sx_error error = {0};
    char *json = NULL;
    size_t length = 0;
    sx_text name = request->captured[0];
    const map_stop state = {.server = server, .request = request};
    sx_map_options options = {.size = sizeof options, .most_points = DEFAULT_POINTS, .threads = 1};
    if (!sx_is_collection_name(name) || !(options.collection = sx_arena_strndup(&request->arena, name.data, name.length))) {
        sx_api_fail(request, response, 404, NULL, "not_found", "no collection can have this name");
        return;
    }
    if (!read_number(request, response, "points", MOST_POINTS, &options.most_points) ||
        !read_number(request, response, "clusters", MOST_CLUSTERS, &options.clusters))
        return;
    options.layout = word(request, "layout");
    options.color_by = word(request, "color_by");
    bool mine = false;
    while (!mine && !nobody_waits(&state))
        if (!(mine = !atomic_exchange(&server->mapping, true)))
            sx_system_clock.sleep_ns(WAIT_NS, sx_system_clock.user);
    sx_status status = mine ? make(server, request, &options, &json, &length, &error)
                            : sx_fail(&error, SX_E_STOPPED, "nobody waits for the map any more");
    if (mine)
        atomic_store(&server->mapping, false);
    if (status)
        sx_api_fail_error(request, response, NULL, &error);
    else
        sx_buffer_append(&response->body, json, length);
    free(json);
}

const sx_route sx_routes_maps[] = {
    {"GET", "/v1/collections/{NAME}/map", SX_FORM_SEXTANT, 0, show},
    {NULL, NULL, SX_FORM_SEXTANT, 0, NULL},
};
