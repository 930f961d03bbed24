/* index_container.c - a file of many documents, on its way through the window.
 *
 * The file has a row of its own, without chunks, which says what it was when it was read; its documents lie "in" it, as files lie in a
 * folder: data.csv holds data.csv/17. So what removes a folder's documents removes a file's, and so does the scan for what is gone.
 * The file's row is written last, when all its documents are committed: a run that was stopped reads the file again, and finds what
 * it did already as it is. */
#include "index_records.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_ID = 1024 };

bool sx_index_is_container(const sx_document_row *row)
{
    return row->media_type && !strcmp(row->media_type, SX_RECORDS_MEDIA_TYPE);
}

void sx_index_container_free(index_container *container)
{
    if (!container)
        return;
    sx_index_records_close(container->records);
    sx_hash_set_clear(&container->seen);
    sx_document_row_clear(&container->row);
    free(container);
}

/* What of it is stored is not known to be gone. */
static sx_status keep_the_rest(index_job *job, index_container *container, sx_error *error)
{
    if (!sx_reserve((void **)&job->blind, &job->blind_capacity, job->blind_count + 1, sizeof *job->blind))
        return sx_fail_nomem(error, sizeof *job->blind);
    job->blind[job->blind_count].path = container->pending.path;
    job->blind[job->blind_count++].target = container->pending.target;
    return SX_OK;
}

/* The file cannot be read, or not on: what was read of it before stays. */
static sx_status give_up(index_job *job, index_container *container, const char *path, const sx_error *problem, sx_error *error)
{
    const char *reason = sx_index_reason(problem, path);
    if (problem->code == SX_E_NOMEM || problem->code == SX_E_STOPPED) {
        if (error)
            *error = *problem;
        return problem->code;
    }
    container->left = true;
    job->report->documents.total++;
    sx_status status = keep_the_rest(job, container, error);
    return status ? status : sx_index_note(job, &container->row, SX_DOCUMENT_FAILED, reason, error);
}

sx_status sx_index_container_open(index_job *job, const index_pending *pending, index_container **out, sx_error *error)
{
    *out = NULL;
    index_container *container = sx_calloc(1, sizeof *container);
    char *path = sx_path_join(job->targets.targets[pending->target].root, pending->path);
    sx_error problem = {0};
    sx_status status = container && path ? SX_OK : sx_fail_nomem(error, sizeof *container);
    if (!status) {
        container->pending = *pending;
        status = sx_index_find_row(job, pending, &container->row, error);
    }
    if (status)
        goto out;
    container->scanned_ns = job->embedder->clock.wall_ns(job->embedder->clock.user);
    if (stat(path, &container->file))
        memset(&container->file, 0, sizeof container->file); /* gone: opening it says so */
    job->report->documents.total--; /* its documents count, not the file */
    problem.code = sx_index_records_open(job, path, &container->records, &problem);
    if (problem.code == SX_E_UNSUPPORTED) {
        job->report->documents.total++;
        status = sx_index_note(job, &container->row, SX_DOCUMENT_SKIPPED, problem.message, error);
    } else if (problem.code) {
        status = give_up(job, container, path, &problem, error);
    } else {
        *out = container;
    }
out:
    if (!*out)
        sx_index_container_free(container);
    free(path);
    return status;
}

/* The record cannot be a document. */
static sx_status refuse(index_job *job, index_container *container, const char *reason, sx_error *error)
{
    container->failed++;
    job->report->documents.failed++;
    return sx_index_add_failed(job, container->pending.path, -1, reason, error);
}

/* *added false: another record of the file has this id. */
static sx_status add_id(index_container *container, const char *id, bool *added, sx_error *error)
{
    sx_sha256 hash;
    sx_sha256_of(id, strlen(id), &hash);
    return sx_hash_set_add(&container->seen, &hash, added, error);
}

static sx_status check_id(index_container *container, index_record *record, char problem[256], sx_error *error)
{
    char place[32] = "", *apart = NULL;
    bool added = true, sound = strlen(record->id) <= LONGEST_ID;
    if (record->line)
        snprintf(place, sizeof place, "line %u: ", record->line);
    for (const char *at = record->id; *at; at++)
        sound = sound && (unsigned char)*at >= 0x20 && *at != 0x7f;
    problem[0] = '\0';
    if (!sound) {
        snprintf(problem, 256, "%sits id is longer than %d bytes or has control characters", place, LONGEST_ID);
        return SX_OK;
    }
    sx_status status = add_id(container, record->id, &added, error);
    if (!status && !added && record->copy) {
        if (asprintf(&apart, "%s#%zu", record->id, record->copy) < 0)
            return sx_fail_nomem(error, strlen(record->id));
        free(record->id);
        record->id = apart;
        status = add_id(container, record->id, &added, error);
    }
    if (!status && !added)
        snprintf(problem, 256, "%sthe id %.100s is given twice", place, record->id);
    return status;
}

static sx_status read_one(index_job *job, index_container *container, index_record *record, index_work **out, sx_error *error)
{
    char problem[256];
    sx_status status = check_id(container, record, problem, error);
    if (status)
        return status;
    if (problem[0])
        return refuse(job, container, problem, error);
    char *path = sx_path_join(container->pending.path, record->id);
    if (!path)
        return sx_fail_nomem(error, strlen(record->id));
    json_t *of_run = job->metadata, *of_record = record->metadata ? record->metadata : json_object();
    if (json_object_size(of_run))
        json_object_update(of_record, of_run);
    const index_pending pending = {path, record->length, container->pending.target};
    const index_given given = {{record->text, record->length}, record->media_type, record->line, record->fixed};
    job->metadata = of_record;
    job->whole_metadata = true;
    uint64_t failed = job->report->documents.failed;
    status = sx_index_read_given(job, &pending, &given, out, error);
    container->failed += job->report->documents.failed - failed;
    job->metadata = of_run;
    job->whole_metadata = false;
    if (!record->metadata)
        json_decref(of_record);
    free(path);
    return status;
}

sx_status sx_index_container_next(index_job *job, index_container *container, index_work **out, bool *more, sx_error *error)
{
    index_record record = {0};
    sx_error problem = {0};
    char *path = sx_path_join(job->targets.targets[container->pending.target].root, container->pending.path);
    sx_status status = SX_OK;
    *out = NULL;
    *more = false;
    if (!path)
        return sx_fail_nomem(error, strlen(container->pending.path));
    problem.code = sx_index_records_next(job, container->records, &record, more, &problem);
    if (problem.code) {
        *more = false;
        status = give_up(job, container, path, &problem, error);
    } else if (*more) {
        container->count++;
        job->report->documents.total++;
        if (record.problem) {
            problem.code = SX_E_FORMAT;
            snprintf(problem.message, sizeof problem.message, "%s", record.problem);
            status = refuse(job, container, sx_index_reason(&problem, path), error);
        } else {
            status = read_one(job, container, &record, out, error);
        }
    }
    if (!status && *out) {
        (*out)->container = container;
        (*out)->bytes_counted = (*out)->bytes; /* the file's bytes count at its end */
        container->open++;
    }
    if (!*more) {
        sx_index_records_close(container->records);
        container->records = NULL;
    }
    sx_index_record_clear(&record);
    free(path);
    return status;
}

sx_status sx_index_container_finish(index_job *job, index_container *container, sx_error *error)
{
    sx_document_row *row = &container->row;
    char reason[96];
    sx_status status = SX_OK;
    if (job->options.dry_run || container->left)
        return SX_OK;
    sx_index_record_file(row, &container->file, container->scanned_ns);
    if (job->options.query && sx_index_rows_unsettled(row->path))
        row->file.scanned_ns = 0;
    row->settings = job->settings;
    row->state = SX_DOCUMENT_SKIPPED; /* so that it counts as no document, and chunks go that it had as one */
    snprintf(reason, sizeof reason, "%llu records", (unsigned long long)container->count);
    free(row->metadata);
    free(row->reason);
    free(row->media_type);
    row->metadata = json_dumps(job->metadata, JSON_COMPACT | JSON_SORT_KEYS);
    row->reason = sx_strdup(reason);
    row->media_type = sx_strdup(SX_RECORDS_MEDIA_TYPE);
    if (!row->metadata || !row->reason || !row->media_type)
        return sx_fail_nomem(error, 256);
    status = sx_store_document_note(job->database, job->collection.id, row, error);
    if (status || !container->failed)
        return status;
    snprintf(reason, sizeof reason, "%llu of %llu records failed", (unsigned long long)container->failed,
             (unsigned long long)container->count);
    free(row->reason);
    row->reason = sx_strdup(reason);
    row->state = SX_DOCUMENT_FAILED;
    return row->reason ? sx_store_document_note(job->database, job->collection.id, row, error) : sx_fail_nomem(error, sizeof reason);
}

/* ---- The scan ---- */

typedef struct unchanged {
    index_job *job;
    const sx_document_row *file;
} unchanged;

static sx_status meet(const sx_document_row *row, void *user, sx_error *error)
{
    unchanged *all = user;
    sx_index_report *report = all->job->report;
    if (row->id == all->file->id)
        return SX_OK;
    all->job->more_documents++;
    sx_status status = sx_store_scan_met(all->job->database, row->id, error);
    if (status)
        return status;
    if (row->state == SX_DOCUMENT_SKIPPED)
        return sx_index_add_skipped(all->job, row->path, row->reason ? row->reason : "skipped before", error);
    report->documents.unchanged++;
    return SX_OK;
}

sx_status sx_index_container_unchanged(index_job *job, const sx_document_row *row, sx_error *error)
{
    unchanged all = {job, row};
    job->more_documents--; /* the file itself */
    return sx_store_documents(job->database, job->collection.id, row->root, row->path, meet, &all, error);
}
