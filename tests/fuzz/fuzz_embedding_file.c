/* fuzz_embedding_file.c - files of vectors of any bytes: JSON of every kind, .npy, compressed or not, read to their end or refused.
 *
 * The first byte chooses what the bytes are taken for: as they are, compressed here first (so that the readers behind see them), or
 * the array beside a metadata.json. */
#include "base/compressed.h"
#include "store/embedding_file.h"
#include "store/npy_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int make_file(const void *data, size_t size, char path[64])
{
    int descriptor = memfd_create("vectors", 0);
    if (descriptor < 0)
        return -1;
    snprintf(path, 64, "/proc/self/fd/%d", descriptor);
    if (write(descriptor, data, size) == (ssize_t)size)
        return descriptor;
    close(descriptor);
    return -1;
}

static void read_elements(const char *path)
{
    sx_embedding_file *file;
    sx_embedding_item item = {0};
    bool more = true;
    if (sx_embedding_file_open(path, &file, NULL))
        return;
    while (!sx_embedding_file_next(file, &item, &more, NULL) && more)
        for (size_t i = 0; i < item.vector.length; i++)
            if (item.vector.length != sx_embedding_file_head(file)->dimensions || !isfinite(item.vector.data[i]))
                abort();
    sx_embedding_item_clear(&item);
    sx_embedding_file_close(file);
}

static void read_rows(const char *path)
{
    sx_npy_reader reader;
    if (sx_npy_open(&reader, path, NULL))
        return;
    float *row = malloc(reader.dimensions * sizeof *row);
    while (row && reader.row < reader.rows && !sx_npy_next(&reader, row, NULL))
        ;
    (void)sx_npy_end(&reader, NULL);
    sx_npy_close(&reader);
    free(row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    sx_buffer packed = {0};
    sx_compressor *compressor;
    int descriptor;
    if (!size)
        return 0;
    unsigned what = data[0] % 4;
    data++;
    size--;
    if (what == 2 && !sx_compressor_open(data[-1] & 4 ? SX_GZIP : SX_ZSTD, &compressor, NULL)) {
        (void)sx_compressor_add(compressor, data, size, true, &packed, NULL);
        sx_compressor_close(compressor);
        descriptor = make_file(packed.data, packed.length, path);
    } else {
        descriptor = make_file(data, size, path);
    }
    if (descriptor >= 0) {
        if (what == 1)
            read_rows(path);
        else
            read_elements(path);
        close(descriptor);
    }
    sx_buffer_clear(&packed);
    return 0;
}
