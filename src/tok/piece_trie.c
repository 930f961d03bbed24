/* piece_trie.c - building a double array (Aoe 1989; children placed by exclusive or, so that those of one node share a block of
 * 256 units).
 *
 * The pieces are sorted, so that the subtree of a node is a range of them. A node's children are placed by first fit over a list
 * of free units; after some tries in vain a new block is begun, so that building stays linear. Nodes with one child, which are
 * most, fill what is left over. */
#include "piece_trie.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK = 256, MOST_TRIES = 48 };
static const uint32_t most_units = (uint32_t)1 << 30;

/* A node whose children are still to be placed: its unit and the pieces below it, which share `depth` bytes. */
typedef struct pending_node {
    uint32_t unit, first, last, depth;
} pending_node;

typedef struct trie_builder {
    const sx_vocabulary *vocabulary;
    uint32_t *order;          /* ids sorted by text */
    sx_trie_unit *units;
    uint32_t *next, *previous; /* the ring of free units; unit 0, the root, is its anchor */
    uint32_t count;
    size_t unit_room, next_room, previous_room;
    pending_node *pending;
    size_t pending_count, pending_room;
} trie_builder;

static int compare_pieces(const void *a, const void *b, void *user)
{
    uint32_t first = *(const uint32_t *)a, second = *(const uint32_t *)b;
    sx_text one = sx_vocabulary_piece_text(user, first), other = sx_vocabulary_piece_text(user, second);
    size_t shorter = one.length < other.length ? one.length : other.length;
    int order = memcmp(one.data, other.data, shorter);
    if (order)
        return order;
    if (one.length != other.length)
        return one.length < other.length ? -1 : 1;
    return first < second ? -1 : first > second;
}

static bool add_block(trie_builder *b)
{
    if (b->count > most_units)
        return false;
    size_t need = (size_t)b->count + BLOCK;
    void *units = b->units, *next = b->next, *previous = b->previous;
    bool room = sx_reserve(&units, &b->unit_room, need, sizeof *b->units);
    b->units = units;
    room = room && sx_reserve(&next, &b->next_room, need, sizeof *b->next);
    b->next = next;
    room = room && sx_reserve(&previous, &b->previous_room, need, sizeof *b->previous);
    b->previous = previous;
    if (!room)
        return false;
    uint32_t first = b->count;
    if (first == 0)
        b->next[0] = b->previous[0] = 0;
    for (uint32_t i = first; i < first + BLOCK; i++) {
        b->units[i] = (sx_trie_unit){0, 0, SX_TRIE_NO_PIECE};
        if (i == 0)
            continue;
        uint32_t last = b->previous[0];
        b->next[last] = i;
        b->previous[i] = last;
        b->next[i] = 0;
        b->previous[0] = i;
    }
    b->count += BLOCK;
    return true;
}

static bool fits(const trie_builder *b, uint32_t base, const unsigned char *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint32_t unit = base ^ bytes[i];
        if (unit == 0 || b->units[unit].parent)
            return false;
    }
    return true;
}

/* A base under which all children find free units. */
static bool find_base(trie_builder *b, const unsigned char *bytes, unsigned count, uint32_t *base)
{
    unsigned tries = 0;
    for (uint32_t unit = b->next[0]; unit && tries < MOST_TRIES; unit = b->next[unit], tries++) {
        *base = unit ^ bytes[0];
        if (fits(b, *base, bytes, count))
            return true;
    }
    *base = b->count;
    return add_block(b);
}

static unsigned char byte_of(const trie_builder *b, uint32_t place, uint32_t depth)
{
    return (unsigned char)sx_vocabulary_piece_text(b->vocabulary, b->order[place]).data[depth];
}

/* Places the children of a node and puts them on the list. */
static bool place_children(trie_builder *b, pending_node node)
{
    unsigned char bytes[BLOCK];
    unsigned count = 0;
    uint32_t first = node.first, base;
    while (first < node.last && sx_vocabulary_piece_text(b->vocabulary, b->order[first]).length == node.depth)
        b->units[node.unit].id = b->order[first++]; /* of equal texts the last one stays */
    if (first == node.last)
        return true;
    for (uint32_t i = first; i < node.last; i++)
        if (count == 0 || bytes[count - 1] != byte_of(b, i, node.depth))
            bytes[count++] = byte_of(b, i, node.depth);
    void *pending = b->pending;
    bool room = sx_reserve(&pending, &b->pending_room, b->pending_count + count, sizeof *b->pending);
    b->pending = pending;
    if (!room || !find_base(b, bytes, count, &base))
        return false;
    b->units[node.unit].base = base;
    for (unsigned i = 0; i < count; i++) {
        uint32_t unit = base ^ bytes[i], last = first;
        b->units[unit].parent = node.unit + 1;
        b->next[b->previous[unit]] = b->next[unit];
        b->previous[b->next[unit]] = b->previous[unit];
        while (last < node.last && byte_of(b, last, node.depth) == bytes[i])
            last++;
        b->pending[b->pending_count++] = (pending_node){unit, first, last, node.depth + 1};
        first = last;
    }
    return true;
}

sx_status sx_piece_trie_build(sx_piece_trie *trie, const sx_vocabulary *vocabulary, uint32_t count, sx_error *error)
{
    trie_builder b = {.vocabulary = vocabulary};
    uint32_t pieces = 0;
    sx_status status = sx_fail_nomem(NULL, 0);
    b.order = sx_calloc(count, sizeof *b.order);
    b.pending = sx_calloc(1, sizeof *b.pending);
    if (!b.order || !b.pending || !add_block(&b))
        goto out;
    b.pending_room = 1;
    for (uint32_t id = 0; id < count; id++)
        if (sx_vocabulary_piece_text(vocabulary, id).length)
            b.order[pieces++] = id;
    qsort_r(b.order, pieces, sizeof *b.order, compare_pieces, (void *)(uintptr_t)vocabulary);
    b.pending[b.pending_count++] = (pending_node){0, 0, pieces, 0};
    while (b.pending_count)
        if (!place_children(&b, b.pending[--b.pending_count]))
            goto out;
    *trie = (sx_piece_trie){b.units, b.count};
    b.units = NULL;
    status = SX_OK;

out:
    if (status)
        status = b.count > most_units ? sx_fail(error, SX_E_LIMIT, "a vocabulary of more than %u beginnings", most_units)
                                      : sx_fail_nomem(error, (size_t)b.count * sizeof *b.units);
    free(b.order);
    free(b.pending);
    free(b.units);
    free(b.next);
    free(b.previous);
    return status;
}

void sx_piece_trie_clear(sx_piece_trie *trie)
{
    free(trie->units);
    *trie = (sx_piece_trie){0};
}
