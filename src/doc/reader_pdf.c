/* reader_pdf.c - the text of PDF: poppler's pdftotext finds the words and where they stand, this file makes paragraphs, headings
 * and pages of them.
 *
 * pdftotext runs as a program of its own rather than as a library: PDF parsers are attacked more than any other reader here, a
 * process has limits, and poppler's licence (GPL) would become that of every program that links Sextant. It is asked for
 * -bbox-layout: pages of flows (columns, in reading order) of blocks of lines of words, with coordinates. That listing is read
 * in a child too, since a broken pdftotext may write anything.
 *
 * Lines much taller than the most common height are headings, ranked by height. A word cut at a line's end is put together
 * when the next line goes on in small letters. What stands at the top or bottom edge of three pages or more and is the same but
 * for its digits is a running title or a page number, and left out. */
#include "child.h"

#include "../base/error.h"
#include "../base/hash.h"
#include "../base/memory.h"
#include "../text/encoding.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HEADING_LEVELS = 4, LONGEST_HEADING = 200, HEIGHTS = 400, PAGES_NAMED = 12, PAGES_MOST = 1 << 20 };

/* A block of the listing; its words lie in layout.words. */
typedef struct layout_block {
    size_t start, end;
    uint32_t page;   /* from 0 */
    uint32_t lines;
    uint32_t height; /* of its tallest line, in quarters of a point */
    bool edge;       /* near the top or bottom of the page */
    uint64_t likeness; /* of the words without digits */
} layout_block;

typedef struct layout {
    sx_document *document;
    const char *at, *end;
    sx_buffer words;
    layout_block *blocks;
    size_t count, capacity;
    size_t pages;
    double page_height;
    uint64_t characters[HEIGHTS]; /* at each height of line */
    bool failed;
} layout;

/* ---- The listing ---- */

/* The tag at or after layout->at: its name and attributes without the brackets. False at the end. */
static bool next_tag(layout *l, const char **tag, size_t *length)
{
    const char *open = memchr(l->at, '<', (size_t)(l->end - l->at));
    const char *close = open ? memchr(open, '>', (size_t)(l->end - open)) : NULL;
    if (!close)
        return false;
    *tag = open + 1;
    *length = (size_t)(close - open - 1);
    l->at = close + 1;
    return true;
}

static bool tag_is(const char *tag, size_t length, const char *name)
{
    size_t size = strlen(name);
    return length >= size && !memcmp(tag, name, size) && (length == size || tag[size] == ' ');
}

/* A number among the attributes; 0 when it is missing or no sensible coordinate. */
static double coordinate(const char *tag, size_t length, const char *name)
{
    char text[32];
    const char *found = memmem(tag, length, name, strlen(name));
    if (!found)
        return 0;
    found += strlen(name);
    size_t left = length - (size_t)(found - tag), used = 0;
    while (used < left && used < sizeof text - 1 && found[used] != '"')
        used++;
    memcpy(text, found, used);
    text[used] = '\0';
    double value = strtod(text, NULL);
    return value > -1e6 && value < 1e6 ? value : 0;
}

static void append_unescaped(sx_buffer *out, const char *text, size_t length)
{
    static const struct {
        const char *name, *byte;
    } entities[] = {{"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&apos;", "'"}, {"&#39;", "'"}};
    for (size_t i = 0; i < length;) {
        size_t step = 1;
        const char *byte = text + i;
        for (size_t e = 0; text[i] == '&' && e < sizeof entities / sizeof *entities; e++) {
            size_t size = strlen(entities[e].name);
            if (length - i >= size && !memcmp(text + i, entities[e].name, size)) {
                byte = entities[e].byte;
                step = size;
                break;
            }
        }
        sx_buffer_append_byte(out, *byte);
        i += step;
    }
}

/* <title>, and <meta name="Author" content="..."/>. */
static void take_about(layout *l, const char *tag, size_t length)
{
    sx_buffer words = {.maximum = 65536};
    if (tag_is(tag, length, "title")) {
        const char *end = memmem(l->at, (size_t)(l->end - l->at), "</title>", 8);
        append_unescaped(&words, l->at, end ? (size_t)(end - l->at) : 0);
        sx_document_set_title(l->document, words.data ? words.data : "", words.length);
    } else if (tag_is(tag, length, "meta")) {
        const char *content = memmem(tag, length, "content=\"", 9);
        size_t left = content ? length - (size_t)(content + 9 - tag) : 0;
        const char *end = content ? memchr(content + 9, '"', left) : NULL;
        if (end)
            append_unescaped(&words, content + 9, (size_t)(end - content - 9));
        if (words.data && memmem(tag, length, "name=\"Author\"", 13))
            sx_document_set_author(l->document, words.data, words.length);
        else if (words.data && memmem(tag, length, "name=\"CreationDate\"", 19))
            sx_document_set_date(l->document, words.data, words.length);
    }
    sx_buffer_clear(&words);
}

static bool is_small_letter(unsigned char byte)
{
    return (byte >= 'a' && byte <= 'z') || byte >= 0xc3;
}

/* Goes on with a new line of the block: a word that was cut is put together, else lines stay lines. */
static void join_line(sx_buffer *words, size_t block_start, const char *next, size_t length)
{
    if (words->length == block_start || !words->data)
        return;
    size_t end = words->length;
    const unsigned char *data = (const unsigned char *)words->data;
    bool soft = end >= block_start + 2 && data[end - 2] == 0xc2 && data[end - 1] == 0xad;
    bool hard = end >= block_start + 2 && data[end - 1] == '-' && (is_small_letter(data[end - 2]) || data[end - 2] >= 0x80);
    if (soft || (hard && length && is_small_letter((unsigned char)next[0])))
        words->length = end - (soft ? 2 : 1);
    else
        sx_buffer_append_byte(words, '\n');
}

/* FNV-1a over what is neither digit nor space. */
static uint64_t likeness_of(const char *text, size_t length)
{
    uint64_t value = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < length; i++)
        if (!(text[i] >= '0' && text[i] <= '9') && (unsigned char)text[i] > ' ')
            value = (value ^ (unsigned char)text[i]) * UINT64_C(1099511628211);
    return value;
}

static void read_block(layout *l, const char *tag, size_t length)
{
    double top = coordinate(tag, length, "yMin=\""), bottom = coordinate(tag, length, "yMax=\"");
    layout_block block = {.start = l->words.length, .page = (uint32_t)(l->pages ? l->pages - 1 : 0)};
    bool line_begins = true;
    double height = 0;
    block.edge = bottom < 0.09 * l->page_height || top > 0.91 * l->page_height;
    while (next_tag(l, &tag, &length) && !tag_is(tag, length, "/block")) {
        if (tag_is(tag, length, "line")) {
            line_begins = true;
            block.lines++;
            height = (coordinate(tag, length, "yMax=\"") - coordinate(tag, length, "yMin=\"")) * 4 + 0.5;
            height = height < 0 ? 0 : height >= HEIGHTS ? HEIGHTS - 1 : height;
            if ((uint32_t)height > block.height)
                block.height = (uint32_t)height;
        } else if (tag_is(tag, length, "word")) {
            const char *close = memmem(l->at, (size_t)(l->end - l->at), "</word>", 7);
            if (!close)
                break;
            size_t size = (size_t)(close - l->at);
            if (line_begins)
                join_line(&l->words, block.start, l->at, size);
            else
                sx_buffer_append_byte(&l->words, ' ');
            line_begins = false;
            append_unescaped(&l->words, l->at, size);
            l->characters[(size_t)height] += size;
            l->at = close + 7;
        }
    }
    block.end = l->words.length;
    if (block.end == block.start)
        return;
    if (l->words.failed || !sx_reserve((void **)&l->blocks, &l->capacity, l->count + 1, sizeof *l->blocks)) {
        l->failed = true;
        return;
    }
    block.likeness = likeness_of(l->words.data + block.start, block.end - block.start);
    l->blocks[l->count++] = block;
}

static void read_listing(layout *l)
{
    const char *tag;
    size_t length;
    while (!l->failed && l->pages < PAGES_MOST && next_tag(l, &tag, &length)) {
        if (tag_is(tag, length, "page")) {
            l->pages++;
            l->page_height = coordinate(tag, length, "height=\"");
        } else if (tag_is(tag, length, "block")) {
            read_block(l, tag, length);
        } else if (!l->pages) {
            take_about(l, tag, length);
        }
    }
}

/* ---- What the listing means ---- */

static int by_likeness(const void *a, const void *b)
{
    const layout_block *x = *(const layout_block *const *)a, *y = *(const layout_block *const *)b;
    if (x->likeness != y->likeness)
        return x->likeness < y->likeness ? -1 : 1;
    return (x->page > y->page) - (x->page < y->page);
}

/* Empties the blocks that are running titles or page numbers. */
static void drop_running(layout *l)
{
    layout_block **edge = sx_calloc(l->count, sizeof *edge);
    size_t count = 0;
    if (!edge) {
        l->failed = true;
        return;
    }
    for (size_t i = 0; i < l->count; i++)
        if (l->blocks[i].edge && l->blocks[i].lines <= 2 && l->blocks[i].end - l->blocks[i].start <= LONGEST_HEADING)
            edge[count++] = &l->blocks[i];
    qsort(edge, count, sizeof *edge, by_likeness);
    for (size_t first = 0, next; first < count; first = next) {
        size_t pages = 1;
        for (next = first + 1; next < count && edge[next]->likeness == edge[first]->likeness; next++)
            pages += edge[next]->page != edge[next - 1]->page;
        /* Of two pages alternating left and right each has its own running title. */
        for (size_t i = first; i < next && pages >= 3 && pages * 4 >= l->pages; i++)
            edge[i]->end = edge[i]->start;
    }
    free(edge);
}

/* The heights of headings, tallest first; returns how many. */
static size_t heading_heights(const layout *l, uint32_t heights[HEADING_LEVELS])
{
    size_t body = 0, found = 0;
    bool taken[HEIGHTS] = {false};
    for (size_t h = 0; h < HEIGHTS; h++)
        if (l->characters[h] > l->characters[body])
            body = h;
    size_t least = body + body / 8 + 2;
    for (size_t i = 0; i < l->count; i++)
        if (l->blocks[i].height >= least && l->blocks[i].height < HEIGHTS && l->blocks[i].lines <= 3 &&
            l->blocks[i].end - l->blocks[i].start <= LONGEST_HEADING)
            taken[l->blocks[i].height] = true;
    for (size_t h = HEIGHTS; h-- > least && found < HEADING_LEVELS;)
        if (taken[h] && (found == 0 || heights[found - 1] > h + 2)) /* half a point more or less is the same size */
            heights[found++] = (uint32_t)h;
    return found;
}

static unsigned level_of(const layout_block *block, const uint32_t *heights, size_t count)
{
    if (block->lines > 3 || block->end - block->start > LONGEST_HEADING)
        return 0;
    for (size_t i = 0; i < count; i++)
        if (block->height + 2 >= heights[i] && block->height <= heights[i])
            return (unsigned)i + 1;
    return 0;
}

static bool has_letters(const char *text, size_t length)
{
    size_t letters = 0;
    for (size_t i = 0; i < length; i++)
        letters += (text[i] | 0x20) >= 'a' && (text[i] | 0x20) <= 'z' ? 1 : (unsigned char)text[i] >= 0xc3;
    return letters >= 2;
}

/* "pages 3, 5-7 have no text" */
static void note_blank_pages(sx_document *document, const bool *has_text, size_t pages)
{
    char note[256];
    size_t used = 0, named = 0, blank = 0;
    for (size_t i = 0; i < pages; i++)
        blank += !has_text[i];
    if (!blank)
        return;
    used = (size_t)snprintf(note, sizeof note, "page%s", blank > 1 ? "s" : "");
    for (size_t i = 0; i < pages && named < PAGES_NAMED;) {
        size_t last = i;
        if (has_text[i]) {
            i++;
            continue;
        }
        while (last + 1 < pages && !has_text[last + 1])
            last++;
        used += (size_t)snprintf(note + used, sizeof note - used, last > i ? "%s%zu-%zu" : "%s%zu", named ? ", " : " ", i + 1,
                                 last + 1);
        named++;
        i = last + 1;
    }
    snprintf(note + used, sizeof note - used, "%s ha%s no text", named == PAGES_NAMED ? " ..." : "", blank > 1 ? "ve" : "s");
    document->note = sx_document_words(document, note, strlen(note));
}

static sx_status write_pages(layout *l, sx_block_list *blocks, sx_error *error)
{
    sx_document *document = l->document;
    sx_writer writer;
    uint32_t heights[HEADING_LEVELS];
    size_t levels = heading_heights(l, heights), next = 0;
    bool *has_text = sx_arena_alloc(&document->arena, l->pages + 1);
    document->page_starts = sx_arena_alloc(&document->arena, (l->pages + 1) * sizeof *document->page_starts);
    if (!has_text || !document->page_starts)
        return sx_fail_nomem(error, l->pages * sizeof *document->page_starts);
    sx_writer_begin(&writer, blocks);
    for (size_t page = 0; page < l->pages; page++) {
        document->page_starts[page] = writer.out.length ? writer.out.length + 2 : 0;
        size_t before = writer.out.length;
        for (; next < l->count && l->blocks[next].page == page; next++) {
            const layout_block *block = &l->blocks[next];
            const char *text = l->words.data + block->start;
            size_t length = block->end - block->start;
            unsigned level = has_letters(text, length) ? level_of(block, heights, levels) : 0;
            sx_writer_block(&writer, level ? SX_BLOCK_HEADING : SX_BLOCK_PARAGRAPH, level, text, length);
            has_text[page] = has_text[page] || length > 0;
        }
        has_text[page] = has_text[page] || writer.out.length > before;
    }
    if (!writer.out.length) {
        sx_buffer_clear(&writer.out);
        return sx_fail(error, SX_E_UNSUPPORTED, "PDF without a text layer (%zu page%s, scanned or drawn)", l->pages,
                       l->pages == 1 ? "" : "s");
    }
    for (size_t page = 0; page < l->pages; page++)
        if (document->page_starts[page] > writer.out.length)
            document->page_starts[page] = writer.out.length;
    document->page_count = l->pages;
    note_blank_pages(document, has_text, l->pages);
    return sx_writer_finish(&writer, "PDF", document, error);
}

/* In the child: the document's text is the listing. */
sx_status sx_read_pdf_listing(sx_document *document, sx_block_list *blocks, sx_error *error)
{
    layout l = {.document = document,
                .at = document->owned,
                .end = document->owned + document->length,
                .words = {.maximum = SIZE_MAX / 4}};
    sx_status status = SX_OK;
    read_listing(&l);
    if (!l.failed && l.count)
        drop_running(&l);
    if (l.failed || l.words.failed)
        status = sx_fail_nomem(error, l.words.length);
    else if (!l.pages)
        status = sx_fail(error, SX_E_UNSUPPORTED, "damaged PDF: it has no pages");
    else
        status = write_pages(&l, blocks, error);
    sx_buffer_clear(&l.words);
    free(l.blocks);
    return status;
}

/* ---- pdftotext ---- */

/* The first complaint that says something, without "Syntax Error (17): ". */
static void first_complaint(const char *complaints, char reason[160])
{
    const char *line = complaints;
    for (const char *at = complaints; *at; at += strcspn(at, "\n"), at += *at == '\n')
        if (strncmp(at, "Syntax Warning", 14)) {
            line = at;
            break;
        }
    size_t length = strcspn(line, "\n");
    const char *colon = memmem(line, length, ": ", 2);
    if (colon) {
        length -= (size_t)(colon + 2 - line);
        line = colon + 2;
    }
    snprintf(reason, 160, "%.*s", (int)(length > 150 ? 150 : length), line);
}

sx_status sx_read_pdf(sx_document *document, sx_block_list *blocks, sx_error *error)
{
    static const char *const arguments[] = {"pdftotext", "-bbox-layout", "-enc", "UTF-8", "-", "-", NULL};
    sx_buffer listing = {0};
    char complaints[SX_CHILD_COMPLAINTS], reason[160];
    int code = 0;
    size_t searched = document->length < 1024 ? document->length : 1024;
    if (!memmem(document->owned, searched, "%PDF-", 5))
        return sx_fail(error, SX_E_UNSUPPORTED, "not a PDF: it does not begin with %%PDF-");
    sx_status status = sx_child_program(arguments, document->owned, document->length, "pdftotext", &sx_reader_limits, &listing,
                                        complaints, &code, error);
    if (status == SX_E_NOT_FOUND) {
        status = sx_fail(error, SX_E_IO, "PDF is read by pdftotext, which is not installed");
        sx_hint(error, "install poppler's tools (Debian: poppler-utils)");
    }
    if (status)
        goto out;
    if (strstr(complaints, "Incorrect password")) {
        status = sx_fail(error, SX_E_UNSUPPORTED, "encrypted PDF: it needs a password");
    } else if (!listing.length) {
        first_complaint(complaints, reason);
        status = sx_fail(error, SX_E_UNSUPPORTED, "damaged PDF: %s", reason[0] ? reason : "pdftotext gave nothing");
    } else {
        free(document->owned);
        document->length = listing.length;
        document->text = document->owned = sx_buffer_take(&listing);
        status = sx_child_read(sx_read_pdf_listing, "the PDF reader", &sx_reader_limits, document, blocks, error);
    }
out:
    sx_buffer_clear(&listing);
    return status;
}
