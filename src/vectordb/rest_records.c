/* rest_records.c - records checked, cut into batches, written as flat properties and read back from pages of an answer.
 *
 * A batch ends before an id that it already holds, so the later of two records with one id is the one that stays, whatever the
 * server does with doubles inside a request.
 */
#include "rest_records.h"

#include "../base/base64.h"
#include "../base/error.h"
#include "../base/json_writer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES_PER_NUMBER = 12, BYTES_PER_RECORD = 256, BATCH_OF_IDS = 1024 };

/* ---- Checks ---- */

static const char *problem_of_metadata(const char *metadata, size_t *position)
{
    sx_json json;
    sx_buffer buffer = {0};
    sx_text key;
    sx_json_begin(&json, metadata, strlen(metadata), "metadata");
    sx_json_object(&json);
    while (sx_json_member(&json, &buffer, &key))
        sx_json_skip(&json);
    sx_json_end(&json);
    sx_buffer_clear(&buffer);
    *position = json.problem_position;
    return json.problem;
}

sx_status sx_rest_check_vector(const char *shown, const float *vector, uint32_t dimensions, sx_error *error)
{
    for (uint32_t i = 0; i < dimensions; i++)
        if (!isfinite(vector[i]))
            return sx_fail(error, SX_E_INVALID, "%s: number %u of the vector is not finite", shown, i);
    return SX_OK;
}

sx_status sx_rest_check_records(const char *shown, const sx_vector_record *records, size_t count, uint32_t dimensions,
                                sx_error *error)
{
    for (size_t i = 0; i < count; i++) {
        const sx_vector_record *record = &records[i];
        size_t position = 0;
        if (!record->id || !*record->id)
            return sx_fail(error, SX_E_INVALID, "%s: record %zu of %zu has no id", shown, i, count);
        if (!sx_rest_is_utf8(record->id))
            return sx_fail(error, SX_E_INVALID, "%s: the id of record %zu is not UTF-8", shown, i);
        if (!record->vector)
            return sx_fail(error, SX_E_INVALID, "%s: record %s has no vector", shown, record->id);
        for (uint32_t d = 0; d < dimensions; d++)
            if (!isfinite(record->vector[d]))
                return sx_fail(error, SX_E_INVALID, "%s: record %s: number %u of its vector is not finite", shown, record->id, d);
        const char *problem = record->metadata ? problem_of_metadata(record->metadata, &position) : NULL;
        if (problem)
            return sx_fail(error, SX_E_INVALID, "%s: record %s: its metadata are no JSON object: byte %zu: %s", shown, record->id,
                           position, problem);
    }
    return SX_OK;
}

/* ---- Batches ---- */

static size_t bytes_of(const sx_vector_record *record, uint32_t dimensions)
{
    size_t metadata = record->metadata ? strlen(record->metadata) : 0;
    size_t text = record->text.length + record->text.length / 4; /* some of it is escaped */
    return BYTES_PER_RECORD + (size_t)BYTES_PER_NUMBER * dimensions + text + 3 * metadata;
}

static bool holds(const sx_vector_record *records, size_t count, const char *id)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(records[i].id, id) == 0)
            return true;
    return false;
}

static size_t end_of_batch(const sx_vector_record *records, size_t count, uint32_t dimensions, size_t most, size_t bytes)
{
    size_t used = bytes_of(&records[0], dimensions), end = 1;
    while (end < count && end < most && end < BATCH_OF_IDS) {
        used += bytes_of(&records[end], dimensions);
        if (used > bytes || holds(records, end, records[end].id))
            break;
        end++;
    }
    return end;
}

static sx_status send_some(const sx_vector_record *records, size_t count, sx_rest_send send, void *user, sx_error *error)
{
    sx_status status = send(user, records, count, error);
    if (status != SX_E_LIMIT || count == 1)
        return status;
    status = send_some(records, count / 2, send, user, error);
    return status ? status : send_some(records + count / 2, count - count / 2, send, user, error);
}

sx_status sx_rest_send_batches(const sx_vector_record *records, size_t count, uint32_t dimensions, size_t most, size_t bytes,
                               sx_rest_send send, void *user, sx_error *error)
{
    sx_status status = SX_OK;
    for (size_t at = 0; !status && at < count;) {
        size_t end = end_of_batch(records + at, count - at, dimensions, most, bytes);
        status = send_some(records + at, end, send, user, error);
        at += end;
    }
    return status;
}

sx_status sx_rest_remove_batches(const char *const *ids, size_t count, size_t most, sx_rest_remove remove, void *user,
                                 uint64_t *removed, sx_error *error)
{
    uint64_t sum = 0;
    sx_status status = SX_OK;
    for (size_t at = 0; !status && at < count; at += most)
        status = remove(user, ids + at, count - at < most ? count - at : most, &sum, error);
    if (removed)
        *removed = sum;
    return status;
}

/* ---- Pages ---- */

void sx_rest_page_clear(sx_rest_page *page)
{
    sx_arena_clear(&page->arena);
    free(page->rows);
    *page = (sx_rest_page){0};
}

sx_rest_row *sx_rest_page_add(sx_rest_page *page)
{
    void *rows = page->rows;
    bool fits = sx_reserve(&rows, &page->capacity, page->count + 1, sizeof *page->rows);
    page->rows = rows;
    if (!fits)
        return NULL;
    page->rows[page->count] = (sx_rest_row){0};
    return &page->rows[page->count++];
}

bool sx_rest_read_string(sx_json *json, sx_rest_page *page, char **text, size_t *length)
{
    sx_buffer buffer = {0};
    sx_text value;
    bool read = sx_json_string(json, &buffer, &value);
    if (read) {
        *text = sx_arena_strndup(&page->arena, value.length ? value.data : "", value.length);
        if (length)
            *length = value.length;
        read = *text ? true : sx_json_reject(json, "no memory for it");
    }
    sx_buffer_clear(&buffer);
    return read;
}

bool sx_rest_read_vector(sx_json *json, sx_rest_page *page, uint32_t dimensions, float **vector)
{
    uint32_t count = 0;
    double number;
    *vector = sx_arena_alloc(&page->arena, (size_t)dimensions * sizeof **vector);
    if (!*vector)
        return sx_json_reject(json, "no memory for it");
    sx_json_array(json);
    while (sx_json_element(json)) {
        if (count == dimensions)
            return sx_json_reject(json, "a vector of more numbers than the collection's have");
        if (!sx_json_number(json, &number))
            return false;
        if (!isfinite((float)number))
            return sx_json_reject(json, "a number too large for a float");
        (*vector)[count++] = (float)number;
    }
    if (!json->problem && count < dimensions)
        return sx_json_reject(json, "a vector of fewer numbers than the collection's have");
    return !json->problem;
}

bool sx_rest_read_properties(sx_json *json, sx_rest_page *page, sx_rest_row *row)
{
    sx_json start = *json;
    sx_buffer name = {0};
    sx_text key, raw;
    bool ours = false, any = false;
    sx_json_object(json);
    while (sx_json_member(json, &name, &key)) {
        char **text = sx_text_is(key, SX_PROPERTY_DOCUMENT)   ? &row->document
                      : sx_text_is(key, SX_PROPERTY_METADATA) ? &row->metadata
                      : sx_text_is(key, SX_PROPERTY_ID)       ? &row->id
                                                              : NULL;
        any = true;
        bool is_text = sx_text_is(key, SX_PROPERTY_TEXT), is_packed = sx_text_is(key, SX_PROPERTY_VECTOR);
        if ((is_text || is_packed) && sx_json_peek(json) == SX_JSON_STRING) {
            char *copy = NULL;
            sx_text *to = is_text ? &row->text : &row->packed;
            sx_rest_read_string(json, page, &copy, &to->length);
            to->data = copy;
            row->has_text |= is_text;
            ours = true;
        } else if (text && sx_json_peek(json) == SX_JSON_STRING) {
            sx_rest_read_string(json, page, text, NULL);
            ours = true;
        } else {
            sx_json_skip(json);
        }
    }
    sx_buffer_clear(&name);
    if (json->problem || ours || !any)
        return !json->problem;
    if (sx_json_raw(&start, &raw))
        row->metadata = sx_arena_strndup(&page->arena, raw.data, raw.length);
    return row->metadata ? true : sx_json_reject(json, "no memory for it");
}

sx_status sx_rest_unpack(sx_rest *rest, sx_rest_page *page, sx_rest_row *row, uint32_t dimensions, sx_error *error)
{
    size_t bytes = (size_t)dimensions * sizeof *row->vector;
    row->vector = sx_arena_alloc(&page->arena, bytes);
    if (!row->vector)
        return sx_fail_nomem(error, bytes);
    if (!sx_base64_decode(row->packed.data, row->packed.length, row->vector, bytes))
        return sx_rest_odd_answer(rest, error, "has a record %s whose %s is no vector of %u dimensions", row->id,
                                  SX_PROPERTY_VECTOR, dimensions);
    for (uint32_t i = 0; i < dimensions; i++)
        if (!isfinite(row->vector[i]))
            return sx_rest_odd_answer(rest, error, "has a record %s whose vector is not finite", row->id);
    return SX_OK;
}

sx_status sx_rest_make_hits(const sx_rest_page *page, const double *threshold, uint32_t most, sx_vector_hit **hits, size_t *count,
                            sx_error *error)
{
    size_t kept = 0, room = page->count < most ? page->count : most;
    sx_vector_hit *made = sx_calloc(room ? room : 1, sizeof *made);
    if (!made)
        return sx_fail_nomem(error, room * sizeof *made);
    for (size_t i = 0; i < page->count && kept < room; i++) {
        const sx_rest_row *row = &page->rows[i];
        if (threshold && row->score < *threshold)
            continue;
        sx_vector_hit *hit = &made[kept++];
        hit->id = sx_strdup(row->id);
        hit->document = row->document ? sx_strdup(row->document) : NULL;
        hit->metadata = row->metadata ? sx_strdup(row->metadata) : NULL;
        hit->text = sx_strndup(row->text.data ? row->text.data : "", row->text.length);
        hit->text_length = row->text.length;
        hit->similarity = row->score;
        if (!hit->id || !hit->text || (row->document && !hit->document) || (row->metadata && !hit->metadata)) {
            sx_vector_hits_free(made, kept);
            return sx_fail_nomem(error, row->text.length);
        }
    }
    *hits = made;
    *count = kept;
    return SX_OK;
}

sx_status sx_rest_visit_page(const sx_rest_page *page, sx_vector_visit visit, void *user, sx_error *error)
{
    sx_status status = SX_OK;
    for (size_t i = 0; !status && i < page->count; i++) {
        const sx_rest_row *row = &page->rows[i];
        sx_vector_record record = {row->id, row->document, row->text, row->metadata, row->vector};
        status = visit(&record, user, error);
    }
    return status;
}

/* ---- Collections ---- */

static bool is_one_of(const char *text, const char *const *known)
{
    while (*known && strcmp(*known, text) != 0)
        known++;
    return *known != NULL;
}

sx_status sx_rest_check_space(const char *shown, const char *collection, const sx_vector_space *space, const char *index,
                              sx_error *error)
{
    static const char *const similarities[] = {"cosine", "dot", "l2", NULL}, *const elements[] = {"f32", "f16", NULL};
    if (!space->dimensions)
        return sx_fail(error, SX_E_INVALID, "%s: collection %s: no dimensions are given", shown, collection);
    if (space->similarity && !is_one_of(space->similarity, similarities))
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: collection %s: similarity %s; there are cosine, dot and l2", shown,
                       collection, space->similarity);
    if (space->element && !is_one_of(space->element, elements))
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: collection %s: elements %s; there are f32 and f16", shown, collection,
                       space->element);
    if (space->index && strcmp(space->index, index) != 0)
        return sx_fail(error, SX_E_UNSUPPORTED, "%s: collection %s: index %s; this server has %s", shown, collection,
                       space->index, index);
    return SX_OK;
}

sx_status sx_rest_compare_spaces(const char *shown, const char *collection, const sx_vector_space *there,
                                 const sx_vector_space *wanted, sx_error *error)
{
    const struct { const char *what, *there, *wanted; } names[] = {
        {"similarity", there->similarity, wanted->similarity ? wanted->similarity : "cosine"},
        {"model", there->model, wanted->model},
        {"space", there->space, wanted->space},
    };
    if (there->dimensions && wanted->dimensions && there->dimensions != wanted->dimensions)
        return sx_fail(error, SX_E_MISMATCH, "%s: collection %s has vectors of %u dimensions, not %u", shown, collection,
                       there->dimensions, wanted->dimensions);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].there && names[i].wanted && strcmp(names[i].there, names[i].wanted) != 0)
            return sx_fail(error, SX_E_MISMATCH, "%s: collection %s has the %s %s, not %s", shown, collection, names[i].what,
                           names[i].there, names[i].wanted);
    return SX_OK;
}
