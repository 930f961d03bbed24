/* spend.h - what a pipeline spends: its entry in the ledger, its budget, the alert. */
#ifndef SX_INDEX_SPEND_H
#define SX_INDEX_SPEND_H

#include "../base/clock.h"
#include "../provider/provider.h"
#include "../store/ledger.h"

#include <stdbool.h>

/* The model and the address are the caller's and stay. */
typedef struct sx_spend_options {
    const char *verb, *collection;  /* NULL: "embed", "" */
    const char *model;
    sx_sha256 space;
    double budget_usd;              /* of all the provider is asked for since it was opened; 0: none */
    double alert_usd;               /* of a month, in the database; 0: none */
    const char *alert_url;          /* NULL: only a warning */
} sx_spend_options;

typedef struct sx_spender {
    sx_provider *provider;
    sx_database *database;          /* NULL: nothing is written down */
    const sx_clock *clock;
    sx_spend_options options;
    unsigned job_count;             /* 1; of a router one for each leg */
    sx_ledger_job jobs[SX_LEGS];
    char verb[32], collection[256]; /* the jobs' */
    uint64_t texts[SX_LEGS], cached; /* not yet in the ledger */
    uint64_t tokens_in_flight;      /* as counted here */
    uint64_t tokens_counted;        /* of batches that came back, as counted here */
    sx_provider_usage opened;       /* the provider's when the spender was */
    bool warned;
} sx_spender;

void sx_spender_open(sx_spender *spender, sx_provider *provider, sx_database *database, const sx_clock *clock,
                     const sx_spend_options *options);
/* Another verb or collection from now on: its spend has a row of its own. */
void sx_spender_name(sx_spender *spender, const char *verb, const char *collection);

/* Tokens that may still be sent under the budget; UINT64_MAX: any number. */
uint64_t sx_spender_room(const sx_spender *spender);
/* SX_E_LIMIT, saying how much is spent. */
sx_status sx_spender_fail(const sx_spender *spender, sx_error *error);

/* Writes what the provider's usage and the texts have grown by since the last time, in the caller's transaction or one of its
 * own. What was written is only taken for written by _settle, after the transaction: */
typedef struct sx_spend_entry {
    sx_provider_usage usage[SX_LEGS];
    uint64_t texts[SX_LEGS], cached;
    int64_t job_before[SX_LEGS];
    double usd;
    bool any;
} sx_spend_entry;
sx_status sx_spender_write(sx_spender *spender, sx_spend_entry *entry, sx_error *error);
/* kept: the transaction was committed. Gives the alert when it is time. */
void sx_spender_settle(sx_spender *spender, const sx_spend_entry *entry, bool kept);
/* Both, when there is something that cost money or `all` is set. */
sx_status sx_spender_flush(sx_spender *spender, bool all, sx_error *error);

/* Tokens of a text as the provider would be charged for it: the given count, else the provider's own counter's, else a guess. */
uint32_t sx_provider_tokens_of(const sx_provider *provider, sx_text text, uint32_t tokens, bool exact);
/* Fills unpriced_tokens and usd with what the provider was asked for since it was opened. */
void sx_provider_price(const sx_provider *provider, sx_spend *out);
/* What embedding one text more would cost: adds to the sum. */
void sx_provider_estimate(const sx_provider *provider, unsigned leg, uint32_t tokens, sx_spend *sum);

/* alert.c: a warning in the database's log when the month's spend is above the threshold; the first time also a POST. */
void sx_spend_alert(sx_database *database, const sx_clock *clock, double threshold, const char *url, const sx_ledger_job *job,
                    bool *warned);

#endif
