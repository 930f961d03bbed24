/* packing.c - rows of floats in fewer bytes: halves, 8-bit codes, sign bits, principal components, first dimensions.
 *
 * Signs are taken of what is left when the mean is taken off: model vectors share a direction, whose signs would say nothing.
 * The share of differing bits h of two such rows estimates their angle, pi h (Charikar 2002), so cos(pi h) is a score like the
 * others. */
#include "packing.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../kern/half.h"
#include "../kern/kernels.h"
#include "codes.h"
#include "exact.h"
#include "pca.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {"f16", "int8", "binary", "pca", "dims"};

static size_t words_of(uint32_t dimensions)
{
    return ((size_t)dimensions + 63) / 64;
}

sx_status sx_packing_parse(const char *text, uint32_t dimensions, sx_packing *packing, sx_error *error)
{
    *packing = (sx_packing){.dimensions = dimensions, .width = dimensions, .retained = 1};
    for (int i = SX_PACKING_F16; i <= SX_PACKING_BINARY; i++)
        if (strcmp(text, kind_names[i]) == 0) {
            packing->kind = (sx_packing_kind)i;
            return SX_OK;
        }
    for (int i = SX_PACKING_PCA; i <= SX_PACKING_DIMS; i++) {
        size_t length = strlen(kind_names[i]);
        char *end;
        if (strncmp(text, kind_names[i], length) != 0 || text[length] != ':' || text[length + 1] < '0' || text[length + 1] > '9')
            continue;
        unsigned long width = strtoul(text + length + 1, &end, 10);
        if (*end)
            break;
        if (width < 1 || width >= dimensions)
            return sx_fail(error, SX_E_INVALID, "compression \"%s\": the vectors have %u dimensions; 1 to %u can be kept", text,
                           dimensions, dimensions - 1);
        packing->kind = (sx_packing_kind)i;
        packing->width = (uint32_t)width;
        return SX_OK;
    }
    return sx_fail(error, SX_E_INVALID, "compression \"%s\": there are f16, int8, binary, pca:N and dims:N", text);
}

void sx_packing_name(const sx_packing *packing, char name[32])
{
    if (packing->kind >= SX_PACKING_PCA)
        snprintf(name, 32, "%s:%u", kind_names[packing->kind], packing->width);
    else
        snprintf(name, 32, "%s", kind_names[packing->kind]);
}

void sx_packing_clear(sx_packing *packing)
{
    free(packing->mean);
    free(packing->matrix);
    *packing = (sx_packing){0};
}

sx_status sx_packing_fit(sx_packing *packing, const float *rows, size_t count, sx_error *error)
{
    size_t dimensions = packing->dimensions, floats;
    if (packing->kind != SX_PACKING_BINARY && packing->kind != SX_PACKING_PCA)
        return SX_OK;
    if (!count)
        return sx_fail(error, SX_E_INVALID, "compression: there is no vector to fit it to");
    packing->mean = sx_calloc(dimensions, sizeof(float));
    if (!packing->mean)
        return sx_fail_nomem(error, dimensions * sizeof(float));
    if (packing->kind == SX_PACKING_PCA) {
        packing->matrix = sx_multiply(packing->width, dimensions, &floats) ? sx_calloc(floats, sizeof(float)) : NULL;
        return packing->matrix ? sx_pca_fit(rows, count, dimensions, packing->width, packing->mean, packing->matrix,
                                            &packing->retained, error)
                               : sx_fail_nomem(error, dimensions * packing->width * sizeof(float));
    }
    for (size_t i = 0; i < dimensions; i++) {
        double sum = 0;
        for (size_t r = 0; r < count; r++)
            sum += (double)rows[r * dimensions + i];
        packing->mean[i] = (float)(sum / (double)count);
    }
    return SX_OK;
}

size_t sx_packing_row_bytes(const sx_packing *packing)
{
    switch (packing->kind) {
    case SX_PACKING_INT8: return sx_code_dimensions(packing->dimensions) + sizeof(float);
    case SX_PACKING_BINARY: return words_of(packing->dimensions) * sizeof(uint64_t);
    default: return packing->width * sizeof(uint16_t);
    }
}

size_t sx_packing_candidates(sx_packing_kind kind, size_t k)
{
    static const size_t factors[] = {2, 2, 10, 4, 8};
    return k > SIZE_MAX / 16 ? k : k * factors[kind] + 16;
}

static void project(const sx_packing *packing, const float *row, bool centred, float *out)
{
    for (uint32_t i = 0; i < packing->width; i++) {
        const float *component = packing->matrix + (size_t)i * packing->dimensions;
        double sum = 0;
        for (uint32_t j = 0; j < packing->dimensions; j++)
            sum += (double)component[j] * (centred ? (double)row[j] - (double)packing->mean[j] : (double)row[j]);
        out[i] = (float)sum;
    }
}

static void take_first(const sx_packing *packing, const float *row, float *out)
{
    memcpy(out, row, packing->width * sizeof *out);
    if (packing->kind == SX_PACKING_DIMS)
        sx_exact_normalize(out, packing->width);
}

static void take_signs(const sx_packing *packing, const float *row, void *bits)
{
    uint64_t word = 0;
    unsigned char *out = bits;
    for (uint32_t i = 0; i < packing->dimensions; i++) {
        word |= (uint64_t)(row[i] > packing->mean[i]) << (i % 64);
        if (i % 64 == 63 || i + 1 == packing->dimensions) {
            memcpy(out, &word, sizeof word);
            out += sizeof word;
            word = 0;
        }
    }
}

void sx_packing_row(const sx_packing *packing, const float *row, float *scratch, void *packed)
{
    if (packing->kind == SX_PACKING_BINARY) {
        take_signs(packing, row, packed);
        return;
    }
    if (packing->kind == SX_PACKING_INT8) {
        size_t padded = sx_code_dimensions(packing->dimensions);
        sx_row_code code = sx_row_encode(row, packing->dimensions, padded, packed);
        memcpy((char *)packed + padded, &code.scale, sizeof code.scale);
        return;
    }
    if (packing->kind == SX_PACKING_PCA)
        project(packing, row, true, scratch);
    else
        take_first(packing, row, scratch);
    sx_kernels_for(SX_CPU_C)->to_f16(scratch, packed, packing->width);
}

/* ---- Unpacking ---- */

/* What is off the mean has the same size in every dimension, so that the row is about of length 1. */
static void unpack_signs(const sx_packing *packing, const unsigned char *bits, float *row)
{
    double square = 1;
    for (uint32_t i = 0; i < packing->dimensions; i++)
        square -= (double)packing->mean[i] * (double)packing->mean[i];
    float step = square > 0 ? (float)sqrt(square / packing->dimensions) : 0.0f;
    for (uint32_t i = 0; i < packing->dimensions; i++) {
        uint64_t word;
        memcpy(&word, bits + i / 64 * sizeof word, sizeof word);
        row[i] = packing->mean[i] + (word >> i % 64 & 1 ? step : -step);
    }
}

static void unpack_components(const sx_packing *packing, const unsigned char *halves, float *row)
{
    memcpy(row, packing->mean, packing->dimensions * sizeof *row);
    for (uint32_t i = 0; i < packing->width; i++) {
        const float *component = packing->matrix + (size_t)i * packing->dimensions;
        uint16_t half;
        memcpy(&half, halves + i * sizeof half, sizeof half);
        float part = float_of_half(half);
        for (uint32_t j = 0; j < packing->dimensions; j++)
            row[j] += part * component[j];
    }
}

static void unpack_codes(const sx_packing *packing, const unsigned char *codes, float *row)
{
    float scale;
    memcpy(&scale, codes + sx_code_dimensions(packing->dimensions), sizeof scale);
    for (uint32_t i = 0; i < packing->dimensions; i++)
        row[i] = scale * (float)((int)codes[i] - 128);
}

void sx_packing_unpack(const sx_packing *packing, const void *packed, float *row)
{
    switch (packing->kind) {
    case SX_PACKING_BINARY: unpack_signs(packing, packed, row); return;
    case SX_PACKING_PCA: unpack_components(packing, packed, row); return;
    case SX_PACKING_INT8: unpack_codes(packing, packed, row); return;
    default:
        memset(row, 0, packing->dimensions * sizeof *row);
        sx_kernels_for(SX_CPU_C)->from_f16(packed, row, packing->width);
    }
}

/* ---- Queries ---- */

void sx_packed_query_close(sx_packed_query *query)
{
    free(query->floats);
    free(query->numbers);
    free(query->bits);
    free(query->sums);
    *query = (sx_packed_query){0};
}

sx_status sx_packed_query_open(sx_packed_query *query, const sx_packing *packing, const sx_dot_kernels *kernels,
                               const float *floats,
                               sx_error *error)
{
    *query = (sx_packed_query){.packing = packing, .kernels = kernels};
    size_t dimensions = packing->dimensions;
    query->floats = sx_calloc(dimensions, sizeof(float));
    query->numbers = packing->kind == SX_PACKING_INT8 ? sx_calloc(sx_code_query_size(dimensions), sizeof(int16_t)) : NULL;
    query->sums = packing->kind == SX_PACKING_INT8 ? sx_calloc(SX_PACKED_BLOCK, sizeof(int32_t)) : NULL;
    query->bits = packing->kind == SX_PACKING_BINARY ? sx_calloc(words_of(packing->dimensions), sizeof(uint64_t)) : NULL;
    bool complete = packing->kind == SX_PACKING_INT8     ? query->numbers && query->sums
                    : packing->kind == SX_PACKING_BINARY ? query->bits != NULL
                                                         : true;
    if (!query->floats || !complete) {
        sx_packed_query_close(query);
        return sx_fail_nomem(error, dimensions * sizeof(float));
    }
    switch (packing->kind) {
    case SX_PACKING_INT8: query->step = sx_code_query_make(floats, dimensions, query->numbers); break;
    case SX_PACKING_BINARY: take_signs(packing, floats, query->bits); break;
    case SX_PACKING_PCA:
        project(packing, floats, false, query->floats);
        for (size_t i = 0; i < dimensions; i++)
            query->offset += floats[i] * packing->mean[i];
        break;
    default: take_first(packing, floats, query->floats);
    }
    return SX_OK;
}

/* Differing bits of the query and each row. */
static inline void count_bits(const uint64_t *query, const unsigned char *rows, size_t words, size_t count, float *out)
{
    for (size_t r = 0; r < count; r++) {
        unsigned differing = 0;
        for (size_t i = 0; i < words; i++) {
            uint64_t word;
            memcpy(&word, rows + (r * words + i) * sizeof word, sizeof word);
            differing += (unsigned)__builtin_popcountll(word ^ query[i]);
        }
        out[r] = (float)differing;
    }
}

#if defined(__x86_64__)
/* The same with the processor's own instruction, which the oldest ones do not have. */
__attribute__((target("popcnt"))) static void count_bits_popcnt(const uint64_t *query, const unsigned char *rows, size_t words,
                                                                size_t count, float *out)
{
    for (size_t r = 0; r < count; r++) {
        uint64_t differing = 0;
        for (size_t i = 0; i < words; i++) {
            uint64_t word;
            memcpy(&word, rows + (r * words + i) * sizeof word, sizeof word);
            differing += (uint64_t)__builtin_popcountll(word ^ query[i]);
        }
        out[r] = (float)differing;
    }
}
#endif

static void score_bits(const sx_packed_query *query, const unsigned char *rows, size_t count, float *scores)
{
    size_t words = words_of(query->packing->dimensions);
#if defined(__x86_64__)
    if (__builtin_cpu_supports("popcnt"))
        count_bits_popcnt(query->bits, rows, words, count, scores);
    else
#endif
        count_bits(query->bits, rows, words, count, scores);
    const double angle = 3.14159265358979323846 / query->packing->dimensions;
    for (size_t r = 0; r < count; r++)
        scores[r] = (float)cos(angle * (double)scores[r]);
}

void sx_packed_scores(const sx_packed_query *query, const void *rows, size_t count, float *scores)
{
    const sx_packing *packing = query->packing;
    size_t bytes = sx_packing_row_bytes(packing);
    if (packing->kind == SX_PACKING_BINARY) {
        score_bits(query, rows, count, scores);
    } else if (packing->kind == SX_PACKING_INT8) {
        size_t padded = sx_code_dimensions(packing->dimensions);
        query->kernels->codes(&(sx_code_job){.queries = query->numbers, .query_count = 1, .rows = rows, .count = count,
                                             .stride = bytes, .dimensions = packing->dimensions, .out = query->sums});
        for (size_t r = 0; r < count; r++) {
            float scale;
            memcpy(&scale, (const char *)rows + r * bytes + padded, sizeof scale);
            scores[r] = (float)((double)scale * query->step * query->sums[r]);
        }
    } else {
        query->kernels->f16(&(sx_dot_job){.queries = query->floats, .query_count = 1, .query_stride = packing->width,
                            .rows = rows,
                                          .count = count, .stride = packing->width, .dimensions = packing->width, .out = scores});
        for (size_t r = 0; r < count && query->offset != 0; r++)
            scores[r] += query->offset;
    }
}
