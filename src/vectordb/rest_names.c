/* rest_names.c - collections and records under names that a server takes: as they are where it takes them, else by a hash. */
#include "rest_records.h"

#include "../base/code_point.h"
#include "../base/error.h"
#include "../base/hash.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

enum { HASH_DIGITS = 32, SHA1_BYTES = 20, UUID_BYTES = 16 };

bool sx_rest_is_utf8(const char *text)
{
    size_t length = strlen(text);
    for (size_t at = 0; at < length;) {
        sx_code_point point = sx_utf8_decode(text + at, length - at);
        if (!point.valid)
            return false;
        at += point.length;
    }
    return true;
}

bool sx_rest_is_word(const char *text, size_t least, size_t most, const char *others)
{
    size_t length = strlen(text);
    for (const char *at = text; *at; at++)
        if (!((*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9') || strchr(others, *at)))
            return false;
    return length >= least && length <= most;
}

sx_status sx_rest_server_name(const char *shown, const char *collection, bool (*plain)(const char *name), const char *prefix,
                              char name[SX_REST_NAME_SIZE], sx_error *error)
{
    if (!collection || !*collection)
        return sx_fail(error, SX_E_INVALID, "%s: the collection has no name", shown);
    if (strlen(collection) > SX_REST_LONGEST_NAME || !sx_rest_is_utf8(collection))
        return sx_fail(error, SX_E_INVALID, "%s: the name of a collection is up to %d bytes of UTF-8: %.80s", shown,
                       SX_REST_LONGEST_NAME, collection);
    if (plain(collection) && strncmp(collection, prefix, strlen(prefix)) != 0) {
        snprintf(name, SX_REST_NAME_SIZE, "%s", collection);
        return SX_OK;
    }
    sx_sha256 hash;
    char digits[SX_SHA256_HEX];
    sx_sha256_of(collection, strlen(collection), &hash);
    sx_sha256_hex(&hash, digits);
    snprintf(name, SX_REST_NAME_SIZE, "%s%.*s", prefix, HASH_DIGITS, digits);
    return SX_OK;
}

sx_status sx_rest_uuid(const char *id, char uuid[SX_REST_UUID_SIZE], sx_error *error)
{
    /* 6ba7b811-9dad-11d1-80b4-00c04fd430c8, the namespace of URLs (RFC 9562, appendix C) */
    static const unsigned char namespace_bytes[UUID_BYTES] = {0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1,
                                                              0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8};
    unsigned char sum[SHA1_BYTES];
    sx_buffer bytes = {0};
    sx_buffer_append(&bytes, namespace_bytes, sizeof namespace_bytes);
    sx_buffer_append_string(&bytes, "sextant:");
    bool made = sx_buffer_append_string(&bytes, id) && EVP_Digest(bytes.data, bytes.length, sum, NULL, EVP_sha1(), NULL) == 1;
    sx_buffer_clear(&bytes);
    if (!made)
        return sx_fail(error, SX_E_NOMEM, "no memory for the UUID of %s", id);
    sum[6] = (unsigned char)((sum[6] & 0x0f) | 0x50);
    sum[8] = (unsigned char)((sum[8] & 0x3f) | 0x80);
    char *to = uuid;
    for (int i = 0; i < UUID_BYTES; i++)
        to += sprintf(to, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", sum[i]);
    return SX_OK;
}
