/* pipeline.h - embeds texts through cache, claims, batches, retries, isolation and checks, for one provider.
 *
 * What happens to a text:
 *   1. its key is (recipe, SHA-256 of its bytes, before the prompt); a text that stands twice in a call is embedded once;
 *   2. a stored vector is taken from the database, else from the shared cache, and then stored;
 *   3. else the text is claimed; what another process has claimed is awaited and then taken from the database;
 *   4. batches are packed by count and tokens, several in flight. RETRY waits (exponential back-off with full jitter, never
 *      less than the provider asks for) a limited number of times; SPLIT halves a batch until the bad text stands alone;
 *      FATAL ends the call;
 *   5. each vector is checked: there, finite, not all zero, of length 1 where that is promised; one that fails is a failed
 *      text and is never stored;
 *   6. the good vectors of a batch are stored in one transaction as soon as it is back, and what it cost with them; then they
 *      are put into the shared cache.
 * A router's texts go to their legs in batches of one leg each; claims are the first leg's.
 * Texts with keys or passwords in them are not sent to a remote provider (doc/secret_patterns.h), and nothing is sent that would
 * pass the budget.
 * Whatever ends the call, claims are released and no batch stays with the provider.
 */
#ifndef SX_INDEX_PIPELINE_H
#define SX_INDEX_PIPELINE_H

#include "../base/clock.h"
#include "../cache/shared_cache.h"
#include "../provider/provider.h"
#include "../store/store.h"
#include "spend.h"

typedef struct sx_pipeline sx_pipeline;

/* Sums over the life of a pipeline. */
typedef struct sx_pipeline_counts {
    uint64_t texts;     /* finished, one way or another */
    uint64_t cached;    /* of those, taken from the database, from another process or from an equal text */
    uint64_t embedded;  /* of those, with a vector the provider made */
    uint64_t failed;
    uint64_t tokens;    /* through the provider, for embedded texts */
    uint64_t batches;   /* submitted, repetitions and halves included */
    uint64_t waited_ns; /* for back-off, in sum over batches */
    sx_cache_use use;   /* where texts were looked for */
    bool out_of_budget; /* the last call ended with SX_E_LIMIT for that reason */
} sx_pipeline_counts;

typedef struct sx_pipeline_options {
    sx_provider *provider;
    sx_database *database;      /* NULL: neither cache nor claims */
    int64_t recipe;             /* its row there */
    int64_t second_recipe;      /* that of a router's second leg, whose vectors are stored under it; 0: none */
    sx_shared_cache *shared;    /* behind it, the caller's; NULL: none */
    const sx_clock *clock;      /* NULL: the machine's */
    int strict;                 /* a cached vector of a text that was cut is a failure too */
    unsigned attempts;          /* most times a batch is tried after RETRY; 0: the provider's wish, else 6 */
    int64_t first_delay_ns;     /* the back-off's first bound, doubled each time; 0: 0.5 s */
    int64_t longest_delay_ns;   /* 0: 60 s */
    uint64_t seed;              /* of the jitter; 0: from the clock */
    sx_spend_options spend;     /* for the ledger; its strings stay the caller's */
    bool allow_secrets;         /* send texts that hold keys or passwords too */
    /* After each batch and each look into the cache; may be NULL. */
    void (*advanced)(const sx_pipeline_counts *counts, void *user);
    void *user;
} sx_pipeline_options;

typedef struct sx_pipeline_item {
    /* In. */
    sx_text text;       /* what is embedded, before the prompt; valid during the call */
    uint32_t tokens;    /* its tokens, all included, or 0 when unknown: then guessed from its length */
    float *vector;      /* where its vector goes (all NaN when it failed), or NULL when it is wanted in the database only;
                           one or the other for all items of a call */
    /* Out. */
    sx_sha256 hash;     /* of the text */
    bool reached;       /* the receipt is about this text; false when the call ended before it was done */
    sx_receipt receipt; /* its message lives until the next call. A copy of an earlier text of the call has that one's
                           receipt; with a database it counts as cached */
} sx_pipeline_item;

sx_status sx_pipeline_open(const sx_pipeline_options *options, sx_pipeline **out, sx_error *error);
void sx_pipeline_close(sx_pipeline *pipeline);
const sx_pipeline_counts *sx_pipeline_count(const sx_pipeline *pipeline);
/* What the next calls are for, in the ledger: a verb and a collection ("" for none). allow_secrets: they may send texts that hold
 * keys, whatever the options say. */
void sx_pipeline_name(sx_pipeline *pipeline, const char *verb, const char *collection, bool allow_secrets);
/* The ledger of a pipeline that has no database for its vectors. */
void sx_pipeline_ledger(sx_pipeline *pipeline, sx_database *database);

/* Every item has its receipt afterwards, also on failure: what was not reached has the call's status. SX_E_STOPPED when
 * *stop became non-zero; what was finished is stored. Failed items do not fail the call. stop may be NULL. */
sx_status sx_pipeline_run(sx_pipeline *pipeline, sx_pipeline_item *items, size_t count, const volatile int *stop,
                          sx_error *error);

#endif
