/* segment_format.h - the bytes of a segment file, shared by its writer and its reader. Little-endian; docs/database.md draws it.
 */
#ifndef SX_VEC_SEGMENT_FORMAT_H
#define SX_VEC_SEGMENT_FORMAT_H

#include <stddef.h>
#include <stdint.h>

/* The line ends and the control byte in the magic show up damage by text-mode transfers, as in PNG. */
#define SX_SEGMENT_MAGIC "SXV\r\n\x1a\n"
enum { SX_SEGMENT_VERSION = 1 };

typedef struct sx_segment_header {
    char magic[8];
    uint32_t version;
    uint32_t dimensions;
    uint32_t stride;     /* floats from row to row: dimensions rounded up to 16 */
    uint32_t block_rows; /* rows in one checksummed block */
    uint64_t file_bytes;
    uint64_t rows;
    int64_t collection;
    uint64_t rows_offset; /* multiples of 64 */
    uint64_t ids_offset;
    uint64_t sums_offset;
    uint64_t ids_sum;     /* XXH3-64 of the ids */
    uint64_t sums_sum;    /* XXH3-64 of the table of block checksums */
    uint64_t reserved[4]; /* zero */
    uint64_t header_sum;  /* XXH3-64 of all bytes before it */
} sx_segment_header;
_Static_assert(sizeof(sx_segment_header) == 128, "the header is 128 bytes on disk");
_Static_assert(offsetof(sx_segment_header, file_bytes) == 24, "no padding inside the header");
_Static_assert(offsetof(sx_segment_header, header_sum) == 120, "the header's checksum is its last field");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "segments are mapped as they lie on disk: little-endian");

static inline uint32_t sx_segment_stride(uint32_t dimensions)
{
    return (dimensions + 15) / 16 * 16;
}

#endif
