/* fuzz_packed.c - files of packed rows as input: opened, all rows scored for a query, and those of a list of ids; once more with
 * the checksums put right, so that what lies behind these is reached too. */
#include "checksums.h"
#include "vec/packed_file.h"
#include "vec/packed_format.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void scan(const sx_packed_file *file)
{
    const sx_packing *packing = sx_packed_packing(file);
    float *floats = calloc(packing->dimensions, sizeof *floats);
    sx_packed_query query = {0};
    sx_topk topk = {0};
    const int64_t ids[] = {-1, 0, 1, 3, 7, 1000};
    const sx_id_set some = {ids, sizeof ids / sizeof *ids};
    for (size_t i = 0; floats && i < packing->dimensions; i++)
        floats[i] = 0.25f * (float)(i % 7) - 0.5f;
    if (floats && sx_topk_open(&topk, 3) &&
        !sx_packed_query_open(&query, packing, sx_dot_kernels_for(SX_CPU_C), floats, NULL)) {
        (void)sx_packed_scan(file, &query, NULL, &topk, NULL);
        (void)sx_packed_scan(file, &query, &some, &topk, NULL);
        if (topk.count > sx_packed_rows(file) * 2)
            abort();
        sx_topk_sort(&topk);
    }
    sx_packed_query_close(&query);
    sx_topk_close(&topk);
    free(floats);
}

static void try_file(const uint8_t *data, size_t size)
{
    char path[64];
    sx_packed_file *file;
    int descriptor = memfd_create("packed", 0);
    if (descriptor < 0)
        return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    if (write(descriptor, data, size) == (ssize_t)size && !sx_packed_open(path, 0, &file, NULL)) {
        scan(file);
        sx_packed_close(file);
    }
    close(descriptor);
}

static uint64_t sum_of(const uint8_t *data, size_t size, uint64_t from, uint64_t bytes)
{
    return from <= size && bytes <= size - from ? XXH3_64bits(data + from, bytes) : 0;
}

static void put_right(uint8_t *data, size_t size)
{
    sx_packed_header header;
    if (size < SX_PACKED_HEADER_BYTES)
        return;
    memcpy(&header, data, sizeof header);
    memcpy(header.magic, SX_PACKED_MAGIC, sizeof header.magic);
    uint64_t floats = header.kind == SX_PACKING_PCA      ? ((uint64_t)header.width + 1) * header.dimensions
                      : header.kind == SX_PACKING_BINARY ? header.dimensions
                                                         : 0;
    header.file_bytes = size;
    header.packing_sum = sum_of(data, size, SX_PACKED_HEADER_BYTES, floats * sizeof(float));
    header.rows_sum = sum_of(data, size, header.rows_offset, header.rows % 65536 * (header.row_bytes % 65536));
    header.ids_sum = sum_of(data, size, header.ids_offset, header.rows % 65536 * sizeof(int64_t));
    header.header_sum = XXH3_64bits(&header, offsetof(sx_packed_header, header_sum));
    memcpy(data, &header, sizeof header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return try_with_checksums(data, size, try_file, put_right);
}
