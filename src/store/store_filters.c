/* store_filters.c - "key=value" and "key!=value" over the documents' metadata.
 *
 * Every document is asked, so that k matches are found whenever k exist; what that takes is reading each row once, in the order
 * of the file, and looking through its metadata with our own reader (SQLite's json_each takes ten times as long).
 *
 * A key is a member of the metadata object, or `document` or `root`. Values compare as text; numbers as JSON prints them,
 * booleans as true and false. A list passes when one of its members is the value. "key!=value" is the exact opposite of
 * "key=value", so it holds for documents that lack the key. */
#include "store_filters.h"

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/json_reader.h"
#include "../base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct filter_term {
    sx_text key, value;
    bool differs;
} filter_term;

static sx_status parse_filter(const char *text, filter_term *out, sx_error *error)
{
    const char *equals = text ? strchr(text, '=') : NULL;
    if (equals) {
        out->differs = equals > text && equals[-1] == '!';
        out->key = (sx_text){text, (size_t)(equals - text) - out->differs};
        out->value = (sx_text){equals + 1, strlen(equals + 1)};
        if (out->key.length)
            return SX_OK;
    }
    sx_status status = sx_fail(error, SX_E_INVALID, "filter \"%s\": is not key=value or key!=value", text ? text : "");
    sx_hint(error, "for example lang=python");
    return status;
}

static bool key_is(const filter_term *filter, const char *name)
{
    return filter->key.length == strlen(name) && memcmp(filter->key.data, name, filter->key.length) == 0;
}

/* Two parameters for each filter, key and value, whether it needs the key or not. */
static void write_condition(sx_buffer *sql, const filter_term *filter, size_t parameter)
{
    const char *negation = filter->differs ? "NOT " : "";
    if (key_is(filter, "document") || key_is(filter, "root")) {
        sx_buffer_printf(sql, " AND %s(d.%s = ?%zu)", negation, key_is(filter, "root") ? "root" : "path", parameter + 1);
        return;
    }
    sx_buffer_printf(sql, " AND %smetadata_has(d.metadata, ?%zu, ?%zu)", negation, parameter, parameter + 1);
}

/* ---- metadata_has(metadata, key, value) ---- */

static bool same_text(sx_text a, sx_text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

/* Numbers compare as SQLite prints them: whole ones as they are, others with 15 digits. */
static bool number_is(sx_text raw, sx_text value)
{
    char text[64], printed[64];
    if (raw.length >= sizeof text)
        return false;
    memcpy(text, raw.data, raw.length);
    text[raw.length] = '\0';
    errno = 0;
    long long whole = strtoll(text, NULL, 10);
    if (errno || strpbrk(text, ".eE"))
        sqlite3_snprintf(sizeof printed, printed, "%!.15g", strtod(text, NULL));
    else
        sqlite3_snprintf(sizeof printed, printed, "%lld", whole);
    return same_text((sx_text){printed, strlen(printed)}, value);
}

/* Reads the next value; whether it is a scalar that reads as `value`. */
static bool scalar_is(sx_json *json, sx_buffer *buffer, sx_text value)
{
    sx_text text;
    bool truth;
    switch (sx_json_peek(json)) {
    case SX_JSON_STRING: return sx_json_string(json, buffer, &text) && same_text(text, value);
    case SX_JSON_NUMBER: return sx_json_raw(json, &text) && number_is(text, value);
    case SX_JSON_BOOLEAN: return sx_json_boolean(json, &truth) && sx_text_is(value, truth ? "true" : "false");
    case SX_JSON_NULL: return sx_json_null(json) && sx_text_is(value, "null");
    default: (void)sx_json_skip(json); return false;
    }
}

static bool member_is(sx_json *json, sx_buffer *buffer, sx_text value)
{
    if (sx_json_peek(json) != SX_JSON_ARRAY)
        return scalar_is(json, buffer, value);
    bool found = false;
    (void)sx_json_array(json);
    while (sx_json_element(json))
        found = scalar_is(json, buffer, value) || found;
    return found;
}

/* Whether text without escapes cannot have this member: then names and values stand in it as they are, but for numbers. */
static bool surely_not(sx_text metadata, sx_text key, sx_text value)
{
    if (memchr(metadata.data, '\\', metadata.length))
        return false;
    bool may_be_number = value.length && strchr("0123456789-.IN", value.data[0]);
    return !memmem(metadata.data, metadata.length, key.data, key.length) ||
           (!may_be_number && value.length && !memmem(metadata.data, metadata.length, value.data, value.length));
}

static sx_text text_argument(sqlite3_value *value)
{
    const char *data = (const char *)sqlite3_value_text(value);
    return (sx_text){data, (size_t)sqlite3_value_bytes(value)};
}

static void metadata_has(sqlite3_context *context, int count, sqlite3_value **arguments)
{
    (void)count;
    sx_text metadata = text_argument(arguments[0]), key = text_argument(arguments[1]), value = text_argument(arguments[2]), name;
    if (!metadata.data || surely_not(metadata, key, value)) {
        sqlite3_result_int(context, 0);
        return;
    }
    bool found = false;
    sx_buffer buffer = {0};
    sx_json json;
    sx_json_begin(&json, metadata.data, metadata.length, "metadata");
    (void)sx_json_object(&json);
    while (sx_json_member(&json, &buffer, &name)) {
        if (same_text(name, key))
            found = member_is(&json, &buffer, value) || found;
        else
            (void)sx_json_skip(&json);
    }
    (void)sx_json_end(&json);
    if (json.problem)
        sqlite3_result_error(context, "the metadata of a document is no JSON object", -1);
    else
        sqlite3_result_int(context, found);
    sx_buffer_clear(&buffer);
}

int sx_filters_register(sqlite3 *sqlite)
{
    return sqlite3_create_function(sqlite, "metadata_has", 3, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY, NULL,
                                   metadata_has, NULL, NULL);
}

/* ---- The list ---- */

/* Where most documents are the collection's, reading all in their order takes a third of the time that going through the index
 * does, whose order (root, path) is none of the file's. */
static sx_status reads_all(sx_database *database, int64_t collection, bool *all, sx_error *error)
{
    int64_t those = 0, newest = 0;
    sx_status status = sx_sql_number(database, "SELECT count(*) FROM document WHERE collection = ?", 0, &those, error, "i",
                                     collection);
    if (!status)
        status = sx_sql_number(database, "SELECT max(id) FROM document", 0, &newest, error, "");
    *all = those >= newest / 4;
    return status;
}

static int compare_ids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

sx_status sx_filter_chunks(sx_database *database, int64_t collection, const char *const *filters, size_t filter_count,
                           int64_t **ids, size_t *count, sx_error *error)
{
    free(*ids);
    *ids = NULL;
    *count = 0;
    if (filter_count > 100)
        return sx_fail(error, SX_E_LIMIT, "%zu filters, more than 100", filter_count);
    sx_buffer sql = {0};
    sqlite3_stmt *statement = NULL;
    size_t capacity = 0;
    bool row = true, all = false, ascending = true;
    filter_term *parsed = sx_calloc(filter_count, sizeof *parsed);
    if (!parsed)
        return sx_fail_nomem(error, filter_count * sizeof *parsed);
    sx_status status = filter_count ? reads_all(database, collection, &all, error) : SX_OK;
    /* Without filters the partial index alone answers; with them, documents are tested once each, and the index by document has
     * all that is wanted of a chunk. That some of them have no vector does not matter: no scan meets those. */
    sx_buffer_printf(&sql, filter_count ? "SELECT c.id FROM document d%s CROSS JOIN chunk c INDEXED BY chunk_document"
                                          " ON c.document = d.id WHERE d.collection = ?1"
                                        : "SELECT c.id FROM chunk c%s WHERE c.collection = ?1 AND c.vector IS NOT NULL"
                                          " ORDER BY c.id",
                     all ? " NOT INDEXED" : "");
    for (size_t i = 0; i < filter_count && !status; i++)
        if (!(status = parse_filter(filters[i], &parsed[i], error)))
            write_condition(&sql, &parsed[i], 2 + 2 * i);
    if (!status && sql.failed)
        status = sx_fail_nomem(error, sql.length);
    if (!status)
        status = sx_sql_start_once(database, sql.data, &statement, error);
    if (status)
        goto out;
    sqlite3_bind_int64(statement, 1, collection);
    for (size_t i = 0; i < filter_count; i++) {
        /* Fails for a key the statement does not name (document, root), which is as it should be. */
        (void)sqlite3_bind_text64(statement, (int)(2 + 2 * i), parsed[i].key.data, parsed[i].key.length, SQLITE_STATIC,
                                  SQLITE_UTF8);
        (void)sqlite3_bind_text64(statement, (int)(3 + 2 * i), parsed[i].value.data, parsed[i].value.length, SQLITE_STATIC,
                                  SQLITE_UTF8);
    }
    while (!(status = sx_sql_step(database, statement, &row, error)) && row) {
        if (!sx_reserve((void **)ids, &capacity, *count + 1, sizeof **ids)) {
            status = sx_fail_nomem(error, sizeof **ids);
            break;
        }
        int64_t id = sqlite3_column_int64(statement, 0);
        ascending = ascending && (*count == 0 || id > (*ids)[*count - 1]);
        (*ids)[(*count)++] = id;
    }
    if (!ascending)
        qsort(*ids, *count, sizeof **ids, compare_ids);
out:
    sqlite3_finalize(statement);
    sx_buffer_clear(&sql);
    free(parsed);
    return status;
}
