/* chunk_semantic.c - prose cut where its subject drifts.
 *
 * Between two sentences the three before and the three after are embedded and compared, as TextTiling (Hearst 1997) does with
 * words: where the cosine falls furthest, one subject ends and another begins. A chunk ends at such a place once it is fairly
 * full: at the beginning of a section, else at a peak of the drift that is among the document's highest, and where it would
 * get too long at the highest there is. Structure goes first: nothing is compared across headings, which never stand at the
 * end of a chunk, and sections too small to be cut are not embedded at all. Vectors come from the context, in blocks, so
 * that no more than a block's are in memory. */
#include "chunk_internal.h"

#include "../base/error.h"
#include "../base/ranking.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Sentences on each side of a place, places compared in one go (a service is asked for all their windows at once), and
 * sentences that one go may reach over. */
enum { SIDE = 3, PLACES = 512, REACH = 2 * PLACES };
/* Of all windows' room, a part is left for slices that have more tokens than were counted in the whole. */
enum { SPARE_SHARE = 8 };

/* Drift at places where nothing may begin, and where a section begins; else it is 1 - cosine, 0 when that is not known. */
static const float never = -1, section_begins = INFINITY;

typedef struct sentence {
    size_t start;
    float drift;  /* between what is before it and what begins with it */
    bool peak;
} sentence;

typedef struct sentence_list {
    sentence *sentences; /* count of them, and one that begins at the end of the text */
    size_t count, capacity;
    size_t measured;     /* places with a drift of their own */
} sentence_list;

/* Windows of one go. window[i][n - 1]: which text n sentences from first + i are, from 1; 0: none yet. */
typedef struct comparison {
    size_t first;
    size_t count, place_count;
    uint32_t window[REACH][SIDE];
    struct { size_t at; uint32_t before, after; } places[PLACES];
    sx_text texts[2 * PLACES];
    float *vectors;
} comparison;

static sx_status find_sentences(const sx_chunker *chunker, sentence_list *list)
{
    sx_unit_walk walk = {0};
    size_t at = sx_skip_blank(chunker->text, chunker->length, 0);
    for (;;) {
        if (!sx_reserve((void **)&list->sentences, &list->capacity, list->count + 1, sizeof *list->sentences))
            return sx_fail_nomem(chunker->error, list->count * sizeof *list->sentences);
        list->sentences[list->count] = (sentence){.start = at};
        if (at >= chunker->length)
            return SX_OK;
        list->count++;
        at = sx_unit_next(chunker, &walk, true, at);
    }
}

/* Headings go with what follows them; where a section begins after another's body, a chunk may. */
static void mark_structure(const sx_chunker *chunker, sentence_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        size_t at = list->sentences[i].start;
        uint32_t number = sx_section_at(chunker, at);
        const sx_section *section = &chunker->sections[number];
        bool begins = number > 0 && at <= sx_skip_blank(chunker->text, section->end, section->start);
        if (i == 0 || (begins && !section[-1].has_body) || (number > 0 && !begins && at <= section->body))
            list->sentences[i].drift = never;
        else if (begins)
            list->sentences[i].drift = section_begins;
    }
}

/* The text of `count` sentences from `from`, or as much of one as the model takes; false: they are too long. */
static bool window_text(const sx_chunker *chunker, const sentence_list *list, size_t from, size_t count, sx_text *text)
{
    size_t start = list->sentences[from].start, end = sx_trim_blank(chunker->text, start, list->sentences[from + count].start);
    uint64_t budget;
    sx_budget_marks(chunker, &budget);
    size_t reach = sx_budget_ceiling(chunker, start, end, (size_t)(budget / SPARE_SHARE));
    if (reach < end && count > 1)
        return false;
    *text = (sx_text){chunker->text + start, (reach < end && reach > start ? reach : end) - start};
    return true;
}

/* The window of most sentences, at most `most`, that ends before (backwards) or begins with `at`. */
static uint32_t take_window(const sx_chunker *chunker, const sentence_list *list, comparison *now, size_t at, size_t most,
                            bool backwards)
{
    for (size_t count = most < SIDE ? most : SIDE;; count--) {
        size_t from = backwards ? at - count : at;
        uint32_t *number = &now->window[from - now->first][count - 1];
        if (!*number && window_text(chunker, list, from, count, &now->texts[now->count]))
            *number = (uint32_t)++now->count;
        if (*number)
            return *number - 1;
    }
}

static sx_status compare(sx_chunker *chunker, sentence_list *list, comparison *now)
{
    const sx_chunk_context *context = chunker->context;
    if (!now->place_count)
        return SX_OK;
    sx_status status = context->embed(context->embed_user, now->texts, now->count, now->vectors, chunker->error);
    for (size_t i = 0; !status && i < now->place_count; i++) {
        const float *before = now->vectors + (size_t)now->places[i].before * context->dimensions;
        const float *after = now->vectors + (size_t)now->places[i].after * context->dimensions;
        double drift = 1 - sx_ranking_cosine(before, after, context->dimensions);
        list->sentences[now->places[i].at].drift = drift > 0 ? (float)drift : 0; /* a NaN is none either */
    }
    memset(now->window, 0, sizeof now->window);
    now->count = now->place_count = 0;
    return status;
}

/* Sentences [from, to) are one body: measures the places between them. */
static sx_status compare_body(sx_chunker *chunker, sentence_list *list, comparison *now, size_t from, size_t to)
{
    sx_status status = SX_OK;
    list->measured += to - from - 1;
    for (size_t at = from + 1; !status && at < to; at++) {
        if (now->place_count == PLACES || (now->place_count && at - now->first >= REACH - 1))
            status = compare(chunker, list, now);
        if (!now->place_count)
            now->first = at > from + SIDE ? at - SIDE : from;
        uint32_t before = take_window(chunker, list, now, at, at - from, true);
        uint32_t after = take_window(chunker, list, now, at, to - at, false);
        now->places[now->place_count].at = at;
        now->places[now->place_count].before = before;
        now->places[now->place_count++].after = after;
    }
    return status;
}

static uint64_t least_cost(const sx_chunker *chunker)
{
    uint64_t budget;
    sx_budget_marks(chunker, &budget);
    return budget * sx_chunk_tuned.least_fill_percent / 100;
}

static sx_status measure_drift(sx_chunker *chunker, sentence_list *list)
{
    comparison *now = sx_calloc(1, sizeof *now);
    sx_status status = SX_OK;
    if (now)
        now->vectors = sx_calloc(2 * PLACES, chunker->context->dimensions * sizeof *now->vectors);
    if (!now || !now->vectors)
        status = sx_fail_nomem(chunker->error, 2 * PLACES * chunker->context->dimensions * sizeof *now->vectors);
    for (size_t from = 0, to; !status && from < list->count; from = to) {
        for (to = from + 1; to < list->count && list->sentences[to].drift == 0;)
            to++;
        uint64_t cost = sx_budget_cost(chunker, list->sentences[from].start, list->sentences[to].start);
        if (to - from > 1 && cost > least_cost(chunker))
            status = compare_body(chunker, list, now, from, to);
    }
    if (!status)
        status = compare(chunker, list, now);
    if (now)
        free(now->vectors);
    free(now);
    return status;
}

static int by_drift(const void *a, const void *b)
{
    float one = *(const float *)a, other = *(const float *)b;
    return (one > other) - (one < other);
}

/* Peaks: not below their neighbours, and at least the percentile of what was measured. */
static sx_status find_peaks(sx_chunker *chunker, sentence_list *list)
{
    if (!list->measured)
        return SX_OK;
    float *sorted = sx_calloc(list->count, sizeof *sorted);
    size_t count = 0;
    if (!sorted)
        return sx_fail_nomem(chunker->error, list->count * sizeof *sorted);
    for (size_t i = 0; i < list->count; i++)
        if (list->sentences[i].drift > 0 && list->sentences[i].drift < section_begins)
            sorted[count++] = list->sentences[i].drift;
    qsort(sorted, count, sizeof *sorted, by_drift);
    float least = count ? sorted[(count - 1) * sx_chunk_tuned.drift_percentile / 100] : 0;
    free(sorted);
    for (size_t i = 1; i < list->count; i++) {
        sentence *here = &list->sentences[i];
        float before = here[-1].drift < section_begins ? here[-1].drift : never;
        float after = i + 1 < list->count && here[1].drift < section_begins ? here[1].drift : never;
        here->peak = here->drift > 0 && here->drift < section_begins && here->drift >= least && here->drift > before &&
                     here->drift >= after;
    }
    return SX_OK;
}

/* The first sentence that begins after `offset`. */
static size_t sentence_after(const sentence_list *list, size_t offset)
{
    size_t from = 0, to = list->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (list->sentences[middle].start <= offset)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static size_t drift_end(const sx_chunker *chunker, size_t start, size_t fresh, size_t ceiling, size_t hard_end,
                        const void *context)
{
    static const sx_recursive_context by_blocks = {.use_blocks = true};
    const sentence_list *list = context;
    uint64_t least = least_cost(chunker);
    size_t reach = sx_skip_blank(chunker->text, hard_end, ceiling), best = 0; /* blanks cost nothing */
    float most = never;
    for (size_t i = sentence_after(list, fresh); i < list->count && list->sentences[i].start <= reach; i++) {
        const sentence *next = &list->sentences[i];
        if (next->drift < 0 || sx_budget_cost(chunker, start, next->start) < least)
            continue;
        bool leaves_enough = sx_budget_cost(chunker, next->start, hard_end) >= least;
        if (!leaves_enough && best)
            break;
        if (leaves_enough && (next->peak || next->drift == section_begins))
            return next->start;
        if (next->drift >= most) { /* of equal ones the last: where nothing is known chunks are full */
            most = next->drift;
            best = next->start;
        }
    }
    if (reach >= hard_end)
        return hard_end;
    if (best || start < fresh)
        return best;
    return sx_recursive_end(chunker, start, fresh, ceiling, hard_end, &by_blocks); /* inside a table, or what else has no end */
}

sx_status sx_chunk_semantically(sx_chunker *chunker)
{
    sentence_list list = {0};
    if (!chunker->context->embed || !chunker->context->dimensions) {
        sx_fail(chunker->error, SX_E_INVALID, "chunk strategy semantic: there is nothing to embed sentences with");
        sx_hint(chunker->error, "cut with an embedder (sx_embedder_chunk_file, sx_index), or take strategy recursive");
        return SX_E_INVALID;
    }
    sx_status status = find_sentences(chunker, &list);
    if (status == SX_OK && sx_budget_cost(chunker, 0, chunker->length) > least_cost(chunker)) {
        mark_structure(chunker, &list);
        status = measure_drift(chunker, &list);
        if (status == SX_OK)
            status = find_peaks(chunker, &list);
    }
    if (status == SX_OK)
        status = sx_chunk_from_left(chunker, 0, chunker->length, drift_end, &list);
    free(list.sentences);
    return status;
}
