/* buffer.h - a growable byte buffer with a mandatory maximum. */
#ifndef SX_BASE_BUFFER_H
#define SX_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

/* Zero-initialise and set maximum (0: 1 GiB). Appends after a failure do nothing; `failed` tells, so that a writer can check
 * once at the end. data is always NUL-terminated once anything was appended. */
typedef struct sx_buffer {
    char *data;
    size_t length, capacity, maximum;
    bool failed;
} sx_buffer;

bool sx_buffer_append(sx_buffer *buffer, const void *data, size_t length);
bool sx_buffer_append_string(sx_buffer *buffer, const char *text);
bool sx_buffer_append_byte(sx_buffer *buffer, char byte);
bool sx_buffer_printf(sx_buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Room for `length` more bytes, returned for direct writing; add to ->length what was written. NULL on failure. */
char *sx_buffer_room(sx_buffer *buffer, size_t length);
/* Length 0, memory kept. */
void sx_buffer_reset(sx_buffer *buffer);
void sx_buffer_clear(sx_buffer *buffer);
/* The bytes, malloc'ed and NUL-terminated, now the caller's; the buffer is empty. NULL when it failed. */
char *sx_buffer_take(sx_buffer *buffer);

#endif
