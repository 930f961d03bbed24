/* packed_format.h - the header of a file of packed rows; docs/compression.md draws the file. */
#ifndef SX_VEC_PACKED_FORMAT_H
#define SX_VEC_PACKED_FORMAT_H

#include <stddef.h>
#include <stdint.h>

/* The line ends and the control byte show up damage by text-mode transfers. */
#define SX_PACKED_MAGIC "SXP\r\n\x1a\n"
enum { SX_PACKED_VERSION = 1 };

typedef struct sx_packed_header {
    char magic[8];
    uint32_t version, kind, dimensions, width;
    uint64_t file_bytes;
    uint64_t rows;
    int64_t collection;
    uint64_t row_bytes;
    uint64_t rows_offset; /* behind the packing, a multiple of 64 */
    uint64_t ids_offset;  /* behind the rows, a multiple of 64 */
    uint64_t packing_sum, rows_sum, ids_sum; /* XXH3-64 */
    double retained;
    uint64_t reserved;    /* zero */
    uint64_t header_sum;  /* of all bytes before it */
} sx_packed_header;
_Static_assert(sizeof(sx_packed_header) == 120 && offsetof(sx_packed_header, header_sum) == 112, "the header has no padding");
enum { SX_PACKED_HEADER_BYTES = 128 };

#endif
