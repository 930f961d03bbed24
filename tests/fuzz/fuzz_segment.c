/* fuzz_segment.c - segment files of any bytes: refused or scanned, never a crash or a read outside the mapping.
 *
 * Checksums would stop nearly every mutation at the door, so each input is also tried with its checksums put right. */
#include "vec/segment.h"
#include "vec/segment_format.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

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
        float *query = calloc(sx_segment_dimensions(segment), sizeof *query);
        if (query) {
            query[0] = 1;
            (void)sx_segment_scan(segment, sx_kernels_for(SX_CPU_C), query, NULL, &topk, NULL);
        }
        free(query);
    }
    sx_topk_close(&topk);
    sx_segment_close(segment);
    close(descriptor);
}

/* Sums over the places the header names, as far as they lie in the file. */
static void put_right(uint8_t *data, size_t size)
{
    sx_segment_header header;
    if (size < sizeof header)
        return;
    memcpy(&header, data, sizeof header);
    if (header.ids_offset <= header.sums_offset && header.sums_offset <= size) {
        uint64_t row_bytes = (uint64_t)header.stride * sizeof(float), blocks = (size - header.sums_offset) / sizeof(uint64_t);
        for (uint64_t i = 0; i < blocks && i < 64; i++) {
            uint64_t first = sizeof header + i * SX_SEGMENT_BLOCK_ROWS * row_bytes;
            uint64_t end = first + SX_SEGMENT_BLOCK_ROWS * row_bytes;
            if (end > header.ids_offset)
                end = header.ids_offset;
            uint64_t sum = first < end ? XXH3_64bits(data + first, end - first) : 0;
            memcpy(data + header.sums_offset + i * sizeof sum, &sum, sizeof sum);
        }
        header.ids_sum = XXH3_64bits(data + header.ids_offset, header.sums_offset - header.ids_offset);
        header.sums_sum = XXH3_64bits(data + header.sums_offset, blocks * sizeof(uint64_t));
    }
    memcpy(header.magic, SX_SEGMENT_MAGIC, sizeof header.magic);
    header.header_sum = XXH3_64bits(&header, offsetof(sx_segment_header, header_sum));
    memcpy(data, &header, sizeof header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_file(data, size);
    uint8_t *copy = malloc(size + 1);
    if (copy && size) {
        memcpy(copy, data, size);
        put_right(copy, size);
        try_file(copy, size);
    }
    free(copy);
    return 0;
}
