/* test_rate_limit.c - no window of a minute exceeds a limit as a service sees it, and little of what it allows is left
 * unused.
 *
 * A service is played on a fake clock: requests of random sizes arrive somewhere between sending and reply, and the window of
 * a minute is slid over the arrivals.
 */
#include "net/rate_limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MOST = 40000, MOST_FLYING = 10 };
static const int64_t second = 1000000000, minute = 60000000000;

typedef struct play_clock {
    int64_t now;
} play_clock;

static int64_t play_now(void *user)
{
    return ((play_clock *)user)->now;
}

static void play_sleep(int64_t duration, void *user)
{
    ((play_clock *)user)->now += duration;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1du;
}

typedef struct arrival {
    int64_t at;
    uint64_t tokens;
} arrival;

typedef struct flight {
    bool used;
    int64_t replies_at;
    uint64_t ticket, tokens;
} flight;

typedef struct rate_game {
    uint32_t requests_per_minute, tokens_per_minute;
    uint64_t largest;            /* tokens of a request */
    int64_t longest_latency;
    bool guesses;                /* the estimate is larger than what is counted */
    int64_t duration;
    arrival *arrivals;
    size_t count;
    uint64_t tokens;
} rate_game;

static int by_time(const void *a, const void *b)
{
    const arrival *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

static void settle(sx_rate_limit *limit, flight *flights, int64_t now)
{
    for (size_t i = 0; i < MOST_FLYING; i++)
        if (flights[i].used && flights[i].replies_at <= now) {
            sx_rate_limit_answered(limit, flights[i].ticket, flights[i].tokens);
            flights[i].used = false;
        }
}

static flight *free_flight(flight *flights, int64_t *next)
{
    flight *found = NULL;
    *next = INT64_MAX;
    for (size_t i = 0; i < MOST_FLYING; i++) {
        if (!flights[i].used)
            found = &flights[i];
        else if (flights[i].replies_at < *next)
            *next = flights[i].replies_at;
    }
    return found;
}

static void play(rate_game *game, uint64_t seed)
{
    play_clock time = {.now = 12345};
    sx_clock clock = {play_now, play_now, play_sleep, &time};
    sx_rate_limit limit;
    flight flights[MOST_FLYING] = {{0}};
    sx_error error;
    game->arrivals = calloc(MOST, sizeof *game->arrivals);
    assert_non_null(game->arrivals);
    game->count = 0;
    game->tokens = 0;
    sx_rate_limit_open(&limit, &clock, game->requests_per_minute, game->tokens_per_minute);
    int64_t end = time.now + game->duration;
    uint64_t tokens = 1 + next_random(&seed) % game->largest;
    while (time.now < end) {
        int64_t next, wait;
        uint64_t ticket;
        settle(&limit, flights, time.now);
        flight *place = free_flight(flights, &next);
        if (!place) {
            time.now = next;
            continue;
        }
        uint64_t estimate = game->guesses ? tokens + next_random(&seed) % (tokens + 1) : tokens;
        assert_int_equal(sx_rate_limit_take(&limit, estimate, &wait, &ticket, &error), SX_OK);
        if (wait) {
            assert_true(wait > 0);
            time.now = next < time.now + wait ? next : time.now + wait;
            continue;
        }
        int64_t latency = 1 + (int64_t)(next_random(&seed) % (uint64_t)game->longest_latency);
        int64_t arrives = (int64_t)(next_random(&seed) % (uint64_t)(latency < 2 * second ? latency : 2 * second));
        assert_true(game->count < MOST);
        game->arrivals[game->count++] = (arrival){time.now + arrives, tokens};
        game->tokens += tokens;
        *place = (flight){true, time.now + latency, ticket, tokens};
        tokens = 1 + next_random(&seed) % game->largest;
    }
    sx_rate_limit_close(&limit);
}

/* The largest sums over windows (t, t + minute]. */
static void slide(rate_game *game, uint64_t *most_requests, uint64_t *most_tokens)
{
    uint64_t tokens = 0;
    size_t first = 0;
    *most_requests = *most_tokens = 0;
    qsort(game->arrivals, game->count, sizeof *game->arrivals, by_time);
    for (size_t i = 0; i < game->count; i++) {
        tokens += game->arrivals[i].tokens;
        while (game->arrivals[i].at - game->arrivals[first].at >= minute)
            tokens -= game->arrivals[first++].tokens;
        if (tokens > *most_tokens)
            *most_tokens = tokens;
        if (i - first + 1 > *most_requests)
            *most_requests = i - first + 1;
    }
}

static void no_window_exceeds(void **state)
{
    (void)state;
    static const rate_game games[] = {
        {.requests_per_minute = 100, .largest = 1, .longest_latency = 200000000},
        {.requests_per_minute = 3000, .largest = 1, .longest_latency = 300000000},
        {.requests_per_minute = 7, .tokens_per_minute = 1000, .largest = 300, .longest_latency = 3000000000},
        {.tokens_per_minute = 100000, .largest = 20000, .longest_latency = 2000000000},
        {.tokens_per_minute = 100000, .largest = 100000, .longest_latency = 1000000000},
        {.tokens_per_minute = 1000000, .largest = 6000, .longest_latency = 500000000},
        {.requests_per_minute = 500, .tokens_per_minute = 40000, .largest = 200, .longest_latency = 90000000000},
        {.requests_per_minute = 60, .tokens_per_minute = 5000, .largest = 400, .longest_latency = 500000000, .guesses = true},
    };
    for (size_t i = 0; i < sizeof games / sizeof *games; i++) {
        for (uint64_t seed = 1; seed <= 20; seed++) {
            rate_game game = games[i];
            uint64_t requests, tokens;
            game.duration = 6 * minute;
            play(&game, seed * 0x9e3779b97f4a7c15u);
            slide(&game, &requests, &tokens);
            if ((game.requests_per_minute && requests > game.requests_per_minute) ||
                (game.tokens_per_minute && tokens > game.tokens_per_minute))
                fail_msg("game %zu, seed %llu: %llu requests and %llu tokens in a minute", i, (unsigned long long)seed,
                         (unsigned long long)requests, (unsigned long long)tokens);
            free(game.arrivals);
        }
    }
}

/* With requests much smaller than the limit, within a tenth of it over ten minutes. */
static void uses_what_is_allowed(void **state)
{
    (void)state;
    rate_game requests = {.requests_per_minute = 600, .largest = 1, .longest_latency = 800000000, .duration = 10 * minute};
    play(&requests, 42);
    assert_true(requests.count >= 600 * 10 * 9 / 10);
    free(requests.arrivals);
    rate_game tokens = {.tokens_per_minute = 1000000, .largest = 20000, .longest_latency = 800000000, .duration = 10 * minute};
    play(&tokens, 43);
    assert_true(tokens.tokens >= (uint64_t)1000000 * 10 * 9 / 10);
    free(tokens.arrivals);
}

typedef struct rate_bench {
    play_clock time;
    sx_clock clock;
    sx_rate_limit limit;
} rate_bench;

static void open_bench(rate_bench *bench, uint32_t requests, uint32_t tokens)
{
    *bench = (rate_bench){.time = {1000}};
    bench->clock = (sx_clock){play_now, play_now, play_sleep, &bench->time};
    sx_rate_limit_open(&bench->limit, &bench->clock, requests, tokens);
}

static int64_t take(rate_bench *bench, uint64_t tokens, uint64_t *ticket)
{
    int64_t wait;
    sx_error error;
    assert_int_equal(sx_rate_limit_take(&bench->limit, tokens, &wait, ticket, &error), SX_OK);
    return wait;
}

static void small_jobs_are_not_held_back(void **state)
{
    (void)state;
    rate_bench bench;
    uint64_t ticket;
    open_bench(&bench, 100, 1000);
    for (int i = 0; i < 100; i++)
        assert_int_equal(take(&bench, 10, &ticket), 0);
    assert_true(take(&bench, 10, &ticket) > 59 * second);
    sx_rate_limit_close(&bench.limit);
}

static void a_request_beyond_the_limit_goes_alone(void **state)
{
    (void)state;
    rate_bench bench;
    uint64_t ticket;
    open_bench(&bench, 0, 1000);
    assert_int_equal(take(&bench, 1, &ticket), 0);
    sx_rate_limit_answered(&bench.limit, ticket, 1);
    assert_int_equal(take(&bench, 5000, &ticket), minute);
    bench.time.now += minute;
    assert_int_equal(take(&bench, 5000, &ticket), 0);
    assert_true(take(&bench, 1, &ticket) > 0);
    sx_rate_limit_close(&bench.limit);
}

static void retry_after_blocks_all(void **state)
{
    (void)state;
    rate_bench bench;
    uint64_t ticket;
    open_bench(&bench, 0, 0);
    assert_int_equal(take(&bench, 5, &ticket), 0);
    sx_rate_limit_block(&bench.limit, 7 * second);
    sx_rate_limit_block(&bench.limit, 3 * second); /* does not shorten it */
    assert_int_equal(take(&bench, 5, &ticket), 7 * second);
    bench.time.now += 7 * second;
    assert_int_equal(take(&bench, 5, &ticket), 0);
    sx_rate_limit_close(&bench.limit);
}

static void what_remains_is_heeded(void **state)
{
    (void)state;
    rate_bench bench;
    uint64_t first, ticket;
    open_bench(&bench, 0, 0);
    assert_int_equal(take(&bench, 5, &first), 0);
    sx_rate_limit_answered(&bench.limit, first, 5);
    sx_rate_limit_told(&bench.limit, 2, 100, 10 * second, 20 * second);
    assert_int_equal(take(&bench, 60, &ticket), 0);
    assert_int_equal(take(&bench, 60, &first), 20 * second); /* 60 of 100 are on their way */
    assert_int_equal(take(&bench, 40, &first), 0);
    assert_int_equal(take(&bench, 0, &first), 10 * second);  /* two requests remained */
    bench.time.now += 10 * second;
    assert_int_equal(take(&bench, 1, &first), 10 * second);
    bench.time.now += 10 * second;
    assert_int_equal(take(&bench, 100000, &first), 0);
    sx_rate_limit_told(&bench.limit, 0, -1, 1 * second, -1);
    assert_int_equal(take(&bench, 1, &first), 1 * second);
    sx_rate_limit_close(&bench.limit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_window_exceeds),
        cmocka_unit_test(uses_what_is_allowed),
        cmocka_unit_test(small_jobs_are_not_held_back),
        cmocka_unit_test(a_request_beyond_the_limit_goes_alone),
        cmocka_unit_test(retry_after_blocks_all),
        cmocka_unit_test(what_remains_is_heeded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
