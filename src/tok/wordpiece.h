/* wordpiece.h - the WordPiece model, and the word it works on. */
#ifndef SX_TOK_WORDPIECE_H
#define SX_TOK_WORDPIECE_H

#include "vocabulary.h"

typedef struct sx_wordpiece {
    sx_text unknown;        /* the piece a word that cannot be spelt becomes */
    uint32_t unknown_id;
    sx_text prefix;         /* put before a piece that does not begin its word: "##" */
    uint64_t prefix_hash;
    uint32_t longest_word;  /* code points; a longer word is unknown */
    uint8_t *reach;         /* see sx_wordpiece_prepare */
} sx_wordpiece;

/* Once the vocabulary and the prefix are known: fills prefix_hash and a table of how long the pieces are that begin in a given
 * way, so that few lengths need to be looked up. False on no memory. */
bool sx_wordpiece_prepare(sx_wordpiece *model, const sx_vocabulary *vocabulary);
void sx_wordpiece_clear(sx_wordpiece *model);

enum { SX_WORD_ROOM = 512 };

/* A normalised word being collected, with where its bytes came from. Set up with sx_word_begin, ended with sx_word_end. */
typedef struct sx_word {
    char *bytes;
    uint32_t *starts, *ends;  /* of each byte, when not `plain` */
    uint64_t *hashes;         /* scratch of sx_wordpiece_split */
    size_t room;              /* of these four */
    size_t length;            /* bytes */
    size_t characters;        /* code points; those beyond `limit` are only counted */
    size_t limit;
    uint64_t hash;            /* of the bytes */
    uint32_t start, end;      /* bytes of the original the word covers */
    bool plain;               /* byte i came from the original's byte start + i */
    bool no_memory;
    char first_bytes[SX_WORD_ROOM];
    uint32_t first_starts[SX_WORD_ROOM], first_ends[SX_WORD_ROOM];
    uint64_t first_hashes[SX_WORD_ROOM];
    void *heap;
} sx_word;

void sx_word_begin(sx_word *word, size_t limit);
void sx_word_end(sx_word *word);
/* Adds a character that came from bytes [start, end) of the original. */
void sx_word_add(sx_word *word, uint32_t code, uint32_t start, uint32_t end);
/* Makes room for `more` bytes; false when there is no memory (noted in no_memory). */
bool sx_word_grow(sx_word *word, size_t more);
static inline void sx_word_reset(sx_word *word)
{
    word->length = word->characters = 0;
    word->hash = sx_hash_start;
    word->plain = true;
}

typedef void sx_piece_sink(void *user, uint32_t id, uint32_t start, uint32_t end);

/* Splits the word into pieces, longest first (Song et al. 2021 call it MaxMatch), or into the one unknown piece. The pieces go
 * to `sink` with the original's bytes; those of a word that turns out unknown are taken back by `undo`. */
void sx_wordpiece_split(const sx_wordpiece *model, const sx_vocabulary *vocabulary, sx_word *word, sx_piece_sink *sink,
                        void (*undo)(void *user, size_t pieces), void *user);

/* The same for a word that is known to be no piece as a whole, and not to be too long. */
void sx_wordpiece_split_apart(const sx_wordpiece *model, const sx_vocabulary *vocabulary, sx_word *word, sx_piece_sink *sink,
                              void (*undo)(void *user, size_t pieces), void *user);

#endif
