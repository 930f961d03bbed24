/* buffer.c - a growable byte buffer with a mandatory maximum. */
#include "buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER_FIRST = 256 };
static const size_t default_maximum = (size_t)1 << 30;

char *sx_buffer_room(sx_buffer *buffer, size_t length)
{
    if (buffer->failed)
        return NULL;
    size_t maximum = buffer->maximum ? buffer->maximum : default_maximum;
    if (length > maximum || buffer->length > maximum - length) {
        buffer->failed = true;
        return NULL;
    }
    size_t need = buffer->length + length + 1;
    if (need > buffer->capacity) {
        size_t capacity = buffer->capacity ? buffer->capacity : BUFFER_FIRST;
        while (capacity < need)
            capacity = capacity > SIZE_MAX / 2 ? need : capacity * 2;
        char *data = realloc(buffer->data, capacity);
        if (!data) {
            buffer->failed = true;
            return NULL;
        }
        buffer->data = data;
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->length;
}

bool sx_buffer_append(sx_buffer *buffer, const void *data, size_t length)
{
    char *room = sx_buffer_room(buffer, length);
    if (!room)
        return false;
    if (length)
        memcpy(room, data, length);
    buffer->length += length;
    buffer->data[buffer->length] = '\0';
    return true;
}

bool sx_buffer_append_string(sx_buffer *buffer, const char *text)
{
    return sx_buffer_append(buffer, text, strlen(text));
}

bool sx_buffer_append_byte(sx_buffer *buffer, char byte)
{
    return sx_buffer_append(buffer, &byte, 1);
}

bool sx_buffer_printf(sx_buffer *buffer, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *room = length < 0 ? NULL : sx_buffer_room(buffer, (size_t)length);
    if (room) {
        vsnprintf(room, (size_t)length + 1, format, again);
        buffer->length += (size_t)length;
    } else {
        buffer->failed = true;
    }
    va_end(again);
    return room != NULL;
}

void sx_buffer_reset(sx_buffer *buffer)
{
    buffer->length = 0;
    buffer->failed = false;
    if (buffer->data)
        buffer->data[0] = '\0';
}

void sx_buffer_clear(sx_buffer *buffer)
{
    free(buffer->data);
    *buffer = (sx_buffer){.maximum = buffer->maximum};
}

char *sx_buffer_take(sx_buffer *buffer)
{
    if (buffer->failed || !sx_buffer_append(buffer, "", 0)) {
        sx_buffer_clear(buffer);
        return NULL;
    }
    char *data = buffer->data;
    *buffer = (sx_buffer){.maximum = buffer->maximum};
    return data;
}
