/* session_tokens.c - a text as the model is fed it: prepared (text_tokens.c), as tokens, within limits. */
#include "session_internal.h"
#include "text_tokens.h"

#include "../base/error.h"
#include "../text/utf8.h"
#include "../tok/tokenizer.h"

#include <string.h>

static sx_status prepare(sx_session *session, session_worker *worker, sx_text text, sx_text *prepared, sx_error *error)
{
    sx_text prompt = {session->prompt, session->prompt_length};
    return sx_text_prepare(session->model, prompt, text, &worker->text, &worker->lower, prepared, error);
}

static sx_status encode(const sx_session *session, sx_text text, sx_encoding *encoding, sx_error *error)
{
    sx_encode_options options = {.size = sizeof options, .max_length = session->model->max_length};
    return sx_tokenizer_encode(session->model->tokenizer, text, &options, encoding, error);
}

static sx_status encode_pair(const sx_session *session, session_worker *worker, sx_text text, session_text *slot, sx_error *error)
{
    const sx_model *model = session->model;
    size_t second = 0;
    sx_text query = session->query.data ? session->query : (sx_text){"", 0};
    sx_status status = sx_tokenizer_encode_pair(model->tokenizer, query, text, model->max_length, &worker->encoding,
                                                &worker->second, &second, error);
    slot->second = model->second_type && second < worker->encoding.count ? (uint32_t)second : 0;
    return status;
}

/* A static model's own limits come before the caller's; what is cut off is counted by tokenising it all. */
static sx_status encode_static(const sx_session *session, session_worker *worker, sx_text text, sx_error *error)
{
    const sx_static_model *table = &session->model->table;
    sx_encoding *encoding = &worker->encoding;
    uint32_t asked = session->model->max_length, own = table->max_tokens;
    sx_encode_options options = {.size = sizeof options, .no_special = 1};
    size_t total = 0, kept = 0;
    sx_text cut = text;
    if (table->max_characters && text.length > table->max_characters)
        cut.length = sx_utf8_offset(text.data, text.length, table->max_characters);
    if (cut.length < text.length) {
        sx_status status = sx_tokenizer_encode(session->model->tokenizer, text, &options, encoding, error);
        if (status)
            return status;
        total = encoding->count;
    }
    options.max_length = own && (!asked || own < asked) ? own : asked;
    sx_status status = sx_tokenizer_encode(session->model->tokenizer, cut, &options, encoding, error);
    if (status)
        return status;
    if (total > encoding->count)
        encoding->dropped = total - encoding->count;
    for (size_t i = 0; i < encoding->count; i++)
        if (!table->has_unknown || encoding->ids[i] != table->unknown)
            encoding->ids[kept++] = encoding->ids[i];
    encoding->count = kept;
    return SX_OK;
}

static sx_status check_ids(const sx_session *session, const sx_encoding *encoding, sx_error *error)
{
    const sx_model *model = session->model;
    size_t rows = model->weights ? model->folder.architecture.vocabulary_size : model->table.tokens;
    for (size_t i = 0; i < encoding->count; i++)
        if (encoding->ids[i] >= rows)
            return sx_fail(error, SX_E_MISMATCH, "%s: token id %u, but %s has embeddings for %zu only",
                           sx_tokenizer_path(model->tokenizer), encoding->ids[i], model->folder.weights, rows);
    return SX_OK;
}

static sx_status check_length(const sx_session *session, const sx_encoding *encoding, sx_error *error)
{
    if (encoding->dropped && session->strict) {
        sx_fail(error, SX_E_LIMIT, "the text has %zu tokens, but the model takes at most %zu",
                encoding->count + encoding->dropped, encoding->count);
        sx_hint(error, "cut it into chunks, or do without strict");
        return SX_E_LIMIT;
    }
    if (session->model->folder.kind == SX_MODEL_STATIC)
        return SX_OK;
    if (!encoding->count)
        return sx_fail(error, SX_E_LIMIT, "the text has no tokens, and the tokenizer of this model adds none");
    if (encoding->count <= session->skip)
        return sx_fail(error, SX_E_LIMIT, "the prompt's %u tokens leave nothing of the text to be pooled", session->skip);
    return SX_OK;
}

/* Appends a text's tokens to those this worker has found in the window. */
static sx_status keep_ids(session_worker *worker, const uint32_t *ids, size_t count, session_text *slot, sx_error *error)
{
    if (!sx_reserve((void **)&worker->ids, &worker->id_capacity, worker->id_count + count, sizeof *worker->ids))
        return sx_fail_nomem(error, (worker->id_count + count) * sizeof *worker->ids);
    memcpy(worker->ids + worker->id_count, ids, count * sizeof *worker->ids);
    slot->place = worker->id_count;
    worker->id_count += count;
    return SX_OK;
}

/* A text that came as tokens. */
static sx_status take_tokens(sx_session *session, session_worker *worker, size_t index, sx_error *error)
{
    const sx_tokens *tokens = &session->window_tokens[index];
    const sx_model *model = session->model;
    size_t rows = model->folder.architecture.vocabulary_size;
    if (!tokens->count || !tokens->ids)
        return sx_fail(error, SX_E_INVALID, "a text without tokens");
    if (tokens->count > model->max_length)
        return sx_fail(error, SX_E_LIMIT, "the text has %zu tokens, but the model takes at most %u", tokens->count,
                       model->max_length);
    for (size_t i = 0; i < tokens->count; i++)
        if (tokens->ids[i] >= rows)
            return sx_fail(error, SX_E_INVALID, "token id %u, but %s has embeddings for %zu only", tokens->ids[i],
                           model->folder.weights, rows);
    session->texts[index].receipt.tokens = (uint32_t)tokens->count;
    return keep_ids(worker, tokens->ids, tokens->count, &session->texts[index], error);
}

sx_status sx_session_tokenise(sx_session *session, session_worker *worker, size_t index, sx_error *error)
{
    const sx_model *model = session->model;
    if (session->window_tokens)
        return take_tokens(session, worker, index, error);
    sx_text text = session->window[index], prepared;
    session_text *slot = &session->texts[index];
    sx_receipt *receipt = &slot->receipt;
    sx_encoding *encoding = &worker->encoding;
    if (text.length && !text.data)
        return sx_fail(error, SX_E_INVALID, "a text of %zu bytes at NULL", text.length);
    receipt->empty = sx_text_is_blank(text.data ? text.data : "", text.length);
    sx_status status = prepare(session, worker, text, &prepared, error);
    if (status)
        return status;
    if (model->folder.kind == SX_MODEL_CROSS_ENCODER)
        status = encode_pair(session, worker, prepared, slot, error);
    else if (model->folder.kind == SX_MODEL_STATIC)
        status = encode_static(session, worker, prepared, error);
    else
        status = encode(session, prepared, encoding, error);
    if (status)
        return status;
    receipt->tokens = (uint32_t)encoding->count;
    receipt->dropped_tokens = encoding->dropped < UINT32_MAX ? (uint32_t)encoding->dropped : UINT32_MAX;
    receipt->truncated = encoding->dropped > 0;
    if ((status = check_length(session, encoding, error)) || (status = check_ids(session, encoding, error)))
        return status;
    if (model->folder.kind == SX_MODEL_STATIC)
        return SX_OK;
    return keep_ids(worker, encoding->ids, encoding->count, slot, error);
}

/* Tokens at the start that belong to the prompt, where the model does not pool them: as many as the prompt alone has, without
 * a special token at its end. */
sx_status sx_session_count_prompt(sx_session *session, sx_error *error)
{
    const sx_model *model = session->model;
    session_worker *worker = &session->workers[0];
    session->skip = 0;
    if (model->folder.include_prompt || !session->prompt_length || model->folder.kind != SX_MODEL_EMBEDDER)
        return SX_OK;
    sx_text prepared;
    sx_status status = prepare(session, worker, (sx_text){"", 0}, &prepared, error);
    if (!status)
        status = encode(session, prepared, &worker->encoding, error);
    if (status)
        return status;
    session->skip = (uint32_t)worker->encoding.count;
    if (session->skip && sx_tokenizer_is_special(model->tokenizer, worker->encoding.ids[session->skip - 1]))
        session->skip--;
    return SX_OK;
}
