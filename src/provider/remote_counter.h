/* remote_counter.h - counting tokens of a model that runs elsewhere. */
#ifndef SX_PROVIDER_REMOTE_COUNTER_H
#define SX_PROVIDER_REMOTE_COUNTER_H

#include "../chunk/chunk.h"

/* OpenAI's embedding models are counted with their own encoding when its ranks are installed (models_folder/openai-ranks);
 * for others, or without the ranks, each byte counts as a token, which no tokenizer in use exceeds: *name says which
 * ("cl100k_base", "bytes"). models_folder and prompt may be NULL; limit 0: none known. */
sx_status sx_remote_counter_open(const char *models_folder, const char *service, const char *model, const char *prompt,
                                 uint32_t limit, sx_token_counter *counter, const char **name, sx_error *error);
void sx_remote_counter_close(sx_token_counter *counter);

#endif
