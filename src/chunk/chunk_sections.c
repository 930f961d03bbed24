/* chunk_sections.c - Markdown, reStructuredText and HTML by their headings.
 *
 * A section is a chunk if it fits. Small neighbours under one parent share a chunk, bare headings go with what follows
 * them, and a large section is cut between its blocks, then recursively, its pieces repeating a little of each other.
 * Nothing is repeated from one section to the next. */
#include "chunk_internal.h"

typedef struct section_run {
    uint32_t first, last; /* sections, inclusive */
    bool has_body;
    uint64_t cost;
} section_run;

/* A section with a body and the bare headings right before it; at the document's end perhaps bare headings only. */
static section_run next_run(const sx_chunker *chunker, uint32_t first)
{
    section_run run = {first, first, chunker->sections[first].has_body, 0};
    while (!run.has_body && run.last + 1 < chunker->section_count)
        run.has_body = chunker->sections[++run.last].has_body;
    run.cost = sx_budget_cost(chunker, chunker->sections[first].start, chunker->sections[run.last].end);
    return run;
}

/* The parent of the outermost section of a group: what may join it lies below that. */
static uint32_t outermost_parent(const sx_chunker *chunker, uint32_t first, uint32_t last)
{
    uint32_t parent = chunker->sections[first].parent;
    for (uint32_t i = first + 1; i <= last; i++)
        if (chunker->sections[i].parent < parent)
            parent = chunker->sections[i].parent;
    return parent;
}

/* What a group may hold: the budget without its header. */
static sx_status room_for(sx_chunker *chunker, uint32_t first, uint64_t *room)
{
    *room = UINT64_MAX;
    if (!sx_budget_marks(chunker, room) || !chunker->plan->in_tokens)
        return SX_OK;
    const sx_section *section = &chunker->sections[first];
    const sx_header *header;
    sx_status status = sx_header_make(chunker, section->start, section->end, &header);
    if (status == SX_OK)
        *room = *room > header->tokens ? *room - header->tokens : 1;
    return status;
}

/* value * percent / 100 <= limit * 1, without overflow for what budgets are. */
static bool is_within(uint64_t cost, uint64_t room, unsigned percent)
{
    return room >= UINT64_MAX / 100 || cost <= room * percent / 100;
}

sx_status sx_chunk_sections(sx_chunker *chunker)
{
    static const sx_recursive_context by_blocks = {.use_blocks = true, .balance = true};
    const sx_section *sections = chunker->sections;
    for (uint32_t first = 0; first < chunker->section_count;) {
        if (sx_skip_blank(chunker->text, sections[first].end, sections[first].start) == sections[first].end) {
            first++; /* nothing before the first heading */
            continue;
        }
        uint64_t room;
        sx_status status = room_for(chunker, first, &room);
        if (status != SX_OK)
            return status;
        section_run group = next_run(chunker, first);
        uint32_t parent = outermost_parent(chunker, group.first, group.last);
        bool small = is_within(group.cost, room, sx_chunk_tuned.small_section_percent);
        while (group.last + 1 < chunker->section_count) {
            section_run next = next_run(chunker, group.last + 1);
            bool joins = small && is_within(next.cost, room, sx_chunk_tuned.small_section_percent) &&
                         sx_section_is_under(chunker, sections[next.first].parent, parent);
            /* Headings with nothing after them, at the end of the document, are no chunk that anybody wants to find. */
            if (!(joins || !next.has_body) ||
                !is_within(group.cost + next.cost, room, sx_chunk_tuned.merged_section_percent))
                break;
            group.last = next.last;
            group.cost += next.cost;
            uint32_t its_parent = outermost_parent(chunker, next.first, next.last);
            parent = its_parent < parent ? its_parent : parent;
        }
        status = sx_chunk_recursively(chunker, sections[first].start, sections[group.last].end, &by_blocks);
        if (status != SX_OK)
            return status;
        first = group.last + 1;
    }
    return SX_OK;
}
