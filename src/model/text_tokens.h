/* text_tokens.h - a text on its way to an embedder's tokenizer, and how many tokens it is there: the same for those who embed
 * and for those who count beforehand. */
#ifndef SX_MODEL_TEXT_TOKENS_H
#define SX_MODEL_TEXT_TOKENS_H

#include "model.h"

#include "../base/buffer.h"

/* Prompt and text as the tokenizer gets them: sentence-transformers joins them, strips white space off the whole and perhaps
 * lowers it; texts of cross-encoders and static models are left as they are. *prepared points into the text or one of the two
 * buffers (caller's, reused from call to call). */
sx_status sx_text_prepare(const sx_model *model, sx_text prompt, sx_text text, sx_buffer *joined, sx_buffer *lower,
                          sx_text *prepared, sx_error *error);

/* The most tokens the model takes of a text, all limits together; 0: any number. */
uint32_t sx_text_token_limit(const sx_model *model);
/* Special tokens put around a text. */
uint32_t sx_text_special_tokens(const sx_model *model);

/* Scratch of the below. Zero-initialise; sx_text_counting_clear. */
typedef struct sx_text_counting {
    sx_encoding encoding;
    sx_buffer joined, lower;
} sx_text_counting;
/* Tokens of a text as a session would feed it to the model, special tokens and prompt included, had the model no limit: what
 * is not above sx_text_token_limit is embedded whole. (A limit in characters, which some static models have, counts as the
 * share of the token limit.) */
sx_status sx_text_count_tokens(const sx_model *model, sx_text prompt, sx_text text, sx_text_counting *scratch, size_t *tokens,
                               sx_error *error);
void sx_text_counting_clear(sx_text_counting *scratch);

#endif
