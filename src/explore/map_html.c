/* map_html.c - a map as a page that needs nothing else: the data as JSON inside a script element, the program of map_page.c
 * beside it. The page may fetch nothing (its Content-Security-Policy says so), and texts get into it as text only. */
#include "map_draw.h"
#include "map_page.h"

#include <string.h>

/* JSON strings may hold "</script>" and "<!--": with every < written as an escape no tag can begin or end in them. */
static bool write_safely(sx_buffer *out, const sx_buffer *json)
{
    const char *at = json->data, *end = json->data + json->length;
    while (at < end) {
        size_t plain = 0;
        while (at + plain < end && at[plain] != '<' && at[plain] != '>' && at[plain] != '&')
            plain++;
        sx_buffer_append(out, at, plain);
        at += plain;
        if (at < end)
            sx_buffer_printf(out, "\\u%04x", (unsigned)*at++);
    }
    return !out->failed;
}

static void write_title(sx_buffer *out, const char *title)
{
    for (; *title; title++)
        if (*title == '<' || *title == '&')
            sx_buffer_append_string(out, *title == '<' ? "&lt;" : "&amp;");
        else
            sx_buffer_append_byte(out, *title);
}

bool sx_map_write_html(const sx_map_frame *frame, sx_buffer *out)
{
    sx_buffer json = {.maximum = out->maximum};
    sx_buffer_append_string(out, sx_map_page_head);
    sx_buffer_append_string(out, "<title>");
    write_title(out, frame->title);
    sx_buffer_append_string(out, "</title>\n");
    sx_buffer_append_string(out, sx_map_page_style);
    sx_buffer_append_string(out, sx_map_page_body);
    sx_buffer_append_string(out, "<h1>");
    write_title(out, frame->title);
    sx_buffer_append_string(out, "</h1><p>");
    write_title(out, frame->subtitle);
    sx_buffer_append_string(out, sx_map_page_controls);
    sx_buffer_append_string(out, "<script type=\"application/json\" id=\"data\">");
    bool ok = sx_map_write_json(frame->map, &json) && write_safely(out, &json);
    sx_buffer_append_string(out, "</script>\n");
    sx_buffer_append_string(out, sx_map_page_script);
    sx_buffer_clear(&json);
    return ok && !out->failed;
}
