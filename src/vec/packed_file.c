/* packed_file.c - the packed rows of a collection in one mapped file.
 *
 * Little-endian: a header of 128 bytes; the mean and the matrix of the packing; the rows; the ids of the rows, ascending. Each
 * part has a checksum in the header, and the header one of itself, which the database knows. */
#include "packed_file.h"
#include "packed_format.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"
#include "segment.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t round_up(uint64_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

/* ---- Writing ---- */

struct sx_packed_writer {
    char *path;
    int descriptor;
    bool finished;
    const sx_packing *packing;
    sx_packed_header header;
    XXH3_state_t *sum; /* of the rows */
    float *scratch;
    unsigned char *block; /* SX_PACKED_BLOCK rows */
    size_t in_block;
    int64_t *ids;
    size_t capacity;
};

static sx_status write_block(sx_packed_writer *writer, sx_error *error)
{
    size_t bytes = writer->in_block * writer->header.row_bytes;
    XXH3_64bits_update(writer->sum, writer->block, bytes);
    writer->in_block = 0;
    return sx_write_all(writer->descriptor, writer->block, bytes, writer->path, error);
}

static sx_status write_zeros(sx_packed_writer *writer, uint64_t from, uint64_t to, sx_error *error)
{
    static const char zeros[SX_PACKED_HEADER_BYTES];
    return sx_write_all(writer->descriptor, zeros, to - from, writer->path, error);
}

static sx_status write_packing(sx_packed_writer *writer, sx_error *error)
{
    const sx_packing *packing = writer->packing;
    size_t mean = sx_packing_mean_floats(packing) * sizeof(float), matrix = sx_packing_matrix_floats(packing) * sizeof(float);
    XXH3_64bits_reset(writer->sum);
    XXH3_64bits_update(writer->sum, packing->mean, mean);
    XXH3_64bits_update(writer->sum, packing->matrix, matrix);
    writer->header.packing_sum = XXH3_64bits_digest(writer->sum);
    XXH3_64bits_reset(writer->sum);
    writer->header.rows_offset = round_up(SX_PACKED_HEADER_BYTES + mean + matrix);
    sx_status status = write_zeros(writer, 0, SX_PACKED_HEADER_BYTES, error);
    if (!status)
        status = sx_write_all(writer->descriptor, packing->mean, mean, writer->path, error);
    if (!status)
        status = sx_write_all(writer->descriptor, packing->matrix, matrix, writer->path, error);
    return status ? status : write_zeros(writer, SX_PACKED_HEADER_BYTES + mean + matrix, writer->header.rows_offset, error);
}

sx_status sx_packed_create(const char *path, int64_t collection, const sx_packing *packing, sx_packed_writer **out,
                           sx_error *error)
{
    *out = NULL;
    sx_packed_writer *writer = sx_calloc(1, sizeof *writer);
    if (!writer)
        return sx_fail_nomem(error, sizeof *writer);
    writer->descriptor = -1;
    writer->packing = packing;
    writer->header = (sx_packed_header){.magic = SX_PACKED_MAGIC,
                                     .version = SX_PACKED_VERSION,
                                     .kind = packing->kind,
                                     .dimensions = packing->dimensions,
                                     .width = packing->width,
                                     .collection = collection,
                                     .row_bytes = sx_packing_row_bytes(packing),
                                     .retained = packing->retained};
    writer->path = sx_strdup(path);
    writer->sum = XXH3_createState();
    writer->scratch = sx_calloc(packing->dimensions, sizeof(float));
    writer->block = sx_calloc(SX_PACKED_BLOCK, writer->header.row_bytes);
    sx_status status = writer->path && writer->sum && writer->scratch && writer->block
                           ? SX_OK
                           : sx_fail_nomem(error, SX_PACKED_BLOCK * writer->header.row_bytes);
    if (!status) {
        writer->descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        status = writer->descriptor >= 0 ? write_packing(writer, error)
            : sx_fail_errno(error, errno, "%s: cannot be created", path);
    }
    if (status)
        sx_packed_writer_close(writer);
    else
        *out = writer;
    return status;
}

sx_status sx_packed_add(sx_packed_writer *writer, int64_t id, const float *row, sx_error *error)
{
    size_t count = writer->header.rows;
    if (count && id <= writer->ids[count - 1])
        return sx_fail(error, SX_E_INTERNAL, "%s: row %lld follows row %lld", writer->path, (long long)id,
                       (long long)writer->ids[count - 1]);
    if (!sx_reserve((void **)&writer->ids, &writer->capacity, count + 1, sizeof *writer->ids))
        return sx_fail_nomem(error, (count + 1) * sizeof *writer->ids);
    writer->ids[writer->header.rows++] = id;
    sx_packing_row(writer->packing, row, writer->scratch, writer->block + writer->in_block++ * writer->header.row_bytes);
    return writer->in_block == SX_PACKED_BLOCK ? write_block(writer, error) : SX_OK;
}

sx_status sx_packed_finish(sx_packed_writer *writer, uint64_t *identity, uint64_t *bytes, sx_error *error)
{
    sx_packed_header *header = &writer->header;
    unsigned char first[SX_PACKED_HEADER_BYTES] = {0};
    sx_status status = write_block(writer, error);
    uint64_t end = header->rows_offset + header->rows * header->row_bytes;
    header->rows_sum = XXH3_64bits_digest(writer->sum);
    header->ids_offset = round_up(end);
    header->file_bytes = header->ids_offset + header->rows * sizeof(int64_t);
    header->ids_sum = XXH3_64bits(writer->ids ? (const void *)writer->ids : "", header->rows * sizeof(int64_t));
    header->header_sum = XXH3_64bits(header, offsetof(sx_packed_header, header_sum));
    memcpy(first, header, sizeof *header);
    if (!status)
        status = write_zeros(writer, end, header->ids_offset, error);
    if (!status)
        status = sx_write_all(writer->descriptor, writer->ids, header->rows * sizeof(int64_t), writer->path, error);
    if (!status)
        status = sx_write_start(writer->descriptor, first, sizeof first, writer->path, error);
    writer->finished = !status;
    *identity = header->header_sum;
    *bytes = header->file_bytes;
    return status;
}

void sx_packed_writer_close(sx_packed_writer *writer)
{
    if (!writer)
        return;
    if (writer->descriptor >= 0) {
        close(writer->descriptor);
        if (!writer->finished)
            unlink(writer->path);
    }
    XXH3_freeState(writer->sum);
    free(writer->path);
    free(writer->scratch);
    free(writer->block);
    free(writer->ids);
    free(writer);
}

/* ---- Reading ---- */

struct sx_packed_file {
    char *path;
    sx_file_map map;
    sx_packed_header header;
    sx_packing packing; /* its arrays are the file's */
    const unsigned char *rows;
    const int64_t *ids;
};

static sx_status damaged(const sx_packed_file *file, sx_error *error, const char *what, uint64_t found, uint64_t expected)
{
    return sx_fail(error, SX_E_FORMAT, "%s: damaged: %s is %llx, expected %llx", file->path, what, (unsigned long long)found,
                   (unsigned long long)expected);
}

/* What the header says must be what a writer of such a packing would have said. */
static sx_status check_header(sx_packed_file *file, sx_error *error)
{
    sx_packed_header *header = &file->header;
    if (file->map.length < SX_PACKED_HEADER_BYTES)
        return damaged(file, error, "its size", file->map.length, SX_PACKED_HEADER_BYTES);
    memcpy(header, file->map.data, sizeof *header);
    if (memcmp(header->magic, SX_PACKED_MAGIC, sizeof header->magic) != 0)
        return sx_fail(error, SX_E_FORMAT, "%s: no file of packed vectors", file->path);
    if (header->version != SX_PACKED_VERSION)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: version %u: version %d can be read", file->path, header->version,
                       SX_PACKED_VERSION);
    uint64_t sum = XXH3_64bits(header, offsetof(sx_packed_header, header_sum));
    if (sum != header->header_sum)
        return damaged(file, error, "the header's checksum", sum, header->header_sum);
    if (header->kind > SX_PACKING_DIMS || !header->dimensions || header->dimensions > SX_SEGMENT_DIMENSIONS || !header->width ||
        header->width > header->dimensions || header->rows > SIZE_MAX / 2 / SX_SEGMENT_DIMENSIONS / 8)
        return damaged(file, error, "a size", header->width, header->dimensions);
    file->packing = (sx_packing){.kind = (sx_packing_kind)header->kind,
                                 .dimensions = header->dimensions,
                                 .width = header->width,
                                 .retained = header->retained};
    uint64_t floats = sx_packing_mean_floats(&file->packing) + sx_packing_matrix_floats(&file->packing);
    uint64_t row_bytes = sx_packing_row_bytes(&file->packing);
    uint64_t rows_offset = round_up(SX_PACKED_HEADER_BYTES + floats * sizeof(float));
    uint64_t ids_offset = round_up(rows_offset + header->rows * row_bytes);
    if (header->row_bytes != row_bytes)
        return damaged(file, error, "a row's size", header->row_bytes, row_bytes);
    if (header->rows_offset != rows_offset)
        return damaged(file, error, "the place of the rows", header->rows_offset, rows_offset);
    if (header->ids_offset != ids_offset)
        return damaged(file, error, "the place of the ids", header->ids_offset, ids_offset);
    if (header->file_bytes != ids_offset + header->rows * sizeof(int64_t) || file->map.length != header->file_bytes)
        return damaged(file, error, "the file's size", file->map.length, ids_offset + header->rows * sizeof(int64_t));
    return SX_OK;
}

static sx_status check_content(sx_packed_file *file, sx_error *error)
{
    const sx_packed_header *header = &file->header;
    const unsigned char *data = file->map.data;
    size_t mean = sx_packing_mean_floats(&file->packing), matrix = sx_packing_matrix_floats(&file->packing);
    float *floats = (float *)(void *)(uintptr_t)(data + SX_PACKED_HEADER_BYTES);
    file->packing.mean = mean ? floats : NULL;
    file->packing.matrix = matrix ? floats + mean : NULL;
    file->rows = data + header->rows_offset;
    file->ids = (const int64_t *)(const void *)(data + header->ids_offset);
    uint64_t sum = XXH3_64bits(floats, (mean + matrix) * sizeof(float));
    if (sum != header->packing_sum)
        return damaged(file, error, "the packing's checksum", sum, header->packing_sum);
    sum = XXH3_64bits(file->rows, header->rows * header->row_bytes);
    if (sum != header->rows_sum)
        return damaged(file, error, "the rows' checksum", sum, header->rows_sum);
    sum = XXH3_64bits(file->ids, header->rows * sizeof(int64_t));
    if (sum != header->ids_sum)
        return damaged(file, error, "the ids' checksum", sum, header->ids_sum);
    for (size_t i = 0; i < mean + matrix; i++)
        if (!isfinite(floats[i]))
            return damaged(file, error, "a number of the packing that must be finite", i, 0);
    for (uint64_t i = 1; i < header->rows; i++)
        if (file->ids[i] <= file->ids[i - 1])
            return damaged(file, error, "an id that must ascend", (uint64_t)file->ids[i], (uint64_t)file->ids[i - 1] + 1);
    return SX_OK;
}

sx_status sx_packed_open(const char *path, uint64_t identity, sx_packed_file **out, sx_error *error)
{
    *out = NULL;
    sx_packed_file *file = sx_calloc(1, sizeof *file);
    if (!file || !(file->path = sx_strdup(path))) {
        sx_packed_close(file);
        return sx_fail_nomem(error, sizeof *file);
    }
    sx_status status = sx_file_map_open(path, &file->map, error);
    if (!status)
        status = check_header(file, error);
    if (!status && identity && file->header.header_sum != identity)
        status = damaged(file, error, "the header's checksum", file->header.header_sum, identity);
    if (!status)
        status = check_content(file, error);
    if (status)
        sx_packed_close(file);
    else
        *out = file;
    return status;
}

void sx_packed_close(sx_packed_file *file)
{
    if (!file)
        return;
    sx_file_map_close(&file->map);
    free(file->path);
    free(file);
}

const sx_packing *sx_packed_packing(const sx_packed_file *file)
{
    return &file->packing;
}

size_t sx_packed_rows(const sx_packed_file *file)
{
    return file->header.rows;
}

uint64_t sx_packed_identity(const sx_packed_file *file)
{
    return file->header.header_sum;
}

int64_t sx_packed_collection(const sx_packed_file *file)
{
    return file->header.collection;
}

sx_status sx_packed_scan(const sx_packed_file *file, const sx_packed_query *query, const sx_id_set *allowed, sx_topk *topk,
                         sx_error *error)
{
    float scores[SX_PACKED_BLOCK];
    size_t next = 0; /* of those allowed */
    if (query->packing->dimensions != file->packing.dimensions || query->packing->kind != file->packing.kind)
        return sx_fail(error, SX_E_INTERNAL, "%s: a query of another packing", file->path);
    for (size_t first = 0; first < file->header.rows; first += SX_PACKED_BLOCK) {
        size_t left = file->header.rows - first, count = left < SX_PACKED_BLOCK ? left : SX_PACKED_BLOCK;
        const int64_t *ids = file->ids + first;
        if (allowed) {
            next += sx_exact_lower_bound(allowed->ids + next, allowed->count - next, ids[0]);
            if (next == allowed->count)
                break;
            if (allowed->ids[next] > ids[count - 1])
                continue;
        }
        sx_packed_scores(query, file->rows + first * file->header.row_bytes, count, scores);
        for (size_t i = 0, at = next; i < count; i++) {
            while (allowed && at < allowed->count && allowed->ids[at] < ids[i])
                at++;
            if (!allowed || (at < allowed->count && allowed->ids[at] == ids[i]))
                sx_topk_offer(topk, ids[i], scores[i]);
        }
    }
    return SX_OK;
}
