/* tokenizer.h - what the library itself needs of a tokenizer beyond sextant.h. */
#ifndef SX_TOK_TOKENIZER_H
#define SX_TOK_TOKENIZER_H

#include "../base/hash.h"
#include "sextant.h"

#include <stdbool.h>

/* How many special tokens encoding one text puts before it and after it (BERT: [CLS] and [SEP], 1 and 1). */
uint32_t sx_tokenizer_special_before(const sx_tokenizer *tokenizer);
uint32_t sx_tokenizer_special_after(const sx_tokenizer *tokenizer);
/* Both together: the least max_length that sx_tokenizer_encode takes. */
uint32_t sx_tokenizer_special_count(const sx_tokenizer *tokenizer);

/* Two texts with the special tokens between them, as a cross-encoder is fed. Beyond max_length (0: none) the longer one loses
 * its last token first (truncation "longest_first"). Tokens from *second on are of token type 1 (*second == count where the
 * file gives all type 0). scratch holds the second text meanwhile. SX_E_UNSUPPORTED: the tokenizer has no pair template. */
sx_status sx_tokenizer_encode_pair(const sx_tokenizer *tokenizer, sx_text first, sx_text second_text, uint32_t max_length,
                                   sx_encoding *encoding, sx_encoding *scratch, size_t *second, sx_error *error);

/* Whether an id is a special token (listed as such in the file), wherever it came from. */
bool sx_tokenizer_is_special(const sx_tokenizer *tokenizer, uint32_t id);
/* The id of a piece, added tokens included. False when there is none. */
bool sx_tokenizer_find(const sx_tokenizer *tokenizer, sx_text piece, uint32_t *id);

/* The file it was read from, for messages. */
const char *sx_tokenizer_path(const sx_tokenizer *tokenizer);

/* SHA-256 of a canonical description of what the tokenizer does: stages, options, added tokens, vocabulary. The same for
 * tokenizer.json and for vocab.txt of one tokenizer, and untouched by truncation, padding and formatting in the file. */
sx_status sx_tokenizer_identity(const sx_tokenizer *tokenizer, sx_sha256 *hash);

#endif
