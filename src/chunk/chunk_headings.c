/* chunk_headings.c - sections, the headings in force at a place, and the header embedded with a chunk.
 *
 * A document is a row of sections, each a heading and its body; a section's parent is the nearest one before it of an
 * outer level. The headings of a chunk are the path to its section, or, where a chunk holds several small ones, the path
 * they share. The header is the innermost of title > headings, without what the chunk's own text begins with: a whole
 * path makes the chunks of a document alike, and the text's own words count for less. */
#include "chunk_internal.h"

#include "../base/error.h"

#include <stdlib.h>
#include <string.h>

static const char byte_order_mark[] = "\xef\xbb\xbf";

static const char *trimmed_copy(sx_arena *arena, const char *words, size_t *length)
{
    size_t all = words ? strlen(words) : 0;
    size_t start = all ? sx_skip_blank(words, all, 0) : 0;
    *length = all > start ? sx_trim_blank(words, start, all) - start : 0;
    return *length ? sx_arena_strndup(arena, words + start, *length) : "";
}

/* Appends a section whose heading is the block, or the one before the first heading for NULL. */
static sx_status add_section(sx_chunker *chunker, size_t *capacity, size_t start, const sx_block *block)
{
    if (chunker->section_count >= UINT32_MAX - 1 ||
        !sx_reserve((void **)&chunker->sections, capacity, chunker->section_count + 1, sizeof *chunker->sections))
        return sx_fail_nomem(chunker->error, (chunker->section_count + 1) * sizeof *chunker->sections);
    uint32_t index = (uint32_t)chunker->section_count, parent = index ? index - 1 : 0;
    sx_section section = {.start = start, .body = start, .heading = ""};
    if (block) {
        size_t length;
        section.level = block->level ? block->level : 1;
        section.body = (size_t)block->end;
        section.heading = trimmed_copy(&chunker->list->arena, block->heading, &length);
        if (!section.heading)
            return sx_fail_nomem(chunker->error, length + 1);
        while (parent && chunker->sections[parent].level >= section.level)
            parent = chunker->sections[parent].parent;
    }
    section.parent = parent;
    chunker->sections[chunker->section_count++] = section;
    return SX_OK;
}

/* Ascending, without overlap and inside the text: what a reader promises, and what everything here relies on. */
static bool is_sound(const sx_chunker *chunker, const sx_block *block, uint64_t from)
{
    size_t start = (size_t)block->start;
    return block->start >= from && block->start < block->end && block->end <= chunker->length &&
           sx_code_point_start(chunker->text, 0, chunker->length, start) == start &&
           sx_code_point_start(chunker->text, 0, chunker->length, (size_t)block->end) == (size_t)block->end;
}

sx_status sx_sections_find(sx_chunker *chunker)
{
    const sx_document *document = chunker->document;
    size_t section_capacity = 0, block_capacity = 0;
    uint64_t from = 0;
    bool after_heading = true;
    sx_status status = add_section(chunker, &section_capacity, 0, NULL);
    for (size_t i = 0; status == SX_OK && i < document->block_count; i++) {
        const sx_block *block = &document->blocks[i];
        if (!is_sound(chunker, block, from))
            continue;
        from = block->end;
        if (block->kind == SX_BLOCK_HEADING) {
            size_t start = (size_t)block->start;
            bool only_mark = start >= 3 && chunker->section_count == 1 && memcmp(chunker->text, byte_order_mark, 3) == 0 &&
                             sx_skip_blank(chunker->text, start, 3) == start;
            status = add_section(chunker, &section_capacity, only_mark ? 0 : start, block);
        } else if (!after_heading) {
            if (!sx_reserve((void **)&chunker->block_starts, &block_capacity, chunker->block_count + 1,
                            sizeof *chunker->block_starts))
                return sx_fail_nomem(chunker->error, (chunker->block_count + 1) * sizeof *chunker->block_starts);
            chunker->block_starts[chunker->block_count++] = block->start;
        }
        after_heading = block->kind == SX_BLOCK_HEADING;
    }
    for (size_t i = 0; i < chunker->section_count; i++) {
        sx_section *section = &chunker->sections[i];
        section->end = i + 1 < chunker->section_count ? chunker->sections[i + 1].start : chunker->length;
        section->body = sx_skip_blank(chunker->text, section->end, section->body);
        section->has_body = section->body < section->end;
    }
    return status;
}

uint32_t sx_section_at(const sx_chunker *chunker, size_t offset)
{
    /* The last section that starts at or before offset; an empty section 0 gives way to the next. */
    size_t low = 0, high = chunker->section_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (chunker->sections[middle].start <= offset)
            low = middle;
        else
            high = middle;
    }
    return (uint32_t)low;
}

bool sx_section_is_under(const sx_chunker *chunker, uint32_t section, uint32_t ancestor)
{
    while (section > ancestor)
        section = chunker->sections[section].parent;
    return section == ancestor;
}

static uint32_t common_section(const sx_chunker *chunker, uint32_t a, uint32_t b)
{
    while (a != b) {
        if (a > b)
            a = chunker->sections[a].parent;
        else
            b = chunker->sections[b].parent;
    }
    return a;
}

/* The section whose path a chunk carries: bare headings at its start give way to the section below them that has a body. Where
 * the strategy cuts by sections, a chunk of several has what they share. */
static uint32_t section_of(const sx_chunker *chunker, size_t start, size_t end)
{
    const sx_section *sections = chunker->sections;
    uint32_t first = sx_section_at(chunker, start), at = first;
    while (!sections[at].has_body && at + 1 < chunker->section_count && sections[at + 1].start < end)
        at++;
    if (!sections[at].has_body)
        return first;
    uint32_t shared = at;
    if (chunker->method == SX_CHUNK_SECTIONS)
        for (at++; at < chunker->section_count && sections[at].start < end && shared; at++)
            if (sections[at].has_body)
                shared = common_section(chunker, shared, at);
    return shared;
}

static sx_status make_path(sx_chunker *chunker, sx_section *section, uint32_t index)
{
    size_t count = 0;
    for (uint32_t at = index; at; at = chunker->sections[at].parent)
        count += chunker->sections[at].heading[0] != '\0';
    const char **path = sx_arena_alloc(&chunker->list->arena, (count + 1) * sizeof *path);
    if (!path)
        return sx_fail_nomem(chunker->error, (count + 1) * sizeof *path);
    section->path_count = (uint32_t)count;
    for (uint32_t at = index; at; at = chunker->sections[at].parent)
        if (chunker->sections[at].heading[0])
            path[--count] = chunker->sections[at].heading;
    section->path = path;
    return SX_OK;
}

/* Whether the title says something that neither the path nor the text's own first heading does. */
static bool title_is_news(const sx_chunker *chunker, const sx_section *section, size_t start)
{
    const char *title = chunker->document->title;
    if (!title || !title[0])
        return false;
    size_t length = strlen(title), from = sx_skip_blank(title, length, 0);
    length = sx_trim_blank(title, from, length) - from;
    const sx_section *own = &chunker->sections[sx_section_at(chunker, start)];
    const char *said[2] = {section->path_count ? section->path[0] : "", own->start == start ? own->heading : ""};
    for (size_t i = 0; i < 2; i++)
        if (strlen(said[i]) == length && memcmp(said[i], title + from, length) == 0)
            return false;
    return length > 0;
}

static sx_status fill_template(sx_chunker *chunker, const sx_section *section, sx_header *header)
{
    sx_buffer path = {.maximum = 1 << 20};
    for (uint32_t i = 0; i < section->path_count; i++) {
        sx_buffer_append_string(&path, i ? " > " : "");
        sx_buffer_append_string(&path, section->path[i]);
    }
    const char *last = section->path_count ? section->path[section->path_count - 1] : "";
    sx_header_facts facts = {.name = "", .kind = "", .signature = "", .scope = "", .symbol = "", .heading = last,
                             .headings = path.data ? path.data : ""};
    sx_status status = path.failed ? sx_fail_nomem(chunker->error, path.length) : sx_header_fill(chunker, &facts, header);
    sx_buffer_clear(&path);
    return status;
}

sx_status sx_header_make(sx_chunker *chunker, size_t start, size_t end, const sx_header **header)
{
    if (chunker->outline.place_count)
        return sx_code_header_make(chunker, start, end, header);
    uint32_t index = section_of(chunker, start, end);
    sx_section *section = &chunker->sections[index];
    sx_header *cached = &chunker->cached_header;
    *header = cached;
    if (!section->path) {
        sx_status status = make_path(chunker, section, index);
        if (status != SX_OK)
            return status;
    }
    /* Headings inside the chunk's range are in its text already. */
    size_t outside = section->path_count;
    for (uint32_t at = index; at && chunker->sections[at].start >= start; at = chunker->sections[at].parent)
        outside -= chunker->sections[at].heading[0] != '\0';
    bool title = title_is_news(chunker, section, start);
    if (chunker->cached_section == index && chunker->cached_outside == outside && chunker->cached_title == title)
        return SX_OK;

    chunker->cached_section = UINT32_MAX;
    *cached = (sx_header){.text = "", .headings = section->path, .heading_count = section->path_count};
    const char *parts[UINT8_MAX + 2]; /* levels are bytes and ascend along a path */
    size_t count = 0;
    if (title)
        parts[count++] = chunker->document->title;
    for (size_t i = 0; i < outside; i++)
        parts[count++] = section->path[i];
    size_t left_out = count > sx_chunk_tuned.header_headings ? count - sx_chunk_tuned.header_headings : 0;
    sx_status status = SX_OK;
    if (chunker->plan->header && chunker->plan->header_template[0])
        status = fill_template(chunker, section, cached);
    else if (chunker->plan->header)
        status = sx_header_join(chunker, parts + left_out, count - left_out, cached);
    if (status == SX_OK) {
        chunker->cached_section = index;
        chunker->cached_outside = outside;
        chunker->cached_title = title;
    }
    return status;
}
