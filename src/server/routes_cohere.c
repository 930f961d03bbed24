/* routes_cohere.c - Cohere's /v1/embed and /v2/embed: vectors by type, floats, bytes of them, or bits. */
#include "embed_call.h"

#include "../base/json_writer.h"

#include <math.h>
#include <string.h>

enum { TYPE_FLOAT = 1, TYPE_INT8 = 2, TYPE_UINT8 = 4, TYPE_BINARY = 8, TYPE_UBINARY = 16, TYPE_BASE64 = 32 };
static const struct {
    const char *name;
    unsigned bit;
} types[] = {{"float", TYPE_FLOAT},   {"int8", TYPE_INT8},       {"uint8", TYPE_UINT8},
             {"binary", TYPE_BINARY}, {"ubinary", TYPE_UBINARY}, {"base64", TYPE_BASE64}};
enum { TYPES = sizeof types / sizeof *types };

typedef struct cohere_body {
    unsigned wanted; /* TYPE_* */
    sx_text truncate;
} cohere_body;

static bool read_types(sx_embed_call *call, sx_json *json, cohere_body *body)
{
    if (sx_json_null(json))
        return true;
    if (!sx_json_array(json))
        return false;
    while (sx_json_element(json)) {
        sx_text name = {"", 0};
        size_t i = 0;
        if (!sx_embed_read_string(call, json, &name))
            return false;
        while (i < TYPES && !sx_text_is(name, types[i].name))
            i++;
        if (i == TYPES)
            return sx_json_reject(json, "an embedding type that is none of float, int8, uint8, binary, ubinary, base64");
        body->wanted |= types[i].bit;
    }
    return !json->problem;
}

/* {"content":[{"type":"text","text":"..."}]} */
static bool read_content(sx_embed_call *call, sx_json *json)
{
    sx_text key, text = {NULL, 0};
    if (!sx_json_object(json))
        return false;
    while (sx_json_member(json, &call->scratch, &key)) {
        if (!sx_text_is(key, "content")) {
            sx_json_skip(json);
            continue;
        }
        if (!sx_json_array(json))
            return false;
        while (sx_json_element(json)) {
            if (!sx_json_object(json))
                return false;
            while (sx_json_member(json, &call->scratch, &key)) {
                if (sx_text_is(key, "text"))
                    sx_embed_read_string(call, json, &text);
                else if (sx_text_is(key, "image_url"))
                    return sx_json_reject(json, "images cannot be embedded here");
                else
                    sx_json_skip(json);
            }
            if (text.data && !sx_embed_add_text(call, text))
                return false;
            text.data = NULL;
        }
    }
    return !json->problem;
}

static bool read_member(sx_embed_call *call, sx_json *json, sx_text key, cohere_body *body)
{
    if (sx_text_is(key, "texts"))
        return sx_json_null(json) || sx_embed_read_inputs(call, json);
    if (sx_text_is(key, "inputs")) {
        if (sx_json_null(json))
            return true;
        if (!sx_json_array(json))
            return false;
        while (sx_json_element(json))
            if (!read_content(call, json))
                return false;
        return !json->problem;
    }
    if (sx_text_is(key, "images"))
        return sx_json_null(json) || sx_json_reject(json, "images cannot be embedded here");
    if (sx_text_is(key, "model"))
        return sx_embed_read_string(call, json, &call->model_name);
    if (sx_text_is(key, "input_type"))
        return sx_embed_read_string(call, json, &call->role);
    if (sx_text_is(key, "embedding_types"))
        return read_types(call, json, body);
    if (sx_text_is(key, "output_dimension"))
        return sx_embed_read_dimensions(call, json);
    if (sx_text_is(key, "truncate"))
        return sx_embed_read_string(call, json, &body->truncate);
    return sx_json_skip(json);
}

/* ---- Writing ---- */

static void write_bytes(const float *row, size_t width, bool is_signed, sx_buffer *to)
{
    for (size_t i = 0; i < width; i++) {
        double scaled = row[i] * 127.0;
        long value = lrint(scaled < -128 ? -128 : scaled > 127 ? 127 : scaled);
        sx_buffer_printf(to, i ? ",%ld" : "%ld", is_signed ? value : value + 128);
    }
}

/* Eight signs to a byte, the first in its highest bit. */
static void write_bits(const float *row, size_t width, bool is_signed, sx_buffer *to)
{
    for (size_t i = 0; i < width; i += 8) {
        unsigned byte = 0;
        for (size_t j = 0; j < 8; j++)
            byte |= (unsigned)(i + j < width && row[i + j] > 0) << (7 - j);
        sx_buffer_printf(to, i ? ",%d" : "%d", is_signed ? (int)byte - 128 : (int)byte);
    }
}

static void write_type(const sx_embed_call *call, unsigned type, sx_buffer *to)
{
    sx_buffer_append_byte(to, '[');
    for (size_t i = 0; i < call->count; i++) {
        const float *row = call->vectors + i * call->width;
        if (i)
            sx_buffer_append_byte(to, ',');
        if (type == TYPE_FLOAT) {
            sx_embed_write_row(call, i, to);
        } else if (type == TYPE_BASE64) {
            sx_json_write_base64(to, row, call->width * sizeof *row);
        } else {
            sx_buffer_append_byte(to, '[');
            if (type == TYPE_INT8 || type == TYPE_UINT8)
                write_bytes(row, call->width, type == TYPE_INT8, to);
            else
                write_bits(row, call->width, type == TYPE_BINARY, to);
            sx_buffer_append_byte(to, ']');
        }
    }
    sx_buffer_append_byte(to, ']');
}

static void write_reply(const sx_embed_call *call, const cohere_body *body, bool by_type)
{
    sx_buffer *to = &call->response->body;
    sx_buffer_append_string(to, "{\"id\":");
    sx_json_write_string(to, call->request->id, strlen(call->request->id));
    sx_buffer_append_string(to, by_type ? ",\"embeddings\":{" : ",\"embeddings\":");
    if (!by_type)
        write_type(call, TYPE_FLOAT, to);
    for (size_t i = 0, written = 0; i < TYPES && by_type; i++)
        if (body->wanted & types[i].bit) {
            sx_buffer_printf(to, "%s\"%s\":", written++ ? "," : "", types[i].name);
            write_type(call, types[i].bit, to);
        }
    sx_buffer_append_string(to, by_type ? "},\"texts\":[" : ",\"texts\":[");
    for (size_t i = 0; i < call->count; i++) {
        if (i)
            sx_buffer_append_byte(to, ',');
        sx_json_write_string(to, call->texts[i].length ? call->texts[i].data : "", call->texts[i].length);
    }
    sx_buffer_printf(to,
                     "],\"meta\":{\"api_version\":{\"version\":\"%s\"},\"billed_units\":{\"input_tokens\":%llu}},"
                     "\"response_type\":\"%s\"}",
                     by_type && call->request->path.data[2] == '2' ? "2" : "1", (unsigned long long)sx_embed_total_tokens(call),
                     by_type ? "embeddings_by_type" : "embeddings_floats");
}

static void embed(sx_server *server, sx_request *request, sx_response *response)
{
    sx_embed_call call;
    sx_json json;
    sx_text key;
    cohere_body body = {.truncate = {"", 0}};
    sx_embed_call_begin(&call, server, request, response, "texts");
    call.normalize = 0;
    if (sx_embed_body_begins(&call, &json))
        while (sx_embed_body_member(&call, &json, &key) && read_member(&call, &json, key, &body))
            continue;
    /* version 1 without types: plain lists */
    bool by_type = request->path.data[2] == '2' || body.wanted;
    if (!body.wanted)
        body.wanted = TYPE_FLOAT;
    bool good = !call.failed && sx_embed_body_ends(&call, &json);
    if (good && sx_text_is(body.truncate, "START")) {
        sx_api_invalid(request, response, "truncate", "truncate START is not supported; END and NONE are");
        good = false;
    } else if (good && call.has_ids) {
        sx_api_invalid(request, response, "texts", "texts holds numbers");
        good = false;
    }
    if (sx_text_is(body.truncate, "NONE"))
        call.truncate = 0;
    else if (sx_text_is(body.truncate, "END"))
        call.truncate = 1;
    if (good && sx_embed_call_run(&call))
        write_reply(&call, &body, by_type);
    sx_embed_call_end(&call);
}

const sx_route sx_routes_cohere[] = {
    {"POST", "/v1/embed", SX_FORM_COHERE, 0, embed},
    {"POST", "/v2/embed", SX_FORM_COHERE, 0, embed},
    {NULL, NULL, SX_FORM_COHERE, 0, NULL},
};
