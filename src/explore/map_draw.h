/* map_draw.h - the kinds of files a map is drawn to. */
#ifndef SX_EXPLORE_MAP_DRAW_H
#define SX_EXPLORE_MAP_DRAW_H

#include "../base/buffer.h"
#include "map_frame.h"

/* Each appends a whole file; false when memory ran out. */
bool sx_map_write_svg(const sx_map_frame *frame, sx_buffer *out);
bool sx_map_write_html(const sx_map_frame *frame, sx_buffer *out);
bool sx_map_write_json(const sx_map *map, sx_buffer *out);
sx_status sx_map_write_png(const sx_map_frame *frame, sx_buffer *out, sx_error *error);

#endif
