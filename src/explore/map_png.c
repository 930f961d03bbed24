/* map_png.c - a map as PNG: discs and strokes with soft edges on a plain ground, written by libpng. */
#include "map_draw.h"
#include "stroke_font.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../text/utf8.h"

#include <math.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

typedef struct canvas {
    unsigned char *pixels; /* 3 bytes each */
    int width, height;
} canvas;

static void blend(canvas *on, int x, int y, sx_color color, float share)
{
    unsigned char *pixel = on->pixels + ((size_t)y * (size_t)on->width + (size_t)x) * 3;
    const unsigned char wanted[3] = {color.red, color.green, color.blue};
    for (int c = 0; c < 3; c++)
        pixel[c] = (unsigned char)((float)pixel[c] + ((float)wanted[c] - (float)pixel[c]) * share + 0.5f);
}

/* All within `radius` of the line from (x0, y0) to (x1, y1); a disc when both are one. */
static void draw_capsule(canvas *on, float x0, float y0, float x1, float y1, float radius, sx_color color, float opacity)
{
    float left = fminf(x0, x1) - radius - 1, right = fmaxf(x0, x1) + radius + 1;
    float top = fminf(y0, y1) - radius - 1, bottom = fmaxf(y0, y1) + radius + 1;
    int first_x = left > 0 ? (int)left : 0, last_x = right < (float)(on->width - 1) ? (int)right : on->width - 1;
    int first_y = top > 0 ? (int)top : 0, last_y = bottom < (float)(on->height - 1) ? (int)bottom : on->height - 1;
    float dx = x1 - x0, dy = y1 - y0, square = dx * dx + dy * dy;
    for (int y = first_y; y <= last_y; y++)
        for (int x = first_x; x <= last_x; x++) {
            float px = (float)x + 0.5f - x0, py = (float)y + 0.5f - y0;
            float along = square > 0 ? (px * dx + py * dy) / square : 0;
            along = along < 0 ? 0 : along > 1 ? 1 : along;
            float away = hypotf(px - along * dx, py - along * dy);
            float share = radius + 0.5f - away;
            if (share > 0)
                blend(on, x, y, color, opacity * (share < 1 ? share : 1));
        }
}

typedef struct writer {
    canvas *on;
    float x, y, scale, radius;
    sx_color color;
} writer;

static void draw_stroke(void *user, float x0, float y0, float x1, float y1)
{
    const writer *with = user;
    draw_capsule(with->on, with->x + x0 * with->scale, with->y - y0 * with->scale, with->x + x1 * with->scale,
                 with->y - y1 * with->scale, with->radius, with->color, 1);
}

/* weight: half the strokes' width, in letters' units. */
static void write_text(canvas *on, const char *text, float x, float y, float size, float weight, sx_color color)
{
    float scale = size / SX_STROKE_HEIGHT;
    writer with = {on, x, y, scale, weight * scale, color};
    size_t length = strlen(text);
    for (size_t at = 0; at < length;) {
        sx_code_point next = sx_utf8_decode(text + at, length - at);
        with.x += sx_stroke_letter(next.code, draw_stroke, &with) * scale;
        at += next.length;
    }
}

static void draw_points(const sx_map_frame *frame, canvas *on)
{
    const sx_map *map = frame->map;
    for (size_t i = 0; i < map->count; i++) {
        const sx_map_point *point = &map->points[i];
        float x = frame->left + point->x * frame->scale, y = frame->top + point->y * frame->scale;
        draw_capsule(on, x, y, x, y, frame->radius, sx_map_color(point->group, frame->dark), frame->opacity);
    }
}

static void draw_words(const sx_map_frame *frame, canvas *on)
{
    const sx_map_theme *theme = &frame->theme;
    char name[128];
    write_text(on, frame->title, frame->margin, frame->margin + frame->title_size * 0.5f, frame->title_size, 1.35f, theme->text);
    write_text(on, frame->subtitle, frame->margin, frame->margin + frame->title_size * 1.7f, frame->text_size, 1.0f,
               theme->faint);
    for (uint32_t g = 0; g < frame->legend_rows; g++) {
        float y = frame->legend_y + (float)g * frame->legend_step, middle = y - frame->text_size * 0.33f;
        sx_map_short_name(&frame->map->groups[g], SX_MAP_LEGEND_LETTERS, name);
        draw_capsule(on, frame->legend_x, middle, frame->legend_x, middle, frame->text_size * 0.38f, sx_map_color(g, frame->dark),
                     1);
        write_text(on, name, frame->legend_x + frame->text_size, y, frame->text_size * 0.9f, 1.0f, theme->text);
    }
    for (size_t g = 0; g < frame->map->group_count && g < SX_MAP_NAMES && frame->map->group_count > 1; g++) {
        const sx_map_label *label = &frame->names[g];
        if (!label->shown)
            continue;
        sx_map_short_name(&frame->map->groups[g], SX_MAP_NAME_LETTERS, name);
        float left = label->x - sx_stroke_width(name, strlen(name)) * label->size / SX_STROKE_HEIGHT / 2;
        write_text(on, name, left, label->y, label->size, 4.2f, theme->ground);
        write_text(on, name, left, label->y, label->size, 1.25f, theme->text);
    }
}

/* ---- The file ---- */

static void take_bytes(png_structp png, png_bytep bytes, png_size_t length)
{
    if (!sx_buffer_append(png_get_io_ptr(png), bytes, length))
        png_error(png, "memory");
}

static void flush_nothing(png_structp png)
{
    (void)png;
}

static void say_nothing(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void jump_back(png_structp png, png_const_charp message)
{
    (void)message;
    png_longjmp(png, 1);
}

static bool encode(const canvas *on, sx_buffer *out)
{
    png_infop info = NULL;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, jump_back, say_nothing);
    if (!png)
        return false;
    info = png_create_info_struct(png);
    if (!info || setjmp(png_jmpbuf(png))) {
        png_destroy_write_struct(&png, &info);
        return false;
    }
    png_set_write_fn(png, out, take_bytes, flush_nothing);
    png_set_IHDR(png, info, (png_uint_32)on->width, (png_uint_32)on->height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int y = 0; y < on->height; y++)
        png_write_row(png, on->pixels + (size_t)y * (size_t)on->width * 3);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return true;
}

sx_status sx_map_write_png(const sx_map_frame *frame, sx_buffer *out, sx_error *error)
{
    canvas on = {.width = (int)frame->width, .height = (int)frame->height};
    size_t pixels = (size_t)on.width * (size_t)on.height;
    on.pixels = sx_calloc(pixels, 3);
    if (!on.pixels)
        return sx_fail_nomem(error, pixels * 3);
    for (size_t i = 0; i < pixels; i++)
        memcpy(on.pixels + i * 3, (unsigned char[]){frame->theme.ground.red, frame->theme.ground.green, frame->theme.ground.blue},
               3);
    draw_points(frame, &on);
    draw_words(frame, &on);
    bool ok = encode(&on, out);
    free(on.pixels);
    return ok ? SX_OK : sx_fail_nomem(error, pixels * 3);
}
