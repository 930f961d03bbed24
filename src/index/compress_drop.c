/* compress_drop.c - sx_compress_drop: a compressed collection without the floats it was made from.
 *
 * What is lost is measured first, as sx_compress does: searches have the packed scores alone from then on. */
#include "../base/clock.h"
#include "../base/error.h"
#include "../base/options.h"
#include "../store/packed.h"
#include "../store/packed_vectors.h"
#include "../store/store.h"

#include <string.h>

typedef struct drop_run {
    sx_database *database;
    sx_compress_options options;
    sx_collection_row collection;
} drop_run;

static sx_status measure(drop_run *run, const char *method, sx_compress_drop_report *report, sx_error *error)
{
    sx_compress_options how = run->options;
    sx_compress_report measured = {0};
    how.size = sizeof how;
    how.to = method;
    how.dry_run = 1;
    sx_status status = sx_compress(run->database, &how, &measured, error);
    report->queries = measured.queries;
    report->count = measured.count;
    report->recall = measured.recall;
    report->recall_alone = measured.recall_alone;
    return status;
}

/* What the segments' files hold: rows, their codes and ids. */
static sx_status count_segments(drop_run *run, uint64_t *bytes, sx_error *error)
{
    sx_segment_list list;
    sx_status status = sx_segments_read(run->database, run->collection.id, &list, error);
    uint64_t floats = (run->collection.dimensions + 15) / 16 * 16, codes = sx_code_dimensions(run->collection.dimensions);
    for (size_t i = 0; i < list.count && !status; i++)
        *bytes += (uint64_t)list.rows[i].rows * (floats * sizeof(float) + codes + 2 * sizeof(float) + 2 * sizeof(int64_t));
    sx_segment_list_clear(&list);
    return status;
}

/* The packed file speaks for every chunk before floats go. */
static sx_status pack_what_is_new(drop_run *run, const sx_packing **packing, sx_error *error)
{
    uint64_t since = 0;
    sx_status status = sx_store_packing_of(run->database, &run->collection, packing, &since, error);
    if (status || !since)
        return status;
    sx_packing same = **packing;
    status = sx_store_pack(run->database, &run->collection, &same, error);
    return status ? status : sx_store_packing_of(run->database, &run->collection, packing, &since, error);
}

static sx_status drop(drop_run *run, sx_drop_counts *counts, sx_error *error)
{
    const sx_packing *packing;
    sx_status status = sx_store_lease(run->database, run->collection.id, true, run->options.stop, error);
    if (status)
        return status;
    status = pack_what_is_new(run, &packing, error);
    if (!status)
        status = sx_store_drop_floats(run->database, &run->collection, packing, run->options.stop, counts, error);
    sx_store_lease_release(run->database, run->collection.id);
    return status;
}

static sx_status find(drop_run *run, const sx_compress_options *options, const sx_packing **packing, sx_error *error)
{
    uint64_t since;
    sx_status status = sx_options_read(options, &run->options, sizeof run->options, "sx_compress_options", error);
    if (!status && run->options.to)
        status = sx_fail(error, SX_E_INVALID, "sx_compress_drop: `to` is %s; what the collection is compressed to stays",
                         run->options.to);
    if (!status)
        status = sx_store_collection_find(run->database, run->options.collection ? run->options.collection : "default",
                                          &run->collection, error);
    if (!status)
        status = sx_store_packing_of(run->database, &run->collection, packing, &since, error);
    if (!status && !*packing) {
        status = sx_fail(error, SX_E_NOT_FOUND, "collection %s: is not compressed", run->collection.name);
        sx_hint(error, "compress it first: sextant compress -c %s --to int8", run->collection.name);
    }
    return status;
}

sx_status sx_compress_drop(sx_database *database, const sx_compress_options *options, sx_compress_drop_report *report,
                           sx_error *error)
{
    drop_run run = {.database = database};
    const sx_packing *packing = NULL;
    sx_drop_counts counts = {0};
    int64_t began = sx_system_clock.monotonic_ns(NULL);
    if (!database || !options || !report)
        return sx_fail(error, SX_E_INVALID, "sx_compress_drop: an argument is NULL");
    *report = (sx_compress_drop_report){.recall = 1, .recall_alone = 1};
    sx_status status = find(&run, options, &packing, error);
    if (!status) {
        sx_packing_name(packing, report->method);
        status = sx_store_count_drop(database, &run.collection, packing, &counts, error);
    }
    if (!status)
        status = count_segments(&run, &report->segment_bytes, error);
    if (!status && counts.vectors)
        status = measure(&run, report->method, report, error);
    if (!status && !run.options.dry_run) {
        status = drop(&run, &counts, error);
        report->done = !status;
    }
    report->vectors = counts.vectors;
    report->shared = counts.shared;
    report->bytes_before = counts.bytes_before;
    report->bytes_after = counts.bytes_after;
    if (report->done)
        report->shrunk = !sx_store_shrink(database, NULL);
    report->seconds = (double)(sx_system_clock.monotonic_ns(NULL) - began) / 1e9;
    sx_collection_row_clear(&run.collection);
    return status;
}
