/* token_decoding.h - token ids back to text. */
#ifndef SX_SERVER_TOKEN_DECODING_H
#define SX_SERVER_TOKEN_DECODING_H

#include "sextant.h"

#include "../base/buffer.h"

/* How a vocabulary spells its pieces. */
typedef enum sx_piece_style {
    SX_PIECES_WORDPIECE,  /* "##ing" goes on with a word */
    SX_PIECES_BYTE_LEVEL, /* GPT-2's characters for bytes */
    SX_PIECES_METASPACE   /* U+2581 for a space */
} sx_piece_style;

/* By looking at the pieces. */
sx_piece_style sx_piece_style_of(const sx_tokenizer *tokenizer);
/* Appends the text of the ids. special (special_count ids, ascending or not): left out. False: an id is none (*bad). */
bool sx_decode_tokens(const sx_tokenizer *tokenizer, sx_piece_style style, const uint32_t *ids, size_t count,
                      const uint32_t *special, size_t special_count, sx_buffer *to, uint32_t *bad);

#endif
