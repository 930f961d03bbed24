/* word_table.h - words of up to twelve ASCII letters and digits, looked up without a step for each byte.
 *
 * Most words of most texts are such pieces as a whole. Where such a word ends, its letters in lower case and its key come from a
 * few operations on eight bytes at a time (L. Lamport 1975 calls it multiple byte processing with full-word instructions), and a
 * look-up reads one cache line. Such words that are several pieces are remembered with them. What is neither goes the way of all
 * words (wordpiece.h). */
#ifndef SX_TOK_WORD_TABLE_H
#define SX_TOK_WORD_TABLE_H

#include "vocabulary.h"

#include <string.h>

enum { SX_WORD_TABLE_LONGEST = 12 };

typedef struct sx_word_slot {
    uint64_t first;  /* eight bytes, the first in the lowest; 0 beyond the end */
    uint32_t last;   /* four more */
    uint32_t number; /* id + 1; 0: free */
} sx_word_slot;

typedef struct sx_word_table {
    sx_word_slot *slots; /* NULL: there is no table, and nothing is found */
    unsigned bits;       /* log2 of the number of slots; at most half are taken */
    bool lowercase;      /* texts' letters are */
} sx_word_table;

/* Of all pieces that are such words. False on no memory. */
bool sx_word_table_make(const sx_vocabulary *vocabulary, bool lowercase, sx_word_table *table);
void sx_word_table_clear(sx_word_table *table);

static inline uint64_t sx_load_eight(const char *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

/* text[at] and the 15 bytes behind it, those from `end` on as zeros. */
static inline void sx_load_sixteen(const char *text, size_t at, size_t end, uint64_t *low, uint64_t *high)
{
    if (end - at >= 16) {
        *low = sx_load_eight(text + at);
        *high = sx_load_eight(text + at + 8);
    } else if (end >= 16) {
        unsigned missing = 8 * (unsigned)(16 - (end - at)); /* bits, 8 to 120: end > at */
        uint64_t a = sx_load_eight(text + end - 16), b = sx_load_eight(text + end - 8);
        *low = missing >= 64 ? b >> (missing - 64) : a >> missing | b << (64 - missing);
        *high = missing >= 64 ? 0 : b >> missing;
    } else {
        char padded[16] = {0};
        memcpy(padded, text + at, end - at);
        *low = sx_load_eight(padded);
        *high = sx_load_eight(padded + 8);
    }
}

static const uint64_t sx_all_ones = 0x0101010101010101u;

/* 0x80 in each byte that is a letter; *digits: a digit. Sums stay within their bytes, whose upper bits are clear. */
static inline uint64_t sx_letters_of(uint64_t eight, uint64_t *digits)
{
    const uint64_t top = sx_all_ones * 0x80;
    uint64_t low = eight & ~top, folded = low | sx_all_ones * 0x20;
    uint64_t letters = (folded + sx_all_ones * (0x80 - 'a')) & ~(folded + sx_all_ones * (0x80 - 'z' - 1));
    *digits = (low + sx_all_ones * (0x80 - '0')) & ~(low + sx_all_ones * (0x80 - '9' - 1)) & ~eight & top;
    return letters & ~eight & top;
}

/* A word of up to twelve letters and digits, in lower case where the table is. */
typedef struct sx_short_word {
    uint64_t first;
    uint32_t last, length;
} sx_short_word;

/* The word that begins at text[at] (at < end) and ends before `end`. False: none does, or a longer one. */
static inline bool sx_short_word_read(const sx_word_table *table, const char *text, size_t at, size_t end, sx_short_word *word)
{
    uint64_t low, high, low_digits, high_digits;
    sx_load_sixteen(text, at, end, &low, &high);
    uint64_t low_letters = sx_letters_of(low, &low_digits), high_letters = sx_letters_of(high, &high_digits);
    uint64_t low_others = ~(low_letters | low_digits) & sx_all_ones * 0x80;
    uint64_t high_others = ~(high_letters | high_digits) & sx_all_ones * 0x80;
    size_t length = low_others    ? (size_t)__builtin_ctzll(low_others) / 8
                    : high_others ? 8 + (size_t)__builtin_ctzll(high_others) / 8
                                  : 16;
    if (length - 1 >= SX_WORD_TABLE_LONGEST) /* also none */
        return false;
    if (table->lowercase) {
        low |= low_letters >> 2; /* 0x20 */
        high |= high_letters >> 2;
    }
    word->first = length < 8 ? low & (((uint64_t)1 << 8 * length) - 1) : low;
    word->last = length > 8 ? (uint32_t)(high & (((uint64_t)1 << 8 * (length - 8)) - 1)) : 0;
    word->length = (uint32_t)length;
    return true;
}

static inline uint64_t sx_short_word_hash(sx_short_word word)
{
    uint64_t hash = (word.first ^ (uint64_t)word.last << 29) * 0x9e3779b97f4a7c15u;
    return (hash ^ hash >> 32) * 0xd6e8feb86659fd93u;
}

/* Whether the word is a piece. */
static inline bool sx_word_table_find(const sx_word_table *table, sx_short_word word, uint64_t hash, uint32_t *id)
{
    size_t mask = ((size_t)1 << table->bits) - 1;
    for (size_t place = hash >> (64 - table->bits);; place = (place + 1) & mask) {
        const sx_word_slot *slot = &table->slots[place];
        if (slot->first == word.first && slot->last == word.last && slot->number) {
            *id = slot->number - 1;
            return true;
        }
        if (!slot->number)
            return false;
    }
}

/* ---- Words that are several pieces ---- */

enum { SX_WORD_MEMORY_BITS = 12, SX_WORD_MEMORY_PIECES = 8, SX_WORD_MEMORY_PATIENCE = 256 };

/* One cache line. */
typedef struct sx_split_word {
    _Alignas(64) uint64_t first;
    uint32_t last;
    uint8_t count; /* of its pieces; 0: free */
    uint8_t ends[SX_WORD_MEMORY_PIECES]; /* bytes of the word behind each */
    uint32_t ids[SX_WORD_MEMORY_PIECES];
} sx_split_word;

/* The pieces of words that were split lately; belongs to one thread. Zero-initialise. */
typedef struct sx_word_memory {
    sx_split_word *words; /* NULL until so many words have been split that it pays */
    unsigned splits;
    uint64_t serial;      /* of the tokenizer */
} sx_word_memory;

/* NULL: not known. */
static inline const sx_split_word *sx_word_memory_find(const sx_word_memory *memory, sx_short_word word, uint64_t hash)
{
    if (!memory->words)
        return NULL;
    const sx_split_word *known = &memory->words[hash >> (64 - SX_WORD_MEMORY_BITS)];
    return known->count && known->first == word.first && known->last == word.last ? known : NULL;
}
/* Where the pieces of a word are to be kept; NULL: not yet. False: no memory. */
bool sx_word_memory_place(sx_word_memory *memory, uint64_t serial, uint64_t hash, sx_split_word **place);
void sx_word_memory_clear(sx_word_memory *memory);

#endif
