/* store_filters.c - from filters to the chunks they allow.
 *
 * Every document is asked, and every chunk where a filter is about chunks, so that k matches are found whenever k exist; what that
 * takes is reading each row once, in the order of the file, and as much of it as the filters look at (filter_evaluation.c). A handle
 * keeps the last few lists for as long as nothing is written: a search by meaning and words needs its list twice, and clients ask
 * with the same filters again. */
#include "store_filters.h"
#include "filter_expression.h"

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { DOCUMENT_ARGUMENTS = 6, CHUNK_ARGUMENTS = 6, MOST_FILTERS = 100, MOST_LISTS = 4, MOST_KEPT_IDS = 1 << 20 };
static const char filter_type[] = "sx_filter"; /* of the pointers that statements are given */

static sx_text text_argument(sqlite3_value *value)
{
    const char *data = (const char *)sqlite3_value_text(value);
    return (sx_text){data, (size_t)sqlite3_value_bytes(value)};
}

/* filter_passes(filter, document, metadata, path, root, mtime_ns [, start, end, start_line, end_line, headings, symbols]) */
static void filter_passes(sqlite3_context *context, int count, sqlite3_value **arguments)
{
    sx_filter *filter = sqlite3_value_pointer(arguments[0], filter_type);
    sx_filter_subject subject = {.id = sqlite3_value_int64(arguments[1]),
                                 .metadata = text_argument(arguments[2]),
                                 .document = text_argument(arguments[3]),
                                 .root = text_argument(arguments[4]),
                                 .modified_ns = sqlite3_value_int64(arguments[5])};
    sx_filter_chunk chunk;
    if (count == DOCUMENT_ARGUMENTS + CHUNK_ARGUMENTS) {
        sqlite3_value **of = arguments + DOCUMENT_ARGUMENTS;
        chunk = (sx_filter_chunk){.start = (uint64_t)sqlite3_value_int64(of[0]),
                                  .end = (uint64_t)sqlite3_value_int64(of[1]),
                                  .start_line = (uint32_t)sqlite3_value_int64(of[2]),
                                  .end_line = (uint32_t)sqlite3_value_int64(of[3]),
                                  .headings = text_argument(of[4]),
                                  .symbols = text_argument(of[5])};
        subject.chunk = &chunk;
    }
    bool damaged = false;
    bool passes = filter && sx_filter_holds(filter, &subject, &damaged);
    if (damaged)
        sqlite3_result_error(context, "the metadata of a document is no JSON object", -1);
    else
        sqlite3_result_int(context, passes);
}

int sx_filters_register(sqlite3 *sqlite)
{
    static const int counts[] = {DOCUMENT_ARGUMENTS, DOCUMENT_ARGUMENTS + CHUNK_ARGUMENTS};
    int code = SQLITE_OK;
    for (size_t i = 0; i < sizeof counts / sizeof *counts && code == SQLITE_OK; i++)
        code = sqlite3_create_function(sqlite, "filter_passes", counts[i], SQLITE_UTF8 | SQLITE_DIRECTONLY, NULL, filter_passes, NULL,
                                       NULL);
    return code;
}

/* Columns that no filter looks at are not read. The document is asked first, so that chunks of those that cannot pass are not read. */
static void write_condition(sx_buffer *sql, const sx_filter *filter, size_t parameter)
{
    unsigned needs = sx_filter_needs(filter);
    for (int chunks = 0; chunks <= ((needs & SX_FILTER_CHUNK) != 0); chunks++) {
        sx_buffer_printf(sql, " AND filter_passes(?%zu, d.id, %s, %s, %s, %s", parameter,
                         needs & SX_FILTER_METADATA ? "d.metadata" : "NULL", needs & SX_FILTER_DOCUMENT ? "d.path" : "NULL",
                         needs & SX_FILTER_ROOT ? "d.root" : "NULL", needs & SX_FILTER_MODIFIED ? "d.mtime_ns" : "NULL");
        if (chunks)
            sx_buffer_printf(sql, ", %s, %s, %s",
                             needs & SX_FILTER_RANGE ? "c.start, c.end, c.start_line, c.end_line" : "NULL, NULL, NULL, NULL",
                             needs & SX_FILTER_HEADINGS ? "c.headings" : "NULL", needs & SX_FILTER_SYMBOLS ? "s.symbols" : "NULL");
        sx_buffer_append_byte(sql, ')');
    }
}

/* ---- Lists kept ---- */

typedef struct sx_allowed_list {
    struct sx_allowed_list *next; /* the one used last is first */
    sx_snapshot_version version;
    int64_t collection;
    char *filters; /* each ended by NUL */
    size_t filters_length, count;
    int64_t *ids;
} sx_allowed_list;

static void free_list(sx_allowed_list *list)
{
    free(list->filters);
    free(list->ids);
    free(list);
}

void sx_filters_forget(sx_database *database)
{
    for (sx_allowed_list *list = database->allowed_lists, *next; list; list = next) {
        next = list->next;
        free_list(list);
    }
    database->allowed_lists = NULL;
}

/* A copy of the list, when there is one of this version; older ones go. */
static sx_status find_list(sx_database *database, const sx_allowed_list *wanted, int64_t **ids, size_t *count, bool *found,
                           sx_error *error)
{
    *found = false;
    if (database->allowed_lists && !sx_snapshot_version_same(database->allowed_lists->version, wanted->version))
        sx_filters_forget(database);
    for (sx_allowed_list **at = &database->allowed_lists; *at; at = &(*at)->next) {
        sx_allowed_list *list = *at;
        if (list->collection != wanted->collection || list->filters_length != wanted->filters_length ||
            memcmp(list->filters, wanted->filters, list->filters_length) != 0)
            continue;
        *at = list->next;
        list->next = database->allowed_lists;
        database->allowed_lists = list;
        *ids = sx_calloc(list->count ? list->count : 1, sizeof **ids);
        if (!*ids)
            return sx_fail_nomem(error, list->count * sizeof **ids);
        memcpy(*ids, list->ids, list->count * sizeof **ids);
        *count = list->count;
        *found = true;
        return SX_OK;
    }
    return SX_OK;
}

/* Keeps a copy, unless there is no room: the next search makes the list again. Takes over the text of the filters. */
static void keep_list(sx_database *database, sx_allowed_list *made, const int64_t *ids, size_t count)
{
    size_t lists = 1, kept = count;
    if (count > MOST_KEPT_IDS)
        return;
    sx_allowed_list *list = sx_calloc(1, sizeof *list);
    int64_t *copy = sx_calloc(count ? count : 1, sizeof *copy);
    if (!list || !copy) {
        free(list);
        free(copy);
        return;
    }
    if (count)
        memcpy(copy, ids, count * sizeof *copy);
    *list = *made;
    list->next = database->allowed_lists;
    list->ids = copy;
    list->count = count;
    made->filters = NULL;
    database->allowed_lists = list;
    for (sx_allowed_list *last = list; last->next;) {
        kept += last->next->count;
        if (++lists > MOST_LISTS || kept > MOST_KEPT_IDS) {
            sx_allowed_list *old = last->next;
            kept -= old->count;
            last->next = old->next;
            free_list(old);
        } else {
            last = last->next;
        }
    }
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

static sx_status make_list(sx_database *database, int64_t collection, const char *const *filters, size_t filter_count,
                           int64_t **ids, size_t *count, sx_error *error)
{
    sx_buffer sql = {0};
    sqlite3_stmt *statement = NULL;
    size_t capacity = 0;
    unsigned needs = 0;
    bool row = true, all = false, ascending = true;
    sx_filter **parsed = sx_calloc(filter_count, sizeof *parsed);
    if (!parsed)
        return sx_fail_nomem(error, filter_count * sizeof *parsed);
    sx_status status = filter_count ? reads_all(database, collection, &all, error) : SX_OK;
    for (size_t i = 0; i < filter_count && !status; i++)
        if (!(status = sx_filter_parse(filters[i], &parsed[i], error)))
            needs |= sx_filter_needs(parsed[i]);
    /* Without filters the partial index alone answers; with them, documents are tested once each, and the index by document has
     * all that is wanted of a chunk, unless chunks are tested too. That some of them have no vector does not matter: no scan meets
     * those. */
    sx_buffer_printf(&sql, filter_count ? "SELECT c.id FROM document d%s CROSS JOIN chunk c INDEXED BY chunk_document"
                                          " ON c.document = d.id%s WHERE d.collection = ?1"
                                        : "SELECT c.id FROM chunk c%s WHERE c.collection = ?1 AND c.vector IS NOT NULL"
                                          "%s ORDER BY c.id",
                     all ? " NOT INDEXED" : "", needs & SX_FILTER_SYMBOLS ? " LEFT JOIN chunk_symbols s ON s.chunk = c.id" : "");
    for (size_t i = 0; i < filter_count && !status; i++)
        write_condition(&sql, parsed[i], 2 + i);
    if (!status && sql.failed)
        status = sx_fail_nomem(error, sql.length);
    if (!status)
        status = sx_sql_start_once(database, sql.data, &statement, error);
    if (status)
        goto out;
    sqlite3_bind_int64(statement, 1, collection);
    for (size_t i = 0; i < filter_count; i++)
        sqlite3_bind_pointer(statement, (int)(2 + i), parsed[i], filter_type, NULL);
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
    for (size_t i = 0; i < filter_count; i++)
        sx_filter_close(parsed[i]);
    free(parsed);
    return status;
}

sx_status sx_filter_chunks(sx_database *database, int64_t collection, const char *const *filters, size_t filter_count,
                           int64_t **ids, size_t *count, sx_error *error)
{
    sx_allowed_list wanted = {.collection = collection};
    sx_buffer text = {0};
    bool found = false;
    free(*ids);
    *ids = NULL;
    *count = 0;
    if (filter_count > MOST_FILTERS)
        return sx_fail(error, SX_E_LIMIT, "%zu filters, more than %d", filter_count, MOST_FILTERS);
    if (!filter_count || database->writing) /* what is being written may be undone */
        return make_list(database, collection, filters, filter_count, ids, count, error);
    for (size_t i = 0; i < filter_count; i++)
        sx_buffer_append(&text, filters[i], strlen(filters[i]) + 1);
    wanted.filters_length = text.length;
    wanted.filters = sx_buffer_take(&text);
    sx_status status = wanted.filters ? SX_OK : sx_fail_nomem(error, wanted.filters_length);
    /* Before the list: if something is committed in between, the list is newer than it says, and made again next time. */
    if (!status)
        status = sx_snapshot_version_read(database, &wanted.version, error);
    if (!status)
        status = find_list(database, &wanted, ids, count, &found, error);
    if (!status && !found) {
        status = make_list(database, collection, filters, filter_count, ids, count, error);
        if (!status)
            keep_list(database, &wanted, *ids, *count);
    }
    free(wanted.filters);
    return status;
}
