/* unigram.h - the unigram language model (Kudo 2018): the most probable way to cut a piece, found by Viterbi. */
#ifndef SX_TOK_UNIGRAM_H
#define SX_TOK_UNIGRAM_H

#include "vocabulary.h"
#include "wordpiece.h" /* sx_piece_sink */

typedef struct sx_unigram sx_unigram; /* immutable once finished: any number of threads */

/* vocabulary outlives it. unknown_id: SX_UNIGRAM_NO_UNKNOWN when there is none (then an unknown character is an error of the
 * file found at finish or never met, as in tokenizers). */
enum { SX_UNIGRAM_NO_UNKNOWN = -1 };
sx_status sx_unigram_open(const sx_vocabulary *vocabulary, int64_t unknown_id, bool byte_fallback, sx_unigram **out,
                          sx_error *error);
/* The score (log probability) of each id in turn, from 0 on. Pieces given twice: the last one is found by text. */
sx_status sx_unigram_add_score(sx_unigram *unigram, uint32_t id, double score, sx_error *error);
sx_status sx_unigram_finish(sx_unigram *unigram, const char *path, sx_error *error);
void sx_unigram_close(sx_unigram *unigram);

/* Scratch for one thread. */
typedef struct sx_unigram_memory sx_unigram_memory;
sx_unigram_memory *sx_unigram_memory_open(void);
void sx_unigram_memory_close(sx_unigram_memory *memory);

/* The ids of one piece; start and end given to the sink count bytes within it. Neighbouring unknown characters are one token,
 * as in tokenizers. False: no memory. */
bool sx_unigram_split(const sx_unigram *unigram, sx_unigram_memory *memory, const char *piece, size_t length,
                      sx_piece_sink *sink, void *user);
void sx_unigram_describe(const sx_unigram *unigram, sx_buffer *buffer);

#endif
