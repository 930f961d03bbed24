/* compressed.c - bytes of files that may be compressed: gzip (RFC 1952) by zlib, Zstandard (RFC 8878) by libzstd.
 *
 * Reading decides by the first bytes, so a name says nothing false unnoticed. gzip members and zstd frames may follow one another
 * (what `cat a.gz b.gz` makes); zeros behind the last gzip member are padding of tapes and are passed over, anything else there
 * is an error: it would be lost. Memory is bounded: a zstd window of more than 128 MiB is refused. */
#include "compressed.h"

#include "error.h"
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { PIECE = 1 << 17, BOMB_RATIO = 1000 };
static const uint64_t bomb_from = (uint64_t)1 << 30;

struct sx_source {
    char *name;
    int descriptor;
    bool close, ended; /* ended: of the file */
    sx_compression compression;
    bool inside;       /* a member or frame has begun and not ended */
    bool padding;      /* behind the last gzip member: only zeros may follow */
    z_stream gzip;
    bool gzip_open;
    ZSTD_DStream *zstd;
    unsigned char *input; /* PIECE bytes; [at, length) is not used yet */
    size_t at, length;
    uint64_t taken, given; /* bytes of the file, bytes made of them */
    sx_error problem;      /* code SX_OK: none */
};

sx_compression sx_compression_of(const char *path)
{
    size_t length = strlen(path);
    if (length > 3 && strcmp(path + length - 3, ".gz") == 0)
        return SX_GZIP;
    return length > 4 && strcmp(path + length - 4, ".zst") == 0 ? SX_ZSTD : SX_PLAIN;
}

size_t sx_compression_stem(const char *path)
{
    static const size_t suffixes[] = {0, 3, 4};
    return strlen(path) - suffixes[sx_compression_of(path)];
}

/* Room is in input[length..PIECE). */
static sx_status read_more(sx_source *source, sx_error *error)
{
    ssize_t got;
    do
        got = read(source->descriptor, source->input + source->length, PIECE - source->length);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return sx_fail_errno(error, errno, "%s: cannot be read", source->name);
    source->length += (size_t)got;
    source->taken += (uint64_t)got;
    source->ended = got == 0;
    return SX_OK;
}

/* Skippable frames begin with 0x184D2A50 to 5F. */
static bool is_zstd(const unsigned char *data)
{
    return memcmp(data, "\x28\xb5\x2f\xfd", 4) == 0 || ((data[0] & 0xf0) == 0x50 && memcmp(data + 1, "\x2a\x4d\x18", 3) == 0);
}

/* Reads on only while the bytes so far could be a beginning: a terminal must not be waited for. */
static sx_status detect(sx_source *source, sx_error *error)
{
    sx_status status = SX_OK;
    while (!status && !source->ended && source->length < 4) {
        unsigned char first = source->length ? source->input[0] : 0;
        if (source->length && first != 0x1f && first != 0x28 && (first & 0xf0) != 0x50)
            break;
        status = read_more(source, error);
    }
    if (status)
        return status;
    if (source->length >= 3 && memcmp(source->input, "\x1f\x8b\x08", 3) == 0)
        source->compression = SX_GZIP;
    else if (source->length >= 4 && is_zstd(source->input))
        source->compression = SX_ZSTD;
    sx_compression named = sx_compression_of(source->name);
    if (named != SX_PLAIN && named != source->compression)
        return sx_fail(error, SX_E_FORMAT, "%s: byte 0: named %s, but does not begin as %s does", source->name,
                       named == SX_GZIP ? ".gz" : ".zst", named == SX_GZIP ? "gzip" : "Zstandard");
    if (source->compression == SX_GZIP) {
        if (inflateInit2(&source->gzip, 15 + 16) != Z_OK)
            return sx_fail_nomem(error, 1 << 16);
        source->gzip_open = source->inside = true;
    } else if (source->compression == SX_ZSTD) {
        source->zstd = ZSTD_createDStream();
        if (!source->zstd)
            return sx_fail_nomem(error, 1 << 20);
        source->inside = true;
    }
    return SX_OK;
}

sx_status sx_source_open(const char *path, sx_source **out, sx_error *error)
{
    *out = NULL;
    sx_source *source = sx_calloc(1, sizeof *source);
    if (!source)
        return sx_fail_nomem(error, sizeof *source);
    bool standard = strcmp(path, "-") == 0;
    source->descriptor = standard ? STDIN_FILENO : -1;
    source->name = sx_strdup(standard ? "standard input" : path);
    source->input = malloc(PIECE);
    sx_status status = source->name && source->input ? SX_OK : sx_fail_nomem(error, PIECE);
    if (!status && !standard) {
        struct stat there;
        source->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        source->close = source->descriptor >= 0;
        if (!source->close)
            status = sx_fail_errno(error, errno, "%s: cannot be opened", path);
        else if (fstat(source->descriptor, &there) == 0 && S_ISDIR(there.st_mode))
            status = sx_fail(error, SX_E_FORMAT, "%s: is a folder, not a file", path);
    }
    if (!status)
        status = detect(source, error);
    if (status)
        sx_source_close(source);
    else
        *out = source;
    return status;
}

void sx_source_close(sx_source *source)
{
    if (!source)
        return;
    if (source->gzip_open)
        inflateEnd(&source->gzip);
    ZSTD_freeDStream(source->zstd);
    if (source->close)
        close(source->descriptor);
    free(source->input);
    free(source->name);
    free(source);
}

const char *sx_source_name(const sx_source *source)
{
    return source->name;
}

static sx_status fill(sx_source *source, sx_error *error)
{
    if (source->at < source->length || source->ended)
        return SX_OK;
    source->at = source->length = 0;
    return read_more(source, error);
}

/* The place in the file of the next byte to be used. */
static unsigned long long place(const sx_source *source)
{
    return source->taken - (source->length - source->at);
}

static sx_status broken_off(sx_source *source, sx_error *error)
{
    return sx_fail(error, SX_E_FORMAT, "%s: byte %llu: the file ends inside a %s", source->name, place(source),
                   source->compression == SX_GZIP ? "gzip member" : "Zstandard frame");
}

/* Behind a gzip member: *more when another one begins. */
static sx_status next_member(sx_source *source, bool *more, sx_error *error)
{
    *more = false;
    for (;;) {
        sx_status status = fill(source, error);
        if (status || source->at == source->length)
            return status;
        unsigned char byte = source->input[source->at];
        if (byte == 0) {
            source->padding = true;
            source->at++;
            continue;
        }
        if (byte != 0x1f || source->padding)
            return sx_fail(error, SX_E_FORMAT,
                           "%s: byte %llu: what stands behind the last gzip member is none (it begins with %02x)",
                           source->name, place(source), byte);
        if (inflateReset(&source->gzip) != Z_OK)
            return sx_fail(error, SX_E_INTERNAL, "%s: zlib cannot begin again", source->name);
        *more = source->inside = true;
        return SX_OK;
    }
}

static sx_status read_gzip(sx_source *source, void *data, size_t capacity, size_t *got, sx_error *error)
{
    z_stream *gzip = &source->gzip;
    gzip->next_out = data;
    gzip->avail_out = capacity > UINT32_MAX ? UINT32_MAX : (uInt)capacity;
    uInt room = gzip->avail_out;
    while (gzip->avail_out == room) {
        bool more;
        sx_status status = source->inside ? fill(source, error) : next_member(source, &more, error);
        if (status || (!source->inside && source->at == source->length))
            return status;
        gzip->next_in = source->input + source->at;
        gzip->avail_in = (uInt)(source->length - source->at);
        int code = inflate(gzip, Z_NO_FLUSH);
        source->at = source->length - gzip->avail_in;
        *got = room - gzip->avail_out;
        if (code == Z_STREAM_END)
            source->inside = false;
        else if (code == Z_BUF_ERROR && source->ended)
            return broken_off(source, error);
        else if (code == Z_MEM_ERROR)
            return sx_fail_nomem(error, 1 << 16);
        else if (code != Z_OK && code != Z_BUF_ERROR)
            return sx_fail(error, SX_E_FORMAT, "%s: byte %llu: damaged gzip data: %s", source->name, place(source),
                           gzip->msg ? gzip->msg : "it asks for a dictionary");
    }
    return SX_OK;
}

static sx_status read_zstd(sx_source *source, void *data, size_t capacity, size_t *got, sx_error *error)
{
    ZSTD_outBuffer out = {data, capacity, 0};
    while (out.pos == 0) {
        sx_status status = fill(source, error);
        if (status)
            return status;
        if (source->at == source->length && !source->inside)
            return SX_OK;
        ZSTD_inBuffer in = {source->input, source->length, source->at};
        size_t code = ZSTD_decompressStream(source->zstd, &out, &in);
        bool moved = in.pos != source->at || out.pos;
        if (ZSTD_isError(code))
            return sx_fail(error, SX_E_FORMAT, "%s: byte %llu: damaged Zstandard data: %s", source->name, place(source),
                           ZSTD_getErrorName(code));
        source->at = in.pos;
        source->inside = code != 0;
        if (!moved && source->ended)
            return broken_off(source, error);
    }
    *got = out.pos;
    return SX_OK;
}

static sx_status read_plain(sx_source *source, void *data, size_t capacity, size_t *got, sx_error *error)
{
    sx_status status = fill(source, error);
    if (status)
        return status;
    size_t there = source->length - source->at;
    *got = there < capacity ? there : capacity;
    memcpy(data, source->input + source->at, *got);
    source->at += *got;
    return SX_OK;
}

sx_status sx_source_read(sx_source *source, void *data, size_t capacity, size_t *got, sx_error *error)
{
    *got = 0;
    if (source->problem.code)
        return sx_source_problem(source, error);
    sx_error *problem = &source->problem;
    sx_status status = !capacity                           ? SX_OK
                       : source->compression == SX_GZIP    ? read_gzip(source, data, capacity, got, problem)
                       : source->compression == SX_ZSTD    ? read_zstd(source, data, capacity, got, problem)
                                                           : read_plain(source, data, capacity, got, problem);
    source->given += *got;
    if (!status && source->compression != SX_PLAIN && source->given > bomb_from && source->given / BOMB_RATIO > source->taken)
        status = sx_fail(problem, SX_E_LIMIT, "%s: %llu bytes have come of %llu, more than a thousand times as many",
                         source->name,
                         (unsigned long long)source->given, (unsigned long long)source->taken);
    if (!status)
        return SX_OK;
    *got = 0;
    problem->code = status;
    return sx_source_problem(source, error);
}

sx_status sx_source_problem(const sx_source *source, sx_error *error)
{
    if (source->problem.code && error)
        *error = source->problem;
    return source->problem.code;
}

static ssize_t read_cookie(void *cookie, char *data, size_t capacity)
{
    size_t got;
    if (!sx_source_read(cookie, data, capacity, &got, NULL))
        return (ssize_t)got;
    errno = EIO;
    return -1;
}

FILE *sx_source_file(sx_source *source)
{
    return fopencookie(source, "r", (cookie_io_functions_t){.read = read_cookie});
}

/* ---- Writing ---- */

struct sx_compressor {
    sx_compression compression;
    z_stream gzip;
    bool gzip_open;
    ZSTD_CStream *zstd;
};

sx_status sx_compressor_open(sx_compression compression, sx_compressor **out, sx_error *error)
{
    *out = NULL;
    sx_compressor *compressor = sx_calloc(1, sizeof *compressor);
    if (!compressor)
        return sx_fail_nomem(error, sizeof *compressor);
    compressor->compression = compression;
    if (compression == SX_GZIP)
        compressor->gzip_open =
            deflateInit2(&compressor->gzip, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    else
        compressor->zstd = ZSTD_createCStream();
    /* A checksum, so that damage shows. */
    if (compressor->zstd && ZSTD_isError(ZSTD_CCtx_setParameter(compressor->zstd, ZSTD_c_checksumFlag, 1))) {
        ZSTD_freeCStream(compressor->zstd);
        compressor->zstd = NULL;
    }
    if (!compressor->gzip_open && !compressor->zstd) {
        free(compressor);
        return sx_fail_nomem(error, 1 << 18);
    }
    *out = compressor;
    return SX_OK;
}

static sx_status add_gzip(z_stream *gzip, const void *data, size_t length, bool end, sx_buffer *out, sx_error *error)
{
    const unsigned char *at = data;
    do {
        uInt piece = length > (1u << 30) ? 1u << 30 : (uInt)length;
        gzip->next_in = (unsigned char *)(uintptr_t)at;
        gzip->avail_in = piece;
        at += piece;
        length -= piece;
        int flush = end && !length ? Z_FINISH : Z_NO_FLUSH, code;
        do {
            char *room = sx_buffer_room(out, PIECE);
            if (!room)
                return sx_fail_nomem(error, PIECE);
            gzip->next_out = (unsigned char *)room;
            gzip->avail_out = PIECE;
            code = deflate(gzip, flush);
            out->length += PIECE - gzip->avail_out;
        } while (gzip->avail_in || (flush == Z_FINISH && code != Z_STREAM_END));
    } while (length);
    return SX_OK;
}

static sx_status add_zstd(ZSTD_CStream *zstd, const void *data, size_t length, bool end, sx_buffer *out, sx_error *error)
{
    ZSTD_inBuffer in = {data, length, 0};
    for (size_t left = 1; left;) {
        char *room = sx_buffer_room(out, PIECE);
        if (!room)
            return sx_fail_nomem(error, PIECE);
        ZSTD_outBuffer piece = {room, PIECE, 0};
        left = ZSTD_compressStream2(zstd, &piece, &in, end ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            return sx_fail(error, SX_E_INTERNAL, "Zstandard: %s", ZSTD_getErrorName(left));
        out->length += piece.pos;
        if (!end)
            left = in.size - in.pos;
    }
    return SX_OK;
}

sx_status sx_compressor_add(sx_compressor *compressor, const void *data, size_t length, bool end, sx_buffer *out, sx_error *error)
{
    return compressor->zstd ? add_zstd(compressor->zstd, data, length, end, out, error)
                            : add_gzip(&compressor->gzip, data, length, end, out, error);
}

void sx_compressor_close(sx_compressor *compressor)
{
    if (!compressor)
        return;
    if (compressor->gzip_open)
        deflateEnd(&compressor->gzip);
    ZSTD_freeCStream(compressor->zstd);
    free(compressor);
}
