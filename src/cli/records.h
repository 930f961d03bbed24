/* records.h - texts to embed or tokenize, one after another, from arguments, lines, JSONL, JSON or CSV. */
#ifndef SX_CLI_RECORDS_H
#define SX_CLI_RECORDS_H

#include "cli.h"
#include "sextant.h"

#include <stdbool.h>

/* One input. An item that is wrong has status and problem set and no text: it is reported, and the others go on. */
typedef struct sx_cli_item {
    char *text;
    size_t length;
    char *id;      /* as JSON: a string with its quotes, or a number; NULL: none */
    char *members; /* the input object's members as JSON without the braces, `embedding` left out; NULL: it was no object */
    sx_status status;
    char *problem;
} sx_cli_item;
void sx_cli_item_clear(sx_cli_item *item);

typedef struct sx_cli_reader sx_cli_reader;

typedef struct sx_cli_input {
    const char *const *texts; /* given as arguments ... */
    size_t text_count;
    const char *path;   /* ... or a file, "-" for standard input; it may be compressed */
    const char *const *paths; /* several files, one after another; NULL: `path` alone */
    size_t path_count;
    const char *format; /* text lines jsonl json csv; NULL: by the file's name, else fallback */
    const char *fallback;
    const char *text_column, *id_column;
} sx_cli_input;

/* What a verb's texts, --input, --input-format, --text-column and --id-column say; `fallback` is the format where nothing does.
 * Returns 0, or the exit code of wrong usage after saying what is wrong. */
int sx_cli_input_choose(sx_cli *cli, const char *fallback, sx_cli_input *input);
/* Reads as little ahead as the format allows; a JSON document is read whole and checked before the first item. */
sx_status sx_cli_reader_open(const sx_cli_input *input, sx_cli_reader **out, sx_error *error);
void sx_cli_reader_close(sx_cli_reader *reader);
/* *more false: there is none left. */
sx_status sx_cli_reader_next(sx_cli_reader *reader, sx_cli_item *item, bool *more, sx_error *error);
/* The library reads invalid UTF-8 as U+FFFD; who meant another encoding should hear of it. */
bool sx_cli_is_utf8(const char *text, size_t length);
/* "lines", "jsonl" ... as decided. */
const char *sx_cli_reader_format(const sx_cli_reader *reader);

#endif
