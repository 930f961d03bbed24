/* batch_files.c - writing and reading the JSON lines of OpenAI's Batch API (platform.openai.com/docs/api-reference/batch).
 *
 * A request's body is what the wire form would send for this one text, so a vector is the same whichever way it comes.
 */
#include "batch_files.h"
#include "wire_internal.h"

#include "../base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char separator = '-';

void sx_batch_id_make(const sx_sha256 *text, const sx_sha256 *recipe, char id[SX_BATCH_ID])
{
    sx_sha256_hex(text, id);
    id[SX_SHA256_HEX - 1] = separator;
    sx_sha256_hex(recipe, id + SX_SHA256_HEX);
}

bool sx_batch_id_read(sx_text id, const sx_sha256 *recipe, sx_sha256 *text)
{
    char hex[SX_SHA256_HEX], again[SX_BATCH_ID];
    if (id.length != SX_BATCH_ID - 1)
        return false;
    memcpy(hex, id.data, SX_SHA256_HEX - 1);
    hex[SX_SHA256_HEX - 1] = '\0';
    if (sx_sha256_from_hex(hex, text))
        return false;
    sx_batch_id_make(text, recipe, again);
    return memcmp(again, id.data, SX_BATCH_ID - 1) == 0;
}

/* ---- Writing ---- */

sx_status sx_batch_writer_add(sx_batch_writer *writer, sx_text text, const sx_sha256 *hash, bool *full, sx_error *error)
{
    char id[SX_BATCH_ID];
    sx_buffer *line = &writer->line;
    *full = writer->count >= writer->max_requests;
    if (*full)
        return SX_OK;
    sx_status status = writer->target->form->build(writer->target, writer->role, &text, 1, &writer->request, error);
    if (status)
        return status;
    sx_batch_id_make(hash, writer->recipe, id);
    sx_buffer_reset(line);
    sx_buffer_printf(line, "{\"custom_id\": \"%s\", \"method\": \"POST\", \"url\": \"/v1/embeddings\", \"body\": ", id);
    sx_buffer_append(line, writer->request.body.data, writer->request.body.length);
    sx_buffer_append_string(line, "}\n");
    if (line->failed)
        return sx_fail_nomem(error, text.length);
    if (line->length > writer->max_bytes)
        return sx_fail(error, SX_E_LIMIT, "a text of %zu bytes: a file of the Batch API holds %zu", text.length,
                       writer->max_bytes);
    *full = writer->file.length + line->length > writer->max_bytes;
    if (*full)
        return SX_OK;
    if (!sx_buffer_append(&writer->file, line->data, line->length))
        return sx_fail_nomem(error, writer->file.length + line->length);
    writer->count++;
    return SX_OK;
}

void sx_batch_writer_reset(sx_batch_writer *writer)
{
    sx_buffer_clear(&writer->file);
    writer->count = 0;
}

void sx_batch_writer_clear(sx_batch_writer *writer)
{
    sx_batch_writer_reset(writer);
    sx_wire_request_clear(&writer->request);
    sx_buffer_clear(&writer->line);
}

/* ---- Reading ---- */

/* The members of a line that matter. */
typedef struct line_parts {
    char id[SX_BATCH_ID];
    size_t id_length;
    int64_t code;     /* -1: no response */
    sx_text body;
    char problem[256]; /* of the member `error` */
} line_parts;

static void read_response(sx_json *json, sx_buffer *room, line_parts *parts)
{
    sx_text key;
    sx_json_object(json);
    while (sx_json_member(json, room, &key)) {
        if (sx_text_is(key, "status_code"))
            sx_json_integer(json, &parts->code);
        else if (sx_text_is(key, "body"))
            sx_json_raw(json, &parts->body);
        else
            sx_json_skip(json);
    }
}

static void read_problem(sx_json *json, sx_buffer *room, line_parts *parts)
{
    sx_text key, value;
    char code[64] = "", message[160] = "";
    sx_json_object(json);
    while (sx_json_member(json, room, &key)) {
        bool is_code = sx_text_is(key, "code");
        if ((is_code || sx_text_is(key, "message")) && sx_json_peek(json) == SX_JSON_STRING) {
            sx_json_string(json, room, &value);
            if (!json->problem)
                snprintf(is_code ? code : message, is_code ? sizeof code : sizeof message, "%.*s",
                         (int)(value.length < 159 ? value.length : 159), value.data);
        } else {
            sx_json_skip(json);
        }
    }
    snprintf(parts->problem, sizeof parts->problem, "%s%s%s", message[0] ? message : "the service gives no reason",
             code[0] ? ", " : "", code);
}

static bool read_line(sx_text line, sx_buffer *room, line_parts *parts)
{
    sx_json json;
    sx_text key, value;
    *parts = (line_parts){.code = -1};
    sx_json_begin(&json, line.data, line.length, "batch file");
    sx_json_object(&json);
    while (sx_json_member(&json, room, &key)) {
        if (sx_text_is(key, "custom_id")) {
            sx_json_string(&json, room, &value);
            parts->id_length = json.problem ? 0 : value.length < SX_BATCH_ID ? value.length : SX_BATCH_ID - 1;
            memcpy(parts->id, parts->id_length ? value.data : "", parts->id_length);
            if (!json.problem && value.length > SX_BATCH_ID - 1)
                parts->id_length = 0;
        } else if (sx_text_is(key, "response") && !sx_json_null(&json)) {
            read_response(&json, room, parts);
        } else if (sx_text_is(key, "error") && !sx_json_null(&json)) {
            read_problem(&json, room, parts);
        } else if (!sx_text_is(key, "response") && !sx_text_is(key, "error")) {
            sx_json_skip(&json);
        }
    }
    return sx_json_end(&json);
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(sx_sha256));
}

static void refuse_line(sx_batch_refusals *refusals, const sx_wire_target *target, size_t number, const line_parts *parts,
                        const char *why)
{
    if (refusals->count++)
        return;
    char whole[256];
    snprintf(whole, sizeof whole, "line %zu, '%.*s': %s", number, (int)(parts->id_length < 80 ? parts->id_length : 80), parts->id,
             why);
    sx_wire_redact(target, whole, refusals->first, sizeof refusals->first);
}

static void explain(const sx_wire_target *target, const line_parts *parts, sx_batch_line *line)
{
    sx_wire_reply reply = {0};
    if (parts->problem[0]) {
        sx_wire_redact(target, parts->problem, line->message, sizeof line->message);
    } else if (parts->code >= 200 && parts->code < 300 && parts->body.data) {
        line->body = parts->body;
    } else if (parts->code >= 300) {
        target->form->refuse(target, (long)parts->code, parts->body.data ? parts->body.data : "", parts->body.length, &reply);
        snprintf(line->message, sizeof line->message, "%s", reply.message);
    }
    if (!line->body.data && !line->message[0])
        snprintf(line->message, sizeof line->message, "%s: a line without a reply", target->service);
}

sx_status sx_batch_file_read(const sx_wire_target *target, const sx_sha256 *recipe, const char *data, size_t length,
                             const sx_batch_expected *expected, sx_batch_visit visit, void *user, sx_batch_refusals *refusals,
                             sx_error *error)
{
    sx_buffer room = {0};
    line_parts parts;
    sx_sha256 hash;
    sx_status status = SX_OK;
    size_t number = 0;
    for (size_t start = 0; start < length && !status; number++) {
        const char *end = memchr(data + start, '\n', length - start);
        sx_text text = {data + start, end ? (size_t)(end - data) - start : length - start};
        start += text.length + 1;
        if (!text.length)
            continue;
        if (!read_line(text, &room, &parts)) {
            refuse_line(refusals, target, number + 1, &parts, "it is no valid JSON");
            continue;
        }
        const sx_sha256 *found = NULL;
        if (expected->count && sx_batch_id_read((sx_text){parts.id, parts.id_length}, recipe, &hash))
            found = bsearch(&hash, expected->hashes, expected->count, sizeof hash, compare);
        sx_batch_line line = {.index = found ? (size_t)(found - expected->hashes) : 0};
        if (!found) {
            refuse_line(refusals, target, number + 1, &parts, "this id is not in the batch");
        } else if (expected->seen[line.index]) {
            refuse_line(refusals, target, number + 1, &parts, "this id came before");
        } else {
            expected->seen[line.index] = 1;
            explain(target, &parts, &line);
            status = visit(&line, user, error);
        }
    }
    sx_buffer_clear(&room);
    return status;
}
