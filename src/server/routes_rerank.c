/* routes_rerank.c - a cross-encoder's opinion of documents for a query, as Cohere's and Jina's clients ask for it and as TEI's
 * do; TEI's /predict.
 *
 * Which of the two a POST /rerank is shows in the member that holds the texts: `documents` or `texts`.
 */
#include "embed_call.h"

#include "../base/error.h"
#include "../base/json_writer.h"

#include <stdlib.h>
#include <string.h>

enum { SLICE_TEXTS = 32 };

typedef struct rerank_body {
    sx_text query;
    uint64_t top;        /* 0: all */
    int returns, is_raw; /* the texts too; before the activation */
    bool is_tei;
} rerank_body;

/* Pairs to be scored; the results are in the request's arena. */
typedef struct score_work {
    const sx_text *queries; /* one for all, or with `step` 2 the first of each pair */
    const sx_text *texts;
    size_t step;
    size_t next, count;
    float *logits, *scores;
    sx_receipt *receipts;
    bool strict;
} score_work;

/* With the session to itself: the next few. */
static sx_status score_slice(sx_session *session, void *user, sx_error *error)
{
    score_work *work = user;
    sx_score_options options = {.size = sizeof options, .strict = work->strict};
    sx_status status = SX_OK;
    for (size_t taken = 0; !status && taken < SLICE_TEXTS && work->next < work->count;) {
        size_t at = work->next, some = 1;
        if (!work->step) {
            some = work->count - at < SLICE_TEXTS ? work->count - at : SLICE_TEXTS;
            status = sx_session_score(session, work->queries[0], work->texts + at, some, &options, work->logits + at,
                                      work->scores + at, work->receipts + at, error);
        } else {
            status = sx_session_score(session, work->queries[at * 2], work->texts + at * 2, 1, &options, work->logits + at,
                                      work->scores + at, work->receipts + at, error);
        }
        work->next += some;
        taken += some;
    }
    return status;
}

static bool fail_score(sx_embed_call *call, sx_status status, const sx_error *error)
{
    if (status == SX_E_STOPPED && atomic_load(&call->request->gone))
        sx_api_fail(call->request, call->response, 499, NULL, "cancelled", "%s", error->message);
    else
        sx_api_fail_error(call->request, call->response, call->input_name, error);
    call->failed = true;
    return false;
}

/* Messages of receipts are the session's, so a text that failed is told at once. */
static bool check_receipts(sx_embed_call *call, const score_work *work, size_t from)
{
    for (size_t i = from; i < work->next; i++) {
        const sx_receipt *receipt = &work->receipts[i];
        if (!receipt->status)
            continue;
        sx_error error = {0};
        sx_fail(&error, receipt->status, "%s[%zu]: %s", call->input_name, i, receipt->message ? receipt->message : "failed");
        return fail_score(call, SX_E_INVALID, &error);
    }
    return true;
}

typedef struct slice_check {
    sx_embed_call *call;
    score_work *work;
    bool good;
} slice_check;

static sx_status score_and_check(sx_session *session, void *user, sx_error *error)
{
    slice_check *check = user;
    size_t from = check->work->next;
    sx_status status = score_slice(session, check->work, error);
    if (!status)
        check->good = check_receipts(check->call, check->work, from);
    return status;
}

/* Chooses the model and scores; false: the response is the error. */
static bool score(sx_embed_call *call, score_work *work)
{
    sx_error error = {0};
    sx_request *request = call->request;
    if (!sx_embed_choose_model(call, SX_OUTPUT_SCORES))
        return false;
    if (call->model->info->labels != 1) {
        sx_fail(&error, SX_E_UNSUPPORTED, "model '%s' gives %u labels a pair; ranking needs one", call->model->name,
                call->model->info->labels);
        return fail_score(call, SX_E_UNSUPPORTED, &error);
    }
    work->strict = !(call->truncate < 0 ? call->server->options.auto_truncate : call->truncate);
    work->logits = sx_arena_alloc(&request->arena, work->count * sizeof *work->logits + 1);
    work->scores = sx_arena_alloc(&request->arena, work->count * sizeof *work->scores + 1);
    work->receipts = sx_arena_alloc(&request->arena, work->count * sizeof *work->receipts + 1);
    if (!work->logits || !work->scores || !work->receipts) {
        sx_fail_nomem(&error, work->count * sizeof *work->receipts);
        return fail_score(call, SX_E_NOMEM, &error);
    }
    int64_t start = sx_system_clock.monotonic_ns(sx_system_clock.user);
    slice_check check = {call, work, true};
    while (check.good && work->next < work->count) {
        sx_status status =
            sx_batcher_exclusive(call->model->batcher, request->connection, &request->gone, score_and_check, &check, &error);
        if (status)
            return fail_score(call, status, &error);
    }
    request->inference_ns = sx_system_clock.monotonic_ns(sx_system_clock.user) - start;
    uint64_t dropped = 0;
    request->inputs = work->count;
    for (size_t i = 0; i < work->count; i++) {
        request->tokens += work->receipts[i].tokens;
        request->truncated += work->receipts[i].truncated;
        dropped += work->receipts[i].dropped_tokens;
    }
    if (request->truncated) {
        sx_response_header(call->response, "x-sextant-truncated", "%llu", (unsigned long long)request->truncated);
        sx_response_header(call->response, "x-sextant-dropped-tokens", "%llu", (unsigned long long)dropped);
    }
    return check.good;
}

/* ---- /rerank ---- */

typedef struct ranked {
    size_t index;
    float score, logit;
} ranked;

/* Best first; logits order as scores do, without the ties of an activation that saturates. */
static int compare_ranked(const void *a, const void *b)
{
    const ranked *first = a, *second = b;
    if (first->logit != second->logit)
        return first->logit > second->logit ? -1 : 1;
    return first->index < second->index ? -1 : 1;
}

/* A document is a string, or an object with its text. */
static bool read_document(sx_embed_call *call, sx_json *json)
{
    sx_text text = {NULL, 0}, key;
    if (sx_json_peek(json) == SX_JSON_OBJECT) {
        sx_json_object(json);
        while (!call->failed && sx_json_member(json, &call->scratch, &key)) {
            if (sx_text_is(key, "text"))
                sx_embed_read_string(call, json, &text);
            else
                sx_json_skip(json);
        }
    } else {
        sx_embed_read_string(call, json, &text);
    }
    if (call->failed || json->problem)
        return false;
    return text.data ? sx_embed_add_text(call, text) : sx_json_reject(json, "expected a text");
}

static bool read_documents(sx_embed_call *call, sx_json *json, const char *name, bool is_tei, rerank_body *body)
{
    call->input_name = name;
    body->is_tei = is_tei;
    call->request->form = is_tei ? SX_FORM_TEI : SX_FORM_COHERE;
    if (call->count)
        return sx_json_reject(json, "the texts are given twice");
    bool good = sx_json_array(json);
    while (good && sx_json_element(json))
        good = read_document(call, json);
    return good && !json->problem;
}

static bool read_rerank_member(sx_embed_call *call, sx_json *json, sx_text key, rerank_body *body)
{
    if (sx_text_is(key, "query"))
        return sx_embed_read_string(call, json, &body->query);
    if (sx_text_is(key, "documents"))
        return read_documents(call, json, "documents", false, body);
    if (sx_text_is(key, "texts"))
        return read_documents(call, json, "texts", true, body);
    if (sx_text_is(key, "model"))
        return sx_embed_read_string(call, json, &call->model_name);
    if (sx_text_is(key, "top_n"))
        return sx_json_null(json) || sx_json_unsigned(json, &body->top);
    if (sx_text_is(key, "return_documents") || sx_text_is(key, "return_text"))
        return sx_embed_read_boolean(json, &body->returns);
    if (sx_text_is(key, "raw_scores"))
        return sx_embed_read_boolean(json, &body->is_raw);
    if (sx_text_is(key, "truncate"))
        return sx_embed_read_boolean(json, &call->truncate);
    return sx_json_skip(json);
}

static void write_text(const sx_embed_call *call, size_t index, sx_buffer *to)
{
    sx_text text = call->texts[index];
    sx_json_write_string(to, text.length ? text.data : "", text.length);
}

static void write_tei(const sx_embed_call *call, const rerank_body *body, const ranked *order, size_t count)
{
    sx_buffer *to = &call->response->body;
    sx_buffer_append_byte(to, '[');
    for (size_t i = 0; i < count; i++) {
        sx_buffer_printf(to, "%s{\"index\":%zu", i ? "," : "", order[i].index);
        if (body->returns > 0) {
            sx_buffer_append_string(to, ",\"text\":");
            write_text(call, order[i].index, to);
        }
        sx_buffer_append_string(to, ",\"score\":");
        sx_json_write_float(to, body->is_raw ? order[i].logit : order[i].score);
        sx_buffer_append_byte(to, '}');
    }
    sx_buffer_append_byte(to, ']');
}

static void write_cohere(const sx_embed_call *call, const rerank_body *body, const ranked *order, size_t count)
{
    sx_buffer *to = &call->response->body;
    const sx_request *request = call->request;
    sx_buffer_append_string(to, "{\"id\":");
    sx_json_write_string(to, request->id, strlen(request->id));
    sx_buffer_append_string(to, ",\"model\":");
    sx_json_write_string(to, call->model->name, strlen(call->model->name));
    sx_buffer_append_string(to, ",\"results\":[");
    for (size_t i = 0; i < count; i++) {
        sx_buffer_printf(to, "%s{\"index\":%zu,\"relevance_score\":", i ? "," : "", order[i].index);
        sx_json_write_float(to, order[i].score);
        if (body->returns > 0) {
            sx_buffer_append_string(to, ",\"document\":{\"text\":");
            write_text(call, order[i].index, to);
            sx_buffer_append_byte(to, '}');
        }
        sx_buffer_append_byte(to, '}');
    }
    sx_buffer_printf(to,
                     "],\"meta\":{\"api_version\":{\"version\":\"%s\"},\"billed_units\":{\"search_units\":1}},"
                     "\"usage\":{\"total_tokens\":%llu}}",
                     sx_text_is(request->path, "/v1/rerank") ? "1" : "2", (unsigned long long)request->tokens);
}

static void rank(sx_embed_call *call, rerank_body *body)
{
    score_work work = {.queries = &body->query, .texts = call->texts, .count = call->count};
    if (!score(call, &work))
        return;
    ranked *order = sx_arena_alloc(&call->request->arena, call->count * sizeof *order);
    if (!order) {
        sx_api_fail(call->request, call->response, 503, NULL, NULL, "no memory for the request");
        return;
    }
    for (size_t i = 0; i < call->count; i++)
        order[i] = (ranked){i, work.scores[i], work.logits[i]};
    qsort(order, call->count, sizeof *order, compare_ranked);
    size_t count = body->top && body->top < call->count ? (size_t)body->top : call->count;
    if (body->is_tei)
        write_tei(call, body, order, call->count);
    else
        write_cohere(call, body, order, count);
}

static void rerank(sx_server *server, sx_request *request, sx_response *response)
{
    sx_embed_call call;
    sx_json json;
    sx_text key;
    rerank_body body = {.is_raw = 0};
    sx_embed_call_begin(&call, server, request, response, "documents");
    if (sx_embed_body_begins(&call, &json))
        while (sx_embed_body_member(&call, &json, &key) && read_rerank_member(&call, &json, key, &body))
            continue;
    if (!call.failed && sx_embed_body_ends(&call, &json)) {
        if (!body.query.data || !body.query.length)
            sx_api_invalid(request, response, "query", "query is missing or empty");
        else
            rank(&call, &body);
    }
    sx_embed_call_end(&call);
}

/* ---- /predict ---- */

/* One text, or the two of a pair, as an array. */
static bool read_pair(sx_embed_call *call, sx_json *json)
{
    size_t before = call->count;
    bool good = sx_json_array(json);
    while (good && sx_json_element(json)) {
        sx_text text = {NULL, 0};
        good = sx_embed_read_string(call, json, &text) && (text.data || sx_json_reject(json, "expected a text")) &&
               sx_embed_add_text(call, text);
    }
    if (good && !json->problem && call->count - before != 2)
        return sx_json_reject(json, "expected two texts: this model reads pairs");
    return good && !json->problem;
}

/* ["a", "b"] is a pair, [["a", "b"], ["c", "d"]] are two; strings and arrays are not mixed. */
static bool read_pairs(sx_embed_call *call, sx_json *json, bool *is_batch)
{
    if (call->count)
        return sx_json_reject(json, "inputs are given twice");
    if (sx_json_peek(json) == SX_JSON_STRING)
        return sx_json_reject(json, "expected two texts: this model reads pairs");
    sx_json ahead = *json;
    *is_batch = sx_json_array(&ahead) && sx_json_element(&ahead) && sx_json_peek(&ahead) == SX_JSON_ARRAY;
    if (!*is_batch)
        return read_pair(call, json);
    bool good = sx_json_array(json);
    while (good && sx_json_element(json))
        good = read_pair(call, json);
    return good && !json->problem;
}

static void write_prediction(const score_work *work, size_t index, bool is_raw, sx_buffer *to)
{
    sx_buffer_append_string(to, "[{\"score\":");
    sx_json_write_float(to, is_raw ? work->logits[index] : work->scores[index]);
    sx_buffer_append_string(to, ",\"label\":\"LABEL_0\"}]");
}

static void predict(sx_server *server, sx_request *request, sx_response *response)
{
    sx_embed_call call;
    sx_json json;
    sx_text key;
    bool good = true, is_batch = false;
    int is_raw = 0;
    sx_buffer *to = &response->body;
    sx_embed_call_begin(&call, server, request, response, "inputs");
    if (sx_embed_body_begins(&call, &json))
        while (good && sx_embed_body_member(&call, &json, &key)) {
            if (sx_text_is(key, "inputs"))
                good = read_pairs(&call, &json, &is_batch);
            else if (sx_text_is(key, "model"))
                good = sx_embed_read_string(&call, &json, &call.model_name);
            else if (sx_text_is(key, "raw_scores"))
                good = sx_embed_read_boolean(&json, &is_raw);
            else if (sx_text_is(key, "truncate"))
                good = sx_embed_read_boolean(&json, &call.truncate);
            else
                good = sx_json_skip(&json);
        }
    if (!call.failed && sx_embed_body_ends(&call, &json)) {
        score_work work = {.queries = call.texts, .texts = call.texts + 1, .step = 2, .count = call.count / 2};
        if (score(&call, &work)) {
            if (is_batch)
                sx_buffer_append_byte(to, '[');
            for (size_t i = 0; i < work.count; i++) {
                if (i)
                    sx_buffer_append_byte(to, ',');
                write_prediction(&work, i, is_raw > 0, to);
            }
            if (is_batch)
                sx_buffer_append_byte(to, ']');
        }
    }
    sx_embed_call_end(&call);
}

const sx_route sx_routes_rerank[] = {
    {"POST", "/rerank", SX_FORM_TEI, 0, rerank},
    {"POST", "/v1/rerank", SX_FORM_COHERE, 0, rerank},
    {"POST", "/v2/rerank", SX_FORM_COHERE, 0, rerank},
    {"POST", "/predict", SX_FORM_TEI, 0, predict},
    {NULL, NULL, SX_FORM_COHERE, 0, NULL},
};
