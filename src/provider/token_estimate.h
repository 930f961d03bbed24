/* token_estimate.h - about how many tokens a text has for a tokenizer that is not here. */
#ifndef SX_PROVIDER_TOKEN_ESTIMATE_H
#define SX_PROVIDER_TOKEN_ESTIMATE_H

#include <stddef.h>
#include <stdint.h>

/* As an sx_token_counter's count. Never more than one token for each byte. */
size_t sx_estimate_tokens(const char *text, size_t length, uint32_t *starts, size_t capacity);

#endif
