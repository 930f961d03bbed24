/* bpe_internal.h - what bpe.c builds, bpe_memory.c remembers and bpe_split.c walks through. */
#ifndef SX_TOK_BPE_INTERNAL_H
#define SX_TOK_BPE_INTERNAL_H

#include "bpe.h"

/* No rank: the pair does not merge. No id: no such piece. */
static const uint32_t sx_bpe_none = UINT32_MAX;

typedef struct sx_bpe_pair {
    uint64_t key;    /* left id << 32 | right id, plus one; 0: free */
    uint32_t rank;
    uint32_t joined; /* the piece both become */
} sx_bpe_pair;

struct sx_bpe {
    const sx_vocabulary *vocabulary; /* pieces as spelt */
    const sx_vocabulary *plain;      /* pieces as bytes: `translated` with byte_level, else the same */
    sx_vocabulary translated;
    sx_bpe_options options;          /* its texts are this object's own copies */
    char *prefix, *suffix;
    bool by_bytes;                   /* a word's first symbols are its bytes, not its characters */
    bool by_rank;
    bool words_apart;                /* no piece has U+2581 behind another character: a text may be cut before each run of it */
    uint32_t byte_ids[256];          /* piece of a single byte (ASCII only, unless by_bytes) */
    uint32_t fallback_ids[256];      /* piece <0xNN> */
    sx_bpe_pair *pairs;              /* open addressing, at most half full */
    unsigned bits;
    uint32_t pair_count, merge_count;
};

/* The merge of two pieces; false when there is none. */
bool sx_bpe_find_pair(const sx_bpe *bpe, uint32_t left, uint32_t right, uint32_t *rank, uint32_t *joined);

/* A part of the word that is one piece now. It ends where the next one starts. */
typedef struct sx_bpe_symbol {
    uint32_t id, start;
    uint32_t rank, joined;           /* of the pair it forms with the next symbol */
} sx_bpe_symbol;

typedef struct sx_bpe_link { uint32_t previous, next; } sx_bpe_link;

enum { SX_BPE_WORD_BYTES = 27, SX_BPE_WORD_IDS = 7, SX_BPE_WORD_BITS = 14 };

/* One remembered word: a cache line. */
typedef struct sx_bpe_word {
    uint32_t ids[SX_BPE_WORD_IDS];
    uint8_t ends[SX_BPE_WORD_IDS];
    uint8_t length, count;           /* length 0: free */
    char bytes[SX_BPE_WORD_BYTES];
} sx_bpe_word;

struct sx_bpe_memory {
    sx_bpe_word *words;              /* made when first needed */
    sx_bpe_symbol *symbols;
    size_t count, capacity;          /* of symbols; one more stands behind them and ends the last */
    sx_bpe_link *links;
    uint64_t *heap;
    size_t links_capacity, heap_count, heap_capacity;
    uint64_t position;               /* bytes of the word that have symbols */
    sx_buffer spelling;
};

/* The remembered word, or NULL. Words that are empty or too long are never remembered. */
const sx_bpe_word *sx_bpe_memory_find(const sx_bpe_memory *memory, const char *piece, size_t length);
/* Remembers the symbols as those of the word, if they fit. */
void sx_bpe_memory_put(sx_bpe_memory *memory, const char *piece, size_t length);
/* Makes the table of words; false: no memory. */
bool sx_bpe_memory_begin(sx_bpe_memory *memory);
/* Releases scratch that a very long word has made large. */
void sx_bpe_memory_trim(sx_bpe_memory *memory);

#endif
