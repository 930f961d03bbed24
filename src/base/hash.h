/* hash.h - SHA-256 (where identity must be safe) through OpenSSL, XXH3-128 (where only change must be noticed). */
#ifndef SX_BASE_HASH_H
#define SX_BASE_HASH_H

#include "sextant.h"

enum { SX_SHA256_BYTES = 32, SX_SHA256_HEX = 65 };

typedef struct sx_sha256 { unsigned char bytes[SX_SHA256_BYTES]; } sx_sha256;

/* FIPS 180-4. Cannot fail on memory. */
void sx_sha256_of(const void *data, size_t length, sx_sha256 *hash);
/* Of `first` followed by `second`, without joining them. */
void sx_sha256_of_two(const void *first, size_t first_length, const void *second, size_t second_length, sx_sha256 *hash);
/* Lower-case hexadecimal with NUL. */
void sx_sha256_hex(const sx_sha256 *hash, char hex[SX_SHA256_HEX]);
/* 64 hexadecimal digits; SX_E_FORMAT otherwise. */
sx_status sx_sha256_from_hex(const char *hex, sx_sha256 *hash);

/* SHA-256 of a file, read once. When hash_folder is not NULL the result is remembered there by device, inode, size and times
 * and not computed again while these stay (mission.md: weights are hashed once, not at each start). */
sx_status sx_file_sha256(const char *path, const char *hash_folder, sx_sha256 *hash, sx_error *error);

#endif
