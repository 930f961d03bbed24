/* segment.c - reads segment files. A file may be damaged in any way: everything is checked before it is used, the bulk (the rows)
 * block by block when a scan first touches it, which costs a hash of bytes that are in the cache anyway. */
#include "segment.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"
#include "segment_format.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct sx_segment {
    char *path;
    sx_file_map map;
    sx_segment_header header;
    const float *rows;
    const int64_t *ids;
    const uint64_t *sums;
    size_t blocks;
    unsigned char *checked; /* per block */
};

static sx_status damaged(const sx_segment *segment, sx_error *error, const char *what, uint64_t found, uint64_t expected)
{
    return sx_fail(error, SX_E_FORMAT, "%s: damaged segment: %s is %llu, expected %llu", segment->path, what,
                   (unsigned long long)found, (unsigned long long)expected);
}

/* Places in the file follow from rows and dimensions alone, so the stored ones must be exactly these. */
static sx_status check_header(sx_segment *segment, sx_error *error)
{
    const sx_segment_header *header = &segment->header;
    size_t length = segment->map.length;
    if (length < sizeof *header)
        return damaged(segment, error, "the file's size", length, sizeof *header);
    memcpy(&segment->header, segment->map.data, sizeof *header);
    if (memcmp(header->magic, SX_SEGMENT_MAGIC, sizeof header->magic) != 0)
        return sx_fail(error, SX_E_FORMAT, "%s: not a segment: the magic is missing", segment->path);
    if (header->version != SX_SEGMENT_VERSION)
        return damaged(segment, error, "the version", header->version, SX_SEGMENT_VERSION);
    uint64_t sum = XXH3_64bits(segment->map.data, offsetof(sx_segment_header, header_sum));
    if (header->header_sum != sum)
        return damaged(segment, error, "the header's checksum", header->header_sum, sum);
    if (header->dimensions == 0 || header->dimensions > SX_SEGMENT_DIMENSIONS)
        return damaged(segment, error, "the number of dimensions", header->dimensions, SX_SEGMENT_DIMENSIONS);
    if (header->stride != sx_segment_stride(header->dimensions))
        return damaged(segment, error, "the stride", header->stride, sx_segment_stride(header->dimensions));
    if (header->block_rows != SX_SEGMENT_BLOCK_ROWS)
        return damaged(segment, error, "the block size", header->block_rows, SX_SEGMENT_BLOCK_ROWS);
    uint64_t row_bytes = header->stride * sizeof(float);
    if (header->rows > length / row_bytes)
        return damaged(segment, error, "the number of rows", header->rows, length / row_bytes);
    uint64_t blocks = (header->rows + SX_SEGMENT_BLOCK_ROWS - 1) / SX_SEGMENT_BLOCK_ROWS;
    uint64_t ids_offset = sizeof *header + header->rows * row_bytes;
    uint64_t sums_offset = ids_offset + header->rows * sizeof(int64_t), end = sums_offset + blocks * sizeof(uint64_t);
    if (header->rows_offset != sizeof *header)
        return damaged(segment, error, "the place of the rows", header->rows_offset, sizeof *header);
    if (header->ids_offset != ids_offset)
        return damaged(segment, error, "the place of the ids", header->ids_offset, ids_offset);
    if (header->sums_offset != sums_offset)
        return damaged(segment, error, "the place of the checksums", header->sums_offset, sums_offset);
    if (header->file_bytes != end || length != end)
        return damaged(segment, error, "the file's size", length, end);
    segment->blocks = blocks;
    return SX_OK;
}

static sx_status check_tables(sx_segment *segment, sx_error *error)
{
    const sx_segment_header *header = &segment->header;
    const unsigned char *data = segment->map.data;
    segment->rows = (const float *)(const void *)(data + header->rows_offset);
    segment->ids = (const int64_t *)(const void *)(data + header->ids_offset);
    segment->sums = (const uint64_t *)(const void *)(data + header->sums_offset);
    uint64_t sum = XXH3_64bits(segment->ids, header->rows * sizeof(int64_t));
    if (sum != header->ids_sum)
        return damaged(segment, error, "the ids' checksum", sum, header->ids_sum);
    sum = XXH3_64bits(segment->sums, segment->blocks * sizeof(uint64_t));
    if (sum != header->sums_sum)
        return damaged(segment, error, "the checksum of checksums", sum, header->sums_sum);
    for (uint64_t i = 1; i < header->rows; i++)
        if (segment->ids[i] <= segment->ids[i - 1])
            return damaged(segment, error, "an id that must ascend", (uint64_t)segment->ids[i],
                           (uint64_t)segment->ids[i - 1] + 1);
    segment->checked = sx_calloc(segment->blocks, 1);
    return segment->checked ? SX_OK : sx_fail_nomem(error, segment->blocks);
}

sx_status sx_segment_open_any(const char *path, sx_segment **out, sx_error *error)
{
    *out = NULL;
    sx_segment *segment = sx_calloc(1, sizeof *segment);
    if (!segment || !(segment->path = sx_strdup(path))) {
        sx_segment_close(segment);
        return sx_fail_nomem(error, sizeof *segment);
    }
    sx_status status = sx_file_map_open(path, &segment->map, error);
    if (!status)
        status = check_header(segment, error);
    if (!status)
        status = check_tables(segment, error);
    if (status) {
        sx_segment_close(segment);
        return status;
    }
    if (segment->map.length) /* advice only */
        (void)madvise((void *)(uintptr_t)segment->map.data, segment->map.length, MADV_WILLNEED);
    *out = segment;
    return SX_OK;
}

sx_status sx_segment_open(const char *path, uint64_t identity, int64_t collection, uint32_t dimensions, sx_segment **out,
                          sx_error *error)
{
    sx_status status = sx_segment_open_any(path, out, error);
    if (status)
        return status;
    const sx_segment_header *header = &(*out)->header;
    if (header->header_sum != identity)
        status = damaged(*out, error, "the header's checksum", header->header_sum, identity);
    else if (header->collection != collection)
        status = damaged(*out, error, "the collection", (uint64_t)header->collection, (uint64_t)collection);
    else if (header->dimensions != dimensions)
        status = damaged(*out, error, "the number of dimensions", header->dimensions, dimensions);
    if (status) {
        sx_segment_close(*out);
        *out = NULL;
    }
    return status;
}

void sx_segment_close(sx_segment *segment)
{
    if (!segment)
        return;
    sx_file_map_close(&segment->map);
    free(segment->checked);
    free(segment->path);
    free(segment);
}

size_t sx_segment_rows(const sx_segment *segment)
{
    return segment->header.rows;
}

uint32_t sx_segment_dimensions(const sx_segment *segment)
{
    return segment->header.dimensions;
}

uint64_t sx_segment_identity(const sx_segment *segment)
{
    return segment->header.header_sum;
}

sx_status sx_segment_scan(sx_segment *segment, const sx_kernels *kernels, const float *query, const sx_id_set *allowed,
                          sx_topk *topk, sx_error *error)
{
    const sx_segment_header *header = &segment->header;
    for (size_t block = 0; block < segment->blocks; block++) {
        size_t first = block * SX_SEGMENT_BLOCK_ROWS;
        size_t count = header->rows - first < SX_SEGMENT_BLOCK_ROWS ? header->rows - first : SX_SEGMENT_BLOCK_ROWS;
        const float *rows = segment->rows + first * header->stride;
        if (!segment->checked[block]) {
            uint64_t sum = XXH3_64bits(rows, count * header->stride * sizeof(float));
            if (sum != segment->sums[block])
                return damaged(segment, error, "a block's checksum", sum, segment->sums[block]);
            segment->checked[block] = 1;
        }
        sx_exact_scan(kernels, query, header->dimensions, rows, header->stride, segment->ids + first, count, allowed, topk);
    }
    return SX_OK;
}
