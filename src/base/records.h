/* records.h - texts with ids, one after another, from arguments, lines, JSONL, JSON, CSV or TSV. */
#ifndef SX_BASE_RECORDS_H
#define SX_BASE_RECORDS_H

#include "sextant.h"

#include <stdbool.h>

/* One input. An item that is wrong has status and problem set and no text: it is reported, and the others go on. */
typedef struct sx_record {
    char *text;
    size_t length;
    char *id;      /* as JSON: a string with its quotes, or a number; NULL: none */
    char *members; /* the input object's members as JSON without the braces, `embedding` left out; NULL: it was no object. Of CSV
                      the fields other than the text, where the input asks for columns */
    size_t line;   /* where it begins, from 1; 0: not known (JSON, arguments) */
    sx_status status;
    char *problem;
} sx_record;
void sx_record_clear(sx_record *item);

typedef struct sx_records sx_records;

typedef struct sx_records_input {
    const char *const *texts; /* given as arguments ... */
    size_t text_count;
    const char *path;   /* ... or a file, "-" for standard input; it may be compressed */
    const char *const *paths; /* several files, one after another; NULL: `path` alone */
    size_t path_count;
    const char *format; /* text lines jsonl json csv tsv; NULL: by the file's name, else fallback */
    const char *fallback;
    const char *text_column, *id_column;
    bool columns;
} sx_records_input;

/* Reads as little ahead as the format allows; a JSON document is read whole and checked before the first item. */
sx_status sx_records_open(const sx_records_input *input, sx_records **out, sx_error *error);
void sx_records_close(sx_records *reader);
/* *more false: there is none left. */
sx_status sx_records_next(sx_records *reader, sx_record *item, bool *more, sx_error *error);
/* "lines", "jsonl" ... as decided. */
const char *sx_records_format(const sx_records *reader);

#endif
