/* text_tokens.c - prompt, white space and lower case before the tokenizer; counting what comes out of it. */
#include "text_tokens.h"

#include "../base/error.h"
#include "../text/lower.h"
#include "../text/utf8.h"

#include <math.h>
#include <string.h>

static sx_text strip(sx_text text)
{
    size_t start, end;
    sx_text_strip(text.data, text.length, &start, &end);
    return (sx_text){text.data ? text.data + start : "", end - start};
}

sx_status sx_text_prepare(const sx_model *model, sx_text prompt, sx_text text, sx_buffer *joined, sx_buffer *lower,
                          sx_text *prepared, sx_error *error)
{
    if (prompt.length) {
        sx_buffer_reset(joined);
        if (!sx_buffer_append(joined, prompt.data, prompt.length) || !sx_buffer_append(joined, text.data, text.length)) {
            sx_buffer_clear(joined);
            return sx_fail_nomem(error, prompt.length + text.length);
        }
        text = (sx_text){joined->data, joined->length};
    }
    *prepared = text.data ? text : (sx_text){"", 0};
    if (model->folder.kind != SX_MODEL_EMBEDDER)
        return SX_OK;
    *prepared = strip(text);
    if (!model->folder.lower_case || !prepared->length)
        return SX_OK;
    sx_buffer_reset(lower);
    if (!sx_text_lower(prepared->data, prepared->length, lower)) {
        sx_buffer_clear(lower);
        return sx_fail_nomem(error, prepared->length);
    }
    *prepared = (sx_text){lower->data, lower->length};
    return SX_OK;
}

uint32_t sx_text_token_limit(const sx_model *model)
{
    uint32_t own = model->folder.kind == SX_MODEL_STATIC ? model->table.max_tokens : 0;
    return own && (!model->max_length || own < model->max_length) ? own : model->max_length;
}

uint32_t sx_text_special_tokens(const sx_model *model)
{
    return model->folder.kind == SX_MODEL_STATIC ? 0 : sx_tokenizer_special_count(model->tokenizer);
}

/* Of a text that is longer than a limit in characters: more than the limit in tokens, in proportion. */
static size_t tokens_of_characters(size_t characters, size_t most, uint32_t limit)
{
    return (size_t)ceil((double)limit * ((double)characters / (double)most)) + 1;
}

sx_status sx_text_count_tokens(const sx_model *model, sx_text prompt, sx_text text, sx_text_counting *scratch, size_t *tokens,
                               sx_error *error)
{
    bool is_static = model->folder.kind == SX_MODEL_STATIC;
    sx_encode_options options = {.size = sizeof options, .no_special = is_static};
    sx_text prepared;
    *tokens = 0;
    scratch->joined.maximum = scratch->lower.maximum = SIZE_MAX;
    sx_status status = sx_text_prepare(model, prompt, text, &scratch->joined, &scratch->lower, &prepared, error);
    if (!status)
        status = sx_tokenizer_encode(model->tokenizer, prepared, &options, &scratch->encoding, error);
    if (status)
        return status;
    *tokens = scratch->encoding.count;
    size_t most = is_static ? model->table.max_characters : 0, characters;
    if (most && prepared.length > most && (characters = sx_utf8_count(prepared.data, prepared.length)) > most) {
        size_t counted = tokens_of_characters(characters, most, model->table.max_tokens);
        *tokens = *tokens > counted ? *tokens : counted;
    }
    return SX_OK;
}

void sx_text_counting_clear(sx_text_counting *scratch)
{
    sx_encoding_clear(&scratch->encoding);
    sx_buffer_clear(&scratch->joined);
    sx_buffer_clear(&scratch->lower);
}
