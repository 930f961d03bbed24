/* hash.c - SHA-256 of memory and of files, the latter remembered by what identifies the file's state. */
#include "hash.h"

#include "error.h"
#include "file.h"
#include "memory.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The one-block functions of OpenSSL 3 are marked deprecated in favour of EVP, which allocates and can fail; these cannot. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

void sx_sha256_of_two(const void *first, size_t first_length, const void *second, size_t second_length, sx_sha256 *hash)
{
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, first, first_length);
    SHA256_Update(&context, second, second_length);
    SHA256_Final(hash->bytes, &context);
}

void sx_sha256_of(const void *data, size_t length, sx_sha256 *hash)
{
    sx_sha256_of_two(data, length, "", 0, hash);
}

void sx_sha256_hex(const sx_sha256 *hash, char hex[SX_SHA256_HEX])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < SX_SHA256_BYTES; i++) {
        hex[2 * i] = digits[hash->bytes[i] >> 4];
        hex[2 * i + 1] = digits[hash->bytes[i] & 15];
    }
    hex[2 * SX_SHA256_BYTES] = '\0';
}

static int digit_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

sx_status sx_sha256_from_hex(const char *hex, sx_sha256 *hash)
{
    if (strlen(hex) != 2 * SX_SHA256_BYTES)
        return SX_E_FORMAT;
    for (int i = 0; i < SX_SHA256_BYTES; i++) {
        int high = digit_value(hex[2 * i]), low = digit_value(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return SX_E_FORMAT;
        hash->bytes[i] = (unsigned char)(high << 4 | low);
    }
    return SX_OK;
}

static void state_line(const struct stat *status, char *line, size_t capacity)
{
    snprintf(line, capacity, "%llu %llu %lld %lld.%09ld %lld.%09ld", (unsigned long long)status->st_dev,
             (unsigned long long)status->st_ino, (long long)status->st_size, (long long)status->st_mtim.tv_sec,
             status->st_mtim.tv_nsec, (long long)status->st_ctim.tv_sec, status->st_ctim.tv_nsec);
}

/* The remembered line is the state, a space and the hash; anything else is no memory. */
static bool recall(const char *note, const char *state, sx_sha256 *hash)
{
    char *data;
    size_t length;
    if (sx_file_read(note, 1024, &data, &length, NULL, NULL))
        return false;
    size_t prefix = strlen(state);
    bool known = length == prefix + 1 + 2 * SX_SHA256_BYTES && memcmp(data, state, prefix) == 0 && data[prefix] == ' ' &&
                 sx_sha256_from_hex(data + prefix + 1, hash) == SX_OK;
    free(data);
    return known;
}

sx_status sx_file_sha256(const char *path, const char *hash_folder, sx_sha256 *hash, sx_error *error)
{
    sx_file_map map;
    sx_status status = sx_file_map_open(path, &map, error);
    if (status)
        return status;
    char state[160], name[64], line[320], hex[SX_SHA256_HEX];
    state_line(&map.status, state, sizeof state);
    snprintf(name, sizeof name, "sha256-%llu-%llu", (unsigned long long)map.status.st_dev,
             (unsigned long long)map.status.st_ino);
    char *note = hash_folder ? sx_path_join(hash_folder, name) : NULL;
    if (!note || !recall(note, state, hash)) {
        sx_sha256_of(map.data, map.length, hash);
        sx_sha256_hex(hash, hex);
        snprintf(line, sizeof line, "%s %s", state, hex);
        /* A memory that cannot be kept costs time at the next start and nothing else. */
        if (note && sx_make_folders(hash_folder, NULL) == SX_OK)
            (void)sx_file_write_atomic(note, line, strlen(line), NULL);
    }
    free(note);
    sx_file_map_close(&map);
    return SX_OK;
}
