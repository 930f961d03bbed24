/* token_counter.c - a model's tokenizer as the chunkers' token counter. */
#include "token_counter.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../model/text_tokens.h"

#include <stdlib.h>
#include <string.h>

typedef struct model_counter {
    const sx_model *model;
    char *prompt;
    size_t prompt_length;
    sx_text_counting scratch; /* reused from call to call */
} model_counter;

/* More scratch than this is given back after a call: one huge paragraph must not hold memory for the whole run. */
enum { KEPT_TOKENS = 1 << 18 };

static void release_large_scratch(model_counter *counter)
{
    if (counter->scratch.encoding.capacity > KEPT_TOKENS)
        sx_encoding_clear(&counter->scratch.encoding);
}

static size_t count_tokens(void *user, const char *text, size_t length, uint32_t *starts, size_t capacity)
{
    model_counter *counter = user;
    sx_encode_options options = {.size = sizeof options, .no_special = 1};
    sx_encoding *encoding = &counter->scratch.encoding;
    if (sx_tokenizer_encode(sx_model_tokenizer(counter->model), (sx_text){text, length}, &options, encoding, NULL))
        return SIZE_MAX;
    size_t count = encoding->count;
    if (starts && count)
        memcpy(starts, encoding->starts, (count < capacity ? count : capacity) * sizeof *starts);
    release_large_scratch(counter);
    return count;
}

static size_t count_embedded(void *user, const char *text, size_t length)
{
    model_counter *counter = user;
    size_t count;
    if (sx_text_count_tokens(counter->model, (sx_text){counter->prompt, counter->prompt_length}, (sx_text){text, length},
                             &counter->scratch, &count, NULL))
        return SIZE_MAX;
    release_large_scratch(counter);
    return count;
}

sx_status sx_model_counter_open(const sx_model *model, const char *prompt, sx_token_counter *counter, sx_error *error)
{
    memset(counter, 0, sizeof *counter);
    model_counter *own = sx_calloc(1, sizeof *own);
    if (!own)
        return sx_fail_nomem(error, sizeof *own);
    *counter = (sx_token_counter){
        .count = count_tokens,
        .count_embedded = count_embedded,
        .user = own,
        .special = sx_text_special_tokens(model),
        .limit = sx_text_token_limit(model),
    };
    own->model = model;
    own->prompt = sx_strdup(prompt ? prompt : "");
    sx_status status = own->prompt ? SX_OK : sx_fail_nomem(error, strlen(prompt) + 1);
    if (!status && own->prompt[0]) {
        own->prompt_length = strlen(own->prompt);
        size_t count = count_tokens(own, own->prompt, own->prompt_length, NULL, 0);
        counter->prompt = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
        if (count == SIZE_MAX)
            status = sx_fail_nomem(error, own->prompt_length);
    }
    if (status)
        sx_model_counter_close(counter);
    return status;
}

void sx_model_counter_close(sx_token_counter *counter)
{
    model_counter *own = counter->user;
    if (own) {
        sx_text_counting_clear(&own->scratch);
        free(own->prompt);
    }
    free(own);
    memset(counter, 0, sizeof *counter);
}
