/* chunk_units.c - so many sentences or paragraphs at a time. A group that the model does not take is cut after fewer of
 * them, and a single one that it does not take is split recursively. */
#include "chunk_internal.h"

#include "../base/error.h"

#include <stdlib.h>
#include <string.h>

/* Beginnings of the units in hand: starts[0..count), then where the last one ends. */
typedef struct unit_window {
    size_t *starts;
    size_t count, capacity;
    sx_unit_walk walk;
} unit_window;

/* A section or block of the document's own structure begins at offset; offsets come in ascending order. */
static bool structure_begins(const sx_chunker *chunker, sx_unit_walk *walk, size_t offset)
{
    while (walk->block < chunker->block_count && chunker->block_starts[walk->block] < offset)
        walk->block++;
    while (walk->section < chunker->section_count && chunker->sections[walk->section].start < offset)
        walk->section++;
    return (walk->block < chunker->block_count && chunker->block_starts[walk->block] == offset) ||
           (walk->section < chunker->section_count && chunker->sections[walk->section].start == offset) ||
           (walk->section && chunker->sections[walk->section - 1].body == offset);
}

size_t sx_unit_next(const sx_chunker *chunker, sx_unit_walk *walk, bool sentences, size_t start)
{
    const char *text = chunker->text;
    size_t end = chunker->length, bytes;
    for (size_t at = start; at < end;) {
        size_t blank = sx_blank_at(text, end, at);
        if (!blank && (unsigned char)text[at] < 0x80) {
            at++; /* inside a word nothing begins */
            continue;
        }
        int32_t code_point = sx_code_point_at(text, end, at, &bytes);
        at += bytes;
        if (blank)
            at = sx_skip_blank(text, end, at);
        else if (!sentences || !(sx_is_ideographic_stop(code_point) || sx_is_closing(code_point)) || sx_blank_at(text, end, at))
            continue;
        if (at >= end)
            break;
        sx_cut cut = sx_cut_at(text, start, end, at);
        if (cut == SX_CUT_PARAGRAPH || structure_begins(chunker, walk, at))
            return at;
        if (sentences && (cut == SX_CUT_SENTENCE || cut == SX_CUT_ITEM))
            return at;
        if (sentences && cut == SX_CUT_LINE && sx_sentence_begins(text, start, end, at))
            return at;
    }
    return end;
}

static bool append(unit_window *window, size_t offset)
{
    if (!sx_reserve((void **)&window->starts, &window->capacity, window->count + 2, sizeof *window->starts))
        return false;
    window->starts[++window->count] = offset;
    return true;
}

/* The last whole unit that ends before the ceiling, or as much of one as fits. */
static size_t unit_cut(const sx_chunker *chunker, size_t start, size_t fresh, size_t ceiling, size_t hard_end,
                       const void *context)
{
    static const sx_recursive_context plain = {0};
    const unit_window *window = context;
    /* Blanks after a unit cost nothing. */
    size_t reach = sx_skip_blank(chunker->text, hard_end, ceiling);
    for (size_t i = window->count; i > 0 && window->starts[i] > fresh; i--)
        if (window->starts[i] <= reach)
            return window->starts[i];
    return start < fresh ? 0 : sx_recursive_end(chunker, start, fresh, ceiling, hard_end, &plain);
}

/* Forgets the first `count` beginnings. */
static void drop(unit_window *window, size_t count)
{
    memmove(window->starts, window->starts + count, (window->count + 1 - count) * sizeof *window->starts);
    window->count -= count;
}

sx_status sx_chunk_units(sx_chunker *chunker)
{
    const char *text = chunker->text;
    size_t end = chunker->length, size = chunker->plan->size, overlap = chunker->plan->overlap;
    bool sentences = chunker->method == SX_CHUNK_SENTENCES;
    unit_window window = {0};
    sx_status status = SX_OK;
    if (!sx_reserve((void **)&window.starts, &window.capacity, 2, sizeof *window.starts))
        return sx_fail_nomem(chunker->error, sizeof *window.starts);
    window.starts[0] = sx_skip_blank(text, end, 0);
    size_t fresh = window.starts[0];
    while (sx_skip_blank(text, end, fresh) < end) {
        while (window.count < size && window.starts[window.count] < end)
            if (!append(&window, sx_unit_next(chunker, &window.walk, sentences, window.starts[window.count]))) {
                status = sx_fail_nomem(chunker->error, window.count * sizeof *window.starts);
                goto out;
            }
        size_t start = window.starts[0], cut;
        status = sx_chunk_place(chunker, &start, fresh, window.starts[window.count], unit_cut, &window, &cut);
        if (status != SX_OK)
            goto out;
        fresh = sx_skip_blank(text, end, cut);
        size_t at = 0, used = 0;
        while (at < window.count && window.starts[at] < fresh)
            at++;
        if (window.starts[at] != fresh) { /* cut inside a unit: the rest of it is the next one, and nothing is repeated */
            drop(&window, at - 1);
            window.starts[0] = fresh;
            continue;
        }
        while (window.starts[used] < start)
            used++;
        size_t back = at > overlap ? at - overlap : 0;
        drop(&window, back > used ? back : used + 1);
    }
out:
    free(window.starts);
    return status;
}
