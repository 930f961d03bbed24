/* hnsw_segment.h - the graph of a segment: a file beside it that says which of its rows are near one another. It walks by the
 * segment's codes, and what it offers is scored by floats. */
#ifndef SX_VEC_HNSW_SEGMENT_H
#define SX_VEC_HNSW_SEGMENT_H

#include "hnsw.h"
#include "segment.h"

typedef struct sx_segment_graph sx_segment_graph;

/* Whether a graph is worth its making: below so many rows (least 0: the measured number) a scan is done almost as soon. SPEED.md
 * has the figures. */
bool sx_segment_wants_graph(const sx_segment *segment, size_t least);
/* Makes the graph and puts it at `path`, by way of `temporary`. old: a graph of rows that are mostly in this segment too, with the
 * same ids, to begin with; or NULL. watch: may be NULL; SX_E_STOPPED then leaves nothing behind. */
sx_status sx_segment_graph_build(sx_segment *segment, const sx_segment_graph *old, const char *path, const char *temporary,
                                 const sx_hnsw_watch *watch, sx_thread_pool *pool, sx_error *error);
/* SX_E_NOT_FOUND: there is none. SX_E_FORMAT: damaged, or of another segment. The segment must stay open. */
sx_status sx_segment_graph_open(sx_segment *segment, const char *path, sx_segment_graph **out, sx_error *error);
void sx_segment_graph_close(sx_segment_graph *graph);
/* Offers the nearest rows (of those allowed) to topk. *done false: nothing was offered, since a scan is quicker or fewer rows were met
 * than topk has room for. SX_E_FORMAT: graph or segment is damaged; topk then holds a part. One search at a time. */
sx_status sx_segment_graph_search(sx_segment_graph *graph, const sx_exact_query *query, size_t ef, const sx_id_set *allowed,
                                  sx_topk *topk, bool *done, sx_error *error);

#endif
