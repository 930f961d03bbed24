/* store_filters.c - "key=value" and "key!=value" as SQL over the documents' metadata.
 *
 * A key is a member of the metadata object, or `document` or `root`. Values compare as text; numbers as JSON prints them,
 * booleans as true and false. A list passes when one of its members is the value. "key!=value" is the exact opposite of
 * "key=value", so it holds for documents that lack the key. */
#include "store_filters.h"

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/memory.h"

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
    sx_buffer_printf(
        sql,
        " AND %sEXISTS (SELECT 1 FROM json_each(d.metadata) m, json_each(CASE m.type WHEN 'array' THEN m.value ELSE"
        " json_array(CASE m.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE m.atom END) END) e"
        " WHERE m.key = ?%zu AND CASE e.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' WHEN 'null' THEN 'null'"
        " ELSE CAST(e.atom AS TEXT) END = ?%zu)",
        negation, parameter, parameter + 1);
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
    bool row = true;
    sx_status status = SX_OK;
    filter_term *parsed = sx_calloc(filter_count, sizeof *parsed);
    if (!parsed)
        return sx_fail_nomem(error, filter_count * sizeof *parsed);
    /* Without filters the partial index alone answers; with them, documents are tested once each, not once a chunk. */
    sx_buffer_append_string(&sql, filter_count ? "SELECT c.id FROM document d CROSS JOIN chunk c ON c.document = d.id"
                                                 " WHERE d.collection = ?1 AND c.vector IS NOT NULL"
                                               : "SELECT c.id FROM chunk c WHERE c.collection = ?1 AND c.vector IS NOT NULL");
    for (size_t i = 0; i < filter_count && !status; i++)
        if (!(status = parse_filter(filters[i], &parsed[i], error)))
            write_condition(&sql, &parsed[i], 2 + 2 * i);
    sx_buffer_append_string(&sql, " ORDER BY c.id");
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
        (*ids)[(*count)++] = sqlite3_column_int64(statement, 0);
    }
out:
    sqlite3_finalize(statement);
    sx_buffer_clear(&sql);
    free(parsed);
    return status;
}
