/* map_svg.c - a map as SVG 1.1: circles and words, nothing that runs or is fetched. */
#include "map_draw.h"

#include "../text/utf8.h"

#include <string.h>

/* Text between tags: markup escaped, control characters (which XML has not) as spaces, invalid UTF-8 as U+FFFD. */
static void write_text(sx_buffer *out, const char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        sx_code_point next = sx_utf8_decode(text + at, length - at);
        char bytes[4];
        if (next.code == '&')
            sx_buffer_append_string(out, "&amp;");
        else if (next.code == '<')
            sx_buffer_append_string(out, "&lt;");
        else if (next.code == '>')
            sx_buffer_append_string(out, "&gt;");
        else if (next.code == '"')
            sx_buffer_append_string(out, "&quot;");
        else if (next.code < ' ' || next.code == 0x7f || (next.code & 0xfffe) == 0xfffe)
            sx_buffer_append_byte(out, ' ');
        else
            sx_buffer_append(out, bytes, sx_utf8_encode(next.code, bytes));
        at += next.length;
    }
}

static void write_color(sx_buffer *out, sx_color color)
{
    sx_buffer_printf(out, "#%02x%02x%02x", color.red, color.green, color.blue);
}

/* In tenths of a pixel, whatever the locale. */
static void write_number(sx_buffer *out, float value)
{
    long tenths = (long)(value * 10 + (value < 0 ? -0.5f : 0.5f));
    sx_buffer_printf(out, "%s%ld", tenths < 0 ? "-" : "", (tenths < 0 ? -tenths : tenths) / 10);
    if (tenths % 10)
        sx_buffer_printf(out, ".%ld", (tenths < 0 ? -tenths : tenths) % 10);
}

static void write_place(sx_buffer *out, const char *x_name, float x, const char *y_name, float y)
{
    sx_buffer_printf(out, " %s=\"", x_name);
    write_number(out, x);
    sx_buffer_printf(out, "\" %s=\"", y_name);
    write_number(out, y);
    sx_buffer_append_byte(out, '"');
}

static void write_line(sx_buffer *out, float x, float y, float size, const char *more, const char *text)
{
    sx_buffer_append_string(out, "<text");
    write_place(out, "x", x, "y", y);
    sx_buffer_append_string(out, " font-size=\"");
    write_number(out, size);
    sx_buffer_printf(out, "\"%s>", more);
    write_text(out, text, strlen(text));
    sx_buffer_append_string(out, "</text>\n");
}

static void write_points(const sx_map_frame *frame, sx_buffer *out)
{
    const sx_map *map = frame->map;
    for (uint32_t g = 0; g < map->group_count; g++) {
        sx_buffer_append_string(out, "<g fill=\"");
        write_color(out, sx_map_color(g, frame->dark));
        sx_buffer_append_string(out, "\">\n");
        for (size_t i = 0; i < map->count; i++) {
            const sx_map_point *point = &map->points[i];
            const char *title = point->passage.title && *point->passage.title ? point->passage.title : point->passage.document;
            if (point->group != g)
                continue;
            sx_buffer_append_string(out, "<circle");
            write_place(out, "cx", frame->left + point->x * frame->scale, "cy", frame->top + point->y * frame->scale);
            sx_buffer_append_string(out, " r=\"");
            write_number(out, frame->radius);
            sx_buffer_append_string(out, "\"><title>");
            write_text(out, title, strlen(title));
            sx_buffer_printf(out, ", line %u</title></circle>\n", point->passage.start_line);
        }
        sx_buffer_append_string(out, "</g>\n");
    }
}

static void write_legend(const sx_map_frame *frame, sx_buffer *out)
{
    for (uint32_t g = 0; g < frame->legend_rows; g++) {
        char name[128];
        float y = frame->legend_y + (float)g * frame->legend_step;
        sx_map_short_name(&frame->map->groups[g], SX_MAP_LEGEND_LETTERS, name);
        sx_buffer_append_string(out, "<circle");
        write_place(out, "cx", frame->legend_x, "cy", y - frame->text_size * 0.33f);
        sx_buffer_append_string(out, " r=\"");
        write_number(out, frame->text_size * 0.38f);
        sx_buffer_append_string(out, "\" fill=\"");
        write_color(out, sx_map_color(g, frame->dark));
        sx_buffer_append_string(out, "\"/>\n");
        write_line(out, frame->legend_x + frame->text_size, y, frame->text_size * 0.86f, "", name);
    }
}

bool sx_map_write_svg(const sx_map_frame *frame, sx_buffer *out)
{
    sx_buffer_printf(out,
                     "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\" "
                     "font-family=\"system-ui, sans-serif\" fill=\"",
                     (int)frame->width, (int)frame->height, (int)frame->width, (int)frame->height);
    write_color(out, frame->theme.text);
    sx_buffer_append_string(out, "\">\n<title>");
    write_text(out, frame->title, strlen(frame->title));
    sx_buffer_append_string(out, "</title>\n<rect width=\"100%\" height=\"100%\" fill=\"");
    write_color(out, frame->theme.ground);
    sx_buffer_append_string(out, "\"/>\n<g fill-opacity=\"0.");
    sx_buffer_printf(out, "%02d\">\n", (int)(frame->opacity * 100));
    write_points(frame, out);
    sx_buffer_append_string(out, "</g>\n");
    write_line(out, frame->margin, frame->margin + frame->title_size * 0.5f, frame->title_size, " font-weight=\"600\"",
               frame->title);
    write_line(out, frame->margin, frame->margin + frame->title_size * 1.7f, frame->text_size, " opacity=\"0.65\"",
               frame->subtitle);
    write_legend(frame, out);
    sx_buffer_append_string(
        out, "<g text-anchor=\"middle\" font-weight=\"600\" paint-order=\"stroke\" stroke-linejoin=\"round\" stroke=\"");
    write_color(out, frame->theme.ground);
    sx_buffer_append_string(out, "\" stroke-width=\"");
    write_number(out, frame->text_size * 0.3f);
    sx_buffer_append_string(out, "\">\n");
    for (size_t g = 0; g < frame->map->group_count && g < SX_MAP_NAMES; g++) {
        char name[128];
        sx_map_short_name(&frame->map->groups[g], SX_MAP_NAME_LETTERS, name);
        if (frame->names[g].shown && frame->map->group_count > 1)
            write_line(out, frame->names[g].x, frame->names[g].y, frame->names[g].size, "", name);
    }
    return sx_buffer_append_string(out, "</g>\n</svg>\n");
}
