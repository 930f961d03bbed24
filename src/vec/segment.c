/* segment.c - opens segment files. A file may be damaged in any way: everything is checked before it is used, here all but the
 * bulk (rows and codes), which is checked when a scan touches it. */
#include "segment_internal.h"

#include "../base/error.h"
#include "../base/memory.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

sx_status sx_segment_damaged(const sx_segment *segment, sx_error *error, const char *what, uint64_t found, uint64_t expected)
{
    return sx_fail(error, SX_E_FORMAT, "%s: damaged segment: %s is %llu, expected %llu", segment->path, what,
                   (unsigned long long)found, (unsigned long long)expected);
}

bool sx_segment_codes_sound(const sx_segment *segment, size_t block, uint64_t *sum)
{
    uint32_t dimensions = segment->header.dimensions;
    const uint8_t *codes = segment->codes + block * sx_segment_codes_bytes(dimensions, SX_SEGMENT_BLOCK_ROWS);
    *sum = XXH3_64bits(codes, sx_segment_codes_bytes(dimensions, sx_segment_block_rows(segment, block)));
    return *sum == segment->codes_sums[block];
}

bool sx_segment_row_sound(const sx_segment *segment, size_t place, uint64_t *sum)
{
    size_t stride = segment->header.stride;
    *sum = XXH3_64bits(segment->rows + place * stride, stride * sizeof(float));
    return *sum == segment->sums[place];
}

/* Places in the file follow from rows and dimensions alone, so the stored ones must be exactly these. */
static sx_status check_header(sx_segment *segment, sx_error *error)
{
    const sx_segment_header *header = &segment->header;
    size_t length = segment->map.length;
    if (length < sizeof *header)
        return sx_segment_damaged(segment, error, "the file's size", length, sizeof *header);
    memcpy(&segment->header, segment->map.data, sizeof *header);
    if (memcmp(header->magic, SX_SEGMENT_MAGIC, sizeof header->magic) != 0)
        return sx_fail(error, SX_E_FORMAT, "%s: not a segment: the magic is missing", segment->path);
    if (header->version != SX_SEGMENT_PLAIN && header->version != SX_SEGMENT_CODED)
        return sx_segment_damaged(segment, error, "the version", header->version, SX_SEGMENT_CODED);
    uint64_t sum = XXH3_64bits(segment->map.data, offsetof(sx_segment_header, header_sum));
    if (header->header_sum != sum)
        return sx_segment_damaged(segment, error, "the header's checksum", header->header_sum, sum);
    if (header->dimensions == 0 || header->dimensions > SX_SEGMENT_DIMENSIONS)
        return sx_segment_damaged(segment, error, "the number of dimensions", header->dimensions, SX_SEGMENT_DIMENSIONS);
    if (header->stride != sx_segment_stride(header->dimensions))
        return sx_segment_damaged(segment, error, "the stride", header->stride, sx_segment_stride(header->dimensions));
    if (header->block_rows != SX_SEGMENT_BLOCK_ROWS)
        return sx_segment_damaged(segment, error, "the block size", header->block_rows, SX_SEGMENT_BLOCK_ROWS);
    uint64_t row_bytes = header->stride * sizeof(float);
    if (header->rows > length / row_bytes)
        return sx_segment_damaged(segment, error, "the number of rows", header->rows, length / row_bytes);
    bool coded = header->version == SX_SEGMENT_CODED;
    uint64_t blocks = (header->rows + SX_SEGMENT_BLOCK_ROWS - 1) / SX_SEGMENT_BLOCK_ROWS;
    uint64_t ids_offset = sizeof *header + header->rows * row_bytes;
    uint64_t sums_offset = ids_offset + header->rows * sizeof(int64_t);
    uint64_t end = sums_offset + (coded ? header->rows : blocks) * sizeof(uint64_t);
    uint64_t codes_offset = coded ? (end + 63) / 64 * 64 : 0;
    uint64_t codes_sums_offset = coded ? codes_offset + sx_segment_codes_bytes(header->dimensions, header->rows) : 0;
    if (header->rows_offset != sizeof *header)
        return sx_segment_damaged(segment, error, "the place of the rows", header->rows_offset, sizeof *header);
    if (header->ids_offset != ids_offset)
        return sx_segment_damaged(segment, error, "the place of the ids", header->ids_offset, ids_offset);
    if (header->sums_offset != sums_offset)
        return sx_segment_damaged(segment, error, "the place of the checksums", header->sums_offset, sums_offset);
    if (header->codes_offset != codes_offset)
        return sx_segment_damaged(segment, error, "the place of the codes", header->codes_offset, codes_offset);
    if (header->codes_sums_offset != codes_sums_offset)
        return sx_segment_damaged(segment, error, "the place of the codes' checksums", header->codes_sums_offset,
                                  codes_sums_offset);
    uint64_t file_end = coded ? codes_sums_offset + blocks * sizeof(uint64_t) : end;
    if (header->file_bytes != file_end || length != file_end)
        return sx_segment_damaged(segment, error, "the file's size", length, file_end);
    for (uint64_t i = end; i < codes_offset; i++)
        if (segment->map.data[i])
            return sx_segment_damaged(segment, error, "a byte between the tables", segment->map.data[i], 0);
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
        return sx_segment_damaged(segment, error, "the ids' checksum", sum, header->ids_sum);
    bool coded = header->version == SX_SEGMENT_CODED;
    sum = XXH3_64bits(segment->sums, (coded ? header->rows : segment->blocks) * sizeof(uint64_t));
    if (sum != header->sums_sum)
        return sx_segment_damaged(segment, error, "the checksum of checksums", sum, header->sums_sum);
    if (coded) {
        segment->codes = data + header->codes_offset;
        segment->codes_sums = (const uint64_t *)(const void *)(data + header->codes_sums_offset);
        sum = XXH3_64bits(segment->codes_sums, segment->blocks * sizeof(uint64_t));
        if (sum != header->codes_sums_sum)
            return sx_segment_damaged(segment, error, "the checksum of the codes' checksums", sum, header->codes_sums_sum);
    }
    for (uint64_t i = 1; i < header->rows; i++)
        if (segment->ids[i] <= segment->ids[i - 1])
            return sx_segment_damaged(segment, error, "an id that must ascend", (uint64_t)segment->ids[i],
                           (uint64_t)segment->ids[i - 1] + 1);
    segment->checked = sx_calloc(segment->blocks, 1);
    return segment->checked ? SX_OK : sx_fail_nomem(error, segment->blocks);
}

/* What every scan reads should be on its way from the disk already. Advice only. */
static void advise(const sx_segment *segment)
{
    size_t page = 4096, first = segment->header.codes_offset / page * page;
    if (segment->map.length)
        (void)madvise((void *)(uintptr_t)(segment->map.data + first), segment->map.length - first, MADV_WILLNEED);
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
    advise(segment);
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
        status = sx_segment_damaged(*out, error, "the header's checksum", header->header_sum, identity);
    else if (header->collection != collection)
        status = sx_segment_damaged(*out, error, "the collection", (uint64_t)header->collection, (uint64_t)collection);
    else if (header->dimensions != dimensions)
        status = sx_segment_damaged(*out, error, "the number of dimensions", header->dimensions, dimensions);
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
