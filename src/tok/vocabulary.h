/* vocabulary.h - the pieces of a tokenizer's model: text to id by hashing, id to text by number. */
#ifndef SX_TOK_VOCABULARY_H
#define SX_TOK_VOCABULARY_H

#include "../base/buffer.h"
#include "sextant.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ids at and beyond this are refused: the largest vocabularies have some 300,000 pieces. */
enum { SX_VOCABULARY_LIMIT = 1 << 22 };

/* The place and length of the piece stand here too: one cache line less to fetch for each word. */
typedef struct sx_vocabulary_slot {
    uint32_t check;  /* low half of the hash */
    uint32_t number; /* id + 1; 0: free */
    uint32_t offset, length;
} sx_vocabulary_slot;

typedef struct sx_vocabulary_piece {
    uint32_t offset; /* in bytes */
    uint32_t length; /* UINT32_MAX: no piece has this id */
} sx_vocabulary_piece;

/* Zero-initialise. */
typedef struct sx_vocabulary {
    sx_buffer bytes;
    sx_vocabulary_piece *pieces; /* by id */
    size_t capacity;
    uint32_t count;              /* highest id + 1 */
    uint32_t entries;            /* pieces that are found by text */
    uint32_t longest;            /* bytes of the longest of them */
    sx_vocabulary_slot *slots;
    unsigned bits;               /* log2 of the number of slots */
} sx_vocabulary;

typedef enum sx_vocabulary_result {
    SX_VOCABULARY_OK,
    SX_VOCABULARY_SAME_TEXT,
    SX_VOCABULARY_SAME_ID,
    SX_VOCABULARY_RANGE,
    SX_VOCABULARY_NOMEM
} sx_vocabulary_result;

void sx_vocabulary_clear(sx_vocabulary *vocabulary);
/* Adds a piece that sx_vocabulary_find finds. */
sx_vocabulary_result sx_vocabulary_add(sx_vocabulary *vocabulary, sx_text text, uint32_t id);
/* Gives a free id a text that is not found by sx_vocabulary_find: a token added behind the model's own. */
sx_vocabulary_result sx_vocabulary_name(sx_vocabulary *vocabulary, sx_text text, uint32_t id);
/* Gives a free id a text that is there already, which is then found as this id. */
sx_vocabulary_result sx_vocabulary_replace(sx_vocabulary *vocabulary, sx_text text, uint32_t id);
bool sx_vocabulary_find(const sx_vocabulary *vocabulary, sx_text text, uint32_t *id);
/* {NULL, 0} when there is none. */
sx_text sx_vocabulary_piece_text(const sx_vocabulary *vocabulary, uint32_t id);

/* The hash is built byte by byte (FNV-1a, 64 bits), so that the hashes of all beginnings of a word cost one pass. */
static const uint64_t sx_hash_start = 0xcbf29ce484222325u;

static inline uint64_t sx_hash_byte(uint64_t hash, unsigned char byte)
{
    return (hash ^ byte) * 0x100000001b3u;
}

static inline uint64_t sx_hash_bytes(uint64_t hash, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        hash = sx_hash_byte(hash, (unsigned char)bytes[i]);
    return hash;
}

/* The id of prefix + text, whose hash is given. */
bool sx_vocabulary_find_hashed(const sx_vocabulary *vocabulary, uint64_t hash, sx_text prefix, const char *text,
                               size_t length, uint32_t *id);

#endif
