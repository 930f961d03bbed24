/* embedding_element.c - one element of a file of vectors.
 *
 * A vector is an array of numbers, or 8-bit codes with the two numbers that undo them: {"codes": [0..255], "min": m, "scale": s}
 * stands for codes / scale + min. */
#include "embedding_element.h"

#include "../base/error.h"
#include "../base/json_writer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void sx_embedding_scratch_clear(sx_embedding_scratch *scratch)
{
    sx_buffer_clear(&scratch->key);
    sx_buffer_clear(&scratch->value);
    sx_buffer_clear(&scratch->rest);
    *scratch = (sx_embedding_scratch){0};
}

void sx_embedding_item_reset(sx_embedding_item *item)
{
    sx_buffer_reset(&item->id);
    sx_buffer_reset(&item->content);
    sx_buffer_reset(&item->metadata);
    sx_buffer_reset(&item->document);
    sx_buffer_reset(&item->root);
    sx_buffer_reset(&item->headings);
    sx_buffer_reset(&item->symbols);
    item->vector.length = 0;
    item->number = item->place = item->index = item->start = item->end = 0;
    item->start_line = item->end_line = 1;
}

void sx_embedding_item_clear(sx_embedding_item *item)
{
    sx_buffer_clear(&item->id);
    sx_buffer_clear(&item->content);
    sx_buffer_clear(&item->metadata);
    sx_buffer_clear(&item->document);
    sx_buffer_clear(&item->root);
    sx_buffer_clear(&item->headings);
    sx_buffer_clear(&item->symbols);
    free(item->vector.data);
    *item = (sx_embedding_item){0};
}

/* A string, or a number as it is written, or null. */
static void read_name(sx_json *json, sx_buffer *scratch, sx_buffer *out)
{
    sx_text text = {0};
    sx_buffer_reset(out);
    if (sx_json_peek(json) == SX_JSON_NUMBER)
        sx_json_raw(json, &text);
    else if (!sx_json_null(json))
        sx_json_string(json, scratch, &text);
    if (text.length && memchr(text.data, 0, text.length))
        sx_json_reject(json, "a NUL byte in a name");
    else
        sx_buffer_append(out, text.data ? text.data : "", text.length);
}

static void read_text(sx_json *json, sx_buffer *scratch, sx_buffer *out)
{
    sx_text text = {0};
    if (sx_json_null(json) || !sx_json_string(json, scratch, &text))
        return;
    sx_buffer_reset(out);
    sx_buffer_append(out, text.data ? text.data : "", text.length);
}

static void read_codes(sx_json *json, sx_embedding_scratch *scratch, sx_json_vector *vector)
{
    double least = NAN, scale = NAN;
    sx_text key;
    vector->length = 0;
    sx_json_object(json);
    while (sx_json_member(json, &scratch->key, &key)) {
        if (sx_text_is(key, "codes"))
            sx_json_read_vector(json, vector);
        else if (sx_text_is(key, "min"))
            sx_json_number(json, &least);
        else if (sx_text_is(key, "scale"))
            sx_json_number(json, &scale);
        else
            sx_json_skip(json);
    }
    if (json->problem)
        return;
    if (!isfinite(least) || !(scale > 0)) {
        sx_json_reject(json, "codes need numbers min and scale, scale above 0");
        return;
    }
    for (size_t i = 0; i < vector->length; i++) {
        float code = vector->data[i], value = (float)((double)code / scale + least);
        if (!(code >= 0 && code <= 255) || code != floorf(code) || !isfinite(value)) {
            sx_json_reject(json, "codes are integers from 0 to 255");
            return;
        }
        vector->data[i] = value;
    }
}

/* The place that a collection's export wrote down, out of metadata's member `chunk`. */
static void read_place(sx_json *json, sx_embedding_scratch *scratch, sx_embedding_item *item)
{
    sx_text key, raw;
    sx_json_object(json);
    while (sx_json_member(json, &scratch->key, &key)) {
        if (sx_text_is(key, "document"))
            read_name(json, &scratch->value, &item->document);
        else if (sx_text_is(key, "root"))
            read_name(json, &scratch->value, &item->root);
        else if (sx_text_is(key, "index"))
            sx_json_unsigned(json, &item->index);
        else if (sx_text_is(key, "start"))
            sx_json_unsigned(json, &item->start);
        else if (sx_text_is(key, "end"))
            sx_json_unsigned(json, &item->end);
        else if (sx_text_is(key, "start_line"))
            sx_json_unsigned(json, &item->start_line);
        else if (sx_text_is(key, "end_line"))
            sx_json_unsigned(json, &item->end_line);
        else if (sx_text_is(key, "headings") && sx_json_raw(json, &raw)) {
            sx_buffer_reset(&item->headings);
            sx_buffer_append(&item->headings, raw.data, raw.length);
        } else if (sx_text_is(key, "symbols") && sx_json_raw(json, &raw)) {
            sx_buffer_reset(&item->symbols);
            sx_buffer_append(&item->symbols, raw.data, raw.length);
        } else
            sx_json_skip(json);
    }
}

static void add_member(sx_buffer *members, sx_text key, sx_text raw)
{
    sx_buffer_append_byte(members, members->length ? ',' : '{');
    sx_json_write_string(members, key.data, key.length);
    sx_buffer_append_byte(members, ':');
    sx_buffer_append(members, raw.data, raw.length);
}

/* Whether the value that comes next is what a collection's export puts there. */
static bool is_place(const sx_json *json, sx_embedding_scratch *scratch)
{
    sx_json ahead = *json;
    sx_text key;
    bool document = false, root = false;
    if (sx_json_peek(&ahead) != SX_JSON_OBJECT)
        return false;
    sx_json_object(&ahead);
    while (sx_json_member(&ahead, &scratch->value, &key)) {
        document = document || sx_text_is(key, "document");
        root = root || sx_text_is(key, "root");
        sx_json_skip(&ahead);
    }
    return document && root;
}

static void read_metadata(sx_json *json, sx_embedding_scratch *scratch, sx_embedding_item *item)
{
    sx_text key, raw;
    sx_buffer_reset(&item->metadata);
    if (sx_json_null(json))
        return;
    sx_json_object(json);
    while (sx_json_member(json, &scratch->key, &key)) {
        if (sx_text_is(key, "chunk") && is_place(json, scratch)) {
            read_place(json, scratch, item);
        } else if (sx_json_raw(json, &raw)) {
            add_member(&item->metadata, key, raw);
        }
    }
    if (item->metadata.length)
        sx_buffer_append_byte(&item->metadata, '}');
}

static bool is_any(sx_text key, const char *a, const char *b, const char *c)
{
    return sx_text_is(key, a) || sx_text_is(key, b) || (c && sx_text_is(key, c));
}

sx_status sx_embedding_read_element(const char *path, sx_text raw, bool with_vector, sx_embedding_scratch *scratch,
                                    sx_embedding_item *item, sx_error *error)
{
    sx_json json;
    sx_text key, value;
    bool metadata = false, vector = false, failed = false;
    sx_buffer_reset(&scratch->rest);
    sx_json_begin(&json, raw.data, raw.length, path);
    sx_json_object(&json);
    while (sx_json_member(&json, &scratch->key, &key)) {
        sx_json_type type = sx_json_peek(&json);
        if (sx_text_is(key, "id")) {
            read_name(&json, &scratch->value, &item->id);
        } else if (is_any(key, "content", "text", "pageContent") && (type == SX_JSON_STRING || type == SX_JSON_NULL)) {
            read_text(&json, &scratch->value, &item->content);
        } else if (with_vector && is_any(key, "embedding", "vector", NULL) && type == SX_JSON_OBJECT) {
            read_codes(&json, scratch, &item->vector);
            vector = true;
        } else if (with_vector && is_any(key, "embedding", "vector", NULL)) {
            vector = !sx_json_null(&json) && sx_json_read_vector(&json, &item->vector);
        } else if (sx_text_is(key, "metadata") && (type == SX_JSON_OBJECT || type == SX_JSON_NULL)) {
            metadata = type == SX_JSON_OBJECT;
            read_metadata(&json, scratch, item);
        } else {
            failed = failed || sx_text_is(key, "error");
            if (sx_json_raw(&json, &value))
                add_member(&scratch->rest, key, value);
        }
    }
    sx_json_end(&json);
    if (json.problem)
        return sx_fail(error, SX_E_FORMAT, "%s: element %llu, byte %llu: %s", path, (unsigned long long)item->number,
                       (unsigned long long)(item->place + json.problem_position), json.problem);
    if (!metadata && scratch->rest.length) {
        sx_buffer_append(&item->metadata, scratch->rest.data, scratch->rest.length);
        sx_buffer_append_byte(&item->metadata, '}');
    }
    if (item->id.failed || item->content.failed || item->metadata.failed || scratch->rest.failed || item->document.failed ||
        item->root.failed || item->headings.failed || item->symbols.failed)
        return sx_fail(error, SX_E_LIMIT, "%s: element %llu: longer than 1 GiB or than memory", path,
                       (unsigned long long)item->number);
    if (with_vector && (!vector || !item->vector.length) && !failed)
        return sx_fail(error, SX_E_FORMAT, "%s: element %llu (byte %llu): has no \"embedding\"", path,
                       (unsigned long long)item->number, (unsigned long long)item->place);
    if (failed && !vector)
        item->vector.length = 0;
    return SX_OK;
}
