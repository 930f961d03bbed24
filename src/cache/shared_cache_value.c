/* shared_cache_value.c - a vector as it lies in a shared cache.
 *
 * The checksum covers the key too: a value that was copied under another key is found out like a damaged one.
 */
#include "shared_cache_internal.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <endian.h>
#include <string.h>

enum { HEADER_BYTES = 16, CHECKSUM_BYTES = 8 };
static const unsigned char magic[4] = {'S', 'x', 'V', '1'};

static void write_u32(unsigned char *at, uint32_t number)
{
    number = htole32(number);
    memcpy(at, &number, sizeof number);
}

static uint32_t read_u32(const unsigned char *at)
{
    uint32_t number;
    memcpy(&number, at, sizeof number);
    return le32toh(number);
}

static uint64_t checksum_of(const sx_sha256 *recipe, const sx_sha256 *hash, const unsigned char *value, size_t length)
{
    unsigned char key[2 * SX_SHA256_BYTES];
    memcpy(key, recipe->bytes, SX_SHA256_BYTES);
    memcpy(key + SX_SHA256_BYTES, hash->bytes, SX_SHA256_BYTES);
    return XXH64(value, length, XXH64(key, sizeof key, 0));
}

size_t sx_shared_value_size(uint32_t dimensions)
{
    return HEADER_BYTES + (size_t)dimensions * sizeof(float) + CHECKSUM_BYTES;
}

void sx_shared_value_write(const sx_sha256 *recipe, const sx_sha256 *hash, uint32_t dimensions, const sx_shared_row *row,
                           const float *vector, unsigned char *value)
{
    size_t covered = sx_shared_value_size(dimensions) - CHECKSUM_BYTES;
    memcpy(value, magic, sizeof magic);
    write_u32(value + 4, dimensions);
    write_u32(value + 8, row->tokens);
    write_u32(value + 12, row->dropped_tokens);
    for (size_t i = 0; i < dimensions; i++) {
        uint32_t bits;
        memcpy(&bits, vector + i, sizeof bits);
        write_u32(value + HEADER_BYTES + i * sizeof bits, bits);
    }
    uint64_t checksum = htole64(checksum_of(recipe, hash, value, covered));
    memcpy(value + covered, &checksum, sizeof checksum);
}

bool sx_shared_value_read(const sx_sha256 *recipe, const sx_sha256 *hash, uint32_t dimensions, const unsigned char *value,
                          size_t length, sx_shared_row *row, float *vector)
{
    size_t covered = sx_shared_value_size(dimensions) - CHECKSUM_BYTES;
    uint64_t checksum;
    if (length != covered + CHECKSUM_BYTES || memcmp(value, magic, sizeof magic) != 0 || read_u32(value + 4) != dimensions)
        return false;
    memcpy(&checksum, value + covered, sizeof checksum);
    if (le64toh(checksum) != checksum_of(recipe, hash, value, covered))
        return false;
    row->tokens = read_u32(value + 8);
    row->dropped_tokens = read_u32(value + 12);
    for (size_t i = 0; i < dimensions; i++) {
        uint32_t bits = read_u32(value + HEADER_BYTES + i * sizeof bits);
        memcpy(vector + i, &bits, sizeof bits);
    }
    return true;
}
