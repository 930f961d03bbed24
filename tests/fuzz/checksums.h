/* checksums.h - files with checksums as fuzz input: these would stop nearly every mutation at the door, so each input is tried as it
 * is and once more with its checksums put right. */
#ifndef SX_FUZZ_CHECKSUMS_H
#define SX_FUZZ_CHECKSUMS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline int try_with_checksums(const uint8_t *data, size_t size, void (*try_file)(const uint8_t *, size_t),
                                     void (*put_right)(uint8_t *, size_t))
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

#endif
