/* hybrid.h - the candidates for a query: by meaning (the store's nearest vectors), by words (its keyword index), or both lists
 * fused. What happens to them afterwards (re-ranking, folding, joining, reading the texts) is search.c's.
 */
#ifndef SX_INDEX_HYBRID_H
#define SX_INDEX_HYBRID_H

#include "trace_places.h"

#include "../store/store.h"
#include "../store/store_keyword.h"

typedef enum sx_search_mode { SX_SEARCH_HYBRID, SX_SEARCH_SEMANTIC, SX_SEARCH_KEYWORD } sx_search_mode;

/* What kind of question it is: how much words count beside meaning, and which words. docs/quality.md has the figures that chose. */
typedef struct sx_query_type {
    const char *name;
    double semantic_weight, keyword_weight; /* of the two standard scores */
    uint32_t depth;                         /* candidates taken from each list */
    double whole_weight, pair_weight;       /* of identifiers and of joined names, a plain word's being 1 */
    double head_weight;                     /* of words in headings and title, those of the text being 1 */
    double k1, b;                           /* of BM25 */
    bool drops_noise;                       /* addresses, line numbers, times and digests are no words */
    double trace_weight;                    /* standard scores that a chunk gets for holding a stack trace's innermost frame; 0: none */
    double kind_weight;                     /* those that a definition of a preferred kind gets */
    const char *kinds;                      /* preferred when the search says nothing: "function,method"; NULL: none */
} sx_query_type;
/* NULL: "general". SX_E_INVALID names those there are. */
sx_status sx_query_type_find(const char *name, const sx_query_type **type, sx_error *error);
/* NULL: hybrid. */
sx_status sx_search_mode_find(const char *name, sx_search_mode *mode, sx_error *error);

/* The words of a query as the type weighs them, each once, malloc'ed. Any text is a query: there is no syntax. */
sx_status sx_query_terms(sx_text text, const sx_query_type *type, sx_keyword_term **terms, size_t *count, sx_error *error);

typedef struct sx_search_candidate {
    int64_t chunk;
    double score;               /* the list's own, or fused; best first */
    float similarity;           /* cosine with the query; NaN when there is no query vector */
    uint32_t semantic_rank, keyword_rank; /* from 1; 0: not in that list */
    sx_trace_reason reason;     /* what a stack trace has to do with it, and the number of its frame or error */
    uint32_t frame;
} sx_search_candidate;

typedef struct sx_candidate_query {
    sx_text text;
    const float *vector;        /* NULL: keyword mode without similarities */
    sx_search_mode mode;
    const sx_query_type *type;
    double threshold;           /* least similarity; used when has_threshold is set */
    bool has_threshold;
    const char *const *filters; /* as in sx_search_options */
    size_t filter_count;
    const sx_stack_trace *trace; /* of the query; NULL: none */
    const char *kinds;          /* preferred kinds of definitions, parted by commas; NULL or "": none */
    uint32_t ef_search;         /* 0: the measured rule */
    bool exact;
} sx_candidate_query;

/* At most `count` candidates, best first, ties by chunk; *found <= count. Filters and threshold are applied before the cut: `count`
 * are found when so many exist. */
sx_status sx_search_candidates(sx_database *database, const sx_collection_row *collection, const sx_candidate_query *query,
                               size_t count, sx_search_candidate *candidates, size_t *found, sx_error *error);

#endif
