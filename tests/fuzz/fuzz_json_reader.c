/* fuzz_json_reader.c - the strict JSON reader: skipping and pulling must agree on what is well-formed. */
#include "base/json_reader.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads a value by pulling, `depth` levels of recursion deep at most (the reader itself bounds them). */
static void pull(sx_json *json, sx_buffer *keys, sx_buffer *values)
{
    sx_text text;
    bool flag;
    double number;
    switch (sx_json_peek(json)) {
    case SX_JSON_OBJECT:
        sx_json_object(json);
        while (sx_json_member(json, keys, &text))
            pull(json, keys, values);
        break;
    case SX_JSON_ARRAY:
        sx_json_array(json);
        while (sx_json_element(json))
            pull(json, keys, values);
        break;
    case SX_JSON_STRING:
        sx_json_string(json, values, &text);
        break;
    case SX_JSON_NUMBER:
        sx_json_number(json, &number);
        break;
    case SX_JSON_BOOLEAN:
        sx_json_boolean(json, &flag);
        break;
    case SX_JSON_NULL:
        if (!sx_json_null(json))
            sx_json_reject(json, "expected null");
        break;
    case SX_JSON_BAD:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sx_json skipped, pulled;
    sx_buffer keys = {0}, values = {0};
    sx_json_begin(&skipped, data, size, "fuzz");
    sx_json_skip(&skipped);
    sx_json_end(&skipped);
    sx_json_begin(&pulled, data, size, "fuzz");
    pull(&pulled, &keys, &values);
    sx_json_end(&pulled);
    /* Pulling may find more faults (numbers out of range), never fewer. */
    if (skipped.problem && !pulled.problem)
        abort();
    sx_buffer_clear(&keys);
    sx_buffer_clear(&values);
    return 0;
}
