/* segments.h - the mapped segments of a collection, shared by search and publishing. */
#ifndef SX_STORE_SEGMENTS_H
#define SX_STORE_SEGMENTS_H

#include "sql.h"

typedef struct sx_segment_row {
    int64_t id;
    char *file;
    uint64_t identity;
    int64_t rows;
    int64_t first_chunk, last_chunk; /* the range of chunk ids it speaks for; ranges of a collection do not overlap */
} sx_segment_row;
typedef struct sx_segment_list {
    sx_segment_row *rows;
    size_t count, capacity;
} sx_segment_list;

/* Ordered by first_chunk. */
sx_status sx_segments_read(sx_database *database, int64_t collection, sx_segment_list *list, sx_error *error);
void sx_segment_list_clear(sx_segment_list *list);
bool sx_segment_lists_equal(const sx_segment_list *a, const sx_segment_list *b);

/* The mapping of a segment, kept by the handle. SX_E_NOT_FOUND, SX_E_FORMAT: the file is missing or damaged. */
sx_status sx_segments_map(sx_database *database, int64_t collection, uint32_t dimensions, const sx_segment_row *row,
                          sx_segment **segment, sx_error *error);
/* The segment's graph, if it has one that is sound; NULL otherwise. The segment is mapped already. */
sx_segment_graph *sx_segments_graph(sx_database *database, const sx_segment_row *row);
/* It was found damaged: its file goes, so that the next publishing makes it anew. */
void sx_segments_drop_graph(sx_database *database, const sx_segment_row *row, const sx_error *reason);
/* The path of a segment's graph, malloc'ed; NULL on no memory. */
char *sx_segments_graph_path(const sx_database *database, const char *segment_file);
void sx_segments_close_mapped(sx_mapped *mapped);
/* graphs.c: makes the graphs that segments of the collection want and do not have. before: segments they may have come from, whose
 * files are still there. */
sx_status sx_segments_make_graphs(sx_database *database, int64_t collection, uint32_t dimensions, const sx_segment_list *before,
                                  const sx_publish_watch *watch, sx_error *error);
/* Unmaps what the list does not hold; list NULL: all of the collection. */
void sx_segments_unmap(sx_database *database, int64_t collection, const sx_segment_list *list);

/* How a space compares vectors. */
typedef enum sx_measure { SX_MEASURE_DOT, SX_MEASURE_COSINE } sx_measure;
/* COSINE only for vectors that are not unit vectors already: rows are then scaled to length 1 when published or scanned. */
sx_status sx_segments_measure(sx_database *database, int64_t recipe, sx_measure *measure, sx_error *error);

typedef sx_status (*sx_vector_visit)(int64_t chunk, const float *vector, void *user, sx_error *error);
/* The vectors of live chunks first..last of a collection by id, from the rows, scaled as the measure wants them. */
sx_status sx_segments_from_rows(sx_database *database, int64_t collection, uint32_t dimensions, sx_measure measure, int64_t first,
                                int64_t last, sx_vector_visit visit, void *user, sx_error *error);

/* Takes damaged or lost segments out of the table and publishes their chunks again. */
sx_status sx_segments_heal(sx_database *database, int64_t collection, const int64_t *ids, size_t count, sx_error *error);

#endif
