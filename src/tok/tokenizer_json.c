/* tokenizer_json.c - reading tokenizer.json as the Hugging Face tokenizers library writes it (its version "1.0").
 *
 * Members may come in any order, so the small ones are kept as they are until the vocabulary is known. A component of a type this
 * version does not have is SX_E_UNSUPPORTED with its name; truncation, padding and decoder do not concern encoding. */
#include "tokenizer_internal.h"

#include "../base/error.h"
#include "../base/json_reader.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { COMPONENTS = 3 };
static const char *const component_names[COMPONENTS] = {"normalizer", "pre_tokenizer", "post_processor"};

typedef struct reader {
    sx_tokenizer *tokenizer;
    sx_json json;          /* where the reading is */
    const char *field;     /* what is being read, for errors */
    sx_buffer key_buffer, buffer;
    sx_error *error;
    sx_model_reading model;
    const sx_tokenizer_overrides *overrides; /* may be NULL */
    /* Values read later; data NULL: absent. */
    sx_text added_tokens, components[COMPONENTS];
} reader;

static sx_status fail_format(reader *r, const char *problem)
{
    if (r->json.problem)
        return sx_fail(r->error, SX_E_FORMAT, "%s: %s: byte %zu: %s", r->tokenizer->path, r->field, r->json.problem_position,
                       r->json.problem);
    return sx_fail(r->error, SX_E_FORMAT, "%s: %s: %s", r->tokenizer->path, r->field, problem);
}

static bool next_member(reader *r, sx_text *key)
{
    return sx_json_member(&r->json, &r->key_buffer, key);
}

static bool read_id(reader *r, uint32_t *id)
{
    uint64_t number;
    if (!sx_json_unsigned(&r->json, &number))
        return false;
    if (number >= SX_VOCABULARY_LIMIT)
        return sx_json_reject(&r->json, "an id out of range (4194304 and more)");
    *id = (uint32_t)number;
    return true;
}

static sx_status read_added_token(reader *r, const char *where)
{
    sx_added_token token = {0};
    sx_text key, content = {0};
    bool has_id = false, has_normalized = false;
    r->field = where;
    sx_json_object(&r->json);
    while (next_member(r, &key)) {
        if (sx_text_is(key, "id"))
            has_id = read_id(r, &token.id);
        else if (sx_text_is(key, "content"))
            sx_json_string(&r->json, &r->buffer, &content);
        else if (sx_text_is(key, "special"))
            sx_json_boolean(&r->json, &token.special);
        else if (sx_text_is(key, "single_word"))
            sx_json_boolean(&r->json, &token.single_word);
        else if (sx_text_is(key, "lstrip"))
            sx_json_boolean(&r->json, &token.lstrip);
        else if (sx_text_is(key, "rstrip"))
            sx_json_boolean(&r->json, &token.rstrip);
        else if (sx_text_is(key, "normalized"))
            has_normalized = sx_json_boolean(&r->json, &token.normalized);
        else
            sx_json_skip(&r->json);
    }
    if (r->json.problem)
        return fail_format(r, NULL);
    if (!has_id || !content.data)
        return fail_format(r, has_id ? "has no content" : "has no id");
    if (!has_normalized)
        token.normalized = !token.special;
    token.content = content;
    return sx_tokenizer_add_token(r->tokenizer, &token, where, r->error);
}

static sx_status read_added_tokens(reader *r)
{
    char where[64];
    size_t index = 0;
    sx_status status = SX_OK;
    r->field = "added_tokens";
    if (!r->added_tokens.data)
        return SX_OK;
    /* Begun at the file's first byte, so that errors count from there. */
    const char *data = (const char *)r->json.data;
    sx_json_begin(&r->json, data, r->json.length, r->tokenizer->path);
    r->json.position = (size_t)(r->added_tokens.data - data);
    if (sx_json_null(&r->json))
        return SX_OK;
    sx_json_array(&r->json);
    while (!status && sx_json_element(&r->json)) {
        snprintf(where, sizeof where, "added_tokens[%zu]", index++);
        status = read_added_token(r, where);
    }
    r->field = "added_tokens";
    return !status && r->json.problem ? fail_format(r, NULL) : status;
}

/* A small component as a tree. *tree is NULL when the file has none. */
static sx_status load_component(reader *r, int which, json_t **tree)
{
    sx_text raw = r->components[which];
    json_error_t problem;
    *tree = NULL;
    if (!raw.data)
        return SX_OK;
    *tree = json_loadb(raw.data, raw.length, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &problem);
    if (*tree)
        return SX_OK;
    return sx_fail(r->error, SX_E_FORMAT, "%s: %s: byte %zu: %s", r->tokenizer->path, component_names[which],
                   (size_t)(raw.data - (const char *)r->json.data) + (size_t)(problem.position > 0 ? problem.position : 0),
                   problem.text);
}

static sx_status read_component(reader *r, int which)
{
    sx_tokenizer *tokenizer = r->tokenizer;
    json_t *tree;
    sx_status status = load_component(r, which, &tree);
    if (!status && r->overrides)
        status = sx_tokenizer_override(r->overrides, tokenizer, component_names[which], &tree, r->error);
    if (status) {
        json_decref(tree);
        return status;
    }
    switch (which) {
    case 0:
        status = sx_normalizer_read(tree, tokenizer->path, &tokenizer->arena, &tokenizer->normalizer, r->error);
        break;
    case 1:
        status = sx_pre_tokenizer_read(tree, tokenizer->path, &tokenizer->arena, &tokenizer->pre_tokenizer, r->error);
        break;
    default:
        status = sx_post_processor_read(tree, tokenizer->path, &tokenizer->vocabulary, &tokenizer->post, r->error);
    }
    json_decref(tree);
    return status;
}

/* Reads the model and remembers where the rest is. */
static sx_status read_top(reader *r)
{
    sx_text key, raw;
    r->field = "the file";
    sx_json_object(&r->json);
    while (next_member(r, &key)) {
        if (sx_text_is(key, "model")) {
            sx_status status = sx_model_reading_read(&r->model, r->tokenizer, &r->json, r->error);
            if (status)
                return status;
            continue;
        }
        sx_text *place = sx_text_is(key, "added_tokens") ? &r->added_tokens : NULL;
        for (int i = 0; i < COMPONENTS; i++)
            if (sx_text_is(key, component_names[i]))
                place = &r->components[i];
        if (!sx_json_raw(&r->json, &raw))
            break;
        if (place)
            *place = raw;
    }
    if (!sx_json_end(&r->json))
        return fail_format(r, NULL);
    return r->model.found ? SX_OK : fail_format(r, "there is no model");
}

sx_status sx_tokenizer_read_json(sx_tokenizer *tokenizer, const char *data, size_t length,
                                 const sx_tokenizer_overrides *overrides, sx_error *error)
{
    reader r = {.tokenizer = tokenizer, .overrides = overrides, .error = error};
    sx_json_begin(&r.json, data, length, tokenizer->path);
    sx_status status = read_top(&r);
    for (int i = 0; i < 2 && !status; i++)
        status = read_component(&r, i);
    if (!status)
        status = sx_model_reading_finish(&r.model, tokenizer, error);
    if (!status)
        status = read_added_tokens(&r);
    if (!status && overrides)
        status = sx_tokenizer_override_tokens(overrides, tokenizer, error);
    if (!status)
        status = read_component(&r, 2);
    sx_model_reading_clear(&r.model);
    sx_buffer_clear(&r.key_buffer);
    sx_buffer_clear(&r.buffer);
    return status;
}
