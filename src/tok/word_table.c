/* word_table.c - making the table of short words, and the memory of those that were split (word_table.h). */
#include "word_table.h"

#include "../base/memory.h"

#include <stdlib.h>

bool sx_word_table_make(const sx_vocabulary *vocabulary, bool lowercase, sx_word_table *table)
{
    *table = (sx_word_table){.bits = 4};
    while (vocabulary->entries > (size_t)1 << (table->bits - 1))
        table->bits++;
    table->slots = sx_calloc((size_t)1 << table->bits, sizeof *table->slots);
    if (!table->slots)
        return false;
    uint32_t named = 0, found;
    for (uint32_t id = 0; id < vocabulary->count; id++)
        named += sx_vocabulary_piece_text(vocabulary, id).data != NULL;
    size_t mask = ((size_t)1 << table->bits) - 1;
    for (uint32_t id = 0; id < vocabulary->count; id++) {
        sx_text piece = sx_vocabulary_piece_text(vocabulary, id);
        size_t at = piece.length ? (size_t)(piece.data - vocabulary->bytes.data) : 0;
        sx_short_word word;
        /* `table` does not change letters yet: pieces are looked up as they are. */
        if (!piece.length || !sx_short_word_read(table, vocabulary->bytes.data, at, at + piece.length, &word) ||
            word.length != piece.length)
            continue;
        if (named > vocabulary->entries && (!sx_vocabulary_find(vocabulary, piece, &found) || found != id))
            continue; /* the name of an added token, which is not found by its text */
        size_t place = sx_short_word_hash(word) >> (64 - table->bits);
        while (table->slots[place].number)
            place = (place + 1) & mask;
        table->slots[place] = (sx_word_slot){word.first, word.last, id + 1};
    }
    table->lowercase = lowercase;
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
