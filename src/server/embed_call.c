/* embed_call.c - inputs of a request read in one pass without copying, embedded, and accounted for. */
#include "embed_call.h"
#include "token_decoding.h"

#include "../base/error.h"
#include "../base/json_writer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sx_embed_call_begin(sx_embed_call *call, sx_server *server, sx_request *request, sx_response *response,
                         const char *input_name)
{
    *call = (sx_embed_call){.server = server,
                            .request = request,
                            .response = response,
                            .input_name = input_name,
                            .model_name = {"", 0},
                            .role = {"", 0},
                            .truncate = -1};
    call->scratch.maximum = server->options.max_body + 1;
}

void sx_embed_call_end(sx_embed_call *call)
{
    sx_served_models_release(call->server->models, call->model);
    sx_buffer_clear(&call->scratch);
    free(call->texts);
    free(call->vectors);
    free(call->receipts);
    free(call->token_outputs);
    free(call->ids);
    free(call->id_starts);
}

/* ---- Reading ---- */

static bool fail_nomem(sx_embed_call *call)
{
    if (!call->failed)
        sx_api_fail(call->request, call->response, 503, NULL, NULL, "no memory for the request");
    call->failed = true;
    return false;
}

static bool fail_json(sx_embed_call *call, const sx_json *json)
{
    sx_error error;
    if (call->failed)
        return false;
    call->failed = true;
    sx_json_fail(json, SX_E_INVALID, &error);
    sx_api_invalid(call->request, call->response, NULL, "%s", error.message);
    return false;
}

bool sx_embed_body_begins(sx_embed_call *call, sx_json *json)
{
    const sx_request *request = call->request;
    sx_json_begin(json, request->body ? request->body : "", request->body_length, "the body");
    if (!request->body_length) {
        call->failed = true;
        sx_api_invalid(request, call->response, NULL, "the request has no body; a JSON object is expected");
        return false;
    }
    return sx_json_object(json) || fail_json(call, json);
}

bool sx_embed_body_member(sx_embed_call *call, sx_json *json, sx_text *key)
{
    return !call->failed && sx_json_member(json, &call->scratch, key);
}

bool sx_embed_read_string(sx_embed_call *call, sx_json *json, sx_text *value)
{
    sx_text text;
    if (sx_json_null(json))
        return true;
    if (!sx_json_string(json, &call->scratch, &text))
        return false;
    if (text.data == call->scratch.data && text.length) {
        text.data = sx_arena_strndup(&call->request->arena, text.data, text.length);
        if (!text.data)
            return fail_nomem(call);
    }
    *value = text;
    return true;
}

bool sx_embed_read_boolean(sx_json *json, int *value)
{
    bool read;
    if (sx_json_null(json))
        return true;
    if (!sx_json_boolean(json, &read))
        return false;
    *value = read;
    return true;
}

bool sx_embed_read_dimensions(sx_embed_call *call, sx_json *json)
{
    uint64_t value;
    if (sx_json_null(json))
        return true;
    if (!sx_json_unsigned(json, &value))
        return false;
    if (!value || value > UINT32_MAX)
        return sx_json_reject(json, "dimensions is no number from 1 on");
    call->dimensions = (uint32_t)value;
    return true;
}

static bool check_count(sx_embed_call *call)
{
    size_t most = call->server->options.max_inputs;
    if (call->count < most)
        return true;
    call->failed = true;
    int status = call->request->form == SX_FORM_TEI ? 422 : 413;
    sx_api_fail(call->request, call->response, status, call->input_name, "too_many_inputs",
                "%s has more than %zu entries, which is the most of one request here", call->input_name, most);
    return false;
}

bool sx_embed_add_text(sx_embed_call *call, sx_text text)
{
    if (!check_count(call))
        return false;
    if (!sx_reserve((void **)&call->texts, &call->text_capacity, call->count + 1, sizeof *call->texts))
        return fail_nomem(call);
    call->texts[call->count++] = text;
    return true;
}

static bool read_text(sx_embed_call *call, sx_json *json)
{
    sx_text text = {"", 0};
    if (call->has_ids)
        return sx_json_reject(json, "texts and token ids in one list");
    if (sx_json_peek(json) != SX_JSON_STRING)
        return sx_json_reject(json, "expected a text");
    return sx_embed_read_string(call, json, &text) && sx_embed_add_text(call, text);
}

static bool begin_ids(sx_embed_call *call, sx_json *json)
{
    if (call->count && !call->has_ids)
        return sx_json_reject(json, "texts and token ids in one list");
    call->has_ids = true;
    if (!check_count(call))
        return false;
    if (!sx_reserve((void **)&call->id_starts, &call->id_start_capacity, call->count + 2, sizeof *call->id_starts))
        return fail_nomem(call);
    call->id_starts[call->count++] = call->id_count;
    call->id_starts[call->count] = call->id_count;
    return true;
}

static bool read_id(sx_embed_call *call, sx_json *json)
{
    uint64_t id;
    if (!sx_json_unsigned(json, &id))
        return false;
    if (id > UINT32_MAX)
        return sx_json_reject(json, "a token id beyond 4294967295");
    if (!sx_reserve((void **)&call->ids, &call->id_capacity, call->id_count + 1, sizeof *call->ids))
        return fail_nomem(call);
    call->ids[call->id_count++] = (uint32_t)id;
    call->id_starts[call->count] = call->id_count;
    return true;
}

static bool read_id_list(sx_embed_call *call, sx_json *json)
{
    bool good = begin_ids(call, json) && sx_json_array(json);
    while (good && sx_json_element(json))
        good = read_id(call, json);
    return good && !json->problem;
}

bool sx_embed_read_inputs(sx_embed_call *call, sx_json *json)
{
    bool flat_ids = false, good = true;
    if (call->count)
        return sx_json_reject(json, "the inputs are given twice");
    if (sx_json_peek(json) == SX_JSON_STRING) {
        call->is_single = true;
        return read_text(call, json);
    }
    if (!sx_json_array(json))
        return false;
    while (good && sx_json_element(json)) {
        sx_json_type type = sx_json_peek(json);
        if (type == SX_JSON_NUMBER && (flat_ids || !call->count)) {
            if (!flat_ids)
                good = begin_ids(call, json);
            flat_ids = true;
            good = good && read_id(call, json);
        } else if (flat_ids) {
            good = sx_json_reject(json, "expected a token id");
        } else if (type == SX_JSON_ARRAY) {
            good = read_id_list(call, json);
        } else {
            good = read_text(call, json);
        }
    }
    call->is_single = flat_ids;
    return good && !json->problem;
}

bool sx_embed_body_closes(sx_embed_call *call, sx_json *json)
{
    if (!call->failed)
        sx_json_end(json);
    return !call->failed && !json->problem ? true : fail_json(call, json);
}

bool sx_embed_body_ends(sx_embed_call *call, sx_json *json)
{
    if (!sx_embed_body_closes(call, json))
        return false;
    if (!call->count) {
        call->failed = true;
        sx_api_invalid(call->request, call->response, call->input_name, "%s is missing or empty", call->input_name);
        if (call->request->form == SX_FORM_TEI)
            call->response->status = 400;
        return false;
    }
    return true;
}

/* ---- Model and prompt ---- */

static bool ends_in(sx_text name, const char *suffix)
{
    size_t length = strlen(suffix);
    return name.length > length && memcmp(name.data + name.length - length, suffix, length) == 0;
}

/* NAME-query and NAME-passage, for clients that cannot say it otherwise. */
static void split_role(sx_embed_call *call)
{
    static const char *const suffixes[] = {"-query", "-passage", "-document"};
    if (sx_served_models_has(call->server->models, call->model_name))
        return;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (ends_in(call->model_name, suffixes[i])) {
            if (!call->role.length)
                call->role = (sx_text){suffixes[i] + 1, strlen(suffixes[i]) - 1};
            call->model_name.length -= strlen(suffixes[i]);
            return;
        }
}

bool sx_embed_choose_model(sx_embed_call *call, unsigned outputs)
{
    sx_error error = {0};
    split_role(call);
    sx_status status = sx_served_models_acquire(call->server->models, call->model_name, outputs, &call->model, &error);
    if (!status) {
        call->request->model = call->model->name;
        return true;
    }
    call->failed = true;
    if (status == SX_E_NOT_FOUND) {
        sx_api_fail(call->request, call->response, 404, "model", "model_not_found", "%s; %s", error.message, error.hint);
    } else if (status == SX_E_BUSY || status == SX_E_LIMIT) { /* loading takes long, or there is no room now */
        sx_response_header(call->response, "retry-after", "5");
        sx_api_fail(call->request, call->response, 503, "model", "model_not_loaded", "%s", error.message);
    } else {
        sx_api_fail_error(call->request, call->response, "model", &error);
    }
    return false;
}

/* The word of a client for one of the library. */
static const char *role_name(sx_text role, char *buffer, size_t capacity)
{
    static const char *const words[][2] = {
        {"query", "query"},
        {"search_query", "query"},
        {"passage", "document"},
        {"document", "document"},
        {"search_document", "document"},
        {"classification", "none"},
        {"clustering", "none"},
        {"none", "none"},
        {"", "none"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (sx_text_is(role, words[i][0]))
            return words[i][1];
    if (role.length >= capacity || memchr(role.data, 0, role.length))
        return NULL;
    memcpy(buffer, role.data, role.length);
    buffer[role.length] = '\0';
    return buffer;
}

/* ---- Token ids ---- */

/* What the tokenizer puts around a text: ids before the first and behind the last token that stands for bytes. */
static bool special_tokens(sx_embed_call *call, sx_encoding *encoding, size_t *before)
{
    sx_error error = {0};
    if (sx_tokenizer_encode(call->model->tokenizer, (sx_text){"a", 1}, NULL, encoding, &error)) {
        sx_api_fail_error(call->request, call->response, call->input_name, &error);
        return false;
    }
    size_t first = 0, last = encoding->count;
    while (first < encoding->count && !encoding->ends[first])
        first++;
    while (last > first && !encoding->ends[last - 1])
        last--;
    memmove(encoding->ids + first, encoding->ids + last, (encoding->count - last) * sizeof *encoding->ids);
    encoding->count -= last - first;
    *before = first;
    return true;
}

/* Wraps each input's ids in the special tokens, unless they are there already; cuts what is too long where that is wanted. */
static bool wrap_ids(sx_embed_call *call, bool strict, sx_tokens *tokens)
{
    sx_encoding special = {0};
    size_t before = 0;
    bool good = special_tokens(call, &special, &before);
    size_t after = good ? special.count - before : 0, longest = call->model->max_length;
    for (size_t i = 0; i < call->count && good; i++) {
        const uint32_t *ids = call->ids + call->id_starts[i];
        size_t count = call->id_starts[i + 1] - call->id_starts[i];
        bool wrapped = count >= special.count && special.count && memcmp(ids, special.ids, before * sizeof *ids) == 0 &&
                       memcmp(ids + count - after, special.ids + before, after * sizeof *ids) == 0;
        if (wrapped) {
            ids += before;
            count -= special.count;
        }
        size_t keep = count;
        if (!strict && longest && keep + special.count > longest)
            keep = longest > special.count ? longest - special.count : 0;
        uint32_t *all = sx_arena_alloc(&call->request->arena, (keep + special.count + 1) * sizeof *all);
        if (!all) {
            sx_encoding_clear(&special);
            return fail_nomem(call);
        }
        memcpy(all, special.ids, before * sizeof *all);
        memcpy(all + before, ids, keep * sizeof *all);
        memcpy(all + before + keep, special.ids + before, after * sizeof *all);
        tokens[i] = (sx_tokens){all, keep + special.count};
        call->receipts[i].dropped_tokens = (uint32_t)(count - keep);
    }
    sx_encoding_clear(&special);
    return good;
}

/* OpenAI's ids back to the text they were made of. */
static bool read_cl100k(sx_embed_call *call)
{
    for (size_t i = 0; i < call->count; i++) {
        sx_buffer text = {.maximum = call->server->options.max_body * 4};
        uint32_t bad = 0;
        size_t from = call->id_starts[i], count = call->id_starts[i + 1] - from;
        if (!sx_decode_tokens(call->server->cl100k, SX_PIECES_BYTE_LEVEL, call->ids + from, count, NULL, 0, &text, &bad) &&
            !text.failed) {
            sx_buffer_clear(&text);
            sx_api_invalid(call->request, call->response, call->input_name, "%s[%zu]: %u is no id of cl100k_base",
                           call->input_name, i, bad);
            return false;
        }
        char *copy = text.failed ? NULL : sx_arena_strndup(&call->request->arena, text.data ? text.data : "", text.length);
        if (copy && sx_reserve((void **)&call->texts, &call->text_capacity, i + 1, sizeof *call->texts))
            call->texts[i] = (sx_text){copy, text.length};
        else
            copy = NULL;
        sx_buffer_clear(&text);
        if (!copy)
            return fail_nomem(call);
    }
    call->has_ids = false;
    return true;
}

static bool check_ids(sx_embed_call *call)
{
    sx_token_ids meaning = call->ids_are_models ? SX_TOKEN_IDS_MODEL : call->server->options.token_ids;
    if (!call->has_ids)
        return true;
    if (meaning == SX_TOKEN_IDS_CL100K)
        return read_cl100k(call);
    if (meaning == SX_TOKEN_IDS_MODEL && call->model->tokenizer)
        return true;
    sx_api_invalid(call->request, call->response, call->input_name,
                   "%s holds token ids, and whose they are cannot be seen: send texts (langchain: "
                   "check_embedding_ctx_length=False), or start the server with --token-ids model or --token-ids cl100k",
                   call->input_name);
    return false;
}

/* ---- Running ---- */

static bool is_blank(sx_text text)
{
    for (size_t i = 0; i < text.length; i++)
        if (!strchr(" \t\r\n\f\v", text.data[i]) || !text.data[i])
            return false;
    return true;
}

static bool check_empty(sx_embed_call *call)
{
    for (size_t i = 0; i < call->count; i++) {
        bool empty =
            call->has_ids ? call->id_starts[i] == call->id_starts[i + 1] : call->refuses_empty && is_blank(call->texts[i]);
        if (!empty)
            continue;
        sx_api_invalid(call->request, call->response, call->input_name, "%s[%zu] is empty", call->input_name, i);
        return false;
    }
    return true;
}

static bool check_dimensions(sx_embed_call *call)
{
    uint32_t has = call->model->dimensions;
    if (!call->dimensions || !has || call->dimensions <= has)
        return true;
    sx_api_invalid(call->request, call->response, "dimensions", "dimensions is %u, but the vectors of %s have %u",
                   call->dimensions, call->model->name, has);
    return false;
}

static bool run_local(sx_embed_call *call, bool strict)
{
    char name[128];
    sx_error error = {0};
    sx_request *request = call->request;
    unsigned outputs = call->outputs ? call->outputs : SX_OUTPUT_DENSE;
    sx_batch_work work = {.count = call->count,
                          .client = request->connection,
                          .gone = &request->gone,
                          .arena = &request->arena,
                          .receipts = call->receipts,
                          .outputs = call->token_outputs,
                          .options = {.size = sizeof work.options,
                                      .strict = strict,
                                      .outputs = outputs,
                                      .dimensions = call->dimensions,
                                      .normalize = call->normalize}};
    const char *role = role_name(call->role, name, sizeof name);
    if (!role || sx_model_prompt(call->model->model, role, &work.options.prompt, &error)) {
        sx_api_invalid(request, call->response, "prompt_name", "%s", role ? error.message : "no such prompt");
        return false;
    }
    if (outputs & SX_OUTPUT_DENSE) {
        size_t floats;
        call->width = work.width = call->dimensions ? call->dimensions : call->model->dimensions;
        if (!sx_multiply(call->count, call->width, &floats) || !(call->vectors = sx_calloc(floats, sizeof *call->vectors)))
            return fail_nomem(call);
        work.vectors = call->vectors;
    }
    sx_tokens *tokens = NULL;
    uint32_t *dropped = NULL;
    if (call->has_ids) {
        tokens = sx_arena_alloc(&request->arena, call->count * sizeof *tokens);
        dropped = sx_arena_alloc(&request->arena, call->count * sizeof *dropped);
        if (!tokens || !dropped)
            return fail_nomem(call);
        if (!wrap_ids(call, strict, tokens))
            return false;
        for (size_t i = 0; i < call->count; i++)
            dropped[i] = call->receipts[i].dropped_tokens;
        work.tokens = tokens;
    } else {
        work.texts = call->texts;
    }
    sx_status status = sx_batcher_embed(call->model->batcher, &work, &error);
    request->queue_ns = work.queue_ns;
    request->inference_ns = work.inference_ns;
    for (size_t i = 0; dropped && i < call->count; i++) {
        call->receipts[i].dropped_tokens = dropped[i];
        call->receipts[i].truncated = dropped[i] > 0;
    }
    if (!status)
        return true;
    if (status == SX_E_STOPPED && atomic_load(&request->gone))
        sx_api_fail(request, call->response, 499, NULL, "cancelled", "%s", error.message);
    else
        sx_api_fail_error(request, call->response, NULL, &error);
    return false;
}

/* Cuts and normalises what a service sent, since few do it by themselves. */
static void finish_remote(sx_embed_call *call, size_t has)
{
    for (size_t i = 0; i < call->count; i++) {
        const float *from = call->vectors + i * has;
        float *to = call->vectors + i * call->width;
        memmove(to, from, call->width * sizeof *to);
        double sum = 0;
        for (size_t j = 0; j < call->width; j++)
            sum += (double)to[j] * to[j];
        bool scale = (call->width < has && call->normalize >= 0) || call->normalize > 0;
        for (size_t j = 0; j < call->width && scale && sum > 0; j++)
            to[j] = (float)(to[j] / sqrt(sum));
    }
}

static bool run_remote(sx_embed_call *call)
{
    char name[128];
    sx_error error = {0};
    const char *role = role_name(call->role, name, sizeof name);
    if (call->has_ids || (call->outputs & ~(unsigned)SX_OUTPUT_DENSE)) {
        sx_api_invalid(call->request, call->response, call->input_name, "%s: a remote model takes texts and gives vectors only",
                       call->model->name);
        return false;
    }
    int64_t start = sx_system_clock.monotonic_ns(sx_system_clock.user);
    if (sx_served_models_embed_remote(call->server->models, call->model, role ? role : "", call->texts, call->count,
                                      &call->vectors, call->receipts, &call->request->arena, &error)) {
        sx_api_fail_error(call->request, call->response, NULL, &error);
        return false;
    }
    call->request->inference_ns = sx_system_clock.monotonic_ns(sx_system_clock.user) - start;
    size_t has = call->model->dimensions;
    call->width = call->dimensions && call->dimensions < has ? call->dimensions : has;
    if (call->width != has || call->normalize > 0)
        finish_remote(call, has);
    return true;
}

/* The first text that failed fails the request: a client that asked for n vectors cannot do with fewer. */
static bool check_receipts(sx_embed_call *call)
{
    for (size_t i = 0; i < call->count; i++) {
        const sx_receipt *receipt = &call->receipts[i];
        if (!receipt->status)
            continue;
        sx_error error = {.code = receipt->status};
        snprintf(error.message, sizeof error.message, "%s[%zu]: %s", call->input_name, i,
                 receipt->message ? receipt->message : "failed");
        if (receipt->status == SX_E_LIMIT && call->request->form == SX_FORM_OPENAI)
            sx_api_fail(call->request, call->response, 400, call->input_name, "context_length_exceeded", "%s", error.message);
        else
            sx_api_fail_error(call->request, call->response, call->input_name, &error);
        return false;
    }
    return true;
}

static void account(sx_embed_call *call)
{
    sx_request *request = call->request;
    uint64_t dropped = 0;
    request->inputs = call->count;
    for (size_t i = 0; i < call->count; i++) {
        request->tokens += call->receipts[i].tokens;
        request->truncated += call->receipts[i].truncated;
        request->cached += call->receipts[i].cached;
        dropped += call->receipts[i].dropped_tokens;
    }
    if (request->truncated) {
        sx_response_header(call->response, "x-sextant-truncated", "%llu", (unsigned long long)request->truncated);
        sx_response_header(call->response, "x-sextant-dropped-tokens", "%llu", (unsigned long long)dropped);
    }
}

bool sx_embed_call_run(sx_embed_call *call)
{
    unsigned outputs = call->outputs ? call->outputs : SX_OUTPUT_DENSE;
    if (call->failed || !sx_embed_choose_model(call, outputs))
        return false;
    bool strict = !(call->truncate < 0 ? call->server->options.auto_truncate : call->truncate);
    bool good = check_ids(call) && check_empty(call) && check_dimensions(call);
    call->failed = !good;
    if (!good)
        return false;
    call->receipts = sx_calloc(call->count, sizeof *call->receipts);
    if (outputs & ~(unsigned)SX_OUTPUT_DENSE)
        call->token_outputs = sx_calloc(call->count, sizeof *call->token_outputs);
    if (!call->receipts || (outputs & ~(unsigned)SX_OUTPUT_DENSE && !call->token_outputs))
        return fail_nomem(call);
    good = call->model->batcher ? run_local(call, strict) : run_remote(call);
    good = good && check_receipts(call);
    call->failed = !good;
    if (good)
        account(call);
    return good;
}

/* ---- Writing ---- */

uint64_t sx_embed_total_tokens(const sx_embed_call *call)
{
    return call->request->tokens;
}

void sx_embed_write_row(const sx_embed_call *call, size_t index, sx_buffer *to)
{
    sx_json_write_floats(to, call->vectors + index * call->width, call->width);
}

void sx_embed_write_rows(const sx_embed_call *call, sx_buffer *to)
{
    sx_buffer_append_byte(to, '[');
    for (size_t i = 0; i < call->count; i++) {
        if (i)
            sx_buffer_append_byte(to, ',');
        sx_embed_write_row(call, i, to);
    }
    sx_buffer_append_byte(to, ']');
}

void sx_embed_write_receipts(const sx_embed_call *call, sx_buffer *to)
{
    if (!call->wants_receipts)
        return;
    sx_buffer_append_string(to, ",\"receipts\":[");
    for (size_t i = 0; i < call->count; i++) {
        const sx_receipt *receipt = &call->receipts[i];
        sx_buffer_printf(to, "%s{\"tokens\":%u,\"truncated\":%s,\"dropped_tokens\":%u,\"cached\":%s,\"empty\":%s}", i ? "," : "",
                         receipt->tokens, receipt->truncated ? "true" : "false", receipt->dropped_tokens,
                         receipt->cached ? "true" : "false", receipt->empty ? "true" : "false");
    }
    sx_buffer_append_byte(to, ']');
}
