/* map_draw.c - sx_map_draw: a map as a file of the kind that is asked for. */
#include "map_draw.h"

#include "../base/error.h"
#include "../base/options.h"

#include <string.h>

enum { DEFAULT_WIDTH = 1600, DEFAULT_HEIGHT = 1200, LEAST_SIDE = 200, MOST_SIDE = 8000 };

static sx_status read_options(const sx_draw_options *options, sx_draw_options *known, sx_error *error)
{
    sx_status status = sx_options_read(options, known, sizeof *known, "sx_draw_options", error);
    if (status)
        return status;
    known->width = known->width ? known->width : DEFAULT_WIDTH;
    known->height = known->height ? known->height : DEFAULT_HEIGHT;
    if (known->width < LEAST_SIDE || known->width > MOST_SIDE || known->height < LEAST_SIDE || known->height > MOST_SIDE)
        return sx_fail(error, SX_E_INVALID, "sx_draw_options: a picture of %u x %u; sides are %d to %d pixels", known->width,
                       known->height, LEAST_SIDE, MOST_SIDE);
    return SX_OK;
}

sx_status sx_map_draw(const sx_map *map, const char *format, const sx_draw_options *options, char **data, size_t *length,
                      sx_error *error)
{
    sx_draw_options known;
    sx_map_frame frame;
    sx_buffer out = {.maximum = (size_t)1 << 31};
    if (data)
        *data = NULL;
    if (!map || !format || !data || !length)
        return sx_fail(error, SX_E_INVALID, "sx_map_draw: an argument is NULL");
    sx_status status = read_options(options, &known, error);
    if (status)
        return status;
    sx_map_frame_make(map, &known, &frame);
    bool ok = true;
    if (!strcmp(format, "svg"))
        ok = sx_map_write_svg(&frame, &out);
    else if (!strcmp(format, "html"))
        ok = sx_map_write_html(&frame, &out);
    else if (!strcmp(format, "json"))
        ok = sx_map_write_json(map, &out);
    else if (!strcmp(format, "png"))
        status = sx_map_write_png(&frame, &out, error);
    else
        status = sx_fail(error, SX_E_INVALID, "format \"%s\": there are svg, png, html and json", format);
    *length = out.length;
    *data = status || !ok ? NULL : sx_buffer_take(&out);
    sx_buffer_clear(&out);
    return status || *data ? status : sx_fail_nomem(error, *length);
}
