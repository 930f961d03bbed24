/* chroma_records.c - records into a Chroma collection, out of it, and searched in it.
 *
 * An upsert there merges metadata with those that were there; so the keys of before are asked for first, and those that are gone
 * are set to null. Chroma keeps the vectors of a cosine collection divided by their length and multiplies them by it when it
 * gives them back, so that one number in seven is a unit in the last place off; and it reads them from its index, the rest of a
 * record from SQLite, which is not one moment when others write. So a vector's bits stand among the properties too, and are what
 * is read back. (6,000 records of 384 dimensions: no slower to write, three times as fast to read.) Answers hold one array for
 * each field, of as many values as there are records.
 */
#include "chroma_internal.h"

#include "../base/error.h"
#include "../base/json_writer.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BYTES_OF_BATCH = 24 << 20, /* the server's own limit is 40 MB unless it is set otherwise */
    BYTES_OF_PAGE = 8 << 20,
    RECORDS_OF_PAGE = 1000,
    BYTES_OF_NUMBER = 14
};

/* ---- Answers ---- */

static sx_rest_row *row_at(sx_json *json, sx_rest_page *page, size_t index)
{
    if (index < page->count)
        return &page->rows[index];
    sx_rest_row *row = sx_rest_page_add(page);
    if (!row)
        sx_json_reject(json, "no memory for it");
    return row;
}

typedef enum column { IDS, EMBEDDINGS, DOCUMENTS, METADATAS, DISTANCES, COLUMNS } column;
static const char *const column_names[COLUMNS] = {"ids", "embeddings", "documents", "metadatas", "distances"};

static void read_cell(sx_json *json, sx_rest_page *page, column which, uint32_t dimensions, bool raw, sx_rest_row *row)
{
    sx_text value;
    char *text = NULL;
    if (which == IDS) {
        sx_rest_read_string(json, page, &row->id, NULL);
    } else if (which == EMBEDDINGS) {
        sx_rest_read_vector(json, page, dimensions, &row->vector);
    } else if (which == DISTANCES) {
        row->has_score = sx_json_number(json, &row->score);
    } else if (sx_json_null(json)) {
        return;
    } else if (which == DOCUMENTS) {
        row->has_text = sx_rest_read_string(json, page, &text, &row->text.length);
        row->text.data = text;
    } else if (!raw) {
        sx_rest_read_properties(json, page, row);
    } else if (sx_json_raw(json, &value)) {
        row->metadata = sx_arena_strndup(&page->arena, value.data, value.length);
    }
}

/* Reads the answer to get (nested: to query, where each array stands alone in another) into an empty page. wanted: bits of the
 * columns it must have. raw: metadata are taken as they are. */
static sx_status read_page(sx_chroma *c, bool nested, unsigned wanted, bool raw, sx_rest_page *page, sx_error *error)
{
    sx_json json;
    sx_buffer buffer = {0};
    sx_text key;
    size_t counts[COLUMNS] = {0};
    sx_rest_read(&c->rest, &json);
    sx_json_object(&json);
    while (sx_json_member(&json, &buffer, &key)) {
        int which = 0;
        while (which < COLUMNS && !sx_text_is(key, column_names[which]))
            which++;
        if (which == COLUMNS || !(wanted & 1u << which) || sx_json_peek(&json) != SX_JSON_ARRAY) {
            sx_json_skip(&json);
            continue;
        }
        sx_json_array(&json);
        if (nested && sx_json_element(&json))
            sx_json_array(&json);
        while (sx_json_element(&json)) {
            sx_rest_row *row = row_at(&json, page, counts[which]++);
            if (row)
                read_cell(&json, page, (column)which, c->space.dimensions, raw, row);
        }
        if (nested && !json.problem && sx_json_element(&json))
            sx_json_reject(&json, "answers to more than one query");
    }
    sx_json_end(&json);
    sx_buffer_clear(&buffer);
    if (json.problem)
        return sx_rest_bad_answer(&c->rest, &json, error);
    for (int which = 0; which < COLUMNS; which++)
        if (wanted & 1u << which && counts[which] != page->count)
            return sx_rest_odd_answer(&c->rest, error, "has %zu records, but %zu of their %s", page->count, counts[which],
                                      column_names[which]);
    return SX_OK;
}

/* ---- Writing ---- */

static bool begins_with(sx_text text, const char *part)
{
    return text.length >= strlen(part) && memcmp(text.data, part, strlen(part)) == 0;
}

/* Whether Chroma takes the key and gives it back. */
static bool is_plain_key(sx_text key)
{
    return key.length && key.data[0] != '#' && key.data[0] != '$' && !memchr(key.data, '\0', key.length) &&
           !begins_with(key, "chroma:") && !begins_with(key, "sextant_");
}

static bool write_scalar(void *user, const sx_rest_scalar *scalar)
{
    sx_buffer *body = user;
    if (!is_plain_key(scalar->key))
        return true;
    if (body->data[body->length - 1] != '{')
        sx_buffer_append_byte(body, ',');
    sx_json_write_string(body, scalar->key.data, scalar->key.length);
    sx_buffer_append_byte(body, ':');
    return sx_rest_write_scalar(body, scalar);
}

/* Whether a record has a property of this name. */
typedef struct key_search {
    sx_text key;
    bool found;
} key_search;

static bool compare_key(void *user, const sx_rest_scalar *scalar)
{
    key_search *search = user;
    bool same = scalar->key.length == search->key.length && memcmp(scalar->key.data, search->key.data, search->key.length) == 0;
    search->found |= same;
    return true;
}

static bool has_property(const sx_vector_record *record, sx_text key)
{
    key_search search = {key, false};
    if (sx_text_is(key, SX_PROPERTY_VECTOR))
        return true;
    if (sx_text_is(key, SX_PROPERTY_DOCUMENT))
        return record->document != NULL;
    if (sx_text_is(key, SX_PROPERTY_METADATA))
        return record->metadata != NULL;
    return is_plain_key(key) && sx_rest_scalars(record->metadata, compare_key, &search) && search.found;
}

/* before: the properties that the record has on the server, a JSON object, or NULL. */
static bool write_properties(sx_buffer *body, const sx_vector_record *record, uint32_t dimensions, const char *before)
{
    sx_json json;
    sx_buffer buffer = {0};
    sx_text key;
    sx_buffer_append_byte(body, '{');
    sx_rest_write_key(body, SX_PROPERTY_VECTOR);
    sx_json_write_base64(body, record->vector, dimensions * sizeof *record->vector);
    if (record->document)
        sx_rest_write_member(body, SX_PROPERTY_DOCUMENT, record->document);
    if (record->metadata)
        sx_rest_write_member(body, SX_PROPERTY_METADATA, record->metadata);
    bool written = !body->failed && sx_rest_scalars(record->metadata, write_scalar, body);
    sx_json_begin(&json, before ? before : "{}", before ? strlen(before) : 2, NULL);
    sx_json_object(&json);
    while (written && sx_json_member(&json, &buffer, &key)) {
        if (!has_property(record, key)) {
            if (body->data[body->length - 1] != '{')
                sx_buffer_append_byte(body, ',');
            sx_json_write_string(body, key.data, key.length);
            sx_buffer_append_string(body, ":null");
        }
        sx_json_skip(&json);
    }
    sx_buffer_clear(&buffer);
    return sx_buffer_append_byte(body, '}') && written && !json.problem;
}

static void write_ids(sx_buffer *body, const char *const *ids, const sx_vector_record *records, size_t count)
{
    sx_buffer_append_string(body, "\"ids\":[");
    for (size_t i = 0; i < count; i++) {
        const char *id = ids ? ids[i] : records[i].id;
        if (i)
            sx_buffer_append_byte(body, ',');
        sx_json_write_string(body, id, strlen(id));
    }
    sx_buffer_append_byte(body, ']');
}

/* What is there of these ids; one of the two lists is given. */
static sx_status get_present(sx_chroma *c, const char *const *ids, const sx_vector_record *records, size_t count, bool properties,
                             sx_rest_page *page, sx_error *error)
{
    sx_rest_begin(&c->rest, "");
    sx_buffer_append_byte(&c->rest.body, '{');
    write_ids(&c->rest.body, ids, records, count);
    sx_buffer_append_string(&c->rest.body, properties ? ",\"include\":[\"metadatas\"]}" : ",\"include\":[]}");
    sx_status status = sx_chroma_call(c, "POST", "get", c->name, error);
    if (!status)
        status = read_page(c, false, properties ? 1u << IDS | 1u << METADATAS : 1u << IDS, true, page, error);
    if (!status && page->count > count)
        status = sx_rest_odd_answer(&c->rest, error, "has %zu records where %zu were asked for", page->count, count);
    return status;
}

static const char *properties_of(const sx_rest_page *page, const char *id)
{
    for (size_t i = 0; i < page->count; i++)
        if (strcmp(page->rows[i].id, id) == 0)
            return page->rows[i].metadata;
    return NULL;
}

static sx_status send_records(void *user, const sx_vector_record *records, size_t count, sx_error *error)
{
    sx_chroma *c = user;
    sx_buffer *body = &c->rest.body;
    sx_rest_page present = {0};
    uint32_t dimensions = c->space.dimensions;
    bool written = true;
    sx_status status = get_present(c, NULL, records, count, true, &present, error);
    if (status)
        goto out;
    sx_rest_begin(&c->rest, "");
    sx_buffer_append_byte(body, '{');
    write_ids(body, NULL, records, count);
    sx_buffer_append_string(body, ",\"embeddings\":[");
    for (size_t i = 0; i < count; i++) {
        if (i)
            sx_buffer_append_byte(body, ',');
        if (c->base64) /* little-endian floats */
            sx_json_write_base64(body, records[i].vector, dimensions * sizeof(float));
        else
            sx_json_write_floats(body, records[i].vector, dimensions);
    }
    sx_buffer_append_string(body, "],\"documents\":[");
    for (size_t i = 0; i < count; i++) {
        if (i)
            sx_buffer_append_byte(body, ',');
        sx_json_write_string(body, records[i].text.data ? records[i].text.data : "", records[i].text.length);
    }
    sx_buffer_append_string(body, "],\"metadatas\":[");
    for (size_t i = 0; written && i < count; i++) {
        if (i)
            sx_buffer_append_byte(body, ',');
        written = write_properties(body, &records[i], dimensions, properties_of(&present, records[i].id));
    }
    sx_buffer_append_string(body, "]}");
    status = written && !body->failed ? sx_chroma_call(c, "POST", "upsert", c->name, error) : sx_fail_nomem(error, body->length);
out:
    sx_rest_page_clear(&present);
    return status;
}

/* The server takes a cosine vector whose length does not fit a float, and loses it. */
static sx_status check_lengths(const sx_chroma *c, const sx_vector_record *records, size_t count, sx_error *error)
{
    for (size_t i = 0; strcmp(c->space.similarity, "cosine") == 0 && i < count; i++) {
        double sum = 0;
        for (uint32_t d = 0; d < c->space.dimensions; d++)
            sum += (double)records[i].vector[d] * (double)records[i].vector[d];
        if (sum > FLT_MAX)
            return sx_fail(error, SX_E_INVALID, "%s: record %s: its vector is %g long, which Chroma cannot keep with cosine",
                           c->base.name, records[i].id, sqrt(sum));
    }
    return SX_OK;
}

static sx_status need_dimensions(sx_chroma *c, sx_error *error)
{
    if (c->space.dimensions)
        return SX_OK;
    sx_fail(error, SX_E_INVALID, "%s: collection %s is empty and does not say how many dimensions it will have", c->base.name,
            c->name);
    sx_hint(error, "create it with the model's dimensions");
    return SX_E_INVALID;
}

sx_status sx_chroma_upsert(sx_vector_store *store, const char *collection, const sx_vector_record *records, size_t count,
                               sx_error *error)
{
    sx_chroma *c = (sx_chroma *)store;
    sx_status status = sx_chroma_find(c, collection, error);
    if (!status)
        status = need_dimensions(c, error);
    if (!status)
        status = sx_rest_check_records(store->name, records, count, c->space.dimensions, error);
    if (!status)
        status = check_lengths(c, records, count, error);
    if (!status)
        status = sx_chroma_learn_limits(c, error);
    return status ? status
                  : sx_rest_send_batches(records, count, c->space.dimensions, c->most, BYTES_OF_BATCH, send_records, c, error);
}

typedef struct removal {
    sx_chroma *chroma;
    const char *collection;
} removal;

static sx_status remove_some(void *user, const char *const *ids, size_t count, uint64_t *removed, sx_error *error)
{
    const removal *from = user;
    sx_chroma *c = from->chroma;
    sx_rest_page present = {0};
    sx_status status = get_present(c, ids, NULL, count, false, &present, error);
    if (!status && present.count) { /* the server counts what it was told to delete, not what was there */
        sx_rest_begin(&c->rest, "");
        sx_buffer_append_byte(&c->rest.body, '{');
        write_ids(&c->rest.body, ids, NULL, count);
        sx_buffer_append_byte(&c->rest.body, '}');
        status = sx_chroma_call(c, "POST", "delete", from->collection, error);
    }
    if (!status)
        *removed += present.count;
    sx_rest_page_clear(&present);
    return status;
}

sx_status sx_chroma_remove(sx_vector_store *store, const char *collection, const char *const *ids, size_t count,
                           uint64_t *removed, sx_error *error)
{
    sx_chroma *c = (sx_chroma *)store;
    if (removed)
        *removed = 0;
    sx_status status = sx_chroma_find(c, collection, error);
    if (!status)
        status = sx_chroma_learn_limits(c, error);
    removal from = {c, collection};
    return status ? status : sx_rest_remove_batches(ids, count, c->most, remove_some, &from, removed, error);
}

/* ---- Reading ---- */

static sx_status write_where(sx_chroma *c, const sx_vector_filter *filters, size_t count, sx_error *error)
{
    sx_buffer *body = &c->rest.body;
    if (!count)
        return SX_OK;
    sx_buffer_append_string(body, ",\"where\":{\"$and\":[");
    for (size_t i = 0; i < count; i++) {
        sx_rest_scalar scalar;
        sx_status status = sx_rest_filter_scalar(&filters[i], &scalar, error);
        if (status)
            return status;
        if (!sx_text_is(scalar.key, SX_PROPERTY_DOCUMENT) && !is_plain_key(scalar.key))
            return sx_fail(error, SX_E_UNSUPPORTED, "%s: Chroma has no filter by a key like \"%s\"", c->base.name,
                           filters[i].key);
        sx_buffer_append_string(body, i ? ",{" : "{");
        sx_json_write_string(body, scalar.key.data, scalar.key.length);
        sx_buffer_append_string(body, ":{\"$eq\":");
        sx_rest_write_scalar(body, &scalar);
        sx_buffer_append_string(body, "}}");
    }
    sx_buffer_append_string(body, "]}");
    return SX_OK;
}

/* cosine and ip: 1 - similarity; l2: the square of the distance. */
static double similarity_of(const sx_chroma *c, double distance)
{
    return strcmp(c->space.similarity, "l2") == 0 ? -sqrt(distance > 0 ? distance : 0) : 1 - distance;
}

sx_status sx_chroma_query(sx_vector_store *store, const char *collection, const float *vector, uint32_t most,
                              const double *threshold, const sx_vector_filter *filters, size_t filter_count, sx_vector_hit **hits,
                              size_t *count, sx_error *error)
{
    sx_chroma *c = (sx_chroma *)store;
    sx_rest_page page = {0};
    *hits = NULL;
    *count = 0;
    sx_status status = sx_chroma_find(c, collection, error);
    if (!status)
        status = need_dimensions(c, error);
    if (!status)
        status = sx_rest_check_vector(store->name, vector, c->space.dimensions, error);
    if (status || !most)
        return status;
    sx_rest_begin(&c->rest, "");
    sx_buffer_append_string(&c->rest.body, "{\"query_embeddings\":[");
    sx_json_write_floats(&c->rest.body, vector, c->space.dimensions);
    sx_buffer_printf(&c->rest.body, "],\"n_results\":%u,\"include\":[\"documents\",\"distances\",\"metadatas\"]", most);
    status = write_where(c, filters, filter_count, error);
    sx_buffer_append_byte(&c->rest.body, '}');
    if (!status)
        status = sx_chroma_call(c, "POST", "query", collection, error);
    if (!status)
        status = read_page(c, true, 1u << IDS | 1u << DOCUMENTS | 1u << METADATAS | 1u << DISTANCES, false, &page, error);
    if (!status && page.count > most)
        status = sx_rest_odd_answer(&c->rest, error, "has %zu records where %u were asked for", page.count, most);
    for (size_t i = 0; i < page.count; i++)
        page.rows[i].score = similarity_of(c, page.rows[i].score);
    if (!status)
        status = sx_rest_make_hits(&page, threshold, most, hits, count, error);
    sx_rest_page_clear(&page);
    return status;
}

static sx_status get_page(sx_chroma *c, const char *collection, uint64_t from, uint32_t most, bool embeddings, sx_rest_page *page,
                          sx_error *error)
{
    unsigned wanted = 1u << IDS | 1u << DOCUMENTS | 1u << METADATAS | (embeddings ? 1u << EMBEDDINGS : 0);
    sx_rest_begin(&c->rest, "");
    sx_buffer_printf(&c->rest.body, "{\"limit\":%u,\"offset\":%llu,\"include\":[%s\"documents\",\"metadatas\"]}", most,
                     (unsigned long long)from, embeddings ? "\"embeddings\"," : "");
    sx_status status = sx_chroma_call(c, "POST", "get", collection, error);
    return status ? status : read_page(c, false, wanted, false, page, error);
}

/* *embeddings: the server's own vectors are needed, because some records were not written here. */
static sx_status scan_page(sx_chroma *c, const char *collection, uint64_t from, uint32_t most, bool *embeddings,
                           sx_vector_visit visit, void *user, size_t *seen, sx_error *error)
{
    sx_rest_page page = {0};
    sx_status status = get_page(c, collection, from, most, *embeddings, &page, error);
    for (size_t i = 0; !status && !*embeddings && i < page.count; i++)
        *embeddings = !page.rows[i].packed.data;
    if (!status && *embeddings && page.count && !page.rows[0].vector) {
        sx_rest_page_clear(&page);
        status = get_page(c, collection, from, most, true, &page, error);
    }
    for (size_t i = 0; !status && i < page.count; i++)
        if (page.rows[i].packed.data)
            status = sx_rest_unpack(&c->rest, &page, &page.rows[i], c->space.dimensions, error);
    *seen = page.count;
    if (!status)
        status = sx_rest_visit_page(&page, visit, user, error);
    sx_rest_page_clear(&page);
    return status;
}

sx_status sx_chroma_scan(sx_vector_store *store, const char *collection, sx_vector_visit visit, void *user, sx_error *error)
{
    sx_chroma *c = (sx_chroma *)store;
    uint64_t before = 0, after = 0, from = 0;
    size_t seen = 1;
    bool embeddings = false;
    sx_status status = sx_chroma_find(c, collection, error);
    if (!status)
        status = sx_chroma_count(c, collection, &before, error);
    if (status || !before)
        return status;
    status = need_dimensions(c, error);
    uint32_t most = c->space.dimensions ? BYTES_OF_PAGE / (BYTES_OF_NUMBER * c->space.dimensions) : 1;
    most = most < 1 ? 1 : most > RECORDS_OF_PAGE ? RECORDS_OF_PAGE : most;
    for (; !status && seen; from += seen)
        status = scan_page(c, collection, from, most, &embeddings, visit, user, &seen, error);
    if (!status)
        status = sx_chroma_count(c, collection, &after, error);
    if (!status && (before != after || from != after)) /* pages are counted from the start, so a change moves them */
        status = sx_fail(error, SX_E_BUSY, "%s: collection %s was changed while it was read: %llu records, then %llu, %llu came",
                         store->name, collection, (unsigned long long)before, (unsigned long long)after,
                         (unsigned long long)from);
    return status;
}
