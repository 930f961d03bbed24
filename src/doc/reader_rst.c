/* reader_rst.c - the block structure of reStructuredText, line by line: sections, directives, literal blocks, lists, tables.
 *
 * After the reStructuredText Markup Specification of docutils: a section's level is the order in which its adornment style
 * (character, with or without overline) first appears; explicit markup begins with ".. " and owns the indented lines after it;
 * "::" at the end of a paragraph makes the indented lines after it literal. Nothing is rendered, and the text stays the file's
 * bytes. */
#include "reader.h"

#include "../base/error.h"

#include <string.h>

enum { MOST_STYLES = 64, SHORTEST_ADORNMENT = 4, MOST_TABLE_GAPS = 500 };

typedef struct scanner {
    sx_document *document;
    sx_block_list *blocks;
    sx_open_block block;
    const char *text;
    size_t length;
    char style[MOST_STYLES]; /* adornment characters in order of appearance */
    bool overlined[MOST_STYLES];
    size_t styles;
    bool owned; /* inside a directive or literal block: lines indented beyond owner_indent belong to it */
    size_t owner_indent;
    bool literal_next; /* the last paragraph ended with "::" */
    size_t paragraph_indent;
    bool in_paragraph; /* the previous line belongs to the open paragraph */
    sx_buffer words;
} scanner;

static void close_block(scanner *s)
{
    sx_open_block_close(&s->block, s->blocks);
    s->in_paragraph = false;
}

static size_t trimmed_end(const scanner *s, const sx_line *line)
{
    size_t end = line->end;
    while (end > line->content && (s->text[end - 1] == ' ' || s->text[end - 1] == '\t'))
        end--;
    return end;
}

static size_t code_points(const char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

static bool is_punctuation(char byte)
{
    return byte >= 0x21 && byte <= 0x7e && !(byte >= '0' && byte <= '9') && !((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z');
}

/* The length of an unindented line of one punctuation character, else 0. */
static size_t adornment(const scanner *s, const sx_line *line)
{
    if (line->blank || line->indent)
        return 0;
    size_t end = trimmed_end(s, line);
    char mark = s->text[line->content];
    if (!is_punctuation(mark))
        return 0;
    for (size_t at = line->content; at < end; at++)
        if (s->text[at] != mark)
            return 0;
    return end - line->content;
}

static unsigned level_of(scanner *s, char mark, bool overlined)
{
    for (size_t i = 0; i < s->styles; i++)
        if (s->style[i] == mark && s->overlined[i] == overlined)
            return (unsigned)i + 1;
    if (s->styles < MOST_STYLES) {
        s->style[s->styles] = mark;
        s->overlined[s->styles++] = overlined;
    }
    return (unsigned)s->styles;
}

static void add_heading(scanner *s, size_t start, const sx_line *title, const sx_line *under, bool overlined)
{
    sx_buffer_reset(&s->words);
    sx_rst_words(s->text + title->content, trimmed_end(s, title) - title->content, &s->words);
    close_block(s);
    s->owned = s->literal_next = false;
    sx_blocks_add(s->blocks, SX_BLOCK_HEADING, level_of(s, s->text[under->content], overlined), start, under->end,
                  s->words.data ? s->words.data : "", s->words.length);
    s->blocks->failed = s->blocks->failed || s->words.failed;
}

/* A section title that begins with this line: an overline, or the title itself. *next is where the text goes on. */
static bool take_heading(scanner *s, const sx_line *line, size_t *next)
{
    sx_line second, third;
    if (!sx_line_at(s->text, s->length, line->next, &second))
        return false;
    size_t over = adornment(s, line);
    if (over && !second.blank && sx_line_at(s->text, s->length, second.next, &third) &&
        adornment(s, &third) >= SHORTEST_ADORNMENT && over >= SHORTEST_ADORNMENT &&
        s->text[third.content] == s->text[line->content] && !adornment(s, &second)) {
        add_heading(s, line->start, &second, &third, true);
        *next = third.next;
        return true;
    }
    size_t under = adornment(s, &second);
    if (line->indent || over || !under || s->in_paragraph)
        return false;
    size_t width = code_points(s->text + line->content, trimmed_end(s, line) - line->content);
    if (under < SHORTEST_ADORNMENT && under < width)
        return false;
    add_heading(s, line->start, line, &second, false);
    *next = second.next;
    return true;
}

/* ---- Tables ---- */

static bool is_grid_border(const scanner *s, const sx_line *line)
{
    size_t end = trimmed_end(s, line);
    if (end - line->content < 3 || s->text[line->content] != '+' || s->text[end - 1] != '+')
        return false;
    for (size_t at = line->content; at < end; at++)
        if (s->text[at] != '+' && s->text[at] != '-' && s->text[at] != '=')
            return false;
    return true;
}

static bool is_simple_border(const scanner *s, const sx_line *line)
{
    size_t end = trimmed_end(s, line), gaps = 0;
    if (line->blank || s->text[line->content] != '=')
        return false;
    for (size_t at = line->content; at < end; at++) {
        if (s->text[at] != '=' && s->text[at] != ' ')
            return false;
        gaps += s->text[at] == ' ';
    }
    return gaps > 0;
}

/* A table from this line on; *next is the line after it. Simple tables may hold blank lines, so their end is a border with a
 * blank line after it; where none comes, the table is what comes before the first blank line. */
static bool take_table(scanner *s, const sx_line *first, size_t *next)
{
    bool grid = is_grid_border(s, first), closed = false;
    if (!grid && !is_simple_border(s, first))
        return false;
    sx_line line = *first, following;
    size_t end = first->end, borders = 1, lines = 0, end_at_blank = 0, next_at_blank = 0;
    *next = first->next;
    while (!closed && sx_line_at(s->text, s->length, line.next, &line)) {
        if (line.blank) {
            if (!end_at_blank) {
                end_at_blank = end;
                next_at_blank = *next;
            }
            if (grid || borders == 1 || ++lines > MOST_TABLE_GAPS)
                break;
            continue;
        }
        end = line.end;
        *next = line.next;
        if (!grid && is_simple_border(s, &line)) {
            borders++;
            closed = !sx_line_at(s->text, s->length, line.next, &following) || following.blank;
        }
    }
    if (!closed && end_at_blank) {
        end = end_at_blank;
        *next = next_at_blank;
    }
    close_block(s);
    sx_blocks_add(s->blocks, SX_BLOCK_TABLE, 0, first->start, end, NULL, 0);
    return true;
}

/* ---- Explicit markup ---- */

static bool name_in(const char *name, size_t length, const char *list)
{
    while (*list) {
        size_t span = strcspn(list, " ");
        if (span == length && !memcmp(list, name, length))
            return true;
        list += span + (list[span] == ' ');
    }
    return false;
}

static sx_block_kind kind_of_directive(const char *name, size_t length)
{
    if (name_in(name, length,
                "code code-block sourcecode testcode testoutput testsetup parsed-literal literalinclude math doctest prompt"))
        return SX_BLOCK_CODE;
    if (name_in(name, length, "table list-table csv-table"))
        return SX_BLOCK_TABLE;
    if (name_in(name, length,
                "note warning tip hint important attention caution danger error admonition seealso versionadded versionchanged "
                "deprecated topic sidebar epigraph highlights rubric container"))
        return SX_BLOCK_PARAGRAPH;
    return SX_BLOCK_OTHER;
}

static bool begins_explicit(const scanner *s, const sx_line *line)
{
    const char *at = s->text + line->content;
    size_t left = line->end - line->content;
    return left >= 2 && at[0] == '.' && at[1] == '.' && (left == 2 || at[2] == ' ' || at[2] == '\t');
}

static void take_explicit(scanner *s, const sx_line *line)
{
    size_t name = line->content + 2, end = line->end;
    while (name < end && (s->text[name] == ' ' || s->text[name] == '\t'))
        name++;
    size_t length = 0;
    while (name + length < end && s->text[name + length] != ':' && s->text[name + length] != ' ')
        length++;
    bool directive = length && name + length + 1 < end && s->text[name + length] == ':' && s->text[name + length + 1] == ':';
    close_block(s);
    sx_open_block_extend(&s->block, s->blocks, directive ? kind_of_directive(s->text + name, length) : SX_BLOCK_OTHER, line);
    s->owned = true;
    s->owner_indent = line->indent;
}

/* ---- Lists and paragraphs ---- */

static bool begins_item(const scanner *s, const sx_line *line)
{
    const char *at = s->text + line->content, *end = s->text + line->end;
    if (*at == '-' || *at == '*' || *at == '+')
        return at + 1 == end || at[1] == ' ' || at[1] == '\t';
    at += *at == '(';
    const char *number = at;
    if (*at == '#')
        at++;
    else
        while (at < end && *at >= '0' && *at <= '9')
            at++;
    if (at == number && at < end && (*at | 0x20) >= 'a' && (*at | 0x20) <= 'z')
        at++;
    return at > number && at + 1 < end && (*at == '.' || *at == ')') && at[1] == ' ';
}

static bool begins_field(const scanner *s, const sx_line *line)
{
    const char *at = s->text + line->content;
    size_t left = line->end - line->content;
    if (left < 3 || at[0] != ':' || at[1] == ':' || at[1] == ' ')
        return false;
    const char *close = memchr(at + 1, ':', left - 1);
    return close && (close + 1 == at + left || close[1] == ' ');
}

static bool ends_with_colons(const scanner *s, const sx_line *line)
{
    size_t end = trimmed_end(s, line);
    return end - line->content >= 2 && s->text[end - 1] == ':' && s->text[end - 2] == ':';
}

static void take_words(scanner *s, const sx_line *line)
{
    const char *at = s->text + line->content;
    size_t left = line->end - line->content;
    bool in_list = s->block.open && s->block.kind == SX_BLOCK_LIST;
    if (!s->in_paragraph && begins_item(s, line)) {
        if (!in_list)
            close_block(s);
        sx_open_block_extend(&s->block, s->blocks, SX_BLOCK_LIST, line);
    } else if (in_list && (s->in_paragraph || line->indent > s->paragraph_indent)) {
        sx_open_block_extend(&s->block, s->blocks, SX_BLOCK_LIST, line);
        s->literal_next = ends_with_colons(s, line);
        s->in_paragraph = true;
        return;
    } else if (!s->in_paragraph && left >= 4 && !memcmp(at, ">>> ", 4)) {
        close_block(s);
        sx_open_block_extend(&s->block, s->blocks, SX_BLOCK_CODE, line);
    } else if (!s->in_paragraph && begins_field(s, line)) {
        close_block(s);
        sx_open_block_extend(&s->block, s->blocks, SX_BLOCK_OTHER, line);
    } else {
        if (!s->in_paragraph)
            close_block(s);
        sx_open_block_extend(&s->block, s->blocks, s->in_paragraph ? s->block.kind : SX_BLOCK_PARAGRAPH, line);
    }
    if (!s->in_paragraph)
        s->paragraph_indent = line->indent;
    s->in_paragraph = true;
    s->literal_next = ends_with_colons(s, line) && s->block.kind != SX_BLOCK_CODE;
}

static void take_blank(scanner *s)
{
    s->in_paragraph = false;
    if (s->block.open && !s->owned && s->block.kind != SX_BLOCK_LIST)
        close_block(s);
}

/* Takes one line or more; returns where the next one begins. */
static size_t take_line(scanner *s, const sx_line *line)
{
    size_t next = line->next;
    if (line->blank) {
        take_blank(s);
        return next;
    }
    if (s->literal_next && !s->in_paragraph) {
        s->literal_next = false;
        if (line->indent > s->paragraph_indent) {
            close_block(s);
            sx_open_block_extend(&s->block, s->blocks, SX_BLOCK_CODE, line);
            s->owned = true;
            s->owner_indent = s->paragraph_indent;
            return next;
        }
    }
    if (s->owned && line->indent > s->owner_indent) {
        sx_open_block_extend(&s->block, s->blocks, s->block.kind, line);
        return next;
    }
    if (s->owned) {
        s->owned = false;
        close_block(s);
    }
    if (!s->in_paragraph && take_heading(s, line, &next))
        return next;
    if (begins_explicit(s, line) && (!s->in_paragraph || !line->indent)) {
        take_explicit(s, line);
    } else if (!s->in_paragraph && take_table(s, line, &next)) {
        return next;
    } else if (!s->in_paragraph && adornment(s, line) >= SHORTEST_ADORNMENT) {
        close_block(s);
        sx_blocks_add(s->blocks, SX_BLOCK_OTHER, 0, line->start, line->end, NULL, 0);
    } else {
        take_words(s, line);
    }
    return next;
}

sx_status sx_read_rst(sx_document *document, sx_block_list *blocks, sx_error *error)
{
    scanner s = {.document = document, .blocks = blocks, .text = document->text, .length = document->length};
    sx_line line;
    for (size_t at = 0; sx_line_at(s.text, s.length, at, &line);)
        at = take_line(&s, &line);
    close_block(&s);
    sx_buffer_clear(&s.words);
    return SX_OK;
}
