/* working_text.h - a text on its way from the normaliser to the model: its bytes now, where they came from, and the pieces it
 * is cut into so far.
 *
 * Offsets follow Hugging Face's NormalizedString: every byte knows the bytes of the original it came from, so that whatever was
 * inserted, replaced or removed, a token can say which part of the text it stands for.
 */
#ifndef SX_TOK_WORKING_TEXT_H
#define SX_TOK_WORKING_TEXT_H

#include "sextant.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sx_piece {
    uint32_t begin, end; /* bytes in the working text; empty pieces are left out */
} sx_piece;

/* Zero-initialise; reused from text to text. */
typedef struct sx_working_text {
    char *bytes;
    uint32_t *starts, *ends;   /* of each byte: the bytes [start, end) of the original it came from */
    size_t length, room;       /* bytes; room of the three arrays */
    sx_piece *pieces;          /* in ascending order, not overlapping; what lies between them was removed */
    size_t piece_count, piece_room;
    bool no_memory;            /* set by any operation that found none; the text is then not to be used */
} sx_working_text;

void sx_working_text_clear(sx_working_text *text);
/* Empties it, keeping the memory. */
void sx_working_text_reset(sx_working_text *text);
/* Appends bytes that all came from [start, end) of the original (what was inserted has start == end). */
void sx_working_text_put(sx_working_text *text, const char *bytes, size_t length, uint32_t start, uint32_t end);
void sx_working_text_put_code(sx_working_text *text, uint32_t code, uint32_t start, uint32_t end);
/* Appends the original's bytes [from, to) as they are, each coming from itself. */
void sx_working_text_put_original(sx_working_text *text, const char *original, size_t from, size_t to);
/* Appends bytes [from, to) of another working text with their origins. */
void sx_working_text_put_part(sx_working_text *text, const sx_working_text *other, size_t from, size_t to);
/* Appends a piece; an empty one is left out. */
void sx_working_text_put_piece(sx_working_text *text, size_t begin, size_t end);

#endif
