/* remote_counter.c - tokens of remote models for chunk budgets, rate limits and cost, without asking the service.
 *
 * OpenAI's text-embedding-3-large, -3-small and -ada-002 use cl100k_base without special tokens. Its published file of ranks is
 * installed apart (scripts/install-openai-ranks), so it may be missing; nothing but the estimate gets worse then.
 */
#include "remote_counter.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEPT_TOKENS = 1 << 18, SPECIAL_TOKENS = 2 };

typedef struct remote_counter {
    sx_tokenizer *tokenizer; /* NULL: bytes */
    sx_encoding scratch;
} remote_counter;

static size_t count_bytes(void *user, const char *text, size_t length, uint32_t *starts, size_t capacity)
{
    (void)user;
    size_t start = 0;
    for (size_t i = 0; starts && i < length && i < capacity; i++) {
        if (((unsigned char)text[i] & 0xc0) != 0x80) /* a code point is not cut, whatever its bytes count */
            start = i;
        starts[i] = (uint32_t)start;
    }
    return length;
}

static size_t count_tokens(void *user, const char *text, size_t length, uint32_t *starts, size_t capacity)
{
    remote_counter *counter = user;
    sx_encode_options options = {.size = sizeof options, .no_special = 1};
    if (sx_tokenizer_encode(counter->tokenizer, (sx_text){text, length}, &options, &counter->scratch, NULL))
        return SIZE_MAX;
    size_t count = counter->scratch.count;
    if (starts && count)
        memcpy(starts, counter->scratch.starts, (count < capacity ? count : capacity) * sizeof *starts);
    if (counter->scratch.capacity > KEPT_TOKENS)
        sx_encoding_clear(&counter->scratch);
    return count;
}

static bool has_cl100k(const char *service, const char *model)
{
    const char *slash = strrchr(model, '/'), *name = slash ? slash + 1 : model; /* routers put the vendor before it */
    bool speaks_openai = strcmp(service, "openai") == 0 || strcmp(service, "azure") == 0;
    return speaks_openai && (strncmp(name, "text-embedding-3-", 17) == 0 || strcmp(name, "text-embedding-ada-002") == 0);
}

sx_status sx_remote_counter_open(const char *models_folder, const char *service, const char *model, const char *prompt,
                                 uint32_t limit, sx_token_counter *counter, const char **name, sx_error *error)
{
    *counter = (sx_token_counter){.count = count_bytes, .special = SPECIAL_TOKENS, .limit = limit};
    *name = "bytes";
    remote_counter *own = sx_calloc(1, sizeof *own);
    if (!own)
        return sx_fail_nomem(error, sizeof *own);
    counter->user = own;
    if (models_folder && has_cl100k(service, model)) {
        char *path = NULL;
        if (asprintf(&path, "%s/openai-ranks/cl100k_base.tiktoken", models_folder) < 0) {
            sx_remote_counter_close(counter);
            return sx_fail_nomem(error, strlen(models_folder));
        }
        sx_status status = sx_tokenizer_open(path, &own->tokenizer, error);
        free(path);
        if (status && status != SX_E_NOT_FOUND) { /* a damaged file is said, not passed over */
            sx_remote_counter_close(counter);
            return status;
        }
        if (own->tokenizer) {
            *name = "cl100k_base";
            counter->count = count_tokens;
            counter->special = 0;
        }
    }
    size_t of_prompt = prompt && *prompt ? counter->count(own, prompt, strlen(prompt), NULL, 0) : 0;
    counter->prompt = of_prompt < UINT32_MAX ? (uint32_t)of_prompt : UINT32_MAX;
    return SX_OK;
}

void sx_remote_counter_close(sx_token_counter *counter)
{
    remote_counter *own = counter->user;
    if (own) {
        sx_tokenizer_close(own->tokenizer);
        sx_encoding_clear(&own->scratch);
    }
    free(own);
    *counter = (sx_token_counter){0};
}
