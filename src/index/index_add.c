/* index_add.c - sx_add and sx_remove_added: documents that are given rather than read from files.
 *
 * They go the way of files (index_job.h) from cutting on, under a root that no folder can have. What is given takes the place of
 * what was there under its id; the rest of the collection is not looked at.
 */
#include "index_job.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../base/options.h"
#include "../text/utf8.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST_ID = 1024, TRANSACTION_MOST_DOCUMENTS = 256 };

static bool is_id(const char *id)
{
    size_t length = id ? strnlen(id, LONGEST_ID + 1) : 0;
    if (!length || length > LONGEST_ID || !sx_utf8_valid(id, length, NULL))
        return false;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)id[i] < 0x20 || id[i] == 0x7f)
            return false;
    return true;
}

static sx_status check_ids(const sx_new_document *documents, size_t count, sx_error *error)
{
    sx_hash_set seen = {0};
    sx_status status = SX_OK;
    for (size_t i = 0; !status && i < count; i++) {
        const sx_new_document *document = &documents[i];
        sx_sha256 hash;
        bool added = true;
        if (!is_id(document->id)) {
            status = sx_fail(error, SX_E_INVALID, "document %zu: its id is no text of 1 to %d bytes without control characters",
                             i, LONGEST_ID);
        } else if (!document->text.data && document->text.length) {
            status = sx_fail(error, SX_E_INVALID, "document %zu (%.200s): text is NULL with length %zu", i, document->id,
                             document->text.length);
        } else {
            sx_sha256_of(document->id, strlen(document->id), &hash);
            status = sx_hash_set_add(&seen, &hash, &added, error);
        }
        if (!status && !added)
            status = sx_fail(error, SX_E_INVALID, "document %zu: the id %.200s is given twice", i, document->id);
    }
    sx_hash_set_clear(&seen);
    return status;
}

static sx_status read_metadata(index_job *job, size_t count, sx_error *error)
{
    job->given_metadata = sx_calloc(count, sizeof *job->given_metadata);
    if (!job->given_metadata)
        return sx_fail_nomem(error, count * sizeof *job->given_metadata);
    for (size_t i = 0; i < count; i++) {
        const sx_new_document *document = &job->given[i];
        json_error_t problem;
        json_t *metadata = json_loads(document->metadata ? document->metadata : "{}", JSON_REJECT_DUPLICATES, &problem);
        job->given_metadata[i] = metadata;
        if (!metadata)
            return sx_fail(error, SX_E_INVALID, "document %zu (%.200s): its metadata are no JSON: %s", i, document->id,
                           problem.text);
        if (!json_is_object(metadata))
            return sx_fail(error, SX_E_INVALID, "document %zu (%.200s): its metadata are no JSON object", i, document->id);
    }
    return SX_OK;
}

static sx_status read_options(index_job *job, const sx_add_options *options, sx_error *error)
{
    sx_add_options known;
    sx_status status = sx_options_read(options, &known, sizeof known, "sx_add_options", error);
    if (!status && known.chunk.size)
        status = sx_options_read(&known.chunk, &job->chunk, sizeof job->chunk, "sx_add_options.chunk", error);
    job->options = (sx_index_options){
        .collection = known.collection ? known.collection : "default",
        .chunk = known.chunk,
        .allow_secrets = known.allow_secrets,
        .no_wait = known.no_wait,
        .stop = known.stop,
    };
    return status;
}

static sx_status list_given(index_job *job, size_t count, sx_error *error)
{
    job->targets.targets = sx_calloc(1, sizeof *job->targets.targets);
    job->pending = sx_calloc(count, sizeof *job->pending);
    if (!job->targets.targets || !job->pending)
        return sx_fail_nomem(error, count * sizeof *job->pending);
    job->targets.count = 1;
    job->targets.targets->root = sx_strdup(SX_ADDED_ROOT);
    if (!job->targets.targets->root)
        return sx_fail_nomem(error, sizeof SX_ADDED_ROOT);
    for (size_t i = 0; i < count; i++)
        job->pending[i] = (index_pending){job->given[i].id, job->given[i].text.length, 0};
    job->pending_count = count;
    return SX_OK;
}

sx_status sx_add(sx_database *database, sx_embedder *embedder, const sx_new_document *documents, size_t count,
                 const sx_add_options *options, sx_index_report **report, sx_error *error)
{
    static const sx_new_document none = {0};
    if (report)
        *report = NULL;
    if (!database || !embedder || !report || (count && !documents))
        return sx_fail(error, SX_E_INVALID, "sx_add: database, embedder, documents or report is NULL");
    index_job job = {.database = database, .embedder = embedder, .given = count ? documents : &none, .whole_metadata = true};
    sx_status status = sx_index_report_make(report, error);
    if (status)
        return status;
    job.report = *report;
    job.report->documents.total = count;
    status = read_options(&job, options, error);
    if (!status)
        status = check_ids(documents, count, error);
    if (!status)
        status = read_metadata(&job, count, error);
    if (!status)
        status = list_given(&job, count, error);
    if (!status)
        status = sx_index_run(&job, error);
    sx_index_close(&job);
    for (size_t i = 0; job.given_metadata && i < count; i++)
        json_decref(job.given_metadata[i]);
    free(job.given_metadata);
    return status;
}

/* ---- Taking out ---- */

static sx_status remove_some(sx_database *database, int64_t collection, const char *const *ids, size_t count, uint64_t *removed,
                             sx_error *error)
{
    uint64_t gone = 0;
    sx_status status = sx_store_begin(database, error);
    for (size_t i = 0; !status && i < count; i++) {
        sx_document_row row = {0};
        status = sx_store_document_find(database, collection, SX_ADDED_ROOT, ids[i], &row, error);
        if (!status && row.id) {
            status = sx_store_document_remove(database, row.id, error);
            gone++;
        }
        sx_document_row_clear(&row);
    }
    if (!status)
        status = sx_store_commit(database, error);
    if (status)
        sx_store_rollback(database);
    else
        *removed += gone;
    return status;
}

sx_status sx_remove_added(sx_database *database, const char *collection, const char *const *ids, size_t count,
                          uint64_t *removed, sx_error *error)
{
    uint64_t gone = 0;
    if (removed)
        *removed = 0;
    if (!database || (count && !ids))
        return sx_fail(error, SX_E_INVALID, "sx_remove_added: database or ids is NULL");
    for (size_t i = 0; i < count; i++)
        if (!ids[i])
            return sx_fail(error, SX_E_INVALID, "sx_remove_added: id %zu is NULL", i);
    sx_collection_row row = {0};
    sx_status status = sx_store_collection_find(database, collection ? collection : "default", &row, error);
    if (status)
        return status;
    status = sx_store_lease(database, row.id, false, NULL, error);
    if (!status) {
        for (size_t i = 0; !status && i < count; i += TRANSACTION_MOST_DOCUMENTS) {
            size_t some = count - i < TRANSACTION_MOST_DOCUMENTS ? count - i : TRANSACTION_MOST_DOCUMENTS;
            status = remove_some(database, row.id, ids + i, some, &gone, error);
        }
        if (!status)
            status = sx_store_publish(database, row.id, false, error);
        sx_store_lease_release(database, row.id);
    }
    if (removed)
        *removed = gone;
    sx_collection_row_clear(&row);
    return status;
}
