/* map_frame.h - what the drawings of a map share: colours, where things stand, what is written. */
#ifndef SX_EXPLORE_MAP_FRAME_H
#define SX_EXPLORE_MAP_FRAME_H

#include "sextant.h"

#include <stdbool.h>

typedef struct sx_color {
    unsigned char red, green, blue;
} sx_color;
/* Of a group, told apart from its neighbours in number, on a light or a dark ground. */
sx_color sx_map_color(uint32_t group, bool dark);

typedef struct sx_map_theme {
    sx_color ground, text, faint;
} sx_map_theme;
sx_map_theme sx_map_theme_of(bool dark);

/* A text's place: its middle for names, its left end for others; y is the baseline. */
typedef struct sx_map_label {
    float x, y, size;
    bool shown;
} sx_map_label;

enum { SX_MAP_NAMES = 40 };
typedef struct sx_map_frame {
    const sx_map *map;
    sx_map_theme theme;
    bool dark;
    float width, height;    /* of the picture, in pixels */
    float left, top, scale; /* a point is at left + x * scale, top + y * scale */
    float radius, opacity;  /* of points */
    const char *title;
    char subtitle[256];
    float margin, title_size, text_size;
    sx_map_label names[SX_MAP_NAMES];      /* of the first groups, moved so that none covers another */
    float legend_x, legend_y, legend_step; /* 0 rows: there is none */
    uint32_t legend_rows;
} sx_map_frame;
void sx_map_frame_make(const sx_map *map, const sx_draw_options *options, sx_map_frame *frame);
/* Of the group's name, shortened to `most` characters with "..." at its end. */
void sx_map_short_name(const sx_map_group *group, size_t most, char name[128]);
enum { SX_MAP_NAME_LETTERS = 34, SX_MAP_LEGEND_LETTERS = 30 };

#endif
