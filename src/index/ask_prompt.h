/* ask_prompt.h - the question and the passages that fit the budget, as the messages a chat model is sent. */
#ifndef SX_INDEX_ASK_PROMPT_H
#define SX_INDEX_ASK_PROMPT_H

#include "embedder.h"

/* The instructions, the same for every question. */
extern const char sx_ask_instructions[];

/* What counts tokens for the budget: the embedding model's tokenizer, or, without one, bytes. */
const char *sx_ask_counted_by(const sx_embedder *embedder);

/* Leaves of `hits`, in order, those that fit into `budget` tokens, numbered from 1 by their rank, and writes them with the question
 * into *prompt (malloc'ed). *tokens: of prompt and instructions. SX_E_LIMIT when not even one fits. */
sx_status sx_ask_prompt(sx_embedder *embedder, sx_text question, uint32_t budget, sx_hits *hits, char **prompt, uint32_t *tokens,
                        sx_error *error);
/* Takes the passages with keys or passwords in them, or of files that are made to hold some, out of the hits; *withheld lists why, one
 * line each, malloc'ed, NULL for none. */
sx_status sx_ask_withhold(const char *to, sx_hits *hits, char **withheld, sx_error *error);

#endif
