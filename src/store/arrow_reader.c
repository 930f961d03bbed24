/* arrow_reader.c - Arrow's IPC file format, read: the footer's schema and blocks, then batch by batch, row by row.
 *
 * By the Arrow columnar format 1.4 (IPC file format; Schema.fbs, Message.fbs, File.fbs). Buffers that are not compressed are
 * read where they are mapped; LZ4 frames are taken apart by libarchive, Zstandard by its own library. A row becomes a JSON
 * object, so that ids, texts and metadata go by the names they go by in all other files, and a vector. Every length is held
 * against what is there. */
#include "arrow_reader.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/json_reader.h"
#include "../base/json_writer.h"
#include "../base/memory.h"
#include "../kern/half.h"
#include "../vec/segment.h"
#include "flat_table.h"

#include <archive.h>
#include <archive_entry.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum { MOST_COLUMNS = 256, MOST_BUFFERS = 4096, MOST_RATIO = 1000, TRAILER = 10, BLOCK_BYTES = 24 };
static const char magic[] = "ARROW1", parquet[] = "PAR1";
/* Of Schema.fbs, Message.fbs and File.fbs. */
enum { IS_NULL = 1, IS_INT = 2, IS_FLOAT = 3, IS_TEXT = 5, IS_BOOL = 6, IS_LIST = 12, IS_FIXED_LIST = 16, IS_LARGE_TEXT = 20,
       IS_LARGE_LIST = 21, IS_TEXT_VIEW = 24 };
enum { HEADER_BATCH = 3, LZ4 = 0, ZSTANDARD = 1, INLINE_TEXT = 12 };

typedef struct column {
    char *name;
    unsigned type, bytes; /* of a number, or of a number of the lists */
    bool is_signed, is_vector, is_place;
    uint32_t width; /* of a fixed-size list */
    /* of the batch */
    const unsigned char *valid, *values, *offsets; /* valid NULL: none is null; offsets: of texts and lists; values: the numbers */
    size_t valid_length, values_length, offsets_length;
    size_t first_view, view_count; /* buffers of texts that are too long for their view */
    uint64_t child_nulls;
} column;

typedef struct part {
    const unsigned char *data;
    size_t length;
    void *made; /* unpacked */
} part;

struct sx_arrow_reader {
    char *path;
    sx_file_map map;
    column *columns;
    size_t column_count, vector;
    sx_text note;
    bool places;
    size_t blocks, block_count, block; /* where the first stands in the footer, the next */
    sx_flat_bytes footer;
    part *parts; /* the batch's buffers */
    size_t part_count;
    uint64_t rows, row, number; /* of the batch; of the file */
    sx_buffer place, scratch;
};

bool sx_arrow_is_one(const void *begin, size_t length)
{
    static const unsigned char stream[] = {0xff, 0xff, 0xff, 0xff};
    return (length >= 6 && memcmp(begin, magic, 6) == 0) || (length >= 4 && memcmp(begin, parquet, 4) == 0) ||
           (length >= 4 && memcmp(begin, stream, 4) == 0);
}

static sx_status damaged(const sx_arrow_reader *reader, const char *what, sx_error *error)
{
    return sx_fail(error, SX_E_FORMAT, "%s: damaged Arrow file: %s", reader->path, what);
}

/* ---- The schema ---- */

static sx_status refuse_column(const sx_arrow_reader *reader, const column *made, const char *why, sx_error *error)
{
    (void)sx_fail(error, SX_E_UNSUPPORTED, "%s: column %s: %s", reader->path, made->name, why);
    sx_hint(error, "leave it out or change its type: texts, integers, floats, truth values and lists of floats can be read");
    return SX_E_UNSUPPORTED;
}

/* Bytes of a number; 0: it is no float. */
static unsigned float_bytes(sx_flat_table type)
{
    uint64_t precision = sx_flat_value(type, 0, 2, 0);
    return precision == 0 ? 2 : precision == 1 ? 4 : precision == 2 ? 8 : 0;
}

static sx_status read_type(sx_arrow_reader *reader, sx_flat_table field, column *made, sx_error *error)
{
    sx_flat_table type = sx_flat_child(field, 3);
    size_t first, children = sx_flat_vector(field, 5, 4, &first);
    made->type = (unsigned)sx_flat_value(field, 2, 1, 0);
    if (sx_flat_field(field, 4))
        return refuse_column(reader, made, "is a dictionary (categories)", error);
    switch (made->type) {
    case IS_NULL:
    case IS_BOOL:
    case IS_TEXT:
    case IS_LARGE_TEXT:
    case IS_TEXT_VIEW: return SX_OK;
    case IS_INT:
        made->bytes = (unsigned)sx_flat_value(type, 0, 4, 0) / 8;
        made->is_signed = sx_flat_value(type, 1, 1, 0) != 0;
        if (made->bytes == 1 || made->bytes == 2 || made->bytes == 4 || made->bytes == 8)
            return SX_OK;
        break;
    case IS_FLOAT:
        made->bytes = float_bytes(type);
        if (made->bytes)
            return SX_OK;
        break;
    case IS_LIST:
    case IS_LARGE_LIST:
    case IS_FIXED_LIST: {
        sx_flat_table child = sx_flat_at(field.bytes, children == 1 ? sx_flat_follow(field.bytes, first) : 0);
        made->bytes = sx_flat_value(child, 2, 1, 0) == IS_FLOAT ? float_bytes(sx_flat_child(child, 3)) : 0;
        made->width = made->type == IS_FIXED_LIST ? (uint32_t)sx_flat_value(type, 0, 4, 0) : 0;
        if (!made->bytes)
            return refuse_column(reader, made, "is a list of something else than floats", error);
        if (made->type == IS_FIXED_LIST && (!made->width || made->width > SX_SEGMENT_DIMENSIONS))
            return refuse_column(reader, made, "has vectors of no or of too many numbers", error);
        made->is_vector = true;
        return SX_OK;
    }
    default: break;
    }
    return refuse_column(reader, made, "is of a type that cannot be read", error);
}

static bool is_named(const column *made, const char *name)
{
    return strcmp(made->name, name) == 0;
}

static bool is_text(const column *made)
{
    return made->type == IS_TEXT || made->type == IS_LARGE_TEXT || made->type == IS_TEXT_VIEW;
}

/* The column of vectors, by name or because it is the only one; and whether document and root say where a chunk stood. */
static sx_status choose_columns(sx_arrow_reader *reader, sx_error *error)
{
    static const char *const names[] = {"document", "root", "index", "start", "end", "start_line", "end_line", "headings",
                                        "symbols"};
    size_t lists = 0, named = 0;
    bool document = false, root = false;
    for (size_t i = 0; i < reader->column_count; i++) {
        const column *made = &reader->columns[i];
        bool by_name = made->is_vector && (is_named(made, "vector") || is_named(made, "embedding"));
        lists += made->is_vector;
        named += by_name;
        if (by_name || (made->is_vector && !named))
            reader->vector = i;
        document = document || (is_named(made, "document") && is_text(made));
        root = root || (is_named(made, "root") && is_text(made));
    }
    if (!lists)
        return sx_fail(error, SX_E_FORMAT, "%s: has no column of lists of floats", reader->path);
    if (lists > 1) {
        size_t other = 0;
        while (!reader->columns[other].is_vector || other == reader->vector)
            other++;
        return refuse_column(reader, &reader->columns[named == 1 ? other : reader->vector], "is another column of vectors", error);
    }
    reader->places = document && root;
    for (size_t i = 0; i < reader->column_count && reader->places; i++)
        for (size_t j = 0; j < sizeof names / sizeof *names; j++)
            reader->columns[i].is_place = reader->columns[i].is_place || is_named(&reader->columns[i], names[j]);
    return SX_OK;
}

static sx_status read_schema(sx_arrow_reader *reader, sx_flat_table schema, sx_error *error)
{
    sx_flat_bytes *footer = &reader->footer;
    size_t first, count = sx_flat_vector(schema, 1, 4, &first), pairs, first_pair;
    if (sx_flat_value(schema, 0, 2, 0) != 0)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: its numbers are big-endian", reader->path);
    if (!count || count > MOST_COLUMNS)
        return sx_fail(error, SX_E_LIMIT, "%s: %zu columns; 1 to %d can be", reader->path, count, MOST_COLUMNS);
    if (!(reader->columns = sx_calloc(count, sizeof *reader->columns)))
        return sx_fail_nomem(error, count * sizeof *reader->columns);
    sx_status status = SX_OK;
    for (size_t i = 0; i < count && !status; i++) {
        sx_flat_table field = sx_flat_element(footer, first, i);
        sx_text name = sx_flat_text(field, 0);
        column *made = &reader->columns[reader->column_count++];
        made->name = sx_strndup(name.data, name.length);
        status = made->name ? read_type(reader, field, made, error) : sx_fail_nomem(error, name.length);
    }
    pairs = sx_flat_vector(schema, 2, 4, &first_pair);
    for (size_t i = 0; i < pairs && !status; i++) {
        sx_flat_table pair = sx_flat_element(footer, first_pair, i);
        if (sx_text_is(sx_flat_text(pair, 0), "sextant"))
            reader->note = sx_flat_text(pair, 1);
    }
    if (footer->bad)
        return damaged(reader, "its schema", error);
    return status ? status : choose_columns(reader, error);
}

static sx_status read_footer(sx_arrow_reader *reader, sx_error *error)
{
    const unsigned char *data = reader->map.data;
    size_t length = reader->map.length;
    uint32_t bytes;
    if (length >= 4 && memcmp(data, parquet, 4) == 0) {
        (void)sx_fail(error, SX_E_UNSUPPORTED, "%s: is Parquet, which is not read here", reader->path);
        sx_hint(error, "as Arrow it is: python3 -c 'import pyarrow.parquet as p, pyarrow.feather as f; "
                       "f.write_feather(p.read_table(\"IN.parquet\"), \"OUT.arrow\")'");
        return SX_E_UNSUPPORTED;
    }
    if (length < 8 || memcmp(data, magic, 6) != 0) {
        (void)sx_fail(error, SX_E_UNSUPPORTED, "%s: is an Arrow stream, not a file", reader->path);
        sx_hint(error, "write it with pyarrow.ipc.new_file or write_feather");
        return SX_E_UNSUPPORTED;
    }
    if (length < 8 + TRAILER || memcmp(data + length - 6, magic, 6) != 0)
        return damaged(reader, "its end is missing", error);
    memcpy(&bytes, data + length - TRAILER, sizeof bytes);
    if (bytes > length - 8 - TRAILER)
        return damaged(reader, "its footer is longer than it", error);
    reader->footer = (sx_flat_bytes){data + length - TRAILER - bytes, bytes, false};
    sx_flat_table footer = sx_flat_root(&reader->footer);
    reader->block_count = sx_flat_vector(footer, 3, BLOCK_BYTES, &reader->blocks);
    if (reader->footer.bad)
        return damaged(reader, "its footer", error);
    return read_schema(reader, sx_flat_child(footer, 1), error);
}

sx_status sx_arrow_open(const char *path, sx_arrow_reader **out, sx_error *error)
{
    *out = NULL;
    sx_arrow_reader *reader = sx_calloc(1, sizeof *reader);
    if (!reader || !(reader->path = sx_strdup(path))) {
        free(reader);
        return sx_fail_nomem(error, sizeof *reader);
    }
    sx_status status = sx_file_map_open(path, &reader->map, error);
    if (!status)
        status = read_footer(reader, error);
    if (status)
        sx_arrow_close(reader);
    else
        *out = reader;
    return status;
}

static void forget_batch(sx_arrow_reader *reader)
{
    for (size_t i = 0; i < reader->part_count; i++)
        free(reader->parts[i].made);
    free(reader->parts);
    reader->parts = NULL;
    reader->part_count = 0;
    reader->rows = reader->row = 0;
}

void sx_arrow_close(sx_arrow_reader *reader)
{
    if (!reader)
        return;
    forget_batch(reader);
    for (size_t i = 0; i < reader->column_count; i++)
        free(reader->columns[i].name);
    free(reader->columns);
    sx_buffer_clear(&reader->place);
    sx_buffer_clear(&reader->scratch);
    sx_file_map_close(&reader->map);
    free(reader->path);
    free(reader);
}

sx_text sx_arrow_note(const sx_arrow_reader *reader)
{
    return reader->note;
}

/* ---- Buffers ---- */

static bool unpack_lz4(const unsigned char *data, size_t length, unsigned char *out, size_t size)
{
    struct archive *archive = archive_read_new();
    struct archive_entry *entry;
    size_t done = 0;
    bool sound = archive && archive_read_support_filter_lz4(archive) == ARCHIVE_OK &&
                 archive_read_support_format_raw(archive) == ARCHIVE_OK &&
                 archive_read_open_memory(archive, data, length) == ARCHIVE_OK &&
                 archive_read_next_header(archive, &entry) == ARCHIVE_OK && archive_filter_count(archive) == 2;
    while (sound && done < size) {
        la_ssize_t got = archive_read_data(archive, out + done, size - done);
        sound = got > 0;
        done += got > 0 ? (size_t)got : 0;
    }
    archive_read_free(archive);
    return sound;
}

/* A buffer of a compressed batch: its length unpacked, -1 when it is as it is, then the bytes. */
static sx_status unpack(const sx_arrow_reader *reader, int codec, part *one, sx_error *error)
{
    uint64_t size;
    if (!one->length)
        return SX_OK;
    if (one->length < sizeof size)
        return damaged(reader, "a compressed buffer is too short", error);
    memcpy(&size, one->data, sizeof size);
    one->data += sizeof size;
    one->length -= sizeof size;
    if (size == UINT64_MAX)
        return SX_OK;
    if (size / MOST_RATIO > one->length + 64)
        return damaged(reader, "a buffer grows more than a thousand times when it is unpacked", error);
    if (!(one->made = sx_calloc(size + 1, 1)))
        return sx_fail_nomem(error, size);
    bool sound = !size || (codec == LZ4 ? unpack_lz4(one->data, one->length, one->made, size)
                                        : ZSTD_decompress(one->made, size, one->data, one->length) == size);
    one->data = one->made;
    one->length = size;
    return sound ? SX_OK : damaged(reader, "a compressed buffer", error);
}

/* The batch's buffers, unpacked. */
static sx_status read_buffers(sx_arrow_reader *reader, sx_flat_table batch, const unsigned char *body, uint64_t body_length,
                              sx_error *error)
{
    sx_flat_bytes *bytes = batch.bytes;
    size_t first, count = sx_flat_vector(batch, 2, 16, &first);
    sx_flat_table compression = sx_flat_child(batch, 3);
    int codec = compression.position ? (int)sx_flat_value(compression, 0, 1, 0) : -1;
    if (codec > ZSTANDARD)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: compressed in a way (%d) that is not known", reader->path, codec);
    if (count > MOST_BUFFERS)
        return sx_fail(error, SX_E_LIMIT, "%s: a batch of %zu buffers, more than %d", reader->path, count, MOST_BUFFERS);
    if (!(reader->parts = sx_calloc(count, sizeof *reader->parts)))
        return sx_fail_nomem(error, count * sizeof *reader->parts);
    sx_status status = SX_OK;
    for (size_t i = 0; i < count && !status; i++) {
        uint64_t offset = sx_flat_number(bytes, first + 16 * i, 8), length = sx_flat_number(bytes, first + 16 * i + 8, 8);
        if (offset > body_length || length > body_length - offset)
            return damaged(reader, "a buffer outside of its batch", error);
        part *one = &reader->parts[reader->part_count++];
        *one = (part){body + offset, (size_t)length, NULL};
        if (codec >= 0)
            status = unpack(reader, codec, one, error);
    }
    return status;
}

static const unsigned char *take(sx_arrow_reader *reader, size_t *next, size_t *length)
{
    const part *one = *next < reader->part_count ? &reader->parts[*next] : NULL;
    ++*next;
    *length = one ? one->length : 0;
    return one ? one->data : NULL;
}

/* Gives the columns their buffers, in the schema's order, and looks that they are long enough for the rows. */
static sx_status share_out(sx_arrow_reader *reader, sx_flat_table batch, sx_error *error)
{
    sx_flat_bytes *bytes = batch.bytes;
    size_t first_node, nodes = sx_flat_vector(batch, 1, 16, &first_node);
    size_t first_count, counts = sx_flat_vector(batch, 4, 8, &first_count);
    size_t next = 0, node = 0, count = 0;
    uint64_t rows = reader->rows;
    for (size_t i = 0; i < reader->column_count; i++) {
        column *made = &reader->columns[i];
        uint64_t nulls = node < nodes ? sx_flat_number(bytes, first_node + 16 * node + 8, 8) : 0;
        if (node >= nodes || sx_flat_number(bytes, first_node + 16 * node, 8) != rows)
            return damaged(reader, "a column has not as many rows as its batch", error);
        node++;
        made->valid = made->values = made->offsets = NULL;
        made->valid_length = made->values_length = made->offsets_length = made->view_count = 0;
        made->child_nulls = 0;
        if (made->type == IS_NULL)
            continue;
        made->valid = take(reader, &next, &made->valid_length);
        if (!nulls)
            made->valid = NULL;
        else if (made->valid_length < (rows + 7) / 8)
            return damaged(reader, "a column's nulls are cut off", error);
        if (made->type == IS_TEXT || made->type == IS_LARGE_TEXT || made->type == IS_LIST || made->type == IS_LARGE_LIST)
            made->offsets = take(reader, &next, &made->offsets_length);
        if (made->is_vector) {
            made->child_nulls = node < nodes ? sx_flat_number(bytes, first_node + 16 * node + 8, 8) : 1;
            node++;
            next++; /* the numbers' own nulls */
        }
        made->values = take(reader, &next, &made->values_length);
        if (made->type == IS_TEXT_VIEW) {
            made->view_count = count < counts ? (size_t)sx_flat_number(bytes, first_count + 8 * count, 8) : 0;
            count++;
            made->first_view = next;
            if (made->view_count > reader->part_count)
                return damaged(reader, "a column's texts", error);
            next += made->view_count;
        }
        uint64_t wide = made->type == IS_BOOL           ? (rows + 7) / 8
                        : made->type == IS_TEXT_VIEW    ? 16 * rows
                        : made->type == IS_FIXED_LIST   ? rows * made->width * made->bytes
                        : made->offsets_length || !rows ? 0
                                                        : rows * made->bytes;
        uint64_t offset = made->type == IS_LARGE_TEXT || made->type == IS_LARGE_LIST ? 8 : 4;
        bool has_offsets = made->type == IS_TEXT || made->type == IS_LARGE_TEXT || made->type == IS_LIST || made->type == IS_LARGE_LIST;
        if (next > reader->part_count || made->values_length < wide ||
            (has_offsets && rows && made->offsets_length < (rows + 1) * offset))
            return damaged(reader, "a column is shorter than its batch", error);
    }
    return bytes->bad ? damaged(reader, "the head of a batch", error) : SX_OK;
}

static sx_status next_batch(sx_arrow_reader *reader, sx_error *error)
{
    size_t at = reader->blocks + BLOCK_BYTES * reader->block++;
    uint64_t offset = sx_flat_number(&reader->footer, at, 8), head = sx_flat_number(&reader->footer, at + 8, 4);
    uint64_t body = sx_flat_number(&reader->footer, at + 16, 8), length = reader->map.length, prefix = 8;
    forget_batch(reader);
    if (reader->footer.bad || offset > length || head > length - offset || head < prefix || body > length - offset - head)
        return damaged(reader, "a batch lies outside of it", error);
    sx_flat_bytes bytes = {reader->map.data + offset + prefix, (size_t)(head - prefix), false};
    sx_flat_table message = sx_flat_root(&bytes), batch = sx_flat_child(message, 2);
    if (sx_flat_value(message, 1, 1, 0) != HEADER_BATCH || bytes.bad)
        return damaged(reader, "the head of a batch", error);
    reader->rows = sx_flat_value(batch, 0, 8, 0);
    if (reader->rows > UINT32_MAX)
        return damaged(reader, "a batch of more rows than can be", error);
    sx_status status = read_buffers(reader, batch, reader->map.data + offset + head, body, error);
    return status ? status : share_out(reader, batch, error);
}

/* ---- Cells ---- */

static sx_status bad_cell(const sx_arrow_reader *reader, const column *made, const char *what, sx_error *error)
{
    return sx_fail(error, SX_E_FORMAT, "%s: row %llu, column %s: %s", reader->path, (unsigned long long)reader->number, made->name,
                   what);
}

static bool is_null(const column *made, uint64_t row)
{
    return made->type == IS_NULL || (made->valid && !(made->valid[row / 8] >> (row % 8) & 1));
}

static uint64_t number_at(const unsigned char *data, uint64_t index, unsigned bytes)
{
    uint64_t value = 0;
    memcpy(&value, data + index * bytes, bytes);
    return value;
}

static double float_at(const unsigned char *data, uint64_t index, unsigned bytes)
{
    uint64_t bits = number_at(data, index, bytes);
    double wide;
    if (bytes == 2)
        return (double)float_of_half((uint32_t)bits);
    if (bytes == 4)
        return (double)float_of_bits((uint32_t)bits);
    memcpy(&wide, &bits, sizeof wide);
    return wide;
}

/* From and to, of a text's bytes or of a list's numbers; false: they are not in the buffer of `most`. */
static bool range_at(const column *made, uint64_t row, uint64_t most, uint64_t *from, uint64_t *to)
{
    unsigned bytes = made->type == IS_LARGE_TEXT || made->type == IS_LARGE_LIST ? 8 : 4;
    *from = number_at(made->offsets, row, bytes);
    *to = number_at(made->offsets, row + 1, bytes);
    return *from <= *to && *to <= most;
}

static bool text_at(const sx_arrow_reader *reader, const column *made, uint64_t row, sx_text *text)
{
    uint64_t from, to;
    if (made->type != IS_TEXT_VIEW) {
        if (!range_at(made, row, made->values_length, &from, &to))
            return false;
        *text = (sx_text){(const char *)made->values + from, (size_t)(to - from)};
        return true;
    }
    const unsigned char *view = made->values + 16 * row;
    uint64_t length = number_at(view, 0, 4), which = number_at(view + 8, 0, 4), offset = number_at(view + 12, 0, 4);
    *text = (sx_text){(const char *)view + 4, (size_t)length};
    if (length <= INLINE_TEXT)
        return true;
    if (which >= made->view_count)
        return false;
    const part *one = &reader->parts[made->first_view + which];
    text->data = (const char *)one->data + offset;
    return offset <= one->length && length <= one->length - offset;
}

/* JSON that stands in a text: our own export's metadata and headings. */
static bool is_json(sx_text text)
{
    sx_json json;
    sx_text raw;
    if (!text.length || (text.data[0] != '{' && text.data[0] != '['))
        return false;
    sx_json_begin(&json, text.data, text.length, "");
    (void)sx_json_raw(&json, &raw);
    sx_json_end(&json);
    return !json.problem;
}

static sx_status put_cell(sx_arrow_reader *reader, const column *made, sx_buffer *out, sx_error *error)
{
    uint64_t row = reader->row, bits;
    sx_text text;
    if (is_null(made, row)) {
        sx_buffer_append_string(out, "null");
    } else if (made->type == IS_BOOL) {
        sx_buffer_append_string(out, made->values[row / 8] >> (row % 8) & 1 ? "true" : "false");
    } else if (made->type == IS_FLOAT) {
        double value = float_at(made->values, row, made->bytes);
        if (isfinite(value))
            sx_json_write_double(out, value);
        else
            sx_buffer_append_string(out, "null");
    } else if (made->type == IS_INT) {
        bits = number_at(made->values, row, made->bytes);
        unsigned shift = 64 - 8 * made->bytes;
        if (made->is_signed)
            sx_json_write_integer(out, (int64_t)(bits << shift) >> shift);
        else
            sx_buffer_printf(out, "%llu", (unsigned long long)bits);
    } else if (!text_at(reader, made, row, &text)) {
        return bad_cell(reader, made, "its text lies outside of the column", error);
    } else if ((made->is_place || is_named(made, "metadata")) && is_json(text)) {
        sx_buffer_append(out, text.data, text.length);
    } else {
        sx_json_write_string(out, text.data, text.length);
    }
    return SX_OK;
}

static void put_key(sx_buffer *out, const char *name)
{
    sx_buffer_append_byte(out, out->length ? ',' : '{');
    sx_json_write_string(out, name, strlen(name));
    sx_buffer_append_byte(out, ':');
}

/* The place becomes metadata's member `chunk`, where the other files of a collection have it. */
static void join_place(sx_arrow_reader *reader, sx_buffer *out)
{
    sx_buffer *place = &reader->place, *metadata = &reader->scratch;
    sx_buffer_append_byte(place, '}');
    put_key(out, "metadata");
    if (metadata->length > 2 && metadata->data[metadata->length - 1] == '}') {
        sx_buffer_append(out, metadata->data, metadata->length - 1);
        sx_buffer_append_byte(out, ',');
    } else {
        sx_buffer_append_byte(out, '{');
    }
    sx_buffer_append_string(out, "\"chunk\":");
    sx_buffer_append(out, place->data ? place->data : "", place->length);
    sx_buffer_append_byte(out, '}');
}

static sx_status read_vector(sx_arrow_reader *reader, sx_json_vector *vector, sx_error *error)
{
    const column *made = &reader->columns[reader->vector];
    uint64_t from = reader->row * made->width, to = from + made->width;
    if (is_null(made, reader->row) || made->child_nulls)
        return bad_cell(reader, made, "there is no vector, or a null in one", error);
    if (made->type != IS_FIXED_LIST && !range_at(made, reader->row, made->values_length / made->bytes, &from, &to))
        return bad_cell(reader, made, "its numbers lie outside of the column", error);
    if (to - from > SX_SEGMENT_DIMENSIONS || to == from)
        return bad_cell(reader, made, "has no or too many numbers", error);
    vector->length = 0;
    if (!sx_reserve((void **)&vector->data, &vector->capacity, (size_t)(to - from), sizeof *vector->data))
        return sx_fail_nomem(error, (size_t)(to - from) * sizeof *vector->data);
    for (uint64_t i = from; i < to; i++) {
        float value = (float)float_at(made->values, i, made->bytes);
        if (!isfinite(value))
            return bad_cell(reader, made, "has a number that is none, or too large for a float", error);
        vector->data[vector->length++] = value;
    }
    return SX_OK;
}

sx_status sx_arrow_next(sx_arrow_reader *reader, sx_buffer *object, sx_json_vector *vector, bool *more, sx_error *error)
{
    sx_status status = SX_OK;
    while (!status && reader->row == reader->rows && reader->block < reader->block_count)
        status = next_batch(reader, error);
    *more = !status && reader->row < reader->rows;
    if (!*more)
        return status;
    sx_buffer_reset(object);
    sx_buffer_reset(&reader->place);
    sx_buffer_reset(&reader->scratch);
    for (size_t i = 0; i < reader->column_count && !status; i++) {
        const column *made = &reader->columns[i];
        bool aside = reader->places && is_named(made, "metadata");
        sx_buffer *out = made->is_place ? &reader->place : aside ? &reader->scratch : object;
        if (i == reader->vector)
            continue;
        if (!aside)
            put_key(out, made->name);
        status = put_cell(reader, made, out, error);
    }
    if (!status && reader->places)
        join_place(reader, object);
    if (!object->length)
        sx_buffer_append_byte(object, '{');
    sx_buffer_append_byte(object, '}');
    if (!status && (object->failed || reader->place.failed || reader->scratch.failed))
        status = sx_fail(error, SX_E_LIMIT, "%s: row %llu: longer than 1 GiB or than memory", reader->path,
                         (unsigned long long)reader->number);
    if (!status)
        status = read_vector(reader, vector, error);
    reader->row++;
    reader->number++;
    *more = !status;
    return status;
}
