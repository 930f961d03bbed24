/* nearest.c - search over a collection as of one snapshot: mapped segments, by their graphs or row by row, and the rows of the
 * tables where no segment speaks.
 *
 * Segments may hold chunks that were deleted since. A few more candidates than wanted are taken and looked up; only when too few
 * of them live is the list of living ids read and everything scanned once more with it, so two scans always suffice. */
#include "../base/error.h"
#include "../base/memory.h"
#include "packed.h"
#include "segments.h"
#include "store_filters.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Candidates beyond those wanted: room for a few dead ones, so that a second scan is rare. */
enum { SPARE_CANDIDATES = 32, COUNTED_FROM = 4096, RETRIES = 3, SHARED_FROM_BYTES = 4 << 20 };

typedef struct nearest {
    sx_database *database;
    const sx_collection_row *collection;
    sx_measure measure;
    sx_exact_query query; /* scaled for the measure */
    sx_thread_pool *pool; /* NULL: there is too little to share */
    size_t ef;            /* of graphs; 0: they are not used */
    sx_topk topk;
    /* damaged or missing segments met: their ranges come from the rows */
    int64_t *lost;
    size_t lost_count, lost_capacity;
    bool missing; /* a file was not there: perhaps replaced since the snapshot */
} nearest;

typedef struct row_scan {
    nearest *search;
    const sx_id_set *allowed;
} row_scan;

static sx_status score_row(int64_t chunk, const float *vector, void *user, sx_error *error)
{
    row_scan *scan = user;
    (void)error;
    uint32_t dimensions = scan->search->collection->dimensions;
    sx_exact_scan(scan->search->query.kernels, scan->search->query.floats, dimensions, vector, dimensions, &chunk, 1,
                  scan->allowed, &scan->search->topk);
    return SX_OK;
}

static sx_status scan_rows(nearest *search, const sx_id_set *allowed, int64_t first, int64_t last, sx_error *error)
{
    row_scan scan = {search, allowed};
    return sx_segments_from_rows(search->database, search->collection->id, search->collection->dimensions, search->measure, first,
                                 last, score_row, &scan, error);
}

static sx_status note_lost(nearest *search, const sx_segment_row *row, sx_error *error)
{
    for (size_t i = 0; i < search->lost_count; i++)
        if (search->lost[i] == row->id)
            return SX_OK;
    if (!sx_reserve((void **)&search->lost, &search->lost_capacity, search->lost_count + 1, sizeof *search->lost))
        return sx_fail_nomem(error, sizeof *search->lost);
    search->lost[search->lost_count++] = row->id;
    return SX_OK;
}

static bool is_lost(const nearest *search, int64_t id)
{
    for (size_t i = 0; i < search->lost_count; i++)
        if (search->lost[i] == id)
            return true;
    return false;
}

/* *done false: there is no graph, or a scan is needed. Nothing was offered then. */
static sx_status search_graph(nearest *search, const sx_id_set *allowed, const sx_segment_row *row, bool *done, sx_error *error)
{
    sx_segment_graph *graph = sx_segments_graph(search->database, row);
    sx_topk own = {0};
    if (!graph || !search->topk.capacity)
        return SX_OK;
    /* A list of its own: what is found before the damage must not stay. */
    if (!sx_topk_open(&own, search->topk.capacity))
        return sx_fail_nomem(error, search->topk.capacity * sizeof(sx_ranked));
    sx_status status = sx_segment_graph_search(graph, &search->query, search->ef, allowed, &own, done, error);
    for (size_t i = 0; i < own.count && *done && !status; i++)
        sx_topk_offer(&search->topk, own.items[i].id, own.items[i].score);
    sx_topk_close(&own);
    if (status == SX_E_FORMAT) { /* of the graph, or of the segment: the scan will tell */
        *done = false;
        sx_segments_drop_graph(search->database, row, error);
        status = SX_OK;
    }
    return status;
}

/* Offers the segment's rows; *done false when it cannot be used. */
static sx_status scan_segment(nearest *search, const sx_id_set *allowed, const sx_segment_row *row, bool *done, sx_error *error)
{
    sx_segment *segment;
    sx_error reason = {0};
    *done = false;
    if (is_lost(search, row->id))
        return SX_OK;
    sx_status status =
        sx_segments_map(search->database, search->collection->id, search->collection->dimensions, row, &segment, &reason);
    if (!status && search->ef) {
        status = search_graph(search, allowed, row, done, &reason);
        if (*done)
            return SX_OK;
    }
    if (!status)
        status = sx_segment_scan(segment, &search->query, allowed, search->pool, &search->topk, &reason);
    if (!status) {
        *done = true;
        return SX_OK;
    }
    if (status == SX_E_NOMEM) {
        if (error)
            *error = reason;
        return status;
    }
    if (status == SX_E_NOT_FOUND)
        search->missing = true;
    else
        sx_store_log(search->database, SX_LOG_WARNING, "%s; it is being rebuilt", reason.message);
    return note_lost(search, row, error);
}

/* Scores everything the snapshot has. A block found damaged in the midst of a scan has left candidates behind; the scan then
 * begins again without that segment. */
static sx_status scan_all(nearest *search, const sx_segment_list *list, const sx_id_set *allowed, sx_error *error)
{
    size_t lost;
    sx_status status;
    do {
        lost = search->lost_count;
        sx_topk_reset(&search->topk);
        int64_t next = INT64_MIN; /* first id not yet spoken for */
        status = SX_OK;
        for (size_t i = 0; i < list->count && !status && lost == search->lost_count; i++) {
            bool done;
            status = scan_segment(search, allowed, &list->rows[i], &done, error);
            if (!status && done) {
                if (list->rows[i].first_chunk > next)
                    status = scan_rows(search, allowed, next, list->rows[i].first_chunk - 1, error);
                next = list->rows[i].last_chunk + 1;
            }
        }
        if (!status && lost == search->lost_count)
            status = scan_rows(search, allowed, next, INT64_MAX, error);
    } while (!status && lost != search->lost_count);
    return status;
}

/* A compressed collection is searched by its packed rows, and what came since by the rows themselves. */
static sx_status scan(nearest *search, const sx_segment_list *list, const sx_id_set *allowed, sx_error *error)
{
    int64_t next;
    bool packed;
    sx_status status = sx_store_packed_scan(search->database, search->collection, search->measure, &search->query, allowed,
                                            &search->topk, &next, &packed, error);
    if (status)
        return status;
    return packed ? scan_rows(search, allowed, next, INT64_MAX, error) : scan_all(search, list, allowed, error);
}

/* Keeps the living among the sorted candidates, at most `count`. */
static sx_status keep_living(nearest *search, size_t count, sx_candidate *candidates, size_t *found, sx_error *error)
{
    sx_status status = SX_OK;
    *found = 0;
    for (size_t i = 0; i < search->topk.count && *found < count && !status; i++) {
        int64_t collection;
        status = sx_sql_number(search->database, "SELECT collection FROM chunk WHERE id = ?", 0, &collection, error, "i",
                               search->topk.items[i].id);
        if (!status && collection == search->collection->id)
            candidates[(*found)++] = (sx_candidate){search->topk.items[i].id, search->topk.items[i].score};
    }
    return status;
}

/* Threads are started once a handle has enough to scan; one alone is done with less before they come. */
static sx_status find_helpers(nearest *search, const sx_segment_list *list, sx_error *error)
{
    sx_database *database = search->database;
    uint64_t bytes = 0;
    for (size_t i = 0; i < list->count; i++)
        bytes += (uint64_t)list->rows[i].rows * search->collection->dimensions;
    if (bytes < SHARED_FROM_BYTES || database->process != getpid())
        return SX_OK;
    sx_status status = database->pool ? SX_OK : sx_thread_pool_open(0, &database->pool, error);
    search->pool = database->pool;
    return status;
}

static sx_status search_snapshot(nearest *search, size_t count, const char *const *filters, size_t filter_count,
                                 sx_candidate *candidates, size_t *found, sx_error *error)
{
    sx_segment_list list = {0};
    sx_id_set allowed = {0};
    int64_t *ids = NULL;
    bool filtered = filter_count > 0;
    sx_status status = sx_segments_read(search->database, search->collection->id, &list, error);
    if (!status && filtered)
        status = sx_filter_chunks(search->database, search->collection->id, filters, filter_count, &ids, &allowed.count, error);
    if (status)
        goto out;
    sx_segments_unmap(search->database, search->collection->id, &list);
    allowed.ids = ids;
    status = find_helpers(search, &list, error);
    if (!status)
        status = scan(search, &list, filtered ? &allowed : NULL, error);
    if (status)
        goto out;
    bool full = search->topk.count == search->topk.capacity;
    sx_topk_sort(&search->topk);
    status = keep_living(search, count, candidates, found, error);
    if (!status && *found < count && full && !filtered) {
        status = sx_filter_chunks(search->database, search->collection->id, NULL, 0, &ids, &allowed.count, error);
        allowed.ids = ids;
        if (!status)
            status = scan(search, &list, &allowed, error);
        sx_topk_sort(&search->topk);
        if (!status)
            status = keep_living(search, count, candidates, found, error);
    }
out:
    free(ids);
    sx_segment_list_clear(&list);
    return status;
}

static sx_status prepare(nearest *search, const float *query, size_t count, sx_error *error)
{
    uint32_t dimensions = search->collection->dimensions;
    for (uint32_t i = 0; i < dimensions; i++)
        if (!isfinite(query[i]))
            return sx_fail(error, SX_E_INVALID, "the query's component %u is %f, not a number to compare with", i,
                           (double)query[i]);
    size_t capacity = count > SIZE_MAX / 4 ? SIZE_MAX / 4 : count;
    int64_t chunks = COUNTED_FROM; /* more candidates than chunks need no room; counting them takes longer than a few */
    sx_status status = SX_OK;
    if (capacity > COUNTED_FROM)
        status = sx_sql_number(search->database, "SELECT count(*) FROM chunk WHERE collection = ? AND vector IS NOT NULL", 0,
                               &chunks, error, "i", search->collection->id);
    if (!status)
        status = sx_segments_measure(search->database, search->collection->recipe, &search->measure, error);
    if (status)
        return status;
    if (capacity > (size_t)chunks)
        capacity = (size_t)chunks;
    if (!sx_topk_open(&search->topk, capacity + SPARE_CANDIDATES))
        return sx_fail_nomem(error, (capacity + SPARE_CANDIDATES) * sizeof(sx_ranked));
    float *scaled = sx_calloc(dimensions, sizeof *scaled);
    if (!scaled)
        return sx_fail_nomem(error, dimensions * sizeof *scaled);
    memcpy(scaled, query, dimensions * sizeof *query);
    if (search->measure == SX_MEASURE_COSINE)
        sx_exact_normalize(scaled, dimensions);
    status = sx_exact_query_open(&search->query, sx_dot_kernels_for(0), scaled, dimensions, error);
    free(scaled);
    return status;
}

static void clear(nearest *search)
{
    sx_exact_query_close(&search->query);
    sx_topk_close(&search->topk);
    free(search->lost);
}

sx_status sx_store_nearest(sx_database *database, const sx_collection_row *collection, const float *query, size_t count,
                           const char *const *filters, size_t filter_count, sx_candidate *candidates, size_t *found,
                           sx_error *error)
{
    return sx_store_nearest_by(database, collection, query, count, filters, filter_count, NULL, candidates, found, error);
}

sx_status sx_store_nearest_by(sx_database *database, const sx_collection_row *collection, const float *query, size_t count,
                              const char *const *filters, size_t filter_count, const sx_nearest_options *options,
                              sx_candidate *candidates, size_t *found, sx_error *error)
{
    size_t ef = options && options->exact ? 0 : options && options->ef_search ? options->ef_search : SX_HNSW_EF_SEARCH;
    if (!database || !collection || !query || !found || (count && !candidates) || (filter_count && !filters))
        return sx_fail(error, SX_E_INVALID, "sx_store_nearest: an argument is NULL");
    *found = 0;
    sx_status status = SX_OK;
    for (int attempt = 0; attempt < RETRIES; attempt++) {
        nearest search = {.database = database, .collection = collection, .ef = ef};
        status = sx_snapshot_begin(database, error);
        if (!status)
            status = prepare(&search, query, count, error);
        if (!status)
            status = search_snapshot(&search, count, filters, filter_count, candidates, found, error);
        sx_snapshot_end(database);
        /* A file that is not there was mostly replaced by a newer one between our snapshot and now: look again. */
        bool again = !status && search.missing && attempt + 1 < RETRIES && !database->writing;
        if (!status && !again && search.lost_count && !database->writing) {
            /* The answer is right already; that the next one is fast again must not make this one fail. */
            sx_error reason = {0};
            if (search.missing)
                sx_store_log(database, SX_LOG_WARNING, "%s: a file is missing there; it is being rebuilt", database->folder);
            if (sx_segments_heal(database, collection->id, search.lost, search.lost_count, &reason))
                sx_store_log(database, SX_LOG_WARNING, "%s", reason.message);
        }
        clear(&search);
        if (!again)
            break;
    }
    if (status)
        *found = 0;
    return status;
}
