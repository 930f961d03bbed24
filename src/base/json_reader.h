/* json_reader.h - a strict pull parser for bulk JSON: vocabularies, safetensors headers, JSONL lines.
 *
 * It reads memory in place and allocates nothing; a string with escapes is decoded into a buffer of the caller. The first
 * failure sticks: every later call returns false (SX_JSON_BAD), so a reader may check once at its end:
 *
 *     sx_json json;
 *     sx_json_begin(&json, data, length, path);
 *     sx_json_object(&json);
 *     while (sx_json_member(&json, &key_buffer, &key)) {
 *         if (sx_text_is(key, "count"))
 *             sx_json_integer(&json, &count);
 *         else if (sx_text_is(key, "names")) {
 *             sx_json_array(&json);
 *             while (sx_json_element(&json))
 *                 sx_json_string(&json, &buffer, &name);
 *         } else
 *             sx_json_skip(&json);
 *     }
 *     sx_json_end(&json);
 *     if (json.problem)
 *         return sx_json_fail(&json, SX_E_FORMAT, error);
 */
#ifndef SX_BASE_JSON_READER_H
#define SX_BASE_JSON_READER_H

#include "sextant.h"

#include "buffer.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { SX_JSON_MAX_DEPTH = 128 };

typedef enum sx_json_type {
    SX_JSON_BAD, /* the reader has failed, or there is no value here */
    SX_JSON_NULL,
    SX_JSON_BOOLEAN,
    SX_JSON_NUMBER,
    SX_JSON_STRING,
    SX_JSON_ARRAY,
    SX_JSON_OBJECT
} sx_json_type;

/* Public to live on the stack; read `position` and `problem` only. */
typedef struct sx_json {
    const unsigned char *data;
    size_t length;
    size_t position;       /* the next byte to be read */
    const char *name;      /* of the file, for errors; borrowed */
    const char *problem;   /* NULL while all is well, else what is wrong, at byte problem_position */
    size_t problem_position;
    unsigned depth;
    bool fresh;            /* just behind an opening bracket */
    bool want_value;       /* behind a key and its colon, or at an element: a value must be read next */
    uint64_t objects[SX_JSON_MAX_DEPTH / 64]; /* one bit a level: an object, not an array */
} sx_json;

/* `data` and `name` must outlive the reader. A byte-order mark is refused. */
void sx_json_begin(sx_json *json, const void *data, size_t length, const char *name);
/* Type of the next value, without reading it. */
sx_json_type sx_json_peek(sx_json *json);

/* Enters an object / an array. */
bool sx_json_object(sx_json *json);
bool sx_json_array(sx_json *json);
/* The next member's key; its value must be read (or skipped) before the next call. False behind the last member (the object
 * is then left) and after a failure. *key as sx_json_string gives it. */
bool sx_json_member(sx_json *json, sx_buffer *buffer, sx_text *key);
/* Whether there is a further element, which must then be read or skipped. False as in sx_json_member. */
bool sx_json_element(sx_json *json);

/* A string: a slice of the input when it has no escapes, else decoded into *buffer, whose content is replaced (so a key and a
 * value to be held together need two buffers). It may contain NUL. Buffer NULL: a string with escapes fails. */
bool sx_json_string(sx_json *json, sx_buffer *buffer, sx_text *value);
/* A number written without fraction and exponent that fits. */
bool sx_json_integer(sx_json *json, int64_t *value);
/* As sx_json_integer, and at least 0. */
bool sx_json_unsigned(sx_json *json, uint64_t *value);
/* Any number; one too large for a double fails. */
bool sx_json_number(sx_json *json, double *value);
bool sx_json_boolean(sx_json *json, bool *value);
/* Reads a null if one is next; false, reading nothing, when it is another value. */
bool sx_json_null(sx_json *json);
/* Reads any value, checking it as strictly as all others. */
bool sx_json_skip(sx_json *json);
/* As sx_json_skip, and gives the value's own bytes. */
bool sx_json_raw(sx_json *json, sx_text *value);
/* Only white space follows. */
bool sx_json_end(sx_json *json);

/* Marks the reader as failed at its position, for values that are well-formed but wrong. `problem` is borrowed. */
bool sx_json_reject(sx_json *json, const char *problem);
/* "NAME: byte 17: expected a string" as `code`. For a reader that has failed. */
sx_status sx_json_fail(const sx_json *json, sx_status code, sx_error *error);

static inline bool sx_text_is(sx_text text, const char *literal)
{
    size_t length = strlen(literal);
    return text.length == length && (length == 0 || memcmp(text.data, literal, length) == 0);
}

#endif
