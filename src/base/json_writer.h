/* json_writer.h - writing JSON strings and the shortest numbers that read back as the same value. */
#ifndef SX_BASE_JSON_WRITER_H
#define SX_BASE_JSON_WRITER_H

#include "buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All append to the buffer and return false when it failed (see buffer.h). */

/* Quoted and escaped, also what some readers take for the end of a line (U+0085, U+2028, U+2029); any bytes: invalid UTF-8 is
 * written as U+FFFD, one for each maximal invalid part. NULL is written as null. */
bool sx_json_write_string(sx_buffer *buffer, const char *text, size_t length);
/* The fewest digits that read back as the same float, whether the reader rounds to float at once or by way of double; NaN and
 * infinities, which JSON has not, are written as null. The result does not depend on the locale. */
bool sx_json_write_float(sx_buffer *buffer, float value);
bool sx_json_write_double(sx_buffer *buffer, double value);
bool sx_json_write_integer(sx_buffer *buffer, int64_t value);
/* [f, f, ...] */
bool sx_json_write_floats(sx_buffer *buffer, const float *values, size_t count);
/* A string of base64 (RFC 4648, section 4, with padding). */
bool sx_json_write_base64(sx_buffer *buffer, const void *data, size_t length);

#endif
