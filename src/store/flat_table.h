/* flat_table.h - reading FlatBuffers' tables in place, each access inside the bytes given.
 *
 * What points outside, or is not there, is 0 or empty, and `bad` is set when it pointed outside: a reader asks once at its
 * end. */
#ifndef SX_STORE_FLAT_TABLE_H
#define SX_STORE_FLAT_TABLE_H

#include "sextant.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct sx_flat_bytes {
    const unsigned char *data;
    size_t length;
    bool bad;
} sx_flat_bytes;

/* position 0: there is none. */
typedef struct sx_flat_table {
    sx_flat_bytes *bytes;
    size_t position;
} sx_flat_table;

/* Little-endian; 0 outside. */
static inline uint64_t sx_flat_number(sx_flat_bytes *bytes, size_t position, size_t size)
{
    uint64_t value = 0;
    if (position > bytes->length || bytes->length - position < size) {
        bytes->bad = true;
        return 0;
    }
    for (size_t i = size; i-- > 0;)
        value = value << 8 | bytes->data[position + i];
    return value;
}

static inline sx_flat_table sx_flat_at(sx_flat_bytes *bytes, size_t position)
{
    return (sx_flat_table){bytes, position};
}

/* What an offset at this position points to. */
static inline size_t sx_flat_follow(sx_flat_bytes *bytes, size_t position)
{
    uint64_t target = (uint64_t)position + sx_flat_number(bytes, position, 4);
    if (target >= bytes->length) {
        bytes->bad = true;
        return 0;
    }
    return (size_t)target;
}

static inline sx_flat_table sx_flat_root(sx_flat_bytes *bytes)
{
    return sx_flat_at(bytes, sx_flat_follow(bytes, 0));
}

/* Where the field lies; 0: it is left out. */
static inline size_t sx_flat_field(sx_flat_table table, unsigned field)
{
    sx_flat_bytes *bytes = table.bytes;
    if (!table.position)
        return 0;
    int64_t back = (int32_t)sx_flat_number(bytes, table.position, 4), from = (int64_t)table.position - back;
    if (from < 0 || from > (int64_t)bytes->length) {
        bytes->bad = true;
        return 0;
    }
    size_t slots = (size_t)sx_flat_number(bytes, (size_t)from, 2), slot = 4 + 2 * (size_t)field;
    if (slot + 2 > slots)
        return 0;
    size_t offset = (size_t)sx_flat_number(bytes, (size_t)from + slot, 2);
    return offset ? table.position + offset : 0;
}

static inline uint64_t sx_flat_value(sx_flat_table table, unsigned field, size_t size, uint64_t otherwise)
{
    size_t position = sx_flat_field(table, field);
    return position ? sx_flat_number(table.bytes, position, size) : otherwise;
}

static inline sx_flat_table sx_flat_child(sx_flat_table table, unsigned field)
{
    size_t position = sx_flat_field(table, field);
    return sx_flat_at(table.bytes, position ? sx_flat_follow(table.bytes, position) : 0);
}

/* Elements of a vector, `size` bytes each, and where the first lies. */
static inline size_t sx_flat_vector(sx_flat_table table, unsigned field, size_t size, size_t *first)
{
    sx_flat_table vector = sx_flat_child(table, field);
    *first = 0;
    if (!vector.position)
        return 0;
    size_t count = (size_t)sx_flat_number(table.bytes, vector.position, 4);
    *first = vector.position + 4;
    if (*first > table.bytes->length || count > (table.bytes->length - *first) / size) {
        table.bytes->bad = true;
        return 0;
    }
    return count;
}

/* An element of a vector of tables. */
static inline sx_flat_table sx_flat_element(sx_flat_bytes *bytes, size_t first, size_t index)
{
    return sx_flat_at(bytes, sx_flat_follow(bytes, first + 4 * index));
}

static inline sx_text sx_flat_text(sx_flat_table table, unsigned field)
{
    size_t first, length = sx_flat_vector(table, field, 1, &first);
    return (sx_text){(const char *)table.bytes->data + first, length};
}

#endif
