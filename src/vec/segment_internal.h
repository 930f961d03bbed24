/* segment_internal.h - an open segment, shared by what opens it (segment.c) and what scans it (segment_scan.c). */
#ifndef SX_VEC_SEGMENT_INTERNAL_H
#define SX_VEC_SEGMENT_INTERNAL_H

#include "segment.h"

#include "../base/file.h"
#include "segment_format.h"

struct sx_segment {
    char *path;
    sx_file_map map;
    sx_segment_header header;
    const float *rows;
    const int64_t *ids;
    const uint64_t *sums; /* of blocks of rows (version 1) or of rows (version 2) */
    const uint8_t *codes; /* NULL in version 1, as the next */
    const uint64_t *codes_sums;
    size_t blocks;
    unsigned char *checked; /* per block: its rows (version 1) or codes (version 2) are sound */
};

sx_status sx_segment_damaged(const sx_segment *segment, sx_error *error, const char *what, uint64_t found, uint64_t expected);

/* Compares a block of codes, or a row, of version 2 with its checksum; *sum: what was found. */
bool sx_segment_codes_sound(const sx_segment *segment, size_t block, uint64_t *sum);
bool sx_segment_row_sound(const sx_segment *segment, size_t place, uint64_t *sum);

static inline size_t sx_segment_block_rows(const sx_segment *segment, size_t block)
{
    size_t left = segment->header.rows - block * SX_SEGMENT_BLOCK_ROWS;
    return left < SX_SEGMENT_BLOCK_ROWS ? left : SX_SEGMENT_BLOCK_ROWS;
}

#endif
