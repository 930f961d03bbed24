/* chunk_budget.c - what a chunk may cost, and placing chunks so that none costs more.
 *
 * The text is counted once, in windows, which tells where tokens begin; the end of a chunk is estimated from that by
 * rank and select. A tokenizer need not count a slice as it counted the whole, so each chunk is then counted once more
 * exactly as it will be embedded, with header, prompt and special tokens, and made shorter until it fits. Nothing is assumed of the counter: were it to
 * contradict itself at every call, chunks would get small, but not too large, and the number of bytes counted would stay
 * within a constant times n log n. */
#include "chunk_internal.h"

#include "../base/error.h"

#include <stdlib.h>
#include <string.h>

/* Text counted in one call when looking for token starts, and how far back of its end a blank is looked for. */
enum { WINDOW_BYTES = 1 << 20, WINDOW_REACH = 4096 };
/* Counts that may be wrong before a chunk is halved instead of shortened in proportion. */
enum { PATIENCE = 4 };

static size_t window_end(const sx_chunker *chunker, size_t start)
{
    if (chunker->length - start <= WINDOW_BYTES)
        return chunker->length;
    size_t end = start + WINDOW_BYTES;
    for (size_t at = end; at > end - WINDOW_REACH; at--)
        if (sx_blank_at(chunker->text, chunker->length, at) == 1)
            return at;
    return sx_code_point_start(chunker->text, start, chunker->length, end);
}

static sx_status mark_tokens(sx_chunker *chunker)
{
    const sx_token_counter *counter = chunker->counter;
    size_t capacity = chunker->length < WINDOW_BYTES ? chunker->length : WINDOW_BYTES;
    uint32_t *starts = sx_calloc(capacity, sizeof *starts);
    sx_status status = SX_OK;
    if (!starts || !sx_marks_make(&chunker->tokens, chunker->length)) {
        status = sx_fail_nomem(chunker->error, chunker->length);
        goto out;
    }
    for (size_t start = 0, end; start < chunker->length; start = end) {
        end = window_end(chunker, start);
        size_t count = counter->count(counter->user, chunker->text + start, end - start, starts, capacity);
        if (count == SIZE_MAX) {
            status = sx_fail(chunker->error, SX_E_NOMEM, "counting the tokens of bytes %zu to %zu failed", start, end);
            goto out;
        }
        /* Tokens that begin at one byte (parts of a character) take the bytes after it, so that their sum is right. */
        size_t next = 0;
        for (size_t i = 0; i < count && i < capacity; i++) {
            size_t at = starts[i] > next ? starts[i] : next;
            if (at >= end - start)
                break;
            sx_marks_set(&chunker->tokens, start + at);
            next = at + 1;
        }
    }
    sx_marks_finish(&chunker->tokens);
out:
    free(starts);
    return status;
}

static sx_status mark_characters(sx_chunker *chunker)
{
    if (!sx_marks_make(&chunker->characters, chunker->length))
        return sx_fail_nomem(chunker->error, chunker->length);
    for (size_t i = 0; i < chunker->length; i++)
        if (((unsigned char)chunker->text[i] & 0xc0) != 0x80)
            sx_marks_set(&chunker->characters, i);
    sx_marks_finish(&chunker->characters);
    return SX_OK;
}

sx_status sx_budget_open(sx_chunker *chunker)
{
    const sx_chunk_plan *plan = chunker->plan;
    const sx_token_counter *counter = chunker->counter;
    bool counts_units = chunker->method == SX_CHUNK_SENTENCES || chunker->method == SX_CHUNK_PARAGRAPHS;
    chunker->cap = SIZE_MAX;
    chunker->unit_budget = plan->in_tokens || counts_units ? SIZE_MAX : plan->size;
    chunker->token_budget = chunker->most_tokens = SIZE_MAX;
    if (counter && (plan->in_tokens || counter->limit)) {
        uint64_t most = plan->in_tokens ? plan->size : counter->limit;
        if (counter->limit && most > counter->limit)
            most = counter->limit;
        uint64_t taken = (uint64_t)counter->special + counter->prompt;
        chunker->most_tokens = (size_t)most;
        chunker->taken_tokens = (size_t)taken;
        chunker->token_budget = most > taken ? (size_t)(most - taken) : 1;
    }
    sx_status status = chunker->token_budget != SIZE_MAX ? mark_tokens(chunker) : SX_OK;
    if (status == SX_OK && chunker->unit_budget != SIZE_MAX)
        status = mark_characters(chunker);
    return status;
}

void sx_budget_close(sx_chunker *chunker)
{
    sx_marks_clear(&chunker->characters);
    sx_marks_clear(&chunker->tokens);
}

const sx_marks *sx_budget_marks(const sx_chunker *chunker, uint64_t *budget)
{
    bool characters = chunker->unit_budget != SIZE_MAX;
    if (!characters && chunker->token_budget == SIZE_MAX)
        return NULL;
    *budget = characters ? chunker->unit_budget : chunker->token_budget;
    return characters ? &chunker->characters : &chunker->tokens;
}

uint64_t sx_budget_cost(const sx_chunker *chunker, size_t start, size_t end)
{
    uint64_t budget;
    const sx_marks *marks = sx_budget_marks(chunker, &budget);
    return marks ? sx_marks_before(marks, end) - sx_marks_before(marks, start) : 0;
}

size_t sx_overlap_start(const sx_chunker *chunker, size_t start, size_t end)
{
    uint64_t room;
    const sx_marks *marks = sx_budget_marks(chunker, &room);
    uint64_t overlap = chunker->plan->overlap;
    if (!marks || overlap == 0 || start >= end)
        return end;
    size_t lowest = start;
    if (chunker->plan->in_tokens) {
        /* Of what the header left, an eighth is for what is new; and where estimates do not hold, bytes keep the proportion. */
        room = room > chunker->cached_header.tokens ? room - chunker->cached_header.tokens : 1;
        uint64_t most = room - room / 8 - 1;
        overlap = overlap < most ? overlap : most;
        double share = 2 * (double)overlap / (double)room;
        lowest = end - (size_t)((double)(end - start) * (share < 0.875 ? share : 0.875));
    }
    uint64_t before = sx_marks_before(marks, end), own = before - sx_marks_before(marks, start);
    if (!chunker->plan->in_tokens && own < room / 8 * 7) /* the limit in tokens ended the chunk early */
        overlap = (uint64_t)((double)overlap * (double)own / (double)room);
    size_t from = before > overlap ? sx_marks_find(marks, before - overlap) : 0;
    from = from > lowest ? from : lowest;
    if (from >= end)
        return end;
    from = sx_grapheme_back(chunker->text, start, chunker->length, from);
    if (from > start)
        return from;
    size_t bytes;
    sx_code_point_at(chunker->text, chunker->length, start, &bytes);
    return start + bytes < end ? start + bytes : end;
}

size_t sx_budget_ceiling(const sx_chunker *chunker, size_t start, size_t hard_end, size_t header_tokens)
{
    size_t ceiling = hard_end, span = chunker->cap;
    if (chunker->token_budget != SIZE_MAX) {
        uint64_t room = chunker->token_budget > header_tokens ? chunker->token_budget - header_tokens : 1;
        size_t end = sx_marks_find(&chunker->tokens, sx_marks_before(&chunker->tokens, start) + room);
        ceiling = end < ceiling ? end : ceiling;
        size_t bytes;
        if (sx_multiply((size_t)room, sx_chunk_tuned.bytes_per_token, &bytes) && bytes < span)
            span = bytes;
    }
    if (chunker->unit_budget != SIZE_MAX) {
        uint64_t number = sx_marks_before(&chunker->characters, start) + chunker->unit_budget;
        size_t end = sx_marks_find(&chunker->characters, number);
        ceiling = end < ceiling ? end : ceiling;
    }
    if (ceiling > start && ceiling - start > span)
        ceiling = start + span;
    return ceiling < hard_end ? sx_code_point_start(chunker->text, start, hard_end, ceiling) : hard_end;
}

/* Tokens of all that is embedded for a chunk; 0 without a counter. */
static sx_status count_chunk(sx_chunker *chunker, const sx_header *header, size_t start, size_t end, size_t *tokens)
{
    const sx_token_counter *counter = chunker->counter;
    *tokens = 0;
    if (!counter)
        return SX_OK;
    const char *text = chunker->text + start;
    size_t length = end - start;
    if (header->length) {
        sx_buffer *scratch = &chunker->scratch;
        sx_buffer_reset(scratch);
        sx_buffer_append(scratch, header->text, header->length);
        sx_buffer_append_byte(scratch, '\n');
        if (!sx_buffer_append(scratch, text, length))
            return sx_fail_nomem(chunker->error, length);
        text = scratch->data;
        length = scratch->length;
    }
    *tokens = counter->count_embedded ? counter->count_embedded(counter->user, text, length)
                                      : counter->count(counter->user, text, length, NULL, 0);
    if (*tokens == SIZE_MAX)
        return sx_fail(chunker->error, SX_E_NOMEM, "counting the tokens of bytes %zu to %zu failed", start, end);
    if (!counter->count_embedded)
        *tokens += (size_t)counter->special + counter->prompt;
    return SX_OK;
}

static sx_status add_chunk(sx_chunker *chunker, const sx_header *header, size_t start, size_t end, size_t tokens)
{
    sx_chunk_list *list = chunker->list;
    if (!sx_reserve((void **)&list->chunks, &chunker->capacity, list->count + 1, sizeof *list->chunks))
        return sx_fail_nomem(chunker->error, (list->count + 1) * sizeof *list->chunks);
    sx_chunk *chunk = &list->chunks[list->count++];
    *chunk = (sx_chunk){.start = start, .end = end, .tokens = tokens < UINT32_MAX ? (uint32_t)tokens : UINT32_MAX,
                        .headings = header->headings, .heading_count = header->heading_count, .header = header->text,
                        .symbols = header->symbols, .symbol_count = header->symbol_count};
    sx_chunk_lines(chunker, chunk);
    return SX_OK;
}

/* A shorter end after [start, end) was counted and found too large. */
static size_t shorten(size_t start, size_t end, size_t tokens, size_t room, unsigned failures)
{
    size_t span = end - start;
    size_t next = failures > PATIENCE ? span / 2 : (size_t)((double)span * (double)room / (double)tokens);
    return start + (next < span ? next : span - 1);
}

/* Once a count was far from the estimate, chunks grow slowly from the length that fitted. */
static void learn(sx_chunker *chunker, size_t span, unsigned failures, bool far_off)
{
    if (far_off)
        chunker->cap = span < SIZE_MAX / 2 ? 2 * span : SIZE_MAX;
    else if (failures == 0 && chunker->cap != SIZE_MAX)
        chunker->cap = chunker->cap < SIZE_MAX / 2 ? 2 * chunker->cap : SIZE_MAX;
}

sx_status sx_chunk_place(sx_chunker *chunker, size_t *start, size_t fresh, size_t hard_end, sx_end_chooser choose,
                         const void *context, size_t *end)
{
    static const sx_header no_header = {.text = ""};
    const char *text = chunker->text;
    fresh = sx_skip_blank(text, hard_end, fresh);
    size_t origin = *start, most = hard_end; /* origin: where counting begins, with the blanks before the chunk */
    bool with_header = true, far_off = false;
    for (unsigned failures = 0;;) {
        size_t begin = sx_skip_blank(text, fresh, origin);
        const sx_header *header = &no_header;
        sx_header bare;
        sx_status status = sx_header_make(chunker, begin, fresh + 1, &header); /* as a rule that of the whole chunk, too */
        if (status != SX_OK)
            return status;
        size_t ceiling = sx_budget_ceiling(chunker, origin, hard_end, with_header ? header->tokens : 0);
        ceiling = ceiling < most ? ceiling : sx_code_point_start(text, begin, hard_end, most);
        size_t cut = ceiling > fresh ? choose(chunker, begin, fresh, ceiling, hard_end, context) : 0;
        if (!cut && origin < fresh) { /* what is repeated leaves no room for anything new */
            origin = fresh;
            most = hard_end;
            continue;
        }
        size_t least;
        sx_code_point_at(text, hard_end, fresh, &least);
        if (!cut)
            cut = fresh + least;

        size_t last = sx_trim_blank(text, begin, cut), tokens;
        status = sx_header_make(chunker, begin, last, &header);
        if (status == SX_OK && !with_header) {
            bare = *header;
            bare.text = "";
            bare.length = bare.tokens = 0;
            header = &bare;
        }
        if (status == SX_OK)
            status = count_chunk(chunker, header, begin, last, &tokens);
        if (status != SX_OK)
            return status;
        if (tokens > chunker->most_tokens) {
            far_off = far_off || ++failures > PATIENCE || tokens / 2 > chunker->most_tokens;
            if (last > fresh + least) {
                size_t around = chunker->taken_tokens + header->tokens;
                size_t room = chunker->most_tokens > around ? chunker->most_tokens - around : 1;
                size_t own = tokens > around ? tokens - around : 1;
                most = shorten(begin, last, own, room < own ? room : own - 1, failures);
                continue;
            }
            if (origin < fresh) {
                origin = fresh;
                most = hard_end;
                continue;
            }
            if (header->length) {
                with_header = false;
                most = hard_end;
                continue;
            }
        }
        learn(chunker, last - begin, failures, far_off);
        *start = begin;
        *end = cut;
        return add_chunk(chunker, header, begin, last, tokens);
    }
}
