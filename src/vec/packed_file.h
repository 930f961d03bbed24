/* packed_file.h - the packed rows of a collection in one mapped file, with what unpacks queries. docs/compression.md draws it. */
#ifndef SX_VEC_PACKED_FILE_H
#define SX_VEC_PACKED_FILE_H

#include "exact.h"
#include "packing.h"

/* ---- Writing ---- */

typedef struct sx_packed_writer sx_packed_writer;
/* Writes `path` as it goes; the caller gives a name nobody else reads. The packing must outlive the writer. */
sx_status sx_packed_create(const char *path, int64_t collection, const sx_packing *packing, sx_packed_writer **out,
                           sx_error *error);
/* Ids must ascend. */
sx_status sx_packed_add(sx_packed_writer *writer, int64_t id, const float *row, sx_error *error);
/* Completes and flushes to disk. *identity: the header's checksum, which covers all content by way of the others. */
sx_status sx_packed_finish(sx_packed_writer *writer, uint64_t *identity, uint64_t *bytes, sx_error *error);
/* Closes the file and, when it was not finished, removes it. */
void sx_packed_writer_close(sx_packed_writer *writer);

/* ---- Reading ---- */

typedef struct sx_packed_file sx_packed_file;
/* Maps a file and checks all of it. identity 0: whatever it claims (tools, tests). */
sx_status sx_packed_open(const char *path, uint64_t identity, sx_packed_file **out, sx_error *error);
void sx_packed_close(sx_packed_file *file);
const sx_packing *sx_packed_packing(const sx_packed_file *file);
size_t sx_packed_rows(const sx_packed_file *file);
uint64_t sx_packed_identity(const sx_packed_file *file);
int64_t sx_packed_collection(const sx_packed_file *file);
/* Offers every row (or those allowed) with its score by the packing. */
sx_status sx_packed_scan(const sx_packed_file *file, const sx_packed_query *query, const sx_id_set *allowed, sx_topk *topk,
                         sx_error *error);

#endif
