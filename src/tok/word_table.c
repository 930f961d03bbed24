/* word_table.c - making the table of short words, and the memory of those that were split (word_table.h). */
#include "word_table.h"

#include "../base/memory.h"

#include <stdlib.h>

/* False when the piece is no such word. */
static bool read_key(const char *piece, uint32_t length, sx_short_word *word)
{
    uint64_t halves[2] = {0};
    if (!length || length > SX_WORD_TABLE_LONGEST)
        return false;
    for (uint32_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)piece[i];
        if (!((byte >= '0' && byte <= '9') || ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z')))
            return false;
        halves[i / 8] |= (uint64_t)byte << 8 * (i % 8);
    }
    *word = (sx_short_word){halves[0], (uint32_t)halves[1], length};
    return true;
}

bool sx_word_table_make(const sx_vocabulary *vocabulary, bool lowercase, sx_word_table *table)
{
    *table = (sx_word_table){.bits = 4, .lowercase = lowercase};
    while (vocabulary->entries > (size_t)1 << (table->bits - 1))
        table->bits++;
    table->slots = sx_calloc((size_t)1 << table->bits, sizeof *table->slots);
    if (!table->slots)
        return false;
    size_t mask = ((size_t)1 << table->bits) - 1, slots = vocabulary->slots ? (size_t)1 << vocabulary->bits : 0;
    for (size_t i = 0; i < slots; i++) { /* not by id: names of added tokens are not found by their text */
        const sx_vocabulary_slot *slot = &vocabulary->slots[i];
        sx_short_word word;
        if (!slot->number || !read_key(vocabulary->bytes.data + slot->offset, slot->length, &word))
            continue;
        size_t place = sx_short_word_hash(word) >> (64 - table->bits);
        while (table->slots[place].number)
            place = (place + 1) & mask;
        table->slots[place] = (sx_word_slot){word.first, word.last, slot->number};
    }
    return true;
}

void sx_word_table_clear(sx_word_table *table)
{
    free(table->slots);
    *table = (sx_word_table){0};
}

bool sx_word_memory_place(sx_word_memory *memory, uint64_t serial, uint64_t hash, sx_split_word **place)
{
    *place = NULL;
    if (memory->serial != serial) {
        sx_word_memory_clear(memory);
        memory->serial = serial;
    }
    if (!memory->words) {
        if (++memory->splits < SX_WORD_MEMORY_PATIENCE)
            return true;
        memory->words = sx_aligned_calloc(64, (size_t)1 << SX_WORD_MEMORY_BITS, sizeof *memory->words);
        if (!memory->words)
            return false;
    }
    *place = &memory->words[hash >> (64 - SX_WORD_MEMORY_BITS)];
    return true;
}

void sx_word_memory_clear(sx_word_memory *memory)
{
    free(memory->words);
    *memory = (sx_word_memory){0};
}
