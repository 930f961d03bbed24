/* bpe_memory.c - the words a thread has met, with their ids, in a table of fixed size.
 *
 * Text repeats its words: with some thousand of them at hand nearly all splitting becomes one comparison. Two places for each
 * word, the one met last first; a word put in drives out the one that was not met for longer. */
#include "bpe_internal.h"

#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>

/* Scratch for words up to this many symbols is kept from word to word. */
static const size_t kept_symbols = 1 << 16;

sx_bpe_memory *sx_bpe_memory_open(void)
{
    return sx_calloc(1, sizeof(sx_bpe_memory));
}

static void free_scratch(sx_bpe_memory *memory)
{
    free(memory->symbols);
    free(memory->links);
    free(memory->heap);
    memory->symbols = NULL;
    memory->links = NULL;
    memory->heap = NULL;
    memory->capacity = memory->links_capacity = memory->heap_capacity = 0;
}

void sx_bpe_memory_close(sx_bpe_memory *memory)
{
    if (!memory)
        return;
    free_scratch(memory);
    sx_buffer_clear(&memory->spelling);
    free(memory->words);
    free(memory);
}

void sx_bpe_memory_trim(sx_bpe_memory *memory)
{
    if (memory->capacity > kept_symbols)
        free_scratch(memory);
}

bool sx_bpe_memory_begin(sx_bpe_memory *memory)
{
    if (!memory->words)
        memory->words = sx_aligned_calloc(sizeof(sx_bpe_word), (size_t)1 << SX_BPE_WORD_BITS, sizeof(sx_bpe_word));
    return memory->words != NULL;
}

/* The first of the word's two places. */
static size_t word_place(const char *piece, size_t length)
{
    uint64_t hash = length * 0x9e3779b97f4a7c15u, part;
    for (; length >= sizeof part; piece += sizeof part, length -= sizeof part) {
        memcpy(&part, piece, sizeof part);
        hash = (hash ^ part) * 0xbf58476d1ce4e5b9u;
        hash ^= hash >> 32;
    }
    part = 0;
    for (size_t i = 0; i < length; i++)
        part = part << 8 | (unsigned char)piece[i];
    hash = (hash ^ part) * 0xbf58476d1ce4e5b9u;
    return (size_t)(hash >> (64 - SX_BPE_WORD_BITS)) & ~(size_t)1;
}

static bool is_word(const sx_bpe_word *word, const char *piece, size_t length)
{
    return word->length == length && memcmp(word->bytes, piece, length) == 0;
}

const sx_bpe_word *sx_bpe_memory_find(const sx_bpe_memory *memory, const char *piece, size_t length)
{
    if (length == 0 || length > SX_BPE_WORD_BYTES)
        return NULL;
    const sx_bpe_word *words = memory->words + word_place(piece, length);
    return is_word(&words[0], piece, length) ? &words[0] : is_word(&words[1], piece, length) ? &words[1] : NULL;
}

void sx_bpe_memory_put(sx_bpe_memory *memory, const char *piece, size_t length)
{
    if (length == 0 || length > SX_BPE_WORD_BYTES || memory->count > SX_BPE_WORD_IDS)
        return;
    sx_bpe_word *words = memory->words + word_place(piece, length);
    words[1] = words[0];
    sx_bpe_word *word = &words[0];
    word->length = (uint8_t)length;
    word->count = (uint8_t)memory->count;
    memcpy(word->bytes, piece, length);
    for (size_t i = 0; i < memory->count; i++) {
        uint32_t end = memory->symbols[i + 1].start;
        word->ids[i] = memory->symbols[i].id;
        word->ends[i] = end < length ? (uint8_t)end : (uint8_t)length;
    }
}
