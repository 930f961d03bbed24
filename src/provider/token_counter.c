/* token_counter.c - a model's tokenizer as the chunkers' token counter. */
#include "token_counter.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>

typedef struct model_counter {
    const sx_tokenizer *tokenizer;
    sx_encoding encoding; /* reused from call to call */
} model_counter;

/* More scratch than this is given back after a call: one huge paragraph must not hold memory for the whole run. */
enum { KEPT_TOKENS = 1 << 18 };

static sx_status encode(model_counter *counter, const char *text, size_t length, int no_special, sx_error *error)
{
    sx_encode_options options = {.size = sizeof options, .no_special = no_special};
    return sx_tokenizer_encode(counter->tokenizer, (sx_text){text, length}, &options, &counter->encoding, error);
}

static size_t count_tokens(void *user, const char *text, size_t length, uint32_t *starts, size_t capacity)
{
    model_counter *counter = user;
    if (encode(counter, text, length, 1, NULL))
        return SIZE_MAX;
    size_t count = counter->encoding.count;
    if (starts && count)
        memcpy(starts, counter->encoding.starts, (count < capacity ? count : capacity) * sizeof *starts);
    if (counter->encoding.capacity > KEPT_TOKENS)
        sx_encoding_clear(&counter->encoding);
    return count;
}

sx_status sx_model_counter_open(const sx_model *model, const char *prompt, sx_token_counter *counter, sx_error *error)
{
    memset(counter, 0, sizeof *counter);
    model_counter *own = sx_calloc(1, sizeof *own);
    if (!own)
        return sx_fail_nomem(error, sizeof *own);
    own->tokenizer = sx_model_tokenizer(model);
    counter->user = own;
    counter->count = count_tokens;
    counter->limit = sx_model_describe(model)->max_length;
    sx_status status = encode(own, "", 0, 0, error);
    if (!status) {
        counter->special = (uint32_t)own->encoding.count;
        if (prompt && prompt[0])
            status = encode(own, prompt, strlen(prompt), 1, error);
        else
            own->encoding.count = 0;
    }
    if (status) {
        sx_model_counter_close(counter);
        return status;
    }
    counter->prompt = (uint32_t)own->encoding.count;
    return SX_OK;
}

void sx_model_counter_close(sx_token_counter *counter)
{
    model_counter *own = counter->user;
    if (own)
        sx_encoding_clear(&own->encoding);
    free(own);
    memset(counter, 0, sizeof *counter);
}
