/* search_hits.c - what a reader wants to see of each passage found: where it stands, its headings, its text. */
#include "page_words.h"
#include "search_hits.h"

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/memory.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

void sx_search_hit_clear(sx_hit *hit)
{
    free(hit->root);
    free(hit->document);
    for (uint32_t i = 0; i < hit->heading_count; i++)
        free(hit->headings[i]);
    free(hit->headings);
    free(hit->metadata);
    free(hit->text);
    free(hit->symbols);
    free(hit->why);
    *hit = (sx_hit){0};
}

void sx_search_hits_clear(sx_hits *hits)
{
    for (size_t i = 0; i < hits->count; i++)
        sx_search_hit_clear(&hits->hits[i]);
    free(hits->hits);
    hits->hits = NULL;
    hits->count = 0;
}

void sx_hits_free(sx_hits *hits)
{
    if (!hits)
        return;
    sx_search_hits_clear(hits);
    free(hits->collection);
    free(hits);
}

static sx_status take_headings(const char *text, sx_hit *hit, sx_error *error)
{
    json_t *headings = text ? json_loads(text, 0, NULL) : NULL;
    size_t count = json_array_size(headings);
    sx_status status = SX_OK;
    hit->headings = sx_calloc(count, sizeof *hit->headings);
    if (!hit->headings)
        status = sx_fail_nomem(error, count * sizeof *hit->headings);
    for (size_t i = 0; !status && i < count; i++) {
        const char *heading = json_string_value(json_array_get(headings, i));
        hit->headings[i] = sx_strdup(heading ? heading : "");
        if (!hit->headings[i])
            status = sx_fail_nomem(error, 64);
        else
            hit->heading_count++;
    }
    json_decref(headings);
    return status;
}

/* The document's text over the ranges of the group's passages, each of which begins where those before it end, or earlier. */
static sx_status join_texts(const sx_search_window *window, const sx_passage_group *group, sx_hit *hit, sx_error *error)
{
    sx_buffer text = {.maximum = SIZE_MAX / 2};
    for (size_t i = 0; i < group->count; i++) {
        const sx_passage *passage = &window->passages[window->order[group->first + i]];
        const sx_chunk_row *chunk = &passage->chunk;
        hit->folded += passage->folded;
        if (i && chunk->end <= hit->end)
            continue;
        size_t known = i ? (size_t)(hit->end - chunk->start) : 0;
        sx_buffer_append(&text, chunk->text + known, chunk->text_length - known);
        hit->end = chunk->end;
        if (chunk->end_line > hit->end_line)
            hit->end_line = chunk->end_line;
    }
    hit->joined = (uint32_t)(group->count - 1);
    hit->text_length = text.length;
    hit->text = sx_buffer_take(&text);
    return hit->text ? SX_OK : sx_fail_nomem(error, hit->text_length);
}

sx_status sx_search_hit_place(sx_database *database, sx_chunk_row *chunk, sx_hit *hit, sx_error *error)
{
    sx_document_row document = {0};
    sx_status status = sx_store_chunk(database, chunk->id, NULL, &document, error);
    if (!status)
        status = take_headings(chunk->headings, hit, error);
    if (!status) {
        hit->index = chunk->index;
        hit->start = chunk->start;
        hit->end = chunk->end;
        hit->start_line = chunk->start_line;
        hit->end_line = chunk->end_line;
        hit->root = document.root;
        hit->document = document.path;
        hit->metadata = document.metadata ? document.metadata : sx_strdup("{}");
        document.root = document.path = document.metadata = NULL;
        hit->text = chunk->text;
        hit->text_length = chunk->text_length;
        hit->symbols = chunk->symbols ? chunk->symbols : sx_strdup("[]");
        chunk->text = chunk->symbols = NULL;
        if (!hit->metadata || !hit->symbols)
            status = sx_fail_nomem(error, 3);
    }
    sx_document_row_clear(&document);
    return status;
}

static sx_status fill_hit(sx_database *database, sx_search_window *window, const sx_search_plan *plan, const sx_passage_group *group,
                          sx_hit *hit, sx_error *error)
{
    sx_passage *first = &window->passages[window->order[group->first]];
    const sx_passage *best = &window->passages[group->best];
    sx_chunk_row *chunk = &first->chunk;
    hit->score = best->score;
    hit->similarity = (double)best->candidate.similarity;
    hit->semantic_rank = best->candidate.semantic_rank;
    hit->keyword_rank = best->candidate.keyword_rank;
    hit->folded = group->count > 1 ? 0 : first->folded;
    if (best->candidate.reason && !(hit->why = sx_trace_why(&plan->trace, best->candidate.reason, best->candidate.frame)))
        return sx_fail_nomem(error, 256);
    sx_status status = sx_search_hit_place(database, chunk, hit, error);
    if (status || group->count == 1)
        return status ? status : sx_places_resolve(hit, error);
    chunk->text = hit->text; /* read once more, with the others' */
    hit->text = NULL;
    status = join_texts(window, group, hit, error);
    return status ? status : sx_places_resolve(hit, error);
}

sx_status sx_search_hits_fill(sx_database *database, sx_search_window *window, const sx_search_plan *plan, sx_hits *hits, sx_error *error)
{
    size_t count = plan->count < window->group_count ? plan->count : window->group_count;
    hits->hits = sx_calloc(count, sizeof *hits->hits);
    if (!hits->hits)
        return sx_fail_nomem(error, count * sizeof *hits->hits);
    sx_status status = SX_OK;
    for (size_t i = 0; !status && i < count; i++) {
        hits->count = i + 1;
        hits->hits[i].rank = (uint32_t)i + 1;
        status = fill_hit(database, window, plan, &window->groups[i], &hits->hits[i], error);
    }
    return status;
}
