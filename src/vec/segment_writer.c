/* segment_writer.c - writes a segment: rows as they come, then what is only known at the end (ids, checksums), then the codes,
 * and the header last, so that a file that was cut off has none. */
#include "segment.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"
#include "segment_format.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct sx_segment_writer {
    char *path;
    int descriptor;
    bool finished;
    sx_segment_header header;
    float *block; /* block_rows x stride, rows gathered */
    size_t block_count;
    int64_t *ids;
    size_t ids_capacity;
    uint64_t *sums; /* of each row */
    size_t sums_capacity;
    uint64_t *codes_sums; /* of each block */
    size_t codes_sums_count;
};

sx_status sx_segment_create(const char *path, int64_t collection, uint32_t dimensions, sx_segment_writer **out, sx_error *error)
{
    *out = NULL;
    if (dimensions == 0 || dimensions > SX_SEGMENT_DIMENSIONS)
        return sx_fail(error, SX_E_INVALID, "%s: %u dimensions; a segment holds 1 to %d", path, dimensions,
                       SX_SEGMENT_DIMENSIONS);
    sx_segment_writer *writer = sx_calloc(1, sizeof *writer);
    if (!writer)
        return sx_fail_nomem(error, sizeof *writer);
    writer->descriptor = -1;
    writer->header = (sx_segment_header){.version = SX_SEGMENT_CODED,
                                         .dimensions = dimensions,
                                         .stride = sx_segment_stride(dimensions),
                                         .block_rows = SX_SEGMENT_BLOCK_ROWS,
                                         .collection = collection,
                                         .rows_offset = sizeof(sx_segment_header)};
    memcpy(writer->header.magic, SX_SEGMENT_MAGIC, sizeof writer->header.magic);
    writer->path = sx_strdup(path);
    writer->block = sx_aligned_calloc(64, (size_t)SX_SEGMENT_BLOCK_ROWS * writer->header.stride, sizeof(float));
    sx_status status = SX_OK;
    if (!writer->path || !writer->block) {
        status = sx_fail_nomem(error, (size_t)SX_SEGMENT_BLOCK_ROWS * writer->header.stride * sizeof(float));
        goto out;
    }
    writer->descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (writer->descriptor < 0) {
        status = sx_fail_errno(error, errno, "%s: cannot be created", path);
        goto out;
    }
    static const sx_segment_header nothing;
    status = sx_write_all(writer->descriptor, &nothing, sizeof nothing, path, error);
out:
    if (status)
        sx_segment_writer_close(writer);
    else
        *out = writer;
    return status;
}

static sx_status write_block(sx_segment_writer *writer, sx_error *error)
{
    size_t bytes = writer->block_count * writer->header.stride * sizeof(float);
    writer->block_count = 0;
    return sx_write_all(writer->descriptor, writer->block, bytes, writer->path, error);
}

sx_status sx_segment_add(sx_segment_writer *writer, int64_t id, const float *vector, sx_error *error)
{
    uint64_t rows = writer->header.rows;
    if (rows && id <= writer->ids[rows - 1])
        return sx_fail(error, SX_E_INTERNAL, "%s: id %lld after %lld; ids must ascend", writer->path, (long long)id,
                       (long long)writer->ids[rows - 1]);
    if (!sx_reserve((void **)&writer->ids, &writer->ids_capacity, rows + 1, sizeof *writer->ids) ||
        !sx_reserve((void **)&writer->sums, &writer->sums_capacity, rows + 1, sizeof *writer->sums))
        return sx_fail_nomem(error, (rows + 1) * sizeof *writer->ids);
    writer->ids[rows] = id;
    writer->header.rows++;
    float *row = writer->block + writer->block_count * writer->header.stride;
    memcpy(row, vector, writer->header.dimensions * sizeof(float));
    writer->sums[rows] = XXH3_64bits(row, writer->header.stride * sizeof(float));
    writer->block_count++;
    return writer->block_count == SX_SEGMENT_BLOCK_ROWS ? write_block(writer, error) : SX_OK;
}

static sx_status read_rows(const sx_segment_writer *writer, uint64_t first, size_t count, sx_error *error)
{
    size_t bytes = count * writer->header.stride * sizeof(float), done = 0;
    uint64_t offset = writer->header.rows_offset + first * writer->header.stride * sizeof(float);
    while (done < bytes) {
        ssize_t got = pread(writer->descriptor, (char *)writer->block + done, bytes - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return sx_fail_errno(error, got < 0 ? errno : EIO, "%s: cannot be read back", writer->path);
        done += (size_t)got;
    }
    return SX_OK;
}

/* Behind the tables, so that a scan reads one piece of the file. Rows are read back a block at a time: kept, they or their codes
 * would be as large in memory as the file. */
static sx_status write_codes(sx_segment_writer *writer, sx_error *error)
{
    const sx_segment_header *header = &writer->header;
    size_t stride = sx_segment_codes_stride(header->dimensions);
    size_t blocks = (header->rows + SX_SEGMENT_BLOCK_ROWS - 1) / SX_SEGMENT_BLOCK_ROWS;
    uint8_t *codes = sx_aligned_calloc(64, sx_segment_codes_bytes(header->dimensions, SX_SEGMENT_BLOCK_ROWS), 1);
    writer->codes_sums = sx_calloc(blocks, sizeof *writer->codes_sums);
    sx_status status = SX_OK;
    if (!codes || !writer->codes_sums)
        status = sx_fail_nomem(error, sx_segment_codes_bytes(header->dimensions, SX_SEGMENT_BLOCK_ROWS));
    for (uint64_t first = 0; first < header->rows && !status; first += SX_SEGMENT_BLOCK_ROWS) {
        size_t count = header->rows - first < SX_SEGMENT_BLOCK_ROWS ? header->rows - first : SX_SEGMENT_BLOCK_ROWS;
        size_t bytes = sx_segment_codes_bytes(header->dimensions, count);
        float *scales = (float *)(void *)(codes + count * stride), *errors = scales + count;
        if ((status = read_rows(writer, first, count, error)))
            break;
        for (size_t i = 0; i < count; i++) {
            sx_row_code code = sx_row_encode(writer->block + i * header->stride, header->dimensions, stride, codes + i * stride);
            scales[i] = code.scale;
            errors[i] = code.error;
        }
        writer->codes_sums[writer->codes_sums_count++] = XXH3_64bits(codes, bytes);
        status = sx_write_all(writer->descriptor, codes, bytes, writer->path, error);
    }
    free(codes);
    return status;
}

sx_status sx_segment_finish(sx_segment_writer *writer, uint64_t *identity, sx_error *error)
{
    sx_status status = write_block(writer, error);
    if (status)
        return status;
    sx_segment_header *header = &writer->header;
    static const char zeros[64];
    size_t ids_bytes = header->rows * sizeof *writer->ids, sums_bytes = header->rows * sizeof *writer->sums;
    header->ids_offset = header->rows_offset + header->rows * header->stride * sizeof(float);
    header->sums_offset = header->ids_offset + ids_bytes;
    uint64_t end = header->sums_offset + sums_bytes;
    header->codes_offset = (end + 63) / 64 * 64;
    header->codes_sums_offset = header->codes_offset + sx_segment_codes_bytes(header->dimensions, header->rows);
    if ((status = sx_write_all(writer->descriptor, writer->ids, ids_bytes, writer->path, error)) ||
        (status = sx_write_all(writer->descriptor, writer->sums, sums_bytes, writer->path, error)) ||
        (status = sx_write_all(writer->descriptor, zeros, header->codes_offset - end, writer->path, error)) ||
        (status = write_codes(writer, error)))
        return status;
    size_t codes_sums_bytes = writer->codes_sums_count * sizeof *writer->codes_sums;
    header->file_bytes = header->codes_sums_offset + codes_sums_bytes;
    header->ids_sum = XXH3_64bits(writer->ids, ids_bytes);
    header->sums_sum = XXH3_64bits(writer->sums, sums_bytes);
    header->codes_sums_sum = XXH3_64bits(writer->codes_sums, codes_sums_bytes);
    header->header_sum = XXH3_64bits(header, offsetof(sx_segment_header, header_sum));
    if ((status = sx_write_all(writer->descriptor, writer->codes_sums, codes_sums_bytes, writer->path, error)))
        return status;
    if ((status = sx_write_start(writer->descriptor, header, sizeof *header, writer->path, error)))
        return status;
    *identity = header->header_sum;
    writer->finished = true;
    return SX_OK;
}

void sx_segment_writer_close(sx_segment_writer *writer)
{
    if (!writer)
        return;
    if (writer->descriptor >= 0) {
        close(writer->descriptor);
        if (!writer->finished)
            unlink(writer->path);
    }
    free(writer->path);
    free(writer->block);
    free(writer->ids);
    free(writer->sums);
    free(writer->codes_sums);
    free(writer);
}
