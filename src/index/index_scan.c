/* index_scan.c - the scan: every file below the paths is compared with what is recorded, before anything is embedded, so that
 * totals are known; and the removal at the end of what the scan has not met.
 *
 * A file is unchanged when its size, times and inode are as recorded, it was not changed within the clock's grain of being
 * read (racy: then its bytes are compared), and what decides its chunks is the same.
 */
#include "index_records.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>

static const int64_t racy_grain_ns = 2000000000; /* FAT's, the coarsest */
static const int64_t transaction_most_ns = 100000000;
enum { TRANSACTION_MOST_WRITES = 256 };

/* ---- Transactions ---- */

sx_status sx_index_transaction(index_job *job, sx_error *error)
{
    if (job->in_transaction)
        return SX_OK;
    sx_status status = sx_store_begin(job->database, error);
    if (status)
        return status;
    job->in_transaction = true;
    job->transaction_writes = 0;
    job->transaction_began = sx_index_now(job);
    return SX_OK;
}

sx_status sx_index_transaction_end(index_job *job, sx_error *error)
{
    if (!job->in_transaction)
        return SX_OK;
    job->in_transaction = false;
    return sx_store_commit(job->database, error);
}

/* Others wait while a transaction is open: it must be short in number and in time. */
sx_status sx_index_transaction_step(index_job *job, sx_error *error)
{
    if (job->in_transaction && (++job->transaction_writes >= TRANSACTION_MOST_WRITES ||
                                sx_index_now(job) - job->transaction_began > transaction_most_ns))
        return sx_index_transaction_end(job, error);
    return SX_OK;
}

/* ---- The scan ---- */

typedef struct index_scan {
    index_job *job;
    uint32_t target;
} index_scan;

static bool is_same_file(const sx_document_row *row, const struct stat *status)
{
    int64_t mtime = (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
    int64_t ctime = (int64_t)status->st_ctim.tv_sec * 1000000000 + status->st_ctim.tv_nsec;
    int64_t newest = mtime > ctime ? mtime : ctime;
    return row->file.inode == (uint64_t)status->st_ino &&
           row->file.size == (uint64_t)status->st_size && row->file.mtime_ns == mtime && row->file.ctime_ns == ctime &&
           row->file.scanned_ns > newest + racy_grain_ns;
}

static bool is_unchanged(const index_job *job, const sx_document_row *row, const struct stat *status)
{
    return (row->state == SX_DOCUMENT_DONE || row->state == SX_DOCUMENT_SKIPPED) && !job->options.force &&
           is_same_file(row, status) && !memcmp(&row->settings, &job->settings, sizeof row->settings) &&
           ((row->state == SX_DOCUMENT_SKIPPED && !sx_index_is_container(row)) || sx_index_metadata_current(job, row->metadata));
}

static sx_status add_pending(index_job *job, const index_scan *scan, const sx_walk_entry *entry, sx_error *error)
{
    char *path = sx_arena_strndup(&job->names, entry->relative, strlen(entry->relative));
    if (!path || !sx_reserve((void **)&job->pending, &job->pending_capacity, job->pending_count + 1, sizeof *job->pending))
        return sx_fail_nomem(error, strlen(entry->relative) + sizeof *job->pending);
    uint64_t size = entry->status && entry->status->st_size > 0 ? (uint64_t)entry->status->st_size : 0;
    job->pending[job->pending_count++] = (index_pending){path, size, scan->target};
    return SX_OK;
}

static sx_status name_row(const index_job *job, const index_scan *scan, const sx_walk_entry *entry, sx_document_row *row,
                          sx_error *error)
{
    const char *root = job->targets.targets[scan->target].root;
    row->root = sx_strdup(root);
    row->path = sx_strdup(entry->relative);
    return row->root && row->path ? SX_OK : sx_fail_nomem(error, strlen(root) + strlen(entry->relative));
}

static sx_status mark_pending(index_job *job, const index_scan *scan, const sx_walk_entry *entry, sx_document_row *row,
                              sx_error *error)
{
    sx_status status = add_pending(job, scan, entry, error);
    if (status || job->options.dry_run)
        return status;
    if (row->id && row->state == SX_DOCUMENT_PENDING)
        return SX_OK;
    if (!row->id)
        status = name_row(job, scan, entry, row, error);
    if (!status)
        status = sx_index_transaction(job, error);
    if (!status)
        status = sx_store_document_pending(job->database, job->collection.id, row, error);
    return status;
}

/* A file the walk leaves out, or could not read. */
static sx_status note_left_out(index_job *job, const index_scan *scan, const sx_walk_entry *entry, sx_document_row *row,
                               sx_error *error)
{
    sx_status status;
    if (entry->failed) {
        char *path = sx_arena_strndup(&job->names, entry->relative, strlen(entry->relative));
        if (!path || !sx_reserve((void **)&job->blind, &job->blind_capacity, job->blind_count + 1, sizeof *job->blind))
            return sx_fail_nomem(error, strlen(entry->relative) + sizeof *job->blind);
        job->blind[job->blind_count].path = path;
        job->blind[job->blind_count++].target = scan->target;
        job->report->documents.failed++;
        status = sx_index_add_failed(job, entry->relative, -1, entry->skip, error);
    } else {
        status = sx_index_add_skipped(job, entry->relative, entry->skip, error);
    }
    sx_document_state state = entry->failed ? SX_DOCUMENT_FAILED : SX_DOCUMENT_SKIPPED;
    bool is_noted = row->id && row->state == state && row->reason && !strcmp(row->reason, entry->skip);
    /* A file that was never a document leaves no trace, unless it should have been one and is to be tried again. */
    bool is_worth_noting = row->id || (entry->failed && entry->status && S_ISREG(entry->status->st_mode));
    if (status || !is_worth_noting || job->options.dry_run || is_noted)
        return status;
    if (!row->id)
        status = name_row(job, scan, entry, row, error);
    if (status)
        return status;
    row->state = state;
    free(row->reason);
    row->reason = sx_strdup(entry->skip);
    if (!row->reason)
        return sx_fail_nomem(error, strlen(entry->skip));
    if (!entry->failed) /* its chunks go: nothing is committed of it any more, and it is read again when it comes back */
        memset(&row->content, 0, sizeof row->content);
    row->file.scanned_ns = 0;
    status = sx_index_transaction(job, error);
    if (!status)
        status = sx_store_document_note(job->database, job->collection.id, row, error);
    return status;
}

static sx_status decide(index_job *job, const index_scan *scan, const sx_walk_entry *entry, sx_document_row *row, sx_error *error)
{
    if (job->options.retry_failed && (!row->id || row->state != SX_DOCUMENT_FAILED)) {
        job->report->documents.unchanged += row->id && row->state == SX_DOCUMENT_DONE;
        return SX_OK;
    }
    if (entry->skip)
        return note_left_out(job, scan, entry, row, error);
    if (job->options.retry_failed)
        return mark_pending(job, scan, entry, row, error);
    if (!row->id || !is_unchanged(job, row, entry->status))
        return mark_pending(job, scan, entry, row, error);
    if (sx_index_is_container(row))
        return sx_index_container_unchanged(job, row, error);
    if (row->state == SX_DOCUMENT_SKIPPED)
        return sx_index_add_skipped(job, entry->relative, row->reason ? row->reason : "skipped before", error);
    job->report->documents.unchanged++;
    return SX_OK;
}

static sx_status visit(const sx_walk_entry *entry, void *user, sx_error *error)
{
    index_scan *scan = user;
    index_job *job = scan->job;
    const sx_index_target *target = &job->targets.targets[scan->target];
    if (sx_index_stopped(job))
        return sx_index_stop_status(error);
    if (!sx_path_is_in(entry->relative, target->below)) /* the walk starts at the root, whose ignore files count here too */
        return SX_OK;
    sx_document_row row = {0};
    sx_status status = SX_OK;
    sx_walk_entry other = *entry;
    if (!entry->skip && target->is_folder)
        other.skip = sx_index_no_records(job, entry->relative);
    entry = &other;
    if (job->collection.id)
        status = sx_store_document_find(job->database, job->collection.id, target->root, entry->relative, &row, error);
    if (!status) {
        job->progress.done++;
        status = decide(job, scan, entry, &row, error);
    }
    if (!status && row.id)
        status = sx_store_scan_met(job->database, row.id, error);
    if (!status)
        status = sx_index_transaction_step(job, error);
    sx_document_row_clear(&row);
    sx_index_show(job, false);
    return status;
}

sx_status sx_index_scan(index_job *job, sx_error *error)
{
    sx_index_phase(job, "scanning", "files", 0, 0); /* how many there are is what this phase finds out */
    sx_status status = job->collection.id ? sx_store_scan_begin(job->database, error) : SX_OK;
    for (size_t i = 0; !status && i < job->targets.count; i++) {
        const sx_index_target *target = &job->targets.targets[i];
        index_scan scan = {job, (uint32_t)i};
        const index_only *only = &job->only[i];
        job->walk.only = only->count && !only->paths[0][0] ? NULL : (const char *const *)only->paths;
        job->walk.only_count = only->count;
        if (!only->count)
            continue;
        if (target->is_folder)
            status = sx_walk(target->root, &job->walk, visit, &scan, error);
        else
            status = sx_walk_file(target->absolute, target->below, &job->walk, visit, &scan, error);
    }
    sx_status ended = sx_index_transaction_end(job, status ? NULL : error);
    job->report->documents.total = (uint64_t)((int64_t)job->progress.done + job->more_documents);
    return status ? status : ended;
}

/* ---- Removal ---- */

static sx_status remove_documents(index_job *job, const int64_t *ids, size_t count, sx_error *error)
{
    sx_status status = SX_OK;
    for (size_t i = 0; !status && i < count && !job->options.dry_run; i++) {
        if (sx_index_stopped(job)) {
            status = sx_index_stop_status(error);
            break;
        }
        status = sx_index_transaction(job, error);
        if (!status)
            status = sx_store_document_remove(job->database, ids[i], error);
        if (!status)
            status = sx_index_transaction_step(job, error);
    }
    sx_status ended = sx_index_transaction_end(job, status ? NULL : error);
    return status ? status : ended;
}

typedef struct index_gone {
    const index_job *job;
    uint32_t target;
    int64_t *ids;
    size_t count, capacity;
    uint64_t documents; /* of those, not just skipped files */
} index_gone;

static sx_status collect_gone(const sx_document_row *row, void *user, sx_error *error)
{
    index_gone *gone = user;
    for (size_t i = 0; i < gone->job->blind_count; i++)
        if (gone->job->blind[i].target == gone->target && sx_path_is_in(row->path, gone->job->blind[i].path))
            return SX_OK;
    if (!sx_reserve((void **)&gone->ids, &gone->capacity, gone->count + 1, sizeof *gone->ids))
        return sx_fail_nomem(error, sizeof *gone->ids);
    gone->ids[gone->count++] = row->id;
    gone->documents += row->state != SX_DOCUMENT_SKIPPED;
    return SX_OK;
}

sx_status sx_index_remove_unmet(index_job *job, sx_error *error)
{
    sx_status status = SX_OK;
    if (!job->collection.id)
        return SX_OK;
    for (size_t i = 0; !status && i < job->targets.count; i++) {
        const sx_index_target *target = &job->targets.targets[i];
        index_gone gone = {.job = job, .target = (uint32_t)i};
        for (size_t j = 0; !status && j < job->only[i].count; j++)
            status = sx_store_scan_unmet(job->database, job->collection.id, target->root, job->only[i].paths[j], collect_gone, &gone,
                                         error);
        /* Waiting and embedding take hours, in which a disk may have been unmounted. */
        if (!status && gone.count)
            status = sx_index_target_check(target, error);
        if (!status)
            status = remove_documents(job, gone.ids, gone.count, error);
        if (!status)
            job->report->documents.removed += gone.documents;
        free(gone.ids);
    }
    return status;
}

/* ---- Roots inside of roots ---- */

typedef struct index_absorbed {
    index_gone *gone;
    const char *root;   /* the outer one */
    const char *inside; /* the inner one's path below it */
} index_absorbed;

/* A document of an inner root that the outer one has too goes; what the outer one leaves out (ignored there) stays. */
static sx_status collect_double(const sx_document_row *row, void *user, sx_error *error)
{
    index_absorbed *absorbed = user;
    index_gone *gone = absorbed->gone;
    sx_document_row outer = {0};
    char *path = sx_path_join(absorbed->inside, row->path);
    if (!path)
        return sx_fail_nomem(error, strlen(row->path));
    sx_status status =
        sx_store_document_find(gone->job->database, gone->job->collection.id, absorbed->root, path, &outer, error);
    free(path);
    bool found = outer.id && outer.state != SX_DOCUMENT_SKIPPED;
    sx_document_row_clear(&outer);
    if (status || !found)
        return status;
    if (!sx_reserve((void **)&gone->ids, &gone->capacity, gone->count + 1, sizeof *gone->ids))
        return sx_fail_nomem(error, sizeof *gone->ids);
    gone->ids[gone->count++] = row->id;
    gone->documents += row->state != SX_DOCUMENT_SKIPPED;
    return SX_OK;
}

sx_status sx_index_absorb_roots(index_job *job, sx_error *error)
{
    sx_status status = SX_OK;
    for (size_t i = 0; !status && job->collection.id && i < job->targets.count; i++) {
        const sx_index_target *target = &job->targets.targets[i];
        size_t length = strlen(target->root);
        char *root = sx_strdup(target->root), *next = NULL;
        if (!root)
            return sx_fail_nomem(error, length);
        /* Not all of them lie next to the outer root in the order: "/a-b" comes between "/a" and "/a/b". */
        while (!status && !(status = sx_store_next_root(job->database, job->collection.id, root, &next, error)) && next &&
               !strncmp(next, target->root, length)) {
            index_gone gone = {.job = job, .target = (uint32_t)i};
            const char *inside = next + length + (target->root[length - 1] != '/');
            index_absorbed absorbed = {&gone, target->root, inside};
            if (sx_path_is_in(next, target->root))
                status = sx_store_documents(job->database, job->collection.id, next, "", collect_double, &absorbed, error);
            if (!status)
                status = remove_documents(job, gone.ids, gone.count, error);
            if (!status)
                job->report->documents.removed += gone.documents;
            free(gone.ids);
            free(root);
            root = next;
        }
        if (root != next)
            free(next);
        free(root);
    }
    return status;
}
