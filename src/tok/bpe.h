/* bpe.h - byte pair encoding (Sennrich et al. 2016), as tokenizers' models/bpe and tiktoken do it. */
#ifndef SX_TOK_BPE_H
#define SX_TOK_BPE_H

#include "vocabulary.h"
#include "wordpiece.h" /* sx_piece_sink */

typedef struct sx_bpe sx_bpe; /* immutable once finished: any number of threads; words are remembered in a sx_bpe_memory */

typedef struct sx_bpe_options {
    bool byte_level;            /* vocabulary and merges are spelt in GPT-2's byte characters; pieces are plain bytes */
    bool byte_fallback;         /* a character that is no piece becomes its bytes' pieces <0x00> .. <0xFF> */
    bool fuse_unknown;          /* neighbouring unknown characters become one unknown token */
    bool ignore_merges;         /* a whole piece that is in the vocabulary is taken at once */
    bool has_unknown;
    uint32_t unknown_id;
    sx_text continuing_prefix;  /* before a character that does not begin its piece; usually empty */
    sx_text end_suffix;         /* behind the last character of a piece; usually empty */
} sx_bpe_options;

/* vocabulary outlives it. Merges are added in rank order, then finish. */
sx_status sx_bpe_open(const sx_vocabulary *vocabulary, const sx_bpe_options *options, sx_bpe **out, sx_error *error);
/* One line of merges.txt or entry of "merges": the two sides. SX_E_FORMAT when a side or the whole is not in the vocabulary;
 * `path` and rank name the place. */
sx_status sx_bpe_add_merge(sx_bpe *bpe, sx_text left, sx_text right, uint32_t rank, const char *path, sx_error *error);
/* tiktoken: no merges; any two pieces whose joined bytes are a piece merge, ranked by that piece's id (= rank). */
sx_status sx_bpe_merge_by_rank(sx_bpe *bpe, sx_error *error);
sx_status sx_bpe_finish(sx_bpe *bpe, sx_error *error);
void sx_bpe_close(sx_bpe *bpe);

/* Words met before and their ids, and scratch; for one thread and one sx_bpe. Bounded. */
typedef struct sx_bpe_memory sx_bpe_memory;
sx_bpe_memory *sx_bpe_memory_open(void);
void sx_bpe_memory_close(sx_bpe_memory *memory);

/* The ids of one piece of the text; start and end given to the sink count bytes within the piece. False: no memory. */
bool sx_bpe_split(const sx_bpe *bpe, sx_bpe_memory *memory, const char *piece, size_t length, sx_piece_sink *sink, void *user);

/* GPT-2's reversible table: byte to code point and back (-1: no byte). */
uint32_t sx_byte_character(unsigned char byte);
int sx_character_byte(uint32_t code);
/* Appends a canonical description of the merges, for the tokenizer's identity. */
void sx_bpe_describe(const sx_bpe *bpe, sx_buffer *buffer);

#endif
