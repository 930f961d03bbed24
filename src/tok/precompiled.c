/* precompiled.c - the character map that SentencePiece compiles into its models (normalizer/builder.cc).
 *
 * Little-endian: the bytes of the trie (u32), the trie as a double array of 32-bit units after Yata's Darts-clone, then
 * replacements, each ended by a NUL. A unit holds in bits 0-7 (and 31) its label, in bit 8 whether a value hangs on it, in
 * bit 9 whether its offset is in units of 256, in bits 10-30 the offset; a value is 31 bits, the place of a replacement.
 *
 * What is looked up is what the tokenizers library looks up (normalizers/precompiled.rs), which is not what SentencePiece
 * does: an extended grapheme cluster of fewer than six bytes first, else each of its characters, and of several entries
 * that begin it the shortest counts, as if it were the whole. */
#include "precompiled.h"

#include "../base/base64.h"
#include "../base/error.h"
#include "../base/memory.h"
#include "../text/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { LONGEST_CLUSTER = 5, ASCII = 128, HEAD = 4 };

struct sx_precompiled {
    sx_sha256 hash;
    uint32_t *units;
    size_t unit_count;
    char *blob; /* all bytes; the replacements are its tail */
    const char *replacements;
    size_t replacements_length;
    bool touches[ASCII]; /* an ASCII character by itself is replaced */
};

/* RFC 4648, section 4, with its padding; `to` has room for length / 4 * 3. */
static bool decode_base64(sx_text text, char *to, size_t *count)
{
    size_t padding = 0;
    if (text.length && !(text.length % 4))
        padding = text.data[text.length - 1] != '=' ? 0 : text.data[text.length - 2] != '=' ? 1 : 2;
    *count = text.length / 4 * 3 - padding;
    return !(text.length % 4) && sx_base64_decode(text.data, text.length, to, *count);
}

static uint32_t read_u32(const char *bytes)
{
    const unsigned char *b = (const unsigned char *)bytes;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static uint32_t unit_offset(uint32_t unit)
{
    return (unit >> 10) << ((unit & 0x200) >> 6);
}

/* The replacement for the shortest beginning of a key that has one. A trie that leads out of its array ends there. */
static bool find(const sx_precompiled *map, const char *key, size_t length, sx_text *replacement)
{
    uint32_t node = unit_offset(map->units[0]);
    for (size_t i = 0; i < length && key[i]; i++) {
        uint32_t byte = (unsigned char)key[i];
        node ^= byte;
        if (node >= map->unit_count)
            return false;
        uint32_t unit = map->units[node];
        if ((unit & 0x800000ffu) != byte)
            return false;
        node ^= unit_offset(unit);
        if (!(unit & 0x100))
            continue;
        size_t place = node < map->unit_count ? map->units[node] & 0x7fffffffu : SIZE_MAX;
        if (place > map->replacements_length)
            return false;
        const char *text = map->replacements + place; /* the blob ends with a NUL of our own */
        if (((unsigned char)*text & 0xc0) == 0x80)
            return false;
        *replacement = (sx_text){text, strlen(text)};
        return true;
    }
    return false;
}

static sx_status read_map(sx_precompiled *map, size_t length, const char *path, sx_error *error)
{
    if (length < HEAD)
        return sx_fail(error, SX_E_FORMAT, "%s: precompiled_charsmap has %zu bytes; its head alone takes %d", path, length, HEAD);
    size_t trie = read_u32(map->blob);
    if (trie < 4 || trie % 4 || trie > length - HEAD)
        return sx_fail(error, SX_E_FORMAT, "%s: the trie of precompiled_charsmap has %zu bytes, and %zu are there", path, trie,
                       length - HEAD);
    map->unit_count = trie / 4;
    map->units = sx_calloc(map->unit_count, sizeof *map->units);
    if (!map->units)
        return sx_fail_nomem(error, trie);
    for (size_t i = 0; i < map->unit_count; i++)
        map->units[i] = read_u32(map->blob + HEAD + 4 * i);
    map->replacements = map->blob + HEAD + trie;
    map->replacements_length = length - HEAD - trie;
    size_t fault;
    if (!sx_utf8_valid(map->replacements, map->replacements_length, &fault))
        return sx_fail(error, SX_E_FORMAT, "%s: the replacements of precompiled_charsmap are no UTF-8 at byte %zu", path, fault);
    for (int byte = 1; byte < ASCII; byte++) {
        char key = (char)byte;
        sx_text replacement;
        map->touches[byte] = find(map, &key, 1, &replacement);
    }
    return SX_OK;
}

sx_status sx_precompiled_open(sx_text base64, const char *path, sx_precompiled **out, sx_error *error)
{
    *out = NULL;
    sx_status status = SX_OK;
    size_t length = 0;
    sx_precompiled *map = sx_calloc(1, sizeof *map);
    if (map)
        map->blob = sx_calloc(base64.length / 4 + 1, 3);
    if (!map || !map->blob) {
        status = sx_fail_nomem(error, base64.length);
    } else if (!decode_base64(base64, map->blob, &length)) {
        status = sx_fail(error, SX_E_FORMAT, "%s: precompiled_charsmap is no base64", path);
    } else {
        sx_sha256_of(map->blob, length, &map->hash);
        status = read_map(map, length, path, error);
    }
    if (status == SX_OK)
        *out = map;
    else
        sx_precompiled_close(map);
    return status;
}

void sx_precompiled_close(sx_precompiled *map)
{
    if (!map)
        return;
    free(map->units);
    free(map->blob);
    free(map);
}

const sx_sha256 *sx_precompiled_hash(const sx_precompiled *map)
{
    return &map->hash;
}

/* Writes the replacement of [begin, end) of the text: its k-th character comes from the k-th there, or from the last. */
static void replace(sx_rewrite *rewrite, size_t begin, size_t end, sx_text replacement)
{
    sx_code_point old = {0};
    for (size_t at = 0; at < replacement.length;) {
        sx_code_point point = sx_utf8_decode(replacement.data + at, replacement.length - at);
        at += point.length;
        if (begin + old.length < end) {
            begin += old.length;
            old = sx_working_text_at(rewrite->from, begin);
        }
        sx_rewrite_put(rewrite, point.code, begin, begin + old.length);
    }
    rewrite->at = end;
}

static void rewrite_cluster(const sx_precompiled *map, sx_rewrite *rewrite, size_t end)
{
    const char *bytes = rewrite->from->bytes;
    sx_text replacement;
    if (end - rewrite->at <= LONGEST_CLUSTER && find(map, bytes + rewrite->at, end - rewrite->at, &replacement)) {
        replace(rewrite, rewrite->at, end, replacement);
        return;
    }
    while (rewrite->at < end) {
        size_t next = rewrite->at + sx_working_text_at(rewrite->from, rewrite->at).length;
        if (find(map, bytes + rewrite->at, next - rewrite->at, &replacement))
            replace(rewrite, rewrite->at, next, replacement);
        else
            sx_rewrite_copy(rewrite, next);
    }
}

/* ASCII characters before another one are clusters by themselves, but for CR LF. */
static size_t untouched_end(const sx_precompiled *map, const sx_working_text *text, size_t at)
{
    const unsigned char *bytes = (const unsigned char *)text->bytes;
    for (; at < text->length && bytes[at] < ASCII && !map->touches[bytes[at]]; at++)
        if (at + 1 < text->length && (bytes[at + 1] >= ASCII || (bytes[at] == '\r' && bytes[at + 1] == '\n')))
            break;
    return at;
}

void sx_precompiled_rewrite(const sx_precompiled *map, sx_rewrite *rewrite)
{
    const sx_working_text *from = rewrite->from;
    while (rewrite->at < from->length && !rewrite->to->no_memory) {
        size_t end = untouched_end(map, from, rewrite->at);
        sx_rewrite_copy(rewrite, end);
        if (end == from->length)
            break;
        sx_code_point point = sx_working_text_at(from, end);
        utf8proc_int32_t state = 0;
        for (end += point.length; end < from->length; end += point.length) {
            sx_code_point next = sx_working_text_at(from, end);
            if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)point.code, (utf8proc_int32_t)next.code, &state))
                break;
            point = next;
        }
        rewrite_cluster(map, rewrite, end);
    }
}
