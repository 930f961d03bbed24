/* gather.c - one pass over the stored vectors of each collection; what stands beside them is read when it is wanted. */
#include "gather.h"

#include "../base/clock.h"
#include "../base/error.h"
#include "../base/memory.h"
#include "../base/process_limits.h"
#include "../store/packed_vectors.h"
#include "../store/segments.h"
#include "../store/store_filters.h"
#include "../text/utf8.h"
#include "../vec/exact.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct gather_run {
    const sx_gather_request *request;
    sx_gathered *out;
    const int64_t *allowed; /* ascending */
    size_t allowed_count;
    bool filtered;
    size_t wanted, of, seen; /* every of / wanted-th is taken, of those that pass */
} gather_run;

static bool is_allowed(const gather_run *run, int64_t chunk)
{
    if (!run->filtered)
        return true;
    size_t place = sx_exact_lower_bound(run->allowed, run->allowed_count, chunk);
    return place < run->allowed_count && run->allowed[place] == chunk;
}

static sx_status take_row(int64_t chunk, const float *vector, void *user, sx_error *error)
{
    gather_run *run = user;
    sx_gathered *out = run->out;
    size_t dimensions = out->dimensions;
    if (run->request->stop && *run->request->stop)
        return sx_fail(error, SX_E_STOPPED, "%s: interrupted; nothing was changed", run->request->verb);
    if (!is_allowed(run, chunk))
        return SX_OK;
    size_t number = run->seen++;
    /* The place of the number among those wanted moves on exactly `wanted` times. */
    bool taken =
        run->wanted == run->of || (uint64_t)(number + 1) * run->wanted / run->of > (uint64_t)number * run->wanted / run->of;
    if (!taken)
        return SX_OK;
    if (!sx_reserve((void **)&out->rows, &out->capacity, (out->count + 1) * dimensions, sizeof(float)) ||
        !sx_reserve((void **)&out->chunks, &out->chunk_capacity, out->count + 1, sizeof(int64_t)))
        return sx_fail_nomem(error, dimensions * sizeof(float));
    float *row = out->rows + out->count * dimensions;
    memcpy(row, vector, dimensions * sizeof(float));
    sx_exact_normalize(row, dimensions);
    out->chunks[out->count++] = chunk;
    return SX_OK;
}

/* Documents of the rows from `first` on: chunks ascend in both lists. */
static sx_status find_documents(sx_database *database, int64_t collection, sx_gathered *out, size_t first, sx_error *error)
{
    sqlite3_stmt *statement;
    bool row = true;
    size_t next = first;
    if (!sx_reserve((void **)&out->documents, &out->document_capacity, out->count, sizeof(int64_t)))
        return sx_fail_nomem(error, out->count * sizeof(int64_t));
    sx_status status =
        sx_sql_start(database, "SELECT id, document FROM chunk WHERE collection = ? AND vector IS NOT NULL ORDER BY id",
                     &statement, error, "i", collection);
    while (!status && row) {
        status = sx_sql_step(database, statement, &row, error);
        if (!status && row && next < out->count && sqlite3_column_int64(statement, 0) == out->chunks[next])
            out->documents[next++] = sqlite3_column_int64(statement, 1);
    }
    if (!status && next < out->count)
        status = sx_fail(error, SX_E_FORMAT, "chunk %" PRId64 ": its row is gone", out->chunks[next]);
    return status;
}

typedef struct one_collection {
    sx_collection_row row;
    sx_measure measure;
    int64_t *allowed;
    size_t allowed_count;
} one_collection;

static sx_status look_at(sx_database *database, const sx_gather_request *request, const char *name, one_collection *out,
                         size_t *count, sx_error *error)
{
    int64_t number = 0;
    sx_status status = sx_store_collection_find(database, name, &out->row, error);
    if (!status)
        status = sx_segments_measure(database, out->row.recipe, &out->measure, error);
    if (!status && request->filter_count)
        status = sx_filter_chunks(database, out->row.id, request->filters, request->filter_count, &out->allowed,
                                  &out->allowed_count, error);
    /* The list of those that pass has chunks without a vector in it, so that it is an upper bound. */
    if (!status && request->filter_count)
        number = (int64_t)out->allowed_count;
    else if (!status)
        status = sx_sql_number(database, "SELECT count(*) FROM chunk WHERE collection = ? AND vector IS NOT NULL", 0, &number,
                               error, "i", out->row.id);
    *count += (size_t)number;
    return status;
}

static sx_status check_size(const sx_gather_request *request, size_t count, uint32_t dimensions, sx_error *error)
{
    size_t bytes;
    uint64_t most = sx_memory_limit() / 2;
    if (sx_multiply(count, (size_t)dimensions * sizeof(float), &bytes) && bytes <= most)
        return SX_OK;
    sx_fail(error, SX_E_LIMIT, "%s: %zu vectors of %u dimensions take more than half of the memory (%" PRIu64 " MiB)",
            request->verb, count, dimensions, most >> 20);
    sx_hint(error, "choose some of them with --filter");
    return SX_E_LIMIT;
}

sx_status sx_gather(sx_database *database, const sx_gather_request *request, sx_gathered *out, sx_error *error)
{
    gather_run run = {.request = request, .out = out, .filtered = request->filter_count > 0};
    sx_status status = SX_OK;
    size_t total = 0;
    one_collection *all = sx_calloc(request->collection_count, sizeof *all);
    if (!all)
        return sx_fail_nomem(error, request->collection_count * sizeof *all);
    for (size_t i = 0; i < request->collection_count && !status; i++) {
        status = look_at(database, request, request->collections[i], &all[i], &total, error);
        if (!status && i && strcmp(all[i].row.space_hash, all[0].row.space_hash))
            status = sx_fail(error, SX_E_MISMATCH, "collections %s and %s: of models %s and %s, whose vectors cannot be compared",
                             all[0].row.name, all[i].row.name, all[0].row.model, all[i].row.model);
    }
    if (!status) {
        out->dimensions = all[0].row.dimensions;
        out->total = total;
        run.of = total;
        run.wanted = request->most && request->most < total ? request->most : total;
        status = check_size(request, run.wanted, out->dimensions, error);
    }
    for (size_t i = 0; i < request->collection_count && !status; i++) {
        size_t first = out->count;
        if ((status = sx_store_say_dropped(database, &all[i].row, request->verb, error)))
            break;
        run.allowed = all[i].allowed;
        run.allowed_count = all[i].allowed_count;
        status = sx_segments_from_rows(database, all[i].row.id, out->dimensions, all[i].measure, INT64_MIN, INT64_MAX, take_row,
                                       &run, error);
        if (!status)
            status = find_documents(database, all[i].row.id, out, first, error);
    }
    if (!status)
        out->total = run.seen;
    for (size_t i = 0; i < request->collection_count; i++) {
        sx_collection_row_clear(&all[i].row);
        free(all[i].allowed);
    }
    free(all);
    return status;
}

void sx_gathered_clear(sx_gathered *gathered)
{
    free(gathered->rows);
    free(gathered->chunks);
    free(gathered->documents);
    *gathered = (sx_gathered){0};
}

/* ---- What stands there ---- */

void sx_excerpt_clear(sx_excerpt *excerpt)
{
    free(excerpt->collection);
    free(excerpt->root);
    free(excerpt->document);
    free(excerpt->title);
    free(excerpt->metadata);
    free(excerpt->text);
    *excerpt = (sx_excerpt){0};
}

static sx_status collection_name(sx_database *database, int64_t chunk, char **name, sx_error *error)
{
    sqlite3_stmt *statement;
    bool row = false, failed = false;
    sx_status status =
        sx_sql_start(database, "SELECT name FROM collection WHERE id = (SELECT collection FROM chunk WHERE id = ?)", &statement,
                     error, "i", chunk);
    if (!status)
        status = sx_sql_step(database, statement, &row, error);
    if (status)
        return status;
    *name = row ? sx_sql_text(statement, 0, &failed) : NULL;
    if (row)
        sqlite3_reset(statement);
    return failed ? sx_fail_nomem(error, 64) : SX_OK;
}

sx_status sx_excerpt_read(sx_database *database, int64_t chunk, size_t bytes, sx_excerpt *out, sx_error *error)
{
    sx_chunk_row row = {0};
    sx_document_row document = {0};
    *out = (sx_excerpt){0};
    sx_status status = sx_store_chunk(database, chunk, &row, &document, error);
    if (!status)
        status = collection_name(database, chunk, &out->collection, error);
    if (status)
        goto out;
    out->whole_length = row.text_length;
    out->text_length = row.text_length <= bytes ? row.text_length : sx_utf8_floor(row.text, row.text_length, bytes);
    out->text = sx_strndup(row.text ? row.text : "", out->text_length);
    out->root = document.root;
    out->document = document.path;
    out->title = document.title;
    out->metadata = document.metadata;
    document.root = document.path = document.title = document.metadata = NULL;
    out->chunk = chunk;
    out->index = row.index;
    out->start = row.start;
    out->end = row.end;
    out->start_line = row.start_line;
    out->end_line = row.end_line;
    if (!out->text)
        status = sx_fail_nomem(error, out->text_length);
out:
    sx_chunk_row_clear(&row);
    sx_document_row_clear(&document);
    if (status)
        sx_excerpt_clear(out);
    return status;
}

/* ---- Progress ---- */

sx_reporter sx_reporter_begin(sx_progress_callback callback, void *user)
{
    int64_t now = sx_system_clock.monotonic_ns(NULL);
    return (sx_reporter){callback, user, now, 0};
}

void sx_reporter_at(sx_reporter *reporter, const char *phase, const char *unit, uint64_t done, uint64_t total)
{
    if (!reporter || !reporter->callback)
        return;
    int64_t now = sx_system_clock.monotonic_ns(NULL);
    if (done < total && now - reporter->shown_ns < 100000000)
        return;
    reporter->shown_ns = now;
    double seconds = (double)(now - reporter->began_ns) / 1e9;
    double rate = seconds > 0 ? (double)done / seconds : 0;
    reporter->callback(&(sx_progress){.phase = phase,
                                      .unit = unit,
                                      .done = done,
                                      .total = total,
                                      .seconds = seconds,
                                      .rate = rate,
                                      .seconds_left = rate > 0 ? (double)(total - done) / rate : -1},
                       reporter->user);
}
