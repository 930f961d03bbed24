/* reader_plain.c - lines and blocks as all readers use them; plain text and source code: paragraphs end at blank lines. */
#include "reader.h"

#include <string.h>

/* "\r" alone ends lines of old Macintosh files too. Each end is looked for no further than twice the line's length, so that a file
 * that has only one kind costs no more. */
static size_t line_end(const char *text, size_t length, size_t at)
{
    for (size_t window = 256;; window *= 2) {
        size_t span = length - at < window ? length - at : window;
        const char *newline = memchr(text + at, '\n', span);
        size_t before = newline ? (size_t)(newline - text) - at : span;
        const char *lone = memchr(text + at, '\r', before);
        if (lone)
            return (size_t)(lone - text);
        if (newline || span == length - at)
            return newline ? (size_t)(newline - text) : length;
    }
}

bool sx_line_at(const char *text, size_t length, size_t at, sx_line *line)
{
    if (at >= length)
        return false;
    size_t end = line_end(text, length, at);
    line->start = at;
    line->end = end;
    line->next = end;
    if (line->next < length && text[line->next] == '\r')
        line->next++;
    if (line->next < length && text[line->next] == '\n' && (line->next == end || text[end] == '\r'))
        line->next++;
    size_t content = at == 0 && length >= 3 && !memcmp(text, "\xef\xbb\xbf", 3) ? 3 : at;
    size_t indent = 0;
    for (; content < end && (text[content] == ' ' || text[content] == '\t'); content++)
        indent = text[content] == '\t' ? (indent / 4 + 1) * 4 : indent + 1;
    line->indent = indent;
    line->content = content;
    size_t rest = content;
    while (rest < end && (text[rest] == ' ' || text[rest] == '\t' || text[rest] == '\f' || text[rest] == '\v'))
        rest++;
    line->blank = rest == end;
    return true;
}

char *sx_words_copy(sx_arena *arena, const char *text, size_t length)
{
    char *copy = sx_arena_alloc(arena, length + 1);
    if (!copy)
        return NULL;
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        bool space = (unsigned char)text[i] <= ' ';
        if (!space)
            copy[used++] = text[i];
        else if (used && copy[used - 1] != ' ')
            copy[used++] = ' ';
    }
    if (used && copy[used - 1] == ' ')
        used--;
    copy[used] = '\0';
    return copy;
}

void sx_blocks_add(sx_block_list *list, sx_block_kind kind, unsigned level, size_t start, size_t end, const char *heading,
                   size_t heading_length)
{
    if (list->failed || start >= end)
        return;
    if (!sx_reserve((void **)&list->blocks, &list->capacity, list->count + 1, sizeof *list->blocks)) {
        list->failed = true;
        return;
    }
    char *words = NULL;
    if (heading) {
        words = sx_words_copy(list->arena, heading, heading_length);
        list->failed = !words;
    }
    list->blocks[list->count++] =
        (sx_block){.kind = kind, .level = (uint8_t)(level > 255 ? 255 : level), .start = start, .end = end, .heading = words};
}

void sx_open_block_close(sx_open_block *block, sx_block_list *list)
{
    if (block->open)
        sx_blocks_add(list, block->kind, 0, block->start, block->end, NULL, 0);
    block->open = false;
}

void sx_open_block_extend(sx_open_block *block, sx_block_list *list, sx_block_kind kind, const sx_line *line)
{
    if (block->open && block->kind != kind)
        sx_open_block_close(block, list);
    if (!block->open)
        *block = (sx_open_block){.kind = kind, .start = line->start, .open = true};
    block->end = line->end;
}

void sx_document_set_language(sx_document *document, const char *tag, size_t length)
{
    char primary[9];
    size_t used = 0;
    for (; used < length && ((tag[used] | 0x20) >= 'a' && (tag[used] | 0x20) <= 'z'); used++) {
        if (used == sizeof primary - 1)
            return;
        primary[used] = (char)(tag[used] | 0x20);
    }
    if (used < 2 || (used < length && tag[used] != '-' && tag[used] != '_'))
        return;
    const char *copy = sx_arena_strndup(&document->arena, primary, used);
    if (copy)
        document->language = copy;
}

sx_status sx_read_plain(sx_document *document, sx_block_list *blocks, sx_error *error)
{
    sx_block_kind kind = document->language[0] ? SX_BLOCK_CODE : SX_BLOCK_PARAGRAPH;
    sx_open_block block = {0};
    sx_line line;
    for (size_t at = 0; sx_line_at(document->text, document->length, at, &line); at = line.next) {
        if (line.blank)
            sx_open_block_close(&block, blocks);
        else
            sx_open_block_extend(&block, blocks, kind, &line);
    }
    sx_open_block_close(&block, blocks);
    return SX_OK;
}
