/* chunk_lines.c - the line numbers of chunks. Lines end with LF, as editors and grep count them; chunks come in
 * ascending order, so two cursors pass over the text once each. */
#include "chunk_internal.h"

#include <string.h>

static size_t advance(const char *text, size_t from, size_t to, size_t line)
{
    while (from < to) {
        const char *feed = memchr(text + from, '\n', to - from);
        if (!feed)
            break;
        line++;
        from = (size_t)(feed - text) + 1;
    }
    return line;
}

static uint32_t as_line(size_t line)
{
    return line < UINT32_MAX ? (uint32_t)line + 1 : UINT32_MAX;
}

void sx_chunk_lines(sx_chunker *chunker, sx_chunk *chunk)
{
    size_t start = (size_t)chunk->start, last = (size_t)chunk->end - 1;
    chunker->line_start_number = advance(chunker->text, chunker->line_start, start, chunker->line_start_number);
    chunker->line_start = start;
    chunker->line_end_number = advance(chunker->text, chunker->line_end, last, chunker->line_end_number);
    chunker->line_end = last;
    chunk->start_line = as_line(chunker->line_start_number);
    chunk->end_line = as_line(chunker->line_end_number);
}
