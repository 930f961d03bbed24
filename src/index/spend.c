/* spend.c - the ledger's entry, and the budget, of one pipeline.
 *
 * The provider counts what it was asked for; what it has grown by since the last entry goes into the ledger in the same
 * transaction as the vectors it bought. So after a kill the ledger lacks at most what was in flight, and never has a text that is
 * not there. The budget looks ahead: a batch is only sent when all that is spent, in flight, and in the batch fits into it.
 */
#include "spend.h"

#include "../base/error.h"
#include "../base/hash.h"

#include <stdio.h>
#include <string.h>

enum { BYTES_PER_TOKEN = 3 };

void sx_spender_open(sx_spender *spender, sx_provider *provider, sx_database *database, const sx_clock *clock,
                     const sx_spend_options *options)
{
    *spender = (sx_spender){.provider = provider, .database = database, .clock = clock, .options = *options};
    spender->opened = provider->usage;
    spender->job_count = provider->leg_count ? provider->leg_count : 1;
    sx_spender_name(spender, options->verb, options->collection);
}

/* The provider whose use a job of the spender records. */
static sx_provider *source_of(const sx_spender *spender, unsigned which)
{
    return spender->provider->leg_count ? spender->provider->legs[which].provider : spender->provider;
}

void sx_spender_name(sx_spender *spender, const char *verb, const char *collection)
{
    const sx_ledger_job *first = &spender->jobs[0];
    verb = verb ? verb : "embed";
    collection = collection ? collection : "";
    if (first->verb && !strcmp(first->verb, verb) && !strcmp(first->collection, collection))
        return;
    bool any = spender->cached > 0;
    for (unsigned i = 0; i < spender->job_count; i++)
        any |= spender->jobs[i].id || spender->texts[i];
    if (any) /* else what was spent until now (a probe) was for what comes */
        (void)sx_spender_flush(spender, true, NULL);
    snprintf(spender->verb, sizeof spender->verb, "%s", verb);
    snprintf(spender->collection, sizeof spender->collection, "%s", collection);
    for (unsigned i = 0; i < spender->job_count; i++) {
        const sx_provider *source = source_of(spender, i);
        const char *model = spender->provider->leg_count ? spender->provider->legs[i].model : spender->options.model;
        spender->jobs[i] = (sx_ledger_job){
            .verb = spender->verb,
            .collection = spender->collection,
            .provider = source->info.name,
            .model = model ? model : "",
            .space = spender->options.space,
            .unpriced = source->info.usd_per_million < 0,
        };
        if (i)
            sx_sha256_of(source->info.space_json, strlen(source->info.space_json), &spender->jobs[i].space);
    }
}

/* ---- Counting ---- */

uint32_t sx_provider_tokens_of(const sx_provider *provider, sx_text text, uint32_t tokens, bool exact)
{
    const sx_token_counter *counter = &provider->counter;
    size_t count = SIZE_MAX, fixed = (size_t)counter->special + counter->prompt;
    if (tokens)
        return tokens;
    if (exact && counter->count_embedded)
        count = counter->count_embedded(counter->user, text.data ? text.data : "", text.length);
    else if (exact && counter->count)
        count = counter->count(counter->user, text.data ? text.data : "", text.length, NULL, 0);
    if (count == SIZE_MAX)
        count = text.length / BYTES_PER_TOKEN + 1;
    if (!exact || !counter->count_embedded)
        count += fixed;
    uint32_t limit = provider->info.max_length;
    return limit && count > limit ? limit : count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
}

void sx_provider_price(const sx_provider *provider, sx_spend *out)
{
    out->unpriced_tokens = 0;
    out->usd = 0;
    for (unsigned i = 0; i < (provider->leg_count ? provider->leg_count : 1); i++) {
        const sx_provider *source = provider->leg_count ? provider->legs[i].provider : provider;
        if (source->info.usd_per_million < 0)
            out->unpriced_tokens += source->usage.tokens;
        else
            out->usd += source->usage.usd;
    }
}

void sx_provider_estimate(const sx_provider *provider, unsigned leg, uint32_t tokens, sx_spend *sum)
{
    double price = provider->leg_count ? provider->legs[leg].provider->info.usd_per_million : provider->info.usd_per_million;
    sum->texts++;
    sum->tokens += tokens;
    if (price < 0)
        sum->unpriced_tokens += tokens;
    else
        sum->usd += tokens * price / 1e6;
}

/* ---- Budget ---- */

uint64_t sx_spender_room(const sx_spender *spender)
{
    double price = spender->provider->info.usd_per_million / 1e6, budget = spender->options.budget_usd;
    if (budget <= 0 || price <= 0)
        return UINT64_MAX;
    const sx_provider_usage *usage = &spender->provider->usage;
    /* A service that counts more tokens than were counted here is believed for what is still to come, too. */
    double factor = 1;
    uint64_t counted = spender->tokens_counted;
    if (counted && usage->tokens - spender->opened.tokens > counted)
        factor = (double)(usage->tokens - spender->opened.tokens) / (double)counted;
    double room = (budget - usage->usd) / price / factor - (double)spender->tokens_in_flight;
    room += room * 1e-9 + 1e-6; /* a sum that fits exactly, but for the last bits */
    return room <= 0 ? 0 : room >= 1e18 ? UINT64_MAX : (uint64_t)room;
}

sx_status sx_spender_fail(const sx_spender *spender, sx_error *error)
{
    sx_fail(error, SX_E_LIMIT, "the budget of $%.6g ends here: $%.6f is spent, and the next text would pass it",
            spender->options.budget_usd, spender->provider->usage.usd);
    sx_hint(error, "what was done so far is kept; the same call with another budget goes on from here");
    return SX_E_LIMIT;
}

/* ---- Ledger ---- */

sx_status sx_spender_write(sx_spender *spender, sx_spend_entry *entry, sx_error *error)
{
    sx_status status = SX_OK;
    *entry = (sx_spend_entry){.cached = spender->cached};
    for (unsigned i = 0; i < spender->job_count; i++)
        entry->job_before[i] = spender->jobs[i].id;
    for (unsigned i = 0; !status && i < spender->job_count; i++) {
        const sx_provider *source = source_of(spender, i);
        const sx_provider_usage *usage = &source->usage, *recorded = &source->recorded;
        entry->usage[i] = *usage;
        entry->texts[i] = spender->texts[i];
        sx_spend spend = {
            .requests = usage->requests - recorded->requests,
            .texts = spender->texts[i],
            .cached = i ? 0 : spender->cached,
            .tokens = usage->tokens - recorded->tokens,
            .usd = usage->usd - recorded->usd,
        };
        entry->usd += spend.usd;
        if (!spender->database || !(spend.requests || spend.texts || spend.cached || spend.tokens))
            continue;
        int64_t wall_ns = spender->clock->wall_ns(spender->clock->user);
        status = sx_ledger_add(spender->database, &spender->jobs[i], &spend, wall_ns, error);
        entry->any |= !status;
    }
    return status;
}

void sx_spender_settle(sx_spender *spender, const sx_spend_entry *entry, bool kept)
{
    if (!entry->any)
        return;
    for (unsigned i = 0; i < spender->job_count; i++) {
        if (kept) {
            source_of(spender, i)->recorded = entry->usage[i];
            spender->texts[i] -= entry->texts[i];
        } else {
            spender->jobs[i].id = entry->job_before[i];
        }
    }
    if (!kept)
        return;
    spender->cached -= entry->cached;
    if (spender->options.alert_usd > 0 && entry->usd > 0)
        sx_spend_alert(spender->database, spender->clock, spender->options.alert_usd, spender->options.alert_url,
                       &spender->jobs[0], &spender->warned);
}

sx_status sx_spender_flush(sx_spender *spender, bool all, sx_error *error)
{
    bool tokens = false, requests = false;
    sx_spend_entry entry;
    for (unsigned i = 0; i < spender->job_count; i++) {
        const sx_provider *source = source_of(spender, i);
        tokens |= source->usage.tokens != source->recorded.tokens;
        requests |= source->usage.requests != source->recorded.requests;
    }
    if (!spender->database || (!all && !tokens))
        return SX_OK;
    /* A search that found its query in the cache leaves no trace: writing one would cost more than the search. */
    if (!strcmp(spender->verb, "search") && !requests)
        return SX_OK;
    sx_status status = sx_spender_write(spender, &entry, error);
    sx_spender_settle(spender, &entry, !status);
    return status;
}
