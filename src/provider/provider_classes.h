/* provider_classes.h - the providers there are, for the table in provider_open.c, and what tests may ask of the fake. */
#ifndef SX_PROVIDER_PROVIDER_CLASSES_H
#define SX_PROVIDER_PROVIDER_CLASSES_H

#include "provider.h"

/* The local engine: a model and a session on a thread of its own. */
sx_status sx_provider_local_open(const sx_embedder_options *options, const sx_clock *clock, sx_provider **out,
                                 sx_error *error);

/* A service elsewhere: OpenAI's, one that speaks its form, Cohere's ... (wire.h). known NULL: it is asked what it is. */
sx_status sx_provider_remote_open(const sx_embedder_options *options, const sx_provider_known *known, const sx_clock *clock,
                                  sx_provider **out, sx_error *error);

/* Deterministic vectors and scripted faults; the options in its reference are listed in provider_fake.c. */
sx_status sx_provider_fake_open(const sx_embedder_options *options, const sx_clock *clock, sx_provider **out,
                                sx_error *error);

typedef struct sx_fake_counts {
    uint64_t batches;    /* submitted */
    uint64_t failures;   /* of those, not SX_OK */
    uint64_t texts;      /* vectors given out */
    uint64_t tokens;
    uint64_t largest;    /* most texts in one batch */
    uint64_t most_in_flight;
} sx_fake_counts;
/* NULL when the provider is no fake. */
const sx_fake_counts *sx_provider_fake_counts(const sx_provider *provider);

#endif
