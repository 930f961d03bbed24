/* arrow_file.c - Arrow's IPC file format: a schema, batches of columns, and a footer that says where each batch stands.
 *
 * By the Arrow columnar format 1.4 (IPC file format; Schema.fbs, Message.fbs, File.fbs). Its metadata are FlatBuffers, of which
 * only tables, strings and vectors are needed: they are built from their end, as the FlatBuffers internals have it, into bytes in
 * reverse order, which are turned round when the root is known. So every offset points to what is already there. An object is
 * known by its distance from the end. Numbers are little-endian, as on every processor that Sextant runs on.
 */
#include "arrow_file.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "buffers are written as they are in memory");

enum { MOST_SLOTS = 8, ROWS_OF_BATCH = 4096, BYTES_OF_BATCH = 16 << 20, ALIGNMENT = 8 };
/* Of the schemas above. */
enum { METADATA_V5 = 4, HEADER_SCHEMA = 1, HEADER_BATCH = 3 };
enum { TYPE_INT = 2, TYPE_FLOAT = 3, TYPE_UTF8 = 5, TYPE_FIXED_SIZE_LIST = 16, PRECISION_SINGLE = 1 };
static const char magic[] = "ARROW1";

/* ---- FlatBuffers ---- */

/* Zeros, so that `size` bytes more end at a multiple of the alignment. */
static void pad(sx_buffer *b, size_t size, size_t alignment)
{
    while ((b->length + size) % alignment && sx_buffer_append_byte(b, '\0'))
        continue;
}

static void put_number(sx_buffer *b, uint64_t value, size_t size)
{
    pad(b, size, size);
    for (size_t i = size; i-- > 0;)
        sx_buffer_append_byte(b, (char)(value >> (8 * i)));
}

static size_t put_offset(sx_buffer *b, size_t object)
{
    pad(b, 4, 4);
    put_number(b, b->length + 4 - object, 4);
    return b->length;
}

static size_t put_string(sx_buffer *b, const char *text)
{
    size_t length = strlen(text);
    pad(b, length + 1, 4);
    sx_buffer_append_byte(b, '\0');
    for (size_t i = length; i-- > 0;)
        sx_buffer_append_byte(b, text[i]);
    put_number(b, length, 4);
    return b->length;
}

static size_t put_offsets(sx_buffer *b, const size_t *objects, size_t count)
{
    for (size_t i = count; i-- > 0;)
        put_offset(b, objects[i]);
    put_number(b, count, 4);
    return b->length;
}

/* Structures of 8-byte numbers. */
static size_t put_numbers(sx_buffer *b, const uint64_t *numbers, size_t count, size_t numbers_each)
{
    pad(b, 8 * count, 8);
    for (size_t i = count; i-- > 0;)
        put_number(b, numbers[i], 8);
    put_number(b, count / numbers_each, 4);
    return b->length;
}

typedef struct table {
    sx_buffer *b;
    size_t start, slots[MOST_SLOTS]; /* slots: 0 is left out */
} table;

static table begin_table(sx_buffer *b)
{
    return (table){.b = b, .start = b->length};
}

static void set_number(table *t, size_t slot, uint64_t value, size_t size)
{
    put_number(t->b, value, size);
    t->slots[slot] = t->b->length;
}

static void set_object(table *t, size_t slot, size_t object)
{
    t->slots[slot] = put_offset(t->b, object);
}

/* The table, and before it the list of where its fields stand. */
static size_t end_table(table *t)
{
    sx_buffer *b = t->b;
    put_number(b, 0, 4);
    size_t object = b->length, count = MOST_SLOTS;
    while (count && !t->slots[count - 1])
        count--;
    for (size_t i = count; i-- > 0;)
        put_number(b, t->slots[i] ? object - t->slots[i] : 0, 2);
    put_number(b, object - t->start, 2);
    put_number(b, 2 * count + 4, 2);
    size_t distance = b->length - object;
    for (size_t i = 0; !b->failed && i < 4; i++)
        b->data[object - 1 - i] = (char)(distance >> (8 * i));
    return object;
}

static void finish(sx_buffer *b, size_t root)
{
    pad(b, 4, ALIGNMENT);
    put_offset(b, root);
    for (size_t i = 0, j = b->length; !b->failed && i + 1 < j; i++) {
        char byte = b->data[i];
        b->data[i] = b->data[--j];
        b->data[j] = byte;
    }
}

/* ---- Schema ---- */

static size_t put_type(sx_buffer *b, sx_arrow_type type, uint32_t dimensions)
{
    table t = begin_table(b);
    if (type == SX_ARROW_INTEGER) {
        set_number(&t, 0, 64, 4);
        set_number(&t, 1, 1, 1);
    } else if (type == SX_ARROW_VECTOR) {
        set_number(&t, 0, dimensions, 4);
    }
    return end_table(&t);
}

static size_t put_field(sx_buffer *b, const char *name, uint8_t type, size_t described, size_t children)
{
    size_t named = put_string(b, name);
    table t = begin_table(b);
    set_object(&t, 0, named);
    set_object(&t, 3, described);
    set_object(&t, 5, children);
    set_number(&t, 1, 0, 1);
    set_number(&t, 2, type, 1);
    return end_table(&t);
}

static size_t put_schema(sx_arrow_file *file)
{
    static const uint8_t types[] = {
        [SX_ARROW_TEXT] = TYPE_UTF8, [SX_ARROW_INTEGER] = TYPE_INT, [SX_ARROW_VECTOR] = TYPE_FIXED_SIZE_LIST};
    sx_buffer *b = &file->scratch;
    size_t objects[SX_ARROW_MOST_FIELDS], notes = 0;
    for (size_t i = 0; i < file->field_count; i++) {
        const sx_arrow_field *field = &file->fields[i];
        size_t children, item;
        if (field->type == SX_ARROW_VECTOR) {
            table t = begin_table(b);
            set_number(&t, 0, PRECISION_SINGLE, 2);
            size_t described = end_table(&t);
            item = put_field(b, "item", TYPE_FLOAT, described, put_offsets(b, NULL, 0));
            children = put_offsets(b, &item, 1);
        } else {
            children = put_offsets(b, NULL, 0);
        }
        objects[i] = put_field(b, field->name, types[field->type], put_type(b, field->type, file->dimensions), children);
    }
    size_t fields = put_offsets(b, objects, file->field_count);
    if (file->note) {
        size_t key = put_string(b, file->note_key), value = put_string(b, file->note);
        table pair = begin_table(b);
        set_object(&pair, 0, key);
        set_object(&pair, 1, value);
        size_t note = end_table(&pair);
        notes = put_offsets(b, &note, 1);
    }
    table t = begin_table(b);
    set_object(&t, 1, fields);
    if (notes)
        set_object(&t, 2, notes);
    set_number(&t, 0, 0, 2);
    return end_table(&t);
}

/* ---- The file ---- */

static void append(sx_arrow_file *file, const void *data, size_t length)
{
    sx_buffer_append(file->out, data, length);
    file->position += length;
}

static void align(sx_arrow_file *file)
{
    static const char zeros[ALIGNMENT];
    append(file, zeros, (ALIGNMENT - file->position % ALIGNMENT) % ALIGNMENT);
}

/* The scratch becomes a message of this kind about `header`, and is written. Returns the bytes before the body. */
static size_t write_message(sx_arrow_file *file, uint8_t kind, size_t header, uint64_t body)
{
    sx_buffer *b = &file->scratch;
    table t = begin_table(b);
    set_number(&t, 3, body, 8);
    set_object(&t, 2, header);
    set_number(&t, 0, METADATA_V5, 2);
    set_number(&t, 1, kind, 1);
    finish(b, end_table(&t));
    const uint32_t head[2] = {UINT32_MAX, (uint32_t)b->length};
    append(file, head, sizeof head);
    append(file, b->length ? b->data : "", b->length);
    return sizeof head + b->length;
}

sx_status sx_arrow_begin(sx_arrow_file *file, sx_buffer *out, const sx_arrow_field *fields, size_t field_count,
                         uint32_t dimensions, const char *note_key, const char *note, sx_error *error)
{
    if (field_count > SX_ARROW_MOST_FIELDS)
        return sx_fail(error, SX_E_INVALID, "an Arrow file of %zu columns: at most %d", field_count, SX_ARROW_MOST_FIELDS);
    file->fields = fields;
    file->field_count = field_count;
    file->dimensions = dimensions;
    file->note_key = note_key;
    file->note = note;
    file->out = out;
    append(file, magic, sizeof magic - 1);
    align(file);
    sx_buffer_reset(&file->scratch);
    write_message(file, HEADER_SCHEMA, put_schema(file), 0);
    return file->scratch.failed || out->failed ? sx_fail_nomem(error, file->scratch.length) : SX_OK;
}

static void end_cell(sx_arrow_file *file)
{
    if (++file->field == file->field_count) {
        file->field = 0;
        file->rows++;
    }
}

void sx_arrow_text(sx_arrow_file *file, const char *text, size_t length)
{
    sx_buffer *data = &file->columns[file->field].data, *offsets = &file->columns[file->field].offsets;
    const uint32_t zero = 0;
    if (!offsets->length)
        sx_buffer_append(offsets, &zero, sizeof zero);
    sx_buffer_append(data, length ? text : "", length);
    uint32_t end = (uint32_t)data->length;
    sx_buffer_append(offsets, &end, sizeof end);
    end_cell(file);
}

void sx_arrow_integer(sx_arrow_file *file, int64_t value)
{
    sx_buffer_append(&file->columns[file->field].data, &value, sizeof value);
    end_cell(file);
}

void sx_arrow_vector(sx_arrow_file *file, const float *vector)
{
    sx_buffer_append(&file->columns[file->field].data, vector, file->dimensions * sizeof *vector);
    end_cell(file);
}

/* One of the buffers of a batch's body: its place there. */
static void add_buffer(uint64_t *buffers, size_t *count, uint64_t *body, size_t length)
{
    buffers[(*count)++] = *body;
    buffers[(*count)++] = length;
    *body += (length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static sx_status write_batch(sx_arrow_file *file, sx_error *error)
{
    uint64_t nodes[SX_ARROW_MOST_FIELDS * 4], buffers[SX_ARROW_MOST_FIELDS * 8], body = 0;
    size_t node_count = 0, buffer_count = 0;
    sx_buffer *b = &file->scratch;
    for (size_t i = 0; i < file->field_count; i++) {
        size_t length = file->columns[i].data.length;
        bool is_text = file->fields[i].type == SX_ARROW_TEXT, is_vector = file->fields[i].type == SX_ARROW_VECTOR;
        if (file->columns[i].data.failed || file->columns[i].offsets.failed)
            return sx_fail_nomem(error, length);
        if (length > INT32_MAX && is_text)
            return sx_fail(error, SX_E_LIMIT, "column %s: texts of %zu bytes in a batch; Arrow's utf8 takes 2 GB",
                           file->fields[i].name, length);
        nodes[node_count++] = file->rows;
        nodes[node_count++] = 0;                      /* nulls */
        add_buffer(buffers, &buffer_count, &body, 0); /* so no bits for them */
        if (is_vector) {
            nodes[node_count++] = file->rows * file->dimensions;
            nodes[node_count++] = 0;
            add_buffer(buffers, &buffer_count, &body, 0);
        }
        if (is_text)
            add_buffer(buffers, &buffer_count, &body, file->columns[i].offsets.length);
        add_buffer(buffers, &buffer_count, &body, length);
    }
    sx_buffer_reset(b);
    size_t buffers_at = put_numbers(b, buffers, buffer_count, 2), nodes_at = put_numbers(b, nodes, node_count, 2);
    table t = begin_table(b);
    set_number(&t, 0, file->rows, 8);
    set_object(&t, 1, nodes_at);
    set_object(&t, 2, buffers_at);
    uint64_t block[3] = {file->position};
    block[1] = write_message(file, HEADER_BATCH, end_table(&t), body);
    block[2] = body;
    sx_buffer_append(&file->blocks, block, sizeof block); /* a 32-bit length and 32 bits of nothing are one number here */
    for (size_t i = 0; i < file->field_count; i++) {
        sx_buffer *parts[] = {&file->columns[i].offsets, &file->columns[i].data};
        for (size_t p = 0; p < 2; p++) {
            append(file, parts[p]->length ? parts[p]->data : "", parts[p]->length);
            align(file);
            sx_buffer_reset(parts[p]);
        }
    }
    file->rows = 0;
    return b->failed || file->blocks.failed || file->out->failed ? sx_fail_nomem(error, (size_t)body) : SX_OK;
}

sx_status sx_arrow_flow(sx_arrow_file *file, sx_error *error)
{
    size_t bytes = 0;
    for (size_t i = 0; i < file->field_count; i++)
        bytes += file->columns[i].data.length;
    return file->rows && (file->rows >= ROWS_OF_BATCH || bytes >= BYTES_OF_BATCH) ? write_batch(file, error) : SX_OK;
}

sx_status sx_arrow_end(sx_arrow_file *file, sx_error *error)
{
    static const uint32_t end_of_stream[2] = {UINT32_MAX, 0};
    sx_buffer *b = &file->scratch;
    sx_status status = file->rows ? write_batch(file, error) : SX_OK;
    size_t count = file->blocks.length / sizeof(uint64_t);
    uint64_t *blocks = status ? NULL : sx_calloc(count ? count : 1, sizeof *blocks);
    if (!blocks)
        return status ? status : sx_fail_nomem(error, file->blocks.length);
    if (count)
        memcpy(blocks, file->blocks.data, file->blocks.length);
    append(file, end_of_stream, sizeof end_of_stream);
    sx_buffer_reset(b);
    size_t batches = put_numbers(b, blocks, count, 3), none = put_numbers(b, NULL, 0, 3), schema = put_schema(file);
    table t = begin_table(b);
    set_object(&t, 1, schema);
    set_object(&t, 2, none);
    set_object(&t, 3, batches);
    set_number(&t, 0, METADATA_V5, 2);
    finish(b, end_table(&t));
    free(blocks);
    const uint32_t length = (uint32_t)b->length;
    append(file, b->length ? b->data : "", b->length);
    append(file, &length, sizeof length);
    append(file, magic, sizeof magic - 1);
    return b->failed || file->out->failed ? sx_fail_nomem(error, length) : SX_OK;
}

void sx_arrow_clear(sx_arrow_file *file)
{
    for (size_t i = 0; i < SX_ARROW_MOST_FIELDS; i++) {
        sx_buffer_clear(&file->columns[i].data);
        sx_buffer_clear(&file->columns[i].offsets);
    }
    sx_buffer_clear(&file->blocks);
    sx_buffer_clear(&file->scratch);
    *file = (sx_arrow_file){0};
}
