/* graphs.c - the graph files beside segments: opened when a search wants one, made after publishing.
 *
 * A graph has its segment's name with .sxg for .sxv and says in its header which segment it is of. The database does not know of
 * it: a missing or damaged one costs time, nothing else. It is made outside any transaction, after its segment has been published,
 * under a name of the maker, and renamed when it is on the disk; so a kill leaves at most a file for the sweep. It begins with the
 * graph of the segment that most of the rows came from. */
#include "segments.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *sx_segments_graph_path(const sx_database *database, const char *segment_file)
{
    char *path = sx_path_join(database->folder, segment_file);
    size_t length = path ? strlen(path) : 0;
    if (length > 4 && strcmp(path + length - 4, ".sxv") == 0)
        path[length - 1] = 'g';
    return path;
}

void sx_store_graphs_from(sx_database *database, size_t vectors)
{
    database->graph_rows = vectors;
}

static sx_mapped *mapped_of(sx_database *database, const sx_segment_row *row)
{
    for (size_t i = 0; i < database->mapped_count; i++)
        if (database->mapped[i].id == row->id)
            return &database->mapped[i];
    return NULL;
}

sx_segment_graph *sx_segments_graph(sx_database *database, const sx_segment_row *row)
{
    sx_mapped *mapped = mapped_of(database, row);
    if (!mapped || mapped->graph || mapped->graph_damaged || !sx_segment_wants_graph(mapped->segment, database->graph_rows))
        return mapped ? mapped->graph : NULL;
    char *path = sx_segments_graph_path(database, row->file);
    sx_error reason = {0};
    sx_status status = path ? sx_segment_graph_open(mapped->segment, path, &mapped->graph, &reason) : SX_E_NOMEM;
    free(path);
    if (status == SX_E_FORMAT)
        sx_segments_drop_graph(database, row, &reason);
    return mapped->graph;
}

void sx_segments_drop_graph(sx_database *database, const sx_segment_row *row, const sx_error *reason)
{
    sx_mapped *mapped = mapped_of(database, row);
    char *path = sx_segments_graph_path(database, row->file);
    sx_store_log(database, SX_LOG_WARNING, "%s; the next index job makes the graph anew", reason->message);
    if (path)
        (void)unlink(path);
    free(path);
    if (!mapped)
        return;
    sx_segment_graph_close(mapped->graph);
    mapped->graph = NULL;
    mapped->graph_damaged = true;
}

/* The graph to begin with: of the largest old segment within the new one's range. *segment and *graph are the caller's to close. */
static void find_old(sx_database *database, int64_t collection, uint32_t dimensions, const sx_segment_list *before,
                     const sx_segment_row *row, sx_segment **segment, sx_segment_graph **graph)
{
    const sx_segment_row *best = NULL;
    for (size_t i = 0; i < before->count; i++) {
        const sx_segment_row *old = &before->rows[i];
        if (old->first_chunk >= row->first_chunk && old->last_chunk <= row->last_chunk && old->id != row->id &&
            (!best || old->rows > best->rows))
            best = old;
    }
    if (!best)
        return;
    char *path = sx_path_join(database->folder, best->file), *graph_path = sx_segments_graph_path(database, best->file);
    if (path && graph_path && !sx_segment_open(path, best->identity, collection, dimensions, segment, NULL))
        (void)sx_segment_graph_open(*segment, graph_path, graph, NULL);
    free(path);
    free(graph_path);
}

static sx_status make_graph(sx_database *database, int64_t collection, const sx_segment_row *row, sx_segment *segment,
                            const sx_segment_graph *old, const char *path, const sx_publish_watch *watch, sx_error *error)
{
    char *temporary;
    sx_status status = SX_OK;
    if (!database->pool && database->process == getpid())
        status = sx_thread_pool_open(0, &database->pool, error);
    if (status)
        return status;
    if (asprintf(&temporary, "%s/collection-%lld-%llx-%u.new", database->folder, (long long)collection,
                 (unsigned long long)database->locks.worker, ++database->file_sequence) < 0)
        return sx_fail_nomem(error, strlen(database->folder));
    const sx_hnsw_watch linking = {watch->stop, watch->linking, watch->user};
    status = sx_segment_graph_build(segment, old, path, temporary, &linking, database->pool, error);
    free(temporary);
    if (!status)
        sx_store_log(database, SX_LOG_DEBUG, "%s: a graph of %lld vectors was made", path, (long long)row->rows);
    return status;
}

static sx_status make_if_wanted(sx_database *database, int64_t collection, uint32_t dimensions, const sx_segment_list *before,
                                const sx_segment_row *row, const sx_publish_watch *watch, sx_error *error)
{
    sx_segment *segment, *old_segment = NULL;
    sx_segment_graph *old = NULL;
    sx_error reason = {0};
    /* A damaged segment is a search's to find and to mend. */
    sx_status status = sx_segments_map(database, collection, dimensions, row, &segment, &reason);
    if (status)
        return SX_OK;
    char *path = sx_segments_graph_path(database, row->file);
    if (!path)
        return sx_fail_nomem(error, strlen(row->file));
    if (sx_segment_wants_graph(segment, database->graph_rows) && !sx_file_exists(path)) {
        find_old(database, collection, dimensions, before, row, &old_segment, &old);
        status = make_graph(database, collection, row, segment, old, path, watch, &reason);
        sx_mapped *mapped = mapped_of(database, row);
        if (mapped)
            mapped->graph_damaged = false;
    }
    sx_segment_graph_close(old);
    sx_segment_close(old_segment);
    free(path);
    if (status == SX_E_FORMAT)
        status = SX_OK;
    if (status && error)
        *error = reason;
    return status;
}

sx_status sx_segments_make_graphs(sx_database *database, int64_t collection, uint32_t dimensions, const sx_segment_list *before,
                                  const sx_publish_watch *watch, sx_error *error)
{
    sx_segment_list now = {0};
    sx_status status = sx_segments_read(database, collection, &now, error);
    sx_segments_unmap(database, collection, &now);
    for (size_t i = 0; i < now.count && !status; i++)
        status = make_if_wanted(database, collection, dimensions, before, &now.rows[i], watch, error);
    sx_segment_list_clear(&now);
    return status;
}
