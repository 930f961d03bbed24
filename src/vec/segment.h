/* segment.h - mapped vector files: immutable, checked, rebuildable. docs/database.md draws the format. */
#ifndef SX_VEC_SEGMENT_H
#define SX_VEC_SEGMENT_H

#include "../base/thread_pool.h"
#include "codes.h"
#include "exact.h"
#include "sextant.h"

#include <stdint.h>

/* Most dimensions a segment can have: a bound for readers of damaged files, far above any model. */
enum { SX_SEGMENT_DIMENSIONS = 65536, SX_SEGMENT_BLOCK_ROWS = 256 };

/* ---- Writing ---- */

typedef struct sx_segment_writer sx_segment_writer;
/* Writes `path` as it goes; the caller gives a name nobody else reads and renames it when finished. */
sx_status sx_segment_create(const char *path, int64_t collection, uint32_t dimensions, sx_segment_writer **out, sx_error *error);
/* Ids must ascend. */
sx_status sx_segment_add(sx_segment_writer *writer, int64_t id, const float *vector, sx_error *error);
/* Completes and flushes to disk. *identity: the header's checksum, which covers all content by way of the others. */
sx_status sx_segment_finish(sx_segment_writer *writer, uint64_t *identity, sx_error *error);
/* Closes the file and, when it was not finished, removes it. */
void sx_segment_writer_close(sx_segment_writer *writer);

/* ---- Reading ---- */

typedef struct sx_segment sx_segment;
/* Maps a file and checks header, sizes, ids and the table of checksums; rows and codes are checked when a scan first
 * needs them.
 * identity, collection, dimensions: what the database says of it (SX_E_FORMAT when the file disagrees). */
sx_status sx_segment_open(const char *path, uint64_t identity, int64_t collection, uint32_t dimensions, sx_segment **out,
                          sx_error *error);
void sx_segment_close(sx_segment *segment);
/* Opens whatever identity, collection and dimensions the file claims: for tools and tests. */
sx_status sx_segment_open_any(const char *path, sx_segment **out, sx_error *error);
size_t sx_segment_rows(const sx_segment *segment);
uint32_t sx_segment_dimensions(const sx_segment *segment);
uint64_t sx_segment_identity(const sx_segment *segment);
/* Offers the rows (or those allowed) to topk, leaving out what codes say cannot be among the best: it then holds the same as
 * after a comparison with every row. pool: who shares the work; NULL: the caller alone. SX_E_FORMAT when a checksum is wrong;
 * topk then holds a part. One scan of a segment at a time. */
sx_status sx_segment_scan(sx_segment *segment, const sx_exact_query *query, const sx_id_set *allowed, sx_thread_pool *pool,
                          sx_topk *topk, sx_error *error);

#endif
