/* archive_parts.c - the parts of a document that is a zip file, by libarchive.
 *
 * Nothing is ever written to disk, so a name that leads outside of the archive can do no harm; it is refused all the same,
 * since whoever wrote it meant harm. The zip's directory at its end is required: a file cut short is called damaged. A small
 * file that unpacks to gigabytes ends at the limit on all parts together. */
#include "archive_parts.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PARTS_MOST = 100000 };
static const size_t unpacked_most = (size_t)256 << 20;

static bool leads_outside(const char *name)
{
    if (name[0] == '/' || name[0] == '\\' || (name[0] && name[1] == ':'))
        return true;
    for (const char *at = name; at; at = strpbrk(at, "/\\"), at += at != NULL)
        if (at[0] == '.' && at[1] == '.' && (!at[2] || at[2] == '/' || at[2] == '\\'))
            return true;
    return false;
}

static bool is_wanted(const char *name, const char *endings)
{
    size_t length = strlen(name);
    for (const char *at = endings; *at;) {
        size_t size = strcspn(at, " ");
        if (length >= size && !strncasecmp(name + length - size, at, size))
            return true;
        at += size + (at[size] == ' ');
    }
    return false;
}

/* What libarchive says, without its codes. */
static sx_status damaged(struct archive *reader, const char *what, const char *part, sx_error *error)
{
    const char *said = archive_error_string(reader);
    return sx_fail(error, SX_E_UNSUPPORTED, "damaged %s: %s%s%s", what, part, *part ? ": " : "", said ? said : "not a zip file");
}

static sx_status read_part(struct archive *reader, const char *name, const char *what, size_t *total, sx_archive *archive,
                           sx_error *error)
{
    sx_buffer data = {.maximum = unpacked_most + 65536};
    sx_status status = SX_OK;
    for (;;) {
        char *room = sx_buffer_room(&data, 65536);
        la_ssize_t got = room ? archive_read_data(reader, room, 65536) : 0;
        if (!room) {
            status = sx_fail_nomem(error, data.length);
            goto out;
        }
        if (got < 0) {
            status = damaged(reader, what, name, error);
            goto out;
        }
        if (got == 0)
            break;
        data.length += (size_t)got;
        *total += (size_t)got;
        if (*total > unpacked_most) {
            status = sx_fail(error, SX_E_LIMIT, "%s that unpacks to more than %zu MiB", what, unpacked_most >> 20);
            goto out;
        }
    }
    sx_buffer_append(&data, "", 0);
    sx_archive_part part = {sx_strdup(name), NULL, data.length};
    if (!part.name || !sx_reserve((void **)&archive->parts, &archive->capacity, archive->count + 1, sizeof *archive->parts) ||
        !(part.data = sx_buffer_take(&data))) {
        free(part.name);
        status = sx_fail_nomem(error, data.length);
        goto out;
    }
    archive->parts[archive->count++] = part;
out:
    sx_buffer_clear(&data);
    return status;
}

sx_status sx_archive_read(const void *data, size_t length, const char *endings, const char *what, sx_archive *archive,
                          sx_error *error)
{
    sx_status status = SX_OK;
    size_t total = 0, seen = 0;
    struct archive_entry *entry;
    struct archive *reader = archive_read_new();
    *archive = (sx_archive){0};
    if (!reader)
        return sx_fail_nomem(error, sizeof entry);
    if (archive_read_support_format_zip_seekable(reader) != ARCHIVE_OK ||
        archive_read_open_memory(reader, data, length) != ARCHIVE_OK) {
        status = damaged(reader, what, "", error);
        goto out;
    }
    while (!status) {
        int code = archive_read_next_header(reader, &entry);
        if (code == ARCHIVE_EOF)
            break;
        if (code < ARCHIVE_WARN) {
            status = damaged(reader, what, "", error);
            break;
        }
        const char *name = archive_entry_pathname(entry);
        if (!name)
            name = archive_entry_pathname_utf8(entry);
        if (!name || ++seen > PARTS_MOST)
            continue;
        if (leads_outside(name)) {
            if (!archive->refused[0])
                snprintf(archive->refused, sizeof archive->refused, "%s", name);
            continue;
        }
        if (archive_entry_filetype(entry) == AE_IFDIR || !is_wanted(name, endings))
            continue;
        if (archive_entry_is_encrypted(entry))
            status = sx_fail(error, SX_E_UNSUPPORTED, "encrypted %s: it needs a password", what);
        else
            status = read_part(reader, name, what, &total, archive, error);
    }
out:
    archive_read_free(reader);
    if (status)
        sx_archive_clear(archive);
    return status;
}

const sx_archive_part *sx_archive_find(const sx_archive *archive, const char *name)
{
    for (size_t i = 0; i < archive->count; i++)
        if (!strcmp(archive->parts[i].name, name))
            return &archive->parts[i];
    return NULL;
}

void sx_archive_clear(sx_archive *archive)
{
    for (size_t i = 0; i < archive->count; i++) {
        free(archive->parts[i].name);
        free(archive->parts[i].data);
    }
    free(archive->parts);
    archive->parts = NULL;
    archive->count = archive->capacity = 0;
}
