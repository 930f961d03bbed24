/* npy_file.h - NumPy's .npy files (numpy.lib.format): written as float32, read as float16, 32 and 64, row by row. */
#ifndef SX_STORE_NPY_FILE_H
#define SX_STORE_NPY_FILE_H

#include "../base/compressed.h"

#include <stdint.h>

enum { SX_NPY_HEADER = 128 };
/* Of version 1.0, padded with spaces. */
void sx_npy_make_header(char header[SX_NPY_HEADER], uint64_t rows, uint32_t dimensions);

/* Zero-initialise. */
typedef struct sx_npy_reader {
    sx_source *source;
    uint64_t rows, row; /* row: the next */
    uint32_t dimensions;
    unsigned width;     /* bytes of a number: 2, 4, 8 */
    unsigned char *raw; /* one row */
} sx_npy_reader;

/* A little-endian matrix in C order with at most SX_SEGMENT_DIMENSIONS columns. SX_E_UNSUPPORTED names what it is instead. */
sx_status sx_npy_open(sx_npy_reader *reader, const char *path, sx_error *error);
/* The next row, of reader->dimensions floats. A number that is not finite as a float, and a row that is cut off, are
 * SX_E_FORMAT. Not beyond the last row. */
sx_status sx_npy_next(sx_npy_reader *reader, float *vector, sx_error *error);
/* Behind the last row: nothing may follow. */
sx_status sx_npy_end(sx_npy_reader *reader, sx_error *error);
void sx_npy_close(sx_npy_reader *reader);

#endif
