/* map_frame.c - what the drawings of a map share: colours, where points, names and the legend stand. */
#include "map_frame.h"
#include "stroke_font.h"

#include "../text/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LEGEND_ROWS = 24 };

/* ---- Colours ---- */

static unsigned char channel(double linear)
{
    double value = linear <= 0           ? 0
                   : linear >= 1         ? 1
                   : linear <= 0.0031308 ? 12.92 * linear
                                         : 1.055 * pow(linear, 1 / 2.4) - 0.055;
    return (unsigned char)lround(value * 255);
}

/* Oklch (Ottosson 2020), in which equal steps look equal. */
static sx_color of_lightness(double lightness, double chroma, double degrees)
{
    double angle = degrees * 3.14159265358979 / 180, a = chroma * cos(angle), b = chroma * sin(angle);
    double l = pow(lightness + 0.3963377774 * a + 0.2158037573 * b, 3);
    double m = pow(lightness - 0.1055613458 * a - 0.0638541728 * b, 3);
    double s = pow(lightness - 0.0894841775 * a - 1.2914855480 * b, 3);
    return (sx_color){channel(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
                      channel(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
                      channel(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s)};
}

sx_color sx_map_color(uint32_t group, bool dark)
{
    /* The golden angle puts each new hue into the largest gap; two lightnesses part those that come near each other. */
    double hue = fmod(255 + 137.50776 * group, 360);
    double light = (group / 2 % 2 ? 0.08 : 0) + (dark ? 0.7 : 0.56);
    return of_lightness(light, dark ? 0.13 : 0.15, hue);
}

sx_map_theme sx_map_theme_of(bool dark)
{
    if (dark)
        return (sx_map_theme){{0x12, 0x15, 0x1c}, {0xec, 0xee, 0xf2}, {0x9a, 0xa2, 0xb1}};
    return (sx_map_theme){{0xfc, 0xfc, 0xfa}, {0x1b, 0x1f, 0x27}, {0x68, 0x70, 0x7d}};
}

/* ---- Where things stand ---- */

void sx_map_short_name(const sx_map_group *group, size_t most, char name[128])
{
    size_t length = strlen(group->name), end = sx_utf8_offset(group->name, length, most);
    if (end == length && length < 128) {
        memcpy(name, group->name, length + 1);
        return;
    }
    end = sx_utf8_offset(group->name, length, most - 3);
    end = sx_utf8_floor(group->name, length, end < 120 ? end : 120);
    memcpy(name, group->name, end);
    memcpy(name + end, "...", 4);
}

typedef struct box {
    float left, right, top, bottom;
} box;

static bool meet(const box *a, const box *b)
{
    return a->left < b->right && b->left < a->right && a->top < b->bottom && b->top < a->bottom;
}

static box box_of(const sx_map_label *label, float width)
{
    float half = width / 2, gap = label->size * 0.3f;
    return (box){label->x - half - gap, label->x + half + gap, label->y - label->size * 0.85f, label->y + label->size * 0.4f};
}

/* The larger group first; a name that would cover another is moved up or down, at last left out. */
static void place_names(sx_map_frame *frame)
{
    static const float moves[] = {0, -1, 1, -2, 2, -3, 3, -4, 4};
    const sx_map *map = frame->map;
    box taken[SX_MAP_NAMES];
    size_t used = 0;
    for (size_t g = 0; g < map->group_count && g < SX_MAP_NAMES; g++) {
        char name[128];
        sx_map_label *label = &frame->names[g];
        sx_map_short_name(&map->groups[g], SX_MAP_NAME_LETTERS, name);
        float width = sx_stroke_width(name, strlen(name)) * frame->text_size / SX_STROKE_HEIGHT;
        float x = frame->left + map->groups[g].x * frame->scale, y = frame->top + map->groups[g].y * frame->scale;
        float least = width / 2 + 8, most = (frame->legend_rows ? frame->legend_x - 8 : frame->width - 8) - width / 2;
        *label = (sx_map_label){x < least ? least : x > most ? most : x, y, frame->text_size, false};
        for (size_t m = 0; m < sizeof moves / sizeof *moves && !label->shown; m++) {
            label->y = y + moves[m] * frame->text_size * 1.1f;
            box at = box_of(label, width);
            bool free_place = at.top > frame->margin * 1.6f && at.bottom < frame->height;
            for (size_t t = 0; t < used && free_place; t++)
                free_place = !meet(&at, &taken[t]);
            if (free_place) {
                label->shown = true;
                taken[used++] = at;
            }
        }
    }
}

static void write_subtitle(sx_map_frame *frame)
{
    const sx_map *map = frame->map;
    int at = snprintf(frame->subtitle, sizeof frame->subtitle, "%zu passages", map->count);
    if (map->passages > map->count)
        at = snprintf(frame->subtitle, sizeof frame->subtitle, "%zu of %llu passages", map->count,
                      (unsigned long long)map->passages);
    if (!strcmp(map->color_by, "clusters"))
        snprintf(frame->subtitle + at, sizeof frame->subtitle - (size_t)at, " in %zu %s", map->group_count,
                 map->group_count == 1 ? "cluster" : "clusters");
    else
        snprintf(frame->subtitle + at, sizeof frame->subtitle - (size_t)at, ", coloured by %.60s", map->color_by);
    at = (int)strlen(frame->subtitle);
    snprintf(frame->subtitle + at, sizeof frame->subtitle - (size_t)at, "; %s",
             !strcmp(map->layout, "pca") ? "two main components" : "near means alike");
}

void sx_map_frame_make(const sx_map *map, const sx_draw_options *options, sx_map_frame *frame)
{
    *frame = (sx_map_frame){.map = map, .dark = options->dark, .theme = sx_map_theme_of(options->dark)};
    frame->width = (float)options->width;
    frame->height = (float)options->height;
    float side = frame->width < frame->height ? frame->width : frame->height;
    frame->title = options->title ? options->title : map->collection;
    frame->margin = side * 0.045f;
    frame->title_size = side * 0.026f;
    frame->text_size = side * 0.0155f;
    write_subtitle(frame);
    float legend = 0, top = frame->margin * 2.3f;
    if (map->group_count > 1) {
        frame->legend_rows = map->group_count < LEGEND_ROWS ? (uint32_t)map->group_count : LEGEND_ROWS;
        legend = frame->text_size * 15;
        frame->legend_step = frame->text_size * 1.75f;
        frame->legend_x = frame->width - legend;
        frame->legend_y = top + frame->text_size;
    }
    float wide = frame->width - legend - 2 * frame->margin, tall = frame->height - top - frame->margin;
    float map_width = map->width > 0 ? map->width : 1e-3f, map_height = map->height > 0 ? map->height : 1e-3f;
    frame->scale = wide / map_width < tall / map_height ? wide / map_width : tall / map_height;
    frame->left = frame->margin + (wide - map->width * frame->scale) / 2;
    frame->top = top + (tall - map->height * frame->scale) / 2;
    /* A third of the area at most is covered. */
    float radius = sqrtf(wide * tall * 0.1f / 3.14159f / (float)(map->count ? map->count : 1));
    float most = side * 0.0065f, least = side * 0.0016f;
    frame->radius = radius > most ? most : radius < least ? least : radius;
    frame->opacity = map->count > 3000 ? 0.62f : 0.78f;
    place_names(frame);
}
