/* npy_file.c - NumPy's .npy files: a magic, a version, a Python literal that describes the array, and its bytes
 * (numpy.lib.format, versions 1.0 to 3.0). */
#include "npy_file.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../kern/half.h"
#include "../vec/segment.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_HEADER = 65536 };

void sx_npy_make_header(char header[SX_NPY_HEADER], uint64_t rows, uint32_t dimensions)
{
    memset(header, ' ', SX_NPY_HEADER);
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10);
    int wrote = snprintf(header + 10, SX_NPY_HEADER - 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (%llu, %u), }",
                         (unsigned long long)rows, dimensions);
    header[10 + wrote] = ' ';
    header[SX_NPY_HEADER - 1] = '\n';
}

static sx_status read_exactly(sx_npy_reader *reader, void *data, size_t length, const char *what, sx_error *error)
{
    size_t have = 0, got = 1;
    while (have < length && got) {
        sx_status status = sx_source_read(reader->source, (char *)data + have, length - have, &got, error);
        if (status)
            return status;
        have += got;
    }
    if (have == length)
        return SX_OK;
    return sx_fail(error, SX_E_FORMAT, "%s: the file ends inside %s %llu: %zu of its %zu bytes are there",
                   sx_source_name(reader->source), what, (unsigned long long)reader->row, have, length);
}

/* The value behind 'key': in the literal, NULL when there is none. */
static const char *find_value(const char *text, const char *key)
{
    char quoted[32];
    snprintf(quoted, sizeof quoted, "'%s'", key);
    const char *at = strstr(text, quoted);
    if (!at) {
        snprintf(quoted, sizeof quoted, "\"%s\"", key);
        at = strstr(text, quoted);
    }
    if (!at)
        return NULL;
    at += strlen(quoted);
    at += strspn(at, " ");
    return *at == ':' ? at + 1 + strspn(at + 1, " ") : NULL;
}

static bool read_size(const char **at, uint64_t *value)
{
    *at += strspn(*at, " ");
    if (!isdigit((unsigned char)**at))
        return false;
    for (*value = 0; isdigit((unsigned char)**at); ++*at) {
        if (*value > (UINT64_MAX >> 8) / 10)
            return false;
        *value = *value * 10 + (uint64_t)(**at - '0');
    }
    *at += strspn(*at, " ");
    return true;
}

static sx_status read_description(sx_npy_reader *reader, const char *text, sx_error *error)
{
    const char *name = sx_source_name(reader->source);
    const char *type = find_value(text, "descr"), *order = find_value(text, "fortran_order"), *shape = find_value(text, "shape");
    if (!type || !order || !shape)
        return sx_fail(error, SX_E_FORMAT, "%s: byte 10: the header lacks descr, fortran_order or shape", name);
    static const struct {
        const char *name;
        unsigned width;
    } types[] = {{"<f4", 4}, {"<f2", 2}, {"<f8", 8}, {"=f4", 4}, {"=f2", 2}, {"=f8", 8}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if ((*type == '\'' || *type == '"') && strncmp(type + 1, types[i].name, 3) == 0 && type[4] == *type)
            reader->width = types[i].width;
    if (!reader->width)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: numbers of type %.*s: <f2, <f4 and <f8 can be read", name,
                       (int)strcspn(type, ",}"), type);
    if (strncmp(order, "False", 5) != 0)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: the array is in Fortran's order: numpy.ascontiguousarray gives C order",
                       name);
    uint64_t columns = 0;
    const char *at = shape + 1;
    bool matrix = *shape == '(' && read_size(&at, &reader->rows) && *at++ == ',' && read_size(&at, &columns);
    at += matrix && *at == ',';
    at += strspn(at, " ");
    if (!matrix || *at != ')')
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: shape %.*s: a matrix (rows, dimensions) is expected", name,
                       (int)strcspn(shape, "}\n"), shape);
    if (columns < 1 || columns > SX_SEGMENT_DIMENSIONS)
        return sx_fail(error, SX_E_FORMAT, "%s: vectors of %llu dimensions: 1 to %d can be", name, (unsigned long long)columns,
                       SX_SEGMENT_DIMENSIONS);
    reader->dimensions = (uint32_t)columns;
    return SX_OK;
}

sx_status sx_npy_open(sx_npy_reader *reader, const char *path, sx_error *error)
{
    *reader = (sx_npy_reader){0};
    unsigned char start[12];
    char *text = NULL;
    sx_status status = sx_source_open(path, &reader->source, error);
    if (!status)
        status = read_exactly(reader, start, 10, "the header of array", error);
    if (status)
        goto out;
    if (memcmp(start, "\x93NUMPY", 6) != 0) {
        status = sx_fail(error, SX_E_FORMAT, "%s: byte 0: no .npy file", path);
        goto out;
    }
    if (start[6] < 1 || start[6] > 3) {
        status = sx_fail(error, SX_E_UNSUPPORTED, "%s: byte 6: version %u.%u: 1.0 to 3.0 can be read", path, start[6], start[7]);
        goto out;
    }
    size_t length = start[8] | (size_t)start[9] << 8;
    if (start[6] > 1) {
        if ((status = read_exactly(reader, start + 10, 2, "the header of array", error)))
            goto out;
        length |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
    }
    if (length > LONGEST_HEADER) {
        status = sx_fail(error, SX_E_FORMAT, "%s: byte 8: a header of %zu bytes, at most %d can be", path, length,
                         LONGEST_HEADER);
        goto out;
    }
    text = sx_calloc(length + 1, 1);
    if (!text)
        status = sx_fail_nomem(error, length);
    if (!status)
        status = read_exactly(reader, text, length, "the header of array", error);
    if (!status)
        status = read_description(reader, text, error);
    if (!status && !(reader->raw = sx_calloc(reader->dimensions, reader->width)))
        status = sx_fail_nomem(error, (size_t)reader->dimensions * reader->width);
out:
    free(text);
    if (status)
        sx_npy_close(reader);
    return status;
}

sx_status sx_npy_next(sx_npy_reader *reader, float *vector, sx_error *error)
{
    sx_status status = read_exactly(reader, reader->raw, (size_t)reader->dimensions * reader->width, "row", error);
    if (status)
        return status;
    for (uint32_t i = 0; i < reader->dimensions; i++) {
        const unsigned char *at = reader->raw + (size_t)i * reader->width;
        if (reader->width == 4) {
            memcpy(&vector[i], at, 4);
        } else if (reader->width == 2) {
            uint16_t half;
            memcpy(&half, at, 2);
            vector[i] = float_of_half(half);
        } else {
            double wide;
            memcpy(&wide, at, 8);
            vector[i] = (float)wide;
        }
        if (!isfinite(vector[i]))
            return sx_fail(error, SX_E_FORMAT, "%s: row %llu: component %u is %f, which no vector can have",
                           sx_source_name(reader->source), (unsigned long long)reader->row, i, (double)vector[i]);
    }
    reader->row++;
    return SX_OK;
}

sx_status sx_npy_end(sx_npy_reader *reader, sx_error *error)
{
    char byte;
    size_t got;
    sx_status status = sx_source_read(reader->source, &byte, 1, &got, error);
    if (!status && got)
        status = sx_fail(error, SX_E_FORMAT, "%s: something follows the last of its %llu rows", sx_source_name(reader->source),
                         (unsigned long long)reader->rows);
    return status;
}

void sx_npy_close(sx_npy_reader *reader)
{
    sx_source_close(reader->source);
    free(reader->raw);
    *reader = (sx_npy_reader){0};
}
