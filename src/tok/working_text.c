/* working_text.c - bytes with their origins, in three growing arrays, after the NormalizedString of the tokenizers library.
 *
 * Growth stops at what the 32-bit origins and pieces can say; like no memory it sets a mark that the caller looks at once, so
 * that a normaliser need not check after every character. */
#include "working_text.h"

#include "../base/code_point.h"
#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM = 256 };

void sx_working_text_clear(sx_working_text *text)
{
    free(text->bytes);
    free(text->starts);
    free(text->ends);
    free(text->pieces);
    *text = (sx_working_text){0};
}

void sx_working_text_reset(sx_working_text *text)
{
    text->length = 0;
    text->piece_count = 0;
    text->no_memory = false;
}

/* Each array is grown on its own; the room counts only when all three have it. */
static bool grow(sx_working_text *text, size_t need)
{
    size_t room = text->room < FIRST_ROOM ? FIRST_ROOM : text->room + text->room / 2;
    if (room < need)
        room = need;
    char *bytes = sx_realloc_array(text->bytes, room, 1);
    if (bytes)
        text->bytes = bytes;
    uint32_t *starts = bytes ? sx_realloc_array(text->starts, room, sizeof *starts) : NULL;
    if (starts)
        text->starts = starts;
    uint32_t *ends = starts ? sx_realloc_array(text->ends, room, sizeof *ends) : NULL;
    if (!ends)
        return false;
    text->ends = ends;
    text->room = room;
    return true;
}

static bool make_room(sx_working_text *text, size_t more)
{
    if (text->no_memory)
        return false;
    if (text->room - text->length >= more)
        return true;
    if (more > UINT32_MAX - text->length || !grow(text, text->length + more))
        text->no_memory = true;
    return !text->no_memory;
}

void sx_working_text_put(sx_working_text *text, const char *bytes, size_t length, uint32_t start, uint32_t end)
{
    if (!length || !make_room(text, length))
        return;
    memcpy(text->bytes + text->length, bytes, length);
    for (size_t i = text->length; i < text->length + length; i++) {
        text->starts[i] = start;
        text->ends[i] = end;
    }
    text->length += length;
}

void sx_working_text_put_code(sx_working_text *text, uint32_t code, uint32_t start, uint32_t end)
{
    char bytes[4];
    sx_working_text_put(text, bytes, sx_utf8_encode(code, bytes), start, end);
}

void sx_working_text_put_original(sx_working_text *text, const char *original, size_t from, size_t to)
{
    if (to > UINT32_MAX) {
        text->no_memory = true;
        return;
    }
    if (from >= to || !make_room(text, to - from))
        return;
    memcpy(text->bytes + text->length, original + from, to - from);
    uint32_t *starts = text->starts + text->length, *ends = text->ends + text->length;
    for (size_t i = 0; i < to - from; i++) {
        starts[i] = (uint32_t)(from + i);
        ends[i] = (uint32_t)(from + i + 1);
    }
    text->length += to - from;
}

void sx_working_text_put_part(sx_working_text *text, const sx_working_text *other, size_t from, size_t to)
{
    if (from >= to || !make_room(text, to - from))
        return;
    memcpy(text->bytes + text->length, other->bytes + from, to - from);
    memcpy(text->starts + text->length, other->starts + from, (to - from) * sizeof *text->starts);
    memcpy(text->ends + text->length, other->ends + from, (to - from) * sizeof *text->ends);
    text->length += to - from;
}

void sx_working_text_put_piece(sx_working_text *text, size_t begin, size_t end)
{
    if (begin >= end || text->no_memory)
        return;
    if (end > UINT32_MAX) {
        text->no_memory = true;
        return;
    }
    void *pieces = text->pieces;
    if (!sx_reserve(&pieces, &text->piece_room, text->piece_count + 1, sizeof *text->pieces))
        text->no_memory = true;
    text->pieces = pieces;
    if (!text->no_memory)
        text->pieces[text->piece_count++] = (sx_piece){(uint32_t)begin, (uint32_t)end};
}
