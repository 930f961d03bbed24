/* rerank.h - a second look at the best candidates of a search: by their words, by how much they repeat one another, or by a
 * cross-encoder that reads query and passage together.
 */
#ifndef SX_INDEX_RERANK_H
#define SX_INDEX_RERANK_H

#include "hybrid.h"

/* A candidate with its text. */
typedef struct sx_passage {
    sx_search_candidate candidate;
    sx_chunk_row chunk;
    double score;         /* what the order goes by */
    uint32_t folded;      /* equal passages that it stands for */
    bool folded_away;     /* another stands for it; its text is gone */
    bool hashed;
    sx_sha256 text_hash;
} sx_passage;

typedef enum sx_rerank_kind { SX_RERANK_NONE, SX_RERANK_LEXICAL, SX_RERANK_MMR, SX_RERANK_MODEL } sx_rerank_kind;
/* NULL: "model" with a cross-encoder, else "none". SX_E_INVALID names those there are. */
sx_status sx_rerank_find(const char *name, const sx_session *cross_encoder, sx_rerank_kind *kind, sx_error *error);
const char *sx_rerank_name(sx_rerank_kind kind);

typedef struct sx_rerank_context {
    sx_database *database;
    const sx_collection_row *collection;
    sx_text query;
    sx_session *cross_encoder;
    bool by_similarity;   /* the candidates' scores are similarities */
} sx_rerank_context;
/* Puts the passages into their new order and sets their scores. Equal ones keep theirs. */
sx_status sx_rerank(const sx_rerank_context *context, sx_rerank_kind kind, sx_passage *passages, size_t count, sx_error *error);

#endif
