/* records.c - texts with ids, one after another, from arguments, lines, JSONL, JSON, CSV or TSV.
 *
 * Lines, JSONL and CSV are read as they come, so that a file of any length passes through bounded memory. CSV is RFC 4180
 * with a header row; line ends may be LF too; fields may be separated by semicolons or tabs, as spreadsheets do in countries
 * that write 3,5: what the header row has most of outside of quotes is the separator. TSV is the same with tabs.
 */
#include "records.h"

#include "buffer.h"
#include "compressed.h"
#include "error.h"
#include "file.h"
#include "json_reader.h"
#include "json_writer.h"
#include "memory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_COLUMNS = 4096, HEADER_MOST = 1 << 20 };
static const size_t longest_text = (size_t)1 << 30;
static const size_t longest_document = (size_t)4 << 30;

typedef enum record_format { FORMAT_ARGUMENTS, FORMAT_TEXT, FORMAT_LINES, FORMAT_JSONL, FORMAT_JSON, FORMAT_CSV, FORMAT_TSV } record_format;
static const char *const format_names[] = {"arguments", "text", "lines", "jsonl", "json", "csv", "tsv"};

struct sx_records {
    sx_records_input input;
    record_format format;
    const char *name; /* for messages */
    sx_source *source;
    FILE *file; /* the source as a stream */
    size_t path; /* of the input's paths, the one being read */
    size_t next;  /* argument, or 1 when the whole text was given */
    size_t line;  /* of the record read last, from 1 */
    size_t row;   /* element of a JSON array */
    char *memory; /* getdelim's */
    size_t capacity;
    sx_buffer document; /* a whole file */
    sx_json json;
    sx_buffer key, value;
    size_t column_count, text_column, id_column; /* CSV; SIZE_MAX: no such column */
    char *columns;                               /* the header row's fields as JSON strings, each ended by NUL */
    char separator;
};

void sx_record_clear(sx_record *item)
{
    free(item->text);
    free(item->id);
    free(item->members);
    free(item->problem);
    *item = (sx_record){0};
}

static void spoil(sx_record *item, sx_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The item failed: says why and drops what was read of it but its id. */
static void spoil(sx_record *item, sx_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    free(item->problem);
    if (vasprintf(&item->problem, format, arguments) < 0)
        item->problem = NULL;
    va_end(arguments);
    item->status = status;
    free(item->text);
    item->text = NULL;
    item->length = 0;
}

static bool decide_format(sx_records *reader, const char *path, const char *fallback)
{
    static const struct {
        const char *suffix;
        record_format format;
    } suffixes[] = {{".jsonl", FORMAT_JSONL}, {".ndjson", FORMAT_JSONL}, {".json", FORMAT_JSON}, {".csv", FORMAT_CSV},
                  {".tsv", FORMAT_TSV},     {".tab", FORMAT_TSV}};
    const char *wanted = reader->input.format;
    size_t stem = sx_compression_stem(path);
    for (size_t i = 0; !wanted && i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t length = strlen(suffixes[i].suffix);
        if (stem >= length && strncmp(path + stem - length, suffixes[i].suffix, length) == 0)
            wanted = format_names[suffixes[i].format];
    }
    if (!wanted)
        wanted = fallback;
    for (size_t i = 0; i < sizeof format_names / sizeof *format_names; i++)
        if (strcmp(wanted, format_names[i]) == 0) {
            reader->format = (record_format)i;
            return true;
        }
    return false;
}

/* A stream that ended because its source cannot be read on. */
static sx_status read_failed(const sx_records *reader, sx_error *error)
{
    sx_status status = sx_source_problem(reader->source, error);
    return status ? status : sx_fail_errno(error, errno ? errno : EIO, "%s: cannot be read", reader->name);
}

static sx_status read_whole(sx_records *reader, sx_error *error)
{
    reader->document.maximum = longest_document;
    for (;;) {
        char *room = sx_buffer_room(&reader->document, 65536);
        if (!room)
            return sx_fail(error, SX_E_LIMIT, "%s: more than %zu bytes, or no memory for them", reader->name, longest_document);
        size_t got = fread(room, 1, 65536, reader->file);
        reader->document.length += got;
        if (got < 65536)
            break;
    }
    if (ferror(reader->file))
        return read_failed(reader, error);
    sx_buffer_append(&reader->document, "", 0);
    return reader->document.failed ? sx_fail_nomem(error, 65536) : SX_OK;
}

static void skip_mark(const char **data, size_t *length)
{
    if (*length >= 3 && memcmp(*data, "\xef\xbb\xbf", 3) == 0) {
        *data += 3;
        *length -= 3;
    }
}

static sx_status begin_json(sx_records *reader, sx_error *error)
{
    const char *data = reader->document.data;
    size_t length = reader->document.length;
    skip_mark(&data, &length);
    sx_json *json = &reader->json;
    sx_json_begin(json, data, length, reader->name);
    if (sx_json_peek(json) == SX_JSON_ARRAY) {
        sx_json_skip(json);
        sx_json_end(json);
    } else {
        sx_json_reject(json, "expected an array of strings or of objects");
    }
    if (json->problem)
        return sx_json_fail(json, SX_E_FORMAT, error);
    sx_json_begin(json, data, length, reader->name);
    sx_json_array(json);
    return SX_OK;
}

/* ---- CSV ---- */

typedef struct csv_row {
    sx_buffer bytes; /* all fields, one after another */
    size_t ends[MAX_COLUMNS];
    size_t count, line;
    const char *problem;
} csv_row;

/* Reads one record. False at the end of the file. */
static bool read_csv_row(sx_records *reader, csv_row *row)
{
    FILE *file = reader->file;
    int c = getc_unlocked(file);
    sx_buffer_reset(&row->bytes);
    row->bytes.maximum = longest_text;
    row->count = 0;
    row->problem = NULL;
    while (c == '\n' || c == '\r') { /* blank lines */
        reader->line += c == '\n';
        c = getc_unlocked(file);
    }
    if (c == EOF)
        return false;
    row->line = ++reader->line;
    for (bool quoted = false, fresh = true, closed = false;; c = getc_unlocked(file)) {
        if (c == EOF && quoted)
            row->problem = "the file ends inside a quoted field";
        if (quoted && c != EOF) {
            if (c == '"') {
                int next = getc_unlocked(file);
                if (next == '"') {
                    sx_buffer_append_byte(&row->bytes, '"');
                } else {
                    quoted = false;
                    closed = true;
                    ungetc(next, file);
                }
            } else {
                reader->line += c == '\n';
                sx_buffer_append_byte(&row->bytes, (char)c);
            }
            continue;
        }
        if (c == '"' && fresh) {
            quoted = true;
            fresh = false;
            continue;
        }
        int after = c == '\r' ? getc_unlocked(file) : 0;
        bool ends = c == EOF || c == '\n' || (c == '\r' && (after == '\n' || after == EOF));
        if (c == '\r' && !ends)
            ungetc(after, file);
        if (c == reader->separator || ends) {
            if (row->count < MAX_COLUMNS)
                row->ends[row->count++] = row->bytes.length;
            else
                row->problem = "too many fields";
            fresh = true;
            closed = false;
            if (ends)
                break;
            continue;
        }
        if (closed || (c == '"' && reader->format == FORMAT_CSV)) /* without quotes in TSV a quote is a quote */
            row->problem = closed ? "text behind a closing quote" : "a quote inside a field that is not quoted";
        fresh = false;
        sx_buffer_append_byte(&row->bytes, (char)c);
    }
    if (row->bytes.failed)
        row->problem = "the record is too long";
    return true;
}

static const char *csv_field(const csv_row *row, size_t column, size_t *length)
{
    size_t start = column ? row->ends[column - 1] : 0;
    *length = row->ends[column] - start;
    return row->bytes.data ? row->bytes.data + start : "";
}

/* The bytes of the header row: lines until quotes are closed. */
static void read_header(sx_records *reader, sx_buffer *header)
{
    bool quoted = false;
    ssize_t got;
    while ((got = getdelim(&reader->memory, &reader->capacity, '\n', reader->file)) > 0) {
        for (ssize_t i = 0; i < got; i++)
            quoted ^= reader->memory[i] == '"';
        sx_buffer_append(header, reader->memory, (size_t)got);
        if (!quoted || header->failed)
            break;
    }
}

static char separator_of(const sx_buffer *header)
{
    static const char separators[] = ",;\t";
    size_t counts[3] = {0}, best = 0;
    bool quoted = false;
    for (size_t i = 0; i < header->length; i++) {
        char byte = header->data[i];
        const char *found = byte && !quoted ? strchr(separators, byte) : NULL;
        quoted ^= byte == '"';
        if (found)
            counts[found - separators]++;
    }
    for (size_t i = 1; i < 3; i++)
        best = counts[i] > counts[best] ? i : best;
    return separators[best];
}

/* The header row is read from memory, and what follows from the file. */
static sx_status read_header_row(sx_records *reader, csv_row *row, bool *any, sx_error *error)
{
    sx_buffer header = {.maximum = HEADER_MOST};
    FILE *file = reader->file, *memory = NULL;
    sx_status status = SX_OK;
    read_header(reader, &header);
    *any = false;
    if (ferror(file)) {
        status = read_failed(reader, error);
    } else if (header.failed) {
        status = sx_fail(error, SX_E_FORMAT, "%s: line 1: a header row of more than %d bytes", reader->name, HEADER_MOST);
    } else if (header.length >= 2 && (!memcmp(header.data, "\xff\xfe", 2) || !memcmp(header.data, "\xfe\xff", 2))) {
        status = sx_fail(error, SX_E_FORMAT, "%s: UTF-16; records are read as UTF-8", reader->name);
        sx_hint(error, "iconv -f UTF-16 -t UTF-8 makes it that");
    } else if (header.length) {
        if (reader->format == FORMAT_CSV)
            reader->separator = separator_of(&header);
        const char *start = header.data;
        size_t length = header.length;
        skip_mark(&start, &length);
        memory = length ? fmemopen((char *)(uintptr_t)start, length, "r") : NULL; /* "r" leaves it as it is */
        if (length && !memory) {
            status = sx_fail_nomem(error, header.length);
        } else if (memory) {
            reader->file = memory;
            *any = read_csv_row(reader, row);
            reader->file = file;
            fclose(memory);
        }
    }
    sx_buffer_clear(&header);
    return status;
}

static sx_status begin_csv(sx_records *reader, sx_error *error)
{
    csv_row *row = sx_calloc(1, sizeof *row);
    if (!row)
        return sx_fail_nomem(error, sizeof *row);
    sx_buffer names = {0};
    reader->text_column = reader->id_column = SIZE_MAX;
    bool any;
    sx_status status = read_header_row(reader, row, &any, error);
    if (status)
        goto out;
    if (!any || row->problem) {
        status = sx_fail(error, SX_E_FORMAT, "%s: line 1: %s", reader->name, row->problem ? row->problem : "no header row");
        goto out;
    }
    reader->column_count = row->count;
    for (size_t i = 0; i < row->count; i++) {
        size_t length;
        const char *field = csv_field(row, i, &length);
        if (length == strlen(reader->input.text_column) && memcmp(field, reader->input.text_column, length) == 0)
            reader->text_column = i;
        else if (length == strlen(reader->input.id_column) && memcmp(field, reader->input.id_column, length) == 0)
            reader->id_column = i;
        sx_json_write_string(&names, field, length);
        sx_buffer_append_byte(&names, '\0');
    }
    reader->columns = sx_buffer_take(&names);
    if (!reader->columns) {
        status = sx_fail_nomem(error, 4096);
        goto out;
    }
    if (reader->text_column == SIZE_MAX) {
        status =
            sx_fail(error, SX_E_FORMAT, "%s: line 1: the header row has no column '%s'", reader->name, reader->input.text_column);
        sx_hint(error, "--text-column names the column that holds the texts");
    }
out:
    sx_buffer_clear(&names);
    sx_buffer_clear(&row->bytes);
    free(row);
    return status;
}

/* All fields but the text as JSON members; false on no memory. */
static bool take_columns(const sx_records *reader, const csv_row *row, sx_record *item)
{
    sx_buffer members = {.maximum = longest_text};
    const char *name = reader->columns;
    sx_buffer_append_string(&members, "");
    for (size_t i = 0; i < row->count; i++, name += strlen(name) + 1) {
        size_t length;
        const char *field = csv_field(row, i, &length);
        if (i == reader->text_column)
            continue;
        sx_buffer_append_string(&members, members.length ? "," : "");
        sx_buffer_append_string(&members, name);
        sx_buffer_append_byte(&members, ':');
        sx_json_write_string(&members, field, length);
    }
    item->members = sx_buffer_take(&members);
    return item->members != NULL;
}

static sx_status next_csv(sx_records *reader, sx_record *item, bool *more, sx_error *error)
{
    csv_row *row = sx_calloc(1, sizeof *row);
    sx_buffer id = {0};
    sx_status status = SX_OK;
    if (!row)
        return sx_fail_nomem(error, sizeof *row);
    *more = read_csv_row(reader, row);
    if (ferror(reader->file)) {
        status = read_failed(reader, error);
        goto out;
    }
    if (!*more)
        goto out;
    if (!row->problem && row->count != reader->column_count) {
        spoil(item, SX_E_FORMAT, "%s: line %zu: %zu fields, but the header has %zu", reader->name, row->line, row->count,
              reader->column_count);
    } else if (row->problem) {
        spoil(item, SX_E_FORMAT, "%s: line %zu: %s", reader->name, row->line, row->problem);
    } else {
        const char *field = csv_field(row, reader->text_column, &item->length);
        item->text = sx_strndup(field, item->length);
        if (!item->text || (reader->input.columns && !take_columns(reader, row, item)))
            status = sx_fail_nomem(error, row->bytes.length);
    }
    item->line = row->line;
    if (reader->id_column != SIZE_MAX && reader->id_column < row->count) {
        size_t length;
        const char *field = csv_field(row, reader->id_column, &length);
        sx_json_write_string(&id, field, length);
        item->id = sx_buffer_take(&id);
    }
out:
    sx_buffer_clear(&row->bytes);
    free(row);
    return status;
}

/* ---- JSON ---- */

/* Reads one object or string at the reader's position into the item; what is well-formed but wrong spoils the item only. */
static sx_status read_json_value(sx_records *reader, sx_json *json, sx_record *item, sx_error *error)
{
    sx_buffer members = {.maximum = longest_text};
    sx_status status = SX_OK;
    const char *problem = NULL;
    bool missing = false;
    sx_text key, text = {NULL, 0}, raw;
    sx_json_type type = sx_json_peek(json);
    if (type == SX_JSON_STRING) {
        if (sx_json_string(json, &reader->value, &text))
            item->text = sx_strndup(text.data, item->length = text.length);
    } else if (type == SX_JSON_OBJECT) {
        bool found = false;
        sx_buffer_append_string(&members, "");
        sx_json_object(json);
        while (sx_json_member(json, &reader->key, &key)) {
            bool is_text = sx_text_is(key, reader->input.text_column), is_id = sx_text_is(key, reader->input.id_column);
            size_t start = json->position;
            sx_json_type kind = sx_json_peek(json);
            if (is_text && kind == SX_JSON_STRING && sx_json_string(json, &reader->value, &text)) {
                free(item->text);
                item->text = sx_strndup(text.data, item->length = text.length);
                raw = (sx_text){(const char *)json->data + start, json->position - start};
            } else if (!sx_json_raw(json, &raw)) {
                break;
            } else if (is_text) {
                problem = "the text is not a string";
            }
            found = found || is_text;
            if (is_id && (kind == SX_JSON_STRING || kind == SX_JSON_NUMBER)) {
                free(item->id);
                item->id = sx_strndup(raw.data, raw.length);
            }
            if (!sx_text_is(key, "embedding")) {
                sx_buffer_append_string(&members, members.length ? "," : "");
                sx_json_write_string(&members, key.data, key.length);
                sx_buffer_append_byte(&members, ':');
                sx_buffer_append(&members, raw.data, raw.length);
            }
        }
        if (!json->problem) {
            missing = !found;
            item->members = sx_buffer_take(&members);
            if (!item->members)
                status = sx_fail_nomem(error, 4096);
        }
    } else if (type != SX_JSON_BAD) {
        sx_json_skip(json);
        problem = "neither a string nor an object";
    } else {
        sx_json_skip(json); /* makes the reader say what is wrong */
    }
    if (!json->problem && (problem || missing)) {
        bool document = reader->format == FORMAT_JSON;
        spoil(item, SX_E_FORMAT, "%s: %s %zu: %s%s", reader->name, document ? "element" : "line",
              document ? reader->row - 1 : reader->line, missing ? "there is no member " : problem,
              missing ? reader->input.text_column : "");
    }
    if (!status && !json->problem && !problem && !missing && !item->text)
        status = sx_fail_nomem(error, item->length);
    sx_buffer_clear(&members);
    return status;
}

static sx_status next_json(sx_records *reader, sx_record *item, bool *more, sx_error *error)
{
    *more = sx_json_element(&reader->json);
    if (!*more)
        return SX_OK;
    reader->row++;
    sx_status status = read_json_value(reader, &reader->json, item, error);
    if (!status && reader->json.problem)
        status = sx_json_fail(&reader->json, SX_E_FORMAT, error);
    return status;
}

/* *line without its end; false at the end of the file. */
static sx_status next_line(sx_records *reader, sx_text *line, bool *more, sx_error *error)
{
    errno = 0;
    ssize_t got = getdelim(&reader->memory, &reader->capacity, '\n', reader->file);
    if (got < 0 && (ferror(reader->file) || errno == ENOMEM))
        return read_failed(reader, error);
    *more = got >= 0;
    if (!*more)
        return SX_OK;
    size_t length = (size_t)got;
    const char *data = reader->memory;
    if (length && data[length - 1] == '\n')
        length -= length >= 2 && data[length - 2] == '\r' ? 2 : 1;
    if (reader->line++ == 0)
        skip_mark(&data, &length);
    *line = (sx_text){data, length};
    return SX_OK;
}

static bool is_blank(sx_text line)
{
    for (size_t i = 0; i < line.length; i++)
        if (!strchr(" \t\r", line.data[i]) || !line.data[i])
            return false;
    return true;
}

static sx_status next_jsonl(sx_records *reader, sx_record *item, bool *more, sx_error *error)
{
    sx_text line;
    sx_status status;
    do
        status = next_line(reader, &line, more, error);
    while (!status && *more && is_blank(line));
    if (status || !*more)
        return status;
    sx_json json;
    item->line = reader->line;
    sx_json_begin(&json, line.data, line.length, reader->name);
    status = read_json_value(reader, &json, item, error);
    if (!status && !json.problem)
        sx_json_end(&json);
    if (!status && json.problem)
        spoil(item, SX_E_FORMAT, "%s: line %zu: byte %zu: %s", reader->name, reader->line, json.problem_position, json.problem);
    return status;
}

/* ---- The reader ---- */

static void close_path(sx_records *reader)
{
    if (reader->file)
        fclose(reader->file);
    sx_source_close(reader->source);
    reader->file = NULL;
    reader->source = NULL;
}

static sx_status open_path(sx_records *reader, const char *path, sx_error *error)
{
    reader->line = reader->row = reader->next = 0;
    sx_buffer_reset(&reader->document);
    decide_format(reader, path, reader->input.fallback);
    sx_status status = sx_source_open(path, &reader->source, error);
    if (status)
        return status;
    reader->name = sx_source_name(reader->source);
    if (!(reader->file = sx_source_file(reader->source)))
        return sx_fail_nomem(error, BUFSIZ);
    if (reader->format == FORMAT_JSON || reader->format == FORMAT_TEXT)
        status = read_whole(reader, error);
    if (!status && reader->format == FORMAT_JSON)
        status = begin_json(reader, error);
    reader->separator = reader->format == FORMAT_TSV ? '\t' : ',';
    free(reader->columns);
    reader->columns = NULL;
    if (!status && (reader->format == FORMAT_CSV || reader->format == FORMAT_TSV))
        status = begin_csv(reader, error);
    return status;
}

sx_status sx_records_open(const sx_records_input *input, sx_records **out, sx_error *error)
{
    *out = NULL;
    sx_records *reader = sx_calloc(1, sizeof *reader);
    if (!reader)
        return sx_fail_nomem(error, sizeof *reader);
    reader->input = *input;
    sx_status status = SX_OK;
    if (!input->path)
        reader->format = FORMAT_ARGUMENTS;
    else
        status = open_path(reader, input->path_count ? input->paths[0] : input->path, error);
    if (status)
        sx_records_close(reader);
    else
        *out = reader;
    return status;
}

void sx_records_close(sx_records *reader)
{
    if (!reader)
        return;
    close_path(reader);
    free(reader->memory);
    free(reader->columns);
    sx_buffer_clear(&reader->document);
    sx_buffer_clear(&reader->key);
    sx_buffer_clear(&reader->value);
    free(reader);
}

const char *sx_records_format(const sx_records *reader)
{
    return format_names[reader->format];
}

static sx_status take(sx_record *item, const char *data, size_t length, sx_error *error)
{
    item->text = sx_strndup(data, length);
    item->length = length;
    return item->text ? SX_OK : sx_fail_nomem(error, length);
}

static sx_status next_of_path(sx_records *reader, sx_record *item, bool *more, sx_error *error)
{
    *item = (sx_record){0};
    *more = false;
    sx_text line;
    sx_status status;
    switch (reader->format) {
    case FORMAT_ARGUMENTS:
        *more = reader->next < reader->input.text_count;
        if (!*more)
            return SX_OK;
        const char *text = reader->input.texts[reader->next++];
        return take(item, text, strlen(text), error);
    case FORMAT_TEXT:
        *more = reader->next++ == 0;
        return *more ? take(item, reader->document.data, reader->document.length, error) : SX_OK;
    case FORMAT_LINES:
        status = next_line(reader, &line, more, error);
        return status || !*more ? status : take(item, line.data, line.length, error);
    case FORMAT_JSONL: return next_jsonl(reader, item, more, error);
    case FORMAT_JSON: return next_json(reader, item, more, error);
    case FORMAT_CSV:
    case FORMAT_TSV: return next_csv(reader, item, more, error);
    }
    return SX_OK;
}

sx_status sx_records_next(sx_records *reader, sx_record *item, bool *more, sx_error *error)
{
    sx_status status = next_of_path(reader, item, more, error);
    while (!status && !*more && reader->path + 1 < reader->input.path_count) {
        close_path(reader);
        status = open_path(reader, reader->input.paths[++reader->path], error);
        if (!status)
            status = next_of_path(reader, item, more, error);
    }
    return status;
}
