/* map_html.c - a map as a page that needs nothing else: the data as JSON inside a script element, the style and the program of
 * page/ beside it. The page may fetch nothing (its Content-Security-Policy says so), and texts get into it as text only. */
#include "map_draw.h"
#include "map_files.h"

#include "../base/json_writer.h"

#include <string.h>

static const char head[] = "<!DOCTYPE html>\n"
                           "<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                           "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
                           "script-src 'unsafe-inline'\">\n"
                           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
static const char start[] = "const given = JSON.parse(document.getElementById(\"data\").textContent);\n"
                            "showMap(given.map, { title: given.title, subtitle: given.subtitle });\n";

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

static void write_file(sx_buffer *out, const char *name)
{
    for (size_t i = 0; i < sx_map_files_count; i++)
        if (strcmp(sx_map_files[i].name, name) == 0)
            sx_buffer_append(out, sx_map_files[i].data, sx_map_files[i].length);
}

static void write_data(sx_buffer *out, const sx_map_frame *frame)
{
    sx_buffer json = {.maximum = out->maximum};
    sx_buffer_append_string(&json, "{\"title\":");
    sx_json_write_string(&json, frame->title, strlen(frame->title));
    sx_buffer_append_string(&json, ",\"subtitle\":");
    sx_json_write_string(&json, frame->subtitle, strlen(frame->subtitle));
    sx_buffer_append_string(&json, ",\"map\":");
    if (!sx_map_write_json(frame->map, &json) || !sx_buffer_append_byte(&json, '}') || !write_safely(out, &json))
        out->failed = true;
    sx_buffer_clear(&json);
}

bool sx_map_write_html(const sx_map_frame *frame, sx_buffer *out)
{
    sx_buffer_append_string(out, head);
    sx_buffer_append_string(out, "<title>");
    write_title(out, frame->title);
    sx_buffer_append_string(out, "</title>\n<style>\n");
    write_file(out, "map.css");
    sx_buffer_append_string(out, "</style></head>\n<body><noscript>This map needs JavaScript.</noscript>\n"
                                 "<script type=\"application/json\" id=\"data\">");
    write_data(out, frame);
    sx_buffer_append_string(out, "</script>\n<script>\n");
    write_file(out, "map.js");
    sx_buffer_append_string(out, start);
    sx_buffer_append_string(out, "</script>\n</body></html>\n");
    return !out->failed;
}
