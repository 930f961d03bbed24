/* routes_tokens.c - text-embeddings-inference's /tokenize and /decode. */
#include "embed_call.h"
#include "token_decoding.h"

#include "../base/json_writer.h"

#include <string.h>

/* A token that was added has no place in the text; of the others the text itself is shown, as TEI does. */
static void write_token(const sx_embed_call *call, const sx_encoding *encoding, size_t index, sx_text text, sx_buffer *to)
{
    uint32_t start = encoding->starts[index], end = encoding->ends[index];
    bool special = end == 0;
    sx_text shown =
        special ? sx_tokenizer_piece(call->model->tokenizer, encoding->ids[index]) : (sx_text){text.data + start, end - start};
    sx_buffer_printf(to, "%s{\"id\":%u,\"text\":", index ? "," : "", encoding->ids[index]);
    sx_json_write_string(to, shown.data ? shown.data : "", shown.length);
    if (special)
        sx_buffer_append_string(to, ",\"special\":true,\"start\":null,\"stop\":null}");
    else
        sx_buffer_printf(to, ",\"special\":false,\"start\":%u,\"stop\":%u}", start, end);
}

static bool write_tokens(sx_embed_call *call, int add_special)
{
    sx_buffer *to = &call->response->body;
    sx_encoding encoding = {0};
    sx_error error = {0};
    sx_status status = SX_OK;
    sx_encode_options options = {.size = sizeof options, .no_special = !add_special};
    sx_buffer_append_byte(to, '[');
    for (size_t i = 0; i < call->count && !status; i++) {
        status = sx_tokenizer_encode(call->model->tokenizer, call->texts[i], &options, &encoding, &error);
        sx_buffer_append_string(to, i ? ",[" : "[");
        for (size_t j = 0; j < encoding.count && !status; j++)
            write_token(call, &encoding, j, call->texts[i], to);
        sx_buffer_append_byte(to, ']');
        call->request->tokens += encoding.count;
    }
    sx_buffer_append_byte(to, ']');
    sx_encoding_clear(&encoding);
    call->request->inputs = call->count;
    if (status)
        sx_api_fail_error(call->request, call->response, call->input_name, &error);
    return !status;
}

/* The first model, whatever it gives, unless one is named. False: no tokenizer here. */
static bool choose_tokenizer(sx_embed_call *call)
{
    if (!sx_embed_choose_model(call, SX_OUTPUT_DENSE | SX_OUTPUT_SCORES))
        return false;
    if (call->model->tokenizer)
        return true;
    sx_api_invalid(call->request, call->response, "model", "%s: a remote model has no tokenizer here", call->model->name);
    return false;
}

static void tokenize(sx_server *server, sx_request *request, sx_response *response)
{
    sx_embed_call call;
    sx_json json;
    sx_text key;
    int add_special = 1;
    bool good = true;
    sx_embed_call_begin(&call, server, request, response, "inputs");
    if (sx_embed_body_begins(&call, &json))
        while (good && sx_embed_body_member(&call, &json, &key)) {
            if (sx_text_is(key, "inputs"))
                good = sx_embed_read_inputs(&call, &json);
            else if (sx_text_is(key, "add_special_tokens"))
                good = sx_embed_read_boolean(&json, &add_special);
            else if (sx_text_is(key, "model"))
                good = sx_embed_read_string(&call, &json, &call.model_name);
            else
                good = sx_json_skip(&json);
        }
    if (!call.failed && sx_embed_body_ends(&call, &json)) {
        if (call.has_ids) {
            sx_api_invalid(request, response, "inputs", "inputs are token ids already");
        } else if (choose_tokenizer(&call)) {
            int64_t start = sx_system_clock.monotonic_ns(sx_system_clock.user);
            write_tokens(&call, add_special);
            request->tokenization_ns = sx_system_clock.monotonic_ns(sx_system_clock.user) - start;
        }
    }
    sx_embed_call_end(&call);
}

/* Ids that the tokenizer puts around texts. */
static bool special_ids(sx_embed_call *call, sx_encoding *encoding)
{
    sx_error error = {0};
    size_t kept = 0;
    if (sx_tokenizer_encode(call->model->tokenizer, (sx_text){"a", 1}, NULL, encoding, &error)) {
        sx_api_fail_error(call->request, call->response, NULL, &error);
        return false;
    }
    for (size_t i = 0; i < encoding->count; i++)
        if (!encoding->ends[i])
            encoding->ids[kept++] = encoding->ids[i];
    encoding->count = kept;
    return true;
}

static void write_texts(sx_embed_call *call, bool skip_special)
{
    sx_buffer *to = &call->response->body;
    sx_buffer text = {.maximum = call->server->options.max_body * 8};
    sx_encoding special = {0};
    sx_piece_style style = sx_piece_style_of(call->model->tokenizer);
    bool good = !skip_special || special_ids(call, &special);
    sx_buffer_append_byte(to, '[');
    for (size_t i = 0; i < call->count && good; i++) {
        uint32_t bad = 0;
        sx_buffer_reset(&text);
        good = sx_decode_tokens(call->model->tokenizer, style, call->ids + call->id_starts[i],
                                call->id_starts[i + 1] - call->id_starts[i], special.ids, special.count, &text, &bad);
        if (!good) {
            sx_api_invalid(call->request, call->response, "ids", "ids[%zu]: %u is no token of %s", i, bad, call->model->name);
            break;
        }
        if (i)
            sx_buffer_append_byte(to, ',');
        sx_json_write_string(to, text.length ? text.data : "", text.length);
    }
    if (good)
        sx_buffer_append_byte(to, ']');
    sx_encoding_clear(&special);
    sx_buffer_clear(&text);
}

static void decode(sx_server *server, sx_request *request, sx_response *response)
{
    sx_embed_call call;
    sx_json json;
    sx_text key;
    int skip_special = 1;
    bool good = true;
    sx_embed_call_begin(&call, server, request, response, "ids");
    if (sx_embed_body_begins(&call, &json))
        while (good && sx_embed_body_member(&call, &json, &key)) {
            if (sx_text_is(key, "ids"))
                good = sx_embed_read_inputs(&call, &json);
            else if (sx_text_is(key, "skip_special_tokens"))
                good = sx_embed_read_boolean(&json, &skip_special);
            else if (sx_text_is(key, "model"))
                good = sx_embed_read_string(&call, &json, &call.model_name);
            else
                good = sx_json_skip(&json);
        }
    if (!call.failed && sx_embed_body_ends(&call, &json)) {
        if (!call.has_ids)
            sx_api_invalid(request, response, "ids", "ids are no token ids");
        else if (choose_tokenizer(&call))
            write_texts(&call, skip_special);
    }
    sx_embed_call_end(&call);
}

const sx_route sx_routes_tokens[] = {
    {"POST", "/tokenize", SX_FORM_TEI, 0, tokenize},
    {"POST", "/decode", SX_FORM_TEI, 0, decode},
    {NULL, NULL, SX_FORM_TEI, 0, NULL},
};
