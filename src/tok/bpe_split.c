/* bpe_split.c - the ids of one word: its characters, then the merge of lowest rank, leftmost first, until none is left.
 *
 * A short word looks for its lowest rank by going through all its symbols. A long one keeps its pairs in a heap, so that a word
 * of n symbols costs O(n log n) whatever it consists of: a megabyte without a space is ordinary input here, not an attack.
 * Entries of pairs that have changed meanwhile stay in the heap and are known by their rank, which is no longer the pair's. */
#include "bpe_internal.h"

#include "../base/code_point.h"
#include "../base/memory.h"

#include <string.h>

/* Up to here going through all symbols is the faster way. */
enum { SHORT_WORD = 64 };

/* ---- The first symbols -------------------------------------------------------------------------------------------- */

/* Sets the symbol behind the last, which ends it. */
static bool end_symbols(sx_bpe_memory *memory)
{
    void *symbols = memory->symbols;
    bool room = memory->position < UINT32_MAX &&
                sx_reserve(&symbols, &memory->capacity, memory->count + 1, sizeof *memory->symbols);
    memory->symbols = symbols;
    if (room)
        memory->symbols[memory->count] = (sx_bpe_symbol){sx_bpe_none, (uint32_t)memory->position, sx_bpe_none, sx_bpe_none};
    return room;
}

static bool add_symbol(sx_bpe_memory *memory, uint32_t id, uint64_t bytes)
{
    if (!end_symbols(memory))
        return false;
    memory->symbols[memory->count++].id = id;
    memory->position += bytes;
    return true;
}

/* A byte-level character as the vocabulary spells it. */
static sx_text spell(const sx_bpe *bpe, const char *character, size_t length, char spelt[4])
{
    if (!bpe->options.byte_level)
        return (sx_text){character, length};
    return (sx_text){spelt, sx_utf8_encode(sx_byte_character((unsigned char)*character), spelt)};
}

/* The character with prefix and suffix around it, where they belong, in memory->spelling. */
static sx_text dress(const sx_bpe *bpe, sx_bpe_memory *memory, const char *character, size_t length, bool first, bool last)
{
    const sx_bpe_options *options = &bpe->options;
    char spelt[4];
    sx_text text = spell(bpe, character, length, spelt);
    sx_buffer_reset(&memory->spelling);
    if (!first)
        sx_buffer_append(&memory->spelling, options->continuing_prefix.data, options->continuing_prefix.length);
    sx_buffer_append(&memory->spelling, text.data, text.length);
    if (last)
        sx_buffer_append(&memory->spelling, options->end_suffix.data, options->end_suffix.length);
    return (sx_text){memory->spelling.data, memory->spelling.length};
}

/* Adds the pieces <0xNN> of all bytes; when one has none, none is added and *added is false. */
static bool add_fallback(const sx_bpe *bpe, sx_bpe_memory *memory, sx_text text, bool *added)
{
    *added = false;
    for (size_t i = 0; i < text.length; i++)
        if (bpe->fallback_ids[(unsigned char)text.data[i]] == sx_bpe_none)
            return true;
    *added = true;
    for (size_t i = 0; i < text.length; i++)
        if (!add_symbol(memory, bpe->fallback_ids[(unsigned char)text.data[i]], 1))
            return false;
    return true;
}

/* The word's characters as symbols. An unknown one waits, to be joined by unknown ones behind it; pieces of a byte fallback
 * overtake it, as in tokenizers (which matters only where <0xNN> is missing for some byte). Without an unknown token a
 * character that is no piece is left out, again as there. */
static bool first_symbols(const sx_bpe *bpe, sx_bpe_memory *memory, const char *piece, size_t length)
{
    const sx_bpe_options *options = &bpe->options;
    bool dressed = options->continuing_prefix.length || options->end_suffix.length;
    uint64_t unknown = 0; /* bytes of the unknown character that waits */
    memory->count = 0;
    memory->position = 0;
    for (size_t i = 0, next; i < length; i = next) {
        unsigned char byte = (unsigned char)piece[i];
        next = i + (bpe->by_bytes || byte < 0x80 ? 1 : sx_utf8_decode(piece + i, length - i).length);
        size_t bytes = next - i;
        uint32_t id = sx_bpe_none;
        sx_text text = {piece + i, bytes};
        if (dressed) {
            text = dress(bpe, memory, piece + i, bytes, i == 0, next == length);
            if (memory->spelling.failed)
                return false;
            sx_vocabulary_find(bpe->vocabulary, text, &id);
        } else if (bytes == 1) {
            id = bpe->byte_ids[byte];
        } else {
            sx_vocabulary_find(bpe->plain, text, &id);
        }
        bool added = id != sx_bpe_none;
        if (added) {
            if ((unknown && !add_symbol(memory, options->unknown_id, unknown)) || !add_symbol(memory, id, bytes))
                return false;
            unknown = 0;
            continue;
        }
        char spelt[4];
        if (options->byte_fallback &&
            !add_fallback(bpe, memory, dressed ? text : spell(bpe, piece + i, bytes, spelt), &added))
            return false;
        if (added || !options->has_unknown)
            continue;
        if (unknown && !options->fuse_unknown) {
            if (!add_symbol(memory, options->unknown_id, unknown))
                return false;
            unknown = 0;
        }
        unknown += bytes;
    }
    if (unknown && !add_symbol(memory, options->unknown_id, unknown))
        return false;
    return end_symbols(memory);
}

/* ---- Merging ------------------------------------------------------------------------------------------------------ */

/* Sets rank and whole of the pair (left, right), the latter ending at byte `end`. */
static void set_pair(const sx_bpe *bpe, const char *piece, sx_bpe_symbol *left, const sx_bpe_symbol *right, uint32_t end)
{
    left->rank = sx_bpe_none;
    if (!bpe->by_rank) {
        uint32_t rank, joined;
        if (sx_bpe_find_pair(bpe, left->id, right->id, &rank, &joined)) {
            left->rank = rank;
            left->joined = joined;
        }
        return;
    }
    size_t length = end - left->start;
    if (length > bpe->plain->longest)
        return;
    uint64_t hash = sx_hash_bytes(sx_hash_start, piece + left->start, length);
    if (sx_vocabulary_find_hashed(bpe->plain, hash, (sx_text){0}, piece + left->start, length, &left->joined))
        left->rank = left->joined;
}

static void merge_short(const sx_bpe *bpe, sx_bpe_memory *memory, const char *piece)
{
    sx_bpe_symbol *symbols = memory->symbols;
    size_t count = memory->count;
    for (;;) {
        size_t best = 0;
        uint32_t rank = sx_bpe_none;
        for (size_t i = 0; i + 1 < count; i++)
            if (symbols[i].rank < rank) {
                rank = symbols[i].rank;
                best = i;
            }
        if (rank == sx_bpe_none)
            break;
        symbols[best].id = symbols[best].joined;
        memmove(symbols + best + 1, symbols + best + 2, (count - best - 1) * sizeof *symbols);
        count--;
        symbols[best].rank = sx_bpe_none;
        if (best + 1 < count)
            set_pair(bpe, piece, &symbols[best], &symbols[best + 1], symbols[best + 2].start);
        if (best > 0)
            set_pair(bpe, piece, &symbols[best - 1], &symbols[best], symbols[best + 1].start);
    }
    memory->count = count;
}

static void sift_down(uint64_t *heap, size_t count, size_t at)
{
    uint64_t entry = heap[at];
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && heap[child + 1] < heap[child])
            child++;
        if (entry <= heap[child])
            break;
        heap[at] = heap[child];
    }
    heap[at] = entry;
}

static uint64_t pop(sx_bpe_memory *memory)
{
    uint64_t top = memory->heap[0];
    memory->heap[0] = memory->heap[--memory->heap_count];
    if (memory->heap_count)
        sift_down(memory->heap, memory->heap_count, 0);
    return top;
}

/* An entry is the rank above the symbol's number: the lowest is the next merge. */
static bool push(sx_bpe_memory *memory, uint32_t rank, size_t symbol)
{
    void *heap = memory->heap;
    bool room = sx_reserve(&heap, &memory->heap_capacity, memory->heap_count + 1, sizeof *memory->heap);
    memory->heap = heap;
    if (!room)
        return false;
    uint64_t entry = (uint64_t)rank << 32 | symbol;
    size_t at = memory->heap_count++;
    for (; at > 0 && memory->heap[(at - 1) / 2] > entry; at = (at - 1) / 2)
        memory->heap[at] = memory->heap[(at - 1) / 2];
    memory->heap[at] = entry;
    return true;
}

static bool begin_heap(sx_bpe_memory *memory)
{
    void *links = memory->links, *heap = memory->heap;
    bool room = sx_reserve(&links, &memory->links_capacity, memory->count, sizeof *memory->links);
    memory->links = links;
    room = room && sx_reserve(&heap, &memory->heap_capacity, memory->count, sizeof *memory->heap);
    memory->heap = heap;
    if (!room)
        return false;
    memory->heap_count = 0;
    for (size_t i = 0; i < memory->count; i++) {
        memory->links[i] = (sx_bpe_link){(uint32_t)i - 1, (uint32_t)i + 1}; /* none before the first: UINT32_MAX */
        if (i + 1 < memory->count && memory->symbols[i].rank != sx_bpe_none)
            memory->heap[memory->heap_count++] = (uint64_t)memory->symbols[i].rank << 32 | i;
    }
    for (size_t i = memory->heap_count / 2; i-- > 0;)
        sift_down(memory->heap, memory->heap_count, i);
    return true;
}

static bool merge_long(const sx_bpe *bpe, sx_bpe_memory *memory, const char *piece)
{
    if (!begin_heap(memory))
        return false;
    sx_bpe_symbol *symbols = memory->symbols;
    sx_bpe_link *links = memory->links;
    size_t count = memory->count;
    while (memory->heap_count) {
        uint64_t top = pop(memory);
        uint32_t left = (uint32_t)top;
        if (symbols[left].rank != (uint32_t)(top >> 32))
            continue;
        uint32_t right = links[left].next, after = links[right].next, before = links[left].previous;
        symbols[left].id = symbols[left].joined;
        symbols[left].rank = symbols[right].rank = sx_bpe_none;
        links[left].next = after;
        if (after < count) {
            links[after].previous = left;
            set_pair(bpe, piece, &symbols[left], &symbols[after], symbols[links[after].next].start);
            if (symbols[left].rank != sx_bpe_none && !push(memory, symbols[left].rank, left))
                return false;
        }
        if (before != UINT32_MAX) {
            set_pair(bpe, piece, &symbols[before], &symbols[left], symbols[after].start);
            if (symbols[before].rank != sx_bpe_none && !push(memory, symbols[before].rank, before))
                return false;
        }
    }
    memory->count = 0;
    for (size_t i = 0; i < count; i = links[i].next)
        symbols[memory->count++] = symbols[i];
    symbols[memory->count] = symbols[count];
    return true;
}

/* Splits a word that begins at byte `base` of the piece. */
static bool split_word(const sx_bpe *bpe, sx_bpe_memory *memory, const char *piece, size_t length, uint32_t base,
                       sx_piece_sink *sink, void *user)
{
    const sx_bpe_word *word = sx_bpe_memory_find(memory, piece, length);
    if (word) {
        for (uint32_t i = 0, start = 0; i < word->count; start = word->ends[i++])
            sink(user, word->ids[i], base + start, base + word->ends[i]);
        return true;
    }
    uint32_t whole;
    if (bpe->options.ignore_merges && length <= bpe->plain->longest &&
        sx_vocabulary_find(bpe->plain, (sx_text){piece, length}, &whole)) {
        sink(user, whole, base, base + (uint32_t)length);
        return true;
    }
    if (!first_symbols(bpe, memory, piece, length))
        return false;
    for (size_t i = 0; i < memory->count; i++) {
        memory->symbols[i].rank = sx_bpe_none;
        if (i + 1 < memory->count)
            set_pair(bpe, piece, &memory->symbols[i], &memory->symbols[i + 1], memory->symbols[i + 2].start);
    }
    if (memory->count <= SHORT_WORD)
        merge_short(bpe, memory, piece);
    else if (!merge_long(bpe, memory, piece))
        return false;
    for (size_t i = 0; i < memory->count; i++) {
        uint32_t start = memory->symbols[i].start, end = memory->symbols[i + 1].start;
        sink(user, memory->symbols[i].id, base + (start < length ? start : (uint32_t)length),
             base + (end < length ? end : (uint32_t)length));
    }
    sx_bpe_memory_put(memory, piece, length);
    sx_bpe_memory_trim(memory);
    return true;
}

/* The byte after `from` at which the next word begins: a run of U+2581 (E2 96 81) behind another character. */
static size_t next_word(const char *piece, size_t from, size_t length)
{
    bool mark = true; /* marks at the beginning belong to this word */
    for (size_t at = from; at < length;) {
        const unsigned char *byte = (const unsigned char *)piece + at;
        bool here = length - at >= 3 && byte[0] == 0xe2 && byte[1] == 0x96 && byte[2] == 0x81;
        if (here && !mark)
            return at;
        mark = here;
        at += here ? 3 : 1;
    }
    return length;
}

bool sx_bpe_split(const sx_bpe *bpe, sx_bpe_memory *memory, const char *piece, size_t length, sx_piece_sink *sink, void *user)
{
    if (length == 0)
        return true;
    if (!sx_bpe_memory_begin(memory))
        return false;
    if (!bpe->words_apart)
        return split_word(bpe, memory, piece, length, 0, sink, user);
    for (size_t from = 0, end; from < length; from = end) {
        end = next_word(piece, from, length);
        if (!split_word(bpe, memory, piece + from, end - from, (uint32_t)from, sink, user))
            return false;
    }
    return true;
}
