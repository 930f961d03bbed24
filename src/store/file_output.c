/* file_output.c - writing a large file piece by piece and putting it in place when whole; reading one line by line. */
#include "file_output.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 1 << 20 };

static sx_status open_file(sx_output *output, const char *path, sx_error *error)
{
    uint32_t random = 0;
    (void)!getrandom(&random, sizeof random, GRND_NONBLOCK);
    struct stat there;
    /* A device or a pipe cannot be replaced, only written to: renaming over /dev/null would put a file in its place. */
    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode)) {
        if (S_ISDIR(there.st_mode))
            return sx_fail(error, SX_E_IO, "%s: is a folder, not a file", path);
        output->descriptor = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (output->descriptor < 0)
            return sx_fail_errno(error, errno, "%s: cannot be opened for writing", path);
        output->open = true;
        output->path = sx_strdup(path);
        return output->path ? SX_OK : sx_fail_nomem(error, strlen(path));
    }
    output->path = sx_strdup(path);
    if (!output->path || asprintf(&output->temporary, "%s.tmp-%ld-%x", path, (long)getpid(), random) < 0) {
        output->temporary = NULL;
        return sx_fail_nomem(error, strlen(path) + 32);
    }
    output->descriptor = open(output->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (output->descriptor < 0)
        return sx_fail_errno(error, errno, "%s: cannot be created", output->temporary);
    output->open = true;
    return SX_OK;
}

sx_status sx_output_open(sx_output *output, const char *path, sx_error *error)
{
    *output = (sx_output){.descriptor = STDOUT_FILENO};
    if (strcmp(path, "-") == 0)
        return SX_OK;
    sx_compression compression = sx_compression_of(path);
    sx_status status = compression != SX_PLAIN ? sx_compressor_open(compression, &output->compressor, error) : SX_OK;
    if (!status)
        status = open_file(output, path, error);
    if (status)
        sx_output_close(output);
    return status;
}

static sx_status write_out(sx_output *output, bool end, sx_error *error)
{
    const char *name = output->path ? output->path : "standard output";
    if (output->buffer.failed)
        return sx_fail(error, SX_E_NOMEM, "%s: memory for a piece of it could not be had", name);
    sx_buffer *bytes = &output->buffer;
    sx_status status = SX_OK;
    if (output->compressor) {
        bytes = &output->packed;
        status = sx_compressor_add(output->compressor, output->buffer.data, output->buffer.length, end, bytes, error);
    }
    if (!status)
        status = sx_write_all(output->descriptor, bytes->data, bytes->length, name, error);
    sx_buffer_reset(&output->packed);
    sx_buffer_reset(&output->buffer);
    return status;
}

sx_status sx_output_flow(sx_output *output, sx_error *error)
{
    return output->buffer.failed || output->buffer.length >= PIECE ? write_out(output, false, error) : SX_OK;
}

sx_status sx_output_finish(sx_output *output, sx_error *error)
{
    sx_status status = write_out(output, true, error);
    if (status || !output->open)
        return status;
    if (output->temporary && fsync(output->descriptor) != 0)
        status = sx_fail_errno(error, errno, "%s: cannot be flushed to disk", output->temporary);
    if (close(output->descriptor) != 0 && !status)
        status = sx_fail_errno(error, errno, "%s: cannot be closed", output->path);
    output->open = false;
    if (!output->temporary)
        return status;
    if (!status && rename(output->temporary, output->path) != 0)
        status = sx_fail_errno(error, errno, "%s: cannot be put in place", output->path);
    if (status)
        (void)unlink(output->temporary);
    return status;
}

void sx_output_close(sx_output *output)
{
    if (output->open) {
        close(output->descriptor);
        if (output->temporary)
            (void)unlink(output->temporary);
    }
    free(output->path);
    free(output->temporary);
    sx_compressor_close(output->compressor);
    sx_buffer_clear(&output->packed);
    sx_buffer_clear(&output->buffer);
    *output = (sx_output){.descriptor = -1};
}

/* ---- Lines ---- */

sx_status sx_lines_open(sx_lines *lines, const char *path, sx_error *error)
{
    *lines = (sx_lines){0};
    sx_status status = sx_source_open(path, &lines->source, error);
    if (!status)
        lines->path = sx_source_name(lines->source);
    return status;
}

static sx_status read_piece(sx_lines *lines, sx_error *error)
{
    if (lines->start) { /* what was given out is done with */
        memmove(lines->buffer.data, lines->buffer.data + lines->start, lines->buffer.length - lines->start);
        lines->buffer.length -= lines->start;
        lines->start = 0;
    }
    char *room = sx_buffer_room(&lines->buffer, PIECE);
    if (!room)
        return sx_fail(error, SX_E_LIMIT, "%s: line %llu is longer than 1 GiB or than memory", lines->path,
                       (unsigned long long)lines->number + 1);
    size_t got;
    sx_status status = sx_source_read(lines->source, room, PIECE, &got, error);
    lines->buffer.length += got;
    lines->ended = !status && got == 0;
    return status;
}

static bool is_blank(sx_text line)
{
    for (size_t i = 0; i < line.length; i++)
        if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r')
            return false;
    return true;
}

sx_status sx_lines_next(sx_lines *lines, sx_text *line, sx_error *error)
{
    size_t searched = 0; /* bytes behind start known to hold no line end */
    *line = (sx_text){0};
    for (;;) {
        size_t left = lines->buffer.length - lines->start;
        const char *from = left ? lines->buffer.data + lines->start : NULL;
        const char *end = left > searched ? memchr(from + searched, '\n', left - searched) : NULL;
        if (!end && !lines->ended) {
            searched = left;
            sx_status status = read_piece(lines, error);
            if (status)
                return status;
            continue;
        }
        if (!left)
            return SX_OK;
        size_t length = end ? (size_t)(end - from) : left;
        lines->start += length + (end != NULL);
        lines->number++;
        searched = 0;
        *line = (sx_text){from, length};
        if (!is_blank(*line))
            return SX_OK;
        *line = (sx_text){0};
    }
}

void sx_lines_close(sx_lines *lines)
{
    sx_source_close(lines->source);
    sx_buffer_clear(&lines->buffer);
    *lines = (sx_lines){0};
}
