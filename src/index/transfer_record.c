/* transfer_record.c - see transfer_record.h.
 *
 * A record's metadata: the user's own keys, for filters, and under "sextant" all other members of the export's line. Databases
 * reorder an object's keys and write numbers and escapes in their own way, so the user's metadata are kept once more, as a
 * string, and come back from that byte for byte. The collection's definition is with each document's first chunk: an import finds
 * it although documents come and go.
 */
#include "transfer_record.h"

#include "../base/error.h"
#include "../base/json_reader.h"
#include "../base/json_writer.h"
#include "../base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char name_space[] = "sextant";

void sx_transfer_record_clear(sx_transfer_record *record)
{
    sx_buffer_clear(&record->document);
    sx_buffer_clear(&record->text);
    sx_buffer_clear(&record->metadata);
    sx_buffer_clear(&record->key);
    sx_buffer_clear(&record->value);
    sx_buffer_clear(&record->rest);
    free(record->vector.data);
    *record = (sx_transfer_record){0};
}

void sx_transfer_place_clear(sx_transfer_place *place)
{
    free(place->root);
    free(place->path);
    free(place->definition);
    *place = (sx_transfer_place){0};
}

static void append_member(sx_buffer *buffer, sx_text key, sx_text raw)
{
    char last = buffer->length ? buffer->data[buffer->length - 1] : '{';
    if (last != '{')
        sx_buffer_append_byte(buffer, ',');
    sx_json_write_string(buffer, key.data, key.length);
    sx_buffer_append_byte(buffer, ':');
    sx_buffer_append(buffer, raw.data, raw.length);
}

/* JSON kept as a string, so that it comes back byte for byte. */
static void append_string_member(sx_transfer_record *record, const char *key, sx_text json)
{
    sx_buffer_reset(&record->value);
    sx_json_write_string(&record->value, json.data, json.length);
    append_member(&record->rest, (sx_text){key, strlen(key)}, (sx_text){record->value.data, record->value.length});
}

/* Nothing in it that can be written in two ways. */
static bool is_plain(sx_text json)
{
    for (size_t i = 0; i < json.length; i++)
        if (json.data[i] == '\\' || (unsigned char)json.data[i] >= 0x7f)
            return false;
    return true;
}

static void take_text(sx_json *json, sx_buffer *scratch, sx_buffer *to)
{
    sx_text text;
    if (!sx_json_string(json, scratch, &text))
        return;
    sx_buffer_reset(to);
    sx_buffer_append(to, text.data ? text.data : "", text.length);
}

/* ---- A line becomes a record ---- */

/* RFC 9562, version 8: a UUID of one's own making. */
static void make_id(sx_text root, const sx_buffer *path, uint64_t index, sx_text hash, char id[37])
{
    sx_buffer name = {0};
    sx_sha256 sum;
    sx_buffer_append(&name, root.data, root.length);
    sx_buffer_append_byte(&name, '\0');
    sx_buffer_append(&name, path->data, path->length);
    sx_buffer_append_byte(&name, '\0');
    sx_buffer_printf(&name, "%llu:", (unsigned long long)index);
    sx_buffer_append(&name, hash.data, hash.length);
    sx_sha256_of(name.data ? name.data : "", name.length, &sum);
    sx_buffer_clear(&name);
    sum.bytes[6] = (unsigned char)((sum.bytes[6] & 0x0f) | 0x80);
    sum.bytes[8] = (unsigned char)((sum.bytes[8] & 0x3f) | 0x80);
    for (size_t i = 0, at = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            id[at++] = '-';
        at += (size_t)snprintf(id + at, 3, "%02x", sum.bytes[i]);
    }
}

/* The user's own keys. One that is called as ours is not lost: it is in the string. */
static void append_user_keys(sx_transfer_record *record, sx_text metadata)
{
    sx_json json;
    sx_text key, raw;
    sx_json_begin(&json, metadata.data, metadata.length, "metadata");
    sx_json_object(&json);
    while (sx_json_member(&json, &record->key, &key)) {
        bool ours = sx_text_is(key, name_space);
        if (sx_json_raw(&json, &raw) && !ours)
            append_member(&record->metadata, key, raw);
    }
}

sx_status sx_transfer_from_line(sx_transfer_record *record, sx_text line, sx_error *error)
{
    sx_json json;
    sx_text key, raw, metadata = {"{}", 2}, definition = {0}, root = {0}, hash = {0};
    uint64_t index = 0;
    sx_buffer_reset(&record->rest);
    sx_buffer_reset(&record->metadata);
    sx_buffer_append_byte(&record->rest, '{');
    sx_buffer_append_byte(&record->metadata, '{');
    record->has_vector = false;
    sx_json_begin(&json, line.data, line.length, "export");
    sx_json_object(&json);
    while (sx_json_member(&json, &record->key, &key)) {
        if (sx_text_is(key, "document"))
            take_text(&json, &record->value, &record->document);
        else if (sx_text_is(key, "text"))
            take_text(&json, &record->value, &record->text);
        else if (sx_text_is(key, "embedding"))
            record->has_vector = !sx_json_null(&json) && sx_json_read_vector(&json, &record->vector);
        else if (sx_text_is(key, "metadata"))
            sx_json_raw(&json, &metadata);
        else if (sx_text_is(key, "collection"))
            sx_json_raw(&json, &definition);
        else {
            bool is_index = sx_text_is(key, "index"), is_root = sx_text_is(key, "root"), is_hash = sx_text_is(key, "hash");
            sx_json_type type = sx_json_peek(&json);
            if (!sx_json_raw(&json, &raw))
                break;
            if (sx_text_is(key, "symbols")) {
                append_string_member(record, "symbols", raw);
                continue;
            }
            append_member(&record->rest, key, raw);
            if (sx_text_is(key, "headings") && !is_plain(raw))
                append_string_member(record, "headings_json", raw);
            if (is_index && type == SX_JSON_NUMBER)
                index = strtoull(raw.data, NULL, 10);
            else if (is_root)
                root = raw;
            else if (is_hash)
                hash = raw;
        }
    }
    if (!json.problem)
        sx_json_end(&json);
    if (json.problem)
        return sx_json_fail(&json, SX_E_FORMAT, error);
    append_user_keys(record, metadata);
    if (metadata.length != 2)
        append_string_member(record, "metadata", metadata);
    if (definition.length)
        append_member(&record->rest, (sx_text){"collection", 10}, definition);
    sx_buffer_append_byte(&record->rest, '}');
    append_member(&record->metadata, (sx_text){name_space, sizeof name_space - 1},
                  (sx_text){record->rest.data, record->rest.length});
    sx_buffer_append_byte(&record->metadata, '}');
    make_id(root, &record->document, index, hash, record->id);
    if (record->rest.failed || record->metadata.failed || record->text.failed || record->document.failed)
        return sx_fail_nomem(error, line.length);
    return SX_OK;
}

sx_vector_record sx_transfer_view(const sx_transfer_record *record)
{
    return (sx_vector_record){.id = record->id,
                              .document = record->document.data,
                              .text = {record->text.data, record->text.length},
                              .metadata = record->metadata.data,
                              .vector = record->vector.data};
}

/* ---- A record becomes a line ---- */

/* Without the spaces that a database may have put between them. */
static void append_headings(sx_json *json, sx_transfer_record *scratch, sx_buffer *line)
{
    sx_text heading;
    bool first = true;
    sx_buffer_append_byte(line, '[');
    sx_json_array(json);
    while (sx_json_element(json)) {
        if (!sx_json_string(json, &scratch->value, &heading))
            break;
        if (!first)
            sx_buffer_append_byte(line, ',');
        sx_json_write_string(line, heading.data ? heading.data : "", heading.length);
        first = false;
    }
    sx_buffer_append_byte(line, ']');
}

static char *take_name(sx_json *json, sx_transfer_record *scratch)
{
    sx_text text;
    return sx_json_string(json, &scratch->value, &text) ? sx_strndup(text.data ? text.data : "", text.length) : NULL;
}

/* The members of "sextant". */
static void append_ours(sx_json *json, sx_transfer_record *scratch, sx_buffer *line, sx_transfer_place *place)
{
    sx_text key, raw, exact;
    bool has_exact = false;
    sx_buffer *headings = &scratch->rest;
    sx_buffer_reset(headings);
    sx_json_object(json);
    while (sx_json_member(json, &scratch->key, &key)) {
        if (sx_text_is(key, "headings") && has_exact) {
            sx_json_skip(json);
        } else if (sx_text_is(key, "headings")) {
            append_headings(json, scratch, headings);
        } else if (sx_text_is(key, "headings_json")) {
            if (!sx_json_string(json, &scratch->value, &exact))
                break;
            sx_buffer_reset(headings);
            sx_buffer_append(headings, exact.data, exact.length);
            has_exact = true;
        } else if (sx_text_is(key, "metadata") || sx_text_is(key, "symbols")) {
            sx_text text;
            bool symbols = sx_text_is(key, "symbols");
            if (!sx_json_string(json, &scratch->value, &text))
                break;
            sx_buffer_append_string(line, symbols ? ",\"symbols\":" : ",\"metadata\":");
            sx_buffer_append(line, text.data, text.length);
        } else if (sx_text_is(key, "collection")) {
            if (sx_json_raw(json, &raw) && !place->definition)
                place->definition = sx_strndup(raw.data, raw.length);
        } else if (sx_text_is(key, "root")) {
            if (place->root || !(place->root = take_name(json, scratch)))
                break;
            sx_buffer_append_string(line, ",\"root\":");
            sx_json_write_string(line, place->root, strlen(place->root));
        } else if (sx_text_is(key, "index")) {
            uint64_t index = 0;
            if (sx_json_unsigned(json, &index) && index > UINT32_MAX)
                sx_json_reject(json, "the number is too large");
            place->index = (uint32_t)index;
            sx_buffer_printf(line, ",\"index\":%llu", (unsigned long long)index);
        } else {
            sx_buffer_append_byte(line, ',');
            sx_json_write_string(line, key.data, key.length);
            sx_buffer_append_byte(line, ':');
            if (sx_json_raw(json, &raw))
                sx_buffer_append(line, raw.data, raw.length);
        }
    }
    if (headings->length) {
        sx_buffer_append_string(line, ",\"headings\":");
        sx_buffer_append(line, headings->data, headings->length);
    }
    if (headings->failed)
        line->failed = true;
}

sx_status sx_transfer_to_line(const sx_vector_record *from, uint32_t dimensions, sx_transfer_record *scratch, sx_buffer *line,
                              sx_transfer_place *place, sx_error *error)
{
    sx_json json;
    sx_text key;
    *place = (sx_transfer_place){0};
    sx_buffer_reset(line);
    sx_buffer_append_string(line, "{\"document\":");
    sx_json_write_string(line, from->document ? from->document : "", from->document ? strlen(from->document) : 0);
    sx_buffer_append_string(line, ",\"text\":");
    sx_json_write_string(line, from->text.length ? from->text.data : "", from->text.length);
    sx_buffer_append_string(line, ",\"embedding\":");
    sx_json_write_floats(line, from->vector, dimensions);
    const char *metadata = from->metadata ? from->metadata : "{}";
    sx_json_begin(&json, metadata, strlen(metadata), "metadata");
    sx_json_object(&json);
    while (sx_json_member(&json, &scratch->key, &key)) {
        if (sx_text_is(key, name_space) && sx_json_peek(&json) == SX_JSON_OBJECT)
            append_ours(&json, scratch, line, place);
        else
            sx_json_skip(&json);
    }
    if (json.problem)
        return sx_fail(error, SX_E_FORMAT, "record %s: metadata: byte %zu: %s", from->id, json.problem_position, json.problem);
    if (!place->root || !from->document) {
        sx_fail(error, SX_E_UNSUPPORTED, "record %s was not written by Sextant: its metadata have no \"sextant\" with a root",
                from->id);
        sx_hint(error, "`sextant collections copy` moves such records between two stores as they are");
        return SX_E_UNSUPPORTED;
    }
    place->path = sx_strdup(from->document);
    return line->failed || !place->path ? sx_fail_nomem(error, line->length) : SX_OK;
}
