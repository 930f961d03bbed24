/* remote_counter.h - counting tokens of a model that runs elsewhere. */
#ifndef SX_PROVIDER_REMOTE_COUNTER_H
#define SX_PROVIDER_REMOTE_COUNTER_H

#include "../chunk/chunk.h"

typedef struct sx_remote_counting {
    const sx_places *places;     /* NULL: nothing is installed */
    const char *service, *model;
    const char *tokenizer;       /* named by the user: a model that is here, a file, cl100k_base and the like; NULL or "": none */
    const char *prompt;          /* put before each text; NULL: none */
    uint32_t limit;              /* most tokens of a text; 0: not known */
} sx_remote_counting;

/* In this order: the tokenizer that was named, whose model's limit then holds where none is known; for OpenAI's models their own
 * encoding, when its ranks are installed (models_folder/openai-ranks); where the limit is known, an estimate, but bytes for a text
 * that has more of them than the model takes tokens; and else bytes. No tokenizer in use makes more tokens than bytes, so what is
 * counted to be within the limit is. *name says which: the tokenizer as it was named, "cl100k_base", "estimate", "bytes"; it lives as long as the counter. */
sx_status sx_remote_counter_open(const sx_remote_counting *asked, sx_token_counter *counter, const char **name, sx_error *error);
/* Whether it is a tokenizer that counts. */
bool sx_remote_counter_is_exact(const sx_token_counter *counter);
void sx_remote_counter_close(sx_token_counter *counter);

#endif
