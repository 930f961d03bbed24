/* wire_reading.c - vectors out of the replies of remote services, with every check a reply must pass before it is believed.
 *
 * A reply of 2,048 vectors of 3,072 numbers is 60 MB of JSON, so numbers go straight from the text into the row. Both forms of a
 * vector are taken whatever was asked for: servers ignore encoding_format either way, and a client that decodes blindly stores
 * wrong vectors in silence.
 */
#include "wire_internal.h"

#include "../base/base64.h"
#include "../base/memory.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_DIMENSIONS = 1 << 20, BASE64_DIGITS = 4096, BASE64_BYTES = BASE64_DIGITS / 4 * 3 };

bool sx_wire_fault(sx_wire_reading *reading, const char *format, ...)
{
    if (reading->failed)
        return false;
    reading->failed = true;
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    char line[512];
    snprintf(line, sizeof line, "%s: the reply cannot be used: %s", reading->target->service, text);
    sx_wire_redact(reading->target, line, reading->reply->message, sizeof reading->reply->message);
    reading->reply->verdict = SX_WIRE_RETRY;
    return false;
}

static bool json_fault(sx_wire_reading *reading)
{
    if (!reading->json.problem)
        return !reading->failed;
    return sx_wire_fault(reading, "JSON, byte %zu: %s", reading->json.problem_position, reading->json.problem);
}

static bool begin(sx_wire_reading *reading, const sx_wire_target *target, const char *body, size_t length, size_t count,
                  uint32_t dimensions, float *vectors, size_t room, sx_wire_reply *reply)
{
    *reply = (sx_wire_reply){0};
    *reading = (sx_wire_reading){
        .target = target, .reply = reply, .count = count, .dimensions = dimensions, .vectors = vectors, .room = room};
    if (target->no_dimensions && target->dimensions)
        reading->dimensions = target->dimensions;
    else
        reading->sent = dimensions;
    sx_json_begin(&reading->json, length ? body : "", length, NULL);
    reading->seen = sx_calloc(count, 1);
    if (!reading->seen)
        return sx_wire_fault(reading, "no memory for %zu texts", count);
    size_t at = 0;
    while (at < length && strchr(" \t\r\n", body[at]) && body[at])
        at++;
    if (at == length)
        return sx_wire_fault(reading, "it is empty");
    if (body[at] == '<') {
        sx_wire_detail detail;
        sx_wire_read_detail(body, length, &detail);
        return sx_wire_fault(reading, "%s", detail.message);
    }
    return true;
}

/* One number of a row. What lies beyond the dimensions kept is checked and dropped. */
static bool put(sx_wire_reading *reading, size_t row, uint32_t at, float value)
{
    uint32_t keep =
        reading->dimensions ? reading->dimensions : (uint32_t)(reading->room < MOST_DIMENSIONS ? reading->room : MOST_DIMENSIONS);
    if (!isfinite(value))
        return sx_wire_fault(reading, "text %zu of %zu: value %u is not finite", row + 1, reading->count, at);
    if (at < keep)
        reading->vectors[row * reading->room + at] = value;
    else if (!reading->target->no_dimensions || !reading->dimensions || at >= MOST_DIMENSIONS)
        return sx_wire_fault(reading, "text %zu of %zu: more than %u dimensions", row + 1, reading->count, keep);
    return true;
}

/* A vector has come whole: its size, a row of zeros, and the cut where the server cannot cut. */
static bool finish_row(sx_wire_reading *reading, size_t row, uint32_t length)
{
    if (!length)
        return sx_wire_fault(reading, "text %zu of %zu: the vector is empty", row + 1, reading->count);
    if (reading->sent && reading->sent != length)
        return sx_wire_fault(reading, "text %zu of %zu: %u dimensions instead of %u", row + 1, reading->count, length,
                             reading->sent);
    if (reading->dimensions && length < reading->dimensions) {
        sx_wire_fault(reading, "the vectors have %u dimensions, and %u were asked for", length, reading->dimensions);
        if (reading->target->no_dimensions)
            reading->reply->verdict = SX_WIRE_FATAL;
        return false;
    }
    reading->sent = length;
    if (!reading->dimensions)
        reading->dimensions = length;
    float *vector = reading->vectors + row * reading->room;
    double square = 0;
    for (uint32_t i = 0; i < reading->dimensions; i++)
        square += (double)vector[i] * (double)vector[i];
    if (square == 0)
        return sx_wire_fault(reading, "text %zu of %zu: the vector is all zeros", row + 1, reading->count);
    if (reading->target->no_dimensions && reading->target->dimensions)
        for (uint32_t i = 0; i < reading->dimensions; i++)
            vector[i] = (float)((double)vector[i] / sqrt(square));
    reading->seen[row] = 1;
    reading->done++;
    return true;
}

static const char *name_of(sx_json_type type)
{
    switch (type) {
    case SX_JSON_NULL: return "null";
    case SX_JSON_BOOLEAN: return "true or false";
    case SX_JSON_NUMBER: return "a number";
    case SX_JSON_STRING: return "a string";
    case SX_JSON_ARRAY: return "an array";
    case SX_JSON_OBJECT: return "an object";
    default: return "no JSON value";
    }
}

static bool read_numbers(sx_wire_reading *reading, size_t row)
{
    sx_json *json = &reading->json;
    uint32_t length = 0;
    sx_json_array(json);
    while (sx_json_element(json)) {
        sx_json_type type = sx_json_peek(json);
        if (type != SX_JSON_NUMBER && type != SX_JSON_BAD)
            return sx_wire_fault(reading, "text %zu of %zu: value %u is %s instead of a number", row + 1, reading->count, length,
                                 name_of(type));
        double value;
        if (!sx_json_number(json, &value))
            return json_fault(reading);
        if (!put(reading, row, length, (float)value))
            return false;
        length++;
    }
    return json_fault(reading) && finish_row(reading, row, length);
}

/* Little-endian float32 in base64 (RFC 4648, section 4; padding may be missing). */
static bool read_base64(sx_wire_reading *reading, size_t row)
{
    sx_text text;
    unsigned char block[BASE64_BYTES];
    if (!sx_json_string(&reading->json, &reading->text, &text))
        return json_fault(reading);
    size_t digits = text.length;
    while (digits && text.length - digits < 2 && text.data[digits - 1] == '=')
        digits--;
    size_t bytes = digits / 4 * 3 + (digits % 4 ? digits % 4 - 1 : 0);
    if (digits % 4 == 1 || (digits < text.length && text.length % 4))
        return sx_wire_fault(reading, "text %zu of %zu: damaged base64", row + 1, reading->count);
    if (bytes % 4)
        return sx_wire_fault(reading, "text %zu of %zu: base64 of %zu bytes, which are no float32 values", row + 1,
                             reading->count, bytes);
    for (size_t at = 0; at < bytes; at += BASE64_BYTES) {
        size_t here = bytes - at < BASE64_BYTES ? bytes - at : BASE64_BYTES, from = at / 3 * 4;
        if (!sx_base64_decode(text.data + from, digits - from < BASE64_DIGITS ? digits - from : BASE64_DIGITS, block, here))
            return sx_wire_fault(reading, "text %zu of %zu: damaged base64", row + 1, reading->count);
        for (size_t i = 0; i < here; i += 4) {
            const unsigned char *b = block + i;
            uint32_t word = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
            float value;
            memcpy(&value, &word, sizeof value);
            if (!put(reading, row, (uint32_t)((at + i) / 4), value))
                return false;
        }
    }
    return finish_row(reading, row, (uint32_t)(bytes / 4));
}

bool sx_wire_read_vector(sx_wire_reading *reading, size_t row)
{
    if (reading->failed)
        return false;
    if (row >= reading->count)
        return sx_wire_fault(reading, "more vectors than the %zu texts sent", reading->count);
    if (reading->seen[row])
        return sx_wire_fault(reading, "text %zu of %zu came twice", row + 1, reading->count);
    sx_json_type type = sx_json_peek(&reading->json);
    if (type == SX_JSON_ARRAY)
        return read_numbers(reading, row);
    if (type == SX_JSON_STRING)
        return read_base64(reading, row);
    if (type == SX_JSON_BAD)
        return json_fault(reading);
    return sx_wire_fault(reading, "text %zu of %zu: the vector is %s", row + 1, reading->count, name_of(type));
}

void sx_wire_read_rows(sx_wire_reading *reading)
{
    sx_json *json = &reading->json;
    sx_json_type type = sx_json_peek(json);
    if (type != SX_JSON_ARRAY && type != SX_JSON_BAD) {
        sx_wire_fault(reading, "vectors are %s instead of an array", name_of(type));
        return;
    }
    sx_json_array(json);
    for (size_t row = 0; sx_json_element(json); row++)
        if (!sx_wire_read_vector(reading, row))
            return;
    json_fault(reading);
}

void sx_wire_read_count(sx_wire_reading *reading, uint64_t *count)
{
    double value;
    if (sx_json_peek(&reading->json) != SX_JSON_NUMBER) {
        sx_json_skip(&reading->json);
    } else if (sx_json_number(&reading->json, &value) && value >= 0 && value < 1e15) {
        *count = (uint64_t)value;
    }
}

void sx_wire_read_error(sx_wire_reading *reading)
{
    sx_text raw;
    if (sx_json_peek(&reading->json) == SX_JSON_NULL) {
        sx_json_skip(&reading->json);
        return;
    }
    if (!sx_json_raw(&reading->json, &raw))
        return;
    sx_buffer body = {.maximum = 1 << 20};
    sx_buffer_append_string(&body, "{\"error\":");
    sx_buffer_append(&body, raw.data, raw.length);
    sx_buffer_append_byte(&body, '}');
    sx_wire_detail detail = {.message = ""};
    if (!body.failed)
        sx_wire_read_detail(body.data, body.length, &detail);
    sx_buffer_clear(&body);
    sx_wire_fault(reading, "it says: %s", detail.message[0] ? detail.message : "an error");
}

/* ---- Objects and whole replies ---- */

void sx_wire_read_object(sx_wire_reading *reading, const sx_wire_field *fields)
{
    sx_text key;
    sx_json_object(&reading->json);
    while (!reading->failed && sx_json_member(&reading->json, &reading->key, &key)) {
        const sx_wire_field *field = fields;
        while (field->name && !sx_text_is(key, field->name))
            field++;
        if (field->name)
            field->read(reading);
        else
            sx_json_skip(&reading->json);
    }
}

void sx_wire_read_optional(sx_wire_reading *reading, const sx_wire_field *fields)
{
    if (sx_json_peek(&reading->json) == SX_JSON_OBJECT)
        sx_wire_read_object(reading, fields);
    else
        sx_json_skip(&reading->json);
}

/* The text has ended and all vectors came? */
static void end(sx_wire_reading *reading)
{
    if (!reading->failed && sx_json_end(&reading->json) && reading->done != reading->count)
        sx_wire_fault(reading, "%zu vectors for %zu texts", reading->done, reading->count);
    json_fault(reading);
    if (!reading->failed) {
        reading->reply->verdict = SX_WIRE_OK;
        reading->reply->dimensions = reading->dimensions;
    }
    sx_buffer_clear(&reading->key);
    sx_buffer_clear(&reading->text);
    free(reading->seen);
    reading->seen = NULL;
}

void sx_wire_read_reply(const sx_wire_field *fields, const sx_wire_target *target, const char *body, size_t length, size_t count,
                        uint32_t dimensions, float *vectors, size_t room, sx_wire_reply *reply)
{
    sx_wire_reading reading;
    if (begin(&reading, target, body, length, count, dimensions, vectors, room, reply))
        sx_wire_read_object(&reading, fields);
    end(&reading);
}

void sx_wire_read_value(void (*read)(sx_wire_reading *reading), const sx_wire_target *target, const char *body, size_t length,
                        size_t count, uint32_t dimensions, float *vectors, size_t room, sx_wire_reply *reply)
{
    sx_wire_reading reading;
    if (begin(&reading, target, body, length, count, dimensions, vectors, room, reply))
        read(&reading);
    end(&reading);
}

/* ---- OpenAI's form ---- */

typedef struct entry_order {
    bool any, none; /* whether entries had an index, or had none */
} entry_order;

/* {"object":"embedding","index":0,"embedding":[...]}, members in any order. */
static bool read_entry(sx_wire_reading *reading, size_t position, entry_order *order)
{
    sx_json *json = &reading->json;
    sx_text key, raw = {NULL, 0};
    uint64_t index = position;
    bool indexed = false, found = false;
    if (!sx_json_object(json))
        return json_fault(reading);
    while (sx_json_member(json, &reading->key, &key)) {
        if (sx_text_is(key, "index") && sx_json_peek(json) != SX_JSON_NULL) {
            if (indexed || !sx_json_unsigned(json, &index))
                return json_fault(reading) && sx_wire_fault(reading, "entry %zu has two indices", position);
            indexed = true;
        } else if (sx_text_is(key, "embedding") && found) {
            return sx_wire_fault(reading, "entry %zu has two vectors", position);
        } else if (sx_text_is(key, "embedding")) {
            found = true;
            if (indexed && index >= reading->count)
                break;
            if (indexed ? !sx_wire_read_vector(reading, (size_t)index) : !sx_json_raw(json, &raw))
                return json_fault(reading);
        } else {
            sx_json_skip(json);
        }
    }
    if (json->problem)
        return json_fault(reading);
    order->any |= indexed;
    order->none |= !indexed;
    if (order->any && order->none)
        return sx_wire_fault(reading, "some of its entries have an index and some have none");
    if (index >= reading->count)
        return sx_wire_fault(reading, "index %llu for %zu texts", (unsigned long long)index, reading->count);
    if (!found)
        return sx_wire_fault(reading, "entry %zu has no vector", position);
    if (raw.data) { /* the index came behind the vector, or not at all */
        sx_json outer = *json;
        sx_json_begin(json, raw.data, raw.length, NULL);
        bool good = sx_wire_read_vector(reading, (size_t)index);
        *json = outer;
        return good;
    }
    return true;
}

static void read_entries(sx_wire_reading *reading)
{
    entry_order order = {false, false};
    sx_json_array(&reading->json);
    for (size_t i = 0; !reading->failed && sx_json_element(&reading->json); i++)
        read_entry(reading, i, &order);
}

/* total_tokens is what is charged; some give the prompt's only. */
static void read_prompt_tokens(sx_wire_reading *reading)
{
    uint64_t tokens = 0;
    sx_wire_read_count(reading, &tokens);
    if (!reading->reply->tokens)
        reading->reply->tokens = tokens;
}

static void read_total_tokens(sx_wire_reading *reading)
{
    uint64_t tokens = 0;
    sx_wire_read_count(reading, &tokens);
    if (tokens)
        reading->reply->tokens = tokens;
}

static void read_usage(sx_wire_reading *reading)
{
    static const sx_wire_field fields[] = {
        {"prompt_tokens", read_prompt_tokens}, {"total_tokens", read_total_tokens}, {0}};
    reading->reply->tokens = 0;
    sx_wire_read_optional(reading, fields);
}

void sx_wire_read_list(const sx_wire_target *target, const char *body, size_t length, size_t count, uint32_t dimensions,
                       float *vectors, size_t room, sx_wire_reply *reply)
{
    static const sx_wire_field fields[] = {
        {"data", read_entries}, {"usage", read_usage}, {"error", sx_wire_read_error}, {0}};
    sx_wire_read_reply(fields, target, body, length, count, dimensions, vectors, room, reply);
}
