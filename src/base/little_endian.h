/* little_endian.h - unsigned numbers of a file, least byte first, at any alignment. */
#ifndef SX_BASE_LITTLE_ENDIAN_H
#define SX_BASE_LITTLE_ENDIAN_H

#include <stdint.h>

/* size: 0 to 8 bytes. */
static inline uint64_t sx_little_endian(const unsigned char *bytes, unsigned size)
{
    uint64_t value = 0;
    for (unsigned i = size; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

#endif
