/* search_window.c - from candidates to the passages that become hits.
 *
 * The candidates looked at are always a beginning of the one ranked list, so what a search gives does not depend on how often it had to
 * ask for more. The first plan->rerank_count are re-ranked among themselves; the others follow in their order. Equal texts are folded
 * into the first of them. Neighbours are passages of one document whose ranges touch or overlap; each run of them is one hit, at the rank
 * of its best. */
#include "search_window.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { SPARE = 50, GROWTH = 4, MOST_CANDIDATES = 1 << 30 };

void sx_search_window_clear(sx_search_window *window)
{
    for (size_t i = 0; i < window->count; i++)
        sx_chunk_row_clear(&window->passages[i].chunk);
    free(window->candidates);
    free(window->passages);
    free(window->order);
    free(window->groups);
    free(window->slots);
    *window = (sx_search_window){0};
}

/* ---- Candidates and their texts ---- */

/* Takes out what the plan skips; returns how many are left. */
static size_t drop_skipped(const sx_search_plan *plan, sx_search_candidate *candidates, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        bool skipped = false;
        for (size_t j = 0; j < plan->skip_count && !skipped; j++)
            skipped = candidates[i].chunk == plan->skip[j];
        if (skipped)
            continue;
        candidates[kept] = candidates[i];
        if (plan->skip_count) /* there is one list, and places in it count without them */
            candidates[kept].semantic_rank = (uint32_t)kept + 1;
        kept++;
    }
    return kept;
}

/* The next `wanted` candidates. When what was read before is not their beginning (an indexer was at work), reading begins anew. */
static sx_status find_candidates(sx_database *database, const sx_collection_row *collection, const sx_search_plan *plan,
                                 size_t wanted, sx_search_window *window, sx_error *error)
{
    size_t found = 0;
    wanted += plan->skip_count;
    sx_search_candidate *candidates = sx_calloc(wanted, sizeof *candidates);
    if (!candidates)
        return sx_fail_nomem(error, wanted * sizeof *candidates);
    sx_status status = sx_search_candidates(database, collection, &plan->query, wanted, candidates, &found, error);
    if (status) {
        free(candidates);
        return status;
    }
    bool exhausted = found < wanted || wanted >= MOST_CANDIDATES;
    found = drop_skipped(plan, candidates, found);
    bool same = found >= window->found;
    for (size_t i = 0; i < window->found && same; i++)
        same = candidates[i].chunk == window->candidates[i].chunk;
    if (!same)
        sx_search_window_clear(window);
    free(window->candidates);
    window->candidates = candidates;
    window->found = found;
    window->exhausted = exhausted;
    return SX_OK;
}

static sx_status read_passages(sx_database *database, size_t to, sx_search_window *window, sx_error *error)
{
    sx_passage *passages = sx_realloc_array(window->passages, to ? to : 1, sizeof *passages);
    if (!passages)
        return sx_fail_nomem(error, to * sizeof *passages);
    window->passages = passages;
    while (window->count < to) {
        sx_passage *passage = &passages[window->count];
        *passage = (sx_passage){.candidate = window->candidates[window->count]};
        passage->score = passage->candidate.score;
        sx_status status = sx_store_chunk(database, passage->candidate.chunk, &passage->chunk, NULL, error);
        if (status)
            return status;
        window->count++;
    }
    return SX_OK;
}

/* ---- Folding ---- */

static uint64_t start_of(const sx_sha256 *hash)
{
    uint64_t start;
    memcpy(&start, hash->bytes, sizeof start);
    return start;
}

static uint32_t *slot_of(const sx_search_window *window, const sx_sha256 *hash)
{
    size_t at = start_of(hash) & (window->slot_count - 1);
    while (window->slots[at] && memcmp(&window->passages[window->slots[at] - 1].text_hash, hash, sizeof *hash) != 0)
        at = (at + 1) & (window->slot_count - 1);
    return &window->slots[at];
}

static sx_status make_slots(sx_search_window *window, sx_error *error)
{
    size_t wanted = 64;
    while (wanted < window->count * 2)
        wanted *= 2;
    if (wanted <= window->slot_count)
        return SX_OK;
    uint32_t *slots = sx_calloc(wanted, sizeof *slots);
    if (!slots)
        return sx_fail_nomem(error, wanted * sizeof *slots);
    free(window->slots);
    window->slots = slots;
    window->slot_count = wanted;
    for (size_t i = 0; i < window->count; i++)
        if (window->passages[i].hashed && !window->passages[i].folded_away)
            *slot_of(window, &window->passages[i].text_hash) = (uint32_t)i + 1;
    return SX_OK;
}

static sx_status fold(size_t from, sx_search_window *window, sx_error *error)
{
    sx_status status = make_slots(window, error);
    for (size_t i = from; !status && i < window->count; i++) {
        sx_passage *passage = &window->passages[i];
        sx_sha256_of(passage->chunk.text ? passage->chunk.text : "", passage->chunk.text_length, &passage->text_hash);
        passage->hashed = true;
        uint32_t *slot = slot_of(window, &passage->text_hash);
        if (!*slot) {
            *slot = (uint32_t)i + 1;
            continue;
        }
        window->passages[*slot - 1].folded++;
        passage->folded_away = true;
        sx_chunk_row_clear(&passage->chunk);
    }
    return status;
}

/* ---- Joining ---- */

static int compare_places(const void *a, const void *b, void *user)
{
    const sx_passage *passages = user, *x = &passages[*(const uint32_t *)a], *y = &passages[*(const uint32_t *)b];
    if (x->chunk.document != y->chunk.document)
        return x->chunk.document < y->chunk.document ? -1 : 1;
    if (x->chunk.start != y->chunk.start)
        return x->chunk.start < y->chunk.start ? -1 : 1;
    return (x->chunk.index > y->chunk.index) - (x->chunk.index < y->chunk.index);
}

static int compare_groups(const void *a, const void *b)
{
    const sx_passage_group *x = a, *y = b;
    return (x->best > y->best) - (x->best < y->best);
}

static bool covers_its_range(const sx_chunk_row *chunk)
{
    return chunk->text && chunk->end >= chunk->start && chunk->end - chunk->start == chunk->text_length;
}

/* Whether a passage goes on where an earlier one of its document, `last`, which reaches farthest of its run, ends or before. What they
 * share must be the same text, else one of them is of another version of the document. */
static bool touches(const sx_chunk_row *last, const sx_chunk_row *chunk)
{
    if (last->document != chunk->document || chunk->start > last->end || chunk->start < last->start ||
        !covers_its_range(last) || !covers_its_range(chunk))
        return false;
    uint64_t end = chunk->end < last->end ? chunk->end : last->end;
    return memcmp(last->text + (chunk->start - last->start), chunk->text, (size_t)(end - chunk->start)) == 0;
}

static sx_status group(const sx_search_plan *plan, sx_search_window *window, sx_error *error)
{
    uint32_t *order = sx_realloc_array(window->order, window->count ? window->count : 1, sizeof *order);
    if (order)
        window->order = order;
    sx_passage_group *groups = order ? sx_realloc_array(window->groups, window->count ? window->count : 1, sizeof *groups) : NULL;
    if (!groups)
        return sx_fail_nomem(error, window->count * sizeof *groups);
    window->groups = groups;
    size_t count = 0, farthest = 0;
    for (size_t i = 0; i < window->count; i++)
        if (!window->passages[i].folded_away)
            order[count++] = (uint32_t)i;
    if (plan->join && count)
        qsort_r(order, count, sizeof *order, compare_places, window->passages);
    window->group_count = 0;
    for (size_t i = 0; i < count; i++) {
        const sx_chunk_row *chunk = &window->passages[order[i]].chunk;
        if (plan->join && i && touches(&window->passages[farthest].chunk, chunk)) {
            sx_passage_group *last = &groups[window->group_count - 1];
            last->count++;
            last->best = order[i] < last->best ? order[i] : last->best;
            if (chunk->end > window->passages[farthest].chunk.end)
                farthest = order[i];
            continue;
        }
        groups[window->group_count++] = (sx_passage_group){.first = i, .count = 1, .best = order[i]};
        farthest = order[i];
    }
    if (window->group_count)
        qsort(groups, window->group_count, sizeof *groups, compare_groups);
    return SX_OK;
}

/* ---- All of it ---- */

static sx_status take_in(sx_database *database, const sx_collection_row *collection, const sx_search_plan *plan,
                         sx_search_window *window, sx_error *error)
{
    size_t before = window->count, first = plan->rerank_count < window->found ? plan->rerank_count : window->found;
    sx_status status = SX_OK;
    if (!before && plan->rerank && first) {
        sx_rerank_context context = {database, collection, plan->query.text, plan->cross_encoder,
                                     plan->query.mode == SX_SEARCH_SEMANTIC};
        status = read_passages(database, first, window, error);
        if (!status)
            status = sx_rerank(&context, plan->rerank, window->passages, first, error);
    }
    if (!status)
        status = read_passages(database, window->found, window, error);
    if (!status && plan->fold)
        status = fold(before, window, error);
    return status ? status : group(plan, window, error);
}

sx_status sx_search_window_fill(sx_database *database, const sx_collection_row *collection, const sx_search_plan *plan,
                                sx_search_window *window, sx_error *error)
{
    size_t wanted = plan->count + (plan->fold || plan->join ? SPARE : 0);
    if (plan->rerank && wanted < plan->rerank_count)
        wanted = plan->rerank_count;
    sx_status status = SX_OK;
    do {
        status = find_candidates(database, collection, plan, wanted, window, error);
        if (!status)
            status = take_in(database, collection, plan, window, error);
        wanted = wanted < MOST_CANDIDATES / GROWTH ? wanted * GROWTH : MOST_CANDIDATES;
    } while (!status && window->group_count < plan->count && !window->exhausted);
    return status;
}
