/* output.c - where results go: standard output, or a file that appears only when it is complete. */
#include "output.h"

#include "../base/compressed.h"
#include "../base/error.h"
#include "../base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *name_of(const sx_cli_output *output)
{
    return output->path ? output->path : "standard output";
}

sx_status sx_cli_output_open(sx_cli_output *output, const char *path, bool whole, sx_error *error)
{
    *output = (sx_cli_output){0};
    if (!path || strcmp(path, "-") == 0) {
        output->spooled = whole;
        output->file = whole ? tmpfile() : stdout;
        return output->file ? SX_OK : sx_fail_errno(error, errno, "temporary file: cannot be created");
    }
    struct stat there;
    /* A device or a pipe cannot be replaced, only written to. */
    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode)) {
        if (S_ISDIR(there.st_mode))
            return sx_fail(error, SX_E_IO, "%s: is a folder, not a file", path);
        output->path = sx_strdup(path);
        output->file = fopen(path, "we");
        if (output->file && output->path)
            return SX_OK;
        sx_status status = sx_fail_errno(error, errno, "%s: cannot be opened for writing", path);
        sx_cli_output_abandon(output);
        return status;
    }
    output->path = sx_strdup(path);
    if (!output->path || asprintf(&output->temporary, "%s.tmp-%ld", path, (long)getpid()) < 0) {
        free(output->path);
        *output = (sx_cli_output){0};
        return sx_fail_nomem(error, strlen(path));
    }
    int fd = open(output->temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    output->file = fd >= 0 ? fdopen(fd, "w+") : NULL;
    if (!output->file) {
        sx_status status = sx_fail_errno(error, errno, "%s: cannot be created", output->temporary);
        if (fd >= 0)
            close(fd);
        sx_cli_output_abandon(output);
        return status;
    }
    sx_cli_temporary_add(output->temporary);
    return SX_OK;
}

sx_status sx_cli_output_write(sx_cli_output *output, const void *data, size_t length, sx_error *error)
{
    if (fwrite(data, 1, length, output->file) == length)
        return SX_OK;
    return sx_fail_errno(error, errno, "%s: cannot be written", name_of(output));
}

sx_status sx_cli_output_patch(sx_cli_output *output, const void *data, size_t length, sx_error *error)
{
    if (fseeko(output->file, 0, SEEK_SET) == 0 && fwrite(data, 1, length, output->file) == length &&
        fseeko(output->file, 0, SEEK_END) == 0)
        return SX_OK;
    return sx_fail_errno(error, errno, "%s: cannot be written", name_of(output));
}

static sx_status copy_spool(FILE *from, sx_error *error)
{
    char block[65536];
    size_t got;
    if (fflush(from) != 0 || fseeko(from, 0, SEEK_SET) != 0)
        return sx_fail_errno(error, errno, "temporary file: cannot be read back");
    while ((got = fread(block, 1, sizeof block, from)) > 0)
        if (fwrite(block, 1, got, stdout) != got)
            return sx_fail_errno(error, errno, "standard output: cannot be written");
    return ferror(from) ? sx_fail(error, SX_E_IO, "temporary file: cannot be read back") : SX_OK;
}

/* Puts a compressed copy in the temporary's place. The bytes are compressed when they are all there, since the first may be
 * written over until then. */
static sx_status pack(sx_cli_output *output, sx_compression compression, sx_error *error)
{
    sx_compressor *compressor = NULL;
    sx_cli_output packed = {0};
    sx_buffer bytes = {0};
    char block[65536];
    size_t got = 1;
    sx_status status = asprintf(&packed.temporary, "%s.packed", output->temporary) < 0 ? sx_fail_nomem(error, 256) : SX_OK;
    if (status) {
        packed.temporary = NULL;
        return status;
    }
    int descriptor = open(packed.temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    packed.file = descriptor >= 0 ? fdopen(descriptor, "w") : NULL;
    if (!packed.file) {
        status = sx_fail_errno(error, errno, "%s: cannot be created", packed.temporary);
        if (descriptor >= 0)
            close(descriptor);
    }
    sx_cli_temporary_add(packed.temporary);
    if (!status)
        status = sx_compressor_open(compression, &compressor, error);
    if (!status && (fflush(output->file) != 0 || fseeko(output->file, 0, SEEK_SET) != 0))
        status = sx_fail_errno(error, errno, "%s: cannot be written", output->temporary);
    while (!status && got) {
        got = fread(block, 1, sizeof block, output->file);
        if (ferror(output->file))
            status = sx_fail_errno(error, errno, "%s: cannot be read back", output->temporary);
        else
            status = sx_compressor_add(compressor, block, got, got == 0, &bytes, error);
        if (!status && bytes.length)
            status = sx_cli_output_write(&packed, bytes.data, bytes.length, error);
        sx_buffer_reset(&bytes);
    }
    sx_compressor_close(compressor);
    sx_buffer_clear(&bytes);
    if (!status) { /* what was not compressed goes */
        FILE *file = output->file;
        char *temporary = output->temporary;
        output->file = packed.file;
        output->temporary = packed.temporary;
        packed.file = file;
        packed.temporary = temporary;
    }
    sx_cli_output_abandon(&packed);
    return status;
}

sx_status sx_cli_output_commit(sx_cli_output *output, sx_error *error)
{
    sx_status status = SX_OK;
    if (output->spooled) {
        status = copy_spool(output->file, error);
    } else if (!output->path) {
        if (fflush(stdout) != 0)
            status = sx_fail_errno(error, errno, "standard output: cannot be written");
    } else {
        sx_compression compression = output->temporary ? sx_compression_of(output->path) : SX_PLAIN;
        if (compression != SX_PLAIN && (status = pack(output, compression, error))) {
            sx_cli_output_abandon(output);
            return status;
        }
        bool good = fflush(output->file) == 0 && (!output->temporary || fsync(fileno(output->file)) == 0);
        int why = errno;
        good = fclose(output->file) == 0 && good;
        output->file = NULL;
        if (!good)
            status = sx_fail_errno(error, why, "%s: cannot be written", name_of(output));
        else if (output->temporary && rename(output->temporary, output->path) != 0)
            status = sx_fail_errno(error, errno, "%s: cannot be put in place", output->path);
        if (!status && output->temporary) {
            sx_cli_temporary_drop(output->temporary);
            free(output->temporary);
            output->temporary = NULL;
        }
    }
    sx_cli_output_abandon(output);
    return status;
}

void sx_cli_output_abandon(sx_cli_output *output)
{
    if (output->file && output->file != stdout)
        fclose(output->file);
    if (output->temporary) {
        sx_cli_temporary_drop(output->temporary);
        unlink(output->temporary);
    }
    free(output->temporary);
    free(output->path);
    *output = (sx_cli_output){0};
}
