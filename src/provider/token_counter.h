/* token_counter.h - a model's tokenizer as the chunkers' token counter. */
#ifndef SX_PROVIDER_TOKEN_COUNTER_H
#define SX_PROVIDER_TOKEN_COUNTER_H

#include "../chunk/chunk.h"

/* Counts with the model's tokenizer, whole chunks with the prompt (NULL: none) as a session would feed them. The counter has
 * scratch memory: one thread at a time. The model must outlive it. */
sx_status sx_model_counter_open(const sx_model *model, const char *prompt, sx_token_counter *counter, sx_error *error);
void sx_model_counter_close(sx_token_counter *counter);

#endif
