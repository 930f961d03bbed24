/* map_json.c - a map as JSON: for programs, and inside the page. */
#include "map_draw.h"

#include "../base/json_writer.h"

#include <string.h>

static void key(sx_buffer *out, const char *name)
{
    if (out->length && out->data[out->length - 1] != '{')
        sx_buffer_append_byte(out, ',');
    sx_json_write_string(out, name, strlen(name));
    sx_buffer_append_byte(out, ':');
}

static void text(sx_buffer *out, const char *name, const char *value)
{
    key(out, name);
    sx_json_write_string(out, value, value ? strlen(value) : 0);
}

static void number(sx_buffer *out, const char *name, double value)
{
    key(out, name);
    sx_json_write_double(out, value);
}

static void coordinate(sx_buffer *out, const char *name, float value)
{
    key(out, name);
    sx_json_write_float(out, (float)(int)(value * 100000 + 0.5f) / 100000);
}

static void color(sx_buffer *out, const char *name, sx_color value)
{
    key(out, name);
    sx_buffer_printf(out, "\"#%02x%02x%02x\"", value.red, value.green, value.blue);
}

static void write_point(const sx_map_point *point, sx_buffer *out)
{
    const sx_excerpt *passage = &point->passage;
    sx_buffer_append_byte(out, '{');
    coordinate(out, "x", point->x);
    coordinate(out, "y", point->y);
    number(out, "group", point->group);
    number(out, "chunk", (double)passage->chunk);
    text(out, "root", passage->root);
    text(out, "document", passage->document);
    text(out, "title", passage->title);
    number(out, "line", passage->start_line);
    key(out, "text");
    sx_json_write_string(out, passage->text, passage->text_length);
    key(out, "whole");
    sx_buffer_append_string(out, passage->text_length == passage->whole_length ? "true" : "false");
    sx_buffer_append_byte(out, '}');
}

bool sx_map_write_json(const sx_map *map, sx_buffer *out)
{
    sx_buffer_append_byte(out, '{');
    text(out, "collection", map->collection);
    text(out, "model", map->model);
    text(out, "layout", map->layout);
    text(out, "color_by", map->color_by);
    number(out, "passages", (double)map->passages);
    number(out, "width", map->width);
    number(out, "height", map->height);
    if (map->preserved == map->preserved)
        number(out, "neighbours_preserved", map->preserved);
    if (map->preserved_pca == map->preserved_pca)
        number(out, "neighbours_preserved_pca", map->preserved_pca);
    number(out, "seconds", map->seconds);
    key(out, "groups");
    sx_buffer_append_byte(out, '[');
    for (uint32_t g = 0; g < map->group_count; g++) {
        sx_buffer_append_string(out, g ? ",{" : "{");
        text(out, "name", map->groups[g].name);
        number(out, "count", map->groups[g].count);
        coordinate(out, "x", map->groups[g].x);
        coordinate(out, "y", map->groups[g].y);
        color(out, "light", sx_map_color(g, false));
        color(out, "dark", sx_map_color(g, true));
        sx_buffer_append_byte(out, '}');
    }
    sx_buffer_append_byte(out, ']');
    key(out, "points");
    sx_buffer_append_byte(out, '[');
    for (size_t i = 0; i < map->count; i++) {
        if (i)
            sx_buffer_append_byte(out, ',');
        write_point(&map->points[i], out);
    }
    return sx_buffer_append_string(out, "]}");
}
