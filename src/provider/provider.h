/* provider.h - something that embeds batches of texts: the local engine, a remote service, a fake that fails on demand.
 *
 * Asynchronous from the start: submit some batches, wait for any to finish, look at its outcome. The pipeline
 * (index/pipeline.h) does the batching, retrying, splitting and checking for all of them.
 */
#ifndef SX_PROVIDER_PROVIDER_H
#define SX_PROVIDER_PROVIDER_H

#include "sextant.h"
#include "../base/clock.h"
#include "../chunk/chunk.h"

#include <stdbool.h>

typedef struct sx_provider sx_provider;

typedef struct sx_provider_info {
    const char *name;         /* "local", "fake" */
    const char *space_json;   /* canonical JSON: which vectors may be compared */
    const char *recipe_json;  /* canonical JSON: exactly how they are made, prompt included */
    const char *prompt;       /* what the provider puts before each text, "" when nothing */
    const char *tokens_by;    /* what counts a remote model's tokens: a tokenizer, "estimate", "bytes"; NULL: local */
    uint32_t dimensions, max_length;
    bool normalized;          /* length 1 is promised, and checked */
    bool zero_for_nothing;    /* a text without any token rightly has the vector 0 (static models) */
    uint32_t max_texts;       /* limits of one batch; a remote provider lowers this one, in wait, when the service takes fewer */
    uint32_t max_tokens;      /* one text may be longer: it then goes alone */
    uint32_t max_in_flight;   /* batches submitted and not finished */
    uint32_t attempts;        /* most times a batch should be tried after RETRY; 0: the pipeline's default */
    bool remote;              /* texts leave this machine: secrets are held back */
    double usd_per_million;   /* of tokens; 0: nothing; negative: unpriced, which is never taken for nothing */
} sx_provider_info;

/* What a provider was asked for since it was opened, by the service's own count where it says one; grows only. */
typedef struct sx_provider_usage {
    uint64_t requests;        /* sent, failed ones included */
    uint64_t tokens;          /* charged for */
    double usd;               /* for those; 0 when the model is unpriced */
} sx_provider_usage;

/* What became of a batch as a whole; single texts have their receipts. */
typedef struct sx_batch_outcome {
    sx_status status;         /* SX_OK: vectors and receipts are filled */
    /* What to do when status is not SX_OK: give up everything (no key, no such model), try the same again later, or try its
     * halves (a bad item is inside). */
    enum { SX_BATCH_FATAL, SX_BATCH_RETRY, SX_BATCH_SPLIT } failure; /* FATAL with SX_E_LIMIT: the budget would be passed; it was
                                                                        not sent, and nothing else is in flight */
    int64_t retry_after_ns;   /* RETRY: not before this long; 0: the caller's back-off decides */
    char message[256];
    char hint[160];           /* FATAL: what people can do; "" for nothing */
} sx_batch_outcome;

typedef struct sx_batch {
    const sx_text *texts;     /* caller's; stay valid until the batch is done */
    size_t count;
    float *vectors;           /* count x dimensions, caller's */
    sx_receipt *receipts;     /* count, caller's; tokens and dropped_tokens are filled, status and message for a text that failed
                                 by itself (its row counts for nothing then); messages live until the next wait */
    sx_batch_outcome outcome;
    unsigned leg;             /* of a router: in, the leg its texts belong to; out, the one that had it. Else 0 */
    void *user;               /* the caller's */
    void *private;            /* the provider's while in flight */
} sx_batch;

typedef struct sx_provider_class {
    const char *name;
    /* Starts work; the provider keeps the pointer until the batch comes out of wait. SX_E_BUSY above max_in_flight. */
    sx_status (*submit)(sx_provider *provider, sx_batch *batch, sx_error *error);
    /* The next finished batch, or *finished = NULL after timeout_ns without one (0: do not wait). */
    sx_status (*wait)(sx_provider *provider, int64_t timeout_ns, sx_batch **finished, sx_error *error);
    /* Asks all batches in flight to end soon; they still come out of wait, with SX_E_STOPPED when they were not done. */
    void (*cancel)(sx_provider *provider);
    void (*close)(sx_provider *provider);
} sx_provider_class;

/* One of a router's sources, and what it did since it was opened (provider_router.h). */
typedef struct sx_provider_leg {
    sx_provider *provider;    /* the router's */
    const char *model;
    bool open;                /* the breaker: it is left alone for the moment */
    uint64_t batches, texts;  /* that came back, refused ones included; vectors it gave */
    uint64_t errors;          /* batches that failed, but for those refused for their texts */
    uint64_t taken_over;      /* batches that it did in place of another leg */
} sx_provider_leg;
enum { SX_LEGS = 2 };

struct sx_provider {
    /* Set at open, immutable but for info.max_texts. */
    const sx_provider_class *class;
    sx_provider_info info;
    sx_provider_usage usage;  /* brought up to date before a batch comes out of wait */
    sx_provider_usage recorded; /* of those, what a ledger holds (index/spend.h) */
    char doubt[256];          /* something about the service that people should know, or ""; who says it empties it */
    const sx_model *model;    /* the local engine's, or NULL */
    /* Counts the model's own tokens, so that chunks fit; has scratch memory, so it is for the thread that owns the provider. */
    sx_token_counter counter;
    /* A router's: 0 legs for all others. `split` of a hundred texts belong to the second; it changes only in wait. */
    sx_provider_leg legs[SX_LEGS];
    unsigned leg_count, split;
};

/* Opens what options->model names: "fake:NAME" or a local model (the table is in provider_open.c). clock NULL: the machine's. */
sx_status sx_provider_open(const sx_embedder_options *options, const sx_clock *clock, sx_provider **out,
                           sx_error *error);
/* What was once learned from a remote service by asking it. */
typedef struct sx_provider_known {
    uint32_t dimensions;
    const char *model;        /* NULL or "": not known */
} sx_provider_known;
/* As sx_provider_open without asking the service anything, for one that is away at the moment. SX_E_UNSUPPORTED for others. */
sx_status sx_provider_open_away(const sx_embedder_options *options, const sx_provider_known *known, const sx_clock *clock,
                                sx_provider **out, sx_error *error);
void sx_provider_close(sx_provider *provider);

#endif
