/* store_json.c - what the readers of exported files share: hashes and vectors in JSON. */
#include "store_json.h"

#include "../base/memory.h"
#include "../vec/segment.h"

#include <math.h>

bool sx_json_read_vector(sx_json *json, sx_json_vector *vector)
{
    double value;
    vector->length = 0;
    if (!sx_json_array(json))
        return false;
    while (sx_json_element(json)) {
        if (vector->length == SX_SEGMENT_DIMENSIONS)
            return sx_json_reject(json, "too many dimensions");
        if (!sx_reserve((void **)&vector->data, &vector->capacity, vector->length + 1, sizeof *vector->data))
            return sx_json_reject(json, "memory could not be had");
        if (!sx_json_number(json, &value))
            return false;
        float rounded = (float)value;
        if (!isfinite(rounded))
            return sx_json_reject(json, "the number does not fit a float");
        vector->data[vector->length++] = rounded;
    }
    return json->problem == NULL;
}

bool sx_json_read_hash(sx_json *json, sx_buffer *buffer, sx_sha256 *hash)
{
    sx_text text;
    char hex[SX_SHA256_HEX] = "";
    if (!sx_json_string(json, buffer, &text))
        return false;
    if (text.length == sizeof hex - 1)
        memcpy(hex, text.data, sizeof hex - 1);
    return sx_sha256_from_hex(hex, hash) == SX_OK || sx_json_reject(json, "64 hexadecimal digits are expected");
}
