/* arrow_reader.h - reads vectors from tables in Arrow's IPC file format (Feather V2), as pyarrow, pandas, Polars and we write
 * them. */
#ifndef SX_STORE_ARROW_READER_H
#define SX_STORE_ARROW_READER_H

#include "store_json.h"

typedef struct sx_arrow_reader sx_arrow_reader;

/* What a file begins with that is one for this reader, or Parquet or an Arrow stream, which it refuses by name. */
bool sx_arrow_is_one(const void *begin, size_t length);
/* Maps the file and reads its schema: one column `vector` or `embedding` of lists of floats (or the only such column), texts, numbers and
 * truth values. SX_E_UNSUPPORTED names what else there is, and the way out. */
sx_status sx_arrow_open(const char *path, sx_arrow_reader **out, sx_error *error);
void sx_arrow_close(sx_arrow_reader *reader);
/* The `sextant` pair of the schema's metadata, as the export writes it: JSON; length 0: there is none. */
sx_text sx_arrow_note(const sx_arrow_reader *reader);
/* The next row: its vector, and all other columns as one JSON object with a collection export's place in it. *more false: there is none.
 * Errors name row and column. */
sx_status sx_arrow_next(sx_arrow_reader *reader, sx_buffer *object, sx_json_vector *vector, bool *more, sx_error *error);

#endif
