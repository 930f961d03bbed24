/* publish.c - writing committed chunks into mapped segments, merging them, and clearing away what nothing refers to.
 *
 * A file is written under a name of its own, flushed, and only then named in the table, in one transaction with the removal of
 * those it replaces. Killed before, it is an orphan for the next sweep; killed after, all is done. Rows always come from the
 * tables, never from older segments, so damage cannot spread.
 *
 * Merging is tiered: a new part swallows left neighbours less than twice its size, so each row is rewritten a logarithmic number
 * of times, and segments of which more than a quarter is dead are rewritten. */
#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"
#include "collections.h"
#include "packed.h"
#include "segments.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PUBLISH_ROWS = 4096, MOST_SEGMENTS = 8 };

/* A range of chunk ids that will be one segment. */
typedef struct publish_part {
    int64_t first, last; /* the range it speaks for */
    int64_t live;        /* chunks in it */
    bool dirty;          /* must be written; else it is the segment as it stands */
} publish_part;
typedef struct publish_plan {
    publish_part *parts;
    size_t count, capacity;
    sx_segment_list before;
    sx_measure measure;
} publish_plan;

static sx_status live_in(sx_database *database, int64_t collection, int64_t first, int64_t last, int64_t *live, sx_error *error)
{
    return sx_sql_number(database,
                         "SELECT count(*) FROM chunk WHERE collection = ? AND vector IS NOT NULL AND id BETWEEN ? AND ?", 0, live,
                         error, "iii", collection, first, last);
}

static sx_status add_part(publish_plan *plan, publish_part part, sx_error *error)
{
    if (!sx_reserve((void **)&plan->parts, &plan->capacity, plan->count + 1, sizeof *plan->parts))
        return sx_fail_nomem(error, sizeof *plan->parts);
    plan->parts[plan->count++] = part;
    return SX_OK;
}

static sx_status add_gap(sx_database *database, int64_t collection, publish_plan *plan, int64_t first, int64_t last,
                         int64_t *gathered, sx_error *error)
{
    publish_part gap = {.first = first, .last = last, .dirty = true};
    if (first > last)
        return SX_OK;
    sx_status status = live_in(database, collection, first, last, &gap.live, error);
    *gathered += gap.live;
    return status || !gap.live ? status : add_part(plan, gap, error);
}

/* Segments and the gaps between them, in order of ids. *gathered: chunks in no segment. *sick: a segment wants rewriting. */
static sx_status survey(sx_database *database, int64_t collection, publish_plan *plan, int64_t *gathered, bool *sick,
                        sx_error *error)
{
    int64_t next = 1, newest;
    *gathered = 0;
    *sick = false;
    sx_status status = sx_segments_read(database, collection, &plan->before, error);
    if (!status)
        status =
            sx_sql_number(database, "SELECT id FROM chunk WHERE collection = ? AND vector IS NOT NULL ORDER BY id DESC LIMIT 1",
                          0, &newest, error, "i", collection);
    for (size_t i = 0; i < plan->before.count && !status; i++) {
        const sx_segment_row *row = &plan->before.rows[i];
        publish_part whole = {.first = row->first_chunk, .last = row->last_chunk};
        if (!(status = add_gap(database, collection, plan, next, row->first_chunk - 1, gathered, error)))
            status = live_in(database, collection, whole.first, whole.last, &whole.live, error);
        whole.dirty = row->rows - whole.live > row->rows / 4 || whole.live == 0;
        *sick = *sick || whole.dirty;
        if (!status)
            status = add_part(plan, whole, error);
        next = row->last_chunk + 1;
    }
    return status ? status : add_gap(database, collection, plan, next, newest, gathered, error);
}

static void merge_with_next(publish_plan *plan, size_t at)
{
    plan->parts[at].last = plan->parts[at + 1].last;
    plan->parts[at].live += plan->parts[at + 1].live;
    plan->parts[at].dirty = true;
    memmove(&plan->parts[at + 1], &plan->parts[at + 2], (plan->count - at - 2) * sizeof *plan->parts);
    plan->count--;
}

static void merge(publish_plan *plan)
{
    for (size_t i = 1; i < plan->count;) {
        const publish_part *left = &plan->parts[i - 1], *right = &plan->parts[i];
        if ((left->dirty || right->dirty) && left->live < 2 * right->live) {
            merge_with_next(plan, i - 1);
            i = i > 1 ? i - 1 : 1;
        } else {
            i++;
        }
    }
    while (plan->count > MOST_SEGMENTS) {
        size_t least = 0;
        for (size_t i = 1; i + 1 < plan->count; i++)
            if (plan->parts[i].live + plan->parts[i + 1].live < plan->parts[least].live + plan->parts[least + 1].live)
                least = i;
        merge_with_next(plan, least);
    }
}

/* ---- Writing ---- */

typedef struct written_file {
    char *name; /* below the folder */
    uint64_t identity;
    int64_t rows, first, last;
} written_file;

typedef struct part_writing {
    sx_segment_writer *writer;
    int64_t rows;
} part_writing;

static sx_status write_row(int64_t chunk, const float *vector, void *user, sx_error *error)
{
    part_writing *writing = user;
    writing->rows++;
    return sx_segment_add(writing->writer, chunk, vector, error);
}

static sx_status write_part(sx_database *database, int64_t collection, uint32_t dimensions, const publish_plan *plan,
                            const publish_part *part, written_file *out, sx_error *error)
{
    part_writing writing = {0};
    char *path = NULL;
    /* The worker id says to a sweep whether whoever wrote it may still want it. */
    if (asprintf(&out->name, "collection-%lld-%llx-%u.sxv", (long long)collection, (unsigned long long)database->locks.worker,
                 ++database->file_sequence) < 0) {
        out->name = NULL;
        return sx_fail_nomem(error, 64);
    }
    sx_status status = SX_OK;
    if (!(path = sx_path_join(database->folder, out->name)))
        status = sx_fail_nomem(error, strlen(out->name));
    if (!status)
        status = sx_segment_create(path, collection, dimensions, &writing.writer, error);
    if (!status)
        status = sx_segments_from_rows(database, collection, dimensions, plan->measure, part->first, part->last, write_row,
                                       &writing, error);
    if (!status)
        status = sx_segment_finish(writing.writer, &out->identity, error);
    out->rows = writing.rows;
    out->first = part->first;
    out->last = part->last;
    sx_segment_writer_close(writing.writer);
    free(path);
    return status;
}

static void flush_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder)
        return;
    (void)fsync(dirfd(folder));
    closedir(folder);
}

/* Names the new files and forgets those they replace, unless another publisher was here since the survey. */
static sx_status publish_written(sx_database *database, int64_t collection, const publish_plan *plan, const written_file *files,
                                 size_t count, bool *published, sx_error *error)
{
    sx_scope scope;
    sx_segment_list now = {0};
    *published = false;
    sx_status status = sx_scope_enter(database, &scope, error);
    if (status)
        return status;
    int64_t there = 0;
    status = sx_segments_read(database, collection, &now, error);
    if (!status)
        status = sx_sql_number(database, "SELECT 1 FROM collection WHERE id = ? AND name IS NOT NULL", 0, &there, error, "i",
                               collection);
    bool same = !status && there && sx_segment_lists_equal(&now, &plan->before);
    for (size_t i = 0; i < plan->before.count && same && !status; i++)
        for (size_t j = 0; j < plan->count && !status; j++)
            if (plan->parts[j].dirty && plan->parts[j].first <= plan->before.rows[i].first_chunk &&
                plan->parts[j].last >= plan->before.rows[i].last_chunk)
                status = sx_sql_do(database, "DELETE FROM segment WHERE id = ?", error, "i", plan->before.rows[i].id);
    for (size_t i = 0; i < count && same && !status; i++)
        status = sx_sql_do(
            database, "INSERT INTO segment(collection, file, identity, rows, first_chunk, last_chunk) VALUES (?, ?, ?, ?, ?, ?)",
            error, "itiiii", collection, files[i].name, (int64_t)files[i].identity, files[i].rows, files[i].first, files[i].last);
    sx_segment_list_clear(&now);
    status = sx_scope_leave(database, &scope, status, error);
    *published = !status && same;
    return status;
}

static sx_status carry_out(sx_database *database, int64_t collection, uint32_t dimensions, const publish_plan *plan,
                           sx_error *error)
{
    bool published = false;
    size_t count = 0;
    written_file *files = sx_calloc(plan->count, sizeof *files);
    if (!files)
        return sx_fail_nomem(error, plan->count * sizeof *files);
    sx_status status = sx_make_folders(database->folder, error);
    /* Each part is read in a snapshot of its own: deletions in between only leave dead rows, and ids of a range never come later.
     */
    for (size_t i = 0; i < plan->count && !status; i++)
        if (plan->parts[i].dirty && plan->parts[i].live)
            status = write_part(database, collection, dimensions, plan, &plan->parts[i], &files[count++], error);
    if (!status) {
        flush_folder(database->folder);
        status = publish_written(database, collection, plan, files, count, &published, error);
    }
    for (size_t i = 0; i < count; i++) {
        if (!published && files[i].name)
            sx_store_unlink_segment(database, files[i].name);
        free(files[i].name);
    }
    free(files);
    return status;
}

/* graphs: those that are missing are made too, so watched; NULL: none are. */
static sx_status publish(sx_database *database, int64_t collection, bool force, const sx_publish_watch *graphs, sx_error *error)
{
    publish_plan plan = {0};
    int64_t gathered = 0, recipe = 0, dimensions = 0, dropped = 0;
    bool sick = false;
    /* Where the floats were dropped there is nothing to map but the packed file. */
    sx_status status =
        sx_sql_number(database, "SELECT 1 FROM packing WHERE collection = ? LIMIT 1", 0, &dropped, error, "i", collection);
    if (status || dropped)
        return status;
    status = sx_snapshot_begin(database, error);
    if (!status)
        status = sx_sql_number(database, "SELECT recipe FROM collection WHERE id = ? AND name IS NOT NULL", 0, &recipe, error,
                               "i", collection);
    if (!status && !recipe)
        status = sx_fail(error, SX_E_NOT_FOUND, "%s: there is no collection %lld", database->path, (long long)collection);
    if (!status)
        status = sx_sql_number(database, "SELECT dimensions FROM recipe WHERE id = ?", 0, &dimensions, error, "i", recipe);
    if (!status)
        status = sx_segments_measure(database, recipe, &plan.measure, error);
    if (!status)
        status = survey(database, collection, &plan, &gathered, &sick, error);
    sx_snapshot_end(database);
    if (!status && (sick || gathered >= PUBLISH_ROWS || (force && gathered))) {
        merge(&plan);
        status = carry_out(database, collection, (uint32_t)dimensions, &plan, error);
    }
    if (!status && graphs)
        status = sx_segments_make_graphs(database, collection, (uint32_t)dimensions, &plan.before, graphs, error);
    free(plan.parts);
    sx_segment_list_clear(&plan.before);
    return status;
}

static sx_status publish_and_sweep(sx_database *database, int64_t collection, bool force, const sx_publish_watch *graphs,
                                   sx_error *error)
{
    if (!database || database->writing)
        return sx_fail(error, SX_E_INVALID, "sx_store_publish: needs a database and no open transaction");
    sx_status status = sx_store_finish_deletions(database, error);
    if (!status)
        status = sx_store_drop_dead_claims(database, error);
    if (!status)
        status = publish(database, collection, force, graphs, error);
    if (!status)
        status = sx_store_repack(database, collection, error);
    return status ? status : sx_store_sweep_files(database, error);
}

sx_status sx_store_publish(sx_database *database, int64_t collection, bool force, sx_error *error)
{
    return sx_store_publish_watched(database, collection, force, NULL, error);
}

sx_status sx_store_publish_watched(sx_database *database, int64_t collection, bool force, const sx_publish_watch *watch,
                                   sx_error *error)
{
    static const sx_publish_watch nobody;
    return publish_and_sweep(database, collection, force, watch ? watch : &nobody, error);
}

sx_status sx_segments_heal(sx_database *database, int64_t collection, const int64_t *ids, size_t count, sx_error *error)
{
    sx_scope scope;
    sx_segments_unmap(database, collection, NULL);
    sx_status status = sx_scope_enter(database, &scope, error);
    if (status)
        return status;
    for (size_t i = 0; i < count && !status; i++)
        status = sx_sql_do(database, "DELETE FROM segment WHERE id = ?", error, "i", ids[i]);
    status = sx_scope_leave(database, &scope, status, error);
    /* A search waits for this, so graphs are left to the next job. */
    return status ? status : publish_and_sweep(database, collection, true, NULL, error);
}

/* ---- Sweeping ---- */

/* Whether the file's writer, named in it, lives and is not this handle. */
static bool written_by_another(const sx_database *database, const char *name)
{
    long long collection;
    unsigned long long worker;
    unsigned sequence;
    int end = 0;
    if (sscanf(name, "collection-%lld-%llx-%u%n", &collection, &worker, &sequence, &end) != 3 || end == 0 ||
        (strcmp(name + end, ".sxv") != 0 && strcmp(name + end, ".sxg") != 0 && strcmp(name + end, ".new") != 0))
        return true; /* nothing of ours: left alone */
    return (int64_t)worker != database->locks.worker && sx_locks_held_elsewhere(&database->locks, (int64_t)worker);
}

/* Whether the table names the file, or the segment that a graph is of. A graph in the making is of no use to anybody else. */
static sx_status is_used(sx_database *database, char *name, int64_t *used, sx_error *error)
{
    char *last = name + strlen(name) - 1;
    bool graph = *last == 'g';
    *last = graph ? 'v' : *last;
    sx_status status = sx_sql_number(database, "SELECT 1 FROM segment WHERE file = ?", 0, used, error, "t", name);
    *last = graph ? 'g' : *last;
    return status;
}

/* The folder is listed before the table is read: what is published later is not in the list. */
sx_status sx_store_sweep_files(sx_database *database, sx_error *error)
{
    DIR *folder = opendir(database->folder);
    if (!folder)
        return errno == ENOENT ? SX_OK : sx_fail_errno(error, errno, "%s: cannot be listed", database->folder);
    char **names = NULL;
    size_t count = 0, capacity = 0;
    sx_status status = SX_OK;
    const struct dirent *entry;
    while (!status && (entry = readdir(folder))) {
        if (entry->d_name[0] == '.' || written_by_another(database, entry->d_name))
            continue;
        char *copy = sx_strdup(entry->d_name);
        if (copy && sx_reserve((void **)&names, &capacity, count + 1, sizeof *names)) {
            names[count++] = copy;
        } else {
            free(copy);
            status = sx_fail_nomem(error, sizeof *names);
        }
    }
    closedir(folder);
    for (size_t i = 0; i < count; i++) {
        int64_t used = 1;
        if (!status)
            status = is_used(database, names[i], &used, error);
        if (!status && !used)
            sx_store_unlink_segment(database, names[i]);
        free(names[i]);
    }
    free(names);
    return status;
}
