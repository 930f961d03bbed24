/* fuzz_records.c - files of records of any bytes, read to their end as an index run reads them: CSV, TSV, JSONL, JSON, lines,
 * the rows of an SQLite file.
 *
 * The first byte chooses the format, and whether columns are named; the rest is the file. Each record is a document or says
 * what is wrong with it, and lines go up. */
#include "index/index_records.h"
#include "text/encoding.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const formats[] = {"csv", "tsv", "jsonl", "json", "lines", NULL};
enum { FORMATS = sizeof formats / sizeof *formats, MOST_ROWS = 10000 };

/* What a document of the index is made of; false for a record that keeps less than was promised. */
static bool is_sound(const index_record *record, bool rows)
{
    if (record->problem)
        return record->problem[0] != '\0';
    if (!record->text || !record->id || !record->id[0] || (record->metadata && !json_is_object(record->metadata)))
        return false;
    char *metadata = record->metadata ? json_dumps(record->metadata, JSON_COMPACT) : NULL;
    bool sound = !record->metadata || metadata;
    free(metadata);
    return sound && (rows || sx_encoding_utf8_prefix(record->id, strlen(record->id)) == strlen(record->id));
}

static void read_all(const char *path, const char *format, bool named)
{
    index_job job = {.walk = {.max_file_size = 1 << 24}};
    job.options.record_format = format;
    job.options.query = format ? NULL : "SELECT * FROM note";
    job.options.text_column = named ? "b" : NULL;
    job.options.id_column = named ? "a" : NULL;
    index_records *records;
    if (sx_index_records_open(&job, path, &records, NULL))
        return;
    index_record record;
    bool more = true;
    uint32_t line = 0;
    for (size_t count = 0; more && count < MOST_ROWS; count++) {
        if (sx_index_records_next(&job, records, &record, &more, NULL))
            more = false;
        else if (more && (!is_sound(&record, !format) || record.line < line))
            abort();
        line = more ? record.line : line;
        sx_index_record_clear(&record);
    }
    sx_index_records_close(records);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    char path[64];
    int descriptor = memfd_create("records", 0);
    if (descriptor < 0)
        return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    if (write(descriptor, data + 1, size - 1) == (ssize_t)(size - 1))
        read_all(path, formats[(data[0] & 127) % FORMATS], data[0] >= 128);
    close(descriptor);
    return 0;
}
