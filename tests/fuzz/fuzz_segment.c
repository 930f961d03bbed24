/* fuzz_segment.c - segment files of any bytes: refused or scanned, never a crash or a read outside the mapping.
 *
 * Checksums would stop nearly every mutation at the door, so each input is also tried with its checksums put right. */
#include "checksums.h"
#include "vec/segment.h"
#include "vec/segment_format.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_file(const uint8_t *data, size_t size)
{
    char path[64];
    int descriptor = memfd_create("segment", 0);
    if (descriptor < 0)
        return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    sx_segment *segment = NULL;
    sx_topk topk = {0};
    if (write(descriptor, data, size) == (ssize_t)size && sx_segment_open_any(path, &segment, NULL) == SX_OK &&
        sx_topk_open(&topk, 3)) {
        float *floats = calloc(sx_segment_dimensions(segment), sizeof *floats);
        sx_exact_query query = {0};
        if (floats) {
            floats[0] = 1;
            if (!sx_exact_query_open(&query, sx_dot_kernels_for(SX_CPU_C), floats, sx_segment_dimensions(segment), NULL))
                (void)sx_segment_scan(segment, &query, NULL, NULL, &topk, NULL);
        }
        sx_exact_query_close(&query);
        free(floats);
    }
    sx_topk_close(&topk);
    sx_segment_close(segment);
    close(descriptor);
}

/* The sum of `bytes` at `offset`, as far as they lie in the file. */
static uint64_t sum_at(const uint8_t *data, size_t size, uint64_t offset, uint64_t bytes)
{
    if (offset > size)
        return 0;
    return XXH3_64bits(data + offset, bytes < size - offset ? bytes : size - offset);
}

/* A table of the sums of `count` pieces of `each` bytes from `first` on; returns the table's own. */
static uint64_t put_sums_right(uint8_t *data, size_t size, uint64_t table, uint64_t count, uint64_t first, uint64_t each)
{
    for (uint64_t i = 0; i < count && i < 64 && table <= size && (i + 1) * sizeof(uint64_t) <= size - table; i++) {
        uint64_t sum = sum_at(data, size, first + i * each, each);
        memcpy(data + table + i * sizeof sum, &sum, sizeof sum);
    }
    return sum_at(data, size, table, count * sizeof(uint64_t));
}

/* Sums over the places the header names, as far as they lie in the file. Version 1 sums up blocks of rows and version 2 rows and
 * blocks of codes; the last block is shorter, so only files of whole blocks or one row pass all of them. */
static void put_right(uint8_t *data, size_t size)
{
    sx_segment_header header;
    if (size < sizeof header)
        return;
    memcpy(&header, data, sizeof header);
    bool coded = header.version == SX_SEGMENT_CODED;
    uint64_t rows = header.rows < 1024 ? header.rows : 1024, row_bytes = (uint64_t)header.stride * sizeof(float);
    uint64_t block = rows < SX_SEGMENT_BLOCK_ROWS ? rows : SX_SEGMENT_BLOCK_ROWS;
    uint64_t blocks = (rows + SX_SEGMENT_BLOCK_ROWS - 1) / SX_SEGMENT_BLOCK_ROWS;
    header.ids_sum = sum_at(data, size, header.ids_offset, rows * sizeof(int64_t));
    header.sums_sum = coded ? put_sums_right(data, size, header.sums_offset, rows, sizeof header, row_bytes)
                            : put_sums_right(data, size, header.sums_offset, blocks, sizeof header, block * row_bytes);
    if (coded)
        header.codes_sums_sum = put_sums_right(data, size, header.codes_sums_offset, blocks, header.codes_offset,
                                               sx_segment_codes_bytes(header.dimensions % 65537, block));
    memcpy(header.magic, SX_SEGMENT_MAGIC, sizeof header.magic);
    header.header_sum = XXH3_64bits(&header, offsetof(sx_segment_header, header_sum));
    memcpy(data, &header, sizeof header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return try_with_checksums(data, size, try_file, put_right);
}
