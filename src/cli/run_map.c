/* run_map.c - `sextant map`: a collection as a picture. */
#include "cli.h"

#include "../base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* By the name's ending; NULL: none that is known. */
static const char *format_of(const char *path)
{
    static const char *const formats[] = {"svg", "png", "html", "json"};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof formats / sizeof *formats; i++)
        if (!strcmp(dot + 1, formats[i]))
            return formats[i];
    return NULL;
}

static void say(sx_cli *cli, const sx_map *map, const char *path)
{
    char count[32], all[32];
    sx_cli_human_count(map->count, count);
    sx_cli_human_count(map->passages, all);
    if (map->passages > map->count)
        sx_cli_note(cli, "%s of %s passages, spread evenly; --points shows more", count, all);
    if (map->preserved == map->preserved && !cli->json && !cli->quiet)
        sx_cli_say("neighbours kept: %.1f %% of the 10 nearest are among the 30 nearest in the picture (main components alone: "
                   "%.1f %%)\n",
                   map->preserved * 100, map->preserved_pca * 100);
    if (!cli->json && !cli->quiet)
        sx_cli_say("%s: %s passages, %zu %s, %.1f s\n", path, count, map->group_count, map->group_count == 1 ? "group" : "groups",
                   map->seconds);
}

static int print_json(sx_cli *cli, const sx_map *map, const char *path)
{
    sx_buffer json = {0};
    sx_buffer_append_byte(&json, '{');
    sx_cli_member_text(&json, "output", path);
    sx_cli_member_text(&json, "collection", map->collection);
    sx_cli_member_text(&json, "layout", map->layout);
    sx_cli_member_text(&json, "color_by", map->color_by);
    sx_cli_member_integer(&json, "passages", map->passages);
    sx_cli_member_integer(&json, "points", map->count);
    sx_cli_member_integer(&json, "groups", map->group_count);
    if (map->preserved == map->preserved) {
        sx_cli_member_number(&json, "neighbours_preserved", map->preserved);
        sx_cli_member_number(&json, "neighbours_preserved_pca", map->preserved_pca);
    }
    sx_cli_member_number(&json, "seconds", map->seconds);
    sx_buffer_append_byte(&json, '}');
    return sx_cli_print_json(cli, &json);
}

int sx_cli_map(sx_cli *cli)
{
    sx_error error = {0};
    sx_database *database = NULL;
    sx_map *map = NULL;
    char *data = NULL;
    size_t length = 0;
    const char *path = sx_cli_text(cli, "output"), *format = path ? format_of(path) : NULL;
    const sx_cli_value *filters = sx_cli_get(cli, "filter");
    if (!path)
        return sx_cli_usage(cli, "map -o FILE.html", "map: where to?");
    if (!format)
        return sx_cli_usage(cli, NULL, "map: -o %s: the name ends in .svg, .png, .html or .json", path);
    sx_map_options options = {
        .size = sizeof options,
        .collection = sx_cli_text(cli, "collection"),
        .filters = filters->all,
        .filter_count = filters->all_count,
        .layout = sx_cli_text(cli, "layout"),
        .color_by = sx_cli_text(cli, "color-by"),
        .clusters = (uint32_t)sx_cli_count(cli, "clusters"),
        .most_points = (uint32_t)sx_cli_count(cli, "points"),
        .measure = sx_cli_flag(cli, "measure"),
        .threads = (unsigned)sx_cli_count(cli, "threads"),
        .progress = cli->progress ? sx_cli_report_progress : NULL,
        .progress_user = cli,
        .stop = sx_cli_stop_flag(),
    };
    sx_draw_options draw = {.size = sizeof draw,
                            .title = sx_cli_text(cli, "title"),
                            .width = (uint32_t)sx_cli_count(cli, "width"),
                            .height = (uint32_t)sx_cli_count(cli, "height"),
                            .dark = sx_cli_flag(cli, "dark")};
    sx_status status = sx_cli_open_database(cli, cli->db_path, false, &database, &error);
    if (!status)
        status = sx_map_make(database, &options, &map, &error);
    sx_cli_end_progress(cli);
    if (!status)
        status = sx_map_draw(map, format, &draw, &data, &length, &error);
    if (!status)
        status = sx_file_write_atomic(path, data, length, &error);
    int code = status ? sx_cli_fail(cli, &error) : SX_EXIT_DONE;
    if (!status) {
        say(cli, map, path);
        if (cli->json)
            code = print_json(cli, map, path);
    }
    free(data);
    sx_map_free(map);
    sx_database_close(database);
    return code;
}
