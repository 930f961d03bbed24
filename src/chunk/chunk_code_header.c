/* chunk_code_header.c - what a chunk of code is a part of: its headings, its symbols, and the header embedded with it.
 *
 * Headings are the names around the chunk, then the names of what it defines. The header says only what the text does not: the
 * definitions around it, the innermost by its signature. docs/quality.md has the figures of other headers. */
#include "chunk_internal.h"

#include "../base/error.h"

#include <string.h>

/* Enclosing definitions beyond this many are left out, the outermost first; names beyond so many bytes in one heading,
 * the last. */
enum { MOST_AROUND = 16, NAMES_BYTES = 200 };

/* The innermost item that began before `offset` and has not ended there, or SX_CODE_NONE. */
static uint32_t item_around(const sx_chunker *chunker, size_t offset)
{
    const sx_code_item *items = chunker->outline.items;
    uint32_t at, last;
    sx_code_items_in(chunker, offset, offset, &at, &last);
    if (at-- == 0)
        return SX_CODE_NONE;
    while (at != SX_CODE_NONE && items[at].end <= offset)
        at = items[at].parent;
    return at;
}

static uint32_t first_item_from(const sx_chunker *chunker, size_t offset)
{
    size_t low = 0, high = chunker->outline.item_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (chunker->outline.items[middle].start < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return (uint32_t)low;
}

void sx_code_items_in(const sx_chunker *chunker, size_t start, size_t end, uint32_t *first, uint32_t *last)
{
    *first = first_item_from(chunker, start);
    *last = end > start ? first_item_from(chunker, end) : *first;
}

/* The way to an item from outside, itself included; at most MOST_AROUND, the innermost. */
static size_t way_to(const sx_chunker *chunker, uint32_t item, uint32_t way[MOST_AROUND])
{
    size_t count = 0;
    for (uint32_t at = item; at != SX_CODE_NONE && count < MOST_AROUND; at = chunker->outline.items[at].parent)
        way[count++] = at;
    for (size_t i = 0; i < count / 2; i++) {
        uint32_t other = way[i];
        way[i] = way[count - 1 - i];
        way[count - 1 - i] = other;
    }
    return count;
}

static const char *keep(sx_chunker *chunker, const sx_buffer *text)
{
    return text->failed ? NULL : sx_arena_strndup(&chunker->list->arena, text->length ? text->data : "", text->length);
}

static const char *qualified_name(sx_chunker *chunker, uint32_t item)
{
    uint32_t way[MOST_AROUND];
    size_t count = way_to(chunker, item, way);
    sx_buffer *scratch = &chunker->scratch;
    sx_buffer_reset(scratch);
    for (size_t i = 0; i < count; i++) {
        const sx_code_item *at = &chunker->outline.items[way[i]];
        sx_buffer_append_string(scratch, i ? "." : "");
        if (at->scope[0]) {
            sx_buffer_append_string(scratch, at->scope);
            sx_buffer_append_string(scratch, ".");
        }
        sx_buffer_append_string(scratch, at->name);
    }
    return keep(chunker, scratch);
}

static sx_status make_symbols(sx_chunker *chunker, uint32_t around, uint32_t first, uint32_t last, sx_header *header)
{
    uint32_t from = first < last ? first : around, count = first < last ? last - first : around != SX_CODE_NONE;
    sx_symbol *symbols = sx_arena_alloc(&chunker->list->arena, (count + 1) * sizeof *symbols);
    if (!symbols)
        return sx_fail_nomem(chunker->error, count * sizeof *symbols);
    for (uint32_t i = 0; i < count; i++) {
        const sx_code_item *item = &chunker->outline.items[from + i];
        symbols[i] = (sx_symbol){.name = qualified_name(chunker, from + i), .kind = item->kind, .line = item->line};
        symbols[i].signature = sx_arena_strndup(&chunker->list->arena, item->signature, strlen(item->signature));
        if (!symbols[i].name || !symbols[i].signature)
            return sx_fail_nomem(chunker->error, strlen(item->signature));
    }
    header->symbols = symbols;
    header->symbol_count = count;
    return SX_OK;
}

/* "push, pop, peek": what the chunk defines, without what is inside of these. NULL: no memory; "" for nothing. */
static const char *defined_names(sx_chunker *chunker, uint32_t first, uint32_t last)
{
    const sx_code_item *items = chunker->outline.items;
    sx_buffer *scratch = &chunker->scratch;
    sx_buffer_reset(scratch);
    uint32_t ended = 0;
    for (uint32_t i = first; i < last; i++) {
        if (items[i].start < ended)
            continue;
        ended = items[i].end;
        if (scratch->length + strlen(items[i].name) + 2 > NAMES_BYTES && scratch->length) {
            sx_buffer_append_string(scratch, ", ...");
            break;
        }
        sx_buffer_append_string(scratch, scratch->length ? ", " : "");
        sx_buffer_append_string(scratch, items[i].name);
    }
    return keep(chunker, scratch);
}

static sx_status make_headings(sx_chunker *chunker, const uint32_t *way, size_t count, const char *names, sx_header *header)
{
    /* Each may bring the scope it names, and so may the one definition of a chunk. */
    const char **headings = sx_arena_alloc(&chunker->list->arena, (2 * count + 2) * sizeof *headings);
    if (!headings)
        return sx_fail_nomem(chunker->error, (2 * count + 2) * sizeof *headings);
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        const sx_code_item *item = &chunker->outline.items[way[i]];
        const char *parts[2] = {item->scope, item->name};
        for (size_t j = 0; j < 2; j++) {
            if (!parts[j][0])
                continue;
            headings[used] = sx_arena_strndup(&chunker->list->arena, parts[j], strlen(parts[j]));
            if (!headings[used++])
                return sx_fail_nomem(chunker->error, strlen(parts[j]));
        }
    }
    if (names[0])
        headings[used++] = names;
    header->headings = headings;
    header->heading_count = (uint32_t)used;
    return SX_OK;
}

static sx_status context_header(sx_chunker *chunker, const uint32_t *way, size_t count, sx_header *header)
{
    const char *parts[MOST_AROUND];
    for (size_t i = 0; i < count; i++) {
        const sx_code_item *item = &chunker->outline.items[way[i]];
        parts[i] = i + 1 == count ? item->signature : item->name;
    }
    return sx_header_join(chunker, parts, count, header);
}

static sx_status template_header(sx_chunker *chunker, uint32_t around, uint32_t first, uint32_t last, const char *names,
                                 sx_header *header)
{
    uint32_t told = first < last ? first : around;
    sx_header_facts facts = {.name = "", .kind = "", .signature = "", .scope = "", .symbol = "", .heading = "", .headings = ""};
    if (told != SX_CODE_NONE) {
        const sx_code_item *item = &chunker->outline.items[told];
        facts.name = names[0] ? names : item->name;
        facts.kind = item->kind;
        facts.signature = item->signature;
        facts.scope = item->parent != SX_CODE_NONE ? qualified_name(chunker, item->parent) : item->scope;
        facts.symbol = qualified_name(chunker, told);
        if (!facts.scope || !facts.symbol)
            return sx_fail_nomem(chunker->error, NAMES_BYTES);
        facts.heading = facts.name;
        facts.headings = facts.symbol;
    }
    return sx_header_fill(chunker, &facts, header);
}

sx_status sx_code_header_make(sx_chunker *chunker, size_t start, size_t end, const sx_header **header)
{
    uint32_t around = item_around(chunker, start), first, last;
    sx_code_items_in(chunker, start, end, &first, &last);
    sx_header *cached = &chunker->cached_header;
    *header = cached;
    if (chunker->cached_section == 0 && chunker->cached_outside == around && chunker->cached_first == first &&
        chunker->cached_last == last)
        return SX_OK;
    chunker->cached_section = UINT32_MAX;
    *cached = (sx_header){.text = ""};
    uint32_t way[MOST_AROUND];
    size_t count = way_to(chunker, around, way);
    const char *names = defined_names(chunker, first, last);
    if (!names)
        return sx_fail_nomem(chunker->error, NAMES_BYTES);
    sx_status status = make_headings(chunker, way, count, names, cached);
    if (status == SX_OK)
        status = make_symbols(chunker, around, first, last, cached);
    if (status == SX_OK && chunker->plan->header && chunker->plan->header_template[0])
        status = template_header(chunker, around, first, last, names, cached);
    else if (status == SX_OK && chunker->plan->header)
        status = context_header(chunker, way, count, cached);
    if (status == SX_OK) {
        chunker->cached_section = 0;
        chunker->cached_outside = around;
        chunker->cached_first = first;
        chunker->cached_last = last;
    }
    return status;
}
