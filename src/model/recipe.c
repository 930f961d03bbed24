/* recipe.c - canonical JSON of the space and recipe of a local model. */
#include "recipe.h"

#include "model.h"

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/json_writer.h"
#include "../tok/tokenizer.h"

#include <stdlib.h>
#include <string.h>

static void write_flag(sx_buffer *buffer, const char *key, bool value)
{
    sx_buffer_printf(buffer, "\"%s\":%s", key, value ? "true" : "false");
}

static void write_text(sx_buffer *buffer, const char *key, const char *value)
{
    sx_buffer_printf(buffer, "\"%s\":", key);
    sx_json_write_string(buffer, value, strlen(value));
}

static char *space_of(const sx_model *model, const char *weights)
{
    sx_buffer buffer = {0};
    sx_buffer_printf(&buffer, "{\"dimensions\":%u,", model->dimensions);
    write_text(&buffer, "model", weights);
    sx_buffer_append_byte(&buffer, ',');
    if (model->chain.count) { /* what was there before modules were has no such member, and keeps its name */
        sx_buffer chain = {0};
        sx_module_chain_describe(&model->chain, &chain);
        write_text(&buffer, "modules", chain.data ? chain.data : "");
        buffer.failed |= chain.failed;
        sx_buffer_clear(&chain);
        sx_buffer_append_byte(&buffer, ',');
    }
    write_flag(&buffer, "normalized", model->normalize);
    sx_buffer_append_byte(&buffer, ',');
    write_text(&buffer, "pooling", model->pooling_name);
    sx_buffer_append_byte(&buffer, ',');
    write_text(&buffer, "similarity", model->folder.similarity);
    sx_buffer_append_byte(&buffer, '}');
    return sx_buffer_take(&buffer);
}

static char *recipe_of(const sx_model *model, const char *prompt, const char *space, const char *tokenizer)
{
    sx_buffer buffer = {0};
    sx_buffer_append_byte(&buffer, '{');
    write_flag(&buffer, "include_prompt", model->folder.include_prompt);
    sx_buffer_append_string(&buffer, model->folder.lower_case ? ",\"lower_case\":true" : "");
    sx_buffer_printf(&buffer, ",\"max_length\":%u,", model->max_length);
    write_text(&buffer, "precision", model->info.precision);
    sx_buffer_append_byte(&buffer, ',');
    write_text(&buffer, "prompt", prompt);
    sx_buffer_append_byte(&buffer, ',');
    write_text(&buffer, "space", space);
    if (model->folder.kind == SX_MODEL_STATIC)
        sx_buffer_printf(&buffer, ",\"static\":\"%s\"", model->folder.model2vec ? "model2vec" : "sentence-transformers");
    sx_buffer_append_byte(&buffer, ',');
    write_text(&buffer, "tokenizer", tokenizer);
    sx_buffer_append_byte(&buffer, ',');
    write_text(&buffer, "truncation", "right");
    sx_buffer_append_byte(&buffer, '}');
    return sx_buffer_take(&buffer);
}

sx_status sx_recipe_describe(const sx_model *model, const char *prompt, char **space_json, char **recipe_json, sx_error *error)
{
    const char *weights;
    sx_sha256 hash;
    char space[SX_SHA256_HEX], tokenizer[SX_SHA256_HEX];
    *space_json = *recipe_json = NULL;
    sx_status status = sx_model_weights_hash(model, &weights, error);
    if (!status)
        status = sx_tokenizer_identity(model->tokenizer, &hash);
    if (status)
        return model->hash_status ? status : sx_fail(error, status, "%s: the tokenizer's identity", model->folder.path);
    sx_sha256_hex(&hash, tokenizer);
    char *text = space_of(model, weights);
    if (!text)
        return sx_fail_nomem(error, 0);
    sx_sha256_of(text, strlen(text), &hash);
    sx_sha256_hex(&hash, space);
    *recipe_json = recipe_of(model, prompt ? prompt : model->folder.default_prompt, space, tokenizer);
    if (!*recipe_json) {
        free(text);
        return sx_fail_nomem(error, 0);
    }
    *space_json = text;
    return SX_OK;
}
