/* fuzz_hnsw.c - graph files as input: opened and searched as they are, and once more with their checksums put right, so that what
 * lies behind these is reached too. */
#include "checksums.h"
#include "vec/hnsw.h"
#include "vec/hnsw_format.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_ROWS = 512, DIMENSIONS = 16, PADDED = 64 };

static void try_file(const uint8_t *data, size_t size)
{
    static uint8_t codes[MOST_ROWS][PADDED];
    sx_hnsw_header header = {0};
    char path[64];
    int descriptor = memfd_create("graph", 0);
    if (descriptor < 0)
        return;
    memcpy(&header, data, size < sizeof header ? size : sizeof header);
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    for (size_t i = 0; i < MOST_ROWS; i++)
        for (size_t k = 0; k < DIMENSIONS; k++)
            codes[i][k] = (uint8_t)(1 + (i * 37 + k * 101 + i * k) % 255);
    sx_hnsw_rows rows = {.kind = SX_HNSW_CODES, .dimensions = DIMENSIONS, .rows = codes, .row_bytes = PADDED, .block_shift = 32};
    sx_hnsw *graph = NULL;
    sx_hnsw_searcher *searcher = NULL;
    const float query[DIMENSIONS] = {1.0f, -0.5f, 0.25f};
    const sx_ranked *found;
    size_t count;
    if (write(descriptor, data, size) == (ssize_t)size && header.places <= MOST_ROWS &&
        !sx_hnsw_open(path, header.identity, &rows, header.places, sx_dot_kernels_for(SX_CPU_C), &graph, NULL) &&
        !sx_hnsw_searcher_open(graph, &searcher, NULL))
        (void)sx_hnsw_search(searcher, query, 40, &found, &count, NULL);
    sx_hnsw_searcher_close(searcher);
    sx_hnsw_close(graph);
    close(descriptor);
}

static uint64_t sum_at(const uint8_t *data, size_t size, uint64_t from, uint64_t end)
{
    return from <= end && end <= size ? XXH3_64bits(data + from, end - from) : 0;
}

static void put_right(uint8_t *data, size_t size)
{
    sx_hnsw_header header;
    if (size < sizeof header)
        return;
    memcpy(&header, data, sizeof header);
    memcpy(header.magic, SX_HNSW_MAGIC, sizeof header.magic);
    header.small_sum = sum_at(data, size, sizeof header, header.lists_offset);
    uint64_t blocks = (header.places + 255) / 256, bytes = 256 * 2 * (uint64_t)(header.links % 129) * sizeof(uint32_t);
    for (uint64_t i = 0; i < blocks && i < 4 && header.sums_offset < size && (i + 1) * sizeof(uint64_t) <= size - header.sums_offset;
         i++) {
        uint64_t from = header.lists_offset + i * bytes, end = from + bytes < header.sums_offset ? from + bytes : header.sums_offset;
        uint64_t sum = sum_at(data, size, from, end);
        memcpy(data + header.sums_offset + i * sizeof sum, &sum, sizeof sum);
    }
    header.sums_sum = sum_at(data, size, header.sums_offset, header.file_bytes);
    header.header_sum = XXH3_64bits(&header, offsetof(sx_hnsw_header, header_sum));
    memcpy(data, &header, sizeof header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return try_with_checksums(data, size, try_file, put_right);
}
