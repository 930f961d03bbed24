/* hnsw_format.h - the bytes of a graph file, shared by its writer, its reader and its tests. Little-endian; docs/database.md draws it. */
#ifndef SX_VEC_HNSW_FORMAT_H
#define SX_VEC_HNSW_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define SX_HNSW_MAGIC "SXG\r\n\x1a\n"
enum { SX_HNSW_VERSION = 2 };

typedef struct sx_hnsw_header {
    char magic[8];
    uint32_t version;
    uint32_t kind;       /* sx_hnsw_kind */
    uint32_t dimensions;
    uint32_t links;      /* on upper levels; twice as many on the lowest */
    uint32_t ef_construction;
    uint32_t entry, top;
    uint32_t block_nodes;
    uint64_t file_bytes;
    uint64_t identity;   /* of the rows */
    uint64_t places;     /* rows, holes among them */
    uint64_t count;      /* nodes */
    uint64_t upper_words;
    uint64_t scales_offset; /* of codes, else the same as the next */
    uint64_t upper_of_offset, upper_offset;
    uint64_t lists_offset;  /* a multiple of 64 */
    uint64_t sums_offset;
    uint64_t small_sum;  /* XXH3-64 of all from the end of the header to the lists: scales, upper levels, zeros */
    uint64_t sums_sum;   /* of the table of checksums of blocks of lists */
    uint64_t header_sum; /* of all bytes before it */
} sx_hnsw_header;
_Static_assert(sizeof(sx_hnsw_header) == 144, "the header is 144 bytes on disk");
_Static_assert(offsetof(sx_hnsw_header, file_bytes) == 40, "no padding inside the header");
_Static_assert(offsetof(sx_hnsw_header, header_sum) == 136, "the header's checksum is its last field");

#endif
