/* file_output.h - writing a large file piece by piece and putting it in place when whole; reading one line by line. Files named .gz
 * and .zst are compressed; what is read may be, whatever its name. */
#ifndef SX_STORE_FILE_OUTPUT_H
#define SX_STORE_FILE_OUTPUT_H

#include "../base/buffer.h"
#include "../base/compressed.h"
#include "sextant.h"

#include <stdint.h>

/* Zero-initialise. Append to `buffer`, then call _flow now and then. */
typedef struct sx_output {
    sx_buffer buffer;
    sx_compressor *compressor; /* NULL: written as it is */
    sx_buffer packed;
    int descriptor;
    char *path, *temporary; /* both NULL for standard output; no temporary for a device or a pipe */
    bool open;
} sx_output;

/* "-": standard output. A device or a pipe is written to as it stands. Else PATH is replaced when _finish is called and not
 * before. */
sx_status sx_output_open(sx_output *output, const char *path, sx_error *error);
/* Writes what has gathered when it is much. Also says that the buffer has failed. */
sx_status sx_output_flow(sx_output *output, sx_error *error);
sx_status sx_output_finish(sx_output *output, sx_error *error);
/* Ends it; what was not finished leaves no trace. */
void sx_output_close(sx_output *output);

/* Zero-initialise. */
typedef struct sx_lines {
    sx_buffer buffer;
    size_t start; /* of what was not given out yet */
    sx_source *source;
    const char *path;
    uint64_t number; /* of the line last given, from 1 */
    bool ended;
} sx_lines;

/* "-": standard input. */
sx_status sx_lines_open(sx_lines *lines, const char *path, sx_error *error);
/* The next line that is not blank, without its line end, valid until the next call; data NULL at the end. */
sx_status sx_lines_next(sx_lines *lines, sx_text *line, sx_error *error);
void sx_lines_close(sx_lines *lines);

#endif
