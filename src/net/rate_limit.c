/* rate_limit.c - a sliding window over what was sent in the last minute.
 *
 * A token bucket of capacity B that refills at r lets B + 60 r through in some window of a minute, and a large request
 * overdraws it; a log of the requests themselves is exact for any sizes. The service counts when a request arrives, which
 * lies between sending and reply. An entry therefore leaves a minute after its reply. Then any window of the service's holds
 * at most the limit: when the last of the requests that arrived in it was sent, all others of them were still in the log.
 * latest_arrival bounds the time a slow reply can add, since the network does not take longer and the throughput would
 * suffer.
 */
#include "rate_limit.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <stdlib.h>

static const int64_t minute = 60000000000, latest_arrival = 2000000000, longest_told = 600000000000;

static int64_t now_of(const sx_rate_limit *limit)
{
    return limit->clock->monotonic_ns(limit->clock->user);
}

static sx_rate_entry *entry_at(const sx_rate_limit *limit, size_t index)
{
    return &limit->entries[(limit->first + index) % limit->capacity];
}

void sx_rate_limit_open(sx_rate_limit *limit, const sx_clock *clock, uint32_t requests_per_minute, uint32_t tokens_per_minute)
{
    *limit = (sx_rate_limit){
        .clock = clock,
        .requests_per_minute = requests_per_minute,
        .tokens_per_minute = tokens_per_minute,
        .blocked_until_ns = INT64_MIN,
        .told_requests = -1,
        .told_tokens = -1,
    };
}

void sx_rate_limit_close(sx_rate_limit *limit)
{
    free(limit->entries);
    limit->entries = NULL;
    limit->count = limit->capacity = 0;
}

/* Entries leave in the order they came: one that could go earlier waits for those before it, 2 s at most. */
static void drop_old(sx_rate_limit *limit, int64_t now)
{
    while (limit->count) {
        sx_rate_entry *entry = entry_at(limit, 0);
        if (entry->leaves_ns > now)
            return;
        limit->tokens -= entry->tokens;
        if (!entry->arrived) { /* a reply that takes more than a minute */
            limit->unanswered--;
            limit->unanswered_tokens -= entry->tokens;
        }
        limit->first = (limit->first + 1) % limit->capacity;
        limit->first_number++;
        limit->count--;
    }
}

/* Until enough has left the window. */
static int64_t wait_for_window(const sx_rate_limit *limit, uint64_t tokens, int64_t now)
{
    uint64_t requests_left = limit->count, tokens_left = limit->tokens;
    int64_t latest = now;
    for (size_t i = 0; i <= limit->count; i++) {
        bool requests_fit = !limit->requests_per_minute || requests_left < limit->requests_per_minute;
        bool tokens_fit = !limit->tokens_per_minute || !tokens_left || tokens_left + tokens <= limit->tokens_per_minute;
        if ((requests_fit && tokens_fit) || i == limit->count)
            break;
        const sx_rate_entry *entry = entry_at(limit, i);
        requests_left--;
        tokens_left -= entry->tokens;
        if (entry->leaves_ns > latest)
            latest = entry->leaves_ns;
    }
    return latest - now;
}

/* What the service counted before its reply does not hold what was sent since: that is taken off here. */
static int64_t wait_for_told(sx_rate_limit *limit, uint64_t tokens, int64_t now)
{
    int64_t wait = 0;
    if (limit->told_requests >= 0 && now >= limit->told_requests_until_ns)
        limit->told_requests = -1;
    if (limit->told_tokens >= 0 && now >= limit->told_tokens_until_ns)
        limit->told_tokens = -1;
    if (limit->told_requests >= 0 && limit->told_requests < (int64_t)limit->unanswered + 1)
        wait = limit->told_requests_until_ns - now;
    if (limit->told_tokens >= 0 && (uint64_t)limit->told_tokens < limit->unanswered_tokens + tokens &&
        limit->told_tokens_until_ns - now > wait)
        wait = limit->told_tokens_until_ns - now;
    return wait;
}

static bool grow(sx_rate_limit *limit)
{
    size_t capacity = limit->capacity ? limit->capacity * 2 : 64;
    sx_rate_entry *entries = sx_calloc(capacity, sizeof *entries);
    if (!entries)
        return false;
    for (size_t i = 0; i < limit->count; i++)
        entries[i] = *entry_at(limit, i);
    free(limit->entries);
    limit->entries = entries;
    limit->capacity = capacity;
    limit->first = 0;
    return true;
}

sx_status sx_rate_limit_take(sx_rate_limit *limit, uint64_t tokens, int64_t *wait_ns, uint64_t *ticket, sx_error *error)
{
    int64_t now = now_of(limit);
    drop_old(limit, now);
    *wait_ns = wait_for_window(limit, tokens, now);
    int64_t told = wait_for_told(limit, tokens, now);
    if (told > *wait_ns)
        *wait_ns = told;
    if (limit->blocked_until_ns > now && limit->blocked_until_ns - now > *wait_ns)
        *wait_ns = limit->blocked_until_ns - now;
    if (*wait_ns > 0)
        return SX_OK;
    if (limit->count == limit->capacity && !grow(limit))
        return sx_fail_nomem(error, limit->capacity * 2 * sizeof *limit->entries);
    limit->count++;
    *entry_at(limit, limit->count - 1) =
        (sx_rate_entry){.sent_ns = now, .leaves_ns = now + latest_arrival + minute, .tokens = tokens};
    limit->tokens += tokens;
    limit->unanswered++;
    limit->unanswered_tokens += tokens;
    *ticket = limit->first_number + limit->count - 1;
    return SX_OK;
}

void sx_rate_limit_answered(sx_rate_limit *limit, uint64_t ticket, uint64_t counted)
{
    if (ticket < limit->first_number || ticket - limit->first_number >= limit->count)
        return; /* it has left already */
    sx_rate_entry *entry = entry_at(limit, (size_t)(ticket - limit->first_number));
    if (entry->arrived)
        return;
    int64_t now = now_of(limit);
    entry->arrived = true;
    if (now < entry->sent_ns + latest_arrival)
        entry->leaves_ns = now + minute;
    limit->unanswered--;
    limit->unanswered_tokens -= entry->tokens;
    limit->tokens = limit->tokens - entry->tokens + counted;
    entry->tokens = counted;
}

void sx_rate_limit_block(sx_rate_limit *limit, int64_t duration_ns)
{
    int64_t until = now_of(limit) + duration_ns;
    if (duration_ns > 0 && until > limit->blocked_until_ns)
        limit->blocked_until_ns = until;
}

/* The latest word counts, until its reset. */
static void tell(int64_t *told, int64_t *until, int64_t remaining, int64_t reset, int64_t now)
{
    if (remaining < 0 || reset < 0)
        return;
    if (reset > longest_told)
        reset = longest_told;
    *told = remaining;
    *until = now + reset;
}

void sx_rate_limit_told(sx_rate_limit *limit, int64_t requests, int64_t tokens, int64_t reset_requests_ns,
                        int64_t reset_tokens_ns)
{
    int64_t now = now_of(limit);
    tell(&limit->told_requests, &limit->told_requests_until_ns, requests, reset_requests_ns, now);
    tell(&limit->told_tokens, &limit->told_tokens_until_ns, tokens, reset_tokens_ns, now);
}
