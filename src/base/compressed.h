/* compressed.h - bytes of files that may be compressed with gzip or Zstandard, in and out. */
#ifndef SX_BASE_COMPRESSED_H
#define SX_BASE_COMPRESSED_H

#include "buffer.h"
#include "sextant.h"

#include <stdint.h>
#include <stdio.h>

/* ---- Reading ---- */

typedef struct sx_source sx_source;
/* "-": standard input. Compression is told by the first bytes; a name that ends in .gz or .zst must keep its promise. */
sx_status sx_source_open(const char *path, sx_source **out, sx_error *error);
/* *got 0: the end, reached whole: a stream that breaks off is SX_E_FORMAT. Members (frames) that follow one another are one
 * stream. SX_E_LIMIT: more than 1 GiB came out, a thousand times what went in. A failure comes again with every further call. */
sx_status sx_source_read(sx_source *source, void *data, size_t capacity, size_t *got, sx_error *error);
/* "standard input" for "-". */
const char *sx_source_name(const sx_source *source);
void sx_source_close(sx_source *source);

/* The source as a stdio stream, which fclose ends; the source stays the caller's. After a read error sx_source_problem has the
 * reason. NULL: no memory. */
FILE *sx_source_file(sx_source *source);
/* SX_OK, or the failure there was. */
sx_status sx_source_problem(const sx_source *source, sx_error *error);

/* ---- Writing ---- */

typedef enum sx_compression { SX_PLAIN, SX_GZIP, SX_ZSTD } sx_compression;
/* By the end of the name. */
sx_compression sx_compression_of(const char *path);
/* The length of the name without .gz or .zst. */
size_t sx_compression_stem(const char *path);

typedef struct sx_compressor sx_compressor;
/* Not for SX_PLAIN. */
sx_status sx_compressor_open(sx_compression compression, sx_compressor **out, sx_error *error);
/* Appends to *out what comes of the data; end: nothing follows. A full buffer shows in out->failed. */
sx_status sx_compressor_add(sx_compressor *compressor, const void *data, size_t length, bool end, sx_buffer *out,
                            sx_error *error);
void sx_compressor_close(sx_compressor *compressor);

#endif
