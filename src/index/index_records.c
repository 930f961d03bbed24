/* index_records.c - the documents of one file, from records (base/records.h), rows (index_rows.c) or a mailbox's messages.
 *
 * A document's id is that of its record, or else its number; a message's is its Message-ID, with #NUMBER behind where that
 * stands in the box already. What a record holds besides its text becomes the document's metadata. */
#include "index_records.h"

#include "../base/compressed.h"
#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"
#include "../base/records.h"
#include "../doc/mailbox.h"
#include "../doc/mime_header.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct index_records {
    size_t number; /* of the record read last, from 1 */
    /* One of these. */
    sx_records *reader;
    index_rows *rows;
    char *mailbox;
    size_t mailbox_length, at, counted;
    uint32_t line;
};

void sx_index_record_clear(index_record *record)
{
    free(record->id);
    free(record->text);
    free(record->problem);
    json_decref(record->metadata);
    *record = (index_record){0};
}

/* ---- Which files ---- */

static bool ends_with(const char *path, size_t length, const char *end)
{
    size_t size = strlen(end);
    return length >= size && !strncasecmp(path + length - size, end, size);
}

const char *sx_index_no_records(const index_job *job, const char *path)
{
    static const struct {
        const char *format, *why, *ends[4];
    } formats[] = {{"csv", "no .csv or .tsv file", {".csv", ".tsv", ".tab"}},
                   {"tsv", "no .tsv file", {".tsv", ".tab"}},
                   {"jsonl", "no .jsonl file", {".jsonl", ".ndjson"}},
                   {"json", "no .json file", {".json"}},
                   {"lines", "no .txt file", {".txt", ".text"}},
                   {"sql", "no .db or .sqlite file", {".db", ".sqlite", ".sqlite3"}}};
    const char *format = job->options.query ? "sql" : job->options.record_format;
    size_t stem = sx_compression_stem(path);
    for (size_t i = 0; format && i < sizeof formats / sizeof *formats; i++) {
        if (strcmp(format, formats[i].format))
            continue;
        for (size_t j = 0; j < 4 && formats[i].ends[j]; j++)
            if (ends_with(path, stem, formats[i].ends[j]))
                return NULL;
        return formats[i].why;
    }
    return NULL;
}

const char *sx_index_format_of_records(const char *path)
{
    static const char *const ends[][2] = {{".csv", "csv"}, {".tsv", "csv"}, {".jsonl", "jsonl"}, {".ndjson", "jsonl"}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_with(path, strlen(path), ends[i][0]))
            return ends[i][1];
    return NULL;
}

bool sx_index_holds_records(const index_job *job, const index_pending *pending)
{
    const char *media_type = sx_media_type_of(pending->path, NULL);
    return job->options.record_format || job->options.query || (media_type && !strcmp(media_type, sx_mailbox_media_type));
}

/* ---- Opening ---- */

sx_status sx_index_records_open(const index_job *job, const char *path, index_records **out, sx_error *error)
{
    *out = NULL;
    index_records *records = sx_calloc(1, sizeof *records);
    sx_status status = SX_OK;
    if (!records)
        return sx_fail_nomem(error, sizeof *records);
    records->line = 1;
    if (job->options.query) {
        status = sx_index_rows_open(job, path, &records->rows, error);
    } else if (job->options.record_format) {
        size_t stem = sx_compression_stem(path);
        bool tabs = !strcmp(job->options.record_format, "csv") && (ends_with(path, stem, ".tsv") || ends_with(path, stem, ".tab"));
        const sx_records_input input = {
            .path = path,
            .format = tabs ? "tsv" : job->options.record_format,
            .text_column = job->options.text_column ? job->options.text_column : "text",
            .id_column = job->options.id_column ? job->options.id_column : "id",
            .columns = true,
        };
        status = sx_records_open(&input, &records->reader, error);
    } else {
        status = sx_file_read(path, (size_t)job->walk.max_file_size, &records->mailbox, &records->mailbox_length, NULL, error);
        size_t at = 0;
        sx_text message;
        if (!status && !sx_mailbox_next(records->mailbox, records->mailbox_length, &at, &message))
            status = sx_fail(error, SX_E_UNSUPPORTED, "not a mailbox: it does not begin with a line \"From ADDRESS DATE\"");
    }
    if (status)
        sx_index_records_close(records);
    else
        *out = records;
    return status;
}

void sx_index_records_close(index_records *records)
{
    if (!records)
        return;
    sx_records_close(records->reader);
    sx_index_rows_close(records->rows);
    free(records->mailbox);
    free(records);
}

/* ---- Records ---- */

/* The id as it stands in a path: JSON's string without its quotes, or the number. */
static char *id_of(const char *json, size_t number)
{
    char *id = NULL;
    json_t *value = json ? json_loads(json, JSON_DECODE_ANY, NULL) : NULL;
    const char *text = json_string_value(value);
    if (text && text[0])
        id = sx_strdup(text);
    else if (json && !json_is_string(value))
        id = sx_strdup(json);
    else if (asprintf(&id, "%zu", number) < 0)
        id = NULL;
    json_decref(value);
    return id;
}

/* The object's members but the text; those of a member "metadata" as if they stood beside it. */
static sx_status metadata_of(const index_job *job, const sx_record *item, index_record *record, sx_error *error)
{
    const char *text_column = job->options.text_column ? job->options.text_column : "text";
    char *object = NULL;
    if (!item->members)
        return SX_OK;
    if (asprintf(&object, "{%s}", item->members) < 0)
        return sx_fail_nomem(error, strlen(item->members));
    record->metadata = json_loads(object, 0, NULL); /* of equal keys the last one counts */
    free(object);
    if (!json_is_object(record->metadata)) {
        json_decref(record->metadata);
        record->metadata = NULL;
        record->problem = sx_strdup("its members cannot be kept as metadata (a string with a NUL character, or no UTF-8)");
        return record->problem ? SX_OK : sx_fail_nomem(error, 64);
    }
    json_object_del(record->metadata, text_column);
    json_t *inner = json_incref(json_object_get(record->metadata, "metadata"));
    if (json_is_object(inner)) {
        json_object_del(record->metadata, "metadata");
        json_object_update_missing(record->metadata, inner);
    }
    json_decref(inner);
    return SX_OK;
}

static sx_status next_record(const index_job *job, index_records *records, index_record *record, bool *more, sx_error *error)
{
    sx_record item = {0};
    sx_status status = sx_records_next(records->reader, &item, more, error);
    if (status || !*more)
        goto out;
    record->line = (uint32_t)item.line;
    const char *format = sx_records_format(records->reader);
    record->fixed = strcmp(format, "csv") && strcmp(format, "tsv");
    if (item.status) {
        record->problem = item.problem;
        item.problem = NULL;
        goto out;
    }
    record->text = item.text;
    record->length = item.length;
    item.text = NULL;
    record->id = id_of(item.id, records->number);
    status = record->id ? metadata_of(job, &item, record, error) : sx_fail_nomem(error, 32);
out:
    sx_record_clear(&item);
    return status;
}

/* A Message-ID as a part of a path, or the message's number. */
static char *message_id(sx_text message, size_t number)
{
    size_t body;
    sx_text head = {message.data, sx_mime_head(message.data, message.length, &body)}, value;
    char *id = NULL;
    if (sx_mime_field(head, "Message-ID", &value)) {
        const char *start = memchr(value.data, '<', value.length);
        const char *end = start ? memchr(start, '>', (size_t)(value.data + value.length - start)) : NULL;
        bool plain = end && end - start > 1 && end - start < 500;
        for (const char *at = start; plain && at < end; at++)
            plain = *at > ' ' && *at < 0x7f && *at != '/';
        if (plain)
            return sx_strndup(start + 1, (size_t)(end - start - 1));
    }
    return asprintf(&id, "%zu", number) < 0 ? NULL : id;
}

static sx_status next_message(index_records *records, index_record *record, bool *more, sx_error *error)
{
    sx_text message;
    *more = sx_mailbox_next(records->mailbox, records->mailbox_length, &records->at, &message);
    if (!*more)
        return SX_OK;
    size_t start = (size_t)(message.data - records->mailbox);
    for (; records->counted < start; records->counted++)
        records->line += records->mailbox[records->counted] == '\n';
    record->line = records->line;
    record->media_type = sx_mail_media_type;
    record->text = sx_strndup(message.data, message.length);
    record->length = message.length;
    record->id = message_id(message, records->number);
    record->copy = records->number; /* a box may hold a message as it was sent and as a list sent it on */
    return record->text && record->id ? SX_OK : sx_fail_nomem(error, message.length);
}

sx_status sx_index_records_next(const index_job *job, index_records *records, index_record *record, bool *more, sx_error *error)
{
    *record = (index_record){.media_type = "text/plain"};
    records->number++;
    if (records->rows)
        return sx_index_rows_next(records->rows, record, more, error);
    if (records->reader)
        return next_record(job, records, record, more, error);
    return next_message(records, record, more, error);
}
