/* segment_format.h - the bytes of a segment file, shared by its writer and its reader. Little-endian; docs/database.md draws it.
 */
#ifndef SX_VEC_SEGMENT_FORMAT_H
#define SX_VEC_SEGMENT_FORMAT_H

#include <stddef.h>
#include <stdint.h>

/* The line ends and the control byte in the magic show up damage by text-mode transfers, as in PNG. */
#define SX_SEGMENT_MAGIC "SXV\r\n\x1a\n"
/* Version 1 has a checksum for each block of rows; version 2 one for each row, and codes (codes.h) that are scanned first. */
enum { SX_SEGMENT_PLAIN = 1, SX_SEGMENT_CODED = 2 };

typedef struct sx_segment_header {
    char magic[8];
    uint32_t version;
    uint32_t dimensions;
    uint32_t stride;     /* floats from row to row: dimensions rounded up to 16 */
    uint32_t block_rows; /* rows in one block */
    uint64_t file_bytes;
    uint64_t rows;
    int64_t collection;
    uint64_t rows_offset; /* multiples of 64 */
    uint64_t ids_offset;
    uint64_t sums_offset;
    uint64_t ids_sum;     /* XXH3-64 of the ids */
    uint64_t sums_sum;    /* XXH3-64 of the table of checksums */
    uint64_t codes_offset;      /* version 2, else zero as the next two; a multiple of 64 */
    uint64_t codes_sums_offset;
    uint64_t codes_sums_sum;    /* XXH3-64 of the table of the code blocks' checksums */
    uint64_t reserved;    /* zero */
    uint64_t header_sum;  /* XXH3-64 of all bytes before it */
} sx_segment_header;
_Static_assert(sizeof(sx_segment_header) == 128, "the header is 128 bytes on disk");
_Static_assert(offsetof(sx_segment_header, file_bytes) == 24, "no padding inside the header");
_Static_assert(offsetof(sx_segment_header, header_sum) == 120, "the header's checksum is its last field");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "segments are mapped as they lie on disk: little-endian");

/* A block of codes: the codes of its rows, each padded to 64, then the rows' scales, then their errors. */
static inline uint64_t sx_segment_codes_stride(uint32_t dimensions)
{
    return ((uint64_t)dimensions + 63) / 64 * 64;
}

static inline uint64_t sx_segment_codes_bytes(uint32_t dimensions, uint64_t rows)
{
    return rows * (sx_segment_codes_stride(dimensions) + 2 * sizeof(float));
}

static inline uint32_t sx_segment_stride(uint32_t dimensions)
{
    return (dimensions + 15) / 16 * 16;
}

#endif
