/* session.c - texts to vectors: tokenise, plan, run, pool, and a receipt for each text.
 *
 * Texts are taken in windows, so that memory does not grow with their number. All scratch memory is sized when the session is
 * opened or grown by the first calls and kept; a call like one before allocates nothing. Errors of single texts are
 * the exception: their messages are kept until the next call.
 */
#include "model.h"
#include "pooling.h"
#include "session_plan.h"

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/options.h"
#include "../text/utf8.h"
#include "../tok/tokenizer.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    WINDOW_TEXTS = 1024,
    WINDOW_BYTES = 8 * 1024 * 1024, /* of text, so that a window of long texts is not tokenised far ahead */
    GROUP_TOKENS = 256              /* their states and products fit into a core's L2 */
};

/* What one thread needs for itself. */
typedef struct session_worker {
    sx_encoding encoding;
    uint32_t *ids;          /* of the texts it tokenised in this window, end to end */
    size_t id_count, id_capacity;
    sx_buffer text;         /* prompt and text */
    sx_workspace space;
    float *pooled;
    sx_arena messages;
} session_worker;

/* A text of the window. */
typedef struct session_text {
    sx_receipt receipt;
    unsigned worker;        /* who tokenised it */
    size_t place;           /* in that worker's ids */
} session_text;

struct sx_session {
    const sx_model *model;
    sx_thread_pool *pool;
    unsigned threads;
    session_worker *workers;
    session_text *texts;    /* WINDOW_TEXTS, as the two below */
    uint32_t *lengths;
    const uint32_t **ids;
    sx_plan plan;

    /* the present call */
    const char *prompt;
    size_t prompt_length;
    uint32_t skip;          /* tokens at the start that poolings leave out */
    bool strict;
    const sx_text *window;
    size_t window_count;
    float *vectors;         /* of the window */
    _Atomic size_t next;    /* text or group to be taken */
};

/* ---- Opening ---- */

static sx_status open_worker(sx_session *session, unsigned index, sx_error *error)
{
    session_worker *worker = &session->workers[index];
    const sx_model *model = session->model;
    size_t tokens = model->max_length > GROUP_TOKENS ? model->max_length : GROUP_TOKENS;
    worker->pooled = sx_calloc(model->pooled_width, sizeof *worker->pooled);
    if (!worker->pooled)
        return sx_fail_nomem(error, model->pooled_width * sizeof *worker->pooled);
    worker->text.maximum = SIZE_MAX;
    /* the first worker's is the one that all share */
    return sx_workspace_open(&model->encoder, tokens, model->max_length, index ? 1 : session->threads, &worker->space, error);
}

sx_status sx_session_open(const sx_model *model, const sx_session_options *options, sx_session **out, sx_error *error)
{
    sx_session_options given;
    if (!out)
        return sx_fail(error, SX_E_INVALID, "sx_session_open: out is NULL");
    *out = NULL;
    if (!model)
        return sx_fail(error, SX_E_INVALID, "sx_session_open: model is NULL");
    sx_status status = sx_options_read(options, &given, sizeof given, "sx_session_options", error);
    if (status)
        return status;
    sx_session *session = sx_calloc(1, sizeof *session);
    if (!session)
        return sx_fail_nomem(error, sizeof *session);
    session->model = model;
    if ((status = sx_thread_pool_open(given.threads, &session->pool, error)))
        goto out;
    session->threads = sx_thread_pool_size(session->pool);
    session->workers = sx_calloc(session->threads, sizeof *session->workers);
    session->texts = sx_calloc(WINDOW_TEXTS, sizeof *session->texts);
    session->lengths = sx_calloc(WINDOW_TEXTS, sizeof *session->lengths);
    session->ids = sx_calloc(WINDOW_TEXTS, sizeof *session->ids);
    if (!session->workers || !session->texts || !session->lengths || !session->ids) {
        status = sx_fail_nomem(error, WINDOW_TEXTS * sizeof *session->texts);
        goto out;
    }
    size_t group = model->max_length > GROUP_TOKENS ? model->max_length : GROUP_TOKENS;
    status = sx_plan_open(WINDOW_TEXTS, model->max_length, group, session->threads,
                          model->folder.architecture.hidden_size, &session->plan, error);
    for (unsigned i = 0; i < session->threads && !status; i++)
        status = open_worker(session, i, error);
    if (status)
        goto out;
    *out = session;
    session = NULL;
out:
    sx_session_close(session);
    return status;
}

void sx_session_close(sx_session *session)
{
    if (!session)
        return;
    sx_thread_pool_close(session->pool);
    for (unsigned i = 0; session->workers && i < session->threads; i++) {
        session_worker *worker = &session->workers[i];
        sx_encoding_clear(&worker->encoding);
        free(worker->ids);
        sx_buffer_clear(&worker->text);
        sx_workspace_close(&worker->space);
        free(worker->pooled);
        sx_arena_clear(&worker->messages);
    }
    free(session->workers);
    free(session->texts);
    free(session->lengths);
    free(session->ids);
    sx_plan_close(&session->plan);
    free(session);
}

/* ---- Tokenising ---- */

/* sentence-transformers puts the prompt before the text and then strips the whole. */
static sx_status prepare(sx_session *session, session_worker *worker, sx_text text, sx_text *prepared, sx_error *error)
{
    size_t start, end;
    if (session->prompt_length) {
        sx_buffer_reset(&worker->text);
        if (!sx_buffer_append(&worker->text, session->prompt, session->prompt_length) ||
            !sx_buffer_append(&worker->text, text.data, text.length)) {
            sx_buffer_clear(&worker->text);
            return sx_fail_nomem(error, session->prompt_length + text.length);
        }
        text = (sx_text){worker->text.data, worker->text.length};
    }
    sx_text_strip(text.data, text.length, &start, &end);
    *prepared = (sx_text){text.data ? text.data + start : "", end - start};
    return SX_OK;
}

static sx_status tokenise(sx_session *session, session_worker *worker, sx_text text, session_text *slot, sx_error *error)
{
    const sx_model *model = session->model;
    sx_receipt *receipt = &slot->receipt;
    sx_encode_options options = {.size = sizeof options, .max_length = model->max_length};
    sx_encoding *encoding = &worker->encoding;
    sx_text prepared;
    if (text.length && !text.data)
        return sx_fail(error, SX_E_INVALID, "a text of %zu bytes at NULL", text.length);
    receipt->empty = sx_text_is_blank(text.data ? text.data : "", text.length);
    sx_status status = prepare(session, worker, text, &prepared, error);
    if (!status)
        status = sx_tokenizer_encode(model->tokenizer, prepared, &options, encoding, error);
    if (status)
        return status;
    receipt->tokens = (uint32_t)encoding->count;
    receipt->dropped_tokens = encoding->dropped < UINT32_MAX ? (uint32_t)encoding->dropped : UINT32_MAX;
    receipt->truncated = encoding->dropped > 0;
    if (receipt->truncated && session->strict) {
        sx_fail(error, SX_E_LIMIT, "the text has %zu tokens, but the model takes at most %u", encoding->count + encoding->dropped,
                model->max_length);
        sx_hint(error, "cut it into chunks, or do without strict");
        return SX_E_LIMIT;
    }
    if (encoding->count <= session->skip)
        return sx_fail(error, SX_E_LIMIT, "the prompt's %u tokens leave nothing of the text to be pooled", session->skip);
    for (size_t i = 0; i < encoding->count; i++)
        if (encoding->ids[i] >= model->folder.architecture.vocabulary_size)
            return sx_fail(error, SX_E_MISMATCH, "%s: token id %u, but %s has embeddings for %u only",
                           sx_tokenizer_path(model->tokenizer), encoding->ids[i], model->folder.weights,
                           model->folder.architecture.vocabulary_size);
    if (!sx_reserve((void **)&worker->ids, &worker->id_capacity, worker->id_count + encoding->count, sizeof *worker->ids))
        return sx_fail_nomem(error, (worker->id_count + encoding->count) * sizeof *worker->ids);
    memcpy(worker->ids + worker->id_count, encoding->ids, encoding->count * sizeof *worker->ids);
    slot->place = worker->id_count;
    worker->id_count += encoding->count;
    return SX_OK;
}

static void fail_text(sx_session *session, session_worker *worker, size_t index, sx_status status, const char *message)
{
    sx_receipt *receipt = &session->texts[index].receipt;
    float *vector = session->vectors + index * session->model->dimensions;
    const char *copy = sx_arena_strndup(&worker->messages, message, strlen(message));
    receipt->status = status;
    receipt->message = copy ? copy : "no memory for the message";
    for (uint32_t i = 0; i < session->model->dimensions; i++)
        vector[i] = NAN;
}

static void tokenise_work(void *user, unsigned index)
{
    sx_session *session = user;
    session_worker *worker = &session->workers[index];
    worker->id_count = 0;
    for (size_t i; (i = atomic_fetch_add(&session->next, 1)) < session->window_count;) {
        session_text *slot = &session->texts[i];
        sx_error error = {0};
        memset(slot, 0, sizeof *slot);
        slot->worker = index;
        sx_status status = tokenise(session, worker, session->window[i], slot, &error);
        session->lengths[i] = status ? 0 : slot->receipt.tokens;
        if (status)
            fail_text(session, worker, i, status, error.message);
    }
}

/* ---- Running ---- */

static void finish_text(sx_session *session, session_worker *worker, const sx_workspace *space, size_t number)
{
    const sx_model *model = session->model;
    const sx_sequence *sequence = &session->plan.sequences[number];
    size_t index = session->plan.order[number];
    float *vector = session->vectors + index * model->dimensions;
    sx_pool(model->weights->kernels, model->poolings, space->states + sequence->row * space->state_stride, space->state_stride,
            sequence->length, session->skip, model->folder.architecture.hidden_size, worker->pooled);
    memcpy(vector, worker->pooled, model->dimensions * sizeof *vector);
    if (model->normalize)
        sx_normalize(vector, model->dimensions);
    for (uint32_t i = 0; i < model->dimensions; i++) {
        if (isfinite(vector[i]))
            continue;
        fail_text(session, worker, index, SX_E_FORMAT, "the vector is not finite: the weights are damaged or overflow");
        break;
    }
}

/* Each thread takes groups of its own. */
static void separate_work(void *user, unsigned index)
{
    sx_session *session = user;
    session_worker *worker = &session->workers[index];
    for (size_t g; (g = atomic_fetch_add(&session->next, 1)) < session->plan.group_count;) {
        const sx_group *group = &session->plan.groups[g];
        sx_encoder_run(&session->model->encoder, session->plan.sequences + group->first, group->count, &worker->space, NULL,
                       0, 1);
        for (size_t i = 0; i < group->count; i++)
            finish_text(session, worker, &worker->space, group->first + i);
    }
}

/* All threads work on one group after the other. */
static void shared_work(void *user, unsigned index)
{
    sx_session *session = user;
    sx_workspace *space = &session->workers[0].space;
    for (size_t g = 0; g < session->plan.group_count; g++) {
        const sx_group *group = &session->plan.groups[g];
        size_t begin, end;
        sx_encoder_run(&session->model->encoder, session->plan.sequences + group->first, group->count, space, session->pool,
                       index, session->threads);
        sx_share(group->count, index, session->threads, &begin, &end);
        for (size_t i = begin; i < end; i++)
            finish_text(session, &session->workers[index], space, group->first + i);
        sx_thread_pool_barrier(session->pool);
    }
}

static void run_window(sx_session *session)
{
    atomic_store(&session->next, 0);
    if (session->window_count == 1)
        tokenise_work(session, 0);
    else
        sx_thread_pool_run(session->pool, tokenise_work, session);
    for (size_t i = 0; i < session->window_count; i++)
        session->ids[i] = session->lengths[i] ? session->workers[session->texts[i].worker].ids + session->texts[i].place : NULL;
    sx_plan_make(&session->plan, session->lengths, session->ids, session->window_count);
    atomic_store(&session->next, 0);
    if (session->plan.group_count)
        sx_thread_pool_run(session->pool, session->plan.shared ? shared_work : separate_work, session);
}

/* The texts from `first` on that make the next window. */
static size_t window_size(const sx_text *texts, size_t first, size_t count)
{
    size_t bytes = 0, taken = 0;
    while (first + taken < count && taken < WINDOW_TEXTS && bytes < WINDOW_BYTES) {
        size_t length = texts[first + taken].length;
        bytes += length < WINDOW_BYTES ? length : WINDOW_BYTES;
        taken++;
    }
    return taken;
}

/* Tokens at the start that belong to the prompt, where the model does not pool them: as many as the prompt alone has, without
 * a special token at its end. */
static sx_status count_prompt(sx_session *session, sx_error *error)
{
    const sx_model *model = session->model;
    session->skip = 0;
    if (model->folder.include_prompt || !session->prompt_length)
        return SX_OK;
    sx_encode_options options = {.size = sizeof options, .max_length = model->max_length};
    sx_encoding *encoding = &session->workers[0].encoding;
    size_t start, end;
    sx_text_strip(session->prompt, session->prompt_length, &start, &end);
    sx_status status = sx_tokenizer_encode(model->tokenizer, (sx_text){session->prompt + start, end - start}, &options, encoding,
                                           error);
    if (status)
        return status;
    session->skip = (uint32_t)encoding->count;
    if (session->skip && sx_tokenizer_is_special(model->tokenizer, encoding->ids[session->skip - 1]))
        session->skip--;
    return SX_OK;
}

static sx_status hand_out(const sx_session *session, size_t first, sx_receipt *receipts, sx_error *error)
{
    for (size_t i = 0; i < session->window_count; i++) {
        const sx_receipt *receipt = &session->texts[i].receipt;
        if (receipts)
            receipts[first + i] = *receipt;
        else if (receipt->status)
            return sx_fail(error, receipt->status, "text %zu: %s", first + i, receipt->message);
    }
    return SX_OK;
}

sx_status sx_session_embed(sx_session *session, const sx_text *texts, size_t count, const sx_embed_options *options,
                           float *vectors, sx_receipt *receipts, sx_error *error)
{
    sx_embed_options given;
    if (!session || (count && (!texts || !vectors)))
        return sx_fail(error, SX_E_INVALID, "sx_session_embed: %s is NULL", !session ? "session" : !texts ? "texts" : "vectors");
    sx_status status = sx_options_read(options, &given, sizeof given, "sx_embed_options", error);
    if (status)
        return status;
    session->prompt = given.prompt ? given.prompt : session->model->folder.default_prompt;
    session->prompt_length = strlen(session->prompt);
    session->strict = given.strict;
    for (unsigned i = 0; i < session->threads; i++)
        sx_arena_clear(&session->workers[i].messages);
    status = count_prompt(session, error);
    for (size_t first = 0; first < count && !status; first += session->window_count) {
        session->window = texts + first;
        session->window_count = window_size(texts, first, count);
        session->vectors = vectors + first * session->model->dimensions;
        run_window(session);
        status = hand_out(session, first, receipts, error);
    }
    return status;
}
