/* stroke_font.h - letters made of lines, so that a picture needs no font file. */
#ifndef SX_EXPLORE_STROKE_FONT_H
#define SX_EXPLORE_STROKE_FONT_H

#include <stddef.h>
#include <stdint.h>

/* A letter is SX_STROKE_HEIGHT high from the descender to the top of capitals; its strokes are given to `line`, one straight
 * piece after another, with y going up from the baseline. Returns how far the next letter stands. Letters with accents lose them;
 * what the font has not is a box. */
enum { SX_STROKE_HEIGHT = 22, SX_STROKE_BASELINE = 6 };
typedef void (*sx_stroke_line)(void *user, float x0, float y0, float x1, float y1);
float sx_stroke_letter(uint32_t code, sx_stroke_line line, void *user);

/* The width of a text, in the letters' units. */
float sx_stroke_width(const char *text, size_t length);

#endif
