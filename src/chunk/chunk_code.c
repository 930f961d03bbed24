/* chunk_code.c - source code by what it defines.
 *
 * The outline says on which lines nodes of the syntax tree begin and how deep. A range that fits is a unit; one that does not
 * is cut at its outermost such lines, and what is still too large at the next inner ones, down to a leaf, which is cut as text.
 * So a function stays whole if it can, and a long one is cut between statements (the idea is that of cAST, Zhang et al. 2025).
 * Neighbours on one level share a chunk as long as none of them is a definition of some size: that has a chunk of its own,
 * which also keeps an edit from moving the cuts of other functions. Nothing is repeated from one chunk to the next. */
#include "chunk_internal.h"

typedef struct code_group {
    size_t start, end;
    uint64_t cost;
    bool open, has_own; /* has_own: with a definition that is to have a chunk of its own */
} code_group;

static size_t place_offset(const sx_chunker *chunker, size_t place)
{
    return place < chunker->outline.place_count ? chunker->outline.places[place].offset : chunker->length;
}

/* What a chunk that begins at `start` may hold: the budget without its header. */
static sx_status room_for(sx_chunker *chunker, size_t start, size_t end, uint64_t *room)
{
    *room = UINT64_MAX;
    if (!sx_budget_marks(chunker, room) || !chunker->plan->in_tokens)
        return SX_OK;
    const sx_header *header;
    sx_status status = sx_header_make(chunker, start, end, &header);
    if (status == SX_OK)
        *room = *room > header->tokens ? *room - header->tokens : 1;
    return status;
}

static sx_status cut_as_text(sx_chunker *chunker, size_t start, size_t end)
{
    static const sx_recursive_context even = {.balance = true};
    return sx_chunk_recursively(chunker, start, end, &even);
}

static sx_status close_group(sx_chunker *chunker, code_group *group)
{
    if (!group->open)
        return SX_OK;
    group->open = false;
    return cut_as_text(chunker, group->start, group->end);
}

static bool is_part(uint64_t cost, uint64_t room, unsigned percent)
{
    return room < UINT64_MAX / 100 && cost >= room * percent / 100;
}

/* Pieces of what is cut are to be of like length rather than full ones and a rest. */
static uint64_t even_room(uint64_t cost, uint64_t room)
{
    uint64_t pieces = room ? (cost + room - 1) / room : 0;
    if (pieces < 2 || pieces > sx_chunk_tuned.balance_pieces)
        return room;
    uint64_t share = cost / pieces + cost / pieces * sx_chunk_tuned.balance_slack_percent / 100 + 1;
    return share < room ? share : room;
}

/* The outermost depth of the places after `first`, or SX_CODE_DEPTH + 1. */
static unsigned outermost(const sx_chunker *chunker, size_t first, size_t last)
{
    unsigned depth = SX_CODE_DEPTH + 1;
    for (size_t i = first + 1; i < last; i++)
        if (chunker->outline.places[i].depth < depth)
            depth = chunker->outline.places[i].depth;
    return depth;
}

/* Puts a part of a range that is being cut into the group, or closes the group and opens another. */
static sx_status add_part(sx_chunker *chunker, code_group *group, const code_group *part, uint64_t room, uint64_t even)
{
    uint64_t both = group->cost + part->cost;
    bool tiny = !is_part(part->cost, room, sx_chunk_tuned.tiny_code_percent) ||
                !is_part(group->cost, room, sx_chunk_tuned.tiny_code_percent);
    bool joins = group->open && (tiny ? both <= room : !group->has_own && !part->has_own && both <= even);
    if (joins) {
        group->end = part->end;
        group->cost = both;
        group->has_own = group->has_own || part->has_own;
        return SX_OK;
    }
    sx_status status = close_group(chunker, group);
    *group = *part;
    return status;
}

/* Cuts from place `first` to place `last`; the group may hold what stands before, and may be left open. As deep as depths differ:
 * at most SX_CODE_DEPTH + 1 calls. */
static sx_status cut_range(sx_chunker *chunker, size_t first, size_t last, code_group *group)
{
    size_t start = place_offset(chunker, first), end = place_offset(chunker, last);
    uint64_t room;
    sx_status status = room_for(chunker, start, end, &room);
    uint64_t whole = sx_budget_cost(chunker, start, end);
    if (status == SX_OK && last - first == 1) {
        status = close_group(chunker, group);
        return status != SX_OK ? status : cut_as_text(chunker, start, end);
    }
    uint64_t even = even_room(whole, room);
    unsigned level = outermost(chunker, first, last);
    for (size_t from = first, to; status == SX_OK && from < last; from = to) {
        for (to = from + 1; to < last && chunker->outline.places[to].depth > level;)
            to++;
        code_group part = {.start = place_offset(chunker, from), .end = place_offset(chunker, to), .open = true};
        part.cost = sx_budget_cost(chunker, part.start, part.end);
        status = room_for(chunker, part.start, part.end, &room);
        if (status != SX_OK)
            break;
        /* The beginning of a definition that is being cut is not that definition. */
        bool defines = chunker->outline.places[from].item != SX_CODE_NONE && from > first;
        part.has_own = defines && is_part(part.cost, room, sx_chunk_tuned.own_code_percent);
        if (part.cost <= room) {
            status = add_part(chunker, group, &part, room, even < room ? even : room);
            continue;
        }
        /* A block, loop or the like goes on with the lines before it; a definition stands by itself. */
        if (defines)
            status = close_group(chunker, group);
        if (status == SX_OK)
            status = cut_range(chunker, from, to, group);
        if (status == SX_OK && defines)
            status = close_group(chunker, group);
    }
    return status;
}

sx_status sx_chunk_code(sx_chunker *chunker)
{
    if (!chunker->outline.place_count)
        return cut_as_text(chunker, 0, chunker->length);
    code_group group = {0};
    sx_status status = cut_range(chunker, 0, chunker->outline.place_count, &group);
    return status == SX_OK ? close_group(chunker, &group) : status;
}
