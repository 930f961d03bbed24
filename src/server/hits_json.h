/* hits_json.h - what a search found, and what an indexing run did, as JSON. */
#ifndef SX_SERVER_HITS_JSON_H
#define SX_SERVER_HITS_JSON_H

#include "sextant.h"

#include "../base/buffer.h"

/* Members of an object that has begun: query, collection, mode, type, rerank, ms, hits. */
void sx_hits_write_members(sx_buffer *to, sx_text query, const sx_hits *hits);
/* Members that say where a hit stands, from score to metadata; the object holds one already. */
void sx_hit_write_place(sx_buffer *to, const sx_hit *hit);
/* Members of an object that has begun: documents, chunks, tokens, truncated, seconds, problems (at most so many of each kind;
 * each names its document in a member called `name`). */
void sx_report_write_members(sx_buffer *to, const sx_index_report *report, size_t most, const char *name);

#endif
