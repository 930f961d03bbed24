/* arrow_file.h - writes tables in Arrow's IPC file format (also called Feather V2), which pyarrow, LanceDB, DuckDB, Polars and
 * Spark read. */
#ifndef SX_STORE_ARROW_FILE_H
#define SX_STORE_ARROW_FILE_H

#include "../base/buffer.h"
#include "sextant.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum sx_arrow_type { SX_ARROW_TEXT, SX_ARROW_INTEGER, SX_ARROW_VECTOR } sx_arrow_type;

typedef struct sx_arrow_field {
    const char *name;
    sx_arrow_type type; /* utf8, int64, fixed_size_list<float>[dimensions]; none is ever null */
} sx_arrow_field;

enum { SX_ARROW_MOST_FIELDS = 16 };

/* Zero-initialise. Rows gather in a batch, which goes to `out` when it is large enough. */
typedef struct sx_arrow_file {
    const sx_arrow_field *fields;
    size_t field_count;
    uint32_t dimensions;
    const char *note_key, *note; /* one pair of the schema's metadata; note may be NULL */
    sx_buffer *out;
    uint64_t position; /* bytes of the file so far */
    uint64_t rows;     /* of the batch */
    size_t field;      /* of the row, which comes next */
    struct {
        sx_buffer data, offsets; /* offsets: of texts */
    } columns[SX_ARROW_MOST_FIELDS];
    sx_buffer blocks;  /* where each batch stands, as the footer has it */
    sx_buffer scratch; /* metadata, built from its end */
} sx_arrow_file;

/* fields and note must live as long as the file. */
sx_status sx_arrow_begin(sx_arrow_file *file, sx_buffer *out, const sx_arrow_field *fields, size_t field_count,
                         uint32_t dimensions, const char *note_key, const char *note, sx_error *error);
/* The cells of a row, in the order of the fields; after the last one the row is whole. Failures show at the next flow or end. */
void sx_arrow_text(sx_arrow_file *file, const char *text, size_t length);
void sx_arrow_integer(sx_arrow_file *file, int64_t value);
void sx_arrow_vector(sx_arrow_file *file, const float *vector);
/* Writes the batch when it is large. SX_E_LIMIT: a text of 2 GB and more. */
sx_status sx_arrow_flow(sx_arrow_file *file, sx_error *error);
sx_status sx_arrow_end(sx_arrow_file *file, sx_error *error);
void sx_arrow_clear(sx_arrow_file *file);

#endif
