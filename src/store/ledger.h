/* ledger.h - what embedding has cost: one row for each job and day, and which alerts were given. */
#ifndef SX_STORE_LEDGER_H
#define SX_STORE_LEDGER_H

#include "store.h"

/* A run that spends. Strings are the caller's and stay. */
typedef struct sx_ledger_job {
    int64_t id;              /* 0: the first sx_ledger_add enters it */
    const char *verb;        /* "index", "embed", "search" ... Searches of one day share a row */
    const char *collection;  /* "" for none */
    const char *provider, *model;
    sx_sha256 space;
    bool unpriced;           /* nobody knows what its tokens cost: its rows have no usd */
} sx_ledger_job;

/* Adds to the job's row of the day. In the caller's transaction, or one of its own; when that is rolled back the caller resets
 * job->id to what it was. */
sx_status sx_ledger_add(sx_database *database, sx_ledger_job *job, const sx_spend *spend, int64_t wall_ns, sx_error *error);

/* "2026-11" of a wall clock, UTC. */
void sx_ledger_month(int64_t wall_ns, char month[16]);
/* What the month of wall_ns has cost so far. */
sx_status sx_ledger_month_usd(sx_database *database, int64_t wall_ns, double *usd, sx_error *error);
/* Records that the month's alert at this threshold is given; *first false: it was before, perhaps by another process. */
sx_status sx_ledger_alert(sx_database *database, int64_t wall_ns, double threshold, bool *first, sx_error *error);

#endif
