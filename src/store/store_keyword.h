/* store_keyword.h - the keyword index: which words each chunk has, and BM25 over them.
 *
 * A word is known by a 64-bit hash. What a chunk adds waits in a row of its own until enough of its collection have gathered;
 * then they become an immutable part with one row of postings for each word (keyword_parts.c). All changes stand in the
 * transaction that changes the chunks: rows that come are added by _add, rows that go are taken out by a trigger (schema.c).
 */
#ifndef SX_STORE_KEYWORD_H
#define SX_STORE_KEYWORD_H

#include "../text/words.h"
#include "sql.h"

/* The hash a word has in the index. */
uint64_t sx_keyword_hash(const char *word, size_t length, sx_word_kind kind);

/* Enters a chunk of the collection inside the open transaction. `kept`: it may be there already and is left alone when its words
 * are the same. Chunks without a vector are not entered: no search finds them. */
sx_status sx_keyword_add(sx_database *database, int64_t collection, const sx_document_row *document, int64_t id,
                         const sx_chunk_row *chunk, bool kept, sx_error *error);
/* Makes parts when enough chunks wait. Inside the open transaction that added them. */
sx_status sx_keyword_settle(sx_database *database, int64_t collection, sx_error *error);
/* Removes some of what a collection being deleted has; *more false when nothing is left. */
sx_status sx_keyword_forget(sx_database *database, int64_t collection, bool *more, sx_error *error);
/* Makes the whole index again when it was made under another SX_WORDS_VERSION, or never (a migrated database). */
sx_status sx_keyword_prepare(sx_database *database, sx_error *error);

typedef struct sx_keyword_term {
    uint64_t word;
    double weight;
} sx_keyword_term;

/* BM25 (Robertson, Zaragoza 2009) with idf ln(1 + (N - n + 0.5) / (n + 0.5)). Words of headings and title count head_weight times
 * in frequency and length. Frequencies above 15 count as 15. */
typedef struct sx_keyword_query {
    const sx_keyword_term *terms; /* each word once */
    size_t term_count;
    double k1, b, head_weight;
} sx_keyword_query;

typedef struct sx_keyword_match {
    int64_t chunk;
    double score; /* above 0 */
} sx_keyword_match;

/* The `count` best chunks of the collection that have one of the words and pass the filters, best first, ties by chunk.
 * also: chunks (ascending, may be NULL) whose scores are wanted whatever their place; 0 without any of the words. */
sx_status sx_store_keyword_search(sx_database *database, int64_t collection, const sx_keyword_query *query,
                                  const char *const *filters, size_t filter_count, size_t count, sx_keyword_match *matches,
                                  size_t *found, const int64_t *also, size_t also_count, double *also_scores, sx_error *error);

/* Frees what the handle keeps of the index between searches. */
void sx_keyword_forget_view(sx_database *database);

#endif
