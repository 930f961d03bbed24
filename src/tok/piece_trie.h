/* piece_trie.h - which pieces begin at a place of a text: a trie over bytes, kept as a double array. */
#ifndef SX_TOK_PIECE_TRIE_H
#define SX_TOK_PIECE_TRIE_H

#include "vocabulary.h"

/* One node. The child for a byte is the unit base ^ byte, if that one's parent is this node. */
typedef struct sx_trie_unit {
    uint32_t base;
    uint32_t parent; /* index of the parent + 1; 0: free */
    uint32_t id;     /* of the piece that ends here, SX_TRIE_NO_PIECE: none does */
} sx_trie_unit;

enum { SX_TRIE_NO_PIECE = UINT32_MAX >> 1 };

/* Zero-initialise. The root is unit 0. */
typedef struct sx_piece_trie {
    sx_trie_unit *units;
    uint32_t count; /* a multiple of 256 */
} sx_piece_trie;

/* All pieces of the vocabulary but empty ones; of equal texts the highest id. SX_E_LIMIT when there are too many bytes. */
sx_status sx_piece_trie_build(sx_piece_trie *trie, const sx_vocabulary *vocabulary, uint32_t count, sx_error *error);
void sx_piece_trie_clear(sx_piece_trie *trie);

/* The child of a node; 0 (no node's child) when there is none. */
static inline uint32_t sx_piece_trie_child(const sx_piece_trie *trie, uint32_t node, unsigned char byte)
{
    uint32_t child = trie->units[node].base ^ byte;
    return trie->units[child].parent == node + 1 ? child : 0;
}

#endif
