/* index_cut.h - a document's chunks, cut the same way for index and for chunk_file; with room for what became of each. */
#ifndef SX_INDEX_INDEX_CUT_H
#define SX_INDEX_INDEX_CUT_H

#include "../base/hash.h"
#include "../chunk/chunk.h"

/* Raised whenever readers or chunkers give other chunks for the same bytes: documents are then read again. */
enum { SX_CUT_REVISION = 5 };

typedef struct index_cut {
    sx_chunk_plan plan;
    sx_chunk_list list;
    /* What became of each chunk; filled while embedding. */
    sx_sha256 *hashes;          /* of the embedded texts */
    char **reasons;             /* why a chunk has no vector; NULL: it has one */
    char **held;                /* why a chunk is not to be sent, NULL: it may; or NULL when all may */
    size_t next;                /* the first chunk not yet sent */
    size_t finished;
    unsigned rounds;            /* times all of it was sent */
    uint64_t embedded, cached, failed, tokens, truncated;
} index_cut;

sx_status sx_index_cut_make(const sx_document *document, const sx_chunk_options *options, const sx_chunk_context *context,
                            const sx_token_counter *counter, index_cut **out, sx_error *error);
void sx_index_cut_free(index_cut *cut);
/* Marks the chunks that hold keys or passwords, which `provider` is not to get. */
sx_status sx_index_cut_hold_back(index_cut *cut, const sx_document *document, const char *provider, sx_error *error);
/* Begins again with the first chunk. */
void sx_index_cut_restart(index_cut *cut);

#endif
