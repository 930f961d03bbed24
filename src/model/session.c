/* session.c - texts to vectors and scores: windows, plans, and a receipt for each text.
 *
 * Texts are taken in windows, so that memory does not grow with their number. All scratch memory is sized when the session is
 * opened or grown by the first calls and kept; a call like one before allocates nothing. Errors of single texts, and outputs
 * beside the vector, are the exception: they are kept until the next call.
 */
#include "session_internal.h"

#include "pooling.h"

#include "../base/clock.h"
#include "../base/error.h"
#include "../base/options.h"

#include <stdlib.h>
#include <string.h>

enum {
    WINDOW_TEXTS = 1024,
    WINDOW_BYTES = 8 * 1024 * 1024, /* of text, so that a window of long texts is not tokenised far ahead */
    GROUP_TOKENS = 256              /* their states and products fit into a core's L2 */
};

/* ---- Opening ---- */

static size_t group_tokens(const sx_model *model)
{
    return model->max_length > GROUP_TOKENS ? model->max_length : GROUP_TOKENS;
}

/* The widest of what passes through a worker's buffers. */
static size_t buffer_width(const sx_model *model)
{
    size_t widest = model->chain.widest, hidden = model->folder.architecture.hidden_size;
    widest = widest > model->pooled_width ? widest : model->pooled_width;
    if (model->outputs & SX_OUTPUT_SCORES)
        widest = 2 * hidden > model->head.output.outputs ? 2 * hidden : model->head.output.outputs;
    return widest;
}

static sx_status open_worker(sx_session *session, unsigned index, sx_error *error)
{
    session_worker *worker = &session->workers[index];
    const sx_model *model = session->model;
    size_t width = buffer_width(model);
    for (int i = 0; i < 2; i++)
        if (!(worker->buffers[i] = sx_aligned_calloc(64, width, sizeof(float))))
            return sx_fail_nomem(error, width * sizeof(float));
    worker->text.maximum = worker->lower.maximum = SIZE_MAX;
    if (model->folder.kind == SX_MODEL_STATIC) {
        worker->sums = sx_calloc(width, sizeof *worker->sums);
        return worker->sums ? SX_OK : sx_fail_nomem(error, width * sizeof *worker->sums);
    }
    /* the first worker's is the one that all share */
    return sx_workspace_open(&model->encoder, group_tokens(model), model->max_length, index ? 1 : session->threads,
                             &worker->space, error);
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
    if (model->folder.kind != SX_MODEL_STATIC)
        status = sx_plan_open(WINDOW_TEXTS, model->max_length, group_tokens(model), session->threads,
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

const sx_model *sx_session_model(const sx_session *session)
{
    return session ? session->model : NULL;
}

void sx_session_close(sx_session *session)
{
    if (!session)
        return;
    sx_thread_pool_close(session->pool);
    for (unsigned i = 0; session->workers && i < session->threads; i++) {
        session_worker *worker = &session->workers[i];
        sx_encoding_clear(&worker->encoding);
        sx_encoding_clear(&worker->second);
        free(worker->ids);
        sx_buffer_clear(&worker->text);
        sx_buffer_clear(&worker->lower);
        sx_workspace_close(&worker->space);
        free(worker->buffers[0]);
        free(worker->buffers[1]);
        free(worker->sums);
        sx_arena_clear(&worker->messages);
        sx_arena_clear(&worker->outputs);
    }
    free(session->workers);
    free(session->texts);
    free(session->lengths);
    free(session->ids);
    free(session->outputs);
    sx_plan_close(&session->plan);
    free(session);
}

/* ---- Running ---- */

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
        sx_status status = sx_session_tokenise(session, worker, i, &error);
        session->lengths[i] = status ? 0 : slot->receipt.tokens;
        if (status)
            sx_session_fail_text(session, worker, i, status, error.message);
        else if (session->model->folder.kind == SX_MODEL_STATIC)
            sx_session_finish_static(session, worker, i);
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
            sx_session_finish_sequence(session, worker, &worker->space, group->first + i);
    }
}

/* The threads of a team work on one group after the other. */
static void shared_work(void *user, unsigned index)
{
    sx_session *session = user;
    sx_workspace *space = &session->workers[0].space;
    unsigned threads = sx_thread_pool_team_size(session->pool);
    for (size_t g = 0; g < session->plan.group_count; g++) {
        const sx_group *group = &session->plan.groups[g];
        size_t begin, end;
        sx_encoder_run(&session->model->encoder, session->plan.sequences + group->first, group->count, space, session->pool,
                       index, threads);
        sx_share(group->count, index, threads, &begin, &end);
        for (size_t i = begin; i < end; i++)
            sx_session_finish_sequence(session, &session->workers[index], space, group->first + i);
        sx_thread_pool_barrier(session->pool);
    }
}

static void run_shared(sx_session *session)
{
    bool alone = sx_plan_alone(&session->plan);
    int64_t start = sx_system_clock.monotonic_ns(sx_system_clock.user);
    sx_thread_pool_run_team(session->pool, alone, shared_work, session);
    sx_plan_learn(&session->plan, sx_system_clock.monotonic_ns(sx_system_clock.user) - start,
                  !alone && sx_thread_pool_stalled(session->pool));
}

static void run_window(sx_session *session)
{
    atomic_store(&session->next, 0);
    if (session->window_count == 1)
        tokenise_work(session, 0);
    else
        sx_thread_pool_offer(session->pool, tokenise_work, session);
    if (session->model->folder.kind == SX_MODEL_STATIC)
        return;
    for (size_t i = 0; i < session->window_count; i++)
        session->ids[i] = session->lengths[i] ? session->workers[session->texts[i].worker].ids + session->texts[i].place : NULL;
    sx_plan_make(&session->plan, session->lengths, session->ids, session->window_count);
    for (size_t i = 0; i < session->plan.sequence_count; i++)
        session->plan.sequences[i].second = session->texts[session->plan.order[i]].second;
    atomic_store(&session->next, 0);
    if (session->plan.group_count && session->plan.shared)
        run_shared(session);
    else if (session->plan.group_count)
        sx_thread_pool_offer(session->pool, separate_work, session);
}

/* The texts from `first` on that make the next window. */
static size_t window_size(const sx_text *texts, size_t first, size_t count)
{
    size_t bytes = 0, taken = 0;
    if (!texts) /* tokens */
        return count - first < WINDOW_TEXTS ? count - first : WINDOW_TEXTS;
    while (first + taken < count && taken < WINDOW_TEXTS && bytes < WINDOW_BYTES) {
        size_t length = texts[first + taken].length;
        bytes += length < WINDOW_BYTES ? length : WINDOW_BYTES;
        taken++;
    }
    return taken;
}

static sx_status hand_out(const sx_session *session, sx_receipt *receipts, sx_error *error)
{
    size_t first = session->window_first;
    for (size_t i = 0; i < session->window_count; i++) {
        const sx_receipt *receipt = &session->texts[i].receipt;
        if (receipts)
            receipts[first + i] = *receipt;
        else if (receipt->status)
            return sx_fail(error, receipt->status, "text %zu: %s", first + i, receipt->message);
    }
    return SX_OK;
}

/* Room for what texts have beside their vectors; what the call before had is gone. */
static sx_status begin_call(sx_session *session, size_t count, sx_error *error)
{
    for (unsigned i = 0; i < session->threads; i++) {
        sx_arena_clear(&session->workers[i].messages);
        sx_arena_clear(&session->workers[i].outputs);
    }
    session->output_count = 0;
    if (!(session->wanted & (SX_OUTPUT_SPARSE | SX_OUTPUT_MULTI)) || !count)
        return SX_OK;
    if (!sx_reserve((void **)&session->outputs, &session->output_capacity, count, sizeof *session->outputs))
        return sx_fail_nomem(error, count * sizeof *session->outputs);
    memset(session->outputs, 0, count * sizeof *session->outputs);
    session->output_count = count;
    return SX_OK;
}

/* texts or tokens, the other is NULL. */
static sx_status run_call(sx_session *session, const sx_text *texts, const sx_tokens *tokens, size_t count,
                          sx_receipt *receipts, sx_error *error)
{
    sx_status status = begin_call(session, count, error);
    if (!status)
        status = sx_session_count_prompt(session, error);
    for (size_t first = 0; first < count && !status; first += session->window_count) {
        session->window = texts ? texts + first : NULL;
        session->window_tokens = tokens ? tokens + first : NULL;
        session->window_first = first;
        session->window_count = window_size(texts, first, count);
        run_window(session);
        status = hand_out(session, receipts, error);
    }
    return status;
}

/* ---- Calls ---- */

static sx_status lacks_output(const sx_model *model, unsigned missing, sx_error *error)
{
    const sx_model_info *info = &model->info;
    if (missing & SX_OUTPUT_SCORES) {
        sx_fail(error, SX_E_UNSUPPORTED, "%s: the model is of the kind \"%s\" and scores no pairs of texts", info->folder,
                info->kind);
        sx_hint(error, "a cross-encoder does, for example cross-encoder/ms-marco-MiniLM-L6-v2");
    } else if (model->outputs & SX_OUTPUT_SCORES) {
        sx_fail(error, SX_E_UNSUPPORTED, "%s: the model is a cross-encoder, which scores pairs of texts and gives no vectors",
                info->folder);
        sx_hint(error, "use it to rerank, and an embedder for vectors");
    } else {
        sx_fail(error, SX_E_UNSUPPORTED, "%s: the model gives no %s output", info->folder,
                missing & SX_OUTPUT_SPARSE ? "sparse" : "multi-vector");
        sx_hint(error, "bge-m3 and its kin do, with sparse_linear and colbert_linear beside their weights");
    }
    return SX_E_UNSUPPORTED;
}

static sx_status embed_call(const char *name, sx_session *session, const sx_text *texts, const sx_tokens *tokens, size_t count,
                            const sx_embed_options *options, float *vectors, sx_receipt *receipts, sx_error *error)
{
    const unsigned known = SX_OUTPUT_DENSE | SX_OUTPUT_SPARSE | SX_OUTPUT_MULTI;
    sx_embed_options given;
    sx_status status = sx_options_read(options, &given, sizeof given, "sx_embed_options", error);
    if (status)
        return status;
    unsigned wanted = given.outputs ? given.outputs : SX_OUTPUT_DENSE;
    if (wanted & ~known)
        return sx_fail(error, SX_E_INVALID, "%s: outputs: %#x is none", name, wanted & ~known);
    if (count && !vectors && wanted & SX_OUTPUT_DENSE)
        return sx_fail(error, SX_E_INVALID, "%s: vectors is NULL", name);
    if (given.dimensions > session->model->dimensions)
        return sx_fail(error, SX_E_INVALID, "%s: dimensions: %u, but the model has %zu", name, given.dimensions,
                       (size_t)session->model->dimensions);
    if (wanted & ~session->model->outputs)
        return lacks_output(session->model, wanted & ~session->model->outputs, error);
    session->wanted = wanted;
    session->prompt = tokens ? "" : given.prompt ? given.prompt : session->model->folder.default_prompt;
    session->prompt_length = strlen(session->prompt);
    session->strict = given.strict;
    session->vectors = wanted & SX_OUTPUT_DENSE ? vectors : NULL;
    session->scores = NULL;
    session->row_width = given.dimensions ? given.dimensions : session->model->dimensions;
    session->normalize = given.normalize ? given.normalize > 0 : session->model->normalize;
    return run_call(session, texts, tokens, count, receipts, error);
}

sx_status sx_session_embed(sx_session *session, const sx_text *texts, size_t count, const sx_embed_options *options,
                           float *vectors, sx_receipt *receipts, sx_error *error)
{
    if (!session || (count && !texts))
        return sx_fail(error, SX_E_INVALID, "sx_session_embed: %s is NULL", !session ? "session" : "texts");
    return embed_call("sx_session_embed", session, texts, NULL, count, options, vectors, receipts, error);
}

sx_status sx_session_embed_tokens(sx_session *session, const sx_tokens *texts, size_t count, const sx_embed_options *options,
                                  float *vectors, sx_receipt *receipts, sx_error *error)
{
    static const sx_tokens none;
    if (!session || (count && !texts))
        return sx_fail(error, SX_E_INVALID, "sx_session_embed_tokens: %s is NULL", !session ? "session" : "texts");
    if (session->model->folder.kind != SX_MODEL_EMBEDDER)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: a model of the kind \"%s\" takes no tokens", session->model->info.folder,
                       session->model->info.kind);
    return embed_call("sx_session_embed_tokens", session, NULL, texts ? texts : &none, count, options, vectors, receipts, error);
}

const sx_text_outputs *sx_session_outputs(const sx_session *session, size_t *count)
{
    if (count)
        *count = session ? session->output_count : 0;
    return session && session->output_count ? session->outputs : NULL;
}

sx_status sx_session_score(sx_session *session, sx_text query, const sx_text *texts, size_t count,
                           const sx_score_options *options, float *logits, float *scores, sx_receipt *receipts, sx_error *error)
{
    sx_score_options given;
    if (!session || (count && !texts) || (query.length && !query.data) || (count && !logits && !scores))
        return sx_fail(error, SX_E_INVALID, "sx_session_score: %s is NULL",
                       !session                        ? "session"
                       : count && !texts               ? "texts"
                       : query.length && !query.data   ? "query"
                                                       : "both logits and scores");
    sx_status status = sx_options_read(options, &given, sizeof given, "sx_score_options", error);
    if (status)
        return status;
    if (!(session->model->outputs & SX_OUTPUT_SCORES))
        return lacks_output(session->model, SX_OUTPUT_SCORES, error);
    session->wanted = SX_OUTPUT_SCORES;
    session->query = query;
    session->prompt = "";
    session->prompt_length = 0;
    session->strict = given.strict;
    session->vectors = logits;
    session->scores = scores;
    session->row_width = session->model->head.output.outputs;
    return run_call(session, texts, NULL, count, receipts, error);
}

sx_status sx_session_tokens(sx_session *session, const sx_text *query, sx_text text, const char *prompt, sx_tokens *tokens,
                            sx_error *error)
{
    if (tokens)
        *tokens = (sx_tokens){0};
    if (!session || !tokens)
        return sx_fail(error, SX_E_INVALID, "sx_session_tokens: %s is NULL", !session ? "session" : "tokens");
    const sx_model *model = session->model;
    bool pair = model->folder.kind == SX_MODEL_CROSS_ENCODER;
    if (pair != (query != NULL))
        return sx_fail(error, SX_E_INVALID, "sx_session_tokens: a model of the kind \"%s\" takes %s", model->info.kind,
                       pair ? "a query and a text" : "no query");
    session->prompt = pair ? "" : prompt ? prompt : model->folder.default_prompt;
    session->prompt_length = strlen(session->prompt);
    session->query = pair ? *query : (sx_text){"", 0};
    session->strict = false;
    session->skip = 0;
    session->window = &text;
    session->window_tokens = NULL;
    session_worker *worker = &session->workers[0];
    worker->id_count = 0;
    memset(&session->texts[0], 0, sizeof session->texts[0]);
    sx_status status = sx_session_tokenise(session, worker, 0, error);
    session->window = NULL;
    if (status)
        return status;
    bool kept = model->folder.kind != SX_MODEL_STATIC;
    tokens->ids = kept ? worker->ids + session->texts[0].place : worker->encoding.ids;
    tokens->count = kept ? worker->id_count : worker->encoding.count;
    return SX_OK;
}
