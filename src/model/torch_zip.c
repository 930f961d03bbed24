/* torch_zip.c - reading the central directory of a zip archive, zip64 included, without trusting a byte of it.
 *
 * Format: PKWARE's APPNOTE.TXT, sections 4.3 and 4.5. PyTorch stores entries uncompressed, so that tensors can be mapped; only
 * such entries are taken. Checksums are not compared: what matters is that every range lies within the file.
 */
#include "torch_zip.h"

#include "../base/error.h"
#include "../base/little_endian.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    END_SIGNATURE = 0x06054b50, END_BYTES = 22, COMMENT_MAX = 65535,
    END64_SIGNATURE = 0x06064b50, END64_BYTES = 56, LOCATOR_SIGNATURE = 0x07064b50, LOCATOR_BYTES = 20,
    ENTRY_SIGNATURE = 0x02014b50, ENTRY_BYTES = 46, LOCAL_SIGNATURE = 0x04034b50, LOCAL_BYTES = 30,
    EXTRA_ZIP64 = 1, FLAG_ENCRYPTED = 1
};

typedef struct reader {
    const unsigned char *data;
    size_t length;
    const char *path;
    sx_error *error;
} reader;

static sx_status broken(const reader *r, const char *what, uint64_t place)
{
    return sx_fail(r->error, SX_E_FORMAT, "%s: %s at byte %" PRIu64 ", the archive having %zu (truncated?)", r->path, what,
                   place, r->length);
}

/* The bytes [place, place + size) or NULL. */
static const unsigned char *range(const reader *r, uint64_t place, uint64_t size)
{
    return place <= r->length && size <= r->length - place ? r->data + place : NULL;
}

typedef struct directory {
    uint64_t entries, bytes, place;
} directory;

/* The end record is the last thing in the file but for a comment of its stated length. */
static sx_status find_directory(const reader *r, directory *found)
{
    size_t at = r->length, lowest = r->length > END_BYTES + COMMENT_MAX ? r->length - END_BYTES - COMMENT_MAX : 0;
    const unsigned char *end = NULL;
    for (at = r->length < END_BYTES ? 0 : r->length - END_BYTES + 1; at-- > lowest && !end;)
        if (sx_little_endian(r->data + at, 4) == END_SIGNATURE && sx_little_endian(r->data + at + 20, 2) == r->length - at - END_BYTES)
            end = r->data + at;
    if (!end)
        return sx_fail(r->error, SX_E_FORMAT, "%s: a zip archive without its directory at the end of %zu bytes (truncated?)",
                       r->path, r->length);
    *found = (directory){sx_little_endian(end + 10, 2), sx_little_endian(end + 12, 4), sx_little_endian(end + 16, 4)};
    if (found->entries != UINT16_MAX && found->bytes != UINT32_MAX && found->place != UINT32_MAX)
        return SX_OK;
    size_t end_at = (size_t)(end - r->data);
    const unsigned char *locator = end_at < LOCATOR_BYTES ? NULL : end - LOCATOR_BYTES;
    if (!locator || sx_little_endian(locator, 4) != LOCATOR_SIGNATURE)
        return broken(r, "no zip64 locator", end_at);
    uint64_t place = sx_little_endian(locator + 8, 8);
    const unsigned char *end64 = range(r, place, END64_BYTES);
    if (!end64 || sx_little_endian(end64, 4) != END64_SIGNATURE)
        return broken(r, "no zip64 end record", place);
    *found = (directory){sx_little_endian(end64 + 32, 8), sx_little_endian(end64 + 40, 8), sx_little_endian(end64 + 48, 8)};
    return SX_OK;
}

/* Fields of 0xffffffff are in the zip64 extra field, in this order. */
static bool read_zip64(const unsigned char *extra, size_t length, uint64_t *size, uint64_t *stored, uint64_t *place)
{
    uint64_t *fields[] = {size, stored, place};
    while (length >= 4) {
        size_t bytes = (size_t)sx_little_endian(extra + 2, 2);
        if (bytes > length - 4)
            return false;
        if (sx_little_endian(extra, 2) == EXTRA_ZIP64) {
            const unsigned char *at = extra + 4;
            size_t left = bytes;
            for (int i = 0; i < 3; i++) {
                if (*fields[i] != UINT32_MAX)
                    continue;
                if (left < 8)
                    return false;
                *fields[i] = sx_little_endian(at, 8);
                at += 8;
                left -= 8;
            }
            return true;
        }
        extra += 4 + bytes;
        length -= 4 + bytes;
    }
    return *size != UINT32_MAX && *stored != UINT32_MAX && *place != UINT32_MAX;
}

static sx_status read_entry(const reader *r, const unsigned char *at, size_t left, sx_zip_entry *entry, size_t *used)
{
    if (left < ENTRY_BYTES || sx_little_endian(at, 4) != ENTRY_SIGNATURE)
        return broken(r, "no directory entry", (uint64_t)(at - r->data));
    size_t name = (size_t)sx_little_endian(at + 28, 2), extra = (size_t)sx_little_endian(at + 30, 2), comment = (size_t)sx_little_endian(at + 32, 2);
    *used = ENTRY_BYTES + name + extra + comment;
    if (left < *used)
        return broken(r, "a directory entry cut off", (uint64_t)(at - r->data));
    entry->name = (sx_text){(const char *)at + ENTRY_BYTES, name};
    uint64_t stored = sx_little_endian(at + 20, 4), size = sx_little_endian(at + 24, 4), place = sx_little_endian(at + 42, 4);
    if (!read_zip64(at + ENTRY_BYTES + name, extra, &size, &stored, &place))
        return broken(r, "a directory entry without its zip64 sizes", (uint64_t)(at - r->data));
    if (sx_little_endian(at + 8, 2) & FLAG_ENCRYPTED || sx_little_endian(at + 10, 2) != 0)
        return sx_fail(r->error, SX_E_UNSUPPORTED, "%s: entry %.*s is %s; only stored entries are read", r->path, (int)name,
                       entry->name.data, sx_little_endian(at + 8, 2) & FLAG_ENCRYPTED ? "encrypted" : "compressed");
    if (stored != size)
        return sx_fail(r->error, SX_E_FORMAT, "%s: entry %.*s is stored in %" PRIu64 " bytes but has %" PRIu64, r->path,
                       (int)name, entry->name.data, stored, size);
    const unsigned char *local = range(r, place, LOCAL_BYTES);
    if (!local || sx_little_endian(local, 4) != LOCAL_SIGNATURE)
        return broken(r, "no local header", place);
    uint64_t data = place + LOCAL_BYTES + sx_little_endian(local + 26, 2) + sx_little_endian(local + 28, 2);
    entry->data = range(r, data, size);
    if (!entry->data)
        return sx_fail(r->error, SX_E_FORMAT,
                       "%s: entry %.*s takes %" PRIu64 " bytes from byte %" PRIu64 ", but the file has only %zu", r->path,
                       (int)name, entry->name.data, size, data, r->length);
    entry->bytes = (size_t)size;
    return SX_OK;
}

static int compare_texts(sx_text a, sx_text b)
{
    size_t common = a.length < b.length ? a.length : b.length;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

static int compare_entries(const void *a, const void *b)
{
    return compare_texts(((const sx_zip_entry *)a)->name, ((const sx_zip_entry *)b)->name);
}

sx_status sx_zip_read(const unsigned char *data, size_t length, const char *path, sx_arena *arena, sx_zip *zip,
                      sx_error *error) {
    const reader r = {data, length, path, error};
    directory where = {0};
    sx_status status = find_directory(&r, &where);
    if (status)
        return status;
    const unsigned char *at = range(&r, where.place, where.bytes);
    if (!at)
        return broken(&r, "a directory that lies outside", where.place);
    if (where.entries > where.bytes / ENTRY_BYTES)
        return sx_fail(error, SX_E_FORMAT, "%s: a directory of %" PRIu64 " bytes cannot hold %" PRIu64 " entries", path,
                       where.bytes, where.entries);
    size_t left = (size_t)where.bytes;
    zip->count = (size_t)where.entries;
    zip->entries = sx_arena_alloc(arena, zip->count * sizeof *zip->entries);
    if (!zip->entries)
        return sx_fail_nomem(error, zip->count * sizeof *zip->entries);
    for (size_t i = 0; i < zip->count; i++) {
        size_t used = 0;
        status = read_entry(&r, at, left, &zip->entries[i], &used);
        if (status)
            return status;
        at += used;
        left -= used;
    }
    if (left)
        return sx_fail(error, SX_E_FORMAT, "%s: %zu bytes are left behind the %zu entries of the directory", path, left,
                       zip->count);
    qsort(zip->entries, zip->count, sizeof *zip->entries, compare_entries);
    for (size_t i = 1; i < zip->count; i++)
        if (compare_entries(&zip->entries[i - 1], &zip->entries[i]) == 0)
            return sx_fail(error, SX_E_FORMAT, "%s: entry %.*s is there twice", path, (int)zip->entries[i].name.length,
                           zip->entries[i].name.data);
    return SX_OK;
}

const sx_zip_entry *sx_zip_find(const sx_zip *zip, sx_text prefix, sx_text name)
{
    size_t low = 0, high = zip->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        sx_text here = zip->entries[middle].name;
        sx_text begin = {here.data, here.length < prefix.length ? here.length : prefix.length};
        int order = compare_texts(begin, prefix);
        if (order == 0)
            order = compare_texts((sx_text){here.data + prefix.length, here.length - prefix.length}, name);
        if (order == 0)
            return &zip->entries[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
